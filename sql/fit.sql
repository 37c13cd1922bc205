-- Calibration and operating points, fitted on validation data.
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE fit_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label, 'p' || i / 2 AS patient,
		   CASE i / 2 % 5 WHEN 0 THEN 'val' WHEN 1 THEN 'val' WHEN 2 THEN 'test' ELSE 'train' END AS side
	FROM (SELECT i, CASE WHEN i % 3 > 0 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 160) i) s;
ALTER TABLE fit_xrays ADD PRIMARY KEY (id);
\set tiny '"image_size": [16, 16], "layers": [{"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, {"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}], "epochs": 2, "verbose": 0, "group_column": "patient", "split_column": "side", "key_column": "id"'
CREATE FUNCTION pg_temp.train(config text) RETURNS bigint LANGUAGE sql AS $$ SELECT pneumo_train('fit_xrays', config::jsonb) $$;
CREATE VIEW fit_versions AS SELECT v.* FROM pneumo.versions v;
-- label, raw probability and score of the validation side
CREATE FUNCTION pg_temp.validation(model text, OUT label boolean, OUT raw double precision, OUT score double precision, OUT patient text, OUT class text)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT label = 'PNEUMONIA', pneumo_predict_raw(image, $1), pneumo_predict(image, $1), patient, pneumo_classify(image, $1)
	FROM fit_xrays WHERE side = 'val' $$;

SELECT pg_temp.train('{"name": "fit none", ' || :'tiny' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "fit platt", "calibration": "platt", "operating_point": {"sensitivity": 0.9}, ' || :'tiny' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "fit temperature", "calibration": "temperature", "operating_point": "youden", ' || :'tiny' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "fit limit", "operating_point": {"sensitivity": 0.8, "confidence": 0.9}, ' || :'tiny' || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "fit given", "operating_point": {"threshold": 0.25}, ' || :'tiny' || '}') > 0 AS trained;
SELECT model, calibration->>'kind' AS calibration, operating_point, metrics ? 'calibration' AS fitted, metrics ? 'operating_point' AS found
FROM fit_versions WHERE model LIKE 'fit %' ORDER BY version_id;

-- the same network, whatever is fitted on top of it
SELECT bool_and(a.raw = b.raw AND b.raw = c.raw) AS same
FROM pg_temp.validation('fit none') WITH ORDINALITY a, pg_temp.validation('fit platt') WITH ORDINALITY b, pg_temp.validation('fit temperature') WITH ORDINALITY c
WHERE a.ordinality = b.ordinality AND b.ordinality = c.ordinality;

-- Platt: the stored formula, order kept, log loss not worse, mean score near the share of positives
SELECT max(abs(score - 1 / (1 + exp(-((calibration->>'a')::float8 * ln(raw / (1 - raw)) + (calibration->>'b')::float8))))) < 1e-5 AS formula,
	   corr(score, raw) > 0.9 AS kept, abs(avg(score) - avg(label::int)) < 0.02 AS mean
FROM pg_temp.validation('fit platt'), fit_versions WHERE model = 'fit platt';
SELECT (metrics#>>'{calibration,log_loss}')::float8 <= (metrics#>>'{calibration,log_loss_before}')::float8 AS better,
	   abs((metrics#>>'{calibration,log_loss}')::float8 - (metrics->>'log_loss')::float8) < 1e-6 AS reported
FROM fit_versions WHERE model IN ('fit platt', 'fit temperature');
-- temperature: the derivative of the log loss is zero there
SELECT max(abs(score - 1 / (1 + exp(-ln(raw / (1 - raw)) / (calibration->>'temperature')::float8)))) < 1e-5 AS formula,
	   abs(sum((score - label::int) * ln(raw / (1 - raw)))) < 1e-3 AS best
FROM pg_temp.validation('fit temperature'), fit_versions WHERE model = 'fit temperature';

-- a sensitivity: the highest threshold that reaches it
SELECT count(*) FILTER (WHERE label AND score >= threshold) >= 0.9 * count(*) FILTER (WHERE label) AS reached,
	   (SELECT count(*) FILTER (WHERE v.label AND v.score > n.score) < 0.9 * count(*) FILTER (WHERE v.label)
		FROM pg_temp.validation('fit platt') v,
			 (SELECT min(score) AS score FROM pg_temp.validation('fit platt'), fit_versions WHERE model = 'fit platt' AND score >= threshold) n) AS highest,
	   bool_and((class = 'PNEUMONIA') = (score >= threshold)) AS classified
FROM pg_temp.validation('fit platt'), fit_versions WHERE model = 'fit platt';
-- Youden: no point of the ROC curve is better
SELECT abs(max(p.true_positive_rate - p.false_positive_rate) - max(j)) < 1e-9 AS best
FROM (SELECT pneumo_roc(label, score) AS c FROM pg_temp.validation('fit temperature')) s, unnest(c) p,
	 (SELECT count(*) FILTER (WHERE label AND score >= threshold)::float8 / count(*) FILTER (WHERE label) -
			 count(*) FILTER (WHERE NOT label AND score >= threshold)::float8 / count(*) FILTER (WHERE NOT label) AS j
	  FROM pg_temp.validation('fit temperature'), fit_versions WHERE model = 'fit temperature') y;
-- the lower limit, by patient
SELECT (metrics#>>'{operating_point,sensitivity_limit}')::float8 >= 0.8 AS reached,
	   (metrics#>>'{operating_point,confidence}')::float8 AS confidence,
	   (metrics#>>'{operating_point,sensitivity,value}')::float8 > 0.8 AS above,
	   (metrics#>>'{operating_point,sensitivity,low}') IS NOT NULL AS limits
FROM fit_versions WHERE model = 'fit limit';
-- what is stored is what the rows give
SELECT (v.metrics#>>'{operating_point,true_positive}')::int = count(*) FILTER (WHERE label AND score >= threshold) AS tp,
	   (v.metrics#>>'{operating_point,false_positive}')::int = count(*) FILTER (WHERE NOT label AND score >= threshold) AS fp
FROM fit_versions v, pg_temp.validation('fit temperature') WHERE model = 'fit temperature' GROUP BY v.metrics, threshold;
-- a calibration is another version: what decides a score decides the hash
SELECT count(DISTINCT sha256) FROM fit_versions WHERE model LIKE 'fit %';

-- more than two classes
CREATE TABLE fit_three AS SELECT id, image, CASE id % 4 WHEN 0 THEN 'VIRUS' WHEN 1 THEN 'BACTERIA' ELSE 'NORMAL' END AS label FROM fit_xrays WHERE id <= 90;
SELECT pneumo_train('fit_three', '{"name": "fit three", "calibration": "temperature", "image_size": [16, 16], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 3, "activation": "softmax"}}], "epochs": 1, "verbose": 0, "validation_split": 0.3}') > 0 AS trained;
SELECT calibration->>'kind' AS calibration, (metrics#>>'{calibration,log_loss}')::float8 <= (metrics#>>'{calibration,log_loss_before}')::float8 AS better
FROM fit_versions WHERE model = 'fit three';

-- deploy only what is better than what is deployed
SELECT pg_temp.train('{"name": "fit better", "deploy": "if_better", ' || replace(:'tiny', '"epochs": 2', '"epochs": 1, "learning_rate": 1e-12') || '}') > 0 AS trained;
SELECT pg_temp.train('{"name": "fit better", "deploy": "if_better", ' || replace(:'tiny', '"epochs": 2', '"epochs": 12') || '}') > 0 AS trained;
SET client_min_messages = notice;
SELECT pg_temp.train('{"name": "fit better", "deploy": "if_better", ' || replace(:'tiny', '"epochs": 2', '"epochs": 1, "learning_rate": 1e-12, "seed": 3') || '}') > 0 AS trained;
SET client_min_messages = error;
SELECT pg_temp.train('{"name": "fit better", "deploy": "if_better", ' || replace(:'tiny', '[16, 16]', '[12, 12]') || '}') > 0 AS trained;
SELECT version, metrics->'if_better'->'better' AS better, (metrics->'if_better'->>'images')::int AS images,
	   (metrics->'if_better'->>'auc')::float8 > (metrics->'if_better'->>'deployed_auc')::float8 AS higher, metrics->'if_better'->>'reason' AS reason, deployed
FROM fit_versions WHERE model = 'fit better' ORDER BY version;
-- the deployed version's figure is the one it has by itself
SELECT abs((b.metrics->'if_better'->>'deployed_auc')::float8 - (a.metrics->>'auc')::float8) < 1e-8 AS same
FROM fit_versions a, fit_versions b
WHERE b.model = 'fit better' AND a.model = b.model AND a.version = (b.metrics->'if_better'->>'deployed_version')::int AND b.metrics->'if_better' ? 'auc';

-- errors
\set VERBOSITY default
SELECT pneumo_plan('fit_three', '{"calibration": "platt"}');
SELECT pneumo_plan('fit_three', '{"operating_point": "youden"}');
SELECT pneumo_plan('fit_xrays', '{"calibration": "isotonic"}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": "best"}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": {"confidence": 0.9}}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": {"threshold": 0.5, "sensitivity": 0.9}}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": {"sensitivity": 95}}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": {"specificity": 0.95}}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": {"sensitivity": 0.95, "confidence": 0.2}}');
SELECT pneumo_plan('fit_xrays', '{"calibration": "platt", "validation_split": 0, "early_stopping": null}');
SELECT pneumo_plan('fit_xrays', '{"deploy": "if_better", "validation_split": 0, "early_stopping": null}');
SELECT pneumo_plan('fit_xrays', '{"operating_point": {"sensitivity": 0.99, "confidence": 0.95}, "group_column": "patient", "split_column": "side"}');
\set VERBOSITY terse
SELECT pg_temp.train('{"name": "fit never", "operating_point": {"sensitivity": 0.99, "confidence": 0.95}, ' || :'tiny' || '}');

SELECT count(pneumo_drop_model(model)) FROM pneumo.models WHERE model LIKE 'fit %';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'fit %';
DROP VIEW fit_versions;
DROP TABLE fit_xrays, fit_three;
