/*-------------------------------------------------------------------------
 *
 * activations.c
 *	  Activation functions and their derivatives.
 *
 * A derivative is taken from the function's output, so that the backward pass
 * needs no copy of the input.  Where the output does not tell, since the
 * function falls and rises, it is taken from the input.
 *
 *-------------------------------------------------------------------------
 */
#include "activations.h"
#include "nn.h"
#include "stop.h"

#include <math.h>
#include <string.h>

const char *const nn_activation_names[] = {"linear",   "relu",  "leaky_relu", "sigmoid", "tanh",
										   "softmax",  "relu6", "elu",        "selu",    "hard_sigmoid",
										   "softplus", "silu",  "hard_silu",  "gelu",    "gelu_tanh",
										   "mish",     NULL};

#define SELU_ALPHA 1.67326324f
#define SELU_SCALE 1.05070098f

int
nn_activation_find(const char *name)
{
	int i;

	for (i = 0; nn_activation_names[i] != NULL; i++)
		if (strcmp(nn_activation_names[i], name) == 0)
			return i;
	return -1;
}

int
nn_activation_stands_alone(int kind)
{
	return kind >= NN_SILU && kind < NN_ACTIVATIONS;
}

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

static float
softplus(float x)
{
	return log1pf(expf(-fabsf(x))) + (x > 0.0f ? x : 0.0f);
}

/* Returns the argument of the hyperbolic tangent in gelu's approximation. */
static float
gelu_argument(float x)
{
	return 0.797884561f * (x + 0.044715f * x * x * x);
}

/* Computes a function that nn_activation_stands_alone(). */
static float
alone(float x, NnActivation kind)
{
	switch (kind)
	{
		case NN_SILU:
			return x * nn_sigmoid(x);
		case NN_HARD_SILU:
			return x <= -3.0f ? 0.0f * x : x >= 3.0f ? x : x * (x + 3.0f) / 6.0f;
		case NN_GELU:
			return 0.5f * x * (1.0f + erff(x * 0.707106781f));
		case NN_GELU_TANH:
			return 0.5f * x * (1.0f + tanhf(gelu_argument(x)));
		case NN_MISH:
			return x * tanhf(softplus(x));
		default:
			return x;
	}
}

/* Computes the derivative of such a function from its input. */
static float
alone_derivative(float x, NnActivation kind)
{
	float s, t;

	switch (kind)
	{
		case NN_SILU:
			s = nn_sigmoid(x);
			return s * (1.0f + x * (1.0f - s));
		case NN_HARD_SILU:
			return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : (2.0f * x + 3.0f) / 6.0f;
		case NN_GELU:
			return 0.5f * (1.0f + erff(x * 0.707106781f)) + x * 0.398942280f * expf(-0.5f * x * x);
		case NN_GELU_TANH:
			t = tanhf(gelu_argument(x));
			return 0.5f * (1.0f + t) +
				   0.5f * x * (1.0f - t * t) * 0.797884561f * (1.0f + 3.0f * 0.044715f * x * x);
		case NN_MISH:
			t = tanhf(softplus(x));
			return t + x * (1.0f - t * t) * nn_sigmoid(x);
		default:
			return 1.0f;
	}
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
		case NN_RELU6:
			for (i = 0; i < n; i++)
				x[i] = x[i] < 0.0f ? 0.0f : x[i] > slope ? slope : x[i];
			break;
		case NN_ELU:
			for (i = 0; i < n; i++)
				x[i] = x[i] > 0.0f ? x[i] : slope * expm1f(x[i]);
			break;
		case NN_SELU:
			for (i = 0; i < n; i++)
				x[i] = SELU_SCALE * (x[i] > 0.0f ? x[i] : SELU_ALPHA * expm1f(x[i]));
			break;
		case NN_HARD_SIGMOID:
			for (i = 0; i < n; i++)
			{
				float y = slope * x[i] + 0.5f;

				x[i] = y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;
			}
			break;
		case NN_SOFTPLUS:
			for (i = 0; i < n; i++)
				x[i] = softplus(x[i]);
			break;
		case NN_SILU:
		case NN_HARD_SILU:
		case NN_GELU:
		case NN_GELU_TANH:
		case NN_MISH:
			for (i = 0; i < n; i++)
				x[i] = alone(x[i], kind);
			break;
		case NN_ACTIVATIONS:
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
		case NN_RELU6:
			for (i = 0; i < n; i++)
				dx[i] = y[i] > 0.0f && y[i] < slope ? dx[i] : 0.0f;
			break;
		case NN_ELU:
			for (i = 0; i < n; i++)
				dx[i] = y[i] > 0.0f ? dx[i] : (y[i] + slope) * dx[i];
			break;
		case NN_SELU:
			for (i = 0; i < n; i++)
				dx[i] *= y[i] > 0.0f ? SELU_SCALE : y[i] + SELU_SCALE * SELU_ALPHA;
			break;
		case NN_HARD_SIGMOID:
			for (i = 0; i < n; i++)
				dx[i] = y[i] > 0.0f && y[i] < 1.0f ? slope * dx[i] : 0.0f;
			break;
		case NN_SOFTPLUS:
			for (i = 0; i < n; i++)
				dx[i] *= -expm1f(-y[i]);
			break;
		case NN_SILU:
		case NN_HARD_SILU:
		case NN_GELU:
		case NN_GELU_TANH:
		case NN_MISH:
			for (i = 0; i < n; i++)
				dx[i] *= alone_derivative(y[i], kind);
			break;
		case NN_ACTIVATIONS:
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
