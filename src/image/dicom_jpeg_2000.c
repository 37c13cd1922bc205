/*-------------------------------------------------------------------------
 *
 * dicom_jpeg_2000.c
 *	  JPEG 2000 frames of DICOM files.  The only file that knows OpenJPEG.
 *
 * OpenJPEG cannot be stopped while it decodes.  So a picture of one tile, as almost
 * all are, is decoded in strips of about STRIP_PIXELS pixels; of a picture of
 * several tiles the reading of each looks for an interrupt.
 *
 * OpenJPEG also takes what memory the markers ask for: some hundred bytes for each
 * code block, some thousand for each component of each tile.  A file of 400 bytes
 * can ask for 25 GB.  So the markers are read here first (ISO/IEC 15444-1, Annex A),
 * those that OpenJPEG would have to search for are refused, and what they ask for is
 * estimated.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <openjpeg.h>

#include "dicom.h"

#define STRIP_PIXELS (1 << 20)
#define CODE_BLOCK 64 /* rows; strips end where blocks of this usual size do */
#define BLOCK_BYTES 512
#define TILE_BYTES 8192
#define TILE_COMPONENT_BYTES 1536
#define MARKER_SIZE 0x51
#define MARKER_CODING 0x52
#define MARKER_COMPONENT_CODING 0x53
#define MARKER_TILE 0x90
#define MARKER_DATA 0x93
#define MARKER_END 0xd9

/* The compressed bytes as a stream. */
typedef struct Source
{
	const uint8_t *bytes;
	size_t n_bytes, at;
	const ImgLimits *limits;
} Source;

/* The codestream while its markers are read. */
typedef struct Markers
{
	const uint8_t *bytes;
	size_t n_bytes, at;
	uint32_t tile_width, tile_height; /* at most those of the picture */
	const DicomHeader *header;
	const ImgLimits *limits;
} Markers;

static uint32_t
read_u16(const uint8_t *p)
{
	return (uint32_t) p[0] << 8 | p[1];
}

static uint32_t
read_u32(const uint8_t *p)
{
	return read_u16(p) << 16 | read_u16(p + 2);
}

static ImgStatus
bad_markers(ImgError *error)
{
	return img_fail(error, IMG_CORRUPT, "damaged DICOM image: JPEG 2000 data with bad markers");
}

static ImgStatus
too_large(ImgError *error, const ImgLimits *limits)
{
	return img_fail(error, IMG_TOO_LARGE,
					"decoding the DICOM image needs more than the %llu bytes allowed for the decoder",
					(unsigned long long) limits->max_codec_bytes);
}

/* Finds the codestream in the boxes of a JP2 file; returns whether it is there. */
static int
find_codestream(Markers *markers)
{
	size_t at = 0;

	while (markers->n_bytes - at >= 8)
	{
		const uint8_t *box = markers->bytes + at;
		size_t left = markers->n_bytes - at;
		size_t length = read_u32(box), head = 8;

		if (length == 1 && left >= 16 && read_u32(box + 8) == 0)
		{
			length = read_u32(box + 12);
			head = 16;
		}
		if (memcmp(box + 4, "jp2c", 4) == 0)
		{
			markers->bytes = box + head;
			markers->n_bytes = left - head;
			return 1;
		}
		if (length < head || length > left)
			return 0;
		at += length;
	}
	return 0;
}

/* Checks the size of the picture and of its tiles. */
static ImgStatus
check_size_segment(Markers *markers, const uint8_t *p, size_t n, ImgError *error)
{
	const DicomHeader *header = markers->header;
	uint64_t width, height, across, down, components, each;

	if (n < 36)
		return bad_markers(error);
	width = (uint64_t) read_u32(p + 2) - read_u32(p + 10);
	height = (uint64_t) read_u32(p + 6) - read_u32(p + 14);
	components = read_u16(p + 34);
	if (read_u32(p + 10) > read_u32(p + 2) || read_u32(p + 14) > read_u32(p + 6) ||
		width != header->columns || height != header->rows || components != (uint64_t) header->samples)
		return img_dicom_mismatch(error, "JPEG 2000", width, height, (int) components, header);
	markers->tile_width = read_u32(p + 18);
	markers->tile_height = read_u32(p + 22);
	if (markers->tile_width == 0 || markers->tile_height == 0)
		return bad_markers(error);
	across = width / markers->tile_width + 2;
	down = height / markers->tile_height + 2;
	each = TILE_BYTES + components * TILE_COMPONENT_BYTES;
	if (markers->tile_width < width || markers->tile_height < height)
		if (across * down > markers->limits->max_codec_bytes / each)
			return too_large(error, markers->limits);
	if (markers->tile_width > width)
		markers->tile_width = (uint32_t) width;
	if (markers->tile_height > height)
		markers->tile_height = (uint32_t) height;
	return IMG_OK;
}

/*
 * Checks how many code blocks a tile has by a coding style: the number of
 * decompositions, the exponents of the block sizes, two bytes, and the exponents of
 * the precincts if there are any.  Blocks are not larger than precincts.
 */
static ImgStatus
check_style(const Markers *markers, int has_precincts, const uint8_t *p, size_t n, ImgError *error)
{
	uint64_t blocks = 0;
	unsigned resolutions, x, y;

	if (n < 5 || p[0] > 32 || (has_precincts && n < 6 + (size_t) p[0]) || p[1] > 8 || p[2] > 8)
		return bad_markers(error);
	resolutions = p[0] + 1u;
	x = p[1] + 2u;
	y = p[2] + 2u;
	for (unsigned i = 0; has_precincts && i < resolutions; i++)
	{
		/* at all resolutions but the first the precinct of a band has half the size */
		unsigned px = p[5 + i] & 15, py = p[5 + i] >> 4, half = i > 0;

		px = px > half ? px - half : 0;
		py = py > half ? py - half : 0;
		x = px < x ? px : x;
		y = py < y ? py : y;
	}
	for (unsigned i = 0; i < resolutions; i++)
		blocks += (((uint64_t) markers->tile_width >> i >> x) + 2) *
				  (((uint64_t) markers->tile_height >> i >> y) + 2);
	blocks *= (uint64_t) markers->header->samples;
	return blocks > markers->limits->max_codec_bytes / BLOCK_BYTES ? too_large(error, markers->limits)
																   : IMG_OK;
}

/* Reads the segments of a header up to a marker that ends it. */
static ImgStatus
check_segments(Markers *markers, unsigned end, ImgError *error)
{
	static const uint8_t known[] = {0x50, 0x51, 0x52, 0x53, 0x55, 0x57, 0x58, 0x5c, 0x5d, 0x5e,
									0x5f, 0x60, 0x61, 0x63, 0x64, 0x74, 0x75, 0x77, 0x78};

	for (;;)
	{
		const uint8_t *p = markers->bytes + markers->at;
		size_t left = markers->n_bytes - markers->at;
		size_t n;
		ImgStatus status = IMG_OK;

		if (left < 2 || p[0] != 0xff)
			return bad_markers(error);
		if (p[1] == end)
			return IMG_OK;
		if (left < 4 || memchr(known, p[1], sizeof(known)) == NULL)
			return bad_markers(error);
		n = read_u16(p + 2);
		if (n < 2 || n > left - 2)
			return bad_markers(error);
		markers->at += 2 + n;
		n -= 2;
		if (p[1] == MARKER_SIZE)
			status = check_size_segment(markers, p + 4, n, error);
		else if (markers->tile_width == 0)
			status = bad_markers(error); /* the size comes first */
		else if (p[1] == MARKER_CODING && n >= 5)
			status = check_style(markers, p[4] & 1, p + 9, n - 5, error);
		else if (p[1] == MARKER_COMPONENT_CODING && n >= 2)
			status = check_style(markers, p[5] & 1, p + 6, n - 2, error);
		if (status != IMG_OK)
			return status;
	}
}

/* Checks all headers of the codestream: the main one and those of the parts of tiles. */
static ImgStatus
check_markers(const uint8_t *bytes, size_t n_bytes, int is_file, const DicomHeader *header,
			  const ImgLimits *limits, ImgError *error)
{
	Markers markers = {bytes, n_bytes, 2, 0, 0, header, limits};
	ImgStatus status;

	if ((is_file && !find_codestream(&markers)) || markers.n_bytes < 4 ||
		memcmp(markers.bytes, "\xff\x4f", 2) != 0)
		return bad_markers(error);
	status = check_segments(&markers, MARKER_TILE, error);
	while (status == IMG_OK && markers.n_bytes - markers.at >= 12)
	{
		size_t start = markers.at;
		const uint8_t *p = markers.bytes + start;
		uint32_t length = read_u32(p + 6);

		if (limits->interrupt != NULL && *limits->interrupt)
			return img_fail(error, IMG_INTERRUPTED, "interrupted while decoding a DICOM image");
		if (p[0] == 0xff && p[1] == MARKER_END)
			break;
		if (p[0] != 0xff || p[1] != MARKER_TILE || read_u16(p + 2) != 10)
			return bad_markers(error);
		markers.at += 12;
		status = check_segments(&markers, MARKER_DATA, error);
		if (status != IMG_OK || length == 0 || length > markers.n_bytes - start)
			break; /* the last part; or it is cut off, as the decoder will find */
		if (length < markers.at + 2 - start)
			return bad_markers(error);
		markers.at = start + length;
	}
	return status == IMG_OK && markers.tile_width == 0 ? bad_markers(error) : status;
}

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
		return too_large(error, limits);
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
	opj_codec_t *codec;
	opj_stream_t *stream;
	opj_image_t *image = NULL;
	char message[IMG_MESSAGE_LEN] = "";
	ImgStatus status = check_markers(bytes, n_bytes, is_file, header, limits, error);

	if (status != IMG_OK)
		return status;
	codec = opj_create_decompress(is_file ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
	stream = opj_stream_create(64 * 1024, OPJ_TRUE);
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
