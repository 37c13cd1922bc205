/*-------------------------------------------------------------------------
 *
 * op_conv2d.c
 *	  Conv2D: convolution + bias + activation + 2x2 max pooling in one step.
 *
 * Where NnKernels has a convolution made for the shape (conv3_*), that one
 * runs, else the convolution of NnMapKernels; form_of() decides, forward,
 * backward and packing follow it.  The general form, for groups, very large
 * windows, explanations and the reference, is in conv2d_general.c.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../error.h"
#include "../graph.h"
#include "../kernels/kernels.h"
#include "../kernels/maps.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../sizes.h"
#include "../stop.h"
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

/* ------------------------------------------------------------------- forms */

typedef enum Form
{
	GENERAL, /* conv2d_general.c */
	CONV3,   /* NnKernels.conv3_*: 3 x 3, stride 1, "same" */
	MAPS     /* NnMapKernels.conv_*: other windows */
} Form;

/* Tells whether a convolution is one of conv3_*, and its shape there. */
static int
is_conv3(NnConv3 *c, const NnNode *node, const NnStep *step)
{
	const NnWindow *w = &node->window;

	if (w->kh != 3 || w->kw != 3 || w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1 ||
		node->groups != 1 || w->top != 1 || w->left != 1 || node->shape.h != node->in.h ||
		node->shape.w != node->in.w)
		return 0;
	/* for very small maps and odd numbers of channels the other forms are as good */
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

#define FEW_TILES 16
#define MUCH_WEIGHT 65536 /* channels in times out */

/*
 * Tells whether a map is so small and its channels so many that the transformed
 * weights, four times the kernel, are what takes the time.  A version without
 * normalisation keeps the bits of its scores.
 */
static int
is_all_weights(const NnConv3 *c3, const NnStep *step, NnMode mode)
{
	int tiles = ((c3->h + 3) / 4) * ((c3->w + 3) / 4);

	return (mode == NN_TRAINING || step->affine >= 0) && tiles <= FEW_TILES &&
		   (size_t) c3->ic * (size_t) c3->oc >= MUCH_WEIGHT;
}

/*
 * Returns the form that a step runs by; fills the shape of CONV3 or that of
 * MAPS.  Explanations take the general form, as their plans are built too late
 * to pack for.
 */
static Form
form_of(NnConv3 *c3, NnConv *c, const NnNode *node, const NnStep *step, NnMode mode, NnPath path)
{
	if (mode == NN_EXPLAIN || path == NN_PATH_REFERENCE)
		return GENERAL;
	if (is_conv3(c3, node, step) && !is_all_weights(c3, step, mode))
		return CONV3;
	if (node->groups != 1 || !nn_map_window(node, path))
		return GENERAL;
	nn_map_conv(c, node);
	return MAPS;
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

/* ----------------------------------------------------------------- packing */

/* Returns the bytes of the packed kernel, forward or that of the data gradient; the general form has none. */
static size_t
packed_kernel_bytes(Form form, const NnConv3 *c3, const NnConv *c, NnPath path, int transposed)
{
	size_t floats = form == CONV3  ? nn_kernels(path)->conv3_packed_floats(c3, transposed)
					: form == MAPS ? nn_map_kernels(path)->conv_packed_floats(c, transposed)
								   : 0;

	return nn_align_size(nn_mul_size(floats, sizeof(float)));
}

/*
 * Counts the forward kernel; behind it in prediction the bias, in training the
 * kernel of the data gradient.  The general form packs folded weights only.
 */
static size_t
conv2d_packed_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	size_t oc = (size_t) node->shape.c;
	NnConv3 c3;
	NnConv c;
	Form form = form_of(&c3, &c, node, step, mode, path);
	size_t bytes = packed_kernel_bytes(form, &c3, &c, path, 0);

	if (form == GENERAL)
		return step->affine >= 0 ? nn_mul_size(node->vars[0].count + oc, sizeof(float)) : 0;
	if (precision == NN_PRECISION_INT16 && form == CONV3 && has_int16(&c3, path))
		return nn_align_size(nn_kernels(path)->conv3_int16_packed_bytes(&c3));
	if (mode == NN_INFER)
		return nn_grow(bytes, nn_mul_size(oc, sizeof(float)));
	if (step->dsrc[0] >= 0)
		bytes = nn_add_size(bytes, packed_kernel_bytes(form, &c3, &c, path, 1));
	return bytes;
}

static void
conv2d_pack(void *packed, const NnNode *node, const NnStep *step, const float *weights, NnMode mode,
			NnPath path, NnPrecision precision)
{
	const float *bias = nn_step_bias(step, node, weights);
	size_t oc = (size_t) node->shape.c;
	NnConv3 c3;
	NnConv c;
	Form form = form_of(&c3, &c, node, step, mode, path);
	float *behind = (float *) ((char *) packed + packed_kernel_bytes(form, &c3, &c, path, 0));
	int back = (mode == NN_TRAINING && step->dsrc[0] >= 0);

	if (form == GENERAL)
	{
		nn_stop_copy(packed, weights, node->vars[0].count + oc);
		return;
	}
	if (precision == NN_PRECISION_INT16 && form == CONV3 && has_int16(&c3, path))
	{
		nn_kernels(path)->conv3_int16_pack(packed, weights, bias, &c3);
		return;
	}
	if (form == CONV3)
		nn_kernels(path)->conv3_pack(packed, weights, &c3, 0, 0, c3.ic);
	else
		nn_map_kernels(path)->conv_pack(packed, weights, &c, 0);
	if (back && form == CONV3)
		nn_kernels(path)->conv3_pack(behind, weights, &c3, 1, 0, c3.oc);
	else if (back)
		nn_map_kernels(path)->conv_pack(behind, weights, &c, 1);
	if (mode != NN_INFER)
		return;
	if (bias != NULL)
		memcpy(behind, bias, oc * sizeof(float));
	else
		memset(behind, 0, oc * sizeof(float));
}

/* Returns what lies behind the packed forward kernel. */
static const float *
packed_behind(const NnCall *call, Form form, const NnConv3 *c3, const NnConv *c)
{
	return (const float *) ((const char *) call->packed + packed_kernel_bytes(form, c3, c, call->path, 0));
}

#define FINISH_CHANNELS 8    /* input channels of a finishing item */
#define FINISH_WEIGHTS 16384 /* weights of one in the other forms */

static size_t
conv2d_partial_floats(const NnNode *node, const NnStep *step, NnPath path)
{
	NnConv3 c3;
	NnConv c;

	return form_of(&c3, &c, node, step, NN_TRAINING, path) == CONV3 ? nn_kernels(path)->conv3_acc_floats(&c3)
																	: node->n_weights;
}

static size_t
conv2d_finish_items(const NnNode *node, const NnStep *step, NnPath path)
{
	NnConv3 c3;
	NnConv c;

	if (form_of(&c3, &c, node, step, NN_TRAINING, path) == CONV3)
		return ((size_t) c3.ic + FINISH_CHANNELS - 1) / FINISH_CHANNELS;
	return (node->n_weights + FINISH_WEIGHTS - 1) / FINISH_WEIGHTS;
}

static void
conv2d_finish(float *dweights, const float *partial, int n_chunks, size_t stride, const NnNode *node,
			  const NnStep *step, NnPath path, size_t item)
{
	NnConv3 c3;
	NnConv c;
	size_t start = item * FINISH_WEIGHTS;
	size_t count;
	int k;

	if (form_of(&c3, &c, node, step, NN_TRAINING, path) == CONV3)
	{
		int ic0 = (int) item * FINISH_CHANNELS;
		int ic1 = c3.ic - ic0 < FINISH_CHANNELS ? c3.ic : ic0 + FINISH_CHANNELS;

		nn_kernels(path)->conv3_dweight_finish(dweights, nn_bias_gradient(node, dweights), partial, n_chunks,
											   stride, &c3, ic0, ic1);
		return;
	}
	count = node->n_weights - start < FINISH_WEIGHTS ? node->n_weights - start : FINISH_WEIGHTS;
	memcpy(dweights + start, partial + start, count * sizeof(float));
	for (k = 1; k < n_chunks; k++)
		nn_kernels(path)->add(dweights + start, partial + (size_t) k * stride + start, count);
}

/* ------------------------------------------------------------ the operation */

/* Returns the bytes of scratch before the unpooled map: patches, or what a kernel needs. */
static size_t
own_scratch_bytes(Form form, const NnConv3 *c3, const NnConv *c, const NnNode *node, NnPath path,
				  NnPrecision precision)
{
	size_t bytes;

	if (form == CONV3)
		bytes = precision == NN_PRECISION_INT16 && has_int16(c3, path)
					? nn_kernels(path)->conv3_int16_scratch_bytes(c3)
					: nn_kernels(path)->conv3_scratch_bytes(c3);
	else if (form == MAPS)
		bytes = nn_map_kernels(path)->conv_scratch_bytes(c);
	else
		bytes = nn_conv2d_patch_bytes(node);
	return nn_align_size(bytes);
}

/* Adds room for the unpooled map where a form has no pooling of its own. */
static size_t
conv2d_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	NnConv3 c3;
	NnConv c;
	Form form = form_of(&c3, &c, node, step, mode, path);
	size_t bytes = own_scratch_bytes(form, &c3, &c, node, path, precision);
	size_t general = nn_align_size(nn_conv2d_patch_bytes(node));
	size_t full = step->pool ? nn_shape_floats(&step->full) * sizeof(float) : 0;

	if (form != CONV3)
		return nn_grow(bytes, full);
	general = nn_grow(general, full);
	return needs_general_data(&c3, step, mode) && general > bytes ? general : bytes;
}

/* Returns the unpooled map's place in the scratch of a form. */
static float *
unpooled_scratch(const NnCall *call, Form form, const NnConv *c)
{
	size_t own =
		form == MAPS ? nn_map_kernels(call->path)->conv_scratch_bytes(c) : nn_conv2d_patch_bytes(call->node);

	return (float *) ((char *) call->scratch + nn_align_size(own));
}

static void
conv3_forward(const NnCall *call, const NnConv3 *c3)
{
	const NnKernels *kernels = nn_kernels(call->path);
	const float *bias =
		call->mode == NN_INFER ? packed_behind(call, CONV3, c3, NULL) : nn_bias(call->node, call->weights);

	if (call->precision == NN_PRECISION_INT16 && has_int16(c3, call->path))
		kernels->conv3_int16_forward(call->dst, call->src[0], call->packed, c3, call->scratch);
	else
		kernels->conv3_forward(call->dst, call->mask, call->src[0], call->packed, bias, c3, call->scratch);
}

/* Runs the kernels of maps or the general form; returns 1 where the activation is done too. */
static int
other_forward(const NnCall *call, Form form, const NnConv *c)
{
	const NnStep *step = call->step;
	float *full = step->pool ? unpooled_scratch(call, form, c) : call->dst;
	NnClip clip = {0, 0};
	int done = 0;

	if (form == MAPS)
	{
		if (!step->pool)
			done = nn_step_clip(&clip, step);
		nn_map_kernels(call->path)
			->conv_forward(full, call->src[0], call->packed,
						   call->mode == NN_INFER ? packed_behind(call, form, NULL, c)
												  : nn_bias(call->node, call->weights),
						   c, clip, call->scratch);
	}
	else
	{
		NnCall folded = *call;

		if (step->affine >= 0)
			folded.weights = call->packed;
		nn_conv2d_forward(&folded, full, call->scratch);
	}
	if (step->pool)
		nn_conv2d_pool(call->dst, call->mask, full, step);
	return done;
}

static void
conv2d_forward(const NnCall *call)
{
	const NnStep *step = call->step;
	NnConv3 c3;
	NnConv c;
	Form form = form_of(&c3, &c, call->node, step, call->mode, call->path);

	if (form == CONV3)
	{
		conv3_forward(call, &c3);
		if (c3.relu)
			return;
	}
	else if (other_forward(call, form, &c))
		return;
	nn_activation_forward(call->dst, nn_shape_pixels(&step->out), (size_t) step->out.c, step->activation,
						  step->slope);
}

/* Runs conv3_* backward; ddst is that of the map before the activation, unless that is relu. */
static void
conv3_backward(const NnCall *call, const NnConv3 *c3)
{
	const NnKernels *kernels = nn_kernels(call->path);

	if (call->dweights != NULL)
		kernels->conv3_dweight(call->dweights, call->src[0], call->ddst, call->mask, call->dst, c3,
							   call->scratch);
	if (call->dsrc[0] != NULL && c3->ic > NN_CONV3_DIRECT_IC)
		kernels->conv3_dsrc(call->dsrc[0], call->ddst, call->mask, call->dst,
							packed_behind(call, CONV3, c3, NULL), c3, call->scratch);
}

/*
 * Takes the gradient back through activation and pooling, then to the weights
 * and to the source, by conv3_* where it has a form, else by the kernels of
 * maps or the general form.
 */
static void
conv2d_backward(const NnCall *call)
{
	const NnMapKernels *maps = nn_map_kernels(call->path);
	const NnStep *step = call->step;
	float *dfull = call->ddst;
	NnConv3 c3;
	NnConv c;
	Form form = form_of(&c3, &c, call->node, step, call->mode, call->path);

	/* relu's derivative is in the mask already, or in conv3_*; others come from the output */
	if (!(step->activation == NN_RELU && (step->pool || form == CONV3)))
		nn_step_activation_backward(call->ddst, call->dst, &step->out, step, call->path);
	if (form == CONV3)
	{
		conv3_backward(call, &c3);
		if (call->dsrc[0] == NULL || c3.ic > NN_CONV3_DIRECT_IC)
			return;
		if (!step->pool && c3.relu)
			nn_step_activation_backward(call->ddst, call->dst, &step->out, step, call->path);
	}
	if (step->pool)
	{
		dfull = unpooled_scratch(call, form, &c);
		nn_conv2d_unpool(dfull, call->ddst, call->mask, step);
	}
	if (call->dweights != NULL && form == MAPS)
		maps->conv_dweight(call->dweights, nn_bias_gradient(call->node, call->dweights), call->src[0], dfull,
						   &c, call->scratch);
	else if (call->dweights != NULL && form == GENERAL)
		nn_conv2d_weights(call, dfull, call->scratch);
	if (call->dsrc[0] != NULL && form == MAPS)
		maps->conv_dsrc(call->dsrc[0], dfull, packed_behind(call, form, NULL, &c), &c, call->scratch);
	else if (call->dsrc[0] != NULL)
		nn_conv2d_data(call, dfull, call->scratch);
}

const NnOp nn_op_conv2d = {
	.info = {"Conv2D", 1, 1, params, ignored, refused, "2-D convolution with bias and activation."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION | NN_FUSE_POOL | NN_FUSE_AFFINE | NN_IS_CONVOLUTION,
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
