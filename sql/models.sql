-- The life of models: import, export, deploy, roll back, drop; hostile bytes.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set ECHO none
\i :fixtures
\set ECHO all

CREATE FUNCTION pg_temp.import(fixture text, model text) RETURNS integer LANGUAGE sql AS
	'SELECT pneumo_import(f.model, $2) FROM fixture f WHERE f.name = $1';

-- versions have numbers within their model
SELECT pg_temp.import('first', 'life');
SELECT pg_temp.import('second', 'life');
SELECT pg_temp.import('first', 'twin');
SELECT model, owner = current_user AS mine, classes, image_size, versions FROM pneumo.models ORDER BY model;
SELECT model, version, run, parameters, bytes,
	   threshold, operating_point, calibration, deployed, test_looks
FROM pneumo.versions ORDER BY model, version;

SELECT count(DISTINCT version_id) AS ids FROM pneumo.versions;
SELECT d.model, d.version, d.version_id = v.version_id AS same_id, m.deployed_version, m.deployed_version_id = v.version_id AS deployed
FROM pneumo.deployments d JOIN pneumo.versions v USING (model, version) JOIN pneumo.models m USING (model) ORDER BY 1;

-- equal bytes: one hash, stored once
SELECT count(*), count(DISTINCT sha256) FROM pneumo.versions;
SELECT count(DISTINCT sha256), count(*) FROM pneumo.chunk;

-- deploy and roll back
SELECT pneumo_deploy('life', 2);
SET client_min_messages = warning;
SELECT pneumo_deploy('life', 2);
RESET client_min_messages;
SELECT pneumo_deployed('life') = sha256 AS second FROM pneumo.versions WHERE model = 'life' AND version = 2;
SELECT pneumo_rollback('life');
SELECT pneumo_rollback('life');
SELECT action, version, role = current_user AS me, current
FROM pneumo.deployments WHERE model = 'life' ORDER BY deployed, action;
SELECT pneumo_deploy('life', 0);
SELECT pneumo_deploy('life', 9000000000000000000);
SELECT pneumo_deploy('twin', 2);
SELECT pneumo_deploy('no such model', 1);
SELECT pneumo_rollback('no such model');

-- a rollback of the transaction undoes a deployment
BEGIN;
SELECT pneumo_deploy('life', 2);
SELECT pneumo_deployed('life') = pneumo_deployed('twin') AS before;
ROLLBACK;
SELECT pneumo_deployed('life') = pneumo_deployed('twin') AS after;

-- what it is made of
SELECT layer, class_name, output_shape, parameters, trainable, inputs FROM pneumo_summary('life');
SELECT layer, config FROM pneumo_summary('life', 2);
SELECT layer FROM pneumo_summary('life', -1);

-- export and import: the same bytes, the same version
SELECT pneumo_export('life') = f.model AS same FROM fixture f WHERE name = 'first';
SELECT substr(pneumo_export('life', 2), 1, 8), length(pneumo_export('life'));
SELECT pneumo_export('life', 3);
SELECT pneumo_export('life', 0, false);
SELECT pneumo_import(pneumo_export('life'), 'round trip');
SELECT pneumo_deployed('round trip') = pneumo_deployed('life') AS same;

-- drop: not the deployed version, and bytes only with their last version
SELECT pneumo_drop_version('life', 1);
SELECT pneumo_drop_version('life', 2);
SELECT count(*) FROM pneumo.chunk;

-- a dropped version's number is not given again; what was deployed keeps its number
SELECT version, sha256 IS NULL AS gone FROM pneumo.deployments WHERE model = 'life' ORDER BY deployed, version;
SELECT pneumo_deploy('life', 2);
SELECT pg_temp.import('second', 'life');
SELECT pneumo_deploy('life', 2);
SELECT pneumo_deploy('life', 4);
BEGIN;
SELECT pneumo_drop_version('life', 3);
SELECT pg_temp.import('second', 'life');
ROLLBACK;
SELECT pg_temp.import('second', 'life');
SELECT array_agg(version ORDER BY version) FROM pneumo.versions WHERE model = 'life';
-- the id of a version where its number is wanted
SELECT setval('pneumo.version_id_seq', 1000);
SELECT pg_temp.import('second', 'twin');
SELECT pneumo_deploy('twin', version_id) FROM pneumo.versions WHERE model = 'twin' AND version = 2;
SELECT pneumo_summary('life', version_id) FROM pneumo.versions WHERE model = 'twin' AND version = 2;
-- many of them
SELECT count(*) FROM generate_series(1, 40) i, LATERAL (SELECT i, pg_temp.import('first', 'many') OFFSET 0) x;
SELECT count(pneumo_drop_version('many', i)) FROM generate_series(3, 40) i WHERE i % 3 = 0;
SELECT pneumo_deploy('many', 9);
SELECT pneumo_drop_model('many');

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
