/*-------------------------------------------------------------------------
 *
 * summary.c
 *	  What a model is made of, and what this library is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

PG_FUNCTION_INFO_V1(pneumo_summary);
PG_FUNCTION_INFO_V1(pneumo_version);

static void
add_numbers(PneumoJson *json, const char *key, const double *numbers, int n)
{
	int i;

	pneumo_json_open_array(json, key);
	for (i = 0; i < n; i++)
		pneumo_json_add_number(json, NULL, numbers[i], 9);
	pneumo_json_close(json);
}

/* Adds a regulariser as Keras writes it. */
static void
add_regularizer(PneumoJson *json, const char *key, const NnValue *value)
{
	pneumo_json_open_object(json, key);
	pneumo_json_add_string(json, "class_name", "L1L2");
	pneumo_json_open_object(json, "config");
	pneumo_json_add_number(json, "l1", value->v[0], 9);
	pneumo_json_add_number(json, "l2", value->v[1], 9);
	pneumo_json_close(json);
	pneumo_json_close(json);
}

/* Adds a constraint as Keras writes it. */
static void
add_constraint(PneumoJson *json, const char *key, const NnValue *value)
{
	static const char *const names[] = {NULL, "MaxNorm", "NonNeg", "UnitNorm"};
	int kind = (int) value->v[0];
	int i;

	pneumo_json_open_object(json, key);
	pneumo_json_add_string(json, "class_name", names[kind]);
	pneumo_json_open_object(json, "config");
	if (kind == NN_MAX_NORM)
		pneumo_json_add_number(json, "max_value", value->v[1], 9);
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
add_param(PneumoJson *json, const NnParam *param, const NnValue *value)
{
	switch (param->kind)
	{
		case NN_PARAM_INT:
			pneumo_json_add_int(json, param->key, (int64) value->v[0]);
			break;
		case NN_PARAM_FLOAT:
			pneumo_json_add_number(json, param->key, value->v[0], 9);
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
			add_numbers(json, param->key, value->v, 4);
			break;
		case NN_PARAM_INTS:
			add_numbers(json, param->key, value->v, (int) value->v[3]);
			break;
		case NN_PARAM_FLOATS:
			if (value->v[3] == 0)
				pneumo_json_add_number(json, param->key, value->v[0], 9);
			else
				add_numbers(json, param->key, value->v, (int) value->v[3]);
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
			add_regularizer(json, param->key, value);
			break;
		case NN_PARAM_CONSTRAINT:
			add_constraint(json, param->key, value);
			break;
	}
}

static Datum
config_datum(const NnOpInfo *op, const NnNodeInfo *node)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; op->params != NULL && op->params[i].key != NULL; i++)
		if (nn_param_counts(&op->params[i], &node->params[i]))
			add_param(&json, &op->params[i], &node->params[i]);
	return JsonbPGetDatum(pneumo_json_end(&json));
}

static Datum
shape_datum(const NnShape *shape)
{
	Datum dims[3];
	int n = 0;

	if (shape->rank == 3)
	{
		dims[n++] = Int32GetDatum(shape->h);
		dims[n++] = Int32GetDatum(shape->w);
	}
	dims[n++] = Int32GetDatum(shape->c);
	return PointerGetDatum(construct_array(dims, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

/* Converts the name of a layer, which is UTF-8, as pneumo_meta_check_graph() has checked. */
static Datum
name_datum(const char *name)
{
	return CStringGetTextDatum(pg_any_to_server(name, strlen(name), PG_UTF8));
}

static Datum
inputs_datum(const NnGraph *graph, const NnNodeInfo *node)
{
	Datum names[NN_MAX_INPUTS];
	int i;

	for (i = 0; i < node->n_inputs; i++)
	{
		NnNodeInfo input;

		nn_graph_node(&input, graph, node->inputs[i]);
		names[i] = name_datum(input.name);
	}
	return PointerGetDatum(construct_array(names, node->n_inputs, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Reads the graph of a version, without weights; in the current context. */
static NnGraph *
read_graph(int64 version)
{
	size_t n_bytes;
	char *bytes = pneumo_version_read(version, &n_bytes);
	NnModelView view;
	NnError error;
	NnGraph *graph;

	if (nn_model_open(&view, bytes, n_bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	graph = pneumo_align(pneumo_scratch(nn_graph_bytes(view.n_nodes)));
	if (nn_model_graph(graph, &view, bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	pfree(bytes);
	return graph;
}

/* Returns the id of the version to show.  Any privilege on its model is enough, as for the views. */
static int64
visible_version(const char *name, bool deployed, int64 number)
{
	static const PneumoPrivilege order[] = {PNEUMO_PREDICT, PNEUMO_MANAGE, PNEUMO_EXPORT};
	Snapshot snapshot = pneumo_read_snapshot();
	PneumoPrivilege privilege = PNEUMO_PREDICT;
	PneumoVersionId id;
	int64 model;
	size_t i;

	for (i = 0; i < lengthof(order); i++)
	{
		if (pneumo_model_has(name, order[i], GetUserId(), snapshot))
		{
			privilege = order[i];
			break;
		}
	}
	model = pneumo_model_lookup_snapshot(name, privilege, GetUserId(), false, snapshot);
	UnregisterSnapshot(snapshot);
	if (deployed)
		pneumo_require_deployed(name, model, &id);
	else
		pneumo_version_numbered(name, model, number, &id);
	return id.version;
}

Datum
pneumo_summary(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 version = visible_version(name, PG_NARGS() < 2, PG_NARGS() < 2 ? 0 : PG_GETARG_INT64(1));
	NnGraph *graph = read_graph(version);
	int i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo node;
		const NnOpInfo *op;
		Datum values[7];
		bool nulls[7] = {false};

		nn_graph_node(&node, graph, i);
		op = nn_op_info(node.op);
		values[0] = name_datum(node.name);
		values[1] = CStringGetTextDatum(op->class_name);
		values[2] = shape_datum(&node.shape);
		values[3] = Int64GetDatum((int64) node.n_weights);
		values[4] = Int64GetDatum((int64) node.n_trainable);
		values[5] = inputs_datum(graph, &node);
		values[6] = config_datum(op, &node);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
pneumo_version(PG_FUNCTION_ARGS)
{
	TupleDesc desc;
	Datum values[4];
	bool nulls[4] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pneumo_version must return a row");
	values[0] = CStringGetTextDatum(PNEUMO_VERSION);
	values[1] = CStringGetTextDatum(pneumo_build());
	values[2] = CStringGetTextDatum(nn_path_name(pneumo_path()));
	values[3] = CStringGetTextDatum(pneumo_blas_version());
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
