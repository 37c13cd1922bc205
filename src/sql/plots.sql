-- Pictures as SVG: complete documents with axes, units, legend, and a title and
-- description for screen readers.

CREATE FUNCTION pneumo_plot_history(run bigint) RETURNS text
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_plot_history';
COMMENT ON FUNCTION pneumo_plot_history(bigint) IS
	'loss and accuracy of a training run by epoch, as SVG; the best epoch is marked. For the owner''s role '
	'and pg_monitor';

CREATE FUNCTION pneumo_plot_history(VARIADIC runs bigint[]) RETURNS text
	LANGUAGE C STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_plot_histories';
COMMENT ON FUNCTION pneumo_plot_history(bigint[]) IS
	'validation loss and accuracy (of the training where a run has no validation) of up to 8 runs in one '
	'plot, as SVG; the legend has what differs in their configs, and best epochs are marked. One run is '
	'drawn as by pneumo_plot_history(run). Errors: no runs, more than 8, a NULL, the same run twice, a run '
	'that does not exist or may not be seen';

CREATE FUNCTION pneumo_plot_roc_final(state internal) RETURNS text
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_plot_roc_final';
COMMENT ON FUNCTION pneumo_plot_roc_final(internal) IS 'implementation of the aggregates that draw';

CREATE FUNCTION pneumo_plot_calibration_final(state internal) RETURNS text
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_plot_calibration_final';
COMMENT ON FUNCTION pneumo_plot_calibration_final(internal) IS 'implementation of the aggregates that draw';

CREATE FUNCTION pneumo_plot_confusion_final(state internal) RETURNS text
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_plot_confusion_final';
COMMENT ON FUNCTION pneumo_plot_confusion_final(internal) IS 'implementation of the aggregates that draw';

CREATE AGGREGATE @extschema@.pneumo_plot_roc(label boolean, score double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_plot_roc_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_roc(boolean, double precision) IS
	'the ROC curve with its AUC and 95 % interval, as SVG. Errors: no rows, rows of one class only, a NULL '
	'label or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_plot_roc(label boolean, score double precision, threshold double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_plot_roc_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_roc(boolean, double precision, double precision) IS
	'the same with the point of a threshold marked. Errors: no rows, rows of one class only, a NULL label or '
	'score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_plot_roc(
		label boolean, score double precision, threshold double precision, cluster anyelement) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_plot_roc_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_roc(boolean, double precision, double precision, anyelement) IS
	'the same with an interval by cluster (patient). Errors: no rows, rows of one class only, a NULL label '
	'or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_plot_calibration(label boolean, score double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_plot_calibration_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_calibration(boolean, double precision) IS
	'reliability diagram of 10 bins with 95 % intervals and the number of rows, as SVG. Errors: no rows, a '
	'NULL label or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_plot_calibration(label boolean, score double precision, bins integer) (
	SFUNC = pneumo_figures_add_binned, STYPE = internal, FINALFUNC = pneumo_plot_calibration_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_calibration(boolean, double precision, integer) IS
	'the same with 1 to 1000 bins. Errors: no rows, a NULL label or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_plot_calibration(
		label boolean, score double precision, bins integer, cluster anyelement) (
	SFUNC = pneumo_figures_add_binned, STYPE = internal, FINALFUNC = pneumo_plot_calibration_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_calibration(boolean, double precision, integer, anyelement) IS
	'the same with intervals by cluster (patient). Errors: no rows, a NULL label or score, a score outside 0 '
	'to 1.';

CREATE AGGREGATE @extschema@.pneumo_plot_confusion(label boolean, score double precision) (
	SFUNC = pneumo_confusion_add, STYPE = internal, FINALFUNC = pneumo_plot_confusion_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_confusion(boolean, double precision) IS
	'confusion matrix at threshold 0.5, as SVG. Errors: no rows, a NULL label or score, a score outside 0 to '
	'1.';

CREATE AGGREGATE @extschema@.pneumo_plot_confusion(label boolean, score double precision, threshold double precision) (
	SFUNC = pneumo_confusion_add, STYPE = internal, FINALFUNC = pneumo_plot_confusion_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_plot_confusion(boolean, double precision, double precision) IS
	'confusion matrix at a threshold, as SVG. Errors: no rows, a NULL label or score, a score outside 0 to 1.';

CREATE FUNCTION pneumo_plot_evaluation(source regclass, model text, picture text, config jsonb DEFAULT '{}')
	RETURNS text
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_plot_evaluation';
COMMENT ON FUNCTION pneumo_plot_evaluation(regclass, text, text, jsonb) IS
	'a plot of a model''s figures on one split of a table, as SVG: "roc" (with its operating point, and the '
	'AUC with its 95 % interval by patient), "calibration", or "confusion" (any number of classes). Config, '
	'rows and rights are those of pneumo_evaluate, and key class names a finding of a model of findings; a plot '
	'of the test split counts as a look';
