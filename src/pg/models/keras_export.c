/*-------------------------------------------------------------------------
 *
 * keras_export.c
 *	  pneumo_export_keras(): a version as a .keras file of Keras 3.
 *
 * Each node is a layer of a functional network.  An activation function with a
 * number of its own, which Keras cannot write as a name, becomes one more layer.
 *
 * The file does not say which weights are whose: Keras numbers the layers of a
 * class in the order of model.layers, which it finds anew when it loads a
 * network.  So the order here is Keras's: by depth, the longest way to the
 * output, and among equals as a walk from the output back meets them.
 *
 * metadata.json has, under "pneumo", the config of an import that gives the
 * same version again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "exchange/hdf5.h"
#include "exchange/zipfile.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_export_keras);

#define KERAS_VERSION "3.0.0" /* whose form is written */
#define KERAS_DATE "1980-01-01@00:00:00"

#define DIGITS 17

/* A layer of the file. */
typedef struct KerasLayer
{
	const char *class_name;
	const char *name; /* in the database's encoding */
	int node;         /* whose output it gives, or gives but for an activation function */
	bool is_operator; /* of module keras.src.ops: not among model.layers */
	bool is_extra;    /* an activation function behind the node */
	bool linear;      /* its activation function is in the extra layer */
	NnValue activation;
	int n_inputs;
	int inputs[NN_MAX_INPUTS]; /* layers */
	int depth;                 /* the longest way to the output */
	int met;                   /* when the walk from the output came by, -1: not yet */
	int place;                 /* in Keras's order */
	char *group;               /* in the file of weights: "layers/conv2d_1" */
} KerasLayer;

typedef struct KerasExport
{
	const NnGraph *graph;
	const PneumoModelMeta *meta;
	int n;
	KerasLayer *layers;
	int *of_node; /* by node: the layer that gives its output */
	int *order;   /* layers by place */
} KerasExport;

/* ------------------------------------------------------------------ layers */

static bool
name_is_taken(const KerasExport *e, const char *name)
{
	int i;

	for (i = 0; i < e->n; i++)
		if (strcmp(e->layers[i].name, name) == 0)
			return true;
	return false;
}

/* Returns a name that Keras allows and no layer has: without slashes. */
static const char *
unique_name(const KerasExport *e, const char *utf8, const char *suffix)
{
	char *base = psprintf("%s%s", pg_any_to_server(utf8, (int) strlen(utf8), PG_UTF8), suffix);
	char *name = base;
	char *c;
	int n = 0;

	for (c = base; *c != '\0'; c++)
		if (*c == '/')
			*c = '_';
	while (name_is_taken(e, name))
		name = psprintf("%s_%d", base, ++n);
	return name;
}

static const char *
activation_name(const NnValue *activation)
{
	return nn_activation_names[(int) activation->v[0]];
}

/* Returns whether Keras 3 means the same function by the name alone. */
static bool
is_plain(const NnValue *activation)
{
	if (strcmp(activation_name(activation), "leaky_relu") == 0)
		return activation->v[1] == 0.2;
	return activation->v[2] == 0 && strcmp(activation_name(activation), "gelu_tanh") != 0;
}

static void
set_activation_class(KerasLayer *layer)
{
	const char *name = activation_name(&layer->activation);

	if (strcmp(name, "leaky_relu") == 0)
		layer->class_name = "LeakyReLU";
	else if (strcmp(name, "relu6") == 0)
		layer->class_name = "ReLU";
	else if (strcmp(name, "elu") == 0)
		layer->class_name = "ELU";
	else if (strcmp(name, "gelu_tanh") == 0)
	{
		layer->class_name = "Gelu";
		layer->is_operator = true;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("layer \"%s\" has the activation \"%s\" of Keras 2, which Keras 3 does not have",
						layer->name, name)));
}

static KerasLayer *
new_layer(KerasExport *e, int node, const char *name)
{
	KerasLayer *layer = &e->layers[e->n];

	memset(layer, 0, sizeof(*layer));
	layer->node = node;
	layer->name = name;
	layer->met = -1;
	e->n++;
	return layer;
}

/* Makes the layers of all nodes. */
static void
make_layers(KerasExport *e)
{
	int n_nodes = nn_graph_node_count(e->graph);
	int i;
	int k;

	e->layers = palloc(sizeof(KerasLayer) * 2 * n_nodes);
	e->of_node = palloc(sizeof(int) * n_nodes);
	e->n = 0;
	for (i = 0; i < n_nodes; i++)
	{
		NnNodeInfo node;
		KerasLayer *layer;
		int p;

		nn_graph_node(&node, e->graph, i);
		layer = new_layer(e, i, unique_name(e, node.name, ""));
		layer->class_name = nn_op_info(node.op)->class_name;
		layer->n_inputs = node.n_inputs;
		for (k = 0; k < node.n_inputs; k++)
			layer->inputs[k] = e->of_node[node.inputs[k]];
		p = nn_op_param_find(node.op, "activation");
		if (p >= 0 && !is_plain(&node.params[p]))
		{
			layer->activation = node.params[p];
			if (strcmp(layer->class_name, "Activation") == 0)
			{
				layer->is_extra = true;
				set_activation_class(layer);
			}
			else
			{
				KerasLayer *extra = new_layer(e, i, unique_name(e, node.name, "_activation"));

				layer->linear = true;
				extra->activation = node.params[p];
				extra->is_extra = true;
				extra->n_inputs = 1;
				extra->inputs[0] = (int) (layer - e->layers);
				set_activation_class(extra);
			}
		}
		e->of_node[i] = e->n - 1;
	}
}

/* ------------------------------------------------------------------- order */

static void
find_depths(KerasExport *e)
{
	int i;
	int k;

	/* inputs come before what they feed, the output is the last */
	for (i = e->n - 1; i >= 0; i--)
		for (k = 0; k < e->layers[i].n_inputs; k++)
		{
			KerasLayer *input = &e->layers[e->layers[i].inputs[k]];

			input->depth = Max(input->depth, e->layers[i].depth + 1);
		}
}

/* Walks back from the output, each layer before what feeds it, the first input first. */
static void
walk_back(KerasExport *e)
{
	int *stack = palloc(sizeof(int) * (e->n * NN_MAX_INPUTS + 1));
	int n = 0;
	int met = 0;
	int k;

	stack[n++] = e->n - 1;
	while (n > 0)
	{
		KerasLayer *layer = &e->layers[stack[--n]];

		if (layer->met >= 0)
			continue;
		layer->met = met++;
		for (k = layer->n_inputs - 1; k >= 0; k--)
			stack[n++] = layer->inputs[k];
	}
	pfree(stack);
}

static int
compare_layers(const void *a, const void *b, void *arg)
{
	const KerasExport *e = arg;
	const KerasLayer *x = &e->layers[*(const int *) a];
	const KerasLayer *y = &e->layers[*(const int *) b];

	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	return x->met < y->met ? -1 : 1;
}

/* Puts the layers into Keras's order and names their groups. */
static void
order_layers(KerasExport *e)
{
	int i;
	int k;

	find_depths(e);
	walk_back(e);
	e->order = palloc(sizeof(int) * e->n);
	for (i = 0; i < e->n; i++)
		e->order[i] = i;
	qsort_arg(e->order, e->n, sizeof(int), compare_layers, e);
	for (i = 0; i < e->n; i++)
	{
		KerasLayer *layer = &e->layers[e->order[i]];
		char *name = pneumo_keras_snake_case(layer->class_name);
		int before = 0;

		layer->place = i;
		if (layer->is_operator)
			continue;
		for (k = 0; k < i; k++)
			before += strcmp(e->layers[e->order[k]].class_name, layer->class_name) == 0;
		layer->group = before == 0 ? psprintf("layers/%s", name) : psprintf("layers/%s_%d", name, before);
	}
}

/* ------------------------------------------------------------- config.json */

static void
add_shape(PneumoJson *json, const char *key, const NnShape *shape)
{
	pneumo_json_open_array(json, key);
	pneumo_json_add_string(json, NULL, NULL);
	if (shape->rank == 3)
	{
		pneumo_json_add_int(json, NULL, shape->h);
		pneumo_json_add_int(json, NULL, shape->w);
	}
	pneumo_json_add_int(json, NULL, shape->c);
	pneumo_json_close(json);
}

static void
add_border(PneumoJson *json, const char *key, const double *border)
{
	int i;

	pneumo_json_open_array(json, key);
	for (i = 0; i < 4; i += 2)
	{
		pneumo_json_open_array(json, NULL);
		pneumo_json_add_int(json, NULL, (int64) border[i]);
		pneumo_json_add_int(json, NULL, (int64) border[i + 1]);
		pneumo_json_close(json);
	}
	pneumo_json_close(json);
}

/* Adds the number of an activation function that stands as a layer. */
static void
add_activation_number(PneumoJson *json, const KerasLayer *layer)
{
	const NnValue *activation = &layer->activation;

	if (strcmp(layer->class_name, "LeakyReLU") == 0)
		pneumo_json_add_number(json, "negative_slope", activation->v[1], DIGITS);
	else if (strcmp(layer->class_name, "ReLU") == 0)
		pneumo_json_add_number(json, "max_value", activation->v[2], DIGITS);
	else if (strcmp(layer->class_name, "ELU") == 0)
		pneumo_json_add_number(json, "alpha", activation->v[2], DIGITS);
	else
		pneumo_json_add_bool(json, "approximate", true);
}

/* Adds the parameters that Keras writes otherwise than pneumo_summary(); returns whether the key is one of them. */
static bool
add_special(PneumoJson *json, const KerasLayer *layer, const NnNodeInfo *node, int p)
{
	const NnParam *param = &nn_op_info(node->op)->params[p];
	const double *v = node->params[p].v;

	if (param->kind == NN_PARAM_BORDER)
		add_border(json, param->key, v);
	else if (strcmp(param->key, "activation") == 0 && layer->linear)
		pneumo_json_add_string(json, param->key, "linear");
	else if (strcmp(layer->class_name, "LeakyReLU") == 0)
	{
		/* alpha is Keras 2's name of it */
		int alpha = nn_op_param_find(node->op, "alpha");

		if (p != alpha)
			pneumo_json_add_number(json, param->key,
								   node->params[alpha].v[0] >= 0 ? node->params[alpha].v[0] : v[0], DIGITS);
	}
	else
		return strcmp(param->key, "noise_shape") == 0 || strcmp(param->key, "training") == 0;
	return true;
}

static void
add_config(PneumoJson *json, const KerasLayer *layer, const NnNodeInfo *node)
{
	const NnParam *params = nn_op_info(node->op)->params;
	int i;

	pneumo_json_open_object(json, "config");
	pneumo_json_add_string(json, "name", layer->name);
	if (layer->node == 0)
		add_shape(json, "batch_shape", &node->shape);
	if (!layer->is_operator)
		pneumo_json_add_string(json, "dtype", "float32");
	if (layer->is_extra)
		add_activation_number(json, layer);
	else
		for (i = 0; params != NULL && params[i].key != NULL; i++)
			if (!add_special(json, layer, node, i))
				pneumo_layer_param(json, node, i, DIGITS);
	pneumo_json_close(json);
}

/* Adds a tensor as Keras writes the argument of a call. */
static void
add_tensor(PneumoJson *json, const KerasExport *e, const KerasLayer *source)
{
	NnNodeInfo node;

	nn_graph_node(&node, e->graph, source->node);
	pneumo_json_open_object(json, NULL);
	pneumo_json_add_string(json, "class_name", "__keras_tensor__");
	pneumo_json_open_object(json, "config");
	add_shape(json, "shape", &node.shape);
	pneumo_json_add_string(json, "dtype", "float32");
	pneumo_json_open_array(json, "keras_history");
	pneumo_json_add_string(json, NULL, source->name);
	pneumo_json_add_int(json, NULL, 0);
	pneumo_json_add_int(json, NULL, 0);
	pneumo_json_close(json);
	pneumo_json_close(json);
	pneumo_json_close(json);
}

static void
add_layer(PneumoJson *json, const KerasExport *e, const KerasLayer *layer)
{
	NnNodeInfo node;
	int i;

	nn_graph_node(&node, e->graph, layer->node);
	pneumo_json_open_object(json, NULL);
	pneumo_json_add_string(json, "module", layer->is_operator ? "keras.src.ops.nn" : "keras.layers");
	pneumo_json_add_string(json, "class_name", layer->class_name);
	add_config(json, layer, &node);
	pneumo_json_add_string(json, "registered_name", layer->is_operator ? layer->class_name : NULL);
	pneumo_json_add_string(json, "name", layer->name);
	pneumo_json_open_array(json, "inbound_nodes");
	if (layer->n_inputs > 0)
	{
		pneumo_json_open_object(json, NULL);
		pneumo_json_open_array(json, "args");
		if (layer->n_inputs > 1)
			pneumo_json_open_array(json, NULL);
		for (i = 0; i < layer->n_inputs; i++)
			add_tensor(json, e, &e->layers[layer->inputs[i]]);
		if (layer->n_inputs > 1)
			pneumo_json_close(json);
		pneumo_json_close(json);
		pneumo_json_open_object(json, "kwargs");
		pneumo_json_close(json);
		pneumo_json_close(json);
	}
	pneumo_json_close(json);
	pneumo_json_close(json);
}

static void
add_end(PneumoJson *json, const char *key, const KerasLayer *layer)
{
	pneumo_json_open_array(json, key);
	pneumo_json_open_array(json, NULL);
	pneumo_json_add_string(json, NULL, layer->name);
	pneumo_json_add_int(json, NULL, 0);
	pneumo_json_add_int(json, NULL, 0);
	pneumo_json_close(json);
	pneumo_json_close(json);
}

/* Returns a JSON text in UTF-8. */
static char *
end_utf8(PneumoJson *json)
{
	char *text = pneumo_json_end_text(json);

	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

static char *
network_json(const KerasExport *e)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "module", "keras.src.models.functional");
	pneumo_json_add_string(&json, "class_name", "Functional");
	pneumo_json_open_object(&json, "config");
	pneumo_json_add_string(&json, "name", "pneumo");
	pneumo_json_add_bool(&json, "trainable", true);
	pneumo_json_open_array(&json, "layers");
	for (i = 0; i < e->n; i++)
		add_layer(&json, e, &e->layers[e->order[i]]);
	pneumo_json_close(&json);
	add_end(&json, "input_layers", &e->layers[0]);
	add_end(&json, "output_layers", &e->layers[e->n - 1]);
	pneumo_json_close(&json);
	pneumo_json_add_string(&json, "registered_name", "Functional");
	return end_utf8(&json);
}

/* ----------------------------------------------------------- metadata.json */

static char *
metadata_json(const KerasExport *e)
{
	static const char *const interpolations[] = {"area", "bilinear"}; /* by ImgInterpolation */
	const PneumoModelMeta *meta = e->meta;
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "keras_version", KERAS_VERSION);
	pneumo_json_add_string(&json, "date_saved", KERAS_DATE);
	pneumo_json_open_object(&json, "pneumo");
	pneumo_json_add_number(&json, "rescale", meta->rescale, DIGITS);
	pneumo_json_add_string(&json, "interpolation", interpolations[meta->preprocess.interpolation]);
	pneumo_foreign_add_classes(&json, meta);
	if (meta->multi_label)
		pneumo_json_add_bool(&json, "multi_label", true);
	pneumo_foreign_add_threshold(&json, meta, DIGITS);
	pneumo_json_add_string(&json, "precision", nn_precision_name(meta->precision));
	return end_utf8(&json);
}

/* ----------------------------------------------------------------- weights */

static int
compare_outputs(const void *a, const void *b)
{
	return strcmp(((const Hdf5Output *) a)->path, ((const Hdf5Output *) b)->path);
}

/* Writes the weights as an HDF5 file; palloc'd. */
static char *
write_weights(const KerasExport *e, const float *weights, size_t *n_bytes)
{
	PneumoAttempts attempts;
	Hdf5Output *outputs;
	Hdf5Error error;
	Hdf5Status status;
	NnVariable *variables;
	char *bytes;
	int *layer_of = palloc(sizeof(int) * nn_graph_node_count(e->graph));
	int n;
	int number = 0;
	int i;
	int k;

	for (i = e->n - 1; i >= 0; i--)
		layer_of[e->layers[i].node] = i; /* the node's own, not its activation function */
	variables = pneumo_graph_variables(e->graph, &n);
	outputs = palloc0(sizeof(Hdf5Output) * Max(1, n));
	for (i = 0; i < n; i++)
	{
		number = i > 0 && variables[i].node == variables[i - 1].node ? number + 1 : 0;
		outputs[i].path = psprintf("%s/vars/%d", e->layers[layer_of[variables[i].node]].group, number);
		outputs[i].rank = variables[i].rank;
		for (k = 0; k < variables[i].rank; k++)
			outputs[i].dims[k] = (uint64_t) variables[i].dims[k];
		outputs[i].data = weights + variables[i].offset;
	}
	qsort(outputs, n, sizeof(Hdf5Output), compare_outputs);
	*n_bytes = hdf5_write_bytes(outputs, n);
	if (*n_bytes == 0 || *n_bytes > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the model is too large for a .keras file of at most 1 GB")));
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, *n_bytes);
	pneumo_attempts_begin(&attempts);
	do
		status = hdf5_write(bytes, *n_bytes, outputs, n, attempts.stop, &error);
	while (status == HDF5_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != HDF5_OK)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("%s", error.message)));
	return bytes;
}

static bytea *
write_zip(const ZipfileOutput *entries, int n)
{
	size_t n_bytes = zipfile_write_bytes(entries, n);
	PneumoAttempts attempts;
	ZipfileStatus status;
	bytea *result;

	if (n_bytes == 0 || n_bytes > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the model is too large for a .keras file of at most 1 GB")));
	result = palloc(VARHDRSZ + n_bytes);
	SET_VARSIZE(result, VARHDRSZ + n_bytes);
	pneumo_attempts_begin(&attempts);
	do
		status = zipfile_write(VARDATA(result), entries, n, attempts.stop);
	while (status == ZIPFILE_INTERRUPTED && pneumo_attempts_next(&attempts));
	return result;
}

Datum
pneumo_export_keras(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 model = pneumo_model_lookup(name, PNEUMO_EXPORT, GetUserId(), false);
	KerasExport e;
	NnModelView view;
	NnError error;
	NnGraph *graph;
	PneumoVersionId id;
	ZipfileOutput entries[3];
	size_t n_bytes;
	char *bytes;
	float *weights;

	if (PG_NARGS() > 1)
		pneumo_version_numbered(name, model, PG_GETARG_INT64(1), &id);
	else
		pneumo_require_deployed(name, model, &id);
	bytes = pneumo_version_read(id.version, &n_bytes);
	if (nn_model_open(&view, bytes, n_bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	graph = pneumo_align(pneumo_scratch(nn_graph_bytes(view.n_nodes)));
	if (nn_model_graph(graph, &view, bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);

	memset(&e, 0, sizeof(e));
	e.graph = graph;
	e.meta = pneumo_meta_from_view(&view, CurrentMemoryContext);
	make_layers(&e);
	order_layers(&e);

	weights = pneumo_align(pneumo_scratch(view.n_weights * sizeof(float)));
	memcpy(weights, bytes + view.weights_offset, view.n_weights * sizeof(float));
	pfree(bytes);
	entries[0].name = "metadata.json";
	entries[0].data = metadata_json(&e);
	entries[0].n_bytes = strlen(entries[0].data);
	entries[1].name = "config.json";
	entries[1].data = network_json(&e);
	entries[1].n_bytes = strlen(entries[1].data);
	entries[2].name = "model.weights.h5";
	entries[2].data = write_weights(&e, weights, &entries[2].n_bytes);
	PG_RETURN_BYTEA_P(write_zip(entries, lengthof(entries)));
}
