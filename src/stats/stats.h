/*-------------------------------------------------------------------------
 *
 * stats.h
 *		Evaluation mathematics of pneumo: the public header of src/stats.
 *
 * Plain C11 and libm; no server header, no file, no output, no global state.
 * All results are double.  A function that can fail returns a StatsStatus;
 * its outputs are valid only with STATS_OK.
 *
 * Words
 *		row			one image: a score, a label, perhaps a cluster
 *		score		probability of the positive class, in [0, 1]
 *		positive	a row is called positive when score >= threshold
 *		cluster		the patient; rows of one cluster are not independent
 *
 * Memory, stop: StatsEnv below.  Every function releases what it allocated,
 * also when it fails; if the allocator itself jumps out (a server's palloc
 * that raises), nothing but that memory is left behind.
 *
 * Results do not depend on the order of the rows, except for the last bits
 * of floating-point sums.
 *
 * Sampling
 *		The patients are a random sample of a population; their numbers of rows
 *		and their classes are random with them.  Sensitivity, specificity,
 *		likelihood ratios and AUC are those of a class, or of a pair of classes,
 *		and hold for any share of positives.  Accuracy, PPV, NPV, F1, losses and
 *		calibration are those of a population with the share of positives that
 *		the rows have, and their limits allow for its randomness: where the
 *		numbers of patients by class were chosen, they are too wide, and the
 *		figures hold for that choice only.
 *
 * Few large clusters
 *		Student quantiles have the degrees of freedom of Satterthwaite under
 *		perfect correlation within a cluster: (E V)^2 / (half the variance of V)
 *		for independent cluster means weighted by the clusters' numbers of rows.
 *		With k clusters of equal size they are k - 1; f below stands for them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_STATS_STATS_H
#define PNEUMO_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum StatsStatus
{
	STATS_OK = 0,
	STATS_NO_ROWS,        /* n is 0 */
	STATS_ONE_CLASS,      /* all labels are equal: no AUC, no ROC */
	STATS_SCORE_NAN,      /* a score is NaN */
	STATS_SCORE_RANGE,    /* a score is outside [0, 1] */
	STATS_BAD_LABEL,      /* a label is not 0 or 1 (or not a class) */
	STATS_BAD_ARGUMENT,   /* a threshold, a count or a level is out of range */
	STATS_NO_MEMORY,      /* the allocator refused, or a size overflows */
	STATS_INTERRUPTED,    /* the stop callback said so */
	STATS_NO_CONVERGENCE, /* an iteration found no finite solution */
	STATS_UNREACHABLE,    /* no threshold meets the demand */
	STATS_TOO_FEW         /* fewer than two clusters of a class */
} StatsStatus;

/* Returns the meaning of a status in lower-case English without full stop; never NULL. */
extern const char *stats_status_text(StatsStatus status);

/*
 * What the caller lends.  allocate returns memory aligned for any type, or
 * NULL when it refuses (a budget, no memory); release takes it back.  stop is
 * polled at least every 50 ms of work, may be NULL, and returns true to end
 * the call with STATS_INTERRUPTED.
 */
typedef struct StatsEnv
{
	void *(*allocate)(void *arg, size_t bytes);
	void (*release)(void *arg, void *memory);
	bool (*stop)(void *arg);
	void *arg;
} StatsEnv;

/* The rows of a two-class evaluation; borrowed, never written. */
typedef struct StatsRows
{
	const double *score;     /* n, each in [0, 1] */
	const uint8_t *label;    /* n, 1 positive, 0 negative */
	const uint64_t *cluster; /* n ids (any numbers, equal = same patient),
								 * or NULL: every row is its own cluster */
	size_t n;
} StatsRows;

/*
 * Checks rows in their order; *bad_row (may be NULL) gets the index of the
 * first row that is not acceptable.  STATS_NO_ROWS for n = 0.  One class only
 * is accepted here.  All functions below check their rows this way themselves.
 */
extern StatsStatus stats_check_rows(const StatsRows *rows, size_t *bad_row);

/* ------------------------------------------------------------------------
 * Point figures of two classes (metrics.c, auc.c)
 * ------------------------------------------------------------------------
 */

/*
 * A probability enters a logarithm as min(max(p, eps), 1 - eps), as in Keras,
 * so that one certain error costs 16.1 and not infinity.
 */
#define STATS_LOG_LOSS_EPSILON 1e-7

typedef struct StatsCounts
{
	uint64_t tp;
	uint64_t fp;
	uint64_t tn;
	uint64_t fn;
} StatsCounts;

/*
 * Figures at a threshold.  A ratio whose denominator is 0 is NaN
 * (sensitivity without positives, PPV when no row is called positive).
 *
 *	accuracy	(TP + TN) / n			sensitivity	TP / (TP + FN)
 *	specificity	TN / (TN + FP)			ppv			TP / (TP + FP)
 *	npv			TN / (TN + FN)			f1			2 TP / (2 TP + FP + FN)
 *	lr_positive	sensitivity / (1 - specificity)		may be infinite
 *	lr_negative	(1 - sensitivity) / specificity		may be infinite
 *	log_loss	mean of -ln(probability given to the true class), clipped
 *	brier		mean of (score - label)^2
 */
typedef struct StatsFigures
{
	StatsCounts counts;
	double accuracy;
	double sensitivity;
	double specificity;
	double ppv;
	double npv;
	double f1;
	double lr_positive;
	double lr_negative;
	double log_loss;
	double brier;
} StatsFigures;

/*
 * Fills the figures at a threshold, which is any number but NaN.  Needs no
 * memory; env may be NULL, and with one, stop is polled.  One class only is
 * fine.
 */
extern StatsStatus stats_figures(StatsFigures *figures, const StatsRows *rows, double threshold,
								 const StatsEnv *env);

/* Fills the ratios alone, from counts; log_loss and brier become NaN. */
extern void stats_figures_from_counts(StatsFigures *figures, const StatsCounts *counts);

/*
 * Computes the area under the ROC curve: the Mann-Whitney probability that a
 * positive row scores higher than a negative one, ties counted one half.  Exact
 * (integer arithmetic, one rounding).  Memory: 32 bytes a row.  STATS_ONE_CLASS
 * when it is not defined.
 */
extern StatsStatus stats_auc(double *auc, const StatsRows *rows, const StatsEnv *env);

/* ------------------------------------------------------------------------
 * More than two classes (multiclass.c)
 * ------------------------------------------------------------------------
 */

#define STATS_MAX_CLASSES 64 /* of figures with limits */

/* probability is row-major [n][n_classes], each in [0, 1]. */
typedef struct StatsClassRows
{
	const double *probability;
	const int32_t *label;    /* n, 0 .. n_classes - 1 */
	const uint64_t *cluster; /* n, or NULL */
	size_t n;
	int32_t n_classes; /* at least 2 */
} StatsClassRows;

/*
 * The predicted class is the most probable one, the lowest number on ties.
 * Per class: one-vs-rest, predicted class against true class; a ratio
 * without denominator is NaN.  Macro figures are plain means over the classes
 * that have rows (n_present); a present class whose precision has no
 * denominator counts as 0 in macro_f1, as in scikit-learn.
 *
 *	log_loss	mean of -ln p[true class], clipped as above
 *	brier		mean over rows of the sum over classes of (p - y)^2, 0 to 2
 */
typedef struct StatsClassFigures
{
	double accuracy;
	double log_loss;
	double brier;
	double macro_sensitivity;
	double macro_specificity;
	double macro_f1;
	double macro_auc; /* one-vs-rest, Mann-Whitney */
	int32_t n_present;
} StatsClassFigures;

/*
 * Fills the figures of rows with more than two classes.  class_figures and
 * class_auc have n_classes entries, either may be NULL;
 * confusion (may be NULL) is [true class][predicted class].  A class without
 * rows, or the only class, has AUC NaN and is left out of macro_auc; if no
 * class has an AUC the call fails with STATS_ONE_CLASS.
 */
extern StatsStatus stats_class_figures(StatsClassFigures *figures, StatsFigures *class_figures,
									   double *class_auc, uint64_t *confusion, const StatsClassRows *rows,
									   const StatsEnv *env);

/* ------------------------------------------------------------------------
 * Intervals (intervals.c, auc.c)
 *
 * confidence is two-sided, above 0 and below 1 (0.95).
 * ------------------------------------------------------------------------
 */
#define STATS_DEFAULT_CONFIDENCE 0.95

/*
 * value lies in [low, high]; all NaN where the figure is not defined, the limits
 * alone where they are not, as for a slope with one cluster
 */
typedef struct StatsInterval
{
	double value;
	double low;
	double high;
} StatsInterval;

/*
 * Fills Wilson's score interval (Wilson 1927; Newcombe, Stat Med 1998, method 3)
 * of proportion p observed on n rows; n may be a fraction.  Never empty, and
 * inside [0, 1].
 */
extern StatsStatus stats_wilson(StatsInterval *interval, double p, double n, double confidence);

/*
 * Fills the interval of a proportion over rows that come in clusters: Wilson's
 * interval on the effective number of rows, n_effective = n / D * (t[n-1] /
 * t[f])^2 with t the Student quantiles of the level (Korn and Graubard, Survey
 * Methodology 1998) and D, at least 1, the design effect of k clusters
 *
 *		D = [k/(k-1) sum (x_i - p m_i)^2 / n^2] / [p (1-p) / (n-1)]
 *
 * where cluster i has x_i successes in m_i rows.  With e clusters that hold
 * the rarer outcome D knows little: a share 1/(1+e) of the way to its value
 * under perfect correlation, sum m_i^2 / n, is added (all of it for p = 0 or
 * 1).  With one row per cluster this is the plain Wilson interval.
 * success[i] is 0 or 1; cluster may be NULL; n_effective may be NULL.
 * Memory: 56 bytes a row.
 */
extern StatsStatus stats_proportion(StatsInterval *interval, double *n_effective, const uint8_t *success,
									const uint64_t *cluster, size_t n, double confidence,
									const StatsEnv *env);

/*
 * AUC with its standard error and interval.  The variance is that of DeLong,
 * DeLong and Clarke-Pearson (Biometrics 1988); with clusters that of
 * Obuchowski (Biometrics 1997), which equals it for one row per cluster.
 * Limits: logit(AUC) +- t se / (AUC (1 - AUC)), t the Student quantile with
 * the degrees of freedom of Welch (Biometrika 1947) and Satterthwaite: V^2 /
 * (V1^2 / f1 + V0^2 / f0), V the variance, V1 and V0 what the positive and the
 * negative rows add to it, f1 and f0 their degrees of freedom; but at most k - 1,
 * k the smaller of the numbers of clusters with positive and with negative rows.
 * Where that does not exist (AUC 0 or 1, variance 0, a class with a single
 * cluster): Newcombe's score interval (Stat Med 2006, Part 2, method 5) with
 * the numbers of clusters as numbers of rows.  Never a point.
 * Memory: 80 bytes a row.
 */
typedef struct StatsAuc
{
	StatsInterval auc;
	double se;           /* may be 0 */
	bool score_interval; /* Newcombe's limits were used */
} StatsAuc;

/* Fills the AUC of rows with its limits. */
extern StatsStatus stats_auc_interval(StatsAuc *result, const StatsRows *rows, double confidence,
									  const StatsEnv *env);

/* ------------------------------------------------------------------------
 * A whole evaluation (evaluate.c, means.c)
 * ------------------------------------------------------------------------
 */
typedef struct StatsOptions
{
	double threshold;
	double confidence;
} StatsOptions;

/*
 * Figures with limits.
 *
 *	accuracy, sensitivity, specificity, ppv, npv
 *		as stats_proportion
 *	lr_positive, lr_negative
 *		limits on the logarithmic scale with the variance
 *		(1-a)/(a n_a) + (1-b)/(b n_b) of the ratio of the rates a and b (Simel,
 *		J Clin Epidemiol 1991), n the effective numbers.  If a rate is 0 or 1,
 *		half a row is added to each cell for the limits, which then extend to
 *		the value.
 *	auc
 *		as stats_auc_interval
 *	f1
 *		2 j / (1 + j) of the limits of j = TP / (TP + FP + FN), as
 *		stats_proportion: F1 is that function of the proportion j (Wilson's
 *		indirect method of Lam, Gopal and Qian, 2023, arXiv 2309.14621)
 *	log_loss, brier
 *		Student's limits with f degrees of freedom on the logit scale of the
 *		figure's share of the largest possible value (16.1; 1), with the
 *		cluster-robust variance k/(k-1) sum (x_i - mean m_i)^2 / n^2 of a ratio
 *		(Liang and Zeger, Biometrika 1986), x_i the sum over the m_i rows of
 *		cluster i.  Without variance, or at 0: Wilson's interval of that share,
 *		with the number of clusters.
 */
typedef struct StatsEvaluation
{
	size_t n;
	size_t n_positive;
	size_t n_negative;
	size_t n_clusters;
	size_t n_clusters_positive; /* clusters with a positive row */
	size_t n_clusters_negative;
	StatsOptions options; /* as used */
	StatsCounts counts;
	StatsInterval accuracy;
	StatsInterval sensitivity;
	StatsInterval specificity;
	StatsInterval ppv;
	StatsInterval npv;
	StatsInterval lr_positive;
	StatsInterval lr_negative;
	StatsInterval f1;
	StatsInterval log_loss;
	StatsInterval brier;
	StatsInterval auc;
	double auc_se;
} StatsEvaluation;

/*
 * Evaluates rows of two classes.  options may be NULL: threshold 0.5,
 * confidence 0.95.  STATS_ONE_CLASS: *result is filled
 * all the same, with NaN for the AUC and for each figure of the missing class.
 */
extern StatsStatus stats_evaluate(StatsEvaluation *result, const StatsRows *rows, const StatsOptions *options,
								  const StatsEnv *env);

/* ------------------------------------------------------------------------
 * More than two classes with limits (multiclass_evaluate.c, multiclass_sums.c,
 * multiclass_auc.c)
 * ------------------------------------------------------------------------
 */

/*
 * Macro figures are means over the classes, as in StatsClassFigures.
 *
 *	accuracy
 *		as stats_proportion
 *	macro_auc
 *		the variance of the mean of the one-vs-rest areas from the placement
 *		values of each row, summed over the classes and then per cluster: the
 *		structural components of DeLong et al. (1988) with the clusters of
 *		Obuchowski (1997), the sum over true classes taking the part of the
 *		sum over two.  Logit scale and Student quantile as stats_auc_interval,
 *		to which it is equal for two classes.  Where that does not exist: the
 *		means of the classes' limits, which are those of areas that move
 *		together, so they err on the wide side.
 *	macro_sensitivity, macro_specificity, macro_f1
 *		square and add (MOVER; Zou and Donner, Stat Med 2008) of the classes'
 *		limits, which are those of StatsEvaluation: the distance of the mean to
 *		its limit is the square root of sum r_cd d_c d_d over pairs of classes,
 *		divided by their number, d_c the distance of class c and r_cd the
 *		correlation over clusters
 *	log_loss, brier
 *		as in StatsEvaluation
 */
typedef struct StatsClassEvaluation
{
	size_t n;
	size_t n_clusters;
	int32_t n_present;    /* classes with rows */
	StatsOptions options; /* as used; the threshold plays no part */
	StatsInterval accuracy;
	StatsInterval macro_sensitivity;
	StatsInterval macro_specificity;
	StatsInterval macro_f1;
	StatsInterval macro_auc;
	StatsInterval log_loss;
	StatsInterval brier; /* 0 to 2 */
} StatsClassEvaluation;

/*
 * Evaluates rows of more than two classes.  of_class (n_classes, may be NULL)
 * gets each class against the rest, as stats_evaluate gives it with the score
 * of the class, where a row is called positive if the class is the most
 * probable one; of a class without rows the AUC and what needs a row of it are
 * NaN.  2 to STATS_MAX_CLASSES classes; STATS_ONE_CLASS if all rows are of one.
 */
extern StatsStatus stats_class_evaluate(StatsClassEvaluation *result, StatsEvaluation *of_class,
										const StatsClassRows *rows, const StatsOptions *options,
										const StatsEnv *env);

/* ------------------------------------------------------------------------
 * Several findings of a row (findings.c)
 * ------------------------------------------------------------------------
 */

#define STATS_UNKNOWN 2

/* Rows that may have any number of findings. */
typedef struct StatsFindingRows
{
	const double *probability; /* row-major [n][n_findings], each in [0, 1] */
	const uint8_t *target;     /* the same: 1 there, 0 not, STATS_UNKNOWN */
	const uint64_t *cluster;   /* n, or NULL */
	const double *threshold;   /* n_findings */
	size_t n;
	int32_t n_findings; /* 1 to STATS_MAX_CLASSES */
} StatsFindingRows;

/*
 * Figures over the findings: means of those of the findings for which a figure is
 * defined.  Limits by square and add (MOVER; Zou and Donner, Stat Med 2008) of the
 * findings' limits, which are those of StatsEvaluation: the distance of the mean to
 * its limit is the square root of sum r_cd d_c d_d over pairs of findings, divided
 * by their number, d_c the distance of finding c and r_cd the correlation over
 * clusters of what the rows add to the two figures.  With one finding they are its
 * own limits; findings that have nothing in common correlate with nothing.
 */
typedef struct StatsFindingEvaluation
{
	size_t n; /* rows */
	size_t n_clusters;
	int32_t n_defined;    /* findings that some rows have and some have not */
	StatsOptions options; /* as used; the threshold plays no part */
	StatsInterval accuracy;
	StatsInterval sensitivity;
	StatsInterval specificity;
	StatsInterval f1;
	StatsInterval log_loss;
	StatsInterval brier;
	StatsInterval auc;
} StatsFindingEvaluation;

/*
 * Evaluates rows of findings.  of_finding (n_findings) gets each of them as
 * stats_evaluate gives it, of the rows of which it is known, at its threshold; where
 * there are none, n is 0 and every figure NaN.
 */
extern StatsStatus stats_finding_evaluate(StatsFindingEvaluation *result, StatsEvaluation *of_finding,
										  const StatsFindingRows *rows, const StatsOptions *options,
										  const StatsEnv *env);

/* ------------------------------------------------------------------------
 * ROC curve and operating points (roc.c, threshold.c)
 * ------------------------------------------------------------------------
 */
typedef struct StatsRocPoint
{
	double threshold; /* +infinity for the first point */
	double false_positive_rate;
	double true_positive_rate;
} StatsRocPoint;

/*
 * Fills the points of the ROC curve by falling threshold, (0,0) first, (1,1)
 * last, one per distinct score.  points has room for n + 1.  With corners_only,
 * points on a straight line between their neighbours are left out.
 */
extern StatsStatus stats_roc(StatsRocPoint *points, size_t *n_points, const StatsRows *rows,
							 bool corners_only, const StatsEnv *env);

typedef enum StatsThresholdRule
{
	STATS_THRESHOLD_FIXED,             /* the given threshold */
	STATS_THRESHOLD_SENSITIVITY,       /* highest with sensitivity >= target */
	STATS_THRESHOLD_SENSITIVITY_LIMIT, /* the same for its lower limit */
	STATS_THRESHOLD_YOUDEN             /* largest sensitivity + specificity - 1; of
								 * equal ones the most sensitive */
} StatsThresholdRule;

/*
 * STATS_THRESHOLD_SENSITIVITY_LIMIT uses the exact one-sided lower limit
 * (Clopper and Pearson, Biometrika 1934) at the level `confidence` (0.95): of
 * p n successes among n, p the sensitivity and n the number of positive rows
 * divided by the design effect D of stats_proportion, at most the number of
 * patients with a positive row.  59 patients, all found, show 0.95 at 0.95.  It goes up from the lowest
 * score as long as every lower threshold keeps the limit, too.
 */
typedef struct StatsThresholdDemand
{
	StatsThresholdRule rule;
	double threshold;   /* FIXED: in [0, 1] */
	double sensitivity; /* SENSITIVITY: in (0, 1]; _LIMIT: in (0, 1) */
	double confidence;  /* in (0, 1): level of the limits reported, and
								 * for _LIMIT, where it is at least 0.5, of the
								 * one-sided limit */
} StatsThresholdDemand;

typedef struct StatsOperatingPoint
{
	double threshold;
	StatsCounts counts;        /* achieved on the rows given */
	StatsInterval sensitivity; /* two-sided, level `confidence`, as stats_proportion */
	StatsInterval specificity;
	double sensitivity_limit; /* exact one-sided lower limit */
} StatsOperatingPoint;

/*
 * Finds the threshold that meets a demand, and what it achieves on the rows.  A
 * fitted threshold is the middle between the lowest score that is called
 * positive and the next lower one (the score itself if there is none, or no
 * number between).  STATS_UNREACHABLE: even calling every row positive does
 * not bring the lower limit to the target (too few patients).
 */
extern StatsStatus stats_operating_point(StatsOperatingPoint *point, const StatsThresholdDemand *demand,
										 const StatsRows *rows, const StatsEnv *env);

/* ------------------------------------------------------------------------
 * Calibration (calibration.c, scaling.c)
 * ------------------------------------------------------------------------
 */
typedef enum StatsBinning
{
	STATS_BINS_EQUAL_WIDTH, /* bin b holds [b/B, (b+1)/B), the last one 1 */
	STATS_BINS_EQUAL_COUNT  /* by rank, equal scores kept together */
} StatsBinning;

#define STATS_MAX_BINS 1000

typedef struct StatsCalibrationBin
{
	double low; /* edges on the score axis (equal count: the
								 * lowest and highest score inside) */
	double high;
	size_t n; /* rows; 0: the figures below are NaN */
	double mean_score;
	StatsInterval observed; /* share of positives, as stats_proportion */
} StatsCalibrationBin;

/*
 * Calibration of the scores; one class only is accepted (fitted is then false).
 *
 *	slope, intercept
 *		of the logistic regression of the label on the logit of the (clipped)
 *		score; 1 and 0 are perfect (Cox, Biometrika 1958)
 *	in_the_large
 *		the intercept with the slope held at 1
 *	ece, mce
 *		the sum over bins of n_b/n |observed - mean score|, and its largest term
 *		without the weight
 *
 * The ECE is above 0 also for perfect scores (Kumar et al., NeurIPS 2019).  It is
 * the sum over bins of |T_b|, T_b the sum of label - score in bin b divided by
 * n, and its limits are, with s_b the standard deviation of T_b,
 *
 *		high	ECE + t S
 *		low		ECE - sum of e(max(0, |T_b| - s_b), s_b) - t S, at least 0
 *
 * where S is the cluster-robust standard error of the sum of T_b times its sign,
 * and e(m, s) the excess of the mean of |X| over m for X normal with mean m and
 * standard deviation s (folded normal; Leone et al., Technometrics 1961): what
 * chance adds.  |X| is never below the signed deviation, so that `high` errs on
 * the wide side.  Without variance: Wilson's interval with k rows.
 *
 * Limits: Student's with f degrees of freedom, and the cluster-robust (sandwich)
 * variance times k/(k-1) (Cameron and Miller, J Hum Resour 2015).  If the
 * scores separate the classes there is no finite slope: fitted is false and
 * slope, intercept and in_the_large are NaN.
 */
typedef struct StatsCalibration
{
	size_t n;
	double mean_score;
	double observed; /* share of positives */
	StatsInterval ece;
	double mce;
	bool fitted;
	StatsInterval slope;
	StatsInterval intercept;
	StatsInterval in_the_large;
} StatsCalibration;

/* Fills *result and n_bins bins (1 to STATS_MAX_BINS). */
extern StatsStatus stats_calibration(StatsCalibration *result, StatsCalibrationBin *bins, size_t n_bins,
									 StatsBinning binning, const StatsRows *rows, double confidence,
									 const StatsEnv *env);

/* Returns 1 / (1 + exp(-x)), exact in both tails. */
extern double stats_sigmoid(double x);

/* Returns the inverse of stats_sigmoid() on a clipped p. */
extern double stats_logit(double p);

/*
 * Platt's scaling: p = sigmoid(slope * logit + intercept), maximum likelihood
 * on the smoothed targets (N1 + 1)/(N1 + 2) and 1/(N0 + 2) (Platt 1999), so
 * that it is finite also for separated classes.  The slope is kept within
 * the bounds below (the intercept is then fitted alone): positive, so that
 * calibration never turns the order of the scores around.
 */
#define STATS_PLATT_MIN_SLOPE 0.01
#define STATS_PLATT_MAX_SLOPE 100.0

typedef struct StatsPlatt
{
	double slope;
	double intercept;
	bool bounded; /* the slope is at a bound */
} StatsPlatt;

/* Fits Platt's scaling to n logits, which are finite (STATS_BAD_ARGUMENT otherwise). */
extern StatsStatus stats_fit_platt(StatsPlatt *platt, const double *logit, const uint8_t *label, size_t n,
								   const StatsEnv *env);

/*
 * Fits temperature scaling (Guo et al., ICML 2017): softmax(logit / temperature),
 * maximum likelihood, temperature within the bounds (nearest to 1 where the
 * likelihood is flat to the last bit).  logit is row-major
 * [n][n_logits], label 0 .. n_logits-1; with n_logits = 1 the logit of class
 * 1 of two.  No memory; env for stop only, may be NULL.
 */
#define STATS_MIN_TEMPERATURE 0.05
#define STATS_MAX_TEMPERATURE 20.0

extern StatsStatus stats_fit_temperature(double *temperature, const double *logit, const int32_t *label,
										 size_t n, int32_t n_logits, const StatsEnv *env);

/* ------------------------------------------------------------------------
 * Two models on the same rows (compare.c)
 * ------------------------------------------------------------------------
 */
typedef struct StatsPair
{
	const double *score_a; /* n each, in [0, 1] */
	const double *score_b;
	const uint8_t *label;
	const uint64_t *cluster; /* or NULL */
	size_t n;
	double threshold_a;
	double threshold_b;
} StatsPair;

/*
 * Differences are a - b.
 *
 *	auc		limits in the middle between two kinds, with t of the degrees of freedom
 *			of stats_auc_interval for the differences of the placement values, and
 *			the paired variance of DeLong et al., clustered as Obuchowski (1997):
 *			difference +- t se, and the smallest and largest difference in the
 *			region of logit AUCs (L - l)' S^-1 (L - l) <= t^2.  The former hold the
 *			true value too rarely where the AUCs differ near 1, the latter where
 *			they do not.  Both become narrow as the correlation of the AUCs comes
 *			near 1, which square and add (Zou and Donner, Stat Med 2008) does not.
 *			auc_p is the level at which such an interval touches 0: the limits
 *			leave out 0 exactly where auc_p is below 1 - confidence.  auc_se gives
 *			DeLong's own test.  Where an AUC is 0 or 1 or has no variance: square
 *			and add of the limits of stats_auc_interval, uncorrelated.  Different
 *			scores that order the classes alike: plus and minus the upper Wilson
 *			limit of 0 in the clusters of the smaller class.  Scores that are all
 *			equal: no difference, p 1.
 *	accuracy, sensitivity, specificity
 *			square and add of the limits of stats_proportion with the correlation
 *			over clusters: Newcombe's method 10 for paired proportions (Stat Med
 *			1998;17:2635).  Without any discordant row: plus and minus the upper
 *			Wilson limit of 0 in the number of clusters.
 *	log_loss, brier
 *			Student's limits with f degrees of freedom and the cluster-robust
 *			variance of the rows' differences
 *	mcnemar_p
 *			two-sided exact test that errors are as frequent in a as in b: the
 *			sign of each cluster's difference (rows only a gets right, minus
 *			rows only b gets right) is equally often either.  One row per
 *			cluster: McNemar's exact test.  Above 4000 discordant rows the
 *			normal approximation, z^2 = (sum d)^2 / sum d^2.
 */
typedef struct StatsComparison
{
	size_t n;
	size_t n_clusters;
	StatsInterval auc_a;
	StatsInterval auc_b;
	StatsInterval auc;
	double auc_se;
	double auc_p;
	StatsInterval accuracy;
	StatsInterval sensitivity;
	StatsInterval specificity;
	StatsInterval log_loss;
	StatsInterval brier;
	uint64_t only_a_right;
	uint64_t only_b_right;
	double mcnemar_p;
} StatsComparison;

/* Compares two models; options->threshold is not used, NULL is as in stats_evaluate. */
extern StatsStatus stats_compare(StatsComparison *result, const StatsPair *pair, const StatsOptions *options,
								 const StatsEnv *env);

/*
 * More than two classes (multiclass_compare.c): rows holds the probabilities of
 * a, probability_b those of b.  Differences a - b as in StatsComparison; macro
 * sensitivity and specificity by square and add over all classes of both models,
 * with the correlations over clusters; McNemar's test on whether the most
 * probable class is the true one.  Where no row is called otherwise by a than
 * by b, the limits of the macro figures are plus and minus the upper Wilson
 * limit of 0 in the clusters of the smallest class.
 */
typedef struct StatsClassComparison
{
	size_t n;
	size_t n_clusters;
	StatsInterval macro_auc_a;
	StatsInterval macro_auc_b;
	StatsInterval macro_auc;
	double macro_auc_se;
	double macro_auc_p;
	StatsInterval accuracy;
	StatsInterval macro_sensitivity;
	StatsInterval macro_specificity;
	StatsInterval log_loss;
	StatsInterval brier;
	uint64_t only_a_right;
	uint64_t only_b_right;
	double mcnemar_p;
} StatsClassComparison;

/* Compares two models of more than two classes. */
extern StatsStatus stats_class_compare(StatsClassComparison *result, const StatsClassRows *rows,
									   const double *probability_b, const StatsOptions *options,
									   const StatsEnv *env);

/* ------------------------------------------------------------------------
 * Logistic regression and the shortcut check (logistic.c, shortcut.c)
 * ------------------------------------------------------------------------
 */
#define STATS_MAX_FEATURES 32

/*
 * Features are standardised (mean 0, standard deviation 1 with divisor n; a
 * constant feature gets weight 0); minimised is the summed log loss plus
 * half the squared length of the weights, the intercept left free (as
 * scikit-learn's StandardScaler and LogisticRegression at C = 1).
 */
typedef struct StatsLogistic
{
	size_t n_features;
	double mean[STATS_MAX_FEATURES];
	double deviation[STATS_MAX_FEATURES]; /* 0: constant */
	double weight[STATS_MAX_FEATURES];
	double intercept;
} StatsLogistic;

/*
 * Fits the model.  feature is row-major [n][n_features], finite.  use (may be
 * NULL) marks the rows to fit.  STATS_ONE_CLASS when these are of one class.
 */
extern StatsStatus stats_fit_logistic(StatsLogistic *model, const double *feature, size_t n_features,
									  const uint8_t *label, const uint8_t *use, size_t n,
									  const StatsEnv *env);

/* Returns the probability that the model gives to one row of features. */
extern double stats_logistic_score(const StatsLogistic *model, const double *feature);

/*
 * Measures how well features that are no radiology (width, height, aspect ratio,
 * bytes, components, mean and spread of brightness) tell the classes, by the
 * cross-validated AUC of the logistic model above.  Clusters are dealt to
 * n_folds folds by seed within class, each fold is scored by a model fitted
 * on the others, and the pooled scores give AUC and limits as
 * stats_auc_interval.  Fewer folds are used if a class has fewer clusters;
 * STATS_TOO_FEW below two.  score (n, may be NULL) receives the scores.
 */
#define STATS_SHORTCUT_WARNING 0.7
#define STATS_SHORTCUT_FOLDS 5

typedef struct StatsShortcut
{
	StatsAuc auc;
	uint32_t n_folds;    /* as used */
	StatsLogistic model; /* fitted on all rows: its weights tell which
								 * feature it is */
} StatsShortcut;

extern StatsStatus stats_shortcut(StatsShortcut *result, double *score, const double *feature,
								  size_t n_features, const uint8_t *label, const uint64_t *cluster, size_t n,
								  uint32_t n_folds, uint64_t seed, double confidence, const StatsEnv *env);

/* ------------------------------------------------------------------------
 * Symmetric eigenvectors (eigen.c)
 * ------------------------------------------------------------------------
 */

/*
 * LAPACK's dsyev with 32-bit integers, as OpenBLAS exports it (dsyev_); the
 * last two arguments are the lengths of the two strings that a Fortran
 * compiler adds.
 */
typedef void (*StatsDsyev)(const char *jobz, const char *uplo, const int32_t *n, double *a,
						   const int32_t *lda, double *w, double *work, const int32_t *lwork, int32_t *info,
						   size_t jobz_len, size_t uplo_len);

/*
 * Computes eigenvalues and eigenvectors.  matrix: n x n, symmetric, finite (the
 * lower triangle is read), destroyed: row i becomes the i-th eigenvector, of
 * length 1, its component of largest size positive (the first of equal ones).
 * value: n eigenvalues, falling.  dsyev NULL: cyclic Jacobi rotations, about 10
 * n^3 steps a sweep; stop is polled.  LAPACK itself cannot be stopped: about 1
 * s for n = 2000.
 */
extern StatsStatus stats_eigen_symmetric(double *matrix, double *value, size_t n, StatsDsyev dsyev,
										 const StatsEnv *env);

#endif /* PNEUMO_STATS_STATS_H */
