/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  From nodes to steps: fusion, and where every tensor lies.
 *
 * Fusion: in prediction a batch normalisation joins the convolution before it,
 * whose weights it changes (engine.c).  A following Activation node joins its
 * only source if that one can take it (convolutions, Dense, normalisations,
 * sums) and has no activation of its own, unless its derivative needs its
 * input; after that a 2x2 max pooling of stride 2 joins a Conv2D, and the
 * unpooled map is never a tensor.  The sigmoid or softmax at the end belongs
 * to the loss, so the last step gives logits.
 *
 * Memory: every buffer lives from one time to another.  Step s runs forward at
 * time s, the loss at time S, step s backward at time 2S - s, and the updates
 * at time 2S + 1.  Buffers are placed by size, largest first, each at the
 * lowest place that no buffer alive at the same time occupies.
 *
 *-------------------------------------------------------------------------
 */
#include "activations.h"
#include "error.h"
#include "graph.h"
#include "kernels/kernels.h"
#include "nn.h"
#include "op.h"
#include "plan.h"
#include "sizes.h"

#include <string.h>

/* ------------------------------------------------------------------ sizes */

static size_t
layout(NnPlan *plan, size_t nodes, size_t buffers)
{
	size_t bytes = nn_align_size(sizeof(NnPlan));

	plan->steps_offset = bytes;
	bytes += nn_align_size(nodes * sizeof(NnStep));
	plan->tensors_offset = bytes;
	bytes += nn_align_size(nodes * sizeof(NnTensor));
	plan->buffers_offset = bytes;
	bytes += nn_align_size(buffers * sizeof(NnBuffer));
	plan->node_tensor_offset = bytes;
	bytes += nn_align_size(nodes * sizeof(int));
	plan->order_offset = bytes;
	bytes += nn_align_size(2 * buffers * sizeof(int));
	plan->bytes = bytes;
	return bytes;
}

static size_t
buffer_limit(const NnGraph *graph, NnMode mode)
{
	size_t n = (size_t) graph->n_nodes;
	int i;

	if (mode == NN_INFER)
		return n;
	n *= 3; /* tensor, gradient, mask */
	for (i = 0; i < graph->n_nodes; i++)
		n += (size_t) graph->nodes[i].spec.n_inputs;
	return n;
}

size_t
nn_plan_bytes(const NnGraph *graph, NnMode mode)
{
	NnPlan plan;

	return layout(&plan, (size_t) graph->n_nodes, buffer_limit(graph, mode));
}

size_t
nn_plan_bytes_max(int max_nodes, NnMode mode)
{
	NnPlan plan;
	size_t n = (size_t) max_nodes;

	return layout(&plan, n, mode == NN_INFER ? n : (3 + NN_MAX_INPUTS) * n);
}

/* ---------------------------------------------------------------- buffers */

static int
add_buffer(NnPlan *plan, size_t bytes, int first, int last)
{
	NnBuffer *buffer = &nn_plan_buffers(plan)[plan->n_buffers];

	buffer->bytes = nn_align_size(bytes);
	buffer->offset = 0;
	buffer->first = first;
	buffer->last = last;
	return plan->n_buffers++;
}

static void
extend(NnPlan *plan, int buffer, int time)
{
	if (buffer >= 0 && nn_plan_buffers(plan)[buffer].last < time)
		nn_plan_buffers(plan)[buffer].last = time;
}

/* Tells whether buffer a comes after b: the largest come first, equal ones by index. */
static int
sorts_after(const NnBuffer *buffers, int a, int b)
{
	if (buffers[a].bytes != buffers[b].bytes)
		return buffers[a].bytes < buffers[b].bytes;
	return a > b;
}

static void
sift(int *order, int start, int n, const NnBuffer *buffers)
{
	int root = start;

	for (;;)
	{
		int child = 2 * root + 1;
		int swap;

		if (child >= n)
			return;
		if (child + 1 < n && sorts_after(buffers, order[child + 1], order[child]))
			child++;
		if (!sorts_after(buffers, order[child], order[root]))
			return;
		swap = order[root];
		order[root] = order[child];
		order[child] = swap;
		root = child;
	}
}

static void
sort_by_size(int *order, int n, const NnBuffer *buffers)
{
	int i;

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n / 2 - 1; i >= 0; i--)
		sift(order, i, n, buffers);
	for (i = n - 1; i > 0; i--)
	{
		int swap = order[0];

		order[0] = order[i];
		order[i] = swap;
		sift(order, 0, i, buffers);
	}
}

/*
 * Places the buffers, largest first, each at the lowest offset where no buffer
 * lies that is alive at the same time.
 */
static NnStatus
place_buffers(NnPlan *plan, NnError *error)
{
	NnBuffer *buffers = nn_plan_buffers(plan);
	int *order = (int *) ((char *) plan + plan->order_offset);
	int *placed = order + plan->n_buffers; /* by offset */
	int i, j;

	sort_by_size(order, plan->n_buffers, buffers);
	plan->arena_bytes = 0;
	for (i = 0; i < plan->n_buffers; i++)
	{
		NnBuffer *buffer = &buffers[order[i]];
		size_t offset = 0;
		size_t end;

		for (j = 0; j < i; j++)
		{
			const NnBuffer *other = &buffers[placed[j]];

			if (other->last < buffer->first || buffer->last < other->first)
				continue;
			if (nn_add_size(offset, buffer->bytes) > other->offset && other->offset + other->bytes > offset)
				offset = other->offset + other->bytes;
		}
		end = nn_add_size(offset, buffer->bytes);
		if (end > SIZE_MAX / 2)
			return nn_fail(error, NN_TOO_LARGE, -1, "Use a smaller image or fewer layers.",
						   "the network's activations are too large");
		buffer->offset = offset;
		if (end > plan->arena_bytes)
			plan->arena_bytes = end;
		for (j = i; j > 0 && buffers[placed[j - 1]].offset > offset; j--)
			placed[j] = placed[j - 1];
		placed[j] = order[i];
	}
	return NN_OK;
}

/* ----------------------------------------------------------------- fusion */

static NnActivation
node_activation(const NnNode *node, float *slope)
{
	const NnOp *op = nn_node_op(node);

	*slope = 0.0f;
	return op->activation != NULL ? op->activation(node, slope) : NN_LINEAR;
}

/* Tells whether a node is a 2x2 pooling of stride 2 that drops, not pads, an odd last row or column. */
static int
is_plain_pool(const NnNode *node)
{
	const NnWindow *window = &node->window;

	return (nn_node_op(node)->flags & NN_IS_MAX_POOLING) && window->kh == 2 && window->kw == 2 &&
		   window->sh == 2 && window->sw == 2 && node->shape.h == node->in.h / 2 &&
		   node->shape.w == node->in.w / 2;
}

/* Returns the only consumer of a node if it may be fused into the node, else -1. */
static int
only_consumer(const NnGraph *graph, const NnPlanOptions *options, int node)
{
	if (options->no_fusion || graph->nodes[node].n_consumers != 1 || node == options->keep_node)
		return -1;
	return graph->nodes[node].consumer;
}

/* Joins what follows to the step; the joined nodes get no step of their own. */
static void
fuse(NnStep *step, int *fused, const NnGraph *graph, const NnPlanOptions *options)
{
	const NnOp *op = nn_node_op(&graph->nodes[step->node]);
	int next = only_consumer(graph, options, step->out_node);
	float slope;

	if (next >= 0 && options->mode == NN_INFER && (op->flags & NN_FUSE_AFFINE) &&
		step->activation == NN_LINEAR && nn_node_op(&graph->nodes[next])->affine != NULL)
	{
		step->affine = step->out_node = next;
		fused[next] = 1;
		next = only_consumer(graph, options, next);
	}
	if (next >= 0 && (op->flags & NN_FUSE_ACTIVATION) && step->activation == NN_LINEAR &&
		(nn_node_op(&graph->nodes[next])->flags & NN_IS_ACTIVATION) &&
		!nn_activation_stands_alone(node_activation(&graph->nodes[next], &slope)))
	{
		step->activation = node_activation(&graph->nodes[next], &step->slope);
		step->out_node = next;
		fused[next] = 1;
		next = only_consumer(graph, options, next);
	}
	if (next >= 0 && (op->flags & NN_FUSE_POOL) && step->activation != NN_SOFTMAX &&
		is_plain_pool(&graph->nodes[next]))
	{
		step->pool = 1;
		step->out_node = next;
		fused[next] = 1;
	}
}

/* ------------------------------------------------------------------ steps */

static int
is_alias(const NnNode *node, int index, const NnPlanOptions *options)
{
	int flags = nn_node_op(node)->flags;

	if (index == options->keep_node)
		return 0;
	return (flags & NN_ALIAS) || ((flags & NN_ALIAS_INFERENCE) && options->mode != NN_TRAINING);
}

/* Makes the steps and numbers their tensors; at most one of each per node. */
static void
make_steps(NnPlan *plan, const NnGraph *graph, const NnPlanOptions *options)
{
	NnStep *steps = nn_plan_steps(plan);
	NnTensor *tensors = nn_plan_tensors(plan);
	int *node_tensor = nn_plan_node_tensor(plan);
	int last = graph->n_nodes - 1;
	int fused[NN_MAX_NODES];
	int i, j;

	for (i = 0; i < graph->n_nodes; i++)
	{
		node_tensor[i] = -1;
		fused[i] = 0;
	}
	node_tensor[0] = 0;
	tensors[0] = (NnTensor) {0, nn_shape_floats(&graph->nodes[0].shape), 0, -1, -1, 0};
	plan->n_tensors = 1;
	plan->n_steps = 0;
	for (i = 1; i <= last; i++)
	{
		const NnNode *node = &graph->nodes[i];
		NnStep *step = &steps[plan->n_steps];

		if (fused[i])
			continue;
		if (is_alias(node, i, options))
		{
			node_tensor[i] = node_tensor[node->spec.inputs[0]];
			continue;
		}
		memset(step, 0, sizeof(*step));
		step->node = step->out_node = i;
		step->activation = node_activation(node, &step->slope);
		step->mask = step->affine = -1;
		fuse(step, fused, graph, options);
		if (step->out_node == last)
			step->activation = NN_LINEAR; /* the loss's */
		step->full = node->shape;
		step->out = graph->nodes[step->out_node].shape;
		step->n_src = node->spec.n_inputs;
		for (j = 0; j < step->n_src; j++)
		{
			step->src[j] = node_tensor[node->spec.inputs[j]];
			step->dsrc[j] = -1;
		}
		step->need_weights = (options->mode == NN_TRAINING && node->n_trainable > 0);
		step->dst = plan->n_tensors;
		tensors[plan->n_tensors] = (NnTensor) {step->out_node, nn_shape_floats(&step->out), 0, -1, -1, 0};
		node_tensor[step->out_node] = plan->n_tensors++;
		plan->n_steps++;
	}
	plan->output = node_tensor[last];
}

/* Marks the tensors whose gradients are wanted: those on the way to something that needs one. */
static void
mark_gradients(NnPlan *plan, const NnPlanOptions *options)
{
	NnStep *steps = nn_plan_steps(plan);
	NnTensor *tensors = nn_plan_tensors(plan);
	int s, j;

	if (plan->mode == NN_INFER)
		return;
	if (options->input_gradient)
		tensors[0].need_gradient = 1;
	if (plan->mode == NN_EXPLAIN)
		tensors[nn_plan_node_tensor(plan)[options->keep_node]].need_gradient = 1;
	for (s = 0; s < plan->n_steps; s++)
	{
		int need = steps[s].need_weights;

		for (j = 0; j < steps[s].n_src; j++)
			need |= tensors[steps[s].src[j]].need_gradient;
		tensors[steps[s].dst].need_gradient |= need;
	}
}

static void
forward_buffers(NnPlan *plan)
{
	NnStep *steps = nn_plan_steps(plan);
	NnTensor *tensors = nn_plan_tensors(plan);
	int s, j;

	for (s = 0; s < plan->n_steps; s++)
	{
		NnStep *step = &steps[s];

		tensors[step->dst].buffer =
			add_buffer(plan, nn_mul_size(tensors[step->dst].floats, sizeof(float)), s, s + 1);
		for (j = 0; j < step->n_src; j++)
			extend(plan, tensors[step->src[j]].buffer, s);
	}
	extend(plan, tensors[plan->output].buffer, plan->n_steps);
}

/*
 * Adds the buffers of the backward pass (gradients, masks), and lets outputs
 * and sources live until the step that needs them runs backward.
 */
static void
backward_buffers(NnPlan *plan, const NnGraph *graph, const NnPlanOptions *options)
{
	NnStep *steps = nn_plan_steps(plan);
	NnTensor *tensors = nn_plan_tensors(plan);
	int end = 2 * plan->n_steps + 1;
	int s, j;

	tensors[plan->output].gradient =
		add_buffer(plan, tensors[plan->output].floats * sizeof(float), plan->n_steps, end);
	for (s = plan->n_steps - 1; s >= 0; s--)
	{
		NnStep *step = &steps[s];
		const NnOp *op = nn_node_op(&graph->nodes[step->node]);
		int now = 2 * plan->n_steps - s;
		int keep_until = op->train_weights != NULL ? end : now;

		if (!tensors[step->dst].need_gradient)
			continue;
		extend(plan, tensors[step->dst].gradient, keep_until);
		if (step->pool)
			step->mask = add_buffer(plan,
									nn_mask_words(step->out.c) * (size_t) step->out.h * (size_t) step->out.w *
										sizeof(uint16_t),
									s, now);
		if ((op->flags & NN_NEEDS_DST) || step->activation != NN_LINEAR)
			extend(plan, tensors[step->dst].buffer, now);
		for (j = 0; j < step->n_src; j++)
		{
			NnTensor *src = &tensors[step->src[j]];
			size_t bytes = nn_mul_size(src->floats, sizeof(float));

			if ((op->flags & NN_NEEDS_SRC) || nn_activation_stands_alone(step->activation))
				extend(plan, src->buffer, keep_until);
			if (!src->need_gradient)
				continue;
			src->n_gradients++;
			step->add[j] = (src->gradient >= 0);
			if (step->add[j])
				step->dsrc[j] = add_buffer(plan, bytes, now, now);
			else
				step->dsrc[j] = src->gradient = add_buffer(plan, bytes, now, now + 1);
			extend(plan, src->gradient, now);
		}
	}
	if (options->mode == NN_EXPLAIN)
	{
		NnTensor *kept = &tensors[nn_plan_node_tensor(plan)[options->keep_node]];

		extend(plan, kept->buffer, end);
		extend(plan, kept->gradient, end);
	}
	if (options->no_fusion) /* tests look at everything afterwards */
		for (j = 0; j < plan->n_buffers; j++)
			extend(plan, j, end);
	if (options->input_gradient)
		extend(plan, tensors[0].gradient, end);
}

NnStatus
nn_plan_build(NnPlan *plan, const NnGraph *graph, const NnPlanOptions *options, NnError *error)
{
	memset(plan, 0, sizeof(*plan));
	plan->mode = options->mode;
	layout(plan, (size_t) graph->n_nodes, buffer_limit(graph, options->mode));
	make_steps(plan, graph, options);
	mark_gradients(plan, options);
	forward_buffers(plan);
	if (plan->mode != NN_INFER)
		backward_buffers(plan, graph, options);
	return place_buffers(plan, error);
}
