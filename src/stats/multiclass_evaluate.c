/*-------------------------------------------------------------------------
 *
 * multiclass_evaluate.c
 *		All figures of an evaluation with more than two classes, with limits.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

/*
 * What a cluster adds up: three numbers a class (its rows, rows of it that
 * are called it, other rows that are), then the two losses.
 */
enum
{
	CLASS_ROWS,
	CLASS_FOUND,
	CLASS_FALSE,
	N_CLASS_SUMS
};

enum
{
	SENSITIVITY,
	SPECIFICITY,
	F1,
	LOG_LOSS,
	BRIER,
	N_BOOTSTRAPPED
};

/* Everything that one call works on; released by one function. */
typedef struct Work
{
	const StatsClassRows *rows;
	const StatsEnv *env;
	StatsClusters clusters;
	size_t n_sums;
	uint8_t *label;    /* n */
	uint8_t *best;     /* n, most probable class */
	uint8_t *right;    /* n */
	uint8_t *stratum;  /* n_clusters */
	double *influence; /* n */
	double *sums;      /* [n_clusters][n_sums] */
} Work;

static void
release_work(Work *w)
{
	stats_free(w->env, w->sums);
	stats_free(w->env, w->influence);
	stats_free(w->env, w->stratum);
	stats_free(w->env, w->right);
	stats_free(w->env, w->best);
	stats_free(w->env, w->label);
	stats_free(w->env, w->clusters.number);
}

/* With two classes the same order as that of the two-class evaluation. */
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

static StatsStatus
prepare_work(Work *w)
{
	const StatsClassRows *rows = w->rows;
	StatsStatus status;

	w->n_sums = N_CLASS_SUMS * (size_t) rows->n_classes + 2;
	w->label = stats_array(w->env, rows->n, sizeof(uint8_t));
	w->best = stats_array(w->env, rows->n, sizeof(uint8_t));
	w->right = stats_array(w->env, rows->n, sizeof(uint8_t));
	w->influence = stats_array(w->env, rows->n, sizeof(double));
	if (!w->label || !w->best || !w->right || !w->influence)
		return STATS_NO_MEMORY;
	for (size_t i = 0; i < rows->n; i++)
	{
		w->label[i] = (uint8_t) rows->label[i];
		w->best[i] = (uint8_t) stats_best_class(rows->probability + i * (size_t) rows->n_classes,
												(size_t) rows->n_classes);
		w->right[i] = w->label[i] == w->best[i];
		if (stats_stopped(w->env, i + 1))
			return STATS_INTERRUPTED;
	}
	status = stats_number_class_clusters(&w->clusters, rows, w->env);
	if (status == STATS_OK && rows->cluster != NULL)
		status = stats_order_clusters(&w->clusters, row_content, rows, rows->n, w->env);
	if (status != STATS_OK)
		return status;
	w->stratum = stats_array(w->env, w->clusters.n_clusters, sizeof(uint8_t));
	w->sums = stats_array(w->env, w->clusters.n_clusters, w->n_sums * sizeof(double));
	if (w->stratum == NULL || w->sums == NULL)
		return STATS_NO_MEMORY;
	return stats_cluster_strata(w->stratum, &w->clusters, w->label, rows->n, rows->n_classes, w->env);
}

static StatsStatus
sum_clusters(Work *w)
{
	size_t k = (size_t) w->rows->n_classes;

	memset(w->sums, 0, w->clusters.n_clusters * w->n_sums * sizeof(double));
	for (size_t i = 0; i < w->rows->n; i++)
	{
		double *sum = w->sums + w->clusters.number[i] * w->n_sums;
		const double *p = w->rows->probability + i * k;
		size_t truth = w->label[i];

		sum[N_CLASS_SUMS * truth + CLASS_ROWS] += 1.0;
		if (w->right[i])
			sum[N_CLASS_SUMS * truth + CLASS_FOUND] += 1.0;
		else
			sum[N_CLASS_SUMS * w->best[i] + CLASS_FALSE] += 1.0;
		sum[w->n_sums - 2] -= log(stats_clip_probability(p[truth]));
		for (size_t c = 0; c < k; c++)
		{
			double error = p[c] - (c == truth);

			sum[w->n_sums - 1] += error * error;
		}
		if (stats_stopped(w->env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/* arg: the Work. */
static void
macro_figures(double *value, const double *sums, const void *arg)
{
	const Work *w = arg;
	int32_t n_classes = w->rows->n_classes;
	double n = 0.0;
	double present = 0.0;
	double with_rest = 0.0;

	for (int32_t c = 0; c < n_classes; c++)
		n += sums[N_CLASS_SUMS * c + CLASS_ROWS];
	value[SENSITIVITY] = value[SPECIFICITY] = value[F1] = 0.0;
	for (int32_t c = 0; c < n_classes; c++)
	{
		const double *of = sums + N_CLASS_SUMS * c;
		double rest = n - of[CLASS_ROWS];

		if (of[CLASS_ROWS] <= 0.0)
			continue;
		present += 1.0;
		value[SENSITIVITY] += of[CLASS_FOUND] / of[CLASS_ROWS];
		value[F1] += 2.0 * of[CLASS_FOUND] / (of[CLASS_ROWS] + of[CLASS_FOUND] + of[CLASS_FALSE]);
		if (rest > 0.0)
		{
			value[SPECIFICITY] += 1.0 - of[CLASS_FALSE] / rest;
			with_rest += 1.0;
		}
	}
	value[SENSITIVITY] /= present;
	value[F1] /= present;
	value[SPECIFICITY] /= with_rest;
	value[LOG_LOSS] = sums[w->n_sums - 2] / n;
	value[BRIER] = sums[w->n_sums - 1] / n;
}

static StatsStatus
bootstrap_figures(StatsClassEvaluation *result, const Work *w)
{
	StatsInterval interval[N_BOOTSTRAPPED];
	double n = (double) w->clusters.n_clusters;
	StatsBootstrap plan = {.sums = w->sums,
						   .stratum = w->stratum,
						   .n_clusters = w->clusters.n_clusters,
						   .n_sums = w->n_sums,
						   .n_statistics = N_BOOTSTRAPPED,
						   .n_strata = w->rows->n_classes + 1,
						   .statistic = macro_figures,
						   .arg = w,
						   .confidence = result->options.confidence,
						   .replicates = result->options.replicates,
						   .seed = result->options.seed};
	StatsStatus status = stats_bootstrap(interval, &plan, w->env);

	if (status != STATS_OK)
		return status;
	stats_share_limits(&interval[LOG_LOSS], -log(STATS_LOG_LOSS_EPSILON), n, plan.confidence);
	stats_share_limits(&interval[BRIER], 2.0, n, plan.confidence);
	result->macro_sensitivity = interval[SENSITIVITY];
	result->macro_specificity = interval[SPECIFICITY];
	result->macro_f1 = interval[F1];
	result->log_loss = interval[LOG_LOSS];
	result->brier = interval[BRIER];
	return STATS_OK;
}

/* Each class against the rest. */
static StatsStatus
evaluate_classes(StatsEvaluation *of_class, const Work *w, const StatsOptions *options)
{
	const StatsClassRows *rows = w->rows;
	double *score = stats_array(w->env, rows->n, sizeof(double));
	uint8_t *label = stats_array(w->env, rows->n, 2 * sizeof(uint8_t));
	StatsStatus status = score && label ? STATS_OK : STATS_NO_MEMORY;

	for (int32_t c = 0; c < rows->n_classes && status == STATS_OK; c++)
	{
		StatsRows view = {score, label, rows->cluster, rows->n};
		uint8_t *called = label + rows->n;

		status = stats_pick_class(score, label, rows, c, w->env);
		for (size_t i = 0; i < rows->n && status == STATS_OK; i++)
			called[i] = w->best[i] == c;
		if (status == STATS_OK)
			status = stats_evaluate_called(&of_class[c], &view, called, options, w->env);
		if (status == STATS_ONE_CLASS)
			status = STATS_OK; /* filled with what there is */
	}
	stats_free(w->env, label);
	stats_free(w->env, score);
	return status;
}

/* Where the macro figure has no limits of its own: the mean of the classes'. */
static void
mean_limits(StatsInterval *interval, const StatsEvaluation *of_class, int32_t n_classes, size_t offset)
{
	double low = 0.0;
	double high = 0.0;
	double n = 0.0;

	if (isnan(interval->value) || interval->low < interval->high)
		return;
	for (int32_t c = 0; c < n_classes; c++)
	{
		const StatsInterval *one = (const StatsInterval *) ((const char *) &of_class[c] + offset);

		if (of_class[c].n_positive == 0 || isnan(one->low))
			continue;
		low += one->low;
		high += one->high;
		n += 1.0;
	}
	if (n > 0.0)
	{
		interval->low = fmin(interval->value, low / n);
		interval->high = fmax(interval->value, high / n);
	}
}

static StatsStatus
fill_result(StatsClassEvaluation *result, StatsEvaluation *of_class, Work *w)
{
	const StatsClassRows *rows = w->rows;
	double confidence = result->options.confidence;
	double auc;
	double variance;
	size_t few;
	StatsStatus status =
		stats_proportion(&result->accuracy, NULL, w->right, rows->cluster, rows->n, confidence, w->env);

	if (status == STATS_OK)
		status = stats_macro_auc_influence(w->influence, &auc, NULL, rows, w->env);
	if (status == STATS_OK)
		status = stats_influence_variance(&variance, &few, w->influence, rows, &w->clusters, w->env);
	if (status == STATS_OK)
		status = sum_clusters(w);
	if (status == STATS_OK)
		status = bootstrap_figures(result, w);
	if (status == STATS_OK)
		status = evaluate_classes(of_class, w, &result->options);
	if (status != STATS_OK)
		return status;
	result->n = rows->n;
	result->n_clusters = w->clusters.n_clusters;
	result->n_present = 0;
	for (int32_t c = 0; c < rows->n_classes; c++)
		result->n_present += of_class[c].n_positive > 0;
	result->macro_auc.low = result->macro_auc.high = auc;
	if (!stats_macro_auc_limits(&result->macro_auc, auc, variance, few, confidence))
		mean_limits(&result->macro_auc, of_class, rows->n_classes, offsetof(StatsEvaluation, auc));
	mean_limits(&result->macro_sensitivity, of_class, rows->n_classes,
				offsetof(StatsEvaluation, sensitivity));
	mean_limits(&result->macro_specificity, of_class, rows->n_classes,
				offsetof(StatsEvaluation, specificity));
	mean_limits(&result->macro_f1, of_class, rows->n_classes, offsetof(StatsEvaluation, f1));
	return STATS_OK;
}

StatsStatus
stats_class_evaluate(StatsClassEvaluation *result, StatsEvaluation *of_class, const StatsClassRows *rows,
					 const StatsOptions *options, const StatsEnv *env)
{
	Work w = {.rows = rows, .env = env};
	StatsEvaluation *own = of_class;
	StatsStatus status = stats_check_options(&result->options, options);

	if (status == STATS_OK)
		status = stats_check_class_rows(rows, env);
	if (status == STATS_OK && rows->n_classes > STATS_MAX_CLASSES)
		status = STATS_BAD_ARGUMENT;
	if (status != STATS_OK)
		return status;
	if (own == NULL)
		own = stats_array(env, (size_t) rows->n_classes, sizeof(StatsEvaluation));
	status = own == NULL ? STATS_NO_MEMORY : prepare_work(&w);
	if (status == STATS_OK)
		status = fill_result(result, own, &w);
	release_work(&w);
	if (of_class == NULL)
		stats_free(env, own);
	return status;
}
