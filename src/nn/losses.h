/*-------------------------------------------------------------------------
 *
 * losses.h
 *	  Binary and categorical cross-entropy, and probabilities from logits.
 *	  Owner: losses.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_LOSSES_H
#define PNEUMO_NN_LOSSES_H

#include <stdint.h>

/*
 * Returns the loss of one sample from its logits, before its weight.  Fills
 * gradient (of the loss by the logits, times scale) if it is not NULL, and
 * *correct: 1 when the most probable class (binary: probability > 0.5) is the
 * label.
 */
extern double nn_loss_logits(float *gradient, int *correct, const float *logits, int units, int32_t label,
							 double smoothing, double scale);

/* Computes the probabilities of logits: the sigmoid of one, the softmax of more. */
extern void nn_probabilities(float *probabilities, const float *logits, int units);

#endif /* PNEUMO_NN_LOSSES_H */
