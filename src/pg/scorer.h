/*-------------------------------------------------------------------------
 *
 * scorer.h
 *	  One image through one version, again and again: engine, buffers and
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
	MemoryContext cxt;			/* of everything here */
	PneumoEngine *engine;
	PneumoEngine *explain;		/* NULL until it is asked for */
	const PneumoModelMeta *meta;	/* the engine's */
	NnPath		path;
	int			output_units;	/* 1 or n_classes */
	int			embedding_units;
	uint64		used;			/* when, for keeping the latest few */

	/* results of the last run */
	double	   *calibrated;		/* n_classes: probability of each class */
	float	   *probabilities;	/* output_units: the network's own */
	float	   *logits;			/* output_units */
	float	   *embedding;		/* embedding_units, if it was asked for */

	/* buffers */
	uint8	   *pixels;			/* height * width * channels */
	double		n_bytes;		/* of these */
	float	   *src;
	void	   *scratch;
} PneumoScorer;

/*
 * The scorer of a version on a path.  *extra (NULL at first) keeps the latest
 * few in mcxt: fn_extra and fn_mcxt of a function, or a caller's own.
 */
extern PneumoScorer *pneumo_scorer_get(void **extra, MemoryContext mcxt,
									   const PneumoVersionId *id, NnPath path);

/*
 * Runs one image (a bytea datum, toasted or not).  False if it cannot be
 * decoded and on_bad_image is PNEUMO_BAD_IMAGE_NULL; else an error.
 */
extern bool pneumo_scorer_run(PneumoScorer *scorer, Datum image, int on_bad_image, bool embed);

/* The same for pixels that are decoded already: height * width * channels of the version's preprocessing. */
extern void pneumo_scorer_run_pixels(PneumoScorer *scorer, const uint8 *pixels, bool embed);

/* Only decodes: fills pixels and src. */
extern bool pneumo_scorer_decode(PneumoScorer *scorer, Datum image, int on_bad_image);

/* Of the last run: the class by the operating point (two) or the most probable; its score (two: of the positive). */
extern int	pneumo_scorer_class(const PneumoScorer *scorer);
extern double pneumo_scorer_score(const PneumoScorer *scorer);

/* A real[] of n_dims dimensions. */
extern ArrayType *pneumo_real_array(const float *values, int n_dims, const int *dims);

/* The bytes of an image, detoasted unless too large; false (with *error) then. */
extern bool pneumo_image_bytes(bytea **bytes, Datum image, ImgError *error);

#endif							/* PNEUMO_PG_SCORER_H */
