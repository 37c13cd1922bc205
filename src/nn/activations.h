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
	NN_SOFTMAX,
	NN_RELU6, /* parameter: the ceiling */
	NN_ELU,   /* parameter: alpha */
	NN_SELU,
	NN_HARD_SIGMOID, /* parameter: the slope, 1/6 in Keras 3 and 0.2 in Keras 2 */
	NN_SOFTPLUS,
	NN_SILU, /* from here on: nn_activation_stands_alone() */
	NN_HARD_SILU,
	NN_GELU,
	NN_GELU_TANH, /* its approximation */
	NN_MISH,
	NN_ACTIVATIONS
} NnActivation;

/* Returns the logistic function of x, without overflow for any x. */
extern float nn_sigmoid(float x);

/* Applies the function in place to rows of c values; softmax is taken over a row.  slope is its parameter. */
extern void nn_activation_forward(float *x, size_t rows, size_t c, NnActivation kind, float slope);

/*
 * Multiplies dx by the derivative in place, which it computes from y: the
 * output, or the input of a function that stands alone.
 */
extern void nn_activation_backward(float *dx, const float *y, size_t rows, size_t c, NnActivation kind,
								   float slope);

#endif /* PNEUMO_NN_ACTIVATIONS_H */
