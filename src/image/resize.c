/*-------------------------------------------------------------------------
 *
 * resize.c
 *	  Resampling of 8-bit images, in integer arithmetic only.
 *
 * Both filters are separable.  Along an axis an output pixel is a weighted
 * sum of neighbouring source pixels, its taps; the weights are integers that
 * add up to exactly 2^15, computed without floating point, so the result has
 * the same bits on every machine and with every compiler, a constant image
 * stays constant and equal sizes copy the image.
 *
 * Output rows are made one after the other: first the source rows that
 * contribute are summed (vertical pass, long loops over a row that the
 * compiler vectorises) to 16 bits with 8 fractional ones, then this one row is
 * resampled (horizontal pass).  Against exact arithmetic the result is off by
 * at most 1, and by that only where the exact value is close to a half.
 *
 * Filters along an axis of n source and m output pixels:
 *	 area, n >= m: output i is the mean of the source over [i n/m, (i+1) n/m),
 *		source pixels at its ends counted by the part that is covered;
 *	 bilinear, and area with n < m: half-pixel centres, output i lies at
 *		(i + 1/2) n/m - 1/2 and is interpolated between its two neighbours,
 *		the edge pixels repeated beyond the edge.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "image_internal.h"

#define WEIGHT_BITS 15
#define WEIGHT_ONE (UINT32_C(1) << WEIGHT_BITS)
#define FRACTION_BITS 8  /* of the intermediate row */
#define MAX_LEVEL_TAPS 4 /* number of taps that are made equal */

/* The taps of one output pixel along an axis. */
typedef struct Taps
{
	int first; /* source pixel of the first weight */
	int count;
} Taps;

/* Scratch, carved from the caller's block. */
typedef struct ResizeState
{
	uint32_t *sums;      /* one row of the source's width */
	uint16_t *row;       /* the same, rounded */
	uint32_t *y_weights; /* of one output row */
	Taps *x_taps;        /* of all output columns */
	uint32_t *x_weights; /* max_x_taps for each column */
	int max_x_taps;
	int level; /* taps of every column if they are that few, else 0 */
} ResizeState;

static int
is_area(ImgInterpolation interpolation, int src_n, int dst_n)
{
	return interpolation == IMG_INTERPOLATION_AREA && src_n >= dst_n;
}

/* Returns an upper limit of the taps along an axis, whatever the interpolation. */
static size_t
max_taps(int src_n, int dst_n)
{
	size_t n = src_n >= dst_n ? (size_t) src_n / (size_t) dst_n + 2 : 2;

	return n < 2 ? 2 : n;
}

/*
 * Fills the taps of the box filter.  Rounding the running sum, not each weight,
 * keeps the total exact and the error of any partial sum below one unit.
 */
static Taps
area_taps(uint32_t *weights, int i, int src_n, int dst_n)
{
	uint64_t n = (uint64_t) src_n, m = (uint64_t) dst_n;
	uint64_t begin = (uint64_t) i * n; /* in units of 1/m source pixels */
	uint64_t end = begin + n;
	uint64_t last = (end - 1) / m;
	uint32_t before = 0;
	Taps taps;

	taps.first = (int) (begin / m);
	taps.count = (int) (last - begin / m) + 1;
	for (int k = 0; k < taps.count; k++)
	{
		uint64_t to = ((uint64_t) taps.first + (uint64_t) k + 1) * m;
		uint32_t sum;

		if (to > end)
			to = end;
		sum = (uint32_t) (((to - begin) * WEIGHT_ONE + n / 2) / n);
		weights[k] = sum - before;
		before = sum;
	}
	return taps;
}

static Taps
bilinear_taps(uint32_t *weights, int i, int src_n, int dst_n)
{
	int64_t m2 = 2 * (int64_t) dst_n;
	int64_t position = (2 * (int64_t) i + 1) * src_n - dst_n; /* in 1/m2 source pixels */
	Taps taps;

	if (position < 0)
		position = 0;
	taps.first = (int) (position / m2);
	taps.count = 1;
	weights[0] = WEIGHT_ONE;
	if (taps.first < src_n - 1)
	{
		int64_t fraction = position - taps.first * m2;

		weights[1] = (uint32_t) ((fraction * WEIGHT_ONE + dst_n) / m2);
		weights[0] = WEIGHT_ONE - weights[1];
		taps.count = weights[1] != 0 ? 2 : 1;
	}
	else
		taps.first = src_n - 1;
	return taps;
}

static Taps
make_taps(uint32_t *weights, int i, int src_n, int dst_n, ImgInterpolation interpolation)
{
	if (is_area(interpolation, src_n, dst_n))
		return area_taps(weights, i, src_n, dst_n);
	return bilinear_taps(weights, i, src_n, dst_n);
}

/* Sets sums to weight * src. */
static void
weigh_row(uint32_t *restrict sums, const uint8_t *restrict src, size_t n, uint32_t weight)
{
	uint16_t w = (uint16_t) weight;

	for (size_t i = 0; i < n; i++)
		sums[i] = (uint32_t) w * (uint16_t) src[i];
}

/* Adds weight * src to sums. */
static void
add_row(uint32_t *restrict sums, const uint8_t *restrict src, size_t n, uint32_t weight)
{
	uint16_t w = (uint16_t) weight;

	for (size_t i = 0; i < n; i++)
		sums[i] += (uint32_t) w * (uint16_t) src[i];
}

/* Rounds a weighted sum to FRACTION_BITS. */
static inline uint16_t
round_sum(uint32_t sum)
{
	return (uint16_t) ((sum + (UINT32_C(1) << (WEIGHT_BITS - FRACTION_BITS - 1))) >>
					   (WEIGHT_BITS - FRACTION_BITS));
}

static void
round_row(uint16_t *restrict row, const uint32_t *restrict sums, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row[i] = round_sum(sums[i]);
}

/* Fills the row where one source row is enough, as it always is when the height does not change. */
static void
widen_row(uint16_t *restrict row, const uint8_t *restrict src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row[i] = (uint16_t) (src[i] << FRACTION_BITS);
}

/*
 * Fills the row from two source rows in one loop, for enlarging and for
 * shrinking by up to 2.  The sums fit in 32 bits: 255 * 2^15.
 */
static void
mix_rows(uint16_t *restrict row, const uint8_t *restrict a, const uint8_t *restrict b, size_t n,
		 uint32_t weight_a, uint32_t weight_b)
{
	uint16_t wa = (uint16_t) weight_a, wb = (uint16_t) weight_b;

	for (size_t i = 0; i < n; i++)
		row[i] = round_sum((uint32_t) wa * (uint16_t) a[i] + (uint32_t) wb * (uint16_t) b[i]);
}

static void
sum_rows(const ResizeState *state, const uint8_t *src, size_t row_n, Taps taps)
{
	const uint8_t *first = src + (size_t) taps.first * row_n;

	if (taps.count == 1)
		widen_row(state->row, first, row_n);
	else if (taps.count == 2)
		mix_rows(state->row, first, first + row_n, row_n, state->y_weights[0], state->y_weights[1]);
	else
	{
		weigh_row(state->sums, first, row_n, state->y_weights[0]);
		for (int k = 1; k < taps.count; k++)
			add_row(state->sums, first + (size_t) k * row_n, row_n, state->y_weights[k]);
		round_row(state->row, state->sums, row_n);
	}
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
level_taps(ResizeState *state, int dst_w, int src_w)
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
		Taps *taps = &state->x_taps[x];
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
resample_row_level(uint8_t *dst, const ResizeState *state, int dst_w, int n)
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
resample_row_grey(uint8_t *dst, const ResizeState *state, int dst_w)
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
resample_row_colour(uint8_t *dst, const ResizeState *state, int dst_w)
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
sizes_are_valid(int src_h, int src_w, int dst_h, int dst_w, int channels)
{
	return src_h >= 1 && src_w >= 1 && dst_h >= 1 && dst_w >= 1 && src_h <= IMG_MAX_JPEG_SIDE &&
		   src_w <= IMG_MAX_JPEG_SIDE && dst_h <= IMG_MAX_JPEG_SIDE && dst_w <= IMG_MAX_JPEG_SIDE &&
		   (channels == 1 || channels == 3);
}

/*
 * Divides the scratch among the arrays and returns its size, 0 on overflow;
 * base may be NULL for the size alone.
 */
static size_t
lay_out(ResizeState *state, char *base, int src_h, int src_w, int dst_h, int dst_w, int channels)
{
	size_t row_n = (size_t) src_w * (size_t) channels;
	size_t x_taps = max_taps(src_w, dst_w);
	size_t sizes[5];
	size_t offsets[5];
	size_t total = 0;

	sizes[0] = row_n * sizeof(uint32_t);
	sizes[1] = row_n * sizeof(uint16_t);
	sizes[2] = max_taps(src_h, dst_h) * sizeof(uint32_t);
	sizes[3] = (size_t) dst_w * sizeof(Taps);
	if (!img_size_mul(&sizes[4], x_taps * sizeof(uint32_t), (size_t) dst_w))
		return 0;
	for (int i = 0; i < 5; i++)
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
		state->x_taps = (Taps *) (void *) (base + offsets[3]);
		state->x_weights = (uint32_t *) (void *) (base + offsets[4]);
		state->max_x_taps = (int) x_taps;
	}
	return total;
}

size_t
img_resize_scratch_bytes(int src_h, int src_w, int dst_h, int dst_w, int channels)
{
	if (!sizes_are_valid(src_h, src_w, dst_h, dst_w, channels))
		return 0;
	return lay_out(NULL, NULL, src_h, src_w, dst_h, dst_w, channels);
}

ImgStatus
img_resize(uint8_t *dst, int dst_h, int dst_w, const uint8_t *src, int src_h, int src_w, int channels,
		   ImgInterpolation interpolation, volatile sig_atomic_t *interrupt, void *scratch)
{
	ResizeState state;
	size_t src_row = (size_t) src_w * (size_t) channels;
	size_t dst_row = (size_t) dst_w * (size_t) channels;

	if (!sizes_are_valid(src_h, src_w, dst_h, dst_w, channels) || scratch == NULL ||
		(interpolation != IMG_INTERPOLATION_AREA && interpolation != IMG_INTERPOLATION_BILINEAR))
		return IMG_BAD_ARGUMENT;
	if (src_h == dst_h && src_w == dst_w)
	{
		memcpy(dst, src, src_row * (size_t) src_h);
		return IMG_OK;
	}

	if (lay_out(&state, scratch, src_h, src_w, dst_h, dst_w, channels) == 0)
		return IMG_BAD_ARGUMENT;
	for (int x = 0; x < dst_w; x++)
		state.x_taps[x] = make_taps(state.x_weights + (size_t) x * (size_t) state.max_x_taps, x, src_w, dst_w,
									interpolation);
	state.level = level_taps(&state, dst_w, src_w);

	for (int y = 0; y < dst_h; y++)
	{
		Taps taps = make_taps(state.y_weights, y, src_h, dst_h, interpolation);

		if (interrupt != NULL && *interrupt)
			return IMG_INTERRUPTED;
		sum_rows(&state, src, src_row, taps);
		if (channels == 1)
			resample_row_grey(dst + (size_t) y * dst_row, &state, dst_w);
		else
			resample_row_colour(dst + (size_t) y * dst_row, &state, dst_w);
	}
	return IMG_OK;
}
