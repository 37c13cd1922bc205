/*-------------------------------------------------------------------------
 *
 * onnx_file.h
 *	  An ONNX file in memory: nodes, constants, names; and the memory that all
 *	  of it comes from.  Owners: onnx_memory.c, onnx_read.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_ONNX_FILE_H
#define PNEUMO_EXCHANGE_ONNX_FILE_H

#include "onnx.h"
#include "onnx.pb-c.h"

#include <stddef.h>
#include <stdint.h>

typedef Pneumo__Onnx__AttributeProto OnnxAttribute;
typedef Pneumo__Onnx__NodeProto OnnxNode;
typedef Pneumo__Onnx__TensorProto OnnxTensor;
typedef Pneumo__Onnx__ValueInfoProto OnnxValueInfo;

#define ONNX_MAX_RANK 8
#define ONNX_MAX_NODES 20000
#define ONNX_MAX_CONSTANTS 50000

/* Numbers of TensorProto.DataType. */
enum
{
	ONNX_FLOAT = 1,
	ONNX_UINT8 = 2,
	ONNX_INT8 = 3,
	ONNX_UINT16 = 4,
	ONNX_INT16 = 5,
	ONNX_INT32 = 6,
	ONNX_INT64 = 7,
	ONNX_STRING = 8,
	ONNX_BOOL = 9,
	ONNX_FLOAT16 = 10,
	ONNX_DOUBLE = 11,
	ONNX_UINT32 = 12,
	ONNX_UINT64 = 13,
	ONNX_BFLOAT16 = 16
};

/* Numbers of AttributeProto.AttributeType. */
enum
{
	ONNX_ATTRIBUTE_FLOAT = 1,
	ONNX_ATTRIBUTE_INT = 2,
	ONNX_ATTRIBUTE_STRING = 3,
	ONNX_ATTRIBUTE_TENSOR = 4,
	ONNX_ATTRIBUTE_FLOATS = 6,
	ONNX_ATTRIBUTE_INTS = 7
};

/* ------------------------------------------------ memory (onnx_memory.c) */

/* The memory of a model: what is left of its bound, and why there is none. */
typedef struct OnnxArena
{
	OnnxEnv env;
	size_t left;
	OnnxStatus status; /* of the first refusal */
	ProtobufCAllocator allocator;
} OnnxArena;

/* Makes an arena with the bound of its environment. */
extern void onnx_arena_init(OnnxArena *arena, const OnnxEnv *env);

/* Returns n zeroed bytes; NULL, with arena->status, beyond the bound or where memory is refused. */
extern void *onnx_alloc(OnnxArena *arena, size_t n_bytes);

/* Returns the same for an array of n items. */
extern void *onnx_alloc_array(OnnxArena *arena, size_t n, size_t item_bytes);

/* Tells whether to stop. */
extern int onnx_stopped(const OnnxArena *arena);

/* Adds to the work since the last look, and looks whether to stop when that is due. */
extern int onnx_stop_due(const OnnxArena *arena, size_t *work, size_t added);

/* Begins an empty list of problems. */
extern void onnx_problems_init(OnnxProblems *problems);

/* Adds a line to the list of problems. */
extern void onnx_problem(OnnxProblems *problems, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds a line and returns status, so that a function can end with it. */
extern OnnxStatus onnx_fail(OnnxProblems *problems, OnnxStatus status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns the status of a refusal of memory, after adding a line that says so. */
extern OnnxStatus onnx_no_memory(const OnnxArena *arena, OnnxProblems *problems);

/* ------------------------------------------------- the file (onnx_read.c) */

/* A tensor whose values are known.  They lie in the file's bytes or in the arena, little endian, unaligned. */
typedef struct OnnxConstant
{
	int type;
	int rank;
	int64_t dims[ONNX_MAX_RANK];
	size_t count;
	const uint8_t *data;
} OnnxConstant;

/* A place in the table of names. */
typedef struct OnnxName
{
	const char *name; /* NULL: free */
	int id;
} OnnxName;

struct OnnxFile
{
	OnnxArena arena;
	Pneumo__Onnx__ModelProto *head; /* without its graph */
	int64_t opset;
	int n_nodes, n_constants, n_inputs, n_outputs;
	OnnxNode **nodes;
	OnnxConstant *constants;
	const char **constant_names;
	OnnxValueInfo **inputs, **outputs;
	int input; /* the one that is no constant */

	/* each name of a tensor has a number, from 0 */
	int n_values;
	size_t n_slots;
	OnnxName *slots;
};

/* Returns the number of a tensor's name, -1 if no node, input or constant has it. */
extern int onnx_value_find(const OnnxFile *file, const char *name);

/* Returns an attribute of a node, NULL if it has none of that name. */
extern const OnnxAttribute *onnx_attribute(const OnnxNode *node, const char *name);

/* Return the value of an attribute, or the default where the node has none of that name. */
extern int64_t onnx_attribute_int(const OnnxNode *node, const char *name, int64_t def);
extern double onnx_attribute_float(const OnnxNode *node, const char *name, double def);

/* Tells whether an attribute of type string is, or by default is, that text. */
extern int onnx_attribute_is(const OnnxNode *node, const char *name, const char *def, const char *text);

/* Makes a constant of a tensor message, as of an attribute. */
extern OnnxStatus onnx_constant_of(OnnxConstant *constant, OnnxArena *arena, const OnnxTensor *tensor,
								   OnnxProblems *problems);

/* Returns the bytes of a value of that type, 0 for a type that is not read. */
extern size_t onnx_type_bytes(int type);

/* Tells whether values of that type are whole numbers. */
extern int onnx_type_is_whole(int type);

/* Returns value i of a constant as a number. */
extern double onnx_constant_number(const OnnxConstant *constant, size_t i);

/* Returns value i of a constant of whole numbers, exactly. */
extern int64_t onnx_constant_whole(const OnnxConstant *constant, size_t i);

/* Returns value i of a constant as float32, to the bit where it is one. */
static inline float
onnx_constant_float(const OnnxConstant *constant, size_t i)
{
	const uint8_t *b = constant->data + i * 4;
	union
	{
		uint32_t bits;
		float value;
	} u;

	if (constant->type != ONNX_FLOAT)
		return (float) onnx_constant_number(constant, i);
	u.bits = (uint32_t) b[0] | (uint32_t) b[1] << 8 | (uint32_t) b[2] << 16 | (uint32_t) b[3] << 24;
	return u.value;
}

#endif /* PNEUMO_EXCHANGE_ONNX_FILE_H */
