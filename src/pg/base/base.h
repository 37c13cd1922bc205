/*-------------------------------------------------------------------------
 *
 * base.h
 *	  What every room may use: settings, errors and messages, digests, image
 *	  bytes, long computations that can be broken off, BLAS.
 *
 * JSON is in json.h, shared memory in shmem.h, the loan of memory to src/stats in
 * stats_env.h, what differs between server versions in compat.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_BASE_H
#define PNEUMO_PG_BASE_H

#include <signal.h>
#include "common/cryptohash.h"
#include "fmgr.h"
#include "utils/array.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/pneumo.h"

/* ----------------------------------------------- settings (settings.c) */

typedef enum PneumoOnBadImage
{
	PNEUMO_BAD_IMAGE_ERROR,
	PNEUMO_BAD_IMAGE_NULL
} PneumoOnBadImage;

extern char *pneumo_default_model;
extern int pneumo_on_bad_image; /* PneumoOnBadImage */
extern bool pneumo_score_groups;
extern int pneumo_train_threads; /* 0: all cores */
extern int pneumo_train_memory;  /* kB */
extern int pneumo_max_image_pixels;
extern int pneumo_figures_memory; /* kB */
extern int pneumo_predict_memory; /* kB */
extern int pneumo_simd;           /* -1 auto, else NnPath */
extern char *pneumo_blas_library; /* "" or "none": built-in kernel */
extern int pneumo_max_training_runs;
extern int pneumo_disk_reserve;      /* MB; 0: none */
extern int pneumo_shared_cache_size; /* kB */
extern int pneumo_local_cache_size;  /* kB */

extern void pneumo_settings_define(void);

/* The CPU path that the settings and the machine allow. */
extern NnPath pneumo_path(void);
/* The best that the machine has, whatever the settings. */
extern NnPath pneumo_path_best(void);

/* --------------------------------------------------- errors (errors.c) */

/* The one place where a status of the plain-C layers becomes an error. */
extern void pneumo_nn_ereport(const NnError *error) pg_attribute_noreturn();
extern void pneumo_image_ereport(const ImgError *error) pg_attribute_noreturn();
extern int pneumo_image_sqlstate(ImgStatus status);

/* True if the image is to blame, so that pneumo.on_bad_image applies. */
extern bool pneumo_image_is_bad(ImgStatus status);

/*
 * For messages: the user's text, cut at a character after PNEUMO_CLIP bytes
 * (then it ends in " ..."); and a number of bytes, rounded up, as "12.3 MB".
 */
#define PNEUMO_CLIP 300
extern char *pneumo_clip(const char *text);
extern char *pneumo_memory_text(double n_bytes);

/* strlcpy() that cuts at a character. */
extern void pneumo_copy_text(char *dst, const char *src, size_t size);

/* An error that says what failed, if the status of a run of the network is one. */
extern void pneumo_run_check(NnStatus status, const char *what);

/* ----------------------------------------------------- names (names.c) */

/* What a row is for.  PNEUMO_SPLIT_ALL stands for all three where rows are asked for. */
typedef enum PneumoSplit
{
	PNEUMO_TRAIN,
	PNEUMO_VALIDATION,
	PNEUMO_TEST
} PneumoSplit;

#define PNEUMO_N_SPLITS 3
#define PNEUMO_SPLIT_ALL 3

/* "train", "validation", "test", "all"; by PneumoSplit, ended by NULL. */
extern const char *const pneumo_split_names[];

/* The nearest of the NULL-ended names by edit distance, or NULL if none is near. */
extern const char *pneumo_nearest(const char *name, const char *const *names);

extern char *pneumo_list_names(const char *const *names); /* "a, b or c", quoted */

/* Schema-qualified and quoted; palloc'd. */
extern char *pneumo_relation_name(Oid relid);

/* ----------------------------------------------------- build (build.c) */

/* Release, compiler and server, for a version's provenance; palloc'd. */
extern char *pneumo_build(void);

/* What decides the bits beside data and config: version, compiler, CPU path, BLAS. */
extern char *pneumo_build_text(void);

/* -------------------------------------------------- digests (sha256.c) */

/* SHA-256; may also be used where no transaction is open. */
extern void pneumo_sha256(uint8 *digest, const void *bytes, size_t n_bytes);

extern char *pneumo_sha256_hex(const uint8 *digest); /* palloc'd */

extern pg_cryptohash_ctx *pneumo_sha256_begin(void);

extern void pneumo_sha256_add(pg_cryptohash_ctx *ctx, const void *bytes, size_t n_bytes);

extern void pneumo_sha256_end(uint8 *digest, pg_cryptohash_ctx *ctx);

/* ----------------------------------------------- attempts (attempts.c) */

/* A long computation that an interrupt breaks off and that is then done again. */
typedef struct PneumoAttempts
{
	volatile sig_atomic_t *stop; /* for the computation to look at; NULL: it may not be broken off */
	int made;
} PneumoAttempts;

extern void pneumo_attempts_begin(PneumoAttempts *attempts);

/* After one that was broken off: processes interrupts, which may be an error; else true, to do it again. */
extern bool pneumo_attempts_next(PneumoAttempts *attempts);

/* --------------------------------------------------- images (pixels.c) */

/* The most bytes that a file of an image may have. */
#define PNEUMO_MAX_IMAGE_BYTES ((Size) 64 * 1024 * 1024)

/* Fills the limits of decoding from the settings, and where interrupts show. */
extern void pneumo_image_limits(ImgLimits *limits);

/* Scratch in the current context, room for aligning it to NN_ALIGN; pfree() what pneumo_scratch() gave. */
extern void *pneumo_scratch(Size n_bytes);
extern void *pneumo_align(void *memory);

/* Errors if what (as in "predicting with this model") needs more than pneumo.predict_memory. */
extern void pneumo_check_memory(const char *what, double n_bytes);

/*
 * JPEG bytes to the network's 8-bit pixels: the path of training and of
 * prediction.  dst: height * width * channels.  Returns the status instead of
 * raising it; raises only for interrupts and memory.
 */
extern ImgStatus pneumo_pixels(uint8 *dst, const uint8 *bytes, size_t n_bytes,
							   const ImgPreprocess *preprocess, ImgError *error);

extern bytea *pneumo_bytea(const void *bytes, size_t n_bytes); /* palloc'd */

/* The bytes of an image, detoasted unless too large; false (with *error) then. */
extern bool pneumo_image_bytes(bytea **bytes, Datum image, ImgError *error);

/* A real[] of n_dims dimensions. */
extern ArrayType *pneumo_real_array(const float *values, int n_dims, const int *dims);

/* Pixels (channels 1 or 3) as a JPEG datum, palloc'd. */
extern bytea *pneumo_picture(const uint8 *pixels, int height, int width, int channels);

/* ------------------------------------------------------- BLAS (blas.c) */

/* Loads the library on first use, all signals blocked; NULL if there is none. */
extern NnSgemm pneumo_blas_sgemm(void);
/* Another function of the same library (LAPACK's dsyevd_), or NULL. */
extern void *pneumo_blas_symbol(const char *name);
extern const char *pneumo_blas_version(void); /* "OpenBLAS 0.3.21 …" or "built-in" */

#endif /* PNEUMO_PG_BASE_H */
