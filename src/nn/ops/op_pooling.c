/*-------------------------------------------------------------------------
 *
 * op_pooling.c
 *	  MaxPooling2D and AveragePooling2D, any window.
 *
 * Padding ("same") counts for neither: a maximum is over, and an average is
 * divided by the number of, the pixels inside the image.  Of equal maxima the
 * first in reading order gets the gradient.
 *
 *-------------------------------------------------------------------------
 */
#include "../graph.h"
#include "../kernels/kernels.h"
#include "../kernels/maps.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../sizes.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

enum
{
	P_POOL_SIZE,
	P_STRIDES,
	P_PADDING
};

/* strides 0: as the window */
static const NnParam params[] = {
	{"pool_size", NN_PARAM_INT_PAIR, 0, 1, 4096, {{2, 2}}, NULL},
	{"strides", NN_PARAM_INT_PAIR, 0, 0, 4096, {{0, 0}}, NULL},
	{"padding", NN_PARAM_ENUM, 0, 0, 1, {{0}}, nn_padding_names},
	{0},
};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0},
};

static NnStatus
pooling_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int kh = (int) p[P_POOL_SIZE].v[0];
	int kw = (int) p[P_POOL_SIZE].v[1];
	int sh = (int) p[P_STRIDES].v[0];
	int sw = (int) p[P_STRIDES].v[1];
	int oh, ow;
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	if (status == NN_OK)
		status = nn_window_init(node, kh, kw, sh > 0 ? sh : kh, sw > 0 ? sw : kw, 1, 1,
								(int) p[P_PADDING].v[0], &oh, &ow, error);
	if (status == NN_OK)
		status = nn_set_shape(node, 3, oh, ow, (size_t) node->in.c, error);
	return status;
}

/* The part of an output pixel's window that is inside the image. */
typedef struct Patch
{
	int y0, y1, x0, x1;
} Patch;

static Patch
patch_of(const NnNode *node, int oy, int ox)
{
	const NnWindow *w = &node->window;
	Patch p;

	p.y0 = oy * w->sh - w->top;
	p.x0 = ox * w->sw - w->left;
	p.y1 = p.y0 + w->kh < node->in.h ? p.y0 + w->kh : node->in.h;
	p.x1 = p.x0 + w->kw < node->in.w ? p.x0 + w->kw : node->in.w;
	if (p.y0 < 0)
		p.y0 = 0;
	if (p.x0 < 0)
		p.x0 = 0;
	return p;
}

/* Returns the values of a row of a window. */
static size_t
row_values(const NnNode *node, const Patch *p)
{
	return (size_t) (p->x1 - p->x0) * (size_t) node->in.c;
}

static size_t
pixel(const NnNode *node, int y, int x)
{
	return ((size_t) y * (size_t) node->in.w + (size_t) x) * (size_t) node->in.c;
}

/*
 * Calls one() for each output pixel with its window; at is its first value in
 * dst and ddst, work that of nn_stop_due().
 */
static void
each_window(const NnCall *call, void (*one)(const NnCall *call, const Patch *p, size_t at, size_t *work))
{
	const NnNode *node = call->node;
	size_t work = 0;
	size_t at = 0;
	int oy, ox;

	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, at += (size_t) node->in.c)
		{
			Patch p = patch_of(node, oy, ox);

			if (nn_stop_due(&work, (size_t) node->in.c))
				return;
			one(call, &p, at, &work);
		}
}

/* ----------------------------------------------------------------- maximum */

/* Tells whether the kernels' 2 x 2 pooling of stride 2 does it. */
static int
is_pool2(const NnNode *node, NnPath path)
{
	const NnWindow *w = &node->window;

	return path != NN_PATH_REFERENCE && w->kh == 2 && w->kw == 2 && w->sh == 2 && w->sw == 2 && w->top == 0 &&
		   w->left == 0 && node->shape.h == node->in.h / 2 && node->shape.w == node->in.w / 2;
}

/* Makes room for going backward by the kernels: the maxima again, and the mask of who won. */
static size_t
max_scratch_bytes(const NnNode *node, const NnStep *step, NnMode mode, NnPath path, NnPrecision precision)
{
	size_t pixels = nn_shape_pixels(&node->shape);

	(void) step;
	(void) precision;
	if (mode == NN_INFER || !is_pool2(node, path))
		return 0;
	return nn_grow(nn_align_size(nn_mul_size(nn_shape_floats(&node->shape), sizeof(float))),
				   nn_mul_size(pixels, nn_mask_words(node->in.c) * sizeof(uint16_t)));
}

static void
max_of_window(const NnCall *call, const Patch *p, size_t at, size_t *work)
{
	const NnNode *node = call->node;
	const float *src = call->src[0];
	float *dst = call->dst + at;
	size_t c = (size_t) node->in.c;
	int y, x;
	size_t k;

	memcpy(dst, src + pixel(node, p->y0, p->x0), c * sizeof(float));
	for (y = p->y0; y < p->y1 && !nn_stop_due(work, row_values(node, p)); y++)
		for (x = p->x0; x < p->x1; x++)
		{
			const float *s = src + pixel(node, y, x);

			for (k = 0; k < c; k++)
				dst[k] = s[k] > dst[k] ? s[k] : dst[k];
		}
}

static void
max_forward(const NnCall *call)
{
	const NnNode *node = call->node;

	if (is_pool2(node, call->path))
		nn_kernels(call->path)->maxpool2(call->dst, NULL, call->src[0], node->in.h, node->in.w, node->in.c);
	else
		each_window(call, max_of_window);
}

static void
max_gradient_of_large(const NnCall *call, const Patch *p, size_t at, size_t *work)
{
	const NnNode *node = call->node;
	const float *src = call->src[0];
	size_t k;
	int y, x;

	for (k = 0; k < (size_t) node->in.c; k++)
	{
		size_t best = pixel(node, p->y0, p->x0) + k;

		for (y = p->y0; y < p->y1 && !nn_stop_due(work, (size_t) (p->x1 - p->x0)); y++)
			for (x = p->x0; x < p->x1; x++)
				if (src[pixel(node, y, x) + k] > src[best])
					best = pixel(node, y, x) + k;
		call->dsrc[0][best] += call->ddst[at + k];
	}
}

static void
max_gradient_of_window(const NnCall *call, const Patch *p, size_t at, size_t *work)
{
	const NnNode *node = call->node;
	int columns = p->x1 - p->x0;
	int rows = (int) nn_stop_items(row_values(node, p));
	size_t first = pixel(node, p->y0, p->x0);

	/* of a window that takes long the kernel would not look whether to stop */
	if (rows >= p->y1 - p->y0 && !nn_stop_due(work, (size_t) (p->y1 - p->y0) * row_values(node, p)))
		nn_map_kernels(call->path)
			->max_gradient(call->dsrc[0] + first, call->ddst + at, call->src[0] + first, p->y1 - p->y0,
						   columns, pixel(node, 1, 0), node->in.c);
	else
		max_gradient_of_large(call, p, at, work);
}

static void
max_backward(const NnCall *call)
{
	const NnNode *node = call->node;

	if (call->dsrc[0] == NULL)
		return;
	if (is_pool2(node, call->path))
	{
		const NnKernels *kernels = nn_kernels(call->path);
		float *again = call->scratch;
		uint16_t *mask = (uint16_t *) ((char *) call->scratch +
									   nn_align_size(nn_shape_floats(&node->shape) * sizeof(float)));

		kernels->maxpool2(again, mask, call->src[0], node->in.h, node->in.w, node->in.c);
		kernels->maxpool2_backward(call->dsrc[0], call->ddst, mask, node->in.h, node->in.w, node->in.c);
		return;
	}
	nn_stop_zero(call->dsrc[0], nn_shape_floats(&node->in) * sizeof(float));
	each_window(call, max_gradient_of_window);
}

/* ----------------------------------------------------------------- average */

static void
average_of_window(const NnCall *call, const Patch *p, size_t at, size_t *work)
{
	const NnNode *node = call->node;
	float *dst = call->dst + at;
	float share = 1.0f / (float) ((p->y1 - p->y0) * (p->x1 - p->x0));
	size_t c = (size_t) node->in.c;
	int y, x;
	size_t k;

	memset(dst, 0, c * sizeof(float));
	for (y = p->y0; y < p->y1 && !nn_stop_due(work, row_values(node, p)); y++)
		for (x = p->x0; x < p->x1; x++)
		{
			const float *s = call->src[0] + pixel(node, y, x);

			for (k = 0; k < c; k++)
				dst[k] += s[k];
		}
	for (k = 0; k < c; k++)
		dst[k] *= share;
}

static void
average_forward(const NnCall *call)
{
	each_window(call, average_of_window);
}

static void
average_gradient_of_window(const NnCall *call, const Patch *p, size_t at, size_t *work)
{
	const NnNode *node = call->node;
	float share = 1.0f / (float) ((p->y1 - p->y0) * (p->x1 - p->x0));
	int y, x;
	size_t k;

	for (y = p->y0; y < p->y1 && !nn_stop_due(work, row_values(node, p)); y++)
		for (x = p->x0; x < p->x1; x++)
		{
			float *d = call->dsrc[0] + pixel(node, y, x);

			for (k = 0; k < (size_t) node->in.c; k++)
				d[k] += share * call->ddst[at + k];
		}
}

static void
average_backward(const NnCall *call)
{
	if (call->dsrc[0] == NULL)
		return;
	nn_stop_zero(call->dsrc[0], nn_shape_floats(&call->node->in) * sizeof(float));
	each_window(call, average_gradient_of_window);
}

const NnOp nn_op_max_pooling = {
	.info = {"MaxPooling2D", 1, 1, params, nn_no_ignored, refused, "Maximum over windows."},
	.flags = NN_NEEDS_SRC | NN_IS_MAX_POOLING | NN_MOVES_VALUES,
	.shape = pooling_shape,
	.scratch_bytes = max_scratch_bytes,
	.forward = max_forward,
	.backward = max_backward,
};

const NnOp nn_op_average_pooling = {
	.info = {"AveragePooling2D", 1, 1, params, nn_no_ignored, refused, "Average over windows."},
	.flags = NN_MOVES_VALUES,
	.shape = pooling_shape,
	.forward = average_forward,
	.backward = average_backward,
};
