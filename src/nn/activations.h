/*-------------------------------------------------------------------------
 *
 * activations.h
 *	  Activation functions and their derivatives.  Owner: activations.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_ACTIVATIONS_H
#define PNEUMO_NN_ACTIVATIONS_H

#include <stddef.h>

/* In the order of nn_activation_names (nn.h). */
typedef enum NnActivation
{
	NN_LINEAR = 0,
	NN_RELU,
	NN_LEAKY_RELU,
	NN_SIGMOID,
	NN_TANH,
	NN_SOFTMAX
} NnActivation;

/* Returns the logistic function of x, without overflow for any x. */
extern float nn_sigmoid(float x);

/* Applies the function in place to rows of c values; softmax is taken over a row. */
extern void nn_activation_forward(float *x, size_t rows, size_t c, NnActivation kind, float slope);

/* Multiplies dx by the derivative in place, which it computes from the output y. */
extern void nn_activation_backward(float *dx, const float *y, size_t rows, size_t c, NnActivation kind,
								   float slope);

#endif /* PNEUMO_NN_ACTIVATIONS_H */
