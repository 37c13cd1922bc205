/*
 * test_stats_limits.c
 *		Every function of src/stats with refused memory and with a stop, and
 *		how often it asks for the latter.  Then what limits promise: tests that
 *		agree with intervals, exact limits, degrees of freedom.
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include <string.h>
#include <time.h>

#include "stats_env.h"
#include "random/philox.h"
#include "stats/stats_internal.h"
#include "stats_golden.h"

/* Sanitisers make everything slower; the limit on time follows. */
#if defined(__SANITIZE_ADDRESS__)
#define SLOWER 20.0
#else
#define SLOWER 1.0
#endif

static TestMemory memory;
static StatsEnv env;

#ifndef MANY
#define MANY 200000
#endif

static double many_score[MANY];
static double many_other[MANY];
static double many_feature[2 * MANY];
static double many_second[2 * MANY];
static uint8_t many_label[MANY];
static uint64_t many_cluster[MANY];
static int32_t many_class[MANY];
static uint8_t many_target[2 * MANY];
static StatsRocPoint many_points[MANY + 1];
static double big_matrix[250 * 250];

static StatsStatus
call(int which, size_t n)
{
	StatsRows rows = {many_score, many_label, many_cluster, n};
	StatsPair pair = {many_score, many_other, many_label, many_cluster, n, 0.5, 0.5};
	StatsThresholdDemand demand = {STATS_THRESHOLD_SENSITIVITY_LIMIT, 0, 0.6, 0.95};
	StatsClassRows classes = {many_feature, many_class, NULL, n, 2};
	StatsOptions options = {0.5, 0.95};
	StatsAuc auc;
	StatsEvaluation evaluation;
	StatsComparison comparison;
	StatsOperatingPoint point;
	StatsCalibration calibration;
	StatsCalibrationBin bins[10];
	StatsClassFigures class_figures;
	StatsClassRows clustered = {many_feature, many_class, many_cluster, n, 2};
	StatsClassEvaluation class_evaluation;
	StatsClassComparison class_comparison;
	double thresholds[2] = {0.5, 0.4};
	StatsFindingRows findings = {many_feature, many_target, many_cluster, thresholds, n, 2};
	StatsFindingEvaluation finding_evaluation;
	StatsEvaluation of_finding[2];
	StatsPlatt platt;
	StatsShortcut shortcut;
	StatsInterval interval;
	double t;
	double value[250];
	size_t n_points;

	switch (which)
	{
		case 0:
			return stats_auc(&t, &rows, &env);
		case 1:
			return stats_auc_interval(&auc, &rows, 0.95, &env);
		case 2:
			return stats_evaluate(&evaluation, &rows, &options, &env);
		case 3:
			return stats_compare(&comparison, &pair, &options, &env);
		case 4:
			return stats_operating_point(&point, &demand, &rows, &env);
		case 5:
			return stats_calibration(&calibration, bins, 10, STATS_BINS_EQUAL_COUNT, &rows, 0.95, &env);
		case 6:
			return stats_roc(many_points, &n_points, &rows, true, &env);
		case 7:
			return stats_class_figures(&class_figures, NULL, NULL, NULL, &classes, &env);
		case 8:
			return stats_shortcut(&shortcut, NULL, many_feature, 2, many_label, many_cluster, n, 3, 1, 0.95,
								  &env);
		case 9:
			return stats_proportion(&interval, NULL, many_label, many_cluster, n, 0.95, &env);
		case 10:
			for (int i = 0; i < 250 * 250; i++)
				big_matrix[i] = 1.0 / (1 + i / 250 + i % 250);
			return stats_eigen_symmetric(big_matrix, value, n < 250 ? n : 250, NULL, &env);
		case 11:
			return stats_fit_platt(&platt, many_feature, many_label, n, &env);
		case 12:
			return stats_fit_temperature(&t, many_feature, many_class, n, 2, &env);
		case 13:
			return stats_class_evaluate(&class_evaluation, NULL, &clustered, &options, &env);
		case 14:
			return stats_class_compare(&class_comparison, &clustered, many_second, &options, &env);
		case 15:
			return stats_finding_evaluate(&finding_evaluation, of_finding, &findings, &options, &env);
		default:
			return STATS_BAD_ARGUMENT;
	}
}

#define N_CALLS 16

static struct timespec last_poll;
static double longest_wait; /* milliseconds between two looks at stop */

static double
since_last_poll(void)
{
	struct timespec now;
	double ms;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	ms = 1e3 * (double) (now.tv_sec - last_poll.tv_sec) + 1e-6 * (double) (now.tv_nsec - last_poll.tv_nsec);
	last_poll = now;
	return ms;
}

static bool
timed_stop(void *arg)
{
	longest_wait = fmax(longest_wait, since_last_poll());
	return test_stop(arg);
}

static void
test_memory_and_stop(void)
{
	for (size_t i = 0; i < MANY; i++)
	{
		Philox x = philox(5, (uint32_t) i, 0, 0, 0);

		many_cluster[i] = i / 3;
		many_label[i] = (i / 3) % 2;
		many_class[i] = many_label[i];
		many_target[2 * i] = many_label[i];
		many_target[2 * i + 1] = (uint8_t) (i % 3);
		many_score[i] = fmin(1.0, (x.v[0] / 4294967296.0 + 0.3 * many_label[i]) / 1.3);
		many_other[i] = x.v[1] / 4294967296.0;
		many_feature[2 * i] = x.v[2] / 4294967296.0;
		many_feature[2 * i + 1] = 1.0 - many_feature[2 * i];
		many_second[2 * i] = x.v[3] / 4294967296.0;
		many_second[2 * i + 1] = 1.0 - many_second[2 * i];
	}
	env.stop = timed_stop;
	for (int which = 0; which < N_CALLS; which++)
	{
		StatsStatus status = STATS_NO_MEMORY;
		long polls;

		for (long allowed = 0; status == STATS_NO_MEMORY && allowed < 200; allowed++)
		{
			memory.allowed = allowed;
			status = call(which, 60);
			CHECK(memory.live == 0);
			if (allowed == 0 && which < 11)
				CHECK(status == STATS_NO_MEMORY);
		}
		CHECK(status == STATS_OK);
		memory.allowed = -1;
		memory.polls = 0;
		longest_wait = 0.0;
		(void) since_last_poll();
		CHECK(call(which, MANY) == STATS_OK);
		longest_wait = fmax(longest_wait, since_last_poll());
		printf("  call %d: %ld polls, longest %.1f ms\n", which, memory.polls, longest_wait);
		CHECK(longest_wait < 50.0 * SLOWER);
		polls = memory.polls;
		CHECK(polls > 0);
		for (long after = 0; after < polls; after += 1 + polls / 2)
		{
			memory.polls = 0;
			memory.stop_after = after;
			CHECK(call(which, MANY) == STATS_INTERRUPTED);
			CHECK(memory.live == 0);
		}
		memory.stop_after = -1;
	}
	env.stop = test_stop;
}

/*
 * The interval of a difference of AUCs leaves out 0 exactly where the test says
 * so, on random rows of models near 0.98, with and without clusters.
 */
static void
test_one_pivot(void)
{
	enum
	{
		ROWS = 60,
		DRAWS = 2000
	};
	double a[ROWS];
	double b[ROWS];
	uint8_t label[ROWS];
	uint64_t cluster[ROWS];
	StatsPair pair = {a, b, label, NULL, ROWS, 0.5, 0.5};
	StatsComparison c;
	int contradictions = 0;
	int significant = 0;

	for (uint32_t draw = 0; draw < DRAWS; draw++)
	{
		for (uint32_t i = 0; i < ROWS; i++)
		{
			Philox x = philox(7, draw, i, 0, 0);
			double shift = 3.0 * (i % 2) - 1.5;

			label[i] = i % 2;
			cluster[i] = i / 3;
			a[i] = stats_normal_cdf(shift + stats_normal_quantile((x.v[0] + 0.5) / 4294967296.0));
			b[i] = stats_normal_cdf(0.6 * shift + stats_normal_quantile((x.v[1] + 0.5) / 4294967296.0));
		}
		pair.cluster = draw % 2 ? cluster : NULL;
		CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
		significant += c.auc_p < 0.05;
		contradictions += (c.auc_p < 0.05) != (c.auc.low > 0.0 || c.auc.high < 0.0);
	}
	CHECK(contradictions == 0);
	CHECK(significant > DRAWS / 5 && significant < DRAWS * 4 / 5);
}

/* As many patients as the exact limit needs, and not one fewer. */
static void
test_exact_limit(void)
{
	enum
	{
		POSITIVES = 59
	};
	double score[3 * POSITIVES + 1];
	uint8_t label[3 * POSITIVES + 1];
	uint64_t cluster[3 * POSITIVES + 1];
	StatsRows rows = {score, label, cluster, 0};
	StatsThresholdDemand demand = {STATS_THRESHOLD_SENSITIVITY_LIMIT, 0.0, 0.95, 0.95};
	StatsOperatingPoint p;

	NEAR(stats_exact_lower(57, 59, 0.95), GOLDEN_EXACT_57_59, 1e-12);
	NEAR(stats_exact_lower(20.5, 23.2, 0.9), GOLDEN_EXACT_FRACTION, 1e-12);
	NEAR(stats_exact_lower(59, 59, 0.95), pow(0.05, 1.0 / 59.0), 1e-12);
	CHECK(stats_exact_lower(0, 59, 0.95) == 0.0);
	CHECK(stats_exact_reaches(59, 59, 0.95, 0.95) && !stats_exact_reaches(58, 58, 0.95, 0.95));
	/* three images of a patient are one patient */
	for (int images = 1; images <= 3; images += 2)
		for (int k = POSITIVES - 1; k <= POSITIVES; k++)
		{
			rows.n = 0;
			for (int i = 0; i < k * images + 1; i++)
			{
				label[i] = i > 0;
				score[i] = i > 0 ? 0.9 : 0.1;
				cluster[i] = (uint64_t) ((i + images - 1) / images);
				rows.n++;
			}
			CHECK(stats_operating_point(&p, &demand, &rows, &env) ==
				  (k == POSITIVES ? STATS_OK : STATS_UNREACHABLE));
		}
	NEAR(p.sensitivity_limit, pow(0.05, 1.0 / 59.0), 1e-12);
}

/* Degrees of freedom: k - 1 for equal clusters, near 1 where one holds nearly all rows. */
static void
test_degrees(void)
{
	StatsSizes sizes = {.clusters = 0.0};

	for (int c = 0; c < 12; c++)
		stats_sizes_add(&sizes, 7.0, 1.0);
	NEAR(stats_sizes_degrees(&sizes), 11.0, 1e-9);
	stats_sizes_add(&sizes, 5000.0, 1.0);
	CHECK(stats_sizes_degrees(&sizes) >= 1.0 && stats_sizes_degrees(&sizes) < 3.0);
	stats_sizes_add(&sizes, 5000.0, -1.0);
	NEAR(stats_sizes_degrees(&sizes), 11.0, 1e-6);
}

int
main(void)
{
	env = test_env(&memory);
	test_memory_and_stop();
	test_one_pivot();
	test_exact_limit();
	test_degrees();
	printf("%d passed, %d failed\n", checks - failures, failures);
	return failures != 0;
}
