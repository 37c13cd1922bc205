/*-------------------------------------------------------------------------
 *
 * multiclass.c
 *		Figures of an evaluation with more than two classes: one-vs-rest and
 *		their plain (macro) means.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

StatsStatus
stats_check_class_rows(const StatsClassRows *rows, const StatsEnv *env)
{
	if (rows == NULL || rows->n_classes < 2)
		return STATS_BAD_ARGUMENT;
	if (rows->n == 0)
		return STATS_NO_ROWS;
	if (rows->probability == NULL || rows->label == NULL || rows->n > SIZE_MAX / (size_t) rows->n_classes)
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < rows->n * (size_t) rows->n_classes; i++)
	{
		if (isnan(rows->probability[i]))
			return STATS_SCORE_NAN;
		if (!(rows->probability[i] >= 0.0 && rows->probability[i] <= 1.0))
			return STATS_SCORE_RANGE;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	for (size_t i = 0; i < rows->n; i++)
		if (rows->label[i] < 0 || rows->label[i] >= rows->n_classes)
			return STATS_BAD_LABEL;
	return STATS_OK;
}

StatsStatus
stats_pick_class(double *score, uint8_t *label, const StatsClassRows *rows, int32_t positive_class,
				 const StatsEnv *env)
{
	for (size_t i = 0; i < rows->n; i++)
	{
		score[i] = rows->probability[i * (size_t) rows->n_classes + (size_t) positive_class];
		label[i] = rows->label[i] == positive_class;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

StatsStatus
stats_number_class_clusters(StatsClusters *clusters, const StatsClassRows *rows, const StatsEnv *env)
{
	StatsRows ids = {NULL, NULL, rows->cluster, rows->n};

	if (rows->cluster != NULL)
		return stats_number_clusters(clusters, &ids, env);
	clusters->n_clusters = rows->n;
	clusters->number = stats_array(env, rows->n, sizeof(size_t));
	if (clusters->number == NULL)
		return STATS_NO_MEMORY;
	for (size_t i = 0; i < rows->n; i++)
	{
		clusters->number[i] = i;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

size_t
stats_best_class(const double *probability, size_t n_classes)
{
	size_t best = 0;

	for (size_t c = 1; c < n_classes; c++)
		if (probability[c] > probability[best])
			best = c;
	return best;
}

/* Fills the confusion counts and the figures that are not means over the classes. */
static StatsStatus
count_classes(StatsClassFigures *figures, uint64_t *confusion, const StatsClassRows *rows,
			  const StatsEnv *env)
{
	size_t k = (size_t) rows->n_classes;
	uint64_t right = 0;
	double losses[2] = {0.0, 0.0};

	memset(confusion, 0, k * k * sizeof(uint64_t));
	for (size_t i = 0; i < rows->n; i++)
	{
		const double *p = rows->probability + i * k;
		size_t truth = (size_t) rows->label[i];
		size_t best = stats_best_class(p, k);

		stats_add_class_losses(losses, p, k, truth, 1.0);
		confusion[truth * k + best]++;
		right += best == truth;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	figures->accuracy = (double) right / (double) rows->n;
	figures->log_loss = losses[0] / (double) rows->n;
	figures->brier = losses[1] / (double) rows->n;
	return STATS_OK;
}

static void
figures_of_class(StatsFigures *one, const uint64_t *confusion, size_t k, size_t class_number, uint64_t n)
{
	StatsCounts counts = {0, 0, 0, 0};

	counts.tp = confusion[class_number * k + class_number];
	for (size_t c = 0; c < k; c++)
		if (c != class_number)
		{
			counts.fn += confusion[class_number * k + c];
			counts.fp += confusion[c * k + class_number];
		}
	counts.tn = n - counts.tp - counts.fn - counts.fp;
	stats_figures_from_counts(one, &counts);
}

/* Adds one class to the macro sums; *n_specificity counts its rests. */
static void
add_class(StatsClassFigures *figures, const StatsFigures *one, int32_t *n_specificity)
{
	if (one->counts.tp + one->counts.fn == 0)
		return;
	figures->n_present++;
	figures->macro_sensitivity += one->sensitivity;
	figures->macro_f1 += one->f1;
	if (!isnan(one->specificity))
	{
		figures->macro_specificity += one->specificity;
		(*n_specificity)++;
	}
}

/* Fills the figures of each class and their means; score and label are scratch of n each. */
static StatsStatus
sum_classes(StatsClassFigures *figures, StatsFigures *class_figures, double *class_auc,
			const uint64_t *confusion, double *score, uint8_t *label, const StatsClassRows *rows,
			const StatsEnv *env)
{
	int32_t n_specificity = 0;
	int32_t n_auc = 0;

	figures->n_present = 0;
	figures->macro_sensitivity = 0.0;
	figures->macro_specificity = 0.0;
	figures->macro_f1 = 0.0;
	figures->macro_auc = 0.0;
	for (int32_t c = 0; c < rows->n_classes; c++)
	{
		StatsRows view = {score, label, rows->cluster, rows->n};
		StatsFigures one;
		double auc = NAN;
		StatsStatus status;

		figures_of_class(&one, confusion, (size_t) rows->n_classes, (size_t) c, rows->n);
		add_class(figures, &one, &n_specificity);
		if (class_figures != NULL)
			class_figures[c] = one;
		status = stats_pick_class(score, label, rows, c, env);
		if (status == STATS_OK)
			status = stats_auc(&auc, &view, env);
		if (status == STATS_OK)
		{
			figures->macro_auc += auc;
			n_auc++;
		}
		else if (status != STATS_ONE_CLASS)
			return status;
		if (class_auc != NULL)
			class_auc[c] = status == STATS_OK ? auc : NAN;
	}
	if (n_auc == 0)
		return STATS_ONE_CLASS;
	figures->macro_sensitivity /= figures->n_present;
	figures->macro_f1 /= figures->n_present;
	figures->macro_specificity /= n_specificity;
	figures->macro_auc /= n_auc;
	return STATS_OK;
}

StatsStatus
stats_class_figures(StatsClassFigures *figures, StatsFigures *class_figures, double *class_auc,
					uint64_t *confusion, const StatsClassRows *rows, const StatsEnv *env)
{
	StatsStatus status = stats_check_class_rows(rows, env);
	uint64_t *counts = confusion;
	double *score;
	uint8_t *label;

	if (status != STATS_OK)
		return status;
	if (counts == NULL)
		counts = stats_array(env, (size_t) rows->n_classes, (size_t) rows->n_classes * sizeof(uint64_t));
	score = stats_array(env, rows->n, sizeof(double));
	label = stats_array(env, rows->n, sizeof(uint8_t));
	if (counts == NULL || score == NULL || label == NULL)
		status = STATS_NO_MEMORY;
	if (status == STATS_OK)
		status = count_classes(figures, counts, rows, env);
	if (status == STATS_OK)
		status = sum_classes(figures, class_figures, class_auc, counts, score, label, rows, env);
	stats_free(env, label);
	stats_free(env, score);
	if (confusion == NULL)
		stats_free(env, counts);
	return status;
}
