-- Figures of any (label, score), with intervals, as aggregates.  Labels are
-- boolean, scores the probability of the positive class; a row is called
-- positive when score >= threshold.

CREATE TYPE @extschema@.pneumo_figure AS (value double precision, low double precision, high double precision);
COMMENT ON TYPE pneumo_figure IS 'a figure and the limits of its 95 % interval';

CREATE TYPE @extschema@.pneumo_figures AS (
	n bigint, positive bigint, negative bigint,
	clusters bigint, clusters_positive bigint, clusters_negative bigint,
	threshold double precision,
	accuracy pneumo_figure, sensitivity pneumo_figure, specificity pneumo_figure,
	ppv pneumo_figure, npv pneumo_figure,
	lr_positive pneumo_figure, lr_negative pneumo_figure,
	f1 pneumo_figure, log_loss pneumo_figure, brier pneumo_figure, auc pneumo_figure,
	confidence double precision);
COMMENT ON TYPE pneumo_figures IS
	'what pneumo_metrics gives: rows and clusters (patients), and figures at the threshold; a figure without '
	'denominator is NULL; confidence: of the intervals. Patients are what is random: the intervals of accuracy, '
	'ppv, npv, f1, log_loss and brier hold for the share of positives in the population that the rows are a '
	'sample of, those of sensitivity, specificity, the likelihood ratios and auc for any share (docs/metrics.md, '
	'"What is random")';

CREATE TYPE @extschema@.pneumo_class_figures AS (class text, figures pneumo_figures);
COMMENT ON TYPE pneumo_class_figures IS
	'figures of one class against the rest, by its own probability; a row is called positive when the class '
	'is the most probable one, so the threshold is NULL. Of a finding, of which an image can have several: of '
	'the rows of which it is known, at its own threshold';

CREATE TYPE @extschema@.pneumo_roc_point AS (
	threshold double precision, false_positive_rate double precision, true_positive_rate double precision);
COMMENT ON TYPE pneumo_roc_point IS
	'a point of a ROC curve: the rates when score >= threshold is called positive';

CREATE TYPE @extschema@.pneumo_calibration_bin AS (
	low double precision, high double precision, n bigint, mean_score double precision, observed pneumo_figure);
COMMENT ON TYPE pneumo_calibration_bin IS
	'the rows with a score from low to below high (the last bin: to 1): their number, mean score and share '
	'of positives';

CREATE TYPE @extschema@.pneumo_calibration_figures AS (
	n bigint, mean_score double precision, observed double precision,
	ece pneumo_figure, mce double precision,
	slope pneumo_figure, intercept pneumo_figure, in_the_large pneumo_figure,
	bins pneumo_calibration_bin[]);
COMMENT ON TYPE pneumo_calibration_figures IS
	'what pneumo_calibration gives: expected and largest calibration error over the bins (both are above 0 '
	'also for perfect scores, which the lower limit of ece allows for); slope and '
	'intercept of the logistic regression of the label on the logit of the score (perfect: 1 and 0; NULL '
	'where the scores separate the classes); in_the_large: the intercept with slope 1';

CREATE TYPE @extschema@.pneumo_confusion AS (
	threshold double precision,
	true_positive bigint, false_positive bigint, true_negative bigint, false_negative bigint);
COMMENT ON TYPE pneumo_confusion IS 'a confusion matrix: rows by label and by score >= threshold';

CREATE FUNCTION pneumo_figures_add(state internal, label boolean, score double precision) RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_add';
COMMENT ON FUNCTION pneumo_figures_add(internal, boolean, double precision) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_add(
		state internal, label boolean, score double precision, threshold double precision)
	RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_add';
COMMENT ON FUNCTION pneumo_figures_add(internal, boolean, double precision, double precision) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_add(
		state internal, label boolean, score double precision, threshold double precision, cluster anyelement)
	RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_add';
COMMENT ON FUNCTION pneumo_figures_add(internal, boolean, double precision, double precision, anyelement) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_add_binned(state internal, label boolean, score double precision, bins integer)
	RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_add_binned';
COMMENT ON FUNCTION pneumo_figures_add_binned(internal, boolean, double precision, integer) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_add_binned(
		state internal, label boolean, score double precision, bins integer, cluster anyelement)
	RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_add_binned';
COMMENT ON FUNCTION pneumo_figures_add_binned(internal, boolean, double precision, integer, anyelement) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_confusion_add(state internal, label boolean, score double precision) RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_confusion_add';
COMMENT ON FUNCTION pneumo_confusion_add(internal, boolean, double precision) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_confusion_add(
		state internal, label boolean, score double precision, threshold double precision)
	RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_confusion_add';
COMMENT ON FUNCTION pneumo_confusion_add(internal, boolean, double precision, double precision) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_combine(state internal, other internal) RETURNS internal
	LANGUAGE C IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_combine';
COMMENT ON FUNCTION pneumo_figures_combine(internal, internal) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_serialize(state internal) RETURNS bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_serialize';
COMMENT ON FUNCTION pneumo_figures_serialize(internal) IS 'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_figures_deserialize(state bytea, dummy internal) RETURNS internal
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'pneumo_figures_deserialize';
COMMENT ON FUNCTION pneumo_figures_deserialize(bytea, internal) IS
	'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_metrics_final(state internal) RETURNS pneumo_figures
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_metrics_final';
COMMENT ON FUNCTION pneumo_metrics_final(internal) IS 'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_roc_final(state internal) RETURNS pneumo_roc_point[]
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_roc_final';
COMMENT ON FUNCTION pneumo_roc_final(internal) IS 'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_calibration_final(state internal) RETURNS pneumo_calibration_figures
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_calibration_final';
COMMENT ON FUNCTION pneumo_calibration_final(internal) IS 'implementation of the aggregates of figures';

CREATE FUNCTION pneumo_confusion_final(state internal) RETURNS pneumo_confusion
	LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'pneumo_confusion_final';
COMMENT ON FUNCTION pneumo_confusion_final(internal) IS 'implementation of the aggregates of figures';

CREATE AGGREGATE @extschema@.pneumo_metrics(label boolean, score double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_metrics_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_metrics(boolean, double precision) IS
	'accuracy, sensitivity, specificity, predictive values, likelihood ratios, F1, log loss, Brier score and '
	'AUC with 95 % intervals (Wilson; DeLong; Student) at threshold 0.5. Keeps 16 bytes '
	'a row, within pneumo.figures_memory. Errors: no rows, rows of one class only, a NULL label or score, a '
	'score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_metrics(label boolean, score double precision, threshold double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_metrics_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_metrics(boolean, double precision, double precision) IS
	'accuracy, sensitivity, specificity, predictive values, likelihood ratios, F1, log loss, Brier score and '
	'AUC with 95 % intervals (Wilson; DeLong; Student). Keeps 16 bytes a row, within '
	'pneumo.figures_memory. Errors: no rows, rows of one class only, a NULL label or score, a score outside '
	'0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_metrics(
		label boolean, score double precision, threshold double precision, cluster anyelement) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_metrics_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_metrics(boolean, double precision, double precision, anyelement) IS
	'the same with intervals for rows that are not independent within a cluster (patient): Wilson on the '
	'effective number, Obuchowski''s and the cluster-robust variance, degrees of freedom by the sizes of the '
	'clusters. A NULL cluster is one of its own. '
	'Errors: no rows, rows of one class only, a NULL label, score or threshold, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_roc(label boolean, score double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_roc_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_roc(boolean, double precision) IS
	'the points of the ROC curve, one per distinct score and (0, 0) at threshold Infinity, for unnest. Keeps '
	'16 bytes a row, within pneumo.figures_memory. Errors: no rows, rows of one class only, a NULL label or '
	'score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_calibration(label boolean, score double precision) (
	SFUNC = pneumo_figures_add, STYPE = internal, FINALFUNC = pneumo_calibration_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_calibration(boolean, double precision) IS
	'calibration: mean score and share of positives in bins of equal width, calibration errors, slope and '
	'intercept with 95 % intervals, 10 bins. Keeps 16 bytes a row, within pneumo.figures_memory. Errors: no '
	'rows, a NULL label or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_calibration(label boolean, score double precision, bins integer) (
	SFUNC = pneumo_figures_add_binned, STYPE = internal, FINALFUNC = pneumo_calibration_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_calibration(boolean, double precision, integer) IS
	'calibration: mean score and share of positives in bins of equal width, calibration errors, slope and '
	'intercept with 95 % intervals, 1 to 1000 of them. Keeps 16 bytes a row, within pneumo.figures_memory. '
	'Errors: no rows, a NULL label or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_calibration(
		label boolean, score double precision, bins integer, cluster anyelement) (
	SFUNC = pneumo_figures_add_binned, STYPE = internal, FINALFUNC = pneumo_calibration_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_calibration(boolean, double precision, integer, anyelement) IS
	'the same with intervals by cluster (patient). A NULL cluster is one of its own. Errors: no rows, a NULL '
	'label or score, a score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_confusion_matrix(label boolean, score double precision) (
	SFUNC = pneumo_confusion_add, STYPE = internal, FINALFUNC = pneumo_confusion_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_confusion_matrix(boolean, double precision) IS
	'true and false positives and negatives at threshold 0.5. Errors: no rows, a NULL label or score, a '
	'score outside 0 to 1.';

CREATE AGGREGATE @extschema@.pneumo_confusion_matrix(
		label boolean, score double precision, threshold double precision) (
	SFUNC = pneumo_confusion_add, STYPE = internal, FINALFUNC = pneumo_confusion_final,
	COMBINEFUNC = pneumo_figures_combine, SERIALFUNC = pneumo_figures_serialize,
	DESERIALFUNC = pneumo_figures_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pneumo_confusion_matrix(boolean, double precision, double precision) IS
	'true and false positives and negatives. Errors: no rows, a NULL label or score, a score outside 0 to 1.';

CREATE FUNCTION pneumo_figure_table(figures pneumo_figures)
	RETURNS TABLE (figure text, value double precision, low double precision, high double precision)
	LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 11
	BEGIN ATOMIC
		SELECT v.name, (v.f).value, (v.f).low, (v.f).high
		FROM (VALUES
			('accuracy', (figures).accuracy), ('sensitivity', (figures).sensitivity),
			('specificity', (figures).specificity), ('ppv', (figures).ppv), ('npv', (figures).npv),
			('lr_positive', (figures).lr_positive), ('lr_negative', (figures).lr_negative),
			('f1', (figures).f1), ('log_loss', (figures).log_loss), ('brier', (figures).brier),
			('auc', (figures).auc)) AS v(name, f);
	END;
COMMENT ON FUNCTION pneumo_figure_table(pneumo_figures) IS 'the figures of pneumo_metrics as rows';
