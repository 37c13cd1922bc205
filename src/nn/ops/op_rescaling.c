/*-------------------------------------------------------------------------
 *
 * op_rescaling.c
 *	  Rescaling: x * scale + offset.
 *
 *-------------------------------------------------------------------------
 */
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
	{"scale", NN_PARAM_FLOAT, 1, -1e30, 1e30, {{0}}, NULL},
	{"offset", NN_PARAM_FLOAT, 0, -1e30, 1e30, {{0}}, NULL},
	{0},
};
static void
rescaling_forward(const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	float scale = (float) call->node->spec.params[P_SCALE].v[0];
	float offset = (float) call->node->spec.params[P_OFFSET].v[0];
	size_t start, i;

	for (start = 0; start < n && !nn_stopped(); start += NN_STOP_WORK)
		for (i = start; i < n && i < start + NN_STOP_WORK; i++)
			call->dst[i] = call->src[0][i] * scale + offset;
}

static void
rescaling_backward(const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	float scale = (float) call->node->spec.params[P_SCALE].v[0];
	size_t start, i;

	if (call->dsrc[0] == NULL)
		return;
	for (start = 0; start < n && !nn_stopped(); start += NN_STOP_WORK)
		for (i = start; i < n && i < start + NN_STOP_WORK; i++)
			call->dsrc[0][i] = call->ddst[i] * scale;
}

const NnOp nn_op_rescaling = {
	.info = {"Rescaling", 1, 1, params, nn_no_ignored, nn_no_refused, "x * scale + offset."},
	.shape = nn_same_shape,
	.forward = rescaling_forward,
	.backward = rescaling_backward,
};
