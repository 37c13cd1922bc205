/*
 * arrays_env.h
 *		What the tests of kernels do with arrays: guarded ones of random
 *		values, and how far results are apart.  Include it in one file per
 *		program.
 */
#ifndef PNEUMO_TESTS_ARRAYS_ENV_H
#define PNEUMO_TESTS_ARRAYS_ENV_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"
#include "unit.h"

static uint32_t seed = 1;

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

#endif /* PNEUMO_TESTS_ARRAYS_ENV_H */
