-- Evaluation.

CREATE FUNCTION pneumo_evaluate(
		source regclass, model text, config jsonb DEFAULT '{}',
		OUT split text, OUT version integer, OUT images bigint, OUT patients bigint, OUT positive bigint,
		OUT accuracy double precision, OUT sensitivity double precision, OUT specificity double precision,
		OUT auc double precision, OUT log_loss double precision, OUT threshold double precision,
		OUT left_out jsonb, OUT looks bigint, OUT figures pneumo_figures, OUT classes pneumo_class_figures[],
		OUT notes text[])
	RETURNS record LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_evaluate';
COMMENT ON FUNCTION pneumo_evaluate(regclass, text, jsonb) IS
	'figures of a model''s deployed version on one split of a table (config: "split" test, validation, train '
	'or all; "version", by its number within the model; the data keys of pneumo_train, by default as the '
	'version was trained). Rows that the version has seen are left out; patients is NULL if the rows do not '
	'name them. looks counts the evaluations of held-out rows of that split by everyone who may predict with '
	'the model, this one included; pneumo.look tells which role looked, when, and at how many images. '
	'figures: with 95 % intervals by patient, as pneumo_metrics gives them. More than two classes: accuracy, '
	'macro sensitivity, specificity, F1 and AUC (means over the classes that have rows), and classes: each '
	'class against the rest, for unnest. Models of findings: means over the findings for which a figure is '
	'defined (square and add), and classes: each finding at its threshold, of the rows of which it is known. '
	'notes: why the intervals rest on little (fewer than 20 patients, of a class or in all; one patient with '
	'more than a third of the images), NULL if nothing; a NOTICE says the same. Errors as in pneumo_metrics';

CREATE FUNCTION pneumo_compare(
		source regclass, a text, b text, config jsonb DEFAULT '{}',
		OUT split text, OUT version_a integer, OUT version_b integer,
		OUT images bigint, OUT patients bigint, OUT positive bigint, OUT left_out jsonb,
		OUT auc_a pneumo_figure, OUT auc_b pneumo_figure,
		OUT auc_difference pneumo_figure, OUT auc_p double precision,
		OUT accuracy_difference pneumo_figure, OUT sensitivity_difference pneumo_figure,
		OUT specificity_difference pneumo_figure, OUT log_loss_difference pneumo_figure,
		OUT brier_difference pneumo_figure,
		OUT only_a_right bigint, OUT only_b_right bigint, OUT mcnemar_p double precision,
		OUT looks_a bigint, OUT looks_b bigint, OUT notes text[])
	RETURNS record LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'pneumo_compare';
COMMENT ON FUNCTION pneumo_compare(regclass, text, text, jsonb) IS
	'two models with the same classes on the same rows of one split of a table, which neither was trained or '
	'selected on (left_out tells how many rows were left out; if none is left, that is an error): '
	'differences a - b with 95 % intervals by patient, each model at its own operating point (accuracy, '
	'sensitivity and specificity by square and add from the single intervals, losses by Student''s t); auc_p '
	'is the level at which the interval of auc_difference touches 0 (variances of DeLong, clustered; between '
	'the symmetric interval and that of the logit scale), so that it leaves out 0 exactly where auc_p is '
	'below 0.05; McNemar''s exact test, by patient; notes as of pneumo_evaluate. What the intervals take as '
	'random is in docs/metrics.md. More than two classes: macro figures. Models of findings: on one of them, '
	'config key "class", on the rows of which it is known. Config: "split", "version_a", '
	'"version_b" (numbers within their models; default: the deployed ones), and the data keys of '
	'pneumo_train, by default as a was trained. Counts a look for both, whoever calls';
