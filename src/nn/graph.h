/*-------------------------------------------------------------------------
 *
 * graph.h
 *	  What a graph is made of: nodes, their windows and their variables.
 *	  Owner: graph.c.
 *
 * A graph is one flat piece of memory without pointers, so that memcpy()
 * copies it: the struct, its nodes, and after nn_graph_finish() the two plans
 * (plan.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_GRAPH_H
#define PNEUMO_NN_GRAPH_H

#include "activations.h"
#include "nn.h"

#include <stddef.h>
#include <stdint.h>

#define NN_MAX_NODE_VARIABLES 4

#define NN_SPREAD_H 1
#define NN_SPREAD_W 2
#define NN_SPREAD_C 4

typedef struct NnPlanOptions NnPlanOptions; /* plan.h */

/* A sliding window: of a convolution or a pooling. */
typedef struct NnWindow
{
	int kh, kw, sh, sw, dh, dw, /* size, strides, dilation */
		top, left;              /* zero rows above, zero columns to the left */
} NnWindow;

typedef struct NnNodeVariable
{
	char name[24];
	int rank;
	int dims[4];
	size_t offset; /* floats, from the node's first weight */
	size_t count;
	int trainable;
	NnValue initializer;
	NnValue regularizer;
	NnValue constraint;
} NnNodeVariable;

typedef struct NnNode
{
	NnNodeSpec spec;
	NnShape shape;                       /* of the output */
	NnShape in;                          /* of the first input */
	NnWindow window;                     /* where the operation has one */
	int groups;                          /* of a Conv2D */
	unsigned char spread[NN_MAX_INPUTS]; /* NN_SPREAD_*: where an input of one row, column or
									 * channel serves them all */
	int n_vars;
	NnNodeVariable vars[NN_MAX_NODE_VARIABLES];
	size_t weights; /* offset of the node's weights */
	size_t n_weights;
	size_t n_trainable;
	uint64_t multiply_adds;
	int n_consumers;
	int consumer; /* the last of them */
} NnNode;

struct NnGraph
{
	uint32_t magic;
	int max_nodes;
	int n_nodes;
	int finished;
	int units;
	int n_variables;
	NnActivation output_activation; /* sigmoid or softmax */
	size_t n_weights;
	size_t plan_offset[2]; /* bytes from the graph: the plans of inference
								 * and of training */
	NnNode nodes[];
};

/* Returns the number of pixels of a shape; 1 for a row. */
static inline size_t
nn_shape_pixels(const NnShape *shape)
{
	return (size_t) shape->h * (size_t) shape->w;
}

/* Returns the number of values of a shape. */
static inline size_t
nn_shape_floats(const NnShape *shape)
{
	return (size_t) shape->h * (size_t) shape->w * (size_t) shape->c;
}

/* Gives a node the shape of its output, after a check of its size. */
extern NnStatus nn_set_shape(NnNode *node, int rank, int h, int w, size_t c, NnError *error);

/* Closes a graph as nn_graph_finish() does, with chosen options of the training plan; for tests. */
extern NnStatus nn_graph_finish_as(NnGraph *graph, int output, const NnPlanOptions *training, NnError *error);

#endif /* PNEUMO_NN_GRAPH_H */
