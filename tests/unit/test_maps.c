/*
 * test_maps.c
 *		Every kernel of maps.h, on every path this machine runs, against the
 *		reference path; and the AVX-512 sources on pairs of AVX2 registers.
 *
 * Tolerances, as the largest difference over the largest value of the
 * reference: 2e-6 times the root of the number of terms; sums in double 1e-12.
 */
#include "arrays_env.h"
#include "nn/kernels/maps_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_WIDE16
#define NN_SIMD_PATH NN_PATH_AVX512
#include "nn/kernels/maps_impl.h"
#endif

typedef struct Path
{
	const char *name;
	const NnMapKernels *k;
} Path;

static Path paths[4];
static int n_paths;

static void
add_path(const char *name, const NnMapKernels *k)
{
	const char *only = getenv("PNEUMO_TEST_PATH");

	if (only == NULL || only[0] == '\0' || strcmp(only, name) == 0)
		paths[n_paths++] = (Path) {name, k};
}

static void
find_paths(void)
{
	add_path("portable", &nn_map_kernels_portable);
#if NN_X86
	if (nn_path_best() >= NN_PATH_AVX2)
	{
		add_path("avx2", &nn_map_kernels_avx2);
		add_path("wide16", &nn_map_kernels_wide16);
	}
	if (nn_path_best() >= NN_PATH_AVX512)
		add_path("avx512", &nn_map_kernels_avx512);
#endif
	unit_ok(n_paths > 0, "there is a path to test");
}

static void
keep_worst(double *worst, double value)
{
	if (!(value <= *worst))
		*worst = value;
}

/* h, w, ic, oc, kernel, stride, dilation, "same" padding */
static const int cases[][10] = {
	{1, 1, 1, 1, 1, 1, 1, 1, 1, 0},     {9, 7, 5, 3, 1, 1, 1, 1, 1, 0},
	{13, 11, 16, 24, 1, 1, 1, 1, 1, 0}, {14, 15, 24, 48, 3, 3, 2, 2, 1, 1},
	{15, 14, 17, 33, 3, 3, 2, 2, 1, 0}, {16, 16, 48, 96, 1, 1, 2, 2, 1, 1},
	{7, 9, 33, 7, 1, 1, 2, 2, 1, 0},    {23, 24, 1, 16, 7, 7, 2, 2, 1, 1},
	{21, 20, 3, 64, 7, 7, 2, 2, 1, 0},  {12, 12, 8, 40, 5, 5, 1, 1, 1, 1},
	{10, 13, 6, 80, 3, 5, 3, 2, 1, 1},  {11, 12, 9, 20, 3, 3, 1, 1, 2, 1},
	{14, 15, 7, 18, 3, 3, 2, 2, 2, 1},  {17, 17, 4, 36, 2, 2, 2, 2, 1, 0},
	{17, 16, 4, 36, 2, 2, 3, 3, 1, 0},  {3, 3, 20, 65, 3, 3, 1, 1, 1, 1},
	{2, 3, 40, 12, 3, 3, 2, 1, 1, 1},   {8, 8, 5, 160, 4, 4, 2, 2, 3, 1},
	{40, 90, 65, 17, 3, 3, 2, 2, 1, 1}, {30, 50, 90, 33, 1, 1, 1, 1, 1, 0},
	{10, 10, 12, 12, 5, 5, 4, 4, 1, 1}, {60, 60, 40, 16, 3, 3, 1, 2, 1, 1},
	{5, 70, 3, 49, 3, 3, 2, 2, 1, 1},
};

static int
out_size(int in, int k, int s, int d, int same, int *before)
{
	int window = (k - 1) * d + 1;
	int out = same ? (in + s - 1) / s : (in - window) / s + 1;
	int pad = (out - 1) * s + window - in;

	*before = same && pad > 0 ? pad / 2 : 0;
	return out;
}

static NnConv
conv_of(const int *p, int depthwise)
{
	NnConv c = {p[0], p[1], depthwise ? p[3] : p[2], 0, 0, p[3], p[4], p[5], p[6], p[7], p[8], p[8], 0, 0};

	c.oh = out_size(c.h, c.kh, c.sh, c.dh, p[9], &c.top);
	c.ow = out_size(c.w, c.kw, c.sw, c.dw, p[9], &c.left);
	return c;
}

typedef struct Worst
{
	double forward, dsrc, dweight, dbias;
} Worst;

static void
conv_case(Worst *worst, const NnMapKernels *k, const NnConv *c, int depthwise, NnClip clip)
{
	const NnMapKernels *r = &nn_map_kernels_ref;
	size_t in = (size_t) c->h * (size_t) c->w * (size_t) c->ic;
	size_t out = (size_t) c->oh * (size_t) c->ow * (size_t) c->oc;
	size_t n = (size_t) (c->kh * c->kw) * (size_t) c->oc * (size_t) (depthwise ? 1 : c->ic);
	size_t packed_floats = depthwise ? 1 : k->conv_packed_floats(c, 0);
	size_t turned_floats = depthwise ? 1 : k->conv_packed_floats(c, 1);
	size_t scratch_floats =
		(depthwise ? k->depthwise_scratch_bytes(c) : k->conv_scratch_bytes(c)) / sizeof(float);
	double terms = sqrt(n / (double) c->oc);
	double back = sqrt(n / (double) c->ic);
	double pixels = sqrt((double) c->oh * c->ow);
	float *src = floats(in, 1);
	float *ddst = floats(out, 1);
	float *weight = floats(n, 1);
	float *bias = floats((size_t) c->oc, 1);
	float *packed = floats(packed_floats, 0);
	float *turned = floats(turned_floats, 0);
	float *scratch = floats(scratch_floats, 0);
	float *want = floats(out, 0), *got = floats(out, 0);
	float *dsrc_want = floats(in, 1), *dsrc_got = floats(in, 1);
	float *dw_want = floats(n, 1), *dw_got = floats(n, 0);
	float *db_want = floats((size_t) c->oc, 0), *db_got = floats((size_t) c->oc, 0);

	memcpy(dw_got, dw_want, n * sizeof(float));
	if (depthwise)
	{
		r->depthwise_forward(want, src, weight, bias, c, clip, NULL);
		k->depthwise_forward(got, src, weight, bias, c, clip, scratch);
		r->depthwise_dsrc(dsrc_want, ddst, weight, c, NULL);
		k->depthwise_dsrc(dsrc_got, ddst, weight, c, scratch);
		r->depthwise_dweight(dw_want, db_want, src, ddst, c, NULL);
		k->depthwise_dweight(dw_got, db_got, src, ddst, c, scratch);
	}
	else
	{
		k->conv_pack(packed, weight, c, 0);
		k->conv_pack(turned, weight, c, 1);
		unit_ok(guarded(packed, packed_floats) && guarded(turned, turned_floats),
				"packed weights have their size");
		r->conv_forward(want, src, weight, bias, c, clip, NULL);
		k->conv_forward(got, src, packed, bias, c, clip, scratch);
		r->conv_dsrc(dsrc_want, ddst, weight, c, NULL);
		k->conv_dsrc(dsrc_got, ddst, turned, c, scratch);
		r->conv_dweight(dw_want, db_want, src, ddst, c, NULL);
		k->conv_dweight(dw_got, db_got, src, ddst, c, scratch);
	}
	keep_worst(&worst->forward, difference(got, want, out) / terms);
	keep_worst(&worst->dsrc, difference(dsrc_got, dsrc_want, in) / back);
	keep_worst(&worst->dweight, difference(dw_got, dw_want, n) / pixels);
	keep_worst(&worst->dbias, difference(db_got, db_want, (size_t) c->oc) / pixels);
	if (!guarded(scratch, scratch_floats))
		keep_worst(&worst->forward, 1e30);
	free(src);
	free(ddst);
	free(weight);
	free(bias);
	free(packed);
	free(turned);
	free(scratch);
	free(want);
	free(got);
	free(dsrc_want);
	free(dsrc_got);
	free(dw_want);
	free(dw_got);
	free(db_want);
	free(db_got);
}

static void
test_convolutions(const Path *p, int depthwise)
{
	const char *what = depthwise ? "depthwise convolution" : "convolution";
	Worst worst = {0, 0, 0, 0};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		NnConv c = conv_of(cases[i], depthwise);
		NnClip clip = {i % 3 != 0, i % 3 == 1 ? INFINITY : 0.5f};

		if (!left_out())
			conv_case(&worst, p->k, &c, depthwise, clip);
	}
	unit_near(worst.forward, 0.0, 2e-6, "%s: %s", p->name, what);
	unit_near(worst.dsrc, 0.0, 2e-6, "%s: %s, data gradient", p->name, what);
	unit_near(worst.dweight, 0.0, 2e-6, "%s: %s, weight gradient", p->name, what);
	unit_near(worst.dbias, 0.0, 2e-6, "%s: %s, bias gradient", p->name, what);
}

/* Sums by channel have the same bits on all paths: products of floats are exact in double. */
static void
test_channels(const Path *p)
{
	static const int channels[] = {1, 5, 8, 16, 24, 40, 67, 160};
	double worst = 0.0;
	int same = 1;
	size_t i;

	for (i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
	{
		const NnMapKernels *r = &nn_map_kernels_ref;
		int c = channels[i];
		size_t rows = 1 + (size_t) (fabsf(uniform()) * 300);
		size_t n = rows * (size_t) c;
		NnClip clip = {i % 3 != 0, i % 3 == 1 ? INFINITY : 0.5f};
		float *x = floats(n, 1), *g = floats(n, 1);
		float *a = floats((size_t) c, 1), *b = floats((size_t) c, 1);
		float *f = floats(3 * (size_t) c, 1);
		float *want = floats(n, 0), *got = floats(n, 0), *twin = floats(n, 0);
		double sums[4][160] = {{0}};

		r->channel_sums(sums[0], sums[1], x, rows, c);
		p->k->channel_sums(sums[2], sums[3], x, rows, c);
		same &= memcmp(sums[0], sums[2], 2 * sizeof(sums[0])) == 0;
		p->k->channel_sums(sums[2], NULL, x, rows, c);
		r->channel_affine(want, x, a, b, rows, c, clip);
		p->k->channel_affine(got, x, a, b, rows, c, clip);
		keep_worst(&worst, difference(got, want, n));
		memset(sums, 0, sizeof(sums));
		r->channel_gradient_sums(sums[0], sums[1], g, x, a, b, rows, c, clip);
		p->k->channel_gradient_sums(sums[2], sums[3], g, x, a, b, rows, c, clip);
		same &= memcmp(sums[0], sums[2], 2 * sizeof(sums[0])) == 0;
		r->channel_gradient(want, g, x, a, b, f, f + c, f + 2 * c, rows, c, clip);
		p->k->channel_gradient(got, g, x, a, b, f, f + c, f + 2 * c, rows, c, clip);
		keep_worst(&worst, difference(got, want, n));
		r->sum(want, x, g, n, clip);
		p->k->sum(got, x, g, n, clip);
		keep_worst(&worst, difference(got, want, n));
		r->gate(want, NULL, g, x, n, clip);
		p->k->gate(got, twin, g, x, n, clip);
		same &= memcmp(got, want, n * sizeof(float)) == 0 && memcmp(twin, want, n * sizeof(float)) == 0;
		free(x);
		free(g);
		free(a);
		free(b);
		free(f);
		free(want);
		free(got);
		free(twin);
	}
	unit_near(worst, 0.0, 2e-6, "%s: passes over channels", p->name);
	unit_ok(same, "%s: sums by channel and gates are exact", p->name);
}

static void
test_max_gradient(const Path *p)
{
	int same = 1;
	int c;

	for (c = 1; c < 40; c++)
	{
		size_t line = 5 * (size_t) c;
		size_t n = 4 * line;
		float *src = floats(n, 1), *ddst = floats((size_t) c, 1);
		float *want = floats(n, 0), *got = floats(n, 0);
		size_t i;

		for (i = 0; i < n; i++)
			src[i] = floorf(2.0f * src[i]); /* many equal ones */
		nn_map_kernels_ref.max_gradient(want, ddst, src, 3, 1 + c % 3, line, c);
		p->k->max_gradient(got, ddst, src, 3, 1 + c % 3, line, c);
		same &= guarded(got, n) && memcmp(want, got, n * sizeof(float)) == 0;
		free(src);
		free(ddst);
		free(want);
		free(got);
	}
	unit_ok(same, "%s: the first maximum gets the gradient", p->name);
}

/* A NaN passes an activation, so that the loss shows it. */
static void
test_not_finite(const Path *p)
{
	float x[3] = {NAN, 1.0f, -1.0f};
	float y[3] = {0.0f, 9.0f, 0.0f};
	float dst[3];

	p->k->sum(dst, x, y, 3, (NnClip) {1, 6.0f});
	unit_ok(isnan(dst[0]) && dst[1] == 6.0f && dst[2] == 0.0f, "%s: a NaN stays one", p->name);
}

int
main(void)
{
	int i;

	find_paths();
	for (i = 0; i < n_paths; i++)
	{
		seed = 1;
		test_convolutions(&paths[i], 0);
		test_convolutions(&paths[i], 1);
		test_channels(&paths[i]);
		test_max_gradient(&paths[i]);
		test_not_finite(&paths[i]);
	}
	return unit_done();
}
