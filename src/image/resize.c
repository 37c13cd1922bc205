/*-------------------------------------------------------------------------
 *
 * resize.c
 *	  Resampling of images, in integer arithmetic only.
 *
 * Both filters are separable.  Along an axis an output pixel is a weighted
 * sum of neighbouring source pixels, its taps; the weights are integers that
 * add up to exactly 2^15, computed without floating point, so the result has
 * the same bits on every machine and with every compiler, a constant image
 * stays constant and equal sizes copy the image.
 *
 * The source comes row by row, so that it is never in memory as a whole.  The
 * rows that contribute to an output row are summed (vertical pass, long loops
 * over a row that the compiler vectorises) to 16 bits with 8 fractional ones, then
 * this one row is resampled (horizontal pass).  Against exact arithmetic the
 * result is off by at most 1, and by that only where the exact value is close to a
 * half.  Wide source rows have the 8 fractional bits from the beginning; a wide
 * row of whole grey levels gives the same bits as the row of 8 bits.
 *
 * Filters along an axis of n source and m output pixels:
 *	 area, n >= m: output i is the mean of the source over [i n/m, (i+1) n/m),
 *		source pixels at its ends counted by the part that is covered;
 *	 bilinear, and area with n < m: half-pixel centres, output i lies at
 *		(i + 1/2) n/m - 1/2 and is interpolated between its two neighbours,
 *		the edge pixels repeated beyond the edge.
 * Where the source was decoded at 1/denom, n is its size before that, divided by
 * denom, and need not be a whole number: the last source pixel is then partly
 * outside the picture and counts by the rest.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "image_internal.h"

#define WEIGHT_BITS 15
#define WEIGHT_ONE (UINT32_C(1) << WEIGHT_BITS)
#define FRACTION_BITS 8  /* of the intermediate row */
#define MAX_LEVEL_TAPS 4 /* number of taps that are made equal */

static int
is_area(ImgInterpolation interpolation, int src_n, int dst_n)
{
	return interpolation == IMG_INTERPOLATION_AREA && src_n >= dst_n;
}

/* Returns the side of a source decoded at 1/denom. */
static int
scaled(int full_n, int denom)
{
	return full_n / denom + (full_n % denom != 0);
}

/* Returns an upper limit of the taps along an axis, whatever the interpolation. */
static size_t
max_taps(int src_n, int dst_n)
{
	return src_n >= dst_n ? (size_t) src_n / (size_t) dst_n + 2 : 2;
}

/*
 * Fills the taps of the box filter over a source of n pixels decoded at 1/denom.
 * Rounding the running sum, not each weight, keeps the total exact and the error
 * of any partial sum below one unit.
 */
static ImgTaps
area_taps(uint32_t *weights, int i, int full_n, int denom, int dst_n)
{
	uint64_t n = (uint64_t) full_n, m = (uint64_t) dst_n;
	uint64_t step = (uint64_t) denom * m;
	uint64_t begin = (uint64_t) i * n; /* in units of 1/m pixels of the full size */
	uint64_t end = begin + n;
	uint64_t last = (end - 1) / step;
	uint32_t before = 0;
	ImgTaps taps;

	taps.first = (int) (begin / step);
	taps.count = (int) (last - begin / step) + 1;
	for (int k = 0; k < taps.count; k++)
	{
		uint64_t to = ((uint64_t) taps.first + (uint64_t) k + 1) * step;
		uint32_t sum;

		if (to > end)
			to = end;
		sum = (uint32_t) (((to - begin) * WEIGHT_ONE + n / 2) / n);
		weights[k] = sum - before;
		before = sum;
	}
	return taps;
}

static ImgTaps
bilinear_taps(uint32_t *weights, int i, int full_n, int denom, int dst_n)
{
	int64_t m = (int64_t) denom * dst_n;
	int64_t position = (2 * (int64_t) i + 1) * full_n - m; /* in 1/(2 m) source pixels */
	int src_n = scaled(full_n, denom);
	ImgTaps taps;

	if (position < 0)
		position = 0;
	taps.first = (int) (position / (2 * m));
	taps.count = 1;
	weights[0] = WEIGHT_ONE;
	if (taps.first < src_n - 1)
	{
		int64_t fraction = position - taps.first * 2 * m;

		weights[1] = (uint32_t) ((fraction * WEIGHT_ONE + m) / (2 * m));
		weights[0] = WEIGHT_ONE - weights[1];
		taps.count = weights[1] != 0 ? 2 : 1;
	}
	else
		taps.first = src_n - 1;
	return taps;
}

static ImgTaps
make_taps(uint32_t *weights, int i, int full_n, int denom, int dst_n, ImgInterpolation interpolation)
{
	if (is_area(interpolation, scaled(full_n, denom), dst_n))
		return area_taps(weights, i, full_n, denom, dst_n);
	return bilinear_taps(weights, i, full_n, denom, dst_n);
}

/*
 * The loops over a row are written once for both kinds of rows; wide is a constant
 * wherever they are inlined.
 */
#define EACH_KIND static inline __attribute__((always_inline))

EACH_KIND uint16_t
sample(const void *row, size_t i, const int wide)
{
	return wide ? ((const uint16_t *) row)[i] : ((const uint8_t *) row)[i];
}

/* Rounds a weighted sum to FRACTION_BITS. */
EACH_KIND uint16_t
round_sum(uint32_t sum, const int wide)
{
	const int bits = wide ? WEIGHT_BITS : WEIGHT_BITS - FRACTION_BITS;

	return (uint16_t) ((sum + (UINT32_C(1) << (bits - 1))) >> bits);
}

/* Sets sums to weight * src. */
EACH_KIND void
weigh_row(uint32_t *restrict sums, const void *restrict src, size_t n, uint32_t weight, const int wide)
{
	uint16_t w = (uint16_t) weight;

	for (size_t i = 0; i < n; i++)
		sums[i] = (uint32_t) w * sample(src, i, wide);
}

/* Adds weight * src to sums. */
EACH_KIND void
add_row(uint32_t *restrict sums, const void *restrict src, size_t n, uint32_t weight, const int wide)
{
	uint16_t w = (uint16_t) weight;

	for (size_t i = 0; i < n; i++)
		sums[i] += (uint32_t) w * sample(src, i, wide);
}

EACH_KIND void
round_row(uint16_t *restrict row, const uint32_t *restrict sums, size_t n, const int wide)
{
	for (size_t i = 0; i < n; i++)
		row[i] = round_sum(sums[i], wide);
}

/* Fills the row where one source row is enough, as it always is when the height does not change. */
EACH_KIND void
widen_row(uint16_t *restrict row, const void *restrict src, size_t n, const int wide)
{
	for (size_t i = 0; i < n; i++)
		row[i] = (uint16_t) (sample(src, i, wide) << (wide ? 0 : FRACTION_BITS));
}

/*
 * Fills the row from two source rows in one loop, for enlarging and for
 * shrinking by up to 2.  The sums fit in 32 bits: 255 * 2^8 * 2^15.
 */
EACH_KIND void
mix_rows(uint16_t *restrict row, const void *restrict a, const void *restrict b, size_t n, uint32_t weight_a,
		 uint32_t weight_b, const int wide)
{
	uint16_t wa = (uint16_t) weight_a, wb = (uint16_t) weight_b;

	for (size_t i = 0; i < n; i++)
		row[i] = round_sum((uint32_t) wa * sample(a, i, wide) + (uint32_t) wb * sample(b, i, wide), wide);
}

/* Rounds the final sum to a pixel; 255 * 2^8 * 2^15 plus the rounding fits in 32 bits. */
static uint8_t
round_pixel(uint32_t sum)
{
	return (uint8_t) ((sum + (UINT32_C(1) << (WEIGHT_BITS + FRACTION_BITS - 1))) >>
					  (WEIGHT_BITS + FRACTION_BITS));
}

/*
 * Pads few taps with zero weights to the same number in each column, and returns
 * that number, or 0 for many taps.  Without this the number would differ by one
 * between neighbouring columns, which a processor cannot foresee.  The shift
 * keeps the taps inside the row.
 */
static int
level_taps(ImgResizer *state, int dst_w, int src_w)
{
	uint32_t *weights = state->x_weights;
	int n = 1;

	for (int x = 0; x < dst_w; x++)
		if (state->x_taps[x].count > n)
			n = state->x_taps[x].count;
	if (n > MAX_LEVEL_TAPS)
		return 0;
	for (int x = 0; x < dst_w; x++, weights += state->max_x_taps)
	{
		ImgTaps *taps = &state->x_taps[x];
		int shift = taps->first + n > src_w ? taps->first + n - src_w : 0;

		for (int k = n - 1; k >= 0; k--)
			weights[k] = k >= shift && k - shift < taps->count ? weights[k - shift] : 0;
		taps->first -= shift;
		taps->count = n;
	}
	return n;
}

/* Resamples a row with n taps in every column; n is a constant wherever this is inlined. */
static inline void
resample_row_level(uint8_t *dst, const ImgResizer *state, int dst_w, int n)
{
	const uint32_t *weights = state->x_weights;
	const int stride = state->max_x_taps;

	for (int x = 0; x < dst_w; x++, weights += stride)
	{
		const uint16_t *row = state->row + state->x_taps[x].first;
		uint32_t sum = weights[0] * row[0];

		for (int k = 1; k < n; k++)
			sum += weights[k] * row[k];
		dst[x] = round_pixel(sum);
	}
}

/* Resamples a grey row; the usual numbers of taps have a loop of their own. */
static void
resample_row_grey(uint8_t *dst, const ImgResizer *state, int dst_w)
{
	const uint32_t *weights = state->x_weights;

	switch (state->level)
	{
		case 1:
			resample_row_level(dst, state, dst_w, 1);
			return;
		case 2:
			resample_row_level(dst, state, dst_w, 2);
			return;
		case 3:
			resample_row_level(dst, state, dst_w, 3);
			return;
		case 4:
			resample_row_level(dst, state, dst_w, 4);
			return;
		default:
			break;
	}
	for (int x = 0; x < dst_w; x++, weights += state->max_x_taps)
	{
		const uint16_t *row = state->row + state->x_taps[x].first;
		int count = state->x_taps[x].count;
		uint32_t sum = weights[0] * row[0];

		for (int k = 1; k < count; k++)
			sum += weights[k] * row[k];
		dst[x] = round_pixel(sum);
	}
}

static void
resample_row_colour(uint8_t *dst, const ImgResizer *state, int dst_w)
{
	const uint32_t *weights = state->x_weights;

	for (int x = 0; x < dst_w; x++, weights += state->max_x_taps)
	{
		const uint16_t *row = state->row + (size_t) state->x_taps[x].first * 3;
		int count = state->x_taps[x].count;
		uint32_t red = 0, green = 0, blue = 0;

		for (int k = 0; k < count; k++)
		{
			red += weights[k] * row[3 * k];
			green += weights[k] * row[3 * k + 1];
			blue += weights[k] * row[3 * k + 2];
		}
		dst[3 * x] = round_pixel(red);
		dst[3 * x + 1] = round_pixel(green);
		dst[3 * x + 2] = round_pixel(blue);
	}
}

static int
shape_is_valid(const ImgResizeShape *shape)
{
	return shape->height >= 1 && shape->height <= IMG_MAX_SIDE && shape->width >= 1 &&
		   shape->width <= IMG_MAX_SIDE && shape->denom >= 1 && shape->denom <= 8 && shape->dst_height >= 1 &&
		   shape->dst_height <= IMG_MAX_SIDE && shape->dst_width >= 1 && shape->dst_width <= IMG_MAX_SIDE &&
		   (shape->channels == 1 || shape->channels == 3) &&
		   (shape->interpolation == IMG_INTERPOLATION_AREA ||
			shape->interpolation == IMG_INTERPOLATION_BILINEAR);
}

/*
 * Divides the scratch among the arrays and returns its size, 0 on overflow;
 * base may be NULL for the size alone.
 */
static size_t
lay_out(ImgResizer *state, char *base, const ImgResizeShape *shape)
{
	int src_h = scaled(shape->height, shape->denom);
	int src_w = scaled(shape->width, shape->denom);
	size_t row_n = (size_t) src_w * (size_t) shape->channels;
	size_t x_taps = max_taps(src_w, shape->dst_width);
	size_t sizes[6];
	size_t offsets[6];
	size_t total = 0;

	sizes[0] = row_n * sizeof(uint32_t);
	sizes[1] = row_n * sizeof(uint16_t);
	sizes[2] = max_taps(src_h, shape->dst_height) * sizeof(uint32_t);
	sizes[3] = (size_t) shape->dst_width * sizeof(ImgTaps);
	if (!img_size_mul(&sizes[4], x_taps * sizeof(uint32_t), (size_t) shape->dst_width))
		return 0;
	sizes[5] = row_n * sizeof(uint16_t);
	for (int i = 0; i < 6; i++)
	{
		size_t aligned = img_align64(sizes[i]);

		offsets[i] = total;
		if (aligned == 0 || !img_size_add(&total, total, aligned))
			return 0;
	}
	if (base != NULL)
	{
		state->sums = (uint32_t *) (void *) (base + offsets[0]);
		state->row = (uint16_t *) (void *) (base + offsets[1]);
		state->y_weights = (uint32_t *) (void *) (base + offsets[2]);
		state->x_taps = (ImgTaps *) (void *) (base + offsets[3]);
		state->x_weights = (uint32_t *) (void *) (base + offsets[4]);
		state->previous = (uint16_t *) (void *) (base + offsets[5]);
		state->max_x_taps = (int) x_taps;
	}
	return total;
}

size_t
img_resizer_bytes(const ImgResizeShape *shape)
{
	return shape_is_valid(shape) ? lay_out(NULL, NULL, shape) : 0;
}

static void
next_output_row(ImgResizer *state)
{
	const ImgResizeShape *shape = &state->shape;

	if (state->dst_y < shape->dst_height)
		state->y_taps = make_taps(state->y_weights, state->dst_y, shape->height, shape->denom,
								  shape->dst_height, shape->interpolation);
}

/* Takes the next source row and writes the output rows that it completes. */
EACH_KIND void
push_row(ImgResizer *state, const void *src, const int wide)
{
	const ImgResizeShape *shape = &state->shape;
	size_t row_n = (size_t) state->src_w * (size_t) shape->channels;
	int y = state->src_y++;

	while (state->dst_y < shape->dst_height && state->y_taps.first <= y)
	{
		const ImgTaps taps = state->y_taps;
		const int is_last = taps.first + taps.count - 1 == y;
		uint8_t *dst;

		if (taps.count > 2)
		{
			if (y == taps.first)
				weigh_row(state->sums, src, row_n, state->y_weights[0], wide);
			else
				add_row(state->sums, src, row_n, state->y_weights[y - taps.first], wide);
		}
		if (!is_last)
			break;
		if (taps.count == 1)
			widen_row(state->row, src, row_n, wide);
		else if (taps.count == 2)
			mix_rows(state->row, state->previous, src, row_n, state->y_weights[0], state->y_weights[1], wide);
		else
			round_row(state->row, state->sums, row_n, wide);
		dst = state->dst + (size_t) state->dst_y * (size_t) shape->dst_width * (size_t) shape->channels;
		if (shape->channels == 1)
			resample_row_grey(dst, state, shape->dst_width);
		else
			resample_row_colour(dst, state, shape->dst_width);
		state->dst_y++;
		next_output_row(state);
	}
	/* the next row completes a pair with this one */
	if (state->dst_y < shape->dst_height && state->y_taps.first == y && state->y_taps.count == 2)
		memcpy(state->previous, src, row_n * (wide ? sizeof(uint16_t) : sizeof(uint8_t)));
}

static void
push(ImgSink *sink, const uint8_t *row)
{
	push_row((ImgResizer *) (void *) sink, row, 0);
}

static void
push_wide(ImgSink *sink, const uint16_t *row)
{
	push_row((ImgResizer *) (void *) sink, row, 1);
}

void
img_resizer_begin(ImgResizer *state, uint8_t *dst, const ImgResizeShape *shape, void *scratch)
{
	memset(state, 0, sizeof(*state));
	state->sink.put = push;
	state->sink.put_wide = push_wide;
	state->shape = *shape;
	state->dst = dst;
	state->src_h = scaled(shape->height, shape->denom);
	state->src_w = scaled(shape->width, shape->denom);
	(void) lay_out(state, scratch, shape);
	for (int x = 0; x < shape->dst_width; x++)
		state->x_taps[x] = make_taps(state->x_weights + (size_t) x * (size_t) state->max_x_taps, x,
									 shape->width, shape->denom, shape->dst_width, shape->interpolation);
	state->level = level_taps(state, shape->dst_width, state->src_w);
	next_output_row(state);
}

size_t
img_resize_scratch_bytes(int src_h, int src_w, int dst_h, int dst_w, int channels)
{
	return img_resizer_bytes(
		&(ImgResizeShape) {src_h, src_w, 1, dst_h, dst_w, channels, IMG_INTERPOLATION_AREA});
}

ImgStatus
img_resize(uint8_t *dst, int dst_h, int dst_w, const uint8_t *src, int src_h, int src_w, int channels,
		   ImgInterpolation interpolation, volatile sig_atomic_t *interrupt, void *scratch)
{
	const ImgResizeShape shape = {src_h, src_w, 1, dst_h, dst_w, channels, interpolation};
	ImgResizer resizer;

	if (img_resizer_bytes(&shape) == 0 || scratch == NULL)
		return IMG_BAD_ARGUMENT;
	img_resizer_begin(&resizer, dst, &shape, scratch);
	for (int y = 0; y < src_h; y++)
	{
		if (interrupt != NULL && *interrupt)
			return IMG_INTERRUPTED;
		push(&resizer.sink, src + (size_t) y * (size_t) src_w * (size_t) channels);
	}
	return IMG_OK;
}
