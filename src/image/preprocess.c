/*-------------------------------------------------------------------------
 *
 * preprocess.c
 *	  From the bytes of a JPEG image to the pixels of the network.
 *
 *-------------------------------------------------------------------------
 */
#include "image_internal.h"

static int
scaled_side(uint32_t side, int denom)
{
	return (int) ((side + (uint32_t) denom - 1) / (uint32_t) denom);
}

/*
 * Returns the largest of 8, 4 and 2 that leaves at least 1.5 times the network's
 * size on both sides, else 1.  Decoding is then cheap, and the last step is
 * always a proper resize, so that sharpness does not tell the size of the
 * original.
 */
static int
choose_denom(uint32_t height, uint32_t width, const ImgPreprocess *pre)
{
	for (int denom = 8; denom > 1; denom /= 2)
	{
		if (2 * (int64_t) scaled_side(height, denom) >= 3 * (int64_t) pre->height &&
			2 * (int64_t) scaled_side(width, denom) >= 3 * (int64_t) pre->width)
			return denom;
	}
	return 1;
}

static int
preprocess_is_valid(const ImgPreprocess *pre)
{
	return pre->height >= 1 && pre->height <= IMG_MAX_NETWORK_SIDE && pre->width >= 1 &&
		   pre->width <= IMG_MAX_NETWORK_SIDE && (pre->channels == 1 || pre->channels == 3) &&
		   (pre->interpolation == IMG_INTERPOLATION_AREA || pre->interpolation == IMG_INTERPOLATION_BILINEAR);
}

/* Returns the bytes of the decoded image, rounded up to the alignment of what follows it. */
static size_t
decoded_bytes(int height, int width, int channels)
{
	size_t n;

	if (!img_size_mul(&n, (size_t) height, (size_t) width) || !img_size_mul(&n, n, (size_t) channels))
		return 0;
	return img_align64(n);
}

size_t
img_preprocess_scratch_bytes(const ImgInfo *info, const ImgPreprocess *pre)
{
	int denom, height, width;
	size_t decoded, resize, total;

	if (!preprocess_is_valid(pre) || info->width < 1 || info->height < 1 || info->width > IMG_MAX_JPEG_SIDE ||
		info->height > IMG_MAX_JPEG_SIDE)
		return 0;
	denom = choose_denom(info->height, info->width, pre);
	height = scaled_side(info->height, denom);
	width = scaled_side(info->width, denom);
	decoded = decoded_bytes(height, width, pre->channels);
	resize = img_resize_scratch_bytes(height, width, pre->height, pre->width, pre->channels);
	if (decoded == 0 || resize == 0 || !img_size_add(&total, decoded, resize))
		return 0;
	return total;
}

ImgStatus
img_preprocess(uint8_t *dst, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
			   const ImgPreprocess *pre, const ImgLimits *limits, void *scratch, size_t scratch_bytes,
			   ImgError *error)
{
	size_t need = img_preprocess_scratch_bytes(info, pre);
	size_t decoded;
	int denom, height, width;
	uint8_t *pixels = scratch;
	ImgStatus status;

	if (need == 0)
		return img_fail(error, IMG_BAD_ARGUMENT,
						"cannot make %d x %d x %d pixels of an image of %u x %u; "
						"sides are 1 to %d, channels 1 or 3",
						pre->height, pre->width, pre->channels, (unsigned) info->width,
						(unsigned) info->height, IMG_MAX_NETWORK_SIDE);
	if (scratch == NULL || scratch_bytes < need)
		return img_fail(error, IMG_NO_SPACE, "preprocessing needs %llu bytes of scratch, but got %llu",
						(unsigned long long) need, (unsigned long long) scratch_bytes);

	denom = choose_denom(info->height, info->width, pre);
	height = scaled_side(info->height, denom);
	width = scaled_side(info->width, denom);
	decoded = decoded_bytes(height, width, pre->channels);

	status =
		img_jpeg_decode_scaled(pixels, decoded, pre->channels, denom, bytes, n_bytes, info, limits, error);
	if (status != IMG_OK)
		return status;
	status = img_resize(dst, pre->height, pre->width, pixels, height, width, pre->channels,
						pre->interpolation, limits != NULL ? limits->interrupt : NULL, pixels + decoded);
	if (status != IMG_OK)
		return img_fail(error, status,
						status == IMG_INTERRUPTED ? "interrupted while resizing an image"
												  : "cannot resize the image");
	return IMG_OK;
}

void
img_rescale(float *dst, const uint8_t *src, size_t n, float rescale)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = (float) src[i] * rescale;
}
