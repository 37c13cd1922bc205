/*-------------------------------------------------------------------------
 *
 * op_global_pooling.c
 *	  GlobalAveragePooling2D and GlobalMaxPooling2D.
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

enum
{
	P_KEEPDIMS
};

static const NnParam params[] = {
	NN_PARAM_ROW_BOOL("keepdims", 0),
	{0},
};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0},
};

static NnStatus
global_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	if (status == NN_OK)
		status = nn_set_shape(node, node->spec.params[P_KEEPDIMS].v[0] != 0 ? 3 : 1, 1, 1,
							  (size_t) node->in.c, error);
	return status;
}

static void
average_forward(const NnCall *call)
{
	size_t c = (size_t) call->node->in.c;
	size_t pixels = nn_shape_floats(&call->node->in) / c;
	const float *src = call->src[0];
	size_t work = 0;
	size_t i, k;

	memset(call->dst, 0, c * sizeof(float));
	for (i = 0; i < pixels && !nn_stop_due(&work, c); i++, src += c)
		for (k = 0; k < c; k++)
			call->dst[k] += src[k];
	for (k = 0; k < c; k++)
		call->dst[k] /= (float) pixels;
}

static void
average_backward(const NnCall *call)
{
	size_t c = (size_t) call->node->in.c;
	size_t pixels = nn_shape_floats(&call->node->in) / c;
	float *dsrc = call->dsrc[0];
	size_t work = 0;
	size_t i, k;

	if (dsrc == NULL)
		return;
	for (i = 0; i < pixels && !nn_stop_due(&work, c); i++, dsrc += c)
		for (k = 0; k < c; k++)
			dsrc[k] = call->ddst[k] / (float) pixels;
}

static void
max_forward(const NnCall *call)
{
	size_t c = (size_t) call->node->in.c;
	size_t pixels = nn_shape_floats(&call->node->in) / c;
	const float *src = call->src[0];
	size_t work = 0;
	size_t i, k;

	memcpy(call->dst, src, c * sizeof(float));
	for (i = 1; i < pixels && !nn_stop_due(&work, c); i++)
		for (k = 0; k < c; k++)
			call->dst[k] = src[i * c + k] > call->dst[k] ? src[i * c + k] : call->dst[k];
}

/*
 * Shares the gradient among equal maxima, as Keras does, where this is a
 * maximum reduction; windowed pooling gives it to the first.
 */
static void
max_backward(const NnCall *call)
{
	size_t c = (size_t) call->node->in.c;
	size_t pixels = nn_shape_floats(&call->node->in) / c;
	const float *src = call->src[0];
	float *dsrc = call->dsrc[0];
	size_t work = 0;
	size_t at, i, k;

	if (dsrc == NULL)
		return;
	for (k = 0; k < c; k++)
	{
		float best = src[k];
		size_t equal = 0;

		for (at = 0; at < pixels && !nn_stopped(); at += NN_STOP_WORK)
			for (i = at; i < pixels && i < at + NN_STOP_WORK; i++)
				if (src[i * c + k] > best)
					best = src[i * c + k];
		for (at = 0; at < pixels && !nn_stopped(); at += NN_STOP_WORK)
			for (i = at; i < pixels && i < at + NN_STOP_WORK; i++)
				equal += (src[i * c + k] == best);
		for (at = 0; at < pixels && !nn_stopped(); at += NN_STOP_WORK)
			for (i = at; i < pixels && i < at + NN_STOP_WORK; i++)
				dsrc[i * c + k] = src[i * c + k] == best ? call->ddst[k] / (float) equal : 0.0f;
		if (nn_stop_due(&work, 3 * pixels))
			return;
	}
}

const NnOp nn_op_global_average_pooling = {
	.info = {"GlobalAveragePooling2D", 1, 1, params, nn_no_ignored, refused,
			 "Average of each channel over the image."},
	.shape = global_shape,
	.forward = average_forward,
	.backward = average_backward,
};

const NnOp nn_op_global_max_pooling = {
	.info = {"GlobalMaxPooling2D", 1, 1, params, nn_no_ignored, refused,
			 "Maximum of each channel over the image."},
	.flags = NN_NEEDS_SRC,
	.shape = global_shape,
	.forward = max_forward,
	.backward = max_backward,
};
