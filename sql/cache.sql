-- The cache of ready versions: shared, evicted, dropped, and a session's own.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set ECHO none
\i :fixtures
\set ECHO all

CREATE FUNCTION pg_temp.cache(OUT model text, OUT place text, OUT state text, OUT path text, OUT mapped boolean, OUT used boolean)
	RETURNS SETOF record LANGUAGE sql AS $$
	SELECT v.model, c.place, c.state, c.path, c.mapped, c.hits > 0
	FROM pneumo.cache c JOIN pneumo.versions v USING (sha256) ORDER BY 1, 2 $$;
SELECT pneumo_cache_clear() >= 0 AS cleared;
SELECT pneumo_import(model, name) IS NOT NULL AS imported FROM fixture WHERE name IN ('first', 'second', 'three') ORDER BY name;
SELECT * FROM pg_temp.cache();

-- loaded by whoever comes first
SELECT count(pneumo_classify(pneumo_phantom(1, 'NORMAL', 64), 'first'));
SELECT * FROM pg_temp.cache();
SELECT pneumo_cache_load('second');
SELECT pneumo_cache_load('second');
SELECT * FROM pg_temp.cache();

-- another session finds it
\c -
SELECT place, state, mapped, hits FROM pneumo.cache ORDER BY hits, mapped;
SELECT pneumo_cache_load('first');
SELECT place, state, mapped, hits FROM pneumo.cache ORDER BY hits, mapped;

-- cleared, and loaded again when needed; a running query keeps what it uses
BEGIN;
DECLARE c CURSOR FOR SELECT i, pneumo_classify(pneumo_phantom(1, 'NORMAL', 64), 'first') IS NOT NULL AS ok FROM generate_series(1, 3) i;
FETCH c;
SELECT pneumo_cache_clear();
FETCH c;
SELECT count(*) FROM pneumo.cache;
FETCH c;
COMMIT;
SELECT pneumo_cache_clear();
SELECT pneumo_cache_load('first');
SELECT count(*) FROM pneumo.cache;

-- another CPU path is another entry
SET pneumo.simd = 'portable';
SELECT pneumo_cache_load('first');
SELECT path, place FROM pneumo.cache ORDER BY path;
RESET pneumo.simd;

-- dropped with the last version of those bytes
SELECT pneumo_import(pneumo_export('first'), 'twin') IS NOT NULL AS imported;
SELECT pneumo_drop_model('first');
SELECT count(*) FROM pneumo.cache;
SELECT pneumo_drop_model('twin');
SELECT count(*) FROM pneumo.cache;

-- what is not committed stays in the session, and out of others' way if it is rolled back
BEGIN;
SELECT pneumo_import(pneumo_export('second'), 'draft') IS NOT NULL AS imported;
SELECT pneumo_classify(pneumo_phantom(1, 'NORMAL', 64), 'draft') IS NOT NULL AS scored;
SELECT place FROM pneumo.cache ORDER BY place;
COMMIT;
SELECT pneumo_classify(pneumo_phantom(1, 'NORMAL', 64), 'draft') IS NOT NULL AS scored;
SELECT place FROM pneumo.cache ORDER BY place;
SELECT pneumo_drop_model('draft');
SELECT pneumo_cache_clear();

-- no room in shared memory: a copy of this session, within its limit
ALTER SYSTEM SET pneumo.shared_cache_size = 1;
SELECT pg_reload_conf();
SELECT pg_sleep(0.5);
\c -
SELECT pneumo_cache_load('second');
SELECT place, state, mapped, hits FROM pneumo.cache;
SELECT count(pneumo_classify(pneumo_phantom(1, 'NORMAL', 64), 'second'));
SELECT pneumo_cache_clear();
SELECT count(*) FROM pneumo.cache;
ALTER SYSTEM SET pneumo.local_cache_size = 1;
SELECT pg_reload_conf();
SELECT pg_sleep(0.5);
\c -
\set VERBOSITY sqlstate
SELECT pneumo_cache_load('second');
\set VERBOSITY default
-- in the smallest shared cache that holds one, the other has to leave
ALTER SYSTEM SET pneumo.shared_cache_size = 20;
SELECT pg_reload_conf();
SELECT pg_sleep(0.5);
\c -
SELECT pneumo_cache_load('second');
SELECT pneumo_cache_load('three');
SELECT count(*) FROM pneumo.cache;
SELECT v.model FROM pneumo.cache c JOIN pneumo.versions v USING (sha256);
ALTER SYSTEM RESET pneumo.shared_cache_size;
ALTER SYSTEM RESET pneumo.local_cache_size;
SELECT pg_reload_conf();
SELECT pneumo_cache_clear();
SELECT count(pneumo_drop_model(model) IS NULL) FROM pneumo.models;
