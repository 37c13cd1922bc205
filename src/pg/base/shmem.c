/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  The control struct in main shared memory.
 *
 * The server keeps about 100 kB of main shared memory in reserve.  The struct
 * takes a few of them when the first backend asks for it, so the library needs
 * no preloading.  That reserve is also what the lock table grows into, for good:
 * a server whose lock table was once full may have nothing left.  Preloaded, the
 * library asks for its memory when the server starts.
 *
 * The name carries a number that changes with the layout: an old and a new
 * library in one server never share it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/wait_event.h"

#include "pg/base/compat.h"
#include "pg/base/shmem.h"

#define SHARED_NAME "pneumo 1 abi2"

StaticAssertDecl(sizeof(PneumoShared) < 16 * 1024, "the control struct must stay small");

static PneumoShared *shared = NULL;
static shmem_request_hook_type next_request_hook = NULL;
static shmem_startup_hook_type next_startup_hook = NULL;

/* Adds what helps to the error that the server has no memory left. */
static void
add_hint(void *arg)
{
	errhint("A lock table that was full has taken the server's reserve of shared memory until the next "
			"restart. With pneumo in shared_preload_libraries the memory is there from the start.");
}

PneumoShared *
pneumo_shared(void)
{
	ErrorContextCallback hint = {.previous = error_context_stack, .callback = add_hint};
	PneumoShared *found_shared;
	bool found;

	if (shared != NULL)
		return shared;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	error_context_stack = &hint;
	found_shared = ShmemInitStruct(SHARED_NAME, sizeof(PneumoShared), &found);
	error_context_stack = hint.previous;
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

static void
request_memory(void)
{
	if (next_request_hook != NULL)
		next_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(PneumoShared)));
}

static void
create_at_start(void)
{
	if (next_startup_hook != NULL)
		next_startup_hook();
	(void) pneumo_shared();
}

void
pneumo_shared_preload(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = create_at_start;
}

uint32
pneumo_wait_event(PneumoWait wait)
{
	static const char *const names[] = {"PneumoCacheLoad", "PneumoRunStart", "PneumoRun", "PneumoRunTurn",
										"PneumoWorkerSlot"};
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
