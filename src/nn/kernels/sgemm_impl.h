/*-------------------------------------------------------------------------
 *
 * sgemm_impl.h
 *	  C = alpha op(A) op(B) + beta C, compiled per instruction set.
 *
 * Blocks of SG_MC rows of A are packed on the stack in panels of SG_MR rows,
 * panels of SG_NR columns of B likewise, for SG_KC values of k at a time.  An
 * element of C is alpha times a sum over each block of k, in ascending order,
 * added to what the blocks before have left: whatever m and n are, an edge
 * tile runs through the same instructions on zero-padded panels, so a row's
 * result has the same bits in any call that holds it.
 *
 *-------------------------------------------------------------------------
 */
#define SG_KC 256
#define SG_NV 2
#define SG_NR (SG_NV * VW)
#if VREGS == 32
#define SG_MR 12
#else
#define SG_MR 6
#endif
#define SG_MC 48

/* Packs dst[p][SG_MR]: rows of op(A) from i0 on (at most SG_MR, the rest zero), terms from k0 on. */
static void
sg_pack_a(float *dst, const float *a, int transpose, int lda, int i0, int rows, int k0, int kc)
{
	int i, p;

	if (rows < SG_MR)
		memset(dst, 0, sizeof(float) * SG_MR * (size_t) kc);
	if (transpose)
	{
		for (p = 0; p < kc; p++)
		{
			const float *s = a + (size_t) (k0 + p) * (size_t) lda + i0;

			for (i = 0; i < rows; i++)
				dst[p * SG_MR + i] = s[i];
		}
	}
	else
	{
		for (i = 0; i < rows; i++)
		{
			const float *s = a + (size_t) (i0 + i) * (size_t) lda + k0;

			for (p = 0; p < kc; p++)
				dst[p * SG_MR + i] = s[p];
		}
	}
}

/* Packs dst[p][SG_NR]: columns of op(B) from j0 on (at most SG_NR, the rest zero), terms from k0 on. */
static void
sg_pack_b(float *dst, const float *b, int transpose, int ldb, int j0, int cols, int k0, int kc)
{
	int j, p;

	if (cols < SG_NR)
		memset(dst, 0, sizeof(float) * SG_NR * (size_t) kc);
	if (transpose)
	{
		for (j = 0; j < cols; j++)
		{
			const float *s = b + (size_t) (j0 + j) * (size_t) ldb + k0;

			for (p = 0; p < kc; p++)
				dst[p * SG_NR + j] = s[p];
		}
	}
	else if (cols == SG_NR)
	{
		for (p = 0; p < kc; p++)
		{
			const float *s = b + (size_t) (k0 + p) * (size_t) ldb + j0;

			for (j = 0; j < SG_NV; j++)
				v_store(dst + p * SG_NR + j * VW, v_load(s + j * VW));
		}
	}
	else
	{
		for (p = 0; p < kc; p++)
		{
			const float *s = b + (size_t) (k0 + p) * (size_t) ldb + j0;

			for (j = 0; j < cols; j++)
				dst[p * SG_NR + j] = s[j];
		}
	}
}

/* Computes one tile, c[SG_MR][SG_NR] = alpha a b + beta c; with beta 0 it does not read c. */
static void __attribute__((noinline))
sg_tile(float *c, int ldc, const float *a, const float *b, int kc, float alpha, float beta)
{
	vf acc[SG_MR][SG_NV];
	vf va = v_set1(alpha);
	vf vb = v_set1(beta);
	int i, j, p;

	for (i = 0; i < SG_MR; i++)
		for (j = 0; j < SG_NV; j++)
			acc[i][j] = v_zero();
	for (p = 0; p < kc; p++)
	{
		vf b0 = v_load(b);
		vf b1 = v_load(b + VW);

#pragma GCC unroll 12
		for (i = 0; i < SG_MR; i++)
		{
			vf x = v_set1(a[i]);

			acc[i][0] = v_fma(x, b0, acc[i][0]);
			acc[i][1] = v_fma(x, b1, acc[i][1]);
		}
		a += SG_MR;
		b += SG_NR;
	}
#pragma GCC unroll 12
	for (i = 0; i < SG_MR; i++)
	{
		float *row = c + (size_t) i * (size_t) ldc;

#pragma GCC unroll 2
		for (j = 0; j < SG_NV; j++)
		{
			vf old = beta == 0.0f ? v_zero() : v_mul(vb, v_load(row + j * VW));

			v_store(row + j * VW, v_fma(va, acc[i][j], old));
		}
	}
}

static void
sg_tile_edge(float *c, int ldc, int rows, int cols, const float *a, const float *b, int kc, float alpha,
			 float beta)
{
	float tile[SG_MR * SG_NR] NN_STACK_ALIGN;
	int i;

	memset(tile, 0, sizeof(tile));
	if (beta != 0.0f)
		for (i = 0; i < rows; i++)
			memcpy(tile + i * SG_NR, c + (size_t) i * (size_t) ldc, sizeof(float) * (size_t) cols);
	sg_tile(tile, SG_NR, a, b, kc, alpha, beta);
	for (i = 0; i < rows; i++)
		memcpy(c + (size_t) i * (size_t) ldc, tile + i * SG_NR, sizeof(float) * (size_t) cols);
}

void
NN_FN(nn_sgemm)(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
				const float *b, int ldb, float beta, float *c, int ldc)
{
	float pa[SG_MC * SG_KC] NN_STACK_ALIGN;
	float pb[SG_NR * SG_KC] NN_STACK_ALIGN;
	size_t work = 0;
	int i0, i, j, k0;

	if (m <= 0 || n <= 0)
		return;
	if (k <= 0 || alpha == 0.0f)
	{
		for (i = 0; i < m && !nn_stop_due(&work, (size_t) n); i++)
			for (j = 0; j < n; j++)
			{
				float *x = c + (size_t) i * (size_t) ldc + j;

				*x = beta == 0.0f ? 0.0f : beta * *x;
			}
		return;
	}
	for (i0 = 0; i0 < m; i0 += SG_MC)
	{
		int mc = m - i0 < SG_MC ? m - i0 : SG_MC;

		for (k0 = 0; k0 < k; k0 += SG_KC)
		{
			int kc = k - k0 < SG_KC ? k - k0 : SG_KC;
			float keep = k0 == 0 ? beta : 1.0f;

			for (i = 0; i < mc; i += SG_MR)
				sg_pack_a(pa + i * kc, a, transpose_a, lda, i0 + i, mc - i < SG_MR ? mc - i : SG_MR, k0, kc);
			for (j = 0; j < n; j += SG_NR)
			{
				int cols = n - j < SG_NR ? n - j : SG_NR;

				if (nn_stop_due(&work, (size_t) mc * SG_NR * (size_t) kc))
					return;
				sg_pack_b(pb, b, transpose_b, ldb, j, cols, k0, kc);
				for (i = 0; i < mc; i += SG_MR)
				{
					int rows = mc - i < SG_MR ? mc - i : SG_MR;
					float *tile = c + (size_t) (i0 + i) * (size_t) ldc + j;

					if (rows == SG_MR && cols == SG_NR)
						sg_tile(tile, ldc, pa + i * kc, pb, kc, alpha, keep);
					else
						sg_tile_edge(tile, ldc, rows, cols, pa + i * kc, pb, kc, alpha, keep);
				}
			}
		}
	}
}
