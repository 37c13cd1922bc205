-- Images with several findings: arrays and boolean columns, unknown ones, prediction, evaluation.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
-- pneumonia is drawn, a bright image stands for a second finding, and nobody knows each of them of every image
CREATE TABLE findings_xrays AS
	SELECT i AS id, 'p' || i / 2 AS patient, sick, bright,
		   CASE WHEN bright THEN pneumo_augment(x, '{"brightness_range": [1.4, 1.4]}', i) ELSE x END AS image,
		   array_remove(ARRAY[CASE WHEN sick THEN 'pneumonia' END, CASE WHEN bright THEN 'bright' END], NULL) AS findings,
		   CASE WHEN i % 7 > 0 THEN sick END AS pneumonia, CASE WHEN i % 5 > 0 THEN bright END AS light
	FROM generate_series(1, 300) i, LATERAL (SELECT i / 2 % 2 = 0, i / 2 % 3 = 0) k (sick, bright),
		 LATERAL (SELECT pneumo_phantom(i, CASE WHEN sick THEN 'PNEUMONIA' ELSE 'NORMAL' END, 64)) p (x);
ALTER TABLE findings_xrays ADD PRIMARY KEY (id);
\set data '"group_column": "patient", "test_split": 0.3, "validation_split": 0.2, "image_size": [16, 16], "optimizer": "adam", "learning_rate": 0.01, "verbose": 0'
\set dense '{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 2, "activation": "sigmoid"}}'
\set conv '{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}}'

-- what the plan says
SET client_min_messages = notice;
SELECT classes, rows->'train' AS train, groups->'test' AS test FROM pneumo_plan('findings_xrays', ('{"label_column": "findings", "model": "baseline", ' || :'data' || '}')::jsonb);
SELECT classes, rows->'train' AS train FROM pneumo_plan('findings_xrays', ('{"label_columns": {"bright": "light", "pneumonia": "pneumonia"}, ' || :'data' || '}')::jsonb);
SELECT classes FROM pneumo_plan('findings_xrays', ('{"label_columns": ["light"], ' || :'data' || '}')::jsonb);
SELECT classes FROM pneumo_plan('findings_xrays', ('{"label_column": "findings", "classes": ["pneumonia"], ' || :'data' || '}')::jsonb);
SET client_min_messages = error;

-- a model of arrays, with a calibration and a threshold for each finding
SELECT pneumo_train('findings_xrays', ('{"name": "findings", "label_column": "findings", "epochs": 12, "class_weight": "balanced", "calibration": "platt",
	"operating_point": "youden", "early_stopping": {"monitor": "val_auc", "patience": 5}, "layers": [' || :'conv' || ', ' || :'dense' || '], ' || :'data' || '}')::jsonb) > 0 AS trained;
-- and one of boolean columns
SELECT pneumo_train('findings_xrays', ('{"name": "columns", "label_columns": {"bright": "light", "pneumonia": "pneumonia"}, "epochs": 12, "layers": [' || :'dense' || '], ' || :'data' || '}')::jsonb) > 0 AS trained;
SELECT model, classes, threshold, calibration, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(findings) k) AS findings,
	   findings->'bright'->'threshold' > '0' AS threshold, findings->'bright'->'calibration'->>'kind' AS kind,
	   (SELECT count(*) FROM jsonb_each(metrics->'findings') f WHERE (f.value->>'auc')::float8 BETWEEN (f.value->>'auc_low')::float8 AND (f.value->>'auc_high')::float8) AS figures,
	   metrics->'auc_low' < metrics->'auc' AS auc, metrics->'fitted'->'bright'->'operating_point' ? 'sensitivity' AS point
FROM pneumo.versions WHERE model IN ('findings', 'columns') ORDER BY model;
SELECT model, auc > 0.8 AS auc, sensitivity IS NOT NULL AS sensitivity FROM pneumo.leaderboard WHERE model IN ('findings', 'columns') ORDER BY model;

-- prediction
SELECT pneumo_predict(image, 'findings') FROM findings_xrays WHERE id = 1;
SELECT pneumo_predict(image, 'findings', 'Bright') FROM findings_xrays WHERE id = 1;
SELECT pneumo_classify(image, 'findings') FROM findings_xrays WHERE id = 1;
SELECT pneumo_score(image, 'findings') FROM findings_xrays WHERE id = 1;
SELECT count(*) AS scored, count(*) FILTER (WHERE pneumo_findings(image, 'findings') @> findings) > 200 AS many
FROM findings_xrays;
CREATE TABLE findings_scored AS
	SELECT id, patient, sick, bright, pneumonia, light, pneumo_predict(image, 'columns', 'bright') AS p_bright, pneumo_predict(image, 'columns', 'pneumonia') AS p_pneumonia,
		   pneumo_predict_raw(image, 'columns', 'bright') AS raw, pneumo_findings(image, 'columns') AS found, (pneumo_score_findings(image, 'columns')).*
	FROM findings_xrays;
SELECT bool_and(raw = p_bright) AS raw, bool_and((scores->>'bright')::float8 = p_bright AND (scores->>'pneumonia')::float8 = p_pneumonia) AS scores,
	   bool_and(found = findings AND findings = array_remove(ARRAY[CASE WHEN p_bright >= 0.5 THEN 'bright' END, CASE WHEN p_pneumonia >= 0.5 THEN 'pneumonia' END], NULL)) AS found,
	   count(DISTINCT sha256) AS versions FROM findings_scored;
SELECT bool_and(p.probability = CASE p.class WHEN 'bright' THEN s.p_bright ELSE s.p_pneumonia END) AS proba, count(*)
FROM findings_xrays x JOIN findings_scored s USING (id), pneumo_predict_proba(x.image, 'columns') p WHERE id <= 20;
-- the same row by row as in batches
EXPLAIN (COSTS OFF) SELECT id, pneumo_findings(image, 'findings') FROM findings_xrays;
SET pneumo.score_groups = off;
SELECT bool_and(s.p_bright = pneumo_predict(x.image, 'columns', 'bright') AND s.found = pneumo_findings(x.image, 'columns')) AS same
FROM findings_xrays x JOIN findings_scored s USING (id);
RESET pneumo.score_groups;
SELECT pneumo_predict_version(image, pneumo_deployed('columns'), 'bright') = round(pneumo_predict(image, 'columns', 'bright')::numeric, 6)::float8 AS version FROM findings_xrays WHERE id = 2;
-- scores of a table
ALTER TABLE findings_xrays ADD COLUMN score float8, ADD COLUMN sha256 bytea, ADD COLUMN scores jsonb;
CALL pneumo_score_table('findings_xrays', 'columns', image_column => 'image');
CALL pneumo_score_table('findings_xrays', 'columns', image_column => 'image', score_column => 'scores');
SELECT bool_and((x.scores->>'bright')::float8 = s.p_bright) AS same FROM findings_xrays x JOIN findings_scored s USING (id);

-- evaluation: the figures are those of the scores, of the rows of which a finding is known
SELECT e.positive, e.threshold, (e.figures).positive AS none, cardinality(e.classes) AS classes, (e.figures).n = e.images AS images
FROM pneumo_evaluate('findings_xrays', 'columns') e;
WITH own AS (
	SELECT 'bright' AS class, pneumo_metrics(light, p_bright, 0.5, patient) AS m FROM findings_scored WHERE light IS NOT NULL AND pneumo_split(patient, 0, 0.2, 0.3) = 'test'
	UNION ALL
	SELECT 'pneumonia', pneumo_metrics(pneumonia, p_pneumonia, 0.5, patient) FROM findings_scored WHERE pneumonia IS NOT NULL AND pneumo_split(patient, 0, 0.2, 0.3) = 'test'
)
SELECT c.class, c.figures = o.m AS same, (c.figures).threshold,
	   abs(e.auc - (SELECT avg(((m).auc).value) FROM own)) < 1e-12 AS auc, abs(e.accuracy - (SELECT avg(((m).accuracy).value) FROM own)) < 1e-12 AS accuracy,
	   abs(e.log_loss - (SELECT avg(((m).log_loss).value) FROM own)) < 1e-12 AS log_loss
FROM pneumo_evaluate('findings_xrays', 'columns') e, unnest(e.classes) c JOIN own o USING (class) ORDER BY c.class;
SELECT f.figure, f.value BETWEEN f.low AND f.high AS limits FROM pneumo_evaluate('findings_xrays', 'findings') e, pneumo_figure_table(e.figures) f WHERE f.value IS NOT NULL;
-- arrays and columns are labels of the same findings
SELECT cardinality(classes) FROM pneumo_evaluate('findings_xrays', 'columns', '{"label_column": "findings"}');
SELECT cardinality(classes), (classes[2].figures).n FROM pneumo_evaluate('findings_xrays', 'findings', '{"label_columns": ["pneumonia"]}');
SELECT cardinality(classes) FROM pneumo_evaluate('findings_xrays', 'findings', '{"label_columns": ["light"]}');
SELECT cardinality(classes) FROM pneumo_evaluate('findings_xrays', 'findings', '{"label_column": "patient"}');
-- two models, plots, failures, maps, a report
SELECT pneumo_compare('findings_xrays', 'findings', 'columns');
SELECT c.positive = (SELECT count(*) FROM findings_scored WHERE bright AND pneumo_split(patient, 0, 0.2, 0.3) = 'test') AS positive,
	   (c.auc_difference).value BETWEEN (c.auc_difference).low AND (c.auc_difference).high AS auc FROM pneumo_compare('findings_xrays', 'findings', 'columns', '{"class": "bright"}') c;
SELECT p, pneumo_plot_evaluation('findings_xrays', 'findings', p, '{"class": "bright"}') LIKE '%of findings for bright%' AS plot FROM unnest(ARRAY['roc', 'calibration', 'confusion']) p;
SELECT pneumo_plot_evaluation('findings_xrays', 'findings', 'roc');
SELECT truth, predicted, count(*) > 0 AS rows, bool_and(wrong = (truth <> predicted)) AS wrong, bool_and(loss >= 0) AS loss
FROM pneumo_failures('findings_xrays', 'findings', '{"all_rows": true, "neighbours": 0}') WHERE truth = predicted GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(DISTINCT replace(truth, 'no ', '')) FROM pneumo_failures('findings_xrays', 'columns', '{"all_rows": true, "neighbours": 2, "class": "bright"}');
SELECT (pneumo_heatmap(image, 'findings', '{"class": "bright"}')).class, length(pneumo_explain(image, 'findings', '{"class": "pneumonia"}')) > 100 AS map FROM findings_xrays WHERE id = 3;
SELECT n, position(t IN r) > 0 AS there
FROM pneumo_report('findings', config => '{"class": "pneumonia", "eigenimages": 0}') r, (VALUES (1, 'finding pneumonia'), (2, 'All findings of the model, test'), (3, 'no pneumonia'), (4, 'ROC curve')) x (n, t) ORDER BY n;

SELECT position('All findings of the model, test' IN pneumo_report('columns')) > 0 AS report;
SELECT position('2 versions on the same rows: finding bright' IN pneumo_report_compare('findings_xrays', ARRAY['findings', 'columns'], '{"class": "bright"}')) > 0 AS compared;

-- a model of findings is one of its kind
SELECT pneumo_train('findings_xrays', ('{"name": "classes", "label_column": "sick", "initial_model": "findings", "epochs": 1, ' || :'data' || '}')::jsonb);
SELECT pneumo_train('findings_xrays', ('{"name": "classes", "label_column": "sick", "initial_model": "findings", "epochs": 1, "layers": [' || :'conv' || ', {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 2, "activation": "softmax"}}], ' || :'data' || '}')::jsonb) > 0 AS trained;
SELECT m.w->0 AS warning FROM (SELECT metrics->'warnings' FROM pneumo.runs WHERE model = 'classes' ORDER BY run DESC LIMIT 1) m (w);
SELECT pneumo_train('findings_xrays', ('{"name": "more", "label_column": "findings", "initial_model": "columns", "epochs": 1, "layers": [' || :'dense' || '], ' || :'data' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('findings_xrays', ('{"name": "no", "label_column": "findings", "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 2, "activation": "softmax"}}], ' || :'data' || '}')::jsonb);
SELECT pneumo_train('findings_xrays', ('{"name": "no", "label_column": "sick", "layers": [' || :'dense' || '], ' || :'data' || '}')::jsonb);
SELECT pneumo_train('findings_xrays', ('{"name": "no", "label_column": "findings", "loss": "categorical_crossentropy", ' || :'data' || '}')::jsonb);
SELECT pneumo_findings(image, 'no such') FROM findings_xrays WHERE id = 1;
-- one finding is enough
SELECT pneumo_train('findings_xrays', ('{"name": "one", "label_columns": ["light"], "epochs": 2, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], ' || :'data' || '}')::jsonb) > 0 AS trained;
SELECT bool_and(pneumo_predict(image, 'one') = pneumo_predict(image, 'one', 'light') AND pneumo_predict_raw(image, 'one') = pneumo_predict(image, 'one')) AS one, count(DISTINCT pneumo_findings(image, 'one')) > 0 AS found FROM findings_xrays WHERE id < 40;
-- the same bytes after an export
SELECT pneumo_import(pneumo_export('findings'), 'copy') AS imported;
SELECT bool_and(pneumo_findings(image, 'copy') = pneumo_findings(image, 'findings')) AS same, pneumo_deployed('copy') = pneumo_deployed('findings') AS sha256 FROM findings_xrays WHERE id < 40;
SELECT (SELECT findings FROM pneumo.versions WHERE model = 'copy') = (SELECT findings FROM pneumo.versions WHERE model = 'findings') AS meta;
-- and as files of Keras and ONNX, with the same findings and thresholds; one finding stays a finding
SELECT pneumo_import_keras(pneumo_export_keras(model), model || ' keras') AS keras, pneumo_import_onnx(pneumo_export_onnx(model), model || ' onnx') AS onnx
FROM unnest(ARRAY['findings', 'one']) model;
SELECT m AS model, max(abs(a.p - b.p)) < 1e-5 AS keras, max(abs(a.p - c.p)) < 1e-5 AS onnx
FROM findings_xrays, unnest(ARRAY['findings', 'one']) m, pneumo.versions v, unnest(v.classes) class,
	LATERAL (SELECT pneumo_predict_raw(image, m, class) AS p) a, LATERAL (SELECT pneumo_predict_raw(image, m || ' keras', class) AS p) b,
	LATERAL (SELECT pneumo_predict_raw(image, m || ' onnx', class) AS p) c
WHERE id < 20 AND v.model = m AND v.deployed GROUP BY m ORDER BY m;
SELECT a.model, bool_and(a.findings->f->'threshold' = b.findings->f->'threshold') AS thresholds
FROM pneumo.versions a JOIN pneumo.versions b ON b.model IN (a.model || ' keras', a.model || ' onnx'), jsonb_object_keys(a.findings) f
WHERE a.model IN ('findings', 'one') AND a.deployed GROUP BY a.model ORDER BY a.model;
SELECT pneumo_import_keras(pneumo_export_keras('findings'), 'bad', '{"multi_label": true, "threshold": {"nodule": 0.3}}');
SELECT pneumo_import_onnx(pneumo_export_onnx('findings', options => '{"calibration": true}'), 'bad') IS NOT NULL AS calibrated;
SELECT count(pneumo_drop_model(m || f)::text) AS dropped FROM unnest(ARRAY['findings', 'one']) m, unnest(ARRAY[' keras', ' onnx']) f;

-- labels that cannot be
CREATE DOMAIN findings_list AS varchar(20)[];
CREATE DOMAIN findings_flag AS boolean;
CREATE TYPE findings_enum AS ENUM ('pneumonia', 'bright');
CREATE TABLE findings_bad AS SELECT id, patient, image, findings::findings_list AS list, findings::char(12)[] AS padded, findings::name[] AS names,
	findings::findings_enum[] AS enums, sick::findings_flag AS flag, sick::int AS number, 2 AS two, NULL::boolean AS nothing, true AS always,
	findings || findings AS twice, ARRAY[findings, findings] AS square, findings || ARRAY[NULL] AS nulls, findings || ARRAY[''] AS empty,
	CASE WHEN id % 50 = 0 THEN ARRAY['Bright'] ELSE findings END AS spelt, CASE WHEN id = 3 THEN findings || ARRAY['rare'] ELSE findings END AS rare, ARRAY[1, 2] AS ints FROM findings_xrays;
ALTER TABLE findings_bad ADD PRIMARY KEY (id);
SELECT c, (SELECT classes FROM pneumo_plan('findings_bad', format('{"label_column": %s, %s}', to_json(c), :'data')::jsonb)) FROM unnest(ARRAY['list', 'padded', 'names', 'enums', 'twice']) c;
SELECT pneumo_plan('findings_bad', ('{"label_column": "square", ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "nulls", ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "empty", ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "ints", ' || :'data' || '}')::jsonb);
SELECT classes, warnings[1] FROM pneumo_plan('findings_bad', ('{"label_column": "rare", ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "rare", "split_seed": 2, ' || :'data' || '}')::jsonb);
SELECT classes, left_out FROM pneumo_plan('findings_bad', ('{"label_column": "rare", "classes": ["bright", "pneumonia"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "rare", "classes": ["bright", "Pneumonia"], ' || :'data' || '}')::jsonb);
SELECT classes, (SELECT count(*) FROM unnest(warnings) w WHERE w LIKE '%differ only in case%') AS warned FROM pneumo_plan('findings_bad', ('{"label_column": "spelt", "validation_split": 0, ' || replace(:'data', '"validation_split": 0.2, ', '') || '}')::jsonb);
SELECT classes FROM pneumo_plan('findings_bad', ('{"label_columns": ["flag", "number"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag", "two"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["nothing"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag", "always"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag", "patient"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag", "flag"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag", "gone"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": [], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag"], "label_column": "list", ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_columns": ["flag"], "classes": ["flag"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "flag", "classes": ["true"], ' || :'data' || '}')::jsonb);
SELECT pneumo_plan('findings_bad', ('{"label_column": "list", "positive_class": "bright", ' || :'data' || '}')::jsonb);
CREATE TABLE findings_empty AS SELECT id, patient, image, '{}'::text[] AS findings FROM findings_xrays;
SELECT pneumo_plan('findings_empty', ('{"label_column": "findings", ' || :'data' || '}')::jsonb);
-- the check counts findings
SELECT finding, severity, subject, n, detail FROM pneumo_check('findings_xrays', '{"label_columns": {"bright": "light", "pneumonia": "pneumonia"}, "group_column": "patient"}') WHERE finding IN ('classes', 'no label') ORDER BY subject NULLS FIRST, finding;
SELECT finding, severity, n FROM pneumo_check('findings_xrays', '{"label_column": "findings", "group_column": "patient"}') WHERE finding IN ('classes', 'no label', 'identical images') AND subject IS NULL ORDER BY finding;
-- identical images: what one copy knows the other knows, and a contradiction leaves both out
CREATE TABLE findings_copies AS SELECT id, patient, image, pneumonia, light FROM findings_xrays
	UNION ALL SELECT id + 1000, patient, image, sick, bright FROM findings_xrays WHERE id % 7 = 0
	UNION ALL SELECT id + 2000, patient, image, NOT sick, NULL FROM findings_xrays WHERE id = 2;
SELECT left_out, rows->'train'->'pneumonia'->'unknown' AS unknown FROM pneumo_plan('findings_copies', ('{"label_columns": ["light", "pneumonia"], ' || :'data' || '}')::jsonb);

SELECT count(pneumo_drop_model(model)::text) AS dropped FROM pneumo.models WHERE model IN ('findings', 'columns', 'one', 'more', 'copy', 'classes');
DROP TABLE findings_xrays, findings_scored, findings_bad, findings_empty, findings_copies;
DROP DOMAIN findings_list, findings_flag;
DROP TYPE findings_enum;
