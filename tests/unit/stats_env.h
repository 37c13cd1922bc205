/*
 * stats_env.h
 *		What the unit tests of src/stats lend it: counted memory with a
 *		budget, and a stop that can be set.  Also the few check macros.
 */
#ifndef PNEUMO_TESTS_STATS_ENV_H
#define PNEUMO_TESTS_STATS_ENV_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "stats/stats.h"

typedef struct TestMemory
{
	long live;       /* blocks not yet released */
	long allowed;    /* allocations still granted, -1 for all */
	long polls;      /* calls of stop */
	long stop_after; /* stop at this poll, -1 for never */
} TestMemory;

static int failures = 0;
static int checks = 0;

static inline void *
test_allocate(void *arg, size_t bytes)
{
	TestMemory *memory = arg;

	if (memory->allowed == 0)
		return NULL;
	if (memory->allowed > 0)
		memory->allowed--;
	memory->live++;
	return malloc(bytes);
}

static inline void
test_release(void *arg, void *block)
{
	((TestMemory *) arg)->live--;
	free(block);
}

static inline bool
test_stop(void *arg)
{
	TestMemory *memory = arg;

	memory->polls++;
	return memory->stop_after >= 0 && memory->polls > memory->stop_after;
}

static inline StatsEnv
test_env(TestMemory *memory)
{
	StatsEnv env = {test_allocate, test_release, test_stop, memory};

	memory->live = 0;
	memory->allowed = -1;
	memory->polls = 0;
	memory->stop_after = -1;
	return env;
}

static inline void
check_at(int ok, const char *what, const char *file, int line)
{
	checks++;
	if (!ok)
	{
		failures++;
		fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	}
}

static inline void
near_at(double got, double want, double tolerance, const char *what, const char *file, int line)
{
	int ok =
		(isnan(got) && isnan(want)) || got == want || fabs(got - want) <= tolerance * fmax(1.0, fabs(want));

	checks++;
	if (!ok)
	{
		failures++;
		fprintf(stderr, "%s:%d: %s is %.17g, expected %.17g\n", file, line, what, got, want);
	}
}

#define CHECK(condition) check_at((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define NEAR(got, want, tolerance) near_at((got), (want), (tolerance), #got, __FILE__, __LINE__)

#endif /* PNEUMO_TESTS_STATS_ENV_H */
