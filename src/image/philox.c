/*-------------------------------------------------------------------------
 *
 * philox.c
 *	  Counter-based random numbers: Philox4x32 with 10 rounds.
 *
 * A block of four words is a pure function of (key, counter), so a draw never
 * depends on which thread made it or what was drawn before.
 *
 *-------------------------------------------------------------------------
 */
#include "image_internal.h"

#define PHILOX_M0 UINT32_C(0xD2511F53)
#define PHILOX_M1 UINT32_C(0xCD9E8D57)
#define PHILOX_W0 UINT32_C(0x9E3779B9)
#define PHILOX_W1 UINT32_C(0xBB67AE85)
#define PHILOX_ROUNDS 10

void
img_philox(uint32_t out[4], const uint32_t counter[4], uint64_t key)
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = (uint32_t) key, k1 = (uint32_t) (key >> 32);

	for (int round = 0; round < PHILOX_ROUNDS; round++)
	{
		uint64_t p0 = (uint64_t) PHILOX_M0 * c0;
		uint64_t p1 = (uint64_t) PHILOX_M1 * c2;

		c0 = (uint32_t) (p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t) p1;
		c2 = (uint32_t) (p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t) p0;
		k0 += PHILOX_W0;
		k1 += PHILOX_W1;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

double
img_unit_double(uint32_t high, uint32_t low)
{
	uint64_t bits = ((uint64_t) (high >> 5) << 26) | (low >> 6);

	return (double) bits * (1.0 / 9007199254740992.0);
}

#define STREAM_DRAWS UINT32_C(1) /* third word of the counter */

float
img_random_draw(ImgRandom *random, float low, float high)
{
	uint32_t counter[4] = {random->index++, 0, STREAM_DRAWS, random->stream};
	uint32_t words[4];

	img_philox(words, counter, random->seed);
	return low + (high - low) * (float) img_unit_double(words[0], words[1]);
}
