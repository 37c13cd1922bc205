/*-------------------------------------------------------------------------
 *
 * kernels_ref.c
 *	  The reference path's table, its element-wise passes and pooling, and the
 *	  choice of a table by path.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "kernels_ref.h"

static void
add_ref(float *dst, const float *src, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		dst[i] += src[i];
}

static double
sum_squares_ref(const float *src, size_t n)
{
	double s[16] = {0.0};
	double sum = 0.0;
	size_t i;

	for (i = 0; i < n; i++)
		s[i % 16] += (double) src[i] * (double) src[i];
	for (i = 0; i < 16; i++)
		sum += s[i];
	return sum;
}

/* Pools as NnKernels.maxpool2 does, value by value. */
static void
maxpool2_ref(float *dst, uint16_t *mask, const float *src, int h, int w, int c)
{
	int x, y, k, j;

	if (mask != NULL)
		memset(mask, 0, sizeof(uint16_t) * (size_t) (h / 2) * (size_t) (w / 2) * nn_mask_words(c));
	for (y = 0; y < h / 2; y++)
		for (x = 0; x < w / 2; x++)
			for (k = 0; k < c; k++)
			{
				size_t at = (size_t) y * (size_t) (w / 2) + (size_t) x;
				float best = 0.0f;
				int won = 0;

				for (j = 0; j < 4; j++)
				{
					float v =
						src[((size_t) (2 * y + j / 2) * (size_t) w + (size_t) (2 * x + j % 2)) * (size_t) c +
							(size_t) k];

					if (j == 0 || v > best)
					{
						best = v;
						won = j;
					}
				}
				dst[at * (size_t) c + (size_t) k] = best;
				if (mask != NULL)
					mask[at * nn_mask_words(c) + (size_t) (k / 16 * 4 + won)] |= (uint16_t) (1u << k % 16);
			}
}

static void
maxpool2_backward_ref(float *dsrc, const float *ddst, const uint16_t *mask, int h, int w, int c)
{
	int x, y, k;

	memset(dsrc, 0, sizeof(float) * (size_t) h * (size_t) w * (size_t) c);
	for (y = 0; y < h / 2 * 2; y++)
		for (x = 0; x < w / 2 * 2; x++)
			for (k = 0; k < c; k++)
			{
				size_t at = (size_t) (y / 2) * (size_t) (w / 2) + (size_t) (x / 2);

				if (mask[at * nn_mask_words(c) + (size_t) (k / 16 * 4 + y % 2 * 2 + x % 2)] >> k % 16 & 1)
					dsrc[((size_t) y * (size_t) w + (size_t) x) * (size_t) c + (size_t) k] =
						ddst[at * (size_t) c + (size_t) k];
			}
}

static size_t
no_int16(const NnConv3 *c)
{
	(void) c;
	return 0;
}

const NnKernels nn_kernels_ref = {
	.path = NN_PATH_REFERENCE,
	.sgemm = nn_sgemm_ref,
	.conv3_packed_floats = nn_conv3_packed_floats_ref,
	.conv3_pack = nn_conv3_pack_ref,
	.conv3_scratch_bytes = nn_conv3_scratch_bytes_ref,
	.conv3_forward = nn_conv3_forward_ref,
	.conv3_dsrc = nn_conv3_dsrc_ref,
	.conv3_acc_floats = nn_conv3_acc_floats_ref,
	.conv3_dweight = nn_conv3_dweight_ref,
	.conv3_dweight_finish = nn_conv3_dweight_finish_ref,
	.conv3_int16_packed_bytes = no_int16,
	.conv3_int16_scratch_bytes = no_int16,
	.dense_forward = nn_dense_forward_ref,
	.dense_partial = nn_dense_partial_ref,
	.dense_backward = nn_dense_backward_ref,
	.dense_int16_forward = nn_dense_int16_forward_ref,
	.update = nn_update_ref,
	.add = add_ref,
	.sum_squares = sum_squares_ref,
	.maxpool2 = maxpool2_ref,
	.maxpool2_backward = maxpool2_backward_ref,
};

const NnKernels *
nn_kernels(NnPath path)
{
	switch (path)
	{
		case NN_PATH_REFERENCE:
			return &nn_kernels_ref;
#if NN_X86
		case NN_PATH_AVX2:
			return &nn_kernels_avx2;
		case NN_PATH_AVX512:
			return &nn_kernels_avx512;
#endif
		default:
			return &nn_kernels_portable;
	}
}

size_t
nn_dense_scratch_bytes(int n, int out)
{
	/* one row goes as several streams */
	if (n < NN_DENSE_STREAMS)
		n = NN_DENSE_STREAMS;
	return sizeof(float) * (((size_t) n * (size_t) out + 15) / 16 * 16);
}

size_t
nn_dense_backward_scratch_bytes(int out)
{
	/* the gradient turned, and 16 rows of the weight's */
	return sizeof(float) * (NN_DENSE_TURN + 16) * (size_t) out;
}
