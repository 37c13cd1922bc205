/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Names of models: claimed when a training begins, free again when nothing
 *	  came of it.
 *
 * A training claims its name first, so that hours later nobody else has it.
 * If it fails, is cancelled or dies before it has made a version, the name
 * must not stay with it: the worker gives it back at its end, and a name that
 * a worker could not give back (a crash, a restart) is there for whoever asks.
 *
 * A name is abandoned if its model has never had a version, has nothing granted
 * on it, and no training of that name is running.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg/base/shmem.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

#define MAX_MODEL_NAME 255 /* bytes */

static void
check_model_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > MAX_MODEL_NAME)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("a model name of %zu bytes, where 1 to %d are allowed", n, MAX_MODEL_NAME)));
}

static bool
has_grants(int64 model, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_PRIVILEGE, AccessShareLock, false);
	bool found = HeapTupleIsValid(pneumo_catalog_find(rel, "privilege_model_idx", Anum_privilege_model,
													  Int64GetDatum(model), snapshot));

	table_close(rel, NoLock);
	return found;
}

/* Returns whether a worker other than that of the run except trains a model of this name. */
static bool
is_being_trained(const char *name, int64 except)
{
	int64 runs[PNEUMO_RUN_SLOTS];
	int n = pneumo_live_runs(runs);
	int i;

	for (i = 0; i < n; i++)
	{
		PneumoRunRow *row = runs[i] == except ? NULL : pneumo_run_read(runs[i]);

		if (row != NULL && strcmp(row->model, name) == 0)
			return true;
	}
	return false;
}


/* Returns whether the model of a row is abandoned; the worker of the run except may train it. */
static bool
is_abandoned(Relation rel, HeapTuple tuple, const char *name, int64 except, Snapshot snapshot)
{
	TupleDesc desc = RelationGetDescr(rel);
	bool isnull;

	return DatumGetInt32(heap_getattr(tuple, Anum_model_last_number, desc, &isnull)) == 0 &&
		   !has_grants(DatumGetInt64(heap_getattr(tuple, Anum_model_id, desc, &isnull)), snapshot) &&
		   !is_being_trained(name, except);
}

/* Returns the id in a row of models, and whether the role owns the model. */
static int64
model_id(Relation rel, HeapTuple tuple, Oid role, bool *own)
{
	bool isnull;

	*own = DatumGetObjectId(heap_getattr(tuple, Anum_model_owner, RelationGetDescr(rel), &isnull)) == role;
	return DatumGetInt64(heap_getattr(tuple, Anum_model_id, RelationGetDescr(rel), &isnull));
}

static bool
is_free_for(Relation rel, HeapTuple tuple, const char *name, Oid role, int64 except, Snapshot snapshot)
{
	bool own;

	(void) model_id(rel, tuple, role, &own);
	return !own && is_abandoned(rel, tuple, name, except, snapshot);
}

/* Deletes the model's row unless something came of it while this waited for the lock. */
static bool
take_away(Relation rel, HeapTuple tuple, int64 model, const char *name, int64 except)
{
	Snapshot snapshot;
	HeapTuple again;
	bool abandoned;

	pneumo_lock_model(model);
	snapshot = pneumo_write_snapshot();
	again = pneumo_model_tuple(rel, name, snapshot);
	abandoned = HeapTupleIsValid(again) && ItemPointerEquals(&again->t_self, &tuple->t_self) &&
				is_abandoned(rel, again, name, except, snapshot);
	UnregisterSnapshot(snapshot);
	if (abandoned)
	{
		pneumo_catalog_delete(rel, tuple);
		CommandCounterIncrement();
	}
	return abandoned;
}

void
pneumo_model_check_claim(const char *name, Oid role)
{
	Snapshot snapshot = pneumo_read_snapshot();
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MODEL, AccessShareLock, false);
	HeapTuple tuple = pneumo_model_tuple(rel, name, snapshot);

	check_model_name(name);
	if (HeapTupleIsValid(tuple) && !is_free_for(rel, tuple, name, role, 0, snapshot))
		(void) pneumo_model_lookup_snapshot(name, PNEUMO_MANAGE, role, true, snapshot);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
}

/* Returns the model of that name, or 0; takes an abandoned one of somebody else away first. */
static int64
find_claimed(const char *name, Oid role, int64 run)
{
	Snapshot snapshot = pneumo_write_snapshot();
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MODEL, RowExclusiveLock, false);
	HeapTuple tuple = pneumo_model_tuple(rel, name, snapshot);
	int64 model = 0;
	bool own;

	if (HeapTupleIsValid(tuple) && !(is_free_for(rel, tuple, name, role, run, snapshot) &&
									 take_away(rel, tuple, model_id(rel, tuple, role, &own), name, run)))
		model = pneumo_model_lookup_snapshot(name, PNEUMO_MANAGE, role, true, snapshot);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	return model;
}

int64
pneumo_model_claim(const char *name, Oid owner, int64 run)
{
	Relation rel;
	int64 model;
	Datum values[Natts_model];
	bool nulls[Natts_model] = {false};

	check_model_name(name);
	/* somebody may be about to use the name, or to give it back */
	pneumo_lock_name(name);
	model = find_claimed(name, owner, run);
	if (model != 0)
		return model;

	rel = pneumo_catalog_open(PNEUMO_REL_MODEL, RowExclusiveLock, false);
	model = pneumo_catalog_nextval(PNEUMO_REL_MODEL);
	values[Anum_model_id - 1] = Int64GetDatum(model);
	values[Anum_model_name - 1] = CStringGetTextDatum(name);
	values[Anum_model_owner - 1] = ObjectIdGetDatum(owner);
	values[Anum_model_created - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[Anum_model_comment - 1] = true;
	values[Anum_model_last_number - 1] = Int32GetDatum(0);
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	return model;
}

void
pneumo_model_release(const char *name, Oid owner, int64 run)
{
	Snapshot snapshot;
	Relation rel;
	HeapTuple tuple;

	pneumo_lock_name(name);
	snapshot = pneumo_write_snapshot();
	rel = pneumo_catalog_open(PNEUMO_REL_MODEL, RowExclusiveLock, false);
	tuple = pneumo_model_tuple(rel, name, snapshot);
	if (HeapTupleIsValid(tuple))
	{
		bool own;
		int64 model = model_id(rel, tuple, owner, &own);

		if (own && is_abandoned(rel, tuple, name, run, snapshot))
			(void) take_away(rel, tuple, model, name, run);
	}
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
}
