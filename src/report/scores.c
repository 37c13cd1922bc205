/*-------------------------------------------------------------------------
 *
 * scores.c
 *		Histogram of scores by class.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define MAX_BINS 100
#define PLOT_TOP 66.0
#define HALF_HEIGHT 150.0
#define PLOT_HEIGHT (2.0 * HALF_HEIGHT)
#define HEIGHT (PLOT_TOP + PLOT_HEIGHT + 50.0)

static uint64_t
sum(const uint64_t *counts, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += counts[i];
	return total;
}

/* Draws the bars of one class, up or down from the middle. */
static void
draw_bars(ReportBuffer *buffer, const ReportAxes *axes, const uint64_t *counts, size_t n, bool up)
{
	double middle = report_y(axes, 0.0);

	for (size_t i = 0; i < n; i++)
	{
		double x = report_x(axes, (double) i / (double) n);
		double high = fabs(report_y(axes, (double) counts[i]) - middle);

		if (counts[i] == 0)
			continue;
		report_put_markup(buffer,
						  "<rect class=\"%s\" x=\"%c\" y=\"%c\" width=\"%c\" "
						  "height=\"%c\"/>\n",
						  up ? "bar1" : "bar", x, up ? middle - high : middle,
						  fmax(1.0, axes->width / (double) n - 1.0), high);
	}
}

/* Draws the sample of a class's bars and its name. */
static void
draw_name(ReportBuffer *buffer, double x, const char *name, bool up)
{
	report_put_markup(buffer,
					  "<rect class=\"%s\" x=\"%c\" y=\"38\" width=\"16\" height=\"12\"/>\n"
					  "<text x=\"%c\" y=\"49\">",
					  up ? "bar1" : "bar", x, x + 22.0);
	report_put_short(buffer, name, 16);
	report_put(buffer, up ? " \xE2\x86\x91</text>\n" : " \xE2\x86\x93</text>\n");
}

/* Draws both axes; the vertical one counts upwards and downwards from the middle. */
static void
draw_axes(ReportBuffer *buffer, const ReportAxes *axes, const char *x_label)
{
	ReportTicks x_ticks = report_ticks(0.0, 1.0, 5, false);
	ReportTicks none = {0.0, 1.0, 0, 0};
	ReportTicks counts = report_ticks(0.0, axes->y_max, 2, true);

	report_svg_axes(buffer, axes, &x_ticks, &none, x_label, "images");
	for (int i = 0; i < counts.count; i++)
		for (int down = 0; down < (i > 0 ? 2 : 1); down++)
		{
			double value = counts.first + i * counts.step;
			double y = report_y(axes, down ? -value : value);

			report_put_markup(buffer,
							  "<path class=\"grid\" d=\"M%c %ch%c\"/>"
							  "<text class=\"t e\" x=\"%c\" y=\"%c\">",
							  axes->left, y, axes->width, axes->left - 7.0, y + 4.5);
			report_put_number(buffer, value, 0);
			report_put(buffer, "</text>\n");
		}
}

ReportStatus
report_svg_scores(ReportBuffer *buffer, const ReportScores *scores)
{
	ReportAxes axes = {62.0, PLOT_TOP, REPORT_WIDTH - 62.0 - 16.0, PLOT_HEIGHT, 0.0, 1.0, 0.0, 0.0};
	uint64_t most = 0;
	const char *title = scores->title != NULL ? scores->title : "Scores by class";

	if (scores->n_bins < 1 || scores->n_bins > MAX_BINS || scores->above == NULL || scores->below == NULL)
		return REPORT_BAD_ARGUMENT;
	for (size_t i = 0; i < scores->n_bins; i++)
	{
		most = scores->above[i] > most ? scores->above[i] : most;
		most = scores->below[i] > most ? scores->below[i] : most;
	}
	if (most == 0)
		return REPORT_BAD_ARGUMENT;
	axes.y_max = 1.05 * (double) most;
	axes.y_min = -axes.y_max;
	report_svg_begin(buffer, "scores", scores->id, title, HEIGHT);
	report_put_markup(buffer,
					  "Histogram of the %t in %u bins: %n images of %t above the axis, %n of %t below it.",
					  scores->x_label, (uint64_t) scores->n_bins, sum(scores->above, scores->n_bins),
					  scores->above_name, sum(scores->below, scores->n_bins), scores->below_name);
	report_svg_body(buffer, title, HEIGHT);
	draw_name(buffer, 62.0, scores->above_name, true);
	draw_name(buffer, 262.0, scores->below_name, false);
	draw_axes(buffer, &axes, scores->x_label);
	draw_bars(buffer, &axes, scores->above, scores->n_bins, true);
	draw_bars(buffer, &axes, scores->below, scores->n_bins, false);
	report_put_markup(buffer, "<path class=\"axis\" d=\"M%c %ch%c\"/>\n", axes.left, report_y(&axes, 0.0),
					  axes.width);
	if (scores->threshold >= 0.0 && scores->threshold <= 1.0)
	{
		double x = report_x(&axes, scores->threshold);
		bool left = scores->threshold > 0.7;

		report_put_markup(buffer,
						  "<path class=\"axis\" style=\"stroke-dasharray:4 3\" d=\"M%c %cv%c\"/>"
						  "<text class=\"t%s\" x=\"%c\" y=\"%c\">threshold ",
						  x, axes.top, axes.height, left ? " e" : "", x + (left ? -5.0 : 5.0),
						  axes.top + 12.0);
		report_put_number(buffer, scores->threshold, 3);
		report_put(buffer, "</text>\n");
	}
	report_svg_end(buffer);
	return buffer->status;
}
