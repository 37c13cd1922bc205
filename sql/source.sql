-- The table that is read: what is checked, and what happens to a table that changes meanwhile.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\getenv abs_srcdir PG_ABS_SRCDIR
\set fixtures :abs_srcdir '/tests/fixtures/models.sql'
\set ECHO none
\i :fixtures
\set ECHO all
\set VERBOSITY terse

SELECT pneumo_import(model, CASE name WHEN 'first' THEN 'default' ELSE name END) IS NOT NULL AS imported
FROM fixture WHERE name IN ('first', 'second');
CREATE TABLE reading (id int PRIMARY KEY, label text, image bytea);
INSERT INTO reading
	SELECT i, l, pneumo_phantom(i, l, 64)
	FROM generate_series(1, 60) i, LATERAL (SELECT CASE i % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END) c(l);

-- no relation has this OID
SELECT pneumo_train(0, '{"name": "x"}');
SELECT * FROM pneumo_plan(0);
SELECT pneumo_prepare_table(0);
SELECT pneumo_prepare_table(4294967295);
SELECT * FROM pneumo_check(0);
SELECT * FROM pneumo_eigenimages(0);
SELECT * FROM pneumo_evaluate(0, 'default');
SELECT * FROM pneumo_compare(0, 'default', 'second');
SELECT * FROM pneumo_failures(0, 'default');
SELECT pneumo_plot_evaluation(0, 'default', 'roc');
SELECT pneumo_report('default', 0);
CALL pneumo_score_table(0);

-- what is no table
CREATE SEQUENCE reading_sequence;
SELECT * FROM pneumo_check('reading_sequence');
SELECT * FROM pneumo_check('reading_pkey');
SELECT pneumo_prepare_table('reading_pkey');
CALL pneumo_score_table('reading_sequence');
CALL pneumo_score_table('reading_pkey');
DROP SEQUENCE reading_sequence;

-- char(n): the blanks belong neither to a class nor to a label
CREATE DOMAIN padded AS char(12);
CREATE TABLE blanks AS SELECT id, label::char(12) AS label, label::padded AS padded, image FROM reading;
SELECT classes FROM pneumo_plan('blanks', '{"model": "baseline", "image_size": [32, 32]}');
SELECT classes FROM pneumo_plan('blanks', '{"model": "baseline", "image_size": [32, 32], "label_column": "padded", "positive_class": "NORMAL"}');
SELECT classes FROM pneumo_plan('blanks', '{"model": "baseline", "image_size": [32, 32], "positive_class": "SICK"}');
DROP TABLE blanks;
DROP DOMAIN padded;

-- A view whose function puts a table with other types in its place, at once or
-- once the view was read so many times.
CREATE TABLE decoy AS SELECT id, label, 4242::bigint AS image FROM reading;
CREATE SEQUENCE reads;
CREATE FUNCTION swap(after bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF to_regclass('public.away') IS NULL AND nextval('public.reads') > after THEN
		ALTER VIEW public.swapping RENAME TO away;
		ALTER TABLE public.decoy RENAME TO swapping;
	END IF;
	RETURN true;
END $$;
\set swapping 'CREATE VIEW swapping AS SELECT id, label, image FROM reading WHERE swap('
\set c '{"model": "baseline", "image_size": [32, 32]}'
\set VERBOSITY default
BEGIN;
:swapping 0);
SELECT classes FROM pneumo_plan('swapping', :'c');
ROLLBACK;
\set VERBOSITY terse
-- while the rows are read, which go on coming from the view; the next reading tells
BEGIN;
ALTER SEQUENCE reads RESTART;
:swapping 70);
SELECT classes FROM pneumo_plan('swapping', :'c');
SELECT classes FROM pneumo_plan('swapping', :'c');
ROLLBACK;
BEGIN;
ALTER SEQUENCE reads RESTART;
:swapping 0);
SELECT count(*) FROM pneumo_failures('swapping', 'default', '{"split": "train", "test_split": 0.2, "neighbours": 1}');
ROLLBACK;
-- The view is dropped, its column is: the server refuses that while it is read.
CREATE FUNCTION change(command text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN true;
END $$;
BEGIN;
CREATE VIEW swapping AS SELECT id, label, image FROM reading WHERE change('DROP VIEW public.swapping');
SELECT classes FROM pneumo_plan('swapping', :'c');
ROLLBACK;
BEGIN;
CREATE VIEW swapping AS SELECT id, label, image FROM reading WHERE change('ALTER TABLE public.reading ALTER image TYPE bigint USING 1');
SELECT classes FROM pneumo_plan('swapping', :'c');
ROLLBACK;
-- The schema is renamed, and another one takes its name.
BEGIN;
CREATE SCHEMA room;
CREATE SCHEMA other_room;
CREATE TABLE other_room.swapping AS SELECT * FROM decoy;
CREATE VIEW room.swapping AS SELECT id, label, image FROM public.reading
	WHERE to_regnamespace('elsewhere') IS NOT NULL OR
		(public.change('ALTER SCHEMA room RENAME TO elsewhere') AND public.change('ALTER SCHEMA other_room RENAME TO room'));
SELECT classes FROM pneumo_plan('room.swapping', :'c');
ROLLBACK;
-- A function that planning calls, since it says that it is immutable; what was
-- planned is the view, so that one reading is right and the next one an error.
CREATE FUNCTION swap_in_planning() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN public.swap(0);
END $$;
BEGIN;
CREATE VIEW swapping AS SELECT id, label, image FROM reading WHERE swap_in_planning();
SELECT classes FROM pneumo_plan('swapping', :'c');
ROLLBACK;
BEGIN;
CREATE VIEW swapping AS SELECT id, label, image FROM reading WHERE swap_in_planning();
SELECT count(*) FROM pneumo_eigenimages('swapping', '{"image_size": [16, 16]}');
ROLLBACK;
-- The way back to the session's user is closed, as ever.
CREATE ROLE regress_reader;
GRANT SELECT ON reading TO regress_reader;
BEGIN;
CREATE VIEW swapping AS SELECT id, label, image FROM reading WHERE change('RESET ROLE');
GRANT SELECT ON swapping TO regress_reader;
SET ROLE regress_reader;
SELECT classes FROM pneumo_plan('swapping', '{"name": "mine", "model": "baseline", "image_size": [32, 32]}');
ROLLBACK;

-- pneumo_score_table: a trigger swaps the table between two batches, and within
-- one; nothing is written into the table that took the place.
CREATE FUNCTION swap_scored() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF to_regclass('public.away') IS NULL THEN
		ALTER TABLE public.scored RENAME TO away;
		EXECUTE format('CREATE TABLE public.scored AS SELECT (id::int + 10)::%s AS id, %s AS image, score, sha256 FROM public.away', TG_ARGV[0], TG_ARGV[1]);
	END IF;
	RETURN NEW;
END $$;
CREATE PROCEDURE make_scored(type text, key text, image text) LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS away, scored;
	EXECUTE format('CREATE TABLE scored AS SELECT id::%s AS id, image, NULL::float8 AS score, NULL::bytea AS sha256 FROM reading WHERE id <= 5', type);
	EXECUTE format('CREATE TRIGGER swap BEFORE UPDATE ON scored FOR EACH ROW EXECUTE FUNCTION swap_scored(%L, %L)', key, image);
END $$;
SET client_min_messages = warning;
CALL make_scored('int', 'int', '4242::bigint');
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 1);
SELECT count(score) FROM scored;
CALL make_scored('text', 'bigint', 'image');
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 1);
SELECT count(score) FROM scored;
CALL make_scored('text', 'text', 'image');
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 1);
SELECT count(score) FROM scored;
CALL make_scored('int', 'int', 'image');
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 5);
SELECT count(score) FROM scored;
DROP TABLE IF EXISTS away, scored;
RESET client_min_messages;

-- a view with an image that is there in the condition and not in the row
CREATE TABLE scored AS SELECT id, image, NULL::float8 AS score, NULL::bytea AS sha256 FROM reading WHERE id <= 2;
CREATE FUNCTION sometimes(image bytea) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE WHEN nextval('public.reads') % 2 = 1 THEN image END;
END $$;
CREATE VIEW flickering AS SELECT id, sometimes(image) AS image, score, sha256 FROM scored;
ALTER SEQUENCE reads RESTART;
CALL pneumo_score_table('flickering', key_column => 'id', image_column => 'image');
DROP VIEW flickering;
DROP TABLE scored;

-- Operators of others in the search path do not come in between.
CREATE FUNCTION caught(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'an operator of the public schema runs as %', current_user;
END $$;
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = caught);
CREATE OPERATOR > (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = caught);
CREATE TABLE scored AS SELECT id::varchar(10) AS id, image, NULL::float8 AS score, NULL::bytea AS sha256 FROM reading WHERE id <= 5;
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 2);
DROP TABLE scored;
DROP OPERATOR = (varchar, varchar);
DROP OPERATOR > (varchar, varchar);
-- keys of other types
CREATE TYPE mood AS ENUM ('e1', 'e2', 'e3', 'e4', 'e5');
CREATE DOMAIN short AS char(8) CHECK (value <> '');
CREATE PROCEDURE score_by(type text, expression text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TABLE scored AS SELECT (%s)::%s AS id, image, NULL::float8 AS score, NULL::bytea AS sha256 FROM reading WHERE id <= 5', expression, type);
END $$;
\set by_key 'CALL pneumo_score_table(\'scored\', key_column => \'id\', batch_size => 2); SELECT count(score) FROM scored; DROP TABLE scored;'
CALL score_by('mood', '(''e'' || id)');
:by_key
CALL score_by('short', 'id');
:by_key
CALL score_by('uuid', 'md5(id::text)');
:by_key
CALL score_by('int[]', 'ARRAY[id, id]');
:by_key
CALL score_by('numeric(6,2)', 'id');
:by_key
CALL score_by('json', 'to_json(id)');
CALL pneumo_score_table('scored', key_column => 'id');
DROP TABLE scored;
DROP PROCEDURE score_by, make_scored;
DROP TYPE mood;
DROP DOMAIN short;

-- Tables that are written otherwise than plain ones: through a view, a view's
-- trigger, a rule, policies, partitions.
CREATE TABLE scored AS SELECT id, image, NULL::float8 AS score, NULL::bytea AS sha256 FROM reading WHERE id <= 5;
CREATE VIEW few AS SELECT * FROM scored WHERE id <= 3;
CALL pneumo_score_table('few', key_column => 'id', batch_size => 2);
CREATE VIEW inverted WITH (security_barrier) AS SELECT -id AS key, image, score AS s, sha256 AS h FROM scored;
CREATE FUNCTION score_inverted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE public.scored SET score = NEW.s, sha256 = NEW.h WHERE id = -NEW.key;
	RETURN NEW;
END $$;
CREATE TRIGGER inverted INSTEAD OF UPDATE ON inverted FOR EACH ROW EXECUTE FUNCTION score_inverted();
CALL pneumo_score_table('inverted', key_column => 'key', score_column => 's', sha256_column => 'h', batch_size => 1);
SELECT count(score) FROM scored;
UPDATE scored SET score = NULL, sha256 = NULL;
CREATE TABLE log (id int);
CREATE RULE log AS ON UPDATE TO scored DO ALSO INSERT INTO log VALUES (NEW.id);
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 2);
SELECT count(*) FROM log;
DROP RULE log ON scored;
UPDATE scored SET score = NULL, sha256 = NULL;
ALTER TABLE scored ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON scored USING (id % 2 = 1);
GRANT SELECT, UPDATE ON scored TO regress_reader;
SELECT pneumo_grant('default', 'regress_reader', 'predict');
SET ROLE regress_reader;
CALL pneumo_score_table('scored', key_column => 'id', batch_size => 2);
RESET ROLE;
DROP TABLE scored, log CASCADE;
CREATE TABLE scored (id int PRIMARY KEY, image bytea, score float8, sha256 bytea) PARTITION BY RANGE (id);
CREATE TABLE scored_low PARTITION OF scored FOR VALUES FROM (1) TO (3);
CREATE TABLE scored_high PARTITION OF scored FOR VALUES FROM (3) TO (9);
INSERT INTO scored SELECT id, image FROM reading WHERE id <= 5;
CALL pneumo_score_table('scored', batch_size => 2);
DROP TABLE scored;

REVOKE ALL ON reading FROM regress_reader;
DROP ROLE regress_reader;
DROP TABLE reading, decoy;
DROP SEQUENCE reads;
DROP FUNCTION swap, change, swap_in_planning, swap_scored, sometimes, caught, score_inverted;
SELECT count(pneumo_drop_model(model) IS NULL) FROM pneumo.models;
