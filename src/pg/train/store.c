/*-------------------------------------------------------------------------
 *
 * store.c
 *	  The decoded samples of a run: 8-bit pixels at the network's size.
 *
 * In memory up to a budget, in pieces; beyond it in a temporary file, written
 * through the server's file layer (a full disk or temp_file_limit is an error,
 * never a signal) and read by the pool's threads with pread on a descriptor of
 * its own, which the server's descriptor cache cannot close under them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "storage/buffile.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "pg/train/train.h"

#define CHUNK_BYTES ((size_t) 16 * 1024 * 1024)
#define WRITE_BYTES ((size_t) 1024 * 1024)

struct PneumoStore
{
	MemoryContext cxt;
	size_t sample_bytes;
	int64 n;            /* samples in all */
	int64 n_memory_max; /* samples that fit the budget */
	int64 per_chunk;    /* samples in one piece of memory */
	uint8 **chunks;
	int64 n_chunks;
	int64 max_chunks;

	File file; /* -1: none */
	int fd;    /* for reading; -1: not sealed or no file */
	off_t file_bytes;
	uint8 *buffer; /* samples not yet written */
	size_t buffered;
	size_t buffer_bytes;
};

PneumoStore *
pneumo_store_create(size_t sample_bytes, size_t budget)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo sample store", ALLOCSET_DEFAULT_SIZES);
	PneumoStore *store = MemoryContextAllocZero(cxt, sizeof(PneumoStore));

	store->cxt = cxt;
	store->sample_bytes = sample_bytes;
	store->n_memory_max = (int64) (budget / sample_bytes);
	store->per_chunk = Max(1, (int64) (CHUNK_BYTES / sample_bytes));
	store->file = -1;
	store->fd = -1;
	return store;
}

static uint8 *
memory_place(PneumoStore *store, int64 slot)
{
	int64 chunk = slot / store->per_chunk;

	if (chunk >= store->n_chunks)
	{
		if (store->n_chunks >= store->max_chunks)
		{
			store->max_chunks = Max(64, store->max_chunks * 2);
			if (store->chunks == NULL)
				store->chunks = MemoryContextAllocHuge(store->cxt, store->max_chunks * sizeof(uint8 *));
			else
				store->chunks = repalloc_huge(store->chunks, store->max_chunks * sizeof(uint8 *));
		}
		store->chunks[store->n_chunks++] =
			MemoryContextAllocHuge(store->cxt, (Size) Min(store->per_chunk,
														  store->n_memory_max - chunk * store->per_chunk) *
												   store->sample_bytes);
	}
	return store->chunks[chunk] + (slot % store->per_chunk) * store->sample_bytes;
}

static void
flush_buffer(PneumoStore *store)
{
	size_t done = 0;

	while (done < store->buffered)
	{
		int written = FileWrite(store->file, (char *) store->buffer + done,
								(int) Min(store->buffered - done, WRITE_BYTES), store->file_bytes,
								WAIT_EVENT_BUFFILE_WRITE);

		if (written <= 0)
		{
			if (written == 0)
				errno = ENOSPC;
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not write to the temporary file of the samples: %m"),
							errhint("%lld samples of %zu bytes did not fit pneumo.train_memory.",
									(long long) (store->n - store->n_memory_max), store->sample_bytes)));
		}
		done += (size_t) written;
		store->file_bytes += written;
	}
	store->buffered = 0;
}

int64
pneumo_store_append(PneumoStore *store, const uint8 *pixels)
{
	int64 slot = store->n++;

	if (slot < store->n_memory_max)
	{
		memcpy(memory_place(store, slot), pixels, store->sample_bytes);
		return slot;
	}

	if (store->file < 0)
	{
		/* lives on between transactions; the resource owner must not have it */
		store->file = OpenTemporaryFile(true);
		store->buffer_bytes = Max(WRITE_BYTES, store->sample_bytes);
		store->buffer = MemoryContextAllocHuge(store->cxt, store->buffer_bytes);
	}
	if (store->buffered + store->sample_bytes > store->buffer_bytes)
		flush_buffer(store);
	memcpy(store->buffer + store->buffered, pixels, store->sample_bytes);
	store->buffered += store->sample_bytes;
	return slot;
}

void
pneumo_store_seal(PneumoStore *store)
{
	if (store->file < 0)
		return;
	flush_buffer(store);
	pfree(store->buffer);
	store->buffer = NULL;
	if (!AcquireExternalFD())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("no file descriptor is free for the samples")));
	store->fd = dup(FileGetRawDesc(store->file));
	if (store->fd < 0)
	{
		ReleaseExternalFD();
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not duplicate the descriptor of the temporary file: %m")));
	}
}

/* Threads of the pool call it: it may use no server function. */
const uint8 *
pneumo_store_get(const PneumoStore *store, int64 slot, uint8 *scratch)
{
	off_t offset;
	size_t done = 0;

	if (slot < store->n_memory_max)
		return store->chunks[slot / store->per_chunk] + (slot % store->per_chunk) * store->sample_bytes;

	offset = (off_t) (slot - store->n_memory_max) * (off_t) store->sample_bytes;
	while (done < store->sample_bytes)
	{
		ssize_t got = pread(store->fd, scratch + done, store->sample_bytes - done, offset + (off_t) done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return NULL;
		done += (size_t) got;
	}
	return scratch;
}
