/*-------------------------------------------------------------------------
 *
 * deployments.c
 *	  Which version of a model is deployed: the last row of its history.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

void
pneumo_deployment_add(int64 model, const PneumoVersionId *version, const char *action, int64 previous,
					  Oid role)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_DEPLOYMENT, RowExclusiveLock, false);
	Datum values[Natts_deployment];
	bool nulls[Natts_deployment] = {false};

	values[Anum_deployment_id - 1] = Int64GetDatum(pneumo_catalog_nextval(PNEUMO_REL_DEPLOYMENT));
	values[Anum_deployment_model - 1] = Int64GetDatum(model);
	values[Anum_deployment_version - 1] = Int64GetDatum(version->version);
	values[Anum_deployment_version_number - 1] = Int32GetDatum(version->number);
	values[Anum_deployment_action - 1] = CStringGetTextDatum(action);
	values[Anum_deployment_previous - 1] = Int64GetDatum(previous);
	nulls[Anum_deployment_previous - 1] = previous == 0;
	values[Anum_deployment_role - 1] = pneumo_role_datum(role);
	values[Anum_deployment_deployed - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
}

bool
pneumo_deployment_last(int64 model, Snapshot snapshot, int64 *deployment, int64 *version)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_DEPLOYMENT, AccessShareLock, false);
	Relation index = index_open(pneumo_catalog_index(rel, "deployment_model_idx"), AccessShareLock);
	SysScanDesc scan =
		pneumo_catalog_scan_ordered(rel, index, Anum_deployment_model, Int64GetDatum(model), snapshot);
	HeapTuple tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	bool found = false;

	if (HeapTupleIsValid(tuple))
	{
		bool isnull;

		*deployment = DatumGetInt64(heap_getattr(tuple, Anum_deployment_id, RelationGetDescr(rel), &isnull));
		*version =
			DatumGetInt64(heap_getattr(tuple, Anum_deployment_version, RelationGetDescr(rel), &isnull));
		found = true;
	}
	systable_endscan_ordered(scan);
	index_close(index, NoLock);
	table_close(rel, NoLock);
	return found;
}

bool
pneumo_deployment_read(int64 deployment, Snapshot snapshot, int64 *version, int64 *previous)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_DEPLOYMENT, AccessShareLock, false);
	HeapTuple tuple =
		pneumo_catalog_find(rel, "deployment_pkey", Anum_deployment_id, Int64GetDatum(deployment), snapshot);
	Datum values[Natts_deployment];
	bool nulls[Natts_deployment];

	if (HeapTupleIsValid(tuple))
	{
		heap_deform_tuple(tuple, RelationGetDescr(rel), values, nulls);
		*version = DatumGetInt64(values[Anum_deployment_version - 1]);
		*previous =
			nulls[Anum_deployment_previous - 1] ? 0 : DatumGetInt64(values[Anum_deployment_previous - 1]);
	}
	table_close(rel, NoLock);
	return HeapTupleIsValid(tuple);
}

bool
pneumo_model_deployed(int64 model, PneumoVersionId *id)
{
	Snapshot snapshot = pneumo_read_snapshot();
	int64 deployment;
	int64 version;
	bool found = false;

	if (pneumo_deployment_last(model, snapshot, &deployment, &version))
	{
		Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
		HeapTuple tuple = pneumo_version_tuple(rel, version, snapshot);

		if (HeapTupleIsValid(tuple))
		{
			pneumo_version_id(rel, tuple, id);
			id->deployed = true;
			found = true;
			heap_freetuple(tuple);
		}
		table_close(rel, NoLock);
	}
	UnregisterSnapshot(snapshot);
	return found;
}

static void
no_deployed_version(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("model \"%s\" has no deployed version", name),
			 errhint("Train it with pneumo_train, or deploy a version: SELECT pneumo_deploy(%s, version).",
					 quote_literal_cstr(name))));
}

void
pneumo_require_deployed(const char *name, int64 model, PneumoVersionId *id)
{
	if (!pneumo_model_deployed(model, id))
		no_deployed_version(name);
}
