/*-------------------------------------------------------------------------
 *
 * grants.c
 *	  Who owns a model and to whom it is granted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_grant);
PG_FUNCTION_INFO_V1(pneumo_revoke);
PG_FUNCTION_INFO_V1(pneumo_set_owner);

static PneumoPrivilege
privilege_argument(text *argument)
{
	char *name = text_to_cstring(argument);
	PneumoPrivilege privilege;

	if (!pneumo_privilege_parse(name, &privilege))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown privilege \"%s\"", pneumo_clip(name)),
						errhint("Privileges on models are predict, manage and export.")));
	return privilege;
}

/* Fills the grantee as it is stored: PUBLIC in small letters, otherwise as written. */
static void
grantee_argument(NameData *grantee, Name argument)
{
	if (pg_strcasecmp(NameStr(*argument), PNEUMO_PUBLIC) == 0)
		namestrcpy(grantee, PNEUMO_PUBLIC);
	else
		namestrcpy(grantee, NameStr(*argument));
}

static HeapTuple
find_grant(Relation rel, int64 model, NameData *grantee, PneumoPrivilege privilege, Snapshot snapshot)
{
	ScanKeyData key[3];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_privilege_model, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(model));
	ScanKeyInit(&key[1], Anum_privilege_grantee, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(grantee));
	ScanKeyInit(&key[2], Anum_privilege_privilege, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(pneumo_privilege_name(privilege)));
	scan = systable_beginscan(rel, pneumo_catalog_index(rel, "privilege_pkey"), true, snapshot, 3, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

Datum
pneumo_grant(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PneumoPrivilege privilege = privilege_argument(PG_GETARG_TEXT_PP(2));
	NameData grantee;
	Snapshot snapshot;
	Relation rel;
	int64 model;

	grantee_argument(&grantee, PG_GETARG_NAME(1));
	model = pneumo_model_open(name, PNEUMO_OWNER, "pneumo_grant()", &snapshot);
	if (strcmp(NameStr(grantee), PNEUMO_PUBLIC) != 0)
		(void) get_role_oid(NameStr(grantee), false);

	rel = pneumo_catalog_open(PNEUMO_REL_PRIVILEGE, RowExclusiveLock, false);
	if (!HeapTupleIsValid(find_grant(rel, model, &grantee, privilege, snapshot)))
	{
		Datum values[Natts_privilege];
		bool nulls[Natts_privilege] = {false};

		values[Anum_privilege_model - 1] = Int64GetDatum(model);
		values[Anum_privilege_grantee - 1] = NameGetDatum(&grantee);
		values[Anum_privilege_privilege - 1] = CStringGetTextDatum(pneumo_privilege_name(privilege));
		values[Anum_privilege_grantor - 1] = pneumo_role_datum(GetUserId());
		values[Anum_privilege_granted - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
		pneumo_catalog_insert(rel, values, nulls);
	}
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

Datum
pneumo_revoke(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PneumoPrivilege privilege = privilege_argument(PG_GETARG_TEXT_PP(2));
	NameData grantee;
	Snapshot snapshot;
	Relation rel;
	HeapTuple tuple;
	int64 model;

	grantee_argument(&grantee, PG_GETARG_NAME(1));
	model = pneumo_model_open(name, PNEUMO_OWNER, "pneumo_revoke()", &snapshot);

	/* a grantee that is no role any more can still be revoked */
	rel = pneumo_catalog_open(PNEUMO_REL_PRIVILEGE, RowExclusiveLock, false);
	tuple = find_grant(rel, model, &grantee, privilege, snapshot);
	if (HeapTupleIsValid(tuple))
		pneumo_catalog_delete(rel, tuple);
	else
		ereport(NOTICE, (errmsg("%s on model \"%s\" is not granted to \"%s\"",
								pneumo_privilege_name(privilege), name, NameStr(grantee))));
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

Datum
pneumo_set_owner(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	NameData owner;
	Oid role;
	Snapshot snapshot;
	Relation rel;
	HeapTuple tuple;
	Datum values[Natts_model];
	bool nulls[Natts_model] = {false};
	bool replace[Natts_model] = {false};

	namestrcpy(&owner, NameStr(*PG_GETARG_NAME(1)));
	(void) pneumo_model_open(name, PNEUMO_OWNER, "pneumo_set_owner()", &snapshot);
	role = get_role_oid(NameStr(owner), false);
	pneumo_check_can_become(GetUserId(), role);

	rel = pneumo_catalog_open(PNEUMO_REL_MODEL, RowExclusiveLock, false);
	tuple = pneumo_model_tuple(rel, name, snapshot);
	values[Anum_model_owner - 1] = NameGetDatum(&owner);
	replace[Anum_model_owner - 1] = true;
	pneumo_catalog_update(rel, tuple, values, nulls, replace);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}
