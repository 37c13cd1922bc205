/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The life of a training worker.
 *
 *	  attach      to the caller's segment, the slot and the database, as the
 *	              session user; draw the run's id and acknowledge
 *	  queue       without wait: until the caller's transaction has committed;
 *				  then, with its row written, until it has its turn
 *	  read        one read-only transaction as the owner, decoding each image
 *	              once into the sample store
 *	  train       no transaction open, except a short one per epoch
 *	  store       one transaction: version, manifest, run
 *
 * README.md in this folder has the states.
 *
 * The pool's threads belong to the trainer.  No error is ever thrown across the
 * network core: a hook keeps it and asks for a stop, and the error is thrown
 * again when the core has returned.  An exit callback joins the threads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <unistd.h>

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
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

static PneumoWorker *worker = NULL;

/* -------------------------------------------------------------------- exit */

static void
leave_slot(int code, Datum arg)
{
	(void) code;
	(void) arg;
	if (worker != NULL)
		pneumo_worker_leave_slot(worker);
}

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

/* Applies the settings that the caller collected. */
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

/* Draws the run's id (a resumed run has one); false if the extension is gone. */
static bool
draw_run(PneumoWorker *w)
{
	bool there;

	pneumo_worker_begin(w, false);
	apply_settings(w);
	there = pneumo_worker_has_extension(w);
	if (there)
	{
		w->run = w->s->resume ? w->s->resume_run : pneumo_catalog_nextval(PNEUMO_REL_RUN);
		pneumo_slot_set_run(w->slot, w->run, w->s->wait ? PNEUMO_RUN_WAITING : PNEUMO_RUN_UNCOMMITTED);
	}
	pneumo_worker_commit(w);
	return there;
}

static Jsonb *
settings_json(int threads)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_add_int(&json, "threads", threads);
	pneumo_json_add_string(&json, "path", nn_path_name(pneumo_path()));
	pneumo_json_add_string(&json, "blas", pneumo_blas_version());
	return pneumo_json_end(&json);
}

/*
 * Errors if the run has succeeded: between the checks of pneumo_resume() and the
 * taking of the slot, another resumption may have come to the end.
 */
static void
check_resumable(PneumoWorker *w)
{
	PneumoRunRow *row = pneumo_run_read(w->run);

	if (row != NULL && strcmp(row->state, "succeeded") == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("training run %lld has succeeded, there is nothing to continue",
							   (long long) w->run)));
}

/* Claims the name of the model, and removes files that nobody needs. */
static void
claim_name(PneumoWorker *w, char *name)
{
	pneumo_worker_begin(w, false);
	(void) pneumo_model_claim(name, w->s->current_user, w->run);
	w->model = name;
	if (!w->s->resume)
		pneumo_checkpoint_remove(w->run); /* of a dropped extension's run of that number */
	pneumo_checkpoint_sweep();
	pneumo_worker_commit(w);
}

/* Sets the row of the run to running, since it has its turn; false if the extension is gone. */
static bool
begin_turn(PneumoWorker *w, const PneumoRunStart *start)
{
	bool there;

	pneumo_worker_begin(w, false);
	there = pneumo_worker_has_extension(w);
	if (there && w->s->resume)
		check_resumable(w);
	there = there && pneumo_run_restart(start);
	pneumo_worker_commit(w);
	return there;
}

/*
 * Writes the row of the run, claims the name of the model and waits for the run's turn;
 * false if the extension is gone.
 */
static bool
open_run(PneumoWorker *w)
{
	bool turn = pneumo_slot_take_turn(w->slot);
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
	start.settings = settings_json(pneumo_config_threads(config));
	start.epochs = config->train.epochs;
	start.build = w->build;
	start.queued = !turn;
	there = pneumo_worker_has_extension(w) && (w->s->resume || pneumo_run_insert(&start));
	pneumo_worker_commit(w);
	w->row_written = there && !w->s->resume;
	if (!there)
		return false;

	claim_name(w, config->name);
	if (!turn && !pneumo_worker_wait_for_turn(w))
		return false;
	if (!turn || w->s->resume)
		there = begin_turn(w, &start);
	w->row_written = there;
	return there;
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

	pneumo_worker_check_database(w);
	if (rows % 64 != 0)
		return;
	memset(&progress, 0, sizeof(progress));
	progress.epochs = w->prepared->config->train.epochs;
	progress.batch = (size_t) rows;
	progress.batches = (size_t) w->prepared->labels.total;
	progress.loss = NAN;
	pneumo_slot_set_progress(w->slot, &progress, NAN);
}

/* Reads the table, as its caller would, and decodes the images into the sample store. */
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

/* Checks what only the images could tell and warns of it; false if the extension is gone. */
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

	pneumo_worker_tell(w, pneumo_dataset_summary(w->dataset));
	if (w->prepared->initial_note != NULL)
		pneumo_worker_tell(w, w->prepared->initial_note);
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
								w->dataset->rows[PNEUMO_TRAIN], w->dataset->absent_rows[PNEUMO_TRAIN]);
	return true;
}

/* --------------------------------------------------------------- the end */

/* Ends the run after an error or a cancel; errors in here only reach the log. */
static void
finish_badly(PneumoWorker *w, const char *state, const char *message, const char *sqlstate)
{
	PneumoRunOutcome *outcome = &w->s->outcome;
	volatile bool there = true;

	strlcpy(outcome->state, state, sizeof(outcome->state));
	PG_TRY();
	{
		HOLD_CANCEL_INTERRUPTS(); /* another cancel changes nothing */
		pneumo_worker_begin_unchecked(w, false);
		if (w->row_written)
			there = pneumo_worker_has_extension(w) &&
					pneumo_run_finish(w->run, state, NULL, 0, NULL, message, sqlstate);
		if (there && w->model != NULL)
			pneumo_model_release(w->model, w->s->current_user, w->run);
		if (there && w->row_written)
			pneumo_worker_notify(w, state, NULL);
		pneumo_worker_commit(w);
		RESUME_CANCEL_INTERRUPTS();
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
	pneumo_worker_publish_end(w);
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

/* Takes the run through its life; errors are for the caller to handle. */
static void
run_training(PneumoWorker *w)
{
	bool there;

	if (!draw_run(w))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("extension \"pneumo\" does not exist")));
	pneumo_worker_acknowledge(w);
	if (!pneumo_worker_wait_for_caller(w))
	{
		strlcpy(w->s->outcome.state, "gone", sizeof(w->s->outcome.state));
		pneumo_worker_publish_end(w);
		return;
	}
	ereport(LOG, (errmsg("pneumo: run %lld %s on %s", (long long) w->run,
						 w->s->resume ? "continues" : "starts", (char *) w->s + w->s->source_offset)));

	w->build = pneumo_build_text();
	there = open_run(w);
	if (there)
	{
		read_data(w);
		there = check_data(w) && pneumo_worker_train(w);
	}
	if (!there)
	{
		ereport(LOG, (errmsg("pneumo: run %lld ends, the extension is gone", (long long) w->run)));
		pneumo_checkpoint_remove(w->run);
		strlcpy(w->s->outcome.state, "gone", sizeof(w->s->outcome.state));
		pneumo_worker_publish_end(w);
		return;
	}
	pneumo_worker_publish_end(w);
	ereport(LOG, (errmsg("pneumo: run %lld %s", (long long) w->run, w->s->outcome.state)));
}

/*
 * Turns off the timeouts of the role and the database, which are for statements
 * of people: a training lasts hours, and may wait as long for the caller's
 * commit.  The caller's own timeouts end the training through the caller.
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
