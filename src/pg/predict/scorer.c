/*-------------------------------------------------------------------------
 *
 * scorer.c
 *	  Scores images by one version: decodes, rescales, computes, calibrates.
 *
 * The buffers are allocated when a scorer is made and not for each image.  What
 * decoding needs depends on the image and is freed with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine.h"
#include "pg/predict/predict.h"

#define KEPT_SCORERS 4 /* a query that alternates between models */

typedef struct ScorerSet
{
	PneumoScorer *kept[KEPT_SCORERS];
	uint64 clock;
} ScorerSet;

static void
model_too_large(void)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large")));
}

static void *
buffer(MemoryContext cxt, size_t n, size_t size)
{
	if (size != 0 && n > MaxAllocHugeSize / 2 / size)
		model_too_large();
	return pneumo_align(MemoryContextAllocExtended(cxt, n * size + NN_ALIGN, MCXT_ALLOC_HUGE));
}

/* Returns how many values an image has for the network. */
static size_t
pixels_of(const PneumoScorer *scorer)
{
	const ImgPreprocess *pre = &scorer->meta->preprocess;

	return (size_t) pre->height * pre->width * pre->channels;
}

/* Returns the bytes of the buffers for so many images at once; infinite if no size can hold them. */
static double
buffer_bytes(const PneumoScorer *scorer, int rows)
{
	size_t scratch_bytes = nn_engine_scratch_bytes(&scorer->engine->engine, rows);

	if (scratch_bytes == 0)
		return INFINITY;
	return (double) scratch_bytes + (double) pixels_of(scorer) * (sizeof(uint8) + rows * sizeof(float));
}

/* Makes a scorer for at most max_rows images at once, and for fewer if the memory allowed has no room. */
static PneumoScorer *
make_scorer(MemoryContext mcxt, const PneumoVersionId *id, NnPath path, int max_rows)
{
	MemoryContext cxt = AllocSetContextCreate(mcxt, "pneumo scorer", ALLOCSET_SMALL_SIZES);
	PneumoScorer *scorer = MemoryContextAllocZero(cxt, sizeof(PneumoScorer));
	const NnGraph *graph;
	NnNodeInfo node;
	size_t embedding;
	size_t pixels;

	scorer->cxt = cxt;
	scorer->path = path;
	scorer->engine = pneumo_engine_get_path(id, path, cxt);
	scorer->meta = scorer->engine->meta;
	graph = scorer->engine->engine.graph;
	scorer->output_units = nn_graph_output_units(graph);
	nn_graph_node(&node, graph, nn_graph_embedding_node(graph));
	embedding = (size_t) node.shape.h * node.shape.w * node.shape.c;
	scorer->embedding_units = embedding <= MaxAllocSize / sizeof(float) / 2 ? (int) embedding : 0;
	pixels = pixels_of(scorer);
	while (max_rows > 1 && !pneumo_scorer_has_room(scorer, max_rows))
		max_rows /= 2;
	scorer->max_rows = max_rows;
	scorer->n_bytes = buffer_bytes(scorer, max_rows);
	if (isinf(scorer->n_bytes))
		model_too_large();
	pneumo_check_memory("predicting with this model", scorer->n_bytes);

	scorer->calibrated = buffer(cxt, scorer->meta->n_classes, sizeof(double));
	scorer->probabilities = buffer(cxt, (size_t) max_rows * scorer->output_units, sizeof(float));
	scorer->logits = buffer(cxt, (size_t) max_rows * scorer->output_units, sizeof(float));
	scorer->pixels = buffer(cxt, pixels, sizeof(uint8));
	scorer->src = buffer(cxt, pixels, max_rows * sizeof(float));
	scorer->scratch = buffer(cxt, nn_engine_scratch_bytes(&scorer->engine->engine, max_rows), 1);
	return scorer;
}

/* Returns the scorer of a version from a set, or makes one in the place of the one unused for longest. */
static PneumoScorer *
get_scorer(void **extra, MemoryContext mcxt, const PneumoVersionId *id, NnPath path, int max_rows)
{
	ScorerSet *set = *extra;
	int victim = 0;
	int i;

	if (set == NULL)
		*extra = set = MemoryContextAllocZero(mcxt, sizeof(ScorerSet));
	for (i = 0; i < KEPT_SCORERS; i++)
	{
		PneumoScorer *scorer = set->kept[i];

		if (scorer != NULL && scorer->path == path &&
			memcmp(scorer->engine->id.sha256, id->sha256, PNEUMO_SHA256_LEN) == 0)
		{
			scorer->used = ++set->clock;
			return scorer;
		}
		if (set->kept[victim] != NULL && (scorer == NULL || scorer->used < set->kept[victim]->used))
			victim = i;
	}
	if (set->kept[victim] != NULL)
	{
		MemoryContext old = set->kept[victim]->cxt;

		set->kept[victim] = NULL;
		MemoryContextDelete(old);
	}
	set->kept[victim] = make_scorer(mcxt, id, path, max_rows);
	set->kept[victim]->used = ++set->clock;
	return set->kept[victim];
}

PneumoScorer *
pneumo_scorer_get(void **extra, MemoryContext mcxt, const PneumoVersionId *id, NnPath path)
{
	return get_scorer(extra, mcxt, id, path, 1);
}

PneumoScorer *
pneumo_scorer_get_batch(void **extra, MemoryContext mcxt, const PneumoVersionId *id, NnPath path)
{
	return get_scorer(extra, mcxt, id, path, NN_GROUP_ROWS);
}

bool
pneumo_scorer_has_room(const PneumoScorer *scorer, int rows)
{
	return buffer_bytes(scorer, rows) <= (double) pneumo_predict_memory * 1024;
}

void
pneumo_scorer_rescale(PneumoScorer *scorer, int row, const uint8 *pixels)
{
	img_rescale(scorer->src + row * pixels_of(scorer), pixels, pixels_of(scorer), scorer->meta->rescale);
}

void
pneumo_scorer_read(PneumoScorer *scorer, int row, Datum image, ImgError *error)
{
	bytea *bytes;

	if (pneumo_image_bytes(&bytes, image, error))
	{
		error->status = pneumo_pixels(scorer->pixels, (const uint8 *) VARDATA_ANY(bytes),
									  VARSIZE_ANY_EXHDR(bytes), &scorer->meta->preprocess, error);
		if ((Pointer) bytes != DatumGetPointer(image))
			pfree(bytes);
	}
	if (error->status == IMG_OK)
		pneumo_scorer_rescale(scorer, row, scorer->pixels);
}

bool
pneumo_scorer_decode(PneumoScorer *scorer, int row, Datum image, int on_bad_image)
{
	ImgError error;

	pneumo_scorer_read(scorer, row, image, &error);
	if (error.status == IMG_OK)
		return true;
	if (on_bad_image != PNEUMO_BAD_IMAGE_NULL || !pneumo_image_is_bad(error.status))
		pneumo_image_ereport(&error);
	return false;
}

static void
run_engine(PneumoScorer *scorer, int n, float *embedding)
{
	PneumoAttempts attempts;
	NnStatus status;

	pneumo_attempts_begin(&attempts);
	do
		status = nn_engine_run(scorer->probabilities, scorer->logits, embedding, scorer->src, n,
							   &scorer->engine->engine, scorer->scratch, attempts.stop);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	pneumo_nn_check(status, "the network could not be run");
}

void
pneumo_scorer_run_rows(PneumoScorer *scorer, int n)
{
	run_engine(scorer, n, NULL);
}

bool
pneumo_scorer_is_finite(double *calibrated, const PneumoScorer *scorer, int row)
{
	size_t at = (size_t) row * scorer->output_units;
	int i;

	pneumo_meta_probabilities(calibrated, scorer->meta, scorer->output_units, scorer->probabilities + at,
							  scorer->logits + at);
	for (i = 0; i < scorer->meta->n_classes; i++)
	{
		if (!isfinite(calibrated[i]))
			return false;
	}
	return true;
}

void
pneumo_scorer_calibrate(double *calibrated, const PneumoScorer *scorer, int row)
{
	if (!pneumo_scorer_is_finite(calibrated, scorer, row))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("the network gives no finite probability for this image")));
}

bool
pneumo_scorer_run(PneumoScorer *scorer, Datum image, int on_bad_image, bool embed)
{
	if (!pneumo_scorer_decode(scorer, 0, image, on_bad_image))
		return false;
	if (embed && scorer->embedding_units == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the input of the model's last layer with weights is too large for an array")));
	/* once to compute in, once as the array that is returned */
	if (embed)
		pneumo_check_memory("embedding with this model",
							scorer->n_bytes + 2.0 * scorer->embedding_units * sizeof(float));
	if (embed && scorer->embedding == NULL)
		scorer->embedding = buffer(scorer->cxt, scorer->embedding_units, sizeof(float));
	run_engine(scorer, 1, embed ? scorer->embedding : NULL);
	pneumo_scorer_calibrate(scorer->calibrated, scorer, 0);
	return true;
}

int
pneumo_class_of(const PneumoModelMeta *meta, const double *calibrated)
{
	int best = 0;
	int i;

	Assert(!meta->multi_label);
	if (meta->n_classes == 2)
		return calibrated[1] >= meta->threshold ? 1 : 0;
	for (i = 1; i < meta->n_classes; i++)
	{
		if (calibrated[i] > calibrated[best])
			best = i;
	}
	return best;
}

double
pneumo_score_of(const PneumoModelMeta *meta, const double *calibrated)
{
	return calibrated[meta->n_classes == 2 ? 1 : pneumo_class_of(meta, calibrated)];
}

bool
pneumo_finding_called(const PneumoModelMeta *meta, const double *calibrated, int finding)
{
	return calibrated[finding] >= meta->findings[finding].threshold;
}

Datum
pneumo_findings_datum(const PneumoModelMeta *meta, const double *calibrated)
{
	Datum *names = palloc(sizeof(Datum) * meta->n_classes);
	int n = 0;
	int i;

	for (i = 0; i < meta->n_classes; i++)
		if (pneumo_finding_called(meta, calibrated, i))
			names[n++] = CStringGetTextDatum(meta->classes[i]);
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Jsonb *
pneumo_findings_json(const PneumoModelMeta *meta, const double *calibrated)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; i < meta->n_classes; i++)
		pneumo_json_add_number(&json, meta->classes[i], calibrated[i], 17);
	return pneumo_json_end(&json);
}

void
pneumo_require_findings(const PneumoModelMeta *meta, bool wanted, const char *function, const char *hint)
{
	if (meta->multi_label == wanted)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 wanted ? errmsg("%s is for models of findings, this one tells one class an image", function)
					: errmsg("%s is for models of one class an image, this one tells %d finding%s", function,
							 meta->n_classes, meta->n_classes == 1 ? "" : "s"),
			 errhint("%s", hint)));
}
