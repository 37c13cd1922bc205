/*-------------------------------------------------------------------------
 *
 * onnx_import.c
 *	  pneumo_import_onnx(): an ONNX file becomes a version.
 *
 * src/exchange reads the bytes and turns the network into one of src/nn; what
 * is done to images and to logits is foreign.c's.  A file of pneumo_export_onnx()
 * says by itself how its images are prepared, and what the classes are called.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "exchange/onnx.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_import_onnx);

#define BASE_MEMORY ((size_t) 256 << 20) /* what reading any file may take, apart from its size */

/* Config keys that a file may bring; its properties have PNEUMO_ONNX_PREFIX before them. */
static const char *const property_keys[] = {"image_size", "interpolation", "rescale", "classes",
											"threshold",  "multi_label",   NULL};

void *
pneumo_onnx_allocate(void *arg, size_t n_bytes)
{
	void *memory = MemoryContextAllocExtended(arg, n_bytes + NN_ALIGN, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);

	return memory == NULL ? NULL : pneumo_align(memory);
}

void
pneumo_onnx_ereport(OnnxStatus status, const OnnxProblems *problems, const char *what)
{
	int sqlstate = status == ONNX_CORRUPT     ? ERRCODE_DATA_CORRUPTED
				   : status == ONNX_TOO_LARGE ? ERRCODE_PROGRAM_LIMIT_EXCEEDED
				   : status == ONNX_NO_MEMORY ? ERRCODE_OUT_OF_MEMORY
											  : ERRCODE_FEATURE_NOT_SUPPORTED;
	int more = problems->n - ONNX_MAX_PROBLEMS;

	if (problems->n == 1)
		ereport(ERROR, (errcode(sqlstate), errmsg("%s: %s", what, problems->text),
						problems->hint[0] != '\0' ? errhint("%s", problems->hint) : 0));
	ereport(ERROR,
			(errcode(sqlstate), errmsg("%s, for %d reasons", what, problems->n),
			 more > 0 ? errdetail("%s\nand %d more", problems->text, more) : errdetail("%s", problems->text),
			 problems->hint[0] != '\0' ? errhint("%s", problems->hint) : 0));
}

/* Returns the config of an import with what the file itself says under it. */
static Jsonb *
with_properties(const OnnxFile *file, Jsonb *given)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; property_keys[i] != NULL; i++)
	{
		char *key = psprintf("%s%s", PNEUMO_ONNX_PREFIX, property_keys[i]);
		const char *value = onnx_property(file, key);

		if (value != NULL)
			pneumo_json_add_jsonb(&json, property_keys[i],
								  pneumo_json_parse(pg_any_to_server(value, strlen(value), PG_UTF8)));
	}
	return pneumo_json_merge(pneumo_json_end(&json), given);
}

/* Sets one size of the images: the file's, or where it leaves it open the config's. */
static void
set_size(int *size, bool given, int of_file, const char *which)
{
	if (given && of_file > 0 && *size != of_file)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"image_size\": the %s is %d, the network takes %d", which, *size,
							   of_file)));
	if (!given && of_file == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the ONNX network leaves the %s of its images open", which),
						errhint("Set config key \"image_size\" to [height, width].")));
	if (of_file > 0)
		*size = of_file;
}

/* Sets what the images are, from the file and the config. */
static void
set_images(PneumoConfig *config, const OnnxSummary *summary)
{
	if (summary->channels != 0 && summary->channels != 1 && summary->channels != 3)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the ONNX network takes images of %d channels", summary->channels),
						errdetail("Images have one channel or three.")));
	if (config->color_mode_given && summary->channels > 0 && config->preprocess.channels != summary->channels)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"color_mode\": the network takes %d channel%s", summary->channels,
							   summary->channels == 1 ? "" : "s")));
	if (!config->color_mode_given && summary->channels == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the ONNX network leaves the channels of its images open"),
						errhint("Set config key \"color_mode\" to \"grayscale\" or \"rgb\".")));
	if (summary->channels > 0)
		config->preprocess.channels = summary->channels;
	set_size(&config->preprocess.height, config->image_size_given, summary->height, "height");
	set_size(&config->preprocess.width, config->image_size_given, summary->width, "width");
}

/* What is made of a file. */
typedef struct Import
{
	PneumoForeign *foreign;
	NnGraph *graph;
	OnnxNetwork *network;
	OnnxSummary summary;
} Import;

/* Reads the file and builds the graph, unfinished. */
static OnnxStatus
build(Import *import, bytea *bytes, Jsonb *given, const OnnxEnv *env, OnnxProblems *problems)
{
	OnnxFile *file;
	NnError error;
	int node;
	OnnxStatus status = onnx_read(&file, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), env, problems);

	if (status != ONNX_OK)
		return status;
	onnx_summary(&import->summary, file);
	import->foreign = pneumo_foreign_parse(with_properties(file, given), NULL);
	if (import->foreign->has_layers)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"layers\" is not for ONNX: the file has the network")));
	set_images(import->foreign->config, &import->summary);
	memset(&error, 0, sizeof(error));
	import->graph = pneumo_align(pneumo_scratch(nn_graph_bytes(NN_MAX_NODES)));
	if (nn_graph_begin(import->graph, NN_MAX_NODES, import->foreign->config->preprocess.height,
					   import->foreign->config->preprocess.width,
					   import->foreign->config->preprocess.channels, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	node = pneumo_foreign_input(import->foreign, import->graph);
	return onnx_network(&import->network, import->graph, node, file, problems);
}

/* Returns who wrote the file, for the provenance, in ASCII; NULL if it does not say. */
static char *
producer(const OnnxSummary *summary)
{
	char *text = psprintf("%.100s %.40s", summary->producer, summary->producer_version);
	char *at;

	for (at = text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	while (at > text && at[-1] == ' ')
		*--at = '\0';
	return text[0] == '\0' ? NULL : text;
}

Datum
pneumo_import_onnx(PG_FUNCTION_ARGS)
{
	bytea *bytes = DatumGetByteaPP(pneumo_argument(fcinfo, 0));
	char *name = pneumo_text_argument(fcinfo, 1);
	Jsonb *given = pneumo_config_argument(fcinfo, 2);
	MemoryContext cxt;
	MemoryContext old;
	PneumoAttempts attempts;
	PneumoForeignFile origin;
	OnnxProblems problems;
	OnnxStatus status;
	OnnxEnv env;
	Import import;
	float *weights;
	int32 number;

	pneumo_prevent_write("pneumo_import_onnx()");
	cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo ONNX import", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	memset(&import, 0, sizeof(import));
	env.allocate = pneumo_onnx_allocate;
	env.arg = cxt;
	env.max_bytes = BASE_MEMORY + 4 * (size_t) VARSIZE_ANY_EXHDR(bytes);
	pneumo_attempts_begin(&attempts);
	do
	{
		MemoryContextReset(cxt);
		env.stop = attempts.stop;
		status = build(&import, bytes, given, &env, &problems);
	} while (status == ONNX_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != ONNX_OK)
		pneumo_onnx_ereport(status, &problems, "the ONNX network cannot be imported");
	pneumo_foreign_finish(import.foreign, import.graph, onnx_network_output(import.network));
	weights = pneumo_foreign_weights(import.foreign, import.graph);
	do
		status = onnx_network_weights(weights, import.graph, import.network, attempts.stop, &problems);
	while (status == ONNX_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != ONNX_OK)
		pneumo_onnx_ereport(status, &problems, "the ONNX network cannot be imported");
	origin.format = "onnx";
	origin.producer = producer(&import.summary);
	origin.bytes = VARDATA_ANY(bytes);
	origin.n_bytes = VARSIZE_ANY_EXHDR(bytes);
	number = pneumo_foreign_store(import.foreign, name, import.graph, weights, &origin);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	PG_FREE_IF_COPY(bytes, 0);
	PG_RETURN_INT32(number);
}
