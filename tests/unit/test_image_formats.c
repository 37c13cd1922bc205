/*
 * test_image_formats.c
 *		PNG images of all kinds against what was drawn, damaged ones, the sides of
 *		JPEG images that the decoding scale does not divide, and what bytes are
 *		that are no image.
 */
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "image/image_internal.h"
#include "unit.h"

#define W 37
#define H 29
#define ROOM (256 * 1024)

typedef struct Kind
{
	const char *name;
	int bits, type, interlace;
} Kind;

typedef struct Output
{
	uint8_t *bytes;
	size_t n;
} Output;

/* The value of a sample as it is stored. */
static unsigned
stored(const Kind *kind, int x, int y, int c)
{
	unsigned most = (1u << kind->bits) - 1;

	return ((unsigned) (x * 2711 + y * 977 + c * 13331) ^ (unsigned) (x * y)) & most;
}

static void
write_bytes(png_structp png, png_bytep data, size_t n)
{
	Output *output = png_get_io_ptr(png);

	memcpy(output->bytes + output->n, data, n);
	output->n += n;
}

static int
channels_of(int type)
{
	return type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_PALETTE ? 1
		   : type == PNG_COLOR_TYPE_GRAY_ALPHA                           ? 2
		   : type == PNG_COLOR_TYPE_RGB                                  ? 3
																		 : 4;
}

/* Draws a PNG image of a kind. */
static Output
draw(const Kind *kind)
{
	Output output = {malloc(ROOM), 0};
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	png_color palette[256];
	int channels = channels_of(kind->type);
	size_t row_bytes = ((size_t) W * (size_t) channels * (size_t) kind->bits + 7) / 8;
	uint8_t *rows = calloc(H, row_bytes);
	png_bytep pointers[H];

	for (int i = 0; i < 256; i++)
		palette[i] = (png_color) {(png_byte) i, (png_byte) (255 - i), (png_byte) (i * 7)};
	for (int y = 0; y < H; y++)
	{
		pointers[y] = rows + (size_t) y * row_bytes;
		for (int x = 0; x < W; x++)
			for (int c = 0; c < channels; c++)
			{
				unsigned value = stored(kind, x, y, c);
				size_t at = (size_t) (x * channels + c);

				if (kind->bits == 16)
				{
					pointers[y][2 * at] = (uint8_t) (value >> 8);
					pointers[y][2 * at + 1] = (uint8_t) value;
				}
				else
					pointers[y][at * (size_t) kind->bits / 8] |=
						(uint8_t) (value << (8 - kind->bits - (int) (at * (size_t) kind->bits % 8)));
			}
	}
	png_set_write_fn(png, &output, write_bytes, NULL);
	png_set_IHDR(png, info, W, H, kind->bits, kind->type, kind->interlace, PNG_COMPRESSION_TYPE_DEFAULT,
				 PNG_FILTER_TYPE_DEFAULT);
	if (kind->type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, 1 << kind->bits);
	png_write_info(png, info);
	png_write_image(png, pointers);
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	free(rows);
	return output;
}

/* Returns what a pixel should be, as 8 bits with 8 more. */
static unsigned
wanted(const Kind *kind, int x, int y, int c, int channels)
{
	unsigned most = (1u << kind->bits) - 1;
	unsigned rgb[3];

	for (int i = 0; i < 3; i++)
	{
		unsigned v =
			stored(kind, x, y,
				   (kind->type & PNG_COLOR_MASK_COLOR) && kind->type != PNG_COLOR_TYPE_PALETTE ? i : 0);

		if (kind->type == PNG_COLOR_TYPE_PALETTE)
			rgb[i] = 256 * (i == 0 ? v : i == 1 ? 255 - v : (uint8_t) (v * 7));
		else if (kind->bits == 16)
			rgb[i] = img_widen(v, 65535);
		else
			rgb[i] = 256 * (v * 255 / most);
	}
	if (channels == 3)
		return rgb[c];
	if (kind->bits == 16)
		return img_luma(rgb[0], rgb[1], rgb[2]);
	return 256 * img_luma(rgb[0] / 256, rgb[1] / 256, rgb[2] / 256);
}

static ImgStatus
decode(Output bytes, int channels, const ImgLimits *limits, ImgInfo *info, uint8_t *pixels, ImgError *error)
{
	ImgStatus status;

	memset(error, 0, sizeof(*error));
	status = img_info(info, bytes.bytes, bytes.n, limits, error);
	if (status != IMG_OK)
		return status;
	return img_decode(pixels, (size_t) W * H * 3, channels, bytes.bytes, bytes.n, info, limits, error);
}

static void
test_png_kinds(void)
{
	static const Kind kinds[] = {
		{"1 bit", 1, PNG_COLOR_TYPE_GRAY, 0},
		{"2 bits", 2, PNG_COLOR_TYPE_GRAY, 0},
		{"4 bits", 4, PNG_COLOR_TYPE_GRAY, 0},
		{"8 bits", 8, PNG_COLOR_TYPE_GRAY, 0},
		{"16 bits", 16, PNG_COLOR_TYPE_GRAY, 0},
		{"palette 1", 1, PNG_COLOR_TYPE_PALETTE, 0},
		{"palette 4", 4, PNG_COLOR_TYPE_PALETTE, 0},
		{"palette 8", 8, PNG_COLOR_TYPE_PALETTE, 1},
		{"RGB 8", 8, PNG_COLOR_TYPE_RGB, 0},
		{"RGB 16", 16, PNG_COLOR_TYPE_RGB, 0},
		{"alpha 8", 8, PNG_COLOR_TYPE_GRAY_ALPHA, 0},
		{"alpha 16", 16, PNG_COLOR_TYPE_GRAY_ALPHA, 1},
		{"RGBA 8", 8, PNG_COLOR_TYPE_RGB_ALPHA, 1},
		{"RGBA 16", 16, PNG_COLOR_TYPE_RGB_ALPHA, 0},
		{"1 bit, interlaced", 1, PNG_COLOR_TYPE_GRAY, 1},
		{"16 bits, interlaced", 16, PNG_COLOR_TYPE_GRAY, 1},
	};
	uint8_t pixels[W * H * 3];

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
	{
		const Kind *kind = &kinds[k];
		Output png = draw(kind);
		ImgInfo info;
		ImgError error;
		int wrong = 0;

		for (int channels = 1; channels <= 3; channels += 2)
		{
			wrong += decode(png, channels, NULL, &info, pixels, &error) != IMG_OK;
			for (int y = 0; y < H; y++)
				for (int x = 0; x < W; x++)
					for (int c = 0; c < channels; c++)
						wrong += pixels[(y * W + x) * channels + c] !=
								 (wanted(kind, x, y, c, channels) + 128) >> 8;
		}
		unit_ok(wrong == 0 && info.format == IMG_FORMAT_PNG && info.bits == kind->bits &&
					info.components == channels_of(kind->type) && info.progressive == kind->interlace,
				"PNG: %s", kind->name);
		free(png.bytes);
	}
}

/* 16 bits are not cut before the mean: a mean of levels between two grey levels. */
static void
test_png_precision(void)
{
	const Kind kind = {"", 16, PNG_COLOR_TYPE_GRAY, 0};
	Output png = draw(&kind);
	ImgPreprocess pre = {1, 1, 1, IMG_INTERPOLATION_AREA};
	ImgInfo info;
	ImgError error;
	double sum = 0;
	uint8_t dst;
	void *scratch;
	size_t need;

	for (int y = 0; y < H; y++)
		for (int x = 0; x < W; x++)
			sum += stored(&kind, x, y, 0) / 257.0;
	img_info(&info, png.bytes, png.n, NULL, &error);
	need = img_preprocess_scratch_bytes(&info, &pre);
	scratch = aligned_alloc(64, need);
	unit_ok(img_preprocess(&dst, png.bytes, png.n, &info, &pre, NULL, scratch, need, &error) == IMG_OK &&
				dst == (uint8_t) (sum / (W * H) + 0.5),
			"the mean of 16 bits");
	free(scratch);
	free(png.bytes);
}

static void
test_png_damage(void)
{
	const Kind kinds[] = {{"plain", 8, PNG_COLOR_TYPE_GRAY, 0}, {"interlaced", 16, PNG_COLOR_TYPE_RGB, 1}};
	uint8_t pixels[W * H * 3], whole[W * H * 3];
	ImgInfo info;
	ImgError error;

	for (int k = 0; k < 2; k++)
	{
		Output png = draw(&kinds[k]);
		Output bad = {NULL, 0};
		ImgLimits limits = {.max_pixels = W * H - 1};
		volatile sig_atomic_t stop = 1;
		int wrong = 0, read = 0;

		decode(png, 1, NULL, &info, whole, &error);
		for (size_t n = 0; n < png.n; n++)
		{
			ImgStatus status;

			/* an exact copy, so that a sanitizer sees each byte read beyond it */
			bad = (Output) {malloc(n ? n : 1), n};
			memcpy(bad.bytes, png.bytes, n);
			status = decode(bad, 1, NULL, &info, pixels, &error);
			read += status == IMG_OK;
			wrong += status == IMG_OK && memcmp(pixels, whole, W * H) != 0;
			wrong += status != IMG_OK && status != IMG_CORRUPT && status != IMG_NOT_IMAGE;
			free(bad.bytes);
		}
		unit_ok(wrong == 0 && read == 12, "PNG, %s: read without its last chunk, not without more",
				kinds[k].name);
		wrong = 0;
		for (size_t i = 0; i < png.n - 12; i++)
		{
			png.bytes[i] ^= 0x10;
			wrong +=
				decode(png, 1, NULL, &info, pixels, &error) == IMG_OK && memcmp(pixels, whole, W * H) != 0;
			png.bytes[i] ^= 0x10;
		}
		unit_ok(wrong == 0, "PNG, %s: no changed byte gives another picture", kinds[k].name);
		unit_ok(decode(png, 1, &limits, &info, pixels, &error) == IMG_TOO_LARGE, "PNG, %s: too many pixels",
				kinds[k].name);
		limits = (ImgLimits) {.max_codec_bytes = 4000};
		unit_ok(decode(png, 1, &limits, &info, pixels, &error) == IMG_TOO_LARGE &&
					strstr(error.message, "bytes allowed for the decoder") != NULL,
				"PNG, %s: decoder memory", kinds[k].name);
		limits = (ImgLimits) {.interrupt = &stop};
		unit_ok(decode(png, 1, &limits, &info, pixels, &error) == IMG_INTERRUPTED, "PNG, %s: interrupted",
				kinds[k].name);
		free(png.bytes);
	}
}

/* The mean of the full picture and what decoding at a smaller scale makes of it, largest difference. */
static int
distance_to_full(int height, int width, int side)
{
	size_t bound = img_encode_bound(height, width, 1);
	uint8_t *pixels = malloc((size_t) height * (size_t) width), *jpeg = malloc(bound);
	uint8_t dst[64 * 64], want[64 * 64];
	ImgPreprocess pre = {side, side, 1, IMG_INTERPOLATION_AREA};
	size_t n, need;
	void *scratch;
	ImgInfo info;
	ImgError error;
	int most = 0;

	/* steep at the edges, so that a stretched picture differs */
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			pixels[y * width + x] = (uint8_t) (128 + 60 * ((x / 16 + y / 16) % 2) - 40 * (x > width - 20));
	img_encode_jpeg(jpeg, bound, &n, pixels, height, width, 1, 95, &error);
	img_info(&info, jpeg, n, NULL, &error);
	need = img_preprocess_scratch_bytes(&info, &pre) + img_resize_scratch_bytes(height, width, side, side, 1);
	scratch = aligned_alloc(64, need);
	img_preprocess(dst, jpeg, n, &info, &pre, NULL, scratch, need, &error);
	img_decode(pixels, (size_t) height * (size_t) width, 1, jpeg, n, &info, NULL, &error);
	img_resize(want, side, side, pixels, height, width, 1, IMG_INTERPOLATION_AREA, NULL, scratch);
	for (int i = 0; i < side * side; i++)
		most = abs(dst[i] - want[i]) > most ? abs(dst[i] - want[i]) : most;
	free(scratch);
	free(pixels);
	free(jpeg);
	return most;
}

static void
test_partial_blocks(void)
{
	uint8_t src[13], dst[2];
	ImgResizeShape shape = {1, 97, 8, 1, 2, 1, IMG_INTERPOLATION_AREA};
	ImgResizer resizer;
	void *scratch = aligned_alloc(64, img_resizer_bytes(&shape));

	/* 97 pixels as 13 of eight: the last one holds a single pixel of picture */
	memset(src, 100, sizeof(src));
	src[12] = 255;
	img_resizer_begin(&resizer, dst, &shape, scratch);
	resizer.sink.put(&resizer.sink, src);
	unit_ok(dst[0] == 100 && dst[1] == (uint8_t) ((47.5 * 100 + 255) / 48.5 + 0.5),
			"a partial block counts by its part");
	free(scratch);

	for (int more = 0; more < 8; more++)
	{
		int d8 = distance_to_full(768 + more, 768 + 8 - more, 64);
		int d2 = distance_to_full(192 + more, 200 + more, 64);

		unit_ok(d8 <= 2 && d2 <= 7,
				"sides %d beyond a multiple of 8: near the mean of the full picture (%d, %d)", more, d8, d2);
	}
}

static void
test_foreign(void)
{
	static const struct
	{
		const char *bytes;
		size_t n;
		const char *text, *hint;
	} cases[] = {
		{"\xff\xd8", 1, "one byte", ""},
		{"nothing", 7, "starts with 0x6e 0x6f", ""},
		{"GIF89a......", 12, "a GIF image", "Convert"},
		{"II*\0....", 8, "a TIFF image", "Convert"},
		{"RIFF....WEBPVP8 ", 16, "a WebP image", "Convert"},
		{"\0\0\0\x18"
		 "ftypheic",
		 12, "a HEIC image", "Convert"},
		{"%PDF-1.7", 8, "a PDF document", "pdfimages"},
		{"PK\3\4....", 8, "a ZIP archive", "Load what"},
		{"\x1f\x8b\x08.", 4, "gzip", "gunzip"},
		{"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQ==", 40, "base64",
		 "decode(convert_from(image, 'UTF8'), 'base64')"},
		{"data:image/png;base64,iVBORw0KGgo=", 34, "data URI", "split_part"},
		{"\\xffd8ffe000104a46", 18, "hexadecimal", "decode(substr("},
		{"ffd8ffe000104a464946", 20, "hexadecimal", "decode(convert_from(image, 'UTF8'), 'hex')"},
		{"/srv/xrays/person 1.JPEG\n", 25, "the name of a file", "pg_read_binary_file"},
		{"b'\\xff\\xd8\\xff'", 15, "Python", "parameter"},
		{"{\"image\": \"/9j/\"}", 17, "JSON", "holds"},
		{"<!DOCTYPE html><html>", 21, "HTML", "again"},
		{"https://example.org/1.jpg", 25, "URL", "Fetch"},
		{"version https://git-lfs.github.com/spec/v1", 42, "Git LFS", "git lfs pull"},
		{"\n\xff\xd8\xff\xe0", 5, "1 byte before", "substr(image, 2)"},
		{"\x89PNG\n\x1a\n....", 11, "line ends", "again"},
		{"\xef\xbf\xbd\xef\xbf\xbd....", 10, "read as UTF-8", "again"},
	};
	ImgInfo info;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ImgError error = {IMG_OK, "", ""};
		uint8_t *exact = malloc(cases[i].n);
		ImgStatus status;

		memcpy(exact, cases[i].bytes, cases[i].n);
		status = img_info(&info, exact, cases[i].n, NULL, &error);
		if (!unit_ok(status == IMG_NOT_IMAGE && strstr(error.message, cases[i].text) != NULL &&
						 strstr(error.hint, cases[i].hint) != NULL,
					 "not an image: %s", cases[i].text))
			printf("#   %d %s | %s\n", (int) status, error.message, error.hint);
		free(exact);
	}
}

int
main(void)
{
	test_png_kinds();
	test_png_precision();
	test_png_damage();
	test_partial_blocks();
	test_foreign();
	return unit_done();
}
