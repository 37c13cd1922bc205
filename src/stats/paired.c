/*-------------------------------------------------------------------------
 *
 * paired.c
 *		Differences between two figures of the same rows, and the sign test.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_EXACT_DISCORDANT 4000

/*
 * Fills limits of a - b by square and add, from those of a and of b and the
 * correlation of the two.  The value of the difference is filled before.
 */
static void
mover_limits(StatsInterval *difference, const StatsInterval *a, const StatsInterval *b, double correlation)
{
	double r = fmax(-1.0, fmin(1.0, correlation));
	double below_a = a->value - a->low;
	double above_a = a->high - a->value;
	double below_b = b->value - b->low;
	double above_b = b->high - b->value;

	difference->low = difference->value -
					  sqrt(fmax(0.0, below_a * below_a + above_b * above_b - 2.0 * r * below_a * above_b));
	difference->high = difference->value +
					   sqrt(fmax(0.0, above_a * above_a + below_b * below_b - 2.0 * r * above_a * below_b));
}

void
stats_paired_add(StatsPairedShares *shares, double x_a, double x_b, double m)
{
	stats_proportion_add(&shares->a, x_a, m, 1.0);
	stats_proportion_add(&shares->b, x_b, m, 1.0);
	shares->product += x_a * x_b;
}

/* Returns the sum over clusters of (x - p m)(y - q m). */
static double
spread(double xy, double xm, double ym, double mm, double p, double q)
{
	return xy - q * xm - p * ym + p * q * mm;
}

void
stats_concordant_limits(StatsInterval *difference, double n, double confidence)
{
	StatsInterval none;

	(void) stats_wilson(&none, 0.0, n, confidence);
	difference->low = -none.high;
	difference->high = none.high;
}

void
stats_paired_difference(StatsInterval *difference, const StatsPairedShares *shares, double discordant,
						double confidence)
{
	const StatsProportionSums *sa = &shares->a;
	const StatsProportionSums *sb = &shares->b;
	StatsInterval a;
	StatsInterval b;
	double aa;
	double bb;
	double r = 0.0;

	stats_proportion_interval(&a, NULL, sa, confidence);
	stats_proportion_interval(&b, NULL, sb, confidence);
	difference->value = (sa->successes - sb->successes) / sa->sizes.rows;
	if (!(sa->sizes.rows > 0.0))
	{
		difference->low = difference->high = NAN;
		return;
	}
	if (discordant <= 0.0)
	{
		stats_concordant_limits(difference, sa->sizes.clusters, confidence);
		return;
	}
	aa = spread(sa->xx, sa->xm, sa->xm, sa->sizes.mm, a.value, a.value);
	bb = spread(sb->xx, sb->xm, sb->xm, sb->sizes.mm, b.value, b.value);
	if (aa > 0.0 && bb > 0.0)
		r = spread(shares->product, sa->xm, sb->xm, sa->sizes.mm, a.value, b.value) / sqrt(aa * bb);
	mover_limits(difference, &a, &b, r);
}

/* Fills limits of the difference of two AUCs for t standard errors on either side. */
static void
difference_at(StatsInterval *difference, const StatsAucSource *a, const StatsAucSource *b, double r, double t)
{
	StatsInterval of_a;
	StatsInterval of_b;

	stats_auc_limits_at(&of_a, a, t);
	stats_auc_limits_at(&of_b, b, t);
	mover_limits(difference, &of_a, &of_b, r);
}

static bool
leaves_out_zero(const StatsInterval *difference)
{
	return difference->low > 0.0 || difference->high < 0.0;
}

/*
 * Returns the t at which a limit of the difference reaches 0.  The search stays
 * on that side of `chosen` where the interval of `chosen` says that it is, so
 * that test and interval agree.
 */
static double
touching_t(const StatsAucSource *a, const StatsAucSource *b, double r, double chosen, bool significant)
{
	double low = significant ? chosen : 0.0;
	double high = significant ? 2.0 * chosen : chosen;
	StatsInterval difference = {a->auc - b->auc, 0.0, 0.0};

	for (int step = 0; significant && step < 30; step++)
	{
		difference_at(&difference, a, b, r, high);
		if (!leaves_out_zero(&difference))
			break;
		low = high;
		high *= 2.0;
	}
	for (int step = 0; step < 100; step++)
	{
		double middle = 0.5 * (low + high);

		if (middle <= low || middle >= high)
			break;
		difference_at(&difference, a, b, r, middle);
		if (leaves_out_zero(&difference))
			low = middle;
		else
			high = middle;
	}
	return significant ? low : high;
}

void
stats_auc_difference(StatsInterval *difference, double *se, double *p, const StatsAucSource *a,
					 const StatsAucSource *b, double variance, double degrees, double confidence, bool same)
{
	double t = stats_two_sided_t(confidence, degrees);
	double r = NAN;

	*se = sqrt(variance);
	*p = 1.0;
	difference->value = a->auc - b->auc;
	difference->low = difference->high = difference->value;
	if (same)
		return;
	if (a->variance > STATS_NO_VARIANCE && b->variance > STATS_NO_VARIANCE)
		r = (a->variance + b->variance - variance) / (2.0 * sqrt(a->variance * b->variance));
	if (isnan(r))
		r = 0.0;
	difference_at(difference, a, b, r, t);
	if (difference->value != 0.0)
		*p = stats_two_sided_t_p(touching_t(a, b, r, t, leaves_out_zero(difference)), degrees);
}

/*
 * Computes the exact distribution of the sum of +-d over the clusters, each sign
 * with probability one half, and from it the two-sided tail at |observed|.
 * probability[i] belongs to the sum i - most.  Clusters are added one at a time;
 * scratch holds the distribution with the next one.
 */
static StatsStatus
exact_sign_test(double *p, double *probability, double *scratch, size_t most, double observed,
				const double *d, size_t n, const StatsEnv *env)
{
	size_t width = 2 * most + 1;
	size_t reach = 0;
	size_t work = 0;
	double tail = 0.0;

	memset(probability, 0, width * sizeof(double));
	probability[most] = 1.0;
	for (size_t c = 0; c < n; c++)
	{
		size_t step = (size_t) fabs(d[c]);

		if (step == 0)
			continue;
		reach += step;
		memset(scratch + most - reach, 0, (2 * reach + 1) * sizeof(double));
		for (size_t i = most - (reach - step); i <= most + (reach - step); i++)
		{
			scratch[i - step] += 0.5 * probability[i];
			scratch[i + step] += 0.5 * probability[i];
			if (stats_stopped(env, ++work))
				return STATS_INTERRUPTED;
		}
		memcpy(probability + most - reach, scratch + most - reach, (2 * reach + 1) * sizeof(double));
	}
	for (size_t i = 0; i < width; i++)
		if (fabs((double) i - (double) most) >= fabs(observed))
			tail += probability[i];
	*p = fmin(1.0, tail);
	return STATS_OK;
}

StatsStatus
stats_sign_test(double *p, const double *d, size_t n, const StatsEnv *env)
{
	double observed = 0.0;
	double squares = 0.0;
	double most = 0.0;
	double *probability;
	double *scratch;
	StatsStatus status = STATS_NO_MEMORY;

	for (size_t c = 0; c < n; c++)
	{
		observed += d[c];
		squares += d[c] * d[c];
		most += fabs(d[c]);
	}
	if (most > MAX_EXACT_DISCORDANT)
	{
		*p = stats_two_sided_normal_p(observed / sqrt(squares));
		return STATS_OK;
	}
	probability = stats_array(env, 2 * (size_t) most + 1, sizeof(double));
	scratch = stats_array(env, 2 * (size_t) most + 1, sizeof(double));
	if (probability != NULL && scratch != NULL)
		status = exact_sign_test(p, probability, scratch, (size_t) most, observed, d, n, env);
	stats_free(env, scratch);
	stats_free(env, probability);
	return status;
}
