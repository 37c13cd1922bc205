/*-------------------------------------------------------------------------
 *
 * activations.c
 *	  Activation functions and their derivatives.
 *
 * Every derivative is taken from the function's output, so that the backward
 * pass needs no copy of the input.
 *
 *-------------------------------------------------------------------------
 */
#include "activations.h"
#include "nn.h"
#include "stop.h"

#include <math.h>

const char *const nn_activation_names[] = {"linear", "relu",    "leaky_relu", "sigmoid",
										   "tanh",   "softmax", NULL};

float
nn_sigmoid(float x)
{
	float e;

	/* the exponential of a negative number only: no overflow */
	if (x >= 0.0f)
		return 1.0f / (1.0f + expf(-x));
	e = expf(x);
	return e / (1.0f + e);
}

static void
softmax_row(float *x, size_t c)
{
	float high = x[0];
	float sum = 0.0f;
	size_t i;

	for (i = 1; i < c; i++)
		if (x[i] > high)
			high = x[i];
	if (c > NN_STOP_WORK && nn_stopped())
		return;
	for (i = 0; i < c; i++)
	{
		x[i] = expf(x[i] - high);
		sum += x[i];
		if (i % NN_STOP_WORK == NN_STOP_WORK - 1 && nn_stopped())
			return;
	}
	for (i = 0; i < c; i++)
		x[i] /= sum;
}

/* Computes dx_i = y_i (dy_i - sum_j dy_j y_j), in place. */
static void
softmax_row_backward(float *dx, const float *y, size_t c)
{
	float dot = 0.0f;
	size_t i;

	for (i = 0; i < c; i++)
		dot += dx[i] * y[i];
	for (i = 0; i < c; i++)
		dx[i] = y[i] * (dx[i] - dot);
}

/* Divides rows into values, between which all functions but softmax may stop. */
static void
by_values(size_t *rows, size_t *c, NnActivation kind)
{
	if (kind == NN_SOFTMAX)
		return;
	*rows *= *c;
	*c = 1;
}

static void
forward_rows(float *x, size_t rows, size_t c, NnActivation kind, float slope)
{
	size_t n = rows * c;
	size_t i;

	switch (kind)
	{
		case NN_LINEAR:
			break;
		case NN_RELU:
			/* a NaN stays one, so that the loss shows it */
			for (i = 0; i < n; i++)
				x[i] = x[i] < 0.0f ? 0.0f : x[i];
			break;
		case NN_LEAKY_RELU:
			for (i = 0; i < n; i++)
				x[i] = x[i] > 0.0f ? x[i] : slope * x[i];
			break;
		case NN_SIGMOID:
			for (i = 0; i < n; i++)
				x[i] = nn_sigmoid(x[i]);
			break;
		case NN_TANH:
			for (i = 0; i < n; i++)
				x[i] = tanhf(x[i]);
			break;
		case NN_SOFTMAX:
			for (i = 0; i < rows; i++)
				softmax_row(x + i * c, c);
			break;
	}
}

void
nn_activation_forward(float *x, size_t rows, size_t c, NnActivation kind, float slope)
{
	size_t most, count, i;

	if (kind == NN_LINEAR)
		return;
	by_values(&rows, &c, kind);
	most = nn_stop_items(c);
	for (i = 0; i < rows; i += count)
	{
		count = rows - i < most ? rows - i : most;
		forward_rows(x + i * c, count, c, kind, slope);
		if (i + count < rows && nn_stopped())
			return;
	}
}

static void
backward_rows(float *dx, const float *y, size_t rows, size_t c, NnActivation kind, float slope)
{
	size_t n = rows * c;
	size_t i;

	switch (kind)
	{
		case NN_LINEAR:
			break;
		case NN_RELU:
			for (i = 0; i < n; i++)
				dx[i] = y[i] > 0.0f ? dx[i] : 0.0f;
			break;
		case NN_LEAKY_RELU:
			for (i = 0; i < n; i++)
				dx[i] = y[i] > 0.0f ? dx[i] : slope * dx[i];
			break;
		case NN_SIGMOID:
			for (i = 0; i < n; i++)
				dx[i] *= y[i] * (1.0f - y[i]);
			break;
		case NN_TANH:
			for (i = 0; i < n; i++)
				dx[i] *= 1.0f - y[i] * y[i];
			break;
		case NN_SOFTMAX:
			for (i = 0; i < rows; i++)
				softmax_row_backward(dx + i * c, y + i * c, c);
			break;
	}
}

void
nn_activation_backward(float *dx, const float *y, size_t rows, size_t c, NnActivation kind, float slope)
{
	size_t most, count, i;

	if (kind == NN_LINEAR)
		return;
	by_values(&rows, &c, kind);
	most = nn_stop_items(c);
	for (i = 0; i < rows; i += count)
	{
		count = rows - i < most ? rows - i : most;
		backward_rows(dx + i * c, y + i * c, count, c, kind, slope);
		if (i + count < rows && nn_stopped())
			return;
	}
}
