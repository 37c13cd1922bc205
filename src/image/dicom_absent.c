/*-------------------------------------------------------------------------
 *
 * dicom_absent.c
 *	  Stands for DICOM in a build with WITH_DICOM=0: knows the files, and says
 *	  that they cannot be read.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "image_internal.h"

static ImgStatus
absent(ImgError *error)
{
	(void) img_fail(error, IMG_UNSUPPORTED, "DICOM is left out of this build of pneumo (WITH_DICOM=0)");
	img_hint(error, "Build pneumo without WITH_DICOM=0, or convert the image to PNG.");
	return IMG_UNSUPPORTED;
}

ImgStatus
img_dicom_open(ImgDicom *dicom, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits,
			   ImgError *error)
{
	(void) dicom;
	(void) bytes;
	(void) n_bytes;
	(void) limits;
	return absent(error);
}

ImgStatus
img_dicom_next(ImgDicom *dicom, ImgDicomElement *element, ImgError *error)
{
	(void) dicom;
	(void) element;
	return absent(error);
}

ImgStatus
img_dicom_deidentify(uint8_t *dst, size_t room, size_t *n_written, ImgDeidentified *found,
					 const uint8_t *bytes, size_t n_bytes, const ImgDeidentify *options,
					 const ImgLimits *limits, ImgError *error)
{
	(void) dst;
	(void) room;
	(void) n_written;
	(void) found;
	(void) bytes;
	(void) n_bytes;
	(void) options;
	(void) limits;
	return absent(error);
}

void
img_dicom_close(ImgDicom *dicom)
{
	(void) dicom;
}

int
img_dicom_recognises(const uint8_t *bytes, size_t n_bytes)
{
	return n_bytes >= 132 && memcmp(bytes + 128, "DICM", 4) == 0;
}

static ImgStatus
read_info(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits, ImgError *error)
{
	(void) info;
	(void) bytes;
	(void) n_bytes;
	(void) limits;
	return absent(error);
}

static ImgStatus
decode(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
	   const ImgLimits *limits, ImgError *error)
{
	ImgInfo none;

	(void) sink;
	(void) channels;
	(void) denom;
	(void) info;
	return read_info(&none, bytes, n_bytes, limits, error);
}

const ImgCodec img_codec_dicom = {"DICOM", 0, read_info, decode};
