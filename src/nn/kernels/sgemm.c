/*-------------------------------------------------------------------------
 *
 * sgemm.c
 *	  The reference matrix product, and the choice by path.
 *
 *-------------------------------------------------------------------------
 */
#include "../stop.h"
#include "kernels.h"

#define REF_TERMS (1 << 16) /* of a sum, between two looks whether to stop */

void
nn_sgemm_ref(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
			 const float *b, int ldb, float beta, float *c, int ldc)
{
	size_t work = 0;
	int i, j, p, start;

	for (i = 0; i < m; i++)
		for (j = 0; j < n; j++)
		{
			float *x = c + (size_t) i * (size_t) ldc + j;
			double sum = 0.0;

			for (start = 0; start < k; start += REF_TERMS)
			{
				int end = k - start < REF_TERMS ? k : start + REF_TERMS;

				if (nn_stop_due(&work, 8 * (size_t) (end - start)))
					return;
				for (p = start; p < end; p++)
				{
					float va =
						transpose_a ? a[(size_t) p * (size_t) lda + i] : a[(size_t) i * (size_t) lda + p];
					float vb =
						transpose_b ? b[(size_t) j * (size_t) ldb + p] : b[(size_t) p * (size_t) ldb + j];

					sum += (double) va * vb;
				}
			}
			*x = (float) (alpha * sum + (beta == 0.0f ? 0.0 : (double) beta * *x));
		}
}

void
nn_sgemm(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
		 const float *b, int ldb, float beta, float *c, int ldc)
{
	nn_sgemm_portable(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

NnSgemm
nn_sgemm_for(NnPath path)
{
	switch (path)
	{
		case NN_PATH_REFERENCE:
			return nn_sgemm_ref;
		case NN_PATH_PORTABLE:
			return nn_sgemm_portable;
#if NN_X86
		case NN_PATH_AVX2:
			return nn_sgemm_avx2;
		case NN_PATH_AVX512:
			return nn_sgemm_avx512;
#endif
		default:
			return nn_sgemm_portable;
	}
}
