/*-------------------------------------------------------------------------
 *
 * depthwise_impl.h
 *	  Depthwise convolution with a window of any size, strides and dilation,
 *	  compiled per instruction set.
 *
 * Rows are read with their border of zeros (maps_rows_impl.h).  A vector of
 * channels goes along a row of outputs, four at a time; 3 x 3 windows keep
 * what their pixels share in registers.  The data gradient is the convolution
 * of the outputs' gradient, spread by the strides, with the turned kernel.
 *
 *-------------------------------------------------------------------------
 */
#define DW_X 4 /* outputs of a row at a time */

/* How an output's taps lie: from one output to the next, and from tap to tap, in floats. */
typedef struct DwWalk
{
	int kh, kw;
	size_t line, out, y_step, x_step;
} DwWalk;

/*
 * Computes nx outputs, c apart, of one vector of channels: bias plus the taps in
 * the order of the kernel, whose values are k_step apart (negative: turned).
 */
NN_INLINE void
dw_taps(vf *acc, const float *src, const DwWalk *w, const float *weight, ptrdiff_t k_step, int n,
		const int kh, const int kw, const int nx)
{
	int y, x, i;

#pragma GCC unroll 4
	for (i = 0; i < nx; i++)
		acc[i] = v_zero();
#pragma GCC unroll 3
	for (y = 0; y < kh; y++)
#pragma GCC unroll 3
		for (x = 0; x < kw; x++)
		{
			const float *at = src + (size_t) y * w->y_step + (size_t) x * w->x_step;
			vf g = v_load_n(weight + (y * kw + x) * k_step, n);

#pragma GCC unroll 4
			for (i = 0; i < nx; i++)
				acc[i] = v_fma(v_load_n(at + (size_t) i * w->out, n), g, acc[i]);
		}
}

/*
 * Does the same for nx outputs of a whole vector and a 3 x 3 window whose taps
 * are as far apart as the outputs times touch (0: not): a pixel is loaded once
 * for all outputs of a row of taps that read it.
 */
NN_INLINE void
dw_taps3(vf *acc, const float *src, const DwWalk *w, const vf *g, const int touch, const int nx)
{
	int y, x, i, j;

#pragma GCC unroll 4
	for (i = 0; i < nx; i++)
		acc[i] = v_zero();
#pragma GCC unroll 3
	for (y = 0; y < 3; y++)
	{
		const float *row = src + (size_t) y * w->y_step;

		if (!touch)
#pragma GCC unroll 3
			for (x = 0; x < 3; x++)
#pragma GCC unroll 4
				for (i = 0; i < nx; i++)
					acc[i] = v_fma(v_load(row + (size_t) x * w->x_step + (size_t) i * w->out), g[3 * y + x],
								   acc[i]);
		else
#pragma GCC unroll 9
			for (j = 0; j < (nx - 1) * touch + 3; j++)
			{
				vf v = v_load(row + (size_t) j * w->x_step);

#pragma GCC unroll 4
				for (i = 0; i < nx; i++)
					if (j - i * touch >= 0 && j - i * touch < 3)
						acc[i] = v_fma(v, g[3 * y + j - i * touch], acc[i]);
			}
	}
}

NN_INLINE void
dw_write(float *dst, size_t step, const vf *acc, vf bias, NnClip clip, int n, const int nx)
{
	int i;

#pragma GCC unroll 4
	for (i = 0; i < nx; i++)
	{
		vf v = v_add(acc[i], bias);

		if (clip.on)
			v = v_min(v_set1(clip.high), v_max(v_zero(), v)); /* a NaN stays one */
		v_store_n(dst + (size_t) i * step, v, n);
	}
}

NN_INLINE void
dw_row_as(float *dst, size_t step, const float *src, const DwWalk *w, const float *weight, ptrdiff_t k_step,
		  const float *bias, NnClip clip, int count, int n, const int kh, const int kw)
{
	vf b = bias != NULL ? v_load_n(bias, n) : v_zero();
	vf acc[DW_X];
	int x;

	for (x = 0; x + DW_X <= count; x += DW_X, src += DW_X * w->out, dst += DW_X * step)
	{
		dw_taps(acc, src, w, weight, k_step, n, kh, kw, DW_X);
		dw_write(dst, step, acc, b, clip, n, DW_X);
	}
	for (; x < count; x++, src += w->out, dst += step)
	{
		dw_taps(acc, src, w, weight, k_step, n, kh, kw, 1);
		dw_write(dst, step, acc, b, clip, n, 1);
	}
}

/* Does the same for a 3 x 3 window and a whole vector. */
NN_INLINE void
dw_row3_as(float *dst, size_t step, const float *src, const DwWalk *w, const float *weight, ptrdiff_t k_step,
		   const float *bias, NnClip clip, int count, const int touch)
{
	vf b = bias != NULL ? v_load(bias) : v_zero();
	vf acc[DW_X];
	vf g[9];
	int x, e;

#pragma GCC unroll 9
	for (e = 0; e < 9; e++)
		g[e] = v_load(weight + e * k_step);
	for (x = 0; x + DW_X <= count; x += DW_X, src += DW_X * w->out, dst += DW_X * step)
	{
		dw_taps3(acc, src, w, g, touch, DW_X);
		dw_write(dst, step, acc, b, clip, VW, DW_X);
	}
	for (; x < count; x++, src += w->out, dst += step)
	{
		dw_taps3(acc, src, w, g, 0, 1);
		dw_write(dst, step, acc, b, clip, VW, 1);
	}
}

/* Computes one vector of channels, n of them, of a row of outputs. */
static void __attribute__((noinline))
dw_row(float *dst, size_t step, const float *src, const DwWalk *w, const float *weight, ptrdiff_t k_step,
	   const float *bias, NnClip clip, int count, int n)
{
	if (w->kh != 3 || w->kw != 3 || n < VW)
		dw_row_as(dst, step, src, w, weight, k_step, bias, clip, count, n, w->kh, w->kw);
	else if (w->out == w->x_step)
		dw_row3_as(dst, step, src, w, weight, k_step, bias, clip, count, 1);
	else if (w->out == 2 * w->x_step)
		dw_row3_as(dst, step, src, w, weight, k_step, bias, clip, count, 2);
	else
		dw_row3_as(dst, step, src, w, weight, k_step, bias, clip, count, 0);
}

NN_INLINE DwWalk
dw_walk(const NnConv *c, const MrMap *m)
{
	size_t pixel = (size_t) c->oc;
	DwWalk w =
		{c->kh, c->kw, m->line, (size_t) c->sw * pixel, (size_t) c->dh * m->line, (size_t) c->dw * pixel};

	return w;
}

static void
depthwise_forward(float *dst, const float *src, const float *weight, const float *bias, const NnConv *c,
				  NnClip clip, void *scratch)
{
	MrMap m = mr_source(src, c, scratch);
	DwWalk w = dw_walk(c, &m);
	size_t pixel = (size_t) c->oc;
	int block = mr_block(m.line, mr_source_rows(c, 1), c->sh, c->oh);
	size_t work = 0;
	int first, y, k;

	for (first = 0; first < c->oh && !nn_stopped(); first += block)
	{
		int end = c->oh - first < block ? c->oh : first + block;

		mr_rows(&m, first * c->sh - c->top, first * c->sh - c->top + mr_source_rows(c, end - first));
		for (y = first; y < end; y++)
			for (k = 0; k < c->oc; k += VW)
			{
				if (nn_stop_due(&work, (size_t) (c->kh * c->kw) * VW * (size_t) c->ow))
					return;
				dw_row(dst + (size_t) y * (size_t) c->ow * pixel + k, pixel,
					   mr_at(&m, y * c->sh - c->top, -c->left) + k, &w, weight + k, (ptrdiff_t) pixel,
					   bias != NULL ? bias + k : NULL, clip, c->ow, c->oc - k < VW ? c->oc - k : VW);
			}
	}
}

/* ---------------------------------------------------------- data gradient */

/* Returns the convolution that makes the data gradient, of the gradient spread by the strides. */
NN_INLINE NnConv
dw_turned(const NnConv *c)
{
	NnConv t = *c;

	t.h = (c->oh - 1) * c->sh + 1;
	t.w = (c->ow - 1) * c->sw + 1;
	t.oh = c->h;
	t.ow = c->w;
	t.sh = t.sw = 1;
	t.top = (c->kh - 1) * c->dh - c->top;
	t.left = (c->kw - 1) * c->dw - c->left;
	return t;
}

/* Describes the spread gradient; with strides it is always a copy. */
NN_INLINE MrMap
dw_spread_map(const float *ddst, const NnConv *c, const NnConv *t, float *copy)
{
	MrMap m = mr_source(ddst, t, copy);

	/* the last pixels may be read by no window: then nothing of the map lies behind the last column */
	if (c->sh > 1 || c->sw > 1)
		m.padded = 1;
	return m;
}

/* Makes the rows from first to end of the gradient ready, spread by the strides. */
static void
dw_spread(MrMap *m, const NnConv *c, int first, int end)
{
	size_t pixel = (size_t) c->oc;
	float *to = m->copy;
	int y, x;

	if (c->sh == 1 && c->sw == 1)
	{
		mr_rows(m, first, end);
		return;
	}
	m->base = m->copy;
	m->first = first;
	for (y = first; y < end && !nn_stopped(); y++, to += m->line)
	{
		const float *from = m->map + (size_t) (y > 0 ? y / c->sh : 0) * (size_t) c->ow * pixel;

		memset(to, 0, sizeof(float) * m->line);
		if (y >= 0 && y < m->h && y % c->sh == 0)
			for (x = 0; x < c->ow; x++)
				memcpy(to + (size_t) (m->left + x * c->sw) * pixel, from + (size_t) x * pixel,
					   sizeof(float) * pixel);
	}
}

static void
depthwise_dsrc(float *dsrc, const float *ddst, const float *weight, const NnConv *c, void *scratch)
{
	NnConv t = dw_turned(c);
	MrMap m = dw_spread_map(ddst, c, &t, scratch);
	DwWalk w = dw_walk(&t, &m);
	NnClip none = {0, 0};
	size_t pixel = (size_t) c->oc;
	const float *last = weight + (size_t) (c->kh * c->kw - 1) * pixel;
	int block = mr_block(m.line, mr_source_rows(&t, 1), 1, t.oh);
	size_t work = 0;
	int first, y, k;

	for (first = 0; first < t.oh && !nn_stopped(); first += block)
	{
		int end = t.oh - first < block ? t.oh : first + block;

		dw_spread(&m, c, first - t.top, first - t.top + mr_source_rows(&t, end - first));
		for (y = first; y < end; y++)
			for (k = 0; k < c->oc; k += VW)
			{
				if (nn_stop_due(&work, (size_t) (c->kh * c->kw) * VW * (size_t) t.ow))
					return;
				dw_row(dsrc + (size_t) y * (size_t) t.ow * pixel + k, pixel,
					   mr_at(&m, y - t.top, -t.left) + k, &w, last + k, -(ptrdiff_t) pixel, NULL, none, t.ow,
					   c->oc - k < VW ? c->oc - k : VW);
			}
	}
}

/* -------------------------------------------------------- weight gradient */

#define DW_TAPS 9 /* whose sums are in registers while a block of rows passes */

/* Adds the sums of up to DW_TAPS taps over a block of rows, of one vector of channels. */
NN_INLINE void
dw_add_as(float *dweight, const float *src, const DwWalk *w, size_t src_line, const float *ddst, size_t pixel,
		  int lines, int count, int tap, int n, const int taps, const int kw)
{
	vf acc[DW_TAPS];
	int y, x, e;

#pragma GCC unroll 9
	for (e = 0; e < taps; e++)
		acc[e] = v_zero();
	for (y = 0; y < lines; y++)
	{
		const float *g = ddst + (size_t) y * (size_t) count * pixel;
		const float *s = src + (size_t) y * src_line;

		for (x = 0; x < count; x++, g += pixel, s += w->out)
		{
			vf v = v_load_n(g, n);

#pragma GCC unroll 9
			for (e = 0; e < taps; e++)
				acc[e] = v_fma(v_load_n(s + (size_t) ((tap + e) / kw) * w->y_step +
											(size_t) ((tap + e) % kw) * w->x_step,
										n),
							   v, acc[e]);
		}
	}
#pragma GCC unroll 9
	for (e = 0; e < taps; e++)
	{
		float *to = dweight + (size_t) (tap + e) * pixel;

		v_store_n(to, v_add(v_load_n(to, n), acc[e]), n);
	}
}

static void __attribute__((noinline))
dw_add(float *dweight, const float *src, const DwWalk *w, size_t src_line, const float *ddst, size_t pixel,
	   int lines, int count, int n)
{
	int tap;

	if (w->kh == 3 && w->kw == 3 && n == VW)
		dw_add_as(dweight, src, w, src_line, ddst, pixel, lines, count, 0, VW, 9, 3);
	else if (w->kh == 3 && w->kw == 3)
		dw_add_as(dweight, src, w, src_line, ddst, pixel, lines, count, 0, n, 9, 3);
	else
		for (tap = 0; tap < w->kh * w->kw; tap++)
			dw_add_as(dweight, src, w, src_line, ddst, pixel, lines, count, tap, n, 1, w->kw);
}

static void
depthwise_dweight(float *dweight, float *dbias, const float *src, const float *ddst, const NnConv *c,
				  void *scratch)
{
	MrMap m = mr_source(src, c, scratch);
	DwWalk w = dw_walk(c, &m);
	size_t pixel = (size_t) c->oc;
	int block = mr_block(m.line, mr_source_rows(c, 1), c->sh, c->oh);
	size_t work = 0;
	int first, k;

	for (first = 0; first < c->oh && !nn_stopped(); first += block)
	{
		int end = c->oh - first < block ? c->oh : first + block;
		const float *g = ddst + (size_t) first * (size_t) c->ow * pixel;

		mr_rows(&m, first * c->sh - c->top, first * c->sh - c->top + mr_source_rows(c, end - first));
		for (k = 0; k < c->oc; k += VW)
		{
			if (nn_stop_due(&work, (size_t) (c->kh * c->kw) * VW * (size_t) c->ow * (size_t) (end - first)))
				return;
			dw_add(dweight + k, mr_at(&m, first * c->sh - c->top, -c->left) + k, &w, (size_t) c->sh * m.line,
				   g + k, pixel, end - first, c->ow, c->oc - k < VW ? c->oc - k : VW);
		}
		if (dbias != NULL)
			cv_add_bias(dbias, g, (size_t) (end - first) * (size_t) c->ow, c->oc);
	}
}

static size_t
depthwise_scratch_bytes(const NnConv *c)
{
	NnConv t = dw_turned(c);
	MrMap s = mr_source(NULL, c, NULL);
	MrMap g = dw_spread_map(NULL, c, &t, NULL);
	int rows = mr_source_rows(c, mr_block(s.line, mr_source_rows(c, 1), c->sh, c->oh));
	int back = mr_source_rows(&t, mr_block(g.line, mr_source_rows(&t, 1), 1, t.oh));
	size_t forward = s.padded ? (size_t) rows * s.line : 0;
	size_t backward = g.padded ? (size_t) back * g.line : 0;

	return sizeof(float) * (forward > backward ? forward : backward);
}
