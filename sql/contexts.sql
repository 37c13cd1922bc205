-- Where a statement can stand: training and prediction in transactions of every
-- kind, in functions, procedures, triggers, cursors, COPY, indexes,
-- materialized views, and under row security.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set images :abs_srcdir '/tests/fixtures/images.sql'
\set ECHO none
\i :fixtures
\i :images
\set ECHO all
\set VERBOSITY terse
SELECT pneumo_import(model, 'first') IS NOT NULL AS imported FROM fixture WHERE name = 'first';
CREATE TABLE contexts_xrays AS SELECT * FROM fixture_image;
CREATE TABLE contexts_train AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l FROM generate_series(1, 300) i) s;
CREATE FUNCTION contexts_train(wait boolean DEFAULT true) RETURNS boolean LANGUAGE sql AS $$
	SELECT set_config('contexts.run', pneumo_train('contexts_train', '{"name": "contexts", "image_size": [16, 16], "epochs": 1, "verbose": 0, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}', wait)::text, false) <> '' $$;

-- training: a snapshot that is older does not see what it made
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM contexts_train;
SELECT contexts_train();
SELECT count(*) AS seen FROM pneumo.versions WHERE model = 'contexts';
COMMIT;
SELECT count(*) AS seen FROM pneumo.versions WHERE model = 'contexts';
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM contexts_train;
SELECT contexts_train();
COMMIT;
BEGIN READ ONLY;
SELECT contexts_train();
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT contexts_train();
ROLLBACK TO s;
COMMIT;
SELECT count(*) AS kept FROM pneumo.versions WHERE model = 'contexts';

-- in a function, a block, a procedure, a trigger, a cursor, a prepared statement
DO $$ BEGIN PERFORM contexts_train(); END $$;
CREATE PROCEDURE contexts_procedure() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM contexts_train();
	INSERT INTO contexts_xrays SELECT * FROM contexts_xrays LIMIT 0;
	COMMIT;
	PERFORM contexts_train();
	CREATE TEMP TABLE contexts_temp (a int);
	PERFORM contexts_train();
END $$;
CALL contexts_procedure();
CREATE TABLE contexts_trigger (a int);
CREATE FUNCTION contexts_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM contexts_train(tg_argv[0]::boolean);
	RETURN new;
END $$;
CREATE TRIGGER waiting AFTER INSERT ON contexts_trigger FOR EACH ROW EXECUTE FUNCTION contexts_trigger(true);
INSERT INTO contexts_trigger VALUES (1);
DROP TRIGGER waiting ON contexts_trigger;
CREATE TRIGGER later AFTER INSERT ON contexts_trigger FOR EACH STATEMENT EXECUTE FUNCTION contexts_trigger(false);
INSERT INTO contexts_trigger VALUES (1);
SELECT pneumo_wait(current_setting('contexts.run')::bigint);
BEGIN;
DECLARE c CURSOR FOR SELECT contexts_train();
FETCH 1 FROM c;
COMMIT;
PREPARE contexts_prepared AS SELECT contexts_train();
EXECUTE contexts_prepared;
DEALLOCATE contexts_prepared;
SELECT count(*) AS versions FROM pneumo.versions WHERE model = 'contexts';
SELECT state, count(*) FROM pneumo.runs WHERE model = 'contexts' GROUP BY state;

-- prediction
SELECT round(sum(pneumo_predict(image, 'first'))::numeric, 6) AS sum FROM contexts_xrays \gset
BEGIN READ ONLY;
SELECT round(sum(pneumo_predict(image, 'first'))::numeric, 6) = :sum AS read_only FROM contexts_xrays;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT round(sum(pneumo_predict(image, 'first'))::numeric, 6) = :sum AS serializable FROM contexts_xrays;
COMMIT;
COPY (SELECT id, round(pneumo_predict(image, 'first')::numeric, 3) FROM contexts_xrays ORDER BY 1, 2 LIMIT 3) TO STDOUT;
CREATE MATERIALIZED VIEW contexts_scores AS SELECT id, pneumo_predict(image, 'first') AS p FROM contexts_xrays;
SELECT round(sum(p)::numeric, 6) = :sum AS materialized FROM contexts_scores;
REFRESH MATERIALIZED VIEW contexts_scores;
SELECT round(sum(p)::numeric, 6) = :sum AS refreshed FROM contexts_scores;
CREATE INDEX ON contexts_xrays (pneumo_predict(image, 'first'));
SELECT encode(pneumo_deployed('first'), 'hex') AS sha256 \gset
DO $$ BEGIN EXECUTE format('CREATE INDEX contexts_index ON contexts_xrays (pneumo_predict_version(image, %L))', pneumo_deployed('first')); END $$;
SELECT count(*) > 0 AS indexed FROM contexts_xrays WHERE pneumo_predict_version(image, decode(:'sha256', 'hex')) >= 0;
DROP INDEX contexts_index;
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT count(pneumo_predict(image, 'first')) FROM contexts_xrays;
COMMIT;
SELECT pneumo_cache_clear() IS NOT NULL AS cleared;
FETCH held;
CLOSE held;
-- one that is open goes on with the version that it began with
BEGIN;
DECLARE open CURSOR FOR SELECT pneumo_predict(image, 'first') IS NOT NULL AS predicted FROM contexts_xrays;
FETCH 1 FROM open;
SELECT pneumo_import(model, 'first') IS NOT NULL AS imported FROM fixture WHERE name = 'second';
SELECT pneumo_deploy('first', 2);
SELECT pneumo_cache_clear() IS NOT NULL AS cleared;
FETCH 1 FROM open;
ROLLBACK;
DISCARD ALL;
SELECT round(sum(pneumo_predict(image, 'first'))::numeric, 6) = :sum AS after_discard FROM contexts_xrays;

-- row security, and functions of another's rights
CREATE ROLE regress_contexts;
GRANT SELECT ON contexts_xrays, contexts_scores TO regress_contexts;
ALTER TABLE contexts_xrays ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_row ON contexts_xrays FOR SELECT TO regress_contexts USING (id = 1);
CREATE FUNCTION contexts_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
	SELECT count(pneumo_predict(image, 'first')) FROM contexts_xrays $$;
SET ROLE regress_contexts;
SELECT pneumo_predict(image, 'first') FROM contexts_xrays;
SELECT contexts_definer() = (SELECT count(*) FROM contexts_scores) AS definer;
RESET ROLE;
SELECT pneumo_grant('first', 'regress_contexts', 'predict');
SET ROLE regress_contexts;
SELECT count(pneumo_predict(image, 'first')) = count(*) AS granted, bool_and(id = 1) AS one_row FROM contexts_xrays;
RESET ROLE;
-- a policy that predicts
DROP POLICY one_row ON contexts_xrays;
CREATE POLICY by_score ON contexts_xrays FOR SELECT TO regress_contexts USING (pneumo_predict(image, 'first') >= 0);
SET ROLE regress_contexts;
SELECT count(*) = (SELECT count(*) FROM contexts_scores) AS all_rows FROM contexts_xrays;
RESET ROLE;

DROP MATERIALIZED VIEW contexts_scores;
DROP TABLE contexts_xrays, contexts_train, contexts_trigger;
DROP FUNCTION contexts_train, contexts_trigger, contexts_definer;
DROP PROCEDURE contexts_procedure;
SELECT count(pneumo_drop_model(model)::text) AS dropped FROM pneumo.models WHERE model IN ('first', 'contexts');
SELECT count(pneumo_forget(run)::text) > 0 AS forgotten FROM pneumo.runs WHERE model = 'contexts';
DROP ROLE regress_contexts;
