/*-------------------------------------------------------------------------
 *
 * plot_evaluation.c
 *	  pneumo_plot_evaluation: pictures of a model on one side of a table.
 *
 * Rows and rights are those of pneumo_evaluate; a picture of the test side is
 * a look at it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/plots.h"
#include "pg/predict/predict.h"

PG_FUNCTION_INFO_V1(pneumo_plot_evaluation);

#define FUNCTION "pneumo_plot_evaluation"

typedef enum Picture
{
	PICTURE_ROC,
	PICTURE_CALIBRATION,
	PICTURE_CONFUSION
} Picture;

static const char *const pictures[] = {"roc", "calibration", "confusion", NULL};

static Picture
read_picture(const char *name)
{
	int i;

	for (i = 0; pictures[i] != NULL; i++)
		if (strcmp(pictures[i], name) == 0)
			return (Picture) i;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("there is no picture \"%s\", it can be %s", pneumo_clip(name),
						   pneumo_list_names(pictures))));
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
title(const char *what, const PneumoEvaluation *e, const PneumoSide *side)
{
	return pneumo_report_utf8(psprintf("%s of %s, %s", what, e->model, pneumo_split_names[side->split]));
}

static text *
draw_confusion(const PneumoEvaluation *e, const PneumoSide *side)
{
	int k = e->scorer->meta->n_classes;
	uint64_t *counts = palloc0(k * k * sizeof(uint64_t));
	const char **names = palloc(k * sizeof(char *));
	int64 i;

	for (i = 0; i < k; i++)
		names[i] = pneumo_report_utf8(e->scorer->meta->classes[i]);
	for (i = 0; i < side->n; i++)
	{
		int label = e->dataset->samples[side->samples[i]].label;
		int predicted = pneumo_class_of(e->scorer->meta, pneumo_evaluation_probability(e, side->samples[i]));

		counts[label * k + predicted]++;
	}
	return pneumo_plot_confusion_counts(counts, k, names, title("Confusion matrix", e, side), FUNCTION);
}

Datum
pneumo_plot_evaluation(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", NULL};
	char *model = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Picture picture = read_picture(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	Jsonb *given = PG_GETARG_JSONB_P(3);
	int split = pneumo_side_split(given, FUNCTION "()");
	PneumoEvaluation e;
	PneumoSide side;
	StatsRows rows;
	text *svg;

	pneumo_evaluation_begin(&e, model, given, own_keys);
	if (picture != PICTURE_CONFUSION)
		require_two_classes(&e);
	pneumo_side_want(&e, split);
	pneumo_evaluation_read(&e, PG_GETARG_OID(0));
	pneumo_side_hold_out(&e, e.id.version, split);
	pneumo_side_collect(&side, &e, split);
	if (picture == PICTURE_CONFUSION)
		svg = draw_confusion(&e, &side);
	else
	{
		rows = pneumo_side_rows(&side, &e, pneumo_side_scores(&side, &e, e.scores.probability));
		if (picture == PICTURE_ROC)
			svg = pneumo_plot_roc_rows(&rows, e.scorer->meta->threshold, title("ROC curve", &e, &side),
									   FUNCTION);
		else
			svg = pneumo_plot_calibration_rows(&rows, PNEUMO_DEFAULT_BINS, title("Calibration", &e, &side),
											   FUNCTION);
	}
	(void) pneumo_side_look(&e.id, &side, e.source->name,
							psprintf("{\"picture\":\"%s\"}", pictures[picture]));
	PG_RETURN_TEXT_P(svg);
}
