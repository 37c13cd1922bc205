/*-------------------------------------------------------------------------
 *
 * multiclass_sums.c
 *		Sums over clusters of one or two models of more than two classes, and
 *		the figures that follow from them, with limits.
 *
 * An evaluation has one model, and its figures are those of that model.  A
 * comparison has two models on the same rows, and its figures are differences.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/*
 * Returns how many numbers a cluster adds up for each class: the rows of the
 * class, then for each model the rows of the class that the model assigns to it,
 * then for each model the other rows that it assigns to it.  After all classes
 * come the number of rows and the two losses, those of the first model minus
 * those of the second one, if there is one.
 */
static size_t
class_size(const StatsClassSums *w)
{
	return 1 + 2 * (size_t) w->n_models;
}

/* Returns the place of the rows of a class that a model assigns to it. */
static size_t
place_of_found(int model)
{
	return 1 + (size_t) model;
}

/* Returns the place of the other rows that a model assigns to a class. */
static size_t
place_of_false(const StatsClassSums *w, int model)
{
	return 1 + (size_t) w->n_models + (size_t) model;
}

void
stats_class_sums_release(StatsClassSums *w)
{
	stats_free(w->env, w->sums);
	stats_free(w->env, w->best[1]);
	stats_free(w->env, w->best[0]);
	stats_free(w->env, w->label);
	stats_free(w->env, w->clusters.number);
}

/*
 * Sets the key and the mark by which stats_order_clusters() orders the clusters of
 * one model; with two classes the order is that of the two-class evaluation.
 */
static void
row_content(uint64_t *key, uint64_t *mark, const void *rows, size_t row)
{
	const StatsClassRows *r = rows;
	int32_t last = r->n_classes - 1;
	const double *p = r->probability + row * (size_t) r->n_classes;

	*key = stats_row_key(p[last], r->label[row] == last);
	*mark = stats_mix(*key + 1);
	/* the first one is what the others leave */
	for (int32_t c = last - 1; c > 0; c--)
		*mark = stats_mix(*mark + stats_row_key(p[c], r->label[row] == c));
}

StatsStatus
stats_class_sums_prepare(StatsClassSums *w)
{
	const StatsClassRows *rows = w->model[0];
	size_t k = (size_t) rows->n_classes;
	StatsStatus status;

	w->n_models = w->model[1] != NULL ? 2 : 1;
	w->n_sums = class_size(w) * k + 3;
	w->label = stats_array(w->env, rows->n, sizeof(uint8_t));
	if (w->label == NULL)
		return STATS_NO_MEMORY;
	for (size_t i = 0; i < rows->n; i++)
		w->label[i] = (uint8_t) rows->label[i];
	for (int m = 0; m < w->n_models; m++)
	{
		w->best[m] = stats_array(w->env, rows->n, sizeof(uint8_t));
		if (w->best[m] == NULL)
			return STATS_NO_MEMORY;
		for (size_t i = 0; i < rows->n; i++)
		{
			w->best[m][i] = (uint8_t) stats_best_class(w->model[m]->probability + i * k, k);
			if (stats_stopped(w->env, i + 1))
				return STATS_INTERRUPTED;
		}
	}
	status = stats_number_class_clusters(&w->clusters, rows, w->env);
	if (status == STATS_OK && rows->cluster != NULL && w->n_models == 1)
		status = stats_order_clusters(&w->clusters, row_content, rows, rows->n, w->env);
	if (status != STATS_OK)
		return status;
	w->sums = stats_array(w->env, w->clusters.n_clusters, w->n_sums * sizeof(double));
	return w->sums != NULL ? STATS_OK : STATS_NO_MEMORY;
}

void
stats_add_class_losses(double *losses, const double *p, size_t n_classes, size_t truth, double sign)
{
	losses[0] -= sign * log(stats_clip_probability(p[truth]));
	for (size_t c = 0; c < n_classes; c++)
	{
		double error = p[c] - (c == truth);

		losses[1] += sign * error * error;
	}
}

/* Fills the sums of all clusters. */
static StatsStatus
sum_clusters(StatsClassSums *w)
{
	size_t k = (size_t) w->model[0]->n_classes;
	size_t size = class_size(w);

	memset(w->sums, 0, w->clusters.n_clusters * w->n_sums * sizeof(double));
	for (size_t i = 0; i < w->model[0]->n; i++)
	{
		double *sum = w->sums + w->clusters.number[i] * w->n_sums;
		size_t truth = w->label[i];

		sum[size * truth] += 1.0;
		sum[w->n_sums - 3] += 1.0;
		for (int m = 0; m < w->n_models; m++)
		{
			size_t best = w->best[m][i];

			sum[size * best + (best == truth ? place_of_found(m) : place_of_false(w, m))] += 1.0;
			stats_add_class_losses(sum + w->n_sums - 2, w->model[m]->probability + i * k, k, truth,
								   m == 0 ? 1.0 : -1.0);
		}
		if (stats_stopped(w->env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Fills x successes among m rows of a proportion of one class: sensitivity,
 * specificity, or the proportion that F1 is a function of.  sums are those of a
 * cluster.
 */
static void
class_share(double *x, double *m, const StatsClassSums *w, const double *sums, int macro, int32_t class,
			int model)
{
	const double *of = sums + class_size(w) * (size_t) class;
	double found = of[place_of_found(model)];
	double wrong = of[place_of_false(w, model)];

	switch (macro)
	{
		case STATS_MACRO_SENSITIVITY:
			*x = found;
			*m = of[0];
			break;
		case STATS_MACRO_SPECIFICITY:
			*m = sums[w->n_sums - 3] - of[0];
			*x = *m - wrong;
			break;
		default:
			*x = found;
			*m = of[0] + wrong;
			break;
	}
}

/* What square and add collects for the mean of several figures. */
typedef struct Collected
{
	double value;
	double n;     /* classes */
	double alone; /* squared distances to lower limits that correlate with nothing */
	double alone_above;
	double *below; /* of each cluster: its part of the distance to the lower limit */
	double *above; /* the same of the upper limit */
} Collected;

/* Adds one class of one model to a macro figure; the second model counts negative. */
static StatsStatus
collect(Collected *to, const StatsClassSums *w, int macro, int32_t class, int model, double confidence)
{
	size_t k = w->clusters.n_clusters;
	double sign = model == 0 ? 1.0 : -1.0;
	double square = 0.0;
	double scale[2];
	StatsProportionSums sums = {0};
	StatsInterval share;
	double p;

	for (size_t c = 0; c < k; c++)
	{
		double x;
		double m;

		class_share(&x, &m, w, w->sums + c * w->n_sums, macro, class, model);
		stats_proportion_add(&sums, x, m, 1.0);
		if (stats_stopped(w->env, c + 1))
			return STATS_INTERRUPTED;
	}
	if (!(sums.sizes.rows > 0.0))
		return STATS_OK;
	stats_proportion_interval(&share, NULL, &sums, confidence);
	p = share.value;
	if (macro == STATS_MACRO_F1)
		stats_f1_limits(&share, 2.0 * p / (1.0 + p), &share);
	to->value += sign * share.value;
	to->n += model == 0;
	square = sums.xx - 2.0 * p * sums.xm + p * p * sums.sizes.mm;
	scale[0] = sign > 0.0 ? share.value - share.low : share.high - share.value;
	scale[1] = sign > 0.0 ? share.high - share.value : share.value - share.low;
	if (p <= 0.0 || p >= 1.0 || !(square > 1e-9))
	{
		to->alone += scale[0] * scale[0];
		to->alone_above += scale[1] * scale[1];
		return STATS_OK;
	}
	for (size_t c = 0; c < k; c++)
	{
		double x;
		double m;

		class_share(&x, &m, w, w->sums + c * w->n_sums, macro, class, model);
		to->below[c] += sign * (x - p * m) / sqrt(square) * scale[0];
		to->above[c] += sign * (x - p * m) / sqrt(square) * scale[1];
		if (stats_stopped(w->env, c + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Fills a macro figure, or its difference, by square and add: the distances of
 * the classes' limits from their values, with the correlations of the classes
 * over clusters.  below and above are scratch, an entry for each cluster.
 */
static StatsStatus
macro_limits(StatsInterval *interval, const StatsClassSums *w, int macro, double *below, double *above,
			 double confidence)
{
	size_t k = w->clusters.n_clusters;
	size_t size = class_size(w);
	Collected to = {.below = below, .above = above};
	double least = w->n_models == 1 ? 0.0 : -1.0;
	StatsStatus status = STATS_OK;

	memset(below, 0, k * sizeof(double));
	memset(above, 0, k * sizeof(double));
	for (int32_t class = 0; class < w->model[0]->n_classes; class ++)
	{
		double rows = 0.0;

		for (size_t c = 0; c < k; c++)
			rows += w->sums[c * w->n_sums + size * (size_t) class];
		for (int model = 0; rows > 0.0 && model < w->n_models && status == STATS_OK; model++)
			status = collect(&to, w, macro, class, model, confidence);
		if (status != STATS_OK)
			return status;
	}
	for (size_t c = 0; c < k; c++)
	{
		to.alone += below[c] * below[c];
		to.alone_above += above[c] * above[c];
	}
	interval->value = to.value / to.n;
	interval->low = fmax(least, interval->value - sqrt(to.alone) / to.n);
	interval->high = fmin(1.0, interval->value + sqrt(to.alone_above) / to.n);
	return STATS_OK;
}

StatsStatus
stats_class_sums_limits(StatsInterval *interval, StatsClassSums *w, double confidence)
{
	size_t k = w->clusters.n_clusters;
	double *scratch = stats_array(w->env, k, 2 * sizeof(double));
	StatsStatus status = scratch == NULL ? STATS_NO_MEMORY : sum_clusters(w);

	for (int macro = 0; macro < (w->n_models == 1 ? STATS_N_MACRO : STATS_MACRO_F1); macro++)
	{
		size_t place = w->n_sums - (macro == STATS_CLASS_LOG_LOSS ? 2 : 1);
		StatsMean mean;

		if (status != STATS_OK)
			break;
		if (macro != STATS_CLASS_LOG_LOSS && macro != STATS_CLASS_BRIER)
		{
			status = macro_limits(&interval[macro], w, macro, scratch, scratch + k, confidence);
			continue;
		}
		status = stats_cluster_mean(&mean, w->sums + place, w->sums + w->n_sums - 3, w->n_sums, k, w->env);
		if (status != STATS_OK)
			break;
		if (w->n_models == 2)
			stats_student_limits(&interval[macro], &mean, confidence);
		else
			stats_share_limits(&interval[macro], &mean,
							   macro == STATS_CLASS_BRIER ? 2.0 : -log(STATS_LOG_LOSS_EPSILON), confidence);
	}
	stats_free(w->env, scratch);
	return status;
}
