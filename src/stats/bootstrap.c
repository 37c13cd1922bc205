/*-------------------------------------------------------------------------
 *
 * bootstrap.c
 *		Bootstrap of clusters within strata: limits of statistics that are
 *		functions of sums over clusters.
 *
 * A replicate adds up as many rows of a small table as there are clusters;
 * bootstrap_draw.c draws them.  The limits are bias-corrected and accelerated
 * percentiles of the replicates' values.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

StatsStatus
stats_cluster_strata(uint8_t *stratum, const StatsClusters *clusters, const uint8_t *label, size_t n,
					 int n_classes, const StatsEnv *env)
{
	const uint8_t none = UINT8_MAX;

	memset(stratum, none, clusters->n_clusters);
	for (size_t i = 0; i < n; i++)
	{
		uint8_t *of = &stratum[clusters->number[i]];

		if (*of == none)
			*of = label[i];
		else if (*of != label[i])
			*of = (uint8_t) n_classes;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Fills the acceleration of each statistic from its values with one cluster at a
 * time left out; deviations are taken within the stratum.
 */
static StatsStatus
accelerations(double *acceleration, const StatsBootstrap *plan, const StatsStrata *strata,
			  const double *total, const StatsEnv *env)
{
	double square[STATS_MAX_STATISTICS] = {0};
	double cube[STATS_MAX_STATISTICS] = {0};
	double left[STATS_MAX_SUMS];
	double value[STATS_MAX_STATISTICS];

	for (int s = 0; s < plan->n_strata; s++)
	{
		double mean[STATS_MAX_STATISTICS] = {0};
		double k = (double) (strata->start[s + 1] - strata->start[s]);

		/* first the mean of the stratum, then the deviations */
		for (int pass = 0; pass < 2; pass++)
			for (size_t i = strata->start[s]; i < strata->start[s + 1]; i++)
			{
				const double *sums = plan->sums + plan->n_sums * strata->member[i];

				for (size_t j = 0; j < plan->n_sums; j++)
					left[j] = total[j] - sums[j];
				plan->statistic(value, left, plan->arg);
				for (size_t j = 0; j < plan->n_statistics; j++)
				{
					double d = mean[j] - value[j];

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

/* Returns a quantile of sorted values, interpolated between order statistics. */
static double
sorted_quantile(const double *sorted, size_t n, double p)
{
	double at = p * (double) (n - 1);
	size_t i = (size_t) at;

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
		double v = values[i] + 0.0;
		uint64_t bits;

		memcpy(&bits, &v, sizeof(bits));
		keys[i].key = (bits & sign) ? ~bits : bits | sign;
		keys[i].idx = i;
	}
	status = stats_sort_keys(keys, keys + n, n, env);
	for (size_t i = 0; status == STATS_OK && i < n; i++)
	{
		uint64_t bits = keys[i].key;
		double v;

		bits = (bits & sign) ? bits & ~sign : ~bits;
		memcpy(&v, &bits, sizeof(v));
		values[i] = v;
	}
	return status;
}

/*
 * Fills bias-corrected and accelerated limits from sorted replicates.  `wide`
 * is the half width in standard normal units, already enlarged for few
 * clusters.
 */
static void
limits_from_replicates(StatsInterval *interval, const double *sorted, size_t n, double acceleration,
					   double wide)
{
	double below = 0.0;
	double bias;
	double p[2];

	for (size_t i = 0; i < n; i++)
		below += sorted[i] < interval->value ? 1.0 : sorted[i] == interval->value ? 0.5 : 0.0;
	bias = stats_normal_quantile(below / (double) n);
	for (int side = 0; side < 2; side++)
	{
		double z = bias + (side == 0 ? -wide : wide);
		double shrink = 1.0 - acceleration * z;

		/* outside the model's reach: the plain percentile */
		if (!isfinite(bias) || shrink <= 0.1)
			p[side] = stats_normal_cdf(side == 0 ? -wide : wide);
		else
			p[side] = stats_normal_cdf(bias + z / shrink);
	}
	interval->low = fmin(interval->value, sorted_quantile(sorted, n, p[0]));
	interval->high = fmax(interval->value, sorted_quantile(sorted, n, p[1]));
}

/* Fills values and limits of all statistics; values and keys are scratch. */
static StatsStatus
fill_limits(StatsInterval *interval, double *values, StatsKey *keys, const StatsBootstrap *plan,
			const StatsStrata *strata, const StatsEnv *env)
{
	size_t n = plan->replicates;
	double total[STATS_MAX_SUMS] = {0};
	double value[STATS_MAX_STATISTICS];
	double acceleration[STATS_MAX_STATISTICS];
	double k = (double) plan->n_clusters;
	double df = k;
	double wide;
	bool varies; /* a stratum has two clusters */
	StatsStatus status;

	for (int s = 0; s < plan->n_strata; s++)
		df -= strata->start[s + 1] > strata->start[s];
	varies = df >= 1.0;
	df = fmax(df, 1.0);
	wide = stats_two_sided_t(plan->confidence, df) * sqrt(k / df);
	for (size_t c = 0; c < plan->n_clusters; c++)
		for (size_t j = 0; j < plan->n_sums; j++)
			total[j] += plan->sums[c * plan->n_sums + j];
	plan->statistic(value, total, plan->arg);
	for (size_t j = 0; j < plan->n_statistics; j++)
		interval[j].value = value[j];
	status = accelerations(acceleration, plan, strata, total, env);
	if (status != STATS_OK)
		return status;
	status = stats_draw_values(values, interval, plan, strata, env);
	if (status != STATS_OK)
		return status;
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
		if (values[j * n + n - 1] - values[j * n] <= 1e-12 * fabs(interval[j].value))
			interval[j].low = interval[j].high = varies ? interval[j].value : NAN;
		else
			limits_from_replicates(&interval[j], values + j * n, n, acceleration[j], wide);
	}
	return STATS_OK;
}

StatsStatus
stats_bootstrap(StatsInterval *interval, const StatsBootstrap *plan, const StatsEnv *env)
{
	StatsStrata strata = {NULL, {0}};
	double *values = NULL;
	StatsKey *keys = NULL;
	StatsStatus status = STATS_NO_MEMORY;

	if (plan->n_sums > STATS_MAX_SUMS || plan->n_clusters > UINT32_MAX || plan->n_strata > STATS_MAX_STRATA ||
		plan->n_statistics > STATS_MAX_STATISTICS)
		return STATS_BAD_ARGUMENT;
	if (stats_list_strata(&strata, plan, env))
	{
		values = stats_array(env, plan->replicates, plan->n_statistics * sizeof(double));
		keys = stats_array(env, plan->replicates, 2 * sizeof(StatsKey));
		if (values != NULL && keys != NULL)
			status = fill_limits(interval, values, keys, plan, &strata, env);
	}
	stats_free(env, keys);
	stats_free(env, values);
	stats_free(env, strata.member);
	return status;
}
