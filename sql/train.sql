-- Training: labels, splits, what is left out, what is stored.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE train_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient,
		   CASE i % 5 WHEN 0 THEN 'val' WHEN 1 THEN 'Test' ELSE 'train' END AS side,
		   (i % 3 + 1)::real AS weight
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 60) i) s;
ALTER TABLE train_xrays ADD PRIMARY KEY (id);
\set tiny '"image_size": [16, 16], "layers": [{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 2, "verbose": 0'

-- a network that cannot learn: the same figures everywhere
SET client_min_messages = notice;
SELECT pneumo_train('train_xrays', '{"name": "train zero", "image_size": [16, 16], "epochs": 2, "learning_rate": 1e-12, "split_column": "side",
	"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid", "kernel_initializer": "zeros"}}]}') > 0 AS trained;
SET client_min_messages = error;
SELECT state, samples, left_out, epoch, epochs, best_epoch, error FROM pneumo.runs WHERE model = 'train zero';
SELECT h.epoch, round(loss::numeric, 3) AS loss, round(accuracy::numeric, 3) AS accuracy, round(val_loss::numeric, 3) AS val_loss,
	   round(val_accuracy::numeric, 3) AS val_accuracy, round(val_auc::numeric, 3) AS val_auc, seconds > 0 AS seconds
FROM pneumo.history h JOIN pneumo.runs USING (run) WHERE model = 'train zero' ORDER BY h.epoch;
SELECT classes, parameters, image_size, deployed, metrics - 'log_loss' AS metrics, comment FROM pneumo.versions WHERE model = 'train zero';
SELECT round(pneumo_predict(image, 'train zero')::numeric, 3) AS p FROM train_xrays WHERE id = 1;

-- the same data, seed and config give the same bytes, whatever the order of the rows
CREATE TABLE train_shuffled AS SELECT * FROM train_xrays ORDER BY md5(id::text);
SELECT pneumo_train('train_xrays', ('{"name": "train a", "group_column": "patient", "rotation_range": 10, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('train_shuffled', ('{"name": "train b", "group_column": "patient", "rotation_range": 10, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('train_shuffled', ('{"name": "train c", "group_column": "patient", "rotation_range": 10, "seed": 1, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT a.sha256 = b.sha256 AS same, a.sha256 <> c.sha256 AS other_seed
FROM pneumo.versions a, pneumo.versions b, pneumo.versions c
WHERE a.model = 'train a' AND b.model = 'train b' AND c.model = 'train c';

-- a second version of a model is stored, not deployed; "deploy" decides
SELECT pneumo_train('train_xrays', ('{"name": "train a", "seed": 2, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('train_xrays', ('{"name": "train a", "seed": 3, "deploy": true, "comment": "better", ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT version, deployed, comment FROM pneumo.versions WHERE model = 'train a' ORDER BY 1;

-- warm start, weights of samples, a class weight
SELECT pneumo_train('train_xrays', ('{"name": "train warm", "initial_model": "train a", "sample_weight_column": "weight", "class_weight": {"PNEUMONIA": 2}, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('train_xrays', '{"initial_model": "train a", "image_size": [16, 16], "model": "baseline"}');
-- to other classes and another network: layers are taken by name and shapes
CREATE TABLE train_sizes AS SELECT id, image, (ARRAY['small', 'medium', 'large'])[1 + id % 3] AS label FROM train_xrays;
\set other '{"name": "train other", "initial_model": "train a", "validation_split": 0.3, "test_split": 0, "image_size": [16, 16], "epochs": 1, "learning_rate": 1e-12, "layers": [{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]}'
SET client_min_messages = notice;
SELECT parameters FROM pneumo_plan('train_sizes', :'other');
SET client_min_messages = error;
SELECT pneumo_train('train_sizes', :'other') > 0 AS trained;
SELECT max(abs(a - b)) < 1e-6 AS same_features, max(a) > 0.01 AS features
FROM train_xrays, unnest(pneumo_embed(image, 'train other'), pneumo_embed(image, 'train a')) AS u (a, b);
-- not one layer of that name
SELECT pneumo_train('train_xrays', '{"name": "train renamed", "initial_model": "train a", "image_size": [16, 16],
	"layers": [{"class_name": "Conv2D", "config": {"name": "a", "filters": 4, "kernel_size": 3}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"name": "b", "units": 2, "activation": "relu"}}, {"class_name": "Dense", "config": {"name": "c", "units": 1, "activation": "sigmoid"}}]}');

-- labels: boolean, 0 and 1, an enum of three classes
CREATE TYPE finding AS ENUM ('virus', 'none', 'bacteria');
CREATE TABLE train_labels AS
	SELECT id, image, label = 'PNEUMONIA' AS b, (label = 'PNEUMONIA')::int AS i,
		   (ARRAY['virus', 'none', 'bacteria'])[1 + id % 3]::finding AS e, CASE WHEN id % 2 = 0 THEN 'x' ELSE 'y' END AS t,
		   id % 2 * 5 AS many, 'one' AS one
	FROM train_xrays;
SELECT classes FROM pneumo_plan('train_labels', ('{"label_column": "b", ' || :'tiny' || '}')::jsonb);
SELECT classes FROM pneumo_plan('train_labels', ('{"label_column": "i", ' || :'tiny' || '}')::jsonb);
SELECT classes, parameters FROM pneumo_plan('train_labels', '{"label_column": "e", "model": "baseline", "image_size": [16, 16]}');
SELECT pneumo_plan('train_labels', ('{"label_column": "e", ' || :'tiny' || '}')::jsonb);
SELECT pneumo_plan('train_labels', ('{"label_column": "e", "loss": "binary_crossentropy", ' || :'tiny' || '}')::jsonb);
\set VERBOSITY default
SELECT pneumo_plan('train_labels', ('{"label_column": "t", ' || :'tiny' || '}')::jsonb);
\set VERBOSITY terse
SELECT classes FROM pneumo_plan('train_labels', ('{"label_column": "t", "positive_class": "x", ' || :'tiny' || '}')::jsonb);
SELECT pneumo_plan('train_labels', ('{"label_column": "t", "positive_class": "z", ' || :'tiny' || '}')::jsonb);
SELECT pneumo_plan('train_labels', ('{"label_column": "many", ' || :'tiny' || '}')::jsonb);
SELECT pneumo_plan('train_labels', ('{"label_column": "one", ' || :'tiny' || '}')::jsonb);
SELECT pneumo_train('train_labels', '{"name": "train three", "label_column": "e", "image_size": [16, 16], "epochs": 1, "verbose": 0, "test_split": 0,
	"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]}') > 0 AS trained;
SELECT count(*), round(sum(probability)::numeric, 3) AS sum FROM train_xrays, pneumo_predict_proba(image, 'train three') WHERE id = 1;

-- what is left out: unlabelled, no image, unreadable, duplicates, conflicts
CREATE TABLE train_dirty AS SELECT id, image, label, side FROM train_xrays;
INSERT INTO train_dirty VALUES (101, NULL, 'NORMAL', 'train'), (102, '\x00', NULL, 'train'), (103, 'not a JPEG', 'NORMAL', 'train'),
	(104, (SELECT image FROM train_xrays WHERE id = 2), 'NORMAL', 'train'),
	(105, (SELECT image FROM train_xrays WHERE id = 3), 'NORMAL', 'train'),
	(106, (SELECT image FROM train_xrays WHERE id = 4), 'NORMAL', 'test'),
	(107, (SELECT image FROM train_xrays WHERE id = 5), 'PNEUMONIA', NULL);
ALTER TABLE train_dirty ADD PRIMARY KEY (id);
SELECT pneumo_train('train_dirty', ('{"name": "train dirty", "split_column": "side", ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT left_out, samples->'rows' AS rows FROM pneumo.runs WHERE model = 'train dirty';
SELECT pneumo_train('train_dirty', ('{"name": "train dirty", "max_bad_images": 0.01, ' || :'tiny' || '}')::jsonb);
SELECT state, sqlstate, error FROM pneumo.runs WHERE model = 'train dirty' ORDER BY run DESC LIMIT 1;

-- a patient on two sides, a split without rows
SELECT pneumo_train('train_xrays', ('{"name": "train x", "split_column": "side", "group_column": "patient", ' || :'tiny' || '}')::jsonb);
SELECT pneumo_plan('train_xrays', ('{"split_column": "label", ' || :'tiny' || '}')::jsonb);
CREATE TABLE train_few AS SELECT * FROM train_xrays WHERE id <= 6;
SELECT pneumo_train('train_few', ('{"name": "train x", "group_column": "id", ' || :'tiny' || '}')::jsonb);
SELECT (pneumo_plan('train_few', ('{"validation_split": 0, "test_split": 0, ' || :'tiny' || '}')::jsonb)).rows IS NOT NULL AS no_sides;
DELETE FROM train_few;
SELECT pneumo_train('train_few');

-- a view
CREATE VIEW train_view AS SELECT * FROM train_xrays WHERE id > 0;
SELECT pneumo_train('train_view', ('{"name": "train view", "group_column": "patient", "rotation_range": 10, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT a.sha256 = v.sha256 AS same FROM pneumo.versions a, pneumo.versions v WHERE a.model = 'train b' AND v.model = 'train view';

-- a run that diverges fails with a clear error
SELECT pneumo_train('train_xrays', '{"name": "train nan", "optimizer": "sgd", "learning_rate": 1000, "rescale": 1e6, "early_stopping": null, "batch_size": 2, "image_size": [16, 16],
	"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 8}}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}');
SELECT state, sqlstate, version IS NULL AS no_version FROM pneumo.runs WHERE model = 'train nan';

-- a model that has had a version keeps its name and counts on; runs tell which version they made
SELECT pneumo_train('train_xrays', ('{"name": "train gone", "deploy": false, ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_drop_version('train gone', 1);
SELECT pneumo_deploy('train gone', 1);
SELECT pneumo_train('train_xrays', '{"name": "train gone", "optimizer": "sgd", "learning_rate": 1000, "rescale": 1e6, "early_stopping": null, "batch_size": 2, "image_size": [16, 16],
	"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 8}}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}');
SELECT pneumo_train('train_xrays', ('{"name": "train gone", ' || :'tiny' || '}')::jsonb) > 0 AS trained;
SELECT model, deployed_version, versions FROM pneumo.models WHERE model = 'train gone';
SELECT r.version, r.version_id > 0 AS has_id, v.version_id = r.version_id AS same
FROM pneumo.runs r LEFT JOIN pneumo.versions v USING (model, version) WHERE model = 'train gone' ORDER BY r.run;

SELECT count(pneumo_drop_model(model)::text) AS dropped FROM pneumo.models WHERE model LIKE 'train %';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'train %';
DROP VIEW train_view;
DROP TABLE train_xrays, train_shuffled, train_labels, train_dirty, train_few;
DROP TYPE finding;
