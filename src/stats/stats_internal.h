/*-------------------------------------------------------------------------
 *
 * stats_internal.h
 *		What the files of src/stats share with each other: memory and stop,
 *		the order and the clusters of rows, distributions, sums, the bootstrap.
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
 * by the lowest key, then by the sum of the marks.  A bootstrap then draws the
 * same replicates of the same rows.
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

/* ---- proportions (intervals.c) ---- */

/*
 * Sums over clusters that a proportion's design effect needs: x successes in
 * m rows of a cluster.
 */
typedef struct StatsProportionSums
{
	double clusters;    /* number with m > 0 */
	double rows;        /* sum m */
	double successes;   /* sum x */
	double xx;          /* sum x^2 */
	double xm;          /* sum x m */
	double mm;          /* sum m^2 */
	double any_success; /* clusters with x > 0 */
	double any_failure; /* clusters with x < m */
} StatsProportionSums;

/* Adds a cluster with x successes in m rows; sign -1 takes it out. */
extern void stats_proportion_add(StatsProportionSums *sums, double x, double m, double sign);

/*
 * Returns the factor by which few clusters reduce the effective number:
 * (t[n-1] / t[k-1])^2 for k clusters with n rows.
 */
extern double stats_student_shrink(double n, double k, double confidence);

/* Returns the effective number of rows of a proportion, as stats_proportion() describes it. */
extern double stats_effective_number(const StatsProportionSums *sums, double shrink);

/* Fills Wilson's limits of p on n rows, for z standard normal units on either side. */
extern void stats_wilson_limits(StatsInterval *interval, double p, double n, double z);

/* Fills the interval of stats_proportion() from sums; everything is NaN without rows. */
extern void stats_proportion_interval(StatsInterval *interval, double *n_effective,
									  const StatsProportionSums *sums, double confidence);

/* Returns true if confidence is above 0 and below 1. */
extern bool stats_level_is_valid(double confidence);

/*
 * Fills the limits of a figure whose bootstrap replicates were all equal: those
 * of Wilson for the value's share of the largest possible value, on n clusters.
 * Leaves other intervals as they are.
 */
extern void stats_share_limits(StatsInterval *interval, double largest, double n, double confidence);

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
	size_t n_positive; /* clusters with a positive row */
	size_t n_negative;
} StatsPlacementVariance;

/* Fills *result for the placement values of n rows, or for differences of two models' values. */
extern StatsStatus stats_placement_variance(StatsPlacementVariance *result, const double *place, double auc,
											const uint8_t *label, size_t n, const StatsClusters *clusters,
											const StatsEnv *env);

/*
 * Fills limits of an AUC on the logit scale; few: the smallest number of
 * clusters of a class.  Returns false, with only the value filled, if they do
 * not exist (AUC 0 or 1, no variance).
 */
extern bool stats_logit_limits(StatsInterval *interval, double auc, double variance, size_t few,
							   double confidence);

/* Fills *result as stats_auc_interval() describes it. */
extern void stats_auc_limits(StatsAuc *result, double auc, const StatsPlacementVariance *variance,
							 double confidence);

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
 * Fills limits, standard error and p value of a difference of two AUCs, whose
 * value is filled before; a and b have their limits.  variance: that of the
 * difference; same: the scores are all equal.
 */
extern void stats_auc_difference(StatsInterval *difference, double *se, double *p, const StatsInterval *a,
								 double variance_a, const StatsInterval *b, double variance_b,
								 double variance, double df, bool same);

/*
 * Fills the p value of the two-sided sign test.  d holds, for each of n
 * clusters, the rows that only a gets right minus those that only b does.
 */
extern StatsStatus stats_sign_test(double *p, const double *d, size_t n, const StatsEnv *env);

/* ---- the bootstrap (bootstrap.c, bootstrap_draw.c) ---- */

/*
 * A cluster belongs to the stratum of its class or, with rows of several
 * classes, to the last stratum.
 */
#define STATS_MAX_STRATA (STATS_MAX_CLASSES + 1)

/*
 * A statistic is a function of sums over clusters.  sums is
 * [n_clusters][n_sums]; statistic fills n_statistics values from n_sums.
 */
#define STATS_MAX_SUMS (5 * STATS_MAX_CLASSES + 2)
#define STATS_MAX_STATISTICS 8

typedef struct StatsBootstrap
{
	const double *sums;
	const uint8_t *stratum; /* n_clusters, below n_strata */
	size_t n_clusters;
	size_t n_sums;
	size_t n_statistics;
	int n_strata; /* at most STATS_MAX_STRATA */
	void (*statistic)(double *value, const double *sums, const void *arg);
	const void *arg;
	double confidence;
	uint32_t replicates;
	uint64_t seed;
} StatsBootstrap;

/* Clusters listed by stratum: those of stratum s are member[start[s]] to member[start[s + 1] - 1]. */
typedef struct StatsStrata
{
	size_t *member;
	size_t start[STATS_MAX_STRATA + 1];
} StatsStrata;

/* Fills *strata; the caller frees strata->member.  Returns false without memory. */
extern bool stats_list_strata(StatsStrata *strata, const StatsBootstrap *plan, const StatsEnv *env);

/*
 * interval[i].low == interval[i].high tells that all replicates were equal;
 * limits are NaN where the statistic is NaN on the rows themselves, and where no
 * stratum has two clusters, so that the replicates cannot differ.

 * Draws all replicates and fills values, [n_statistics][replicates].  A
 * replicate whose statistic is NaN takes the value in interval, that of the
 * rows themselves.
 */
extern StatsStatus stats_draw_values(double *values, const StatsInterval *interval,
									 const StatsBootstrap *plan, const StatsStrata *strata,
									 const StatsEnv *env);

/*
 * Fills values and limits of all statistics.  interval[i].low ==
 * interval[i].high tells that all replicates were equal; a statistic that is
 * NaN on the rows themselves has NaN limits.
 */
extern StatsStatus stats_bootstrap(StatsInterval *interval, const StatsBootstrap *plan, const StatsEnv *env);

/* Fills the stratum of each cluster from the labels of n rows, which are below n_classes. */
extern StatsStatus stats_cluster_strata(uint8_t *stratum, const StatsClusters *clusters, const uint8_t *label,
										size_t n, int n_classes, const StatsEnv *env);

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

/*
 * Fills the variance of a sum of such influences, which is Obuchowski's for
 * more than two classes, and *few, the smallest number of clusters with rows of
 * a class.
 */
extern StatsStatus stats_influence_variance(double *variance, size_t *few, const double *influence,
											const StatsClassRows *rows, const StatsClusters *clusters,
											const StatsEnv *env);

/* ---- sums over clusters of one or two models (multiclass_sums.c) ---- */

/* What the bootstrap of one model gives, and in this order; of two models all but the last one. */
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
	uint8_t *stratum; /* n_clusters */
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
 * Fills the sums and then the macro figures with bootstrap limits: those of the
 * one model, or differences of the first model minus the second one.
 */
extern StatsStatus stats_class_sums_bootstrap(StatsInterval *interval, StatsClassSums *w,
											  const StatsOptions *options);

/*
 * Adds a row's log loss to losses[0] and its Brier score to losses[1], both times
 * sign; truth: the row's class.
 */
extern void stats_add_class_losses(double *losses, const double *p, size_t n_classes, size_t truth,
								   double sign);

#endif /* PNEUMO_STATS_STATS_INTERNAL_H */
