/*-------------------------------------------------------------------------
 *
 * status.c
 *	  Errors, limits and checked sizes for src/image.
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>

#include "image_internal.h"

#define DEFAULT_MAX_PIXELS UINT64_C(50000000)
#define DEFAULT_MAX_CODEC_BYTES ((size_t) 64 << 20)
#define DEFAULT_MAX_SCANS 100

ImgStatus
img_fail(ImgError *error, ImgStatus status, const char *fmt, ...)
{
	va_list args;

	if (error != NULL)
	{
		error->status = status;
		va_start(args, fmt);
		(void) vsnprintf(error->message, sizeof(error->message), fmt, args);
		va_end(args);
	}
	return status;
}

void
img_limits_resolve(ImgLimits *resolved, const ImgLimits *limits)
{
	static const ImgLimits none = {0};

	*resolved = limits != NULL ? *limits : none;
	if (resolved->max_bytes == 0)
		resolved->max_bytes = IMG_DEFAULT_MAX_BYTES;
	if (resolved->max_side == 0 || resolved->max_side > IMG_MAX_JPEG_SIDE)
		resolved->max_side = IMG_MAX_JPEG_SIDE;
	if (resolved->max_pixels == 0)
		resolved->max_pixels = DEFAULT_MAX_PIXELS;
	if (resolved->max_codec_bytes == 0)
		resolved->max_codec_bytes = DEFAULT_MAX_CODEC_BYTES;
	if (resolved->max_scans <= 0)
		resolved->max_scans = DEFAULT_MAX_SCANS;
}

int
img_size_mul(size_t *product, size_t a, size_t b)
{
	if (a != 0 && b > SIZE_MAX / a)
		return 0;
	*product = a * b;
	return 1;
}

int
img_size_add(size_t *sum, size_t a, size_t b)
{
	if (b > SIZE_MAX - a)
		return 0;
	*sum = a + b;
	return 1;
}

size_t
img_align64(size_t n)
{
	if (n > SIZE_MAX - 63)
		return 0;
	return (n + 63) & ~(size_t) 63;
}
