/*-------------------------------------------------------------------------
 *
 * cache_sql.c
 *	  The engine cache from SQL: warm it, clear it, look at it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine.h"
#include "pg/engine/engine_internal.h"

PG_FUNCTION_INFO_V1(pneumo_cache_entries);
PG_FUNCTION_INFO_V1(pneumo_cache_load);
PG_FUNCTION_INFO_V1(pneumo_cache_clear);

#define MAX_COPIES_SHOWN 256

Datum
pneumo_cache_load(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 model = pneumo_model_lookup(name, PNEUMO_PREDICT, GetUserId(), false);
	PneumoVersionId id;
	PneumoEngine *engine;

	pneumo_require_deployed(name, model, &id);
	engine = pneumo_engine_get(&id, CurrentMemoryContext);
	PG_RETURN_TEXT_P(cstring_to_text(engine->shared ? "shared" : "local"));
}

Datum
pneumo_cache_clear(PG_FUNCTION_ARGS)
{
	int n = pneumo_cache_slots_evict(NULL);

	n += pneumo_engines_forget_copies();
	pneumo_engines_tidy();
	PG_RETURN_INT32(n);
}

static void
put_entry(ReturnSetInfo *rsinfo, const PneumoCacheSlot *slot, const char *place, bool mapped)
{
	Datum values[10];
	bool nulls[10] = {false};

	values[0] = PointerGetDatum(pneumo_bytea(slot->sha256, PNEUMO_SHA256_LEN));
	values[1] = Int64GetDatum(slot->version);
	values[2] = CStringGetTextDatum(place);
	values[3] = CStringGetTextDatum(slot->state == PNEUMO_CACHE_READY ? "ready" : "loading");
	values[4] = CStringGetTextDatum(nn_path_name((NnPath) slot->path));
	values[5] = Int64GetDatum((int64) slot->bytes);
	values[6] = Int64GetDatum((int64) slot->hits);
	values[7] = TimestampTzGetDatum(slot->last_used);
	nulls[7] = slot->last_used == 0;
	values[8] = BoolGetDatum(mapped);
	values[9] = CStringGetTextDatum(nn_precision_name((NnPrecision) slot->precision));
	nulls[9] = slot->state != PNEUMO_CACHE_READY;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
pneumo_cache_entries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PneumoShared *shared = pneumo_shared();
	PneumoCacheSlot *slots = palloc((PNEUMO_CACHE_SLOTS + MAX_COPIES_SHOWN) * sizeof(PneumoCacheSlot));
	bool sees_all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	int n;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	pneumo_engines_tidy();

	LWLockAcquire(&shared->lock, LW_SHARED);
	memcpy(slots, shared->cache, sizeof(shared->cache));
	LWLockRelease(&shared->lock);
	n = PNEUMO_CACHE_SLOTS;
	n += pneumo_engines_copies(slots + n, MAX_COPIES_SHOWN);

	for (i = 0; i < n; i++)
	{
		bool own = i >= PNEUMO_CACHE_SLOTS;

		if (slots[i].state == PNEUMO_CACHE_EMPTY || slots[i].database != MyDatabaseId ||
			!(sees_all || pneumo_version_visible(slots[i].sha256, GetUserId())))
			continue;
		put_entry(rsinfo, &slots[i], own ? "local" : "shared",
				  own || (slots[i].state == PNEUMO_CACHE_READY && pneumo_engine_is_mapped(slots[i].handle)));
	}
	return (Datum) 0;
}
