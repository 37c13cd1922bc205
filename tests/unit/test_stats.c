/*
 * test_stats.c
 *		Unit tests of src/stats: examples worked by hand and from the
 *		literature, errors, memory and stop.  Golden values of scipy,
 *		scikit-learn and statsmodels are in stats_golden.h.
 */
#include "stats_env.h"

static TestMemory memory;
static StatsEnv env;

static void
test_point_figures(void)
{
	double		score[] = {0.1, 0.4, 0.35, 0.8, 0.5, 0.5};
	uint8_t		label[] = {0, 0, 1, 1, 1, 0};
	StatsRows	rows = {score, label, NULL, 6};
	StatsFigures f;
	double		auc;

	CHECK(stats_figures(&f, &rows, 0.5, NULL) == STATS_OK);
	CHECK(f.counts.tp == 2 && f.counts.fp == 1 && f.counts.tn == 2 &&
		  f.counts.fn == 1);
	NEAR(f.accuracy, 4.0 / 6.0, 1e-15);
	NEAR(f.lr_positive, 2.0, 1e-15);
	NEAR(f.lr_negative, 0.5, 1e-15);
	NEAR(f.f1, 2.0 / 3.0, 1e-15);
	CHECK(stats_auc(&auc, &rows, &env) == STATS_OK);
	/* 9 pairs: 0.35 beats 1, 0.8 beats 3, 0.5 beats 2 and ties 1 */
	NEAR(auc, 6.5 / 9.0, 1e-15);
	score[0] = -0.0;
	score[1] = 0.0;
	score[2] = 0.0;
	CHECK(stats_auc(&auc, &rows, &env) == STATS_OK);
	NEAR(auc, (1.0 + 3.0 + 2.5) / 9.0, 1e-15);
	CHECK(stats_figures(&f, &rows, 2.0, &env) == STATS_OK);
	CHECK(isnan(f.ppv) && isnan(f.lr_positive));
	CHECK(memory.live == 0);
}

static void
test_row_errors(void)
{
	double		score[] = {0.1, 0.9, 0.5};
	uint8_t		label[] = {0, 1, 1};
	StatsRows	rows = {score, label, NULL, 3};
	StatsRows	none = {score, label, NULL, 0};
	double		auc;
	size_t		bad;

	CHECK(stats_auc(&auc, &none, &env) == STATS_NO_ROWS);
	score[1] = NAN;
	CHECK(stats_check_rows(&rows, &bad) == STATS_SCORE_NAN && bad == 1);
	CHECK(stats_auc(&auc, &rows, &env) == STATS_SCORE_NAN);
	score[1] = 1.0000001;
	CHECK(stats_auc(&auc, &rows, &env) == STATS_SCORE_RANGE);
	score[1] = -1e-300;
	CHECK(stats_auc(&auc, &rows, &env) == STATS_SCORE_RANGE);
	score[1] = 1.0;
	label[2] = 2;
	CHECK(stats_check_rows(&rows, &bad) == STATS_BAD_LABEL && bad == 2);
	label[2] = 1;
	label[0] = 1;
	CHECK(stats_auc(&auc, &rows, &env) == STATS_ONE_CLASS);
	label[0] = 0;
	for (long allowed = 0; allowed < 3; allowed++)
	{
		memory.allowed = allowed;
		CHECK(stats_auc(&auc, &rows, &env) == STATS_NO_MEMORY);
		CHECK(memory.live == 0);
	}
	memory.allowed = -1;
}

static void
test_classes(void)
{
	double		p[] = {0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.3, 0.3, 0.4, 0.5, 0.3, 0.2};
	int32_t		label[] = {0, 1, 2, 1};
	StatsClassRows rows = {p, label, NULL, 4, 3};
	StatsClassFigures f;
	double		auc[3];
	uint64_t	confusion[9];

	CHECK(stats_class_figures(&f, NULL, auc, confusion, &rows, &env) == STATS_OK);
	NEAR(f.accuracy, 0.75, 1e-15);
	CHECK(confusion[3] == 1 && confusion[4] == 1 && confusion[8] == 1);
	NEAR(auc[0], 1.0, 1e-15);
	NEAR(auc[1], (2 + 1.5) / 4.0, 1e-15);
	NEAR(f.log_loss, -(log(0.7) + log(0.8) + log(0.4) + log(0.3)) / 4, 1e-15);
	label[3] = 3;
	CHECK(stats_class_figures(&f, NULL, auc, NULL, &rows, &env) == STATS_BAD_LABEL);
	CHECK(memory.live == 0);
}

int
main(void)
{
	env = test_env(&memory);
	test_point_figures();
	test_row_errors();
	test_classes();
	printf("%d passed, %d failed\n", checks - failures, failures);
	return failures != 0;
}
