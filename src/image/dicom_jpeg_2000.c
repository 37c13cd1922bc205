/*-------------------------------------------------------------------------
 *
 * dicom_jpeg_2000.c
 *	  JPEG 2000 frames of DICOM files.  The only file that knows OpenJPEG.
 *
 * OpenJPEG cannot be stopped while it decodes.  So a picture of one tile, as almost
 * all are, is decoded in strips of about STRIP_PIXELS pixels; of a picture of
 * several tiles the reading of each looks for an interrupt.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <openjpeg.h>

#include "dicom.h"

#define STRIP_PIXELS (1 << 20)
#define CODE_BLOCK 64 /* rows; strips end where blocks of this usual size do */

/* The compressed bytes as a stream. */
typedef struct Source
{
	const uint8_t *bytes;
	size_t n_bytes, at;
	const ImgLimits *limits;
} Source;

static OPJ_SIZE_T
read_source(void *buffer, OPJ_SIZE_T n, void *user)
{
	Source *source = user;
	size_t left = source->n_bytes - source->at;

	/* an interrupt ends the stream */
	if (left == 0 || (source->limits->interrupt != NULL && *source->limits->interrupt))
		return (OPJ_SIZE_T) -1;
	if (n > left)
		n = left;
	memcpy(buffer, source->bytes + source->at, n);
	source->at += n;
	return n;
}

static OPJ_OFF_T
skip_source(OPJ_OFF_T n, void *user)
{
	Source *source = user;
	size_t left = source->n_bytes - source->at;

	if (n < 0)
		return -1;
	if ((uint64_t) n > left)
		n = (OPJ_OFF_T) left;
	source->at += (size_t) n;
	return n;
}

static OPJ_BOOL
seek_source(OPJ_OFF_T at, void *user)
{
	Source *source = user;

	if (at < 0 || (uint64_t) at > source->n_bytes)
		return OPJ_FALSE;
	source->at = (size_t) at;
	return OPJ_TRUE;
}

static void
keep_message(const char *message, void *user)
{
	char *kept = user;

	if (kept[0] == '\0')
	{
		strncpy(kept, message, IMG_MESSAGE_LEN - 64);
		kept[strcspn(kept, "\n")] = '\0';
	}
}

static void
discard_message(const char *message, void *user)
{
	(void) message;
	(void) user;
}

/* Checks that the announced picture is the one of the header. */
static ImgStatus
check_image(const opj_image_t *image, const DicomHeader *header, ImgError *error)
{
	if (image->x1 - image->x0 != header->columns || image->y1 - image->y0 != header->rows ||
		image->numcomps != (OPJ_UINT32) header->samples)
		return img_dicom_mismatch(error, "JPEG 2000", (uint64_t) image->x1 - image->x0,
								  (uint64_t) image->y1 - image->y0, (int) image->numcomps, header);
	if (image->x1 > INT32_MAX || image->y1 > INT32_MAX)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM image: JPEG 2000 data far from their origin");
	for (OPJ_UINT32 c = 0; c < image->numcomps; c++)
		if (image->comps[c].dx != 1 || image->comps[c].dy != 1 || image->comps[c].prec > 16)
			return img_fail(error, IMG_UNSUPPORTED, "DICOM image: JPEG 2000 data with %u bits, or subsampled",
							(unsigned) image->comps[c].prec);
	return IMG_OK;
}

static ImgStatus
failed(ImgError *error, const char *message, const ImgLimits *limits)
{
	if (limits->interrupt != NULL && *limits->interrupt)
		return img_fail(error, IMG_INTERRUPTED, "interrupted while decoding a DICOM image");
	return img_fail(error, IMG_CORRUPT, "damaged DICOM image: JPEG 2000 data: %s", message);
}

/* Copies the rows that were decoded; returns whether all components have them. */
static int
copy_rows(uint16_t *dst, const opj_image_t *image, uint32_t columns, uint32_t rows)
{
	for (OPJ_UINT32 c = 0; c < image->numcomps; c++)
	{
		const opj_image_comp_t *component = &image->comps[c];

		if (component->data == NULL || component->w != columns || component->h != rows)
			return 0;
		for (size_t i = 0; i < (size_t) columns * rows; i++)
			dst[i * image->numcomps + c] = (uint16_t) component->data[i];
	}
	return 1;
}

/* Returns the rows of a strip: all where the picture has several tiles. */
static uint32_t
strip_rows(opj_codec_t *codec, const DicomHeader *header)
{
	opj_codestream_info_v2_t *info = opj_get_cstr_info(codec);
	int tiles = info == NULL ? 0 : info->tw == 1 && info->th == 1 ? 1 : 2;
	uint32_t rows = STRIP_PIXELS / header->columns / CODE_BLOCK * CODE_BLOCK;

	opj_destroy_cstr_info(&info);
	if (tiles != 1)
		return header->rows;
	return rows < CODE_BLOCK ? CODE_BLOCK : rows;
}

/* Decodes with a stream and a codec that are there; frees nothing. */
static ImgStatus
decode(opj_codec_t *codec, opj_stream_t *stream, opj_image_t **image, char *message, uint16_t *dst,
	   const DicomHeader *header, const ImgLimits *limits, ImgError *error)
{
	opj_dparameters_t parameters;
	ImgStatus status;
	uint32_t step;
	OPJ_UINT32 x0, y0;

	opj_set_default_decoder_parameters(&parameters);
	opj_set_error_handler(codec, keep_message, message);
	opj_set_warning_handler(codec, discard_message, NULL);
	opj_set_info_handler(codec, discard_message, NULL);
	if (!opj_setup_decoder(codec, &parameters) || !opj_decoder_set_strict_mode(codec, OPJ_TRUE) ||
		!opj_read_header(stream, codec, image))
		return failed(error, message, limits);
	status = check_image(*image, header, error);
	if (status != IMG_OK)
		return status;
	x0 = (*image)->x0;
	y0 = (*image)->y0;
	step = strip_rows(codec, header);
	if ((uint64_t) step * header->columns * (uint64_t) header->samples * sizeof(OPJ_INT32) >
		limits->max_codec_bytes)
		return img_fail(error, IMG_TOO_LARGE,
						"decoding the DICOM image needs more than the %llu bytes allowed for the decoder",
						(unsigned long long) limits->max_codec_bytes);
	for (uint32_t y = 0; y < header->rows; y += step)
	{
		uint32_t rows = header->rows - y < step ? header->rows - y : step;

		if (limits->interrupt != NULL && *limits->interrupt)
			return failed(error, message, limits);
		if ((step < header->rows &&
			 !opj_set_decode_area(codec, *image, (OPJ_INT32) x0, (OPJ_INT32) (y0 + y),
								  (OPJ_INT32) (x0 + header->columns), (OPJ_INT32) (y0 + y + rows))) ||
			!opj_decode(codec, stream, *image))
			return failed(error, message, limits);
		if ((*image)->numcomps != (OPJ_UINT32) header->samples ||
			!copy_rows(dst + (size_t) y * header->columns * (size_t) header->samples, *image, header->columns,
					   rows))
			return failed(error, "a component is missing", limits);
	}
	return IMG_OK;
}

ImgStatus
img_dicom_decode_jpeg_2000(uint16_t *dst, const uint8_t *bytes, size_t n_bytes, const DicomHeader *header,
						   const ImgLimits *limits, ImgError *error)
{
	static const uint8_t jp2[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
	int is_file = n_bytes > sizeof(jp2) && memcmp(bytes, jp2, sizeof(jp2)) == 0;
	Source source = {bytes, n_bytes, 0, limits};
	opj_codec_t *codec = opj_create_decompress(is_file ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
	opj_stream_t *stream = opj_stream_create(64 * 1024, OPJ_TRUE);
	opj_image_t *image = NULL;
	char message[IMG_MESSAGE_LEN] = "";
	ImgStatus status;

	if (codec == NULL || stream == NULL)
		status = img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	else
	{
		opj_stream_set_user_data(stream, &source, NULL);
		opj_stream_set_user_data_length(stream, n_bytes);
		opj_stream_set_read_function(stream, read_source);
		opj_stream_set_skip_function(stream, skip_source);
		opj_stream_set_seek_function(stream, seek_source);
		status = decode(codec, stream, &image, message, dst, header, limits, error);
	}
	opj_image_destroy(image);
	if (stream != NULL)
		opj_stream_destroy(stream);
	if (codec != NULL)
		opj_destroy_codec(codec);
	return status;
}
