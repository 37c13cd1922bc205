/*-------------------------------------------------------------------------
 *
 * train.c
 *	  pneumo_train: what the caller of a training does.
 *
 * Checks what can be checked, takes a slot, hands the parameters over in a
 * segment, starts the worker and waits until it has acknowledged the run's id.
 * A caller that waits then follows the run to its end.  If it ends before (error,
 * cancel, disconnection), the detach callback of the segment cancels the run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/lsyscache.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/base/shmem.h"
#include "pg/catalog/catalog.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_train);

/* Declared in libpq/libpq.h, which needs the headers of Kerberos where the server has it. */
extern bool pq_check_connection(void);

#define HANDSHAKE_POLL_MS 100
#define WORKER_WAIT_MS 10000
#define FOLLOW_POLL_MS 1000

typedef struct Following
{
	dsm_segment *seg;
	PneumoRunSegment *s;
	BackgroundWorkerHandle *handle;
	int slot;
	uint32 generation;
	TransactionId xid; /* that the run waits for, or invalid */
} Following;

/* ---------------------------------------------------------------- messages */

char *
pneumo_epoch_message(const NnEpochLog *log, int epochs)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "epoch %d/%d: loss %.4f, accuracy %.4f", log->epoch, epochs, log->loss,
					 log->accuracy);
	if (!isnan(log->val_loss))
		appendStringInfo(&buf, ", val_loss %.4f, val_accuracy %.4f", log->val_loss, log->val_accuracy);
	return buf.data;
}

char *
pneumo_duration_text(double seconds)
{
	if (seconds < 60)
		return psprintf("%.1f s", seconds);
	if (seconds < 3600)
		return psprintf("%d min %d s", (int) seconds / 60, (int) seconds % 60);
	return psprintf("%d h %d min", (int) (seconds / 3600), (int) (seconds / 60) % 60);
}

char *
pneumo_epoch_detail(const NnEpochLog *log, int epochs, double mean_seconds)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "Training took %s", pneumo_duration_text(log->seconds));
	if (!isnan(log->val_loss))
		appendStringInfo(&buf, ", validation %s", pneumo_duration_text(log->val_seconds));
	if (log->epoch < epochs && !log->last)
		appendStringInfo(&buf, "; at most %s left",
						 pneumo_duration_text(mean_seconds * (epochs - log->epoch)));
	appendStringInfoChar(&buf, '.');
	return buf.data;
}

/* Says that the server has crashed, and what becomes of the run. */
static void
server_ends(int elevel, int64 run)
{
	ereport(elevel,
			(errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("the server is going away, the training is interrupted"),
			 run != 0 ? errhint("Continue it with SELECT pneumo_resume(%lld) once the server is back.",
								(long long) run)
					  : 0));
}

/* Raises how the run ended, if it did not succeed. */
static void
outcome_ereport(const PneumoRunOutcome *outcome, int64 run)
{
	if (strcmp(outcome->state, "cancelled") == 0 && !PostmasterIsAlive())
		server_ends(FATAL, run);
	if (strcmp(outcome->state, "cancelled") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED), errmsg("training run %lld was cancelled", (long long) run),
				 pneumo_checkpoint_exists(run)
					 ? errhint("Continue it with SELECT pneumo_resume(%lld).", (long long) run)
					 : 0));
	if (strcmp(outcome->state, "gone") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"pneumo\" was dropped during training run %lld", (long long) run)));
	ereport(ERROR, (errcode(outcome->sqlerrcode), errmsg_internal("%s", outcome->message),
					outcome->detail[0] ? errdetail_internal("%s", outcome->detail) : 0,
					outcome->hint[0] ? errhint("%s", outcome->hint) : 0,
					run != 0 ? errcontext("training run %lld", (long long) run) : 0));
	pg_unreachable();
}

/* ---------------------------------------------------------------- settings */

static void
add_setting(StringInfo buf, const char *name, char context)
{
	const char *value = GetConfigOption(name, true, false);

	if (value == NULL)
		return;
	appendStringInfoChar(buf, context);
	appendBinaryStringInfo(buf, name, (int) strlen(name) + 1);
	appendBinaryStringInfo(buf, value, (int) strlen(value) + 1);
}

/*
 * Collects the settings of the session that a reading of its tables can depend
 * on, because the worker must see what the caller sees; custom settings too,
 * because row security policies read them.
 *
 * The character before each name says whether the worker may set the value with
 * a superuser's right, as it is effective here.  Nobody has checked the value of
 * a placeholder, though: the library that knows the name may only be loaded in
 * the worker.
 */
static void
collect_settings(StringInfo buf)
{
	static const char *const always[] = {"search_path",   "row_security", "DateStyle",
										 "IntervalStyle", "TimeZone",     NULL};
	struct config_generic **variables;
	int n;
	int i;

	for (i = 0; always[i] != NULL; i++)
		add_setting(buf, always[i], PNEUMO_SETTING_USER);
	variables = pneumo_guc_variables(&n);
	for (i = 0; i < n; i++)
		if (strchr(variables[i]->name, '.') != NULL && variables[i]->source >= PGC_S_DATABASE)
			add_setting(buf, variables[i]->name,
						(variables[i]->flags & GUC_CUSTOM_PLACEHOLDER) ? PNEUMO_SETTING_USER
																	   : PNEUMO_SETTING_SUPERUSER);
	appendStringInfoChar(buf, '\0');
}

/* ----------------------------------------------------------------- segment */

static void
segment_detached(dsm_segment *seg, Datum arg)
{
	PneumoRunSegment *s = dsm_segment_address(seg);
	bool finished;

	(void) arg;
	SpinLockAcquire(&s->mutex);
	finished = s->finished;
	SpinLockRelease(&s->mutex);
	if (!s->wait || finished)
		return;
	if (PostmasterIsAlive())
		(void) pneumo_slot_cancel_index(s->slot, s->generation);
	else
		server_ends(WARNING, s->run); /* waiting for a latch ends the process without a word */
}

/* Creates the segment that hands the run to the worker, followed by the texts that it needs. */
static void
create_segment(Following *f, const PneumoLaunch *launch)
{
	char *config = JsonbToCString(NULL, &launch->config->root, VARSIZE(launch->config));
	StringInfoData settings;
	size_t epochs_bytes = sizeof(NnEpochLog) * (size_t) launch->epochs;
	size_t head = MAXALIGN(offsetof(PneumoRunSegment, epochs) + epochs_bytes);
	PneumoRunSegment *s;

	initStringInfo(&settings);
	collect_settings(&settings);
	f->seg = dsm_create(head + strlen(config) + 1 + settings.len + strlen(launch->source_name) + 1, 0);
	s = f->s = dsm_segment_address(f->seg);
	memset(s, 0, head);
	s->abi = PNEUMO_RUN_ABI;
	s->slot = f->slot;
	s->generation = f->generation;
	s->database = MyDatabaseId;
	s->session_user = GetSessionUserId();
	s->current_user = launch->owner;
	s->source = launch->source;
	s->wait = launch->wait;
	s->resume = launch->resume_run != 0;
	s->from_checkpoint = launch->from_checkpoint;
	s->resume_run = launch->resume_run;
	s->xid = f->xid;
	s->max_epochs = launch->epochs;
	s->config_offset = head;
	s->settings_offset = s->config_offset + strlen(config) + 1;
	s->source_offset = s->settings_offset + settings.len;
	memcpy((char *) s + s->config_offset, config, strlen(config) + 1);
	memcpy((char *) s + s->settings_offset, settings.data, settings.len);
	memcpy((char *) s + s->source_offset, launch->source_name, strlen(launch->source_name) + 1);
	SpinLockInit(&s->mutex);
	ConditionVariableInit(&s->changed);
	on_dsm_detach(f->seg, segment_detached, (Datum) 0);
}

static void
start_worker(Following *f)
{
	f->handle = pneumo_start_worker("pneumo_worker_main", "pneumo training", "pneumo training",
									dsm_segment_handle(f->seg), WORKER_WAIT_MS);
	if (f->handle == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("no training can start: no background worker is free"),
						errdetail("It was waited for for %d seconds.", WORKER_WAIT_MS / 1000),
						errhint("Wait for parallel queries or other workers to end, or raise "
								"max_worker_processes above max_parallel_workers.")));
}

/* --------------------------------------------------------------- following */

static bool
worker_stopped(const Following *f)
{
	pid_t pid;
	BgwHandleStatus status = GetBackgroundWorkerPid(f->handle, &pid);

	if (status == BGWH_POSTMASTER_DIED)
		server_ends(FATAL, f->s->run);
	return status == BGWH_STOPPED;
}

/* Returns the run's id once the worker has drawn it; raises the worker's error if it ended before. */
static int64
wait_for_handshake(Following *f)
{
	PneumoRunSegment *s = f->s;
	int64 run = 0;
	bool acknowledged;
	bool finished;
	bool stopped;

	for (;;)
	{
		stopped = worker_stopped(f);
		SpinLockAcquire(&s->mutex);
		acknowledged = s->acknowledged;
		finished = s->finished;
		run = s->run;
		SpinLockRelease(&s->mutex);
		if (acknowledged || finished || stopped)
			break;
		(void) ConditionVariableTimedSleep(&s->changed, HANDSHAKE_POLL_MS,
										   pneumo_wait_event(PNEUMO_WAIT_RUN_START));
	}
	ConditionVariableCancelSleep();

	if (acknowledged)
		return run;
	if (finished)
		outcome_ereport(&s->outcome, 0);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the training worker ended before it began"),
			 errdetail("It connects as \"%s\"; the server log has its message.",
					   GetUserNameFromId(GetSessionUserId(), true)),
			 errhint("The role must be allowed to log in; after an upgrade of the extension, reconnect.")));
	return 0;
}

static void
check_client(void)
{
	if (MyProcPort == NULL || !WaitEventSetCanReportClosed() || pq_check_connection())
		return;
	ClientConnectionLost = true;
	InterruptPending = true;
	CHECK_FOR_INTERRUPTS();
}

static void
check_deadlock(const PneumoRunSlot *slot)
{
	if (pneumo_run_blocked_by_me(slot))
		ereport(ERROR, (errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
						errmsg("the training worker waits for a lock that this transaction holds"),
						errhint("Commit first, or use wait => false.")));
}

/* How much of a run's news the caller has printed. */
typedef struct Printed
{
	int epochs;
	int news;
	double seconds; /* of the epochs */
} Printed;

static void
print_epoch(const PneumoRunSegment *s, const PneumoLaunch *launch, Printed *printed)
{
	const NnEpochLog *log = &s->epochs[printed->epochs++];

	printed->seconds += log->seconds + (isnan(log->val_seconds) ? 0 : log->val_seconds);
	if (launch->verbose > 0)
		ereport(NOTICE, (errmsg_internal("%s", pneumo_epoch_message(log, launch->epochs)),
						 errdetail_internal("%s", pneumo_epoch_detail(log, launch->epochs,
																	  printed->seconds / printed->epochs))));
}

/* Prints what has come since the last time, in its order; returns whether the run has ended. */
static bool
print_news(const Following *f, const PneumoLaunch *launch, Printed *printed)
{
	PneumoRunSegment *s = f->s;
	int n_epochs;
	int n_news;
	bool finished;

	SpinLockAcquire(&s->mutex);
	n_epochs = s->n_epochs;
	n_news = s->n_news;
	finished = s->finished;
	SpinLockRelease(&s->mutex);

	for (; printed->news < n_news; printed->news++)
	{
		const PneumoRunNews *news = &s->news[printed->news];

		while (printed->epochs < Min(news->epochs, n_epochs))
			print_epoch(s, launch, printed);
		if (news->elevel >= WARNING || launch->verbose > 0)
			ereport(news->elevel, (errmsg_internal("%s", news->text)));
	}
	while (printed->epochs < n_epochs)
		print_epoch(s, launch, printed);
	return finished;
}

typedef struct Fate
{
	int64 run;
	bool queued; /* when last seen */
} Fate;

/* Adds to the error of a cancelled caller, or of its statement_timeout, what becomes of the run. */
static void
add_fate_of_run(void *arg)
{
	const Fate *fate = arg;

	if (geterrcode() != ERRCODE_QUERY_CANCELED)
		return;
	if (fate->queued)
		errdetail("Training run %lld is cancelled with it; it had not begun.", (long long) fate->run);
	else
		errdetail("Training run %lld is cancelled with it; what it has learned is kept.",
				  (long long) fate->run);
	errhint("Continue it with SELECT pneumo_resume(%lld).", (long long) fate->run);
}

/* Follows a run to its end and prints its news; raises how it ended, if it did not succeed. */
static void
follow(const Following *f, const PneumoLaunch *launch, int64 run)
{
	PneumoRunSegment *s = f->s;
	Fate fate = {run, false};
	ErrorContextCallback callback = {error_context_stack, add_fate_of_run, &fate};
	Printed printed = {0, 0, 0};
	PneumoRunSlot slot;
	bool live;
	bool told = false;

	error_context_stack = &callback;
	for (;;)
	{
		bool stopped = worker_stopped(f);

		if (print_news(f, launch, &printed))
			break;
		if (stopped)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("training run %lld was interrupted", (long long) run),
							pneumo_checkpoint_exists(run)
								? errhint("Continue it with SELECT pneumo_resume(%lld).", (long long) run)
								: 0));
		if (ConditionVariableTimedSleep(&s->changed, FOLLOW_POLL_MS, pneumo_wait_event(PNEUMO_WAIT_RUN)))
		{
			ConditionVariableCancelSleep();
			check_client();
			live = pneumo_slot_find(run, &slot);
			if (live)
				check_deadlock(&slot);
			fate.queued = live && slot.stage == PNEUMO_RUN_WAITING;
			if (fate.queued && !told)
				ereport(NOTICE,
						(errmsg("training run %lld is queued until fewer runs train", (long long) run),
						 errdetail("pneumo.max_training_runs is %d.", pneumo_max_training_runs)));
			told = told || fate.queued;
		}
	}
	ConditionVariableCancelSleep();
	error_context_stack = callback.previous;

	if (strcmp(s->outcome.state, "succeeded") != 0)
		outcome_ereport(&s->outcome, run);
	if (launch->quiet)
		return;
	ereport(NOTICE, (errmsg_internal("%s", s->outcome.summary),
					 s->outcome.summary_detail[0] ? errdetail_internal("%s", s->outcome.summary_detail) : 0,
					 s->outcome.hint[0] ? errhint("%s", s->outcome.hint) : 0));
}

static void
give_up_slot(int code, Datum arg)
{
	Following *f = (Following *) DatumGetPointer(arg);

	(void) code;
	pneumo_slot_release(f->slot, f->generation, true);
}

int64
pneumo_launch(const PneumoLaunch *launch)
{
	Following *f = palloc0(sizeof(Following));
	volatile int64 run = 0;

	f->xid = launch->wait ? InvalidTransactionId : GetCurrentTransactionId();
	f->slot = pneumo_slot_reserve(launch->owner, f->xid, launch->resume_run, &f->generation);
	PG_ENSURE_ERROR_CLEANUP(give_up_slot, PointerGetDatum(f));
	{
		create_segment(f, launch);
		start_worker(f);
		run = wait_for_handshake(f);
	}
	PG_END_ENSURE_ERROR_CLEANUP(give_up_slot, PointerGetDatum(f));

	if (launch->wait)
		follow(f, launch, run);
	dsm_detach(f->seg);
	return run;
}

/* --------------------------------------------------------------------- SQL */

Datum
pneumo_train(PG_FUNCTION_ARGS)
{
	Oid source = DatumGetObjectId(pneumo_argument(fcinfo, 0));
	Jsonb *config = pneumo_config_argument(fcinfo, 1);
	bool wait = DatumGetBool(pneumo_argument(fcinfo, 2));
	Oid owner = GetUserId(); /* before code of a view can run */
	PneumoPrepared *prepared;
	PneumoLaunch launch;

	pneumo_prevent_write("pneumo_train()");
	if (wait && TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("pneumo_train cannot wait in a transaction that has already written"),
						errdetail("The worker would not see what this transaction wrote."),
						errhint("Commit first, or use wait => false.")));

	prepared = pneumo_prepare(source, config);
	memset(&launch, 0, sizeof(launch));
	launch.source = source;
	launch.source_name = prepared->source->name;
	launch.config = config;
	launch.owner = owner;
	launch.epochs = prepared->config->train.epochs;
	launch.verbose = prepared->config->verbose;
	launch.wait = wait;
	PG_RETURN_INT64(pneumo_launch(&launch));
}
