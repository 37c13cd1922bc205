/*-------------------------------------------------------------------------
 *
 * auc.c
 *		The area under the ROC curve, its variance and its limits.
 *
 * The AUC is the mean of the placement values of the positive rows, and also
 * of the negative rows; their variances within class give that of the AUC.
 * With clusters the sums of the placement values per cluster take the part
 * of the single values, and a covariance appears for clusters that hold rows
 * of both classes.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

StatsStatus
stats_placements(double *place, double *auc, const StatsRows *rows, const StatsEnv *env)
{
	StatsOrder order;
	size_t n_positive;
	size_t n_negative;
	uint64_t twice = 0;         /* 2 for a negative row below a positive one, 1 for a tie */
	uint64_t below[2] = {0, 0}; /* negatives, positives */
	StatsStatus status = stats_order_classes(&order, &n_positive, &n_negative, rows, env);
	size_t i = 0;

	while (status == STATS_OK && i < rows->n)
	{
		double score = rows->score[order.idx[i]];
		uint64_t tied[2] = {0, 0};
		size_t end = i;

		for (; end < rows->n && rows->score[order.idx[end]] == score; end++)
		{
			tied[rows->label[order.idx[end]]]++;
			if (status == STATS_OK && stats_stopped(env, end + 1))
				status = STATS_INTERRUPTED;
		}
		for (; place != NULL && i < end; i++)
		{
			size_t row = order.idx[i];

			if (rows->label[row])
				place[row] = (double) (2 * below[0] + tied[0]) / (2.0 * (double) n_negative);
			else
				place[row] = (double) (2 * (n_positive - below[1]) - tied[1]) / (2.0 * (double) n_positive);
		}
		i = end;
		twice += tied[1] * (2 * below[0] + tied[0]);
		below[0] += tied[0];
		below[1] += tied[1];
	}
	if (status == STATS_OK)
		*auc = (double) twice / (2.0 * (double) n_positive * (double) n_negative);
	stats_free(env, order.idx);
	return status;
}

StatsStatus
stats_auc(double *auc, const StatsRows *rows, const StatsEnv *env)
{
	return stats_placements(NULL, auc, rows, env);
}

/* Sums of one cluster, by class. */
typedef struct ClusterPlacement
{
	double sum[2]; /* of place - auc */
	double rows[2];
} ClusterPlacement;

StatsStatus
stats_placement_variance(StatsPlacementVariance *result, const double *place, double auc,
						 const uint8_t *label, size_t n, const StatsClusters *clusters, const StatsEnv *env)
{
	size_t k = clusters->n_clusters;
	ClusterPlacement *sums = stats_array(env, k, sizeof(ClusterPlacement));
	StatsSizes sizes[2];
	StatsVarianceSum sum = {0};
	double square[2] = {0.0, 0.0};
	double product = 0.0;

	if (sums == NULL)
		return STATS_NO_MEMORY;
	memset(sums, 0, k * sizeof(ClusterPlacement));
	memset(sizes, 0, sizeof(sizes));
	for (size_t i = 0; i < n; i++)
	{
		ClusterPlacement *c = &sums[clusters->number[i]];

		/* deviations at once: the sum of place - m * auc cancels badly */
		c->sum[label[i]] += place[i] - auc;
		c->rows[label[i]] += 1.0;
		if (stats_stopped(env, i + 1))
		{
			stats_free(env, sums);
			return STATS_INTERRUPTED;
		}
	}
	for (size_t c = 0; c < k; c++)
	{
		for (int y = 0; y < 2; y++)
		{
			square[y] += sums[c].sum[y] * sums[c].sum[y];
			if (sums[c].rows[y] > 0.0)
				stats_sizes_add(&sizes[y], sums[c].rows[y], 1.0);
		}
		product += sums[c].sum[0] * sums[c].sum[1];
	}
	stats_free(env, sums);
	for (int y = 0; y < 2; y++)
		stats_variance_add(&sum, square[y] / (sizes[y].rows * sizes[y].rows), &sizes[y]);
	stats_variance_finish(&result->variance, &result->degrees, &sum,
						  2.0 * product / (sizes[0].rows * sizes[1].rows), (double) k);
	result->n_negative = (size_t) sizes[0].clusters;
	result->n_positive = (size_t) sizes[1].clusters;
	return STATS_OK;
}

void
stats_variance_add(StatsVarianceSum *sum, double square, const StatsSizes *sizes)
{
	double k = sizes->clusters;
	double one = k > 1.0 ? k / (k - 1.0) * square : NAN;

	sum->variance += one;
	sum->squares += one * one / stats_sizes_degrees(sizes);
	if (sum->few == 0.0 || k < sum->few)
		sum->few = k;
}

void
stats_variance_finish(double *variance, double *degrees, const StatsVarianceSum *sum, double product,
					  double k)
{
	double total = sum->variance;

	if (k > 1.0)
		total += k / (k - 1.0) * product;
	*variance = total < 0.0 ? 0.0 : total;
	*degrees = sum->few - 1.0;
	if (sum->squares > 0.0 && total > 0.0)
		*degrees = fmin(*degrees, total * total / sum->squares);
	*degrees = fmax(1.0, *degrees);
}

/*
 * Returns the variance of an AUC of theta by the exponential model of Hanley
 * and McNeil (Radiology 1982), with the symmetrised numbers of Newcombe's
 * method 5.
 */
static double
model_variance(double theta, double m, double n)
{
	double extra = 0.5 * (m + n) - 1.0;

	return theta * (1.0 - theta) / (m * n) *
		   (1.0 + extra * ((1.0 - theta) / (2.0 - theta) + theta / (1.0 + theta)));
}

/* Returns, by bisection, the score limit between the AUC and `outside`, which is 0 or 1. */
static double
score_limit(double auc, double outside, double z, double m, double n)
{
	double inside = auc;

	for (int step = 0; step < 200; step++)
	{
		double middle = 0.5 * (inside + outside);
		double away = middle - auc;

		if (middle == inside || middle == outside)
			break;
		if (away * away <= z * z * model_variance(middle, m, n))
			inside = middle;
		else
			outside = middle;
	}
	return inside;
}

bool
stats_auc_limits_at(StatsInterval *interval, const StatsAucSource *source, double t)
{
	double auc = source->auc;

	interval->value = auc;
	if (source->variance > STATS_NO_VARIANCE && auc > 0.0 && auc < 1.0)
	{
		double centre = log(auc / (1.0 - auc));
		double half = t * sqrt(source->variance) / (auc * (1.0 - auc));

		interval->low = stats_sigmoid(centre - half);
		interval->high = stats_sigmoid(centre + half);
		return true;
	}
	if (source->n_negative > 0.0)
	{
		interval->low = auc <= 0.0 ? 0.0 : score_limit(auc, 0.0, t, source->n_positive, source->n_negative);
		interval->high = auc >= 1.0 ? 1.0 : score_limit(auc, 1.0, t, source->n_positive, source->n_negative);
	}
	else
		stats_wilson_limits(interval, auc, source->n_positive, t);
	return false;
}

bool
stats_auc_limits(StatsInterval *interval, const StatsAucSource *source, double degrees, double confidence)
{
	return stats_auc_limits_at(interval, source, stats_two_sided_t(confidence, degrees)) ||
		   stats_auc_limits_at(interval, source, stats_two_sided_z(confidence));
}

StatsAucSource
stats_auc_source(double auc, const StatsPlacementVariance *variance)
{
	StatsAucSource source = {auc, variance->variance, (double) variance->n_positive,
							 (double) variance->n_negative};

	return source;
}

StatsStatus
stats_auc_interval(StatsAuc *result, const StatsRows *rows, double confidence, const StatsEnv *env)
{
	StatsClusters clusters = {NULL, 0};
	StatsPlacementVariance variance;
	double *place;
	double auc = NAN;
	StatsStatus status = stats_check_rows(rows, NULL);

	if (status != STATS_OK)
		return status;
	if (!stats_level_is_valid(confidence))
		return STATS_BAD_ARGUMENT;
	place = stats_array(env, rows->n, sizeof(double));
	status = place == NULL ? STATS_NO_MEMORY : stats_placements(place, &auc, rows, env);
	if (status == STATS_OK)
		status = stats_number_clusters(&clusters, rows, env);
	if (status == STATS_OK)
		status = stats_placement_variance(&variance, place, auc, rows->label, rows->n, &clusters, env);
	if (status == STATS_OK)
	{
		StatsAucSource source = stats_auc_source(auc, &variance);

		result->se = sqrt(variance.variance);
		result->score_interval = !stats_auc_limits(&result->auc, &source, variance.degrees, confidence);
	}
	stats_free(env, clusters.number);
	stats_free(env, place);
	return status;
}
