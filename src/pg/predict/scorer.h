/*-------------------------------------------------------------------------
 *
 * scorer.h
 *	  Images through one version, again and again: engine, buffers and
 *	  calibration.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_SCORER_H
#define PNEUMO_PG_SCORER_H

#include "utils/array.h"

#include "pg/pneumo.h"

typedef struct PneumoScorer
{
	MemoryContext cxt; /* of everything here */
	PneumoEngine *engine;
	PneumoEngine *explain;       /* NULL until it is asked for */
	const PneumoModelMeta *meta; /* the engine's */
	NnPath path;
	int output_units; /* 1 or n_classes */
	int embedding_units;
	int max_rows; /* images at once, 1 to NN_GROUP_ROWS */
	uint64 used;  /* when, for keeping the latest few */

	/* results of the last run */
	double *calibrated;   /* n_classes: probability of each class, of one image */
	float *probabilities; /* max_rows * output_units: the network's own */
	float *logits;        /* max_rows * output_units */
	float *embedding;     /* embedding_units, if it was asked for */

	/* buffers */
	uint8 *pixels;  /* height * width * channels */
	double n_bytes; /* of these */
	float *src;     /* max_rows images */
	void *scratch;
} PneumoScorer;

/*
 * The scorer of a version on a path.  *extra (NULL at first) keeps the latest
 * few in mcxt: fn_extra and fn_mcxt of a function, or a caller's own.
 */
extern PneumoScorer *pneumo_scorer_get(void **extra, MemoryContext mcxt, const PneumoVersionId *id,
									   NnPath path);

/* The same for several images at once, as many as pneumo.predict_memory has room for; *extra is of its own. */
extern PneumoScorer *pneumo_scorer_get_group(void **extra, MemoryContext mcxt, const PneumoVersionId *id,
											 NnPath path);

/*
 * Runs one image (a bytea datum, toasted or not).  False if it cannot be
 * decoded and on_bad_image is PNEUMO_BAD_IMAGE_NULL; else an error.
 */
extern bool pneumo_scorer_run(PneumoScorer *scorer, Datum image, int on_bad_image, bool embed);

/*
 * Step by step (scores.h, group_scan.c): src of a row, by decoding or of
 * pixels; the first n rows; their probabilities.  read and is_finite leave the
 * error to the caller: error->status, false.
 */
extern bool pneumo_scorer_decode(PneumoScorer *scorer, int row, Datum image, int on_bad_image);
extern void pneumo_scorer_read(PneumoScorer *scorer, int row, Datum image, ImgError *error);
extern void pneumo_scorer_rescale(PneumoScorer *scorer, int row, const uint8 *pixels);
extern void pneumo_scorer_run_rows(PneumoScorer *scorer, int n);
extern void pneumo_scorer_calibrate(double *calibrated, const PneumoScorer *scorer, int row);
extern bool pneumo_scorer_is_finite(double *calibrated, const PneumoScorer *scorer, int row);

/*
 * Of calibrated probabilities: the class, by the operating point (two classes)
 * or the most probable, and its score (two classes: of the positive).
 */
extern int pneumo_class_of(const PneumoModelMeta *meta, const double *calibrated);
extern double pneumo_score_of(const PneumoModelMeta *meta, const double *calibrated);

/* An error that says what failed, if the status of a run of the network is one. */
extern void pneumo_run_check(NnStatus status, const char *what);

/* A real[] of n_dims dimensions. */
extern ArrayType *pneumo_real_array(const float *values, int n_dims, const int *dims);

/* The bytes of an image, detoasted unless too large; false (with *error) then. */
extern bool pneumo_image_bytes(bytea **bytes, Datum image, ImgError *error);

#endif /* PNEUMO_PG_SCORER_H */
