/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Filling an NnError.
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"
#include "nn.h"

#include <stdarg.h>
#include <stdio.h>

NnStatus
nn_fail(NnError *error, NnStatus status, int node, const char *hint, const char *format, ...)
{
	va_list args;

	if (error == NULL)
		return status;
	error->status = status;
	error->node = node;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	snprintf(error->hint, sizeof(error->hint), "%s", hint);
	return status;
}
