/*-------------------------------------------------------------------------
 *
 * hdf5_file.c
 *	  HDF5 files: the superblock, groups, and what is in them.
 *
 * A group is either a symbol table, a B-tree whose leaves list names and
 * addresses, or a header with a link message for each member.
 *
 *-------------------------------------------------------------------------
 */
#include "hdf5.h"
#include "hdf5_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages, B-tree nodes, members of groups and chunks that one call may look at. */
#define MAX_STEPS ((size_t) 1 << 21)

#define MAX_LEVEL 16 /* of a B-tree */

#define STOP_WORK ((size_t) 1 << 20) /* bytes between two looks at stop */
#define STEP_WORK 256                /* bytes that a step counts for */

Hdf5Status
hdf5_fail(Hdf5Error *error, Hdf5Status status, const char *format, ...)
{
	va_list args;

	error->status = status;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return status;
}

/* ------------------------------------------------------------------ bytes */

const uint8_t *
hdf5_at(const Hdf5File *file, uint64_t address, uint64_t n_bytes)
{
	if (address > file->n_bytes || n_bytes > file->n_bytes - address)
		return NULL;
	return file->bytes + address;
}

uint16_t
hdf5_u16(const uint8_t *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

uint32_t
hdf5_u32(const uint8_t *p)
{
	return (uint32_t) hdf5_u16(p) | (uint32_t) hdf5_u16(p + 2) << 16;
}

uint64_t
hdf5_u64(const uint8_t *p)
{
	return (uint64_t) hdf5_u32(p) | (uint64_t) hdf5_u32(p + 4) << 32;
}

/* --------------------------------------------------------------- stopping */

void
hdf5_begin(Hdf5File *file)
{
	file->steps = 0;
}

Hdf5Status
hdf5_poll(Hdf5File *file, size_t work, Hdf5Error *error)
{
	file->work += work;
	if (file->work < STOP_WORK)
		return HDF5_OK;
	file->work = 0;
	if (file->stop != NULL && *file->stop)
		return hdf5_fail(error, HDF5_INTERRUPTED, "interrupted");
	return HDF5_OK;
}

Hdf5Status
hdf5_step(Hdf5File *file, Hdf5Error *error)
{
	if (++file->steps > MAX_STEPS)
		return hdf5_fail(error, HDF5_TOO_LARGE, "the HDF5 file has too many objects, or refers to itself");
	return hdf5_poll(file, STEP_WORK, error);
}

/* ------------------------------------------------------------- superblock */

int
hdf5_is(const void *bytes, size_t n_bytes)
{
	static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

	return n_bytes >= sizeof(signature) && memcmp(bytes, signature, sizeof(signature)) == 0;
}

Hdf5Status
hdf5_open(Hdf5File *file, const void *bytes, size_t n_bytes, volatile sig_atomic_t *stop, Hdf5Error *error)
{
	const uint8_t *p = bytes;
	uint64_t base;

	memset(file, 0, sizeof(*file));
	file->bytes = bytes;
	file->n_bytes = n_bytes;
	file->stop = stop;
	if (n_bytes < 48 || !hdf5_is(bytes, n_bytes))
		return hdf5_fail(error, HDF5_CORRUPT, "the bytes are not an HDF5 file");
	if (p[8] <= 1)
	{
		size_t at = p[8] == 0 ? 24 : 28; /* of the base address */

		if (p[13] != 8 || p[14] != 8)
			return hdf5_fail(error, HDF5_UNSUPPORTED, "the HDF5 file has addresses of %d bytes, not 8",
							 p[13]);
		if (n_bytes < at + 4 * 8 + 40)
			return hdf5_fail(error, HDF5_CORRUPT, "the HDF5 file ends within its head");
		base = hdf5_u64(p + at);
		file->root = hdf5_u64(p + at + 4 * 8 + 8);
	}
	else if (p[8] <= 3)
	{
		if (p[9] != 8 || p[10] != 8)
			return hdf5_fail(error, HDF5_UNSUPPORTED, "the HDF5 file has addresses of %d bytes, not 8", p[9]);
		base = hdf5_u64(p + 12);
		file->root = hdf5_u64(p + 36);
	}
	else
		return hdf5_fail(error, HDF5_UNSUPPORTED, "the HDF5 file has a superblock of version %d", p[8]);
	if (base != 0)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "the HDF5 file begins with a user block");
	return HDF5_OK;
}

/* ----------------------------------------------------------------- groups */

/*
 * What is done with each member of a group: name is not ended by a zero.  A
 * visit sets *done to end the look at the group.
 */
typedef struct Visitor Visitor;

struct Visitor
{
	Hdf5Status (*visit)(Hdf5File *file, Visitor *visitor, const uint8_t *name, size_t length, uint64_t object,
						Hdf5Error *error);
	int done;

	/* hdf5_find() */
	const char *wanted;
	size_t wanted_length;
	uint64_t object;

	/* hdf5_list() */
	Hdf5Dataset *list;
	int room;
	int n;
	int depth;
	size_t path_length;
	char path[HDF5_PATH_LEN];
};

/* Visits the members that a leaf of a group's B-tree lists; names are in the heap. */
static Hdf5Status
visit_symbols(Hdf5File *file, Visitor *visitor, uint64_t address, const uint8_t *heap, uint64_t heap_bytes,
			  Hdf5Error *error)
{
	const uint8_t *node = hdf5_at(file, address, 8);
	const uint8_t *entry;
	int n, i;

	if (node == NULL || memcmp(node, "SNOD", 4) != 0)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged list of members");
	n = hdf5_u16(node + 6);
	entry = hdf5_at(file, address + 8, (uint64_t) n * 40);
	if (entry == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged list of members");
	for (i = 0; i < n && !visitor->done; i++, entry += 40)
	{
		uint64_t at = hdf5_u64(entry);
		const uint8_t *name;
		const uint8_t *end;
		Hdf5Status status = hdf5_step(file, error);

		if (status != HDF5_OK)
			return status;
		if (hdf5_u32(entry + 16) == 2) /* a soft link */
			continue;
		if (at >= heap_bytes)
			return hdf5_fail(error, HDF5_CORRUPT, "a name of the HDF5 file is not in its heap");
		name = heap + at;
		end = memchr(name, 0, heap_bytes - at < HDF5_PATH_LEN ? heap_bytes - at : HDF5_PATH_LEN);
		if (end == NULL)
			return hdf5_fail(error, HDF5_UNSUPPORTED, "a name of the HDF5 file has no end or is too long");
		status = visitor->visit(file, visitor, name, (size_t) (end - name), hdf5_u64(entry + 8), error);
		if (status != HDF5_OK)
			return status;
	}
	return HDF5_OK;
}

/* Visits the members below a node of a group's B-tree; level is that which the node must be below. */
static Hdf5Status
visit_tree(Hdf5File *file, Visitor *visitor, uint64_t address, int level, const uint8_t *heap,
		   uint64_t heap_bytes, Hdf5Error *error)
{
	const uint8_t *node = hdf5_at(file, address, 24);
	Hdf5Status status = hdf5_step(file, error);
	int n, i;

	if (status != HDF5_OK)
		return status;
	if (node == NULL || memcmp(node, "TREE", 4) != 0 || node[4] != 0 || node[5] >= level)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged B-tree");
	level = node[5];
	n = hdf5_u16(node + 6);
	if (hdf5_at(file, address + 24, (uint64_t) n * 16 + 8) == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged B-tree");
	for (i = 0; i < n && !visitor->done && status == HDF5_OK; i++)
	{
		uint64_t child = hdf5_u64(node + 24 + 16 * (size_t) i + 8);

		if (level == 0)
			status = visit_symbols(file, visitor, child, heap, heap_bytes, error);
		else
			status = visit_tree(file, visitor, child, level, heap, heap_bytes, error);
	}
	return status;
}

/* Visits the members of a symbol table, whose message has the addresses of its B-tree and heap. */
static Hdf5Status
visit_table(Hdf5File *file, Visitor *visitor, const Hdf5Message *message, Hdf5Error *error)
{
	const uint8_t *head;
	const uint8_t *heap;
	uint64_t heap_bytes;

	if (message->size < 16 || message->shared)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged symbol table");
	head = hdf5_at(file, hdf5_u64(message->data + 8), 32);
	if (head == NULL || memcmp(head, "HEAP", 4) != 0)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged heap of names");
	heap_bytes = hdf5_u64(head + 8);
	heap = hdf5_at(file, hdf5_u64(head + 24), heap_bytes);
	if (heap == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file has a damaged heap of names");
	return visit_tree(file, visitor, hdf5_u64(message->data), MAX_LEVEL, heap, heap_bytes, error);
}

/* Visits the member that a link message names, unless it is no hard link. */
static Hdf5Status
visit_link(Hdf5File *file, Visitor *visitor, const Hdf5Message *message, Hdf5Error *error)
{
	const uint8_t *p = message->data;
	const uint8_t *end = p + message->size;
	int flags;
	int width;
	uint64_t length = 0;
	int i;

	if (message->size < 3 || message->shared || p[0] != 1)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "a link of the HDF5 file has an unknown form");
	flags = p[1];
	p += 2;
	if (flags & 0x08)
	{
		if (*p != 0) /* no hard link */
			return HDF5_OK;
		p++;
	}
	width = 1 << (flags & 3);
	if ((size_t) (end - p) < (size_t) ((flags & 0x04) ? 8 : 0) + ((flags & 0x10) ? 1 : 0) + (size_t) width)
		return hdf5_fail(error, HDF5_CORRUPT, "a link of the HDF5 file is damaged");
	p += ((flags & 0x04) ? 8 : 0) + ((flags & 0x10) ? 1 : 0);
	for (i = 0; i < width; i++)
		length |= (uint64_t) p[i] << (8 * i);
	p += width;
	if (length >= HDF5_PATH_LEN || (size_t) (end - p) < length + 8)
		return hdf5_fail(error, HDF5_CORRUPT, "a link of the HDF5 file is damaged or its name too long");
	return visitor->visit(file, visitor, p, (size_t) length, hdf5_u64(p + length), error);
}

/* Refuses a group whose links are in a fractal heap. */
static Hdf5Status
check_link_info(const Hdf5Message *message, Hdf5Error *error)
{
	size_t at;

	if (message->size < 2 || message->shared)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file is damaged");
	at = (message->data[1] & 1) ? 10 : 2;
	if (message->size < at + 8)
		return hdf5_fail(error, HDF5_CORRUPT, "a group of the HDF5 file is damaged");
	if (hdf5_u64(message->data + at) != HDF5_UNDEFINED)
		return hdf5_fail(error, HDF5_UNSUPPORTED,
						 "the HDF5 file has a group in dense form (a fractal heap), which is not supported");
	return HDF5_OK;
}

static Hdf5Status
visit_group(Hdf5File *file, Visitor *visitor, uint64_t object, Hdf5Error *error)
{
	Hdf5Messages messages;
	Hdf5Message message;
	int found;
	Hdf5Status status = hdf5_messages_begin(file, &messages, object, error);

	while (status == HDF5_OK && !visitor->done)
	{
		status = hdf5_messages_next(file, &messages, &message, &found, error);
		if (status != HDF5_OK || !found)
			break;
		if (message.type == HDF5_MSG_SYMBOL_TABLE)
			status = visit_table(file, visitor, &message, error);
		else if (message.type == HDF5_MSG_LINK)
			status = visit_link(file, visitor, &message, error);
		else if (message.type == HDF5_MSG_LINK_INFO)
			status = check_link_info(&message, error);
	}
	return status;
}

/* ---------------------------------------------------------------- finding */

static Hdf5Status
visit_wanted(Hdf5File *file, Visitor *visitor, const uint8_t *name, size_t length, uint64_t object,
			 Hdf5Error *error)
{
	(void) file;
	(void) error;
	if (length == visitor->wanted_length && memcmp(name, visitor->wanted, length) == 0)
	{
		visitor->object = object;
		visitor->done = 1;
	}
	return HDF5_OK;
}

Hdf5Status
hdf5_find(Hdf5File *file, const char *path, uint64_t *object, Hdf5Error *error)
{
	Visitor visitor;

	hdf5_begin(file);
	*object = file->root;
	while (*path != '\0')
	{
		Hdf5Status status;

		memset(&visitor, 0, sizeof(visitor));
		visitor.visit = visit_wanted;
		visitor.wanted = path;
		visitor.wanted_length = strcspn(path, "/");
		status = visit_group(file, &visitor, *object, error);
		if (status != HDF5_OK)
			return status;
		*object = visitor.object;
		if (!visitor.done)
			return HDF5_OK;
		path += visitor.wanted_length;
		path += *path == '/';
	}
	return HDF5_OK;
}

/* ---------------------------------------------------------------- listing */

/* Adds a dataset to the list, or lists what a group holds. */
static Hdf5Status
visit_all(Hdf5File *file, Visitor *visitor, const uint8_t *name, size_t length, uint64_t object,
		  Hdf5Error *error)
{
	size_t before = visitor->path_length;
	Hdf5Dataset dataset;
	int is_dataset;
	Hdf5Status status;

	if (before + length + 2 > HDF5_PATH_LEN)
		return hdf5_fail(error, HDF5_TOO_LARGE, "a path of the HDF5 file has more than %d bytes",
						 HDF5_PATH_LEN - 1);
	if (before > 0)
		visitor->path[visitor->path_length++] = '/';
	memcpy(visitor->path + visitor->path_length, name, length);
	visitor->path_length += length;
	visitor->path[visitor->path_length] = '\0';

	status = hdf5_parse_dataset(file, &dataset, &is_dataset, object, error);
	if (status == HDF5_OK && is_dataset)
	{
		if (visitor->n >= HDF5_MAX_DATASETS)
			return hdf5_fail(error, HDF5_TOO_LARGE, "the HDF5 file has more than %d datasets",
							 HDF5_MAX_DATASETS);
		if (visitor->n < visitor->room)
		{
			memcpy(dataset.path, visitor->path, visitor->path_length + 1);
			visitor->list[visitor->n] = dataset;
		}
		visitor->n++;
	}
	else if (status == HDF5_OK)
	{
		if (visitor->depth >= HDF5_MAX_DEPTH)
			return hdf5_fail(error, HDF5_TOO_LARGE, "the HDF5 file has groups more than %d deep",
							 HDF5_MAX_DEPTH);
		visitor->depth++;
		status = visit_group(file, visitor, object, error);
		visitor->depth--;
	}
	visitor->path_length = before;
	return status;
}

Hdf5Status
hdf5_list(Hdf5File *file, Hdf5Dataset *list, int room, int *n, Hdf5Error *error)
{
	Visitor visitor;
	Hdf5Status status;

	hdf5_begin(file);
	memset(&visitor, 0, sizeof(visitor));
	visitor.visit = visit_all;
	visitor.list = list;
	visitor.room = room;
	status = visit_group(file, &visitor, file->root, error);
	*n = visitor.n;
	return status;
}
