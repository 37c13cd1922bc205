/*
 * test_image_augment.c
 *		Random numbers, draws and the affine pass, against what Keras gives.
 *
 * tests/golden/augment/ was made by tests/golden/augment_imagedatagenerator.py,
 * which describes its lines.
 */
#include <stdlib.h>

#include "unit.h"
#include "random/philox.h"
#include "image/image.h"
#include "image/image_internal.h"

#define MAX_LINE (1 << 20)
#define MAX_PIXELS (64 * 64 * 3)

/* ---- golden files ---------------------------------------------------------- */

typedef struct Golden
{
	char name[64];
	char line[MAX_LINE];
	ImgFillMode fill_mode;
	float cval;
	int height, width, channels;
	uint8_t image[MAX_PIXELS];
	char transform_name[64];
	ImgTransform transform;
	int has_brightness;
	int n_tensors;
	double affine[MAX_PIXELS]; /* of the transform at hand */
} Golden;

static const ImgTransform no_transform = {.zx = 1, .zy = 1, .brightness = 1};

static void
set_parameter(Golden *golden, const char *key, double value)
{
	ImgTransform *t = &golden->transform;

	if (strcmp(key, "theta") == 0)
		t->theta = value;
	else if (strcmp(key, "tx") == 0)
		t->tx = value;
	else if (strcmp(key, "ty") == 0)
		t->ty = value;
	else if (strcmp(key, "shear") == 0)
		t->shear = value;
	else if (strcmp(key, "zx") == 0)
		t->zx = value;
	else if (strcmp(key, "zy") == 0)
		t->zy = value;
	else if (strcmp(key, "flip_horizontal") == 0)
		t->flip_horizontal = value != 0;
	else if (strcmp(key, "flip_vertical") == 0)
		t->flip_vertical = value != 0;
	else if (strcmp(key, "brightness") == 0)
	{
		t->brightness = value;
		golden->has_brightness = 1;
	}
	else
		unit_ok(false, "%s: unknown parameter %s", golden->name, key);
}

static void
read_transform(Golden *golden, char *words)
{
	char *word = strtok(words, " \n");

	golden->transform = no_transform;
	golden->transform.fill_mode = golden->fill_mode;
	golden->transform.cval = golden->cval;
	golden->has_brightness = 0;
	snprintf(golden->transform_name, sizeof(golden->transform_name), "%s", word);
	while ((word = strtok(NULL, " \n")) != NULL)
	{
		char *equals = strchr(word, '=');

		*equals = '\0';
		set_parameter(golden, word, strtod(equals + 1, NULL));
	}
}

static void
read_fill_mode(Golden *golden, char *words)
{
	static const char *const names[] = {"nearest", "constant", "reflect", "wrap"};
	char *word = strtok(words, " \n");

	for (int i = 0; i < 4; i++)
		if (strcmp(word, names[i]) == 0)
			golden->fill_mode = (ImgFillMode) i;
	word = strtok(NULL, " \n");
	golden->cval = strtof(word + strlen("cval="), NULL);
}

/* Both code paths give the same; keep that of the public function. */
static void
apply(float *dst, const Golden *golden, const ImgTransform *transform)
{
	static float portable[MAX_PIXELS];
	size_t n = (size_t) (golden->height * golden->width * golden->channels);
	size_t scratch_bytes = img_augment_scratch_bytes(golden->height, golden->width, golden->channels);
	void *scratch = aligned_alloc(64, scratch_bytes);

	img_augment_apply(dst, golden->image, golden->height, golden->width, golden->channels, transform, 1,
					  scratch);
	img_augment_apply_portable(portable, golden->image, golden->height, golden->width, golden->channels,
							   transform, 1, scratch);
	if (memcmp(dst, portable, n * sizeof(float)) != 0)
		unit_ok(false, "%s %s: both paths give the same bits", golden->name, golden->transform_name);
	free(scratch);
}

/*
 * Written with six digits.  The brightness step cuts to whole numbers, so one
 * step is allowed where the value before it is a whole number but for rounding.
 */
static void
compare_tensor(Golden *golden, const char *part, const double *want, size_t n)
{
	static float got[MAX_PIXELS];
	ImgTransform transform = golden->transform;
	int is_affine = strcmp(part, "affine") == 0;
	double worst = 0;
	int steps = 0;

	if (is_affine)
	{
		transform.brightness = 1;
		memcpy(golden->affine, want, n * sizeof(double));
	}
	apply(got, golden, &transform);
	for (size_t i = 0; i < n; i++)
	{
		double d = fabs(got[i] - want[i]);

		if (!is_affine && d != 0 && fabs(golden->affine[i] - rint(golden->affine[i])) < 0.001 &&
			d <= ceil(transform.brightness))
		{
			steps++;
			d = 0;
		}
		worst = fmax(worst, d);
	}
	if (!unit_ok(worst <= (is_affine ? 6e-4 : 0) && steps * 50 <= (int) n, "%s: %s/%s", golden->name,
				 golden->transform_name, part))
		printf("#   worst %g, %d steps\n", worst, steps);
}

static void
read_tensor(Golden *golden, char *words)
{
	static double values[MAX_PIXELS];
	char *end;
	char *name = strtok(words, " ");
	char *slash = strchr(name, '/');
	int dims[3] = {0};
	size_t n;

	words = name + strlen(name) + 1;
	if (strtol(words, &end, 10) != 3)
	{
		unit_ok(false, "%s: rank of %s", golden->name, name);
		return;
	}
	for (int i = 0; i < 3; i++)
		dims[i] = (int) strtol(end, &end, 10);
	n = (size_t) (dims[0] * dims[1] * dims[2]);
	for (size_t i = 0; i < n && i < MAX_PIXELS; i++)
		values[i] = strtod(end, &end);
	golden->n_tensors++;
	if (slash != NULL)
		compare_tensor(golden, slash + 1, values, n);
	else
	{
		golden->height = dims[0];
		golden->width = dims[1];
		golden->channels = dims[2];
		for (size_t i = 0; i < n; i++)
			golden->image[i] = (uint8_t) values[i];
	}
}

static void
test_golden_file(const char *name)
{
	static Golden golden;
	char path[128];
	int ended = 0;
	FILE *file;

	memset(&golden, 0, sizeof(golden));
	snprintf(golden.name, sizeof(golden.name), "%s", name);
	snprintf(path, sizeof(path), "tests/golden/augment/%s.txt", name);
	file = fopen(path, "r");
	if (!unit_ok(file != NULL, "%s can be read", path))
		return;
	while (!ended && fgets(golden.line, sizeof(golden.line), file) != NULL)
	{
		if (strncmp(golden.line, "fill_mode ", 10) == 0)
			read_fill_mode(&golden, golden.line + 10);
		else if (strncmp(golden.line, "transform ", 10) == 0)
			read_transform(&golden, golden.line + 10);
		else if (strncmp(golden.line, "tensor ", 7) == 0)
			read_tensor(&golden, golden.line + 7);
		else if (strncmp(golden.line, "end", 3) == 0)
			ended = 1;
	}
	fclose(file);
	unit_ok(ended && golden.n_tensors > 5, "%s is complete", path);
}

/* ---- random numbers -------------------------------------------------------- */

static void
test_philox(void)
{
	/* known answers of the reference implementation (Random123, kat_vectors) */
	static const uint32_t counters[3][4] = {
		{0, 0, 0, 0},
		{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
		{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
	};
	static const uint64_t keys[3] = {0, UINT64_C(0xffffffffffffffff), UINT64_C(0x299f31d0a4093822)};
	static const uint32_t answers[3][4] = {
		{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
		{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
	};

	for (int i = 0; i < 3; i++)
	{
		const uint32_t *c = counters[i];
		Philox out = philox(keys[i], c[0], c[1], c[2], c[3]);

		unit_ok(memcmp(out.v, answers[i], sizeof(out.v)) == 0, "Philox4x32-10, known answer %d", i + 1);
	}
	unit_ok(philox_double(0, 0) == 0 && philox_double(0xffffffff, 0xffffffff) < 1,
			"a unit number is in [0, 1)");
}

static const ImgAugmentRanges all_ranges = {.rotation_range = 10,
											.width_shift_range = 0.1f,
											.height_shift_range = 12,
											.brightness_low = 0.8f,
											.brightness_high = 1.2f,
											.shear_range = 5,
											.zoom_low = 0.9f,
											.zoom_high = 1.1f,
											.horizontal_flip = 1,
											.vertical_flip = 1,
											.fill_mode = IMG_FILL_REFLECT};

typedef struct Moments
{
	double low, high, sum, squares;
} Moments;

static void
add_value(Moments *m, double value, int first)
{
	if (first || value < m->low)
		m->low = value;
	if (first || value > m->high)
		m->high = value;
	m->sum += value;
	m->squares += value * value;
}

/* Uniform in [low, high): limits, mean and variance of n draws. */
static void
check_uniform(const Moments *m, int n, double low, double high, const char *name)
{
	double mean = m->sum / n, variance = m->squares / n - mean * mean, width = high - low;

	unit_ok(m->low >= low - 1e-6 && m->high <= high + 1e-6 && m->low < low + 0.01 * width &&
				m->high > high - 0.01 * width && fabs(mean - (low + high) / 2) < 0.01 * width &&
				fabs(variance / (width * width / 12) - 1) < 0.03,
			"%s is uniform in [%g, %g)", name, low, high);
}

static void
test_draw_distributions(void)
{
	enum
	{
		N = 20000
	};
	Moments m[8] = {0};
	int flips[2] = {0};
	double zoom_product = 0;
	ImgTransform t;

	for (int i = 0; i < N; i++)
	{
		img_augment_draw(&t, &all_ranges, 200, 100, 7, 3, (uint32_t) i);
		add_value(&m[0], t.theta, i == 0);
		add_value(&m[1], t.tx, i == 0);
		add_value(&m[2], t.ty, i == 0);
		add_value(&m[3], t.shear, i == 0);
		add_value(&m[4], t.zx, i == 0);
		add_value(&m[5], t.zy, i == 0);
		add_value(&m[6], t.brightness, i == 0);
		flips[0] += t.flip_horizontal;
		flips[1] += t.flip_vertical;
		zoom_product += (t.zx - 1) * (t.zy - 1);
	}
	check_uniform(&m[0], N, -10, 10, "theta");
	check_uniform(&m[1], N, -12, 12, "tx in pixels, from the height's range");
	check_uniform(&m[2], N, -10, 10, "ty as a fraction of the width");
	check_uniform(&m[3], N, -5, 5, "shear");
	check_uniform(&m[4], N, 0.9, 1.1, "zx");
	check_uniform(&m[5], N, 0.9, 1.1, "zy");
	check_uniform(&m[6], N, 0.8, 1.2, "brightness");
	unit_ok(abs(flips[0] - N / 2) < 300 && abs(flips[1] - N / 2) < 300, "flips with probability 1/2");
	unit_ok(fabs(zoom_product / N) < 1e-4, "zx and zy are drawn apart");
	unit_ok(t.fill_mode == IMG_FILL_REFLECT, "the fill mode is handed on");
}

static void
test_draw_rules(void)
{
	ImgAugmentRanges ranges = {0};
	ImgTransform a, b;
	int seen[5] = {0};
	int whole = 1;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	img_augment_draw(&a, &all_ranges, 64, 64, 1, 2, 3);
	img_augment_draw(&b, &all_ranges, 64, 64, 1, 2, 3);
	unit_ok(memcmp(&a, &b, sizeof(a)) == 0, "the same seed, epoch and sample draw the same");
	img_augment_draw(&b, &all_ranges, 64, 64, 2, 2, 3);
	unit_ok(a.theta != b.theta, "another seed");
	img_augment_draw(&b, &all_ranges, 64, 64, 1, 3, 3);
	unit_ok(a.theta != b.theta, "another epoch");
	img_augment_draw(&b, &all_ranges, 64, 64, 1, 2, 4);
	unit_ok(a.theta != b.theta, "another sample");

	ranges.rotation_range = 10;
	img_augment_draw(&b, &ranges, 64, 64, 1, 2, 3);
	unit_ok(b.theta == a.theta && b.tx == 0 && b.ty == 0 && b.shear == 0 && b.zx == 1 && b.zy == 1 &&
				!b.flip_horizontal && !b.flip_vertical && b.brightness == 1,
			"a parameter's draw does not depend on the others");

	ranges.width_shift_range = 3;
	ranges.width_shift_integer = 1;
	for (uint32_t i = 0; i < 2000; i++)
	{
		img_augment_draw(&b, &ranges, 64, 64, 1, 0, i);
		whole &= b.ty == floor(b.ty) && fabs(b.ty) <= 2;
		seen[(int) b.ty + 2]++;
	}
	unit_ok(whole && seen[0] > 250 && seen[1] > 250 && seen[2] > 500 && seen[3] > 250 && seen[4] > 250,
			"an integer shift of 3 draws whole pixels from -2 to 2, zero twice as often");
}

static void
test_check(void)
{
	static const struct
	{
		const char *want; /* in the message; NULL: valid */
		ImgAugmentRanges ranges;
	} cases[] = {
		{NULL, {0}},
		{NULL, {.rotation_range = 360, .shear_range = 89, .cval = 255, .zoom_low = 0.5f, .zoom_high = 2}},
		{NULL, {.brightness_low = 0, .brightness_high = 1}},
		{"rotation_range", {.rotation_range = -1}},
		{"rotation_range", {.rotation_range = NAN}},
		{"rotation_range", {.rotation_range = 361}},
		{"width_shift_range", {.width_shift_range = -0.1f}},
		{"width_shift_range", {.width_shift_range = INFINITY}},
		{"whole pixels", {.width_shift_range = 1.5f, .width_shift_integer = 1}},
		{"height_shift_range", {.height_shift_range = 1e6f}},
		{"whole pixels", {.height_shift_range = 0.5f, .height_shift_integer = 1}},
		{"brightness_range", {.brightness_low = 1.2f, .brightness_high = 0.8f}},
		{"brightness_range", {.brightness_low = -1, .brightness_high = 0.8f}},
		{"shear_range", {.shear_range = 90}},
		{"zoom_range", {.zoom_low = 1.2f, .zoom_high = 0.8f}},
		{"zoom_range", {.zoom_low = 0, .zoom_high = 2}},
		{"fill_mode", {.fill_mode = (ImgFillMode) 4}},
		{"cval", {.cval = 256}},
		{"cval", {.cval = NAN}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const char *message = img_augment_check(&cases[i].ranges);

		unit_ok(cases[i].want == NULL ? message == NULL
									  : message != NULL && strstr(message, cases[i].want) != NULL,
				"ranges %zu: %s", i + 1, message ? message : "valid");
	}
	unit_ok(img_augment_check(&all_ranges) == NULL && !img_augment_is_identity(&all_ranges), "all ranges");
	unit_ok(img_augment_is_identity(&cases[0].ranges), "zeros change nothing");
	unit_ok(img_augment_is_identity(&(
				ImgAugmentRanges) {.brightness_low = 1, .brightness_high = 1, .zoom_low = 1, .zoom_high = 1}),
			"ones change nothing");
	unit_ok(!img_augment_is_identity(&(ImgAugmentRanges) {.vertical_flip = 1}), "a flip changes something");
}

/* ---- the affine pass -------------------------------------------------------- */

static void
test_identity_and_flips(void)
{
	static Golden image = {.name = "identity", .height = 33, .width = 47};
	static float got[MAX_PIXELS];
	ImgTransform t = no_transform;
	int same = 1;
	int flipped = 1;

	for (int i = 0; i < MAX_PIXELS; i++)
		image.image[i] = (uint8_t) (i * 2654435761u >> 21);
	for (image.channels = 1; image.channels <= 3; image.channels += 2)
	{
		int n = image.height * image.width * image.channels;

		t = no_transform;
		apply(got, &image, &t);
		for (int i = 0; i < n; i++)
			same &= got[i] == image.image[i];
		t.flip_horizontal = t.flip_vertical = 1;
		apply(got, &image, &t);
		for (int i = 0; i < n; i++)
			flipped &= got[i] == image.image[n - image.channels - i + 2 * (i % image.channels)];
		t.tx = 1e-300; /* through the affine pass, moving nothing */
		apply(got, &image, &t);
		for (int i = 0; i < n; i++)
			flipped &= got[i] == image.image[n - image.channels - i + 2 * (i % image.channels)];
	}
	unit_ok(same, "no transform leaves every pixel");
	unit_ok(flipped, "two flips reverse the image");
}

/* Random transforms of random sizes: both paths agree (apply checks), values stay in range. */
static void
test_paths(void)
{
	static Golden image = {.name = "paths"};
	static float got[MAX_PIXELS];
	ImgAugmentRanges ranges = all_ranges;
	int in_range = 1;

	ranges.rotation_range = 180;
	ranges.shear_range = 60;
	ranges.zoom_low = 0.2f;
	ranges.zoom_high = 5;
	ranges.width_shift_range = 200;
	for (int i = 0; i < MAX_PIXELS; i++)
		image.image[i] = (uint8_t) (i * 2654435761u >> 21);
	for (uint32_t i = 0; i < 400; i++)
	{
		ImgTransform t;
		int n;

		image.height = 1 + (int) (i * 7 % 64);
		image.width = 1 + (int) (i * 11 % 64);
		image.channels = i % 3 == 0 ? 3 : 1;
		n = image.height * image.width * image.channels;
		img_augment_draw(&t, &ranges, image.height, image.width, 1, 0, i);
		t.fill_mode = (ImgFillMode) (i % 4);
		t.cval = 200;
		if (i % 2)
			t.brightness = 1;
		apply(got, &image, &t);
		for (int k = 0; k < n; k++)
			in_range &= got[k] >= 0 && got[k] <= 255;
	}
	unit_ok(in_range, "400 random transforms, both paths, all fill modes");

	/* transforms no range allows: nothing is read beyond the image */
	for (int i = 0; i < 32; i++)
	{
		static const double wild[8] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 1e18, -1e10, 0};
		ImgTransform t = no_transform;

		image.height = image.width = 1 + i % 9;
		image.channels = 1 + i / 16 * 2;
		t.tx = wild[i % 8];
		t.zy = wild[(i + 3) % 8];
		t.cval = NAN;
		t.fill_mode = (ImgFillMode) (i / 2 % 4);
		t.brightness = i % 5 == 0 ? wild[i % 8] : 1.5;
		img_augment_apply(got, image.image, image.height, image.width, image.channels, &t, 1, image.line);
	}
	unit_ok(1, "wild transforms do no harm");
	unit_ok(img_augment_scratch_bytes(0, 5, 1) == 0 && img_augment_scratch_bytes(4097, 5, 1) == 0 &&
				img_augment_scratch_bytes(5, 5, 2) == 0,
			"no scratch for bad sizes");
}

static void
test_rescale(void)
{
	uint8_t src[4] = {0, 51, 102, 255};
	float dst[4];
	float rescale = 1 / 255.0f;
	ImgTransform t = no_transform;
	char scratch[256];

	img_augment_apply(dst, src, 2, 2, 1, &t, rescale, scratch);
	unit_ok(dst[0] == 0 && dst[1] == 51 * rescale && dst[3] == 255 * rescale, "rescale after all");
	t.brightness = 1.3;
	img_augment_apply(dst, src, 2, 2, 1, &t, rescale, scratch);
	unit_ok(dst[1] == 66 * rescale && dst[2] == 132 * rescale && dst[3] == 255 * rescale,
			"brightness is cut to 8 bits before rescale");
}

int
main(void)
{
	static const char *const files[] = {"nearest_gray",    "nearest_square", "nearest_rgb",  "constant_gray",
										"constant_square", "constant_rgb",   "reflect_gray", "reflect_square",
										"reflect_rgb",     "wrap_gray",      "wrap_square",  "wrap_rgb",
										"brightness"};

	test_philox();
	test_draw_distributions();
	test_draw_rules();
	test_check();
	test_identity_and_flips();
	test_paths();
	test_rescale();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		test_golden_file(files[i]);
	return unit_done();
}
