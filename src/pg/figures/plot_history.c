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
plot_run(int64 run)
{
	Curves curves;
	ReportBuffer buffer;
	ReportHistory history;

	read_curves(&curves, run);
	memset(&history, 0, sizeof(history));
	history.title = pneumo_utf8(
		psprintf("Training run %lld of model %s", (long long) curves.row->run, curves.row->model));
	history.n_epochs = (size_t) curves.n;
	history.loss = curves.loss;
	history.accuracy = curves.accuracy;
	history.val_loss = curves.validated ? curves.val_loss : NULL;
	history.val_accuracy = curves.validated ? curves.val_accuracy : NULL;
	history.best_epoch = best_epoch(&curves);
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_history(&buffer, &history), "pneumo_plot_history");
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_history(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(plot_run(PG_GETARG_INT64(0)));
}

/* ------------------------------------------------------------ several runs */

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

/* The details of the runs that are compared. */
typedef struct Details
{
	int n;
	StringInfoData text[REPORT_MAX_SERIES];
} Details;

/* A PneumoJsonDifference: adds an entry that is not the same in all runs; the legend has the name. */
static void
add_difference(void *arg, const char *key, JsonbValue *const *values)
{
	Details *details = arg;
	int i;

	for (i = 0; i < details->n && strcmp(key, "name") != 0; i++)
		add_entry(&details->text[i], key, values[i]);
}

void
pneumo_histories(ReportHistories *histories, const int64 *run, const char *const *names, int n)
{
	ReportRun *runs = palloc0(n * sizeof(ReportRun));
	JsonbContainer *configs[REPORT_MAX_SERIES];
	Details details = {.n = n};
	int i;

	for (i = 0; i < n; i++)
	{
		Curves curves;

		read_curves(&curves, run[i]);
		runs[i].name =
			names != NULL
				? names[i]
				: pneumo_utf8(psprintf("run %lld, model %s", (long long) run[i], curves.row->model));
		runs[i].n_epochs = (size_t) curves.n;
		runs[i].training = !curves.validated;
		runs[i].loss = curves.validated ? curves.val_loss : curves.loss;
		runs[i].accuracy = curves.validated ? curves.val_accuracy : curves.accuracy;
		runs[i].best_epoch = best_epoch(&curves);
		configs[i] = &curves.row->config->root;
		initStringInfo(&details.text[i]);
	}
	pneumo_json_differences(configs, n, add_difference, &details);
	for (i = 0; i < n; i++)
		runs[i].detail = details.text[i].len > 0 ? pneumo_utf8(details.text[i].data) : NULL;
	memset(histories, 0, sizeof(*histories));
	histories->title = psprintf("Training of %d runs", n);
	histories->n_runs = (size_t) n;
	histories->runs = runs;
}

static text *
plot_several(const int64 *runs, int n)
{
	ReportBuffer buffer;
	ReportHistories histories;

	pneumo_histories(&histories, runs, NULL, n);
	pneumo_report_begin(&buffer);
	pneumo_report_check(report_svg_histories(&buffer, &histories), "pneumo_plot_history");
	return pneumo_report_text(&buffer);
}

Datum
pneumo_plot_histories(PG_FUNCTION_ARGS)
{
	int64 runs[REPORT_MAX_SERIES];
	Datum *given = NULL;
	int n = 0;
	int i;
	int j;

	if (PG_ARGISNULL(0) || array_contains_nulls(PG_GETARG_ARRAYTYPE_P(0)))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a run to plot is null"),
						errhint("pneumo.runs has the ids.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &given, NULL, &n);
	if (n < 1 || n > REPORT_MAX_SERIES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%d runs are to be plotted, must be 1 to %d", n, REPORT_MAX_SERIES)));
	for (i = 0; i < n; i++)
	{
		runs[i] = DatumGetInt64(given[i]);
		for (j = 0; j < i; j++)
			if (runs[i] == runs[j])
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("training run %lld is to be plotted twice", (long long) runs[i])));
	}
	PG_RETURN_TEXT_P(n == 1 ? plot_run(runs[0]) : plot_several(runs, n));
}
