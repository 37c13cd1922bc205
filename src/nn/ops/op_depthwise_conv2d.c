/*-------------------------------------------------------------------------
 *
 * op_depthwise_conv2d.c
 *	  DepthwiseConv2D: each channel has depth_multiplier kernels of its own.
 *
 * The kernel (KH, KW, C, M) has at every tap one value per output channel
 * c * M + m, in the order of the output; all loops run along it.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../graph.h"
#include "../kernels/maps.h"
#include "../nn.h"
#include "../op.h"
#include "../sizes.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

enum
{
	P_KERNEL_SIZE,
	P_STRIDES,
	P_PADDING,
	P_DEPTH_MULTIPLIER,
	P_ACTIVATION,
	P_USE_BIAS,
	P_DEPTHWISE_INITIALIZER,
	P_BIAS_INITIALIZER,
	P_DILATION_RATE,
	P_TRAINABLE
};

static const NnParam params[] = {
	{"kernel_size", NN_PARAM_INT_PAIR, 1, 1, 255, {{0}}, NULL},
	{"strides", NN_PARAM_INT_PAIR, 0, 1, 255, {{1, 1}}, NULL},
	{"padding", NN_PARAM_ENUM, 0, 0, 1, {{0}}, nn_padding_names},
	{"depth_multiplier", NN_PARAM_INT, 0, 1, 1024, {{1}}, NULL},
	NN_PARAM_ROW_ACTIVATION,
	NN_PARAM_ROW_BOOL("use_bias", 1),
	NN_PARAM_ROW_GLOROT("depthwise_initializer"),
	NN_PARAM_ROW_ZEROS("bias_initializer"),
	NN_PARAM_ROW_DILATION,
	NN_PARAM_ROW_TRAINABLE,
	NN_PARAM_ROW_REGULARIZER("depthwise"),
	NN_PARAM_ROW_CONSTRAINT("depthwise"),
	NN_PARAM_ROW_REGULARIZER("bias"),
	NN_PARAM_ROW_CONSTRAINT("bias"),
	{0},
};

/* kernel_* and filters are written by Keras, but belong to Conv2D */
static const char *const ignored[] =
	{"rank", "filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint", NULL};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{"groups", "1"},
	{"activity_regularizer", "null"},
	{0},
};

static NnStatus
depthwise_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int kh = (int) p[P_KERNEL_SIZE].v[0];
	int kw = (int) p[P_KERNEL_SIZE].v[1];
	int multiplier = (int) p[P_DEPTH_MULTIPLIER].v[0];
	int oh, ow;
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	if (status == NN_OK)
		status = nn_window_init(node, kh, kw, (int) p[P_STRIDES].v[0], (int) p[P_STRIDES].v[1],
								(int) p[P_DILATION_RATE].v[0], (int) p[P_DILATION_RATE].v[1],
								(int) p[P_PADDING].v[0], &oh, &ow, error);
	if (status == NN_OK)
		status = nn_set_shape(node, 3, oh, ow, (size_t) node->in.c * (size_t) multiplier, error);
	if (status != NN_OK)
		return status;
	nn_set_penalty(node,
				   nn_add_variable(node, "kernel", 1, &p[P_DEPTHWISE_INITIALIZER], 4, kh, kw, node->in.c,
								   multiplier),
				   "depthwise");
	if (p[P_USE_BIAS].v[0] != 0)
		nn_add_variable(node, "bias", 1, &p[P_BIAS_INITIALIZER], 1, node->shape.c, 0, 0, 0);
	node->multiply_adds = (uint64_t) nn_mul_size(nn_shape_floats(&node->shape), (size_t) kh * (size_t) kw);
	return NN_OK;
}

static NnActivation
depthwise_activation(const NnNode *node, float *slope)
{
	return nn_value_activation(&node->spec.params[P_ACTIVATION], slope);
}

/* Tells whether the kernels of maps do it: with one kernel a channel, and a window that they take. */
static int
has_kernel(const NnNode *node, NnMode mode, NnPath path)
{
	return mode != NN_EXPLAIN && node->shape.c == node->in.c && nn_map_window(node, path);
}

static size_t
depthwise_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path,
						NnPrecision precision)
{
	NnConv c;

	(void) step;
	(void) precision;
	if (!has_kernel(node, mode, path))
		return 0;
	nn_map_conv(&c, node);
	return nn_map_kernels(path)->depthwise_scratch_bytes(&c);
}

/* Counts folded weights; others are used as they are. */
static size_t
depthwise_packed_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path,
					   NnPrecision precision)
{
	(void) mode;
	(void) path;
	(void) precision;
	return step->affine < 0 ? 0 : nn_mul_size(node->vars[0].count + (size_t) node->shape.c, sizeof(float));
}

static void
depthwise_pack(void *packed, const NnNode *node, const NnStep *step, const float *weights, NnMode mode,
			   NnPath path, NnPrecision precision)
{
	(void) step;
	(void) mode;
	(void) path;
	(void) precision;
	nn_stop_copy(packed, weights, node->vars[0].count + (size_t) node->shape.c);
}

/* Computes dst = convolution + bias for any kernel, strides and multiplier. */
static void
forward_general(const NnCall *call, const float *weights, const float *bias)
{
	const NnNode *node = call->node;
	size_t oc = (size_t) node->shape.c;
	size_t ic = (size_t) node->in.c;
	size_t m = oc / ic;
	float *dst = call->dst;
	size_t row = (size_t) node->window.kw * oc;
	size_t work = 0;
	int oy, ox, y, x;
	size_t c, k;

	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, dst += oc)
		{
			const float *kernel = weights;

			if (bias != NULL)
				memcpy(dst, bias, oc * sizeof(float));
			else
				memset(dst, 0, oc * sizeof(float));
			for (y = 0; y < node->window.kh; y++)
			{
				if (nn_stop_due(&work, row))
					return;
				for (x = 0; x < node->window.kw; x++, kernel += oc)
				{
					ptrdiff_t at = nn_tap_pixel(node, oy, ox, y, x);
					const float *src = call->src[0] + at;

					if (at < 0)
						continue;
					if (m == 1)
						for (c = 0; c < ic; c++)
							dst[c] += src[c] * kernel[c];
					else
						for (c = 0; c < ic; c++)
							for (k = 0; k < m; k++)
								dst[c * m + k] += src[c] * kernel[c * m + k];
				}
			}
		}
}

static void
depthwise_forward(const NnCall *call)
{
	const NnNode *node = call->node;
	const NnStep *step = call->step;
	const float *weights = step->affine >= 0 ? call->packed : call->weights;
	const float *bias = nn_step_bias(step, node, weights);
	NnClip clip;
	NnConv c;
	int clipped = nn_step_clip(&clip, step);

	if (has_kernel(node, call->mode, call->path))
	{
		nn_map_conv(&c, node);
		nn_map_kernels(call->path)
			->depthwise_forward(call->dst, call->src[0], weights, bias, &c, clip, call->scratch);
		if (clipped)
			return;
	}
	else
		forward_general(call, weights, bias);
	nn_activation_forward(call->dst, nn_shape_pixels(&node->shape), (size_t) node->shape.c, step->activation,
						  step->slope);
}

/*
 * Walks over the output pixels and adds at every tap inside the image both
 * gradients, of the weights and of the source.
 */
static void
backward_general(const NnCall *call)
{
	const NnNode *node = call->node;
	size_t oc = (size_t) node->shape.c;
	size_t ic = (size_t) node->in.c;
	size_t m = oc / ic;
	float *dbias = call->dweights != NULL ? nn_bias_gradient(node, call->dweights) : NULL;
	const float *ddst = call->ddst;
	size_t row = (size_t) node->window.kw * oc;
	size_t work = 0;
	int oy, ox, y, x;
	size_t c, k;

	if (call->dsrc[0] != NULL)
		nn_stop_zero(call->dsrc[0], nn_shape_floats(&node->in) * sizeof(float));
	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, ddst += oc)
		{
			size_t tap = 0;

			if (dbias != NULL)
				for (c = 0; c < oc; c++)
					dbias[c] += ddst[c];
			for (y = 0; y < node->window.kh; y++)
			{
				if (nn_stop_due(&work, row))
					return;
				for (x = 0; x < node->window.kw; x++, tap += oc)
				{
					ptrdiff_t at = nn_tap_pixel(node, oy, ox, y, x);

					if (at < 0)
						continue;
					if (call->dweights != NULL)
						for (c = 0; c < ic; c++)
							for (k = 0; k < m; k++)
								call->dweights[tap + c * m + k] +=
									call->src[0][(size_t) at + c] * ddst[c * m + k];
					if (call->dsrc[0] != NULL)
						for (c = 0; c < ic; c++)
							for (k = 0; k < m; k++)
								call->dsrc[0][(size_t) at + c] +=
									call->weights[tap + c * m + k] * ddst[c * m + k];
				}
			}
		}
}

static void
depthwise_backward(const NnCall *call)
{
	const NnMapKernels *kernels = nn_map_kernels(call->path);
	const NnNode *node = call->node;
	NnConv c;

	nn_step_activation_backward(call->ddst, call->dst, &node->shape, call->step, call->path);
	if (!has_kernel(node, call->mode, call->path))
	{
		backward_general(call);
		return;
	}
	nn_map_conv(&c, node);
	if (call->dweights != NULL)
		kernels->depthwise_dweight(call->dweights, nn_bias_gradient(node, call->dweights), call->src[0],
								   call->ddst, &c, call->scratch);
	if (call->dsrc[0] != NULL)
		kernels->depthwise_dsrc(call->dsrc[0], call->ddst, call->weights, &c, call->scratch);
}

const NnOp nn_op_depthwise_conv2d = {
	.info = {"DepthwiseConv2D", 1, 1, params, ignored, refused, "2-D convolution of each channel by itself."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION | NN_FUSE_AFFINE | NN_IS_CONVOLUTION,
	.shape = depthwise_shape,
	.activation = depthwise_activation,
	.scratch_bytes = depthwise_scratch_bytes,
	.packed_bytes = depthwise_packed_bytes,
	.pack = depthwise_pack,
	.forward = depthwise_forward,
	.backward = depthwise_backward,
};
