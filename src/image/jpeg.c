/*-------------------------------------------------------------------------
 *
 * jpeg.c
 *	  JPEG streams: header, decoding, encoding.  The only file that knows
 *	  libjpeg.
 *
 * libjpeg reports a fatal error by calling error_exit(), which must not
 * return.  Ours jumps back to the setjmp() of the one static function that
 * called the library (read_header, read_pixels, write_pixels).  The library's
 * struct belongs to that function's caller, which destroys it on every path,
 * so no memory is lost and no local of the jumping function is used after the
 * jump.  The sink of the rows is called between two calls of the library and
 * does not jump.
 *
 * Warnings: libjpeg goes on after damage and fills the rest with grey.  For a
 * medical image this is an error, so every warning stops the decoding with
 * IMG_CORRUPT, except those in warning_is_harmless(), after which all pixels
 * are still what the stream says.  The end of the file counts as an end of
 * image marker, so that a file which lacks only that is read: had the entropy
 * decoder needed bits beyond the end, it would have warned with
 * JWRN_HIT_MARKER.  Whether scans are missing is checked in picture_is_whole().
 *
 * Four components are read as Pillow and OpenCV read them, as inverted CMYK,
 * which is what programs write, with and without Adobe's marker.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "image_internal.h"

/* The largest number of rows that are read between two checks of the interrupt flag. */
#define ROWS_PER_READ 16

/* Error manager: libjpeg's own first, so that the pointers convert. */
typedef struct CodecErrors
{
	struct jpeg_error_mgr base;
	jmp_buf jump;
	ImgStatus status;
	int end_is_known; /* the end of the bytes is not an error any more */
	int cut_off;      /* it was met */
	char message[JMSG_LENGTH_MAX];
} CodecErrors;

typedef struct Decoder
{
	struct jpeg_decompress_struct jpeg;
	CodecErrors errors;
	struct jpeg_progress_mgr progress;
	ImgLimits limits;
	unsigned components_seen; /* a bit for each component that a scan had */
} Decoder;

/* Destination: the caller's buffer, never enlarged. */
typedef struct FixedDestination
{
	struct jpeg_destination_mgr base;
	uint8_t *dst;
	size_t capacity;
	size_t used;
} FixedDestination;

typedef struct Encoder
{
	struct jpeg_compress_struct jpeg;
	CodecErrors errors;
	FixedDestination destination;
} Encoder;

/*
 * Returns whether a warning leaves every pixel as the stream states it:
 * extraneous bytes between two segments are skipped (padding of some
 * scanners); an unknown Adobe transform or JFIF revision only changes how the
 * header is named; a bad ICC profile is not used; wrong spectral parameters in
 * the SOS of a sequential image have no effect on it.  Bytes after the end of
 * image marker are never read, so they cannot warn.
 */
static int
warning_is_harmless(int code)
{
	switch (code)
	{
		case JWRN_EXTRANEOUS_DATA:
		case JWRN_ADOBE_XFORM:
		case JWRN_JFIF_MAJOR:
		case JWRN_BOGUS_ICC:
		case JWRN_NOT_SEQUENTIAL:
		case JWRN_TOO_MUCH_DATA:
			return 1;
		default:
			return 0;
	}
}

static ImgStatus
status_of_error(int code)
{
	switch (code)
	{
		case JERR_SOF_UNSUPPORTED:
		case JERR_BAD_PRECISION:
		case JERR_COMPONENT_COUNT:
		case JERR_CONVERSION_NOTIMPL:
		case JERR_NOT_COMPILED:
		case JERR_ARITH_NOTIMPL:
		case JERR_CCIR601_NOTIMPL:
		case JERR_FRACT_SAMPLE_NOTIMPL:
			return IMG_UNSUPPORTED;
		case JERR_IMAGE_TOO_BIG:
		case JERR_WIDTH_OVERFLOW:
		case JERR_NO_BACKING_STORE:
			return IMG_TOO_LARGE;
		case JERR_OUT_OF_MEMORY:
			return IMG_NO_MEMORY;
		default:
			return IMG_CORRUPT;
	}
}

/* Keeps libjpeg's text, in the lower case of our messages. */
static void
keep_message(j_common_ptr jpeg, CodecErrors *errors)
{
	errors->base.format_message(jpeg, errors->message);
	if (isupper((unsigned char) errors->message[0]) && islower((unsigned char) errors->message[1]))
		errors->message[0] = (char) tolower((unsigned char) errors->message[0]);
}

_Noreturn static void
jump_with_error(j_common_ptr jpeg)
{
	CodecErrors *errors = (CodecErrors *) jpeg->err;

	errors->status = status_of_error(errors->base.msg_code);
	keep_message(jpeg, errors);
	longjmp(errors->jump, 1);
}

static void
judge_message(j_common_ptr jpeg, int level)
{
	CodecErrors *errors = (CodecErrors *) jpeg->err;

	if (level >= 0) /* traces are of no interest */
		return;
	errors->base.num_warnings++;
	if (errors->base.msg_code == JWRN_JPEG_EOF && errors->end_is_known)
	{
		errors->cut_off = 1;
		return;
	}
	if (warning_is_harmless(errors->base.msg_code))
		return;
	errors->status = IMG_CORRUPT;
	keep_message(jpeg, errors);
	longjmp(errors->jump, 1);
}

static void
discard_message(j_common_ptr jpeg)
{
	(void) jpeg;
}

static struct jpeg_error_mgr *
prepare_errors(CodecErrors *errors)
{
	memset(errors, 0, sizeof(*errors));
	(void) jpeg_std_error(&errors->base);
	errors->base.error_exit = jump_with_error;
	errors->base.emit_message = judge_message;
	errors->base.output_message = discard_message;
	errors->status = IMG_CORRUPT;
	return &errors->base;
}

_Noreturn static void
stop_with(CodecErrors *errors, ImgStatus status, const char *message)
{
	errors->status = status;
	(void) snprintf(errors->message, sizeof(errors->message), "%s", message);
	longjmp(errors->jump, 1);
}

static void
check_interrupt(Decoder *decoder)
{
	if (decoder->limits.interrupt != NULL && *decoder->limits.interrupt)
		stop_with(&decoder->errors, IMG_INTERRUPTED, "interrupted while decoding a JPEG image");
}

/*
 * Stops the decoder on an interrupt or too many scans.  libjpeg calls it for
 * each row of blocks, also while it collects the scans of a progressive image
 * before the first pixel comes out.  The time of such an image is proportional
 * to scans times pixels, which is why the scans have a limit.
 */
static void
monitor_progress(j_common_ptr jpeg)
{
	Decoder *decoder = (Decoder *) jpeg->client_data;

	check_interrupt(decoder);
	for (int i = 0; i < decoder->jpeg.comps_in_scan; i++)
		if (decoder->jpeg.cur_comp_info[i] != NULL)
			decoder->components_seen |= 1u << decoder->jpeg.cur_comp_info[i]->component_index;
	if (decoder->jpeg.input_scan_number > decoder->limits.max_scans)
	{
		char message[IMG_MESSAGE_LEN];

		(void) snprintf(message, sizeof(message), "JPEG image has more than %d scans",
						decoder->limits.max_scans);
		stop_with(&decoder->errors, IMG_TOO_LARGE, message);
	}
}

/* Reads the header: the part that may jump.  Returns 0 after a jump. */
static int
read_header(Decoder *decoder, const uint8_t *bytes, size_t n_bytes)
{
	struct jpeg_decompress_struct *jpeg = &decoder->jpeg;

	if (setjmp(decoder->errors.jump))
		return 0;

	jpeg_create_decompress(jpeg);
	jpeg->client_data = decoder;
	jpeg->mem->max_memory_to_use = decoder->limits.max_codec_bytes > (size_t) INT32_MAX
									   ? (long) INT32_MAX
									   : (long) decoder->limits.max_codec_bytes;
	decoder->progress.progress_monitor = monitor_progress;
	jpeg->progress = &decoder->progress;
	jpeg_mem_src(jpeg, bytes, (unsigned long) n_bytes);
	(void) jpeg_read_header(jpeg, TRUE);
	return 1;
}

static const char *
photometric_name(J_COLOR_SPACE space)
{
	switch (space)
	{
		case JCS_GRAYSCALE:
			return "grayscale";
		case JCS_RGB:
			return "RGB";
		case JCS_YCbCr:
			return "YCbCr";
		case JCS_CMYK:
			return "CMYK";
		case JCS_YCCK:
			return "YCCK";
		default:
			return "";
	}
}

/* Checks what the header says against the limits and fills *info. */
static ImgStatus
check_header(ImgInfo *info, const Decoder *decoder, ImgError *error)
{
	const struct jpeg_decompress_struct *jpeg = &decoder->jpeg;

	if (jpeg->data_precision != 8)
		return img_fail(error, IMG_UNSUPPORTED, "JPEG image has %d bits per sample; only 8 are supported",
						jpeg->data_precision);
	if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4)
		return img_fail(error, IMG_UNSUPPORTED,
						"JPEG image has %d components; only 1 (grey), 3 (colour) and 4 (CMYK) are supported",
						jpeg->num_components);
	info->format = IMG_FORMAT_JPEG;
	info->width = jpeg->image_width;
	info->height = jpeg->image_height;
	info->components = jpeg->num_components;
	info->progressive = jpeg->progressive_mode ? 1 : 0;
	info->bits = info->bits_stored = jpeg->data_precision;
	(void) snprintf(info->photometric, sizeof(info->photometric), "%s",
					photometric_name(jpeg->jpeg_color_space));
	return img_check_size("JPEG", jpeg->image_width, jpeg->image_height, &decoder->limits, error);
}

static ImgStatus
codec_failure(ImgError *error, const CodecErrors *errors)
{
	switch (errors->status)
	{
		case IMG_CORRUPT:
			return img_fail(error, IMG_CORRUPT, "damaged JPEG image: %s", errors->message);
		case IMG_UNSUPPORTED:
			return img_fail(error, IMG_UNSUPPORTED, "unsupported JPEG image: %s", errors->message);
		case IMG_NO_MEMORY:
			return img_fail(error, IMG_NO_MEMORY, "JPEG codec: %s", errors->message);
		default:
			return img_fail(error, errors->status, "%s", errors->message);
	}
}

static ImgStatus
decoder_failure(ImgError *error, const Decoder *decoder)
{
	/* libjpeg speaks of a "backing store" when its memory limit is reached */
	if (decoder->errors.base.msg_code == JERR_NO_BACKING_STORE && decoder->errors.status == IMG_TOO_LARGE)
		return img_fail(error, IMG_TOO_LARGE,
						"decoding the JPEG image (%u x %u pixels, several scans) "
						"needs more than the %llu bytes allowed for the decoder",
						(unsigned) decoder->jpeg.image_width, (unsigned) decoder->jpeg.image_height,
						(unsigned long long) decoder->limits.max_codec_bytes);
	return codec_failure(error, &decoder->errors);
}

/* Starts a decoder and reads the header; the caller destroys the decoder on every path. */
static ImgStatus
open_decoder(Decoder *decoder, ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits,
			 ImgError *error)
{
	memset(decoder, 0, sizeof(*decoder));
	decoder->jpeg.err = prepare_errors(&decoder->errors);
	decoder->limits = *limits;
	if (!read_header(decoder, bytes, n_bytes))
		return decoder_failure(error, decoder);
	return check_header(info, decoder, error);
}

static unsigned
read_u16(const uint8_t *p, int little)
{
	return little ? (unsigned) p[0] | (unsigned) p[1] << 8 : (unsigned) p[0] << 8 | (unsigned) p[1];
}

static unsigned
read_u32(const uint8_t *p, int little)
{
	return little ? read_u16(p, 1) | read_u16(p + 2, 1) << 16 : read_u16(p, 0) << 16 | read_u16(p + 2, 0);
}

/* Returns the orientation in an Exif block (a TIFF header and its first directory), or 0. */
static int
tiff_orientation(const uint8_t *tiff, size_t n)
{
	int little = n >= 8 && tiff[0] == 'I';
	size_t at, entries;

	if (n < 8)
		return 0;
	at = read_u32(tiff + 4, little);
	if (at > n - 2)
		return 0;
	entries = read_u16(tiff + at, little);
	for (at += 2; entries > 0 && at + 12 <= n; entries--, at += 12)
		if (read_u16(tiff + at, little) == 0x0112)
		{
			unsigned orientation = read_u16(tiff + at + 8, little);

			return orientation >= 1 && orientation <= 8 ? (int) orientation : 0;
		}
	return 0;
}

/* Returns the orientation of the first Exif segment before the first scan, or 0. */
static int
find_orientation(const uint8_t *bytes, size_t n_bytes)
{
	size_t at = 2;

	while (at + 4 <= n_bytes && bytes[at] == 0xff)
	{
		unsigned code = bytes[at + 1];
		size_t length = read_u16(bytes + at + 2, 0);

		if (code == 0xff)
		{
			at++;
			continue;
		}
		if (code == 0xda || length < 2 || at + 2 + length > n_bytes)
			return 0;
		if (code == 0xe1 && length > 8 && memcmp(bytes + at + 4, "Exif\0", 6) == 0)
			return tiff_orientation(bytes + at + 10, length - 8);
		at += 2 + length;
	}
	return 0;
}

static ImgStatus
read_info(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits, ImgError *error)
{
	Decoder decoder;
	ImgStatus status;

	status = open_decoder(&decoder, info, bytes, n_bytes, limits, error);
	jpeg_destroy_decompress(&decoder.jpeg);
	info->orientation = find_orientation(bytes, n_bytes);
	return status;
}

/* Returns whether no scan is missing, for a stream without its end. */
static int
picture_is_whole(const Decoder *decoder)
{
	const struct jpeg_decompress_struct *jpeg = &decoder->jpeg;

	if (decoder->components_seen != (1u << jpeg->num_components) - 1)
		return 0;
	for (int c = 0; jpeg->progressive_mode && c < jpeg->num_components; c++)
		for (int i = 0; i < DCTSIZE2; i++)
			if (jpeg->coef_bits[c][i] != 0)
				return 0;
	return 1;
}

/* Returns a * b / 255, rounded. */
static unsigned
part_of_255(unsigned a, unsigned b)
{
	unsigned product = a * b + 128;

	return (product + (product >> 8)) >> 8;
}

/* Turns a row of inverted CMYK into RGB or grey, in place. */
static void
convert_cmyk(uint8_t *row, unsigned width, int channels)
{
	for (unsigned i = 0; i < width; i++)
	{
		const uint8_t *cmyk = row + 4 * (size_t) i;
		unsigned black = cmyk[3];
		unsigned red = black - part_of_255(255u - cmyk[0], black);
		unsigned green = black - part_of_255(255u - cmyk[1], black);
		unsigned blue = black - part_of_255(255u - cmyk[2], black);

		if (channels == 1)
			row[i] = (uint8_t) img_luma(red, green, blue);
		else
		{
			row[3 * (size_t) i] = (uint8_t) red;
			row[3 * (size_t) i + 1] = (uint8_t) green;
			row[3 * (size_t) i + 2] = (uint8_t) blue;
		}
	}
}

/* Decodes the pixels: the part that may jump.  Returns 0 after a jump. */
static int
read_pixels(Decoder *decoder, ImgSink *sink, int channels, int denom)
{
	struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
	JSAMPARRAY rows;

	if (setjmp(decoder->errors.jump))
		return 0;

	jpeg->scale_num = 1;
	jpeg->scale_denom = (unsigned) denom;
	if (jpeg->num_components == 4)
		jpeg->out_color_space = JCS_CMYK;
	else
		jpeg->out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg->dct_method = JDCT_ISLOW;    /* the same bits with and without SIMD */
	jpeg->do_block_smoothing = FALSE; /* never invent detail */

	/* the arithmetic decoder reads zeros beyond the end without a warning */
	decoder->errors.end_is_known = !jpeg->arith_code;
	(void) jpeg_start_decompress(jpeg);
	if (jpeg->output_components != (jpeg->num_components == 4 ? 4 : channels))
		stop_with(&decoder->errors, IMG_UNSUPPORTED, "the components of the JPEG image cannot be converted");
	rows = jpeg->mem->alloc_sarray((j_common_ptr) jpeg, JPOOL_IMAGE,
								   jpeg->output_width * (JDIMENSION) jpeg->output_components, ROWS_PER_READ);
	while (jpeg->output_scanline < jpeg->output_height)
	{
		unsigned n, done = 0;

		check_interrupt(decoder);
		n = jpeg->output_height - jpeg->output_scanline;
		if (n > ROWS_PER_READ)
			n = ROWS_PER_READ;
		while (done < n)
			done += jpeg_read_scanlines(jpeg, rows + done, n - done);
		for (unsigned i = 0; i < n; i++)
		{
			if (jpeg->num_components == 4)
				convert_cmyk(rows[i], jpeg->output_width, channels);
			sink->put(sink, rows[i]);
		}
	}
	if (decoder->errors.cut_off && !picture_is_whole(decoder))
		stop_with(&decoder->errors, IMG_CORRUPT, "premature end of JPEG file");

	/* reads up to the end of image marker, so that damage before it is noticed */
	decoder->errors.end_is_known = 1;
	(void) jpeg_finish_decompress(jpeg);
	return 1;
}

ImgStatus
img_jpeg_decode(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes, int is_rgb,
				const ImgInfo *info, const ImgLimits *limits, ImgError *error)
{
	Decoder decoder;
	ImgInfo actual;
	ImgStatus status;

	status = open_decoder(&decoder, &actual, bytes, n_bytes, limits, error);
	if (status == IMG_OK && (actual.width != info->width || actual.height != info->height))
		status =
			img_fail(error, IMG_BAD_ARGUMENT, "the image is %u x %u pixels, but was announced as %u x %u",
					 (unsigned) actual.width, (unsigned) actual.height, (unsigned) info->width,
					 (unsigned) info->height);
	if (status == IMG_OK && is_rgb && actual.components == 3)
		decoder.jpeg.jpeg_color_space = JCS_RGB;
	if (status == IMG_OK && !read_pixels(&decoder, sink, channels, denom))
		status = decoder_failure(error, &decoder);
	jpeg_destroy_decompress(&decoder.jpeg);
	return status;
}

static ImgStatus
decode(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
	   const ImgLimits *limits, ImgError *error)
{
	return img_jpeg_decode(sink, channels, denom, bytes, n_bytes, 0, info, limits, error);
}

const ImgCodec img_codec_jpeg = {"JPEG", 1, read_info, decode};

static void
begin_output(j_compress_ptr jpeg)
{
	FixedDestination *destination = (FixedDestination *) jpeg->dest;

	destination->base.next_output_byte = destination->dst;
	destination->base.free_in_buffer = destination->capacity;
}

static boolean
refuse_more_output(j_compress_ptr jpeg)
{
	stop_with((CodecErrors *) jpeg->err, IMG_NO_SPACE, "the buffer is too small for the encoded image");
}

static void
end_output(j_compress_ptr jpeg)
{
	FixedDestination *destination = (FixedDestination *) jpeg->dest;

	destination->used = destination->capacity - destination->base.free_in_buffer;
}

/* Encodes the pixels: the part that may jump.  Returns 0 after a jump. */
static int
write_pixels(Encoder *encoder, const uint8_t *src, int height, int width, int channels, int quality)
{
	struct jpeg_compress_struct *jpeg = &encoder->jpeg;
	size_t row_bytes = (size_t) width * (size_t) channels;

	if (setjmp(encoder->errors.jump))
		return 0;

	jpeg_create_compress(jpeg);
	jpeg->dest = &encoder->destination.base;
	jpeg->image_width = (JDIMENSION) width;
	jpeg->image_height = (JDIMENSION) height;
	jpeg->input_components = channels;
	jpeg->in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_set_defaults(jpeg);
	jpeg_set_quality(jpeg, quality, TRUE);
	jpeg->dct_method = JDCT_ISLOW;
	for (int i = 0; i < jpeg->num_components; i++)
	{
		jpeg->comp_info[i].h_samp_factor = 1;
		jpeg->comp_info[i].v_samp_factor = 1;
	}
	jpeg_start_compress(jpeg, TRUE);
	while (jpeg->next_scanline < jpeg->image_height)
	{
		/* libjpeg's interface is older than const; it does not write here */
		JSAMPROW row = (JSAMPROW) (uintptr_t) (src + jpeg->next_scanline * row_bytes);

		(void) jpeg_write_scanlines(jpeg, &row, 1);
	}
	jpeg_finish_compress(jpeg);
	return 1;
}

size_t
img_encode_bound(int height, int width, int channels)
{
	size_t n;

	if (height < 1 || width < 1 || height > IMG_MAX_SIDE || width > IMG_MAX_SIDE ||
		(channels != 1 && channels != 3))
		return 0;

	/*
	 * A block of 64 samples takes at most 20 + 63 * 26 bits with the standard
	 * tables, doubled if every byte had to be stuffed; real noise at quality
	 * 100 stays below 2 bytes a sample.  4 bytes a sample leave a margin.
	 */
	n = ((size_t) height + 7) / 8 * (((size_t) width + 7) / 8);
	if (!img_size_mul(&n, n, (size_t) channels * 64 * 4) || !img_size_add(&n, n, 2048))
		return 0;
	return n;
}

ImgStatus
img_encode_jpeg(uint8_t *dst, size_t dst_capacity, size_t *dst_bytes, const uint8_t *src, int height,
				int width, int channels, int quality, ImgError *error)
{
	Encoder encoder;
	ImgStatus status = IMG_OK;

	*dst_bytes = 0;
	if (img_encode_bound(height, width, channels) == 0)
		return img_fail(error, IMG_BAD_ARGUMENT,
						"cannot encode %d x %d x %d pixels; sides are 1 to %d, channels 1 or 3", height,
						width, channels, IMG_MAX_SIDE);
	if (quality < 1 || quality > 100)
		return img_fail(error, IMG_BAD_ARGUMENT, "JPEG quality %d is out of range 1 to 100", quality);
	if (dst_capacity == 0)
		return img_fail(error, IMG_NO_SPACE, "the buffer is too small for the encoded image");

	memset(&encoder, 0, sizeof(encoder));
	encoder.jpeg.err = prepare_errors(&encoder.errors);
	encoder.destination.base.init_destination = begin_output;
	encoder.destination.base.empty_output_buffer = refuse_more_output;
	encoder.destination.base.term_destination = end_output;
	encoder.destination.dst = dst;
	encoder.destination.capacity = dst_capacity;

	if (write_pixels(&encoder, src, height, width, channels, quality))
		*dst_bytes = encoder.destination.used;
	else
		status = codec_failure(error, &encoder.errors);
	jpeg_destroy_compress(&encoder.jpeg);
	return status;
}
