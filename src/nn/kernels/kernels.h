/*-------------------------------------------------------------------------
 *
 * kernels.h
 *	  The fast numeric kernels: the one public header of src/nn/kernels.
 *
 * Plain C11.  No allocation, no threads, no state: the caller divides the work
 * into the items that each section names, gives every thread its own scratch
 * (aligned to NN_ALIGN), and calls.  Nothing checks its arguments: the graph
 * has.  FTZ and DAZ are the caller's to set.
 *
 * Every kernel has a reference in double precision or plain loops (*_ref), and
 * forms for portable C (4-lane vectors of the compiler), AVX2 with FMA, and
 * AVX-512; each within the tolerance that tests/unit/test_kernels.c states.
 *
 * Layouts: activations NHWC dense, kernels HWIO, dense weights [in][out].
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_KERNELS_H
#define PNEUMO_NN_KERNELS_H

#include "../nn.h"

#if defined(__x86_64__)
#define NN_X86 1
#else
#define NN_X86 0
#endif

/* -------------------------------------------------------- matrix product */

/*
 * Built-in products with the meaning of NnSgemm.  They use about 90 kB of
 * stack.  An element's bits depend on its row of op(A), its column of op(B), k,
 * alpha and beta only, not on m, n or the leading dimensions.
 */
extern void nn_sgemm_ref(int transpose_a, int transpose_b, int m, int n, int k,
						 float alpha, const float *a, int lda,
						 const float *b, int ldb,
						 float beta, float *c, int ldc);
extern void nn_sgemm(int transpose_a, int transpose_b, int m, int n, int k,
					 float alpha, const float *a, int lda,
					 const float *b, int ldb,
					 float beta, float *c, int ldc);
extern void nn_sgemm_portable(int transpose_a, int transpose_b, int m, int n, int k,
							  float alpha, const float *a, int lda,
							  const float *b, int ldb,
							  float beta, float *c, int ldc);
#if NN_X86
extern void nn_sgemm_avx2(int transpose_a, int transpose_b, int m, int n, int k,
						  float alpha, const float *a, int lda,
						  const float *b, int ldb,
						  float beta, float *c, int ldc);
extern void nn_sgemm_avx512(int transpose_a, int transpose_b, int m, int n, int k,
							float alpha, const float *a, int lda,
							const float *b, int ldb,
							float beta, float *c, int ldc);
#endif

/* The product of a path; never NULL.  nn_sgemm is the portable one. */
extern NnSgemm nn_sgemm_for(NnPath path);

#endif							/* PNEUMO_NN_KERNELS_H */
