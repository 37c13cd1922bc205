-- The examples of the README from "Exploring the images" to "Investigating failures", in its order:
-- what they print is what the README shows (make check-readme).  On the reference kernels and
-- without BLAS, so that every machine prints the same.
\set VERBOSITY terse
\pset footer off
\pset null ''
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
ALTER SYSTEM SET pneumo.simd = 'reference';
ALTER SYSTEM SET pneumo.blas_library = 'none';
ALTER SYSTEM SET pneumo.train_threads = 2;
SELECT pg_reload_conf() AS reloaded;
\c
SET client_min_messages = error;

\echo == exploring
CREATE TABLE xrays AS
    SELECT id, 'p' || (id + 1) / 2 AS patient, label, pneumo_phantom(id, label, 160) AS image,
           (ARRAY['east', 'north', 'south'])[1 + (id + 1) / 2 % 3] AS ward,
           CASE WHEN (id + 1) / 2 % 5 < 2 THEN 'f' ELSE 'm' END AS sex
    FROM generate_series(1, 900) id,
         LATERAL (SELECT CASE WHEN (id + 1) / 2 % 2 = 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) c(label);
ALTER TABLE xrays ADD PRIMARY KEY (id);

SELECT id, i.* FROM xrays, pneumo_image_info(image) i WHERE id <= 2 ORDER BY id;

CREATE TABLE spoilt AS SELECT id, patient, label, image FROM xrays WHERE id <= 300;
INSERT INTO spoilt SELECT 301, 'p151', 'PNEUMONIA', image FROM xrays WHERE id = 3;  -- a copy with another label
INSERT INTO spoilt SELECT 302, 'p152', label, pneumo_phantom(10, label, 120) FROM xrays WHERE id = 10;  -- another size
INSERT INTO spoilt VALUES (303, 'p153', 'NORMAL', 'no image');
SELECT finding, severity, subject, n, left(detail, 79) AS detail
FROM pneumo_check('spoilt', '{"group_column": "patient", "key_column": "id", "image_size": [128, 128]}')
WHERE severity <> 'ok' OR finding = 'shortcut';

SELECT label, length(pneumo_mean_image(image)) AS mean, length(pneumo_std_image(image)) AS std
FROM xrays GROUP BY label ORDER BY label;
SELECT length(pneumo_contrast_image(image, label = 'PNEUMONIA')) AS contrast FROM xrays;

SELECT component, round(explained_variance::numeric, 3) AS explained_variance, length(image) AS bytes
FROM pneumo_eigenimages('xrays', '{"n_components": 4}');

SELECT length(pneumo_augment(image, '{"rotation_range": 10, "zoom_range": 0.1}', 1)) AS augmented FROM xrays WHERE id = 1;

\echo == training
SELECT pneumo_train('xrays', '{"group_column": "patient", "test_split": 0.3, "image_size": [64, 64], "epochs": 8,
    "optimizer": "adam", "calibration": "platt", "operating_point": {"sensitivity": 0.95}, "verbose": 0, "layers": [
    {"class_name": "Conv2D", "config": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"}},
    {"class_name": "MaxPooling2D", "config": {"pool_size": 2}},
    {"class_name": "Conv2D", "config": {"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"}},
    {"class_name": "MaxPooling2D", "config": {"pool_size": 2}},
    {"class_name": "Flatten", "config": {}},
    {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;
SELECT pneumo_train('xrays', '{"name": "linear", "group_column": "patient", "test_split": 0.3, "image_size": [32, 32],
    "epochs": 5, "verbose": 0, "layers": [
    {"class_name": "Flatten", "config": {}},
    {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}') > 0 AS trained;

\echo == figures
CREATE TABLE scored AS
    SELECT *, label = 'PNEUMONIA' AS sick, pneumo_predict(image) AS score
    FROM xrays WHERE pneumo_split(patient, 0, 0.15, 0.3) = 'test';

SELECT ward, (m).n, (m).clusters AS patients,
       round(((m).auc).value::numeric, 3) AS auc,
       round(((m).auc).low::numeric, 3) AS low, round(((m).auc).high::numeric, 3) AS high
FROM (SELECT ward, pneumo_metrics(sick, score, 0.5, patient) AS m FROM scored GROUP BY ROLLUP (ward)) s
ORDER BY ward;

SELECT (c).* FROM (SELECT pneumo_confusion_matrix(sick, score) AS c FROM scored) s;

SELECT round(p.threshold::numeric, 3) AS threshold, round(p.false_positive_rate::numeric, 3) AS false_positive_rate,
       round(p.true_positive_rate::numeric, 3) AS true_positive_rate
FROM (SELECT pneumo_roc(sick, score) AS curve FROM scored) s, unnest(curve) p LIMIT 3;

SELECT round((c).ece::numeric, 3) AS ece, round(((c).slope).value::numeric, 2) AS slope,
       round(((c).slope).low::numeric, 2) AS low, round(((c).slope).high::numeric, 2) AS high
FROM (SELECT pneumo_calibration(sick, score, 10, patient) AS c FROM scored) s;

SELECT images, patients, f.figure, round(f.value::numeric, 3) AS value,
       round(f.low::numeric, 3) AS low, round(f.high::numeric, 3) AS high, looks
FROM pneumo_evaluate('xrays', 'default') e, pneumo_figure_table(e.figures) f;

\echo == calibration
SELECT round(threshold::numeric, 3) AS threshold, calibration->>'kind' AS kind, round((calibration->>'a')::numeric, 3) AS a,
       round((calibration->>'b')::numeric, 3) AS b, round((metrics->'calibration'->>'ece_before')::numeric, 3) AS ece_before,
       round((metrics->'calibration'->>'ece')::numeric, 3) AS ece
FROM pneumo.versions WHERE model = 'default';

\echo == comparing
SELECT images, patients, round((auc_difference).value::numeric, 3) AS auc_difference,
       round((auc_difference).low::numeric, 3) AS low, round((auc_difference).high::numeric, 3) AS high,
       round(auc_p::numeric, 10) AS auc_p, only_a_right, only_b_right, round(mcnemar_p::numeric, 5) AS mcnemar_p
FROM pneumo_compare('xrays', 'default', 'linear');

\echo == more than two classes
CREATE TABLE kinds AS
    SELECT id, patient, image, CASE WHEN label = 'NORMAL' THEN 'NORMAL' WHEN (id + 1) / 2 % 4 = 1 THEN 'BACTERIA' ELSE 'VIRUS' END AS kind
    FROM xrays;
ALTER TABLE kinds ADD PRIMARY KEY (id);
SELECT pneumo_train('kinds', '{"name": "kinds", "label_column": "kind", "group_column": "patient", "test_split": 0.3,
    "image_size": [32, 32], "epochs": 5, "verbose": 0, "layers": [
    {"class_name": "Flatten", "config": {}},
    {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}]}') > 0 AS trained;
SELECT c.class, (c.figures).positive AS images, f.figure, round(f.value::numeric, 3) AS value,
       round(f.low::numeric, 3) AS low, round(f.high::numeric, 3) AS high
FROM pneumo_evaluate('kinds', 'kinds') e, unnest(e.classes || ROW(NULL, e.figures)::pneumo_class_figures) c,
     pneumo_figure_table(c.figures) f
WHERE f.figure IN ('auc', 'sensitivity') ORDER BY c.class, f.figure;

\echo == explaining
SELECT id, round(pneumo_predict(image)::numeric, 3) AS score, (h).height, (h).width,
       round((h).max_abs::numeric, 2) AS max_abs, (h).empty
FROM (SELECT id, image, pneumo_heatmap(image) h FROM xrays WHERE id IN (8, 10, 14)) s ORDER BY id;
SELECT length(pneumo_explain(image)) > 1000 AS drawn FROM xrays WHERE id = 10;

\echo == failures
SELECT key, truth, predicted, round(probability::numeric, 3) AS probability, neighbour_keys, neighbour_classes
FROM pneumo_failures('xrays', 'default', '{"limit": 3}');
SELECT count(*) AS rows, count(overlay) AS overlays
FROM (SELECT f.*, x.ward, pneumo_explain(x.image) AS overlay
      FROM pneumo_failures('xrays', 'default', '{"limit": 10}') f JOIN xrays x ON x.id::text = f.key) s;
WITH scored AS MATERIALIZED (
    SELECT * FROM pneumo_failures('xrays', 'default', '{"all_rows": true, "neighbours": 0}'))
SELECT sex, images, wrong, round(((m).sensitivity).value::numeric, 3) AS sensitivity,
       round(((m).sensitivity).low::numeric, 3) AS low, round(((m).sensitivity).high::numeric, 3) AS high
FROM (SELECT sex, count(*) AS images, count(*) FILTER (WHERE wrong) AS wrong,
             pneumo_metrics(truth = 'PNEUMONIA', probability, v.threshold, x.patient) AS m
      FROM scored JOIN xrays x ON x.id::text = key, pneumo.versions v
      WHERE v.model = 'default' GROUP BY sex) s
ORDER BY sex;

\echo == report and pictures
SELECT length(pneumo_report('default')) > 50000 AS report;
SELECT count(*) AS pictures FROM (
    SELECT pneumo_plot_history(min(run)) FROM pneumo.runs UNION ALL
    SELECT pneumo_plot_roc(sick, score, 0.5, patient) FROM scored UNION ALL
    SELECT pneumo_plot_calibration(sick, score) FROM scored UNION ALL
    SELECT pneumo_plot_confusion(sick, score) FROM scored UNION ALL
    SELECT pneumo_plot_evaluation('xrays', 'default', 'roc')) p (svg) WHERE svg LIKE '%</svg>%';
