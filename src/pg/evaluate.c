/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  pneumo_evaluate: the figures of a model on one side of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pg/figures.h"
#include "pg/side.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pneumo_evaluate);

enum
{
	COL_SPLIT, COL_VERSION, COL_IMAGES, COL_PATIENTS, COL_POSITIVE, COL_ACCURACY,
	COL_SENSITIVITY, COL_SPECIFICITY, COL_AUC, COL_LOG_LOSS, COL_THRESHOLD, COL_LEFT_OUT,
	COL_LOOKS, COL_FIGURES, N_COLS
};

static void
two_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoSide *side,
				  Oid figures_type)
{
	StatsRows	rows = pneumo_side_rows(side, e, pneumo_side_scores(side, e, e->probability));
	StatsOptions options;
	StatsEvaluation figures;
	PneumoStats stats;
	StatsStatus status;

	pneumo_stats_options(&options, e->scorer->meta->threshold);
	pneumo_stats_begin(&stats);
	status = stats_evaluate(&figures, &rows, &options, &stats.env);
	pneumo_stats_end(&stats);
	if (status == STATS_ONE_CLASS)
		ereport(WARNING,
				(errmsg("all %zu rows are %s: the AUC and the figures of the other class are NULL", rows.n,
						rows.label[0] ? "positive" : "negative")));
	else
		pneumo_stats_check(status, "pneumo_evaluate", &rows);

	values[COL_POSITIVE] = Int64GetDatum(side->positive);
	values[COL_ACCURACY] = pneumo_number_datum(figures.accuracy.value, &nulls[COL_ACCURACY]);
	values[COL_SENSITIVITY] = pneumo_number_datum(figures.sensitivity.value, &nulls[COL_SENSITIVITY]);
	values[COL_SPECIFICITY] = pneumo_number_datum(figures.specificity.value, &nulls[COL_SPECIFICITY]);
	values[COL_AUC] = pneumo_number_datum(figures.auc.value, &nulls[COL_AUC]);
	values[COL_LOG_LOSS] = pneumo_number_datum(figures.log_loss.value, &nulls[COL_LOG_LOSS]);
	values[COL_THRESHOLD] = Float8GetDatum(options.threshold);
	values[COL_FIGURES] = pneumo_figures_datum(&figures, figures_type);
}

static void
many_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const PneumoSide *side)
{
	int			k = e->scorer->meta->n_classes;
	double	   *probability = MemoryContextAllocHuge(CurrentMemoryContext, side->n * k * sizeof(double));
	int32_t    *label = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(int32_t));
	StatsClassRows rows = {probability, label, NULL, (size_t) side->n, k};
	StatsClassFigures figures;
	PneumoStats stats;
	int64		i;

	for (i = 0; i < side->n; i++)
	{
		memcpy(probability + i * k, pneumo_evaluation_probability(e, side->samples[i]), k * sizeof(double));
		label[i] = e->dataset->samples[side->samples[i]].label;
	}
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_class_figures(&figures, NULL, NULL, NULL, &rows, &stats.env),
					   "pneumo_evaluate", NULL);
	pneumo_stats_end(&stats);
	nulls[COL_POSITIVE] = true;
	nulls[COL_THRESHOLD] = true;
	nulls[COL_FIGURES] = true;
	values[COL_ACCURACY] = pneumo_number_datum(figures.accuracy, &nulls[COL_ACCURACY]);
	values[COL_SENSITIVITY] = pneumo_number_datum(figures.macro_sensitivity, &nulls[COL_SENSITIVITY]);
	values[COL_SPECIFICITY] = pneumo_number_datum(figures.macro_specificity, &nulls[COL_SPECIFICITY]);
	values[COL_AUC] = pneumo_number_datum(figures.macro_auc, &nulls[COL_AUC]);
	values[COL_LOG_LOSS] = pneumo_number_datum(figures.log_loss, &nulls[COL_LOG_LOSS]);
}

static char *
figures_json(const Datum *values, const bool *nulls)
{
	static const struct
	{
		int			column;
		const char *name;
	}			kept[] = {
		{COL_ACCURACY, "accuracy"}, {COL_SENSITIVITY, "sensitivity"},
		{COL_SPECIFICITY, "specificity"}, {COL_AUC, "auc"}, {COL_LOG_LOSS, "log_loss"}
	};
	StringInfoData json;
	int			i;

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
	Oid			relid = PG_GETARG_OID(0);
	char	   *model = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *given = PG_GETARG_JSONB_P(2);
	PneumoEvaluation e;
	PneumoSide		side;
	TupleDesc	desc;
	Datum		values[N_COLS];
	bool		nulls[N_COLS] = {false};
	int			split = pneumo_side_split(given, "pneumo_evaluate()");

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pneumo_evaluation_begin(&e, model, given, own_keys);
	pneumo_side_want(&e, split);
	pneumo_evaluation_read(&e, relid);
	pneumo_side_hold_out(&e, e.id.version, split);
	pneumo_side_collect(&side, &e, split);

	values[COL_SPLIT] = CStringGetTextDatum(pneumo_side_names[split]);
	values[COL_VERSION] = Int64GetDatum(e.id.version);
	values[COL_IMAGES] = Int64GetDatum(side.n);
	values[COL_PATIENTS] = Int64GetDatum(side.groups);
	if (e.scorer->meta->n_classes == 2)
		two_class_figures(values, nulls, &e, &side, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	else
		many_class_figures(values, nulls, &e, &side);
	values[COL_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(e.dataset));
	values[COL_LOOKS] = Int64GetDatum(pneumo_side_look(&e.id, &side, e.source->name, figures_json(values, nulls)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
