/*-------------------------------------------------------------------------
 *
 * roc.c
 *		The ROC curve and the area under it.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/*
 * Twice the Mann-Whitney count is an integer: 2 for a negative below a
 * positive, 1 for a tie.  It fits 64 bits up to 3e9 rows of each class.
 */
static StatsStatus
twice_mann_whitney(uint64_t *result, const StatsRows *rows, const StatsOrder *order, const StatsEnv *env)
{
	uint64_t twice = 0;
	uint64_t negatives_below = 0;
	size_t i = 0;

	while (i < order->n)
	{
		double score = rows->score[order->idx[i]];
		uint64_t positives = 0;
		uint64_t negatives = 0;

		for (; i < order->n && rows->score[order->idx[i]] == score; i++)
		{
			positives += rows->label[order->idx[i]];
			negatives += !rows->label[order->idx[i]];
			if (stats_stopped(env, i + 1))
				return STATS_INTERRUPTED;
		}
		twice += positives * (2 * negatives_below + negatives);
		negatives_below += negatives;
	}
	*result = twice;
	return STATS_OK;
}

StatsStatus
stats_auc(double *auc, const StatsRows *rows, const StatsEnv *env)
{
	StatsOrder order;
	size_t n_positive;
	size_t n_negative;
	uint64_t twice = 0;
	StatsStatus status = stats_check_rows(rows, NULL);

	if (status != STATS_OK)
		return status;
	stats_count_labels(rows, &n_positive, &n_negative);
	if (n_positive == 0 || n_negative == 0)
		return STATS_ONE_CLASS;
	status = stats_order_rows(&order, rows, env);
	if (status == STATS_OK)
		status = twice_mann_whitney(&twice, rows, &order, env);
	if (status == STATS_OK)
		*auc = (double) twice / (2.0 * (double) n_positive * (double) n_negative);
	stats_free(env, order.idx);
	return status;
}

/* The middle one of three points lies on the line between its neighbours. */
static bool
is_straight(const uint64_t *a, const uint64_t *b, const uint64_t *c)
{
	/* steps of at most n; the products fit 64 bits up to 4e9 rows */
	return (b[0] - a[0]) * (c[1] - b[1]) == (c[0] - b[0]) * (b[1] - a[1]);
}

StatsStatus
stats_roc(StatsRocPoint *points, size_t *n_points, const StatsRows *rows, bool corners_only,
		  const StatsEnv *env)
{
	StatsOrder order;
	size_t n_positive;
	size_t n_negative;
	size_t count = 0;
	uint64_t before[2] = {0, 0}; /* false, true positives: last point but one */
	uint64_t last[2] = {0, 0};   /* last point */
	StatsStatus status = stats_check_rows(rows, NULL);
	size_t i = rows == NULL ? 0 : rows->n;

	if (status != STATS_OK)
		return status;
	stats_count_labels(rows, &n_positive, &n_negative);
	if (n_positive == 0 || n_negative == 0)
		return STATS_ONE_CLASS;
	status = stats_order_rows(&order, rows, env);
	if (status == STATS_OK)
		points[count++] = (StatsRocPoint) {INFINITY, 0.0, 0.0};
	while (status == STATS_OK && i > 0)
	{
		double score = rows->score[order.idx[i - 1]];
		uint64_t now[2] = {last[0], last[1]};

		for (; i > 0 && rows->score[order.idx[i - 1]] == score; i--)
		{
			now[rows->label[order.idx[i - 1]]]++;
			if (status == STATS_OK && stats_stopped(env, i))
				status = STATS_INTERRUPTED;
		}
		if (corners_only && count > 1 && is_straight(before, last, now))
			count--;
		else
			memcpy(before, last, sizeof(before));
		memcpy(last, now, sizeof(last));
		points[count++] = (StatsRocPoint) {score, (double) now[0] / (double) n_negative,
										   (double) now[1] / (double) n_positive};
	}
	stats_free(env, order.idx);
	*n_points = count;
	return status;
}
