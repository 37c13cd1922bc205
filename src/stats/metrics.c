/*-------------------------------------------------------------------------
 *
 * metrics.c
 *		Figures of a two-class evaluation at a threshold.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

static double
ratio(double numerator, double denominator)
{
	return denominator > 0.0 ? numerator / denominator : NAN;
}

/* Returns x / y, where y may be 0: infinity, or NaN for 0 / 0. */
static double
likelihood_ratio(double x, double y)
{
	if (isnan(x) || isnan(y))
		return NAN;
	if (y > 0.0)
		return x / y;
	return x > 0.0 ? INFINITY : NAN;
}

void
stats_figures_from_counts(StatsFigures *figures, const StatsCounts *counts)
{
	double tp = (double) counts->tp;
	double fp = (double) counts->fp;
	double tn = (double) counts->tn;
	double fn = (double) counts->fn;

	figures->counts = *counts;
	figures->accuracy = ratio(tp + tn, tp + fp + tn + fn);
	figures->sensitivity = ratio(tp, tp + fn);
	figures->specificity = ratio(tn, tn + fp);
	figures->ppv = ratio(tp, tp + fp);
	figures->npv = ratio(tn, tn + fn);
	figures->f1 = ratio(2.0 * tp, 2.0 * tp + fp + fn);
	/* false rates from the counts, not as 1 - rate, keep their digits */
	figures->lr_positive = likelihood_ratio(ratio(tp, tp + fn), ratio(fp, tn + fp));
	figures->lr_negative = likelihood_ratio(ratio(fn, tp + fn), ratio(tn, tn + fp));
	figures->log_loss = NAN;
	figures->brier = NAN;
}

StatsStatus
stats_figures(StatsFigures *figures, const StatsRows *rows, double threshold, const StatsEnv *env)
{
	StatsCounts counts = {0, 0, 0, 0};
	double loss = 0.0;
	double brier = 0.0;
	StatsStatus status = stats_check_rows(rows, NULL);

	if (status != STATS_OK)
		return status;
	if (isnan(threshold))
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < rows->n; i++)
	{
		double p = stats_clip_probability(rows->score[i]);
		double error = rows->score[i] - rows->label[i];
		bool called = rows->score[i] >= threshold;

		if (rows->label[i])
		{
			counts.tp += called;
			counts.fn += !called;
			loss -= log(p);
		}
		else
		{
			counts.fp += called;
			counts.tn += !called;
			loss -= log1p(-p);
		}
		brier += error * error;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	stats_figures_from_counts(figures, &counts);
	figures->log_loss = loss / (double) rows->n;
	figures->brier = brier / (double) rows->n;
	return STATS_OK;
}
