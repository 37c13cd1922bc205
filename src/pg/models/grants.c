/*-------------------------------------------------------------------------
 *
 * grants.c
 *	  Who owns a model and to whom it is granted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_grant);
PG_FUNCTION_INFO_V1(pneumo_revoke);
PG_FUNCTION_INFO_V1(pneumo_set_owner);

static PneumoPrivilege
privilege_argument(const char *name)
{
	PneumoPrivilege privilege;

	if (!pneumo_privilege_parse(name, &privilege) || privilege == PNEUMO_OWNER)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown privilege \"%s\"", pneumo_clip(name)),
						errhint("Privileges on models are predict, manage and export.")));
	return privilege;
}

/* Returns the OID of a grantee, InvalidOid for PUBLIC; errors if there is no such role. */
static Oid
grantee_argument(const char *name)
{
	return pg_strcasecmp(name, PNEUMO_PUBLIC) == 0 ? InvalidOid : get_role_oid(name, false);
}

Datum
pneumo_grant(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	const char *role = NameStr(*DatumGetName(pneumo_argument(fcinfo, 1)));
	PneumoPrivilege privilege = privilege_argument(pneumo_text_argument(fcinfo, 2));
	Snapshot snapshot;
	int64 model = pneumo_model_open(name, PNEUMO_OWNER, "pneumo_grant()", &snapshot);

	(void) pneumo_privilege_add(model, grantee_argument(role), privilege, snapshot);
	UnregisterSnapshot(snapshot);
	PG_RETURN_VOID();
}

Datum
pneumo_revoke(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	const char *role = NameStr(*DatumGetName(pneumo_argument(fcinfo, 1)));
	PneumoPrivilege privilege = privilege_argument(pneumo_text_argument(fcinfo, 2));
	Snapshot snapshot;
	int64 model = pneumo_model_open(name, PNEUMO_OWNER, "pneumo_revoke()", &snapshot);
	Oid grantee = grantee_argument(role);

	if (!pneumo_privilege_remove(model, grantee, privilege, snapshot))
		ereport(NOTICE,
				(errmsg("%s on model \"%s\" is not granted to \"%s\"", pneumo_privilege_name(privilege), name,
						OidIsValid(grantee) ? role : PNEUMO_PUBLIC)));
	UnregisterSnapshot(snapshot);
	PG_RETURN_VOID();
}

Datum
pneumo_set_owner(PG_FUNCTION_ARGS)
{
	char *name = pneumo_text_argument(fcinfo, 0);
	Oid owner;
	Snapshot snapshot;
	Relation rel;
	HeapTuple tuple;
	Datum values[Natts_model];
	bool nulls[Natts_model] = {false};
	bool replace[Natts_model] = {false};

	(void) pneumo_model_open(name, PNEUMO_OWNER, "pneumo_set_owner()", &snapshot);
	owner = get_role_oid(NameStr(*DatumGetName(pneumo_argument(fcinfo, 1))), false);
	pneumo_check_can_become(GetUserId(), owner);

	rel = pneumo_catalog_open(PNEUMO_REL_MODEL, RowExclusiveLock, false);
	tuple = pneumo_model_tuple(rel, name, snapshot);
	values[Anum_model_owner - 1] = ObjectIdGetDatum(owner);
	replace[Anum_model_owner - 1] = true;
	pneumo_catalog_update(rel, tuple, values, nulls, replace);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}
