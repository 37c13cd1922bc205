/*-------------------------------------------------------------------------
 *
 * kernels_internal.h
 *	  The table of each path, for nn_kernels() and for the tests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_KERNELS_INTERNAL_H
#define PNEUMO_NN_KERNELS_INTERNAL_H

#include "kernels.h"

extern const NnKernels nn_kernels_ref;
extern const NnKernels nn_kernels_portable;
#if NN_X86
extern const NnKernels nn_kernels_avx2;
extern const NnKernels nn_kernels_avx512;
#endif

/*
 * Compute by the AVX-512 sources on pairs of AVX2 registers; compiled by the
 * tests only, which run them where there is no AVX-512.
 */
extern const NnKernels nn_kernels_wide16;
extern void nn_sgemm_wide16(int transpose_a, int transpose_b, int m, int n, int k, float alpha,
							const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

#endif /* PNEUMO_NN_KERNELS_INTERNAL_H */
