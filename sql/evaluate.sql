-- Evaluation: splits as in training, rows that were seen left out, looks counted.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE evaluate_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient
	FROM (SELECT i, CASE WHEN i % 4 < 2 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 120) i) s;
ALTER TABLE evaluate_xrays ADD PRIMARY KEY (id);
SELECT pneumo_train('evaluate_xrays', '{"name": "evaluate", "group_column": "patient", "test_split": 0.25, "image_size": [16, 16], "epochs": 3, "verbose": 0,
	"layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;

-- the splits are those of the training, with its columns and fractions
SELECT e.split, e.images, e.patients, e.positive, e.left_out, e.looks, e.threshold,
	   e.images = (SELECT count(*) FROM evaluate_xrays WHERE pneumo_split(patient, 0, 0.15, 0.25) = s) AS same_rows,
	   e.patients = (SELECT count(DISTINCT patient) FROM evaluate_xrays WHERE pneumo_split(patient, 0, 0.15, 0.25) = s) AS same_patients
FROM unnest(ARRAY['train', 'validation', 'test']) s, pneumo_evaluate('evaluate_xrays', 'evaluate', jsonb_build_object('split', s)) e;

-- the figures are those of the scores
WITH scored AS (
	SELECT pneumo_predict(image, 'evaluate') AS p, label = 'PNEUMONIA' AS y
	FROM evaluate_xrays WHERE pneumo_split(patient, 0, 0.15, 0.25) = 'validation')
SELECT abs(e.accuracy - (SELECT avg(((p >= 0.5) = y)::int) FROM scored)) < 1e-12 AS accuracy,
	   abs(e.sensitivity - (SELECT avg((p >= 0.5)::int) FROM scored WHERE y)) < 1e-12 AS sensitivity,
	   abs(e.specificity - (SELECT avg((p < 0.5)::int) FROM scored WHERE NOT y)) < 1e-12 AS specificity,
	   abs(e.auc - (SELECT avg(CASE WHEN a.p > b.p THEN 1.0 WHEN a.p = b.p THEN 0.5 ELSE 0 END) FROM scored a, scored b WHERE a.y AND NOT b.y)) < 1e-12 AS auc,
	   abs(e.log_loss + (SELECT avg(ln(CASE WHEN y THEN p ELSE 1 - p END)) FROM scored)) < 1e-6 AS log_loss
FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "validation"}') e;
-- to the bit, limits included, those of the aggregate, whatever the ids of the patients are
SELECT e.figures = m.by_name AS by_name, e.figures = m.by_number AS by_number, (e.figures).clusters < (e.figures).n AS clustered
FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "validation"}') e,
	 (SELECT pneumo_metrics(y, p, 0.5, patient) AS by_name, pneumo_metrics(y, p, 0.5, -number) AS by_number
	  FROM (SELECT pneumo_predict(image, 'evaluate') AS p, label = 'PNEUMONIA' AS y, patient, id / 2 AS number FROM evaluate_xrays
			WHERE pneumo_split(patient, 0, 0.15, 0.25) = 'validation') scored) m;
-- validation in training and prediction agree
SELECT (v.metrics->>'auc')::float8 - e.auc < 1e-9 AS auc, abs((v.metrics->>'log_loss')::float8 - e.log_loss) < 1e-6 AS log_loss
FROM pneumo.versions v, pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "validation"}') e WHERE v.model = 'evaluate';

-- another seed would mix the splits: what the version has seen is left out
SELECT images > 0 AS some, (left_out->>'already seen')::int > 0 AS left_out
FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split_seed": 5}');
SELECT split, images, left_out FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "all"}');
CREATE TABLE evaluate_seen AS SELECT * FROM evaluate_xrays WHERE pneumo_split(patient, 0, 0.15, 0.25) = 'train';
SELECT pneumo_evaluate('evaluate_seen', 'evaluate', '{"split": "all"}');
-- other labels for the same two classes; one class only
CREATE TABLE evaluate_other AS SELECT i AS id, pneumo_phantom(1000 + i, CASE WHEN i % 2 = 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END, 64) AS image, i % 2 = 1 AS sick, 'NORMAL' AS label
	FROM generate_series(1, 20) i;
SELECT images, patients, positive, auc IS NOT NULL AS auc FROM pneumo_evaluate('evaluate_other', 'evaluate', '{"split": "all", "label_column": "sick", "group_column": null}');
SELECT images, positive, sensitivity, auc FROM pneumo_evaluate('evaluate_other', 'evaluate', '{"split": "all", "group_column": null}');

-- patients are counted only where the rows name them
SELECT patients IS NULL AS unknown, (figures).clusters = images AS by_image FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "validation", "group_column": null}');
-- the intervals of few patients rest on little
SET client_min_messages = notice;
SELECT notes FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "validation"}');
SET client_min_messages = error;
SELECT notes FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "train"}');
CREATE TABLE evaluate_giant AS
	SELECT 1000 + i AS id, pneumo_phantom(1000 + i, l, 64) AS image, l AS label, CASE WHEN i <= 40 THEN 'g' ELSE 'g' || i END AS patient
	FROM (SELECT i, CASE WHEN i % 2 = 0 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 100) i) s;
ALTER TABLE evaluate_giant ADD PRIMARY KEY (id);
SELECT notes FROM pneumo_evaluate('evaluate_giant', 'evaluate', '{"split": "all"}');
-- looks at held-out rows are counted
SELECT looks FROM pneumo_evaluate('evaluate_xrays', 'evaluate');
SELECT test_looks FROM pneumo.versions WHERE model = 'evaluate';
BEGIN READ ONLY;
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate');
ROLLBACK;
BEGIN READ ONLY;
SELECT split FROM pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "validation"}');
ROLLBACK;

-- errors
SELECT pneumo_evaluate('evaluate_xrays', 'nobody');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"splitt": "test"}');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"split": "tests"}');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"version": 0}');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"version": 123456}');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"label_column": "patient"}');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"label_column": "id"}');
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate', '{"group_column": "nobody"}');
CREATE ROLE regress_pneumo_other;
SET ROLE regress_pneumo_other;
\set VERBOSITY sqlstate
SELECT pneumo_evaluate('evaluate_xrays', 'evaluate');
RESET ROLE;

SELECT pneumo_drop_model('evaluate');
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model = 'evaluate';
DROP TABLE evaluate_xrays, evaluate_seen, evaluate_other, evaluate_giant;
DROP ROLE regress_pneumo_other;
