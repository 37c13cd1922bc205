/*-------------------------------------------------------------------------
 *
 * layers.c
 *	  Keras's description of a network to a graph: which layer feeds which.
 *
 * Reads both forms of inbound_nodes, those of Keras 2 and 3.  In a Sequential
 * network each layer feeds the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* ------------------------------------------------------------------ edges */

static void
add_source(const Layer *layer, char **names, int *n, JsonbValue *name, JsonbValue *node, JsonbValue *tensor)
{
	char *text = pneumo_json_cstring(name);
	double number;

	if (text == NULL)
		pneumo_layers_error("%s: key \"inbound_nodes\" does not name a layer", pneumo_layer_subject(layer));
	if ((pneumo_json_double(node, &number) && number != 0) ||
		(pneumo_json_double(tensor, &number) && number != 0))
		pneumo_layers_error("%s: takes call %s of layer \"%s\"; a layer that is called more than once "
							"(a shared layer) is not supported",
							pneumo_layer_subject(layer), pneumo_json_text(node), pneumo_clip(text));
	if (*n >= NN_MAX_INPUTS)
		pneumo_layers_error("%s: has more than %d inputs", pneumo_layer_subject(layer), NN_MAX_INPUTS);
	names[(*n)++] = text;
}

/* Collects Keras 3's keras_history wherever it is in the call's arguments. */
static void
collect_histories(const Layer *layer, char **names, int *n, JsonbValue *value)
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
		add_source(layer, names, n, getIthJsonbValueFromContainer(history, 0),
				   getIthJsonbValueFromContainer(history, 1), getIthJsonbValueFromContainer(history, 2));
	}
	else if (array != NULL)
	{
		for (i = 0; i < pneumo_json_array_length(array); i++)
			collect_histories(layer, names, n, getIthJsonbValueFromContainer(array, i));
	}
}

static void
check_call_kwargs(const Layer *layer, JsonbValue *kwargs)
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
			pneumo_layers_error("%s: call argument \"%s\" is %s, only null is supported",
								pneumo_layer_subject(layer), pneumo_clip(key), pneumo_json_text(v));
	}
}

/* Reads the names of the layers that feed this one (names: room for NN_MAX_INPUTS); returns their number. */
static int
read_sources(const Layer *layer, char **names)
{
	JsonbContainer *calls = pneumo_json_array(layer->inbound);
	JsonbValue *call;
	JsonbContainer *array;
	int n = 0;
	int i;

	if (calls == NULL || pneumo_json_array_length(calls) == 0)
		pneumo_layers_error("%s: key \"inbound_nodes\" is missing or empty", pneumo_layer_subject(layer));
	if (pneumo_json_array_length(calls) > 1)
		pneumo_layers_error("%s: is called %d times; shared layers are not supported",
							pneumo_layer_subject(layer), pneumo_json_array_length(calls));

	call = getIthJsonbValueFromContainer(calls, 0);
	if (pneumo_json_object(call) != NULL)
	{
		JsonbContainer *object = pneumo_json_object(call);
		JsonbValue *args = pneumo_json_get(object, "args");

		if (pneumo_json_array(args) == NULL)
			pneumo_layers_error("%s: key \"inbound_nodes\" has no list \"args\"",
								pneumo_layer_subject(layer));
		collect_histories(layer, names, &n, args);
		check_call_kwargs(layer, pneumo_json_get(object, "kwargs"));
		return n;
	}

	array = pneumo_json_array(call);
	if (array == NULL)
		pneumo_layers_error("%s: key \"inbound_nodes\" is %s, which is no Keras form",
							pneumo_layer_subject(layer), pneumo_json_text(layer->inbound));
	for (i = 0; i < pneumo_json_array_length(array); i++)
	{
		JsonbContainer *entry = pneumo_json_array(getIthJsonbValueFromContainer(array, i));

		if (entry == NULL || pneumo_json_array_length(entry) < 3)
			pneumo_layers_error("%s: key \"inbound_nodes\" is %s, which is no Keras form",
								pneumo_layer_subject(layer), pneumo_json_text(layer->inbound));
		add_source(layer, names, &n, getIthJsonbValueFromContainer(entry, 0),
				   getIthJsonbValueFromContainer(entry, 1), getIthJsonbValueFromContainer(entry, 2));
		if (pneumo_json_array_length(entry) > 3)
			check_call_kwargs(layer, getIthJsonbValueFromContainer(entry, 3));
	}
	return n;
}

static Layer *
find_layer(const LayerList *list, const char *name)
{
	int i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->layers[i].name, name) == 0)
			return &list->layers[i];
	return NULL;
}

/* ------------------------------------------------------------------ graph */

static int
find_op(const Layer *layer)
{
	int op = nn_op_find(layer->class_name);
	const char **names;
	int i;

	if (op >= 0)
		return op;
	if (strcmp(layer->class_name, "Sequential") == 0 || strcmp(layer->class_name, "Functional") == 0 ||
		strcmp(layer->class_name, "Model") == 0)
		pneumo_layers_error("%s: a network inside a network is not supported", pneumo_layer_subject(layer));

	names = palloc(sizeof(char *) * (nn_op_count() + 1));
	for (i = 0; i < nn_op_count(); i++)
		names[i] = nn_op_info(i)->class_name;
	names[i] = NULL;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("layer %d \"%s\": unknown class \"%s\"", layer->number, layer->name,
						   pneumo_clip(layer->class_name)),
					errdetail("It can be %s.", pneumo_list_names(names)),
					pneumo_hint_nearest(layer->class_name, names)));
	return -1;
}

/* Sets the name of a node, in UTF-8: the graph becomes part of the model's bytes. */
static void
set_node_name(NnNodeSpec *spec, const Layer *layer)
{
	char *utf8 = pg_server_to_any(layer->name, (int) strlen(layer->name), PG_UTF8);

	if (strlen(utf8) >= NN_NAME_LEN)
		pneumo_layers_error("layer %d: key \"name\" is \"%s\", must have 1 to %d bytes in UTF-8",
							layer->number, layer->name, NN_NAME_LEN - 1);
	strlcpy(spec->name, utf8, NN_NAME_LEN);
}

static void
add_layer(NnGraph *graph, Layer *layer, const int *inputs, int n_inputs)
{
	NnNodeSpec spec;
	NnError error;
	int op = find_op(layer);

	nn_node_spec_init(&spec, op);
	set_node_name(&spec, layer);
	pneumo_layer_params(&spec, layer, nn_op_info(op));
	spec.n_inputs = n_inputs;
	memcpy(spec.inputs, inputs, sizeof(int) * n_inputs);
	if (nn_graph_add(graph, &spec, &layer->node, &error) != NN_OK)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", error.message),
						error.hint[0] ? errhint("%s", error.hint) : 0));
}

/* Adds layers as their inputs become known: Keras's list need not be in order. */
static void
add_functional(NnGraph *graph, LayerList *list)
{
	int left = 0;
	bool progress = true;
	int i;

	for (i = 0; i < list->n; i++)
	{
		if (list->layers[i].is_input)
			list->layers[i].node = 0;
		else
			left++;
	}
	while (left > 0 && progress)
	{
		progress = false;
		for (i = 0; i < list->n; i++)
		{
			Layer *layer = &list->layers[i];
			char *names[NN_MAX_INPUTS];
			int inputs[NN_MAX_INPUTS];
			int n;
			int k;

			if (layer->node >= 0)
				continue;
			n = read_sources(layer, names);
			for (k = 0; k < n; k++)
			{
				Layer *source = find_layer(list, names[k]);

				if (source == NULL)
					pneumo_layers_error("%s: its input \"%s\" does not exist", pneumo_layer_subject(layer),
										pneumo_clip(names[k]));
				if (source->node < 0)
					break;
				inputs[k] = source->node;
			}
			if (k < n)
				continue;
			add_layer(graph, layer, inputs, n);
			progress = true;
			left--;
		}
	}
	if (left > 0)
		pneumo_layers_error("the network has a cycle: %d layers wait for each other", left);
}

NnGraph *
pneumo_layers_graph(PneumoConfig *config, int n_classes)
{
	LayerList list;
	NnGraph *graph;
	NnError error;
	size_t bytes;
	int output;
	int i;

	pneumo_layers_read(&list, config->layers != NULL ? config->layers
													 : pneumo_preset_layers(config->preset, n_classes));
	pneumo_layers_input(config, &list);

	bytes = nn_graph_bytes(list.n + 1);
	if (bytes == 0)
		pneumo_layers_error("the network is too large");
	graph = palloc0(bytes);
	if (nn_graph_begin(graph, list.n + 1, config->preprocess.height, config->preprocess.width,
					   config->preprocess.channels, &error) != NN_OK)
		pneumo_nn_ereport(&error);

	if (list.functional)
	{
		Layer *layer = list.output != NULL ? find_layer(&list, list.output) : &list.layers[list.n - 1];

		if (layer == NULL)
			pneumo_layers_error("the output layer \"%s\" does not exist", pneumo_clip(list.output));
		add_functional(graph, &list);
		output = layer->node;
	}
	else
	{
		output = 0;
		for (i = 0; i < list.n; i++)
		{
			if (list.layers[i].is_input)
				continue;
			add_layer(graph, &list.layers[i], &output, 1);
			output = list.layers[i].node;
		}
	}

	if (nn_graph_finish(graph, output, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	if (n_classes > 0 && nn_graph_class_count(graph) != n_classes)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the network tells %d classes apart, the labels have %d",
							   nn_graph_class_count(graph), n_classes),
						errhint("End the network with a Dense layer of %s.",
								n_classes == 2 ? "one unit with sigmoid"
											   : psprintf("%d units with softmax", n_classes))));
	return graph;
}
