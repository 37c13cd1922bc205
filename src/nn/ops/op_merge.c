/*-------------------------------------------------------------------------
 *
 * op_merge.c
 *	  Add and Concatenate (over channels).
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../error.h"
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

static const NnParam concatenate_params[] = {
	{"axis", NN_PARAM_INT, 0, -1, 3, {{-1}}, NULL},
	{0},
};
static NnStatus
mismatch(const NnNode *node, const NnShape *a, const NnShape *b, NnError *error)
{
	return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
				   "layer \"%s\" (%s) cannot join inputs of %d x %d x %d and %d x %d x %d", node->spec.name,
				   nn_node_op(node)->info.class_name, a->h, a->w, a->c, b->h, b->w, b->c);
}

static NnStatus
add_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	int i;

	for (i = 1; i < node->spec.n_inputs; i++)
		if (inputs[i].rank != inputs[0].rank || inputs[i].h != inputs[0].h || inputs[i].w != inputs[0].w ||
			inputs[i].c != inputs[0].c)
			return mismatch(node, &inputs[0], &inputs[i], error);
	node->shape = inputs[0];
	return NN_OK;
}

static void
add_forward(const NnCall *call)
{
	const NnShape *shape = &call->node->shape;
	size_t n = nn_shape_floats(shape);
	size_t start, i;
	int j;

	for (start = 0; start < n && !nn_stopped(); start += NN_STOP_WORK)
	{
		size_t end = n - start < NN_STOP_WORK ? n : start + NN_STOP_WORK;

		for (i = start; i < end; i++)
			call->dst[i] = call->src[0][i] + call->src[1][i];
		for (j = 2; j < call->step->n_src; j++)
			for (i = start; i < end; i++)
				call->dst[i] += call->src[j][i];
	}
	nn_activation_forward(call->dst, n / (size_t) shape->c, (size_t) shape->c, call->step->activation,
						  call->step->slope);
}

static void
add_backward(const NnCall *call)
{
	const NnShape *shape = &call->node->shape;
	size_t n = nn_shape_floats(shape);
	int j;

	nn_activation_backward(call->ddst, call->dst, n / (size_t) shape->c, (size_t) shape->c,
						   call->step->activation, call->step->slope);
	for (j = 0; j < call->step->n_src; j++)
		if (call->dsrc[j] != NULL)
			nn_stop_copy(call->dsrc[j], call->ddst, n);
}

static NnStatus
concatenate_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	int axis = (int) node->spec.params[0].v[0];
	size_t c = 0;
	int i;

	node->in = inputs[0];
	if (axis != -1 && axis != inputs[0].rank)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Use axis -1.",
					   "layer \"%s\" (Concatenate) has axis %d, but only the channels can be joined",
					   node->spec.name, axis);
	for (i = 0; i < node->spec.n_inputs; i++)
	{
		if (inputs[i].rank != inputs[0].rank || inputs[i].h != inputs[0].h || inputs[i].w != inputs[0].w)
			return mismatch(node, &inputs[0], &inputs[i], error);
		c += (size_t) inputs[i].c;
	}
	return nn_set_shape(node, inputs[0].rank, inputs[0].h, inputs[0].w, c, error);
}

/* Returns the channels of input j; the sizes are kept nowhere else than in the tensors. */
static size_t
channels_of(const NnCall *call, int j)
{
	return call->src_floats[j] / nn_shape_pixels(&call->node->shape);
}

static void
concatenate_forward(const NnCall *call)
{
	size_t c = (size_t) call->node->shape.c;
	size_t pixels = nn_shape_floats(&call->node->shape) / c;
	size_t start = 0;
	size_t work = 0;
	size_t i;
	int j;

	for (j = 0; j < call->step->n_src; j++)
	{
		size_t width = channels_of(call, j);

		for (i = 0; i < pixels && !nn_stop_due(&work, width); i++)
			memcpy(call->dst + i * c + start, call->src[j] + i * width, width * sizeof(float));
		start += width;
	}
}

static void
concatenate_backward(const NnCall *call)
{
	size_t c = (size_t) call->node->shape.c;
	size_t pixels = nn_shape_floats(&call->node->shape) / c;
	size_t start = 0;
	size_t work = 0;
	size_t i;
	int j;

	for (j = 0; j < call->step->n_src; j++)
	{
		size_t width = channels_of(call, j);

		if (call->dsrc[j] != NULL)
			for (i = 0; i < pixels && !nn_stop_due(&work, width); i++)
				memcpy(call->dsrc[j] + i * width, call->ddst + i * c + start, width * sizeof(float));
		start += width;
	}
}

const NnOp nn_op_add = {
	.info = {"Add", 2, NN_MAX_INPUTS, nn_no_params, nn_no_ignored, nn_no_refused, "Sum of equal shapes."},
	.flags = NN_FUSE_ACTIVATION,
	.shape = add_shape,
	.forward = add_forward,
	.backward = add_backward,
};

const NnOp nn_op_concatenate = {
	.info = {"Concatenate", 2, NN_MAX_INPUTS, concatenate_params, nn_no_ignored, nn_no_refused,
			 "Joins the channels of its inputs."},
	.shape = concatenate_shape,
	.forward = concatenate_forward,
	.backward = concatenate_backward,
};
