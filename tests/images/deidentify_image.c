/*
 * deidentify_image.c
 *		Writes the de-identified form of a DICOM file.
 *
 * deidentify_image KEY OPTIONS IN OUT: OPTIONS has the letters d (shift dates),
 * p (keep private attributes) and c (keep characteristics).  Prints "ok", "burned in", or
 * the reason why a file is not read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

int
main(int argc, char **argv)
{
	ImgDeidentify options;
	ImgDeidentified found;
	ImgError error;
	uint8_t *bytes = malloc(IMG_DEFAULT_MAX_BYTES);
	uint8_t *result;
	FILE *file = argc == 5 ? fopen(argv[3], "rb") : NULL;
	size_t n, written;

	if (file == NULL || bytes == NULL)
		return 2;
	n = fread(bytes, 1, IMG_DEFAULT_MAX_BYTES, file);
	fclose(file);
	options.key = argv[1];
	options.n_key = strlen(argv[1]);
	options.shift_dates = strchr(argv[2], 'd') != NULL;
	options.keep_private = strchr(argv[2], 'p') != NULL;
	options.keep_characteristics = strchr(argv[2], 'c') != NULL;
	if (img_dicom_deidentify(NULL, 0, &written, &found, bytes, n, &options, NULL, &error) != IMG_OK)
	{
		printf("%s\n", error.message);
		return 1;
	}
	result = malloc(written + 1);
	file = fopen(argv[4], "wb");
	if (result == NULL || file == NULL ||
		img_dicom_deidentify(result, written, &written, &found, bytes, n, &options, NULL, &error) != IMG_OK)
		return 2;
	fwrite(result, 1, written, file);
	printf("%s\n", found.burned_in ? "burned in" : "ok");
	free(result);
	free(bytes);
	return fclose(file) != 0 ? 2 : 0;
}
