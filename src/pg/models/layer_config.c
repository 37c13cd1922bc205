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
	}
}

void
pneumo_layer_param(PneumoJson *json, const NnNodeInfo *node, int i, int digits)
{
	const NnParam *param = &nn_op_info(node->op)->params[i];

	if (nn_param_counts(param, &node->params[i]))
		add_param(json, param, &node->params[i], digits);
}
