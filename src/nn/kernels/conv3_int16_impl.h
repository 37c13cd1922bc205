/*-------------------------------------------------------------------------
 *
 * conv3_int16_impl.h
 *	  The 3 x 3 convolution of winograd_impl.h with products of 16-bit
 *	  integers, compiled per instruction set: forward only.
 *
 * Block floating point.  The transformed inputs V are made in float32, WG_MR
 * tiles at a time (consecutive in reading order), and each plane of such a
 * group is scaled and rounded to 16 bits, as are the transformed weights of each
 * plane and output channel.  The integer sums are exact; the product of the two
 * scales turns them back to float32.  Output transform, bias, activation and
 * pooling are the float32 ones.  A group has its scales for itself, so a result
 * depends neither on the strip's size nor on anything but the sample.
 *
 * No sum overflows, by Cauchy and Schwarz: every tile's vector v over the k
 * channels is scaled to a norm of at most Q_NORM, every u of the weights so that
 * (after rounding, which adds at most half the root of k to a norm)
 *		|v| |u| <= 2^31 - 1.
 * The bound on the norms of a group's tiles is the sum over lanes of the largest
 * sum of squares among them.
 *
 * A group with an infinity or a NaN gives NaN, and so does an output channel
 * whose weights have one.  Groups that stay below Q_TINY count as zero.
 *
 *-------------------------------------------------------------------------
 */
#include "conv3_int16_simd.h"

#define Q_LIMIT 2147000000.0 /* of a sum; a little is left to the rounding of norms */
#define Q_NORM 32700.0f      /* so no value passes 16 bits either */
#define Q_TINY 1e-33f        /* below, the scale back is no normal number */
#define Q_HUGE 1e35f         /* above, the norm may be none */

#define Q_TRANSFORM_WORK 512 /* of nn_stop_due(), for the weights of one pair of channels */

#ifndef QG_V_BUDGET
#define QG_V_BUDGET (128 * 1024) /* bytes of V in a strip */
#endif

#define Q_NAME(f) qg_##f
#define q_sum(acc, a, b) q_madd(acc, a, b)
#include "conv3_int16_product_impl.h"
#undef Q_NAME
#undef q_sum

#if NN_SIMD == NN_SIMD_AVX512
#if defined(__clang__)
/* regions do not nest: the one of simd.h ends, and begins again */
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((                                                         \
								 target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), \
							 apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512vnni")
#endif
#define Q_NAME(f) qg_##f##_vnni
#define q_sum(acc, a, b) _mm512_dpwssd_epi32(acc, a, b)
#include "conv3_int16_product_impl.h"
#undef Q_NAME
#undef q_sum
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), \
							 apply_to = function)
#else
#pragma GCC pop_options
#endif
#else
#define qg_product_vnni qg_product
#endif

/* The packed form is the head, then bias [wide], scales [36][wide], weights. */
typedef struct QgHead
{
	int32_t vnni; /* products by that instruction */
	int32_t pad[15];
} QgHead;

typedef struct QgPacked
{
	const QgHead *head;
	const float *bias;
	const float *scale;
	const int16_t *weight;
} QgPacked;

NN_INLINE int
qg_up_channels(int k)
{
	return (k + Q_GRAIN - 1) / Q_GRAIN * Q_GRAIN;
}

/* Returns the output channels with those that fill the last vector, in whole cache lines. */
NN_INLINE size_t
qg_wide(int n)
{
	return wg_up((size_t) n, WG_LINE);
}

static QgPacked
qg_packed(const void *packed, int n)
{
	QgPacked q;

	q.head = packed;
	q.bias = (const float *) (q.head + 1);
	q.scale = q.bias + qg_wide(n);
	q.weight = (const int16_t *) (q.scale + 36 * qg_wide(n));
	return q;
}

static size_t
conv3_int16_packed_bytes(const NnConv3 *c)
{
	if (conv3_direct(c))
		return 0;
	return sizeof(QgHead) + 37 * qg_wide(c->oc) * sizeof(float) +
		   36 * (size_t) qg_up_channels(c->ic) * wg_up((size_t) c->oc, VW) * sizeof(int16_t);
}

/* ------------------------------------------------------------------ weights */

/* Computes u = G g Gt of the kernel from input channel k to output channel n. */
static void
qg_transform(double *u, const float *weight, const NnConv3 *c, int k, int n)
{
	double t[18];
	int i, j;

	for (j = 0; j < 3; j++)
		for (i = 0; i < 6; i++)
		{
			/* rows of G: value, at 1, -1, 2, -2, highest power */
			static const double g[6][3] = {
				{1.0 / 4, 0, 0},
				{-1.0 / 6, -1.0 / 6, -1.0 / 6},
				{-1.0 / 6, 1.0 / 6, -1.0 / 6},
				{1.0 / 24, 1.0 / 12, 1.0 / 6},
				{1.0 / 24, -1.0 / 12, 1.0 / 6},
				{0, 0, 1},
			};
			const float *w = weight + ((size_t) j * (size_t) c->ic + (size_t) k) * (size_t) c->oc + n;
			size_t row = 3 * (size_t) c->ic * (size_t) c->oc;
			int e;

			t[3 * i + j] = g[i][0] * w[0] + g[i][1] * w[row] + g[i][2] * w[2 * row];
			if (j < 2)
				continue;
			for (e = 0; e < 6; e++)
				u[6 * i + e] = g[e][0] * t[3 * i] + g[e][1] * t[3 * i + 1] + g[e][2] * t[3 * i + 2];
		}
}

/* Returns the factor of the weights of a plane and output channel; 0 if all weights are. */
static double
qg_weight_factor(double largest, double squares, int k)
{
	double half = 0.5 * __builtin_sqrt(k);
	double by_norm = (Q_LIMIT / (Q_NORM + half) - half) / __builtin_sqrt(squares);
	double by_size = 32767.0 / largest;

	if (squares == 0)
		return 0;
	return by_norm < by_size ? by_norm : by_size;
}

/*
 * Packs weights as [chunk][36 planes][block][k / 2][width of the block][2], as
 * wg_pack has them, in pairs of input channels, k rounded up to Q_GRAIN, in the
 * order of q_order.
 */
static void
conv3_int16_pack(void *packed, const float *weight, const float *bias, const NnConv3 *c)
{
	QgHead *head = packed;
	float *scale = (float *) (head + 1) + qg_wide(c->oc);
	int16_t *to = (int16_t *) (scale + 36 * qg_wide(c->oc));
	int wide_k = qg_up_channels(c->ic);
	int vectors = (c->oc + VW - 1) / VW;
	size_t work = 0;
	int k, n, e;

	if (conv3_direct(c))
		return;
	nn_stop_zero(packed, conv3_int16_packed_bytes(c));
	head->vnni = NN_SIMD == NN_SIMD_AVX512 && nn_cpu_vnni();
	if (bias != NULL)
		memcpy(head + 1, bias, (size_t) c->oc * sizeof(float));
	for (n = 0; n < c->oc; n++)
	{
		int b = n / WG_BW;
		int nv = wg_block_vectors(b, vectors);
		double u[36], largest[36] = {0}, squares[36] = {0}, factor[36];

		for (k = 0; k < c->ic && !nn_stop_due(&work, Q_TRANSFORM_WORK); k++)
		{
			qg_transform(u, weight, c, k, n);
			for (e = 0; e < 36; e++)
			{
				squares[e] += u[e] * u[e];
				if (u[e] > largest[e])
					largest[e] = u[e];
				if (-u[e] > largest[e])
					largest[e] = -u[e];
			}
		}
		for (e = 0; e < 36; e++)
		{
			int good = squares[e] <= 1e80; /* neither infinite nor NaN */

			factor[e] = good ? qg_weight_factor(largest[e], squares[e], c->ic) : 0;
			scale[(size_t) e * qg_wide(c->oc) + (size_t) n] = !good           ? __builtin_nanf("")
															  : factor[e] > 0 ? (float) (1.0 / factor[e])
																			  : 0.0f;
		}
		for (k = 0; k < c->ic && !nn_stop_due(&work, Q_TRANSFORM_WORK); k++)
		{
			int at = k / Q_GRAIN * Q_GRAIN + q_order(k % Q_GRAIN);

			qg_transform(u, weight, c, k, n);
			for (e = 0; e < 36; e++)
				if (factor[e] > 0)
					to[wg_offset(e, b, wide_k, vectors) + (size_t) (at / 2) * 2 * (size_t) (nv * VW) +
					   (size_t) (n - b * WG_BW) * 2 + (size_t) (at % 2)] =
						(int16_t) __builtin_floor(u[e] * factor[e] + 0.5);
		}
	}
}

/* ------------------------------------------------------------------- inputs */

/* Returns the floats of a plane of six tiles, [tile][channel], and what keeps planes apart. */
NN_INLINE size_t
qg_float_plane(int k)
{
	return WG_MR * (size_t) qg_up_channels(k) + WG_LINE;
}

/*
 * Bounds the norm where squares leave the range of a float: the largest times
 * the root of the number.
 */
static float __attribute__((noinline))
qg_norm_extreme(const float *rows, size_t row, int n)
{
	float largest = 0.0f;
	size_t i;

	for (i = 0; i < row * (size_t) n; i++)
	{
		float x = rows[i] < 0.0f ? -rows[i] : rows[i];

		if (!(x <= Q_HUGE))
			return __builtin_nanf("");
		if (x > largest)
			largest = x;
	}
	return largest < Q_TINY ? 0.0f : largest * __builtin_sqrtf((float) row);
}

/* Returns a bound on the squares of the norms of n rows. */
NN_INLINE float
qg_squares(const float *rows, size_t row, int n)
{
	vi most = q_zero();
	size_t i;
	int t;

	for (t = 0; t < n; t++)
	{
		vf s0 = v_zero();
		vf s1 = v_zero();

		for (i = 0; i < row; i += Q_GRAIN)
		{
			vf x = v_load(rows + i);
#if VW < Q_GRAIN
			vf y = v_load(rows + i + VW);

			s1 = v_fma(y, y, s1);
#endif
			s0 = v_fma(x, x, s0);
#if 2 * VW < Q_GRAIN
			x = v_load(rows + i + 2 * VW);
			y = v_load(rows + i + 3 * VW);
			s0 = v_fma(x, x, s0);
			s1 = v_fma(y, y, s1);
#endif
		}
		most = q_max_abs(most, v_add(s0, s1));
		rows += row;
	}
	return q_sum_floats(most);
}

#define Q_PLANES 48 /* 36, and what fills the last vector */

/*
 * Turns the n tiles of a group, [36][n][k] floats in f, into integers in v;
 * of[plane] gets what turns them back.  All norms come first, so that their
 * roots can be taken together.
 */
static void
qg_quantise(int16_t *v, size_t v_plane, float *of, const float *f, int k, int n)
{
	size_t row = (size_t) qg_up_channels(k);
	NN_STACK_ALIGN float squares[Q_PLANES];
	NN_STACK_ALIGN float norm[Q_PLANES];
	NN_STACK_ALIGN float factor[Q_PLANES];
	size_t work = 0;
	size_t i;
	int p;

	for (p = 0; p < 36 && !nn_stop_due(&work, row * (size_t) n); p++)
		squares[p] = qg_squares(f + (size_t) p * qg_float_plane(k), row, n);
	if (p < 36)
		return;
	for (; p < Q_PLANES; p++)
		squares[p] = 1.0f;
	for (p = 0; p < Q_PLANES; p += VW)
	{
		vf root = v_sqrt(v_load(squares + p));

		v_store(norm + p, root);
		v_store(factor + p, v_div(v_set1(Q_NORM), root));
	}
	for (p = 0; p < 36; p++)
	{
		const float *from = f + (size_t) p * qg_float_plane(k);
		int16_t *to = v + (size_t) p * v_plane;
		vf scale;

		if (nn_stop_due(&work, row * (size_t) n))
			return;
		if (!(squares[p] > 1e-30f && squares[p] < 1e38f))
		{
			norm[p] = qg_norm_extreme(from, row, n);
			factor[p] = Q_NORM / norm[p];
		}
		of[p] = norm[p] * (1.0f / Q_NORM);
		if (!(norm[p] > 0.0f))
		{
			memset(to, 0, row * (size_t) n * sizeof(int16_t));
			continue;
		}
		scale = v_set1(factor[p]);
		for (i = 0; i < row * (size_t) n; i += Q_GRAIN)
			q_store16(to + i, from + i, scale);
	}
}

/* ------------------------------------------------------------------ forward */

/* The parts of the scratch, in bytes from its start. */
typedef struct QgScratch
{
	int strip;      /* tiles */
	size_t v_plane, /* in integers */
		m_plane,    /* in floats */
		transformed, scales, v, m, bytes;
} QgScratch;

static QgScratch
qg_scratch(const NnConv3 *c)
{
	QgScratch s;
	size_t wide_k = (size_t) qg_up_channels(c->ic);
	int tiles = ((c->w + 3) / 4) * ((c->h + 3) / 4);
	size_t most = QG_V_BUDGET / (36 * sizeof(int16_t) * wide_k) / WG_MR * WG_MR;
	size_t strips;

	if (most < 2 * WG_MR)
		most = 2 * WG_MR;
	if (most > WG_MAX_TILES)
		most = WG_MAX_TILES;
	strips = ((size_t) tiles + most - 1) / most;
	s.strip = (int) wg_up(((size_t) tiles + strips - 1) / strips, WG_MR);
	s.v_plane = wide_k * (size_t) s.strip + 2 * WG_LINE;
	s.m_plane = WG_CW * (size_t) s.strip + WG_LINE;
	s.transformed = wg_copy_floats(c->ic) * sizeof(float);
	s.scales = s.transformed + 36 * qg_float_plane(c->ic) * sizeof(float);
	s.v = s.scales + 36 * (size_t) (s.strip / WG_MR) * sizeof(float);
	s.v = wg_up(s.v, NN_ALIGN);
	s.m = s.v + 36 * s.v_plane * sizeof(int16_t);
	s.bytes = wg_up(s.m + 36 * s.m_plane * sizeof(float), NN_ALIGN);
	return s;
}

static size_t
conv3_int16_scratch_bytes(const NnConv3 *c)
{
	return conv3_direct(c) ? 0 : qg_scratch(c).bytes;
}

/*
 * Runs the convolution of a sample: strip by strip the tiles are transformed
 * and quantised, then chunk by chunk of output channels multiplied plane by
 * plane and transformed back.
 */
static void
conv3_int16_forward(float *dst, const float *src, const void *packed, const NnConv3 *c, void *scratch)
{
	QgPacked q = qg_packed(packed, c->oc);
	QgScratch part = qg_scratch(c);
	WgSource s = conv3_source(c, src, c->ic);
	WgTarget o = {dst, NULL, q.bias, c->h, c->w, c->oc, c->relu, c->pool};
	char *base = scratch;
	float *transformed = (float *) (base + part.transformed);
	float *scales = (float *) (base + part.scales);
	int16_t *v = (int16_t *) (base + part.v);
	float *m = (float *) (base + part.m);
	int wide_k = qg_up_channels(c->ic);
	int vectors = (c->oc + VW - 1) / VW;
	int tw = (c->w + 3) / 4;
	int tiles = tw * ((c->h + 3) / 4);
	int strip = part.strip;
	size_t work = 0;
	int first, v0, b, g, p;

	s.copy = scratch;
	/* channels that only fill up are never written */
	if ((size_t) wide_k > wg_up((size_t) c->ic, VW))
		memset(transformed, 0, 36 * qg_float_plane(c->ic) * sizeof(float));
	for (first = 0; first < tiles; first += strip)
	{
		int n = tiles - first < strip ? tiles - first : strip;

		for (g = 0; g * WG_MR < n; g++)
		{
			int own = n - g * WG_MR < WG_MR ? n - g * WG_MR : WG_MR;

			wg_input(transformed, qg_float_plane(c->ic), (size_t) wide_k, &s, first + g * WG_MR, own, tw);
			if (nn_stopped())
				return;
			qg_quantise(v + (size_t) (g * WG_MR) * (size_t) wide_k, part.v_plane, scales + g * 36,
						transformed, c->ic, own);
		}
		for (v0 = 0; v0 < vectors; v0 += WG_CHUNK * WG_NV)
		{
			int cv = wg_chunk_vectors(v0, vectors, WG_CHUNK);

			for (p = 0; p < 36; p++)
			{
				if (nn_stop_due(&work, (size_t) n * (size_t) wide_k * (size_t) cv * VW))
					return;
				for (b = 0; b * WG_NV < cv; b++)
				{
					float *to = m + (size_t) p * part.m_plane + (size_t) b * WG_BW * (size_t) strip;
					const int16_t *a = v + (size_t) p * part.v_plane;
					const int16_t *w = q.weight + wg_offset(p, v0 / WG_NV + b, wide_k, vectors);
					const float *scale =
						q.scale + (size_t) p * qg_wide(c->oc) + (size_t) (v0 + b * WG_NV) * VW;
					int nv = wg_block_vectors(b, cv);

					if (q.head->vnni)
						qg_product_vnni(to, a, (size_t) wide_k, w, wide_k / 2, scale, scales + p, n, nv);
					else
						qg_product(to, a, (size_t) wide_k, w, wide_k / 2, scale, scales + p, n, nv);
				}
			}
			wg_output(&o, m, part.m_plane, strip, first, n, tw, v0 * VW, cv);
		}
	}
}
