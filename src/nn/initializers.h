/*-------------------------------------------------------------------------
 *
 * initializers.h
 *	  Initial weights.  Owner: initializers.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_INITIALIZERS_H
#define PNEUMO_NN_INITIALIZERS_H

#include "graph.h"
#include "nn.h"

#include <stdint.h>

/* v[0] of an initialiser's NnValue; behind each what v[1..3] mean. */
typedef enum NnInitializer
{
	NN_INIT_CONSTANT,   /* v[1] */
	NN_INIT_UNIFORM,    /* v[1] minval, v[2] maxval */
	NN_INIT_NORMAL,     /* v[1] mean, v[2] stddev */
	NN_INIT_TRUNCATED,  /* the same, within two stddev */
	NN_INIT_VARIANCE,   /* v[1] scale, v[2] NnFan, v[3] NnDraw */
	NN_INIT_ORTHOGONAL, /* v[1] gain; at least 2 dimensions */
	NN_INIT_IDENTITY,   /* v[1] gain; 2 dimensions */
	NN_INIT_COUNT
} NnInitializer;

typedef enum NnFan
{
	NN_FAN_IN,
	NN_FAN_OUT,
	NN_FAN_AVG
} NnFan;

typedef enum NnDraw
{
	NN_DRAW_TRUNCATED,
	NN_DRAW_NORMAL,
	NN_DRAW_UNIFORM
} NnDraw;

/* Tells whether the numbers are those of an initialiser. */
extern int nn_initializer_valid(const NnValue *value);

/* Checks that a node's variables can be drawn as they say: dimensions, work. */
extern NnStatus nn_initializers_check(const NnNode *node, NnError *error);

/* Draws one variable's weights; number is its place among the graph's variables. */
extern void nn_initialize(float *weights, const NnNodeVariable *variable, uint64_t seed, uint32_t number);

#endif /* PNEUMO_NN_INITIALIZERS_H */
