/*-------------------------------------------------------------------------
 *
 * run_rows.c
 *	  The rows of runs and epochs.
 *
 * The worker writes them in short transactions, so that others see them while
 * the run goes on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

/* Returns a copy of the run's row as the latest snapshot sees it, or NULL. */
static HeapTuple
find_run(Relation rel, int64 run)
{
	Snapshot snapshot = pneumo_write_snapshot();
	HeapTuple tuple = pneumo_catalog_find(rel, "run_pkey", Anum_run_id, Int64GetDatum(run), snapshot);

	UnregisterSnapshot(snapshot);
	return tuple;
}

static char *
text_or_null(Relation rel, HeapTuple tuple, int attnum)
{
	bool isnull;
	Datum value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
int_or_zero(Relation rel, HeapTuple tuple, int attnum, bool wide)
{
	bool isnull;
	Datum value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);

	if (isnull)
		return 0;
	return wide ? DatumGetInt64(value) : DatumGetInt32(value);
}

static Jsonb *
jsonb_or_null(Relation rel, HeapTuple tuple, int attnum)
{
	bool isnull;
	Datum value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

static PneumoRunRow *
read_row(Relation rel, HeapTuple tuple)
{
	PneumoRunRow *row = palloc0(sizeof(PneumoRunRow));
	bool isnull;

	row->run = int_or_zero(rel, tuple, Anum_run_id, true);
	row->model = text_or_null(rel, tuple, Anum_run_model);
	row->owner = DatumGetObjectId(heap_getattr(tuple, Anum_run_owner, RelationGetDescr(rel), &isnull));
	if (!pneumo_role_exists(row->owner))
		row->owner = InvalidOid;
	row->source = text_or_null(rel, tuple, Anum_run_source);
	row->source_oid =
		DatumGetObjectId(heap_getattr(tuple, Anum_run_source_oid, RelationGetDescr(rel), &isnull));
	if (isnull)
		row->source_oid = InvalidOid;
	row->state = text_or_null(rel, tuple, Anum_run_state);
	row->begun = !heap_attisnull(tuple, Anum_run_started, RelationGetDescr(rel));
	row->config = jsonb_or_null(rel, tuple, Anum_run_config);
	row->error = text_or_null(rel, tuple, Anum_run_error);
	row->sqlstate = text_or_null(rel, tuple, Anum_run_sqlstate);
	row->version = int_or_zero(rel, tuple, Anum_run_version, true);
	row->number = (int32) int_or_zero(rel, tuple, Anum_run_version_number, false);
	row->epochs = (int) int_or_zero(rel, tuple, Anum_run_epochs, false);
	row->epoch = (int) int_or_zero(rel, tuple, Anum_run_epoch, false);
	row->best_epoch = (int) int_or_zero(rel, tuple, Anum_run_best_epoch, false);
	row->metrics = jsonb_or_null(rel, tuple, Anum_run_metrics);
	return row;
}

PneumoRunRow *
pneumo_run_read(int64 run)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_RUN, AccessShareLock, false);
	HeapTuple tuple = find_run(rel, run);
	PneumoRunRow *row = HeapTupleIsValid(tuple) ? read_row(rel, tuple) : NULL;

	table_close(rel, AccessShareLock);
	return row;
}

List *
pneumo_runs_succeeded(Oid source, Oid owner)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_RUN, AccessShareLock, false);
	Snapshot snapshot = pneumo_write_snapshot();
	List *rows = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_run_source_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(source));
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		PneumoRunRow *row = read_row(rel, tuple);

		if (row->owner == owner && strcmp(row->state, "succeeded") == 0)
			rows = lappend(rows, row);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return rows;
}

bool
pneumo_run_is_mine(const PneumoRunRow *row, bool monitor)
{
	if (monitor && has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
		return true;
	if (!OidIsValid(row->owner))
		return superuser();
	return has_privs_of_role(GetUserId(), row->owner);
}

/* ---------------------------------------------------------------- writing */

static void
set(Datum *values, bool *nulls, bool *replace, int attnum, Datum value, bool isnull)
{
	values[attnum - 1] = value;
	nulls[attnum - 1] = isnull;
	if (replace != NULL)
		replace[attnum - 1] = true;
}

static void
set_text(Datum *values, bool *nulls, bool *replace, int attnum, const char *text)
{
	set(values, nulls, replace, attnum, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

static void
set_jsonb(Datum *values, bool *nulls, bool *replace, int attnum, Jsonb *jsonb)
{
	set(values, nulls, replace, attnum, PointerGetDatum(jsonb), jsonb == NULL);
}

static void
set_double(Datum *values, bool *nulls, int attnum, double number)
{
	set(values, nulls, NULL, attnum, Float8GetDatum(number), isnan(number));
}

bool
pneumo_run_insert(const PneumoRunStart *start)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_RUN, RowExclusiveLock, true);
	Datum values[Natts_run];
	bool nulls[Natts_run];
	Datum now = TimestampTzGetDatum(GetCurrentTimestamp());

	if (rel == NULL)
		return false;
	memset(nulls, true, sizeof(nulls));
	set(values, nulls, NULL, Anum_run_id, Int64GetDatum(start->run), false);
	set_text(values, nulls, NULL, Anum_run_model, start->model);
	set(values, nulls, NULL, Anum_run_owner, ObjectIdGetDatum(start->owner), false);
	set_text(values, nulls, NULL, Anum_run_source, start->source_name);
	set(values, nulls, NULL, Anum_run_source_oid, ObjectIdGetDatum(start->source), false);
	set_text(values, nulls, NULL, Anum_run_state, start->queued ? "queued" : "running");
	set_jsonb(values, nulls, NULL, Anum_run_config, start->config);
	set_jsonb(values, nulls, NULL, Anum_run_settings, start->settings);
	set(values, nulls, NULL, Anum_run_created, now, false);
	set(values, nulls, NULL, Anum_run_started, now, start->queued);
	set(values, nulls, NULL, Anum_run_epochs, Int32GetDatum(start->epochs), false);
	set(values, nulls, NULL, Anum_run_epoch, Int32GetDatum(0), false);
	set_text(values, nulls, NULL, Anum_run_build, start->build);
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	return true;
}

typedef struct RunUpdate
{
	Relation rel;
	HeapTuple tuple;
	Datum values[Natts_run];
	bool nulls[Natts_run];
	bool replace[Natts_run];
} RunUpdate;

static bool
begin_update(RunUpdate *update, int64 run)
{
	memset(update, 0, sizeof(RunUpdate));
	update->rel = pneumo_catalog_open(PNEUMO_REL_RUN, RowExclusiveLock, true);
	if (update->rel == NULL)
		return false;
	update->tuple = find_run(update->rel, run);
	if (!HeapTupleIsValid(update->tuple))
	{
		table_close(update->rel, RowExclusiveLock);
		return false;
	}
	return true;
}

static void
end_update(RunUpdate *update)
{
	pneumo_catalog_update(update->rel, update->tuple, update->values, update->nulls, update->replace);
	table_close(update->rel, NoLock);
	CommandCounterIncrement();
}

bool
pneumo_run_restart(const PneumoRunStart *start)
{
	RunUpdate u;

	if (!begin_update(&u, start->run))
		return false;
	if (heap_attisnull(u.tuple, Anum_run_started, RelationGetDescr(u.rel)))
		set(u.values, u.nulls, u.replace, Anum_run_started, TimestampTzGetDatum(GetCurrentTimestamp()),
			false);
	set_text(u.values, u.nulls, u.replace, Anum_run_state, "running");
	set_jsonb(u.values, u.nulls, u.replace, Anum_run_settings, start->settings);
	set(u.values, u.nulls, u.replace, Anum_run_finished, (Datum) 0, true);
	set_text(u.values, u.nulls, u.replace, Anum_run_error, NULL);
	set_text(u.values, u.nulls, u.replace, Anum_run_sqlstate, NULL);
	end_update(&u);
	return true;
}

bool
pneumo_run_set_data(int64 run, Jsonb *rows_by_split, Jsonb *groups_by_split, Jsonb *left_out,
					const uint8 *fingerprint)
{
	RunUpdate u;
	PneumoJson samples;

	if (!begin_update(&u, run))
		return false;
	pneumo_json_begin(&samples);
	pneumo_json_add_jsonb(&samples, "rows", rows_by_split);
	pneumo_json_add_jsonb(&samples, "groups", groups_by_split);
	set_jsonb(u.values, u.nulls, u.replace, Anum_run_samples, pneumo_json_end(&samples));
	set_jsonb(u.values, u.nulls, u.replace, Anum_run_left_out, left_out);
	set(u.values, u.nulls, u.replace, Anum_run_fingerprint,
		PointerGetDatum(pneumo_bytea(fingerprint, PNEUMO_SHA256_LEN)), false);
	end_update(&u);
	return true;
}

static SysScanDesc
scan_epochs(Relation rel, Snapshot snapshot, ScanKeyData *keys, int64 run, int from)
{
	ScanKeyInit(&keys[0], Anum_history_run, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(run));
	ScanKeyInit(&keys[1], Anum_history_epoch, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(from));
	return systable_beginscan(rel, pneumo_catalog_index(rel, "history_pkey"), true, snapshot, 2, keys);
}

void
pneumo_run_cut_epochs(int64 run, int n)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_HISTORY, RowExclusiveLock, true);
	Snapshot snapshot;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	if (rel == NULL)
		return;
	snapshot = pneumo_write_snapshot();
	scan = scan_epochs(rel, snapshot, keys, run, n + 1);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		pneumo_catalog_delete(rel, tuple);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

bool
pneumo_run_epoch(int64 run, const NnEpochLog *log, int best_epoch)
{
	RunUpdate u;
	Relation rel;
	Datum values[Natts_history];
	bool nulls[Natts_history];

	if (!begin_update(&u, run))
		return false;
	/* a resumed run trains again what came after its last checkpoint */
	pneumo_run_cut_epochs(run, log->epoch - 1);
	rel = pneumo_catalog_open(PNEUMO_REL_HISTORY, RowExclusiveLock, true);
	if (rel == NULL)
		return false;
	memset(nulls, false, sizeof(nulls));
	set(values, nulls, NULL, Anum_history_run, Int64GetDatum(run), false);
	set(values, nulls, NULL, Anum_history_epoch, Int32GetDatum(log->epoch), false);
	set_double(values, nulls, Anum_history_loss, log->loss);
	set_double(values, nulls, Anum_history_accuracy, log->accuracy);
	set_double(values, nulls, Anum_history_val_loss, log->val_loss);
	set_double(values, nulls, Anum_history_val_accuracy, log->val_accuracy);
	set_double(values, nulls, Anum_history_val_auc, log->val_auc);
	set_double(values, nulls, Anum_history_learning_rate, log->learning_rate);
	set_double(values, nulls, Anum_history_seconds, log->seconds);
	set_double(values, nulls, Anum_history_val_seconds, log->val_seconds);
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);

	set(u.values, u.nulls, u.replace, Anum_run_epoch, Int32GetDatum(log->epoch), false);
	if (best_epoch > 0)
		set(u.values, u.nulls, u.replace, Anum_run_best_epoch, Int32GetDatum(best_epoch), false);
	end_update(&u);
	return true;
}

bool
pneumo_run_finish(int64 run, const char *state, const PneumoVersionId *version, int best_epoch,
				  Jsonb *metrics, const char *error, const char *sqlstate)
{
	RunUpdate u;

	if (!begin_update(&u, run))
		return false;
	set_text(u.values, u.nulls, u.replace, Anum_run_state, state);
	set(u.values, u.nulls, u.replace, Anum_run_finished, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	if (version != NULL)
	{
		set(u.values, u.nulls, u.replace, Anum_run_version, Int64GetDatum(version->version), false);
		set(u.values, u.nulls, u.replace, Anum_run_version_number, Int32GetDatum(version->number), false);
	}
	if (best_epoch > 0)
		set(u.values, u.nulls, u.replace, Anum_run_best_epoch, Int32GetDatum(best_epoch), false);
	if (metrics != NULL)
		set_jsonb(u.values, u.nulls, u.replace, Anum_run_metrics, metrics);
	set_text(u.values, u.nulls, u.replace, Anum_run_error, error);
	set_text(u.values, u.nulls, u.replace, Anum_run_sqlstate, sqlstate);
	end_update(&u);
	return true;
}

void
pneumo_run_delete(int64 run)
{
	RunUpdate u;

	pneumo_run_cut_epochs(run, 0);
	if (!begin_update(&u, run))
		return;
	pneumo_catalog_delete(u.rel, u.tuple);
	table_close(u.rel, NoLock);
	CommandCounterIncrement();
}

/* ---------------------------------------------------------------- reading */

static double
double_or_nan(Relation rel, HeapTuple tuple, int attnum)
{
	bool isnull;
	Datum value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);

	return isnull ? NAN : DatumGetFloat8(value);
}

int
pneumo_run_epochs(int64 run, int after, NnEpochLog **logs)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_HISTORY, AccessShareLock, false);
	Snapshot snapshot = pneumo_write_snapshot();
	ScanKeyData keys[2];
	SysScanDesc scan = scan_epochs(rel, snapshot, keys, run, after + 1);
	HeapTuple tuple;
	int n = 0;
	int max = 16;

	*logs = palloc(max * sizeof(NnEpochLog));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		NnEpochLog *log;

		if (n == max)
		{
			max *= 2;
			*logs = repalloc(*logs, max * sizeof(NnEpochLog));
		}
		log = &(*logs)[n++];
		memset(log, 0, sizeof(NnEpochLog));
		log->epoch = (int) int_or_zero(rel, tuple, Anum_history_epoch, false);
		log->loss = double_or_nan(rel, tuple, Anum_history_loss);
		log->accuracy = double_or_nan(rel, tuple, Anum_history_accuracy);
		log->val_loss = double_or_nan(rel, tuple, Anum_history_val_loss);
		log->val_accuracy = double_or_nan(rel, tuple, Anum_history_val_accuracy);
		log->val_auc = double_or_nan(rel, tuple, Anum_history_val_auc);
		log->learning_rate = double_or_nan(rel, tuple, Anum_history_learning_rate);
		log->seconds = double_or_nan(rel, tuple, Anum_history_seconds);
		log->val_seconds = double_or_nan(rel, tuple, Anum_history_val_seconds);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return n;
}
