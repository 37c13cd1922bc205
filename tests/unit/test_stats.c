/*
 * test_stats.c
 *		Unit tests of src/stats: examples worked by hand and from the
 *		literature, errors.  Golden values of scipy,
 *		scikit-learn and statsmodels are in stats_golden.h.
 */
#include <dlfcn.h>
#include <string.h>

#include "stats_env.h"
#include "random/philox.h"
#include "stats/stats_internal.h"
#include "stats_golden.h"

#define N 150
#define K 53 /* clusters */

static TestMemory memory;
static StatsEnv env;

static void
test_point_figures(void)
{
	double score[] = {0.1, 0.4, 0.35, 0.8, 0.5, 0.5};
	uint8_t label[] = {0, 0, 1, 1, 1, 0};
	StatsRows rows = {score, label, NULL, 6};
	StatsFigures f;
	double auc;

	CHECK(stats_figures(&f, &rows, 0.5, NULL) == STATS_OK);
	CHECK(f.counts.tp == 2 && f.counts.fp == 1 && f.counts.tn == 2 && f.counts.fn == 1);
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
	double score[] = {0.1, 0.9, 0.5};
	uint8_t label[] = {0, 1, 1};
	StatsRows rows = {score, label, NULL, 3};
	StatsRows none = {score, label, NULL, 0};
	double auc;
	size_t bad;

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
	double p[] = {0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.3, 0.3, 0.4, 0.5, 0.3, 0.2};
	int32_t label[] = {0, 1, 2, 1};
	StatsClassRows rows = {p, label, NULL, 4, 3};
	StatsClassFigures f;
	double auc[3];
	uint64_t confusion[9];

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

static const StatsRows golden_rows = {golden_score_a, golden_label, NULL, N};
static const StatsRows golden_patients = {golden_score_a, golden_label, golden_cluster, N};

static void
test_distributions(void)
{
	Philox x;

	NEAR(stats_normal_quantile(0.975), GOLDEN_Z95, 1e-14);
	NEAR(stats_normal_quantile(0.99995), GOLDEN_Z9999, 1e-12);
	NEAR(stats_two_sided_t(0.95, 1), GOLDEN_T95_1, 1e-12);
	NEAR(stats_two_sided_t(0.95, 7), GOLDEN_T95_7, 1e-12);
	NEAR(stats_two_sided_t(0.99, 250), GOLDEN_T99_250, 1e-12);
	/* known answers published with the generator */
	x = philox(0, 0, 0, 0, 0);
	CHECK(x.v[0] == 0x6627e8d5 && x.v[1] == 0xe169c58d && x.v[2] == 0xbc57ac4c && x.v[3] == 0x9b00dbd8);
	x = philox(UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX);
	CHECK(x.v[0] == 0x408f276d && x.v[1] == 0x41c83b0e && x.v[2] == 0xa20bc7c6 && x.v[3] == 0x6d5451fd);
}

/* Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3. */
static void
test_wilson_published(void)
{
	static const double published[][4] = {
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0.0, 0.1611},
		{1, 29, 0.0061, 0.1718},
	};
	StatsInterval i;

	for (int row = 0; row < 4; row++)
	{
		const double *e = published[row];

		CHECK(stats_wilson(&i, e[0] / e[1], e[1], 0.95) == STATS_OK);
		NEAR(i.low, e[2], 5.1e-5);
		NEAR(i.high, e[3], 5.1e-5);
	}
	CHECK(stats_wilson(&i, 1.0, 5, 0.95) == STATS_OK && i.high == 1.0 && i.low < 0.6);
	CHECK(stats_wilson(&i, 0.5, 0.0, 0.95) == STATS_BAD_ARGUMENT);
	CHECK(stats_wilson(&i, 1.1, 5, 0.95) == STATS_BAD_ARGUMENT);
	CHECK(stats_wilson(&i, 0.5, 5, 1.0) == STATS_BAD_ARGUMENT);
	CHECK(stats_wilson(&i, 0.5, 5, NAN) == STATS_BAD_ARGUMENT);
}

/*
 * Hanley and McNeil, Radiology 143 (1982) 29-36: 109 CT images rated 1 to 5,
 * area 0.893.
 */
static void
test_auc_published(void)
{
	static const int normal[5] = {33, 6, 6, 11, 2};
	static const int abnormal[5] = {3, 2, 2, 11, 33};
	double score[109];
	uint8_t label[109];
	size_t n = 0;
	double auc = NAN;
	StatsRows rows = {score, label, NULL, 109};

	for (int r = 0; r < 5; r++)
	{
		for (int i = 0; i < normal[r]; i++, n++)
		{
			score[n] = r / 4.0;
			label[n] = 0;
		}
		for (int i = 0; i < abnormal[r]; i++, n++)
		{
			score[n] = r / 4.0;
			label[n] = 1;
		}
	}
	CHECK(n == 109 && stats_auc(&auc, &rows, &env) == STATS_OK);
	NEAR(auc, 0.893, 5e-4);
}

static void
test_auc_interval(void)
{
	StatsAuc a;
	double perfect[32];
	uint8_t label[32];
	uint64_t cluster[32];
	StatsRows rows = {perfect, label, NULL, 32};

	CHECK(stats_auc_interval(&a, &golden_rows, 0.95, &env) == STATS_OK);
	NEAR(a.auc.value, GOLDEN_AUC_A, 1e-15);
	NEAR(a.se, GOLDEN_DELONG_SE, 1e-13);
	NEAR(a.auc.low, GOLDEN_DELONG_LOW, 1e-12);
	NEAR(a.auc.high, GOLDEN_DELONG_HIGH, 1e-12);
	CHECK(!a.score_interval);
	CHECK(stats_auc_interval(&a, &golden_patients, 0.95, &env) == STATS_OK);
	NEAR(a.se, GOLDEN_OBUCHOWSKI_SE, 1e-13);
	NEAR(a.auc.low, GOLDEN_OBUCHOWSKI_LOW, 1e-12);
	NEAR(a.auc.high, GOLDEN_OBUCHOWSKI_HIGH, 1e-12);

	for (int i = 0; i < 32; i++)
	{
		label[i] = i < 12;
		perfect[i] = label[i] ? 0.9 : 0.1;
		cluster[i] = i < 12 ? 1 : 2;
	}
	CHECK(stats_auc_interval(&a, &rows, 0.95, &env) == STATS_OK);
	CHECK(a.score_interval && a.auc.value == 1.0 && a.auc.high == 1.0);
	NEAR(a.auc.low, GOLDEN_NEWCOMBE_1_12_20, 1e-9);
	for (int i = 0; i < 32; i++)
		label[i] = !label[i];
	CHECK(stats_auc_interval(&a, &rows, 0.95, &env) == STATS_OK);
	CHECK(a.auc.value == 0.0 && a.auc.low == 0.0);
	NEAR(a.auc.high, 1.0 - GOLDEN_NEWCOMBE_1_12_20, 1e-9);
	for (int i = 0; i < 32; i++)
		perfect[i] = 0.5;
	CHECK(stats_auc_interval(&a, &rows, 0.95, &env) == STATS_OK);
	CHECK(a.auc.value == 0.5);
	NEAR(a.auc.low, GOLDEN_NEWCOMBE_HALF_12_20, 1e-9);
	NEAR(a.auc.high, 1.0 - GOLDEN_NEWCOMBE_HALF_12_20, 1e-9);
	/* one patient per class: hardly anything is known */
	rows.cluster = cluster;
	perfect[3] = 0.4;
	CHECK(stats_auc_interval(&a, &rows, 0.95, &env) == STATS_OK);
	CHECK(a.score_interval && a.auc.low < 0.2 && a.auc.high > 0.8);
	CHECK(stats_auc_interval(&a, &rows, 1.0, &env) == STATS_BAD_ARGUMENT);
	CHECK(memory.live == 0);
}

#define PROPORTION(field, name, limits)                             \
	do                                                              \
	{                                                               \
		NEAR(e.field.low, GOLDEN_##name##_##limits##_LOW, 1e-12);   \
		NEAR(e.field.high, GOLDEN_##name##_##limits##_HIGH, 1e-12); \
	} while (0)

static void
test_evaluate(void)
{
	StatsEvaluation e;
	StatsOptions options = {0.5, 0.95};

	CHECK(stats_evaluate(&e, &golden_rows, &options, &env) == STATS_OK);
	CHECK(e.counts.tp == GOLDEN_TP && e.counts.fp == GOLDEN_FP && e.counts.tn == GOLDEN_TN &&
		  e.counts.fn == GOLDEN_FN);
	CHECK(e.n == N && e.n_positive + e.n_negative == N && e.n_clusters == N);
	NEAR(e.accuracy.value, GOLDEN_ACCURACY, 1e-15);
	NEAR(e.f1.value, GOLDEN_F1, 1e-15);
	NEAR(e.ppv.value, GOLDEN_PPV, 1e-15);
	NEAR(e.log_loss.value, GOLDEN_LOG_LOSS, 1e-14);
	NEAR(e.brier.value, GOLDEN_BRIER, 1e-14);
	PROPORTION(accuracy, ACCURACY, WILSON);
	PROPORTION(sensitivity, SENSITIVITY, WILSON);
	PROPORTION(specificity, SPECIFICITY, WILSON);
	PROPORTION(ppv, PPV, WILSON);
	PROPORTION(npv, NPV, WILSON);
	NEAR(e.lr_positive.value, GOLDEN_LR_POSITIVE, 1e-13);
	NEAR(e.lr_positive.low, GOLDEN_LR_POSITIVE_LOW, 1e-12);
	NEAR(e.lr_negative.high, GOLDEN_LR_NEGATIVE_HIGH, 1e-12);
	PROPORTION(f1, F1, WILSON);
	PROPORTION(brier, BRIER, ROWS);
	PROPORTION(log_loss, LOG_LOSS, ROWS);

	CHECK(stats_evaluate(&e, &golden_patients, NULL, &env) == STATS_OK);
	PROPORTION(accuracy, ACCURACY, CLUSTER);
	PROPORTION(sensitivity, SENSITIVITY, CLUSTER);
	PROPORTION(specificity, SPECIFICITY, CLUSTER);
	PROPORTION(ppv, PPV, CLUSTER);
	PROPORTION(npv, NPV, CLUSTER);
	NEAR(e.auc_se, GOLDEN_OBUCHOWSKI_SE, 1e-13);
	PROPORTION(f1, F1, CLUSTER);
	PROPORTION(brier, BRIER, CLUSTER);
	PROPORTION(log_loss, LOG_LOSS, CLUSTER);
	NEAR(e.auc.low, GOLDEN_OBUCHOWSKI_LOW, 1e-12);
	CHECK(e.options.confidence == 0.95 && e.n_clusters == K);
	options.confidence = 1.0;
	CHECK(stats_evaluate(&e, &golden_rows, &options, &env) == STATS_BAD_ARGUMENT);
	CHECK(memory.live == 0);
}

static void
test_proportion(void)
{
	StatsInterval i;
	StatsInterval wide;
	double n_effective;
	uint8_t right[N];
	uint64_t pairs[N];

	for (int k = 0; k < N; k++)
	{
		right[k] = (golden_score_a[k] >= 0.5) == golden_label[k];
		pairs[k] = (uint64_t) k / 2;
	}
	CHECK(stats_proportion(&i, &n_effective, right, golden_cluster, N, 0.95, &env) == STATS_OK);
	NEAR(n_effective, GOLDEN_ACCURACY_CLUSTER_N, 1e-10);
	NEAR(i.low, GOLDEN_ACCURACY_CLUSTER_LOW, 1e-12);
	/* all right: pairs of equal outcomes count once, and never a point */
	memset(right, 1, sizeof(right));
	CHECK(stats_proportion(&i, NULL, right, NULL, N, 0.95, &env) == STATS_OK);
	CHECK(stats_proportion(&wide, &n_effective, right, pairs, N, 0.95, &env) == STATS_OK);
	CHECK(wide.low < i.low && i.low < 1.0 && wide.high == 1.0);
	CHECK(n_effective <= N / 2 && n_effective > N / 2 - 2);
	memset(pairs, 0, sizeof(pairs));
	CHECK(stats_proportion(&wide, &n_effective, right, pairs, N, 0.95, &env) == STATS_OK);
	NEAR(n_effective, 1.0, 0);
	CHECK(stats_proportion(&i, NULL, right, NULL, 0, 0.95, &env) == STATS_NO_ROWS);
	right[4] = 2;
	CHECK(stats_proportion(&i, NULL, right, NULL, N, 0.95, &env) == STATS_BAD_LABEL);
	CHECK(memory.live == 0);
}

/* Perfect, constant and one-class scores give finite, honest limits. */
static void
test_degenerate(void)
{
	double score[20];
	uint8_t label[20];
	StatsRows rows = {score, label, NULL, 20};
	StatsEvaluation e;

	for (int i = 0; i < 20; i++)
	{
		label[i] = i % 2;
		score[i] = label[i];
	}
	CHECK(stats_evaluate(&e, &rows, NULL, &env) == STATS_OK);
	CHECK(e.accuracy.value == 1.0 && e.accuracy.low > 0.8 && e.accuracy.low < 0.9);
	CHECK(e.f1.value == 1.0 && e.f1.low < 0.95 && e.f1.low > 0.7 && e.f1.high == 1.0);
	CHECK(e.auc.value == 1.0 && e.auc.low < 0.95 && e.auc.low > 0.6);
	CHECK(e.brier.value == 0.0 && e.brier.low == 0.0 && e.brier.high > 0.05);
	CHECK(e.log_loss.value < 1e-6 && e.log_loss.high > 0.5);
	CHECK(isinf(e.lr_positive.value) && isinf(e.lr_positive.high) && e.lr_positive.low > 1.0 &&
		  isfinite(e.lr_positive.low));
	CHECK(e.lr_negative.value == 0.0 && e.lr_negative.low == 0.0 && e.lr_negative.high < 1.0);
	for (int i = 0; i < 20; i++)
		score[i] = 0.5;
	CHECK(stats_evaluate(&e, &rows, NULL, &env) == STATS_OK);
	CHECK(e.auc.value == 0.5 && e.auc.low < 0.35 && e.auc.high > 0.65);
	CHECK(e.lr_positive.value == 1.0 && e.lr_positive.low < 1.0 && e.lr_positive.high > 1.0);
	CHECK(isnan(e.npv.value) && isnan(e.npv.low));
	memset(label, 1, sizeof(label));
	CHECK(stats_evaluate(&e, &rows, NULL, &env) == STATS_ONE_CLASS);
	CHECK(isnan(e.auc.value) && isnan(e.specificity.value) && isnan(e.lr_positive.low));
	CHECK(e.sensitivity.value == 1.0 && e.n_clusters_negative == 0);
	rows.n = 1;
	CHECK(stats_evaluate(&e, &rows, NULL, &env) == STATS_ONE_CLASS);
	CHECK(e.accuracy.value == 1.0 && e.accuracy.low < 0.5);
	rows.n = 2;
	label[0] = 0;
	CHECK(stats_evaluate(&e, &rows, NULL, &env) == STATS_OK);
	CHECK(e.auc.low < 0.2 && e.auc.high > 0.8);
	CHECK(memory.live == 0);
}

/* Another order of the rows, other patient numbers: the same figures. */
static void
test_row_order(void)
{
	double score[N];
	uint8_t label[N];
	uint64_t cluster[N];
	StatsEvaluation e[2];

	for (int ids = 0; ids < 2; ids++)
	{
		StatsRows rows = {score, label, ids ? cluster : NULL, N};

		for (int i = 0; i < N; i++)
		{
			int from = (i * 77 + 31) % N;

			score[i] = golden_score_a[from];
			label[i] = golden_label[from];
			/* other ids in another order */
			cluster[i] = golden_cluster[from] * 0x9E3779B97F4A7C15u;
		}
		CHECK(stats_evaluate(&e[0], ids ? &golden_patients : &golden_rows, NULL, &env) == STATS_OK);
		CHECK(stats_evaluate(&e[1], &rows, NULL, &env) == STATS_OK);
		NEAR(e[0].brier.low, e[1].brier.low, 1e-13);
		NEAR(e[0].log_loss.high, e[1].log_loss.high, 1e-13);
		NEAR(e[0].f1.low, e[1].f1.low, 1e-13);
		NEAR(e[0].auc.low, e[1].auc.low, 1e-13);
	}
}

static void
test_roc(void)
{
	StatsRocPoint points[N + 1];
	size_t n;

	CHECK(stats_roc(points, &n, &golden_rows, false, &env) == STATS_OK);
	CHECK(n == GOLDEN_ROC_ALL);
	CHECK(points[n - 1].false_positive_rate == 1.0 && points[n - 1].true_positive_rate == 1.0);
	for (size_t i = 0; i < n; i++)
	{
		NEAR(points[i].false_positive_rate, golden_roc_fpr[i], 1e-15);
		NEAR(points[i].true_positive_rate, golden_roc_tpr[i], 1e-15);
		if (i > 0)
			NEAR(points[i].threshold, golden_roc_threshold[i], 1e-15);
	}
	CHECK(isinf(points[0].threshold));
	CHECK(stats_roc(points, &n, &golden_rows, true, &env) == STATS_OK);
	CHECK(n == GOLDEN_ROC_CORNERS);
	CHECK(memory.live == 0);
}

static void
test_operating_points(void)
{
	StatsThresholdDemand demand = {STATS_THRESHOLD_SENSITIVITY, 0.0, 0.9, 0.95};
	StatsOperatingPoint p;
	StatsOperatingPoint q;

	CHECK(stats_operating_point(&p, &demand, &golden_patients, &env) == STATS_OK);
	NEAR(p.sensitivity.value, GOLDEN_SENS90, 1e-15);
	NEAR(1.0 - p.specificity.value, GOLDEN_SENS90_FPR, 1e-15);
	/* half a step below the score that scikit-learn names */
	NEAR(p.threshold, GOLDEN_SENS90_SCORE - 0.01, 1e-12);
	demand.rule = STATS_THRESHOLD_SENSITIVITY_LIMIT;
	demand.sensitivity = 0.85;
	CHECK(stats_operating_point(&q, &demand, &golden_patients, &env) == STATS_OK);
	CHECK(q.sensitivity_limit >= 0.85 && q.threshold < p.threshold && p.sensitivity_limit < 0.85);
	demand.sensitivity = 0.99;
	CHECK(stats_operating_point(&q, &demand, &golden_patients, &env) == STATS_UNREACHABLE);
	demand.rule = STATS_THRESHOLD_YOUDEN;
	CHECK(stats_operating_point(&q, &demand, &golden_rows, &env) == STATS_OK);
	NEAR(q.sensitivity.value + q.specificity.value - 1.0, GOLDEN_YOUDEN, 1e-14);
	demand.rule = STATS_THRESHOLD_FIXED;
	demand.threshold = 0.5;
	CHECK(stats_operating_point(&q, &demand, &golden_rows, &env) == STATS_OK);
	CHECK(q.counts.tp == GOLDEN_TP && q.threshold == 0.5);
	NEAR(q.sensitivity.low, GOLDEN_SENSITIVITY_WILSON_LOW, 1e-12);
	demand.threshold = 1.5;
	CHECK(stats_operating_point(&q, &demand, &golden_rows, &env) == STATS_BAD_ARGUMENT);
	CHECK(memory.live == 0);
}

/* A score that is an edge i / n_bins is in bin i, for any number of bins. */
static void
test_bin_edges(void)
{
	static double score[STATS_MAX_BINS];
	static uint8_t label[STATS_MAX_BINS];
	static StatsCalibrationBin bins[STATS_MAX_BINS];
	StatsRows rows = {score, label, NULL, 0};
	StatsCalibration c;

	for (size_t n = 1; n <= STATS_MAX_BINS; n++)
	{
		bool single = true;

		for (size_t i = 0; i < n; i++)
		{
			score[i] = (double) i / (double) n;
			label[i] = i % 2;
		}
		rows.n = n;
		CHECK(stats_calibration(&c, bins, n, STATS_BINS_EQUAL_WIDTH, &rows, 0.95, &env) == STATS_OK);
		for (size_t b = 0; b < n; b++)
			single = single && bins[b].n == 1 && bins[b].mean_score == bins[b].low;
		CHECK(single);
	}
}

/* The rows of one patient tell figures, but not how far they can be trusted. */
static void
test_one_cluster(void)
{
	static uint64_t cluster[150];
	StatsRows rows = {golden_score_a, golden_label, cluster, N};
	StatsPair pair = {golden_score_a, golden_score_b, golden_label, cluster, N, 0.5, 0.5};
	StatsCalibrationBin bins[8];
	StatsCalibration c;
	StatsComparison d;
	StatsEvaluation e;

	CHECK(stats_calibration(&c, bins, 8, STATS_BINS_EQUAL_WIDTH, &rows, 0.95, &env) == STATS_OK);
	CHECK(c.fitted && isnan(c.slope.low) && isnan(c.slope.high) && isnan(c.intercept.low));
	CHECK(!isnan(c.in_the_large.value) && isnan(c.in_the_large.high));
	CHECK(stats_evaluate(&e, &rows, NULL, &env) == STATS_OK);
	CHECK(e.f1.low < e.f1.high && e.brier.low < e.brier.high && e.log_loss.low < e.log_loss.high);
	CHECK(stats_compare(&d, &pair, NULL, &env) == STATS_OK);
	CHECK(!isnan(d.brier.value) && isnan(d.brier.low) && isnan(d.log_loss.high));
	CHECK(c.ece.low < c.ece.value && c.ece.value < c.ece.high);
}

static void
test_calibration(void)
{
	StatsCalibration c;
	StatsCalibrationBin bins[8];
	int filled = 0;
	double separated[4] = {0.1, 0.2, 0.8, 0.9};
	uint8_t label[4] = {0, 0, 1, 1};
	StatsRows rows = {separated, label, NULL, 4};

	CHECK(stats_calibration(&c, bins, 8, STATS_BINS_EQUAL_WIDTH, &golden_rows, 0.95, &env) == STATS_OK);
	NEAR(c.ece.value, GOLDEN_ECE, 1e-13);
	NEAR(c.ece.low, GOLDEN_ECE_LOW_ROWS, 1e-12);
	NEAR(c.ece.high, GOLDEN_ECE_HIGH_ROWS, 1e-12);
	NEAR(c.mce, GOLDEN_MCE, 1e-13);
	CHECK(c.fitted);
	NEAR(c.slope.value, GOLDEN_SLOPE, 1e-9);
	NEAR(c.intercept.value, GOLDEN_INTERCEPT, 1e-9);
	NEAR(c.in_the_large.value, GOLDEN_IN_THE_LARGE, 1e-9);
	NEAR((c.slope.high - c.slope.low) / 2 / stats_two_sided_t(0.95, N - 1), GOLDEN_SLOPE_SE_ROWS, 1e-8);
	NEAR((c.intercept.high - c.intercept.low) / 2 / stats_two_sided_t(0.95, N - 1), GOLDEN_INTERCEPT_SE_ROWS,
		 1e-8);
	for (int b = 0; b < 8; b++)
		if (bins[b].n > 0)
		{
			NEAR(bins[b].observed.value, golden_bin_observed[filled], 1e-14);
			NEAR(bins[b].mean_score, golden_bin_score[filled], 1e-14);
			filled++;
		}
	CHECK(filled == GOLDEN_BINS_FILLED);
	CHECK(stats_calibration(&c, bins, 8, STATS_BINS_EQUAL_WIDTH, &golden_patients, 0.95, &env) == STATS_OK);
	NEAR(c.ece.low, GOLDEN_ECE_LOW_CLUSTER, 1e-12);
	NEAR(c.ece.high, GOLDEN_ECE_HIGH_CLUSTER, 1e-12);
	CHECK(stats_calibration(&c, bins, 8, STATS_BINS_EQUAL_COUNT, &golden_patients, 0.95, &env) == STATS_OK);
	NEAR((c.slope.high - c.slope.low) / 2 / stats_two_sided_t(0.95, GOLDEN_DEGREES_CLUSTER),
		 GOLDEN_SLOPE_SE_CLUSTER, 1e-8);
	NEAR((c.intercept.high - c.intercept.low) / 2 / stats_two_sided_t(0.95, GOLDEN_DEGREES_CLUSTER),
		 GOLDEN_INTERCEPT_SE_CLUSTER, 1e-8);
	for (int b = 0; b < 8; b++)
		CHECK(bins[b].n > 10 && bins[b].n < 28 && bins[b].low <= bins[b].mean_score);
	CHECK(stats_calibration(&c, bins, 8, STATS_BINS_EQUAL_WIDTH, &rows, 0.95, &env) == STATS_OK);
	CHECK(!c.fitted && isnan(c.slope.value) && bins[0].n == 1 && bins[2].n == 0);
	NEAR(c.in_the_large.value, 0.0, 1e-9);
	CHECK(c.in_the_large.low < c.in_the_large.value);
	memset(label, 0, sizeof(label));
	CHECK(stats_calibration(&c, bins, 8, STATS_BINS_EQUAL_WIDTH, &rows, 0.95, &env) == STATS_OK);
	CHECK(!c.fitted && c.observed == 0.0);
	CHECK(stats_calibration(&c, bins, 0, STATS_BINS_EQUAL_WIDTH, &rows, 0.95, &env) == STATS_BAD_ARGUMENT);
	CHECK(memory.live == 0);
}

static void
test_scaling(void)
{
	double logit[N];
	int32_t label[N];
	int32_t label3[N];
	StatsPlatt platt;
	double t;

	for (int i = 0; i < N; i++)
	{
		logit[i] = stats_logit(golden_score_a[i]);
		label[i] = golden_label[i];
		label3[i] = golden_label3[i];
	}
	CHECK(stats_fit_platt(&platt, logit, golden_label, N, &env) == STATS_OK);
	NEAR(platt.slope, GOLDEN_PLATT_SLOPE, 1e-9);
	NEAR(platt.intercept, GOLDEN_PLATT_INTERCEPT, 1e-9);
	CHECK(!platt.bounded);
	CHECK(stats_fit_temperature(&t, logit, label, N, 1, &env) == STATS_OK);
	NEAR(t, GOLDEN_TEMPERATURE2, 1e-6);
	CHECK(stats_fit_temperature(&t, golden_logit3, label3, N, 3, NULL) == STATS_OK);
	NEAR(t, GOLDEN_TEMPERATURE3, 1e-6);
	/* reversed scores: the slope stays positive, the intercept is the rate */
	for (int i = 0; i < N; i++)
		logit[i] = -logit[i];
	CHECK(stats_fit_platt(&platt, logit, golden_label, N, &env) == STATS_OK);
	CHECK(platt.bounded && platt.slope == STATS_PLATT_MIN_SLOPE);
	/* far apart classes: finite; a constant logit too */
	for (int i = 0; i < N; i++)
		logit[i] = golden_label[i] ? 40.0 : -40.0;
	CHECK(stats_fit_platt(&platt, logit, golden_label, N, &env) == STATS_OK);
	CHECK(platt.slope > 0.05 && platt.slope < 1.0);
	NEAR(stats_sigmoid(platt.slope * 40 + platt.intercept), 85.0 / 86.0, 1e-6);
	CHECK(stats_fit_temperature(&t, logit, label, N, 1, &env) == STATS_OK);
	CHECK(t < 0.06);
	for (int i = 0; i < N; i++)
		logit[i] = 3.0;
	CHECK(stats_fit_platt(&platt, logit, golden_label, N, &env) == STATS_OK);
	NEAR(stats_sigmoid(platt.slope * 3 + platt.intercept), 84.0 / 150.0, 5e-3);
	logit[7] = INFINITY;
	CHECK(stats_fit_platt(&platt, logit, golden_label, N, &env) == STATS_BAD_ARGUMENT);
	CHECK(stats_fit_temperature(&t, logit, label, N, 1, &env) == STATS_BAD_ARGUMENT);
	NEAR(stats_sigmoid(-800.0), 0.0, 0);
	NEAR(stats_sigmoid(stats_logit(0.3)), 0.3, 1e-15);
}

static void
test_golden_classes(void)
{
	double p[3 * N];
	int32_t label[N];
	StatsClassRows rows = {p, label, NULL, N, 3};
	StatsClassFigures f;

	for (int i = 0; i < N; i++)
	{
		const double *z = golden_logit3 + 3 * i;
		double sum = exp(z[0]) + exp(z[1]) + exp(z[2]);

		label[i] = golden_label3[i];
		for (int c = 0; c < 3; c++)
			p[3 * i + c] = exp(z[c]) / sum;
	}
	CHECK(stats_class_figures(&f, NULL, NULL, NULL, &rows, &env) == STATS_OK);
	NEAR(f.log_loss, GOLDEN_CLASS_LOG_LOSS, 1e-12);
	NEAR(f.macro_auc, GOLDEN_CLASS_MACRO_AUC, 1e-14);
	NEAR(f.macro_f1, GOLDEN_CLASS_MACRO_F1, 1e-14);
	NEAR(f.macro_sensitivity, GOLDEN_CLASS_MACRO_SENSITIVITY, 1e-14);
	NEAR(f.accuracy, GOLDEN_CLASS_ACCURACY, 1e-15);
	NEAR(f.brier, GOLDEN_CLASS_BRIER, 1e-13);
	CHECK(memory.live == 0);
}

static void
test_compare(void)
{
	StatsPair pair = {golden_score_a, golden_score_b, golden_label, NULL, N, 0.5, 0.5};
	StatsComparison c;
	double scaled[N];

	CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
	NEAR(c.auc.value, GOLDEN_AUC_A - GOLDEN_AUC_B, 1e-14);
	NEAR(c.auc_se, GOLDEN_DELONG_DIFFERENCE_SE, 1e-13);
	NEAR(c.auc.low, GOLDEN_DELONG_DIFFERENCE_LOW, 1e-12);
	NEAR(c.auc.high, GOLDEN_DELONG_DIFFERENCE_HIGH, 1e-12);
	NEAR(c.accuracy.low, GOLDEN_ACCURACY_DIFFERENCE_LOW_ROWS, 1e-12);
	NEAR(c.accuracy.high, GOLDEN_ACCURACY_DIFFERENCE_HIGH_ROWS, 1e-12);
	NEAR(c.auc_p, GOLDEN_DELONG_DIFFERENCE_P, 1e-12);
	NEAR(c.log_loss.low, GOLDEN_LOG_LOSS_DIFFERENCE_ROWS_LOW, 1e-12);
	NEAR(c.brier.low, GOLDEN_BRIER_DIFFERENCE_ROWS_LOW, 1e-12);
	CHECK(c.only_a_right == GOLDEN_ONLY_A_RIGHT && c.only_b_right == GOLDEN_ONLY_B_RIGHT);
	NEAR(c.mcnemar_p, GOLDEN_MCNEMAR_P, 1e-13);
	NEAR(c.accuracy.value, (GOLDEN_ONLY_A_RIGHT - GOLDEN_ONLY_B_RIGHT) / N, 1e-14);
	CHECK(c.accuracy.low < c.accuracy.value && c.accuracy.value < c.accuracy.high);
	pair.cluster = golden_cluster;
	CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
	NEAR(c.auc_se, GOLDEN_OBUCHOWSKI_DIFFERENCE_SE, 1e-13);
	NEAR(c.auc.low, GOLDEN_OBUCHOWSKI_DIFFERENCE_LOW, 1e-12);
	NEAR(c.auc.high, GOLDEN_OBUCHOWSKI_DIFFERENCE_HIGH, 1e-12);
	NEAR(c.accuracy.low, GOLDEN_ACCURACY_DIFFERENCE_LOW_CLUSTER, 1e-12);
	NEAR(c.accuracy.high, GOLDEN_ACCURACY_DIFFERENCE_HIGH_CLUSTER, 1e-12);
	NEAR(c.auc_p, GOLDEN_OBUCHOWSKI_DIFFERENCE_P, 1e-12);
	NEAR(c.log_loss.low, GOLDEN_LOG_LOSS_DIFFERENCE_CLUSTER_LOW, 1e-12);
	NEAR(c.brier.low, GOLDEN_BRIER_DIFFERENCE_CLUSTER_LOW, 1e-12);
	NEAR(c.mcnemar_p, GOLDEN_SIGN_TEST_P, 1e-12);
	NEAR(c.auc_a.low, GOLDEN_OBUCHOWSKI_LOW, 1e-12);
	/* with itself: no difference in AUC, and nothing discordant seen */
	pair.score_b = golden_score_a;
	CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
	CHECK(c.auc.value == 0.0 && c.auc.low == 0.0 && c.auc_p == 1.0 && c.mcnemar_p == 1.0);
	CHECK(c.accuracy.low < 0.0 && c.accuracy.high > 0.0 && c.accuracy.high < 0.2);
	/* with other scores in the same order: no point */
	for (int i = 0; i < N; i++)
		scaled[i] = 0.9 * golden_score_a[i];
	pair.score_b = scaled;
	CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
	CHECK(c.auc.value == 0.0 && c.auc.low < 0.0 && c.auc.high > 0.0 && c.auc_p == 1.0);
	/* models that are nearly the same: an interval much narrower than those of the single AUCs */
	for (int i = 0; i < N; i++)
		scaled[i] = 0.97 * golden_score_a[i] + 0.03 * golden_score_b[i];
	CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
	CHECK(c.auc.high - c.auc.low < 0.25 * (c.auc_a.high - c.auc_a.low) && c.auc.high > c.auc.low);
	CHECK(memory.live == 0);
}

/* With two classes everything is as the two-class functions say. */
static void
test_two_of_many(void)
{
	static double p[2 * 150];
	static double q[2 * 150];
	static int32_t label[150];
	StatsClassRows rows = {p, label, golden_cluster, N, 2};
	StatsRows two = {golden_score_a, golden_label, golden_cluster, N};
	StatsPair pair = {golden_score_a, golden_score_b, golden_label, golden_cluster, N, 0.5, 0.5};
	StatsClassEvaluation e;
	StatsEvaluation one[2];
	StatsEvaluation want;
	StatsClassComparison c;
	StatsComparison d;

	for (int i = 0; i < (int) N; i++)
	{
		label[i] = golden_label[i];
		p[2 * i + 1] = golden_score_a[i];
		p[2 * i] = 1.0 - golden_score_a[i];
		q[2 * i + 1] = golden_score_b[i];
		q[2 * i] = 1.0 - golden_score_b[i];
	}
	CHECK(stats_class_evaluate(&e, one, &rows, NULL, &env) == STATS_OK);
	CHECK(stats_evaluate(&want, &two, NULL, &env) == STATS_OK);
	NEAR(e.macro_auc.value, want.auc.value, 1e-12);
	NEAR(e.macro_auc.low, want.auc.low, 1e-12);
	NEAR(e.macro_auc.high, want.auc.high, 1e-12);
	NEAR(e.accuracy.low, want.accuracy.low, 1e-12);
	NEAR(e.log_loss.value, want.log_loss.value, 1e-12);
	NEAR(e.log_loss.low, want.log_loss.low, 1e-12);
	NEAR(e.brier.high, 2.0 * want.brier.high, 1e-12);
	NEAR(e.macro_sensitivity.value, (want.sensitivity.value + want.specificity.value) / 2, 1e-12);
	CHECK(e.macro_sensitivity.low < e.macro_sensitivity.value);
	NEAR(one[1].sensitivity.high, want.sensitivity.high, 1e-12);
	NEAR(one[1].f1.low, want.f1.low, 1e-12);
	NEAR(one[0].sensitivity.low, want.specificity.low, 1e-12);
	CHECK(e.n_present == 2 && e.n_clusters == want.n_clusters);

	CHECK(stats_class_compare(&c, &rows, q, NULL, &env) == STATS_OK);
	CHECK(stats_compare(&d, &pair, NULL, &env) == STATS_OK);
	NEAR(c.macro_auc.low, d.auc.low, 1e-12);
	NEAR(c.macro_auc.high, d.auc.high, 1e-12);
	NEAR(c.macro_auc_p, d.auc_p, 1e-12);
	NEAR(c.accuracy.low, d.accuracy.low, 1e-12);
	NEAR(c.log_loss.low, d.log_loss.low, 1e-12);
	NEAR(c.mcnemar_p, d.mcnemar_p, 1e-12);
	CHECK(c.only_a_right == d.only_a_right && c.only_b_right == d.only_b_right);
	CHECK(stats_class_compare(&c, &rows, p, NULL, &env) == STATS_OK);
	CHECK(c.macro_auc.low == 0.0 && c.macro_auc_p == 1.0 && c.macro_sensitivity.low < 0.0);
	CHECK(memory.live == 0);
}

/* All right, and a class without rows. */
static void
test_classes_degenerate(void)
{
	double p[6 * 4];
	int32_t label[6] = {0, 0, 1, 1, 2, 2};
	StatsClassRows rows = {p, label, NULL, 6, 4};
	StatsClassEvaluation e;
	StatsEvaluation one[4];

	for (int i = 0; i < 6; i++)
		for (int c = 0; c < 4; c++)
			p[4 * i + c] = c == label[i] ? 0.94 - 0.01 * i : (0.06 + 0.01 * i) / 3;
	CHECK(stats_class_evaluate(&e, one, &rows, NULL, &env) == STATS_OK);
	CHECK(e.n_present == 3 && one[3].n_positive == 0 && isnan(one[3].auc.value));
	CHECK(e.macro_auc.value == 1.0 && e.macro_auc.low < 0.9 && e.macro_auc.high == 1.0);
	CHECK(e.macro_sensitivity.value == 1.0 && e.macro_sensitivity.low < 0.9);
	CHECK(e.macro_f1.low < 0.9 && e.macro_specificity.low < 0.95);
	for (int i = 0; i < 6; i++)
		label[i] = 1;
	CHECK(stats_class_evaluate(&e, one, &rows, NULL, &env) == STATS_ONE_CLASS);
	rows.n_classes = STATS_MAX_CLASSES + 1;
	rows.n = 0;
	CHECK(stats_class_evaluate(&e, NULL, &rows, NULL, &env) == STATS_NO_ROWS);
	CHECK(memory.live == 0);
}

/* McNemar's exact test on (101, 121; 59, 33): p = 4.434e-06. */
static void
test_mcnemar_published(void)
{
	static double a[314], b[314];
	static uint8_t label[314];
	static const int cells[4] = {101, 121, 59, 33};
	StatsPair pair = {a, b, label, NULL, 314, 0.5, 0.5};
	StatsComparison c;
	int n = 0;

	for (int cell = 0; cell < 4; cell++)
		for (int i = 0; i < cells[cell]; i++, n++)
		{
			label[n] = n % 2;
			a[n] = (cell < 2) == label[n] ? 0.8 : 0.2;
			b[n] = (cell % 2 == 0) == label[n] ? 0.7 : 0.3;
		}
	CHECK(stats_compare(&c, &pair, NULL, &env) == STATS_OK);
	CHECK(c.only_a_right == 121 && c.only_b_right == 59);
	NEAR(c.mcnemar_p, 4.434e-06, 1e-9);
}

static void
test_shortcut(void)
{
	StatsShortcut s;
	StatsLogistic model;
	double score[N];
	double auc;
	StatsRows rows = {score, golden_label, NULL, N};
	double noise[N];
	uint64_t two[N];

	CHECK(stats_fit_logistic(&model, golden_features, 4, golden_label, NULL, N, &env) == STATS_OK);
	for (int j = 0; j < 4; j++)
		NEAR(model.weight[j], golden_logistic_weight[j], 1e-8);
	NEAR(model.intercept, GOLDEN_LOGISTIC_INTERCEPT, 1e-8);
	for (int i = 0; i < N; i++)
		score[i] = stats_logistic_score(&model, golden_features + 4 * i);
	CHECK(stats_auc(&auc, &rows, &env) == STATS_OK);
	NEAR(auc, GOLDEN_LOGISTIC_AUC, 1e-12);
	CHECK(stats_shortcut(&s, score, golden_features, 4, golden_label, golden_cluster, N, 5, 1, 0.95, &env) ==
		  STATS_OK);
	CHECK(s.n_folds == 5 && s.auc.auc.value < auc && s.auc.auc.value > auc - 0.06);
	NEAR(s.model.weight[0], golden_logistic_weight[0], 1e-8);
	/* a feature that tells nothing: in-sample it would flatter */
	for (int i = 0; i < N; i++)
	{
		noise[i] = (double) ((i * 7919) % 151);
		two[i] = golden_label[i];
	}
	CHECK(stats_shortcut(&s, NULL, noise, 1, golden_label, NULL, N, 5, 1, 0.95, &env) == STATS_OK);
	CHECK(s.auc.auc.low < 0.5 || s.auc.auc.value < 0.6);
	CHECK(stats_shortcut(&s, NULL, noise, 1, golden_label, two, N, 5, 1, 0.95, &env) == STATS_TOO_FEW);
	noise[3] = NAN;
	CHECK(stats_shortcut(&s, NULL, noise, 1, golden_label, NULL, N, 5, 1, 0.95, &env) == STATS_BAD_ARGUMENT);
	CHECK(memory.live == 0);
}

static void
test_eigen(void)
{
	double m[49];
	double value[7];
	double one = -3.0;
	void *lapack;

	memcpy(m, golden_matrix, sizeof(m));
	CHECK(stats_eigen_symmetric(m, value, 7, NULL, &env) == STATS_OK);
	for (int i = 0; i < 7; i++)
		NEAR(value[i], golden_eigenvalue[i], 1e-12);
	for (int i = 0; i < 49; i++)
		NEAR(m[i], golden_eigenvector[i], 1e-10);
	CHECK(stats_eigen_symmetric(&one, value, 1, NULL, &env) == STATS_OK);
	CHECK(value[0] == -3.0 && one == 1.0);
	memset(m, 0, sizeof(m));
	CHECK(stats_eigen_symmetric(m, value, 7, NULL, &env) == STATS_OK && value[0] == 0.0);
	memcpy(m, golden_matrix, sizeof(m));
	/* the same by LAPACK, where there is one */
	lapack = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
	if (lapack != NULL)
	{
		StatsDsyev dsyev;
		void *symbol = dlsym(lapack, "dsyev_");

		memcpy(&dsyev, &symbol, sizeof(dsyev));
		memcpy(m, golden_matrix, sizeof(m));
		for (int i = 0; i < 7; i++)
			for (int j = i + 1; j < 7; j++)
				m[i * 7 + j] = NAN; /* the upper triangle is not read */
		CHECK(stats_eigen_symmetric(m, value, 7, dsyev, &env) == STATS_OK);
		for (int i = 0; i < 7; i++)
			NEAR(value[i], golden_eigenvalue[i], 1e-12);
		for (int i = 0; i < 49; i++)
			NEAR(m[i], golden_eigenvector[i], 1e-10);
	}
	else
		printf("  no LAPACK: its eigenvectors are not tested\n");
	m[7] = NAN;
	CHECK(stats_eigen_symmetric(m, value, 7, NULL, &env) == STATS_BAD_ARGUMENT);
	CHECK(memory.live == 0);
}

int
main(void)
{
	env = test_env(&memory);
	test_point_figures();
	test_row_errors();
	test_classes();
	test_distributions();
	test_wilson_published();
	test_auc_published();
	test_auc_interval();
	test_evaluate();
	test_proportion();
	test_degenerate();
	test_row_order();
	test_roc();
	test_operating_points();
	test_calibration();
	test_bin_edges();
	test_one_cluster();
	test_scaling();
	test_golden_classes();
	test_compare();
	test_two_of_many();
	test_classes_degenerate();
	test_mcnemar_published();
	test_shortcut();
	test_eigen();
	printf("%d passed, %d failed\n", checks - failures, failures);
	return failures != 0;
}
