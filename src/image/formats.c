/*-------------------------------------------------------------------------
 *
 * formats.c
 *	  The formats that are read, and which of them some bytes are.
 *
 * A format is one file with one ImgCodec.  Nothing outside these files and this
 * table knows a format.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "image_internal.h"

/* By ImgFormat. */
static const ImgCodec *const codecs[] = {
	&img_codec_jpeg,
	&img_codec_png,
	&img_codec_dicom,
};

#define N_CODECS ((int) (sizeof(codecs) / sizeof(codecs[0])))

/* Writes the rows one after the other as 8 bits. */
typedef struct CopySink
{
	ImgSink sink;
	uint8_t *dst; /* of the next row */
	size_t row_n;
} CopySink;

static void
copy_row(ImgSink *sink, const uint8_t *row)
{
	CopySink *copy = (CopySink *) (void *) sink;

	memcpy(copy->dst, row, copy->row_n);
	copy->dst += copy->row_n;
}

static void
copy_wide_row(ImgSink *sink, const uint16_t *row)
{
	CopySink *copy = (CopySink *) (void *) sink;

	for (size_t i = 0; i < copy->row_n; i++)
		copy->dst[i] = (uint8_t) (((uint32_t) row[i] + 128) >> 8);
	copy->dst += copy->row_n;
}

const char *
img_format_name(ImgFormat format)
{
	return codecs[format]->name;
}

ImgStatus
img_info(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits, ImgError *error)
{
	ImgLimits resolved;
	ImgStatus status;

	memset(info, 0, sizeof(*info));
	img_limits_resolve(&resolved, limits);
	if (bytes == NULL || n_bytes == 0)
		return img_fail(error, IMG_NOT_IMAGE, "not an image: no bytes");
	if (n_bytes > resolved.max_bytes)
		return img_fail(error, IMG_TOO_LARGE, "image has %llu bytes; at most %llu are allowed",
						(unsigned long long) n_bytes, (unsigned long long) resolved.max_bytes);
	status = img_recognise(&info->format, bytes, n_bytes, error);
	return status == IMG_OK ? codecs[info->format]->read_info(info, bytes, n_bytes, &resolved, error)
							: status;
}

int
img_format_scales(ImgFormat format)
{
	return codecs[format]->scales;
}

ImgStatus
img_decode_rows(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes,
				const ImgInfo *info, const ImgLimits *limits, ImgError *error)
{
	ImgLimits resolved;
	ImgFormat format;

	if (info->format < 0 || info->format >= N_CODECS || bytes == NULL ||
		img_recognise(&format, bytes, n_bytes, NULL) != IMG_OK || format != info->format)
		return img_fail(error, IMG_BAD_ARGUMENT, "the bytes are not the image that was announced");
	img_limits_resolve(&resolved, limits);
	return codecs[info->format]->decode(sink, channels, denom, bytes, n_bytes, info, &resolved, error);
}

ImgStatus
img_decode_scaled(uint8_t *dst, size_t dst_bytes, int channels, int denom, const uint8_t *bytes,
				  size_t n_bytes, const ImgInfo *info, const ImgLimits *limits, ImgError *error)
{
	size_t height = (info->height + (uint32_t) denom - 1) / (uint32_t) denom;
	size_t width = (info->width + (uint32_t) denom - 1) / (uint32_t) denom;
	CopySink copy = {{copy_row, copy_wide_row}, dst, width * (size_t) channels};

	if (channels != 1 && channels != 3)
		return img_fail(error, IMG_BAD_ARGUMENT, "%d channels wanted; only 1 and 3 are possible", channels);
	if (height == 0 || width == 0 || copy.row_n > dst_bytes / height)
		return img_fail(error, IMG_NO_SPACE, "the buffer is too small for the decoded image");
	return img_decode_rows(&copy.sink, channels, denom, bytes, n_bytes, info, limits, error);
}

ImgStatus
img_decode(uint8_t *dst, size_t dst_bytes, int channels, const uint8_t *bytes, size_t n_bytes,
		   const ImgInfo *info, const ImgLimits *limits, ImgError *error)
{
	return img_decode_scaled(dst, dst_bytes, channels, 1, bytes, n_bytes, info, limits, error);
}
