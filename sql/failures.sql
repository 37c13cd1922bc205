-- What a model gets wrong, and the report.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE failures_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient,
		   CASE WHEN i / 2 % 3 = 0 THEN 'f' ELSE 'm' END AS sex
	FROM (SELECT i, CASE WHEN i % 4 < 2 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 120) i) s;
ALTER TABLE failures_xrays ADD PRIMARY KEY (id);
SELECT pneumo_train('failures_xrays', '{"name": "failures", "group_column": "patient", "test_split": 0.25, "image_size": [16, 16], "epochs": 2, "verbose": 0, "layers": [
	{"class_name": "Conv2D", "config": {"filters": 2, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"},
	{"class_name": "Dense", "config": {"units": 4, "activation": "relu"}},
	{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;

-- all rows of the validation split, as they are scored
CREATE TABLE failures_all AS SELECT row_number() OVER () AS n, f.* FROM pneumo_failures('failures_xrays', 'failures', '{"all_rows": true}') f;
SELECT count(*) = (SELECT count(*) FROM failures_xrays WHERE pneumo_split(patient, 0, 0.15, 0.25) = 'validation') AS rows,
	   bool_and(f.truth = x.label) AS truth, bool_and(f.probability = pneumo_predict(image, 'failures')) AS probability,
	   bool_and(f.predicted = pneumo_classify(image, 'failures')) AS predicted,
	   bool_and(f.wrong = (f.truth <> f.predicted)) AS wrong,
	   bool_and(abs(f.loss + ln(CASE WHEN x.label = 'PNEUMONIA' THEN f.probability ELSE 1 - f.probability END)) < 1e-9) AS loss,
	   bool_and(pneumo_split(patient, 0, 0.15, 0.25) = 'validation') AS split
FROM failures_all f JOIN failures_xrays x ON f.key = x.id::text;
-- worst first; only the wrong ones by default, and not more than asked for
SELECT bool_and(a.loss >= b.loss) AS worst_first FROM failures_all a JOIN failures_all b ON b.n = a.n + 1;
SELECT count(*) > 1 AS some, count(*) = (SELECT count(*) FROM failures_all WHERE wrong) AS all_wrong, bool_and(wrong) AS wrong
FROM pneumo_failures('failures_xrays', 'failures');
SELECT f.key = (SELECT key FROM failures_all WHERE wrong ORDER BY n LIMIT 1) AS worst
FROM pneumo_failures('failures_xrays', 'failures', '{"limit": 1}') f;

-- the neighbours are the nearest training images
CREATE FUNCTION cosine(real[], real[]) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN (SELECT 1 - coalesce(sum(x::float8 * y) / nullif(sqrt(sum(x::float8 * x)) * sqrt(sum(y::float8 * y)), 0), 0) FROM unnest($1, $2) u (x, y));
CREATE FUNCTION euclidean(real[], real[]) RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN (SELECT sqrt(sum((x::float8 - y) ^ 2)) FROM unnest($1, $2) u (x, y));
CREATE TABLE failures_embedded AS SELECT id, label, pneumo_embed(image, 'failures') AS e, pneumo_split(patient, 0, 0.15, 0.25) AS split FROM failures_xrays;
SELECT distance, bool_and(cardinality(f.neighbour_keys) = 4) AS four,
	   bool_and(abs(d.nearest[1] - f.neighbour_distances[1]) < 1e-6 AND abs(d.nearest[4] - f.neighbour_distances[4]) < 1e-6) AS nearest,
	   bool_and((SELECT bool_and(label = c AND split = 'train') FROM unnest(f.neighbour_keys, f.neighbour_classes) u (k, c) JOIN failures_embedded ON id::text = k)) AS classes
FROM unnest(ARRAY['cosine', 'euclidean']) distance,
	 pneumo_failures('failures_xrays', 'failures', jsonb_build_object('neighbours', 4, 'distance', distance)) f,
	 LATERAL (SELECT array_agg(d ORDER BY d) AS nearest
			  FROM (SELECT CASE distance WHEN 'cosine' THEN cosine(a.e, b.e) ELSE euclidean(a.e, b.e) END AS d
					FROM failures_embedded a, failures_embedded b WHERE a.id::text = f.key AND b.split = 'train') s) d
GROUP BY distance ORDER BY distance;
SELECT count(neighbour_keys) AS keys FROM pneumo_failures('failures_xrays', 'failures', '{"neighbours": 0}');

-- joined to the columns of the table: maps on demand, figures of subgroups
SELECT bool_and(octet_length(pneumo_explain(x.image, 'failures')) > 100) AS overlays
FROM pneumo_failures('failures_xrays', 'failures', '{"limit": 3}') f JOIN failures_xrays x ON x.id::text = f.key;
SELECT x.sex, count(*) > 0 AS rows, count(*) FILTER (WHERE wrong) <= count(*) AS failures
FROM pneumo_failures('failures_xrays', 'failures', '{"all_rows": true, "neighbours": 0}') f JOIN failures_xrays x ON x.id::text = f.key
GROUP BY sex ORDER BY sex;

-- a look at the test split is counted
SELECT count(*) >= 0 AS test FROM pneumo_failures('failures_xrays', 'failures', '{"split": "test"}');
SELECT test_looks FROM pneumo.versions WHERE model = 'failures';
BEGIN READ ONLY;
SELECT count(*) >= 0 AS validation FROM pneumo_failures('failures_xrays', 'failures');
SELECT pneumo_failures('failures_xrays', 'failures', '{"split": "test"}');
ROLLBACK;

-- the report
CREATE TABLE failures_page AS SELECT pneumo_report('failures', config => '{"failures": 2, "eigenimages": 2}') AS page;
SELECT page LIKE '<!DOCTYPE html>%</html>%' AS whole, page !~ '<script|<link|https?://(?!www.w3.org)' AS alone,
	   regexp_count(page, '<h2') AS sections, regexp_count(page, 'data:image/jpeg') AS images, regexp_count(page, '<svg') AS pictures,
	   page LIKE '%' || encode(pneumo_deployed('failures'), 'hex') || '%' AS sha256
FROM failures_page;
SELECT test_looks FROM pneumo.versions WHERE model = 'failures';
SELECT regexp_count(pneumo_report('failures', 'failures_xrays', '{"test": false, "images": false}'), 'data:image') AS images;
SELECT test_looks FROM pneumo.versions WHERE model = 'failures';
BEGIN READ ONLY;
SELECT pneumo_report('failures');
ROLLBACK;
BEGIN READ ONLY;
SELECT pneumo_report('failures', config => '{"test": false}') IS NOT NULL AS without_test;
ROLLBACK;
SELECT pneumo_report(NULL);
-- three classes
CREATE TABLE failures_three AS SELECT id, image, CASE WHEN id % 4 = 0 THEN 'VIRUS <&>' ELSE label END AS label FROM failures_xrays;
SELECT pneumo_train('failures_three', '{"name": "three", "image_size": [16, 16], "epochs": 1, "verbose": 0, "layers": [
	{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]}') > 0 AS trained;
SELECT regexp_count(page, '<svg') AS pictures, page LIKE '%VIRUS &lt;&amp;&gt;%' AND page NOT LIKE '%VIRUS <%' AS escaped, page LIKE '%no convolution%' AS no_maps
FROM pneumo_report('three') page;

-- subgroups: names of columns and their values are escaped, numbers are cut into bands
CREATE TABLE failures_groups AS SELECT x.*, id % 50 AS age, CASE id % 3 WHEN 0 THEN '</script><b>"' WHEN 1 THEN E'\u202Eevil' END AS "de<i>vice", id % 2 = 0 AS portable, 'v' || id % 20 AS ward, numeric 'NaN' AS nothing FROM failures_xrays x;
CREATE TABLE failures_grouped AS SELECT pneumo_report('failures', 'failures_groups', '{"images": false, "key_column": "id", "subgroups": ["sex", {"column": "age", "breaks": [10, 30]}, "age", "de<i>vice", "portable", "ward", "nothing"]}') AS page;
SELECT name, position(part IN page) > 0 AS there FROM failures_grouped, (VALUES
	('summary', '>Test AUC</dt>'), ('verdict', '<b>Verdict:</b> For trying pneumo out'), ('phantoms', '<li>These are phantoms: 4 of 4'),
	('looks', '<li>The test split has been looked at'), ('heading', 'colspan="7">de&lt;i&gt;vice</th>'), ('value', '<td>&lt;/script&gt;&lt;b&gt;&quot;</td>'),
	('direction', '<td>' || chr(65533) || 'evil</td>'), ('breaks', '<td>10 to below 30</td>'), ('boolean', '<td>true</td>'), ('other', '<td>other ('),
	('null', '<td>unknown</td>'), ('forest', '<desc id="forest-auc-desc">all rows, '), ('few', 'class="hollow"'),
	('decision', 'id="decision-test-title"'), ('scores', 'id="scores-test-title"'), ('recall', 'average precision'), ('thresholds', 'the operating point</td>'),
	('epochs', 'id="epochs-')) x (name, part) ORDER BY name;
SELECT page !~ '<script|<b>"|\u202E' AS safe, regexp_count(page, '<h2') AS sections FROM failures_grouped;
-- the figures of a subgroup are those of its rows
SELECT position('<td>f</td><td class="n">' || images || ' (' || patients || ')</td><td class="n">' || positive || ' / ' || negative || '</td>' IN page) > 0 AS counted,
	   position(format('>%s (%s to %s)<', to_char(((m).auc).value, 'FM0.000'), to_char(((m).auc).low, 'FM0.000'), to_char(((m).auc).high, 'FM0.000')) IN page) > 0 AS auc,
	   position(format('>%s (%s to %s)<', to_char(((m).sensitivity).value, 'FM0.000'), to_char(((m).sensitivity).low, 'FM0.000'), to_char(((m).sensitivity).high, 'FM0.000')) IN page) > 0 AS sensitivity
FROM failures_grouped, (SELECT count(*) AS images, count(DISTINCT x.patient) AS patients, count(DISTINCT x.patient) FILTER (WHERE truth = 'PNEUMONIA') AS positive,
		count(DISTINCT x.patient) FILTER (WHERE truth = 'NORMAL') AS negative, pneumo_metrics(truth = 'PNEUMONIA', probability, 0.5, x.patient) AS m
	FROM pneumo_failures('failures_groups', 'failures', '{"split": "test", "all_rows": true, "neighbours": 0, "key_column": "id"}') f JOIN failures_groups x ON x.id::text = f.key WHERE sex = 'f') s;
DROP TABLE failures_grouped;
SELECT position('makes no subgroups' IN pneumo_report('failures', config => '{"images": false, "test": false, "subgroups": []}')) AS none,
	   position('>Macro AUC by subgroup, test<' IN pneumo_report('three', config => '{"images": false, "subgroups": ["label"]}')) > 0 AS macro;
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": "sex"}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": [1]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": [{"breaks": [1]}]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": [{"column": "age", "break": [1]}]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": [{"column": "age", "breaks": [3, 3]}]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": [{"column": "sex", "breaks": [3]}]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": ["sexes"]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": ["image"]}');
SELECT pneumo_report('failures', 'failures_groups', '{"subgroups": ["sex", "sex", "sex", "sex", "sex", "sex", "sex", "sex", "sex"]}');

-- errors
SELECT pneumo_failures('failures_xrays', 'nobody');
SELECT pneumo_failures('failures_xrays', 'failures', '{"splits": "test"}');
SELECT pneumo_failures('failures_xrays', 'failures', '{"split": "all"}');
SELECT pneumo_failures('failures_xrays', 'failures', '{"neighbours": 51}');
SELECT pneumo_failures('failures_xrays', 'failures', '{"limit": 0}');
SELECT pneumo_failures('failures_xrays', 'failures', '{"distance": "manhattan"}');
SELECT pneumo_failures('failures_xrays', 'failures', '[]');
SELECT pneumo_failures('failures_xrays', 'failures', '{"validation_split": 0}');
SELECT pneumo_failures('failures_xrays', 'failures', '{"version": 123456}');
SELECT pneumo_report('nobody');
SELECT pneumo_report('failures', config => '{"failure": 3}');
SELECT pneumo_report('failures', config => '{"failures": 51}');
SELECT pneumo_report('failures', 'failures_all');
-- a look is counted before the table is read again, which happens only if there are failures
SELECT key AS wrong FROM pneumo_failures('failures_xrays', 'failures', '{"split": "test", "limit": 1}') \gset
SELECT test_looks AS looks FROM pneumo.versions WHERE model = 'failures' \gset
CREATE SEQUENCE failures_reads;
CREATE FUNCTION failures_guard(id integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('failures_reads') > 1 THEN RAISE EXCEPTION 'read again'; END IF;
	RETURN id;
END $$;
CREATE VIEW failures_once AS SELECT failures_guard(id) AS id, patient, label, image FROM failures_xrays WHERE id = :wrong;
SELECT pneumo_failures('failures_once', 'failures', '{"split": "test"}');
SELECT test_looks - :looks AS counted FROM pneumo.versions WHERE model = 'failures';
DROP VIEW failures_once;
DROP FUNCTION failures_guard(integer);
DROP SEQUENCE failures_reads;
-- unnamed, only the very table is read, and only for the role that trained on it
ALTER TABLE failures_xrays RENAME TO failures_renamed;
SELECT pneumo_report('failures');
CREATE TABLE failures_xrays AS SELECT * FROM failures_renamed;
SELECT pneumo_report('failures');
DROP TABLE failures_xrays;
CREATE ROLE regress_pneumo_failures;
SET ROLE regress_pneumo_failures;
\set VERBOSITY sqlstate
SELECT pneumo_failures('failures_renamed', 'failures');
SELECT pneumo_report('failures', 'failures_renamed');
RESET ROLE;
SELECT pneumo_grant('failures', 'regress_pneumo_failures', 'predict');
SET ROLE regress_pneumo_failures;
SELECT pneumo_failures('failures_renamed', 'failures');
SELECT pneumo_report('failures', 'failures_renamed');
RESET ROLE;
GRANT SELECT (id, image, label, patient) ON failures_renamed TO regress_pneumo_failures;
SET ROLE regress_pneumo_failures;
SELECT pneumo_report('failures', 'failures_renamed', '{"images": false, "test": false}') IS NOT NULL AS allowed;
SELECT pneumo_report('failures', 'failures_renamed', '{"images": false, "test": false, "subgroups": ["sex"]}');
RESET ROLE;

SELECT count(pneumo_drop_model(model)::text) AS dropped FROM unnest(ARRAY['failures', 'three']) model;
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs;
DROP TABLE failures_renamed, failures_three, failures_all, failures_embedded, failures_page, failures_groups;
DROP FUNCTION cosine(real[], real[]), euclidean(real[], real[]);
DROP ROLE regress_pneumo_failures;
