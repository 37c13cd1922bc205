/*-------------------------------------------------------------------------
 *
 * rights.c
 *	  Who may do what with a model: models and versions looked up with rights.
 *
 * They are looked up by index scans under the snapshot of the calling query, each
 * time, which takes microseconds.  So a revoked privilege, SET ROLE, a deployment,
 * a rollback, REPEATABLE READ and a standby are right by construction.
 *
 * Owners and grantees are roles, not names of roles: see roles.c.
 *
 * The owner has all privileges, and so have the members of that role and
 * superusers.  Privileges are independent: manage does not imply predict.
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
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

PG_FUNCTION_INFO_V1(pneumo_has_privilege);

#define ALL_PRIVILEGES (PNEUMO_OWNER | PNEUMO_PREDICT | PNEUMO_MANAGE | PNEUMO_EXPORT)

static const struct
{
	const char *name;
	PneumoPrivilege privilege;
} privileges[] = {
	{"predict", PNEUMO_PREDICT},
	{"manage", PNEUMO_MANAGE},
	{"export", PNEUMO_EXPORT},
	{"owner", PNEUMO_OWNER},
};

bool
pneumo_privilege_parse(const char *name, PneumoPrivilege *privilege)
{
	size_t i;

	for (i = 0; i < lengthof(privileges); i++)
	{
		if (pg_strcasecmp(name, privileges[i].name) == 0)
		{
			*privilege = privileges[i].privilege;
			return true;
		}
	}
	return false;
}

const char *
pneumo_privilege_name(PneumoPrivilege privilege)
{
	size_t i;

	for (i = 0; i < lengthof(privileges); i++)
	{
		if (privileges[i].privilege == privilege)
			return privileges[i].name;
	}
	return "unknown";
}

/* Reads the next row of a scan of privileges; returns NULL after the last.  *privilege is 0 if the row names none. */
static HeapTuple
next_privilege(Relation rel, SysScanDesc scan, Oid *grantee, int *privilege)
{
	HeapTuple tuple = systable_getnext(scan);
	PneumoPrivilege parsed;
	bool isnull;
	char *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	*grantee = DatumGetObjectId(heap_getattr(tuple, Anum_privilege_grantee, RelationGetDescr(rel), &isnull));
	name = TextDatumGetCString(heap_getattr(tuple, Anum_privilege_privilege, RelationGetDescr(rel), &isnull));
	*privilege = pneumo_privilege_parse(name, &parsed) ? parsed : 0;
	pfree(name);
	return tuple;
}

/* Returns whether a role has what is another role's: one that was dropped passes nothing on. */
static bool
role_acts_as(Oid role, Oid other)
{
	return has_privs_of_role(role, other) && pneumo_role_exists(other);
}

static SysScanDesc
scan_privileges(Relation rel, int64 model, Snapshot snapshot)
{
	return pneumo_catalog_scan(rel, "privilege_model_idx", Anum_privilege_model, Int64GetDatum(model),
							   snapshot);
}

/* Returns the privileges that are granted to a role on a model, as a bit mask. */
static int
granted_privileges(int64 model, Oid role, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_PRIVILEGE, AccessShareLock, false);
	SysScanDesc scan = scan_privileges(rel, model, snapshot);
	Oid grantee;
	int privilege;
	int mask = 0;

	while (next_privilege(rel, scan, &grantee, &privilege) != NULL)
	{
		if (!OidIsValid(grantee) || role_acts_as(role, grantee))
			mask |= privilege & ~PNEUMO_OWNER;
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	return mask;
}

/*
 * Returns whether the row of a privilege is there.  Deletes that row if remove
 * is set, and the rows of roles that were dropped.
 */
static bool
sweep_privileges(Relation rel, int64 model, Oid grantee, PneumoPrivilege privilege, bool remove,
				 Snapshot snapshot)
{
	SysScanDesc scan = scan_privileges(rel, model, snapshot);
	HeapTuple tuple;
	bool found = false;
	Oid row_grantee;
	int row_privilege;

	while (HeapTupleIsValid(tuple = next_privilege(rel, scan, &row_grantee, &row_privilege)))
	{
		bool same = row_grantee == grantee && row_privilege == (int) privilege;

		found = found || same;
		if ((same && remove) || (OidIsValid(row_grantee) && !pneumo_role_exists(row_grantee)))
			pneumo_catalog_delete(rel, tuple);
	}
	systable_endscan(scan);
	return found;
}

bool
pneumo_privilege_add(int64 model, Oid grantee, PneumoPrivilege privilege, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_PRIVILEGE, RowExclusiveLock, false);
	bool found = sweep_privileges(rel, model, grantee, privilege, false, snapshot);

	if (!found)
	{
		Datum values[Natts_privilege];
		bool nulls[Natts_privilege] = {false};

		values[Anum_privilege_model - 1] = Int64GetDatum(model);
		values[Anum_privilege_grantee - 1] = ObjectIdGetDatum(grantee);
		values[Anum_privilege_privilege - 1] = CStringGetTextDatum(pneumo_privilege_name(privilege));
		values[Anum_privilege_grantor - 1] = pneumo_role_datum(GetUserId());
		values[Anum_privilege_granted - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
		pneumo_catalog_insert(rel, values, nulls);
	}
	table_close(rel, NoLock);
	CommandCounterIncrement();
	return !found;
}

bool
pneumo_privilege_remove(int64 model, Oid grantee, PneumoPrivilege privilege, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_PRIVILEGE, RowExclusiveLock, false);
	bool found = sweep_privileges(rel, model, grantee, privilege, true, snapshot);

	table_close(rel, NoLock);
	CommandCounterIncrement();
	return found;
}

HeapTuple
pneumo_model_tuple(Relation rel, const char *name, Snapshot snapshot)
{
	Datum text_name = CStringGetTextDatum(name);
	HeapTuple tuple = pneumo_catalog_find(rel, "model_name_key", Anum_model_name, text_name, snapshot);

	pfree(DatumGetPointer(text_name));
	return tuple;
}

/* Returns the id of a model and sets the mask of the role's privileges on it; 0: no model has that name. */
static int64
model_privileges(const char *name, Oid role, Snapshot snapshot, int *mask)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MODEL, AccessShareLock, false);
	HeapTuple tuple = pneumo_model_tuple(rel, name, snapshot);
	int64 model = 0;

	*mask = 0;
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Oid owner = DatumGetObjectId(heap_getattr(tuple, Anum_model_owner, RelationGetDescr(rel), &isnull));

		model = DatumGetInt64(heap_getattr(tuple, Anum_model_id, RelationGetDescr(rel), &isnull));
		if (superuser_arg(role) || role_acts_as(role, owner))
			*mask = ALL_PRIVILEGES;
		else
			*mask = granted_privileges(model, role, snapshot);
		heap_freetuple(tuple);
	}
	table_close(rel, NoLock);
	return model;
}

bool
pneumo_model_has(const char *name, PneumoPrivilege privilege, Oid role, Snapshot snapshot)
{
	int mask;

	(void) model_privileges(name, role, snapshot, &mask);
	return (mask & privilege) != 0;
}

int64
pneumo_model_lookup_snapshot(const char *name, PneumoPrivilege privilege, Oid role, bool missing_ok,
							 Snapshot snapshot)
{
	int mask;
	int64 model = model_privileges(name, role, snapshot, &mask);

	if (mask & privilege)
		return model;
	if (missing_ok && model == 0)
		return 0;

	/*
	 * Who has no privilege at all is not told whether there is such a model,
	 * except where the name is to be claimed and the clash would tell anyway.
	 */
	if (mask == 0 && !missing_ok)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						superuser_arg(role) ? errmsg("model \"%s\" does not exist", pneumo_clip(name))
											: errmsg("model \"%s\" does not exist or is not granted to you",
													 pneumo_clip(name)),
						errhint("pneumo.models lists the models that you may use.")));
	if (mask == 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("model \"%s\" is another role's and is not granted to you", pneumo_clip(name)),
						errhint("Take another name, or ask its owner for SELECT pneumo_grant(%s, %s, %s).",
								quote_literal_cstr(name), quote_literal_cstr(GetUserNameFromId(role, false)),
								quote_literal_cstr(pneumo_privilege_name(privilege)))));
	if (privilege == PNEUMO_OWNER)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of model \"%s\"", pneumo_clip(name)),
				 errhint("Ask its owner, who can also give it away: SELECT pneumo_set_owner(%s, %s).",
						 quote_literal_cstr(name), quote_literal_cstr(GetUserNameFromId(role, false)))));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for model \"%s\"", name),
			 errdetail("This needs the privilege %s on it.", pneumo_privilege_name(privilege)),
			 errhint("Its owner can grant it: SELECT pneumo_grant(%s, %s, %s).", quote_literal_cstr(name),
					 quote_literal_cstr(GetUserNameFromId(role, false)),
					 quote_literal_cstr(pneumo_privilege_name(privilege)))));
	pg_unreachable();
}

int64
pneumo_model_lookup(const char *name, PneumoPrivilege privilege, Oid role, bool missing_ok)
{
	Snapshot snapshot = pneumo_read_snapshot();
	int64 model = pneumo_model_lookup_snapshot(name, privilege, role, missing_ok, snapshot);

	UnregisterSnapshot(snapshot);
	return model;
}

static char *
model_name(int64 model, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MODEL, AccessShareLock, false);
	HeapTuple tuple = pneumo_catalog_find(rel, "model_pkey", Anum_model_id, Int64GetDatum(model), snapshot);
	char *name = NULL;
	bool isnull;

	if (HeapTupleIsValid(tuple))
	{
		name = TextDatumGetCString(heap_getattr(tuple, Anum_model_name, RelationGetDescr(rel), &isnull));
		heap_freetuple(tuple);
	}
	table_close(rel, NoLock);
	return name;
}

/* Finds a version of that hash in a model on which role has one of the wanted privileges. */
static bool
find_by_hash(const uint8 *sha256, int wanted, Oid role, PneumoVersionId *id)
{
	Snapshot snapshot = pneumo_read_snapshot();
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	bytea *hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);
	SysScanDesc scan =
		pneumo_catalog_scan(rel, "version_sha256_idx", Anum_version_sha256, PointerGetDatum(hash), snapshot);
	HeapTuple tuple;
	bool found = false;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		int64 model = DatumGetInt64(heap_getattr(tuple, Anum_version_model, RelationGetDescr(rel), &isnull));
		char *name = model_name(model, snapshot);
		int mask = 0;

		if (name == NULL)
			continue;
		(void) model_privileges(name, role, snapshot, &mask);
		pfree(name);
		found = (mask & wanted) != 0;
		if (found)
			pneumo_version_id(rel, tuple, id);
	}
	systable_endscan(scan);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	pfree(hash);
	return found;
}

bool
pneumo_version_lookup(const uint8 *sha256, PneumoPrivilege privilege, Oid role, PneumoVersionId *id)
{
	if (find_by_hash(sha256, privilege, role, id))
		return true;

	/* the same message whether it is missing or hidden */
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("model version %s does not exist or is not granted to you", pneumo_sha256_hex(sha256)),
			 errhint("pneumo.versions lists the versions that you may use.")));
	pg_unreachable();
}

bool
pneumo_version_visible(const uint8 *sha256, Oid role)
{
	PneumoVersionId id;

	return find_by_hash(sha256, ALL_PRIVILEGES, role, &id);
}

Datum
pneumo_has_privilege(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *wanted = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PneumoPrivilege privilege;
	Snapshot snapshot = pneumo_read_snapshot();
	int mask;

	(void) model_privileges(name, GetUserId(), snapshot, &mask);
	UnregisterSnapshot(snapshot);

	if (pg_strcasecmp(wanted, "any") == 0)
		PG_RETURN_BOOL(mask != 0);
	if (!pneumo_privilege_parse(wanted, &privilege))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown privilege \"%s\"", pneumo_clip(wanted)),
						errhint("Privileges are predict, manage, export, owner, and any of them: any.")));
	PG_RETURN_BOOL((mask & privilege) != 0);
}
