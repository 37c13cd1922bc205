/*-------------------------------------------------------------------------
 *
 * report_images.c
 *	  The images of the report, read in one pass over the table: means of the
 *	  classes, pictures of single rows, what the shortcut check measures.  The
 *	  eigenimages need a pass of their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"
#include "report/report.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/evaluate/evaluate.h"
#include "pg/explore/explore.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

#define SAMPLES_PER_CLASS 4
#define RIGHT_PER_CLASS 2
#define RIGHT_ONES 12 /* at most, of all classes */
#define PHANTOM_TRIES 4
#define PICTURE_SIDE 320
#define CELL_HEIGHT 64 /* size at which brightness is measured */
#define CELL_WIDTH 72
#define EIGENIMAGES_OF 300 /* images that they are computed from */


static bytea *
copy_picture(const bytea *picture, MemoryContext cxt)
{
	bytea *copy = MemoryContextAlloc(cxt, VARSIZE(picture));

	memcpy(copy, picture, VARSIZE(picture));
	return copy;
}

typedef struct PictureVisit
{
	PneumoReport *r;
	MemoryContext cxt;
	PneumoMapOptions options;
	uint8 *pixels; /* of an image at the network's size */
} PictureVisit;

/* Adds a training image to the mean of its class: the rows that training used, each image once. */
static void
add_to_mean(PictureVisit *visit, int64 sample, Datum image)
{
	PneumoReport *r = visit->r;
	const ImgPreprocess *pre = &r->e.config->preprocess;
	const PneumoSample *s = &r->e.dataset->samples[sample];
	bytea *bytes = DatumGetByteaPP(image);
	const uint8 *pixels = visit->pixels;
	size_t n = (size_t) pre->height * pre->width;
	uint64 *sum = r->sum[s->label];
	ImgError error;
	size_t i;

	if (s->split != PNEUMO_TRAIN || sum == NULL ||
		pneumo_pixels(visit->pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), pre,
					  &error) != IMG_OK)
		return;
	r->n_sum[s->label]++;
	for (i = 0; i < n; i++)
		sum[i] +=
			pre->channels == 1 ? pixels[i] : (pixels[3 * i] + pixels[3 * i + 1] + pixels[3 * i + 2] + 1) / 3;
}

bytea *
pneumo_report_plain(Datum image, MemoryContext cxt)
{
	PneumoMap map = {.empty = true};
	PneumoMapOptions options;

	pneumo_map_options(&options, NULL);
	return copy_picture(pneumo_map_draw(&map, image, &options, PICTURE_SIDE, PNEUMO_BAD_IMAGE_ERROR), cxt);
}

/* Draws the pictures that show this image, with overlay also its map. */
static void
draw(PneumoReportPicture *pictures, int n, int64 sample, Datum image, PictureVisit *visit, bool overlay)
{
	int i;

	for (i = 0; i < n; i++)
	{
		PneumoMap map;

		if (pictures[i].sample != sample)
			continue;
		pictures[i].plain = pneumo_report_plain(image, visit->cxt);
		if (!overlay || !visit->r->maps)
			continue;
		memset(&map, 0, sizeof(map));
		(void) pneumo_map_make(&map, visit->r->e.scorer, image, &visit->options, PNEUMO_BAD_IMAGE_ERROR);
		pictures[i].empty = map.empty;
		pictures[i].overlay =
			copy_picture(pneumo_map_draw(&map, image, &visit->options, PICTURE_SIDE, PNEUMO_BAD_IMAGE_ERROR),
						 visit->cxt);
	}
}

/* Measures what says nothing about a lung: size of image and file, brightness; nothing of a bad image. */
static void
measure(double *features, Datum image)
{
	ImgPreprocess pre = {CELL_HEIGHT, CELL_WIDTH, 1, IMG_INTERPOLATION_AREA};
	bytea *bytes = DatumGetByteaPP(image);
	const uint8 *data = (const uint8 *) VARDATA_ANY(bytes);
	size_t n = VARSIZE_ANY_EXHDR(bytes);
	uint8 pixels[CELL_HEIGHT * CELL_WIDTH];
	ImgLimits limits;
	ImgInfo info;
	ImgError error;
	double sum = 0;
	double squares = 0;
	int i;

	pneumo_image_limits(&limits);
	limits.interrupt = NULL;
	if (img_info(&info, data, n, &limits, &error) != IMG_OK ||
		pneumo_pixels(pixels, data, n, &pre, &error) != IMG_OK)
		return;
	for (i = 0; i < CELL_HEIGHT * CELL_WIDTH; i++)
	{
		sum += pixels[i];
		squares += (double) pixels[i] * pixels[i];
	}
	sum /= CELL_HEIGHT * CELL_WIDTH;
	features[0] = info.width;
	features[1] = info.height;
	features[2] = (double) info.width / info.height;
	features[3] = (double) n;
	features[4] = info.components;
	features[5] = sum;
	features[6] = sqrt(Max(squares / (CELL_HEIGHT * CELL_WIDTH) - sum * sum, 0));
}

/*
 * Finds out whether the first images are drawings of pneumo_phantom(): such an
 * image is, byte for byte, what that function draws for the row's key as seed.  A
 * drawing with another seed is not recognised.
 */
static void
try_phantom(PneumoReport *r, const char *key, Datum image)
{
	bytea *bytes = DatumGetByteaPP(image);
	size_t n = VARSIZE_ANY_EXHDR(bytes);
	ImgLimits limits;
	ImgInfo info;
	ImgError error;
	char *end;
	int64 seed;
	int pneumonia;

	if (r->phantoms_tried >= PHANTOM_TRIES || key == NULL)
		return;
	errno = 0;
	seed = strtoll(key, &end, 10);
	pneumo_image_limits(&limits);
	limits.interrupt = NULL;
	if (errno != 0 || end == key || *end != '\0' ||
		img_info(&info, (const uint8 *) VARDATA_ANY(bytes), n, &limits, &error) != IMG_OK)
		return;
	r->phantoms_tried++;
	if (info.components != 1 || info.width != info.height || info.width < PNEUMO_MIN_PHANTOM_SIDE ||
		info.width > PNEUMO_MAX_PHANTOM_SIDE)
		return;
	for (pneumonia = 0; pneumonia < 2; pneumonia++)
	{
		bytea *drawn = pneumo_phantom_draw((uint64) seed, pneumonia != 0, (int) info.width);

		if (VARSIZE_ANY_EXHDR(drawn) == n && memcmp(VARDATA_ANY(drawn), VARDATA_ANY(bytes), n) == 0)
		{
			r->phantoms++;
			return;
		}
	}
}

static void
visit_image(void *arg, int64 sample, const PneumoRow *row, Datum image)
{
	PictureVisit *visit = arg;
	PneumoReport *r = visit->r;

	try_phantom(r, row->key, image);
	pneumo_subgroups_row(r->subgroups, &r->e, sample, row);
	measure(r->features + sample * REPORT_N_FEATURES, image);
	add_to_mean(visit, sample, image);
	draw(r->samples, r->n_samples, sample, image, visit, false);
	draw(r->right, r->n_right, sample, image, visit, true);
	draw(r->failure_pictures, r->n_failure_pictures, sample, image, visit, true);
	draw(r->neighbours, r->n_neighbours, sample, image, visit, false);
}

/* Chooses training images by SHA-256, so that they are neither the best nor the nicest. */
static void
choose_samples(PneumoReport *r)
{
	int n_classes = r->e.scorer->meta->n_classes;
	int c;

	r->samples = palloc0(n_classes * SAMPLES_PER_CLASS * sizeof(PneumoReportPicture));
	for (c = 0; c < n_classes; c++)
	{
		int n = 0;
		int64 i;

		for (i = 0; i < r->e.dataset->n && n < SAMPLES_PER_CLASS; i++)
		{
			const PneumoSample *s = &r->e.dataset->samples[i];

			if (s->label != c || s->split != PNEUMO_TRAIN)
				continue;
			r->samples[r->n_samples++].sample = i;
			n++;
		}
	}
}

/* Chooses the surest of the rows that are called rightly, some of each class. */
static void
choose_right(PneumoReport *r)
{
	PneumoFailure *all;
	int64 n = pneumo_failures_find(&all, &r->e, PNEUMO_VALIDATION, true, -1, PG_INT64_MAX);
	int n_of_class[NN_MAX_CLASSES] = {0};
	int64 i;

	r->right = palloc0(RIGHT_ONES * sizeof(PneumoReportPicture));
	for (i = n - 1; i >= 0 && r->n_right < RIGHT_ONES; i--)
		if (!all[i].wrong && n_of_class[all[i].predicted] < RIGHT_PER_CLASS)
		{
			n_of_class[all[i].predicted]++;
			r->right[r->n_right++].sample = all[i].sample;
		}
	pfree(all);
}

/* Chooses the worst failures with their neighbours. */
static void
choose_failures(PneumoReport *r)
{
	int i;
	int k;

	r->n_failure_pictures = (int) Min(r->n_failures, r->max_failures);
	r->failure_pictures = palloc0(Max(1, r->n_failure_pictures) * sizeof(PneumoReportPicture));
	r->neighbours = palloc0(Max(1, r->n_failure_pictures * r->max_neighbours) * sizeof(PneumoReportPicture));
	for (i = 0; i < r->n_failure_pictures; i++)
	{
		const PneumoFailure *f = &r->failures[i];

		r->failure_pictures[i].sample = f->sample;
		for (k = 0; k < f->n_neighbours; k++)
			r->neighbours[r->n_neighbours++].sample = f->neighbours[k].sample;
	}
}

/* Adds the columns of findings as config key "label_columns". */
static void
add_label_columns(PneumoJson *json, const PneumoSource *source)
{
	int i;

	pneumo_json_open_array(json, "label_columns");
	for (i = 0; i < source->n_findings; i++)
		pneumo_json_add_string(json, NULL, source->table.column[source->col_finding[i] - 1].name);
	pneumo_json_close(json);
}

void
pneumo_report_images(PneumoReport *r)
{
	PneumoEvaluation *e = &r->e;
	Size n_pixels = (Size) e->config->preprocess.height * e->config->preprocess.width;
	PictureVisit visit;
	bool *marked = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, e->dataset->n));
	int64 i;
	int c;

	if (r->images)
	{
		for (c = 0; c < e->scorer->meta->n_classes; c++)
			r->sum[c] = palloc0(n_pixels * sizeof(uint64));
		choose_samples(r);
		choose_right(r);
		choose_failures(r);
	}
	visit.r = r;
	visit.cxt = CurrentMemoryContext;
	visit.pixels = palloc(n_pixels * e->config->preprocess.channels);
	pneumo_map_options(&visit.options, NULL);
	pneumo_subgroups_begin(r->subgroups, e, pneumo_report_main_split(r));
	r->maps = nn_graph_map_node(e->scorer->engine->engine.graph) >= 0;
	r->features = MemoryContextAllocHuge(CurrentMemoryContext,
										 Max(1, e->dataset->n) * REPORT_N_FEATURES * sizeof(double));
	for (i = 0; i < e->dataset->n * REPORT_N_FEATURES; i++)
		r->features[i] = NAN;
	for (i = 0; i < e->dataset->n; i++)
		marked[i] = r->test || e->dataset->samples[i].split != PNEUMO_TEST;
	pneumo_evaluation_visit(e, marked, visit_image, &visit);
	pfree(marked);
}

/* ------------------------------------------------------------- eigenimages */

static Jsonb *
eigenimages_config(const PneumoReport *r)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "image_column", r->e.source->image_column);
	if (r->e.source->n_findings > 0)
		add_label_columns(&json, r->e.source);
	else
		pneumo_json_add_string(&json, "label_column", r->e.source->label_column);
	pneumo_json_add_int(&json, "n_components", r->max_eigenimages);
	pneumo_json_add_int(&json, "max_images", EIGENIMAGES_OF);
	return pneumo_json_end(&json);
}

/* A PneumoEigenimagePut: keeps a component in the report, arg. */
static void
keep_eigenimage(void *arg, int component, double explained, bytea *picture)
{
	PneumoReport *r = arg;
	PneumoEigenimage *eigen;

	if (r->n_eigenimages >= r->max_eigenimages)
		return;
	eigen = &r->eigenimages[r->n_eigenimages++];
	eigen->explained = explained;
	eigen->picture = copy_picture(picture, r->cxt);
}

void
pneumo_report_eigenimages(PneumoReport *r, Oid relid)
{
	if (r->max_eigenimages == 0 || !r->images || r->e.dataset->n < 3)
		return;
	r->eigenimages = palloc0(r->max_eigenimages * sizeof(PneumoEigenimage));
	r->cxt = CurrentMemoryContext;
	/* without notices: the page says that not all images are used */
	(void) pneumo_eigenimages_compute(relid, eigenimages_config(r), false, keep_eigenimage, r);
}
