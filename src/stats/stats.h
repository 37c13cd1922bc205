/*-------------------------------------------------------------------------
 *
 * stats.h
 *		Evaluation mathematics of pneumo: the public header of src/stats.
 *
 * Plain C11 and libm; no server header, no file, no output, no global state.
 * All results are double.  A function that can fail returns a StatsStatus;
 * its outputs are valid only with STATS_OK.
 *
 * Words
 *		row			one image: a score, a label, perhaps a cluster
 *		score		probability of the positive class, in [0, 1]
 *		positive	a row is called positive when score >= threshold
 *		cluster		the patient; rows of one cluster are not independent
 *
 * Memory, stop: StatsEnv below.  Every function releases what it allocated,
 * also when it fails; if the allocator itself jumps out (a server's palloc
 * that raises), nothing but that memory is left behind.
 *
 * Results do not depend on the order of the rows, except for the last bits
 * of floating-point sums.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_STATS_STATS_H
#define PNEUMO_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum StatsStatus
{
	STATS_OK = 0,
	STATS_NO_ROWS,				/* n is 0 */
	STATS_ONE_CLASS,			/* all labels are equal: no AUC, no ROC */
	STATS_SCORE_NAN,			/* a score is NaN */
	STATS_SCORE_RANGE,			/* a score is outside [0, 1] */
	STATS_BAD_LABEL,			/* a label is not 0 or 1 (or not a class) */
	STATS_BAD_ARGUMENT,			/* a threshold, a count or a level is out of range */
	STATS_NO_MEMORY,			/* the allocator refused, or a size overflows */
	STATS_INTERRUPTED,			/* the stop callback said so */
	STATS_NO_CONVERGENCE,		/* an iteration found no finite solution */
	STATS_UNREACHABLE			/* no threshold meets the demand */
} StatsStatus;

/* Lower-case English, no full stop; never NULL. */
extern const char *stats_status_text(StatsStatus status);

/*
 * What the caller lends.  allocate returns memory aligned for any type, or
 * NULL when it refuses (a budget, no memory); release takes it back.  stop is
 * polled at least every 50 ms of work, may be NULL, and returns true to end
 * the call with STATS_INTERRUPTED.
 */
typedef struct StatsEnv
{
	void	   *(*allocate) (void *arg, size_t bytes);
	void		(*release) (void *arg, void *memory);
	bool		(*stop) (void *arg);
	void	   *arg;
} StatsEnv;

/* The rows of a two-class evaluation; borrowed, never written. */
typedef struct StatsRows
{
	const double *score;		/* n, each in [0, 1] */
	const uint8_t *label;		/* n, 1 positive, 0 negative */
	const uint64_t *cluster;	/* n ids (any numbers, equal = same patient),
								 * or NULL: every row is its own cluster */
	size_t		n;
} StatsRows;

/*
 * First row that is not acceptable, in row order; *bad_row (may be NULL)
 * gets its index.  STATS_NO_ROWS for n = 0.  One class only is accepted here.
 * All functions below check their rows this way themselves.
 */
extern StatsStatus stats_check_rows(const StatsRows *rows, size_t *bad_row);

/* ------------------------------------------------------------------------
 * Point figures of two classes (metrics.c, roc.c)
 * ------------------------------------------------------------------------
 */

/*
 * A probability enters a logarithm as min(max(p, eps), 1 - eps), as in Keras,
 * so that one certain error costs 16.1 and not infinity.
 */
#define STATS_LOG_LOSS_EPSILON 1e-7

typedef struct StatsCounts
{
	uint64_t	tp;
	uint64_t	fp;
	uint64_t	tn;
	uint64_t	fn;
} StatsCounts;

/*
 * Figures at a threshold.  A ratio whose denominator is 0 is NaN
 * (sensitivity without positives, PPV when no row is called positive).
 *
 *	accuracy	(TP + TN) / n			sensitivity	TP / (TP + FN)
 *	specificity	TN / (TN + FP)			ppv			TP / (TP + FP)
 *	npv			TN / (TN + FN)			f1			2 TP / (2 TP + FP + FN)
 *	lr_positive	sensitivity / (1 - specificity)		may be infinite
 *	lr_negative	(1 - sensitivity) / specificity		may be infinite
 *	log_loss	mean of -ln(probability given to the true class), clipped
 *	brier		mean of (score - label)^2
 */
typedef struct StatsFigures
{
	StatsCounts counts;
	double		accuracy;
	double		sensitivity;
	double		specificity;
	double		ppv;
	double		npv;
	double		f1;
	double		lr_positive;
	double		lr_negative;
	double		log_loss;
	double		brier;
} StatsFigures;

/*
 * threshold: any number but NaN.  No memory, no env needed (env may be NULL;
 * with one, stop is polled).  One class only is fine.
 */
extern StatsStatus stats_figures(StatsFigures *figures, const StatsRows *rows,
								 double threshold, const StatsEnv *env);

/* The ratios alone, from counts; log_loss and brier become NaN. */
extern void stats_figures_from_counts(StatsFigures *figures,
									  const StatsCounts *counts);

/*
 * Area under the ROC curve: the Mann-Whitney probability that a positive row
 * scores higher than a negative one, ties counted one half.  Exact (integer
 * arithmetic, one rounding).  Memory: 32 bytes a row.  STATS_ONE_CLASS when
 * it is not defined.
 */
extern StatsStatus stats_auc(double *auc, const StatsRows *rows,
							 const StatsEnv *env);

/* ------------------------------------------------------------------------
 * More than two classes (multiclass.c)
 * ------------------------------------------------------------------------
 */

/* probability is row-major [n][n_classes], each in [0, 1]. */
typedef struct StatsClassRows
{
	const double *probability;
	const int32_t *label;		/* n, 0 .. n_classes - 1 */
	const uint64_t *cluster;	/* n, or NULL */
	size_t		n;
	int32_t		n_classes;		/* at least 2 */
} StatsClassRows;

/*
 * The predicted class is the most probable one, the lowest number on ties.
 * Per class: one-vs-rest, predicted class against true class; a ratio
 * without denominator is NaN.  Macro figures are plain means over the classes
 * that have rows (n_present); a present class whose precision has no
 * denominator counts as 0 in macro_f1, as in scikit-learn.
 *
 *	log_loss	mean of -ln p[true class], clipped as above
 *	brier		mean over rows of the sum over classes of (p - y)^2, 0 to 2
 */
typedef struct StatsClassFigures
{
	double		accuracy;
	double		log_loss;
	double		brier;
	double		macro_sensitivity;
	double		macro_specificity;
	double		macro_f1;
	double		macro_auc;		/* one-vs-rest, Mann-Whitney */
	int32_t		n_present;
} StatsClassFigures;

/*
 * class_figures and class_auc have n_classes entries, either may be NULL;
 * confusion (may be NULL) is [true class][predicted class].  A class without
 * rows, or the only class, has AUC NaN and is left out of macro_auc; if no
 * class has an AUC the call fails with STATS_ONE_CLASS.
 */
extern StatsStatus stats_class_figures(StatsClassFigures *figures,
									   StatsFigures *class_figures,
									   double *class_auc,
									   uint64_t *confusion,
									   const StatsClassRows *rows,
									   const StatsEnv *env);

/*
 * One-vs-rest view of one class: fills score and label (n each) for the
 * functions on StatsRows.
 */
extern StatsStatus stats_class_one_vs_rest(double *score, uint8_t *label,
										   const StatsClassRows *rows,
										   int32_t positive_class);

#endif							/* PNEUMO_STATS_STATS_H */
