/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  pneumo_sweep: a training for each combination of a grid.
 *
 * The trainings run one after the other, each as by pneumo_train with wait, in a
 * subtransaction so that one that fails does not end the sweep.  The caller's
 * transaction is committed after each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_sweep);

#define MAX_COMBINATIONS 1000

/* One training of a sweep. */
typedef struct Combination
{
	char *changed; /* what the grid says, as text for messages */
	Jsonb *config; /* merged */
	int64 run;     /* 0: it has not succeeded */
	int32 number;  /* of its version */
	char *model;
	double log_loss; /* of the validation split; NaN if there is none */
} Combination;

typedef struct Sweep
{
	Oid source;
	Oid owner;
	Jsonb *config;
	Combination *combinations;
	int n;
	MemoryContext cxt; /* lives as long as the sweep */
} Sweep;

/* -------------------------------------------------------------------- grid */

static void
too_many(double n)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the grid has %.0f combinations, at most %d can be trained", n, MAX_COMBINATIONS)));
}

/* Adds a combination: what the grid says, merged over the config. */
static void
add_combination(Sweep *sweep, Jsonb *overlay)
{
	Combination *c = &sweep->combinations[sweep->n++];
	JsonbContainer *base = &sweep->config->root;

	c->changed = pneumo_clip(JsonbToCString(NULL, &overlay->root, VARSIZE(overlay)));
	c->config = pneumo_json_merge(sweep->config, overlay);
	if (pneumo_json_get(base, "deploy") == NULL && pneumo_json_get(&overlay->root, "deploy") == NULL)
		c->config = pneumo_json_merge(c->config, pneumo_json_parse("{\"deploy\": false}"));
	c->log_loss = NAN;
}

/* Adds all combinations of an object of arrays; the last key changes fastest. */
static void
add_product(Sweep *sweep, JsonbContainer *grid)
{
	int n_keys = (int) JsonContainerSize(grid);
	JsonbValue *keys = palloc(Max(1, n_keys) * sizeof(JsonbValue));
	JsonbContainer **arrays = palloc(Max(1, n_keys) * sizeof(JsonbContainer *));
	JsonbIterator *it = JsonbIteratorInit(grid);
	JsonbIteratorToken token;
	JsonbValue item;
	double total = n_keys > 0 ? 1 : 0;
	int k = 0;
	int i;

	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			keys[k] = item;
		else if (token == WJB_VALUE)
		{
			char *what =
				psprintf("grid key \"%s\"", pnstrdup(keys[k].val.string.val, keys[k].val.string.len));

			arrays[k] = pneumo_json_array(&item);
			if (arrays[k] == NULL || pneumo_json_array_length(arrays[k]) == 0)
				pneumo_json_bad(what, &item, "an array of the values to try");
			total *= pneumo_json_array_length(arrays[k++]);
		}
	}
	if (total > MAX_COMBINATIONS)
		too_many(total);
	sweep->combinations = palloc0(Max(1, (int) total) * sizeof(Combination));
	for (i = 0; i < (int) total; i++)
	{
		JsonbParseState *state = NULL;
		int rest = (int) total;
		int within = i;

		(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		for (k = 0; k < n_keys; k++)
		{
			rest /= pneumo_json_array_length(arrays[k]);
			(void) pushJsonbValue(&state, WJB_KEY, &keys[k]);
			(void) pushJsonbValue(&state, WJB_VALUE,
								  getIthJsonbValueFromContainer(arrays[k], (uint32) (within / rest)));
			within %= rest;
		}
		add_combination(sweep, JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	}
}

/* Adds the elements of an array of objects. */
static void
add_list(Sweep *sweep, JsonbContainer *grid)
{
	int n = pneumo_json_array_length(grid);
	int i;

	if (n > MAX_COMBINATIONS)
		too_many(n);
	sweep->combinations = palloc0(Max(1, n) * sizeof(Combination));
	for (i = 0; i < n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(grid, (uint32) i);

		if (pneumo_json_object(element) == NULL)
			pneumo_json_bad(psprintf("element %d of the grid", i + 1), element, "an object of config keys");
		add_combination(sweep, JsonbValueToJsonb(element));
	}
}

static void
read_grid(Sweep *sweep, Jsonb *grid)
{
	if (JB_ROOT_IS_SCALAR(grid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the grid must be an object of arrays or an array of objects, not a single value"),
				 errhint("{\"learning_rate\": [0.001, 0.01], \"batch_size\": [16, 32]} stands for "
						 "four trainings.")));
	if (JB_ROOT_IS_OBJECT(grid))
		add_product(sweep, &grid->root);
	else
		add_list(sweep, &grid->root);
	if (sweep->n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the grid is empty")));
}

/* ------------------------------------------------------------------ checks */

typedef struct Place
{
	int number;
	int n;
	const char *changed;
} Place;

static void
add_place(void *arg)
{
	const Place *place = arg;

	errcontext("combination %d of %d: %s", place->number, place->n, place->changed);
}

/*
 * Checks all configs, and the table and the caller's rights with the first one, so that
 * a mistake is found before anything trains; its error names the combination.
 */
static void
check_combinations(Sweep *sweep)
{
	Place place = {0, sweep->n, NULL};
	ErrorContextCallback callback = {error_context_stack, add_place, &place};
	MemoryContext each =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo sweep check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(each);
	int i;

	error_context_stack = &callback;
	for (i = 0; i < sweep->n; i++)
	{
		place.number = i + 1;
		place.changed = sweep->combinations[i].changed;
		(void) pneumo_layers_graph(pneumo_config_parse(sweep->combinations[i].config), 0, NULL);
		if (i == 0)
			(void) pneumo_prepare(sweep->source, sweep->combinations[i].config);
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(each);
	}
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(each);
}

static bool
version_exists(int64 version)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	bool exists = HeapTupleIsValid(pneumo_version_tuple(rel, version, GetActiveSnapshot()));

	table_close(rel, AccessShareLock);
	return exists;
}

/* Keeps of a run that succeeded what the end of the sweep needs. */
static void
set_result(const Sweep *sweep, Combination *c, const PneumoRunRow *row)
{
	JsonbValue *log_loss = row->metrics != NULL ? pneumo_json_get(&row->metrics->root, "log_loss") : NULL;

	c->run = row->run;
	c->number = row->number;
	c->model = MemoryContextStrdup(sweep->cxt, row->model);
	if (!pneumo_json_double(log_loss, &c->log_loss))
		c->log_loss = NAN;
}

/* Finds the combinations that the caller has trained on the table before, and whose versions are there. */
static void
find_trained(Sweep *sweep)
{
	MemoryContext rows_cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo sweep runs", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(rows_cxt);
	List *rows = pneumo_runs_succeeded(sweep->source, sweep->owner);
	int i;

	for (i = 0; i < sweep->n; i++)
	{
		Combination *c = &sweep->combinations[i];
		ListCell *cell;

		CHECK_FOR_INTERRUPTS();
		foreach (cell, rows)
		{
			PneumoRunRow *row = lfirst(cell);

			if (compareJsonbContainers(&row->config->root, &c->config->root) == 0 &&
				version_exists(row->version))
				set_result(sweep, c, row);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(rows_cxt);
}

/* ---------------------------------------------------------------- training */

/*
 * Trains one combination in a subtransaction.  Returns the run, or 0 with *error if it
 * failed; *launched tells whether the error came after the checks.
 */
static int64
train(const Sweep *sweep, const Combination *c, ErrorData **error, bool *launched)
{
	MemoryContext cxt = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int64 run = 0;
	volatile bool started = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(cxt);
	PG_TRY();
	{
		PneumoPrepared *prepared;
		PneumoLaunch launch;

		PushActiveSnapshot(GetTransactionSnapshot());
		prepared = pneumo_prepare(sweep->source, c->config);
		PopActiveSnapshot(); /* the training may be long, and a snapshot holds back vacuum */
		memset(&launch, 0, sizeof(launch));
		launch.source = sweep->source;
		launch.source_name = prepared->source->name;
		launch.config = c->config;
		launch.owner = sweep->owner;
		launch.epochs = prepared->config->train.epochs;
		launch.verbose = pneumo_json_get(&c->config->root, "verbose") != NULL ? prepared->config->verbose : 0;
		launch.quiet = true;
		launch.wait = true;
		started = true;
		run = pneumo_launch(&launch);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		run = 0;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(cxt);
	CurrentResourceOwner = owner;
	*launched = started;
	return run;
}

/* Appends a figure of a run's metrics to a message. */
static void
add_figure(StringInfo line, const PneumoRunRow *row, const char *key, const char *name)
{
	double value;

	if (row->metrics != NULL && pneumo_json_double(pneumo_json_get(&row->metrics->root, key), &value))
		appendStringInfo(line, "%s %s %.4f", line->len > 0 ? "," : ": validation", name, value);
}

/* Reads and tells what a run has come to. */
static void
report_run(const Sweep *sweep, Combination *c, int number, int64 run)
{
	PneumoRunRow *row;
	StringInfoData line;

	PushActiveSnapshot(GetTransactionSnapshot());
	row = pneumo_run_read(run);
	PopActiveSnapshot();
	if (row == NULL)
		return; /* somebody was quick to forget it */
	set_result(sweep, c, row);
	initStringInfo(&line);
	add_figure(&line, row, "accuracy", "accuracy");
	add_figure(&line, row, "auc", "AUC");
	add_figure(&line, row, "log_loss", "log loss");
	ereport(NOTICE, (errmsg("run %lld, combination %d of %d, %s%s", (long long) run, number, sweep->n,
							c->changed, line.data),
					 errdetail("It made version %d of model \"%s\", from epoch %d.", row->number, row->model,
							   row->best_epoch)));
}

/*
 * Trains a combination unless it was trained before.  A cancel, and that no run can
 * start at all, end the sweep; any other error is a warning.
 */
static void
do_combination(Sweep *sweep, int number)
{
	Combination *c = &sweep->combinations[number - 1];
	ErrorData *error = NULL;
	bool launched = false;
	int64 run;
	int i;

	for (i = 0; c->run == 0 && i < number - 1; i++)
	{
		const Combination *other = &sweep->combinations[i];

		if (other->run != 0 && compareJsonbContainers(&other->config->root, &c->config->root) == 0)
			c->run = other->run;
	}
	if (c->run != 0)
	{
		ereport(NOTICE, (errmsg("combination %d of %d, %s, is left out: run %lld has trained it", number,
								sweep->n, c->changed, (long long) c->run)));
		return;
	}
	run = train(sweep, c, &error, &launched);
	if (run != 0)
		report_run(sweep, c, number, run);
	else if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			 (launched && error->sqlerrcode == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED))
		ReThrowError(error);
	else
		ereport(WARNING,
				(errmsg("combination %d of %d, %s, failed: %s", number, sweep->n, c->changed, error->message),
				 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
				 error->hint != NULL ? errhint("%s", error->hint) : 0));
}

/* Tells which combination has the least validation log loss, and how to deploy its version. */
static void
report_best(const Sweep *sweep)
{
	const Combination *best = NULL;
	int n = 0;
	int i;

	for (i = 0; i < sweep->n; i++)
	{
		const Combination *c = &sweep->combinations[i];

		if (c->run == 0 || isnan(c->log_loss))
			continue;
		n++;
		if (best == NULL || c->log_loss < best->log_loss)
			best = c;
	}
	if (best == NULL)
	{
		ereport(NOTICE, (errmsg("no combination of %d has a validation log loss", sweep->n)));
		return;
	}
	ereport(NOTICE,
			(errmsg("run %lld has the least validation log loss of %d runs, %.4f: %s", (long long) best->run,
					n, best->log_loss, best->changed),
			 errdetail("The figures chose the epoch and now the run, so they are optimistic; pneumo_evaluate "
					   "gives those of the test split."),
			 errhint("Deploy it with SELECT pneumo_deploy(%s, %d).", quote_literal_cstr(best->model),
					 best->number)));
}

Datum
pneumo_sweep(PG_FUNCTION_ARGS)
{
	Sweep sweep;
	MemoryContext each;
	int i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the %s of a sweep is null", PG_ARGISNULL(0)   ? "table"
															: PG_ARGISNULL(1) ? "config"
																			  : "grid")));
	if (!pneumo_may_commit(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						errmsg("pneumo_sweep cannot run inside a transaction block"),
						errhint("CALL it on its own: it commits after each training.")));
	pneumo_prevent_write("pneumo_sweep()");
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("pneumo_sweep cannot train in a transaction that has already written"),
						errhint("Commit first.")));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	memset(&sweep, 0, sizeof(sweep));
	sweep.cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo sweep", ALLOCSET_DEFAULT_SIZES);
	each = AllocSetContextCreate(sweep.cxt, "pneumo sweep run", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(sweep.cxt);
	sweep.source = PG_GETARG_OID(0);
	sweep.owner = GetUserId(); /* before code of a view can run */
	sweep.config = PG_GETARG_JSONB_P_COPY(1);
	if (!JB_ROOT_IS_OBJECT(sweep.config))
		(void) pneumo_config_parse(sweep.config); /* says what is wrong */
	read_grid(&sweep, PG_GETARG_JSONB_P_COPY(2));

	PushActiveSnapshot(GetTransactionSnapshot());
	check_combinations(&sweep);
	find_trained(&sweep);
	PopActiveSnapshot();
	SPI_commit();
	MemoryContextSwitchTo(each);
	for (i = 1; i <= sweep.n; i++)
	{
		do_combination(&sweep, i);
		SPI_commit();
		MemoryContextSwitchTo(each);
		MemoryContextReset(each);
	}
	report_best(&sweep);
	SPI_finish();
	PG_RETURN_VOID();
}
