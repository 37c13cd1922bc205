/*-------------------------------------------------------------------------
 *
 * onnx_read.c
 *	  The bytes of an ONNX model: its nodes, constants and names.
 *
 * A model of hundreds of megabytes must neither be copied nor be parsed in one
 * go, which could not be stopped.  So the outer messages, ModelProto, GraphProto
 * and TensorProto, are walked here field by field, and libprotobuf-c gets the
 * messages in them one by one: each node, each description of a value, each
 * tensor without its values.  Values as raw_data, and float_data in its packed
 * form, stay where they are.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_PIECE ((size_t) 16 << 20) /* bytes of a message that libprotobuf-c gets at once */

#define MAX_IN_NODE 4096 /* inputs, outputs, attributes */

/* Numbers of fields. */
enum
{
	MODEL_GRAPH = 7,
	MODEL_TRAINING_INFO = 20,
	MODEL_FUNCTIONS = 25,
	GRAPH_NODE = 1,
	GRAPH_NAME = 2,
	GRAPH_INITIALIZER = 5,
	GRAPH_INPUT = 11,
	GRAPH_OUTPUT = 12,
	GRAPH_SPARSE_INITIALIZER = 15,
	TENSOR_SEGMENT = 3,
	TENSOR_FLOAT_DATA = 4,
	TENSOR_RAW_DATA = 9
};

/* ------------------------------------------------------------ the wire */

typedef struct Field
{
	uint32_t number;
	int wire;
	const uint8_t *start; /* of the field with its tag */
	const uint8_t *data;  /* behind the tag; behind the length where it has one */
	size_t n;             /* bytes from data */
} Field;

typedef struct Walk
{
	const uint8_t *at, *end;
} Walk;

static int
get_varint(Walk *walk, uint64_t *value)
{
	int shift;

	*value = 0;
	for (shift = 0; shift < 64 && walk->at < walk->end; shift += 7)
	{
		uint8_t b = *walk->at++;

		*value |= (uint64_t) (b & 0x7f) << shift;
		if ((b & 0x80) == 0)
			return 1;
	}
	return 0;
}

/* Reads the next field: 1, 0 at the end, -1 where the bytes are no message. */
static int
next_field(Walk *walk, Field *field)
{
	uint64_t tag, length;

	if (walk->at == walk->end)
		return 0;
	field->start = walk->at;
	if (!get_varint(walk, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return -1;
	field->number = (uint32_t) (tag >> 3);
	field->wire = (int) (tag & 7);
	field->data = walk->at;
	switch (field->wire)
	{
		case 0:
			if (!get_varint(walk, &length))
				return -1;
			field->n = (size_t) (walk->at - field->data);
			return 1;
		case 1:
			field->n = 8;
			break;
		case 2:
			if (!get_varint(walk, &length))
				return -1;
			field->data = walk->at;
			if (length > (uint64_t) (walk->end - walk->at))
				return -1;
			field->n = (size_t) length;
			break;
		case 5:
			field->n = 4;
			break;
		default:
			return -1;
	}
	if (field->n > (size_t) (walk->end - field->data))
		return -1;
	walk->at = field->data + field->n;
	return 1;
}

static OnnxStatus
not_a_model(OnnxProblems *problems)
{
	return onnx_fail(problems, ONNX_CORRUPT, "the bytes are not an ONNX model");
}

/* Hands the bytes of a message to libprotobuf-c. */
static OnnxStatus
unpack(void **message, const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t n,
	   OnnxArena *arena, OnnxProblems *problems)
{
	if (n > MAX_PIECE)
		return onnx_fail(problems, ONNX_TOO_LARGE, "a %s of %zu bytes is too large", descriptor->short_name,
						 n);
	*message = protobuf_c_message_unpack(descriptor, &arena->allocator, n, bytes);
	if (*message != NULL)
		return ONNX_OK;
	if (arena->status != ONNX_OK)
		return onnx_no_memory(arena, problems);
	return onnx_fail(problems, ONNX_CORRUPT, "a %s is damaged", descriptor->short_name);
}

/* Collects the bytes of fields that come one after the other. */
typedef struct Rest
{
	uint8_t *bytes;
	size_t n;
} Rest;

static void
keep(Rest *rest, const Walk *walk, const Field *field)
{
	size_t n = (size_t) (walk->at - field->start);

	memcpy(rest->bytes + rest->n, field->start, n);
	rest->n += n;
}

/* ------------------------------------------------------------ constants */

size_t
onnx_type_bytes(int type)
{
	switch (type)
	{
		case ONNX_UINT8:
		case ONNX_INT8:
		case ONNX_BOOL:
			return 1;
		case ONNX_UINT16:
		case ONNX_INT16:
		case ONNX_FLOAT16:
		case ONNX_BFLOAT16:
			return 2;
		case ONNX_FLOAT:
		case ONNX_INT32:
		case ONNX_UINT32:
			return 4;
		case ONNX_INT64:
		case ONNX_UINT64:
		case ONNX_DOUBLE:
			return 8;
		default:
			return 0;
	}
}

int
onnx_type_is_whole(int type)
{
	return type != ONNX_FLOAT && type != ONNX_DOUBLE && type != ONNX_FLOAT16 && type != ONNX_BFLOAT16;
}

/* Returns n little-endian bytes as a number. */
static uint64_t
get_bits(const uint8_t *bytes, size_t n)
{
	uint64_t bits = 0;
	size_t i;

	for (i = 0; i < n; i++)
		bits |= (uint64_t) bytes[i] << (8 * i);
	return bits;
}

static void
put_bits(uint8_t *bytes, uint64_t bits, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t) (bits >> (8 * i));
}

int64_t
onnx_constant_whole(const OnnxConstant *constant, size_t i)
{
	size_t n = onnx_type_bytes(constant->type);
	uint64_t bits = get_bits(constant->data + i * n, n);

	switch (constant->type)
	{
		case ONNX_INT8:
			return (int8_t) bits;
		case ONNX_INT16:
			return (int16_t) bits;
		case ONNX_INT32:
			return (int32_t) bits;
		default:
			return (int64_t) bits;
	}
}

/* Returns the value of a half-precision float. */
static double
half_value(uint32_t bits)
{
	int exponent = (int) (bits >> 10 & 0x1f);
	double fraction = (double) (bits & 0x3ff) / 1024.0;
	double value;

	if (exponent == 31)
		value = fraction != 0 ? (double) NAN : (double) INFINITY;
	else
		value = exponent == 0 ? ldexp(fraction, -14) : ldexp(1.0 + fraction, exponent - 15);
	return bits & 0x8000 ? -value : value;
}

double
onnx_constant_number(const OnnxConstant *constant, size_t i)
{
	size_t n = onnx_type_bytes(constant->type);
	uint64_t bits = get_bits(constant->data + i * n, n);
	uint32_t narrow = (uint32_t) bits;
	float single;
	double value;

	switch (constant->type)
	{
		case ONNX_BFLOAT16:
			narrow <<= 16;
			/* fall through */
		case ONNX_FLOAT:
			memcpy(&single, &narrow, sizeof(single));
			return single;
		case ONNX_DOUBLE:
			memcpy(&value, &bits, sizeof(value));
			return value;
		case ONNX_FLOAT16:
			return half_value(narrow);
		default:
			return (double) onnx_constant_whole(constant, i);
	}
}

/* Copies the values of a field of numbers, each from its first n bytes on; little endian. */
#define COPY_VALUES(values, n_values, to_bits)                        \
	do                                                                \
	{                                                                 \
		size_t k;                                                     \
		if ((n_values) != constant->count)                            \
			return wrong_count(tensor, (n_values), problems);         \
		bytes = onnx_alloc_array(arena, constant->count, width);      \
		if (bytes == NULL)                                            \
			return onnx_no_memory(arena, problems);                   \
		for (k = 0; k < constant->count; k++)                         \
			put_bits(bytes + k * width, to_bits((values)[k]), width); \
		constant->data = bytes;                                       \
	} while (0)

static OnnxStatus
wrong_count(const OnnxTensor *tensor, size_t count, OnnxProblems *problems)
{
	return onnx_fail(problems, ONNX_CORRUPT,
					 "tensor \"%.100s\" has %zu values or bytes, which do not fit its shape",
					 tensor->name != NULL ? tensor->name : "", count);
}

static uint64_t
float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static uint64_t
double_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Fills type and shape of a constant from its tensor, after checks of both. */
static OnnxStatus
constant_shape(OnnxConstant *constant, const OnnxTensor *tensor, OnnxProblems *problems)
{
	const char *name = tensor->name != NULL ? tensor->name : "";
	int64_t room = (int64_t) 1 << 32;
	size_t i;

	if (tensor->n_external_data > 0 || tensor->data_location != 0)
	{
		snprintf(problems->hint, sizeof(problems->hint),
				 "Save the model as one file: onnx.save_model(model, path, save_as_external_data=False).");
		return onnx_fail(problems, ONNX_UNSUPPORTED, "the values of tensor \"%.100s\" are in another file",
						 name);
	}
	constant->type = tensor->data_type;
	if (onnx_type_bytes(constant->type) == 0)
		return onnx_fail(problems, ONNX_UNSUPPORTED,
						 "tensor \"%.100s\" has values of type %d, which is not supported", name,
						 tensor->data_type);
	if (tensor->n_dims > ONNX_MAX_RANK)
		return onnx_fail(problems, ONNX_UNSUPPORTED, "tensor \"%.100s\" has %zu dimensions", name,
						 tensor->n_dims);
	constant->rank = (int) tensor->n_dims;
	constant->count = 1;
	for (i = 0; i < tensor->n_dims; i++)
	{
		int64_t dim = tensor->dims[i];

		/* a dimension of 0 does not excuse large ones: strides are products of them */
		if (dim < 0 || (dim > 0 && room / dim < 1))
			return onnx_fail(problems, ONNX_CORRUPT, "tensor \"%.100s\" has a dimension of %lld", name,
							 (long long) dim);
		room /= dim > 0 ? dim : 1;
		constant->dims[i] = dim;
		constant->count *= (size_t) dim;
	}
	return ONNX_OK;
}

OnnxStatus
onnx_constant_of(OnnxConstant *constant, OnnxArena *arena, const OnnxTensor *tensor, OnnxProblems *problems)
{
	OnnxStatus status = constant_shape(constant, tensor, problems);
	size_t width = onnx_type_bytes(constant->type);
	uint8_t *bytes;

	if (status != ONNX_OK)
		return status;
	if (tensor->has_raw_data)
	{
		if (tensor->raw_data.len != constant->count * width)
			return wrong_count(tensor, tensor->raw_data.len, problems);
		constant->data = tensor->raw_data.data;
	}
	else if (constant->type == ONNX_FLOAT)
		COPY_VALUES(tensor->float_data, tensor->n_float_data, float_bits);
	else if (constant->type == ONNX_DOUBLE)
		COPY_VALUES(tensor->double_data, tensor->n_double_data, double_bits);
	else if (constant->type == ONNX_INT64)
		COPY_VALUES(tensor->int64_data, tensor->n_int64_data, (uint64_t) );
	else if (constant->type == ONNX_UINT32 || constant->type == ONNX_UINT64)
		return onnx_fail(problems, ONNX_UNSUPPORTED, "tensor \"%.100s\" has values of type %d as uint64_data",
						 tensor->name != NULL ? tensor->name : "", constant->type);
	else
		COPY_VALUES(tensor->int32_data, tensor->n_int32_data, (uint64_t) );
	return ONNX_OK;
}

/* Reads a tensor: its values stay where they are, if they can. */
static OnnxStatus
read_tensor(OnnxConstant *constant, const char **name, const uint8_t *bytes, size_t n, OnnxArena *arena,
			OnnxProblems *problems)
{
	Walk walk = {bytes, bytes + n};
	Walk again = walk;
	Rest rest = {NULL, 0};
	ProtobufCBinaryData values = {0, NULL};
	size_t kept = 0;
	size_t work = 0;
	int n_values = 0;
	OnnxTensor *tensor;
	void *message;
	Field field;
	OnnxStatus status;
	int more;

	while ((more = next_field(&walk, &field)) == 1)
	{
		if (field.number == TENSOR_SEGMENT)
			return onnx_fail(problems, ONNX_UNSUPPORTED, "a tensor is in segments");
		if (onnx_stop_due(arena, &work, 64))
			return ONNX_INTERRUPTED;
		if (field.wire != 2 || (field.number != TENSOR_RAW_DATA && field.number != TENSOR_FLOAT_DATA))
		{
			kept += (size_t) (walk.at - field.start);
			continue;
		}
		n_values++;
		values.data = (uint8_t *) field.data;
		values.len = field.n;
	}
	if (more < 0 || n_values > 1)
		return not_a_model(problems);
	if (kept > MAX_PIECE)
		return onnx_fail(problems, ONNX_TOO_LARGE, "a tensor has %zu bytes that are not raw_data", kept);
	rest.bytes = onnx_alloc(arena, kept);
	if (rest.bytes == NULL)
		return onnx_no_memory(arena, problems);
	while (next_field(&again, &field) == 1 && !onnx_stop_due(arena, &work, 64))
		if (field.wire != 2 || (field.number != TENSOR_RAW_DATA && field.number != TENSOR_FLOAT_DATA))
			keep(&rest, &again, &field);
	status = unpack(&message, &pneumo__onnx__tensor_proto__descriptor, rest.bytes, rest.n, arena, problems);
	if (status != ONNX_OK)
		return status;
	tensor = message;
	if (n_values == 1)
	{
		tensor->has_raw_data = 1;
		tensor->raw_data = values;
	}
	*name = tensor->name != NULL ? tensor->name : "";
	return onnx_constant_of(constant, arena, tensor, problems);
}

/* ------------------------------------------------------------ the graph */

typedef struct Counts
{
	size_t nodes, constants, inputs, outputs;
} Counts;

static OnnxStatus
count_graph(Counts *counts, Walk walk, OnnxFile *file, OnnxProblems *problems)
{
	size_t work = 0;
	Field field;
	int more;

	memset(counts, 0, sizeof(*counts));
	while ((more = next_field(&walk, &field)) == 1)
	{
		counts->nodes += field.number == GRAPH_NODE;
		counts->constants += field.number == GRAPH_INITIALIZER;
		counts->inputs += field.number == GRAPH_INPUT;
		counts->outputs += field.number == GRAPH_OUTPUT;
		if (field.number == GRAPH_SPARSE_INITIALIZER)
			return onnx_fail(problems, ONNX_UNSUPPORTED, "the model has sparse tensors");
		if (field.number <= GRAPH_OUTPUT && field.number != GRAPH_NAME && field.wire != 2)
			return not_a_model(problems);
		if (onnx_stop_due(&file->arena, &work, 64))
			return ONNX_INTERRUPTED;
	}
	if (more < 0)
		return not_a_model(problems);
	if (counts->nodes > ONNX_MAX_NODES || counts->constants > ONNX_MAX_CONSTANTS ||
		counts->inputs > ONNX_MAX_CONSTANTS || counts->outputs > ONNX_MAX_NODES)
		return onnx_fail(problems, ONNX_TOO_LARGE,
						 "the model has %zu nodes and %zu constants, more than %d and %d", counts->nodes,
						 counts->constants, ONNX_MAX_NODES, ONNX_MAX_CONSTANTS);
	return ONNX_OK;
}

/* Refuses a node with more inputs, outputs or attributes than any has. */
static OnnxStatus
check_node(const OnnxNode *node, OnnxProblems *problems)
{
	if (node->n_input <= MAX_IN_NODE && node->n_output <= MAX_IN_NODE && node->n_attribute <= MAX_IN_NODE)
		return ONNX_OK;
	return onnx_fail(problems, ONNX_TOO_LARGE, "a node has %zu inputs, %zu outputs and %zu attributes",
					 node->n_input, node->n_output, node->n_attribute);
}

/* Reads one field of the graph into its place. */
static OnnxStatus
read_graph_field(OnnxFile *file, const Field *field, OnnxProblems *problems)
{
	OnnxArena *arena = &file->arena;
	void *message = NULL;
	OnnxStatus status = ONNX_OK;
	int i;

	switch (field->number)
	{
		case GRAPH_NODE:
			status = unpack(&message, &pneumo__onnx__node_proto__descriptor, field->data, field->n, arena,
							problems);
			file->nodes[file->n_nodes++] = message;
			if (status == ONNX_OK)
				status = check_node(message, problems);
			break;
		case GRAPH_INITIALIZER:
			i = file->n_constants++;
			status = read_tensor(&file->constants[i], &file->constant_names[i], field->data, field->n, arena,
								 problems);
			break;
		case GRAPH_INPUT:
		case GRAPH_OUTPUT:
			status = unpack(&message, &pneumo__onnx__value_info_proto__descriptor, field->data, field->n,
							arena, problems);
			if (field->number == GRAPH_INPUT)
				file->inputs[file->n_inputs++] = message;
			else
				file->outputs[file->n_outputs++] = message;
			break;
		default:
			break;
	}
	return status;
}

static OnnxStatus
read_graph(OnnxFile *file, const uint8_t *bytes, size_t n, OnnxProblems *problems)
{
	OnnxArena *arena = &file->arena;
	Walk walk = {bytes, bytes + n};
	size_t work = 0;
	Counts counts;
	Field field;
	OnnxStatus status = count_graph(&counts, walk, file, problems);

	if (status != ONNX_OK)
		return status;
	file->nodes = onnx_alloc_array(arena, counts.nodes, sizeof(OnnxNode *));
	file->constants = onnx_alloc_array(arena, counts.constants, sizeof(OnnxConstant));
	file->constant_names = onnx_alloc_array(arena, counts.constants, sizeof(char *));
	file->inputs = onnx_alloc_array(arena, counts.inputs, sizeof(OnnxValueInfo *));
	file->outputs = onnx_alloc_array(arena, counts.outputs, sizeof(OnnxValueInfo *));
	if (arena->status != ONNX_OK)
		return onnx_no_memory(arena, problems);
	while (status == ONNX_OK && next_field(&walk, &field) == 1)
	{
		status = read_graph_field(file, &field, problems);
		if (onnx_stop_due(arena, &work, field.number == GRAPH_INITIALIZER ? 64 : 64 + 4 * field.n))
			return ONNX_INTERRUPTED;
	}
	return status;
}

/* ---------------------------------------------------------------- names */

static size_t
hash(const char *name)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t) *name) * UINT64_C(1099511628211);
	return (size_t) (h ^ h >> 29);
}

static OnnxName *
slot_of(const OnnxFile *file, const char *name)
{
	size_t i = hash(name) & (file->n_slots - 1);

	while (file->slots[i].name != NULL && strcmp(file->slots[i].name, name) != 0)
		i = (i + 1) & (file->n_slots - 1);
	return &file->slots[i];
}

int
onnx_value_find(const OnnxFile *file, const char *name)
{
	const OnnxName *slot = slot_of(file, name);

	return slot->name != NULL ? slot->id : -1;
}

/* Gives a name its number; 0 if it has one already. */
static int
add_name(OnnxFile *file, const char *name)
{
	OnnxName *slot = slot_of(file, name);

	if (slot->name != NULL)
		return 0;
	slot->name = name;
	slot->id = file->n_values++;
	return 1;
}

/* Numbers the names: of constants, of the input, and of what the nodes give. */
static OnnxStatus
number_names(OnnxFile *file, OnnxProblems *problems)
{
	size_t n = (size_t) file->n_constants + (size_t) file->n_inputs;
	int i;
	size_t j;

	for (i = 0; i < file->n_nodes; i++)
		n += file->nodes[i]->n_output;
	if (n > (size_t) 1 << 20)
		return onnx_fail(problems, ONNX_TOO_LARGE, "the model names %zu tensors", n);
	for (file->n_slots = 16; file->n_slots < 2 * n; file->n_slots *= 2)
		;
	file->slots = onnx_alloc_array(&file->arena, file->n_slots, sizeof(OnnxName));
	if (file->slots == NULL)
		return onnx_no_memory(&file->arena, problems);
	for (i = 0; i < file->n_constants; i++)
		if (!add_name(file, file->constant_names[i]))
			return onnx_fail(problems, ONNX_CORRUPT, "two tensors have the name \"%.100s\"",
							 file->constant_names[i]);
	file->input = -1;
	for (i = 0; i < file->n_inputs; i++)
	{
		const char *name = file->inputs[i]->name != NULL ? file->inputs[i]->name : "";

		/* old files list their constants among the inputs, too */
		if (!add_name(file, name))
			continue;
		if (file->input >= 0)
			return onnx_fail(problems, ONNX_UNSUPPORTED,
							 "the model has more than one input: \"%.100s\", \"%.100s\"",
							 file->inputs[file->input]->name != NULL ? file->inputs[file->input]->name : "",
							 name);
		file->input = i;
	}
	if (file->input < 0)
		return onnx_fail(problems, ONNX_CORRUPT, "the model has no input");
	for (i = 0; i < file->n_nodes; i++)
		for (j = 0; j < file->nodes[i]->n_output; j++)
			if (file->nodes[i]->output[j][0] != '\0' && !add_name(file, file->nodes[i]->output[j]))
				return onnx_fail(problems, ONNX_CORRUPT, "two tensors have the name \"%.100s\"",
								 file->nodes[i]->output[j]);
	return ONNX_OK;
}

/* ------------------------------------------------------------- the model */

/* Parts the head of the model from its graph, which stays in *graph. */
static OnnxStatus
read_head(OnnxFile *file, Field *graph, const uint8_t *bytes, size_t n, OnnxProblems *problems)
{
	Walk walk = {bytes, bytes + n};
	Walk again = walk;
	Rest rest = {NULL, 0};
	size_t kept = 0;
	size_t work = 0;
	int n_graphs = 0;
	void *message;
	Field field;
	OnnxStatus status;
	int more;

	while ((more = next_field(&walk, &field)) == 1)
	{
		if (field.number == MODEL_GRAPH && field.wire == 2)
		{
			*graph = field;
			n_graphs++;
		}
		else if (field.number < MODEL_TRAINING_INFO)
			kept += (size_t) (walk.at - field.start);
		if (onnx_stop_due(&file->arena, &work, 64))
			return ONNX_INTERRUPTED;
	}
	if (more < 0 || n_graphs != 1)
		return not_a_model(problems);
	if (kept > MAX_PIECE)
		return onnx_fail(problems, ONNX_TOO_LARGE, "the model says %zu bytes about itself", kept);
	rest.bytes = onnx_alloc(&file->arena, kept);
	if (rest.bytes == NULL)
		return onnx_no_memory(&file->arena, problems);
	while (next_field(&again, &field) == 1)
		if (field.number < MODEL_TRAINING_INFO && (field.number != MODEL_GRAPH || field.wire != 2))
			keep(&rest, &again, &field);
	status =
		unpack(&message, &pneumo__onnx__model_proto__descriptor, rest.bytes, rest.n, &file->arena, problems);
	file->head = message;
	return status;
}

static OnnxStatus
find_opset(OnnxFile *file, OnnxProblems *problems)
{
	size_t i;

	for (i = 0; i < file->head->n_opset_import; i++)
	{
		const Pneumo__Onnx__OperatorSetIdProto *set = file->head->opset_import[i];

		if (set->domain == NULL || set->domain[0] == '\0' || strcmp(set->domain, "ai.onnx") == 0)
			file->opset = set->version;
	}
	if (file->opset < ONNX_LOWEST_OPSET || file->opset > ONNX_HIGHEST_OPSET)
	{
		snprintf(problems->hint, sizeof(problems->hint),
				 "onnx.version_converter.convert_version(model, %d) makes a model of another operator set.",
				 ONNX_WRITTEN_OPSET);
		return onnx_fail(problems, ONNX_UNSUPPORTED,
						 "the model is of operator set %lld, supported are %d to %d", (long long) file->opset,
						 ONNX_LOWEST_OPSET, ONNX_HIGHEST_OPSET);
	}
	return ONNX_OK;
}

OnnxStatus
onnx_read(OnnxFile **result, const void *bytes, size_t n_bytes, const OnnxEnv *env, OnnxProblems *problems)
{
	OnnxArena arena;
	OnnxFile *file;
	Field graph = {0};
	OnnxStatus status;

	onnx_problems_init(problems);
	onnx_arena_init(&arena, env);
	file = onnx_alloc(&arena, sizeof(OnnxFile));
	if (file == NULL)
		return onnx_no_memory(&arena, problems);
	file->arena = arena;
	file->arena.allocator.allocator_data = &file->arena;
	status = read_head(file, &graph, bytes, n_bytes, problems);
	if (status == ONNX_OK)
		status = find_opset(file, problems);
	if (status == ONNX_OK)
		status = read_graph(file, graph.data, graph.n, problems);
	if (status == ONNX_OK)
		status = number_names(file, problems);
	*result = file;
	return status;
}

/* --------------------------------------------------------------- access */

const OnnxAttribute *
onnx_attribute(const OnnxNode *node, const char *name)
{
	size_t i;

	for (i = 0; i < node->n_attribute; i++)
		if (node->attribute[i]->name != NULL && strcmp(node->attribute[i]->name, name) == 0)
			return node->attribute[i];
	return NULL;
}

int64_t
onnx_attribute_int(const OnnxNode *node, const char *name, int64_t def)
{
	const OnnxAttribute *attribute = onnx_attribute(node, name);

	return attribute != NULL ? attribute->i : def;
}

double
onnx_attribute_float(const OnnxNode *node, const char *name, double def)
{
	const OnnxAttribute *attribute = onnx_attribute(node, name);

	return attribute != NULL ? (double) attribute->f : def;
}

int
onnx_attribute_is(const OnnxNode *node, const char *name, const char *def, const char *text)
{
	const OnnxAttribute *attribute = onnx_attribute(node, name);

	if (attribute == NULL)
		return strcmp(def, text) == 0;
	return attribute->s.len == strlen(text) && memcmp(attribute->s.data, text, attribute->s.len) == 0;
}

/* Returns a size of the input's shape, 0 where it is open. */
static int
input_size(const OnnxFile *file, size_t i)
{
	const Pneumo__Onnx__TypeProto *type = file->inputs[file->input]->type;
	const Pneumo__Onnx__TensorShapeProto *shape =
		type != NULL && type->tensor_type != NULL ? type->tensor_type->shape : NULL;

	if (shape == NULL || i >= shape->n_dim ||
		shape->dim[i]->value_case != PNEUMO__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ||
		shape->dim[i]->dim_value < 0 || shape->dim[i]->dim_value > NN_MAX_CHANNELS)
		return 0;
	return (int) shape->dim[i]->dim_value;
}

void
onnx_summary(OnnxSummary *summary, const OnnxFile *file)
{
	int last = input_size(file, 3);
	int first = input_size(file, 1);

	summary->ir_version = file->head->ir_version;
	summary->opset = file->opset;
	summary->producer = file->head->producer_name != NULL ? file->head->producer_name : "";
	summary->producer_version = file->head->producer_version != NULL ? file->head->producer_version : "";
	summary->n_properties = (int) file->head->n_metadata_props;

	/* height, width, channels; as Keras has it */
	summary->channels_last = first != 1 && first != 3 && (last == 1 || last == 3);
	summary->batch = input_size(file, 0);
	summary->channels = summary->channels_last ? last : first;
	summary->height = input_size(file, summary->channels_last ? 1 : 2);
	summary->width = input_size(file, summary->channels_last ? 2 : 3);
}

const char *
onnx_property(const OnnxFile *file, const char *key)
{
	size_t i;

	for (i = 0; i < file->head->n_metadata_props; i++)
	{
		const Pneumo__Onnx__StringStringEntryProto *entry = file->head->metadata_props[i];

		if (entry->key != NULL && strcmp(entry->key, key) == 0)
			return entry->value != NULL ? entry->value : "";
	}
	return NULL;
}
