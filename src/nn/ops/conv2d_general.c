/*-------------------------------------------------------------------------
 *
 * conv2d_general.c
 *	  Conv2D of any kernel, strides and padding, and its 2x2 max pooling.
 *
 * A matrix product over patches: rows of patches are gathered (im2col) in
 * tiles, dst = patches x kernel, kernel [KH*KW*IC][OC].
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../graph.h"
#include "../op.h"
#include "../plan.h"
#include "../sizes.h"
#include "../stop.h"
#include "conv2d.h"
#include "op_common.h"

#include <string.h>

#define TILE_FLOATS 131072
#define TILE_MIN_ROWS 16

static size_t
taps_of(const NnNode *node)
{
	return (size_t) node->window.kh * (size_t) node->window.kw * (size_t) (node->in.c / node->groups);
}

/* Returns how many rows of patches are gathered at a time. */
static size_t
tile_rows(const NnNode *node)
{
	size_t rows = TILE_FLOATS / taps_of(node);
	size_t pixels = nn_shape_pixels(&node->shape);

	if (rows < TILE_MIN_ROWS)
		rows = TILE_MIN_ROWS;
	return rows < pixels ? rows : pixels;
}

size_t
nn_conv2d_patch_bytes(const NnNode *node)
{
	return nn_align_size(nn_mul_size(tile_rows(node), taps_of(node) * sizeof(float)));
}

/* Tells whether the patches are the source itself: a 1x1 convolution of stride 1 in one group. */
static int
is_pointwise(const NnNode *node)
{
	const NnWindow *w = &node->window;

	return w->kh == 1 && w->kw == 1 && w->sh == 1 && w->sw == 1 && node->groups == 1;
}

/*
 * Copies the patches of rows output pixels from first on as rows of KH*KW*IC
 * values, the IC channels of a group, zero outside the source.
 */
static void
gather_patches(float *patches, const float *src, const NnNode *node, int group, size_t first, size_t rows)
{
	const NnWindow *w = &node->window;
	size_t ic = (size_t) (node->in.c / node->groups);
	size_t work = 0;
	size_t r;
	int y, x;

	for (r = 0; r < rows; r++)
	{
		int oy = (int) ((first + r) / (size_t) node->shape.w);
		int ox = (int) ((first + r) % (size_t) node->shape.w);

		for (y = 0; y < w->kh && !nn_stop_due(&work, (size_t) w->kw * ic); y++)
			for (x = 0; x < w->kw; x++, patches += ic)
			{
				ptrdiff_t at = nn_tap_pixel(node, oy, ox, y, x);

				if (at < 0)
					memset(patches, 0, ic * sizeof(float));
				else
					memcpy(patches, src + at + (size_t) group * ic, ic * sizeof(float));
			}
	}
}

/* Returns the patches of a group: the source itself, or gathered. */
static const float *
group_patches(float *patches, const NnCall *call, int group, size_t first, size_t rows)
{
	if (is_pointwise(call->node))
		return call->src[0] + first * taps_of(call->node);
	gather_patches(patches, call->src[0], call->node, group, first, rows);
	return patches;
}

/* Adds patches to where they came from: the transpose of gather_patches(). */
static void
scatter_patches(float *dsrc, const float *patches, const NnNode *node, int group, size_t first, size_t rows)
{
	const NnWindow *w = &node->window;
	size_t ic = (size_t) (node->in.c / node->groups);
	size_t work = 0;
	size_t r, c;
	int y, x;

	for (r = 0; r < rows; r++)
	{
		int oy = (int) ((first + r) / (size_t) node->shape.w);
		int ox = (int) ((first + r) % (size_t) node->shape.w);

		for (y = 0; y < w->kh && !nn_stop_due(&work, (size_t) w->kw * ic); y++)
			for (x = 0; x < w->kw; x++, patches += ic)
			{
				ptrdiff_t at = nn_tap_pixel(node, oy, ox, y, x);

				if (at < 0)
					continue;
				for (c = 0; c < ic; c++)
					dsrc[(size_t) at + (size_t) group * ic + c] += patches[c];
			}
	}
}

#define PRODUCT_WORK ((size_t) 1 << 30) /* multiply-adds that a BLAS, which cannot stop, gets at once */

/* Multiplies as call->sgemm does with alpha 1, a few rows at a time where they are much work. */
static void
product(const NnCall *call, int transpose_a, int transpose_b, size_t m, size_t n, size_t k, const float *a,
		size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
	size_t most = PRODUCT_WORK / k / n;
	size_t count, i;

	if (most < 1)
		most = 1;
	for (i = 0; i < m && !nn_stopped(); i += count)
	{
		count = m - i < most ? m - i : most;
		call->sgemm(transpose_a, transpose_b, (int) count, (int) n, (int) k, 1.0f,
					a + (transpose_a ? i : i * lda), (int) lda, b, (int) ldb, beta, c + i * ldc, (int) ldc);
	}
}

void
nn_conv2d_forward(const NnCall *call, float *dst, float *patches)
{
	const NnNode *node = call->node;
	size_t taps = taps_of(node);
	size_t oc = (size_t) node->shape.c;
	size_t pixels = nn_shape_pixels(&node->shape);
	size_t rows = tile_rows(node);
	size_t width = oc / (size_t) node->groups;
	const float *bias = nn_step_bias(call->step, node, call->weights);
	size_t first, r, c;
	int g;

	for (first = 0; first < pixels; first += rows)
	{
		size_t count = pixels - first < rows ? pixels - first : rows;
		float *out = dst + first * oc;

		for (g = 0; g < node->groups && !nn_stopped(); g++)
			product(call, 0, 0, count, width, taps, group_patches(patches, call, g, first, count), taps,
					call->weights + (size_t) g * width, oc, 0.0f, out + (size_t) g * width, oc);
		if (nn_stopped())
			return;
		if (bias != NULL)
			for (r = 0; r < count; r++)
				for (c = 0; c < oc; c++)
					out[r * oc + c] += bias[c];
	}
}

void
nn_conv2d_pool(float *dst, uint16_t *mask, const float *full, const NnStep *step)
{
	size_t c = (size_t) step->full.c;
	size_t row = (size_t) step->full.w * c;
	size_t groups = (c + 15) / 16;
	int relu = (step->activation == NN_RELU);
	size_t work = 0;
	int y, x;
	size_t k;

	for (y = 0; y < step->out.h; y++)
		for (x = 0; x < step->out.w; x++, dst += c)
		{
			const float *p = full + (size_t) (2 * y) * row + (size_t) (2 * x) * c;

			if (nn_stop_due(&work, 4 * c))
				return;
			if (mask != NULL)
				memset(mask, 0, groups * 4 * sizeof(uint16_t));
			for (k = 0; k < c; k++)
			{
				float best = p[k];
				int winner = 0;

				if (p[k + c] > best)
				{
					best = p[k + c];
					winner = 1;
				}
				if (p[k + row] > best)
				{
					best = p[k + row];
					winner = 2;
				}
				if (p[k + row + c] > best)
				{
					best = p[k + row + c];
					winner = 3;
				}
				dst[k] = best;
				if (mask != NULL && !(relu && !(best > 0.0f)))
					mask[k / 16 * 4 + (size_t) winner] |= (uint16_t) (1u << (k % 16));
			}
			if (mask != NULL)
				mask += groups * 4;
		}
}

void
nn_conv2d_unpool(float *dfull, const float *ddst, const uint16_t *mask, const NnStep *step)
{
	size_t c = (size_t) step->full.c;
	size_t row = (size_t) step->full.w * c;
	size_t groups = (c + 15) / 16;
	size_t work = 0;
	int y, x, w;
	size_t k;

	nn_stop_zero(dfull, nn_shape_floats(&step->full) * sizeof(float));
	for (y = 0; y < step->out.h; y++)
		for (x = 0; x < step->out.w && !nn_stop_due(&work, 4 * c); x++, ddst += c, mask += groups * 4)
			for (w = 0; w < 4; w++)
			{
				float *p = dfull + (size_t) (2 * y + w / 2) * row + (size_t) (2 * x + w % 2) * c;

				for (k = 0; k < c; k++)
					if (mask[k / 16 * 4 + (size_t) w] >> (k % 16) & 1)
						p[k] = ddst[k];
			}
}

void
nn_conv2d_weights(const NnCall *call, const float *dfull, float *patches)
{
	const NnNode *node = call->node;
	size_t taps = taps_of(node);
	size_t oc = (size_t) node->shape.c;
	size_t pixels = nn_shape_pixels(&node->shape);
	size_t rows = tile_rows(node);
	size_t width = oc / (size_t) node->groups;
	float *dbias = nn_bias_gradient(node, call->dweights);
	size_t work = 0;
	size_t first, c;
	int g;

	for (first = 0; first < pixels; first += rows)
	{
		size_t count = pixels - first < rows ? pixels - first : rows;

		for (g = 0; g < node->groups && !nn_stopped(); g++)
			product(call, 1, 0, taps, width, count, group_patches(patches, call, g, first, count), taps,
					dfull + first * oc + (size_t) g * width, oc, 1.0f, call->dweights + (size_t) g * width,
					oc);
		if (nn_stopped())
			return;
	}
	if (dbias != NULL)
		for (first = 0; first < pixels && !nn_stop_due(&work, oc); first++)
			for (c = 0; c < oc; c++)
				dbias[c] += dfull[first * oc + c];
}

void
nn_conv2d_data(const NnCall *call, const float *dfull, float *patches)
{
	const NnNode *node = call->node;
	size_t taps = taps_of(node);
	size_t oc = (size_t) node->shape.c;
	size_t pixels = nn_shape_pixels(&node->shape);
	size_t rows = tile_rows(node);
	size_t width = oc / (size_t) node->groups;
	size_t first;
	int g;

	if (!is_pointwise(node))
		nn_stop_zero(call->dsrc[0], nn_shape_floats(&node->in) * sizeof(float));
	for (first = 0; first < pixels; first += rows)
	{
		size_t count = pixels - first < rows ? pixels - first : rows;
		float *to = is_pointwise(node) ? call->dsrc[0] + first * taps : patches;

		for (g = 0; g < node->groups && !nn_stopped(); g++)
		{
			product(call, 0, 1, count, taps, width, dfull + first * oc + (size_t) g * width, oc,
					call->weights + (size_t) g * width, oc, 0.0f, to, taps);
			if (!is_pointwise(node) && !nn_stopped())
				scatter_patches(call->dsrc[0], patches, node, g, first, count);
		}
		if (nn_stopped())
			return;
	}
}
