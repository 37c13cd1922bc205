/*-------------------------------------------------------------------------
 *
 * pixels.c
 *	  Image bytes in and out: the bytes of images to the network's pixels, for training
 *	  and for prediction; pixels to JPEG; memory for both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"

#define JPEG_QUALITY 92 /* of drawn pictures */

/*
 * What a decoder may allocate: room for the largest image that is allowed with
 * four components of two bytes, as a progressive JPEG or an interlaced PNG image
 * of 16 bits needs, and some for the decoder itself.
 */
#define CODEC_BYTES_PER_PIXEL 8
#define CODEC_BYTES ((size_t) 16 * 1024 * 1024)

void
pneumo_image_limits(ImgLimits *limits)
{
	memset(limits, 0, sizeof(*limits));
	limits->max_bytes = PNEUMO_MAX_IMAGE_BYTES;
	limits->max_pixels = (uint64) pneumo_max_image_pixels;
	limits->max_codec_bytes = CODEC_BYTES + CODEC_BYTES_PER_PIXEL * (size_t) pneumo_max_image_pixels;
	/* while interrupts are held off nobody would take the flag down */
	limits->interrupt = INTERRUPTS_CAN_BE_PROCESSED() ? &InterruptPending : NULL;
}

void *
pneumo_scratch(Size n_bytes)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, n_bytes + NN_ALIGN, MCXT_ALLOC_HUGE);
}

void *
pneumo_align(void *memory)
{
	return (void *) TYPEALIGN(NN_ALIGN, memory);
}

void
pneumo_check_memory(const char *what, double n_bytes)
{
	if (n_bytes > (double) pneumo_predict_memory * 1024)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s needs %s of memory, pneumo.predict_memory allows %s", what,
					pneumo_memory_text(n_bytes), pneumo_memory_text((double) pneumo_predict_memory * 1024)),
			 errhint(
				 "A network for smaller images needs less; a superuser can enlarge pneumo.predict_memory.")));
}

/* Decodes an image and turns it into the network's pixels, in one attempt. */
static ImgStatus
decode(uint8 *dst, const uint8 *bytes, size_t n_bytes, const ImgPreprocess *preprocess,
	   const ImgLimits *limits, ImgError *error)
{
	ImgInfo info;
	ImgStatus status;
	size_t scratch_bytes;
	void *scratch;

	status = img_info(&info, bytes, n_bytes, limits, error);
	if (status != IMG_OK)
		return status;
	scratch_bytes = img_preprocess_scratch_bytes(&info, preprocess);
	if (scratch_bytes == 0)
	{
		error->status = IMG_TOO_LARGE;
		error->hint[0] = '\0';
		snprintf(error->message, sizeof(error->message), "image of %u x %u pixels is too large", info.width,
				 info.height);
		return IMG_TOO_LARGE;
	}
	scratch = pneumo_scratch(scratch_bytes);
	status = img_preprocess(dst, bytes, n_bytes, &info, preprocess, limits, pneumo_align(scratch),
							scratch_bytes, error);
	pfree(scratch);
	return status;
}

ImgStatus
pneumo_pixels(uint8 *dst, const uint8 *bytes, size_t n_bytes, const ImgPreprocess *preprocess,
			  ImgError *error)
{
	ImgLimits limits;
	ImgStatus status;
	PneumoAttempts attempts;

	pneumo_image_limits(&limits);
	pneumo_attempts_begin(&attempts);
	do
	{
		limits.interrupt = attempts.stop;
		status = decode(dst, bytes, n_bytes, preprocess, &limits, error);
	} while (status == IMG_INTERRUPTED && pneumo_attempts_next(&attempts));
	return status;
}

bytea *
pneumo_bytea(const void *bytes, size_t n_bytes)
{
	bytea *result = palloc(VARHDRSZ + n_bytes);

	SET_VARSIZE(result, VARHDRSZ + n_bytes);
	memcpy(VARDATA(result), bytes, n_bytes);
	return result;
}

bool
pneumo_image_bytes(bytea **bytes, Datum image, ImgError *error)
{
	Size n_bytes = toast_raw_datum_size(image) - VARHDRSZ;

	/* the size is known without reading the image */
	if (n_bytes > PNEUMO_MAX_IMAGE_BYTES)
	{
		error->status = IMG_TOO_LARGE;
		error->hint[0] = '\0';
		snprintf(error->message, sizeof(error->message), "image of %zu bytes, where at most %zu are allowed",
				 n_bytes, PNEUMO_MAX_IMAGE_BYTES);
		return false;
	}
	*bytes = DatumGetByteaPP(image);
	return true;
}

ArrayType *
pneumo_real_array(const float *values, int n_dims, const int *dims)
{
	int lower[3] = {1, 1, 1};
	size_t n = 1;
	Size bytes;
	ArrayType *array;
	int i;

	for (i = 0; i < n_dims; i++)
		n *= (size_t) dims[i];
	if (n > (MaxAllocSize - ARR_OVERHEAD_NONULLS(n_dims)) / sizeof(float))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("an array of %zu numbers is too large", n)));
	bytes = ARR_OVERHEAD_NONULLS(n_dims) + n * sizeof(float);
	array = palloc0(bytes);
	SET_VARSIZE(array, bytes);
	array->ndim = n_dims;
	array->dataoffset = 0;
	array->elemtype = FLOAT4OID;
	memcpy(ARR_DIMS(array), dims, sizeof(int) * n_dims);
	memcpy(ARR_LBOUND(array), lower, sizeof(int) * n_dims);
	memcpy(ARR_DATA_PTR(array), values, n * sizeof(float));
	return array;
}

bytea *
pneumo_picture(const uint8 *pixels, int height, int width, int channels)
{
	size_t bound = img_encode_bound(height, width, channels);
	size_t used = 0;
	bytea *result;
	ImgError error;

	if (bound == 0 || bound > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a picture of %d x %d pixels is too large", width, height)));
	result = palloc(VARHDRSZ + bound);
	error.status = img_encode_jpeg((uint8 *) VARDATA(result), bound, &used, pixels, height, width, channels,
								   JPEG_QUALITY, &error);
	if (error.status != IMG_OK)
		pneumo_image_ereport(&error);
	SET_VARSIZE(result, VARHDRSZ + used);
	return result;
}
