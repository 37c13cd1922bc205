/*-------------------------------------------------------------------------
 *
 * winograd_impl.h
 *	  Convolution 3 x 3 by Winograd's F(4 x 4, 3 x 3), compiled per
 *	  instruction set: forward, data gradient, weight gradient.
 *
 * Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015,
 * with the points 0, 1, -1, 2, -2 and infinity.  For one tile of 4 x 4 outputs
 *
 *		y = At [ (G g Gt) * (Bt d B) ] A		(* by element, 36 of them)
 *
 * d being the 6 x 6 inputs around it.  Over many tiles and channels, each of
 * the 36 elements (planes) is a matrix product, [tiles][k] x [k][n].
 *
 *		forward			k = ic, n = oc, d from src
 *		data gradient	k = oc, n = ic, d from the gradient of the map before
 *						pooling and relu; g turned by 180 degrees
 *		weight gradient	dg = Gt [ sum over tiles (Bt d B) * (A dy At) ] G
 *
 * The gradient before pooling and relu is never in memory: it is made from the
 * pooled gradient and the mask while a tile is read.
 *
 * The n channels are divided in blocks of WG_NV vectors (the width of the
 * micro-kernel; the last may be narrower) and chunks of blocks (what is
 * transformed at once, so that it stays in the cache).  The packed weights,
 * and the accumulated gradient likewise, are
 *		[chunk][36 planes][block][k][width of the block].
 * V is [36][tiles][k], M and Z are [36][block][tiles][width].  Rows and planes
 * of V are padded by a cache line against conflicts.
 *
 *-------------------------------------------------------------------------
 */
#include "winograd_tiles_impl.h"

/* ------------------------------------------------------- matrix products */

/*
 * Computes c[rows][nv * VW] (+)= sum over k of a(row, k) b[k][nv * VW], where
 * a(row, k) is a[row * row_step + k * k_step].  One of the steps is 1: rows are
 * tiles and k channels forward, the other way round in the weight gradient.
 */
NN_INLINE void
wg_tile(float *c, const float *a, size_t row_step, size_t k_step, const float *b, int k, const int rows,
		const int nv, const int add)
{
	vf acc[WG_MR][WG_NV];
	int i, j, p;

#pragma GCC unroll 6
	for (i = 0; i < rows; i++)
#pragma GCC unroll 4
		for (j = 0; j < nv; j++)
			acc[i][j] = add ? v_load(c + (i * nv + j) * VW) : v_zero();
#pragma GCC unroll 2
	for (p = 0; p < k; p++)
	{
		vf x[WG_NV];

#pragma GCC unroll 4
		for (j = 0; j < nv; j++)
			x[j] = v_load(b + j * VW);
#pragma GCC unroll 6
		for (i = 0; i < rows; i++)
		{
			vf y = v_set1(a[(size_t) i * row_step]);

#pragma GCC unroll 4
			for (j = 0; j < nv; j++)
				acc[i][j] = v_fma(y, x[j], acc[i][j]);
		}
		a += k_step;
		b += nv * VW;
	}
#pragma GCC unroll 6
	for (i = 0; i < rows; i++)
#pragma GCC unroll 4
		for (j = 0; j < nv; j++)
			v_store(c + (i * nv + j) * VW, acc[i][j]);
}

/* Returns how many of the rows left to take next: no last group of one or two. */
NN_INLINE int
wg_rows(int left)
{
	if (left == WG_MR + 1 || left == WG_MR + 2)
		return (left + 1) / 2;
	return left < WG_MR ? left : WG_MR;
}

#define WG_ROWS_CASE(r)                                 \
	case r:                                             \
		if (add)                                        \
			wg_tile(c, a, 1, k_step, b, k, r, nv, 1);   \
		else                                            \
			wg_tile(c, a, row_step, 1, b, k, r, nv, 0); \
		break

/* Runs all n rows of one plane and block. */
NN_INLINE void
wg_product_width(float *c, const float *a, size_t row_step, size_t k_step, const float *b, int k, int n,
				 const int nv, const int add)
{
	while (n > 0)
	{
		int rows = wg_rows(n);

		switch (rows)
		{
			WG_ROWS_CASE(1);
			WG_ROWS_CASE(2);
			WG_ROWS_CASE(3);
			WG_ROWS_CASE(4);
			WG_ROWS_CASE(5);
			WG_ROWS_CASE(6);
		}
		a += (size_t) rows * (add ? 1 : row_step);
		c += rows * nv * VW;
		n -= rows;
	}
}

#define WG_WIDTH_CASE(w)                                    \
	case w:                                                 \
		wg_product_width(c, a, row_step, 1, b, k, n, w, 0); \
		break
#define WG_WIDTH_CASE_ADD(w)                              \
	case w:                                               \
		wg_product_width(c, a, 1, k_step, b, k, n, w, 1); \
		break

static void __attribute__((noinline))
wg_product(float *c, const float *a, size_t row_step, const float *b, int k, int n, int nv)
{
	switch (nv)
	{
		WG_WIDTH_CASE(1);
		WG_WIDTH_CASE(2);
#if WG_NV > 2
		WG_WIDTH_CASE(3);
		WG_WIDTH_CASE(4);
#endif
	}
}

static void __attribute__((noinline))
wg_product_add(float *c, const float *a, size_t k_step, const float *b, int k, int n, int nv)
{
	switch (nv)
	{
		WG_WIDTH_CASE_ADD(1);
		WG_WIDTH_CASE_ADD(2);
#if WG_NV > 2
		WG_WIDTH_CASE_ADD(3);
		WG_WIDTH_CASE_ADD(4);
#endif
	}
}

/* ----------------------------------------------------------- whole passes */

/* Returns the vectors of the chunk of so many blocks that begins at vector v0. */
NN_INLINE int
wg_chunk_vectors(int v0, int vectors, const int blocks)
{
	return vectors - v0 < blocks * WG_NV ? vectors - v0 : blocks * WG_NV;
}

/* Runs forward and data gradient: o from s by packed weights [.., s->c, .., o->c]. */
static void
wg_run(const WgTarget *o, WgSource *s, const float *packed, float *scratch)
{
	int k = s->c;
	int vectors = (o->c + VW - 1) / VW;
	int tw = (o->w + 3) / 4;
	int tiles = tw * ((o->h + 3) / 4);
	int strip = wg_strip_tiles(tiles, k, WG_V_BUDGET);
	size_t row = wg_row(k);
	size_t v_plane = row * (size_t) strip + WG_LINE;
	size_t m_plane = WG_CW * (size_t) strip + WG_LINE;
	float *v = scratch + wg_copy_floats(k);
	float *m = v + 36 * v_plane;
	size_t work = 0;
	int first, v0, b, p;

	s->copy = scratch;
	for (first = 0; first < tiles; first += strip)
	{
		int n = tiles - first < strip ? tiles - first : strip;

		wg_input(v, v_plane, row, s, first, n, tw);
		for (v0 = 0; v0 < vectors; v0 += WG_CHUNK * WG_NV)
		{
			int cv = wg_chunk_vectors(v0, vectors, WG_CHUNK);

			for (p = 0; p < 36; p++)
			{
				if (nn_stop_due(&work, (size_t) n * (size_t) k * (size_t) cv * VW))
					return;
				for (b = 0; b * WG_NV < cv; b++)
					wg_product(m + (size_t) p * m_plane + (size_t) b * WG_BW * (size_t) strip,
							   v + (size_t) p * v_plane, row,
							   packed + wg_offset(p, v0 / WG_NV + b, k, vectors), k, n,
							   wg_block_vectors(b, cv));
			}
			wg_output(o, m, m_plane, strip, first, n, tw, v0 * VW, cv);
		}
	}
}

/*
 * Strips and chunks of the weight gradient are larger: V is read once a chunk,
 * the accumulators once a strip.
 */
#define WG_DW_TILES 64
#define WG_DW_CHUNK (64 / WG_BW)

/*
 * Adds a sample's weight gradient to acc in the transformed domain: strip by
 * strip of tiles V is made of the inputs, chunk by chunk Z of the gradient, and
 * each plane's product added.
 */
static void
wg_run_dweight(float *acc, const WgSource *src, const WgSource *grad, float *scratch)
{
	int k = src->c;
	int vectors = (grad->c + VW - 1) / VW;
	int tw = (src->w + 3) / 4;
	int tiles = tw * ((src->h + 3) / 4);
	int strips = (tiles + WG_DW_TILES - 1) / WG_DW_TILES;
	int strip = (tiles + strips - 1) / strips;
	size_t row = wg_row(k);
	size_t v_plane = row * (size_t) strip + WG_LINE;
	size_t z_plane = WG_DW_CHUNK * WG_BW * (size_t) strip + WG_LINE;
	float *dbias = acc + (size_t) 36 * (size_t) k * (size_t) vectors * VW;
	float *v = scratch;
	float *z = v + 36 * v_plane;
	size_t work = 0;
	int first, v0, b, p, t;

	for (first = 0; first < tiles; first += strip)
	{
		int n = tiles - first < strip ? tiles - first : strip;

		wg_input(v, v_plane, row, src, first, n, tw);
		for (v0 = 0; v0 < vectors; v0 += WG_DW_CHUNK * WG_NV)
		{
			int cv = wg_chunk_vectors(v0, vectors, WG_DW_CHUNK);

			wg_gradient(z, z_plane, strip, grad, first, n, tw, v0 * VW, cv);
			for (p = 0; p < 36; p++)
			{
				if (nn_stop_due(&work, (size_t) n * (size_t) k * (size_t) cv * VW))
					return;
				for (b = 0; b * WG_NV < cv; b++)
					wg_product_add(acc + wg_offset(p, v0 / WG_NV + b, k, vectors), v + (size_t) p * v_plane,
								   row, z + (size_t) p * z_plane + (size_t) b * WG_BW * (size_t) strip, n, k,
								   wg_block_vectors(b, cv));
			}
			/* plane (1, 1) of A dy At is the sum of the tile */
			for (b = 0; b < cv; b++)
			{
				int nv = wg_block_vectors(b / WG_NV, cv);
				const float *s = z + 7 * z_plane + (size_t) (b / WG_NV) * WG_BW * (size_t) strip +
								 (size_t) (b % WG_NV) * VW;
				float *d = dbias + (size_t) (v0 + b) * VW;
				vf sum = v_load(d);

				for (t = 0; t < n; t++)
					sum = v_add(sum, v_load(s + (size_t) t * (size_t) nv * VW));
				v_store(d, sum);
			}
		}
	}
}

/* Returns the scratch in floats of both passes with k channels in and n out. */
static size_t
wg_scratch(int h, int w, int k)
{
	int tiles = ((w + 3) / 4) * ((h + 3) / 4);
	size_t strip = (size_t) wg_strip_tiles(tiles, k, WG_V_BUDGET);
	size_t dw = (size_t) (tiles < WG_DW_TILES ? tiles : WG_DW_TILES);
	size_t run = wg_row(k) * strip + WG_LINE + WG_CW * strip + WG_LINE;
	size_t dweight = wg_row(k) * dw + WG_LINE + WG_DW_CHUNK * WG_BW * dw + WG_LINE;

	return 36 * (run > dweight ? run : dweight);
}

/*
 * Packs G g Gt of the weights (3, 3, ic, oc); transposed: of the kernel turned
 * by 180 degrees with ic and oc exchanged.
 */
static void
wg_pack(float *packed, const float *weight, int ic, int oc, int transposed, int k0, int k1)
{
	int k_all = transposed ? oc : ic;
	int n_all = transposed ? ic : oc;
	int vectors = (n_all + VW - 1) / VW;
	size_t work = 0;
	int k, n, e, i, j;

	for (k = k0; k < k1; k++)
		for (n = 0; n < vectors; n++)
		{
			int b = n / WG_NV;
			int nv = wg_block_vectors(b, vectors);
			int left = n_all - n * VW < VW ? n_all - n * VW : VW;
			vf g[9];
			vf t[18];
			vf u[6];

			if (nn_stop_due(&work, 36 * VW))
				return;
			for (e = 0; e < 9; e++)
			{
				if (transposed)
				{
					const float *s =
						weight + ((size_t) (8 - e) * (size_t) ic + (size_t) n * VW) * (size_t) oc + k;
					float lane[VW] = {0};

					for (i = 0; i < left; i++)
						lane[i] = s[(size_t) i * (size_t) oc];
					g[e] = v_load(lane);
				}
				else
					g[e] = v_load_n(weight + ((size_t) e * (size_t) ic + (size_t) k) * (size_t) oc +
										(size_t) n * VW,
									left);
			}
			for (i = 0; i < 3; i++)
				wg_g(t + 6 * i, g[3 * i], g[3 * i + 1], g[3 * i + 2]);
			for (j = 0; j < 6; j++)
			{
				wg_g(u, t[j], t[6 + j], t[12 + j]);
				for (i = 0; i < 6; i++)
					v_store(packed + wg_offset(6 * i + j, b, k_all, vectors) +
								((size_t) k * (size_t) nv + (size_t) (n - b * WG_NV)) * VW,
							u[i]);
			}
		}
}

/* Computes dweight = Gt (sum of the accumulators) G for the input channels [ic0, ic1). */
static void
wg_finish(float *dweight, float *dbias, const float *acc, int n_acc, size_t acc_stride, int ic, int oc,
		  int ic0, int ic1)
{
	int vectors = (oc + VW - 1) / VW;
	size_t work = 0;
	int a, c, e, i, n;

	for (c = ic0; c < ic1; c++)
		for (n = 0; n < vectors; n++)
		{
			int b = n / WG_NV;
			int nv = wg_block_vectors(b, vectors);
			int left = oc - n * VW < VW ? oc - n * VW : VW;
			vf u[36];
			vf t[18];
			vf g[3];

			if (nn_stop_due(&work, 36 * VW * (size_t) n_acc))
				return;
			for (e = 0; e < 36; e++)
			{
				const float *s = acc + wg_offset(e, b, ic, vectors) +
								 ((size_t) c * (size_t) nv + (size_t) (n - b * WG_NV)) * VW;

				u[e] = v_load(s);
				for (a = 1; a < n_acc; a++)
					u[e] = v_add(u[e], v_load(s + (size_t) a * acc_stride));
			}
			for (i = 0; i < 6; i++)
			{
				wg_gt(g, u[6 * i], u[6 * i + 1], u[6 * i + 2], u[6 * i + 3], u[6 * i + 4], u[6 * i + 5]);
				t[i] = g[0];
				t[6 + i] = g[1];
				t[12 + i] = g[2];
			}
			for (e = 0; e < 3; e++)
			{
				wg_gt(g, t[6 * e], t[6 * e + 1], t[6 * e + 2], t[6 * e + 3], t[6 * e + 4], t[6 * e + 5]);
				for (i = 0; i < 3; i++)
					v_store_n(dweight + ((size_t) (3 * i + e) * (size_t) ic + (size_t) c) * (size_t) oc +
								  (size_t) n * VW,
							  g[i], left);
			}
		}
	if (dbias != NULL && ic0 == 0)
	{
		const float *s = acc + (size_t) 36 * (size_t) ic * (size_t) vectors * VW;

		for (n = 0; n < oc; n++)
		{
			float sum = s[n];

			for (a = 1; a < n_acc; a++)
				sum += s[n + (size_t) a * acc_stride];
			dbias[n] = sum;
		}
	}
}
