/*
 * stats_internal.h
 *		Internal to src/stats: memory, stop, order, clusters.
 */
#ifndef PNEUMO_STATS_STATS_INTERNAL_H
#define PNEUMO_STATS_STATS_INTERNAL_H

#include <math.h>
#include <string.h>

#include "stats.h"

/* Rows handled between two looks at the stop callback: below 5 ms each. */
#define STATS_POLL_ROWS 65536

/*
 * Newton's method has arrived when gradient . step falls below this: the
 * remaining error is below 1e-10 standard errors.
 */
#define STATS_NEWTON_DECREMENT 1e-20

/* A loss that grew by less than this share of itself grew by rounding only. */
#define STATS_NEWTON_NOISE 1e-12

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

/* The rows in rising order of score; equal scores form a group. */
typedef struct StatsOrder
{
	size_t *idx; /* n, row at each rank */
	size_t n;
} StatsOrder;

extern void *stats_array(const StatsEnv *env, size_t n, size_t size);
extern void stats_free(const StatsEnv *env, void *memory);
extern bool stats_stopped(const StatsEnv *env, size_t done);

extern uint64_t stats_key_from_score(double score);
extern StatsStatus stats_sort_keys(StatsKey *keys, StatsKey *spare, size_t n, const StatsEnv *env);

extern StatsStatus stats_order_rows(StatsOrder *order, const StatsRows *rows, const StatsEnv *env);
extern StatsStatus stats_number_clusters(StatsClusters *clusters, const StatsRows *rows, const StatsEnv *env);
extern void stats_count_labels(const StatsRows *rows, size_t *n_positive, size_t *n_negative);
extern double stats_clip_probability(double p);

/* distribution.c: two-sided levels, e.g. 1.96 for 0.95 */
extern double stats_normal_cdf(double x);
extern double stats_normal_quantile(double p);
extern double stats_two_sided_z(double confidence);
extern double stats_two_sided_t(double confidence, double df);
extern double stats_two_sided_normal_p(double z);
extern double stats_two_sided_t_p(double t, double df);

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

extern void stats_proportion_add(StatsProportionSums *sums, double x, double m, double sign);
extern double stats_student_shrink(double n, double k, double confidence);
extern double stats_effective_number(const StatsProportionSums *sums, double shrink);
extern void stats_wilson_limits(StatsInterval *interval, double p, double n, double z);
extern void stats_proportion_interval(StatsInterval *interval, double *n_effective,
									  const StatsProportionSums *sums, double confidence);
extern bool stats_level_is_valid(double confidence);

/*
 * auc.c: placement values.  place[i] is, for a positive row, the share of the
 * negative rows below it; for a negative row, the share of the positive rows
 * above it; ties count one half.
 */
extern StatsStatus stats_placements(double *place, double *auc, const StatsRows *rows, const StatsEnv *env);

/* Obuchowski's variance of the mean placement, and the clusters per class. */
typedef struct StatsPlacementVariance
{
	double variance;   /* NaN when a class has one cluster */
	size_t n_positive; /* clusters with a positive row */
	size_t n_negative;
} StatsPlacementVariance;

extern StatsStatus stats_placement_variance(StatsPlacementVariance *result, const double *place, double auc,
											const uint8_t *label, size_t n, const StatsClusters *clusters,
											const StatsEnv *env);
extern void stats_auc_limits(StatsAuc *result, double auc, const StatsPlacementVariance *variance,
							 double confidence);

/* paired.c: shares of the same rows that a and that b get right */
typedef struct StatsPairedShares
{
	StatsProportionSums a;
	StatsProportionSums b;
	double product; /* sum x_a x_b */
} StatsPairedShares;

extern void stats_paired_add(StatsPairedShares *shares, double x_a, double x_b, double m);

/* discordant: rows that only one gets right. */
extern void stats_paired_difference(StatsInterval *difference, const StatsPairedShares *shares,
									double discordant, double confidence);

/*
 * difference->value is filled before; a and b have their limits.  variance:
 * of the difference; same: the scores are all equal.
 */
extern void stats_auc_difference(StatsInterval *difference, double *se, double *p, const StatsInterval *a,
								 double variance_a, const StatsInterval *b, double variance_b,
								 double variance, double df, bool same);

/*
 * d: of each cluster, rows that only a gets right minus rows that only b
 * does; n clusters.
 */
extern StatsStatus stats_sign_test(double *p, const double *d, size_t n, const StatsEnv *env);

/*
 * bootstrap.c: a cluster belongs to the stratum of its class, or, with rows
 * of several classes, to the last one.
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

/*
 * interval[i].low == interval[i].high tells that all replicates were equal;
 * a statistic that is NaN on the rows themselves has NaN limits.
 */
extern StatsStatus stats_bootstrap(StatsInterval *interval, const StatsBootstrap *plan, const StatsEnv *env);

/* label: n, below n_classes; stratum: n_clusters. */
extern StatsStatus stats_cluster_strata(uint8_t *stratum, const StatsClusters *clusters, const uint8_t *label,
										size_t n, int n_classes, const StatsEnv *env);

/*
 * Limits where all replicates of the bootstrap were equal: Wilson's for the
 * value's share of the largest possible one, on n clusters.
 */
extern void stats_share_limits(StatsInterval *interval, double largest, double n, double confidence);
extern StatsStatus stats_check_options(StatsOptions *used, const StatsOptions *options);

/*
 * evaluate.c: as stats_evaluate, with the rows called positive that `called`
 * (n, 0 or 1) says; NULL: by the threshold.
 */
extern StatsStatus stats_evaluate_called(StatsEvaluation *result, const StatsRows *rows,
										 const uint8_t *called, const StatsOptions *options,
										 const StatsEnv *env);

/* multiclass.c */
extern StatsStatus stats_check_class_rows(const StatsClassRows *rows, const StatsEnv *env);
extern StatsStatus stats_pick_class(double *score, uint8_t *label, const StatsClassRows *rows,
									int32_t positive_class, const StatsEnv *env);
extern StatsStatus stats_number_class_clusters(StatsClusters *clusters, const StatsClassRows *rows,
											   const StatsEnv *env);
extern size_t stats_best_class(const double *probability, size_t n_classes);

/*
 * multiclass_auc.c: influence[i] is what row i moves the macro AUC by, its
 * mean 0 within each class.  auc (n_classes, may be NULL): of each class.
 */
extern StatsStatus stats_macro_auc_influence(double *influence, double *macro_auc, double *auc,
											 const StatsClassRows *rows, const StatsEnv *env);

/*
 * Variance of a sum of such influences, Obuchowski's for more than two
 * classes; few: the smallest number of clusters with rows of a class.
 */
extern StatsStatus stats_influence_variance(double *variance, size_t *few, const double *influence,
											const StatsClassRows *rows, const StatsClusters *clusters,
											const StatsEnv *env);

/*
 * Limits on the logit scale; false if they do not exist (AUC 0 or 1, no
 * variance).
 */
extern bool stats_macro_auc_limits(StatsInterval *interval, double auc, double variance, size_t few,
								   double confidence);

#endif /* PNEUMO_STATS_STATS_INTERNAL_H */
