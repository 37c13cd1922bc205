/*-------------------------------------------------------------------------
 *
 * history.c
 *		Plots of loss and accuracy by epoch, of one training or of several.
 *
 *-------------------------------------------------------------------------
 */
#include "report_internal.h"

#define PANEL_TOP 66.0
#define PANEL_HEIGHT 170.0
#define PANEL_GAP 28.0
#define BOTTOM 50.0
#define LEGEND_LINE 20.0

/* What a panel shows; values are drawn times a factor. */
typedef struct Quantity
{
	const char *label;
	double factor;
	double least; /* the axis may not go beyond these */
	double most;
} Quantity;

static const Quantity loss_quantity = {"loss", 1.0, -INFINITY, INFINITY};
static const Quantity accuracy_quantity = {"accuracy (%)", 100.0, 0.0, 100.0};

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

/* Draws the axes of a panel; axes has the least and the largest value, and gets the ranges. */
static void
draw_frame(ReportBuffer *buffer, ReportAxes *axes, const Quantity *quantity, size_t n_epochs, bool last)
{
	ReportTicks x_ticks;
	ReportTicks y_ticks;
	double pad;

	if (!(axes->y_min <= axes->y_max))
	{
		axes->y_min = quantity->least;
		axes->y_max = 1.0;
	}
	axes->y_min *= quantity->factor;
	axes->y_max *= quantity->factor;
	pad = 0.06 * (axes->y_max - axes->y_min);
	if (!(pad > 0.0))
		pad = fmax(0.05 * fabs(axes->y_max), 0.01);
	axes->y_min = fmax(axes->y_min - pad, quantity->least);
	axes->y_max = fmin(axes->y_max + pad, quantity->most);
	if (!(axes->y_max > axes->y_min))
		axes->y_min = axes->y_max - 2.0 * pad;
	axes->x_min -= n_epochs == 1 ? 0.5 : 0.02 * axes->x_max;
	axes->x_max += n_epochs == 1 ? 0.5 : 0.02 * axes->x_max;
	x_ticks = report_ticks(axes->x_min, axes->x_max, 8, true);
	y_ticks = report_ticks(axes->y_min, axes->y_max, 5, false);
	report_svg_axes(buffer, axes, &x_ticks, &y_ticks, last ? "epoch" : NULL, quantity->label);
}

/* Returns the place of a panel, with ranges that hold no value yet. */
static ReportAxes
panel_axes(double top, size_t n_epochs)
{
	ReportAxes axes = {62.0,     top,      REPORT_WIDTH - 62.0 - 16.0, PANEL_HEIGHT, 1.0, (double) n_epochs,
					   INFINITY, -INFINITY};

	return axes;
}

/* Draws one panel of a history with its axes, whose range follows from both curves, and the best epoch. */
static void
draw_panel(ReportBuffer *buffer, const Quantity *quantity, const double *training, const double *validation,
		   const ReportHistory *history, double top, bool last)
{
	ReportAxes axes = panel_axes(top, history->n_epochs);

	extend_range(&axes.y_min, &axes.y_max, training, history->n_epochs);
	extend_range(&axes.y_min, &axes.y_max, validation, history->n_epochs);
	draw_frame(buffer, &axes, quantity, history->n_epochs, last);
	if (history->best_epoch > 0)
	{
		double x = report_x(&axes, (double) history->best_epoch);
		bool left = x > axes.left + 0.7 * axes.width;

		report_put_markup(buffer, "<path class=\"mark\" d=\"M%c %cv%c\"/>\n", x, axes.top, axes.height);
		if (!last || training == history->loss)
			report_put_markup(buffer,
							  "<text class=\"t%s\" x=\"%c\" y=\"%c\">best: "
							  "epoch %u</text>\n",
							  left ? " e" : "", x + (left ? -5.0 : 5.0), axes.top + 12.0,
							  (uint64_t) history->best_epoch);
	}
	draw_curve(buffer, &axes, 0, training, history->n_epochs, quantity->factor);
	draw_curve(buffer, &axes, 1, validation, history->n_epochs, quantity->factor);
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
	draw_panel(buffer, &loss_quantity, history->loss, history->val_loss, history, PANEL_TOP, !both);
	if (both)
		draw_panel(buffer, &accuracy_quantity, history->accuracy, history->val_accuracy, history,
				   PANEL_TOP + PANEL_HEIGHT + PANEL_GAP, true);
	report_svg_end(buffer);
	return buffer->status;
}

/* ------------------------------------------------------------ several runs */

static bool
histories_are_drawable(const ReportHistories *histories)
{
	if (histories->n_runs < 1 || histories->n_runs > REPORT_MAX_SERIES || histories->runs == NULL)
		return false;
	for (size_t r = 0; r < histories->n_runs; r++)
		if (histories->runs[r].n_epochs < 1 || histories->runs[r].loss == NULL ||
			histories->runs[r].best_epoch > histories->runs[r].n_epochs)
			return false;
	return true;
}

/* Appends in words what each run has come to: at its best epoch, or at its last one. */
static void
describe_runs(ReportBuffer *buffer, const ReportHistories *histories)
{
	report_put_markup(buffer, "Loss and accuracy of %u runs.", (uint64_t) histories->n_runs);
	for (size_t r = 0; r < histories->n_runs; r++)
	{
		const ReportRun *run = &histories->runs[r];
		size_t epoch = run->best_epoch > 0 ? run->best_epoch : run->n_epochs;

		report_put_markup(buffer, " %t", run->name);
		if (run->detail != NULL)
			report_put_markup(buffer, " (%t)", run->detail);
		report_put_markup(buffer, ": %s epoch %u of %u, %s loss ", run->best_epoch > 0 ? "best" : "last",
						  (uint64_t) epoch, (uint64_t) run->n_epochs,
						  run->training ? "training" : "validation");
		report_put_number(buffer, run->loss[epoch - 1], 4);
		if (run->accuracy != NULL)
		{
			report_put(buffer, ", accuracy ");
			report_put_number(buffer, run->accuracy[epoch - 1], 4);
		}
		report_put(buffer, ".");
	}
}

/* Draws one panel of several runs; the markers of the best epochs are above all curves. */
static void
draw_runs(ReportBuffer *buffer, const Quantity *quantity, const ReportHistories *histories, double top,
		  bool last)
{
	bool accuracy = quantity == &accuracy_quantity;
	size_t most = 1;
	ReportAxes axes;

	for (size_t r = 0; r < histories->n_runs; r++)
		most = histories->runs[r].n_epochs > most ? histories->runs[r].n_epochs : most;
	axes = panel_axes(top, most);
	for (size_t r = 0; r < histories->n_runs; r++)
	{
		const ReportRun *run = &histories->runs[r];

		extend_range(&axes.y_min, &axes.y_max, accuracy ? run->accuracy : run->loss, run->n_epochs);
	}
	draw_frame(buffer, &axes, quantity, most, last);
	for (size_t r = 0; r < histories->n_runs; r++)
	{
		const ReportRun *run = &histories->runs[r];

		draw_curve(buffer, &axes, (int) r, accuracy ? run->accuracy : run->loss, run->n_epochs,
				   quantity->factor);
	}
	for (size_t r = 0; r < histories->n_runs; r++)
	{
		const ReportRun *run = &histories->runs[r];
		const double *values = accuracy ? run->accuracy : run->loss;

		if (run->best_epoch > 0 && values != NULL && isfinite(values[run->best_epoch - 1]))
			report_svg_marker(buffer, (int) r, report_x(&axes, (double) run->best_epoch),
							  report_y(&axes, values[run->best_epoch - 1] * quantity->factor), 7.0);
	}
}

/* Draws a line or two for each run. */
static void
draw_legend(ReportBuffer *buffer, const ReportHistories *histories, double top)
{
	for (size_t r = 0; r < histories->n_runs; r++)
	{
		const ReportRun *run = &histories->runs[r];

		report_svg_sample(buffer, (int) r, 62.0, top);
		report_put_markup(buffer, "<text x=\"103\" y=\"%c\">", top + 5.0);
		report_put_short(buffer, run->name, run->training ? 38 : 48);
		report_put(buffer, run->training ? " (training)</text>\n" : "</text>\n");
		top += LEGEND_LINE;
		if (run->detail != NULL)
		{
			report_put_markup(buffer, "<text class=\"t\" x=\"103\" y=\"%c\">", top + 3.0);
			report_put_short(buffer, run->detail, 50);
			report_put(buffer, "</text>\n");
			top += LEGEND_LINE;
		}
	}
}

ReportStatus
report_svg_histories(ReportBuffer *buffer, const ReportHistories *histories)
{
	const char *title = histories->title != NULL ? histories->title : "Training histories";
	double legend = PANEL_TOP + 2.0 * PANEL_HEIGHT + PANEL_GAP + 62.0;
	double height = legend;
	size_t n_training = 0;

	if (!histories_are_drawable(histories))
		return REPORT_BAD_ARGUMENT;
	for (size_t r = 0; r < histories->n_runs; r++)
	{
		height += histories->runs[r].detail != NULL ? 2.0 * LEGEND_LINE : LEGEND_LINE;
		n_training += histories->runs[r].training;
	}
	report_svg_begin(buffer, "histories", histories->id, title, height);
	describe_runs(buffer, histories);
	report_svg_body(buffer, title, height);
	report_svg_label(buffer, "t", 12.0, 46.0,
					 n_training == 0 ? "validation; large markers: best epochs"
					 : n_training == histories->n_runs
						 ? "training; large markers: best epochs"
						 : "validation (training where it says so); large markers: best epochs");
	draw_runs(buffer, &loss_quantity, histories, PANEL_TOP, false);
	draw_runs(buffer, &accuracy_quantity, histories, PANEL_TOP + PANEL_HEIGHT + PANEL_GAP, true);
	draw_legend(buffer, histories, legend);
	report_svg_end(buffer);
	return buffer->status;
}
