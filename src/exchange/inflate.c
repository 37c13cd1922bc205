/*-------------------------------------------------------------------------
 *
 * inflate.c
 *	  Decompressing bytes without allocating: zlib's memory is the caller's; and
 *	  checksums.
 *
 *-------------------------------------------------------------------------
 */
#include "inflate.h"

#include <string.h>
#include <zlib.h>

#define PIECE ((size_t) 256 << 10) /* bytes between two looks at stop */

/* The memory that zlib takes. */
typedef struct Arena
{
	uint8_t *next;
	size_t left;
} Arena;

static voidpf
arena_take(voidpf opaque, uInt items, uInt size)
{
	Arena *arena = opaque;
	size_t n_bytes = ((size_t) items * size + 15) & ~(size_t) 15;
	uint8_t *p = arena->next;

	if (n_bytes > arena->left)
		return Z_NULL;
	arena->next += n_bytes;
	arena->left -= n_bytes;
	return p;
}

static void
arena_give(voidpf opaque, voidpf address)
{
	(void) opaque;
	(void) address;
}

ExchangeInflate
exchange_inflate(uint8_t *dst, size_t *n_bytes, const uint8_t *src, size_t n_src, int raw, void *memory,
				 volatile sig_atomic_t *stop)
{
	Arena arena = {memory, EXCHANGE_INFLATE_BYTES};
	z_stream z;
	size_t room = *n_bytes;
	size_t out = 0;
	uint8_t beyond;
	int code;

	memset(&z, 0, sizeof(z));
	z.zalloc = arena_take;
	z.zfree = arena_give;
	z.opaque = &arena;
	if (n_src > UINT32_MAX / 2 || inflateInit2(&z, raw ? -MAX_WBITS : MAX_WBITS) != Z_OK)
		return EXCHANGE_INFLATE_CORRUPT;
	z.next_in = (Bytef *) src;
	z.avail_in = (uInt) n_src;
	do
	{
		size_t piece = room - out < PIECE ? room - out : PIECE;

		if (stop != NULL && *stop)
		{
			inflateEnd(&z);
			return EXCHANGE_INFLATE_INTERRUPTED;
		}
		/* with dst full, the end of the stream may still be unread */
		z.next_out = piece > 0 ? dst + out : &beyond;
		z.avail_out = piece > 0 ? (uInt) piece : 1;
		code = inflate(&z, Z_NO_FLUSH);
		if (piece > 0)
			out += piece - z.avail_out;
		else if (z.avail_out == 0) /* there is more than dst has room for */
			code = Z_BUF_ERROR;
	} while (code == Z_OK);
	inflateEnd(&z);
	*n_bytes = out;
	return code == Z_STREAM_END ? EXCHANGE_INFLATED : EXCHANGE_INFLATE_CORRUPT;
}

int
exchange_crc32(uint32_t *crc, const uint8_t *data, size_t n_bytes, volatile sig_atomic_t *stop)
{
	uLong sum = crc32(0, Z_NULL, 0);
	size_t i;

	for (i = 0; i < n_bytes; i += PIECE)
	{
		if (stop != NULL && *stop)
			return 0;
		sum = crc32(sum, data + i, (uInt) (n_bytes - i < PIECE ? n_bytes - i : PIECE));
	}
	*crc = (uint32_t) sum;
	return 1;
}
