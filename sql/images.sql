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

-- bad images: no image, damaged, truncated, unsupported, too large; CMYK is read
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
		('4 PNG without data', '\x89504e470d0a1a0a0000000d49484452'::bytea),
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

-- bytes that are another thing, and what cures them
\set VERBOSITY default
SELECT pneumo_image_info(convert_to(encode(pneumo_phantom(1, 'NORMAL', 64), 'base64'), 'UTF8'));
SELECT pneumo_image_info('/srv/xrays/1.jpeg');
SELECT pneumo_image_info('GIF89a');
\set VERBOSITY terse
SELECT (pneumo_image_info(decode(convert_from(text, 'UTF8'), 'base64'))).width AS cured
FROM convert_to(encode(pneumo_phantom(1, 'NORMAL', 64), 'base64'), 'UTF8') AS text;

-- the same 16 x 16 pixels as PNG and as DICOM: the same pixels of the network
CREATE FUNCTION pg_temp.element(tag text, vr text, value bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(substr(tag, 3, 2) || substr(tag, 1, 2) || substr(tag, 7, 2) || substr(tag, 5, 2), 'hex')
		|| vr::bytea || CASE WHEN vr = 'OW' THEN '\x0000'::bytea ELSE '' END
		|| decode(lpad(to_hex(length(value) % 256), 2, '0') || lpad(to_hex(length(value) / 256), 2, '0'), 'hex')
		|| CASE WHEN vr = 'OW' THEN '\x0000'::bytea ELSE '' END || value $$;
CREATE FUNCTION pg_temp.dicom(photometric text, transfer_syntax text DEFAULT '1.2.840.10008.1.2.1') RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(repeat('00', 128), 'hex') || 'DICM'
		|| pg_temp.element('00020010', 'UI', transfer_syntax::bytea || decode(repeat('00', length(transfer_syntax) % 2), 'hex'))
		|| pg_temp.element('00080016', 'UI', '1.2.840.10008.5.1.4.1.1.1.1')
		|| pg_temp.element('00080005', 'CS', 'ISO_IR 100')
		|| pg_temp.element('00080060', 'CS', 'DX')
		|| pg_temp.element('00100010', 'PN', 'Curie^Ren\351e=X')
		|| pg_temp.element('00201208', 'IS', '1\\2 ')
		|| pg_temp.element('00280002', 'US', '\x0100') || pg_temp.element('00280004', 'CS', photometric::bytea)
		|| pg_temp.element('00280010', 'US', '\x1000') || pg_temp.element('00280011', 'US', '\x1000')
		|| pg_temp.element('00280030', 'DS', '0.15\\0.2 ')
		|| pg_temp.element('00280100', 'US', '\x0800') || pg_temp.element('00280101', 'US', '\x0800')
		|| pg_temp.element('00280102', 'US', '\x0700') || pg_temp.element('00280103', 'US', '\x0000')
		|| pg_temp.element('7FE00010', 'OW', decode(string_agg(lpad(to_hex(x * 16 + y), 2, '0'), '' ORDER BY y, x), 'hex'))
	FROM generate_series(0, 15) x, generate_series(0, 15) y $$;
CREATE TEMP TABLE stored AS SELECT '\x89504e470d0a1a0a0000000d49484452000000100000001008000000003a98a0bd000000134944415478da63641040054c8c68606409000080370200ef40fb910000000049454e44ae426082'::bytea AS png;
SELECT i.* FROM stored, LATERAL (VALUES (png), (pg_temp.dicom('MONOCHROME1 '))) v(image), pneumo_image_info(image) i;
SELECT a = b AS same, a = c AS inverted
FROM stored, LATERAL (SELECT pneumo_augment(png, '{"image_size": [12, 20]}') AS a,
							 pneumo_augment(pg_temp.dicom('MONOCHROME2 '), '{"image_size": [12, 20]}') AS b,
							 pneumo_augment(pg_temp.dicom('MONOCHROME1 '), '{"image_size": [12, 20]}') AS c) s;
SELECT i.width, i.height FROM (SELECT pneumo_mean_image(png, 16, 16) AS image FROM stored) s, pneumo_image_info(image) i;
SELECT key, value FROM jsonb_each(pneumo_dicom_tags(pg_temp.dicom('MONOCHROME2 '))) ORDER BY key COLLATE "C";
SELECT pneumo_dicom_tags('no DICOM file');
SELECT pneumo_dicom_tags(substr(pg_temp.dicom('MONOCHROME2 '), 1, 300));
-- a character that the encoding of the database lacks, and more elements than there is memory for
CREATE FUNCTION pg_temp.tags(element bytea) RETURNS jsonb LANGUAGE sql AS $$
	SELECT pneumo_dicom_tags(decode(repeat('00', 128), 'hex') || 'DICM'
		|| pg_temp.element('00020010', 'UI', '1.2.840.10008.1.2.1\000') || pg_temp.element('00080005', 'CS', 'ISO_IR 109') || element) $$;
SELECT pg_temp.tags(pg_temp.element('00100010', 'PN', 'a\245b '))->'00100010';
SET pneumo.predict_memory = '16MB';
SELECT pg_temp.tags(pg_temp.element('00283002', 'US', decode(repeat('0100', 30000), 'hex'))) IS NULL;
SET pneumo.on_bad_image = 'null';
SELECT pg_temp.tags(pg_temp.element('00283002', 'US', decode(repeat('0100', 30000), 'hex'))) IS NULL;
SELECT pg_temp.tags(pg_temp.element('00104000', 'LT', decode(repeat('01', 60000), 'hex'))) IS NULL;
RESET pneumo.on_bad_image;
RESET pneumo.predict_memory;
SELECT pneumo_image_info(pg_temp.dicom('MONOCHROME2 ', '1.2.840.10008.1.2.4.103'));
SELECT pneumo_image_info(substr(pg_temp.dicom('MONOCHROME2 '), 1, 600));

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
