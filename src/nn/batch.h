/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  The running batch, as the phases of a training step see it.
 *	  Owner: batch.c.
 *
 * A batch lies in the trainer's arena as a sample does in an engine's, every
 * buffer times the batch's size.  Sums over its samples are made of at most
 * NN_CHUNKS partial sums over consecutive samples, added in order, so that
 * they have the same bits on any number of threads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_BATCH_H
#define PNEUMO_NN_BATCH_H

#include "graph.h"
#include "kernels/kernels.h"
#include "op.h"
#include "plan.h"
#include "pool.h"
#include "trainer.h"

#include <stddef.h>

#define NN_CHUNKS 8 /* partial sums of a gradient over samples */

/* Returns the node whose operation a step runs. */
static inline const NnNode *
nn_batch_node(const NnTrainer *trainer, const NnStep *step)
{
	return &trainer->graph->nodes[step->node];
}

/* Returns a step's number in the plan. */
static inline size_t
nn_step_index(const NnTrainer *trainer, const NnStep *step)
{
	return (size_t) (step - nn_plan_steps(trainer->plan));
}

/* Returns the number of chunks of a batch of n samples. */
static inline int
nn_chunk_count(int n)
{
	return n < NN_CHUNKS ? n : NN_CHUNKS;
}

/* Returns the first sample of chunk i of a batch of n samples. */
static inline int
nn_chunk_start(int n, size_t i)
{
	return (int) ((size_t) n * i / (size_t) nn_chunk_count(n));
}

/* Returns the chunk that a sample of a batch of n belongs to. */
static inline size_t
nn_chunk_of(int n, int sample)
{
	size_t i = 0;

	while (i + 1 < (size_t) nn_chunk_count(n) && nn_chunk_start(n, i + 1) <= sample)
		i++;
	return i;
}

/* Return the items of a phase that is done once, by sample, and by chunk of samples. */
extern size_t nn_one_item(const NnTrainer *trainer, const NnStep *step);
extern size_t nn_sample_items(const NnTrainer *trainer, const NnStep *step);
extern size_t nn_chunk_items(const NnTrainer *trainer, const NnStep *step);

/* Returns a buffer of the plan for all samples of the batch, one behind the other. */
extern float *nn_batch_buffer(const NnTrainer *trainer, int buffer);

/* Returns a tensor for all samples of the batch, one behind the other. */
extern float *nn_batch_tensor(const NnTrainer *trainer, int tensor);

/* Returns the gradient of a tensor that needs one, for all samples of the batch. */
extern float *nn_batch_gradient(const NnTrainer *trainer, int tensor);

/* Fills the call of a step for one sample of the batch; dweights is left NULL. */
extern void nn_batch_call(NnCall *call, const NnTrainer *trainer, const NnStep *step, int sample,
						  const NnWorker *worker);

/* Points to the optimiser's slots of the weights from offset on. */
extern void nn_batch_slots(NnSlots *slots, const NnTrainer *trainer, size_t offset);

/* Applies the gradients of count weights from offset on to them, by trainer->update. */
extern void nn_batch_update(const NnTrainer *trainer, size_t offset, const float *gradients, size_t count,
							float scale);

#endif /* PNEUMO_NN_BATCH_H */
