/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  pneumo_evaluate: the figures of a model on one side of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
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
	N_COLS
};

static void
two_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoSide *side,
				  Oid figures_type)
{
	StatsRows rows = pneumo_side_rows(side, e, pneumo_side_scores(side, e, e->scores.probability));
	StatsOptions options;
	StatsEvaluation figures;
	PneumoStats stats;

	pneumo_stats_options(&options, e->scorer->meta->threshold);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_evaluate(&figures, &rows, &options, &stats.env), "pneumo_evaluate", &rows);
	pneumo_stats_end(&stats);

	values[COL_POSITIVE] = Int64GetDatum(side->positive);
	values[COL_ACCURACY] = pneumo_number_datum(figures.accuracy.value, &nulls[COL_ACCURACY]);
	values[COL_SENSITIVITY] = pneumo_number_datum(figures.sensitivity.value, &nulls[COL_SENSITIVITY]);
	values[COL_SPECIFICITY] = pneumo_number_datum(figures.specificity.value, &nulls[COL_SPECIFICITY]);
	values[COL_AUC] = pneumo_number_datum(figures.auc.value, &nulls[COL_AUC]);
	values[COL_LOG_LOSS] = pneumo_number_datum(figures.log_loss.value, &nulls[COL_LOG_LOSS]);
	values[COL_THRESHOLD] = Float8GetDatum(options.threshold);
	values[COL_FIGURES] = pneumo_figures_datum(&figures, figures_type);
	nulls[COL_CLASSES] = true;
}

static void
many_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoSide *side,
				   TupleDesc desc)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	StatsClassRows rows = pneumo_side_class_rows(side, e, e->scores.probability);
	StatsEvaluation *of_class = palloc(meta->n_classes * sizeof(StatsEvaluation));
	StatsClassEvaluation figures;
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
	values[COL_ACCURACY] = Float8GetDatum(figures.accuracy.value);
	values[COL_SENSITIVITY] = pneumo_number_datum(figures.macro_sensitivity.value, &nulls[COL_SENSITIVITY]);
	values[COL_SPECIFICITY] = pneumo_number_datum(figures.macro_specificity.value, &nulls[COL_SPECIFICITY]);
	values[COL_AUC] = pneumo_number_datum(figures.macro_auc.value, &nulls[COL_AUC]);
	values[COL_LOG_LOSS] = Float8GetDatum(figures.log_loss.value);
	values[COL_FIGURES] = pneumo_macro_figures_datum(&figures, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	values[COL_CLASSES] = pneumo_class_figures_datum(of_class, meta->classes, meta->n_classes,
													 TupleDescAttr(desc, COL_CLASSES)->atttypid);
}

static char *
figures_json(const Datum *values, const bool *nulls)
{
	static const struct
	{
		int column;
		const char *name;
	} kept[] = {
		{COL_ACCURACY, "accuracy"}, {COL_SENSITIVITY, "sensitivity"}, {COL_SPECIFICITY, "specificity"},
		{COL_AUC, "auc"},           {COL_LOG_LOSS, "log_loss"},
	};
	StringInfoData json;
	int i;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (i = 0; i < (int) lengthof(kept); i++)
		if (!nulls[kept[i].column])
			appendStringInfo(&json, "%s\"%s\":%.9g", json.len > 1 ? "," : "", kept[i].name,
							 DatumGetFloat8(values[kept[i].column]));
	appendStringInfoChar(&json, '}');
	return json.data;
}

Datum
pneumo_evaluate(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", NULL};
	Oid relid = PG_GETARG_OID(0);
	char *model = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb *given = PG_GETARG_JSONB_P(2);
	PneumoEvaluation e;
	PneumoSide side;
	TupleDesc desc;
	Datum values[N_COLS];
	bool nulls[N_COLS] = {false};
	int split = pneumo_side_split(given, "pneumo_evaluate()");

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pneumo_evaluation_begin(&e, model, given, own_keys);
	pneumo_side_want(&e, split);
	pneumo_evaluation_read(&e, relid);
	pneumo_side_hold_out(&e, e.id.version, split);
	pneumo_side_collect(&side, &e, split);

	values[COL_SPLIT] = CStringGetTextDatum(pneumo_split_names[split]);
	values[COL_VERSION] = Int64GetDatum(e.id.version);
	values[COL_IMAGES] = Int64GetDatum(side.n);
	values[COL_PATIENTS] = Int64GetDatum(side.groups);
	if (e.scorer->meta->n_classes == 2)
		two_class_figures(values, nulls, &e, &side, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	else
		many_class_figures(values, nulls, &e, &side, desc);
	values[COL_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(e.dataset));
	values[COL_LOOKS] =
		Int64GetDatum(pneumo_side_look(&e.id, &side, e.source->name, figures_json(values, nulls)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
