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
#include "nn_internal.h"

#include <string.h>

enum
{
	P_POOL_SIZE, P_STRIDES, P_PADDING
};

/* strides 0: as the window */
static const NnParam params[] = {
	{"pool_size", NN_PARAM_INT_PAIR, 0, 1, 4096, {{2, 2}}, NULL},
	{"strides", NN_PARAM_INT_PAIR, 0, 0, 4096, {{0, 0}}, NULL},
	{"padding", NN_PARAM_ENUM, 0, 0, 1, {{0}}, nn_padding_names},
	{0}
};

static const char *const ignored[] = {NULL};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0}
};

static NnStatus
pooling_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;
	int			kh = (int) p[P_POOL_SIZE].v[0];
	int			kw = (int) p[P_POOL_SIZE].v[1];
	int			sh = (int) p[P_STRIDES].v[0];
	int			sw = (int) p[P_STRIDES].v[1];
	int			oh,
				ow;
	NnStatus	status = nn_need_rank(node, &inputs[0], 3, error);

	if (status == NN_OK)
		status = nn_window_init(node, kh, kw, sh > 0 ? sh : kh, sw > 0 ? sw : kw,
								(int) p[P_PADDING].v[0], &oh, &ow, error);
	if (status == NN_OK)
		status = nn_set_shape(node, 3, oh, ow, (size_t) node->in.c, error);
	return status;
}

/* The part of an output pixel's window that is inside the image. */
typedef struct Patch
{
	int			y0,
				y1,
				x0,
				x1;
} Patch;

static Patch
patch_of(const NnNode *node, int oy, int ox)
{
	const NnWindow *w = &node->window;
	Patch		p;

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

static size_t
pixel(const NnNode *node, int y, int x)
{
	return ((size_t) y * (size_t) node->in.w + (size_t) x) * (size_t) node->in.c;
}

static void
max_forward(const NnCall *call)
{
	const NnNode *node = call->node;
	const float *src = call->src[0];
	float	   *dst = call->dst;
	size_t		c = (size_t) node->in.c;
	int			oy,
				ox,
				y,
				x;
	size_t		k;

	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, dst += c)
		{
			Patch		p = patch_of(node, oy, ox);

			memcpy(dst, src + pixel(node, p.y0, p.x0), c * sizeof(float));
			for (y = p.y0; y < p.y1; y++)
				for (x = p.x0; x < p.x1; x++)
				{
					const float *s = src + pixel(node, y, x);

					for (k = 0; k < c; k++)
						dst[k] = s[k] > dst[k] ? s[k] : dst[k];
				}
		}
}

static void
max_backward(const NnCall *call)
{
	const NnNode *node = call->node;
	const float *src = call->src[0];
	const float *ddst = call->ddst;
	float	   *dsrc = call->dsrc[0];
	size_t		c = (size_t) node->in.c;
	int			oy,
				ox,
				y,
				x;
	size_t		k;

	if (dsrc == NULL)
		return;
	memset(dsrc, 0, nn_shape_floats(&node->in) * sizeof(float));
	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, ddst += c)
		{
			Patch		p = patch_of(node, oy, ox);

			for (k = 0; k < c; k++)
			{
				size_t		best = pixel(node, p.y0, p.x0) + k;

				for (y = p.y0; y < p.y1; y++)
					for (x = p.x0; x < p.x1; x++)
						if (src[pixel(node, y, x) + k] > src[best])
							best = pixel(node, y, x) + k;
				dsrc[best] += ddst[k];
			}
		}
}

static void
average_forward(const NnCall *call)
{
	const NnNode *node = call->node;
	float	   *dst = call->dst;
	size_t		c = (size_t) node->in.c;
	int			oy,
				ox,
				y,
				x;
	size_t		k;

	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, dst += c)
		{
			Patch		p = patch_of(node, oy, ox);
			float		share = 1.0f / (float) ((p.y1 - p.y0) * (p.x1 - p.x0));

			memset(dst, 0, c * sizeof(float));
			for (y = p.y0; y < p.y1; y++)
				for (x = p.x0; x < p.x1; x++)
				{
					const float *s = call->src[0] + pixel(node, y, x);

					for (k = 0; k < c; k++)
						dst[k] += s[k];
				}
			for (k = 0; k < c; k++)
				dst[k] *= share;
		}
}

static void
average_backward(const NnCall *call)
{
	const NnNode *node = call->node;
	const float *ddst = call->ddst;
	float	   *dsrc = call->dsrc[0];
	size_t		c = (size_t) node->in.c;
	int			oy,
				ox,
				y,
				x;
	size_t		k;

	if (dsrc == NULL)
		return;
	memset(dsrc, 0, nn_shape_floats(&node->in) * sizeof(float));
	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w; ox++, ddst += c)
		{
			Patch		p = patch_of(node, oy, ox);
			float		share = 1.0f / (float) ((p.y1 - p.y0) * (p.x1 - p.x0));

			for (y = p.y0; y < p.y1; y++)
				for (x = p.x0; x < p.x1; x++)
				{
					float	   *d = dsrc + pixel(node, y, x);

					for (k = 0; k < c; k++)
						d[k] += share * ddst[k];
				}
		}
}

const NnOp nn_op_max_pooling = {
	.info = {"MaxPooling2D", 1, 1, params, ignored, refused, "Maximum over windows."},
	.flags = NN_NEEDS_SRC,
	.shape = pooling_shape,
	.forward = max_forward,
	.backward = max_backward,
};

const NnOp nn_op_average_pooling = {
	.info = {"AveragePooling2D", 1, 1, params, ignored, refused, "Average over windows."},
	.shape = pooling_shape,
	.forward = average_forward,
	.backward = average_backward,
};
