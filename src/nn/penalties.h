/*-------------------------------------------------------------------------
 *
 * penalties.h
 *	  What layers ask of their weights in training: regularisers, which add to
 *	  the loss, and constraints, which each update ends with.  Owner:
 *	  penalties.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_PENALTIES_H
#define PNEUMO_NN_PENALTIES_H

#include "graph.h"

#include <stddef.h>

/* Tells whether a variable has a regulariser that weighs something, or a constraint. */
extern int nn_is_regularized(const NnNodeVariable *variable);
extern int nn_is_constrained(const NnNodeVariable *variable);

/* Tells whether a trainable variable of the graph has one. */
extern int nn_graph_is_regularized(const NnGraph *graph);
extern int nn_graph_is_constrained(const NnGraph *graph);

/*
 * Returns the penalty of n weights, l1 |w| + l2 w^2 over all of them, and adds
 * its gradient to theirs: l1 sign(w) + 2 l2 w, which is 0 of |w| at 0.
 */
extern double nn_penalize(float *gradients, const float *weights, size_t n, const NnValue *regularizer);

/* Returns the penalty of all trainable variables. */
extern double nn_graph_penalty(const NnGraph *graph, const float *weights);

/*
 * Scales the weights of a variable to its constraint: along its axes to a norm of
 * at most the largest one, or of 1; or sets those below 0 to 0.
 */
extern void nn_constrain(float *weights, const NnNodeVariable *variable);

#endif /* PNEUMO_NN_PENALTIES_H */
