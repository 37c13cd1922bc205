/*-------------------------------------------------------------------------
 *
 * op_rescaling.c
 *	  Rescaling: x * scale + offset, for all channels or for each its own.
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
	P_SCALE,
	P_OFFSET
};

static const NnParam params[] = {
	{"scale", NN_PARAM_FLOATS, 1, -1e30, 1e30, {{0}}, NULL},
	{"offset", NN_PARAM_FLOATS, 0, -1e30, 1e30, {{0}}, NULL},
	{0},
};

static NnStatus
rescaling_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	int i;

	for (i = P_SCALE; i <= P_OFFSET; i++)
	{
		int count = (int) node->spec.params[i].v[3];

		if (count > 1 && count != inputs[0].c)
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
						   "\"%s\" of layer \"%s\" (Rescaling) has %d numbers for %d channels", params[i].key,
						   node->spec.name, count, inputs[0].c);
	}
	return nn_same_shape(node, inputs, error);
}

/* Returns the number of a parameter for channel k. */
static float
number_of(const NnNode *node, int param, size_t k)
{
	const double *v = node->spec.params[param].v;

	return (float) v[v[3] > 1 ? k : 0];
}

/* Returns how many channels have numbers of their own, 1 where all have the same. */
static size_t
period_of(const NnNode *node)
{
	const NnValue *p = node->spec.params;

	return p[P_SCALE].v[3] > 1 || p[P_OFFSET].v[3] > 1 ? (size_t) node->shape.c : 1;
}

static void
rescaling_forward(const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	size_t period = period_of(call->node);
	size_t work = 0;
	size_t k, start, i;

	for (k = 0; k < period; k++)
	{
		float scale = number_of(call->node, P_SCALE, k);
		float offset = number_of(call->node, P_OFFSET, k);

		for (start = k; start < n && !nn_stop_due(&work, NN_STOP_WORK); start += period * NN_STOP_WORK)
			for (i = start; i < n && i < start + period * NN_STOP_WORK; i += period)
				call->dst[i] = call->src[0][i] * scale + offset;
	}
}

static void
rescaling_backward(const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	size_t period = period_of(call->node);
	size_t work = 0;
	size_t k, start, i;

	if (call->dsrc[0] == NULL)
		return;
	for (k = 0; k < period; k++)
	{
		float scale = number_of(call->node, P_SCALE, k);

		for (start = k; start < n && !nn_stop_due(&work, NN_STOP_WORK); start += period * NN_STOP_WORK)
			for (i = start; i < n && i < start + period * NN_STOP_WORK; i += period)
				call->dsrc[0][i] = call->ddst[i] * scale;
	}
}

const NnOp nn_op_rescaling = {
	.info = {"Rescaling", 1, 1, params, nn_no_ignored, nn_no_refused, "x * scale + offset."},
	.shape = rescaling_shape,
	.forward = rescaling_forward,
	.backward = rescaling_backward,
};
