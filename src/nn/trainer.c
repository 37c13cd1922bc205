/*-------------------------------------------------------------------------
 *
 * trainer.c
 *	  Setting up a training run: checks, memory, start and stop.
 *
 * The work memory is laid out by one function that either counts (base NULL)
 * or hands out, so that plan and trainer cannot differ.
 *
 *-------------------------------------------------------------------------
 */
#include "batch.h"
#include "callbacks.h"
#include "engine.h"
#include "error.h"
#include "graph.h"
#include "kernels/kernels.h"
#include "nn.h"
#include "op.h"
#include "optimizers.h"
#include "penalties.h"
#include "plan.h"
#include "pool.h"
#include "sizes.h"
#include "state.h"
#include "stop.h"
#include "train_step.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ checks */

static NnStatus
check_callbacks(const NnTrainConfig *c, NnError *error)
{
	if (c->early_stopping && (c->es_patience < 0 || c->es_start_from_epoch < 0 || !isfinite(c->es_min_delta)))
		return nn_fail(
			error, NN_BAD_ARGUMENT, -1, "",
			"early_stopping needs patience and start_from_epoch of at least 0 and a finite min_delta");
	if (!c->plateau)
		return NN_OK;
	if (!(c->rlr_factor > 0 && c->rlr_factor < 1))
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "factor of reduce_lr_on_plateau is %g, but must be above 0 and below 1",
					   c->rlr_factor);
	if (c->rlr_patience < 0 || c->rlr_cooldown < 0 || !(c->rlr_min_lr >= 0) || !isfinite(c->rlr_min_delta))
		return nn_fail(
			error, NN_BAD_ARGUMENT, -1, "",
			"reduce_lr_on_plateau needs patience, cooldown and min_lr of at least 0 and a finite min_delta");
	if (c->optimizer.cosine_decay)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "Leave one of the two out.",
					   "reduce_lr_on_plateau cannot go with a learning rate schedule");
	return NN_OK;
}

NnStatus
nn_train_check(const NnTrainConfig *c, const NnGraph *graph, NnError *error)
{
	NnStatus status;
	size_t trainable = 0;
	int i;

	if (!graph->finished)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "the network is not complete");
	if (c->epochs < 1 || c->epochs > 1000000)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "epochs is %d, but must be between 1 and 1000000",
					   c->epochs);
	if (c->batch_size < 1 || c->batch_size > 65536)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "batch_size is %d, but must be between 1 and 65536",
					   c->batch_size);
	if (c->steps_per_epoch < 0)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "steps_per_epoch is %d, but must be positive",
					   c->steps_per_epoch);
	if (!(c->label_smoothing >= 0 && c->label_smoothing <= 1))
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "label_smoothing is %g, but must be between 0 and 1",
					   c->label_smoothing);
	for (i = 0; i < nn_graph_class_count(graph); i++)
		if (!(c->class_weight[i] >= 0 && c->class_weight[i] <= 1e9))
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
						   "class weight %d is %g, but must be between 0 and 1e9", i, c->class_weight[i]);
	for (i = 0; i < graph->n_nodes; i++)
		trainable = nn_add_size(trainable, graph->nodes[i].n_trainable);
	if (trainable == 0)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "Leave \"trainable\" out of at least one layer.",
					   "no layer with weights is trainable");
	status = nn_optimizer_check(&c->optimizer, error);
	if (status == NN_OK)
		status = check_callbacks(c, error);
	return status;
}

/* Checks the targets of a split against the network's last layer. */
static NnStatus
check_targets(const NnTrainConfig *config, const NnTrainData *data, int split, const NnGraph *graph,
			  NnError *error)
{
	size_t n = data->n[split] * (size_t) graph->units;
	size_t i;

	if (data->target[split] == NULL)
	{
		if (data->label[split] != NULL && nn_graph_is_multi_label(graph))
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
						   "the network tells %d findings, but the samples have a class each", graph->units);
		return NN_OK;
	}
	if (graph->output_activation != NN_SIGMOID)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "the network tells classes, but the samples have findings");
	for (i = 0; i < n; i++)
		if (data->target[split][i] > NN_UNKNOWN)
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "sample %zu has target %d, but it can be 0 to %d",
						   i / (size_t) graph->units, (int) data->target[split][i], NN_UNKNOWN);
	for (i = 0; i < (size_t) graph->units; i++)
		if (!(config->negative_weight[i] >= 0 && config->negative_weight[i] <= 1e9))
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
						   "negative weight %zu is %g, but must be between 0 and 1e9", i,
						   config->negative_weight[i]);
	return NN_OK;
}

static NnStatus
check_data(const NnTrainConfig *config, const NnTrainData *data, const NnGraph *graph, NnError *error)
{
	int classes = nn_graph_class_count(graph);
	size_t batches = (data->n[NN_TRAIN] + (size_t) config->batch_size - 1) / (size_t) config->batch_size;
	int split;
	size_t i;

	if (data->n[NN_TRAIN] < 1 || data->n[NN_TRAIN] > UINT32_MAX || data->n[NN_VALIDATION] > UINT32_MAX)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "the training split has %zu samples",
					   data->n[NN_TRAIN]);
	if ((size_t) config->steps_per_epoch > batches)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "Leave it out to use all samples in each epoch.",
					   "steps_per_epoch is %d, but %zu training samples make only %zu batches",
					   config->steps_per_epoch, data->n[NN_TRAIN], batches);
	for (split = 0; split < 2; split++)
	{
		NnStatus status = check_targets(config, data, split, graph, error);

		if (status != NN_OK)
			return status;
		for (i = 0; i < data->n[split]; i++)
		{
			if (data->target[split] == NULL && data->label[split] != NULL &&
				(data->label[split][i] < 0 || data->label[split][i] >= classes))
				return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
							   "sample %zu has label %d, but there are %d classes", i,
							   (int) data->label[split][i], classes);
			if (data->weight[split] != NULL &&
				!(data->weight[split][i] >= 0 && isfinite(data->weight[split][i])))
				return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "sample %zu has weight %g", i,
							   (double) data->weight[split][i]);
		}
	}
	return NN_OK;
}

/* ------------------------------------------------------------------ memory */

typedef struct Carver
{
	char *base; /* NULL: only count */
	size_t used;
} Carver;

static void *
carve(Carver *carver, size_t bytes)
{
	char *piece = carver->base != NULL ? carver->base + carver->used : NULL;

	carver->used = nn_grow(carver->used, bytes);
	return piece;
}

#define VALIDATION_ROWS 16 /* samples of an item of validation */

/* Computes the largest sizes over the steps, and the sum of what every step keeps. */
static void
step_sizes(const NnTrainer *t, size_t *keep, size_t *shared, size_t *partial)
{
	const NnStep *steps = nn_plan_steps(t->plan);
	int s;

	*keep = *shared = *partial = 0;
	for (s = 0; s < t->plan->n_steps; s++)
	{
		const NnNode *node = &t->graph->nodes[steps[s].node];
		const NnOp *op = nn_node_op(node);
		size_t bytes;

		if (t->keep_offset != NULL)
			t->keep_offset[s] = *keep;
		if (op->keep_bytes != NULL)
			*keep = nn_grow(*keep, op->keep_bytes(node));
		bytes = op->shared_bytes != NULL ? op->shared_bytes(node, t->config.batch_size) : 0;
		if (bytes > *shared)
			*shared = bytes;
		if (op->train_backward == NULL && steps[s].need_weights)
		{
			size_t floats =
				op->partial_floats != NULL ? op->partial_floats(node, &steps[s], t->path) : node->n_weights;

			floats = nn_mul_size(nn_align_size(floats * sizeof(float)), NN_CHUNKS);
			if (floats > *partial)
				*partial = floats;
		}
	}
}

/*
 * Returns the floats of the gradient block.  Where nodes apply their gradients
 * as they are made (train_weights, not kept), the block ends with the last
 * weight of the others.
 */
static size_t
gradient_floats(const NnTrainer *t)
{
	size_t n = 0;
	int i;

	if (t->keep_gradients)
		return t->graph->n_weights;
	for (i = 0; i < t->graph->n_nodes; i++)
	{
		const NnNode *node = &t->graph->nodes[i];

		if (node->n_trainable > 0 && nn_node_op(node)->train_weights == NULL)
			n = node->weights + node->n_weights;
	}
	return n;
}

/* Returns the bytes that a thread needs to validate n samples at a time. */
static size_t
validation_bytes(const NnTrainer *t, int n)
{
	NnEngine engine = {t->graph, NULL, NULL, t->path, t->config.precision};
	size_t in = nn_mul_size(nn_shape_floats(&t->graph->nodes[0].shape), sizeof(float));

	return nn_grow(nn_align_size(nn_engine_scratch_bytes(&engine, n)), nn_mul_size(in, (size_t) n));
}

/* Returns the most samples at a time that the training's activations, idle meanwhile, have room for. */
static int
validation_rows(const NnTrainer *t, size_t arena, int n_threads)
{
	size_t share = (t->data.n[NN_VALIDATION] + (size_t) n_threads - 1) / (size_t) n_threads;
	int n = VALIDATION_ROWS;

	while (n > 1 && ((size_t) n > share || nn_mul_size(validation_bytes(t, n), (size_t) n_threads) > arena))
		n /= 2;
	return n;
}

/* Lays out the activations of a batch; the same memory serves validation between two epochs. */
static void
lay_out_arena(NnTrainer *t, Carver *c, int n_threads)
{
	size_t arena = nn_mul_size(t->plan->arena_bytes, (size_t) t->config.batch_size);
	size_t each;
	size_t all;
	int i;

	t->val_rows = validation_rows(t, arena, n_threads);
	each = validation_bytes(t, t->val_rows);
	all = nn_mul_size(each, (size_t) n_threads);
	t->arena = carve(c, all > arena ? all : arena);
	if (c->base == NULL)
		return;
	for (i = 0; i < n_threads; i++)
	{
		char *own = t->arena + (size_t) i * each;
		size_t in = nn_shape_floats(&t->graph->nodes[0].shape) * sizeof(float);

		t->pool.workers[i].samples = (float *) own;
		t->pool.workers[i].engine_scratch = own + nn_align_size(in * (size_t) t->val_rows);
	}
}

static void
lay_out_workers(NnTrainer *t, Carver *c, int n_threads)
{
	size_t scratch = nn_plan_scratch_bytes(t->plan, t->graph, t->path, NN_PRECISION_FLOAT32);
	NnWorker *workers = carve(c, (size_t) n_threads * sizeof(NnWorker));
	int i;

	for (i = 0; i < n_threads; i++)
	{
		NnWorker w = {0};

		w.index = i;
		w.scratch = carve(c, scratch);
		w.load_scratch = carve(c, t->data.load_scratch_bytes);
		if (c->base != NULL)
			workers[i] = w;
	}
	t->pool.workers = workers;
}

/* Lays out the work memory and returns its bytes; with base NULL it only counts. */
static size_t
lay_out(NnTrainer *t, void *base, int n_threads)
{
	Carver c = {base, 0};
	size_t n_steps = (size_t) t->plan->n_steps;
	size_t batch = (size_t) t->config.batch_size;
	size_t in = nn_mul_size(nn_shape_floats(&t->graph->nodes[0].shape), sizeof(float));
	size_t scores = nn_mul_size(t->data.n[NN_VALIDATION], (size_t) t->graph->units * sizeof(float));
	size_t keep, shared, partial;

	t->keep_offset = carve(&c, n_steps * sizeof(size_t));
	t->packed_offset = carve(&c, n_steps * sizeof(size_t));
	t->phases = carve(&c, (size_t) nn_step_phase_limit(t->graph) * sizeof(NnPhase));
	step_sizes(t, &keep, &shared, &partial);
	t->keep = carve(&c, keep);
	t->shared = carve(&c, shared);
	t->partial = carve(&c, partial);
	lay_out_workers(t, &c, n_threads);
	lay_out_arena(t, &c, n_threads);
	t->packed = carve(&c, nn_packed_layout(t->packed_offset, t->plan, t->graph, NN_TRAINING, t->path,
										   NN_PRECISION_FLOAT32));
	t->gradients = carve(&c, nn_mul_size(gradient_floats(t), sizeof(float)));
	t->n_blocks = nn_step_update_blocks(NULL, &t->n_block_variables, t->graph, t->keep_gradients);
	t->blocks = carve(&c, t->n_blocks * sizeof(NnUpdateBlock));
	t->block_sums = carve(&c, t->n_blocks * sizeof(double));
	t->scales = carve(&c, (size_t) t->n_block_variables * sizeof(float));
	t->input[0] = carve(&c, nn_mul_size(in, batch));
	t->input[1] = carve(&c, nn_mul_size(in, batch));
	t->order = carve(&c, nn_mul_size(t->data.n[NN_TRAIN], sizeof(uint32_t)));
	t->engine_packed = carve(&c, nn_engine_packed_bytes(t->graph, t->path, t->config.precision));
	t->val_scores = carve(&c, scores);
	t->val_logits = carve(&c, scores);
	return c.used;
}

/* Fills what of a trainer the layout depends on. */
static void
fill_basics(NnTrainer *t, const NnGraph *graph, const NnTrainConfig *config, const NnTrainData *data,
			NnPath path)
{
	memset(t, 0, sizeof(*t));
	t->graph = graph;
	t->config = *config;
	t->data = *data;
	t->path = path;
	t->plan = nn_graph_train_plan(graph);
	t->units = graph->units;
	t->need_norms = (config->optimizer.clipnorm > 0 || config->optimizer.global_clipnorm > 0);
	t->penalized = nn_graph_is_regularized(graph);
	t->constrained = nn_graph_is_constrained(graph);
	t->keep_gradients = t->need_norms || t->penalized || t->constrained;
	t->n_steps = config->steps_per_epoch > 0
					 ? (size_t) config->steps_per_epoch
					 : (data->n[NN_TRAIN] + (size_t) config->batch_size - 1) / (size_t) config->batch_size;
}

static int
keeps_best(const NnTrainConfig *config)
{
	return config->early_stopping && config->restore_best_weights;
}

NnStatus
nn_train_plan(NnTrainPlan *plan, const NnGraph *graph, const NnTrainConfig *config, const NnTrainData *data,
			  int n_threads, NnPath path, NnError *error)
{
	NnTrainer t;
	NnStatus status = nn_train_check(config, graph, error);

	if (status == NN_OK)
		status = check_data(config, data, graph, error);
	if (status != NN_OK)
		return status;
	if (n_threads < 1 || n_threads > NN_MAX_THREADS)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "%d threads were asked for, but there can be 1 to %d",
					   n_threads, NN_MAX_THREADS);
	fill_basics(&t, graph, config, data, path);
	plan->slots_per_weight = (size_t) nn_optimizer_slots(&config->optimizer);
	plan->state_bytes = nn_state_bytes(graph->n_weights, (int) plan->slots_per_weight, keeps_best(config));
	plan->work_bytes = lay_out(&t, NULL, n_threads);
	if (plan->state_bytes > SIZE_MAX / 2 || plan->work_bytes > SIZE_MAX / 2)
		return nn_fail(error, NN_TOO_LARGE, -1, "Use a smaller batch_size or image.",
					   "the training needs more memory than can be addressed");
	return NN_OK;
}

/* ----------------------------------------------------------------- trainer */

size_t
nn_trainer_bytes(void)
{
	return sizeof(NnTrainer);
}

static void
fresh_state(NnTrainer *t, size_t bytes, const float *initial_weights, volatile sig_atomic_t *stop)
{
	NnState *s = t->state;
	size_t n = t->graph->n_weights;

	nn_stop_zero(s, bytes);
	s->magic = NN_STATE_MAGIC;
	s->bytes = bytes;
	s->n_weights = n;
	s->n_slots = (uint32_t) nn_optimizer_slots(&t->config.optimizer);
	s->has_best = (uint32_t) keeps_best(&t->config);
	s->fingerprint = nn_state_fingerprint(t->graph, &t->config, &t->data);
	s->rate = t->config.optimizer.learning_rate;
	nn_stopping_init(&s->stopping);
	nn_plateau_init(&s->plateau, &t->config);
	if (initial_weights != NULL)
		nn_stop_copy(nn_state_weights(s), initial_weights, n);
	else
		nn_weights_init(nn_state_weights(s), t->graph, t->config.seed, stop);
}

NnStatus
nn_trainer_init(NnTrainer *t, const NnGraph *graph, const NnTrainConfig *config, const NnTrainData *data,
				const NnTrainPlan *plan, void *state, void *work, int n_threads, NnPath path, NnSgemm sgemm,
				const float *initial_weights, int resume, volatile sig_atomic_t *stop, NnError *error)
{
	NnTrainPlan again;
	NnWorker *workers;
	NnStatus status = nn_train_plan(&again, graph, config, data, n_threads, path, error);

	if (status != NN_OK)
		return status;
	if (again.state_bytes != plan->state_bytes || again.work_bytes != plan->work_bytes)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "the plan is for another training");
	if (resume)
	{
		status = nn_state_check(state, plan->state_bytes, graph, config, data, stop, error);
		if (status != NN_OK)
			return status;
	}

	fill_basics(t, graph, config, data, path);
	t->sgemm = sgemm != NULL ? sgemm : nn_sgemm_for(path);
	t->state = state;
	lay_out(t, work, n_threads);
	workers = t->pool.workers;
	nn_pool_init(&t->pool, t, workers, n_threads);
	nn_step_update_blocks(t->blocks, &t->n_block_variables, graph, t->keep_gradients);
	t->order_epoch = -1;
	t->engine = (NnEngine) {graph, NULL, t->engine_packed, path, config->precision};
	atomic_init(&t->load_failed, 0);
	atomic_init(&t->val_done, 0);

	if (!resume)
	{
		volatile sig_atomic_t *before = nn_stop_watch(stop);

		fresh_state(t, plan->state_bytes, initial_weights, stop);
		nn_stop_watch(before);
	}
	t->weights = nn_state_weights(t->state);
	t->best = nn_state_best(t->state);
	t->slots = nn_state_slots(t->state);
	nn_step_build(t);
	return resume ? NN_OK : nn_weights_check(t->weights, graph, stop, error);
}

NnStatus
nn_trainer_start(NnTrainer *trainer, NnError *error)
{
	return nn_pool_start(&trainer->pool, error);
}

void
nn_trainer_stop(NnTrainer *trainer)
{
	nn_pool_stop(&trainer->pool);
}

int
nn_trainer_state_valid(const NnTrainer *trainer)
{
	return !trainer->updating;
}

const float *
nn_trainer_result(const NnTrainer *trainer, int *epoch)
{
	const NnState *state = trainer->state;

	if (state->epoch < 1)
		return NULL;
	if (trainer->best != NULL && state->best_epoch > 0)
	{
		*epoch = state->best_epoch;
		return trainer->best;
	}
	*epoch = state->epoch;
	return trainer->weights;
}
