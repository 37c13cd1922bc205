/*-------------------------------------------------------------------------
 *
 * means.c
 *		Means over rows that come in clusters: their variance and limits.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/*
 * Deviations below this share of the mean are rounding error: the logarithm of a
 * score that is 1e-7 from 1 has no more digits.
 */
#define ROUNDING 1e-8

StatsStatus
stats_cluster_mean(StatsMean *mean, const double *x, const double *m, size_t stride, size_t k,
				   const StatsEnv *env)
{
	StatsSizes sizes = {0};
	double sum = 0.0;
	double square = 0.0;
	double largest = 0.0;

	for (size_t c = 0; c < k; c++)
	{
		sum += x[c * stride];
		stats_sizes_add(&sizes, m[c * stride], 1.0);
		if (stats_stopped(env, c + 1))
			return STATS_INTERRUPTED;
	}
	mean->value = sum / sizes.rows;
	mean->clusters = sizes.clusters;
	mean->degrees = stats_sizes_degrees(&sizes);
	for (size_t c = 0; c < k; c++)
	{
		double deviation = x[c * stride] - mean->value * m[c * stride];

		square += deviation * deviation;
		largest = fmax(largest, fabs(deviation) / m[c * stride]);
		if (stats_stopped(env, c + 1))
			return STATS_INTERRUPTED;
	}
	if (largest <= ROUNDING * fabs(mean->value))
		square = 0.0;
	mean->variance = sizes.clusters > 1.0
						 ? sizes.clusters / (sizes.clusters - 1.0) * square / (sizes.rows * sizes.rows)
						 : NAN;
	return STATS_OK;
}

void
stats_share_limits(StatsInterval *interval, const StatsMean *mean, double largest, double confidence)
{
	double share = fmax(0.0, fmin(1.0, mean->value / largest));
	StatsInterval limits;

	interval->value = interval->low = interval->high = mean->value;
	if (mean->variance > 0.0 && share > 0.0 && share < 1.0)
	{
		double half = stats_two_sided_t(confidence, mean->degrees) * sqrt(mean->variance) / largest /
					  (share * (1.0 - share));
		double centre = log(share / (1.0 - share));

		limits.low = stats_sigmoid(centre - half);
		limits.high = stats_sigmoid(centre + half);
	}
	else if (stats_wilson(&limits, share, mean->clusters, confidence) != STATS_OK)
		return;
	interval->low = fmin(mean->value, limits.low * largest);
	interval->high = fmax(mean->value, limits.high * largest);
}

void
stats_student_limits(StatsInterval *interval, const StatsMean *mean, double confidence)
{
	double half = stats_two_sided_t(confidence, mean->degrees) * sqrt(mean->variance);

	interval->value = mean->value;
	interval->low = mean->value - half;
	interval->high = mean->value + half;
}
