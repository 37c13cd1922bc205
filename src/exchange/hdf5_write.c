/*-------------------------------------------------------------------------
 *
 * hdf5_write.c
 *	  Writing an HDF5 file of float32 datasets in groups.
 *
 * The oldest form, which h5py writes by default, too: superblock 0, object
 * headers 1, and each group a symbol table.  A group's B-tree is one node, with
 * leaves of up to LEAF_MEMBERS members.  The superblock says how many leaves a
 * node has room for: as many as the largest group of the file needs.
 *
 * The outputs come in the order of their paths, and so do the members of a
 * group: those of one group stand together.  The writer goes over them twice,
 * first without a destination, to find the size and the addresses.
 *
 *-------------------------------------------------------------------------
 */
#include "hdf5.h"
#include "hdf5_internal.h"

#include <string.h>

#define LEAF_MEMBERS 8     /* h5py's own number */
#define MAX_MEMBERS 500000 /* of a group: half of its leaves are a number of 16 bits */
#define MAX_FILE ((uint64_t) 1 << 40)

#define SUPERBLOCK_BYTES 96
#define GROUP_HEADER_BYTES 40 /* an object header with a symbol table message */
#define ENTRY_BYTES 40        /* of a member */
#define LEAF_BYTES ((uint64_t) (8 + LEAF_MEMBERS * ENTRY_BYTES))

typedef struct Writer
{
	uint8_t *bytes; /* NULL: only sizes are wanted */
	uint64_t at;    /* the end of what was laid out */
	const Hdf5Output *outputs;
	int tree_k; /* half of the leaves that a node has room for */
	volatile sig_atomic_t *stop;
	Hdf5Status status;
} Writer;

/* ------------------------------------------------------------------ bytes */

static void
put(Writer *w, uint64_t at, uint64_t value, int width)
{
	int i;

	for (i = 0; w->bytes != NULL && i < width; i++)
		w->bytes[at + (uint64_t) i] = (uint8_t) (value >> (8 * i));
}

static void
put_bytes(Writer *w, uint64_t at, const void *src, size_t n)
{
	if (w->bytes != NULL)
		memcpy(w->bytes + at, src, n);
}

/* Reserves bytes, a multiple of 8; returns their address. */
static uint64_t
reserve(Writer *w, uint64_t n_bytes)
{
	uint64_t at = w->at;

	if (n_bytes > MAX_FILE || w->at > MAX_FILE)
		w->status = HDF5_TOO_LARGE;
	else
		w->at += (n_bytes + 7) / 8 * 8;
	return at;
}

/* ------------------------------------------------------------------ groups */

/* Returns the length of the member's name at a depth of the path; 0: the path ends before it. */
static size_t
name_length(const char *path, size_t depth)
{
	return path[depth] == '\0' ? 0 : strcspn(path + depth, "/");
}

/* Returns the first output after i, below n, that has another name at a depth. */
static int
member_end(const Hdf5Output *outputs, int i, int n, size_t depth)
{
	size_t length = name_length(outputs[i].path, depth);
	int k = i + 1;

	while (k < n && name_length(outputs[k].path, depth) == length &&
		   memcmp(outputs[k].path + depth, outputs[i].path + depth, length) == 0)
		k++;
	return k;
}

/* Returns the members of the largest group among the outputs first to end, which share a path up to depth. */
static int
largest_group(const Hdf5Output *outputs, int first, int end, size_t depth, int level)
{
	int largest = 0;
	int n = 0;
	int i = first;

	while (i < end)
	{
		size_t length = name_length(outputs[i].path, depth);
		int next = member_end(outputs, i, end, depth);

		n++;
		if (outputs[i].path[depth + length] == '/' && level < HDF5_MAX_DEPTH)
		{
			int inner = largest_group(outputs, i, next, depth + length + 1, level + 1);

			largest = inner > largest ? inner : largest;
		}
		i = next;
	}
	return n > largest ? n : largest;
}

/* ---------------------------------------------------------------- datasets */

/* Begins a message of an object header of version 1; returns the address of its data. */
static uint64_t
put_message(Writer *w, uint64_t *at, int type, int size)
{
	uint64_t data = *at + 8;

	put(w, *at, (uint64_t) type, 2);
	put(w, *at + 2, (uint64_t) size, 2);
	put(w, *at + 4, type == HDF5_MSG_DATATYPE || type == 0x05, 1); /* constant */
	*at += 8 + (uint64_t) size;
	return data;
}

static void
put_header(Writer *w, uint64_t at, int n_messages, uint64_t size)
{
	put(w, at, 1, 1);
	put(w, at + 2, (uint64_t) n_messages, 2);
	put(w, at + 4, 1, 4); /* references */
	put(w, at + 8, size, 4);
}

/* Copies floats as little endian. */
static void
put_floats(Writer *w, uint64_t at, const float *src, uint64_t count)
{
	static const uint16_t one = 1;
	uint64_t i;

	for (i = 0; w->bytes != NULL && i < count && w->status == HDF5_OK; i += 65536)
	{
		uint64_t n = count - i < 65536 ? count - i : 65536;
		uint64_t k;

		if (*(const uint8_t *) &one == 1)
			memcpy(w->bytes + at + 4 * i, src + i, (size_t) n * sizeof(float));
		else
			for (k = 0; k < n; k++)
			{
				uint32_t bits;

				memcpy(&bits, src + i + k, sizeof(bits));
				put(w, at + 4 * (i + k), bits, 4);
			}
		if (w->stop != NULL && *w->stop)
			w->status = HDF5_INTERRUPTED;
	}
}

/* Writes a dataset; returns the address of its header. */
static uint64_t
write_dataset(Writer *w, const Hdf5Output *output)
{
	uint64_t space_bytes = 8 + 8 * (uint64_t) output->rank;
	uint64_t size = 8 + space_bytes + 8 + 24 + 8 + 8 + 8 + 24;
	uint64_t header = reserve(w, 16 + size);
	uint64_t at = header + 16;
	uint64_t count = 1;
	uint64_t data, p;
	int i;

	for (i = 0; i < output->rank; i++)
		count = count > MAX_FILE ? count : count * output->dims[i];
	data = reserve(w, 4 * count);
	put_header(w, header, 4, size);

	p = put_message(w, &at, HDF5_MSG_DATASPACE, (int) space_bytes);
	put(w, p, 1, 1);
	put(w, p + 1, (uint64_t) output->rank, 1);
	for (i = 0; i < output->rank; i++)
		put(w, p + 8 + 8 * (uint64_t) i, output->dims[i], 8);

	p = put_message(w, &at, HDF5_MSG_DATATYPE, 24);
	put(w, p, 0x11, 1);     /* version 1, floating point */
	put(w, p + 1, 0x20, 1); /* little endian, the first bit of the mantissa is implied */
	put(w, p + 2, 31, 1);   /* sign */
	put(w, p + 4, 4, 4);    /* bytes */
	put(w, p + 10, 32, 2);  /* bits */
	put(w, p + 12, 23, 1);  /* exponent: its place and bits */
	put(w, p + 13, 8, 1);
	put(w, p + 15, 23, 1); /* bits of the mantissa */
	put(w, p + 16, 127, 4);

	p = put_message(w, &at, 0x05, 8); /* fill value: version 2, late allocation, written if set, undefined */
	put(w, p, 2, 1);
	put(w, p + 1, 2, 1);
	put(w, p + 2, 2, 1);

	p = put_message(w, &at, HDF5_MSG_LAYOUT, 24);
	put(w, p, 3, 1);
	put(w, p + 1, 1, 1); /* contiguous */
	put(w, p + 2, data, 8);
	put(w, p + 10, 4 * count, 8);
	put_floats(w, data, output->data, count);
	return header;
}

/* Where the parts of a group are. */
typedef struct Group
{
	uint64_t header, tree, heap;
} Group;

static Group write_group(Writer *w, int first, int end, size_t depth, int level);

/* Writes a member's object and its entry in the group's leaf. */
static void
write_member(Writer *w, int first, int end, size_t depth, int level, uint64_t entry, uint64_t name)
{
	const Hdf5Output *output = &w->outputs[first];
	size_t length = name_length(output->path, depth);

	put(w, entry, name, 8);
	if (output->path[depth + length] == '\0')
	{
		if (end - first > 1) /* a dataset cannot be a group, too */
			w->status = HDF5_TOO_LARGE;
		put(w, entry + 8, write_dataset(w, output), 8);
	}
	else
	{
		Group group = write_group(w, first, end, depth + length + 1, level);

		put(w, entry + 8, group.header, 8);
		put(w, entry + 16, 1, 4);
		put(w, entry + 24, group.tree, 8);
		put(w, entry + 32, group.heap, 8);
	}
}

/* Writes the group of the outputs first to end, whose paths are equal up to depth. */
static Group
write_group(Writer *w, int first, int end, size_t depth, int level)
{
	Group group = {0, 0, 0};
	uint64_t names = 8; /* the empty name comes first */
	uint64_t leaf, data, at;
	size_t length;
	int n = 0;
	int n_leaves;
	int i, next;

	if (level > HDF5_MAX_DEPTH)
		w->status = HDF5_TOO_LARGE;
	if (w->status != HDF5_OK)
		return group;
	for (i = first; i < end; i = next)
	{
		next = member_end(w->outputs, i, end, depth);
		names += (name_length(w->outputs[i].path, depth) + 8) / 8 * 8;
		n++;
	}
	n_leaves = (n + LEAF_MEMBERS - 1) / LEAF_MEMBERS;
	group.header = reserve(w, GROUP_HEADER_BYTES);
	/* readers take nodes and leaves whole */
	group.tree = reserve(w, 24 + 32 * (uint64_t) w->tree_k + 8);
	group.heap = reserve(w, 32);
	data = reserve(w, names);
	leaf = reserve(w, LEAF_BYTES * (uint64_t) n_leaves);

	put_header(w, group.header, 1, 24);
	at = group.header + 16;
	at = put_message(w, &at, HDF5_MSG_SYMBOL_TABLE, 16);
	put(w, at, group.tree, 8);
	put(w, at + 8, group.heap, 8);

	put_bytes(w, group.heap, "HEAP", 4);
	put(w, group.heap + 8, names, 8);
	put(w, group.heap + 16, 1, 8); /* nothing is free */
	put(w, group.heap + 24, data, 8);

	put_bytes(w, group.tree, "TREE", 4);
	put(w, group.tree + 6, (uint64_t) n_leaves, 2);
	put(w, group.tree + 8, HDF5_UNDEFINED, 8);
	put(w, group.tree + 16, HDF5_UNDEFINED, 8);
	for (i = 0; i < n_leaves; i++)
	{
		uint64_t node = leaf + LEAF_BYTES * (uint64_t) i;

		put(w, group.tree + 24 + 16 * (uint64_t) i + 8, node, 8);
		put_bytes(w, node, "SNOD", 4);
		put(w, node + 4, 1, 1);
		put(w, node + 6, (uint64_t) (i < n_leaves - 1 ? LEAF_MEMBERS : n - LEAF_MEMBERS * i), 2);
	}

	at = 8;
	n = 0;
	for (i = first; i < end && w->status == HDF5_OK; i = next)
	{
		next = member_end(w->outputs, i, end, depth);
		length = name_length(w->outputs[i].path, depth);
		put_bytes(w, data + at, w->outputs[i].path + depth, length);
		/* behind each leaf its last name */
		put(w, group.tree + 40 + 16 * (uint64_t) (n / LEAF_MEMBERS), at, 8);
		write_member(w, i, next, depth, level + 1,
					 leaf + LEAF_BYTES * (uint64_t) (n / LEAF_MEMBERS) + 8 +
						 (uint64_t) (n % LEAF_MEMBERS) * ENTRY_BYTES,
					 at);
		at += (length + 8) / 8 * 8;
		n++;
	}
	return group;
}

/* -------------------------------------------------------------------- file */

static void
write_file(Writer *w, int n)
{
	static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
	int largest = largest_group(w->outputs, 0, n, 0, 0);
	Group root;

	if (largest > MAX_MEMBERS)
		w->status = HDF5_TOO_LARGE;
	w->tree_k = largest <= 32 * LEAF_MEMBERS ? 16 : (largest + 2 * LEAF_MEMBERS - 1) / (2 * LEAF_MEMBERS);
	reserve(w, SUPERBLOCK_BYTES);
	root = write_group(w, 0, n, 0, 0);
	put_bytes(w, 0, signature, sizeof(signature));
	put(w, 13, 8, 1);
	put(w, 14, 8, 1);
	put(w, 16, LEAF_MEMBERS / 2, 2);
	put(w, 18, (uint64_t) w->tree_k, 2);
	put(w, 32, HDF5_UNDEFINED, 8);
	put(w, 40, w->at, 8);
	put(w, 48, HDF5_UNDEFINED, 8);
	put(w, 64, root.header, 8);
	put(w, 72, 1, 4);
	put(w, 80, root.tree, 8);
	put(w, 88, root.heap, 8);
}

size_t
hdf5_write_bytes(const Hdf5Output *outputs, int n)
{
	Writer w = {NULL, 0, outputs, 16, NULL, HDF5_OK};

	write_file(&w, n);
	return w.status == HDF5_OK ? (size_t) w.at : 0;
}

Hdf5Status
hdf5_write(void *dst, size_t dst_bytes, const Hdf5Output *outputs, int n, volatile sig_atomic_t *stop,
		   Hdf5Error *error)
{
	Writer w = {NULL, 0, outputs, 16, stop, HDF5_OK};

	write_file(&w, n);
	if (w.status != HDF5_OK || w.at != dst_bytes)
		return hdf5_fail(error, HDF5_TOO_LARGE, "the network is too large for an HDF5 file");
	w.at = 0;
	w.bytes = dst;
	memset(dst, 0, dst_bytes);
	write_file(&w, n);
	if (w.status == HDF5_INTERRUPTED)
		return hdf5_fail(error, HDF5_INTERRUPTED, "interrupted");
	return HDF5_OK;
}
