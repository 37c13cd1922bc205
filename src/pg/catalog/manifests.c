/*-------------------------------------------------------------------------
 *
 * manifests.c
 *	  What the training of a version read, image by image.
 *
 * Stored as "PNMF", a format number and the count of entries, then the entries:
 * the SHA-256 of the image, the hash of its group, the split.  The bytes lie in
 * rows of at most 4 MB.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

#define ROW_BYTES (4 * 1024 * 1024)
#define MAGIC "PNMF\0\0\0\1"
#define HEAD_BYTES 16 /* magic, then the count as little-endian 64 bits */

StaticAssertDecl(sizeof(PneumoManifestEntry) == 2 * PNEUMO_SHA256_LEN + 1, "entries are stored as they are");

/* ------------------------------------------------------------------ writing */

/* Inserts the next row of a version's manifest. */
static void
insert_row(Relation rel, int64 version, int32 seqno, const void *bytes, size_t n_bytes)
{
	Datum values[Natts_manifest];
	bool nulls[Natts_manifest] = {false};
	bytea *data = pneumo_bytea(bytes, n_bytes);

	CHECK_FOR_INTERRUPTS();
	values[Anum_manifest_version - 1] = Int64GetDatum(version);
	values[Anum_manifest_seqno - 1] = Int32GetDatum(seqno);
	values[Anum_manifest_data - 1] = PointerGetDatum(data);
	pneumo_catalog_insert(rel, values, nulls);
	pfree(data);
}

void
pneumo_manifest_store(int64 version, const PneumoManifest *manifest)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MANIFEST, RowExclusiveLock, false);
	size_t n_bytes = HEAD_BYTES + (size_t) manifest->n * sizeof(PneumoManifestEntry);
	char *bytes = MemoryContextAllocHuge(CurrentMemoryContext, n_bytes);
	int32 seqno = 0;
	size_t at;
	int i;

	memcpy(bytes, MAGIC, 8);
	for (i = 0; i < 8; i++)
		bytes[8 + i] = (char) ((uint64) manifest->n >> (8 * i));
	memcpy(bytes + HEAD_BYTES, manifest->entries, (size_t) manifest->n * sizeof(PneumoManifestEntry));
	for (at = 0; at < n_bytes; at += ROW_BYTES)
		insert_row(rel, version, seqno++, bytes + at, Min(ROW_BYTES, n_bytes - at));
	pfree(bytes);
	table_close(rel, NoLock);
}

/* ------------------------------------------------------------------ reading */

/* Reads the rows of a version's manifest into one piece of memory; NULL if there are none. */
static char *
read_rows(int64 version, size_t *n_bytes)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MANIFEST, AccessShareLock, false);
	Relation index = index_open(pneumo_catalog_index(rel, "manifest_pkey"), AccessShareLock);
	Snapshot snapshot = pneumo_read_snapshot();
	SysScanDesc scan =
		pneumo_catalog_scan_ordered(rel, index, Anum_manifest_version, Int64GetDatum(version), snapshot);
	HeapTuple tuple;
	char *whole = NULL;

	*n_bytes = 0;
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		bool isnull;
		bytea *data =
			DatumGetByteaPP(heap_getattr(tuple, Anum_manifest_data, RelationGetDescr(rel), &isnull));
		size_t n = VARSIZE_ANY_EXHDR(data);

		if (whole == NULL)
			whole = MemoryContextAllocHuge(CurrentMemoryContext, Max(n, 1));
		else
			whole = repalloc_huge(whole, *n_bytes + n);
		memcpy(whole + *n_bytes, VARDATA_ANY(data), n);
		*n_bytes += n;
	}
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return whole;
}

bool
pneumo_manifest_read(int64 version, PneumoManifest *manifest)
{
	size_t n_bytes;
	char *bytes = read_rows(version, &n_bytes);
	uint64 count = 0;
	int i;

	memset(manifest, 0, sizeof(*manifest));
	if (bytes == NULL)
		return false;
	if (n_bytes >= HEAD_BYTES && memcmp(bytes, MAGIC, 8) == 0)
	{
		for (i = 7; i >= 0; i--)
			count = (count << 8) | (uint8) bytes[8 + i];
		manifest->n = (int64) ((n_bytes - HEAD_BYTES) / sizeof(PneumoManifestEntry));
	}
	if (manifest->n != (int64) count || n_bytes < HEAD_BYTES || memcmp(bytes, MAGIC, 8) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the manifest of model version " INT64_FORMAT " is damaged", version)));
	manifest->entries =
		MemoryContextAllocHuge(CurrentMemoryContext, Max(1, manifest->n) * sizeof(PneumoManifestEntry));
	memcpy(manifest->entries, bytes + HEAD_BYTES, (size_t) manifest->n * sizeof(PneumoManifestEntry));
	pfree(bytes);
	return true;
}

void
pneumo_manifest_free(PneumoManifest *manifest)
{
	if (manifest->entries != NULL)
		pfree(manifest->entries);
	memset(manifest, 0, sizeof(*manifest));
}
