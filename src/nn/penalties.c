/*-------------------------------------------------------------------------
 *
 * penalties.c
 *	  Regularisers and constraints of variables, as Keras defines them.
 *
 *-------------------------------------------------------------------------
 */
#include "penalties.h"

#include "stop.h"

#include <math.h>

#define EPSILON 1e-7f /* keras.config.epsilon() */

int
nn_is_regularized(const NnNodeVariable *variable)
{
	return variable->trainable && (variable->regularizer.v[0] > 0 || variable->regularizer.v[1] > 0);
}

int
nn_is_constrained(const NnNodeVariable *variable)
{
	return variable->trainable && variable->constraint.v[0] != NN_UNCONSTRAINED;
}

/* Tells whether any variable of the graph is what is asked for. */
static int
any_variable(const NnGraph *graph, int (*is)(const NnNodeVariable *variable))
{
	int i, j;

	for (i = 0; i < graph->n_nodes; i++)
		for (j = 0; j < graph->nodes[i].n_vars; j++)
			if (is(&graph->nodes[i].vars[j]))
				return 1;
	return 0;
}

int
nn_graph_is_regularized(const NnGraph *graph)
{
	return any_variable(graph, nn_is_regularized);
}

int
nn_graph_is_constrained(const NnGraph *graph)
{
	return any_variable(graph, nn_is_constrained);
}

/* Returns the penalty of n weights. */
static double
penalty(const float *weights, size_t n, const NnValue *regularizer)
{
	double sum = 0.0;
	double squares = 0.0;
	size_t i;

	for (i = 0; i < n; i++)
	{
		sum += fabsf(weights[i]);
		squares += (double) weights[i] * weights[i];
	}
	return regularizer->v[0] * sum + regularizer->v[1] * squares;
}

double
nn_penalize(float *gradients, const float *weights, size_t n, const NnValue *regularizer)
{
	float l1 = (float) regularizer->v[0];
	float l2 = (float) (2.0 * regularizer->v[1]);
	size_t i;

	for (i = 0; i < n; i++)
	{
		float w = weights[i];

		gradients[i] += l1 * (float) ((w > 0.0f) - (w < 0.0f)) + l2 * w;
	}
	return penalty(weights, n, regularizer);
}

double
nn_graph_penalty(const NnGraph *graph, const float *weights)
{
	double sum = 0.0;
	size_t start, n;
	int i, j;

	for (i = 0; i < graph->n_nodes; i++)
		for (j = 0; j < graph->nodes[i].n_vars; j++)
		{
			const NnNodeVariable *v = &graph->nodes[i].vars[j];

			if (!nn_is_regularized(v))
				continue;
			for (start = 0; start < v->count && !nn_stopped(); start += n)
			{
				n = v->count - start < NN_STOP_WORK ? v->count - start : NN_STOP_WORK;
				sum += penalty(weights + graph->nodes[i].weights + v->offset + start, n, &v->regularizer);
			}
		}
	return sum;
}

/* Returns the factor that brings weights of this norm to the constraint. */
static float
factor(float norm, const NnValue *constraint)
{
	float largest = (float) constraint->v[1];

	if (constraint->v[0] == NN_UNIT_NORM)
		return 1.0f / (EPSILON + norm);
	return (norm < largest ? norm : largest) / (EPSILON + norm);
}

/*
 * A walk over the places of a variable: of the axes of the norm, or of the
 * others.  The axes that the walk leaves out stand still.
 */
typedef struct Walk
{
	size_t count[4], stride[4];
	size_t total;
} Walk;

static Walk
walk_of(const NnNodeVariable *variable, int axes)
{
	Walk walk;
	size_t stride = 1;
	int i;

	walk.total = 1;
	for (i = 3; i >= 0; i--)
	{
		size_t dim = i < variable->rank ? (size_t) variable->dims[i] : 1;

		walk.count[i] = axes >> i & 1 ? dim : 1;
		walk.stride[i] = stride;
		walk.total *= walk.count[i];
		stride *= dim;
	}
	return walk;
}

/* Returns the offset of a walk's place. */
static size_t
place(const Walk *walk, size_t i)
{
	size_t at = 0;
	int k;

	for (k = 3; k >= 0; k--)
	{
		at += i % walk->count[k] * walk->stride[k];
		i /= walk->count[k];
	}
	return at;
}

void
nn_constrain(float *weights, const NnNodeVariable *variable)
{
	int axes = (int) variable->constraint.v[2];
	Walk kept = walk_of(variable, ~axes);
	Walk within = walk_of(variable, axes);
	size_t work = 0;
	size_t i, k;

	if (variable->constraint.v[0] == NN_NON_NEG)
	{
		for (i = 0; i < variable->count && !nn_stop_due(&work, 1); i++)
			if (!(weights[i] >= 0.0f))
				weights[i] = 0.0f;
		return;
	}
	for (i = 0; i < kept.total; i++)
	{
		float *w = weights + place(&kept, i);
		double squares = 0.0;
		float by;

		if (nn_stop_due(&work, 8 * within.total))
			return;
		for (k = 0; k < within.total; k++)
		{
			float x = w[place(&within, k)];

			squares += (double) x * x;
		}
		by = factor((float) sqrt(squares), &variable->constraint);
		for (k = 0; k < within.total; k++)
			w[place(&within, k)] *= by;
	}
}
