/*
 * test_image.c
 *		JPEG streams, limits and errors, resize and preprocessing.
 *
 * The streams are made here, with libjpeg itself or by changing single bytes
 * of what it made.
 */
#include <stdlib.h>

#include "unit.h"
#include "image/image.h"
#include "image/image_internal.h"

#include <jpeglib.h>

typedef struct Bytes
{
	uint8_t *data;
	size_t n;
} Bytes;

typedef struct Recipe
{
	int width, height, components;        /* 1, 3 or 4 */
	int progressive, arithmetic, restart; /* interval in blocks */
	int keep_rgb;                         /* no YCbCr */
	int many_scans;                       /* one for each coefficient and bit */
	int flat;                             /* a constant image */
	int quality;
} Recipe;

static uint8_t
test_pixel(int x, int y, int c)
{
	return (uint8_t) (128 + 60 * sin(x * 0.11 + c) + 50 * cos(y * 0.07 - c) + (x * 7 + y * 13) % 11);
}

static void
script_many_scans(struct jpeg_compress_struct *jpeg, jpeg_scan_info *scans)
{
	int n = 0;

	memset(&scans[n], 0, sizeof(scans[n]));
	scans[n++].comps_in_scan = 1;
	for (int bit = 2; bit >= 0; bit--)
		for (int k = 1; k < 64; k++)
		{
			memset(&scans[n], 0, sizeof(scans[n]));
			scans[n].comps_in_scan = 1;
			scans[n].Ss = scans[n].Se = k;
			scans[n].Ah = bit == 2 ? 0 : bit + 1;
			scans[n].Al = bit;
			n++;
		}
	jpeg->scan_info = scans;
	jpeg->num_scans = n;
}

static Bytes
make_jpeg(Recipe recipe)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jpeg_scan_info scans[200];
	unsigned char *buffer = NULL;
	unsigned long size = 0;
	Bytes bytes;
	JSAMPROW row = malloc((size_t) recipe.width * (size_t) recipe.components);

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &buffer, &size);
	jpeg.image_width = (JDIMENSION) recipe.width;
	jpeg.image_height = (JDIMENSION) recipe.height;
	jpeg.input_components = recipe.components;
	jpeg.in_color_space = recipe.components == 1   ? JCS_GRAYSCALE
						  : recipe.components == 3 ? JCS_RGB
												   : JCS_CMYK;
	jpeg_set_defaults(&jpeg);
	if (recipe.keep_rgb)
		jpeg_set_colorspace(&jpeg, JCS_RGB);
	jpeg_set_quality(&jpeg, recipe.quality ? recipe.quality : 90, TRUE);
	jpeg.arith_code = recipe.arithmetic;
	jpeg.restart_interval = (unsigned) recipe.restart;
	if (recipe.progressive)
		jpeg_simple_progression(&jpeg);
	if (recipe.many_scans)
		script_many_scans(&jpeg, scans);
	jpeg_start_compress(&jpeg, TRUE);
	for (int y = 0; y < recipe.height; y++)
	{
		for (int x = 0; x < recipe.width; x++)
			for (int c = 0; c < recipe.components; c++)
				row[x * recipe.components + c] = recipe.flat ? 100 : test_pixel(x, y, c);
		(void) jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	free(row);

	/* an exact copy, so that a sanitizer sees each byte read beyond it */
	bytes.n = size;
	bytes.data = malloc(size);
	memcpy(bytes.data, buffer, size);
	free(buffer);
	return bytes;
}

static Bytes
copy_bytes(const uint8_t *data, size_t n)
{
	Bytes copy = {malloc(n ? n : 1), n};

	memcpy(copy.data, data, n);
	return copy;
}

/* Position of the first marker 0xFF code, or 0. */
static size_t
find_marker(Bytes bytes, uint8_t code)
{
	for (size_t i = 0; i + 1 < bytes.n; i++)
		if (bytes.data[i] == 0xff && bytes.data[i + 1] == code)
			return i;
	return 0;
}

static Bytes
insert_bytes(Bytes bytes, size_t at, const void *what, size_t n)
{
	Bytes longer = {malloc(bytes.n + n), bytes.n + n};

	memcpy(longer.data, bytes.data, at);
	memcpy(longer.data + at, what, n);
	memcpy(longer.data + at + n, bytes.data + at, bytes.n - at);
	return longer;
}

/* Info and full decoding in one; the first failure is the result. */
static ImgStatus
decode(Bytes bytes, int channels, const ImgLimits *limits, ImgInfo *info, uint8_t **pixels, ImgError *error)
{
	ImgStatus status;
	size_t n;

	memset(error, 0, sizeof(*error));
	*pixels = NULL;
	status = img_info(info, bytes.data, bytes.n, limits, error);
	if (status != IMG_OK)
		return status;
	n = (size_t) info->width * info->height * (size_t) channels;
	*pixels = malloc(n);
	return img_decode(*pixels, n, channels, bytes.data, bytes.n, info, limits, error);
}

static ImgStatus
decode_status(Bytes bytes, const ImgLimits *limits, ImgError *error)
{
	ImgInfo info;
	uint8_t *pixels;
	ImgStatus status = decode(bytes, 1, limits, &info, &pixels, error);

	free(pixels);
	return status;
}

static void
check_failure(Bytes bytes, const ImgLimits *limits, ImgStatus want, const char *text, const char *name)
{
	ImgError error;
	ImgStatus status = decode_status(bytes, limits, &error);

	if (!unit_ok(status == want && error.status == want && strstr(error.message, text) != NULL, "%s", name))
		printf("#   status %d (wanted %d): %s\n", status, want, error.message);
}

/* Mean absolute difference to what was encoded: luma of the three channels for colour. */
static double
distance_to_source(const uint8_t *pixels, const ImgInfo *info, int channels, int source_components)
{
	double sum = 0;

	for (uint32_t y = 0; y < info->height; y++)
		for (uint32_t x = 0; x < info->width; x++)
			for (int c = 0; c < channels; c++)
			{
				double want;
				int ix = (int) x, iy = (int) y;

				if (source_components == 1)
					want = test_pixel(ix, iy, 0);
				else if (channels == 3)
					want = test_pixel(ix, iy, c);
				else
					want = 0.299 * test_pixel(ix, iy, 0) + 0.587 * test_pixel(ix, iy, 1) +
						   0.114 * test_pixel(ix, iy, 2);
				sum += fabs(want - pixels[((size_t) y * info->width + x) * (size_t) channels + (size_t) c]);
			}
	return sum / ((double) info->width * info->height * channels);
}

static void
test_good_images(void)
{
	static const struct
	{
		const char *name;
		Recipe recipe;
	} cases[] = {
		{"grey", {.width = 61, .height = 43, .components = 1}},
		{"grey progressive", {.width = 61, .height = 43, .components = 1, .progressive = 1}},
		{"grey arithmetic", {.width = 61, .height = 43, .components = 1, .arithmetic = 1}},
		{"grey with restarts", {.width = 61, .height = 43, .components = 1, .restart = 3}},
		{"colour 4:2:0", {.width = 61, .height = 43, .components = 3}},
		{"colour progressive", {.width = 61, .height = 43, .components = 3, .progressive = 1}},
		{"colour stored as RGB", {.width = 61, .height = 43, .components = 3, .keep_rgb = 1}},
		{"one pixel", {.width = 1, .height = 1, .components = 1}},
		{"one row", {.width = 100, .height = 1, .components = 3}},
		{"one column", {.width = 1, .height = 100, .components = 3}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int channels = 1; channels <= 3; channels += 2)
		{
			Recipe recipe = cases[i].recipe;
			Bytes bytes = make_jpeg(recipe);
			ImgInfo info;
			ImgError error;
			uint8_t *pixels;
			ImgStatus status = decode(bytes, channels, NULL, &info, &pixels, &error);
			double limit = recipe.components == 3 && !recipe.keep_rgb && channels == 3 ? 14 : 4;

			if (!unit_ok(status == IMG_OK && (int) info.width == recipe.width &&
							 (int) info.height == recipe.height && info.components == recipe.components &&
							 info.bits == 8 && info.progressive == recipe.progressive &&
							 distance_to_source(pixels, &info, channels, recipe.components) < limit,
						 "%s to %d channels", cases[i].name, channels))
				printf("#   status %d, %s\n", status, error.message);
			free(pixels);
			free(bytes.data);
		}
}

/* What must not fail: nothing of the picture is missing. */
static void
test_harmless_flaws(void)
{
	Bytes good = make_jpeg((Recipe) {.width = 40, .height = 40, .components = 1});
	ImgError error;
	Bytes flawed;

	flawed = insert_bytes(good, good.n, "trailing garbage \xff\xd8", 20);
	unit_ok(decode_status(flawed, NULL, &error) == IMG_OK, "bytes after the end of the image");
	free(flawed.data);
	flawed = insert_bytes(good, find_marker(good, 0xdb), "abc", 3);
	unit_ok(decode_status(flawed, NULL, &error) == IMG_OK, "extraneous bytes between segments");
	free(flawed.data);
	flawed = insert_bytes(good, good.n - 2, "\0\0\0", 3);
	unit_ok(decode_status(flawed, NULL, &error) == IMG_OK, "padding before the end marker");
	free(flawed.data);
	flawed = copy_bytes(good.data, good.n);
	flawed.data[find_marker(flawed, 0xe0) + 9] = 7; /* major revision of JFIF */
	unit_ok(decode_status(flawed, NULL, &error) == IMG_OK, "unknown JFIF revision");
	free(flawed.data);
	flawed = insert_bytes(good, 2,
						  "\xff\xfe\0\x0a"
						  "a remark",
						  12);
	unit_ok(decode_status(flawed, NULL, &error) == IMG_OK, "a comment");
	free(flawed.data);
	free(good.data);
}

static void
test_not_jpeg(void)
{
	uint8_t text[] = "P5 3 3 255 this is no JPEG";
	Bytes bytes = {text, sizeof(text)};
	ImgInfo info;
	ImgError error;

	check_failure(bytes, NULL, IMG_NOT_IMAGE, "it is a PGM image", "other bytes");
	bytes.n = 0;
	check_failure(bytes, NULL, IMG_NOT_IMAGE, "no bytes", "no bytes");
	unit_ok(img_info(&info, NULL, 0, NULL, NULL) == IMG_NOT_IMAGE, "NULL, and no error wanted");
	bytes.n = 1;
	unit_ok(decode_status(bytes, NULL, &error) != IMG_OK, "one byte");
	memcpy(text, "\xff\xd8", 2);
	bytes.n = 2;
	unit_ok(decode_status(bytes, NULL, &error) == IMG_CORRUPT, "only the start marker");
	memcpy(text, "\xff\xd8\xff\xd9", 4);
	bytes.n = 4;
	unit_ok(decode_status(bytes, NULL, &error) == IMG_CORRUPT, "start and end without an image");
}

static void
test_damage(void)
{
	Recipe recipes[3] = {
		{.width = 48, .height = 40, .components = 1},
		{.width = 48, .height = 40, .components = 3, .progressive = 1},
		{.width = 48, .height = 40, .components = 1, .arithmetic = 1, .restart = 4},
	};
	static const char *const names[3] = {"baseline", "progressive", "arithmetic"};
	ImgError error;

	for (int r = 0; r < 3; r++)
	{
		Bytes good = make_jpeg(recipes[r]);
		ImgInfo info;
		uint8_t *want;
		int accepted = 0;
		int other = 0;

		decode(good, 1, NULL, &info, &want, &error);
		for (size_t n = 0; n < good.n; n++)
		{
			Bytes shorter = copy_bytes(good.data, n);
			uint8_t *pixels;
			ImgStatus status = decode(shorter, 1, NULL, &info, &pixels, &error);

			accepted += status == IMG_OK;
			other += status == IMG_OK && memcmp(pixels, want, (size_t) info.width * info.height) != 0;
			free(pixels);
			other += status != IMG_OK && status != IMG_CORRUPT && status != IMG_NOT_IMAGE;
			free(shorter.data);
		}
		/* without the two bytes of the end marker, and a byte of padding before it */
		unit_ok(accepted >= (recipes[r].arithmetic ? 0 : 2) && accepted <= 3 && other == 0,
				"%s: of %zu truncations those that leave the picture whole are read", names[r], good.n);
		free(want);

		/* any byte may change; nothing must crash, and the status be known */
		other = 0;
		for (size_t i = 0; i < good.n; i++)
			for (int bit = 0; bit < 8; bit += 3)
			{
				Bytes flipped = copy_bytes(good.data, good.n);
				ImgStatus status;
				ImgLimits small = {.max_pixels = 100000};

				flipped.data[i] ^= (uint8_t) (1 << bit);
				status = decode_status(flipped, &small, &error);
				other += status > IMG_NO_MEMORY || status == IMG_BAD_ARGUMENT;
				free(flipped.data);
			}
		unit_ok(other == 0, "%s: flipped bits give a picture or an error", names[r]);
		free(good.data);
	}
}

static void
test_corrupt_kinds(void)
{
	Bytes good = make_jpeg((Recipe) {.width = 64, .height = 64, .components = 1, .restart = 8});
	Bytes bad;
	size_t at;

	at = find_marker(good, 0xd1);
	bad = copy_bytes(good.data, good.n);
	bad.data[at + 1] = 0xd4;
	check_failure(bad, NULL, IMG_CORRUPT, "damaged JPEG image", "a restart marker out of order");
	free(bad.data);

	bad = copy_bytes(good.data, good.n);
	memset(bad.data + find_marker(good, 0xd0) + 4, 0xff, 1);
	memset(bad.data + find_marker(good, 0xd0) + 5, 0xd9, 1);
	check_failure(bad, NULL, IMG_CORRUPT, "damaged JPEG image", "an end marker in the data");
	free(bad.data);

	bad = copy_bytes(good.data, good.n);
	bad.data[find_marker(good, 0xda) + 5] = 9; /* component of the scan */
	check_failure(bad, NULL, IMG_CORRUPT, "damaged JPEG image", "a scan of an unknown component");
	free(bad.data);
	free(good.data);
}

static void
test_unsupported(void)
{
	Bytes bytes;
	size_t sof;

	bytes = make_jpeg((Recipe) {.width = 32, .height = 32, .components = 1});
	sof = find_marker(bytes, 0xc0);
	bytes.data[sof + 4] = 12;
	check_failure(bytes, NULL, IMG_UNSUPPORTED, "unsupported", "12 bits");
	bytes.data[sof + 4] = 8;
	bytes.data[sof + 1] = 0xc3;
	check_failure(bytes, NULL, IMG_UNSUPPORTED, "unsupported", "lossless");
	bytes.data[sof + 1] = 0xc0;
	bytes.data[sof + 5] = bytes.data[sof + 6] = 0;
	check_failure(bytes, NULL, IMG_CORRUPT, "mpty", "no height in the header");
	free(bytes.data);
}

static void
test_limits(void)
{
	Bytes bytes = make_jpeg((Recipe) {.width = 200, .height = 100, .components = 1});
	Bytes progressive =
		make_jpeg((Recipe) {.width = 1000, .height = 1000, .components = 1, .progressive = 1, .flat = 1});
	Bytes bomb = make_jpeg((Recipe) {.width = 64, .height = 64, .components = 1, .many_scans = 1});
	ImgLimits limits;
	ImgError error;
	volatile sig_atomic_t stop = 1;
	size_t sof;

	limits = (ImgLimits) {.max_bytes = bytes.n - 1};
	check_failure(bytes, &limits, IMG_TOO_LARGE, "bytes; at most", "one byte too many");
	limits.max_bytes++;
	unit_ok(decode_status(bytes, &limits, &error) == IMG_OK, "exactly the bytes allowed");
	limits = (ImgLimits) {.max_side = 199};
	check_failure(bytes, &limits, IMG_TOO_LARGE, "longest side allowed is 199", "one pixel too wide");
	limits.max_side = 200;
	unit_ok(decode_status(bytes, &limits, &error) == IMG_OK, "exactly the side allowed");
	limits = (ImgLimits) {.max_pixels = 19999};
	check_failure(bytes, &limits, IMG_TOO_LARGE, "200 x 100 = 20000 pixels; at most 19999",
				  "one pixel too many");
	limits.max_pixels++;
	unit_ok(decode_status(bytes, &limits, &error) == IMG_OK, "exactly the pixels allowed");

	limits = (ImgLimits) {.max_codec_bytes = 256 * 1024};
	check_failure(progressive, &limits, IMG_TOO_LARGE, "bytes allowed for the decoder", "decoder memory");
	unit_ok(decode_status(progressive, NULL, &error) == IMG_OK, "the same with enough memory");

	check_failure(bomb, NULL, IMG_TOO_LARGE, "more than 100 scans", "190 scans");
	limits = (ImgLimits) {.max_scans = 200};
	unit_ok(decode_status(bomb, &limits, &error) == IMG_OK, "190 scans where 200 are allowed");

	limits = (ImgLimits) {.interrupt = &stop};
	check_failure(bytes, &limits, IMG_INTERRUPTED, "interrupted", "interrupted, baseline");
	check_failure(progressive, &limits, IMG_INTERRUPTED, "interrupted", "interrupted, progressive");
	stop = 0;
	unit_ok(decode_status(bytes, &limits, &error) == IMG_OK, "not interrupted");

	sof = find_marker(bytes, 0xc0);
	bytes.data[sof + 5] = bytes.data[sof + 7] = 0xff;
	bytes.data[sof + 6] = bytes.data[sof + 8] = 0xdc;
	check_failure(bytes, NULL, IMG_TOO_LARGE, "65500 x 65500", "a huge header");
	bytes.data[sof + 6] = 0xff;
	check_failure(bytes, NULL, IMG_TOO_LARGE, "65500", "a header beyond JPEG's own limit");
	free(bytes.data);
	free(progressive.data);
	free(bomb.data);
}

static void
test_decode_arguments(void)
{
	Bytes bytes = make_jpeg((Recipe) {.width = 20, .height = 30, .components = 1});
	uint8_t pixels[640];
	ImgInfo info;
	ImgError error;

	img_info(&info, bytes.data, bytes.n, NULL, &error);
	unit_ok(img_decode(pixels, 599, 1, bytes.data, bytes.n, &info, NULL, &error) == IMG_NO_SPACE,
			"a buffer one byte short");
	unit_ok(img_decode(pixels, 600, 2, bytes.data, bytes.n, &info, NULL, &error) == IMG_BAD_ARGUMENT,
			"two channels");
	info.width = 21;
	unit_ok(img_decode(pixels, 640, 1, bytes.data, bytes.n, &info, NULL, &error) == IMG_BAD_ARGUMENT,
			"info of another image");
	free(bytes.data);
}

static void
test_encode(void)
{
	enum
	{
		H = 37,
		W = 53
	};
	uint8_t *src = malloc(H * W * 3);
	uint8_t *back = malloc(H * W * 3);
	ImgError error;
	ImgInfo info;
	size_t n;

	for (int channels = 1; channels <= 3; channels += 2)
	{
		size_t bound = img_encode_bound(H, W, channels);
		uint8_t *dst = malloc(bound);
		double sum = 0;

		for (int i = 0; i < H * W * channels; i++)
			src[i] = test_pixel(i / channels % W, i / channels / W, i % channels);
		unit_ok(img_encode_jpeg(dst, bound, &n, src, H, W, channels, 95, &error) == IMG_OK &&
					img_info(&info, dst, n, NULL, &error) == IMG_OK && info.components == channels &&
					info.width == W && info.height == H &&
					img_decode(back, (size_t) (H * W * channels), channels, dst, n, &info, NULL, &error) ==
						IMG_OK,
				"encode and decode %d channels", channels);
		for (int i = 0; i < H * W * channels; i++)
			sum += abs(src[i] - back[i]);
		unit_ok(sum / (H * W * channels) < 2.5, "%d channels come back", channels);
		unit_ok(img_encode_jpeg(dst, n - 1, &n, src, H, W, channels, 95, &error) == IMG_NO_SPACE && n == 0,
				"%d channels, one byte short", channels);
		free(dst);
	}

	/* the hardest image for the bound: noise of full range at quality 100 */
	{
		size_t bound = img_encode_bound(H, W, 3);
		uint8_t *dst = malloc(bound);

		srand(1);
		for (int i = 0; i < H * W * 3; i++)
			src[i] = rand() & 64 ? 255 : 0;
		unit_ok(img_encode_jpeg(dst, bound, &n, src, H, W, 3, 100, &error) == IMG_OK, "noise fits");
		unit_ok(img_encode_jpeg(dst, bound, &n, src, H, W, 3, 0, &error) == IMG_BAD_ARGUMENT, "quality 0");
		unit_ok(img_encode_jpeg(dst, bound, &n, src, H, W, 3, 101, &error) == IMG_BAD_ARGUMENT,
				"quality 101");
		unit_ok(img_encode_jpeg(dst, bound, &n, src, 0, W, 3, 90, &error) == IMG_BAD_ARGUMENT, "no height");
		unit_ok(img_encode_jpeg(dst, bound, &n, src, H, W, 2, 90, &error) == IMG_BAD_ARGUMENT,
				"two channels to encode");
		free(dst);
	}
	unit_ok(img_encode_bound(65501, 1, 1) == 0 && img_encode_bound(1, 1, 4) == 0, "no bound");
	free(src);
	free(back);
}

/* ---- resize -------------------------------------------------------------- */

/* Exact weight of source pixel k for output pixel i along an axis. */
static double
exact_weight(int k, int i, int n, int m, ImgInterpolation interpolation)
{
	if (interpolation == IMG_INTERPOLATION_AREA && n >= m)
	{
		double low = fmax(k, (double) i * n / m), high = fmin(k + 1, (double) (i + 1) * n / m);

		return high > low ? (high - low) * m / n : 0;
	}
	else
	{
		double position = (i + 0.5) * n / m - 0.5;

		position = fmin(fmax(position, 0), n - 1);
		return fmax(0, 1 - fabs(position - k));
	}
}

static double
exact_pixel(const uint8_t *src, int h, int w, int channels, int c, int y, int x, int dst_h, int dst_w,
			ImgInterpolation interpolation)
{
	double sum = 0;

	/* no filter reaches farther than its own output pixel and one more */
	int i0 = y * h / dst_h - 2, j0 = x * w / dst_w - 2;
	int i1 = (y + 1) * h / dst_h + 2, j1 = (x + 1) * w / dst_w + 2;

	for (int i = i0 > 0 ? i0 : 0; i < h && i <= i1; i++)
	{
		double wy = exact_weight(i, y, h, dst_h, interpolation);

		if (wy == 0)
			continue;
		for (int j = j0 > 0 ? j0 : 0; j < w && j <= j1; j++)
		{
			double wx = exact_weight(j, x, w, dst_w, interpolation);

			if (wx != 0)
				sum += wy * wx * src[(i * w + j) * channels + c];
		}
	}
	return sum;
}

static uint64_t
hash_bytes(const uint8_t *data, size_t n)
{
	uint64_t hash = UINT64_C(1469598103934665603);

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ data[i]) * UINT64_C(1099511628211);
	return hash;
}

static void
check_resize(int h, int w, int dst_h, int dst_w, int channels, ImgInterpolation interpolation)
{
	uint8_t *src = malloc((size_t) (h * w * channels));
	uint8_t *dst = malloc((size_t) (dst_h * dst_w * channels));
	size_t scratch_bytes = img_resize_scratch_bytes(h, w, dst_h, dst_w, channels);
	void *scratch = aligned_alloc(64, scratch_bytes);
	double worst = 0;
	int off = 0;

	srand((unsigned) (h * 31 + w));
	for (int i = 0; i < h * w * channels; i++)
		src[i] = (uint8_t) (rand() >> 7);
	img_resize(dst, dst_h, dst_w, src, h, w, channels, interpolation, NULL, scratch);
	for (int y = 0; y < dst_h; y++)
		for (int x = 0; x < dst_w; x++)
			for (int c = 0; c < channels; c++)
			{
				double want = exact_pixel(src, h, w, channels, c, y, x, dst_h, dst_w, interpolation);
				double d = fabs(want - dst[(y * dst_w + x) * channels + c]);

				worst = fmax(worst, d);
				off += d > 0.52;
			}
	if (!unit_ok(worst < 0.6 && off * 50 <= dst_h * dst_w * channels, "%s %dx%d to %dx%d, %d channels",
				 interpolation == IMG_INTERPOLATION_AREA ? "area" : "bilinear", h, w, dst_h, dst_w, channels))
		printf("#   worst %g, %d beyond rounding\n", worst, off);
	free(src);
	free(dst);
	free(scratch);
}

static void
test_resize_exactness(void)
{
	static const int shapes[][4] = {
		{500, 475, 256, 256}, {224, 224, 256, 256}, {100, 300, 256, 128}, {31, 17, 31, 40},
		{33, 65, 16, 65},     {64, 64, 32, 16},     {1, 1, 5, 7},         {7, 5, 1, 1},
		{1, 200, 3, 64},      {301, 299, 300, 298}, {2, 3, 3, 2},         {96, 96, 9, 250},
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		for (int mode = 0; mode < 2; mode++)
			check_resize(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], i % 3 == 1 ? 3 : 1,
						 (ImgInterpolation) mode);
}

static void
test_resize_properties(void)
{
	enum
	{
		N = 48
	};
	uint8_t src[N * N * 3], dst[N * N * 3];
	uint8_t *wide = malloc(65500);
	void *scratch = aligned_alloc(64, img_resize_scratch_bytes(N, N, 2 * N, 2 * N, 3) +
										  img_resize_scratch_bytes(1, 65500, 1, 1, 1));
	volatile sig_atomic_t stop = 1;
	int same = 1;

	for (int i = 0; i < N * N * 3; i++)
		src[i] = (uint8_t) (i * 2654435761u >> 20);
	for (int mode = 0; mode < 2; mode++)
		for (int channels = 1; channels <= 3; channels += 2)
		{
			memset(dst, 0, sizeof(dst));
			img_resize(dst, N, N, src, N, N, channels, (ImgInterpolation) mode, NULL, scratch);
			same &= memcmp(src, dst, (size_t) (N * N * channels)) == 0;
		}
	unit_ok(same, "the same size is a copy");

	same = 1;
	for (int level = 0; level < 256; level += 5)
	{
		memset(src, level, sizeof(src));
		img_resize(dst, 29, 37, src, N, N, 1, IMG_INTERPOLATION_AREA, NULL, scratch);
		for (int i = 0; i < 29 * 37; i++)
			same &= dst[i] == level;
		img_resize(dst, N, N, src, 13, 17, 1, IMG_INTERPOLATION_BILINEAR, NULL, scratch);
		for (int i = 0; i < N * N; i++)
			same &= dst[i] == level;
	}
	unit_ok(same, "a constant image stays constant");

	for (int i = 0; i < 65500; i++)
		wide[i] = (uint8_t) (i & 1 ? 200 : 100);
	img_resize(dst, 1, 1, wide, 1, 65500, 1, IMG_INTERPOLATION_AREA, NULL, scratch);
	unit_ok(dst[0] == 150, "65500 pixels to one");

	for (int i = 0; i < N * N; i++)
		src[i] = (uint8_t) (i * 2654435761u >> 20);
	img_resize(dst, 31, 43, src, N, N, 1, IMG_INTERPOLATION_AREA, NULL, scratch);
	unit_ok(hash_bytes(dst, 31 * 43) == UINT64_C(0x395923A0000B4216), "area: the bits every build gives");
	img_resize(dst, 31, 43, src, N, N, 1, IMG_INTERPOLATION_BILINEAR, NULL, scratch);
	unit_ok(hash_bytes(dst, 31 * 43) == UINT64_C(0x2C293D5642054807), "bilinear: the bits every build gives");

	unit_ok(img_resize(dst, 8, 8, src, N, N, 1, IMG_INTERPOLATION_AREA, &stop, scratch) == IMG_INTERRUPTED,
			"resize is interrupted");
	unit_ok(img_resize(dst, 0, 8, src, N, N, 1, IMG_INTERPOLATION_AREA, NULL, scratch) == IMG_BAD_ARGUMENT &&
				img_resize(dst, 8, 8, src, N, N, 2, IMG_INTERPOLATION_AREA, NULL, scratch) ==
					IMG_BAD_ARGUMENT &&
				img_resize(dst, 8, 8, src, N, N, 1, (ImgInterpolation) 7, NULL, scratch) == IMG_BAD_ARGUMENT,
			"resize refuses bad arguments");
	unit_ok(img_resize_scratch_bytes(0, 1, 1, 1, 1) == 0 && img_resize_scratch_bytes(1, 65501, 1, 1, 1) == 0,
			"no scratch for bad sizes");
	free(scratch);
	free(wide);
}

/* ---- preprocessing ------------------------------------------------------- */

static void
check_preprocess(Recipe recipe, ImgPreprocess pre, int denom)
{
	Bytes bytes = make_jpeg(recipe);
	ImgInfo info;
	ImgError error = {0};
	int h = (recipe.height + denom - 1) / denom, w = (recipe.width + denom - 1) / denom;
	size_t n = (size_t) (pre.height * pre.width * pre.channels);
	size_t decoded = (size_t) (h * w * pre.channels);
	uint8_t *dst = malloc(n), *want = malloc(n), *pixels = malloc(decoded);
	size_t need;
	void *scratch;
	ImgStatus status;

	img_info(&info, bytes.data, bytes.n, NULL, &error);
	need = img_preprocess_scratch_bytes(&info, &pre);
	scratch = aligned_alloc(64, need);
	status = img_preprocess(dst, bytes.data, bytes.n, &info, &pre, NULL, scratch, need, &error);

	/* the same in two steps */
	img_decode_scaled(pixels, decoded, pre.channels, denom, bytes.data, bytes.n, &info, NULL, &error);
	img_resize(want, pre.height, pre.width, pixels, h, w, pre.channels, pre.interpolation, NULL, scratch);
	if (!unit_ok(status == IMG_OK && memcmp(dst, want, n) == 0, "%dx%dx%d preprocessed to %dx%dx%d at 1/%d",
				 recipe.height, recipe.width, recipe.components, pre.height, pre.width, pre.channels, denom))
		printf("#   status %d %s\n", status, error.message);

	unit_ok(img_preprocess(dst, bytes.data, bytes.n, &info, &pre, NULL, scratch, need - 64, &error) ==
				IMG_NO_SPACE,
			"scratch too small");
	if (pre.channels == 3 && recipe.components == 1)
	{
		int same = 1;

		for (size_t i = 0; i < n; i += 3)
			same &= dst[i] == dst[i + 1] && dst[i] == dst[i + 2];
		unit_ok(same, "grey repeated to RGB");
	}
	free(scratch);
	free(pixels);
	free(want);
	free(dst);
	free(bytes.data);
}

static void
test_preprocess(void)
{
	ImgPreprocess grey = {64, 64, 1, IMG_INTERPOLATION_AREA};
	ImgPreprocess colour = {48, 80, 3, IMG_INTERPOLATION_BILINEAR};
	ImgInfo info = {.width = 100, .height = 100, .components = 1, .bits = 8};
	uint8_t dst[16];
	float rescaled[3];
	ImgError error;

	/* 1.5 * 64 = 96: 768 / 8 is enough, 767 / 8 (rounded up) as well, 760 / 8 = 95 not */
	check_preprocess((Recipe) {.width = 768, .height = 800, .components = 1}, grey, 8);
	check_preprocess((Recipe) {.width = 760, .height = 800, .components = 1}, grey, 4);
	check_preprocess((Recipe) {.width = 800, .height = 760, .components = 1}, grey, 4);
	check_preprocess((Recipe) {.width = 200, .height = 300, .components = 3}, grey, 2);
	check_preprocess((Recipe) {.width = 190, .height = 400, .components = 3}, grey, 1);
	check_preprocess((Recipe) {.width = 64, .height = 64, .components = 1}, grey, 1);
	check_preprocess((Recipe) {.width = 20, .height = 30, .components = 1}, grey, 1);
	check_preprocess((Recipe) {.width = 600, .height = 300, .components = 1}, colour, 4);
	check_preprocess((Recipe) {.width = 600, .height = 300, .components = 3, .progressive = 1}, colour, 4);

	grey.height = 0;
	unit_ok(img_preprocess_scratch_bytes(&info, &grey) == 0 &&
				img_preprocess(dst, dst, 1, &info, &grey, NULL, dst, 16, &error) == IMG_BAD_ARGUMENT &&
				strstr(error.message, "sides are 1 to 4096") != NULL,
			"a network of no height");
	grey.height = 4097;
	unit_ok(img_preprocess_scratch_bytes(&info, &grey) == 0, "a network too high");
	grey.height = 64;
	grey.channels = 2;
	unit_ok(img_preprocess_scratch_bytes(&info, &grey) == 0, "a network of two channels");
	grey.channels = 1;
	info.width = 0;
	unit_ok(img_preprocess_scratch_bytes(&info, &grey) == 0, "an image without width");

	img_rescale(rescaled, (const uint8_t *) "\0\x80\xff", 3, 1 / 255.0f);
	unit_ok(rescaled[0] == 0 && rescaled[1] == 128 * (1 / 255.0f) && rescaled[2] == 255 * (1 / 255.0f),
			"rescale");
}

int
main(void)
{
	test_good_images();
	test_harmless_flaws();
	test_not_jpeg();
	test_damage();
	test_corrupt_kinds();
	test_unsupported();
	test_limits();
	test_decode_arguments();
	test_encode();
	test_resize_exactness();
	test_resize_properties();
	test_preprocess();
	return unit_done();
}
