-- Who may do what: owners, grants, PUBLIC, SET ROLE, what the views show.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set ECHO none
\i :fixtures
\set ECHO all
\set VERBOSITY terse

CREATE ROLE pneumo_owner;
CREATE ROLE pneumo_team;
CREATE ROLE pneumo_member IN ROLE pneumo_team;
CREATE ROLE pneumo_stranger;
CREATE ROLE pneumo_monitor IN ROLE pg_monitor;
GRANT SELECT ON fixture TO PUBLIC;
GRANT EXECUTE ON FUNCTION pneumo_import(bytea, text), pneumo_cache_clear() TO pneumo_owner, pneumo_member;
CREATE TABLE rights_xrays AS SELECT pneumo_phantom(1, 'NORMAL', 64) AS image;
GRANT SELECT ON rights_xrays TO PUBLIC;

-- import is not for everybody
SET ROLE pneumo_stranger;
SELECT pneumo_import(model, 'mine') FROM fixture WHERE name = 'first';
SELECT pneumo_cache_clear();
SELECT pneumo_load('/tmp');

-- the owner may do everything
SET ROLE pneumo_owner;
SELECT pneumo_import(model, 'mine') IS NOT NULL AS imported FROM fixture WHERE name IN ('first', 'second') ORDER BY name;
SELECT model, owner FROM pneumo.models;
SELECT count(pneumo_predict(image, 'mine')) FROM rights_xrays;
SELECT pneumo_has_privilege('mine', p) FROM unnest(ARRAY['predict', 'manage', 'export', 'owner', 'any']) p;
SELECT pneumo_has_privilege('mine', 'drop');

-- a stranger does not even learn that it is there
SET ROLE pneumo_stranger;
SELECT count(*) FROM pneumo.models;
SELECT count(*) FROM pneumo.versions;
SELECT count(*) FROM pneumo.deployments;
SELECT count(*) FROM pneumo.privileges;
SELECT count(*) FROM pneumo.cache;
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;
SELECT pneumo_predict(image, 'no such model') FROM rights_xrays;
SELECT pneumo_deployed('mine');
SELECT pneumo_export('mine');
SELECT pneumo_summary('mine');
SELECT pneumo_preprocess(image, 'mine') FROM rights_xrays;
SELECT pneumo_cache_load('mine');
SELECT pneumo_has_privilege('mine', 'any'), pneumo_has_privilege('no such model', 'any');
SELECT * FROM pneumo.model;
SELECT * FROM pneumo.chunk;
SELECT nextval('pneumo.model_id_seq');

-- not by the hash either
RESET ROLE;
SELECT pneumo_deployed('mine') AS sha256 \gset
SET ROLE pneumo_stranger;
SELECT count(pneumo_predict_version(image, :'sha256')) FROM rights_xrays;

-- predict for a role and its members, from the next statement on
SET ROLE pneumo_owner;
SELECT pneumo_grant('mine', 'pneumo_team', 'predict');
SELECT pneumo_grant('mine', 'pneumo_team', 'predict');
SELECT model, grantee, privilege, grantor FROM pneumo.privileges;
SELECT pneumo_grant('mine', 'pneumo_team', 'owner');
SELECT pneumo_grant('mine', 'no_such_role', 'predict');
SET ROLE pneumo_member;
SELECT count(pneumo_predict(image, 'mine')) FROM rights_xrays;
SELECT count(pneumo_predict_version(image, :'sha256')) FROM rights_xrays;
SELECT model FROM pneumo.models;
SELECT count(*) FROM pneumo.versions;
SELECT count(*) > 0 AS cached FROM pneumo.cache;
SELECT layer FROM pneumo_summary('mine') LIMIT 1;
SELECT pneumo_export('mine');
SELECT pneumo_deploy('mine', 2);
SELECT pneumo_rollback('mine');
SELECT pneumo_drop_version('mine', 2);
SELECT pneumo_drop_model('mine');
SELECT pneumo_grant('mine', 'pneumo_stranger', 'predict');
SELECT pneumo_revoke('mine', 'pneumo_team', 'predict');
SELECT pneumo_set_owner('mine', 'pneumo_member');
SELECT pneumo_import(model, 'mine') FROM fixture WHERE name = 'first';

-- manage and export are each their own
SET ROLE pneumo_owner;
SELECT pneumo_grant('mine', 'pneumo_member', 'manage');
SELECT pneumo_grant('mine', 'pneumo_stranger', 'EXPORT');
SET ROLE pneumo_member;
SELECT pneumo_deploy('mine', 2);
SELECT pneumo_rollback('mine') IS NOT NULL AS rolled_back;
SELECT pneumo_import(model, 'mine') IS NOT NULL AS imported FROM fixture WHERE name = 'second';
SELECT pneumo_drop_version('mine', 3);
SELECT pneumo_drop_model('mine');
SET ROLE pneumo_stranger;
SELECT length(pneumo_export('mine')) > 0 AS exported;
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;

-- revoked: the same session, cache warm
SET ROLE pneumo_owner;
SELECT pneumo_revoke('mine', 'pneumo_team', 'predict');
SELECT pneumo_revoke('mine', 'pneumo_team', 'predict');
SET ROLE pneumo_member;
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;

-- PUBLIC
SET ROLE pneumo_owner;
SELECT pneumo_grant('mine', 'PUBLIC', 'predict');
SELECT grantee, privilege FROM pneumo.privileges ORDER BY 1, 2;
SET ROLE pneumo_stranger;
SELECT count(pneumo_predict(image, 'mine')) FROM rights_xrays;
SET ROLE pneumo_owner;
SELECT pneumo_revoke('mine', 'public', 'predict');
SET ROLE pneumo_stranger;
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;

-- no search_path, operator or table of a user comes in between
RESET ROLE;
CREATE SCHEMA rights_evil;
CREATE FUNCTION rights_evil.evil(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR rights_evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = rights_evil.evil);
CREATE TABLE rights_evil.privilege (model bigint, grantee name, privilege text);
GRANT USAGE ON SCHEMA rights_evil TO PUBLIC;
SET ROLE pneumo_stranger;
SET search_path = rights_evil, public, pg_catalog;
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;
SELECT count(*) FROM pneumo.models;
RESET search_path;
RESET ROLE;
DROP SCHEMA rights_evil CASCADE;

-- pg_monitor sees the cache and the runs, and nothing more
SELECT pneumo_cache_load('mine');
SELECT count(*) AS runs FROM pneumo.runs \gset
SET ROLE pneumo_monitor;
SELECT count(*) > 0 AS cached FROM pneumo.cache;
SELECT count(*) FROM pneumo.models;
SELECT count(*) = :runs AS all_runs FROM pneumo.runs;

-- a report reads a table as the caller: nobody is led to a table that a name in the model stands for
RESET ROLE;
CREATE SCHEMA rights_trap AUTHORIZATION pneumo_owner;
GRANT EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) TO pneumo_owner, pneumo_member;
SET ROLE pneumo_owner;
CREATE VIEW rights_trap.xrays AS SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 0 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 40) i) s;
CREATE TABLE rights_trap.copy AS SELECT * FROM rights_trap.xrays;
GRANT USAGE ON SCHEMA rights_trap TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA rights_trap TO PUBLIC;
\set trained '"epochs": 1, "verbose": 0, "image_size": [16, 16], "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}'
SET client_min_messages = error;
SELECT pneumo_train('rights_trap.xrays', ('{"name": "bait", ' || :'trained')::jsonb) > 0 AS trained;
SELECT pneumo_train('rights_trap.copy', ('{"name": "other bait", ' || :'trained')::jsonb) > 0 AS trained;
SELECT count(pneumo_grant(m, 'public', 'predict')::text) AS granted FROM unnest(ARRAY['bait', 'other bait']) m;
SELECT pneumo_report('bait') LIKE '<!DOCTYPE html>%' AS own_view, pneumo_report('other bait') LIKE '<!DOCTYPE html>%' AS own_table;
SET ROLE pneumo_member;
SELECT pneumo_train('rights_trap.xrays', ('{"name": "caught", ' || :'trained')::jsonb) > 0 AS trained;
SELECT pneumo_train('rights_trap.copy', ('{"name": "fine", ' || :'trained')::jsonb) > 0 AS trained;
SELECT pneumo_report('caught');
SELECT pneumo_report('fine') LIKE '<!DOCTYPE html>%' AS anothers_table;
SET ROLE pneumo_owner;
CREATE FUNCTION rights_trap.spring(bytea) RETURNS bytea LANGUAGE plpgsql AS $$
	BEGIN
		ALTER ROLE pneumo_owner SUPERUSER;
		RETURN $1;
	END $$;
DROP TABLE rights_trap.copy;
CREATE VIEW rights_trap.copy AS SELECT id, rights_trap.spring(image) AS image, label FROM rights_trap.xrays;
CREATE OR REPLACE VIEW rights_trap.xrays AS SELECT i AS id, rights_trap.spring(pneumo_phantom(i, l, 64)) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 0 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 40) i) s;
GRANT SELECT ON ALL TABLES IN SCHEMA rights_trap TO PUBLIC;
RESET ROLE;
SELECT pneumo_report('bait');
SELECT pneumo_report('other bait');
SELECT pneumo_report('caught');
SELECT rolsuper FROM pg_roles WHERE rolname = 'pneumo_owner';
SET ROLE pneumo_member;
SELECT pneumo_report('bait');
SELECT pneumo_report('other bait');
SELECT pneumo_report('caught');
SELECT pneumo_report('fine');
RESET ROLE;
SELECT count(pneumo_drop_model(m)::text) AS dropped FROM unnest(ARRAY['bait', 'other bait', 'caught', 'fine']) m;
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model IN ('bait', 'other bait', 'caught', 'fine');
REVOKE EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean) FROM pneumo_owner, pneumo_member;
DROP SCHEMA rights_trap CASCADE;
RESET client_min_messages;

-- another owner; a role that is gone has no rights
SET ROLE pneumo_owner;
\set VERBOSITY sqlstate
SELECT pneumo_set_owner('mine', 'pneumo_stranger');
\set VERBOSITY terse
RESET ROLE;
SELECT pneumo_set_owner('mine', 'no_such_role');
SELECT pneumo_set_owner('mine', 'pneumo_stranger');
SET ROLE pneumo_owner;
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;
SET ROLE pneumo_stranger;
SELECT count(pneumo_predict(image, 'mine')) FROM rights_xrays;
RESET ROLE;
DROP ROLE pneumo_stranger;
SELECT owner FROM pneumo.models;
SET ROLE pneumo_member;
SELECT count(*) FROM pneumo.versions;
RESET ROLE;

-- nor has a new role of that name, which a role with CREATEROLE can make
CREATE ROLE pneumo_creator CREATEROLE;
SET ROLE pneumo_creator;
CREATE ROLE pneumo_stranger;
RESET ROLE;
SET ROLE pneumo_stranger;
SELECT count(*) FROM pneumo.models;
SELECT pneumo_has_privilege('mine', 'any');
SELECT pneumo_set_owner('mine', 'pneumo_stranger');
SELECT pneumo_predict(image, 'mine') FROM rights_xrays;
RESET ROLE;
SELECT owner FROM pneumo.models;
SELECT pneumo_set_owner('mine', 'pneumo_owner');

-- a role that is renamed keeps what it owns and what it was granted
SELECT pneumo_grant('mine', 'pneumo_stranger', 'predict');
SELECT pneumo_grant('mine', 'pneumo_member', 'export');
ALTER ROLE pneumo_owner RENAME TO pneumo_first;
ALTER ROLE pneumo_stranger RENAME TO pneumo_owner;
SELECT model, owner FROM pneumo.models;
SELECT grantee, privilege FROM pneumo.privileges ORDER BY 1, 2;
SET ROLE pneumo_first;
SELECT pneumo_has_privilege('mine', 'owner');
SET ROLE pneumo_owner;
SELECT pneumo_has_privilege('mine', 'predict'), pneumo_has_privilege('mine', 'owner');
SELECT pneumo_revoke('mine', 'pneumo_owner', 'predict');

-- what a dropped grantee leaves gives nothing, and goes with the next change
RESET ROLE;
SELECT pneumo_grant('mine', 'public', 'predict');
DROP ROLE pneumo_owner;
SELECT grantee, privilege FROM pneumo.privileges ORDER BY 1, 2;
SELECT pneumo_revoke('mine', 'pneumo_owner', 'predict');
SELECT pneumo_revoke('mine', 'PUBLIC', 'manage');
SELECT grantee, privilege FROM pneumo.privileges ORDER BY 1, 2;
SELECT privilege, count(*) FROM pneumo.privilege GROUP BY 1 ORDER BY 1;
SET ROLE pneumo_first;
SELECT pneumo_set_owner('mine', 'pneumo_first');
SELECT pneumo_set_owner('mine', 'public');
RESET ROLE;
SELECT privilege, count(*) FROM pneumo.privilege GROUP BY 1 ORDER BY 1;
SELECT pneumo_drop_model('mine');
SELECT count(*) FROM pneumo.privilege;

DROP TABLE rights_xrays;
REVOKE EXECUTE ON FUNCTION pneumo_import(bytea, text), pneumo_cache_clear() FROM pneumo_first, pneumo_member;
DROP TABLE fixture;
DROP ROLE pneumo_first, pneumo_member, pneumo_team, pneumo_monitor, pneumo_creator;
