/*-------------------------------------------------------------------------
 *
 * ops.h
 *	  The operations, one line per node type, for the table in ops.c.  Each is
 *	  defined in the op_*.c file of its name or its family.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_OPS_OPS_H
#define PNEUMO_NN_OPS_OPS_H

#include "../op.h"

extern const NnOp nn_op_activation;
extern const NnOp nn_op_add;
extern const NnOp nn_op_average;
extern const NnOp nn_op_average_pooling;
extern const NnOp nn_op_batch_normalization;
extern const NnOp nn_op_concatenate;
extern const NnOp nn_op_conv2d;
extern const NnOp nn_op_cropping;
extern const NnOp nn_op_dense;
extern const NnOp nn_op_depthwise_conv2d;
extern const NnOp nn_op_dropout;
extern const NnOp nn_op_elu;
extern const NnOp nn_op_flatten;
extern const NnOp nn_op_global_average_pooling;
extern const NnOp nn_op_global_max_pooling;
extern const NnOp nn_op_group_normalization;
extern const NnOp nn_op_input;
extern const NnOp nn_op_layer_normalization;
extern const NnOp nn_op_leaky_relu;
extern const NnOp nn_op_max_pooling;
extern const NnOp nn_op_maximum;
extern const NnOp nn_op_minimum;
extern const NnOp nn_op_multiply;
extern const NnOp nn_op_prelu;
extern const NnOp nn_op_relu;
extern const NnOp nn_op_rescaling;
extern const NnOp nn_op_reshape;
extern const NnOp nn_op_select_channels;
extern const NnOp nn_op_softmax;
extern const NnOp nn_op_spatial_dropout;
extern const NnOp nn_op_subtract;
extern const NnOp nn_op_up_sampling;
extern const NnOp nn_op_zero_padding;

#endif /* PNEUMO_NN_OPS_OPS_H */
