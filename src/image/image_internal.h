/*-------------------------------------------------------------------------
 *
 * image_internal.h
 *	  What the files of src/image share with each other and with nobody else:
 *	  errors, limits, checked sizes, scaled decoding.
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
#define IMG_MAX_JPEG_SIDE 65500

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

/*
 * Decodes at scale 1/denom (1, 2, 4 or 8), to channels 1 or 3, tightly packed:
 * ceil(height / denom) * ceil(width / denom) * channels bytes.
 */
extern ImgStatus img_jpeg_decode_scaled(uint8_t *dst, size_t dst_bytes, int channels, int denom,
										const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
										const ImgLimits *limits, ImgError *error);

/* Computes the same bits as img_augment_apply() without special instructions, for the tests. */
extern void img_augment_apply_portable(float *dst, const uint8_t *src, int height, int width, int channels,
									   const ImgTransform *transform, float rescale, void *scratch);

#endif /* PNEUMO_IMAGE_IMAGE_INTERNAL_H */
