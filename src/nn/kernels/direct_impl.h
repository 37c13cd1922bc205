/*-------------------------------------------------------------------------
 *
 * direct_impl.h
 *	  Convolution 3 x 3 with few input channels (a network's first layer),
 *	  compiled per instruction set.
 *
 * Work goes by blocks of 2 x 2 outputs, which is a pooling window, and two
 * vectors of output channels: eight sums in registers.  The four input rows
 * that a row of blocks needs are copied with their border of zeros.  The
 * products are as many as a transform would leave for so few channels.
 *
 * Packed weights: [pair of vectors][9 * ic][2 * VW].  Accumulated gradient:
 * [9 * ic][vectors * VW], then the bias gradient.
 *
 *-------------------------------------------------------------------------
 */
#define DC_NV 2
#define DC_BW (DC_NV * VW)

NN_INLINE size_t
dc_row_floats(const NnConv3 *c)
{
	return ((size_t) c->w + 4) * (size_t) c->ic;
}

/* Returns the floats of the table of a row of blocks (dc_table), behind the copied rows. */
NN_INLINE size_t
dc_table_floats(const NnConv3 *c)
{
	return NN_HAS_LOOKUP4 && c->pool ? (size_t) (c->w / 2) * 9 * 4 : 0;
}

/* Copies input rows y - 1 .. y + 2 with zeros around. */
static void
dc_rows(float *rows, const float *src, const NnConv3 *c, int y)
{
	size_t n = dc_row_floats(c);
	size_t line = (size_t) c->w * (size_t) c->ic;
	int i;

	for (i = 0; i < 4; i++)
	{
		float *row = rows + (size_t) i * n;

		if (y + i - 1 < 0 || y + i - 1 >= c->h)
			memset(row, 0, sizeof(float) * n);
		else
		{
			memset(row, 0, sizeof(float) * (size_t) c->ic);
			memcpy(row + c->ic, src + (size_t) (y + i - 1) * line, sizeof(float) * line);
			memset(row + c->ic + line, 0, sizeof(float) * 3 * (size_t) c->ic);
		}
	}
}

/* Computes the sums of four pixels (reading order) and nv vectors. */
NN_INLINE void
dc_block(vf acc[DC_NV][4], const float *in, size_t row, const float *w, const int ic)
{
	int r, s, k, j;

#pragma GCC unroll 4
	for (j = 0; j < 4; j++)
		acc[0][j] = acc[1][j] = v_zero();
#pragma GCC unroll 3
	for (r = 0; r < 3; r++)
#pragma GCC unroll 3
		for (s = 0; s < 3; s++)
			for (k = 0; k < ic; k++)
			{
				vf w0 = v_load(w);
				vf w1 = v_load(w + VW);

#pragma GCC unroll 4
				for (j = 0; j < 4; j++)
				{
					vf x = v_set1(in[(size_t) (r + j / 2) * row + (size_t) ((s + j % 2) * ic + k)]);

					acc[0][j] = v_fma(x, w0, acc[0][j]);
					acc[1][j] = v_fma(x, w1, acc[1][j]);
				}
				w += DC_BW;
			}
}

/* Writes VW channels (or n, unless whole) from ch on of the 2 x 2 block at (y, x). */
NN_INLINE void
dc_write(float *dst, uint16_t *mask, const vf *four, const float *bias, const NnConv3 *c, int y, int x,
		 int ch, const int whole)
{
	int n = whole || c->oc - ch >= VW ? VW : c->oc - ch;
	vf b = bias != NULL ? v_load_n(bias + ch, n) : v_zero();
	int j;

	if (c->pool)
	{
		size_t at = (size_t) (y / 2) * (size_t) (c->w / 2) + (size_t) (x / 2);
		uint16_t *group = mask != NULL ? mask + at * nn_mask_words(c->oc) + ch / 16 * 4 : NULL;
		vf r = c->relu ? pool4(group, ch, four, b, 1) : pool4(group, ch, four, b, 0);

		v_store_n(dst + at * (size_t) c->oc + ch, r, n);
		return;
	}
	for (j = 0; j < 4; j++)
	{
		vf r = v_add(four[j], b);

		if (y + j / 2 >= c->h || x + j % 2 >= c->w)
			continue;
		if (c->relu)
			r = v_max(v_zero(), r); /* a NaN stays one */
		v_store_n(dst + ((size_t) (y + j / 2) * (size_t) c->w + (size_t) (x + j % 2)) * (size_t) c->oc + ch,
				  r, n);
	}
}

/* Runs a sample; usual: relu and pooling follow, and the channels are whole blocks. */
NN_INLINE void
dc_forward_as(float *dst, uint16_t *mask, const float *src, const float *packed, const float *bias,
			  const NnConv3 *given, float *rows, const int ic, const int usual)
{
	size_t row = dc_row_floats(given);
	size_t most = nn_stop_items(36 * (size_t) ic * (size_t) given->oc);
	NnConv3 c = *given;
	int run = most < (size_t) given->w ? (int) most * 2 : given->w + 1;
	int h, w, x, y, ch, end;

	/* known when this is compiled, and in registers: it is asked for each block */
	if (usual)
		c.relu = c.pool = 1;
	h = c.pool ? c.h / 2 * 2 : c.h;
	w = c.pool ? c.w / 2 * 2 : c.w;
	for (y = 0; y < h && !nn_stopped(); y += 2)
	{
		dc_rows(rows, src, given, y);
		for (x = 0; x < w && !nn_stopped();)
			for (end = w - x < run ? w : x + run; x < end; x += 2)
				for (ch = 0; ch < c.oc; ch += DC_BW)
				{
					vf acc[DC_NV][4];

					dc_block(acc, rows + (size_t) x * (size_t) ic, row,
							 packed + (size_t) ch * 9 * (size_t) ic, ic);
					dc_write(dst, mask, acc[0], bias, &c, y, x, ch, usual);
					if (usual || ch + VW < c.oc)
						dc_write(dst, mask, acc[1], bias, &c, y, x, ch + VW, usual);
				}
	}
}

static void
dc_forward(float *dst, uint16_t *mask, const float *src, const float *packed, const float *bias,
		   const NnConv3 *c, float *rows)
{
	int usual = c->relu && c->pool && c->oc % DC_BW == 0 && bias != NULL;

	if (usual && c->ic == 1 && mask == NULL)
		dc_forward_as(dst, NULL, src, packed, bias, c, rows, 1, 1);
	else if (usual && c->ic == 1)
		dc_forward_as(dst, mask, src, packed, bias, c, rows, 1, 1);
	else if (usual && c->ic == 3)
		dc_forward_as(dst, mask, src, packed, bias, c, rows, 3, 1);
	else
		dc_forward_as(dst, mask, src, packed, bias, c, rows, c->ic, 0);
}

/* Computes the gradient before pooling and relu of the 2 x 2 block at (y, x). */
NN_INLINE void
dc_gradient(vf *g, const float *ddst, const uint16_t *mask, const float *dst, const NnConv3 *c, int y, int x,
			int ch, const int pool)
{
	int n = c->oc - ch < VW ? c->oc - ch : VW;
	int j;

	if (pool)
	{
		size_t at = (size_t) (y / 2) * (size_t) (c->w / 2) + (size_t) (x / 2);
		const uint16_t *group = mask + at * nn_mask_words(c->oc) + ch / 16 * 4;
		vf d = v_load_n(ddst + at * (size_t) c->oc + ch, n);

#pragma GCC unroll 4
		for (j = 0; j < 4; j++)
			g[j] = v_keep(d, v_mask_get(group, ch, j));
		return;
	}
	for (j = 0; j < 4; j++)
	{
		size_t at =
			((size_t) (y + j / 2) * (size_t) c->w + (size_t) (x + j % 2)) * (size_t) c->oc + (size_t) ch;

		if (y + j / 2 >= c->h || x + j % 2 >= c->w)
			g[j] = v_zero();
		else
		{
			g[j] = v_load_n(ddst + at, n);
			if (c->relu)
				g[j] = v_keep(g[j], v_gt_bits(v_load_n(dst + at, n), v_zero()));
		}
	}
}

/*
 * Adds a sample's weight gradient to acc: for each vector of output channels
 * and each input channel the nine taps are in registers while a row of blocks
 * passes.
 */
NN_INLINE void
dc_dweight_pool(float *acc, const float *src, const float *ddst, const uint16_t *mask, const float *dst,
				const NnConv3 *c, float *rows, const int pool)
{
	size_t row = dc_row_floats(c);
	size_t wide = wg_up((size_t) c->oc, VW);
	int ic = c->ic;
	int h = pool ? c->h / 2 * 2 : c->h;
	int w = pool ? c->w / 2 * 2 : c->w;
	size_t work = 0;
	int x, y, ch, k, e, j;

	for (y = 0; y < h && !nn_stopped(); y += 2)
	{
		dc_rows(rows, src, c, y);
		for (ch = 0; ch < c->oc && !nn_stop_due(&work, 36 * VW * (size_t) (w * ic)); ch += VW)
			for (k = 0; k < ic; k++)
			{
				float *a = acc + (size_t) k * wide + ch;
				float *db = acc + 9 * (size_t) ic * wide + ch;
				vf sum[9];
				vf bias = k == 0 ? v_load(db) : v_zero();

#pragma GCC unroll 9
				for (e = 0; e < 9; e++)
					sum[e] = v_load(a + (size_t) e * (size_t) ic * wide);
				for (x = 0; x < w; x += 2)
				{
					const float *in = rows + (size_t) x * (size_t) ic + k;
					vf g[4];

					dc_gradient(g, ddst, mask, dst, c, y, x, ch, pool);
#pragma GCC unroll 4
					for (j = 0; j < 4; j++)
#pragma GCC unroll 9
						for (e = 0; e < 9; e++)
							sum[e] = v_fma(v_set1(in[(size_t) (e / 3 + j / 2) * row +
													 (size_t) ((e % 3 + j % 2) * ic)]),
										   g[j], sum[e]);
					bias = v_add(bias, v_add(v_add(g[0], g[1]), v_add(g[2], g[3])));
				}
#pragma GCC unroll 9
				for (e = 0; e < 9; e++)
					v_store(a + (size_t) e * (size_t) ic * wide, sum[e]);
				if (k == 0)
					v_store(db, bias);
			}
	}
}

#if NN_HAS_LOOKUP4

/* Fills for each block of channel k and each tap the four pixels that may have won. */
static void
dc_table(float *table, const float *rows, const NnConv3 *c, int k)
{
	size_t row = dc_row_floats(c);
	int ic = c->ic;
	int x, r, s;

	for (x = 0; x + 1 < c->w; x += 2)
	{
		const float *in = rows + (size_t) x * (size_t) ic + k;

		for (r = 0; r < 3; r++)
			for (s = 0; s < 3; s++, table += 4)
			{
				const float *p = in + (size_t) r * row + (size_t) (s * ic);

				table[0] = p[0];
				table[1] = p[ic];
				table[2] = p[row];
				table[3] = p[row + (size_t) ic];
			}
	}
}

/*
 * Adds a sample's weight gradient to acc, with pooling: of a window's four
 * pixels one won in each channel, so that a tap is one product of the gradient
 * and the pixel looked up by the winner.
 */
static void
dc_dweight_lookup(float *acc, const float *src, const float *ddst, const uint16_t *mask, const NnConv3 *c,
				  float *rows)
{
	size_t wide = wg_up((size_t) c->oc, VW);
	size_t words = nn_mask_words(c->oc);
	size_t taps = (size_t) c->ic * wide;
	float *table = rows + wg_up(4 * dc_row_floats(c), 16);
	size_t work = 0;
	int x, y, ch, k, e;

	for (y = 0; y + 1 < c->h && !nn_stopped(); y += 2)
	{
		dc_rows(rows, src, c, y);
		for (k = 0; k < c->ic; k++)
		{
			dc_table(table, rows, c, k);
			for (ch = 0; ch < c->oc && !nn_stop_due(&work, 9 * VW * (size_t) c->w); ch += VW)
			{
				size_t at = (size_t) (y / 2) * (size_t) (c->w / 2);
				const uint16_t *group = mask + at * words + ch / 16 * 4;
				const float *from = ddst + at * (size_t) c->oc + ch;
				int n = c->oc - ch < VW ? c->oc - ch : VW;
				float *a = acc + (size_t) k * wide + ch;
				float *db = acc + 9 * taps + ch;
				vf bias = v_load(db);
				vf sum[9];

#pragma GCC unroll 9
				for (e = 0; e < 9; e++)
					sum[e] = v_load(a + (size_t) e * taps);
				for (x = 0; x < c->w / 2; x++, group += words, from += c->oc)
				{
					const float *t = table + x * 36;
					__m256i any;
					__m256i winner = v_winner(&any, group, ch);
					vf g = _mm256_and_ps(v_load_n(from, n), _mm256_castsi256_ps(any));

#pragma GCC unroll 9
					for (e = 0; e < 9; e++)
						sum[e] = v_fma(v_lookup4(v_load4(t + 4 * e), winner), g, sum[e]);
					bias = v_add(bias, g);
				}
#pragma GCC unroll 9
				for (e = 0; e < 9; e++)
					v_store(a + (size_t) e * taps, sum[e]);
				if (k == 0)
					v_store(db, bias);
			}
		}
	}
}

#endif

static void
dc_dweight(float *acc, const float *src, const float *ddst, const uint16_t *mask, const float *dst,
		   const NnConv3 *c, float *rows)
{
#if NN_HAS_LOOKUP4
	if (c->pool)
		dc_dweight_lookup(acc, src, ddst, mask, c, rows);
#else
	if (c->pool)
		dc_dweight_pool(acc, src, ddst, mask, dst, c, rows, 1);
#endif
	else
		dc_dweight_pool(acc, src, ddst, mask, dst, c, rows, 0);
}

static void
dc_pack(float *packed, const float *weight, const NnConv3 *c, int k0, int k1)
{
	size_t work = 0;
	int ch, e, k, j;

	for (ch = 0; ch < c->oc && !nn_stop_due(&work, 9 * DC_BW * (size_t) (k1 - k0)); ch += DC_BW)
		for (e = 0; e < 9; e++)
			for (k = k0; k < k1; k++)
			{
				float *d = packed + (size_t) ch * 9 * (size_t) c->ic + (size_t) (e * c->ic + k) * DC_BW;

				for (j = 0; j < DC_BW; j++)
					d[j] = ch + j < c->oc
							   ? weight[(size_t) (e * c->ic + k) * (size_t) c->oc + (size_t) (ch + j)]
							   : 0.0f;
			}
}

static void
dc_finish(float *dweight, float *dbias, const float *acc, int n_acc, size_t acc_stride, const NnConv3 *c,
		  int ic0, int ic1)
{
	size_t wide = wg_up((size_t) c->oc, VW);
	size_t work = 0;
	int a, e, k, ch;

	for (e = 0; e < 10; e++)
		for (k = ic0; k < ic1 && !nn_stop_due(&work, (size_t) n_acc * (size_t) c->oc); k++)
			for (ch = 0; ch < c->oc; ch++)
			{
				const float *s = acc + (size_t) (e * c->ic + k) * wide + ch;
				float sum = s[0];

				if (e == 9 && (k > 0 || dbias == NULL))
					continue;
				for (a = 1; a < n_acc; a++)
					sum += s[(size_t) a * acc_stride];
				if (e == 9)
					dbias[ch] = sum;
				else
					dweight[(size_t) (e * c->ic + k) * (size_t) c->oc + (size_t) ch] = sum;
			}
}
