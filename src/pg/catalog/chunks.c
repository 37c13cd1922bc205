/*-------------------------------------------------------------------------
 *
 * chunks.c
 *	  The stored bytes of versions, in chunks that versions of equal bytes share.
 *
 * The last version to be dropped takes the chunks along.  Who stores or drops
 * holds the lock of those bytes until the end of its transaction and looks with a
 * snapshot taken after it, so the count of sharers is right.  Readers take no
 * part in that: what their snapshot shows is complete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

#define CHUNK_BYTES (4 * 1024 * 1024)

static SysScanDesc
scan_chunks(Relation rel, const uint8 *sha256, Snapshot snapshot)
{
	bytea *hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);

	return pneumo_catalog_scan(rel, "chunk_pkey", Anum_chunk_sha256, PointerGetDatum(hash), snapshot);
}

PneumoChunks *
pneumo_chunks_open(const uint8 *sha256)
{
	PneumoChunks *chunks = palloc0(sizeof(PneumoChunks));

	memcpy(chunks->sha256, sha256, PNEUMO_SHA256_LEN);
	chunks->snapshot = pneumo_read_snapshot();
	chunks->rel = pneumo_catalog_open(PNEUMO_REL_CHUNK, AccessShareLock, false);
	chunks->index = index_open(pneumo_catalog_index(chunks->rel, "chunk_pkey"), AccessShareLock);
	chunks->hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);
	chunks->scan = pneumo_catalog_scan_ordered(chunks->rel, chunks->index, Anum_chunk_sha256,
											   PointerGetDatum(chunks->hash), chunks->snapshot);
	return chunks;
}

bool
pneumo_chunks_next(PneumoChunks *chunks, const uint8 **bytes, size_t *n_bytes)
{
	HeapTuple tuple;
	bool isnull;
	int32 seqno;
	Datum datum;

	CHECK_FOR_INTERRUPTS();
	if (chunks->data != NULL)
		pfree(chunks->data);
	chunks->data = NULL;

	tuple = systable_getnext_ordered(chunks->scan, ForwardScanDirection);
	if (!HeapTupleIsValid(tuple))
		return false;
	seqno = DatumGetInt32(heap_getattr(tuple, Anum_chunk_seqno, RelationGetDescr(chunks->rel), &isnull));
	if (seqno != chunks->seqno)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("piece %d of model version %s is missing",
														 chunks->seqno, pneumo_sha256_hex(chunks->sha256))));
	chunks->seqno++;
	datum = heap_getattr(tuple, Anum_chunk_data, RelationGetDescr(chunks->rel), &isnull);
	chunks->data = (bytea *) PG_DETOAST_DATUM_COPY(datum);
	*bytes = (const uint8 *) VARDATA(chunks->data);
	*n_bytes = VARSIZE(chunks->data) - VARHDRSZ;
	return true;
}

void
pneumo_chunks_close(PneumoChunks *chunks)
{
	if (chunks->data != NULL)
		pfree(chunks->data);
	systable_endscan_ordered(chunks->scan);
	index_close(chunks->index, NoLock);
	table_close(chunks->rel, NoLock);
	UnregisterSnapshot(chunks->snapshot);
	pfree(chunks->hash);
	pfree(chunks);
}

static bool
chunks_exist(Relation rel, const uint8 *sha256, Snapshot snapshot)
{
	SysScanDesc scan = scan_chunks(rel, sha256, snapshot);
	bool found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	return found;
}

void
pneumo_chunks_store(const uint8 *sha256, const void *bytes, size_t n_bytes)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_CHUNK, RowExclusiveLock, false);
	Snapshot snapshot = pneumo_write_snapshot();
	size_t at = 0;
	int32 seqno = 0;

	if (!chunks_exist(rel, sha256, snapshot))
	{
		for (at = 0; at < n_bytes; at += CHUNK_BYTES)
		{
			Datum values[Natts_chunk];
			bool nulls[Natts_chunk] = {false};
			bytea *hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);
			bytea *data = pneumo_bytea((const char *) bytes + at, Min(CHUNK_BYTES, n_bytes - at));

			CHECK_FOR_INTERRUPTS();
			values[Anum_chunk_sha256 - 1] = PointerGetDatum(hash);
			values[Anum_chunk_seqno - 1] = Int32GetDatum(seqno++);
			values[Anum_chunk_data - 1] = PointerGetDatum(data);
			pneumo_catalog_insert(rel, values, nulls);
			pfree(hash);
			pfree(data);
		}
	}
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

void
pneumo_chunks_drop(const uint8 *sha256)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_CHUNK, RowExclusiveLock, false);
	Snapshot snapshot = pneumo_write_snapshot();
	SysScanDesc scan = scan_chunks(rel, sha256, snapshot);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		pneumo_catalog_delete(rel, tuple);
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}
