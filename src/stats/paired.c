/*-------------------------------------------------------------------------
 *
 * paired.c
 *		Differences between two figures of the same rows, and the sign test.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define MAX_EXACT_DISCORDANT 4000
#define EDGE_STEPS 72
#define EDGE_SECTIONS 40

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

/* Two AUCs on the same rows, for the limits of their difference. */
typedef struct AucPair
{
	const StatsAucSource *a;
	const StatsAucSource *b;
	double value;    /* of the difference */
	double se;       /* its standard error */
	double r;        /* correlation; NaN where an AUC has no limits on the logit scale, or all rows agree */
	double logit[2]; /* of both AUCs, where r is a number */
	double width[2]; /* their standard errors */
} AucPair;

static bool
has_logit_limits(const StatsAucSource *source)
{
	return source->variance > STATS_NO_VARIANCE && source->auc > 0.0 && source->auc < 1.0;
}

/* Returns the number of clusters of the class that has the fewest. */
static double
smallest_class(const StatsAucSource *source)
{
	return source->n_negative > 0.0 ? fmin(source->n_positive, source->n_negative) : source->n_positive;
}

/* Prepares a pair; r, the correlation, as in AucPair. */
static void
set_pair(AucPair *pair, const StatsAucSource *a, const StatsAucSource *b, double variance, double r)
{
	const StatsAucSource *const of[2] = {a, b};

	pair->a = a;
	pair->b = b;
	pair->value = a->auc - b->auc;
	pair->se = sqrt(variance);
	pair->r = r;
	for (int m = 0; m < 2 && !isnan(r); m++)
	{
		double auc = of[m]->auc;

		pair->logit[m] = log(auc / (1.0 - auc));
		pair->width[m] = sqrt(of[m]->variance) / (auc * (1.0 - auc));
	}
}

/*
 * Returns a - b at one angle of the edge of the joint region of both AUCs on the
 * logit scale, which is t standard errors wide.
 */
static double
difference_on_edge(const AucPair *pair, double t, double angle)
{
	double across = cos(angle);
	double along = pair->r * across + sqrt(fmax(0.0, 1.0 - pair->r * pair->r)) * sin(angle);

	return stats_sigmoid(pair->logit[0] + t * pair->width[0] * across) -
		   stats_sigmoid(pair->logit[1] + t * pair->width[1] * along);
}

/*
 * Returns the largest a - b on that edge, or the smallest one for sign -1: angles
 * in even steps, as there can be two maxima, then golden sections around the best.
 */
static double
furthest_on_edge(const AucPair *pair, double t, double sign)
{
	const double golden = 0.61803398874989484820;
	const double step = 2.0 * STATS_PI / EDGE_STEPS;
	double best = -INFINITY;
	double from = 0.0;
	double to;

	for (int i = 0; i < EDGE_STEPS; i++)
	{
		double value = sign * difference_on_edge(pair, t, i * step);

		if (value > best)
		{
			best = value;
			from = (i - 1) * step;
		}
	}
	to = from + 2.0 * step;
	for (int i = 0; i < EDGE_SECTIONS; i++)
	{
		double low = to - golden * (to - from);
		double high = from + golden * (to - from);
		double at_low = sign * difference_on_edge(pair, t, low);
		double at_high = sign * difference_on_edge(pair, t, high);

		best = fmax(best, fmax(at_low, at_high));
		if (at_low > at_high)
			to = high;
		else
			from = low;
	}
	return sign * best;
}

/*
 * Returns the upper limit of the difference of two AUCs t standard errors from
 * it, or for sign -1 the lower one: the middle between the symmetric limit and
 * that of the logit scale.
 */
static double
difference_limit(const AucPair *pair, double t, double sign)
{
	StatsInterval a;
	StatsInterval b;
	StatsInterval square_and_add = {pair->value, 0.0, 0.0};
	double limit;

	if (!isnan(pair->r))
	{
		limit = 0.5 * (pair->value + sign * t * pair->se + furthest_on_edge(pair, t, sign));
		return sign > 0.0 ? fmin(1.0, fmax(pair->value, limit)) : fmax(-1.0, fmin(pair->value, limit));
	}
	stats_auc_limits_at(&a, pair->a, t);
	stats_auc_limits_at(&b, pair->b, t);
	mover_limits(&square_and_add, &a, &b, 0.0);
	return sign > 0.0 ? square_and_add.high : square_and_add.low;
}

/* Tells whether the limit of a difference on the side of 0 does not reach 0. */
static bool
leaves_out_zero(const AucPair *pair, double t)
{
	return pair->value > 0.0 ? difference_limit(pair, t, -1.0) > 0.0 : difference_limit(pair, t, 1.0) < 0.0;
}

/*
 * Returns the t at which a limit of the difference reaches 0.  The search stays
 * on that side of `chosen` where the interval of `chosen` says that it is, so
 * that test and interval agree.
 */
static double
touching_t(const AucPair *pair, double chosen)
{
	bool significant = leaves_out_zero(pair, chosen);
	double low = significant ? chosen : 0.0;
	double high = significant ? 2.0 * chosen : chosen;

	for (int step = 0; significant && step < 30 && leaves_out_zero(pair, high); step++)
	{
		low = high;
		high *= 2.0;
	}
	for (int step = 0; step < 100; step++)
	{
		double middle = 0.5 * (low + high);

		if (middle <= low || middle >= high)
			break;
		if (leaves_out_zero(pair, middle))
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
	AucPair pair;

	*se = sqrt(variance);
	*p = 1.0;
	difference->value = a->auc - b->auc;
	difference->low = difference->high = difference->value;
	if (same)
		return;
	if (variance <= STATS_NO_VARIANCE && difference->value == 0.0)
	{
		stats_concordant_limits(difference, smallest_class(a), confidence);
		return;
	}
	if (variance > STATS_NO_VARIANCE && has_logit_limits(a) && has_logit_limits(b))
		r = fmax(-1.0,
				 fmin(1.0, (a->variance + b->variance - variance) / (2.0 * sqrt(a->variance * b->variance))));
	set_pair(&pair, a, b, variance, r);
	difference->low = difference_limit(&pair, t, -1.0);
	difference->high = difference_limit(&pair, t, 1.0);
	if (difference->value != 0.0)
		*p = stats_two_sided_t_p(touching_t(&pair, t), degrees);
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
