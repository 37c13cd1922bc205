/*
 * fuzz_png.c
 *		Any bytes as the chunks of a PNG image.
 *
 * The checksums of the chunks are made right first, which the fuzzer could not
 * guess; every eighth input keeps its own.
 */
#include "fuzz_image.h"

static uint32_t
read_u32(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static uint32_t
checksum(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++)
	{
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ UINT32_C(0xEDB88320) : crc >> 1;
	}
	return ~crc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	size_t at = 2 + 8;

	memcpy(copy, data, size);
	if (size > at)
		memcpy(copy + 2, "\x89PNG\r\n\x1a\n", 8);
	while (size >= 12 && (size < 2 || copy[1] % 8 != 7) && at <= size - 12)
	{
		size_t n = read_u32(copy + at);
		uint32_t crc;

		if (n > size - at - 12)
			break;
		crc = checksum(copy + at + 4, n + 4);
		for (int i = 0; i < 4; i++)
			copy[at + 8 + n + (size_t) i] = (uint8_t) (crc >> (24 - 8 * i));
		at += 12 + n;
	}
	fuzz_image(copy, size);
	free(copy);
	return 0;
}
