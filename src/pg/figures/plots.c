/*-------------------------------------------------------------------------
 *
 * plots.c
 *	  Plots as SVG: ROC curve, calibration and confusion matrix of any
 *	  (label, score).
 *
 * src/report writes UTF-8; the result is converted to the server's encoding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/figures/figures.h"
#include "pg/figures/plots.h"

PG_FUNCTION_INFO_V1(pneumo_plot_roc_final);
PG_FUNCTION_INFO_V1(pneumo_plot_calibration_final);
PG_FUNCTION_INFO_V1(pneumo_plot_confusion_final);

/* ------------------------------------------------------------------ buffer */

static char *
grow(void *arg, char *data, size_t length, size_t bytes)
{
	char *larger = MemoryContextAllocHuge((MemoryContext) arg, bytes);

	if (data != NULL)
	{
		memcpy(larger, data, length);
		pfree(data);
	}
	return larger;
}

void
pneumo_report_begin(ReportBuffer *buffer)
{
	memset(buffer, 0, sizeof(*buffer));
	buffer->limit = MaxAllocSize - VARHDRSZ - 1;
	buffer->grow = grow;
	buffer->arg = CurrentMemoryContext;
}

void
pneumo_report_check(ReportStatus status, const char *what)
{
	if (status == REPORT_OK)
		return;
	ereport(ERROR, (errcode(status == REPORT_TOO_LARGE   ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
							: status == REPORT_NO_MEMORY ? ERRCODE_OUT_OF_MEMORY
														 : ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s: %s", what, report_status_text(status))));
}

/*
 * Pages and plots are UTF-8.  Another encoding may lack their characters, so
 * there each is written as a reference, which a browser shows the same.
 */
text *
pneumo_report_text(const ReportBuffer *buffer)
{
	StringInfoData ascii;
	size_t i = 0;

	if (GetDatabaseEncoding() == PG_UTF8)
		return cstring_to_text_with_len(buffer->data, (int) buffer->length);
	pg_verify_mbstr(PG_UTF8, buffer->data, (int) buffer->length, false);
	initStringInfo(&ascii);
	while (i < buffer->length)
	{
		const unsigned char *c = (const unsigned char *) buffer->data + i;

		if (IS_HIGHBIT_SET(*c))
			appendStringInfo(&ascii, "&#x%X;", (unsigned int) utf8_to_unicode(c));
		else
			appendStringInfoChar(&ascii, (char) *c);
		i += pg_encoding_mblen(PG_UTF8, (const char *) c);
	}
	return cstring_to_text_with_len(ascii.data, ascii.len);
}

/* --------------------------------------------------------------- ROC curve */

#define VISIBLE 0.001 /* of an axis */

/* Returns the share of the rows of one class that are called positive. */
static double
called_share(const StatsRows *rows, double threshold, int class)
{
	size_t n = 0;
	size_t called = 0;
	size_t i;

	for (i = 0; i < rows->n; i++)
	{
		if (rows->label[i] != class)
			continue;
		n++;
		called += rows->score[i] >= threshold;
	}
	return (double) called / (double) n;
}

void
pneumo_roc_curve(ReportRocCurve *curve, const StatsRows *rows, const char *what)
{
	PneumoStats stats;
	StatsRocPoint *points;
	StatsAuc auc;
	size_t n_points = 0;
	size_t n = 0;
	double *x;
	double *y;
	size_t i;

	points = MemoryContextAllocHuge(CurrentMemoryContext, (rows->n + 1) * sizeof(StatsRocPoint));
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_roc(points, &n_points, rows, true, &stats.env), what, rows);
	pneumo_stats_check(stats_auc_interval(&auc, rows, PNEUMO_CONFIDENCE, &stats.env), what, rows);
	pneumo_stats_end(&stats);
	x = MemoryContextAllocHuge(CurrentMemoryContext, n_points * sizeof(double));
	y = MemoryContextAllocHuge(CurrentMemoryContext, n_points * sizeof(double));
	for (i = 0; i < n_points; i++)
	{
		/* closer than anybody can see: a curve of many scores stays small */
		if (n > 0 && i + 1 < n_points && points[i].false_positive_rate - x[n - 1] < VISIBLE &&
			points[i].true_positive_rate - y[n - 1] < VISIBLE)
			continue;
		x[n] = points[i].false_positive_rate;
		y[n] = points[i].true_positive_rate;
		n++;
	}
	pfree(points);
	x = repalloc(x, n * sizeof(double));
	y = repalloc(y, n * sizeof(double));

	memset(curve, 0, sizeof(*curve));
	curve->n_points = n;
	curve->false_positive_rate = x;
	curve->true_positive_rate = y;
	curve->auc = auc.auc.value;
	curve->auc_low = auc.auc.low;
	curve->auc_high = auc.auc.high;
	curve->point_x = curve->point_y = NAN;
}

text *
pneumo_plot_roc_rows(const StatsRows *rows, double threshold, const char *title, const char *what)
{
	ReportBuffer buffer;
	ReportRocCurve curve;
	ReportRoc roc;

	pneumo_roc_curve(&curve, rows, what);
	curve.name = "score";
	if (!isnan(threshold))
	{
		curve.point_x = called_share(rows, threshold, 0);
		curve.point_y = called_share(rows, threshold, 1);
	}
	memset(&roc, 0, sizeof(roc));
	roc.title = title;
	roc.n_curves = 1;
	roc.curves = &curve;
	roc.threshold = threshold;
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_roc(&buffer, &roc), what);
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_roc_final(PG_FUNCTION_ARGS)
{
	PneumoFigureRows input;

	pneumo_figure_rows(&input, fcinfo, "pneumo_plot_roc", NAN);
	PG_RETURN_TEXT_P(pneumo_plot_roc_rows(&input.rows, input.parameter, NULL, "pneumo_plot_roc"));
}

/* ------------------------------------------------------------- calibration */

void
pneumo_calibration_diagram(ReportCalibration *diagram, const StatsRows *rows, int n_bins, const char *what)
{
	PneumoStats stats;
	StatsCalibration c;
	StatsCalibrationBin *bins = palloc(n_bins * sizeof(StatsCalibrationBin));
	ReportCalibrationBin *drawn = palloc(n_bins * sizeof(ReportCalibrationBin));
	StatsFigures figures;
	int i;

	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_calibration(&c, bins, n_bins, STATS_BINS_EQUAL_WIDTH, rows, PNEUMO_CONFIDENCE,
										 &stats.env),
					   what, rows);
	pneumo_stats_check(stats_figures(&figures, rows, PNEUMO_DEFAULT_THRESHOLD, &stats.env), what, rows);
	pneumo_stats_end(&stats);
	for (i = 0; i < n_bins; i++)
	{
		drawn[i].low = bins[i].low;
		drawn[i].high = bins[i].high;
		drawn[i].n = bins[i].n;
		drawn[i].mean_score = bins[i].mean_score;
		drawn[i].observed = bins[i].observed.value;
		drawn[i].observed_low = bins[i].observed.low;
		drawn[i].observed_high = bins[i].observed.high;
	}
	pfree(bins);
	memset(diagram, 0, sizeof(*diagram));
	diagram->n_bins = (size_t) n_bins;
	diagram->bins = drawn;
	diagram->ece = c.ece.value;
	diagram->ece_low = c.ece.low;
	diagram->ece_high = c.ece.high;
	diagram->slope = c.slope.value;
	diagram->intercept = c.intercept.value;
	diagram->brier = figures.brier;
}

text *
pneumo_plot_calibration_rows(const StatsRows *rows, int n_bins, const char *title, const char *what)
{
	ReportBuffer buffer;
	ReportCalibration plot;

	pneumo_calibration_diagram(&plot, rows, n_bins, what);
	plot.title = title;
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_calibration(&buffer, &plot), what);
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_calibration_final(PG_FUNCTION_ARGS)
{
	PneumoFigureRows input;

	pneumo_figure_rows(&input, fcinfo, "pneumo_plot_calibration", PNEUMO_DEFAULT_BINS);
	PG_RETURN_TEXT_P(
		pneumo_plot_calibration_rows(&input.rows, (int) input.parameter, NULL, "pneumo_plot_calibration"));
}

/* -------------------------------------------------------- confusion matrix */

text *
pneumo_plot_confusion_counts(const uint64_t *counts, int n_classes, const char *const *names,
							 const char *title, const char *what)
{
	ReportBuffer buffer;
	ReportConfusion plot;

	memset(&plot, 0, sizeof(plot));
	plot.title = title;
	plot.n_classes = (size_t) n_classes;
	plot.names = names;
	plot.counts = counts;
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_confusion(&buffer, &plot), what);
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_confusion_final(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"negative", "positive"};
	StatsCounts counts;
	double threshold = pneumo_figure_counts(&counts, fcinfo, "pneumo_plot_confusion");
	uint64_t matrix[4];

	matrix[0] = counts.tn;
	matrix[1] = counts.fp;
	matrix[2] = counts.fn;
	matrix[3] = counts.tp;
	PG_RETURN_TEXT_P(pneumo_plot_confusion_counts(matrix, 2, names,
												  psprintf("Confusion matrix at threshold %g", threshold),
												  "pneumo_plot_confusion"));
}
