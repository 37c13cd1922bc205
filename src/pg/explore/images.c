/*-------------------------------------------------------------------------
 *
 * images.c
 *	  Images from SQL: what is in one, what the network sees, what training
 *	  makes of one, and drawn radiographs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "image/image.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/explore/explore.h"
#include "pg/predict/predict.h"

PG_FUNCTION_INFO_V1(pneumo_image_info);
PG_FUNCTION_INFO_V1(pneumo_preprocess);
PG_FUNCTION_INFO_V1(pneumo_phantom);
PG_FUNCTION_INFO_V1(pneumo_augment);


/* Returns true if the query goes on with NULL for this image; else raises the error. */
static bool
null_for_bad_image(const ImgError *error)
{
	if (pneumo_on_bad_image == PNEUMO_BAD_IMAGE_NULL && pneumo_image_is_bad(error->status))
		return true;
	pneumo_image_ereport(error);
}

Datum
pneumo_image_info(PG_FUNCTION_ARGS)
{
	bytea *bytes;
	ImgInfo info;
	ImgLimits limits;
	ImgError error;
	TupleDesc desc;
	Datum values[11];
	bool nulls[11] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pneumo_image_info must return a row");
	if (!pneumo_image_bytes(&bytes, PG_GETARG_DATUM(0), &error))
	{
		if (null_for_bad_image(&error))
			PG_RETURN_NULL();
	}
	pneumo_image_limits(&limits);
	limits.interrupt = NULL; /* only the header is read */
	error.status =
		img_info(&info, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), &limits, &error);
	if (error.status != IMG_OK && null_for_bad_image(&error))
		PG_RETURN_NULL();

	values[0] = Int32GetDatum((int32) info.width);
	values[1] = Int32GetDatum((int32) info.height);
	values[2] = Int32GetDatum(info.components);
	values[3] = BoolGetDatum(info.progressive != 0);
	values[4] = Int32GetDatum(info.bits);
	values[5] = Int64GetDatum((int64) VARSIZE_ANY_EXHDR(bytes));
	values[6] = CStringGetTextDatum(img_format_name(info.format));
	values[7] = CStringGetTextDatum(info.photometric);
	values[8] = Int32GetDatum(info.bits_stored);
	values[9] = CStringGetTextDatum(info.transfer_syntax);
	nulls[9] = info.transfer_syntax[0] == '\0';
	values[10] = Int32GetDatum(info.orientation);
	nulls[10] = info.orientation == 0;
	PG_FREE_IF_COPY(bytes, 0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
pneumo_preprocess(PG_FUNCTION_ARGS)
{
	char *name = PG_NARGS() > 1 ? text_to_cstring(PG_GETARG_TEXT_PP(1)) : pstrdup(pneumo_default_model);
	PneumoVersionId id;
	PneumoScorer *scorer;
	int dims[3];

	pneumo_resolve(name, &id);
	scorer = pneumo_scorer_get(&fcinfo->flinfo->fn_extra, fcinfo->flinfo->fn_mcxt, &id, pneumo_path());
	if (!pneumo_scorer_decode(scorer, 0, PG_GETARG_DATUM(0), pneumo_on_bad_image))
		PG_RETURN_NULL();
	dims[0] = scorer->meta->preprocess.height;
	dims[1] = scorer->meta->preprocess.width;
	dims[2] = scorer->meta->preprocess.channels;
	PG_RETURN_ARRAYTYPE_P(pneumo_real_array(scorer->src, 3, dims));
}

static int
phantom_label(const char *label)
{
	if (pg_strcasecmp(label, "PNEUMONIA") == 0)
		return 1;
	if (pg_strcasecmp(label, "NORMAL") == 0)
		return 0;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("no radiograph can be drawn for label \"%s\"", pneumo_clip(label)),
					errhint("Labels are NORMAL and PNEUMONIA.")));
	return 0;
}

bytea *
pneumo_phantom_draw(uint64 seed, bool pneumonia, int side)
{
	void *scratch;
	uint8 *pixels;
	PneumoAttempts attempts;
	ImgError error;

	pixels = palloc((Size) side * side);
	scratch = pneumo_scratch(img_phantom_scratch_bytes(side, side));
	memset(&error, 0, sizeof(error));
	pneumo_attempts_begin(&attempts);
	do
		error.status = img_phantom(pixels, side, side, seed, pneumonia, attempts.stop, pneumo_align(scratch));
	while (error.status == IMG_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (error.status != IMG_OK)
	{
		error.hint[0] = '\0';
		strlcpy(error.message, "the radiograph could not be drawn", sizeof(error.message));
		pneumo_image_ereport(&error);
	}
	pfree(scratch);
	return pneumo_picture(pixels, side, side, 1);
}

Datum
pneumo_phantom(PG_FUNCTION_ARGS)
{
	uint64 seed = (uint64) PG_GETARG_INT64(0);
	int pneumonia = phantom_label(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	int32 side = PG_GETARG_INT32(2);

	if (side < PNEUMO_MIN_PHANTOM_SIDE || side > PNEUMO_MAX_PHANTOM_SIDE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("size is %d pixels, allowed is %d to %d", side, PNEUMO_MIN_PHANTOM_SIDE,
							   PNEUMO_MAX_PHANTOM_SIDE)));
	PG_RETURN_BYTEA_P(pneumo_phantom_draw(seed, pneumonia, side));
}

/* Applies one draw of a config's augmentation as in training, to 8 bits. */
static void
augment(uint8 *pixels, const PneumoConfig *config, uint64 seed)
{
	const ImgPreprocess *pre = &config->preprocess;
	size_t n = (size_t) pre->height * pre->width * pre->channels;
	ImgTransform transform;
	void *scratch;
	float *dst;
	size_t i;

	dst = pneumo_scratch(n * sizeof(float));
	scratch = pneumo_scratch(img_augment_scratch_bytes(pre->height, pre->width, pre->channels));
	img_augment_draw(&transform, &config->augment, pre->height, pre->width, seed, 1, 0);
	img_augment_apply(dst, pixels, pre->height, pre->width, pre->channels, &transform, 1.0f,
					  pneumo_align(scratch));
	for (i = 0; i < n; i++)
		pixels[i] = (uint8) (Min(Max(dst[i], 0.0f), 255.0f) + 0.5f);
	pfree(scratch);
	pfree(dst);
}

Datum
pneumo_augment(PG_FUNCTION_ARGS)
{
	PneumoConfig *config = pneumo_config_parse(PG_GETARG_JSONB_P(1));
	uint64 seed = (uint64) PG_GETARG_INT64(2);
	const ImgPreprocess *pre = &config->preprocess;
	uint8 *pixels;
	bytea *bytes;
	ImgError error;

	pneumo_check_memory("drawing an image of this config's size",
						(double) pre->height * pre->width * pre->channels * (sizeof(uint8) + sizeof(float)) +
							(double) img_augment_scratch_bytes(pre->height, pre->width, pre->channels));
	if (!pneumo_image_bytes(&bytes, PG_GETARG_DATUM(0), &error))
	{
		if (null_for_bad_image(&error))
			PG_RETURN_NULL();
	}
	pixels = palloc((Size) pre->height * pre->width * pre->channels);
	error.status =
		pneumo_pixels(pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), pre, &error);
	PG_FREE_IF_COPY(bytes, 0);
	if (error.status != IMG_OK && null_for_bad_image(&error))
		PG_RETURN_NULL();
	if (!img_augment_is_identity(&config->augment))
		augment(pixels, config, seed);
	PG_RETURN_BYTEA_P(pneumo_picture(pixels, pre->height, pre->width, pre->channels));
}
