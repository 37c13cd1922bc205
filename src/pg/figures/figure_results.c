/*-------------------------------------------------------------------------
 *
 * figure_results.c
 *	  Final functions of the aggregates of figures: figures with intervals,
 *	  ROC curve, calibration, confusion matrix.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "stats/stats.h"

#include "pg/base/stats_env.h"
#include "pg/figures/figures.h"

PG_FUNCTION_INFO_V1(pneumo_metrics_final);
PG_FUNCTION_INFO_V1(pneumo_roc_final);
PG_FUNCTION_INFO_V1(pneumo_calibration_final);
PG_FUNCTION_INFO_V1(pneumo_confusion_final);

static TupleDesc
result_desc(FunctionCallInfo fcinfo)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(desc);
}

/* Forms an array of the row type of the function's result. */
static Datum
row_array(FunctionCallInfo fcinfo, Oid array_type, Datum *rows, int64 n)
{
	Oid element;

	if (!OidIsValid(array_type))
		array_type = get_func_rettype(fcinfo->flinfo->fn_oid);
	element = get_element_type(array_type);
	if (n > MaxAllocSize / 64)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%lld points are too many for an array", (long long) n),
						errhint("Round the scores, as in round(score::numeric, 4).")));
	return PointerGetDatum(construct_array(rows, (int) n, element, -1, false, TYPALIGN_DOUBLE));
}

/* ------------------------------------------------------------------ results */

enum
{
	FIG_N,
	FIG_POSITIVE,
	FIG_NEGATIVE,
	FIG_CLUSTERS,
	FIG_CLUSTERS_POSITIVE,
	FIG_CLUSTERS_NEGATIVE,
	FIG_THRESHOLD,
	FIG_FIRST,
	FIG_CONFIDENCE = FIG_FIRST + 11,
	N_FIG
};

#define N_OF_FIGURES (FIG_CONFIDENCE - FIG_FIRST)

/* Forms a pneumo_figures whose counts and threshold are in values already. */
static Datum
form_figures(Datum *values, bool *nulls, const StatsInterval *const *figures, const StatsOptions *options,
			 TupleDesc desc)
{
	HeapTuple tuple;
	int i;

	for (i = 0; i < N_OF_FIGURES; i++)
	{
		nulls[FIG_FIRST + i] = figures[i] == NULL;
		if (figures[i] != NULL)
			values[FIG_FIRST + i] =
				pneumo_figure_datum(figures[i], TupleDescAttr(desc, FIG_FIRST + i)->atttypid,
									&nulls[FIG_FIRST + i]);
	}
	values[FIG_CONFIDENCE] = Float8GetDatum(options->confidence);
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

Datum
pneumo_figures_datum(const StatsEvaluation *e, Oid type)
{
	Datum values[N_FIG];
	bool nulls[N_FIG] = {false};
	const StatsInterval *const figures[N_OF_FIGURES] = {&e->accuracy,    &e->sensitivity, &e->specificity,
														&e->ppv,         &e->npv,         &e->lr_positive,
														&e->lr_negative, &e->f1,          &e->log_loss,
														&e->brier,       &e->auc};

	values[FIG_N] = Int64GetDatum(e->n);
	values[FIG_POSITIVE] = Int64GetDatum(e->n_positive);
	values[FIG_NEGATIVE] = Int64GetDatum(e->n_negative);
	values[FIG_CLUSTERS] = Int64GetDatum(e->n_clusters);
	values[FIG_CLUSTERS_POSITIVE] = Int64GetDatum(e->n_clusters_positive);
	values[FIG_CLUSTERS_NEGATIVE] = Int64GetDatum(e->n_clusters_negative);
	values[FIG_THRESHOLD] = pneumo_number_datum(e->options.threshold, &nulls[FIG_THRESHOLD]);
	return form_figures(values, nulls, figures, &e->options, lookup_rowtype_tupdesc(type, -1));
}

/* Forms means over classes or findings of n rows in so many clusters. */
static Datum
form_means(size_t n, size_t n_clusters, const StatsInterval *const *figures, const StatsOptions *options,
		   Oid type)
{
	Datum values[N_FIG];
	bool nulls[N_FIG];
	int i;

	for (i = 0; i < N_FIG; i++)
		nulls[i] = i < FIG_FIRST;
	nulls[FIG_N] = nulls[FIG_CLUSTERS] = false;
	values[FIG_N] = Int64GetDatum(n);
	values[FIG_CLUSTERS] = Int64GetDatum(n_clusters);
	return form_figures(values, nulls, figures, options, lookup_rowtype_tupdesc(type, -1));
}

Datum
pneumo_macro_figures_datum(const StatsClassEvaluation *e, Oid type)
{
	const StatsInterval *const figures[N_OF_FIGURES] =
		{&e->accuracy, &e->macro_sensitivity, &e->macro_specificity, NULL,      NULL,         NULL,
		 NULL,         &e->macro_f1,          &e->log_loss,          &e->brier, &e->macro_auc};

	return form_means(e->n, e->n_clusters, figures, &e->options, type);
}

Datum
pneumo_finding_figures_datum(const StatsFindingEvaluation *e, Oid type)
{
	const StatsInterval *const figures[N_OF_FIGURES] =
		{&e->accuracy, &e->sensitivity, &e->specificity, NULL,      NULL,   NULL,
		 NULL,         &e->f1,          &e->log_loss,    &e->brier, &e->auc};

	return form_means(e->n, e->n_clusters, figures, &e->options, type);
}

Datum
pneumo_class_figures_datum(const StatsEvaluation *of_class, char *const *classes, int n_classes,
						   Oid array_type)
{
	Oid element = get_element_type(array_type);
	TupleDesc desc = lookup_rowtype_tupdesc(element, -1);
	Datum *rows = palloc(n_classes * sizeof(Datum));
	int c;

	for (c = 0; c < n_classes; c++)
	{
		Datum values[2];
		bool nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(classes[c]);
		values[1] = pneumo_figures_datum(&of_class[c], TupleDescAttr(desc, 1)->atttypid);
		rows[c] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	ReleaseTupleDesc(desc);
	return PointerGetDatum(construct_array(rows, n_classes, element, -1, false, TYPALIGN_DOUBLE));
}

Datum
pneumo_metrics_final(PG_FUNCTION_ARGS)
{
	PneumoFigureRows input;
	PneumoStats stats;
	StatsOptions options;
	StatsEvaluation e;

	pneumo_figure_rows(&input, fcinfo, "pneumo_metrics", PNEUMO_DEFAULT_THRESHOLD);
	pneumo_stats_options(&options, input.parameter);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_evaluate(&e, &input.rows, &options, &stats.env), "pneumo_metrics", &input.rows);
	pneumo_stats_end(&stats);
	PG_RETURN_DATUM(pneumo_figures_datum(&e, get_func_rettype(fcinfo->flinfo->fn_oid)));
}

Datum
pneumo_roc_final(PG_FUNCTION_ARGS)
{
	Oid element = get_element_type(get_func_rettype(fcinfo->flinfo->fn_oid));
	TupleDesc desc = lookup_rowtype_tupdesc_copy(element, -1);
	PneumoFigureRows input;
	PneumoStats stats;
	StatsRocPoint *points;
	size_t n_points = 0;
	Datum *rows;
	size_t i;

	pneumo_figure_rows(&input, fcinfo, "pneumo_roc", 0);
	pneumo_stats_begin(&stats);
	points = MemoryContextAllocHuge(stats.cxt, (input.rows.n + 1) * sizeof(StatsRocPoint));
	pneumo_stats_check(stats_roc(points, &n_points, &input.rows, false, &stats.env), "pneumo_roc",
					   &input.rows);
	rows = MemoryContextAllocHuge(CurrentMemoryContext, n_points * sizeof(Datum));
	for (i = 0; i < n_points; i++)
	{
		Datum values[3];
		bool nulls[3] = {false, false, false};

		values[0] = Float8GetDatum(points[i].threshold);
		values[1] = Float8GetDatum(points[i].false_positive_rate);
		values[2] = Float8GetDatum(points[i].true_positive_rate);
		rows[i] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
		if (i % 4096 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	pneumo_stats_end(&stats);
	PG_RETURN_DATUM(row_array(fcinfo, InvalidOid, rows, (int64) n_points));
}

enum
{
	CAL_N,
	CAL_MEAN,
	CAL_OBSERVED,
	CAL_ECE,
	CAL_MCE,
	CAL_SLOPE,
	CAL_INTERCEPT,
	CAL_LARGE,
	CAL_BINS,
	N_CAL
};

enum
{
	BIN_LOW,
	BIN_HIGH,
	BIN_N,
	BIN_MEAN,
	BIN_OBSERVED,
	N_BIN
};

static Datum
bin_array(FunctionCallInfo fcinfo, Oid array_type, const StatsCalibrationBin *bins, int n_bins)
{
	TupleDesc desc = lookup_rowtype_tupdesc_copy(get_element_type(array_type), -1);
	Datum *rows = palloc(n_bins * sizeof(Datum));
	int i;

	for (i = 0; i < n_bins; i++)
	{
		Datum values[N_BIN];
		bool nulls[N_BIN] = {false};

		values[BIN_LOW] = pneumo_number_datum(bins[i].low, &nulls[BIN_LOW]);
		values[BIN_HIGH] = pneumo_number_datum(bins[i].high, &nulls[BIN_HIGH]);
		values[BIN_N] = Int64GetDatum(bins[i].n);
		values[BIN_MEAN] = pneumo_number_datum(bins[i].mean_score, &nulls[BIN_MEAN]);
		values[BIN_OBSERVED] =
			pneumo_figure_datum(&bins[i].observed, TupleDescAttr(desc, BIN_OBSERVED)->atttypid,
								&nulls[BIN_OBSERVED]);
		rows[i] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	return row_array(fcinfo, array_type, rows, n_bins);
}

Datum
pneumo_calibration_final(PG_FUNCTION_ARGS)
{
	TupleDesc desc = result_desc(fcinfo);
	PneumoFigureRows input;
	PneumoStats stats;
	StatsCalibration c;
	StatsCalibrationBin *bins;
	int n_bins;
	Datum values[N_CAL];
	bool nulls[N_CAL] = {false};

	pneumo_figure_rows(&input, fcinfo, "pneumo_calibration", PNEUMO_DEFAULT_BINS);
	n_bins = (int) input.parameter;
	bins = palloc(n_bins * sizeof(StatsCalibrationBin));
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_calibration(&c, bins, n_bins, STATS_BINS_EQUAL_WIDTH, &input.rows,
										 PNEUMO_CONFIDENCE, &stats.env),
					   "pneumo_calibration", &input.rows);
	pneumo_stats_end(&stats);

	values[CAL_N] = Int64GetDatum(c.n);
	values[CAL_MEAN] = pneumo_number_datum(c.mean_score, &nulls[CAL_MEAN]);
	values[CAL_OBSERVED] = pneumo_number_datum(c.observed, &nulls[CAL_OBSERVED]);
	values[CAL_ECE] = pneumo_figure_datum(&c.ece, TupleDescAttr(desc, CAL_ECE)->atttypid, &nulls[CAL_ECE]);
	values[CAL_MCE] = pneumo_number_datum(c.mce, &nulls[CAL_MCE]);
	values[CAL_SLOPE] =
		pneumo_figure_datum(&c.slope, TupleDescAttr(desc, CAL_SLOPE)->atttypid, &nulls[CAL_SLOPE]);
	values[CAL_INTERCEPT] = pneumo_figure_datum(&c.intercept, TupleDescAttr(desc, CAL_INTERCEPT)->atttypid,
												&nulls[CAL_INTERCEPT]);
	values[CAL_LARGE] =
		pneumo_figure_datum(&c.in_the_large, TupleDescAttr(desc, CAL_LARGE)->atttypid, &nulls[CAL_LARGE]);
	values[CAL_BINS] = bin_array(fcinfo, TupleDescAttr(desc, CAL_BINS)->atttypid, bins, n_bins);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

Datum
pneumo_confusion_final(PG_FUNCTION_ARGS)
{
	TupleDesc desc = result_desc(fcinfo);
	StatsCounts counts;
	Datum values[5];
	bool nulls[5] = {false};

	values[0] = Float8GetDatum(pneumo_figure_counts(&counts, fcinfo, "pneumo_confusion_matrix"));
	values[1] = Int64GetDatum(counts.tp);
	values[2] = Int64GetDatum(counts.fp);
	values[3] = Int64GetDatum(counts.tn);
	values[4] = Int64GetDatum(counts.fn);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
