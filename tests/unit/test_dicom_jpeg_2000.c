/*
 * test_dicom_jpeg_2000.c
 *		JPEG 2000 streams whose headers ask for much memory.  Streams with a
 *		picture are in test_dicom.c.
 */
#include <stdlib.h>
#include <string.h>

#include "image/dicom.h"
#include "unit.h"

typedef struct File
{
	uint8_t *bytes;
	size_t n;
} File;

static void
put(File *file, const void *bytes, size_t n)
{
	memcpy(file->bytes + file->n, bytes, n);
	file->n += n;
}

/* Appends a number, the most significant byte first. */
static void
put_number(File *file, uint32_t value, int size)
{
	for (int i = 0; i < size; i++)
		file->bytes[file->n++] = (uint8_t) (value >> 8 * (size - 1 - i));
}

/* Makes a JPEG 2000 stream of headers alone and tells what its decoder says. */
static void
check_markers(uint32_t side, uint32_t tile, uint8_t block, int precinct, ImgStatus want, const char *name)
{
	const DicomHeader header = {.rows = side, .columns = side, .samples = 1, .allocated = 8, .stored = 8};
	ImgLimits limits;
	ImgError error;
	uint8_t bytes[128];
	File file = {bytes, 0};
	ImgStatus status;

	img_limits_resolve(&limits, NULL);
	put(&file, "\xff\x4f\xff\x51\0\x29\0\0", 8);
	for (int i = 0; i < 8; i++)
		put_number(&file, i < 2 ? side : i == 4 || i == 5 ? tile : 0, 4);
	put(&file, "\0\1\7\1\1", 5);
	put(&file, precinct < 0 ? "\xff\x52\0\x0c\0\0\0\1\0\0" : "\xff\x52\0\x0d\1\0\0\1\0\0", 10);
	put_number(&file, block, 1);
	put_number(&file, block, 1);
	put(&file, "\0\1", 2);
	if (precinct >= 0)
		put_number(&file, (uint32_t) precinct, 1);
	put(&file, "\xff\x5c\0\4\x40\x40\xff\x90\0\x0a\0\0\0\0\0\x0e\0\1\xff\x93\xff\xd9", 22);
	{
		uint16_t *dst = calloc(side, side * sizeof(uint16_t));

		status = img_dicom_decode_jpeg_2000(dst, bytes, file.n, &header, &limits, &error);
		free(dst);
	}
	if (!unit_ok(status == want, "JPEG 2000 headers: %s", name))
		printf("#   %d %s\n", (int) status, error.message);
}

/* Headers that ask for much memory are refused before OpenJPEG takes it. */
int
main(void)
{
	check_markers(2048, 2048, 4, -1, IMG_CORRUPT, "no data");
	check_markers(2048, 2048, 4, 0x88, IMG_CORRUPT, "no data, precincts of 256 x 256");
	check_markers(2048, 2048, 4, 0, IMG_TOO_LARGE, "precincts of one pixel");
	check_markers(2048, 2048, 0, -1, IMG_TOO_LARGE, "blocks of 4 x 4");
	check_markers(2048, 16, 4, -1, IMG_TOO_LARGE, "tiles of 16 x 16");
	return unit_done();
}
