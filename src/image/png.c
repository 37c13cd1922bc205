/*-------------------------------------------------------------------------
 *
 * png.c
 *	  PNG images.  The only file that knows libpng.
 *
 * libpng reports an error by calling on_error(), which jumps back to the
 * setjmp() of the one static function that called the library (read_header,
 * read_pixels).  The reader belongs to that function's caller, which destroys
 * it on every path; what is allocated after setjmp() is noted in the reader.
 * The sink of the rows is called between two calls of the library and does not
 * jump.
 *
 * Rows go into the sink as they are decoded; an interlaced image is first read
 * as a whole.  All memory comes from allocate(), which keeps it within the
 * limit.  Compressed data cannot grow without bound: only as many bytes are
 * inflated as the header announces, and chunks with text or profiles are not
 * read.  The checksums of all chunks that matter are checked.  A file that ends
 * after its last row is read, as a JPEG image without its end is.
 *
 * Samples of 1 to 4 bits are scaled to 8, samples of 16 bits to the wide rows of
 * image_internal.h.  Transparency, gamma and colour profiles have no effect, as
 * in Pillow and Keras.
 *
 *-------------------------------------------------------------------------
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "image_internal.h"


typedef struct PngReader
{
	png_structp png;
	png_infop info;
	jmp_buf jump;
	ImgLimits limits;
	ImgStatus status;
	char message[IMG_MESSAGE_LEN];
	const uint8_t *next;
	size_t left;
	size_t allocated; /* bytes */
	uint8_t *row;     /* as stored: one row, or the whole interlaced image */
	uint16_t *wide;   /* one row for the sink */
	uint8_t *narrow;  /* the same in 8 bits */
} PngReader;

/* In front of every block, so that its size is known when it is freed. */
typedef union Block
{
	size_t bytes;
	max_align_t alignment;
} Block;

_Noreturn static void
stop_with(PngReader *reader, ImgStatus status, const char *message)
{
	reader->status = status;
	(void) snprintf(reader->message, sizeof(reader->message), "%s", message);
	longjmp(reader->jump, 1);
}

_Noreturn static void
on_error(png_structp png, png_const_charp message)
{
	PngReader *reader = png_get_error_ptr(png);

	/* an allocation that failed has said more than libpng's "Out of memory" */
	if (reader->status != IMG_OK)
		longjmp(reader->jump, 1);
	reader->status = IMG_CORRUPT;
	(void) snprintf(reader->message, sizeof(reader->message), "damaged PNG image: %s", message);
	longjmp(reader->jump, 1);
}

static void
on_warning(png_structp png, png_const_charp message)
{
	(void) png;
	(void) message;
}

static png_voidp
allocate(png_structp png, png_alloc_size_t n)
{
	PngReader *reader = png_get_mem_ptr(png);
	Block *block;

	if (n > reader->limits.max_codec_bytes || reader->allocated > reader->limits.max_codec_bytes - n)
	{
		reader->status = IMG_TOO_LARGE;
		(void) snprintf(reader->message, sizeof(reader->message),
						"decoding the PNG image needs more than the %llu bytes allowed for the decoder",
						(unsigned long long) reader->limits.max_codec_bytes);
		return NULL;
	}
	block = malloc(sizeof(Block) + n);
	if (block == NULL)
	{
		reader->status = IMG_NO_MEMORY;
		(void) snprintf(reader->message, sizeof(reader->message), "PNG decoder: out of memory");
		return NULL;
	}
	block->bytes = n;
	reader->allocated += n;
	return block + 1;
}

static void
release(png_structp png, png_voidp memory)
{
	PngReader *reader = png_get_mem_ptr(png);
	Block *block = memory;

	if (block == NULL)
		return;
	block--;
	reader->allocated -= block->bytes;
	free(block);
}

static void
check_interrupt(PngReader *reader)
{
	if (reader->limits.interrupt != NULL && *reader->limits.interrupt)
		stop_with(reader, IMG_INTERRUPTED, "interrupted while decoding a PNG image");
}

static void
read_bytes(png_structp png, png_bytep dst, size_t n)
{
	PngReader *reader = png_get_io_ptr(png);

	check_interrupt(reader);
	if (n > reader->left)
		stop_with(reader, IMG_CORRUPT, "damaged PNG image: it ends early");
	memcpy(dst, reader->next, n);
	reader->next += n;
	reader->left -= n;
}

/* Reads everything before the pixels: a part that may jump.  Returns 0 after a jump. */
static int
read_header(PngReader *reader)
{
	if (setjmp(reader->jump))
		return 0;
	reader->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning, reader,
										   allocate, release);
	if (reader->png == NULL)
		stop_with(reader, IMG_NO_MEMORY, "PNG decoder: it could not be created");
	reader->info = png_create_info_struct(reader->png);
	if (reader->info == NULL)
		stop_with(reader, IMG_NO_MEMORY, "PNG decoder: it could not be created");
	png_set_read_fn(reader->png, reader, read_bytes);
	png_set_user_limits(reader->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
	/* text, profiles and the like are skipped */
	png_set_keep_unknown_chunks(reader->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
	png_read_info(reader->png, reader->info);
	return 1;
}

static ImgStatus
failure(ImgError *error, const PngReader *reader)
{
	return img_fail(error, reader->status, "%s", reader->message);
}

/* Starts a reader and fills *info; the caller closes the reader on every path. */
static ImgStatus
open_reader(PngReader *reader, ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits,
			ImgError *error)
{
	static const char *const names[] = {
		[PNG_COLOR_TYPE_GRAY] = "grayscale",       [PNG_COLOR_TYPE_RGB] = "RGB",
		[PNG_COLOR_TYPE_PALETTE] = "palette",      [PNG_COLOR_TYPE_GRAY_ALPHA] = "grayscale, alpha",
		[PNG_COLOR_TYPE_RGB_ALPHA] = "RGB, alpha",
	};
	unsigned type;

	memset(reader, 0, sizeof(*reader));
	reader->limits = *limits;
	reader->next = bytes;
	reader->left = n_bytes;
	if (!read_header(reader))
		return failure(error, reader);
	type = png_get_color_type(reader->png, reader->info);
	info->format = IMG_FORMAT_PNG;
	info->width = png_get_image_width(reader->png, reader->info);
	info->height = png_get_image_height(reader->png, reader->info);
	info->components = png_get_channels(reader->png, reader->info);
	info->progressive = png_get_interlace_type(reader->png, reader->info) != PNG_INTERLACE_NONE;
	info->bits = info->bits_stored = png_get_bit_depth(reader->png, reader->info);
	(void) snprintf(info->photometric, sizeof(info->photometric), "%s", names[type]);
	return img_check_size("PNG", info->width, info->height, &reader->limits, error);
}

static void
close_reader(PngReader *reader)
{
	if (reader->png == NULL)
		return;
	release(reader->png, reader->row);
	release(reader->png, reader->wide);
	release(reader->png, reader->narrow);
	png_destroy_read_struct(&reader->png, &reader->info, NULL);
}

static ImgStatus
read_info(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits, ImgError *error)
{
	PngReader reader;
	ImgStatus status = open_reader(&reader, info, bytes, n_bytes, limits, error);

	close_reader(&reader);
	return status;
}

/* Puts a row of 8-bit samples into the sink. */
static void
put_narrow(PngReader *reader, ImgSink *sink, const uint8_t *row, size_t width, int stored, int channels)
{
	uint8_t *dst = reader->narrow;

	if (stored == channels)
	{
		sink->put(sink, row);
		return;
	}
	for (size_t i = 0; i < width; i++)
	{
		if (channels == 1)
			dst[i] = (uint8_t) img_luma(row[3 * i], row[3 * i + 1], row[3 * i + 2]);
		else
			dst[3 * i] = dst[3 * i + 1] = dst[3 * i + 2] = row[i];
	}
	sink->put(sink, dst);
}

/* Puts a row of 16-bit samples, the most significant byte first, into the sink. */
static void
put_wide(PngReader *reader, ImgSink *sink, const uint8_t *row, size_t width, int stored, int channels)
{
	uint16_t *dst = reader->wide;

	for (size_t i = 0; i < width; i++)
	{
		uint16_t values[3];

		for (int c = 0; c < stored; c++)
		{
			const uint8_t *p = row + 2 * (i * (size_t) stored + (size_t) c);

			values[c] = img_widen((uint32_t) p[0] << 8 | p[1], UINT16_MAX);
		}
		if (channels == 1)
			dst[i] = stored == 1 ? values[0] : (uint16_t) img_luma(values[0], values[1], values[2]);
		else
			for (int c = 0; c < 3; c++)
				dst[3 * i + (size_t) c] = values[stored == 1 ? 0 : c];
	}
	sink->put_wide(sink, dst);
}

/* Decodes the pixels: the part that may jump.  Returns 0 after a jump. */
static int
read_pixels(PngReader *reader, ImgSink *sink, const ImgInfo *info, int channels)
{
	png_structp png = reader->png;
	size_t row_bytes, buffer_bytes;
	int stored, passes;

	if (setjmp(reader->jump))
		return 0;

	if (png_get_color_type(png, reader->info) == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(png);
	if (info->bits < 8)
		png_set_expand_gray_1_2_4_to_8(png);
	png_set_strip_alpha(png);
	passes = png_set_interlace_handling(png);
	png_read_update_info(png, reader->info);
	stored = png_get_channels(png, reader->info);
	row_bytes = png_get_rowbytes(png, reader->info);
	if ((stored != 1 && stored != 3) ||
		row_bytes != (size_t) info->width * (size_t) stored * (info->bits == 16 ? 2 : 1))
		stop_with(reader, IMG_UNSUPPORTED, "unsupported PNG image: its components cannot be converted");
	buffer_bytes = row_bytes;
	if (passes > 1 && !img_size_mul(&buffer_bytes, row_bytes, info->height))
		stop_with(reader, IMG_TOO_LARGE, "the PNG image is too large");
	reader->row = png_malloc(png, buffer_bytes);
	reader->wide = png_malloc(png, (size_t) info->width * 3 * sizeof(uint16_t));
	reader->narrow = png_malloc(png, (size_t) info->width * 3);
	for (int pass = 1; pass < passes; pass++)
		for (uint32_t y = 0; y < info->height; y++)
		{
			check_interrupt(reader);
			png_read_row(png, reader->row + y * row_bytes, NULL);
		}
	for (uint32_t y = 0; y < info->height; y++)
	{
		uint8_t *row = passes > 1 ? reader->row + y * row_bytes : reader->row;

		check_interrupt(reader);
		png_read_row(png, row, NULL);
		if (info->bits == 16)
			put_wide(reader, sink, row, info->width, stored, channels);
		else
			put_narrow(reader, sink, row, info->width, stored, channels);
	}
	return 1;
}

static ImgStatus
decode(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
	   const ImgLimits *limits, ImgError *error)
{
	PngReader reader;
	ImgInfo actual;
	ImgStatus status = open_reader(&reader, &actual, bytes, n_bytes, limits, error);

	if (status == IMG_OK && (actual.width != info->width || actual.height != info->height || denom != 1))
		status =
			img_fail(error, IMG_BAD_ARGUMENT, "the image is %u x %u pixels, but was announced as %u x %u",
					 (unsigned) actual.width, (unsigned) actual.height, (unsigned) info->width,
					 (unsigned) info->height);
	if (status == IMG_OK && !read_pixels(&reader, sink, &actual, channels))
		status = failure(error, &reader);
	close_reader(&reader);
	return status;
}

const ImgCodec img_codec_png = {"PNG", 0, read_info, decode};
