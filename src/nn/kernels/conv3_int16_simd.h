/*-------------------------------------------------------------------------
 *
 * conv3_int16_simd.h
 *	  The integer half of the vector vocabulary of simd.h: what the int16
 *	  convolution needs, for each instruction set.
 *
 *	 vi			a vector of VW 32-bit integers, or of 2 * VW 16-bit ones
 *	 q_order	where q_store16 puts a channel
 *
 *-------------------------------------------------------------------------
 */
#define Q_GRAIN 16 /* channels are quantised by so many at a time */

#if NN_SIMD == NN_SIMD_PORTABLE

typedef nn_vi vi;
typedef uint32_t q_vu __attribute__((vector_size(16)));

NN_INLINE vi
q_zero(void)
{
	return (vi) {0, 0, 0, 0};
}

NN_INLINE vi
q_load(const int16_t *p)
{
	vi r;

	memcpy(&r, p, sizeof(r));
	return r;
}

/* Returns the pair of 16-bit integers at p, in every lane. */
NN_INLINE vi
q_pair(const int16_t *p)
{
	int32_t x;

	memcpy(&x, p, sizeof(x));
	return (vi) {x, x, x, x};
}

/* acc + a.low * b.low + a.high * b.high, by lane. */
#if defined(__SSE2__)
#include <emmintrin.h>

NN_INLINE vi
q_madd(vi acc, vi a, vi b)
{
	return acc + (vi) _mm_madd_epi16((__m128i) a, (__m128i) b);
}
#else
NN_INLINE vi
q_madd(vi acc, vi a, vi b)
{
	vi a_low = (vi) ((q_vu) a << 16) >> 16;
	vi b_low = (vi) ((q_vu) b << 16) >> 16;

	return acc + a_low * b_low + (a >> 16) * (b >> 16);
}
#endif

NN_INLINE vf
q_float(vi a)
{
	return (vf) {(float) a[0], (float) a[1], (float) a[2], (float) a[3]};
}

/* Returns the larger of m and the bits of |a|, which order floats, then infinity, then NaN. */
NN_INLINE vi
q_max_abs(vi m, vf a)
{
	vi bits = (vi) a & 0x7fffffff;
	vi more = bits > m;

	return (bits & more) | (m & ~more);
}

/* Returns the sum of the lanes, each the bits of a float. */
NN_INLINE float
q_sum_floats(vi m)
{
	vf f = (vf) m;

	return (f[0] + f[1]) + (f[2] + f[3]);
}

/* Stores sixteen of src times scale, rounded to the nearest; none goes beyond 16 bits. */
NN_INLINE void
q_store16(int16_t *dst, const float *src, vf scale)
{
	const float shift = 12582912.0f; /* 1.5 * 2^23: the sum's low bits are the integer */
	int i;

	for (i = 0; i < Q_GRAIN; i++)
	{
		float x = src[i] * scale[0] + shift;
		int32_t bits;

		memcpy(&bits, &x, sizeof(bits));
		dst[i] = (int16_t) (bits - 0x4b400000);
	}
}

#define q_order(i) (i)

#else

NN_INLINE float
q_sum_floats8(__m256 m)
{
	__m128 x = _mm_add_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));

	x = _mm_add_ps(x, _mm_movehl_ps(x, x));
	return _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps(x, x, 1)));
}

NN_INLINE __m256i
q_max_abs8(__m256i m, __m256 a)
{
	const __m256 all = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));

	return _mm256_max_epi32(m, _mm256_castps_si256(_mm256_and_ps(a, all)));
}

/* Stores in the order that packing two vectors gives: halves of each, in turn. */
NN_INLINE void
q_store16_halves(int16_t *dst, const float *src, __m256 scale)
{
	__m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(src), scale));
	__m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(src + 8), scale));

	_mm256_storeu_si256((__m256i *) dst, _mm256_packs_epi32(a, b));
}

#define q_order(i) (((i) & 3) | ((i) & 4) << 1 | ((i) & 8) >> 1)

#if NN_SIMD == NN_SIMD_AVX2

typedef __m256i vi;

#define q_zero() _mm256_setzero_si256()
#define q_load(p) _mm256_loadu_si256((const __m256i *) (p))
#define q_madd(acc, a, b) _mm256_add_epi32(acc, _mm256_madd_epi16(a, b))
#define q_float(a) _mm256_cvtepi32_ps(a)
#define q_max_abs(m, a) q_max_abs8(m, a)
#define q_sum_floats(m) q_sum_floats8(_mm256_castsi256_ps(m))
#define q_store16(dst, src, scale) q_store16_halves(dst, src, scale)

NN_INLINE vi
q_pair(const int16_t *p)
{
	int32_t x;

	memcpy(&x, p, sizeof(x));
	return _mm256_set1_epi32(x);
}

/*
 * One row of a tile of two vectors, acc[0..1] += the pair at p times x[0..1].
 * Written out: the compilers spill sums, as this takes all sixteen registers.
 */
#define Q_HAS_ROW2 1
NN_INLINE void
q_row2(vi *acc, const int16_t *p, const vi *x)
{
	vi t0, t1;

	__asm__("vpbroadcastd %4, %2\n\t"
			"vpmaddwd %5, %2, %3\n\t"
			"vpmaddwd %6, %2, %2\n\t"
			"vpaddd %3, %0, %0\n\t"
			"vpaddd %2, %1, %1"
			: "+x"(acc[0]), "+x"(acc[1]), "=&x"(t0), "=&x"(t1)
			: "m"(*(const int16_t(*)[2]) p), "x"(x[0]), "x"(x[1]));
}

#elif NN_SIMD == NN_SIMD_AVX512

typedef __m512i vi;

#define q_zero() _mm512_setzero_si512()
#define q_load(p) _mm512_loadu_si512(p)
#define q_madd(acc, a, b) _mm512_add_epi32(acc, _mm512_madd_epi16(a, b))
#define q_float(a) _mm512_cvtepi32_ps(a)
#define q_max_abs(m, a) \
	_mm512_max_epi32(m, _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)))
#define q_sum_floats(m) _mm512_reduce_add_ps(_mm512_castsi512_ps(m))
#define q_store16(dst, src, scale) q_store16_halves(dst, src, _mm512_castps512_ps256(scale))

NN_INLINE vi
q_pair(const int16_t *p)
{
	int32_t x;

	memcpy(&x, p, sizeof(x));
	return _mm512_set1_epi32(x);
}

#else

typedef struct
{
	__m256i l, h;
} vi;

NN_INLINE vi
q_zero(void)
{
	return (vi) {_mm256_setzero_si256(), _mm256_setzero_si256()};
}

NN_INLINE vi
q_load(const int16_t *p)
{
	return (vi) {_mm256_loadu_si256((const __m256i *) p), _mm256_loadu_si256((const __m256i *) (p + 16))};
}

NN_INLINE vi
q_pair(const int16_t *p)
{
	int32_t x;

	memcpy(&x, p, sizeof(x));
	return (vi) {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

NN_INLINE vi
q_madd(vi acc, vi a, vi b)
{
	return (vi) {_mm256_add_epi32(acc.l, _mm256_madd_epi16(a.l, b.l)),
				 _mm256_add_epi32(acc.h, _mm256_madd_epi16(a.h, b.h))};
}

NN_INLINE vf
q_float(vi a)
{
	return (vf) {_mm256_cvtepi32_ps(a.l), _mm256_cvtepi32_ps(a.h)};
}

NN_INLINE vi
q_max_abs(vi m, vf a)
{
	return (vi) {q_max_abs8(m.l, a.l), q_max_abs8(m.h, a.h)};
}

#define q_sum_floats(m) q_sum_floats8(_mm256_add_ps(_mm256_castsi256_ps((m).l), _mm256_castsi256_ps((m).h)))
#define q_store16(dst, src, scale) q_store16_halves(dst, src, (scale).l)

#endif
#endif

#ifndef Q_HAS_ROW2
#define Q_HAS_ROW2 0
#endif
