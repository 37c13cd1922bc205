/*-------------------------------------------------------------------------
 *
 * views.c
 *	  What the views of schema pneumo show in addition to the tables: the live
 *	  state of runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/builtins.h"

#include "pg/base/shmem.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_run_state);

const char *
pneumo_run_live_state(int64 run, const char *stored)
{
	PneumoRunSlot slot;

	if (RecoveryInProgress() || strcmp(stored, "succeeded") == 0)
		return stored;
	if (pneumo_slot_find(run, &slot))
		return pneumo_slot_is_queued(&slot) ? "queued"
											: stored; /* one that is resumed still has its old state */
	if (strcmp(stored, "running") == 0 || strcmp(stored, "queued") == 0)
		return "interrupted";
	return stored;
}

Datum
pneumo_run_state(PG_FUNCTION_ARGS)
{
	char *stored = text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_TEXT_P(cstring_to_text(pneumo_run_live_state(PG_GETARG_INT64(0), stored)));
}
