/*-------------------------------------------------------------------------
 *
 * onnx.h
 *	  ONNX files: reading them, turning a classifier into a network of src/nn,
 *	  and writing a network as one.  The public header of the ONNX part of
 *	  src/exchange.
 *
 * Plain C11, libprotobuf-c, and the public header of src/nn.  Knows no server
 * and no file; never prints, exits or jumps.
 *
 * Memory: everything comes from OnnxEnv.allocate and is never given back, so
 * that the caller frees it as a whole (a memory context of the server).  How
 * much it can be is bounded before it is taken: OnnxEnv.max_bytes.
 *
 * Stopping: OnnxEnv.stop is looked at after a bounded amount of work, so that a
 * call returns ONNX_INTERRUPTED within 200 ms of its being set.
 *
 * Bytes may come from anywhere.  The messages that are read cannot hold one of
 * their own kind, so nesting has a fixed depth; nothing here recurses.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_ONNX_H
#define PNEUMO_EXCHANGE_ONNX_H

#include "nn/nn.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

typedef enum OnnxStatus
{
	ONNX_OK = 0,
	ONNX_CORRUPT,     /* bytes that are not a model, or contradict themselves */
	ONNX_UNSUPPORTED, /* a valid model, or one that may be, that pneumo cannot run */
	ONNX_TOO_LARGE,   /* beyond a limit */
	ONNX_NO_MEMORY,   /* the allocator refused */
	ONNX_INTERRUPTED
} OnnxStatus;

typedef struct OnnxEnv
{
	void *(*allocate)(void *arg, size_t bytes); /* aligned to NN_ALIGN; NULL: refused */
	void *arg;
	size_t max_bytes;            /* of all that one model takes; 0: ONNX_MAX_BYTES */
	volatile sig_atomic_t *stop; /* or NULL */
} OnnxEnv;

#define ONNX_MAX_BYTES ((size_t) 4 << 30)

/* The operator sets that are read, and the one that is written with the version of the format. */
#define ONNX_LOWEST_OPSET 9
#define ONNX_HIGHEST_OPSET 27
#define ONNX_WRITTEN_OPSET 17
#define ONNX_WRITTEN_IR 8

#define ONNX_MAX_PROBLEMS 20

/*
 * What is wrong, a line for each thing: lower-case, without full stop.  n
 * counts all of them; text has the first ONNX_MAX_PROBLEMS.
 */
typedef struct OnnxProblems
{
	int n;
	size_t length;
	char text[8192];
	char hint[256]; /* a sentence, or empty */
} OnnxProblems;

/* ------------------------------------------------------------- reading */

typedef struct OnnxFile OnnxFile;

/* Reads the bytes of a model, to which the result keeps pointing. */
extern OnnxStatus onnx_read(OnnxFile **file, const void *bytes, size_t n_bytes, const OnnxEnv *env,
							OnnxProblems *problems);

typedef struct OnnxSummary
{
	int64_t ir_version, opset;
	const char *producer, *producer_version; /* "" where there is none */
	int batch, channels, height, width;      /* of the input; 0: the file leaves it open */
	int channels_last;                       /* the input is [N, height, width, channels] */
	int n_properties;
} OnnxSummary;

/* Tells what a file says about itself. */
extern void onnx_summary(OnnxSummary *summary, const OnnxFile *file);

/* Returns the value of one of the metadata_props, NULL if there is none of that key. */
extern const char *onnx_property(const OnnxFile *file, const char *key);

typedef struct OnnxNetwork OnnxNetwork;

/*
 * Adds the nodes of the file to a graph whose node input is the image, height,
 * width and channels as the file has them.  All that is not supported is in
 * *problems at once.  Names of nodes are those of the file.
 */
extern OnnxStatus onnx_network(OnnxNetwork **network, NnGraph *graph, int input, OnnxFile *file,
							   OnnxProblems *problems);

/* Returns the node that is the network's output. */
extern int onnx_network_output(const OnnxNetwork *network);

/*
 * Writes the weights of the network's nodes into those of the graph that it was
 * added to, after nn_graph_finish(); other nodes' weights are left as they are.
 * Looks at *stop, which may be NULL.
 */
extern OnnxStatus onnx_network_weights(float *weights, const NnGraph *graph, OnnxNetwork *network,
									   volatile sig_atomic_t *stop, OnnxProblems *problems);

/* ------------------------------------------------------------- writing */

typedef struct OnnxProperty
{
	const char *key, *value;
} OnnxProperty;

typedef enum OnnxCalibration
{
	ONNX_CALIBRATION_NONE,
	ONNX_CALIBRATION_PLATT,      /* sigmoid(a * logit + b), of two classes */
	ONNX_CALIBRATION_TEMPERATURE /* logit / a */
} OnnxCalibration;

typedef struct OnnxExport
{
	const char *name;             /* of the graph */
	const char *producer_version; /* of pneumo */
	double rescale;               /* the first step of the graph, x * rescale; 1: none */
	OnnxCalibration calibration;
	double calibration_a, calibration_b;
	const OnnxProperty *properties;
	int n_properties;
} OnnxExport;

typedef struct OnnxOutput OnnxOutput;

/*
 * Plans the file of a network: *n_bytes is its size.  The input is "image",
 * float32 [N, channels, height, width]; the output is "probabilities", [N, 1]
 * or [N, classes].  weights must stay where they are until onnx_write().
 */
extern OnnxStatus onnx_plan_output(OnnxOutput **output, size_t *n_bytes, const NnGraph *graph,
								   const float *weights, const OnnxExport *export, const OnnxEnv *env,
								   OnnxProblems *problems);

/* Writes the *n_bytes bytes of a planned file.  Looks at *stop, which may be NULL. */
extern OnnxStatus onnx_write(void *dst, OnnxOutput *output, volatile sig_atomic_t *stop);

#endif /* PNEUMO_EXCHANGE_ONNX_H */
