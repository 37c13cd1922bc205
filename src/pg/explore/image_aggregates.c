/*-------------------------------------------------------------------------
 *
 * image_aggregates.c
 *	  Pictures of many images: their mean, their spread, and what tells two
 *	  classes apart.
 *
 * The state of an aggregate is two planes of 64-bit sums over the pixels, a
 * fixed size whatever the number of rows.  Sums of integers do not depend on
 * their order, so a parallel plan gives the same bytes as a serial one; only
 * the final function divides.
 *
 * Images come to one size by pneumo_pixels(), as in training: grey, 8 bits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "image/image.h"

#include "pg/base/base.h"

PG_FUNCTION_INFO_V1(pneumo_mean_image_step);
PG_FUNCTION_INFO_V1(pneumo_mean_image_final);
PG_FUNCTION_INFO_V1(pneumo_std_image_step);
PG_FUNCTION_INFO_V1(pneumo_std_image_final);
PG_FUNCTION_INFO_V1(pneumo_contrast_image_step);
PG_FUNCTION_INFO_V1(pneumo_contrast_image_final);
PG_FUNCTION_INFO_V1(pneumo_image_sums_combine);
PG_FUNCTION_INFO_V1(pneumo_image_sums_serialize);
PG_FUNCTION_INFO_V1(pneumo_image_sums_deserialize);

#define DEFAULT_SIDE 256
#define MAX_SIDE 1024
#define STD_SCALE \
	2.0                     /* grey levels a level of standard deviation:
								 * the largest there can be is 127.5 */
#define CONTRAST_SCALE 32.0 /* levels of difference in full colour */
#define CONTRAST_ZERO 232   /* the colour map's own grey at zero */

/*
 * mean: sums in the first plane, the second is not there; std: sums and sums
 * of squares; contrast: sums of the negative and of the positive images.
 */
typedef struct ImageSums
{
	int32 height;
	int32 width;
	int32 planes;
	int32 filler;
	double scale;                      /* contrast */
	int64 n[2];                        /* images by plane; mean and std count in the first */
	int64 unreadable;                  /* left out */
	uint64 sum[FLEXIBLE_ARRAY_MEMBER]; /* [planes][height * width] */
} ImageSums;

static size_t
pixel_count(const ImageSums *sums)
{
	return (size_t) sums->height * (size_t) sums->width;
}

static size_t
sums_bytes(int32 height, int32 width, int32 planes)
{
	return offsetof(ImageSums, sum) + (size_t) height * width * planes * sizeof(uint64);
}

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext cxt;

	if (!AggCheckCallContext(fcinfo, &cxt))
		elog(ERROR, "image aggregate called outside an aggregate");
	return cxt;
}

/* --------------------------------------------------------- transition */

static int32
side_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	int32 side;

	if (PG_NARGS() <= argument)
		return DEFAULT_SIDE;
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
	side = PG_GETARG_INT32(argument);
	if (side < 1 || side > MAX_SIDE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is %d pixels, allowed is 1 to %d", name, side, MAX_SIDE)));
	return side;
}

/*
 * Returns the state, which is made or checked against the arguments; argument is
 * the position of the height.
 */
static ImageSums *
get_sums(FunctionCallInfo fcinfo, int argument, int32 planes, double scale)
{
	int32 height = side_argument(fcinfo, argument, "height");
	int32 width = side_argument(fcinfo, argument + 1, "width");
	ImageSums *sums;

	if (!PG_ARGISNULL(0))
	{
		sums = (ImageSums *) PG_GETARG_POINTER(0);
		if (sums->height != height || sums->width != width || sums->scale != scale)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("height, width and scale must be the same for all rows"),
							errhint("Group by what they depend on.")));
		return sums;
	}
	sums = MemoryContextAllocZero(aggregate_context(fcinfo), sums_bytes(height, width, planes));
	sums->height = height;
	sums->width = width;
	sums->planes = planes;
	sums->scale = scale;
	return sums;
}

/* Returns the pixels of an image in the current context; NULL (and counts it) if it is left out. */
static uint8 *
read_pixels(ImageSums *sums, Datum image)
{
	ImgPreprocess pre = {sums->height, sums->width, 1, IMG_INTERPOLATION_AREA};
	bytea *bytes;
	uint8 *pixels = NULL;
	ImgError error;

	if (pneumo_image_bytes(&bytes, image, &error))
	{
		pixels = palloc(pixel_count(sums));
		error.status =
			pneumo_pixels(pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &pre, &error);
		if ((Pointer) bytes != DatumGetPointer(image))
			pfree(bytes);
	}
	if (error.status == IMG_OK)
		return pixels;
	if (pneumo_on_bad_image != PNEUMO_BAD_IMAGE_NULL || !pneumo_image_is_bad(error.status))
		pneumo_image_ereport(&error);
	sums->unreadable++;
	if (pixels != NULL)
		pfree(pixels);
	return NULL;
}

static void
add_pixels(uint64 *sum, const uint8 *pixels, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		sum[i] += pixels[i];
}

static void
add_squares(uint64 *sum, const uint8 *pixels, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		sum[i] += (uint32) pixels[i] * pixels[i];
}

static Datum
mean_or_std_step(FunctionCallInfo fcinfo, int32 planes)
{
	ImageSums *sums = get_sums(fcinfo, 2, planes, 0);
	uint8 *pixels;

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(sums);
	pixels = read_pixels(sums, PG_GETARG_DATUM(1));
	if (pixels != NULL)
	{
		add_pixels(sums->sum, pixels, pixel_count(sums));
		if (planes > 1)
			add_squares(sums->sum + pixel_count(sums), pixels, pixel_count(sums));
		sums->n[0]++;
		pfree(pixels);
	}
	PG_RETURN_POINTER(sums);
}

Datum
pneumo_mean_image_step(PG_FUNCTION_ARGS)
{
	return mean_or_std_step(fcinfo, 1);
}

Datum
pneumo_std_image_step(PG_FUNCTION_ARGS)
{
	return mean_or_std_step(fcinfo, 2);
}

static double
scale_argument(FunctionCallInfo fcinfo, int argument)
{
	double scale;

	if (PG_NARGS() <= argument)
		return CONTRAST_SCALE;
	scale = PG_ARGISNULL(argument) ? NAN : PG_GETARG_FLOAT8(argument);
	if (!(scale > 0 && scale <= 255))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						PG_ARGISNULL(argument)
							? errmsg("scale must not be null")
							: errmsg("scale is %g grey levels, must be above 0 and at most 255", scale)));
	return scale;
}

Datum
pneumo_contrast_image_step(PG_FUNCTION_ARGS)
{
	ImageSums *sums = get_sums(fcinfo, 3, 2, scale_argument(fcinfo, 5));
	uint8 *pixels;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(sums);
	pixels = read_pixels(sums, PG_GETARG_DATUM(1));
	if (pixels != NULL)
	{
		int plane = PG_GETARG_BOOL(2) ? 1 : 0;

		add_pixels(sums->sum + plane * pixel_count(sums), pixels, pixel_count(sums));
		sums->n[plane]++;
		pfree(pixels);
	}
	PG_RETURN_POINTER(sums);
}

/* ------------------------------------------------------------ parallel */

Datum
pneumo_image_sums_combine(PG_FUNCTION_ARGS)
{
	MemoryContext cxt = aggregate_context(fcinfo);
	ImageSums *sums = PG_ARGISNULL(0) ? NULL : (ImageSums *) PG_GETARG_POINTER(0);
	ImageSums *other = PG_ARGISNULL(1) ? NULL : (ImageSums *) PG_GETARG_POINTER(1);
	size_t n;
	size_t i;

	if (other == NULL)
	{
		if (sums == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(sums);
	}
	n = pixel_count(other) * other->planes;
	if (sums == NULL)
	{
		size_t bytes = sums_bytes(other->height, other->width, other->planes);

		sums = MemoryContextAlloc(cxt, bytes);
		memcpy(sums, other, bytes);
		PG_RETURN_POINTER(sums);
	}
	if (sums->height != other->height || sums->width != other->width || sums->planes != other->planes ||
		sums->scale != other->scale)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("height, width and scale must be the same for all rows"),
						errhint("Group by what they depend on.")));
	for (i = 0; i < n; i++)
		sums->sum[i] += other->sum[i];
	sums->n[0] += other->n[0];
	sums->n[1] += other->n[1];
	sums->unreadable += other->unreadable;
	PG_RETURN_POINTER(sums);
}

/* Copies the state's own bytes: they only go between processes of one server. */
Datum
pneumo_image_sums_serialize(PG_FUNCTION_ARGS)
{
	ImageSums *sums = (ImageSums *) PG_GETARG_POINTER(0);

	(void) aggregate_context(fcinfo);
	PG_RETURN_BYTEA_P(pneumo_bytea(sums, sums_bytes(sums->height, sums->width, sums->planes)));
}

Datum
pneumo_image_sums_deserialize(PG_FUNCTION_ARGS)
{
	bytea *bytes = PG_GETARG_BYTEA_PP(0);
	size_t n_bytes = VARSIZE_ANY_EXHDR(bytes);
	ImageSums *sums;

	(void) aggregate_context(fcinfo);
	if (n_bytes < offsetof(ImageSums, sum))
		elog(ERROR, "state of an image aggregate has only %zu bytes", n_bytes);
	sums = palloc(n_bytes);
	memcpy(sums, VARDATA_ANY(bytes), n_bytes);
	if (sums->height < 1 || sums->height > MAX_SIDE || sums->width < 1 || sums->width > MAX_SIDE ||
		sums->planes < 1 || sums->planes > 2 ||
		n_bytes != sums_bytes(sums->height, sums->width, sums->planes))
		elog(ERROR, "state of an image aggregate is damaged");
	PG_RETURN_POINTER(sums);
}

/* --------------------------------------------------------------- final */

/* Returns the state of a final call, with a notice on what was left out; NULL if there is none. */
static ImageSums *
final_sums(FunctionCallInfo fcinfo)
{
	ImageSums *sums;

	(void) aggregate_context(fcinfo);
	if (PG_ARGISNULL(0))
		return NULL;
	sums = (ImageSums *) PG_GETARG_POINTER(0);
	if (sums->unreadable > 0)
		ereport(NOTICE,
				(errmsg("%lld of %lld images cannot be read and are left out", (long long) sums->unreadable,
						(long long) (sums->unreadable + sums->n[0] + sums->n[1]))));
	return sums;
}

Datum
pneumo_mean_image_final(PG_FUNCTION_ARGS)
{
	ImageSums *sums = final_sums(fcinfo);
	uint8 *pixels;
	size_t n;
	size_t i;

	if (sums == NULL || sums->n[0] == 0)
		PG_RETURN_NULL();
	n = pixel_count(sums);
	pixels = palloc(n);
	for (i = 0; i < n; i++)
		pixels[i] = (uint8) ((sums->sum[i] + (uint64) sums->n[0] / 2) / (uint64) sums->n[0]);
	PG_RETURN_BYTEA_P(pneumo_picture(pixels, sums->height, sums->width, 1));
}

Datum
pneumo_std_image_final(PG_FUNCTION_ARGS)
{
	ImageSums *sums = final_sums(fcinfo);
	uint8 *pixels;
	size_t n;
	size_t i;

	if (sums == NULL || sums->n[0] == 0)
		PG_RETURN_NULL();
	n = pixel_count(sums);
	pixels = palloc(n);
	for (i = 0; i < n; i++)
	{
		double mean = (double) sums->sum[i] / (double) sums->n[0];
		double variance = (double) sums->sum[n + i] / (double) sums->n[0] - mean * mean;

		pixels[i] = (uint8) (Min(STD_SCALE * sqrt(Max(variance, 0.0)), 255.0) + 0.5);
	}
	PG_RETURN_BYTEA_P(pneumo_picture(pixels, sums->height, sums->width, 1));
}

/* Draws the difference of the means: red where positive images are brighter, blue where they are darker. */
Datum
pneumo_contrast_image_final(PG_FUNCTION_ARGS)
{
	ImageSums *sums = final_sums(fcinfo);
	uint8 *grey;
	uint8 *pixels;
	float *map;
	size_t n;
	size_t i;

	if (sums == NULL || sums->n[0] == 0 || sums->n[1] == 0)
		PG_RETURN_NULL();
	n = pixel_count(sums);
	grey = palloc(n);
	pixels = palloc(n * 3);
	map = palloc(n * sizeof(float));
	memset(grey, CONTRAST_ZERO, n);
	for (i = 0; i < n; i++)
		map[i] = (float) ((double) sums->sum[n + i] / (double) sums->n[1] -
						  (double) sums->sum[i] / (double) sums->n[0]);
	img_overlay(pixels, grey, sums->height, sums->width, map, sums->height, sums->width, (float) sums->scale,
				1.0f);
	PG_RETURN_BYTEA_P(pneumo_picture(pixels, sums->height, sums->width, 3));
}
