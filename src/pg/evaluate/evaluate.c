/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  pneumo_evaluate: the figures of a model on one split of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/figures.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_evaluate);

enum
{
	COL_SPLIT,
	COL_VERSION,
	COL_IMAGES,
	COL_PATIENTS,
	COL_POSITIVE,
	COL_ACCURACY,
	COL_SENSITIVITY,
	COL_SPECIFICITY,
	COL_AUC,
	COL_LOG_LOSS,
	COL_THRESHOLD,
	COL_LEFT_OUT,
	COL_LOOKS,
	COL_FIGURES,
	COL_CLASSES,
	COL_NOTES,
	N_COLS
};

/* The figures that have a column of their own and are stored with a look. */
static const struct
{
	int column;
	const char *name;
} single_figures[] = {
	{COL_ACCURACY, "accuracy"}, {COL_SENSITIVITY, "sensitivity"}, {COL_SPECIFICITY, "specificity"},
	{COL_AUC, "auc"},           {COL_LOG_LOSS, "log_loss"},
};

#define N_SINGLE_FIGURES ((int) lengthof(single_figures))

/* Fills the columns of single figures, in the order of that table. */
static void
put_single_figures(Datum *values, bool *nulls, const StatsInterval *const *figures)
{
	int i;

	for (i = 0; i < N_SINGLE_FIGURES; i++)
	{
		int column = single_figures[i].column;

		values[column] = pneumo_number_datum(figures[i]->value, &nulls[column]);
	}
}

static void
two_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoJudged *judged,
				  TupleDesc desc)
{
	StatsRows rows = pneumo_judged_rows(judged, e, 1);
	StatsOptions options;
	StatsEvaluation figures;
	const StatsInterval *const single[] = {&figures.accuracy, &figures.sensitivity, &figures.specificity,
										   &figures.auc, &figures.log_loss};
	PneumoStats stats;

	pneumo_stats_options(&options, e->scorer->meta->threshold);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_evaluate(&figures, &rows, &options, &stats.env), "pneumo_evaluate", &rows);
	pneumo_stats_end(&stats);

	values[COL_POSITIVE] = Int64GetDatum(judged->positive);
	values[COL_THRESHOLD] = Float8GetDatum(options.threshold);
	put_single_figures(values, nulls, single);
	values[COL_FIGURES] = pneumo_figures_datum(&figures, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	nulls[COL_CLASSES] = true;
}

/* Fills the columns for more than two classes, where no class is the positive one. */
static void
many_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoJudged *judged,
				   TupleDesc desc)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	StatsClassRows rows = pneumo_judged_class_rows(judged, e, e->scores.probability);
	StatsEvaluation *of_class = palloc(meta->n_classes * sizeof(StatsEvaluation));
	StatsClassEvaluation figures;
	const StatsInterval *const single[] = {&figures.accuracy, &figures.macro_sensitivity,
										   &figures.macro_specificity, &figures.macro_auc, &figures.log_loss};
	StatsOptions options;
	PneumoStats stats;
	int c;

	pneumo_stats_options(&options, PNEUMO_DEFAULT_THRESHOLD);
	pneumo_stats_begin(&stats);
	pneumo_stats_check_classes(stats_class_evaluate(&figures, of_class, &rows, &options, &stats.env),
							   "pneumo_evaluate", &rows, meta->classes);
	pneumo_stats_end(&stats);
	/* the most probable class, not a threshold, decides */
	for (c = 0; c < meta->n_classes; c++)
		of_class[c].options.threshold = NAN;

	nulls[COL_POSITIVE] = true;
	nulls[COL_THRESHOLD] = true;
	put_single_figures(values, nulls, single);
	values[COL_FIGURES] = pneumo_macro_figures_datum(&figures, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	values[COL_CLASSES] = pneumo_class_figures_datum(of_class, meta->classes, meta->n_classes,
													 TupleDescAttr(desc, COL_CLASSES)->atttypid);
}

/* Fills the columns for findings: their means, and each of them at its threshold. */
static void
finding_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoJudged *judged,
				TupleDesc desc)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	StatsFindingRows rows = pneumo_judged_finding_rows(judged, e);
	StatsEvaluation *of_finding = palloc(meta->n_classes * sizeof(StatsEvaluation));
	StatsFindingEvaluation figures;
	const StatsInterval *const single[] = {&figures.accuracy, &figures.sensitivity, &figures.specificity,
										   &figures.auc, &figures.log_loss};
	StatsOptions options;
	PneumoStats stats;

	pneumo_stats_options(&options, PNEUMO_DEFAULT_THRESHOLD);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_finding_evaluate(&figures, of_finding, &rows, &options, &stats.env),
					   "pneumo_evaluate", NULL);
	pneumo_stats_end(&stats);
	nulls[COL_POSITIVE] = true;
	nulls[COL_THRESHOLD] = true;
	put_single_figures(values, nulls, single);
	values[COL_FIGURES] = pneumo_finding_figures_datum(&figures, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	values[COL_CLASSES] = pneumo_class_figures_datum(of_finding, meta->classes, meta->n_classes,
													 TupleDescAttr(desc, COL_CLASSES)->atttypid);
}

static Jsonb *
figures_json(const Datum *values, const bool *nulls)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; i < N_SINGLE_FIGURES; i++)
		if (!nulls[single_figures[i].column])
			pneumo_json_add_number(&json, single_figures[i].name,
								   DatumGetFloat8(values[single_figures[i].column]), 9);
	return pneumo_json_end(&json);
}

Datum
pneumo_evaluate(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", NULL};
	char *model = pneumo_text_argument(fcinfo, 1);
	Jsonb *given = pneumo_config_argument(fcinfo, 2);
	PneumoEvaluation e;
	PneumoJudged judged;
	TupleDesc desc;
	Datum values[N_COLS];
	bool nulls[N_COLS] = {false};
	int split = pneumo_judged_split(given, "pneumo_evaluate()");

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pneumo_evaluation_begin(&e, model, given, own_keys);
	pneumo_judged_read(&judged, &e, 1, DatumGetObjectId(pneumo_argument(fcinfo, 0)), split);

	values[COL_SPLIT] = CStringGetTextDatum(pneumo_split_names[split]);
	values[COL_VERSION] = Int32GetDatum(e.id.number);
	values[COL_IMAGES] = Int64GetDatum(judged.n);
	values[COL_PATIENTS] = Int64GetDatum(judged.groups);
	nulls[COL_PATIENTS] = !judged.grouped;
	if (e.scorer->meta->multi_label)
		finding_figures(values, nulls, &e, &judged, desc);
	else if (e.scorer->meta->n_classes == 2)
		two_class_figures(values, nulls, &e, &judged, desc);
	else
		many_class_figures(values, nulls, &e, &judged, desc);
	values[COL_NOTES] = pneumo_judged_notes_datum(&judged, &e, &nulls[COL_NOTES]);
	values[COL_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(e.dataset));
	values[COL_LOOKS] =
		Int64GetDatum(pneumo_evaluation_look(&e, &e.id, judged.split, judged.n, figures_json(values, nulls)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
