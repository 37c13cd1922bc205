/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  What training and validation take from prediction.  Owner: engine.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_ENGINE_H
#define PNEUMO_NN_ENGINE_H

#include "nn.h"
#include "plan.h"

#include <signal.h>
#include <stddef.h>

/* Returns the largest scratch that a step of the plan needs. */
extern size_t nn_plan_scratch_bytes(const NnPlan *plan, const NnGraph *graph, NnPath path,
									NnPrecision precision);

/*
 * Returns the bytes of the packed weights of all steps, and fills the offset
 * of each (SIZE_MAX where it packs nothing) if offsets is not NULL.
 */
extern size_t nn_packed_layout(size_t *offsets, const NnPlan *plan, const NnGraph *graph, NnMode mode,
							   NnPath path, NnPrecision precision);

/* Scores as nn_engine_run() does, in a thread that has set its floating-point flags. */
extern NnStatus nn_engine_samples(float *probabilities, float *logits, float *embedding, const float *src,
								  int n, const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop);

/*
 * Runs one step of the plan for one sample, on what an earlier run has left in
 * the scratch: a bench measures the steps one by one.
 */
extern NnStatus nn_engine_step(const NnEngine *engine, const float *src, int step, void *scratch);

#endif /* PNEUMO_NN_ENGINE_H */
