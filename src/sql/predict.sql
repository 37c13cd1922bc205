-- Predictions.  The forms without a model use pneumo.default_model.  COST is on the
-- low side of the truth (some sixty pages read): high enough for parallel plans and
-- for cheaper conditions to go first, low enough not to start JIT, which is no help
-- here, on the first rows.

CREATE FUNCTION pneumo_score_support(internal) RETURNS internal
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_score_support';
COMMENT ON FUNCTION pneumo_score_support(internal) IS
	'planner support: loads the library while a query is planned, so that its rows can be scored in batches';

CREATE FUNCTION pneumo_predict(image bytea) RETURNS double precision
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_predict';
COMMENT ON FUNCTION pneumo_predict(bytea) IS
	'calibrated probability, 0 to 1, of the positive class of a two-class model, of pneumo.default_model, '
	'for an image; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict(image bytea, model text) RETURNS double precision
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_predict';
COMMENT ON FUNCTION pneumo_predict(bytea, text) IS
	'calibrated probability, 0 to 1, of the positive class of a two-class model, for an image; needs '
	'predict on the model; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict(image bytea, model text, class text) RETURNS double precision
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_predict';
COMMENT ON FUNCTION pneumo_predict(bytea, text, text) IS
	'calibrated probability, 0 to 1, of one class, for a model of any number of classes; for unreadable '
	'images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict_raw(image bytea) RETURNS double precision
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_predict_raw';
COMMENT ON FUNCTION pneumo_predict_raw(bytea) IS
	'the network''s own probability, 0 to 1, before calibration, of the positive class of a two-class model, '
	'of pneumo.default_model, for an image; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict_raw(image bytea, model text) RETURNS double precision
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_predict_raw';
COMMENT ON FUNCTION pneumo_predict_raw(bytea, text) IS
	'the network''s own probability, 0 to 1, before calibration, of the positive class of a two-class model, '
	'for an image; needs predict on the model; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict_raw(image bytea, model text, class text) RETURNS double precision
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_predict_raw';
COMMENT ON FUNCTION pneumo_predict_raw(bytea, text, text) IS
	'the network''s own probability, 0 to 1, before calibration, of one class, for a model of any number of '
	'classes; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_classify(image bytea) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_classify';
COMMENT ON FUNCTION pneumo_classify(bytea) IS
	'class name by the stored operating point of pneumo.default_model (two classes: the positive one when '
	'score >= threshold; more: the most probable); for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_classify(image bytea, model text) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_classify';
COMMENT ON FUNCTION pneumo_classify(bytea, text) IS
	'class name by the model''s stored operating point (two classes: the positive one when score >= '
	'threshold; more: the most probable); for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_findings(image bytea) RETURNS text[]
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_findings';
COMMENT ON FUNCTION pneumo_findings(bytea) IS
	'the findings of an image by pneumo.default_model, a model trained on arrays or on several boolean '
	'columns: those whose probability reaches the threshold that the version has for each, in label order; '
	'an empty array if there is none; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_findings(image bytea, model text) RETURNS text[]
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_findings';
COMMENT ON FUNCTION pneumo_findings(bytea, text) IS
	'the findings of an image by a model trained on arrays or on several boolean columns: those whose '
	'probability reaches the threshold that the version has for each, in label order; an empty array if '
	'there is none; needs predict on the model; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict_proba(image bytea, OUT class text, OUT probability double precision)
	RETURNS SETOF record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 ROWS 2
	AS 'MODULE_PATHNAME', 'pneumo_predict_proba';
COMMENT ON FUNCTION pneumo_predict_proba(bytea) IS
	'calibrated probability of each class of pneumo.default_model, in label order; no rows for NULL; for '
	'unreadable images see pneumo.on_bad_image, whose null gives no rows';

CREATE FUNCTION pneumo_predict_proba(image bytea, model text, OUT class text, OUT probability double precision)
	RETURNS SETOF record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 ROWS 2
	AS 'MODULE_PATHNAME', 'pneumo_predict_proba';
COMMENT ON FUNCTION pneumo_predict_proba(bytea, text) IS
	'calibrated probability of each class of the model, in label order; for unreadable images see '
	'pneumo.on_bad_image, whose null gives no rows';

CREATE FUNCTION pneumo_score(image bytea, OUT score double precision, OUT class text, OUT sha256 bytea)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_score';
COMMENT ON FUNCTION pneumo_score(bytea) IS
	'score (calibrated probability of the positive class, or of the most probable of more than two), class '
	'and SHA-256 of the version of pneumo.default_model that gave them: what to store; for unreadable images '
	'see pneumo.on_bad_image';

CREATE FUNCTION pneumo_score(image bytea, model text, OUT score double precision, OUT class text, OUT sha256 bytea)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_score';
COMMENT ON FUNCTION pneumo_score(bytea, text) IS
	'score, class and SHA-256 of the model version that gave them: what to store; for unreadable images see '
	'pneumo.on_bad_image';

CREATE FUNCTION pneumo_score_findings(
		image bytea, OUT scores jsonb, OUT findings text[], OUT sha256 bytea)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_score_findings';
COMMENT ON FUNCTION pneumo_score_findings(bytea) IS
	'calibrated probability of each finding, the findings that are there, and the SHA-256 of the version of '
	'pneumo.default_model that gave them: what to store; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_score_findings(
		image bytea, model text, OUT scores jsonb, OUT findings text[], OUT sha256 bytea)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000 SUPPORT pneumo_score_support
	AS 'MODULE_PATHNAME', 'pneumo_score_findings';
COMMENT ON FUNCTION pneumo_score_findings(bytea, text) IS
	'calibrated probability of each finding, the findings that are there, and the SHA-256 of the model '
	'version that gave them: what to store; for unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_embed(image bytea) RETURNS real[]
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_embed';
COMMENT ON FUNCTION pneumo_embed(bytea) IS
	'what the last layer of pneumo.default_model reads: one number per unit, for similarity search; for '
	'unreadable images see pneumo.on_bad_image';

CREATE FUNCTION pneumo_embed(image bytea, model text) RETURNS real[]
	LANGUAGE C STABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_embed';
COMMENT ON FUNCTION pneumo_embed(bytea, text) IS
	'what the model''s last layer reads: one number per unit, for similarity search; for unreadable images '
	'see pneumo.on_bad_image';

CREATE FUNCTION pneumo_predict_version(image bytea, sha256 bytea) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_predict_version';
COMMENT ON FUNCTION pneumo_predict_version(bytea, bytea) IS
	'calibrated probability of the positive class by the version of that SHA-256, rounded to 1e-6: '
	'immutable, so for expression indexes and audits; ignores pneumo.on_bad_image and pneumo.simd; needs '
	'predict on a model with that version; CPU paths may differ in the last digit, so compare with ranges';

CREATE FUNCTION pneumo_predict_version(image bytea, sha256 bytea, class text) RETURNS double precision
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 25000
	AS 'MODULE_PATHNAME', 'pneumo_predict_version';
COMMENT ON FUNCTION pneumo_predict_version(bytea, bytea, text) IS
	'the same for one class of a model of any number of classes';

CREATE PROCEDURE pneumo_score_table(source regclass, model text DEFAULT NULL,
		key_column name DEFAULT NULL, image_column name DEFAULT NULL,
		score_column name DEFAULT 'score', sha256_column name DEFAULT 'sha256',
		batch_size integer DEFAULT 100, INOUT scored bigint DEFAULT 0)
	LANGUAGE C
	AS 'MODULE_PATHNAME', 'pneumo_score_table';
COMMENT ON PROCEDURE pneumo_score_table(regclass, text, name, name, name, name, integer, bigint) IS
	'scores the rows of a table whose sha256_column does not name the model''s deployed version, in batches '
	'of 1 to 10000 with a commit after each, so that a call that was stopped can be continued; writes '
	'score_column (double precision, or jsonb with the probability of each finding for a model of findings; '
	'NULL for an unreadable image if pneumo.on_bad_image is null) and '
	'sha256_column (bytea); key_column by default the primary key, image_column the only other bytea column; '
	'returns the number of rows';
