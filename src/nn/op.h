/*-------------------------------------------------------------------------
 *
 * op.h
 *	  What an operation is: the functions that a node type consists of, and
 *	  the call that hands one step of one sample to them.  Owner: ops/ops.c.
 *
 * An operation (NnOp, defined in ops/op_*.c) describes a node type:
 * parameters, shape, variables, and how a sample goes forward and backward.
 * Operations that need the whole batch at once in training (Dense,
 * BatchNormalization) bring phases of their own.  Nothing outside ops/ knows a
 * node type by name; what the planner must know of one is said by flags.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_OP_H
#define PNEUMO_NN_OP_H

#include "activations.h"
#include "graph.h"
#include "nn.h"
#include "plan.h"

#include <stddef.h>
#include <stdint.h>

typedef struct NnWorker NnWorker; /* pool.h */

/*
 * One step for one sample.  Forward: writes dst (and mask, if not NULL) from
 * src.  Backward: overwrites dsrc[] (where not NULL) and adds to dweights
 * (where not NULL; the node's layout); ddst may be destroyed.  Both return
 * early, their results unfinished, when the thread is to stop (stop.h).
 *
 * mask: for each pooled pixel and each group of 16 channels four 16-bit words,
 * word k bit c set when pixel k (row-major) of the 2x2 window gave channel
 * c's maximum; the first of equal ones; none set where relu gave 0.
 */
typedef struct NnCall
{
	const NnStep *step;
	const NnNode *node;
	NnMode mode;
	NnPath path;
	NnPrecision precision; /* NN_PRECISION_FLOAT32 but in prediction */
	NnSgemm sgemm;
	const float *weights; /* of the node; int16: NULL where packed */
	const void *packed;   /* of the step, or NULL */
	void *scratch;        /* op->scratch_bytes, aligned */

	float *dst;
	const float *src[NN_MAX_INPUTS];
	size_t src_floats[NN_MAX_INPUTS];
	uint16_t *mask;

	float *ddst;
	float *dsrc[NN_MAX_INPUTS];
	float *dweights;

	uint64_t seed; /* dropout */
	uint32_t epoch;
	uint64_t sample; /* position in the epoch */
} NnCall;

/* A parallel loop over the batch; the number of items depends on the batch's size only. */
typedef struct NnOpPhase
{
	size_t (*items)(const NnTrainer *trainer, const NnStep *step);
	void (*run)(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker);
} NnOpPhase;

/* What an operation needs of its neighbours in the backward pass, and what the planner may do with it. */
#define NN_NEEDS_SRC 1
#define NN_NEEDS_DST 2
#define NN_ALIAS 4            /* the output is the input in another shape */
#define NN_ALIAS_INFERENCE 8  /* ... when not training */
#define NN_FUSE_ACTIVATION 16 /* takes a following NN_IS_ACTIVATION */
#define NN_FUSE_POOL 32       /* takes a following 2x2 NN_IS_MAX_POOLING */
#define NN_IS_ACTIVATION 64   /* nothing but an activation function */
#define NN_IS_MAX_POOLING 128 /* the maximum over node->window */
#define NN_IS_CONVOLUTION 256
#define NN_MOVES_VALUES 512 /* pools, pads, repeats or drops values: maps explain its input */
#define NN_FUSE_AFFINE 1024 /* in prediction takes a following op with affine(), folded into its kernel */

typedef struct NnOp
{
	NnOpInfo info;
	int flags;

	/* Checks the parameters and input shapes; fills shape, window, variables. */
	NnStatus (*shape)(NnNode *node, const NnShape *inputs, NnError *error);

	/* Returns the activation that is part of the node, and its slope; NULL: linear. */
	NnActivation (*activation)(const NnNode *node, float *slope);

	/* Returns the bytes of scratch for one thread; NULL: none. */
	size_t (*scratch_bytes)(const NnNode *node, const NnStep *step, NnMode mode, NnPath path,
							NnPrecision precision);

	/*
	 * Packs the weights in the order and format that a kernel likes; NULL, or 0
	 * bytes: the step runs from the float32 weights.  Precision int16 (only with
	 * NN_INFER): what is packed is all that forward() gets, the bias too;
	 * call->weights is NULL then.  Where step->affine is set (NN_FUSE_AFFINE),
	 * something must be packed, and weights are the folded kernel and a bias
	 * behind it (nn_step_bias()).
	 */
	size_t (*packed_bytes)(const NnNode *node, const NnStep *step, NnMode mode, NnPath path,
						   NnPrecision precision);
	void (*pack)(void *packed, const NnNode *node, const NnStep *step, const float *weights, NnMode mode,
				 NnPath path, NnPrecision precision);

	/*
	 * Computes the factor a and the constant b of each channel, for an operation
	 * that outside training is dst = src * a + b; NULL for all others.
	 */
	void (*affine)(float *a, float *b, const NnNode *node, const float *weights);

	/* Run one sample. */
	void (*forward)(const NnCall *call);
	void (*backward)(const NnCall *call);

	/*
	 * Runs n samples of the same call in prediction, their sources and outputs
	 * one behind the other; a sample's bits are those of forward().  NULL: none.
	 */
	void (*forward_rows)(const NnCall *call, int n);
	size_t (*rows_scratch_bytes)(const NnNode *node, int n, NnPrecision precision);

	/*
	 * Training: partial_floats returns the floats of one chunk's gradient sum,
	 * where that is not the node's weights themselves; finish makes the gradient
	 * of the chunks' sums, in finish_items items.  NULL: n_weights, and a plain
	 * sum.
	 */
	size_t (*partial_floats)(const NnNode *node, const NnStep *step, NnPath path);
	size_t (*finish_items)(const NnNode *node, const NnStep *step, NnPath path);
	void (*finish)(float *dweights, const float *partial, int n_chunks, size_t stride, const NnNode *node,
				   const NnStep *step, NnPath path, size_t item);

	/*
	 * The phases of the whole batch, in training; NULL: forward() for each
	 * sample, backward() for each chunk of samples and a sum over the chunks.
	 * train_weights: phases that make the gradients of the variables, run after
	 * all others.  Lists end with run NULL.
	 */
	const NnOpPhase *train_forward;
	const NnOpPhase *train_backward;
	const NnOpPhase *train_weights;

	/*
	 * Do the work of one sample of the first phase of train_forward or of
	 * train_backward, called as soon as its source or the gradient of its output
	 * is made, and the first phase is left out: what has just been written is
	 * read from the cache.  The samples of a chunk come in order.  NULL: none.
	 */
	void (*observe_src)(NnTrainer *trainer, const NnStep *step, size_t sample);
	void (*observe_ddst)(NnTrainer *trainer, const NnStep *step, size_t sample);
	size_t (*keep_bytes)(const NnNode *node);               /* per step, forward to update */
	size_t (*shared_bytes)(const NnNode *node, int batch);  /* during one step */
	void (*commit)(NnTrainer *trainer, const NnStep *step); /* at the update */
} NnOp;

/* Returns the operation of that number, which nn_op_info() must know. */
extern const NnOp *nn_op(int op);

/* Returns the operation of a node that nn_graph_add() has checked. */
extern const NnOp *nn_node_op(const NnNode *node);

#endif /* PNEUMO_NN_OP_H */
