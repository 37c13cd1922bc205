/*-------------------------------------------------------------------------
 *
 * plot_history.c
 *	  Plots of the epochs of runs as SVG: of one run, or of several.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "nn/nn.h"
#include "report/report.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/figures/plots.h"

PG_FUNCTION_INFO_V1(pneumo_plot_history);
PG_FUNCTION_INFO_V1(pneumo_plot_histories);

#define SHORT_VALUE 24 /* bytes of a config's value in a legend */

/* The epochs of a run, as columns. */
typedef struct Curves
{
	PneumoRunRow *row;
	int n;
	double *loss;
	double *accuracy;
	double *val_loss;
	double *val_accuracy;
	bool validated;
} Curves;

/* Reads a run that has epochs and that the user may see: the owner's roles and pg_monitor. */
static void
read_curves(Curves *curves, int64 run)
{
	NnEpochLog *logs;
	int i;

	curves->row = pneumo_run_read(run);
	if (curves->row == NULL || !pneumo_run_is_mine(curves->row, true))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("there is no training run %lld, or you may not see it", (long long) run)));
	curves->n = pneumo_run_epochs(run, 0, &logs);
	if (curves->n == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("training run %lld has no finished epoch yet", (long long) run)));
	curves->loss = palloc(curves->n * sizeof(double));
	curves->accuracy = palloc(curves->n * sizeof(double));
	curves->val_loss = palloc(curves->n * sizeof(double));
	curves->val_accuracy = palloc(curves->n * sizeof(double));
	curves->validated = false;
	for (i = 0; i < curves->n; i++)
	{
		curves->loss[i] = logs[i].loss;
		curves->accuracy[i] = logs[i].accuracy;
		curves->val_loss[i] = logs[i].val_loss;
		curves->val_accuracy[i] = logs[i].val_accuracy;
		curves->validated |= !isnan(curves->val_loss[i]);
	}
	pfree(logs);
}

/* Returns the best epoch of a run if its row in the history is there; otherwise 0. */
static size_t
best_epoch(const Curves *curves)
{
	int best = curves->row->best_epoch;

	return best > 0 && best <= curves->n ? (size_t) best : 0;
}

static text *
plot_one(const Curves *curves)
{
	ReportBuffer buffer;
	ReportHistory history;

	memset(&history, 0, sizeof(history));
	history.title = pneumo_utf8(
		psprintf("Training run %lld of model %s", (long long) curves->row->run, curves->row->model));
	history.n_epochs = (size_t) curves->n;
	history.loss = curves->loss;
	history.accuracy = curves->accuracy;
	history.val_loss = curves->validated ? curves->val_loss : NULL;
	history.val_accuracy = curves->validated ? curves->val_accuracy : NULL;
	history.best_epoch = best_epoch(curves);
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_history(&buffer, &history), "pneumo_plot_history");
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_history(PG_FUNCTION_ARGS)
{
	Curves curves;

	read_curves(&curves, PG_GETARG_INT64(0));
	PG_RETURN_TEXT_P(plot_one(&curves));
}

/* ------------------------------------------------------------ several runs */

static bool
same_value(JsonbValue *a, JsonbValue *b)
{
	return a != NULL && b != NULL &&
		   compareJsonbContainers(&JsonbValueToJsonb(a)->root, &JsonbValueToJsonb(b)->root) == 0;
}

/* Appends a key of a config with its value, or that it has the default. */
static void
add_entry(StringInfo detail, const char *key, JsonbValue *value)
{
	char *shown = value != NULL ? pneumo_json_full_text(value) : pstrdup("default");
	int length = (int) strlen(shown);

	if (length > SHORT_VALUE)
		strcpy(shown + pg_mbcliplen(shown, length, SHORT_VALUE - 3), "...");
	appendStringInfo(detail, "%s%s %s", detail->len > 0 ? ", " : "", key, shown);
}

/*
 * Fills the details: the entries of the configs that are not the same in all runs.  The
 * name is left out; the legend has it.
 */
static void
describe_differences(StringInfoData *detail, const Curves *curves, int n)
{
	int r;

	for (r = 0; r < n; r++)
		initStringInfo(&detail[r]);
	for (r = 0; r < n; r++)
	{
		JsonbIterator *it = JsonbIteratorInit(&curves[r].row->config->root);
		JsonbIteratorToken token;
		JsonbValue item;

		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			char *key;
			JsonbValue *values[REPORT_MAX_RUNS];
			bool seen = false;
			bool same = true;
			int i;

			if (token != WJB_KEY)
				continue;
			key = pnstrdup(item.val.string.val, item.val.string.len);
			for (i = 0; i < n; i++)
			{
				values[i] = pneumo_json_get(&curves[i].row->config->root, key);
				seen = seen || (i < r && values[i] != NULL);
			}
			for (i = 0; i < n; i++)
				same = same && same_value(values[r], values[i]);
			if (seen || same || strcmp(key, "name") == 0)
				continue;
			for (i = 0; i < n; i++)
				add_entry(&detail[i], key, values[i]);
		}
	}
}

static text *
plot_several(const Curves *curves, int n)
{
	ReportBuffer buffer;
	ReportHistories histories;
	ReportRun runs[REPORT_MAX_RUNS];
	StringInfoData detail[REPORT_MAX_RUNS];
	int i;

	describe_differences(detail, curves, n);
	memset(runs, 0, sizeof(runs));
	for (i = 0; i < n; i++)
	{
		const PneumoRunRow *row = curves[i].row;

		runs[i].name = pneumo_utf8(psprintf("run %lld, model %s", (long long) row->run, row->model));
		runs[i].detail = detail[i].len > 0 ? pneumo_utf8(detail[i].data) : NULL;
		runs[i].n_epochs = (size_t) curves[i].n;
		runs[i].training = !curves[i].validated;
		runs[i].loss = curves[i].validated ? curves[i].val_loss : curves[i].loss;
		runs[i].accuracy = curves[i].validated ? curves[i].val_accuracy : curves[i].accuracy;
		runs[i].best_epoch = best_epoch(&curves[i]);
	}
	memset(&histories, 0, sizeof(histories));
	histories.title = psprintf("Training of %d runs", n);
	histories.n_runs = (size_t) n;
	histories.runs = runs;
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_histories(&buffer, &histories), "pneumo_plot_history");
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_histories(PG_FUNCTION_ARGS)
{
	Curves curves[REPORT_MAX_RUNS];
	Datum *runs = NULL;
	int n = 0;
	int i;
	int j;

	if (PG_ARGISNULL(0) || array_contains_nulls(PG_GETARG_ARRAYTYPE_P(0)))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a run to plot is null"),
						errhint("pneumo.runs has the ids.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &runs, NULL, &n);
	if (n < 1 || n > REPORT_MAX_RUNS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%d runs are to be plotted, must be 1 to %d", n, REPORT_MAX_RUNS)));
	for (i = 0; i < n; i++)
	{
		for (j = 0; j < i; j++)
			if (DatumGetInt64(runs[i]) == DatumGetInt64(runs[j]))
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("training run %lld is to be plotted twice",
									   (long long) DatumGetInt64(runs[i]))));
		read_curves(&curves[i], DatumGetInt64(runs[i]));
	}
	PG_RETURN_TEXT_P(n == 1 ? plot_one(&curves[0]) : plot_several(curves, n));
}
