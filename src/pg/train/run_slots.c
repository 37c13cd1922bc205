/*-------------------------------------------------------------------------
 *
 * run_slots.c
 *	  The slots of running trainings in shared memory.
 *
 * A slot is taken by the caller, handed to the worker when it attaches, and
 * freed by whichever of the two ends last with it: the worker's exit callback,
 * or the caller if the worker never came.  The slot is the proof of life: a
 * run without one is not running, whatever its row says.
 *
 * The slots are also the queue.  A run whose worker waits has a slot and a ticket;
 * the worker asks for its turn whenever a slot becomes free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <signal.h>

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"
#include "pg/train/train.h"

void
pneumo_run_is_running(int64 run)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE), errmsg("training run %lld is running", (long long) run),
					errhint("Wait with pneumo_wait(%lld), or cancel it with pneumo_cancel(%lld).",
							(long long) run, (long long) run)));
}

int
pneumo_slot_reserve(Oid owner, TransactionId xid, int64 run, uint32 *generation)
{
	PneumoShared *shared = pneumo_shared();
	int used = 0;
	int training = 0;
	int own = 0;
	int most = pneumo_max_training_runs + pneumo_max_queued_runs;
	bool trusted = superuser_arg(owner);
	int free_slot = -1;
	int64 other = 0;
	bool taken = false;
	int i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < PNEUMO_RUN_SLOTS; i++)
	{
		if (shared->runs[i].in_use)
		{
			used++;
			training += shared->runs[i].stage == PNEUMO_RUN_TRAINING;
			own += shared->runs[i].owner == owner;
			if (shared->runs[i].database == MyDatabaseId)
			{
				if (shared->runs[i].owner == owner)
					other = shared->runs[i].run;
				taken = taken || (run != 0 && shared->runs[i].run == run);
			}
		}
		else if (free_slot < 0)
			free_slot = i;
	}
	/* the last place in the queue is for a role that has none */
	if (own > 0 && pneumo_max_queued_runs > 1 && !trusted)
		most--;
	if (!taken && pneumo_max_training_runs > 0 && used < most && free_slot >= 0)
	{
		PneumoRunSlot *slot = &shared->runs[free_slot];
		uint32 next = slot->generation + 1;

		memset(slot, 0, sizeof(PneumoRunSlot));
		slot->in_use = true;
		slot->generation = next;
		slot->database = MyDatabaseId;
		slot->owner = owner;
		slot->run = run;
		slot->caller_pid = MyProcPid;
		slot->ticket = ++shared->next_ticket;
		slot->caller_xid = xid;
		slot->started = GetCurrentTimestamp();
		slot->time_left = NAN;
		strlcpy(slot->phase, "starting", sizeof(slot->phase));
		*generation = next;
	}
	else
		free_slot = -1;
	LWLockRelease(&shared->lock);

	if (taken)
		pneumo_run_is_running(run);
	if (free_slot < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no training can start: %d runs are training and %d are queued", training,
						used - training),
				 other != 0 ? errdetail("At most %d may train and %d more wait, the last one only for a role "
										"that has no run. Run %lld of this database is yours.",
										pneumo_max_training_runs, pneumo_max_queued_runs, (long long) other)
							: errdetail("At most %d may train and %d more wait.", pneumo_max_training_runs,
										pneumo_max_queued_runs),
				 errhint("Wait with pneumo_wait(run), cancel with pneumo_cancel(run), or raise "
						 "pneumo.max_queued_runs or pneumo.max_training_runs.")));
	return free_slot;
}

bool
pneumo_slot_attach(int slot, uint32 generation)
{
	PneumoShared *shared = pneumo_shared();
	PneumoRunSlot *s = &shared->runs[slot];
	bool mine;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	mine = s->in_use && s->generation == generation && s->worker_pid == 0;
	if (mine)
		s->worker_pid = MyProcPid;
	LWLockRelease(&shared->lock);
	return mine;
}

void
pneumo_slot_set_run(int slot, int64 run, PneumoRunStage stage)
{
	PneumoShared *shared = pneumo_shared();

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	shared->runs[slot].run = run;
	shared->runs[slot].stage = stage;
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&shared->run_changed);
}

bool
pneumo_slot_take_turn(int slot)
{
	PneumoShared *shared = pneumo_shared();
	PneumoRunSlot *mine = &shared->runs[slot];
	int before = 0; /* those that train, and those that wait for longer */
	bool turn;
	int i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < PNEUMO_RUN_SLOTS; i++)
	{
		const PneumoRunSlot *other = &shared->runs[i];

		if (other->in_use && i != slot &&
			(other->stage == PNEUMO_RUN_TRAINING ||
			 (other->stage == PNEUMO_RUN_WAITING && other->ticket < mine->ticket)))
			before++;
	}
	turn = before < pneumo_max_training_runs;
	if (turn)
		mine->stage = PNEUMO_RUN_TRAINING;
	LWLockRelease(&shared->lock);
	if (turn)
		ConditionVariableBroadcast(&shared->run_changed);
	return turn;
}

void
pneumo_slot_set_phase(int slot, const char *phase)
{
	PneumoShared *shared = pneumo_shared();

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	strlcpy(shared->runs[slot].phase, phase, sizeof(shared->runs[slot].phase));
	LWLockRelease(&shared->lock);
}

void
pneumo_slot_set_progress(int slot, const NnProgress *progress, double time_left)
{
	PneumoShared *shared = pneumo_shared();

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	shared->runs[slot].progress = *progress;
	shared->runs[slot].time_left = time_left;
	LWLockRelease(&shared->lock);
}

void
pneumo_slot_release(int slot, uint32 generation, bool only_unattached)
{
	PneumoShared *shared = pneumo_shared();
	PneumoRunSlot *s = &shared->runs[slot];

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	if (s->in_use && s->generation == generation && !(only_unattached && s->worker_pid != 0))
		s->in_use = false;
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&shared->run_changed);
}

bool
pneumo_slot_cancelled(int slot)
{
	/* one byte, written under the lock; a stale value is read again soon */
	return ((volatile PneumoRunSlot *) &pneumo_shared()->runs[slot])->cancel_requested;
}

bool
pneumo_slot_find(int64 run, PneumoRunSlot *copy)
{
	PneumoShared *shared = pneumo_shared();
	bool found = false;
	int i;

	LWLockAcquire(&shared->lock, LW_SHARED);
	for (i = 0; i < PNEUMO_RUN_SLOTS && !found; i++)
	{
		if (!shared->runs[i].in_use || shared->runs[i].database != MyDatabaseId || shared->runs[i].run != run)
			continue;
		*copy = shared->runs[i];
		found = true;
	}
	LWLockRelease(&shared->lock);
	return found;
}

/* Asks a run to stop.  The caller holds the lock, for which the worker's exit waits: it cannot have gone. */
static void
cancel_slot(PneumoRunSlot *slot)
{
	slot->cancel_requested = true;
	if (slot->worker_pid != 0)
		kill(slot->worker_pid, SIGINT);
}

bool
pneumo_slot_cancel(int64 run)
{
	PneumoShared *shared = pneumo_shared();
	bool found = false;
	int i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < PNEUMO_RUN_SLOTS && !found; i++)
	{
		PneumoRunSlot *slot = &shared->runs[i];

		if (!slot->in_use || slot->database != MyDatabaseId || slot->run != run)
			continue;
		cancel_slot(slot);
		found = true;
	}
	LWLockRelease(&shared->lock);
	return found;
}

bool
pneumo_slot_cancel_index(int slot, uint32 generation)
{
	PneumoShared *shared = pneumo_shared();
	PneumoRunSlot *s = &shared->runs[slot];
	bool found;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	found = s->in_use && s->generation == generation;
	if (found)
		cancel_slot(s);
	LWLockRelease(&shared->lock);
	return found;
}

bool
pneumo_slot_is_queued(const PneumoRunSlot *slot)
{
	return slot->stage == PNEUMO_RUN_UNCOMMITTED || slot->stage == PNEUMO_RUN_WAITING;
}

/* Follows pg_blocking_pids() until it comes back to this backend or ends. */
static bool
blocked_by_me(int pid)
{
	int todo[64];
	int n = 1;
	int done;

	todo[0] = pid;
	for (done = 0; done < n; done++)
	{
		ArrayType *array =
			DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(todo[done])));
		int *pids = (int *) ARR_DATA_PTR(array);
		int n_pids = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		int i;

		for (i = 0; i < n_pids; i++)
		{
			int k;

			if (pids[i] == MyProcPid)
				return true;
			for (k = 0; k < n && todo[k] != pids[i]; k++)
				;
			if (k == n && n < (int) lengthof(todo) && pids[i] != 0)
				todo[n++] = pids[i];
		}
	}
	return false;
}

bool
pneumo_run_blocked_by_me(const PneumoRunSlot *slot)
{
	PneumoShared *shared = pneumo_shared();
	int pids[1 + PNEUMO_RUN_SLOTS];
	int n = 0;
	int i;

	pids[n++] = slot->worker_pid;
	LWLockAcquire(&shared->lock, LW_SHARED);
	for (i = 0; i < PNEUMO_RUN_SLOTS && slot->stage == PNEUMO_RUN_WAITING; i++)
		if (shared->runs[i].in_use && shared->runs[i].stage == PNEUMO_RUN_TRAINING)
			pids[n++] = shared->runs[i].worker_pid;
	LWLockRelease(&shared->lock);
	for (i = 0; i < n; i++)
		if (pids[i] != 0 && blocked_by_me(pids[i]))
			return true;
	return false;
}
