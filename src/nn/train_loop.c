/*-------------------------------------------------------------------------
 *
 * train_loop.c
 *	  The training loop: epochs, batches, validation, callbacks.
 *
 * With steps_per_epoch, an epoch takes the first that many batches of its
 * permutation.  An epoch ends with the validation; a state whose step is the
 * epoch's last resumes there.
 *
 *-------------------------------------------------------------------------
 */
#include "batch.h"
#include "callbacks.h"
#include "engine.h"
#include "error.h"
#include "graph.h"
#include "losses.h"
#include "penalties.h"
#include "nn.h"
#include "optimizers.h"
#include "plan.h"
#include "pool.h"
#include "random.h"
#include "schedules.h"
#include "state.h"
#include "train_step.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

/* --------------------------------------------------------------- the hooks */

static double
now(const NnTrainHooks *hooks)
{
	return hooks != NULL && hooks->clock != NULL ? hooks->clock(hooks->arg) : 0.0;
}

static int
poll_caller(NnTrainer *t, void *arg)
{
	const NnTrainHooks *hooks = arg;

	(void) t;
	return hooks != NULL && hooks->poll != NULL ? hooks->poll(hooks->arg) : 0;
}

static double
running_mean(double sum, double count)
{
	return count > 0 ? sum / count : 0.0;
}

static int
report_progress(NnTrainer *t, const NnTrainHooks *hooks, int validating, size_t done, size_t total,
				double samples)
{
	NnProgress progress;
	double elapsed = now(hooks) - t->started;

	if (hooks == NULL || hooks->step == NULL)
		return 0;
	progress.epoch = t->state->epoch + 1;
	progress.epochs = t->config.epochs;
	progress.batch = done;
	progress.batches = total;
	progress.validating = validating;
	progress.loss = running_mean(t->state->loss_sum, t->state->sample_sum);
	progress.samples_per_second = elapsed > 0 ? samples / elapsed : 0.0;
	return hooks->step(hooks->arg, &progress);
}

static NnStatus
interrupted(NnError *error)
{
	return nn_fail(error, NN_INTERRUPTED, -1, "", "training was interrupted");
}

static NnStatus
load_failed(NnError *error)
{
	return nn_fail(error, NN_LOAD_FAILED, -1, "", "a sample could not be loaded");
}

/* -------------------------------------------------------------- validation */

static size_t
validation_items(const NnTrainer *t, const NnStep *step)
{
	(void) step;
	return (t->data.n[NN_VALIDATION] + (size_t) t->val_rows - 1) / (size_t) t->val_rows;
}

/* Scores a batch of rows, which share one reading of the weights and nothing else. */
static void
validate_rows(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	size_t units = (size_t) t->units;
	size_t in = nn_shape_floats(&t->graph->nodes[0].shape);
	size_t first = item * (size_t) t->val_rows;
	size_t left = t->data.n[NN_VALIDATION] - first;
	int n = left < (size_t) t->val_rows ? (int) left : t->val_rows;
	int i;

	(void) step;
	for (i = 0; i < n; i++)
	{
		if (nn_pool_stopping(&t->pool))
			return;
		if (t->data.load(t->data.load_arg, worker->samples + (size_t) i * in, NN_VALIDATION,
						 first + (size_t) i, t->state->epoch, worker->load_scratch) != 0)
		{
			atomic_store(&t->load_failed, 1);
			nn_pool_request_stop(&t->pool);
			return;
		}
	}
	nn_engine_samples(t->score_dst + first * units, t->val_logits + first * units, NULL, worker->samples, n,
					  &t->engine, worker->engine_scratch, &t->pool.stop);
	atomic_fetch_add(&t->val_done, (size_t) n);
}

static int
validation_tick(NnTrainer *t, void *arg)
{
	const NnTrainHooks *hooks = arg;
	size_t done = atomic_load(&t->val_done);

	if (poll_caller(t, arg) != 0)
		return 1;
	return report_progress(t, hooks, 1, done, t->data.n[NN_VALIDATION], (double) done);
}

/* Packs the weights for validation: in the pool, so that the caller is polled meanwhile. */
static void
pack_weights(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	(void) step;
	(void) item;
	(void) worker;
	t->once = nn_engine_pack(t->engine_packed, t->graph, t->engine.weights, t->path, t->config.precision,
							 &t->pool.stop, &t->once_error);
	if (t->once != NN_OK)
		nn_pool_request_stop(&t->pool);
}

/* Checks the weights in the pool, for the same reason. */
static void
check_weights(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	(void) step;
	(void) item;
	(void) worker;
	t->once = nn_weights_check(t->weights, t->graph, &t->pool.stop, &t->once_error);
}

/* Returns what became of the work that a program does once; error gets its message. */
static NnStatus
once_status(const NnTrainer *t, NnError *error)
{
	if (t->once == NN_INTERRUPTED)
		return interrupted(error);
	if (t->once != NN_OK && error != NULL)
		*error = t->once_error;
	return t->once;
}

static NnStatus
check_in_pool(NnTrainer *t, const NnTrainHooks *hooks, NnError *error)
{
	static const NnPhase phase = {nn_one_item, check_weights, NULL, 0};
	static const NnProgram program = {&phase, 1, 0, NULL};

	t->once = NN_INTERRUPTED;
	nn_pool_run(&t->pool, &program, poll_caller, (void *) hooks);
	return once_status(t, error);
}

static NnStatus
score_split(NnTrainer *t, float *scores, const float *weights, const NnTrainHooks *hooks, NnError *error)
{
	static const NnPhase phases[] = {
		{nn_one_item, pack_weights, NULL, 0},
		{validation_items, validate_rows, NULL, 0},
	};
	static const NnProgram program = {phases, 2, 0, NULL};

	t->once = NN_INTERRUPTED;
	t->engine.weights = weights;
	t->engine.packed = t->engine_packed;
	t->score_dst = scores;
	atomic_store(&t->val_done, 0);
	atomic_store(&t->load_failed, 0);
	nn_pool_run(&t->pool, &program, validation_tick, (void *) hooks);
	if (t->once != NN_OK)
		return once_status(t, error);
	if (atomic_load(&t->load_failed))
		return load_failed(error);
	return nn_pool_stopping(&t->pool) ? interrupted(error) : NN_OK;
}

NnStatus
nn_trainer_score(NnTrainer *trainer, float *scores, const float *weights, const NnTrainHooks *hooks,
				 NnError *error)
{
	trainer->started = now(hooks);
	return score_split(trainer, scores, weights, hooks, error);
}

const float *
nn_trainer_logits(const NnTrainer *trainer)
{
	return trainer->val_logits;
}

/* Fills loss and accuracy of the validation split's findings: means over the known ones. */
static void
validate_findings(const NnTrainer *t, NnEpochLog *log)
{
	size_t n = t->data.n[NN_VALIDATION];
	size_t units = (size_t) t->units;
	const uint8_t *target = t->data.target[NN_VALIDATION];
	double known = (double) nn_known_targets(target, n * units);
	NnTrainConfig plain = {.label_smoothing = t->config.label_smoothing};
	double sum = 0.0;
	size_t right = 0;
	size_t i;

	for (i = 0; i < units; i++)
		plain.class_weight[i] = plain.negative_weight[i] = 1.0;
	for (i = 0; i < n; i++)
	{
		double weight = t->data.weight[NN_VALIDATION] != NULL ? t->data.weight[NN_VALIDATION][i] : 1.0;
		int correct;

		sum += nn_loss_findings(NULL, &correct, t->val_logits + i * units, t->units, target + i * units,
								&plain, weight, known);
		right += (size_t) correct;
	}
	log->val_loss = known > 0 ? sum / known : NAN;
	log->val_accuracy = known > 0 ? (double) right / known : NAN;
}

/* Fills loss and accuracy of the validation split's classes. */
static void
validate_classes(const NnTrainer *t, NnEpochLog *log)
{
	size_t n = t->data.n[NN_VALIDATION];
	double sum = 0.0;
	size_t right = 0;
	size_t i;

	for (i = 0; i < n; i++)
	{
		int correct;
		double loss = nn_loss_logits(NULL, &correct, t->val_logits + i * (size_t) t->units, t->units,
									 t->data.label[NN_VALIDATION][i], t->config.label_smoothing, 0.0);

		if (t->data.weight[NN_VALIDATION] != NULL)
			loss *= t->data.weight[NN_VALIDATION][i];
		sum += loss;
		right += (size_t) correct;
	}
	log->val_loss = sum / (double) n;
	log->val_accuracy = (double) right / (double) n;
}

/* Scores the validation split and computes its loss, accuracy and AUC; NaN where there is no split. */
static NnStatus
validate(NnTrainer *t, NnEpochLog *log, const NnTrainHooks *hooks, NnError *error)
{
	size_t n = t->data.n[NN_VALIDATION];
	double start = now(hooks);
	NnStatus status;

	log->val_loss = log->val_accuracy = log->val_auc = NAN;
	log->val_seconds = 0.0;
	if (n == 0)
		return NN_OK;
	t->started = start;
	status = score_split(t, t->val_scores, t->weights, hooks, error);
	if (status != NN_OK)
		return status;
	if (t->data.target[NN_VALIDATION] != NULL)
		validate_findings(t, log);
	else
		validate_classes(t, log);
	log->val_loss += nn_graph_penalty(t->graph, t->weights);
	if (hooks != NULL && hooks->auc != NULL)
		log->val_auc = hooks->auc(hooks->arg, t->val_scores, n);
	log->val_seconds = now(hooks) - start;
	return NN_OK;
}

/* ----------------------------------------------------------------- batches */

static int
batch_samples(const NnTrainer *t, size_t step)
{
	size_t first = step * (size_t) t->config.batch_size;
	size_t left = t->data.n[NN_TRAIN] - first;

	return left < (size_t) t->config.batch_size ? (int) left : t->config.batch_size;
}

static void
set_next(NnTrainer *t, size_t step)
{
	t->next_first = step * (size_t) t->config.batch_size;
	t->n_next = step < t->n_steps ? batch_samples(t, step) : 0;
}

static size_t
load_items(const NnTrainer *t, const NnStep *step)
{
	(void) step;
	return (size_t) t->n_next;
}

static void
load_item(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	(void) step;
	nn_step_background(t, item, worker);
}

/* Makes the batch that was loaded last the current one. */
static void
take_next(NnTrainer *t)
{
	t->current = 1 - t->current;
	t->first = t->next_first;
	t->n = t->n_next;
}

/* Loads the batch of a step with nothing to compute meanwhile. */
static NnStatus
load_batch(NnTrainer *t, size_t step, const NnTrainHooks *hooks, NnError *error)
{
	static const NnPhase phase = {load_items, load_item, NULL, 0};
	static const NnProgram program = {&phase, 1, 0, NULL};

	set_next(t, step);
	nn_pool_run(&t->pool, &program, poll_caller, (void *) hooks);
	if (atomic_load(&t->load_failed))
		return load_failed(error);
	if (nn_pool_stopping(&t->pool))
		return interrupted(error);
	take_next(t);
	return NN_OK;
}

/* Runs one step; the state is whole afterwards, whatever is returned. */
static NnStatus
run_step(NnTrainer *t, const NnTrainHooks *hooks, NnError *error)
{
	NnState *s = t->state;
	double rate = nn_schedule_rate(&t->config.optimizer, s->rate, s->iteration);
	int done;

	set_next(t, (size_t) s->step + 1);
	t->program.n_background = (size_t) t->n_next;
	nn_update_init(&t->update, &t->config.optimizer, rate, s->iteration);
	done = nn_pool_run(&t->pool, &t->program, poll_caller, (void *) hooks);
	if (t->not_finite)
		return nn_fail(error, NN_NOT_FINITE, -1, "A lower learning_rate or clipnorm may help.",
					   "the loss is not finite in batch %llu of epoch %d", (unsigned long long) s->step + 1,
					   s->epoch + 1);
	if (done)
	{
		s->loss_sum += t->batch_loss;
		s->correct_sum += t->batch_correct;
		s->sample_sum += t->n;
		s->iteration++;
		s->step++;
		t->updating = 0;
	}
	if (atomic_load(&t->load_failed))
		return load_failed(error);
	if (nn_pool_stopping(&t->pool))
		return interrupted(error);
	take_next(t);
	return NN_OK;
}

static NnStatus
run_steps(NnTrainer *t, const NnTrainHooks *hooks, NnError *error)
{
	NnState *s = t->state;
	double start = now(hooks);
	double samples = 0.0;
	NnStatus status;

	if (s->step >= t->n_steps)
		return NN_OK;
	t->started = start;
	status = load_batch(t, (size_t) s->step, hooks, error);
	while (status == NN_OK && s->step < t->n_steps)
	{
		double before = now(hooks);

		samples += t->n;
		status = run_step(t, hooks, error);
		s->seconds += now(hooks) - before;
		if (status == NN_OK && (report_progress(t, hooks, 0, (size_t) s->step, t->n_steps, samples) != 0 ||
								poll_caller(t, (void *) hooks) != 0))
			status = interrupted(error);
	}
	return status;
}

/* ------------------------------------------------------------------ epochs */

static double
monitored(const NnEpochLog *log, NnMonitor monitor)
{
	switch (monitor)
	{
		case NN_MONITOR_VAL_LOSS:
			return log->val_loss;
		case NN_MONITOR_VAL_ACCURACY:
			return log->val_accuracy;
		case NN_MONITOR_VAL_AUC:
			return log->val_auc;
	}
	return NAN;
}

/* Runs early stopping and plateau; without a validation split neither does anything. */
static void
run_callbacks(NnTrainer *t, NnEpochLog *log)
{
	NnState *s = t->state;
	int stop, save;

	log->best = 0;
	if (t->data.n[NN_VALIDATION] == 0)
		return;
	stop =
		nn_stopping_update(&s->stopping, &t->config, s->epoch, monitored(log, t->config.es_monitor), &save);
	log->best = save;
	if (save && t->best != NULL)
	{
		memcpy(t->best, t->weights, t->graph->n_weights * sizeof(float));
		s->best_epoch = s->epoch + 1;
	}
	if (stop && t->config.early_stopping)
		s->finished = 1;
	if (t->config.plateau)
		s->rate = nn_plateau_update(&s->plateau, &t->config, monitored(log, t->config.rlr_monitor), s->rate);
}

/* Moves to the next epoch: nothing of the last one is left in the running sums. */
static void
next_epoch(NnState *s)
{
	s->epoch++;
	s->step = 0;
	s->loss_sum = s->correct_sum = s->sample_sum = s->seconds = 0.0;
}

static NnStatus
end_epoch(NnTrainer *t, const NnTrainHooks *hooks, NnError *error)
{
	NnState *s = t->state;
	NnEpochLog log;
	NnStatus status = check_in_pool(t, hooks, error);

	memset(&log, 0, sizeof(log));
	if (status == NN_OK)
		status = validate(t, &log, hooks, error);
	if (status != NN_OK)
		return status;
	log.epoch = s->epoch + 1;
	log.loss = running_mean(s->loss_sum, s->sample_sum);
	log.accuracy = running_mean(s->correct_sum, s->sample_sum);
	log.learning_rate =
		nn_schedule_rate(&t->config.optimizer, s->rate, s->iteration > 0 ? s->iteration - 1 : 0);
	log.seconds = s->seconds;
	t->updating = 1;
	run_callbacks(t, &log);
	next_epoch(s);
	t->updating = 0;
	log.last = (s->finished || s->epoch >= t->config.epochs);
	if (hooks != NULL && hooks->epoch != NULL && hooks->epoch(hooks->arg, &log) != 0)
		return interrupted(error);
	return NN_OK;
}

NnStatus
nn_train_run(NnTrainer *trainer, const NnTrainHooks *hooks, NnError *error)
{
	NnState *s = trainer->state;
	NnStatus status = NN_OK;

	trainer->hooks = hooks;
	trainer->not_finite = 0;
	atomic_store(&trainer->load_failed, 0);
	while (status == NN_OK && !s->finished && s->epoch < trainer->config.epochs)
	{
		if (trainer->config.shuffle && trainer->order_epoch != s->epoch)
		{
			nn_random_permutation(trainer->order, trainer->data.n[NN_TRAIN], trainer->config.seed,
								  (uint32_t) s->epoch);
			trainer->order_epoch = s->epoch;
		}
		status = run_steps(trainer, hooks, error);
		if (status == NN_OK)
			status = end_epoch(trainer, hooks, error);
	}
	return status;
}
