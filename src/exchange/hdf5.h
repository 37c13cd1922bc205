/*-------------------------------------------------------------------------
 *
 * hdf5.h
 *	  HDF5 files in memory: reading what h5py and Keras write, and writing
 *	  files of float32 datasets.  The public header of hdf5_*.c.
 *
 * Plain C11 and zlib.  Knows no server and no file; never prints, exits, jumps
 * or allocates.
 *
 * Bytes may come from anywhere.  Every address and length is checked against
 * the file.  Groups nest HDF5_MAX_DEPTH deep at most, levels of a B-tree
 * decrease on the way down, and the steps of one call are counted, so that a
 * file that refers to itself, or to one object many times, comes to an end.
 *
 * What is read: superblocks 0 to 3; object headers 1 and 2; groups in symbol
 * tables, and in link messages; datasets that are contiguous, compact or
 * chunked (by a B-tree of version 1, or in a single chunk), with deflate,
 * shuffle and fletcher32, of integers and of IEEE floats of 16, 32 and 64
 * bits in either byte order; attributes of strings.  Not read: groups and
 * attributes in fractal heaps, external and virtual datasets, soft links (they
 * are passed over), addresses of less than 64 bits.
 *
 * Stopping: a function looks at Hdf5File.stop, which may be NULL, after a
 * bounded amount of work, and returns HDF5_INTERRUPTED within 200 ms of its
 * being set.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_EXCHANGE_HDF5_H
#define PNEUMO_EXCHANGE_HDF5_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define HDF5_MAX_DEPTH 32
#define HDF5_MAX_RANK 8
#define HDF5_MAX_FILTERS 4
#define HDF5_MAX_DATASETS 16384
#define HDF5_PATH_LEN 384 /* with its final zero */

typedef enum Hdf5Status
{
	HDF5_OK = 0,
	HDF5_CORRUPT,     /* bytes that are no HDF5 file, or contradict themselves */
	HDF5_UNSUPPORTED, /* may be valid, but is not read here */
	HDF5_TOO_LARGE,   /* beyond a limit */
	HDF5_INTERRUPTED
} Hdf5Status;

typedef struct Hdf5Error
{
	Hdf5Status status;
	char message[256]; /* lower-case, without full stop; may quote bytes of the file */
} Hdf5Error;

typedef struct Hdf5File
{
	const uint8_t *bytes;
	size_t n_bytes;
	uint64_t root; /* address of the root group's object header */
	volatile sig_atomic_t *stop;
	size_t work;  /* since the last look at stop */
	size_t steps; /* of this call */
} Hdf5File;

/* Returns whether bytes begin as an HDF5 file does. */
extern int hdf5_is(const void *bytes, size_t n_bytes);

/* Opens a file of n_bytes bytes, which have to stay as they are. */
extern Hdf5Status hdf5_open(Hdf5File *file, const void *bytes, size_t n_bytes, volatile sig_atomic_t *stop,
							Hdf5Error *error);

/* ------------------------------------------------------------- datasets */

typedef enum Hdf5TypeClass
{
	HDF5_INTEGER,
	HDF5_FLOAT,
	HDF5_STRING,          /* of a fixed number of bytes */
	HDF5_VARIABLE_STRING, /* in a global heap */
	HDF5_OTHER
} Hdf5TypeClass;

typedef struct Hdf5Type
{
	Hdf5TypeClass type_class;
	uint32_t size; /* of an element, in bytes */
	int is_signed;
	int big_endian;
} Hdf5Type;

typedef enum Hdf5Layout
{
	HDF5_COMPACT,
	HDF5_CONTIGUOUS,
	HDF5_CHUNKED,
	HDF5_SINGLE_CHUNK,
	HDF5_OTHER_LAYOUT
} Hdf5Layout;

typedef struct Hdf5Dataset
{
	char path[HDF5_PATH_LEN]; /* from the root, without a slash in front: "layers/conv2d/vars/0" */
	Hdf5Type type;
	int rank; /* 0: one number */
	uint64_t dims[HDF5_MAX_RANK];
	uint64_t count; /* of elements, at most 2^40 */

	/* where the elements are */
	Hdf5Layout layout;
	uint64_t address;     /* of the elements, or of the B-tree of chunks */
	uint64_t n_stored;    /* bytes, but for HDF5_CHUNKED */
	uint32_t single_mask; /* filters that HDF5_SINGLE_CHUNK passes over */
	uint32_t chunk[HDF5_MAX_RANK];
	int n_filters; /* in the order of writing */
	uint16_t filters[HDF5_MAX_FILTERS];
} Hdf5Dataset;

/*
 * Finds all datasets, depth first.  *n is their number; the first room of them
 * are written to list, which may be NULL with room 0.  More than
 * HDF5_MAX_DATASETS are HDF5_TOO_LARGE.
 */
extern Hdf5Status hdf5_list(Hdf5File *file, Hdf5Dataset *list, int room, int *n, Hdf5Error *error);

/* Returns the scratch bytes that hdf5_read_floats() needs: in proportion to the dataset, 0: none. */
extern size_t hdf5_scratch_bytes(const Hdf5Dataset *dataset);

/* Reads all elements as float32, row-major: dataset->count floats. */
extern Hdf5Status hdf5_read_floats(Hdf5File *file, float *dst, const Hdf5Dataset *dataset, void *scratch,
								   Hdf5Error *error);

/* ----------------------------------------------------------- attributes */

/* Finds a group or dataset by its path, "" for the root; *object is 0 where there is none. */
extern Hdf5Status hdf5_find(Hdf5File *file, const char *path, uint64_t *object, Hdf5Error *error);

typedef struct Hdf5Attribute
{
	int exists;
	Hdf5Type type;
	uint64_t count;      /* of elements: 1 for a scalar */
	const uint8_t *data; /* in the file, count * type.size bytes */
} Hdf5Attribute;

/* Finds an attribute of an object. */
extern Hdf5Status hdf5_attribute(Hdf5File *file, Hdf5Attribute *attribute, uint64_t object, const char *name,
								 Hdf5Error *error);

/* Finds string i of an attribute: *length bytes of the file, without a final zero. */
extern Hdf5Status hdf5_string(Hdf5File *file, const char **text, size_t *length,
							  const Hdf5Attribute *attribute, uint64_t i, Hdf5Error *error);

/* -------------------------------------------------------------- writing */

/* A dataset to be written. */
typedef struct Hdf5Output
{
	const char *path; /* "layers/conv2d/vars/0" */
	int rank;
	uint64_t dims[HDF5_MAX_RANK];
	const float *data;
} Hdf5Output;

/* Returns the bytes of a file with these datasets; 0: it would be too large. */
extern size_t hdf5_write_bytes(const Hdf5Output *outputs, int n);

/*
 * Writes a file of hdf5_write_bytes() bytes: superblock 0, symbol tables,
 * contiguous float32 datasets, which every version of HDF5 reads.  Same
 * content, same bytes.  Names are of letters, digits and underscores; the paths
 * come in the order of strcmp(), each once.  Returns HDF5_TOO_LARGE where a path
 * cannot be written.
 */
extern Hdf5Status hdf5_write(void *dst, size_t dst_bytes, const Hdf5Output *outputs, int n,
							 volatile sig_atomic_t *stop, Hdf5Error *error);

#endif /* PNEUMO_EXCHANGE_HDF5_H */
