/*-------------------------------------------------------------------------
 *
 * kernels.h
 *	  The fast numeric kernels: the one public header of src/nn/kernels.
 *
 * Plain C11.  No allocation, no threads, no state: the caller divides the work
 * into the items that each section names, gives every thread its own scratch
 * (aligned to NN_ALIGN), and calls.  Nothing checks its arguments: the graph
 * has.  FTZ and DAZ are the caller's to set.  A kernel whose call may be long
 * returns early, its results unfinished, when the calling thread is to stop
 * (../stop.h).  Those over a row of numbers (update, add, sum_squares) and the
 * references of the convolution, which no network reaches, do not: the caller
 * hands over as much as may go at once.
 *
 * Every kernel has a reference in double precision or plain loops (*_ref), and
 * forms for portable C (4-lane vectors of the compiler), AVX2 with FMA, and
 * AVX-512; each within the tolerance that tests/unit/test_kernels.c states.
 * README.md tells which file holds what.
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
 * Multiply matrices with the meaning of NnSgemm: the reference, the portable
 * form (nn_sgemm is another name of it), and those of the instruction sets.
 * They use about 90 kB of stack.  An element's bits depend on its row of op(A),
 * its column of op(B), k, alpha and beta only, not on m, n or the leading
 * dimensions.
 */
extern void nn_sgemm_ref(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
						 int lda, const float *b, int ldb, float beta, float *c, int ldc);
extern void nn_sgemm(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
					 int lda, const float *b, int ldb, float beta, float *c, int ldc);
extern void nn_sgemm_portable(int transpose_a, int transpose_b, int m, int n, int k, float alpha,
							  const float *a, int lda, const float *b, int ldb, float beta, float *c,
							  int ldc);
#if NN_X86
extern void nn_sgemm_avx2(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
						  int lda, const float *b, int ldb, float beta, float *c, int ldc);
extern void nn_sgemm_avx512(int transpose_a, int transpose_b, int m, int n, int k, float alpha,
							const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
#endif

/* Returns the product of a path; never NULL. */
extern NnSgemm nn_sgemm_for(NnPath path);

/* ------------------------------------------------ convolution 3 x 3, same */

/*
 * A convolution with a 3 x 3 kernel, stride 1 and "same" padding, with its
 * bias, its activation (relu or none) and optionally the 2 x 2 pooling with
 * stride 2 that follows it (Keras's valid pooling: an odd last row or column
 * is dropped), in one pass: the unpooled map is never written.
 *
 * src (h, w, ic); weight (3, 3, ic, oc); bias (oc) or NULL;
 * dst (h, w, oc), or (h / 2, w / 2, oc) if pool.
 *
 * Few input channels (up to NN_CONV3_DIRECT_IC) run as a direct convolution,
 * the others by Winograd's F(4 x 4, 3 x 3) (Lavin and Gray, 2015), whose
 * rounding error is about 1e-6 of the output's size.  All sizes from 1 x 1 on
 * are good.  An item of work is a sample.
 */
typedef struct NnConv3
{
	int h, w, ic, oc;
	int relu; /* 1: relu, 0: linear */
	int pool; /* 1: 2 x 2 max pooling fused; h and w at least 2 */
} NnConv3;

#define NN_CONV3_DIRECT_IC 4

/*
 * Precision int16 (NN_PRECISION_INT16, prediction): block floating point, see
 * conv3_int16_impl.h.  Transformed inputs and weights are 16-bit integers with
 * scales, products and sums exact in 32 bits, all else float32.  The error is
 * 5e-4 of the output (root mean square) from 32 channels, 1e-3 from 128, and
 * grows with their root; up to twice that on maps of a few pixels.  Only 3 x 3
 * convolutions of stride 1 and "same" padding from more than NN_CONV3_DIRECT_IC
 * channels have this form; the first layer's direct form and all others stay
 * float32.
 *
 * Infinities and NaNs among the inputs of a group of six 4 x 4 tiles make the
 * group's outputs NaN before the activation; transformed inputs below 1e-33
 * count as zero.
 */

/* Tells whether the processor multiplies and adds pairs in one instruction (AVX-512 VNNI). */
extern int nn_cpu_vnni(void);

/*
 * Returns the 16-bit words of one pooled pixel's mask.  A mask tells which of
 * the four pixels of a pooling window won, for every pooled pixel and channel:
 * words [h / 2][w / 2][ceil(oc / 16)][4]; bit c % 16 of word 2 * dy + dx.  One
 * bit of four is set, the first maximum in reading order, or none where relu
 * was off.  Bits beyond the last channel mean nothing.
 */
static inline size_t
nn_mask_words(int oc)
{
	return (size_t) (oc + 15) / 16 * 4;
}

/* ---------------------------------------------------------------- dense */

/*
 * Inputs are summed in blocks of NN_DENSE_BLOCK from the first, each block from
 * zero in ascending order, and the blocks' sums added in ascending order: a
 * row's result has the same bits whatever n is, and whoever computes the blocks.
 * One row does not read the weights of inputs that are 0: weights must be finite.
 */
#define NN_DENSE_BLOCK 512
#define NN_DENSE_STREAMS 4 /* blocks that are read at once, for one row */

/* Returns the scratch of dense_forward for n rows, and of dense_backward. */
extern size_t nn_dense_scratch_bytes(int n, int out);
extern size_t nn_dense_backward_scratch_bytes(int out);

/*
 * Returns the bytes of packed weights of 16 bits with a float32 scale per
 * output and block of inputs, for prediction with NN_PRECISION_INT16; SIZE_MAX
 * on overflow.  Inputs and sums stay float32.  The format is described in
 * dense_int16.h; it is that of all paths.
 */
extern size_t nn_dense_int16_bytes(int in, int out);

/* Packs a layer's weights and bias (out; may be NULL).  The weights must be finite. */
extern void nn_dense_int16_pack(void *packed, const float *weight, const float *bias, int in, int out);

/* Returns the scratch of dense_int16_forward for n rows. */
extern size_t nn_dense_int16_scratch_bytes(int n, int out);

#define NN_DENSE_ROWS 48 /* rows that go through a block of weights together */

/* --------------------------------------------------------------- updates */

/*
 * One optimiser step in place (Keras 3's formulas).  The scalars are those of
 * the step: rate is the learning rate, for Adam already times
 * sqrt(1 - beta_2^t) / (1 - beta_1^t).  decay is AdamW's and every optimiser's
 * decoupled weight decay times the plain learning rate, 0 for none.
 * grad_scale multiplies the gradient first (clipping by norm); clip > 0 clips
 * it to [-clip, clip].
 *
 * Slots of a weight: NN_SGD: [0] momentum (if momentum != 0).  NN_RMSPROP: [0]
 * velocity, [1] momentum (if momentum != 0), [2] average gradient (if
 * centered).  NN_ADAM, NN_ADAMW: [0] m, [1] v, [2] largest v (if amsgrad).
 * Those not used may be NULL.
 */
typedef struct NnUpdate
{
	NnOptimizerKind kind;
	float rate, decay, grad_scale, clip, momentum, rho, epsilon, beta_1, beta_2;
	int nesterov, centered, amsgrad;
} NnUpdate;

typedef struct NnSlots
{
	float *s[3];
} NnSlots;

/* ----------------------------------------------------------- the kernels */

/* The kernels of one path.  Arguments: outputs, inputs, weights, sizes, scratch. */
typedef struct NnKernels
{
	NnPath path;
	NnSgemm sgemm;

	/*
	 * Convolution 3 x 3.
	 *
	 * packed_floats, pack: the forward weights, ready to run; with transposed,
	 * those of the data gradient (only for ic > NN_CONV3_DIRECT_IC: 0 floats
	 * otherwise).  The packed form differs between paths.  One call packs the
	 * channels [k0, k1) of what the products sum over (ic, or oc transposed),
	 * so that it can be divided among threads.
	 *
	 * scratch_bytes: for any of the functions below, per thread.
	 *
	 * forward: mask may be NULL (prediction); it is written only with pool.
	 *
	 * dsrc: dsrc (h, w, ic) is written.  ddst has dst's shape.  With pool, mask
	 * tells where it goes; without, dst (the output of forward) gates it if
	 * relu.  For the direct form use the reference or none: the first layer's
	 * data gradient is not needed.
	 *
	 * dweight: adds a sample's weight gradient to acc (acc_floats, zeroed by the
	 * caller at the start of a chunk), in the transformed domain, bias gradient
	 * at its end.  Samples must come in a fixed order.
	 *
	 * dweight_finish: dweight (3, 3, ic, oc) and dbias (oc, may be NULL) from
	 * n_acc accumulators, acc_stride floats apart, summed in ascending order;
	 * for the input channels [ic0, ic1) only, so that it can be divided among
	 * threads; dbias is written with ic0 = 0.
	 */
	size_t (*conv3_packed_floats)(const NnConv3 *c, int transposed);
	void (*conv3_pack)(float *packed, const float *weight, const NnConv3 *c, int transposed, int k0, int k1);
	size_t (*conv3_scratch_bytes)(const NnConv3 *c);
	void (*conv3_forward)(float *dst, uint16_t *mask, const float *src, const float *packed,
						  const float *bias, const NnConv3 *c, void *scratch);
	void (*conv3_dsrc)(float *dsrc, const float *ddst, const uint16_t *mask, const float *dst,
					   const float *packed_transposed, const NnConv3 *c, void *scratch);
	size_t (*conv3_acc_floats)(const NnConv3 *c);
	void (*conv3_dweight)(float *acc, const float *src, const float *ddst, const uint16_t *mask,
						  const float *dst, const NnConv3 *c, void *scratch);
	void (*conv3_dweight_finish)(float *dweight, float *dbias, const float *acc, int n_acc, size_t acc_stride,
								 const NnConv3 *c, int ic0, int ic1);

	/*
	 * The same convolution with 16-bit products, forward only and without mask;
	 * what is packed holds the bias (oc; NULL: none) too.  packed_bytes is 0
	 * where a path has no such form (few channels; the reference): float32 runs
	 * then.  The packed form differs between paths.
	 */
	size_t (*conv3_int16_packed_bytes)(const NnConv3 *c);
	void (*conv3_int16_pack)(void *packed, const float *weight, const float *bias, const NnConv3 *c);
	size_t (*conv3_int16_scratch_bytes)(const NnConv3 *c);
	void (*conv3_int16_forward)(float *dst, const float *src, const void *packed, const NnConv3 *c,
								void *scratch);

	/*
	 * Dense layers: dst[n][out] = act(src[n][in] weight[in][out] + bias[out]).
	 *
	 * dense_forward: the whole, single-threaded; scratch of
	 * nn_dense_scratch_bytes(n, out) or of more rows.  relu: 0 or 1.  bias may
	 * be NULL.
	 *
	 * dense_partial: the sums of one block b of inputs, those from
	 * b * NN_DENSE_BLOCK on, to partial[n][out].  All blocks' sums added in
	 * order, then bias and relu, give dense_forward's bits.
	 *
	 * dense_backward: for the inputs [i0, i1): dsrc[:, i0..i1) (may be NULL),
	 * and either the weight's update in place (update not NULL; weight and
	 * slots point to the whole matrix) or dweight[i0..i1)[out] written (NULL:
	 * neither).  Scratch of nn_dense_backward_scratch_bytes(out).  i0 a multiple
	 * of 16.  The data gradient uses the weights before the update.
	 */
	void (*dense_forward)(float *dst, const float *src, const float *weight, const float *bias, int n, int in,
						  int out, int relu, void *scratch);
	void (*dense_partial)(float *partial, const float *src, const float *weight, int n, int in, int out,
						  int block);
	void (*dense_backward)(float *dsrc, float *dweight, float *weight, const NnSlots *slots, const float *src,
						   const float *ddst, int n, int in, int out, int i0, int i1, const NnUpdate *update,
						   void *scratch);

	/*
	 * dst[n][out] = act(src[n][in] weight + bias) from packed 16-bit weights;
	 * scratch of nn_dense_int16_scratch_bytes(n, out) or of more rows.  A row's
	 * bits do not depend on n.
	 */
	void (*dense_int16_forward)(float *dst, const float *src, const void *packed, int n, int in, int out,
								int relu, void *scratch);

	/* weight[n] and its slots by grad[n], in place. */
	void (*update)(float *weight, const NnSlots *slots, const float *grad, size_t n, const NnUpdate *update);

	/* dst += src; sum of squares in a fixed order, in double. */
	void (*add)(float *dst, const float *src, size_t n);
	double (*sum_squares)(const float *src, size_t n);

	/*
	 * 2 x 2 max pooling with stride 2, one sample (h, w, c); mask as above, may
	 * be NULL.  Backward writes all of dsrc (h, w, c).
	 */
	void (*maxpool2)(float *dst, uint16_t *mask, const float *src, int h, int w, int c);
	void (*maxpool2_backward)(float *dsrc, const float *ddst, const uint16_t *mask, int h, int w, int c);
} NnKernels;

#define NN_DENSE_TURN 64 /* samples of the data gradient at a time */

/* Returns the kernels of a path; those of the portable one where the path is not built. */
extern const NnKernels *nn_kernels(NnPath path);

#endif /* PNEUMO_NN_KERNELS_H */
