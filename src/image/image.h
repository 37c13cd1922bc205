/*-------------------------------------------------------------------------
 *
 * image.h
 *	  Bytes to pixels and back: the one public header of src/image.
 *
 * Plain C11 and the libraries of the formats; no server, no network core.
 * Nothing here prints, exits or jumps out: every function returns an ImgStatus,
 * and the error jump of a library never leaves the one file that knows it.
 *
 * Pixels are unsigned 8 bits, rows from top to bottom, row-major, channels
 * interleaved (H, W, C) with C = 1 (grey) or 3 (RGB), no padding between rows:
 * pixel (y, x, c) is at (y * width + x) * channels + c.
 *
 * Memory comes from the caller.  Functions that need scratch have a twin
 * *_scratch_bytes() that tells how much (0 on overflow or bad arguments; all
 * products are overflow-checked); scratch must be aligned to 64 bytes.
 * (Decoders allocate for themselves, bounded by ImgLimits.max_codec_bytes.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_IMAGE_IMAGE_H
#define PNEUMO_IMAGE_IMAGE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ImgStatus
{
	IMG_OK = 0,
	IMG_BAD_ARGUMENT, /* a caller's mistake: sizes, ranges */
	IMG_NOT_IMAGE,    /* the bytes are not of a format that is read */
	IMG_CORRUPT,      /* damaged or truncated: pixels would be
								 * missing or invented */
	IMG_UNSUPPORTED,  /* a kind of its format that is not read */
	IMG_TOO_LARGE,    /* bytes, width, height, pixels, scans or
								 * decoder memory above a limit */
	IMG_NO_MEMORY,    /* the decoder's own allocation failed */
	IMG_NO_SPACE,     /* the output buffer is too small */
	IMG_INTERRUPTED   /* *limits->interrupt became nonzero */
} ImgStatus;

#define IMG_MESSAGE_LEN 200

/* Why a call failed; message is lower-case, without full stop; hint is empty or a whole sentence. */
typedef struct ImgError
{
	ImgStatus status;
	char message[IMG_MESSAGE_LEN];
	char hint[IMG_MESSAGE_LEN];
} ImgError;

/* The most bytes of a compressed image unless the caller says otherwise. */
#define IMG_DEFAULT_MAX_BYTES ((size_t) 64 * 1024 * 1024)

typedef struct ImgLimits
{
	size_t max_bytes;                 /* of the compressed stream; 64 MB if 0 */
	uint32_t max_side;                /* pixels; 65500 (JPEG's own) if 0 */
	uint64_t max_pixels;              /* width * height; 50 million if 0 */
	size_t max_codec_bytes;           /* a decoder's memory; 64 MB if 0 */
	int max_scans;                    /* of a progressive image; 100 if 0 */
	volatile sig_atomic_t *interrupt; /* polled while decoding; may be NULL */
} ImgLimits;

typedef enum ImgFormat
{
	IMG_FORMAT_JPEG,
	IMG_FORMAT_PNG,
	IMG_FORMAT_DICOM
} ImgFormat;

#define IMG_UID_LEN 65 /* of a DICOM identifier, with its end */

/* What the header of an image says, without decoding it. */
typedef struct ImgInfo
{
	ImgFormat format;
	uint32_t width, height;            /* pixels */
	int components;                    /* stored for a pixel: 1 to 4 */
	int progressive;                   /* 0 or 1; an interlaced PNG image too */
	int bits;                          /* for each component, as stored: 1 to 16 */
	int bits_stored;                   /* of these, in use */
	int orientation;                   /* 1 to 8 as in EXIF, which decoding ignores; 0 if it is not said */
	char photometric[17];              /* what the components mean; DICOM's words or grayscale, RGB, ... */
	char transfer_syntax[IMG_UID_LEN]; /* of a DICOM file, else empty */
} ImgInfo;

/* Returns the name of a format: JPEG, PNG, DICOM. */
extern const char *img_format_name(ImgFormat format);

/*
 * Finds the format of an image by its first bytes, of which 512 are enough.  For bytes
 * of another format the message says what they look like, and the hint what to do.
 */
extern ImgStatus img_recognise(ImgFormat *format, const uint8_t *bytes, size_t n_bytes, ImgError *error);

/*
 * Reads the header of an image, whose format its first bytes tell, and checks it
 * against the limits, which may be NULL.  For bytes of another format the message
 * says what they look like, and the hint what to do.
 */
extern ImgStatus img_info(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits,
						  ImgError *error);

/*
 * Preprocessing: the bytes of an image to the network's pixels.  The one path for
 * training and prediction.
 *
 * JPEG images are decoded with IDCT scaling 1/8, 1/4, 1/2 or 1, the smallest that
 * leaves at least 1.5 times the network's size on both sides (else full size);
 * grey straight from luma.  Other formats are decoded at full size.  RGB comes
 * from grey by repetition, grey from RGB as 0.299 R + 0.587 G + 0.114 B.  Then
 * there is one resize to (height, width), rounded to 8 bits.  Samples of more than
 * 8 bits keep 8 more bits until that rounding.  The aspect ratio is not kept, as
 * Keras's image_dataset_from_directory does by default.
 */
typedef enum ImgInterpolation
{
	IMG_INTERPOLATION_AREA = 0, /* antialiased box (pixel area) filter when
								 * shrinking, bilinear when enlarging; per axis */
	IMG_INTERPOLATION_BILINEAR  /* half-pixel centres, no antialiasing, as
								 * tf.image.resize(antialias=False) */
} ImgInterpolation;

typedef struct ImgPreprocess
{
	int height, width; /* of the result, pixels, 1..4096 */
	int channels;      /* 1 "grayscale" or 3 "rgb" */
	ImgInterpolation interpolation;
} ImgPreprocess;

/* Returns the scratch bytes for an image of that info. */
extern size_t img_preprocess_scratch_bytes(const ImgInfo *info, const ImgPreprocess *pre);

/*
 * Decodes and resizes an image into dst, height * width * channels bytes.  info
 * comes from img_info() of the same bytes.
 */
extern ImgStatus img_preprocess(uint8_t *dst, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
								const ImgPreprocess *pre, const ImgLimits *limits, void *scratch,
								size_t scratch_bytes, ImgError *error);

/* Decodes at full size, to info->height * info->width * channels bytes; channels is 1 or 3. */
extern ImgStatus img_decode(uint8_t *dst, size_t dst_bytes, int channels, const uint8_t *bytes,
							size_t n_bytes, const ImgInfo *info, const ImgLimits *limits, ImgError *error);

/*
 * The elements of a DICOM file, one after the other.  Sequences and their items
 * are entered.  The pixel data are one element without a value.
 */
typedef enum ImgDicomEvent
{
	IMG_DICOM_VALUE,
	IMG_DICOM_SEQUENCE, /* a sequence begins */
	IMG_DICOM_SEQUENCE_END,
	IMG_DICOM_ITEM, /* an item begins */
	IMG_DICOM_ITEM_END,
	IMG_DICOM_END /* of the file */
} ImgDicomEvent;

typedef struct ImgDicomElement
{
	ImgDicomEvent event;
	uint32_t tag;         /* group * 65536 + element, of a value or a sequence */
	char vr[3];           /* value representation; UN if it is unknown */
	const uint8_t *value; /* within the file, n_bytes */
	size_t n_bytes;
	int undefined; /* fragments of pixel data */
	int big_endian;
} ImgDicomElement;

#define IMG_DICOM_MAX_DEPTH 24 /* containers, sequences and items */

typedef struct ImgDicom
{
	const uint8_t *bytes; /* of the part that is being read */
	size_t n_bytes;
	size_t at;
	int implicit_vr, big_endian;
	int depth;
	struct
	{
		uint32_t tag; /* of the sequence */
		size_t end;
		int undefined, is_item, implicit_vr;
		int items; /* of a sequence, so far */
	} stack[IMG_DICOM_MAX_DEPTH];
	int in_meta;                       /* the elements of group 2 */
	char transfer_syntax[IMG_UID_LEN]; /* when the meta elements have been read */
	uint8_t *inflated;                 /* of a deflated file */
	ImgLimits limits;
} ImgDicom;

/*
 * Opens a DICOM file and reads its elements; both return a status.  After
 * img_dicom_open(), whatever it returned, img_dicom_close() frees what there is.
 */
extern ImgStatus img_dicom_open(ImgDicom *dicom, const uint8_t *bytes, size_t n_bytes,
								const ImgLimits *limits, ImgError *error);
extern ImgStatus img_dicom_next(ImgDicom *dicom, ImgDicomElement *element, ImgError *error);
extern void img_dicom_close(ImgDicom *dicom);

/* How a DICOM file is de-identified. */
typedef struct ImgDeidentify
{
	const void *key; /* of the hashes that take the place of UIDs and PatientID */
	size_t n_key;
	int shift_dates; /* by a number of days that is the patient's; 0: dates are removed */
	int keep_private;
	int keep_characteristics; /* the patient's sex, age, size and weight */
} ImgDeidentify;

typedef struct ImgDeidentified
{
	int burned_in; /* the file says that names may be in its pixels */
} ImgDeidentified;

/*
 * De-identifies a DICOM file by the basic profile of PS3.15, Annex E; the pixel data
 * stay byte for byte.  *n_written are the bytes of the result, which are only counted
 * if dst is NULL; IMG_NO_SPACE if they are more than room.
 */
extern ImgStatus img_dicom_deidentify(uint8_t *dst, size_t room, size_t *n_written, ImgDeidentified *found,
									  const uint8_t *bytes, size_t n_bytes, const ImgDeidentify *options,
									  const ImgLimits *limits, ImgError *error);

/* Returns the scratch bytes of img_resize(). */
extern size_t img_resize_scratch_bytes(int src_h, int src_w, int dst_h, int dst_w, int channels);

/* Resizes an image from any size to any size, with the same channels. */
extern ImgStatus img_resize(uint8_t *dst, int dst_h, int dst_w, const uint8_t *src, int src_h, int src_w,
							int channels, ImgInterpolation interpolation, volatile sig_atomic_t *interrupt,
							void *scratch);

/* Returns the largest number of bytes of an encoded image; 0 for bad arguments. */
extern size_t img_encode_bound(int height, int width, int channels);

/*
 * Encodes an image as baseline JPEG (4:4:4, quality 1..100).  A dst of
 * img_encode_bound() bytes is always large enough; *dst_bytes is what was used.
 */
extern ImgStatus img_encode_jpeg(uint8_t *dst, size_t dst_capacity, size_t *dst_bytes, const uint8_t *src,
								 int height, int width, int channels, int quality, ImgError *error);

/*
 * Sets dst[i] to (float) src[i] * rescale: how pixels become floats, except in
 * img_augment_apply().
 */
extern void img_rescale(float *dst, const uint8_t *src, size_t n, float rescale);

/*
 * Augmentation: Keras's ImageDataGenerator, meaning for meaning.
 *
 * img_augment_draw() draws one transform from the ranges with counter-based
 * random numbers (Philox4x32-10 keyed by seed; the counter is sample, epoch and
 * draw): the same (seed, epoch, sample) always gives the same transform.
 * img_augment_apply() applies it in one affine pass (bilinear, order 1),
 * then flips, then brightness on 8 bits with clipping, then rescale to float.
 * Order of the affine parts: rotation, shift, shear, zoom.
 */
typedef enum ImgFillMode
{
	IMG_FILL_NEAREST = 0,
	IMG_FILL_CONSTANT, /* with cval */
	IMG_FILL_REFLECT,
	IMG_FILL_WRAP
} ImgFillMode;

typedef struct ImgAugmentRanges
{
	float rotation_range;    /* degrees, 0..360: drawn from [-r, r] */
	float width_shift_range, /* < 1: fraction of the width; >= 1: pixels */
		height_shift_range;
	float brightness_low, brightness_high; /* factor; both 1 (or both 0): none */
	float shear_range;                     /* degrees, 0..89 */
	float zoom_low, zoom_high;             /* factor, zx and zy drawn apart; zoom_range z
								 * means [1 - z, 1 + z]; both 1 (or both 0): none */
	int horizontal_flip, vertical_flip;    /* 0 or 1: with probability 1/2 */
	ImgFillMode fill_mode;
	float cval; /* 0..255, for IMG_FILL_CONSTANT */

	/*
	 * Keras tells an integer shift (2) from a float (2.0): the integer n means
	 * a whole number of pixels from -(n - 1) to n - 1.  1 for that meaning.
	 */
	int width_shift_integer, height_shift_integer;
} ImgAugmentRanges;

/*
 * One drawn transform, with Keras's names and, deliberately, its meaning:
 * since it exchanges rows and columns when it applies the matrix, tx (drawn
 * from height_shift_range, times the height) moves along the width and zx
 * scales the width; ty and zy act along the height.  A factor zx > 1 shows
 * more of the source: the object gets smaller.
 */
typedef struct ImgTransform
{
	double theta;  /* degrees */
	double tx, ty; /* pixels */
	double shear;  /* degrees */
	double zx, zy; /* 1 none */
	int flip_horizontal, flip_vertical;
	double brightness; /* factor; 1 none */
	ImgFillMode fill_mode;
	float cval;
} ImgTransform;

/* Returns true if the ranges change nothing. */
extern int img_augment_is_identity(const ImgAugmentRanges *ranges);

/* Returns NULL if the ranges are valid, else a message that names the key and its limits. */
extern const char *img_augment_check(const ImgAugmentRanges *ranges);

/* Draws one transform for an image of that size. */
extern void img_augment_draw(ImgTransform *transform, const ImgAugmentRanges *ranges, int height, int width,
							 uint64_t seed, uint32_t epoch, uint32_t sample);

/* Returns the scratch bytes of img_augment_apply(). */
extern size_t img_augment_scratch_bytes(int height, int width, int channels);

/*
 * Applies a transform.  dst and src have height * width * channels elements.
 *
 * Coordinates and weights are double precision in the order of SciPy's
 * affine_transform (order 1), and its conventions hold: pixel centres at
 * integers, the centre of rotation at (size / 2 - 0.5), "wrap" with a period
 * of n - 1, "constant" without interpolation beyond the edge.  The result is
 * rounded to float32, as Keras's images are.  A brightness other than 1
 * truncates to 8 bits first and again after the product, as Pillow does.
 */
extern void img_augment_apply(float *dst, const uint8_t *src, int height, int width, int channels,
							  const ImgTransform *transform, float rescale, void *scratch);

/* Returns the scratch bytes of img_phantom(). */
extern size_t img_phantom_scratch_bytes(int height, int width);

/*
 * Draws a chest radiograph (grey, 8 bits): ribs, heart, diaphragm, lungs,
 * spine, noise, exposure; with pneumonia != 0 patches of consolidation.
 * Pose, size and exposure vary enough that neither a constant nor a threshold
 * on brightness tells the classes.  Same (seed, pneumonia): same bytes on the
 * same build.  dst: height * width; sides 64..2048.
 */
extern ImgStatus img_phantom(uint8_t *dst, int height, int width, uint64_t seed, int pneumonia,
							 volatile sig_atomic_t *interrupt, void *scratch);

/*
 * Draws a heat map over an image: values (map_h, map_w), blended by a
 * perceptually ordered diverging colour map symmetric about zero, scaled by
 * max_abs (> 0; 0: the map is empty and the image is returned as grey).  dst:
 * height * width * 3.
 */
extern void img_overlay(uint8_t *dst, const uint8_t *grey, int height, int width, const float *map, int map_h,
						int map_w, float max_abs, float opacity);

#endif /* PNEUMO_IMAGE_IMAGE_H */
