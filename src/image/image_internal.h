/*-------------------------------------------------------------------------
 *
 * image_internal.h
 *	  What the files of src/image share with each other and with nobody else:
 *	  errors, limits, checked sizes, formats, rows on their way to the result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_IMAGE_IMAGE_INTERNAL_H
#define PNEUMO_IMAGE_IMAGE_INTERNAL_H

#include "image.h"

#if defined(__GNUC__)
#define IMG_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define IMG_PRINTF(fmt, first)
#endif

/* Side limits that the contract states. */
#define IMG_MAX_NETWORK_SIDE 4096 /* ImgPreprocess.height, .width */
#define IMG_MAX_SIDE 65500        /* of an image: JPEG's own limit, for all formats */

/* Fills *error, which may be NULL, and returns status. */
extern ImgStatus img_fail(ImgError *error, ImgStatus status, const char *fmt, ...) IMG_PRINTF(3, 4);

/* Fills *resolved with the caller's limits, which may be NULL, and the defaults for the rest. */
extern void img_limits_resolve(ImgLimits *resolved, const ImgLimits *limits);

/* Sets *product to a * b; returns 0 if that does not fit. */
extern int img_size_mul(size_t *product, size_t a, size_t b);

/* Sets *sum to a + b; returns 0 if that does not fit. */
extern int img_size_add(size_t *sum, size_t a, size_t b);

/* Returns n rounded up to a multiple of 64; 0 on overflow. */
extern size_t img_align64(size_t n);

/* Sets the hint of an error, which may be NULL. */
extern void img_hint(ImgError *error, const char *fmt, ...) IMG_PRINTF(2, 3);

/* Checks width and height against the limits; name is the format's in the message. */
extern ImgStatus img_check_size(const char *name, uint64_t width, uint64_t height, const ImgLimits *limits,
								ImgError *error);

/*
 * Where decoded rows go, from top to bottom.  All rows of an image go to the same
 * one of the two functions: grey levels of 8 bits, or grey levels times 256
 * (0 to 65280), which a row of more than 8 bits is scaled to.
 */
typedef struct ImgSink
{
	void (*put)(struct ImgSink *sink, const uint8_t *row);
	void (*put_wide)(struct ImgSink *sink, const uint16_t *row);
} ImgSink;

/* The largest value of a wide row. */
#define IMG_WIDE_MAX (255 * 256)

/* Scales a value of 0 to most (at most 65535) to 0 to IMG_WIDE_MAX. */
static inline uint16_t
img_widen(uint32_t value, uint32_t most)
{
	return (uint16_t) (((uint64_t) value * IMG_WIDE_MAX + most / 2) / most);
}

/* Returns the grey of a colour as libjpeg and Pillow round it; of wide values, too. */
static inline uint32_t
img_luma(uint32_t red, uint32_t green, uint32_t blue)
{
	return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

/*
 * A file format.  The limits are resolved, and info is what read_info() filled for
 * the same bytes.  decode() puts all rows of 1 or 3 channels into the sink,
 * ceil(height / denom) rows of ceil(width / denom) pixels; denom is 1 unless the
 * format can decode to 1/2, 1/4 and 1/8.
 */
typedef struct ImgCodec
{
	const char *name;
	int scales;
	ImgStatus (*read_info)(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits,
						   ImgError *error);
	ImgStatus (*decode)(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes,
						const ImgInfo *info, const ImgLimits *limits, ImgError *error);
} ImgCodec;

extern const ImgCodec img_codec_jpeg;
extern const ImgCodec img_codec_png;
extern const ImgCodec img_codec_dicom;

/*
 * Decodes a JPEG image as its codec does; is_rgb: its three components are RGB,
 * whatever its markers say.
 */
extern ImgStatus img_jpeg_decode(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes,
								 int is_rgb, const ImgInfo *info, const ImgLimits *limits, ImgError *error);

/* Returns whether bytes begin like a DICOM file. */
extern int img_dicom_recognises(const uint8_t *bytes, size_t n_bytes);

/* Says in *error what bytes that no codec recognises look like, and returns IMG_NOT_IMAGE. */
extern ImgStatus img_foreign(const uint8_t *bytes, size_t n_bytes, ImgError *error);

/* Returns whether a format can be decoded at 1/2, 1/4 and 1/8. */
extern int img_format_scales(ImgFormat format);

/* Decodes an image into a sink, if info is of these bytes. */
extern ImgStatus img_decode_rows(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes,
								 const ImgInfo *info, const ImgLimits *limits, ImgError *error);

/* Decodes an image at scale 1/denom into tightly packed rows of dst_bytes bytes in all. */
extern ImgStatus img_decode_scaled(uint8_t *dst, size_t dst_bytes, int channels, int denom,
								   const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
								   const ImgLimits *limits, ImgError *error);

/*
 * A resize that takes its source row by row.  The source has ceil(height / denom)
 * rows of ceil(width / denom) pixels: where denom does not divide a side, the last
 * pixel counts by the part of it that is picture.
 */
typedef struct ImgResizeShape
{
	int height, width; /* of the picture at full size */
	int denom;
	int dst_height, dst_width;
	int channels;
	ImgInterpolation interpolation;
} ImgResizeShape;

/* The taps of one output pixel along an axis. */
typedef struct ImgTaps
{
	int first; /* source pixel of the first weight */
	int count;
} ImgTaps;

typedef struct ImgResizer
{
	ImgSink sink; /* takes the rows */
	ImgResizeShape shape;
	uint8_t *dst;
	int src_h, src_w;    /* as decoded */
	int src_y, dst_y;    /* the next rows */
	ImgTaps y_taps;      /* of dst_y */
	uint32_t *sums;      /* one row of the source's width */
	uint16_t *row;       /* the same, rounded */
	uint16_t *previous;  /* the source row before, of either kind */
	uint32_t *y_weights; /* of one output row */
	ImgTaps *x_taps;     /* of all output columns */
	uint32_t *x_weights; /* max_x_taps for each column */
	int max_x_taps;
	int level; /* taps of every column if they are that few, else 0 */
} ImgResizer;

/* Returns the scratch bytes of a resizer; 0 for bad arguments. */
extern size_t img_resizer_bytes(const ImgResizeShape *shape);

/* Prepares a resizer for the rows of the source; dst has room for the result. */
extern void img_resizer_begin(ImgResizer *resizer, uint8_t *dst, const ImgResizeShape *shape, void *scratch);

/* Computes the same bits as img_augment_apply() without special instructions, for the tests. */
extern void img_augment_apply_portable(float *dst, const uint8_t *src, int height, int width, int channels,
									   const ImgTransform *transform, float rescale, void *scratch);

#endif /* PNEUMO_IMAGE_IMAGE_INTERNAL_H */
