/*-------------------------------------------------------------------------
 *
 * roc.c
 *		The ROC curve.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/* Returns whether the middle one of three points lies on the line between its neighbours. */
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
	StatsStatus status = stats_order_classes(&order, &n_positive, &n_negative, rows, env);
	size_t i = order.n;

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
