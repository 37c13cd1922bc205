/*-------------------------------------------------------------------------
 *
 * watch_text.c
 *	  pneumo_watch_text: a run as a drawing for a terminal.
 *
 * No line is wider than 80 columns.  The curves are drawn in Braille patterns, of
 * 2 x 4 dots a character, or where the database's encoding may lack these in
 * ASCII, of 1 x 3.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_authid.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_watch_text);

#define WIDTH 80       /* columns of a line */
#define PANEL_WIDTH 34 /* of one curve */
#define PANEL_HEIGHT 8 /* lines */
#define LAST_EPOCHS 5  /* in the table */

/* A panel of dots; the size of a character depends on the encoding. */
typedef struct Panel
{
	bool braille;
	int width; /* dots */
	int height;
	bool dots[PANEL_HEIGHT * 4][PANEL_WIDTH * 2];
} Panel;

/* What a curve is drawn from. */
typedef struct Scale
{
	int epochs; /* of the horizontal axis */
	double low;
	double high;
} Scale;

/* Appends a line that is cut to the width of the terminal, without a character cut in two. */
static void
add_line(StringInfo text, const char *line)
{
	appendBinaryStringInfo(text, line, pg_mbcharcliplen(line, (int) strlen(line), WIDTH));
	appendStringInfoChar(text, '\n');
}

/* ------------------------------------------------------------------ curves */

static int
column(const Panel *panel, const Scale *scale, int epoch)
{
	return (int) lround((double) (epoch - 1) / (scale->epochs - 1) * (panel->width - 1));
}

/* Draws a line from the last point to the next one. */
static void
draw_line(Panel *panel, int x0, int y0, int x1, int y1)
{
	int steps = Max(Max(abs(x1 - x0), abs(y1 - y0)), 1);
	int i;

	for (i = 0; i <= steps; i++)
		panel->dots[(int) lround(y0 + (double) (y1 - y0) * i / steps)]
				   [(int) lround(x0 + (double) (x1 - x0) * i / steps)] = true;
}

/* Draws a curve over the epochs, with gaps where a value is not finite. */
static void
draw_curve(Panel *panel, const Scale *scale, const NnEpochLog *logs, int n, bool validation)
{
	int x0 = -1;
	int y0 = 0;
	int i;

	memset(panel, 0, sizeof(*panel));
	panel->braille = GetDatabaseEncoding() == PG_UTF8;
	panel->width = panel->braille ? PANEL_WIDTH * 2 : PANEL_WIDTH;
	panel->height = panel->braille ? PANEL_HEIGHT * 4 : PANEL_HEIGHT * 3;
	for (i = 0; i < n; i++)
	{
		double value = validation ? logs[i].val_loss : logs[i].loss;
		int x = column(panel, scale, logs[i].epoch);
		int y;

		if (!isfinite(value) || x >= panel->width)
		{
			x0 = -1;
			continue;
		}
		y = (int) lround((scale->high - value) / (scale->high - scale->low) * (panel->height - 1));
		draw_line(panel, x0 < 0 ? x : x0, x0 < 0 ? y : y0, x, y);
		x0 = x;
		y0 = y;
	}
}

/* Appends one line of characters of a panel. */
static void
add_panel_line(StringInfo text, const Panel *panel, int line)
{
	static const int bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
	/* by the dots of a column from the top: 4, 2, 1 */
	static const char ascii[] = {' ', '.', '-', '|', '\'', ':', '|', '|'};
	int c;
	int x;
	int y;

	for (c = 0; c < PANEL_WIDTH; c++)
	{
		int pattern = 0;

		if (panel->braille)
		{
			for (y = 0; y < 4; y++)
				for (x = 0; x < 2; x++)
					if (panel->dots[4 * line + y][2 * c + x])
						pattern |= bit[y][x];
			if (pattern == 0)
				appendStringInfoChar(text, ' ');
			else
				appendStringInfo(text, "\xE2%c%c", 0xA0 + (pattern >> 6), 0x80 + (pattern & 0x3F));
		}
		else
		{
			for (y = 0; y < 3; y++)
				pattern = 2 * pattern + panel->dots[3 * line + y][c];
			appendStringInfoChar(text, ascii[pattern]);
		}
	}
}

/* Appends the axis of a panel: dashes, with a mark at the best epoch (0: none). */
static void
add_axis(StringInfo text, const Scale *scale, int best)
{
	int mark = best > 0 ? (int) lround((double) (best - 1) / (scale->epochs - 1) * (PANEL_WIDTH - 1)) : -1;
	int c;

	for (c = 0; c < PANEL_WIDTH; c++)
		appendStringInfoChar(text, c == mark ? '^' : '-');
}

/* Appends the curves of training and validation loss, on one scale. */
static void
add_curves(StringInfo text, const NnEpochLog *logs, int n, int epochs, int best)
{
	Scale scale = {Max(epochs, 2), INFINITY, -INFINITY};
	Panel training;
	Panel validation;
	bool validated = false;
	double pad;
	int i;

	for (i = 0; i < n; i++)
	{
		validated |= isfinite(logs[i].val_loss);
		if (isfinite(logs[i].loss))
		{
			scale.low = Min(scale.low, logs[i].loss);
			scale.high = Max(scale.high, logs[i].loss);
		}
		if (isfinite(logs[i].val_loss))
		{
			scale.low = Min(scale.low, logs[i].val_loss);
			scale.high = Max(scale.high, logs[i].val_loss);
		}
	}
	if (!(scale.low <= scale.high))
		return; /* no number to draw */
	pad = scale.low < scale.high ? 0 : Max(fabs(scale.high) * 0.05, 0.01);
	scale.low -= pad;
	scale.high += pad;
	draw_curve(&training, &scale, logs, n, false);
	draw_curve(&validation, &scale, logs, n, true);

	appendStringInfo(text, "%10s%-*s%s\n", "", PANEL_WIDTH + 2, "training loss",
					 validated ? "validation loss" : "no validation");
	for (i = 0; i < PANEL_HEIGHT; i++)
	{
		if (i == 0 || i == PANEL_HEIGHT - 1)
			appendStringInfo(text, "%8.4g |", i == 0 ? scale.high : scale.low);
		else
			appendStringInfo(text, "%8s |", "");
		add_panel_line(text, &training, i);
		appendStringInfoString(text, " |");
		add_panel_line(text, &validation, i);
		while (text->data[text->len - 1] == ' ')
			text->data[--text->len] = '\0';
		appendStringInfoChar(text, '\n');
	}
	appendStringInfo(text, "%8s +", "");
	add_axis(text, &scale, 0);
	appendStringInfoString(text, " +");
	add_axis(text, &scale, validated ? best : 0);
	appendStringInfo(text, "\n%10s1%*d%3s%*d\n\n", "", PANEL_WIDTH - 1, scale.epochs, "1", PANEL_WIDTH - 1,
					 scale.epochs);
}

/* ------------------------------------------------------------------- table */

static void
add_number(StringInfo line, int width, double value)
{
	if (isnan(value))
		appendStringInfo(line, "%*s", width, "-");
	else
		appendStringInfo(line, "%*.4f", width, value);
}

static void
add_epoch(StringInfo text, const NnEpochLog *log, int best)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "%7d%c", log->epoch, log->epoch == best ? '*' : ' ');
	add_number(&line, 10, log->loss);
	add_number(&line, 10, log->accuracy);
	add_number(&line, 10, log->val_loss);
	add_number(&line, 14, log->val_accuracy);
	add_number(&line, 9, log->val_auc);
	appendStringInfo(&line, "%14s",
					 pneumo_duration_text(log->seconds + (isnan(log->val_seconds) ? 0 : log->val_seconds)));
	add_line(text, line.data);
}

/* Appends a table of the last epochs, and of the best one, which has an asterisk. */
static void
add_table(StringInfo text, const NnEpochLog *logs, int n, int best)
{
	int first = Max(0, n - LAST_EPOCHS);
	int i;

	appendStringInfoString(text,
						   "  epoch       loss  accuracy  val_loss  val_accuracy  val_auc          time\n");
	for (i = 0; i < first; i++)
		if (logs[i].epoch == best)
			add_epoch(text, &logs[i], best);
	for (i = first; i < n; i++)
		add_epoch(text, &logs[i], best);
}

/* Appends a figure of a run with its limits, if it has them. */
static void
add_figure(StringInfo line, Jsonb *metrics, const char *key, const char *name)
{
	double value;
	double low;
	double high;

	if (!pneumo_json_double(pneumo_json_get(&metrics->root, key), &value))
		return;
	appendStringInfo(line, "%s%s %.4f", line->len > 0 ? ", " : "", name, value);
	if (pneumo_json_double(pneumo_json_get(&metrics->root, psprintf("%s_low", key)), &low) &&
		pneumo_json_double(pneumo_json_get(&metrics->root, psprintf("%s_high", key)), &high))
		appendStringInfo(line, " (%.4f to %.4f)", low, high);
}

/* Appends the validation figures of the stored version, two a line. */
static void
add_figures(StringInfo text, Jsonb *metrics)
{
	static const char *const keys[] = {"accuracy", "auc", "sensitivity", "specificity", "log_loss"};
	static const char *const names[] = {"accuracy", "AUC", "sensitivity", "specificity", "log loss"};
	StringInfoData line;
	bool headed = false;
	int i;

	initStringInfo(&line);
	for (i = 0; i < (int) lengthof(keys); i++)
	{
		add_figure(&line, metrics, keys[i], names[i]);
		if ((i % 2 == 1 || i == (int) lengthof(keys) - 1) && line.len > 0)
		{
			if (!headed)
				appendStringInfoString(
					text, "\nvalidation figures of the stored version, which chose its epoch:\n");
			headed = true;
			add_line(text, line.data);
			resetStringInfo(&line);
		}
	}
}

/* -------------------------------------------------------------------- head */

/* Appends what a live run is doing. */
static void
add_progress(StringInfo text, const PneumoRunSlot *slot)
{
	const NnProgress *p = &slot->progress;
	StringInfoData line;

	initStringInfo(&line);
	if (pneumo_slot_is_queued(slot))
		appendStringInfoString(&line, slot->stage == PNEUMO_RUN_UNCOMMITTED
										  ? "waits for the commit of the transaction that asked for it"
										  : "waits until fewer runs train");
	else
	{
		appendStringInfoString(&line, p->validating && strcmp(slot->phase, "training") == 0 ? "validating"
																							: slot->phase);
		if (p->epochs > 0)
			appendStringInfo(&line, ": epoch %d of %d, batch %lld of %lld", p->epoch, p->epochs,
							 (long long) p->batch, (long long) p->batches);
		if (p->epochs > 0 && p->samples_per_second > 0)
			appendStringInfo(&line, ", %.0f images/s", p->samples_per_second);
		if (!isnan(slot->time_left))
			appendStringInfo(&line, ", at most %s left", pneumo_duration_text(slot->time_left));
	}
	add_line(text, line.data);
}

/* Appends how a run that is not live has ended. */
static void
add_end(StringInfo text, const PneumoRunRow *row, int n)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "%d of %d epochs", n, row->epochs);
	if (row->best_epoch > 0)
		appendStringInfo(&line, ", best epoch %d", row->best_epoch);
	if (row->version != 0)
		appendStringInfo(&line, ", version %d", row->number);
	add_line(text, line.data);
	if (row->error != NULL)
		add_line(text, row->error);
}

/* Returns how many epochs the axis shows: of a run that has ended, those that there are. */
static int
axis_epochs(const PneumoRunRow *row, int n, bool live)
{
	return live ? Max(row->epochs, n) : n;
}

Datum
pneumo_watch_text(PG_FUNCTION_ARGS)
{
	int64 run = PG_GETARG_INT64(0);
	PneumoRunSlot slot;
	bool live = pneumo_slot_find(run, &slot);
	PneumoRunRow *row = pneumo_run_read(run);
	NnEpochLog *logs;
	StringInfoData text;
	int n;

	if (row != NULL ? !pneumo_run_is_mine(row, true)
					: !live || !(has_privs_of_role(GetUserId(), slot.owner) ||
								 has_privs_of_role(GetUserId(), ROLE_PG_MONITOR)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("there is no training run %lld, or you may not see it", (long long) run)));
	initStringInfo(&text);
	if (row == NULL) /* its row comes with its caller's commit */
	{
		add_line(&text, psprintf("run %lld: queued", (long long) run));
		add_progress(&text, &slot);
		PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
	}
	n = pneumo_run_epochs(run, 0, &logs);
	add_line(&text, psprintf("run %lld: %s; model \"%s\", table %s", (long long) run,
							 pneumo_run_live_state(run, row->state), row->model, row->source));
	if (live)
		add_progress(&text, &slot);
	else
		add_end(&text, row, n);
	if (n > 0)
	{
		appendStringInfoChar(&text, '\n');
		add_curves(&text, logs, n, axis_epochs(row, n, live), row->best_epoch);
		add_table(&text, logs, n, row->best_epoch);
	}
	if (!live && row->metrics != NULL)
		add_figures(&text, row->metrics);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}
