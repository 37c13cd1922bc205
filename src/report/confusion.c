/*-------------------------------------------------------------------------
 *
 * confusion.c
 *		Plot of a confusion matrix.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define LEFT 130.0
#define TOP 96.0
#define SIDE (REPORT_WIDTH - LEFT - 16.0)

static uint64_t
row_total(const ReportConfusion *c, size_t row)
{
	uint64_t sum = 0;

	for (size_t p = 0; p < c->n_classes; p++)
		sum += c->counts[row * c->n_classes + p];
	return sum;
}

static void
describe(ReportBuffer *buffer, const ReportConfusion *c)
{
	for (size_t t = 0; t < c->n_classes; t++)
		for (size_t p = 0; p < c->n_classes; p++)
		{
			report_put_markup(buffer, "True %t, predicted %t: %n. ", c->names[t], c->names[p],
							  c->counts[t * c->n_classes + p]);
		}
}

/* Draws one cell; the darker it is, the larger its share of the true class. */
static void
draw_cell(ReportBuffer *buffer, const ReportConfusion *c, size_t t, size_t p, double cell_w, double cell_h)
{
	uint64_t count = c->counts[t * c->n_classes + p];
	uint64_t total = row_total(c, t);
	double share = total > 0 ? (double) count / (double) total : 0.0;
	double x = LEFT + cell_w * (double) p;
	double y = TOP + cell_h * (double) t;
	bool roomy = c->n_classes <= 5;

	report_put_markup(buffer,
					  "<rect class=\"axis\" x=\"%c\" y=\"%c\" width=\"%c\" "
					  "height=\"%c\" style=\"fill:var(--s0);fill-opacity:%c\"/>",
					  x, y, cell_w, cell_h, 0.5 * share);
	report_put_markup(buffer, "<text class=\"m%s\" x=\"%c\" y=\"%c\"%s>%n</text>", t == p ? " b" : "",
					  x + 0.5 * cell_w, y + 0.5 * cell_h + (roomy ? -2.0 : 4.0),
					  roomy ? " style=\"font-size:18px\"" : " style=\"font-size:11px\"", count);
	if (roomy && total > 0)
	{
		report_put_markup(buffer,
						  "<text class=\"m\" x=\"%c\" y=\"%c\" "
						  "style=\"font-size:13px\">",
						  x + 0.5 * cell_w, y + 0.5 * cell_h + 18.0);
		report_put_number(buffer, 100.0 * share, 1);
		report_put(buffer, " %</text>");
	}
	report_put(buffer, "\n");
}

ReportStatus
report_svg_confusion(ReportBuffer *buffer, const ReportConfusion *c)
{
	const char *title = c->title != NULL ? c->title : "Confusion matrix";
	double cell_w;
	double cell_h;
	double height;
	size_t room;

	if (c->n_classes < 2 || c->n_classes > REPORT_MAX_CLASSES || c->names == NULL || c->counts == NULL)
		return REPORT_BAD_ARGUMENT;
	cell_w = SIDE / (double) c->n_classes;
	cell_h = fmin(cell_w, 110.0);
	height = TOP + cell_h * (double) c->n_classes + 34.0;
	room = (size_t) (cell_w / 8.5);
	report_svg_begin(buffer, "confusion", c->id, title, height);
	describe(buffer, c);
	report_svg_body(buffer, title, height);
	report_svg_label(buffer, "m", LEFT + 0.5 * SIDE, 56.0, "predicted class");
	report_put_markup(buffer,
					  "<text class=\"m\" transform=\"translate(16 %c) "
					  "rotate(-90)\">true class</text>\n",
					  TOP + 0.5 * cell_h * (double) c->n_classes);
	for (size_t k = 0; k < c->n_classes; k++)
	{
		double x = LEFT + cell_w * ((double) k + 0.5);
		double y = TOP + cell_h * ((double) k + 0.5);

		report_put_markup(buffer, "<text class=\"t m\" x=\"%c\" y=\"%c\">", x, TOP - 10.0);
		report_put_short(buffer, c->names[k], room < 3 ? 3 : room);
		report_put_markup(buffer, "</text><text class=\"t e\" x=\"%c\" y=\"%c\">", LEFT - 8.0, y + 4.0);
		report_put_short(buffer, c->names[k], 12);
		report_put(buffer, "</text>\n");
		for (size_t p = 0; p < c->n_classes; p++)
			draw_cell(buffer, c, k, p, cell_w, cell_h);
	}
	report_svg_label(buffer, "t", LEFT, height - 12.0, "percent of the true class");
	report_svg_end(buffer);
	return buffer->status;
}
