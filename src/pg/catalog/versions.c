/*-------------------------------------------------------------------------
 *
 * versions.c
 *	  The rows of versions, which are immutable and named by their SHA-256.
 *
 * A version has an id, which is unique in the database and stands in other rows,
 * and a number, which counts within its model and is what people are told.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

#define LISTED_RANGES 8 /* of the numbers of versions, in an error */

HeapTuple
pneumo_version_tuple(Relation rel, int64 version, Snapshot snapshot)
{
	return pneumo_catalog_find(rel, "version_pkey", Anum_version_id, Int64GetDatum(version), snapshot);
}

void
pneumo_version_id(Relation rel, HeapTuple tuple, PneumoVersionId *id)
{
	bool isnull;
	bytea *hash;

	id->version = DatumGetInt64(heap_getattr(tuple, Anum_version_id, RelationGetDescr(rel), &isnull));
	id->number = DatumGetInt32(heap_getattr(tuple, Anum_version_number, RelationGetDescr(rel), &isnull));
	id->deployed = false;
	id->uncommitted = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	hash = DatumGetByteaPP(heap_getattr(tuple, Anum_version_sha256, RelationGetDescr(rel), &isnull));
	if (VARSIZE_ANY_EXHDR(hash) != PNEUMO_SHA256_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the model version of id " INT64_FORMAT " has no valid SHA-256", id->version)));
	memcpy(id->sha256, VARDATA_ANY(hash), PNEUMO_SHA256_LEN);
}

void *
pneumo_version_read(int64 version, size_t *n_bytes)
{
	Snapshot snapshot = pneumo_read_snapshot();
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	HeapTuple tuple = pneumo_version_tuple(rel, version, snapshot);
	PneumoVersionId id;
	PneumoChunks *chunks;
	const uint8 *piece;
	size_t piece_bytes;
	size_t total;
	size_t at = 0;
	bool isnull;
	char *bytes;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("there is no model version of id " INT64_FORMAT, version)));
	pneumo_version_id(rel, tuple, &id);
	total = (size_t) DatumGetInt64(heap_getattr(tuple, Anum_version_bytes, RelationGetDescr(rel), &isnull));
	table_close(rel, NoLock);

	bytes = MemoryContextAllocHuge(CurrentMemoryContext, Max(total, 1));
	chunks = pneumo_chunks_open(id.sha256);
	while (pneumo_chunks_next(chunks, &piece, &piece_bytes))
	{
		if (piece_bytes > total - at)
			break;
		memcpy(bytes + at, piece, piece_bytes);
		at += piece_bytes;
	}
	pneumo_chunks_close(chunks);
	UnregisterSnapshot(snapshot);
	if (at != total)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("model version %s has not the %zu bytes that it was stored with",
							   pneumo_sha256_hex(id.sha256), total)));
	*n_bytes = total;
	return bytes;
}

/* Returns the highest number that a version of a model has had. */
static int32
last_number(const char *name, Snapshot snapshot)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MODEL, AccessShareLock, false);
	HeapTuple tuple = pneumo_model_tuple(rel, name, snapshot);
	int32 number = 0;
	bool isnull;

	if (HeapTupleIsValid(tuple))
		number = DatumGetInt32(heap_getattr(tuple, Anum_model_last_number, RelationGetDescr(rel), &isnull));
	table_close(rel, NoLock);
	return number;
}

/* Appends numbers to a list, "3 to 5" for more than two; separator stands before the last item unless it is the first. */
static void
add_range(StringInfo list, const char *separator, int32 first, int32 last)
{
	if (last == first + 1)
	{
		add_range(list, ", ", first, first);
		first = last;
	}
	if (list->len > 0)
		appendStringInfoString(list, separator);
	appendStringInfo(list, "%d", first);
	if (last > first)
		appendStringInfo(list, " to %d", last);
}

/*
 * Returns the numbers of a model's versions as a text, palloc'd: "no version",
 * "version 2" or "versions 1 to 3, 5 and 7".  Of a long list the middle is left
 * out: "versions 1, 3, 5, ... and 99".
 */
static char *
list_numbers(Relation rel, int64 model, Snapshot snapshot)
{
	Relation index = index_open(pneumo_catalog_index(rel, "version_number_key"), AccessShareLock);
	SysScanDesc scan =
		pneumo_catalog_scan_ordered(rel, index, Anum_version_model, Int64GetDatum(model), snapshot);
	HeapTuple tuple;
	StringInfoData list;
	int32 first = 0;
	int32 last = 0;
	int n = 0;
	int ranges = 0;

	initStringInfo(&list);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		bool isnull;
		int32 number =
			DatumGetInt32(heap_getattr(tuple, Anum_version_number, RelationGetDescr(rel), &isnull));

		if (n > 0 && number != last + 1)
		{
			if (ranges < LISTED_RANGES)
				add_range(&list, ", ", first, last);
			else if (ranges == LISTED_RANGES)
				appendStringInfoString(&list, ", ...");
			ranges++;
		}
		if (n == 0 || number != last + 1)
			first = number;
		last = number;
		n++;
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	if (n == 0)
		return "no version";
	add_range(&list, " and ", first, last);
	return psprintf("%s %s", n == 1 ? "version" : "versions", list.data);
}

/* Returns the number of the version of that id if it is one of the model's, or 0. */
static int32
number_of_id(Relation rel, int64 model, int64 id, Snapshot snapshot)
{
	HeapTuple tuple = pneumo_version_tuple(rel, id, snapshot);
	bool isnull;

	if (!HeapTupleIsValid(tuple) ||
		DatumGetInt64(heap_getattr(tuple, Anum_version_model, RelationGetDescr(rel), &isnull)) != model)
		return 0;
	return DatumGetInt32(heap_getattr(tuple, Anum_version_number, RelationGetDescr(rel), &isnull));
}

static void
no_such_version(Relation rel, const char *name, int64 model, int64 number, Snapshot snapshot)
{
	bool dropped = number > 0 && number <= last_number(name, snapshot);
	char *numbers = list_numbers(rel, model, snapshot);
	int32 meant = number_of_id(rel, model, number, snapshot);

	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("model \"%s\" has no version " INT64_FORMAT, name, number),
					dropped ? errdetail("It has %s; " INT64_FORMAT " was dropped.", numbers, number)
							: errdetail("It has %s.", numbers),
					meant > 0 ? errhint(INT64_FORMAT
										" is the id of its version %d; give the number if that one is meant.",
										number, meant)
							  : errhint("pneumo.versions lists them.")));
}

HeapTuple
pneumo_version_of_model(Relation rel, const char *name, int64 model, int64 number, Snapshot snapshot)
{
	SysScanDesc scan =
		pneumo_catalog_scan(rel, "version_number_key", Anum_version_model, Int64GetDatum(model), snapshot);
	HeapTuple tuple;
	bool isnull;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (DatumGetInt32(heap_getattr(tuple, Anum_version_number, RelationGetDescr(rel), &isnull)) == number)
			break;
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	if (!HeapTupleIsValid(tuple))
		no_such_version(rel, name, model, number, snapshot);
	return tuple;
}

void
pneumo_version_numbered(const char *name, int64 model, int64 number, PneumoVersionId *id)
{
	Snapshot snapshot = pneumo_read_snapshot();
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	HeapTuple tuple = pneumo_version_of_model(rel, name, model, number, snapshot);

	pneumo_version_id(rel, tuple, id);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
}
