/*-------------------------------------------------------------------------
 *
 * dense_int16.h
 *	  Internal to src/nn/kernels: dense weights as block floating point.
 *
 * The weight of input i and output o is q * scale, q an integer from -32767 to
 * 32767, scale a float32 of the output and of i's block of NN_DENSE_BLOCK
 * inputs: the largest weight there over 32767, so that an error is at most
 * half of that, and a large weight spoils no other output and no other block.
 * Where all weights of an output in a block are 0, or so small that the scale
 * would be a denormal, q and scale are 0.
 *
 * Packed, the same on every path; outputs are padded to multiples of 16
 * ("wide") with zeros:
 *
 *	 float	 bias[wide]			zeros where the layer has none
 *	 float	 scales[blocks][wide]
 *	 int16_t weights[blocks][panels][inputs of the block][outputs of the panel]
 *
 * A panel is NN_INT16_PANEL outputs, the last one what is left: the weights of
 * one sample's product lie in the order in which they are used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_DENSE_INT16_H
#define PNEUMO_NN_DENSE_INT16_H

#include "kernels.h"

#define NN_INT16_PANEL 64
#define NN_INT16_MOST 32767

/* One block of inputs. */
typedef struct DqBlock
{
	const int16_t *weights;
	const float *scales; /* [wide] */
	int n;               /* inputs */
	int wide;            /* outputs with their padding */
} DqBlock;

/* Returns the outputs with their padding. */
static inline int
nn_int16_wide(int out)
{
	return (out + 15) / 16 * 16;
}

/* Returns the blocks of in inputs. */
static inline int
nn_int16_blocks(int in)
{
	return (in + NN_DENSE_BLOCK - 1) / NN_DENSE_BLOCK;
}

/* Returns the outputs of the panel that begins at output p. */
static inline int
nn_int16_panel_width(int wide, int p)
{
	return wide - p < NN_INT16_PANEL ? wide - p : NN_INT16_PANEL;
}

/* Returns the bias, which the packed form begins with. */
static inline const float *
nn_int16_bias(const void *packed)
{
	return packed;
}

/* Returns where block b of the inputs lies in the packed form. */
static inline DqBlock
nn_int16_block(const void *packed, int in, int out, int b)
{
	size_t wide = (size_t) nn_int16_wide(out);
	const float *scales = (const float *) packed + wide;
	const int16_t *weights = (const int16_t *) (scales + wide * (size_t) nn_int16_blocks(in));
	int i0 = b * NN_DENSE_BLOCK;
	DqBlock block;

	block.weights = weights + (size_t) i0 * wide;
	block.scales = scales + (size_t) b * wide;
	block.n = in - i0 < NN_DENSE_BLOCK ? in - i0 : NN_DENSE_BLOCK;
	block.wide = (int) wide;
	return block;
}

#endif /* PNEUMO_NN_DENSE_INT16_H */
