/*-------------------------------------------------------------------------
 *
 * dense_impl.h
 *	  Dense layers, compiled per instruction set.
 *
 * Every sum runs x[i] * weight[i][o] in ascending i from zero within a block of
 * NN_DENSE_BLOCK inputs, one fused multiply-add after the other, so the two
 * forms below (streaming the weights for few rows, tiles in registers for many)
 * have the same bits.
 *
 *-------------------------------------------------------------------------
 */
#define DN_AHEAD 1024			/* floats: how far ahead a stream of weights is fetched */

/* The outputs that do not fill a vector. */
static void
dn_rest(float *part, const float *src, const float *weight, int rows, int in, int out, int i0, int i1)
{
	int			full = out / VW * VW;
	int			i,
				r;

	for (r = 0; r < rows && full < out; r++)
	{
		vf			a = v_zero();

		for (i = i0; i < i1; i++)
			a = v_fma(v_set1(src[(size_t) r * (size_t) in + i]),
					  v_load_n(weight + (size_t) i * (size_t) out + full, out - full), a);
		v_store_n(part + (size_t) r * (size_t) out + full, a, out - full);
	}
}

/* part[rows][out] = src[rows][i0..i1) weight[i0..i1): reads the weights once, in order. */
NN_INLINE void
dn_stream(float *part, const float *src, const float *weight, const int rows, int in, int out,
		  int i0, int i1)
{
	int			full = out / VW * VW;
	int			i,
				o,
				r;

	memset(part, 0, sizeof(float) * (size_t) rows * (size_t) out);
	for (i = i0; i + 4 <= i1; i += 4)
	{
		const float *w = weight + (size_t) i * (size_t) out;

		for (o = 0; o < 4 * out && i + 4 + DN_AHEAD / out < in; o += 16)
			__builtin_prefetch(w + o + DN_AHEAD, 0, 3);
		for (o = 0; o < full; o += VW)
		{
			vf			w0 = v_load(w + o);
			vf			w1 = v_load(w + (size_t) out + o);
			vf			w2 = v_load(w + 2 * (size_t) out + o);
			vf			w3 = v_load(w + 3 * (size_t) out + o);

#pragma GCC unroll 4
			for (r = 0; r < rows; r++)
			{
				const float *x = src + (size_t) r * (size_t) in + i;
				float	   *p = part + (size_t) r * (size_t) out + o;
				vf			a = v_load(p);

				a = v_fma(v_set1(x[0]), w0, a);
				a = v_fma(v_set1(x[1]), w1, a);
				a = v_fma(v_set1(x[2]), w2, a);
				a = v_fma(v_set1(x[3]), w3, a);
				v_store(p, a);
			}
		}
	}
	/* the last inputs, and below the last outputs: one vector at a time */
	for (; i < i1; i++)
		for (o = 0; o < full; o += VW)
			for (r = 0; r < rows; r++)
			{
				float	   *p = part + (size_t) r * (size_t) out + o;

				v_store(p, v_fma(v_set1(src[(size_t) r * (size_t) in + i]),
								 v_load(weight + (size_t) i * (size_t) out + o), v_load(p)));
			}
	dn_rest(part, src, weight, rows, in, out, i0, i1);
}

#define DN_MR 6
#define DN_SUB 64				/* inputs whose weights and rows stay in the first cache */
#define DN_ROWS (8 * DN_MR)		/* rows of src copied together */

/*
 * part[rows][nv vectors] += x[rows][n] weight[n][nv vectors]; first: from zero.
 * A sum that is stored and loaded in between has the same bits.
 */
NN_INLINE void
dn_tile(float *part, const float *x, const float *weight, const int rows, const int nv, int out, int n,
		int first)
{
	vf			acc[DN_MR][2];
	int			i,
				j,
				r;

#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			acc[r][j] = first ? v_zero() : v_load(part + (size_t) r * (size_t) out + j * VW);
	for (i = 0; i < n; i++)
	{
		vf			w[2];

#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			w[j] = v_load(weight + j * VW);
		weight += nv * VW;
#pragma GCC unroll 6
		for (r = 0; r < rows; r++)
		{
			vf			a = v_set1(x[r * DN_SUB + i]);

#pragma GCC unroll 2
			for (j = 0; j < nv; j++)
				acc[r][j] = v_fma(a, w[j], acc[r][j]);
		}
	}
#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			v_store(part + (size_t) r * (size_t) out + j * VW, acc[r][j]);
}

/* All rows for one panel of nv vectors of outputs. */
NN_INLINE void
dn_panel(float *part, const float *x, const float *panel, int rows, const int nv, int out, int n, int first)
{
	int			r;

	for (r = 0; r + DN_MR <= rows; r += DN_MR)
		dn_tile(part + (size_t) r * (size_t) out, x + r * DN_SUB, panel, DN_MR, nv, out, n, first);
	part += (size_t) r * (size_t) out;
	x += r * DN_SUB;
	switch (rows - r)
	{
		case 5:
			dn_tile(part, x, panel, 5, nv, out, n, first);
			break;
		case 4:
			dn_tile(part, x, panel, 4, nv, out, n, first);
			break;
		case 3:
			dn_tile(part, x, panel, 3, nv, out, n, first);
			break;
		case 2:
			dn_tile(part, x, panel, 2, nv, out, n, first);
			break;
		case 1:
			dn_tile(part, x, panel, 1, nv, out, n, first);
			break;
	}
}

/* to[blocks of DN_SUB inputs][DN_ROWS][DN_SUB]; the next row is fetched meanwhile. */
static void
dn_copy_rows(float *to, const float *src, int rows, int in, int i0, int i1)
{
	int			i,
				r;

	for (r = 0; r < rows; r++)
	{
		const float *row = src + (size_t) r * (size_t) in;
		float	   *t = to + r * DN_SUB;

		for (i = i0; r + 1 < rows && i < i1; i += 16)
			__builtin_prefetch(row + in + i, 0, 2);
		for (i = i0; i < i1; i += DN_SUB, t += DN_ROWS * DN_SUB)
			memcpy(t, row + i, sizeof(float) * (size_t) (i1 - i < DN_SUB ? i1 - i : DN_SUB));
	}
}

/*
 * Many rows: DN_SUB inputs at a time.  The rows of src, and panels of two
 * vectors of outputs, are copied together, as they lie where they would drive
 * each other from the cache; while a panel is copied, the same of the next
 * inputs is fetched.
 */
static void
dn_many_rows(float *part, const float *src, const float *weight, int rows, int in, int out, int i0, int i1)
{
	float		copy[NN_DENSE_BLOCK / DN_SUB][DN_ROWS * DN_SUB] NN_STACK_ALIGN;
	float		panel[DN_SUB * 2 * VW] NN_STACK_ALIGN;
	int			full = out / VW * VW;
	int			i,
				k,
				o;

	dn_copy_rows(copy[0], src, rows, in, i0, i1);
	for (i = i0; i < i1; i += DN_SUB)
	{
		const float *x = copy[(i - i0) / DN_SUB];
		int			n = i1 - i < DN_SUB ? i1 - i : DN_SUB;
		size_t		ahead = (size_t) (in - i > 2 * DN_SUB ? DN_SUB : 0) * (size_t) out;

		for (o = 0; o + 2 * VW <= full; o += 2 * VW)
		{
			for (k = 0; k < n; k++)
			{
				const float *w = weight + (size_t) (i + k) * (size_t) out + o;

				__builtin_prefetch(w + ahead, 0, 2);
				v_store(panel + k * 2 * VW, v_load(w));
				v_store(panel + k * 2 * VW + VW, v_load(w + VW));
			}
			dn_panel(part + o, x, panel, rows, 2, out, n, i == i0);
		}
		if (o < full)
		{
			for (k = 0; k < n; k++)
				v_store(panel + k * VW, v_load(weight + (size_t) (i + k) * (size_t) out + o));
			dn_panel(part + o, x, panel, rows, 1, out, n, i == i0);
		}
	}
	dn_rest(part, src, weight, rows, in, out, i0, i1);
}

static void __attribute__((noinline))
dn_many(float *part, const float *src, const float *weight, int n, int in, int out, int i0, int i1)
{
	int			r;

	for (r = 0; r < n; r += DN_ROWS)
		dn_many_rows(part + (size_t) r * (size_t) out, src + (size_t) r * (size_t) in, weight,
					 n - r < DN_ROWS ? n - r : DN_ROWS, in, out, i0, i1);
}

static void
dense_partial(float *partial, const float *src, const float *weight, int n, int in, int out, int block)
{
	int			i0 = block * NN_DENSE_BLOCK;
	int			i1 = in - i0 < NN_DENSE_BLOCK ? in : i0 + NN_DENSE_BLOCK;

	switch (n)
	{
		case 1:
			dn_stream(partial, src, weight, 1, in, out, i0, i1);
			break;
		case 2:
			dn_stream(partial, src, weight, 2, in, out, i0, i1);
			break;
		case 3:
			dn_stream(partial, src, weight, 3, in, out, i0, i1);
			break;
		case 4:
			dn_stream(partial, src, weight, 4, in, out, i0, i1);
			break;
		default:
			dn_many(partial, src, weight, n, in, out, i0, i1);
			break;
	}
}

static void
dn_add(float *dst, const float *src, size_t n)
{
	size_t		i;

	for (i = 0; i + VW <= n; i += VW)
		v_store(dst + i, v_add(v_load(dst + i), v_load(src + i)));
	for (; i < n; i++)
		dst[i] += src[i];
}

static void
dn_bias(float *dst, const float *bias, int n, int out, int relu)
{
	int			r,
				o;

	for (r = 0; r < n; r++)
		for (o = 0; o < out; o++)
		{
			float	   *y = dst + (size_t) r * (size_t) out + o;

			if (bias != NULL)
				*y += bias[o];
			if (relu)
				*y = *y > 0.0f ? *y : 0.0f;
		}
}

static void
dense_finish(float *dst, const float *partial, const float *bias, int n, int out, int n_blocks, int relu)
{
	size_t		size = (size_t) n * (size_t) out;
	int			b;

	memcpy(dst, partial, sizeof(float) * size);
	for (b = 1; b < n_blocks; b++)
		dn_add(dst, partial + (size_t) b * size, size);
	dn_bias(dst, bias, n, out, relu);
}

static void
dense_forward(float *dst, const float *src, const float *weight, const float *bias,
			  int n, int in, int out, int relu, void *scratch)
{
	size_t		size = (size_t) n * (size_t) out;
	int			blocks = (in + NN_DENSE_BLOCK - 1) / NN_DENSE_BLOCK;
	int			b;

	dense_partial(dst, src, weight, n, in, out, 0);
	for (b = 1; b < blocks; b++)
	{
		dense_partial(scratch, src, weight, n, in, out, b);
		dn_add(dst, scratch, size);
	}
	dn_bias(dst, bias, n, out, relu);
}

/* ------------------------------------------------------------- backward */

#define DN_GROUP 16				/* inputs at a time: a cache line of src */

/* dw[rows][out] = src[:, i..i+rows)' ddst, over n samples. */
NN_INLINE void
dn_dweight_tile(float *dw, const float *src, const float *ddst, int n, int in, int out,
				const int rows, const int nv)
{
	vf			acc[DN_MR][2];
	int			j,
				r,
				s;

#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
		acc[r][0] = acc[r][1] = v_zero();
	for (s = 0; s < n; s++)
	{
		vf			g[2];

#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			g[j] = v_load(ddst + (size_t) s * (size_t) out + j * VW);
#pragma GCC unroll 6
		for (r = 0; r < rows; r++)
		{
			vf			x = v_set1(src[(size_t) s * (size_t) in + r]);

#pragma GCC unroll 2
			for (j = 0; j < nv; j++)
				acc[r][j] = v_fma(x, g[j], acc[r][j]);
		}
	}
#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			v_store(dw + (size_t) r * (size_t) out + j * VW, acc[r][j]);
}

/*
 * The rows of src that the next inputs need, copied together a few at a time
 * between the products: they lie where they would drive each other from the
 * cache, and each is in another page.
 */
#define DN_FEED_AHEAD 4

typedef struct DnFeed
{
	float	   *panel;			/* [samples][DN_GROUP] */
	const float *src;			/* the first sample's */
	size_t		step;
	int			n,				/* samples */
				rows,			/* inputs */
				next;			/* sample to copy */
} DnFeed;

NN_INLINE void
dn_feed(DnFeed *f, int count)
{
	int			k;

	for (; count > 0 && f->next < f->n; count--, f->next++)
	{
		const float *from = f->src + (size_t) f->next * f->step;
		float	   *to = f->panel + f->next * DN_GROUP;

		if (f->next + DN_FEED_AHEAD < f->n)
			__builtin_prefetch(from + DN_FEED_AHEAD * f->step, 0, 3);
		if (f->rows == DN_GROUP)
			for (k = 0; k < DN_GROUP; k += VW)
				v_store(to + k, v_load(from + k));
		else
			memcpy(to, from, sizeof(float) * (size_t) f->rows);
	}
}

/* Rows of the next tile: sixteen are 6 + 6 + 4. */
NN_INLINE int
dn_take(int left)
{
	return left >= 6 ? 6 : left >= 4 ? 4 : 1;
}

static void
dn_dweight_rows(float *dw, const float *src, const float *ddst, int n, int in, int out, int rows,
				DnFeed *feed)
{
	int			full = out / VW * VW;
	int			portion = 1 + feed->n / (3 * (full / (2 * VW)) + 1);
	int			o,
				r,
				s,
				take;

	for (r = 0; r < rows; r += take)
	{
		take = dn_take(rows - r);
		for (o = 0; o < full; o += 2 * VW)
		{
			float	   *d = dw + (size_t) r * (size_t) out + o;
			int			pair = o + 2 * VW <= full;

			dn_feed(feed, portion);
			if (take == 6 && pair)
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 6, 2);
			else if (take == 6)
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 6, 1);
			else if (take == 4 && pair)
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 4, 2);
			else if (take == 4)
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 4, 1);
			else
			{
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 1, 1);
				if (pair)
					dn_dweight_tile(d + VW, src + r, ddst + o + VW, n, in, out, 1, 1);
			}
		}
	}
	for (r = 0; r < rows; r++)
		for (o = full; o < out; o++)
		{
			float		sum = 0.0f;

			for (s = 0; s < n; s++)
				sum += src[(size_t) s * (size_t) in + r] * ddst[(size_t) s * (size_t) out + o];
			dw[(size_t) r * (size_t) out + o] = sum;
		}
}

/*
 * t[rows of inputs][nv vectors of samples] = weight[rows][out] turned[out][samples].
 * The weights are what is broadcast, so that they are read in order.
 */
NN_INLINE void
dn_dsrc_tile(float *t, const float *weight, const float *turned, size_t wide, int out,
			 const int rows, const int nv)
{
	vf			acc[DN_MR][2];
	int			j,
				o,
				r;

#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
		acc[r][0] = acc[r][1] = v_zero();
	for (o = 0; o < out; o++)
	{
		vf			g[2];

#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			g[j] = v_load(turned + j * VW);
		turned += wide;
#pragma GCC unroll 6
		for (r = 0; r < rows; r++)
		{
			vf			w = v_set1(weight[(size_t) r * (size_t) out + o]);

#pragma GCC unroll 2
			for (j = 0; j < nv; j++)
				acc[r][j] = v_fma(w, g[j], acc[r][j]);
		}
	}
#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			v_store(t + (size_t) r * wide + j * VW, acc[r][j]);
}

/* Samples rounded up to vectors: floats from one output to the next of turned. */
NN_INLINE size_t
dn_wide(int n)
{
	return wg_up((size_t) n, VW);
}

/* turned[out][samples] = ddst', with zeros beyond the samples. */
static void
dn_turn(float *turned, const float *ddst, int n, int out)
{
	size_t		wide = dn_wide(n);
	size_t		s;
	int			o;

	for (o = 0; o < out; o++)
		for (s = 0; s < wide; s++)
			turned[(size_t) o * wide + s] = s < (size_t) n ? ddst[s * (size_t) out + (size_t) o] : 0.0f;
}

/* The data gradient of up to 16 inputs. */
static void
dn_dsrc_group(float *dsrc, const float *weight, const float *turned, int n, int in, int out, int rows)
{
	float		t[DN_GROUP * (NN_DENSE_TURN + VW)] NN_STACK_ALIGN;
	size_t		wide = dn_wide(n);
	size_t		s;
	int			r,
				take;

	for (r = 0; r < rows; r += take)
	{
		const float *w = weight + (size_t) r * (size_t) out;

		take = dn_take(rows - r);
		for (s = 0; s < wide; s += 2 * VW)
		{
			float	   *to = t + (size_t) r * wide + s;
			int			pair = s + 2 * VW <= wide;

			if (take == 6 && pair)
				dn_dsrc_tile(to, w, turned + s, wide, out, 6, 2);
			else if (take == 6)
				dn_dsrc_tile(to, w, turned + s, wide, out, 6, 1);
			else if (take == 4 && pair)
				dn_dsrc_tile(to, w, turned + s, wide, out, 4, 2);
			else if (take == 4)
				dn_dsrc_tile(to, w, turned + s, wide, out, 4, 1);
			else
			{
				dn_dsrc_tile(to, w, turned + s, wide, out, 1, 1);
				if (pair)
					dn_dsrc_tile(to + VW, w, turned + s + VW, wide, out, 1, 1);
			}
		}
	}
	s = 0;
	if (rows == DN_GROUP)
		for (; s + 8 <= (size_t) n; s += 8)
			for (r = 0; r < DN_GROUP; r += 8)
				v_turn8(dsrc + s * (size_t) in + (size_t) r, (size_t) in, t + (size_t) r * wide + s, wide);
	for (; s < (size_t) n; s++)
		for (r = 0; r < rows; r++)
			dsrc[s * (size_t) in + (size_t) r] = t[(size_t) r * wide + s];
}

/* The weight gradient of the inputs [i0, i1), into dweight or the update. */
static void
dn_dweight(float *dweight, float *weight, const NnSlots *slots, const float *src, const float *ddst,
		   int n, int in, int out, int i0, int i1, const NnUpdate *update, float *dw)
{
	float		panels[2][NN_DENSE_TURN * DN_GROUP] NN_STACK_ALIGN;
	DnFeed		feed = {panels[0], src + i0, (size_t) in, n <= NN_DENSE_TURN ? n : 0, 0, 0};
	int			turn = 0;
	int			i,
				k;

	feed.rows = i1 - i0 < DN_GROUP ? i1 - i0 : DN_GROUP;
	for (i = i0; i < i1; i += DN_GROUP, turn ^= 1)
	{
		int			rows = feed.rows;
		size_t		at = (size_t) i * (size_t) out;
		const float *x = src + i;
		int			x_step = in;

		if (n <= NN_DENSE_TURN)
		{
			dn_feed(&feed, n);	/* what is left of it */
			x = panels[turn];
			x_step = DN_GROUP;
		}
		feed.panel = panels[turn ^ 1];
		feed.src = src + i + DN_GROUP;
		feed.rows = i1 - i - DN_GROUP < DN_GROUP ? i1 - i - DN_GROUP : DN_GROUP;
		feed.next = feed.rows > 0 ? 0 : feed.n;
		if (update == NULL)
			dn_dweight_rows(dweight + at, x, ddst, n, x_step, out, rows, &feed);
		else
		{
			NnSlots		here;

			for (k = 0; k < 3; k++)
				here.s[k] = slots->s[k] != NULL ? slots->s[k] + at : NULL;
			dn_dweight_rows(dw, x, ddst, n, x_step, out, rows, &feed);
			update_run(weight + at, &here, dw, (size_t) rows * (size_t) out, update);
		}
	}
}

static void
dense_backward(float *dsrc, float *dweight, float *weight, const NnSlots *slots,
			   const float *src, const float *ddst, int n, int in, int out,
			   int i0, int i1, const NnUpdate *update, void *scratch)
{
	float	   *turned = scratch;
	int			i,
				s;

	for (s = 0; s < n && dsrc != NULL; s += NN_DENSE_TURN)
	{
		int			samples = n - s < NN_DENSE_TURN ? n - s : NN_DENSE_TURN;

		dn_turn(turned, ddst + (size_t) s * (size_t) out, samples, out);
		for (i = i0; i < i1; i += DN_GROUP)
			dn_dsrc_group(dsrc + (size_t) s * (size_t) in + (size_t) i, weight + (size_t) i * (size_t) out,
						  turned, samples, in, out, i1 - i < DN_GROUP ? i1 - i : DN_GROUP);
	}
	if (dsrc != NULL)
		v_fence();
	if (update != NULL || dweight != NULL)
		dn_dweight(dweight, weight, slots, src, ddst, n, in, out, i0, i1, update,
				   turned + NN_DENSE_TURN * (size_t) out);
}
