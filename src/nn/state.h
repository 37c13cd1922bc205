/*-------------------------------------------------------------------------
 *
 * state.h
 *	  The state of a training run: what a checkpoint holds.  Owner: state.c.
 *
 * A state is the header below, then (each aligned to NN_ALIGN) the weights, the
 * best epoch's weights if they are kept, and the optimiser's slots, n_slots
 * blocks of n_weights floats.  It is in native byte order, for the machine and
 * the build that wrote it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_STATE_H
#define PNEUMO_NN_STATE_H

#include "callbacks.h"
#include "nn.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define NN_STATE_MAGIC UINT64_C(0x31455453554d4e50) /* "PNMUSTE1" */

typedef struct NnState
{
	uint64_t magic;
	uint64_t bytes; /* of the whole state */
	uint64_t n_weights;
	uint32_t n_slots;
	uint32_t has_best;    /* room for the best weights */
	uint64_t fingerprint; /* of graph, config and data sizes */
	uint64_t iteration;   /* optimiser steps done */
	int32_t epoch;        /* epochs finished */
	int32_t finished;     /* 1: training has ended */
	uint64_t step;        /* steps done in the current epoch */
	double loss_sum;      /* running sums of that epoch */
	double correct_sum;
	double sample_sum;
	double seconds;
	double rate; /* learning rate, before the schedule */
	NnStopping stopping;
	NnPlateau plateau;
	int32_t best_epoch; /* of the kept weights, from 1; 0 none */
	int32_t pad;
} NnState;

/* Returns the bytes of a whole state. */
extern size_t nn_state_bytes(size_t n_weights, int n_slots, int has_best);

/* Returns the current weights. */
extern float *nn_state_weights(NnState *state);

/* Returns the best epoch's weights; NULL if they are not kept. */
extern float *nn_state_best(NnState *state);

/* Returns the optimiser's slots. */
extern float *nn_state_slots(NnState *state);

/*
 * Returns a hash of what must be the same for a state to go on.  The number of
 * epochs is not part of it, since a resumed run may extend it.
 */
extern uint64_t nn_state_fingerprint(const NnGraph *graph, const NnTrainConfig *config,
									 const NnTrainData *data);

/* Checks that a state is whole and belongs to this graph, configuration and data. */
extern NnStatus nn_state_check(const NnState *state, size_t bytes, const NnGraph *graph,
							   const NnTrainConfig *config, const NnTrainData *data,
							   volatile sig_atomic_t *stop, NnError *error);

#endif /* PNEUMO_NN_STATE_H */
