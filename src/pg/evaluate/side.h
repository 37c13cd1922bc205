/*-------------------------------------------------------------------------
 *
 * side.h
 *	  The rows of one side of a table that a version is judged by: what
 *	  pneumo_evaluate, pneumo_compare and the pictures of a model share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_SIDE_H
#define PNEUMO_PG_SIDE_H

#include "pg/evaluate/evaluation.h"

#include "stats/stats.h"

#define PNEUMO_SIDE_ALL 3 /* after the values of PneumoSplit */

extern const char *const pneumo_side_names[]; /* train, validation, test, all */

/* The rows that are judged, in the order of the dataset. */
typedef struct PneumoSide
{
	int split; /* index into pneumo_side_names */
	int64 *samples;
	int64 n;
	int64 groups;
	int64 positive;
} PneumoSide;

/* Config key "split", default test; held-out rows need a transaction that may write. */
extern int pneumo_side_split(Jsonb *given, const char *function);

/* Marks the sides to be scored; to be called before pneumo_evaluation_read(). */
extern void pneumo_side_want(PneumoEvaluation *e, int split);

/* After reading: leaves out rows that a version has seen. */
extern void pneumo_side_hold_out(PneumoEvaluation *e, int64 version, int split);

/* The rows that are left; errors if there is none. */
extern void pneumo_side_collect(PneumoSide *side, const PneumoEvaluation *e, int split);

/* Scores of the positive class; probability: two a scored row, by slot. */
extern double *pneumo_side_scores(const PneumoSide *side, const PneumoEvaluation *e,
								  const double *probability);

/* The scores with label and patient. */
extern StatsRows pneumo_side_rows(const PneumoSide *side, const PneumoEvaluation *e, const double *score);

/* The same for any number of classes; probability: n_classes a scored row, by slot. */
extern StatsClassRows pneumo_side_class_rows(const PneumoSide *side, const PneumoEvaluation *e,
											 const double *probability);

/* Counts a look at held-out rows; how many there were at this side. */
extern int64 pneumo_side_look(const PneumoVersionId *id, const PneumoSide *side, const char *source,
							  const char *metrics);

#endif /* PNEUMO_PG_SIDE_H */
