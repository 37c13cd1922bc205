/*
 * test_kernels.c
 *		Every numeric kernel, on every path this machine runs, against the
 *		reference path; and the AVX-512 sources on pairs of AVX2 registers.
 *
 * Tolerances, as the largest difference over the largest value of the
 * reference (sums over k terms of random signs):
 *		matrix product, dense layers, direct convolution   2e-6 * sqrt(k)
 *		Winograd forward and data gradient                 2e-5
 *		Winograd weight gradient                           5e-5
 *		optimiser steps                                    2e-6
 *		pooling, masks, relu                               exact
 */
#include "kernels_env.h"

/* ---------------------------------------------------------------- sgemm */

static void
test_sgemm(const Path *p)
{
	double worst = 0.0;
	int same = 1;
	int round;

	for (round = 0; round < 300; round++)
	{
		int ta = round & 1;
		int tb = round >> 1 & 1;
		int m = 1 + (int) (fabsf(uniform()) * 70);
		int n = 1 + (int) (fabsf(uniform()) * 80);
		int k = 1 + (int) (fabsf(uniform()) * 560);
		int lda = (ta ? m : k) + round % 3;
		int ldb = (tb ? k : n) + round % 2;
		int ldc = n + round % 4;
		float alpha = round % 5 ? 1.0f : 0.5f;
		float beta = (float) (round % 3) * 0.5f;
		size_t size = (size_t) m * (size_t) ldc;
		float *a = floats((size_t) lda * (size_t) (ta ? k : m), 1);
		float *b = floats((size_t) ldb * (size_t) (tb ? n : k), 1);
		float *c = floats(size, 1);
		float *d = floats(size, 0);
		float *e = floats(size, 0);
		int row = m / 2;
		double diff;

		memcpy(d, c, sizeof(float) * size);
		memcpy(e, c, sizeof(float) * size);
		if (beta == 0.0f)
			for (size_t i = 0; i < size; i++)
				d[i] = i % (size_t) ldc < (size_t) n ? NAN : c[i];
		nn_sgemm_ref(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
		p->k->sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, d, ldc);
		diff = difference(d, c, size) / sqrt(k);
		worst = diff > worst ? diff : worst;
		/* one row alone has the same bits */
		p->k->sgemm(ta, tb, 1, n, k, alpha, ta ? a + row : a + (size_t) row * (size_t) lda, lda, b, ldb, beta,
					e + (size_t) row * (size_t) ldc, ldc);
		if (memcmp(d + (size_t) row * (size_t) ldc, e + (size_t) row * (size_t) ldc,
				   sizeof(float) * (size_t) n) != 0)
			same = 0;
		free(a);
		free(b);
		free(c);
		free(d);
		free(e);
	}
	unit_near(worst, 0.0, 2e-6, "%s: matrix product", p->name);
	unit_ok(same, "%s: a row of a matrix product does not depend on the others", p->name);
}

/* ----------------------------------------------------------- convolution */

typedef struct Worst
{
	double forward, linear, dsrc, dweight, dbias;
	int masks, again, divided;
} Worst;

/* The bits of mask word i that stand for channels. */
static unsigned
live_bits(size_t i, int oc)
{
	size_t groups = nn_mask_words(oc) / 4;

	return i / 4 % groups == groups - 1 && oc % 16 != 0 ? (1u << oc % 16) - 1 : 0xffff;
}

static void
keep_worst(double *worst, double value)
{
	if (!(value <= *worst))
		*worst = value;
}

static void
conv3_case(Worst *worst, const Path *p, const NnConv3 *c)
{
	const NnKernels *k = p->k;
	const NnKernels *r = &nn_kernels_ref;
	size_t step = c->pool ? 2 : 1;
	size_t n_src = (size_t) c->h * (size_t) c->w * (size_t) c->ic;
	size_t n_pixels = (size_t) c->h / step * ((size_t) c->w / step);
	size_t n_dst = n_pixels * (size_t) c->oc;
	size_t n_weight = 9 * (size_t) c->ic * (size_t) c->oc;
	size_t n_mask = n_pixels * nn_mask_words(c->oc);
	size_t n_acc = k->conv3_acc_floats(c);
	size_t n_packed = k->conv3_packed_floats(c, 0);
	size_t n_turned = k->conv3_packed_floats(c, 1);
	size_t n_scratch = k->conv3_scratch_bytes(c) / sizeof(float);
	float *src = floats(n_src, 1);
	float *weight = floats(n_weight, 1);
	float *bias = floats((size_t) c->oc, 1);
	float *want = floats(n_dst, 0);
	float *got = floats(n_dst, 0);
	float *ddst = floats(n_dst, 1);
	float *packed = floats(n_packed, 0);
	float *turned = floats(n_turned, 0);
	float *scratch = floats(n_scratch, 0);
	float *dsrc_want = floats(n_src, 0);
	float *dsrc = floats(n_src, 0);
	float *acc_want = floats(2 * nn_kernels_ref.conv3_acc_floats(c), 0);
	float *acc = floats(2 * n_acc, 0);
	float *dweight_want = floats(n_weight, 0);
	float *dweight = floats(n_weight, 0);
	float *dbias_want = floats((size_t) c->oc, 0);
	float *dbias = floats((size_t) c->oc, 0);
	uint16_t *mask_want = calloc(n_mask + 1, sizeof(uint16_t));
	uint16_t *mask = calloc(n_mask + 1, sizeof(uint16_t));
	size_t i, wrong = 0;

	/* forward */
	memset(scratch, 0x7f, n_scratch * sizeof(float));
	k->conv3_pack(packed, weight, c, 0, 0, c->ic / 2);
	k->conv3_pack(packed, weight, c, 0, c->ic / 2, c->ic);
	r->conv3_forward(want, mask_want, src, weight, bias, c, NULL);
	k->conv3_forward(got, mask, src, packed, bias, c, scratch);
	keep_worst(&worst->forward, difference(got, want, n_dst));
	if (!guarded(packed, n_packed) || !guarded(scratch, n_scratch))
		worst->forward = 1e30;
	if (c->pool)
	{
		/* without a mask: the same bits */
		float *again = floats(n_dst, 0);

		k->conv3_forward(again, NULL, src, packed, bias, c, scratch);
		if (memcmp(again, got, n_dst * sizeof(float)) != 0)
			worst->again = 0;
		free(again);
		/* near ties may fall differently: few bits may differ */
		for (i = 0; i < n_mask; i++)
			if (((mask[i] ^ mask_want[i]) & live_bits(i, c->oc)) != 0)
				wrong++;
		if (wrong > 2 + n_mask / 2000)
			worst->masks = 0;
	}
	/* backward, both from the reference's output and mask */
	r->conv3_dsrc(dsrc_want, ddst, mask_want, want, weight, c, NULL);
	if (n_turned > 0)
	{
		memset(scratch, 0x7f, n_scratch * sizeof(float));
		k->conv3_pack(turned, weight, c, 1, 0, c->oc / 3);
		k->conv3_pack(turned, weight, c, 1, c->oc / 3, c->oc);
		k->conv3_dsrc(dsrc, ddst, mask_want, want, turned, c, scratch);
		keep_worst(&worst->dsrc, difference(dsrc, dsrc_want, n_src));
		if (!guarded(turned, n_turned) || !guarded(scratch, n_scratch))
			worst->dsrc = 1e30;
	}
	/* two samples in the first accumulator, one in the second */
	memset(scratch, 0x7f, n_scratch * sizeof(float));
	for (i = 0; i < 3; i++)
	{
		r->conv3_dweight(acc_want + i / 2 * r->conv3_acc_floats(c), src, ddst, mask_want, want, c, NULL);
		k->conv3_dweight(acc + i / 2 * n_acc, src, ddst, mask_want, want, c, scratch);
	}
	r->conv3_dweight_finish(dweight_want, dbias_want, acc_want, 2, r->conv3_acc_floats(c), c, 0, c->ic);
	k->conv3_dweight_finish(dweight, dbias, acc, 2, n_acc, c, 0, (c->ic + 1) / 2);
	k->conv3_dweight_finish(dweight, dbias, acc, 2, n_acc, c, (c->ic + 1) / 2, c->ic);
	keep_worst(&worst->dweight, difference(dweight, dweight_want, n_weight));
	keep_worst(&worst->dbias, difference(dbias, dbias_want, (size_t) c->oc));
	if (!guarded(acc, 2 * n_acc) || !guarded(scratch, n_scratch))
		worst->dweight = 1e30;
	free(src);
	free(weight);
	free(bias);
	free(want);
	free(got);
	free(ddst);
	free(packed);
	free(turned);
	free(scratch);
	free(dsrc_want);
	free(dsrc);
	free(acc_want);
	free(acc);
	free(dweight_want);
	free(dweight);
	free(dbias_want);
	free(dbias);
	free(mask_want);
	free(mask);
}

static void
test_conv3(const Path *p)
{
	static const int sides[][2] = {
		{1, 1}, {1, 5}, {2, 2}, {3, 3},  {2, 7},   {4, 4},   {5, 5},
		{6, 3}, {7, 7}, {8, 8}, {9, 14}, {16, 12}, {23, 21},
	};
	static const int channels[][2] = {
		{5, 3}, {8, 8}, {8, 24}, {13, 17}, {16, 32}, {24, 40}, {32, 64}, {40, 72}, {64, 130},
	};
	static const int few[][2] = {{1, 8}, {1, 32}, {1, 13}, {2, 16}, {3, 32}, {3, 5}, {4, 24}, {4, 65}};
	Worst wino = {0, 0, 0, 0, 0, 1, 1, 1};
	Worst direct = wino;
	size_t i, j;
	int form;

	for (i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		for (form = 0; form < 4; form++)
		{
			NnConv3 c = {sides[i][0], sides[i][1], 0, 0, form & 1, form >> 1};

			if (c.pool && (c.h < 2 || c.w < 2))
				continue;
			for (j = 0; j < sizeof(channels) / sizeof(channels[0]); j++)
			{
				if (c.h * c.w > 100 && (int) j % 3 != form % 3)
					continue;
				if (left_out())
					continue;
				c.ic = channels[j][0];
				c.oc = channels[j][1];
				conv3_case(&wino, p, &c);
			}
			for (j = 0; j < sizeof(few) / sizeof(few[0]); j++)
			{
				if (left_out())
					continue;
				c.ic = few[j][0];
				c.oc = few[j][1];
				conv3_case(&direct, p, &c);
			}
		}
	unit_near(wino.forward, 0.0, 2e-5, "%s: Winograd forward", p->name);
	unit_near(wino.dsrc, 0.0, 2e-5, "%s: Winograd data gradient", p->name);
	unit_near(wino.dweight, 0.0, 5e-5, "%s: Winograd weight gradient", p->name);
	unit_near(wino.dbias, 0.0, 5e-5, "%s: Winograd bias gradient", p->name);
	unit_ok(wino.masks, "%s: Winograd pooling masks", p->name);
	unit_ok(wino.again, "%s: Winograd has the same bits with and without a mask", p->name);
	unit_near(direct.forward, 0.0, 2e-6, "%s: direct forward", p->name);
	unit_near(direct.dweight, 0.0, 1e-5, "%s: direct weight gradient", p->name);
	unit_near(direct.dbias, 0.0, 1e-5, "%s: direct bias gradient", p->name);
	unit_ok(direct.masks, "%s: direct pooling masks", p->name);
	unit_ok(direct.again, "%s: direct has the same bits with and without a mask", p->name);
	printf("# %s: forward %.1e dsrc %.1e dweight %.1e, direct %.1e %.1e\n", p->name, wino.forward, wino.dsrc,
		   wino.dweight, direct.forward, direct.dweight);
}

/* ----------------------------------------------------------------- dense */

/* Adds the sums of the blocks of inputs in order, then the bias and relu: what op_dense.c does in training. */
static void
add_blocks(float *dst, const float *parts, const float *bias, int n, int out, int blocks, int relu)
{
	size_t size = (size_t) n * (size_t) out;
	size_t i;
	int b;

	for (i = 0; i < size; i++)
	{
		float sum = parts[i];

		for (b = 1; b < blocks; b++)
			sum += parts[i + (size_t) b * size];
		if (bias != NULL)
			sum += bias[i % (size_t) out];
		dst[i] = relu && !(sum > 0.0f) ? 0.0f : sum;
	}
}

static void
test_dense_forward(const Path *p)
{
	static const int sizes[][2] = {{1, 1},      {7, 3},    {100, 16},  {512, 24},   {513, 8},   {1030, 65},
								   {2048, 128}, {600, 10}, {5000, 64}, {2100, 100}, {1100, 72}, {700, 40}};
	double worst = 0.0;
	int same = 1;
	size_t i;
	int n, r;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		/* a few rows, up to more than go together */
		for (n = 1; n <= NN_DENSE_ROWS + 4; n += n < 20 ? 1 + n / 8 : 15)
		{
			int in = sizes[i][0];
			int out = sizes[i][1];
			int blocks = (in + NN_DENSE_BLOCK - 1) / NN_DENSE_BLOCK;
			size_t size = (size_t) n * (size_t) out;
			float *src = floats((size_t) n * (size_t) in, 1);
			float *weight = floats((size_t) in * (size_t) out, 1);
			float *bias = floats((size_t) out, 1);
			float *want = floats(size, 0);
			float *got = floats(size, 0);
			float *parts = floats(size * (size_t) blocks, 0);
			float *scratch = floats(nn_dense_scratch_bytes(n, out) / sizeof(float), 0);
			float *alone = floats((size_t) out, 0);
			double diff;

			if (n % 3 != 0)
				put_zeros(src, n, in);
			if (n % 4 == 2)
				put_zeros(src, n, in);
			nn_kernels_ref.dense_forward(want, src, weight, bias, n, in, out, n & 1, scratch);
			p->k->dense_forward(got, src, weight, bias, n, in, out, n & 1, scratch);
			diff = difference(got, want, size) / sqrt(in);
			worst = diff > worst ? diff : worst;
			for (r = 0; r < n; r++)
			{
				p->k->dense_forward(alone, src + (size_t) r * (size_t) in, weight, bias, 1, in, out, n & 1,
									scratch);
				if (memcmp(alone, got + (size_t) r * (size_t) out, sizeof(float) * (size_t) out) != 0)
					same = 0;
			}
			for (r = 0; r < blocks; r++)
				p->k->dense_partial(parts + (size_t) r * size, src, weight, n, in, out, r);
			add_blocks(want, parts, bias, n, out, blocks, n & 1);
			if (memcmp(want, got, sizeof(float) * size) != 0 || !guarded(parts, size * (size_t) blocks))
				same = 0;
			free(src);
			free(weight);
			free(bias);
			free(want);
			free(got);
			free(parts);
			free(scratch);
			free(alone);
		}
	unit_near(worst, 0.0, 2e-6, "%s: dense forward", p->name);
	unit_ok(same, "%s: dense forward has the same bits for any batch and in blocks", p->name);
}

/* What is not a number is not a zero, in one row and among many. */
static void
test_dense_not_finite(const Path *p)
{
	enum
	{
		IN = 2600,
		OUT = 72,
		N = 7
	};
	float *src = floats((size_t) N * IN, 0);
	float *weight = floats((size_t) IN * OUT, 1);
	float *got = floats(N * OUT, 0);
	float *scratch = floats(nn_dense_scratch_bytes(N, OUT) / sizeof(float), 0);
	int seen = 1;
	int i, n, o;

	for (n = 1; n <= N; n += N - 1)
		for (i = 0; i < IN; i += 13)
		{
			float *x = src + (size_t) (n - 1) * IN + i;

			*x = i & 1 ? NAN : INFINITY;
			p->k->dense_forward(got, src, weight, NULL, n, IN, OUT, 0, scratch);
			for (o = 0; o < n * OUT; o++)
				seen &= isfinite(got[o]) == (o < (n - 1) * OUT);
			*x = 0.0f;
		}
	unit_ok(seen, "%s: dense forward sees an infinity and a NaN among zeros", p->name);
	free(src);
	free(weight);
	free(got);
	free(scratch);
}

static NnUpdate
update_case(int i)
{
	NnUpdate u = {NN_SGD, 0.01f, 0.0f, 1.0f, 0.0f, 0.0f, 0.9f, 1e-7f, 0.9f, 0.999f, 0, 0, 0};

	switch (i)
	{
		case 1:
			u.momentum = 0.9f;
			break;
		case 2:
			u.momentum = 0.9f;
			u.nesterov = 1;
			u.clip = 0.3f;
			break;
		case 3:
			u.kind = NN_RMSPROP;
			break;
		case 4:
			u.kind = NN_RMSPROP;
			u.centered = 1;
			u.momentum = 0.5f;
			break;
		case 5:
			u.kind = NN_ADAM;
			break;
		case 6:
			u.kind = NN_ADAM;
			u.amsgrad = 1;
			u.grad_scale = 0.25f;
			break;
		case 7:
			u.kind = NN_ADAMW;
			u.decay = 0.004f;
			break;
		case 8:
			u.kind = NN_RMSPROP;
			u.centered = 1;
			break;
	}
	return u;
}

/* Slots that an optimiser may hold: second moments not below the squares of first ones. */
static void
fill_slots(NnSlots *a, NnSlots *b, size_t n)
{
	size_t i;
	int k;

	for (k = 0; k < 3; k++)
	{
		a->s[k] = floats(n, 1);
		b->s[k] = floats(n, 0);
	}
	for (i = 0; i < n; i++)
	{
		a->s[0][i] = 1.2f + a->s[0][i];
		a->s[1][i] = fabsf(a->s[1][i]) + 0.01f;
		a->s[2][i] = 0.3f * a->s[2][i];
		for (k = 0; k < 3; k++)
			b->s[k][i] = a->s[k][i];
	}
}

static void
test_updates(const Path *p)
{
	double worst = 0.0;
	int same = 1;
	int i, k;

	for (i = 0; i < 9; i++)
	{
		NnUpdate u = update_case(i);
		size_t n = 103;
		NnSlots a, b;
		float *g = floats(n, 1);
		float *w = floats(n, 1);
		float *x = floats(n, 0);
		float *y = floats(n, 0);
		NnSlots c, tail;

		fill_slots(&a, &b, n);
		fill_slots(&c, &tail, n);
		for (k = 0; k < 3; k++)
			memcpy(c.s[k], a.s[k], sizeof(float) * n);
		memcpy(x, w, sizeof(float) * n);
		memcpy(y, w, sizeof(float) * n);
		nn_kernels_ref.update(w, &a, g, n, &u);
		p->k->update(x, &b, g, n, &u);
		keep_worst(&worst, difference(x, w, n));
		for (k = 0; k < 3; k++)
			keep_worst(&worst, difference(b.s[k], a.s[k], n));
		/* in two parts: the same bits */
		p->k->update(y, &c, g, 37, &u);
		for (k = 0; k < 3; k++)
			c.s[k] += 37;
		p->k->update(y + 37, &c, g + 37, n - 37, &u);
		if (memcmp(x, y, sizeof(float) * n) != 0)
			same = 0;
		for (k = 0; k < 3; k++)
		{
			free(a.s[k]);
			free(b.s[k]);
			free(c.s[k] - 37);
			free(tail.s[k]);
		}
		free(g);
		free(w);
		free(x);
		free(y);
	}
	unit_near(worst, 0.0, 2e-6, "%s: optimiser steps", p->name);
	unit_ok(same, "%s: an optimiser step has the same bits in parts", p->name);
}

static void
test_dense_backward(const Path *p)
{
	static const int sizes[][3] = {{1, 5, 3},    {4, 64, 16},  {32, 100, 64}, {7, 130, 128},
								   {64, 48, 24}, {33, 37, 65}, {32, 16, 1}};
	double worst = 0.0;
	int same = 1;
	size_t i;
	int k;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		int n = sizes[i][0];
		int in = sizes[i][1];
		int out = sizes[i][2];
		size_t size = (size_t) in * (size_t) out;
		NnUpdate u = update_case(i % 2 ? 6 : 3);
		float *src = floats((size_t) n * (size_t) in, 1);
		float *ddst = floats((size_t) n * (size_t) out, 1);
		float *w = floats(size, 1);
		float *x = floats(size, 0);
		float *dsrc_want = floats((size_t) n * (size_t) in, 0);
		float *dsrc = floats((size_t) n * (size_t) in, 0);
		float *dw_want = floats(size, 0);
		float *dw = floats(size, 0);
		float *scratch = floats(nn_dense_backward_scratch_bytes(out) / sizeof(float), 0);
		int half = in / 32 * 16;
		NnSlots a, b;

		memcpy(x, w, sizeof(float) * size);
		nn_kernels_ref.dense_backward(dsrc_want, dw_want, w, NULL, src, ddst, n, in, out, 0, in, NULL,
									  scratch);
		p->k->dense_backward(dsrc, dw, x, NULL, src, ddst, n, in, out, 0, half, NULL, scratch);
		p->k->dense_backward(dsrc, dw, x, NULL, src, ddst, n, in, out, half, in, NULL, scratch);
		keep_worst(&worst, difference(dsrc, dsrc_want, (size_t) n * (size_t) in) / sqrt(out));
		keep_worst(&worst, difference(dw, dw_want, size) / sqrt(n));
		/* the fused update equals gradient and update apart */
		fill_slots(&a, &b, size);
		p->k->dense_backward(dsrc_want, NULL, x, &b, src, ddst, n, in, out, 0, in, &u, scratch);
		p->k->update(w, &a, dw, size, &u);
		if (memcmp(w, x, sizeof(float) * size) != 0 ||
			memcmp(dsrc, dsrc_want, sizeof(float) * (size_t) n * (size_t) in) != 0)
			same = 0;
		if (!guarded(scratch, nn_dense_backward_scratch_bytes(out) / sizeof(float)) || !guarded(x, size))
			same = 0;
		for (k = 0; k < 3; k++)
		{
			free(a.s[k]);
			free(b.s[k]);
		}
		free(src);
		free(ddst);
		free(w);
		free(x);
		free(dsrc_want);
		free(dsrc);
		free(dw_want);
		free(dw);
		free(scratch);
	}
	unit_near(worst, 0.0, 2e-6, "%s: dense backward", p->name);
	unit_ok(same, "%s: the fused update has the bits of gradient and update apart", p->name);
}

/* ------------------------------------------------------------ the others */

static void
test_pool(const Path *p)
{
	static const int sizes[][3] = {{2, 2, 1}, {3, 5, 7}, {8, 6, 8}, {7, 7, 16}, {4, 4, 24}, {9, 2, 35}};
	int exact = 1;
	size_t i, j;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		int h = sizes[i][0];
		int w = sizes[i][1];
		int c = sizes[i][2];
		size_t n = (size_t) h * (size_t) w * (size_t) c;
		size_t pixels = (size_t) (h / 2) * (size_t) (w / 2);
		size_t words = pixels * nn_mask_words(c);
		float *src = floats(n, 1);
		float *want = floats(pixels * (size_t) c, 0);
		float *got = floats(pixels * (size_t) c, 0);
		float *back_want = floats(n, 1);
		float *back = floats(n, 1);
		uint16_t *mask_want = calloc(words, sizeof(uint16_t));
		uint16_t *mask = calloc(words, sizeof(uint16_t));

		/* ties: the first wins */
		for (j = 0; j < n; j++)
			src[j] = roundf(src[j] * 3.0f);
		nn_kernels_ref.maxpool2(want, mask_want, src, h, w, c);
		p->k->maxpool2(got, mask, src, h, w, c);
		if (difference(got, want, pixels * (size_t) c) != 0.0)
			exact = 0;
		for (j = 0; j < words; j++)
			if ((mask[j] & live_bits(j, c)) != mask_want[j])
				exact = 0;
		nn_kernels_ref.maxpool2_backward(back_want, want, mask_want, h, w, c);
		p->k->maxpool2_backward(back, want, mask, h, w, c);
		if (difference(back, back_want, n) != 0.0)
			exact = 0;
		free(src);
		free(want);
		free(got);
		free(back_want);
		free(back);
		free(mask_want);
		free(mask);
	}
	unit_ok(exact, "%s: pooling, its masks and its gradient are exact", p->name);
}

static void
test_elementwise(const Path *p)
{
	size_t n = 1003;
	float *a = floats(n, 1);
	float *want = floats(n, 0);
	float *got = floats(n, 0);
	double worst = 0.0;

	nn_kernels_ref.add(want, a, n);
	p->k->add(got, a, n);
	unit_ok(difference(got, want, n) == 0.0, "%s: add is exact", p->name);
	keep_worst(&worst, fabs(p->k->sum_squares(a, n) / nn_kernels_ref.sum_squares(a, n) - 1.0));
	unit_near(worst, 0.0, 1e-12, "%s: sum of squares", p->name);
	free(a);
	free(want);
	free(got);
}

int
main(void)
{
	int i;

	find_paths();
	unit_ok(nn_path_best() >= NN_PATH_PORTABLE, "this machine runs %s", nn_path_name(nn_path_best()));
	for (i = 0; i < n_paths; i++)
	{
		seed = 1;
		test_sgemm(&paths[i]);
		test_conv3(&paths[i]);
		test_dense_forward(&paths[i]);
		test_dense_not_finite(&paths[i]);
		test_updates(&paths[i]);
		test_dense_backward(&paths[i]);
		test_pool(&paths[i]);
		test_elementwise(&paths[i]);
	}
	return unit_done();
}
