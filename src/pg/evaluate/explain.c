/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  pneumo_heatmap and pneumo_explain: where a score comes from.
 *
 * Both methods read the last convolution's output A (with its activation) and
 * the gradient G of the explained class's logit by it:
 *
 *	hirescam	map(y, x) = sum over c of G(y, x, c) A(y, x, c)
 *				(Draelos and Carin, "Use HiResCAM instead of Grad-CAM for
 *				faithful explanations", 2020)
 *	gradcam		map(y, x) = sum over c of mean(G(., ., c)) A(y, x, c)
 *				(Selvaraju et al., ICCV 2017), with its sign: no ReLU
 *
 * Where only linear layers, pooling and ReLU without bias follow the
 * convolution, the values of hirescam sum to the logit: each says how much its
 * place adds.  With global average pooling the two agree.  With a dense head,
 * where every place has weights of its own, the averaged gradient mixes places
 * that speak for and against, which is why hirescam is the default.
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

static void
check_keys(Jsonb *config)
{
	JsonbIterator *it = JsonbIteratorInit(&config->root);
	JsonbIteratorToken token;
	JsonbValue item;

	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char *name;
		const char *near;
		int i;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(item.val.string.val, item.val.string.len);
		for (i = 0; option_keys[i] != NULL && strcmp(option_keys[i], name) != 0; i++)
			;
		if (option_keys[i] != NULL)
			continue;
		near = pneumo_nearest(name, option_keys);
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown config key \"%s\"", name),
						near ? errhint("Did you mean \"%s\"?", near)
							 : errhint("Keys are %s.", pneumo_list_names(option_keys))));
	}
}

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
	check_keys(config);
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
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the model has no class \"%s\"", name),
					errdetail("It can be %s.", pneumo_list_names(names))));
	return -1;
}

/* ---------------------------------------------------------------------- map */

/* The node to look at. */
static int
find_convolution(const NnGraph *graph)
{
	int node = nn_graph_last_conv_node(graph);

	if (node < 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "the model's network has no convolution, so there is no map of where its score comes from"),
			 errdetail("A map shows the output of the last convolution, times its effect on the score.")));
	return node;
}

/* Activation, gradient and probabilities of one class's logit; into the buffers. */
static void
run_explanation(float *activation, float *gradient, PneumoScorer *scorer, int node, int class_index,
				void *scratch)
{
	PneumoAttempts attempts;
	NnStatus status;

	pneumo_attempts_begin(&attempts);
	do
		status = nn_explain_run(activation, gradient, scorer->probabilities, scorer->src, node, class_index,
								&scorer->explain->engine, scratch, attempts.stop);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	pneumo_nn_check(status, "the network could not be explained");
}

/* Adds sign times one run's map to values. */
static void
add_map(double *values, const float *activation, float *gradient, size_t places, int channels,
		PneumoMapMethod method, double sign)
{
	double *mean = palloc0(channels * sizeof(double));
	size_t i;
	int c;

	if (method == PNEUMO_MAP_GRADCAM)
	{
		for (i = 0; i < places; i++)
			for (c = 0; c < channels; c++)
				mean[c] += gradient[i * channels + c];
		for (c = 0; c < channels; c++)
			mean[c] /= (double) places;
	}
	for (i = 0; i < places; i++)
	{
		const float *a = activation + i * channels;
		const float *g = gradient + i * channels;
		double sum = 0;

		if (method == PNEUMO_MAP_GRADCAM)
			for (c = 0; c < channels; c++)
				sum += mean[c] * a[c];
		else
			for (c = 0; c < channels; c++)
				sum += (double) g[c] * a[c];
		values[i] += sign * sum;
	}
	pfree(mean);
}

/* The class that a map is for: the one asked for, the positive of two, the most probable. */
static int
choose_class(const PneumoScorer *scorer, const PneumoMapOptions *options)
{
	if (options->class_name != NULL)
		return find_class(scorer->meta, options->class_name);
	return scorer->meta->n_classes == 2 ? 1 : pneumo_class_of(scorer->meta, scorer->calibrated);
}

bool
pneumo_map_make(PneumoMap *map, PneumoScorer *scorer, Datum image, const PneumoMapOptions *options,
				int on_bad_image)
{
	const NnEngine *engine = &scorer->engine->engine;
	int node = find_convolution(engine->graph);
	NnNodeInfo info;
	size_t places;
	size_t floats;
	size_t scratch_bytes = nn_explain_scratch_bytes(engine);
	float *activation;
	float *gradient;
	void *scratch;
	double *sums;
	double total = 0;
	size_t i;

	/* known before the image is read, if it is not to depend on it */
	if (options->class_name != NULL)
		(void) find_class(scorer->meta, options->class_name);
	if (scorer->meta->n_classes > 2 && options->class_name == NULL)
	{
		if (!pneumo_scorer_run(scorer, image, on_bad_image, false))
			return false;
	}
	else if (!pneumo_scorer_decode(scorer, 0, image, on_bad_image))
		return false;
	nn_graph_node(&info, engine->graph, node);
	places = (size_t) info.shape.h * info.shape.w;
	floats = places * info.shape.c;
	if (scratch_bytes == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large to be explained")));

	pneumo_check_memory("explaining this model's score",
						(double) scratch_bytes + 2.0 * floats * sizeof(float) +
							(double) places * (sizeof(float) + sizeof(double)));

	if (scorer->explain == NULL)
		scorer->explain = pneumo_engine_get_explain(&scorer->engine->id, scorer->path, scorer->cxt);
	map->height = info.shape.h;
	map->width = info.shape.w;
	map->class_index = choose_class(scorer, options);
	map->values = palloc(places * sizeof(float));
	sums = palloc0(places * sizeof(double));
	activation = pneumo_scratch(floats * sizeof(float));
	gradient = pneumo_scratch(floats * sizeof(float));
	scratch = pneumo_scratch(scratch_bytes);
	if (scorer->output_units == 1)
	{
		run_explanation(pneumo_align(activation), pneumo_align(gradient), scorer, node, 1,
						pneumo_align(scratch));
		add_map(sums, pneumo_align(activation), pneumo_align(gradient), places, info.shape.c, options->method,
				map->class_index == 1 ? 1 : -1);
	}
	else
	{
		run_explanation(pneumo_align(activation), pneumo_align(gradient), scorer, node, map->class_index,
						pneumo_align(scratch));
		add_map(sums, pneumo_align(activation), pneumo_align(gradient), places, info.shape.c, options->method,
				1);
		if (scorer->output_units == 2)
		{
			run_explanation(pneumo_align(activation), pneumo_align(gradient), scorer, node,
							1 - map->class_index, pneumo_align(scratch));
			add_map(sums, pneumo_align(activation), pneumo_align(gradient), places, info.shape.c,
					options->method, -1);
		}
	}
	pfree(scratch);
	pfree(gradient);
	pfree(activation);

	map->max_abs = 0;
	for (i = 0; i < places; i++)
	{
		map->values[i] = (float) sums[i];
		if (!isfinite(map->values[i]))
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("the map of this image is not finite")));
		total += fabs(sums[i]);
		map->max_abs = Max(map->max_abs, fabs((double) map->values[i]));
	}
	pfree(sums);
	map->empty = total < PNEUMO_MAP_EMPTY;
	return true;
}

/* ------------------------------------------------------------------ picture */

/* Size of the picture of an image. */
static void
picture_size(int *height, int *width, const ImgInfo *info, int max_side)
{
	double shrink = 1;

	if (max_side > 0 && Max(info->width, info->height) > (uint32) max_side)
		shrink = (double) max_side / Max(info->width, info->height);
	*height = Max(1, (int) rint(info->height * shrink));
	*width = Max(1, (int) rint(info->width * shrink));
}

/* Grey pixels of an image at its own or a smaller size, palloc'd; NULL with *error. */
static uint8 *
grey_pixels(int *height, int *width, const uint8 *bytes, size_t n_bytes, int max_side, ImgError *error)
{
	ImgLimits limits;
	ImgInfo info;
	uint8 *grey;
	PneumoAttempts attempts;

	pneumo_image_limits(&limits);
	error->status = img_jpeg_info(&info, bytes, n_bytes, &limits, error);
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
				img_decode_jpeg(grey, (size_t) *height * *width, 1, bytes, n_bytes, &info, &limits, error);
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

/* Options and scorer of a call: (image), (image, model), (image, model, config). */
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
