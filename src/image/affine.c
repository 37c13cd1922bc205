/*-------------------------------------------------------------------------
 *
 * affine.c
 *	  Applies an augmentation: one bilinear affine pass, flips, brightness,
 *	  rescale.
 *
 * The source is first copied with a border of one repeated pixel, so that the
 * four neighbours of any mapped coordinate can be read without a test.  The
 * border is what SciPy reads there too: in "reflect" a coordinate between -1
 * and 0 lies between two copies of the edge pixel; in the other modes the
 * neighbour beyond the edge has the weight zero.
 *
 * Everything up to the float32 rounding is double precision, in the same
 * order of operations in the portable and in the AVX2 code and without fused
 * multiply-add, so both give the same bits.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "image_internal.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2_PATH
#include <immintrin.h>
#endif

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* Room beyond the last pixel, which a 4-byte read of it may touch. */
#define READ_SLACK 64

#define DEGREE (3.14159265358979323846 / 180.0)

/* Source position of an output pixel: row = a * (y, x) + shift, as SciPy has it. */
typedef struct Affine
{
	double row_y, row_x, row_shift;
	double col_y, col_x, col_shift;
} Affine;

typedef struct Job
{
	Affine affine;
	const uint8_t *origin; /* pixel (0, 0) inside the border */
	ptrdiff_t stride;      /* bytes from row to row */
	int height, width, channels;
	ImgFillMode fill_mode;
	float cval;
	int x_first, /* horizontal flip: from the right to the left */
		x_step;
	float rescale;
	const float *levels; /* of the 256 brightened levels, or NULL */
} Job;

/* One row of the result; y is the row before the vertical flip. */
typedef void (*RowFunction)(float *dst, const Job *job, int y);

typedef struct Matrix
{
	double m[3][3];
} Matrix;

static Matrix
multiply(const Matrix *a, const Matrix *b)
{
	Matrix c;

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			c.m[i][j] = a->m[i][0] * b->m[0][j] + a->m[i][1] * b->m[1][j] + a->m[i][2] * b->m[2][j];
	return c;
}

/*
 * Returns the product of rotation, shift, shear and zoom about the centre, with
 * rows and columns exchanged.
 */
static Affine
build_affine(const ImgTransform *t, int height, int width)
{
	double theta = t->theta * DEGREE, shear = t->shear * DEGREE, ox = height / 2.0 - 0.5,
		   oy = width / 2.0 - 0.5;
	Matrix centre = {{{1, 0, ox}, {0, 1, oy}, {0, 0, 1}}};
	Matrix back = {{{1, 0, -ox}, {0, 1, -oy}, {0, 0, 1}}};
	Matrix rotation = {{{cos(theta), -sin(theta), 0}, {sin(theta), cos(theta), 0}, {0, 0, 1}}};
	Matrix shift = {{{1, 0, t->tx}, {0, 1, t->ty}, {0, 0, 1}}};
	Matrix shearing = {{{1, -sin(shear), 0}, {0, cos(shear), 0}, {0, 0, 1}}};
	Matrix zoom = {{{t->zx, 0, 0}, {0, t->zy, 0}, {0, 0, 1}}};
	Matrix m;
	Affine affine;

	m = multiply(&rotation, &shift);
	m = multiply(&m, &shearing);
	m = multiply(&m, &zoom);
	m = multiply(&centre, &m);
	m = multiply(&m, &back);

	affine.row_y = m.m[1][1];
	affine.row_x = m.m[1][0];
	affine.row_shift = m.m[1][2];
	affine.col_y = m.m[0][1];
	affine.col_x = m.m[0][0];
	affine.col_shift = m.m[0][2];
	return affine;
}

static int
has_affine(const ImgTransform *t)
{
	return t->theta != 0 || t->tx != 0 || t->ty != 0 || t->shear != 0 || t->zx != 1 || t->zy != 1;
}

/* Returns c moved into 0 to last; a NaN becomes 0. */
static double
clamp_coordinate(double c, double last)
{
	c = c > 0 ? c : 0;
	return c < last ? c : last;
}

/* Reflects c at the edges: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ... */
static double
reflect_coordinate(double c, int n)
{
	double period = 2.0 * n;
	double folded = c - period * trunc(c / period);

	if (c < 0)
		return folded < -n ? folded + period : -folded - 1;
	return folded >= n ? period - folded - 1 : folded;
}

/* Wraps c as SciPy does, with a period of n - 1: the last pixel takes the place of the first. */
static double
wrap_coordinate(double c, int n)
{
	double period = n - 1;

	return c - period * (trunc(c / period) - (c < 0 ? 1 : 0));
}

/*
 * Maps a coordinate into the source or at most one pixel beyond it, and sets
 * *outside if it was not inside.  An infinite or NaN coordinate stays within the
 * border, too.
 */
static double
map_coordinate(double c, int n, ImgFillMode mode, int *outside)
{
	double last = n - 1;

	if (c >= 0 && c <= last)
		return c;
	*outside = 1;
	if (mode == IMG_FILL_REFLECT)
		c = reflect_coordinate(c, n);
	else if (mode == IMG_FILL_WRAP)
		c = wrap_coordinate(c, n);
	else
		return clamp_coordinate(c, last);
	c = c > -1 ? c : -1;
	return c < n ? c : last;
}

static float
finish_pixel(const Job *job, float value)
{
	if (job->levels != NULL)
		return job->levels[(uint8_t) value];
	return value * job->rescale;
}

/* Computes pixel number i of the row, all channels. */
static void
sample_pixel(float *dst, const Job *job, double row_base, double col_base, int i)
{
	const Affine *a = &job->affine;
	double x = job->x_first + (double) job->x_step * i;
	double r = (row_base + x * a->row_x) + a->row_shift;
	double c = (col_base + x * a->col_x) + a->col_shift;
	double r0, c0;
	int outside = 0;
	const uint8_t *p;

	r = map_coordinate(r, job->height, job->fill_mode, &outside);
	c = map_coordinate(c, job->width, job->fill_mode, &outside);
	if (outside && job->fill_mode == IMG_FILL_CONSTANT)
	{
		for (int k = 0; k < job->channels; k++)
			dst[k] = finish_pixel(job, job->cval);
		return;
	}
	r0 = floor(r);
	c0 = floor(c);
	r -= r0;
	c -= c0;
	p = job->origin + (ptrdiff_t) r0 * job->stride + (ptrdiff_t) c0 * job->channels;
	for (int k = 0; k < job->channels; k++, p++)
	{
		const uint8_t *q = p + job->stride;
		double top = p[0] + c * ((double) p[job->channels] - p[0]);
		double bottom = q[0] + c * ((double) q[job->channels] - q[0]);

		dst[k] = finish_pixel(job, (float) (top + r * (bottom - top)));
	}
}

static void
sample_row_portable(float *dst, const Job *job, int y)
{
	double row_base = y * job->affine.row_y;
	double col_base = y * job->affine.col_y;

	for (int i = 0; i < job->width; i++)
		sample_pixel(dst + (ptrdiff_t) i * job->channels, job, row_base, col_base, i);
}

#ifdef HAVE_AVX2_PATH

/* No FMA in the list: a fused product would round differently. */
#define AVX2 __attribute__((target("avx2")))

/* Computes reflect_coordinate() or wrap_coordinate() of four coordinates, operation by operation. */
AVX2 static __m256d
fold_coordinates_avx2(__m256d c, int n, ImgFillMode mode)
{
	__m256d one = _mm256_set1_pd(1);
	__m256d size = _mm256_set1_pd(n);
	__m256d period = _mm256_set1_pd(mode == IMG_FILL_REFLECT ? 2.0 * n : n - 1);
	__m256d negative = _mm256_cmp_pd(c, _mm256_setzero_pd(), _CMP_LT_OQ);
	__m256d turns = _mm256_round_pd(_mm256_div_pd(c, period), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);

	if (mode == IMG_FILL_REFLECT)
	{
		__m256d minus_size = _mm256_set1_pd(-n);
		__m256d folded = _mm256_sub_pd(c, _mm256_mul_pd(period, turns));
		__m256d mirrored = _mm256_sub_pd(_mm256_sub_pd(_mm256_setzero_pd(), folded), one);
		__m256d below = _mm256_blendv_pd(mirrored, _mm256_add_pd(folded, period),
										 _mm256_cmp_pd(folded, minus_size, _CMP_LT_OQ));
		__m256d above = _mm256_blendv_pd(folded, _mm256_sub_pd(_mm256_sub_pd(period, folded), one),
										 _mm256_cmp_pd(folded, size, _CMP_GE_OQ));

		c = _mm256_blendv_pd(above, below, negative);
	}
	else
	{
		turns = _mm256_sub_pd(turns, _mm256_and_pd(negative, one));
		c = _mm256_sub_pd(c, _mm256_mul_pd(period, turns));
	}
	/* max returns its second operand for a NaN */
	c = _mm256_max_pd(c, _mm256_set1_pd(-1));
	return _mm256_blendv_pd(_mm256_set1_pd(n - 1), c, _mm256_cmp_pd(c, size, _CMP_LT_OQ));
}

/* Maps four coordinates at once and sets the bits of *outside for those that were not inside. */
AVX2 static __m256d
map_coordinates_avx2(__m256d c, int n, ImgFillMode mode, __m256d *outside)
{
	__m256d zero = _mm256_setzero_pd();
	__m256d last = _mm256_set1_pd(n - 1);
	__m256d inside = _mm256_and_pd(_mm256_cmp_pd(c, zero, _CMP_GE_OQ), _mm256_cmp_pd(c, last, _CMP_LE_OQ));

	if (_mm256_movemask_pd(inside) == 15)
		return c;
	*outside = _mm256_or_pd(*outside, _mm256_xor_pd(inside, _mm256_cmp_pd(zero, zero, _CMP_EQ_OQ)));
	if (mode == IMG_FILL_REFLECT || mode == IMG_FILL_WRAP)
		return _mm256_blendv_pd(fold_coordinates_avx2(c, n, mode), c, inside);
	return _mm256_min_pd(_mm256_max_pd(c, zero), last);
}

/* Mixes the bytes at four offsets with their right neighbours, as doubles, by the fractions f. */
AVX2 static __m256d
mix_columns_avx2(const uint8_t *p, __m128i offsets, __m256d f)
{
	__m128i low = _mm_set1_epi32(255);
	__m128i pixels = _mm_i32gather_epi32((const int *) (const void *) p, offsets, 1);
	__m256d left = _mm256_cvtepi32_pd(_mm_and_si128(pixels, low));
	__m256d right = _mm256_cvtepi32_pd(_mm_and_si128(_mm_srli_epi32(pixels, 8), low));

	return _mm256_add_pd(left, _mm256_mul_pd(f, _mm256_sub_pd(right, left)));
}

/* Computes a row of a grey image, where one gathered word holds both neighbours of a row. */
AVX2 static void
sample_row_avx2(float *dst, const Job *job, int y)
{
	const Affine *a = &job->affine;
	double row_base = y * a->row_y, col_base = y * a->col_y;
	__m256d row_bases = _mm256_set1_pd(row_base), col_bases = _mm256_set1_pd(col_base),
			row_x = _mm256_set1_pd(a->row_x), col_x = _mm256_set1_pd(a->col_x),
			row_shift = _mm256_set1_pd(a->row_shift), col_shift = _mm256_set1_pd(a->col_shift);
	__m256d steps = _mm256_mul_pd(_mm256_set_pd(3, 2, 1, 0), _mm256_set1_pd(job->x_step));
	__m128i stride = _mm_set1_epi32((int) job->stride);
	int i = 0;

	for (; i + 4 <= job->width; i += 4)
	{
		__m256d x = _mm256_add_pd(_mm256_set1_pd(job->x_first + (double) job->x_step * i), steps);
		__m256d r = _mm256_add_pd(_mm256_add_pd(row_bases, _mm256_mul_pd(x, row_x)), row_shift);
		__m256d c = _mm256_add_pd(_mm256_add_pd(col_bases, _mm256_mul_pd(x, col_x)), col_shift);
		__m256d outside = _mm256_setzero_pd();
		__m256d r0, c0, top, bottom;
		__m128i offsets;
		__m128 value;

		r = map_coordinates_avx2(r, job->height, job->fill_mode, &outside);
		c = map_coordinates_avx2(c, job->width, job->fill_mode, &outside);
		r0 = _mm256_floor_pd(r);
		c0 = _mm256_floor_pd(c);
		r = _mm256_sub_pd(r, r0);
		c = _mm256_sub_pd(c, c0);
		offsets = _mm_add_epi32(_mm_mullo_epi32(_mm256_cvttpd_epi32(r0), stride), _mm256_cvttpd_epi32(c0));
		top = mix_columns_avx2(job->origin, offsets, c);
		bottom = mix_columns_avx2(job->origin, _mm_add_epi32(offsets, stride), c);
		value = _mm256_cvtpd_ps(_mm256_add_pd(top, _mm256_mul_pd(r, _mm256_sub_pd(bottom, top))));

		if (job->fill_mode == IMG_FILL_CONSTANT && _mm256_movemask_pd(outside) != 0)
		{
			/* the sign bits of the four doubles as a mask of four floats */
			__m128 mask = _mm256_cvtpd_ps(_mm256_and_pd(outside, _mm256_set1_pd(-1.0)));

			value = _mm_blendv_ps(value, _mm_set1_ps(job->cval), mask);
		}
		if (job->levels != NULL)
			value = _mm_i32gather_ps(job->levels, _mm_cvttps_epi32(value), 4);
		else
			value = _mm_mul_ps(value, _mm_set1_ps(job->rescale));
		_mm_storeu_ps(dst + i, value);
	}
	for (; i < job->width; i++)
		sample_pixel(dst + i, job, row_base, col_base, i);
}

#endif /* HAVE_AVX2_PATH */

/* Copies a row where there is no affine part, so that pixels stay whole numbers. */
static void
copy_row(float *dst, const Job *job, int y)
{
	const uint8_t *row = job->origin + y * job->stride;

	for (int i = 0; i < job->width; i++)
	{
		const uint8_t *p = row + (ptrdiff_t) (job->x_first + job->x_step * i) * job->channels;

		for (int k = 0; k < job->channels; k++)
			*dst++ = finish_pixel(job, p[k]);
	}
}

/*
 * Fills the brightened value of each of the 256 levels.  As in Pillow's
 * Brightness, the factor is float32, and the product is clipped to 0 to 255 and
 * truncated.
 */
static void
brighten_levels(float levels[256], double brightness, float rescale)
{
	float factor = (float) brightness;

	for (int i = 0; i < 256; i++)
	{
		float level = factor * (float) i;

		level = level > 0 ? level : 0;
		levels[i] = (float) (uint8_t) (level < 255 ? level : 255) * rescale;
	}
}

/* Copies the image with its border into scratch; returns the address of pixel (0, 0). */
static const uint8_t *
copy_with_border(uint8_t *scratch, const uint8_t *src, int height, int width, int channels)
{
	size_t row = (size_t) width * (size_t) channels;
	size_t stride = row + 2 * (size_t) channels;

	for (int y = 0; y < height; y++)
	{
		uint8_t *dst = scratch + ((size_t) y + 1) * stride;

		memcpy(dst + channels, src + (size_t) y * row, row);
		memcpy(dst, dst + channels, (size_t) channels);
		memcpy(dst + channels + row, dst + row, (size_t) channels);
	}
	memcpy(scratch, scratch + stride, stride);
	memcpy(scratch + ((size_t) height + 1) * stride, scratch + (size_t) height * stride, stride);
	memset(scratch + ((size_t) height + 2) * stride, 0, READ_SLACK);
	return scratch + stride + channels;
}

/*
 * Applies a transform with the given function for affine rows; rows without an
 * affine part are copied.
 */
static void
apply_transform(float *dst, const uint8_t *src, int height, int width, int channels,
				const ImgTransform *transform, float rescale, void *scratch, RowFunction sample_row)
{
	float levels[256];
	size_t row_n = (size_t) width * (size_t) channels;
	Job job = {0};

	job.height = height;
	job.width = width;
	job.channels = channels;
	job.fill_mode = transform->fill_mode;
	job.cval = (float) clamp_coordinate(transform->cval, 255);
	job.x_first = transform->flip_horizontal ? width - 1 : 0;
	job.x_step = transform->flip_horizontal ? -1 : 1;
	job.rescale = rescale;
	if (transform->brightness != 1)
	{
		brighten_levels(levels, transform->brightness, rescale);
		job.levels = levels;
	}
	if (has_affine(transform))
	{
		job.affine = build_affine(transform, height, width);
		job.origin = copy_with_border(scratch, src, height, width, channels);
		job.stride = ((ptrdiff_t) width + 2) * channels;
	}
	else
	{
		sample_row = copy_row;
		job.origin = src;
		job.stride = (ptrdiff_t) width * channels;
	}
	for (int y = 0; y < height; y++)
		sample_row(dst + (size_t) y * row_n, &job, transform->flip_vertical ? height - 1 - y : y);
}

size_t
img_augment_scratch_bytes(int height, int width, int channels)
{
	size_t n;

	if (height < 1 || width < 1 || height > IMG_MAX_NETWORK_SIDE || width > IMG_MAX_NETWORK_SIDE ||
		(channels != 1 && channels != 3))
		return 0;
	n = ((size_t) height + 2) * ((size_t) width + 2) * (size_t) channels + READ_SLACK;
	return img_align64(n);
}

void
img_augment_apply_portable(float *dst, const uint8_t *src, int height, int width, int channels,
						   const ImgTransform *transform, float rescale, void *scratch)
{
	apply_transform(dst, src, height, width, channels, transform, rescale, scratch, sample_row_portable);
}

void
img_augment_apply(float *dst, const uint8_t *src, int height, int width, int channels,
				  const ImgTransform *transform, float rescale, void *scratch)
{
	RowFunction sample_row = sample_row_portable;

#ifdef HAVE_AVX2_PATH
	if (channels == 1 && __builtin_cpu_supports("avx2"))
		sample_row = sample_row_avx2;
#endif
	apply_transform(dst, src, height, width, channels, transform, rescale, scratch, sample_row);
}
