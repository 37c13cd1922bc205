/*
 * kernels_env.h
 *		What the tests of kernels share: the paths that this machine runs, and
 *		the AVX-512 sources on pairs of AVX2 registers; guarded arrays; how far
 *		results are apart.  Include it in one file per program.
 */
#ifndef PNEUMO_TESTS_KERNELS_ENV_H
#define PNEUMO_TESTS_KERNELS_ENV_H

#include <stdlib.h>
#include <string.h>

#include "nn/kernels/kernels_internal.h"
#include "unit.h"

#if NN_X86
#define NN_SIMD NN_SIMD_WIDE16
#define NN_SIMD_PATH NN_PATH_AVX512
#include "nn/kernels/kernels_impl.h"
#endif

typedef struct Path
{
	const char *name;
	const NnKernels *k;
} Path;

static Path paths[4];
static int n_paths;
static uint32_t seed = 1;

static inline void
add_path(const char *name, const NnKernels *k)
{
	const char *only = getenv("PNEUMO_TEST_PATH");

	if (only == NULL || only[0] == '\0' || strcmp(only, name) == 0)
		paths[n_paths++] = (Path) {name, k};
}

/* PNEUMO_TEST_PATH restricts them to one: an emulated processor is slow. */
static inline void
find_paths(void)
{
	add_path("portable", &nn_kernels_portable);
#if NN_X86
	if (nn_path_best() >= NN_PATH_AVX2)
	{
		add_path("avx2", &nn_kernels_avx2);
		add_path("wide16", &nn_kernels_wide16);
	}
	if (nn_path_best() >= NN_PATH_AVX512)
		add_path("avx512", &nn_kernels_avx512);
#endif
	unit_ok(n_paths > 0, "there is a path to test");
}

/* PNEUMO_TEST_SHARE: of many shapes one in so many is tested. */
static inline int
left_out(void)
{
	static unsigned long n = 0;
	const char *share = getenv("PNEUMO_TEST_SHARE");
	unsigned long of = share != NULL ? strtoul(share, NULL, 10) : 0;

	return of > 1 && n++ % of != 0;
}

static inline float
uniform(void)
{
	seed = seed * 1664525u + 1013904223u;
	return (float) (seed >> 8) / 8388608.0f - 1.0f;
}

/* n floats, aligned, followed by a guard; random, or zero. */
static inline float *
floats(size_t n, int random)
{
	size_t bytes = (n * sizeof(float) / NN_ALIGN + 2) * NN_ALIGN;
	float *p = aligned_alloc(NN_ALIGN, bytes);
	size_t i;

	for (i = 0; i < bytes / sizeof(float); i++)
		p[i] = i >= n ? 12345.0f : random ? uniform() : 0.0f;
	return p;
}

/* Zeros in rows of x as relu leaves them: in one row none, in another three of five, nine of ten, all. */
static inline void
put_zeros(float *x, int rows, int n)
{
	static const float most[] = {-2.0f, 0.2f, 0.8f, 2.0f};
	int i, r;

	for (r = 0; r < rows; r++, x += n)
		for (i = 0; i < n; i++)
			if (uniform() < most[(r + rows) % 4])
				x[i] = i % 7 == 0 ? -0.0f : 0.0f;
}

static inline int
guarded(const float *p, size_t n)
{
	size_t end = (n * sizeof(float) / NN_ALIGN + 2) * NN_ALIGN / sizeof(float);
	size_t i;

	for (i = n; i < end; i++)
		if (p[i] != 12345.0f)
			return 0;
	return 1;
}

/* Largest difference over largest reference value; 1e30 if not finite or past the guard. */
static inline double
difference(const float *got, const float *want, size_t n)
{
	double most = 0.0;
	double size = 1e-30;
	size_t i;

	if (!guarded(got, n))
		return 1e30;
	for (i = 0; i < n; i++)
	{
		double d = fabs((double) got[i] - want[i]);

		if (!(d <= 1e20))
			return 1e30;
		if (d > most)
			most = d;
		if (fabs(want[i]) > size)
			size = fabs(want[i]);
	}
	return most == 0.0 ? 0.0 : most / size;
}

#endif /* PNEUMO_TESTS_KERNELS_ENV_H */
