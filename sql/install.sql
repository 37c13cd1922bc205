-- What CREATE EXTENSION makes: comments, privileges, settings, what is dumped.
CREATE EXTENSION pneumo;

-- every object has a comment
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pneumo')
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL
  -- row and array types, which later servers count among the members
  AND NOT EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
	WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typelem <> 0 OR c.relkind <> 'c'))
ORDER BY 1;

-- functions are in the extension's schema and begin with pneumo_
SELECT p.oid::regprocedure
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pneumo')
  AND (p.proname NOT LIKE 'pneumo\_%' OR p.pronamespace <> 'public'::regnamespace);

-- what PUBLIC may not execute
SELECT p.oid::regprocedure AS not_for_public
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pneumo')
  AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY p.proname COLLATE "C", 1;

-- relations: tables and sequences for nobody, views to be read
SELECT c.relkind, c.relname, has_table_privilege('public', c.oid, 'SELECT') AS read,
	   has_table_privilege('public', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS write,
	   c.reloptions
FROM pg_class c
WHERE c.relnamespace = 'pneumo'::regnamespace AND c.relkind IN ('r', 'v', 'S')
ORDER BY c.relkind, c.relname COLLATE "C";

-- what pg_dump keeps
SELECT c.oid::regclass AS dumped, x.condition
FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS x(oid, condition)
JOIN pg_class c ON c.oid = x.oid
WHERE e.extname = 'pneumo'
ORDER BY c.relname COLLATE "C";

-- settings
SELECT name, context, vartype, boot_val, unit, enumvals
FROM pg_settings WHERE name LIKE 'pneumo.%' ORDER BY name COLLATE "C";
SET pneumo.no_such_setting = 1;
SET pneumo.on_bad_image = 'ignore';

-- the version
SELECT version, build LIKE 'pneumo 0.1.0, %, PostgreSQL %' AS build, simd, blas FROM pneumo_version();

-- no trace after DROP, and another schema will do
DROP EXTENSION pneumo;
SELECT count(*) FROM pg_namespace WHERE nspname = 'pneumo';
CREATE SCHEMA elsewhere;
CREATE EXTENSION pneumo SCHEMA elsewhere;
SET search_path = pg_catalog;
SELECT version FROM elsewhere.pneumo_version();
SELECT count(*) FROM pneumo.models;
SELECT count(*) FROM pneumo.cache;
RESET search_path;
DROP EXTENSION pneumo;
DROP SCHEMA elsewhere;
CREATE EXTENSION pneumo;
