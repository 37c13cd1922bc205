-- The life of runs: waiting, rollback, cancel, resume, forget, and who may.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
CREATE TABLE runs_xrays AS
	SELECT i AS id, pneumo_phantom(i, l, 64) AS image, l AS label
	FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
		  FROM generate_series(1, 300) i) s;
\set fast '{"name": "runs", "image_size": [16, 16], "epochs": 2, "verbose": 0, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}'
\set slow '{"name": "runs", "image_size": [64, 64], "epochs": 1000, "verbose": 0, "early_stopping": null}'

-- wait => true stands alone
BEGIN;
CREATE TABLE runs_written (a integer);
SELECT pneumo_train('runs_xrays', :'fast');
ROLLBACK;

-- wait => false starts at commit
BEGIN;
SELECT pneumo_train('runs_xrays', :'fast', false) AS run \gset
SELECT phase FROM pneumo.progress WHERE run = :run;
SELECT state, owner = current_user AS mine, model FROM pneumo.runs WHERE run = :run;
\set VERBOSITY sqlstate
SELECT pneumo_wait(:run);
\set VERBOSITY terse
ROLLBACK;
SELECT count(*) AS live FROM (SELECT pg_sleep(0.5)) s, pneumo.progress;
SELECT count(*) AS runs FROM pneumo.runs WHERE run = :run;

-- rows loaded in the same transaction are seen; a savepoint rolls back alone
BEGIN;
INSERT INTO runs_xrays SELECT 1000, pneumo_phantom(1000, 'NORMAL', 64), 'NORMAL';
SAVEPOINT s;
SELECT pneumo_train('runs_xrays', :'fast', false) AS lost \gset
ROLLBACK TO s;
SELECT count(*) AS live FROM (SELECT pg_sleep(0.5)) s, pneumo.progress;
SELECT pneumo_train('runs_xrays', :'fast', false) AS run \gset
COMMIT;
SELECT pneumo_wait(:run);
SELECT state, (SELECT sum(v::int) FROM jsonb_each(samples->'rows') AS s(k, o), jsonb_each_text(o) AS c(l, v)) AS rows
FROM pneumo.runs WHERE run = :run;
SELECT pneumo_wait(:run);
CREATE PROCEDURE runs_watch(run bigint) LANGUAGE plpgsql AS $$ BEGIN CALL pneumo_watch(run); END $$;
CALL pneumo_watch(:run);
CALL runs_watch(:run);
CALL pneumo_watch(NULL);
BEGIN;
\set VERBOSITY sqlstate
CALL pneumo_watch(:run);
\set VERBOSITY terse
ROLLBACK;

-- more than pneumo.max_training_runs are queued, in the order of their asking
SELECT pneumo_train('runs_xrays', :'slow', false) AS run \gset
CREATE PROCEDURE runs_until(condition text) LANGUAGE plpgsql AS $$
DECLARE done boolean;
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXECUTE 'SELECT ' || condition INTO done;
		EXIT WHEN done;
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
CALL runs_until('EXISTS (SELECT FROM pneumo.progress WHERE epoch > 0)');
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "queued 1"}', false) AS queued1 \gset
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "queued 2"}', false) AS queued2 \gset
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "queued 3"}', false) AS queued3 \gset
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "queued 4"}', false) AS queued4 \gset
CALL runs_until('(SELECT count(*) = 4 FROM pneumo.run WHERE state = ''queued'')');
SELECT model, state, started IS NULL AS waits FROM pneumo.runs WHERE run >= :run ORDER BY run;
SELECT phase FROM pneumo.progress WHERE run = :queued2;
\set VERBOSITY sqlstate
SELECT pneumo_train('runs_xrays', :'fast'); -- the queue is full
SELECT pneumo_forget(:queued2);
SELECT pneumo_resume(:queued2);
\set VERBOSITY terse
-- one that is cancelled in the queue can begin later
SELECT pneumo_cancel(:queued2);
SELECT pneumo_wait(:queued2);
SELECT pneumo_resume(:queued2, wait => false) = :queued2 AS same;
SELECT state FROM pneumo.runs WHERE run = :queued2;
-- a caller that waits for its turn is told, and has its timeout
SELECT pneumo_cancel(:queued3);
SELECT pneumo_wait(:queued3);
SET client_min_messages = notice;
SET statement_timeout = '2s';
\set VERBOSITY sqlstate
SELECT pneumo_train('runs_xrays', :'fast');
\set VERBOSITY terse
RESET statement_timeout;
SET client_min_messages = warning;

-- cancel; a cancelled run has a checkpoint
\set VERBOSITY sqlstate
SELECT pneumo_forget(:run);
SELECT pneumo_resume(:run);
\set VERBOSITY terse
SELECT owner = current_user AS owner, phase IN ('training', 'validating') AS training, epochs, batches > 0 AS batches
FROM pneumo.progress WHERE run = :run;
SELECT pneumo_cancel(:run);
SELECT pneumo_wait(:run);
SELECT pneumo_wait(:queued2);
SELECT pneumo_wait(:queued4);
SELECT model, state FROM pneumo.runs WHERE model LIKE 'queued%' ORDER BY started;
SELECT count(pneumo_drop_model(model)::text) AS dropped FROM pneumo.models WHERE model LIKE 'queued%';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'queued%';
SELECT state, error FROM pneumo.runs WHERE run = :run;
SELECT count(*) AS deployed FROM pneumo.versions WHERE run = :run AND deployed;

-- a run needs the same data to go on
DELETE FROM runs_xrays WHERE id = 7;
\set VERBOSITY sqlstate
SELECT pneumo_resume(:run);
\set VERBOSITY terse
SELECT state, regexp_replace(error, '\d+', 'N') AS error FROM pneumo.runs WHERE run = :run;
SELECT pneumo_forget(:run);
SELECT count(*) FROM pneumo.runs WHERE run = :run;
SELECT count(*) FROM pneumo.history WHERE run = :run;

-- timeout of a waiting caller cancels
SET statement_timeout = '3s';
\set VERBOSITY sqlstate
SELECT pneumo_train('runs_xrays', :'slow');
\set VERBOSITY terse
RESET statement_timeout;
SELECT max(run) AS run FROM pneumo.runs \gset
DO $$ BEGIN
	FOR i IN 1 .. 100 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM pneumo.progress);
		PERFORM pg_sleep(0.1);
	END LOOP;
END $$;
SELECT state FROM pneumo.runs WHERE run = :run;

-- others
CREATE ROLE regress_pneumo_other;
CREATE ROLE regress_pneumo_monitor IN ROLE pg_monitor;
SET ROLE regress_pneumo_other;
SELECT count(*) AS visible FROM pneumo.runs;
SELECT count(*) AS visible FROM pneumo.history;
\set VERBOSITY sqlstate
SELECT pneumo_wait(:run);
SELECT pneumo_cancel(:run);
SELECT pneumo_forget(:run);
SELECT pneumo_resume(:run);
RESET ROLE;
SET ROLE regress_pneumo_monitor;
SELECT count(*) > 0 AS visible FROM pneumo.runs;
SELECT pneumo_wait(:run);
SELECT pneumo_forget(:run);
RESET ROLE;
SELECT pneumo_wait(-1);
SELECT pneumo_cancel(-1);
\set VERBOSITY terse

-- a run that made no version gives its name back, to whoever wants it
\set lost '{"name": "lost", "image_size": [16, 16], "epochs": 2, "verbose": 0, "validation_split": 0.9, "test_split": 0.02, "split_seed": 3, "max_bad_images": 0, "layers": [{"class_name": "Flatten"}, {"class_name": "Dense", "config": {"units": 1, "activation": "sigmoid"}}]}'
CREATE TABLE runs_bad AS SELECT * FROM runs_xrays WHERE id < 100;
INSERT INTO runs_bad VALUES (-1, 'no JPEG', 'NORMAL');
SELECT pneumo_train('runs_bad', :'lost');
SELECT state FROM pneumo.runs WHERE model = 'lost';
SELECT count(*) AS models FROM pneumo.models WHERE model = 'lost';
CREATE ROLE regress_pneumo_heir;
GRANT EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean), pneumo_cancel(bigint), pneumo_wait(bigint) TO regress_pneumo_heir;
GRANT SELECT ON runs_xrays TO regress_pneumo_heir;
-- a cancelled one too, if it had not come to its first epoch
SELECT pneumo_train('runs_xrays', (:'slow'::jsonb || '{"name": "lost", "image_size": [128, 128], "batch_size": 100}'), false) AS run \gset
DO $$ BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN EXISTS (SELECT FROM pneumo.progress WHERE phase = 'training');
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
-- while it runs the name is taken
SET ROLE regress_pneumo_heir;
SELECT pneumo_train('runs_xrays', (:'lost'::jsonb || '{"max_bad_images": 1}'));
RESET ROLE;
SELECT pneumo_cancel(:run);
SELECT pneumo_wait(:run);
SELECT version IS NULL AS none FROM pneumo.runs WHERE run = :run;
SELECT count(*) AS models FROM pneumo.models WHERE model = 'lost';
SET ROLE regress_pneumo_heir;
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "lost"}') > 0 AS trained;
SELECT owner FROM pneumo.models WHERE model = 'lost';
RESET ROLE;
SELECT pneumo_drop_model('lost');
-- something granted on it keeps it
SELECT pneumo_train('runs_xrays', (:'slow'::jsonb || '{"name": "lost", "image_size": [128, 128], "batch_size": 100}'), false) AS run \gset
DO $$ BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXIT WHEN EXISTS (SELECT FROM pneumo.progress WHERE phase = 'training');
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT pneumo_grant('lost', 'regress_pneumo_heir', 'predict');
SELECT pneumo_cancel(:run);
SELECT pneumo_wait(:run);
SET ROLE regress_pneumo_heir;
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "lost"}') > 0 AS trained;
RESET ROLE;
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "lost"}') > 0 AS trained;
SELECT pneumo_drop_model('lost');
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model = 'lost';
DROP TABLE runs_bad;
REVOKE EXECUTE ON FUNCTION pneumo_train(regclass, jsonb, boolean), pneumo_cancel(bigint), pneumo_wait(bigint) FROM regress_pneumo_heir;

-- what one model may take in a query is a setting
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "wide", "image_size": [96, 96]}') > 0 AS trained;
SELECT pneumo_train('runs_xrays', :'fast'::jsonb || '{"name": "wider", "image_size": [320, 320]}') > 0 AS trained;
SET pneumo.predict_memory = '64kB';
SELECT count(pneumo_predict(image, 'wide')) FROM runs_xrays WHERE id < 3;
SELECT pneumo_embed(image, 'wide') IS NULL FROM runs_xrays WHERE id < 3;
SELECT pneumo_predict(image, 'wider') FROM runs_xrays WHERE id < 3;
SET pneumo.predict_memory = '256kB';
SELECT DISTINCT cardinality(pneumo_embed(image, 'wide')) FROM runs_xrays WHERE id < 3;
SELECT pneumo_predict(image, 'wider') FROM runs_xrays WHERE id < 3;
SET pneumo.predict_memory = '2MB';
SELECT count(pneumo_predict(image, 'wider')) FROM runs_xrays WHERE id < 3;
RESET pneumo.predict_memory;
SELECT count(pneumo_drop_model(model)::text) AS dropped FROM pneumo.models WHERE model LIKE 'wide%';
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model LIKE 'wide%';

SELECT pneumo_drop_model('runs');
SELECT count(pneumo_forget(run)::text) AS forgotten FROM pneumo.runs WHERE model = 'runs';
DROP PROCEDURE runs_watch, runs_until;
DROP TABLE runs_xrays;
DROP ROLE regress_pneumo_other, regress_pneumo_monitor, regress_pneumo_heir;
