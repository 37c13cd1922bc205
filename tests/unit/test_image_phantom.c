/*
 * test_image_phantom.c
 *		The drawn radiograph and the heat map over an image.
 */
#include <stdlib.h>

#include "unit.h"
#include "image/image.h"

#define SIDE 128
#define N_EACH 500
#define N_FEATURES 16

static void *scratch;

static void
draw(uint8_t *dst, int side, uint64_t seed, int pneumonia)
{
	if (img_phantom(dst, side, side, seed, pneumonia, NULL, scratch) != IMG_OK)
		unit_ok(false, "phantom %llu of class %d", (unsigned long long) seed, pneumonia);
}

/* ---- no brightness tells the classes --------------------------------------- */

static const char *const feature_names[N_FEATURES] = {"mean",
													  "spread",
													  "minimum",
													  "maximum",
													  "1st percentile",
													  "5th percentile",
													  "10th percentile",
													  "25th percentile",
													  "median",
													  "75th percentile",
													  "90th percentile",
													  "95th percentile",
													  "99th percentile",
													  "mean of the middle",
													  "spread of the middle",
													  "share above 128"};

static double
spread(double sum, double squares, double n)
{
	return sqrt(fmax(0, squares / n - (sum / n) * (sum / n)));
}

static void
measure(double *features, const uint8_t *image)
{
	static const double fractions[9] = {0.01, 0.05, 0.10, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99};
	int histogram[256] = {0};
	double sum[2] = {0}, squares[2] = {0};
	int above = 0;
	int seen = 0;
	int k = 0;

	for (int i = 0; i < SIDE * SIDE; i++)
	{
		int x = i % SIDE, y = i / SIDE;
		double v = image[i];

		histogram[image[i]]++;
		above += v > 128;
		for (int middle = 0; middle < 2; middle++)
			if (!middle || (x >= SIDE / 4 && x < SIDE * 3 / 4 && y >= SIDE / 4 && y < SIDE * 3 / 4))
			{
				sum[middle] += v;
				squares[middle] += v * v;
			}
	}
	features[0] = sum[0] / (SIDE * SIDE);
	features[1] = spread(sum[0], squares[0], SIDE * SIDE);
	for (int level = 0; level < 256; level++)
	{
		if (histogram[level] == 0)
			continue;
		if (seen == 0)
			features[2] = level;
		features[3] = level;
		seen += histogram[level];
		while (k < 9 && seen >= fractions[k] * SIDE * SIDE)
			features[4 + k++] = level;
	}
	features[13] = sum[1] / (SIDE * SIDE / 4.0);
	features[14] = spread(sum[1], squares[1], SIDE * SIDE / 4.0);
	features[15] = above;
}

static void
test_brightness_is_blind(void)
{
	static double features[2][N_EACH][N_FEATURES];
	static uint8_t image[SIDE * SIDE];

	for (int label = 0; label < 2; label++)
		for (int i = 0; i < N_EACH; i++)
		{
			draw(image, SIDE, (uint64_t) i + 1, label);
			measure(features[label][i], image);
		}
	for (int f = 0; f < N_FEATURES; f++)
	{
		double wins = 0;
		double auc;

		for (int i = 0; i < N_EACH; i++)
			for (int j = 0; j < N_EACH; j++)
			{
				double d = features[1][i][f] - features[0][j][f];

				wins += d > 0 ? 1 : (d == 0 ? 0.5 : 0);
			}
		auc = wins / ((double) N_EACH * N_EACH);
		if (!unit_ok(auc > 0.4 && auc < 0.6, "%s does not tell the classes", feature_names[f]))
			printf("#   AUC %.3f\n", auc);
	}
}

static void
test_phantom_is_a_function(void)
{
	static uint8_t a[SIDE * SIDE], b[SIDE * SIDE];
	volatile sig_atomic_t stop = 1;

	draw(a, SIDE, 5, 1);
	draw(b, SIDE, 6, 1);
	unit_ok(memcmp(a, b, sizeof(a)) != 0, "another seed, another picture");
	draw(b, SIDE, 5, 0);
	unit_ok(memcmp(a, b, sizeof(a)) != 0, "another class, another picture");
	memset(scratch, 0x5a, img_phantom_scratch_bytes(SIDE, SIDE));
	draw(b, SIDE, 5, 1);
	unit_ok(memcmp(a, b, sizeof(a)) == 0, "the same seed and class, the same bytes");
	draw(b, SIDE, 5, 7);
	unit_ok(memcmp(a, b, sizeof(a)) == 0, "any class but 0 is pneumonia");
	unit_ok(img_phantom(b, SIDE, SIDE, 5, 1, &stop, scratch) == IMG_INTERRUPTED, "interrupted");
}

static void
test_phantom_sizes(void)
{
	static const int sizes[][2] = {{64, 64}, {64, 300}, {299, 65}, {512, 512}};
	uint8_t *image = malloc(512 * 512);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		int h = sizes[i][0], w = sizes[i][1];
		size_t bytes = img_phantom_scratch_bytes(h, w);
		void *own = aligned_alloc(64, bytes);

		unit_ok(bytes > 0 && img_phantom(image, h, w, UINT64_C(0xffffffffffffffff), 1, NULL, own) == IMG_OK,
				"%d x %d", h, w);
		free(own);
	}
	unit_ok(img_phantom_scratch_bytes(63, 64) == 0 && img_phantom_scratch_bytes(64, 2049) == 0 &&
				img_phantom(image, 63, 64, 1, 0, NULL, scratch) == IMG_BAD_ARGUMENT &&
				img_phantom(image, 64, 2049, 1, 0, NULL, scratch) == IMG_BAD_ARGUMENT,
			"sizes out of range");
	free(image);
}

/* ---- overlay ---------------------------------------------------------------- */

static void
test_overlay(void)
{
	enum
	{
		H = 20,
		W = 30
	};
	uint8_t grey[H * W];
	uint8_t dst[H * W * 3];
	float map[4] = {1, -1, 0, NAN};
	float huge[4] = {3e38f, -3e38f, 3e38f, INFINITY};
	int same = 1;
	int tinted;

	for (int i = 0; i < H * W; i++)
		grey[i] = (uint8_t) (i * 7);
	img_overlay(dst, grey, H, W, map, 2, 2, 0, 1);
	for (int i = 0; i < H * W * 3; i++)
		same &= dst[i] == grey[i / 3];
	unit_ok(same, "an empty map leaves the image");
	img_overlay(dst, grey, H, W, map, 2, 2, 1, 0);
	for (int i = 0; i < H * W * 3; i++)
		same &= dst[i] == grey[i / 3];
	unit_ok(same, "no opacity leaves the image");

	img_overlay(dst, grey, H, W, map, 2, 2, 1, 1);
	tinted = (W + 0) * 3; /* inside the first cell */
	unit_ok(dst[tinted] == 203 && dst[tinted + 1] == 52 && dst[tinted + 2] == 42, "positive is red");
	tinted = (W + W - 1) * 3;
	unit_ok(dst[tinted] == 0 && dst[tinted + 1] == 108 && dst[tinted + 2] == 207, "negative is blue");
	tinted = ((H - 1) * W + W - 1) * 3;
	unit_ok(dst[tinted] == grey[H * W - 1] && dst[tinted + 1] == grey[H * W - 1], "NaN counts as zero");
	tinted = (H - 1) * W * 3;
	unit_ok(dst[tinted] == grey[(H - 1) * W], "zero leaves the image");

	img_overlay(dst, grey, H, W, huge, 2, 2, 1e-38f, 1);
	unit_ok(dst[0] == 203, "a huge value is the last colour");
	img_overlay(dst, grey, H, W, map, 1, 1, 2, 0.5f);
	unit_ok(dst[0] > grey[0] && dst[H * W * 3 - 3] != grey[H * W - 1], "one cell covers all");
}

int
main(void)
{
	scratch = aligned_alloc(64, img_phantom_scratch_bytes(512, 512));
	test_phantom_is_a_function();
	test_phantom_sizes();
	test_brightness_is_blind();
	test_overlay();
	free(scratch);
	return unit_done();
}
