/*-------------------------------------------------------------------------
 *
 * op_conv2d.c
 *	  Conv2D: convolution + bias + activation + 2x2 max pooling in one step.
 *
 * Where NnKernels has a convolution made for the shape (conv3_*), that one
 * runs; conv3_shape() decides, forward, backward and packing follow it.  The
 * general form is in conv2d_general.c.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../error.h"
#include "../graph.h"
#include "../kernels/kernels.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../sizes.h"
#include "conv2d.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

enum
{
	P_FILTERS,
	P_KERNEL_SIZE,
	P_STRIDES,
	P_PADDING,
	P_ACTIVATION,
	P_USE_BIAS,
	P_KERNEL_INITIALIZER,
	P_BIAS_INITIALIZER,
	P_DILATION_RATE,
	P_GROUPS,
	P_TRAINABLE
};

static const NnParam params[] = {
	{"filters", NN_PARAM_INT, 1, 1, 65536, {{0}}, NULL},
	{"kernel_size", NN_PARAM_INT_PAIR, 1, 1, 255, {{0}}, NULL},
	{"strides", NN_PARAM_INT_PAIR, 0, 1, 255, {{1, 1}}, NULL},
	{"padding", NN_PARAM_ENUM, 0, 0, 1, {{0}}, nn_padding_names},
	NN_PARAM_ROW_ACTIVATION,
	NN_PARAM_ROW_BOOL("use_bias", 1),
	NN_PARAM_ROW_GLOROT("kernel_initializer"),
	NN_PARAM_ROW_ZEROS("bias_initializer"),
	NN_PARAM_ROW_DILATION,
	{"groups", NN_PARAM_INT, NN_LATER, 1, 65536, {{1}}, NULL},
	NN_PARAM_ROW_TRAINABLE,
	NN_PARAM_ROW_REGULARIZER("kernel"),
	NN_PARAM_ROW_CONSTRAINT("kernel"),
	NN_PARAM_ROW_REGULARIZER("bias"),
	NN_PARAM_ROW_CONSTRAINT("bias"),
	{0},
};

static const char *const ignored[] = {"rank", NULL};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{"activity_regularizer", "null"},
	{0},
};

static NnStatus
conv2d_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int kh = (int) p[P_KERNEL_SIZE].v[0];
	int kw = (int) p[P_KERNEL_SIZE].v[1];
	int oc = (int) p[P_FILTERS].v[0];
	int groups = (int) p[P_GROUPS].v[0];
	int oh, ow;
	size_t taps;
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	if (status == NN_OK)
		status = nn_window_init(node, kh, kw, (int) p[P_STRIDES].v[0], (int) p[P_STRIDES].v[1],
								(int) p[P_DILATION_RATE].v[0], (int) p[P_DILATION_RATE].v[1],
								(int) p[P_PADDING].v[0], &oh, &ow, error);
	if (status == NN_OK)
		status = nn_set_shape(node, 3, oh, ow, (size_t) oc, error);
	if (status != NN_OK)
		return status;
	if (node->in.c % groups != 0 || oc % groups != 0)
		return nn_fail(
			error, NN_BAD_ARGUMENT, -1, "",
			"layer \"%s\" (Conv2D) has %d groups, which divide its %d inputs or %d filters unevenly",
			node->spec.name, groups, node->in.c, oc);
	node->groups = groups;
	taps = (size_t) kh * (size_t) kw * (size_t) (node->in.c / groups);
	if (taps > (size_t) 1 << 24)
		return nn_fail(error, NN_TOO_LARGE, -1, "", "layer \"%s\" has a kernel that is too large",
					   node->spec.name);
	nn_add_variable(node, "kernel", 1, &p[P_KERNEL_INITIALIZER], 4, kh, kw, node->in.c / groups, oc);
	if (p[P_USE_BIAS].v[0] != 0)
		nn_add_variable(node, "bias", 1, &p[P_BIAS_INITIALIZER], 1, oc, 0, 0, 0);
	node->multiply_adds = (uint64_t) nn_mul_size(nn_mul_size((size_t) oh * (size_t) ow, taps), (size_t) oc);
	return NN_OK;
}

static NnActivation
conv2d_activation(const NnNode *node, float *slope)
{
	return nn_value_activation(&node->spec.params[P_ACTIVATION], slope);
}

/* ----------------------------------------------- the kernels made for 3 x 3 */

/*
 * Tells whether a step runs by conv3_*, and its shape there.  Explanations take
 * the general form, as their plans are built too late to pack for.  For very
 * small maps and odd numbers of channels the general form is as good.
 */
static int
conv3_shape(NnConv3 *c, const NnNode *node, const NnStep *step, NnMode mode, NnPath path)
{
	const NnWindow *w = &node->window;

	if (mode == NN_EXPLAIN || path == NN_PATH_REFERENCE)
		return 0;
	if (w->kh != 3 || w->kw != 3 || w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1 ||
		node->groups != 1 || w->top != 1 || w->left != 1 || node->shape.h != node->in.h ||
		node->shape.w != node->in.w)
		return 0;
	if (node->in.c > NN_CONV3_DIRECT_IC && (node->in.c < 8 || node->in.h < 4 || node->in.w < 4))
		return 0;
	c->h = node->in.h;
	c->w = node->in.w;
	c->ic = node->in.c;
	c->oc = node->shape.c;
	c->relu = (step->activation == NN_RELU);
	c->pool = step->pool;
	return 1;
}

/* Tells whether the data gradient takes the general form: few channels have no kernel for it. */
static int
needs_general_data(const NnConv3 *c, const NnStep *step, NnMode mode)
{
	return mode == NN_TRAINING && step->dsrc[0] >= 0 && c->ic <= NN_CONV3_DIRECT_IC;
}

/* Tells whether the shape has a kernel with 16-bit products on a path. */
static int
has_int16(const NnConv3 *c, NnPath path)
{
	return nn_kernels(path)->conv3_int16_packed_bytes(c) > 0;
}

static size_t
packed_forward_bytes(const NnConv3 *c, NnPath path)
{
	return nn_align_size(nn_mul_size(nn_kernels(path)->conv3_packed_floats(c, 0), sizeof(float)));
}

/*
 * Counts the forward weights; in training, those of the data gradient behind
 * them.  Where int16 has no kernel for the shape, the float32 weights and the
 * bias are packed.
 */
static size_t
conv2d_packed_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	NnConv3 c;
	size_t bytes;

	if (!conv3_shape(&c, node, step, mode, path))
		return 0;
	if (precision == NN_PRECISION_INT16 && has_int16(&c, path))
		return nn_align_size(nn_kernels(path)->conv3_int16_packed_bytes(&c));
	bytes = packed_forward_bytes(&c, path);
	if (precision == NN_PRECISION_INT16)
		return nn_grow(bytes, nn_mul_size((size_t) c.oc, sizeof(float)));
	if (mode == NN_TRAINING && step->dsrc[0] >= 0)
		bytes = nn_grow(bytes, nn_mul_size(nn_kernels(path)->conv3_packed_floats(&c, 1), sizeof(float)));
	return bytes;
}

static void
conv2d_pack(void *packed, const NnNode *node, const NnStep *step, const float *weights, NnMode mode,
			NnPath path, NnPrecision precision)
{
	const NnKernels *kernels = nn_kernels(path);
	const float *bias = nn_bias(node, weights);
	NnConv3 c;

	if (!conv3_shape(&c, node, step, mode, path))
		return;
	if (precision == NN_PRECISION_INT16 && has_int16(&c, path))
	{
		kernels->conv3_int16_pack(packed, weights, bias, &c);
		return;
	}
	kernels->conv3_pack(packed, weights, &c, 0, 0, c.ic);
	if (precision == NN_PRECISION_INT16)
	{
		float *to = (float *) ((char *) packed + packed_forward_bytes(&c, path));

		if (bias != NULL)
			memcpy(to, bias, (size_t) c.oc * sizeof(float));
		else
			memset(to, 0, (size_t) c.oc * sizeof(float));
	}
	else if (mode == NN_TRAINING && step->dsrc[0] >= 0)
		kernels->conv3_pack((float *) ((char *) packed + packed_forward_bytes(&c, path)), weights, &c, 1, 0,
							c.oc);
}

static void
conv3_forward(const NnCall *call, const NnConv3 *c)
{
	const NnNode *node = call->node;
	const NnKernels *kernels = nn_kernels(call->path);
	const float *bias = NULL;

	if (call->precision == NN_PRECISION_INT16)
	{
		if (has_int16(c, call->path))
		{
			kernels->conv3_int16_forward(call->dst, call->src[0], call->packed, c, call->scratch);
			return;
		}
		bias = (const float *) ((const char *) call->packed + packed_forward_bytes(c, call->path));
	}
	else
		bias = nn_bias(node, call->weights);
	kernels->conv3_forward(call->dst, call->mask, call->src[0], call->packed, bias, c, call->scratch);
}

/* Runs backward; ddst is that of the map before the activation, unless that is relu. */
static void
conv3_backward(const NnCall *call, const NnConv3 *c)
{
	const NnKernels *kernels = nn_kernels(call->path);
	const char *turned = (const char *) call->packed + packed_forward_bytes(c, call->path);

	if (call->dweights != NULL)
		kernels->conv3_dweight(call->dweights, call->src[0], call->ddst, call->mask, call->dst, c,
							   call->scratch);
	if (call->dsrc[0] != NULL && c->ic > NN_CONV3_DIRECT_IC)
		kernels->conv3_dsrc(call->dsrc[0], call->ddst, call->mask, call->dst, (const float *) turned, c,
							call->scratch);
}

#define FINISH_CHANNELS 8    /* input channels of a finishing item */
#define FINISH_WEIGHTS 16384 /* weights of one in the general form */

static size_t
conv2d_partial_floats(const NnNode *node, const NnStep *step, NnPath path)
{
	NnConv3 c;

	return conv3_shape(&c, node, step, NN_TRAINING, path) ? nn_kernels(path)->conv3_acc_floats(&c)
														  : node->n_weights;
}

static size_t
conv2d_finish_items(const NnNode *node, const NnStep *step, NnPath path)
{
	NnConv3 c;

	if (conv3_shape(&c, node, step, NN_TRAINING, path))
		return ((size_t) c.ic + FINISH_CHANNELS - 1) / FINISH_CHANNELS;
	return (node->n_weights + FINISH_WEIGHTS - 1) / FINISH_WEIGHTS;
}

static void
conv2d_finish(float *dweights, const float *partial, int n_chunks, size_t stride, const NnNode *node,
			  const NnStep *step, NnPath path, size_t item)
{
	NnConv3 c;
	size_t start = item * FINISH_WEIGHTS;
	size_t count;
	int k;

	if (conv3_shape(&c, node, step, NN_TRAINING, path))
	{
		int ic0 = (int) item * FINISH_CHANNELS;
		int ic1 = c.ic - ic0 < FINISH_CHANNELS ? c.ic : ic0 + FINISH_CHANNELS;

		nn_kernels(path)->conv3_dweight_finish(dweights, nn_bias_gradient(node, dweights), partial, n_chunks,
											   stride, &c, ic0, ic1);
		return;
	}
	count = node->n_weights - start < FINISH_WEIGHTS ? node->n_weights - start : FINISH_WEIGHTS;
	memcpy(dweights + start, partial + start, count * sizeof(float));
	for (k = 1; k < n_chunks; k++)
		nn_kernels(path)->add(dweights + start, partial + (size_t) k * stride + start, count);
}

/* ------------------------------------------------------------ the operation */

/*
 * Makes room for patches, then for the unpooled map where there is pooling; or
 * for what conv3_* needs.
 */
static size_t
conv2d_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	size_t bytes = nn_conv2d_patch_bytes(node);
	NnConv3 c;

	if (step->pool)
		bytes = nn_grow(bytes, nn_shape_floats(&step->full) * sizeof(float));
	if (conv3_shape(&c, node, step, mode, path))
	{
		const NnKernels *kernels = nn_kernels(path);
		size_t own = nn_align_size(precision == NN_PRECISION_INT16 && has_int16(&c, path)
									   ? kernels->conv3_int16_scratch_bytes(&c)
									   : kernels->conv3_scratch_bytes(&c));

		if (!needs_general_data(&c, step, mode) || own > bytes)
			bytes = own;
	}
	return bytes;
}

static float *
unpooled_scratch(const NnCall *call)
{
	return (float *) ((char *) call->scratch + nn_conv2d_patch_bytes(call->node));
}

static void
conv2d_forward(const NnCall *call)
{
	const NnStep *step = call->step;
	NnConv3 c;

	if (conv3_shape(&c, call->node, step, call->mode, call->path))
	{
		conv3_forward(call, &c);
		if (c.relu)
			return;
	}
	else
	{
		float *full = step->pool ? unpooled_scratch(call) : call->dst;

		nn_conv2d_forward(call, full, call->scratch);
		if (step->pool)
			nn_conv2d_pool(call->dst, call->mask, full, step);
	}
	nn_activation_forward(call->dst, nn_shape_pixels(&step->out), (size_t) step->out.c, step->activation,
						  step->slope);
}

/*
 * Takes the gradient back through activation and pooling, then to the weights
 * and to the source, by conv3_* where it has a form and by the general one
 * where not.
 */
static void
conv2d_backward(const NnCall *call)
{
	const NnStep *step = call->step;
	float *dfull = call->ddst;
	NnConv3 c;
	int fast = conv3_shape(&c, call->node, step, call->mode, call->path);

	/* relu's derivative is in the mask already, or in conv3_*; others come from the output */
	if (!(step->activation == NN_RELU && (step->pool || fast)))
		nn_activation_backward(call->ddst, call->dst, nn_shape_pixels(&step->out), (size_t) step->out.c,
							   step->activation, step->slope);
	if (fast)
	{
		conv3_backward(call, &c);
		if (call->dsrc[0] == NULL || c.ic > NN_CONV3_DIRECT_IC)
			return;
		if (!step->pool)
			nn_activation_backward(call->ddst, call->dst, nn_shape_pixels(&step->out), (size_t) step->out.c,
								   c.relu ? NN_RELU : NN_LINEAR, 0.0f);
	}
	if (step->pool)
	{
		dfull = unpooled_scratch(call);
		nn_conv2d_unpool(dfull, call->ddst, call->mask, step);
	}
	if (call->dweights != NULL && !fast)
		nn_conv2d_weights(call, dfull, call->scratch);
	if (call->dsrc[0] != NULL)
		nn_conv2d_data(call, dfull, call->scratch);
}

const NnOp nn_op_conv2d = {
	.info = {"Conv2D", 1, 1, params, ignored, refused, "2-D convolution with bias and activation."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION | NN_FUSE_POOL | NN_IS_CONVOLUTION,
	.shape = conv2d_shape,
	.activation = conv2d_activation,
	.scratch_bytes = conv2d_scratch_bytes,
	.packed_bytes = conv2d_packed_bytes,
	.pack = conv2d_pack,
	.partial_floats = conv2d_partial_floats,
	.finish_items = conv2d_finish_items,
	.finish = conv2d_finish,
	.forward = conv2d_forward,
	.backward = conv2d_backward,
};
