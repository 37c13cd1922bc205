/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *		All figures of a two-class evaluation, with limits.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* A row's state: bit 0 its label, bit 1 whether it is called positive. */
enum
{
	TRUE_NEGATIVE = 0,
	FALSE_NEGATIVE = 1,
	FALSE_POSITIVE = 2,
	TRUE_POSITIVE = 3
};

#define STATE(s) (1u << (s))

/* A proportion: successes among the rows whose state is in `base`. */
typedef struct Proportion
{
	unsigned base; /* sets of states */
	unsigned success;
} Proportion;

enum
{
	ACCURACY,
	SENSITIVITY,
	SPECIFICITY,
	PPV,
	NPV,
	JACCARD, /* of the rows called positive and the positive rows */
	N_PROPORTIONS
};

static const Proportion proportions[N_PROPORTIONS] = {
	{0xF, STATE(TRUE_POSITIVE) | STATE(TRUE_NEGATIVE)},
	{STATE(TRUE_POSITIVE) | STATE(FALSE_NEGATIVE), STATE(TRUE_POSITIVE)},
	{STATE(TRUE_NEGATIVE) | STATE(FALSE_POSITIVE), STATE(TRUE_NEGATIVE)},
	{STATE(TRUE_POSITIVE) | STATE(FALSE_POSITIVE), STATE(TRUE_POSITIVE)},
	{STATE(TRUE_NEGATIVE) | STATE(FALSE_NEGATIVE), STATE(TRUE_NEGATIVE)},
	{STATE(TRUE_POSITIVE) | STATE(FALSE_POSITIVE) | STATE(FALSE_NEGATIVE), STATE(TRUE_POSITIVE)},
};

/* What a cluster adds up: rows by state, all rows, and the two losses. */
enum
{
	SUM_ROWS = 4,
	SUM_LOSS,
	SUM_BRIER,
	N_SUMS
};

StatsStatus
stats_check_options(StatsOptions *used, const StatsOptions *options)
{
	used->threshold = 0.5;
	used->confidence = STATS_DEFAULT_CONFIDENCE;
	if (options != NULL)
		*used = *options;
	if (isnan(used->threshold) || !stats_level_is_valid(used->confidence))
		return STATS_BAD_ARGUMENT;
	return STATS_OK;
}

/* Fills the sums of all clusters and the counts of the confusion matrix. */
static StatsStatus
sum_clusters(double *sums, StatsCounts *counts, const StatsRows *rows, const uint8_t *called,
			 double threshold, const StatsClusters *clusters, const StatsEnv *env)
{
	uint64_t states[4] = {0, 0, 0, 0};

	memset(sums, 0, clusters->n_clusters * N_SUMS * sizeof(double));
	for (size_t i = 0; i < rows->n; i++)
	{
		double *sum = sums + clusters->number[i] * N_SUMS;
		double p = stats_clip_probability(rows->score[i]);
		double error = rows->score[i] - rows->label[i];
		bool positive = called != NULL ? called[i] != 0 : rows->score[i] >= threshold;
		int state = rows->label[i] | (positive << 1);

		states[state]++;
		sum[state] += 1.0;
		sum[SUM_ROWS] += 1.0;
		sum[SUM_LOSS] -= rows->label[i] ? log(p) : log1p(-p);
		sum[SUM_BRIER] += error * error;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	counts->tn = states[TRUE_NEGATIVE];
	counts->fn = states[FALSE_NEGATIVE];
	counts->fp = states[FALSE_POSITIVE];
	counts->tp = states[TRUE_POSITIVE];
	return STATS_OK;
}

static void
sum_proportion(StatsProportionSums *result, const Proportion *proportion, const double *sums,
			   size_t n_clusters)
{
	memset(result, 0, sizeof(*result));
	for (size_t c = 0; c < n_clusters; c++)
	{
		double x = 0.0;
		double m = 0.0;

		for (unsigned s = 0; s < 4; s++)
		{
			if (proportion->base & STATE(s))
				m += sums[c * N_SUMS + s];
			if (proportion->success & STATE(s))
				x += sums[c * N_SUMS + s];
		}
		stats_proportion_add(result, x, m, 1.0);
	}
}

/* Fills limits of the ratio a / b on the logarithmic scale; the value is filled already. */
static void
ratio_limits(StatsInterval *interval, double a, double n_a, double b, double n_b, double confidence)
{
	double half;
	double centre;

	interval->low = interval->high = NAN;
	if (isnan(interval->value) || !(n_a > 0.0) || !(n_b > 0.0))
		return;
	if (a <= 0.0 || a >= 1.0 || b <= 0.0 || b >= 1.0)
	{
		a = (a * n_a + 0.5) / (n_a + 1.0);
		b = (b * n_b + 0.5) / (n_b + 1.0);
	}
	centre = log(a / b);
	half = stats_two_sided_z(confidence) * sqrt((1.0 - a) / (a * n_a) + (1.0 - b) / (b * n_b));
	interval->low = fmin(interval->value, exp(centre - half));
	interval->high = fmax(interval->value, exp(centre + half));
}

static StatsStatus
fill_losses(StatsEvaluation *result, const double *sums, const StatsEnv *env)
{
	size_t k = result->n_clusters;
	StatsMean mean;
	StatsStatus status = stats_cluster_mean(&mean, sums + SUM_LOSS, sums + SUM_ROWS, N_SUMS, k, env);

	if (status != STATS_OK)
		return status;
	stats_share_limits(&result->log_loss, &mean, -log(STATS_LOG_LOSS_EPSILON), result->options.confidence);
	status = stats_cluster_mean(&mean, sums + SUM_BRIER, sums + SUM_ROWS, N_SUMS, k, env);
	if (status == STATS_OK)
		stats_share_limits(&result->brier, &mean, 1.0, result->options.confidence);
	return status;
}

static void
fill_proportions(StatsEvaluation *result, const double *sums)
{
	StatsInterval jaccard;
	StatsInterval *target[N_PROPORTIONS] = {&result->accuracy, &result->sensitivity, &result->specificity,
											&result->ppv,      &result->npv,         &jaccard};
	double n_effective[N_PROPORTIONS];
	StatsProportionSums of;
	StatsFigures figures;
	double confidence = result->options.confidence;

	for (int i = 0; i < N_PROPORTIONS; i++)
	{
		sum_proportion(&of, &proportions[i], sums, result->n_clusters);
		stats_proportion_interval(target[i], &n_effective[i], &of, confidence);
		if (i == SENSITIVITY)
			result->n_clusters_positive = (size_t) of.sizes.clusters;
		if (i == SPECIFICITY)
			result->n_clusters_negative = (size_t) of.sizes.clusters;
	}
	stats_figures_from_counts(&figures, &result->counts);
	stats_f1_limits(&result->f1, figures.f1, &jaccard);
	result->lr_positive.value = figures.lr_positive;
	result->lr_negative.value = figures.lr_negative;
	ratio_limits(&result->lr_positive, figures.sensitivity, n_effective[SENSITIVITY],
				 1.0 - figures.specificity, n_effective[SPECIFICITY], confidence);
	ratio_limits(&result->lr_negative, 1.0 - figures.sensitivity, n_effective[SENSITIVITY],
				 figures.specificity, n_effective[SPECIFICITY], confidence);
}

static StatsStatus
fill_evaluation(StatsEvaluation *result, double *sums, const StatsRows *rows, const uint8_t *called,
				const StatsClusters *clusters, const StatsEnv *env)
{
	StatsStatus status =
		sum_clusters(sums, &result->counts, rows, called, result->options.threshold, clusters, env);

	if (status != STATS_OK)
		return status;
	fill_proportions(result, sums);
	return fill_losses(result, sums, env);
}

static void
row_content(uint64_t *key, uint64_t *mark, const void *rows, size_t row)
{
	const StatsRows *r = rows;

	*key = stats_row_key(r->score[row], r->label[row]);
	*mark = stats_mix(*key + 1);
}

StatsStatus
stats_evaluate_called(StatsEvaluation *result, const StatsRows *rows, const uint8_t *called,
					  const StatsOptions *options, const StatsEnv *env)
{
	StatsClusters clusters = {NULL, 0};
	StatsAuc auc = {{NAN, NAN, NAN}, NAN, false};
	double *sums = NULL;
	StatsStatus auc_status;
	StatsStatus status = stats_check_options(&result->options, options);

	if (status == STATS_OK)
		status = stats_check_rows(rows, NULL);
	if (status != STATS_OK)
		return status;
	auc_status = stats_auc_interval(&auc, rows, result->options.confidence, env);
	if (auc_status != STATS_OK && auc_status != STATS_ONE_CLASS)
		return auc_status;
	result->auc = auc.auc;
	result->auc_se = auc.se;
	result->n = rows->n;
	stats_count_labels(rows, &result->n_positive, &result->n_negative);
	status = stats_number_clusters(&clusters, rows, env);
	result->n_clusters = clusters.n_clusters;
	if (status == STATS_OK && rows->cluster != NULL)
		status = stats_order_clusters(&clusters, row_content, rows, rows->n, env);
	if (status == STATS_OK)
	{
		sums = stats_array(env, clusters.n_clusters, N_SUMS * sizeof(double));
		status = sums == NULL ? STATS_NO_MEMORY : fill_evaluation(result, sums, rows, called, &clusters, env);
	}
	stats_free(env, sums);
	stats_free(env, clusters.number);
	return status != STATS_OK ? status : auc_status;
}

StatsStatus
stats_evaluate(StatsEvaluation *result, const StatsRows *rows, const StatsOptions *options,
			   const StatsEnv *env)
{
	return stats_evaluate_called(result, rows, NULL, options, env);
}
