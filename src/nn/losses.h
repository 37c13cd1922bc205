/*-------------------------------------------------------------------------
 *
 * losses.h
 *	  Binary and categorical cross-entropy, that of several findings, and
 *	  probabilities from logits.
 *	  Owner: losses.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_LOSSES_H
#define PNEUMO_NN_LOSSES_H

#include "activations.h"
#include "nn.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Returns the loss of one sample from its logits, before its weight.  Fills
 * gradient (of the loss by the logits, times scale) if it is not NULL, and
 * *correct: 1 when the most probable class (binary: probability > 0.5) is the
 * label.
 */
extern double nn_loss_logits(float *gradient, int *correct, const float *logits, int units, int32_t label,
							 double smoothing, double scale);

/* Returns how many of n targets (as in NnTrainData) are known. */
extern size_t nn_known_targets(const uint8_t *target, size_t n);

/*
 * Returns the sum of the losses of one sample's known findings, each times
 * weight and the weight that config has for the finding or its absence, with
 * config's label smoothing.  Fills gradient (of that sum divided by
 * known, by the logits; 0 of the unknown ones) if it is not NULL, and *correct:
 * how many of the known findings the probability is on the right side of 0.5 of.
 */
extern double nn_loss_findings(float *gradient, int *correct, const float *logits, int units,
							   const uint8_t *target, const NnTrainConfig *config, double weight,
							   double known);

/* Computes the probabilities of logits by the activation of the last node: sigmoid or softmax. */
extern void nn_probabilities(float *probabilities, const float *logits, int units, NnActivation activation);

#endif /* PNEUMO_NN_LOSSES_H */
