/*-------------------------------------------------------------------------
 *
 * inflate.h
 *	  Decompressing bytes and checksums, without allocating.  Owner: inflate.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_INFLATE_H
#define PNEUMO_EXCHANGE_INFLATE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/* Memory for zlib's state and its window of 32 kB, with room; aligned to 16. */
#define EXCHANGE_INFLATE_BYTES ((size_t) 64 << 10)

typedef enum ExchangeInflate
{
	EXCHANGE_INFLATED,
	EXCHANGE_INFLATE_CORRUPT, /* damaged, or more than dst has room for */
	EXCHANGE_INFLATE_INTERRUPTED
} ExchangeInflate;

/*
 * Decompresses src, with the head and checksum of zlib, or raw as in zip files.
 * *n_bytes is the room of dst before, what was written after.  memory:
 * EXCHANGE_INFLATE_BYTES.  Looks at *stop, which may be NULL.
 */
extern ExchangeInflate exchange_inflate(uint8_t *dst, size_t *n_bytes, const uint8_t *src, size_t n_src,
										int raw, void *memory, volatile sig_atomic_t *stop);

/* Computes the CRC-32 of bytes; returns 0 if *stop, which may be NULL, was set. */
extern int exchange_crc32(uint32_t *crc, const uint8_t *data, size_t n_bytes, volatile sig_atomic_t *stop);

#endif /* PNEUMO_EXCHANGE_INFLATE_H */
