/*-------------------------------------------------------------------------
 *
 * winograd_tiles_impl.h
 *	  Between maps and the transformed domain: layout, transforms, reading and
 *	  writing of tiles.  The method is described in winograd_impl.h, which
 *	  includes this.
 *
 *-------------------------------------------------------------------------
 */
#define WG_MR 6 /* tiles (or input channels) at a time */
#if VREGS == 32
#define WG_NV 4
#else
#define WG_NV 2
#endif
#define WG_BW (WG_NV * VW)
#define WG_CHUNK 1               /* more of M would leave the first cache */
#define WG_CW (WG_CHUNK * WG_BW) /* channels of a chunk */
#define WG_LINE 16               /* floats in a cache line */
#define WG_MAX_TILES 96          /* of a strip */
#define WG_LOOK 4096             /* channels, between two looks whether to stop */

#ifndef WG_V_BUDGET
#define WG_V_BUDGET (128 * 1024) /* bytes of V in a forward strip */
#endif

/* Where the inputs of a transform come from. */
typedef enum WgKind
{
	WG_PLAIN, /* a map */
	WG_GATED, /* a gradient, 0 where gate is not positive */
	WG_POOLED /* a pooled gradient, placed by its mask */
} WgKind;

typedef struct WgSource
{
	WgKind kind;
	const float *map;
	const float *gate;
	const uint16_t *mask;
	float *copy; /* wg_copy_floats(c), for squares at the edge */
	int h,       /* of the unpooled map */
		w, c;
} WgSource;

/* The forms in which the result of the products is written. */
typedef struct WgTarget
{
	float *map;
	uint16_t *mask;
	const float *bias;
	int h, /* of the unpooled map */
		w, c, relu, pool;
} WgTarget;

NN_INLINE size_t
wg_up(size_t n, size_t m)
{
	return (n + m - 1) / m * m;
}

NN_INLINE size_t
wg_row(int k)
{
	return wg_up((size_t) k, WG_LINE) + WG_LINE;
}

/* Returns the vectors of block b among the vectors of n channels. */
NN_INLINE int
wg_block_vectors(int b, int vectors)
{
	return vectors - b * WG_NV < WG_NV ? vectors - b * WG_NV : WG_NV;
}

/* Returns the offset of (plane, block b) in the packed form; b counts over all chunks. */
NN_INLINE size_t
wg_offset(int plane, int b, int k, int vectors)
{
	int first = b / WG_CHUNK * WG_CHUNK; /* block, of this chunk */
	int in_chunk = vectors - first * WG_NV;

	if (in_chunk > WG_CHUNK * WG_NV)
		in_chunk = WG_CHUNK * WG_NV;
	return (size_t) k * VW *
		   ((size_t) first * WG_NV * 36 + (size_t) plane * (size_t) in_chunk + (size_t) (b - first) * WG_NV);
}

/* Returns the tiles of a strip: even shares of what the budget allows. */
static int
wg_strip_tiles(int tiles, int k, int budget)
{
	int most = budget / (int) (36 * sizeof(float) * wg_row(k));
	int strips;
	int t;

	most = most / WG_MR * WG_MR;
	if (most < 2 * WG_MR)
		most = 2 * WG_MR;
	if (most > WG_MAX_TILES)
		most = WG_MAX_TILES;
	strips = (tiles + most - 1) / most;
	t = (tiles + strips - 1) / strips;
	t = (int) wg_up((size_t) t, WG_MR);
	return t < tiles ? t : tiles;
}

/*
 * Six rows at a constant distance in bytes, in the forms that an address can
 * take: 1, 2 and 4 times one register, and two more for 3 and 5 times.
 */
typedef struct WgStep
{
	size_t s, s3, s5;
} WgStep;

NN_INLINE WgStep
wg_step(size_t floats)
{
	size_t s = floats * sizeof(float);
	WgStep step = {s, 3 * s, 5 * s};

	return step;
}

NN_INLINE const float *
wg_at_row(const float *p, const int i, const WgStep step)
{
	const char *q = (const char *) p;

	return (const float *) (i == 0   ? q
							: i == 1 ? q + step.s
							: i == 2 ? q + 2 * step.s
							: i == 3 ? q + step.s3
							: i == 4 ? q + 4 * step.s
									 : q + step.s5);
}

NN_INLINE void
wg_store6(float *p, const vf *r, const WgStep step)
{
	int i;

#pragma GCC unroll 6
	for (i = 0; i < 6; i++)
		v_store((float *) wg_at_row(p, i, step), r[i]);
}

/* ----------------------------------------------------------- transforms */

/* c - a * b */
#if NN_SIMD == NN_SIMD_AVX2
#define wg_fnma(a, b, c) _mm256_fnmadd_ps(a, b, c)
#elif NN_SIMD == NN_SIMD_AVX512
#define wg_fnma(a, b, c) _mm512_fnmadd_ps(a, b, c)
#else
#define wg_fnma(a, b, c) v_sub(c, v_mul(a, b))
#endif

/* Computes Bt d, 6 values to 6, with two constants and as many additions as multiplications. */
NN_INLINE void
wg_bt(vf *t, vf d0, vf d1, vf d2, vf d3, vf d4, vf d5)
{
	vf four = v_set1(4.0f);
	vf two = v_set1(2.0f);
	vf a = wg_fnma(four, d2, d4);
	vf b = wg_fnma(four, d1, d3);
	vf c = v_sub(d4, d2);
	vf e = v_sub(d3, d1);

	t[0] = v_fma(four, v_sub(d0, d2), c);
	t[1] = v_add(a, b);
	t[2] = v_sub(a, b);
	t[3] = v_fma(two, e, c);
	t[4] = wg_fnma(two, e, c);
	t[5] = wg_fnma(four, e, v_sub(d5, d3));
}

/* Computes At m, 6 values to 4. */
NN_INLINE void
wg_at(vf *y, vf m0, vf m1, vf m2, vf m3, vf m4, vf m5)
{
	vf s12 = v_add(m1, m2);
	vf d12 = v_sub(m1, m2);
	vf s34 = v_add(m3, m4);
	vf d34 = v_sub(m3, m4);

	y[0] = v_add(v_add(m0, s12), s34);
	y[1] = v_fma(v_set1(2.0f), d34, d12);
	y[2] = v_fma(v_set1(4.0f), s34, s12);
	y[3] = v_add(v_fma(v_set1(8.0f), d34, d12), m5);
}

/* Computes A y, 4 values to 6. */
NN_INLINE void
wg_a(vf *z, vf y0, vf y1, vf y2, vf y3)
{
	vf even = v_add(y0, y2);
	vf odd = v_add(y1, y3);
	vf even4 = v_fma(v_set1(4.0f), y2, y0);
	vf odd4 = v_fma(v_set1(4.0f), y3, y1);

	z[0] = y0;
	z[1] = v_add(even, odd);
	z[2] = v_sub(even, odd);
	z[3] = v_fma(v_set1(2.0f), odd4, even4);
	z[4] = v_fma(v_set1(-2.0f), odd4, even4);
	z[5] = y3;
}

/* Computes G g, 3 values to 6. */
NN_INLINE void
wg_g(vf *u, vf g0, vf g1, vf g2)
{
	vf sixth = v_set1(-1.0f / 6.0f);
	vf even = v_mul(sixth, v_add(g0, g2));
	vf odd = v_mul(sixth, g1);
	vf even2 = v_mul(v_set1(1.0f / 24.0f), v_fma(v_set1(4.0f), g2, g0));
	vf odd2 = v_mul(v_set1(1.0f / 12.0f), g1);

	u[0] = v_mul(v_set1(0.25f), g0);
	u[1] = v_add(even, odd);
	u[2] = v_sub(even, odd);
	u[3] = v_add(even2, odd2);
	u[4] = v_sub(even2, odd2);
	u[5] = g2;
}

/* Computes Gt u, 6 values to 3. */
NN_INLINE void
wg_gt(vf *g, vf u0, vf u1, vf u2, vf u3, vf u4, vf u5)
{
	vf s12 = v_mul(v_set1(-1.0f / 6.0f), v_add(u1, u2));
	vf d12 = v_mul(v_set1(1.0f / 6.0f), v_sub(u2, u1));
	vf s34 = v_add(u3, u4);
	vf d34 = v_sub(u3, u4);

	g[0] = v_fma(v_set1(0.25f), u0, v_fma(v_set1(1.0f / 24.0f), s34, s12));
	g[1] = v_fma(v_set1(1.0f / 12.0f), d34, d12);
	g[2] = v_add(v_fma(v_set1(1.0f / 6.0f), s34, s12), u5);
}

/* --------------------------------------------------------- reading tiles */

/*
 * A square of pixels as a first address and two steps.  Interior squares point
 * into the map; others, and gated gradients, into a copy with zeros outside.
 * WG_POOLED: of the pooled pixels that the square touches, with their masks.
 */
typedef struct WgPatch
{
	const float *map;
	size_t row, col;
	const uint16_t *mask;
	size_t mask_row, mask_col;
} WgPatch;

/* Returns the floats of the copy: of a square, then of its masks. */
NN_INLINE size_t
wg_copy_floats(int c)
{
	return wg_up(36 * (size_t) c + 16 * nn_mask_words(c) / 2, WG_LINE);
}

/* Copies side x side pixels from (y0, x0) of a map of h x w; zeros outside. */
static void
wg_copy(float *copy, const WgSource *s, int y0, int x0, int side, int h, int w)
{
	size_t c = (size_t) s->c;
	uint16_t *mask = (uint16_t *) (copy + 36 * c);
	size_t words = nn_mask_words(s->c);
	size_t work = 0;
	size_t k;
	int i, j;

	for (i = 0; i < side; i++)
		for (j = 0; j < side && !nn_stop_due(&work, c); j++)
		{
			float *d = copy + (size_t) (i * side + j) * c;
			int inside = y0 + i >= 0 && x0 + j >= 0 && y0 + i < h && x0 + j < w;
			size_t at = inside ? (size_t) (y0 + i) * (size_t) w + (size_t) (x0 + j) : 0;

			if (!inside)
				memset(d, 0, sizeof(float) * c);
			else if (s->kind == WG_GATED)
			{
				const float *from = s->map + at * c;
				const float *gate = s->gate + at * c;

				for (k = 0; k < c; k++)
					d[k] = gate[k] > 0.0f ? from[k] : 0.0f;
			}
			else
				memcpy(d, s->map + at * c, sizeof(float) * c);
			if (s->kind == WG_POOLED)
				memcpy(mask + (size_t) (i * side + j) * words, s->mask + at * words,
					   sizeof(uint16_t) * words);
		}
}

/* Returns the square of size x size pixels from (y0, x0): 6 from 4 t - 1, or 4 from 4 t. */
static WgPatch
wg_patch(const WgSource *s, int y0, int x0, int size)
{
	WgPatch patch;
	int pooled = s->kind == WG_POOLED;
	int side = !pooled ? size : size == 6 ? 4 : 2;
	int h = pooled ? s->h / 2 : s->h;
	int w = pooled ? s->w / 2 : s->w;
	size_t at;

	if (pooled)
	{
		y0 = (y0 + 1) / 2 - (size == 6);
		x0 = (x0 + 1) / 2 - (size == 6);
	}
	if (s->kind == WG_GATED || y0 < 0 || x0 < 0 || y0 + side > h || x0 + side > w)
	{
		wg_copy(s->copy, s, y0, x0, side, h, w);
		patch.map = s->copy;
		patch.mask = (const uint16_t *) (s->copy + 36 * (size_t) s->c);
		at = 0;
		w = side;
	}
	else
	{
		at = (size_t) y0 * (size_t) w + (size_t) x0;
		patch.map = s->map + at * (size_t) s->c;
		patch.mask = pooled ? s->mask + at * nn_mask_words(s->c) : NULL;
	}
	patch.col = (size_t) s->c;
	patch.row = (size_t) w * patch.col;
	patch.mask_col = nn_mask_words(s->c);
	patch.mask_row = (size_t) w * patch.mask_col;
	return patch;
}

/* Returns n channels (VW, or fewer at the end) from c on of pixel (i, j) of the square. */
NN_INLINE vf
wg_pixel(const WgPatch patch, const WgKind kind, const int size, const int i, const int j, int c, const int n)
{
	int off = size == 6; /* a square of 6 begins at an odd pixel */
	const float *p;
	vf v;

	if (kind != WG_POOLED)
	{
		p = patch.map + (size_t) i * patch.row + (size_t) j * patch.col + c;
		return n == VW ? v_load(p) : v_load_n(p, n);
	}
	p = patch.map + (size_t) ((i + off) / 2) * patch.row + (size_t) ((j + off) / 2) * patch.col + c;
	v = n == VW ? v_load(p) : v_load_n(p, n);
	return v_keep_masked(v,
						 patch.mask + (size_t) ((i + off) / 2) * patch.mask_row +
							 (size_t) ((j + off) / 2) * patch.mask_col + c / 16 * 4,
						 c, (i + off) % 2 * 2 + (j + off) % 2);
}

/*
 * Computes V of one tile, VW channels: v[plane * stride].  Bt d is made by
 * columns and kept aside, then its product with B by rows: few addresses, all
 * of one form.
 */
NN_INLINE void
wg_input_plain(float *v, size_t stride, const WgPatch patch, int c, const int n)
{
	const WgStep to = wg_step(stride);
	const WgStep row = wg_step(patch.row);
	const float *p = patch.map + c;
	vf t[36];
	vf r[6];
	int i, j;

#define WG_AT(i) (n == VW ? v_load(wg_at_row(p, i, row)) : v_load_n(wg_at_row(p, i, row), n))
#pragma GCC unroll 6
	for (j = 0; j < 6; j++)
	{
		NN_OPAQUE(p);
		wg_bt(r, WG_AT(0), WG_AT(1), WG_AT(2), WG_AT(3), WG_AT(4), WG_AT(5));
#pragma GCC unroll 6
		for (i = 0; i < 6; i++)
			t[6 * i + j] = r[i];
		p += patch.col;
	}
#undef WG_AT
#pragma GCC unroll 6
	for (i = 0; i < 6; i++)
	{
		NN_OPAQUE(v);
		wg_bt(r, t[6 * i], t[6 * i + 1], t[6 * i + 2], t[6 * i + 3], t[6 * i + 4], t[6 * i + 5]);
		wg_store6(v, r, to);
		v += 6 * stride;
	}
}

/* Computes V of one tile from a pooled gradient, whose pixels cost more: each is read once. */
NN_INLINE void
wg_input_pooled(float *v, size_t stride, const WgPatch patch, int c, const int n)
{
	const WgStep to = wg_step(6 * stride);
	vf t[36];
	vf r[6];
	float *d;
	int i, j;

#pragma GCC unroll 6
	for (i = 0; i < 6; i++)
		wg_bt(t + 6 * i, wg_pixel(patch, WG_POOLED, 6, i, 0, c, n), wg_pixel(patch, WG_POOLED, 6, i, 1, c, n),
			  wg_pixel(patch, WG_POOLED, 6, i, 2, c, n), wg_pixel(patch, WG_POOLED, 6, i, 3, c, n),
			  wg_pixel(patch, WG_POOLED, 6, i, 4, c, n), wg_pixel(patch, WG_POOLED, 6, i, 5, c, n));
#pragma GCC unroll 6
	for (j = 0; j < 6; j++)
	{
		wg_bt(r, t[j], t[6 + j], t[12 + j], t[18 + j], t[24 + j], t[30 + j]);
		d = v + (size_t) j * stride;
		NN_OPAQUE(d);
		wg_store6(d, r, to);
	}
}

NN_INLINE void
wg_input_vector(float *v, size_t stride, const WgPatch patch, const WgKind kind, int c, const int n)
{
	if (kind == WG_POOLED)
		wg_input_pooled(v, stride, patch, c, n);
	else
		wg_input_plain(v, stride, patch, c, n);
}

/* Fetches a c / channels share of the next tile's new pixels. */
NN_INLINE void
wg_prefetch(const WgPatch patch, int c)
{
	const float *p = patch.map + 6 * patch.col + 4 * c;
	int i, j;

#pragma GCC unroll 6
	for (i = 0; i < 6; i++)
	{
#pragma GCC unroll 4
		for (j = 0; j < 4 * VW; j += WG_LINE)
			__builtin_prefetch(p + j);
		p += patch.row;
	}
}

NN_INLINE void
wg_input_kind(float *v, size_t plane, size_t row, const WgSource *s, const WgKind kind, int first,
			  int n_tiles, int tw)
{
	WgPatch patch;
	size_t work = 0;
	int t, c, end;

	for (t = 0; t < n_tiles; t++)
	{
		float *dst = v + (size_t) t * row;

		patch = wg_patch(s, (first + t) / tw * 4 - 1, (first + t) % tw * 4 - 1, 6);
		for (c = 0; c + VW <= s->c;)
		{
			end = s->c - c < WG_LOOK ? s->c : c + WG_LOOK;
			if (nn_stop_due(&work, 36 * (size_t) (end - c)))
				return;
			for (; c + VW <= end; c += VW)
			{
				if (kind == WG_PLAIN)
					wg_prefetch(patch, c);
				wg_input_vector(dst + c, plane, patch, kind, c, VW);
			}
		}
		if (c < s->c)
			wg_input_vector(dst + c, plane, patch, kind, c, s->c - c);
	}
}

/* Computes V[36][n_tiles][row] of the tiles from first on of a sample; tw tiles in a row of tiles. */
static void
wg_input(float *v, size_t plane, size_t row, const WgSource *s, int first, int n_tiles, int tw)
{
	if (s->kind == WG_POOLED)
		wg_input_kind(v, plane, row, s, WG_POOLED, first, n_tiles, tw);
	else
		wg_input_kind(v, plane, row, s, WG_PLAIN, first, n_tiles, tw);
}

/* Computes Z of one tile, VW channels: z[plane * stride] = A dy At. */
NN_INLINE void
wg_gradient_vector(float *z, size_t stride, const WgPatch patch, const WgKind kind, int c, const int n)
{
	const WgStep to = wg_step(6 * stride);
	vf t[24];
	vf r[6];
	float *d;
	int i, j;

#pragma GCC unroll 4
	for (i = 0; i < 4; i++)
		wg_a(t + 6 * i, wg_pixel(patch, kind, 4, i, 0, c, n), wg_pixel(patch, kind, 4, i, 1, c, n),
			 wg_pixel(patch, kind, 4, i, 2, c, n), wg_pixel(patch, kind, 4, i, 3, c, n));
#pragma GCC unroll 6
	for (j = 0; j < 6; j++)
	{
		wg_a(r, t[j], t[6 + j], t[12 + j], t[18 + j]);
		d = z + (size_t) j * stride;
		NN_OPAQUE(d);
		wg_store6(d, r, to);
	}
}

NN_INLINE void
wg_gradient_kind(float *z, size_t plane, int strip, const WgSource *s, const WgKind kind, int first,
				 int n_tiles, int tw, int c0, int vectors)
{
	WgPatch patch;
	int t, k;

	for (t = 0; t < n_tiles; t++)
	{
		patch = wg_patch(s, (first + t) / tw * 4, (first + t) % tw * 4, 4);
		for (k = 0; k < vectors; k++)
		{
			int b = k / WG_NV;
			int nv = wg_block_vectors(b, vectors);
			int c = c0 + k * VW;
			float *dst = z + (size_t) b * WG_BW * (size_t) strip +
						 ((size_t) t * (size_t) nv + (size_t) (k - b * WG_NV)) * VW;

			if (c + VW <= s->c)
				wg_gradient_vector(dst, plane, patch, kind, c, VW);
			else
				wg_gradient_vector(dst, plane, patch, kind, c, s->c - c);
		}
	}
}

/* Computes Z[36][block][strip][width] of a chunk of vectors from channel c0 on. */
static void
wg_gradient(float *z, size_t plane, int strip, const WgSource *s, int first, int n_tiles, int tw, int c0,
			int vectors)
{
	if (s->kind == WG_POOLED)
		wg_gradient_kind(z, plane, strip, s, WG_POOLED, first, n_tiles, tw, c0, vectors);
	else
		wg_gradient_kind(z, plane, strip, s, WG_PLAIN, first, n_tiles, tw, c0, vectors);
}

/* --------------------------------------------------------- writing tiles */

/* Where the outputs of a tile go: 4 x 4 pixels, or 2 x 2 pooled ones. */
typedef struct WgPlace
{
	float *map; /* the first */
	uint16_t *mask;
	size_t row, /* floats to the next row */
		mask_row;
	int rows, /* that are inside */
		cols;
} WgPlace;

static WgPlace
wg_place(const WgTarget *o, int ty, int tx, const int pool)
{
	WgPlace place;
	int side = pool ? 2 : 4;
	int h = pool ? o->h / 2 : o->h;
	int w = pool ? o->w / 2 : o->w;
	size_t at = (size_t) (ty * side) * (size_t) w + (size_t) (tx * side);

	place.map = o->map + at * (size_t) o->c;
	place.mask = o->mask == NULL ? NULL : o->mask + at * nn_mask_words(o->c);
	place.row = (size_t) w * (size_t) o->c;
	place.mask_row = (size_t) w * nn_mask_words(o->c);
	place.rows = h - ty * side < side ? h - ty * side : side;
	place.cols = w - tx * side < side ? w - tx * side : side;
	return place;
}

/* Puts one pixel's r in its place, n channels of it. */
NN_INLINE void
wg_put(float *p, vf r, vf least, const int n)
{
	r = v_max(least, r); /* a NaN stays one */
	if (n == VW)
		v_store(p, r);
	else
		v_store_n(p, r, n);
}

/*
 * Writes the outputs of M (m[plane * stride], VW channels from c on); full: all
 * of them are inside.  relu is the larger of least, 0 or -infinity.
 */
NN_INLINE void
wg_output_vector(const WgTarget *o, const WgPlace place, const float *m, size_t stride, vf least, int c,
				 const int n, const int pool, const int masks, const int full)
{
	const WgStep from = wg_step(6 * stride);
	size_t pixel = (size_t) o->c;
	float *p = place.map + c;
	vf t[24];
	vf y[8];
	vf bias = v_zero();
	int i, j;

	if (o->bias != NULL)
		bias = n == VW ? v_load(o->bias + c) : v_load_n(o->bias + c, n);
#pragma GCC unroll 6
	for (j = 0; j < 6; j++)
	{
		const float *q = m + (size_t) j * stride;
		vf r[4];

		NN_OPAQUE(q);
		wg_at(r, v_load(q), v_load(wg_at_row(q, 1, from)), v_load(wg_at_row(q, 2, from)),
			  v_load(wg_at_row(q, 3, from)), v_load(wg_at_row(q, 4, from)), v_load(wg_at_row(q, 5, from)));
#pragma GCC unroll 4
		for (i = 0; i < 4; i++)
			t[6 * i + j] = r[i];
	}
#pragma GCC unroll 2
	for (i = 0; i < 4; i += 2)
	{
		wg_at(y, t[6 * i], t[6 * i + 1], t[6 * i + 2], t[6 * i + 3], t[6 * i + 4], t[6 * i + 5]);
		wg_at(y + 4, t[6 * i + 6], t[6 * i + 7], t[6 * i + 8], t[6 * i + 9], t[6 * i + 10], t[6 * i + 11]);
		NN_OPAQUE(p);
		if (pool)
		{
			if (!full && i / 2 >= place.rows)
				return;
#pragma GCC unroll 2
			for (j = 0; j < 2; j++)
			{
				vf four[4] = {y[2 * j], y[2 * j + 1], y[4 + 2 * j], y[5 + 2 * j]};
				uint16_t *group = NULL;
				vf r;

				if (!full && j >= place.cols)
					break;
				if (masks)
					group = place.mask + (size_t) (i / 2) * place.mask_row +
							(size_t) j * nn_mask_words(o->c) + c / 16 * 4;
				r = masks && o->relu ? pool4(group, c, four, bias, 1) : pool4(group, c, four, bias, 0);
				wg_put(p + (size_t) j * pixel, r, least, n);
			}
			p += place.row;
		}
		else
		{
#pragma GCC unroll 8
			for (j = 0; j < 8; j++)
				if (full || (i + j / 4 < place.rows && j % 4 < place.cols))
					wg_put(p + (size_t) (j / 4) * place.row + (size_t) (j % 4) * pixel, v_add(y[j], bias),
						   least, n);
			p += 2 * place.row;
		}
	}
}

/* Writes a tile's vectors, its columns of a chunk. */
NN_INLINE void
wg_output_tile(const WgTarget *o, const WgPlace place, const float *m, size_t plane, int strip, int t, int c0,
			   int vectors, const int pool, const int masks, const int full)
{
	vf least = v_set1(o->relu ? 0.0f : -__builtin_inff());
	int k;

	for (k = 0; k < vectors; k++)
	{
		int b = k / WG_NV;
		int nv = wg_block_vectors(b, vectors);
		int c = c0 + k * VW;
		const float *src = m + (size_t) b * WG_BW * (size_t) strip +
						   ((size_t) t * (size_t) nv + (size_t) (k - b * WG_NV)) * VW;

		if (full)
			wg_output_vector(o, place, src, plane, least, c, VW, pool, masks, 1);
		else
			wg_output_vector(o, place, src, plane, least, c, o->c - c < VW ? o->c - c : VW, pool, masks, 0);
	}
}

NN_INLINE void
wg_output_kind(const WgTarget *o, const float *m, size_t plane, int strip, int first, int n_tiles, int tw,
			   int c0, int vectors, const int pool, const int masks)
{
	int t;

	for (t = 0; t < n_tiles; t++)
	{
		WgPlace place = wg_place(o, (first + t) / tw, (first + t) % tw, pool);
		int side = pool ? 2 : 4;

		if (place.rows == side && place.cols == side && c0 + vectors * VW <= o->c)
			wg_output_tile(o, place, m, plane, strip, t, c0, vectors, pool, masks, 1);
		else
			wg_output_tile(o, place, m, plane, strip, t, c0, vectors, pool, masks, 0);
	}
}

static void
wg_output(const WgTarget *o, const float *m, size_t plane, int strip, int first, int n_tiles, int tw, int c0,
		  int vectors)
{
	if (!o->pool)
		wg_output_kind(o, m, plane, strip, first, n_tiles, tw, c0, vectors, 0, 0);
	else if (o->mask == NULL)
		wg_output_kind(o, m, plane, strip, first, n_tiles, tw, c0, vectors, 1, 0);
	else
		wg_output_kind(o, m, plane, strip, first, n_tiles, tw, c0, vectors, 1, 1);
}
