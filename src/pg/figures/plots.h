/*-------------------------------------------------------------------------
 *
 * plots.h
 *	  Plots of figures as SVG text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_PLOTS_H
#define PNEUMO_PG_PLOTS_H

#include "report/report.h"
#include "stats/stats.h"

/* Begins a buffer that grows in the current context, up to what a text can hold. */
extern void pneumo_report_begin(ReportBuffer *buffer);

/* Raises what is not REPORT_OK; what is the subject, as in "pneumo_plot_roc". */
extern void pneumo_report_check(ReportStatus status, const char *what);

/* Returns the buffer as a text of the server's encoding. */
extern text *pneumo_report_text(const ReportBuffer *buffer);

/*
 * Fill what a plot of rows shows, for a page of many: a curve with its AUC and
 * limits (no name, no point), a diagram (no id, no title).
 */
extern void pneumo_roc_curve(ReportRocCurve *curve, const StatsRows *rows, const char *what);
extern void pneumo_calibration_diagram(ReportCalibration *diagram, const StatsRows *rows, int n_bins,
									   const char *what);

/*
 * Fills a plot of several runs from their epochs; its legend has names (UTF-8; NULL:
 * the runs and their models) and what differs in the configs.  Errors if a run does
 * not exist, may not be seen by the user or has no epoch.
 */
extern void pneumo_histories(ReportHistories *histories, const int64 *run, const char *const *names, int n);

/*
 * Draw a plot of rows; what is the subject of errors, title UTF-8 or NULL for the
 * default.  threshold is that of the operating point, or NaN for none.
 */
extern text *pneumo_plot_roc_rows(const StatsRows *rows, double threshold, const char *title,
								  const char *what);
extern text *pneumo_plot_calibration_rows(const StatsRows *rows, int n_bins, const char *title,
										  const char *what);
extern text *pneumo_plot_confusion_counts(const uint64_t *counts, int n_classes, const char *const *names,
										  const char *title, const char *what);

#endif /* PNEUMO_PG_PLOTS_H */
