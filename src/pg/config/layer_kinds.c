/*-------------------------------------------------------------------------
 *
 * layer_kinds.c
 *	  Which nodes of the network core a layer of Keras becomes.
 *
 * Most become the node of their class name.  Some are two nodes
 * (SeparableConv2D), or one of another name (Normalization is a Rescaling),
 * or none (Identity).  The same for operators: "x / 255" in Keras's functional
 * style is a layer TrueDivide in Keras 3, TFOpLambda in Keras 2.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

static NnNodeSpec *
add_part(Layer *layer, const char *class_name)
{
	NnNodeSpec *spec = &layer->parts[layer->n_parts++];

	nn_node_spec_init(spec, nn_op_find(class_name));
	return spec;
}

static bool
is_op(const NnNodeSpec *spec, const char *class_name)
{
	return strcmp(nn_op_info(spec->op)->class_name, class_name) == 0;
}

/* Makes the layer x * scale + offset. */
static void
add_rescaling(Layer *layer, double scale, double offset)
{
	NnNodeSpec *spec = add_part(layer, "Rescaling");

	nn_node_param(spec, "scale")->v[0] = scale;
	nn_node_param(spec, "offset")->v[0] = offset;
}

/* ---------------------------------------------------------------- operators */

/* The same operator as Keras 3 and as TensorFlow call it, and the node type of two tensors. */
typedef struct Operator
{
	const char *keras, *tensorflow;
	const char *class_name; /* with two tensors; NULL: none */
	const char *activation; /* with one; NULL: none */
} Operator;

static const Operator operators[] = {
	{"Add", "__operators__.add", "Add", NULL},
	{"Add", "math.add", "Add", NULL},
	{"Subtract", "math.subtract", "Subtract", NULL},
	{"Multiply", "math.multiply", "Multiply", NULL},
	{"TrueDivide", "math.truediv", NULL, NULL},
	{"Divide", "math.divide", NULL, NULL},
	{"Maximum", "math.maximum", "Maximum", NULL},
	{"Minimum", "math.minimum", "Minimum", NULL},
	{"Negative", "math.negative", NULL, NULL},
	{"Relu", "nn.relu", NULL, "relu"},
	{"Relu6", "nn.relu6", NULL, "relu6"},
	{"LeakyRelu", "nn.leaky_relu", NULL, "leaky_relu"},
	{"Sigmoid", "math.sigmoid", NULL, "sigmoid"},
	{"Sigmoid", "nn.sigmoid", NULL, "sigmoid"},
	{"Tanh", "math.tanh", NULL, "tanh"},
	{"Tanh", "nn.tanh", NULL, "tanh"},
	{"Elu", "nn.elu", NULL, "elu"},
	{"Selu", "nn.selu", NULL, "selu"},
	{"Silu", "nn.silu", NULL, "silu"},
	{"Silu", "nn.swish", NULL, "silu"},
	{"HardSigmoid", "", NULL, "hard_sigmoid"},
	{"HardSilu", "", NULL, "hard_silu"},
	{"Softplus", "math.softplus", NULL, "softplus"},
	{"Softplus", "nn.softplus", NULL, "softplus"},
	{"Mish", "", NULL, "mish"},
	{"Gelu", "nn.gelu", NULL, "gelu"},
};

/* Reads the numbers of an operator that Keras 3 writes into its config. */
static void
read_operator_config(Layer *layer)
{
	JsonbValue *v;

	if (layer->config == NULL)
		return;
	v = pneumo_json_get(layer->config, "approximate");
	if (!pneumo_json_is_null(v))
		layer->approximate = pneumo_json_read_bool(pneumo_layer_key(layer, "approximate"), v);
	v = pneumo_json_get(layer->config, "negative_slope");
	if (pneumo_json_is_null(v))
		v = pneumo_json_get(layer->config, "alpha");
	if (!pneumo_json_is_null(v))
		layer->negative_slope = pneumo_json_read_number(pneumo_layer_key(layer, "negative_slope"), v, 0, 1e6);
}

/* Makes a mean or maximum over height and width the global pooling that it is; returns whether it is one. */
static bool
is_global_pooling(Layer *layer)
{
	static const char *const names[][2] = {{"Mean", "GlobalAveragePooling2D"}, {"Max", "GlobalMaxPooling2D"}};
	JsonbValue *axis = layer->config != NULL ? pneumo_json_get(layer->config, "axis") : NULL;
	JsonbValue *keepdims = layer->config != NULL ? pneumo_json_get(layer->config, "keepdims") : NULL;
	int i;

	if (axis == NULL || strcmp(pneumo_json_full_text(axis), "[1, 2]") != 0)
		return false;
	for (i = 0; i < lengthof(names); i++)
		if (strcmp(layer->class_name, names[i][0]) == 0)
		{
			NnNodeSpec *spec = add_part(layer, names[i][1]);

			if (!pneumo_json_is_null(keepdims))
				nn_node_param(spec, "keepdims")->v[0] =
					pneumo_json_read_bool(pneumo_layer_key(layer, "keepdims"), keepdims);
			return true;
		}
	return false;
}

static const Operator *
find_operator(const Layer *layer)
{
	bool wrapped = strcmp(layer->class_name, "TFOpLambda") == 0;
	int i;

	for (i = 0; i < lengthof(operators); i++)
	{
		if (wrapped ? layer->function != NULL && strcmp(layer->function, operators[i].tensorflow) == 0
					: strcmp(layer->class_name, operators[i].keras) == 0)
			return &operators[i];
	}
	pneumo_layers_unsupported(NULL, "%s: the operator \"%s\" is not supported", pneumo_layer_subject(layer),
							  pneumo_clip(wrapped && layer->function != NULL ? layer->function
																			 : layer->class_name));
}

/* Makes what an operator of a tensor and a number is; first: the number comes first. */
static void
add_with_constant(Layer *layer, const Operator *operator, double c, bool first)
{
	if (strcmp(operator->keras, "Add") == 0)
		add_rescaling(layer, 1, c);
	else if (strcmp(operator->keras, "Multiply") == 0)
		add_rescaling(layer, c, 0);
	else if (strcmp(operator->keras, "Subtract") == 0)
		add_rescaling(layer, first ? -1 : 1, first ? c : -c);
	else if (strstr(operator->keras, "Divide") != NULL && !first && c != 0)
		add_rescaling(layer, 1 / c, 0);
	else
		pneumo_layers_unsupported(NULL, "%s: the operator \"%s\" with the number %g is not supported",
								  pneumo_layer_subject(layer), operator->keras, c);
}

/* Makes the nodes of an operator, and leaves the tensors alone among its arguments. */
static void
operator_kind(Layer *layer)
{
	const Operator *operator;
	double constant = 0;
	bool first = false;
	int n_constants = 0;
	int n_tensors = 0;
	NnValue *activation;
	int i;

	if (strcmp(layer->class_name, "Concatenate") == 0)
	{
		add_part(layer, "Concatenate");
		layer->bindings = NULL;
		return;
	}
	if (is_global_pooling(layer))
		return;
	operator= find_operator(layer);
	read_operator_config(layer);
	for (i = 0; i < layer->n_args; i++)
	{
		if (layer->args[i].name == NULL)
		{
			constant = layer->args[i].constant;
			first = (i == 0);
			n_constants++;
		}
		else
			layer->args[n_tensors++] = layer->args[i];
	}
	layer->n_args = n_tensors;

	if (operator->class_name != NULL && n_tensors == 2 && n_constants == 0)
		add_part(layer, operator->class_name);
	else if (operator->activation == NULL && n_tensors == 1 && n_constants == 1)
		add_with_constant(layer, operator, constant, first);
	else if (strcmp(operator->keras, "Negative") == 0 && n_tensors == 1)
		add_rescaling(layer, -1, 0);
	else if (operator->activation != NULL && n_tensors == 1 && n_constants == 0)
	{
		activation = nn_node_param(add_part(layer, "Activation"), "activation");
		activation->v[0] = nn_activation_find(operator->activation);
		activation->v[1] = isnan(layer->negative_slope) ? 0.2 : layer->negative_slope;
		if (strcmp(operator->keras, "Elu") == 0 && !isnan(layer->negative_slope))
			activation->v[2] = layer->negative_slope;
		if (strcmp(operator->keras, "Gelu") == 0 &&
			(layer->approximate == 1 || (layer->approximate < 0 && layer->function == NULL)))
			activation->v[0] = nn_activation_find("gelu_tanh");
	}
	else
		pneumo_layers_unsupported(NULL,
								  "%s: the operator \"%s\" of %d tensors and %d numbers is not supported",
								  pneumo_layer_subject(layer), operator->keras, n_tensors, n_constants);
}

/* --------------------------------------------------------- unknown classes */

/* What to do instead of a layer that pneumo does not have. */
static const struct
{
	const char *begin; /* of the class name */
	const char *hint;
} instead[] = {
	{"Random",
	 "Leave it out; config keys such as \"rotation_range\", \"zoom_range\" and \"horizontal_flip\" do this."},
	{"Resizing", "Leave it out; config key \"image_size\" does this."},
	{"CenterCrop", "Leave it out; config key \"image_size\" scales the whole image."},
	{"Lambda", "A Lambda holds Python code; use layers such as Rescaling."},
	{"GaussianNoise", "Leave it out, or use Dropout."},
	{"ActivityRegularization", "Leave it out; config key \"weight_decay\" of adamw regularises."},
	{"GlobalAvgPool2D", "Use GlobalAveragePooling2D."},
};

static void
unknown_class(const Layer *layer)
{
	const char **names = palloc(sizeof(char *) * (nn_op_count() + 1));
	int i;

	for (i = 0; i < lengthof(instead); i++)
		if (strncmp(layer->class_name, instead[i].begin, strlen(instead[i].begin)) == 0)
			pneumo_layers_unsupported(instead[i].hint, "%s: is not supported", pneumo_layer_subject(layer));
	for (i = 0; pneumo_keras_layers[i] != NULL; i++)
		if (strcmp(layer->class_name, pneumo_keras_layers[i]) == 0)
			pneumo_layers_unsupported(NULL, "%s: is not supported", pneumo_layer_subject(layer));

	for (i = 0; i < nn_op_count(); i++)
		names[i] = nn_op_info(i)->class_name;
	names[i] = NULL;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("layer %d \"%s\": unknown class \"%s\"", layer->number, layer->name,
						   pneumo_clip(layer->class_name)),
					errdetail("It can be %s.", pneumo_list_names(names)),
					pneumo_hint_nearest(layer->class_name, names)));
}

/* Refuses a class that has the name of one of Keras's and is another. */
static void
check_module(const Layer *layer)
{
	if (layer->module == NULL || strncmp(layer->module, "keras", 5) == 0 ||
		strncmp(layer->module, "tensorflow.", 11) == 0 || strncmp(layer->module, "tf_keras", 8) == 0)
		return;
	pneumo_layers_unsupported(NULL, "%s: is a class of module \"%s\", not of Keras",
							  pneumo_layer_subject(layer), pneumo_clip(layer->module));
}

/* ------------------------------------------------------------ Normalization */

/* Collects up to three numbers, wherever they are in nested lists; returns how many there are. */
static int
collect_numbers(JsonbValue *v, double *numbers, int n)
{
	JsonbContainer *array = pneumo_json_array(v);
	int i;

	check_stack_depth();
	if (array != NULL)
		for (i = 0; i < pneumo_json_array_length(array); i++)
			n = collect_numbers(getIthJsonbValueFromContainer(array, i), numbers, n);
	else if (n < 3 && pneumo_json_double(v, &numbers[n]))
		n++;
	else
		n = 4;
	return n > 3 ? 4 : n;
}

/* Refuses an axis other than the channels of a map. */
static void
check_axis(const Layer *layer, JsonbValue *v)
{
	static const char *const allowed[] = {"null", "-1", "[-1]", "3", "[3]"};
	int i;

	if (v == NULL)
		return;
	for (i = 0; i < lengthof(allowed); i++)
		if (strcmp(pneumo_json_full_text(v), allowed[i]) == 0)
			return;
	pneumo_layers_unsupported(NULL, "%s is %s, only -1 is supported", pneumo_layer_key(layer, "axis"),
							  pneumo_json_text(v));
}

/* Asks an import for what adapt() has found; returns how many numbers there are of each, 0: none. */
static int
adapted(const LayerList *list, const Layer *layer, double *mean, double *variance)
{
	int i;

	for (i = 0; list->hooks != NULL && i < list->n; i++)
		if (list->layers[i] == layer && list->listed[i] >= 0)
			return list->hooks->normalization(mean, variance, list->hooks,
											  &list->hooks->layers[list->listed[i]]);
	return 0;
}

/* Makes (x - mean) / sqrt(variance), or the reverse, a Rescaling. */
static void
normalization_kind(LayerList *list, Layer *layer)
{
	NnNodeSpec *spec = add_part(layer, "Rescaling");
	NnValue *scale = nn_node_param(spec, "scale");
	NnValue *offset = nn_node_param(spec, "offset");
	JsonbValue *mean_value = layer->config != NULL ? pneumo_json_get(layer->config, "mean") : NULL;
	JsonbValue *variance_value = layer->config != NULL ? pneumo_json_get(layer->config, "variance") : NULL;
	JsonbValue *invert = layer->config != NULL ? pneumo_json_get(layer->config, "invert") : NULL;
	bool inverted =
		!pneumo_json_is_null(invert) && pneumo_json_read_bool(pneumo_layer_key(layer, "invert"), invert);
	double mean[3], variance[3];
	int n_mean, n_variance;
	int i;

	scale->v[0] = 1;
	offset->v[0] = 0;
	if (layer->config != NULL)
		check_axis(layer, pneumo_json_get(layer->config, "axis"));
	if (pneumo_json_is_null(mean_value) && pneumo_json_is_null(variance_value))
	{
		n_mean = n_variance = adapted(list, layer, mean, variance);
		if (n_mean == 0)
		{
			pneumo_layers_notice(
				list, "%s: has no \"mean\" and \"variance\"; it changes nothing, as in Keras before adapt()",
				pneumo_layer_subject(layer));
			return;
		}
	}
	else
	{
		n_mean = collect_numbers(mean_value, mean, 0);
		n_variance = collect_numbers(variance_value, variance, 0);
	}
	if (n_mean != n_variance || (n_mean != 1 && n_mean != 3))
		pneumo_layers_unsupported(NULL, "%s: \"mean\" and \"variance\" must be numbers, one or one a channel",
								  pneumo_layer_subject(layer));
	for (i = 0; i < n_mean; i++)
	{
		double deviation = variance[i] > 0 ? sqrt(variance[i]) : 0;

		deviation = Max(deviation, 1e-7);
		scale->v[i] = inverted ? deviation : 1 / deviation;
		offset->v[i] = inverted ? mean[i] : -mean[i] / deviation;
	}
	scale->v[3] = offset->v[3] = n_mean == 1 ? 0 : n_mean;
}

/* -------------------------------------------------------------- the layers */

static const char *const operator_keys[] = {"function", "approximate", "negative_slope", "alpha", "axis",
											"keepdims", NULL};
static const char *const normalization_keys[] = {"mean", "variance", "invert", "axis", NULL};
static const char *const layer_scale_keys[] = {"init_values", "projection_dim", NULL};

/* written by Keras 2, but belong to Conv2D */
static const char *const separable_keys[] = {"kernel_initializer", "kernel_regularizer", "kernel_constraint",
											 NULL};

static const LayerBinding separable[] = {
	{"kernel_size", 0, "kernel_size"},
	{"strides", 0, "strides"},
	{"padding", 0, "padding"},
	{"dilation_rate", 0, "dilation_rate"},
	{"depth_multiplier", 0, "depth_multiplier"},
	{"depthwise_initializer", 0, "depthwise_initializer"},
	{"depthwise_regularizer", 0, "depthwise_regularizer"},
	{"depthwise_constraint", 0, "depthwise_constraint"},
	{"filters", 1, "filters"},
	{"pointwise_initializer", 1, "kernel_initializer"},
	{"pointwise_regularizer", 1, "kernel_regularizer"},
	{"pointwise_constraint", 1, "kernel_constraint"},
	{"activation", 1, "activation"},
	{"use_bias", 1, "use_bias"},
	{"bias_initializer", 1, "bias_initializer"},
	{"bias_regularizer", 1, "bias_regularizer"},
	{"bias_constraint", 1, "bias_constraint"},
	{NULL, 0, NULL},
};

static const LayerBinding scaled_add[] = {
	{"scale", 0, "scale"},
	{NULL, 0, NULL},
};

static const LayerBinding nothing[] = {
	{NULL, 0, NULL},
};

/* Makes gamma * x, a gamma for each channel: a convolution of one pixel of each channel by itself. */
static void
layer_scale_kind(Layer *layer)
{
	NnNodeSpec *spec = add_part(layer, "DepthwiseConv2D");
	JsonbValue *v = layer->config != NULL ? pneumo_json_get(layer->config, "init_values") : NULL;
	NnValue *initializer = nn_node_param(spec, "depthwise_initializer");

	nn_node_param(spec, "kernel_size")->v[0] = nn_node_param(spec, "kernel_size")->v[1] = 1;
	nn_node_param(spec, "use_bias")->v[0] = 0;
	nn_initializer_find(initializer, "constant");
	if (v == NULL ||
		nn_initializer_set(initializer, "value",
						   pneumo_json_read_number(pneumo_layer_key(layer, "init_values"), v, -1e30, 1e30),
						   NULL) != 0)
		pneumo_layers_error("%s: key \"init_values\" is missing", pneumo_layer_subject(layer));
}

void
pneumo_layer_kind(LayerList *list, Layer *layer)
{
	const char *class_name = layer->class_name;
	bool application = layer->module != NULL && strncmp(layer->module, "keras.src.applications.", 23) == 0;
	NnNodeSpec *spec;

	layer->n_parts = 0;
	layer->bindings = nothing;
	layer->own_keys = NULL;
	check_module(layer);
	if (pneumo_layer_is_operator(layer))
	{
		operator_kind(layer);
		layer->own_keys = operator_keys;
	}
	else if (strcmp(class_name, "Identity") == 0)
		return;
	else if (strcmp(class_name, "Normalization") == 0)
	{
		normalization_kind(list, layer);
		layer->own_keys = normalization_keys;
	}
	else if (strcmp(class_name, "SeparableConv2D") == 0)
	{
		spec = add_part(layer, "DepthwiseConv2D");
		nn_node_param(spec, "use_bias")->v[0] = 0;
		spec = add_part(layer, "Conv2D");
		nn_node_param(spec, "kernel_size")->v[0] = nn_node_param(spec, "kernel_size")->v[1] = 1;
		layer->bindings = separable;
		layer->own_keys = separable_keys;
	}
	else if (application && strcmp(class_name, "CustomScaleLayer") == 0)
	{
		add_part(layer, "Rescaling");
		add_part(layer, "Add");
		layer->on_second = true;
		layer->bindings = scaled_add;
	}
	else if (application && strcmp(class_name, "LayerScale") == 0)
	{
		layer_scale_kind(layer);
		layer->own_keys = layer_scale_keys;
	}
	else if (nn_op_find(class_name) > 0)
	{
		add_part(layer, class_name);
		layer->bindings = NULL;
	}
	else
		unknown_class(layer);
}

/* ---------------------------------------------- what is not a key of its own */

/* Keras 2 keeps to the call's argument training; see layer_calls.c. */
static void
apply_training(Layer *layer)
{
	NnNodeSpec *spec = &layer->parts[0];
	bool dropout = is_op(spec, "Dropout") || is_op(spec, "SpatialDropout2D");

	if (!dropout && !is_op(spec, "BatchNormalization"))
		return;
	if (layer->training == LAYER_TRAINING_TRUE)
		pneumo_layers_unsupported(
			NULL,
			"%s: call argument \"training\" is true, so that it works in prediction, too, "
			"which is not supported",
			pneumo_layer_subject(layer));
	if (dropout)
		nn_node_param(spec, "rate")->v[0] = 0;
	else
		nn_node_param(spec, "training")->v[0] = 0;
}

/* Takes an activation function that needs a node of its own out of the last part, into one more. */
static void
split_activation(Layer *layer)
{
	NnNodeSpec *last = &layer->parts[layer->n_parts - 1];
	int i = nn_op_param_find(last->op, "activation");
	NnValue activation;

	if (i < 0 || is_op(last, "Activation") || !nn_activation_stands_alone((int) last->params[i].v[0]))
		return;
	Assert(layer->n_parts < LAYER_MAX_PARTS);
	activation = last->params[i];
	last->params[i].v[0] = nn_activation_find("linear");
	last->params[i].v[2] = 0;
	*nn_node_param(add_part(layer, "Activation"), "activation") = activation;
}

void
pneumo_layer_finish(LayerList *list, Layer *layer)
{
	int i;

	if (layer->n_parts == 0)
		return;
	if (layer->training != LAYER_TRAINING_OPEN)
		apply_training(layer);
	for (i = 0; layer->frozen && i < layer->n_parts; i++)
		if (nn_op_param_find(layer->parts[i].op, "trainable") >= 0)
			nn_node_param(&layer->parts[i], "trainable")->v[0] = 0;
	split_activation(layer);
}

void
pneumo_layer_dense_on_map(NnNodeSpec *spec)
{
	const NnParam *params = nn_op_info(spec->op)->params;
	NnNodeSpec conv;
	int i;

	nn_node_spec_init(&conv, nn_op_find("Conv2D"));
	strlcpy(conv.name, spec->name, NN_NAME_LEN);
	nn_node_param(&conv, "kernel_size")->v[0] = nn_node_param(&conv, "kernel_size")->v[1] = 1;
	for (i = 0; params[i].key != NULL; i++)
		*nn_node_param(&conv, strcmp(params[i].key, "units") == 0 ? "filters" : params[i].key) =
			spec->params[i];
	conv.n_inputs = spec->n_inputs;
	memcpy(conv.inputs, spec->inputs, sizeof(conv.inputs));
	*spec = conv;
}

/* --------------------------------------------------------- leading Rescaling */

/*
 * A network that divides its input itself expects 0 to 255.  The standard
 * deviation of such images is above 10, that of images from 0 to 1 at most 0.5,
 * so that the factor tells which of the two a network expects.
 */
#define BYTES_SCALE 0.1

/* Returns whether the layer gives values as it gets them, if from one source, in whatever place. */
static bool
hands_on(const Layer *layer)
{
	static const char *const names[] = {"Concatenate",  "ZeroPadding2D",    "Cropping2D", "UpSampling2D",
										"MaxPooling2D", "AveragePooling2D", "Reshape",    "Dropout",
										"Flatten",      "SpatialDropout2D"};
	int i;

	if (layer->n_parts == 0)
		return true;
	for (i = 0; layer->n_parts == 1 && i < lengthof(names); i++)
		if (is_op(&layer->parts[0], names[i]))
			return true;
	return false;
}

/* Returns whether what a layer gets are the values of the network's input. */
static bool
gets_input(const LayerList *list, const Layer *layer)
{
	int steps;

	for (steps = 0; steps <= list->n; steps++)
	{
		int source = layer->n_args > 0 ? layer->args[0].source : LAYER_SOURCE_INPUT;

		if (source < 0 || list->layers[source]->role == LAYER_INPUT)
			return true;
		layer = list->layers[source];
		if (!hands_on(layer))
			return false;
	}
	return false;
}

static bool
is_integer_type(const char *name)
{
	return name != NULL && (strncmp(name, "uint", 4) == 0 || strncmp(name, "int", 3) == 0);
}

/* Returns the layer that shows that the network expects 0 to 255, or NULL. */
static const Layer *
expects_bytes(const LayerList *list)
{
	int i, k;

	for (i = 0; i < list->n; i++)
	{
		const Layer *layer = list->layers[i];
		const NnValue *scale;

		if (layer->role == LAYER_INPUT && layer->config != NULL &&
			is_integer_type(pneumo_json_cstring(pneumo_json_get(layer->config, "dtype"))))
			return layer;
		if (layer->role != LAYER_NODE || layer->n_parts != 1 || !is_op(&layer->parts[0], "Rescaling") ||
			!gets_input(list, layer))
			continue;
		scale = &layer->parts[0].params[nn_op_param_find(layer->parts[0].op, "scale")];
		for (k = 0; k < Max(1, (int) scale->v[3]); k++)
			if (scale->v[k] != 0 && fabs(scale->v[k]) < BYTES_SCALE)
				return layer;
	}
	return NULL;
}

void
pneumo_layers_rescale(PneumoConfig *config, LayerList *list)
{
	const Layer *layer = expects_bytes(list);

	if (layer == NULL)
		return;
	if (config->rescale_given)
	{
		if (config->rescale * 255 < 2)
			ereport(WARNING,
					(errmsg("%s: expects pixels from 0 to 255, config key \"rescale\" makes them 0 to %g",
							pneumo_layer_subject(layer), config->rescale * 255),
					 errhint("Leave the key out, or set it to 1.")));
		return;
	}
	config->rescale = 1;
	pneumo_layers_notice(list, "%s: expects pixels from 0 to 255, so \"rescale\" is 1",
						 pneumo_layer_subject(layer));
}
