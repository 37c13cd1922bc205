-- What `make demo` shows; also a first session with pneumo.
--
-- psql variables: data (folder of X-rays, empty for phantoms), images (number
-- of phantoms), config (keys of the training to change).

\pset footer off
SET client_min_messages = warning;

CREATE EXTENSION pneumo;
SELECT * FROM pneumo_version() \gx

SELECT :'data' <> '' AS from_folder \gset

\if :from_folder
	\echo == loading X-rays
	SELECT pneumo_load(:'data', 'xrays') AS "images";
	-- class folders only: a split of our own, by the image
	UPDATE xrays SET split = pneumo_split(image, 0, 0.15, 0.15)
		WHERE NOT EXISTS (SELECT FROM xrays WHERE split IS NOT NULL);
	SELECT '{"split_column": "split"}' AS data_config \gset
\else
	\echo == drawing :images phantom radiographs, two of a patient
	CREATE TABLE xrays (
		id integer PRIMARY KEY,
		patient integer NOT NULL,
		label text NOT NULL,
		split text NOT NULL,
		image bytea NOT NULL
	);
	ALTER TABLE xrays ALTER image SET STORAGE EXTERNAL;
	INSERT INTO xrays
		SELECT i, i / 2, label, pneumo_split((i / 2)::text, 0, 0.15, 0.15), pneumo_phantom(i, label)
		FROM generate_series(1, :images) i,
			LATERAL (SELECT CASE i / 2 % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) x (label);
	SELECT '{"group_column": "patient"}' AS data_config \gset
\endif
ANALYZE xrays;
SELECT label, split, count(*) AS images, pg_size_pretty(sum(octet_length(image))) AS size
FROM xrays GROUP BY label, split ORDER BY split, label;

-- A small network whose last layer asks "is there such a spot anywhere": quick to
-- train, and its maps look at the lungs.  Fewer epochs the more images: a minute.
SELECT greatest(4, least(20, 14000 / count(*))) AS epochs FROM xrays \gset
\echo == training in a background worker
SET client_min_messages = notice;
SELECT pneumo_train('xrays', '{
		"name": "demo",
		"image_size": [128, 128],
		"batch_size": 16,
		"optimizer": "adam",
		"learning_rate": 0.002,
		"early_stopping": {"patience": 8},
		"layers": [
			{"class_name": "Conv2D", "config": {"filters": 16, "kernel_size": 3, "padding": "same"}},
			{"class_name": "BatchNormalization", "config": {"momentum": 0.9}},
			{"class_name": "ReLU", "config": {}},
			{"class_name": "MaxPooling2D", "config": {"pool_size": 2}},
			{"class_name": "Conv2D", "config": {"filters": 32, "kernel_size": 3, "padding": "same"}},
			{"class_name": "BatchNormalization", "config": {"momentum": 0.9}},
			{"class_name": "ReLU", "config": {}},
			{"class_name": "MaxPooling2D", "config": {"pool_size": 2}},
			{"class_name": "Conv2D", "config": {"filters": 64, "kernel_size": 3, "padding": "same"}},
			{"class_name": "BatchNormalization", "config": {"momentum": 0.9}},
			{"class_name": "ReLU", "config": {}},
			{"class_name": "MaxPooling2D", "config": {"pool_size": 2}},
			{"class_name": "Conv2D", "config": {"filters": 64, "kernel_size": 3, "padding": "same"}},
			{"class_name": "BatchNormalization", "config": {"momentum": 0.9}},
			{"class_name": "ReLU", "config": {}},
			{"class_name": "GlobalMaxPooling2D", "config": {}},
			{"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}
		]
	}'::jsonb || :'data_config'::jsonb || jsonb_build_object('epochs', :epochs) || :'config'::jsonb) AS run \gset
SET client_min_messages = warning;

SELECT epoch, round(loss::numeric, 4) AS loss, round(accuracy::numeric, 3) AS accuracy,
	round(val_loss::numeric, 4) AS val_loss, round(val_accuracy::numeric, 3) AS val_accuracy,
	round(val_auc::numeric, 3) AS val_auc, round((seconds + val_seconds)::numeric, 1) AS seconds
FROM pneumo.history WHERE run = :run ORDER BY epoch;

\echo == X-rays that the network has not seen
SET pneumo.default_model = 'demo';
SELECT id, label, round(pneumo_predict(image)::numeric, 3) AS pneumo_predict, pneumo_classify(image) AS pneumo_classify
FROM xrays WHERE split = 'test' ORDER BY md5(id::text) LIMIT 12;

\echo == figures on the test split
SELECT images, patients, round(accuracy::numeric, 3) AS accuracy, round(sensitivity::numeric, 3) AS sensitivity,
	round(specificity::numeric, 3) AS specificity, round(auc::numeric, 3) AS auc, round(log_loss::numeric, 3) AS log_loss
FROM pneumo_evaluate('xrays', 'demo', '{"split": "test"}');

-- One self-contained page: data, curves, figures, failures.
SELECT count(*) > 0 AS has_report FROM pg_proc WHERE proname = 'pneumo_report' \gset
\if :has_report
	\pset format unaligned
	\pset tuples_only on
	\o report.html
	SELECT pneumo_report('demo');
	\o
\endif
