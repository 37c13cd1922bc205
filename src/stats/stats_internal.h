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
	uint64_t	key;
	size_t		idx;
} StatsKey;

/*
 * The clusters of some rows, numbered 0 .. n_clusters - 1 in an order that
 * does not depend on the order of the rows: by id, or without ids (every row
 * its own cluster) by score, then label.
 */
typedef struct StatsClusters
{
	size_t	   *number;			/* n, cluster of each row */
	size_t		n_clusters;
} StatsClusters;

/* The rows in rising order of score; equal scores form a group. */
typedef struct StatsOrder
{
	size_t	   *idx;			/* n, row at each rank */
	size_t		n;
} StatsOrder;

extern void *stats_array(const StatsEnv *env, size_t n, size_t size);
extern void stats_free(const StatsEnv *env, void *memory);
extern bool stats_stopped(const StatsEnv *env, size_t done);

extern uint64_t stats_key_from_score(double score);
extern StatsStatus stats_sort_keys(StatsKey *keys, StatsKey *spare, size_t n,
								   const StatsEnv *env);

extern StatsStatus stats_order_rows(StatsOrder *order, const StatsRows *rows,
									const StatsEnv *env);
extern StatsStatus stats_number_clusters(StatsClusters *clusters,
										 const StatsRows *rows,
										 const StatsEnv *env);
extern void stats_count_labels(const StatsRows *rows, size_t *n_positive,
							   size_t *n_negative);
extern double stats_clip_probability(double p);

/* distribution.c: two-sided levels, e.g. 1.96 for 0.95 */
extern double stats_normal_cdf(double x);
extern double stats_normal_quantile(double p);
extern double stats_two_sided_z(double confidence);
extern double stats_two_sided_t(double confidence, double df);
extern double stats_two_sided_normal_p(double z);
extern double stats_two_sided_t_p(double t, double df);

/* Philox4x32-10: four 32-bit numbers for a counter under a key. */
extern void stats_philox(uint32_t out[4], uint64_t key, uint64_t counter_low,
						 uint64_t counter_high);

/*
 * Sums over clusters that a proportion's design effect needs: x successes in
 * m rows of a cluster.
 */
typedef struct StatsProportionSums
{
	double		clusters;		/* number with m > 0 */
	double		rows;			/* sum m */
	double		successes;		/* sum x */
	double		xx;				/* sum x^2 */
	double		xm;				/* sum x m */
	double		mm;				/* sum m^2 */
	double		any_success;	/* clusters with x > 0 */
	double		any_failure;	/* clusters with x < m */
} StatsProportionSums;

extern void stats_proportion_add(StatsProportionSums *sums, double x,
								 double m, double sign);
extern double stats_student_shrink(double n, double k, double confidence);
extern double stats_effective_number(const StatsProportionSums *sums,
									 double shrink);
extern void stats_wilson_limits(StatsInterval *interval, double p, double n,
								double z);
extern void stats_proportion_interval(StatsInterval *interval,
									  double *n_effective,
									  const StatsProportionSums *sums,
									  double confidence);
extern bool stats_level_is_valid(double confidence);

/*
 * auc.c: placement values.  place[i] is, for a positive row, the share of the
 * negative rows below it; for a negative row, the share of the positive rows
 * above it; ties count one half.
 */
extern StatsStatus stats_placements(double *place, double *auc,
									const StatsRows *rows,
									const StatsEnv *env);

/* Obuchowski's variance of the mean placement, and the clusters per class. */
typedef struct StatsPlacementVariance
{
	double		variance;		/* NaN when a class has one cluster */
	size_t		n_positive;		/* clusters with a positive row */
	size_t		n_negative;
} StatsPlacementVariance;

extern StatsStatus stats_placement_variance(StatsPlacementVariance *result,
											const double *place, double auc,
											const uint8_t *label, size_t n,
											const StatsClusters *clusters,
											const StatsEnv *env);
extern void stats_auc_limits(StatsAuc *result, double auc,
							 const StatsPlacementVariance *variance,
							 double confidence);

/* bootstrap.c: the stratum of a cluster */
#define STATS_STRATA 3			/* negative only, positive only, both */

/*
 * A statistic is a function of sums over clusters.  sums is
 * [n_clusters][n_sums]; statistic fills n_statistics values from n_sums.
 */
#define STATS_MAX_SUMS 16
#define STATS_MAX_STATISTICS 8

typedef struct StatsBootstrap
{
	const double *sums;
	const uint8_t *stratum;		/* n_clusters, below STATS_STRATA */
	size_t		n_clusters;
	size_t		n_sums;
	size_t		n_statistics;
	void		(*statistic) (double *value, const double *sums);
	double		confidence;
	uint32_t	replicates;
	uint64_t	seed;
} StatsBootstrap;

/*
 * interval[i].low == interval[i].high tells that all replicates were equal;
 * a statistic that is NaN on the rows themselves has NaN limits.
 */
extern StatsStatus stats_bootstrap(StatsInterval *interval,
								   const StatsBootstrap *plan,
								   const StatsEnv *env);
extern StatsStatus stats_cluster_strata(uint8_t *stratum,
										const StatsClusters *clusters,
										const uint8_t *label, size_t n,
										const StatsEnv *env);
extern StatsStatus stats_check_options(StatsOptions *used,
									   const StatsOptions *options);

#endif							/* PNEUMO_STATS_STATS_INTERNAL_H */
