/*-------------------------------------------------------------------------
 *
 * op_activation.c
 *	  Activation, and ReLU, LeakyReLU, ELU and Softmax as layers of their own.
 *
 * They run only where they could not join the step before them.
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

static const NnParam activation_params[] = {
	{"activation", NN_PARAM_ACTIVATION, 1, 0, 0, {{0}}, NULL},
	{0},
};

static const NnParam relu_params[] = {
	{"negative_slope", NN_PARAM_FLOAT, 0, 0, 1e6, {{0}}, NULL},
	{"max_value", NN_PARAM_FLOAT, NN_LATER, 0, 1e6, {{0}}, NULL}, /* 0: none */
	{0},
};

static const NnRefused relu_refused[] = {
	{"threshold", "0|0.0"},
	{0},
};

static const NnParam elu_params[] = {
	{"alpha", NN_PARAM_FLOAT, 0, 0, 1e6, {{1}}, NULL},
	{0},
};

/* alpha is Keras 2's name; -1: not given */
static const NnParam leaky_relu_params[] = {
	{"negative_slope", NN_PARAM_FLOAT, 0, 0, 1e6, {{0.3}}, NULL},
	{"alpha", NN_PARAM_FLOAT, 0, -1, 1e6, {{-1}}, NULL},
	{0},
};

static const NnRefused softmax_refused[] = {
	{"axis", "-1|[-1]"},
	{0},
};

static NnActivation
activation_kind(const NnNode *node, float *slope)
{
	return nn_value_activation(&node->spec.params[0], slope);
}

static NnActivation
relu_kind(const NnNode *node, float *slope)
{
	*slope = (float) node->spec.params[1].v[0];
	if (*slope > 0.0f)
		return NN_RELU6;
	*slope = (float) node->spec.params[0].v[0];
	return *slope > 0.0f ? NN_LEAKY_RELU : NN_RELU;
}

static NnActivation
leaky_relu_kind(const NnNode *node, float *slope)
{
	double alpha = node->spec.params[1].v[0];

	*slope = (float) (alpha >= 0 ? alpha : node->spec.params[0].v[0]);
	return NN_LEAKY_RELU;
}

static NnActivation
elu_kind(const NnNode *node, float *slope)
{
	*slope = (float) node->spec.params[0].v[0];
	return NN_ELU;
}

static NnActivation
softmax_kind(const NnNode *node, float *slope)
{
	(void) node;
	*slope = 0.0f;
	return NN_SOFTMAX;
}

static NnStatus
relu_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	if (node->spec.params[0].v[0] > 0 && node->spec.params[1].v[0] > 0)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Leave one of the two out.",
					   "layer \"%s\" (ReLU) has both \"negative_slope\" and \"max_value\"", node->spec.name);
	return nn_same_shape(node, inputs, error);
}

static void
activation_forward(const NnCall *call)
{
	const NnShape *shape = &call->node->shape;
	size_t rows = nn_shape_pixels(shape);

	nn_stop_copy(call->dst, call->src[0], nn_shape_floats(shape));
	nn_activation_forward(call->dst, rows, (size_t) shape->c, call->step->activation, call->step->slope);
}

static void
activation_backward(const NnCall *call)
{
	const NnShape *shape = &call->node->shape;
	size_t rows = nn_shape_pixels(shape);

	if (call->dsrc[0] == NULL)
		return;
	nn_stop_copy(call->dsrc[0], call->ddst, nn_shape_floats(shape));
	nn_activation_backward(call->dsrc[0],
						   nn_activation_stands_alone(call->step->activation) ? call->src[0] : call->dst,
						   rows, (size_t) shape->c, call->step->activation, call->step->slope);
}

const NnOp nn_op_activation = {
	.info = {"Activation", 1, 1, activation_params, nn_no_ignored, nn_no_refused, "An activation function."},
	.flags = NN_NEEDS_DST | NN_IS_ACTIVATION,
	.shape = nn_same_shape,
	.activation = activation_kind,
	.forward = activation_forward,
	.backward = activation_backward,
};

const NnOp nn_op_relu = {
	.info = {"ReLU", 1, 1, relu_params, nn_no_ignored, relu_refused, "max(x, 0), or up to max_value."},
	.flags = NN_NEEDS_DST | NN_IS_ACTIVATION,
	.shape = relu_shape,
	.activation = relu_kind,
	.forward = activation_forward,
	.backward = activation_backward,
};

const NnOp nn_op_leaky_relu = {
	.info = {"LeakyReLU", 1, 1, leaky_relu_params, nn_no_ignored, nn_no_refused,
			 "x, or negative_slope * x below zero."},
	.flags = NN_NEEDS_DST | NN_IS_ACTIVATION,
	.shape = nn_same_shape,
	.activation = leaky_relu_kind,
	.forward = activation_forward,
	.backward = activation_backward,
};

const NnOp nn_op_elu = {
	.info = {"ELU", 1, 1, elu_params, nn_no_ignored, nn_no_refused, "x, or alpha * (exp(x) - 1) below zero."},
	.flags = NN_NEEDS_DST | NN_IS_ACTIVATION,
	.shape = nn_same_shape,
	.activation = elu_kind,
	.forward = activation_forward,
	.backward = activation_backward,
};

const NnOp nn_op_softmax = {
	.info = {"Softmax", 1, 1, nn_no_params, nn_no_ignored, softmax_refused, "Softmax over the channels."},
	.flags = NN_NEEDS_DST | NN_IS_ACTIVATION,
	.shape = nn_same_shape,
	.activation = softmax_kind,
	.forward = activation_forward,
	.backward = activation_backward,
};
