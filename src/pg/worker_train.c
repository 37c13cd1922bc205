/*-------------------------------------------------------------------------
 *
 * worker_train.c
 *	  The training itself: hooks of the network core, checkpoints, and the
 *	  version at the end.
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
#include <time.h>

#include "pg/training.h"
#include "pg/worker.h"

#include "stats/stats.h"

#include "access/xact.h"
#include "commands/async.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"

#define CHECKPOINT_SECONDS 60
#define LOOK_SECONDS 2
#define CHANNEL "pneumo"

static double
clock_seconds(void *arg)
{
	struct timespec now;

	(void) arg;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

/* ------------------------------------------------------------- statistics */

static void *
stats_allocate(void *arg, size_t bytes)
{
	(void) arg;
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(bytes, 1),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
stats_release(void *arg, void *memory)
{
	(void) arg;
	if (memory != NULL)
		pfree(memory);
}

/* The whole of the validation side as stats.h wants it; false without memory. */
static bool
auc_of_scores(double *auc, const float *scores, const int32_t *labels, size_t n, int units, int n_classes)
{
	StatsEnv	env = {stats_allocate, stats_release, NULL, NULL};
	double	   *wide = stats_allocate(NULL, n * units * sizeof(double));
	size_t		i;
	bool		good = false;

	if (wide == NULL)
		return false;
	for (i = 0; i < n * units; i++)
		wide[i] = scores[i];
	if (units == 1)
	{
		uint8_t    *label = stats_allocate(NULL, n);
		StatsRows	rows = {wide, label, NULL, n};

		if (label != NULL)
		{
			for (i = 0; i < n; i++)
				label[i] = labels[i] != 0;
			good = stats_auc(auc, &rows, &env) == STATS_OK;
			pfree(label);
		}
	}
	else
	{
		StatsClassFigures figures;
		StatsClassRows rows = {wide, labels, NULL, n, n_classes};

		good = stats_class_figures(&figures, NULL, NULL, NULL, &rows, &env) == STATS_OK;
		*auc = figures.macro_auc;
	}
	pfree(wide);
	return good;
}

static double
hook_auc(void *arg, const float *scores, size_t n)
{
	PneumoWorker *w = arg;
	double		auc = NAN;

	if (!auc_of_scores(&auc, scores, w->data.label[NN_VALIDATION], n,
					   nn_graph_output_units(w->prepared->graph), w->dataset->n_classes))
		return NAN;
	return auc;
}

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

static int
hook_poll(void *arg)
{
	PneumoWorker *w = arg;
	volatile int stop = 0;

	if (pneumo_slot_cancelled(w->slot) || QueryCancelPending)
	{
		w->cancelled = true;
		return 1;
	}
	if (ProcDiePending || !PostmasterIsAlive())
		return 1;
	if (!InterruptPending && !ConfigReloadPending)
		return 0;

	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
	PG_CATCH();
	{
		keep_error(w);
		stop = 1;
	}
	PG_END_TRY();
	return stop;
}

static void
save_checkpoint(PneumoWorker *w)
{
	PG_TRY();
	{
		pneumo_checkpoint_write(&w->head, w->state);
	}
	PG_CATCH();
	{
		/* the training is worth more than its insurance */
		MemoryContextSwitchTo(w->cxt);
		if (!w->checkpoint_failed)
			EmitErrorReport();
		w->checkpoint_failed = true;
		FlushErrorState();
	}
	PG_END_TRY();
	w->has_checkpoint = true;
	w->last_checkpoint = clock_seconds(NULL);
}

static double
time_left(PneumoWorker *w, const NnProgress *progress)
{
	double		done;
	double		mean;

	if (progress->samples_per_second > 0 && w->n_epochs == 0)
		mean = (double) w->data.n[NN_TRAIN] / progress->samples_per_second;
	else if (w->n_epochs > 0)
		mean = w->epoch_seconds / w->n_epochs;
	else
		return NAN;
	done = progress->batches > 0 && !progress->validating ?
		(double) progress->batch / (double) progress->batches : 1;
	return mean * (progress->epochs - progress->epoch + 1 - done);
}

/* An epoch can be long: a dropped extension should not wait for its end. */
static int
look_at_extension(PneumoWorker *w)
{
	volatile int stop = 0;

	w->last_look = clock_seconds(NULL);
	PG_TRY();
	{
		pneumo_worker_begin(w, true);
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
	if (!progress->validating &&
		((w->n_epochs == 1 && !w->has_checkpoint) ||
		 clock_seconds(NULL) - w->last_checkpoint >= CHECKPOINT_SECONDS))
		save_checkpoint(w);
	if (clock_seconds(NULL) - w->last_look >= LOOK_SECONDS)
		return look_at_extension(w);
	return 0;
}

static int
hook_epoch(void *arg, const NnEpochLog *log)
{
	PneumoWorker *w = arg;
	volatile int stop = 0;
	char		text[160];

	if (log->best || w->best.epoch == 0)
		w->best = *log;
	w->head.epoch = (uint32) log->epoch;
	w->n_epochs++;
	w->epoch_seconds += log->seconds + (isnan(log->val_seconds) ? 0 : log->val_seconds);

	PG_TRY();
	{
		pneumo_worker_begin(w, false);
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

static void *
allocate_aligned(PneumoWorker *w, size_t bytes)
{
	char	   *memory = MemoryContextAllocHuge(w->cxt, bytes + NN_ALIGN);

	return (void *) TYPEALIGN(NN_ALIGN, memory);
}

/* The samples of both sides in the order of the dataset. */
static void
fill_data(PneumoWorker *w)
{
	const PneumoDataset *dataset = w->dataset;
	const PneumoConfig *config = w->prepared->config;
	bool		weighted = w->prepared->source->col_weight > 0;
	int			side;
	int64		i;

	for (side = NN_TRAIN; side <= NN_VALIDATION; side++)
	{
		PneumoSplit split = side == NN_TRAIN ? PNEUMO_TRAIN : PNEUMO_VALIDATION;
		size_t		n = (size_t) dataset->split_rows[split];
		int32_t    *label = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(int32_t));
		float	   *weight = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(float));
		int64	   *slot = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(int64));
		uint32	   *number = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(uint32));
		size_t		k = 0;

		for (i = 0; i < dataset->n; i++)
		{
			if (dataset->samples[i].split != (int8) split)
				continue;
			label[k] = dataset->samples[i].label;
			weight[k] = dataset->samples[i].weight;
			slot[k] = dataset->samples[i].slot;
			number[k] = (uint32) i;
			k++;
		}
		w->data.n[side] = n;
		w->data.label[side] = label;
		w->data.weight[side] = weighted ? weight : NULL;
		w->loader.slot[side] = slot;
		w->loader.number[side] = number;
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

/* Hash of the network and of everything in the config that training depends on. */
static void
setup_digest(PneumoWorker *w, uint8 *digest)
{
	const PneumoConfig *config = w->prepared->config;
	const NnGraph *graph = w->prepared->graph;
	pg_cryptohash_ctx *ctx = pneumo_sha256_begin();
	int			i;

	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo	node;
		int			n_params = 0;

		nn_graph_node(&node, graph, i);
		while (nn_op_info(node.op)->params[n_params].key != NULL)
			n_params++;
		pneumo_sha256_add(ctx, nn_op_info(node.op)->class_name,
						  strlen(nn_op_info(node.op)->class_name) + 1);
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
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %lld has no checkpoint to continue from", (long long) w->run)));
	if (memcmp(saved.fingerprint, w->head.fingerprint, PNEUMO_SHA256_LEN) != 0)
		changed = "the data";
	else if (memcmp(saved.setup, w->head.setup, PNEUMO_SHA256_LEN) != 0)
		changed = "the network or its settings";
	else if (saved.state_bytes != w->head.state_bytes)
		changed = "the format of the training's state";
	if (changed != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %lld cannot be continued: %s changed since it stopped",
						(long long) w->run, changed),
				 errhint("Start a new training.")));
	if (strcmp(saved.build, w->head.build) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %lld cannot be continued: the build changed since it stopped",
						(long long) w->run),
				 errdetail("It ran on \"%s\", this is \"%s\".", saved.build, w->head.build),
				 errhint("Start a new training.")));
	pneumo_checkpoint_read_state(w->run, &saved, w->state);
	w->head.epoch = saved.epoch;
}

/* The best epoch so far of the part before the break. */
static void
recall_best(PneumoWorker *w)
{
	PneumoRunRow *row;
	NnEpochLog *logs;
	int			n;
	int			i;

	pneumo_worker_begin(w, false);
	pneumo_run_cut_epochs(w->run, (int) w->head.epoch);
	row = pneumo_run_read(w->run);
	n = pneumo_run_epochs(w->run, 0, &logs);
	for (i = 0; row != NULL && i < n; i++)
		if (logs[i].epoch == row->best_epoch || w->best.epoch == 0)
			w->best = logs[i];
	pneumo_worker_commit(w);
}

static void
start_trainer(PneumoWorker *w)
{
	PneumoPrepared *p = w->prepared;
	NnTrainer  *trainer;
	NnError		error;
	void	   *work;

	memset(&error, 0, sizeof(error));
	fill_data(w);
	pneumo_prepare_plan(p, &w->data);
	w->state = allocate_aligned(w, p->plan.state_bytes);
	work = allocate_aligned(w, p->plan.work_bytes);

	w->head.run = w->run;
	w->head.state_bytes = p->plan.state_bytes;
	memcpy(w->head.fingerprint, w->dataset->fingerprint, PNEUMO_SHA256_LEN);
	strlcpy(w->head.build, w->build, sizeof(w->head.build));
	setup_digest(w, w->head.setup);
	if (w->s->resume)
	{
		load_checkpoint(w);
		recall_best(w);
	}

	trainer = allocate_aligned(w, nn_trainer_bytes());
	if (nn_trainer_init(trainer, p->graph, &p->config->train, &w->data, &p->plan, w->state, work,
						p->threads, pneumo_path(), pneumo_blas_sgemm(), p->initial_weights,
						w->s->resume, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	w->trainer = trainer;
	if (nn_trainer_start(trainer, &error) != NN_OK)
		pneumo_nn_ereport(&error);
}

/* ------------------------------------------------------------------ figures */

static void
add_number(StringInfo buf, const char *name, double number)
{
	if (!isnan(number))
		appendStringInfo(buf, ",\"%s\":%.9g", name, number);
}

/* The validation figures of the stored weights, as JSON and as one line. */
static Jsonb *
validation_figures(PneumoWorker *w, const float *scores, int epoch, StringInfo line)
{
	const PneumoDataset *dataset = w->dataset;
	size_t		n = w->data.n[NN_VALIDATION];
	int			units = nn_graph_output_units(w->prepared->graph);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"split\":\"validation\",\"used_for_selection\":true,\"epoch\":%d,"
					 "\"images\":%zu,\"groups\":%lld", epoch, n,
					 (long long) dataset->split_groups[PNEUMO_VALIDATION]);
	if (scores != NULL)
	{
		double		loss;
		double		accuracy;
		double		auc = NAN;

		nn_score_loss(&loss, &accuracy, scores, w->data.label[NN_VALIDATION], NULL, n, units, 0);
		(void) auc_of_scores(&auc, scores, w->data.label[NN_VALIDATION], n, units, dataset->n_classes);
		if (units == 1)
		{
			double		threshold = w->prepared->config->threshold;
			size_t		counts[2][2] = {{0, 0}, {0, 0}};
			double		sensitivity;
			double		specificity;
			size_t		i;

			for (i = 0; i < n; i++)
				counts[w->data.label[NN_VALIDATION][i] != 0][(double) scores[i] >= threshold]++;
			accuracy = (double) (counts[0][0] + counts[1][1]) / (double) n;
			sensitivity = (double) counts[1][1] / (double) (counts[1][0] + counts[1][1]);
			specificity = (double) counts[0][0] / (double) (counts[0][0] + counts[0][1]);
			add_number(&buf, "accuracy", accuracy);
			add_number(&buf, "sensitivity", sensitivity);
			add_number(&buf, "specificity", specificity);
			add_number(&buf, "auc", auc);
			add_number(&buf, "log_loss", loss);
			appendStringInfo(line, "accuracy %.4f, sensitivity %.4f, specificity %.4f, AUC %.4f, log loss %.4f",
							 accuracy, sensitivity, specificity, auc, loss);
		}
		else
		{
			add_number(&buf, "accuracy", accuracy);
			add_number(&buf, "auc", auc);
			add_number(&buf, "log_loss", loss);
			appendStringInfo(line, "accuracy %.4f, AUC %.4f (macro), log loss %.4f", accuracy, auc, loss);
		}
	}
	else if (w->best.epoch > 0 && n > 0)
	{
		add_number(&buf, "accuracy", w->best.val_accuracy);
		add_number(&buf, "auc", w->best.val_auc);
		add_number(&buf, "loss", w->best.val_loss);
	}
	appendStringInfoChar(&buf, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

static Jsonb *
provenance(PneumoWorker *w, int epoch)
{
	StringInfoData buf;
	Jsonb	   *part;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"build\":");
	escape_json(&buf, w->build);
	appendStringInfo(&buf, ",\"path\":\"%s\",\"blas\":", nn_path_name(pneumo_path()));
	escape_json(&buf, pneumo_blas_version());
	appendStringInfo(&buf, ",\"threads\":%d,\"epoch\":%d,\"source\":", w->prepared->threads, epoch);
	escape_json(&buf, w->prepared->source->name);
	appendStringInfo(&buf, ",\"fingerprint\":\"%s\"", pneumo_sha256_hex(w->dataset->fingerprint));
	part = pneumo_dataset_counts_json(w->dataset, false);
	appendStringInfo(&buf, ",\"rows\":%s", JsonbToCString(NULL, &part->root, VARSIZE(part)));
	part = pneumo_dataset_counts_json(w->dataset, true);
	appendStringInfo(&buf, ",\"groups\":%s", JsonbToCString(NULL, &part->root, VARSIZE(part)));
	if (w->prepared->config->initial_model != NULL)
		appendStringInfo(&buf, ",\"initial_version\":%lld", (long long) w->prepared->initial.version);
	appendStringInfo(&buf, ",\"config\":%s}",
					 JsonbToCString(NULL, &w->config_jsonb->root, VARSIZE(w->config_jsonb)));
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

/* ------------------------------------------------------------------ storing */

static void *
model_bytes(PneumoWorker *w, const float *weights, const PneumoModelMeta *meta, size_t *n_bytes)
{
	NnSection	sections[PNEUMO_META_SECTIONS];
	int			n = pneumo_meta_to_sections(sections, meta);
	NnError		error;
	void	   *bytes;

	memset(&error, 0, sizeof(error));
	if (nn_weights_check(weights, w->prepared->graph, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	*n_bytes = nn_model_bytes(w->prepared->graph, sections, n);
	bytes = allocate_aligned(w, *n_bytes);
	if (nn_model_write(bytes, *n_bytes, w->prepared->graph, weights, sections, n, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	return bytes;
}

/* Scores of the validation side by the weights that are stored; NULL without one. */
static float *
score_validation(PneumoWorker *w, const float *weights, const NnTrainHooks *hooks)
{
	size_t		n = w->data.n[NN_VALIDATION];
	float	   *scores;
	NnError		error;

	if (n == 0)
		return NULL;
	memset(&error, 0, sizeof(error));
	scores = MemoryContextAllocHuge(w->cxt, n * nn_graph_output_units(w->prepared->graph) *
									sizeof(float));
	if (nn_trainer_score(w->trainer, scores, weights, hooks, &error) != NN_OK)
	{
		if (w->error != NULL)
			ReThrowError(w->error);
		pneumo_nn_ereport(&error);
	}
	return scores;
}

static void
summarize(PneumoWorker *w, const PneumoVersionId *id, int epoch, const char *figures)
{
	PneumoRunOutcome *outcome = &w->s->outcome;
	const PneumoConfig *config = w->prepared->config;

	snprintf(outcome->summary, PNEUMO_RUN_TEXT, "model \"%s\" %s, from epoch %d%s%s", config->name,
			 id->deployed ? "deployed" : "stored", epoch, figures[0] ? ": validation " : "", figures);
	snprintf(outcome->summary_detail, PNEUMO_RUN_TEXT, "It is version %lld.%s", (long long) id->version,
			 figures[0] ? " The figures chose the epoch, so they flatter; pneumo_evaluate gives those of the test split." : "");
	if (!id->deployed)
		snprintf(outcome->hint, PNEUMO_RUN_TEXT, "Deploy it with pneumo_deploy(%s, %lld).",
				 quote_literal_cstr(config->name), (long long) id->version);
}

/* Stores weights as a version and ends the run; false if the extension is gone. */
static bool
store_version(PneumoWorker *w, const NnTrainHooks *hooks, bool cancelled)
{
	const PneumoConfig *config = w->prepared->config;
	PneumoModelMeta meta;
	PneumoNewVersion version;
	PneumoVersionId id;
	StringInfoData line;
	const float *weights;
	float	   *scores = NULL;
	int			epoch = 0;
	NnTrainer  *trainer = w->trainer;
	bool		there;
	const char *state = cancelled ? "cancelled" : "succeeded";

	initStringInfo(&line);
	memset(&version, 0, sizeof(version));
	memset(&id, 0, sizeof(id));
	weights = nn_trainer_result(trainer, &epoch);
	if (weights != NULL)
	{
		if (!cancelled)
			scores = score_validation(w, weights, hooks);
		memset(&meta, 0, sizeof(meta));
		meta.preprocess = config->preprocess;
		meta.rescale = (float) config->rescale;
		meta.n_classes = w->dataset->n_classes;
		meta.classes = w->dataset->classes;
		meta.precision = NN_PRECISION_FLOAT32;
		meta.calibration = PNEUMO_CALIBRATION_NONE;
		meta.calibration_a = 1;
		meta.threshold = config->threshold;
		meta.operating_point = psprintf("{\"threshold\": %.17g}", config->threshold);
		version.bytes = model_bytes(w, weights, &meta, &version.n_bytes);
	}
	w->trainer = NULL;
	nn_trainer_stop(trainer);

	pneumo_worker_report(w, "storing the version");
	pneumo_worker_begin(w, false);
	there = pneumo_worker_has_extension(w) && pneumo_run_read(w->run) != NULL;
	if (there)
	{
		if (weights != NULL)
		{
			version.model = config->name;
			version.owner = w->s->current_user;
			version.run = w->run;
			version.n_parameters = (int64) nn_graph_weight_count(w->prepared->graph);
			version.meta = &meta;
			version.metrics = validation_figures(w, scores, epoch, &line);
			version.provenance = provenance(w, epoch);
			version.comment = config->comment;
			version.manifest = pneumo_manifest_write(w->dataset, &version.manifest_bytes);
			version.deploy = config->deploy == PNEUMO_DEPLOY_YES && !cancelled;
			version.never_deploy = cancelled || config->deploy == PNEUMO_DEPLOY_NO;
			id = pneumo_version_store(&version);
		}
		pneumo_run_finish(w->run, state, id.version, epoch, version.metrics, NULL, NULL);
		Async_Notify(CHANNEL, psprintf("{\"run\": %lld, \"state\": \"%s\", \"version\": %lld}",
									   (long long) w->run, state, (long long) id.version));
	}
	pneumo_worker_commit(w);
	if (!there)
		return false;

	strlcpy(w->s->outcome.state, state, sizeof(w->s->outcome.state));
	if (!cancelled)
	{
		pneumo_checkpoint_remove(w->run);
		summarize(w, &id, epoch, line.data);
	}
	return true;
}

/*
 * Says at once that the run is cancelled: the checkpoint of a large network
 * takes a while to write.
 */
static bool
mark_cancelled(PneumoWorker *w)
{
	bool		there;

	QueryCancelPending = false;
	pneumo_worker_begin(w, false);
	there = pneumo_worker_has_extension(w) &&
		pneumo_run_finish(w->run, "cancelled", 0, 0, NULL, NULL, NULL);
	pneumo_worker_commit(w);
	pneumo_worker_report(w, "saving a checkpoint");
	return there;
}

bool
pneumo_worker_train(PneumoWorker *w)
{
	NnTrainHooks hooks = {w, hook_poll, hook_step, hook_epoch, hook_auc, clock_seconds};
	NnError		error;
	NnStatus	status;

	memset(&error, 0, sizeof(error));
	start_trainer(w);
	w->last_checkpoint = w->last_look = clock_seconds(NULL);
	pneumo_worker_report(w, "training");

	status = nn_train_run(w->trainer, &hooks, &error);

	if (w->gone)
	{
		NnTrainer  *trainer = w->trainer;

		w->trainer = NULL;
		nn_trainer_stop(trainer);
		return false;
	}
	if (w->error != NULL && w->error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		w->cancelled = true;
	if (w->cancelled && !mark_cancelled(w))
		return false;
	if (status == NN_INTERRUPTED && nn_trainer_state_valid(w->trainer))
		save_checkpoint(w);
	if (w->cancelled)
		return store_version(w, &hooks, true);
	if (w->error != NULL)
		ReThrowError(w->error);
	if (!PostmasterIsAlive())
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (status != NN_OK)
		pneumo_nn_ereport(&error);
	return store_version(w, &hooks, false);
}
