/*-------------------------------------------------------------------------
 *
 * channels_impl.h
 *	  Passes over the channels of a map and over its values, compiled per
 *	  instruction set: the sums and products of normalisation, sums of maps.
 *
 * Sums are in double: the rows of a block pass one vector of channels after
 * the other, so that its sums stay in registers and the rows in the first
 * cache.  A product of two floats is exact in double, and the rows come in
 * their order, so that all paths give the same bits.
 *
 *-------------------------------------------------------------------------
 */
#if NN_SIMD == NN_SIMD_AVX512

/* VW numbers in double. */
typedef struct
{
	__m512d l, h;
} vd;

NN_INLINE vd
vd_add(vd a, vf x)
{
	return (vd) {_mm512_add_pd(a.l, _mm512_cvtps_pd(_mm512_castps512_ps256(x))),
				 _mm512_add_pd(a.h, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)))};
}

NN_INLINE vd
vd_fma(vd a, vf x, vf y)
{
	return (vd) {_mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
								 _mm512_cvtps_pd(_mm512_castps512_ps256(y)), a.l),
				 _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)),
								 _mm512_cvtps_pd(_mm512_extractf32x8_ps(y, 1)), a.h)};
}

NN_INLINE vd
vd_load(const double *p)
{
	return (vd) {_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
}

NN_INLINE void
vd_store(double *p, vd a)
{
	_mm512_storeu_pd(p, a.l);
	_mm512_storeu_pd(p + 8, a.h);
}

#elif NN_SIMD == NN_SIMD_AVX2

typedef struct
{
	__m256d l, h;
} vd;

NN_INLINE vd
vd_add(vd a, vf x)
{
	return (vd) {_mm256_add_pd(a.l, _mm256_cvtps_pd(_mm256_castps256_ps128(x))),
				 _mm256_add_pd(a.h, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)))};
}

NN_INLINE vd
vd_fma(vd a, vf x, vf y)
{
	return (vd) {_mm256_fmadd_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x)),
								 _mm256_cvtps_pd(_mm256_castps256_ps128(y)), a.l),
				 _mm256_fmadd_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)),
								 _mm256_cvtps_pd(_mm256_extractf128_ps(y, 1)), a.h)};
}

NN_INLINE vd
vd_load(const double *p)
{
	return (vd) {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}

NN_INLINE void
vd_store(double *p, vd a)
{
	_mm256_storeu_pd(p, a.l);
	_mm256_storeu_pd(p + 4, a.h);
}

#else

typedef struct
{
	double d[VW];
} vd;

NN_INLINE vd
vd_add(vd a, vf x)
{
	float t[VW];
	int i;

	v_store(t, x);
	for (i = 0; i < VW; i++)
		a.d[i] += (double) t[i];
	return a;
}

NN_INLINE vd
vd_fma(vd a, vf x, vf y)
{
	float t[VW], u[VW];
	int i;

	v_store(t, x);
	v_store(u, y);
	for (i = 0; i < VW; i++)
		a.d[i] += (double) t[i] * (double) u[i];
	return a;
}

NN_INLINE vd
vd_load(const double *p)
{
	vd a;

	memcpy(a.d, p, sizeof(a.d));
	return a;
}

NN_INLINE void
vd_store(double *p, vd a)
{
	memcpy(p, a.d, sizeof(a.d));
}

#endif

/* Loads or stores the first n numbers; the rest is zero, and not touched. */
NN_INLINE vd
vd_load_n(const double *p, int n)
{
	double t[VW] = {0};

	if (n == VW)
		return vd_load(p);
	memcpy(t, p, sizeof(double) * (size_t) n);
	return vd_load(t);
}

NN_INLINE void
vd_store_n(double *p, vd a, int n)
{
	double t[VW];

	if (n == VW)
	{
		vd_store(p, a);
		return;
	}
	vd_store(t, a);
	memcpy(p, t, sizeof(double) * (size_t) n);
}

#define CH_BLOCK_FLOATS 6144 /* of the rows that go at once */

/* Returns the rows of a block, of so many maps. */
NN_INLINE size_t
ch_rows(int c, int maps)
{
	size_t rows = CH_BLOCK_FLOATS / ((size_t) c * (size_t) maps);

	return rows < 4 ? 4 : rows;
}

NN_INLINE void
ch_sums(double *sum, double *sum_sq, const float *x, size_t rows, size_t c, const int n)
{
	vd a = vd_load_n(sum, n);
	vd b;
	size_t r;

	if (sum_sq == NULL)
	{
		for (r = 0; r < rows; r++, x += c)
			a = vd_add(a, v_load_n(x, n));
		vd_store_n(sum, a, n);
		return;
	}
	b = vd_load_n(sum_sq, n);
	for (r = 0; r < rows; r++, x += c)
	{
		vf v = v_load_n(x, n);

		a = vd_add(a, v);
		b = vd_fma(b, v, v);
	}
	vd_store_n(sum, a, n);
	vd_store_n(sum_sq, b, n);
}

static void
channel_sums(double *sum, double *sum_sq, const float *x, size_t rows, int c)
{
	size_t most = ch_rows(c, 1);
	size_t first;
	int k;

	for (first = 0; first < rows; first += most)
		for (k = 0; k < c; k += VW)
		{
			size_t count = rows - first < most ? rows - first : most;
			const float *at = x + first * (size_t) c + (size_t) k;
			double *sq = sum_sq != NULL ? sum_sq + k : NULL;

			if (c - k >= VW)
				ch_sums(sum + k, sq, at, count, (size_t) c, VW);
			else
				ch_sums(sum + k, sq, at, count, (size_t) c, c - k);
		}
}

/* Returns x limited as clip says; a NaN stays one. */
NN_INLINE vf
ch_clip(vf x, NnClip clip)
{
	return clip.on ? v_min(v_set1(clip.high), v_max(v_zero(), x)) : x;
}

/* Returns the gradient where the clipped value y lets it through, else 0. */
NN_INLINE vf
ch_gate(vf gradient, vf y, NnClip clip)
{
	if (!clip.on)
		return gradient;
	return v_keep(gradient, v_gt_bits(y, v_zero()) & v_gt_bits(v_set1(clip.high), y));
}

NN_INLINE void
ch_gradient_sums(double *sum, double *dot, const float *ddst, const float *src, const float *a,
				 const float *b, size_t rows, size_t c, NnClip clip, const int n)
{
	vd s = vd_load_n(sum, n);
	vd d = vd_load_n(dot, n);
	vf va = v_load_n(a, n);
	vf vb = v_load_n(b, n);
	size_t r;

	for (r = 0; r < rows; r++, ddst += c, src += c)
	{
		vf x = v_load_n(src, n);
		vf g = ch_gate(v_load_n(ddst, n), v_fma(x, va, vb), clip);

		s = vd_add(s, g);
		d = vd_fma(d, g, x);
	}
	vd_store_n(sum, s, n);
	vd_store_n(dot, d, n);
}

static void
channel_gradient_sums(double *sum, double *dot, const float *ddst, const float *src, const float *a,
					  const float *b, size_t rows, int c, NnClip clip)
{
	size_t most = ch_rows(c, 2);
	size_t first;
	int k;

	for (first = 0; first < rows; first += most)
		for (k = 0; k < c; k += VW)
		{
			size_t count = rows - first < most ? rows - first : most;
			size_t at = first * (size_t) c + (size_t) k;

			if (c - k >= VW)
				ch_gradient_sums(sum + k, dot + k, ddst + at, src + at, a + k, b + k, count, (size_t) c, clip,
								 VW);
			else
				ch_gradient_sums(sum + k, dot + k, ddst + at, src + at, a + k, b + k, count, (size_t) c, clip,
								 c - k);
		}
}

NN_INLINE void
ch_gradient(float *dsrc, const float *ddst, const float *src, const float *a, const float *b,
			const float *by_ddst, const float *by_src, const float *constant, size_t rows, size_t c,
			NnClip clip, const int n)
{
	vf va = v_load_n(a, n);
	vf vb = v_load_n(b, n);
	vf p = v_load_n(by_ddst, n);
	vf q = v_load_n(by_src, n);
	vf k = v_load_n(constant, n);
	size_t r;

	for (r = 0; r < rows; r++, ddst += c, src += c, dsrc += c)
	{
		vf x = v_load_n(src, n);
		vf g = ch_gate(v_load_n(ddst, n), v_fma(x, va, vb), clip);

		v_store_n(dsrc, v_fma(g, p, v_fma(x, q, k)), n);
	}
}

static void
channel_gradient(float *dsrc, const float *ddst, const float *src, const float *a, const float *b,
				 const float *by_ddst, const float *by_src, const float *constant, size_t rows, int c,
				 NnClip clip)
{
	size_t most = ch_rows(c, 3);
	size_t first;
	int k;

	for (first = 0; first < rows; first += most)
		for (k = 0; k < c; k += VW)
		{
			size_t count = rows - first < most ? rows - first : most;
			size_t at = first * (size_t) c + (size_t) k;

			if (c - k >= VW)
				ch_gradient(dsrc + at, ddst + at, src + at, a + k, b + k, by_ddst + k, by_src + k,
							constant + k, count, (size_t) c, clip, VW);
			else
				ch_gradient(dsrc + at, ddst + at, src + at, a + k, b + k, by_ddst + k, by_src + k,
							constant + k, count, (size_t) c, clip, c - k);
		}
}

NN_INLINE void
ch_affine(float *dst, const float *src, const float *a, const float *b, size_t rows, size_t c, NnClip clip,
		  const int n)
{
	vf va = v_load_n(a, n);
	vf vb = v_load_n(b, n);
	size_t r;

	for (r = 0; r < rows; r++, dst += c, src += c)
		v_store_n(dst, ch_clip(v_fma(v_load_n(src, n), va, vb), clip), n);
}

static void
channel_affine(float *dst, const float *src, const float *a, const float *b, size_t rows, int c, NnClip clip)
{
	size_t most = ch_rows(c, 2);
	size_t first;
	int k;

	for (first = 0; first < rows; first += most)
		for (k = 0; k < c; k += VW)
		{
			size_t count = rows - first < most ? rows - first : most;
			size_t at = first * (size_t) c + (size_t) k;

			if (c - k >= VW)
				ch_affine(dst + at, src + at, a + k, b + k, count, (size_t) c, clip, VW);
			else
				ch_affine(dst + at, src + at, a + k, b + k, count, (size_t) c, clip, c - k);
		}
}

/* ---------------------------------------------------------- sums of maps */

static void
map_sum(float *dst, const float *x, const float *y, size_t n, NnClip clip)
{
	size_t i;

	for (i = 0; i + VW <= n; i += VW)
		v_store(dst + i, ch_clip(v_add(v_load(x + i), v_load(y + i)), clip));
	if (i < n)
		v_store_n(dst + i,
				  ch_clip(v_add(v_load_n(x + i, (int) (n - i)), v_load_n(y + i, (int) (n - i))), clip),
				  (int) (n - i));
}

static void
map_gate(float *d0, float *d1, const float *ddst, const float *dst, size_t n, NnClip clip)
{
	size_t i;

	for (i = 0; i + VW <= n; i += VW)
	{
		vf g = ch_gate(v_load(ddst + i), v_load(dst + i), clip);

		v_store(d0 + i, g);
		if (d1 != NULL)
			v_store(d1 + i, g);
	}
	if (i < n)
	{
		vf g = ch_gate(v_load_n(ddst + i, (int) (n - i)), v_load_n(dst + i, (int) (n - i)), clip);

		v_store_n(d0 + i, g, (int) (n - i));
		if (d1 != NULL)
			v_store_n(d1 + i, g, (int) (n - i));
	}
}

/* --------------------------------------------------------------- pooling */

static void
max_gradient(float *dsrc, const float *ddst, const float *src, int rows, int columns, size_t line, int c)
{
	int k, y, x;

	for (k = 0; k < c; k += VW)
	{
		int n = c - k < VW ? c - k : VW;
		unsigned left = (1u << n) - 1;
		vf g = v_load_n(ddst + k, n);
		vf best = v_load_n(src + k, n);

		for (y = 0; y < rows; y++)
			for (x = 0; x < columns; x++)
				best = v_max(v_load_n(src + (size_t) y * line + (size_t) (x * c + k), n), best);
		for (y = 0; y < rows && left != 0; y++)
			for (x = 0; x < columns && left != 0; x++)
			{
				size_t at = (size_t) y * line + (size_t) (x * c + k);
				unsigned won = left & ~v_gt_bits(best, v_load_n(src + at, n));

				if (won == 0)
					continue;
				v_store_n(dsrc + at, v_add(v_load_n(dsrc + at, n), v_keep(g, won)), n);
				left &= ~won;
			}
	}
}
