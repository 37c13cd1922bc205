/*-------------------------------------------------------------------------
 *
 * worker_train.c
 *	  The training itself: hooks of the network core, checkpoints, and the way
 *	  to the version.
 *
 * Between pneumo_worker_begin() and pneumo_worker_commit() a transaction is
 * open; while the core computes, none is.  A hook runs in the worker's main
 * thread and never lets an error out: it is kept, the hook asks for a stop,
 * and the error is thrown again once nn_train_run() has returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/pmsignal.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

#define CHECKPOINT_SECONDS 60
#define CHECK_SECONDS 2
#define LAST_CHECKPOINT_SECONDS 2

/* -------------------------------------------------------------------- hooks */

/* Keeps the error that is being handled, for after the core has returned. */
static void
keep_error(PneumoWorker *w)
{
	MemoryContextSwitchTo(w->cxt);
	if (w->error == NULL)
		w->error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(w->cxt);
}

static double
hook_auc(void *arg, const float *scores, size_t n)
{
	PneumoWorker *w = arg;
	volatile double auc = NAN;

	PG_TRY();
	{
		double found;

		if (pneumo_worker_auc(&found, w, scores, n))
			auc = found;
	}
	PG_CATCH();
	{
		keep_error(w);
	}
	PG_END_TRY();
	return auc;
}

static double
hook_clock(void *arg)
{
	(void) arg;
	return pneumo_seconds();
}

/* Asks for a stop if anything wants one: a cancel, an end of the process or the server, a kept error. */
static int
hook_poll(void *arg)
{
	PneumoWorker *w = arg;
	volatile int stop = 0;

	/* before a cancel: a caller that goes with the server cancels, but means no cancel */
	if (w->error != NULL || ProcDiePending || !PostmasterIsAlive())
		return 1;
	if (pneumo_slot_cancelled(w->slot) || QueryCancelPending)
	{
		w->cancelled = true;
		return 1;
	}

	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		stop = pneumo_worker_database_wanted(w);
	}
	PG_CATCH();
	{
		keep_error(w);
		stop = 1;
	}
	PG_END_TRY();
	return stop;
}

/* Returns whether to leave off a checkpoint: nobody who cancels should wait for that of a large network. */
static bool
checkpoint_is_stopped(void *arg)
{
	PneumoWorker *w = arg;

	return pneumo_slot_cancelled(w->slot) || QueryCancelPending || ProcDiePending || !PostmasterIsAlive();
}

/* Returns whether to leave off the last one, since those who want the database wait for five seconds only. */
static bool
last_checkpoint_is_stopped(void *arg)
{
	PneumoWorker *w = arg;

	return w->database_wanted != 0 && pneumo_seconds() - w->database_wanted > LAST_CHECKPOINT_SECONDS;
}

/* Saves a checkpoint.  With last, the run ends with it, so that a cancel does not break it off. */
static void
save_checkpoint(PneumoWorker *w, bool last)
{
	uint32 holdoff = QueryCancelHoldoffCount;

	PG_TRY();
	{
		(void) pneumo_checkpoint_write(&w->head, w->state,
									   last ? last_checkpoint_is_stopped : checkpoint_is_stopped, w);
		w->checkpoint_failed = false;
	}
	PG_CATCH();
	{
		ErrorData *error;

		/* the training is worth more than its insurance */
		QueryCancelHoldoffCount = holdoff; /* an error resets it */
		MemoryContextSwitchTo(w->cxt);
		error = CopyErrorData();
		FlushErrorState();
		if (!w->checkpoint_failed)
			pneumo_worker_warn(w,
							   psprintf(last ? "no checkpoint was written to continue from: %s"
											 : "no checkpoint was written, the training goes on without: %s",
										error->message));
		w->checkpoint_failed = true;
		FreeErrorData(error);
	}
	PG_END_TRY();
	w->has_checkpoint = true;
	w->last_checkpoint = pneumo_seconds();
}

static double
time_left(PneumoWorker *w, const NnProgress *progress)
{
	double done;
	double mean;

	if (progress->samples_per_second > 0 && w->n_epochs == 0)
		mean = (double) w->data.n[NN_TRAIN] / progress->samples_per_second;
	else if (w->n_epochs > 0)
		mean = w->epoch_seconds / w->n_epochs;
	else
		return NAN;
	done = progress->batches > 0 && !progress->validating
			   ? (double) progress->batch / (double) progress->batches
			   : 1;
	return mean * (progress->epochs - progress->epoch + 1 - done);
}

/* Stops the run if the extension was dropped; an epoch can be long. */
static int
check_extension(PneumoWorker *w)
{
	volatile int stop = 0;

	w->last_check = pneumo_seconds();
	PG_TRY();
	{
		pneumo_worker_begin(w, true);
		MemoryContextSwitchTo(CurTransactionContext);
		w->gone = !pneumo_worker_has_extension(w);
		pneumo_worker_commit(w);
		stop = w->gone;
	}
	PG_CATCH();
	{
		keep_error(w);
		stop = 1;
	}
	PG_END_TRY();
	return stop;
}

static int
hook_step(void *arg, const NnProgress *progress)
{
	PneumoWorker *w = arg;

	pneumo_slot_set_progress(w->slot, progress, time_left(w, progress));
	/* the first one after the first epoch, however short it was */
	if (!progress->validating && ((w->n_epochs == 1 && !w->has_checkpoint) ||
								  pneumo_seconds() - w->last_checkpoint >= CHECKPOINT_SECONDS))
		save_checkpoint(w, false);
	if (pneumo_seconds() - w->last_check >= CHECK_SECONDS)
		return check_extension(w);
	return 0;
}

/* Writes the epoch to the history and hands it to the caller. */
static int
hook_epoch(void *arg, const NnEpochLog *log)
{
	PneumoWorker *w = arg;
	volatile int stop = 0;
	char text[160];

	if (log->best || w->best.epoch == 0)
		w->best = *log;
	w->head.epoch = (uint32) log->epoch;
	w->n_epochs++;
	w->epoch_seconds += log->seconds + (isnan(log->val_seconds) ? 0 : log->val_seconds);

	PG_TRY();
	{
		pneumo_worker_begin(w, false);
		MemoryContextSwitchTo(CurTransactionContext); /* there may be many epochs */
		w->gone = !(pneumo_worker_has_extension(w) && pneumo_run_epoch(w->run, log, w->best.epoch));
		pneumo_worker_commit(w);
		if (w->gone)
			stop = 1;
	}
	PG_CATCH();
	{
		keep_error(w);
		stop = 1;
	}
	PG_END_TRY();
	if (stop)
		return 1;

	pneumo_worker_publish_epoch(w, log);
	snprintf(text, sizeof(text), "pneumo: run %lld, epoch %d/%d, loss %.4f, val_loss %.4f",
			 (long long) w->run, log->epoch, w->prepared->config->train.epochs, log->loss, log->val_loss);
	pgstat_report_activity(STATE_RUNNING, text);
	return 0;
}

/* ------------------------------------------------------------ preparation */

/* Fills the samples of both splits, in the order of the dataset, and the loader that reads them. */
static void
fill_data(PneumoWorker *w)
{
	const PneumoDataset *dataset = w->dataset;
	const PneumoConfig *config = w->prepared->config;
	bool weighted = w->prepared->source->col_weight > 0;
	NnSplit split;
	int64 i;

	for (split = NN_TRAIN; split <= NN_VALIDATION; split++)
	{
		PneumoSplit wanted = split == NN_TRAIN ? PNEUMO_TRAIN : PNEUMO_VALIDATION;
		size_t n = (size_t) dataset->split_rows[wanted];
		int32_t *label = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(int32_t));
		float *weight = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(float));
		uint8_t *target =
			dataset->multi_label ? MemoryContextAllocHuge(w->cxt, Max(1, n) * dataset->n_classes) : NULL;
		int64 *slot = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(int64));
		uint32 *number = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(uint32));
		size_t k = 0;
		int c;

		for (i = 0; i < dataset->n; i++)
		{
			if (dataset->samples[i].split != (int8) wanted)
				continue;
			for (c = 0; c < dataset->n_classes && target != NULL; c++)
				target[k * dataset->n_classes + c] = (uint8_t) pneumo_sample_target(&dataset->samples[i], c);
			label[k] = dataset->samples[i].label;
			weight[k] = dataset->samples[i].weight;
			slot[k] = dataset->samples[i].slot;
			number[k] = (uint32) i;
			k++;
		}
		w->data.n[split] = n;
		w->data.label[split] = label;
		w->data.target[split] = target;
		w->data.weight[split] = weighted ? weight : NULL;
		w->loader.slot[split] = slot;
		w->loader.number[split] = number;
	}
	w->loader.store = w->store;
	w->loader.preprocess = config->preprocess;
	w->loader.rescale = (float) config->rescale;
	w->loader.seed = config->train.seed;
	w->loader.ranges = config->augment;
	w->loader.augment = !img_augment_is_identity(&config->augment);
	w->loader.pixel_bytes = TYPEALIGN(NN_ALIGN, (size_t) config->preprocess.height *
													config->preprocess.width * config->preprocess.channels);
	w->data.load = pneumo_loader_load;
	w->data.load_arg = &w->loader;
	w->data.load_scratch_bytes = pneumo_loader_scratch_bytes(config);
}

/* Computes the hash of the network and of everything in the config that training depends on. */
static void
setup_digest(PneumoWorker *w, uint8 *digest)
{
	const PneumoConfig *config = w->prepared->config;
	const NnGraph *graph = w->prepared->graph;
	pg_cryptohash_ctx *ctx = pneumo_sha256_begin();
	int i;

	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo node;
		int n_params = 0;

		nn_graph_node(&node, graph, i);
		while (nn_op_info(node.op)->params[n_params].key != NULL)
			n_params++;
		pneumo_sha256_add(ctx, nn_op_info(node.op)->class_name, strlen(nn_op_info(node.op)->class_name) + 1);
		pneumo_sha256_add(ctx, &node.shape, sizeof(node.shape));
		pneumo_sha256_add(ctx, node.inputs, sizeof(int) * node.n_inputs);
		pneumo_sha256_add(ctx, node.params, sizeof(NnValue) * n_params);
	}
	pneumo_sha256_add(ctx, &config->train, sizeof(config->train));
	pneumo_sha256_add(ctx, &config->preprocess, sizeof(config->preprocess));
	pneumo_sha256_add(ctx, &config->rescale, sizeof(config->rescale));
	pneumo_sha256_add(ctx, &config->augment, sizeof(config->augment));
	if (w->prepared->initial_weights != NULL)
		pneumo_sha256_add(ctx, w->prepared->initial.sha256, PNEUMO_SHA256_LEN);
	pneumo_sha256_end(digest, ctx);
}

/* Reads the checkpoint to continue from, after checking that it fits. */
static void
load_checkpoint(PneumoWorker *w)
{
	PneumoCheckpointHead saved;
	const char *changed = NULL;

	if (!pneumo_checkpoint_read_head(w->run, &saved))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run %lld has no checkpoint to continue from", (long long) w->run)));
	if (memcmp(saved.fingerprint, w->head.fingerprint, PNEUMO_SHA256_LEN) != 0)
		changed = "the data";
	else if (memcmp(saved.setup, w->head.setup, PNEUMO_SHA256_LEN) != 0)
		changed = "the network or its settings";
	else if (saved.state_bytes != w->head.state_bytes)
		changed = "the format of the training's state";
	if (changed != NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run %lld cannot be continued: %s changed since it stopped",
							   (long long) w->run, changed),
						errhint("Start a new training.")));
	if (strcmp(saved.build, w->head.build) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("run %lld cannot be continued: the build changed since it stopped",
							   (long long) w->run),
						errdetail("It ran on \"%s\", this is \"%s\".", saved.build, w->head.build),
						errhint("Start a new training.")));
	pneumo_checkpoint_read_state(w->run, &saved, w->state);
	w->head.epoch = saved.epoch;
}

/* Recalls the best epoch so far of the part before the break. */
static void
recall_best(PneumoWorker *w)
{
	PneumoRunRow *row;
	NnEpochLog *logs;
	int n;
	int i;

	pneumo_worker_begin(w, false);
	pneumo_run_cut_epochs(w->run, (int) w->head.epoch);
	row = pneumo_run_read(w->run);
	n = pneumo_run_epochs(w->run, 0, &logs);
	for (i = 0; row != NULL && i < n; i++)
		if (logs[i].epoch == row->best_epoch || w->best.epoch == 0)
			w->best = logs[i];
	pneumo_worker_commit(w);
}

/* Plans the memory, creates the trainer (from the checkpoint if the run is resumed), starts its threads. */
static void
start_trainer(PneumoWorker *w)
{
	PneumoPrepared *p = w->prepared;
	PneumoAttempts attempts;
	NnTrainer *trainer;
	NnError error;
	NnStatus status;
	void *work;

	memset(&error, 0, sizeof(error));
	fill_data(w);
	pneumo_prepare_plan(p, &w->data);
	w->state = pneumo_worker_allocate(w, p->plan.state_bytes);
	work = pneumo_worker_allocate(w, p->plan.work_bytes);

	w->head.run = w->run;
	w->head.state_bytes = p->plan.state_bytes;
	memcpy(w->head.fingerprint, w->dataset->fingerprint, PNEUMO_SHA256_LEN);
	strlcpy(w->head.build, w->build, sizeof(w->head.build));
	setup_digest(w, w->head.setup);
	if (w->s->from_checkpoint)
	{
		load_checkpoint(w);
		recall_best(w);
	}

	trainer = pneumo_worker_allocate(w, nn_trainer_bytes());
	pneumo_attempts_begin(&attempts);
	do
		status = nn_trainer_init(trainer, p->graph, &p->config->train, &w->data, &p->plan, w->state, work,
								 p->threads, pneumo_path(), pneumo_blas_sgemm(), p->initial_weights,
								 w->s->from_checkpoint, attempts.stop, &error);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != NN_OK)
		pneumo_nn_ereport(&error);
	w->trainer = trainer;
	if (nn_trainer_start(trainer, &error) != NN_OK)
		pneumo_nn_ereport(&error);
}

/*
 * Marks the run cancelled at once, since the checkpoint of a large network takes a
 * while to write; false if the extension is gone.
 */
static bool
mark_cancelled(PneumoWorker *w)
{
	bool there;

	QueryCancelPending = false;
	pneumo_worker_begin(w, false);
	there =
		pneumo_worker_has_extension(w) && pneumo_run_finish(w->run, "cancelled", NULL, 0, NULL, NULL, NULL);
	pneumo_worker_commit(w);
	pneumo_worker_report(w, "saving a checkpoint");
	return there;
}

/*
 * Ends the run as the network core left it: saves a checkpoint of what was
 * interrupted, and stores the version.  False if the extension is gone.
 */
static bool
finish_training(PneumoWorker *w, const NnTrainHooks *hooks, NnStatus status, const NnError *error)
{
	if (w->gone)
	{
		NnTrainer *trainer = w->trainer;

		w->trainer = NULL;
		nn_trainer_stop(trainer);
		return false;
	}
	if (w->error != NULL && w->error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		w->cancelled = true;
	if (w->cancelled && !mark_cancelled(w))
		return false;
	if (status == NN_INTERRUPTED && nn_trainer_state_valid(w->trainer))
		save_checkpoint(w, true);
	if (!w->cancelled)
	{
		pneumo_worker_check_stop(w);
		if (status != NN_OK)
			pneumo_nn_ereport(error);
	}
	return pneumo_worker_store(w, hooks);
}

bool
pneumo_worker_train(PneumoWorker *w)
{
	NnTrainHooks hooks = {w, hook_poll, hook_step, hook_epoch, hook_auc, hook_clock};
	NnError error;
	NnStatus status;
	bool there;

	memset(&error, 0, sizeof(error));
	start_trainer(w);
	w->last_checkpoint = w->last_check = pneumo_seconds();
	pneumo_worker_report(w, "training");

	status = nn_train_run(w->trainer, &hooks, &error);

	/*
	 * What was learned is stored, however often the run is cancelled from here
	 * on.  The end of the process is let through, and so is an error, which
	 * also ends the hold.
	 */
	HOLD_CANCEL_INTERRUPTS();
	there = finish_training(w, &hooks, status, &error);
	RESUME_CANCEL_INTERRUPTS();
	QueryCancelPending = false;
	return there;
}
