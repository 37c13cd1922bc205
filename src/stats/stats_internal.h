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

#endif							/* PNEUMO_STATS_STATS_INTERNAL_H */
