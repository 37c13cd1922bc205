/*-------------------------------------------------------------------------
 *
 * pixels.c
 *	  JPEG bytes to the network's pixels, for training and for prediction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "pg/base/attempts.h"
#include "pg/pneumo.h"

void
pneumo_image_limits(ImgLimits *limits)
{
	memset(limits, 0, sizeof(*limits));
	limits->max_pixels = (uint64) pneumo_max_image_pixels;
	/* while interrupts are held off the flag would stay up */
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

static ImgStatus
decode(uint8 *dst, const uint8 *bytes, size_t n_bytes, const ImgPreprocess *preprocess,
	   const ImgLimits *limits, ImgError *error)
{
	ImgInfo info;
	ImgStatus status;
	size_t scratch_bytes;
	void *scratch;

	status = img_jpeg_info(&info, bytes, n_bytes, limits, error);
	if (status != IMG_OK)
		return status;
	scratch_bytes = img_preprocess_scratch_bytes(&info, preprocess);
	if (scratch_bytes == 0)
	{
		error->status = IMG_TOO_LARGE;
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
