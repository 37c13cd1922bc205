/*
 * test_dense_int16.c
 *		Dense layers with 16-bit weights: the format's error, every path against
 *		the reference, and the same bits for any number of rows.
 *
 * Tolerances: a path against the reference, which multiplies the same integers
 * in double, 2e-6 * sqrt(inputs) of the largest value, as for float32.  The
 * format: each weight within half a step of the largest one of its output and
 * block.
 */
#include "kernels_env.h"
#include "nn/kernels/dense_int16.h"

typedef enum Kind
{
	UNIFORM,
	OUTLIERS, /* one weight in a thousand is 1e6 times as large */
	ROWS,     /* outputs of sizes from 1e-20 to 1e20 */
	TINY,     /* around the smallest normal number, and denormals */
	VAST,     /* up to 1e36 */
	ZEROS,
	SPARSE, /* whole blocks of an output are 0 */
	N_KINDS
} Kind;

static const char *const kind_names[] = {"uniform", "outliers", "rows of very different size", "tiny", "huge",
										 "zeros",   "sparse"};

static void
fill(float *weight, int in, int out, Kind kind)
{
	int i, o;

	for (i = 0; i < in; i++)
		for (o = 0; o < out; o++)
		{
			float w = uniform();

			if (kind == OUTLIERS && fabsf(uniform()) < 0.001f)
				w *= 1e6f;
			else if (kind == ROWS)
				w *= powf(10.0f, (float) (o % 41 - 20));
			else if (kind == TINY)
				w *= o % 2 ? 1e-34f : 1e-40f;
			else if (kind == VAST)
				w *= 1e36f;
			else if (kind == ZEROS || (kind == SPARSE && (i / NN_DENSE_BLOCK + o) % 3 == 0))
				w = o % 2 ? 0.0f : -0.0f;
			weight[(size_t) i * (size_t) out + (size_t) o] = w;
		}
}

/* Every packed weight is as near to its float as the format says. */
static int
is_near(const void *packed, const float *weight, int in, int out)
{
	int wide = nn_int16_wide(out);
	int b, i, o;

	for (b = 0; b < nn_int16_blocks(in); b++)
	{
		DqBlock block = nn_int16_block(packed, in, out, b);

		for (o = 0; o < wide; o++)
		{
			int panel = o / NN_INT16_PANEL * NN_INT16_PANEL;
			int width = nn_int16_panel_width(wide, panel);
			const int16_t *q = block.weights + (size_t) panel * (size_t) block.n + (o - panel);
			double most = 0.0;
			double error = 0.0;

			for (i = 0; i < block.n; i++)
			{
				double w =
					o < out ? weight[(size_t) (b * NN_DENSE_BLOCK + i) * (size_t) out + (size_t) o] : 0.0;
				double got = (double) q[i * width] * (double) block.scales[o];

				most = fmax(most, fabs(w));
				error = fmax(error, fabs(got - w));
			}
			/* the scale may not be a denormal: below that weights are 0 */
			if (error > most / 65534.0 * 1.01 && !(block.scales[o] == 0.0f && most < 32767.0 * 1.2e-38))
				return 0;
			if (o >= out && (block.scales[o] != 0.0f || error != 0.0))
				return 0;
		}
	}
	return 1;
}

static void
test_format(void)
{
	static const int sizes[][2] = {{1, 1}, {3, 9}, {511, 16}, {512, 17}, {513, 64}, {1100, 65}, {2100, 200}};
	int kind;
	size_t s;

	for (kind = 0; kind < N_KINDS; kind++)
	{
		int near = 1;
		int fits = 1;

		for (s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		{
			int in = sizes[s][0];
			int out = sizes[s][1];
			size_t n = nn_dense_int16_bytes(in, out) / sizeof(float);
			float *weight = floats((size_t) in * (size_t) out, 0);
			float *bias = floats((size_t) out, 1);
			float *packed = floats(n, 0);

			fill(weight, in, out, (Kind) kind);
			nn_dense_int16_pack(packed, weight, s & 1 ? bias : NULL, in, out);
			near &= is_near(packed, weight, in, out);
			fits &= guarded(packed, n);
			fits &= nn_int16_bias(packed)[out - 1] == (s & 1 ? bias[out - 1] : 0.0f);
			free(weight);
			free(bias);
			free(packed);
		}
		unit_ok(near, "weights within half a step: %s", kind_names[kind]);
		unit_ok(fits, "the packed form has the size it says: %s", kind_names[kind]);
	}
	unit_ok(nn_dense_int16_bytes(524288, 64) < (size_t) 524288 * 64 * 2 * 1.01,
			"half the bytes of float32, and a scale in 512 inputs");
	unit_ok(nn_dense_int16_bytes(2147483647, 2147483000) == SIZE_MAX, "sizes that overflow are seen");
}

/* Of one shape: difference from the reference over sqrt(in); *same: a row's bits do not depend on n. */
static double
try_shape(const NnKernels *k, int in, int out, int n, Kind kind, int *same)
{
	size_t size = (size_t) n * (size_t) out;
	size_t packed_floats = nn_dense_int16_bytes(in, out) / sizeof(float);
	float *src = floats((size_t) n * (size_t) in, 1);
	float *weight = floats((size_t) in * (size_t) out, 0);
	float *bias = floats((size_t) out, 1);
	float *packed = floats(packed_floats, 0);
	float *want = floats(size, 0);
	float *got = floats(size, 0);
	float *alone = floats((size_t) out, 0);
	size_t scratch_floats = nn_dense_int16_scratch_bytes(n, out) / sizeof(float);
	float *scratch = floats(scratch_floats, 0);
	double diff = 0.0;
	int o, r;

	fill(weight, in, out, kind);
	if (n % 3 != 0)
		put_zeros(src, n, in);
	if (n % 4 == 2)
		put_zeros(src, n, in);
	nn_dense_int16_pack(packed, weight, n % 3 ? bias : NULL, in, out);
	nn_kernels_ref.dense_int16_forward(want, src, packed, n, in, out, n & 1, scratch);
	k->dense_int16_forward(got, src, packed, n, in, out, n & 1, scratch);
	/* output by output: they may be of very different size */
	for (o = 0; o < out; o++)
	{
		double most = 0.0;
		double sum = 1e-30;
		int i;

		for (i = 0; i < in; i++)
			sum = fmax(sum, fabs((double) weight[(size_t) i * (size_t) out + (size_t) o]));
		for (r = 0; r < n; r++)
		{
			size_t at = (size_t) r * (size_t) out + (size_t) o;

			most = fmax(most, fabs((double) got[at] - want[at]) / fmax(sum, fabs(want[at])));
			if (!isfinite(got[at]) || !isfinite(want[at]))
				most = 1e30;
		}
		diff = fmax(diff, most);
	}
	for (r = 0; r < n; r++)
	{
		k->dense_int16_forward(alone, src + (size_t) r * (size_t) in, packed, 1, in, out, n & 1, scratch);
		if (memcmp(alone, got + (size_t) r * (size_t) out, sizeof(float) * (size_t) out) != 0)
			*same = 0;
	}
	if (!guarded(got, size) || !guarded(scratch, scratch_floats) || !guarded(alone, (size_t) out))
		*same = 0;
	free(src);
	free(weight);
	free(bias);
	free(packed);
	free(want);
	free(got);
	free(alone);
	free(scratch);
	return diff / sqrt(in);
}

static void
test_forward(const Path *p)
{
	static const int sizes[][2] = {
		{1, 1}, {7, 3}, {100, 16}, {513, 24}, {1030, 65}, {2048, 48}, {2600, 128}, {5000, 40},
	};
	double worst = 0.0;
	int same = 1;
	size_t i;
	int n, kind;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (n = 1; n < 60; n += 1 + n / 3)
			worst = fmax(worst, try_shape(p->k, sizes[i][0], sizes[i][1], n, UNIFORM, &same));
	unit_near(worst, 0.0, 2e-6, "%s: dense with 16-bit weights", p->name);
	unit_ok(same, "%s: the same bits for any number of rows", p->name);
	for (kind = OUTLIERS; kind < N_KINDS; kind++)
	{
		worst = 0.0;
		for (n = 1; n < 8; n += 5)
			worst = fmax(worst, try_shape(p->k, 2600, 70, n, (Kind) kind, &same));
		unit_near(worst, 0.0, 2e-6, "%s: weights %s", p->name, kind_names[kind]);
	}
	unit_ok(same, "%s: the same bits for any number of rows, whatever the weights", p->name);
}

int
main(void)
{
	int i;

	find_paths();
	test_format();
	for (i = 0; i < n_paths; i++)
	{
		seed = 1;
		test_forward(&paths[i]);
	}
	return unit_done();
}
