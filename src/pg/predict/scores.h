/*-------------------------------------------------------------------------
 *
 * scores.h
 *	  Probabilities of many images, by slot.
 *
 * Images wait until a group of them is there, which then shares one reading of
 * the weights: a big dense layer is read from memory once and not for each.  A
 * score has the same bits as alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_SCORES_H
#define PNEUMO_PG_SCORES_H

#include "pg/predict/scorer.h"

typedef struct PneumoScores
{
	PneumoScorer *scorer;
	double *probability;        /* n_classes a slot, calibrated; of all after finish */
	int64 n_slots;              /* there is room for so many */
	int64 slots[NN_GROUP_ROWS]; /* of those that wait */
	int n_waiting;
} PneumoScores;

/* In the current memory context; the scorer is one of pneumo_scorer_get_group(). */
extern void pneumo_scores_begin(PneumoScores *scores, PneumoScorer *scorer);

/* Adds an image; false if it cannot be decoded, as pneumo_scorer_run(). */
extern bool pneumo_scores_add(PneumoScores *scores, int64 slot, Datum image, int on_bad_image);

/* Adds decoded pixels: height * width * channels of the version's preprocessing. */
extern void pneumo_scores_add_pixels(PneumoScores *scores, int64 slot, const uint8 *pixels);

/* Scores those that wait. */
extern void pneumo_scores_finish(PneumoScores *scores);

#endif /* PNEUMO_PG_SCORES_H */
