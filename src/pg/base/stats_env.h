/*-------------------------------------------------------------------------
 *
 * stats_env.h
 *	  The loan of memory to src/stats, and its status as an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_STATS_ENV_H
#define PNEUMO_PG_STATS_ENV_H

#include "stats/stats.h"

#include "pg/pneumo.h"

#define PNEUMO_CONFIDENCE STATS_DEFAULT_CONFIDENCE
#define PNEUMO_DEFAULT_THRESHOLD 0.5
#define PNEUMO_DEFAULT_BINS 10

/*
 * Memory of a child of the current context, at most pneumo.figures_memory;
 * stop raises a pending cancel itself (src/stats leaves only that memory).
 */
typedef struct PneumoStats
{
	StatsEnv env;
	MemoryContext cxt;
} PneumoStats;

extern void pneumo_stats_begin(PneumoStats *stats);
extern void pneumo_stats_end(PneumoStats *stats);

/* Raises what is not STATS_OK; what: the subject, as in "pneumo_roc"; n rows, positive of them of the positive class. */
extern void pneumo_stats_check(StatsStatus status, const char *what, const StatsRows *rows);

/* The same for more than two classes. */
extern void pneumo_stats_check_classes(StatsStatus status, const char *what, const StatsClassRows *rows,
									   char *const *classes);

/* Raises that n rows do not fit into pneumo.figures_memory. */
extern void pneumo_too_many_rows(int64 n);

/* Threshold, and what every figure of this release is computed with. */
extern void pneumo_stats_options(StatsOptions *options, double threshold);

#endif /* PNEUMO_PG_STATS_ENV_H */
