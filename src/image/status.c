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
		error->hint[0] = '\0';
		va_start(args, fmt);
		(void) vsnprintf(error->message, sizeof(error->message), fmt, args);
		va_end(args);
	}
	return status;
}

void
img_hint(ImgError *error, const char *fmt, ...)
{
	va_list args;

	if (error == NULL)
		return;
	va_start(args, fmt);
	(void) vsnprintf(error->hint, sizeof(error->hint), fmt, args);
	va_end(args);
}

ImgStatus
img_check_size(const char *name, uint64_t width, uint64_t height, const ImgLimits *limits, ImgError *error)
{
	if (width < 1 || height < 1)
		return img_fail(error, IMG_CORRUPT, "damaged %s image: it has %llu x %llu pixels", name,
						(unsigned long long) width, (unsigned long long) height);
	if (width > limits->max_side || height > limits->max_side)
		return img_fail(error, IMG_TOO_LARGE,
						"%s image is %llu x %llu pixels; the longest side allowed is %u", name,
						(unsigned long long) width, (unsigned long long) height, (unsigned) limits->max_side);
	if (width * height > limits->max_pixels)
		return img_fail(error, IMG_TOO_LARGE,
						"%s image has %llu x %llu = %llu pixels; at most %llu are allowed", name,
						(unsigned long long) width, (unsigned long long) height,
						(unsigned long long) (width * height), (unsigned long long) limits->max_pixels);
	return IMG_OK;
}

void
img_limits_resolve(ImgLimits *resolved, const ImgLimits *limits)
{
	static const ImgLimits none = {0};

	*resolved = limits != NULL ? *limits : none;
	if (resolved->max_bytes == 0)
		resolved->max_bytes = IMG_DEFAULT_MAX_BYTES;
	if (resolved->max_side == 0 || resolved->max_side > IMG_MAX_SIDE)
		resolved->max_side = IMG_MAX_SIDE;
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
