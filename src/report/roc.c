/*-------------------------------------------------------------------------
 *
 * roc.c
 *		Plot of ROC curves with their operating points.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define PLOT_TOP 66.0
#define PLOT_SIDE 380.0
#define LEGEND_LINE 24.0

static void
put_auc(ReportBuffer *buffer, const ReportRocCurve *curve)
{
	if (isnan(curve->auc))
		return;
	report_put(buffer, "AUC ");
	report_put_number(buffer, curve->auc, 3);
	if (isnan(curve->auc_low) || isnan(curve->auc_high))
		return;
	report_put_limits(buffer, curve->auc_low, curve->auc_high, 3);
}

static bool
has_point(const ReportRocCurve *curve)
{
	return isfinite(curve->point_x) && isfinite(curve->point_y);
}

static void
describe(ReportBuffer *buffer, const ReportRoc *roc)
{
	report_put(buffer, "Sensitivity against false positive rate.");
	for (size_t c = 0; c < roc->n_curves; c++)
	{
		const ReportRocCurve *curve = &roc->curves[c];

		report_put_markup(buffer, " %t: ", curve->name);
		put_auc(buffer, curve);
		if (has_point(curve))
		{
			report_put(buffer, ", operating point at sensitivity ");
			report_put_number(buffer, curve->point_y, 3);
			report_put(buffer, " and specificity ");
			report_put_number(buffer, 1.0 - curve->point_x, 3);
		}
		report_put(buffer, ".");
	}
}

/* Draws a line for each curve, and one for the operating points if there are any. */
static void
draw_legend(ReportBuffer *buffer, const ReportRoc *roc, double top)
{
	bool points = false;

	for (size_t c = 0; c < roc->n_curves; c++)
	{
		double y = top + LEGEND_LINE * (double) c;

		report_svg_sample(buffer, (int) c, 62.0, y);
		report_put_markup(buffer, "<text x=\"103\" y=\"%c\">", y + 5.0);
		report_put_short(buffer, roc->curves[c].name, 20);
		report_put(buffer, ": ");
		put_auc(buffer, &roc->curves[c]);
		report_put(buffer, "</text>\n");
		points = points || has_point(&roc->curves[c]);
	}
	if (!points)
		return;
	top += LEGEND_LINE * (double) roc->n_curves;
	report_svg_marker(buffer, 0, 79.0, top, 7.0);
	report_put_markup(buffer, "<text x=\"103\" y=\"%c\">operating point", top + 5.0);
	if (!isnan(roc->threshold))
	{
		report_put(buffer, ", threshold ");
		report_put_number(buffer, roc->threshold, 3);
	}
	report_put(buffer, "</text>\n");
}

static bool
roc_is_drawable(const ReportRoc *roc)
{
	if (roc->n_curves < 1 || roc->n_curves > REPORT_MAX_SERIES || roc->curves == NULL)
		return false;
	for (size_t c = 0; c < roc->n_curves; c++)
		if (roc->curves[c].n_points < 2 || roc->curves[c].false_positive_rate == NULL ||
			roc->curves[c].true_positive_rate == NULL)
			return false;
	return true;
}

ReportStatus
report_svg_roc(ReportBuffer *buffer, const ReportRoc *roc)
{
	ReportAxes axes = {62.0, PLOT_TOP - 26.0, PLOT_SIDE, PLOT_SIDE, 0.0, 1.0, 0.0, 1.0};
	ReportTicks ticks = report_ticks(0.0, 1.0, 5, false);
	double legend = axes.top + PLOT_SIDE + 62.0;
	double height = legend + LEGEND_LINE * (double) (roc->n_curves + 1);
	const char *title = roc->title != NULL ? roc->title : "ROC curve";

	if (!roc_is_drawable(roc))
		return REPORT_BAD_ARGUMENT;
	report_svg_begin(buffer, "roc", roc->id, title, height);
	describe(buffer, roc);
	report_svg_body(buffer, title, height);
	report_svg_axes(buffer, &axes, &ticks, &ticks, "false positive rate (1 \xE2\x88\x92 specificity)",
					"true positive rate (sensitivity)");
	report_svg_diagonal(buffer, &axes);
	for (size_t c = 0; c < roc->n_curves; c++)
		report_svg_curve(buffer, &axes, (int) c, roc->curves[c].false_positive_rate,
						 roc->curves[c].true_positive_rate, roc->curves[c].n_points, true);
	for (size_t c = 0; c < roc->n_curves; c++)
		if (has_point(&roc->curves[c]))
			report_svg_marker(buffer, (int) c, report_x(&axes, roc->curves[c].point_x),
							  report_y(&axes, roc->curves[c].point_y), 7.0);
	draw_legend(buffer, roc, legend);
	report_svg_end(buffer);
	return buffer->status;
}
