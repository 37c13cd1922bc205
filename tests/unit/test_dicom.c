/*
 * test_dicom.c
 *		DICOM files that are made here: all encodings of elements and pixel data
 *		give the same picture, to the bit the one of a PNG image; windows, tables and
 *		photometric interpretations against their formulas; damaged files.
 */
#include <stdlib.h>
#include <string.h>

#include <charls/charls.h>
#include <openjpeg.h>
#include <png.h>
#include <zlib.h>

#include "image/image_internal.h"
#include "unit.h"

#define W 50
#define H 34
#define N (W * H)
#define ROOM (1 << 20)

#define IMPLICIT "1.2.840.10008.1.2"
#define EXPLICIT "1.2.840.10008.1.2.1"
#define DEFLATED "1.2.840.10008.1.2.1.99"
#define BIG_ENDIAN_ "1.2.840.10008.1.2.2"
#define BASELINE "1.2.840.10008.1.2.4.50"
#define LOSSLESS "1.2.840.10008.1.2.4.70"
#define JPEG_LS "1.2.840.10008.1.2.4.80"
#define JPEG_2000 "1.2.840.10008.1.2.4.90"
#define RLE "1.2.840.10008.1.2.5"

typedef struct File
{
	uint8_t *bytes;
	size_t n;
	int implicit_vr, big_endian;
} File;

/* What is in a file; text and fields of 0 are left out. */
typedef struct Recipe
{
	const char *syntax, *photometric;
	int bits, is_signed, samples, planar, frames;
	const char *centre, *width, *function, *slope, *intercept;
	int padding; /* 0: none */
	int nested;  /* a sequence of unknown length before the picture */
	int no_preamble;
	const uint8_t *frame; /* compressed */
	size_t n_frame;
	const char *late;    /* another transfer syntax, after group 2 */
	int pieces;          /* fragments of the frame */
	const uint16_t *lut; /* 256 entries of 8 bits: VOI */
} Recipe;

static void
put(File *file, const void *bytes, size_t n)
{
	memcpy(file->bytes + file->n, bytes, n);
	file->n += n;
}

static void
put_number(File *file, uint32_t value, int size)
{
	for (int i = 0; i < size; i++)
		file->bytes[file->n++] = (uint8_t) (value >> 8 * (file->big_endian ? size - 1 - i : i));
}

static void
put_head(File *file, uint32_t tag, const char *vr, uint32_t n)
{
	int is_long = strchr("O", vr[0]) != NULL || strcmp(vr, "SQ") == 0 || strcmp(vr, "UN") == 0;

	put_number(file, tag >> 16, 2);
	put_number(file, tag & 0xffff, 2);
	if (file->implicit_vr)
	{
		put_number(file, n, 4);
		return;
	}
	put(file, vr, 2);
	if (is_long)
		put_number(file, 0, 2);
	put_number(file, n, is_long ? 4 : 2);
}

static void
put_text(File *file, uint32_t tag, const char *vr, const char *text)
{
	size_t n;

	if (text == NULL)
		return;
	n = strlen(text);
	put_head(file, tag, vr, (uint32_t) (n + n % 2));
	put(file, text, n);
	if (n % 2)
		put(file, strcmp(vr, "UI") == 0 ? "\0" : " ", 1);
}

static void
put_short(File *file, uint32_t tag, const char *vr, int value)
{
	put_head(file, tag, vr, 2);
	put_number(file, (uint32_t) value & 0xffff, 2);
}

/* The picture: a value of so many bits. */
static int
value_at(const Recipe *recipe, int i, int c)
{
	int x = i % W, y = i / W;
	unsigned most = (1u << recipe->bits) - 1;
	unsigned value = (unsigned) (x * 517 + y * 331 + c * 7777 + x * y) % (most + 1);

	return recipe->is_signed ? (int) value - (int) (most / 2 + 1) : (int) value;
}

static void
put_pixels(File *file, const Recipe *recipe)
{
	int samples = recipe->samples ? recipe->samples : 1;
	int wide = recipe->bits > 8;
	uint32_t n = (uint32_t) (N * samples * (wide ? 2 : 1));

	if (recipe->frame != NULL)
	{
		int pieces = recipe->pieces ? recipe->pieces : 1;
		size_t at = 0;

		put_head(file, 0x7FE00010, "OB", UINT32_MAX);
		put_number(file, 0xFFFE, 2);
		put_number(file, 0xE000, 2);
		put_number(file, 0, 4);
		for (int i = 0; i < pieces; i++)
		{
			size_t end = i == pieces - 1 ? recipe->n_frame
										 : recipe->n_frame / (size_t) pieces * (size_t) (i + 1) / 2 * 2;

			put_number(file, 0xFFFE, 2);
			put_number(file, 0xE000, 2);
			put_number(file, (uint32_t) (end - at + (end - at) % 2), 4);
			put(file, recipe->frame + at, end - at);
			if ((end - at) % 2)
				put(file, "\0", 1);
			at = end;
		}
		put_number(file, 0xFFFE, 2);
		put_number(file, 0xE0DD, 2);
		put_number(file, 0, 4);
		return;
	}
	put_head(file, 0x7FE00010, "OW", n + n % 2);
	for (int k = 0; k < N * samples; k++)
	{
		int c = recipe->planar ? k / N : k % samples;
		int i = recipe->planar ? k % N : k / samples;
		int at = !wide && file->big_endian ? k ^ 1 : k; /* bytes of words */

		if (!wide && file->big_endian)
		{
			c = recipe->planar ? at / N : at % samples;
			i = recipe->planar ? at % N : at / samples;
		}
		put_number(file, (uint32_t) value_at(recipe, i, c) & ((1u << recipe->bits) - 1), wide ? 2 : 1);
	}
}

/* Makes a file; the caller frees its bytes. */
static File
make(const Recipe *recipe)
{
	const char *syntax = recipe->syntax ? recipe->syntax : EXPLICIT;
	File file = {calloc(1, ROOM), 0, 0, 0};
	size_t start;

	if (!recipe->no_preamble)
	{
		file.n = 128;
		put(&file, "DICM", 4);
		put_text(&file, 0x00020010, "UI", syntax);
	}
	start = file.n;
	file.implicit_vr = strcmp(syntax, IMPLICIT) == 0;
	file.big_endian = strcmp(syntax, BIG_ENDIAN_) == 0;
	put_text(&file, 0x00080005, "CS", "ISO_IR 192");
	put_text(&file, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.1.1");
	put_text(&file, 0x00020010, "UI", recipe->late);
	if (recipe->nested)
	{
		put_head(&file, 0x00081140, "SQ", UINT32_MAX);
		for (int i = 0; i < 2; i++)
		{
			put_number(&file, 0xFFFE, 2);
			put_number(&file, 0xE000, 2);
			put_number(&file, UINT32_MAX, 4);
			put_short(&file, 0x00280010, "US", 1);
			put_number(&file, 0xFFFE, 2);
			put_number(&file, 0xE00D, 2);
			put_number(&file, 0, 4);
		}
		put_number(&file, 0xFFFE, 2);
		put_number(&file, 0xE0DD, 2);
		put_number(&file, 0, 4);
	}
	put_short(&file, 0x00280002, "US", recipe->samples ? recipe->samples : 1);
	put_text(&file, 0x00280004, "CS", recipe->photometric ? recipe->photometric : "MONOCHROME2");
	put_short(&file, 0x00280006, "US", recipe->planar);
	if (recipe->frames)
	{
		char text[12];

		snprintf(text, sizeof(text), "%d", recipe->frames);
		put_text(&file, 0x00280008, "IS", text);
	}
	put_short(&file, 0x00280010, "US", H);
	put_short(&file, 0x00280011, "US", W);
	put_short(&file, 0x00280100, "US", recipe->bits > 8 ? 16 : 8);
	put_short(&file, 0x00280101, "US", recipe->bits);
	put_short(&file, 0x00280102, "US", recipe->bits - 1);
	put_short(&file, 0x00280103, "US", recipe->is_signed);
	if (recipe->padding)
		put_short(&file, 0x00280120, "US", recipe->padding);
	put_text(&file, 0x00281050, "DS", recipe->centre);
	put_text(&file, 0x00281051, "DS", recipe->width);
	put_text(&file, 0x00281052, "DS", recipe->intercept);
	put_text(&file, 0x00281053, "DS", recipe->slope);
	put_text(&file, 0x00281056, "CS", recipe->function);
	if (recipe->lut != NULL)
	{
		put_head(&file, 0x00283010, "SQ", 8 + 14 + 12 + 512);
		put(&file, "\xfe\xff\x00\xe0", 4);
		put_number(&file, 14 + 12 + 512, 4);
		put_head(&file, 0x00283002, "US", 6);
		put_number(&file, 256, 2);
		put_number(&file, 0, 2);
		put_number(&file, 16, 2);
		put_head(&file, 0x00283006, "OW", 512);
		for (int i = 0; i < 256; i++)
			put_number(&file, recipe->lut[i], 2);
	}
	put_pixels(&file, recipe);
	if (strcmp(syntax, DEFLATED) == 0)
	{
		uint8_t *deflated = calloc(1, ROOM);
		z_stream stream;

		memset(&stream, 0, sizeof(stream));
		deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
		memcpy(deflated, file.bytes, start);
		stream.next_in = file.bytes + start;
		stream.avail_in = (uInt) (file.n - start);
		stream.next_out = deflated + start;
		stream.avail_out = (uInt) (ROOM - start);
		deflate(&stream, Z_FINISH);
		file.n = start + stream.total_out;
		deflateEnd(&stream);
		free(file.bytes);
		file.bytes = deflated;
	}
	return file;
}

/* Header and pixels; the bytes are copied, so that a sanitizer sees each one read beyond them. */
static ImgStatus
decode(File file, int channels, ImgInfo *info, uint8_t *pixels, ImgError *error)
{
	const ImgLimits limits = {.max_pixels = N};
	uint8_t *exact = malloc(file.n ? file.n : 1);
	ImgStatus status;

	memcpy(exact, file.bytes, file.n);
	memset(error, 0, sizeof(*error));
	status = img_info(info, exact, file.n, &limits, error);
	if (status == IMG_OK)
		status = img_decode(pixels, N * 3, channels, exact, file.n, info, &limits, error);
	free(exact);
	return status;
}

/* Scales to 31 x 23, so that more than 8 bits count. */
static void
shrink(uint8_t *dst, const uint8_t *bytes, size_t n, int channels)
{
	ImgPreprocess pre = {23, 31, channels, IMG_INTERPOLATION_AREA};
	ImgInfo info;
	ImgError error;
	size_t need;
	void *scratch;

	memset(dst, 0, 23 * 31 * 3);
	if (img_info(&info, bytes, n, NULL, &error) != IMG_OK)
		return;
	need = img_preprocess_scratch_bytes(&info, &pre);
	scratch = aligned_alloc(64, need);
	img_preprocess(dst, bytes, n, &info, &pre, NULL, scratch, need, &error);
	free(scratch);
}

static void
write_bytes(png_structp png, png_bytep data, size_t n)
{
	put(png_get_io_ptr(png), data, n);
}

static File
make_png(const Recipe *recipe)
{
	File file = {calloc(1, ROOM), 0, 0, 0};
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	int samples = recipe->samples ? recipe->samples : 1;
	uint8_t row[W * 3 * 2];

	png_set_write_fn(png, &file, write_bytes, NULL);
	png_set_IHDR(png, info, W, H, recipe->bits, samples == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY,
				 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	for (int y = 0; y < H; y++)
	{
		for (int k = 0; k < W * samples; k++)
		{
			int value = value_at(recipe, y * W + k / samples, k % samples);

			if (recipe->bits > 8)
			{
				row[2 * k] = (uint8_t) (value >> 8);
				row[2 * k + 1] = (uint8_t) value;
			}
			else
				row[k] = (uint8_t) value;
		}
		png_write_row(png, row);
	}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	return file;
}

/* A picture stored as PNG and as DICOM is the same picture, to the bit. */
static void
test_same_as_png(void)
{
	const Recipe recipes[] = {
		{.bits = 8},
		{.bits = 8, .centre = "127.5", .width = "255", .function = "LINEAR_EXACT"},
		{.bits = 8, .centre = "128", .width = "256"},
		{.bits = 16, .centre = "32767.5", .width = "65535", .function = "LINEAR_EXACT"},
		{.bits = 16, .centre = "32768", .width = "65536"},
		{.bits = 8, .samples = 3, .photometric = "RGB"},
		{.bits = 8, .samples = 3, .photometric = "RGB", .planar = 1},
		{.bits = 16, .samples = 3, .photometric = "RGB"},
	};

	for (size_t k = 0; k < sizeof(recipes) / sizeof(recipes[0]); k++)
	{
		File dicom = make(&recipes[k]), png = make_png(&recipes[k]);
		uint8_t a[23 * 31 * 3], b[23 * 31 * 3];
		int same = 1;

		for (int channels = 1; channels <= 3; channels += 2)
		{
			shrink(a, dicom.bytes, dicom.n, channels);
			shrink(b, png.bytes, png.n, channels);
			same &= memcmp(a, b, sizeof(a)) == 0 && a[100] != 0;
		}
		unit_ok(same, "DICOM and PNG of %d bits, %d samples: the same bits after the resize", recipes[k].bits,
				recipes[k].samples ? recipes[k].samples : 1);
		free(dicom.bytes);
		free(png.bytes);
	}
}

/* Appends bits, the most significant first, with a zero after each 0xff. */
typedef struct Bits
{
	uint8_t *bytes;
	size_t n;
	uint32_t held;
	int count;
} Bits;

static void
put_bits(Bits *bits, uint32_t value, int n)
{
	for (int i = n - 1; i >= 0; i--)
	{
		bits->held = bits->held << 1 | (value >> i & 1);
		if (++bits->count == 8)
		{
			bits->bytes[bits->n++] = (uint8_t) bits->held;
			if ((uint8_t) bits->held == 0xff)
				bits->bytes[bits->n++] = 0;
			bits->held = 0;
			bits->count = 0;
		}
	}
}

/* Encodes a grey picture as lossless JPEG with a predictor; all codes have 5 bits. */
static size_t
encode_lossless(uint8_t *dst, const Recipe *recipe, int predictor, int restart)
{
	static const uint8_t start[] = {0xff, 0xd8, 0xff, 0xc4, 0, 19 + 17, 0, 0, 0, 0, 0, 17,
									0,    0,    0,    0,    0, 0,       0, 0, 0, 0, 0};
	uint8_t frame[] = {0xff, 0xc3, 0, 11, (uint8_t) recipe->bits, 0, H, 0, W, 1, 1, 0x11, 0};
	uint8_t scan[] = {0xff, 0xda, 0, 8, 1, 1, 0, (uint8_t) predictor, 0, 0};
	uint8_t interval[] = {0xff, 0xdd, 0, 4, (uint8_t) (restart >> 8), (uint8_t) restart};
	Bits bits = {dst, 0, 0, 0};
	int restarts = 0, first_line = 1;

	memcpy(dst, start, sizeof(start));
	bits.n = sizeof(start);
	for (int i = 0; i < 17; i++)
		dst[bits.n++] = (uint8_t) i;
	memcpy(dst + bits.n, frame, sizeof(frame));
	bits.n += sizeof(frame);
	if (restart)
	{
		memcpy(dst + bits.n, interval, sizeof(interval));
		bits.n += sizeof(interval);
	}
	memcpy(dst + bits.n, scan, sizeof(scan));
	bits.n += sizeof(scan);
	for (int i = 0; i < N; i++)
	{
		int x = i % W, y = i / W, size = 0, prediction, difference;
		int a = x > 0 ? value_at(recipe, i - 1, 0) : 0, b = y > 0 ? value_at(recipe, i - W, 0) : 0;
		int c = x > 0 && y > 0 ? value_at(recipe, i - W - 1, 0) : 0;
		int begins = i == 0;

		if (restart && i > 0 && i % restart == 0)
		{
			while (bits.count != 0)
				put_bits(&bits, 1, 1);
			dst[bits.n++] = 0xff;
			dst[bits.n++] = (uint8_t) (0xd0 + restarts++ % 8);
			begins = first_line = 1;
		}
		else if (x == 0 && i > 0)
			first_line = 0;
		if (begins)
			prediction = 1 << (recipe->bits - 1);
		else if (first_line)
			prediction = a;
		else if (x == 0)
			prediction = b;
		else
			prediction = predictor == 1   ? a
						 : predictor == 2 ? b
						 : predictor == 3 ? c
						 : predictor == 4 ? a + b - c
						 : predictor == 5 ? a + ((b - c) >> 1)
						 : predictor == 6 ? b + ((a - c) >> 1)
										  : (a + b) >> 1;
		difference = (int16_t) (value_at(recipe, i, 0) - prediction);
		while (size < 16 && abs(difference) >= 1 << size)
			size++;
		put_bits(&bits, (uint32_t) size, 5);
		if (size > 0 && size < 16)
			put_bits(&bits, (uint32_t) (difference > 0 ? difference : difference + (1 << size) - 1), size);
	}
	while (bits.count != 0)
		put_bits(&bits, 1, 1);
	dst[bits.n++] = 0xff;
	dst[bits.n++] = 0xd9;
	return bits.n;
}

/* Encodes planes of bytes as literal runs. */
static size_t
encode_rle(uint8_t *dst, const Recipe *recipe)
{
	int samples = recipe->samples ? recipe->samples : 1, per_sample = recipe->bits > 8 ? 2 : 1;
	size_t at = 64;

	memset(dst, 0, 64);
	dst[0] = (uint8_t) (samples * per_sample);
	for (int s = 0; s < samples * per_sample; s++)
	{
		for (int i = 0; i < 4; i++)
			dst[4 + 4 * s + i] = (uint8_t) (at >> 8 * i);
		for (int i = 0; i < N;)
		{
			int n = N - i < 100 ? N - i : 100;

			dst[at++] = (uint8_t) (n - 1);
			for (int k = 0; k < n; k++, i++)
			{
				int value = value_at(recipe, i, s / per_sample);

				dst[at++] = (uint8_t) (per_sample == 2 && s % 2 == 0 ? value >> 8 : value);
			}
		}
		at += at % 2;
	}
	return at;
}

static size_t
encode_jpeg_ls(uint8_t *dst, const Recipe *recipe)
{
	charls_jpegls_encoder *encoder = charls_jpegls_encoder_create();
	charls_frame_info frame = {W, H, recipe->bits, 1};
	uint16_t wide[N];
	uint8_t narrow[N];
	size_t n = 0;

	for (int i = 0; i < N; i++)
	{
		wide[i] = (uint16_t) value_at(recipe, i, 0);
		narrow[i] = (uint8_t) wide[i];
	}
	if (charls_jpegls_encoder_set_frame_info(encoder, &frame) != 0 ||
		charls_jpegls_encoder_set_destination_buffer(encoder, dst, ROOM / 4) != 0 ||
		charls_jpegls_encoder_encode_from_buffer(encoder,
												 recipe->bits > 8 ? (const void *) wide
																  : (const void *) narrow,
												 recipe->bits > 8 ? sizeof(wide) : sizeof(narrow), 0) != 0 ||
		charls_jpegls_encoder_get_bytes_written(encoder, &n) != 0)
		n = 0;
	charls_jpegls_encoder_destroy(encoder);
	return n;
}

static OPJ_SIZE_T
write_stream(void *bytes, OPJ_SIZE_T n, void *user)
{
	put(user, bytes, n);
	return n;
}

static size_t
encode_jpeg_2000(uint8_t *dst, const Recipe *recipe)
{
	File file = {dst, 0, 0, 0};
	opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
	opj_stream_t *stream = opj_stream_create(1 << 16, OPJ_FALSE);
	opj_image_cmptparm_t component;
	opj_cparameters_t parameters;
	opj_image_t *image;

	memset(&component, 0, sizeof(component));
	component.dx = component.dy = 1;
	component.w = W;
	component.h = H;
	component.prec = (OPJ_UINT32) recipe->bits;
	component.sgnd = (OPJ_UINT32) recipe->is_signed;
	image = opj_image_create(1, &component, OPJ_CLRSPC_GRAY);
	image->x1 = W;
	image->y1 = H;
	for (int i = 0; i < N; i++)
		image->comps[0].data[i] = value_at(recipe, i, 0);
	opj_set_default_encoder_parameters(&parameters);
	parameters.tcp_numlayers = 1;
	parameters.cp_disto_alloc = 1;
	parameters.numresolution = 4;
	opj_setup_encoder(codec, &parameters, image);
	opj_stream_set_user_data(stream, &file, NULL);
	opj_stream_set_write_function(stream, write_stream);
	if (!opj_start_compress(codec, image, stream) || !opj_encode(codec, stream) ||
		!opj_end_compress(codec, stream))
		file.n = 0;
	opj_stream_destroy(stream);
	opj_destroy_codec(codec);
	opj_image_destroy(image);
	return file.n;
}

static void
check_same(const Recipe *recipe, const uint8_t *want, const char *name)
{
	File file = make(recipe);
	uint8_t pixels[N * 3];
	ImgInfo info;
	ImgError error;
	ImgStatus status = decode(file, 1, &info, pixels, &error);

	if (!unit_ok(status == IMG_OK && memcmp(pixels, want, N) == 0, "%d bits%s: %s", recipe->bits,
				 recipe->is_signed ? ", signed" : "", name))
		printf("#   %d %s\n", (int) status, error.message);
	free(file.bytes);
}

/* The same picture in each transfer syntax. */
static void
test_syntaxes(void)
{
	const Recipe recipes[] = {{.bits = 8},
							  {.bits = 12},
							  {.bits = 16},
							  {.bits = 12, .is_signed = 1},
							  {.bits = 16, .is_signed = 1}};
	static uint8_t frame[ROOM / 4];

	for (size_t k = 0; k < sizeof(recipes) / sizeof(recipes[0]); k++)
	{
		Recipe recipe = recipes[k];
		File plain = make(&recipe);
		uint8_t want[N * 3];
		ImgInfo info;
		ImgError error;

		unit_ok(decode(plain, 1, &info, want, &error) == IMG_OK && info.bits_stored == recipe.bits, "%d bits",
				recipe.bits);
		recipe.syntax = IMPLICIT;
		check_same(&recipe, want, "implicit");
		recipe.nested = 1;
		check_same(&recipe, want, "implicit, with a sequence");
		recipe.no_preamble = 1;
		check_same(&recipe, want, "implicit, without preamble");
		recipe.no_preamble = 0;
		recipe.syntax = BIG_ENDIAN_;
		check_same(&recipe, want, "big endian");
		recipe.syntax = DEFLATED;
		check_same(&recipe, want, "deflated");
		recipe.frames = 3;
		recipe.nested = 0;
		recipe.syntax = EXPLICIT;
		check_same(&recipe, want, "the first of three frames");
		recipe.frames = 0;
		recipe.frame = frame;
		recipe.syntax = RLE;
		recipe.n_frame = encode_rle(frame, &recipes[k]);
		check_same(&recipe, want, "RLE");
		recipe.pieces = 3;
		check_same(&recipe, want, "RLE in three fragments");
		recipe.pieces = 0;
		recipe.syntax = JPEG_2000;
		recipe.n_frame = encode_jpeg_2000(frame, &recipes[k]);
		check_same(&recipe, want, "JPEG 2000");
		if (recipe.is_signed)
		{
			free(plain.bytes);
			continue;
		}
		recipe.syntax = LOSSLESS;
		for (int predictor = 1; predictor <= 7; predictor++)
		{
			recipe.n_frame = encode_lossless(frame, &recipes[k], predictor, predictor % 2 ? 0 : 2 * W);
			check_same(&recipe, want, "JPEG lossless");
		}
		recipe.syntax = JPEG_LS;
		recipe.n_frame = encode_jpeg_ls(frame, &recipes[k]);
		check_same(&recipe, want, "JPEG-LS");
		free(plain.bytes);
	}
}

static int
rounded(double y)
{
	int wide = (int) ((y < 0 ? 0 : y > 1 ? 1 : y) * IMG_WIDE_MAX + 0.5);

	return (wide + 128) >> 8;
}

/* Checks the grey levels of a recipe against y, 0 to 1, of each stored value. */
static void
check_levels(const Recipe *recipe, double (*y)(int value), const char *name)
{
	File file = make(recipe);
	uint8_t pixels[N * 3];
	ImgInfo info;
	ImgError error;
	int wrong = decode(file, 1, &info, pixels, &error) != IMG_OK;

	for (int i = 0; i < N; i++)
		wrong += pixels[i] != rounded(y(value_at(recipe, i, 0)));
	unit_ok(wrong == 0, "%s", name);
	free(file.bytes);
}

static double
linear(int v)
{
	return (v - (2048 - 0.5)) / (3000 - 1) + 0.5;
}
static double
exact(int v)
{
	return (v - 2048.0) / 3000 + 0.5;
}
static double
sigmoid(int v)
{
	return 1 / (1 + exp(-4 * (v - 2048.0) / 3000));
}
static double
rescaled(int v)
{
	return linear(2 * v - 100);
}
static double
inverted(int v)
{
	double y = linear(v);
	return 1 - (y < 0 ? 0 : y > 1 ? 1 : y);
}
static double
negative(int v)
{
	return (v - (-500 - 0.5)) / (2000 - 1) + 0.5;
}
static double
eight(int v)
{
	return 1 - v / 255.0;
}
static double
table(int v)
{
	return (65535 - v * 257) / 65535.0;
}

static void
test_windows(void)
{
	uint16_t lut[256];

	for (int i = 0; i < 256; i++)
		lut[i] = (uint16_t) (65535 - i * 257);
	check_levels(&(Recipe) {.bits = 12, .centre = "2048", .width = "3000"}, linear, "window LINEAR");
	check_levels(&(Recipe) {.bits = 12, .centre = "2048\\40", .width = "3000\\400"}, linear,
				 "the first of two windows");
	check_levels(&(Recipe) {.bits = 12, .centre = "2048", .width = "3000", .function = "LINEAR_EXACT"}, exact,
				 "window LINEAR_EXACT");
	check_levels(&(Recipe) {.bits = 12, .centre = "2048", .width = "3000", .function = "SIGMOID"}, sigmoid,
				 "window SIGMOID");
	check_levels(&(Recipe) {.bits = 12, .centre = "2048", .width = "3000", .slope = "2", .intercept = "-100"},
				 rescaled, "slope and intercept");
	check_levels(&(Recipe) {.bits = 12, .centre = "2048", .width = "3000", .photometric = "MONOCHROME1"},
				 inverted, "MONOCHROME1");
	check_levels(&(Recipe) {.bits = 12, .is_signed = 1, .centre = "-500", .width = "2000"}, negative,
				 "signed values");
	check_levels(&(Recipe) {.bits = 8, .photometric = "MONOCHROME1"}, eight,
				 "8 bits without a window, inverted");
	check_levels(&(Recipe) {.bits = 8, .lut = lut, .centre = "10", .width = "20"}, table,
				 "a table before a window");
}

/* Without a window the values of the picture are the range, padding left out. */
static void
test_range(void)
{
	Recipe recipe = {.bits = 12};
	int low = 4096, high = 0;
	uint8_t pixels[N * 3];
	ImgInfo info;
	ImgError error;

	for (int with_padding = 0; with_padding < 2; with_padding++)
	{
		File file;
		int wrong;

		recipe.padding = with_padding ? high : 0;
		low = 4096;
		high = 0;
		for (int i = 0; i < N; i++)
		{
			int value = value_at(&recipe, i, 0);

			if (with_padding && value == recipe.padding)
				continue;
			low = value < low ? value : low;
			high = value > high ? value : high;
		}
		file = make(&recipe);
		wrong = decode(file, 1, &info, pixels, &error) != IMG_OK;
		for (int i = 0; i < N; i++)
			wrong += pixels[i] != rounded((double) (value_at(&recipe, i, 0) - low) / (high - low));
		unit_ok(wrong == 0, "range of the picture%s", with_padding ? " without its padding" : "");
		free(file.bytes);
	}
}

static void
check_failure(const Recipe *recipe, ImgStatus want, const char *text)
{
	File file = make(recipe);
	uint8_t pixels[N * 3];
	ImgInfo info;
	ImgError error;
	ImgStatus status = decode(file, 1, &info, pixels, &error);

	if (!unit_ok(status == want && strstr(error.message, text) != NULL, "refused: %s", text))
		printf("#   %d %s\n", (int) status, error.message);
	free(file.bytes);
}

static void
test_damage(void)
{
	static uint8_t frame[ROOM / 4];
	static const char *const syntaxes[] = {EXPLICIT, IMPLICIT, BIG_ENDIAN_, DEFLATED,
										   RLE,      LOSSLESS, JPEG_LS,     JPEG_2000};
	uint8_t pixels[N * 3], want[N * 3];
	ImgInfo info;
	ImgError error;

	for (size_t k = 0; k < sizeof(syntaxes) / sizeof(syntaxes[0]); k++)
	{
		Recipe recipe = {.bits = 12, .nested = 1, .syntax = syntaxes[k], .centre = "2048", .width = "4096"};
		File file;
		int wrong = 0;

		if (k >= 4)
			recipe.frame = frame;
		recipe.n_frame = k == 4   ? encode_rle(frame, &recipe)
						 : k == 5 ? encode_lossless(frame, &recipe, 1, 0)
						 : k == 6 ? encode_jpeg_ls(frame, &recipe)
						 : k == 7 ? encode_jpeg_2000(frame, &recipe)
								  : 0;
		file = make(&recipe);
		decode(file, 1, &info, want, &error);
		for (size_t n = 0; n < file.n; n += n < 600 ? 1 : 13)
		{
			ImgStatus status = decode((File) {file.bytes, n, 0, 0}, 1, &info, pixels, &error);

			wrong += status == IMG_OK && memcmp(pixels, want, N) != 0;
			wrong += status != IMG_OK && status != IMG_CORRUPT && status != IMG_NOT_IMAGE &&
					 status != IMG_UNSUPPORTED;
		}
		unit_ok(wrong == 0, "no shorter file gives another picture: %s", syntaxes[k]);
		wrong = 0;
		for (size_t i = 0; i < file.n; i += i < 600 ? 1 : 7)
		{
			ImgStatus status;

			file.bytes[i] ^= 0x41;
			status = decode(file, 1, &info, pixels, &error);
			wrong += status > IMG_NO_MEMORY || status == IMG_BAD_ARGUMENT;
			file.bytes[i] ^= 0x41;
		}
		unit_ok(wrong == 0, "any changed byte gives a picture or an error: %s", syntaxes[k]);
		free(file.bytes);
	}
	check_failure(&(Recipe) {.bits = 8, .syntax = "1.2.840.10008.1.2.4.102"}, IMG_UNSUPPORTED, "MPEG-4 film");
	check_failure(&(Recipe) {.bits = 8, .syntax = "1.2.3"}, IMG_UNSUPPORTED, "transfer syntax 1.2.3");
	check_failure(&(Recipe) {.bits = 8, .photometric = "HSV"}, IMG_UNSUPPORTED, "1 samples per pixel");
	check_failure(&(Recipe) {.bits = 8, .samples = 3, .photometric = "HSV"}, IMG_UNSUPPORTED, "HSV");
	check_failure(&(Recipe) {.bits = 8, .photometric = "PALETTE COLOR"}, IMG_CORRUPT, "palette");
	check_failure(&(Recipe) {.bits = 12, .syntax = LOSSLESS}, IMG_CORRUPT, "no fragments");
	check_failure(&(Recipe) {.bits = 8, .syntax = BIG_ENDIAN_, .late = RLE, .frame = frame, .n_frame = 254},
				  IMG_CORRUPT, "fragments in transfer syntax explicit big endian");
	check_failure(&(Recipe) {.bits = 12, .syntax = JPEG_LS, .frame = frame, .n_frame = 40}, IMG_CORRUPT,
				  "JPEG-LS");
}

/* An interrupt that is there from the beginning stops the decoding of each coding. */
static void
test_interrupt(void)
{
	static uint8_t frame[ROOM / 4];
	static const char *const syntaxes[] = {EXPLICIT, DEFLATED, RLE, LOSSLESS, JPEG_2000};
	volatile sig_atomic_t stop = 0;
	ImgLimits limits = {.interrupt = &stop};
	uint8_t pixels[N];

	for (size_t k = 0; k < sizeof(syntaxes) / sizeof(syntaxes[0]); k++)
	{
		Recipe recipe = {.bits = 12, .syntax = syntaxes[k], .frame = k >= 2 ? frame : NULL};
		File file;
		ImgInfo info;
		ImgError error;

		recipe.n_frame = k == 2   ? encode_rle(frame, &recipe)
						 : k == 3 ? encode_lossless(frame, &recipe, 1, 0)
						 : k == 4 ? encode_jpeg_2000(frame, &recipe)
								  : 0;
		file = make(&recipe);
		stop = 0;
		unit_ok(img_info(&info, file.bytes, file.n, &limits, &error) == IMG_OK, "not interrupted: %s",
				syntaxes[k]);
		stop = 1;
		unit_ok(img_decode(pixels, N, 1, file.bytes, file.n, &info, &limits, &error) == IMG_INTERRUPTED,
				"interrupted: %s", syntaxes[k]);
		free(file.bytes);
	}
}

int
main(void)
{
	test_interrupt();
	test_same_as_png();
	test_syntaxes();
	test_windows();
	test_range();
	test_damage();
	return unit_done();
}
