/*
 * fuzz_dicom.c
 *		Any bytes as a DICOM file: all its elements, then its picture.
 */
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 2)
		walk(data + 2, size - 2);
	return fuzz_image(data, size);
}
