/*
 * fuzz_dicom.c
 *		Any bytes as a DICOM file: all its elements, its de-identified form, then its
 *		picture.
 */
#include <stdlib.h>

#include "fuzz_image.h"

/* Reads all elements; each must lie within the file or its inflated part. */
static void
walk(const uint8_t *bytes, size_t n_bytes)
{
	ImgDicom dicom;
	ImgDicomElement element;
	ImgError error = {IMG_OK, "", ""};
	ImgStatus status = img_dicom_open(&dicom, bytes, n_bytes, &limits, &error);
	uint8_t sum = 0;

	require_known(status, &error);
	while (status == IMG_OK)
	{
		status = img_dicom_next(&dicom, &element, &error);
		require_known(status, &error);
		if (status == IMG_OK && element.event == IMG_DICOM_END)
			break;
		for (size_t i = 0; status == IMG_OK && i < element.n_bytes; i++)
			sum ^= element.value[i];
	}
	require(sum <= UINT8_MAX);
	img_dicom_close(&dicom);
}

/* De-identifies a file; the result has the size that was counted, and can be read where the file can. */
static void
deidentify(const uint8_t *bytes, size_t n_bytes, int choice)
{
	ImgDeidentify options = {"0123456789abcdef", 16, choice & 1, choice >> 1 & 1, choice >> 2 & 1};
	ImgDeidentified found;
	ImgError error = {IMG_OK, "", ""};
	size_t n, written;
	ImgStatus status = img_dicom_deidentify(NULL, 0, &n, &found, bytes, n_bytes, &options, &limits, &error);
	uint8_t *dst;

	require_known(status, &error);
	if (status != IMG_OK)
		return;
	dst = malloc(n + 1);
	if (dst == NULL)
		return;
	status = img_dicom_deidentify(dst, n, &written, &found, bytes, n_bytes, &options, &limits, &error);
	require(status == IMG_OK && written == n);
	if (n > 140 && memcmp(dst + 128, "DICM", 4) == 0)
		walk(dst, n);
	status = img_dicom_deidentify(dst, n / 2, &written, &found, bytes, n_bytes, &options, &limits, &error);
	require(n == 0 || status == IMG_NO_SPACE);
	free(dst);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 2)
	{
		walk(data + 2, size - 2);
		deidentify(data + 2, size - 2, data[0]);
	}
	return fuzz_image(data, size);
}
