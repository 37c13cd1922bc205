/*-------------------------------------------------------------------------
 *
 * multiclass_evaluate.c
 *		All figures of an evaluation with more than two classes, with limits.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* Fills the macro figures and the losses. */
static StatsStatus
fill_macro_figures(StatsClassEvaluation *result, StatsClassSums *w)
{
	StatsInterval interval[STATS_N_MACRO];
	StatsStatus status = stats_class_sums_limits(interval, w, result->options.confidence);

	if (status != STATS_OK)
		return status;
	result->macro_sensitivity = interval[STATS_MACRO_SENSITIVITY];
	result->macro_specificity = interval[STATS_MACRO_SPECIFICITY];
	result->macro_f1 = interval[STATS_MACRO_F1];
	result->log_loss = interval[STATS_CLASS_LOG_LOSS];
	result->brier = interval[STATS_CLASS_BRIER];
	return STATS_OK;
}

/* Evaluates each class against the rest. */
static StatsStatus
evaluate_classes(StatsEvaluation *of_class, const StatsClassSums *w, const StatsOptions *options)
{
	const StatsClassRows *rows = w->model[0];
	double *score = stats_array(w->env, rows->n, sizeof(double));
	uint8_t *label = stats_array(w->env, rows->n, 2 * sizeof(uint8_t));
	StatsStatus status = score && label ? STATS_OK : STATS_NO_MEMORY;

	for (int32_t c = 0; c < rows->n_classes && status == STATS_OK; c++)
	{
		StatsRows view = {score, label, rows->cluster, rows->n};
		uint8_t *called = label + rows->n;

		status = stats_pick_class(score, label, rows, c, w->env);
		for (size_t i = 0; i < rows->n && status == STATS_OK; i++)
			called[i] = w->best[0][i] == c;
		if (status == STATS_OK)
			status = stats_evaluate_called(&of_class[c], &view, called, options, w->env);
		if (status == STATS_ONE_CLASS)
			status = STATS_OK; /* filled with what there is */
	}
	stats_free(w->env, label);
	stats_free(w->env, score);
	return status;
}

/* Widens a macro AUC without limits of its own to the means of the classes' limits. */
static void
mean_limits(StatsInterval *macro_auc, const StatsEvaluation *of_class, int32_t n_classes)
{
	double low = 0.0;
	double high = 0.0;
	double n = 0.0;

	for (int32_t c = 0; c < n_classes; c++)
	{
		if (of_class[c].n_positive == 0 || isnan(of_class[c].auc.low))
			continue;
		low += of_class[c].auc.low;
		high += of_class[c].auc.high;
		n += 1.0;
	}
	if (n > 0.0)
	{
		macro_auc->low = fmin(macro_auc->value, low / n);
		macro_auc->high = fmax(macro_auc->value, high / n);
	}
}

/* Fills the accuracy and the macro AUC; *auc_has_limits tells whether the latter has its own. */
static StatsStatus
fill_accuracy_and_auc(StatsClassEvaluation *result, bool *auc_has_limits, const StatsClassSums *w)
{
	const StatsClassRows *rows = w->model[0];
	double confidence = result->options.confidence;
	uint8_t *right = stats_array(w->env, rows->n, sizeof(uint8_t));
	double *influence = stats_array(w->env, rows->n, sizeof(double));
	StatsStatus status = right && influence ? STATS_OK : STATS_NO_MEMORY;
	double auc = NAN;
	StatsInfluenceVariance variance = {NAN, 1.0, 0.0};
	StatsAucSource source;

	for (size_t i = 0; i < rows->n && status == STATS_OK; i++)
		right[i] = w->label[i] == w->best[0][i];
	if (status == STATS_OK)
		status = stats_proportion(&result->accuracy, NULL, right, rows->cluster, rows->n, confidence, w->env);
	if (status == STATS_OK)
		status = stats_macro_auc_influence(influence, &auc, rows, w->env);
	if (status == STATS_OK)
		status = stats_influence_variance(&variance, influence, rows, &w->clusters, w->env);
	source = (StatsAucSource) {auc, variance.variance, variance.few, 0.0};
	*auc_has_limits =
		status == STATS_OK && stats_auc_limits(&result->macro_auc, &source, variance.degrees, confidence);
	stats_free(w->env, influence);
	stats_free(w->env, right);
	return status;
}

static StatsStatus
fill_result(StatsClassEvaluation *result, StatsEvaluation *of_class, StatsClassSums *w)
{
	const StatsClassRows *rows = w->model[0];
	bool auc_has_limits;
	StatsStatus status = fill_accuracy_and_auc(result, &auc_has_limits, w);

	if (status == STATS_OK)
		status = fill_macro_figures(result, w);
	if (status == STATS_OK)
		status = evaluate_classes(of_class, w, &result->options);
	if (status != STATS_OK)
		return status;
	result->n = rows->n;
	result->n_clusters = w->clusters.n_clusters;
	result->n_present = 0;
	for (int32_t c = 0; c < rows->n_classes; c++)
		result->n_present += of_class[c].n_positive > 0;
	if (!auc_has_limits)
		mean_limits(&result->macro_auc, of_class, rows->n_classes);
	return STATS_OK;
}

StatsStatus
stats_class_evaluate(StatsClassEvaluation *result, StatsEvaluation *of_class, const StatsClassRows *rows,
					 const StatsOptions *options, const StatsEnv *env)
{
	StatsClassSums w = {.model = {rows, NULL}, .env = env};
	StatsEvaluation *own = of_class;
	StatsStatus status = stats_check_options(&result->options, options);

	if (status == STATS_OK)
		status = stats_check_class_rows(rows, env);
	if (status == STATS_OK && rows->n_classes > STATS_MAX_CLASSES)
		status = STATS_BAD_ARGUMENT;
	if (status != STATS_OK)
		return status;
	if (own == NULL)
		own = stats_array(env, (size_t) rows->n_classes, sizeof(StatsEvaluation));
	status = own == NULL ? STATS_NO_MEMORY : stats_class_sums_prepare(&w);
	if (status == STATS_OK)
		status = fill_result(result, own, &w);
	stats_class_sums_release(&w);
	if (of_class == NULL)
		stats_free(env, own);
	return status;
}
