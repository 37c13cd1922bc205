/*-------------------------------------------------------------------------
 *
 * versions.c
 *	  The rows of versions, which are immutable and named by their SHA-256.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

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
	id->deployed = false;
	id->uncommitted = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	hash = DatumGetByteaPP(heap_getattr(tuple, Anum_version_sha256, RelationGetDescr(rel), &isnull));
	if (VARSIZE_ANY_EXHDR(hash) != PNEUMO_SHA256_LEN)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("version " INT64_FORMAT " has no valid SHA-256", id->version)));
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
						errmsg("model version " INT64_FORMAT " does not exist", version)));
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

HeapTuple
pneumo_version_of_model(Relation rel, const char *name, int64 model, int64 version, Snapshot snapshot)
{
	HeapTuple tuple = pneumo_version_tuple(rel, version, snapshot);
	bool isnull;

	if (!HeapTupleIsValid(tuple) ||
		DatumGetInt64(heap_getattr(tuple, Anum_version_model, RelationGetDescr(rel), &isnull)) != model)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("model \"%s\" has no version " INT64_FORMAT, name, version),
						errhint("pneumo.versions lists them.")));
	return tuple;
}
