-- Groups of rows: which calls of a query are scored together, and that nobody can tell from the results.
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
-- parallel workers have groups of their own
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT sum(pneumo_predict(image)) FROM groups_xrays;
CREATE TEMP TABLE parallel AS SELECT id, pneumo_predict(image) AS p FROM groups_xrays;
SELECT count(*), count(p), (SELECT count(*) FROM groups_xrays x WHERE pneumo_predict(x.image) IS DISTINCT FROM (SELECT p FROM parallel y WHERE y.id = x.id)) AS different FROM parallel;
SET max_parallel_workers_per_gather = 0;

-- left as they are: one row, few rows, what may not be reached, a class from a column, a volatile image
CREATE FUNCTION groups_plan(query text) RETURNS text LANGUAGE plpgsql AS
$$DECLARE line text; plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP plan := plan || line || E'\n'; END LOOP;
	RETURN CASE WHEN plan LIKE '%PneumoScore%' THEN 'grouped' ELSE 'one by one' END;
END$$;
CREATE FUNCTION groups_volatile(bytea) RETURNS bytea LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN $1; END';
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
	'SELECT pneumo_embed(image) FROM groups_xrays']) query;

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
	'SELECT rank() OVER (ORDER BY pneumo_predict(image), id), id FROM groups_xrays ORDER BY id']) query;

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

DROP TABLE groups_xrays, groups_patients, groups_parts;
DROP FUNCTION groups_plan, groups_same, groups_volatile;
DROP ROLE pneumo_groups_user;
SELECT pneumo_drop_model(model) FROM pneumo.models ORDER BY model;
