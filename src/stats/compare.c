/*-------------------------------------------------------------------------
 *
 * compare.c
 *		Two models on the same rows: paired differences and tests.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_EXACT_DISCORDANT 4000

/* What a cluster adds up; "right" differences are a minus b. */
enum
{
	SUM_POSITIVE,				/* rows by class */
	SUM_NEGATIVE,
	SUM_RIGHT_POSITIVE,			/* right by a minus right by b */
	SUM_RIGHT_NEGATIVE,
	SUM_LOSS,
	SUM_BRIER,
	SUM_DISCORDANT_POSITIVE,
	SUM_DISCORDANT_NEGATIVE,
	N_SUMS
};

enum
{
	ACCURACY,
	SENSITIVITY,
	SPECIFICITY,
	LOG_LOSS,
	BRIER,
	N_DIFFERENCES
};

static double
row_loss(double score, uint8_t label)
{
	double		p = stats_clip_probability(score);

	return label ? -log(p) : -log1p(-p);
}

static StatsStatus
sum_clusters(double *sums, StatsComparison *result, const StatsPair *pair,
			 const StatsClusters *clusters, const StatsEnv *env)
{
	memset(sums, 0, clusters->n_clusters * N_SUMS * sizeof(double));
	result->only_a_right = result->only_b_right = 0;
	for (size_t i = 0; i < pair->n; i++)
	{
		double	   *sum = sums + clusters->number[i] * N_SUMS;
		uint8_t		label = pair->label[i];
		double		a = pair->score_a[i];
		double		b = pair->score_b[i];
		bool		right_a = (a >= pair->threshold_a) == (label == 1);
		bool		right_b = (b >= pair->threshold_b) == (label == 1);

		sum[label ? SUM_POSITIVE : SUM_NEGATIVE] += 1.0;
		sum[label ? SUM_RIGHT_POSITIVE : SUM_RIGHT_NEGATIVE] +=
			(double) right_a - (double) right_b;
		sum[label ? SUM_DISCORDANT_POSITIVE : SUM_DISCORDANT_NEGATIVE] +=
			right_a != right_b;
		sum[SUM_LOSS] += row_loss(a, label) - row_loss(b, label);
		sum[SUM_BRIER] += (a - label) * (a - label) - (b - label) * (b - label);
		result->only_a_right += right_a && !right_b;
		result->only_b_right += right_b && !right_a;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

static void
differences(double *value, const double *sums)
{
	double		n = sums[SUM_POSITIVE] + sums[SUM_NEGATIVE];

	value[ACCURACY] = (sums[SUM_RIGHT_POSITIVE] + sums[SUM_RIGHT_NEGATIVE]) / n;
	value[SENSITIVITY] = sums[SUM_RIGHT_POSITIVE] / sums[SUM_POSITIVE];
	value[SPECIFICITY] = sums[SUM_RIGHT_NEGATIVE] / sums[SUM_NEGATIVE];
	value[LOG_LOSS] = sums[SUM_LOSS] / n;
	value[BRIER] = sums[SUM_BRIER] / n;
}

/* No discordant row says little, not nothing. */
static void
widen_concordant(StatsInterval *interval, double discordant, size_t clusters,
				 double confidence)
{
	StatsInterval limit;

	if (discordant > 0.0 || interval->low < interval->high || clusters == 0)
		return;
	if (stats_wilson(&limit, 0.0, (double) clusters, confidence) == STATS_OK)
	{
		interval->low = -limit.high;
		interval->high = limit.high;
	}
}

static StatsStatus
compare_figures(StatsComparison *result, const double *sums,
				const uint8_t *stratum, double confidence,
				const StatsEnv *env)
{
	StatsInterval interval[N_DIFFERENCES];
	double		discordant[2] = {0.0, 0.0};
	size_t		holding[2] = {0, 0};
	StatsBootstrap plan = {
		.sums = sums,
		.stratum = stratum,
		.n_clusters = result->n_clusters,
		.n_sums = N_SUMS,
		.n_statistics = N_DIFFERENCES,
		.statistic = differences,
		.confidence = confidence,
		.replicates = result->replicates,
		.seed = result->seed
	};
	StatsStatus status = stats_bootstrap(interval, &plan, env);

	if (status != STATS_OK)
		return status;
	for (size_t c = 0; c < plan.n_clusters; c++)
	{
		const double *sum = sums + c * N_SUMS;

		discordant[0] += sum[SUM_DISCORDANT_NEGATIVE];
		discordant[1] += sum[SUM_DISCORDANT_POSITIVE];
		holding[0] += sum[SUM_NEGATIVE] > 0.0;
		holding[1] += sum[SUM_POSITIVE] > 0.0;
	}
	widen_concordant(&interval[ACCURACY], discordant[0] + discordant[1],
					 plan.n_clusters, confidence);
	widen_concordant(&interval[SENSITIVITY], discordant[1], holding[1],
					 confidence);
	widen_concordant(&interval[SPECIFICITY], discordant[0], holding[0],
					 confidence);
	result->accuracy = interval[ACCURACY];
	result->sensitivity = interval[SENSITIVITY];
	result->specificity = interval[SPECIFICITY];
	result->log_loss = interval[LOG_LOSS];
	result->brier = interval[BRIER];
	return STATS_OK;
}

/*
 * Exact distribution of sum +-d over the clusters, each sign with one half:
 * probability[i] belongs to the sum i - most.  One cluster at a time; scratch
 * holds the next one.  Returns the two-sided tail at |observed|.
 */
static StatsStatus
sign_test(double *p, double *probability, double *scratch, size_t most,
		  double observed, const double *sums, size_t n_clusters,
		  const StatsEnv *env)
{
	size_t		width = 2 * most + 1;
	size_t		reach = 0;
	size_t		work = 0;
	double		tail = 0.0;

	memset(probability, 0, width * sizeof(double));
	probability[most] = 1.0;
	for (size_t c = 0; c < n_clusters; c++)
	{
		size_t		d = (size_t) fabs(sums[c * N_SUMS + SUM_RIGHT_POSITIVE] +
									  sums[c * N_SUMS + SUM_RIGHT_NEGATIVE]);

		if (d == 0)
			continue;
		reach += d;
		memset(scratch + most - reach, 0, (2 * reach + 1) * sizeof(double));
		for (size_t i = most - (reach - d); i <= most + (reach - d); i++)
		{
			scratch[i - d] += 0.5 * probability[i];
			scratch[i + d] += 0.5 * probability[i];
			if (stats_stopped(env, ++work))
				return STATS_INTERRUPTED;
		}
		memcpy(probability + most - reach, scratch + most - reach,
			   (2 * reach + 1) * sizeof(double));
	}
	for (size_t i = 0; i < width; i++)
		if (fabs((double) i - (double) most) >= fabs(observed))
			tail += probability[i];
	*p = fmin(1.0, tail);
	return STATS_OK;
}

static StatsStatus
mcnemar(double *p, const double *sums, size_t n_clusters, const StatsEnv *env)
{
	double		observed = 0.0;
	double		squares = 0.0;
	double		most = 0.0;
	double	   *probability;
	double	   *scratch;
	StatsStatus status = STATS_NO_MEMORY;

	for (size_t c = 0; c < n_clusters; c++)
	{
		double		d = sums[c * N_SUMS + SUM_RIGHT_POSITIVE] +
			sums[c * N_SUMS + SUM_RIGHT_NEGATIVE];

		observed += d;
		squares += d * d;
		most += fabs(d);
	}
	if (most > MAX_EXACT_DISCORDANT)
	{
		*p = stats_two_sided_normal_p(observed / sqrt(squares));
		return STATS_OK;
	}
	probability = stats_array(env, 2 * (size_t) most + 1, sizeof(double));
	scratch = stats_array(env, 2 * (size_t) most + 1, sizeof(double));
	if (probability != NULL && scratch != NULL)
		status = sign_test(p, probability, scratch, (size_t) most, observed,
						   sums, n_clusters, env);
	stats_free(env, scratch);
	stats_free(env, probability);
	return status;
}

/* Limits of the difference of two AUCs without a variance of it. */
static void
combine_limits(StatsInterval *difference, const StatsInterval *a,
			   const StatsInterval *b)
{
	difference->low = difference->value -
		hypot(a->value - a->low, b->high - b->value);
	difference->high = difference->value +
		hypot(a->high - a->value, b->value - b->low);
}

static StatsStatus
compare_auc(StatsComparison *result, double *place_a, double *place_b,
			const StatsPair *pair, const StatsClusters *clusters,
			double confidence, const StatsEnv *env)
{
	StatsRows	a = {pair->score_a, pair->label, pair->cluster, pair->n};
	StatsRows	b = {pair->score_b, pair->label, pair->cluster, pair->n};
	StatsPlacementVariance variance;
	StatsAuc	single;
	double		auc_a;
	double		auc_b;
	double		half;
	bool		same = true;
	StatsStatus status = stats_placements(place_a, &auc_a, &a, env);

	if (status == STATS_OK)
		status = stats_placements(place_b, &auc_b, &b, env);
	if (status == STATS_OK)
		status = stats_placement_variance(&variance, place_a, auc_a,
										  pair->label, pair->n, clusters, env);
	if (status != STATS_OK)
		return status;
	stats_auc_limits(&single, auc_a, &variance, confidence);
	result->auc_a = single.auc;
	status = stats_placement_variance(&variance, place_b, auc_b, pair->label,
									  pair->n, clusters, env);
	if (status != STATS_OK)
		return status;
	stats_auc_limits(&single, auc_b, &variance, confidence);
	result->auc_b = single.auc;

	for (size_t i = 0; i < pair->n; i++)
	{
		place_a[i] -= place_b[i];
		same = same && pair->score_a[i] == pair->score_b[i];
	}
	result->auc.value = auc_a - auc_b;
	status = stats_placement_variance(&variance, place_a, auc_a - auc_b,
									  pair->label, pair->n, clusters, env);
	if (status != STATS_OK)
		return status;
	result->auc_se = sqrt(variance.variance);
	if (variance.variance > 1e-20)
	{
		double		df = fmin((double) variance.n_positive,
							  (double) variance.n_negative) - 1.0;

		half = stats_two_sided_t(confidence, df) * result->auc_se;
		result->auc.low = fmax(-1.0, result->auc.value - half);
		result->auc.high = fmin(1.0, result->auc.value + half);
		result->auc_p = stats_two_sided_t_p(result->auc.value / result->auc_se,
											df);
		return STATS_OK;
	}
	result->auc.low = result->auc.high = result->auc.value;
	if (!same)
		combine_limits(&result->auc, &result->auc_a, &result->auc_b);
	result->auc_p = result->auc.value == 0.0 ? 1.0 : NAN;
	return STATS_OK;
}

static StatsStatus
check_pair(const StatsPair *pair)
{
	StatsRows	a = {pair->score_a, pair->label, pair->cluster, pair->n};
	StatsRows	b = {pair->score_b, pair->label, pair->cluster, pair->n};
	StatsStatus status = stats_check_rows(&a, NULL);

	if (status == STATS_OK)
		status = stats_check_rows(&b, NULL);
	if (status == STATS_OK &&
		(isnan(pair->threshold_a) || isnan(pair->threshold_b)))
		status = STATS_BAD_ARGUMENT;
	return status;
}

/* Without ids the order of score a, then label, numbers the clusters. */
StatsStatus
stats_compare(StatsComparison *result, const StatsPair *pair,
			  const StatsOptions *options, const StatsEnv *env)
{
	StatsRows	rows = {pair->score_a, pair->label, pair->cluster, pair->n};
	StatsClusters clusters = {NULL, 0};
	StatsOptions used;
	double	   *place;
	double	   *sums = NULL;
	uint8_t    *stratum = NULL;
	StatsStatus status = stats_check_options(&used, options);

	if (status == STATS_OK)
		status = check_pair(pair);
	if (status == STATS_OK)
		status = stats_number_clusters(&clusters, &rows, env);
	if (status != STATS_OK)
	{
		stats_free(env, clusters.number);
		return status;
	}
	result->n = pair->n;
	result->n_clusters = clusters.n_clusters;
	result->replicates = used.replicates;
	result->seed = used.seed;
	place = stats_array(env, pair->n, 2 * sizeof(double));
	sums = stats_array(env, clusters.n_clusters, N_SUMS * sizeof(double));
	stratum = stats_array(env, clusters.n_clusters, sizeof(uint8_t));
	if (place == NULL || sums == NULL || stratum == NULL)
		status = STATS_NO_MEMORY;
	if (status == STATS_OK)
		status = compare_auc(result, place, place + pair->n, pair, &clusters,
							 used.confidence, env);
	if (status == STATS_OK)
		status = sum_clusters(sums, result, pair, &clusters, env);
	if (status == STATS_OK)
		status = stats_cluster_strata(stratum, &clusters, pair->label, pair->n,
									  env);
	if (status == STATS_OK)
		status = compare_figures(result, sums, stratum, used.confidence, env);
	if (status == STATS_OK)
		status = mcnemar(&result->mcnemar_p, sums, clusters.n_clusters, env);
	stats_free(env, stratum);
	stats_free(env, sums);
	stats_free(env, place);
	stats_free(env, clusters.number);
	return status;
}
