/*-------------------------------------------------------------------------
 *
 * conv3_int16_product_impl.h
 *	  The matrix products of conv3_int16_impl.h, which includes this: once, or
 *	  with AVX-512 once more for the processors whose multiply-add of pairs is
 *	  one instruction (VNNI).  Q_NAME names the function, q_sum adds a product.
 *
 *-------------------------------------------------------------------------
 */

/*
 * Computes c[rows][nv * VW] = scale * (a b), a [rows][2 * pairs] with rows row
 * integers apart, b [pairs][nv * VW][2]; pairs is even.  The scale is
 * scale[nv * VW] times of.
 */
NN_INLINE void
Q_NAME(tile)(float *c, const int16_t *a, size_t row, const int16_t *b, int pairs, const float *scale,
			 float of, const int rows, const int nv)
{
	const int16_t *a3 = a + 3 * row;
	vi acc[WG_MR][WG_NV];
	int i, j, p, u;

#pragma GCC unroll 6
	for (i = 0; i < rows; i++)
#pragma GCC unroll 4
		for (j = 0; j < nv; j++)
			acc[i][j] = q_zero();
	for (p = 0; p < pairs; p += 2)
	{
#pragma GCC unroll 2
		for (u = 0; u < 2; u++)
		{
			vi x[WG_NV];

#pragma GCC unroll 4
			for (j = 0; j < nv; j++)
				x[j] = q_load(b + (u * nv + j) * 2 * VW);
#pragma GCC unroll 6
			for (i = 0; i < rows; i++)
			{
				const int16_t *at = (i < 3 ? a : a3) + (size_t) (i % 3) * row + 2 * u;

#if Q_HAS_ROW2
				if (nv == 2)
				{
					q_row2(acc[i], at, x);
					continue;
				}
#endif
#pragma GCC unroll 4
				for (j = 0; j < nv; j++)
					acc[i][j] = q_sum(acc[i][j], q_pair(at), x[j]);
			}
		}
		a += 4;
		a3 += 4;
		b += 4 * nv * VW;
	}
#pragma GCC unroll 4
	for (j = 0; j < nv; j++)
	{
		vf s = v_mul(v_load(scale + j * VW), v_set1(of));

#pragma GCC unroll 6
		for (i = 0; i < rows; i++)
			v_store(c + (i * nv + j) * VW, v_mul(q_float(acc[i][j]), s));
	}
}

#define Q_ROWS_CASE(r)                                        \
	case r:                                                   \
		Q_NAME(tile)(c, a, row, b, pairs, scale, *of, r, nv); \
		break

/* Runs n rows of one plane and block; of has a factor for every WG_MR rows, 36 apart. */
NN_INLINE void
Q_NAME(width)(float *c, const int16_t *a, size_t row, const int16_t *b, int pairs, const float *scale,
			  const float *of, int n, const int nv)
{
	for (; n >= WG_MR; n -= WG_MR)
	{
		Q_NAME(tile)(c, a, row, b, pairs, scale, *of, WG_MR, nv);
		a += WG_MR * row;
		c += WG_MR * nv * VW;
		of += 36;
	}
	switch (n)
	{
		Q_ROWS_CASE(1);
		Q_ROWS_CASE(2);
		Q_ROWS_CASE(3);
		Q_ROWS_CASE(4);
		Q_ROWS_CASE(5);
	}
}

#define Q_WIDTH_CASE(w)                                      \
	case w:                                                  \
		Q_NAME(width)(c, a, row, b, pairs, scale, of, n, w); \
		break

static void __attribute__((noinline))
Q_NAME(product)(float *c, const int16_t *a, size_t row, const int16_t *b, int pairs, const float *scale,
				const float *of, int n, int nv)
{
	switch (nv)
	{
		Q_WIDTH_CASE(1);
		Q_WIDTH_CASE(2);
#if WG_NV > 2
		Q_WIDTH_CASE(3);
		Q_WIDTH_CASE(4);
#endif
	}
}

#undef Q_ROWS_CASE
#undef Q_WIDTH_CASE
