/*-------------------------------------------------------------------------
 *
 * simd.h
 *	  A small vector vocabulary, so that a kernel is written once and compiled
 *	  per instruction set.
 *
 * A file x_avx2.c defines NN_SIMD as one of the NN_SIMD_* numbers, includes
 * this header, and then x_impl.h.  Functions that follow are compiled for that
 * instruction set by a pragma (gcc and clang each have their own), so that no
 * compiler flag is needed; simd_end.h ends the region.
 *
 * NN_SIMD_WIDE16 is the 16-lane vocabulary on pairs of AVX2 registers: it lets
 * the unit tests run what the AVX-512 files contain on a machine without it.
 *
 *	 VW        floats in a vector
 *	 VREGS     vector registers, for the choice of tile sizes
 *	 vf        a vector of VW floats
 *	 NN_FN(f)  f with the suffix of the instruction set
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NN_SIMD_PORTABLE 0
#define NN_SIMD_AVX2 1
#define NN_SIMD_AVX512 2
#define NN_SIMD_WIDE16 3

#ifndef NN_SIMD
#error "define NN_SIMD before including simd.h"
#endif

#define NN_INLINE static inline __attribute__((always_inline, unused))

/*
 * Makes a value opaque to the optimiser, which otherwise computes dozens of
 * addresses ahead of a loop and spills them.
 */
#define NN_OPAQUE(x) __asm__("" : "+r"(x))

#define NN_PASTE2(a, b) a##b
#define NN_PASTE(a, b) NN_PASTE2(a, b)

#if NN_SIMD != NN_SIMD_PORTABLE
#include <immintrin.h>
#endif

#if NN_SIMD == NN_SIMD_AVX2 || NN_SIMD == NN_SIMD_WIDE16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#elif NN_SIMD == NN_SIMD_AVX512
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), \
							 apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#endif
#endif

#if NN_SIMD == NN_SIMD_PORTABLE

#define NN_FN(name) NN_PASTE(name, _portable)
#define VW 4
#define VREGS 16
typedef float vf __attribute__((vector_size(16)));
typedef int32_t nn_vi __attribute__((vector_size(16)));

NN_INLINE vf
v_load(const float *p)
{
	vf r;

	memcpy(&r, p, sizeof(r));
	return r;
}

NN_INLINE void
v_store(float *p, vf a)
{
	memcpy(p, &a, sizeof(a));
}

/* Returns VW 16-bit integers as floats. */
NN_INLINE vf
v_load_int16(const int16_t *p)
{
	return (vf) {(float) p[0], (float) p[1], (float) p[2], (float) p[3]};
}

NN_INLINE vf
v_set1(float x)
{
	return (vf) {x, x, x, x};
}

NN_INLINE vf
v_zero(void)
{
	return (vf) {0.0f, 0.0f, 0.0f, 0.0f};
}

NN_INLINE vf
v_add(vf a, vf b)
{
	return a + b;
}

NN_INLINE vf
v_sub(vf a, vf b)
{
	return a - b;
}

NN_INLINE vf
v_mul(vf a, vf b)
{
	return a * b;
}

NN_INLINE vf
v_div(vf a, vf b)
{
	return a / b;
}

/* a * b + c */
NN_INLINE vf
v_fma(vf a, vf b, vf c)
{
	return a * b + c;
}

/* Returns the larger; the second where either is a NaN, as maxps does. */
NN_INLINE vf
v_max(vf a, vf b)
{
	nn_vi m = a > b;

	return (vf) (((nn_vi) a & m) | ((nn_vi) b & ~m));
}

NN_INLINE vf
v_min(vf a, vf b)
{
	nn_vi m = a < b;

	return (vf) (((nn_vi) a & m) | ((nn_vi) b & ~m));
}

NN_INLINE vf
v_sqrt(vf a)
{
	return (vf) {__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}

/* Returns bits: bit i is set where a[i] > b[i]. */
NN_INLINE unsigned
v_gt_bits(vf a, vf b)
{
	nn_vi m = a > b;

	return (unsigned) ((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}

/* Returns bits: bit i is set where a[i] is not 0. */
NN_INLINE unsigned
v_nonzero_bits(vf a)
{
	nn_vi m = a != v_zero();

	return (unsigned) ((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}

/* Returns a where the lane's bit is set, else 0. */
NN_INLINE vf
v_keep(vf a, unsigned bits)
{
	nn_vi m = {(int) bits, (int) bits, (int) bits, (int) bits};
	nn_vi sel = {1, 2, 4, 8};

	return (vf) ((nn_vi) a & ((m & sel) == sel));
}

#elif NN_SIMD == NN_SIMD_AVX2

#define NN_FN(name) NN_PASTE(name, _avx2)
#define VW 8
#define VREGS 16
typedef __m256 vf;

#define v_load(p) _mm256_loadu_ps(p)
#define v_load_int16(p) _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *) (p))))
#define v_store(p, a) _mm256_storeu_ps(p, a)
#define v_set1(x) _mm256_set1_ps(x)
#define v_zero() _mm256_setzero_ps()
#define v_add(a, b) _mm256_add_ps(a, b)
#define v_sub(a, b) _mm256_sub_ps(a, b)
#define v_mul(a, b) _mm256_mul_ps(a, b)
#define v_div(a, b) _mm256_div_ps(a, b)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_min(a, b) _mm256_min_ps(a, b)
#define v_sqrt(a) _mm256_sqrt_ps(a)
#define v_gt_bits(a, b) ((unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)))
#define v_nonzero_bits(a) ((unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a, v_zero(), _CMP_NEQ_UQ)))

NN_INLINE vf
v_keep(vf a, unsigned bits)
{
	const __m256i sel = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	__m256i m = _mm256_and_si256(_mm256_set1_epi32((int) bits), sel);

	return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(m, sel)));
}

#elif NN_SIMD == NN_SIMD_AVX512

#define NN_FN(name) NN_PASTE(name, _avx512)
#define VW 16
#define VREGS 32
typedef __m512 vf;

#define v_load(p) _mm512_loadu_ps(p)
#define v_load_int16(p) _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *) (p))))
#define v_store(p, a) _mm512_storeu_ps(p, a)
#define v_set1(x) _mm512_set1_ps(x)
#define v_zero() _mm512_setzero_ps()
#define v_add(a, b) _mm512_add_ps(a, b)
#define v_sub(a, b) _mm512_sub_ps(a, b)
#define v_mul(a, b) _mm512_mul_ps(a, b)
#define v_div(a, b) _mm512_div_ps(a, b)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_min(a, b) _mm512_min_ps(a, b)
#define v_sqrt(a) _mm512_sqrt_ps(a)
#define v_gt_bits(a, b) ((unsigned) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ))
#define v_nonzero_bits(a) ((unsigned) _mm512_cmp_ps_mask(a, v_zero(), _CMP_NEQ_UQ))
#define v_keep(a, bits) _mm512_maskz_mov_ps((__mmask16) (bits), a)

#elif NN_SIMD == NN_SIMD_WIDE16

#define NN_FN(name) NN_PASTE(name, _wide16)
#define VW 16
#define VREGS 32
typedef struct
{
	__m256 l, h;
} vf;

#define NN_WIDE1(name, op)              \
	NN_INLINE vf name(vf a)             \
	{                                   \
		return (vf) {op(a.l), op(a.h)}; \
	}
#define NN_WIDE2(name, op)                        \
	NN_INLINE vf name(vf a, vf b)                 \
	{                                             \
		return (vf) {op(a.l, b.l), op(a.h, b.h)}; \
	}

NN_WIDE2(v_add, _mm256_add_ps)
NN_WIDE2(v_sub, _mm256_sub_ps)
NN_WIDE2(v_mul, _mm256_mul_ps)
NN_WIDE2(v_div, _mm256_div_ps)
NN_WIDE2(v_max, _mm256_max_ps)
NN_WIDE2(v_min, _mm256_min_ps)
NN_WIDE1(v_sqrt, _mm256_sqrt_ps)

NN_INLINE vf
v_load(const float *p)
{
	return (vf) {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

NN_INLINE vf
v_load_int16(const int16_t *p)
{
	__m256i q = _mm256_loadu_si256((const __m256i *) p);

	return (vf) {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(q))),
				 _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(q, 1)))};
}

NN_INLINE void
v_store(float *p, vf a)
{
	_mm256_storeu_ps(p, a.l);
	_mm256_storeu_ps(p + 8, a.h);
}

NN_INLINE vf
v_set1(float x)
{
	return (vf) {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

NN_INLINE vf
v_zero(void)
{
	return (vf) {_mm256_setzero_ps(), _mm256_setzero_ps()};
}

NN_INLINE vf
v_fma(vf a, vf b, vf c)
{
	return (vf) {_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)};
}

NN_INLINE unsigned
v_gt_bits(vf a, vf b)
{
	return (unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a.l, b.l, _CMP_GT_OQ)) |
		   (unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a.h, b.h, _CMP_GT_OQ)) << 8;
}

NN_INLINE unsigned
v_nonzero_bits(vf a)
{
	const __m256 zero = _mm256_setzero_ps();

	return (unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a.l, zero, _CMP_NEQ_UQ)) |
		   (unsigned) _mm256_movemask_ps(_mm256_cmp_ps(a.h, zero, _CMP_NEQ_UQ)) << 8;
}

NN_INLINE __m256
nn_wide_half(__m256 a, unsigned bits)
{
	const __m256i sel = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	__m256i m = _mm256_and_si256(_mm256_set1_epi32((int) bits), sel);

	return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(m, sel)));
}

NN_INLINE vf
v_keep(vf a, unsigned bits)
{
	return (vf) {nn_wide_half(a.l, bits & 255), nn_wide_half(a.h, bits >> 8)};
}

#endif

#if NN_SIMD == NN_SIMD_AVX512

/* Loads or stores the first n floats, 0 < n <= VW; the rest is zero, and not touched. */
#define v_load_n(p, n) _mm512_maskz_loadu_ps((__mmask16) ((1u << (n)) - 1), p)
#define v_store_n(p, a, n) _mm512_mask_storeu_ps(p, (__mmask16) ((1u << (n)) - 1), a)

#else

NN_INLINE vf
v_load_n(const float *p, int n)
{
	float t[VW];
	int i;

	if (n == VW)
		return v_load(p);
	for (i = 0; i < VW; i++)
		t[i] = i < n ? p[i] : 0.0f;
	return v_load(t);
}

NN_INLINE void
v_store_n(float *p, vf a, int n)
{
	float t[VW];
	int i;

	if (n == VW)
	{
		v_store(p, a);
		return;
	}
	v_store(t, a);
	for (i = 0; i < n; i++)
		p[i] = t[i];
}

#endif

/*
 * Returns the bits of the pooling mask (kernels.h) of the VW channels from c on,
 * c a multiple of VW: group points to the four words of the pixel's channels
 * c / 16 * 16.
 */
NN_INLINE unsigned
v_mask_get(const uint16_t *group, int c, int q)
{
#if VW == 16
	(void) c;
	return group[q];
#elif VW == 8 && NN_SIMD == NN_SIMD_AVX2
	return ((const uint8_t *) (group + q))[(c & 15) >> 3];
#else
	return (unsigned) group[q] >> (c & 15) & ((1u << VW) - 1);
#endif
}

/* Returns a where the mask has the channel's bit, else 0. */
NN_INLINE vf
v_keep_masked(vf a, const uint16_t *group, int c, int q)
{
#if NN_SIMD == NN_SIMD_AVX2
	const __m256i sel = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	/* the byte is broadcast as it is loaded */
	__m256i m = _mm256_set1_epi8(((const char *) (group + q))[(c & 15) >> 3]);

	m = _mm256_and_si256(m, sel);
	return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(m, sel)));
#else
	return v_keep(a, v_mask_get(group, c, q));
#endif
}

NN_INLINE void
v_mask_put(uint16_t *group, int c, int q, unsigned bits)
{
#if VW == 16
	(void) c;
	group[q] = (uint16_t) bits;
#elif VW == 8 && NN_SIMD == NN_SIMD_AVX2
	((uint8_t *) (group + q))[(c & 15) >> 3] = (uint8_t) bits;
#else
	if ((c & 15) == 0)
		group[q] = 0;
	group[q] = (uint16_t) (group[q] | bits << (c & 15));
#endif
}

#if NN_SIMD == NN_SIMD_PORTABLE

/* Transposes dst[8][8] = src'; rows are dst_step and src_step floats apart. */
NN_INLINE void
v_turn8(float *dst, size_t dst_step, const float *src, size_t src_step)
{
	int i, j;

	for (i = 0; i < 8; i++)
		for (j = 0; j < 8; j++)
			dst[(size_t) i * dst_step + (size_t) j] = src[(size_t) j * src_step + (size_t) i];
}

/* Waits until others may read what v_turn8 wrote. */
#define v_fence() ((void) 0)

#else

/*
 * Transposes in registers.  Rows of dst that are aligned go past the caches: they are read
 * much later, and lie where they would drive each other from the cache.
 */
NN_INLINE void
v_turn8(float *dst, size_t dst_step, const float *src, size_t src_step)
{
	__m256 a[8], b[8];
	int i;

#pragma GCC unroll 8
	for (i = 0; i < 8; i++)
		a[i] = _mm256_loadu_ps(src + (size_t) i * src_step);
#pragma GCC unroll 4
	for (i = 0; i < 8; i += 2)
	{
		b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
		b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
	}
#pragma GCC unroll 2
	for (i = 0; i < 8; i += 4)
	{
		a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
		a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
		a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
		a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
	}
#pragma GCC unroll 4
	for (i = 0; i < 4; i++)
	{
		b[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
		b[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
	}
	if (((uintptr_t) dst | dst_step * sizeof(float)) % 32 == 0)
#pragma GCC unroll 8
		for (i = 0; i < 8; i++)
			_mm256_stream_ps(dst + (size_t) i * dst_step, b[i]);
	else
#pragma GCC unroll 8
		for (i = 0; i < 8; i++)
			_mm256_storeu_ps(dst + (size_t) i * dst_step, b[i]);
}

#define v_fence() _mm_sfence()

#endif

#if NN_SIMD == NN_SIMD_AVX2

#define NN_HAS_LOOKUP4 1

/* Loads a set of four floats into both halves. */
#define v_load4(p) _mm256_broadcast_ps((const __m128 *) (p))

/* Returns t[i mod 4] for each lane, t from v_load4. */
#define v_lookup4(t, i) _mm256_permutevar_ps(t, i)

/* Returns which pixel won for each of VW channels, by the mask; *any has all bits set where one did. */
NN_INLINE __m256i
v_winner(__m256i *any, const uint16_t *group, int c)
{
	const __m256i sel = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
	const uint8_t *byte = (const uint8_t *) group + ((c & 15) >> 3);
	__m256i m[4];
	int q;

#pragma GCC unroll 4
	for (q = 0; q < 4; q++)
		m[q] = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi8((char) byte[2 * q]), sel), sel);
	*any = _mm256_or_si256(_mm256_or_si256(m[0], m[1]), _mm256_or_si256(m[2], m[3]));
	return _mm256_or_si256(_mm256_srli_epi32(_mm256_or_si256(m[1], m[3]), 31),
						   _mm256_slli_epi32(_mm256_srli_epi32(_mm256_or_si256(m[2], m[3]), 31), 1));
}

#else
#define NN_HAS_LOOKUP4 0
#endif

#define NN_STACK_ALIGN __attribute__((aligned(64)))
