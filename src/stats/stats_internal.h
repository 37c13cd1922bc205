/*-------------------------------------------------------------------------
 *
 * stats_internal.h
 *		What the files of src/stats share with each other: memory and stop,
 *		the order and the clusters of rows, distributions, sums, means.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_STATS_STATS_INTERNAL_H
#define PNEUMO_STATS_STATS_INTERNAL_H

#include <math.h>
#include <string.h>

#include "stats.h"

/* Rows handled between two calls of the stop callback, which takes less than 5 ms. */
#define STATS_POLL_ROWS 65536

/*
 * Newton's method has arrived when gradient . step falls below this: the
 * remaining error is below 1e-10 standard errors.
 */
#define STATS_NEWTON_DECREMENT 1e-20

/* A loss that grew by less than this share of itself grew by rounding only. */
#define STATS_NEWTON_NOISE 1e-12

/* A variance of an AUC below this is rounding error. */
#define STATS_NO_VARIANCE 1e-20

#define STATS_PI 3.14159265358979323846

/* ---- memory, stop, order and clusters (rows.c) ---- */

/* A sort key and the row it belongs to. */
typedef struct StatsKey
{
	uint64_t key;
	size_t idx;
} StatsKey;

/*
 * The clusters of some rows, numbered 0 .. n_clusters - 1 in an order that
 * does not depend on the order of the rows: by id, or without ids (every row
 * its own cluster) by score, then label.
 */
typedef struct StatsClusters
{
	size_t *number; /* n, cluster of each row */
	size_t n_clusters;
} StatsClusters;

/* The rows in rising order of score; equal scores are neighbours. */
typedef struct StatsOrder
{
	size_t *idx; /* n, row at each rank */
	size_t n;
} StatsOrder;

/*
 * Allocates n elements of a size.  Returns NULL when the product overflows, env
 * is missing or the caller refuses.
 */
extern void *stats_array(const StatsEnv *env, size_t n, size_t size);

/* Releases memory of stats_array; NULL is allowed. */
extern void stats_free(const StatsEnv *env, void *memory);

/*
 * Returns true when the caller wants to stop.  Asks the caller only when `done`,
 * the number of rows handled so far, is a multiple of STATS_POLL_ROWS.
 */
extern bool stats_stopped(const StatsEnv *env, size_t done);

/*
 * Sorts by key, lowest byte first; equal keys keep their order.  The result is
 * in keys; spare is scratch for n entries.
 */
extern StatsStatus stats_sort_keys(StatsKey *keys, StatsKey *spare, size_t n, const StatsEnv *env);

/*
 * Allocates *keys and fills it with the rows in the order of their cluster ids.
 * The caller frees *keys, which is NULL after an error.
 */
extern StatsStatus stats_sort_by_cluster(StatsKey **keys, const uint64_t *cluster, size_t n,
										 const StatsEnv *env);

/* Orders checked rows by score.  The caller frees order->idx, also after an error. */
extern StatsStatus stats_order_rows(StatsOrder *order, const StatsRows *rows, const StatsEnv *env);

/*
 * Checks rows, counts both classes and orders the rows by score; STATS_ONE_CLASS
 * when a class has no row.  The caller frees order->idx, also after an error.
 */
extern StatsStatus stats_order_classes(StatsOrder *order, size_t *n_positive, size_t *n_negative,
									   const StatsRows *rows, const StatsEnv *env);

/* Numbers the clusters of rows.  The caller frees clusters->number, also after an error. */
extern StatsStatus stats_number_clusters(StatsClusters *clusters, const StatsRows *rows, const StatsEnv *env);

/*
 * Sets *key, by which rows are ordered, and *mark, a hash, of one row; both
 * depend only on what the row says.
 */
typedef void (*StatsRowContent)(uint64_t *key, uint64_t *mark, const void *rows, size_t row);

/*
 * Numbers n rows' clusters anew by what their rows say, whatever their ids are:
 * by the lowest key, then by the sum of the marks.  Sums over the
 * clusters are then the same to the last bit for the same rows.
 */
extern StatsStatus stats_order_clusters(StatsClusters *clusters, StatsRowContent content, const void *rows,
										size_t n, const StatsEnv *env);

/* Returns the key of a row: by score, then label. */
extern uint64_t stats_row_key(double score, uint64_t label);

/* Mixes 64 bits; different numbers stay different. */
extern uint64_t stats_mix(uint64_t bits);

/* Counts the rows of each class. */
extern void stats_count_labels(const StatsRows *rows, size_t *n_positive, size_t *n_negative);

/* Returns p moved into [eps, 1 - eps] with eps STATS_LOG_LOSS_EPSILON. */
extern double stats_clip_probability(double p);

/* ---- distributions (distribution.c) ---- */

/* Returns P(X <= x) for a standard normal X. */
extern double stats_normal_cdf(double x);

/* Returns the x with stats_normal_cdf(x) = p: -infinity for 0, infinity for 1, NaN outside. */
extern double stats_normal_quantile(double p);

/* Returns the z with P(|X| > z) = 1 - confidence for a standard normal X: 1.96 for 0.95. */
extern double stats_two_sided_z(double confidence);

/* Returns the t with P(|T| > t) = 1 - confidence for Student's T; df below 1 counts as 1. */
extern double stats_two_sided_t(double confidence, double df);

/* Returns P(|X| > |z|) for a standard normal X. */
extern double stats_two_sided_normal_p(double z);

/* Returns P(|T| > |t|) for Student's T; df below 1 counts as 1. */
extern double stats_two_sided_t_p(double t, double df);

/* Returns ln(1 + e^x) without overflow (scaling.c). */
extern double stats_soft_plus(double x);

/*
 * Returns the regularised incomplete beta function: P(X <= x) for X with the
 * beta distribution of a and b.
 */
extern double stats_beta_cdf(double x, double a, double b);

/*
 * Returns the exact one-sided lower limit (Clopper and Pearson, Biometrika 1934)
 * of a proportion of x successes among n, which may be fractions.
 */
extern double stats_exact_lower(double x, double n, double confidence);

/* Returns whether stats_exact_lower() is at least `target`, without searching the limit. */
extern bool stats_exact_reaches(double x, double n, double target, double confidence);

/* ---- sizes of clusters and proportions (intervals.c) ---- */

/* Sums of powers of the numbers of rows of some clusters. */
typedef struct StatsSizes
{
	double clusters;
	double rows; /* sum m */
	double mm;   /* sum m^2 */
	double m3;   /* sum m^3, and so on */
	double m4;
	double m5;
} StatsSizes;

/* Adds a cluster of m rows; sign -1 takes it out. */
extern void stats_sizes_add(StatsSizes *sizes, double m, double sign);

/*
 * Returns the degrees of freedom of the variance of a mean over clusters, by
 * Satterthwaite's approximation (Biometrics Bulletin 1946; for clusters Bell and
 * McCaffrey, Survey Methodology 2002) under perfect correlation within a
 * cluster: k - 1 for k clusters of equal size, fewer if some are much larger
 * than the others.  At least 1.
 */
extern double stats_sizes_degrees(const StatsSizes *sizes);

/*
 * Sums over clusters that a proportion's design effect needs: x successes in
 * m rows of a cluster.
 */
typedef struct StatsProportionSums
{
	StatsSizes sizes;   /* of the clusters with m > 0 */
	double successes;   /* sum x */
	double xx;          /* sum x^2 */
	double xm;          /* sum x m */
	double any_success; /* clusters with x > 0 */
	double any_failure; /* clusters with x < m */
} StatsProportionSums;

/* Adds a cluster with x successes in m rows; sign -1 takes it out. */
extern void stats_proportion_add(StatsProportionSums *sums, double x, double m, double sign);

/*
 * Returns the factor by which few clusters, or few large ones, reduce the
 * effective number: (t[n-1] / t[f])^2 for n rows and f degrees of freedom.
 */
extern double stats_student_shrink(const StatsSizes *sizes, double confidence);

/* Returns the effective number of rows of a proportion, as stats_proportion() describes it. */
extern double stats_effective_number(const StatsProportionSums *sums, double shrink);

/*
 * Returns the number of independent rows that the exact limit is taken of: the
 * number of rows divided by the design effect, at most the number of clusters.
 */
extern double stats_exact_number(const StatsProportionSums *sums);

/* Fills Wilson's limits of p on n rows, for z standard normal units on either side. */
extern void stats_wilson_limits(StatsInterval *interval, double p, double n, double z);

/* Fills the interval of stats_proportion() from sums; everything is NaN without rows. */
extern void stats_proportion_interval(StatsInterval *interval, double *n_effective,
									  const StatsProportionSums *sums, double confidence);

/* Returns true if confidence is above 0 and below 1. */
extern bool stats_level_is_valid(double confidence);

/*
 * Fills the limits of an F1 score from those of j = TP / (TP + FP + FN), which
 * may be the same interval: F1 = 2 j / (1 + j).
 */
extern void stats_f1_limits(StatsInterval *f1, double value, const StatsInterval *jaccard);

/* ---- means over clusters (means.c) ---- */

typedef struct StatsMean
{
	double value;
	double variance; /* NaN with one cluster, 0 where all clusters have the same mean */
	double degrees;  /* of freedom */
	double clusters;
} StatsMean;

/*
 * Fills the mean sum x / sum m over k clusters, which add x in m rows, and its
 * variance k/(k-1) sum (x - mean m)^2 / n^2.  x and m are `stride` apart.
 */
extern StatsStatus stats_cluster_mean(StatsMean *mean, const double *x, const double *m, size_t stride,
									  size_t k, const StatsEnv *env);

/*
 * Fills limits of a mean between 0 and `largest`: Student's on the logit scale
 * of its share of `largest`.  Where there is no variance, or the share is 0 or
 * 1: Wilson's of the share on the number of clusters.
 */
extern void stats_share_limits(StatsInterval *interval, const StatsMean *mean, double largest,
							   double confidence);

/* Fills Student's limits of a mean, NaN with one cluster. */
extern void stats_student_limits(StatsInterval *interval, const StatsMean *mean, double confidence);

/* ---- the area under the ROC curve (auc.c) ---- */

/*
 * Fills the AUC and the placement values of rows, which it checks.  place[i]
 * is, for a positive row, the share of the negative rows below it; for a
 * negative row, the share of the positive rows above it; ties count one half.
 * place may be NULL.
 */
extern StatsStatus stats_placements(double *place, double *auc, const StatsRows *rows, const StatsEnv *env);

/* Obuchowski's variance of the mean placement, and the clusters per class. */
typedef struct StatsPlacementVariance
{
	double variance;   /* NaN when a class has one cluster */
	double degrees;    /* of freedom */
	size_t n_positive; /* clusters with a positive row */
	size_t n_negative;
} StatsPlacementVariance;

/* Fills *result for the placement values of n rows, or for differences of two models' values. */
extern StatsStatus stats_placement_variance(StatsPlacementVariance *result, const double *place, double auc,
											const uint8_t *label, size_t n, const StatsClusters *clusters,
											const StatsEnv *env);

/* Sums of the variances of several classes. */
typedef struct StatsVarianceSum
{
	double variance;
	double squares; /* of the variances, by their degrees of freedom */
	double few;     /* clusters of the class with the fewest */
} StatsVarianceSum;

/*
 * Adds the variance of a class: `square`, the sum of the squared sums over
 * clusters divided by the squared number of rows, times k/(k-1).
 */
extern void stats_variance_add(StatsVarianceSum *sum, double square, const StatsSizes *sizes);

/*
 * Fills the variance, with k/(k-1) times `product`, the covariance of the classes
 * in the same clusters, and its degrees of freedom: those of Welch and
 * Satterthwaite, but not more than the clusters of the smallest class less one.
 */
extern void stats_variance_finish(double *variance, double *degrees, const StatsVarianceSum *sum,
								  double product, double k);

/* What limits of an AUC are computed from. */
typedef struct StatsAucSource
{
	double auc;
	double variance;
	double n_positive; /* clusters by class; of a macro AUC those of the smallest class, and 0 */
	double n_negative;
} StatsAucSource;

/*
 * Fills limits for t standard errors on either side: on the logit scale, or, if
 * these do not exist (AUC 0 or 1, no variance), Newcombe's score limits, of a
 * macro AUC Wilson's.  Returns true for the former.
 */
extern bool stats_auc_limits_at(StatsInterval *interval, const StatsAucSource *source, double t);

/*
 * Fills limits as stats_auc_interval() describes them, with the Student quantile
 * on the logit scale and the normal one otherwise; returns true for the former.
 */
extern bool stats_auc_limits(StatsInterval *interval, const StatsAucSource *source, double degrees,
							 double confidence);

/* Returns the source of an AUC of two classes. */
extern StatsAucSource stats_auc_source(double auc, const StatsPlacementVariance *variance);

/* ---- differences on the same rows (paired.c) ---- */

/* Shares of the same rows that a and that b get right. */
typedef struct StatsPairedShares
{
	StatsProportionSums a;
	StatsProportionSums b;
	double product; /* sum x_a x_b */
} StatsPairedShares;

/* Adds a cluster of m rows, of which a gets x_a and b gets x_b right. */
extern void stats_paired_add(StatsPairedShares *shares, double x_a, double x_b, double m);

/*
 * Fills limits of a difference without discordant rows: plus and minus the
 * upper Wilson limit of 0 on n clusters, since equality on the rows at hand
 * does not prove equality.
 */
extern void stats_concordant_limits(StatsInterval *difference, double n, double confidence);

/* Fills the difference of two shares; discordant: the rows that only one gets right. */
extern void stats_paired_difference(StatsInterval *difference, const StatsPairedShares *shares,
									double discordant, double confidence);

/*
 * Fills value, limits, standard error and p value of a difference of two AUCs.
 * The limits are those of StatsComparison; p is that of the t at which a limit
 * reaches 0, so that the interval leaves out 0 exactly where p is below 1 -
 * confidence.
 * variance: that of the difference; same: the scores are all equal.
 */
extern void stats_auc_difference(StatsInterval *difference, double *se, double *p, const StatsAucSource *a,
								 const StatsAucSource *b, double variance, double degrees, double confidence,
								 bool same);

/*
 * Fills the p value of the two-sided sign test.  d holds, for each of n
 * clusters, the rows that only a gets right minus those that only b does.
 */
extern StatsStatus stats_sign_test(double *p, const double *d, size_t n, const StatsEnv *env);

/* ---- evaluation (evaluate.c) ---- */

/* Fills *used with the options or, for NULL, the defaults, and checks them. */
extern StatsStatus stats_check_options(StatsOptions *used, const StatsOptions *options);

/*
 * Evaluates as stats_evaluate() does; the rows with 1 in `called` (n entries, 0
 * or 1) are called positive.  With called NULL the threshold decides.
 */
extern StatsStatus stats_evaluate_called(StatsEvaluation *result, const StatsRows *rows,
										 const uint8_t *called, const StatsOptions *options,
										 const StatsEnv *env);

/* ---- more than two classes (multiclass.c) ---- */

/* Returns the first reason not to accept rows, or STATS_OK. */
extern StatsStatus stats_check_class_rows(const StatsClassRows *rows, const StatsEnv *env);

/* Fills score and label, n each, with the view of one class against the rest. */
extern StatsStatus stats_pick_class(double *score, uint8_t *label, const StatsClassRows *rows,
									int32_t positive_class, const StatsEnv *env);

/*
 * Numbers the clusters of rows; without ids every row is a cluster, in the order
 * of the rows.  The caller frees clusters->number, also after an error.
 */
extern StatsStatus stats_number_class_clusters(StatsClusters *clusters, const StatsClassRows *rows,
											   const StatsEnv *env);

/* Returns the most probable class, the lowest number on ties. */
extern size_t stats_best_class(const double *probability, size_t n_classes);

/* ---- the mean of the one-vs-rest areas (multiclass_auc.c) ---- */

/*
 * Fills the macro AUC and the influence of each row: by how much row i moves the
 * macro AUC.  The mean of influence is 0 within each class.
 */
extern StatsStatus stats_macro_auc_influence(double *influence, double *macro_auc, const StatsClassRows *rows,
											 const StatsEnv *env);

/* The variance of a sum of such influences. */
typedef struct StatsInfluenceVariance
{
	double variance; /* Obuchowski's for more than two classes */
	double degrees;  /* of freedom */
	double few;      /* smallest number of clusters with rows of a class */
} StatsInfluenceVariance;

/* Fills *result for the influences of rows, or for differences of two models' influences. */
extern StatsStatus stats_influence_variance(StatsInfluenceVariance *result, const double *influence,
											const StatsClassRows *rows, const StatsClusters *clusters,
											const StatsEnv *env);

/* ---- sums over clusters of one or two models (multiclass_sums.c) ---- */

/* The figures of one model; of two models all but the last one. */
enum
{
	STATS_MACRO_SENSITIVITY,
	STATS_MACRO_SPECIFICITY,
	STATS_CLASS_LOG_LOSS,
	STATS_CLASS_BRIER,
	STATS_MACRO_F1,
	STATS_N_MACRO
};

/*
 * The rows of one or two models and their sums.  The caller sets model and env
 * and zeroes the rest.
 */
typedef struct StatsClassSums
{
	const StatsClassRows *model[2]; /* the second one is NULL for an evaluation */
	const StatsEnv *env;
	int n_models;
	StatsClusters clusters;
	size_t n_sums;
	uint8_t *label;   /* n */
	uint8_t *best[2]; /* n each: the most probable class by each model */
	double *sums;     /* [n_clusters][n_sums] */
} StatsClassSums;

/*
 * Allocates and fills everything but the sums; the rows are checked before.  The
 * caller releases *w, also after an error.
 */
extern StatsStatus stats_class_sums_prepare(StatsClassSums *w);

/* Releases everything in *w. */
extern void stats_class_sums_release(StatsClassSums *w);

/*
 * Fills the sums and then the macro figures with limits: those of the one model,
 * or differences of the first model minus the second one.
 */
extern StatsStatus stats_class_sums_limits(StatsInterval *interval, StatsClassSums *w, double confidence);

/*
 * Adds a row's log loss to losses[0] and its Brier score to losses[1], both times
 * sign; truth: the row's class.
 */
extern void stats_add_class_losses(double *losses, const double *p, size_t n_classes, size_t truth,
								   double sign);

#endif /* PNEUMO_STATS_STATS_INTERNAL_H */
