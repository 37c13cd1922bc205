/*-------------------------------------------------------------------------
 *
 * layer_params.c
 *	  The keys of one layer to the parameters of a node.
 *
 * This file knows no layer: the tables of nn_op_info() say which keys a layer
 * has, which change nothing and which are taken only at certain values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config_internal.h"

static bool
in_names(const char *key, const char *const *names)
{
	int i;

	for (i = 0; names != NULL && names[i] != NULL; i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

/* Reads "glorot_uniform", or {"class_name": "GlorotUniform", "config": {...}}. */
static void
read_initializer(const char *what, NnValue *value, JsonbValue *v)
{
	JsonbContainer *object = pneumo_json_object(v);
	char *name = pneumo_json_cstring(v);
	JsonbContainer *config = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue item;
	char *key = NULL;

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
		double number = 0;
		char *text;

		if (token == WJB_KEY)
			key = pnstrdup(item.val.string.val, item.val.string.len);
		if (token != WJB_VALUE || strcmp(key, "seed") == 0 || strcmp(key, "dtype") == 0)
			continue;
		text = pneumo_json_cstring(&item);
		if (text == NULL && !pneumo_json_double(&item, &number))
			pneumo_layers_error("%s: initializer key \"%s\" is %s, must be a number or a name", what,
								pneumo_clip(key), pneumo_json_text(&item));
		if (nn_initializer_set(value, key, number, text) != 0)
			pneumo_layers_error("%s: initializer \"%s\" does not take \"%s\" = %s", what, name,
								pneumo_clip(key), pneumo_json_text(&item));
	}
}

/* Reads "relu", null, or Keras 3's {"module": ..., "class_name": "function", "config": "relu"}. */
static void
read_activation(const char *what, NnValue *value, JsonbValue *v)
{
	JsonbContainer *object = pneumo_json_object(v);
	JsonbValue *name = v;
	int linear;

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
	value->v[1] = 0.2; /* negative_slope of keras.activations.leaky_relu */
}

/* Reads the value of one parameter, by its kind. */
static void
read_param(const Layer *layer, const NnParam *param, NnValue *value, JsonbValue *v)
{
	char *what = pneumo_layer_key(layer, param->key);
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
				value->v[0] = (double) pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 0),
															param->low, param->high);
				value->v[1] = (double) pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 1),
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
	char *name = pneumo_json_cstring(v);

	if (object != NULL)
	{
		JsonbContainer *config = pneumo_json_object(pneumo_json_get(object, "config"));

		if (config != NULL)
			name = pneumo_json_cstring(pneumo_json_get(config, "name"));
	}
	if (!pneumo_json_is_null(v) && (name == NULL || strcmp(name, "float32") != 0))
		pneumo_json_bad(pneumo_layer_key(layer, "dtype"), v, "\"float32\"");
}

/* Returns whether text is one of the alternatives of NnRefused.only, JSON texts with '|' between them. */
static bool
is_accepted(const char *only, const char *text)
{
	size_t len = strlen(text);
	const char *p = only;

	for (;;)
	{
		const char *end = strchr(p, '|');
		size_t n = end != NULL ? (size_t) (end - p) : strlen(p);

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
	int n = 0;

	while (op->params[n].key != NULL && n < NN_MAX_PARAMS)
	{
		names[n] = op->params[n].key;
		n++;
	}
	names[n] = NULL;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s: unknown key \"%s\"", pneumo_layer_subject(layer), pneumo_clip(key)),
					n > 0 ? errdetail("Its keys are %s.", pneumo_list_names(names)) : 0,
					pneumo_hint_nearest(key, names)));
}

/* Refuses a key that is taken only at the values that refused names, at any other value. */
static void
check_refused(const Layer *layer, const NnRefused *refused, JsonbValue *v)
{
	StringInfoData allowed;
	const char *p;

	if (is_accepted(refused->only, pneumo_json_full_text(v)))
		return;
	initStringInfo(&allowed);
	for (p = refused->only; *p; p++)
	{
		if (*p == '|')
			appendStringInfoString(&allowed, " or ");
		else
			appendStringInfoChar(&allowed, *p);
	}
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("%s is %s, only %s is supported", pneumo_layer_key(layer, refused->key),
						   pneumo_json_text(v), allowed.data)));
}

/* Reads one key of a layer: into the parameter that it names, or checks it by the layer's tables. */
static void
read_layer_key(NnNodeSpec *spec, const Layer *layer, const NnOpInfo *op, const char *key, JsonbValue *v)
{
	static const char *const other_keys[] = {"name", "batch_input_shape", "batch_shape", "trainable", NULL};
	int i;

	for (i = 0; op->params[i].key != NULL; i++)
	{
		if (strcmp(op->params[i].key, key) == 0)
		{
			read_param(layer, &op->params[i], &spec->params[i], v);
			return;
		}
	}
	if (strcmp(key, "dtype") == 0)
	{
		check_dtype(layer, v);
		return;
	}
	for (i = 0; op->refused != NULL && op->refused[i].key != NULL; i++)
	{
		if (strcmp(op->refused[i].key, key) == 0)
		{
			check_refused(layer, &op->refused[i], v);
			return;
		}
	}
	if (!in_names(key, nn_common_ignored) && !in_names(key, op->ignored) && !in_names(key, other_keys))
		unknown_layer_key(layer, key, op);
}

void
pneumo_layer_params(NnNodeSpec *spec, const Layer *layer, const NnOpInfo *op)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue item;
	int i;

	if (layer->config != NULL)
	{
		it = JsonbIteratorInit(layer->config);
		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			char *key;

			if (token != WJB_KEY)
				continue;
			key = pnstrdup(item.val.string.val, item.val.string.len);
			read_layer_key(spec, layer, op, key, pneumo_json_get(layer->config, key));
		}
	}

	for (i = 0; op->params[i].key != NULL; i++)
		if (op->params[i].required &&
			(layer->config == NULL || pneumo_json_get(layer->config, op->params[i].key) == NULL))
			pneumo_layers_error("%s: key \"%s\" is missing", pneumo_layer_subject(layer), op->params[i].key);
}
