/*-------------------------------------------------------------------------
 *
 * onnx_write.c
 *	  The bytes of an ONNX file that is made here.
 *
 * As in reading, libprotobuf-c packs the messages within the graph one by one,
 * and the weights go from the network into their place in the file without a
 * copy between, so that writing can be stopped.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_FIELD(number) ((uint32_t) (number) << 3 | 2)

enum
{
	MODEL_GRAPH = 7,
	GRAPH_NODE = 1,
	GRAPH_NAME = 2,
	GRAPH_INITIALIZER = 5,
	GRAPH_INPUT = 11,
	GRAPH_OUTPUT = 12,
	TENSOR_RAW_DATA = 9
};

/* ------------------------------------------------------------- messages */

/* Returns memory; where there is none, sets the status and returns NULL. */
static void *
get(OnnxOutput *out, size_t n, size_t item_bytes)
{
	void *memory = onnx_alloc_array(&out->arena, n, item_bytes);

	if (memory == NULL && out->status == ONNX_OK)
		out->status = onnx_no_memory(&out->arena, out->problems);
	return memory;
}

const char *
onnx_text(OnnxOutput *out, const char *format, ...)
{
	char text[512];
	char *copy;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t) n >= sizeof(text))
		n = (int) strlen(text);
	copy = get(out, (size_t) n + 1, 1);
	if (copy == NULL)
		return "";
	memcpy(copy, text, (size_t) n + 1);
	return copy;
}

const char *
onnx_between(OnnxOutput *out, const char *what)
{
	NnNodeInfo info;

	nn_graph_node(&info, out->graph, out->current);
	return onnx_text(out, "%s/%s#%d", info.name, what, ++out->n_names);
}

OnnxNode *
onnx_last(OnnxOutput *out)
{
	return out->nodes[out->n_nodes > 0 ? out->n_nodes - 1 : 0];
}

OnnxNode *
onnx_emit(OnnxOutput *out, const char *operator, const char * output, const char *const *inputs)
{
	/* after the last place there is one more, for what is thrown away */
	int i = out->n_nodes < out->max_nodes ? out->n_nodes : out->max_nodes;
	OnnxNode *node = out->nodes[i];
	size_t n = 0;

	pneumo__onnx__node_proto__init(node);
	while (inputs[n] != NULL)
		n++;
	node->input = get(out, n, sizeof(char *));
	node->output = get(out, 1, sizeof(char *));
	node->attribute = get(out, 6, sizeof(OnnxAttribute *));
	if (i == out->max_nodes && out->status == ONNX_OK)
		out->status = onnx_fail(out->problems, ONNX_TOO_LARGE, "the network has too many layers");
	if (node->input == NULL || node->output == NULL || node->attribute == NULL)
	{
		pneumo__onnx__node_proto__init(node);
		return node;
	}
	memcpy(node->input, inputs, n * sizeof(char *));
	node->n_input = n;
	node->output[0] = (char *) output;
	node->n_output = 1;
	node->name = (char *) output;
	node->op_type = (char *) operator;
	if (i < out->max_nodes)
		out->n_nodes++;
	return node;
}

const char *
onnx_emit_one(OnnxOutput *out, const char *operator, const char * input)
{
	return onnx_emit_two(out, operator, input, NULL);
}

const char *
onnx_emit_two(OnnxOutput *out, const char *operator, const char * a, const char *b)
{
	const char *inputs[3] = {a, b, NULL};
	const char *output = onnx_between(out, operator);

	onnx_emit(out, operator, output, inputs);
	return output;
}

/* Appends an attribute to a node; NULL where there is no memory. */
static OnnxAttribute *
give(OnnxOutput *out, OnnxNode *node, const char *name, int type)
{
	OnnxAttribute *attribute =
		node->attribute != NULL && node->n_attribute < 6 ? get(out, 1, sizeof(OnnxAttribute)) : NULL;

	if (attribute == NULL)
		return NULL;
	pneumo__onnx__attribute_proto__init(attribute);
	attribute->name = (char *) name;
	attribute->has_type = 1;
	attribute->type = type;
	node->attribute[node->n_attribute++] = attribute;
	return attribute;
}

void
onnx_give_int(OnnxOutput *out, OnnxNode *node, const char *name, int64_t value)
{
	OnnxAttribute *attribute = give(out, node, name, ONNX_ATTRIBUTE_INT);

	if (attribute == NULL)
		return;
	attribute->has_i = 1;
	attribute->i = value;
}

void
onnx_give_float(OnnxOutput *out, OnnxNode *node, const char *name, double value)
{
	OnnxAttribute *attribute = give(out, node, name, ONNX_ATTRIBUTE_FLOAT);

	if (attribute == NULL)
		return;
	attribute->has_f = 1;
	attribute->f = (float) value;
}

void
onnx_give_text(OnnxOutput *out, OnnxNode *node, const char *name, const char *value)
{
	OnnxAttribute *attribute = give(out, node, name, ONNX_ATTRIBUTE_STRING);

	if (attribute == NULL)
		return;
	attribute->has_s = 1;
	attribute->s.data = (uint8_t *) value;
	attribute->s.len = strlen(value);
}

void
onnx_give_ints(OnnxOutput *out, OnnxNode *node, const char *name, int n, const int64_t *values)
{
	OnnxAttribute *attribute = give(out, node, name, ONNX_ATTRIBUTE_INTS);

	if (attribute == NULL)
		return;
	attribute->ints = get(out, (size_t) n, sizeof(int64_t));
	if (attribute->ints == NULL)
		return;
	memcpy(attribute->ints, values, (size_t) n * sizeof(int64_t));
	attribute->n_ints = (size_t) n;
}

/* Appends a tensor; NULL where there is no room. */
static OnnxStored *
store(OnnxOutput *out, const char *name, int type, int rank, const int64_t *dims)
{
	OnnxStored *stored;
	int i;

	if (out->n_stored >= out->max_stored)
	{
		if (out->status == ONNX_OK)
			out->status = onnx_fail(out->problems, ONNX_TOO_LARGE, "the network has too many variables");
		return NULL;
	}
	stored = &out->stored[out->n_stored];
	pneumo__onnx__tensor_proto__init(&stored->head);
	stored->head.name = (char *) name;
	stored->head.has_data_type = 1;
	stored->head.data_type = type;
	stored->head.dims = get(out, (size_t) rank, sizeof(int64_t));
	if (stored->head.dims == NULL)
		return NULL;
	stored->head.n_dims = (size_t) rank;
	stored->count = 1;
	for (i = 0; i < rank; i++)
	{
		stored->head.dims[i] = dims[i];
		stored->count *= (size_t) dims[i];
	}
	out->n_stored++;
	return stored;
}

const char *
onnx_store_weights(OnnxOutput *out, const char *what, OnnxOrder order, int rank, const int64_t *dims,
				   const float *weights)
{
	const char *name = onnx_between(out, what);
	OnnxStored *stored = store(out, name, ONNX_FLOAT, rank, dims);

	if (stored != NULL)
	{
		stored->order = order;
		stored->floats = weights;
	}
	return name;
}

const char *
onnx_store_vector(OnnxOutput *out, const char *what, int rank, int64_t n, double value)
{
	int64_t dims[3] = {n, 1, 1};
	float *values = get(out, (size_t) n, sizeof(float));
	int64_t i;

	for (i = 0; values != NULL && i < n; i++)
		values[i] = (float) value;
	return onnx_store_weights(out, what, ONNX_ORDER_SAME, rank, dims, values);
}

const char *
onnx_store_number(OnnxOutput *out, double value)
{
	return onnx_store_vector(out, "number", 0, 1, value);
}

const char *
onnx_store_wholes(OnnxOutput *out, int n, const int64_t *values)
{
	const char *name = onnx_between(out, "numbers");
	int64_t dims[1] = {n};
	OnnxStored *stored = store(out, name, ONNX_INT64, 1, dims);
	int64_t *copy = get(out, (size_t) n, sizeof(int64_t));

	if (stored != NULL && copy != NULL)
	{
		memcpy(copy, values, (size_t) n * sizeof(int64_t));
		stored->wholes = copy;
	}
	return name;
}

OnnxValueInfo *
onnx_describe(OnnxOutput *out, const char *name, int rank, const int64_t *dims)
{
	OnnxValueInfo *info = get(out, 1, sizeof(*info));
	Pneumo__Onnx__TypeProto *type = get(out, 1, sizeof(*type));
	Pneumo__Onnx__TypeProto__Tensor *tensor = get(out, 1, sizeof(*tensor));
	Pneumo__Onnx__TensorShapeProto *shape = get(out, 1, sizeof(*shape));
	Pneumo__Onnx__TensorShapeProto__Dimension *sizes = get(out, (size_t) rank, sizeof(*sizes));
	int i;

	if (out->status != ONNX_OK)
		return NULL;
	pneumo__onnx__value_info_proto__init(info);
	pneumo__onnx__type_proto__init(type);
	pneumo__onnx__type_proto__tensor__init(tensor);
	pneumo__onnx__tensor_shape_proto__init(shape);
	info->name = (char *) name;
	info->type = type;
	type->tensor_type = tensor;
	tensor->has_elem_type = 1;
	tensor->elem_type = ONNX_FLOAT;
	tensor->shape = shape;
	shape->dim = get(out, (size_t) rank, sizeof(*shape->dim));
	if (shape->dim == NULL)
		return NULL;
	shape->n_dim = (size_t) rank;
	for (i = 0; i < rank; i++)
	{
		pneumo__onnx__tensor_shape_proto__dimension__init(&sizes[i]);
		if (dims[i] >= 0)
		{
			sizes[i].value_case = PNEUMO__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
			sizes[i].dim_value = dims[i];
		}
		else
		{
			sizes[i].value_case = PNEUMO__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
			sizes[i].dim_param = "N";
		}
		shape->dim[i] = &sizes[i];
	}
	return info;
}

/* ---------------------------------------------------------------- sizes */

static size_t
varint_bytes(uint64_t value)
{
	size_t n = 1;

	for (; value >= 0x80; value >>= 7)
		n++;
	return n;
}

/* Returns the bytes of a field with a length: its tag, the length, and the content. */
static size_t
field_bytes(uint32_t number, size_t content)
{
	return varint_bytes(LENGTH_FIELD(number)) + varint_bytes(content) + content;
}

static size_t
raw_bytes(const OnnxStored *stored)
{
	return stored->count * (stored->wholes != NULL ? 8 : 4);
}

static size_t
stored_bytes(const OnnxStored *stored)
{
	return stored->head_bytes + field_bytes(TENSOR_RAW_DATA, raw_bytes(stored));
}

size_t
onnx_measure(OnnxOutput *out)
{
	size_t sum = field_bytes(GRAPH_NAME, strlen(out->export->name));
	int i;

	for (i = 0; i < out->n_nodes; i++)
		sum += field_bytes(GRAPH_NODE, protobuf_c_message_get_packed_size(&out->nodes[i]->base));
	for (i = 0; i < out->n_stored; i++)
	{
		OnnxStored *stored = &out->stored[i];

		stored->head_bytes = protobuf_c_message_get_packed_size(&stored->head.base);
		sum += field_bytes(GRAPH_INITIALIZER, stored_bytes(stored));
	}
	sum += field_bytes(GRAPH_INPUT, protobuf_c_message_get_packed_size(&out->input->base));
	sum += field_bytes(GRAPH_OUTPUT, protobuf_c_message_get_packed_size(&out->result->base));
	out->graph_bytes = sum;
	return protobuf_c_message_get_packed_size(&out->head.base) + field_bytes(MODEL_GRAPH, sum);
}

/* ---------------------------------------------------------------- bytes */

static uint8_t *
put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t) (value | 0x80);
	*at++ = (uint8_t) value;
	return at;
}

static uint8_t *
put_field(uint8_t *at, uint32_t number, size_t content)
{
	return put_varint(put_varint(at, LENGTH_FIELD(number)), content);
}

/* Writes a message as a field. */
static uint8_t *
put_message(uint8_t *at, uint32_t number, const ProtobufCMessage *message)
{
	at = put_field(at, number, protobuf_c_message_get_packed_size(message));
	return at + protobuf_c_message_pack(message, at);
}

static uint8_t *
put_little(uint8_t *at, uint64_t bits, int n)
{
	int i;

	for (i = 0; i < n; i++)
		*at++ = (uint8_t) (bits >> (8 * i));
	return at;
}

static uint8_t *
put_float(uint8_t *at, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return put_little(at, bits, 4);
}

/* Writes the values of a tensor; NULL when it is stopped. */
static uint8_t *
put_values(uint8_t *at, const OnnxStored *stored, const OnnxArena *arena)
{
	const int64_t *dims = stored->head.dims;
	size_t outputs = 1;
	size_t taps = 1;
	size_t inputs;
	size_t work = 0;
	size_t o, i, k;

	if (stored->order != ONNX_ORDER_SAME)
	{
		outputs = (size_t) dims[0];
		taps = (size_t) (dims[2] * dims[3]);
	}
	inputs = stored->count / outputs / taps;
	for (o = 0; o < outputs; o++)
		for (i = 0; i < inputs; i++)
		{
			for (k = 0; k < taps; k++)
			{
				if (stored->wholes != NULL)
					at = put_little(at, (uint64_t) stored->wholes[i], 8);
				else if (stored->order == ONNX_ORDER_DEPTH)
					at = put_float(at, stored->floats[k * outputs + o]);
				else
					at = put_float(at, stored->floats[(k * inputs + i) * outputs + o]);
			}
			if (onnx_stop_due(arena, &work, 16 * taps))
				return NULL;
		}
	return at;
}

OnnxStatus
onnx_write(void *dst, OnnxOutput *out, volatile sig_atomic_t *stop)
{
	uint8_t *at = dst;
	size_t name_bytes = strlen(out->export->name);
	int i;

	out->arena.env.stop = stop;
	at += protobuf_c_message_pack(&out->head.base, at);
	at = put_field(at, MODEL_GRAPH, out->graph_bytes);
	for (i = 0; i < out->n_nodes; i++)
		at = put_message(at, GRAPH_NODE, &out->nodes[i]->base);
	at = put_field(at, GRAPH_NAME, name_bytes);
	memcpy(at, out->export->name, name_bytes);
	at += name_bytes;
	for (i = 0; i < out->n_stored; i++)
	{
		const OnnxStored *stored = &out->stored[i];

		at = put_field(at, GRAPH_INITIALIZER, stored_bytes(stored));
		at += protobuf_c_message_pack(&stored->head.base, at);
		at = put_field(at, TENSOR_RAW_DATA, raw_bytes(stored));
		at = put_values(at, stored, &out->arena);
		if (at == NULL)
			return ONNX_INTERRUPTED;
	}
	at = put_message(at, GRAPH_INPUT, &out->input->base);
	put_message(at, GRAPH_OUTPUT, &out->result->base);
	return ONNX_OK;
}
