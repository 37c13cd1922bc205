-- Precision int16: a version's own arithmetic, in every function that scores.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE precision_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 60) i) s;
ALTER TABLE precision_xrays ADD PRIMARY KEY (id);
\set net '"image_size": [16, 16], "epochs": 2, "verbose": 0, "calibration": "platt", "learning_rate": 0.01, "layers": [{"class_name": "Conv2D", "config": {"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"}}, {"class_name": "MaxPooling2D"}, {"class_name": "Conv2D", "config": {"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"}}, {"class_name": "BatchNormalization"}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 20, "activation": "relu"}}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]'

-- the key
SELECT pneumo_plan('precision_xrays', '{"precision": "bfloat16"}');
SELECT pneumo_plan('precision_xrays', '{"precision": 16}');
SELECT pneumo_plan('precision_xrays', '{"precison": "int16"}');

-- the same training, but for what the version predicts with
SELECT pneumo_train('precision_xrays', ('{"name": "precision 32", ' || :'net' || '}')::jsonb) > 0 AS trained;
SELECT pneumo_train('precision_xrays', ('{"name": "precision 16", "precision": "int16", ' || :'net' || '}')::jsonb) > 0 AS trained;
SELECT model, precision, parameters, provenance->'config'->>'precision' AS config FROM pneumo.versions WHERE model LIKE 'precision%' ORDER BY 1;
SELECT count(DISTINCT sha256) AS hashes, count(DISTINCT bytes) AS sizes FROM pneumo.versions WHERE model LIKE 'precision%';
SELECT a.loss = b.loss AS trained_alike, abs(a.val_loss - b.val_loss) < 0.02 AS near
FROM pneumo.history a JOIN pneumo.history b USING (epoch)
WHERE a.run = (SELECT run FROM pneumo.runs WHERE model = 'precision 32') AND b.run = (SELECT run FROM pneumo.runs WHERE model = 'precision 16')
ORDER BY epoch;

-- near, but not the same
SELECT bool_and(abs(pneumo_predict_raw(image, 'precision 16') - pneumo_predict_raw(image, 'precision 32')) < 0.01) AS near,
	   bool_or(pneumo_predict_raw(image, 'precision 16') <> pneumo_predict_raw(image, 'precision 32')) AS another,
	   bool_and(pneumo_predict(image, 'precision 16') = (pneumo_score(image, 'precision 16')).score) AS score,
	   bool_and(cardinality(pneumo_embed(image, 'precision 16')) = 20) AS embedding
FROM precision_xrays;
-- what was stored was found with the kernels that predict
SELECT round((metrics->>'accuracy')::numeric, 6) = round(accuracy::numeric, 6) AS accuracy,
	   abs((metrics->>'log_loss')::float8 - log_loss) < 1e-6 AS log_loss
FROM pneumo.versions, pneumo_evaluate('precision_xrays', 'precision 16', '{"split": "validation"}') WHERE model = 'precision 16';
-- explanations have the float32 weights
SELECT bool_and((h).height = 8) AS maps, bool_or((h).max_abs > 0) AS any FROM (SELECT pneumo_heatmap(image, 'precision 16') AS h FROM precision_xrays WHERE id < 4) q;
SELECT v.model, c.precision, count(*) FROM pneumo.cache c JOIN pneumo.versions v USING (sha256) WHERE model LIKE 'precision%' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT (SELECT c.bytes FROM pneumo.cache c JOIN pneumo.versions v USING (sha256) WHERE model = 'precision 16' AND c.precision = 'int16') <
	   (SELECT c.bytes FROM pneumo.cache c JOIN pneumo.versions v USING (sha256) WHERE model = 'precision 32') AS smaller;

-- every path; a session's own copy
CREATE TEMP TABLE score AS SELECT id, pneumo_predict_raw(image, 'precision 16') AS p FROM precision_xrays;
SET pneumo.simd = 'portable';
SELECT max(abs(p - pneumo_predict_raw(image, 'precision 16'))) < 0.01 AS portable FROM precision_xrays JOIN score USING (id);
SET pneumo.simd = 'auto';
SELECT max(abs(p - pneumo_predict_raw(image, 'precision 16'))) < 0.01 AS auto FROM precision_xrays JOIN score USING (id);
RESET pneumo.simd;
SELECT pneumo_cache_clear() > 0 AS cleared;
SELECT bool_and(p = pneumo_predict_raw(image, 'precision 16')) AS again FROM precision_xrays JOIN score USING (id);
CREATE TABLE precision_score AS SELECT * FROM score;
ALTER SYSTEM SET pneumo.shared_cache_size = 1;
SELECT pneumo_cache_clear() > 0 AS cleared, pg_reload_conf();
SELECT pg_sleep(0.5);
\c -
SET client_min_messages = error;
SELECT bool_and(p = pneumo_predict_raw(image, 'precision 16')) AS same FROM precision_xrays JOIN precision_score USING (id);
SELECT (pneumo_heatmap(image, 'precision 16')).height FROM precision_xrays WHERE id = 1;
SELECT place, precision FROM pneumo.cache ORDER BY precision;
ALTER SYSTEM RESET pneumo.shared_cache_size;
SELECT pneumo_cache_clear() > 0 AS cleared, pg_reload_conf();

-- out and in again; a warm start from either
SELECT pneumo_import(pneumo_export('precision 16'), 'precision copy') > 0 AS imported;
SELECT count(DISTINCT sha256) AS hashes, min(precision) AS precision FROM pneumo.versions WHERE model IN ('precision 16', 'precision copy');
SELECT bool_and(pneumo_predict(image, 'precision 16') = pneumo_predict(image, 'precision copy')) AS same FROM precision_xrays;
SELECT pneumo_train('precision_xrays', ('{"name": "precision warm", "initial_model": "precision 16", ' || :'net' || '}')::jsonb) > 0 AS trained;
SELECT precision FROM pneumo.versions WHERE model = 'precision warm';

SELECT pneumo_drop_model(model) FROM pneumo.models WHERE model LIKE 'precision%' ORDER BY model;
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'precision%';
DROP TABLE precision_xrays, precision_score;
