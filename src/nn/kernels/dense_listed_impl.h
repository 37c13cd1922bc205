/*-------------------------------------------------------------------------
 *
 * dense_listed_impl.h
 *	  One row of a dense layer without the weights of its zeros, compiled per
 *	  instruction set.
 *
 * After relu and pooling most of a row is zero: 57 % of it behind the convolution
 * of the preset `baseline`, 88 % behind the four of `deep`, both trained on
 * X-rays.  One row is bound by reading the weights, and a zero adds nothing to a
 * sum: its weights are not read.  The other inputs are listed in ascending order,
 * so the sums have the bits of those over all inputs, and the weights of those
 * that come soon are fetched, which a processor cannot foresee.
 *
 *-------------------------------------------------------------------------
 */
#define DN_FETCH 4096    /* bytes of weights that are fetched ahead */
#define DN_FETCH_MOST 64 /* of this many inputs at most */

/*
 * The inputs of some blocks that are not zero, counted within their block; those
 * of block b from end[b - 1] to end[b].  Behind them a few of the block that
 * follows, or anything.
 */
typedef struct DnList
{
	int at[NN_DENSE_STREAMS * NN_DENSE_BLOCK + DN_FETCH_MOST];
	int end[NN_DENSE_STREAMS];
} DnList;

/* Weights of some outputs, from a block's first input on, and the inputs to take. */
typedef struct DnRun
{
	const void *weight;
	const int *at;
} DnRun;

/* Appends the inputs of x[size] that are not zero to the n at at; returns how many there are then. */
static int
dn_list_block(int *at, int n, const float *x, int size)
{
	int i;

	for (i = 0; i + VW <= size; i += VW)
	{
		unsigned bits = v_nonzero_bits(v_load(x + i));

		for (; bits != 0; bits &= bits - 1)
			at[n++] = i + __builtin_ctz(bits);
	}
	for (; i < size; i++)
		if (x[i] != 0.0f)
			at[n++] = i;
	return n;
}

/*
 * Returns how many of n inputs may be other than zero for a list to pay.  A
 * core waits for some twenty lines of memory at a time, and reads about twice
 * as fast what its own foresight fetches: short rows, which have less of that,
 * pay later.  The numbers are measured.
 */
static int
dn_list_most(int n, size_t row_bytes)
{
	return row_bytes < 288 ? n * (int) row_bytes * 7 / 4096 : n / 2;
}

/*
 * Lists the inputs of x and of the blocks after it, left inputs in all.
 * Returns 0 where a list does not pay.
 */
static int
dn_list(DnList *list, const float *x, int size, int blocks, int left, size_t row_bytes)
{
	int all = size * blocks;
	int n = 0;
	int b, i;

	for (i = 0; i + VW <= all; i += VW)
		n += __builtin_popcount(v_nonzero_bits(v_load(x + i)));
	if (n > dn_list_most(all, row_bytes))
		return 0;
	n = 0;
	for (b = 0; b < blocks; b++)
		list->end[b] = n = dn_list_block(list->at, n, x + b * size, size);
	memset(list->at + n, 0, sizeof(int) * DN_FETCH_MOST);
	dn_list_block(list->at, n, x + all, left - all < DN_FETCH_MOST ? left - all : DN_FETCH_MOST);
	return 1;
}

static DnRun
dn_list_run(const DnList *list, const void *weight, int b)
{
	return (DnRun) {weight, list->at + (b > 0 ? list->end[b - 1] : 0)};
}

static int
dn_list_count(const DnList *list, int b)
{
	return list->end[b] - (b > 0 ? list->end[b - 1] : 0);
}

/* Returns the weights of input i from output o on, in rows of row numbers of size bytes. */
NN_INLINE const void *
dn_weight(const void *weight, int i, size_t row, int o, size_t size)
{
	return (const char *) weight + ((size_t) i * row + (size_t) o) * size;
}

/*
 * Computes nv vectors of part from output o on: the sum of x[i] weight[i] over
 * the count inputs i of a run.  The weights are floats, or with int16 integers
 * of 2 bytes.  The first weights of next, from its output next_o on, are
 * fetched.
 */
NN_INLINE void
dn_listed_tile(float *part, const float *x, DnRun run, int count, size_t row, int o, DnRun next, int next_o,
			   const int nv, const int int16)
{
	const int size = int16 ? sizeof(int16_t) : sizeof(float);
	const int all = DN_FETCH / (nv * VW * size);
	const int ahead = all < DN_FETCH_MOST ? all : DN_FETCH_MOST;
	vf acc[8];
	int j, k;

#pragma GCC unroll 8
	for (j = 0; j < nv; j++)
		acc[j] = v_zero();
	for (k = 0; k < count; k++)
	{
		int i = run.at[k];
		const char *w = dn_weight(run.weight, i, row, o, size);
		const char *soon = k + ahead < count
							   ? dn_weight(run.weight, run.at[k + ahead], row, o, size)
							   : dn_weight(next.weight, next.at[k + ahead - count], row, next_o, size);
		vf a = v_set1(x[i]);

#pragma GCC unroll 8
		for (j = 0; j < nv * VW * size; j += 64)
			__builtin_prefetch(soon + j, 0, 3);
#pragma GCC unroll 8
		for (j = 0; j < nv; j++)
			acc[j] =
				v_fma(a,
					  int16 ? v_load_int16((const int16_t *) w + j * VW) : v_load((const float *) w + j * VW),
					  acc[j]);
	}
#pragma GCC unroll 8
	for (j = 0; j < nv; j++)
		v_store(part + o + j * VW, acc[j]);
}

/* Computes part[width] in tiles; after the last outputs of run come the first of next. */
NN_INLINE void
dn_listed_panel(float *part, const float *x, DnRun run, int count, size_t row, int width, DnRun next,
				const int int16)
{
	size_t work = 0;
	int o = 0;
	int k;

	while (width - o >= VW && !nn_stop_due(&work, (size_t) (count + 1) * (8 * VW)))
	{
		int left = (width - o) / VW;
		int nv = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
		int last = o + (nv + 1) * VW > width;
		DnRun then = last ? next : run;
		int then_o = last ? 0 : o + nv * VW;

		if (nv == 8)
			dn_listed_tile(part, x, run, count, row, o, then, then_o, 8, int16);
		else if (nv == 4)
			dn_listed_tile(part, x, run, count, row, o, then, then_o, 4, int16);
		else if (nv == 2)
			dn_listed_tile(part, x, run, count, row, o, then, then_o, 2, int16);
		else
			dn_listed_tile(part, x, run, count, row, o, then, then_o, 1, int16);
		o += nv * VW;
	}
	if (!int16 && o < width)
	{
		vf a = v_zero();

		for (k = 0; k < count; k++)
			a = v_fma(v_set1(x[run.at[k]]),
					  v_load_n(dn_weight(run.weight, run.at[k], row, o, sizeof(float)), width - o), a);
		v_store_n(part + o, a, width - o);
	}
}

/* Computes part[blocks][out] of one row, x and weight from the first block on, size inputs each. */
static void
dn_listed(float *part, const float *x, const float *weight, int out, const DnList *list, int size, int blocks)
{
	size_t step = (size_t) size * (size_t) out;
	int b;

	for (b = 0; b < blocks; b++, x += size, weight += step, part += out)
		dn_listed_panel(part, x, dn_list_run(list, weight, b), dn_list_count(list, b), (size_t) out, out,
						dn_list_run(list, weight + step, b + 1), 0);
}
