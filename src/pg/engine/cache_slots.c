/*-------------------------------------------------------------------------
 *
 * cache_slots.c
 *	  The slots of the engine cache in the control struct; the head of cache.c
 *	  says how they are used.
 *
 * Everything here takes the lock for a moment and lets go of it before a
 * segment is touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine_internal.h"

/* -------------------------------------------------------------- under the lock */

static int
find_slot(const PneumoShared *shared, const uint8 *sha256, NnPath path, PneumoForm form)
{
	int i;

	for (i = 0; i < PNEUMO_CACHE_SLOTS; i++)
	{
		const PneumoCacheSlot *slot = &shared->cache[i];

		if (slot->state != PNEUMO_CACHE_EMPTY && slot->database == MyDatabaseId && slot->path == (int) path &&
			slot->form == (int) form && memcmp(slot->sha256, sha256, PNEUMO_SHA256_LEN) == 0)
			return i;
	}
	return -1;
}

static int
find_empty_slot(const PneumoShared *shared)
{
	int i;

	for (i = 0; i < PNEUMO_CACHE_SLOTS; i++)
	{
		if (shared->cache[i].state == PNEUMO_CACHE_EMPTY)
			return i;
	}
	return -1;
}

static int
find_least_recently_used(const PneumoShared *shared)
{
	int oldest = -1;
	int i;

	for (i = 0; i < PNEUMO_CACHE_SLOTS; i++)
	{
		if (shared->cache[i].state == PNEUMO_CACHE_READY &&
			(oldest < 0 || shared->cache[i].last_used < shared->cache[oldest].last_used))
			oldest = i;
	}
	return oldest;
}

static void
empty_slot(PneumoShared *shared, int i)
{
	shared->cache_bytes -= shared->cache[i].bytes;
	memset(&shared->cache[i], 0, sizeof(PneumoCacheSlot));
	shared->cache_generation++;
}

bool
pneumo_cache_slot_is_live(const PneumoShared *shared, dsm_handle handle)
{
	int i;

	for (i = 0; i < PNEUMO_CACHE_SLOTS; i++)
	{
		if (shared->cache[i].state == PNEUMO_CACHE_READY && shared->cache[i].handle == handle)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ eviction */

static void
unpin_all(const dsm_handle *handles, int n)
{
	int i;

	for (i = 0; i < n; i++)
		dsm_unpin_segment(handles[i]);
}

bool
pneumo_cache_slots_evict_one(void)
{
	PneumoShared *shared = pneumo_shared();
	dsm_handle handle = 0;
	int oldest;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	oldest = find_least_recently_used(shared);
	if (oldest >= 0)
	{
		handle = shared->cache[oldest].handle;
		empty_slot(shared, oldest);
	}
	LWLockRelease(&shared->lock);
	if (oldest < 0)
		return false;
	dsm_unpin_segment(handle);
	return true;
}

bool
pneumo_cache_slot_reserve(int slot, uint64 bytes)
{
	PneumoShared *shared = pneumo_shared();
	uint64 limit = (uint64) pneumo_shared_cache_size * 1024;
	dsm_handle handles[PNEUMO_CACHE_SLOTS];
	int n = 0;
	bool fits = bytes <= limit;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	while (fits && shared->cache_bytes + bytes > limit)
	{
		int oldest = find_least_recently_used(shared);

		fits = oldest >= 0;
		if (fits)
		{
			handles[n++] = shared->cache[oldest].handle;
			empty_slot(shared, oldest);
		}
	}
	if (fits)
	{
		shared->cache[slot].bytes = bytes;
		shared->cache_bytes += bytes;
	}
	LWLockRelease(&shared->lock);
	unpin_all(handles, n);
	return fits;
}

int
pneumo_cache_slots_evict(const uint8 *sha256)
{
	PneumoShared *shared = pneumo_shared();
	dsm_handle handles[PNEUMO_CACHE_SLOTS];
	int n = 0;
	int i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < PNEUMO_CACHE_SLOTS; i++)
	{
		PneumoCacheSlot *slot = &shared->cache[i];

		if (slot->state == PNEUMO_CACHE_READY && slot->database == MyDatabaseId &&
			(sha256 == NULL || memcmp(slot->sha256, sha256, PNEUMO_SHA256_LEN) == 0))
		{
			handles[n++] = slot->handle;
			empty_slot(shared, i);
		}
	}
	LWLockRelease(&shared->lock);
	unpin_all(handles, n);
	return n;
}

/* -------------------------------------------------- the life of one slot's content */

PneumoSlotFound
pneumo_cache_slot_look_up(const PneumoVersionId *id, NnPath path, PneumoForm form, int *slot,
						  dsm_handle *handle)
{
	PneumoShared *shared = pneumo_shared();
	dsm_handle evicted = 0;
	bool has_evicted = false;
	PneumoSlotFound found;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	*slot = find_slot(shared, id->sha256, path, form);
	if (*slot >= 0)
	{
		PneumoCacheSlot *entry = &shared->cache[*slot];

		found = entry->state == PNEUMO_CACHE_READY ? PNEUMO_SLOT_READY : PNEUMO_SLOT_LOADING;
		*handle = entry->handle;
	}
	else
	{
		*slot = find_empty_slot(shared);
		if (*slot < 0)
		{
			*slot = find_least_recently_used(shared);
			if (*slot >= 0)
			{
				evicted = shared->cache[*slot].handle;
				has_evicted = true;
				empty_slot(shared, *slot);
			}
		}
		found = *slot >= 0 ? PNEUMO_SLOT_CLAIMED : PNEUMO_SLOT_FULL;
		if (found == PNEUMO_SLOT_CLAIMED)
		{
			PneumoCacheSlot *entry = &shared->cache[*slot];

			entry->state = PNEUMO_CACHE_LOADING;
			entry->database = MyDatabaseId;
			entry->path = path;
			entry->form = form;
			entry->loader_pid = MyProcPid;
			entry->version = id->version;
			memcpy(entry->sha256, id->sha256, PNEUMO_SHA256_LEN);
		}
	}
	LWLockRelease(&shared->lock);
	if (has_evicted)
		dsm_unpin_segment(evicted);
	return found;
}

void
pneumo_cache_slot_clear_broken(int i, PneumoCacheState state, dsm_handle handle)
{
	PneumoShared *shared = pneumo_shared();
	PneumoCacheSlot *slot = &shared->cache[i];
	int loader = 0;

	LWLockAcquire(&shared->lock, LW_SHARED);
	if (slot->state == PNEUMO_CACHE_LOADING)
		loader = slot->loader_pid;
	LWLockRelease(&shared->lock);
	if (state == PNEUMO_CACHE_LOADING && (loader == 0 || BackendPidGetProc(loader) != NULL))
		return;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	if (slot->state == state &&
		(state == PNEUMO_CACHE_READY ? slot->handle == handle : slot->loader_pid == loader))
		empty_slot(shared, i);
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&shared->cache_changed);
}

void
pneumo_cache_slot_publish(int i, dsm_handle handle, NnPrecision precision)
{
	PneumoShared *shared = pneumo_shared();
	PneumoCacheSlot *slot = &shared->cache[i];

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	slot->handle = handle;
	slot->precision = precision;
	slot->state = PNEUMO_CACHE_READY;
	slot->last_used = GetCurrentTimestamp();
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&shared->cache_changed);
}

void
pneumo_cache_slot_abandon(int i)
{
	PneumoShared *shared = pneumo_shared();

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	if (shared->cache[i].state == PNEUMO_CACHE_LOADING && shared->cache[i].loader_pid == MyProcPid)
		empty_slot(shared, i);
	LWLockRelease(&shared->lock);
	ConditionVariableBroadcast(&shared->cache_changed);
}

void
pneumo_cache_slot_hit(const uint8 *sha256, NnPath path, PneumoForm form, TimestampTz now)
{
	PneumoShared *shared = pneumo_shared();
	int i;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	i = find_slot(shared, sha256, path, form);
	if (i >= 0)
	{
		shared->cache[i].hits++;
		shared->cache[i].last_used = now;
	}
	LWLockRelease(&shared->lock);
}
