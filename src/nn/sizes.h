/*-------------------------------------------------------------------------
 *
 * sizes.h
 *	  Sums and products of sizes that cannot wrap around.
 *
 * Sizes come from the shapes of a stored model, which nobody has checked yet.
 * A result that does not fit is SIZE_MAX and stays SIZE_MAX through all further
 * steps, so that one comparison at the end of a layout is enough.  Everything
 * is inline; no .c file belongs to this header.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_SIZES_H
#define PNEUMO_NN_SIZES_H

#include "nn.h"

#include <stddef.h>
#include <stdint.h>

/* Returns a + b, or SIZE_MAX on overflow. */
static inline size_t
nn_add_size(size_t a, size_t b)
{
	return (a > SIZE_MAX - b) ? SIZE_MAX : a + b;
}

/* Returns a * b, or SIZE_MAX on overflow. */
static inline size_t
nn_mul_size(size_t a, size_t b)
{
	return (a != 0 && b > SIZE_MAX / a) ? SIZE_MAX : a * b;
}

/* Rounds up to a multiple of NN_ALIGN. */
static inline size_t
nn_align_size(size_t a)
{
	return (a > SIZE_MAX - NN_ALIGN) ? SIZE_MAX : (a + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN;
}

/* Returns a + b with b rounded up to NN_ALIGN: the step of every layout function. */
static inline size_t
nn_grow(size_t a, size_t b)
{
	return nn_add_size(a, nn_align_size(b));
}

#endif /* PNEUMO_NN_SIZES_H */
