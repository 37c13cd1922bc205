/*-------------------------------------------------------------------------
 *
 * philox.h
 *	  Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw:
 *	  "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * A block of four random words is a pure function of a 64-bit key and a
 * 128-bit counter, so that any thread can draw any number at any time and a
 * draw does not depend on what was drawn before.
 *
 * The key is the caller's seed.  The counter has four words c0 to c3.  Each
 * caller puts what it counts (elements, samples, epochs, replicates) into some
 * of them and a constant that names the purpose into another one, so that
 * draws for different purposes are independent under one seed.
 *
 * Everything here is inline: this header has no source file, and it needs
 * nothing but C11.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_RANDOM_PHILOX_H
#define PNEUMO_RANDOM_PHILOX_H

#include <stdint.h>

#define PHILOX_ROUNDS 10

/* A block of four random words. */
typedef struct Philox
{
	uint32_t v[4];
} Philox;

/*
 * Applies one round to the four words of a block, with the two words of the
 * round's key.  A caller that needs many blocks can apply each round to all of
 * them: the rounds of one block wait for each other, those of many do not.
 */
static inline void
philox_round(uint32_t *v0, uint32_t *v1, uint32_t *v2, uint32_t *v3, uint32_t k0, uint32_t k1)
{
	uint64_t p0 = (uint64_t) 0xD2511F53u * *v0;
	uint64_t p1 = (uint64_t) 0xCD9E8D57u * *v2;

	*v0 = (uint32_t) (p1 >> 32) ^ *v1 ^ k0;
	*v1 = (uint32_t) p1;
	*v2 = (uint32_t) (p0 >> 32) ^ *v3 ^ k1;
	*v3 = (uint32_t) p0;
}

/* Advances the two words of the key to the next round. */
static inline void
philox_next_key(uint32_t *k0, uint32_t *k1)
{
	*k0 += 0x9E3779B9u;
	*k1 += 0xBB67AE85u;
}

/* Returns the block of a key and a counter; c0 is the counter's lowest word. */
static inline Philox
philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
	Philox x = {{c0, c1, c2, c3}};
	uint32_t k0 = (uint32_t) key;
	uint32_t k1 = (uint32_t) (key >> 32);
	int round;

	for (round = 0; round < PHILOX_ROUNDS; round++)
	{
		philox_round(&x.v[0], &x.v[1], &x.v[2], &x.v[3], k0, k1);
		philox_next_key(&k0, &k1);
	}
	return x;
}

/* Returns a word as a number of [0, 1) with 24 bits. */
static inline float
philox_float(uint32_t word)
{
	return (float) (word >> 8) * (1.0f / 16777216.0f);
}

/* Returns two words as a number of [0, 1) with 53 bits: 27 of high, 26 of low. */
static inline double
philox_double(uint32_t high, uint32_t low)
{
	uint64_t bits = ((uint64_t) (high >> 5) << 26) | (low >> 6);

	return (double) bits * (1.0 / 9007199254740992.0);
}

/*
 * Returns two words as a number of (0, 1) with 53 bits: 32 of high, 21 of low.
 * Zero cannot occur, so the result may enter a logarithm.
 */
static inline double
philox_open_double(uint32_t high, uint32_t low)
{
	uint64_t bits = ((uint64_t) high << 32 | low) >> 11;

	return ((double) bits + 0.5) * (1.0 / 9007199254740992.0);
}

#endif /* PNEUMO_RANDOM_PHILOX_H */
