/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  The control struct in main shared memory.
 *
 * The server keeps about 100 kB of main shared memory in reserve.  The struct
 * takes a few of them when the first backend asks for it, so the library needs
 * no preloading.  The name carries a number that changes
 * with the layout: an old and a new library in one server never share it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/wait_event.h"

#include "pg/base/compat.h"
#include "pg/base/shmem.h"

#define SHARED_NAME "pneumo 1 abi1"

StaticAssertDecl(sizeof(PneumoShared) < 16 * 1024, "the control struct must stay small");

static PneumoShared *shared = NULL;

PneumoShared *
pneumo_shared(void)
{
	PneumoShared *found_shared;
	bool found;

	if (shared != NULL)
		return shared;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	found_shared = ShmemInitStruct(SHARED_NAME, sizeof(PneumoShared), &found);
	if (!found)
	{
		memset(found_shared, 0, sizeof(PneumoShared));
		found_shared->tranche_id = LWLockNewTrancheId();
		LWLockInitialize(&found_shared->lock, found_shared->tranche_id);
		ConditionVariableInit(&found_shared->cache_changed);
		ConditionVariableInit(&found_shared->run_changed);
	}
	LWLockRelease(AddinShmemInitLock);

	LWLockRegisterTranche(found_shared->tranche_id, "pneumo");
	shared = found_shared;
	return shared;
}

uint32
pneumo_wait_event(PneumoWait wait)
{
	static const char *const names[] = {"PneumoCacheLoad", "PneumoRunStart", "PneumoRun"};
	static uint32 events[lengthof(names)];

	if (events[wait] == 0)
		events[wait] = pneumo_wait_event_new(names[wait]);
	return events[wait];
}

int
pneumo_live_runs(int64 *runs)
{
	PneumoShared *shared = pneumo_shared();
	int n = 0;
	int i;

	LWLockAcquire(&shared->lock, LW_SHARED);
	for (i = 0; i < PNEUMO_RUN_SLOTS; i++)
		if (shared->runs[i].in_use && shared->runs[i].database == MyDatabaseId && shared->runs[i].run != 0)
			runs[n++] = shared->runs[i].run;
	LWLockRelease(&shared->lock);
	return n;
}
