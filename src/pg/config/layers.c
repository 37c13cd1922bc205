/*-------------------------------------------------------------------------
 *
 * layers.c
 *	  Keras's description of a network to a graph.
 *
 * First all layers are read, and everything that is wrong with them is said at
 * once; then the nodes join the graph, which knows the shapes, one by one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* ---------------------------------------------------------------- reading */

static void
try_kind(LayerList *list, Layer *layer, const char *unused)
{
	pneumo_layer_kind(list, layer);
}

static void
try_finish(LayerList *list, Layer *layer, const char *unused)
{
	pneumo_layer_finish(list, layer);
}

static void
read_layer(LayerList *list, Layer *layer)
{
	if (layer->role == LAYER_INPUT)
		pneumo_layer_input_keys(list, layer);
	if (layer->role != LAYER_NODE)
		return;
	layer->n_parts = -1; /* stays where the class is not supported */
	pneumo_layers_try(list, layer, NULL, try_kind);
	if (layer->n_parts < 0)
		return;
	if (layer->n_parts > 0)
		pneumo_layer_params(list, layer);
	pneumo_layers_try(list, layer, NULL, try_finish);
}

/* ------------------------------------------------------------------ graph */

/* Sets the name of a node, in UTF-8: the graph becomes part of the model's bytes. */
static void
set_node_name(NnNodeSpec *spec, const Layer *layer, const char *name)
{
	char *utf8 = pg_server_to_any(name, (int) strlen(name), PG_UTF8);

	if (strlen(utf8) >= NN_NAME_LEN)
		pneumo_layers_error("layer %d: key \"name\" is \"%s\", must have 1 to %d bytes in UTF-8",
							layer->number, name, NN_NAME_LEN - 1);
	strlcpy(spec->name, utf8, NN_NAME_LEN);
}

/* Returns the name of a part: the layer's for the one whose output is the layer's, else with the part's class. */
static const char *
part_name(const Layer *layer, int part)
{
	const char *class_name = nn_op_info(layer->parts[part].op)->class_name;

	if (part == layer->n_parts - 1 || part < 0)
		return layer->name;
	if (strcmp(class_name, "DepthwiseConv2D") == 0)
		return psprintf("%s/depthwise", layer->name);
	if (strcmp(class_name, "Rescaling") == 0)
		return psprintf("%s/scale", layer->name);
	return psprintf("%s/linear", layer->name);
}

static int
add_node(NnGraph *graph, NnNodeSpec *spec, const Layer *layer, const char *name, const int *inputs,
		 int n_inputs)
{
	NnError error;
	NnNodeInfo source;
	int node;

	memset(&error, 0, sizeof(error));
	set_node_name(spec, layer, name);
	spec->n_inputs = n_inputs;
	memcpy(spec->inputs, inputs, sizeof(int) * n_inputs);
	if (n_inputs == 1 && strcmp(nn_op_info(spec->op)->class_name, "Dense") == 0)
	{
		nn_graph_node(&source, graph, inputs[0]);
		if (source.shape.rank == 3)
			pneumo_layer_dense_on_map(spec);
	}
	if (nn_graph_add(graph, spec, &node, &error) != NN_OK)
		ereport(ERROR, (errcode(error.status == NN_UNSUPPORTED ? ERRCODE_FEATURE_NOT_SUPPORTED
															   : ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s", error.message), error.hint[0] ? errhint("%s", error.hint) : 0));
	return node;
}

/* Adds the nodes of a layer whose sources are there. */
static void
add_layer(NnGraph *graph, Layer *layer, const int *inputs, int n_inputs)
{
	int chain[2];
	int i;

	if (layer->n_parts == 0)
	{
		if (n_inputs != 1)
			pneumo_layers_error("%s: has %d inputs, must have one", pneumo_layer_subject(layer), n_inputs);
		layer->node = inputs[0];
		return;
	}
	if (layer->on_second)
	{
		if (n_inputs != 2)
			pneumo_layers_error("%s: has %d inputs, must have two", pneumo_layer_subject(layer), n_inputs);
		chain[0] = inputs[0];
		chain[1] = add_node(graph, &layer->parts[0], layer, part_name(layer, 0), &inputs[1], 1);
		layer->node = add_node(graph, &layer->parts[1], layer, part_name(layer, 1), chain, 2);
		return;
	}
	for (i = 0; i < layer->n_parts; i++)
	{
		layer->node = add_node(graph, &layer->parts[i], layer, part_name(layer, i), i == 0 ? inputs : chain,
							   i == 0 ? n_inputs : 1);
		chain[0] = layer->node;
	}
}

/* Returns the node of a layer's argument, -1: it is not there yet. */
static int
source_node(const LayerList *list, const LayerArg *arg)
{
	return arg->source == LAYER_SOURCE_INPUT ? list->input : list->layers[arg->source]->node;
}

/* Adds layers as their inputs become known: Keras's list need not be in order. */
static void
add_layers(NnGraph *graph, LayerList *list)
{
	int left = 0;
	bool progress = true;
	int i;

	for (i = 0; i < list->n; i++)
	{
		if (list->layers[i]->role == LAYER_INPUT)
			list->layers[i]->node = list->input;
		else
			left++;
	}
	while (left > 0 && progress)
	{
		progress = false;
		CHECK_FOR_INTERRUPTS();
		for (i = 0; i < list->n; i++)
		{
			Layer *layer = list->layers[i];
			int inputs[NN_MAX_INPUTS];
			int k;

			if (layer->node >= 0)
				continue;
			for (k = 0; k < layer->n_args; k++)
			{
				inputs[k] = source_node(list, &layer->args[k]);
				if (inputs[k] < 0)
					break;
			}
			if (k < layer->n_args)
				continue;
			add_layer(graph, layer, inputs, layer->n_args);
			progress = true;
			left--;
		}
	}
	if (left > 0)
		pneumo_layers_error("the network has a cycle: %d layers wait for each other", left);
}

static void
try_input(LayerList *list, Layer *unused, const char *config)
{
	pneumo_layers_input((PneumoConfig *) config, list);
}

/* Fills the hooks' layers; their parts are added by tell_parts(). */
static void
tell_layers(PneumoLayersHooks *hooks, LayerList *list)
{
	int i;

	hooks->layers = palloc0(sizeof(PneumoKerasLayer) * list->n);
	list->listed = palloc(sizeof(int) * list->n);
	hooks->n_layers = 0;
	for (i = 0; i < list->n; i++)
	{
		const Layer *layer = list->layers[i];
		PneumoKerasLayer *told = &hooks->layers[hooks->n_layers];

		list->listed[i] = -1;
		if (layer->number == 0)
			continue;
		list->listed[i] = hooks->n_layers++;
		told->class_name = layer->class_name;
		told->name = layer->name;
		told->local_name = layer->local_name;
		told->scope = layer->scope;
		told->inner = layer->inner;
		told->is_operator = pneumo_layer_is_operator(layer);
	}
}

static void
tell_parts(PneumoLayersHooks *hooks, const LayerList *list)
{
	int i;
	int k;

	for (i = 0; i < list->n; i++)
	{
		PneumoKerasLayer *told;

		if (list->listed[i] < 0)
			continue;
		told = &hooks->layers[list->listed[i]];
		told->n_parts = Max(list->layers[i]->n_parts, 0);
		for (k = 0; k < told->n_parts; k++)
			told->parts[k] = list->layers[i]->parts[k].name;
	}
}

/* Raises an error unless the network's last layer is for so many classes, or for as many findings. */
static void
check_last_layer(const PneumoConfig *config, const NnGraph *graph, int n_classes)
{
	int units = nn_graph_output_units(graph);
	bool softmax = units > 1 && !nn_graph_is_multi_label(graph);
	NnNodeInfo last;

	if (config->multi_label)
	{
		if (units != n_classes || softmax)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the network ends with %d unit%s of %s, the labels have %d finding%s", units,
						units == 1 ? "" : "s", softmax ? "softmax" : "sigmoid", n_classes,
						n_classes == 1 ? "" : "s"),
				 errhint(
					 "End the network with a Dense layer of %d unit%s with sigmoid: each finding is told by "
					 "itself.",
					 n_classes, n_classes == 1 ? "" : "s")));
		return;
	}
	if (nn_graph_is_multi_label(graph))
	{
		nn_graph_node(&last, graph, nn_graph_node_count(graph) - 1);
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the last layer \"%s\" has %d units and the activation \"sigmoid\"", last.name,
							   units),
						errhint("Give it the activation \"softmax\", or one unit with \"sigmoid\".")));
	}
	if (nn_graph_class_count(graph) != n_classes)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the network tells %d classes apart, the labels have %d",
							   nn_graph_class_count(graph), n_classes),
						errhint("End the network with a Dense layer of %s.",
								n_classes == 2 ? "one unit with sigmoid"
											   : psprintf("%d units with softmax", n_classes))));
}

NnGraph *
pneumo_layers_graph(PneumoConfig *config, int n_classes, PneumoLayersHooks *hooks)
{
	LayerList list;
	NnGraph *graph;
	NnError error;
	size_t bytes;
	int n_nodes = 1 + (hooks != NULL ? hooks->max_nodes : 0);
	int output;
	int i;

	memset(&error, 0, sizeof(error));
	memset(&list, 0, sizeof(list));
	list.hooks = hooks;
	pneumo_layers_read(&list, config->layers != NULL
								  ? config->layers
								  : pneumo_preset_layers(config->preset, n_classes, config->multi_label));
	if (hooks != NULL)
		tell_layers(hooks, &list);
	for (i = 0; i < list.n; i++)
	{
		read_layer(&list, list.layers[i]);
		n_nodes += Max(list.layers[i]->n_parts, 0);
	}
	pneumo_layers_try(&list, NULL, (const char *) config, try_input);
	pneumo_layers_raise(&list);
	pneumo_layers_rescale(config, &list);

	bytes = nn_graph_bytes(n_nodes);
	if (bytes == 0)
		pneumo_layers_error("the network is too large: it has %d layers, some of them made of several",
							n_nodes - 1);
	graph = palloc0(bytes);
	if (nn_graph_begin(graph, n_nodes, config->preprocess.height, config->preprocess.width,
					   config->preprocess.channels, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	list.input = hooks != NULL ? hooks->begin(graph, hooks->arg) : 0;
	add_layers(graph, &list);
	output = list.layers[list.output]->node;

	if (hooks != NULL)
		hooks->finish(graph, output, hooks->arg);
	else if (nn_graph_finish(graph, output, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	if (n_classes > 0)
		check_last_layer(config, graph, n_classes);
	if (hooks != NULL)
		tell_parts(hooks, &list);
	pneumo_layers_tell(&list);
	return graph;
}
