-- Images: drawn radiographs, what is in an image, bad images of each kind.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pneumo;
RESET client_min_messages;
\set VERBOSITY terse

-- phantoms: the same arguments give the same bytes, others do not
SELECT pneumo_phantom(1, 'NORMAL', 128) = pneumo_phantom(1, 'NORMAL', 128) AS same,
	   pneumo_phantom(1, 'NORMAL', 128) = pneumo_phantom(2, 'NORMAL', 128) AS other_seed,
	   pneumo_phantom(1, 'NORMAL', 128) = pneumo_phantom(1, 'pneumonia', 128) AS other_label;
SELECT width, height, components, progressive, bits, bytes > 1000 AS bytes
FROM pneumo_image_info(pneumo_phantom(1, 'PNEUMONIA'));
SELECT width, height FROM pneumo_image_info(pneumo_phantom(-1, 'NORMAL', 64));
SELECT pneumo_phantom(1, 'COVID');
SELECT pneumo_phantom(1, 'NORMAL', 63);
SELECT pneumo_phantom(1, 'NORMAL', 2049);

-- bad images: not JPEG, damaged, truncated, unsupported, too large
CREATE FUNCTION pg_temp.try(image bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	info record;
BEGIN
	info := pneumo_image_info(image);
	IF info IS NULL THEN
		RETURN 'null';
	END IF;
	RETURN format('%s x %s', info.width, info.height);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

CREATE TEMP TABLE bad AS
	WITH good(jpeg) AS (SELECT pneumo_phantom(1, 'NORMAL', 64))
	SELECT k.kind, k.image FROM good, LATERAL (VALUES
		('1 good', good.jpeg),
		('2 empty', ''::bytea),
		('3 text', 'this is no picture'::bytea),
		('4 PNG', '\x89504e470d0a1a0a0000000d49484452'::bytea),
		('5 start only', '\xffd8'::bytea),
		('6 header only', substr(good.jpeg, 1, 20)),
		('7 65500 x 65500', '\xffd8ffc0000b08ffdcffdc01011100ffda0008010100003f00ffd9'::bytea),
		('8 four components', '\xffd8ffc00014080040004004011100021100031100041100ffda000e040100020003000400003f00ffd9'::bytea),
		('9 twelve bits', '\xffd8ffc1000b0c0040004001011100ffda0008010100003f00ffd9'::bytea)) k(kind, image);
SELECT kind, pg_temp.try(image) FROM bad ORDER BY kind COLLATE "C";
SET pneumo.on_bad_image = 'null';
SELECT kind, pg_temp.try(image) FROM bad ORDER BY kind COLLATE "C";
RESET pneumo.on_bad_image;
SELECT pneumo_image_info('this is no picture');

-- the limit of pixels is a setting for superusers
SET pneumo.max_image_pixels = 4000;
SELECT pneumo_image_info(pneumo_phantom(1, 'NORMAL', 64));
RESET pneumo.max_image_pixels;

-- augmentation: a JPEG of the network's size; the seed chooses
SELECT width, height FROM pneumo_image_info(
	pneumo_augment(pneumo_phantom(1, 'NORMAL', 128), '{"image_size": [48, 64], "rotation_range": 20}', 1));
SELECT a = b AS same, a = c AS other_seed, a = d AS no_augmentation
FROM (SELECT pneumo_augment(i, '{"image_size": [32, 32], "rotation_range": 20}', 1) AS a,
			 pneumo_augment(i, '{"image_size": [32, 32], "rotation_range": 20}', 1) AS b,
			 pneumo_augment(i, '{"image_size": [32, 32], "rotation_range": 20}', 2) AS c,
			 pneumo_augment(i, '{"image_size": [32, 32]}', 1) AS d
	  FROM pneumo_phantom(1, 'NORMAL', 64) AS i) q;
SELECT pneumo_augment('this is no picture', '{}');
SELECT pneumo_augment(pneumo_phantom(1, 'NORMAL', 64), '{"rotation": 20}');

-- loading from the server's directories: the trees split/class and class
\getenv abs_srcdir PG_ABS_SRCDIR
\set xrays :abs_srcdir '/tests/fixtures/xrays'
\set classes :abs_srcdir '/tests/fixtures/xrays/train'
SELECT pneumo_load(:'xrays', 'images_xrays');
SELECT id, label, split, file, (pneumo_image_info(image)).width FROM images_xrays ORDER BY id;
SELECT attname, attstorage FROM pg_attribute WHERE attrelid = 'images_xrays'::regclass AND attname = 'image';
SELECT reloptions IS NOT NULL AS prepared FROM pg_class WHERE oid = 'images_xrays'::regclass;
SELECT pneumo_load(:'classes', 'public.images_xrays');
SELECT count(*), count(split) FROM images_xrays;
SELECT pneumo_load(:'classes', 'no_such_schema.images_xrays');
SELECT pneumo_load('fixtures', 'images_xrays');
SELECT pneumo_load('/no/such/directory', 'images_xrays');
\set empty :abs_srcdir '/tests/fixtures/xrays/train/NORMAL'
\set VERBOSITY sqlstate
SELECT pneumo_load(:'empty', 'images_xrays');
CREATE TABLE images_other (image bytea);
SELECT pneumo_load(:'xrays', 'images_other');
SELECT pneumo_load(:'xrays', 'pg_tables');
\set VERBOSITY terse
DROP TABLE images_xrays, images_other;

-- memory is bounded by a setting
SET pneumo.predict_memory = '64kB';
SELECT pneumo_augment(pneumo_phantom(1, 'NORMAL', 64), '{"image_size": [512, 512]}', 1);
RESET pneumo.predict_memory;
