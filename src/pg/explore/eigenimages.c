/*-------------------------------------------------------------------------
 *
 * eigenimages.c
 *	  pneumo_eigenimages: the principal components of a table's images.
 *
 * With fewer images than pixels the components come from the n x n matrix of
 * the images' products (Turk and Pentland, "Eigenfaces for recognition",
 * 1991): if G = X X' = V diag(l) V' for the centred images X, one a row, the
 * rows of V' X are the components, and l / trace(G) is the fraction of the
 * variance that each explains.
 *
 * Pixels minus 128 are integers of at most 2^7, so a product over 1024 of them
 * is at most 2^24 and exact in single precision, in any order: BLAS and the
 * built-in loop give the same G to the bit.  G is summed in double precision,
 * exactly as well, and centred afterwards.
 *
 * Which images: of all different ones, those with the smallest SHA-256, so
 * neither the order of the rows nor chance decides.  Only these are decoded.
 *
 * Memory: max_images * (height * width + 24 * max_images) bytes and a little,
 * at most pneumo.train_memory.  Interrupts are processed after each block of
 * products and each image.  LAPACK cannot be stopped, which is why MAX_IMAGES
 * is what it is: dsyevd takes 0.25 s of a core for 1000, dsyev five times that.
 * Without LAPACK stats' own rotations do, which are slower but can be stopped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/config/config.h"
#include "pg/explore/explore.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_eigenimages);

#define DEFAULT_IMAGES 500
#define MAX_IMAGES 1000
#define DEFAULT_COMPONENTS 16
#define BLOCK 128  /* images in a row or column of one product */
#define CHUNK 1024 /* pixels a product; see above */
#define ZERO 128   /* subtracted from pixels; drawn where a component is 0 */
/* Eigenvalues below this fraction of the first, times n, are rounding. */
#define SMALLEST 1e-12

static const char *const own_keys[] = {"n_components", "max_images", "class", NULL};

typedef struct Chosen
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	uint8 *pixels;
} Chosen;

typedef struct Gallery
{
	const PneumoConfig *config;
	MemoryContext cxt;
	const char *only; /* class, or NULL for all */
	int max_images;
	int n_components; /* 0: by fraction */
	double fraction;
	size_t n_pixels;
	Chosen *chosen; /* by rising hash */
	int n;
	int64 images; /* rows that could be chosen */
	int64 unreadable;
} Gallery;

/* ------------------------------------------------------------------ config */

static void
read_n_components(Gallery *gallery, JsonbValue *value)
{
	double number;

	if (pneumo_json_is_null(value))
	{
		gallery->n_components = DEFAULT_COMPONENTS;
		return;
	}
	if (pneumo_json_double(value, &number) && number > 0 && number < 1)
	{
		gallery->fraction = number;
		return;
	}
	if (!pneumo_json_double(value, &number) || number < 1 || number > MAX_IMAGES || number != rint(number))
		pneumo_json_bad(
			"config key \"n_components\"", value,
			psprintf(
				"a whole number from 1 to %d, or the fraction of the variance to explain, between 0 and 1",
				MAX_IMAGES));
	gallery->n_components = (int) number;
}

static void
check_memory(const Gallery *gallery)
{
	double budget = (double) pneumo_train_memory * 1024.0;
	double n = gallery->max_images;
	double p = (double) gallery->n_pixels;
	double bytes = n * (p + 24.0 * n) + 16.0 * p + 8.0 * BLOCK * CHUNK;

	if (bytes > budget)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d images of %d x %d pixels need %.0f MB, pneumo.train_memory allows %.0f MB",
						gallery->max_images, gallery->config->preprocess.width,
						gallery->config->preprocess.height, ceil(bytes / 1048576.0), budget / 1048576.0),
				 errhint("Lower config key \"max_images\" or \"image_size\".")));
}

static void
read_config(Gallery *gallery, PneumoConfig *config, Jsonb *given)
{
	JsonbValue *value;

	read_n_components(gallery, pneumo_json_get(&given->root, "n_components"));
	value = pneumo_json_get(&given->root, "max_images");
	gallery->max_images = pneumo_json_is_null(value)
							  ? DEFAULT_IMAGES
							  : (int) pneumo_json_read_int("config key \"max_images\"", value, 2, MAX_IMAGES);
	value = pneumo_json_get(&given->root, "class");
	if (!pneumo_json_is_null(value))
	{
		gallery->only = pneumo_json_read_string("config key \"class\"", value);
		if (config->label_column == NULL && config->label_columns == NULL)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("config key \"class\" needs a column of labels"),
							errhint("Name it in config key \"label_column\".")));
	}
	config->preprocess.channels = 1;
	gallery->config = config;
	gallery->n_pixels = (size_t) config->preprocess.height * config->preprocess.width;
	check_memory(gallery);
}

/* ---------------------------------------------------------------- choosing */

/* Returns the position of a hash among the chosen; *found tells whether it is there. */
static int
find_place(const Gallery *gallery, const uint8 *sha256, bool *found)
{
	int low = 0;
	int high = gallery->n;

	*found = false;
	while (low < high)
	{
		int middle = (low + high) / 2;
		int c = memcmp(gallery->chosen[middle].sha256, sha256, PNEUMO_SHA256_LEN);

		if (c == 0)
		{
			*found = true;
			return middle;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Puts an image into its place; with a full gallery the last one gives its memory. */
static void
insert(Gallery *gallery, int place, const uint8 *sha256, const uint8 *pixels)
{
	uint8 *memory;

	if (gallery->n < gallery->max_images)
	{
		memory = MemoryContextAllocHuge(gallery->cxt, gallery->n_pixels);
		gallery->n++;
	}
	else
		memory = gallery->chosen[gallery->n - 1].pixels;
	memmove(gallery->chosen + place + 1, gallery->chosen + place, (gallery->n - 1 - place) * sizeof(Chosen));
	memcpy(memory, pixels, gallery->n_pixels);
	memcpy(gallery->chosen[place].sha256, sha256, PNEUMO_SHA256_LEN);
	gallery->chosen[place].pixels = memory;
}

/* Tells whether a row has the class, or the finding, of that name. */
static bool
has_class(const PneumoRow *row, const char *name)
{
	int i;

	if (row->label != NULL)
		return strcmp(row->label, name) == 0;
	for (i = 0; row->findings != NULL && i < row->findings->n_present; i++)
		if (strcmp(row->findings->present[i], name) == 0)
			return true;
	return false;
}

static void
unreadable(Gallery *gallery, const PneumoRow *row, const ImgError *error)
{
	if (!pneumo_image_is_bad(error->status))
		pneumo_image_ereport(error);
	if (pneumo_on_bad_image != PNEUMO_BAD_IMAGE_NULL)
		ereport(ERROR, (errcode(pneumo_image_sqlstate(error->status)),
						errmsg("the image of row %s cannot be read: %s", pneumo_row_name(row),
							   pneumo_image_reason(error)),
						errhint("With pneumo.on_bad_image = 'null' such images are left out.")));
	gallery->unreadable++;
}

static void
visit(void *arg, const PneumoRow *row)
{
	Gallery *gallery = arg;
	uint8 sha256[PNEUMO_SHA256_LEN];
	uint8 *pixels;
	bytea *bytes;
	bool found;
	int place;
	ImgError error;

	if (!row->has_image || (gallery->only != NULL && !has_class(row, gallery->only)))
		return;
	gallery->images++;
	if (!pneumo_image_bytes(&bytes, row->image, &error))
	{
		unreadable(gallery, row, &error);
		return;
	}
	pneumo_sha256(sha256, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	place = find_place(gallery, sha256, &found);
	if (found || place >= gallery->max_images)
		return;
	pixels = MemoryContextAllocHuge(CurrentMemoryContext, gallery->n_pixels);
	error.status = pneumo_pixels(pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
								 &gallery->config->preprocess, &error);
	if (error.status != IMG_OK)
		unreadable(gallery, row, &error);
	else
		insert(gallery, place, sha256, pixels);
}

/* ---------------------------------------------------------------- products */

/* Two blocks of images, a chunk of their pixels, and the products of these. */
typedef struct Tile
{
	NnSgemm sgemm;  /* or NULL */
	float *a, *b;   /* [BLOCK][CHUNK] */
	float *c;       /* [BLOCK][BLOCK] */
	int16 *whole_a, /* the same without BLAS */
		*whole_b;
} Tile;

static void
fill(float *dst, int16 *whole, const Gallery *gallery, int first, int count, size_t from)
{
	size_t n = Min(CHUNK, gallery->n_pixels - from);
	size_t k;
	int i;

	for (i = 0; i < count; i++)
	{
		const uint8 *src = gallery->chosen[first + i].pixels + from;

		if (whole == NULL)
		{
			for (k = 0; k < n; k++)
				dst[i * CHUNK + k] = (float) ((int) src[k] - ZERO);
			for (; k < CHUNK; k++)
				dst[i * CHUNK + k] = 0;
		}
		else
		{
			for (k = 0; k < n; k++)
				whole[i * CHUNK + k] = (int16) ((int) src[k] - ZERO);
			for (; k < CHUNK; k++)
				whole[i * CHUNK + k] = 0;
		}
	}
}

static void
multiply(Tile *tile, int rows, int columns)
{
	int i;
	int j;
	int k;

	if (tile->sgemm != NULL)
	{
		tile->sgemm(0, 1, rows, columns, CHUNK, 1.0f, tile->a, CHUNK, tile->b, CHUNK, 0.0f, tile->c, BLOCK);
		return;
	}
	for (i = 0; i < rows; i++)
		for (j = 0; j < columns; j++)
		{
			const int16 *a = tile->whole_a + i * CHUNK;
			const int16 *b = tile->whole_b + j * CHUNK;
			int32 sum = 0;

			for (k = 0; k < CHUNK; k++)
				sum += a[k] * b[k];
			tile->c[i * BLOCK + j] = (float) sum;
		}
}

static void
add_block(double *gram, Tile *tile, const Gallery *gallery, int first_row, int first_column)
{
	int n = gallery->n;
	int rows = Min(BLOCK, n - first_row);
	int columns = Min(BLOCK, n - first_column);
	size_t from;
	int i;
	int j;

	for (from = 0; from < gallery->n_pixels; from += CHUNK)
	{
		CHECK_FOR_INTERRUPTS();
		fill(tile->a, tile->whole_a, gallery, first_row, rows, from);
		fill(tile->b, tile->whole_b, gallery, first_column, columns, from);
		multiply(tile, rows, columns);
		for (i = 0; i < rows; i++)
			for (j = 0; j < columns; j++)
				gram[(size_t) (first_row + i) * n + first_column + j] += tile->c[i * BLOCK + j];
	}
}

/* Takes the mean image out of the products; returns the trace. */
static double
centre(double *gram, int n)
{
	double *mean = palloc0(sizeof(double) * n);
	double all = 0;
	double trace = 0;
	int i;
	int j;

	for (i = 0; i < n; i++)
	{
		for (j = 0; j < n; j++)
			mean[i] += gram[(size_t) i * n + j];
		all += mean[i];
		mean[i] /= n;
	}
	all /= (double) n * n;
	for (i = 0; i < n; i++)
	{
		for (j = 0; j < n; j++)
			gram[(size_t) i * n + j] += all - mean[i] - mean[j];
		trace += gram[(size_t) i * n + i];
	}
	pfree(mean);
	return trace;
}

/* Fills the products of all images, n x n, which the caller zeroed. */
static void
multiply_images(double *gram, const Gallery *gallery)
{
	size_t cells = (size_t) BLOCK * CHUNK;
	int n = gallery->n;
	Tile tile;
	int i;
	int j;

	memset(&tile, 0, sizeof(tile));
	tile.sgemm = pneumo_blas_sgemm();
	tile.c = palloc(sizeof(float) * BLOCK * BLOCK);
	if (tile.sgemm != NULL)
	{
		tile.a = palloc(sizeof(float) * cells);
		tile.b = palloc(sizeof(float) * cells);
	}
	else
	{
		tile.whole_a = palloc(sizeof(int16) * cells);
		tile.whole_b = palloc(sizeof(int16) * cells);
	}
	for (i = 0; i < n; i += BLOCK)
		for (j = 0; j <= i; j += BLOCK)
			add_block(gram, &tile, gallery, i, j);
	for (i = 0; i < n; i++)
		for (j = i + 1; j < n; j++)
			gram[(size_t) i * n + j] = gram[(size_t) j * n + i];
}

/* ------------------------------------------------------------------ LAPACK */

typedef void (*Dsyevd)(const char *jobz, const char *uplo, const int32 *n, double *a, const int32 *lda,
					   double *w, double *work, const int32 *lwork, int32 *iwork, const int32 *liwork,
					   int32 *info, size_t jobz_len, size_t uplo_len);

static Dsyevd lapack_dsyevd = NULL;

/* Calls dsyevd in the form of dsyev: the workspace of integers is the end of the other one. */
static void
divide_and_conquer(const char *jobz, const char *uplo, const int32 *n, double *a, const int32 *lda, double *w,
				   double *work, const int32 *lwork, int32 *info, size_t jobz_len, size_t uplo_len)
{
	int32 own = 1 + 6 * *n + 2 * *n * *n; /* of n <= MAX_IMAGES */
	int32 whole = 3 + 5 * *n;

	*info = 0;
	if (*lwork < 0)
	{
		work[0] = own + (whole + 1) / 2;
		return;
	}
	lapack_dsyevd(jobz, uplo, n, a, lda, w, work, &own, (int32 *) (work + own), &whole, info, jobz_len,
				  uplo_len);
}

/* Returns LAPACK's solver; NULL without LAPACK. */
static StatsDsyev
eigensolver(void)
{
	*(void **) &lapack_dsyevd = pneumo_blas_symbol("dsyevd_");
	return lapack_dsyevd != NULL ? divide_and_conquer : NULL;
}

/* ------------------------------------------------------------------ result */

/*
 * Draws a component: grey at 0, from black to white at its own largest size, which
 * is made positive.
 */
static bytea *
draw(const Gallery *gallery, const double *weights)
{
	size_t n_pixels = gallery->n_pixels;
	double *sum = MemoryContextAllocExtended(CurrentMemoryContext, n_pixels * sizeof(double),
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	uint8 *pixels = MemoryContextAllocHuge(CurrentMemoryContext, n_pixels);
	double most = 0;
	bytea *result;
	size_t k;
	int i;

	for (i = 0; i < gallery->n; i++)
	{
		const uint8 *src = gallery->chosen[i].pixels;
		double weight = weights[i];

		CHECK_FOR_INTERRUPTS();
		for (k = 0; k < n_pixels; k++)
			sum[k] += weight * ((int) src[k] - ZERO);
	}
	for (k = 0; k < n_pixels; k++)
		if (fabs(sum[k]) > fabs(most) * (1 + 1e-9))
			most = sum[k];
	for (k = 0; k < n_pixels; k++)
		pixels[k] = (uint8) (ZERO + rint((most != 0 ? sum[k] / most : 0) * (ZERO - 1)));
	result = pneumo_picture(pixels, gallery->config->preprocess.height, gallery->config->preprocess.width, 1);
	pfree(pixels);
	pfree(sum);
	return result;
}

/* Puts the components that were asked for and are more than rounding; returns their number. */
static int
put_components(const Gallery *gallery, const double *vectors, const double *values, double trace,
			   PneumoEigenimagePut put, void *arg)
{
	double explained = 0;
	int k;

	for (k = 0; k < gallery->n - 1; k++)
	{
		bytea *picture;

		if (!(values[k] > SMALLEST * gallery->n * values[0]) ||
			(gallery->n_components > 0 ? k >= gallery->n_components : explained >= gallery->fraction))
			break;
		explained += values[k] / trace;
		picture = draw(gallery, vectors + (size_t) k * gallery->n);
		put(arg, k + 1, Min(values[k] / trace, 1.0), picture);
		pfree(picture);
	}
	return k;
}

static void
tell_left_out(const Gallery *gallery)
{
	if (gallery->unreadable > 0)
		ereport(NOTICE, (errmsg("%lld of %lld images cannot be read and are left out",
								(long long) gallery->unreadable, (long long) gallery->images)));
	if (gallery->n == gallery->max_images && gallery->images > gallery->max_images)
		ereport(NOTICE, (errmsg("%d of %lld images are used, chosen by their hash", gallery->n,
								(long long) gallery->images),
						 gallery->max_images < MAX_IMAGES
							 ? errhint("Config key \"max_images\" allows up to %d.", MAX_IMAGES)
							 : 0));
}

static void
require_images(const Gallery *gallery)
{
	if (gallery->n < 2)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("eigenimages need at least two different images, there %s %d",
							   gallery->n == 1 ? "is" : "are", gallery->n)));
}

int
pneumo_eigenimages_compute(Oid relid, Jsonb *config, bool tell, PneumoEigenimagePut put, void *arg)
{
	Gallery gallery;
	PneumoConfig *parsed;
	PneumoSource *source;
	PneumoStats stats;
	StatsStatus status;
	double *gram;
	double *values;
	double trace;
	int n;

	memset(&gallery, 0, sizeof(gallery));
	parsed = pneumo_explore_config(relid, config, own_keys);
	read_config(&gallery, parsed, config);
	source = pneumo_source_check(relid, parsed);
	gallery.cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo eigenimages", ALLOCSET_DEFAULT_SIZES);
	gallery.chosen = MemoryContextAlloc(gallery.cxt, sizeof(Chosen) * (gallery.max_images + 1));
	(void) pneumo_source_rows(source, visit, &gallery);
	if (tell)
		tell_left_out(&gallery);
	require_images(&gallery);

	gram = MemoryContextAllocExtended(gallery.cxt, (Size) gallery.n * gallery.n * sizeof(double),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	values = MemoryContextAlloc(gallery.cxt, sizeof(double) * gallery.n);
	multiply_images(gram, &gallery);
	trace = centre(gram, gallery.n);
	pneumo_stats_begin(&stats);
	CHECK_FOR_INTERRUPTS();
	status = stats_eigen_symmetric(gram, values, gallery.n, eigensolver(), &stats.env);
	pneumo_stats_end(&stats);
	if (status != STATS_OK)
		elog(ERROR, "could not compute the eigenimages: %s", stats_status_text(status));
	n = put_components(&gallery, gram, values, trace, put, arg);
	MemoryContextDelete(gallery.cxt);
	return n;
}

/* --------------------------------------------------------------------- SQL */

static void
put_row(void *arg, int component, double explained, bytea *picture)
{
	ReturnSetInfo *result = arg;
	Datum row[3];
	bool nulls[3] = {false};

	row[0] = Int32GetDatum(component);
	row[1] = Float8GetDatum(explained);
	row[2] = PointerGetDatum(picture);
	tuplestore_putvalues(result->setResult, result->setDesc, row, nulls);
}

Datum
pneumo_eigenimages(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	(void) pneumo_eigenimages_compute(DatumGetObjectId(pneumo_argument(fcinfo, 0)),
									  pneumo_config_argument(fcinfo, 1), true, put_row, fcinfo->resultinfo);
	return (Datum) 0;
}
