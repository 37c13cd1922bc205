/*-------------------------------------------------------------------------
 *
 * threshold.c
 *		Operating points: the threshold that meets a demand, and what it
 *		achieves.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/*
 * What is known while the threshold goes down through the distinct scores.
 * x[c] counts the positive rows of cluster c at or above it, m[c] all its
 * positive rows.
 */
typedef struct Sweep
{
	const StatsRows *rows;
	const StatsClusters *clusters;
	StatsOrder order;
	double *x;
	double *m;
	double n_positive;
	double n_negative;
	StatsProportionSums sums; /* of the sensitivity */
	double negatives;         /* at or above the threshold */
	size_t at;                /* rows order.idx[at..n) are called positive */
} Sweep;

/* Prepares a sweep above all scores, where no row is called positive. */
static StatsStatus
begin_sweep(Sweep *sweep, const StatsRows *rows, const StatsClusters *clusters, const StatsEnv *env)
{
	size_t n_positive;
	size_t n_negative;
	StatsStatus status;

	memset(sweep, 0, sizeof(*sweep));
	sweep->rows = rows;
	sweep->clusters = clusters;
	sweep->at = rows->n;
	stats_count_labels(rows, &n_positive, &n_negative);
	sweep->n_positive = (double) n_positive;
	sweep->n_negative = (double) n_negative;
	status = stats_order_rows(&sweep->order, rows, env);
	if (status != STATS_OK)
		return status;
	sweep->x = stats_array(env, clusters->n_clusters, sizeof(double));
	sweep->m = stats_array(env, clusters->n_clusters, sizeof(double));
	if (sweep->x == NULL || sweep->m == NULL)
		return STATS_NO_MEMORY;
	memset(sweep->x, 0, clusters->n_clusters * sizeof(double));
	memset(sweep->m, 0, clusters->n_clusters * sizeof(double));
	for (size_t i = 0; i < rows->n; i++)
		sweep->m[clusters->number[i]] += rows->label[i];
	for (size_t c = 0; c < clusters->n_clusters; c++)
		stats_proportion_add(&sweep->sums, 0.0, sweep->m[c], 1.0);
	return STATS_OK;
}

static void
end_sweep(Sweep *sweep, const StatsEnv *env)
{
	stats_free(env, sweep->m);
	stats_free(env, sweep->x);
	stats_free(env, sweep->order.idx);
}

/* Goes down to the next distinct score; returns false at the end. */
static bool
step_down(Sweep *sweep)
{
	const StatsRows *rows = sweep->rows;
	double score;

	if (sweep->at == 0)
		return false;
	score = rows->score[sweep->order.idx[sweep->at - 1]];
	while (sweep->at > 0 && rows->score[sweep->order.idx[sweep->at - 1]] == score)
	{
		size_t row = sweep->order.idx[--sweep->at];
		size_t c = sweep->clusters->number[row];

		if (!rows->label[row])
		{
			sweep->negatives += 1.0;
			continue;
		}
		stats_proportion_add(&sweep->sums, sweep->x[c], sweep->m[c], -1.0);
		sweep->x[c] += 1.0;
		stats_proportion_add(&sweep->sums, sweep->x[c], sweep->m[c], 1.0);
	}
	return true;
}

/* Returns the threshold that calls exactly the rows of the sweep positive. */
static double
middle_threshold(const Sweep *sweep)
{
	double score = sweep->rows->score[sweep->order.idx[sweep->at]];
	double next;
	double middle;

	if (sweep->at == 0)
		return score;
	next = sweep->rows->score[sweep->order.idx[sweep->at - 1]];
	middle = next + 0.5 * (score - next);
	return middle > next ? middle : score;
}

/*
 * Searches the threshold of a rule.  A rule for the sensitivity goes down from
 * the highest score and stops at the first threshold that meets it.  The lower
 * limit must hold at all lower thresholds, too, so each failure on the way down
 * discards what was found before.
 */
static StatsStatus
search(double *threshold, Sweep *sweep, const StatsThresholdDemand *demand, const StatsEnv *env)
{
	double best = -2.0;
	bool found = false;
	size_t work = 0;

	while (step_down(sweep))
	{
		double sensitivity = sweep->sums.successes / sweep->n_positive;
		double youden = sensitivity - sweep->negatives / sweep->n_negative;
		double n;

		switch (demand->rule)
		{
			case STATS_THRESHOLD_SENSITIVITY:
				if (!found && sensitivity >= demand->sensitivity)
				{
					*threshold = middle_threshold(sweep);
					return STATS_OK;
				}
				break;
			case STATS_THRESHOLD_SENSITIVITY_LIMIT:
				n = sensitivity > demand->sensitivity ? stats_exact_number(&sweep->sums) : 1.0;
				if (!stats_exact_reaches(sensitivity * n, n, demand->sensitivity, demand->confidence))
					found = false;
				else if (!found)
				{
					*threshold = middle_threshold(sweep);
					found = true;
				}
				break;
			default:
				/* equal up to rounding counts as equal: more sensitive wins */
				if (youden >= best - 1e-12)
				{
					best = fmax(best, youden);
					*threshold = middle_threshold(sweep);
					found = true;
				}
				break;
		}
		if (stats_stopped(env, ++work))
			return STATS_INTERRUPTED;
	}
	return found ? STATS_OK : STATS_UNREACHABLE;
}

/* Fills the limits at point->threshold; x and m are scratch, an entry for each cluster. */
static StatsStatus
achieved(StatsOperatingPoint *point, double *x, double *m, const StatsThresholdDemand *demand,
		 const StatsRows *rows, const StatsClusters *clusters, const StatsEnv *env)
{
	StatsInterval *target[2] = {&point->specificity, &point->sensitivity};

	for (int y = 0; y < 2; y++)
	{
		StatsProportionSums sums = {0};

		memset(x, 0, clusters->n_clusters * sizeof(double));
		memset(m, 0, clusters->n_clusters * sizeof(double));
		for (size_t i = 0; i < rows->n; i++)
		{
			bool called = rows->score[i] >= point->threshold;

			if (rows->label[i] == y)
			{
				x[clusters->number[i]] += called == (y == 1);
				m[clusters->number[i]] += 1.0;
			}
			if (stats_stopped(env, i + 1))
				return STATS_INTERRUPTED;
		}
		for (size_t c = 0; c < clusters->n_clusters; c++)
			stats_proportion_add(&sums, x[c], m[c], 1.0);
		stats_proportion_interval(target[y], NULL, &sums, demand->confidence);
		if (y == 1)
		{
			double n = stats_exact_number(&sums);

			point->sensitivity_limit =
				stats_exact_lower(sums.successes / sums.sizes.rows * n, n, demand->confidence);
		}
	}
	return STATS_OK;
}

static bool
demand_is_valid(const StatsThresholdDemand *demand)
{
	if (demand == NULL || !stats_level_is_valid(demand->confidence))
		return false;
	switch (demand->rule)
	{
		case STATS_THRESHOLD_FIXED:
			return demand->threshold >= 0.0 && demand->threshold <= 1.0;
		case STATS_THRESHOLD_SENSITIVITY:
			return demand->sensitivity > 0.0 && demand->sensitivity <= 1.0;
		case STATS_THRESHOLD_SENSITIVITY_LIMIT:
			return demand->sensitivity > 0.0 && demand->sensitivity < 1.0 && demand->confidence >= 0.5;
		case STATS_THRESHOLD_YOUDEN:
			return true;
	}
	return false;
}

StatsStatus
stats_operating_point(StatsOperatingPoint *point, const StatsThresholdDemand *demand, const StatsRows *rows,
					  const StatsEnv *env)
{
	StatsClusters clusters = {NULL, 0};
	StatsFigures figures;
	Sweep sweep;
	StatsStatus status = stats_check_rows(rows, NULL);

	if (status != STATS_OK)
		return status;
	if (!demand_is_valid(demand))
		return STATS_BAD_ARGUMENT;
	memset(&sweep, 0, sizeof(sweep));
	status = stats_number_clusters(&clusters, rows, env);
	if (status == STATS_OK)
		status = begin_sweep(&sweep, rows, &clusters, env);
	if (status == STATS_OK && (sweep.n_positive == 0.0 || sweep.n_negative == 0.0))
		status = STATS_ONE_CLASS;
	point->threshold = demand->threshold;
	if (status == STATS_OK && demand->rule != STATS_THRESHOLD_FIXED)
		status = search(&point->threshold, &sweep, demand, env);
	if (status == STATS_OK)
		status = stats_figures(&figures, rows, point->threshold, env);
	if (status == STATS_OK)
	{
		point->counts = figures.counts;
		status = achieved(point, sweep.x, sweep.m, demand, rows, &clusters, env);
	}
	end_sweep(&sweep, env);
	stats_free(env, clusters.number);
	return status;
}
