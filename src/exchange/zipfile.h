/*-------------------------------------------------------------------------
 *
 * zipfile.h
 *	  Zip files in memory: finding and reading an entry, and writing stored
 *	  entries.  The public header of zipfile.c.
 *
 * Plain C11 and zlib.  Knows no server and no file; never prints, exits, jumps
 * or allocates.  Bytes may come from anywhere: every offset and length is
 * checked, and an entry says its size before memory for it is taken.
 *
 * Not read: encrypted entries, other methods than stored and deflated, entries
 * of 4 GB and more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_ZIPFILE_H
#define PNEUMO_EXCHANGE_ZIPFILE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ZipfileStatus
{
	ZIPFILE_OK = 0,
	ZIPFILE_NOT_ZIP,   /* the bytes are no zip file */
	ZIPFILE_NOT_FOUND, /* no entry of that name */
	ZIPFILE_CORRUPT,
	ZIPFILE_UNSUPPORTED, /* encrypted, or of another method */
	ZIPFILE_TOO_LARGE,
	ZIPFILE_INTERRUPTED
} ZipfileStatus;

typedef struct ZipfileEntry
{
	const uint8_t *stored; /* in the file */
	size_t n_stored;
	size_t n_bytes; /* once it is decompressed */
	uint32_t crc;
	int deflated;
} ZipfileEntry;

/* Returns whether bytes begin as a zip file does. */
extern int zipfile_is(const void *bytes, size_t n_bytes);

/* Finds an entry by its name, the first if there are several. */
extern ZipfileStatus zipfile_find(ZipfileEntry *entry, const void *bytes, size_t n_bytes, const char *name);

/* Scratch of zipfile_read(). */
#define ZIPFILE_SCRATCH_BYTES ((size_t) 64 << 10)

/*
 * Reads an entry and checks its CRC.  *data is the entry in the file if it is
 * stored, else dst, which has room for n_bytes.  Looks at *stop, which may be
 * NULL.
 */
extern ZipfileStatus zipfile_read(const uint8_t **data, uint8_t *dst, const ZipfileEntry *entry,
								  void *scratch, volatile sig_atomic_t *stop);

/* An entry to be written. */
typedef struct ZipfileOutput
{
	const char *name;
	const void *data;
	size_t n_bytes;
} ZipfileOutput;

/* Returns the bytes of a file of these entries; 0: 4 GB or more. */
extern size_t zipfile_write_bytes(const ZipfileOutput *outputs, int n);

/* Writes a file of zipfile_write_bytes() bytes, with stored entries.  Same content, same bytes. */
extern ZipfileStatus zipfile_write(void *dst, const ZipfileOutput *outputs, int n,
								   volatile sig_atomic_t *stop);

#endif /* PNEUMO_EXCHANGE_ZIPFILE_H */
