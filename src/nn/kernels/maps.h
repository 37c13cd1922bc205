/*-------------------------------------------------------------------------
 *
 * maps.h
 *	  The kernels of layers between maps that are neither dense nor the 3 x 3
 *	  convolution of stride 1: convolutions of any window, depthwise
 *	  convolutions, passes over channels, sums of maps.
 *
 * The rules of kernels.h hold here too: no allocation, no threads, no state;
 * nothing checks its arguments; FTZ and DAZ are the caller's; layouts are NHWC
 * and HWIO.  An item of work is a sample.  The results of a sample depend on
 * nothing but its values and the shape.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_KERNELS_MAPS_H
#define PNEUMO_NN_KERNELS_MAPS_H

#include "../nn.h"
#include "kernels.h"

/*
 * A convolution with a window of any size, strides, dilation and padding: src
 * (h, w, ic), weight (kh, kw, ic, oc), dst (oh, ow, oc).  Depthwise: ic and oc
 * are equal and weight is (kh, kw, oc).  top and left are the zeros before the
 * source; what the windows need behind it is zero too.
 */
typedef struct NnConv
{
	int h, w, ic;
	int oh, ow, oc;
	int kh, kw, sh, sw, dh, dw, top, left;
} NnConv;

/*
 * An activation at the end of a pass over a map: none, or x limited to [0,
 * high]; high is infinite for relu.  A NaN stays one.
 */
typedef struct NnClip
{
	int on;
	float high;
} NnClip;

/* The kernels of one path.  Arguments: outputs, inputs, weights, sizes, scratch. */
typedef struct NnMapKernels
{
	NnPath path;

	/*
	 * Convolution.
	 *
	 * packed_floats, pack: the forward weights in the order in which they are
	 * read, or with transposed those of the data gradient.  The packed form
	 * differs between paths.
	 *
	 * scratch_bytes: for any of the functions below, per thread.
	 *
	 * forward: bias (oc) or NULL.  dsrc: writes all of dsrc.  dweight: adds a
	 * sample's gradients to dweight (kh, kw, ic, oc) and, unless NULL, dbias
	 * (oc); samples must come in a fixed order.
	 */
	size_t (*conv_packed_floats)(const NnConv *c, int transposed);
	void (*conv_pack)(float *packed, const float *weight, const NnConv *c, int transposed);
	size_t (*conv_scratch_bytes)(const NnConv *c);
	void (*conv_forward)(float *dst, const float *src, const float *packed, const float *bias,
						 const NnConv *c, NnClip clip, void *scratch);
	void (*conv_dsrc)(float *dsrc, const float *ddst, const float *packed_transposed, const NnConv *c,
					  void *scratch);
	void (*conv_dweight)(float *dweight, float *dbias, const float *src, const float *ddst, const NnConv *c,
						 void *scratch);

	/* The same for a depthwise convolution, from the weights as they are. */
	size_t (*depthwise_scratch_bytes)(const NnConv *c);
	void (*depthwise_forward)(float *dst, const float *src, const float *weight, const float *bias,
							  const NnConv *c, NnClip clip, void *scratch);
	void (*depthwise_dsrc)(float *dsrc, const float *ddst, const float *weight, const NnConv *c,
						   void *scratch);
	void (*depthwise_dweight)(float *dweight, float *dbias, const float *src, const float *ddst,
							  const NnConv *c, void *scratch);

	/*
	 * Passes over rows (pixels) of c channels.  Sums are in double, by channel,
	 * in the order of the rows; the caller hands over as many rows as may go
	 * between two looks whether to stop.
	 *
	 * channel_sums: sum[c] += x and, unless NULL, sum_sq[c] += x * x.
	 *
	 * channel_affine: dst = clip(src a + b); in place allowed.
	 *
	 * channel_gradient_sums: with g the gradient ddst where clip(src a + b) lets
	 * it through and 0 elsewhere, sum[c] += g and dot[c] += g * src.
	 *
	 * channel_gradient: dsrc = g by_ddst + src by_src + constant; dsrc may be
	 * ddst.
	 */
	void (*channel_sums)(double *sum, double *sum_sq, const float *x, size_t rows, int c);
	void (*channel_affine)(float *dst, const float *src, const float *a, const float *b, size_t rows, int c,
						   NnClip clip);
	void (*channel_gradient_sums)(double *sum, double *dot, const float *ddst, const float *src,
								  const float *a, const float *b, size_t rows, int c, NnClip clip);
	void (*channel_gradient)(float *dsrc, const float *ddst, const float *src, const float *a, const float *b,
							 const float *by_ddst, const float *by_src, const float *constant, size_t rows,
							 int c, NnClip clip);

	/*
	 * Passes over n values.  sum: dst = clip(x + y); dst may be x.  gate: writes
	 * ddst where dst, clipped, lets it through and 0 elsewhere to d0 and, unless
	 * NULL, to d1.
	 */
	void (*sum)(float *dst, const float *x, const float *y, size_t n, NnClip clip);
	void (*gate)(float *d0, float *d1, const float *ddst, const float *dst, size_t n, NnClip clip);

	/*
	 * Adds the gradient of a pixel's maximum (c values) to the pixels of its
	 * window, rows by columns of them, line values from row to row: for each
	 * channel to the first that has the maximum.
	 */
	void (*max_gradient)(float *dsrc, const float *ddst, const float *src, int rows, int columns, size_t line,
						 int c);
} NnMapKernels;

/* Returns the kernels of a path; those of the portable one where the path is not built. */
extern const NnMapKernels *nn_map_kernels(NnPath path);

#endif /* PNEUMO_NN_KERNELS_MAPS_H */
