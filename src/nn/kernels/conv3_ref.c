/*-------------------------------------------------------------------------
 *
 * conv3_ref.c
 *	  Reference 3 x 3 convolution: direct loops, sums in double.
 *
 * The packed form is the weights themselves; the accumulated gradient is
 * [3][3][ic][oc], then [oc], in float.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "kernels_ref.h"

size_t
nn_conv3_packed_floats_ref(const NnConv3 *c, int transposed)
{
	(void) transposed;
	return 9 * (size_t) c->ic * (size_t) c->oc;
}

void
nn_conv3_pack_ref(float *packed, const float *weight, const NnConv3 *c, int transposed, int k0, int k1)
{
	size_t line = (size_t) c->oc;
	int e, k, o;

	for (e = 0; e < 9; e++)
		for (k = transposed ? 0 : k0; k < (transposed ? c->ic : k1); k++)
			for (o = transposed ? k0 : 0; o < (transposed ? k1 : c->oc); o++)
			{
				size_t at = (size_t) (e * c->ic + k) * line + (size_t) o;

				packed[at] = weight[at];
			}
}

size_t
nn_conv3_scratch_bytes_ref(const NnConv3 *c)
{
	(void) c;
	return NN_ALIGN;
}

/* Returns one output before bias and activation. */
static double
output_at(const float *src, const float *weight, const NnConv3 *c, int y, int x, int o)
{
	double sum = 0.0;
	int e, k;

	for (e = 0; e < 9; e++)
	{
		int sy = y + e / 3 - 1;
		int sx = x + e % 3 - 1;

		if (sy < 0 || sx < 0 || sy >= c->h || sx >= c->w)
			continue;
		for (k = 0; k < c->ic; k++)
			sum += (double) src[((size_t) sy * (size_t) c->w + (size_t) sx) * (size_t) c->ic + (size_t) k] *
				   (double) weight[(size_t) (e * c->ic + k) * (size_t) c->oc + (size_t) o];
	}
	return sum;
}

void
nn_conv3_forward_ref(float *dst, uint16_t *mask, const float *src, const float *packed, const float *bias,
					 const NnConv3 *c, void *scratch)
{
	int step = c->pool ? 2 : 1;
	int h = c->h / step;
	int w = c->w / step;
	int x, y, o, j;

	(void) scratch;
	if (mask != NULL && c->pool)
		memset(mask, 0, sizeof(uint16_t) * (size_t) h * (size_t) w * nn_mask_words(c->oc));
	for (y = 0; y < h; y++)
		for (x = 0; x < w; x++)
			for (o = 0; o < c->oc; o++)
			{
				size_t at = (size_t) y * (size_t) w + (size_t) x;
				float best = 0.0f;
				int won = 0;

				for (j = 0; j < step * step; j++)
				{
					float v =
						(float) (output_at(src, packed, c, y * step + j / step, x * step + j % step, o) +
								 (bias != NULL ? bias[o] : 0.0f));

					if (j == 0 || v > best)
					{
						best = v;
						won = j;
					}
				}
				if (mask != NULL && c->pool && (!c->relu || best > 0.0f))
					mask[at * nn_mask_words(c->oc) + (size_t) (o / 16 * 4 + won)] |=
						(uint16_t) (1u << o % 16);
				dst[at * (size_t) c->oc + (size_t) o] = c->relu && best < 0.0f ? 0.0f : best;
			}
}

/* Returns the gradient of an output before pooling and relu. */
static float
gradient_at(const float *ddst, const uint16_t *mask, const float *dst, const NnConv3 *c, int y, int x, int o)
{
	size_t at;

	if (c->pool)
	{
		if (y / 2 >= c->h / 2 || x / 2 >= c->w / 2)
			return 0.0f;
		at = (size_t) (y / 2) * (size_t) (c->w / 2) + (size_t) (x / 2);
		if (!(mask[at * nn_mask_words(c->oc) + (size_t) (o / 16 * 4 + y % 2 * 2 + x % 2)] >> o % 16 & 1))
			return 0.0f;
		return ddst[at * (size_t) c->oc + (size_t) o];
	}
	at = ((size_t) y * (size_t) c->w + (size_t) x) * (size_t) c->oc + (size_t) o;
	return c->relu && !(dst[at] > 0.0f) ? 0.0f : ddst[at];
}

void
nn_conv3_dsrc_ref(float *dsrc, const float *ddst, const uint16_t *mask, const float *dst,
				  const float *packed_transposed, const NnConv3 *c, void *scratch)
{
	int x, y, e, k, o;

	(void) scratch;
	for (y = 0; y < c->h; y++)
		for (x = 0; x < c->w; x++)
			for (k = 0; k < c->ic; k++)
			{
				double sum = 0.0;

				for (e = 0; e < 9; e++)
				{
					int oy = y + 1 - e / 3;
					int ox = x + 1 - e % 3;

					if (oy < 0 || ox < 0 || oy >= c->h || ox >= c->w)
						continue;
					for (o = 0; o < c->oc; o++)
						sum += (double) gradient_at(ddst, mask, dst, c, oy, ox, o) *
							   (double)
								   packed_transposed[(size_t) (e * c->ic + k) * (size_t) c->oc + (size_t) o];
				}
				dsrc[((size_t) y * (size_t) c->w + (size_t) x) * (size_t) c->ic + (size_t) k] = (float) sum;
			}
}

size_t
nn_conv3_acc_floats_ref(const NnConv3 *c)
{
	return (9 * (size_t) c->ic + 1) * (size_t) c->oc;
}

void
nn_conv3_dweight_ref(float *acc, const float *src, const float *ddst, const uint16_t *mask, const float *dst,
					 const NnConv3 *c, void *scratch)
{
	int x, y, e, k, o;

	(void) scratch;
	for (o = 0; o < c->oc; o++)
	{
		double sum = 0.0;

		for (y = 0; y < c->h; y++)
			for (x = 0; x < c->w; x++)
				sum += (double) gradient_at(ddst, mask, dst, c, y, x, o);
		acc[9 * (size_t) c->ic * (size_t) c->oc + (size_t) o] += (float) sum;
		for (e = 0; e < 9; e++)
			for (k = 0; k < c->ic; k++)
			{
				sum = 0.0;
				for (y = 0; y < c->h; y++)
					for (x = 0; x < c->w; x++)
					{
						int sy = y + e / 3 - 1;
						int sx = x + e % 3 - 1;

						if (sy >= 0 && sx >= 0 && sy < c->h && sx < c->w)
							sum += (double) gradient_at(ddst, mask, dst, c, y, x, o) *
								   (double) src[((size_t) sy * (size_t) c->w + (size_t) sx) * (size_t) c->ic +
												(size_t) k];
					}
				acc[(size_t) (e * c->ic + k) * (size_t) c->oc + (size_t) o] += (float) sum;
			}
	}
}

void
nn_conv3_dweight_finish_ref(float *dweight, float *dbias, const float *acc, int n_acc, size_t acc_stride,
							const NnConv3 *c, int ic0, int ic1)
{
	int a, e, k, o;

	for (e = 0; e < 10; e++)
		for (k = ic0; k < ic1; k++)
			for (o = 0; o < c->oc; o++)
			{
				size_t at = (size_t) (e * c->ic + k) * (size_t) c->oc + (size_t) o;
				float sum = 0.0f;

				if (e == 9 && (k > 0 || dbias == NULL))
					continue;
				for (a = 0; a < n_acc; a++)
					sum += acc[at + (size_t) a * acc_stride];
				if (e == 9)
					dbias[o] = sum;
				else
					dweight[at] = sum;
			}
}
