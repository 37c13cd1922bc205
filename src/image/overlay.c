/*-------------------------------------------------------------------------
 *
 * overlay.c
 *	  A heat map over a grey image.
 *
 * The colours run from a neutral light grey at zero to red (positive) and
 * blue (negative) with equal steps of lightness on both sides (CIELAB L* from
 * 92 to 46, chroma growing to about 70), so neither sign looks stronger.  The
 * colour covers more of the image the larger the value is; where the map is
 * zero the image is untouched.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "image_internal.h"

#define COLOURS 9 /* from zero to max_abs */

static const uint8_t negative_colours[COLOURS][3] = {
	{232, 232, 232}, {210, 215, 236}, {189, 199, 235}, {167, 183, 232}, {145, 167, 228},
	{121, 152, 224}, {95, 137, 219},  {64, 123, 213},  {0, 108, 207},
};

static const uint8_t positive_colours[COLOURS][3] = {
	{232, 232, 232}, {243, 208, 201}, {244, 186, 175}, {241, 165, 150}, {237, 144, 127},
	{230, 123, 104}, {222, 101, 82},  {213, 78, 62},   {203, 52, 42},
};

/* Returns a value of the map; one that is not finite counts as zero, since nothing is known there. */
static float
map_value(const float *map, int map_w, int y, int x)
{
	float value = map[(size_t) y * (size_t) map_w + (size_t) x];

	return isfinite(value) ? value : 0;
}

/* Finds the two of n map cells around an output pixel, with half-pixel centres and repeated edges. */
static void
locate(int *first, int *second, float *fraction, int i, int size, int n)
{
	float position = ((float) i + 0.5f) * (float) n / (float) size - 0.5f;

	position = position > 0 ? position : 0;
	*first = (int) position;
	if (*first > n - 1)
		*first = n - 1;
	*second = *first + 1 < n ? *first + 1 : *first;
	*fraction = position - (float) *first;
}

static void
blend_pixel(uint8_t *dst, uint8_t grey, float value, float opacity)
{
	const uint8_t(*colours)[3] = value < 0 ? negative_colours : positive_colours;
	float strength = value < 0 ? -value : value;
	float position, alpha;
	int step;

	if (!(strength <= 1)) /* also what overflowed */
		strength = 1;
	position = strength * (COLOURS - 1);
	step = (int) position;
	if (step > COLOURS - 2)
		step = COLOURS - 2;
	position -= (float) step;
	alpha = opacity * strength * (2 - strength);
	for (int k = 0; k < 3; k++)
	{
		float colour =
			(float) colours[step][k] + position * (float) (colours[step + 1][k] - colours[step][k]);

		dst[k] = (uint8_t) ((float) grey + alpha * (colour - (float) grey) + 0.5f);
	}
}

void
img_overlay(uint8_t *dst, const uint8_t *grey, int height, int width, const float *map, int map_h, int map_w,
			float max_abs, float opacity)
{
	int empty = !(max_abs > 0) || map_h < 1 || map_w < 1;

	opacity = opacity > 0 ? (opacity < 1 ? opacity : 1) : 0;
	for (int y = 0; y < height; y++)
	{
		int y0 = 0, y1 = 0;
		float fy = 0;

		if (!empty)
			locate(&y0, &y1, &fy, y, height, map_h);
		for (int x = 0; x < width; x++, grey++, dst += 3)
		{
			int x0, x1;
			float fx, top, bottom;

			if (empty)
			{
				dst[0] = dst[1] = dst[2] = *grey;
				continue;
			}
			locate(&x0, &x1, &fx, x, width, map_w);
			top = map_value(map, map_w, y0, x0);
			top += fx * (map_value(map, map_w, y0, x1) - top);
			bottom = map_value(map, map_w, y1, x0);
			bottom += fx * (map_value(map, map_w, y1, x1) - bottom);
			blend_pixel(dst, *grey, (top + fy * (bottom - top)) / max_abs, opacity);
		}
	}
}
