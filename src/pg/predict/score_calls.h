/*-------------------------------------------------------------------------
 *
 * score_calls.h
 *	  What the functions that score an image give, for one image at a time
 *	  (predict.c) and for batches of rows (group_plan.c, group_scan.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_SCORE_CALLS_H
#define PNEUMO_PG_SCORE_CALLS_H

#include "access/tupdesc.h"

#include "pg/predict/predict.h"

/* In the order of score_functions in predict.c. */
typedef enum PneumoScoreKind
{
	PNEUMO_SCORE_PROBABILITY, /* pneumo_predict: float8 */
	PNEUMO_SCORE_RAW,         /* pneumo_predict_raw: float8 */
	PNEUMO_SCORE_CLASS,       /* pneumo_classify: text */
	PNEUMO_SCORE_ROW          /* pneumo_score: (score, class, sha256) */
} PneumoScoreKind;

/* Those that can be asked for one class, in the third argument. */
#define pneumo_score_has_class(kind) ((kind) <= PNEUMO_SCORE_RAW)

/* Whether a function is one of these, called directly (no SECURITY DEFINER or SET around it). */
extern bool pneumo_score_kind(Oid function, PneumoScoreKind *kind);

/* The class that a number is for: the named one; for NULL the positive one of two; -1 if there is none. */
extern int pneumo_class_index(const PneumoModelMeta *meta, const char *class_name);

/*
 * The result for a row of the last run, whose calibrated probabilities are in
 * scorer->calibrated; in the current memory context.  class_index is used by
 * those that have a class; id and desc (blessed) by PNEUMO_SCORE_ROW.
 */
extern Datum pneumo_score_datum(PneumoScoreKind kind, PneumoScorer *scorer, int row, int class_index,
								const PneumoVersionId *id, TupleDesc desc);

#endif /* PNEUMO_PG_SCORE_CALLS_H */
