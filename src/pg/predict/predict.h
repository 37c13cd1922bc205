/*-------------------------------------------------------------------------
 *
 * predict.h
 *	  Scores images by one version: one image at a time, or in batches.
 *
 * A scorer is a version made ready: its engine, the buffers for one image or
 * for a batch of them, and the calibration.  README.md in this folder tells how
 * a score is computed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_PREDICT_H
#define PNEUMO_PG_PREDICT_H

#include "utils/array.h"
#include "utils/jsonb.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/engine/engine.h"

/* Finds the version that a model's name means now, and raises an error if the caller may not predict with it. */
extern void pneumo_resolve(const char *name, PneumoVersionId *id);

/* ---------------------------------------------- one version (scorer.c) */

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

	/* results for the images that were computed last */
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
 * Returns the scorer of a version on a path, for one image at a time.  *extra
 * (NULL at first) keeps the latest few in mcxt: fn_extra and fn_mcxt of a
 * function, or a caller's own.
 */
extern PneumoScorer *pneumo_scorer_get(void **extra, MemoryContext mcxt, const PneumoVersionId *id,
									   NnPath path);

/*
 * Returns a scorer for as many images at once as pneumo.predict_memory has room
 * for.  *extra must not be one that pneumo_scorer_get() uses.
 */
extern PneumoScorer *pneumo_scorer_get_batch(void **extra, MemoryContext mcxt, const PneumoVersionId *id,
											 NnPath path);

/* Returns whether pneumo.predict_memory has room for buffers for so many images at once. */
extern bool pneumo_scorer_has_room(const PneumoScorer *scorer, int rows);

/*
 * Scores one image (a bytea datum, toasted or not); the results are in the
 * scorer.  Returns false if the image cannot be decoded and on_bad_image is
 * PNEUMO_BAD_IMAGE_NULL; any other failure is an error.
 */
extern bool pneumo_scorer_run(PneumoScorer *scorer, Datum image, int on_bad_image, bool embed);

/* The same step by step, for those that gather a batch (scores.c, group_scan.c). */

/* Decodes an image into src of a row; returns and raises what pneumo_scorer_run() does. */
extern bool pneumo_scorer_decode(PneumoScorer *scorer, int row, Datum image, int on_bad_image);

/* Decodes an image into src of a row, and leaves errors to the caller, in error->status. */
extern void pneumo_scorer_read(PneumoScorer *scorer, int row, Datum image, ImgError *error);

/* Puts decoded pixels into src of a row. */
extern void pneumo_scorer_rescale(PneumoScorer *scorer, int row, const uint8 *pixels);

/* Computes the network's output for the first n rows of src. */
extern void pneumo_scorer_run_rows(PneumoScorer *scorer, int n);

/* Calibrates the output of a row: n_classes probabilities; raises an error if they are not finite. */
extern void pneumo_scorer_calibrate(double *calibrated, const PneumoScorer *scorer, int row);

/* Calibrates the output of a row, and returns false if the probabilities are not finite. */
extern bool pneumo_scorer_is_finite(double *calibrated, const PneumoScorer *scorer, int row);

/*
 * Returns the class of calibrated probabilities: by the operating point of two
 * classes, or the most probable.  Not for a version of findings.
 */
extern int pneumo_class_of(const PneumoModelMeta *meta, const double *calibrated);

/* Returns the score of that class, or of the positive one of two. */
extern double pneumo_score_of(const PneumoModelMeta *meta, const double *calibrated);

/* Tells whether a finding is there by its threshold. */
extern bool pneumo_finding_called(const PneumoModelMeta *meta, const double *calibrated, int finding);

/* Returns the names of the findings that are there by their thresholds, as a text[]. */
extern Datum pneumo_findings_datum(const PneumoModelMeta *meta, const double *calibrated);

/* Returns the probabilities of the findings by name. */
extern Jsonb *pneumo_findings_json(const PneumoModelMeta *meta, const double *calibrated);

/* Raises an error unless the version tells findings (wanted), or classes; function names the call. */
extern void pneumo_require_findings(const PneumoModelMeta *meta, bool wanted, const char *function,
									const char *hint);

/* ------------------------------------------ batches by slot (scores.c) */

/*
 * Holds the probabilities of many images, by slot.  Images wait until a batch of
 * them is there, which then shares one reading of the weights: a big dense layer
 * is read from memory once for the batch and not once for each image.  A score
 * has the same bits as alone.
 */
typedef struct PneumoScores
{
	PneumoScorer *scorer;
	double *probability;        /* n_classes a slot, calibrated; complete after finish */
	int64 n_slots;              /* there is room for so many */
	int64 slots[NN_GROUP_ROWS]; /* of the images that wait */
	int n_waiting;
} PneumoScores;

/* Starts, in the current memory context; the scorer comes from pneumo_scorer_get_batch(). */
extern void pneumo_scores_begin(PneumoScores *scores, PneumoScorer *scorer);

/* Adds an image; returns and raises what pneumo_scorer_run() does if it cannot be decoded. */
extern bool pneumo_scores_add(PneumoScores *scores, int64 slot, Datum image, int on_bad_image);

/* Adds decoded pixels: height * width * channels of the version's preprocessing. */
extern void pneumo_scores_add_pixels(PneumoScores *scores, int64 slot, const uint8 *pixels);

/* Scores the images that wait. */
extern void pneumo_scores_finish(PneumoScores *scores);

#endif /* PNEUMO_PG_PREDICT_H */
