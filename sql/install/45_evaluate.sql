-- Evaluation.

CREATE FUNCTION pneumo_evaluate(
		source regclass, model text, config jsonb DEFAULT '{}',
		OUT split text, OUT version bigint, OUT images bigint, OUT patients bigint, OUT positive bigint,
		OUT accuracy double precision, OUT sensitivity double precision, OUT specificity double precision,
		OUT auc double precision, OUT log_loss double precision, OUT threshold double precision,
		OUT left_out jsonb, OUT looks bigint)
	RETURNS record LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_evaluate';
COMMENT ON FUNCTION pneumo_evaluate(regclass, text, jsonb) IS 'figures of a model''s deployed version on one side of a table (config: "split" test, validation, train or all; "version"; the data keys of pneumo_train, by default as the version was trained). Rows that the version has seen are left out; looks counts the evaluations of that side. More than two classes: macro figures';
