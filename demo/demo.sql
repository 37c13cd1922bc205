-- What `make demo` shows; also a first session with pneumo.
--
-- psql variables: data (folder of X-rays, empty for phantoms), images (number
-- of phantoms), config (keys of the training to change).

\set VERBOSITY terse
\pset footer off
SET client_min_messages = warning;

CREATE EXTENSION pneumo;
SELECT * FROM pneumo_version() \gx

SELECT :'data' <> '' AS from_folder \gset

\if :from_folder
	\echo == loading X-rays
	SELECT pneumo_load(:'data', 'xrays') AS "images";
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

-- Few pixels, and fewer epochs the more images: a minute or two.
SELECT greatest(4, least(14, 10000 / count(*))) AS epochs FROM xrays \gset
\echo == training in a background worker
SET client_min_messages = notice;
\set VERBOSITY default
SELECT pneumo_train('xrays', '{
		"name": "demo",
		"model": "deep",
		"image_size": [64, 64],
		"batch_size": 16,
		"learning_rate": 0.0003,
		"early_stopping": {"patience": 8}
	}'::jsonb || :'data_config'::jsonb || jsonb_build_object('epochs', :epochs) || :'config'::jsonb) AS run \gset
\set VERBOSITY terse
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
