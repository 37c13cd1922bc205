/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  The memory plan of a graph: fused steps, the tensors between them, and
 *	  where each tensor lies.  Owner: plan.c.
 *
 * A graph has two plans, one for inference and one for training; an
 * explanation builds a third in its scratch.  A plan is flat like the graph:
 * the struct, then arrays at the offsets that it holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_PLAN_H
#define PNEUMO_NN_PLAN_H

#include "activations.h"
#include "graph.h"
#include "nn.h"

#include <stddef.h>

typedef enum NnMode
{
	NN_INFER,   /* forward only, moving statistics, no dropout */
	NN_EXPLAIN, /* the same, and backward to one node */
	NN_TRAINING
} NnMode;

/*
 * A piece of the arena, alive from step time first to last.  Sizes and offsets
 * are for one sample; a batch has them all times its size.
 */
typedef struct NnBuffer
{
	size_t bytes;
	size_t offset;
	int first, last;
} NnBuffer;

typedef struct NnTensor
{
	int node;      /* whose output it is */
	size_t floats; /* of one sample */
	int need_gradient;
	int buffer;      /* -1: the network's input, which lies elsewhere */
	int gradient;    /* buffer, or -1 */
	int n_gradients; /* steps that make its gradient or a part of it */
} NnTensor;

/*
 * One fused step.  The gradient of input j goes to buffer dsrc[j]; where add[j]
 * is set that is a buffer of its own, to be added to the tensor's gradient.
 */
typedef struct NnStep
{
	int node;     /* whose operation runs */
	int affine;   /* node whose factors are folded into the weights, or -1 */
	int out_node; /* the last node fused into it */
	NnActivation activation;
	float slope;  /* of leaky_relu */
	int pool;     /* 1: 2x2 max pooling of stride 2 at the end */
	NnShape full; /* shape before that pooling */
	NnShape out;
	int n_src;
	int src[NN_MAX_INPUTS];  /* tensors */
	int dst;                 /* tensor */
	int mask;                /* buffer of the pooling's winners, or -1 */
	int dsrc[NN_MAX_INPUTS]; /* buffers, -1 where not needed */
	int add[NN_MAX_INPUTS];
	int need_weights; /* 1: has trainable variables */
} NnStep;

typedef struct NnPlan
{
	NnMode mode;
	int n_steps;
	int n_tensors;
	int n_buffers;
	int output;         /* tensor of the logits */
	size_t arena_bytes; /* for one sample */
	size_t bytes;       /* of the plan itself */
	size_t steps_offset, tensors_offset, buffers_offset, node_tensor_offset, order_offset;
} NnPlan;

struct NnPlanOptions
{
	NnMode mode;
	int keep_node;      /* must stay a tensor of its own; -1 none */
	int no_fusion;      /* 1: every node a tensor (tests) */
	int input_gradient; /* 1: the input's gradient too */
};

/* Returns the plan of inference of a finished graph. */
static inline const NnPlan *
nn_graph_plan(const NnGraph *graph)
{
	return (const NnPlan *) ((const char *) graph + graph->plan_offset[0]);
}

/* Returns the plan of training of a finished graph. */
static inline const NnPlan *
nn_graph_train_plan(const NnGraph *graph)
{
	return (const NnPlan *) ((const char *) graph + graph->plan_offset[1]);
}

/* Returns the plan's steps, in the order in which they run forward. */
static inline NnStep *
nn_plan_steps(const NnPlan *plan)
{
	return (NnStep *) ((char *) plan + plan->steps_offset);
}

/* Returns the plan's tensors; the first is the network's input. */
static inline NnTensor *
nn_plan_tensors(const NnPlan *plan)
{
	return (NnTensor *) ((char *) plan + plan->tensors_offset);
}

/* Returns the plan's buffers. */
static inline NnBuffer *
nn_plan_buffers(const NnPlan *plan)
{
	return (NnBuffer *) ((char *) plan + plan->buffers_offset);
}

/* Returns the tensor of each node's output, -1 where fusion made it vanish. */
static inline int *
nn_plan_node_tensor(const NnPlan *plan)
{
	return (int *) ((char *) plan + plan->node_tensor_offset);
}

/* Returns the bytes of a plan of the graph. */
extern size_t nn_plan_bytes(const NnGraph *graph, NnMode mode);

/* Returns the bytes of a plan of any graph with up to max_nodes nodes. */
extern size_t nn_plan_bytes_max(int max_nodes, NnMode mode);

/* Builds a plan in nn_plan_bytes() bytes; fails only where the activations are too large. */
extern NnStatus nn_plan_build(NnPlan *plan, const NnGraph *graph, const NnPlanOptions *options,
							  NnError *error);

#endif /* PNEUMO_NN_PLAN_H */
