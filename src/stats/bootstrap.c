/*-------------------------------------------------------------------------
 *
 * bootstrap.c
 *		Bootstrap of clusters within strata, for statistics that are functions
 *		of sums over clusters: a replicate adds up as many rows of a small
 *		table as there are clusters.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* Clusters listed by stratum. */
typedef struct Strata
{
	size_t	   *member;
	size_t		start[STATS_STRATA + 1];
} Strata;

StatsStatus
stats_check_options(StatsOptions *used, const StatsOptions *options)
{
	used->threshold = 0.5;
	used->confidence = STATS_DEFAULT_CONFIDENCE;
	used->replicates = STATS_DEFAULT_REPLICATES;
	used->seed = 0;
	if (options != NULL)
		*used = *options;
	if (isnan(used->threshold) || !stats_level_is_valid(used->confidence) ||
		used->replicates < STATS_MIN_REPLICATES ||
		used->replicates > STATS_MAX_REPLICATES)
		return STATS_BAD_ARGUMENT;
	return STATS_OK;
}

/* 0: negative rows only, 1: positive rows only, 2: both. */
StatsStatus
stats_cluster_strata(uint8_t *stratum, const StatsClusters *clusters,
					 const uint8_t *label, size_t n, const StatsEnv *env)
{
	const uint8_t stratum_of[4] = {0, 0, 1, 2};

	memset(stratum, 0, clusters->n_clusters);
	for (size_t i = 0; i < n; i++)
	{
		stratum[clusters->number[i]] |= (uint8_t) (label[i] ? 2 : 1);
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	for (size_t c = 0; c < clusters->n_clusters; c++)
		stratum[c] = stratum_of[stratum[c]];
	return STATS_OK;
}

static bool
list_strata(Strata *strata, const StatsBootstrap *plan, const StatsEnv *env)
{
	size_t		next = 0;

	strata->member = stats_array(env, plan->n_clusters, sizeof(size_t));
	if (strata->member == NULL)
		return false;
	for (int s = 0; s < STATS_STRATA; s++)
	{
		strata->start[s] = next;
		for (size_t c = 0; c < plan->n_clusters; c++)
			if (plan->stratum[c] == s)
				strata->member[next++] = c;
	}
	strata->start[STATS_STRATA] = next;
	return true;
}

/*
 * One replicate: as many draws from each stratum as it has clusters.  32
 * random bits choose among k by multiplication; the bias is below k / 2^32.
 */
static StatsStatus
draw_replicate(double *total, const StatsBootstrap *plan,
			   const Strata *strata, uint32_t replicate, size_t *work,
			   const StatsEnv *env)
{
	uint32_t	random[4];

	memset(total, 0, plan->n_sums * sizeof(double));
	for (int s = 0; s < STATS_STRATA; s++)
	{
		const size_t *member = strata->member + strata->start[s];
		size_t		k = strata->start[s + 1] - strata->start[s];

		for (size_t draw = 0; draw < k; draw++)
		{
			const double *sums;

			if (draw % 4 == 0)
				stats_philox(random, plan->seed, draw / 4,
							 ((uint64_t) replicate << 8) | (uint64_t) s);
			sums = plan->sums + plan->n_sums *
				member[((uint64_t) random[draw % 4] * k) >> 32];
			for (size_t j = 0; j < plan->n_sums; j++)
				total[j] += sums[j];
			if (stats_stopped(env, ++*work))
				return STATS_INTERRUPTED;
		}
	}
	return STATS_OK;
}

/*
 * Acceleration of each statistic from leaving out one cluster at a time,
 * deviations taken within the stratum.
 */
static StatsStatus
accelerations(double *acceleration, const StatsBootstrap *plan,
			  const Strata *strata, const double *total, const StatsEnv *env)
{
	double		square[STATS_MAX_STATISTICS] = {0};
	double		cube[STATS_MAX_STATISTICS] = {0};
	double		left[STATS_MAX_SUMS];
	double		value[STATS_MAX_STATISTICS];

	for (int s = 0; s < STATS_STRATA; s++)
	{
		double		mean[STATS_MAX_STATISTICS] = {0};
		double		k = (double) (strata->start[s + 1] - strata->start[s]);

		/* first the mean of the stratum, then the deviations */
		for (int pass = 0; pass < 2; pass++)
			for (size_t i = strata->start[s]; i < strata->start[s + 1]; i++)
			{
				const double *sums = plan->sums +
					plan->n_sums * strata->member[i];

				for (size_t j = 0; j < plan->n_sums; j++)
					left[j] = total[j] - sums[j];
				plan->statistic(value, left);
				for (size_t j = 0; j < plan->n_statistics; j++)
				{
					double		d = mean[j] - value[j];

					if (pass == 0)
						mean[j] += value[j] / k;
					else
					{
						square[j] += d * d;
						cube[j] += d * d * d;
					}
				}
				if (stats_stopped(env, i + 1))
					return STATS_INTERRUPTED;
			}
	}
	for (size_t j = 0; j < plan->n_statistics; j++)
	{
		acceleration[j] = cube[j] / (6.0 * pow(square[j], 1.5));
		if (!isfinite(acceleration[j]))
			acceleration[j] = 0.0;
	}
	return STATS_OK;
}

/* Quantile of sorted values, interpolated between order statistics. */
static double
sorted_quantile(const double *sorted, size_t n, double p)
{
	double		at = p * (double) (n - 1);
	size_t		i = (size_t) at;

	if (i + 1 >= n)
		return sorted[n - 1];
	return sorted[i] + (at - (double) i) * (sorted[i + 1] - sorted[i]);
}

/* Sorts n doubles without NaN; keys and spare are scratch of n each. */
static StatsStatus
sort_values(double *values, StatsKey *keys, size_t n, const StatsEnv *env)
{
	const uint64_t sign = (uint64_t) 1 << 63;
	StatsStatus status;

	for (size_t i = 0; i < n; i++)
	{
		double		v = values[i] + 0.0;
		uint64_t	bits;

		memcpy(&bits, &v, sizeof(bits));
		keys[i].key = (bits & sign) ? ~bits : bits | sign;
		keys[i].idx = i;
	}
	status = stats_sort_keys(keys, keys + n, n, env);
	for (size_t i = 0; status == STATS_OK && i < n; i++)
	{
		uint64_t	bits = keys[i].key;
		double		v;

		bits = (bits & sign) ? bits & ~sign : ~bits;
		memcpy(&v, &bits, sizeof(v));
		values[i] = v;
	}
	return status;
}

/*
 * BCa limits from sorted replicates.  `wide` is the half width in standard
 * normal units, already enlarged for few clusters.
 */
static void
limits_from_replicates(StatsInterval *interval, const double *sorted,
					   size_t n, double acceleration, double wide)
{
	double		below = 0.0;
	double		bias;
	double		p[2];

	for (size_t i = 0; i < n; i++)
		below += sorted[i] < interval->value ? 1.0 :
			sorted[i] == interval->value ? 0.5 : 0.0;
	bias = stats_normal_quantile(below / (double) n);
	for (int side = 0; side < 2; side++)
	{
		double		z = bias + (side == 0 ? -wide : wide);
		double		shrink = 1.0 - acceleration * z;

		/* outside the model's reach: the plain percentile */
		if (!isfinite(bias) || shrink <= 0.1)
			p[side] = stats_normal_cdf(side == 0 ? -wide : wide);
		else
			p[side] = stats_normal_cdf(bias + z / shrink);
	}
	interval->low = fmin(interval->value, sorted_quantile(sorted, n, p[0]));
	interval->high = fmax(interval->value, sorted_quantile(sorted, n, p[1]));
}

static StatsStatus
run_bootstrap(StatsInterval *interval, double *values, StatsKey *keys,
			  const StatsBootstrap *plan, const Strata *strata,
			  const StatsEnv *env)
{
	size_t		n = plan->replicates;
	size_t		work = 0;
	double		total[STATS_MAX_SUMS] = {0};
	double		value[STATS_MAX_STATISTICS];
	double		acceleration[STATS_MAX_STATISTICS];
	double		k = (double) plan->n_clusters;
	double		df = k;
	double		wide;
	StatsStatus status;

	for (int s = 0; s < STATS_STRATA; s++)
		df -= strata->start[s + 1] > strata->start[s];
	df = fmax(df, 1.0);
	wide = stats_two_sided_t(plan->confidence, df) * sqrt(k / df);
	for (size_t c = 0; c < plan->n_clusters; c++)
		for (size_t j = 0; j < plan->n_sums; j++)
			total[j] += plan->sums[c * plan->n_sums + j];
	plan->statistic(value, total);
	for (size_t j = 0; j < plan->n_statistics; j++)
		interval[j].value = value[j];
	status = accelerations(acceleration, plan, strata, total, env);
	if (status != STATS_OK)
		return status;
	for (uint32_t b = 0; b < plan->replicates; b++)
	{
		status = draw_replicate(total, plan, strata, b, &work, env);
		if (status != STATS_OK)
			return status;
		plan->statistic(value, total);
		for (size_t j = 0; j < plan->n_statistics; j++)
			values[j * n + b] = isnan(value[j]) ? interval[j].value : value[j];
	}
	for (size_t j = 0; j < plan->n_statistics; j++)
	{
		if (isnan(interval[j].value))
		{
			interval[j].low = interval[j].high = NAN;
			continue;
		}
		status = sort_values(values + j * n, keys, n, env);
		if (status != STATS_OK)
			return status;
		if (values[j * n + n - 1] - values[j * n] <=
			1e-12 * fabs(interval[j].value))
			interval[j].low = interval[j].high = interval[j].value;
		else
			limits_from_replicates(&interval[j], values + j * n, n,
								   acceleration[j], wide);
	}
	return STATS_OK;
}

StatsStatus
stats_bootstrap(StatsInterval *interval, const StatsBootstrap *plan,
				const StatsEnv *env)
{
	Strata		strata = {NULL, {0}};
	double	   *values = NULL;
	StatsKey   *keys = NULL;
	StatsStatus status = STATS_NO_MEMORY;

	if (plan->n_sums > STATS_MAX_SUMS || plan->n_clusters > UINT32_MAX ||
		plan->n_statistics > STATS_MAX_STATISTICS)
		return STATS_BAD_ARGUMENT;
	if (list_strata(&strata, plan, env))
	{
		values = stats_array(env, plan->replicates,
							 plan->n_statistics * sizeof(double));
		keys = stats_array(env, plan->replicates, 2 * sizeof(StatsKey));
		if (values != NULL && keys != NULL)
			status = run_bootstrap(interval, values, keys, plan, &strata, env);
	}
	stats_free(env, keys);
	stats_free(env, values);
	stats_free(env, strata.member);
	return status;
}
