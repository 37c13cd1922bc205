/*-------------------------------------------------------------------------
 *
 * onnx_element.c
 *	  Operators by element: activations, and arithmetic of values with each
 *	  other and with constants; and Concat.
 *
 * An activation does not care how its input lies in memory: its output lies
 * alike.  Arithmetic of two values does where they lie alike, too.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------ activations */

/* Adds a node by element after a view's node, and makes its output the node's value. */
static int
add_by_element(OnnxNetwork *net, const OnnxNode *node, NnNodeSpec *spec, const OnnxView *view)
{
	OnnxView result = *view;

	result.node = onnx_add_one(net, spec, view->node);
	if (result.node > 0)
		onnx_set_view(net, node, 0, &result);
	return result.node;
}

/* Takes the activation of a view; number is its parameter, 0 for the usual one. */
static void
add_activation(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, int activation, double number)
{
	NnNodeSpec spec;
	NnValue *value;
	int added;

	onnx_begin(net, &spec, "Activation", "");
	value = nn_node_param(&spec, "activation");
	value->v[0] = activation;
	value->v[2] = number;
	added = add_by_element(net, node, &spec, view);
	if (added > 0)
		net->positive[added] = activation == nn_activation_find("sigmoid") ||
							   activation == nn_activation_find("hard_sigmoid") ||
							   activation == nn_activation_find("softplus");
}

void
onnx_lower_match(OnnxNetwork *net, const OnnxNode *node, const OnnxMatch *match)
{
	const OnnxValue *value = &net->values[match->input];

	if (value->kind == ONNX_VIEW)
		add_activation(net, node, &value->view, match->activation, 0);
}

/* Returns a view of one pixel as that of a row, so that the network can end in it. */
static OnnxView
as_row(OnnxNetwork *net, const OnnxView *view)
{
	NnShape shape = onnx_shape(net, view->node);
	OnnxView row = *view;

	if (shape.rank == 3 && shape.h == 1 && shape.w == 1)
	{
		OnnxView whole;

		onnx_view_row(&whole, net, view->node);
		row.node = onnx_need_row(net, &whole, NULL);
	}
	return row;
}

static void
add_relu(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, double ceiling)
{
	NnNodeSpec spec;
	int added;

	onnx_begin(net, &spec, "ReLU", "");
	nn_node_param(&spec, "max_value")->v[0] = ceiling;
	added = add_by_element(net, node, &spec, view);
	if (added > 0)
		net->positive[added] = 1;
}

static void
add_with_slope(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, const char *class_name,
			   const char *key, double value)
{
	NnNodeSpec spec;

	onnx_begin(net, &spec, class_name, "");
	nn_node_param(&spec, key)->v[0] = value;
	(void) add_by_element(net, node, &spec, view);
}

void
onnx_lower_activation(OnnxNetwork *net, const OnnxNode *node)
{
	static const char *const same[][2] = {{"HardSwish", "hard_silu"},
										  {"Mish", "mish"},
										  {"Softplus", "softplus"},
										  {"Tanh", "tanh"}};
	const OnnxView *view = onnx_input_view(net, node);
	const char *name = node->op_type;
	double alpha = onnx_attribute_float(node, "alpha", NAN);
	OnnxView row;
	size_t i;

	if (view == NULL)
		return;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (strcmp(name, same[i][0]) == 0)
			add_activation(net, node, view, nn_activation_find(same[i][1]), 0);
	if (strcmp(name, "Relu") == 0)
		add_relu(net, node, view, 0);
	else if (strcmp(name, "Sigmoid") == 0)
	{
		row = as_row(net, view);
		add_activation(net, node, &row, nn_activation_find("sigmoid"), 0);
	}
	else if (strcmp(name, "LeakyRelu") == 0)
		add_with_slope(net, node, view, "LeakyReLU", "negative_slope",
					   onnx_attribute_float(node, "alpha", (double) 0.01f));
	else if (strcmp(name, "Elu") == 0 || strcmp(name, "Celu") == 0)
	{
		if (name[0] == 'C' && !(isnan(alpha) || alpha == 1))
			onnx_refuse(net, node, "has an alpha of %g, supported is 1", alpha);
		else
			add_with_slope(net, node, view, "ELU", "alpha", isnan(alpha) ? 1.0 : alpha);
	}
	else if (strcmp(name, "Selu") == 0)
	{
		double gamma = onnx_attribute_float(node, "gamma", 1.0507009873554805);

		if (fabs(gamma - 1.0507009873554805) > 1e-4 ||
			(!isnan(alpha) && fabs(alpha - 1.6732632423543772) > 1e-4))
			onnx_refuse(net, node, "has an alpha or gamma that is not the usual one");
		else
			add_activation(net, node, view, nn_activation_find("selu"), 0);
	}
	else if (strcmp(name, "HardSigmoid") == 0)
	{
		double beta = onnx_attribute_float(node, "beta", 0.5);

		if (beta != 0.5 || alpha <= 0)
			onnx_refuse(net, node, "has an alpha of %g and a beta of %g, supported is 0.5 as beta", alpha,
						beta);
		else
			add_activation(net, node, view, nn_activation_find("hard_sigmoid"), isnan(alpha) ? 0.2 : alpha);
	}
	else if (strcmp(name, "Gelu") == 0)
		add_activation(net, node, view,
					   nn_activation_find(onnx_attribute_is(node, "approximate", "none", "tanh") ? "gelu_tanh"
																								 : "gelu"),
					   0);
	else if (strcmp(name, "Swish") == 0)
	{
		if (!isnan(alpha) && alpha != 1)
			onnx_refuse(net, node, "has an alpha of %g, supported is 1", alpha);
		else
			add_activation(net, node, view, nn_activation_find("silu"), 0);
	}
}

/* Adds x * scale + offset, the same for all. */
static int
add_rescaling(OnnxNetwork *net, const OnnxView *view, double scale, double offset, const char *what)
{
	NnNodeSpec spec;

	onnx_begin(net, &spec, "Rescaling", what);
	nn_node_param(&spec, "scale")->v[0] = scale;
	nn_node_param(&spec, "scale")->v[3] = 0;
	nn_node_param(&spec, "offset")->v[0] = offset;
	return onnx_add_one(net, &spec, view->node);
}

/* Clip(x, low, high) is ReLU, limited or not, of x or of something that is moved so that low is 0. */
static void
clip(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view, double low, double high)
{
	OnnxView moved = *view;
	NnNodeSpec spec;

	if (!(low > -3e38) && !(high < 3e38))
	{
		onnx_set_view(net, node, 0, view);
		return;
	}
	if (low == 0)
	{
		add_relu(net, node, view, high < 3e38 ? high : 0);
		return;
	}
	/* x below a ceiling alone: high - relu(high - x) */
	if (!(low > -3e38))
		moved.node = add_rescaling(net, view, -1, high, "/move");
	else
		moved.node = add_rescaling(net, view, 1, -low, "/move");
	onnx_begin(net, &spec, "ReLU", "");
	if (low > -3e38 && high < 3e38)
		nn_node_param(&spec, "max_value")->v[0] = high - low;
	moved.node = onnx_add_one(net, &spec, moved.node);
	if (moved.node < 0)
		return;
	moved.node = !(low > -3e38) ? add_rescaling(net, &moved, -1, high, "/back")
								: add_rescaling(net, &moved, 1, low, "/back");
	if (moved.node > 0)
		onnx_set_view(net, node, 0, &moved);
}

void
onnx_lower_clip(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	double limit[2];
	size_t i;

	if (view == NULL)
		return;
	limit[0] = onnx_attribute_float(node, "min", -INFINITY);
	limit[1] = onnx_attribute_float(node, "max", INFINITY);
	for (i = 0; i < 2; i++)
	{
		const OnnxConstant *constant = onnx_input_constant(net, node, i + 1);

		if (onnx_has_input(net, node, i + 1) && (constant == NULL || constant->count != 1))
		{
			onnx_refuse(net, node, "has a limit that is not a constant number");
			return;
		}
		if (constant != NULL)
			limit[i] = onnx_constant_number(constant, 0);
	}
	if (!(limit[1] > limit[0]))
		onnx_refuse(net, node, "has limits from %g to %g", limit[0], limit[1]);
	else
		clip(net, node, view, limit[0], limit[1]);
}

void
onnx_lower_softmax(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxView *view = onnx_input_view(net, node);
	const OnnxAxes *axes = &onnx_channels_first;
	int64_t axis = onnx_attribute_int(node, "axis", net->file->opset < 13 ? 1 : -1);
	NnNodeSpec spec;
	OnnxView result;
	int input;

	if (view == NULL)
		return;
	axis = axis < 0 ? axis + view->rank : axis;
	result = as_row(net, view);
	onnx_begin(net, &spec, "Softmax", "");
	if (view->rank == 2 && axis == 1)
	{
		input = onnx_need_row(net, view, NULL);
		input = onnx_add_one(net, &spec, input);
		if (input > 0)
			onnx_view_row(&result, net, input);
	}
	else if (view->rank == 4 && (axis == 1 || axis == 3))
	{
		if (axis == 3)
			axes = &onnx_channels_last;
		input = onnx_need_image(net, &result, axes);
		input = onnx_add_one(net, &spec, input);
		if (input > 0)
			onnx_view_image(&result, net, input, axes);
	}
	else
	{
		onnx_refuse(net, node, "is over axis %lld of %d, supported is the axis of the channels",
					(long long) axis, view->rank);
		return;
	}
	if (input > 0)
	{
		net->positive[input] = 1;
		onnx_set_view(net, node, 0, &result);
	}
}

/* ---------------------------------------------- arithmetic with constants */

/*
 * Tells how a constant is spread over a value of that rank: its one number
 * serves all (*n 1), or it has one for each index of *axis.
 */
static int
spread_of(const OnnxConstant *constant, int rank, int *axis, int64_t *n)
{
	int i;

	*axis = -1;
	*n = 1;
	for (i = 0; i < constant->rank; i++)
	{
		if (constant->dims[i] == 1)
			continue;
		if (*axis >= 0 || constant->rank > rank)
			return 0;
		*axis = rank - constant->rank + i;
		*n = constant->dims[i];
	}
	return *n >= 1 && *axis != 0;
}

float *
onnx_vector(OnnxNetwork *net, const OnnxNode *node, const OnnxConstant *constant, int64_t n, double factor,
			double fill)
{
	float *vector;
	int64_t i;

	if (constant != NULL && constant->count != (size_t) n && constant->count != 1)
	{
		onnx_refuse(net, node, "has a constant of %zu values where %lld are expected", constant->count,
					(long long) n);
		return NULL;
	}
	vector = onnx_net_alloc(net, (size_t) n, sizeof(float));
	for (i = 0; vector != NULL && i < n; i++)
		vector[i] =
			constant == NULL ? (float) fill
			: factor == 1.0
				? onnx_constant_float(constant, constant->count == 1 ? 0 : (size_t) i)
				: (float) (factor * onnx_constant_number(constant, constant->count == 1 ? 0 : (size_t) i));
	return vector;
}

/*
 * Changes scale and offset by one operator with a constant: x is what was
 * scale * x + offset.  second: the constant is the first operand.  0 where the
 * operator is not linear in x.
 */
static int
apply(float *scale, float *offset, int64_t n, const char *name, const OnnxConstant *constant,
	  int constant_first)
{
	int64_t i;

	for (i = 0; i < n; i++)
	{
		float c = onnx_constant_float(constant, constant->count == 1 ? 0 : (size_t) i);

		if (strcmp(name, "Add") == 0 || strcmp(name, "Sum") == 0)
			offset[i] += c;
		else if (strcmp(name, "Sub") == 0 && !constant_first)
			offset[i] -= c;
		else if (strcmp(name, "Sub") == 0)
		{
			scale[i] = -scale[i];
			offset[i] = c - offset[i];
		}
		else if (strcmp(name, "Mul") == 0)
		{
			scale[i] *= c;
			offset[i] *= c;
		}
		else if (strcmp(name, "Div") == 0 && !constant_first)
		{
			scale[i] /= c;
			offset[i] /= c;
		}
		else
			return 0;
	}
	return 1;
}

const OnnxNode *
onnx_absorb(OnnxNetwork *net, const OnnxNode *node, int rank, int axis, int64_t n, float **scale,
			float **bias)
{
	for (;;)
	{
		int output = node->output[0][0] != '\0' ? onnx_value_find(net->file, node->output[0]) : -1;
		OnnxValue *value = output >= 0 ? &net->values[output] : NULL;
		const OnnxNode *next = value != NULL && value->n_consumers == 1 && value->consumer >= 0
								   ? net->file->nodes[value->consumer]
								   : NULL;
		const OnnxConstant *constant;
		int first, spread_axis;
		int64_t count;

		if (next == NULL || next->n_input != 2 || net->matches[value->consumer].activation >= 0 ||
			next->op_type == NULL || next->n_output < 1 || (next->domain != NULL && next->domain[0] != '\0'))
			return node;
		if (strcmp(next->op_type, "Add") != 0 && strcmp(next->op_type, "Sub") != 0 &&
			strcmp(next->op_type, "Mul") != 0 && strcmp(next->op_type, "Div") != 0)
			return node;
		first = onnx_input_constant(net, next, 0) != NULL;
		constant = onnx_input_constant(net, next, first ? 0 : 1);
		if (constant == NULL || onnx_input_value(net, next, first ? 1 : 0) != value ||
			onnx_type_is_whole(constant->type) || !spread_of(constant, rank, &spread_axis, &count) ||
			(count > 1 && (spread_axis != axis || count != n)) || constant->rank > rank ||
			(first && next->op_type[0] == 'D') || onnx_value_find(net->file, next->output[0]) < 0)
			return node;
		if (*bias == NULL)
			*bias = onnx_vector(net, node, NULL, n, 1, 0);
		if (*scale == NULL)
			*scale = onnx_vector(net, node, NULL, n, 1, 1);
		if (*bias == NULL || *scale == NULL || !apply(*scale, *bias, n, next->op_type, constant, first))
			return node;
		net->done[value->consumer] = 1;
		value->kind = ONNX_BROKEN; /* nobody takes it any more */
		node = next;
	}
}

/* Adds a node that computes x * scale + offset for each channel of an image or a row. */
static int
add_affine(OnnxNetwork *net, int input, int64_t n, const float *scale, const float *offset)
{
	NnNodeSpec spec;
	OnnxJob *job;
	float *mean;
	float *variance;
	int added;
	int64_t i;

	if (n <= 3)
	{
		onnx_begin(net, &spec, "Rescaling", "");
		for (i = 0; i < n; i++)
		{
			nn_node_param(&spec, "scale")->v[i] = (double) scale[i];
			nn_node_param(&spec, "offset")->v[i] = (double) offset[i];
		}
		nn_node_param(&spec, "scale")->v[3] = nn_node_param(&spec, "offset")->v[3] = n == 1 ? 0 : (double) n;
		return onnx_add_one(net, &spec, input);
	}
	onnx_begin(net, &spec, "BatchNormalization", "");
	nn_node_param(&spec, "epsilon")->v[0] = 0;
	nn_node_param(&spec, "training")->v[0] = 0;
	added = onnx_add_one(net, &spec, input);
	job = added > 0 ? onnx_job(net, &spec, ONNX_JOB_VECTORS) : NULL;
	mean = onnx_vector(net, NULL, NULL, n, 1, 0);
	variance = onnx_vector(net, NULL, NULL, n, 1, 1);
	if (job == NULL || mean == NULL || variance == NULL)
		return -1;
	job->vectors[0] = scale;
	job->vectors[1] = offset;
	job->vectors[2] = mean;
	job->vectors[3] = variance;
	return added;
}

/* Computes a value and a constant. */
static void
lower_with_constant(OnnxNetwork *net, const OnnxNode *node, const OnnxView *view,
					const OnnxConstant *constant, int constant_first)
{
	OnnxView result = *view;
	const OnnxAxes *axes = &onnx_channels_first;
	float *scale, *offset;
	int64_t n;
	int axis;

	if (!spread_of(constant, view->rank, &axis, &n) || constant->rank > view->rank)
	{
		onnx_refuse(net, node, "has a constant that is neither one number nor one a channel");
		return;
	}
	if (n > 1 && n != onnx_axis_size(view, axis))
	{
		onnx_refuse(net, node, "has a constant of %lld values for an axis of %lld", (long long) n,
					(long long) onnx_axis_size(view, axis));
		return;
	}
	scale = onnx_vector(net, node, NULL, n, 1, 1);
	offset = onnx_vector(net, node, NULL, n, 1, 0);
	if (scale == NULL || offset == NULL)
		return;
	if (!apply(scale, offset, n, node->op_type, constant, constant_first))
	{
		onnx_refuse(net, node, "of a constant is not supported");
		return;
	}
	if (n == 1)
		result.node = add_affine(net, view->node, 1, scale, offset);
	else if (view->rank == 2)
	{
		result.node = add_affine(net, onnx_need_row(net, view, NULL), n, scale, offset);
		if (result.node > 0)
			onnx_view_row(&result, net, result.node);
	}
	else
	{
		int image;

		if (axis == 3)
			axes = &onnx_channels_last;
		if (axis != axes->c)
		{
			onnx_refuse(net, node, "has a constant for each index of axis %d", axis);
			return;
		}
		image = onnx_need_image(net, view, axes);
		result.node = image >= 0 ? add_affine(net, image, n, scale, offset) : -1;
		if (result.node > 0)
			onnx_view_image(&result, net, result.node, axes);
	}
	if (result.node > 0)
		onnx_set_view(net, node, 0, &result);
}

/* --------------------------------------------------- arithmetic of values */

static const char *
merge_class(const char *name)
{
	static const char *const classes[][2] = {{"Add", "Add"},      {"Sum", "Add"},      {"Sub", "Subtract"},
											 {"Mul", "Multiply"}, {"Mean", "Average"}, {"Max", "Maximum"},
											 {"Min", "Minimum"}};
	size_t i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcmp(classes[i][0], name) == 0)
			return classes[i][1];
	return NULL;
}

/* Returns the axes under which all inputs are images as they are; NULL if there are none. */
static const OnnxAxes *
common_axes(const OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxAxes *both[2] = {&onnx_channels_first, &onnx_channels_last};
	int best = -1;
	int lowest = 1 << 20;
	int i;
	size_t j;

	for (i = 0; i < 2; i++)
	{
		int cost = 0;

		for (j = 0; j < node->n_input; j++)
		{
			OnnxFit fit = onnx_view_fit(net, &onnx_input_value(net, node, j)->view, both[i]);

			cost += fit == ONNX_FIT_NONE ? 1 << 20 : (int) fit;
		}
		if (cost < lowest)
		{
			lowest = cost;
			best = i;
		}
	}
	return best >= 0 ? both[best] : NULL;
}

/* Combines values by element. */
static void
lower_merge(OnnxNetwork *net, const OnnxNode *node, const char *class_name)
{
	const OnnxView *first = &onnx_input_value(net, node, 0)->view;
	int inputs[NN_MAX_INPUTS];
	const OnnxAxes *axes = NULL;
	OnnxView result = *first;
	NnNodeSpec spec;
	int alike = 1;
	int positive = strcmp(class_name, "Subtract") != 0;
	int n = (int) node->n_input;
	int i;

	for (i = 1; i < n; i++)
		alike &= onnx_view_same(net, first, &onnx_input_value(net, node, (size_t) i)->view);
	if (!alike && first->rank == 4)
		axes = common_axes(net, node);
	for (i = 0; i < n; i++)
	{
		const OnnxView *view = &onnx_input_value(net, node, (size_t) i)->view;

		if (view->rank != first->rank)
		{
			onnx_refuse(net, node, "takes values of %d and %d dimensions", first->rank, view->rank);
			return;
		}
		inputs[i] = alike          ? view->node
					: axes != NULL ? onnx_need_image(net, view, axes)
								   : onnx_need_row(net, view, NULL);
		if (inputs[i] < 0)
			return;
		positive &= net->positive[inputs[i]];
	}
	onnx_begin(net, &spec, class_name, "");
	result.node = onnx_add(net, &spec, n, inputs);
	if (result.node < 0)
		return;
	net->positive[result.node] = (unsigned char) positive;
	if (!alike && axes != NULL)
		onnx_view_image(&result, net, result.node, axes);
	else if (!alike)
		onnx_view_row(&result, net, result.node);
	onnx_set_view(net, node, 0, &result);
}

void
onnx_lower_arithmetic(OnnxNetwork *net, const OnnxNode *node)
{
	const char *class_name = merge_class(node->op_type);
	int n_constants = 0;
	int first = 0;
	size_t j;

	for (j = 0; j < node->n_input; j++)
		if (!onnx_has_input(net, node, j))
		{
			onnx_refuse(net, node, "lacks an input");
			return;
		}
	if (strcmp(node->op_type, "Neg") == 0)
	{
		const OnnxView *view = onnx_input_view(net, node);
		OnnxView result;

		if (view == NULL)
			return;
		result = *view;
		result.node = add_rescaling(net, view, -1, 0, "");
		if (result.node > 0)
			onnx_set_view(net, node, 0, &result);
		return;
	}
	for (j = 0; j < node->n_input; j++)
		if (onnx_input_constant(net, node, j) != NULL)
		{
			n_constants++;
			first = j == 0;
		}
	if (node->n_input == 2 && n_constants == 1)
		lower_with_constant(net, node, &onnx_input_value(net, node, first ? 1 : 0)->view,
							onnx_input_constant(net, node, first ? 0 : 1), first);
	else if (n_constants > 0)
		onnx_refuse(net, node, "of a constant is not supported");
	else if (node->n_input == 1)
		onnx_set_view(net, node, 0, &onnx_input_value(net, node, 0)->view);
	else if (class_name == NULL || node->n_input < 1)
		onnx_refuse(net, node, "of two values is not supported");
	else if (node->n_input > NN_MAX_INPUTS)
		onnx_refuse(net, node, "has %zu inputs, at most %d are supported", node->n_input, NN_MAX_INPUTS);
	else
		lower_merge(net, node, class_name);
}

/* ------------------------------------------------------------------ Concat */

/*
 * Returns a Concatenate that holds the first inputs of a list, the longest one
 * that there is: networks that join all layers before each layer would copy them
 * again each time.  *n is how many inputs it holds, 0 if there is none.
 */
static int
find_joined(const OnnxNetwork *net, const int *inputs, int n_inputs, int *n)
{
	int best = 0;
	int i, k;

	*n = 0;
	for (i = 1; i < nn_graph_node_count(net->graph); i++)
	{
		/* walk back through the chain of Concatenates to the front of the list */
		int held = net->parts[i][0];
		int at = i;

		if (held <= *n || held > n_inputs)
			continue;
		k = held;
		while (k > 0)
		{
			NnNodeInfo info;
			int before, j;

			nn_graph_node(&info, net->graph, at);
			before = net->parts[at][1];
			for (j = 0; j < k - before; j++)
				if (info.inputs[j + (before > 0)] != inputs[before + j])
					break;
			if (j < k - before)
				break;
			k = before;
			at = info.inputs[0];
		}
		if (k == 0)
		{
			best = i;
			*n = held;
		}
	}
	return best;
}

/* Joins nodes, NN_MAX_INPUTS at a time; returns the last node. */
static int
join(OnnxNetwork *net, const int *inputs, int n_inputs)
{
	int held;
	int node = find_joined(net, inputs, n_inputs, &held);
	NnNodeSpec spec;

	if (held == 0)
	{
		node = inputs[0];
		held = 1;
	}
	while (held < n_inputs)
	{
		int some[NN_MAX_INPUTS];
		int before = held == 1 && node == inputs[0] ? 0 : held;
		int positive = net->positive[node];
		int n = 1;

		some[0] = node;
		while (held < n_inputs && n < NN_MAX_INPUTS)
		{
			positive &= net->positive[inputs[held]];
			some[n++] = inputs[held++];
		}
		onnx_begin(net, &spec, "Concatenate", "");
		node = onnx_add(net, &spec, n, some);
		if (node < 0)
			return -1;
		net->positive[node] = (unsigned char) positive;
		net->parts[node][0] = held;
		net->parts[node][1] = before;
	}
	return node;
}

void
onnx_lower_concat(OnnxNetwork *net, const OnnxNode *node)
{
	const OnnxAxes *axes = NULL;
	int64_t axis = onnx_attribute_int(node, "axis", 0);
	int *inputs = onnx_net_alloc(net, node->n_input + 1, sizeof(int));
	OnnxView result;
	int rank, joined;
	size_t j;

	if (inputs == NULL)
		return;
	for (j = 0; j < node->n_input; j++)
		if (onnx_input_value(net, node, j) == NULL || onnx_input_value(net, node, j)->kind != ONNX_VIEW)
		{
			onnx_refuse(net, node, "joins a constant with the network's values");
			return;
		}
	rank = node->n_input > 0 ? onnx_input_value(net, node, 0)->view.rank : 0;
	axis = axis < 0 ? axis + rank : axis;
	if (rank == 4)
		axes = axis == 1 ? &onnx_channels_first : &onnx_channels_last;
	if (!(rank == 4 && (axis == 1 || axis == 3)) && !(rank == 2 && axis == 1))
	{
		onnx_refuse(net, node, "joins along axis %lld, supported are the channels", (long long) axis);
		return;
	}
	for (j = 0; j < node->n_input; j++)
	{
		const OnnxView *view = &onnx_input_value(net, node, j)->view;

		inputs[j] = axes != NULL ? onnx_need_image(net, view, axes) : onnx_need_row(net, view, NULL);
		if (axes != NULL && inputs[j] >= 0)
			inputs[j] = onnx_need_map(net, inputs[j]);
		if (inputs[j] < 0)
			return;
	}
	joined = join(net, inputs, (int) node->n_input);
	if (joined < 0)
		return;
	if (axes != NULL)
		onnx_view_image(&result, net, joined, axes);
	else
		onnx_view_row(&result, net, joined);
	onnx_set_view(net, node, 0, &result);
}
