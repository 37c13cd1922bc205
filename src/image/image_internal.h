/*-------------------------------------------------------------------------
 *
 * image_internal.h
 *	  What the files of src/image share with each other and with nobody else.
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

/* Fill *error (may be NULL) and return status. */
extern ImgStatus img_fail(ImgError *error, ImgStatus status, const char *fmt, ...) IMG_PRINTF(3, 4);

/* The caller's limits with the defaults filled in; limits may be NULL. */
extern void img_limits_resolve(ImgLimits *resolved, const ImgLimits *limits);

/* *product = a * b; 0 if it does not fit. */
extern int img_size_mul(size_t *product, size_t a, size_t b);
extern int img_size_add(size_t *sum, size_t a, size_t b);

/* Rounded up to a multiple of 64; 0 on overflow. */
extern size_t img_align64(size_t n);

/*
 * Decode at scale 1/denom (1, 2, 4 or 8), to channels 1 or 3, tightly packed:
 * ceil(height / denom) * ceil(width / denom) * channels bytes.
 */
extern ImgStatus img_jpeg_decode_scaled(uint8_t *dst, size_t dst_bytes, int channels, int denom,
										const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
										const ImgLimits *limits, ImgError *error);

/*
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 */
extern void img_philox(uint32_t out[4], const uint32_t counter[4], uint64_t key);

/* Uniform in [0, 1) with 53 bits from two words of a block. */
extern double img_unit_double(uint32_t high, uint32_t low);

/* A sequence of draws: the next counter of a stream under a seed. */
typedef struct ImgRandom
{
	uint64_t seed;
	uint32_t stream;
	uint32_t index; /* draws so far */
} ImgRandom;

/* Uniform in [low, high). */
extern float img_random_draw(ImgRandom *random, float low, float high);

/*
 * Develop a film of height * width attenuations to 8 bits: tone curve, grain
 * of the given strength (grey levels), collimation, marker.
 */
#define IMG_FILM_SCRATCH_BYTES 8192
extern void img_film_develop(uint8_t *dst, const float *values, int height, int width, float grain,
							 ImgRandom *random, void *scratch);

/* img_augment_apply() without special instructions; the same bits. */
extern void img_augment_apply_portable(float *dst, const uint8_t *src, int height, int width, int channels,
									   const ImgTransform *transform, float rescale, void *scratch);

#endif /* PNEUMO_IMAGE_IMAGE_INTERNAL_H */
