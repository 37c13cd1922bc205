/*
 * test_nn_conv3_int16.c
 *		The 3 x 3 convolution with 16-bit products, on every path this machine
 *		runs and in the 16-lane form on pairs of AVX2 registers, against the
 *		float32 reference.
 *
 * Tolerances, relative to the output's size (root mean square of the reference
 * before bias, activation and pooling):
 *		root mean square of the error		2e-3 where there are SOME outputs, 1e-3 over all shapes
 *		largest error						2e-2
 * Where channels differ by many orders of magnitude, 3e-3 and 3e-2.
 */
#include "kernels_env.h"

#define GUARD 64
#define SOME 64 /* the mean square of fewer says little */

/* Bytes, aligned, filled, and followed by a guard. */
static void *
guarded_bytes(size_t n, int fill)
{
	char *p = aligned_alloc(NN_ALIGN, (n + GUARD + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN);

	memset(p, fill, n);
	memset(p + n, 0x5a, GUARD);
	return p;
}

static int
untouched(const void *p, size_t n)
{
	const unsigned char *end = (const unsigned char *) p + n;
	int i;

	for (i = 0; i < GUARD; i++)
		if (end[i] != 0x5a)
			return 0;
	return 1;
}

static float *
randoms(size_t n)
{
	float *p = guarded_bytes(n * sizeof(float), 0);
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = uniform();
	return p;
}

/* A layer with its inputs; the tests change them before they run it. */
typedef struct Layer
{
	NnConv3 c;
	size_t n_src, n_dst, n_weight;
	float *src, *weight, *bias, *want, *got;
	double size;      /* of the output, root mean square */
	double rms, most; /* of the error, relative to that */
} Layer;

static Layer
new_layer(int h, int w, int ic, int oc, int relu, int pool)
{
	Layer l = {{h, w, ic, oc, relu, pool}, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, 0};
	size_t i;

	l.n_src = (size_t) h * (size_t) w * (size_t) ic;
	l.n_dst = (size_t) (pool ? h / 2 : h) * (size_t) (pool ? w / 2 : w) * (size_t) oc;
	l.n_weight = 9 * (size_t) ic * (size_t) oc;
	l.src = randoms(l.n_src);
	l.weight = randoms(l.n_weight);
	l.bias = randoms((size_t) oc);
	l.want = guarded_bytes(l.n_dst * sizeof(float), 0);
	l.got = guarded_bytes(l.n_dst * sizeof(float), 0);
	/* what a layer after relu sees */
	for (i = 0; i < l.n_src; i++)
		if (l.src[i] < 0.0f)
			l.src[i] = 0.0f;
	return l;
}

static void
free_layer(Layer *l)
{
	free(l->src);
	free(l->weight);
	free(l->bias);
	free(l->want);
	free(l->got);
}

/* Runs the kernel, scratch filled with anything; 1 if it stays in its bounds. */
static int
run(Layer *l, const NnKernels *k, int fill)
{
	size_t n_packed = k->conv3_int16_packed_bytes(&l->c);
	size_t n_scratch = k->conv3_int16_scratch_bytes(&l->c);
	void *packed = guarded_bytes(n_packed, fill);
	void *scratch = guarded_bytes(n_scratch, fill);
	int good;

	memset(l->got, fill, l->n_dst * sizeof(float));
	k->conv3_int16_pack(packed, l->weight, l->bias, &l->c);
	k->conv3_int16_forward(l->got, l->src, packed, &l->c, scratch);
	good = untouched(packed, n_packed) && untouched(scratch, n_scratch) &&
		   untouched(l->got, l->n_dst * sizeof(float));
	free(packed);
	free(scratch);
	return good;
}

/* The same by the reference, and the differences. */
static void
compare(Layer *l)
{
	NnConv3 plain = l->c;
	size_t n = (size_t) plain.h * (size_t) plain.w * (size_t) plain.oc;
	float *full = guarded_bytes(n * sizeof(float), 0);
	double sum = 0.0;
	size_t i;

	plain.relu = plain.pool = 0;
	nn_kernels_ref.conv3_forward(full, NULL, l->src, l->weight, NULL, &plain, NULL);
	for (i = 0; i < n; i++)
		sum += (double) full[i] * full[i];
	l->size = sqrt(sum / (double) n) + 1e-300;
	free(full);
	nn_kernels_ref.conv3_forward(l->want, NULL, l->src, l->weight, l->bias, &l->c, NULL);
	sum = 0.0;
	l->most = 0.0;
	for (i = 0; i < l->n_dst; i++)
	{
		double d = fabs((double) l->got[i] - l->want[i]);

		if (!(d <= 1e300))
			d = 1e30;
		sum += d * d;
		if (d > l->most)
			l->most = d;
	}
	l->rms = sqrt(sum / (double) l->n_dst) / l->size;
	l->most /= l->size;
}

static void
keep_worst(double *worst, double value)
{
	if (!(value <= *worst))
		*worst = value;
}

/* ------------------------------------------------------------------- shapes */

static void
test_shapes(const Path *p)
{
	static const int sides[][2] = {
		{1, 1}, {1, 5}, {2, 2}, {3, 3},  {2, 7},   {4, 4},   {5, 5},
		{6, 3}, {7, 7}, {8, 8}, {9, 14}, {16, 12}, {23, 21},
	};
	static const int channels[][2] = {
		{5, 3},   {8, 8},  {8, 24},  {13, 17},  {16, 32},  {24, 40},
		{32, 64}, {33, 1}, {40, 72}, {64, 130}, {130, 20},
	};
	double rms = 0.0;
	double most = 0.0;
	double sum = 0.0;
	double n = 0.0;
	int bounds = 1;
	int same = 1;
	size_t i, j;
	int form;

	for (i = 0; i < sizeof(sides) / sizeof(sides[0]); i++)
		for (form = 0; form < 4; form++)
			for (j = 0; j < sizeof(channels) / sizeof(channels[0]); j++)
			{
				Layer l;
				float *first;

				if ((form >> 1 && (sides[i][0] < 2 || sides[i][1] < 2)) ||
					(sides[i][0] * sides[i][1] > 100 && (int) j % 3 != form % 3) || left_out())
					continue;
				l = new_layer(sides[i][0], sides[i][1], channels[j][0], channels[j][1], form & 1, form >> 1);
				bounds &= run(&l, p->k, 0x7f);
				first = guarded_bytes(l.n_dst * sizeof(float), 0);
				memcpy(first, l.got, l.n_dst * sizeof(float));
				compare(&l);
				if (l.n_dst >= SOME)
					keep_worst(&rms, l.rms);
				keep_worst(&most, l.most);
				sum += l.rms * l.rms * (double) l.n_dst;
				n += (double) l.n_dst;
				bounds &= run(&l, p->k, 0xff);
				same &= memcmp(first, l.got, l.n_dst * sizeof(float)) == 0;
				free(first);
				free_layer(&l);
			}
	unit_near(rms, 0.0, 2e-3, "%s: root mean square of the error of any shape", p->name);
	unit_near(sqrt(sum / n), 0.0, 1e-3, "%s: root mean square of the error over all shapes", p->name);
	unit_near(most, 0.0, 2e-2, "%s: largest error over all shapes", p->name);
	unit_ok(bounds, "%s: packed form, scratch and output stay in their bounds", p->name);
	unit_ok(same, "%s: what was in memory before makes no difference", p->name);
	printf("# %s: rms %.1e (all %.1e), largest %.1e\n", p->name, rms, sqrt(sum / n), most);
}

/* -------------------------------------------------------------- magnitudes */

/*
 * Every input and weight the same, so that the sums are as long as they can be,
 * and the largest alone among small ones: neither may overflow.
 */
static void
test_overflow(const Path *p)
{
	double worst = 0.0;
	int form;
	size_t i;

	for (form = 0; form < 4; form++)
	{
		Layer l = new_layer(9, 10, form & 1 ? 600 : 37, 19, 0, 0);

		for (i = 0; i < l.n_src; i++)
			l.src[i] = form < 2 || i % (size_t) l.c.ic == 3 ? 1.0f : 1e-6f;
		for (i = 0; i < l.n_weight; i++)
			l.weight[i] = form < 2 || i / (size_t) l.c.oc % (size_t) l.c.ic == 3 ? -2.5f : 1e-7f;
		run(&l, p->k, 0);
		compare(&l);
		keep_worst(&worst, l.most);
		/* the signs that a plane's weights have: its sum is as long as norms allow */
		for (i = 0; i < l.n_src; i++)
			l.src[i] = (i / (size_t) l.c.ic) & 1 ? 1.0f : -1.0f;
		run(&l, p->k, 0);
		compare(&l);
		keep_worst(&worst, l.most);
		free_layer(&l);
	}
	unit_near(worst, 0.0, 2e-2, "%s: the longest sums do not overflow", p->name);
}

/* Channels of very different size, weights that make up for it, bright and dark regions. */
static void
test_range(const Path *p)
{
	double rms = 0.0;
	double most = 0.0;
	double scaled = 0.0;
	int form;
	size_t i;

	for (form = 0; form < 6; form++)
	{
		Layer l = new_layer(20, 17, 48, 24, form & 1, 0);
		size_t ic = (size_t) l.c.ic;
		size_t oc = (size_t) l.c.oc;

		if (form < 2)
			for (i = 0; i < l.n_src; i++)
				l.src[i] *= powf(10.0f, (float) (i % ic) / 4.0f - 6.0f);
		else if (form < 4)
			for (i = 0; i < l.n_weight; i++)
				l.weight[i] *= powf(10.0f, (float) (i % oc) / 4.0f - 3.0f);
		else
			for (i = 0; i < l.n_src; i++)
				l.src[i] *= i / ic % 17 < 8 ? 1e-4f : 1e4f;
		memset(l.bias, 0, oc * sizeof(float));
		run(&l, p->k, 0);
		compare(&l);
		keep_worst(&rms, l.rms);
		keep_worst(&most, l.most);
		free_layer(&l);
	}
	unit_near(rms, 0.0, 3e-3, "%s: channels and regions of very different size", p->name);
	unit_near(most, 0.0, 3e-2, "%s: the same, largest error", p->name);
	/* very small and very large values, where the squares leave the range of a float */
	for (form = -28; form <= 28; form += 7)
	{
		Layer l = new_layer(13, 9, 21, 16, 0, 0);

		for (i = 0; i < l.n_src; i++)
			l.src[i] *= powf(10.0f, (float) form);
		memset(l.bias, 0, (size_t) l.c.oc * sizeof(float));
		run(&l, p->k, 0);
		compare(&l);
		keep_worst(&scaled, l.rms);
		free_layer(&l);
	}
	unit_near(scaled, 0.0, 1.5e-3, "%s: inputs from 1e-28 to 1e28", p->name);
}

/* ------------------------------------------------------------ special values */

static void
test_special(const Path *p)
{
	Layer l = new_layer(24, 28, 20, 18, 0, 0);
	size_t ic = (size_t) l.c.ic;
	size_t oc = (size_t) l.c.oc;
	int zero = 1;
	int nan_here = 1;
	int finite_there = 1;
	int round;
	size_t i;

	memset(l.src, 0, l.n_src * sizeof(float));
	run(&l, p->k, 0);
	for (i = 0; i < l.n_dst; i++)
		if (l.got[i] != l.bias[i % oc])
			zero = 0;
	unit_ok(zero, "%s: of nothing but zeros the bias remains", p->name);
	for (i = 0; i < l.n_src; i++)
		l.src[i] = uniform();
	memset(l.weight, 0, l.n_weight * sizeof(float));
	run(&l, p->k, 0);
	for (i = 0; i < l.n_dst; i++)
		if (l.got[i] != l.bias[i % oc])
			zero = 0;
	unit_ok(zero, "%s: of weights that are zero, too", p->name);
	for (i = 0; i < l.n_weight; i++)
		l.weight[i] = uniform();
	for (round = 0; round < 3; round++)
	{
		size_t at = (5 * 28 + 6) * ic + 11; /* the pixel (5, 6) */
		float kept = l.src[at];
		int y, x;

		l.src[at] = round == 0 ? NAN : round == 1 ? INFINITY : -INFINITY;
		run(&l, p->k, 0);
		for (y = 4; y <= 6; y++)
			for (x = 5; x <= 7; x++)
				for (i = 0; i < oc; i++)
					nan_here &= isnan(l.got[(size_t) (y * 28 + x) * oc + i]);
		for (i = (size_t) (16 * 28) * oc; i < l.n_dst; i++)
			finite_there &= isfinite(l.got[i]);
		l.src[at] = kept;
	}
	unit_ok(nan_here, "%s: a NaN or an infinity in the input gives NaN around it", p->name);
	unit_ok(finite_there, "%s: and not far from it", p->name);
	l.weight[7 * ic * oc + 3 * oc + 5] = NAN;
	l.weight[2 * ic * oc + 4 * oc + 9] = INFINITY;
	run(&l, p->k, 0);
	for (i = 0, zero = 1; i < l.n_dst; i++)
		zero &= (i % oc == 5 || i % oc == 9) ? isnan(l.got[i]) : isfinite(l.got[i]);
	unit_ok(zero, "%s: a NaN or an infinity in the weights gives NaN in its channel alone", p->name);
	free_layer(&l);
	/* pooling and relu keep it */
	l = new_layer(8, 8, 16, 16, 1, 1);
	l.src[5] = NAN;
	run(&l, p->k, 0);
	unit_ok(isnan(l.got[0]), "%s: a NaN passes relu and pooling", p->name);
	free_layer(&l);
}

/* Tiles of a sample, however it is cut into strips, have scales of their own. */
static void
test_locality(const Path *p)
{
	Layer l = new_layer(24, 48, 24, 16, 0, 0); /* a row has two groups of tiles */
	size_t oc = (size_t) l.c.oc;
	float *before = guarded_bytes(l.n_dst * sizeof(float), 0);
	int same = 1;
	size_t i;

	run(&l, p->k, 0);
	memcpy(before, l.got, l.n_dst * sizeof(float));
	for (i = 0; i < 40; i++)
		l.src[i] *= 1000.0f; /* of the first two pixels */
	run(&l, p->k, 0);
	for (i = 0; i < l.n_dst; i++)
		if (i / oc % 48 >= 24 || i / oc / 48 >= 4)
			same &= l.got[i] == before[i];
	unit_ok(same, "%s: a bright pixel leaves the bits of other groups of tiles alone", p->name);
	free(before);
	free_layer(&l);
}

int
main(void)
{
	NnConv3 few = {8, 8, NN_CONV3_DIRECT_IC, 8, 0, 0};
	int i;

	find_paths();
	unit_ok(nn_kernels_ref.conv3_int16_packed_bytes(&few) == 0, "the reference has no such form");
	for (i = 0; i < n_paths; i++)
	{
		seed = 7;
		unit_ok(paths[i].k->conv3_int16_packed_bytes(&few) == 0, "%s: few channels stay float32",
				paths[i].name);
		test_shapes(&paths[i]);
		test_overflow(&paths[i]);
		test_range(&paths[i]);
		test_special(&paths[i]);
		test_locality(&paths[i]);
	}
	return unit_done();
}
