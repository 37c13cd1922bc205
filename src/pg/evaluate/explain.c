/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  pneumo_heatmap and pneumo_explain: where a score comes from.
 *
 * Both methods read the last feature map A that is on every path to the output
 * (nn_graph_map_node(): the last convolution with its activation, or the sum
 * with the skip path in a residual network) and the gradient G of the explained
 * class's logit by it:
 *
 *	hirescam	map(y, x) = sum over c of G(y, x, c) A(y, x, c)
 *				(Draelos and Carin, "Use HiResCAM instead of Grad-CAM for
 *				faithful explanations", 2020)
 *	gradcam		map(y, x) = sum over c of mean(G(., ., c)) A(y, x, c)
 *				(Selvaraju et al., ICCV 2017), with its sign: no ReLU
 *
 * Where only linear layers, pooling and ReLU without bias follow the map, the
 * values of hirescam sum to the logit: each says how much its place adds.  With
 * global average pooling the two agree.  With a dense head, where every place
 * has weights of its own, the averaged gradient mixes places that speak for and
 * against, which is why hirescam is the default.
 *
 * Logits are the network's own, before calibration.  Two classes: the log-odds
 * of the explained class, so that the map of the other class is this one
 * negated.  More: the logit of the class.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine.h"
#include "pg/evaluate/evaluate.h"
#include "pg/predict/predict.h"

PG_FUNCTION_INFO_V1(pneumo_heatmap);
PG_FUNCTION_INFO_V1(pneumo_explain);

#define DEFAULT_OPACITY 0.6
#define MAX_SCALE 1e6

enum
{
	COL_HEIGHT,
	COL_WIDTH,
	COL_CLASS,
	COL_METHOD,
	COL_MAX_ABS,
	COL_EMPTY,
	COL_MAP,
	N_COLS
};

static const char *const methods[] = {"hirescam", "gradcam", NULL};
static const char *const option_keys[] = {"class", "method", "scale", "opacity", NULL};

/* ------------------------------------------------------------------ options */

void
pneumo_map_options(PneumoMapOptions *options, Jsonb *config)
{
	JsonbValue *value;

	memset(options, 0, sizeof(*options));
	options->method = PNEUMO_MAP_HIRESCAM;
	options->opacity = DEFAULT_OPACITY;
	if (config == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(config))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the config must be a JSON object")));
	pneumo_json_check_keys(&config->root, "", option_keys);
	value = pneumo_json_get(&config->root, "class");
	if (!pneumo_json_is_null(value))
		options->class_name = pneumo_json_read_string("config key \"class\"", value);
	value = pneumo_json_get(&config->root, "method");
	if (!pneumo_json_is_null(value))
		options->method = (PneumoMapMethod) pneumo_json_read_enum("config key \"method\"", value, methods);
	value = pneumo_json_get(&config->root, "scale");
	if (!pneumo_json_is_null(value))
	{
		options->scale = pneumo_json_read_number("config key \"scale\"", value, 0, MAX_SCALE);
		if (options->scale == 0)
			pneumo_json_bad("config key \"scale\"", value, "a number of logits above 0");
	}
	value = pneumo_json_get(&config->root, "opacity");
	if (!pneumo_json_is_null(value))
		options->opacity = pneumo_json_read_number("config key \"opacity\"", value, 0, 1);
}

static int
find_class(const PneumoModelMeta *meta, const char *name)
{
	const char *names[NN_MAX_CLASSES + 1];
	int i;

	for (i = 0; i < meta->n_classes; i++)
	{
		if (strcmp(meta->classes[i], name) == 0)
			return i;
		names[i] = meta->classes[i];
	}
	names[i] = NULL;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the model has no %s \"%s\"", meta->multi_label ? "finding" : "class", name),
					errdetail("It can be %s.", pneumo_list_names(names))));
	return -1;
}

/* ---------------------------------------------------------------------- map */

/* Returns the node whose output is explained; errors if the network has no convolution. */
static int
find_map_node(const NnGraph *graph)
{
	int node = nn_graph_map_node(graph);

	if (node < 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "the model's network has no convolution, so there is no map of where its score comes from"),
			 errdetail(
				 "A map shows the last feature map of the convolutions, times its effect on the score.")));
	return node;
}

/* The passes through the network that make one map: their buffers, and the sum of their maps. */
typedef struct Passes
{
	PneumoScorer *scorer;
	int node; /* of the convolution */
	size_t places;
	int channels;
	PneumoMapMethod method;
	void *memory[3];   /* of the buffers below, which are aligned */
	float *activation; /* [places][channels] */
	float *gradient;
	void *scratch;
	double *sums; /* [places] */
} Passes;

/* Checks that the passes are possible and within the limit of memory, and allocates their buffers. */
static void
begin_passes(Passes *passes, PneumoScorer *scorer, int node, const NnNodeInfo *info, PneumoMapMethod method)
{
	size_t places = (size_t) info->shape.h * info->shape.w;
	size_t floats = places * info->shape.c;
	size_t scratch_bytes = nn_explain_scratch_bytes(&scorer->engine->engine);

	if (scratch_bytes == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large to be explained")));
	pneumo_check_memory("explaining this model's score",
						(double) scratch_bytes + 2.0 * floats * sizeof(float) +
							(double) places * (sizeof(float) + sizeof(double)));
	if (scorer->explain == NULL)
		scorer->explain = pneumo_engine_get_explain(&scorer->engine->id, scorer->path, scorer->cxt);
	passes->scorer = scorer;
	passes->node = node;
	passes->places = places;
	passes->channels = info->shape.c;
	passes->method = method;
	passes->memory[0] = pneumo_scratch(floats * sizeof(float));
	passes->memory[1] = pneumo_scratch(floats * sizeof(float));
	passes->memory[2] = pneumo_scratch(scratch_bytes);
	passes->activation = pneumo_align(passes->memory[0]);
	passes->gradient = pneumo_align(passes->memory[1]);
	passes->scratch = pneumo_align(passes->memory[2]);
	passes->sums = palloc0(places * sizeof(double));
}

static void
end_passes(Passes *passes)
{
	int i;

	for (i = 0; i < (int) lengthof(passes->memory); i++)
		pfree(passes->memory[i]);
	pfree(passes->sums);
}

/* Computes activation, gradient and probabilities of one class's logit, into the buffers. */
static void
compute_gradient(Passes *passes, int class_index)
{
	PneumoScorer *scorer = passes->scorer;
	PneumoAttempts attempts;
	NnStatus status;

	pneumo_attempts_begin(&attempts);
	do
		status = nn_explain_run(passes->activation, passes->gradient, scorer->probabilities, scorer->src,
								passes->node, class_index, &scorer->explain->engine, passes->scratch,
								attempts.stop);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	pneumo_nn_check(status, "the network could not be explained");
}

/* Adds sign times the map of one class's logit to the sums. */
static void
add_pass(Passes *passes, int class_index, double sign)
{
	int channels = passes->channels;
	double *mean = palloc0(channels * sizeof(double));
	size_t i;
	int c;

	compute_gradient(passes, class_index);
	if (passes->method == PNEUMO_MAP_GRADCAM)
	{
		for (i = 0; i < passes->places; i++)
			for (c = 0; c < channels; c++)
				mean[c] += passes->gradient[i * channels + c];
		for (c = 0; c < channels; c++)
			mean[c] /= (double) passes->places;
	}
	for (i = 0; i < passes->places; i++)
	{
		const float *a = passes->activation + i * channels;
		const float *g = passes->gradient + i * channels;
		double sum = 0;

		if (passes->method == PNEUMO_MAP_GRADCAM)
			for (c = 0; c < channels; c++)
				sum += mean[c] * a[c];
		else
			for (c = 0; c < channels; c++)
				sum += (double) g[c] * a[c];
		passes->sums[i] += sign * sum;
	}
	pfree(mean);
}

/*
 * Adds up the map of a class.  One output unit is the log-odds of class 1; of
 * two units the log-odds are the difference of the logits; of more the class has
 * its own logit, and so has a finding: its log-odds.
 */
static void
add_passes(Passes *passes, int class_index)
{
	bool findings = passes->scorer->meta->multi_label;

	if (passes->scorer->meta->view > 0)
	{
		add_pass(passes, passes->scorer->meta->view - 1, class_index == 1 ? 1 : -1);
		return;
	}
	if (passes->scorer->output_units == 1)
		add_pass(passes, 1, class_index == 1 || findings ? 1 : -1);
	else
		add_pass(passes, class_index, 1);
	if (passes->scorer->output_units == 2 && !findings)
		add_pass(passes, 1 - class_index, -1);
}

static int
most_probable_finding(const PneumoModelMeta *meta, const double *calibrated)
{
	int best = 0;
	int i;

	for (i = 1; i < meta->n_classes; i++)
		if (calibrated[i] > calibrated[best])
			best = i;
	return best;
}

/* Returns the class that a map is for: the one asked for, the positive of two, the most probable. */
static int
choose_class(const PneumoScorer *scorer, const PneumoMapOptions *options)
{
	if (options->class_name != NULL)
		return find_class(scorer->meta, options->class_name);
	if (scorer->meta->multi_label)
		return most_probable_finding(scorer->meta, scorer->calibrated);
	return scorer->meta->n_classes == 2 ? 1 : pneumo_class_of(scorer->meta, scorer->calibrated);
}

/* Decodes the image, and scores it if the most probable class is wanted; false: a bad image. */
static bool
read_image(PneumoScorer *scorer, Datum image, const PneumoMapOptions *options, int on_bad_image)
{
	/* known before the image is read, if it is not to depend on it */
	if (options->class_name != NULL)
		(void) find_class(scorer->meta, options->class_name);
	else if (!pneumo_meta_is_two_class(scorer->meta))
		return pneumo_scorer_run(scorer, image, on_bad_image, false);
	return pneumo_scorer_decode(scorer, 0, image, on_bad_image);
}

/* Stores the sums as the map's values, with the largest one and whether the map is empty. */
static void
fill_values(PneumoMap *map, const Passes *passes)
{
	double total = 0;
	size_t i;

	map->values = palloc(passes->places * sizeof(float));
	map->max_abs = 0;
	for (i = 0; i < passes->places; i++)
	{
		map->values[i] = (float) passes->sums[i];
		if (!isfinite(map->values[i]))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("the map of this image is not finite")));
		total += fabs(passes->sums[i]);
		map->max_abs = Max(map->max_abs, fabs((double) map->values[i]));
	}
	map->empty = total < PNEUMO_MAP_EMPTY;
}

bool
pneumo_map_make(PneumoMap *map, PneumoScorer *scorer, Datum image, const PneumoMapOptions *options,
				int on_bad_image)
{
	const NnGraph *graph = scorer->engine->engine.graph;
	int node = find_map_node(graph);
	NnNodeInfo info;
	Passes passes;

	if (!read_image(scorer, image, options, on_bad_image))
		return false;
	nn_graph_node(&info, graph, node);
	begin_passes(&passes, scorer, node, &info, options->method);
	map->height = info.shape.h;
	map->width = info.shape.w;
	map->class_index = choose_class(scorer, options);
	add_passes(&passes, map->class_index);
	fill_values(map, &passes);
	end_passes(&passes);
	return true;
}

/* ------------------------------------------------------------------ picture */

/* Sets the size of the picture of an image. */
static void
picture_size(int *height, int *width, const ImgInfo *info, int max_side)
{
	double shrink = 1;

	if (max_side > 0 && Max(info->width, info->height) > (uint32) max_side)
		shrink = (double) max_side / Max(info->width, info->height);
	*height = Max(1, (int) rint(info->height * shrink));
	*width = Max(1, (int) rint(info->width * shrink));
}

/* Returns the grey pixels of an image at its own or a smaller size, palloc'd; NULL with *error. */
static uint8 *
grey_pixels(int *height, int *width, const uint8 *bytes, size_t n_bytes, int max_side, ImgError *error)
{
	ImgLimits limits;
	ImgInfo info;
	uint8 *grey;
	PneumoAttempts attempts;

	pneumo_image_limits(&limits);
	error->status = img_info(&info, bytes, n_bytes, &limits, error);
	if (error->status != IMG_OK)
		return NULL;
	picture_size(height, width, &info, max_side);
	grey = MemoryContextAllocHuge(CurrentMemoryContext, (Size) *height * *width);
	if ((uint32) *height != info.height || (uint32) *width != info.width)
	{
		ImgPreprocess pre = {*height, *width, 1, IMG_INTERPOLATION_AREA};

		error->status = pneumo_pixels(grey, bytes, n_bytes, &pre, error);
	}
	else
	{
		pneumo_attempts_begin(&attempts);
		do
		{
			limits.interrupt = attempts.stop;
			error->status =
				img_decode(grey, (size_t) *height * *width, 1, bytes, n_bytes, &info, &limits, error);
		} while (error->status == IMG_INTERRUPTED && pneumo_attempts_next(&attempts));
	}
	if (error->status == IMG_OK)
		return grey;
	pfree(grey);
	return NULL;
}

bytea *
pneumo_map_draw(const PneumoMap *map, Datum image, const PneumoMapOptions *options, int max_side,
				int on_bad_image)
{
	bytea *bytes;
	uint8 *grey = NULL;
	uint8 *coloured;
	bytea *picture;
	int height = 0;
	int width = 0;
	ImgError error;

	if (pneumo_image_bytes(&bytes, image, &error))
	{
		grey = grey_pixels(&height, &width, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
						   max_side, &error);
		if ((Pointer) bytes != DatumGetPointer(image))
			pfree(bytes);
	}
	if (grey == NULL)
	{
		if (on_bad_image == PNEUMO_BAD_IMAGE_NULL && pneumo_image_is_bad(error.status))
			return NULL;
		pneumo_image_ereport(&error);
	}
	coloured = MemoryContextAllocHuge(CurrentMemoryContext, (Size) height * width * 3);
	img_overlay(coloured, grey, height, width, map->values, map->height, map->width,
				map->empty ? 0 : (float) (options->scale > 0 ? options->scale : map->max_abs),
				(float) options->opacity);
	CHECK_FOR_INTERRUPTS();
	picture = pneumo_picture(coloured, height, width, 3);
	pfree(coloured);
	pfree(grey);
	return picture;
}

/* ---------------------------------------------------------------------- SQL */

/* Reads the options and gets the scorer of a call: (image), (image, model), (image, model, config). */
static PneumoScorer *
begin_call(PneumoMapOptions *options, FunctionCallInfo fcinfo)
{
	char *name = PG_NARGS() > 1 ? text_to_cstring(PG_GETARG_TEXT_PP(1)) : pstrdup(pneumo_default_model);
	PneumoVersionId id;

	pneumo_map_options(options, PG_NARGS() > 2 ? PG_GETARG_JSONB_P(2) : NULL);
	pneumo_resolve(name, &id);
	pfree(name);
	return pneumo_scorer_get(&fcinfo->flinfo->fn_extra, fcinfo->flinfo->fn_mcxt, &id, pneumo_path());
}

Datum
pneumo_heatmap(PG_FUNCTION_ARGS)
{
	PneumoMapOptions options;
	PneumoScorer *scorer = begin_call(&options, fcinfo);
	PneumoMap map;
	TupleDesc desc;
	Datum values[N_COLS];
	bool nulls[N_COLS] = {false};
	int dims[2];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pneumo_heatmap must return a row");
	if (!pneumo_map_make(&map, scorer, PG_GETARG_DATUM(0), &options, pneumo_on_bad_image))
		PG_RETURN_NULL();
	dims[0] = map.height;
	dims[1] = map.width;
	values[COL_HEIGHT] = Int32GetDatum(map.height);
	values[COL_WIDTH] = Int32GetDatum(map.width);
	values[COL_CLASS] = CStringGetTextDatum(scorer->meta->classes[map.class_index]);
	values[COL_METHOD] = CStringGetTextDatum(methods[options.method]);
	values[COL_MAX_ABS] = Float8GetDatum(map.max_abs);
	values[COL_EMPTY] = BoolGetDatum(map.empty);
	values[COL_MAP] = PointerGetDatum(pneumo_real_array(map.values, 2, dims));
	pfree(map.values);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
pneumo_explain(PG_FUNCTION_ARGS)
{
	PneumoMapOptions options;
	PneumoScorer *scorer = begin_call(&options, fcinfo);
	PneumoMap map;
	bytea *picture;

	if (!pneumo_map_make(&map, scorer, PG_GETARG_DATUM(0), &options, pneumo_on_bad_image))
		PG_RETURN_NULL();
	picture = pneumo_map_draw(&map, PG_GETARG_DATUM(0), &options, 0, pneumo_on_bad_image);
	pfree(map.values);
	if (picture == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(picture);
}
