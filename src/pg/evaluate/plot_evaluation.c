/*-------------------------------------------------------------------------
 *
 * plot_evaluation.c
 *	  pneumo_plot_evaluation: plots of a model on one split of a table.
 *
 * Rows and rights are those of pneumo_evaluate; a plot of the test split
 * is a look at it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/plots.h"
#include "pg/predict/predict.h"

PG_FUNCTION_INFO_V1(pneumo_plot_evaluation);

#define FUNCTION "pneumo_plot_evaluation"

typedef enum Plot
{
	PLOT_ROC,
	PLOT_CALIBRATION,
	PLOT_CONFUSION
} Plot;

static const char *const plots[] = {"roc", "calibration", "confusion", NULL};

static Plot
read_plot(const char *name)
{
	int i;

	for (i = 0; plots[i] != NULL; i++)
		if (strcmp(plots[i], name) == 0)
			return (Plot) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no picture \"%s\", it can be %s",
															  pneumo_clip(name), pneumo_list_names(plots))));
}

static void
require_two_classes(const PneumoEvaluation *e)
{
	if (e->scorer->meta->n_classes != 2)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("this picture is for models of two classes, \"%s\" has %d", e->model,
							   e->scorer->meta->n_classes),
						errhint("Draw one class against the others with an aggregate, as pneumo_plot_roc, "
								"and pneumo_predict(image, model, class).")));
}

static const char *
title(const char *what, const PneumoEvaluation *e, const PneumoJudged *judged, int class)
{
	if (e->scorer->meta->multi_label)
		return pneumo_utf8(psprintf("%s of %s for %s, %s", what, e->model, e->scorer->meta->classes[class],
									pneumo_split_names[judged->split]));
	return pneumo_utf8(psprintf("%s of %s, %s", what, e->model, pneumo_split_names[judged->split]));
}

static text *
draw_confusion(const PneumoEvaluation *e, const PneumoJudged *judged)
{
	int k = e->scorer->meta->n_classes;
	uint64_t *counts = palloc0(k * k * sizeof(uint64_t));
	const char **names = palloc(k * sizeof(char *));
	int64 i;

	for (i = 0; i < k; i++)
		names[i] = pneumo_utf8(e->scorer->meta->classes[i]);
	for (i = 0; i < judged->n; i++)
	{
		int label = e->dataset->samples[judged->samples[i]].label;
		int predicted =
			pneumo_class_of(e->scorer->meta, pneumo_evaluation_probability(e, judged->samples[i]));

		counts[label * k + predicted]++;
	}
	return pneumo_plot_confusion_counts(counts, k, names, title("Confusion matrix", e, judged, 0), FUNCTION);
}

/* Draws the confusion matrix of a finding and its absence, on the rows of which it is known. */
static text *
draw_finding_confusion(const PneumoEvaluation *e, const PneumoJudged *judged, int finding)
{
	const char *names[2] = {"no", "yes"};
	uint64_t counts[4] = {0, 0, 0, 0};
	int64 i;

	for (i = 0; i < judged->n; i++)
	{
		int target = pneumo_sample_target(&e->dataset->samples[judged->samples[i]], finding);

		if (target != NN_UNKNOWN)
			counts[target * 2 + pneumo_finding_called(e->scorer->meta,
													  pneumo_evaluation_probability(e, judged->samples[i]),
													  finding)]++;
	}
	return pneumo_plot_confusion_counts(counts, 2, names, title("Confusion matrix", e, judged, finding),
										FUNCTION);
}

Datum
pneumo_plot_evaluation(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", "class", NULL};
	char *model = pneumo_text_argument(fcinfo, 1);
	Plot plot = read_plot(pneumo_text_argument(fcinfo, 2));
	Jsonb *given = pneumo_config_argument(fcinfo, 3);
	int split = pneumo_judged_split(given, FUNCTION "()");
	PneumoEvaluation e;
	PneumoJudged judged;
	StatsRows rows;
	PneumoJson metrics;
	text *svg;
	int finding;
	int class;

	pneumo_evaluation_begin(&e, model, given, own_keys);
	finding = pneumo_judged_finding(&e, given, true, "a plot");
	class = finding < 0 ? 1 : finding;
	if (plot != PLOT_CONFUSION && finding < 0)
		require_two_classes(&e);
	pneumo_judged_read(&judged, &e, 1, DatumGetObjectId(pneumo_argument(fcinfo, 0)), split);
	if (plot == PLOT_CONFUSION && finding >= 0)
		svg = draw_finding_confusion(&e, &judged, finding);
	else if (plot == PLOT_CONFUSION)
		svg = draw_confusion(&e, &judged);
	else
	{
		rows = pneumo_judged_rows(&judged, &e, class);
		pneumo_stats_check(rows.n == 0 ? STATS_NO_ROWS : STATS_OK, FUNCTION, &rows);
		if (plot == PLOT_ROC)
			svg = pneumo_plot_roc_rows(&rows, pneumo_meta_threshold(e.scorer->meta, class),
									   title("ROC curve", &e, &judged, class), FUNCTION);
		else
			svg = pneumo_plot_calibration_rows(&rows, PNEUMO_DEFAULT_BINS,
											   title("Calibration", &e, &judged, class), FUNCTION);
	}
	pneumo_json_begin(&metrics);
	pneumo_json_add_string(&metrics, "picture", plots[plot]);
	(void) pneumo_evaluation_look(&e, &e.id, judged.split, judged.n, pneumo_json_end(&metrics));
	PG_RETURN_TEXT_P(svg);
}
