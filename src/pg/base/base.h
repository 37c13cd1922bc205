/*-------------------------------------------------------------------------
 *
 * base.h
 *	  What every room may use: settings, errors and messages, names, digests,
 *	  image bytes, long computations that can be broken off, BLAS.
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
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "utils/array.h"
#include "utils/jsonb.h"

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
extern int pneumo_max_queued_runs;
extern int pneumo_disk_reserve;      /* MB; 0: none */
extern int pneumo_shared_cache_size; /* kB */
extern int pneumo_local_cache_size;  /* kB */

/* Defines the settings pneumo.*, when the library is loaded. */
extern void pneumo_settings_define(void);

/* Returns the CPU path that the settings and the machine allow. */
extern NnPath pneumo_path(void);

/* Returns the best CPU path of the machine, whatever the settings say. */
extern NnPath pneumo_path_best(void);

/* --------------------------------------------------- errors (errors.c) */

/* Raises the error that a plain-C folder returned.  All errors of src/nn and src/image are raised here. */
extern void pneumo_nn_ereport(const NnError *error) pg_attribute_noreturn();
extern void pneumo_image_ereport(const ImgError *error) pg_attribute_noreturn();

/* Returns why an image cannot be read and what cures it, for a list of such images; palloc'd. */
extern char *pneumo_image_reason(const ImgError *error);

/* Returns the SQLSTATE of a status, for a caller who words the message. */
extern int pneumo_image_sqlstate(ImgStatus status);

/* Raises an error that says what failed, unless the status is NN_OK. */
extern void pneumo_nn_check(NnStatus status, const char *what);

/* Returns whether the image is to blame for a status, so that pneumo.on_bad_image applies. */
extern bool pneumo_image_is_bad(ImgStatus status);

#define PNEUMO_CLIP 300 /* bytes */

/* Returns the user's text for a message, palloc'd: cut between characters after PNEUMO_CLIP bytes, then " ...". */
extern char *pneumo_clip(const char *text);

/* Returns a number of bytes for a message, rounded up, as "12.3 MB"; palloc'd. */
extern char *pneumo_memory_text(double n_bytes);

/* Copies a text into size bytes as strlcpy() does, but cuts it between characters. */
extern void pneumo_copy_text(char *dst, const char *src, size_t size);

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

/* Returns the nearest of the NULL-ended names by edit distance, or NULL if none is near. */
extern const char *pneumo_nearest(const char *name, const char *const *names);

/* Adds the hint "Did you mean ..." if one of the names is near; for the argument list of ereport(). */
extern int pneumo_hint_nearest(const char *name, const char *const *names);

/* Returns the NULL-ended names for a message, quoted: "a", "b" or "c"; palloc'd. */
extern char *pneumo_list_names(const char *const *names);

/* Returns the name of a relation, schema-qualified and quoted; palloc'd. */
extern char *pneumo_relation_name(Oid relid);

/* Returns a text of the database as UTF-8, palloc'd or itself; NULL for NULL. */
extern const char *pneumo_utf8(const char *string);

/* ----------------------------------------------------- build (build.c) */

/*
 * Returns, palloc'd, what the library is: its version, its compiler by name, and
 * the server.  pneumo_version() and the report show it.
 */
extern char *pneumo_build(void);

/*
 * Returns, palloc'd, what decides the bits of a training apart from data and
 * config: version, compiler, server, CPU path, BLAS.  It stands in the run's
 * row, in the provenance of a version and in checkpoints, and a run continues
 * only where its checkpoint has this very text.  So its form is fixed: it is not
 * pneumo_build() with more at the end, as its compiler has no name.
 */
extern char *pneumo_build_text(void);

/* -------------------------------------------- arguments (arguments.c) */

/* Returns an argument of an SQL function; an error that names it if it is null. */
extern Datum pneumo_argument(FunctionCallInfo fcinfo, int i);

/* Does the same for a text, palloc'd. */
extern char *pneumo_text_argument(FunctionCallInfo fcinfo, int i);

/* Returns a config; {} if it is null. */
extern Jsonb *pneumo_config_argument(FunctionCallInfo fcinfo, int i);

/* Returns whether a procedure was called where it may commit. */
extern bool pneumo_may_commit(FunctionCallInfo fcinfo);

/* -------------------------------------------------- digests (sha256.c) */

/* Computes the SHA-256 of bytes, also where no transaction is open. */
extern void pneumo_sha256(uint8 *digest, const void *bytes, size_t n_bytes);

/* Computes the SHA-256 of bytes that come in pieces.  pneumo_sha256_end() frees ctx. */
extern pg_cryptohash_ctx *pneumo_sha256_begin(void);
extern void pneumo_sha256_add(pg_cryptohash_ctx *ctx, const void *bytes, size_t n_bytes);
extern void pneumo_sha256_end(uint8 *digest, pg_cryptohash_ctx *ctx);

/* Returns a digest as hexadecimal digits; palloc'd. */
extern char *pneumo_sha256_hex(const uint8 *digest);

/* ----------------------------------------------- attempts (attempts.c) */

/* A long computation that an interrupt breaks off and that is then done again. */
typedef struct PneumoAttempts
{
	volatile sig_atomic_t *stop; /* for the computation to look at; NULL: it may not be broken off */
	int made;
} PneumoAttempts;

/* Prepares for the first attempt. */
extern void pneumo_attempts_begin(PneumoAttempts *attempts);

/*
 * Processes the interrupts that broke an attempt off, which may raise an error.
 * Otherwise returns true: the computation is to be done again.
 */
extern bool pneumo_attempts_next(PneumoAttempts *attempts);

/* --------------------------------------------------- images (pixels.c) */

/* The most bytes that a file of an image may have. */
#define PNEUMO_MAX_IMAGE_BYTES ((Size) IMG_DEFAULT_MAX_BYTES)

/* Fills the limits of decoding from the settings, and where interrupts show. */
extern void pneumo_image_limits(ImgLimits *limits);

/*
 * Returns memory of the current context with room for its alignment.
 * pneumo_align() returns the first address in it that is a multiple of NN_ALIGN;
 * pfree() takes what pneumo_scratch() returned.
 */
extern void *pneumo_scratch(Size n_bytes);
extern void *pneumo_align(void *memory);

/* Errors if what (as in "predicting with this model") needs more than pneumo.predict_memory. */
extern void pneumo_check_memory(const char *what, double n_bytes);

/*
 * Turns the bytes of an image into the network's 8-bit pixels, the same way for training and
 * for prediction.  dst has room for height * width * channels.  Returns the
 * status and does not raise it; raises only interrupts and lack of memory.
 */
extern ImgStatus pneumo_pixels(uint8 *dst, const uint8 *bytes, size_t n_bytes,
							   const ImgPreprocess *preprocess, ImgError *error);

/* Returns a copy of bytes as a datum; palloc'd. */
extern bytea *pneumo_bytea(const void *bytes, size_t n_bytes);

/* Reads the bytes of an image; false, with *error and without detoasting it, if it is too large. */
extern bool pneumo_image_bytes(bytea **bytes, Datum image, ImgError *error);

/* Returns a real[] of n_dims dimensions; palloc'd. */
extern ArrayType *pneumo_real_array(const float *values, int n_dims, const int *dims);

/* Returns drawn pixels (channels 1 or 3) as a JPEG datum; palloc'd. */
extern bytea *pneumo_picture(const uint8 *pixels, int height, int width, int channels);

/* ---------------------------------------- background workers (background.c) */

/*
 * Starts a function of the library in a background worker, once, with a DSM segment
 * as its argument; name and type are what pg_stat_activity shows.  The server's
 * worker slots are shared with parallel queries, which hold them for a short time:
 * where none is free, this waits up to wait_ms for one, and returns NULL then.
 */
extern BackgroundWorkerHandle *pneumo_start_worker(const char *function, const char *name, const char *type,
												   dsm_handle segment, int wait_ms);

/* ------------------------------------------------------- BLAS (blas.c) */

/* Returns the library's matrix product, or NULL if there is none.  Loads the library on first use. */
extern NnSgemm pneumo_blas_sgemm(void);

/* Returns another function of the same library (LAPACK's dsyevd_), or NULL. */
extern void *pneumo_blas_symbol(const char *name);

/* Returns "OpenBLAS 0.3.21 …", or "built-in" if there is none. */
extern const char *pneumo_blas_version(void);

#endif /* PNEUMO_PG_BASE_H */
