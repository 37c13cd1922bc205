/*-------------------------------------------------------------------------
 *
 * op_flatten.c
 *	  Flatten: the same memory in another shape.
 *
 *-------------------------------------------------------------------------
 */
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>
static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0},
};

static NnStatus
flatten_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	return nn_set_shape(node, 1, 1, 1, nn_shape_floats(&inputs[0]), error);
}

/* Runs only where an explanation asks for this very node. */
static void
flatten_forward(const NnCall *call)
{
	nn_stop_copy(call->dst, call->src[0], nn_shape_floats(&call->node->in));
}

static void
flatten_backward(const NnCall *call)
{
	if (call->dsrc[0] != NULL)
		nn_stop_copy(call->dsrc[0], call->ddst, nn_shape_floats(&call->node->in));
}

const NnOp nn_op_flatten = {
	.info = {"Flatten", 1, 1, nn_no_params, nn_no_ignored, refused, "Height, width and channels as one row."},
	.flags = NN_ALIAS,
	.shape = flatten_shape,
	.forward = flatten_forward,
	.backward = flatten_backward,
};
