/*-------------------------------------------------------------------------
 *
 * hdf5_data.c
 *	  The elements of an HDF5 dataset as float32.
 *
 * A chunked dataset is read chunk by chunk, through the filters in reverse,
 * and each chunk's elements go to their places.  The chunks have to be as many
 * as the shape needs, so that no more is decompressed than the dataset has
 * (times what chunks at the edges hold beyond it).
 *
 *-------------------------------------------------------------------------
 */
#include "hdf5.h"
#include "hdf5_internal.h"
#include "inflate.h"

#include <math.h>
#include <string.h>

#define FILTER_DEFLATE 1
#define FILTER_SHUFFLE 2
#define FILTER_FLETCHER32 3

#define MAX_LEVEL 16 /* of a B-tree */

#define PIECE ((size_t) 256 << 10) /* bytes between two looks at stop */

/* ---------------------------------------------------------------- elements */

static float
float_of_half(uint16_t half)
{
	int exponent = (half >> 10) & 31;
	int fraction = half & 1023;
	float value;

	if (exponent == 31)
		value = fraction == 0 ? INFINITY : NAN;
	else if (exponent == 0)
		value = ldexpf((float) fraction, -24);
	else
		value = ldexpf((float) (fraction + 1024), exponent - 25);
	return (half & 0x8000) ? -value : value;
}

/* Returns an element as a number, from its bytes. */
static float
element_value(const uint8_t *p, const Hdf5Type *type)
{
	uint64_t bits = 0;
	uint32_t i;

	for (i = 0; i < type->size; i++)
		bits |= (uint64_t) p[type->big_endian ? type->size - 1 - i : i] << (8 * i);
	if (type->type_class == HDF5_FLOAT)
	{
		uint32_t bits32 = (uint32_t) bits;
		float value32;
		double value64;

		if (type->size == 2)
			return float_of_half((uint16_t) bits);
		memcpy(&value32, &bits32, sizeof(value32));
		memcpy(&value64, &bits, sizeof(value64));
		return type->size == 4 ? value32 : (float) value64;
	}
	if (!type->is_signed)
		return (float) bits;
	if (type->size < 8 && (bits >> (8 * type->size - 1)) != 0)
		bits |= UINT64_MAX << (8 * type->size);
	return (float) (int64_t) bits;
}

static int
is_plain(const Hdf5Type *type)
{
	return type->type_class == HDF5_FLOAT && type->size == 4 && !type->big_endian;
}

/* Converts n elements, fewer than PIECE. */
static void
convert(float *dst, const uint8_t *src, size_t n, const Hdf5Type *type)
{
	size_t i;

	if (is_plain(type))
		memcpy(dst, src, n * sizeof(float));
	else
		for (i = 0; i < n; i++)
			dst[i] = element_value(src + i * type->size, type);
}

/* ----------------------------------------------------------------- filters */

/* Inflates a chunk; *n_bytes is the room of dst before, the bytes after. */
static Hdf5Status
inflate_chunk(Hdf5File *file, uint8_t *dst, size_t *n_bytes, const uint8_t *src, size_t n_src, void *memory,
			  Hdf5Error *error)
{
	switch (exchange_inflate(dst, n_bytes, src, n_src, 0, memory, file->stop))
	{
		case EXCHANGE_INFLATED:
			return HDF5_OK;
		case EXCHANGE_INFLATE_INTERRUPTED:
			return hdf5_fail(error, HDF5_INTERRUPTED, "interrupted");
		case EXCHANGE_INFLATE_CORRUPT:
			break;
	}
	return hdf5_fail(error, HDF5_CORRUPT, "a chunk of the HDF5 file cannot be decompressed");
}

/* Undoes the shuffle filter: all first bytes, then all second bytes, and so on. */
static void
unshuffle(uint8_t *dst, const uint8_t *src, size_t n_bytes, size_t size)
{
	size_t n = n_bytes / size;
	size_t i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < size; k++)
			dst[i * size + k] = src[k * n + i];
	memcpy(dst + n * size, src + n * size, n_bytes - n * size);
}

/* ------------------------------------------------------------------ chunks */

/* Returns the bytes of a chunk, 0 if it is empty or too large for the dataset. */
static size_t
chunk_bytes(const Hdf5Dataset *dataset)
{
	uint64_t n = 1;
	uint64_t allowed = 8 * dataset->count + 65536;
	int i;

	for (i = 0; i < dataset->rank; i++)
	{
		if (dataset->chunk[i] == 0 || n > allowed / dataset->chunk[i])
			return 0;
		n *= dataset->chunk[i];
	}
	return (size_t) (n * dataset->type.size);
}

/* Each of two buffers has room for a chunk with a checksum, what a multiple of 16 allows. */
static size_t
buffer_bytes(const Hdf5Dataset *dataset)
{
	return (chunk_bytes(dataset) + 16 + 15) / 16 * 16;
}

size_t
hdf5_scratch_bytes(const Hdf5Dataset *dataset)
{
	if (dataset->layout != HDF5_CHUNKED && dataset->layout != HDF5_SINGLE_CHUNK)
		return 0;
	return EXCHANGE_INFLATE_BYTES + 2 * buffer_bytes(dataset);
}

/* Takes a chunk's stored bytes back through the filters; *data is the chunk. */
static Hdf5Status
unfilter(Hdf5File *file, const uint8_t **data, const Hdf5Dataset *dataset, const uint8_t *src, size_t n_src,
		 uint32_t mask, uint8_t *scratch, Hdf5Error *error)
{
	uint8_t *buffers[2];
	size_t room = buffer_bytes(dataset);
	int turn = 0;
	int i;

	buffers[0] = scratch + EXCHANGE_INFLATE_BYTES;
	buffers[1] = buffers[0] + room;
	for (i = dataset->n_filters - 1; i >= 0; i--)
	{
		Hdf5Status status = HDF5_OK;

		if (i < 32 && (mask >> i) & 1)
			continue;
		switch (dataset->filters[i])
		{
			case FILTER_DEFLATE:
			{
				size_t n_bytes = room;

				status = inflate_chunk(file, buffers[turn], &n_bytes, src, n_src, scratch, error);
				src = buffers[turn];
				n_src = n_bytes;
				turn = 1 - turn;
				break;
			}
			case FILTER_SHUFFLE:
				if (n_src > room)
					return hdf5_fail(error, HDF5_CORRUPT, "a chunk of the HDF5 file has the wrong size");
				unshuffle(buffers[turn], src, n_src, dataset->type.size);
				src = buffers[turn];
				turn = 1 - turn;
				break;
			case FILTER_FLETCHER32:
				if (n_src < 4)
					return hdf5_fail(error, HDF5_CORRUPT, "a chunk of the HDF5 file has the wrong size");
				n_src -= 4;
				break;
			default:
				return hdf5_fail(error, HDF5_UNSUPPORTED,
								 "the HDF5 file has data with filter %d; deflate, shuffle and fletcher32 "
								 "are supported",
								 dataset->filters[i]);
		}
		if (status != HDF5_OK)
			return status;
	}
	if (n_src != chunk_bytes(dataset))
		return hdf5_fail(error, HDF5_CORRUPT, "a chunk of the HDF5 file has the wrong size");
	*data = src;
	return HDF5_OK;
}

/* Copies the part of a chunk that is within the dataset to its place; offset: of the chunk's first element. */
static Hdf5Status
place_chunk(Hdf5File *file, float *dst, const Hdf5Dataset *dataset, const uint64_t *offset,
			const uint8_t *data, Hdf5Error *error)
{
	uint64_t index[HDF5_MAX_RANK] = {0};
	int last = dataset->rank - 1;
	uint64_t row = dataset->dims[last] - offset[last];

	if (row > dataset->chunk[last])
		row = dataset->chunk[last];
	for (;;)
	{
		uint64_t to = 0;
		uint64_t from = 0;
		uint64_t done = 0;
		int inside = 1;
		int i;
		Hdf5Status status;

		for (i = 0; i <= last; i++)
		{
			inside = inside && offset[i] + index[i] < dataset->dims[i];
			to = to * dataset->dims[i] + offset[i] + index[i];
			from = from * dataset->chunk[i] + index[i];
		}
		while (inside && done < row)
		{
			uint64_t n = row - done < PIECE / 8 ? row - done : PIECE / 8;

			convert(dst + to + done, data + (from + done) * dataset->type.size, (size_t) n, &dataset->type);
			done += n;
			status = hdf5_poll(file, (size_t) n * 8, error);
			if (status != HDF5_OK)
				return status;
		}
		status = hdf5_poll(file, 64, error);
		if (status != HDF5_OK)
			return status;
		for (i = last - 1; i >= 0; i--)
		{
			if (++index[i] < dataset->chunk[i])
				break;
			index[i] = 0;
		}
		if (i < 0)
			return HDF5_OK;
	}
}

/* What the walk over the chunks needs. */
typedef struct Walk
{
	float *dst;
	const Hdf5Dataset *dataset;
	uint8_t *scratch;
	uint64_t expected; /* chunks that are still to come */
} Walk;

static Hdf5Status
read_chunk(Hdf5File *file, Walk *walk, const uint8_t *key, uint64_t address, Hdf5Error *error)
{
	const Hdf5Dataset *dataset = walk->dataset;
	uint64_t offset[HDF5_MAX_RANK];
	size_t n_stored = hdf5_u32(key);
	const uint8_t *stored = hdf5_at(file, address, n_stored);
	const uint8_t *data;
	Hdf5Status status;
	int i;

	if (walk->expected == 0 || stored == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file has damaged chunks");
	walk->expected--;
	for (i = 0; i < dataset->rank; i++)
	{
		offset[i] = hdf5_u64(key + 8 + 8 * (size_t) i);
		if (offset[i] >= dataset->dims[i] || offset[i] % dataset->chunk[i] != 0)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file has damaged chunks");
	}
	status = unfilter(file, &data, dataset, stored, n_stored, hdf5_u32(key + 4), walk->scratch, error);
	if (status == HDF5_OK)
		status = place_chunk(file, walk->dst, dataset, offset, data, error);
	return status;
}

static Hdf5Status
walk_chunks(Hdf5File *file, Walk *walk, uint64_t address, int level, Hdf5Error *error)
{
	size_t key_bytes = 8 + 8 * (size_t) (walk->dataset->rank + 1);
	const uint8_t *node = hdf5_at(file, address, 24);
	Hdf5Status status = hdf5_step(file, error);
	int n, i;

	if (status != HDF5_OK)
		return status;
	if (node == NULL || memcmp(node, "TREE", 4) != 0 || node[4] != 1 || node[5] >= level)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file has a damaged B-tree");
	level = node[5];
	n = hdf5_u16(node + 6);
	if (hdf5_at(file, address + 24, (uint64_t) n * (key_bytes + 8) + key_bytes) == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file has a damaged B-tree");
	for (i = 0; i < n && status == HDF5_OK; i++)
	{
		const uint8_t *key = node + 24 + (size_t) i * (key_bytes + 8);
		uint64_t child = hdf5_u64(key + key_bytes);

		if (level == 0)
			status = read_chunk(file, walk, key, child, error);
		else
			status = walk_chunks(file, walk, child, level, error);
	}
	return status;
}

static Hdf5Status
read_chunks(Hdf5File *file, float *dst, const Hdf5Dataset *dataset, void *scratch, Hdf5Error *error)
{
	Walk walk = {dst, dataset, scratch, 1};
	Hdf5Status status;
	int i;

	if (dataset->rank == 0 || chunk_bytes(dataset) == 0)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "a dataset of the HDF5 file has chunks larger than itself");
	for (i = 0; i < dataset->rank; i++)
		walk.expected *= (dataset->dims[i] - 1) / dataset->chunk[i] + 1;
	if (dataset->layout == HDF5_SINGLE_CHUNK)
	{
		uint64_t offset[HDF5_MAX_RANK] = {0};
		const uint8_t *stored = hdf5_at(file, dataset->address, dataset->n_stored);
		const uint8_t *data;

		if (stored == NULL)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is beyond its end");
		status = unfilter(file, &data, dataset, stored, (size_t) dataset->n_stored, dataset->single_mask,
						  scratch, error);
		return status == HDF5_OK ? place_chunk(file, dst, dataset, offset, data, error) : status;
	}
	status = walk_chunks(file, &walk, dataset->address, MAX_LEVEL, error);
	if (status == HDF5_OK && walk.expected > 0)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file lacks some of its chunks");
	return status;
}

/* ----------------------------------------------------------------- reading */

Hdf5Status
hdf5_read_floats(Hdf5File *file, float *dst, const Hdf5Dataset *dataset, void *scratch, Hdf5Error *error)
{
	uint64_t done = 0;
	const uint8_t *src;

	hdf5_begin(file);
	if (dataset->type.type_class != HDF5_FLOAT && dataset->type.type_class != HDF5_INTEGER)
		return hdf5_fail(error, HDF5_UNSUPPORTED,
						 "the elements are neither integers nor floats of 16, 32 or 64 bits");
	if (dataset->layout == HDF5_OTHER_LAYOUT)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "the elements are stored in a form that is not supported");
	if (dataset->count == 0)
		return HDF5_OK;
	if (dataset->layout == HDF5_CHUNKED || dataset->layout == HDF5_SINGLE_CHUNK)
		return read_chunks(file, dst, dataset, scratch, error);

	src = hdf5_at(file, dataset->address, dataset->count * dataset->type.size);
	if (src == NULL || dataset->n_stored < dataset->count * dataset->type.size)
		return hdf5_fail(error, HDF5_CORRUPT, "the elements are not in the file");
	while (done < dataset->count)
	{
		uint64_t n = dataset->count - done < PIECE / 8 ? dataset->count - done : PIECE / 8;
		Hdf5Status status;

		convert(dst + done, src + done * dataset->type.size, (size_t) n, &dataset->type);
		done += n;
		status = hdf5_poll(file, (size_t) n * 8, error);
		if (status != HDF5_OK)
			return status;
	}
	return HDF5_OK;
}
