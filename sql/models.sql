-- The life of models: import, export, deploy, roll back, drop; hostile bytes.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set ECHO none
\i :fixtures
\set ECHO all

CREATE FUNCTION pg_temp.import(fixture text, model text) RETURNS bigint LANGUAGE sql AS
	'SELECT pneumo_import(f.model, $2) FROM fixture f WHERE f.name = $1';
-- versions by their number within the model
CREATE FUNCTION pg_temp.nth(text, bigint) RETURNS bigint LANGUAGE sql AS
	'SELECT v.version FROM pneumo.versions v WHERE v.model = $1 ORDER BY v.version OFFSET $2 - 1 LIMIT 1';

SELECT pg_temp.import('first', 'life') IS NOT NULL AS imported;
SELECT pg_temp.import('second', 'life') IS NOT NULL AS imported;
SELECT pg_temp.import('first', 'twin') IS NOT NULL AS imported;
SELECT model, owner = current_user AS mine, classes, image_size, versions FROM pneumo.models ORDER BY model;
SELECT model, row_number() OVER (PARTITION BY model ORDER BY version) AS n, run, parameters, bytes,
	   threshold, operating_point, calibration, deployed, test_looks
FROM pneumo.versions ORDER BY model, version;

-- equal bytes: one hash, stored once
SELECT count(*), count(DISTINCT sha256) FROM pneumo.versions;
SELECT count(DISTINCT sha256), count(*) FROM pneumo.chunk;

-- deploy and roll back
SELECT pneumo_deploy('life', pg_temp.nth('life', 2));
SET client_min_messages = warning;
SELECT pneumo_deploy('life', pg_temp.nth('life', 2));
RESET client_min_messages;
SELECT pneumo_deployed('life') = sha256 AS second FROM pneumo.versions WHERE version = pg_temp.nth('life', 2);
SELECT pneumo_rollback('life') = pg_temp.nth('life', 1) AS first_again;
SELECT pneumo_rollback('life');
SELECT action, version = pg_temp.nth('life', 2) AS second, role = current_user AS me, current
FROM pneumo.deployments WHERE model = 'life' ORDER BY deployed, action;
SELECT pneumo_deploy('life', 0);
\set VERBOSITY sqlstate
SELECT pneumo_deploy('life', pg_temp.nth('twin', 1));
\set VERBOSITY default
SELECT pneumo_deploy('no such model', 1);
SELECT pneumo_rollback('no such model');

-- a rollback of the transaction undoes a deployment
BEGIN;
SELECT pneumo_deploy('life', pg_temp.nth('life', 2));
SELECT pneumo_deployed('life') = pneumo_deployed('twin') AS before;
ROLLBACK;
SELECT pneumo_deployed('life') = pneumo_deployed('twin') AS after;

-- what it is made of
SELECT layer, class_name, output_shape, parameters, trainable, inputs FROM pneumo_summary('life');
SELECT layer, config FROM pneumo_summary('life', pg_temp.nth('life', 2));
SELECT layer FROM pneumo_summary('life', -1);

-- export and import: the same bytes, the same version
SELECT pneumo_export('life') = f.model AS same FROM fixture f WHERE name = 'first';
SELECT substr(pneumo_export('life', pg_temp.nth('life', 2)), 1, 8), length(pneumo_export('life'));
\set VERBOSITY sqlstate
SELECT pneumo_export('life', pg_temp.nth('twin', 1));
\set VERBOSITY default
SELECT pneumo_import(pneumo_export('life'), 'round trip') IS NOT NULL AS imported;
SELECT pneumo_deployed('round trip') = pneumo_deployed('life') AS same;

-- drop: not the deployed version, and bytes only with their last version
\set VERBOSITY sqlstate
SELECT pneumo_drop_version('life', pg_temp.nth('life', 1));
\set VERBOSITY default
SELECT pneumo_drop_version('life', pg_temp.nth('life', 2));
SELECT count(*) FROM pneumo.chunk;
SELECT pneumo_drop_model('life');
SELECT pneumo_drop_model('twin');
SELECT count(*) FROM pneumo.chunk;
SELECT pneumo_drop_model('round trip');
SELECT count(*) FROM pneumo.chunk;
SELECT count(*) FROM pneumo.deployment;
SELECT pneumo_drop_model('life');

-- read-only transactions
BEGIN READ ONLY;
SELECT pneumo_drop_model('life');
ROLLBACK;

-- hostile bytes
SELECT pneumo_import('', 'hostile');
SELECT pneumo_import('\x00', 'hostile');
SELECT pneumo_import(set_byte(model, 500, get_byte(model, 500) # 1), 'hostile') FROM fixture WHERE name = 'first';
SELECT pneumo_import(substr(model, 1, 200), 'hostile') FROM fixture WHERE name = 'first';
SELECT pneumo_import(m || sha256(m), 'hostile') FROM (SELECT substr(model, 1, 200) m FROM fixture WHERE name = 'first') q;
SELECT pneumo_import(m || sha256(m), 'hostile') FROM (SELECT 'nonsense'::bytea m) q;
SELECT pneumo_import(model, '') FROM fixture WHERE name = 'first';
SELECT pneumo_import(model, repeat('x', 256)) FROM fixture WHERE name = 'first';

-- any byte of the head changed, with the hash made right: refused, or a model
-- that predicts; never anything else
DO $$
DECLARE
	good bytea;
	b bytea;
	refused integer := 0;
	taken integer := 0;
BEGIN
	SELECT substr(model, 1, length(model) - 32) INTO good FROM fixture WHERE name = 'first';
	FOR i IN 0 .. length(good) / 2 LOOP
		b := set_byte(good, i, get_byte(good, i) # 255);
		BEGIN
			PERFORM pneumo_import(b || sha256(b), 'hostile');
			taken := taken + 1;
			PERFORM pneumo_predict(pneumo_phantom(1, 'NORMAL', 64), 'hostile', 'NORMAL');
			RAISE EXCEPTION 'undo' USING ERRCODE = 'P0001';
		EXCEPTION
			WHEN data_corrupted OR feature_not_supported OR program_limit_exceeded OR
				invalid_parameter_value OR numeric_value_out_of_range OR out_of_memory THEN
				refused := refused + 1;
			WHEN raise_exception THEN
				NULL;
		END;
	END LOOP;
	RAISE NOTICE 'some refused: %, some taken: %', refused > 300, taken > 10;
END $$;
SELECT count(*) FROM pneumo.models;
