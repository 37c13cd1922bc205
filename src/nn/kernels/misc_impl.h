/*-------------------------------------------------------------------------
 *
 * misc_impl.h
 *	  Element-wise passes, pooling, depthwise convolution and sums by channel,
 *	  compiled per instruction set.
 *
 *-------------------------------------------------------------------------
 */
/* Adds sixteen sums in double by i % 16 in ascending order: one order for all paths. */
static double
sum_squares(const float *src, size_t n)
{
	double s[16] = {0.0};
	double sum = 0.0;
	size_t i, j;

	for (i = 0; i + 16 <= n; i += 16)
		for (j = 0; j < 16; j++)
			s[j] += (double) src[i + j] * (double) src[i + j];
	for (j = 0; i < n; i++, j++)
		s[j] += (double) src[i] * (double) src[i];
	for (j = 0; j < 16; j++)
		sum += s[j];
	return sum;
}

static void
maxpool2(float *dst, uint16_t *mask, const float *src, int h, int w, int c)
{
	size_t line = (size_t) w * (size_t) c;
	size_t work = 0;
	int x, y, k;

	for (y = 0; y < h / 2; y++)
		for (x = 0; x < w / 2 && !nn_stop_due(&work, 4 * (size_t) c); x++)
		{
			const float *s = src + 2 * (size_t) y * line + 2 * (size_t) x * (size_t) c;
			size_t at = (size_t) y * (size_t) (w / 2) + (size_t) x;

			for (k = 0; k < c; k += VW)
			{
				int n = c - k < VW ? c - k : VW;
				vf four[4];
				uint16_t *group = mask != NULL ? mask + at * nn_mask_words(c) + k / 16 * 4 : NULL;

				four[0] = v_load_n(s + k, n);
				four[1] = v_load_n(s + c + k, n);
				four[2] = v_load_n(s + line + k, n);
				four[3] = v_load_n(s + line + (size_t) c + k, n);
				v_store_n(dst + at * (size_t) c + k, pool4(group, k, four, v_zero(), 0), n);
			}
		}
}

/*
 * Spreads the gradient over the winners that the mask names, and writes zeros
 * to all other pixels, those of an odd last row and column too.
 */
static void
maxpool2_backward(float *dsrc, const float *ddst, const uint16_t *mask, int h, int w, int c)
{
	size_t line = (size_t) w * (size_t) c;
	size_t work = 0;
	int x, y, k;

	if (h % 2 != 0)
		memset(dsrc + (size_t) (h - 1) * line, 0, sizeof(float) * line);
	for (y = 0; y < h / 2; y++)
	{
		float *d = dsrc + 2 * (size_t) y * line;

		if (w % 2 != 0)
		{
			memset(d + line - c, 0, sizeof(float) * (size_t) c);
			memset(d + 2 * line - c, 0, sizeof(float) * (size_t) c);
		}
		for (x = 0; x < w / 2 && !nn_stop_due(&work, 4 * (size_t) c); x++, d += 2 * (size_t) c)
		{
			size_t at = (size_t) y * (size_t) (w / 2) + (size_t) x;

			for (k = 0; k < c; k += VW)
			{
				int n = c - k < VW ? c - k : VW;
				const uint16_t *group = mask + at * nn_mask_words(c) + k / 16 * 4;
				vf g = v_load_n(ddst + at * (size_t) c + k, n);

				v_store_n(d + k, v_keep(g, v_mask_get(group, k, 0)), n);
				v_store_n(d + c + k, v_keep(g, v_mask_get(group, k, 1)), n);
				v_store_n(d + line + k, v_keep(g, v_mask_get(group, k, 2)), n);
				v_store_n(d + line + (size_t) c + k, v_keep(g, v_mask_get(group, k, 3)), n);
			}
		}
	}
}

/* Convolves row by row; an output pixel sums those of its nine taps that are inside the image. */
static void
depthwise3(float *dst, const float *src, const float *weight, const float *bias, int h, int w, int c,
		   int relu)
{
	size_t work = 0;
	int e, k, x, y;

	for (y = 0; y < h; y++)
		for (k = 0; k < c && !nn_stop_due(&work, 9 * VW * (size_t) w); k += VW)
		{
			int n = c - k < VW ? c - k : VW;
			vf b = bias != NULL ? v_load_n(bias + k, n) : v_zero();
			vf g[9];

			for (e = 0; e < 9; e++)
				g[e] = v_load_n(weight + (size_t) e * (size_t) c + k, n);
			for (x = 0; x < w; x++)
			{
				vf a = v_zero();

				for (e = 0; e < 9; e++)
				{
					int sy = y + e / 3 - 1;
					int sx = x + e % 3 - 1;

					if (sy >= 0 && sy < h && sx >= 0 && sx < w)
						a = v_fma(g[e],
								  v_load_n(src + ((size_t) sy * (size_t) w + (size_t) sx) * (size_t) c + k,
										   n),
								  a);
				}
				a = v_add(a, b);
				if (relu)
					a = v_max(a, v_zero());
				v_store_n(dst + ((size_t) y * (size_t) w + (size_t) x) * (size_t) c + k, a, n);
			}
		}
}

/*
 * Adds the sums by channel.  The loops are left to the compiler's vectoriser:
 * conversions to double dominate.
 */
static void
channel_sums(double *sum, double *sum_sq, const float *x, size_t rows, int c)
{
	size_t r;
	int k;

	for (r = 0; r < rows; r++, x += c)
	{
		if (sum != NULL)
			for (k = 0; k < c; k++)
				sum[k] += (double) x[k];
		if (sum_sq != NULL)
			for (k = 0; k < c; k++)
				sum_sq[k] += (double) x[k] * (double) x[k];
	}
}

static void
channel_dots(double *dot, const float *x, const float *y, size_t rows, int c)
{
	size_t r;
	int k;

	for (r = 0; r < rows; r++, x += c, y += c)
		for (k = 0; k < c; k++)
			dot[k] += (double) x[k] * (double) y[k];
}

static void
channel_affine(float *dst, const float *src, const float *a, const float *b, size_t rows, int c, int relu)
{
	size_t r;
	int k;

	for (r = 0; r < rows; r++, dst += c, src += c)
		for (k = 0; k < c; k += VW)
		{
			int n = c - k < VW ? c - k : VW;
			vf v = v_fma(v_load_n(src + k, n), v_load_n(a + k, n), v_load_n(b + k, n));

			v_store_n(dst + k, relu ? v_max(v, v_zero()) : v, n);
		}
}
