/*-------------------------------------------------------------------------
 *
 * report_compare.h
 *	  Internal to pneumo_report_compare: what report_compare.c collects, and the
 *	  sections that show it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_REPORT_COMPARE_H
#define PNEUMO_PG_REPORT_COMPARE_H

#include "pg/evaluate/evaluate.h"
#include "pg/report/report_page.h"

/* A row of which the versions say most different things. */
typedef struct PneumoDisagreement
{
	int64 sample;
	double spread; /* the largest less the least probability of the true class */
} PneumoDisagreement;

/* A version: e of the comparison has its scores. */
typedef struct PneumoCompared
{
	const char *label; /* "A (default v3)", in the server's encoding */
	const char *name;  /* the same in UTF-8 */
	const char *letter;
	PneumoVersionRow row;
	PneumoSplitFigures figures; /* without the rows */
	ReportRocCurve *roc;        /* of two classes one, of more one for each class */
	ReportCalibration calibration;
	PneumoDifferences differences; /* this one less the first; not of the first */
	int64 looks;
} PneumoCompared;

typedef struct PneumoComparison
{
	int n;
	PneumoEvaluation e[PNEUMO_MAX_RIVALS]; /* the first one reads the table */
	PneumoCompared version[PNEUMO_MAX_RIVALS];
	PneumoJudged judged;
	PneumoSubgroups *subgroups;
	bool images;
	int max_disagreements;
	PneumoDisagreement *disagreements; /* the most different ones first */
	bytea **pictures;                  /* of these, or NULL */
	int n_disagreements;
	MemoryContext cxt;
} PneumoComparison;

/* Returns whether the classes are two. */
extern bool pneumo_compare_is_binary(const PneumoComparison *c);

/* Returns the AUC of a version, of more than two classes the macro AUC. */
extern const StatsInterval *pneumo_compare_auc(const PneumoComparison *c, int v);

/* Computes figures, curves and differences of all versions (report_compare_figures.c). */
extern void pneumo_compare_compute(PneumoComparison *c);

/* Each fills one section of the page; the page has them in this order. */
extern void pneumo_compare_summary(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_versions(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_figures(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_differences(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_thresholds(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_subgroups(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_disagreements(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_configs(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_training(PneumoSection *section, const PneumoComparison *c);
extern void pneumo_compare_limits(PneumoSection *section, const PneumoComparison *c);

#endif /* PNEUMO_PG_REPORT_COMPARE_H */
