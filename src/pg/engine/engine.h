/*-------------------------------------------------------------------------
 *
 * engine.h
 *	  Versions ready to predict, one copy of the weights for the whole server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_ENGINE_H
#define PNEUMO_PG_ENGINE_H

#include "nn/nn.h"

#include "pg/catalog/records.h"

typedef struct PneumoEngine
{
	NnEngine engine;
	PneumoModelMeta *meta;
	PneumoVersionId id;
	bool shared; /* in a DSM segment; else a backend-local copy */
} PneumoEngine;

/*
 * Returns the ready engine of a version, on the CPU path of the settings or on a
 * given one; loads it if nobody has.  It stays valid until cxt is reset or
 * deleted (a callback of cxt holds a reference).  The caller has checked the
 * rights.
 */
extern PneumoEngine *pneumo_engine_get(const PneumoVersionId *id, MemoryContext cxt);
extern PneumoEngine *pneumo_engine_get_path(const PneumoVersionId *id, NnPath path, MemoryContext cxt);

/* Returns an engine to explain with: it has the float32 weights, but perhaps nothing packed. */
extern PneumoEngine *pneumo_engine_get_explain(const PneumoVersionId *id, NnPath path, MemoryContext cxt);

/* Empties this database's slots of a version that is dropped. */
extern void pneumo_cache_forget(const uint8 *sha256);

#endif /* PNEUMO_PG_ENGINE_H */
