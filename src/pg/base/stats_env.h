/*-------------------------------------------------------------------------
 *
 * stats_env.h
 *	  What src/stats needs of the server: memory, interrupts, its statuses as
 *	  errors, and the defaults of figures.
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
 * The environment that functions of src/stats take.  Its memory comes from a
 * child of the current context, at most pneumo.figures_memory.  Its stop raises
 * a pending cancel itself: all that src/stats leaves behind then is that memory.
 */
typedef struct PneumoStats
{
	StatsEnv env;
	MemoryContext cxt;
} PneumoStats;

/* Makes the environment; deletes its memory. */
extern void pneumo_stats_begin(PneumoStats *stats);
extern void pneumo_stats_end(PneumoStats *stats);

/* Raises an error unless the status is STATS_OK; what is its subject ("pneumo_roc"), rows (or NULL) what was computed. */
extern void pneumo_stats_check(StatsStatus status, const char *what, const StatsRows *rows);

/* Raises an error as above, with the words for more than two classes. */
extern void pneumo_stats_check_classes(StatsStatus status, const char *what, const StatsClassRows *rows,
									   char *const *classes);

/* Raises that n rows do not fit into pneumo.figures_memory. */
extern void pneumo_too_many_rows(int64 n);

/* Fills the options of figures: the threshold, and for the rest the defaults of this release. */
extern void pneumo_stats_options(StatsOptions *options, double threshold);

#endif /* PNEUMO_PG_STATS_ENV_H */
