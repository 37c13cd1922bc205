/*-------------------------------------------------------------------------
 *
 * engine_load.c
 *	  From the stored bytes of a version to a block of memory that is ready to
 *	  predict.
 *
 * The bytes go piece by piece straight to their place, so that no more than one
 * piece is held twice.  They may have been written by anybody with the right to
 * import, so the hash and everything that they claim are checked before the
 * block is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/engine/engine_internal.h"

#define BLOCK_MAGIC 0x706e6575 /* "pneu" */
#define BLOCK_ABI 3
#define MAX_HEAD_BYTES (64 * 1024 * 1024) /* of header, graph and sections */

static void
add_part(uint64 *total, uint64 *at, uint64 bytes)
{
	*at = TYPEALIGN64(NN_ALIGN, *total);
	if (*at < *total || pg_add_u64_overflow(*at, bytes, total) || *total > (uint64) MaxAllocHugeSize / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large")));
}

/* Reads as many pieces as the head needs, into a buffer of the current context. */
static void
read_head(StringInfo head, NnModelView *view, const uint8 *sha256)
{
	PneumoChunks *chunks = pneumo_chunks_open(sha256);
	const uint8 *piece;
	size_t piece_bytes;
	NnError error;
	NnStatus status = NN_CORRUPT;

	initStringInfo(head);
	memset(view, 0, sizeof(*view));
	memset(&error, 0, sizeof(error));
	while (pneumo_chunks_next(chunks, &piece, &piece_bytes))
	{
		if (piece_bytes > MAX_HEAD_BYTES || head->len + piece_bytes > MAX_HEAD_BYTES)
			break;
		appendBinaryStringInfo(head, (const char *) piece, (int) piece_bytes);
		status = nn_model_open(view, head->data, head->len, &error);
		if (status != NN_CORRUPT || view->head_bytes <= (size_t) head->len)
			break;
	}
	pneumo_chunks_close(chunks);
	if (head->len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the bytes of model version %s are not stored here", pneumo_sha256_hex(sha256)),
				 errhint("Import it: SELECT pneumo_import(bytes, name).")));
	if (status != NN_OK)
		pneumo_nn_ereport(&error);
}

void
pneumo_block_layout(EngineBlock *layout, const uint8 *sha256, NnPath path, PneumoForm form)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo head of a model", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	StringInfoData head;
	NnModelView view;
	NnGraph *graph;
	NnError error;
	PneumoModelMeta *meta;
	size_t graph_bytes;
	size_t packed_bytes = 0;
	uint64 total = sizeof(EngineBlock);

	read_head(&head, &view, sha256);
	graph_bytes = nn_graph_bytes(view.n_nodes);
	graph = pneumo_align(pneumo_scratch(graph_bytes));
	if (nn_model_graph(graph, &view, head.data, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	meta = pneumo_meta_from_view(&view, cxt);
	pneumo_meta_check_graph(meta, graph);

	memset(layout, 0, sizeof(*layout));
	layout->magic = BLOCK_MAGIC;
	layout->abi = BLOCK_ABI;
	layout->path = path;
	layout->form = form;
	layout->precision = form == PNEUMO_FORM_PREDICT ? meta->precision : NN_PRECISION_FLOAT32;
	layout->model_bytes = view.total_bytes;
	layout->kept_bytes = layout->precision == NN_PRECISION_FLOAT32 ? view.total_bytes : view.head_bytes;
	memcpy(layout->sha256, sha256, PNEUMO_SHA256_LEN);

	if (form == PNEUMO_FORM_PREDICT)
		packed_bytes = nn_engine_packed_bytes(graph, path, meta->precision);
	if (form == PNEUMO_FORM_PREDICT && packed_bytes == 0)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the model is too large")));
	add_part(&total, &layout->graph_at, graph_bytes);
	add_part(&total, &layout->model_at, layout->kept_bytes);
	if (packed_bytes > 0)
		add_part(&total, &layout->packed_at, packed_bytes);
	layout->total_bytes = total;

	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* Copies the stored bytes to dst and checks their SHA-256. */
static void
stream_bytes(char *dst, const EngineBlock *layout)
{
	PneumoChunks *chunks = pneumo_chunks_open(layout->sha256);
	pg_cryptohash_ctx *sha = pneumo_sha256_begin();
	uint8 digest[PNEUMO_SHA256_LEN];
	const uint8 *piece;
	size_t piece_bytes;
	uint64 at = 0;

	while (pneumo_chunks_next(chunks, &piece, &piece_bytes))
	{
		if (piece_bytes > layout->model_bytes - at)
		{
			at = PG_UINT64_MAX;
			break;
		}
		memcpy(dst + at, piece, piece_bytes);
		pneumo_sha256_add(sha, piece, piece_bytes);
		at += piece_bytes;
	}
	pneumo_chunks_close(chunks);
	pneumo_sha256_end(digest, sha);
	if (at != layout->model_bytes || memcmp(digest, layout->sha256, PNEUMO_SHA256_LEN) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the stored bytes of model version %s are damaged",
							   pneumo_sha256_hex(layout->sha256)),
						errdetail("Their SHA-256 is another.")));
}

void
pneumo_block_fill(void *block, const EngineBlock *layout)
{
	char *base = block;
	NnGraph *graph = (NnGraph *) (base + layout->graph_at);
	char *bytes = base + layout->model_at;
	void *whole = NULL;
	const float *weights;
	PneumoAttempts attempts;
	NnModelView view;
	NnError error;
	NnStatus status;

	memcpy(base, layout, sizeof(*layout));
	if (layout->kept_bytes < layout->model_bytes)
	{
		/* packing finds the scales from all weights, which are not kept after it */
		whole = pneumo_scratch(layout->model_bytes);
		bytes = pneumo_align(whole);
	}
	stream_bytes(bytes, layout);

	if (nn_model_open(&view, bytes, layout->model_bytes, &error) != NN_OK ||
		nn_model_graph(graph, &view, bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	weights = (const float *) (bytes + view.weights_offset);
	pneumo_attempts_begin(&attempts);
	do
	{
		status = nn_weights_check(weights, graph, attempts.stop, &error);
		if (status == NN_OK && layout->packed_at != 0)
			status = nn_engine_pack(base + layout->packed_at, graph, weights, (NnPath) layout->path,
									(NnPrecision) layout->precision, attempts.stop, &error);
	} while (status == NN_INTERRUPTED && pneumo_attempts_next(&attempts));
	if (status != NN_OK)
		pneumo_nn_ereport(&error);
	if (whole != NULL)
	{
		memcpy(base + layout->model_at, bytes, layout->kept_bytes);
		pfree(whole);
	}
}

void
pneumo_block_bind(NnEngine *engine, PneumoModelMeta **meta, void *block, Size block_bytes,
				  const uint8 *sha256, MemoryContext cxt)
{
	const EngineBlock *head = block;
	char *base = block;
	NnModelView view;
	NnError error;

	if (block_bytes < sizeof(EngineBlock) || head->magic != BLOCK_MAGIC || head->abi != BLOCK_ABI ||
		head->total_bytes > block_bytes || memcmp(head->sha256, sha256, PNEUMO_SHA256_LEN) != 0)
		elog(ERROR, "shared memory of model version %s is not what it should be", pneumo_sha256_hex(sha256));
	if (nn_model_open(&view, base + head->model_at, head->kept_bytes, &error) != NN_OK)
		pneumo_nn_ereport(&error);

	memset(engine, 0, sizeof(*engine));
	engine->graph = (const NnGraph *) (base + head->graph_at);
	if (head->kept_bytes == head->model_bytes)
		engine->weights = (const float *) (base + head->model_at + view.weights_offset);
	if (head->packed_at != 0)
		engine->packed = base + head->packed_at;
	engine->path = (NnPath) head->path;
	engine->precision = (NnPrecision) head->precision;
	*meta = pneumo_meta_from_view(&view, cxt);
}
