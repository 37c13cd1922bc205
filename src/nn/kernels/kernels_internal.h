/* Internal to src/nn/kernels (and its tests): the tables of each path. */
#ifndef PNEUMO_NN_KERNELS_INTERNAL_H
#define PNEUMO_NN_KERNELS_INTERNAL_H

#include "kernels.h"

extern const NnKernels nn_kernels_ref;
extern const NnKernels nn_kernels_portable;
#if NN_X86
extern const NnKernels nn_kernels_avx2;
extern const NnKernels nn_kernels_avx512;
#endif

/* The AVX-512 sources on pairs of AVX2 registers: compiled by the tests only. */
extern const NnKernels nn_kernels_wide16;
extern void nn_sgemm_wide16(int transpose_a, int transpose_b, int m, int n, int k, float alpha,
							const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

#endif /* PNEUMO_NN_KERNELS_INTERNAL_H */
