/*-------------------------------------------------------------------------
 *
 * history.c
 *		Plot of a training's loss and accuracy by epoch.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define PANEL_TOP 66.0
#define PANEL_HEIGHT 170.0
#define PANEL_GAP 28.0
#define BOTTOM 50.0

/* One panel: two curves over epochs, values times a factor. */
typedef struct Panel
{
	const char *label;
	const double *training;
	const double *validation;
	double factor;
	double least; /* the axis may not go beyond these */
	double most;
} Panel;

static void
extend_range(double *min, double *max, const double *values, size_t n)
{
	for (size_t i = 0; values != NULL && i < n; i++)
		if (isfinite(values[i]))
		{
			*min = fmin(*min, values[i]);
			*max = fmax(*max, values[i]);
		}
}

/* Draws one curve.  It is drawn in pieces, so that no array of all x or scaled values is needed. */
static void
draw_curve(ReportBuffer *buffer, const ReportAxes *axes, int series, const double *values, size_t n,
		   double factor)
{
	double x[64];
	double y[64];
	size_t every = 1 + (n - 1) / 10;

	if (values == NULL)
		return;
	/* two pieces share an end point */
	for (size_t from = 0; from < n; from += 63)
	{
		size_t count = n - from < 64 ? n - from : 64;

		for (size_t i = 0; i < count; i++)
		{
			x[i] = (double) (from + i + 1);
			y[i] = values[from + i] * factor;
		}
		report_svg_curve(buffer, axes, series, x, y, count, false);
		if (from + count >= n)
			break;
	}
	for (size_t i = 0; i < n; i += every)
		if (isfinite(values[i]))
			report_svg_marker(buffer, series, report_x(axes, (double) (i + 1)),
							  report_y(axes, values[i] * factor), 3.5);
	report_put(buffer, "\n");
}

/* Draws one panel with its axes, whose range follows from both curves, and the best epoch. */
static void
draw_panel(ReportBuffer *buffer, const Panel *panel, const ReportHistory *history, double top, bool last)
{
	ReportAxes axes = {62.0,         top,      REPORT_WIDTH - 62.0 - 16.0,
					   PANEL_HEIGHT, 1.0,      (double) history->n_epochs,
					   INFINITY,     -INFINITY};
	ReportTicks x_ticks;
	ReportTicks y_ticks;
	double pad;

	extend_range(&axes.y_min, &axes.y_max, panel->training, history->n_epochs);
	extend_range(&axes.y_min, &axes.y_max, panel->validation, history->n_epochs);
	if (!(axes.y_min <= axes.y_max))
	{
		axes.y_min = panel->least;
		axes.y_max = 1.0;
	}
	axes.y_min *= panel->factor;
	axes.y_max *= panel->factor;
	pad = 0.06 * (axes.y_max - axes.y_min);
	if (!(pad > 0.0))
		pad = fmax(0.05 * fabs(axes.y_max), 0.01);
	axes.y_min = fmax(axes.y_min - pad, panel->least);
	axes.y_max = fmin(axes.y_max + pad, panel->most);
	if (!(axes.y_max > axes.y_min))
		axes.y_min = axes.y_max - 2.0 * pad;
	axes.x_min -= history->n_epochs == 1 ? 0.5 : 0.02 * axes.x_max;
	axes.x_max += history->n_epochs == 1 ? 0.5 : 0.02 * axes.x_max;
	x_ticks = report_ticks(axes.x_min, axes.x_max, 8, true);
	y_ticks = report_ticks(axes.y_min, axes.y_max, 5, false);
	report_svg_axes(buffer, &axes, &x_ticks, &y_ticks, last ? "epoch" : NULL, panel->label);
	if (history->best_epoch > 0)
	{
		double x = report_x(&axes, (double) history->best_epoch);
		bool left = x > axes.left + 0.7 * axes.width;

		report_put_markup(buffer, "<path class=\"mark\" d=\"M%c %cv%c\"/>\n", x, axes.top, axes.height);
		if (!last || panel->training == history->loss)
			report_put_markup(buffer,
							  "<text class=\"t%s\" x=\"%c\" y=\"%c\">best: "
							  "epoch %u</text>\n",
							  left ? " e" : "", x + (left ? -5.0 : 5.0), axes.top + 12.0,
							  (uint64_t) history->best_epoch);
	}
	draw_curve(buffer, &axes, 0, panel->training, history->n_epochs, panel->factor);
	draw_curve(buffer, &axes, 1, panel->validation, history->n_epochs, panel->factor);
}

/* Appends the last and the best epoch in words. */
static void
describe(ReportBuffer *buffer, const ReportHistory *h)
{
	const double *const series[4] = {h->loss, h->val_loss, h->accuracy, h->val_accuracy};
	const char *const names[4] = {
		"training loss",
		"validation loss",
		"training accuracy",
		"validation accuracy",
	};
	size_t epochs[2] = {h->n_epochs, h->best_epoch};

	report_put_markup(buffer, "Curves over %u epochs.", (uint64_t) h->n_epochs);
	for (int e = 0; e < 2; e++)
	{
		if (epochs[e] == 0)
			continue;
		report_put_markup(buffer, " %s epoch %u:", e == 0 ? "Last" : "Best", (uint64_t) epochs[e]);
		for (int s = 0, first = 1; s < 4; s++)
			if (series[s] != NULL)
			{
				report_put_markup(buffer, "%s %s ", first ? "" : ",", names[s]);
				report_put_number(buffer, series[s][epochs[e] - 1], 4);
				first = 0;
			}
		report_put(buffer, ".");
	}
}

ReportStatus
report_svg_history(ReportBuffer *buffer, const ReportHistory *history)
{
	Panel loss = {"loss", history->loss, history->val_loss, 1.0, -INFINITY, INFINITY};
	Panel accuracy = {"accuracy (%)", history->accuracy, history->val_accuracy, 100.0, 0.0, 100.0};
	bool both = history->accuracy != NULL || history->val_accuracy != NULL;
	double height = PANEL_TOP + PANEL_HEIGHT + BOTTOM + (both ? PANEL_GAP + PANEL_HEIGHT : 0.0);
	const char *title = history->title != NULL ? history->title : "Training history";

	if (history->n_epochs < 1 || history->loss == NULL || history->best_epoch > history->n_epochs)
		return REPORT_BAD_ARGUMENT;
	report_svg_begin(buffer, "history", history->id, title, height);
	describe(buffer, history);
	report_svg_body(buffer, title, height);
	report_svg_sample(buffer, 0, 62.0, 45.0);
	report_svg_label(buffer, "", 103.0, 50.0, "training");
	if (history->val_loss != NULL || history->val_accuracy != NULL)
	{
		report_svg_sample(buffer, 1, 190.0, 45.0);
		report_svg_label(buffer, "", 231.0, 50.0, "validation");
	}
	draw_panel(buffer, &loss, history, PANEL_TOP, !both);
	if (both)
		draw_panel(buffer, &accuracy, history, PANEL_TOP + PANEL_HEIGHT + PANEL_GAP, true);
	report_svg_end(buffer);
	return buffer->status;
}
