/*-------------------------------------------------------------------------
 *
 * error.h
 *	  Filling an NnError.  Owner: error.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_ERROR_H
#define PNEUMO_NN_ERROR_H

#include "nn.h"

/*
 * Fills *error (which may be NULL) and returns status, so that a function can
 * end with "return nn_fail(...)".  The node is the index of the node concerned
 * or -1; the hint is a sentence, or empty.
 */
extern NnStatus nn_fail(NnError *error, NnStatus status, int node, const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif /* PNEUMO_NN_ERROR_H */
