/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The graph: adding nodes, closing it, looking at it.
 *
 * A graph is one flat piece of memory without pointers: header, nodes, and
 * after nn_graph_finish() the plans of inference and of training.
 *
 *-------------------------------------------------------------------------
 */
#include "activations.h"
#include "error.h"
#include "graph.h"
#include "initializers.h"
#include "nn.h"
#include "op.h"
#include "plan.h"
#include "sizes.h"
#include "stop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GRAPH_MAGIC 0x48504e4eu

size_t
nn_graph_bytes(int max_nodes)
{
	size_t nodes;

	if (max_nodes < 1 || max_nodes > NN_MAX_NODES)
		return 0;
	nodes = nn_align_size(sizeof(NnGraph) + (size_t) max_nodes * sizeof(NnNode));
	return nodes + nn_plan_bytes_max(max_nodes, NN_INFER) + nn_plan_bytes_max(max_nodes, NN_TRAINING);
}

NnStatus
nn_graph_begin(NnGraph *graph, int max_nodes, int height, int width, int channels, NnError *error)
{
	NnNode *input = &graph->nodes[0];

	if (max_nodes < 1 || max_nodes > NN_MAX_NODES)
		return nn_fail(error, NN_TOO_LARGE, -1, "", "a network can have at most %d layers, not %d",
					   NN_MAX_NODES, max_nodes);
	memset(graph, 0, nn_graph_bytes(max_nodes));
	graph->magic = GRAPH_MAGIC;
	graph->max_nodes = max_nodes;
	graph->n_nodes = 1;
	nn_node_spec_init(&input->spec, 0);
	snprintf(input->spec.name, sizeof(input->spec.name), "input");
	if (height < 1 || width < 1 || channels < 1)
		return nn_fail(error, NN_BAD_ARGUMENT, 0, "", "an input of %d x %d x %d is empty", height, width,
					   channels);
	return nn_set_shape(input, 3, height, width, (size_t) channels, error);
}

void
nn_node_spec_init(NnNodeSpec *spec, int op)
{
	const NnParam *param = nn_op_info(op)->params;
	int i;

	memset(spec, 0, sizeof(*spec));
	spec->op = op;
	for (i = 0; param[i].key != NULL; i++)
	{
		if (param[i].required == 1)
			spec->params[i].v[0] = spec->params[i].v[1] = NAN;
		else
			spec->params[i] = param[i].def;
	}
}

NnValue *
nn_node_param(NnNodeSpec *spec, const char *key)
{
	int i = nn_op_param_find(spec->op, key);

	return i >= 0 ? &spec->params[i] : NULL;
}

int
nn_param_counts(const NnParam *param, const NnValue *value)
{
	return param->required != NN_LATER || memcmp(value, &param->def, sizeof(*value)) != 0;
}

/* ---------------------------------------------------------- adding nodes */

static NnStatus
bad_param(const NnNodeSpec *spec, const NnParam *param, double value, NnError *error)
{
	const char *class_name = nn_op_info(spec->op)->class_name;

	if (isnan(value))
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "layer \"%s\" (%s) needs \"%s\"", spec->name,
					   class_name, param->key);
	if (param->high > param->low)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "\"%s\" of layer \"%s\" (%s) is %g, but must be between %g and %g", param->key,
					   spec->name, class_name, value, param->low, param->high);
	return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "\"%s\" of layer \"%s\" (%s) cannot be %g", param->key,
				   spec->name, class_name, value);
}

static int
is_whole(double value)
{
	return value == floor(value) && fabs(value) < 2147483648.0;
}

static int
in_range(const NnParam *param, double value)
{
	return value >= param->low && value <= param->high;
}

static int
name_count(const char *const *names)
{
	int n = 0;

	while (names[n] != NULL)
		n++;
	return n;
}

/* Checks one parameter's value by its kind and range. */
static NnStatus
check_param(const NnNodeSpec *spec, const NnParam *param, const NnValue *value, NnError *error)
{
	const double *v = value->v;
	double count;
	int good = 0;
	int i;

	switch (param->kind)
	{
		case NN_PARAM_INT:
			good = is_whole(v[0]) && in_range(param, v[0]);
			break;
		case NN_PARAM_FLOAT:
			good = in_range(param, v[0]);
			break;
		case NN_PARAM_BOOL:
			good = (v[0] == 0 || v[0] == 1);
			break;
		case NN_PARAM_INT_PAIR:
			good = is_whole(v[0]) && is_whole(v[1]) && in_range(param, v[0]);
			if (good && !in_range(param, v[1]))
				return bad_param(spec, param, v[1], error);
			break;
		case NN_PARAM_ENUM:
			good = is_whole(v[0]) && v[0] >= 0 && v[0] < name_count(param->names);
			break;
		case NN_PARAM_ACTIVATION:
			good = is_whole(v[0]) && v[0] >= 0 && v[0] < NN_ACTIVATIONS;
			if (good && v[0] == NN_LEAKY_RELU && !(v[1] >= 0 && v[1] <= 1e6))
				return bad_param(spec, param, v[1], error);
			if (good && !(v[2] >= 0 && v[2] <= 1e6))
				return bad_param(spec, param, v[2], error);
			break;
		case NN_PARAM_BORDER:
			for (i = 0; i < 4; i++)
				if (!is_whole(v[i]) || !in_range(param, v[i]))
					return bad_param(spec, param, v[i], error);
			good = 1;
			break;
		case NN_PARAM_INTS:
		case NN_PARAM_FLOATS:
			count = v[3] == 0 && param->kind == NN_PARAM_FLOATS ? 1 : v[3];
			if (!(is_whole(count) && count >= (param->required == NN_LATER ? 0 : 1) && count <= 3))
				return bad_param(spec, param, isnan(v[0]) ? v[0] : count, error);
			for (i = 0; i < (int) count; i++)
				if (!in_range(param, v[i]) || (param->kind == NN_PARAM_INTS && !is_whole(v[i])))
					return bad_param(spec, param, v[i], error);
			good = 1;
			break;
		case NN_PARAM_INITIALIZER:
			good = nn_initializer_valid(value);
			break;
		case NN_PARAM_REGULARIZER:
			good = v[0] >= 0 && v[0] <= 1e6 && v[1] >= 0 && v[1] <= 1e6;
			break;
		case NN_PARAM_CONSTRAINT:
			good = is_whole(v[0]) && v[0] >= 0 && v[0] < NN_CONSTRAINTS && v[1] >= 0 && v[1] <= 1e6 &&
				   is_whole(v[2]) && v[2] >= 0 && v[2] < 16;
			break;
	}
	return good ? NN_OK : bad_param(spec, param, v[0], error);
}

/* Checks a node before it is added: type, name, inputs, and every parameter. */
static NnStatus
check_spec(const NnGraph *graph, const NnNodeSpec *spec, NnError *error)
{
	const NnOpInfo *info = nn_op_info(spec->op);
	int i;

	if (info == NULL || spec->op == 0)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "there is no node type %d to add", spec->op);
	if (memchr(spec->name, 0, sizeof(spec->name)) == NULL || spec->name[0] == '\0')
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "a layer's name is empty or too long");
	for (i = 0; i < graph->n_nodes; i++)
		if (strcmp(graph->nodes[i].spec.name, spec->name) == 0)
			return nn_fail(error, NN_BAD_ARGUMENT, i, "", "two layers have the name \"%s\"", spec->name);
	if (spec->n_inputs < info->min_inputs || spec->n_inputs > info->max_inputs ||
		spec->n_inputs > NN_MAX_INPUTS)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "layer \"%s\" (%s) has %d inputs, but can have %d to %d", spec->name, info->class_name,
					   spec->n_inputs, info->min_inputs,
					   info->max_inputs < NN_MAX_INPUTS ? info->max_inputs : NN_MAX_INPUTS);
	for (i = 0; i < spec->n_inputs; i++)
		if (spec->inputs[i] < 0 || spec->inputs[i] >= graph->n_nodes)
			return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
						   "layer \"%s\" has input %d, which is no earlier layer", spec->name,
						   spec->inputs[i]);
	for (i = 0; info->params[i].key != NULL; i++)
	{
		NnStatus status = check_param(spec, &info->params[i], &spec->params[i], error);

		if (status != NN_OK)
			return status;
	}
	return NN_OK;
}

/* Refuses an activation function inside another layer that the layer cannot take back. */
static NnStatus
check_activation(const NnNode *node, NnError *error)
{
	const NnOp *op = nn_node_op(node);
	float slope;
	NnActivation kind = op->activation != NULL ? op->activation(node, &slope) : NN_LINEAR;

	if (!nn_activation_stands_alone(kind) || (op->flags & NN_IS_ACTIVATION))
		return NN_OK;
	return nn_fail(error, NN_UNSUPPORTED, -1, "Put an Activation layer after it.",
				   "layer \"%s\" (%s) cannot have the activation \"%s\" within it", node->spec.name,
				   op->info.class_name, nn_activation_names[kind]);
}

NnStatus
nn_graph_add(NnGraph *graph, const NnNodeSpec *spec, int *index, NnError *error)
{
	NnNode *node;
	NnShape inputs[NN_MAX_INPUTS];
	NnStatus status;
	int i;

	if (graph->finished)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "the network is complete already");
	if (graph->n_nodes >= graph->max_nodes)
		return nn_fail(error, NN_TOO_LARGE, -1, "", "the network has more than %d layers", graph->max_nodes);
	status = check_spec(graph, spec, error);
	if (status != NN_OK)
		return status;

	node = &graph->nodes[graph->n_nodes];
	memset(node, 0, sizeof(*node));
	node->spec.op = spec->op;
	node->spec.n_inputs = spec->n_inputs;
	memcpy(node->spec.params, spec->params, sizeof(node->spec.params));
	snprintf(node->spec.name, sizeof(node->spec.name), "%s", spec->name);
	for (i = 0; i < spec->n_inputs; i++)
	{
		node->spec.inputs[i] = spec->inputs[i];
		inputs[i] = graph->nodes[spec->inputs[i]].shape;
	}
	node->in = inputs[0];
	status = nn_op(spec->op)->shape(node, inputs, error);
	if (status == NN_OK)
		status = check_activation(node, error);
	if (status == NN_OK &&
		(node->n_weights > NN_MAX_WEIGHTS || graph->n_weights > NN_MAX_WEIGHTS - node->n_weights))
		status = nn_fail(error, NN_TOO_LARGE, -1, "Use a smaller image, more pooling, or fewer units.",
						 "layer \"%s\" brings the network beyond %zu weights", spec->name,
						 (size_t) NN_MAX_WEIGHTS);
	if (status == NN_OK)
		status = nn_initializers_check(node, error);
	if (status != NN_OK)
	{
		if (error != NULL)
			error->node = graph->n_nodes;
		return status;
	}
	graph->n_weights += node->n_weights;
	if (index != NULL)
		*index = graph->n_nodes;
	graph->n_nodes++;
	return NN_OK;
}

NnStatus
nn_set_shape(NnNode *node, int rank, int h, int w, size_t c, NnError *error)
{
	if (h < 1 || w < 1 || c < 1)
		return nn_fail(error, NN_BAD_ARGUMENT, -1,
					   "Use a larger image, fewer pooling layers, or padding \"same\".",
					   "layer \"%s\" would have an output of %d x %d x %zu", node->spec.name, h, w, c);
	if (h > NN_MAX_SIDE || w > NN_MAX_SIDE || c > NN_MAX_CHANNELS ||
		nn_mul_size((size_t) h * (size_t) w, c) > ((size_t) 1 << 30))
		return nn_fail(error, NN_TOO_LARGE, -1, "",
					   "layer \"%s\" would have an output of %d x %d x %zu, which is too large",
					   node->spec.name, h, w, c);
	node->shape.rank = rank;
	node->shape.h = h;
	node->shape.w = w;
	node->shape.c = (int) c;
	return NN_OK;
}

/* ------------------------------------------------------------- closing it */

/* Keeps the nodes that lead to output, in their order. */
static void
drop_unused(NnGraph *graph, int output)
{
	int place[NN_MAX_NODES];
	int i, j, n = 1;

	for (i = 0; i < graph->n_nodes; i++)
		place[i] = -1;
	place[0] = 0;
	place[output] = 1;
	for (i = output; i > 0; i--)
		if (place[i] >= 0)
			for (j = 0; j < graph->nodes[i].spec.n_inputs; j++)
				place[graph->nodes[i].spec.inputs[j]] = 1;
	place[0] = 0;
	for (i = 1; i <= output; i++)
	{
		if (place[i] < 0)
			continue;
		place[i] = n;
		if (n != i)
			graph->nodes[n] = graph->nodes[i];
		for (j = 0; j < graph->nodes[n].spec.n_inputs; j++)
			graph->nodes[n].spec.inputs[j] = place[graph->nodes[n].spec.inputs[j]];
		n++;
	}
	graph->n_nodes = n;
}

static void
number_variables(NnGraph *graph)
{
	int i, j;

	graph->n_weights = 0;
	graph->n_variables = 0;
	for (i = 0; i < graph->n_nodes; i++)
	{
		NnNode *node = &graph->nodes[i];

		node->weights = graph->n_weights;
		graph->n_weights += node->n_weights;
		graph->n_variables += node->n_vars;
		node->n_consumers = 0;
		node->consumer = -1;
		for (j = 0; j < node->spec.n_inputs; j++)
		{
			graph->nodes[node->spec.inputs[j]].n_consumers++;
			graph->nodes[node->spec.inputs[j]].consumer = i;
		}
	}
}

static NnStatus
check_output(NnGraph *graph, const NnNode *node, NnError *error)
{
	const NnOp *op = nn_node_op(node);
	float slope;
	NnActivation kind = op->activation != NULL ? op->activation(node, &slope) : NN_LINEAR;
	int units = node->shape.c;

	if (node->shape.rank != 1)
		return nn_fail(error, NN_BAD_ARGUMENT, -1,
					   "End the network with Dense(1, sigmoid), or Dense(K, softmax).",
					   "the last layer \"%s\" gives %d x %d x %d values instead of one per class",
					   node->spec.name, node->shape.h, node->shape.w, node->shape.c);
	if (kind != NN_SIGMOID && (units == 1 || kind != NN_SOFTMAX))
		return nn_fail(error, NN_UNSUPPORTED, -1,
					   units == 1 ? "Give it the activation \"sigmoid\"."
								  : "Give it the activation \"softmax\", or one unit with \"sigmoid\".",
					   "the last layer \"%s\" has %d unit%s and the activation \"%s\"", node->spec.name,
					   units, units == 1 ? "" : "s", nn_activation_names[kind]);
	if (units > NN_MAX_CLASSES)
		return nn_fail(error, NN_TOO_LARGE, -1, "", "%d classes are more than %d", units, NN_MAX_CLASSES);
	graph->units = units;
	graph->output_activation = kind;
	return NN_OK;
}

static NnStatus
make_plans(NnGraph *graph, const NnPlanOptions *training, NnError *error)
{
	NnPlanOptions inference = {NN_INFER, -1, 0, 0};
	NnStatus status;

	graph->plan_offset[0] = nn_align_size(sizeof(NnGraph) + (size_t) graph->max_nodes * sizeof(NnNode));
	graph->plan_offset[1] = graph->plan_offset[0] + nn_plan_bytes_max(graph->max_nodes, NN_INFER);
	status = nn_plan_build((NnPlan *) nn_graph_plan(graph), graph, &inference, error);
	if (status == NN_OK)
		status = nn_plan_build((NnPlan *) nn_graph_train_plan(graph), graph, training, error);
	return status;
}

NnStatus
nn_graph_finish_as(NnGraph *graph, int output, const NnPlanOptions *training, NnError *error)
{
	NnStatus status;

	if (graph->finished)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "", "the network is complete already");
	if (output < 1 || output >= graph->n_nodes)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "Add at least one layer.",
					   "the network has no layer %d to be its output", output);
	status = check_output(graph, &graph->nodes[output], error);
	if (status != NN_OK)
	{
		if (error != NULL)
			error->node = output;
		return status;
	}
	drop_unused(graph, output);
	number_variables(graph);
	if (graph->n_weights == 0)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "Add a Dense or Conv2D layer.",
					   "the network has no weights");
	status = make_plans(graph, training, error);
	if (status == NN_OK)
		graph->finished = 1;
	return status;
}

NnStatus
nn_graph_finish(NnGraph *graph, int output, NnError *error)
{
	NnPlanOptions training = {NN_TRAINING, -1, 0, 0};

	return nn_graph_finish_as(graph, output, &training, error);
}

/* ----------------------------------------------------------- looking at it */

int
nn_graph_node_count(const NnGraph *graph)
{
	return graph->n_nodes;
}

void
nn_graph_node(NnNodeInfo *info, const NnGraph *graph, int node)
{
	const NnNode *n = &graph->nodes[node];

	info->name = n->spec.name;
	info->op = n->spec.op;
	info->shape = n->shape;
	info->n_inputs = n->spec.n_inputs;
	info->inputs = n->spec.inputs;
	info->params = n->spec.params;
	info->n_weights = n->n_weights;
	info->n_trainable = n->n_trainable;
	info->multiply_adds = n->multiply_adds;
}

int
nn_graph_output_units(const NnGraph *graph)
{
	return graph->units;
}

int
nn_graph_class_count(const NnGraph *graph)
{
	return graph->units == 1 ? 2 : graph->units;
}

int
nn_graph_is_multi_label(const NnGraph *graph)
{
	return graph->units > 1 && graph->output_activation == NN_SIGMOID;
}

int
nn_graph_embedding_node(const NnGraph *graph)
{
	int i;

	for (i = graph->n_nodes - 1; i > 0; i--)
		if (graph->nodes[i].n_weights > 0)
			return graph->nodes[i].spec.inputs[0];
	return 0;
}

int
nn_graph_map_node(const NnGraph *graph)
{
	int first_input = graph->n_nodes; /* the first node that a later one reads */
	int first = 0, last = -1;         /* convolutions */
	int i, j;

	for (i = 1; i < graph->n_nodes; i++)
		if (nn_node_op(&graph->nodes[i])->flags & NN_IS_CONVOLUTION)
		{
			last = i;
			if (first == 0)
				first = i;
		}
	if (last < 0)
		return -1;
	for (i = graph->n_nodes - 1; i >= first; i--)
	{
		const NnNode *node = &graph->nodes[i];

		if (first_input >= i && node->shape.rank == 3 && nn_shape_pixels(&node->shape) > 1 &&
			!(nn_node_op(node)->flags & NN_MOVES_VALUES))
			return i;
		for (j = 0; j < node->spec.n_inputs; j++)
			if (node->spec.inputs[j] < first_input)
				first_input = node->spec.inputs[j];
	}
	return last;
}

size_t
nn_graph_weight_count(const NnGraph *graph)
{
	return graph->n_weights;
}

int
nn_graph_variable_count(const NnGraph *graph)
{
	return graph->n_variables;
}

void
nn_graph_variable(NnVariable *variable, const NnGraph *graph, int i)
{
	int n = 0;
	int k;

	while (i >= graph->nodes[n].n_vars)
		i -= graph->nodes[n++].n_vars;
	snprintf(variable->name, sizeof(variable->name), "%s/%s", graph->nodes[n].spec.name,
			 graph->nodes[n].vars[i].name);
	variable->node = n;
	variable->rank = graph->nodes[n].vars[i].rank;
	for (k = 0; k < 4; k++)
		variable->dims[k] = graph->nodes[n].vars[i].dims[k];
	variable->offset = graph->nodes[n].weights + graph->nodes[n].vars[i].offset;
	variable->count = graph->nodes[n].vars[i].count;
	variable->trainable = graph->nodes[n].vars[i].trainable;
}

/* ---------------------------------------------------------------- weights */

NnStatus
nn_weights_init(float *weights, const NnGraph *graph, uint64_t seed, volatile sig_atomic_t *stop)
{
	volatile sig_atomic_t *before = nn_stop_watch(stop);
	uint32_t number = 0;
	int i, j, stopped;

	for (i = 0; i < graph->n_nodes; i++)
	{
		const NnNode *node = &graph->nodes[i];

		for (j = 0; j < node->n_vars; j++)
			nn_initialize(weights + node->weights + node->vars[j].offset, &node->vars[j], seed, number++);
	}
	stopped = nn_stopped();
	nn_stop_watch(before);
	return stopped ? NN_INTERRUPTED : NN_OK;
}

#define CHECK_FLOATS ((size_t) 1 << 20) /* between two looks whether to stop */

/* Tells whether any number is NaN or infinite: all bits of its exponent are set. */
static int
any_not_finite(const float *x, size_t n)
{
	uint32_t found = 0;
	size_t i;

	for (i = 0; i < n; i++)
	{
		uint32_t bits;

		memcpy(&bits, &x[i], sizeof(bits));
		found |= ((bits & 0x7f800000u) == 0x7f800000u);
	}
	return found != 0;
}

static NnStatus
check_variable(const float *weights, const NnGraph *graph, int i, NnError *error)
{
	NnVariable variable;
	size_t start;

	nn_graph_variable(&variable, graph, i);
	for (start = 0; start < variable.count; start += CHECK_FLOATS)
	{
		size_t left = variable.count - start;

		if (nn_stopped())
			return nn_fail(error, NN_INTERRUPTED, -1, "", "the check of the weights was interrupted");
		if (any_not_finite(weights + variable.offset + start, left < CHECK_FLOATS ? left : CHECK_FLOATS))
			return nn_fail(error, NN_NOT_FINITE, variable.node, "A lower learning_rate or clipnorm may help.",
						   "variable \"%s\" has a value that is not finite", variable.name);
	}
	return NN_OK;
}

NnStatus
nn_weights_check(const float *weights, const NnGraph *graph, volatile sig_atomic_t *stop, NnError *error)
{
	volatile sig_atomic_t *before = nn_stop_watch(stop);
	NnStatus status = NN_OK;
	int i;

	for (i = 0; i < graph->n_variables && status == NN_OK; i++)
		status = check_variable(weights, graph, i, error);
	nn_stop_watch(before);
	return status;
}
