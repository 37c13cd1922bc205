/*-------------------------------------------------------------------------
 *
 * models.c
 *	  The life of a model from SQL: deploy, roll back, drop.
 *
 * Every change of a model holds its lock until the end of the transaction and
 * decides by a snapshot taken after it.
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

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_deploy);
PG_FUNCTION_INFO_V1(pneumo_rollback);
PG_FUNCTION_INFO_V1(pneumo_drop_model);
PG_FUNCTION_INFO_V1(pneumo_drop_version);

int64
pneumo_model_open(const char *name, PneumoPrivilege privilege, const char *function, Snapshot *snapshot)
{
	int64 model;

	pneumo_prevent_write(function);
	model = pneumo_model_lookup(name, privilege, GetUserId(), false);
	pneumo_lock_model(model);

	/* the lock may have taken a while: look again */
	*snapshot = pneumo_write_snapshot();
	if (pneumo_model_lookup_snapshot(name, privilege, GetUserId(), false, *snapshot) != model)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("model \"%s\" was replaced by another transaction", name)));
	return model;
}

/* ---------------------------------------------------------- deploy, roll back */

/* Warns of a version that its training found to be of no use. */
static void
warn_if_useless(Relation rel, HeapTuple tuple, const char *name, int32 number)
{
	bool isnull;
	Datum metrics = heap_getattr(tuple, Anum_version_metrics, RelationGetDescr(rel), &isnull);
	Jsonb *json = isnull ? NULL : DatumGetJsonbP(metrics);
	char *why = json == NULL || !JB_ROOT_IS_OBJECT(json)
					? NULL
					: pneumo_json_cstring(pneumo_json_get(&json->root, PNEUMO_METRICS_USELESS));

	if (why != NULL)
		ereport(WARNING, (errmsg("version %d of model \"%s\" is not fit for use: %s", number,
								 pneumo_clip(name), why)));
}

Datum
pneumo_deploy(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	int64 number = DatumGetInt64(pneumo_argument(fcinfo, 1));
	Snapshot snapshot;
	int64 model = pneumo_model_open(name, PNEUMO_MANAGE, "pneumo_deploy()", &snapshot);
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	HeapTuple tuple = pneumo_version_of_model(rel, name, model, number, snapshot);
	PneumoVersionId id;
	int64 deployment = 0;
	int64 current = 0;
	bool has_deployed;

	pneumo_version_id(rel, tuple, &id);
	warn_if_useless(rel, tuple, name, id.number);
	has_deployed = pneumo_deployment_last(model, snapshot, &deployment, &current);
	if (has_deployed && current == id.version)
		ereport(NOTICE, (errmsg("version %d of model \"%s\" is deployed already", id.number, name)));
	else
		pneumo_deployment_add(model, &id, has_deployed ? "deploy" : "first", deployment, GetUserId());
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

/* Fills *id with the version of that id; false if it was dropped. */
static bool
find_version(int64 version, Snapshot snapshot, PneumoVersionId *id)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	HeapTuple tuple = pneumo_version_tuple(rel, version, snapshot);

	if (HeapTupleIsValid(tuple))
		pneumo_version_id(rel, tuple, id);
	table_close(rel, NoLock);
	return HeapTupleIsValid(tuple);
}

/*
 * Goes back to the version that was deployed before the present one was, and
 * when called again further back: a rollback takes over the predecessor of the
 * deployment that it returns to.  Versions that were dropped since are skipped.
 */
Datum
pneumo_rollback(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	Snapshot snapshot;
	int64 model = pneumo_model_open(name, PNEUMO_MANAGE, "pneumo_rollback()", &snapshot);
	PneumoVersionId id;
	int64 deployment;
	int64 current = 0;
	int64 version = 0;
	int64 previous = 0;

	if (pneumo_deployment_last(model, snapshot, &deployment, &current))
	{
		(void) pneumo_deployment_read(deployment, snapshot, &version, &previous);
		while (previous != 0)
		{
			if (!pneumo_deployment_read(previous, snapshot, &version, &previous))
				previous = 0;
			else if (version != current && find_version(version, snapshot, &id))
				break;
			version = 0;
		}
		if (version == current)
			version = 0;
	}
	if (version == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("model \"%s\" has no earlier deployed version to go back to", name),
						errhint("pneumo.deployments shows what was deployed; "
								"pneumo_deploy(model, version) chooses a version.")));
	pneumo_deployment_add(model, &id, "rollback", previous, GetUserId());
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_INT32(id.number);
}

/* ----------------------------------------------------------------------- drop */

/* Deletes the rows of a relation whose first key column of an index is id. */
static void
delete_by_id(PneumoRelation relation, const char *index, int attribute, int64 id, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(relation, RowExclusiveLock, false);
	SysScanDesc scan = pneumo_catalog_scan(rel, index, attribute, Int64GetDatum(id), snapshot);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		pneumo_catalog_delete(rel, tuple);
	systable_endscan(scan);
	table_close(rel, NoLock);
}

/* Counts the rows of versions that share these bytes. */
static int64
count_sharers(Relation rel, const uint8 *sha256)
{
	Snapshot snapshot = pneumo_write_snapshot();
	bytea *hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);
	int64 n =
		pneumo_catalog_count(rel, "version_sha256_idx", Anum_version_sha256, PointerGetDatum(hash), snapshot);

	UnregisterSnapshot(snapshot);
	return n;
}

/* Deletes a version's row and what hangs on it; the bytes if it was their last. */
static void
drop_version(Relation rel, HeapTuple tuple, Snapshot snapshot)
{
	PneumoVersionId id;

	pneumo_version_id(rel, tuple, &id);
	pneumo_lock_bytes(id.sha256);
	delete_by_id(PNEUMO_REL_MANIFEST, "manifest_pkey", Anum_manifest_version, id.version, snapshot);
	pneumo_catalog_delete(rel, tuple);
	CommandCounterIncrement();
	if (count_sharers(rel, id.sha256) == 0)
	{
		pneumo_chunks_drop(id.sha256);
		pneumo_cache_forget(id.sha256);
	}
}

Datum
pneumo_drop_version(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	int64 number = DatumGetInt64(pneumo_argument(fcinfo, 1));
	Snapshot snapshot;
	int64 model = pneumo_model_open(name, PNEUMO_MANAGE, "pneumo_drop_version()", &snapshot);
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, RowExclusiveLock, false);
	HeapTuple tuple = pneumo_version_of_model(rel, name, model, number, snapshot);
	PneumoVersionId id;
	int64 deployment;
	int64 current;

	pneumo_version_id(rel, tuple, &id);
	if (pneumo_deployment_last(model, snapshot, &deployment, &current) && current == id.version)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("version %d of model \"%s\" is deployed", id.number, name),
						errhint("Deploy another version first, or drop the model with pneumo_drop_model.")));
	drop_version(rel, tuple, snapshot);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

Datum
pneumo_drop_model(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	Snapshot snapshot;
	int64 model = pneumo_model_open(name, PNEUMO_OWNER, "pneumo_drop_model()", &snapshot);
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, RowExclusiveLock, false);
	SysScanDesc scan =
		pneumo_catalog_scan(rel, "version_number_key", Anum_version_model, Int64GetDatum(model), snapshot);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		drop_version(rel, tuple, snapshot);
	systable_endscan(scan);
	table_close(rel, NoLock);

	delete_by_id(PNEUMO_REL_PRIVILEGE, "privilege_model_idx", Anum_privilege_model, model, snapshot);
	delete_by_id(PNEUMO_REL_DEPLOYMENT, "deployment_model_idx", Anum_deployment_model, model, snapshot);
	delete_by_id(PNEUMO_REL_MODEL, "model_pkey", Anum_model_id, model, snapshot);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}
