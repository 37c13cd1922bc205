/*-------------------------------------------------------------------------
 *
 * multiclass_compare.c
 *		Two models of more than two classes on the same rows.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* Everything that one call works on, in addition to the sums. */
typedef struct Work
{
	StatsClassSums of; /* both models: a, then b */
	StatsOptions options;
	bool same;           /* all probabilities are equal */
	double otherwise;    /* rows that a and b call differently */
	double *influence_a; /* n each */
	double *influence_b;
	double *right; /* n_clusters each: rows, right by a, by b */
} Work;

static void
release_work(Work *w)
{
	stats_free(w->of.env, w->right);
	stats_free(w->of.env, w->influence_a);
	stats_class_sums_release(&w->of);
}

static StatsStatus
prepare_work(Work *w)
{
	size_t n = w->of.model[0]->n;
	StatsStatus status = stats_class_sums_prepare(&w->of);

	if (status != STATS_OK)
		return status;
	w->influence_a = stats_array(w->of.env, n, 2 * sizeof(double));
	w->right = stats_array(w->of.env, w->of.clusters.n_clusters, 3 * sizeof(double));
	if (w->influence_a == NULL || w->right == NULL)
		return STATS_NO_MEMORY;
	w->influence_b = w->influence_a + n;
	return STATS_OK;
}

/* Counts the rows that each model gets right, by cluster, and those that they call differently. */
static StatsStatus
count_right(StatsClassComparison *result, Work *w)
{
	size_t k = (size_t) w->of.model[0]->n_classes;

	memset(w->right, 0, w->of.clusters.n_clusters * 3 * sizeof(double));
	w->same = true;
	w->otherwise = 0.0;
	result->only_a_right = result->only_b_right = 0;
	for (size_t i = 0; i < w->of.model[0]->n; i++)
	{
		double *right = w->right + 3 * w->of.clusters.number[i];
		const double *a = w->of.model[0]->probability + i * k;
		const double *b = w->of.model[1]->probability + i * k;
		bool right_a = w->of.best[0][i] == w->of.label[i];
		bool right_b = w->of.best[1][i] == w->of.label[i];

		right[0] += 1.0;
		right[1] += right_a;
		right[2] += right_b;
		w->otherwise += w->of.best[0][i] != w->of.best[1][i];
		w->same = w->same && memcmp(a, b, k * sizeof(double)) == 0;
		result->only_a_right += right_a && !right_b;
		result->only_b_right += right_b && !right_a;
		if (stats_stopped(w->of.env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/* Fills all differences but that of the AUC; few: the clusters of the smallest class. */
static StatsStatus
compare_figures(StatsClassComparison *result, Work *w, double few)
{
	StatsInterval interval[STATS_N_MACRO];
	StatsPairedShares shares = {0};
	double confidence = w->options.confidence;
	StatsStatus status = stats_class_sums_limits(interval, &w->of, confidence);

	if (status != STATS_OK)
		return status;
	for (size_t c = 0; c < w->of.clusters.n_clusters; c++)
		stats_paired_add(&shares, w->right[3 * c + 1], w->right[3 * c + 2], w->right[3 * c]);
	stats_paired_difference(&result->accuracy, &shares,
							(double) (result->only_a_right + result->only_b_right), confidence);
	if (!(w->otherwise > 0.0))
	{
		stats_concordant_limits(&interval[STATS_MACRO_SENSITIVITY], few, confidence);
		stats_concordant_limits(&interval[STATS_MACRO_SPECIFICITY], few, confidence);
	}
	result->macro_sensitivity = interval[STATS_MACRO_SENSITIVITY];
	result->macro_specificity = interval[STATS_MACRO_SPECIFICITY];
	result->log_loss = interval[STATS_CLASS_LOG_LOSS];
	result->brier = interval[STATS_CLASS_BRIER];
	return STATS_OK;
}

/* Fills the AUC of one model with limits, and by how much each row moves it. */
static StatsStatus
single_auc(StatsInterval *interval, StatsAucSource *source, double *influence, const StatsClassRows *rows,
		   const Work *w)
{
	StatsInfluenceVariance variance;
	double auc;
	StatsStatus status = stats_macro_auc_influence(influence, &auc, rows, w->of.env);

	if (status == STATS_OK)
		status = stats_influence_variance(&variance, influence, rows, &w->of.clusters, w->of.env);
	if (status != STATS_OK)
		return status;
	*source = (StatsAucSource) {auc, variance.variance, variance.few, 0.0};
	(void) stats_auc_limits(interval, source, variance.degrees, w->options.confidence);
	return STATS_OK;
}

static StatsStatus
compare_auc(StatsClassComparison *result, double *few, Work *w)
{
	StatsAucSource a;
	StatsAucSource b;
	StatsInfluenceVariance both;
	StatsStatus status = single_auc(&result->macro_auc_a, &a, w->influence_a, w->of.model[0], w);

	if (status == STATS_OK)
		status = single_auc(&result->macro_auc_b, &b, w->influence_b, w->of.model[1], w);
	if (status != STATS_OK)
		return status;
	for (size_t i = 0; i < w->of.model[0]->n; i++)
		w->influence_a[i] -= w->influence_b[i];
	status = stats_influence_variance(&both, w->influence_a, w->of.model[0], &w->of.clusters, w->of.env);
	if (status != STATS_OK)
		return status;
	*few = both.few;
	stats_auc_difference(&result->macro_auc, &result->macro_auc_se, &result->macro_auc_p, &a, &b,
						 both.variance, both.degrees, w->options.confidence, w->same);
	return STATS_OK;
}

static StatsStatus
mcnemar(double *p, const Work *w)
{
	double *d = stats_array(w->of.env, w->of.clusters.n_clusters, sizeof(double));
	StatsStatus status = STATS_NO_MEMORY;

	if (d != NULL)
	{
		for (size_t c = 0; c < w->of.clusters.n_clusters; c++)
			d[c] = w->right[3 * c + 1] - w->right[3 * c + 2];
		status = stats_sign_test(p, d, w->of.clusters.n_clusters, w->of.env);
	}
	stats_free(w->of.env, d);
	return status;
}

StatsStatus
stats_class_compare(StatsClassComparison *result, const StatsClassRows *rows, const double *probability_b,
					const StatsOptions *options, const StatsEnv *env)
{
	StatsClassRows b;
	Work w = {.of = {.model = {rows, &b}, .env = env}};
	double few = 0.0;
	StatsStatus status = stats_check_options(&w.options, options);

	if (status == STATS_OK)
		status = stats_check_class_rows(rows, env);
	if (status != STATS_OK)
		return status;
	b = *rows;
	b.probability = probability_b;
	status = stats_check_class_rows(&b, env);
	if (status == STATS_OK && rows->n_classes > STATS_MAX_CLASSES)
		status = STATS_BAD_ARGUMENT;
	if (status != STATS_OK)
		return status;
	result->n = rows->n;
	status = prepare_work(&w);
	result->n_clusters = w.of.clusters.n_clusters;
	if (status == STATS_OK)
		status = count_right(result, &w);
	if (status == STATS_OK)
		status = compare_auc(result, &few, &w);
	if (status == STATS_OK)
		status = compare_figures(result, &w, few);
	if (status == STATS_OK)
		status = mcnemar(&result->mcnemar_p, &w);
	release_work(&w);
	return status;
}
