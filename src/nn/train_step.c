/*-------------------------------------------------------------------------
 *
 * train_step.c
 *	  One training step as a program of phases.
 *
 * The program packs the weights, runs forward step by step, computes the loss,
 * runs backward step by step, and computes norms, if gradients are clipped by
 * them.  Then comes the commit: moving statistics, gradients of the large
 * weights applied as they are made, and the update of the others.  The next
 * batch is loaded in the background of all this.
 *
 *-------------------------------------------------------------------------
 */
#include "batch.h"
#include "graph.h"
#include "kernels/kernels.h"
#include "losses.h"
#include "nn.h"
#include "op.h"
#include "penalties.h"
#include "plan.h"
#include "pool.h"
#include "sizes.h"
#include "stop.h"
#include "train_step.h"
#include "trainer.h"

#include <math.h>
#include <string.h>

#define UPDATE_BLOCK 32768 /* weights of an update item */
#define REDUCE_BLOCK 16384 /* weights of a reduction item */
#define PHASES_PER_STEP 20
#define PHASES_BESIDES 16

/* ------------------------------------------------------------------ counts */

static size_t
step_items(const NnTrainer *t, const NnStep *step)
{
	(void) step;
	return (size_t) t->plan->n_steps;
}

static size_t
block_items(const NnTrainer *t, const NnStep *step)
{
	(void) step;
	return t->n_blocks;
}

/* ----------------------------------------------------------------- forward */

static void
pack_step(NnTrainer *t, const NnStep *unused, size_t item, NnWorker *worker)
{
	const NnStep *step = &nn_plan_steps(t->plan)[item];
	const NnNode *node = nn_batch_node(t, step);

	(void) unused;
	(void) worker;
	if (t->packed_offset[item] != SIZE_MAX)
		nn_node_op(node)->pack(t->packed + t->packed_offset[item], node, step, t->weights + node->weights,
							   NN_TRAINING, t->path, NN_PRECISION_FLOAT32);
}

/* Tells whether the step after a step takes part in each sample that this one makes (observe_src). */
static int
next_observes(const NnTrainer *t, const NnStep *step)
{
	const NnStep *next = step + 1;

	if ((int) nn_step_index(t, step) + 1 >= t->plan->n_steps ||
		nn_node_op(nn_batch_node(t, step))->train_forward != NULL)
		return 0;
	return nn_node_op(nn_batch_node(t, next))->observe_src != NULL && next->src[0] == step->dst;
}

static void
forward_sample(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	NnCall call;

	nn_batch_call(&call, t, step, (int) item, worker);
	nn_node_op(call.node)->forward(&call);
	if (next_observes(t, step))
		nn_node_op(nn_batch_node(t, step + 1))->observe_src(t, step + 1, item);
}

/* -------------------------------------------------------------------- loss */

/* Returns the sample of the training split at a position of the epoch. */
static size_t
sample_index(const NnTrainer *t, size_t position)
{
	return t->config.shuffle ? t->order[position] : position;
}

/*
 * Fills loss and gradient of a batch of findings, and how many of the known ones
 * are right, both per sample: a mean over the known findings times the samples.
 */
static void
loss_of_findings(NnTrainer *t)
{
	size_t units = (size_t) t->units;
	const uint8_t *target = t->data.target[NN_TRAIN];
	double sum = 0.0;
	double right = 0.0;
	double known = 0.0;
	int i;

	for (i = 0; i < t->n; i++)
		known += (double) nn_known_targets(target + sample_index(t, t->first + (size_t) i) * units, units);
	for (i = 0; i < t->n; i++)
	{
		size_t index = sample_index(t, t->first + (size_t) i);
		double weight = t->data.weight[NN_TRAIN] != NULL ? t->data.weight[NN_TRAIN][index] : 1.0;
		int correct;

		sum += nn_loss_findings(nn_batch_gradient(t, t->plan->output) + (size_t) i * units, &correct,
								nn_batch_tensor(t, t->plan->output) + (size_t) i * units, t->units,
								target + index * units, &t->config, weight, known);
		right += correct;
	}
	t->batch_loss = known > 0 ? sum / known * t->n : 0.0;
	t->batch_correct = known > 0 ? right / known * t->n : 0.0;
}

/* Fills loss and gradient of a batch of classes, and how many samples are right. */
static void
loss_of_classes(NnTrainer *t)
{
	size_t units = (size_t) t->units;
	double sum = 0.0;
	int right = 0;
	int i;

	for (i = 0; i < t->n; i++)
	{
		size_t index = sample_index(t, t->first + (size_t) i);
		int32_t label = t->data.label[NN_TRAIN][index];
		double weight = t->config.class_weight[label];
		int correct;

		if (t->data.weight[NN_TRAIN] != NULL)
			weight *= t->data.weight[NN_TRAIN][index];
		sum += weight * nn_loss_logits(nn_batch_gradient(t, t->plan->output) + (size_t) i * units, &correct,
									   nn_batch_tensor(t, t->plan->output) + (size_t) i * units, t->units,
									   label, t->config.label_smoothing, weight / t->n);
		right += correct;
	}
	t->batch_loss = sum;
	t->batch_correct = right;
}

/*
 * Computes the weighted loss of the batch, the gradient of its logits, and how
 * many samples are right; stops the program where the loss is not finite.
 */
static void
loss_of_batch(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	(void) step;
	(void) item;
	(void) worker;
	if (t->data.target[NN_TRAIN] != NULL)
		loss_of_findings(t);
	else
		loss_of_classes(t);
	if (!isfinite(t->batch_loss))
	{
		t->not_finite = 1;
		nn_pool_request_stop(&t->pool);
	}
}

/* ---------------------------------------------------------------- backward */

/* Returns the floats from one chunk's gradient sum to the next. */
static size_t
partial_stride(const NnTrainer *t, const NnStep *step)
{
	const NnNode *node = nn_batch_node(t, step);
	const NnOp *op = nn_node_op(node);
	size_t floats = op->partial_floats != NULL ? op->partial_floats(node, step, t->path) : node->n_weights;

	return nn_align_size(floats * sizeof(float)) / sizeof(float);
}

/*
 * Returns the step that made source j of a step and takes part in each sample of
 * its gradient (observe_ddst): where this step alone makes it, sample by sample.
 * NULL where there is none.
 */
static const NnStep *
observer(const NnTrainer *t, const NnStep *step, int j)
{
	const NnTensor *tensor = &nn_plan_tensors(t->plan)[step->src[j]];
	const NnStep *maker = nn_plan_steps(t->plan) + step->src[j] - 1; /* each step makes one tensor */

	if (step->dsrc[j] < 0 || step->src[j] == 0 || tensor->n_gradients != 1 ||
		nn_node_op(nn_batch_node(t, step))->train_backward != NULL)
		return NULL;
	return nn_node_op(nn_batch_node(t, maker))->observe_ddst != NULL ? maker : NULL;
}

/* Tells whether a step takes part in each sample of the gradient of its output. */
static int
observes_gradient(const NnTrainer *t, const NnStep *step)
{
	const NnStep *steps = nn_plan_steps(t->plan);
	int s, j;

	for (s = 0; s < t->plan->n_steps; s++)
		for (j = 0; j < steps[s].n_src; j++)
			if (steps[s].src[j] == step->dst && observer(t, &steps[s], j) == step)
				return 1;
	return 0;
}

static void
backward_chunk(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	size_t stride = partial_stride(t, step);
	float *partial = t->partial + item * stride;
	int end = nn_chunk_start(t->n, item + 1);
	int i, j;

	if (step->need_weights)
		nn_stop_zero(partial, stride * sizeof(float));
	for (i = nn_chunk_start(t->n, item); i < end && !nn_stopped(); i++)
	{
		NnCall call;

		nn_batch_call(&call, t, step, i, worker);
		call.dweights = step->need_weights ? partial : NULL;
		nn_node_op(call.node)->backward(&call);
		for (j = 0; j < step->n_src; j++)
		{
			const NnStep *maker = observer(t, step, j);

			if (maker != NULL)
				nn_node_op(nn_batch_node(t, maker))->observe_ddst(t, maker, (size_t) i);
		}
	}
}

static size_t
reduce_items(const NnTrainer *t, const NnStep *step)
{
	const NnNode *node = nn_batch_node(t, step);
	const NnOp *op = nn_node_op(node);

	if (op->finish != NULL)
		return op->finish_items(node, step, t->path);
	return (node->n_weights + REDUCE_BLOCK - 1) / REDUCE_BLOCK;
}

/* Adds the chunks' sums in order. */
static void
reduce_block(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnNode *node = nn_batch_node(t, step);
	const NnOp *op = nn_node_op(node);
	size_t stride = partial_stride(t, step);
	size_t start = item * REDUCE_BLOCK;
	size_t count = node->n_weights - start;
	float *dst = t->gradients + node->weights;
	int n_chunks = nn_chunk_count(t->n);
	int k;

	(void) worker;
	if (op->finish != NULL)
	{
		op->finish(dst, t->partial, n_chunks, stride, node, step, t->path, item);
		return;
	}
	dst += start;
	if (count > REDUCE_BLOCK)
		count = REDUCE_BLOCK;
	memcpy(dst, t->partial + start, count * sizeof(float));
	for (k = 1; k < n_chunks; k++)
		nn_kernels(t->path)->add(dst, t->partial + (size_t) k * stride + start, count);
}

/* Adds gradients that could not go to their tensor directly, since another was there. */
static void
add_gradients(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnTensor *tensors = nn_plan_tensors(t->plan);
	int j;

	(void) worker;
	for (j = 0; j < step->n_src; j++)
	{
		const NnTensor *tensor = &tensors[step->src[j]];
		size_t end = (item + 1) * tensor->floats;
		size_t i;

		if (step->dsrc[j] < 0 || !step->add[j])
			continue;
		for (i = item * tensor->floats; i < end && !nn_stopped(); i += NN_STOP_WORK)
			nn_kernels(t->path)->add(nn_batch_gradient(t, step->src[j]) + i,
									 nn_batch_buffer(t, step->dsrc[j]) + i,
									 end - i < NN_STOP_WORK ? end - i : NN_STOP_WORK);
	}
}

/* ------------------------------------------------------------------ update */

size_t
nn_step_update_blocks(NnUpdateBlock *blocks, int *n_variables, const NnGraph *graph, int keep_gradients)
{
	size_t n = 0;
	int i, j;

	*n_variables = 0;
	for (i = 0; i < graph->n_nodes; i++)
	{
		const NnNode *node = &graph->nodes[i];

		if (nn_node_op(node)->train_weights != NULL && !keep_gradients)
			continue; /* applied as they are made */
		for (j = 0; j < node->n_vars; j++)
		{
			const NnNodeVariable *v = &node->vars[j];
			size_t start;

			if (!v->trainable)
				continue;
			for (start = 0; start < v->count; start += UPDATE_BLOCK, n++)
				if (blocks != NULL)
				{
					blocks[n].offset = node->weights + v->offset + start;
					blocks[n].count = v->count - start < UPDATE_BLOCK ? v->count - start : UPDATE_BLOCK;
					blocks[n].variable = *n_variables;
					blocks[n].of = v;
				}
			(*n_variables)++;
		}
	}
	return n;
}

/* Adds the regulariser's gradient of a block, and keeps its penalty. */
static void
penalize_block(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnUpdateBlock *block = &t->blocks[item];

	(void) step;
	(void) worker;
	t->block_sums[item] = nn_is_regularized(block->of)
							  ? nn_penalize(t->gradients + block->offset, t->weights + block->offset,
											block->count, &block->of->regularizer)
							  : 0.0;
}

/* Adds the penalties to the loss of the batch, which is a sum over its samples. */
static void
add_penalties(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	double sum = 0.0;
	size_t b;

	(void) step;
	(void) item;
	(void) worker;
	for (b = 0; b < t->n_blocks; b++)
		sum += t->block_sums[b];
	t->batch_loss += sum * t->n;
	if (!isfinite(t->batch_loss))
	{
		t->not_finite = 1;
		nn_pool_request_stop(&t->pool);
	}
}

static void
norm_of_block(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnUpdateBlock *block = &t->blocks[item];

	(void) step;
	(void) worker;
	t->block_sums[item] = nn_kernels(t->path)->sum_squares(t->gradients + block->offset, block->count);
}

/*
 * Computes the factors of clipping: clipnorm by each variable's own norm,
 * global_clipnorm by the common one.
 */
static void
make_scales(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnOptimizer *o = &t->config.optimizer;
	double limit = o->clipnorm > 0 ? o->clipnorm : o->global_clipnorm;
	double total = 0.0;
	size_t b = 0;
	int v;

	(void) step;
	(void) item;
	(void) worker;
	for (v = 0; v < t->n_block_variables; v++)
	{
		double sum = 0.0;

		for (; b < t->n_blocks && t->blocks[b].variable == v; b++)
			sum += t->block_sums[b];
		total += sum;
		t->scales[v] = (float) (sqrt(sum) > limit ? limit / sqrt(sum) : 1.0);
	}
	if (o->global_clipnorm > 0)
		for (v = 0; v < t->n_block_variables; v++)
			t->scales[v] = (float) (sqrt(total) > limit ? limit / sqrt(total) : 1.0);
}

static void
begin_update(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	int s;

	(void) step;
	(void) item;
	(void) worker;
	t->updating = 1;
	for (s = 0; s < t->plan->n_steps; s++)
	{
		const NnStep *each = &nn_plan_steps(t->plan)[s];
		const NnOp *op = nn_node_op(nn_batch_node(t, each));

		if (op->commit != NULL)
			op->commit(t, each);
	}
}

static void
update_block(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnUpdateBlock *block = &t->blocks[item];

	(void) step;
	(void) worker;
	nn_batch_update(t, block->offset, t->gradients + block->offset, block->count,
					t->need_norms ? t->scales[block->variable] : 1.0f);
}

/* Brings the variable that begins with this block to its constraint. */
static void
constrain_block(NnTrainer *t, const NnStep *step, size_t item, NnWorker *worker)
{
	const NnUpdateBlock *block = &t->blocks[item];

	(void) step;
	(void) worker;
	if (nn_is_constrained(block->of) && (item == 0 || t->blocks[item - 1].variable != block->variable))
		nn_constrain(t->weights + block->offset, block->of);
}

/* -------------------------------------------------------------- background */

void
nn_step_background(NnTrainer *t, size_t item, NnWorker *worker)
{
	size_t in = nn_shape_floats(&t->graph->nodes[0].shape);
	size_t index = sample_index(t, t->next_first + item);
	float *dst = t->input[1 - t->current] + item * in;

	if (t->data.load(t->data.load_arg, dst, NN_TRAIN, index, t->state->epoch, worker->load_scratch) != 0)
	{
		atomic_store(&t->load_failed, 1);
		nn_pool_request_stop(&t->pool);
	}
}

/* ----------------------------------------------------------------- program */

int
nn_step_phase_limit(const NnGraph *graph)
{
	return nn_graph_train_plan(graph)->n_steps * PHASES_PER_STEP + PHASES_BESIDES;
}

static NnPhase *
add_phase(NnTrainer *t, size_t (*items)(const NnTrainer *, const NnStep *),
		  void (*run)(NnTrainer *, const NnStep *, size_t, NnWorker *), const NnStep *step)
{
	NnPhase *phase = &t->phases[t->n_phases++];

	phase->items = items;
	phase->run = run;
	phase->step = step;
	phase->commit = 0;
	return phase;
}

static void
add_op_phases(NnTrainer *t, const NnOpPhase *phases, const NnStep *step)
{
	for (; phases->run != NULL; phases++)
		add_phase(t, phases->items, phases->run, step);
}

static void
add_backward(NnTrainer *t, const NnStep *step)
{
	const NnOp *op = nn_node_op(nn_batch_node(t, step));
	int j, add = 0;

	if (!nn_plan_tensors(t->plan)[step->dst].need_gradient)
		return;
	if (op->train_backward != NULL)
		add_op_phases(t, op->train_backward + observes_gradient(t, step), step);
	else
	{
		add_phase(t, nn_chunk_items, backward_chunk, step);
		if (step->need_weights)
			add_phase(t, reduce_items, reduce_block, step);
	}
	for (j = 0; j < step->n_src; j++)
		add |= (step->dsrc[j] >= 0 && step->add[j]);
	if (add)
		add_phase(t, nn_sample_items, add_gradients, step);
}

static void
add_weights(NnTrainer *t)
{
	const NnStep *steps = nn_plan_steps(t->plan);
	int s;

	for (s = t->plan->n_steps - 1; s >= 0; s--)
	{
		const NnOp *op = nn_node_op(nn_batch_node(t, &steps[s]));

		if (op->train_weights != NULL && steps[s].need_weights)
			add_op_phases(t, op->train_weights, &steps[s]);
	}
}

void
nn_step_build(NnTrainer *t)
{
	const NnStep *steps = nn_plan_steps(t->plan);
	int s;

	t->n_phases = 0;
	add_phase(t, step_items, pack_step, NULL);
	for (s = 0; s < t->plan->n_steps; s++)
	{
		const NnOp *op = nn_node_op(nn_batch_node(t, &steps[s]));

		if (op->train_forward != NULL)
			add_op_phases(t, op->train_forward + (s > 0 && next_observes(t, &steps[s - 1])), &steps[s]);
		else
			add_phase(t, nn_sample_items, forward_sample, &steps[s]);
	}
	add_phase(t, nn_one_item, loss_of_batch, NULL);
	for (s = t->plan->n_steps - 1; s >= 0; s--)
		add_backward(t, &steps[s]);
	if (t->keep_gradients)
		add_weights(t);
	if (t->penalized)
	{
		add_phase(t, block_items, penalize_block, NULL);
		add_phase(t, nn_one_item, add_penalties, NULL);
	}
	if (t->need_norms)
	{
		add_phase(t, block_items, norm_of_block, NULL);
		add_phase(t, nn_one_item, make_scales, NULL);
	}
	add_phase(t, nn_one_item, begin_update, NULL)->commit = 1;
	if (!t->keep_gradients)
		add_weights(t);
	add_phase(t, block_items, update_block, NULL);
	if (t->constrained)
		add_phase(t, block_items, constrain_block, NULL);

	t->program.phases = t->phases;
	t->program.n_phases = t->n_phases;
	t->program.n_background = 0;
	t->program.background = nn_step_background;
}
