/*-------------------------------------------------------------------------
 *
 * sha256.h
 *	  SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104) for code without a server.
 *
 * The server side uses the server's own SHA-256, which is faster.  This one is for
 * the client program and for the folders of plain C.
 *
 * Everything here is inline: this header has no source file, and it needs
 * nothing but C11.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_HASH_SHA256_H
#define PNEUMO_HASH_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SHA256_LEN 32
#define SHA256_BLOCK 64

typedef struct Sha256
{
	uint32_t state[8];
	uint64_t n_bytes;
	uint8_t block[SHA256_BLOCK];
} Sha256;

static inline uint32_t
sha256_rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

/* Takes one block into the state. */
static inline void
sha256_take(uint32_t state[8], const uint8_t *block)
{
	static const uint32_t k[64] = {
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	};
	uint32_t w[64];
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t) block[4 * i] << 24 | (uint32_t) block[4 * i + 1] << 16 |
			   (uint32_t) block[4 * i + 2] << 8 | block[4 * i + 3];
	for (int i = 16; i < 64; i++)
	{
		uint32_t s0 = sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	for (int i = 0; i < 64; i++)
	{
		uint32_t s1 = sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25);
		uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
		uint32_t s0 = sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22);
		uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));

		h = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + t2;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

/* Begins a hash. */
static inline void
sha256_begin(Sha256 *hash)
{
	static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
									  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(hash->state, first, sizeof(first));
	hash->n_bytes = 0;
}

/* Adds bytes to a hash. */
static inline void
sha256_add(Sha256 *hash, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	size_t used = hash->n_bytes % SHA256_BLOCK;

	hash->n_bytes += n;
	if (used > 0)
	{
		size_t take = n < SHA256_BLOCK - used ? n : SHA256_BLOCK - used;

		memcpy(hash->block + used, p, take);
		p += take;
		n -= take;
		if (used + take < SHA256_BLOCK)
			return;
		sha256_take(hash->state, hash->block);
	}
	for (; n >= SHA256_BLOCK; n -= SHA256_BLOCK, p += SHA256_BLOCK)
		sha256_take(hash->state, p);
	if (n > 0)
		memcpy(hash->block, p, n);
}

/* Ends a hash and gives its 32 bytes. */
static inline void
sha256_end(uint8_t digest[SHA256_LEN], Sha256 *hash)
{
	uint64_t bits = hash->n_bytes * 8;
	size_t used = hash->n_bytes % SHA256_BLOCK;

	hash->block[used++] = 0x80;
	if (used > SHA256_BLOCK - 8)
	{
		memset(hash->block + used, 0, SHA256_BLOCK - used);
		sha256_take(hash->state, hash->block);
		used = 0;
	}
	memset(hash->block + used, 0, SHA256_BLOCK - used);
	for (int i = 0; i < 8; i++)
		hash->block[SHA256_BLOCK - 1 - i] = (uint8_t) (bits >> 8 * i);
	sha256_take(hash->state, hash->block);
	for (int i = 0; i < SHA256_LEN; i++)
		digest[i] = (uint8_t) (hash->state[i / 4] >> 8 * (3 - i % 4));
}

/* Computes the hash of some bytes. */
static inline void
sha256_of(uint8_t digest[SHA256_LEN], const void *bytes, size_t n)
{
	Sha256 hash;

	sha256_begin(&hash);
	sha256_add(&hash, bytes, n);
	sha256_end(digest, &hash);
}

/* Computes HMAC-SHA-256 of some bytes under a key. */
static inline void
sha256_hmac(uint8_t digest[SHA256_LEN], const void *key, size_t n_key, const void *bytes, size_t n)
{
	uint8_t block[SHA256_BLOCK] = {0};
	Sha256 hash;

	if (n_key > SHA256_BLOCK)
		sha256_of(block, key, n_key);
	else if (n_key > 0)
		memcpy(block, key, n_key);
	for (int i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36;
	sha256_begin(&hash);
	sha256_add(&hash, block, SHA256_BLOCK);
	sha256_add(&hash, bytes, n);
	sha256_end(digest, &hash);
	for (int i = 0; i < SHA256_BLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_begin(&hash);
	sha256_add(&hash, block, SHA256_BLOCK);
	sha256_add(&hash, digest, SHA256_LEN);
	sha256_end(digest, &hash);
}

#endif /* PNEUMO_HASH_SHA256_H */
