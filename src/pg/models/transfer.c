/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  Export and import: versions out of one database and into another.
 *
 * The exported form is the stored model bytes followed by their SHA-256 (32
 * bytes): the same digest that names the version, so a damaged file is noticed
 * and an imported version has the hash that it had.  Import trusts nothing else:
 * the whole network is rebuilt, checked and packed once before it is stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/models/models.h"

PG_FUNCTION_INFO_V1(pneumo_export);
PG_FUNCTION_INFO_V1(pneumo_import);

/* Appends bytes and their SHA-256. */
static void
put_with_digest(char **dst, const void *bytes, size_t n_bytes)
{
	memcpy(*dst, bytes, n_bytes);
	pneumo_sha256((uint8 *) *dst + n_bytes, bytes, n_bytes);
	*dst += n_bytes + PNEUMO_SHA256_LEN;
}

/*
 * The bytes of an export: those of the model and their SHA-256, then, unless it
 * was left out or there is none, the manifest and its SHA-256.
 */
Datum
pneumo_export(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64 model = pneumo_model_lookup(name, PNEUMO_EXPORT, GetUserId(), false);
	bool with_manifest = PG_NARGS() > 2 ? PG_GETARG_BOOL(2) : true;
	PneumoVersionId id;
	PneumoManifest manifest;
	size_t n_bytes;
	size_t trailer_bytes = 0;
	size_t total;
	void *bytes;
	void *trailer = NULL;
	char *dst;
	bytea *result;

	if (PG_NARGS() > 1)
		pneumo_version_numbered(name, model, PG_GETARG_INT64(1), &id);
	else
		pneumo_require_deployed(name, model, &id);
	bytes = pneumo_version_read(id.version, &n_bytes);
	if (with_manifest && pneumo_manifest_read(id.version, &manifest))
		trailer = pneumo_manifest_write(&manifest, &trailer_bytes);
	total = n_bytes + PNEUMO_SHA256_LEN + (trailer != NULL ? trailer_bytes + PNEUMO_SHA256_LEN : 0);
	if (total > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("version %d of model \"%s\" has %zu bytes, more than a bytea holds", id.number,
							   name, total)));
	result = palloc(VARHDRSZ + total);
	SET_VARSIZE(result, VARHDRSZ + total);
	dst = VARDATA(result);
	put_with_digest(&dst, bytes, n_bytes);
	if (trailer != NULL)
		put_with_digest(&dst, trailer, trailer_bytes);
	PG_RETURN_BYTEA_P(result);
}

int64
pneumo_model_check(const char *bytes, size_t n_bytes, PneumoModelMeta **meta)
{
	NnModelView view;
	NnError error;
	NnStatus status;
	NnGraph *graph;
	PneumoAttempts attempts;
	const char *aligned = bytes;
	void *packed;
	size_t packed_bytes;
	NnPath path = pneumo_path();

	if (nn_model_open(&view, bytes, n_bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	if (view.total_bytes != n_bytes)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("invalid model bytes: %zu bytes, where the header says %zu", n_bytes,
							   view.total_bytes)));
	graph = pneumo_align(pneumo_scratch(nn_graph_bytes(view.n_nodes)));
	if (nn_model_graph(graph, &view, bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	*meta = pneumo_meta_from_view(&view, CurrentMemoryContext);
	pneumo_meta_check_graph(*meta, graph);
	CHECK_FOR_INTERRUPTS();

	/* weights are read as floats in place: a bytea's data has no such alignment */
	aligned = pneumo_align(pneumo_scratch(view.n_weights * sizeof(float)));
	memcpy((char *) aligned, bytes + view.weights_offset, view.n_weights * sizeof(float));
	pneumo_attempts_begin(&attempts);
	do
		status = nn_weights_check((const float *) aligned, graph, attempts.stop, &error);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != NN_OK)
		pneumo_nn_ereport(&error);

	packed_bytes = nn_engine_packed_bytes(graph, path, (*meta)->precision);
	if (packed_bytes == 0)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large")));
	packed = pneumo_align(pneumo_scratch(packed_bytes));
	do
		status = nn_engine_pack(packed, graph, (const float *) aligned, path, (*meta)->precision,
								attempts.stop, &error);
	while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != NN_OK)
		pneumo_nn_ereport(&error);
	return (int64) view.n_weights;
}

/* Whether the SHA-256 behind bytes is theirs. */
static bool
has_its_digest(const char *bytes, size_t n_bytes)
{
	uint8 digest[PNEUMO_SHA256_LEN];

	pneumo_sha256(digest, bytes, n_bytes);
	return memcmp(digest, bytes + n_bytes, PNEUMO_SHA256_LEN) == 0;
}

/*
 * Finds the parts of an export and checks their SHA-256: returns the number of
 * the model's bytes, at the beginning, and fills *manifest, if there is one.
 */
static size_t
read_export(const char *bytes, size_t total, PneumoManifest *manifest, bool *has_manifest)
{
	NnModelView view;
	NnError error;
	size_t n_bytes = total - PNEUMO_SHA256_LEN;
	size_t left;

	/* what the header says, if it is one; the digest tells whether to believe it */
	if (nn_model_open(&view, bytes, n_bytes, &error) == NN_OK && view.total_bytes < n_bytes)
		n_bytes = view.total_bytes;
	if (!has_its_digest(bytes, n_bytes))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("invalid model bytes: their SHA-256 is not the one at their end"),
						errhint("They are not what pneumo_export gave, or were damaged on the way.")));
	left = total - n_bytes - PNEUMO_SHA256_LEN;
	bytes += n_bytes + PNEUMO_SHA256_LEN;
	*has_manifest = left > 0;
	if (left > 0 && (left <= PNEUMO_SHA256_LEN || !has_its_digest(bytes, left - PNEUMO_SHA256_LEN) ||
					 !pneumo_manifest_parse(manifest, bytes, left - PNEUMO_SHA256_LEN)))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("invalid model bytes: the manifest behind the model is damaged"),
						errhint("They are not what pneumo_export gave, or were damaged on the way.")));
	return n_bytes;
}

Datum
pneumo_import(PG_FUNCTION_ARGS)
{
	bytea *exported = DatumGetByteaPP(pneumo_argument(fcinfo, 0));
	char *name = pneumo_text_argument(fcinfo, 1);
	size_t total = VARSIZE_ANY_EXHDR(exported);
	MemoryContext cxt;
	MemoryContext old;
	PneumoNewVersion new_version;
	PneumoVersionId id;
	PneumoModelMeta *meta;
	PneumoManifest manifest;
	bool has_manifest;
	char *bytes;
	size_t n_bytes;

	pneumo_prevent_write("pneumo_import()");
	if (total <= PNEUMO_SHA256_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("invalid model bytes: only %zu bytes", total)));
	cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo import", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	n_bytes = read_export(VARDATA_ANY(exported), total, &manifest, &has_manifest);
	bytes = pneumo_align(pneumo_scratch(n_bytes));
	memcpy(bytes, VARDATA_ANY(exported), n_bytes);
	PG_FREE_IF_COPY(exported, 0);

	memset(&new_version, 0, sizeof(new_version));
	new_version.n_parameters = pneumo_model_check(bytes, n_bytes, &meta);
	new_version.model = name;
	new_version.owner = GetUserId();
	new_version.bytes = bytes;
	new_version.n_bytes = n_bytes;
	new_version.meta = meta;
	new_version.manifest = has_manifest ? &manifest : NULL;
	id = pneumo_version_store(&new_version);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	PG_RETURN_INT32(id.number);
}
