/*-------------------------------------------------------------------------
 *
 * film.c
 *	  From the attenuations of a drawn radiograph to its grey levels.
 *
 * A patch of pneumonia makes a film brighter, so brightness alone would tell
 * the classes.  As digital radiography does, the film is therefore developed
 * by a tone curve that takes quantiles of the film to given grey levels; these
 * levels are drawn (exposure, contrast, gamma) without regard to the class,
 * and so are grain, collimation and marker.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "random/philox.h"
#include "phantom.h"

#define BINS 1024        /* of the film's histogram */
#define KNOTS 9          /* of the tone curve */
#define FILM_LOW (-0.6f) /* range of the histogram */
#define FILM_HIGH 1.8f

#define STREAM_GRAIN UINT32_C(3) /* third word of the Philox counter */

_Static_assert(IMG_FILM_SCRATCH_BYTES == BINS * (sizeof(uint32_t) + sizeof(float)),
			   "the scratch holds histogram and curve");

typedef struct Film
{
	const float *values; /* height * width attenuations */
	int height, width;
	uint32_t *histogram; /* BINS */
	float *curve;        /* grey level of each bin */
} Film;

static int
bin_of(float value)
{
	float t = (value - FILM_LOW) * (BINS / (FILM_HIGH - FILM_LOW));

	return t < 0 ? 0 : (t >= BINS ? BINS - 1 : (int) t);
}

/* Fills the film values that the given fractions of all pixels do not exceed. */
static void
film_quantiles(const Film *film, const float *fractions, float *quantiles)
{
	size_t n = (size_t) film->height * (size_t) film->width;
	double seen = 0;
	int bin = 0;

	memset(film->histogram, 0, BINS * sizeof(uint32_t));
	for (size_t i = 0; i < n; i++)
		film->histogram[bin_of(film->values[i])]++;
	for (int k = 0; k < KNOTS; k++)
	{
		while (bin < BINS - 1 && seen + film->histogram[bin] < fractions[k] * (double) n)
			seen += film->histogram[bin++];
		quantiles[k] = FILM_LOW + ((float) bin + 0.5f) * ((FILM_HIGH - FILM_LOW) / BINS);
	}
}

/*
 * Fills the grey level of each histogram bin, a monotone curve through the
 * quantiles.  Levels are those of an average chest film before the draws.
 */
static void
draw_tone_curve(const Film *film, ImgRandom *random)
{
	static const float fractions[KNOTS] = {0.01f, 0.05f, 0.15f, 0.30f, 0.45f, 0.60f, 0.75f, 0.90f, 0.99f};
	static const float levels[KNOTS] = {14, 36, 68, 94, 118, 141, 164, 190, 220};
	float quantiles[KNOTS];
	float tones[KNOTS];
	float gamma = img_random_draw(random, 0.85f, 1.18f), contrast = img_random_draw(random, 0.82f, 1.12f),
		  brightness = img_random_draw(random, -20, 20);
	int k = 0;

	film_quantiles(film, fractions, quantiles);
	for (int i = 0; i < KNOTS; i++)
	{
		float level = levels[i] + img_random_draw(random, -5, 5);

		level = 255 * powf(level / 255, gamma);
		tones[i] = 128 + contrast * (level - 128) + brightness;
		if (i > 0 && tones[i] < tones[i - 1] + 2)
			tones[i] = tones[i - 1] + 2;
		if (i > 0 && quantiles[i] < quantiles[i - 1] + 0.004f)
			quantiles[i] = quantiles[i - 1] + 0.004f;
	}
	for (int bin = 0; bin < BINS; bin++)
	{
		float value = FILM_LOW + ((float) bin + 0.5f) * ((FILM_HIGH - FILM_LOW) / BINS);
		float t;

		while (k < KNOTS - 2 && value > quantiles[k + 1])
			k++;
		t = (value - quantiles[k]) / (quantiles[k + 1] - quantiles[k]);
		/* beyond the ends: flatter, as film saturates */
		if (t < 0)
			t *= 0.35f;
		else if (t > 1)
			t = 1 + (t - 1) * 0.5f;
		film->curve[bin] = tones[k] + t * (tones[k + 1] - tones[k]);
	}
}

/* Returns the sum of the four bytes of a word, scaled: about normal with variance 1. */
static float
grain_of(uint32_t word)
{
	float sum =
		(float) (word & 255) + (float) (word >> 8 & 255) + (float) (word >> 16 & 255) + (float) (word >> 24);

	return (sum - 510) * (1.0f / 147.8f);
}

/* Develops the film: tone curve, grain (stronger where the film is dark), 8 bits. */
static void
expose_levels(uint8_t *dst, const Film *film, float strength, const ImgRandom *random)
{
	size_t n = (size_t) film->height * (size_t) film->width;
	Philox x = {{0}};
	float previous = 0;

	for (size_t i = 0; i < n; i++)
	{
		float t = (film->values[i] - FILM_LOW) * (BINS / (FILM_HIGH - FILM_LOW)) - 0.5f;
		int bin = t < 0 ? 0 : (t >= BINS - 1 ? BINS - 2 : (int) t);
		float level = film->curve[bin] + (t - (float) bin) * (film->curve[bin + 1] - film->curve[bin]);
		float grain;

		if (i % 4 == 0)
			x = philox(random->seed, (uint32_t) (i / 4), 0, STREAM_GRAIN, random->stream);
		/* neighbours share some of it: a film's grain is not white */
		grain = grain_of(x.v[i % 4]);
		level += strength * (0.8f * grain + 0.6f * previous) * (1.2f - level * (0.6f / 255));
		previous = grain;
		dst[i] = level <= 0 ? 0 : (level >= 255 ? 255 : (uint8_t) (level + 0.5f));
	}
}

/* Draws the edge of the exposed field: dark strips on some sides, whatever the class. */
static void
draw_collimation(uint8_t *dst, int height, int width, ImgRandom *random)
{
	int strips[4];

	for (int k = 0; k < 4; k++)
	{
		float present = img_random_draw(random, 0, 1), size = img_random_draw(random, 0.01f, 0.06f);

		strips[k] = present < 0.2f ? (int) (size * (float) (k < 2 ? height : width)) : 0;
	}
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			if (y < strips[0] || y >= height - strips[1] || x < strips[2] || x >= width - strips[3])
				dst[(size_t) y * (size_t) width + (size_t) x] /= 12;
}

/* Draws a lead marker, the letter L, in a corner of some films. */
static void
draw_marker(uint8_t *dst, int height, int width, ImgRandom *random)
{
	float present = img_random_draw(random, 0, 1);
	int size = (int) (img_random_draw(random, 0.05f, 0.08f) * (float) height);
	int stroke = size / 5 + 1;
	int top = (int) (img_random_draw(random, 0.04f, 0.12f) * (float) height);
	int left = (int) (img_random_draw(random, 0.82f, 0.89f) * (float) width);
	int level = (int) img_random_draw(random, 215, 255);

	if (present > 0.6f)
		return;
	for (int y = 0; y < size && top + y < height; y++)
		for (int x = 0; x < size * 2 / 3 && left + x < width; x++)
			if (x < stroke || y >= size - stroke)
				dst[(size_t) (top + y) * (size_t) width + (size_t) (left + x)] = (uint8_t) level;
}

void
img_film_develop(uint8_t *dst, const float *values, int height, int width, float grain, ImgRandom *random,
				 void *scratch)
{
	Film film;

	film.values = values;
	film.height = height;
	film.width = width;
	film.histogram = scratch;
	film.curve = (float *) (void *) (film.histogram + BINS);
	draw_tone_curve(&film, random);
	expose_levels(dst, &film, grain, random);
	draw_collimation(dst, height, width, random);
	draw_marker(dst, height, width, random);
}
