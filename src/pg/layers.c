/*-------------------------------------------------------------------------
 *
 * layers.c
 *	  Keras's description of a network to a graph.
 *
 * Reads the to_json() of Keras 2 and 3, Sequential and functional (both forms
 * of inbound_nodes), and a plain list of layers.  Knows no layer itself: the
 * tables of nn_op_info() say which keys a layer has, which change nothing and
 * which are taken only at one value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "pg/training.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

typedef struct Layer
{
	int			number;			/* from 1, for messages */
	char	   *class_name;
	char	   *name;
	JsonbContainer *config;		/* NULL: none given */
	JsonbValue *inbound;		/* inbound_nodes, or NULL */
	bool		is_input;
	int			node;			/* -1: not added yet */
} Layer;

typedef struct LayerList
{
	bool		functional;
	int			n;
	Layer	   *layers;
	char	   *output;			/* name of the output layer; NULL: the last */
	char	   *input;			/* name of the input layer, or NULL */
	JsonbValue *build_shape;	/* build_input_shape, or NULL */
} LayerList;

static void layers_error(const char *format,...) pg_attribute_printf(1, 2) pg_attribute_noreturn();

static void
layers_error(const char *format,...)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&buf, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&buf, needed);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg_internal("%s", buf.data)));
	pg_unreachable();
}

static char *
layer_subject(const Layer *layer)
{
	return psprintf("layer %d \"%s\" (%s)", layer->number, layer->name, layer->class_name);
}

static char *
layer_key(const Layer *layer, const char *key)
{
	return psprintf("%s: key \"%s\"", layer_subject(layer), key);
}

/* Keras's automatic names: MaxPooling2D is max_pooling2d. */
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

/* --------------------------------------------------------- list of layers */

static bool
name_is_taken(const LayerList *list, int n, const char *name)
{
	int			i;

	for (i = 0; i < n; i++)
		if (strcmp(list->layers[i].name, name) == 0)
			return true;
	return false;
}

static void
set_layer_name(LayerList *list, int i, JsonbValue *name)
{
	Layer	   *layer = &list->layers[i];
	char	   *base;
	int			suffix = 0;

	if (name != NULL && name->type == jbvString)
	{
		layer->name = pneumo_json_cstring(name);
		if (layer->name[0] == '\0' || strlen(layer->name) >= NN_NAME_LEN)
			layers_error("layer %d: key \"name\" is \"%s\", must have 1 to %d bytes",
						 layer->number, layer->name, NN_NAME_LEN - 1);
		if (name_is_taken(list, i, layer->name))
			layers_error("layer %d: the name \"%s\" is used twice", layer->number, layer->name);
		return;
	}

	base = snake_case(layer->class_name);
	if (strlen(base) >= NN_NAME_LEN - 12)
		base[NN_NAME_LEN - 12] = '\0';
	layer->name = base;
	while (name_is_taken(list, i, layer->name))
		layer->name = psprintf("%s_%d", base, ++suffix);
}

static void
read_layer(LayerList *list, int i, JsonbValue *value)
{
	static const char *const known[] = {
		"class_name", "config", "name", "inbound_nodes", "module", "registered_name",
		"build_config", "shared_object_id", "compile_config", NULL
	};
	Layer	   *layer = &list->layers[i];
	JsonbContainer *object = pneumo_json_object(value);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue *v;
	JsonbValue *name = NULL;

	layer->number = i + 1;
	layer->node = -1;
	if (object == NULL)
		layers_error("layer %d is %s, must be an object with \"class_name\" and \"config\"",
					 layer->number, pneumo_json_text(value));
	v = pneumo_json_get(object, "class_name");
	layer->class_name = pneumo_json_cstring(v);
	if (layer->class_name == NULL)
		layers_error("layer %d has no \"class_name\"", layer->number);

	it = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *text;
		int			k;

		if (token != WJB_KEY)
			continue;
		text = pnstrdup(key.val.string.val, key.val.string.len);
		for (k = 0; known[k] != NULL && strcmp(known[k], text) != 0; k++)
			;
		if (known[k] == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("layer %d (%s): unknown key \"%s\"", layer->number, layer->class_name, text),
					 errhint("A layer is {\"class_name\": ..., \"config\": {...}}; its "
							 "parameters belong into \"config\".")));
	}

	v = pneumo_json_get(object, "config");
	layer->config = pneumo_json_object(v);
	if (v != NULL && layer->config == NULL && v->type != jbvNull)
		layers_error("layer %d (%s): \"config\" is %s, must be an object",
					 layer->number, layer->class_name, pneumo_json_text(v));
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
	int			i;

	list->n = pneumo_json_array_length(array);
	if (list->n == 0)
		layers_error("the list of layers is empty");
	if (list->n > NN_MAX_NODES)
		layers_error("the network has %d layers, at most %d are allowed", list->n, NN_MAX_NODES);
	list->layers = palloc0(sizeof(Layer) * list->n);
	for (i = 0; i < list->n; i++)
		read_layer(list, i, getIthJsonbValueFromContainer(array, i));
}

/* input_layers or output_layers: ["name", 0, 0] or [["name", 0, 0], ...]. */
static char *
read_end(JsonbContainer *config, const char *key, const char *noun)
{
	JsonbValue *v = pneumo_json_get(config, key);
	JsonbContainer *array = pneumo_json_array(v);
	JsonbValue *first;

	if (v == NULL)
		return NULL;
	if (array == NULL || pneumo_json_array_length(array) == 0)
		layers_error("key \"%s\" is %s, must be a list", key, pneumo_json_text(v));
	first = getIthJsonbValueFromContainer(array, 0);
	if (pneumo_json_array(first) != NULL)
	{
		if (pneumo_json_array_length(array) > 1)
			layers_error("the network has %d %ss, must have one",
						 pneumo_json_array_length(array), noun);
		first = getIthJsonbValueFromContainer(pneumo_json_array(first), 0);
	}
	if (pneumo_json_cstring(first) == NULL)
		layers_error("key \"%s\" is %s, must name a layer", key, pneumo_json_text(v));
	return pneumo_json_cstring(first);
}

static void
read_list(LayerList *list, Jsonb *layers)
{
	JsonbContainer *root = &layers->root;
	JsonbValue *class_name;
	JsonbValue *config_value;
	JsonbContainer *config;
	JsonbValue *array_value;
	char	   *text;

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
		layers_error("config key \"layers\" must be a Keras to_json() object with \"class_name\" "
					 "and \"config\", or a list of layers");
	if (strcmp(text, "Sequential") != 0 && strcmp(text, "Functional") != 0 &&
		strcmp(text, "Model") != 0)
		layers_error("the network's class is \"%s\", must be \"Sequential\", \"Functional\" or "
					 "\"Model\"", text);
	list->functional = strcmp(text, "Sequential") != 0;

	if (pneumo_json_array(config_value) != NULL)	/* Keras before 2.2.3 */
	{
		read_layer_array(list, pneumo_json_array(config_value));
		return;
	}
	config = pneumo_json_object(config_value);
	array_value = config == NULL ? NULL : pneumo_json_get(config, "layers");
	if (pneumo_json_array(array_value) == NULL)
		layers_error("the network's \"config\" has no list \"layers\"");
	read_layer_array(list, pneumo_json_array(array_value));
	list->build_shape = pneumo_json_get(config, "build_input_shape");
	if (list->functional)
	{
		list->input = read_end(config, "input_layers", "input");
		list->output = read_end(config, "output_layers", "output");
	}
}

/* ------------------------------------------------------------ input shape */

static void
apply_input_shape(PneumoConfig *config, JsonbValue *shape)
{
	JsonbContainer *array = pneumo_json_array(shape);
	ImgPreprocess *pre = &config->preprocess;
	int			dims[3];
	int			i;

	if (array == NULL || pneumo_json_array_length(array) != 4)
		layers_error("the network's input shape is %s, must be [null, height, width, channels]",
					 pneumo_json_text(shape));
	for (i = 0; i < 3; i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(array, i + 1);

		if (pneumo_json_is_null(v))
			layers_error("the network's input shape is %s, height, width and channels must be fixed",
						 pneumo_json_text(shape));
		dims[i] = (int) pneumo_json_read_int("the network's input size", v, 1, NN_MAX_SIDE);
	}
	if (dims[2] != 1 && dims[2] != 3)
		layers_error("the network's input has %d channels, must have 1 (grayscale) or 3 (rgb)", dims[2]);
	if (config->image_size_given && (pre->height != dims[0] || pre->width != dims[1]))
		layers_error("config key \"image_size\" is [%d, %d], the network's input is [%d, %d]",
					 pre->height, pre->width, dims[0], dims[1]);
	if (config->color_mode_given && pre->channels != dims[2])
		layers_error("config key \"color_mode\" is \"%s\", the network's input has %d channel%s",
					 pre->channels == 1 ? "grayscale" : "rgb", dims[2], dims[2] == 1 ? "" : "s");
	pre->height = dims[0];
	pre->width = dims[1];
	pre->channels = dims[2];
}

static void
find_input_shape(PneumoConfig *config, const LayerList *list)
{
	JsonbValue *shape = NULL;
	int			n_inputs = 0;
	int			i;

	for (i = 0; i < list->n; i++)
	{
		const Layer *layer = &list->layers[i];

		n_inputs += layer->is_input ? 1 : 0;
		if (layer->is_input && i > 0 && !list->functional)
			layers_error("%s: an InputLayer must be the first layer", layer_subject(layer));
		if (shape != NULL || layer->config == NULL || !(layer->is_input || i == 0))
			continue;
		shape = pneumo_json_get(layer->config, "batch_shape");
		if (pneumo_json_is_null(shape))
			shape = pneumo_json_get(layer->config, "batch_input_shape");
		if (pneumo_json_is_null(shape))
			shape = NULL;
	}
	if (n_inputs > 1)
		layers_error("the network has %d inputs, must have one", n_inputs);
	if (list->functional && n_inputs == 0)
		layers_error("the functional network has no InputLayer");
	if (shape == NULL && !pneumo_json_is_null(list->build_shape))
		shape = list->build_shape;
	if (shape != NULL)
		apply_input_shape(config, shape);
}

/* ------------------------------------------------------------- parameters */

static bool
in_names(const char *key, const char *const *names)
{
	int			i;

	for (i = 0; names != NULL && names[i] != NULL; i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

/* "glorot_uniform", or {"class_name": "GlorotUniform", "config": {...}}. */
static void
read_initializer(const char *what, NnValue *value, JsonbValue *v)
{
	JsonbContainer *object = pneumo_json_object(v);
	char	   *name = pneumo_json_cstring(v);
	JsonbContainer *config = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	char	   *key = NULL;

	if (object != NULL)
	{
		name = pneumo_json_cstring(pneumo_json_get(object, "class_name"));
		config = pneumo_json_object(pneumo_json_get(object, "config"));
	}
	if (name == NULL || nn_initializer_find(value, name) != 0)
		pneumo_json_bad(what, v, "the name of a Keras initializer, or an object with \"class_name\"");
	if (config == NULL)
		return;

	it = JsonbIteratorInit(config);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		double		number = 0;
		char	   *text;

		if (token == WJB_KEY)
			key = pnstrdup(item.val.string.val, item.val.string.len);
		if (token != WJB_VALUE || strcmp(key, "seed") == 0 || strcmp(key, "dtype") == 0)
			continue;
		text = pneumo_json_cstring(&item);
		if (text == NULL && !pneumo_json_double(&item, &number))
			layers_error("%s: initializer key \"%s\" is %s, must be a number or a name",
						 what, key, pneumo_json_text(&item));
		if (nn_initializer_set(value, key, number, text) != 0)
			layers_error("%s: initializer \"%s\" does not take \"%s\" = %s",
						 what, name, key, pneumo_json_text(&item));
	}
}

/* "relu", null, or Keras 3's {"module": ..., "class_name": "function", "config": "relu"}. */
static void
read_activation(const char *what, NnValue *value, JsonbValue *v)
{
	JsonbContainer *object = pneumo_json_object(v);
	JsonbValue *name = v;
	int			linear;

	if (object != NULL)
	{
		name = pneumo_json_get(object, "config");
		if (pneumo_json_cstring(name) == NULL)
			name = pneumo_json_get(object, "class_name");
		if (name == NULL)
			name = v;
	}
	memset(value, 0, sizeof(NnValue));
	if (pneumo_json_is_null(name))
	{
		for (linear = 0; nn_activation_names[linear] != NULL; linear++)
			if (strcmp(nn_activation_names[linear], "linear") == 0)
				break;
		value->v[0] = linear;
		return;
	}
	value->v[0] = pneumo_json_read_enum(what, name, nn_activation_names);
	value->v[1] = 0.2;			/* negative_slope of keras.activations.leaky_relu */
}

static void
read_param(const Layer *layer, const NnParam *param, NnValue *value, JsonbValue *v)
{
	char	   *what = layer_key(layer, param->key);
	JsonbContainer *array;

	switch (param->kind)
	{
		case NN_PARAM_INT:
			value->v[0] = (double) pneumo_json_read_int(what, v, param->low, param->high);
			break;
		case NN_PARAM_FLOAT:
			array = pneumo_json_array(v);
			if (array != NULL && pneumo_json_array_length(array) == 1)
				v = getIthJsonbValueFromContainer(array, 0);
			value->v[0] = pneumo_json_read_number(what, v, param->low, param->high);
			break;
		case NN_PARAM_BOOL:
			value->v[0] = pneumo_json_read_bool(what, v) ? 1 : 0;
			break;
		case NN_PARAM_INT_PAIR:
			array = pneumo_json_array(v);
			if (array == NULL)
				value->v[0] = value->v[1] = (double) pneumo_json_read_int(what, v, param->low, param->high);
			else if (pneumo_json_array_length(array) == 2)
			{
				value->v[0] = (double)
					pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 0),
										 param->low, param->high);
				value->v[1] = (double)
					pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 1),
										 param->low, param->high);
			}
			else
				pneumo_json_bad(what, v, "an integer or a list [height, width]");
			break;
		case NN_PARAM_ENUM:
			value->v[0] = pneumo_json_read_enum(what, v, param->names);
			break;
		case NN_PARAM_ACTIVATION:
			read_activation(what, value, v);
			break;
		case NN_PARAM_INITIALIZER:
			read_initializer(what, value, v);
			break;
	}
}

static void
check_dtype(const Layer *layer, JsonbValue *v)
{
	JsonbContainer *object = pneumo_json_object(v);
	char	   *name = pneumo_json_cstring(v);

	if (object != NULL)
	{
		JsonbContainer *config = pneumo_json_object(pneumo_json_get(object, "config"));

		if (config != NULL)
			name = pneumo_json_cstring(pneumo_json_get(config, "name"));
	}
	if (!pneumo_json_is_null(v) && (name == NULL || strcmp(name, "float32") != 0))
		pneumo_json_bad(layer_key(layer, "dtype"), v, "\"float32\"");
}

/* The alternatives of NnRefused.only, JSON texts with '|' between them. */
static bool
is_accepted(const char *only, const char *text)
{
	size_t		len = strlen(text);
	const char *p = only;

	for (;;)
	{
		const char *end = strchr(p, '|');
		size_t		n = end != NULL ? (size_t) (end - p) : strlen(p);

		if (n == len && memcmp(p, text, n) == 0)
			return true;
		if (end == NULL)
			return false;
		p = end + 1;
	}
}

static void
unknown_layer_key(const Layer *layer, const char *key, const NnOpInfo *op)
{
	const char *names[NN_MAX_PARAMS + 1];
	const char *near;
	int			n = 0;

	while (op->params[n].key != NULL && n < NN_MAX_PARAMS)
	{
		names[n] = op->params[n].key;
		n++;
	}
	names[n] = NULL;
	near = pneumo_nearest(key, names);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s: unknown key \"%s\"", layer_subject(layer), key),
			 n > 0 ? errdetail("Its keys are %s.", pneumo_list_names(names)) : 0,
			 near ? errhint("Did you mean \"%s\"?", near) : 0));
}

static void
read_params(NnNodeSpec *spec, const Layer *layer, const NnOpInfo *op)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	item;
	int			i;

	if (layer->config != NULL)
	{
		it = JsonbIteratorInit(layer->config);
		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			char	   *key;
			JsonbValue *v;

			if (token != WJB_KEY)
				continue;
			key = pnstrdup(item.val.string.val, item.val.string.len);
			v = pneumo_json_get(layer->config, key);

			for (i = 0; op->params[i].key != NULL; i++)
				if (strcmp(op->params[i].key, key) == 0)
					break;
			if (op->params[i].key != NULL)
			{
				read_param(layer, &op->params[i], &spec->params[i], v);
				continue;
			}
			if (strcmp(key, "dtype") == 0)
			{
				check_dtype(layer, v);
				continue;
			}
			for (i = 0; op->refused != NULL && op->refused[i].key != NULL; i++)
				if (strcmp(op->refused[i].key, key) == 0)
					break;
			if (op->refused != NULL && op->refused[i].key != NULL)
			{
				if (!is_accepted(op->refused[i].only, pneumo_json_full_text(v)))
				{
					StringInfoData allowed;
					const char *p;

					initStringInfo(&allowed);
					for (p = op->refused[i].only; *p; p++)
					{
						if (*p == '|')
							appendStringInfoString(&allowed, " or ");
						else
							appendStringInfoChar(&allowed, *p);
					}
					ereport(ERROR,
							(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							 errmsg("%s is %s, only %s is supported", layer_key(layer, key),
									pneumo_json_text(v), allowed.data)));
				}
				continue;
			}
			if (in_names(key, nn_common_ignored) || in_names(key, op->ignored) ||
				strcmp(key, "name") == 0 || strcmp(key, "batch_input_shape") == 0 ||
				strcmp(key, "batch_shape") == 0 || strcmp(key, "trainable") == 0)
				continue;
			unknown_layer_key(layer, key, op);
		}
	}

	for (i = 0; op->params[i].key != NULL; i++)
		if (op->params[i].required &&
			(layer->config == NULL || pneumo_json_get(layer->config, op->params[i].key) == NULL))
			layers_error("%s: key \"%s\" is missing", layer_subject(layer), op->params[i].key);
}

/* ------------------------------------------------------------------ edges */

static void
add_source(const Layer *layer, char **names, int *n, JsonbValue *name, JsonbValue *node, JsonbValue *tensor)
{
	char	   *text = pneumo_json_cstring(name);
	double		number;

	if (text == NULL)
		layers_error("%s: key \"inbound_nodes\" does not name a layer", layer_subject(layer));
	if ((pneumo_json_double(node, &number) && number != 0) ||
		(pneumo_json_double(tensor, &number) && number != 0))
		layers_error("%s: takes call %s of layer \"%s\"; a layer that is called more than once "
					 "(a shared layer) is not supported",
					 layer_subject(layer), pneumo_json_text(node), text);
	if (*n >= NN_MAX_INPUTS)
		layers_error("%s: has more than %d inputs", layer_subject(layer), NN_MAX_INPUTS);
	names[(*n)++] = text;
}

/* Collects Keras 3's keras_history wherever it is in the call's arguments. */
static void
collect_histories(const Layer *layer, char **names, int *n, JsonbValue *value)
{
	JsonbContainer *object = pneumo_json_object(value);
	JsonbContainer *array = pneumo_json_array(value);
	int			i;

	check_stack_depth();
	if (object != NULL)
	{
		JsonbContainer *config = pneumo_json_object(pneumo_json_get(object, "config"));
		JsonbContainer *history = NULL;

		if (config != NULL)
			history = pneumo_json_array(pneumo_json_get(config, "keras_history"));
		if (history == NULL || pneumo_json_array_length(history) != 3)
			layers_error("%s: argument %s is not a layer's output", layer_subject(layer),
						 pneumo_json_text(value));
		add_source(layer, names, n, getIthJsonbValueFromContainer(history, 0),
				   getIthJsonbValueFromContainer(history, 1),
				   getIthJsonbValueFromContainer(history, 2));
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
	JsonbValue	item;

	if (object == NULL)
		return;
	it = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *key;
		JsonbValue *v;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(item.val.string.val, item.val.string.len);
		v = pneumo_json_get(object, key);
		if (!pneumo_json_is_null(v))
			layers_error("%s: call argument \"%s\" is %s, only null is supported",
						 layer_subject(layer), key, pneumo_json_text(v));
	}
}

/* Names of the layers that feed this one. */
static int
read_sources(const Layer *layer, char **names)
{
	JsonbContainer *calls = pneumo_json_array(layer->inbound);
	JsonbValue *call;
	JsonbContainer *array;
	int			n = 0;
	int			i;

	if (calls == NULL || pneumo_json_array_length(calls) == 0)
		layers_error("%s: key \"inbound_nodes\" is missing or empty", layer_subject(layer));
	if (pneumo_json_array_length(calls) > 1)
		layers_error("%s: is called %d times; shared layers are not supported",
					 layer_subject(layer), pneumo_json_array_length(calls));

	call = getIthJsonbValueFromContainer(calls, 0);
	if (pneumo_json_object(call) != NULL)
	{
		JsonbContainer *object = pneumo_json_object(call);
		JsonbValue *args = pneumo_json_get(object, "args");

		if (pneumo_json_array(args) == NULL)
			layers_error("%s: key \"inbound_nodes\" has no list \"args\"", layer_subject(layer));
		collect_histories(layer, names, &n, args);
		check_call_kwargs(layer, pneumo_json_get(object, "kwargs"));
		return n;
	}

	array = pneumo_json_array(call);
	if (array == NULL)
		layers_error("%s: key \"inbound_nodes\" is %s, which is no Keras form",
					 layer_subject(layer), pneumo_json_text(layer->inbound));
	for (i = 0; i < pneumo_json_array_length(array); i++)
	{
		JsonbContainer *entry = pneumo_json_array(getIthJsonbValueFromContainer(array, i));

		if (entry == NULL || pneumo_json_array_length(entry) < 3)
			layers_error("%s: key \"inbound_nodes\" is %s, which is no Keras form",
						 layer_subject(layer), pneumo_json_text(layer->inbound));
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
	int			i;

	for (i = 0; i < list->n; i++)
		if (strcmp(list->layers[i].name, name) == 0)
			return &list->layers[i];
	return NULL;
}

/* ------------------------------------------------------------------ graph */

static int
find_op(const Layer *layer)
{
	int			op = nn_op_find(layer->class_name);
	const char **names;
	const char *near;
	int			i;

	if (op >= 0)
		return op;
	if (strcmp(layer->class_name, "Sequential") == 0 || strcmp(layer->class_name, "Functional") == 0 ||
		strcmp(layer->class_name, "Model") == 0)
		layers_error("%s: a network inside a network is not supported", layer_subject(layer));

	names = palloc(sizeof(char *) * (nn_op_count() + 1));
	for (i = 0; i < nn_op_count(); i++)
		names[i] = nn_op_info(i)->class_name;
	names[i] = NULL;
	near = pneumo_nearest(layer->class_name, names);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("layer %d \"%s\": unknown class \"%s\"", layer->number, layer->name, layer->class_name),
			 errdetail("It can be %s.", pneumo_list_names(names)),
			 near ? errhint("Did you mean \"%s\"?", near) : 0));
	return -1;
}

static void
add_layer(NnGraph *graph, Layer *layer, const int *inputs, int n_inputs)
{
	NnNodeSpec	spec;
	NnError		error;
	int			op = find_op(layer);

	nn_node_spec_init(&spec, op);
	strlcpy(spec.name, layer->name, NN_NAME_LEN);
	read_params(&spec, layer, nn_op_info(op));
	spec.n_inputs = n_inputs;
	memcpy(spec.inputs, inputs, sizeof(int) * n_inputs);
	if (nn_graph_add(graph, &spec, &layer->node, &error) != NN_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", error.message),
				 error.hint[0] ? errhint("%s", error.hint) : 0));
}

/* Adds layers as their inputs become known; Keras's list need not be in order. */
static void
add_functional(NnGraph *graph, LayerList *list)
{
	int			left = 0;
	bool		progress = true;
	int			i;

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
			Layer	   *layer = &list->layers[i];
			char	   *names[NN_MAX_INPUTS];
			int			inputs[NN_MAX_INPUTS];
			int			n;
			int			k;

			if (layer->node >= 0)
				continue;
			n = read_sources(layer, names);
			for (k = 0; k < n; k++)
			{
				Layer	   *source = find_layer(list, names[k]);

				if (source == NULL)
					layers_error("%s: its input \"%s\" does not exist", layer_subject(layer), names[k]);
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
		layers_error("the network has a cycle: %d layers wait for each other", left);
}

NnGraph *
pneumo_layers_graph(PneumoConfig *config, int n_classes)
{
	LayerList	list;
	NnGraph    *graph;
	NnError		error;
	size_t		bytes;
	int			output;
	int			i;

	read_list(&list, config->layers != NULL ? config->layers :
			  pneumo_preset_layers(config->preset, n_classes));
	find_input_shape(config, &list);

	bytes = nn_graph_bytes(list.n + 1);
	if (bytes == 0)
		layers_error("the network is too large");
	graph = palloc0(bytes);
	if (nn_graph_begin(graph, list.n + 1, config->preprocess.height, config->preprocess.width,
					   config->preprocess.channels, &error) != NN_OK)
		pneumo_nn_ereport(&error);

	if (list.functional)
	{
		Layer	   *layer = list.output != NULL ? find_layer(&list, list.output) : &list.layers[list.n - 1];

		if (layer == NULL)
			layers_error("the output layer \"%s\" does not exist", list.output);
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
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the network tells %d classes apart, the labels have %d",
						nn_graph_class_count(graph), n_classes),
				 errhint("End the network with a Dense layer of %s.",
						 n_classes == 2 ? "one unit with sigmoid" :
						 psprintf("%d units with softmax", n_classes))));
	return graph;
}
