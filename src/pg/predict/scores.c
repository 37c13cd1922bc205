/*-------------------------------------------------------------------------
 *
 * scores.c
 *	  Gathers the probabilities of many images, by slot.
 *
 * For evaluations, which want all scores at the end and an error at once; see
 * group_scan.c for the batches of queries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "pg/predict/predict.h"

#define FIRST_SLOTS 1024

void
pneumo_scores_begin(PneumoScores *scores, PneumoScorer *scorer)
{
	memset(scores, 0, sizeof(*scores));
	scores->scorer = scorer;
	scores->n_slots = FIRST_SLOTS;
	scores->probability = MemoryContextAllocHuge(CurrentMemoryContext,
												 scores->n_slots * scorer->meta->n_classes * sizeof(double));
}

void
pneumo_scores_finish(PneumoScores *scores)
{
	int n_classes = scores->scorer->meta->n_classes;
	int i;

	if (scores->n_waiting == 0)
		return;
	pneumo_scorer_run_rows(scores->scorer, scores->n_waiting);
	for (i = 0; i < scores->n_waiting; i++)
		pneumo_scorer_calibrate(scores->probability + scores->slots[i] * n_classes, scores->scorer, i);
	scores->n_waiting = 0;
}

/* Adds the image that is in the next row of src to those that wait. */
static void
wait_for_others(PneumoScores *scores, int64 slot)
{
	if (slot >= scores->n_slots)
	{
		scores->n_slots = Max(slot + 1, scores->n_slots * 2);
		scores->probability =
			repalloc_huge(scores->probability,
						  scores->n_slots * scores->scorer->meta->n_classes * sizeof(double));
	}
	scores->slots[scores->n_waiting++] = slot;
	if (scores->n_waiting == scores->scorer->max_rows)
		pneumo_scores_finish(scores);
}

bool
pneumo_scores_add(PneumoScores *scores, int64 slot, Datum image, int on_bad_image)
{
	if (!pneumo_scorer_decode(scores->scorer, scores->n_waiting, image, on_bad_image))
		return false;
	wait_for_others(scores, slot);
	return true;
}

void
pneumo_scores_add_pixels(PneumoScores *scores, int64 slot, const uint8 *pixels)
{
	pneumo_scorer_rescale(scores->scorer, scores->n_waiting, pixels);
	wait_for_others(scores, slot);
}
