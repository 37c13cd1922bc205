/*-------------------------------------------------------------------------
 *
 * multiclass_sums.c
 *		Sums over clusters of one or two models of more than two classes, and
 *		the bootstrap of the figures that follow from them.
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
 * come the two losses, those of the first model minus those of the second one,
 * if there is one.
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
	stats_free(w->env, w->stratum);
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
	w->n_sums = class_size(w) * k + 2;
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
	w->stratum = stats_array(w->env, w->clusters.n_clusters, sizeof(uint8_t));
	w->sums = stats_array(w->env, w->clusters.n_clusters, w->n_sums * sizeof(double));
	if (w->stratum == NULL || w->sums == NULL)
		return STATS_NO_MEMORY;
	return stats_cluster_strata(w->stratum, &w->clusters, w->label, rows->n, rows->n_classes, w->env);
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

/* Adds one class with rows to the macro figures; rest: the rows of the other classes. */
static void
add_class(double *value, const StatsClassSums *w, const double *of, double rest)
{
	double rows = of[0];
	double found = of[place_of_found(0)];
	double wrong = of[place_of_false(w, 0)];

	if (w->n_models == 1)
	{
		value[STATS_MACRO_SENSITIVITY] += found / rows;
		value[STATS_MACRO_F1] += 2.0 * found / (rows + found + wrong);
		if (rest > 0.0)
			value[STATS_MACRO_SPECIFICITY] += 1.0 - wrong / rest;
	}
	else
	{
		value[STATS_MACRO_SENSITIVITY] += (found - of[place_of_found(1)]) / rows;
		if (rest > 0.0)
			value[STATS_MACRO_SPECIFICITY] += (of[place_of_false(w, 1)] - wrong) / rest;
	}
}

/*
 * Computes the statistics of the bootstrap, the macro figures of some sums; arg
 * is the StatsClassSums.
 */
static void
macro_figures(double *value, const double *sums, const void *arg)
{
	const StatsClassSums *w = arg;
	int32_t n_classes = w->model[0]->n_classes;
	size_t size = class_size(w);
	double n = 0.0;
	double present = 0.0;
	double with_rest = 0.0;

	for (int32_t c = 0; c < n_classes; c++)
		n += sums[size * (size_t) c];
	value[STATS_MACRO_SENSITIVITY] = value[STATS_MACRO_SPECIFICITY] = 0.0;
	if (w->n_models == 1)
		value[STATS_MACRO_F1] = 0.0;
	for (int32_t c = 0; c < n_classes; c++)
	{
		const double *of = sums + size * (size_t) c;
		double rest = n - of[0];

		if (of[0] <= 0.0)
			continue;
		present += 1.0;
		with_rest += rest > 0.0;
		add_class(value, w, of, rest);
	}
	value[STATS_MACRO_SENSITIVITY] /= present;
	value[STATS_MACRO_SPECIFICITY] /= with_rest;
	if (w->n_models == 1)
		value[STATS_MACRO_F1] /= present;
	value[STATS_CLASS_LOG_LOSS] = sums[w->n_sums - 2] / n;
	value[STATS_CLASS_BRIER] = sums[w->n_sums - 1] / n;
}

StatsStatus
stats_class_sums_bootstrap(StatsInterval *interval, StatsClassSums *w, const StatsOptions *options)
{
	StatsBootstrap plan = {
		.sums = w->sums,
		.stratum = w->stratum,
		.n_clusters = w->clusters.n_clusters,
		.n_sums = w->n_sums,
		.n_statistics = w->n_models == 1 ? STATS_MACRO_F1 + 1 : STATS_MACRO_F1,
		.n_strata = w->model[0]->n_classes + 1,
		.statistic = macro_figures,
		.arg = w,
		.confidence = options->confidence,
		.replicates = options->replicates,
		.seed = options->seed,
	};
	StatsStatus status = sum_clusters(w);

	return status == STATS_OK ? stats_bootstrap(interval, &plan, w->env) : status;
}
