/*-------------------------------------------------------------------------
 *
 * multiclass_auc.c
 *		The mean of the one-vs-rest areas and its variance.
 *
 * Each area is the mean of placement values of its positive and of its
 * negative rows; a row takes part in all of them, as positive in one and as
 * negative in the others.  What it adds to their mean is its influence.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* Adds by how much each row moves the AUC of one class. */
static void
add_influence(double *influence, const double *place, double auc, const uint8_t *label, size_t n,
			  size_t n_positive)
{
	double weight[2];

	weight[0] = 1.0 / (double) (n - n_positive);
	weight[1] = 1.0 / (double) n_positive;
	for (size_t i = 0; i < n; i++)
		influence[i] += (place[i] - auc) * weight[label[i]];
}

/*
 * Subtracts the mean within each class: the numbers of rows per class are
 * given, so only deviations count.
 */
static void
centre_within_class(double *influence, const StatsClassRows *rows)
{
	double mean[STATS_MAX_CLASSES] = {0.0};
	double n[STATS_MAX_CLASSES] = {0.0};

	for (size_t i = 0; i < rows->n; i++)
	{
		mean[rows->label[i]] += influence[i];
		n[rows->label[i]] += 1.0;
	}
	for (size_t i = 0; i < rows->n; i++)
		influence[i] -= mean[rows->label[i]] / n[rows->label[i]];
}

/* Fills influence and macro AUC, class by class; place, score and label are scratch of n each. */
static StatsStatus
sum_influences(double *influence, double *macro_auc, double *place, double *score, uint8_t *label,
			   const StatsClassRows *rows, const StatsEnv *env)
{
	StatsRows view = {score, label, rows->cluster, rows->n};
	double sum = 0.0;
	double n_auc = 0.0;

	memset(influence, 0, rows->n * sizeof(double));
	for (int32_t c = 0; c < rows->n_classes; c++)
	{
		double one = NAN;
		size_t n_positive;
		size_t n_negative;
		StatsStatus status = stats_pick_class(score, label, rows, c, env);

		if (status == STATS_OK)
			status = stats_placements(place, &one, &view, env);
		if (status == STATS_ONE_CLASS)
			continue;
		if (status != STATS_OK)
			return status;
		stats_count_labels(&view, &n_positive, &n_negative);
		add_influence(influence, place, one, label, rows->n, n_positive);
		sum += one;
		n_auc += 1.0;
	}
	if (n_auc == 0.0)
		return STATS_ONE_CLASS;
	*macro_auc = sum / n_auc;
	for (size_t i = 0; i < rows->n; i++)
		influence[i] /= n_auc;
	centre_within_class(influence, rows);
	return STATS_OK;
}

StatsStatus
stats_macro_auc_influence(double *influence, double *macro_auc, const StatsClassRows *rows,
						  const StatsEnv *env)
{
	double *place = stats_array(env, rows->n, 2 * sizeof(double));
	uint8_t *label = stats_array(env, rows->n, sizeof(uint8_t));
	StatsStatus status = STATS_NO_MEMORY;

	if (place != NULL && label != NULL)
		status = sum_influences(influence, macro_auc, place, place + rows->n, label, rows, env);
	stats_free(env, label);
	stats_free(env, place);
	return status;
}

/*
 * Computes the variance.  sum and rows_of are scratch, [n_clusters][n_classes]:
 * the sum of the influences, and the number of rows.
 */
static StatsStatus
add_variance(StatsInfluenceVariance *result, double *sum, double *rows_of, const double *influence,
			 const StatsClassRows *rows, const StatsClusters *clusters, const StatsEnv *env)
{
	size_t n_classes = (size_t) rows->n_classes;
	size_t k = clusters->n_clusters;
	StatsSizes sizes[STATS_MAX_CLASSES];
	StatsVarianceSum of_class = {0};
	double square[STATS_MAX_CLASSES] = {0.0};
	double product = 0.0;

	memset(sizes, 0, sizeof(sizes));
	memset(sum, 0, k * n_classes * sizeof(double));
	memset(rows_of, 0, k * n_classes * sizeof(double));
	for (size_t i = 0; i < rows->n; i++)
	{
		size_t at = clusters->number[i] * n_classes + (size_t) rows->label[i];

		sum[at] += influence[i];
		rows_of[at] += 1.0;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	for (size_t c = 0; c < k; c++)
	{
		double all = 0.0;
		double squares = 0.0;

		for (size_t t = 0; t < n_classes; t++)
		{
			double s = sum[c * n_classes + t];

			all += s;
			squares += s * s;
			square[t] += s * s;
			if (rows_of[c * n_classes + t] > 0.0)
				stats_sizes_add(&sizes[t], rows_of[c * n_classes + t], 1.0);
		}
		product += all * all - squares;
		if (stats_stopped(env, c + 1))
			return STATS_INTERRUPTED;
	}
	for (size_t t = 0; t < n_classes; t++)
		if (sizes[t].clusters > 0.0)
			stats_variance_add(&of_class, square[t], &sizes[t]);
	stats_variance_finish(&result->variance, &result->degrees, &of_class, product, (double) k);
	result->few = of_class.few;
	return STATS_OK;
}

StatsStatus
stats_influence_variance(StatsInfluenceVariance *result, const double *influence, const StatsClassRows *rows,
						 const StatsClusters *clusters, const StatsEnv *env)
{
	size_t n_classes = (size_t) rows->n_classes;
	double *sum = stats_array(env, clusters->n_clusters, n_classes * sizeof(double));
	double *rows_of = stats_array(env, clusters->n_clusters, n_classes * sizeof(double));
	StatsStatus status = STATS_NO_MEMORY;

	if (sum != NULL && rows_of != NULL)
		status = add_variance(result, sum, rows_of, influence, rows, clusters, env);
	stats_free(env, rows_of);
	stats_free(env, sum);
	return status;
}
