/*-------------------------------------------------------------------------
 *
 * deidentify.c
 *	  pneumo_dicom_deidentify: a DICOM file without what names a person.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "image/image.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/explore/explore.h"

PG_FUNCTION_INFO_V1(pneumo_dicom_deidentify);

#define MIN_KEY 16 /* bytes */

/* Reads the options. */
static void
read_options(ImgDeidentify *options, Jsonb *given)
{
	static const char *const keys[] = {"key", "dates", "keep_private", "keep_characteristics", NULL};
	static const char *const dates[] = {"remove", "shift", NULL};
	const char *unknown;
	JsonbValue *value;
	char *key;

	memset(options, 0, sizeof(*options));
	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be a JSON object")));
	unknown = pneumo_json_unknown_key(&given->root, keys);
	if (unknown != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown option \"%s\"", pneumo_clip(unknown)),
						errhint("Options are key, dates, keep_private and keep_characteristics.")));
	value = pneumo_json_get(&given->root, "key");
	if (pneumo_json_is_null(value))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"key\" is missing"),
						errdetail("UIDs and PatientID become hashes under this key."),
						errhint("Give a secret text of at least %d bytes, the same for all images whose "
								"references to each other are to remain.",
								MIN_KEY)));
	key = pneumo_json_read_string("option \"key\"", value);
	if (strlen(key) < MIN_KEY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"key\" has %zu bytes, at least %d are needed", strlen(key), MIN_KEY),
						errdetail("Who guesses the key can find out which patient has which pseudonym.")));
	options->key = key;
	options->n_key = strlen(key);
	value = pneumo_json_get(&given->root, "dates");
	if (!pneumo_json_is_null(value))
		options->shift_dates = pneumo_json_read_enum("option \"dates\"", value, dates) == 1;
	value = pneumo_json_get(&given->root, "keep_private");
	if (!pneumo_json_is_null(value))
		options->keep_private = pneumo_json_read_bool("option \"keep_private\"", value);
	value = pneumo_json_get(&given->root, "keep_characteristics");
	if (!pneumo_json_is_null(value))
		options->keep_characteristics = pneumo_json_read_bool("option \"keep_characteristics\"", value);
}

/* De-identifies a file, in one attempt; *result is NULL unless that succeeds. */
static ImgStatus
deidentify(bytea **result, ImgDeidentified *found, const bytea *bytes, const ImgDeidentify *options,
		   const ImgLimits *limits, ImgError *error)
{
	const uint8 *data = (const uint8 *) VARDATA_ANY(bytes);
	size_t n_bytes = VARSIZE_ANY_EXHDR(bytes);
	size_t n;
	ImgStatus status;

	*result = NULL;
	status = img_dicom_deidentify(NULL, 0, &n, found, data, n_bytes, options, limits, error);
	if (status != IMG_OK)
		return status;
	pneumo_check_memory("a de-identified file", (double) n);
	if (n > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the de-identified file has %zu bytes", n)));
	*result = palloc(VARHDRSZ + n);
	SET_VARSIZE(*result, VARHDRSZ + n);
	return img_dicom_deidentify((uint8 *) VARDATA(*result), n, &n, found, data, n_bytes, options, limits,
								error);
}

Datum
pneumo_dicom_deidentify(PG_FUNCTION_ARGS)
{
	bytea *bytes = NULL;
	bytea *result = NULL;
	ImgDeidentify options;
	ImgDeidentified found;
	ImgLimits limits;
	ImgError error;

	read_options(&options, PG_GETARG_JSONB_P(1));
	if (pneumo_image_bytes(&bytes, PG_GETARG_DATUM(0), &error))
	{
		PneumoAttempts attempts;

		pneumo_image_limits(&limits);
		pneumo_attempts_begin(&attempts);
		do
		{
			limits.interrupt = attempts.stop;
			error.status = deidentify(&result, &found, bytes, &options, &limits, &error);
		} while (error.status == IMG_INTERRUPTED && pneumo_attempts_next(&attempts));
	}
	if (error.status != IMG_OK)
	{
		if (pneumo_on_bad_image != PNEUMO_BAD_IMAGE_NULL || !pneumo_image_is_bad(error.status))
			pneumo_image_ereport(&error);
		PG_RETURN_NULL();
	}
	if (found.burned_in)
		ereport(NOTICE,
				(errmsg("the pixels may show who the patient is: BurnedInAnnotation is YES"),
				 errhint("The pixels are as they were: look at the picture before it is given away.")));
	PG_RETURN_BYTEA_P(result);
}
