/*-------------------------------------------------------------------------
 *
 * calibration.c
 *		Reliability diagram with the number of rows per bin.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define MAX_BINS 1000
#define PLOT_TOP 66.0
#define PLOT_SIDE 340.0
#define COUNT_TOP (PLOT_TOP + PLOT_SIDE + 34.0)
#define COUNT_HEIGHT 80.0
#define HEIGHT (COUNT_TOP + COUNT_HEIGHT + 50.0)

static void
put_figures(ReportBuffer *buffer, const ReportCalibration *c)
{
	const double values[4] = {c->ece, c->slope, c->intercept, c->brier};
	const char *const names[4] = {"ECE", "slope", "intercept", "Brier"};
	bool first = true;

	for (int i = 0; i < 4; i++)
		if (!isnan(values[i]))
		{
			report_put_markup(buffer, "%s%s ", first ? "" : ", ", names[i]);
			report_put_number(buffer, values[i], 3);
			if (i == 0 && isfinite(c->ece_low) && isfinite(c->ece_high))
			{
				report_put_limits(buffer, c->ece_low, c->ece_high, 3);
			}
			first = false;
		}
}

/* Draws the marker, the limits and the bar with the number of rows of each bin. */
static void
draw_bins(ReportBuffer *buffer, const ReportAxes *axes, const ReportAxes *counts, const ReportCalibration *c)
{
	for (size_t b = 0; b < c->n_bins; b++)
	{
		const ReportCalibrationBin *bin = &c->bins[b];
		double x;
		double y;
		double from;

		if (bin->n == 0 || !isfinite(bin->mean_score) || !isfinite(bin->observed))
			continue;
		x = report_x(axes, bin->mean_score);
		if (isfinite(bin->observed_low) && isfinite(bin->observed_high))
			report_put_markup(buffer,
							  "<path class=\"axis\" d=\"M%c %cV%cM%c %ch8M%c "
							  "%ch8\"/>",
							  x, report_y(axes, bin->observed_low), report_y(axes, bin->observed_high),
							  x - 4.0, report_y(axes, bin->observed_low), x - 4.0,
							  report_y(axes, bin->observed_high));
		report_svg_marker(buffer, 0, x, report_y(axes, bin->observed), 4.5);
		from = report_x(counts, bin->low);
		y = report_y(counts, (double) bin->n);
		report_put_markup(buffer,
						  "<rect class=\"bar\" x=\"%c\" y=\"%c\" width=\"%c\" "
						  "height=\"%c\"/>\n",
						  from, y, fmax(1.0, report_x(counts, bin->high) - from - 1.0),
						  fmax(0.0, counts->top + counts->height - y));
	}
}

ReportStatus
report_svg_calibration(ReportBuffer *buffer, const ReportCalibration *c)
{
	ReportAxes axes = {62.0, PLOT_TOP, REPORT_WIDTH - 62.0 - 16.0, PLOT_SIDE, 0.0, 1.0, 0.0, 1.0};
	ReportAxes counts = {62.0, COUNT_TOP, axes.width, COUNT_HEIGHT, 0.0, 1.0, 0.0, 1.0};
	ReportTicks ticks = report_ticks(0.0, 1.0, 5, false);
	ReportTicks count_ticks;
	uint64_t most = 0;
	uint64_t total = 0;
	const char *title = c->title != NULL ? c->title : "Calibration";

	if (c->n_bins < 1 || c->n_bins > MAX_BINS || c->bins == NULL)
		return REPORT_BAD_ARGUMENT;
	for (size_t b = 0; b < c->n_bins; b++)
	{
		most = c->bins[b].n > most ? c->bins[b].n : most;
		total += c->bins[b].n;
	}
	if (total == 0)
		return REPORT_BAD_ARGUMENT;
	counts.y_max = (double) most * 1.05;
	count_ticks = report_ticks(0.0, counts.y_max, 2, true);
	report_svg_begin(buffer, "calibration", c->id, title, HEIGHT);
	report_put_markup(buffer,
					  "Observed share of positives against mean predicted "
					  "probability, %n rows in %u bins; the diagonal is perfect "
					  "calibration. ",
					  total, (uint64_t) c->n_bins);
	put_figures(buffer, c);
	report_svg_body(buffer, title, HEIGHT);
	report_put(buffer, "<text class=\"t\" x=\"62\" y=\"48\">");
	put_figures(buffer, c);
	report_put(buffer, "</text>\n");
	report_svg_axes(buffer, &axes, &ticks, &ticks, NULL, "observed share of positives");
	report_svg_diagonal(buffer, &axes);
	report_svg_axes(buffer, &counts, &ticks, &count_ticks, "predicted probability", "rows");
	draw_bins(buffer, &axes, &counts, c);
	report_svg_end(buffer);
	return buffer->status;
}
