/*-------------------------------------------------------------------------
 *
 * hdf5_object.c
 *	  Objects of HDF5 files: the messages of their headers, datatypes,
 *	  dataspaces, layouts, and attributes.
 *
 *-------------------------------------------------------------------------
 */
#include "hdf5.h"
#include "hdf5_internal.h"

#include <string.h>

#define MAX_COUNT ((uint64_t) 1 << 40) /* elements of a dataset */

/* --------------------------------------------------------------- messages */

/* Begins with a block of messages: from p to end. */
static void
enter_block(Hdf5Messages *messages, const uint8_t *p, uint64_t n_bytes)
{
	messages->p = p;
	messages->end = p + n_bytes;
}

Hdf5Status
hdf5_messages_begin(Hdf5File *file, Hdf5Messages *messages, uint64_t object, Hdf5Error *error)
{
	const uint8_t *p = hdf5_at(file, object, 16);
	uint64_t n_bytes = 0;
	uint64_t at;
	int i;

	memset(messages, 0, sizeof(*messages));
	messages->object = object;
	if (p == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file is beyond its end");
	if (memcmp(p, "OHDR", 4) == 0 && p[4] == 2)
	{
		int flags = p[5];
		int width = 1 << (flags & 3);

		messages->version = 2;
		messages->with_order = (flags & 0x04) != 0;
		at = object + 6 + ((flags & 0x20) ? 16 : 0) + ((flags & 0x10) ? 4 : 0);
		p = hdf5_at(file, at, (uint64_t) width);
		for (i = 0; p != NULL && i < width; i++)
			n_bytes |= (uint64_t) p[i] << (8 * i);
		at += (uint64_t) width;
	}
	else if (p[0] == 1)
	{
		messages->version = 1;
		n_bytes = hdf5_u32(p + 8);
		at = object + 16;
	}
	else
		return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file has no header");
	p = p != NULL ? hdf5_at(file, at, n_bytes) : NULL;
	if (p == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file is beyond its end");
	enter_block(messages, p, n_bytes);
	return HDF5_OK;
}

/* Notes the block that a continuation message names. */
static Hdf5Status
add_block(Hdf5Messages *messages, const Hdf5Message *message, Hdf5Error *error)
{
	if (message->size < 16 || message->shared)
		return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file has a damaged header");
	if (messages->n_blocks == HDF5_MAX_BLOCKS)
		return hdf5_fail(error, HDF5_TOO_LARGE,
						 "an object of the HDF5 file has a header of more than %d parts", HDF5_MAX_BLOCKS);
	messages->blocks[messages->n_blocks].address = hdf5_u64(message->data);
	messages->blocks[messages->n_blocks].size = hdf5_u64(message->data + 8);
	messages->n_blocks++;
	return HDF5_OK;
}

/* Goes on with the next block that was noted. */
static Hdf5Status
next_block(Hdf5File *file, Hdf5Messages *messages, Hdf5Error *error)
{
	uint64_t address = messages->blocks[messages->next].address;
	uint64_t size = messages->blocks[messages->next].size;
	const uint8_t *p = hdf5_at(file, address, size);

	messages->next++;
	if (p != NULL && messages->version == 2)
	{
		if (size < 8 || memcmp(p, "OCHK", 4) != 0)
			return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file has a damaged header");
		p += 4;
		size -= 8;
	}
	if (p == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file is beyond its end");
	enter_block(messages, p, size);
	return HDF5_OK;
}

Hdf5Status
hdf5_messages_next(Hdf5File *file, Hdf5Messages *messages, Hdf5Message *message, int *found, Hdf5Error *error)
{
	size_t head = messages->version == 1 ? 8 : messages->with_order ? 6 : 4;

	*found = 0;
	for (;;)
	{
		const uint8_t *p = messages->p;
		Hdf5Status status = hdf5_step(file, error);

		if (status != HDF5_OK)
			return status;
		if ((size_t) (messages->end - p) < head) /* what is left is a gap */
		{
			if (messages->next == messages->n_blocks)
				return HDF5_OK;
			status = next_block(file, messages, error);
			if (status != HDF5_OK)
				return status;
			continue;
		}
		message->type = messages->version == 1 ? hdf5_u16(p) : p[0];
		message->size = hdf5_u16(p + (messages->version == 1 ? 2 : 1));
		message->shared = (p[messages->version == 1 ? 4 : 3] & 0x02) != 0;
		message->data = p + head;
		if ((size_t) (messages->end - p) - head < message->size)
			return hdf5_fail(error, HDF5_CORRUPT, "an object of the HDF5 file has a damaged header");
		messages->p = p + head + message->size;
		if (message->type == HDF5_MSG_CONTINUATION)
		{
			status = add_block(messages, message, error);
			if (status != HDF5_OK)
				return status;
			continue;
		}
		*found = 1;
		return HDF5_OK;
	}
}

/* -------------------------------------------------------------- datatypes */

/* Returns whether the properties of a floating-point type are those of IEEE 754. */
static int
is_ieee(const uint8_t *data, uint32_t size)
{
	static const struct
	{
		uint32_t size;
		uint8_t sign, exponent, exponent_bits, mantissa_bits;
		uint32_t bias;
	} formats[] = {{2, 15, 10, 5, 10, 15}, {4, 31, 23, 8, 23, 127}, {8, 63, 52, 11, 52, 1023}};
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (size == formats[i].size)
			return data[2] == formats[i].sign && hdf5_u16(data + 8) == 0 && hdf5_u16(data + 10) == 8 * size &&
				   data[12] == formats[i].exponent && data[13] == formats[i].exponent_bits && data[14] == 0 &&
				   data[15] == formats[i].mantissa_bits && hdf5_u32(data + 16) == formats[i].bias;
	return 0;
}

Hdf5Status
hdf5_parse_type(Hdf5Type *type, const uint8_t *data, size_t size, Hdf5Error *error)
{
	memset(type, 0, sizeof(*type));
	type->type_class = HDF5_OTHER;
	if (size < 8)
		return hdf5_fail(error, HDF5_CORRUPT, "a datatype of the HDF5 file is damaged");
	type->size = hdf5_u32(data + 4);
	switch (data[0] & 0x0f)
	{
		case 0:
			if (size >= 12 && hdf5_u16(data + 8) == 0 && hdf5_u16(data + 10) == 8 * type->size &&
				(type->size == 1 || type->size == 2 || type->size == 4 || type->size == 8))
				type->type_class = HDF5_INTEGER;
			type->big_endian = data[1] & 1;
			type->is_signed = (data[1] & 8) != 0;
			break;
		case 1:
			/* bits 0 and 6: byte order, both for that of a VAX */
			if (size >= 20 && (data[1] & 0x40) == 0 && is_ieee(data, type->size))
				type->type_class = HDF5_FLOAT;
			type->big_endian = data[1] & 1;
			break;
		case 3:
			type->type_class = HDF5_STRING;
			break;
		case 9:
			if ((data[1] & 0x0f) == 1 && type->size == 16)
				type->type_class = HDF5_VARIABLE_STRING;
			break;
		default:
			break;
	}
	return HDF5_OK;
}

Hdf5Status
hdf5_parse_space(int *rank, uint64_t *dims, uint64_t *count, const uint8_t *data, size_t size,
				 Hdf5Error *error)
{
	size_t head;
	int i;

	if (size < 4 || (data[0] != 1 && data[0] != 2))
		return hdf5_fail(error, HDF5_CORRUPT, "a dataspace of the HDF5 file is damaged");
	head = data[0] == 1 ? 8 : 4;
	*rank = data[1];
	*count = 1;
	if (*rank > HDF5_MAX_RANK)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "the HDF5 file has an array of %d dimensions", *rank);
	if (size < head + 8 * (size_t) *rank)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataspace of the HDF5 file is damaged");
	if (data[0] == 2 && data[3] == 2) /* null */
		*count = 0;
	for (i = 0; i < *rank; i++)
	{
		dims[i] = hdf5_u64(data + head + 8 * (size_t) i);
		if (dims[i] > 0 && *count > MAX_COUNT / dims[i])
			return hdf5_fail(error, HDF5_TOO_LARGE, "an array of the HDF5 file is too large");
		*count *= dims[i];
	}
	return HDF5_OK;
}

/* ---------------------------------------------------------------- datasets */

/* Reads a chunked layout of version 4: a single chunk, or HDF5_OTHER_LAYOUT. */
static void
parse_layout_4(Hdf5Dataset *dataset, const uint8_t *data, size_t size)
{
	int flags, rank, width, i, k;
	size_t at = 5;

	if (size < 5)
		return;
	flags = data[2];
	rank = data[3] - 1;
	width = data[4];
	if (rank != dataset->rank || width < 1 || width > 4)
		return;
	if (size < at + (size_t) ((rank + 1) * width) + 1)
		return;
	for (i = 0; i < rank; i++, at += (size_t) width)
		for (dataset->chunk[i] = 0, k = 0; k < width; k++)
			dataset->chunk[i] |= (uint32_t) data[at + (size_t) k] << (8 * k);
	at += (size_t) width;
	if (data[at++] != 1) /* the index of a single chunk */
		return;
	if (flags & 2)
	{
		if (size < at + 12)
			return;
		dataset->n_stored = hdf5_u64(data + at);
		dataset->single_mask = hdf5_u32(data + at + 8);
		at += 12;
	}
	else
		dataset->n_stored = dataset->count * dataset->type.size;
	if (size < at + 8)
		return;
	dataset->address = hdf5_u64(data + at);
	dataset->layout = HDF5_SINGLE_CHUNK;
	for (i = 0; i < rank; i++)
		if (dataset->chunk[i] != dataset->dims[i])
			dataset->layout = HDF5_OTHER_LAYOUT;
}

static Hdf5Status
parse_layout(Hdf5File *file, Hdf5Dataset *dataset, const Hdf5Message *message, Hdf5Error *error)
{
	const uint8_t *data = message->data;
	int i;

	dataset->layout = HDF5_OTHER_LAYOUT;
	if (message->shared || message->size < 2)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
	if (data[0] != 3 && data[0] != 4)
		return HDF5_OK;
	if (data[1] == 0)
	{
		if (message->size < 4 || message->size - 4 < hdf5_u16(data + 2))
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
		dataset->layout = HDF5_COMPACT;
		dataset->n_stored = hdf5_u16(data + 2);
		dataset->address = (uint64_t) (data + 4 - file->bytes);
	}
	else if (data[1] == 1)
	{
		if (message->size < 18)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
		dataset->layout = HDF5_CONTIGUOUS;
		dataset->address = hdf5_u64(data + 2);
		dataset->n_stored = hdf5_u64(data + 10);
	}
	else if (data[1] == 2 && data[0] == 4)
		parse_layout_4(dataset, data, message->size);
	else if (data[1] == 2)
	{
		if (message->size < 3 || data[2] != dataset->rank + 1 ||
			message->size < 11 + 4 * (size_t) (dataset->rank + 1))
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
		dataset->layout = HDF5_CHUNKED;
		dataset->address = hdf5_u64(data + 3);
		for (i = 0; i < dataset->rank; i++)
			dataset->chunk[i] = hdf5_u32(data + 11 + 4 * (size_t) i);
		if (hdf5_u32(data + 11 + 4 * (size_t) i) != dataset->type.size)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
	}
	return HDF5_OK;
}

static Hdf5Status
parse_filters(Hdf5Dataset *dataset, const Hdf5Message *message, Hdf5Error *error)
{
	const uint8_t *p = message->data;
	const uint8_t *end = p + message->size;
	int version;
	int i;

	if (message->shared || message->size < 2 || (p[0] != 1 && p[0] != 2) || p[1] > HDF5_MAX_FILTERS)
		return hdf5_fail(error, HDF5_UNSUPPORTED,
						 "a dataset of the HDF5 file has filters of an unknown form");
	version = p[0];
	dataset->n_filters = p[1];
	p += version == 1 ? 8 : 2;
	for (i = 0; i < dataset->n_filters; i++)
	{
		size_t name = 0;
		size_t values;

		if (end - p < 6)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
		dataset->filters[i] = hdf5_u16(p);
		p += 2;
		if (version == 1 || dataset->filters[i] >= 256)
		{
			name = hdf5_u16(p);
			p += 2;
		}
		if (end - p < 4)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
		values = hdf5_u16(p + 2);
		p += 4;
		if (version == 1)
		{
			name = (name + 7) / 8 * 8;
			values += values % 2;
		}
		if ((size_t) (end - p) < name + 4 * values)
			return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file is damaged");
		p += name + 4 * values;
	}
	return HDF5_OK;
}

Hdf5Status
hdf5_parse_dataset(Hdf5File *file, Hdf5Dataset *dataset, int *is_dataset, uint64_t object, Hdf5Error *error)
{
	Hdf5Messages messages;
	Hdf5Message message;
	Hdf5Message parts[0x10];
	int found;
	Hdf5Status status = hdf5_messages_begin(file, &messages, object, error);

	memset(dataset, 0, sizeof(*dataset));
	memset(parts, 0, sizeof(parts));
	*is_dataset = 0;
	while (status == HDF5_OK)
	{
		status = hdf5_messages_next(file, &messages, &message, &found, error);
		if (status != HDF5_OK || !found)
			break;
		if (message.type < (int) (sizeof(parts) / sizeof(parts[0])) && parts[message.type].data == NULL)
			parts[message.type] = message;
	}
	if (status != HDF5_OK || parts[HDF5_MSG_LAYOUT].data == NULL)
		return status;
	*is_dataset = 1;
	if (parts[HDF5_MSG_DATATYPE].data == NULL || parts[HDF5_MSG_DATASPACE].data == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a dataset of the HDF5 file has no type or no shape");
	dataset->type.type_class = HDF5_OTHER;
	dataset->layout = HDF5_OTHER_LAYOUT;
	if (parts[HDF5_MSG_DATATYPE].shared || parts[HDF5_MSG_DATASPACE].shared ||
		parts[HDF5_MSG_EXTERNAL].data != NULL)
		return HDF5_OK;
	status =
		hdf5_parse_type(&dataset->type, parts[HDF5_MSG_DATATYPE].data, parts[HDF5_MSG_DATATYPE].size, error);
	if (status == HDF5_OK)
		status = hdf5_parse_space(&dataset->rank, dataset->dims, &dataset->count,
								  parts[HDF5_MSG_DATASPACE].data, parts[HDF5_MSG_DATASPACE].size, error);
	if (status == HDF5_OK)
		status = parse_layout(file, dataset, &parts[HDF5_MSG_LAYOUT], error);
	if (status == HDF5_OK && parts[HDF5_MSG_FILTERS].data != NULL)
		status = parse_filters(dataset, &parts[HDF5_MSG_FILTERS], error);
	return status;
}

/* -------------------------------------------------------------- attributes */

/* Reads an attribute message; *same: it has the name. */
static Hdf5Status
parse_attribute(Hdf5Attribute *attribute, int *same, const Hdf5Message *message, const char *name,
				Hdf5Error *error)
{
	const uint8_t *p = message->data;
	uint64_t dims[HDF5_MAX_RANK];
	size_t name_size, type_size, space_size, pad, at;
	int rank;
	Hdf5Status status;

	*same = 0;
	if (message->shared)
		return HDF5_OK;
	if (message->size < 9 || p[0] < 1 || p[0] > 3)
		return hdf5_fail(error, HDF5_CORRUPT, "an attribute of the HDF5 file is damaged");
	pad = p[0] == 1 ? 8 : 1;
	name_size = hdf5_u16(p + 2);
	type_size = hdf5_u16(p + 4);
	space_size = hdf5_u16(p + 6);
	at = p[0] == 3 ? 9 : 8;
	if (message->size < at + (name_size + pad - 1) / pad * pad + (type_size + pad - 1) / pad * pad +
							(space_size + pad - 1) / pad * pad)
		return hdf5_fail(error, HDF5_CORRUPT, "an attribute of the HDF5 file is damaged");
	if (name_size != strlen(name) + 1 || memcmp(p + at, name, name_size) != 0)
		return HDF5_OK;
	*same = 1;
	if (p[0] > 1 && (p[1] & 3) != 0)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "attribute \"%s\" of the HDF5 file has a shared type",
						 name);
	at += (name_size + pad - 1) / pad * pad;
	status = hdf5_parse_type(&attribute->type, p + at, type_size, error);
	at += (type_size + pad - 1) / pad * pad;
	if (status == HDF5_OK)
		status = hdf5_parse_space(&rank, dims, &attribute->count, p + at, space_size, error);
	at += (space_size + pad - 1) / pad * pad;
	if (status != HDF5_OK)
		return status;
	if (attribute->count > message->size || attribute->count * attribute->type.size > message->size - at)
		return hdf5_fail(error, HDF5_CORRUPT, "attribute \"%s\" of the HDF5 file is damaged", name);
	attribute->exists = 1;
	attribute->data = p + at;
	return HDF5_OK;
}

Hdf5Status
hdf5_attribute(Hdf5File *file, Hdf5Attribute *attribute, uint64_t object, const char *name, Hdf5Error *error)
{
	Hdf5Messages messages;
	Hdf5Message message;
	int found;
	int same = 0;
	Hdf5Status status;

	hdf5_begin(file);
	memset(attribute, 0, sizeof(*attribute));
	status = hdf5_messages_begin(file, &messages, object, error);
	while (status == HDF5_OK && !same)
	{
		status = hdf5_messages_next(file, &messages, &message, &found, error);
		if (status != HDF5_OK || !found)
			break;
		if (message.type == HDF5_MSG_ATTRIBUTE)
			status = parse_attribute(attribute, &same, &message, name, error);
	}
	return status;
}

/* Finds an object of a global heap. */
static Hdf5Status
find_in_heap(Hdf5File *file, const uint8_t **data, uint64_t *n_bytes, uint64_t address, uint32_t index,
			 Hdf5Error *error)
{
	const uint8_t *heap = hdf5_at(file, address, 16);
	const uint8_t *p;
	uint64_t left;

	if (heap == NULL || memcmp(heap, "GCOL", 4) != 0 || hdf5_u64(heap + 8) < 16 ||
		hdf5_at(file, address, hdf5_u64(heap + 8)) == NULL)
		return hdf5_fail(error, HDF5_CORRUPT, "a heap of the HDF5 file is damaged");
	left = hdf5_u64(heap + 8) - 16;
	p = heap + 16;
	while (left >= 16)
	{
		uint64_t size = hdf5_u64(p + 8);
		Hdf5Status status = hdf5_step(file, error);

		if (status != HDF5_OK)
			return status;
		if (size > left - 16)
			break;
		if (hdf5_u16(p) == index && index != 0)
		{
			*data = p + 16;
			*n_bytes = size;
			return HDF5_OK;
		}
		if (hdf5_u16(p) == 0)
			break;
		size = (size + 7) / 8 * 8;
		if (size > left - 16)
			break;
		p += 16 + size;
		left -= 16 + size;
	}
	return hdf5_fail(error, HDF5_CORRUPT, "a text of the HDF5 file is not in its heap");
}

Hdf5Status
hdf5_string(Hdf5File *file, const char **text, size_t *length, const Hdf5Attribute *attribute, uint64_t i,
			Hdf5Error *error)
{
	const uint8_t *element = attribute->data + i * attribute->type.size;
	uint64_t n_bytes = attribute->type.size;
	const uint8_t *data = element;
	const uint8_t *end;
	Hdf5Status status;

	hdf5_begin(file);
	*text = "";
	*length = 0;
	if (attribute->type.type_class == HDF5_VARIABLE_STRING)
	{
		uint32_t size = hdf5_u32(element);

		if (size == 0)
			return HDF5_OK;
		status = find_in_heap(file, &data, &n_bytes, hdf5_u64(element + 4), hdf5_u32(element + 12), error);
		if (status != HDF5_OK)
			return status;
		if (n_bytes < size)
			return hdf5_fail(error, HDF5_CORRUPT, "a text of the HDF5 file is not in its heap");
		n_bytes = size;
	}
	else if (attribute->type.type_class != HDF5_STRING)
		return hdf5_fail(error, HDF5_UNSUPPORTED, "an attribute of the HDF5 file is not a text");
	end = n_bytes > 0 ? memchr(data, 0, n_bytes) : NULL;
	*text = (const char *) data;
	*length = end != NULL ? (size_t) (end - data) : (size_t) n_bytes;
	return HDF5_OK;
}
