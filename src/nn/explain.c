/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  A node's output and the gradient of a logit by it, for one sample.
 *
 * An explanation runs on a plan of its own, in which the node is not fused away, with the
 * inference form of every step (moving statistics, no dropout) and the
 * general kernels backward.  The last node's output is its logits.
 *
 *-------------------------------------------------------------------------
 */
#include "fpenv.h"
#include "graph.h"
#include "kernels/kernels.h"
#include "losses.h"
#include "nn.h"
#include "op.h"
#include "plan.h"
#include "sizes.h"
#include "stop.h"

#include <string.h>

/*
 * Returns a bound of the arena, whatever node is asked for: the buffers of its
 * plan are at most an output, a gradient and a mask per node, and a gradient
 * per input.
 */
static size_t
arena_bound(const NnGraph *graph)
{
	size_t bytes = 0;
	int i, j;

	for (i = 0; i < graph->n_nodes; i++)
	{
		const NnNode *node = &graph->nodes[i];
		size_t own = nn_align_size(nn_shape_floats(&node->shape) * sizeof(float));
		size_t mask = nn_align_size(nn_mask_words(node->shape.c) * (size_t) node->shape.h *
									(size_t) node->shape.w * sizeof(uint16_t));

		bytes = nn_add_size(bytes, nn_add_size(nn_mul_size(own, 2), mask));
		for (j = 0; j < node->spec.n_inputs; j++)
			bytes =
				nn_grow(bytes, nn_shape_floats(&graph->nodes[node->spec.inputs[j]].shape) * sizeof(float));
	}
	return bytes;
}

/* Returns the largest scratch of any step, fused or not. */
static size_t
scratch_bound(const NnGraph *graph, NnPath path)
{
	size_t most = 0;
	int i;

	for (i = 1; i < graph->n_nodes; i++)
	{
		const NnNode *node = &graph->nodes[i];
		const NnOp *op = nn_node_op(node);
		NnStep step;
		size_t bytes;

		memset(&step, 0, sizeof(step));
		step.node = step.out_node = i;
		step.full = step.out = node->shape;
		step.mask = step.affine = -1;
		step.pool = (op->flags & NN_FUSE_POOL) != 0;
		bytes = op->scratch_bytes != NULL
					? op->scratch_bytes(node, &step, NN_EXPLAIN, path, NN_PRECISION_FLOAT32)
					: 0;
		if (bytes > most)
			most = bytes;
	}
	return nn_align_size(most);
}

size_t
nn_explain_scratch_bytes(const NnEngine *engine)
{
	size_t bytes = nn_align_size(nn_plan_bytes(engine->graph, NN_EXPLAIN));

	bytes = nn_add_size(bytes, arena_bound(engine->graph));
	bytes = nn_add_size(bytes, scratch_bound(engine->graph, engine->path));
	return bytes > SIZE_MAX / 2 ? 0 : bytes;
}

typedef struct Explanation
{
	const NnEngine *engine;
	const NnPlan *plan;
	const float *src;
	char *arena;
	void *scratch;
} Explanation;

static float *
buffer_of(const Explanation *e, int buffer)
{
	return (float *) (e->arena + nn_plan_buffers(e->plan)[buffer].offset);
}

/* Fills the call of a step, with the gradients that its plan has buffers for. */
static void
fill_call(NnCall *call, const Explanation *e, const NnStep *step)
{
	const NnTensor *tensors = nn_plan_tensors(e->plan);
	const NnTensor *dst = &tensors[step->dst];
	int j;

	memset(call, 0, sizeof(*call));
	call->step = step;
	call->node = &e->engine->graph->nodes[step->node];
	call->mode = NN_EXPLAIN;
	call->path = e->engine->path;
	call->sgemm = nn_sgemm_for(e->engine->path);
	call->weights = e->engine->weights + call->node->weights;
	call->scratch = e->scratch;
	call->dst = buffer_of(e, dst->buffer);
	if (dst->gradient >= 0)
		call->ddst = buffer_of(e, dst->gradient);
	if (step->mask >= 0)
		call->mask = (uint16_t *) buffer_of(e, step->mask);
	for (j = 0; j < step->n_src; j++)
	{
		const NnTensor *src = &tensors[step->src[j]];

		call->src[j] = src->buffer < 0 ? e->src : buffer_of(e, src->buffer);
		call->src_floats[j] = src->floats;
		if (step->dsrc[j] >= 0)
			call->dsrc[j] = buffer_of(e, step->dsrc[j]);
	}
}

static void
backward_step(const Explanation *e, const NnStep *step)
{
	const NnTensor *tensors = nn_plan_tensors(e->plan);
	NnCall call;
	int j, wanted = 0;
	size_t start, i;

	for (j = 0; j < step->n_src; j++)
		wanted |= (step->dsrc[j] >= 0);
	if (!wanted)
		return;
	fill_call(&call, e, step);
	nn_node_op(call.node)->backward(&call);
	for (j = 0; j < step->n_src; j++)
		if (step->dsrc[j] >= 0 && step->add[j])
		{
			const NnTensor *tensor = &tensors[step->src[j]];
			float *sum = buffer_of(e, tensor->gradient);

			for (start = 0; start < tensor->floats && !nn_stopped(); start += NN_STOP_WORK)
				for (i = start; i < tensor->floats && i < start + NN_STOP_WORK; i++)
					sum[i] += call.dsrc[j][i];
		}
}

static NnStatus
run(const Explanation *e, float *probabilities, int class_index)
{
	const NnStep *steps = nn_plan_steps(e->plan);
	const NnTensor *output = &nn_plan_tensors(e->plan)[e->plan->output];
	int units = e->engine->graph->units;
	float *dlogits = buffer_of(e, output->gradient);
	int s;

	for (s = 0; s < e->plan->n_steps; s++)
	{
		NnCall call;

		fill_call(&call, e, &steps[s]);
		nn_node_op(call.node)->forward(&call);
		if (nn_stopped())
			return NN_INTERRUPTED;
	}
	nn_probabilities(probabilities, buffer_of(e, output->buffer), units, e->engine->graph->output_activation);
	memset(dlogits, 0, (size_t) units * sizeof(float));
	dlogits[units == 1 ? 0 : class_index] = 1.0f;
	for (s = e->plan->n_steps - 1; s >= 0; s--)
	{
		backward_step(e, &steps[s]);
		if (nn_stopped())
			return NN_INTERRUPTED;
	}
	return NN_OK;
}

NnStatus
nn_explain_run(float *activation, float *gradient, float *probabilities, const float *src, int node,
			   int class_index, const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop)
{
	const NnGraph *graph = engine->graph;
	NnPlanOptions options = {NN_EXPLAIN, node, 0, 0};
	NnPlan *plan = scratch;
	Explanation e;
	const NnTensor *kept;
	volatile sig_atomic_t *before;
	unsigned int saved;
	NnStatus status;

	if (node < 0 || node >= graph->n_nodes || class_index < 0 || class_index >= nn_graph_class_count(graph))
		return NN_BAD_ARGUMENT;
	status = nn_plan_build(plan, graph, &options, NULL);
	if (status != NN_OK)
		return status;
	e.engine = engine;
	e.plan = plan;
	e.src = src;
	e.arena = (char *) scratch + nn_align_size(plan->bytes);
	e.scratch = e.arena + plan->arena_bytes;

	before = nn_stop_watch(stop);
	saved = nn_fpenv_set();
	status = run(&e, probabilities, class_index);
	nn_fpenv_restore(saved);
	if (status == NN_OK)
	{
		kept = &nn_plan_tensors(plan)[nn_plan_node_tensor(plan)[node]];
		nn_stop_copy(activation, kept->buffer < 0 ? src : buffer_of(&e, kept->buffer), kept->floats);
		nn_stop_copy(gradient, buffer_of(&e, kept->gradient), kept->floats);
		if (nn_stopped())
			status = NN_INTERRUPTED;
	}
	nn_stop_watch(before);
	return status;
}
