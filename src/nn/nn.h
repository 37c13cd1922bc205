/*-------------------------------------------------------------------------
 *
 * nn.h
 *	  The network core: the one public header of src/nn.
 *
 * Plain C11, pthreads and libm.  Knows no server, no image format, no file.
 * Never prints, exits or jumps; functions that can fail return an NnStatus
 * and explain themselves in an NnError.
 *
 * Words
 *	 graph      nodes in topological order, each with its inputs; node 0 is
 *	            the InputLayer, the last node gives the class probabilities
 *	 variable   one weight tensor of a node; all variables of a graph lie in
 *	            one flat float32 block, in Keras's order and layout
 *	 engine     a graph, its weights and their packed form, ready to predict
 *	 trainer    everything that one training run needs
 *
 * Reference: Keras 3 for every default and formula.
 *
 * Layout: activations are float32, NHWC, dense: (n, h, w, c) is at
 * ((n * H + h) * W + w) * C + c.  Kernels HWIO, dense weights [in][out].
 *
 * Memory: *_bytes() functions tell what is needed (overflow-checked; 0 means
 * too large), the caller hands it over, aligned to NN_ALIGN bytes.  Nothing
 * allocates.  Every struct here is plain data.
 *
 * Numbers: float32 throughout, FTZ and DAZ set for the length of a call that
 * computes, and restored.  Results do not depend on the number of threads,
 * and a sample's score does not depend on its batch: both to the bit, for a
 * given build, CPU path and BLAS.
 *
 * Stopping: a function that takes stop looks at *stop, which a signal handler
 * or another thread may set, and returns NN_INTERRUPTED within 200 ms of that
 * whatever the network is; its results are unfinished then.  stop may be NULL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_NN_H
#define PNEUMO_NN_NN_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define NN_ALIGN 64
#define NN_NAME_LEN 128 /* of a node, with its final zero */
#define NN_MAX_NODES 1024
#define NN_MAX_INPUTS 16
#define NN_MAX_PARAMS 16
#define NN_MAX_CLASSES 64
#define NN_MAX_SIDE 4096 /* height or width of any activation */
#define NN_MAX_CHANNELS 16777216
#define NN_MAX_WEIGHTS ((size_t) 1 << 31) /* floats in one graph */

/* ---------------------------------------------------------------- status */

typedef enum NnStatus
{
	NN_OK = 0,
	NN_BAD_ARGUMENT, /* a value or shape that cannot be */
	NN_UNSUPPORTED,  /* valid in Keras, not here */
	NN_TOO_LARGE,    /* a size beyond a limit or an overflow */
	NN_CORRUPT,      /* model or state bytes that are not whole */
	NN_INTERRUPTED,  /* stopped by the caller's poll or flag */
	NN_NOT_FINITE,   /* loss or weights became NaN or infinite */
	NN_LOAD_FAILED,  /* the caller's load function failed */
	NN_THREAD        /* a thread could not be started */
} NnStatus;

typedef struct NnError
{
	NnStatus status;
	int node;          /* index of the node concerned, or -1 */
	char message[256]; /* lower-case, without full stop */
	char hint[256];    /* a sentence, or empty */
} NnError;

/* ------------------------------------------------------- node types (ops) */

/*
 * The parameters of a node type, so that a caller can read a Keras config
 * without knowing any layer: each src/nn/ops/op_*.c defines a table of them.
 */
typedef enum NnParamKind
{
	NN_PARAM_INT,         /* v[0] */
	NN_PARAM_FLOAT,       /* v[0] */
	NN_PARAM_BOOL,        /* v[0]: 0 or 1 */
	NN_PARAM_INT_PAIR,    /* n or [a, b]: v[0], v[1] (height, width) */
	NN_PARAM_ENUM,        /* v[0]: index into names */
	NN_PARAM_BORDER,      /* n, [h, w] or [[t, b], [l, r]]: v[0..3] top, bottom, left, right */
	NN_PARAM_INTS,        /* a list of 1 to 3: v[0..2], their number in v[3]; where 0 is the
								 * default, the list may be missing */
	NN_PARAM_FLOATS,      /* a number: v[0], with 0 in v[3]; or a list as NN_PARAM_INTS */
	NN_PARAM_ACTIVATION,  /* v[0]: index into nn_activation_names; v[1]: negative_slope of
								 * leaky_relu; v[2]: the number of another function, 0 for
								 * Keras's: the ceiling of relu6, alpha of elu, the slope of
								 * hard_sigmoid */
	NN_PARAM_INITIALIZER, /* v[0]: NnInitializer; v[1..3] its numbers */
	NN_PARAM_REGULARIZER, /* adds v[0] |w| + v[1] w^2 of each weight w to the loss */
	NN_PARAM_CONSTRAINT   /* v[0]: NnConstraint; v[1]: the largest norm; v[2]: the axes of
								 * the norm, bit i for axis i of the variable */
} NnParamKind;

/* What each update does to a variable (Keras's constraints). */
typedef enum NnConstraint
{
	NN_UNCONSTRAINED,
	NN_MAX_NORM,  /* w min(norm, largest) / (1e-7 + norm) */
	NN_NON_NEG,   /* max(w, 0) */
	NN_UNIT_NORM, /* w / (1e-7 + norm) */
	NN_CONSTRAINTS
} NnConstraint;

typedef struct NnValue
{
	double v[4];
} NnValue;

#define NN_LATER (-1)

typedef struct NnParam
{
	const char *key; /* Keras's name; NULL ends a table */
	NnParamKind kind;
	int required;             /* 1: must be given; 0: has a default; NN_LATER: has one, and a model's
							   * bytes hold the parameter only at another value, since there were
							   * models before it was known */
	double low, high;         /* allowed range of v[0] (and v[1] of pairs) */
	NnValue def;              /* default if not required */
	const char *const *names; /* of NN_PARAM_ENUM, NULL-ended */
} NnParam;

/* Tells whether a parameter is stored and shown: always, but NN_LATER only where it differs from its default. */
extern int nn_param_counts(const NnParam *param, const NnValue *value);

/* A key that Keras knows and pneumo takes only at one value. */
typedef struct NnRefused
{
	const char *key;
	const char *only; /* JSON text of the accepted values, '|' between
								 * them: "null", "1|[1, 1]", "false" */
} NnRefused;

typedef struct NnOpInfo
{
	const char *class_name; /* Keras's: "Conv2D" */
	int min_inputs, max_inputs;
	const NnParam *params;      /* honoured keys */
	const char *const *ignored; /* NULL-ended; in addition to nn_common_ignored */
	const NnRefused *refused;   /* ends with key NULL */
	const char *doc;            /* one line for the manual */
} NnOpInfo;

extern const char *const nn_activation_names[]; /* NULL-ended */

/* Returns the number of an activation function by its name, -1 if there is none. */
extern int nn_activation_find(const char *name);

/*
 * Tells whether the derivative of an activation function needs the function's
 * input, so that it can only be a layer of its own: Activation.
 */
extern int nn_activation_stands_alone(int kind);

extern const char *const nn_common_ignored[]; /* name, trainable, dtype, ... */

/* Returns the number of node types; they are numbered from 0, the InputLayer. */
extern int nn_op_count(void);

/* Returns what is known of a node type, NULL if its number is out of range. */
extern const NnOpInfo *nn_op_info(int op);

/* Returns the number of a parameter of a node type by its key, -1 if it has none. */
extern int nn_op_param_find(int op, const char *key);

/*
 * Returns the number of the node type with a Keras class name, -1 if there is
 * none.  "ReLU", "LeakyReLU" and "Softmax" are types of their own.
 */
extern int nn_op_find(const char *class_name);

/*
 * Finds an initialiser by Keras's name, in either spelling.  Returns 0 and
 * fills *value (v[0] the kind, v[1..3] its numbers, which nn_initializer_set()
 * changes by the config's keys), or returns -1.
 */
extern int nn_initializer_find(NnValue *value, const char *name);

/*
 * Sets one number of an initialiser ("mean", "stddev", "minval", "maxval",
 * "value", "scale", "gain", "mode", "distribution"; the last two from text).
 * Returns 0, or -1 where the initialiser has no such key or the value cannot be.
 */
extern int nn_initializer_set(NnValue *value, const char *key, double number, const char *text);

/* ---------------------------------------------------------------- graph */

typedef struct NnShape
{
	int rank; /* 3: (h, w, c); 1: (c), with h = w = 1 */
	int h, w, c;
} NnShape;

typedef struct NnNodeSpec
{
	int op;
	char name[NN_NAME_LEN];
	int n_inputs;
	int inputs[NN_MAX_INPUTS];     /* indexes of earlier nodes */
	NnValue params[NN_MAX_PARAMS]; /* in the order of the op's table */
} NnNodeSpec;

/* Sets every parameter to its default; required ones to NaN. */
extern void nn_node_spec_init(NnNodeSpec *spec, int op);

/* Returns a parameter of a node that is to be added, by its key; NULL if the node's type has none. */
extern NnValue *nn_node_param(NnNodeSpec *spec, const char *key);

typedef struct NnGraph NnGraph; /* flat, position-independent: memcpy copies it */

/* Returns the bytes of a graph of up to max_nodes nodes, the InputLayer included. */
extern size_t nn_graph_bytes(int max_nodes);

/* Starts a graph in nn_graph_bytes() bytes with its InputLayer, node 0. */
extern NnStatus nn_graph_begin(NnGraph *graph, int max_nodes, int height, int width, int channels,
							   NnError *error);

/* Checks the node, infers its shape, and appends it; *index is its number. */
extern NnStatus nn_graph_add(NnGraph *graph, const NnNodeSpec *spec, int *index, NnError *error);

/*
 * Closes the graph with node output as its result: 1 unit with sigmoid (binary;
 * n_classes = 2), K units with softmax (n_classes = K), or K units with sigmoid
 * (K findings, of which a sample may have any number).  Drops nodes that do
 * not lead to it, numbers the variables, fuses what can be fused.  A final
 * linear Dense is refused with a hint.
 */
extern NnStatus nn_graph_finish(NnGraph *graph, int output, NnError *error);

typedef struct NnNodeInfo
{
	const char *name;
	int op;
	NnShape shape; /* of the output */
	int n_inputs;
	const int *inputs;
	const NnValue *params;
	size_t n_weights, /* all floats of the node */
		n_trainable;
	uint64_t multiply_adds; /* forward, one sample */
} NnNodeInfo;

typedef struct NnVariable
{
	char name[NN_NAME_LEN + 32]; /* "conv2d/kernel" */
	int node;
	int rank;
	int dims[4];
	size_t offset; /* floats, from the start of the weights */
	size_t count;
	int trainable;
} NnVariable;

/* Returns the number of nodes, the InputLayer included. */
extern int nn_graph_node_count(const NnGraph *graph);

/* Tells about a node; the pointers are into the graph. */
extern void nn_graph_node(NnNodeInfo *info, const NnGraph *graph, int node);

/* Returns the number of scores of a sample: 1 (binary) or K. */
extern int nn_graph_output_units(const NnGraph *graph);

/* Returns the number of classes: 2 (binary) or K. */
extern int nn_graph_class_count(const NnGraph *graph);

/*
 * Tells whether the classes may be there together: more than one unit with
 * sigmoid.  A network of one unit serves two classes as well as one finding.
 */
extern int nn_graph_is_multi_label(const NnGraph *graph);

/* Returns the node whose output is the embedding: the input of the last node with weights. */
extern int nn_graph_embedding_node(const NnGraph *graph);

/*
 * Returns the node whose output a map explains: the last map of more than one
 * pixel that is on every path to the output, at or behind the first convolution,
 * and that an operation computed, rather than pooled, padded or enlarged.  In a
 * residual network that is the sum with the skip path, not the convolution
 * before it.  Where no such map is on every path (two towers of convolutions,
 * joined as vectors) it is the last convolution.  Returns -1 for a network
 * without a convolution.
 */
extern int nn_graph_map_node(const NnGraph *graph);

/* Returns the floats of all weights. */
extern size_t nn_graph_weight_count(const NnGraph *graph);

/* Returns the number of variables, over all nodes. */
extern int nn_graph_variable_count(const NnGraph *graph);

/* Tells about variable i, in the order of the weights. */
extern void nn_graph_variable(NnVariable *variable, const NnGraph *graph, int i);

/* Draws initial weights by each node's initialisers; Philox keyed by (seed, variable).  Looks at *stop. */
extern NnStatus nn_weights_init(float *weights, const NnGraph *graph, uint64_t seed,
								volatile sig_atomic_t *stop);

/* Checks that all weights are finite; NN_NOT_FINITE names the variable.  Looks at *stop. */
extern NnStatus nn_weights_check(const float *weights, const NnGraph *graph, volatile sig_atomic_t *stop,
								 NnError *error);

/* ---------------------------------------------------------- model bytes */

/*
 * The stored form of a model: format described at the top of model_bytes.c.
 * Holds the graph, the weights, and the caller's sections (four-letter tags),
 * which it keeps verbatim.  Same content, same bytes.  The content's SHA-256
 * is the caller's to make and to keep.
 */
typedef struct NnSection
{
	char tag[4];
	const void *data;
	size_t bytes;
} NnSection;

#define NN_MAX_SECTIONS 16

/* Returns the bytes of a model; 0 means too large. */
extern size_t nn_model_bytes(const NnGraph *graph, const NnSection *sections, int n_sections);

/* Writes a model of nn_model_bytes() bytes. */
extern NnStatus nn_model_write(void *dst, size_t dst_bytes, const NnGraph *graph, const float *weights,
							   const NnSection *sections, int n_sections, NnError *error);

typedef struct NnModelView
{
	size_t total_bytes; /* of the whole model, by its header */
	size_t head_bytes;  /* header, graph and sections: what precedes the
								 * weights */
	int n_nodes;
	size_t weights_offset; /* multiple of NN_ALIGN */
	size_t n_weights;
	int n_sections;
	NnSection sections[NN_MAX_SECTIONS]; /* point into the bytes */
} NnModelView;

/*
 * Reads the head.  bytes may hold only the beginning of the model: NN_CORRUPT
 * with view->head_bytes > n_bytes means "hand over at least head_bytes".
 * Trusts nothing: every length, count, shape and sum is checked.
 */
extern NnStatus nn_model_open(NnModelView *view, const void *bytes, size_t n_bytes, NnError *error);

/* Rebuilds the graph into nn_graph_bytes(view->n_nodes) bytes; checks that it has n_weights. */
extern NnStatus nn_model_graph(NnGraph *graph, const NnModelView *view, const void *bytes, NnError *error);

/* ------------------------------------------------------- CPU path, BLAS */

typedef enum NnPath
{
	NN_PATH_REFERENCE = 0, /* direct loops */
	NN_PATH_PORTABLE,      /* C, no intrinsics */
	NN_PATH_AVX2,          /* AVX2 + FMA */
	NN_PATH_AVX512         /* AVX-512 F, BW, DQ, VL */
} NnPath;

/* Returns "reference", "portable", "avx2" or "avx512". */
extern const char *nn_path_name(NnPath path);

/* Returns the best path of this machine, by CPUID and XGETBV. */
extern NnPath nn_path_best(void);

/*
 * The arithmetic of prediction.  Training is always float32.
 *
 * NN_PRECISION_INT16: block floating point.  The weights of dense layers and
 * of the convolutions that kernels.h has int16 kernels for are 16-bit integers
 * with a float32 scale per block; what else a network has stays float32.  The
 * packed form then holds all that a prediction needs: NnEngine.weights may be
 * NULL.  Here too a sample's score does not depend on its batch.
 */
typedef enum NnPrecision
{
	NN_PRECISION_FLOAT32 = 0,
	NN_PRECISION_INT16
} NnPrecision;

/* Returns "float32" or "int16". */
extern const char *nn_precision_name(NnPrecision precision);

/*
 * A single-threaded single-precision matrix product, row-major, with the
 * meaning of cblas_sgemm: C = alpha op(A) op(B) + beta C.  transpose: 0 or 1.
 * NULL: the built-in kernel of the path.
 */
typedef void (*NnSgemm)(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
						int lda, const float *b, int ldb, float beta, float *c, int ldc);

/* --------------------------------------------------------------- engine */

typedef struct NnEngine
{
	const NnGraph *graph;
	const float *weights; /* nn_graph_weight_count() floats; NULL will do for int16 */
	const void *packed;   /* nn_engine_packed_bytes(); position-independent */
	NnPath path;          /* of the packed form */
	NnPrecision precision;
} NnEngine;

/* Returns the bytes of the packed form; 0 only on overflow, since at least a header is packed. */
extern size_t nn_engine_packed_bytes(const NnGraph *graph, NnPath path, NnPrecision precision);

/* Packs the weights for a path and a precision.  Looks at *stop. */
extern NnStatus nn_engine_pack(void *packed, const NnGraph *graph, const float *weights, NnPath path,
							   NnPrecision precision, volatile sig_atomic_t *stop, NnError *error);

/* Samples that share one reading of the biggest dense weights: a batch of more is no faster. */
#define NN_GROUP_ROWS 32

/* Returns the scratch of nn_engine_run() for up to max_batch samples at a time. */
extern size_t nn_engine_scratch_bytes(const NnEngine *engine, int max_batch);

/*
 * Scores n samples.  src: n samples of the input shape (already rescaled).
 * probabilities: n * output_units: the sigmoid or softmax of the last node.  logits, if not
 * NULL: the same before sigmoid or softmax.  embedding, if not NULL: the
 * output of nn_graph_embedding_node(), flattened.  Single-threaded.  Looks at
 * *stop.
 */
extern NnStatus nn_engine_run(float *probabilities, float *logits, float *embedding, const float *src, int n,
							  const NnEngine *engine, void *scratch, volatile sig_atomic_t *stop);

/* Returns the scratch of nn_explain_run() for any node. */
extern size_t nn_explain_scratch_bytes(const NnEngine *engine);

/*
 * Computes for one sample the output of a node (flattened) and the gradient of
 * the logit of class_index with respect to it (binary: of the single logit).
 * Single-threaded.  The last node's output here is its logits.  Looks at *stop.
 */
extern NnStatus nn_explain_run(float *activation, float *gradient, float *probabilities, const float *src,
							   int node, int class_index, const NnEngine *engine, void *scratch,
							   volatile sig_atomic_t *stop);

/* -------------------------------------------------------------- training */

typedef enum NnOptimizerKind
{
	NN_SGD,
	NN_RMSPROP,
	NN_ADAM,
	NN_ADAMW
} NnOptimizerKind;

typedef struct NnOptimizer
{
	NnOptimizerKind kind;
	double learning_rate; /* > 0; initial rate of the schedule */
	double rho, momentum, /* rmsprop; momentum also sgd */
		epsilon, beta_1, beta_2;
	int nesterov, centered, amsgrad;
	double weight_decay;                      /* 0: none */
	double clipnorm,                          /* per variable */
		global_clipnorm, clipvalue;           /* each 0: none; at most one set */
	int cosine_decay;                         /* Keras's CosineDecay, counted in steps */
	double decay_steps, alpha, warmup_target, /* NaN: none */
		warmup_steps;
} NnOptimizer;

/* Fills Keras's defaults of an optimiser. */
extern void nn_optimizer_init(NnOptimizer *optimizer, NnOptimizerKind kind);

typedef enum NnMonitor
{
	NN_MONITOR_VAL_LOSS,
	NN_MONITOR_VAL_ACCURACY,
	NN_MONITOR_VAL_AUC
} NnMonitor;

typedef struct NnTrainConfig
{
	int epochs, batch_size, steps_per_epoch; /* 0: the whole training split once; else an
									 * epoch takes the first that many batches of
									 * its permutation */
	int shuffle;
	uint64_t seed;
	NnOptimizer optimizer;
	double label_smoothing;              /* 0..1 */
	double class_weight[NN_MAX_CLASSES]; /* 1 if not given */

	int early_stopping; /* 0: off */
	NnMonitor es_monitor;
	int es_patience;
	double es_min_delta;
	int es_maximize; /* mode: 0 min, 1 max */
	int es_start_from_epoch;
	int restore_best_weights;

	int plateau; /* ReduceLROnPlateau; 0: off */
	NnMonitor rlr_monitor;
	int rlr_maximize;
	double rlr_factor;
	int rlr_patience;
	double rlr_min_delta;
	int rlr_cooldown;
	double rlr_min_lr;

	NnPrecision precision; /* of validation and nn_trainer_score(): that of
								 * the version; training itself is float32 */

	double negative_weight[NN_MAX_CLASSES]; /* of findings only: of a sample without the finding;
											 * class_weight is that of one with it */
} NnTrainConfig;

#define NN_UNKNOWN 2

typedef enum NnSplit
{
	NN_TRAIN = 0,
	NN_VALIDATION
} NnSplit;

/*
 * The samples.  They have a class each, or each of them any of several findings:
 * then target tells for a sample and a unit whether the finding is there (1),
 * is not (0), or nobody knows (NN_UNKNOWN), and label is not looked at.  An
 * unknown finding adds nothing to loss, gradient and accuracy, which are means
 * over the known ones.  load() writes sample i of a split as the network's input
 * (already rescaled; augmented for NN_TRAIN by epoch) and returns 0, or
 * nonzero to fail the run.  It is called from the pool's threads, several at
 * once, with thread-private scratch of load_scratch_bytes.
 */
typedef struct NnTrainData
{
	size_t n[2];             /* samples of train and validation */
	const int32_t *label[2]; /* class index, 0..classes-1 (binary: 1 positive) */
	const float *weight[2];  /* sample weights, or NULL */
	int (*load)(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch);
	void *load_arg;
	size_t load_scratch_bytes;
	const uint8_t *target[2]; /* n * units, or NULL: there are classes */
} NnTrainData;

/* One finished epoch, as Keras's history; epochs count from 1. */
typedef struct NnEpochLog
{
	int epoch;
	double loss, accuracy, val_loss, val_accuracy,
		val_auc;          /* NaN where there is no validation split or auc */
	double learning_rate; /* that the epoch was trained with (last step) */
	double seconds,       /* training part */
		val_seconds;
	int best; /* 1: best so far by the monitor */
	int last; /* 1: training ends after this epoch */
} NnEpochLog;

typedef struct NnProgress
{
	int epoch, /* from 1 */
		epochs;
	size_t batch, /* batches done in this epoch */
		batches;
	int validating; /* 1: batch and batches count validation samples */
	double loss;    /* running mean of the epoch */
	double samples_per_second;
} NnProgress;

/*
 * Called from the thread that called nn_train_run(), never from the pool.
 * poll: at least every 100 ms; nonzero stops with NN_INTERRUPTED.  The
 *		threads may be computing meanwhile.
 * step: after each step, and now and then during validation, when the
 *		trainer's state is whole: the place to save a checkpoint; nonzero stops.
 * epoch: after each epoch; nonzero stops.
 * auc: area under the ROC curve of the validation split (scores: n_validation
 *		* output_units); may be NULL.
 * clock: seconds, monotonic.
 */
typedef struct NnTrainHooks
{
	void *arg;
	int (*poll)(void *arg);
	int (*step)(void *arg, const NnProgress *progress);
	int (*epoch)(void *arg, const NnEpochLog *log);
	double (*auc)(void *arg, const float *scores, size_t n);
	double (*clock)(void *arg);
} NnTrainHooks;

/* Checks the config for this graph. */
extern NnStatus nn_train_check(const NnTrainConfig *config, const NnGraph *graph, NnError *error);

typedef struct NnTrainPlan
{
	size_t state_bytes; /* weights, best weights, optimiser slots, callback
								 * counters, position: what a checkpoint holds */
	size_t work_bytes;  /* everything else, for n_threads */
	size_t slots_per_weight;
} NnTrainPlan;

/* Tells how much memory a training needs, after a check of config and data. */
extern NnStatus nn_train_plan(NnTrainPlan *plan, const NnGraph *graph, const NnTrainConfig *config,
							  const NnTrainData *data, int n_threads, NnPath path, NnError *error);

typedef struct NnTrainer NnTrainer;

/* Returns the bytes of a trainer, apart from its state and work memory. */
extern size_t nn_trainer_bytes(void);

/*
 * Sets up a trainer with state and work memory as planned.  initial_weights NULL: nn_weights_init() with the
 * config's seed.  With resume, state already holds a checkpoint's bytes, which
 * are checked (NN_CORRUPT), and initial_weights is not used.  Looks at *stop;
 * after NN_INTERRUPTED it may be called again.
 */
extern NnStatus nn_trainer_init(NnTrainer *trainer, const NnGraph *graph, const NnTrainConfig *config,
								const NnTrainData *data, const NnTrainPlan *plan, void *state, void *work,
								int n_threads, NnPath path, NnSgemm sgemm, const float *initial_weights,
								int resume, volatile sig_atomic_t *stop, NnError *error);

/* Starts the threads, all signals blocked in them. */
extern NnStatus nn_trainer_start(NnTrainer *trainer, NnError *error);

/*
 * Trains until the last epoch, early stopping, an error or an interrupt.
 * After NN_INTERRUPTED the threads are idle, and it may be called again to go
 * on.  A stop that comes while a step updates the weights waits for the step's
 * end (milliseconds, but for the largest dense layers), so after a return the state is whole;
 * nn_trainer_state_valid() is 0 only while a step updates.
 */
extern NnStatus nn_train_run(NnTrainer *trainer, const NnTrainHooks *hooks, NnError *error);

/* Tells whether the state is whole, so that it may be saved as a checkpoint. */
extern int nn_trainer_state_valid(const NnTrainer *trainer);

/*
 * Stops and joins the threads; may be called at any time and twice, also while
 * nn_train_run() is on the stack of a process that exits.
 */
extern void nn_trainer_stop(NnTrainer *trainer);

/*
 * Returns the result: the best epoch's weights if restore_best_weights (however
 * training ended) else the last; NULL if no epoch has ended.  *epoch is the
 * epoch they are from.  Without best weights and interrupted within an epoch,
 * "the last" are the weights as they are, some steps after epoch *epoch.
 */
extern const float *nn_trainer_result(const NnTrainer *trainer, int *epoch);

/*
 * Computes the scores of the validation split with given weights, by the
 * engine, in the pool; scores: n_validation * output_units.  For the figures of
 * a version.
 */
extern NnStatus nn_trainer_score(NnTrainer *trainer, float *scores, const float *weights,
								 const NnTrainHooks *hooks, NnError *error);

/* Returns the logits of that scoring, n_validation * output_units; valid until the next one. */
extern const float *nn_trainer_logits(const NnTrainer *trainer);

/* Computes mean loss and accuracy of scores (label smoothing as in val_loss; 0 for plain). */
extern void nn_score_loss(double *loss, double *accuracy, const float *scores, const int32_t *labels,
						  const float *weights, size_t n, int output_units, double label_smoothing);

/*
 * The same of findings, from targets as in NnTrainData: means over the known
 * ones.  NaN where none is known.
 */
extern void nn_score_loss_findings(double *loss, double *accuracy, const float *scores,
								   const uint8_t *targets, size_t n, int output_units,
								   double label_smoothing);

#endif /* PNEUMO_NN_NN_H */
