/*-------------------------------------------------------------------------
 *
 * philox.h
 *	  Counter-based random numbers: Philox 4x32 with ten rounds (Salmon,
 *	  Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011).
 *	  Internal to src/nn.
 *
 * Four random words are a pure function of a 64-bit key and a 128-bit counter,
 * so that any thread can draw any number at any time.  Keys and counters here:
 * key = seed, counter = (index, index, what it is for, purpose).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_PHILOX_H
#define PNEUMO_NN_PHILOX_H

#include <stdint.h>

typedef struct NnPhilox
{
	uint32_t v[4];
} NnPhilox;

static inline NnPhilox
nn_philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
	NnPhilox x = {{c0, c1, c2, c3}};
	uint32_t k0 = (uint32_t) key;
	uint32_t k1 = (uint32_t) (key >> 32);
	int round;

	for (round = 0; round < 10; round++)
	{
		uint64_t p0 = (uint64_t) 0xD2511F53u * x.v[0];
		uint64_t p1 = (uint64_t) 0xCD9E8D57u * x.v[2];
		NnPhilox y;

		y.v[0] = (uint32_t) (p1 >> 32) ^ x.v[1] ^ k0;
		y.v[1] = (uint32_t) p1;
		y.v[2] = (uint32_t) (p0 >> 32) ^ x.v[3] ^ k1;
		y.v[3] = (uint32_t) p0;
		x = y;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return x;
}

/* A word as a number of [0, 1), 24 bits. */
static inline float
nn_philox_unit(uint32_t word)
{
	return (float) (word >> 8) * (1.0f / 16777216.0f);
}

/* Two words as a number of (0, 1), 53 bits. */
static inline double
nn_philox_double(uint32_t high, uint32_t low)
{
	uint64_t bits = ((uint64_t) high << 32 | low) >> 11;

	return ((double) bits + 0.5) * (1.0 / 9007199254740992.0);
}

#endif /* PNEUMO_NN_PHILOX_H */
