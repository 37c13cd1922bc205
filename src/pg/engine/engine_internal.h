/*-------------------------------------------------------------------------
 *
 * engine_internal.h
 *	  Internal to the engine cache: what engine_load.c builds, cache.c keeps,
 *	  cache_slots.c shares and cache_sql.c shows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_ENGINE_INTERNAL_H
#define PNEUMO_PG_ENGINE_INTERNAL_H

#include "storage/dsm.h"

#include "pg/base/shmem.h"
#include "pg/engine/engine.h"

/*
 * One block of memory, shared or not, that holds a version ready to compute: this
 * header, the graph, the model bytes as stored, and the packed weights.  All
 * offsets are from the block's start and multiples of NN_ALIGN.  Of an int16
 * version's bytes only the head is there, as its packed weights are all that a
 * prediction needs; form PNEUMO_FORM_EXPLAIN has all bytes and nothing packed.
 */
typedef struct EngineBlock
{
	uint32 magic;
	uint32 abi; /* of this struct and of what nn packs */
	uint64 total_bytes;
	uint64 graph_at;
	uint64 model_at;
	uint64 model_bytes; /* as stored */
	uint64 kept_bytes;  /* of them, that are in the block */
	uint64 packed_at;   /* 0: nothing */
	int32 path;         /* NnPath */
	int32 precision;    /* NnPrecision of what is in the block */
	int32 form;         /* PneumoForm */
	uint8 sha256[PNEUMO_SHA256_LEN];
} EngineBlock;

/* ------------------------------------------------------------- engine_load.c */

/* Fills *layout from the head of the stored bytes; errors if they are damaged. */
extern void pneumo_block_layout(EngineBlock *layout, const uint8 *sha256, NnPath path, PneumoForm form);

/*
 * Streams the stored bytes into block (layout->total_bytes at a multiple of
 * NN_ALIGN), checks their SHA-256 and all that they say, and packs the weights.
 */
extern void pneumo_block_fill(void *block, const EngineBlock *layout);

/* Points *engine and *meta into a filled block; meta is allocated in cxt. */
extern void pneumo_block_bind(NnEngine *engine, PneumoModelMeta **meta, void *block, Size block_bytes,
							  const uint8 *sha256, MemoryContext cxt);

/* ------------------------------------------------------------- cache_slots.c */

typedef enum PneumoSlotFound
{
	PNEUMO_SLOT_READY,   /* *handle names the segment */
	PNEUMO_SLOT_LOADING, /* somebody loads it */
	PNEUMO_SLOT_CLAIMED, /* *slot is this process's to load */
	PNEUMO_SLOT_FULL     /* all slots are loading */
} PneumoSlotFound;

/* Finds the slot of a version on a path in a form, or claims one. */
extern PneumoSlotFound pneumo_cache_slot_look_up(const PneumoVersionId *id, NnPath path, PneumoForm form,
												 int *slot, dsm_handle *handle);

/* Books bytes for a claimed slot and evicts others for them; false if they cannot fit. */
extern bool pneumo_cache_slot_reserve(int slot, uint64 bytes);

/* Makes a claimed slot ready: handle is the segment with the version. */
extern void pneumo_cache_slot_publish(int slot, dsm_handle handle, NnPrecision precision);

/* Frees a claimed slot whose loading failed. */
extern void pneumo_cache_slot_abandon(int slot);

/* Empties a slot whose segment has gone, or whose loader has. */
extern void pneumo_cache_slot_clear_broken(int slot, PneumoCacheState state, dsm_handle handle);

/* Counts a use of a version, if it still has a slot. */
extern void pneumo_cache_slot_hit(const uint8 *sha256, NnPath path, PneumoForm form, TimestampTz now);

/* Returns whether a ready slot names that segment.  The caller holds the lock. */
extern bool pneumo_cache_slot_is_live(const PneumoShared *shared, dsm_handle handle);

/* Empties the ready slot that was least recently used; false if there is none. */
extern bool pneumo_cache_slots_evict_one(void);

/* Empties this database's ready slots of a version, or all with NULL; returns their number. */
extern int pneumo_cache_slots_evict(const uint8 *sha256);

/* ------------------------------------------------------------------- cache.c */

/* Detaches the segments that no slot names any more and no query of this session uses. */
extern void pneumo_engines_tidy(void);

/* Frees this session's own copies that no query refers to; returns their number. */
extern int pneumo_engines_forget_copies(void);

/* Fills copies (room for max) with this session's own copies, in the form of slots; returns their number. */
extern int pneumo_engines_copies(PneumoCacheSlot *copies, int max);

/* Returns whether this session has that segment attached. */
extern bool pneumo_engine_is_mapped(dsm_handle handle);

#endif /* PNEUMO_PG_ENGINE_INTERNAL_H */
