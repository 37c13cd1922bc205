/*-------------------------------------------------------------------------
 *
 * preprocess.c
 *	  From the bytes of an image to the pixels of the network: decoder and
 *	  resize, joined row by row.
 *
 *-------------------------------------------------------------------------
 */
#include "image_internal.h"

/*
 * Returns the largest of 8, 4 and 2 that leaves at least 1.5 times the network's
 * size on both sides, else 1.  Decoding is then cheap, and the last step is
 * always a proper resize, so that sharpness does not tell the size of the
 * original.
 */
static int
choose_denom(const ImgInfo *info, const ImgPreprocess *pre)
{
	for (int denom = 8; denom > 1 && img_format_scales(info->format); denom /= 2)
	{
		int64_t height = (info->height + (uint32_t) denom - 1) / (uint32_t) denom;
		int64_t width = (info->width + (uint32_t) denom - 1) / (uint32_t) denom;

		if (2 * height >= 3 * (int64_t) pre->height && 2 * width >= 3 * (int64_t) pre->width)
			return denom;
	}
	return 1;
}

/* Fills the shape of the resize; false for a network or an image out of range. */
static int
fill_shape(ImgResizeShape *shape, const ImgInfo *info, const ImgPreprocess *pre)
{
	if (pre->height < 1 || pre->height > IMG_MAX_NETWORK_SIDE || pre->width < 1 ||
		pre->width > IMG_MAX_NETWORK_SIDE || info->height > IMG_MAX_SIDE || info->width > IMG_MAX_SIDE)
		return 0;
	shape->height = (int) info->height;
	shape->width = (int) info->width;
	shape->denom = choose_denom(info, pre);
	shape->dst_height = pre->height;
	shape->dst_width = pre->width;
	shape->channels = pre->channels;
	shape->interpolation = pre->interpolation;
	return 1;
}

size_t
img_preprocess_scratch_bytes(const ImgInfo *info, const ImgPreprocess *pre)
{
	ImgResizeShape shape;

	return fill_shape(&shape, info, pre) ? img_resizer_bytes(&shape) : 0;
}

ImgStatus
img_preprocess(uint8_t *dst, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
			   const ImgPreprocess *pre, const ImgLimits *limits, void *scratch, size_t scratch_bytes,
			   ImgError *error)
{
	size_t need = img_preprocess_scratch_bytes(info, pre);
	ImgResizeShape shape;
	ImgResizer resizer;

	if (need == 0 || !fill_shape(&shape, info, pre))
		return img_fail(error, IMG_BAD_ARGUMENT,
						"cannot make %d x %d x %d pixels of an image of %u x %u; "
						"sides are 1 to %d, channels 1 or 3",
						pre->height, pre->width, pre->channels, (unsigned) info->width,
						(unsigned) info->height, IMG_MAX_NETWORK_SIDE);
	if (scratch == NULL || scratch_bytes < need)
		return img_fail(error, IMG_NO_SPACE, "preprocessing needs %llu bytes of scratch, but got %llu",
						(unsigned long long) need, (unsigned long long) scratch_bytes);
	img_resizer_begin(&resizer, dst, &shape, scratch);
	return img_decode_rows(&resizer.sink, pre->channels, shape.denom, bytes, n_bytes, info, limits, error);
}

void
img_rescale(float *dst, const uint8_t *src, size_t n, float rescale)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = (float) src[i] * rescale;
}
