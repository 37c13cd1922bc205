/*-------------------------------------------------------------------------
 *
 * onnx_lower.h
 *	  From the nodes of an ONNX file to those of src/nn: what the files of that
 *	  way share.  Owners: onnx_network.c, onnx_view.c, onnx_fold.c,
 *	  onnx_match.c, onnx_window.c, onnx_layout.c, onnx_linear.c,
 *	  onnx_element.c, onnx_weights.c.
 *
 * ONNX has channels first, src/nn has them last.  No data is moved for that:
 * a value of the file is a view of a node's output, which knows for each of the
 * file's axes where its elements lie in the node's memory.  Transpose, Reshape,
 * Flatten, Squeeze, Unsqueeze and a Split of channels only make another view.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_ONNX_LOWER_H
#define PNEUMO_EXCHANGE_ONNX_LOWER_H

#include "onnx_file.h"

#include "nn/nn.h"

#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------- views */

#define ONNX_MAX_ATOMS 16
#define ONNX_BATCH (-1) /* the stride of the samples */

/* A part of an axis: size elements, stride floats apart in the node's output. */
typedef struct OnnxAtom
{
	int64_t size, stride;
} OnnxAtom;

/*
 * What a value of the file is: a node's output, seen through axes, each of
 * which is made of n_in[axis] atoms, the outermost first.  An axis of size 1
 * has none.  The samples are an atom of their own.
 */
typedef struct OnnxView
{
	int node;
	int64_t offset; /* of the first element */
	int rank;
	int n_atoms;
	int n_in[ONNX_MAX_RANK];
	OnnxAtom atoms[ONNX_MAX_ATOMS];
} OnnxView;

typedef enum OnnxValueKind
{
	ONNX_NOTHING = 0, /* not computed yet */
	ONNX_CONSTANT,
	ONNX_VIEW,
	ONNX_BROKEN /* comes from something that is not supported */
} OnnxValueKind;

typedef struct OnnxValue
{
	OnnxValueKind kind;
	OnnxConstant constant;
	OnnxView view;
	int producer; /* the node of the file, -1: none */
	int n_consumers;
	int consumer; /* one of them */
} OnnxValue;

/* Which axes of a value are channels, height and width of an image. */
typedef struct OnnxAxes
{
	int c, h, w;
} OnnxAxes;

extern const OnnxAxes onnx_channels_first, onnx_channels_last;

/* -------------------------------------------------------------- weights */

typedef enum OnnxJobKind
{
	ONNX_JOB_CONV,      /* kernel [oc][ic / groups][kh][kw] */
	ONNX_JOB_DEPTHWISE, /* the same for DepthwiseConv2D */
	ONNX_JOB_DENSE,     /* kernel [in][out], or [out][in] if turned */
	ONNX_JOB_VECTORS    /* no kernel */
} OnnxJobKind;

#define ONNX_JOB_VECTOR_COUNT 4

/* How the weights of a node are made: a kernel of the file, then vectors in the order of the node's variables. */
typedef struct OnnxJob
{
	char name[NN_NAME_LEN]; /* of the node */
	OnnxJobKind kind;
	OnnxConstant kernel;
	int turned;
	const int *place;   /* of each of the kernel's inputs among those of the node; NULL: the same */
	int n_inputs;       /* the length of place */
	const float *scale; /* of each output, or NULL */
	const float *vectors[ONNX_JOB_VECTOR_COUNT]; /* those that the node has; NULL ends them */
} OnnxJob;

/* -------------------------------------------------------------- network */

/* An activation that several nodes of the file make together. */
typedef struct OnnxMatch
{
	int activation; /* -1: none; of nn_activation_names */
	int input;      /* the value that it is taken of */
} OnnxMatch;

struct OnnxNetwork
{
	OnnxFile *file;
	OnnxArena *arena;
	OnnxProblems *problems;
	NnGraph *graph;
	int64_t batch;                /* size of the first axis of the file's input; 1 where it is open */
	OnnxValue *values;            /* by number */
	OnnxMatch *matches;           /* by node of the file */
	unsigned char *wanted, *done; /* by node of the file */
	int n_jobs, max_jobs;
	OnnxJob *jobs;
	int flat[NN_MAX_NODES];               /* the Flatten of a node, 0: none yet */
	unsigned char positive[NN_MAX_NODES]; /* the output has no value below 0 */
	int parts[NN_MAX_NODES][2]; /* of a Concatenate: how many inputs of the file's Concat are in it */
	int output;
	int current;       /* node of the file */
	OnnxStatus status; /* that ends it: ONNX_OK, or no memory, or interrupted */
};

/* ------------------------------------------------------- onnx_network.c */

/* Returns the number of value i that a node takes, -1 where it has none. */
extern int onnx_input(const OnnxNetwork *net, const OnnxNode *node, size_t i);

/* Returns that value, NULL where it has none. */
extern OnnxValue *onnx_input_value(const OnnxNetwork *net, const OnnxNode *node, size_t i);

/* Returns that value if it is a constant, else NULL. */
extern const OnnxConstant *onnx_input_constant(const OnnxNetwork *net, const OnnxNode *node, size_t i);

/* Returns the node's first input as a view; NULL, with a problem, if it is none. */
extern const OnnxView *onnx_input_view(OnnxNetwork *net, const OnnxNode *node);

/* Makes output i of a node a view, or a constant. */
extern void onnx_set_view(OnnxNetwork *net, const OnnxNode *node, size_t i, const OnnxView *view);
extern void onnx_set_constant(OnnxNetwork *net, const OnnxNode *node, size_t i, const OnnxConstant *constant);

/* Adds a problem of a node of the file: its name, its operator, and the text. */
extern void onnx_refuse(OnnxNetwork *net, const OnnxNode *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns memory of the arena; NULL, with net->status, where there is none. */
extern void *onnx_net_alloc(OnnxNetwork *net, size_t n, size_t item_bytes);

/* Reads the numbers of an attribute or an input of whole numbers; their number, -1 where there is none. */
extern int onnx_ints(const OnnxNetwork *net, const OnnxNode *node, const char *attribute, int input,
					 int64_t *values, int max);

/*
 * Begins a node of src/nn of that class, under the name of the file's node with
 * what appended; add appends it to the graph with its inputs, and returns its
 * number, or -1 with a problem.
 */
extern void onnx_begin(OnnxNetwork *net, NnNodeSpec *spec, const char *class_name, const char *what);
extern int onnx_add(OnnxNetwork *net, NnNodeSpec *spec, int n_inputs, const int *inputs);
extern int onnx_add_one(OnnxNetwork *net, NnNodeSpec *spec, int input);

/* Returns the shape of a node's output. */
extern NnShape onnx_shape(const OnnxNetwork *net, int node);

/* Appends a job for the weights of a node; NULL where there is no memory. */
extern OnnxJob *onnx_job(OnnxNetwork *net, const NnNodeSpec *spec, OnnxJobKind kind);

/* ---------------------------------------------------------- onnx_view.c */

/* Fills the view of a node's output as [N, C, H, W] or, of a row or if flat, [N, C]. */
extern void onnx_view_image(OnnxView *view, const OnnxNetwork *net, int node, const OnnxAxes *axes);
extern void onnx_view_row(OnnxView *view, const OnnxNetwork *net, int node);

/* Returns the size of an axis. */
extern int64_t onnx_axis_size(const OnnxView *view, int axis);

/* Returns the place of the first atom of an axis. */
extern int onnx_axis_start(const OnnxView *view, int axis);

/* Tells whether the first axis is the samples and nothing else is. */
extern int onnx_view_is_batch(const OnnxView *view, int64_t batch);

/* Views of the same elements in another shape or order; 0 where that is no view. */
extern int onnx_view_reshape(OnnxView *view, const int64_t *dims, int rank);
extern int onnx_view_transpose(OnnxView *view, const int *order);
extern int onnx_view_slice(OnnxView *view, int axis, int64_t start, int64_t count, int64_t step);

/*
 * Takes of an axis the indices start + i * outer_stride + j * inner_stride, for i below outer, then for j
 * below inner.
 */
extern int onnx_view_gather(OnnxView *view, int axis, int64_t start, int64_t outer, int64_t outer_stride,
							int64_t inner, int64_t inner_stride);

/* Tells whether two values lie alike in the memory of two nodes of the same shape. */
extern int onnx_view_same(const OnnxNetwork *net, const OnnxView *a, const OnnxView *b);

/*
 * How a value is an image with these axes: as the node's output is, with its
 * channels in another order or a part of them, by a Reshape of the node, or not.
 */
typedef enum OnnxFit
{
	ONNX_FIT_AS_IS,
	ONNX_FIT_CHANNELS,
	ONNX_FIT_RESHAPE,
	ONNX_FIT_NONE
} OnnxFit;

extern OnnxFit onnx_view_fit(const OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes);

/* Returns the node whose output is the value as an image, which may be added; -1 with a problem. */
extern int onnx_need_image(OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes);

/* Makes of a node that gives a row one that gives an image of one pixel. */
extern int onnx_need_map(OnnxNetwork *net, int node);

/* Returns the channels of an image that fits by channels, in their order; NULL where there is no memory. */
extern int *onnx_view_channels(OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes);

/*
 * Returns the node whose output is the value as a row [N, features].  *place:
 * the place in the row of each feature of the file, NULL where it is the same; without
 * place, the order must be the same.  -1 with a problem.
 */
extern int onnx_need_row(OnnxNetwork *net, const OnnxView *view, int **place);

/* --------------------------------------- the operators, by file */

/* Computes what depends on constants and shapes only; 0 if the operator is not among those.  onnx_fold.c */
extern int onnx_fold(OnnxNetwork *net, const OnnxNode *node);

/* Finds activations that several nodes make.  onnx_match.c */
extern void onnx_match(OnnxNetwork *net);

typedef void (*OnnxLower)(OnnxNetwork *net, const OnnxNode *node);

/* Lower a node of the file to nodes of src/nn, or refuse it. */
extern void onnx_lower_conv(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_max_pool(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_average_pool(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_global_pool(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_reduce(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_pad(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_resize(OnnxNetwork *net, const OnnxNode *node);

extern void onnx_lower_gemm(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_mat_mul(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_batch_norm(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_prelu(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_instance_norm(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_group_norm(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_layer_norm(OnnxNetwork *net, const OnnxNode *node);

extern void onnx_lower_activation(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_match(OnnxNetwork *net, const OnnxNode *node, const OnnxMatch *match);
extern void onnx_lower_clip(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_softmax(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_arithmetic(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_concat(OnnxNetwork *net, const OnnxNode *node);

extern void onnx_lower_same(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_cast(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_transpose(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_reshape(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_flatten(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_squeeze(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_unsqueeze(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_gather(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_slice(OnnxNetwork *net, const OnnxNode *node);
extern void onnx_lower_split(OnnxNetwork *net, const OnnxNode *node);

/* What a constant does to a value: x * scale + offset, by channel or (n 1) alike for all. */
typedef struct OnnxAffine
{
	int axis; /* of the value, where n > 1 */
	int64_t n;
	float *scale, *offset;
} OnnxAffine;

/*
 * Takes the arithmetic with constants that follows a linear node into it, as
 * far as it is by the channels of that axis, or alike for all.  *scale and
 * *bias, of n floats, are changed; *bias may be NULL and be made.  Returns the
 * node of the file that gives the result.  onnx_element.c
 */
extern const OnnxNode *onnx_absorb(OnnxNetwork *net, const OnnxNode *node, int rank, int axis, int64_t n,
								   float **scale, float **bias);

/* Returns n floats of a constant, times factor, or n times fill where constant is NULL; NULL with a problem. */
extern float *onnx_vector(OnnxNetwork *net, const OnnxNode *node, const OnnxConstant *constant, int64_t n,
						  double factor, double fill);

/* Returns whether an input that a node may have is there. */
extern int onnx_has_input(const OnnxNetwork *net, const OnnxNode *node, size_t i);

#endif /* PNEUMO_EXCHANGE_ONNX_LOWER_H */
