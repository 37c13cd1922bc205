/*-------------------------------------------------------------------------
 *
 * trainer.h
 *	  The trainer: everything that one training run needs.  Owner: trainer.c.
 *
 * How a network runs
 *	 graph   nodes as the user wrote them                  (graph.c)
 *	 plan    steps: a node with what is fused into it, the tensors between
 *	         the steps, and where each tensor lies          (plan.c)
 *	 call    one step for one sample: pointers to everything (NnCall)
 *	 phase   a parallel loop of the training program: items of fixed shape,
 *	         a barrier after it                             (pool.c)
 *
 * README.md tells the same at length, and why results do not depend on the
 * number of threads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_TRAINER_H
#define PNEUMO_NN_TRAINER_H

#include "kernels/kernels.h"
#include "nn.h"
#include "plan.h"
#include "pool.h"
#include "state.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A stretch of one variable that an update item works on. */
typedef struct NnUpdateBlock
{
	size_t offset, count;
	int variable; /* number among the blocks' variables */
	const NnNodeVariable *of;
} NnUpdateBlock;

struct NnTrainer
{
	const NnGraph *graph;
	NnTrainConfig config;
	NnTrainData data;
	NnPath path;
	NnSgemm sgemm;
	int units;
	size_t n_steps;     /* of an epoch */
	int need_norms;     /* clipping by a norm */
	int penalized;      /* a trainable variable has a regulariser */
	int constrained;    /* ... a constraint */
	int keep_gradients; /* one of these: the gradients of all variables are made before any update */

	NnPool pool;
	NnState *state;
	float *weights, *best, *slots;

	const NnPlan *plan; /* nn_graph_train_plan() */
	char *arena;
	char *keep; /* of each step, keep_offset[step] */
	size_t *keep_offset;
	char *shared;          /* of the running step */
	char *packed;          /* training form of the weights */
	size_t *packed_offset; /* of each step; SIZE_MAX none */
	float *gradients;      /* flat, as the weights */
	float *partial;        /* NN_CHUNKS partial sums of one node */
	NnUpdateBlock *blocks;
	size_t n_blocks;
	int n_block_variables;
	double *block_sums; /* of each block: its penalty, then its sum of squares */
	float *scales;      /* of each block's variable */

	float *input[2]; /* the batch and the next */
	int current;
	uint32_t *order; /* the epoch's permutation */
	int order_epoch; /* that it is of; -1 none */

	NnPhase *phases; /* of a training step */
	int n_phases;
	NnProgram program;

	/* the running batch */
	int n;        /* its samples */
	size_t first; /* position of its first sample in the epoch */
	int n_next;
	size_t next_first;
	NnUpdate update;
	double batch_loss; /* sum of weight * loss */
	double batch_correct;
	atomic_int load_failed;
	int not_finite;
	volatile int updating; /* the state is between two steps */
	NnStatus once;         /* of what a program does once, in one thread */
	NnError once_error;

	/* validation */
	NnEngine engine;
	void *engine_packed;
	int val_rows; /* samples of an item of validation */
	float *val_scores, *val_logits;
	float *score_dst; /* where scores go */
	atomic_size_t val_done;

	const NnTrainHooks *hooks;
	double started; /* clock at the start of the measured stretch */
};

#endif /* PNEUMO_NN_TRAINER_H */
