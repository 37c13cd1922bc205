/*-------------------------------------------------------------------------
 *
 * manifests.c
 *	  What the training of a version and of its ancestors read, image by image.
 *
 * As bytes, in the table pneumo.manifest and in what pneumo_export() gives:
 *
 *	   0	 "PNMF" and the format number, 8 bytes
 *	   8	 count of the entries, 64 bits, little endian
 *	  16	 flags, 64 bits, little endian: 1 where the manifest is incomplete
 *	  24	 the entries: SHA-256 of the image, hash of its group, split
 *
 * In the table the bytes lie in rows of at most 4 MB.
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
#define MAGIC "PNMF\0\0\0\2"
#define HEAD_BYTES 24
#define FLAG_INCOMPLETE 1

StaticAssertDecl(sizeof(PneumoManifestEntry) == 2 * PNEUMO_SHA256_LEN + 1, "entries are stored as they are");

/* -------------------------------------------------------------------- bytes */

static void
put_uint64(char *dst, uint64 value)
{
	int i;

	for (i = 0; i < 8; i++)
		dst[i] = (char) (value >> (8 * i));
}

static uint64
get_uint64(const char *src)
{
	uint64 value = 0;
	int i;

	for (i = 7; i >= 0; i--)
		value = (value << 8) | (uint8) src[i];
	return value;
}

void *
pneumo_manifest_write(const PneumoManifest *manifest, size_t *n_bytes)
{
	size_t entry_bytes = (size_t) manifest->n * sizeof(PneumoManifestEntry);
	char *bytes = MemoryContextAllocHuge(CurrentMemoryContext, HEAD_BYTES + entry_bytes);

	memcpy(bytes, MAGIC, 8);
	put_uint64(bytes + 8, (uint64) manifest->n);
	put_uint64(bytes + 16, manifest->incomplete ? FLAG_INCOMPLETE : 0);
	memcpy(bytes + HEAD_BYTES, manifest->entries, entry_bytes);
	*n_bytes = HEAD_BYTES + entry_bytes;
	return bytes;
}

bool
pneumo_manifest_parse(PneumoManifest *manifest, const void *bytes, size_t n_bytes)
{
	const char *p = bytes;
	size_t entry_bytes;
	int64 i;

	memset(manifest, 0, sizeof(*manifest));
	if (n_bytes < HEAD_BYTES || memcmp(p, MAGIC, 8) != 0 || get_uint64(p + 16) > FLAG_INCOMPLETE)
		return false;
	entry_bytes = n_bytes - HEAD_BYTES;
	if (entry_bytes % sizeof(PneumoManifestEntry) != 0 ||
		get_uint64(p + 8) != entry_bytes / sizeof(PneumoManifestEntry))
		return false;
	manifest->n = (int64) (entry_bytes / sizeof(PneumoManifestEntry));
	manifest->incomplete = get_uint64(p + 16) == FLAG_INCOMPLETE;
	manifest->entries = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, entry_bytes));
	memcpy(manifest->entries, p + HEAD_BYTES, entry_bytes);
	for (i = 0; i < manifest->n; i++)
		if (manifest->entries[i].split > PNEUMO_TEST)
		{
			pneumo_manifest_free(manifest);
			return false;
		}
	return true;
}

void
pneumo_manifest_free(PneumoManifest *manifest)
{
	if (manifest->entries != NULL)
		pfree(manifest->entries);
	memset(manifest, 0, sizeof(*manifest));
}

/* -------------------------------------------------------------------- table */

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
	size_t n_bytes;
	char *bytes = pneumo_manifest_write(manifest, &n_bytes);
	int32 seqno = 0;
	size_t at;

	for (at = 0; at < n_bytes; at += ROW_BYTES)
		insert_row(rel, version, seqno++, bytes + at, Min(ROW_BYTES, n_bytes - at));
	pfree(bytes);
	table_close(rel, NoLock);
}

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

	memset(manifest, 0, sizeof(*manifest));
	if (bytes == NULL)
		return false;
	if (!pneumo_manifest_parse(manifest, bytes, n_bytes))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the manifest of the model version of id " INT64_FORMAT " is damaged", version)));
	pfree(bytes);
	return true;
}

/* ------------------------------------------------------------------ lineage */

static int
compare_entries(const void *left, const void *right)
{
	const PneumoManifestEntry *a = left;
	const PneumoManifestEntry *b = right;
	int c = memcmp(a->sha256, b->sha256, PNEUMO_SHA256_LEN);

	if (c == 0)
		c = memcmp(a->group, b->group, PNEUMO_SHA256_LEN);
	return c != 0 ? c : (int) a->split - (int) b->split;
}

void
pneumo_manifest_inherit(PneumoManifest *manifest, int64 parent)
{
	PneumoManifest of_parent;
	PneumoManifestEntry *all;
	int64 n = 0;
	int64 total;
	int64 i;

	if (!pneumo_manifest_read(parent, &of_parent))
	{
		manifest->incomplete = true;
		return;
	}
	total = manifest->n + of_parent.n;
	all = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, total) * sizeof(PneumoManifestEntry));
	memcpy(all, manifest->entries, manifest->n * sizeof(PneumoManifestEntry));
	memcpy(all + manifest->n, of_parent.entries, of_parent.n * sizeof(PneumoManifestEntry));
	qsort(all, total, sizeof(PneumoManifestEntry), compare_entries);

	/* of equal images of a group the first is the one on the split that saw most */
	for (i = 0; i < total; i++)
		if (n == 0 || memcmp(&all[n - 1], &all[i], offsetof(PneumoManifestEntry, split)) != 0)
			all[n++] = all[i];
	manifest->incomplete = manifest->incomplete || of_parent.incomplete;
	if (manifest->entries != NULL)
		pfree(manifest->entries);
	manifest->entries = all;
	manifest->n = n;
	pneumo_manifest_free(&of_parent);
}
