/*-------------------------------------------------------------------------
 *
 * layer_list.c
 *	  The list of layers in Keras's description of a network, and its input.
 *
 * Reads the to_json() of Keras 2 and 3, of Sequential and of functional
 * networks, and a plain list of layers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* --------------------------------------------------------------- messages */

void
pneumo_layers_error(const char *format, ...)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		va_list args;
		int needed;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg_internal("%s", buf.data)));
	pg_unreachable();
}

char *
pneumo_layer_subject(const Layer *layer)
{
	return psprintf("layer %d \"%s\" (%s)", layer->number, layer->name, pneumo_clip(layer->class_name));
}

char *
pneumo_layer_key(const Layer *layer, const char *key)
{
	return psprintf("%s: key \"%s\"", pneumo_layer_subject(layer), pneumo_clip(key));
}

/* --------------------------------------------------------- list of layers */

/* Returns the name that Keras gives to a layer without one: MaxPooling2D is max_pooling2d. */
static char *
snake_case(const char *class_name)
{
	StringInfoData buf;
	const char *p;

	initStringInfo(&buf);
	for (p = class_name; *p; p++)
	{
		if (p > class_name && isupper((unsigned char) *p) && islower((unsigned char) p[-1]))
			appendStringInfoChar(&buf, '_');
		appendStringInfoChar(&buf, (char) tolower((unsigned char) *p));
	}
	return buf.data;
}

static bool
name_is_taken(const LayerList *list, int n, const char *name)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(list->layers[i].name, name) == 0)
			return true;
	return false;
}

static void
set_layer_name(LayerList *list, int i, JsonbValue *name)
{
	Layer *layer = &list->layers[i];
	char *base;
	int suffix = 0;

	if (name != NULL && name->type == jbvString)
	{
		layer->name = pneumo_json_cstring(name);
		if (layer->name[0] == '\0' || strlen(layer->name) >= NN_NAME_LEN)
			pneumo_layers_error("layer %d: key \"name\" is \"%s\", must have 1 to %d bytes", layer->number,
								pneumo_clip(layer->name), NN_NAME_LEN - 1);
		if (name_is_taken(list, i, layer->name))
			pneumo_layers_error("layer %d: the name \"%s\" is used twice", layer->number, layer->name);
		return;
	}

	base = snake_case(layer->class_name);
	if (strlen(base) >= NN_NAME_LEN - 12)
		base[pg_mbcliplen(base, (int) strlen(base), NN_NAME_LEN - 12)] = '\0';
	layer->name = base;
	while (name_is_taken(list, i, layer->name))
		layer->name = psprintf("%s_%d", base, ++suffix);
}

/* Reads one layer of the list: its class, name, config and inputs, whose content is read later. */
static void
read_layer(LayerList *list, int i, JsonbValue *value)
{
	static const char *const known[] = {"class_name",     "config",
										"name",           "inbound_nodes",
										"module",         "registered_name",
										"build_config",   "shared_object_id",
										"compile_config", NULL};
	Layer *layer = &list->layers[i];
	JsonbContainer *object = pneumo_json_object(value);
	const char *unknown;
	JsonbValue *v;
	JsonbValue *name = NULL;

	layer->number = i + 1;
	layer->node = -1;
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
	if (v != NULL && layer->config == NULL && v->type != jbvNull)
		pneumo_layers_error("layer %d (%s): \"config\" is %s, must be an object", layer->number,
							pneumo_clip(layer->class_name), pneumo_json_text(v));
	if (layer->config != NULL)
		name = pneumo_json_get(layer->config, "name");
	if (pneumo_json_is_null(name))
		name = pneumo_json_get(object, "name");
	set_layer_name(list, i, name);
	layer->inbound = pneumo_json_get(object, "inbound_nodes");
	layer->is_input = strcmp(layer->class_name, "InputLayer") == 0;
}

static void
read_layer_array(LayerList *list, JsonbContainer *array)
{
	int i;

	list->n = pneumo_json_array_length(array);
	if (list->n == 0)
		pneumo_layers_error("the list of layers is empty");
	if (list->n > NN_MAX_NODES)
		pneumo_layers_error("the network has %d layers, at most %d are allowed", list->n, NN_MAX_NODES);
	list->layers = palloc0(sizeof(Layer) * list->n);
	for (i = 0; i < list->n; i++)
		read_layer(list, i, getIthJsonbValueFromContainer(array, i));
}

/* Reads input_layers or output_layers: ["name", 0, 0] or [["name", 0, 0], ...]; NULL if the key is missing. */
static char *
read_end(JsonbContainer *config, const char *key, const char *noun)
{
	JsonbValue *v = pneumo_json_get(config, key);
	JsonbContainer *array = pneumo_json_array(v);
	JsonbValue *first;

	if (v == NULL)
		return NULL;
	if (array == NULL || pneumo_json_array_length(array) == 0)
		pneumo_layers_error("key \"%s\" is %s, must be a list", key, pneumo_json_text(v));
	first = getIthJsonbValueFromContainer(array, 0);
	if (pneumo_json_array(first) != NULL)
	{
		if (pneumo_json_array_length(array) > 1)
			pneumo_layers_error("the network has %d %ss, must have one", pneumo_json_array_length(array),
								noun);
		first = getIthJsonbValueFromContainer(pneumo_json_array(first), 0);
	}
	if (pneumo_json_cstring(first) == NULL)
		pneumo_layers_error("key \"%s\" is %s, must name a layer", key, pneumo_json_text(v));
	return pneumo_json_cstring(first);
}

void
pneumo_layers_read(LayerList *list, Jsonb *layers)
{
	JsonbContainer *root = &layers->root;
	JsonbValue *class_name;
	JsonbValue *config_value;
	JsonbContainer *config;
	JsonbValue *array_value;
	char *text;

	memset(list, 0, sizeof(LayerList));
	if (JsonContainerIsArray(root))
	{
		read_layer_array(list, root);
		return;
	}

	class_name = pneumo_json_get(root, "class_name");
	text = pneumo_json_cstring(class_name);
	config_value = pneumo_json_get(root, "config");
	if (text == NULL || config_value == NULL)
		pneumo_layers_error("config key \"layers\" must be a Keras to_json() object with \"class_name\" "
							"and \"config\", or a list of layers");
	if (strcmp(text, "Sequential") != 0 && strcmp(text, "Functional") != 0 && strcmp(text, "Model") != 0)
		pneumo_layers_error("the network's class is \"%s\", must be \"Sequential\", \"Functional\" or "
							"\"Model\"",
							pneumo_clip(text));
	list->functional = strcmp(text, "Sequential") != 0;

	if (pneumo_json_array(config_value) != NULL) /* Keras before 2.2.3 */
	{
		read_layer_array(list, pneumo_json_array(config_value));
		return;
	}
	config = pneumo_json_object(config_value);
	array_value = config == NULL ? NULL : pneumo_json_get(config, "layers");
	if (pneumo_json_array(array_value) == NULL)
		pneumo_layers_error("the network's \"config\" has no list \"layers\"");
	read_layer_array(list, pneumo_json_array(array_value));
	list->build_shape = pneumo_json_get(config, "build_input_shape");
	if (list->functional)
	{
		list->input = read_end(config, "input_layers", "input");
		list->output = read_end(config, "output_layers", "output");
	}
}

/* ------------------------------------------------------------ input shape */

/* Sets config->preprocess from [null, height, width, channels]; errors where a given key says otherwise. */
static void
apply_input_shape(PneumoConfig *config, JsonbValue *shape)
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

		if (pneumo_json_is_null(v))
			pneumo_layers_error("the network's input shape is %s, height, width and channels must be fixed",
								pneumo_json_text(shape));
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
	pre->height = dims[0];
	pre->width = dims[1];
	pre->channels = dims[2];
}

void
pneumo_layers_input(PneumoConfig *config, const LayerList *list)
{
	JsonbValue *shape = NULL;
	int n_inputs = 0;
	int i;

	for (i = 0; i < list->n; i++)
	{
		const Layer *layer = &list->layers[i];

		n_inputs += layer->is_input ? 1 : 0;
		if (layer->is_input && i > 0 && !list->functional)
			pneumo_layers_error("%s: an InputLayer must be the first layer", pneumo_layer_subject(layer));
		if (shape != NULL || layer->config == NULL || !(layer->is_input || i == 0))
			continue;
		shape = pneumo_json_get(layer->config, "batch_shape");
		if (pneumo_json_is_null(shape))
			shape = pneumo_json_get(layer->config, "batch_input_shape");
		if (pneumo_json_is_null(shape))
			shape = NULL;
	}
	if (n_inputs > 1)
		pneumo_layers_error("the network has %d inputs, must have one", n_inputs);
	if (list->functional && n_inputs == 0)
		pneumo_layers_error("the functional network has no InputLayer");
	if (shape == NULL && !pneumo_json_is_null(list->build_shape))
		shape = list->build_shape;
	if (shape != NULL)
		apply_input_shape(config, shape);
}
