-- Figures with intervals of one model, and two models on the same rows.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE compare_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient
	FROM (SELECT i, CASE WHEN i % 4 < 2 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 160) i) s;
ALTER TABLE compare_xrays ADD PRIMARY KEY (id);
\set data '"group_column": "patient", "test_split": 0.3, "validation_split": 0.2, "verbose": 0'
CREATE FUNCTION pg_temp.train(config text) RETURNS bigint LANGUAGE sql AS $$ SELECT pneumo_train('compare_xrays', config::jsonb) $$;
SELECT pg_temp.train('{"name": "compare a", "image_size": [16, 16], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 4, ' || :'data' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "compare b", "image_size": [16, 16], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 1, "seed": 7, ' || :'data' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "compare small", "image_size": [8, 12], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 2, ' || :'data' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "compare elsewhere", "image_size": [16, 16], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 1, "split_seed": 9, ' || :'data' || '}') > 0 AS trained;

-- one model: what the aggregate gives for the same rows
CREATE VIEW compare_rows AS
	SELECT label = 'PNEUMONIA' AS label, pneumo_predict(image, 'compare a') AS a, pneumo_predict(image, 'compare b') AS b,
		   pneumo_predict(image, 'compare small') AS small, patient
	FROM compare_xrays WHERE pneumo_split(patient, 0, 0.2, 0.3) = 'test';
SELECT e.images, e.patients, (e.figures).n, (e.figures).clusters, (e.figures).clusters_positive
FROM pneumo_evaluate('compare_xrays', 'compare a') e;
SELECT f.figure, abs(f.value - m.value) < 1e-9 AS value, abs(f.low - m.low) < (CASE WHEN f.figure IN ('f1', 'log_loss', 'brier') THEN 0.03 ELSE 1e-9 END) AS low,
	   abs(f.high - m.high) < (CASE WHEN f.figure IN ('f1', 'log_loss', 'brier') THEN 0.03 ELSE 1e-9 END) AS high
FROM pneumo_evaluate('compare_xrays', 'compare a') e, pneumo_figure_table(e.figures) f,
	 (SELECT pneumo_metrics(label, a, 0.5, patient) AS m FROM compare_rows) s, pneumo_figure_table(s.m) m
WHERE f.figure = m.figure;
SELECT e.auc = ((e.figures).auc).value AS auc, e.accuracy = ((e.figures).accuracy).value AS accuracy, e.looks
FROM pneumo_evaluate('compare_xrays', 'compare a') e;

-- two models
SELECT split, images, patients, positive, left_out, looks_a, looks_b FROM pneumo_compare('compare_xrays', 'compare a', 'compare b');
SELECT abs((c.auc_a).value - ((m.a).auc).value) < 1e-9 AND abs((c.auc_a).low - ((m.a).auc).low) < 1e-9 AS auc_a,
	   abs((c.auc_b).value - ((m.b).auc).value) < 1e-9 AND abs((c.auc_b).high - ((m.b).auc).high) < 1e-9 AS auc_b,
	   abs((c.auc_difference).value - ((m.a).auc).value + ((m.b).auc).value) < 1e-9 AS auc,
	   abs((c.accuracy_difference).value - ((m.a).accuracy).value + ((m.b).accuracy).value) < 1e-9 AS accuracy,
	   abs((c.brier_difference).value - ((m.a).brier).value + ((m.b).brier).value) < 1e-9 AS brier,
	   (c.auc_difference).low <= (c.auc_difference).value AND (c.auc_difference).value <= (c.auc_difference).high AS limits,
	   c.only_a_right = m.only_a AND c.only_b_right = m.only_b AS discordant,
	   c.auc_p BETWEEN 0 AND 1 AND c.mcnemar_p BETWEEN 0 AND 1 AS p
FROM pneumo_compare('compare_xrays', 'compare a', 'compare b') c,
	 (SELECT pneumo_metrics(label, a, 0.5, patient) AS a, pneumo_metrics(label, b, 0.5, patient) AS b,
			 count(*) FILTER (WHERE (a >= 0.5) = label AND (b >= 0.5) <> label) AS only_a,
			 count(*) FILTER (WHERE (a >= 0.5) <> label AND (b >= 0.5) = label) AS only_b FROM compare_rows) m;
SELECT patients IS NULL AS unknown FROM pneumo_compare('compare_xrays', 'compare a', 'compare b', '{"split": "validation", "group_column": null}');
-- turned around
SELECT (x.auc_difference).value = -(y.auc_difference).value AS auc, abs((x.auc_difference).low + (y.auc_difference).high) < 1e-12 AS low,
	   x.auc_p = y.auc_p AS p, x.only_a_right = y.only_b_right AS only
FROM pneumo_compare('compare_xrays', 'compare a', 'compare b') x, pneumo_compare('compare_xrays', 'compare b', 'compare a') y;
-- networks that see the images at another size
SELECT abs((c.auc_b).value - ((m).auc).value) < 1e-9 AS auc, c.images = (m).n AS rows
FROM pneumo_compare('compare_xrays', 'compare a', 'compare small') c, (SELECT pneumo_metrics(label, small) AS m FROM compare_rows) s;
-- rows that either has seen are left out
SELECT images + (left_out->>'already seen')::int = (SELECT count(*) FROM compare_rows) AS all_counted, images > 0 AS some,
	   images = (SELECT count(*) FROM compare_xrays WHERE pneumo_split(patient, 0, 0.2, 0.3) = 'test' AND pneumo_split(patient, 9, 0.2, 0.3) = 'test') AS held_out_from_both
FROM pneumo_compare('compare_xrays', 'compare a', 'compare elsewhere');
CREATE TABLE compare_seen AS SELECT * FROM compare_xrays WHERE pneumo_split(patient, 9, 0.2, 0.3) <> 'test';
SELECT pneumo_compare('compare_seen', 'compare a', 'compare elsewhere');
-- a look for both
SELECT model, test_looks > 0 AS looked FROM pneumo.versions WHERE model LIKE 'compare %' ORDER BY version_id;
SELECT looks_a = a.test_looks AND looks_b = b.test_looks AS uncounted
FROM pneumo.versions a, pneumo.versions b, pneumo_compare('compare_xrays', 'compare a', 'compare b', '{"split": "validation"}')
WHERE a.model = 'compare a' AND b.model = 'compare b';
-- two versions of one model
SELECT pg_temp.train('{"name": "compare a", "image_size": [16, 16], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 2, "seed": 3, ' || :'data' || '}') > 0 AS trained;
SELECT version_a, version_b FROM pneumo_compare('compare_xrays', 'compare a', 'compare a', '{"version_b": 2}');

-- several versions on one page
ALTER TABLE compare_xrays ADD sex text;
UPDATE compare_xrays SET sex = CASE WHEN id % 3 = 0 THEN 'f' ELSE 'm' END;
CREATE TABLE compare_page AS SELECT pneumo_report_compare('compare_xrays', ARRAY['compare a', 'compare a', 'compare b', 'compare small'],
	'{"versions": [1, 2, null, null], "key_column": "id", "disagreements": 3, "subgroups": ["sex"]}') AS page;
SELECT regexp_matches(page, '<h2>([^<]*)</h2>', 'g') AS section FROM compare_page;
SELECT regexp_count(page, '<svg ') AS plots, regexp_count(page, 'data:image/jpeg') AS images, regexp_count(page, '<script') AS scripts,
	   position('<p class="note">Of 4 versions, ' IN page) < position('<dl class="tiles">' IN page) AS sentence_first,
	   position('>D (compare small v1)<' IN page) > 0 AS label, position('>sex: f<' IN page) > 0 AS subgroup,
	   position('>learning_rate<' IN page) > 0 AS same_key, position('>image_size<' IN page) > 0 AS different_key FROM compare_page;
-- the figures are those of pneumo_compare and pneumo_evaluate on rows that none has seen
SELECT position(format('>%s<', to_char((c.auc_difference).value, 'SG0.000') || ' (' || to_char((c.auc_difference).low, 'SG0.000') || ' to ' || to_char((c.auc_difference).high, 'SG0.000') || ')')
				IN page) > 0 AS difference
FROM compare_page, pneumo_compare('compare_xrays', 'compare small', 'compare a', '{"version_b": 1}') c;
SELECT position(format('>%s<', to_char(((e.figures).auc).value, 'FM0.000') || ' (' || to_char(((e.figures).auc).low, 'FM0.000') || ' to ' || to_char(((e.figures).auc).high, 'FM0.000') || ')')
				IN page) > 0 AS auc
FROM compare_page, pneumo_evaluate('compare_xrays', 'compare small') e;
-- rows that one of them has seen are left out, and a look is counted for each
SELECT sum(test_looks) AS looks FROM pneumo.versions WHERE model LIKE 'compare %' \gset before_
SELECT position('rows are left out: one of the versions' IN pneumo_report_compare('compare_xrays', '{compare a,compare b,compare elsewhere}', '{"versions": [1, 1, 1], "images": false, "disagreements": 0}')) > 0 AS left_out;
SELECT position('optimistic' IN pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"split": "validation", "images": false}')) > 0 AS validation;
SELECT sum(test_looks) - :before_looks AS looks FROM pneumo.versions WHERE model LIKE 'compare %';
SELECT array_length((SELECT ARRAY(SELECT jsonb_array_elements(metrics->'compared'))), 1) AS compared, metrics ? 'auc' AS auc FROM pneumo.look ORDER BY look DESC LIMIT 1;
SELECT regexp_count(pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"images": false}'), 'data:image') AS images;
-- the rights of each model and of the table
CREATE ROLE pneumo_comparer;
SELECT pneumo_grant('compare a', 'pneumo_comparer', 'predict');
SET ROLE pneumo_comparer;
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}');
RESET ROLE;
SELECT pneumo_grant('compare b', 'pneumo_comparer', 'predict');
SET ROLE pneumo_comparer;
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}');
RESET ROLE;
GRANT SELECT (id, image, label, patient) ON compare_xrays TO pneumo_comparer;
SET ROLE pneumo_comparer;
SELECT regexp_count(pneumo_report_compare('compare_xrays', '{compare a,compare b}'), 'can be seen by its owner') AS hidden_runs;
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"subgroups": ["sex"]}');
RESET ROLE;
BEGIN READ ONLY;
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}');
ROLLBACK;

-- errors
SELECT pneumo_report_compare('compare_xrays', '{compare a}');
SELECT pneumo_report_compare('compare_xrays', '{a,b,c,d,e,f,g,h,i}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,NULL}');
SELECT pneumo_report_compare('compare_xrays', '{{compare a},{compare b}}');
SELECT pneumo_report_compare('compare_xrays', NULL);
SELECT pneumo_report_compare('compare_xrays', '{compare a,nobody}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"versions": [1]}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"versions": 1}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"versions": [1, 7]}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"versions": ["1", 1]}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"version": 1}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"failures": 3}');
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b}', '{"disagreements": 51}');
\set VERBOSITY sqlstate
SELECT pneumo_report_compare('compare_xrays', '{compare a,compare b,compare a}');
\set VERBOSITY terse
SELECT pneumo_report_compare('compare_seen', '{compare a,compare elsewhere}');
SELECT pneumo_compare('compare_xrays', 'compare a', 'nobody');
\set VERBOSITY sqlstate
SELECT pneumo_compare('compare_xrays', 'compare a', 'compare a');
\set VERBOSITY terse
SELECT pneumo_compare('compare_xrays', 'compare a', 'compare b', '{"version": 1}');
SELECT pneumo_compare('compare_xrays', 'compare a', 'compare b', '{"spilt": "test"}');
SELECT pneumo_compare('compare_xrays', 'compare a', 'compare b', '{"version_b": 0}');
SELECT pneumo_compare('compare_xrays', 'compare a', 'compare b', '[]');
CREATE TABLE compare_one AS SELECT * FROM compare_xrays WHERE label = 'NORMAL';
SELECT pneumo_compare('compare_one', 'compare a', 'compare b');
SELECT pneumo_report_compare('compare_one', '{compare a,compare b}');
SELECT count(pneumo_drop_model(model)) FROM pneumo.models WHERE model LIKE 'compare %';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'compare %';
DROP VIEW compare_rows;
DROP TABLE compare_xrays, compare_seen, compare_one, compare_page;
DROP ROLE pneumo_comparer;
