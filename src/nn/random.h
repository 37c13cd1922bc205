/*-------------------------------------------------------------------------
 *
 * random.h
 *	  What random numbers are drawn for, and permutations.  Owner: random.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_RANDOM_H
#define PNEUMO_NN_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The last word of a Philox counter: draws for different purposes are independent. */
typedef enum NnPurpose
{
	NN_RANDOM_INIT = 1,
	NN_RANDOM_SHUFFLE,
	NN_RANDOM_DROPOUT
} NnPurpose;

/* Makes a permutation of 0..n-1, a function of (seed, epoch) alone. */
extern void nn_random_permutation(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch);

#endif /* PNEUMO_NN_RANDOM_H */
