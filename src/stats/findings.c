/*-------------------------------------------------------------------------
 *
 * findings.c
 *		Figures of rows that may have several findings, with limits.
 *
 * Each finding is an evaluation of two classes of its own, on the rows of which it
 * is known.  The means over the findings need to know how the figures of two
 * findings move together, since they come from the same clusters: every figure is,
 * to first order, a sum of what the rows add to it, and so of what the clusters
 * add.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

enum
{
	ACCURACY,
	SENSITIVITY,
	SPECIFICITY,
	F1,
	LOG_LOSS,
	BRIER,
	AUC,
	N_FIGURES
};

/* Figures whose clusters differ by less in all do not move. */
#define NO_MOVEMENT 1e-9

/* The mean of a figure over the findings, as it is added up. */
typedef struct Mean
{
	double value;
	double n;
	double alone_below; /* squared distances to limits that correlate with nothing */
	double alone_above;
	double *below; /* of each cluster: its part of the distance to the lower limit */
	double *above;
} Mean;

/* What the evaluation works with. */
typedef struct Work
{
	const StatsFindingRows *rows;
	const StatsEnv *env;
	StatsClusters clusters; /* of all rows */
	size_t *row;            /* of the rows of one finding: their places */
	double *score;
	uint8_t *label;
	uint64_t *cluster;
	double *place;
	double *sum;  /* n_clusters */
	double *mean; /* N_FIGURES * 2 * n_clusters */
	Mean means[N_FIGURES];
} Work;

static StatsStatus
prepare(Work *w)
{
	const StatsFindingRows *rows = w->rows;
	StatsClassRows ids = {NULL, NULL, rows->cluster, rows->n, rows->n_findings};
	StatsStatus status = stats_number_class_clusters(&w->clusters, &ids, w->env);
	size_t k = w->clusters.n_clusters;

	if (status != STATS_OK)
		return status;
	w->row = stats_array(w->env, rows->n, sizeof(size_t));
	w->score = stats_array(w->env, rows->n, 2 * sizeof(double));
	w->label = stats_array(w->env, rows->n, sizeof(uint8_t));
	w->cluster = stats_array(w->env, rows->n, sizeof(uint64_t));
	w->sum = stats_array(w->env, k, sizeof(double));
	w->mean = stats_array(w->env, k, (size_t) N_FIGURES * 2 * sizeof(double));
	if (!w->row || !w->score || !w->label || !w->cluster || !w->sum || !w->mean)
		return STATS_NO_MEMORY;
	w->place = w->score + rows->n;
	memset(w->mean, 0, k * (size_t) N_FIGURES * 2 * sizeof(double));
	for (int i = 0; i < N_FIGURES; i++)
	{
		w->means[i].below = w->mean + (size_t) (2 * i) * k;
		w->means[i].above = w->mean + (size_t) (2 * i + 1) * k;
	}
	return STATS_OK;
}

static void
release(Work *w)
{
	stats_free(w->env, w->mean);
	stats_free(w->env, w->sum);
	stats_free(w->env, w->cluster);
	stats_free(w->env, w->label);
	stats_free(w->env, w->score);
	stats_free(w->env, w->row);
	stats_free(w->env, w->clusters.number);
}

/* Gathers the rows of which a finding is known; returns their number. */
static size_t
gather(Work *w, size_t finding)
{
	const StatsFindingRows *rows = w->rows;
	size_t k = (size_t) rows->n_findings;
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++)
	{
		uint8_t target = rows->target[i * k + finding];

		if (target == STATS_UNKNOWN)
			continue;
		w->row[n] = i;
		w->score[n] = rows->probability[i * k + finding];
		w->label[n] = target;
		w->cluster[n++] = rows->cluster != NULL ? rows->cluster[i] : i;
	}
	return n;
}

/* Fills the figures of a finding of which no row is known. */
static void
fill_undefined(StatsEvaluation *e, const StatsOptions *options)
{
	static const StatsInterval undefined = {NAN, NAN, NAN};

	memset(e, 0, sizeof(*e));
	e->options = *options;
	e->accuracy = e->sensitivity = e->specificity = e->ppv = e->npv = undefined;
	e->lr_positive = e->lr_negative = e->f1 = e->log_loss = e->brier = e->auc = undefined;
	e->auc_se = NAN;
}

static const StatsInterval *
figure_of(const StatsEvaluation *e, int figure)
{
	const StatsInterval *const figures[N_FIGURES] = {&e->accuracy, &e->sensitivity, &e->specificity, &e->f1,
													 &e->log_loss, &e->brier,       &e->auc};

	return figures[figure];
}

/* Returns what a row adds to a figure of its finding, up to a factor that is the same for all rows. */
static double
influence(const Work *w, const StatsEvaluation *e, int figure, size_t i)
{
	double p = w->score[i];
	bool label = w->label[i] != 0;
	bool called = p >= e->options.threshold;
	double value = figure_of(e, figure)->value;
	double clipped = stats_clip_probability(p);

	switch (figure)
	{
		case ACCURACY:
			return (called == label) - value;
		case SENSITIVITY:
			return label ? called - value : 0.0;
		case SPECIFICITY:
			return label ? 0.0 : !called - value;
		case F1:
			return label || called ? (label && called) - value / (2.0 - value) : 0.0;
		case LOG_LOSS:
			return -(label ? log(clipped) : log1p(-clipped)) - value;
		case BRIER:
			return (p - label) * (p - label) - value;
		default:
			return (w->place[i] - value) / (double) (label ? e->n_positive : e->n_negative);
	}
}

/* Adds a figure of a finding of n known rows to its mean. */
static StatsStatus
add_figure(Work *w, const StatsEvaluation *e, int figure, size_t n)
{
	const StatsInterval *own = figure_of(e, figure);
	Mean *mean = &w->means[figure];
	double below = own->value - own->low;
	double above = own->high - own->value;
	double square = 0.0;

	if (isnan(own->value))
		return STATS_OK;
	mean->value += own->value;
	mean->n += 1.0;
	memset(w->sum, 0, w->clusters.n_clusters * sizeof(double));
	for (size_t i = 0; i < n; i++)
	{
		w->sum[w->clusters.number[w->row[i]]] += influence(w, e, figure, i);
		if (stats_stopped(w->env, i + 1))
			return STATS_INTERRUPTED;
	}
	for (size_t c = 0; c < w->clusters.n_clusters; c++)
		square += w->sum[c] * w->sum[c];
	if (!(sqrt(square) > NO_MOVEMENT))
	{
		mean->alone_below += below * below;
		mean->alone_above += above * above;
		return STATS_OK;
	}
	for (size_t c = 0; c < w->clusters.n_clusters; c++)
	{
		mean->below[c] += w->sum[c] / sqrt(square) * below;
		mean->above[c] += w->sum[c] / sqrt(square) * above;
	}
	return STATS_OK;
}

/* Evaluates a finding and adds its figures to the means. */
static StatsStatus
add_finding(Work *w, StatsEvaluation *e, size_t finding, const StatsOptions *options)
{
	StatsOptions own = {w->rows->threshold[finding], options->confidence};
	size_t n = gather(w, finding);
	StatsRows rows = {w->score, w->label, w->rows->cluster != NULL ? w->cluster : NULL, n};
	double auc;
	StatsStatus status;

	fill_undefined(e, &own);
	if (n == 0)
		return STATS_OK;
	status = stats_evaluate(e, &rows, &own, w->env);
	if (status == STATS_ONE_CLASS)
		status = STATS_OK; /* filled with what there is */
	else if (status == STATS_OK)
		status = stats_placements(w->place, &auc, &rows, w->env);
	for (int i = 0; i < N_FIGURES && status == STATS_OK; i++)
		status = add_figure(w, e, i, n);
	return status;
}

static void
fill_mean(StatsInterval *result, const Mean *mean, size_t n_clusters, double most)
{
	double below = mean->alone_below;
	double above = mean->alone_above;

	if (mean->n == 0.0)
	{
		result->value = result->low = result->high = NAN;
		return;
	}
	for (size_t c = 0; c < n_clusters; c++)
	{
		below += mean->below[c] * mean->below[c];
		above += mean->above[c] * mean->above[c];
	}
	result->value = mean->value / mean->n;
	result->low = fmax(0.0, result->value - sqrt(below) / mean->n);
	result->high = fmin(most, result->value + sqrt(above) / mean->n);
}

static StatsStatus
check(const StatsFindingRows *rows)
{
	size_t n = rows->n * (size_t) rows->n_findings;

	if (rows->n_findings < 1 || rows->n_findings > STATS_MAX_CLASSES)
		return STATS_BAD_ARGUMENT;
	if (rows->n == 0)
		return STATS_NO_ROWS;
	for (size_t i = 0; i < n; i++)
	{
		if (rows->target[i] > STATS_UNKNOWN)
			return STATS_BAD_LABEL;
		if (isnan(rows->probability[i]))
			return STATS_SCORE_NAN;
		if (!(rows->probability[i] >= 0.0 && rows->probability[i] <= 1.0))
			return STATS_SCORE_RANGE;
	}
	return STATS_OK;
}

StatsStatus
stats_finding_evaluate(StatsFindingEvaluation *result, StatsEvaluation *of_finding,
					   const StatsFindingRows *rows, const StatsOptions *options, const StatsEnv *env)
{
	Work w = {.rows = rows, .env = env};
	StatsInterval *const figures[N_FIGURES] = {&result->accuracy, &result->sensitivity, &result->specificity,
											   &result->f1,       &result->log_loss,    &result->brier,
											   &result->auc};
	StatsStatus status = stats_check_options(&result->options, options);

	if (status == STATS_OK)
		status = check(rows);
	if (status == STATS_OK)
		status = prepare(&w);
	result->n_defined = 0;
	for (int32_t f = 0; f < rows->n_findings && status == STATS_OK; f++)
	{
		status = add_finding(&w, &of_finding[f], (size_t) f, &result->options);
		result->n_defined += of_finding[f].n_positive > 0 && of_finding[f].n_negative > 0;
	}
	result->n = rows->n;
	result->n_clusters = w.clusters.n_clusters;
	for (int i = 0; i < N_FIGURES && status == STATS_OK; i++)
		fill_mean(figures[i], &w.means[i], w.clusters.n_clusters,
				  i == LOG_LOSS ? -log(STATS_LOG_LOSS_EPSILON) : 1.0);
	release(&w);
	return status;
}
