/*-------------------------------------------------------------------------
 *
 * views.c
 *	  What the views of schema pneumo know beside the tables: the live state of
 *	  runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "pg/base/shmem.h"

PG_FUNCTION_INFO_V1(pneumo_run_state);

static bool
run_has_slot(int64 run)
{
	PneumoShared *shared = pneumo_shared();
	bool found = false;
	int i;

	LWLockAcquire(&shared->lock, LW_SHARED);
	for (i = 0; i < PNEUMO_RUN_SLOTS && !found; i++)
		found =
			shared->runs[i].in_use && shared->runs[i].database == MyDatabaseId && shared->runs[i].run == run;
	LWLockRelease(&shared->lock);
	return found;
}

Datum
pneumo_run_state(PG_FUNCTION_ARGS)
{
	int64 run = PG_GETARG_INT64(0);
	text *stored = PG_GETARG_TEXT_PP(1);
	char *state = text_to_cstring(stored);

	if ((strcmp(state, "running") == 0 || strcmp(state, "queued") == 0) && !RecoveryInProgress() &&
		!run_has_slot(run))
		PG_RETURN_TEXT_P(cstring_to_text("interrupted"));
	PG_RETURN_TEXT_P(stored);
}
