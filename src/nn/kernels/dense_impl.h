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
#define DN_FEW 4				/* rows that stream */

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
	if (full < out)
		for (r = 0; r < rows; r++)
		{
			vf			a = v_zero();

			for (i = i0; i < i1; i++)
				a = v_fma(v_set1(src[(size_t) r * (size_t) in + i]),
						  v_load_n(weight + (size_t) i * (size_t) out + full, out - full), a);
			v_store_n(part + (size_t) r * (size_t) out + full, a, out - full);
		}
}

#define DN_MR 6

/* part[rows][nv vectors] of the inputs [i0, i1). */
NN_INLINE void
dn_tile(float *part, const float *src, const float *weight, const int rows, const int nv,
		int in, int out, int i0, int i1)
{
	vf			acc[DN_MR][2];
	int			i,
				j,
				r;

#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
		acc[r][0] = acc[r][1] = v_zero();
	for (i = i0; i < i1; i++)
	{
		vf			w[2];

#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			w[j] = v_load(weight + (size_t) i * (size_t) out + j * VW);
#pragma GCC unroll 6
		for (r = 0; r < rows; r++)
		{
			vf			x = v_set1(src[(size_t) r * (size_t) in + i]);

#pragma GCC unroll 2
			for (j = 0; j < nv; j++)
				acc[r][j] = v_fma(x, w[j], acc[r][j]);
		}
	}
#pragma GCC unroll 6
	for (r = 0; r < rows; r++)
#pragma GCC unroll 2
		for (j = 0; j < nv; j++)
			v_store(part + (size_t) r * (size_t) out + j * VW, acc[r][j]);
}

/* Six rows: all outputs that fill vectors in tiles, the rest as in dn_stream. */
static void
dn_many(float *part, const float *src, const float *weight, int in, int out, int i0, int i1)
{
	int			full = out / VW * VW;
	int			i,
				o,
				r;

	for (o = 0; o + 2 * VW <= full; o += 2 * VW)
		dn_tile(part + o, src, weight + o, DN_MR, 2, in, out, i0, i1);
	if (o < full)
		dn_tile(part + o, src, weight + o, DN_MR, 1, in, out, i0, i1);
	if (full < out)
		for (r = 0; r < DN_MR; r++)
		{
			vf			a = v_zero();

			for (i = i0; i < i1; i++)
				a = v_fma(v_set1(src[(size_t) r * (size_t) in + i]),
						  v_load_n(weight + (size_t) i * (size_t) out + full, out - full), a);
			v_store_n(part + (size_t) r * (size_t) out + full, a, out - full);
		}
}

static void
dense_partial(float *partial, const float *src, const float *weight, int n, int in, int out, int block)
{
	int			i0 = block * NN_DENSE_BLOCK;
	int			i1 = in - i0 < NN_DENSE_BLOCK ? in : i0 + NN_DENSE_BLOCK;

	while (n > 0)
	{
		int			rows = n >= DN_MR ? DN_MR : n > DN_FEW ? DN_FEW : n;

		switch (rows)
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
				dn_many(partial, src, weight, in, out, i0, i1);
				break;
		}
		partial += (size_t) rows * (size_t) out;
		src += (size_t) rows * (size_t) in;
		n -= rows;
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

static void
dn_dweight_rows(float *dw, const float *src, const float *ddst, int n, int in, int out, int rows)
{
	int			full = out / VW * VW;
	int			o,
				r,
				s;

	for (r = 0; r < rows; r += 4)
		for (o = 0; o < full; o += 2 * VW)
		{
			float	   *d = dw + (size_t) r * (size_t) out + o;

			if (rows - r >= 4 && o + 2 * VW <= full)
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 4, 2);
			else if (rows - r >= 4)
				dn_dweight_tile(d, src + r, ddst + o, n, in, out, 4, 1);
			else
				for (s = r; s < rows; s++, d += out)
				{
					dn_dweight_tile(d, src + s, ddst + o, n, in, out, 1, 1);
					if (o + 2 * VW <= full)
						dn_dweight_tile(d + VW, src + s, ddst + o + VW, n, in, out, 1, 1);
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

/* dsrc[rows of samples][16 inputs] = ddst[rows][out] wt[out][16]. */
NN_INLINE void
dn_dsrc_tile(float *dsrc, const float *ddst, const float *wt, const int rows, int in, int out)
{
	vf			acc[4][DN_GROUP / VW];
	int			j,
				o,
				r;

#pragma GCC unroll 4
	for (r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (j = 0; j < DN_GROUP / VW; j++)
			acc[r][j] = v_zero();
	for (o = 0; o < out; o++)
	{
		vf			w[DN_GROUP / VW];

#pragma GCC unroll 4
		for (j = 0; j < DN_GROUP / VW; j++)
			w[j] = v_load(wt + (size_t) o * DN_GROUP + j * VW);
#pragma GCC unroll 4
		for (r = 0; r < rows; r++)
		{
			vf			g = v_set1(ddst[(size_t) r * (size_t) out + o]);

#pragma GCC unroll 4
			for (j = 0; j < DN_GROUP / VW; j++)
				acc[r][j] = v_fma(g, w[j], acc[r][j]);
		}
	}
#pragma GCC unroll 4
	for (r = 0; r < rows; r++)
#pragma GCC unroll 4
		for (j = 0; j < DN_GROUP / VW; j++)
			v_store(dsrc + (size_t) r * (size_t) in + j * VW, acc[r][j]);
}

/* The data gradient of 16 inputs, or of fewer at the end through a copy. */
static void
dn_dsrc_group(float *dsrc, const float *ddst, const float *weight, float *wt,
			  int n, int in, int out, int rows)
{
	float		tail[DN_GROUP];
	int			o,
				r,
				s;

	for (r = 0; r < DN_GROUP; r++)
	{
		const float *w = weight + (size_t) r * (size_t) out;

		if (r < rows)
			for (o = 0; o < out; o++)
				wt[(size_t) o * DN_GROUP + r] = w[o];
		else
			for (o = 0; o < out; o++)
				wt[(size_t) o * DN_GROUP + r] = 0.0f;
	}
	if (rows == DN_GROUP)
	{
		for (s = 0; s + 4 <= n; s += 4)
			dn_dsrc_tile(dsrc + (size_t) s * (size_t) in, ddst + (size_t) s * (size_t) out, wt, 4, in, out);
		for (; s < n; s++)
			dn_dsrc_tile(dsrc + (size_t) s * (size_t) in, ddst + (size_t) s * (size_t) out, wt, 1, in, out);
	}
	else
		for (s = 0; s < n; s++)
		{
			dn_dsrc_tile(tail, ddst + (size_t) s * (size_t) out, wt, 1, in, out);
			memcpy(dsrc + (size_t) s * (size_t) in, tail, sizeof(float) * (size_t) rows);
		}
}

static void
dense_backward(float *dsrc, float *dweight, float *weight, const NnSlots *slots,
			   const float *src, const float *ddst, int n, int in, int out,
			   int i0, int i1, const NnUpdate *update, void *scratch)
{
	float	   *wt = scratch;
	float	   *dw = wt + DN_GROUP * (size_t) out;
	int			i,
				k;

	for (i = i0; i < i1; i += DN_GROUP)
	{
		int			rows = i1 - i < DN_GROUP ? i1 - i : DN_GROUP;
		size_t		at = (size_t) i * (size_t) out;

		if (dsrc != NULL)
			dn_dsrc_group(dsrc + i, ddst, weight + at, wt, n, in, out, rows);
		if (update == NULL)
			dn_dweight_rows(dweight + at, src + i, ddst, n, in, out, rows);
		else
		{
			NnSlots		here;

			for (k = 0; k < 3; k++)
				here.s[k] = slots->s[k] != NULL ? slots->s[k] + at : NULL;
			dn_dweight_rows(dw, src + i, ddst, n, in, out, rows);
			update_run(weight + at, &here, dw, (size_t) rows * (size_t) out, update);
		}
	}
}
