/*-------------------------------------------------------------------------
 *
 * onnx_network.c
 *	  The nodes of an ONNX file as nodes of src/nn: the table of operators, and
 *	  what all of them use.
 *
 * The nodes that lead to the output are gone through once, in the order of the
 * file.  Where one is not supported its results are marked as broken, and so is
 * what depends on them, so that each cause is named once and all of them are.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The operators, in the order of the alphabet. */
static const struct
{
	const char *name;
	OnnxLower lower;
} operators[] = {
	{"Add", onnx_lower_arithmetic},
	{"AveragePool", onnx_lower_average_pool},
	{"BatchNormalization", onnx_lower_batch_norm},
	{"Cast", onnx_lower_cast},
	{"CastLike", onnx_lower_cast},
	{"Celu", onnx_lower_activation},
	{"Clip", onnx_lower_clip},
	{"Concat", onnx_lower_concat},
	{"Conv", onnx_lower_conv},
	{"Div", onnx_lower_arithmetic},
	{"Dropout", onnx_lower_same},
	{"Elu", onnx_lower_activation},
	{"Flatten", onnx_lower_flatten},
	{"Gather", onnx_lower_gather},
	{"Gelu", onnx_lower_activation},
	{"Gemm", onnx_lower_gemm},
	{"GlobalAveragePool", onnx_lower_global_pool},
	{"GlobalMaxPool", onnx_lower_global_pool},
	{"GroupNormalization", onnx_lower_group_norm},
	{"HardSigmoid", onnx_lower_activation},
	{"HardSwish", onnx_lower_activation},
	{"Identity", onnx_lower_same},
	{"InstanceNormalization", onnx_lower_instance_norm},
	{"LayerNormalization", onnx_lower_layer_norm},
	{"LeakyRelu", onnx_lower_activation},
	{"MatMul", onnx_lower_mat_mul},
	{"Max", onnx_lower_arithmetic},
	{"MaxPool", onnx_lower_max_pool},
	{"Mean", onnx_lower_arithmetic},
	{"Min", onnx_lower_arithmetic},
	{"Mish", onnx_lower_activation},
	{"Mul", onnx_lower_arithmetic},
	{"Neg", onnx_lower_arithmetic},
	{"PRelu", onnx_lower_prelu},
	{"Pad", onnx_lower_pad},
	{"ReduceMax", onnx_lower_reduce},
	{"ReduceMean", onnx_lower_reduce},
	{"Relu", onnx_lower_activation},
	{"Reshape", onnx_lower_reshape},
	{"Resize", onnx_lower_resize},
	{"Selu", onnx_lower_activation},
	{"Sigmoid", onnx_lower_activation},
	{"Slice", onnx_lower_slice},
	{"Softmax", onnx_lower_softmax},
	{"Softplus", onnx_lower_activation},
	{"Split", onnx_lower_split},
	{"Squeeze", onnx_lower_squeeze},
	{"Sub", onnx_lower_arithmetic},
	{"Sum", onnx_lower_arithmetic},
	{"Swish", onnx_lower_activation},
	{"Tanh", onnx_lower_activation},
	{"Transpose", onnx_lower_transpose},
	{"Unsqueeze", onnx_lower_unsqueeze},
};

/* ---------------------------------------------------------------- values */

int
onnx_input(const OnnxNetwork *net, const OnnxNode *node, size_t i)
{
	if (i >= node->n_input || node->input[i][0] == '\0')
		return -1;
	return onnx_value_find(net->file, node->input[i]);
}

int
onnx_has_input(const OnnxNetwork *net, const OnnxNode *node, size_t i)
{
	return onnx_input(net, node, i) >= 0;
}

OnnxValue *
onnx_input_value(const OnnxNetwork *net, const OnnxNode *node, size_t i)
{
	int value = onnx_input(net, node, i);

	return value >= 0 ? &net->values[value] : NULL;
}

const OnnxConstant *
onnx_input_constant(const OnnxNetwork *net, const OnnxNode *node, size_t i)
{
	const OnnxValue *value = onnx_input_value(net, node, i);

	return value != NULL && value->kind == ONNX_CONSTANT ? &value->constant : NULL;
}

const OnnxView *
onnx_input_view(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxValue *value = onnx_input_value(net, node, 0);

	if (value != NULL && value->kind == ONNX_VIEW)
		return &value->view;
	onnx_refuse(net, node, "has a constant where the network's values are expected");
	return NULL;
}

/* Returns the value that output i of a node is, NULL if the node leaves it out. */
static OnnxValue *
output_value(const OnnxNetwork *net, const OnnxNode *node, size_t i)
{
	int value = -1;

	if (i < node->n_output && node->output[i][0] != '\0')
		value = onnx_value_find(net->file, node->output[i]);
	return value >= 0 ? &net->values[value] : NULL;
}

void
onnx_set_view(OnnxNetwork *net, const OnnxNode *node, size_t i, const OnnxView *view)
{
	OnnxValue *value = output_value(net, node, i);

	if (value == NULL)
		return;
	value->kind = ONNX_VIEW;
	value->view = *view;
}

void
onnx_set_constant(OnnxNetwork *net, const OnnxNode *node, size_t i, const OnnxConstant *constant)
{
	OnnxValue *value = output_value(net, node, i);

	if (value == NULL)
		return;
	value->kind = ONNX_CONSTANT;
	value->constant = *constant;
}

void
onnx_refuse(OnnxNetwork *net, const OnnxNode *node, const char *format, ...)
{
	char reason[300];
	va_list args;

	if (net->problems->n >= ONNX_MAX_PROBLEMS)
	{
		net->problems->n++;
		return;
	}
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	onnx_problem(net->problems, "node \"%.80s\" (%.40s) %s",
				 node->name != NULL && node->name[0] != '\0' ? node->name
				 : node->n_output > 0                        ? node->output[0]
															 : "",
				 node->op_type != NULL ? node->op_type : "", reason);
}

void *
onnx_net_alloc(OnnxNetwork *net, size_t n, size_t item_bytes)
{
	void *memory = onnx_alloc_array(net->arena, n, item_bytes);

	if (memory == NULL && net->status == ONNX_OK)
		net->status = onnx_no_memory(net->arena, net->problems);
	return memory;
}

int
onnx_ints(const OnnxNetwork *net, const OnnxNode *node, const char *attribute, int input, int64_t *values,
		  int max)
{
	const OnnxAttribute *found = attribute != NULL ? onnx_attribute(node, attribute) : NULL;
	const OnnxConstant *constant = input >= 0 ? onnx_input_constant(net, node, (size_t) input) : NULL;
	size_t n, i;

	if (found == NULL && constant == NULL)
		return -1;
	n = found != NULL ? found->n_ints : constant->count;
	if (n > (size_t) max || (found == NULL && !onnx_type_is_whole(constant->type)))
		return -1;
	for (i = 0; i < n; i++)
		values[i] = found != NULL ? found->ints[i] : onnx_constant_whole(constant, i);
	return (int) n;
}

/* ----------------------------------------------------------- nodes of src/nn */

NnShape
onnx_shape(const OnnxNetwork *net, int node)
{
	NnNodeInfo info;

	nn_graph_node(&info, net->graph, node);
	return info.shape;
}

static int
name_is_taken(const OnnxNetwork *net, const char *name)
{
	NnNodeInfo info;
	int i;

	for (i = 0; i < nn_graph_node_count(net->graph); i++)
	{
		nn_graph_node(&info, net->graph, i);
		if (strcmp(info.name, name) == 0)
			return 1;
	}
	return 0;
}

/* Writes the name of a node: that of the file's, or its operator, and a number if it is taken. */
static void
make_name(char *name, const OnnxNetwork *net, const char *what)
{
	const OnnxNode *node = net->file->nodes[net->current];
	const char *given = node->name != NULL ? node->name : "";
	char base[81];
	size_t n = 0;
	int i;

	while (*given == '/')
		given++;
	for (; *given != '\0' && n < sizeof(base) - 1; given++)
		base[n++] = *given > ' ' && *given <= '~' ? *given : '_';
	base[n] = '\0';
	if (n == 0)
	{
		snprintf(base, sizeof(base), "%.40s", node->op_type);
		for (n = 0; base[n] != '\0'; n++)
			base[n] = isalnum((unsigned char) base[n]) ? (char) tolower((unsigned char) base[n]) : '_';
	}
	snprintf(name, NN_NAME_LEN, "%s%s", base, what);
	for (i = 2; name_is_taken(net, name); i++)
		snprintf(name, NN_NAME_LEN, "%s%s_%d", base, what, i);
}

void
onnx_begin(OnnxNetwork *net, NnNodeSpec *spec, const char *class_name, const char *what)
{
	nn_node_spec_init(spec, nn_op_find(class_name));
	make_name(spec->name, net, what);
}

int
onnx_add(OnnxNetwork *net, NnNodeSpec *spec, int n_inputs, const int *inputs)
{
	NnError error = {0};
	int index;
	int i;

	spec->n_inputs = n_inputs;
	for (i = 0; i < n_inputs; i++)
	{
		if (inputs[i] < 0)
			return -1;
		spec->inputs[i] = inputs[i];
	}
	if (nn_graph_add(net->graph, spec, &index, &error) == NN_OK)
		return index;
	onnx_refuse(net, net->file->nodes[net->current], "cannot be made: %s", error.message);
	return -1;
}

int
onnx_add_one(OnnxNetwork *net, NnNodeSpec *spec, int input)
{
	return onnx_add(net, spec, 1, &input);
}

OnnxJob *
onnx_job(OnnxNetwork *net, const NnNodeSpec *spec, OnnxJobKind kind)
{
	OnnxJob *job;

	if (net->n_jobs >= net->max_jobs)
		return NULL;
	job = &net->jobs[net->n_jobs++];
	memset(job, 0, sizeof(*job));
	memcpy(job->name, spec->name, sizeof(job->name));
	job->kind = kind;
	return job;
}

/* ------------------------------------------------------------- what is needed */

/* Marks the nodes that lead to the output, and counts who takes each value. */
static void
mark_wanted(OnnxNetwork *net, int output)
{
	int i;
	size_t j;

	net->values[output].n_consumers = 1;
	net->values[output].consumer = -1;
	for (i = net->file->n_nodes - 1; i >= 0; i--)
	{
		const OnnxNode *node = net->file->nodes[i];

		for (j = 0; j < node->n_output && !net->wanted[i]; j++)
		{
			const OnnxValue *value = output_value(net, node, j);

			net->wanted[i] = value != NULL && value->n_consumers > 0;
		}
		if (!net->wanted[i])
			continue;
		for (j = 0; j < node->n_input; j++)
		{
			int value = onnx_input(net, node, j);

			if (net->matches[i].activation >= 0)
				value = j == 0 ? net->matches[i].input : -1;
			if (value < 0)
				continue;
			net->values[value].n_consumers++;
			net->values[value].consumer = i;
		}
	}
}

static OnnxLower
find_operator(const OnnxNode *node)
{
	size_t i;

	if (node->op_type == NULL ||
		(node->domain != NULL && node->domain[0] != '\0' && strcmp(node->domain, "ai.onnx") != 0))
		return NULL;
	for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strcmp(operators[i].name, node->op_type) == 0)
			return operators[i].lower;
	return NULL;
}

/* Tells whether all inputs are there; those that are not were refused before, or are named here. */
static int
has_inputs(OnnxNetwork *net, const OnnxNode *node)
{
	size_t j;
	int whole = 1;

	for (j = 0; j < node->n_input; j++)
	{
		const OnnxValue *value = onnx_input_value(net, node, j);

		if (node->input[j][0] == '\0')
			continue;
		if (value == NULL || value->kind == ONNX_NOTHING)
			onnx_refuse(net, node, "takes \"%.80s\", which no node before it gives", node->input[j]);
		if (value == NULL || value->kind != ONNX_CONSTANT)
			whole &= value != NULL && value->kind == ONNX_VIEW;
	}
	return whole;
}

/* Lowers the current node, or refuses it; then its results are broken. */
static void
lower_node(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxMatch *match = &net->matches[net->current];
	OnnxLower lower = find_operator(node);
	int problems = net->problems->n;
	int broken = 0;
	size_t j;

	if (match->activation >= 0)
	{
		broken = net->values[match->input].kind != ONNX_VIEW;
		onnx_lower_match(net, node, match);
	}
	else if (!has_inputs(net, node))
		broken = 1;
	else if (!onnx_fold(net, node))
	{
		if (lower != NULL)
			lower(net, node);
		else if (node->domain != NULL && node->domain[0] != '\0' && strcmp(node->domain, "ai.onnx") != 0)
			onnx_refuse(net, node, "is of domain \"%.60s\", which is not supported", node->domain);
		else
			onnx_refuse(net, node, "is not supported");
	}
	for (j = 0; j < node->n_output; j++)
	{
		OnnxValue *value = output_value(net, node, j);

		if (value == NULL || value->kind != ONNX_NOTHING)
			continue;
		value->kind = ONNX_BROKEN;
		if (!broken && net->problems->n == problems && net->status == ONNX_OK)
			onnx_refuse(net, node, "cannot be computed from what it is given");
	}
}

/* ------------------------------------------------------------------ the whole */

static OnnxStatus
make_tables(OnnxNetwork *net)
{
	OnnxFile *file = net->file;
	int i;
	size_t j;

	net->values = onnx_net_alloc(net, (size_t) file->n_values, sizeof(OnnxValue));
	net->matches = onnx_net_alloc(net, (size_t) file->n_nodes, sizeof(OnnxMatch));
	net->wanted = onnx_net_alloc(net, (size_t) file->n_nodes, 1);
	net->done = onnx_net_alloc(net, (size_t) file->n_nodes, 1);
	net->max_jobs = NN_MAX_NODES;
	net->jobs = onnx_net_alloc(net, (size_t) net->max_jobs, sizeof(OnnxJob));
	if (net->status != ONNX_OK)
		return net->status;
	for (i = 0; i < file->n_values; i++)
		net->values[i].producer = -1;
	for (i = 0; i < file->n_constants; i++)
	{
		OnnxValue *value = &net->values[onnx_value_find(file, file->constant_names[i])];

		value->kind = ONNX_CONSTANT;
		value->constant = file->constants[i];
	}
	for (i = 0; i < file->n_nodes; i++)
	{
		net->matches[i].activation = -1;
		for (j = 0; j < file->nodes[i]->n_output; j++)
		{
			OnnxValue *value = output_value(net, file->nodes[i], j);

			if (value != NULL)
				value->producer = i;
		}
		net->current = i;
		if (file->nodes[i]->op_type != NULL && strcmp(file->nodes[i]->op_type, "Constant") == 0)
			onnx_fold(net, file->nodes[i]);
	}
	return net->status;
}

static OnnxStatus
set_input(OnnxNetwork *net, int input)
{
	const OnnxValueInfo *info = net->file->inputs[net->file->input];
	const char *name = info->name != NULL ? info->name : "";
	OnnxValue *value = &net->values[onnx_value_find(net->file, name)];
	OnnxSummary summary;

	onnx_summary(&summary, net->file);
	if (info->type != NULL && info->type->tensor_type != NULL && info->type->tensor_type->shape != NULL &&
		info->type->tensor_type->shape->n_dim != 4)
		return onnx_fail(net->problems, ONNX_UNSUPPORTED,
						 "the input \"%.100s\" has %zu dimensions, where images have 4", name,
						 info->type->tensor_type->shape->n_dim);
	net->batch = summary.batch > 0 ? summary.batch : 1;
	value->kind = ONNX_VIEW;
	onnx_view_image(&value->view, net, input,
					summary.channels_last ? &onnx_channels_last : &onnx_channels_first);
	return ONNX_OK;
}

OnnxStatus
onnx_network(OnnxNetwork **network, NnGraph *graph, int input, OnnxFile *file, OnnxProblems *problems)
{
	OnnxNetwork *net;
	int output;

	onnx_problems_init(problems);
	net = onnx_alloc(&file->arena, sizeof(OnnxNetwork));
	if (net == NULL)
		return onnx_no_memory(&file->arena, problems);
	*network = net;
	net->file = file;
	net->arena = &file->arena;
	net->problems = problems;
	net->graph = graph;
	net->batch = 1;
	if (make_tables(net) != ONNX_OK)
		return net->status;
	if (set_input(net, input) != ONNX_OK)
		return ONNX_UNSUPPORTED;
	if (file->n_outputs != 1)
		return onnx_fail(problems, ONNX_UNSUPPORTED, "the model has %d outputs, where one is expected",
						 file->n_outputs);
	output = file->outputs[0]->name != NULL ? onnx_value_find(file, file->outputs[0]->name) : -1;
	if (output < 0)
		return onnx_fail(problems, ONNX_CORRUPT, "no node gives the output");
	onnx_match(net);
	mark_wanted(net, output);
	for (net->current = 0; net->current < file->n_nodes; net->current++)
	{
		if (onnx_stopped(net->arena))
			return ONNX_INTERRUPTED;
		if (net->wanted[net->current] && !net->done[net->current])
			lower_node(net, file->nodes[net->current]);
		if (net->status != ONNX_OK)
			return net->status;
	}
	net->current = file->n_nodes - 1;
	if (problems->n == 0 && net->values[output].kind != ONNX_VIEW)
		return onnx_fail(problems, ONNX_UNSUPPORTED, "the output does not depend on the input");
	if (problems->n == 0)
		net->output = onnx_need_row(net, &net->values[output].view, NULL);
	return problems->n == 0 ? ONNX_OK : ONNX_UNSUPPORTED;
}

int
onnx_network_output(const OnnxNetwork *network)
{
	return network->output;
}
