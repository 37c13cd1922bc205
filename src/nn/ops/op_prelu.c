/*-------------------------------------------------------------------------
 *
 * op_prelu.c
 *	  PReLU: below zero a line whose slope, alpha, is trained.
 *
 * dst = src where src > 0, else alpha src.  Each place of the sample has an
 * alpha of its own, except along the axes in shared_axes (1 height, 2 width, 3
 * channels), along which one serves all.
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
	P_ALPHA_INITIALIZER,
	P_SHARED_AXES,
	P_TRAINABLE
};

static const NnParam params[] = {
	NN_PARAM_ROW_ZEROS("alpha_initializer"),
	{"shared_axes", NN_PARAM_INTS, NN_LATER, 1, 3, {{0}}, NULL}, /* none */
	NN_PARAM_ROW_TRAINABLE,
	NN_PARAM_ROW_REGULARIZER("alpha"),
	NN_PARAM_ROW_CONSTRAINT("alpha"),
	{0},
};

static NnStatus
prelu_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const double *axes = node->spec.params[P_SHARED_AXES].v;
	const NnShape *in = &inputs[0];
	int dims[3] = {in->h, in->w, in->c};
	int n_dims = in->rank == 3 ? 3 : 1;
	int i;

	if (in->rank != 3)
		dims[0] = in->c;
	for (i = 0; i < (int) axes[3]; i++)
	{
		int axis = (int) axes[i];

		if (axis > n_dims)
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "Axis 1 is the first one after the batch's.",
						   "layer \"%s\" (PReLU) shares axis %d, its input has %d", node->spec.name, axis,
						   n_dims);
		dims[axis - 1] = 1;
	}
	node->shape = *in;
	nn_add_variable(node, "alpha", 1, &node->spec.params[P_ALPHA_INITIALIZER], n_dims, dims[0],
					n_dims == 3 ? dims[1] : 0, n_dims == 3 ? dims[2] : 0, 0);
	node->multiply_adds = (uint64_t) nn_shape_floats(&node->shape);
	return NN_OK;
}

/* How far the next row, column and channel of alpha is: 0 along a shared axis. */
typedef struct Steps
{
	size_t row, column, channel;
} Steps;

static Steps
alpha_steps(const NnNode *node)
{
	const NnNodeVariable *alpha = &node->vars[0];
	Steps steps = {0, 0, 0};

	if (alpha->rank == 1)
		steps.channel = alpha->dims[0] > 1;
	else
	{
		steps.channel = alpha->dims[2] > 1;
		steps.column = alpha->dims[1] > 1 ? (size_t) alpha->dims[2] : 0;
		steps.row = alpha->dims[0] > 1 ? (size_t) alpha->dims[1] * (size_t) alpha->dims[2] : 0;
	}
	return steps;
}

static void
prelu_forward(const NnCall *call)
{
	const NnShape *shape = &call->node->shape;
	Steps steps = alpha_steps(call->node);
	size_t c = (size_t) shape->c;
	size_t work = 0;
	size_t at = 0;
	size_t k;
	int y, x;

	for (y = 0; y < shape->h; y++)
		for (x = 0; x < shape->w && !nn_stop_due(&work, c); x++, at += c)
		{
			const float *alpha = call->weights + (size_t) y * steps.row + (size_t) x * steps.column;
			const float *src = call->src[0] + at;
			float *dst = call->dst + at;

			if (steps.channel)
				for (k = 0; k < c; k++)
					dst[k] = src[k] > 0.0f ? src[k] : alpha[k] * src[k];
			else
				for (k = 0; k < c; k++)
					dst[k] = src[k] > 0.0f ? src[k] : alpha[0] * src[k];
		}
}

/* Below zero the gradient of the source is alpha times that of the output; at zero it is 0, as Keras's is. */
static void
prelu_backward(const NnCall *call)
{
	const NnShape *shape = &call->node->shape;
	Steps steps = alpha_steps(call->node);
	size_t c = (size_t) shape->c;
	size_t work = 0;
	size_t at = 0;
	size_t k;
	int y, x;

	for (y = 0; y < shape->h; y++)
		for (x = 0; x < shape->w && !nn_stop_due(&work, 2 * c); x++, at += c)
		{
			size_t start = (size_t) y * steps.row + (size_t) x * steps.column;
			const float *src = call->src[0] + at;
			const float *ddst = call->ddst + at;

			if (call->dweights != NULL)
				for (k = 0; k < c; k++)
					if (src[k] < 0.0f)
						call->dweights[start + k * steps.channel] += src[k] * ddst[k];
			if (call->dsrc[0] != NULL)
				for (k = 0; k < c; k++)
				{
					float slope = src[k] < 0.0f ? call->weights[start + k * steps.channel] : 0.0f;

					call->dsrc[0][at + k] = (src[k] > 0.0f ? 1.0f : slope) * ddst[k];
				}
		}
}

const NnOp nn_op_prelu = {
	.info = {"PReLU", 1, 1, params, nn_no_ignored, nn_no_refused,
			 "A ReLU whose slope below zero is trained."},
	.flags = NN_NEEDS_SRC,
	.shape = prelu_shape,
	.forward = prelu_forward,
	.backward = prelu_backward,
};
