/*-------------------------------------------------------------------------
 *
 * layer_list.c
 *	  The layers in Keras's description of a network, which feeds which, and
 *	  the network's input.
 *
 * Reads the to_json() of Keras 2 and 3, of Sequential and of functional
 * networks, and a plain list of layers.  A network inside the network is taken
 * apart: its layers join the list, "stem/conv" for layer conv of network stem,
 * and so do two entries that only hand on what they get: its input, and the
 * network itself, whose value is that of its output layer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* ------------------------------------------------------------------ names */

char *
pneumo_keras_snake_case(const char *class_name)
{
	StringInfoData buf;
	const char *p;

	initStringInfo(&buf);
	for (p = class_name; *p; p++)
	{
		if (p > class_name && isupper((unsigned char) *p) &&
			(islower((unsigned char) p[-1]) || islower((unsigned char) p[1])))
			appendStringInfoChar(&buf, '_');
		appendStringInfoChar(&buf, (char) tolower((unsigned char) *p));
	}
	return buf.data;
}

static bool
name_is_taken(const LayerList *list, const char *name)
{
	int i;

	for (i = 0; i < list->n; i++)
		if (list->layers[i]->name != NULL && strcmp(list->layers[i]->name, name) == 0)
			return true;
	return false;
}

/* Sets the names of a layer; outer is the network around its own, or NULL. */
static void
set_layer_name(LayerList *list, Layer *layer, const Layer *outer, JsonbValue *name)
{
	const char *prefix = outer != NULL ? psprintf("%s/", outer->name) : "";
	char *full;
	char *base;
	int suffix = 0;

	if (name != NULL && name->type == jbvString)
	{
		layer->local_name = pneumo_json_cstring(name);
		full = psprintf("%s%s", prefix, layer->local_name);
		if (layer->local_name[0] == '\0' || strlen(full) >= NN_NAME_LEN)
			pneumo_layers_error("layer %d: key \"name\" is \"%s\", must have 1 to %d bytes", layer->number,
								pneumo_clip(full), NN_NAME_LEN - 1);
		if (name_is_taken(list, full))
			pneumo_layers_error("layer %d: the name \"%s\" is used twice", layer->number, full);
		layer->name = full;
		return;
	}

	base = pneumo_keras_snake_case(layer->class_name);
	if (strlen(base) >= NN_NAME_LEN - 12)
		base[pg_mbcliplen(base, (int) strlen(base), NN_NAME_LEN - 12)] = '\0';
	layer->local_name = base;
	while (name_is_taken(list, full = psprintf("%s%s", prefix, layer->local_name)))
		layer->local_name = psprintf("%s_%d", base, ++suffix);
	if (strlen(full) >= NN_NAME_LEN)
		pneumo_layers_error("layer %d: its name \"%s\" has more than %d bytes", layer->number,
							pneumo_clip(full), NN_NAME_LEN - 1);
	layer->name = full;
}

/* Returns the place of a layer by its name in its network, -1: there is none. */
static int
find_layer(const LayerList *list, int scope, const char *local_name)
{
	int i;

	for (i = 0; i < list->n; i++)
		if (list->layers[i]->scope == scope && strcmp(list->layers[i]->local_name, local_name) == 0)
			return i;
	return -1;
}

/* ------------------------------------------------------------- one layer */

static Layer *
new_layer(LayerList *list, int scope, int number)
{
	Layer *layer = palloc0(sizeof(Layer));

	if (list->n >= NN_MAX_NODES)
		pneumo_layers_error("the network has more than %d layers", NN_MAX_NODES);
	if (list->n == list->room)
	{
		list->room = list->room == 0 ? 64 : 2 * list->room;
		list->layers = list->layers == NULL ? palloc(sizeof(Layer *) * list->room)
											: repalloc(list->layers, sizeof(Layer *) * list->room);
	}
	layer->number = number;
	layer->scope = layer->arg_scope = scope;
	layer->inner = -1;
	layer->node = -1;
	layer->negative_slope = NAN;
	layer->approximate = -1;
	return layer;
}

static bool
is_network(const char *class_name)
{
	return strcmp(class_name, "Sequential") == 0 || strcmp(class_name, "Functional") == 0 ||
		   strcmp(class_name, "Model") == 0;
}

/* Makes a layer's only argument the output of the one at a place of the list. */
static void
set_source(Layer *layer, int source)
{
	layer->n_args = 1;
	memset(&layer->args[0], 0, sizeof(LayerArg));
	layer->args[0].name = "";
	layer->args[0].source = source;
}

static bool
is_frozen(const Layer *layer, const Layer *outer)
{
	JsonbValue *v = layer->config != NULL ? pneumo_json_get(layer->config, "trainable") : NULL;

	if (outer != NULL && outer->frozen)
		return true;
	return !pneumo_json_is_null(v) && !pneumo_json_read_bool(pneumo_layer_key(layer, "trainable"), v);
}

/* Reads one layer of the list: its class, name, config and inputs, whose content is read later. */
static Layer *
read_layer(LayerList *list, int scope, int number, const Layer *outer, JsonbValue *value)
{
	static const char *const known[] = {"class_name",     "config",
										"name",           "inbound_nodes",
										"module",         "registered_name",
										"build_config",   "shared_object_id",
										"compile_config", NULL};
	Layer *layer = new_layer(list, scope, number);
	JsonbContainer *object = pneumo_json_object(value);
	const char *unknown;
	JsonbValue *v;
	JsonbValue *name = NULL;

	if (object == NULL)
		pneumo_layers_error("layer %d is %s, must be an object with \"class_name\" and \"config\"",
							layer->number, pneumo_json_text(value));
	v = pneumo_json_get(object, "class_name");
	layer->class_name = pneumo_json_cstring(v);
	if (layer->class_name == NULL)
		pneumo_layers_error("layer %d has no \"class_name\"", layer->number);

	unknown = pneumo_json_unknown_key(object, known);
	if (unknown != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("layer %d (%s): unknown key \"%s\"", layer->number,
							   pneumo_clip(layer->class_name), pneumo_clip(unknown)),
						errhint("A layer is {\"class_name\": ..., \"config\": {...}}; its "
								"parameters belong into \"config\".")));

	v = pneumo_json_get(object, "config");
	layer->config = pneumo_json_object(v);
	if (v != NULL && layer->config == NULL && v->type != jbvNull &&
		!(pneumo_json_array(v) != NULL && is_network(layer->class_name)))
		pneumo_layers_error("layer %d (%s): \"config\" is %s, must be an object", layer->number,
							pneumo_clip(layer->class_name), pneumo_json_text(v));
	if (layer->config != NULL)
		name = pneumo_json_get(layer->config, "name");
	if (pneumo_json_is_null(name))
		name = pneumo_json_get(object, "name");
	set_layer_name(list, layer, outer, name);
	layer->module = pneumo_json_cstring(pneumo_json_get(object, "module"));
	if (layer->config != NULL)
		layer->function = pneumo_json_cstring(pneumo_json_get(layer->config, "function"));
	layer->inbound = pneumo_json_get(object, "inbound_nodes");
	layer->frozen = is_frozen(layer, outer);
	if (strcmp(layer->class_name, "InputLayer") == 0)
		layer->role = outer == NULL ? LAYER_INPUT : LAYER_NETWORK;
	else if (is_network(layer->class_name))
		layer->role = LAYER_NETWORK;
	list->layers[list->n++] = layer;
	return layer;
}

/* ------------------------------------------------------------- a network */

/* Collects ["name", 0, 0] wherever it is in input_layers or output_layers; returns how many there are. */
static int
collect_ends(JsonbValue *v, char **name)
{
	JsonbContainer *array = pneumo_json_array(v);
	JsonbContainer *object = pneumo_json_object(v);
	int n = 0;
	int i;

	check_stack_depth();
	if (object != NULL)
	{
		JsonbIterator *it = JsonbIteratorInit(object);
		JsonbIteratorToken token;
		JsonbValue item;

		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
			if (token == WJB_VALUE)
				n += collect_ends(&item, name);
		return n;
	}
	if (array == NULL || pneumo_json_array_length(array) == 0)
		return 0;
	if (pneumo_json_cstring(getIthJsonbValueFromContainer(array, 0)) != NULL)
	{
		*name = pneumo_json_cstring(getIthJsonbValueFromContainer(array, 0));
		return 1;
	}
	for (i = 0; i < pneumo_json_array_length(array); i++)
		n += collect_ends(getIthJsonbValueFromContainer(array, i), name);
	return n;
}

/* Reads input_layers or output_layers, which must name one layer; NULL if the key is missing. */
static char *
read_end(JsonbContainer *config, const char *key, const char *noun, const char *network)
{
	JsonbValue *v = pneumo_json_get(config, key);
	char *name = NULL;
	int n;

	if (pneumo_json_is_null(v))
		return NULL;
	n = collect_ends(v, &name);
	if (n == 0)
		pneumo_layers_error("key \"%s\" is %s, must be a list that names a layer", key, pneumo_json_text(v));
	if (n > 1)
		pneumo_layers_error("%s has %d %ss, must have one", network, n, noun);
	return name;
}

static int read_network(LayerList *list, JsonbValue *class_name, JsonbValue *config_value, Layer *outer);

static void
try_call(LayerList *list, Layer *layer, const char *unused)
{
	pneumo_layer_call(list, layer);
}

/* Notes what is wrapped around a network and not read. */
static void
check_wrapping(LayerList *list, JsonbContainer *object)
{
	JsonbContainer *compiled = pneumo_json_object(pneumo_json_get(object, "compile_config"));

	if (compiled != NULL && list->hooks == NULL &&
		!pneumo_json_is_null(pneumo_json_get(compiled, "optimizer")))
		pneumo_layers_notice(list,
							 "the network's \"compile_config\" is not read: optimizer, loss and metrics "
							 "are keys of the config");
}

/* Reads a layer with what feeds it; previous: the place of the one before it in a Sequential network. */
static void
read_member(LayerList *list, int scope, int number, Layer *outer, bool functional, int *previous,
			JsonbValue *value)
{
	Layer *layer = read_layer(list, scope, number, outer, value);
	int place = list->n - 1;
	JsonbContainer *object = pneumo_json_object(value);

	if (strcmp(layer->class_name, "InputLayer") == 0)
	{
		if (!functional && number > 1)
			pneumo_layers_error("%s: an InputLayer must be the first layer", pneumo_layer_subject(layer));
		if (outer != NULL)
		{
			/* the input of a network inside is what that network is called with */
			layer->n_args = outer->n_args;
			memcpy(layer->args, outer->args, sizeof(layer->args));
			layer->arg_scope = outer->arg_scope;
		}
	}
	else
	{
		if (functional)
			pneumo_layers_try(list, layer, NULL, try_call);
		else
			set_source(layer, *previous);
		if (layer->training == LAYER_TRAINING_OPEN && outer != NULL)
			layer->training = outer->training;
		if (layer->role == LAYER_NETWORK)
		{
			int output;

			check_wrapping(list, object);
			if (layer->n_args > 1)
				pneumo_layers_unsupported(NULL,
										  "%s: a network with %d inputs inside the network is not supported",
										  pneumo_layer_subject(layer), layer->n_args);
			output = read_network(list, pneumo_json_get(object, "class_name"),
								  pneumo_json_get(object, "config"), layer);
			set_source(layer, output);
		}
	}
	*previous = place;
}

/* Reads a network's layers; returns the place of its output layer. */
static int
read_layers(LayerList *list, JsonbContainer *array, bool functional, Layer *outer)
{
	int scope = outer == NULL ? 0 : ++list->n_scopes;
	int previous = LAYER_SOURCE_INPUT;
	int n = pneumo_json_array_length(array);
	int i;

	if (outer != NULL)
		outer->inner = scope;
	if (n == 0 && outer == NULL)
		pneumo_layers_error("the list of layers is empty");
	if (n == 0)
		pneumo_layers_error("%s: has no layers", pneumo_layer_subject(outer));
	if (outer != NULL && !functional)
	{
		/* stands for the input, whether there is an InputLayer or not */
		Layer *input = new_layer(list, scope, 0);

		input->class_name = "InputLayer";
		input->role = LAYER_NETWORK;
		input->local_name = "";
		input->name = psprintf("%s/", outer->name);
		input->n_args = outer->n_args;
		memcpy(input->args, outer->args, sizeof(input->args));
		input->arg_scope = outer->arg_scope;
		list->layers[list->n++] = input;
		previous = list->n - 1;
	}
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_member(list, scope, i + 1, outer, functional, &previous,
					getIthJsonbValueFromContainer(array, i));
	}
	return previous;
}

/* Reads a network; outer: the layer that it is, NULL for the network itself.  Returns the place of its output. */
static int
read_network(LayerList *list, JsonbValue *class_name, JsonbValue *config_value, Layer *outer)
{
	char *text = pneumo_json_cstring(class_name);
	const char *subject = outer == NULL ? "the network" : pneumo_layer_subject(outer);
	bool functional = strcmp(text, "Sequential") != 0;
	JsonbContainer *config = pneumo_json_object(config_value);
	JsonbValue *array_value;
	int scope;
	int last;
	int i;
	int n_inputs = 0;
	char *output;

	check_stack_depth();
	if (pneumo_json_array(config_value) != NULL) /* Keras before 2.2.3 */
		return read_layers(list, pneumo_json_array(config_value), functional, outer);
	array_value = config == NULL ? NULL : pneumo_json_get(config, "layers");
	if (pneumo_json_array(array_value) == NULL)
		pneumo_layers_error("%s's \"config\" has no list \"layers\"", subject);
	scope = outer == NULL ? 0 : list->n_scopes + 1;
	last = read_layers(list, pneumo_json_array(array_value), functional, outer);
	if (!functional)
		return last;

	for (i = 0; i < list->n; i++)
		n_inputs += list->layers[i]->scope == scope && strcmp(list->layers[i]->class_name, "InputLayer") == 0;
	if (n_inputs > 1)
		pneumo_layers_error("%s has %d inputs, must have one", subject, n_inputs);
	if (n_inputs == 0)
		pneumo_layers_error("the functional network has no InputLayer");
	read_end(config, "input_layers", "input", subject);
	output = read_end(config, "output_layers", "output", subject);
	if (output == NULL)
		return last;
	last = find_layer(list, scope, output);
	if (last < 0)
		pneumo_layers_error("the output layer \"%s\" does not exist", pneumo_clip(output));
	return last;
}

/* Finds the layers that an argument names. */
static void
resolve(LayerList *list, Layer *layer, const char *unused)
{
	int i;

	for (i = 0; i < layer->n_args; i++)
	{
		LayerArg *arg = &layer->args[i];
		const Layer *source;

		if (arg->name == NULL || arg->source != -1)
			continue;
		arg->source = find_layer(list, layer->arg_scope, arg->name);
		if (arg->source < 0)
			pneumo_layers_error("%s: its input \"%s\" does not exist", pneumo_layer_subject(layer),
								pneumo_clip(arg->name));
		source = list->layers[arg->source];

		/* Keras 2 counts the making of a network as its call 0 */
		if (arg->node != 0 && !(arg->node == 1 && source->role == LAYER_NETWORK))
			pneumo_layers_unsupported(NULL,
									  "%s: takes call %lld of layer \"%s\"; a layer that is called more than "
									  "once (a shared layer) is not supported",
									  pneumo_layer_subject(layer), (long long) arg->node,
									  pneumo_clip(arg->name));
	}
}

void
pneumo_layers_read(LayerList *list, Jsonb *layers)
{
	JsonbContainer *root = &layers->root;
	JsonbValue *version;
	JsonbValue *config_value;
	JsonbContainer *config;
	char *text;
	int i;

	if (JsonContainerIsArray(root))
		list->output = read_layers(list, root, false, NULL);
	else
	{
		text = pneumo_json_cstring(pneumo_json_get(root, "class_name"));
		config_value = pneumo_json_get(root, "config");
		if (text == NULL || config_value == NULL)
			pneumo_layers_error("config key \"layers\" must be a Keras to_json() object with \"class_name\" "
								"and \"config\", or a list of layers");
		if (!is_network(text))
			pneumo_layers_error("the network's class is \"%s\", must be \"Sequential\", \"Functional\" or "
								"\"Model\"",
								pneumo_clip(text));
		version = pneumo_json_get(root, "keras_version");
		list->keras2 = pneumo_json_cstring(version) != NULL && pneumo_json_cstring(version)[0] < '3';
		check_wrapping(list, root);
		config = pneumo_json_object(config_value);
		if (config != NULL)
			list->build_shape = pneumo_json_get(config, "build_input_shape");
		list->output = read_network(list, pneumo_json_get(root, "class_name"), config_value, NULL);
	}
	for (i = 0; i < list->n; i++)
		pneumo_layers_try(list, list->layers[i], NULL, resolve);
}

/* ------------------------------------------------------------ input shape */

/* Sets config->preprocess from [null, height, width, channels]; errors where a given key says otherwise. */
static void
apply_input_shape(PneumoConfig *config, LayerList *list, JsonbValue *shape)
{
	JsonbContainer *array = pneumo_json_array(shape);
	ImgPreprocess *pre = &config->preprocess;
	int dims[3];
	int i;

	if (array == NULL || pneumo_json_array_length(array) != 4)
		pneumo_layers_error("the network's input shape is %s, must be [null, height, width, channels]",
							pneumo_json_text(shape));
	for (i = 0; i < 3; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(array, i + 1);

		if (pneumo_json_is_null(v) && i < 2 && config->image_size_given)
		{
			dims[i] = i == 0 ? pre->height : pre->width;
			continue;
		}
		if (pneumo_json_is_null(v))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the network's input shape is %s, height, width and channels must be fixed",
							pneumo_json_text(shape)),
					 i < 2 ? errhint("Give the config key \"image_size\".") : 0));
		dims[i] = (int) pneumo_json_read_int("the network's input size", v, 1, NN_MAX_SIDE);
	}
	if (dims[2] != 1 && dims[2] != 3)
		pneumo_layers_error("the network's input has %d channels, must have 1 (grayscale) or 3 (rgb)",
							dims[2]);
	if (config->image_size_given && (pre->height != dims[0] || pre->width != dims[1]))
		pneumo_layers_error("config key \"image_size\" is [%d, %d], the network's input is [%d, %d]",
							pre->height, pre->width, dims[0], dims[1]);
	if (config->color_mode_given && pre->channels != dims[2])
		pneumo_layers_error("config key \"color_mode\" is \"%s\", the network's input has %d channel%s",
							pre->channels == 1 ? "grayscale" : "rgb", dims[2], dims[2] == 1 ? "" : "s");
	if (!pneumo_json_is_null(getIthJsonbValueFromContainer(array, 0)))
		pneumo_layers_notice(list,
							 "the network's input has a fixed batch of %s; config key \"batch_size\" counts",
							 pneumo_json_text(getIthJsonbValueFromContainer(array, 0)));
	pre->height = dims[0];
	pre->width = dims[1];
	pre->channels = dims[2];
}

/* Returns the shape that a layer's config has for the network's input, or NULL. */
static JsonbValue *
shape_of(const Layer *layer)
{
	static const char *const keys[] = {"batch_shape", "batch_input_shape"};
	int i;

	for (i = 0; layer->config != NULL && i < lengthof(keys); i++)
	{
		JsonbValue *shape = pneumo_json_get(layer->config, keys[i]);

		if (!pneumo_json_is_null(shape))
			return shape;
	}
	return NULL;
}

static bool
is_channels_first(const Layer *layer)
{
	char *format =
		layer->config != NULL ? pneumo_json_cstring(pneumo_json_get(layer->config, "data_format")) : NULL;

	return format != NULL && strcmp(format, "channels_first") == 0;
}

void
pneumo_layers_input(PneumoConfig *config, LayerList *list)
{
	JsonbValue *shape = NULL;
	bool leading = true; /* nothing but networks around the first layer came before */
	int i;

	for (i = 0; i < list->n; i++)
	{
		const Layer *layer = list->layers[i];

		if (is_channels_first(layer))
			return; /* is refused, and its shape would be misread */
		if (shape == NULL && (leading || layer->role == LAYER_INPUT))
			shape = shape_of(layer);
		leading = leading && layer->role == LAYER_NETWORK;
	}
	if (shape == NULL && !pneumo_json_is_null(list->build_shape))
		shape = list->build_shape;
	if (shape != NULL)
		apply_input_shape(config, list, shape);
	else if (list->hooks != NULL && !config->image_size_given)
		pneumo_layers_error("the network does not say how large its images are; give config key "
							"\"image_size\"");
}
