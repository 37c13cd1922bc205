/*-------------------------------------------------------------------------
 *
 * zipfile.c
 *	  Zip files in memory.
 *
 * The directory at the end of the file says where entries are and how large;
 * of an entry's own header only the length counts, as the rest of it may be
 * empty when the file was written in one go.
 *
 *-------------------------------------------------------------------------
 */
#include "zipfile.h"
#include "inflate.h"

#include <string.h>

#define END_BYTES 22       /* the record at the end of the file */
#define DIRECTORY_BYTES 46 /* an entry of the directory, without name, extra and comment */
#define LOCAL_BYTES 30     /* the header of an entry, without name and extra */

#define PIECE ((size_t) 1 << 20) /* bytes between two looks at stop */

/* A date that all entries have: 1980-01-01. */
#define DOS_DATE 0x21

static uint32_t
get16(const uint8_t *p)
{
	return (uint32_t) (p[0] | p[1] << 8);
}

static uint32_t
get32(const uint8_t *p)
{
	return get16(p) | get16(p + 2) << 16;
}

/* ----------------------------------------------------------------- reading */

int
zipfile_is(const void *bytes, size_t n_bytes)
{
	return n_bytes >= END_BYTES && memcmp(bytes, "PK\3\4", 4) == 0;
}

/* Returns the offset of the record at the end of the file, before its comment; n_bytes: there is none. */
static size_t
find_end(const uint8_t *bytes, size_t n_bytes)
{
	size_t at = n_bytes < END_BYTES ? 0 : n_bytes - END_BYTES;
	size_t lowest = at < 65535 ? 0 : at - 65535;

	if (n_bytes < END_BYTES)
		return n_bytes;
	for (;; at--)
	{
		if (memcmp(bytes + at, "PK\5\6", 4) == 0 && at + END_BYTES + get16(bytes + at + 20) <= n_bytes)
			return at;
		if (at == lowest)
			return n_bytes;
	}
}

/* Fills *entry from its record in the directory. */
static ZipfileStatus
read_entry(ZipfileEntry *entry, const uint8_t *bytes, size_t n_bytes, const uint8_t *record)
{
	uint32_t method = get16(record + 10);
	size_t at = get32(record + 42);
	size_t skip;

	entry->crc = get32(record + 16);
	entry->n_stored = get32(record + 20);
	entry->n_bytes = get32(record + 24);
	entry->deflated = method == 8;
	if ((get16(record + 8) & 1) != 0 || (method != 0 && method != 8))
		return ZIPFILE_UNSUPPORTED;
	if (entry->n_stored == UINT32_MAX || entry->n_bytes == UINT32_MAX || at == UINT32_MAX)
		return ZIPFILE_TOO_LARGE;
	if (at > n_bytes || n_bytes - at < LOCAL_BYTES || memcmp(bytes + at, "PK\3\4", 4) != 0)
		return ZIPFILE_CORRUPT;
	skip = LOCAL_BYTES + get16(bytes + at + 26) + get16(bytes + at + 28);
	if (n_bytes - at < skip || n_bytes - at - skip < entry->n_stored)
		return ZIPFILE_CORRUPT;
	if (!entry->deflated && entry->n_bytes != entry->n_stored)
		return ZIPFILE_CORRUPT;
	entry->stored = bytes + at + skip;
	return ZIPFILE_OK;
}

ZipfileStatus
zipfile_find(ZipfileEntry *entry, const void *bytes, size_t n_bytes, const char *name)
{
	const uint8_t *file = bytes;
	size_t end = find_end(file, n_bytes);
	size_t length = strlen(name);
	size_t at;
	uint32_t n, i;

	memset(entry, 0, sizeof(*entry));
	if (end == n_bytes)
		return ZIPFILE_NOT_ZIP;
	n = get16(file + end + 10);
	at = get32(file + end + 16);
	for (i = 0; i < n; i++)
	{
		size_t size;

		if (at > end || end - at < DIRECTORY_BYTES || memcmp(file + at, "PK\1\2", 4) != 0)
			return ZIPFILE_CORRUPT;
		size = DIRECTORY_BYTES + get16(file + at + 28) + get16(file + at + 30) + get16(file + at + 32);
		if (end - at < size)
			return ZIPFILE_CORRUPT;
		if (get16(file + at + 28) == length && memcmp(file + at + DIRECTORY_BYTES, name, length) == 0)
			return read_entry(entry, file, n_bytes, file + at);
		at += size;
	}
	return ZIPFILE_NOT_FOUND;
}

ZipfileStatus
zipfile_read(const uint8_t **data, uint8_t *dst, const ZipfileEntry *entry, void *scratch,
			 volatile sig_atomic_t *stop)
{
	size_t n_bytes = entry->n_bytes;
	uint32_t crc;

	*data = entry->stored;
	if (entry->deflated)
	{
		switch (exchange_inflate(dst, &n_bytes, entry->stored, entry->n_stored, 1, scratch, stop))
		{
			case EXCHANGE_INFLATED:
				break;
			case EXCHANGE_INFLATE_CORRUPT:
				return ZIPFILE_CORRUPT;
			case EXCHANGE_INFLATE_INTERRUPTED:
				return ZIPFILE_INTERRUPTED;
		}
		if (n_bytes != entry->n_bytes)
			return ZIPFILE_CORRUPT;
		*data = dst;
	}
	if (!exchange_crc32(&crc, *data, n_bytes, stop))
		return ZIPFILE_INTERRUPTED;
	return crc == entry->crc ? ZIPFILE_OK : ZIPFILE_CORRUPT;
}

/* ----------------------------------------------------------------- writing */

static uint8_t *
put16(uint8_t *p, uint32_t value)
{
	*p++ = (uint8_t) value;
	*p++ = (uint8_t) (value >> 8);
	return p;
}

static uint8_t *
put32(uint8_t *p, uint32_t value)
{
	return put16(put16(p, value), value >> 16);
}

size_t
zipfile_write_bytes(const ZipfileOutput *outputs, int n)
{
	uint64_t n_bytes = END_BYTES;
	int i;

	for (i = 0; i < n; i++)
	{
		if (outputs[i].n_bytes >= UINT32_MAX)
			return 0;
		n_bytes += LOCAL_BYTES + DIRECTORY_BYTES + 2 * strlen(outputs[i].name) + outputs[i].n_bytes;
	}
	return n_bytes < UINT32_MAX && n < 65535 ? (size_t) n_bytes : 0;
}

/* Writes what the header of an entry and its record in the directory share: from flags to extra. */
static uint8_t *
put_common(uint8_t *p, const ZipfileOutput *output, uint32_t crc)
{
	p = put16(p, 20); /* the version that is needed to read it */
	p = put16(p, 0);  /* flags */
	p = put16(p, 0);  /* stored */
	p = put16(p, 0);
	p = put16(p, DOS_DATE);
	p = put32(p, crc);
	p = put32(p, (uint32_t) output->n_bytes);
	p = put32(p, (uint32_t) output->n_bytes);
	p = put16(p, (uint32_t) strlen(output->name));
	return put16(p, 0);
}

static uint8_t *
put_name(uint8_t *p, const char *name)
{
	memcpy(p, name, strlen(name));
	return p + strlen(name);
}

ZipfileStatus
zipfile_write(void *dst, const ZipfileOutput *outputs, int n, volatile sig_atomic_t *stop)
{
	uint8_t *file = dst;
	uint8_t *p = file;
	uint8_t *directory;
	uint8_t *header = file;
	size_t k;
	int i;

	for (i = 0; i < n; i++)
	{
		uint32_t crc;

		if (!exchange_crc32(&crc, outputs[i].data, outputs[i].n_bytes, stop))
			return ZIPFILE_INTERRUPTED;
		p = put_name(put_common(put32(p, 0x04034b50), &outputs[i], crc), outputs[i].name);
		for (k = 0; k < outputs[i].n_bytes; k += PIECE)
		{
			size_t piece = outputs[i].n_bytes - k < PIECE ? outputs[i].n_bytes - k : PIECE;

			if (stop != NULL && *stop)
				return ZIPFILE_INTERRUPTED;
			memcpy(p + k, (const uint8_t *) outputs[i].data + k, piece);
		}
		p += outputs[i].n_bytes;
	}
	directory = p;
	for (i = 0; i < n; i++)
	{
		p = put_common(put16(put32(p, 0x02014b50), 20), &outputs[i], get32(header + 14));
		p = put16(p, 0); /* comment */
		p = put16(p, 0); /* disk */
		p = put16(p, 0);
		p = put32(p, 0);
		p = put32(p, (uint32_t) (header - file));
		p = put_name(p, outputs[i].name);
		header += LOCAL_BYTES + strlen(outputs[i].name) + outputs[i].n_bytes;
	}
	k = (size_t) (p - directory);
	p = put32(p, 0x06054b50);
	p = put32(p, 0); /* disks */
	p = put16(p, (uint32_t) n);
	p = put16(p, (uint32_t) n);
	p = put32(p, (uint32_t) k);
	p = put32(p, (uint32_t) (directory - file));
	put16(p, 0);
	return ZIPFILE_OK;
}
