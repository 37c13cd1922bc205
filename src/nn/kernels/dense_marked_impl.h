/*-------------------------------------------------------------------------
 *
 * dense_marked_impl.h
 *	  Many rows of a dense layer without the products of their zeros, compiled
 *	  per instruction set.
 *
 * Rows go through DN_SUB inputs together, whose weights stay in the first cache
 * meanwhile.  Each row has a bit for each of them that is not zero, and walks
 * along its bits in ascending order, so the sums have the bits of those over all
 * inputs.  A row's term takes the same number of multiply-adds as in a tile of
 * rows, one read of a weight each, which a core can just do; the tile
 * (dense_impl.h) is there for rows with few zeros.
 *
 *-------------------------------------------------------------------------
 */
#define DN_SUB 64             /* inputs whose weights and rows stay in the first cache; bits of a mark */
#define DN_ROWS NN_DENSE_ROWS /* rows of src copied together, whole tiles */
#define DN_SUBS (NN_DENSE_BLOCK / DN_SUB)

/* A copy of rows of a block of inputs, which as they lie in memory would drive each other from the cache. */
typedef struct DnRows
{
	float x[DN_SUBS][DN_ROWS * DN_SUB] NN_STACK_ALIGN;
	uint64_t marks[DN_SUBS][DN_ROWS]; /* bit i: x[][r * DN_SUB + i] is not zero */
	size_t n_marks;                   /* bits that are set */
} DnRows;

/* Memory that is wanted soon: a panel's vectors of each term, row floats apart. */
typedef struct DnAhead
{
	const float *at;
	size_t row;
} DnAhead;

static uint64_t
dn_copy_marked(float *to, const float *x, int n)
{
	uint64_t marks = 0;
	int i;

	for (i = 0; i + VW <= n; i += VW)
	{
		vf a = v_load(x + i);

		v_store(to + i, a);
		marks |= (uint64_t) v_nonzero_bits(a) << i;
	}
	for (; i < n; i++)
	{
		to[i] = x[i];
		if (x[i] != 0.0f)
			marks |= UINT64_C(1) << i;
	}
	return marks;
}

/* Copies inputs i0 to i1 of src[rows][in]; the next row is fetched meanwhile. */
static void
dn_copy_rows(DnRows *copy, const float *src, int rows, int in, int i0, int i1)
{
	int i, r;

	copy->n_marks = 0;
	for (r = 0; r < rows; r++)
	{
		const float *row = src + (size_t) r * (size_t) in;

		for (i = i0; r + 1 < rows && i < i1; i += 16)
			__builtin_prefetch(row + in + i, 0, 2);
		for (i = i0; i < i1; i += DN_SUB)
		{
			int sub = (i - i0) / DN_SUB;
			uint64_t marks =
				dn_copy_marked(copy->x[sub] + r * DN_SUB, row + i, i1 - i < DN_SUB ? i1 - i : DN_SUB);

			copy->marks[sub][r] = marks;
			copy->n_marks += (size_t) __builtin_popcountll(marks);
		}
	}
}

/*
 * Tells whether leaving out the zeros of n numbers pays for full outputs.  A
 * term's multiply-adds follow each other in as many accumulators as there are
 * vectors: fewer than eight wait for one another.  The numbers are measured.
 */
static int
dn_marks_pay(const DnRows *copy, size_t n, int full)
{
	size_t most = full >= 8 * VW ? n * 11 / 16 : full >= 4 * VW ? n * 5 / 16 : 0;

	return copy->n_marks <= most;
}

/* Adds to part[nv vectors] the sum of x[k] panel[k * step] over the marks k; first: from zero. */
NN_INLINE void
dn_marked_tile(float *part, const float *x, uint64_t marks, const float *panel, size_t step, const int nv,
			   int first)
{
	vf acc[8];
	int j;

#pragma GCC unroll 8
	for (j = 0; j < nv; j++)
		acc[j] = first ? v_zero() : v_load(part + j * VW);
	for (; marks != 0; marks &= marks - 1)
	{
		int k = __builtin_ctzll(marks);
		vf a = v_set1(x[k]);
		const float *w = panel + (size_t) k * step;

		/* one address, not one for each vector */
		NN_OPAQUE(w);
#pragma GCC unroll 8
		for (j = 0; j < nv; j++)
			acc[j] = v_fma(a, v_load(w + j * VW), acc[j]);
	}
#pragma GCC unroll 8
	for (j = 0; j < nv; j++)
		v_store(part + j * VW, acc[j]);
}

/* Returns the vectors of the next panel for the outputs that are left: 8, 4 or 1. */
static int
dn_marked_width(int left)
{
	return left >= 8 * VW ? 8 : left >= 4 * VW ? 4 : 1;
}

/*
 * Runs all rows through one panel of nv vectors of outputs, n terms; each row
 * fetches its part of ahead (or NULL).
 */
NN_INLINE void
dn_marked_rows(float *part, const float *x, const uint64_t *marks, const float *panel, size_t step, int rows,
			   const int nv, int out, int n, int first, const DnAhead *ahead)
{
	const float *at = ahead != NULL ? ahead->at : NULL;
	int due = 0;
	int j, r;

	for (r = 0; r < rows; r++)
	{
		for (due += n; at != NULL && due >= rows; due -= rows, at += ahead->row)
#pragma GCC unroll 8
			for (j = 0; j < nv * VW; j += 16)
				__builtin_prefetch(at + j, 0, 3);
		dn_marked_tile(part + (size_t) r * (size_t) out, x + r * DN_SUB, marks[r], panel, step, nv, first);
	}
}
