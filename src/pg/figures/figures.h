/*-------------------------------------------------------------------------
 *
 * figures.h
 *	  Rows that aggregates collect, and figures as datums.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_FIGURES_H
#define PNEUMO_PG_FIGURES_H

#include "access/tupdesc.h"
#include "fmgr.h"

#include "stats/stats.h"

#include "pg/pneumo.h"

/* ------------------------------------------------- rows of an aggregate */

/* A row as it is collected: 16 bytes. */
typedef struct PneumoFigureRow
{
	double score;   /* negative, also at 0: of the positive class */
	uint64 cluster; /* 64 bits that stand for it; PNEUMO_NO_CLUSTER: of its own */
} PneumoFigureRow;

#define PNEUMO_NO_CLUSTER 0

/*
 * Sorts n rows by score, label and cluster, and returns them as src/stats reads
 * them, palloc'd, so that the same rows give the same bits whatever order they
 * came in.  Without clustered all rows are independent.
 */
extern StatsRows pneumo_stats_rows(PneumoFigureRow *rows, int64 n, bool clustered);

typedef struct PneumoFigureRows
{
	StatsRows rows;
	double parameter; /* threshold or bins */
} PneumoFigureRows;

/*
 * Gets the rows of the state in argument 0 of a final function; errors if there
 * are none.  fallback is the parameter of an aggregate that has none.
 */
extern void pneumo_figure_rows(PneumoFigureRows *dst, FunctionCallInfo fcinfo, const char *what,
							   double fallback);

/* Gets the counts of an aggregate that only counts; returns the threshold. */
extern double pneumo_figure_counts(StatsCounts *counts, FunctionCallInfo fcinfo, const char *what);

/* -------------------------------------------------------- figures as datums */

/* Forms a pneumo_figure of row type type; *isnull where it is not defined. */
extern Datum pneumo_figure_datum(const StatsInterval *figure, Oid type, bool *isnull);

/* Forms a pneumo_figures of row type type; a threshold of NaN is NULL. */
extern Datum pneumo_figures_datum(const StatsEvaluation *e, Oid type);

/* Forms the same for the means over findings; the others are NULL. */
extern Datum pneumo_finding_figures_datum(const StatsFindingEvaluation *e, Oid type);

/* Forms the same for more than two classes: macro figures, the others NULL. */
extern Datum pneumo_macro_figures_datum(const StatsClassEvaluation *e, Oid type);

/* Forms a pneumo_class_figures[] of array type array_type: each class against the rest. */
extern Datum pneumo_class_figures_datum(const StatsEvaluation *of_class, char *const *classes, int n_classes,
										Oid array_type);

/* Forms a double precision; NaN becomes NULL. */
extern Datum pneumo_number_datum(double number, bool *isnull);

#endif /* PNEUMO_PG_FIGURES_H */
