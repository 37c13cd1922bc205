/*-------------------------------------------------------------------------
 *
 * layer_params.c
 *	  The keys of one layer to the parameters of its nodes.
 *
 * This file knows no layer: the tables of nn_op_info() say which keys a layer
 * has, which change nothing and which are taken only at certain values.  A key
 * at the value that Keras writes for one that nobody has set (keras_defaults.c)
 * changes nothing, whether pneumo knows the key or not.
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

/* Returns whether Keras writes this text for a key that nobody has set. */
static bool
is_keras_default(const char *class_name, const char *key, const char *text)
{
	int i;

	for (i = 0; pneumo_keras_defaults[i].class_name != NULL; i++)
		if (strcmp(pneumo_keras_defaults[i].class_name, class_name) == 0 &&
			strcmp(pneumo_keras_defaults[i].key, key) == 0 &&
			strcmp(pneumo_keras_defaults[i].text, text) == 0)
			return true;
	return false;
}

/* Returns the next key of an object, palloc'd, and its value; NULL at the end. */
static char *
next_key(JsonbIterator **it, JsonbContainer *object, JsonbValue **value)
{
	JsonbIteratorToken token;
	JsonbValue item;

	while ((token = JsonbIteratorNext(it, &item, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			char *key = pnstrdup(item.val.string.val, item.val.string.len);

			*value = pneumo_json_get(object, key);
			return key;
		}
	return NULL;
}

/*
 * Returns the class name of an object of Keras, or the name that stands for one,
 * and the object's config, or NULL; NULL where the value is neither.
 */
static char *
keras_object(JsonbValue *v, JsonbContainer **config)
{
	JsonbContainer *object = pneumo_json_object(v);

	*config = NULL;
	if (object == NULL)
		return pneumo_json_cstring(v);
	*config = pneumo_json_object(pneumo_json_get(object, "config"));
	return pneumo_json_cstring(pneumo_json_get(object, "class_name"));
}

/* Reads "glorot_uniform", or {"class_name": "GlorotUniform", "config": {...}}. */
static void
read_initializer(LayerList *list, const char *what, NnValue *value, JsonbValue *v)
{
	JsonbContainer *config;
	char *name = keras_object(v, &config);
	JsonbIterator *it;
	JsonbValue *number_value;
	char *key;

	if (name == NULL || nn_initializer_find(value, name) != 0)
		pneumo_json_bad(what, v, "the name of a Keras initializer, or an object with \"class_name\"");
	if (config == NULL)
		return;

	it = JsonbIteratorInit(config);
	while ((key = next_key(&it, config, &number_value)) != NULL)
	{
		double number = 0;
		char *text = pneumo_json_cstring(number_value);

		if (strcmp(key, "dtype") == 0 || is_keras_default(name, key, pneumo_json_full_text(number_value)))
			continue;
		if (strcmp(key, "seed") == 0)
		{
			if (number_value->type == jbvNumeric)
				pneumo_layers_notice(list,
									 "seeds of layers are not used: config key \"seed\" is that of the run");
			continue;
		}
		if (text == NULL && !pneumo_json_double(number_value, &number))
			pneumo_layers_error("%s: initializer key \"%s\" is %s, must be a number or a name", what,
								pneumo_clip(key), pneumo_json_text(number_value));
		if (nn_initializer_set(value, key, number, text) != 0)
			pneumo_layers_error("%s: initializer \"%s\" does not take \"%s\" = %s", what, name,
								pneumo_clip(key), pneumo_json_text(number_value));
	}
}

/* ------------------------------------------------------------- activations */

/* Reads a number of an activation layer's config; missing or null: otherwise. */
static double
activation_number(const char *what, JsonbContainer *config, const char *key, double otherwise)
{
	JsonbValue *v = config != NULL ? pneumo_json_get(config, key) : NULL;

	return pneumo_json_is_null(v) ? otherwise : pneumo_json_read_number(what, v, 0, 1e6);
}

/* Reads a layer that is given as an activation: ReLU, LeakyReLU, ELU.  Returns false if it is another. */
static bool
read_activation_layer(const char *what, NnValue *value, const char *class_name, JsonbContainer *config)
{
	if (strcmp(class_name, "ReLU") == 0)
	{
		double ceiling = activation_number(what, config, "max_value", 0);
		double slope = activation_number(what, config, "negative_slope", 0);

		if (activation_number(what, config, "threshold", 0) != 0 || (ceiling > 0 && slope > 0))
			pneumo_layers_unsupported(NULL,
									  "%s is a ReLU with a threshold, or with both max_value and "
									  "negative_slope, which is not supported",
									  what);
		value->v[0] = nn_activation_find(ceiling > 0 ? "relu6" : slope > 0 ? "leaky_relu" : "relu");
		value->v[1] = slope > 0 ? slope : 0.2;
		value->v[2] = ceiling;
		return true;
	}
	if (strcmp(class_name, "LeakyReLU") == 0)
	{
		value->v[0] = nn_activation_find("leaky_relu");
		value->v[1] =
			activation_number(what, config, "negative_slope", activation_number(what, config, "alpha", 0.3));
		return true;
	}
	if (strcmp(class_name, "ELU") == 0)
	{
		value->v[0] = nn_activation_find("elu");
		value->v[2] = activation_number(what, config, "alpha", 1);
		return true;
	}
	return false;
}

void
pneumo_layer_activation(const char *what, NnValue *value, JsonbValue *v, bool keras2)
{
	static const char *const others[][2] = {{"swish", "silu"}, {"hard_swish", "hard_silu"}};
	JsonbContainer *object = pneumo_json_object(v);
	char *name = pneumo_json_cstring(v);
	int i;

	memset(value, 0, sizeof(NnValue));
	value->v[1] = 0.2; /* negative_slope of keras.activations.leaky_relu */
	if (pneumo_json_is_null(v))
	{
		value->v[0] = nn_activation_find("linear");
		return;
	}
	if (object != NULL)
	{
		JsonbValue *config = pneumo_json_get(object, "config");
		char *class_name = pneumo_json_cstring(pneumo_json_get(object, "class_name"));
		char *registered = pneumo_json_cstring(pneumo_json_get(object, "registered_name"));

		name = pneumo_json_cstring(config);
		if (registered != NULL && strchr(registered, '>') != NULL)
			pneumo_layers_unsupported(NULL, "%s is \"%s\", which is not Keras's", what,
									  pneumo_clip(registered));
		if (name == NULL && class_name != NULL)
		{
			if (read_activation_layer(what, value, class_name, pneumo_json_object(config)))
				return;
			name = class_name;
		}
	}
	if (name == NULL)
		pneumo_json_bad(what, v, "the name of an activation function");
	for (i = 0; i < lengthof(others); i++)
		if (strcmp(name, others[i][0]) == 0)
			name = pstrdup(others[i][1]);
	value->v[0] = nn_activation_find(name);
	if (keras2 && strcmp(name, "hard_sigmoid") == 0)
		value->v[2] = 0.2; /* 1/6 since Keras 3 */
	if (value->v[0] >= 0)
		return;
	for (i = 0; pneumo_keras_activations[i] != NULL; i++)
		if (strcmp(name, pneumo_keras_activations[i]) == 0)
			pneumo_layers_unsupported(NULL, "%s is \"%s\", which is not supported", what, name);
	for (i = 0; pneumo_keras_layers[i] != NULL; i++)
		if (strcmp(name, pneumo_keras_layers[i]) == 0)
			pneumo_layers_unsupported(NULL, "%s is a layer \"%s\", which is not supported", what, name);
	pneumo_json_bad(what, v, pneumo_list_names(nn_activation_names));
}

/* --------------------------------------------- regularisers and constraints */

static const char *const regularizer_keys[] = {"l1", "l2", NULL};
static const char *const constraint_keys[] = {"max_value", "axis", NULL};

/* Refuses a key of an object's config that is not among the names. */
static void
check_object_keys(const char *what, JsonbContainer *config, const char *const *names)
{
	JsonbIterator *it = JsonbIteratorInit(config);
	JsonbValue *v;
	char *key;

	while ((key = next_key(&it, config, &v)) != NULL)
		if (!in_names(key, names))
			pneumo_layers_unsupported(NULL, "%s has the key \"%s\" = %s, which is not supported", what,
									  pneumo_clip(key), pneumo_json_text(v));
}

/* Reads a number of an object's config, if it is there. */
static void
read_object_number(const char *what, JsonbContainer *config, const char *key, double *number)
{
	JsonbValue *v = pneumo_json_get(config, key);

	if (!pneumo_json_is_null(v))
		*number = pneumo_json_read_number(what, v, 0, 1e6);
}

/* -------------------------------------------------------------- parameters */

/* Reads integers of a list of the expected length, or one for all of them. */
static void
read_ints(const char *what, double *to, int n, JsonbValue *v, const NnParam *param, const char *form)
{
	JsonbContainer *array = pneumo_json_array(v);
	int i;

	if (array != NULL && pneumo_json_array_length(array) != n)
		pneumo_json_bad(what, v, form);
	for (i = 0; i < n; i++)
		to[i] =
			(double) pneumo_json_read_int(what, array != NULL ? getIthJsonbValueFromContainer(array, i) : v,
										  param->low, param->high);
}

/* Reads n, [height, width] or [[top, bottom], [left, right]]. */
static void
read_border(const char *what, NnValue *value, JsonbValue *v, const NnParam *param)
{
	JsonbContainer *array = pneumo_json_array(v);
	int i;

	if (array == NULL)
	{
		read_ints(what, value->v, 4, v, param, "an integer");
		return;
	}
	if (pneumo_json_array_length(array) != 2)
		pneumo_json_bad(what, v, "an integer, [height, width] or [[top, bottom], [left, right]]");
	for (i = 0; i < 2; i++)
		read_ints(what, &value->v[2 * i], 2, getIthJsonbValueFromContainer(array, i), param,
				  "[[top, bottom], [left, right]]");
}

/* Reads a list of up to three numbers; one number alone where the kind allows it. */
static void
read_numbers(const char *what, NnValue *value, JsonbValue *v, const NnParam *param)
{
	JsonbContainer *array = pneumo_json_array(v);
	int n = array != NULL ? pneumo_json_array_length(array) : 0;
	int i;

	if (param->kind == NN_PARAM_FLOATS && n == 0)
	{
		value->v[0] = pneumo_json_read_number(what, v, param->low, param->high);
		return;
	}
	if (param->required == NN_LATER && (pneumo_json_is_null(v) || (array != NULL && n == 0)))
		return;
	if (n < 1 || n > 3)
		pneumo_json_bad(what, v, "a list of 1 to 3 numbers");
	for (i = 0; i < n; i++)
	{
		JsonbValue *item = getIthJsonbValueFromContainer(array, i);

		value->v[i] = param->kind == NN_PARAM_INTS
						  ? (double) pneumo_json_read_int(what, item, param->low, param->high)
						  : pneumo_json_read_number(what, item, param->low, param->high);
	}
	value->v[3] = n;
}

/* A class of regularisers or constraints, and the name that stands for an object without config. */
typedef struct Kind
{
	const char *class_name, *name;
	double v[3]; /* Keras's defaults, as NnValue has them */
} Kind;

/*
 * Fills value with the defaults of what an object or a name stands for; returns
 * its config, NULL where there is none, and leaves value alone where it is null.
 */
static JsonbContainer *
read_kind(const char *what, NnValue *value, JsonbValue *v, const Kind *kinds, const char *classes)
{
	JsonbContainer *config;
	char *name = keras_object(v, &config);

	if (pneumo_json_is_null(v))
		return NULL;
	if (name == NULL)
		pneumo_json_bad(what, v, "null, a name of Keras's, or an object with \"class_name\"");
	for (; kinds->name != NULL; kinds++)
		if (strcmp(name, kinds->class_name) == 0 || strcmp(name, kinds->name) == 0)
		{
			memcpy(value->v, kinds->v, sizeof(kinds->v));
			return config;
		}
	pneumo_layers_unsupported(NULL, "%s is \"%s\", only %s are supported", what, pneumo_clip(name), classes);
}

/* Reads a regulariser: null, "l1", "l2", "l1_l2", or {"class_name": "L2", "config": {"l2": 0.01}}. */
static void
read_regularizer(const char *what, NnValue *value, JsonbValue *v)
{
	static const Kind kinds[] = {
		{"L1", "l1", {0.01, 0}}, {"L2", "l2", {0, 0.01}}, {"L1L2", "l1_l2", {0}},
		{"L1L2", "l1l2", {0}},   {NULL, NULL, {0}},
	};
	JsonbContainer *config = read_kind(what, value, v, kinds, "L1, L2 and L1L2");

	if (config == NULL)
		return;
	check_object_keys(what, config, regularizer_keys);
	read_object_number(what, config, "l1", &value->v[0]);
	read_object_number(what, config, "l2", &value->v[1]);
}

/* Reads a constraint: null, "max_norm", or {"class_name": "MaxNorm", "config": {"max_value": 3, "axis": 0}}. */
static void
read_constraint(const char *what, NnValue *value, JsonbValue *v)
{
	static const Kind kinds[] = {
		{"MaxNorm", "max_norm", {NN_MAX_NORM, 2, 1}},
		{"NonNeg", "non_neg", {NN_NON_NEG, 2, 0}},
		{"UnitNorm", "unit_norm", {NN_UNIT_NORM, 2, 1}},
		{NULL, NULL, {0}},
	};
	JsonbContainer *config = read_kind(what, value, v, kinds, "MaxNorm, NonNeg and UnitNorm");
	JsonbValue *axis;
	JsonbContainer *axes;
	int i;

	if (config == NULL)
		return;
	check_object_keys(what, config, constraint_keys);
	read_object_number(what, config, "max_value", &value->v[1]);
	axis = pneumo_json_get(config, "axis");
	if (axis == NULL || value->v[0] == NN_NON_NEG)
		return;
	axes = pneumo_json_array(axis);
	value->v[2] = 0;
	for (i = 0; i < (axes != NULL ? pneumo_json_array_length(axes) : 1); i++)
	{
		int one =
			pneumo_json_read_int(what, axes != NULL ? getIthJsonbValueFromContainer(axes, i) : axis, 0, 3);

		value->v[2] = (int) value->v[2] | 1 << one;
	}
}

/* Reads the value of one parameter, by its kind. */
static void
read_param(LayerList *list, const char *what, const NnParam *param, NnValue *value, JsonbValue *v)
{
	JsonbContainer *array = pneumo_json_array(v);
	bool single = array != NULL && pneumo_json_array_length(array) == 1 && param->kind != NN_PARAM_INTS;

	if (single)
		v = getIthJsonbValueFromContainer(array, 0);
	switch (param->kind)
	{
		case NN_PARAM_INT:
			value->v[0] = (double) pneumo_json_read_int(what, v, param->low, param->high);
			break;
		case NN_PARAM_FLOAT:
			/* null: max_value of a ReLU that has none */
			if (param->required == NN_LATER && pneumo_json_is_null(v))
				break;
			value->v[0] = pneumo_json_read_number(what, v, param->low, param->high);
			break;
		case NN_PARAM_BOOL:
			value->v[0] = pneumo_json_read_bool(what, v) ? 1 : 0;
			break;
		case NN_PARAM_INT_PAIR:
			/* null: strides that follow pool_size */
			if (param->low == 0 && pneumo_json_is_null(v))
				break;
			read_ints(what, value->v, 2, v, param, "an integer or a list [height, width]");
			break;
		case NN_PARAM_ENUM:
			value->v[0] = pneumo_json_read_enum(what, v, param->names);
			break;
		case NN_PARAM_BORDER:
			read_border(what, value, v, param);
			break;
		case NN_PARAM_INTS:
		case NN_PARAM_FLOATS:
			read_numbers(what, value, v, param);
			break;
		case NN_PARAM_ACTIVATION:
			pneumo_layer_activation(what, value, v, list->keras2);
			break;
		case NN_PARAM_INITIALIZER:
			read_initializer(list, what, value, v);
			break;
		case NN_PARAM_REGULARIZER:
			read_regularizer(what, value, v);
			break;
		case NN_PARAM_CONSTRAINT:
			read_constraint(what, value, v);
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

/* Names a key that neither pneumo nor any version of Keras has, or refuses it unless it says nothing. */
static void
unknown_layer_key(LayerList *list, const Layer *layer, const char *key, JsonbValue *v, const char **names)
{
	bool known = false; /* to Keras */
	int i;

	for (i = 0; !known && pneumo_keras_defaults[i].class_name != NULL; i++)
		known = strcmp(pneumo_keras_defaults[i].class_name, layer->class_name) == 0 &&
				strcmp(pneumo_keras_defaults[i].key, key) == 0;
	if (known)
		pneumo_layers_unsupported(NULL, "%s is %s, which is not supported", pneumo_layer_key(layer, key),
								  pneumo_json_text(v));
	if (pneumo_nearest(key, names) == NULL &&
		(pneumo_json_is_null(v) || (v->type == jbvBool && !v->val.boolean)))
	{
		pneumo_layers_notice(list, "%s is not known, and %s, so it is taken to say nothing",
							 pneumo_layer_key(layer, key), pneumo_json_text(v));
		return;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s: unknown key \"%s\"", pneumo_layer_subject(layer), pneumo_clip(key)),
					names[0] != NULL ? errdetail("Its keys are %s.", pneumo_list_names(names)) : 0,
					pneumo_hint_nearest(key, names)));
}

/* Returns whether the value is a regularizer that weighs nothing: all its numbers are 0. */
static bool
is_zero_regularizer(JsonbValue *v)
{
	JsonbContainer *config;
	char *name = keras_object(v, &config);
	JsonbIterator *it;
	JsonbValue *number_value;

	if (name == NULL || config == NULL ||
		(strcmp(name, "L1") != 0 && strcmp(name, "L2") != 0 && strcmp(name, "L1L2") != 0))
		return false;
	it = JsonbIteratorInit(config);
	while (next_key(&it, config, &number_value) != NULL)
	{
		double number;

		if (!pneumo_json_double(number_value, &number) || number != 0)
			return false;
	}
	return true;
}

/* Refuses a key that is taken only at the values that refused names, at any other value. */
static void
check_refused(const Layer *layer, const NnRefused *refused, JsonbValue *v)
{
	StringInfoData allowed;
	const char *p;

	if (is_accepted(refused->only, pneumo_json_full_text(v)) ||
		(strstr(refused->key, "_regularizer") != NULL && is_zero_regularizer(v)))
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

/* ------------------------------------------------------------- the layer */

/* Finds the parameter that a key fills; -1: none. */
static int
find_param(const Layer *layer, const LayerBinding *bindings, const char *key, int *part)
{
	int i;

	*part = 0;
	if (bindings == NULL)
		return strcmp(key, "trainable") == 0 ? -1 : nn_op_param_find(layer->parts[0].op, key);
	for (i = 0; bindings[i].key != NULL; i++)
		if (strcmp(bindings[i].key, key) == 0)
		{
			*part = bindings[i].part;
			return nn_op_param_find(layer->parts[*part].op, bindings[i].param);
		}
	return -1;
}

/* Returns the keys that a layer has here, ended by NULL, for messages. */
static const char **
key_names(const Layer *layer)
{
	const char **names = palloc(sizeof(char *) * (NN_MAX_PARAMS + 1));
	const NnParam *params;
	int n = 0;
	int i;

	if (layer->bindings != NULL)
		for (i = 0; layer->bindings[i].key != NULL && n < NN_MAX_PARAMS; i++)
			names[n++] = layer->bindings[i].key;
	else
	{
		params = nn_op_info(layer->parts[0].op)->params;
		for (i = 0; params[i].key != NULL && n < NN_MAX_PARAMS; i++)
			if (params[i].required != NN_LATER || strcmp(params[i].key, "trainable") != 0)
				names[n++] = params[i].key;
	}
	names[n] = NULL;
	return names;
}

/* Reads null, [null, 1, 1, channels] or [null, 1, 1, 1]: what a Dropout keeps or drops as one. */
static void
read_noise_shape(const char *what, NnValue *value, const NnParam *param, JsonbValue *v)
{
	JsonbContainer *array = pneumo_json_array(v);
	int n = array != NULL ? pneumo_json_array_length(array) : 0;
	double number = 0;
	int ones = 0;
	int i;

	if (pneumo_json_is_null(v))
		return;
	if (pneumo_json_cstring(v) != NULL)
	{
		value->v[0] = pneumo_json_read_enum(what, v, param->names);
		return;
	}
	for (i = 1; i < n; i++)
		ones += pneumo_json_double(getIthJsonbValueFromContainer(array, i), &number) && number == 1;
	if (n < 2 || !pneumo_json_is_null(getIthJsonbValueFromContainer(array, 0)) || ones < n - 2 ||
		(ones == n - 2 && (n != 4 || number == 1)))
		pneumo_layers_unsupported(
			NULL, "%s is %s, only null, [null, 1, 1, channels] and [null, 1, 1, 1] are supported", what,
			pneumo_json_text(v));
	value->v[0] = ones == n - 1 ? 2 : 1;
}

/* Reads one key of a layer: into the parameter that it names, or checks it by the layer's tables. */
static void
read_layer_key(LayerList *list, Layer *layer, const char *key)
{
	static const char *const other_keys[] = {"name", "batch_input_shape", "batch_shape", "trainable", NULL};
	const NnOpInfo *op = layer->bindings == NULL ? nn_op_info(layer->parts[0].op) : NULL;
	JsonbValue *v = pneumo_json_get(layer->config, key);
	int part;
	int i = find_param(layer, layer->bindings, key, &part);

	if (i >= 0)
	{
		NnNodeSpec *spec = &layer->parts[part];

		if (strcmp(key, "noise_shape") == 0)
			read_noise_shape(pneumo_layer_key(layer, key), &spec->params[i], &nn_op_info(spec->op)->params[i],
							 v);
		else
			read_param(list, pneumo_layer_key(layer, key), &nn_op_info(spec->op)->params[i], &spec->params[i],
					   v);
		return;
	}
	if (strcmp(key, "dtype") == 0)
	{
		check_dtype(layer, v);
		return;
	}
	if (in_names(key, layer->own_keys) || in_names(key, nn_common_ignored) || in_names(key, other_keys))
		return;
	for (i = 0; op != NULL && op->refused != NULL && op->refused[i].key != NULL; i++)
	{
		if (strcmp(op->refused[i].key, key) == 0)
		{
			check_refused(layer, &op->refused[i], v);
			return;
		}
	}
	if (strcmp(key, "seed") == 0 && op != NULL && in_names(key, op->ignored))
	{
		if (!pneumo_json_is_null(v))
			pneumo_layers_notice(list,
								 "seeds of layers are not used: config key \"seed\" is that of the run");
		return;
	}
	if (is_keras_default(layer->class_name, key, pneumo_json_full_text(v)) ||
		(op != NULL && in_names(key, op->ignored)) || is_zero_regularizer(v))
		return;
	unknown_layer_key(list, layer, key, v, key_names(layer));
}

/* Checks that the keys that must be given were. */
static void
check_missing(LayerList *list, Layer *layer, const char *unused)
{
	int k, i, j;

	for (k = 0; k < layer->n_parts; k++)
	{
		const NnParam *params = nn_op_info(layer->parts[k].op)->params;

		for (i = 0; params[i].key != NULL; i++)
		{
			const char *key = params[i].key;

			if (params[i].required != 1 || !isnan(layer->parts[k].params[i].v[0]))
				continue;
			for (j = 0; layer->bindings != NULL && layer->bindings[j].key != NULL; j++)
				if (layer->bindings[j].part == k && strcmp(layer->bindings[j].param, key) == 0)
					key = layer->bindings[j].key;
			if (layer->config == NULL || pneumo_json_get(layer->config, key) == NULL)
				pneumo_layers_error("%s: key \"%s\" is missing", pneumo_layer_subject(layer), key);
		}
	}
}

void
pneumo_layer_params(LayerList *list, Layer *layer)
{
	JsonbIterator *it;
	JsonbValue *v;
	char *key;

	if (layer->config != NULL)
	{
		it = JsonbIteratorInit(layer->config);
		while ((key = next_key(&it, layer->config, &v)) != NULL)
			pneumo_layers_try(list, layer, key, read_layer_key);
	}
	pneumo_layers_try(list, layer, NULL, check_missing);
}

/* Checks one key of an InputLayer; its shape is read elsewhere. */
static void
check_input_key(LayerList *list, Layer *layer, const char *key)
{
	static const char *const shapes[] = {"name",        "batch_shape", "batch_input_shape",
										 "input_shape", "shape",       "trainable",
										 NULL};
	static const char *const types[] = {"float32", "uint8", "uint16", "int8",
										"int16",   "int32", "int64",  NULL};
	static const char *const names[] = {NULL};
	JsonbValue *v = pneumo_json_get(layer->config, key);

	if (strcmp(key, "dtype") == 0)
	{
		if (!pneumo_json_is_null(v) &&
			(pneumo_json_cstring(v) == NULL || !in_names(pneumo_json_cstring(v), types)))
			pneumo_json_bad(pneumo_layer_key(layer, key), v, "\"float32\" or an integer type");
	}
	else if (!in_names(key, shapes) && !is_keras_default(layer->class_name, key, pneumo_json_full_text(v)))
		unknown_layer_key(list, layer, key, v, (const char **) names);
}

void
pneumo_layer_input_keys(LayerList *list, Layer *layer)
{
	JsonbIterator *it;
	JsonbValue *v;
	char *key;

	if (layer->config == NULL)
		return;
	it = JsonbIteratorInit(layer->config);
	while ((key = next_key(&it, layer->config, &v)) != NULL)
		pneumo_layers_try(list, layer, key, check_input_key);
}
