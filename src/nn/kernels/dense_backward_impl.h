/*-------------------------------------------------------------------------
 *
 * dense_backward_impl.h
 *	  Gradients of dense layers, and the update of their weights in the same
 *	  pass over them; compiled per instruction set, after dense_impl.h.
 *
 *-------------------------------------------------------------------------
 */
#define DN_GROUP 16 /* inputs at a time: a cache line of src */

/* Computes dw[rows][out] = src[:, i..i+rows)' ddst, over n samples. */
NN_INLINE void
dn_dweight_tile(float *dw, const float *src, const float *ddst, int n, int in, int out, const int rows,
				const int nv)
{
	dn_tile(dw, (size_t) out, src, 1, (size_t) in, ddst, (size_t) out, n, rows, nv, 0, NULL);
}

/*
 * The rows of src that the next inputs need, copied together a few at a time
 * between the products: they lie where they would drive each other from the
 * cache, and each is in another page.
 */
#define DN_FEED_AHEAD 4

typedef struct DnFeed
{
	float *panel;     /* [samples][DN_GROUP] */
	const float *src; /* the first sample's */
	size_t step;
	int n,    /* samples */
		rows, /* inputs */
		next; /* sample to copy */
} DnFeed;

NN_INLINE void
dn_feed(DnFeed *f, int count)
{
	int k;

	for (; count > 0 && f->next < f->n; count--, f->next++)
	{
		const float *from = f->src + (size_t) f->next * f->step;
		float *to = f->panel + f->next * DN_GROUP;

		if (f->next + DN_FEED_AHEAD < f->n)
			__builtin_prefetch(from + DN_FEED_AHEAD * f->step, 0, 3);
		if (f->rows == DN_GROUP)
			for (k = 0; k < DN_GROUP; k += VW)
				v_store(to + k, v_load(from + k));
		else
			memcpy(to, from, sizeof(float) * (size_t) f->rows);
	}
}

/* Returns the rows of the next tile: sixteen are 6 + 6 + 4. */
NN_INLINE int
dn_take(int left)
{
	return left >= 6 ? 6 : left >= 4 ? 4 : 1;
}

/*
 * Computes the weight gradient of some rows in tiles of 6, 4 or 1 rows by two
 * vectors or one, and the outputs that do not fill a vector one by one.
 * Between tiles it copies a portion of what feed names, so that the copy costs
 * no time of its own.
 */
static void
dn_dweight_rows(float *dw, const float *src, const float *ddst, int n, int in, int out, int rows,
				DnFeed *feed)
{
	int full = out / VW * VW;
	int portion = 1 + feed->n / (3 * (full / (2 * VW)) + 1);
	size_t work = 0;
	int o, r, s, take;

	for (r = 0; r < rows; r += take)
	{
		take = dn_take(rows - r);
		for (o = 0; o < full && !nn_stop_due(&work, 2 * VW * (size_t) take * (size_t) n); o += 2 * VW)
		{
			float *d = dw + (size_t) r * (size_t) out + o;
			int pair = o + 2 * VW <= full;

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
			float sum = 0.0f;

			for (s = 0; s < n; s++)
				sum += src[(size_t) s * (size_t) in + r] * ddst[(size_t) s * (size_t) out + o];
			dw[(size_t) r * (size_t) out + o] = sum;
		}
}

/*
 * Computes t[rows of inputs][nv vectors of samples] = weight[rows][out]
 * turned[out][samples].  The weights are what is broadcast, so that they are
 * read in order.
 */
NN_INLINE void
dn_dsrc_tile(float *t, const float *weight, const float *turned, size_t wide, int out, const int rows,
			 const int nv)
{
	dn_tile(t, wide, weight, (size_t) out, 1, turned, wide, out, rows, nv, 0, NULL);
}

/* Returns the samples rounded up to vectors: floats from one output to the next of turned. */
NN_INLINE size_t
dn_wide(int n)
{
	return wg_up((size_t) n, VW);
}

/* Fills turned[out][samples] = ddst', with zeros beyond the samples. */
static void
dn_turn(float *turned, const float *ddst, int n, int out)
{
	size_t wide = dn_wide(n);
	size_t work = 0;
	size_t s;
	int o;

	for (o = 0; o < out && !nn_stop_due(&work, wide); o++)
		for (s = 0; s < wide; s++)
			turned[(size_t) o * wide + s] = s < (size_t) n ? ddst[s * (size_t) out + (size_t) o] : 0.0f;
}

/* Computes the data gradient of up to 16 inputs. */
static void
dn_dsrc_group(float *dsrc, const float *weight, const float *turned, int n, int in, int out, int rows)
{
	float t[DN_GROUP * (NN_DENSE_TURN + VW)] NN_STACK_ALIGN;
	size_t wide = dn_wide(n);
	size_t work = 0;
	size_t s;
	int r, take;

	for (r = 0; r < rows; r += take)
	{
		const float *w = weight + (size_t) r * (size_t) out;

		take = dn_take(rows - r);
		for (s = 0; s < wide && !nn_stop_due(&work, 2 * VW * (size_t) take * (size_t) out); s += 2 * VW)
		{
			float *to = t + (size_t) r * wide + s;
			int pair = s + 2 * VW <= wide;

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

/* Computes the weight gradient of the inputs [i0, i1), into dweight or the update. */
static void
dn_dweight(float *dweight, float *weight, const NnSlots *slots, const float *src, const float *ddst, int n,
		   int in, int out, int i0, int i1, const NnUpdate *update, float *dw)
{
	float panels[2][NN_DENSE_TURN * DN_GROUP] NN_STACK_ALIGN;
	DnFeed feed = {panels[0], src + i0, (size_t) in, n <= NN_DENSE_TURN ? n : 0, 0, 0};
	int turn = 0;
	int i, k;

	feed.rows = i1 - i0 < DN_GROUP ? i1 - i0 : DN_GROUP;
	for (i = i0; i < i1 && !nn_stopped(); i += DN_GROUP, turn ^= 1)
	{
		int rows = feed.rows;
		size_t at = (size_t) i * (size_t) out;
		const float *x = src + i;
		int x_step = in;

		if (n <= NN_DENSE_TURN)
		{
			dn_feed(&feed, n); /* what is left of it */
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
			NnSlots here;

			for (k = 0; k < 3; k++)
				here.s[k] = slots->s[k] != NULL ? slots->s[k] + at : NULL;
			dn_dweight_rows(dw, x, ddst, n, x_step, out, rows, &feed);
			update_run(weight + at, &here, dw, (size_t) rows * (size_t) out, update);
		}
	}
}

static void
dense_backward(float *dsrc, float *dweight, float *weight, const NnSlots *slots, const float *src,
			   const float *ddst, int n, int in, int out, int i0, int i1, const NnUpdate *update,
			   void *scratch)
{
	float *turned = scratch;
	int i, s;

	for (s = 0; s < n && dsrc != NULL && !nn_stopped(); s += NN_DENSE_TURN)
	{
		int samples = n - s < NN_DENSE_TURN ? n - s : NN_DENSE_TURN;

		dn_turn(turned, ddst + (size_t) s * (size_t) out, samples, out);
		for (i = i0; i < i1 && !nn_stopped(); i += DN_GROUP)
			dn_dsrc_group(dsrc + (size_t) s * (size_t) in + (size_t) i, weight + (size_t) i * (size_t) out,
						  turned, samples, in, out, i1 - i < DN_GROUP ? i1 - i : DN_GROUP);
	}
	if (dsrc != NULL)
		v_fence();
	if (update != NULL || dweight != NULL)
		dn_dweight(dweight, weight, slots, src, ddst, n, in, out, i0, i1, update,
				   turned + NN_DENSE_TURN * (size_t) out);
}
