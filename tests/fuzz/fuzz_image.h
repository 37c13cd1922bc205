/*
 * fuzz_image.h
 *		Any bytes through header, preprocessing and full decoding, for the fuzz
 *		target of each format.
 *
 * The first two bytes choose the network's size, channels and filter, the rest
 * is the image.  A failure is a crash, a sanitizer's report, a status that the
 * contract does not know or a message that is missing; the buffers have exactly
 * the announced sizes.
 */
#ifndef PNEUMO_FUZZ_IMAGE_H
#define PNEUMO_FUZZ_IMAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

/* Small, so that the time goes into variety. */
static const ImgLimits limits = {.max_bytes = 1 << 20,
								 .max_side = 4096,
								 .max_pixels = 1 << 20,
								 .max_codec_bytes = 8 << 20,
								 .max_scans = 20};

static void
require(int condition)
{
	if (!condition)
		abort();
}

static void
require_known(ImgStatus status, const ImgError *error)
{
	require(status >= IMG_OK && status <= IMG_NO_MEMORY && status != IMG_BAD_ARGUMENT);
	require(status == IMG_OK || (error->status == status && error->message[0] != '\0' &&
								 memchr(error->message, '\0', IMG_MESSAGE_LEN) != NULL));
}

static void
preprocess(const uint8_t *bytes, size_t n_bytes, const ImgInfo *info, const ImgPreprocess *pre)
{
	size_t scratch_bytes = img_preprocess_scratch_bytes(info, pre);
	size_t n = (size_t) pre->height * (size_t) pre->width * (size_t) pre->channels;
	void *scratch;
	uint8_t *dst;
	ImgError error = {IMG_OK, "", ""};
	ImgStatus status;

	require(scratch_bytes > 0 && scratch_bytes % 64 == 0);
	scratch = aligned_alloc(64, scratch_bytes);
	dst = malloc(n);
	require(scratch != NULL && dst != NULL);
	status = img_preprocess(dst, bytes, n_bytes, info, pre, &limits, scratch, scratch_bytes, &error);
	require_known(status, &error);
	free(dst);
	free(scratch);
}

static void
decode(const uint8_t *bytes, size_t n_bytes, const ImgInfo *info, int channels)
{
	size_t n = (size_t) info->width * info->height * (size_t) channels;
	uint8_t *dst = malloc(n);
	ImgError error = {IMG_OK, "", ""};

	require(dst != NULL);
	require_known(img_decode(dst, n, channels, bytes, n_bytes, info, &limits, &error), &error);
	free(dst);
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
fuzz_image(const uint8_t *data, size_t size)
{
	ImgPreprocess pre;
	ImgInfo info;
	ImgError error = {IMG_OK, "", ""};
	ImgStatus status;

	if (size < 2)
		return 0;
	pre.height = 1 + data[0] % 64;
	pre.width = 1 + data[0] / 4;
	pre.channels = data[1] & 1 ? 3 : 1;
	pre.interpolation = data[1] & 2 ? IMG_INTERPOLATION_BILINEAR : IMG_INTERPOLATION_AREA;
	data += 2;
	size -= 2;

	status = img_info(&info, data, size, &limits, &error);
	require_known(status, &error);
	if (status != IMG_OK)
		return 0;
	require(info.width >= 1 && info.width <= 4096 && info.height >= 1 && info.height <= 4096);
	preprocess(data, size, &info, &pre);
	decode(data, size, &info, pre.channels);
	return 0;
}

#endif
