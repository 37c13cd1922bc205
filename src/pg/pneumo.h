/*-------------------------------------------------------------------------
 *
 * pneumo.h
 *	  What every file of src/pg needs.
 *
 * Include after postgres.h.  Each folder of src/pg is a room with a header that
 * is its manual; docs/architecture.md shows the rooms and which may use which.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_PNEUMO_H
#define PNEUMO_PG_PNEUMO_H

#include "pg/base/compat.h"

#define PNEUMO_VERSION "0.1.0"

/* The schema of the relations; the functions are in the schema where the extension was created. */
#define PNEUMO_SCHEMA "pneumo"

#define PNEUMO_SHA256_LEN 32

#endif /* PNEUMO_PG_PNEUMO_H */
