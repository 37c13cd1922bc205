/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  Statuses of the plain-C layers to errors of the server, and text and
 *	  numbers as messages show them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"

static int
nn_sqlstate(NnStatus status)
{
	switch (status)
	{
		case NN_BAD_ARGUMENT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case NN_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case NN_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case NN_CORRUPT:
			return ERRCODE_DATA_CORRUPTED;
		case NN_INTERRUPTED:
			return ERRCODE_QUERY_CANCELED;
		case NN_NOT_FINITE:
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		case NN_THREAD:
			return ERRCODE_INSUFFICIENT_RESOURCES;
		case NN_OK:
		case NN_LOAD_FAILED:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

/* Returns a message without what is no text: it may quote bytes of a model from anywhere. */
static char *
printable(const char *message)
{
	char *copy = pstrdup(message);
	char *c;

	if (!pg_verifymbstr(copy, strlen(copy), true))
	{
		for (c = copy; *c != '\0'; c++)
		{
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
		}
	}
	return copy;
}

void
pneumo_nn_ereport(const NnError *error)
{
	/* an interrupt that was the reason speaks for itself */
	if (error->status == NN_INTERRUPTED)
		CHECK_FOR_INTERRUPTS();

	ereport(ERROR,
			(errcode(nn_sqlstate(error->status)),
			 errmsg("%s", error->message[0] != '\0' ? printable(error->message) : "the network core failed"),
			 error->hint[0] != '\0' ? errhint("%s", printable(error->hint)) : 0));
	pg_unreachable();
}

int
pneumo_image_sqlstate(ImgStatus status)
{
	switch (status)
	{
		case IMG_NOT_IMAGE:
		case IMG_CORRUPT:
			return ERRCODE_INVALID_BINARY_REPRESENTATION;
		case IMG_UNSUPPORTED:
		case IMG_TOO_LARGE:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case IMG_NO_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		case IMG_INTERRUPTED:
			return ERRCODE_QUERY_CANCELED;
		case IMG_OK:
		case IMG_BAD_ARGUMENT:
		case IMG_NO_SPACE:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

bool
pneumo_image_is_bad(ImgStatus status)
{
	return status == IMG_NOT_IMAGE || status == IMG_CORRUPT || status == IMG_UNSUPPORTED ||
		   status == IMG_TOO_LARGE;
}

void
pneumo_image_ereport(const ImgError *error)
{
	if (error->status == IMG_INTERRUPTED)
		CHECK_FOR_INTERRUPTS();

	ereport(ERROR, (errcode(pneumo_image_sqlstate(error->status)), errmsg("%s", printable(error->message)),
					error->hint[0] != '\0' ? errhint("%s", error->hint) : 0));
	pg_unreachable();
}

char *
pneumo_image_reason(const ImgError *error)
{
	const char *message = printable(error->message);

	return error->hint[0] != '\0' ? psprintf("%s (%s)", message, error->hint) : pstrdup(message);
}

/* ----------------------------------------------------------------- messages */

char *
pneumo_clip(const char *text)
{
	static const char end[] = " ...";
	size_t len = strlen(text);
	char *clipped;
	int n;

	if (len <= PNEUMO_CLIP)
		return pstrdup(text);
	n = pg_mbcliplen(text, PNEUMO_CLIP, PNEUMO_CLIP - (int) sizeof(end) + 1);
	clipped = palloc(n + sizeof(end));
	memcpy(clipped, text, n);
	memcpy(clipped + n, end, sizeof(end));
	return clipped;
}

char *
pneumo_memory_text(double n_bytes)
{
	if (n_bytes < 1048576)
		return psprintf("%.0f kB", ceil(n_bytes / 1024));
	return psprintf("%.1f MB", ceil(n_bytes / 1048576 * 10) / 10);
}

void
pneumo_copy_text(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src);
	int n = len < size ? (int) len : pg_mbcliplen(src, (int) size, (int) size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
}

void
pneumo_nn_check(NnStatus status, const char *what)
{
	NnError error;

	if (status == NN_OK)
		return;
	memset(&error, 0, sizeof(error));
	error.status = status;
	strlcpy(error.message, what, sizeof(error.message));
	pneumo_nn_ereport(&error);
}
