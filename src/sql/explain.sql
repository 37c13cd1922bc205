-- Where a score comes from.

CREATE TYPE @extschema@.pneumo_map AS (
	height integer,
	width integer,
	class text,
	method text,
	max_abs double precision,
	empty boolean,
	map real[]
);
COMMENT ON TYPE pneumo_map IS
	'result of pneumo_heatmap: map is [height][width] in logits, at the resolution of the network''s last '
	'convolution; positive values speak for the class, negative ones against it; max_abs is the largest '
	'absolute value; empty is true when the sum of the absolute values is below 0.01';

CREATE FUNCTION pneumo_heatmap(image bytea) RETURNS pneumo_map
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60000
	AS 'MODULE_PATHNAME', 'pneumo_heatmap';
COMMENT ON FUNCTION pneumo_heatmap(bytea) IS
	'where in the image the score of pneumo.default_model comes from: the share of each place in the logit '
	'of the positive class (more than two: of the most probable), from the last feature map; an error if the '
	'network has no convolution; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_heatmap(image bytea, model text) RETURNS pneumo_map
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60000
	AS 'MODULE_PATHNAME', 'pneumo_heatmap';
COMMENT ON FUNCTION pneumo_heatmap(bytea, text) IS
	'where in the image the score comes from: the share of each place in the logit of the positive class '
	'(more than two: of the most probable), from the last feature map; an error if the network has no convolution; for '
	'unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_heatmap(image bytea, model text, config jsonb) RETURNS pneumo_map
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60000
	AS 'MODULE_PATHNAME', 'pneumo_heatmap';
COMMENT ON FUNCTION pneumo_heatmap(bytea, text, jsonb) IS
	'where in the image the score comes from: the share of each place in the logit of the positive class '
	'(more than two: of the most probable), from the last feature map; an error if the network has no convolution; '
	'config: class (by default the positive one of two, else the most probable class or finding), method '
	'"hirescam" (default) or "gradcam", scale and opacity are allowed and have no effect; for unreadable images see '
	'pneumo.on_bad_image';

CREATE FUNCTION pneumo_explain(image bytea) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60000
	AS 'MODULE_PATHNAME', 'pneumo_explain';
COMMENT ON FUNCTION pneumo_explain(bytea) IS
	'the image as grey JPEG of its own size with the map of pneumo.default_model over it: red speaks for the '
	'class, blue against it, full colour at the largest value of the image; where the map is empty the '
	'picture is grey; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_explain(image bytea, model text) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60000
	AS 'MODULE_PATHNAME', 'pneumo_explain';
COMMENT ON FUNCTION pneumo_explain(bytea, text) IS
	'the image as grey JPEG of its own size with the map of pneumo_heatmap over it: red speaks for the '
	'class, blue against it, full colour at the largest value of the image; where the map is empty the '
	'picture is grey; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_explain(image bytea, model text, config jsonb) RETURNS bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60000
	AS 'MODULE_PATHNAME', 'pneumo_explain';
COMMENT ON FUNCTION pneumo_explain(bytea, text, jsonb) IS
	'the image as grey JPEG of its own size with the map of pneumo_heatmap over it: red speaks for the '
	'class, blue against it, full colour at the largest value of the image; where the map is empty the '
	'picture is grey; config: class (by default the positive one of two, else the most probable), method '
	'"hirescam" (default) or "gradcam", scale (logits at full colour, the same for many pictures) and '
	'opacity (0.6); for unreadable images see pneumo.on_bad_image';
