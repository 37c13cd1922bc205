/*-------------------------------------------------------------------------
 *
 * recognise.c
 *	  Which format some bytes are, by how they begin.  Needs no library.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "image_internal.h"

static int
is_jpeg(const uint8_t *bytes, size_t n_bytes)
{
	return n_bytes >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8;
}

static int
is_png(const uint8_t *bytes, size_t n_bytes)
{
	return n_bytes >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

ImgStatus
img_recognise(ImgFormat *format, const uint8_t *bytes, size_t n_bytes, ImgError *error)
{
	/* by ImgFormat */
	static int (*const recognisers[])(const uint8_t *, size_t) = {is_jpeg, is_png, img_dicom_recognises};

	for (int i = 0; i < (int) (sizeof(recognisers) / sizeof(recognisers[0])); i++)
		if (recognisers[i](bytes, n_bytes))
		{
			*format = (ImgFormat) i;
			return IMG_OK;
		}
	return img_foreign(bytes, n_bytes, error);
}
