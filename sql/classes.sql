-- More than two classes: figures with intervals, comparison, report; and one rule for what cannot be judged.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE classes_xrays AS
	SELECT i AS id, pneumo_phantom(i, CASE WHEN kind = 'NORMAL' THEN 'NORMAL' ELSE 'PNEUMONIA' END, CASE WHEN kind = 'VIRUS' THEN 96 ELSE 64 END) AS image,
		   kind, 'p' || i / 2 AS patient
	FROM generate_series(1, 240) i, LATERAL (SELECT (ARRAY['NORMAL', 'BACTERIA', 'VIRUS'])[1 + i / 2 % 3]) k (kind);
ALTER TABLE classes_xrays ADD PRIMARY KEY (id);
\set data '"label_column": "kind", "group_column": "patient", "test_split": 0.3, "validation_split": 0.2, "image_size": [16, 16], "verbose": 0'
SELECT pneumo_train('classes_xrays', ('{"name": "classes a", "epochs": 3, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}], ' || :'data' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('classes_xrays', ('{"name": "classes b", "epochs": 1, "seed": 4, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}], ' || :'data' || '}')::jsonb) > 0 AS trained;

-- the figures are those of the scores, by patient
CREATE TABLE classes_scored AS
	SELECT id, kind, patient, p.class, p.probability
	FROM classes_xrays, pneumo_predict_proba(image, 'classes a') p WHERE pneumo_split(patient, 0, 0.2, 0.3) = 'test';
SELECT e.images, e.patients, e.positive, e.threshold, (e.figures).n, (e.figures).clusters, (e.figures).positive AS none, cardinality(e.classes) AS classes
FROM pneumo_evaluate('classes_xrays', 'classes a') e;
SELECT f.figure, f.value BETWEEN f.low AND f.high AND f.low < f.high AS limits
FROM pneumo_evaluate('classes_xrays', 'classes a') e, pneumo_figure_table(e.figures) f;
WITH one AS (
	SELECT class, pneumo_metrics(kind = class, probability, 0.5, patient) AS m FROM classes_scored GROUP BY class
), best AS (
	SELECT DISTINCT ON (id) id, kind, class, patient FROM classes_scored ORDER BY id, probability DESC
)
SELECT c.class, (c.figures).threshold, abs(((c.figures).auc).low - ((o.m).auc).low) < 1e-9 AS auc,
	   abs(((c.figures).sensitivity).value - (SELECT avg((b.class = b.kind)::int) FROM best b WHERE b.kind = c.class)) < 1e-9 AS sensitivity,
	   abs(((c.figures).specificity).value - (SELECT avg((b.class <> c.class)::int) FROM best b WHERE b.kind <> c.class)) < 1e-9 AS specificity,
	   abs(((e.figures).brier).value - (SELECT avg(s) FROM (SELECT sum((probability - (kind = class)::int) ^ 2) AS s FROM classes_scored GROUP BY id) x)) < 1e-9 AS brier,
	   abs(e.auc - (SELECT avg(((m).auc).value) FROM one)) < 1e-9 AS macro_auc,
	   abs(e.accuracy - (SELECT avg((b.class = b.kind)::int) FROM best b)) < 1e-9 AS accuracy
FROM pneumo_evaluate('classes_xrays', 'classes a') e, unnest(e.classes) c JOIN one o USING (class) ORDER BY c.class;

-- two models
SELECT c.images, c.patients, c.positive, (c.auc_difference).value BETWEEN (c.auc_difference).low AND (c.auc_difference).high AS auc,
	   abs((c.auc_a).value - e.auc) < 1e-9 AS auc_a, abs((c.accuracy_difference).value - e.accuracy + f.accuracy) < 1e-9 AS accuracy,
	   abs((c.sensitivity_difference).value - e.sensitivity + f.sensitivity) < 1e-9 AS sensitivity,
	   c.auc_p BETWEEN 0 AND 1 AND c.mcnemar_p BETWEEN 0 AND 1 AS p, c.only_a_right >= 0 AS counted
FROM pneumo_compare('classes_xrays', 'classes a', 'classes b') c, pneumo_evaluate('classes_xrays', 'classes a') e, pneumo_evaluate('classes_xrays', 'classes b') f;

-- the report and the pictures
SELECT n, position(t IN r) > 0 AS there
FROM pneumo_report('classes a') r, (VALUES (1, 'Macro AUC'), (2, 'Each class against the rest, test'), (3, 'BACTERIA'), (4, 'ROC curves, each class against the rest')) x (n, t) ORDER BY n;
SELECT pneumo_plot_evaluation('classes_xrays', 'classes a', 'confusion') LIKE '%BACTERIA%' AS confusion;
SELECT pneumo_plot_evaluation('classes_xrays', 'classes a', 'roc');

-- what cannot be judged is an error, everywhere the same
CREATE TABLE classes_one AS SELECT * FROM classes_xrays WHERE kind = 'VIRUS';
SELECT pneumo_evaluate('classes_one', 'classes a');
SELECT pneumo_compare('classes_one', 'classes a', 'classes b');
CREATE TABLE classes_none AS SELECT * FROM classes_xrays LIMIT 0;
SELECT pneumo_evaluate('classes_none', 'classes a');
SELECT pneumo_compare('classes_none', 'classes a', 'classes b');
SELECT pneumo_failures('classes_none', 'classes a', '{"split": "test"}');
SELECT t, position('>' || t IN p) > 0 AS shown
FROM pneumo_report_compare('classes_xrays', '{classes a,classes b}', '{"images": false}') p,
	 (VALUES (1, 'Macro AUC<'), (2, 'AUC of each class against the rest<'), (3, 'BACTERIA<'), (4, 'ROC, BACTERIA against the rest<'), (5, 'Macro sensitivity<')) x (n, t) ORDER BY n;
SELECT pneumo_report('classes a', 'classes_none');
SELECT count(*) > 0 AS still FROM pneumo_failures('classes_one', 'classes a', '{"split": "test", "all_rows": true, "neighbours": 0}');
SELECT position('rows of one class only' IN pneumo_report('classes a', 'classes_one')) > 0 AS said;
-- an unreadable image is counted, never silently dropped
CREATE TABLE classes_bad AS SELECT * FROM classes_xrays;
UPDATE classes_bad SET image = convert_to('no image ' || id, 'UTF8') WHERE id IN (SELECT DISTINCT id FROM classes_scored ORDER BY id LIMIT 2);
SELECT e.images - b.images AS fewer, b.left_out FROM pneumo_evaluate('classes_xrays', 'classes a') e, pneumo_evaluate('classes_bad', 'classes a') b;

SELECT count(pneumo_drop_model(model)) FROM pneumo.models WHERE model LIKE 'classes %';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'classes %';
DROP TABLE classes_xrays, classes_scored, classes_one, classes_none, classes_bad;
