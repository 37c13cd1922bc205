/*-------------------------------------------------------------------------
 *
 * axes.c
 *		Parts of the plots: frame, style, axes with round ticks, curves.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define N_SHAPES 4 /* of markers; the second four series fill them */
#define MAX_TICKS 20
#define MARKERS_WANTED 10

/*
 * All plots share these rules, so that several in one page agree.  Dark
 * colours are for screens only: paper is white.
 */
static const char style[] =
	"<style>"
	".pneumo-svg{--ink:#1b1b1b;--soft:#595959;--grid:#dcdcdc;--paper:#fff;"
	"--s0:#0b5cad;--s1:#b8430b;--s2:#1d7a3a;--s3:#7a3aa0;"
	"--s4:#b0156b;--s5:#0a6c75;--s6:#756200;--s7:#4a4a4a;"
	"font:14px system-ui,\"Helvetica Neue\",Arial,sans-serif}"
	"@media screen and (prefers-color-scheme:dark){.pneumo-svg{--ink:#ececec;"
	"--soft:#b0b0b0;--grid:#3c3f44;--paper:#17191c;--s0:#7db7f5;--s1:#ffad73;"
	"--s2:#86d69c;--s3:#cfa4ee;--s4:#ff9cc8;--s5:#6fd3da;--s6:#dccb5e;--s7:#c4c4c4}}"
	".pneumo-svg text{fill:var(--ink)}"
	".pneumo-svg .h{font-size:16px;font-weight:600}"
	".pneumo-svg .t{font-size:13px;fill:var(--soft)}"
	".pneumo-svg .e{text-anchor:end}.pneumo-svg .m{text-anchor:middle}"
	".pneumo-svg .b{font-weight:600}"
	".pneumo-svg .paper{fill:var(--paper)}"
	".pneumo-svg .grid{stroke:var(--grid);stroke-width:1;fill:none}"
	".pneumo-svg .axis{stroke:var(--soft);stroke-width:1.25;fill:none}"
	".pneumo-svg .mark{stroke:var(--soft);stroke-width:1.25;stroke-dasharray:2 3;fill:none}"
	".pneumo-svg .bar{fill:var(--s0);fill-opacity:.45;stroke:var(--s0)}"
	".pneumo-svg .bar1{fill:var(--s1);fill-opacity:.45;stroke:var(--s1)}"
	".pneumo-svg .range{stroke:var(--s0);stroke-width:2;fill:none}"
	".pneumo-svg .point{fill:var(--s0);stroke:var(--s0);stroke-width:1.5}"
	".pneumo-svg .hollow{fill:var(--paper);stroke:var(--s0);stroke-width:1.5}"
	".pneumo-svg .c{fill:none;stroke-width:2.25;stroke-linejoin:round;stroke-linecap:butt}"
	".pneumo-svg .k{stroke-width:1.5;fill:var(--paper)}"
	".pneumo-svg .s0{stroke:var(--s0)}"
	".pneumo-svg .s1{stroke:var(--s1)}.pneumo-svg .s2{stroke:var(--s2)}"
	".pneumo-svg .s3{stroke:var(--s3)}.pneumo-svg .s4{stroke:var(--s4)}"
	".pneumo-svg .s5{stroke:var(--s5)}.pneumo-svg .s6{stroke:var(--s6)}"
	".pneumo-svg .s7{stroke:var(--s7)}"
	".pneumo-svg .k.s4{fill:var(--s4)}.pneumo-svg .k.s5{fill:var(--s5)}"
	".pneumo-svg .k.s6{fill:var(--s6)}.pneumo-svg .k.s7{fill:var(--s7)}"
	".pneumo-svg .c.s1{stroke-dasharray:7 4}.pneumo-svg .c.s2{stroke-dasharray:2 3}"
	".pneumo-svg .c.s3{stroke-dasharray:9 3 2 3}.pneumo-svg .c.s4{stroke-dasharray:14 3}"
	".pneumo-svg .c.s5{stroke-dasharray:4 3}.pneumo-svg .c.s6{stroke-dasharray:9 3 2 3 2 3}"
	".pneumo-svg .c.s7{stroke-dasharray:1 2}"
	"</style>";

static const char *const series_class[REPORT_MAX_SERIES] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};

void
report_svg_begin(ReportBuffer *buffer, const char *kind, const char *id, const char *title, double height)
{
	report_put(buffer, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
					   "class=\"pneumo-svg\" role=\"img\" aria-labelledby=\"");
	report_put_id(buffer, id, kind);
	report_put(buffer, "-title ");
	report_put_id(buffer, id, kind);
	report_put_markup(buffer,
					  "-desc\" viewBox=\"0 0 %u %c\" width=\"%u\" "
					  "height=\"%c\">\n<title id=\"",
					  (uint64_t) REPORT_WIDTH, height, (uint64_t) REPORT_WIDTH, height);
	report_put_id(buffer, id, kind);
	report_put_markup(buffer, "-title\">%t</title>\n<desc id=\"", title);
	report_put_id(buffer, id, kind);
	report_put(buffer, "-desc\">");
}

void
report_svg_body(ReportBuffer *buffer, const char *title, double height)
{
	report_put_markup(buffer,
					  "</desc>\n%s\n<rect class=\"paper\" width=\"%u\" "
					  "height=\"%c\"/>\n<text class=\"h\" x=\"12\" y=\"24\">",
					  style, (uint64_t) REPORT_WIDTH, height);
	report_put_short(buffer, title, 52);
	report_put(buffer, "</text>\n");
}

void
report_svg_end(ReportBuffer *buffer)
{
	report_put(buffer, "</svg>\n");
}

ReportTicks
report_ticks(double min, double max, int wanted, bool integers)
{
	ReportTicks ticks = {min, 1.0, 1, 0};
	double range = max - min;
	double power;
	double rest;

	if (!(range > 0.0) || !isfinite(range))
		return ticks;
	power = pow(10.0, floor(log10(range / wanted)));
	rest = range / wanted / power;
	ticks.step = power * (rest <= 1.4 ? 1.0 : rest <= 3.0 ? 2.0 : rest <= 7.0 ? 5.0 : 10.0);
	if (integers && ticks.step < 1.0)
		ticks.step = 1.0;
	ticks.first = ceil(min / ticks.step - 1e-9) * ticks.step;
	ticks.count = 1 + (int) floor((max - ticks.first) / ticks.step + 1e-9);
	if (ticks.count > MAX_TICKS)
		ticks.count = MAX_TICKS;
	if (ticks.count < 0)
		ticks.count = 0;
	ticks.decimals = ticks.step < 1.0 ? (int) ceil(-log10(ticks.step) - 1e-9) : 0;
	return ticks;
}

double
report_x(const ReportAxes *axes, double x)
{
	return axes->left + (x - axes->x_min) / (axes->x_max - axes->x_min) * axes->width;
}

double
report_y(const ReportAxes *axes, double y)
{
	return axes->top + axes->height - (y - axes->y_min) / (axes->y_max - axes->y_min) * axes->height;
}

void
report_svg_diagonal(ReportBuffer *buffer, const ReportAxes *axes)
{
	report_put_markup(buffer, "<path class=\"mark\" d=\"M%c %cL%c %c\"/>\n", axes->left,
					  axes->top + axes->height, axes->left + axes->width, axes->top);
}

void
report_svg_label(ReportBuffer *buffer, const char *class_name, double x, double y, const char *text)
{
	report_put_markup(buffer, "<text class=\"%s\" x=\"%c\" y=\"%c\">%t</text>\n", class_name, x, y, text);
}

void
report_svg_axes(ReportBuffer *buffer, const ReportAxes *axes, const ReportTicks *x_ticks,
				const ReportTicks *y_ticks, const char *x_label, const char *y_label)
{
	double bottom = axes->top + axes->height;
	double right = axes->left + axes->width;

	for (int i = 0; i < y_ticks->count; i++)
	{
		double value = y_ticks->first + i * y_ticks->step;
		double y = report_y(axes, value);

		report_put_markup(buffer,
						  "<path class=\"grid\" d=\"M%c %cH%c\"/>"
						  "<text class=\"t e\" x=\"%c\" y=\"%c\">",
						  axes->left, y, right, axes->left - 7.0, y + 4.5);
		report_put_number(buffer, value, y_ticks->decimals);
		report_put(buffer, "</text>\n");
	}
	for (int i = 0; i < x_ticks->count; i++)
	{
		double value = x_ticks->first + i * x_ticks->step;
		double x = report_x(axes, value);

		report_put_markup(buffer,
						  "<path class=\"axis\" d=\"M%c %cv5\"/>"
						  "<text class=\"t m\" x=\"%c\" y=\"%c\">",
						  x, bottom, x, bottom + 19.0);
		report_put_number(buffer, value, x_ticks->decimals);
		report_put(buffer, "</text>\n");
	}
	report_put_markup(buffer, "<path class=\"axis\" d=\"M%c %cV%cH%c\"/>\n", axes->left, axes->top, bottom,
					  right);
	if (x_label != NULL)
		report_svg_label(buffer, "m", axes->left + 0.5 * axes->width, bottom + 38.0, x_label);
	if (y_label != NULL)
		report_put_markup(buffer,
						  "<text class=\"m\" transform=\"translate(16 %c) "
						  "rotate(-90)\">%t</text>\n",
						  axes->top + 0.5 * axes->height, y_label);
}

void
report_svg_marker(ReportBuffer *buffer, int series, double x, double y, double size)
{
	const char *name = series_class[series % REPORT_MAX_SERIES];

	switch (series % N_SHAPES)
	{
		case 0:
			report_put_markup(buffer,
							  "<circle class=\"k %s\" cx=\"%c\" cy=\"%c\" "
							  "r=\"%c\"/>",
							  name, x, y, size);
			break;
		case 1:
			report_put_markup(buffer,
							  "<rect class=\"k %s\" x=\"%c\" y=\"%c\" "
							  "width=\"%c\" height=\"%c\"/>",
							  name, x - size, y - size, 2.0 * size, 2.0 * size);
			break;
		case 2:
			report_put_markup(buffer, "<path class=\"k %s\" d=\"M%c %cl%c %ch%cz\"/>", name, x,
							  y - 1.2 * size, 1.2 * size, 2.1 * size, -2.4 * size);
			break;
		default:
			report_put_markup(buffer,
							  "<path class=\"k %s\" d=\"M%c %cl%c %cl%c "
							  "%cl%c %cz\"/>",
							  name, x, y - 1.3 * size, 1.3 * size, 1.3 * size, -1.3 * size, 1.3 * size,
							  -1.3 * size, -1.3 * size);
	}
}

void
report_svg_sample(ReportBuffer *buffer, int series, double x, double y)
{
	report_put_markup(buffer, "<path class=\"c %s\" d=\"M%c %ch34\"/>",
					  series_class[series % REPORT_MAX_SERIES], x, y);
	report_svg_marker(buffer, series, x + 17.0, y, 3.5);
}

void
report_svg_curve(ReportBuffer *buffer, const ReportAxes *axes, int series, const double *x, const double *y,
				 size_t n, bool markers)
{
	size_t every = 1 + (n - 1) / MARKERS_WANTED;
	bool pen_down = false;

	report_put_markup(buffer, "<path class=\"c %s\" d=\"", series_class[series % REPORT_MAX_SERIES]);
	for (size_t i = 0; i < n; i++)
	{
		if (!isfinite(x[i]) || !isfinite(y[i]))
		{
			pen_down = false;
			continue;
		}
		report_put_markup(buffer, "%s%c %c", pen_down ? "L" : "M", report_x(axes, x[i]),
						  report_y(axes, y[i]));
		pen_down = true;
	}
	report_put(buffer, "\"/>\n");
	for (size_t i = 0; markers && i < n; i += every)
		if (isfinite(x[i]) && isfinite(y[i]))
			report_svg_marker(buffer, series, report_x(axes, x[i]), report_y(axes, y[i]), 3.5);
	report_put(buffer, "\n");
}
