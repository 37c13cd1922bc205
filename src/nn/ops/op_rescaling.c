/*-------------------------------------------------------------------------
 *
 * op_rescaling.c
 *	  Rescaling: x * scale + offset.
 *
 *-------------------------------------------------------------------------
 */
#include "../nn_internal.h"

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

static const char *const ignored[] = {NULL};
static const NnRefused refused[] = {{0}};

static NnStatus
rescaling_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	(void) error;
	node->shape = inputs[0];
	return NN_OK;
}

static void
rescaling_forward(const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	float scale = (float) call->node->spec.params[P_SCALE].v[0];
	float offset = (float) call->node->spec.params[P_OFFSET].v[0];
	size_t i;

	for (i = 0; i < n; i++)
		call->dst[i] = call->src[0][i] * scale + offset;
}

static void
rescaling_backward(const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	float scale = (float) call->node->spec.params[P_SCALE].v[0];
	size_t i;

	if (call->dsrc[0] != NULL)
		for (i = 0; i < n; i++)
			call->dsrc[0][i] = call->ddst[i] * scale;
}

const NnOp nn_op_rescaling = {
	.info = {"Rescaling", 1, 1, params, ignored, refused, "x * scale + offset."},
	.shape = rescaling_shape,
	.forward = rescaling_forward,
	.backward = rescaling_backward,
};
