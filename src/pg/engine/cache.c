/*-------------------------------------------------------------------------
 *
 * cache.c
 *	  One copy of each version's weights for the whole server.
 *
 * A version that is in use lives in a dynamic shared memory segment of its
 * own, ready to predict.  A slot of the control struct names it:
 *
 *	 EMPTY    -> LOADING   by whoever comes first and finds no slot; it alone
 *	                       loads, others sleep on cache_changed
 *	 LOADING  -> READY     when the segment is whole: pinned, then published
 *	 LOADING  -> EMPTY     when the loader failed, by error or by exit
 *	 READY    -> EMPTY     when it is the least recently used and its room is
 *	                       needed, or its version is dropped: unpinned, so the
 *	                       memory goes when the last session lets go of it
 *
 * The lock guards the slots only.  Segments are created, attached and unpinned
 * without it: those calls can throw, and an error resets the count of held-off
 * interrupts that releasing the lock would decrement.  So a handle may be gone
 * when it is attached: then look again.
 *
 * Slots are keyed by content (SHA-256), CPU path, form and database, so what is
 * found is always right: a query's snapshot decides which version it means, and
 * eviction is only about memory.
 *
 * If shared memory cannot hold a version, the session makes its own copy within
 * pneumo.local_cache_size and says so in the log, once.
 *
 * A session keeps what it has attached until the slot is emptied and no query
 * of it holds a reference.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine.h"
#include "pg/engine/engine_internal.h"

#define WAIT_SLICE_MS 1000
#define MAX_WAIT_MS 60000     /* for another loader; then a copy of our own */
#define MAX_CREATE_ATTEMPTS 4 /* evicting one version before each further one */

/* A version that this session has at hand: an attached segment, or a copy of its own. */
typedef struct LocalEngine
{
	dlist_node node;
	uint8 sha256[PNEUMO_SHA256_LEN];
	NnPath path;
	PneumoForm form;
	int64 version;
	dsm_segment *segment; /* NULL: own copy */
	dsm_handle handle;
	bool uncommitted; /* an own copy because of that */
	Size bytes;
	MemoryContext cxt; /* holds this struct, meta, and an own copy */
	NnEngine engine;
	PneumoModelMeta *meta;
	int references;
	uint64 hits;
	TimestampTz last_used;
} LocalEngine;

static dlist_head local_engines = DLIST_STATIC_INIT(local_engines);
static uint64 seen_generation = 0;
static bool fallback_logged = false;

/* A load in progress, for its clean-up. */
typedef struct Load
{
	int slot;
	dsm_segment *segment;
	bool pinned;
	bool published;
} Load;

/* ----------------------------------------------------- this session's engines */

static LocalEngine *
find_local(const uint8 *sha256, NnPath path, PneumoForm form)
{
	dlist_iter iter;

	dlist_foreach(iter, &local_engines)
	{
		LocalEngine *local = dlist_container(LocalEngine, node, iter.cur);

		if (local->path == path && local->form == form &&
			memcmp(local->sha256, sha256, PNEUMO_SHA256_LEN) == 0)
			return local;
	}
	return NULL;
}

static void
forget_local(LocalEngine *local)
{
	dsm_segment *segment = local->segment;

	Assert(local->references == 0);
	dlist_delete(&local->node);
	MemoryContextDelete(local->cxt);
	if (segment != NULL)
		dsm_detach(segment);
}

void
pneumo_engines_tidy(void)
{
	PneumoShared *shared = pneumo_shared();
	dlist_mutable_iter iter;
	dlist_head stale;

	dlist_init(&stale);
	LWLockAcquire(&shared->lock, LW_SHARED);
	if (seen_generation != shared->cache_generation)
	{
		bool all = true;

		dlist_foreach_modify(iter, &local_engines)
		{
			LocalEngine *local = dlist_container(LocalEngine, node, iter.cur);

			if (local->segment == NULL || pneumo_cache_slot_is_live(shared, local->handle))
				continue;
			if (local->references > 0)
			{
				all = false; /* look again next time */
				continue;
			}
			dlist_delete(&local->node);
			dlist_push_tail(&stale, &local->node);
		}
		if (all)
			seen_generation = shared->cache_generation;
	}
	LWLockRelease(&shared->lock);

	dlist_foreach_modify(iter, &stale) forget_local(dlist_container(LocalEngine, node, iter.cur));
}

static Size
local_copy_bytes(void)
{
	dlist_iter iter;
	Size sum = 0;

	dlist_foreach(iter, &local_engines)
	{
		LocalEngine *local = dlist_container(LocalEngine, node, iter.cur);

		if (local->segment == NULL)
			sum += local->bytes;
	}
	return sum;
}

/* Frees the least recently used own copy that nobody refers to. */
static bool
forget_one_copy(void)
{
	LocalEngine *oldest = NULL;
	dlist_iter iter;

	dlist_foreach(iter, &local_engines)
	{
		LocalEngine *local = dlist_container(LocalEngine, node, iter.cur);

		if (local->segment == NULL && local->references == 0 &&
			(oldest == NULL || local->last_used < oldest->last_used))
			oldest = local;
	}
	if (oldest == NULL)
		return false;
	forget_local(oldest);
	return true;
}

static Size
copies_limit(void)
{
	return (Size) pneumo_local_cache_size * 1024;
}

/* Frees copies that no query uses until one of so many bytes fits; false if it cannot. */
static bool
make_room_for_copy(Size bytes)
{
	while (local_copy_bytes() + bytes > copies_limit())
		if (!forget_one_copy())
			return false;
	return true;
}

/* Makes a new engine that is not in the list yet: until it is, an error frees it. */
static LocalEngine *
new_local(const PneumoVersionId *id, NnPath path, PneumoForm form)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo engine", ALLOCSET_SMALL_SIZES);
	LocalEngine *local = MemoryContextAllocZero(cxt, sizeof(LocalEngine));

	local->cxt = cxt;
	local->path = path;
	local->form = form;
	local->version = id->version;
	memcpy(local->sha256, id->sha256, PNEUMO_SHA256_LEN);
	return local;
}

static LocalEngine *
keep_local(LocalEngine *local)
{
	MemoryContextSetParent(local->cxt, TopMemoryContext);
	dlist_push_head(&local_engines, &local->node);
	return local;
}

/* ------------------------------------------------------------------ own copies */

static void
log_fallback(const PneumoVersionId *id, uint64 bytes, const char *reason)
{
	if (fallback_logged)
		return;
	fallback_logged = true;
	ereport(LOG,
			(errmsg("pneumo keeps model version %s in this session's own memory (%s)",
					pneumo_sha256_hex(id->sha256), pneumo_memory_text((double) bytes)),
			 errdetail("%s", reason),
			 errhint("Enlarge pneumo.shared_cache_size, /dev/shm (in a container: --shm-size), or "
					 "min_dynamic_shared_memory. This message comes once a session; see pneumo.cache.")));
}

/*
 * Makes a copy of a version in this session's own memory, because of reason it
 * is not shared.  Frees other copies that no query uses if they stand in the way.
 */
static LocalEngine *
copy_local(const PneumoVersionId *id, NnPath path, PneumoForm form, const char *reason)
{
	EngineBlock layout;
	LocalEngine *local;
	Size limit = copies_limit();
	void *memory;
	void *block;

	pneumo_block_layout(&layout, id->sha256, path, form);
	if (layout.total_bytes > limit)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("model version %s needs %s of memory, pneumo.local_cache_size allows %s",
							   pneumo_sha256_hex(id->sha256), pneumo_memory_text((double) layout.total_bytes),
							   pneumo_memory_text((double) limit)),
						errdetail("It is not in shared memory: %s", reason),
						errhint("Enlarge pneumo.shared_cache_size or pneumo.local_cache_size.")));
	if (!make_room_for_copy(layout.total_bytes))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("model versions in use by this query need more than pneumo.local_cache_size (%s)",
						pneumo_memory_text((double) limit)),
				 errdetail("They are not in shared memory: %s", reason),
				 errhint("Enlarge pneumo.shared_cache_size or pneumo.local_cache_size.")));
	if (!id->uncommitted)
		log_fallback(id, layout.total_bytes, reason);

	local = new_local(id, path, form);
	memory = MemoryContextAllocExtended(local->cxt, layout.total_bytes + NN_ALIGN,
										MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (memory == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("out of memory for model version %s (%s)", pneumo_sha256_hex(id->sha256),
							   pneumo_memory_text((double) layout.total_bytes))));
	block = pneumo_align(memory);
	pneumo_block_fill(block, &layout);
	pneumo_block_bind(&local->engine, &local->meta, block, layout.total_bytes, id->sha256, local->cxt);
	local->bytes = layout.total_bytes;
	local->uncommitted = id->uncommitted;
	return keep_local(local);
}

/* -------------------------------------------------------------------- loading */

/*
 * Creates a segment that no resource owner knows, so that it outlives the
 * query; NULL, with the reason, if there is no room.  The error of dsm_create()
 * may be caught without a subtransaction: when it is raised, the call holds
 * nothing.
 */
static dsm_segment *
create_segment(Size bytes, char **reason)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext cxt = CurrentMemoryContext;
	dsm_segment *volatile segment = NULL;

	CurrentResourceOwner = NULL;
	PG_TRY();
	{
		segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment == NULL)
			*reason = "Too many dynamic shared memory segments are in use.";
	}
	PG_CATCH();
	{
		ErrorData *error;

		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(cxt);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INSUFFICIENT_RESOURCES)
			PG_RE_THROW();
		FlushErrorState();
		*reason = psprintf("Shared memory: %s.", error->message);
	}
	PG_END_TRY();
	CurrentResourceOwner = owner;
	return segment;
}

static dsm_segment *
attach_segment(dsm_handle handle)
{
	ResourceOwner owner = CurrentResourceOwner;
	dsm_segment *segment = dsm_find_mapping(handle);

	if (segment != NULL)
		return segment;
	PG_TRY();
	{
		CurrentResourceOwner = NULL;
		segment = dsm_attach(handle);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	return segment;
}

/* Ends a load that did not succeed: frees the slot for others and gives the segment back. */
static void
abandon_load(int code, Datum arg)
{
	Load *load = (Load *) DatumGetPointer(arg);

	if (load->published)
		return;
	pneumo_cache_slot_abandon(load->slot);
	if (load->segment != NULL)
	{
		dsm_segment *segment = load->segment;
		dsm_handle handle = dsm_segment_handle(segment);

		load->segment = NULL;
		if (load->pinned)
			dsm_unpin_segment(handle);
		dsm_detach(segment);
	}
}

static void
publish(Load *load, NnPrecision precision)
{
	dsm_pin_segment(load->segment);
	load->pinned = true;
	pneumo_cache_slot_publish(load->slot, dsm_segment_handle(load->segment), precision);
	load->published = true;
}

/* Makes room for the version in shared memory, at the cost of others; NULL, with the reason, if there is none. */
static dsm_segment *
make_room(int slot, uint64 bytes, char **reason)
{
	dsm_segment *segment = NULL;
	int attempt;

	if (!pneumo_cache_slot_reserve(slot, bytes))
	{
		*reason =
			psprintf("It does not fit into pneumo.shared_cache_size (%d kB).", pneumo_shared_cache_size);
		return NULL;
	}
	for (attempt = 0; attempt < MAX_CREATE_ATTEMPTS; attempt++)
	{
		segment = create_segment(bytes, reason);
		if (segment != NULL || !pneumo_cache_slots_evict_one())
			break;
	}
	return segment;
}

/* Loads a version into the slot that this session has claimed; NULL if there is no room. */
static LocalEngine *
load_shared(const PneumoVersionId *id, NnPath path, PneumoForm form, int slot, char **reason)
{
	LocalEngine *volatile local = NULL;
	Load load = {slot, NULL, false, false};

	PG_ENSURE_ERROR_CLEANUP(abandon_load, PointerGetDatum(&load));
	{
		EngineBlock layout;
		void *block;

		pneumo_block_layout(&layout, id->sha256, path, form);
		load.segment = make_room(slot, layout.total_bytes, reason);
		if (load.segment != NULL)
		{
			block = dsm_segment_address(load.segment);
			pneumo_block_fill(block, &layout);
			local = new_local(id, path, form);
			pneumo_block_bind(&local->engine, &local->meta, block, layout.total_bytes, id->sha256,
							  local->cxt);
			local->segment = load.segment;
			local->handle = dsm_segment_handle(load.segment);
			local->bytes = layout.total_bytes;
			publish(&load, local->engine.precision);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon_load, PointerGetDatum(&load));

	if (local == NULL)
	{
		abandon_load(0, PointerGetDatum(&load));
		return NULL;
	}
	return keep_local(local);
}

/* ------------------------------------------------------------ finding or loading */

static LocalEngine *
attach_local(const PneumoVersionId *id, NnPath path, PneumoForm form, dsm_handle handle)
{
	dsm_segment *segment = attach_segment(handle);
	LocalEngine *local;

	if (segment == NULL)
		return NULL;
	local = new_local(id, path, form);
	pneumo_block_bind(&local->engine, &local->meta, dsm_segment_address(segment),
					  dsm_segment_map_length(segment), id->sha256, local->cxt);
	local->segment = segment;
	local->handle = handle;
	local->bytes = dsm_segment_map_length(segment);
	return keep_local(local);
}

/* Returns whether this session should keep a copy of a version that nobody else can see, which it may take back. */
static bool
stays_here(const PneumoVersionId *id, NnPath path, PneumoForm form)
{
	EngineBlock layout;

	if (!id->uncommitted)
		return false;
	pneumo_block_layout(&layout, id->sha256, path, form);
	return make_room_for_copy(layout.total_bytes);
}

/*
 * Attaches a version that is loaded, loads it, or waits for the session that
 * does; makes an own copy if shared memory cannot have it, or should not.
 */
static LocalEngine *
obtain(const PneumoVersionId *id, NnPath path, PneumoForm form)
{
	PneumoShared *shared = pneumo_shared();
	char *reason = "";
	TimestampTz start = GetCurrentTimestamp();

	if (stays_here(id, path, form))
		return copy_local(id, path, form, "Its transaction has not committed.");
	for (;;)
	{
		LocalEngine *local = NULL;
		int slot;
		dsm_handle handle;
		PneumoSlotFound found;

		/* a stand-alone server has no dynamic shared memory */
		if (!IsUnderPostmaster)
		{
			reason = "The server runs in single-user mode.";
			break;
		}

		found = pneumo_cache_slot_look_up(id, path, form, &slot, &handle);
		if (found == PNEUMO_SLOT_READY)
		{
			local = attach_local(id, path, form, handle);
			if (local == NULL)
				pneumo_cache_slot_clear_broken(slot, PNEUMO_CACHE_READY, handle);
		}
		else if (found == PNEUMO_SLOT_CLAIMED)
		{
			ConditionVariableCancelSleep();
			local = load_shared(id, path, form, slot, &reason);
			if (local == NULL)
				break;
		}
		else
		{
			if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), MAX_WAIT_MS))
			{
				reason = "Another session has been loading it for a minute.";
				break;
			}
			if (ConditionVariableTimedSleep(&shared->cache_changed, WAIT_SLICE_MS,
											pneumo_wait_event(PNEUMO_WAIT_CACHE_LOAD)) &&
				found == PNEUMO_SLOT_LOADING)
				pneumo_cache_slot_clear_broken(slot, PNEUMO_CACHE_LOADING, 0);
		}
		if (local != NULL)
		{
			ConditionVariableCancelSleep();
			return local;
		}
	}
	ConditionVariableCancelSleep();
	return copy_local(id, path, form, reason);
}

static void
count_hit(LocalEngine *local)
{
	local->hits++;
	local->last_used = GetCurrentTimestamp();
	if (local->segment != NULL)
		pneumo_cache_slot_hit(local->sha256, local->path, local->form, local->last_used);
}

/* A reference of a memory context: while it lives the engine stays mapped. */
typedef struct Reference
{
	PneumoEngine engine;
	LocalEngine *local;
	MemoryContextCallback callback;
} Reference;

static void
drop_reference(void *arg)
{
	Reference *reference = arg;

	reference->local->references--;
}

static PneumoEngine *
get_engine(const PneumoVersionId *id, NnPath path, PneumoForm form, MemoryContext cxt)
{
	Reference *reference = MemoryContextAllocZero(cxt, sizeof(Reference));
	LocalEngine *local;

	pneumo_engines_tidy();
	local = find_local(id->sha256, path, form);
	if (local != NULL && local->uncommitted && !id->uncommitted && local->references == 0)
	{
		forget_local(local); /* it can be shared by now */
		local = NULL;
	}
	if (local == NULL)
		local = obtain(id, path, form);
	count_hit(local);

	reference->local = local;
	reference->engine.engine = local->engine;
	reference->engine.meta = local->meta;
	reference->engine.id = *id;
	reference->engine.shared = local->segment != NULL;
	reference->callback.func = drop_reference;
	reference->callback.arg = reference;
	local->references++;
	MemoryContextRegisterResetCallback(cxt, &reference->callback);
	return &reference->engine;
}

PneumoEngine *
pneumo_engine_get_path(const PneumoVersionId *id, NnPath path, MemoryContext cxt)
{
	return get_engine(id, path, PNEUMO_FORM_PREDICT, cxt);
}

PneumoEngine *
pneumo_engine_get_explain(const PneumoVersionId *id, NnPath path, MemoryContext cxt)
{
	PneumoEngine *engine = get_engine(id, path, PNEUMO_FORM_PREDICT, cxt);

	if (engine->engine.weights != NULL)
		return engine;
	return get_engine(id, path, PNEUMO_FORM_EXPLAIN, cxt);
}

PneumoEngine *
pneumo_engine_get(const PneumoVersionId *id, MemoryContext cxt)
{
	return pneumo_engine_get_path(id, pneumo_path(), cxt);
}

void
pneumo_cache_forget(const uint8 *sha256)
{
	(void) pneumo_cache_slots_evict(sha256);
	pneumo_engines_tidy();
}

int
pneumo_engines_forget_copies(void)
{
	int n = 0;

	while (forget_one_copy())
		n++;
	return n;
}

bool
pneumo_engine_is_mapped(dsm_handle handle)
{
	dlist_iter iter;

	dlist_foreach(iter, &local_engines)
	{
		LocalEngine *local = dlist_container(LocalEngine, node, iter.cur);

		if (local->segment != NULL && local->handle == handle)
			return true;
	}
	return false;
}

int
pneumo_engines_copies(PneumoCacheSlot *copies, int max)
{
	dlist_iter iter;
	int n = 0;

	dlist_foreach(iter, &local_engines)
	{
		LocalEngine *local = dlist_container(LocalEngine, node, iter.cur);
		PneumoCacheSlot *copy = &copies[n];

		if (local->segment != NULL)
			continue;
		if (n == max)
			break;
		n++;
		memset(copy, 0, sizeof(*copy));
		memcpy(copy->sha256, local->sha256, PNEUMO_SHA256_LEN);
		copy->state = PNEUMO_CACHE_READY;
		copy->database = MyDatabaseId;
		copy->version = local->version;
		copy->path = local->path;
		copy->form = local->form;
		copy->precision = local->engine.precision;
		copy->bytes = local->bytes;
		copy->hits = local->hits;
		copy->last_used = local->last_used;
	}
	return n;
}
