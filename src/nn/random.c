/*-------------------------------------------------------------------------
 *
 * random.c
 *	  Permutations for shuffling.
 *
 *-------------------------------------------------------------------------
 */
#include "random.h"

#include "random/philox.h"

/* Returns a number of 0..bound-1 from 64 random bits, without bias worth naming. */
static uint32_t
below(Philox x, uint32_t bound)
{
	uint64_t bits = (uint64_t) x.v[0] << 32 | x.v[1];

	/* the high word of bits * bound, in two halves */
	return (uint32_t) (((bits >> 32) * bound + (((bits & 0xffffffffu) * bound) >> 32)) >> 32);
}

/* Shuffles as Fisher and Yates do, each draw keyed by its place. */
void
nn_random_permutation(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch)
{
	size_t i;

	for (i = 0; i < n; i++)
		order[i] = (uint32_t) i;
	for (i = n; i > 1; i--)
	{
		Philox x = philox(seed, (uint32_t) i, 0, epoch, NN_RANDOM_SHUFFLE);
		uint32_t j = below(x, (uint32_t) i);
		uint32_t swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
}
