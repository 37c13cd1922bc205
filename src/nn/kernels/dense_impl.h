/*-------------------------------------------------------------------------
 *
 * dense_impl.h
 *	  Dense layers, compiled per instruction set.
 *
 * Every sum runs x[i] * weight[i][o] in ascending i from zero within a block of
 * NN_DENSE_BLOCK inputs, one fused multiply-add after the other, so the two
 * forms below (streaming the weights for few rows, tiles in registers for many)
 * and those for many zeros (dense_listed_impl.h for one row, dense_marked_impl.h
 * for groups) have the same bits.
 *
 * One row is bound by reading the weights.  A processor fetches ahead within a
 * page only, one stream after the other; NN_DENSE_STREAMS blocks at once keep
 * it busy over the page's end (on pages of 4 kB 1.7 times as fast).
 *
 *-------------------------------------------------------------------------
 */
#define DN_AHEAD 1024 /* floats: how far ahead a stream of weights is fetched */
#define DN_NARROW 128 /* outputs up to which that makes one row slower */

/* Computes the outputs that do not fill a vector. */
static void
dn_rest(float *part, const float *src, const float *weight, int rows, int in, int out, int i0, int i1)
{
	int full = out / VW * VW;
	int i, r;

	for (r = 0; r < rows && full < out; r++)
	{
		vf a = v_zero();

		for (i = i0; i < i1; i++)
			a = v_fma(v_set1(src[(size_t) r * (size_t) in + i]),
					  v_load_n(weight + (size_t) i * (size_t) out + full, out - full), a);
		v_store_n(part + (size_t) r * (size_t) out + full, a, out - full);
	}
}

/* Computes eight vectors of outputs from four inputs, row by row. */
NN_INLINE void
dn_tile8(float *part, const float *x, const float *w, int out)
{
	vf acc[8];
	int i, j;

#pragma GCC unroll 8
	for (j = 0; j < 8; j++)
		acc[j] = v_load(part + j * VW);
#pragma GCC unroll 4
	for (i = 0; i < 4; i++, w += out)
	{
		vf a = v_set1(x[i]);

#pragma GCC unroll 8
		for (j = 0; j < 8; j++)
			acc[j] = v_fma(a, v_load(w + j * VW), acc[j]);
	}
#pragma GCC unroll 8
	for (j = 0; j < 8; j++)
		v_store(part + j * VW, acc[j]);
}

/* Adds four inputs: part[rows][out] += src[rows][i..i+4) weight[i..i+4). */
NN_INLINE void
dn_stream_inputs(float *part, const float *src, const float *weight, const int rows, int in, int out)
{
	int full = out / VW * VW;
	int o = 0;
	int r;

	for (; rows == 1 && o + 8 * VW <= full; o += 8 * VW)
		dn_tile8(part + o, src, weight + o, out);
	for (; o < full; o += VW)
	{
		vf w0 = v_load(weight + o);
		vf w1 = v_load(weight + (size_t) out + o);
		vf w2 = v_load(weight + 2 * (size_t) out + o);
		vf w3 = v_load(weight + 3 * (size_t) out + o);

#pragma GCC unroll 4
		for (r = 0; r < rows; r++)
		{
			const float *x = src + (size_t) r * (size_t) in;
			float *p = part + (size_t) r * (size_t) out + o;
			vf a = v_load(p);

			a = v_fma(v_set1(x[0]), w0, a);
			a = v_fma(v_set1(x[1]), w1, a);
			a = v_fma(v_set1(x[2]), w2, a);
			a = v_fma(v_set1(x[3]), w3, a);
			v_store(p, a);
		}
	}
}

/*
 * Computes part[blocks][rows][out] of the blocks from i0 on, each of size
 * inputs; reads the weights once, as one stream per block.
 */
NN_INLINE void
dn_stream(float *part, const float *src, const float *weight, const int rows, int in, int out, int i0,
		  int size, int blocks)
{
	size_t part_size = (size_t) rows * (size_t) out;
	int full = out / VW * VW;
	size_t work = 0;
	int b, i, o, r;

	memset(part, 0, sizeof(float) * part_size * (size_t) blocks);
	for (i = 0; i + 4 <= size && !nn_stop_due(&work, 4 * part_size * (size_t) blocks); i += 4)
		for (b = 0; b < blocks; b++)
		{
			int first = i0 + b * size + i;
			const float *w = weight + (size_t) first * (size_t) out;

			if (rows > 1 || out > DN_NARROW)
				for (o = 0; o < 4 * out && first + 4 + DN_AHEAD / out < in; o += 16)
					__builtin_prefetch(w + o + DN_AHEAD, 0, 3);
			dn_stream_inputs(part + (size_t) b * part_size, src + first, w, rows, in, out);
		}
	/* the last inputs, and below the last outputs: one vector at a time */
	for (b = 0; b < blocks; b++, part += part_size)
	{
		int first = i0 + b * size;
		int end = first + size;

		for (i = first + size / 4 * 4; i < end; i++)
			for (o = 0; o < full; o += VW)
				for (r = 0; r < rows; r++)
				{
					float *p = part + (size_t) r * (size_t) out + o;

					v_store(p, v_fma(v_set1(src[(size_t) r * (size_t) in + i]),
									 v_load(weight + (size_t) i * (size_t) out + o), v_load(p)));
				}
		dn_rest(part, src, weight, rows, in, out, first, end);
	}
}

#define DN_MR 6

/*
 * Computes the accumulator tile of all products here: dst[rows][nv vectors] is,
 * or with add becomes more by, the sum over k < n of a[r][k] * b[k][nv
 * vectors], in ascending k.  A sum that is stored and loaded in between has the
 * same bits.  Row r, term k of a is at a[r * a_row + k * a_term].  Of ahead (or
 * NULL) some is fetched with each term: all of it at once would hold up the
 * loads.
 */
NN_INLINE void
dn_tile(float *dst, size_t dst_row, const float *a, size_t a_row, size_t a_term, const float *b,
		size_t b_term, int n, const int rows, const int nv, const int add, const DnAhead *ahead)
{
	vf acc[DN_MR][2];
	int j, k, r;

#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			acc[r][j] = add ? v_load(dst + (size_t) r * dst_row + j * VW) : v_zero();
	for (k = 0; k < n; k++)
	{
		vf v[2];

		if (ahead != NULL)
#pragma GCC unroll 2
			for (j = 0; j < nv * VW; j += 16)
				__builtin_prefetch(ahead->at + (size_t) k * ahead->row + j, 0, 2);
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			v[j] = v_load(b + j * VW);
		b += b_term;
#pragma GCC unroll 6
		for (r = 0; r < rows; r++)
		{
			vf x = v_set1(a[(size_t) r * a_row]);

#pragma GCC unroll 2
			for (j = 0; j < nv; j++)
				acc[r][j] = v_fma(x, v[j], acc[r][j]);
		}
		a += a_term;
	}
#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			v_store(dst + (size_t) r * dst_row + j * VW, acc[r][j]);
}

/* Computes part[rows][nv vectors] += x[rows][n] panel[n][nv vectors]; first: from zero. */
NN_INLINE void
dn_rows_tile(float *part, const float *x, const float *panel, const int rows, const int nv, int out, int n,
			 int first, const DnAhead *ahead)
{
	if (first)
		dn_tile(part, (size_t) out, x, DN_SUB, 1, panel, (size_t) (nv * VW), n, rows, nv, 0, ahead);
	else
		dn_tile(part, (size_t) out, x, DN_SUB, 1, panel, (size_t) (nv * VW), n, rows, nv, 1, ahead);
}

/* Runs all rows through one panel of nv vectors of outputs; ahead is fetched meanwhile. */
NN_INLINE void
dn_panel(float *part, const float *x, const float *panel, int rows, const int nv, int out, int n, int first,
		 const DnAhead *ahead)
{
	int r = rows >= DN_MR ? DN_MR : 0;

	if (r > 0)
		dn_rows_tile(part, x, panel, DN_MR, nv, out, n, first, ahead);
	for (; r + DN_MR <= rows; r += DN_MR)
		dn_rows_tile(part + (size_t) r * (size_t) out, x + r * DN_SUB, panel, DN_MR, nv, out, n, first, NULL);
	part += (size_t) r * (size_t) out;
	x += r * DN_SUB;
	switch (rows - r)
	{
		case 5:
			dn_rows_tile(part, x, panel, 5, nv, out, n, first, NULL);
			break;
		case 4:
			dn_rows_tile(part, x, panel, 4, nv, out, n, first, NULL);
			break;
		case 3:
			dn_rows_tile(part, x, panel, 3, nv, out, n, first, NULL);
			break;
		case 2:
			dn_rows_tile(part, x, panel, 2, nv, out, n, first, NULL);
			break;
		case 1:
			dn_rows_tile(part, x, panel, 1, nv, out, n, first, NULL);
			break;
	}
}

/*
 * Runs DN_SUB inputs of many rows, in tiles.  Panels of two vectors of outputs
 * are copied together, because as they lie they would drive each other from the
 * cache; while a panel is copied, the same of the next inputs is fetched.
 */
NN_INLINE void
dn_sub_tiles(float *part, const float *x, const float *weight, const float *next, int rows, int out, int n,
			 int first)
{
	float panel[DN_SUB * 2 * VW] NN_STACK_ALIGN;
	int full = out / VW * VW;
	size_t work = 0;
	int k, o;

	for (o = 0; o + 2 * VW <= full && !nn_stop_due(&work, 2 * VW * (size_t) (n * rows)); o += 2 * VW)
	{
		DnAhead ahead = {next + o, (size_t) out};

		for (k = 0; k < n; k++)
		{
			const float *w = weight + (size_t) k * (size_t) out + o;

			v_store(panel + k * 2 * VW, v_load(w));
			v_store(panel + k * 2 * VW + VW, v_load(w + VW));
		}
		dn_panel(part + o, x, panel, rows, 2, out, n, first, &ahead);
	}
	if (o < full)
	{
		for (k = 0; k < n; k++)
			v_store(panel + k * VW, v_load(weight + (size_t) k * (size_t) out + o));
		dn_panel(part + o, x, panel, rows, 1, out, n, first, NULL);
	}
}

/* Runs DN_SUB inputs of many rows without the products of zeros, in panels of eight vectors. */
NN_INLINE void
dn_sub_marked(float *part, const float *x, const uint64_t *marks, const float *weight, const float *next,
			  int rows, int out, int n, int first)
{
	int full = out / VW * VW;
	size_t work = 0;
	int o;

	for (o = 0; o < full && !nn_stop_due(&work, 8 * VW * (size_t) (n * rows));)
	{
		int nv = dn_marked_width(full - o);
		DnAhead ahead = {next + o, (size_t) out};

		if (nv == 8)
			dn_marked_rows(part + o, x, marks, weight + o, (size_t) out, rows, 8, out, n, first, &ahead);
		else if (nv == 4)
			dn_marked_rows(part + o, x, marks, weight + o, (size_t) out, rows, 4, out, n, first, &ahead);
		else
			dn_marked_rows(part + o, x, marks, weight + o, (size_t) out, rows, 1, out, n, first, &ahead);
		o += nv * VW;
	}
}

/* Runs many rows through DN_SUB inputs at a time. */
static void
dn_many_rows(float *part, const float *src, const float *weight, int rows, int in, int out, int i0, int i1)
{
	DnRows copy;
	int marked;
	int i;

	dn_copy_rows(&copy, src, rows, in, i0, i1);
	marked = dn_marks_pay(&copy, (size_t) rows * (size_t) (i1 - i0), out / VW * VW);
	for (i = i0; i < i1; i += DN_SUB)
	{
		int sub = (i - i0) / DN_SUB;
		int n = i1 - i < DN_SUB ? i1 - i : DN_SUB;
		const float *w = weight + (size_t) i * (size_t) out;
		const float *next = in - i > 2 * DN_SUB ? w + (size_t) DN_SUB * (size_t) out : w;

		if (marked)
			dn_sub_marked(part, copy.x[sub], copy.marks[sub], w, next, rows, out, n, i == i0);
		else
			dn_sub_tiles(part, copy.x[sub], w, next, rows, out, n, i == i0);
	}
	dn_rest(part, src, weight, rows, in, out, i0, i1);
}

static void __attribute__((noinline))
dn_many(float *part, const float *src, const float *weight, int n, int in, int out, int i0, int i1)
{
	int r;

	for (r = 0; r < n && !nn_stopped(); r += DN_ROWS)
		dn_many_rows(part + (size_t) r * (size_t) out, src + (size_t) r * (size_t) in, weight,
					 n - r < DN_ROWS ? n - r : DN_ROWS, in, out, i0, i1);
}

/* Runs one row with all weights as they lie, or without those of its zeros where they are many. */
static void
dn_row(float *part, const float *src, const float *weight, int in, int out, int i0, int size, int blocks)
{
	DnList list;

	if (dn_list(&list, src + i0, size, blocks, in - i0, sizeof(float) * (size_t) out))
		dn_listed(part, src + i0, weight + (size_t) i0 * (size_t) out, out, &list, size, blocks);
	else
		dn_stream(part, src, weight, 1, in, out, i0, size, blocks);
}

static void
dense_partial(float *partial, const float *src, const float *weight, int n, int in, int out, int block)
{
	int i0 = block * NN_DENSE_BLOCK;
	int size = in - i0 < NN_DENSE_BLOCK ? in - i0 : NN_DENSE_BLOCK;

	switch (n)
	{
		case 1:
			dn_row(partial, src, weight, in, out, i0, size, 1);
			break;
		case 2:
			dn_stream(partial, src, weight, 2, in, out, i0, size, 1);
			break;
		case 3:
			dn_stream(partial, src, weight, 3, in, out, i0, size, 1);
			break;
		case 4:
			dn_stream(partial, src, weight, 4, in, out, i0, size, 1);
			break;
		default:
			dn_many(partial, src, weight, n, in, out, i0, i0 + size);
			break;
	}
}

static void
dn_add(float *dst, const float *src, size_t n)
{
	size_t i;

	for (i = 0; i + VW <= n; i += VW)
		v_store(dst + i, v_add(v_load(dst + i), v_load(src + i)));
	for (; i < n; i++)
		dst[i] += src[i];
}

static void
dn_bias(float *dst, const float *bias, int n, int out, int relu)
{
	int r, o;

	for (r = 0; r < n; r++)
		for (o = 0; o < out; o++)
		{
			float *y = dst + (size_t) r * (size_t) out + o;

			if (bias != NULL)
				*y += bias[o];
			if (relu)
				*y = *y > 0.0f ? *y : 0.0f;
		}
}

static void
dense_forward(float *dst, const float *src, const float *weight, const float *bias, int n, int in, int out,
			  int relu, void *scratch)
{
	size_t size = (size_t) n * (size_t) out;
	int blocks = (in + NN_DENSE_BLOCK - 1) / NN_DENSE_BLOCK;
	int streams = 1;
	int b, k;

	for (b = 0; b < blocks && !nn_stopped(); b += streams)
	{
		/* whole blocks together */
		streams = n == 1 && b + NN_DENSE_STREAMS <= in / NN_DENSE_BLOCK ? NN_DENSE_STREAMS : 1;
		if (streams > 1)
			dn_row(scratch, src, weight, in, out, b * NN_DENSE_BLOCK, NN_DENSE_BLOCK, streams);
		else
			dense_partial(scratch, src, weight, n, in, out, b);
		for (k = 0; k < streams; k++)
			if (b + k == 0)
				memcpy(dst, scratch, sizeof(float) * size);
			else
				dn_add(dst, (const float *) scratch + (size_t) k * size, size);
	}
	dn_bias(dst, bias, n, out, relu);
}
