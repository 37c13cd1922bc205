/*-------------------------------------------------------------------------
 *
 * dry_run.c
 *	  pneumo_plan: a training's dry run.
 *
 * The same checks and the same reading as pneumo_train, but the images are
 * only hashed (the splits and the duplicate rules need that), and the speed is
 * guessed from a few forward passes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/config/config.h"
#include "pg/source/source.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_plan);

enum
{
	COL_MODEL,
	COL_CLASSES,
	COL_ROWS,
	COL_GROUPS,
	COL_LEFT_OUT,
	COL_LAYERS,
	COL_PARAMETERS,
	COL_IMAGE_SIZE,
	COL_BATCH_SIZE,
	COL_STEPS,
	COL_EPOCHS,
	COL_THREADS,
	COL_MEMORY,
	COL_DISK,
	COL_SECONDS,
	COL_WARNINGS,
	N_COLS
};

#define MEASURE_SECONDS 0.3
#define MEASURE_ROWS 8    /* samples together, as in a batch: few read the weights once each */
#define BACKWARD_COST 3.0 /* a training step in forward passes */

/* Fills pixels with noise: the time of a forward pass depends on how many activations are 0. */
static void
fill_pixels(float *pixels, size_t n)
{
	pg_prng_state state;
	size_t i;

	pg_prng_seed(&state, 1);
	for (i = 0; i < n; i++)
	{
		pixels[i] = (float) pg_prng_double(&state);
		if (i % (1024 * 1024) == 0)
			CHECK_FOR_INTERRUPTS();
	}
}

/* Returns the seconds that one sample of a batch of rows takes forward, on one core; NaN if unknown. */
static double
forward_seconds(const PneumoPrepared *prepared)
{
	const NnGraph *graph = prepared->graph;
	const ImgPreprocess *pre = &prepared->config->preprocess;
	NnEngine engine;
	NnError error;
	size_t n_weights = nn_graph_weight_count(graph);
	size_t packed_bytes = nn_engine_packed_bytes(graph, pneumo_path(), NN_PRECISION_FLOAT32);
	size_t pixels = (size_t) pre->height * pre->width * pre->channels;
	size_t scratch_bytes;
	float *weights;
	void *packed;
	float *src;
	void *scratch;
	float probabilities[MEASURE_ROWS * NN_MAX_CLASSES];
	double room;
	double start;
	double seconds;
	int rows = MEASURE_ROWS;
	int passes = 0;

	if (packed_bytes == 0)
		return NAN;
	memset(&engine, 0, sizeof(engine));
	engine.graph = graph;
	engine.path = pneumo_path();
	engine.precision = NN_PRECISION_FLOAT32;
	room = (double) pneumo_predict_memory * 1024 - (double) n_weights * sizeof(float) - (double) packed_bytes;
	while ((scratch_bytes = nn_engine_scratch_bytes(&engine, rows)) == 0 ||
		   (double) scratch_bytes + (double) rows * pixels * sizeof(float) > room)
	{
		rows /= 2;
		if (rows == 0)
			return NAN;
	}
	weights = pneumo_align(pneumo_scratch(n_weights * sizeof(float)));
	packed = pneumo_align(pneumo_scratch(packed_bytes));
	src = pneumo_align(pneumo_scratch(rows * pixels * sizeof(float)));
	fill_pixels(src, rows * pixels);
	if (nn_weights_init(weights, graph, 0, &InterruptPending) != NN_OK ||
		nn_engine_pack(packed, graph, weights, pneumo_path(), NN_PRECISION_FLOAT32, &InterruptPending,
					   &error) != NN_OK)
	{
		CHECK_FOR_INTERRUPTS();
		return NAN;
	}
	engine.weights = weights;
	engine.packed = packed;
	scratch = pneumo_align(pneumo_scratch(scratch_bytes));

	start = pneumo_seconds();
	do
	{
		if (nn_engine_run(probabilities, NULL, NULL, src, rows, &engine, scratch, &InterruptPending) != NN_OK)
		{
			CHECK_FOR_INTERRUPTS();
			return NAN;
		}
		passes++;
		seconds = pneumo_seconds() - start;
	} while (seconds < MEASURE_SECONDS && passes < 1000);
	return seconds / passes / rows;
}

static Datum
text_array(List *texts)
{
	Datum *values = palloc(sizeof(Datum) * Max(1, list_length(texts)));
	ListCell *lc;
	int n = 0;

	foreach (lc, texts)
		values[n++] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
pneumo_plan(PG_FUNCTION_ARGS)
{
	PneumoPrepared *prepared;
	PneumoConfig *config;
	PneumoDataset *dataset;
	PneumoReading reading;
	NnTrainData data;
	TupleDesc desc;
	Datum values[N_COLS];
	bool nulls[N_COLS] = {false};
	Datum size[2];
	List *warnings;
	List *classes = NIL;
	ListCell *lc;
	size_t fixed;
	size_t allowed = (size_t) pneumo_train_memory * 1024;
	size_t pixels;
	size_t stored;
	double forward;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	prepared =
		pneumo_prepare(DatumGetObjectId(pneumo_argument(fcinfo, 0)), pneumo_config_argument(fcinfo, 1));
	config = prepared->config;

	memset(&reading, 0, sizeof(reading));
	reading.n_classes = prepared->labels.n;
	reading.classes = prepared->classes;
	dataset = pneumo_dataset_read(prepared->source, config, &reading);
	ereport(NOTICE, (errmsg("%s", pneumo_dataset_summary(dataset))));
	if (prepared->initial_note != NULL)
		ereport(NOTICE, (errmsg("%s", prepared->initial_note)));
	warnings = pneumo_dataset_require(dataset, config);
	foreach (lc, warnings)
		ereport(WARNING, (errmsg("%s", (char *) lfirst(lc))));
	if (dataset->split_rows[PNEUMO_VALIDATION] == 0)
		pneumo_prepare_no_validation(config);
	pneumo_fit_check_groups(config, dataset);

	memset(&data, 0, sizeof(data));
	data.n[NN_TRAIN] = (size_t) dataset->split_rows[PNEUMO_TRAIN];
	data.n[NN_VALIDATION] = (size_t) dataset->split_rows[PNEUMO_VALIDATION];
	data.load_scratch_bytes = pneumo_loader_scratch_bytes(config);
	pneumo_prepare_no_labels(&data, config);
	pneumo_prepare_plan(prepared, &data);
	fixed = prepared->plan.state_bytes + prepared->plan.work_bytes;
	pixels = (size_t) config->preprocess.height * config->preprocess.width * config->preprocess.channels *
			 (data.n[NN_TRAIN] + data.n[NN_VALIDATION]);
	stored = Min(pixels, allowed - fixed);

	for (i = 0; i < dataset->n_classes; i++)
		classes = lappend(classes, dataset->classes[i]);
	size[0] = Int32GetDatum(config->preprocess.height);
	size[1] = Int32GetDatum(config->preprocess.width);
	forward = forward_seconds(prepared);

	values[COL_MODEL] = CStringGetTextDatum(config->preset ? config->preset : "layers");
	values[COL_CLASSES] = text_array(classes);
	values[COL_ROWS] = JsonbPGetDatum(pneumo_dataset_counts_json(dataset, false));
	values[COL_GROUPS] = JsonbPGetDatum(pneumo_dataset_counts_json(dataset, true));
	nulls[COL_GROUPS] = dataset->group_keys == NULL;
	values[COL_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(dataset));
	values[COL_LAYERS] = Int32GetDatum(nn_graph_node_count(prepared->graph) - 1);
	values[COL_PARAMETERS] = Int64GetDatum((int64) nn_graph_weight_count(prepared->graph));
	values[COL_IMAGE_SIZE] = PointerGetDatum(construct_array(size, 2, INT4OID, 4, true, TYPALIGN_INT));
	values[COL_BATCH_SIZE] = Int32GetDatum(config->train.batch_size);
	values[COL_STEPS] = Int64GetDatum(
		config->train.steps_per_epoch > 0
			? config->train.steps_per_epoch
			: (int64) ((data.n[NN_TRAIN] + config->train.batch_size - 1) / config->train.batch_size));
	values[COL_EPOCHS] = Int32GetDatum(config->train.epochs);
	values[COL_THREADS] = Int32GetDatum(prepared->threads);
	values[COL_MEMORY] = Int64GetDatum((int64) (fixed + stored));
	values[COL_DISK] = Int64GetDatum((int64) (pixels - stored));
	values[COL_SECONDS] =
		Float8GetDatum(forward / Max(1, Min(prepared->threads, cores)) *
					   (BACKWARD_COST * (double) data.n[NN_TRAIN] + (double) data.n[NN_VALIDATION]));
	nulls[COL_SECONDS] = isnan(forward);
	values[COL_WARNINGS] = text_array(warnings);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
