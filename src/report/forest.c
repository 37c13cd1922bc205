/*-------------------------------------------------------------------------
 *
 * forest.c
 *		Forest plot: a figure with its limits for each of several groups of rows.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define TOP 44.0
#define LINE 22.0
#define LEFT 150.0
#define RIGHT 152.0 /* for the numbers */

static void
describe(ReportBuffer *buffer, const ReportForest *forest)
{
	for (size_t i = 0; i < forest->n_rows; i++)
	{
		const ReportForestRow *row = &forest->rows[i];

		if (row->heading)
		{
			report_put_markup(buffer, "%t: ", row->name);
			continue;
		}
		report_put_markup(buffer, "%t, %n images%s: ", row->name, row->n, row->few ? ", few" : "");
		if (isnan(row->value))
			report_put(buffer, "not defined. ");
		else
		{
			report_put_number(buffer, row->value, 3);
			report_put_limits(buffer, row->low, row->high, 3);
			report_put(buffer, ". ");
		}
	}
}

/* Draws one group: its name, point and limits, and the numbers. */
static void
draw_row(ReportBuffer *buffer, const ReportAxes *axes, const ReportForestRow *row, double y)
{
	report_put_markup(buffer, "<text class=\"%s\" x=\"%c\" y=\"%c\">", row->heading ? "b" : "t",
					  row->heading ? 12.0 : 22.0, y + 4.5);
	report_put_short(buffer, row->name, row->heading ? 48 : 17);
	report_put(buffer, "</text>\n");
	if (row->heading)
		return;
	report_put_markup(buffer, "<text class=\"t e\" x=\"%c\" y=\"%c\">", (double) REPORT_WIDTH - 10.0,
					  y + 4.5);
	if (isnan(row->value))
	{
		report_put(buffer, "not defined</text>\n");
		return;
	}
	report_put_number(buffer, row->value, 2);
	if (!isnan(row->low) && !isnan(row->high))
	{
		report_put_limits(buffer, row->low, row->high, 2);
	}
	report_put(buffer, "</text>\n");
	if (!isnan(row->low) && !isnan(row->high))
		report_put_markup(buffer, "<path class=\"range\" d=\"M%c %cH%cM%c %cv8M%c %cv8\"/>",
						  report_x(axes, row->low), y, report_x(axes, row->high), report_x(axes, row->low),
						  y - 4.0, report_x(axes, row->high), y - 4.0);
	report_put_markup(buffer, "<rect class=\"%s\" x=\"%c\" y=\"%c\" width=\"8\" height=\"8\"/>\n",
					  row->few ? "hollow" : "point", report_x(axes, row->value) - 4.0, y - 4.0);
}

/* Returns the lowest value that the axis has to show, a multiple of 0.1. */
static double
lowest(const ReportForest *forest)
{
	double least = 1.0;

	for (size_t i = 0; i < forest->n_rows; i++)
	{
		const ReportForestRow *row = &forest->rows[i];

		if (!row->heading && !isnan(row->value))
			least = fmin(least, isnan(row->low) ? row->value : row->low);
	}
	return fmin(0.9, floor(fmax(least, 0.0) * 10.0) / 10.0);
}

ReportStatus
report_svg_forest(ReportBuffer *buffer, const ReportForest *forest)
{
	const char *title = forest->title != NULL ? forest->title : "Subgroups";
	double rows_height = LINE * (double) forest->n_rows;
	double height = TOP + rows_height + 34.0;
	ReportAxes axes = {LEFT, TOP, REPORT_WIDTH - LEFT - RIGHT, rows_height, 0.0, 1.0, 0.0, 1.0};
	ReportTicks x_ticks;
	ReportTicks none = {0.0, 1.0, 0, 0};

	if (forest->n_rows < 1 || forest->n_rows > REPORT_MAX_FOREST || forest->rows == NULL)
		return REPORT_BAD_ARGUMENT;
	for (size_t i = 0; i < forest->n_rows; i++)
	{
		const ReportForestRow *row = &forest->rows[i];

		if (!row->heading && (row->value < 0.0 || row->value > 1.0 || row->low < 0.0 || row->high > 1.0))
			return REPORT_BAD_ARGUMENT;
	}
	axes.x_min = lowest(forest);
	x_ticks = report_ticks(axes.x_min, 1.0, 3, false);
	report_svg_begin(buffer, "forest", forest->id, title, height);
	describe(buffer, forest);
	report_svg_body(buffer, title, height);
	report_svg_axes(buffer, &axes, &x_ticks, &none, NULL, NULL);
	if (forest->reference >= axes.x_min && forest->reference <= 1.0)
		report_put_markup(buffer, "<path class=\"mark\" d=\"M%c %cv%c\"/>\n",
						  report_x(&axes, forest->reference), TOP, rows_height);
	for (size_t i = 0; i < forest->n_rows; i++)
		draw_row(buffer, &axes, &forest->rows[i], TOP + LINE * ((double) i + 0.5));
	report_svg_end(buffer);
	return buffer->status;
}
