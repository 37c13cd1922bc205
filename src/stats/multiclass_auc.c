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
 * Computes the variance.  sum and holds are scratch, [n_clusters][n_classes]: the
 * sum of the influences, and whether there are rows.
 */
static StatsStatus
add_variance(double *variance, size_t *few, double *sum, uint8_t *holds, const double *influence,
			 const StatsClassRows *rows, const StatsClusters *clusters, const StatsEnv *env)
{
	size_t n_classes = (size_t) rows->n_classes;
	size_t k = clusters->n_clusters;
	double square[STATS_MAX_CLASSES] = {0.0};
	double holding[STATS_MAX_CLASSES] = {0.0};
	double product = 0.0;

	memset(sum, 0, k * n_classes * sizeof(double));
	memset(holds, 0, k * n_classes);
	for (size_t i = 0; i < rows->n; i++)
	{
		size_t at = clusters->number[i] * n_classes + (size_t) rows->label[i];

		sum[at] += influence[i];
		holds[at] = 1;
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
			holding[t] += holds[c * n_classes + t];
		}
		product += all * all - squares;
		if (stats_stopped(env, c + 1))
			return STATS_INTERRUPTED;
	}
	*variance = 0.0;
	*few = k;
	for (size_t t = 0; t < n_classes; t++)
	{
		if (holding[t] == 0.0)
			continue;
		*variance += holding[t] > 1.0 ? holding[t] / (holding[t] - 1.0) * square[t] : NAN;
		if ((size_t) holding[t] < *few)
			*few = (size_t) holding[t];
	}
	if (k > 1)
		*variance += (double) k / (double) (k - 1) * product;
	if (*variance < 0.0)
		*variance = 0.0;
	return STATS_OK;
}

StatsStatus
stats_influence_variance(double *variance, size_t *few, const double *influence, const StatsClassRows *rows,
						 const StatsClusters *clusters, const StatsEnv *env)
{
	size_t n_classes = (size_t) rows->n_classes;
	double *sum = stats_array(env, clusters->n_clusters, n_classes * sizeof(double));
	uint8_t *holds = stats_array(env, clusters->n_clusters, n_classes);
	StatsStatus status = STATS_NO_MEMORY;

	if (sum != NULL && holds != NULL)
		status = add_variance(variance, few, sum, holds, influence, rows, clusters, env);
	stats_free(env, holds);
	stats_free(env, sum);
	return status;
}
