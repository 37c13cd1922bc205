/*-------------------------------------------------------------------------
 *
 * figures.h
 *	  Internal to the files that compute figures: the loan of memory to
 *	  src/stats, the rows that the aggregates collect, figures as datums.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_FIGURES_H
#define PNEUMO_PG_FIGURES_H

#include "access/tupdesc.h"
#include "fmgr.h"

#include "stats/stats.h"

#define PNEUMO_CONFIDENCE STATS_DEFAULT_CONFIDENCE
#define PNEUMO_DEFAULT_THRESHOLD 0.5
#define PNEUMO_DEFAULT_BINS 10

/* ----------------------------------------------------- lending (figure_stats.c) */

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

/* ------------------------------------------------- rows of an aggregate */

/* The rows in an order of their own, whatever order they came in. */
typedef struct PneumoFigureRows
{
	StatsRows rows;
	double parameter; /* threshold or bins */
} PneumoFigureRows;

/*
 * The rows of the state in argument 0 of a final function; errors if there
 * are none.  fallback: the parameter where the aggregate has none.
 */
extern void pneumo_figure_rows(PneumoFigureRows *dst, FunctionCallInfo fcinfo, const char *what,
							   double fallback);

/* The same for an aggregate that only counts; returns the threshold. */
extern double pneumo_figure_counts(StatsCounts *counts, FunctionCallInfo fcinfo, const char *what);

/* -------------------------------------------------------- figures as datums */

/* A pneumo_figure of row type type; *isnull where it is not defined. */
extern Datum pneumo_figure_datum(const StatsInterval *figure, Oid type, bool *isnull);

/* A pneumo_figures of row type type; a threshold of NaN is NULL. */
extern Datum pneumo_figures_datum(const StatsEvaluation *e, Oid type);

/* The same of more than two classes: macro figures, the others NULL. */
extern Datum pneumo_macro_figures_datum(const StatsClassEvaluation *e, Oid type);

/* A pneumo_class_figures[] of array type array_type: each class against the rest. */
extern Datum pneumo_class_figures_datum(const StatsEvaluation *of_class, char *const *classes, int n_classes,
										Oid array_type);

/* Threshold, and what every figure of this release is computed with. */
extern void pneumo_stats_options(StatsOptions *options, double threshold);

/* NaN becomes NULL. */
extern Datum pneumo_number_datum(double number, bool *isnull);

#endif /* PNEUMO_PG_FIGURES_H */
