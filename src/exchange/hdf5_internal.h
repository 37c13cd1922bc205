/*-------------------------------------------------------------------------
 *
 * hdf5_internal.h
 *	  What the readers of HDF5 share: bytes of the file, messages of objects.
 *	  Owners: hdf5_file.c, hdf5_object.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_HDF5_INTERNAL_H
#define PNEUMO_EXCHANGE_HDF5_INTERNAL_H

#include "hdf5.h"

#include <stddef.h>
#include <stdint.h>

#define HDF5_UNDEFINED UINT64_MAX

/* ------------------------------------------------------------ hdf5_file.c */

/* Fills *error with a message like printf's; returns status. */
extern Hdf5Status hdf5_fail(Hdf5Error *error, Hdf5Status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Returns the n_bytes bytes at an address, NULL if they are not all in the file. */
extern const uint8_t *hdf5_at(const Hdf5File *file, uint64_t address, uint64_t n_bytes);

/* Returns a number of the file, little endian. */
extern uint16_t hdf5_u16(const uint8_t *p);
extern uint32_t hdf5_u32(const uint8_t *p);
extern uint64_t hdf5_u64(const uint8_t *p);

/* Begins to count the steps of a call. */
extern void hdf5_begin(Hdf5File *file);

/* Counts a step of a call; HDF5_TOO_LARGE when they are too many, HDF5_INTERRUPTED on stop. */
extern Hdf5Status hdf5_step(Hdf5File *file, Hdf5Error *error);

/* Adds bytes that were read or written to the work since the last look at stop; HDF5_INTERRUPTED on stop. */
extern Hdf5Status hdf5_poll(Hdf5File *file, size_t work, Hdf5Error *error);

/* ---------------------------------------------------------- hdf5_object.c */

/* Types of messages in an object header. */
enum
{
	HDF5_MSG_DATASPACE = 0x01,
	HDF5_MSG_LINK_INFO = 0x02,
	HDF5_MSG_DATATYPE = 0x03,
	HDF5_MSG_LINK = 0x06,
	HDF5_MSG_EXTERNAL = 0x07,
	HDF5_MSG_LAYOUT = 0x08,
	HDF5_MSG_FILTERS = 0x0b,
	HDF5_MSG_ATTRIBUTE = 0x0c,
	HDF5_MSG_CONTINUATION = 0x10,
	HDF5_MSG_SYMBOL_TABLE = 0x11
};

typedef struct Hdf5Message
{
	int type;
	int shared; /* its data is elsewhere, which is not read */
	const uint8_t *data;
	size_t size;
} Hdf5Message;

#define HDF5_MAX_BLOCKS 64

/* The messages of an object, over all blocks of its header. */
typedef struct Hdf5Messages
{
	uint64_t object;
	int version;      /* of the header, 1 or 2 */
	int with_order;   /* version 2: messages have a creation order */
	const uint8_t *p; /* in the present block */
	const uint8_t *end;
	int n_blocks; /* that are to be read after it */
	int next;
	struct
	{
		uint64_t address, size;
	} blocks[HDF5_MAX_BLOCKS];
} Hdf5Messages;

/* Begins with the messages of the object whose header is at an address. */
extern Hdf5Status hdf5_messages_begin(Hdf5File *file, Hdf5Messages *messages, uint64_t object,
									  Hdf5Error *error);

/* Reads the next message; *found is 0 after the last. */
extern Hdf5Status hdf5_messages_next(Hdf5File *file, Hdf5Messages *messages, Hdf5Message *message, int *found,
									 Hdf5Error *error);

/* Reads the data of a message of type datatype. */
extern Hdf5Status hdf5_parse_type(Hdf5Type *type, const uint8_t *data, size_t size, Hdf5Error *error);

/* Reads the data of a message of type dataspace; *count is the product of dims. */
extern Hdf5Status hdf5_parse_space(int *rank, uint64_t *dims, uint64_t *count, const uint8_t *data,
								   size_t size, Hdf5Error *error);

/* Reads what an object is: *is_dataset, with *dataset filled but for its path, or a group or something else. */
extern Hdf5Status hdf5_parse_dataset(Hdf5File *file, Hdf5Dataset *dataset, int *is_dataset, uint64_t object,
									 Hdf5Error *error);

#endif /* PNEUMO_EXCHANGE_HDF5_INTERNAL_H */
