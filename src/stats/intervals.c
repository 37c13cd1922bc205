/*-------------------------------------------------------------------------
 *
 * intervals.c
 *		Intervals of proportions, over independent rows and over rows that
 *		come in clusters.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

bool
stats_level_is_valid(double confidence)
{
	return confidence > 0.0 && confidence < 1.0;
}

void
stats_wilson_limits(StatsInterval *interval, double p, double n, double z)
{
	double centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
	double half = z * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n)) / (1.0 + z * z / n);

	/* rounding must not put the value outside at 0 and 1 */
	interval->value = p;
	interval->low = p == 0.0 ? 0.0 : fmax(0.0, fmin(p, centre - half));
	interval->high = p == 1.0 ? 1.0 : fmin(1.0, fmax(p, centre + half));
}

StatsStatus
stats_wilson(StatsInterval *interval, double p, double n, double confidence)
{
	if (!stats_level_is_valid(confidence) || !(p >= 0.0 && p <= 1.0) || !(n > 0.0) || isinf(n))
		return STATS_BAD_ARGUMENT;
	stats_wilson_limits(interval, p, n, stats_two_sided_z(confidence));
	return STATS_OK;
}

void
stats_sizes_add(StatsSizes *sizes, double m, double sign)
{
	double square = m * m;

	sizes->clusters += sign;
	sizes->rows += sign * m;
	sizes->mm += sign * square;
	sizes->m3 += sign * square * m;
	sizes->m4 += sign * square * square;
	sizes->m5 += sign * square * square * m;
}

double
stats_sizes_degrees(const StatsSizes *sizes)
{
	double n = sizes->rows;
	double s2 = sizes->mm / (n * n); /* sums of powers of the shares m / n */
	double s3 = sizes->m3 / (n * n * n);
	double s4 = sizes->m4 / (n * n * n * n);
	double s5 = sizes->m5 / (n * n * n * n * n);
	double mean = s2 - 2.0 * s3 + s2 * s2;
	double spread =
		s2 * s2 * s2 * s2 - 4.0 * s2 * s2 * s3 + 2.0 * (s2 * s4 + s3 * s3) + s4 * (1.0 + 2.0 * s2) - 4.0 * s5;
	double most = sizes->clusters - 1.0;

	if (most <= 1.0 || sizes->mm == n)
		return fmax(1.0, most);
	return fmax(1.0, fmin(most, mean * mean / spread));
}

double
stats_student_shrink(const StatsSizes *sizes, double confidence)
{
	double ratio;

	if (sizes->clusters < 2.0 || sizes->clusters >= sizes->rows)
		return 1.0;
	ratio = stats_two_sided_t(confidence, sizes->rows - 1.0) /
			stats_two_sided_t(confidence, stats_sizes_degrees(sizes));
	return ratio * ratio;
}

void
stats_proportion_add(StatsProportionSums *sums, double x, double m, double sign)
{
	if (m <= 0.0)
		return;
	stats_sizes_add(&sums->sizes, m, sign);
	sums->successes += sign * x;
	sums->xx += sign * x * x;
	sums->xm += sign * x * m;
	if (x > 0.0)
		sums->any_success += sign;
	if (x < m)
		sums->any_failure += sign;
}

double
stats_effective_number(const StatsProportionSums *sums, double shrink)
{
	double k = sums->sizes.clusters;
	double n = sums->sizes.rows;
	double p = sums->successes / n;
	double most = sums->sizes.mm / n; /* design effect, perfect correlation */
	double effect = 1.0;
	double rare;

	if (k < 2.0)
		return 1.0;
	if (k == n)
		return n;
	if (p > 0.0 && p < 1.0)
	{
		double squares = sums->xx - 2.0 * p * sums->xm + p * p * sums->sizes.mm;

		effect = k / (k - 1.0) * fmax(squares, 0.0) / (n * n) / (p * (1.0 - p) / (n - 1.0));
		effect = fmax(effect, 1.0);
	}
	rare = p <= 0.5 ? sums->any_success : sums->any_failure;
	if (most > effect)
		effect += (most - effect) / (1.0 + rare);
	return fmax(1.0, n / effect * shrink);
}

double
stats_exact_number(const StatsProportionSums *sums)
{
	return fmin(sums->sizes.clusters, stats_effective_number(sums, 1.0));
}

void
stats_proportion_interval(StatsInterval *interval, double *n_effective, const StatsProportionSums *sums,
						  double confidence)
{
	double effective;

	if (!(sums->sizes.rows > 0.0))
	{
		interval->value = interval->low = interval->high = NAN;
		if (n_effective != NULL)
			*n_effective = 0.0;
		return;
	}
	effective = stats_effective_number(sums, stats_student_shrink(&sums->sizes, confidence));
	(void) stats_wilson(interval, sums->successes / sums->sizes.rows, effective, confidence);
	if (n_effective != NULL)
		*n_effective = effective;
}

void
stats_f1_limits(StatsInterval *f1, double value, const StatsInterval *jaccard)
{
	f1->value = value;
	f1->low = fmin(value, 2.0 * jaccard->low / (1.0 + jaccard->low));
	f1->high = fmax(value, 2.0 * jaccard->high / (1.0 + jaccard->high));
	if (isnan(value))
		f1->low = f1->high = NAN;
}

StatsStatus
stats_proportion(StatsInterval *interval, double *n_effective, const uint8_t *success,
				 const uint64_t *cluster, size_t n, double confidence, const StatsEnv *env)
{
	StatsProportionSums sums = {0};
	StatsKey *keys;
	StatsStatus status;

	if (n == 0)
		return STATS_NO_ROWS;
	if (success == NULL || !stats_level_is_valid(confidence))
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < n; i++)
	{
		if (success[i] > 1)
			return STATS_BAD_LABEL;
		if (cluster == NULL)
			stats_proportion_add(&sums, success[i], 1.0, 1.0);
	}
	if (cluster == NULL)
	{
		stats_proportion_interval(interval, n_effective, &sums, confidence);
		return STATS_OK;
	}
	status = stats_sort_by_cluster(&keys, cluster, n, env);
	for (size_t i = 0; status == STATS_OK && i < n;)
	{
		uint64_t id = keys[i].key;
		double x = 0.0;
		double m = 0.0;

		for (; i < n && keys[i].key == id; i++)
		{
			x += success[keys[i].idx];
			m += 1.0;
		}
		stats_proportion_add(&sums, x, m, 1.0);
	}
	stats_free(env, keys);
	if (status == STATS_OK)
		stats_proportion_interval(interval, n_effective, &sums, confidence);
	return status;
}
