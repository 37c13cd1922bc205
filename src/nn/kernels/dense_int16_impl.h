/*-------------------------------------------------------------------------
 *
 * dense_int16_impl.h
 *	  Dense layers with weights of 16 bits, compiled per instruction set, after
 *	  dense_impl.h.  The format is that of dense_int16.h.
 *
 * Within a block of inputs a sum runs src[i] * integer in ascending i from
 * zero, one fused multiply-add after the other; then sum += that * scale, block
 * after block.  All forms below have the same bits.
 *
 *-------------------------------------------------------------------------
 */

#define DQ_FEW 4    /* rows up to which each goes by itself: blocks stay in a cache */
#define DQ_INPUTS 8 /* of a block before the next block's turn */

/* Computes part[nv vectors] += x[n] q[n][width]. */
NN_INLINE void
dq_stream_tile(float *part, const float *x, const int16_t *q, int n, size_t width, const int nv)
{
	vf acc[8];
	int i, j;

#pragma GCC unroll 8
	for (j = 0; j < nv; j++)
		acc[j] = v_load(part + j * VW);
	for (i = 0; i < n; i++, q += width)
	{
		vf a = v_set1(x[i]);

#pragma GCC unroll 8
		for (j = 0; j < nv; j++)
			acc[j] = v_fma(a, v_load_int16(q + j * VW), acc[j]);
	}
#pragma GCC unroll 8
	for (j = 0; j < nv; j++)
		v_store(part + j * VW, acc[j]);
}

/* Does what dq_stream_tile() does, for a panel of any width. */
NN_INLINE void
dq_stream_panel(float *part, const float *x, const int16_t *q, int n, int width)
{
	size_t step = (size_t) width;
	int o;

	for (o = 0; o + 8 * VW <= width; o += 8 * VW)
		dq_stream_tile(part + o, x, q + o, n, step, 8);
	for (; o + 4 * VW <= width; o += 4 * VW)
		dq_stream_tile(part + o, x, q + o, n, step, 4);
	for (; o + 2 * VW <= width; o += 2 * VW)
		dq_stream_tile(part + o, x, q + o, n, step, 2);
	for (; o < width; o += VW)
		dq_stream_tile(part + o, x, q + o, n, step, 1);
}

/* Computes sums[n] += part[n] * scales[n]. */
NN_INLINE void
dq_add_scaled(float *sums, const float *part, const float *scales, int n)
{
	int o;

	for (o = 0; o < n; o += VW)
		v_store(sums + o, v_fma(v_load(part + o), v_load(scales + o), v_load(sums + o)));
}

/* Returns the weights of block b's panel that begins at output p. */
static const int16_t *
dq_panel(const DqBlock *block, int p)
{
	return block->weights + (size_t) p * (size_t) block->n;
}

/* Runs one row through blocks of equal size, whose weights it reads once, as one stream per block. */
static void
dq_stream(float *sums, const float *x, const DqBlock *block, int blocks)
{
	float part[NN_DENSE_STREAMS][NN_INT16_PANEL] NN_STACK_ALIGN;
	int size = block[0].n;
	int wide = block[0].wide;
	size_t work = 0;
	int b, i, p;

	for (p = 0; p < wide && !nn_stop_due(&work, NN_INT16_PANEL * (size_t) (size * blocks));
		 p += NN_INT16_PANEL)
	{
		int width = nn_int16_panel_width(wide, p);

		memset(part, 0, sizeof(part));
		for (i = 0; i < size; i += DQ_INPUTS)
			for (b = 0; b < blocks; b++)
				dq_stream_panel(part[b], x + b * size + i,
								dq_panel(&block[b], p) + (size_t) i * (size_t) width,
								size - i < DQ_INPUTS ? size - i : DQ_INPUTS, width);
		for (b = 0; b < blocks; b++)
			dq_add_scaled(sums + p, part[b], block[b].scales + p, width);
	}
}

/* Does what dq_stream() does, without the weights of zeros. */
static void
dq_listed(float *sums, const float *x, const DqBlock *block, int blocks, const DnList *list)
{
	float part[NN_INT16_PANEL] NN_STACK_ALIGN;
	int wide = block[0].wide;
	size_t work = 0;
	int b, p;

	for (b = 0; b < blocks; b++, x += block[0].n)
		for (p = 0; p < wide && !nn_stop_due(&work, NN_INT16_PANEL * (size_t) (dn_list_count(list, b) + 1));
			 p += NN_INT16_PANEL)
		{
			int width = nn_int16_panel_width(wide, p);
			DnRun run = dn_list_run(list, dq_panel(&block[b], p), b);
			/* the panel behind it; behind a block's last one the next block begins */
			DnRun next = dn_list_run(list, dq_panel(&block[b], p + width), p + width < wide ? b : b + 1);

			dn_listed_panel(part, x, run, dn_list_count(list, b), (size_t) width, width, next, 1);
			dq_add_scaled(sums + p, part, block[b].scales + p, width);
		}
}

/* Runs one row through blocks of equal size; left counts its inputs from the first block on. */
static void
dq_row(float *sums, const float *x, const DqBlock *block, int blocks, int left)
{
	DnList list;

	if (dn_list(&list, x, block[0].n, blocks, left,
				sizeof(int16_t) * (size_t) nn_int16_panel_width(block[0].wide, 0)))
		dq_listed(sums, x, block, blocks, &list);
	else
		dq_stream(sums, x, block, blocks);
}

/* Fills to[n][nv vectors] as floats, from rows of width integers. */
NN_INLINE void
dq_widen(float *to, const int16_t *q, size_t width, int n, const int nv)
{
	int j, k;

	for (k = 0; k < n; k++, q += width, to += nv * VW)
#pragma GCC unroll 8
		for (j = 0; j < nv; j++)
			v_store(to + j * VW, v_load_int16(q + j * VW));
}

/*
 * Runs n inputs of many rows for a panel of width outputs, in tiles; out is the
 * step from row to row of part.
 */
NN_INLINE void
dq_sub_tiles(float *part, const float *x, const int16_t *q, int width, int rows, int out, int n, int first)
{
	float panel[DN_SUB * 2 * VW] NN_STACK_ALIGN;
	int o;

	for (o = 0; o + 2 * VW <= width; o += 2 * VW)
	{
		dq_widen(panel, q + o, (size_t) width, n, 2);
		dn_panel(part + o, x, panel, rows, 2, out, n, first, NULL);
	}
	if (o < width)
	{
		dq_widen(panel, q + o, (size_t) width, n, 1);
		dn_panel(part + o, x, panel, rows, 1, out, n, first, NULL);
	}
}

/* Does what dq_sub_tiles() does, without the products of zeros. */
NN_INLINE void
dq_sub_marked(float *part, const float *x, const uint64_t *marks, const int16_t *q, int width, int rows,
			  int out, int n, int first)
{
	float panel[DN_SUB * 8 * VW] NN_STACK_ALIGN;
	int o;

	for (o = 0; o < width;)
	{
		int nv = dn_marked_width(width - o);

		if (nv == 8)
		{
			dq_widen(panel, q + o, (size_t) width, n, 8);
			dn_marked_rows(part + o, x, marks, panel, 8 * VW, rows, 8, out, n, first, NULL);
		}
		else if (nv == 4)
		{
			dq_widen(panel, q + o, (size_t) width, n, 4);
			dn_marked_rows(part + o, x, marks, panel, 4 * VW, rows, 4, out, n, first, NULL);
		}
		else
		{
			dq_widen(panel, q + o, (size_t) width, n, 1);
			dn_marked_rows(part + o, x, marks, panel, VW, rows, 1, out, n, first, NULL);
		}
		o += nv * VW;
	}
}

/* Runs up to DN_ROWS rows through one block, src at its first input; part[DN_ROWS][wide] is scratch. */
static void
dq_many(float *sums, float *part, const float *src, const DqBlock *block, int rows, int in)
{
	DnRows copy;
	size_t work = 0;
	int marked;
	int i, p, r;

	dn_copy_rows(&copy, src, rows, in, 0, block->n);
	marked = dn_marks_pay(&copy, (size_t) rows * (size_t) block->n, block->wide);
	for (i = 0; i < block->n; i += DN_SUB)
	{
		int sub = i / DN_SUB;
		int n = block->n - i < DN_SUB ? block->n - i : DN_SUB;

		for (p = 0; p < block->wide && !nn_stop_due(&work, NN_INT16_PANEL * (size_t) (n * rows));
			 p += NN_INT16_PANEL)
		{
			int width = nn_int16_panel_width(block->wide, p);
			const int16_t *q = dq_panel(block, p) + (size_t) i * (size_t) width;

			if (marked)
				dq_sub_marked(part + p, copy.x[sub], copy.marks[sub], q, width, rows, block->wide, n, i == 0);
			else
				dq_sub_tiles(part + p, copy.x[sub], q, width, rows, block->wide, n, i == 0);
		}
	}
	for (r = 0; r < rows; r++)
		dq_add_scaled(sums + (size_t) r * (size_t) block->wide, part + (size_t) r * (size_t) block->wide,
					  block->scales, block->wide);
}

/* Runs n rows block by block of inputs: a few rows each by itself, more of them DN_ROWS together. */
static void
dense_int16_forward(float *dst, const float *src, const void *packed, int n, int in, int out, int relu,
					void *scratch)
{
	size_t wide = (size_t) nn_int16_wide(out);
	float *part = scratch;
	float *sums = part + DN_ROWS * wide;
	int streams = 1;
	int b, k, r;

	memset(sums, 0, sizeof(float) * wide * (size_t) n);
	for (b = 0; b < nn_int16_blocks(in) && !nn_stopped(); b += streams)
	{
		DqBlock block[NN_DENSE_STREAMS];
		const float *x = src + (size_t) b * NN_DENSE_BLOCK;

		/* whole blocks together */
		streams = n <= DQ_FEW && b + NN_DENSE_STREAMS <= in / NN_DENSE_BLOCK ? NN_DENSE_STREAMS : 1;
		for (k = 0; k < streams; k++)
			block[k] = nn_int16_block(packed, in, out, b + k);
		if (n <= DQ_FEW)
			for (r = 0; r < n; r++)
				dq_row(sums + (size_t) r * wide, x + (size_t) r * (size_t) in, block, streams,
					   in - b * NN_DENSE_BLOCK);
		else
			for (r = 0; r < n; r += DN_ROWS)
				dq_many(sums + (size_t) r * wide, part, x + (size_t) r * (size_t) in, block,
						n - r < DN_ROWS ? n - r : DN_ROWS, in);
	}
	for (r = 0; r < n; r++)
		memcpy(dst + (size_t) r * (size_t) out, sums + (size_t) r * wide, sizeof(float) * (size_t) out);
	dn_bias(dst, nn_int16_bias(packed), n, out, relu);
}
