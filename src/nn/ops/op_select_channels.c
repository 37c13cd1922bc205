/*-------------------------------------------------------------------------
 *
 * op_select_channels.c
 *	  SelectChannels: some channels, or all in another order.
 *
 * Output channel i * inner + j is input channel
 * start + i * outer_stride + j * inner_stride.  With outer 1 that is a slice;
 * with inner_stride the width of a group it is a channel shuffle, or a part of
 * one.  Keras has no such layer: networks from elsewhere need it (ShuffleNet).
 *
 *-------------------------------------------------------------------------
 */
#include "../error.h"
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

enum
{
	P_START,
	P_OUTER,
	P_OUTER_STRIDE,
	P_INNER,
	P_INNER_STRIDE
};

static const NnParam params[] = {
	{"start", NN_PARAM_INT, 0, 0, NN_MAX_CHANNELS, {{0}}, NULL},
	{"outer", NN_PARAM_INT, 0, 1, NN_MAX_CHANNELS, {{1}}, NULL},
	{"outer_stride", NN_PARAM_INT, 0, 1, NN_MAX_CHANNELS, {{1}}, NULL},
	{"inner", NN_PARAM_INT, 1, 1, NN_MAX_CHANNELS, {{0}}, NULL},
	{"inner_stride", NN_PARAM_INT, 0, 1, NN_MAX_CHANNELS, {{1}}, NULL},
	{0},
};

static size_t
value_of(const NnNode *node, int param)
{
	return (size_t) node->spec.params[param].v[0];
}

static NnStatus
select_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	size_t last = value_of(node, P_START) + (value_of(node, P_OUTER) - 1) * value_of(node, P_OUTER_STRIDE) +
				  (value_of(node, P_INNER) - 1) * value_of(node, P_INNER_STRIDE);

	if (last >= (size_t) inputs[0].c)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "layer \"%s\" (SelectChannels) takes channel %zu of %d, counted from 0",
					   node->spec.name, last, inputs[0].c);
	return nn_set_shape(node, inputs[0].rank, inputs[0].h, inputs[0].w,
						value_of(node, P_OUTER) * value_of(node, P_INNER), error);
}

/* Copies the channels of each pixel, or, backward, adds their gradients to those of the source. */
static void
walk(const NnCall *call, int backward)
{
	const NnNode *node = call->node;
	size_t pixels = nn_shape_pixels(&node->shape);
	size_t c = (size_t) node->in.c;
	size_t start = value_of(node, P_START);
	size_t outer = value_of(node, P_OUTER);
	size_t outer_stride = value_of(node, P_OUTER_STRIDE);
	size_t inner = value_of(node, P_INNER);
	size_t inner_stride = value_of(node, P_INNER_STRIDE);
	size_t work = 0;
	size_t at = 0;
	size_t pixel, i, j;

	for (pixel = 0; pixel < pixels; pixel++)
		for (i = 0; i < outer; i++, at += inner)
		{
			size_t from = pixel * c + start + i * outer_stride;

			if (nn_stop_due(&work, inner))
				return;
			if (backward)
				for (j = 0; j < inner; j++)
					call->dsrc[0][from + j * inner_stride] += call->ddst[at + j];
			else
				for (j = 0; j < inner; j++)
					call->dst[at + j] = call->src[0][from + j * inner_stride];
		}
}

static void
select_forward(const NnCall *call)
{
	walk(call, 0);
}

static void
select_backward(const NnCall *call)
{
	if (call->dsrc[0] == NULL)
		return;
	nn_stop_zero(call->dsrc[0], nn_shape_floats(&call->node->in) * sizeof(float));
	walk(call, 1);
}

const NnOp nn_op_select_channels = {
	.info = {"SelectChannels", 1, 1, params, nn_no_ignored, nn_no_refused,
			 "Some channels, or all in another order."},
	.shape = select_shape,
	.forward = select_forward,
	.backward = select_backward,
};
