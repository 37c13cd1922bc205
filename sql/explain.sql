-- Where a score comes from: the map and its picture.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE explain_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 0 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 40) i) s;
ALTER TABLE explain_xrays ADD PRIMARY KEY (id);
-- networks: linear after the convolution; pooled; without convolution; that knows nothing
SELECT pneumo_train('explain_xrays', '{"name": "dense", "image_size": [16, 16], "epochs": 3, "verbose": 0, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": 3, "activation": "relu", "padding": "same"}},
	{"class_name": "MaxPooling2D"}, {"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;
SELECT pneumo_train('explain_xrays', '{"name": "pooled", "image_size": [16, 24], "epochs": 3, "verbose": 0, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": 3, "activation": "relu"}},
	{"class_name": "GlobalAveragePooling2D"},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;
SELECT pneumo_train('explain_xrays', '{"name": "softmax", "image_size": [16, 16], "epochs": 3, "verbose": 0, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 2, "activation": "softmax"}}]}') > 0 AS trained;
SELECT pneumo_train('explain_xrays', '{"name": "flat", "image_size": [16, 16], "epochs": 1, "verbose": 0, "layers": [
	{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;
SELECT pneumo_train('explain_xrays', '{"name": "blank", "image_size": [16, 16], "epochs": 1, "verbose": 0, "learning_rate": 1e-12, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "kernel_initializer": "zeros"}}]}') > 0 AS trained;
CREATE TABLE explain_three AS
	SELECT id, image, CASE WHEN id % 4 = 0 THEN 'VIRUS' ELSE label END AS label FROM explain_xrays;
SELECT pneumo_train('explain_three', '{"name": "three", "image_size": [16, 16], "epochs": 2, "verbose": 0, "validation_split": 0.3, "test_split": 0, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]}') > 0 AS trained;
SELECT pneumo_train('explain_xrays', '{"name": "residual", "image_size": [16, 16], "epochs": 3, "verbose": 0, "layers": {"class_name": "Functional", "config": {"name": "m", "layers": [
	{"class_name": "InputLayer", "name": "in", "config": {"batch_input_shape": [null, 16, 16, 1], "name": "in"}, "inbound_nodes": []},
	{"class_name": "Conv2D", "name": "a", "config": {"name": "a", "filters": 3, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}, "inbound_nodes": [[["in", 0, 0, {}]]]},
	{"class_name": "Conv2D", "name": "b", "config": {"name": "b", "filters": 3, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}, "inbound_nodes": [[["a", 0, 0, {}]]]},
	{"class_name": "Add", "name": "add", "config": {"name": "add"}, "inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]]},
	{"class_name": "GlobalAveragePooling2D", "name": "g", "config": {"name": "g"}, "inbound_nodes": [[["add", 0, 0, {}]]]},
	{"class_name": "Dense", "name": "d", "config": {"name": "d", "units": 1, "activation": "sigmoid"}, "inbound_nodes": [[["g", 0, 0, {}]]]}],
	"input_layers": [["in", 0, 0]], "output_layers": [["d", 0, 0]]}}}') > 0 AS trained;
SET pneumo.default_model = 'dense';

-- the map: resolution, class, method
SELECT (h).height, (h).width, (h).class, (h).method, (h).max_abs > 0 AS max_abs, (h).empty, array_dims((h).map) AS map
FROM (SELECT pneumo_heatmap(image) h FROM explain_xrays WHERE id = 1) s;
SELECT h.height, h.width, array_dims(h.map) FROM explain_xrays, pneumo_heatmap(image, 'pooled') h WHERE id = 1;
-- it is a value as any other
CREATE TABLE explain_maps AS SELECT id, pneumo_heatmap(image) AS m FROM explain_xrays;
SELECT bool_and((SELECT max(abs(v)) FROM unnest((m).map) v) = (m).max_abs) AS max_abs FROM explain_maps;

-- its places sum to the logit, but for the bias
CREATE FUNCTION logit(double precision) RETURNS double precision LANGUAGE sql IMMUTABLE RETURN ln($1 / (1 - $1));
SELECT model, max(logit - total) - min(logit - total) < 1e-4 AS same_bias, max(logit) - min(logit) > 1e-3 AS differ
FROM (SELECT model, logit(pneumo_predict_raw(image, model)) AS logit,
			 (SELECT sum(v::float8) FROM unnest((pneumo_heatmap(image, model)).map) v) AS total
	  FROM explain_xrays, unnest(ARRAY['dense', 'pooled', 'residual', 'softmax']) model) s
GROUP BY model ORDER BY model;

-- the other class speaks the other way
SELECT model, bool_and(a.class = 'NORMAL' AND (SELECT bool_and(abs(x + y) < 1e-6) FROM unnest(a.map, b.map) u (x, y))) AS negated
FROM explain_xrays, unnest(ARRAY['dense', 'softmax']) model,
	pneumo_heatmap(image, model, '{"class": "NORMAL"}') a, pneumo_heatmap(image, model, '{"class": "PNEUMONIA"}') b
GROUP BY model ORDER BY model;
-- with pooling the methods agree, with a dense head they do not
SELECT model, bool_and(SQRT(d) < 1e-6) AS agree
FROM (SELECT model, (SELECT sum((x - y) ^ 2) FROM unnest(a.map, b.map) u (x, y)) AS d
	  FROM explain_xrays, unnest(ARRAY['dense', 'pooled']) model,
		  pneumo_heatmap(image, model) a, pneumo_heatmap(image, model, '{"method": "gradcam"}') b) s
GROUP BY model ORDER BY model;
-- more than two classes: the most probable, or the one asked for
SELECT bool_and(h.class = pneumo_classify(image, 'three')) AS most_probable,
	   bool_and((pneumo_heatmap(image, 'three', jsonb_build_object('class', h.class))).map = h.map) AS same,
	   bool_and((pneumo_heatmap(image, 'three', '{"class": "VIRUS"}')).class = 'VIRUS') AS asked
FROM explain_three, pneumo_heatmap(image, 'three') h;

-- the picture has the image's size and colour; the classes' pictures differ
SELECT i.width, i.height, i.components, pneumo_explain(image) <> pneumo_explain(image, 'dense', '{"class": "NORMAL"}') AS signed,
	   pneumo_explain(image) = pneumo_explain(image, 'dense', '{"method": "hirescam", "opacity": 0.6}') AS defaults,
	   pneumo_explain(image, 'dense', jsonb_build_object('scale', (pneumo_heatmap(image)).max_abs)) = pneumo_explain(image) AS scale
FROM explain_xrays, pneumo_image_info(pneumo_explain(image)) i WHERE id = 2;
SELECT i.width, i.height, i.components FROM pneumo_image_info(pneumo_explain(pneumo_phantom(1, 'NORMAL', 100))) i;
-- an empty map is called empty and not drawn
SELECT bool_and(h.empty) AS empty, max(h.max_abs) < 1e-6 AS nothing,
	   bool_and(pneumo_explain(image, 'blank') = pneumo_explain(image, 'dense', '{"opacity": 0}')) AS grey
FROM explain_xrays, pneumo_heatmap(image, 'blank') h;

-- NULL in, NULL out; unreadable images
SELECT pneumo_heatmap(NULL) IS NULL AS map, pneumo_explain(NULL) IS NULL AS picture, pneumo_explain(NULL, 'dense', '{}') IS NULL AS config;
SELECT pneumo_heatmap('x');
\echo :LAST_ERROR_SQLSTATE
SELECT pneumo_explain('\xffd8');
\echo :LAST_ERROR_SQLSTATE
SET pneumo.on_bad_image = 'null';
SELECT pneumo_heatmap('x') IS NULL AS map, pneumo_explain('x', 'three') IS NULL AS picture;
RESET pneumo.on_bad_image;

-- errors
SELECT pneumo_heatmap(image, 'flat') FROM explain_xrays WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
SELECT pneumo_explain(image, 'flat') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'nobody') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '[]') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '{"clas": "NORMAL"}') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '{"class": "COVID"}') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '{"class": 1}') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '{"method": "cam"}') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '{"scale": 0}') FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image, 'dense', '{"opacity": 2}') FROM explain_xrays WHERE id = 1;

-- parallel workers; labels; rights as to predict
SELECT pneumo_prepare_table('explain_xrays', 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET max_parallel_workers_per_gather = 2;
SET parallel_leader_participation = off;
SELECT count(*) = 40 AS rows, bool_and((h).map = (m).map) AS same
FROM (SELECT id, pneumo_heatmap(image) AS h FROM explain_xrays) s JOIN explain_maps USING (id);
RESET parallel_leader_participation;
RESET max_parallel_workers_per_gather;
RESET parallel_tuple_cost;
RESET parallel_setup_cost;
SELECT p.oid::regprocedure AS function, p.provolatile AS v, p.proparallel AS p, p.proisstrict AS s
FROM pg_proc p WHERE p.proname IN ('pneumo_heatmap', 'pneumo_explain') ORDER BY p.proname COLLATE "C", p.pronargs;
CREATE ROLE regress_pneumo_explain;
GRANT SELECT ON explain_xrays TO regress_pneumo_explain;
SET ROLE regress_pneumo_explain;
SELECT pneumo_heatmap(image) FROM explain_xrays WHERE id = 1;
SELECT pneumo_explain(image) FROM explain_xrays WHERE id = 1;
RESET ROLE;
SELECT pneumo_grant('dense', 'regress_pneumo_explain', 'predict');
SET ROLE regress_pneumo_explain;
SELECT pneumo_explain(image) IS NOT NULL AS allowed FROM explain_xrays WHERE id = 1;
RESET ROLE;

RESET pneumo.default_model;
SELECT count(pneumo_drop_model(model)::text) AS dropped FROM unnest(ARRAY['dense', 'pooled', 'softmax', 'flat', 'blank', 'residual', 'three']) model;
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs;
DROP TABLE explain_xrays, explain_three, explain_maps;
DROP FUNCTION logit(double precision);
DROP OWNED BY regress_pneumo_explain;
DROP ROLE regress_pneumo_explain;
