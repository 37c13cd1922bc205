/*-------------------------------------------------------------------------
 *
 * maps_rows_impl.h
 *	  Rows of a map with their border of zeros, compiled per instruction set.
 *
 * Windows read beyond the edges of a map.  A block of rows is copied with the
 * zeros around it into scratch, so that no loop over a window has a branch; a
 * map whose windows stay inside is read where it lies.
 *
 *-------------------------------------------------------------------------
 */
#define MR_BLOCK_FLOATS 65536 /* of the copied rows: they stay in the second cache */

/* A map with a border: row y begins at base + (y - first) * line, its column -left there. */
typedef struct MrMap
{
	const float *map;
	int h, w, c;
	int left, right; /* columns of zeros */
	int padded;      /* 0: read where it lies */
	size_t line;
	float *copy;
	const float *base;
	int first;
} MrMap;

/* Describes a map of which columns from low to high (not included) and maybe rows beyond its edges are read. */
NN_INLINE MrMap
mr_map(const float *map, int h, int w, int c, int low, int high, int rows_beyond, float *copy)
{
	MrMap m = {map, h, w, c, low < 0 ? -low : 0, high > w ? high - w : 0, 0, 0, copy, map, 0};

	m.padded = (m.left > 0 || m.right > 0 || rows_beyond);
	m.line = (size_t) (m.left + w + m.right) * (size_t) c;
	return m;
}

/* Makes the rows from first to end (not included) ready; those beyond the edges are zero. */
static void
mr_rows(MrMap *m, int first, int end)
{
	size_t left = (size_t) m->left * (size_t) m->c;
	size_t right = (size_t) m->right * (size_t) m->c;
	size_t own = (size_t) m->w * (size_t) m->c;
	float *to = m->copy;
	int y;

	if (!m->padded)
		return;
	m->base = m->copy;
	m->first = first;
	for (y = first; y < end && !nn_stopped(); y++, to += m->line)
		if (y < 0 || y >= m->h)
			memset(to, 0, sizeof(float) * m->line);
		else
		{
			memset(to, 0, sizeof(float) * left);
			memcpy(to + left, m->map + (size_t) y * own, sizeof(float) * own);
			memset(to + left + own, 0, sizeof(float) * right);
		}
}

/* Returns where the pixel (y, x) of a map lies, x from -left on. */
NN_INLINE const float *
mr_at(const MrMap *m, int y, int x)
{
	return m->base + ((ptrdiff_t) y - m->first) * (ptrdiff_t) m->line +
		   ((ptrdiff_t) x + m->left) * (ptrdiff_t) m->c;
}

/*
 * Returns how many rows of outputs go at once, when the first needs window rows
 * of line floats and each further one step more.
 */
NN_INLINE int
mr_block(size_t line, int window, int step, int rows)
{
	size_t fit = MR_BLOCK_FLOATS / line;
	int n = fit > (size_t) window ? ((int) (fit > (1u << 24) ? 1u << 24 : fit) - window) / step + 1 : 1;

	return n < rows ? n : rows;
}

/* Returns a / b rounded down, b positive. */
NN_INLINE int
mr_floor(int a, int b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* Returns the largest common divisor of two positive numbers. */
NN_INLINE int
mr_gcd(int a, int b)
{
	while (b != 0)
	{
		int t = a % b;

		a = b;
		b = t;
	}
	return a;
}

/* Describes the source of a convolution, as its windows read it. */
NN_INLINE MrMap
mr_source(const float *src, const NnConv *c, float *copy)
{
	int low = -c->left;
	int high = (c->ow - 1) * c->sw - c->left + (c->kw - 1) * c->dw + 1;
	int last = (c->oh - 1) * c->sh - c->top + (c->kh - 1) * c->dh + 1;

	return mr_map(src, c->h, c->w, c->ic, low, high, c->top > 0 || last > c->h, copy);
}

/* Returns the rows of the source that n rows of outputs need. */
NN_INLINE int
mr_source_rows(const NnConv *c, int n)
{
	return (n - 1) * c->sh + (c->kh - 1) * c->dh + 1;
}
