/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  Waiting for, watching, cancelling, resuming and forgetting runs.
 *
 * Every function asks the slots first and the rows then: a live run may not have
 * a row yet, and a row may say "running" of a worker that died.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/shmem.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_wait);
PG_FUNCTION_INFO_V1(pneumo_watch);
PG_FUNCTION_INFO_V1(pneumo_cancel);
PG_FUNCTION_INFO_V1(pneumo_resume);
PG_FUNCTION_INFO_V1(pneumo_forget);

#define POLL_MS 1000

static void
run_missing(int64 run)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("training run %lld does not exist", (long long) run)));
}

/* Errors unless the run is theirs.  A role that may not even see it is told that it does not exist. */
static void
require_owner(int64 run, bool mine, bool monitor_allowed)
{
	bool monitor = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);

	if (mine || (monitor_allowed && monitor))
		return;
	if (!monitor)
		run_missing(run);
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied for training run %lld", (long long) run)));
}

/* Returns the row of a run that no worker has; errors if there is none or it is not theirs. */
static PneumoRunRow *
read_run(int64 run, bool monitor_allowed)
{
	PneumoRunRow *row = pneumo_run_read(run);

	if (row == NULL)
		run_missing(run);
	require_owner(run, pneumo_run_is_mine(row, false), monitor_allowed);
	return row;
}

/* -------------------------------------------------------------------- wait */

/* Errors if waiting for a live run can never end. */
static void
check_waiting(int64 run, const PneumoRunSlot *slot)
{
	if (slot->stage == PNEUMO_RUN_UNCOMMITTED && TransactionIdIsCurrentTransactionId(slot->caller_xid))
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("training run %lld starts when this transaction commits, it cannot be "
							   "waited for in it",
							   (long long) run),
						errhint("Commit first.")));
	if (pneumo_run_blocked_by_me(slot))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
				 errmsg("training run %lld waits for a lock that this transaction holds", (long long) run),
				 errhint("Commit first.")));
}

Datum
pneumo_wait(PG_FUNCTION_ARGS)
{
	int64 run = DatumGetInt64(pneumo_argument(fcinfo, 0));
	PneumoShared *shared = pneumo_shared();
	PneumoRunSlot slot;

	while (pneumo_slot_find(run, &slot))
	{
		require_owner(run, has_privs_of_role(GetUserId(), slot.owner), true);
		if (ConditionVariableTimedSleep(&shared->run_changed, POLL_MS, pneumo_wait_event(PNEUMO_WAIT_RUN)) ||
			pneumo_slot_is_queued(&slot))
		{
			ConditionVariableCancelSleep();
			check_waiting(run, &slot);
		}
	}
	ConditionVariableCancelSleep();
	PG_RETURN_TEXT_P(cstring_to_text(pneumo_run_live_state(run, read_run(run, true)->state)));
}

/* ------------------------------------------------------------------- watch */

/* Prints the epochs that were not printed yet; returns the last one printed. */
static int
print_epochs(int64 run, int printed, int epochs)
{
	NnEpochLog *logs;
	int n = pneumo_run_epochs(run, printed, &logs);
	double seconds = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		seconds += logs[i].seconds + (isnan(logs[i].val_seconds) ? 0 : logs[i].val_seconds);
		ereport(NOTICE, (errmsg_internal("%s", pneumo_epoch_message(&logs[i], epochs)),
						 errdetail_internal("%s", pneumo_epoch_detail(&logs[i], epochs, seconds / (i + 1)))));
		printed = logs[i].epoch;
	}
	return printed;
}

/* Raises the warnings that a run has stored in its metrics. */
static void
print_warnings(const PneumoRunRow *row)
{
	JsonbContainer *list =
		row->metrics == NULL ? NULL : pneumo_json_array(pneumo_json_get(&row->metrics->root, "warnings"));
	int n = list == NULL ? 0 : pneumo_json_array_length(list);
	int i;

	for (i = 0; i < n; i++)
	{
		char *text = pneumo_json_cstring(getIthJsonbValueFromContainer(list, i));

		if (text != NULL)
			ereport(WARNING, (errmsg_internal("%s", text)));
	}
}

Datum
pneumo_watch(PG_FUNCTION_ARGS)
{
	int64 run = DatumGetInt64(pneumo_argument(fcinfo, 0));
	PneumoShared *shared = pneumo_shared();
	MemoryContext cxt;
	PneumoRunSlot slot;
	PneumoRunRow *row;
	int printed = 0;
	bool live;

	if (!pneumo_may_commit(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						errmsg("pneumo_watch cannot run inside a transaction block"),
						errhint("CALL it on its own; pneumo_wait(run) works in a transaction.")));
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo watch", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(cxt);

	do
	{
		MemoryContextReset(cxt); /* a run may be watched for days */
		live = pneumo_slot_find(run, &slot);
		if (live)
			require_owner(run, has_privs_of_role(GetUserId(), slot.owner), true);

		PushActiveSnapshot(GetTransactionSnapshot());
		row = pneumo_run_read(run);
		if (row != NULL)
		{
			require_owner(run, pneumo_run_is_mine(row, false), true);
			printed = print_epochs(run, printed, row->epochs);
		}
		PopActiveSnapshot();
		if (!live)
			break;

		/* nothing is held while waiting */
		SPI_commit();
		(void) ConditionVariableTimedSleep(&shared->run_changed, POLL_MS, pneumo_wait_event(PNEUMO_WAIT_RUN));
	} while (true);
	ConditionVariableCancelSleep();

	if (row == NULL)
		run_missing(run);
	print_warnings(row);
	ereport(NOTICE,
			(errmsg("training run %lld %s%s%s", (long long) run, pneumo_run_live_state(run, row->state),
					row->error != NULL ? ": " : "", row->error != NULL ? row->error : ""),
			 row->version != 0 ? errdetail("It made version %d of model \"%s\", from epoch %d.", row->number,
										   row->model, row->best_epoch)
							   : 0));
	SPI_finish();
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------ cancel */

Datum
pneumo_cancel(PG_FUNCTION_ARGS)
{
	int64 run = DatumGetInt64(pneumo_argument(fcinfo, 0));
	PneumoRunSlot slot;

	if (pneumo_slot_find(run, &slot))
	{
		bool may = has_privs_of_role(GetUserId(), slot.owner) ||
				   (has_privs_of_role(GetUserId(), ROLE_PG_SIGNAL_BACKEND) && !superuser_arg(slot.owner));

		require_owner(run, may, false);
		if (pneumo_slot_cancel(run))
			PG_RETURN_BOOL(true);
	}
	ereport(WARNING, (errmsg("training run %lld is not running, it is %s", (long long) run,
							 pneumo_run_live_state(run, read_run(run, true)->state))));
	PG_RETURN_BOOL(false);
}

/* ------------------------------------------------------------------ resume */

Datum
pneumo_resume(PG_FUNCTION_ARGS)
{
	int64 run = DatumGetInt64(pneumo_argument(fcinfo, 0));
	bool wait = DatumGetBool(pneumo_argument(fcinfo, 1));
	PneumoRunSlot slot;
	PneumoRunRow *row;
	PneumoConfig *config;
	PneumoLaunch launch;

	pneumo_prevent_write("pneumo_resume()");
	if (wait && TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("pneumo_resume cannot wait in a transaction that has already written"),
						errhint("Commit first, or use wait => false.")));
	if (pneumo_slot_find(run, &slot))
	{
		require_owner(run, has_privs_of_role(GetUserId(), slot.owner), false);
		pneumo_run_is_running(run);
	}
	row = read_run(run, false);
	if (strcmp(row->state, "succeeded") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("training run %lld has succeeded, there is nothing to continue", (long long) run)));
	if (!OidIsValid(row->owner))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the role that owned training run %lld was dropped", (long long) run),
						errhint("Start a new training.")));
	if (row->begun && !pneumo_checkpoint_exists(run))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("training run %lld has no checkpoint to continue from", (long long) run),
						errdetail("Checkpoints are written once a minute, and when a run is cancelled "
								  "or stopped."),
						errhint("Start a new training.")));
	if (!OidIsValid(row->source_oid) || get_rel_name(row->source_oid) == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("%s, which training run %lld read, does not exist any more", row->source,
							   (long long) run)));

	config = pneumo_config_parse(row->config);
	memset(&launch, 0, sizeof(launch));
	launch.source = row->source_oid;
	launch.source_name = row->source;
	launch.config = row->config;
	launch.owner = row->owner;
	launch.epochs = config->train.epochs;
	launch.verbose = config->verbose;
	launch.wait = wait;
	launch.resume_run = run;
	launch.from_checkpoint = row->begun; /* else it was cancelled while it was queued */
	PG_RETURN_INT64(pneumo_launch(&launch));
}

/* ------------------------------------------------------------------ forget */

Datum
pneumo_forget(PG_FUNCTION_ARGS)
{
	int64 run = DatumGetInt64(pneumo_argument(fcinfo, 0));
	PneumoRunSlot slot;

	pneumo_prevent_write("pneumo_forget()");
	if (pneumo_slot_find(run, &slot))
	{
		require_owner(run, has_privs_of_role(GetUserId(), slot.owner), false);
		pneumo_run_is_running(run);
	}
	(void) read_run(run, false);
	pneumo_run_delete(run);
	pneumo_checkpoint_remove_at_commit(run);
	PG_RETURN_VOID();
}
