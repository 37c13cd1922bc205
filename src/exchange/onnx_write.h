/*-------------------------------------------------------------------------
 *
 * onnx_write.h
 *	  An ONNX file that is being made: what onnx_export.c, which turns nodes of
 *	  src/nn into those of ONNX, asks of onnx_write.c, which makes bytes of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_ONNX_WRITE_H
#define PNEUMO_EXCHANGE_ONNX_WRITE_H

#include "onnx_file.h"

#include <stddef.h>
#include <stdint.h>

/* How the values of a tensor lie in the weights. */
typedef enum OnnxOrder
{
	ONNX_ORDER_SAME,
	ONNX_ORDER_KERNEL, /* [kh][kw][ic][oc], written as [oc][ic][kh][kw] */
	ONNX_ORDER_DEPTH   /* [kh][kw][c][m], written as [c * m][1][kh][kw] */
} OnnxOrder;

/* A tensor of the file: floats of the network or of the arena, or whole numbers. */
typedef struct OnnxStored
{
	OnnxTensor head; /* without its values */
	size_t head_bytes;
	size_t count;
	OnnxOrder order;
	const float *floats;
	const int64_t *wholes; /* instead of floats */
} OnnxStored;

struct OnnxOutput
{
	OnnxArena arena;
	OnnxProblems *problems;
	const NnGraph *graph;
	const float *weights;
	const OnnxExport *export;
	OnnxStatus status;

	int n_nodes, max_nodes;
	OnnxNode **nodes;
	int n_stored, max_stored;
	OnnxStored *stored;
	OnnxValueInfo *input, *result;
	Pneumo__Onnx__ModelProto head;
	size_t graph_bytes;

	const char **values; /* by node of src/nn: the name of its output */
	int current;         /* node of src/nn */
	int n_names;         /* for names of values between */
};

/* Returns text of the arena. */
extern const char *onnx_text(OnnxOutput *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns a new name for a value within the current node. */
extern const char *onnx_between(OnnxOutput *out, const char *what);

/*
 * Appends a node that gives value output of the inputs, whose list ends with
 * NULL; returns it for its attributes.  Never NULL: what cannot be stored is
 * thrown away, and out->status says so.
 */
extern OnnxNode *onnx_emit(OnnxOutput *out, const char *operator, const char * output,
						   const char *const *inputs);

/* Does the same with one or two inputs and a new name for the value, which is returned. */
extern const char *onnx_emit_one(OnnxOutput *out, const char *operator, const char * input);
extern const char *onnx_emit_two(OnnxOutput *out, const char *operator, const char * a, const char *b);

/* Returns the node that was appended last. */
extern OnnxNode *onnx_last(OnnxOutput *out);

/* Give a node an attribute. */
extern void onnx_give_int(OnnxOutput *out, OnnxNode *node, const char *name, int64_t value);
extern void onnx_give_float(OnnxOutput *out, OnnxNode *node, const char *name, double value);
extern void onnx_give_text(OnnxOutput *out, OnnxNode *node, const char *name, const char *value);
extern void onnx_give_ints(OnnxOutput *out, OnnxNode *node, const char *name, int n, const int64_t *values);

/* Store a tensor, and return its name. */
extern const char *onnx_store_weights(OnnxOutput *out, const char *what, OnnxOrder order, int rank,
									  const int64_t *dims, const float *weights);
extern const char *onnx_store_number(OnnxOutput *out, double value);
extern const char *onnx_store_vector(OnnxOutput *out, const char *what, int rank, int64_t n, double value);
extern const char *onnx_store_wholes(OnnxOutput *out, int n, const int64_t *values);

/* Describes a float32 value of the file's outside; size -1: the number of images. */
extern OnnxValueInfo *onnx_describe(OnnxOutput *out, const char *name, int rank, const int64_t *dims);

/* Computes the sizes of all; returns the bytes of the file. */
extern size_t onnx_measure(OnnxOutput *out);

#endif /* PNEUMO_EXCHANGE_ONNX_WRITE_H */
