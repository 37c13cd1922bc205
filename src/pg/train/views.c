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

Datum
pneumo_run_state(PG_FUNCTION_ARGS)
{
	int64 run = PG_GETARG_INT64(0);
	text *stored = PG_GETARG_TEXT_PP(1);
	char *state = text_to_cstring(stored);
	PneumoRunSlot slot;

	if (RecoveryInProgress() || strcmp(state, "succeeded") == 0)
		PG_RETURN_TEXT_P(stored);
	if (pneumo_slot_find(run, &slot))
	{
		/* one that is resumed still has its old state */
		if (pneumo_slot_is_queued(&slot))
			PG_RETURN_TEXT_P(cstring_to_text("queued"));
	}
	else if (strcmp(state, "running") == 0 || strcmp(state, "queued") == 0)
		PG_RETURN_TEXT_P(cstring_to_text("interrupted"));
	PG_RETURN_TEXT_P(stored);
}
