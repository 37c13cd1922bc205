/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Versions: immutable model bytes, stored in chunks and named by their
 *	  SHA-256.
 *
 * Versions of equal bytes share the chunks; the last one to be dropped takes
 * them along.  Who stores or drops holds the lock of those bytes until the end
 * of its transaction and looks with a snapshot taken after it, so the count of
 * sharers is right.  Readers take no part in that: what their snapshot shows
 * is complete.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "pg/pneumo.h"

#define CHUNK_BYTES (4 * 1024 * 1024)

/* ------------------------------------------------------------------ SHA-256 */

static ResourceOwner digest_owner = NULL;

static void
sha256_failed(pg_cryptohash_ctx *ctx)
{
	elog(ERROR, "could not compute SHA-256: %s", pg_cryptohash_error(ctx));
}

pg_cryptohash_ctx *
pneumo_sha256_begin(void)
{
	ResourceOwner old = CurrentResourceOwner;
	pg_cryptohash_ctx *ctx;

	/* A training worker also digests where no transaction is open. */
	if (old == NULL)
	{
		if (digest_owner == NULL)
			digest_owner = ResourceOwnerCreate(NULL, "pneumo digests");
		CurrentResourceOwner = digest_owner;
	}
	ctx = pg_cryptohash_create(PG_SHA256);
	CurrentResourceOwner = old;
	if (ctx == NULL || pg_cryptohash_init(ctx) < 0)
		sha256_failed(ctx);
	return ctx;
}

void
pneumo_sha256_add(pg_cryptohash_ctx *ctx, const void *bytes, size_t n_bytes)
{
	if (pg_cryptohash_update(ctx, bytes, n_bytes) < 0)
		sha256_failed(ctx);
}

void
pneumo_sha256_end(uint8 *digest, pg_cryptohash_ctx *ctx)
{
	if (pg_cryptohash_final(ctx, digest, PNEUMO_SHA256_LEN) < 0)
		sha256_failed(ctx);
	pg_cryptohash_free(ctx);
}

void
pneumo_sha256(uint8 *digest, const void *bytes, size_t n_bytes)
{
	pg_cryptohash_ctx *ctx = pneumo_sha256_begin();

	pneumo_sha256_add(ctx, bytes, n_bytes);
	pneumo_sha256_end(digest, ctx);
}

char *
pneumo_sha256_hex(const uint8 *digest)
{
	char *hex = palloc(2 * PNEUMO_SHA256_LEN + 1);

	hex_encode((const char *) digest, PNEUMO_SHA256_LEN, hex);
	hex[2 * PNEUMO_SHA256_LEN] = '\0';
	return hex;
}

bytea *
pneumo_bytea(const void *bytes, size_t n_bytes)
{
	bytea *result = palloc(VARHDRSZ + n_bytes);

	SET_VARSIZE(result, VARHDRSZ + n_bytes);
	memcpy(VARDATA(result), bytes, n_bytes);
	return result;
}

/* ------------------------------------------------------------------- chunks */

static SysScanDesc
scan_chunks(Relation rel, const uint8 *sha256, Snapshot snapshot)
{
	ScanKeyData key[1];
	bytea *hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);

	ScanKeyInit(&key[0], Anum_chunk_sha256, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(hash));
	return systable_beginscan(rel, pneumo_catalog_index(PNEUMO_REL_CHUNK, "chunk_pkey"), true, snapshot, 1,
							  key);
}

PneumoChunks *
pneumo_chunks_open(const uint8 *sha256)
{
	PneumoChunks *chunks = palloc0(sizeof(PneumoChunks));
	ScanKeyData key[1];

	memcpy(chunks->sha256, sha256, PNEUMO_SHA256_LEN);
	chunks->snapshot = pneumo_read_snapshot();
	chunks->rel = pneumo_catalog_open(PNEUMO_REL_CHUNK, AccessShareLock, false);
	chunks->index = index_open(pneumo_catalog_index(PNEUMO_REL_CHUNK, "chunk_pkey"), AccessShareLock);
	chunks->hash = pneumo_bytea(sha256, PNEUMO_SHA256_LEN);
	ScanKeyInit(&key[0], Anum_chunk_sha256, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(chunks->hash));
	chunks->scan = systable_beginscan_ordered(chunks->rel, chunks->index, chunks->snapshot, 1, key);
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

static void
store_chunks(const uint8 *sha256, const void *bytes, size_t n_bytes)
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

static void
store_manifest(int64 version, const void *bytes, size_t n_bytes)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MANIFEST, RowExclusiveLock, false);
	size_t at;
	int32 seqno = 0;

	for (at = 0; at < n_bytes; at += CHUNK_BYTES)
	{
		Datum values[Natts_manifest];
		bool nulls[Natts_manifest] = {false};
		bytea *data = pneumo_bytea((const char *) bytes + at, Min(CHUNK_BYTES, n_bytes - at));

		values[Anum_manifest_version - 1] = Int64GetDatum(version);
		values[Anum_manifest_seqno - 1] = Int32GetDatum(seqno++);
		values[Anum_manifest_data - 1] = PointerGetDatum(data);
		pneumo_catalog_insert(rel, values, nulls);
		pfree(data);
	}
	table_close(rel, NoLock);
}

/* ------------------------------------------------------------- version rows */

HeapTuple
pneumo_version_tuple(Relation rel, int64 version, Snapshot snapshot)
{
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key[0], Anum_version_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(version));
	scan = systable_beginscan(rel, pneumo_catalog_index(PNEUMO_REL_VERSION, "version_pkey"), true, snapshot,
							  1, key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

void
pneumo_version_id(Relation rel, HeapTuple tuple, PneumoVersionId *id)
{
	bool isnull;
	bytea *hash;

	id->version = DatumGetInt64(heap_getattr(tuple, Anum_version_id, RelationGetDescr(rel), &isnull));
	id->deployed = false;
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

/* ------------------------------------------------------------------ storing */

static NameData
role_name(Oid role)
{
	NameData name;

	namestrcpy(&name, GetUserNameFromId(role, false));
	return name;
}

void
pneumo_deployment_add(int64 model, int64 version, const char *action, int64 previous, Oid role)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_DEPLOYMENT, RowExclusiveLock, false);
	Datum values[Natts_deployment];
	bool nulls[Natts_deployment] = {false};
	NameData by = role_name(role);

	values[Anum_deployment_id - 1] = Int64GetDatum(pneumo_catalog_nextval(PNEUMO_REL_DEPLOYMENT));
	values[Anum_deployment_model - 1] = Int64GetDatum(model);
	values[Anum_deployment_version - 1] = Int64GetDatum(version);
	values[Anum_deployment_action - 1] = CStringGetTextDatum(action);
	values[Anum_deployment_previous - 1] = Int64GetDatum(previous);
	nulls[Anum_deployment_previous - 1] = previous == 0;
	values[Anum_deployment_role - 1] = NameGetDatum(&by);
	values[Anum_deployment_deployed - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
}

static Datum
image_size_datum(const PneumoModelMeta *meta)
{
	Datum sides[2];

	sides[0] = Int32GetDatum(meta->preprocess.height);
	sides[1] = Int32GetDatum(meta->preprocess.width);
	return PointerGetDatum(construct_array(sides, 2, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static Datum
classes_datum(const PneumoModelMeta *meta)
{
	Datum *names = palloc(sizeof(Datum) * meta->n_classes);
	int i;

	for (i = 0; i < meta->n_classes; i++)
		names[i] = CStringGetTextDatum(meta->classes[i]);
	return PointerGetDatum(construct_array(names, meta->n_classes, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
calibration_datum(const PneumoModelMeta *meta)
{
	char *json;

	switch (meta->calibration)
	{
		case PNEUMO_CALIBRATION_PLATT:
			json = psprintf("{\"kind\": \"platt\", \"a\": %.17g, \"b\": %.17g}", meta->calibration_a,
							meta->calibration_b);
			break;
		case PNEUMO_CALIBRATION_TEMPERATURE:
			json = psprintf("{\"kind\": \"temperature\", \"temperature\": %.17g}", meta->calibration_a);
			break;
		default:
			json = pstrdup("{\"kind\": \"none\"}");
			break;
	}
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}

static void
insert_version(const PneumoNewVersion *new_version, int64 model, const PneumoVersionId *id)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, RowExclusiveLock, false);
	const PneumoModelMeta *meta = new_version->meta;
	Datum values[Natts_version];
	bool nulls[Natts_version] = {false};
	NameData creator = role_name(new_version->owner);

	values[Anum_version_id - 1] = Int64GetDatum(id->version);
	values[Anum_version_model - 1] = Int64GetDatum(model);
	values[Anum_version_run - 1] = Int64GetDatum(new_version->run);
	nulls[Anum_version_run - 1] = new_version->run == 0;
	values[Anum_version_sha256 - 1] = PointerGetDatum(pneumo_bytea(id->sha256, PNEUMO_SHA256_LEN));
	values[Anum_version_created - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_version_creator - 1] = NameGetDatum(&creator);
	values[Anum_version_parameters - 1] = Int64GetDatum(new_version->n_parameters);
	values[Anum_version_bytes - 1] = Int64GetDatum((int64) new_version->n_bytes);
	values[Anum_version_image_size - 1] = image_size_datum(meta);
	values[Anum_version_classes - 1] = classes_datum(meta);
	values[Anum_version_threshold - 1] = Float8GetDatum(meta->threshold);
	values[Anum_version_operating_point - 1] =
		DirectFunctionCall1(jsonb_in, CStringGetDatum(meta->operating_point));
	values[Anum_version_calibration - 1] = calibration_datum(meta);
	values[Anum_version_metrics - 1] = PointerGetDatum(new_version->metrics);
	nulls[Anum_version_metrics - 1] = new_version->metrics == NULL;
	values[Anum_version_provenance - 1] = PointerGetDatum(new_version->provenance);
	nulls[Anum_version_provenance - 1] = new_version->provenance == NULL;
	nulls[Anum_version_comment - 1] = new_version->comment == NULL;
	if (new_version->comment != NULL)
		values[Anum_version_comment - 1] = CStringGetTextDatum(new_version->comment);
	values[Anum_version_precision - 1] = CStringGetTextDatum(nn_precision_name(meta->precision));
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
}

PneumoVersionId
pneumo_version_store(const PneumoNewVersion *new_version)
{
	PneumoVersionId id;
	int64 model;
	int64 deployment = 0;
	int64 deployed = 0;
	bool has_deployed;
	Snapshot snapshot;

	pneumo_sha256(id.sha256, new_version->bytes, new_version->n_bytes);

	model = pneumo_model_claim(new_version->model, new_version->owner, new_version->run);
	pneumo_lock_model(model);
	pneumo_lock_bytes(id.sha256);
	store_chunks(id.sha256, new_version->bytes, new_version->n_bytes);

	id.version = pneumo_catalog_nextval(PNEUMO_REL_VERSION);
	insert_version(new_version, model, &id);
	if (new_version->manifest != NULL)
		store_manifest(id.version, new_version->manifest, new_version->manifest_bytes);

	snapshot = pneumo_write_snapshot();
	has_deployed = pneumo_deployment_last(model, snapshot, &deployment, &deployed);
	UnregisterSnapshot(snapshot);
	id.deployed = !new_version->never_deploy && (new_version->deploy || !has_deployed);
	if (id.deployed)
		pneumo_deployment_add(model, id.version, has_deployed ? "deploy" : "first", deployment,
							  new_version->owner);

	CommandCounterIncrement();
	return id;
}
