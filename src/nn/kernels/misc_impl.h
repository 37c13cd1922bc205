/*-------------------------------------------------------------------------
 *
 * misc_impl.h
 *	  A sum of squares and the 2 x 2 pooling, compiled per instruction set.
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
