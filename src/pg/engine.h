/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  Internal to the engine cache: what engine_load.c builds and cache.c
 *	  keeps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_ENGINE_H
#define PNEUMO_PG_ENGINE_H

#include "pg/pneumo.h"

/*
 * One block of memory, shared or not, that holds a version ready to run: this
 * header, the graph, the model bytes as stored, and the packed weights.  All
 * offsets are from the block's start and multiples of NN_ALIGN.
 */
typedef struct EngineBlock
{
	uint32		magic;
	uint32		abi;			/* of this struct and of what nn packs */
	uint64		total_bytes;
	uint64		graph_at;
	uint64		model_at;
	uint64		model_bytes;
	uint64		packed_at;
	int32		path;			/* NnPath */
	int32		precision;		/* NnPrecision */
	uint8		sha256[PNEUMO_SHA256_LEN];
} EngineBlock;

/* Fills *plan from the head of the stored bytes; errors if they are damaged. */
extern void pneumo_block_plan(EngineBlock *plan, const uint8 *sha256, NnPath path);

/*
 * Streams the stored bytes into block (plan->total_bytes at a multiple of
 * NN_ALIGN), checks their SHA-256 and all that they say, and packs the weights.
 */
extern void pneumo_block_fill(void *block, const EngineBlock *plan);

/* Points *engine and *meta into a filled block; meta is allocated in cxt. */
extern void pneumo_block_bind(NnEngine *engine, PneumoModelMeta **meta, void *block,
							  Size block_bytes, const uint8 *sha256, MemoryContext cxt);

#endif							/* PNEUMO_PG_ENGINE_H */
