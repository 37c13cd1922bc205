/*
 * fuzz_keras.c
 *		Any bytes as a Keras file: a zip file with the weights in it, or an HDF5
 *		file. All datasets are listed and read, and the attributes that an
 *		import looks at.
 */
#include "exchange/hdf5.h"
#include "exchange/zipfile.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MEMORY ((size_t) 1 << 26)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_attributes(Hdf5File *file, const char *group, const char *name)
{
	Hdf5Attribute attribute;
	Hdf5Error error;
	const char *text;
	size_t length;
	uint64_t object, i;

	if (hdf5_find(file, group, &object, &error) != HDF5_OK || object == 0 ||
		hdf5_attribute(file, &attribute, object, name, &error) != HDF5_OK || !attribute.exists)
		return;
	for (i = 0; i < attribute.count && i < 100; i++)
		if (hdf5_string(file, &text, &length, &attribute, i, &error) == HDF5_OK && length > 0)
		{
			char *copy = malloc(length);

			memcpy(copy, text, length);
			free(copy);
		}
}

static void
read_hdf5(const uint8_t *bytes, size_t n_bytes)
{
	Hdf5File file;
	Hdf5Error error;
	Hdf5Dataset *list = NULL;
	int n, i;

	if (hdf5_open(&file, bytes, n_bytes, NULL, &error) != HDF5_OK)
		return;
	read_attributes(&file, "", "model_config");
	read_attributes(&file, "", "layer_names");
	read_attributes(&file, "model_weights", "layer_names");
	read_attributes(&file, "model_weights/conv2d", "weight_names");
	if (hdf5_list(&file, NULL, 0, &n, &error) != HDF5_OK)
		return;
	list = malloc(sizeof(Hdf5Dataset) * (size_t) (n > 0 ? n : 1));
	if (hdf5_list(&file, list, n, &n, &error) == HDF5_OK)
		for (i = 0; i < n && i < 50; i++)
		{
			size_t scratch_bytes = hdf5_scratch_bytes(&list[i]);
			float *dst;
			void *scratch;

			if (list[i].count > MAX_MEMORY / sizeof(float) || scratch_bytes > MAX_MEMORY)
				continue;
			dst = malloc(sizeof(float) * (size_t) list[i].count + 1);
			scratch = malloc(scratch_bytes + 1);
			(void) hdf5_read_floats(&file, dst, &list[i], scratch, &error);
			free(dst);
			free(scratch);
		}
	free(list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);
	ZipfileEntry entry;

	memcpy(bytes, data, size);
	if (!zipfile_is(bytes, size))
		read_hdf5(bytes, size);
	else if (zipfile_find(&entry, bytes, size, "model.weights.h5") == ZIPFILE_OK &&
			 entry.n_bytes <= MAX_MEMORY)
	{
		uint8_t *dst = entry.deflated ? malloc(entry.n_bytes + 1) : NULL;
		uint8_t *scratch = malloc(ZIPFILE_SCRATCH_BYTES);
		const uint8_t *entry_bytes;

		/* a wrong CRC is the least of a fuzzer's worries */
		(void) zipfile_read(&entry_bytes, dst, &entry, scratch, NULL);
		read_hdf5(entry_bytes, entry.n_bytes);
		free(dst);
		free(scratch);
	}
	free(bytes);
	return 0;
}
