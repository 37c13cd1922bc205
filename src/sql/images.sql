-- Images: what is in one, what a network sees of it, what training makes of it,
-- and drawn ones.

CREATE FUNCTION pneumo_image_info(image bytea,
		OUT width integer, OUT height integer, OUT components integer,
		OUT progressive boolean, OUT bits integer, OUT bytes bigint,
		OUT format text, OUT photometric text, OUT bits_stored integer,
		OUT transfer_syntax text, OUT orientation integer)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100
	AS 'MODULE_PATHNAME', 'pneumo_image_info';
COMMENT ON FUNCTION pneumo_image_info(bytea) IS
	'what the header of an image says: width and height in pixels, components (1 to 4), whether it is '
	'progressive or interlaced, bits per sample, its bytes, format (JPEG, PNG, DICOM), photometric interpretation '
	'(grayscale, YCbCr, RGB, ..., or DICOM''s words), bits in use, transfer syntax of a DICOM file, and orientation '
	'(1 to 8 as in EXIF, NULL if it says none), which decoding ignores; the pixels are not decoded; for '
	'unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_dicom_tags(image bytea) RETURNS jsonb
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'pneumo_dicom_tags';
COMMENT ON FUNCTION pneumo_dicom_tags(bytea) IS
	'the elements of a DICOM file in the DICOM JSON model (PS3.18, Annex F), without group 2, the pixel data and '
	'binary values of more than 1024 bytes; a file that is no DICOM file is an error, see pneumo.on_bad_image';

CREATE FUNCTION pneumo_dicom_deidentify(image bytea, options jsonb) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
	AS 'MODULE_PATHNAME', 'pneumo_dicom_deidentify';
COMMENT ON FUNCTION pneumo_dicom_deidentify(bytea, jsonb) IS
	'a DICOM file without what names a person, by the basic profile of DICOM PS3.15 Annex E; pixel data stay byte for '
	'byte.  options: "key" (text of at least 16 bytes; UIDs and PatientID become hashes under it), "dates" ("remove" '
	'or "shift", by a number of days that is the patient''s), "keep_private" and "keep_characteristics" (booleans); '
	'a notice tells of names in the pixels; NULL, or an error, for bytes that are no DICOM file, as '
	'pneumo.on_bad_image says';

CREATE FUNCTION pneumo_preprocess(image bytea) RETURNS real[]
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_preprocess';
COMMENT ON FUNCTION pneumo_preprocess(bytea) IS
	'the exact input of the network of pneumo.default_model for an image: an array '
	'[height][width][channels], after decoding, resizing and rescaling';

CREATE FUNCTION pneumo_preprocess(image bytea, model text) RETURNS real[]
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_preprocess';
COMMENT ON FUNCTION pneumo_preprocess(bytea, text) IS
	'the exact input of the model''s network for an image: an array [height][width][channels], after '
	'decoding, resizing and rescaling; needs predict on the model';

CREATE FUNCTION pneumo_phantom(seed bigint, label text, size integer DEFAULT 256) RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_phantom';
COMMENT ON FUNCTION pneumo_phantom(bigint, text, integer) IS
	'a drawn chest radiograph as JPEG, size x size pixels (64 to 2048), label NORMAL or PNEUMONIA (patches '
	'of consolidation): for trials and tests without patients'' data; the same arguments give the same bytes '
	'on one build';

CREATE FUNCTION pneumo_augment(image bytea, config jsonb, seed bigint DEFAULT 0) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_augment';
COMMENT ON FUNCTION pneumo_augment(bytea, jsonb, bigint) IS
	'one augmented view of an image as JPEG, at the network''s size, as a training with that config would '
	'see it (keys of pneumo_train: image_size, rotation_range, ...); the seed chooses the view';
