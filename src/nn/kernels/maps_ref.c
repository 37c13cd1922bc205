/*-------------------------------------------------------------------------
 *
 * maps_ref.c
 *	  The references of maps.h, in plain loops with sums in double, and the
 *	  choice by path.
 *
 *-------------------------------------------------------------------------
 */
#include "maps_internal.h"

#include <string.h>

/* Returns where the pixel under a tap of an output begins in the source, in values; -1 outside. */
static ptrdiff_t
pixel_at(const NnConv *c, int oy, int ox, int ky, int kx)
{
	int y = oy * c->sh + ky * c->dh - c->top;
	int x = ox * c->sw + kx * c->dw - c->left;

	if (y < 0 || y >= c->h || x < 0 || x >= c->w)
		return -1;
	return ((ptrdiff_t) y * c->w + x) * c->ic;
}

static float
clipped(double x, NnClip clip)
{
	if (clip.on && x < 0.0)
		return 0.0f;
	if (clip.on && x > clip.high)
		return clip.high;
	return (float) x;
}

static float
gated(float gradient, float y, NnClip clip)
{
	return !clip.on || (y > 0.0f && y < clip.high) ? gradient : 0.0f;
}

/* Runs do_tap for each output pixel and each tap inside the source; at is that pixel, tap the tap's number. */
#define EACH_TAP(c, do_tap)                                                                             \
	do                                                                                                  \
	{                                                                                                   \
		int oy, ox, ky, kx;                                                                             \
                                                                                                        \
		for (oy = 0; oy < (c)->oh; oy++)                                                                \
			for (ox = 0; ox < (c)->ow; ox++)                                                            \
				for (ky = 0; ky < (c)->kh; ky++)                                                        \
					for (kx = 0; kx < (c)->kw; kx++)                                                    \
					{                                                                                   \
						size_t out = ((size_t) oy * (size_t) (c)->ow + (size_t) ox) * (size_t) (c)->oc; \
						size_t tap = (size_t) (ky * (c)->kw + kx);                                      \
						ptrdiff_t at = pixel_at(c, oy, ox, ky, kx);                                     \
                                                                                                        \
						if (at >= 0)                                                                    \
							do_tap;                                                                     \
					}                                                                                   \
	} while (0)

static size_t
conv_packed_floats_ref(const NnConv *c, int transposed)
{
	(void) transposed;
	return (size_t) c->kh * (size_t) c->kw * (size_t) c->ic * (size_t) c->oc;
}

static void
conv_pack_ref(float *packed, const float *weight, const NnConv *c, int transposed)
{
	memcpy(packed, weight, sizeof(float) * conv_packed_floats_ref(c, transposed));
}

static size_t
no_scratch(const NnConv *c)
{
	(void) c;
	return 0;
}

/* Computes an output pixel's channel; a depthwise kernel has one value of a channel at a tap. */
static double
output_at(const NnConv *c, const float *src, const float *weight, int oy, int ox, int k, int depthwise)
{
	double sum = 0.0;
	int ky, kx, i;

	for (ky = 0; ky < c->kh; ky++)
		for (kx = 0; kx < c->kw; kx++)
		{
			ptrdiff_t at = pixel_at(c, oy, ox, ky, kx);
			size_t tap = (size_t) (ky * c->kw + kx);

			if (at >= 0 && depthwise)
				sum += (double) src[at + k] * (double) weight[tap * (size_t) c->oc + (size_t) k];
			for (i = 0; at >= 0 && !depthwise && i < c->ic; i++)
				sum += (double) src[at + i] *
					   (double) weight[(tap * (size_t) c->ic + (size_t) i) * (size_t) c->oc + (size_t) k];
		}
	return sum;
}

static void
forward_ref(float *dst, const float *src, const float *weight, const float *bias, const NnConv *c,
			NnClip clip, int depthwise)
{
	int oy, ox, k;

	for (oy = 0; oy < c->oh; oy++)
		for (ox = 0; ox < c->ow; ox++)
			for (k = 0; k < c->oc; k++)
				*dst++ =
					clipped(output_at(c, src, weight, oy, ox, k, depthwise) + (bias != NULL ? bias[k] : 0.0),
							clip);
}

static void
conv_forward_ref(float *dst, const float *src, const float *packed, const float *bias, const NnConv *c,
				 NnClip clip, void *scratch)
{
	(void) scratch;
	forward_ref(dst, src, packed, bias, c, clip, 0);
}

static void
depthwise_forward_ref(float *dst, const float *src, const float *weight, const float *bias, const NnConv *c,
					  NnClip clip, void *scratch)
{
	(void) scratch;
	forward_ref(dst, src, weight, bias, c, clip, 1);
}

static void
tap_dsrc(float *dsrc, const float *ddst, const float *weight, const NnConv *c)
{
	int i, k;

	for (i = 0; i < c->ic; i++)
	{
		double sum = dsrc[i];

		for (k = 0; k < c->oc; k++)
			sum += (double) ddst[k] * (double) weight[(size_t) i * (size_t) c->oc + (size_t) k];
		dsrc[i] = (float) sum;
	}
}

static void
conv_dsrc_ref(float *dsrc, const float *ddst, const float *packed, const NnConv *c, void *scratch)
{
	(void) scratch;
	memset(dsrc, 0, sizeof(float) * (size_t) c->h * (size_t) c->w * (size_t) c->ic);
	EACH_TAP(c, tap_dsrc(dsrc + at, ddst + out, packed + tap * (size_t) c->ic * (size_t) c->oc, c));
}

static void
depthwise_dsrc_ref(float *dsrc, const float *ddst, const float *weight, const NnConv *c, void *scratch)
{
	int k;

	(void) scratch;
	memset(dsrc, 0, sizeof(float) * (size_t) c->h * (size_t) c->w * (size_t) c->ic);
	for (k = 0; k < c->oc; k++)
		EACH_TAP(c, dsrc[at + k] += ddst[out + (size_t) k] * weight[tap * (size_t) c->oc + (size_t) k]);
}

static void
add_bias(float *dbias, const float *ddst, const NnConv *c)
{
	size_t pixels = (size_t) c->oh * (size_t) c->ow;
	size_t i;
	int k;

	for (k = 0; dbias != NULL && k < c->oc; k++)
	{
		double sum = dbias[k];

		for (i = 0; i < pixels; i++)
			sum += ddst[i * (size_t) c->oc + (size_t) k];
		dbias[k] = (float) sum;
	}
}

/* Returns the gradient of one weight: that of input channel i at a tap of output channel k. */
static double
weight_at(const NnConv *c, const float *src, const float *ddst, int ky, int kx, int i, int k)
{
	double sum = 0.0;
	int oy, ox;

	for (oy = 0; oy < c->oh; oy++)
		for (ox = 0; ox < c->ow; ox++)
		{
			ptrdiff_t at = pixel_at(c, oy, ox, ky, kx);

			if (at >= 0)
				sum +=
					(double) src[at + i] *
					(double) ddst[((size_t) oy * (size_t) c->ow + (size_t) ox) * (size_t) c->oc + (size_t) k];
		}
	return sum;
}

static void
conv_dweight_ref(float *dweight, float *dbias, const float *src, const float *ddst, const NnConv *c,
				 void *scratch)
{
	int ky, kx, i, k;

	(void) scratch;
	for (ky = 0; ky < c->kh; ky++)
		for (kx = 0; kx < c->kw; kx++)
			for (i = 0; i < c->ic; i++)
				for (k = 0; k < c->oc; k++, dweight++)
					*dweight = (float) (*dweight + weight_at(c, src, ddst, ky, kx, i, k));
	add_bias(dbias, ddst, c);
}

static void
depthwise_dweight_ref(float *dweight, float *dbias, const float *src, const float *ddst, const NnConv *c,
					  void *scratch)
{
	int ky, kx, k;

	(void) scratch;
	for (ky = 0; ky < c->kh; ky++)
		for (kx = 0; kx < c->kw; kx++)
			for (k = 0; k < c->oc; k++, dweight++)
				*dweight = (float) (*dweight + weight_at(c, src, ddst, ky, kx, k, k));
	add_bias(dbias, ddst, c);
}

static void
channel_sums_ref(double *sum, double *sum_sq, const float *x, size_t rows, int c)
{
	size_t i;

	for (i = 0; i < rows * (size_t) c; i++)
	{
		sum[i % (size_t) c] += (double) x[i];
		if (sum_sq != NULL)
			sum_sq[i % (size_t) c] += (double) x[i] * (double) x[i];
	}
}

static void
channel_affine_ref(float *dst, const float *src, const float *a, const float *b, size_t rows, int c,
				   NnClip clip)
{
	size_t i;

	for (i = 0; i < rows * (size_t) c; i++)
		dst[i] = clipped((double) src[i] * (double) a[i % (size_t) c] + (double) b[i % (size_t) c], clip);
}

static void
channel_gradient_sums_ref(double *sum, double *dot, const float *ddst, const float *src, const float *a,
						  const float *b, size_t rows, int c, NnClip clip)
{
	size_t i;

	for (i = 0; i < rows * (size_t) c; i++)
	{
		size_t k = i % (size_t) c;
		double g = gated(ddst[i], (float) ((double) src[i] * (double) a[k] + (double) b[k]), clip);

		sum[k] += g;
		dot[k] += g * (double) src[i];
	}
}

static void
channel_gradient_ref(float *dsrc, const float *ddst, const float *src, const float *a, const float *b,
					 const float *by_ddst, const float *by_src, const float *constant, size_t rows, int c,
					 NnClip clip)
{
	size_t i;

	for (i = 0; i < rows * (size_t) c; i++)
	{
		size_t k = i % (size_t) c;
		double g = gated(ddst[i], (float) ((double) src[i] * (double) a[k] + (double) b[k]), clip);

		dsrc[i] =
			(float) (g * (double) by_ddst[k] + (double) src[i] * (double) by_src[k] + (double) constant[k]);
	}
}

static void
sum_ref(float *dst, const float *x, const float *y, size_t n, NnClip clip)
{
	size_t i;

	for (i = 0; i < n; i++)
		dst[i] = clipped((double) x[i] + (double) y[i], clip);
}

static void
gate_ref(float *d0, float *d1, const float *ddst, const float *dst, size_t n, NnClip clip)
{
	size_t i;

	for (i = 0; i < n; i++)
	{
		d0[i] = gated(ddst[i], dst[i], clip);
		if (d1 != NULL)
			d1[i] = d0[i];
	}
}

static void
max_gradient_ref(float *dsrc, const float *ddst, const float *src, int rows, int columns, size_t line, int c)
{
	int k, y, x;

	for (k = 0; k < c; k++)
	{
		size_t best = (size_t) k;

		for (y = 0; y < rows; y++)
			for (x = 0; x < columns; x++)
				if (src[(size_t) y * line + (size_t) (x * c + k)] > src[best])
					best = (size_t) y * line + (size_t) (x * c + k);
		dsrc[best] += ddst[k];
	}
}

const NnMapKernels nn_map_kernels_ref = {
	.path = NN_PATH_REFERENCE,
	.conv_packed_floats = conv_packed_floats_ref,
	.conv_pack = conv_pack_ref,
	.conv_scratch_bytes = no_scratch,
	.conv_forward = conv_forward_ref,
	.conv_dsrc = conv_dsrc_ref,
	.conv_dweight = conv_dweight_ref,
	.depthwise_scratch_bytes = no_scratch,
	.depthwise_forward = depthwise_forward_ref,
	.depthwise_dsrc = depthwise_dsrc_ref,
	.depthwise_dweight = depthwise_dweight_ref,
	.channel_sums = channel_sums_ref,
	.channel_affine = channel_affine_ref,
	.channel_gradient_sums = channel_gradient_sums_ref,
	.channel_gradient = channel_gradient_ref,
	.sum = sum_ref,
	.gate = gate_ref,
	.max_gradient = max_gradient_ref,
};

const NnMapKernels *
nn_map_kernels(NnPath path)
{
	switch (path)
	{
		case NN_PATH_REFERENCE:
			return &nn_map_kernels_ref;
#if NN_X86
		case NN_PATH_AVX2:
			return &nn_map_kernels_avx2;
		case NN_PATH_AVX512:
			return &nn_map_kernels_avx512;
#endif
		default:
			return &nn_map_kernels_portable;
	}
}
