/*-------------------------------------------------------------------------
 *
 * multiclass_compare.c
 *		Two models of more than two classes on the same rows.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/*
 * What a cluster adds up: five numbers a class (its rows, rows of it that a
 * and that b calls it, other rows that a and that b call it), then the
 * differences of the two losses.
 */
enum
{
	CLASS_ROWS,
	FOUND_A,
	FOUND_B,
	FALSE_A,
	FALSE_B,
	N_CLASS_SUMS
};

enum
{
	SENSITIVITY,
	SPECIFICITY,
	LOG_LOSS,
	BRIER,
	N_DIFFERENCES
};

typedef struct Work
{
	const StatsClassRows *a;
	const StatsClassRows *b;
	const StatsEnv *env;
	StatsClusters clusters;
	size_t n_sums;
	double confidence;
	bool same;           /* all probabilities are equal */
	double otherwise;    /* rows that a and b call differently */
	uint8_t *label;      /* n */
	uint8_t *stratum;    /* n_clusters */
	double *influence_a; /* n each */
	double *influence_b;
	double *sums;  /* [n_clusters][n_sums] */
	double *right; /* n_clusters each: rows, right by a, by b */
} Work;

static void
release_work(Work *w)
{
	stats_free(w->env, w->right);
	stats_free(w->env, w->sums);
	stats_free(w->env, w->influence_a);
	stats_free(w->env, w->stratum);
	stats_free(w->env, w->label);
	stats_free(w->env, w->clusters.number);
}

static StatsStatus
prepare_work(Work *w)
{
	size_t n = w->a->n;
	StatsStatus status = stats_number_class_clusters(&w->clusters, w->a, w->env);

	if (status != STATS_OK)
		return status;
	w->n_sums = N_CLASS_SUMS * (size_t) w->a->n_classes + 2;
	w->label = stats_array(w->env, n, sizeof(uint8_t));
	w->influence_a = stats_array(w->env, n, 2 * sizeof(double));
	w->stratum = stats_array(w->env, w->clusters.n_clusters, sizeof(uint8_t));
	w->sums = stats_array(w->env, w->clusters.n_clusters, w->n_sums * sizeof(double));
	w->right = stats_array(w->env, w->clusters.n_clusters, 3 * sizeof(double));
	if (!w->label || !w->influence_a || !w->stratum || !w->sums || !w->right)
		return STATS_NO_MEMORY;
	w->influence_b = w->influence_a + n;
	for (size_t i = 0; i < n; i++)
		w->label[i] = (uint8_t) w->a->label[i];
	return stats_cluster_strata(w->stratum, &w->clusters, w->label, n, w->a->n_classes, w->env);
}

/* Adds a row's losses by one model, with the sign of that model. */
static void
add_losses(double *sum, const double *p, size_t n_classes, size_t truth, double sign)
{
	sum[0] -= sign * log(stats_clip_probability(p[truth]));
	for (size_t c = 0; c < n_classes; c++)
	{
		double error = p[c] - (c == truth);

		sum[1] += sign * error * error;
	}
}

static StatsStatus
sum_clusters(StatsClassComparison *result, Work *w)
{
	size_t k = (size_t) w->a->n_classes;

	memset(w->sums, 0, w->clusters.n_clusters * w->n_sums * sizeof(double));
	memset(w->right, 0, w->clusters.n_clusters * 3 * sizeof(double));
	w->same = true;
	w->otherwise = 0.0;
	result->only_a_right = result->only_b_right = 0;
	for (size_t i = 0; i < w->a->n; i++)
	{
		size_t cluster = w->clusters.number[i];
		double *sum = w->sums + cluster * w->n_sums;
		double *right = w->right + 3 * cluster;
		const double *a = w->a->probability + i * k;
		const double *b = w->b->probability + i * k;
		size_t truth = w->label[i];
		size_t best_a = stats_best_class(a, k);
		size_t best_b = stats_best_class(b, k);

		sum[N_CLASS_SUMS * truth + CLASS_ROWS] += 1.0;
		sum[N_CLASS_SUMS * best_a + (best_a == truth ? FOUND_A : FALSE_A)] += 1.0;
		sum[N_CLASS_SUMS * best_b + (best_b == truth ? FOUND_B : FALSE_B)] += 1.0;
		add_losses(sum + w->n_sums - 2, a, k, truth, 1.0);
		add_losses(sum + w->n_sums - 2, b, k, truth, -1.0);
		right[0] += 1.0;
		right[1] += best_a == truth;
		right[2] += best_b == truth;
		w->otherwise += best_a != best_b;
		w->same = w->same && memcmp(a, b, k * sizeof(double)) == 0;
		result->only_a_right += best_a == truth && best_b != truth;
		result->only_b_right += best_b == truth && best_a != truth;
		if (stats_stopped(w->env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/* arg: the Work. */
static void
macro_differences(double *value, const double *sums, const void *arg)
{
	const Work *w = arg;
	int32_t n_classes = w->a->n_classes;
	double n = 0.0;
	double present = 0.0;
	double with_rest = 0.0;

	for (int32_t c = 0; c < n_classes; c++)
		n += sums[N_CLASS_SUMS * c + CLASS_ROWS];
	value[SENSITIVITY] = value[SPECIFICITY] = 0.0;
	for (int32_t c = 0; c < n_classes; c++)
	{
		const double *of = sums + N_CLASS_SUMS * c;
		double rest = n - of[CLASS_ROWS];

		if (of[CLASS_ROWS] <= 0.0)
			continue;
		present += 1.0;
		value[SENSITIVITY] += (of[FOUND_A] - of[FOUND_B]) / of[CLASS_ROWS];
		if (rest > 0.0)
		{
			value[SPECIFICITY] += (of[FALSE_B] - of[FALSE_A]) / rest;
			with_rest += 1.0;
		}
	}
	value[SENSITIVITY] /= present;
	value[SPECIFICITY] /= with_rest;
	value[LOG_LOSS] = sums[w->n_sums - 2] / n;
	value[BRIER] = sums[w->n_sums - 1] / n;
}

/* No row that is called otherwise says little, not nothing. */
static void
widen_concordant(StatsInterval *interval, const Work *w, size_t few)
{
	StatsInterval none;

	if (w->otherwise > 0.0)
		return;
	(void) stats_wilson(&none, 0.0, (double) few, w->confidence);
	interval->low = -none.high;
	interval->high = none.high;
}

static StatsStatus
compare_figures(StatsClassComparison *result, const Work *w, size_t few)
{
	StatsInterval interval[N_DIFFERENCES];
	StatsPairedShares shares = {0};
	StatsBootstrap plan = {.sums = w->sums,
						   .stratum = w->stratum,
						   .n_clusters = w->clusters.n_clusters,
						   .n_sums = w->n_sums,
						   .n_statistics = N_DIFFERENCES,
						   .n_strata = w->a->n_classes + 1,
						   .statistic = macro_differences,
						   .arg = w,
						   .confidence = w->confidence,
						   .replicates = result->replicates,
						   .seed = result->seed};
	StatsStatus status = stats_bootstrap(interval, &plan, w->env);

	if (status != STATS_OK)
		return status;
	for (size_t c = 0; c < plan.n_clusters; c++)
		stats_paired_add(&shares, w->right[3 * c + 1], w->right[3 * c + 2], w->right[3 * c]);
	stats_paired_difference(&result->accuracy, &shares,
							(double) (result->only_a_right + result->only_b_right), w->confidence);
	widen_concordant(&interval[SENSITIVITY], w, few);
	widen_concordant(&interval[SPECIFICITY], w, few);
	result->macro_sensitivity = interval[SENSITIVITY];
	result->macro_specificity = interval[SPECIFICITY];
	result->log_loss = interval[LOG_LOSS];
	result->brier = interval[BRIER];
	return STATS_OK;
}

/* Of one model: the AUC with limits, and what each row moves it by. */
static StatsStatus
single_auc(StatsInterval *interval, double *variance, size_t *few, double *influence,
		   const StatsClassRows *rows, const Work *w)
{
	double auc;
	StatsStatus status = stats_macro_auc_influence(influence, &auc, NULL, rows, w->env);

	if (status == STATS_OK)
		status = stats_influence_variance(variance, few, influence, rows, &w->clusters, w->env);
	if (status == STATS_OK && !stats_macro_auc_limits(interval, auc, *variance, *few, w->confidence))
	{
		/* as a share of the smallest class: wide, never a point */
		(void) stats_wilson(interval, auc, (double) *few, w->confidence);
	}
	return status;
}

static StatsStatus
compare_auc(StatsClassComparison *result, size_t *few, Work *w)
{
	double variance_a;
	double variance_b;
	double variance;
	StatsStatus status = single_auc(&result->macro_auc_a, &variance_a, few, w->influence_a, w->a, w);

	if (status == STATS_OK)
		status = single_auc(&result->macro_auc_b, &variance_b, few, w->influence_b, w->b, w);
	if (status != STATS_OK)
		return status;
	for (size_t i = 0; i < w->a->n; i++)
		w->influence_a[i] -= w->influence_b[i];
	status = stats_influence_variance(&variance, few, w->influence_a, w->a, &w->clusters, w->env);
	if (status != STATS_OK)
		return status;
	result->macro_auc.value = result->macro_auc_a.value - result->macro_auc_b.value;
	stats_auc_difference(&result->macro_auc, &result->macro_auc_se, &result->macro_auc_p,
						 &result->macro_auc_a, variance_a, &result->macro_auc_b, variance_b, variance,
						 (double) *few - 1.0, w->same);
	return STATS_OK;
}

static StatsStatus
mcnemar(double *p, const Work *w)
{
	double *d = stats_array(w->env, w->clusters.n_clusters, sizeof(double));
	StatsStatus status = STATS_NO_MEMORY;

	if (d != NULL)
	{
		for (size_t c = 0; c < w->clusters.n_clusters; c++)
			d[c] = w->right[3 * c + 1] - w->right[3 * c + 2];
		status = stats_sign_test(p, d, w->clusters.n_clusters, w->env);
	}
	stats_free(w->env, d);
	return status;
}

StatsStatus
stats_class_compare(StatsClassComparison *result, const StatsClassRows *rows, const double *probability_b,
					const StatsOptions *options, const StatsEnv *env)
{
	StatsClassRows b;
	Work w = {.a = rows, .b = &b, .env = env};
	StatsOptions used;
	size_t few = 0;
	StatsStatus status = stats_check_options(&used, options);

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
	w.confidence = used.confidence;
	result->replicates = used.replicates;
	result->seed = used.seed;
	result->n = rows->n;
	status = prepare_work(&w);
	result->n_clusters = w.clusters.n_clusters;
	if (status == STATS_OK)
		status = sum_clusters(result, &w);
	if (status == STATS_OK)
		status = compare_auc(result, &few, &w);
	if (status == STATS_OK)
		status = compare_figures(result, &w, few);
	if (status == STATS_OK)
		status = mcnemar(&result->mcnemar_p, &w);
	release_work(&w);
	return status;
}
