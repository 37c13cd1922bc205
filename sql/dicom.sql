-- Tags of DICOM images: what pneumo_check finds in them, and files without what names a person.
CREATE EXTENSION IF NOT EXISTS pneumo;
\set VERBOSITY terse

-- elements with explicit representations, little endian
CREATE FUNCTION pg_temp.element(tag text, vr text, value bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(substr(tag, 3, 2) || substr(tag, 1, 2) || substr(tag, 7, 2) || substr(tag, 5, 2), 'hex') || vr::bytea
		|| CASE WHEN vr IN ('OW', 'SQ') THEN decode('0000', 'hex') || decode(lpad(to_hex(n % 256), 2, '0') || lpad(to_hex(n / 256), 2, '0') || '0000', 'hex')
			ELSE decode(lpad(to_hex(n % 256), 2, '0') || lpad(to_hex(n / 256), 2, '0'), 'hex') END || v
	FROM (SELECT value || CASE length(value) % 2 WHEN 0 THEN ''::bytea WHEN 1 THEN CASE vr WHEN 'UI' THEN '\x00'::bytea ELSE ' '::bytea END END) p (v),
		LATERAL (SELECT length(v)) l (n) $$;
CREATE FUNCTION pg_temp.item(elements bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT '\xfeff00e0'::bytea || decode(lpad(to_hex(length(elements)), 2, '0') || '000000', 'hex') || elements $$;
CREATE FUNCTION pg_temp.dicom(i integer, patient text, maker text, view text, burned text DEFAULT 'NO') RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(repeat('00', 128), 'hex') || 'DICM'
		|| pg_temp.element('00020002', 'UI', '1.2.840.10008.5.1.4.1.1.1.1')
		|| pg_temp.element('00020003', 'UI', ('1.2.3.' || i)::bytea)
		|| pg_temp.element('00020010', 'UI', '1.2.840.10008.1.2.1')
		|| pg_temp.element('00080016', 'UI', '1.2.840.10008.5.1.4.1.1.1.1') || pg_temp.element('00080018', 'UI', ('1.2.3.' || i)::bytea)
		|| pg_temp.element('00080020', 'DA', '20240229') || pg_temp.element('00080030', 'TM', '101112') || pg_temp.element('00080050', 'SH', 'A1')
		|| pg_temp.element('00080070', 'LO', maker::bytea)
		|| pg_temp.element('00081140', 'SQ', pg_temp.item(pg_temp.element('00081150', 'UI', '1.2.840.10008.5.1.4.1.1.1.1')
			|| pg_temp.element('00081155', 'UI', '1.2.3.1') || pg_temp.element('00400275', 'LO', 'Curie')))
		|| pg_temp.element('00090010', 'LO', 'MAKER')
		|| pg_temp.element('00100010', 'PN', 'Curie^Marie') || pg_temp.element('00100020', 'LO', patient::bytea)
		|| pg_temp.element('00100030', 'DA', '18671107') || pg_temp.element('00101010', 'AS', '066Y')
		|| pg_temp.element('00185101', 'CS', view::bytea)
		|| pg_temp.element('00280002', 'US', '\x0100') || pg_temp.element('00280004', 'CS', 'MONOCHROME2')
		|| pg_temp.element('00280010', 'US', '\x1000') || pg_temp.element('00280011', 'US', '\x1000')
		|| pg_temp.element('00280100', 'US', '\x0800') || pg_temp.element('00280101', 'US', '\x0800')
		|| pg_temp.element('00280102', 'US', '\x0700') || pg_temp.element('00280103', 'US', '\x0000')
		|| pg_temp.element('00280301', 'CS', burned::bytea)
		|| pg_temp.element('60004000', 'LT', 'Curie')
		|| pg_temp.element('7FE00010', 'OW', decode(string_agg(lpad(to_hex((x * y + i * 7) % 256), 2, '0'), '' ORDER BY y, x), 'hex'))
	FROM generate_series(0, 15) x, generate_series(0, 15) y $$;

-- what is wrong: patient p3 is in two groups, group g3 has two patients; the maker goes with the label; views are mixed
CREATE TABLE dicom_images AS
	SELECT i AS id, 'g' || CASE WHEN i = 60 THEN 3 ELSE i END AS patient, CASE i % 2 WHEN 0 THEN 'NORMAL' ELSE 'PNEUMONIA' END AS label,
		pg_temp.dicom(i, CASE WHEN i = 40 THEN 'p3' ELSE 'p' || i END, CASE WHEN i % 2 = 0 OR i < 8 THEN 'Makers' ELSE 'Others' END,
			CASE WHEN i % 10 = 0 THEN 'LL' WHEN i = 1 THEN '' ELSE 'PA' END) AS image
	FROM generate_series(1, 60) i;
SELECT finding, severity, subject, n, detail FROM pneumo_check('dicom_images', '{"group_column": "patient"}')
WHERE finding ~ 'tag|view' ORDER BY finding COLLATE "C", subject COLLATE "C" NULLS FIRST;
SELECT finding, severity, n, detail FROM pneumo_check('dicom_images') WHERE finding = 'tag patient in two groups';
-- images of another format are another value of each tag; a table without DICOM images has no such findings
INSERT INTO dicom_images SELECT i, 'g' || i, 'PNEUMONIA', pneumo_phantom(i, 'PNEUMONIA', 64) FROM generate_series(101, 160) i;
SELECT severity, subject, n, detail FROM pneumo_check('dicom_images', '{"group_column": "patient"}') WHERE finding = 'shortcut by tags' AND subject = 'body part';
DELETE FROM dicom_images WHERE id <= 60;
SELECT count(*) FROM pneumo_check('dicom_images') WHERE finding ~ 'tag|view';

-- without what names a person
CREATE TEMP TABLE clean AS SELECT i AS id, pg_temp.dicom(i, 'p' || i / 2, 'Makers', 'PA') AS image,
	pneumo_dicom_deidentify(pg_temp.dicom(i, 'p' || i / 2, 'Makers', 'PA'), '{"key": "sixteen bytes or more"}') AS removed,
	pneumo_dicom_deidentify(pg_temp.dicom(i, 'p' || i / 2, 'Makers', 'PA'),
		'{"key": "sixteen bytes or more", "dates": "shift", "keep_characteristics": true, "keep_private": true}') AS shifted
FROM generate_series(1, 3) i;
SELECT key, value FROM clean, jsonb_each(pneumo_dicom_tags(removed)) WHERE id = 1 ORDER BY key COLLATE "C";
SELECT key, value FROM clean, jsonb_each(pneumo_dicom_tags(shifted)) WHERE id = 1 AND key ~ '^0008002|^00080030|^0009|^0010|^0012006[24]|^00280303' ORDER BY key COLLATE "C";
SELECT id, position('Curie' IN removed) AS name, right(encode(image, 'hex'), 512) = right(encode(removed, 'hex'), 512) AS same_pixels,
	tags #>> '{00081140,Value,0,00081155,Value,0}' = first_value(tags #>> '{00080018,Value,0}') OVER (ORDER BY id) AS referenced,
	tags #>> '{00100020,Value,0}' AS patient, (pneumo_image_info(removed)).width
FROM clean, pneumo_dicom_tags(removed) AS tags ORDER BY id;
SELECT count(DISTINCT tags #>> '{00080020,Value,0}') AS dates, bool_and(tags #>> '{00080020,Value,0}' < '20240229') AS earlier
FROM clean, pneumo_dicom_tags(shifted) AS tags;
SELECT pneumo_dicom_deidentify(image, '{"key": "sixteen bytes or more"}') = removed AS same_key,
	pneumo_dicom_deidentify(image, '{"key": "another one of sixteen bytes"}') = removed AS other_key FROM clean WHERE id = 1;
SELECT finding, severity, n, detail FROM pneumo_check('clean', '{"image_column": "removed", "group_column": "id"}') WHERE finding = 'identifying tags';
SELECT length(pneumo_dicom_deidentify(pg_temp.dicom(1, 'p', 'm', 'PA', 'YES'), '{"key": "sixteen bytes or more"}')) > 600 AS made;
SELECT pneumo_dicom_deidentify(image, '{}') FROM clean;
SELECT pneumo_dicom_deidentify(image, '{"key": "short"}') FROM clean;
SELECT pneumo_dicom_deidentify(image, '{"key": "sixteen bytes or more", "dates": "keep"}') FROM clean;
SELECT pneumo_dicom_deidentify(image, '{"key": "sixteen bytes or more", "date": "keep"}') FROM clean;
SELECT pneumo_dicom_deidentify(image, '[]') FROM clean;
SELECT pneumo_dicom_deidentify(pneumo_phantom(1, 'NORMAL', 64), '{"key": "sixteen bytes or more"}');
SELECT pneumo_dicom_deidentify(substr(image, 1, 400), '{"key": "sixteen bytes or more"}') FROM clean WHERE id = 1;
-- whatever byte is damaged: what comes out can be read
SET pneumo.on_bad_image = 'null';
SELECT count(made) > 100 AS made, count(*) FILTER (WHERE made IS NOT NULL AND pneumo_dicom_tags(made) IS NULL) AS unreadable
FROM (SELECT pneumo_dicom_deidentify(set_byte(image, i, (get_byte(image, i) + 85) % 256), '{"key": "sixteen bytes or more"}') AS made
	  FROM clean, generate_series(0, 500) i WHERE id = 1 OFFSET 0) s;
RESET pneumo.on_bad_image;
SET pneumo.on_bad_image = 'null';
SELECT pneumo_dicom_deidentify(substr(image, 1, 400), '{"key": "sixteen bytes or more"}') IS NULL AS is_null FROM clean WHERE id = 1;
RESET pneumo.on_bad_image;
DROP TABLE dicom_images;
