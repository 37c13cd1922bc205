/*
 * test_exchange.c
 *		HDF5 and zip files in memory: what is written is read, files of h5py
 *		and Keras, and bytes that are damaged or mean ill.
 */
#include "exchange/hdf5.h"
#include "exchange/zipfile.h"

#include "unit.h"

#include <stdlib.h>
#include <zlib.h>

#define MAX_FILE (1 << 20)

static const float numbers[24] = {1.5f,  -2.0f, 3.25f, 0.0f,   1e-30f, 6.0f,  7.0f,  8.0f,
								  9.0f,  10.0f, 11.0f, -12.5f, 13.0f,  14.0f, 15.0f, 16.0f,
								  17.0f, 18.0f, 19.0f, 20.0f,  21.0f,  1e30f, 23.0f, 24.0f};

/* ------------------------------------------------------------------- HDF5 */

/* Writes a small file; returns its bytes, malloc'd. */
static uint8_t *
make_hdf5(size_t *n_bytes)
{
	static const Hdf5Output outputs[] = {
		{"layers/conv2d/vars/0", 3, {2, 3, 4}, numbers},
		{"layers/conv2d/vars/1", 1, {5}, numbers + 1},
		{"layers/dense/vars/0", 0, {0}, numbers + 2},
	};
	uint8_t *bytes;
	Hdf5Error error;

	*n_bytes = hdf5_write_bytes(outputs, 3);
	bytes = malloc(*n_bytes);
	if (hdf5_write(bytes, *n_bytes, outputs, 3, NULL, &error) != HDF5_OK)
		unit_ok(false, "the small file is written: %s", error.message);
	return bytes;
}

/*
 * Reads all there is: every dataset of up to a million elements, attributes of
 * the root.  The bytes are copied to memory of their size, so that a sanitizer
 * sees a read beyond it.
 */
static Hdf5Status
read_all(const uint8_t *bytes, size_t n_bytes, volatile sig_atomic_t *stop, Hdf5Error *error)
{
	uint8_t *copy = malloc(n_bytes > 0 ? n_bytes : 1);
	Hdf5Dataset *list = NULL;
	Hdf5File file;
	Hdf5Attribute attribute;
	Hdf5Status status;
	int n = 0;
	int i;

	memcpy(copy, bytes, n_bytes);
	status = hdf5_open(&file, copy, n_bytes, stop, error);
	if (status == HDF5_OK)
		status = hdf5_list(&file, NULL, 0, &n, error);
	if (status == HDF5_OK)
	{
		list = malloc(sizeof(Hdf5Dataset) * (size_t) (n > 0 ? n : 1));
		status = hdf5_list(&file, list, n, &n, error);
	}
	for (i = 0; status == HDF5_OK && i < n; i++)
	{
		if (list[i].count <= 1000000 && hdf5_scratch_bytes(&list[i]) <= ((size_t) 1 << 26))
		{
			float *dst = malloc(sizeof(float) * (size_t) (list[i].count + 1));
			void *scratch = malloc(hdf5_scratch_bytes(&list[i]) + 1);

			status = hdf5_read_floats(&file, dst, &list[i], scratch, error);
			free(dst);
			free(scratch);
		}
	}
	if (status == HDF5_OK)
		status = hdf5_attribute(&file, &attribute, file.root, "model_config", error);
	if (status == HDF5_OK && attribute.exists && attribute.count > 0)
	{
		const char *text;
		size_t length;

		status = hdf5_string(&file, &text, &length, &attribute, 0, error);
	}
	free(list);
	free(copy);
	return status;
}

static void
test_hdf5_written(void)
{
	size_t n_bytes;
	uint8_t *bytes = make_hdf5(&n_bytes);
	Hdf5Dataset list[3];
	Hdf5File file;
	Hdf5Error error;
	uint64_t object;
	float got[24];
	int n;

	unit_ok(hdf5_open(&file, bytes, n_bytes, NULL, &error) == HDF5_OK, "a written file is opened");
	unit_ok(hdf5_list(&file, list, 3, &n, &error) == HDF5_OK && n == 3, "it has three datasets");
	unit_ok(strcmp(list[0].path, "layers/conv2d/vars/0") == 0 && list[0].rank == 3 && list[0].dims[2] == 4 &&
				list[0].count == 24,
			"the first has its path and shape");
	unit_ok(hdf5_read_floats(&file, got, &list[0], NULL, &error) == HDF5_OK &&
				memcmp(got, numbers, sizeof(numbers)) == 0,
			"and its numbers, to the bit");
	unit_ok(list[2].rank == 0 && list[2].count == 1 &&
				hdf5_read_floats(&file, got, &list[2], NULL, &error) == HDF5_OK && got[0] == 3.25f,
			"a dataset of one number");
	unit_ok(hdf5_find(&file, "layers/dense", &object, &error) == HDF5_OK && object != 0, "a group is found");
	unit_ok(hdf5_find(&file, "layers/dens", &object, &error) == HDF5_OK && object == 0,
			"a group that is not there is not");
	free(bytes);
}

/* A group of more members than one node of its B-tree holds in files of h5py. */
static void
test_hdf5_large_group(void)
{
	enum
	{
		MEMBERS = 3000
	};
	static char paths[MEMBERS][32];
	static Hdf5Output outputs[MEMBERS];
	static Hdf5Dataset list[MEMBERS];
	uint8_t *bytes;
	size_t n_bytes;
	Hdf5File file;
	Hdf5Error error;
	bool same = true;
	int n = 0;
	int i;

	for (i = 0; i < MEMBERS; i++)
	{
		snprintf(paths[i], sizeof(paths[i]), "layers/dense_%05d", i);
		outputs[i].path = paths[i];
		outputs[i].data = &numbers[i % 24];
	}
	n_bytes = hdf5_write_bytes(outputs, MEMBERS);
	bytes = malloc(n_bytes);
	unit_ok(hdf5_write(bytes, n_bytes, outputs, MEMBERS, NULL, &error) == HDF5_OK,
			"3000 datasets are written");
	unit_ok(hdf5_open(&file, bytes, n_bytes, NULL, &error) == HDF5_OK &&
				hdf5_list(&file, list, MEMBERS, &n, &error) == HDF5_OK && n == MEMBERS,
			"and found");
	for (i = 0; i < n; i++)
	{
		float got;

		same = same && strcmp(list[i].path, paths[i]) == 0 &&
			   hdf5_read_floats(&file, &got, &list[i], NULL, &error) == HDF5_OK && got == numbers[i % 24];
	}
	unit_ok(same, "each with its path and number");
	free(bytes);
}

/* Reads a file of tests/keras/files; returns its bytes, malloc'd. */
static uint8_t *
read_gz(const char *name, size_t *n_bytes)
{
	char path[256];
	uint8_t *bytes = malloc(MAX_FILE);
	gzFile file;
	int n = -1;

	snprintf(path, sizeof(path), "tests/keras/files/%s.gz", name);
	file = gzopen(path, "rb");
	if (file != NULL)
	{
		n = gzread(file, bytes, MAX_FILE);
		gzclose(file);
	}
	unit_ok(n > 0, "%s is read", path);
	*n_bytes = n > 0 ? (size_t) n : 0;
	return bytes;
}

static void
test_hdf5_of_keras(void)
{
	size_t n_bytes;
	uint8_t *bytes = read_gz("2.15.0-plain.h5", &n_bytes);
	Hdf5File file;
	Hdf5Error error;
	Hdf5Attribute attribute;
	uint64_t object = 0;
	const char *text = "";
	size_t length = 0;

	unit_ok(read_all(bytes, n_bytes, NULL, &error) == HDF5_OK, "a whole model of Keras 2 is read");
	unit_ok(hdf5_open(&file, bytes, n_bytes, NULL, &error) == HDF5_OK &&
				hdf5_find(&file, "model_weights/conv2d", &object, &error) == HDF5_OK && object != 0 &&
				hdf5_attribute(&file, &attribute, object, "weight_names", &error) == HDF5_OK &&
				attribute.exists && attribute.count == 1,
			"its layer has the attribute weight_names");
	unit_ok(hdf5_string(&file, &text, &length, &attribute, 0, &error) == HDF5_OK && length == 15 &&
				memcmp(text, "conv2d/kernel:0", 15) == 0,
			"which is a list of texts");
	free(bytes);
}

/* Damages each byte of a file, in several ways, and cuts the file everywhere: no read goes beyond it. */
static void
damage(const char *name, const uint8_t *bytes, size_t n_bytes, size_t stride)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	uint8_t *copy = malloc(n_bytes);
	Hdf5Error error;
	size_t i, k;

	memcpy(copy, bytes, n_bytes);
	for (i = 0; i < n_bytes; i += stride)
	{
		for (k = 0; k < sizeof(values); k++)
		{
			copy[i] = values[k];
			(void) read_all(copy, n_bytes, NULL, &error);
		}
		copy[i] = bytes[i];
	}
	for (i = 0; i < n_bytes; i += 7 * stride)
		(void) read_all(bytes, i, NULL, &error);
	free(copy);
	unit_ok(true, "%s: every damaged byte and every cut is survived", name);
}

/* Returns the first place of some bytes in a file from an offset on, n_bytes if there is none. */
static size_t
place_of(const uint8_t *bytes, size_t n_bytes, size_t from, const char *what)
{
	size_t length = strlen(what);

	for (; from + length <= n_bytes; from++)
		if (memcmp(bytes + from, what, length) == 0)
			return from;
	return n_bytes;
}

static void
test_hdf5_hostile(void)
{
	size_t n_bytes;
	uint8_t *bytes = make_hdf5(&n_bytes);
	uint8_t *copy = malloc(n_bytes);
	Hdf5Error error;
	volatile sig_atomic_t stop = 1;
	size_t leaf, tree; /* offsets */

	damage("a written file", bytes, n_bytes, 1);

	/* the root's only member is the root */
	memcpy(copy, bytes, n_bytes);
	leaf = place_of(copy, n_bytes, 0, "SNOD");
	memcpy(copy + leaf + 8 + 8, copy + 64, 8);
	unit_ok(read_all(copy, n_bytes, NULL, &error) == HDF5_TOO_LARGE, "a group within itself: %s",
			error.message);

	/* and its leaf has it many times: as many ways as 8 to the depth */
	memcpy(copy, bytes, n_bytes);
	copy[leaf + 6] = 8;
	for (tree = 0; tree < 8; tree++)
	{
		memcpy(copy + leaf + 8 + 40 * tree, copy + leaf + 8, 8);
		memcpy(copy + leaf + 8 + 40 * tree + 8, copy + 64, 8);
	}
	unit_ok(read_all(copy, n_bytes, NULL, &error) == HDF5_TOO_LARGE, "a group eight times within itself: %s",
			error.message);

	/* a B-tree whose node is its own child */
	memcpy(copy, bytes, n_bytes);
	tree = place_of(copy, n_bytes, 0, "TREE");
	copy[tree + 5] = 1;
	memcpy(copy + tree + 32, copy + 80, 8);
	unit_ok(read_all(copy, n_bytes, NULL, &error) == HDF5_CORRUPT, "a B-tree within itself: %s",
			error.message);

	/* a header that goes on in itself: its only message is replaced by one that names its own place */
	memcpy(copy, bytes, n_bytes);
	tree = copy[64]; /* the root's header, which has 16 bytes before the message */
	copy[tree + 16] = 0x10;
	memset(copy + tree + 24, 0, 16);
	copy[tree + 24] = (uint8_t) (tree + 16);
	copy[tree + 32] = 24;
	unit_ok(read_all(copy, n_bytes, NULL, &error) == HDF5_TOO_LARGE, "a header that goes on in itself: %s",
			error.message);

	unit_ok(read_all(bytes, n_bytes, NULL, &error) == HDF5_OK, "the undamaged file is read");
	{
		Hdf5File file;
		int n;
		Hdf5Status status = hdf5_open(&file, bytes, n_bytes, &stop, &error);

		while (status == HDF5_OK)
			status = hdf5_list(&file, NULL, 0, &n, &error);
		unit_ok(status == HDF5_INTERRUPTED, "a stop is seen");
	}
	free(bytes);
	free(copy);

	bytes = read_gz("3.15.1-plain.h5", &n_bytes);
	damage("a whole model of Keras 3", bytes, n_bytes, 13);
	free(bytes);
}

/* A dataset in chunks, deflated, made by h5py with chunks of (7, 11), shuffle and fletcher32. */
static void
test_hdf5_chunks(void)
{
	size_t n_bytes;
	uint8_t *bytes = read_gz("chunks.h5", &n_bytes);
	Hdf5Dataset list[8];
	Hdf5File file;
	Hdf5Error error;
	int n = 0;
	int i;

	unit_ok(hdf5_open(&file, bytes, n_bytes, NULL, &error) == HDF5_OK &&
				hdf5_list(&file, list, 8, &n, &error) == HDF5_OK && n == 5,
			"a file with chunks is listed");
	for (i = 0; i < n && i < 8; i++)
	{
		float *got = malloc(sizeof(float) * (size_t) list[i].count);
		void *scratch = malloc(hdf5_scratch_bytes(&list[i]) + 1);
		bool same = hdf5_read_floats(&file, got, &list[i], scratch, &error) == HDF5_OK;
		uint64_t k;

		/* each holds 0, 0.5, 1, ... or, of integers, 0, -1, -2, ... */
		for (k = 0; same && k < list[i].count; k++)
			same = got[k] == (list[i].type.type_class == HDF5_INTEGER ? -(float) k : (float) k / 2);
		unit_ok(same, "%s has its numbers", list[i].path);
		free(got);
		free(scratch);
	}
	damage("a file with chunks", bytes, n_bytes, 5);
	free(bytes);
}

/* -------------------------------------------------------------------- zip */

static void
test_zip(void)
{
	static const ZipfileOutput outputs[] = {{"config.json", "{}", 2}, {"weights", numbers, sizeof(numbers)}};
	size_t n_bytes = zipfile_write_bytes(outputs, 2);
	uint8_t *bytes = malloc(n_bytes);
	uint8_t *scratch = malloc(ZIPFILE_SCRATCH_BYTES);
	volatile sig_atomic_t stop = 1;
	ZipfileEntry entry;
	const uint8_t *data;
	size_t i;

	unit_ok(zipfile_write(bytes, outputs, 2, NULL) == ZIPFILE_OK && zipfile_is(bytes, n_bytes),
			"a zip file is written");
	unit_ok(zipfile_find(&entry, bytes, n_bytes, "weights") == ZIPFILE_OK && entry.n_bytes == sizeof(numbers),
			"an entry is found");
	unit_ok(zipfile_read(&data, NULL, &entry, scratch, NULL) == ZIPFILE_OK &&
				memcmp(data, numbers, sizeof(numbers)) == 0,
			"and read");
	unit_ok(zipfile_find(&entry, bytes, n_bytes, "weight") == ZIPFILE_NOT_FOUND, "another is not there");
	unit_ok(zipfile_find(&entry, bytes, n_bytes, "weights") == ZIPFILE_OK &&
				zipfile_read(&data, NULL, &entry, scratch, &stop) == ZIPFILE_INTERRUPTED,
			"a stop is seen");
	for (i = 0; i < n_bytes; i++)
	{
		uint8_t *copy = malloc(n_bytes);

		memcpy(copy, bytes, n_bytes);
		copy[i] ^= 0xff;
		if (zipfile_find(&entry, copy, n_bytes, "weights") == ZIPFILE_OK && !entry.deflated)
			(void) zipfile_read(&data, NULL, &entry, scratch, NULL);
		free(copy);
		copy = malloc(i + 1);
		memcpy(copy, bytes, i);
		(void) zipfile_find(&entry, copy, i, "weights");
		free(copy);
	}
	unit_ok(true, "every damaged byte and every cut of a zip file is survived");
	free(bytes);
	free(scratch);
}

/* Makes an entry by hand: deflated numbers that say to be n_bytes long. */
static void
deflate_entry(ZipfileEntry *entry, uint8_t *stored, const uint8_t *data, size_t n_bytes)
{
	z_stream z;

	memset(&z, 0, sizeof(z));
	deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (Bytef *) data;
	z.avail_in = (uInt) n_bytes;
	z.next_out = stored;
	z.avail_out = MAX_FILE;
	deflate(&z, Z_FINISH);
	entry->stored = stored;
	entry->n_stored = z.total_out;
	entry->n_bytes = n_bytes;
	entry->crc = (uint32_t) crc32(crc32(0, Z_NULL, 0), data, (uInt) n_bytes);
	entry->deflated = 1;
	deflateEnd(&z);
}

static void
test_inflate(void)
{
	static uint8_t data[700000];
	uint8_t *stored = malloc(MAX_FILE);
	uint8_t *dst = malloc(sizeof(data));
	uint8_t *scratch = malloc(ZIPFILE_SCRATCH_BYTES);
	const uint8_t *got;
	ZipfileEntry entry;
	size_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t) (i * i >> 7);
	deflate_entry(&entry, stored, data, sizeof(data));
	unit_ok(zipfile_read(&got, dst, &entry, scratch, NULL) == ZIPFILE_OK &&
				memcmp(got, data, sizeof(data)) == 0,
			"a deflated entry is read");
	entry.n_bytes = 1000;
	unit_ok(zipfile_read(&got, dst, &entry, scratch, NULL) == ZIPFILE_CORRUPT,
			"one that is longer than it says is damaged, and ends there");
	entry.n_bytes = sizeof(data);
	entry.n_stored /= 2;
	unit_ok(zipfile_read(&got, dst, &entry, scratch, NULL) == ZIPFILE_CORRUPT, "so is one that is cut");
	deflate_entry(&entry, stored, data, sizeof(data));
	entry.crc ^= 1;
	unit_ok(zipfile_read(&got, dst, &entry, scratch, NULL) == ZIPFILE_CORRUPT, "and one of another CRC");
	free(stored);
	free(dst);
	free(scratch);
}

int
main(void)
{
	test_hdf5_written();
	test_hdf5_large_group();
	test_hdf5_of_keras();
	test_hdf5_hostile();
	test_hdf5_chunks();
	test_zip();
	test_inflate();
	return unit_done();
}
