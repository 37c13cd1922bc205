/*-------------------------------------------------------------------------
 *
 * kernels_ref.h
 *	  The reference kernels: what every fast kernel is compared with, and the
 *	  entries of the reference path's table.  Owners: conv3_ref.c, dense_ref.c
 *	  and dense_int16.c; kernels_ref.c has the others as static functions.
 *
 * Each does what NnKernels (kernels.h) says of the entry of its name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_KERNELS_REF_H
#define PNEUMO_NN_KERNELS_REF_H

#include "kernels_internal.h"

/* Convolve 3 x 3 by direct loops, with sums in double (conv3_ref.c). */
extern size_t nn_conv3_packed_floats_ref(const NnConv3 *c, int transposed);
extern void nn_conv3_pack_ref(float *packed, const float *weight, const NnConv3 *c, int transposed, int k0,
							  int k1);
extern size_t nn_conv3_scratch_bytes_ref(const NnConv3 *c);
extern void nn_conv3_forward_ref(float *dst, uint16_t *mask, const float *src, const float *packed,
								 const float *bias, const NnConv3 *c, void *scratch);
extern void nn_conv3_dsrc_ref(float *dsrc, const float *ddst, const uint16_t *mask, const float *dst,
							  const float *packed_transposed, const NnConv3 *c, void *scratch);
extern size_t nn_conv3_acc_floats_ref(const NnConv3 *c);
extern void nn_conv3_dweight_ref(float *acc, const float *src, const float *ddst, const uint16_t *mask,
								 const float *dst, const NnConv3 *c, void *scratch);
extern void nn_conv3_dweight_finish_ref(float *dweight, float *dbias, const float *acc, int n_acc,
										size_t acc_stride, const NnConv3 *c, int ic0, int ic1);

/* Run dense layers by direct loops, with sums in the order that kernels.h prescribes (dense_ref.c). */
extern void nn_dense_partial_ref(float *partial, const float *src, const float *weight, int n, int in,
								 int out, int block);
extern void nn_dense_forward_ref(float *dst, const float *src, const float *weight, const float *bias, int n,
								 int in, int out, int relu, void *scratch);
extern void nn_dense_backward_ref(float *dsrc, float *dweight, float *weight, const NnSlots *slots,
								  const float *src, const float *ddst, int n, int in, int out, int i0, int i1,
								  const NnUpdate *update, void *scratch);

/* Runs a dense layer from packed 16-bit weights (dense_int16.c). */
extern void nn_dense_int16_forward_ref(float *dst, const float *src, const void *packed, int n, int in,
									   int out, int relu, void *scratch);

/* Steps an optimiser weight by weight (dense_ref.c). */
extern void nn_update_ref(float *weight, const NnSlots *slots, const float *grad, size_t n,
						  const NnUpdate *update);

#endif /* PNEUMO_NN_KERNELS_REF_H */
