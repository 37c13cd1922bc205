/*-------------------------------------------------------------------------
 *
 * layer_config.c
 *	  The parameters of a node as Keras writes a layer's config.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/models/models.h"

static void
add_numbers(PneumoJson *json, const char *key, const double *numbers, int n, int digits)
{
	int i;

	pneumo_json_open_array(json, key);
	for (i = 0; i < n; i++)
		pneumo_json_add_number(json, NULL, numbers[i], digits);
	pneumo_json_close(json);
}

/* Adds a regulariser as Keras writes it. */
static void
add_regularizer(PneumoJson *json, const char *key, const NnValue *value, int digits)
{
	pneumo_json_open_object(json, key);
	pneumo_json_add_string(json, "class_name", "L1L2");
	pneumo_json_open_object(json, "config");
	pneumo_json_add_number(json, "l1", value->v[0], digits);
	pneumo_json_add_number(json, "l2", value->v[1], digits);
	pneumo_json_close(json);
	pneumo_json_close(json);
}

/* Adds a constraint as Keras writes it. */
static void
add_constraint(PneumoJson *json, const char *key, const NnValue *value, int digits)
{
	static const char *const names[] = {NULL, "MaxNorm", "NonNeg", "UnitNorm"};
	int kind = (int) value->v[0];
	int i;

	pneumo_json_open_object(json, key);
	pneumo_json_add_string(json, "class_name", names[kind]);
	pneumo_json_open_object(json, "config");
	if (kind == NN_MAX_NORM)
		pneumo_json_add_number(json, "max_value", value->v[1], digits);
	if (kind != NN_NON_NEG)
	{
		pneumo_json_open_array(json, "axis");
		for (i = 0; i < 4; i++)
			if ((int) value->v[2] >> i & 1)
				pneumo_json_add_int(json, NULL, i);
		pneumo_json_close(json);
	}
	pneumo_json_close(json);
	pneumo_json_close(json);
}

/* Adds one parameter as Keras writes it; leaves out what has no short form. */
static void
add_param(PneumoJson *json, const NnParam *param, const NnValue *value, int digits)
{
	switch (param->kind)
	{
		case NN_PARAM_INT:
			pneumo_json_add_int(json, param->key, (int64) value->v[0]);
			break;
		case NN_PARAM_FLOAT:
			pneumo_json_add_number(json, param->key, value->v[0], digits);
			break;
		case NN_PARAM_BOOL:
			pneumo_json_add_bool(json, param->key, value->v[0] != 0);
			break;
		case NN_PARAM_INT_PAIR:
			/* strides of pooling that follow pool_size are null in Keras */
			if (value->v[0] == 0)
				pneumo_json_add_string(json, param->key, NULL);
			else
			{
				pneumo_json_open_array(json, param->key);
				pneumo_json_add_int(json, NULL, (int64) value->v[0]);
				pneumo_json_add_int(json, NULL, (int64) value->v[1]);
				pneumo_json_close(json);
			}
			break;
		case NN_PARAM_BORDER:
			add_numbers(json, param->key, value->v, 4, digits);
			break;
		case NN_PARAM_INTS:
			add_numbers(json, param->key, value->v, (int) value->v[3], digits);
			break;
		case NN_PARAM_FLOATS:
			if (value->v[3] == 0)
				pneumo_json_add_number(json, param->key, value->v[0], digits);
			else
				add_numbers(json, param->key, value->v, (int) value->v[3], digits);
			break;
		case NN_PARAM_ENUM:
			pneumo_json_add_string(json, param->key, param->names[(int) value->v[0]]);
			break;
		case NN_PARAM_ACTIVATION:
			pneumo_json_add_string(json, param->key, nn_activation_names[(int) value->v[0]]);
			break;
		case NN_PARAM_INITIALIZER:
			break; /* of no matter once there are weights */
		case NN_PARAM_REGULARIZER:
			add_regularizer(json, param->key, value, digits);
			break;
		case NN_PARAM_CONSTRAINT:
			add_constraint(json, param->key, value, digits);
			break;
	}
}

void
pneumo_layer_param(PneumoJson *json, const NnNodeInfo *node, int i, int digits)
{
	const NnParam *param = &nn_op_info(node->op)->params[i];

	if (nn_param_counts(param, &node->params[i]))
		add_param(json, param, &node->params[i], digits);
}
