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
static uint64_t
twice_mann_whitney(const StatsRows *rows, const StatsOrder *order)
{
	uint64_t	twice = 0;
	uint64_t	negatives_below = 0;
	size_t		i = 0;

	while (i < order->n)
	{
		double		score = rows->score[order->idx[i]];
		uint64_t	positives = 0;
		uint64_t	negatives = 0;

		for (; i < order->n && rows->score[order->idx[i]] == score; i++)
		{
			positives += rows->label[order->idx[i]];
			negatives += !rows->label[order->idx[i]];
		}
		twice += positives * (2 * negatives_below + negatives);
		negatives_below += negatives;
	}
	return twice;
}

StatsStatus
stats_auc(double *auc, const StatsRows *rows, const StatsEnv *env)
{
	StatsOrder	order;
	size_t		n_positive;
	size_t		n_negative;
	StatsStatus status = stats_check_rows(rows, NULL);

	if (status != STATS_OK)
		return status;
	stats_count_labels(rows, &n_positive, &n_negative);
	if (n_positive == 0 || n_negative == 0)
		return STATS_ONE_CLASS;
	status = stats_order_rows(&order, rows, env);
	if (status == STATS_OK)
		*auc = (double) twice_mann_whitney(rows, &order) /
			(2.0 * (double) n_positive * (double) n_negative);
	stats_free(env, order.idx);
	return status;
}
