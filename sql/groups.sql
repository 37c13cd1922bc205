-- Batches of rows: which calls of a query are scored together, and that nobody can tell from the outcome.
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
SELECT pneumo_import(model, name) IS NOT NULL AS imported FROM fixture WHERE name IN ('second', 'three') ORDER BY name;
CREATE TABLE groups_xrays (id integer PRIMARY KEY, patient integer, label text, image bytea);
INSERT INTO groups_xrays
	SELECT i, i / 2, label, CASE WHEN i % 10 <> 0 THEN image END
	FROM generate_series(1, 100) i JOIN fixture_image f ON f.id = 1 + i % 4 ORDER BY i;
CREATE TABLE groups_patients AS SELECT i AS patient, i % 3 AS ward FROM generate_series(0, 50) i;
ANALYZE groups_xrays, groups_patients;
-- without parallel plans, so that the shapes are those of the queries
SET max_parallel_workers_per_gather = 0;

-- the library is loaded by planning the first query of a session
\c
SET max_parallel_workers_per_gather = 0;
EXPLAIN (COSTS OFF) SELECT id, pneumo_predict(image) FROM groups_xrays;

-- a scan, a condition, an aggregation, a sort, a join, a subquery, a partitioned table
EXPLAIN (COSTS OFF, VERBOSE) SELECT id, round(pneumo_predict(image)::numeric, 3) AS p, pneumo_classify(image), (pneumo_score(image)).*,
	pneumo_predict(image, 'second') FROM groups_xrays;
EXPLAIN (COSTS OFF) SELECT id, pneumo_predict_raw(image) FROM groups_xrays
	WHERE label = 'NORMAL' AND pneumo_predict(image) > 0.5 AND pneumo_classify(image, 'second') = 'NORMAL';
EXPLAIN (COSTS OFF) SELECT label, avg(pneumo_predict(image)), count(*) FILTER (WHERE pneumo_classify(image) = label) FROM groups_xrays GROUP BY label;
EXPLAIN (COSTS OFF) SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY 2 DESC LIMIT 10;
EXPLAIN (COSTS OFF) SELECT ward, pneumo_predict(image) FROM groups_xrays JOIN groups_patients USING (patient);
EXPLAIN (COSTS OFF) WITH s AS MATERIALIZED (SELECT id, pneumo_predict(image) AS p FROM groups_xrays) SELECT count(*) FROM s WHERE p > 0.5;
-- one that runs again for each row of the other side
EXPLAIN (COSTS OFF) SELECT p.patient, q FROM groups_patients p, LATERAL (SELECT sum(pneumo_predict(image)) q FROM groups_xrays x WHERE x.patient = p.patient) s;
CREATE TABLE groups_parts (id integer, image bytea) PARTITION BY RANGE (id);
CREATE TABLE groups_part_1 PARTITION OF groups_parts FOR VALUES FROM (0) TO (50);
CREATE TABLE groups_part_2 PARTITION OF groups_parts FOR VALUES FROM (50) TO (200);
INSERT INTO groups_parts SELECT id, image FROM groups_xrays;
EXPLAIN (COSTS OFF) SELECT id, pneumo_predict(image) FROM groups_parts;
-- parallel workers have batches of their own
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum(pneumo_predict(image)) FROM groups_xrays;
CREATE TEMP TABLE parallel AS SELECT id, pneumo_predict(image) AS p FROM groups_xrays;
SELECT count(*), count(p), (SELECT count(*) FROM groups_xrays x WHERE pneumo_predict(x.image) IS DISTINCT FROM (SELECT p FROM parallel y WHERE y.id = x.id)) AS different FROM parallel;
SET max_parallel_workers_per_gather = 0;

-- left as they are: one row, few rows, what may not be reached, a class from a column, what is volatile or could fail
CREATE FUNCTION groups_plan(query text) RETURNS text LANGUAGE plpgsql AS
$$DECLARE line text; plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP plan := plan || line || E'\n'; END LOOP;
	RETURN CASE WHEN plan LIKE '%PneumoScore%' THEN 'in batches' ELSE 'one by one' END;
END$$;
CREATE FUNCTION groups_volatile(bytea) RETURNS bytea LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION groups_stable(integer) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1 > 0; END';
SELECT query, groups_plan(query) FROM unnest(ARRAY[
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE id = 1',
	'SELECT pneumo_predict(image) FROM groups_xrays LIMIT 1',
	'SELECT pneumo_predict(image) FROM groups_xrays LIMIT 3',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE pneumo_predict(image) > 0.5 LIMIT 3',
	'SELECT CASE WHEN id > 3 THEN pneumo_predict(image) END FROM groups_xrays',
	'SELECT coalesce(id, pneumo_predict(image)) FROM groups_xrays',
	'SELECT id > 3 AND pneumo_predict(image) > 0.5 FROM groups_xrays',
	'SELECT pneumo_predict(image) > 0.5 AND id > 3 FROM groups_xrays',
	'SELECT avg(pneumo_predict(image)) FILTER (WHERE id > 3) FROM groups_xrays',
	'SELECT pneumo_predict(image, ''three'', label) FROM groups_xrays',
	'SELECT pneumo_predict(groups_volatile(image)) FROM groups_xrays',
	'SELECT pneumo_predict(substr(image, 1)) FROM groups_xrays',
	'SELECT (SELECT count(*) FROM groups_xrays y WHERE y.patient = x.patient AND pneumo_predict(y.image) > 0.5) FROM groups_patients x',
	'SELECT pneumo_predict(image), (SELECT ward FROM groups_patients p WHERE p.patient = x.patient) FROM groups_xrays x',
	'SELECT pneumo_embed(image) FROM groups_xrays',
	'SELECT random(), pneumo_predict(image) FROM groups_xrays',
	'SELECT sum(pneumo_predict(image)), sum(random()) FROM groups_xrays',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE random() < 0.5',
	'SELECT pneumo_predict(image) FROM (SELECT image, random() FROM groups_xrays OFFSET 0) s',
	'SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY random() LIMIT 10',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE label = ''NORMAL'' AND id BETWEEN 3 AND 90 AND patient % 7 <> 1',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE label LIKE ''N%'' AND (CASE WHEN id > 3 THEN ''{"a": 1}''::jsonb ELSE ''{}'' END)->>''a'' IS NOT NULL',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE label NOT LIKE ''N%''',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE label NOT LIKE ''N%'' AND groups_stable(id)',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE 10 / id > 0',
	'SELECT pneumo_predict(decode(label, ''base64'')) FROM groups_xrays',
	'SELECT sum(pneumo_predict(image)) FROM groups_xrays WHERE 10 / id > 0',
	'SELECT 10 / id, sum(pneumo_predict(image)) FROM groups_xrays GROUP BY 1',
	'SELECT pneumo_predict(image) FROM groups_xrays x JOIN groups_patients p ON 10 / p.patient = x.patient',
	'SELECT pneumo_predict(image) FROM groups_xrays WHERE patient > (SELECT min(patient) FROM groups_patients)',
	'SELECT xmax, pneumo_predict(image) FROM groups_xrays',
	'SELECT EXISTS (SELECT FROM groups_xrays WHERE pneumo_predict(image) > 0.5)',
	'SELECT ARRAY(SELECT pneumo_predict(image) FROM groups_xrays)',
	'SELECT patient FROM groups_patients WHERE patient NOT IN (SELECT id FROM groups_xrays WHERE pneumo_predict(image) > 0.5)',
	'SELECT sum(pneumo_predict(image)) FROM groups_xrays WHERE pneumo_predict(image) > 0.5',
	'SELECT * FROM (SELECT row_number() OVER (ORDER BY id) AS n, pneumo_predict(image) FROM groups_xrays) s WHERE n <= 2',
	'SELECT pneumo_predict(image) FROM groups_xrays FOR UPDATE',
	'WITH moved AS (DELETE FROM groups_xrays RETURNING image) SELECT pneumo_predict(image) FROM moved',
	'SELECT pneumo_predict(image) FROM groups_xrays TABLESAMPLE bernoulli (50)',
	'SELECT pneumo_predict(image) FROM (SELECT DISTINCT image FROM groups_xrays) s',
	'CREATE TABLE groups_scored AS SELECT id, pneumo_predict(image) FROM groups_xrays',
	'INSERT INTO groups_patients SELECT id, pneumo_predict(image) FROM groups_xrays']) query;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT groups_plan('SELECT pneumo_predict(image) FROM groups_xrays');
COMMIT;

-- the same results, to the bit, as one by one
CREATE FUNCTION groups_same(query text) RETURNS text LANGUAGE plpgsql AS
$$DECLARE one jsonb; grouped jsonb;
BEGIN
	PERFORM set_config('pneumo.score_groups', 'off', true);
	EXECUTE 'SELECT jsonb_agg(to_jsonb(q)) FROM (' || query || ') q' INTO one;
	PERFORM set_config('pneumo.score_groups', 'on', true);
	EXECUTE 'SELECT jsonb_agg(to_jsonb(q)) FROM (' || query || ') q' INTO grouped;
	RETURN CASE WHEN one = grouped THEN jsonb_array_length(one) || ' rows' ELSE 'different' END;
END$$;
SELECT groups_same(query), query FROM unnest(ARRAY[
	'SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY id',
	'SELECT id, pneumo_predict(image), pneumo_predict_raw(image, ''second''), pneumo_classify(image), (pneumo_score(image, ''second'')).* FROM groups_xrays ORDER BY id',
	'SELECT id, pneumo_predict(image, ''three'', ''VIRUS''), pneumo_predict_raw(image, ''three'', ''NORMAL''), pneumo_classify(image, ''three'') FROM groups_xrays ORDER BY id',
	'SELECT id, pneumo_predict(image, NULL), pneumo_predict(image, ''three'', NULL) FROM groups_xrays ORDER BY id',
	'SELECT label, sum(pneumo_predict(image)), max(pneumo_classify(image)) FROM groups_xrays GROUP BY label ORDER BY label',
	'SELECT pneumo_classify(image), count(*) FROM groups_xrays GROUP BY 1 HAVING min(pneumo_predict(image)) > 0 ORDER BY 1',
	'SELECT id FROM groups_xrays WHERE pneumo_predict(image) > 0.5 AND pneumo_predict(image, ''second'') > 0.4 ORDER BY id',
	'SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY 2 DESC, id LIMIT 10',
	'SELECT ward, pneumo_predict(image), x FROM groups_xrays x JOIN groups_patients USING (patient) ORDER BY id',
	'SELECT p.patient, q FROM groups_patients p, LATERAL (SELECT sum(pneumo_predict(image)) q FROM groups_xrays x WHERE x.patient = p.patient) s ORDER BY 1',
	'SELECT id, pneumo_predict(image), pneumo_score(image), tableoid, ctid FROM groups_parts ORDER BY id',
	'SELECT rank() OVER (ORDER BY pneumo_predict(image), id), id FROM groups_xrays ORDER BY id',
	'SELECT id, CASE WHEN id % 9 = 0 THEN pneumo_predict(image, ''second'') END, pneumo_predict(image, CASE id % 3 WHEN 0 THEN ''second'' ELSE ''default'' END), pneumo_predict(image) FROM groups_xrays ORDER BY id',
	'SELECT id, array_agg(pneumo_predict(image)) FROM groups_xrays GROUP BY id ORDER BY id',
	'SELECT * FROM (SELECT id, pneumo_predict(image) AS p FROM groups_xrays ORDER BY label, id LIMIT 10 OFFSET 5) s LIMIT 2',
	'SELECT * FROM (SELECT id, pneumo_predict(image) AS p FROM groups_xrays ORDER BY label, id OFFSET 95) s LIMIT 3',
	'SELECT * FROM (SELECT * FROM (SELECT id, pneumo_predict(image) AS p FROM groups_xrays ORDER BY label, id OFFSET 3) r LIMIT 8 OFFSET 2) s LIMIT 9 OFFSET 1']) query;

-- with memory for fewer rows at once
SET pneumo.predict_memory = '64kB';
SELECT groups_same('SELECT id, pneumo_predict(image), pneumo_predict(image, ''second'') FROM groups_xrays ORDER BY id');
RESET pneumo.predict_memory;

-- an error is that of its row, and only when the row's turn comes
INSERT INTO groups_xrays VALUES (101, 1, 'NORMAL', '\x00');
EXPLAIN (COSTS OFF) SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY id OFFSET 97 LIMIT 3;
SELECT id, pneumo_predict(image) IS NULL AS empty FROM groups_xrays ORDER BY id OFFSET 97 LIMIT 3;
SELECT id, pneumo_predict(image) IS NULL AS empty FROM (SELECT * FROM groups_xrays ORDER BY id OFFSET 97) s;
SELECT count(*), count(pneumo_predict(image)) FROM groups_xrays;
SELECT count(pneumo_predict(image, 'three')) FROM groups_xrays;
SELECT count(pneumo_predict(image, 'three', 'COVID')) FROM groups_xrays;
SELECT count(pneumo_predict(image, 'none')) FROM groups_xrays;
SELECT count(pneumo_predict(image, 'none')) FROM groups_xrays WHERE id % 10 = 0;
SELECT count(*) FROM groups_xrays WHERE pneumo_predict(image) > 2 AND pneumo_predict(image, 'none') > 2 AND id < 101;
SELECT count(pneumo_predict(image, 'three')) FROM groups_xrays WHERE pneumo_classify(image, 'three') = 'COVID' AND id < 101;
SET pneumo.on_bad_image = 'null';
SELECT count(*), count(pneumo_predict(image)) FROM groups_xrays;
RESET pneumo.on_bad_image;
DELETE FROM groups_xrays WHERE id = 101;

-- other expressions are not evaluated ahead, either
SELECT pneumo_predict(image) > 0 AS scored, 1 / (id - 3) AS quotient FROM groups_xrays ORDER BY id LIMIT 2;
SELECT pneumo_predict(image) > 0 AS scored, 1 / (id - 3) AS quotient FROM groups_xrays ORDER BY id LIMIT 3;

-- nor are effects and errors those of other rows, or come in another order: what a transaction does is the same
CREATE FUNCTION groups_outcome(commands text[], batches text) RETURNS text LANGUAGE plpgsql AS
$$DECLARE command text; part text; outcome text := '';
BEGIN
	PERFORM set_config('pneumo.score_groups', batches, true);
	FOREACH command IN ARRAY commands LOOP
		IF command ~ '^(SELECT|WITH)' THEN
			EXECUTE 'CREATE TEMP TABLE groups_result AS ' || command;
			EXECUTE 'SELECT string_agg(r::text, '' '') FROM groups_result r' INTO part;
			outcome := concat_ws('; ', outcome, part);
			DROP TABLE groups_result;
		ELSE
			EXECUTE command;
		END IF;
	END LOOP;
	RAISE SQLSTATE 'GR000';
EXCEPTION
	WHEN SQLSTATE 'GR000' THEN RETURN outcome;
	WHEN OTHERS THEN RETURN concat_ws('; ', outcome, SQLERRM);
END$$;
CREATE FUNCTION groups_alike(VARIADIC commands text[]) RETURNS text LANGUAGE plpgsql AS
$$DECLARE alone text := groups_outcome(commands, 'off'); batches text := groups_outcome(commands, 'on');
BEGIN
	RETURN CASE WHEN alone = batches THEN 'the same' ELSE 'different: ' || alone || ' / ' || batches END ||
		CASE WHEN alone ~ '[a-z]{3} ' THEN ': ' || alone ELSE '' END;
END$$;
CREATE TABLE groups_models AS SELECT id, CASE WHEN id % 2 = 0 THEN 'default' ELSE 'second' END AS model, image FROM groups_xrays WHERE id % 10 > 0 ORDER BY id LIMIT 12;
CREATE TABLE groups_scored (image bytea, score float8);
CREATE TABLE groups_twice AS SELECT i AS id, image FROM groups_xrays, generate_series(0, 1) i WHERE id BETWEEN 1 AND 5 ORDER BY i, id;
ANALYZE groups_models, groups_twice;
CREATE FUNCTION groups_unseen(picture bytea) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT NOT EXISTS (SELECT FROM groups_scored WHERE image = sha256($1))';
CREATE SEQUENCE groups_sequence;
-- the model, changed by the query itself
SELECT groups_alike('SELECT id, set_config(''pneumo.default_model'', model, false), pneumo_predict(image) FROM groups_models');
SELECT groups_alike('SELECT id, pneumo_predict(image) FROM groups_models WHERE set_config(''pneumo.default_model'', model, false) <> ''''');
SELECT groups_alike('SELECT id, pneumo_predict(image) FROM (SELECT *, set_config(''pneumo.default_model'', model, false) FROM groups_models OFFSET 0) s');
SELECT groups_alike('SELECT id, p, set_config(''pneumo.default_model'', model, false) FROM (SELECT *, pneumo_predict(image) AS p FROM groups_models OFFSET 0) s');
SELECT groups_alike('SELECT sum(pneumo_predict(image)), count(set_config(''pneumo.default_model'', model, false)) FROM groups_models');
-- and by a trigger on its target
CREATE FUNCTION groups_trigger() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN
	PERFORM set_config('pneumo.default_model', CASE current_setting('pneumo.default_model') WHEN 'second' THEN 'default' ELSE 'second' END, false);
	RETURN NEW;
END$$;
CREATE TRIGGER groups_trigger BEFORE INSERT OR UPDATE ON groups_scored FOR EACH ROW EXECUTE FUNCTION groups_trigger();
SELECT groups_plan('INSERT INTO groups_scored SELECT image, pneumo_predict(image) FROM groups_models');
SELECT groups_alike('INSERT INTO groups_scored SELECT image, pneumo_predict(image) FROM groups_models', 'SELECT score FROM groups_scored');
SELECT groups_alike('INSERT INTO groups_scored SELECT image, id FROM groups_models',
	'UPDATE groups_scored SET score = score - pneumo_predict(image)', 'SELECT score FROM groups_scored');
DROP TRIGGER groups_trigger ON groups_scored;
-- conditions that look at what the query has done
SELECT groups_alike('INSERT INTO groups_scored SELECT sha256(image), pneumo_predict(image) FROM groups_twice WHERE groups_unseen(image)',
	'SELECT count(*) FROM groups_scored');
SELECT groups_alike('INSERT INTO groups_scored SELECT sha256(image), pneumo_predict(image) FROM (SELECT * FROM groups_twice WHERE groups_unseen(image) OFFSET 0) s',
	'SELECT count(*) FROM groups_scored');
SELECT groups_alike('SELECT setval(''groups_sequence'', 1)', 'SELECT id, pneumo_predict(image) FROM groups_xrays WHERE nextval(''groups_sequence'') > 0 LIMIT 3',
	'SELECT last_value FROM groups_sequence');
-- who stops early does not see the error of a later row
SELECT groups_alike('SELECT EXISTS (SELECT FROM groups_xrays WHERE 10 / (2 - id) > 0 AND pneumo_predict(image) >= 0)');
SELECT groups_alike('SELECT (SELECT pneumo_predict(image) FROM groups_xrays WHERE 10 / (2 - id) > 0 LIMIT 1)');
SELECT groups_alike('SELECT id, pneumo_predict(image) FROM groups_xrays WHERE 10 / (4 - id) > 0 LIMIT 3');
SET enable_sort = off;
SET enable_seqscan = off;
-- whether the third row is reached differs between server versions
SELECT left(groups_alike('SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, pneumo_predict(image) FROM groups_xrays WHERE 10 / (3 - id) > 0) s WHERE n <= 1'), 8) AS alike;
SELECT groups_alike('SELECT * FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, pneumo_predict(image) FROM groups_xrays) s WHERE n <= 2');
RESET enable_sort;
RESET enable_seqscan;
SELECT groups_alike('SELECT id, pneumo_predict(image) FROM (SELECT id, image, 10 / (4 - id) FROM groups_xrays ORDER BY id OFFSET 0) s LIMIT 3');
SELECT groups_alike('SELECT x.id, pneumo_predict(image) FROM groups_xrays x LEFT JOIN groups_patients p ON 10 / (4 - x.id) = p.patient LIMIT 3');
CREATE FUNCTION groups_sql() RETURNS float8 LANGUAGE sql AS 'SELECT pneumo_predict(image) FROM groups_xrays WHERE 10 / (2 - id) > 0';
CREATE FUNCTION groups_into() RETURNS float8 LANGUAGE plpgsql AS
$$DECLARE p float8;
BEGIN
	SELECT pneumo_predict(image) INTO p FROM groups_xrays WHERE 10 / (2 - id) > 0;
	RETURN p;
END$$;
CREATE FUNCTION groups_loop() RETURNS float8 LANGUAGE plpgsql AS
$$DECLARE p float8;
BEGIN
	FOR p IN SELECT pneumo_predict(image) FROM groups_xrays WHERE 100 / (12 - id) > 0 LOOP RETURN p; END LOOP;
END$$;
CREATE FUNCTION groups_cursor() RETURNS float8 LANGUAGE plpgsql AS
$$DECLARE p float8; c CURSOR FOR SELECT pneumo_predict(image) FROM groups_xrays WHERE 10 / (2 - id) > 0;
BEGIN
	OPEN c;
	FETCH c INTO p;
	RETURN p;
END$$;
SELECT groups_alike('SELECT groups_sql()'), groups_alike('SELECT groups_into()'), groups_alike('SELECT groups_loop()'), groups_alike('SELECT groups_cursor()');
-- the first error of several is the one that comes first
SELECT groups_alike('SELECT pneumo_predict(image, ''none''), 1 / (id - 10) FROM groups_xrays WHERE id >= 10 ORDER BY id');
SELECT groups_alike('SELECT pneumo_predict(image), 1 / (id - 2) FROM groups_xrays WHERE 10 / (3 - id) > 0');
CREATE TABLE groups_bad AS SELECT id, label, CASE WHEN id = 4 THEN '\x00' ELSE image END AS image FROM groups_xrays;
ANALYZE groups_bad;
SELECT groups_alike('SELECT sum(1 / (id - 1)) AS a, sum(pneumo_predict(image, ''none'')) AS b FROM groups_bad');
SELECT groups_alike('SELECT sum(pneumo_predict(image, ''none'')) AS a, sum(1 / (id - 1)) AS b FROM groups_bad');
SELECT groups_alike('SELECT sum(1 / (id - 4)) AS a, sum(pneumo_predict(image)) AS b FROM groups_bad');
SELECT groups_alike('SELECT sum(1 / (id - 5)) AS a, sum(pneumo_predict(image)) AS b FROM groups_bad');
SELECT groups_alike('SELECT sum(1 / (id - 4)) FILTER (WHERE pneumo_predict(image) > 0) AS a FROM groups_bad');
SELECT groups_alike('SELECT id, count(pneumo_predict(image)) AS a, sum(1 / (id - 3)) AS b FROM groups_bad GROUP BY id');
SELECT groups_alike('SELECT 1 / (id - 4) AS a, count(pneumo_predict(image)) FROM groups_bad GROUP BY 1');
SELECT groups_alike('SELECT 1 / (id - 5) AS a, count(pneumo_predict(image)) FROM groups_bad GROUP BY 1');
CREATE TABLE groups_checked (id integer CHECK (id < 3), score float8);
SELECT groups_alike('INSERT INTO groups_checked SELECT id, pneumo_predict(image) FROM groups_bad');
SELECT groups_alike('INSERT INTO groups_checked SELECT id - 2, pneumo_predict(image) FROM groups_bad');
SET pneumo.on_bad_image = 'null';
SELECT groups_alike('SELECT id, pneumo_predict(image), pneumo_classify(image) FROM groups_bad');
RESET pneumo.on_bad_image;
-- a model that the caller may not use, met before its turn
SELECT groups_alike('SELECT pneumo_predict(image, ''none'') FROM groups_xrays WHERE id IN (10, 11, 20) ORDER BY id LIMIT 1');
SELECT groups_alike('SELECT id FROM (SELECT id, pneumo_predict(image, ''none'') FROM groups_xrays WHERE id IN (10, 11, 20) ORDER BY id OFFSET 0) s LIMIT 1');
DROP FUNCTION groups_sql, groups_into, groups_loop, groups_cursor, groups_trigger CASCADE;

-- the plan is not worse for it: a sort that need not keep all rows does not
CREATE FUNCTION groups_sort(query text) RETURNS SETOF text LANGUAGE plpgsql AS
$$DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || query LOOP
		IF line ~ 'PneumoScore' THEN RETURN NEXT 'PneumoScore'; END IF;
		IF line ~ 'Sort Method' THEN RETURN NEXT substring(line from '(Sort Method: [^ ]+ [^ ]+)'); END IF;
	END LOOP;
END$$;
SELECT groups_sort('SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY label, id LIMIT 3');
SELECT groups_sort('SELECT * FROM (SELECT id, pneumo_predict(image) FROM groups_xrays ORDER BY label, id LIMIT 10 OFFSET 5) s LIMIT 2');

-- many calls of a function in one query need no more memory than a few
CREATE TABLE groups_few AS SELECT id, image FROM groups_xrays WHERE id < 3;
ANALYZE groups_few;
CREATE FUNCTION groups_memory() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts';
CREATE FUNCTION groups_batch(integer) RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT sum(pneumo_predict(image)) + $1 FROM groups_few';
CREATE FUNCTION groups_alone(integer) RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT pneumo_predict(image) + $1 FROM groups_few WHERE id = 1 LIMIT 1';
SELECT groups_plan('SELECT sum(pneumo_predict(image)) FROM groups_few'), groups_plan('SELECT pneumo_predict(image) FROM groups_few WHERE id = 1 LIMIT 1');
WITH calls AS MATERIALIZED (SELECT i, groups_batch(i), CASE WHEN i % 300 = 0 THEN groups_memory() END AS bytes FROM generate_series(1, 900) i)
	SELECT count(*), max(bytes) FILTER (WHERE i = 900) - max(bytes) FILTER (WHERE i = 300) < 200000 AS flat FROM calls;
WITH calls AS MATERIALIZED (SELECT i, groups_alone(i), CASE WHEN i % 300 = 0 THEN groups_memory() END AS bytes FROM generate_series(1, 900) i)
	SELECT count(*), max(bytes) FILTER (WHERE i = 900) - max(bytes) FILTER (WHERE i = 300) < 200000 AS flat FROM calls;

-- cursors step row by row, back, too
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, pneumo_predict(image) > 0 AS scored FROM groups_xrays ORDER BY id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
DECLARE d NO SCROLL CURSOR FOR SELECT id, pneumo_predict(image) > 0 AS scored FROM groups_xrays;
FETCH 1 FROM d;
UPDATE groups_xrays SET patient = -1 WHERE CURRENT OF d RETURNING id, patient;
ROLLBACK;

-- prepared statements, generic and custom; INSERT and UPDATE
PREPARE scores(text) AS SELECT count(*), sum(pneumo_predict(image, $1)) = (SELECT sum(pneumo_predict(image, 'second')) FROM groups_xrays) AS same FROM groups_xrays;
EXECUTE scores('second');
SET plan_cache_mode = force_generic_plan;
EXECUTE scores('second');
EXECUTE scores(NULL);
EXECUTE scores('none');
RESET plan_cache_mode;
ALTER TABLE groups_xrays ADD COLUMN score float8;
EXPLAIN (COSTS OFF) UPDATE groups_xrays SET score = pneumo_predict(image);
UPDATE groups_xrays SET score = pneumo_predict(image);
SELECT count(*), count(score), count(*) FILTER (WHERE score IS DISTINCT FROM pneumo_predict(image)) AS different FROM groups_xrays;

-- switched off
SET pneumo.score_groups = off;
EXPLAIN (COSTS OFF) SELECT sum(pneumo_predict(image)) FROM groups_xrays;
RESET pneumo.score_groups;

-- the right to execute is asked for as ever
CREATE ROLE pneumo_groups_user;
GRANT SELECT ON groups_xrays TO pneumo_groups_user;
REVOKE EXECUTE ON FUNCTION pneumo_predict(bytea, text) FROM PUBLIC;
SET ROLE pneumo_groups_user;
SELECT count(pneumo_predict(image, 'second')) FROM groups_xrays;
RESET ROLE;
GRANT EXECUTE ON FUNCTION pneumo_predict(bytea, text) TO PUBLIC;
SET ROLE pneumo_groups_user;
SELECT count(pneumo_predict(image, 'second')) FROM groups_xrays;
RESET ROLE;

DROP TABLE groups_xrays, groups_patients, groups_parts, groups_models, groups_scored, groups_twice, groups_bad, groups_checked, groups_few;
DROP SEQUENCE groups_sequence;
DROP FUNCTION groups_plan, groups_same, groups_volatile, groups_stable, groups_outcome, groups_alike, groups_unseen, groups_sort, groups_memory, groups_batch, groups_alone;
DROP ROLE pneumo_groups_user;
SELECT pneumo_drop_model(model) FROM pneumo.models ORDER BY model;
