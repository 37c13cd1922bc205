/*-------------------------------------------------------------------------
 *
 * models.h
 *	  Changing models from SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_MODELS_H
#define PNEUMO_PG_MODELS_H

#include "utils/snapshot.h"

#include "pg/catalog/records.h"

/*
 * Opens a model for a change: right checked, model locked until the end of the
 * transaction, and *snapshot (to be unregistered) taken after the lock.
 */
extern int64 pneumo_model_open(const char *name, PneumoPrivilege privilege, const char *function,
							   Snapshot *snapshot);

#endif /* PNEUMO_PG_MODELS_H */
