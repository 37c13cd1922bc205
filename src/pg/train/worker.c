/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The life of a training worker.
 *
 *	  attach      the caller's segment, the slot, the database as the session
 *	              user; draw the run's id and acknowledge
 *	  queue       without wait: until the caller's transaction has committed
 *	  read        one read-only transaction as the caller, decoding once into
 *	              the sample store
 *	  train       no transaction open; one short one per epoch
 *	  store       one transaction: version, manifest, run
 *
 * Each transaction runs as the caller with SECURITY_LOCAL_USERID_CHANGE and
 * SECURITY_RESTRICTED_OPERATION, while the session is the session user's: code
 * in a view cannot get at more rights than the caller has.
 *
 * The pool's threads belong to the trainer.  No error is ever thrown across
 * the network core: a hook keeps it, asks for a stop, and it is thrown again
 * when the core has returned.  An exit callback joins the threads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

#define NICE 10
#define CHANNEL "pneumo"

static PneumoWorker *worker = NULL;

/* ------------------------------------------------------------ transactions */

/* Whatever the role's default_transaction_* say. */
static void
start_transaction(bool read_only)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactReadOnly = read_only;
	XactIsoLevel = XACT_READ_COMMITTED;
	XactDeferrable = false;
}

/* Begins a transaction with the rights of the run's owner, whether or not the role is still there. */
static void
begin_as_owner(PneumoWorker *w, bool read_only)
{
	start_transaction(read_only);
	GetUserIdAndSecContext(&w->saved_user, &w->saved_context);
	SetUserIdAndSecContext(w->s->current_user,
						   w->saved_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(w->cxt);
}

void
pneumo_worker_begin(PneumoWorker *w, bool read_only)
{
	begin_as_owner(w, read_only);
	if (!pneumo_role_exists(w->s->current_user))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the role that owns the training run was dropped")));
}

void
pneumo_worker_commit(PneumoWorker *w)
{
	PopActiveSnapshot();
	SetUserIdAndSecContext(w->saved_user, w->saved_context);
	CommitTransactionCommand();
	pgstat_report_stat(true);
	MemoryContextSwitchTo(w->cxt);
}

void
pneumo_worker_report(PneumoWorker *w, const char *phase)
{
	char text[128];

	pneumo_slot_set_phase(w->slot, phase);
	snprintf(text, sizeof(text), "pneumo: run %lld, %s", (long long) w->run, phase);
	pgstat_report_activity(STATE_RUNNING, text);
}

bool
pneumo_worker_has_extension(PneumoWorker *w)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_RUN, AccessShareLock, true);
	bool same;

	if (rel == NULL)
		return false;
	same = w->run_relation == InvalidOid || w->run_relation == RelationGetRelid(rel);
	w->run_relation = RelationGetRelid(rel);
	relation_close(rel, AccessShareLock);
	return same;
}

/* ------------------------------------------------------------ the segment */

static void
leave_slot(int code, Datum arg)
{
	(void) code;
	(void) arg;
	if (worker == NULL || !worker->attached)
		return;
	worker->attached = false;
	pneumo_slot_release(worker->slot, worker->generation, false);
	ConditionVariableBroadcast(&worker->s->changed);
}

/* The slot is free before the caller hears: its next training can start. */
static void
publish(PneumoWorker *w)
{
	leave_slot(0, (Datum) 0);
	SpinLockAcquire(&w->s->mutex);
	w->s->finished = true;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

static void
acknowledge(PneumoWorker *w)
{
	SpinLockAcquire(&w->s->mutex);
	w->s->run = w->run;
	w->s->acknowledged = true;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

void
pneumo_worker_warn(PneumoWorker *w, const char *message)
{
	int i = w->s->n_warnings;

	ereport(WARNING, (errmsg("pneumo: run %lld: %s", (long long) w->run, message)));
	if (i >= PNEUMO_RUN_WARNINGS)
		return;
	pneumo_copy_text(w->s->warnings[i], message, PNEUMO_RUN_TEXT);
	SpinLockAcquire(&w->s->mutex);
	w->s->n_warnings = i + 1;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

void
pneumo_worker_publish_epoch(PneumoWorker *w, const NnEpochLog *log)
{
	int i = w->s->n_epochs;

	if (i >= w->s->max_epochs)
		return;
	w->s->epochs[i] = *log;
	SpinLockAcquire(&w->s->mutex);
	w->s->n_epochs = i + 1;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

/* -------------------------------------------------------------- exit */

static void
join_pool(int code, Datum arg)
{
	(void) code;
	(void) arg;
	if (worker != NULL && worker->trainer != NULL)
	{
		NnTrainer *trainer = worker->trainer;

		worker->trainer = NULL;
		nn_trainer_stop(trainer);
	}
}

/* ------------------------------------------------------------------ start */

/* The name and value pairs that the caller collected. */
static void
apply_settings(PneumoWorker *w)
{
	const char *p = (const char *) w->s + w->s->settings_offset;

	while (*p != '\0')
	{
		GucContext context = *p == PNEUMO_SETTING_SUPERUSER ? PGC_SUSET : PGC_USERSET;
		const char *name = p + 1;
		const char *value = name + strlen(name) + 1;

		(void) set_config_option(name, value, context, PGC_S_SESSION, GUC_ACTION_SET, true, WARNING, false);
		p = value + strlen(value) + 1;
	}
}

/* False if the extension is gone. */
static bool
draw_run(PneumoWorker *w)
{
	bool there;

	start_transaction(false);
	PushActiveSnapshot(GetTransactionSnapshot());
	apply_settings(w);
	there = pneumo_worker_has_extension(w);
	if (there)
	{
		w->run = w->s->resume ? w->s->resume_run : pneumo_catalog_nextval(PNEUMO_REL_RUN);
		pneumo_slot_set_run(w->slot, w->run, !w->s->wait);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(w->cxt);
	return there;
}

/* False if the caller has rolled back. */
static bool
wait_for_caller(PneumoWorker *w)
{
	bool committed;

	if (w->s->wait)
		return true;
	pneumo_worker_report(w, "waiting for commit");
	StartTransactionCommand();
	XactLockTableWait(w->s->xid, NULL, NULL, XLTW_None);
	committed = TransactionIdDidCommit(w->s->xid);
	CommitTransactionCommand();
	MemoryContextSwitchTo(w->cxt);
	return committed;
}

static Jsonb *
settings_json(PneumoWorker *w, int threads)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"threads\":%d,\"path\":\"%s\",\"blas\":", threads, nn_path_name(pneumo_path()));
	escape_json(&buf, pneumo_blas_version());
	appendStringInfoChar(&buf, '}');
	return pneumo_json_parse(buf.data);
}

/* Row of the run, name of the model; false if the extension is gone. */
static bool
open_run(PneumoWorker *w)
{
	PneumoRunStart start;
	PneumoConfig *config;
	bool there;

	pneumo_worker_begin(w, false);
	w->config_jsonb = pneumo_json_parse((char *) w->s + w->s->config_offset);
	config = pneumo_config_parse(w->config_jsonb);
	memset(&start, 0, sizeof(start));
	start.run = w->run;
	start.model = config->name;
	start.owner = w->s->current_user;
	start.source = w->s->source;
	start.source_name = (char *) w->s + w->s->source_offset;
	start.config = w->config_jsonb;
	start.settings = settings_json(w, pneumo_config_threads(config));
	start.epochs = config->train.epochs;
	start.build = w->build;
	there = pneumo_worker_has_extension(w) &&
			(w->s->resume ? pneumo_run_restart(&start) : pneumo_run_insert(&start));
	pneumo_worker_commit(w);
	if (!there)
		return false;
	pneumo_slot_set_run(w->slot, w->run, false);

	pneumo_worker_begin(w, false);
	(void) pneumo_model_claim(config->name, w->s->current_user, w->run);
	w->model = config->name;
	pneumo_checkpoint_sweep();
	pneumo_worker_commit(w);
	return true;
}

/* ----------------------------------------------------------------- reading */

static int64
store_pixels(void *arg, const PneumoSample *sample, const uint8 *pixels)
{
	PneumoWorker *w = arg;

	(void) sample;
	return pneumo_store_append(w->store, pixels);
}

static void
reading_progress(void *arg, int64 rows)
{
	PneumoWorker *w = arg;
	NnProgress progress;

	if (rows % 64 != 0)
		return;
	memset(&progress, 0, sizeof(progress));
	progress.epochs = w->prepared->config->train.epochs;
	progress.batch = (size_t) rows;
	progress.batches = (size_t) w->prepared->labels.total;
	progress.loss = NAN;
	pneumo_slot_set_progress(w->slot, &progress, NAN);
}

static void
read_data(PneumoWorker *w)
{
	PneumoReading reading;
	PneumoConfig *config;
	size_t allowed = (size_t) pneumo_train_memory * 1024;
	size_t fixed;

	pneumo_worker_report(w, "reading images");
	pneumo_worker_begin(w, true);
	w->prepared = pneumo_prepare(w->s->source, w->config_jsonb);
	config = w->prepared->config;
	fixed = w->prepared->plan.state_bytes + w->prepared->plan.work_bytes;
	w->store = pneumo_store_create((size_t) config->preprocess.height * config->preprocess.width *
									   config->preprocess.channels,
								   allowed > fixed ? allowed - fixed : 0);
	memset(&reading, 0, sizeof(reading));
	reading.decode = true;
	reading.want[PNEUMO_TRAIN] = true;
	reading.want[PNEUMO_VALIDATION] = true;
	reading.sink = store_pixels;
	reading.sink_arg = w;
	reading.progress = reading_progress;
	reading.progress_arg = w;
	reading.n_classes = w->prepared->labels.n;
	reading.classes = w->prepared->classes;
	w->dataset = pneumo_dataset_read(w->prepared->source, config, &reading);
	pneumo_store_seal(w->store);

	if (config->initial_model != NULL)
	{
		static const bool held_out[3] = {false, true, true};
		static const bool trained_on[3] = {true, false, false};
		PneumoManifest manifest;
		int64 n = 0;

		if (pneumo_manifest_read(w->prepared->initial.version, &manifest))
			n = pneumo_dataset_exclude(w->dataset, held_out, &manifest, trained_on);
		pneumo_manifest_free(&manifest);
		if (n > 0)
			pneumo_worker_warn(
				w, psprintf("%lld held-out rows are left out: the initial model was trained on them",
							(long long) n));
	}
	pneumo_worker_commit(w);
}

/* False if the extension is gone. */
static bool
check_data(PneumoWorker *w)
{
	PneumoConfig *config = w->prepared->config;
	List *warnings;
	ListCell *lc;
	bool there;

	pneumo_worker_begin(w, false);
	there = pneumo_worker_has_extension(w) &&
			pneumo_run_set_data(w->run, pneumo_dataset_counts_json(w->dataset, false),
								pneumo_dataset_counts_json(w->dataset, true),
								pneumo_dataset_left_out_json(w->dataset), w->dataset->fingerprint);
	pneumo_worker_commit(w);
	if (!there)
		return false;

	if (w->dataset->left_out[PNEUMO_OUT_UNREADABLE] > 0)
		pneumo_worker_warn(w, psprintf("%lld images cannot be read and are left out, the first is %s",
									   (long long) w->dataset->left_out[PNEUMO_OUT_UNREADABLE],
									   w->dataset->first_bad));
	if (w->dataset->first_conflict != NULL)
		pneumo_worker_warn(w, psprintf("%lld identical images with different labels are left out: %s",
									   (long long) w->dataset->left_out[PNEUMO_OUT_CONFLICT],
									   w->dataset->first_conflict));
	warnings = pneumo_dataset_require(w->dataset, config);
	foreach (lc, warnings)
		pneumo_worker_warn(w, lfirst(lc));
	if (w->dataset->split_rows[PNEUMO_VALIDATION] == 0)
		pneumo_prepare_no_validation(config);
	pneumo_fit_check_groups(config, w->dataset);
	pneumo_config_class_weights(config, w->dataset->n_classes, w->dataset->classes,
								w->dataset->rows[PNEUMO_TRAIN]);
	return true;
}

/* --------------------------------------------------------------- the end */

/* What is left to do after an error or a cancel; errors in here only reach the log. */
static void
finish_badly(PneumoWorker *w, const char *state, const char *message, const char *sqlstate)
{
	PneumoRunOutcome *outcome = &w->s->outcome;
	volatile bool there = true;

	strlcpy(outcome->state, state, sizeof(outcome->state));
	PG_TRY();
	{
		begin_as_owner(w, false);
		if (w->row_written)
			there = pneumo_worker_has_extension(w) &&
					pneumo_run_finish(w->run, state, 0, 0, NULL, message, sqlstate);
		if (there && w->model != NULL)
			pneumo_model_release(w->model, w->s->current_user, w->run);
		if (there && w->row_written)
			Async_Notify(CHANNEL, psprintf("{\"run\": %lld, \"state\": \"%s\"}", (long long) w->run, state));
		pneumo_worker_commit(w);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(w->cxt);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	if (!there)
		strlcpy(outcome->state, "gone", sizeof(outcome->state));
	if (w->row_written)
		ereport(LOG, (errmsg("pneumo: run %lld %s%s%s", (long long) w->run, outcome->state,
							 message ? ": " : "", message ? message : "")));
	publish(w);
}

static void
handle_error(PneumoWorker *w)
{
	PneumoRunOutcome *outcome = &w->s->outcome;
	ErrorData *error;
	bool cancelled;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(w->cxt);
	error = CopyErrorData();
	cancelled = error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	if (!cancelled)
		EmitErrorReport();
	FlushErrorState();
	join_pool(0, (Datum) 0);
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(w->cxt);
	QueryCancelPending = false;
	RESUME_INTERRUPTS();

	outcome->sqlerrcode = error->sqlerrcode;
	pneumo_copy_text(outcome->message, error->message ? error->message : "unknown error", PNEUMO_RUN_TEXT);
	pneumo_copy_text(outcome->detail, error->detail ? error->detail : "", PNEUMO_RUN_TEXT);
	pneumo_copy_text(outcome->hint, error->hint ? error->hint : "", PNEUMO_RUN_TEXT);
	if (cancelled)
		finish_badly(w, "cancelled", NULL, NULL);
	else
		finish_badly(w, "failed", outcome->message, unpack_sql_state(error->sqlerrcode));
}

static void
run_training(PneumoWorker *w)
{
	bool there;

	if (!draw_run(w))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"pneumo\" does not exist")));
	acknowledge(w);
	if (!wait_for_caller(w))
	{
		strlcpy(w->s->outcome.state, "gone", sizeof(w->s->outcome.state));
		publish(w);
		return;
	}
	ereport(LOG, (errmsg("pneumo: run %lld %s on %s", (long long) w->run,
						 w->s->resume ? "continues" : "starts", (char *) w->s + w->s->source_offset)));

	w->build = pneumo_build_text();
	there = open_run(w);
	w->row_written = there;
	if (there)
	{
		read_data(w);
		there = check_data(w) && pneumo_worker_train(w);
	}
	if (!there)
	{
		ereport(LOG, (errmsg("pneumo: run %lld ends, the extension is gone", (long long) w->run)));
		strlcpy(w->s->outcome.state, "gone", sizeof(w->s->outcome.state));
		publish(w);
		return;
	}
	publish(w);
	ereport(LOG, (errmsg("pneumo: run %lld %s", (long long) w->run, w->s->outcome.state)));
}

/*
 * Those of the role and the database are for statements of people; a training
 * lasts hours, and may wait as long for the caller's commit.  The caller's own
 * end the training through the caller.
 */
static void
no_timeouts(void)
{
	static const char *const names[] = {PNEUMO_TIMEOUTS};
	int i;

	for (i = 0; i < (int) lengthof(names); i++)
		SetConfigOption(names[i], "0", PGC_SUSET, PGC_S_OVERRIDE);
}

void
pneumo_worker_main(Datum main_arg)
{
	MemoryContext cxt;
	PneumoWorker *w;
	dsm_segment *seg;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	cxt = AllocSetContextCreate(TopMemoryContext, "pneumo training", ALLOCSET_DEFAULT_SIZES);
	w = MemoryContextAllocZero(cxt, sizeof(PneumoWorker));
	w->cxt = cxt;
	seg = dsm_attach(DatumGetUInt32(main_arg));
	if (seg == NULL)
		return; /* the caller has gone */
	w->s = dsm_segment_address(seg);
	if (w->s->abi != PNEUMO_RUN_ABI)
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the session that started this training has another version of the library loaded"),
				 errhint("Reconnect.")));
	w->slot = w->s->slot;
	w->generation = w->s->generation;
	worker = w;
	before_shmem_exit(leave_slot, (Datum) 0);
	if (!pneumo_slot_attach(w->slot, w->generation))
		return;
	w->attached = true;

	BackgroundWorkerInitializeConnectionByOid(w->s->database, w->s->session_user,
											  PNEUMO_WORKER_CONNECT_FLAGS);
	no_timeouts();
	before_shmem_exit(join_pool, (Datum) 0);
	if (nice(NICE) == -1)
		errno = 0; /* only a courtesy */
	MemoryContextSwitchTo(cxt);

	PG_TRY();
	{
		run_training(w);
	}
	PG_CATCH();
	{
		handle_error(w);
	}
	PG_END_TRY();
}
