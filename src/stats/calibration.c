/*-------------------------------------------------------------------------
 *
 * calibration.c
 *		How well scores are probabilities: reliability bins, expected
 *		calibration error, slope and intercept.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_NEWTON 100
#define MAX_SLOPE 1e4 /* beyond: the classes are separated */

/* Returns the bin of equal width that a score is in, by the edges as sum_bins() gives them. */
static size_t
equal_width_bin(double score, size_t n_bins)
{
	double n = (double) n_bins;
	size_t b = (size_t) (score * n);

	if (b >= n_bins)
		b = n_bins - 1;
	/* the product is rounded: a score on an edge may have come out below it */
	if (b + 1 < n_bins && score >= (double) (b + 1) / n)
		b++;
	else if (b > 0 && score < (double) b / n)
		b--;
	return b;
}

/* Finds the bin of each row.  With equal counts, bins that ties leave empty stay empty. */
static StatsStatus
assign_bins(uint32_t *bin, const StatsRows *rows, size_t n_bins, StatsBinning binning, const StatsEnv *env)
{
	StatsOrder order;
	StatsStatus status;

	if (binning == STATS_BINS_EQUAL_WIDTH)
	{
		for (size_t i = 0; i < rows->n; i++)
		{
			bin[i] = (uint32_t) equal_width_bin(rows->score[i], n_bins);
			if (stats_stopped(env, i + 1))
				return STATS_INTERRUPTED;
		}
		return STATS_OK;
	}
	status = stats_order_rows(&order, rows, env);
	for (size_t i = 0; status == STATS_OK && i < rows->n;)
	{
		double score = rows->score[order.idx[i]];
		size_t b = (size_t) ((double) i * (double) n_bins / (double) rows->n);

		for (; i < rows->n && rows->score[order.idx[i]] == score; i++)
		{
			bin[order.idx[i]] = (uint32_t) b;
			if (status == STATS_OK && stats_stopped(env, i + 1))
				status = STATS_INTERRUPTED;
		}
	}
	stats_free(env, order.idx);
	return status;
}

/* What the interval of the expected calibration error needs. */
typedef struct Gaps
{
	double *rows;   /* n_clusters: rows of each cluster */
	double *gap;    /* n_clusters: sum of label - score, by the sign of the bin's gap */
	double *square; /* n_bins: sum over clusters of the square of the sum of label - score */
	double *cross;  /* n_bins: the same of this sum times the rows of the cluster */
} Gaps;

/*
 * Fills the bins and the gaps; sorting brings together the rows of one cluster
 * in one bin.
 */
static StatsStatus
fill_bins(StatsCalibrationBin *bins, Gaps *gaps, size_t n_bins, const uint32_t *bin, const StatsRows *rows,
		  const StatsClusters *clusters, double confidence, const StatsEnv *env)
{
	StatsKey *keys = stats_array(env, rows->n, sizeof(StatsKey));
	StatsKey *spare = stats_array(env, rows->n, sizeof(StatsKey));
	StatsStatus status = STATS_OK;
	size_t i = 0;

	if (keys == NULL || spare == NULL)
		status = STATS_NO_MEMORY;
	else
	{
		/* below 2^54 clusters and 1000 bins the pair fits one key */
		for (size_t r = 0; r < rows->n; r++)
		{
			keys[r].key = ((uint64_t) bin[r] << 54) | clusters->number[r];
			keys[r].idx = r;
		}
		status = stats_sort_keys(keys, spare, rows->n, env);
	}
	for (size_t b = 0; status == STATS_OK && b < n_bins; b++)
	{
		StatsProportionSums sums = {0};
		double score = 0.0;
		double low = 1.0;
		double high = 0.0;

		while (i < rows->n && keys[i].key >> 54 == b)
		{
			uint64_t key = keys[i].key;
			size_t cluster = clusters->number[keys[i].idx];
			double x = 0.0;
			double m = 0.0;
			double before = score;
			double gap;

			for (; i < rows->n && keys[i].key == key; i++)
			{
				double s = rows->score[keys[i].idx];

				x += rows->label[keys[i].idx];
				m += 1.0;
				score += s;
				low = fmin(low, s);
				high = fmax(high, s);
				if (status == STATS_OK && stats_stopped(env, i + 1))
					status = STATS_INTERRUPTED;
			}
			stats_proportion_add(&sums, x, m, 1.0);
			gap = x - (score - before);
			gaps->square[b] += gap * gap;
			gaps->cross[b] += gap * gaps->rows[cluster];
		}
		bins[b].n = (size_t) sums.sizes.rows;
		bins[b].mean_score = sums.sizes.rows > 0.0 ? score / sums.sizes.rows : NAN;
		stats_proportion_interval(&bins[b].observed, NULL, &sums, confidence);
		/* the caller overwrites the edges of equal-width bins */
		bins[b].low = sums.sizes.rows > 0.0 ? low : NAN;
		bins[b].high = sums.sizes.rows > 0.0 ? high : NAN;
	}
	stats_free(env, spare);
	stats_free(env, keys);
	return status;
}

/* Log-likelihood, gradient and Hessian of intercept a and slope b. */
typedef struct Recalibration
{
	double likelihood;
	double gradient[2];
	double hessian[3]; /* aa, ab, bb */
} Recalibration;

static StatsStatus
recalibration_at(Recalibration *at, double a, double b, const StatsRows *rows, const StatsEnv *env)
{
	memset(at, 0, sizeof(*at));
	for (size_t i = 0; i < rows->n; i++)
	{
		double z = stats_logit(rows->score[i]);
		double x = a + b * z;
		double p = stats_sigmoid(x);
		double w = p * stats_sigmoid(-x);
		double r = rows->label[i] ? stats_sigmoid(-x) : -p;

		at->likelihood -= stats_soft_plus(rows->label[i] ? -x : x);
		at->gradient[0] += r;
		at->gradient[1] += r * z;
		at->hessian[0] += w;
		at->hessian[1] += w * z;
		at->hessian[2] += w * z * z;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Finds the maximum of the likelihood by Newton's method.  With fixed_slope
 * only a moves.  STATS_NO_CONVERGENCE when there is no finite maximum.
 */
static StatsStatus
fit_recalibration(double *a, double *b, Recalibration *at, bool fixed_slope, const StatsRows *rows,
				  const StatsEnv *env)
{
	StatsStatus status = recalibration_at(at, *a, *b, rows, env);

	for (int step = 0; status == STATS_OK && step < MAX_NEWTON; step++)
	{
		double det = at->hessian[0] * at->hessian[2] - at->hessian[1] * at->hessian[1];
		double da = at->gradient[0] / at->hessian[0]; /* step */
		double db = 0.0;
		double scale = 1.0;
		double least = at->likelihood * (1.0 + STATS_NEWTON_NOISE);
		Recalibration next = *at;

		if (!fixed_slope)
		{
			if (!(det > 1e-14 * at->hessian[0] * at->hessian[2]))
				return STATS_NO_CONVERGENCE;
			da = (at->hessian[2] * at->gradient[0] - at->hessian[1] * at->gradient[1]) / det;
			db = (at->hessian[0] * at->gradient[1] - at->hessian[1] * at->gradient[0]) / det;
		}
		if (!isfinite(da) || !isfinite(db))
			return STATS_NO_CONVERGENCE;
		if (at->gradient[0] * da + at->gradient[1] * db <= STATS_NEWTON_DECREMENT)
			/* a likelihood of 1: nothing but separated classes */
			return at->likelihood > -1e-6 ? STATS_NO_CONVERGENCE : STATS_OK;
		for (int half = 0; half < 50; half++, scale *= 0.5)
		{
			status = recalibration_at(&next, *a + scale * da, *b + scale * db, rows, env);
			if (status != STATS_OK || next.likelihood >= least)
				break;
		}
		if (status != STATS_OK || !(next.likelihood >= least))
			return status != STATS_OK ? status : STATS_NO_CONVERGENCE;
		*a += scale * da;
		*b += scale * db;
		*at = next;
		if (fabs(*b) > MAX_SLOPE || fabs(*a) > MAX_SLOPE)
			return STATS_NO_CONVERGENCE;
	}
	return status;
}

/* Fills the sum over clusters of the outer product of their score contributions. */
static StatsStatus
sandwich_middle(double middle[3], double a, double b, const StatsRows *rows, const StatsClusters *clusters,
				const StatsEnv *env)
{
	double *sum = stats_array(env, clusters->n_clusters, 2 * sizeof(double));

	if (sum == NULL)
		return STATS_NO_MEMORY;
	memset(sum, 0, clusters->n_clusters * 2 * sizeof(double));
	for (size_t i = 0; i < rows->n; i++)
	{
		double z = stats_logit(rows->score[i]);
		double x = a + b * z;
		double r = rows->label[i] ? stats_sigmoid(-x) : -stats_sigmoid(x);

		sum[2 * clusters->number[i]] += r;
		sum[2 * clusters->number[i] + 1] += r * z;
		if (stats_stopped(env, i + 1))
		{
			stats_free(env, sum);
			return STATS_INTERRUPTED;
		}
	}
	middle[0] = middle[1] = middle[2] = 0.0;
	for (size_t c = 0; c < clusters->n_clusters; c++)
	{
		middle[0] += sum[2 * c] * sum[2 * c];
		middle[1] += sum[2 * c] * sum[2 * c + 1];
		middle[2] += sum[2 * c + 1] * sum[2 * c + 1];
	}
	stats_free(env, sum);
	return STATS_OK;
}

/* Sets limits of z standard errors; they are NaN where the variance is, as with one cluster. */
static void
normal_limits(StatsInterval *interval, double value, double variance, double z)
{
	double half = isnan(variance) ? NAN : z * sqrt(fmax(variance, 0.0));

	interval->value = value;
	interval->low = value - half;
	interval->high = value + half;
}

/* Fits calibration in the large, then intercept and slope, with cluster-robust limits. */
static StatsStatus
fit_slopes(StatsCalibration *result, const StatsRows *rows, const StatsClusters *clusters, double degrees,
		   double confidence, const StatsEnv *env)
{
	double k = (double) clusters->n_clusters;
	double small = k > 1.0 ? k / (k - 1.0) : NAN;
	double t = stats_two_sided_t(confidence, degrees);
	double a = 0.0;
	double b = 1.0;
	double m[3];
	double det;
	const double *h;
	Recalibration at;
	StatsStatus status = fit_recalibration(&a, &b, &at, true, rows, env);

	if (status == STATS_OK)
		status = sandwich_middle(m, a, b, rows, clusters, env);
	if (status != STATS_OK)
		return status;
	normal_limits(&result->in_the_large, a, small * m[0] / (at.hessian[0] * at.hessian[0]), t);
	status = fit_recalibration(&a, &b, &at, false, rows, env);
	if (status == STATS_OK)
		status = sandwich_middle(m, a, b, rows, clusters, env);
	if (status != STATS_OK)
		return status;
	h = at.hessian;
	det = h[0] * h[2] - h[1] * h[1];
	/* inverse Hessian times middle times inverse Hessian */
	normal_limits(&result->intercept, a,
				  small * (h[2] * h[2] * m[0] - 2.0 * h[2] * h[1] * m[1] + h[1] * h[1] * m[2]) / (det * det),
				  t);
	normal_limits(&result->slope, b,
				  small * (h[1] * h[1] * m[0] - 2.0 * h[0] * h[1] * m[1] + h[0] * h[0] * m[2]) / (det * det),
				  t);
	result->fitted = true;
	return STATS_OK;
}

/* Fills the edges of the bins and the largest gap. */
static void
finish_bins(StatsCalibration *result, StatsCalibrationBin *bins, size_t n_bins, StatsBinning binning)
{
	for (size_t b = 0; b < n_bins; b++)
	{
		if (binning == STATS_BINS_EQUAL_WIDTH)
		{
			bins[b].low = (double) b / (double) n_bins;
			bins[b].high = (double) (b + 1) / (double) n_bins;
		}
		if (bins[b].n > 0)
			result->mce = fmax(result->mce, fabs(bins[b].observed.value - bins[b].mean_score));
	}
}

/*
 * Returns by how much the mean of |T| exceeds |t|, for T normal with mean t and
 * standard deviation s (the folded normal distribution; Leone et al.,
 * Technometrics 1961).
 */
static double
folded_excess(double t, double s)
{
	double z = t / s;

	return s * sqrt(2.0 / STATS_PI) * exp(-0.5 * z * z) - 2.0 * t * stats_normal_cdf(-z);
}

/*
 * Fills the expected calibration error, which is the sum over bins of |T|, T the
 * bin's sum of label - score divided by the number of all rows, and its limits
 * as the public header describes them.  *degrees becomes the degrees of freedom
 * of a mean over the clusters.
 */
static StatsStatus
fill_ece(StatsCalibration *result, double *degrees, const StatsCalibrationBin *bins, const Gaps *gaps,
		 size_t n_bins, const uint32_t *bin, const StatsRows *rows, const StatsClusters *clusters,
		 double confidence, const StatsEnv *env)
{
	double n = (double) rows->n;
	double k = (double) clusters->n_clusters;
	double squares = 0.0; /* of the clusters' sizes */
	double excess = 0.0;
	double ece = 0.0;
	double half;
	StatsMean mean;
	StatsStatus status;

	memset(gaps->gap, 0, clusters->n_clusters * sizeof(double));
	for (size_t i = 0; i < rows->n; i++)
	{
		const StatsCalibrationBin *of = &bins[bin[i]];
		double gap = (double) rows->label[i] - rows->score[i];

		gaps->gap[clusters->number[i]] += of->observed.value >= of->mean_score ? gap : -gap;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	for (size_t c = 0; c < clusters->n_clusters; c++)
		squares += gaps->rows[c] * gaps->rows[c];
	for (size_t b = 0; b < n_bins; b++)
	{
		double t;
		double square;
		double s;

		if (bins[b].n == 0)
			continue;
		t = (bins[b].observed.value - bins[b].mean_score) * (double) bins[b].n / n;
		ece += fabs(t);
		square = gaps->square[b] - 2.0 * t * gaps->cross[b] + t * t * squares;
		s = k > 1.0 ? sqrt(k / (k - 1.0) * fmax(square, 0.0)) / n : 0.0;
		if (s > 0.0)
			excess += folded_excess(fmax(0.0, fabs(t) - s), s);
	}
	status = stats_cluster_mean(&mean, gaps->gap, gaps->rows, 1, clusters->n_clusters, env);
	if (status != STATS_OK)
		return status;
	*degrees = mean.degrees;
	mean.value = ece;
	if (!(mean.variance > 0.0))
	{
		stats_share_limits(&result->ece, &mean, 1.0, confidence);
		return STATS_OK;
	}
	half = stats_two_sided_t(confidence, mean.degrees) * sqrt(mean.variance);
	result->ece.value = ece;
	result->ece.low = fmax(0.0, ece - excess - half);
	result->ece.high = fmin(1.0, ece + half);
	return STATS_OK;
}

/* Fills the bins, the expected and the largest calibration error. */
static StatsStatus
fill_errors(StatsCalibration *result, double *degrees, StatsCalibrationBin *bins, size_t n_bins,
			StatsBinning binning, const StatsRows *rows, const StatsClusters *clusters, double confidence,
			const StatsEnv *env)
{
	uint32_t *bin = stats_array(env, rows->n, sizeof(uint32_t));
	double *scratch = stats_array(env, clusters->n_clusters + n_bins, 2 * sizeof(double));
	StatsStatus status = STATS_NO_MEMORY;

	if (bin != NULL && scratch != NULL)
	{
		Gaps gaps = {scratch, scratch + clusters->n_clusters, scratch + 2 * clusters->n_clusters,
					 scratch + 2 * clusters->n_clusters + n_bins};

		memset(scratch, 0, (clusters->n_clusters + n_bins) * 2 * sizeof(double));
		for (size_t i = 0; i < rows->n; i++)
			gaps.rows[clusters->number[i]] += 1.0;
		status = assign_bins(bin, rows, n_bins, binning, env);
		if (status == STATS_OK)
			status = fill_bins(bins, &gaps, n_bins, bin, rows, clusters, confidence, env);
		if (status == STATS_OK)
			status = fill_ece(result, degrees, bins, &gaps, n_bins, bin, rows, clusters, confidence, env);
		if (status == STATS_OK)
			finish_bins(result, bins, n_bins, binning);
	}
	stats_free(env, scratch);
	stats_free(env, bin);
	return status;
}

StatsStatus
stats_calibration(StatsCalibration *result, StatsCalibrationBin *bins, size_t n_bins, StatsBinning binning,
				  const StatsRows *rows, double confidence, const StatsEnv *env)
{
	const StatsInterval none = {NAN, NAN, NAN};
	StatsClusters clusters = {NULL, 0};
	size_t n_positive;
	size_t n_negative;
	double score = 0.0;
	double degrees = 1.0;
	StatsStatus status = stats_check_rows(rows, NULL);

	if (status != STATS_OK)
		return status;
	if (n_bins < 1 || n_bins > STATS_MAX_BINS || bins == NULL || !stats_level_is_valid(confidence) ||
		(binning != STATS_BINS_EQUAL_WIDTH && binning != STATS_BINS_EQUAL_COUNT))
		return STATS_BAD_ARGUMENT;
	memset(result, 0, sizeof(*result));
	result->slope = result->intercept = result->in_the_large = none;
	stats_count_labels(rows, &n_positive, &n_negative);
	for (size_t i = 0; i < rows->n; i++)
		score += rows->score[i];
	result->n = rows->n;
	result->mean_score = score / (double) rows->n;
	result->observed = (double) n_positive / (double) rows->n;
	status = stats_number_clusters(&clusters, rows, env);
	if (status == STATS_OK)
		status = fill_errors(result, &degrees, bins, n_bins, binning, rows, &clusters, confidence, env);
	if (status == STATS_OK)
	{
		if (n_positive > 0 && n_negative > 0)
			status = fit_slopes(result, rows, &clusters, degrees, confidence, env);
		/* what converged is filled: calibration in the large can exist without a slope */
		if (status == STATS_NO_CONVERGENCE)
			status = STATS_OK;
	}
	stats_free(env, clusters.number);
	return status;
}
