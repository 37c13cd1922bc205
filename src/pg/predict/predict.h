/*-------------------------------------------------------------------------
 *
 * predict.h
 *	  Images through one version, again and again: engine, buffers and
 *	  calibration, one image at a time or in batches of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_PREDICT_H
#define PNEUMO_PG_PREDICT_H

#include "utils/array.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/engine/engine.h"

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
extern PneumoScorer *pneumo_scorer_get_batch(void **extra, MemoryContext mcxt, const PneumoVersionId *id,
											 NnPath path);

/* Returns whether pneumo.predict_memory has room for buffers for so many images at once. */
extern bool pneumo_scorer_has_room(const PneumoScorer *scorer, int rows);

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

/* ------------------------------------------ batches by slot (scores.c) */

/*
 * Probabilities of many images, by slot.  Images wait until a batch of them is
 * there, which then shares one reading of the weights: a big dense layer is read
 * from memory once for the batch and not once for each image.  A score has the
 * same bits as alone.
 */
typedef struct PneumoScores
{
	PneumoScorer *scorer;
	double *probability;        /* n_classes a slot, calibrated; of all after finish */
	int64 n_slots;              /* there is room for so many */
	int64 slots[NN_GROUP_ROWS]; /* of those that wait */
	int n_waiting;
} PneumoScores;

/* In the current memory context; the scorer is one of pneumo_scorer_get_batch(). */
extern void pneumo_scores_begin(PneumoScores *scores, PneumoScorer *scorer);

/* Adds an image; false if it cannot be decoded, as pneumo_scorer_run(). */
extern bool pneumo_scores_add(PneumoScores *scores, int64 slot, Datum image, int on_bad_image);

/* Adds decoded pixels: height * width * channels of the version's preprocessing. */
extern void pneumo_scores_add_pixels(PneumoScores *scores, int64 slot, const uint8 *pixels);

/* Scores those that wait. */
extern void pneumo_scores_finish(PneumoScores *scores);

#endif /* PNEUMO_PG_PREDICT_H */
