/*-------------------------------------------------------------------------
 *
 * looks.c
 *	  Looks at held-out rows: each one makes the figures a little less honest.
 *
 * A look is a row of pneumo.look, by the SHA-256 of what was judged: versions of
 * equal bytes share their looks, and the rows outlive the versions.  look_worker.c
 * writes it in a transaction of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

int64
pneumo_look_count(const uint8 *sha256)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_LOOK, AccessShareLock, false);
	Snapshot snapshot = pneumo_write_snapshot();
	bytea *hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);
	int64 n = pneumo_catalog_count(rel, "look_sha256_idx", Anum_look_sha256, PointerGetDatum(hash), snapshot);

	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return n;
}

bool
pneumo_look_insert(const PneumoLook *look)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_LOOK, RowExclusiveLock, true);
	Datum values[Natts_look];
	bool nulls[Natts_look] = {false};

	if (rel == NULL)
		return false;
	values[Anum_look_id - 1] = Int64GetDatum(pneumo_catalog_nextval(PNEUMO_REL_LOOK));
	values[Anum_look_sha256 - 1] = PointerGetDatum(pneumo_bytea(look->sha256, PNEUMO_SHA256_LEN));
	values[Anum_look_version - 1] = Int64GetDatum(look->version);
	values[Anum_look_looked - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_look_role - 1] = NameGetDatum(&look->role);
	values[Anum_look_split - 1] = CStringGetTextDatum(look->split);
	values[Anum_look_source - 1] = CStringGetTextDatum(look->source);
	values[Anum_look_images - 1] = Int64GetDatum(look->images);
	values[Anum_look_metrics - 1] = look->metrics != NULL ? JsonbPGetDatum(look->metrics) : (Datum) 0;
	nulls[Anum_look_metrics - 1] = look->metrics == NULL;
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	return true;
}
