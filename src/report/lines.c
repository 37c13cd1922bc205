/*-------------------------------------------------------------------------
 *
 * lines.c
 *		Plot of curves in one pair of axes.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define PLOT_TOP 42.0
#define PLOT_HEIGHT 300.0
#define LEGEND_LINE 24.0
#define DIGIT 7.5
#define MARGIN 0.06 /* of a range that follows from the curves, added at both ends */

/* Widens a range to the finite values of an array. */
static void
extend(double *min, double *max, const double *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (isfinite(values[i]))
		{
			*min = fmin(*min, values[i]);
			*max = fmax(*max, values[i]);
		}
}

/* Sets both ends of an axis: those given, or the range of the curves with a margin. */
static void
set_range(double *min, double *max, double given_min, double given_max)
{
	double pad;

	if (!(*min <= *max))
	{
		*min = 0.0;
		*max = 1.0;
	}
	pad = MARGIN * (*max - *min);
	if (!(pad > 0.0))
		pad = fmax(0.05 * fabs(*max), 1e-6);
	*min = isnan(given_min) ? *min - pad : given_min;
	*max = isnan(given_max) ? *max + pad : given_max;
	if (!(*max > *min))
		*max = *min + 1.0;
}

static bool
lines_are_drawable(const ReportLines *lines)
{
	if (lines->n_lines < 1 || lines->n_lines > REPORT_MAX_SERIES || lines->lines == NULL)
		return false;
	for (size_t i = 0; i < lines->n_lines; i++)
		if (lines->lines[i].n_points < 1 || lines->lines[i].x == NULL || lines->lines[i].y == NULL)
			return false;
	return true;
}

/* Appends in words where each curve begins and ends. */
static void
describe(ReportBuffer *buffer, const ReportLines *lines)
{
	report_put_markup(buffer, "%t against %t.", lines->y_label, lines->x_label);
	for (size_t i = 0; i < lines->n_lines; i++)
	{
		const ReportLine *line = &lines->lines[i];
		size_t last = line->n_points - 1;

		report_put_markup(buffer, " %t: from ", line->name);
		report_put_number(buffer, line->y[0], 3);
		report_put(buffer, " at ");
		report_put_number(buffer, line->x[0], lines->whole_x ? 0 : 3);
		report_put(buffer, " to ");
		report_put_number(buffer, line->y[last], 3);
		report_put(buffer, " at ");
		report_put_number(buffer, line->x[last], lines->whole_x ? 0 : 3);
		report_put(buffer, ".");
	}
}

/* Draws the vertical line and its name, on the side where there is room. */
static void
draw_mark(ReportBuffer *buffer, const ReportAxes *axes, const ReportLines *lines)
{
	double x = report_x(axes, lines->mark);
	bool left = x > axes->left + 0.6 * axes->width;

	if (!(lines->mark >= axes->x_min && lines->mark <= axes->x_max))
		return;
	report_put_markup(buffer, "<path class=\"mark\" d=\"M%c %cv%c\"/>\n", x, axes->top, axes->height);
	if (lines->mark_name != NULL)
		report_svg_label(buffer, left ? "t e" : "t", x + (left ? -5.0 : 5.0), axes->top + 12.0,
						 lines->mark_name);
}

ReportStatus
report_svg_lines(ReportBuffer *buffer, const ReportLines *lines)
{
	ReportAxes axes = {70.0,     PLOT_TOP, REPORT_WIDTH - 70.0 - 16.0, PLOT_HEIGHT, INFINITY, -INFINITY,
					   INFINITY, -INFINITY};
	ReportTicks x_ticks;
	ReportTicks y_ticks;
	double legend = PLOT_TOP + PLOT_HEIGHT + 62.0;
	double height = legend + LEGEND_LINE * (double) lines->n_lines - 6.0;
	const char *title = lines->title != NULL ? lines->title : "Curves";

	if (!lines_are_drawable(lines))
		return REPORT_BAD_ARGUMENT;
	for (size_t i = 0; i < lines->n_lines; i++)
	{
		extend(&axes.x_min, &axes.x_max, lines->lines[i].x, lines->lines[i].n_points);
		extend(&axes.y_min, &axes.y_max, lines->lines[i].y, lines->lines[i].n_points);
	}
	set_range(&axes.x_min, &axes.x_max, lines->x_min, lines->x_max);
	set_range(&axes.y_min, &axes.y_max, lines->y_min, lines->y_max);
	x_ticks = report_ticks(axes.x_min, axes.x_max, lines->whole_x ? 8 : 5, lines->whole_x);
	y_ticks = report_ticks(axes.y_min, axes.y_max, 5, false);
	if (y_ticks.decimals > 2) /* room for the digits */
	{
		axes.left += DIGIT * (y_ticks.decimals - 2);
		axes.width -= DIGIT * (y_ticks.decimals - 2);
	}
	report_svg_begin(buffer, "lines", lines->id, title, height);
	describe(buffer, lines);
	report_svg_body(buffer, title, height);
	report_svg_axes(buffer, &axes, &x_ticks, &y_ticks, lines->x_label, lines->y_label);
	if (lines->diagonal)
		report_svg_diagonal(buffer, &axes);
	if (!isnan(lines->mark))
		draw_mark(buffer, &axes, lines);
	for (size_t i = 0; i < lines->n_lines; i++)
	{
		const ReportLine *line = &lines->lines[i];

		report_svg_curve(buffer, &axes, (int) i, line->x, line->y, line->n_points, true);
		report_svg_sample(buffer, (int) i, 62.0, legend + LEGEND_LINE * (double) i);
		report_put_markup(buffer, "<text x=\"103\" y=\"%c\">", legend + LEGEND_LINE * (double) i + 5.0);
		report_put_short(buffer, line->name, 44);
		report_put(buffer, "</text>\n");
	}
	report_svg_end(buffer);
	return buffer->status;
}
