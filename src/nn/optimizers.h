/*-------------------------------------------------------------------------
 *
 * optimizers.h
 *	  What a training step needs of an optimiser: its slots, the scalars of a
 *	  step, and a check of its settings.  Owner: optimizers.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_OPTIMIZERS_H
#define PNEUMO_NN_OPTIMIZERS_H

#include "kernels/kernels.h"
#include "nn.h"

#include <stddef.h>
#include <stdint.h>

/* Returns how many floats the optimiser keeps per weight. */
extern int nn_optimizer_slots(const NnOptimizer *optimizer);

/* Checks the optimiser's numbers and their combination. */
extern NnStatus nn_optimizer_check(const NnOptimizer *optimizer, NnError *error);

/* Fills the scalars of the step number iteration (from 0) at a learning rate. */
extern void nn_update_init(NnUpdate *update, const NnOptimizer *optimizer, double rate, uint64_t iteration);

/*
 * Points to the slots of the weights from offset on; slot k of weight i is
 * base[k * stride + i].
 */
extern void nn_update_slots(NnSlots *slots, float *base, size_t stride, size_t offset,
							const NnOptimizer *optimizer);

#endif /* PNEUMO_NN_OPTIMIZERS_H */
