/*-------------------------------------------------------------------------
 *
 * conv_impl.h
 *	  Convolution with a window of any size, strides and dilation, compiled
 *	  per instruction set: forward, data gradient, weight gradient.
 *
 * All three are matrix products whose operands are read where they lie, with
 * no matrix of patches in memory.  Along a row of outputs the pixel that a tap
 * reads moves by the stride, so that the rows of a product are a fixed step
 * apart; the products of one output run over runs of consecutive values: a row
 * of the window where its taps touch, else a tap (CvRuns).  A 1 x 1
 * convolution of stride 1 takes the whole map as one row.
 *
 * The data gradient of strides (sh, sw) is sh * sw convolutions of stride 1,
 * each with the taps that meet its pixels (CvPhase).
 *
 * A tile is up to CV_ROWS outputs wide and one block of output channels, its
 * sums in registers from the first product to the last: a value's bits do not
 * depend on the tile.  The last tile of a row overlaps the one before.
 *
 * Packed weights: [block of channels][window][k][width of the block]; of the
 * data gradient one such array for each phase, k being oc.
 *
 *-------------------------------------------------------------------------
 */
#if VREGS == 32
#define CV_NV 3     /* vectors of the widest block */
#define CV_ROWS 12  /* rows of a tile of one or two vectors */
#define CV_ROWS_3 8 /* of three */
#else
#define CV_NV 2
#define CV_ROWS 6
#endif
#define CV_GROUPS ((CV_ROWS + 2) / 3)

/* The products of one output: ny * nx runs of len values of both operands. */
typedef struct CvRuns
{
	int ny, nx, len;
	ptrdiff_t y_step, x_step; /* from run to run, of the left operand */
} CvRuns;

/* What a tile does with its sums. */
typedef struct CvEnd
{
	const float *bias; /* of the block, or NULL */
	NnClip clip;
	int width; /* channels of the block that there are */
} CvEnd;

/* Returns the vectors of the block that begins at vector v of so many: two each, an odd last one joins. */
NN_INLINE int
cv_block(int v, int vectors)
{
	int left = vectors - v;

	if (left <= CV_NV)
		return left;
	return 2;
}

NN_INLINE int
cv_vectors(int channels)
{
	return (channels + VW - 1) / VW;
}

/* Returns the rows of the next tile of the rows that are left, of all. */
NN_INLINE int
cv_rows(int left, int all, int most)
{
	int rows = most;

	while (rows > 1 && rows > all)
		rows /= 2;
	while (rows > 1 && rows / 2 >= left)
		rows /= 2;
	return rows;
}

NN_INLINE vf
cv_clip(vf x, NnClip clip)
{
	/* a NaN stays one */
	return v_min(v_set1(clip.high), v_max(v_zero(), x));
}

/* ---------------------------------------------------------------- forward */

/* Computes c[rows][nv * VW], rows c_step apart, from a(row) = a[row * a_step + ..] and packed b. */
NN_INLINE void
cv_tile(float *c, size_t c_step, const float *a, size_t a_step, const CvRuns *r, const float *b,
		const CvEnd *end, const int rows, const int nv)
{
	vf acc[CV_ROWS][CV_NV];
	int i, j, p, y, x;

#pragma GCC unroll 12
	for (i = 0; i < rows; i++)
#pragma GCC unroll 3
		for (j = 0; j < nv; j++)
			acc[i][j] = v_zero();
	for (y = 0; y < r->ny; y++)
		for (x = 0; x < r->nx; x++)
		{
			const float *at[CV_GROUPS];

		/* three rows to a pointer: one register more holds their step */
#pragma GCC unroll 4
			for (i = 0; i < (rows + 2) / 3; i++)
			{
				at[i] = a + y * r->y_step + x * r->x_step + (size_t) (3 * i) * a_step;
				NN_OPAQUE(at[i]);
			}
			for (p = 0; p < r->len; p++)
			{
				vf w[CV_NV];

#pragma GCC unroll 3
				for (j = 0; j < nv; j++)
					w[j] = v_load(b + j * VW);
#pragma GCC unroll 12
				for (i = 0; i < rows; i++)
				{
					vf v = v_set1(at[i / 3][(size_t) (i % 3) * a_step]);

#pragma GCC unroll 3
					for (j = 0; j < nv; j++)
						acc[i][j] = v_fma(v, w[j], acc[i][j]);
				}
#pragma GCC unroll 4
				for (i = 0; i < (rows + 2) / 3; i++)
					at[i]++;
				b += nv * VW;
			}
		}
#pragma GCC unroll 3
	for (j = 0; j < nv; j++)
	{
		int n = end->width - j * VW < VW ? end->width - j * VW : VW;
		vf bias = end->bias != NULL ? v_load_n(end->bias + j * VW, n) : v_zero();

#pragma GCC unroll 12
		for (i = 0; i < rows; i++)
		{
			vf v = v_add(acc[i][j], bias);

			if (end->clip.on)
				v = cv_clip(v, end->clip);
			v_store_n(c + (size_t) i * c_step + j * VW, v, n);
		}
	}
}

/* Runs n outputs of a row, by tiles of most rows, most / 2, most / 4 and so on. */
NN_INLINE void
cv_row_width(float *c, size_t c_step, const float *a, size_t a_step, int n, const CvRuns *r, const float *b,
			 const CvEnd *end, const int most, const int nv)
{
	size_t each = (size_t) r->ny * (size_t) r->nx * (size_t) r->len * (size_t) (nv * VW);
	size_t work = 0;
	int done = 0;

	while (done < n && !nn_stop_due(&work, (size_t) most * each))
	{
		int rows = cv_rows(n - done, n, most);
		int from = n - done < rows ? n - rows : done;
		float *to = c + (size_t) from * c_step;
		const float *at = a + (size_t) from * a_step;

		if (rows == most)
			cv_tile(to, c_step, at, a_step, r, b, end, most, nv);
		else if (rows == most / 2)
			cv_tile(to, c_step, at, a_step, r, b, end, most / 2, nv);
		else if (most >= 8 && rows == most / 4)
			cv_tile(to, c_step, at, a_step, r, b, end, most / 4, nv);
		else
			cv_tile(to, c_step, at, a_step, r, b, end, 1, nv);
		done = from + rows;
	}
}

static void __attribute__((noinline))
cv_row(float *c, size_t c_step, const float *a, size_t a_step, int n, const CvRuns *r, const float *b,
	   const CvEnd *end, int nv)
{
	if (nv == 1)
		cv_row_width(c, c_step, a, a_step, n, r, b, end, CV_ROWS, 1);
	else if (nv == 2)
		cv_row_width(c, c_step, a, a_step, n, r, b, end, CV_ROWS, 2);
#if CV_NV > 2
	else
		cv_row_width(c, c_step, a, a_step, n, r, b, end, CV_ROWS_3, 3);
#endif
}

/* Tells whether the convolution is a plain product of the map and a matrix. */
NN_INLINE int
cv_is_product(const NnConv *c)
{
	return c->kh == 1 && c->kw == 1 && c->sh == 1 && c->sw == 1 && c->top == 0 && c->left == 0 &&
		   c->oh == c->h && c->ow == c->w;
}

/* Returns the convolution with its map as one row, where that is the same. */
NN_INLINE NnConv
cv_flat(const NnConv *c)
{
	NnConv f = *c;

	if (cv_is_product(c) && (int64_t) c->h * c->w <= 1 << 30)
	{
		f.ow = f.w = c->h * c->w;
		f.oh = f.h = 1;
	}
	return f;
}

/* Returns the runs of a window in the map m; taps that touch are one run. */
NN_INLINE CvRuns
cv_runs(const NnConv *c, const MrMap *m)
{
	CvRuns r = {c->kh, c->kw, c->ic, (ptrdiff_t) m->line * c->dh, (ptrdiff_t) c->ic * c->dw};

	if (c->dw == 1)
	{
		r.nx = 1;
		r.len = c->kw * c->ic;
	}
	return r;
}

NN_INLINE size_t
cv_window(const NnConv *c)
{
	return (size_t) c->kh * (size_t) c->kw;
}

static void
conv_forward(float *dst, const float *src, const float *packed, const float *bias, const NnConv *given,
			 NnClip clip, void *scratch)
{
	NnConv c = cv_flat(given);
	MrMap m = mr_source(src, &c, scratch);
	CvRuns r = cv_runs(&c, &m);
	size_t k = cv_window(&c) * (size_t) c.ic;
	int vectors = cv_vectors(c.oc);
	int block = mr_block(m.line, mr_source_rows(&c, 1), c.sh, c.oh);
	int first, y, v, nv;

	for (first = 0; first < c.oh && !nn_stopped(); first += block)
	{
		int end = c.oh - first < block ? c.oh : first + block;

		mr_rows(&m, first * c.sh - c.top, first * c.sh - c.top + mr_source_rows(&c, end - first));
		for (v = 0; v < vectors; v += nv)
		{
			CvEnd e = {bias != NULL ? bias + v * VW : NULL, clip, c.oc - v * VW};

			nv = cv_block(v, vectors);
			for (y = first; y < end && !nn_stopped(); y++)
				cv_row(dst + (size_t) y * (size_t) c.ow * (size_t) c.oc + v * VW, (size_t) c.oc,
					   mr_at(&m, y * c.sh - c.top, -c.left), (size_t) c.sw * (size_t) c.ic, c.ow, &r,
					   packed + (size_t) v * VW * k, &e, nv);
		}
	}
}

/* ---------------------------------------------------------- data gradient */

/* Along one axis, the taps that meet the pixels at p of every s, and the outputs that they come from. */
typedef struct CvAxis
{
	int n;     /* taps */
	int first; /* the first tap, and how far the next is */
	int step;
	int from; /* the output of the first tap at pixel p, and how far back the next tap's is */
	int back;
} CvAxis;

NN_INLINE CvAxis
cv_axis(int p, int k, int s, int d, int before)
{
	int common = mr_gcd(s, d);
	CvAxis a = {0, 0, s / common, 0, d / common};
	int tap;

	for (tap = 0; tap < k; tap++)
		if ((p + before - tap * d) % s == 0)
		{
			if (a.n == 0)
			{
				a.first = tap;
				a.from = mr_floor(p + before - tap * d, s);
			}
			a.n++;
		}
	return a;
}

/* Returns the pixels at p of every s among n. */
NN_INLINE int
cv_phase_count(int p, int s, int n)
{
	return p < n ? (n - p + s - 1) / s : 0;
}

/* Describes the gradient of the outputs as the phases read it. */
NN_INLINE MrMap
cv_gradient_map(const float *ddst, const NnConv *c, float *copy)
{
	int low = mr_floor(c->left - (c->kw - 1) * c->dw, c->sw);
	int high = mr_floor(c->w - 1 + c->left, c->sw) + 1;
	int top = mr_floor(c->top - (c->kh - 1) * c->dh, c->sh);
	int bottom = mr_floor(c->h - 1 + c->top, c->sh) + 1;

	return mr_map(ddst, c->oh, c->ow, c->oc, low, high, top < 0 || bottom > c->oh, copy);
}

/* Returns the rows of the outputs' gradient that the phases of n rows of every sh need. */
NN_INLINE int
cv_gradient_rows(const NnConv *c, int n)
{
	return n + ((c->kh - 1) * c->dh + c->sh - 1) / c->sh + 1;
}

/* Writes zeros to n pixels, step apart. */
static void
cv_zero(float *dsrc, size_t step, int n, size_t channels)
{
	size_t work = 0;
	int i;

	for (i = 0; i < n && !nn_stop_due(&work, channels); i++)
		memset(dsrc + (size_t) i * step, 0, sizeof(float) * channels);
}

/* Runs one phase of the rows from first to end of every sh. */
static void
cv_phase(float *dsrc, const MrMap *m, const float *packed, const NnConv *c, int py, int px, const CvAxis *ay,
		 int first, int end)
{
	CvAxis ax = cv_axis(px, c->kw, c->sw, c->dw, c->left);
	size_t step = (size_t) c->sw * (size_t) c->ic;
	CvRuns r = {ay->n, ax.n, c->oc, -(ptrdiff_t) m->line * ay->back, -(ptrdiff_t) c->oc * ax.back};
	size_t k = (size_t) ay->n * (size_t) ax.n * (size_t) c->oc;
	int n = cv_phase_count(px, c->sw, c->w);
	int vectors = cv_vectors(c->ic);
	int i, v, nv;

	if (n == 0)
		return;
	for (v = 0; v < vectors; v += nv)
	{
		CvEnd e = {NULL, {0, 0}, c->ic - v * VW};

		nv = cv_block(v, vectors);
		for (i = first; i < end && !nn_stopped(); i++)
		{
			float *to =
				dsrc + ((size_t) (py + i * c->sh) * (size_t) c->w + (size_t) px) * (size_t) c->ic + v * VW;

			if (k == 0)
				cv_zero(to, step, n, (size_t) (e.width < nv * VW ? e.width : nv * VW));
			else
				cv_row(to, step, mr_at(m, ay->from + i, ax.from), (size_t) c->oc, n, &r,
					   packed + (size_t) v * VW * k, &e, nv);
		}
	}
}

static void
conv_dsrc(float *dsrc, const float *ddst, const float *packed, const NnConv *given, void *scratch)
{
	NnConv c = cv_flat(given);
	MrMap m = cv_gradient_map(ddst, &c, scratch);
	int rows = cv_phase_count(0, c.sh, c.h);
	int block = mr_block(m.line, cv_gradient_rows(&c, 1), 1, rows);
	size_t wide = (size_t) cv_vectors(c.ic) * VW;
	int low = mr_floor(c.top - (c.kh - 1) * c.dh, c.sh);
	int first, py, px;

	for (first = 0; first < rows && !nn_stopped(); first += block)
	{
		int last = rows - first < block ? rows : first + block;
		const float *at = packed;

		mr_rows(&m, low + first, low + first + cv_gradient_rows(&c, last - first));
		for (py = 0; py < c.sh; py++)
		{
			CvAxis ay = cv_axis(py, c.kh, c.sh, c.dh, c.top);
			int all = cv_phase_count(py, c.sh, c.h);

			for (px = 0; px < c.sw && !nn_stopped(); px++)
			{
				CvAxis ax = cv_axis(px, c.kw, c.sw, c.dw, c.left);

				cv_phase(dsrc, &m, at, &c, py, px, &ay, first, last < all ? last : all);
				at += (size_t) ay.n * (size_t) ax.n * (size_t) c.oc * wide;
			}
		}
	}
}

/* -------------------------------------------------------- weight gradient */

/*
 * Adds to c[rows][nv * VW], rows c_step apart, from row skip on, the sum over
 * the pixels of a block: a moves by a_step and b by b_step from one to the
 * next, n in a row, and by the lines from row to row.
 */
NN_INLINE void
cv_tile_add(float *c, size_t c_step, const float *a, size_t a_step, size_t a_line, const float *b,
			size_t b_step, size_t b_line, int lines, int n, int width, int skip, const int rows, const int nv)
{
	vf acc[CV_ROWS][CV_NV];
	int last = width - (nv - 1) * VW < VW ? width - (nv - 1) * VW : VW;
	int i, j, p, y;

#pragma GCC unroll 12
	for (i = 0; i < rows; i++)
#pragma GCC unroll 3
		for (j = 0; j < nv; j++)
			acc[i][j] = v_zero();
	for (y = 0; y < lines; y++)
	{
		const float *pa = a + (size_t) y * a_line;
		const float *pb = b + (size_t) y * b_line;

		for (p = 0; p < n; p++)
		{
			vf w[CV_NV];

#pragma GCC unroll 3
			for (j = 0; j < nv; j++)
				w[j] = j < nv - 1 ? v_load(pb + j * VW) : v_load_n(pb + j * VW, last);
#pragma GCC unroll 12
			for (i = 0; i < rows; i++)
			{
				vf v = v_set1(pa[i]);

#pragma GCC unroll 3
				for (j = 0; j < nv; j++)
					acc[i][j] = v_fma(v, w[j], acc[i][j]);
			}
			pa += a_step;
			pb += b_step;
		}
	}
#pragma GCC unroll 12
	for (i = 0; i < rows; i++)
#pragma GCC unroll 3
		for (j = 0; j < nv; j++)
			if (i >= skip)
			{
				float *to = c + (size_t) i * c_step + j * VW;
				int m = j < nv - 1 ? VW : last;

				v_store_n(to, v_add(v_load_n(to, m), acc[i][j]), m);
			}
}

/* Adds m rows of the weight gradient, consecutive ones of the left operand. */
NN_INLINE void
cv_add_width(float *c, size_t c_step, int m, const float *a, size_t a_step, size_t a_line, const float *b,
			 size_t b_step, size_t b_line, int lines, int n, int width, const int most, const int nv)
{
	size_t each = (size_t) lines * (size_t) n * (size_t) (nv * VW);
	size_t work = 0;
	int done = 0;

	while (done < m && !nn_stop_due(&work, (size_t) most * each))
	{
		int rows = cv_rows(m - done, m, most);
		int from = m - done < rows ? m - rows : done;
		float *to = c + (size_t) from * c_step;

		if (rows == most)
			cv_tile_add(to, c_step, a + from, a_step, a_line, b, b_step, b_line, lines, n, width, done - from,
						most, nv);
		else if (rows == most / 2)
			cv_tile_add(to, c_step, a + from, a_step, a_line, b, b_step, b_line, lines, n, width, done - from,
						most / 2, nv);
		else if (most >= 8 && rows == most / 4)
			cv_tile_add(to, c_step, a + from, a_step, a_line, b, b_step, b_line, lines, n, width, done - from,
						most / 4, nv);
		else
			cv_tile_add(to, c_step, a + from, a_step, a_line, b, b_step, b_line, lines, n, width, done - from,
						1, nv);
		done = from + rows;
	}
}

static void __attribute__((noinline))
cv_add(float *c, size_t c_step, int m, const float *a, size_t a_step, size_t a_line, const float *b,
	   size_t b_step, size_t b_line, int lines, int n, int width, int nv)
{
	if (nv == 1)
		cv_add_width(c, c_step, m, a, a_step, a_line, b, b_step, b_line, lines, n, width, CV_ROWS, 1);
	else if (nv == 2)
		cv_add_width(c, c_step, m, a, a_step, a_line, b, b_step, b_line, lines, n, width, CV_ROWS, 2);
#if CV_NV > 2
	else
		cv_add_width(c, c_step, m, a, a_step, a_line, b, b_step, b_line, lines, n, width, CV_ROWS_3, 3);
#endif
}

/* Adds the sum of n rows of the outputs' gradient to the bias gradient. */
static void
cv_add_bias(float *dbias, const float *ddst, size_t n, int oc)
{
	size_t most = nn_stop_items((size_t) oc);
	size_t first, i;
	int k;

	for (first = 0; first < n && !nn_stopped(); first += most)
		for (k = 0; k < oc; k += VW)
		{
			int m = oc - k < VW ? oc - k : VW;
			vf sum = v_load_n(dbias + k, m);

			for (i = first; i < n && i < first + most; i++)
				sum = v_add(sum, v_load_n(ddst + i * (size_t) oc + k, m));
			v_store_n(dbias + k, sum, m);
		}
}

#define CV_DW_PIXELS 4096 /* of a row that go at once: both operands of a tile stay in the second cache */

/* Adds the products of the rows from y on, lines of them, and of the columns x, n of them. */
static void
cv_dweight_piece(float *dweight, const MrMap *m, const float *ddst, const NnConv *c, const CvRuns *r, int y,
				 int lines, int x, int n)
{
	size_t oc = (size_t) c->oc;
	int vectors = cv_vectors(c->oc);
	int ky, kx, v, nv;

	for (v = 0; v < vectors; v += nv)
	{
		nv = cv_block(v, vectors);
		for (ky = 0; ky < r->ny; ky++)
			for (kx = 0; kx < r->nx && !nn_stopped(); kx++)
				cv_add(dweight + (size_t) (ky * c->kw + kx) * (size_t) c->ic * oc + v * VW, oc, r->len,
					   mr_at(m, y * c->sh - c->top, x * c->sw - c->left) + ky * r->y_step + kx * r->x_step,
					   (size_t) c->sw * (size_t) c->ic, (size_t) c->sh * m->line,
					   ddst + ((size_t) y * (size_t) c->ow + (size_t) x) * oc + v * VW, oc,
					   (size_t) c->ow * oc, lines, n, c->oc - v * VW, nv);
	}
}

static void
conv_dweight(float *dweight, float *dbias, const float *src, const float *ddst, const NnConv *given,
			 void *scratch)
{
	NnConv c = cv_flat(given);
	MrMap m = mr_source(src, &c, scratch);
	CvRuns r = cv_runs(&c, &m);
	int block =
		mr_block(m.line + (size_t) c.ow * (size_t) c.oc / (size_t) c.sh, mr_source_rows(&c, 1), c.sh, c.oh);
	int piece = 2 * MR_BLOCK_FLOATS / (c.sw * c.ic + c.oc);
	int first, x;

	if (piece < 64)
		piece = 64;
	if (piece > CV_DW_PIXELS)
		piece = CV_DW_PIXELS;
	for (first = 0; first < c.oh && !nn_stopped(); first += block)
	{
		int end = c.oh - first < block ? c.oh : first + block;

		mr_rows(&m, first * c.sh - c.top, first * c.sh - c.top + mr_source_rows(&c, end - first));
		for (x = 0; x < c.ow && !nn_stopped(); x += piece)
			cv_dweight_piece(dweight, &m, ddst, &c, &r, first, end - first, x,
							 c.ow - x < piece ? c.ow - x : piece);
		if (dbias != NULL && !nn_stopped())
			cv_add_bias(dbias, ddst + (size_t) first * (size_t) c.ow * (size_t) c.oc,
						(size_t) (end - first) * (size_t) c.ow, c.oc);
	}
}

/* ---------------------------------------------------------------- packing */

static size_t
conv_packed_floats(const NnConv *c, int transposed)
{
	size_t k = cv_window(c) * (size_t) (transposed ? c->oc : c->ic);

	return k * (size_t) cv_vectors(transposed ? c->ic : c->oc) * VW;
}

/* Packs the taps first_y + i * step_y, first_x + j * step_x; what is summed over is k, what is side by side n. */
static float *
cv_pack_taps(float *to, const float *weight, const NnConv *c, const CvAxis *ay, const CvAxis *ax,
			 int transposed)
{
	int k_all = transposed ? c->oc : c->ic;
	int n_all = transposed ? c->ic : c->oc;
	size_t k_step = transposed ? 1 : (size_t) c->oc;
	size_t n_step = transposed ? (size_t) c->oc : 1;
	int vectors = cv_vectors(n_all);
	size_t work = 0;
	int v, nv, i, j, k, n;

	for (v = 0; v < vectors; v += nv)
	{
		nv = cv_block(v, vectors);
		for (i = 0; i < ay->n; i++)
			for (j = 0; j < ax->n; j++)
			{
				size_t tap = (size_t) ((ay->first + i * ay->step) * c->kw + ax->first + j * ax->step);
				const float *from = weight + tap * (size_t) c->ic * (size_t) c->oc + (size_t) v * VW * n_step;
				int count = n_all - v * VW < nv * VW ? n_all - v * VW : nv * VW;
				size_t row = (size_t) (nv * VW);

				if (count < nv * VW)
					nn_stop_zero(to, sizeof(float) * (size_t) k_all * row);
				if (!transposed)
					for (k = 0; k < k_all && !nn_stop_due(&work, row); k++)
						memcpy(to + (size_t) k * row, from + (size_t) k * k_step,
							   sizeof(float) * (size_t) count);
				else
					for (n = 0; n < count && !nn_stop_due(&work, (size_t) k_all); n++)
						for (k = 0; k < k_all; k++)
							to[(size_t) k * row + (size_t) n] = from[(size_t) n * n_step + (size_t) k];
				if (nn_stopped())
					return to;
				to += (size_t) k_all * row;
			}
	}
	return to;
}

static void
conv_pack(float *packed, const float *weight, const NnConv *c, int transposed)
{
	CvAxis y = {c->kh, 0, 1, 0, 0};
	CvAxis x = {c->kw, 0, 1, 0, 0};
	int py, px;

	if (!transposed)
	{
		cv_pack_taps(packed, weight, c, &y, &x, 0);
		return;
	}
	for (py = 0; py < c->sh; py++)
		for (px = 0; px < c->sw; px++)
		{
			y = cv_axis(py, c->kh, c->sh, c->dh, c->top);
			x = cv_axis(px, c->kw, c->sw, c->dw, c->left);
			packed = cv_pack_taps(packed, weight, c, &y, &x, 1);
		}
}

static size_t
conv_scratch_bytes(const NnConv *given)
{
	NnConv c = cv_flat(given);
	MrMap s = mr_source(NULL, &c, NULL);
	MrMap g = cv_gradient_map(NULL, &c, NULL);
	int rows = mr_source_rows(&c, mr_block(s.line, mr_source_rows(&c, 1), c.sh, c.oh));
	int back =
		cv_gradient_rows(&c, mr_block(g.line, cv_gradient_rows(&c, 1), 1, cv_phase_count(0, c.sh, c.h)));
	size_t forward = s.padded ? (size_t) rows * s.line : 0;
	size_t backward = g.padded ? (size_t) back * g.line : 0;

	return sizeof(float) * (forward > backward ? forward : backward);
}
