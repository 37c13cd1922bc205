/*-------------------------------------------------------------------------
 *
 * dense_int16.c
 *	  Dense weights as block floating point: packing them, and the reference
 *	  product.
 *
 *-------------------------------------------------------------------------
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "../stop.h"
#include "dense_int16.h"
#include "kernels_ref.h"

size_t
nn_dense_int16_bytes(int in, int out)
{
	size_t wide = (size_t) nn_int16_wide(out);

	/* at most 2^31 outputs and inputs: none of the factors is near 2^32 */
	if (wide > SIZE_MAX / 8 / ((size_t) in + 1))
		return SIZE_MAX;
	return sizeof(float) * wide * ((size_t) nn_int16_blocks(in) + 1) + sizeof(int16_t) * wide * (size_t) in;
}

size_t
nn_dense_int16_scratch_bytes(int n, int out)
{
	return sizeof(float) * (size_t) nn_int16_wide(out) * ((size_t) n + NN_DENSE_ROWS);
}

/* Fills the scales of the outputs [o0, o0 + count) for a block's n inputs. */
static void
pack_scales(float *scales, const float *weight, int n, int out, int count)
{
	int i, o;

	for (o = 0; o < count; o++)
		scales[o] = 0.0f;
	for (i = 0; i < n; i++, weight += out)
		for (o = 0; o < count; o++)
		{
			float size = fabsf(weight[o]);

			scales[o] = size > scales[o] ? size : scales[o];
		}
	for (o = 0; o < count; o++)
		scales[o] = scales[o] < NN_INT16_MOST * FLT_MIN ? 0.0f : scales[o] / NN_INT16_MOST;
}

static int16_t
quantized(float weight, float scale)
{
	float q = scale > 0.0f ? weight / scale : 0.0f;

	/* the scale is rounded, so the largest may come out a little above */
	if (q > NN_INT16_MOST)
		q = NN_INT16_MOST;
	else if (q < -NN_INT16_MOST)
		q = -NN_INT16_MOST;
	return (int16_t) lrintf(q);
}

void
nn_dense_int16_pack(void *packed, const float *weight, const float *bias, int in, int out)
{
	int wide = nn_int16_wide(out);
	size_t work = 0;
	int b, i, o, p;

	nn_stop_zero(packed, nn_dense_int16_bytes(in, out));
	if (bias != NULL)
		memcpy(packed, bias, sizeof(float) * (size_t) out);
	for (b = 0; b < nn_int16_blocks(in); b++, weight += (size_t) NN_DENSE_BLOCK * (size_t) out)
	{
		DqBlock block = nn_int16_block(packed, in, out, b);
		float *scales = (float *) block.scales;
		int16_t *q = (int16_t *) block.weights;

		for (p = 0; p < wide; p += NN_INT16_PANEL)
		{
			int width = nn_int16_panel_width(wide, p);
			int count = out - p < width ? out - p : width;

			if (nn_stop_due(&work, 4 * (size_t) block.n * (size_t) width))
				return;
			pack_scales(scales + p, weight + p, block.n, out, count);
			for (i = 0; i < block.n; i++, q += width)
				for (o = 0; o < count; o++)
					q[o] = quantized(weight[(size_t) i * (size_t) out + (size_t) (p + o)], scales[p + o]);
		}
	}
}

/* Computes one output of one row; work is that of nn_stop_due(). */
static double
product_ref(const float *src, const void *packed, int in, int out, int o, size_t *work)
{
	int panel = o / NN_INT16_PANEL * NN_INT16_PANEL;
	int wide = nn_int16_wide(out);
	size_t width = (size_t) nn_int16_panel_width(wide, panel);
	double sum = 0.0;
	int b, i;

	for (b = 0; b < nn_int16_blocks(in) && !nn_stop_due(work, 8 * NN_DENSE_BLOCK); b++)
	{
		DqBlock block = nn_int16_block(packed, in, out, b);
		const int16_t *q = block.weights + (size_t) panel * (size_t) block.n + (o - panel);
		const float *x = src + (size_t) b * NN_DENSE_BLOCK;

		for (i = 0; i < block.n; i++)
			sum += (double) x[i] * ((double) q[(size_t) i * width] * (double) block.scales[o]);
	}
	return sum;
}

void
nn_dense_int16_forward_ref(float *dst, const float *src, const void *packed, int n, int in, int out, int relu,
						   void *scratch)
{
	size_t work = 0;
	int o, r;

	(void) scratch;
	for (r = 0; r < n; r++)
		for (o = 0; o < out && !nn_stop_due(&work, 1); o++)
		{
			float y = (float) (product_ref(src + (size_t) r * (size_t) in, packed, in, out, o, &work) +
							   (double) nn_int16_bias(packed)[o]);

			dst[(size_t) r * (size_t) out + (size_t) o] = relu && !(y > 0.0f) ? 0.0f : y;
		}
}
