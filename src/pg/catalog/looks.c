/*-------------------------------------------------------------------------
 *
 * looks.c
 *	  Looks at the test split: each one makes what is chosen by its figures a
 *	  little too optimistic.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

int64
pneumo_look_count(int64 version, const char *split)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_LOOK, AccessShareLock, false);
	Snapshot snapshot = pneumo_write_snapshot();
	SysScanDesc scan =
		pneumo_catalog_scan(rel, "look_version_idx", Anum_look_version, Int64GetDatum(version), snapshot);
	HeapTuple tuple;
	int64 n = 0;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		char *of = TextDatumGetCString(heap_getattr(tuple, Anum_look_split, RelationGetDescr(rel), &isnull));

		n += strcmp(of, split) == 0;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return n;
}

void
pneumo_look_add(const PneumoVersionId *id, const char *split, const char *source, int64 images,
				Jsonb *metrics)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_LOOK, RowExclusiveLock, false);
	Datum values[Natts_look];
	bool nulls[Natts_look] = {false};

	values[Anum_look_id - 1] = Int64GetDatum(pneumo_catalog_nextval(PNEUMO_REL_LOOK));
	values[Anum_look_version - 1] = Int64GetDatum(id->version);
	values[Anum_look_looked - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_look_role - 1] = pneumo_role_datum(GetUserId());
	values[Anum_look_split - 1] = CStringGetTextDatum(split);
	values[Anum_look_source - 1] = CStringGetTextDatum(source);
	values[Anum_look_images - 1] = Int64GetDatum(images);
	values[Anum_look_metrics - 1] = metrics != NULL ? JsonbPGetDatum(metrics) : (Datum) 0;
	nulls[Anum_look_metrics - 1] = metrics == NULL;
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}
