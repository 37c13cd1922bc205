-- Exploring images before a training: pictures of many, and what is wrong with a table.

CREATE FUNCTION pneumo_image_sums_combine(internal, internal) RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_image_sums_combine';
COMMENT ON FUNCTION pneumo_image_sums_combine(internal, internal) IS
	'part of the image aggregates: adds two states';

CREATE FUNCTION pneumo_image_sums_serialize(internal) RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_image_sums_serialize';
COMMENT ON FUNCTION pneumo_image_sums_serialize(internal) IS
	'part of the image aggregates: a state for another process';

CREATE FUNCTION pneumo_image_sums_deserialize(bytea, internal) RETURNS internal
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_image_sums_deserialize';
COMMENT ON FUNCTION pneumo_image_sums_deserialize(bytea, internal) IS
	'part of the image aggregates: a state from another process';

CREATE FUNCTION pneumo_mean_image_step(internal, bytea) RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_mean_image_step';
COMMENT ON FUNCTION pneumo_mean_image_step(internal, bytea) IS 'part of pneumo_mean_image: adds an image';

CREATE FUNCTION pneumo_mean_image_step(internal, bytea, integer, integer) RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_mean_image_step';
COMMENT ON FUNCTION pneumo_mean_image_step(internal, bytea, integer, integer) IS
	'part of pneumo_mean_image: adds an image';

CREATE FUNCTION pneumo_mean_image_final(internal) RETURNS bytea
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_mean_image_final';
COMMENT ON FUNCTION pneumo_mean_image_final(internal) IS 'part of pneumo_mean_image: draws the picture';

CREATE AGGREGATE @extschema@.pneumo_mean_image(image bytea) (
	SFUNC = pneumo_mean_image_step, STYPE = internal, SSPACE = 600000,
	FINALFUNC = pneumo_mean_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_mean_image(bytea) IS
	'the mean image as grey JPEG: images are resized as in training, and each pixel is the rounded mean; 256 '
	'x 256 pixels; NULL images are left out; an unreadable one is an error, or is left out with a notice if '
	'pneumo.on_bad_image is null; NULL without images';

CREATE AGGREGATE @extschema@.pneumo_mean_image(image bytea, height integer, width integer) (
	SFUNC = pneumo_mean_image_step, STYPE = internal, SSPACE = 600000,
	FINALFUNC = pneumo_mean_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_mean_image(bytea, integer, integer) IS
	'pneumo_mean_image(bytea) of height x width pixels (1 to 1024 each), the same for all rows';

CREATE FUNCTION pneumo_std_image_step(internal, bytea) RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_std_image_step';
COMMENT ON FUNCTION pneumo_std_image_step(internal, bytea) IS 'part of pneumo_std_image: adds an image';

CREATE FUNCTION pneumo_std_image_step(internal, bytea, integer, integer) RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_std_image_step';
COMMENT ON FUNCTION pneumo_std_image_step(internal, bytea, integer, integer) IS
	'part of pneumo_std_image: adds an image';

CREATE FUNCTION pneumo_std_image_final(internal) RETURNS bytea
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_std_image_final';
COMMENT ON FUNCTION pneumo_std_image_final(internal) IS 'part of pneumo_std_image: draws the picture';

CREATE AGGREGATE @extschema@.pneumo_std_image(image bytea) (
	SFUNC = pneumo_std_image_step, STYPE = internal, SSPACE = 1100000,
	FINALFUNC = pneumo_std_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_std_image(bytea) IS
	'the standard deviation of each pixel over the images (divisor n) as grey JPEG, two grey levels for each '
	'level of deviation, so that 0 is none and 255 the largest possible; 256 x 256 pixels; NULL images are '
	'left out; an unreadable one is an error, or is left out with a notice if pneumo.on_bad_image is null; '
	'NULL without images';

CREATE AGGREGATE @extschema@.pneumo_std_image(image bytea, height integer, width integer) (
	SFUNC = pneumo_std_image_step, STYPE = internal, SSPACE = 1100000,
	FINALFUNC = pneumo_std_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_std_image(bytea, integer, integer) IS
	'pneumo_std_image(bytea) of height x width pixels (1 to 1024 each), the same for all rows';

CREATE FUNCTION pneumo_contrast_image_step(internal, bytea, boolean) RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_contrast_image_step';
COMMENT ON FUNCTION pneumo_contrast_image_step(internal, bytea, boolean) IS
	'part of pneumo_contrast_image: adds an image';

CREATE FUNCTION pneumo_contrast_image_step(internal, bytea, boolean, integer, integer) RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_contrast_image_step';
COMMENT ON FUNCTION pneumo_contrast_image_step(internal, bytea, boolean, integer, integer) IS
	'part of pneumo_contrast_image: adds an image';

CREATE FUNCTION pneumo_contrast_image_step(internal, bytea, boolean, integer, integer, double precision)
	RETURNS internal
	LANGUAGE C STABLE PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_contrast_image_step';
COMMENT ON FUNCTION pneumo_contrast_image_step(internal, bytea, boolean, integer, integer, double precision) IS
	'part of pneumo_contrast_image: adds an image';

CREATE FUNCTION pneumo_contrast_image_final(internal) RETURNS bytea
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_contrast_image_final';
COMMENT ON FUNCTION pneumo_contrast_image_final(internal) IS
	'part of pneumo_contrast_image: draws the picture';

CREATE AGGREGATE @extschema@.pneumo_contrast_image(image bytea, label boolean) (
	SFUNC = pneumo_contrast_image_step, STYPE = internal, SSPACE = 1100000,
	FINALFUNC = pneumo_contrast_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_contrast_image(bytea, boolean) IS
	'where the images with label true are on average brighter (red) or darker (blue) than those with label '
	'false, as colour JPEG; light grey is no difference, full colour a difference of 32 grey levels or '
	'more; 256 x 256 pixels; rows with a NULL image or label are left out; an unreadable one '
	'is an error, or is left out with a notice if pneumo.on_bad_image is null; NULL without images of both '
	'labels';

CREATE AGGREGATE @extschema@.pneumo_contrast_image(image bytea, label boolean, height integer, width integer) (
	SFUNC = pneumo_contrast_image_step, STYPE = internal, SSPACE = 1100000,
	FINALFUNC = pneumo_contrast_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_contrast_image(bytea, boolean, integer, integer) IS
	'pneumo_contrast_image(bytea, boolean) of height x width pixels (1 to 1024 each), the same for all rows';

CREATE AGGREGATE @extschema@.pneumo_contrast_image(
		image bytea, label boolean, height integer, width integer, scale double precision) (
	SFUNC = pneumo_contrast_image_step, STYPE = internal, SSPACE = 1100000,
	FINALFUNC = pneumo_contrast_image_final,
	COMBINEFUNC = pneumo_image_sums_combine,
	SERIALFUNC = pneumo_image_sums_serialize, DESERIALFUNC = pneumo_image_sums_deserialize,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_contrast_image(bytea, boolean, integer, integer, double precision) IS
	'pneumo_contrast_image(bytea, boolean) of height x width pixels (1 to 1024 each), with full colour at a '
	'difference of scale grey levels; height, width and scale are the same for all rows';

CREATE FUNCTION pneumo_eigenimages(
		source regclass, config jsonb DEFAULT '{}',
		OUT component integer, OUT explained_variance double precision, OUT image bytea)
	RETURNS SETOF record LANGUAGE C STABLE PARALLEL UNSAFE ROWS 16 COST 1000000
	AS 'MODULE_PATHNAME', 'pneumo_eigenimages';
COMMENT ON FUNCTION pneumo_eigenimages(regclass, jsonb) IS
	'principal components of a table''s images, the one that explains most first: its fraction of the '
	'variance (0 to 1) and a grey JPEG, in which mid-grey is 0, and black and white are the largest absolute '
	'value of the component. Config: n_components (16; or a fraction of the variance to explain), max_images '
	'(500, at most 1000: of different images those with the smallest SHA-256), class (only images with that '
	'label), and the data and image keys of pneumo_train. Memory within pneumo.train_memory';

CREATE FUNCTION pneumo_check(
		source regclass, config jsonb DEFAULT '{}',
		OUT finding text, OUT severity text, OUT subject text, OUT n bigint, OUT detail text)
	RETURNS SETOF record LANGUAGE C STABLE PARALLEL UNSAFE ROWS 50 COST 1000000
	AS 'MODULE_PATHNAME', 'pneumo_check';
COMMENT ON FUNCTION pneumo_check(regclass, jsonb) IS
	'what is wrong with a table of images, before a network is trained on it; takes the config of '
	'pneumo_train. Each finding has a row without subject (ok, note or warning; n of them) and then rows '
	'that name the first or worst subjects (config max_subjects, 10): unreadable images, same bytes, near '
	'duplicates (at most near_duplicate_distance, 4, of 64 bits of a difference hash and a correlation of '
	'0.99 or more at 18 x 16 pixels, among near_duplicate_images, the first 20000 by SHA-256), groups in two '
	'splits, sizes, negatives (border brighter than centre), class balance, and shortcuts: the cross-validated '
	'AUC, by group, of a logistic model on width, height, aspect ratio, bytes, components, mean and spread of '
	'brightness, with a warning above 0.7';
