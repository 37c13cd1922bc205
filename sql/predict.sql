-- Prediction: the forms of the family, their errors, their labels and plans.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set images :abs_srcdir '/tests/fixtures/images.sql'
\set ECHO none
\i :fixtures
\i :images
\set ECHO all

SELECT pneumo_import(model, 'default') IS NOT NULL AS imported FROM fixture WHERE name = 'first';
SELECT pneumo_import(model, name) IS NOT NULL AS imported FROM fixture WHERE name <> 'first' ORDER BY name;
CREATE TABLE predict_xrays AS SELECT * FROM fixture_image;

-- the forms
SELECT id, label, round(pneumo_predict(image)::numeric, 3) AS p,
	   round(pneumo_predict(image, 'second')::numeric, 3) AS second,
	   round(pneumo_predict(image, 'default', 'NORMAL')::numeric, 3) AS normal,
	   pneumo_classify(image) AS class
FROM predict_xrays ORDER BY id, label;
SELECT id, label, round((s).score::numeric, 3) AS score, (s).class, (s).sha256 = pneumo_deployed('default') AS sha256
FROM (SELECT id, label, pneumo_score(image) AS s FROM predict_xrays) q ORDER BY id, label LIMIT 2;
SELECT id, label, class, round(probability::numeric, 3) AS probability
FROM predict_xrays, pneumo_predict_proba(image) ORDER BY id, label, class LIMIT 4;
SELECT bool_and(pneumo_predict(image) = pneumo_predict_raw(image)) AS uncalibrated_is_raw,
	   bool_and(pneumo_predict(image) = (pneumo_score(image)).score) AS score,
	   bool_and(abs(pneumo_predict_version(image, pneumo_deployed('default')) - pneumo_predict(image)) < 2e-6) AS version,
	   bool_and(cardinality(pneumo_embed(image)) = 4) AS embedding,
	   bool_and(array_dims(pneumo_preprocess(image)) = '[1:16][1:16][1:1]') AS pixels
FROM predict_xrays;
SELECT min(p) >= 0 AND max(p) <= 1 AND max(p) > min(p) AS rescaled
FROM (SELECT unnest(pneumo_preprocess(image)) p FROM predict_xrays WHERE id = 1) q;

-- calibration: Platt by its formula, and the operating point on its scale
SELECT bool_and(abs(pneumo_predict(image, 'calibrated') -
					1 / (1 + exp(-(0.5 * ln(raw / (1 - raw)) - 1)))) < 1e-5) AS platt,
	   bool_and((pneumo_classify(image, 'calibrated') = 'PNEUMONIA') = (pneumo_predict(image, 'calibrated') >= 0.25)) AS threshold
FROM (SELECT image, pneumo_predict_raw(image, 'calibrated') AS raw FROM predict_xrays) q;

-- more than two classes
SELECT pneumo_predict(image, 'three') FROM predict_xrays LIMIT 1;
SELECT pneumo_predict_raw(image, 'three') FROM predict_xrays LIMIT 1;
SELECT pneumo_predict(image, 'three', 'COVID') FROM predict_xrays LIMIT 1;
SELECT class, round(probability::numeric, 3) AS probability, round(pneumo_predict(image, 'three', class)::numeric, 3) AS predict,
	   class = pneumo_classify(image, 'three') AS chosen, (pneumo_score(image, 'three')).class = class AS scored
FROM predict_xrays, pneumo_predict_proba(image, 'three')
WHERE id = 1 ORDER BY class;
SELECT bool_and(abs(sum - 1) < 1e-6) AS sums_to_one FROM (
	SELECT sum(probability) FROM predict_xrays, pneumo_predict_proba(image, 'three_temperature') GROUP BY id, label) q;

-- NULL in, NULL out
SELECT pneumo_predict(NULL), pneumo_classify(NULL), pneumo_score(NULL), pneumo_embed(NULL),
	   (SELECT count(*) FROM pneumo_predict_proba(NULL)) AS rows;

-- the default model is a setting
SET pneumo.default_model = 'second';
SELECT bool_and(pneumo_predict(image) = pneumo_predict(image, 'second')) FROM predict_xrays;
SET pneumo.default_model = 'no such model';
SELECT pneumo_predict(image) FROM predict_xrays LIMIT 1;
RESET pneumo.default_model;
SELECT pneumo_predict_version(image, '\x00') FROM predict_xrays LIMIT 1;
SELECT pneumo_predict_version(image, sha256('no such version')) FROM predict_xrays LIMIT 1;

-- bad images: an error with its SQLSTATE, or NULL
\set VERBOSITY terse
SELECT pneumo_predict('x');
\echo :LAST_ERROR_SQLSTATE
SELECT pneumo_predict('\xffd8');
\echo :LAST_ERROR_SQLSTATE
SET pneumo.max_image_pixels = 100;
SELECT pneumo_predict(image) FROM predict_xrays LIMIT 1;
\echo :LAST_ERROR_SQLSTATE
SET pneumo.on_bad_image = 'null';
SELECT count(*), count(pneumo_predict(image)) FROM predict_xrays;
RESET pneumo.max_image_pixels;
SELECT pneumo_predict('x'), pneumo_predict_raw('x'), pneumo_classify('x'),
	   pneumo_score('x'), pneumo_embed('x'), pneumo_preprocess('x'),
	   (SELECT count(*) FROM pneumo_predict_proba('x')) AS rows;
SELECT pneumo_predict_version('x', pneumo_deployed('default'));
RESET pneumo.on_bad_image;
\set VERBOSITY default

-- labels
SELECT p.oid::regprocedure AS function, p.provolatile AS v, p.proparallel AS p, p.proisstrict AS s, p.procost AS cost
FROM pg_proc p
WHERE p.proname IN ('pneumo_predict', 'pneumo_predict_raw', 'pneumo_classify', 'pneumo_predict_proba', 'pneumo_score',
					'pneumo_embed', 'pneumo_predict_version', 'pneumo_preprocess', 'pneumo_deployed', 'pneumo_image_info')
ORDER BY p.proname COLLATE "C", p.pronargs;

-- an expression index on the immutable form
CREATE INDEX predict_index ON predict_xrays (pneumo_predict_version(image, '\x0000000000000000000000000000000000000000000000000000000000000000'));
SELECT format('CREATE INDEX predict_index ON predict_xrays (pneumo_predict_version(image, %L))', pneumo_deployed('default')) \gexec
SELECT count(*) FROM predict_xrays WHERE pneumo_predict_version(image, pneumo_deployed('default')) >= 0;
DROP INDEX predict_index;

-- parallel plans, once the table is prepared; workers score alike
SELECT pneumo_prepare_table('predict_xrays', 2);
SELECT pneumo_prepare_table('predict_xrays', 0);
SELECT pneumo_prepare_table('pg_tables', 2);
SELECT reloptions FROM pg_class WHERE oid = 'predict_xrays'::regclass;
SET parallel_setup_cost = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM predict_xrays WHERE pneumo_predict(image) > 0.5;
SET parallel_leader_participation = off;
CREATE TEMP TABLE parallel AS SELECT count(*), sum(pneumo_predict(image)::numeric) FROM predict_xrays;
SET max_parallel_workers_per_gather = 0;
SELECT p.* = (SELECT (count(*), sum(pneumo_predict(image)::numeric)) FROM predict_xrays) AS same
FROM (SELECT count, sum FROM parallel) p;
RESET parallel_leader_participation;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;

-- whole tables: batch by batch, and only what is not done
CALL pneumo_score_table('predict_xrays');
ALTER TABLE predict_xrays ADD COLUMN row integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
CALL pneumo_score_table('predict_xrays');
ALTER TABLE predict_xrays ADD COLUMN score float8, ADD COLUMN sha256 bytea;
CALL pneumo_score_table('predict_xrays', batch_size => 0);
CALL pneumo_score_table('predict_xrays', 'three', batch_size => 3);
CALL pneumo_score_table('predict_xrays', batch_size => 3);
UPDATE predict_xrays SET sha256 = NULL WHERE id = 2;
CALL pneumo_score_table('predict_xrays', 'default', 'row', 'image', 'score', 'sha256', 1);
CALL pneumo_score_table('predict_xrays');
SELECT bool_and(score = pneumo_predict(image) AND sha256 = pneumo_deployed('default')) FROM predict_xrays;
UPDATE predict_xrays SET image = 'x', sha256 = NULL WHERE row = 1;
CALL pneumo_score_table('predict_xrays');
SET pneumo.on_bad_image = 'null';
CALL pneumo_score_table('predict_xrays');
RESET pneumo.on_bad_image;
SELECT score, sha256 IS NOT NULL AS done FROM predict_xrays WHERE row = 1;

-- only rows whose score was stored count
CREATE FUNCTION predict_keep() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF old.row <= 2 THEN RETURN NULL; END IF; RETURN new; END $$;
CREATE TRIGGER predict_keep BEFORE UPDATE ON predict_xrays FOR EACH ROW EXECUTE FUNCTION predict_keep();
SET pneumo.on_bad_image = 'null';
CALL pneumo_score_table('predict_xrays', 'three');
SELECT count(*) FILTER (WHERE sha256 = pneumo_deployed('three')) AS stored, count(*) AS rows FROM predict_xrays;
DROP TRIGGER predict_keep ON predict_xrays;
DROP FUNCTION predict_keep;
CALL pneumo_score_table('predict_xrays');
RESET pneumo.on_bad_image;

-- rows are scored in groups: the same bits as alone, beside what cannot be read, and where memory is short
INSERT INTO predict_xrays (id, label, image)
SELECT id, label, CASE WHEN (id + n) % 4 = 0 THEN 'x' ELSE image END FROM predict_xrays, generate_series(1, 14) n;
SET pneumo.on_bad_image = 'null';
CALL pneumo_score_table('predict_xrays', batch_size => 40);
SELECT count(score) > 32 AS groups, count(*) > count(score) AS bad_ones,
	   count(*) FILTER (WHERE score IS DISTINCT FROM pneumo_predict(image)) AS different FROM predict_xrays;
UPDATE predict_xrays SET score = NULL, sha256 = NULL;
SET pneumo.predict_memory = '64kB';
CALL pneumo_score_table('predict_xrays');
RESET pneumo.predict_memory;
SELECT count(*) FILTER (WHERE score IS DISTINCT FROM pneumo_predict(image)) AS different FROM predict_xrays;
RESET pneumo.on_bad_image;
BEGIN;
CALL pneumo_score_table('predict_xrays');
ROLLBACK;

DROP TABLE predict_xrays;
SELECT count(pneumo_drop_model(model) IS NULL) FROM pneumo.models;
