/*-------------------------------------------------------------------------
 *
 * compare.c
 *		Two models on the same rows: paired differences and tests.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* What a cluster adds up. */
enum
{
	SUM_NEGATIVE, /* rows by class */
	SUM_POSITIVE,
	SUM_A_NEGATIVE, /* of these right by a, right by b */
	SUM_A_POSITIVE,
	SUM_B_NEGATIVE,
	SUM_B_POSITIVE,
	SUM_ROWS,
	SUM_LOSS, /* of a minus that of b */
	SUM_BRIER,
	N_SUMS
};

static double
row_loss(double score, uint8_t label)
{
	double p = stats_clip_probability(score);

	return label ? -log(p) : -log1p(-p);
}

/* Fills the sums of all clusters and the counts of discordant rows, which discordant holds by class. */
static StatsStatus
sum_clusters(double *sums, double *discordant, StatsComparison *result, const StatsPair *pair,
			 const StatsClusters *clusters, const StatsEnv *env)
{
	memset(sums, 0, clusters->n_clusters * N_SUMS * sizeof(double));
	discordant[0] = discordant[1] = 0.0;
	result->only_a_right = result->only_b_right = 0;
	for (size_t i = 0; i < pair->n; i++)
	{
		double *sum = sums + clusters->number[i] * N_SUMS;
		uint8_t label = pair->label[i];
		double a = pair->score_a[i];
		double b = pair->score_b[i];
		bool right_a = (a >= pair->threshold_a) == (label == 1);
		bool right_b = (b >= pair->threshold_b) == (label == 1);

		sum[SUM_NEGATIVE + label] += 1.0;
		sum[SUM_ROWS] += 1.0;
		sum[SUM_A_NEGATIVE + label] += right_a;
		sum[SUM_B_NEGATIVE + label] += right_b;
		sum[SUM_LOSS] += row_loss(a, label) - row_loss(b, label);
		sum[SUM_BRIER] += (a - label) * (a - label) - (b - label) * (b - label);
		discordant[label] += right_a != right_b;
		result->only_a_right += right_a && !right_b;
		result->only_b_right += right_b && !right_a;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Fills the difference of the shares that a and b get right, over the rows of the
 * classes in `classes` (bit 0 negative, bit 1 positive).
 */
static void
compare_shares(StatsInterval *difference, const double *sums, size_t n_clusters, unsigned classes,
			   double discordant, double confidence)
{
	StatsPairedShares shares = {0};

	for (size_t c = 0; c < n_clusters; c++)
	{
		const double *sum = sums + c * N_SUMS;
		double rows = 0.0;
		double a = 0.0;
		double b = 0.0;

		for (int y = 0; y < 2; y++)
			if (classes & (1u << y))
			{
				rows += sum[SUM_NEGATIVE + y];
				a += sum[SUM_A_NEGATIVE + y];
				b += sum[SUM_B_NEGATIVE + y];
			}
		stats_paired_add(&shares, a, b, rows);
	}
	stats_paired_difference(difference, &shares, discordant, confidence);
}

static StatsStatus
compare_figures(StatsComparison *result, const double *sums, const double *discordant, double confidence,
				const StatsEnv *env)
{
	size_t k = result->n_clusters;
	StatsMean mean;
	StatsStatus status = stats_cluster_mean(&mean, sums + SUM_LOSS, sums + SUM_ROWS, N_SUMS, k, env);

	if (status != STATS_OK)
		return status;
	stats_student_limits(&result->log_loss, &mean, confidence);
	status = stats_cluster_mean(&mean, sums + SUM_BRIER, sums + SUM_ROWS, N_SUMS, k, env);
	if (status != STATS_OK)
		return status;
	stats_student_limits(&result->brier, &mean, confidence);
	compare_shares(&result->accuracy, sums, k, 3, discordant[0] + discordant[1], confidence);
	compare_shares(&result->sensitivity, sums, k, 2, discordant[1], confidence);
	compare_shares(&result->specificity, sums, k, 1, discordant[0], confidence);
	return STATS_OK;
}

static StatsStatus
mcnemar(double *p, const double *sums, size_t n_clusters, const StatsEnv *env)
{
	double *d = stats_array(env, n_clusters, sizeof(double));
	StatsStatus status = STATS_NO_MEMORY;

	if (d != NULL)
	{
		for (size_t c = 0; c < n_clusters; c++)
		{
			const double *sum = sums + c * N_SUMS;

			d[c] = sum[SUM_A_POSITIVE] + sum[SUM_A_NEGATIVE] - sum[SUM_B_POSITIVE] - sum[SUM_B_NEGATIVE];
		}
		status = stats_sign_test(p, d, n_clusters, env);
	}
	stats_free(env, d);
	return status;
}

/* Fills the AUC of one model with limits, and its placement values. */
static StatsStatus
single_auc(StatsInterval *result, StatsAucSource *source, double *place, const double *score,
		   const StatsPair *pair, const StatsClusters *clusters, double confidence, const StatsEnv *env)
{
	StatsRows rows = {score, pair->label, pair->cluster, pair->n};
	StatsPlacementVariance variance;
	double auc;
	StatsStatus status = stats_placements(place, &auc, &rows, env);

	if (status == STATS_OK)
		status = stats_placement_variance(&variance, place, auc, pair->label, pair->n, clusters, env);
	if (status != STATS_OK)
		return status;
	*source = stats_auc_source(auc, &variance);
	(void) stats_auc_limits(result, source, variance.degrees, confidence);
	return STATS_OK;
}

/* Fills both AUCs and their difference; place_a and place_b are scratch of n each. */
static StatsStatus
compare_auc(StatsComparison *result, double *place_a, double *place_b, const StatsPair *pair,
			const StatsClusters *clusters, double confidence, const StatsEnv *env)
{
	StatsAucSource a;
	StatsAucSource b;
	StatsPlacementVariance both;
	bool same = true;
	StatsStatus status =
		single_auc(&result->auc_a, &a, place_a, pair->score_a, pair, clusters, confidence, env);

	if (status == STATS_OK)
		status = single_auc(&result->auc_b, &b, place_b, pair->score_b, pair, clusters, confidence, env);
	if (status != STATS_OK)
		return status;
	for (size_t i = 0; i < pair->n; i++)
	{
		place_a[i] -= place_b[i];
		same = same && pair->score_a[i] == pair->score_b[i];
	}
	status = stats_placement_variance(&both, place_a, a.auc - b.auc, pair->label, pair->n, clusters, env);
	if (status != STATS_OK)
		return status;
	stats_auc_difference(&result->auc, &result->auc_se, &result->auc_p, &a, &b, both.variance, both.degrees,
						 confidence, same);
	return STATS_OK;
}

static StatsStatus
check_pair(const StatsPair *pair)
{
	StatsRows a = {pair->score_a, pair->label, pair->cluster, pair->n};
	StatsRows b = {pair->score_b, pair->label, pair->cluster, pair->n};
	StatsStatus status = stats_check_rows(&a, NULL);

	if (status == STATS_OK)
		status = stats_check_rows(&b, NULL);
	if (status == STATS_OK && (isnan(pair->threshold_a) || isnan(pair->threshold_b)))
		status = STATS_BAD_ARGUMENT;
	return status;
}

StatsStatus
stats_compare(StatsComparison *result, const StatsPair *pair, const StatsOptions *options,
			  const StatsEnv *env)
{
	StatsRows rows = {pair->score_a, pair->label, pair->cluster, pair->n};
	StatsClusters clusters = {NULL, 0};
	StatsOptions used;
	double *place;
	double discordant[2];
	double *sums = NULL;
	StatsStatus status = stats_check_options(&used, options);

	if (status == STATS_OK)
		status = check_pair(pair);
	/* without ids the order of score a, then label, numbers the clusters */
	if (status == STATS_OK)
		status = stats_number_clusters(&clusters, &rows, env);
	if (status != STATS_OK)
	{
		stats_free(env, clusters.number);
		return status;
	}
	result->n = pair->n;
	result->n_clusters = clusters.n_clusters;
	place = stats_array(env, pair->n, 2 * sizeof(double));
	sums = stats_array(env, clusters.n_clusters, N_SUMS * sizeof(double));
	if (place == NULL || sums == NULL)
		status = STATS_NO_MEMORY;
	if (status == STATS_OK)
		status = compare_auc(result, place, place + pair->n, pair, &clusters, used.confidence, env);
	if (status == STATS_OK)
		status = sum_clusters(sums, discordant, result, pair, &clusters, env);
	if (status == STATS_OK)
		status = compare_figures(result, sums, discordant, used.confidence, env);
	if (status == STATS_OK)
		status = mcnemar(&result->mcnemar_p, sums, clusters.n_clusters, env);
	stats_free(env, sums);
	stats_free(env, place);
	stats_free(env, clusters.number);
	return status;
}
