/*
 * kernels_env.h
 *		What the tests of kernels share: the paths that this machine runs, and
 *		the AVX-512 sources on pairs of AVX2 registers.  Include it in one file
 *		per program.
 */
#ifndef PNEUMO_TESTS_KERNELS_ENV_H
#define PNEUMO_TESTS_KERNELS_ENV_H

#include "arrays_env.h"
#include "nn/kernels/kernels_internal.h"

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

#endif /* PNEUMO_TESTS_KERNELS_ENV_H */
