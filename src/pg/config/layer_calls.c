/*-------------------------------------------------------------------------
 *
 * layer_calls.c
 *	  How a functional network calls a layer: inbound_nodes, in the forms of
 *	  Keras 2 and 3.
 *
 * Keras 3 writes {"args": [...], "kwargs": {...}}, with an object for each
 * tensor; Keras 2 writes ["name", 0, 0, {...}] for each.  An operator's
 * arguments may be numbers, too.
 *
 * The argument training: Keras 2 keeps to it.  In Keras 3 fit() and predict()
 * put theirs in its place (measured with 3.0, 3.8 and 3.15), and each Dropout
 * that was called without it is written with false.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config_internal.h"

bool
pneumo_layer_is_operator(const Layer *layer)
{
	return strcmp(layer->class_name, "TFOpLambda") == 0 ||
		   (layer->module != NULL && (strncmp(layer->module, "keras.src.ops", 13) == 0 ||
									  strncmp(layer->module, "keras.ops", 9) == 0));
}

static LayerArg *
add_arg(Layer *layer)
{
	LayerArg *arg;

	if (layer->n_args >= NN_MAX_INPUTS)
		pneumo_layers_unsupported(NULL, "%s: has more than %d inputs", pneumo_layer_subject(layer),
								  NN_MAX_INPUTS);
	arg = &layer->args[layer->n_args++];
	memset(arg, 0, sizeof(*arg));
	arg->source = -1;
	return arg;
}

static void
add_source(Layer *layer, JsonbValue *name, JsonbValue *node, JsonbValue *tensor)
{
	char *text = pneumo_json_cstring(name);
	double call = 0;
	double number;
	LayerArg *arg;

	if (text == NULL)
		pneumo_layers_error("%s: key \"inbound_nodes\" does not name a layer", pneumo_layer_subject(layer));
	if (pneumo_json_double(tensor, &number) && number != 0)
		pneumo_layers_unsupported(NULL, "%s: takes output %s of layer \"%s\", which may have one output",
								  pneumo_layer_subject(layer), pneumo_json_text(tensor), pneumo_clip(text));
	pneumo_json_double(node, &call);
	arg = add_arg(layer);
	arg->name = text;
	arg->node = (int64) call;
}

static void
add_constant(Layer *layer, JsonbValue *value)
{
	double number;

	if (!pneumo_layer_is_operator(layer) || !pneumo_json_double(value, &number))
		pneumo_layers_error("%s: argument %s is not a layer's output", pneumo_layer_subject(layer),
							pneumo_json_text(value));
	add_arg(layer)->constant = number;
}

/* ---------------------------------------------------- keyword arguments */

/* Returns whether the value is Keras 2's ["name", node, tensor] or [..., {}]. */
static bool
is_source(JsonbValue *value)
{
	JsonbContainer *array = pneumo_json_array(value);

	return array != NULL && pneumo_json_array_length(array) >= 3 &&
		   pneumo_json_cstring(getIthJsonbValueFromContainer(array, 0)) != NULL;
}

static void
add_list_source(Layer *layer, JsonbContainer *array)
{
	char *name = pneumo_json_cstring(getIthJsonbValueFromContainer(array, 0));

	if (strcmp(name, "_CONSTANT_VALUE") == 0)
		add_constant(layer, getIthJsonbValueFromContainer(array, 2));
	else
		add_source(layer, getIthJsonbValueFromContainer(array, 0), getIthJsonbValueFromContainer(array, 1),
				   getIthJsonbValueFromContainer(array, 2));
}

static void
read_training(LayerList *list, Layer *layer, JsonbValue *v)
{
	bool training;

	if (v->type != jbvBool)
		pneumo_layers_error("%s: call argument \"training\" is %s, must be true, false or null",
							pneumo_layer_subject(layer), pneumo_json_text(v));
	training = v->val.boolean;
	if (list->keras2)
		layer->training = training ? LAYER_TRAINING_TRUE : LAYER_TRAINING_FALSE;
	else if (training || strstr(layer->class_name, "Dropout") == NULL)
		pneumo_layers_notice(list,
							 "%s: call argument \"training\" is %s, which changes nothing, as in Keras 3's "
							 "fit(); \"trainable\": false keeps a layer as it is",
							 pneumo_layer_subject(layer), training ? "true" : "false");
}

/* Reads one keyword argument of a call. */
static void
read_kwarg(LayerList *list, Layer *layer, const char *key, JsonbValue *v)
{
	bool is_operator = pneumo_layer_is_operator(layer);

	if (strcmp(key, "training") == 0)
		read_training(list, layer, v);
	else if (is_operator && (strcmp(key, "y") == 0 || strcmp(key, "x2") == 0) && is_source(v))
		add_list_source(layer, pneumo_json_array(v));
	else if (is_operator && (strcmp(key, "y") == 0 || strcmp(key, "x2") == 0))
		add_constant(layer, v);
	else if (is_operator && (strcmp(key, "alpha") == 0 || strcmp(key, "negative_slope") == 0))
		layer->negative_slope = pneumo_json_read_number(pneumo_layer_key(layer, key), v, 0, 1e6);
	else if (is_operator && strcmp(key, "approximate") == 0)
		layer->approximate = pneumo_json_read_bool(pneumo_layer_key(layer, key), v);
	else if (!(is_operator && strcmp(key, "name") == 0))
		pneumo_layers_unsupported(NULL, "%s: call argument \"%s\" is %s, only null is supported",
								  pneumo_layer_subject(layer), pneumo_clip(key), pneumo_json_text(v));
}

static void
read_kwargs(LayerList *list, Layer *layer, JsonbValue *kwargs)
{
	JsonbContainer *object = pneumo_json_object(kwargs);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue item;

	if (object == NULL)
		return;
	it = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char *key;
		JsonbValue *v;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(item.val.string.val, item.val.string.len);
		v = pneumo_json_get(object, key);
		if (!pneumo_json_is_null(v))
			read_kwarg(list, layer, key, v);
	}
}

/* ------------------------------------------------------------ the forms */

/* Collects Keras 3's keras_history wherever it is in the call's arguments, and numbers. */
static void
collect_args(Layer *layer, JsonbValue *value)
{
	JsonbContainer *object = pneumo_json_object(value);
	JsonbContainer *array = pneumo_json_array(value);
	int i;

	check_stack_depth();
	if (object != NULL)
	{
		JsonbContainer *config = pneumo_json_object(pneumo_json_get(object, "config"));
		JsonbContainer *history = NULL;

		if (config != NULL)
			history = pneumo_json_array(pneumo_json_get(config, "keras_history"));
		if (history == NULL || pneumo_json_array_length(history) != 3)
			pneumo_layers_error("%s: argument %s is not a layer's output", pneumo_layer_subject(layer),
								pneumo_json_text(value));
		add_source(layer, getIthJsonbValueFromContainer(history, 0),
				   getIthJsonbValueFromContainer(history, 1), getIthJsonbValueFromContainer(history, 2));
	}
	else if (array != NULL)
	{
		for (i = 0; i < pneumo_json_array_length(array); i++)
			collect_args(layer, getIthJsonbValueFromContainer(array, i));
	}
	else
		add_constant(layer, value);
}

static void
no_keras_form(const Layer *layer)
{
	pneumo_layers_error("%s: key \"inbound_nodes\" is %s, which is no Keras form",
						pneumo_layer_subject(layer), pneumo_json_text(layer->inbound));
}

/* Reads ["name", 0, 0, {...}] or a list of them. */
static void
read_keras2(LayerList *list, Layer *layer, JsonbValue *call)
{
	JsonbContainer *array = pneumo_json_array(call);
	int i;

	if (array == NULL)
		no_keras_form(layer);
	if (is_source(call))
	{
		add_list_source(layer, array);
		if (pneumo_json_array_length(array) > 3)
			read_kwargs(list, layer, getIthJsonbValueFromContainer(array, 3));
		return;
	}
	for (i = 0; i < pneumo_json_array_length(array); i++)
	{
		JsonbValue *entry = getIthJsonbValueFromContainer(array, i);

		if (!is_source(entry))
			no_keras_form(layer);
		add_list_source(layer, pneumo_json_array(entry));
		if (pneumo_json_array_length(pneumo_json_array(entry)) > 3)
			read_kwargs(list, layer, getIthJsonbValueFromContainer(pneumo_json_array(entry), 3));
	}
}

void
pneumo_layer_call(LayerList *list, Layer *layer)
{
	JsonbContainer *calls = pneumo_json_array(layer->inbound);
	JsonbValue *call;
	JsonbContainer *object;
	JsonbValue *args;

	layer->n_args = 0;
	if (calls == NULL || pneumo_json_array_length(calls) == 0)
		pneumo_layers_error("%s: key \"inbound_nodes\" is missing or empty", pneumo_layer_subject(layer));
	if (pneumo_json_array_length(calls) > 1)
		pneumo_layers_unsupported(NULL, "%s: is called %d times; shared layers are not supported",
								  pneumo_layer_subject(layer), pneumo_json_array_length(calls));

	call = getIthJsonbValueFromContainer(calls, 0);
	object = pneumo_json_object(call);
	if (object == NULL)
	{
		read_keras2(list, layer, call);
		return;
	}
	args = pneumo_json_get(object, "args");
	if (pneumo_json_array(args) == NULL)
		pneumo_layers_error("%s: key \"inbound_nodes\" has no list \"args\"", pneumo_layer_subject(layer));
	collect_args(layer, args);
	read_kwargs(list, layer, pneumo_json_get(object, "kwargs"));
}
