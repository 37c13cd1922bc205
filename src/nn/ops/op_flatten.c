/*-------------------------------------------------------------------------
 *
 * op_flatten.c
 *	  Flatten and Reshape: the same memory in another shape.
 *
 *-------------------------------------------------------------------------
 */
#include "../error.h"
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../sizes.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>
static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0},
};

/* -1: what is left over; once at most */
static const NnParam reshape_params[] = {
	{"target_shape", NN_PARAM_INTS, 1, -1, NN_MAX_CHANNELS, {{0}}, NULL},
	{0},
};

static NnStatus
flatten_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	return nn_set_shape(node, 1, 1, 1, nn_shape_floats(&inputs[0]), error);
}

static NnStatus
reshape_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const double *target = node->spec.params[0].v;
	int rank = (int) target[3];
	size_t n = nn_shape_floats(&inputs[0]);
	size_t known = 1;
	int open = -1;
	size_t dims[3] = {1, 1, 1};
	int i;

	if (rank == 2)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Use [values] or [height, width, channels].",
					   "layer \"%s\" (Reshape) has a target of two dimensions", node->spec.name);
	for (i = 0; i < rank; i++)
	{
		if (target[i] == 0 || (target[i] < 0 && open >= 0))
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
						   "layer \"%s\" (Reshape) has a target that cannot be", node->spec.name);
		if (target[i] < 0)
			open = i;
		else
			dims[i + 3 - rank] = (size_t) target[i];
	}
	for (i = 0; i < 3; i++)
		known = nn_mul_size(known, dims[i]);
	if (open >= 0)
		dims[open + 3 - rank] = n / known;
	if (open >= 0 ? n % known != 0 || n < known : n != known)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "layer \"%s\" (Reshape) cannot make %zu values the target shape", node->spec.name, n);
	if (dims[0] > NN_MAX_SIDE || dims[1] > NN_MAX_SIDE)
		return nn_fail(error, NN_TOO_LARGE, -1, "", "layer \"%s\" (Reshape) has more than %d rows or columns",
					   node->spec.name, NN_MAX_SIDE);
	return nn_set_shape(node, rank, (int) dims[0], (int) dims[1], dims[2], error);
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
	.flags = NN_ALIAS | NN_MOVES_VALUES,
	.shape = flatten_shape,
	.forward = flatten_forward,
	.backward = flatten_backward,
};

const NnOp nn_op_reshape = {
	.info = {"Reshape", 1, 1, reshape_params, nn_no_ignored, nn_no_refused,
			 "The same values in another shape."},
	.flags = NN_ALIAS | NN_MOVES_VALUES,
	.shape = reshape_shape,
	.forward = flatten_forward,
	.backward = flatten_backward,
};
