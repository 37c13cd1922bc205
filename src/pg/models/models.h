/*-------------------------------------------------------------------------
 *
 * models.h
 *	  Changing models from SQL: what grants.c and models.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_MODELS_H
#define PNEUMO_PG_MODELS_H

#include "utils/snapshot.h"

#include "pg/catalog/records.h"

/*
 * Opens a model for a change: checks the privilege, locks the model until the
 * end of the transaction and registers *snapshot after that.  Returns the
 * model's id.
 */
extern int64 pneumo_model_open(const char *name, PneumoPrivilege privilege, const char *function,
							   Snapshot *snapshot);

#endif /* PNEUMO_PG_MODELS_H */
