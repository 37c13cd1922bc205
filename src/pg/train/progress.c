/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  What pneumo.progress shows: the running trainings, from shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <time.h>

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "nn/nn.h"

#include "pg/base/shmem.h"
#include "pg/train/train.h"

PG_FUNCTION_INFO_V1(pneumo_progress_entries);

enum
{
	COL_RUN,
	COL_OWNER,
	COL_PID,
	COL_PHASE,
	COL_EPOCH,
	COL_EPOCHS,
	COL_BATCH,
	COL_BATCHES,
	COL_LOSS,
	COL_RATE,
	COL_TIME_LEFT,
	COL_STARTED,
	N_COLS
};

double
pneumo_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

/* Adds the row of one slot; what is not known yet is null. */
static void
put_row(ReturnSetInfo *rsinfo, const PneumoRunSlot *slot)
{
	const NnProgress *p = &slot->progress;
	Datum values[N_COLS];
	bool nulls[N_COLS] = {false};
	bool begun = p->epochs > 0;
	const char *owner = GetUserNameFromId(slot->owner, true); /* NULL: it was dropped */
	const char *phase = pneumo_slot_is_queued(slot)                             ? "queued"
						: p->validating && strcmp(slot->phase, "training") == 0 ? "validating"
																				: slot->phase;

	values[COL_RUN] = Int64GetDatum(slot->run);
	if (owner != NULL)
		values[COL_OWNER] = CStringGetTextDatum(owner);
	nulls[COL_OWNER] = owner == NULL;
	values[COL_PID] = Int32GetDatum(slot->worker_pid);
	values[COL_PHASE] = CStringGetTextDatum(phase);
	values[COL_EPOCH] = Int32GetDatum(p->epoch);
	values[COL_EPOCHS] = Int32GetDatum(p->epochs);
	values[COL_BATCH] = Int64GetDatum((int64) p->batch);
	values[COL_BATCHES] = Int64GetDatum((int64) p->batches);
	values[COL_LOSS] = Float8GetDatum(p->loss);
	values[COL_RATE] = Float8GetDatum(p->samples_per_second);
	values[COL_TIME_LEFT] = Float8GetDatum(slot->time_left);
	values[COL_STARTED] = TimestampTzGetDatum(slot->started);
	nulls[COL_RUN] = slot->run == 0;
	nulls[COL_PID] = slot->worker_pid == 0;
	nulls[COL_EPOCH] = nulls[COL_EPOCHS] = nulls[COL_BATCH] = nulls[COL_BATCHES] = !begun;
	nulls[COL_LOSS] = !begun || isnan(p->loss);
	nulls[COL_RATE] = !begun || p->samples_per_second <= 0;
	nulls[COL_TIME_LEFT] = isnan(slot->time_left);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
pneumo_progress_entries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PneumoShared *shared = pneumo_shared();
	PneumoRunSlot slots[PNEUMO_RUN_SLOTS];
	int i;

	InitMaterializedSRF(fcinfo, 0);
	LWLockAcquire(&shared->lock, LW_SHARED);
	memcpy(slots, shared->runs, sizeof(slots));
	LWLockRelease(&shared->lock);

	for (i = 0; i < PNEUMO_RUN_SLOTS; i++)
		if (slots[i].in_use && slots[i].database == MyDatabaseId &&
			(has_privs_of_role(GetUserId(), slots[i].owner) ||
			 has_privs_of_role(GetUserId(), ROLE_PG_MONITOR)))
			put_row(rsinfo, &slots[i]);
	return (Datum) 0;
}
