/*-------------------------------------------------------------------------
 *
 * train_step.h
 *	  The program of one training step.  Owner: train_step.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_TRAIN_STEP_H
#define PNEUMO_NN_TRAIN_STEP_H

#include "nn.h"
#include "pool.h"
#include "trainer.h"

#include <stddef.h>

/* Returns a bound of the phases of a step, for which the trainer's layout makes room. */
extern int nn_step_phase_limit(const NnGraph *graph);

/* Fills the trainer's phases and its program. */
extern void nn_step_build(NnTrainer *trainer);

/* Loads sample item of the next batch. */
extern void nn_step_background(NnTrainer *trainer, size_t item, NnWorker *worker);

/*
 * Divides the trainable weights into the blocks of update items and returns
 * how many there are; fills blocks if it is not NULL, and the number of
 * variables.
 */
extern size_t nn_step_update_blocks(NnUpdateBlock *blocks, int *n_variables, const NnGraph *graph,
									int keep_gradients);

#endif /* PNEUMO_NN_TRAIN_STEP_H */
