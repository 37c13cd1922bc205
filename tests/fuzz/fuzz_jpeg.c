/*
 * fuzz_jpeg.c
 *		Any bytes as a JPEG image, or as whatever they look like.
 */
#include "fuzz_image.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_image(data, size);
}
