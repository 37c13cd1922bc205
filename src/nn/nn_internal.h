/*-------------------------------------------------------------------------
 *
 * nn_internal.h
 *	  The network core's internal header: what the files of src/nn share.
 *	  Nothing outside src/nn (and its unit tests) includes it.
 *
 * How a network runs
 *	 graph   nodes as the user wrote them                  (graph.c)
 *	 plan    steps: a node with what is fused into it, the tensors between
 *	         the steps, and where each tensor lies          (plan.c)
 *	 call    one step for one sample: pointers to everything (NnCall)
 *	 phase   a parallel loop of the training program: items of fixed shape,
 *	         a barrier after it                             (pool.c)
 *
 * An operation (NnOp, one file op_*.c each) describes a node type: parameters,
 * shape, variables, and how a sample goes forward and backward.  Operations
 * that need the whole batch at once in training (Dense, BatchNormalization)
 * bring phases of their own.
 *
 * Why results do not depend on the number of threads: every item of a phase
 * has a shape that depends on the batch size only, writes memory of its own,
 * and sums over samples are made of at most NN_CHUNKS partial sums over
 * consecutive samples, added in order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_NN_INTERNAL_H
#define PNEUMO_NN_NN_INTERNAL_H

#include "kernels/kernels.h"
#include "nn.h"

#include <pthread.h>
#include <stdatomic.h>

#define NN_MAX_NODE_VARIABLES 4
#define NN_MAX_THREADS 256
#define NN_CHUNKS 8   /* partial sums of a gradient over samples */
#define NN_POLL_MS 50 /* the caller's waiting time between polls */

/* ------------------------------------------------- overflow-checked sizes */

/* A sum or product that overflowed is SIZE_MAX and stays so. */
static inline size_t
nn_add_size(size_t a, size_t b)
{
	return (a > SIZE_MAX - b) ? SIZE_MAX : a + b;
}

static inline size_t
nn_mul_size(size_t a, size_t b)
{
	return (a != 0 && b > SIZE_MAX / a) ? SIZE_MAX : a * b;
}

/* Rounds up to NN_ALIGN. */
static inline size_t
nn_align_size(size_t a)
{
	return (a > SIZE_MAX - NN_ALIGN) ? SIZE_MAX : (a + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN;
}

/* a + b, b aligned: the step of every layout function. */
static inline size_t
nn_grow(size_t a, size_t b)
{
	return nn_add_size(a, nn_align_size(b));
}

/* --------------------------------------------------------------- errors */

/* Fills *error (which may be NULL) and returns status. */
extern NnStatus nn_fail(NnError *error, NnStatus status, int node, const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* ---------------------------------------------------------- activations */

typedef enum NnActivation
{
	NN_LINEAR = 0,
	NN_RELU,
	NN_LEAKY_RELU,
	NN_SIGMOID,
	NN_TANH,
	NN_SOFTMAX
} NnActivation;

extern float nn_sigmoid(float x);

/* In place over rows of c values (softmax is over a row). */
extern void nn_activation_forward(float *x, size_t rows, size_t c, NnActivation kind, float slope);

/* dx *= f'(x), from the output y = f(x), in place. */
extern void nn_activation_backward(float *dx, const float *y, size_t rows, size_t c, NnActivation kind,
								   float slope);

/* ------------------------------------------------------------------ graph */

/* A sliding window: of a convolution or a pooling. */
typedef struct NnWindow
{
	int kh, kw, sh, sw, top, /* zero rows above, zero columns to the left */
		left;
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
} NnNodeVariable;

typedef struct NnNode
{
	NnNodeSpec spec;
	NnShape shape;   /* of the output */
	NnShape in;      /* of the first input */
	NnWindow window; /* where the operation has one */
	int n_vars;
	NnNodeVariable vars[NN_MAX_NODE_VARIABLES];
	size_t weights; /* offset of the node's weights */
	size_t n_weights;
	size_t n_trainable;
	uint64_t multiply_adds;
	int n_consumers;
	int consumer; /* the last of them */
} NnNode;

typedef struct NnPlan NnPlan;

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

static inline size_t
nn_shape_pixels(const NnShape *shape)
{
	return (size_t) shape->h * (size_t) shape->w;
}

static inline size_t
nn_shape_floats(const NnShape *shape)
{
	return (size_t) shape->h * (size_t) shape->w * (size_t) shape->c;
}

static inline const NnPlan *
nn_graph_plan(const NnGraph *graph)
{
	return (const NnPlan *) ((const char *) graph + graph->plan_offset[0]);
}

static inline const NnPlan *
nn_graph_train_plan(const NnGraph *graph)
{
	return (const NnPlan *) ((const char *) graph + graph->plan_offset[1]);
}

/* ------------------------------------------------------------------- plan */

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
	int buffer;   /* -1: the network's input, which lies elsewhere */
	int gradient; /* buffer, or -1 */
} NnTensor;

/*
 * One fused step.  The gradient of input j goes to buffer dsrc[j]; where add[j]
 * is set that is a buffer of its own, to be added to the tensor's gradient.
 */
typedef struct NnStep
{
	int node;     /* whose operation runs */
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

struct NnPlan
{
	NnMode mode;
	int n_steps;
	int n_tensors;
	int n_buffers;
	int output;         /* tensor of the logits */
	size_t arena_bytes; /* for one sample */
	size_t total_bytes; /* sum of the buffers: a bound of arena_bytes */
	size_t bytes;       /* of the plan itself */
	size_t steps_offset, tensors_offset, buffers_offset, node_tensor_offset, order_offset;
};

static inline NnStep *
nn_plan_steps(const NnPlan *plan)
{
	return (NnStep *) ((char *) plan + plan->steps_offset);
}

static inline NnTensor *
nn_plan_tensors(const NnPlan *plan)
{
	return (NnTensor *) ((char *) plan + plan->tensors_offset);
}

static inline NnBuffer *
nn_plan_buffers(const NnPlan *plan)
{
	return (NnBuffer *) ((char *) plan + plan->buffers_offset);
}

/* Tensor of each node's output, -1 where fusion made it vanish. */
static inline int *
nn_plan_node_tensor(const NnPlan *plan)
{
	return (int *) ((char *) plan + plan->node_tensor_offset);
}

typedef struct NnPlanOptions
{
	NnMode mode;
	int keep_node;      /* must stay a tensor of its own; -1 none */
	int no_fusion;      /* 1: every node a tensor (tests) */
	int input_gradient; /* 1: the input's gradient too */
} NnPlanOptions;

extern size_t nn_plan_bytes(const NnGraph *graph, NnMode mode);
extern size_t nn_plan_bytes_max(int max_nodes, NnMode mode);
extern NnStatus nn_plan_build(NnPlan *plan, const NnGraph *graph, const NnPlanOptions *options,
							  NnError *error);

/* nn_graph_finish() with chosen options of the training plan, for tests. */
extern NnStatus nn_graph_finish_as(NnGraph *graph, int output, const NnPlanOptions *training, NnError *error);

/* ------------------------------------------------------------------ calls */

/*
 * One step for one sample.  Forward: writes dst (and mask, if not NULL) from
 * src.  Backward: overwrites dsrc[] (where not NULL) and adds to dweights
 * (where not NULL; the node's layout); ddst may be destroyed.
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

typedef struct NnPool NnPool;

typedef struct NnWorker
{
	NnPool *pool;
	int index;
	void *scratch; /* steps, forward and backward */
	void *load_scratch;
	void *engine_scratch;
	float *samples; /* a group of inputs, for validation */
} NnWorker;

/* A parallel loop over the batch; the number of items depends on n only. */
typedef struct NnOpPhase
{
	size_t (*items)(const NnTrainer *trainer, const NnStep *step);
	void (*run)(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker);
} NnOpPhase;

/* What an operation needs of its neighbours in the backward pass. */
#define NN_NEEDS_SRC 1
#define NN_NEEDS_DST 2
#define NN_ALIAS 4            /* the output is the input in another shape */
#define NN_ALIAS_INFERENCE 8  /* ... when not training */
#define NN_FUSE_ACTIVATION 16 /* takes a following Activation node */
#define NN_FUSE_POOL 32       /* takes a following 2x2 MaxPooling2D */

typedef struct NnOp
{
	NnOpInfo info;
	int flags;

	/* Checks the parameters and input shapes; fills shape, window, variables. */
	NnStatus (*shape)(NnNode *node, const NnShape *inputs, NnError *error);

	/* The activation that is part of the node; NULL: linear. */
	NnActivation (*activation)(const NnNode *node, float *slope);

	/* Bytes for one thread; may be NULL. */
	size_t (*scratch_bytes)(const NnNode *node, const NnStep *step, NnMode mode, NnPath path,
							NnPrecision precision);

	/*
	 * Weights in the order and format a kernel likes; may be NULL, and 0 bytes:
	 * the step runs from the float32 weights.  Precision int16 (only with
	 * NN_INFER): what is packed is all that forward() gets, the bias too;
	 * call->weights is NULL then.
	 */
	size_t (*packed_bytes)(const NnNode *node, const NnStep *step, NnMode mode, NnPath path,
						   NnPrecision precision);
	void (*pack)(void *packed, const NnNode *node, const NnStep *step, const float *weights, NnMode mode,
				 NnPath path, NnPrecision precision);

	/* One sample. */
	void (*forward)(const NnCall *call);
	void (*backward)(const NnCall *call);

	/*
	 * n samples of the same call in prediction, their sources and outputs one
	 * behind the other; a sample's bits are those of forward().  NULL: none.
	 */
	void (*forward_rows)(const NnCall *call, int n);
	size_t (*rows_scratch_bytes)(const NnNode *node, int n, NnPrecision precision);

	/*
	 * Training: floats of one chunk's gradient sum, if not the node's weights
	 * themselves; and how the chunks' sums become the gradient, in items.
	 * NULL: n_weights, and a plain sum.
	 */
	size_t (*partial_floats)(const NnNode *node, const NnStep *step, NnPath path);
	size_t (*finish_items)(const NnNode *node, const NnStep *step, NnPath path);
	void (*finish)(float *dweights, const float *partial, int n_chunks, size_t stride, const NnNode *node,
				   const NnStep *step, NnPath path, size_t item);

	/*
	 * The whole batch, in training; NULL: forward() for each sample, backward()
	 * for each chunk of samples and a sum over the chunks.  weights: phases that
	 * make the gradients of the variables, run after all others.  Lists end
	 * with run NULL.
	 */
	const NnOpPhase *train_forward;
	const NnOpPhase *train_backward;
	const NnOpPhase *train_weights;
	size_t (*keep_bytes)(const NnNode *node);               /* per step, forward to update */
	size_t (*shared_bytes)(const NnNode *node, int batch);  /* during one step */
	void (*commit)(NnTrainer *trainer, const NnStep *step); /* at the update */
} NnOp;

extern const NnOp *nn_op(int op); /* of a node that was checked */
extern const NnOp *nn_node_op(const NnNode *node);

extern const NnOp nn_op_input, nn_op_conv2d, nn_op_depthwise_conv2d, nn_op_max_pooling, nn_op_average_pooling,
	nn_op_global_average_pooling, nn_op_global_max_pooling, nn_op_flatten, nn_op_dense, nn_op_dropout,
	nn_op_batch_normalization, nn_op_activation, nn_op_relu, nn_op_leaky_relu, nn_op_softmax, nn_op_add,
	nn_op_concatenate, nn_op_rescaling;

/*
 * Where in the source the pixel under tap (y, x) of an output pixel's window
 * begins, in values; -1 outside the image.
 */
static inline ptrdiff_t
nn_tap_pixel(const NnNode *node, int oy, int ox, int y, int x)
{
	const NnWindow *w = &node->window;
	int sy = oy * w->sh + y - w->top;
	int sx = ox * w->sw + x - w->left;

	if (sy < 0 || sy >= node->in.h || sx < 0 || sx >= node->in.w)
		return -1;
	return ((ptrdiff_t) sy * node->in.w + sx) * node->in.c;
}

/*
 * Conv2D of any shape (conv2d_general.c).  patches is scratch of
 * nn_conv2d_patch_bytes(); full is the map before 2x2 pooling, mask as in
 * NnStep.  nn_conv2d_weights() adds to call->dweights.
 */
extern size_t nn_conv2d_patch_bytes(const NnNode *node);
extern void nn_conv2d_forward(const NnCall *call, float *full, float *patches);
extern void nn_conv2d_weights(const NnCall *call, const float *dfull, float *patches);
extern void nn_conv2d_data(const NnCall *call, const float *dfull, float *patches);
extern void nn_conv2d_pool(float *dst, uint16_t *mask, const float *full, const NnStep *step);
extern void nn_conv2d_unpool(float *dfull, const float *ddst, const uint16_t *mask, const NnStep *step);

/* Shared by the operations: parameter rows, checks, variables (op_common.c). */
extern const char *const nn_padding_names[]; /* "valid", "same" */
extern const NnRefused nn_refused_data_format;

extern NnStatus nn_need_rank(const NnNode *node, const NnShape *shape, int rank, NnError *error);
extern NnStatus nn_window_init(NnNode *node, int kh, int kw, int sh, int sw, int same, int *oh, int *ow,
							   NnError *error);
extern NnStatus nn_set_shape(NnNode *node, int rank, int h, int w, size_t c, NnError *error);
extern NnNodeVariable *nn_add_variable(NnNode *node, const char *name, int trainable,
									   const NnValue *initializer, int rank, int d0, int d1, int d2, int d3);
extern NnActivation nn_value_activation(const NnValue *value, float *slope);

#define NN_PARAM_ROW_ACTIVATION {"activation", NN_PARAM_ACTIVATION, 0, 0, 0, {{NN_LINEAR, 0.2}}, NULL}
#define NN_PARAM_ROW_BOOL(key, def) {key, NN_PARAM_BOOL, 0, 0, 1, {{def}}, NULL}
#define NN_PARAM_ROW_ZEROS(key) {key, NN_PARAM_INITIALIZER, 0, 0, 0, {{NN_INIT_CONSTANT, 0}}, NULL}
#define NN_PARAM_ROW_ONES(key) {key, NN_PARAM_INITIALIZER, 0, 0, 0, {{NN_INIT_CONSTANT, 1}}, NULL}
#define NN_PARAM_ROW_GLOROT(key) \
	{key, NN_PARAM_INITIALIZER, 0, 0, 0, {{NN_INIT_VARIANCE, 1, NN_FAN_AVG, NN_DRAW_UNIFORM}}, NULL}

/* ------------------------------------------------------------ initialisers */

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

extern int nn_initializer_valid(const NnValue *value);
/* Whether a node's variables can be drawn as they say: dimensions, work. */
extern NnStatus nn_initializers_check(const NnNode *node, NnError *error);
extern void nn_initialize(float *weights, const NnNodeVariable *variable, uint64_t seed, uint32_t number);

/* ------------------------------------------------------------------ losses */

/*
 * Loss of one sample from its logits, before its weight; fills gradient (of the
 * loss by the logits, times scale) if not NULL, and *correct: 1 when the most
 * probable class (binary: probability > 0.5) is the label.
 */
extern double nn_loss_logits(float *gradient, int *correct, const float *logits, int units, int32_t label,
							 double smoothing, double scale);

/* The probabilities of logits: sigmoid of one, softmax of more. */
extern void nn_probabilities(float *probabilities, const float *logits, int units);

/* -------------------------------------------------------------- optimisers */

extern int nn_optimizer_slots(const NnOptimizer *optimizer); /* floats per weight */
extern NnStatus nn_optimizer_check(const NnOptimizer *optimizer, NnError *error);
extern void nn_update_init(NnUpdate *update, const NnOptimizer *optimizer, double rate, uint64_t iteration);

/* Slot pointers of the weights from offset on; slot k of weight i is base[k * stride + i]. */
extern void nn_update_slots(NnSlots *slots, float *base, size_t stride, size_t offset,
							const NnOptimizer *optimizer);

/* Learning rate at a step (from 0) by the schedule, base being the current rate. */
extern double nn_schedule_rate(const NnOptimizer *optimizer, double base, uint64_t iteration);

/* --------------------------------------------------------------- callbacks */

typedef struct NnStopping
{
	double best;
	int32_t has_best;
	int32_t wait;
	int32_t best_epoch; /* from 0; -1 none */
	int32_t pad;
} NnStopping;

typedef struct NnPlateau
{
	double best;
	int32_t wait;
	int32_t cooldown;
} NnPlateau;

extern void nn_stopping_init(NnStopping *stopping);

/* epoch counts from 0.  *save: this epoch's weights are to be kept.  1: stop. */
extern int nn_stopping_update(NnStopping *stopping, const NnTrainConfig *config, int epoch, double value,
							  int *save);
extern void nn_plateau_init(NnPlateau *plateau, const NnTrainConfig *config);

/* Returns the learning rate from here on. */
extern double nn_plateau_update(NnPlateau *plateau, const NnTrainConfig *config, double value, double rate);

/* ------------------------------------------------------------------ random */

typedef enum NnPurpose
{
	NN_RANDOM_INIT = 1,
	NN_RANDOM_SHUFFLE,
	NN_RANDOM_DROPOUT
} NnPurpose;

/* A permutation of 0..n-1, a function of (seed, epoch). */
extern void nn_random_permutation(uint32_t *order, size_t n, uint64_t seed, uint32_t epoch);

/* ------------------------------------------------------- floating point */

/* Sets FTZ and DAZ; returns what nn_fpenv_restore() needs. */
extern unsigned int nn_fpenv_set(void);
extern void nn_fpenv_restore(unsigned int saved);

/* ------------------------------------------------------------------- pool */

/*
 * A program of phases, run by all threads with a barrier after each phase.
 * Background items are taken by threads that wait at a barrier; the last phase
 * leaves none undone.
 */
typedef struct NnPhase
{
	size_t (*items)(const NnTrainer *trainer, const NnStep *step);
	void (*run)(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker);
	const NnStep *step;
	int commit; /* 1: from here on a stop waits for the end */
} NnPhase;

typedef struct NnProgram
{
	const NnPhase *phases;
	int n_phases;
	size_t n_background;
	void (*background)(NnTrainer *trainer, size_t item, NnWorker *worker);
} NnProgram;

struct NnPool
{
	pthread_mutex_t mutex;
	pthread_cond_t work;    /* a program is there, or the end */
	pthread_cond_t barrier; /* the next phase is there */
	pthread_cond_t done;    /* the program is done */
	int initialized;
	int n_threads; /* wanted */
	int n_started;
	int quit;
	pthread_t threads[NN_MAX_THREADS];
	NnWorker *workers;
	NnTrainer *trainer;

	const NnProgram *program; /* NULL: idle */
	unsigned int generation;
	int phase;
	int arrived;
	int running; /* threads still in the program */
	int aborted; /* stopped before its commit */
	int committed;
	size_t n_items;
	atomic_size_t next_item;
	atomic_size_t next_background;
	volatile sig_atomic_t stop;
};

/* Asks the running program to stop; from any thread. */
static inline void
nn_pool_request_stop(NnPool *pool)
{
	__atomic_store_n(&pool->stop, 1, __ATOMIC_RELAXED);
}

static inline int
nn_pool_stopping(const NnPool *pool)
{
	return __atomic_load_n(&pool->stop, __ATOMIC_RELAXED) != 0;
}

extern void nn_pool_init(NnPool *pool, NnTrainer *trainer, NnWorker *workers, int n_threads);
extern NnStatus nn_pool_start(NnPool *pool, NnError *error);
extern void nn_pool_stop(NnPool *pool);

/* Called while a program runs; nonzero stops it. */
typedef int (*NnPoolTick)(NnTrainer *trainer, void *arg);

/*
 * Runs a program; 1 when it ran to its end, 0 when it was stopped before its
 * commit.  Without threads it runs in the caller.
 */
extern int nn_pool_run(NnPool *pool, const NnProgram *program, NnPoolTick tick, void *arg);

/* ------------------------------------------------------------------ state */

/*
 * What a checkpoint holds: this header, then (each aligned to NN_ALIGN) the
 * weights, the best epoch's weights if they are kept, and the optimiser's
 * slots, n_slots blocks of n_weights floats.  Native byte order: a state is
 * for the machine and build that wrote it.
 */
#define NN_STATE_MAGIC UINT64_C(0x31455453554d4e50) /* "PNMUSTE1" */

typedef struct NnState
{
	uint64_t magic;
	uint64_t bytes; /* of the whole state */
	uint64_t n_weights;
	uint32_t n_slots;
	uint32_t has_best;    /* room for the best weights */
	uint64_t fingerprint; /* of graph, config and data sizes */
	uint64_t iteration;   /* optimiser steps done */
	int32_t epoch;        /* epochs finished */
	int32_t finished;     /* 1: training has ended */
	uint64_t step;        /* steps done in the current epoch */
	double loss_sum;      /* running sums of that epoch */
	double correct_sum;
	double sample_sum;
	double seconds;
	double rate; /* learning rate, before the schedule */
	NnStopping stopping;
	NnPlateau plateau;
	int32_t best_epoch; /* of the kept weights, from 1; 0 none */
	int32_t pad;
} NnState;

extern size_t nn_state_bytes(size_t n_weights, int n_slots, int has_best);
extern float *nn_state_weights(NnState *state);
extern float *nn_state_best(NnState *state); /* NULL if not kept */
extern float *nn_state_slots(NnState *state);
extern uint64_t nn_state_fingerprint(const NnGraph *graph, const NnTrainConfig *config,
									 const NnTrainData *data);
extern NnStatus nn_state_check(const NnState *state, size_t bytes, const NnGraph *graph,
							   const NnTrainConfig *config, const NnTrainData *data, NnError *error);

/* ---------------------------------------------------------------- trainer */

/* A stretch of one variable that an update item works on. */
typedef struct NnUpdateBlock
{
	size_t offset, count;
	int variable; /* number among the blocks' variables */
} NnUpdateBlock;

struct NnTrainer
{
	const NnGraph *graph;
	NnTrainConfig config;
	NnTrainData data;
	NnPath path;
	NnSgemm sgemm;
	int units;
	size_t n_steps; /* of an epoch */
	int need_norms; /* clipping by a norm: gradients are kept */

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
	double *block_norms; /* sum of squares of each block */
	float *scales;       /* of each block's variable */

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

	/* validation */
	NnEngine engine;
	void *engine_packed;
	int val_group; /* samples of an item of validation */
	float *val_scores, *val_logits;
	float *score_dst; /* where scores go */
	atomic_size_t val_done;

	const NnTrainHooks *hooks;
	double started; /* clock at the start of the measured stretch */
};

/* Access to the batch, for phases. */
extern float *nn_batch_tensor(const NnTrainer *trainer, int tensor);
extern float *nn_batch_buffer(const NnTrainer *trainer, int buffer);
extern void nn_batch_call(NnCall *call, const NnTrainer *trainer, const NnStep *step, int sample,
						  const NnWorker *worker);

/* Applies the gradients of count weights from offset on to them, by trainer->update. */
extern void nn_trainer_update(NnTrainer *trainer, size_t offset, const float *gradients, size_t count);

static inline size_t
nn_step_index(const NnTrainer *trainer, const NnStep *step)
{
	return (size_t) (step - nn_plan_steps(trainer->plan));
}

/* Chunks of a batch of n samples, and the first sample of chunk i. */
static inline int
nn_chunk_count(int n)
{
	return n < NN_CHUNKS ? n : NN_CHUNKS;
}

static inline int
nn_chunk_start(int n, size_t i)
{
	return (int) ((size_t) n * i / (size_t) nn_chunk_count(n));
}

/* train_step.c */
extern int nn_step_phase_limit(const NnGraph *graph);
extern void nn_step_build(NnTrainer *trainer);
extern void nn_step_background(NnTrainer *trainer, size_t item, NnWorker *worker);
extern size_t nn_step_update_blocks(NnUpdateBlock *blocks, int *n_variables, const NnGraph *graph,
									int need_norms);

/* engine.c: one step's scratch over all steps of a plan; runs a plan forward. */
extern size_t nn_plan_scratch_bytes(const NnPlan *plan, const NnGraph *graph, NnPath path,
									NnPrecision precision);
extern size_t nn_packed_layout(size_t *offsets, const NnPlan *plan, const NnGraph *graph, NnMode mode,
							   NnPath path, NnPrecision precision);
extern NnStatus nn_engine_samples(float *probabilities, float *logits, float *embedding, const float *src,
								  int n, const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop);

#endif /* PNEUMO_NN_NN_INTERNAL_H */
