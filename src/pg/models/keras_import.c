/*-------------------------------------------------------------------------
 *
 * keras_import.c
 *	  pneumo_import_keras(): a file that Keras wrote becomes a version.
 *
 * Three kinds of files: .keras, a zip file with the network in config.json and
 * the weights in model.weights.h5; the whole model in one HDF5 file, with the
 * network in an attribute; and weights alone, where the config brings the
 * network.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "exchange/hdf5.h"
#include "exchange/zipfile.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_import_keras);

#define MAX_JSON ((size_t) 16 << 20) /* bytes of config.json */

/*
 * A deflated entry takes memory by what it says of itself, and weights by what
 * the network says.  Weights hardly shrink, so that a file that claims to hold
 * more than these times its bytes, and more than MIN_ROOM, is not believed.
 */
#define MAX_RATIO 16
#define MIN_ROOM ((size_t) 64 << 20)

/* What was found in a file. */
typedef struct KerasFile
{
	Jsonb *layers;   /* NULL: weights alone */
	Jsonb *defaults; /* config keys that pneumo_export_keras() left, or NULL */
	char *version;   /* of Keras, or NULL */
	PneumoKerasWeights *weights;
} KerasFile;

/* --------------------------------------------------------------- zip files */

static void
zip_ereport(ZipfileStatus status, const char *name)
{
	switch (status)
	{
		case ZIPFILE_OK:
			return;
		case ZIPFILE_NOT_FOUND:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the .keras file has no entry \"%s\"", name),
							errhint("Save the model with Keras 3, as model.save(\"model.keras\").")));
			break;
		case ZIPFILE_UNSUPPORTED:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("entry \"%s\" of the .keras file is encrypted or compressed in a way other "
							"than deflate",
							name)));
			break;
		case ZIPFILE_TOO_LARGE:
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("entry \"%s\" of the .keras file is too large", name)));
			break;
		case ZIPFILE_INTERRUPTED:
		case ZIPFILE_NOT_ZIP:
		case ZIPFILE_CORRUPT:
			break;
	}
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("the .keras file is damaged: entry \"%s\" cannot be read", name)));
}

/*
 * Reads an entry of at most limit bytes; false with missing_ok if there is none.
 * *data is in the file, or palloc'd if it was compressed.
 */
static bool
read_entry(const uint8_t **data, size_t *n_bytes, const void *bytes, size_t total, const char *name,
		   size_t limit, bool missing_ok)
{
	ZipfileEntry entry;
	ZipfileStatus status = zipfile_find(&entry, bytes, total, name);
	PneumoAttempts attempts;
	void *scratch;
	uint8_t *dst;

	if (status == ZIPFILE_NOT_FOUND && missing_ok)
		return false;
	zip_ereport(status, name);
	if (entry.n_bytes > limit ||
		(entry.deflated && entry.n_bytes > MIN_ROOM && entry.n_bytes / MAX_RATIO > entry.n_stored))
		zip_ereport(ZIPFILE_TOO_LARGE, name);
	dst = entry.deflated ? pneumo_align(pneumo_scratch(entry.n_bytes)) : NULL;
	scratch = palloc(ZIPFILE_SCRATCH_BYTES);
	pneumo_attempts_begin(&attempts);
	do
		status = zipfile_read(data, dst, &entry, scratch, attempts.stop);
	while (status == ZIPFILE_INTERRUPTED && pneumo_attempts_next(&attempts));
	zip_ereport(status, name);
	pfree(scratch);
	*n_bytes = entry.n_bytes;
	return true;
}

/* Returns a text of UTF-8 as JSON; what names it in messages. */
static Jsonb *
parse_json(const char *text, size_t n_bytes, const char *what)
{
	Jsonb *json;

	if (memchr(text, 0, n_bytes) != NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("%s is not JSON", what)));
	json = pneumo_json_parse(pg_any_to_server(pnstrdup(text, n_bytes), (int) n_bytes, PG_UTF8));
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("%s is not a JSON object", what)));
	return json;
}

static Jsonb *
read_json(const void *bytes, size_t n_bytes, const char *name, bool missing_ok)
{
	const uint8_t *data;
	size_t n;

	if (!read_entry(&data, &n, bytes, n_bytes, name, MAX_JSON, missing_ok))
		return NULL;
	return parse_json((const char *) data, n, psprintf("entry \"%s\" of the .keras file", name));
}

static void
read_keras(KerasFile *file, const void *bytes, size_t n_bytes)
{
	Jsonb *metadata = read_json(bytes, n_bytes, "metadata.json", true);
	const uint8_t *data;
	size_t n;

	file->layers = read_json(bytes, n_bytes, "config.json", false);
	if (metadata != NULL)
	{
		JsonbValue *own = pneumo_json_get(&metadata->root, "pneumo");

		file->version = pneumo_json_cstring(pneumo_json_get(&metadata->root, "keras_version"));
		if (pneumo_json_object(own) != NULL)
			file->defaults = JsonbValueToJsonb(own);
	}
	(void) read_entry(&data, &n, bytes, n_bytes, "model.weights.h5", MaxAllocHugeSize, false);
	file->weights = pneumo_keras_weights_open(data, n);
}

/* -------------------------------------------------------------- HDF5 files */

static void
read_hdf5(KerasFile *file, const void *bytes, size_t n_bytes)
{
	char *config;

	file->weights = pneumo_keras_weights_open(bytes, n_bytes);
	config = pneumo_keras_attribute(file->weights, "model_config");
	file->version = pneumo_keras_attribute(file->weights, "keras_version");
	if (config != NULL)
		file->layers = parse_json(config, strlen(config), "attribute \"model_config\" of the file");
}

/* ------------------------------------------------------------------ import */

/* Adds the version of Keras to the network, which means other things in Keras 2. */
static void
add_version(KerasFile *file)
{
	PneumoJson json;

	if (file->layers == NULL || file->version == NULL ||
		pneumo_json_get(&file->layers->root, "keras_version") != NULL)
		return;
	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "keras_version", file->version);
	file->layers = pneumo_json_merge(file->layers, pneumo_json_end(&json));
}

/* What the hooks work on. */
typedef struct Import
{
	PneumoForeign *foreign;
	PneumoKerasWeights *weights;
} Import;

static int
begin_graph(NnGraph *graph, void *arg)
{
	return pneumo_foreign_input(((Import *) arg)->foreign, graph);
}

static void
finish_graph(NnGraph *graph, int output, void *arg)
{
	pneumo_foreign_finish(((Import *) arg)->foreign, graph, output);
}

static int
find_normalization(double *mean, double *variance, const PneumoLayersHooks *hooks,
				   const PneumoKerasLayer *layer)
{
	return pneumo_keras_normalization(mean, variance, ((Import *) hooks->arg)->weights, hooks, layer);
}

/* Refuses a network of more weights than a file can hold, before memory is taken for them. */
static void
check_size(const NnGraph *graph, size_t n_bytes)
{
	size_t needed = nn_graph_weight_count(graph) * sizeof(float);

	if (needed > MIN_ROOM && needed / MAX_RATIO > n_bytes)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the network has %zu weights, more than the file of %zu bytes can hold",
							   nn_graph_weight_count(graph), n_bytes)));
}

/* Builds the network of a file, reads its weights and stores it; returns the version's number. */
static int32
import_file(const void *bytes, size_t n_bytes, const char *name, Jsonb *given)
{
	KerasFile file;
	Import import;
	PneumoLayersHooks hooks;
	PneumoForeignFile origin;
	NnGraph *graph;
	float *weights;

	memset(&file, 0, sizeof(file));
	memset(&hooks, 0, sizeof(hooks));
	if (zipfile_is(bytes, n_bytes))
		read_keras(&file, bytes, n_bytes);
	else if (hdf5_is(bytes, n_bytes))
		read_hdf5(&file, bytes, n_bytes);
	else
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the bytes are not a file of Keras: neither a zip file nor HDF5"),
						errhint("Save the model with Keras, as model.save(\"model.keras\").")));
	add_version(&file);
	if (file.defaults != NULL && JB_ROOT_IS_OBJECT(given))
		given = pneumo_json_merge(file.defaults, given);
	import.weights = file.weights;
	import.foreign = pneumo_foreign_parse(given, file.layers);
	if (file.layers != NULL && import.foreign->has_layers)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"layers\" is for files of weights alone, this file has its network")));
	if (file.layers == NULL && !import.foreign->has_layers)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the file has weights and no network"),
				 errhint("Give the network, model.to_json(), as config key \"layers\", or save the "
						 "model with its network, as model.keras.")));

	hooks.begin = begin_graph;
	hooks.finish = finish_graph;
	hooks.normalization = find_normalization;
	hooks.max_nodes = PNEUMO_FOREIGN_NODES;
	hooks.arg = &import;
	graph = pneumo_layers_graph(import.foreign->config, 0, &hooks);
	check_size(graph, n_bytes);
	weights = pneumo_foreign_weights(import.foreign, graph);
	pneumo_keras_weights_read(weights, file.weights, &hooks, graph);

	origin.format = "keras";
	origin.producer = file.version == NULL ? NULL : psprintf("Keras %s", pneumo_clip(file.version));
	origin.bytes = bytes;
	origin.n_bytes = n_bytes;
	return pneumo_foreign_store(import.foreign, name, graph, weights, &origin);
}

Datum
pneumo_import_keras(PG_FUNCTION_ARGS)
{
	bytea *bytes = DatumGetByteaPP(pneumo_argument(fcinfo, 0));
	char *name = pneumo_text_argument(fcinfo, 1);
	Jsonb *given = pneumo_config_argument(fcinfo, 2);
	MemoryContext cxt;
	MemoryContext old;
	int32 number;

	pneumo_prevent_write("pneumo_import_keras()");
	pneumo_model_check_claim(name, GetUserId());
	cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo import", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	number = import_file(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), name, given);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	PG_RETURN_INT32(number);
}
