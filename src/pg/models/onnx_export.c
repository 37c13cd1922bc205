/*-------------------------------------------------------------------------
 *
 * onnx_export.c
 *	  pneumo_export_onnx(): a version as an ONNX file.
 *
 * The file holds the network as it is.  What else decides a score, images and
 * classes, is in its properties, so that pneumo_import_onnx() and people who run
 * the file elsewhere find it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "exchange/onnx.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_export_onnx);

#define MAX_PROPERTIES 16
#define PIECE ((size_t) 4 << 20) /* floats that are copied between two looks for interrupts */

static const char *const option_keys[] = {"preprocessing", "calibration", NULL};

typedef struct Options
{
	bool preprocessing; /* "rescale" is part of the graph */
	bool calibration;
} Options;

static bool
read_option(Jsonb *given, const char *key)
{
	JsonbValue *value = pneumo_json_get(&given->root, key);

	return !pneumo_json_is_null(value) && pneumo_json_read_bool(psprintf("option \"%s\"", key), value);
}

static Options
read_options(Jsonb *given)
{
	Options options;
	const char *unknown;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the options must be a JSON object")));
	unknown = pneumo_json_unknown_key(&given->root, option_keys);
	if (unknown != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown option \"%s\"", unknown),
						errdetail("Options are %s.", pneumo_list_names(option_keys)),
						pneumo_hint_nearest(unknown, option_keys)));
	options.preprocessing = read_option(given, "preprocessing");
	options.calibration = read_option(given, "calibration");
	return options;
}

/* A number as the shortest text that is read back as the same. */
static char *
number_text(double number)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(number, text);
	return pstrdup(text);
}

/* The same for a number that is a float32. */
static char *
float_text(float number)
{
	char text[FLOAT_SHORTEST_DECIMAL_LEN];

	float_to_shortest_decimal_buf(number, text);
	return pstrdup(text);
}

/* Ends an object of one key, and returns the key's value as text. */
static char *
end_value(PneumoJson *json)
{
	char *object = pneumo_json_end_text(json);
	char *value = strchr(object, ':') + 1;

	return pnstrdup(value, strrchr(value, '}') - value);
}

static char *
classes_text(const PneumoModelMeta *meta)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_foreign_add_classes(&json, meta);
	return end_value(&json);
}

static char *
threshold_text(const PneumoModelMeta *meta)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_foreign_add_threshold(&json, meta, 17);
	return end_value(&json);
}

/* Returns the calibration as a JSON object. */
static char *
calibration_text(const PneumoModelMeta *meta)
{
	if (meta->calibration == PNEUMO_CALIBRATION_PLATT)
		return psprintf("{\"kind\": \"platt\", \"a\": %s, \"b\": %s}", number_text(meta->calibration_a),
						number_text(meta->calibration_b));
	if (meta->calibration == PNEUMO_CALIBRATION_TEMPERATURE)
		return psprintf("{\"kind\": \"temperature\", \"temperature\": %s}", number_text(meta->calibration_a));
	return "null";
}

static void
put_property(OnnxExport *export, OnnxProperty *properties, const char *key, const char *value)
{
	properties[export->n_properties].key = psprintf("%s%s", PNEUMO_ONNX_PREFIX, key);
	properties[export->n_properties++].value = pneumo_utf8(value);
}

/* Fills what the file says of itself. */
static void
fill_export(OnnxExport *export, OnnxProperty *properties, const char *name, const PneumoVersionId *id,
			const PneumoModelMeta *meta, const Options *options)
{
	/* by ImgInterpolation; the keys of the config */
	static const char *const interpolations[] = {"\"area\"", "\"bilinear\""};

	memset(export, 0, sizeof(*export));
	export->name = "pneumo";
	export->producer_version = PNEUMO_VERSION;
	export->rescale = options->preprocessing ? meta->rescale : 1;
	if (options->calibration && meta->calibration != PNEUMO_CALIBRATION_NONE && meta->multi_label)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the calibrations of findings cannot be part of an ONNX graph"),
						errhint("Leave out option \"calibration\"; column findings of pneumo.versions has "
								"the numbers.")));
	if (options->calibration && meta->calibration != PNEUMO_CALIBRATION_NONE)
	{
		export->calibration = meta->calibration == PNEUMO_CALIBRATION_PLATT ? ONNX_CALIBRATION_PLATT
																			: ONNX_CALIBRATION_TEMPERATURE;
		export->calibration_a = meta->calibration_a;
		export->calibration_b = meta->calibration_b;
	}
	export->properties = properties;
	put_property(export, properties, "model", name);
	put_property(export, properties, "version", psprintf("%d", id->number));
	put_property(export, properties, "sha256", pneumo_sha256_hex(id->sha256));
	put_property(export, properties, "image_size",
				 psprintf("[%d, %d]", meta->preprocess.height, meta->preprocess.width));
	put_property(export, properties, "color_mode",
				 meta->preprocess.channels == 1 ? "\"grayscale\"" : "\"rgb\"");
	put_property(export, properties, "interpolation", interpolations[meta->preprocess.interpolation]);
	put_property(export, properties, "rescale", options->preprocessing ? "1" : float_text(meta->rescale));
	put_property(export, properties, "classes", classes_text(meta));
	if (meta->multi_label)
		put_property(export, properties, "multi_label", "true");
	put_property(export, properties, "threshold",
				 meta->multi_label ? threshold_text(meta) : number_text(meta->threshold));
	if (!meta->multi_label)
		put_property(export, properties, "calibration", calibration_text(meta));
	put_property(export, properties, "calibration_in_graph", options->calibration ? "true" : "false");
}

/* Returns the graph and, aligned, the weights of stored model bytes. */
static NnGraph *
open_model(const char *bytes, size_t n_bytes, float **weights, PneumoModelMeta **meta)
{
	NnModelView view;
	NnError error;
	NnGraph *graph;
	size_t at;

	if (nn_model_open(&view, bytes, n_bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	graph = pneumo_align(pneumo_scratch(nn_graph_bytes(view.n_nodes)));
	if (nn_model_graph(graph, &view, bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	*meta = pneumo_meta_from_view(&view, CurrentMemoryContext);
	*weights = pneumo_align(pneumo_scratch(view.n_weights * sizeof(float)));
	/* in pieces, as the copy of a large network takes long */
	for (at = 0; at < view.n_weights; at += PIECE)
	{
		CHECK_FOR_INTERRUPTS();
		memcpy(*weights + at, bytes + view.weights_offset + at * sizeof(float),
			   Min(PIECE, view.n_weights - at) * sizeof(float));
	}
	return graph;
}

Datum
pneumo_export_onnx(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	int64 model = pneumo_model_lookup(name, PNEUMO_EXPORT, GetUserId(), false);
	Options options = read_options(pneumo_config_argument(fcinfo, 2));
	OnnxProperty properties[MAX_PROPERTIES];
	MemoryContext cxt;
	MemoryContext old;
	PneumoAttempts attempts;
	PneumoVersionId id;
	PneumoModelMeta *meta;
	OnnxProblems problems;
	OnnxStatus status;
	OnnxExport export;
	OnnxOutput *output;
	OnnxEnv env;
	NnGraph *graph;
	float *weights;
	char *bytes;
	size_t n_bytes;
	bytea *result;

	if (!PG_ARGISNULL(1))
		pneumo_version_numbered(name, model, PG_GETARG_INT64(1), &id);
	else
		pneumo_require_deployed(name, model, &id);
	cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo ONNX export", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	bytes = pneumo_version_read(id.version, &n_bytes);
	graph = open_model(bytes, n_bytes, &weights, &meta);
	pfree(bytes);
	fill_export(&export, properties, name, &id, meta, &options);
	env.allocate = pneumo_onnx_allocate;
	env.arg = cxt;
	env.max_bytes = 0;
	env.stop = NULL; /* the plan of the file is quick, whatever the network is */
	status = onnx_plan_output(&output, &n_bytes, graph, weights, &export, &env, &problems);
	if (status != ONNX_OK)
		pneumo_onnx_ereport(status, &problems, "the version cannot be exported to ONNX");
	if (n_bytes > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("version %d of model \"%s\" has %zu bytes as ONNX, more than a bytea holds",
							   id.number, name, n_bytes)));
	MemoryContextSwitchTo(old);
	result = palloc(VARHDRSZ + n_bytes);
	SET_VARSIZE(result, VARHDRSZ + n_bytes);
	pneumo_attempts_begin(&attempts);
	do
		status = onnx_write(VARDATA(result), output, attempts.stop);
	while (status == ONNX_INTERRUPTED && pneumo_attempts_next(&attempts));
	MemoryContextDelete(cxt);
	PG_RETURN_BYTEA_P(result);
}
