/*-------------------------------------------------------------------------
 *
 * initial_model.c
 *	  The weights that a training begins with, where config key initial_model
 *	  names a model.
 *
 * A network of the same shape, layer by layer, is taken whole, whatever its
 * layers are called.  Of another one those layers are taken that have the name
 * and the shapes of a layer of the network to be trained; the others begin as
 * they would without an initial model.  The layer that gives the scores is
 * taken only if the classes are the same, and findings on both sides or on
 * neither.  Where no layer can be taken and the config names no network, the
 * initial model's own is trained: a network from elsewhere (pneumo_import_onnx)
 * need not be written down again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine.h"
#include "pg/models/models.h"
#include "pg/train/train.h"

#define MAX_NAMED_LAYERS 5

/* A network and its weights; the variables in the order of the weights. */
typedef struct Network
{
	const NnGraph *graph;
	NnVariable *variables;
	int n;
	float *weights;
} Network;

/* The two networks of a start: that of the initial model, and the one to be trained. */
typedef struct Start
{
	Network from, to;
} Start;

static Network
network_of(const NnGraph *graph, float *weights)
{
	Network network;

	network.graph = graph;
	network.variables = pneumo_graph_variables(graph, &network.n);
	network.weights = weights;
	return network;
}

static bool
same_shape(const NnVariable *a, const NnVariable *b)
{
	return a->rank == b->rank && memcmp(a->dims, b->dims, sizeof(int) * a->rank) == 0;
}

/* Returns whether all variables of two networks have the same shapes, one after the other. */
static bool
same_network(const Start *start)
{
	int i;

	if (start->from.n != start->to.n ||
		nn_graph_weight_count(start->from.graph) != nn_graph_weight_count(start->to.graph))
		return false;
	for (i = 0; i < start->to.n; i++)
		if (!same_shape(&start->from.variables[i], &start->to.variables[i]))
			return false;
	return true;
}

/* Returns the variable of the initial model that has this one's name and shape, or NULL. */
static const NnVariable *
find_variable(const Start *start, const NnVariable *wanted)
{
	int i;

	for (i = 0; i < start->from.n; i++)
		if (strcmp(start->from.variables[i].name, wanted->name) == 0)
			return same_shape(&start->from.variables[i], wanted) ? &start->from.variables[i] : NULL;
	return NULL;
}

/*
 * Takes the variables of one layer, first to before end, if the initial model
 * has all of them; returns whether it has.
 */
static bool
take_layer(const Start *start, int first, int end)
{
	int i;

	for (i = first; i < end; i++)
		if (find_variable(start, &start->to.variables[i]) == NULL)
			return false;
	for (i = first; i < end; i++)
	{
		const NnVariable *to = &start->to.variables[i];

		memcpy(start->to.weights + to->offset, start->from.weights + find_variable(start, to)->offset,
			   to->count * sizeof(float));
	}
	return true;
}

/*
 * Takes the layers that both networks have.  Appends the names of the others to
 * left, with their number in *n_left, and returns the number of those taken.
 */
static int
take_layers(const Start *start, bool same_classes, StringInfo left, int *n_left)
{
	const NnVariable *variables = start->to.variables;
	int taken = 0;
	int first;
	int end;

	*n_left = 0;
	for (first = 0; first < start->to.n; first = end)
	{
		NnNodeInfo layer;

		for (end = first + 1; end < start->to.n && variables[end].node == variables[first].node; end++)
			;
		CHECK_FOR_INTERRUPTS();
		if ((end < start->to.n || same_classes) && take_layer(start, first, end))
		{
			taken++;
			continue;
		}
		nn_graph_node(&layer, start->to.graph, variables[first].node);
		if (*n_left < MAX_NAMED_LAYERS)
			appendStringInfo(left, "%s%s", *n_left > 0 ? ", " : "", layer.name);
		(*n_left)++;
	}
	if (*n_left > MAX_NAMED_LAYERS)
		appendStringInfo(left, " and %d more", *n_left - MAX_NAMED_LAYERS);
	return taken;
}

static bool
same_class_names(const PneumoModelMeta *meta, const PneumoPrepared *prepared)
{
	int i;

	if (meta->n_classes != prepared->labels.n || meta->multi_label != prepared->config->multi_label)
		return false;
	for (i = 0; i < meta->n_classes; i++)
		if (strcmp(meta->classes[i], prepared->classes[i]) != 0)
			return false;
	return true;
}

/* Draws the weights that the training would begin with. */
static void
draw_weights(PneumoPrepared *prepared)
{
	PneumoAttempts attempts;
	NnStatus status;

	pneumo_attempts_begin(&attempts);
	do
		status = nn_weights_init(prepared->initial_weights, prepared->graph, prepared->config->train.seed,
								 attempts.stop);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != NN_OK)
		elog(ERROR, "weights cannot be drawn");
}

/* Returns whether the user's config has a key; those of a preset do not count. */
static bool
is_given(JsonbContainer *given, const char *key)
{
	return !pneumo_json_is_null(pneumo_json_get(given, key));
}

/*
 * Trains the network of the initial model instead of the one that the config
 * has by default; false where the config says which network, or images or
 * classes are not those of the initial model.
 */
static bool
take_network(PneumoPrepared *prepared, const Start *start, const PneumoModelMeta *meta)
{
	PneumoConfig *config = prepared->config;
	JsonbContainer *given = &config->given->root;

	if (is_given(given, "model") || is_given(given, "layers") || !same_class_names(meta, prepared) ||
		(is_given(given, "image_size") && (config->preprocess.height != meta->preprocess.height ||
										   config->preprocess.width != meta->preprocess.width)) ||
		(is_given(given, "color_mode") && config->preprocess.channels != meta->preprocess.channels))
		return false;
	config->preprocess.height = meta->preprocess.height;
	config->preprocess.width = meta->preprocess.width;
	config->preprocess.channels = meta->preprocess.channels;
	if (!is_given(given, "rescale"))
		config->rescale = meta->rescale;
	prepared->graph = (NnGraph *) start->from.graph;
	pfree(prepared->initial_weights);
	prepared->initial_weights =
		MemoryContextAllocHuge(CurrentMemoryContext,
							   nn_graph_weight_count(start->from.graph) * sizeof(float));
	memcpy(prepared->initial_weights, start->from.weights,
		   nn_graph_weight_count(start->from.graph) * sizeof(float));
	prepared->initial_note = psprintf("the network is that of initial model \"%s\"", config->initial_model);
	return true;
}

void
pneumo_prepare_initial_model(PneumoPrepared *prepared)
{
	const char *name = prepared->config->initial_model;
	int64 model = pneumo_model_lookup(name, PNEUMO_EXPORT, GetUserId(), false);
	size_t n_floats = nn_graph_weight_count(prepared->graph);
	Start start;
	NnModelView view;
	NnError error;
	NnGraph *graph;
	StringInfoData left;
	void *bytes;
	size_t n_bytes;
	PneumoModelMeta *meta;
	bool same_classes;
	int taken;
	int n_left;

	memset(&error, 0, sizeof(error));
	if (!pneumo_model_deployed(model, &prepared->initial))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("initial model \"%s\" has no deployed version", name)));
	bytes = pneumo_version_read(prepared->initial.version, &n_bytes);
	if (nn_model_open(&view, bytes, n_bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	graph = palloc0(nn_graph_bytes(view.n_nodes));
	if (nn_model_graph(graph, &view, bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	meta = pneumo_meta_from_view(&view, CurrentMemoryContext);
	same_classes = same_class_names(meta, prepared);

	prepared->initial_weights = MemoryContextAllocHuge(CurrentMemoryContext, n_floats * sizeof(float));
	start.from = network_of(graph, (float *) ((char *) bytes + view.weights_offset));
	start.to = network_of(prepared->graph, prepared->initial_weights);
	if (same_classes && same_network(&start))
		memcpy(prepared->initial_weights, start.from.weights, n_floats * sizeof(float));
	else
	{
		draw_weights(prepared);
		initStringInfo(&left);
		taken = take_layers(&start, same_classes, &left, &n_left);
		if (taken == 0 && !take_network(prepared, &start, meta))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("initial model \"%s\" has another network", name),
					 errdetail("None of its layers with weights has the name and the shapes of a layer "
							   "of the config's network; it has %zu weights, the config's network %zu.",
							   nn_graph_weight_count(graph), n_floats),
					 errhint("pneumo_summary() shows the layers of both; \"name\" in a layer's config "
							 "names it.")));
		if (taken > 0 && n_left > 0)
			prepared->initial_note =
				psprintf("initial model \"%s\": its weights are taken for %d layer%s; new are %s", name,
						 taken, taken == 1 ? "" : "s", left.data);
	}
	pfree(bytes);
}
