/*-------------------------------------------------------------------------
 *
 * ops.c
 *	  The table of node types.
 *
 * A new node type is one file op_*.c that defines an NnOp, its line here and
 * its line in ops.h; README.md lists the rest.  Stored models name types by
 * class name, so the order is free; only the InputLayer must stay first.
 *
 *-------------------------------------------------------------------------
 */
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "ops.h"

#include <string.h>

static const NnOp *const ops[] = {
	&nn_op_input,
	&nn_op_conv2d,
	&nn_op_depthwise_conv2d,
	&nn_op_max_pooling,
	&nn_op_average_pooling,
	&nn_op_global_average_pooling,
	&nn_op_global_max_pooling,
	&nn_op_flatten,
	&nn_op_dense,
	&nn_op_dropout,
	&nn_op_batch_normalization,
	&nn_op_activation,
	&nn_op_relu,
	&nn_op_leaky_relu,
	&nn_op_softmax,
	&nn_op_add,
	&nn_op_concatenate,
	&nn_op_rescaling,
	&nn_op_elu,
	&nn_op_reshape,
	&nn_op_zero_padding,
	&nn_op_cropping,
	&nn_op_up_sampling,
	&nn_op_multiply,
	&nn_op_average,
	&nn_op_maximum,
	&nn_op_minimum,
	&nn_op_subtract,
	&nn_op_spatial_dropout,
	&nn_op_layer_normalization,
	&nn_op_group_normalization,
	&nn_op_select_channels,
	&nn_op_prelu,
};

#define N_OPS ((int) (sizeof(ops) / sizeof(ops[0])))

/* Keys of every Keras layer that say nothing about what it computes. */
const char *const nn_common_ignored[] = {"name",        "trainable",   "dtype",    "batch_input_shape",
										 "batch_shape", "input_shape", "autocast", "quantization_config",
										 NULL};

int
nn_op_count(void)
{
	return N_OPS;
}

const NnOpInfo *
nn_op_info(int op)
{
	return (op >= 0 && op < N_OPS) ? &ops[op]->info : NULL;
}

int
nn_op_param_find(int op, const char *key)
{
	const NnParam *params = nn_op_info(op)->params;
	int i;

	for (i = 0; params[i].key != NULL; i++)
		if (strcmp(params[i].key, key) == 0)
			return i;
	return -1;
}

int
nn_op_find(const char *class_name)
{
	int op;

	for (op = 0; op < N_OPS; op++)
		if (strcmp(ops[op]->info.class_name, class_name) == 0)
			return op;
	return -1;
}

const NnOp *
nn_op(int op)
{
	return ops[op];
}

const NnOp *
nn_node_op(const NnNode *node)
{
	return ops[node->spec.op];
}
