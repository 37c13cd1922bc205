/*-------------------------------------------------------------------------
 *
 * evaluate.h
 *	  What a version can do on a table: its scores, the rows that it is judged
 *	  by, the rows that it gets wrong, and why.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_EVALUATE_H
#define PNEUMO_PG_EVALUATE_H

#include "utils/jsonb.h"

#include "image/image.h"
#include "stats/stats.h"

#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"

/* ------------------------------------ scores on a table (evaluation.c) */

typedef struct PneumoEvaluation
{
	/* filled by pneumo_evaluation_begin() */
	const char *model;
	PneumoVersionId id;
	Jsonb *provenance;    /* the version's, or NULL */
	PneumoConfig *config; /* data keys of the call over those of the training */
	PneumoScorer *scorer;
	void *scorers; /* where it is kept */

	/*
	 * set by the caller: the splits to score, who sees each row that is scored, with
	 * its slot, or NULL, and columns of which pneumo_evaluation_visit() gives the values
	 */
	bool score[3];
	void (*see)(void *arg, int64 slot, const uint8 *pixels);
	void *see_arg;
	const char *extra_key; /* the config key that names the columns */
	char **extra;
	int n_extra;

	/* filled by pneumo_evaluation_read() */
	PneumoSource *source;
	PneumoDataset *dataset;
	PneumoScores scores; /* by the samples' slots */
	int64 n_scored;
} PneumoEvaluation;

/*
 * Finds the version (config key "version", by default the deployed one; checks
 * the privilege predict), reads the config and gets the engine.  own_keys, ended
 * by NULL, are the keys of the calling function in addition to "version" and the
 * data keys.
 */
extern void pneumo_evaluation_begin(PneumoEvaluation *e, const char *model, Jsonb *given,
									const char *const *own_keys);

/*
 * Reads the table and scores the splits that e->score marks.  Then leaves out what
 * the version has seen, by pneumo_evaluation_hold_out().
 */
extern void pneumo_evaluation_read(PneumoEvaluation *e, Oid relid);

/*
 * Leaves out scored rows that judge's version has seen, whatever table they come from:
 * in validation those that it was trained on, in test also those that it was
 * selected by.  Where all three splits are scored, rows that it was trained on or
 * selected by are left out of each.  Warns where not all that it has seen is known.
 */
extern void pneumo_evaluation_hold_out(PneumoEvaluation *e, const PneumoEvaluation *judge);

/*
 * Counts a look at the held-out rows of a version, if the call is one: the split
 * is test or all, or rows are among those that its training held out as test,
 * whatever the call names their split.  Returns the number of looks at it, with
 * this one.  To be called before anything is shown; images were judged.
 */
extern int64 pneumo_evaluation_look(const PneumoEvaluation *e, const PneumoVersionId *id, int split,
									int64 images, Jsonb *metrics);

/* Lists the samples of a split in *samples, palloc'd, and returns their number. */
extern int64 pneumo_evaluation_split(int64 **samples, const PneumoEvaluation *e, int split);

/*
 * Makes of n evaluations of findings that have read the same rows evaluations of two
 * classes: the absence and the presence of one finding, on the rows of which it is
 * known.
 */
extern void pneumo_evaluation_view(PneumoEvaluation *e, int n, int finding);

/* Returns the probabilities of the classes for a scored sample. */
extern const double *pneumo_evaluation_probability(const PneumoEvaluation *e, int64 sample);

/* Sees the row and the image of a sample; the context of the call is reset after each row. */
typedef void (*PneumoImageVisit)(void *arg, int64 sample, const PneumoRow *row, Datum image);

/*
 * Reads the table once more and hands over the images of the samples that are
 * marked: dataset->n flags, each cleared when its image is found.  Of rows with
 * the same image the first one is seen.
 */
extern void pneumo_evaluation_visit(PneumoEvaluation *e, bool *marked, PneumoImageVisit visit, void *arg);

/* ------------------------------------- rows that are judged (judged.c) */

/* The rows of a split that a version is judged by, in the order of the dataset. */
typedef struct PneumoJudged
{
	int split; /* index into pneumo_split_names */
	int64 *samples;
	int64 n;
	bool grouped; /* the rows name their patients */
	int64 groups; /* patients, if they are known */
	int64 positive;
} PneumoJudged;

/*
 * Reads config key "split", by default test.  Held-out rows need a transaction
 * that may write, because the look is counted; function names the caller in
 * the error.
 */
extern int pneumo_judged_split(Jsonb *given, const char *function);

/*
 * Reads the table and lists the rows of the split that none of n versions has seen,
 * each scored by all of them.  The first evaluation reads; the others get its
 * source, dataset and slots, so that what takes an evaluation takes each of them.
 * Errors if no row is left.
 */
extern void pneumo_judged_read(PneumoJudged *judged, PneumoEvaluation *e, int n, Oid relid, int split);

/* Turns rows that are read, and their evaluations, to one finding, as pneumo_evaluation_view() does. */
extern void pneumo_judged_view(PneumoJudged *judged, PneumoEvaluation *e, int n, int finding);

/* Below so many patients, of a class or in all, a note says that there are few. */
#define PNEUMO_FEW_GROUPS 20

/*
 * Returns the number of groups that samples are of, only those of a class unless that is
 * -1, or with a finding; *largest, unless NULL, is the number of samples of the largest one.
 */
extern int64 pneumo_count_groups(const PneumoEvaluation *e, const int64 *samples, int64 n_samples, int class,
								 int64 *largest);

/* A note says if one patient has more than this part of the images: a third. */
#define PNEUMO_LARGE_SHARE 3

/*
 * Returns why the intervals of the rows rest on little: few patients, of a class or in
 * all, or one with many of the images.  A list of strings, NIL if nothing is to be said.
 */
extern List *pneumo_judged_notes(const PneumoJudged *judged, const PneumoEvaluation *e);

/* Returns the same as a text[], *isnull if nothing is to be said, and raises one NOTICE with all of it. */
extern Datum pneumo_judged_notes_datum(const PneumoJudged *judged, const PneumoEvaluation *e, bool *isnull);

/*
 * Returns score, label and patient of the rows with one class as the positive
 * one, of a finding those of which it is known, in the order of
 * pneumo_stats_rows(), so that the figures are to the bit those of the aggregates.
 */
extern StatsRows pneumo_judged_rows(const PneumoJudged *judged, const PneumoEvaluation *e, int class);

/* Returns the probabilities of all findings with what is known of them, their thresholds and patients. */
extern StatsFindingRows pneumo_judged_finding_rows(const PneumoJudged *judged, const PneumoEvaluation *e);

/*
 * Returns the finding that config key "class" names; -1 of a version of classes,
 * where the key is an error, and without the key.  With needed, the key may be left
 * out only if there is one finding; function names the caller.
 */
extern int pneumo_judged_finding(const PneumoEvaluation *e, Jsonb *given, bool needed, const char *function);

/* Returns the probabilities of all classes with class and patient of the rows. */
extern StatsClassRows pneumo_judged_class_rows(const PneumoJudged *judged, const PneumoEvaluation *e,
											   const double *probability);

/* ------------------------------ versions on the same rows (rivals.c) */

#define PNEUMO_MAX_RIVALS 8

/*
 * Returns the config of one of several versions, for pneumo_evaluation_begin():
 * without the keys (ended by NULL) that name their versions, and with that of
 * this one, which is NULL for the deployed one.  Errors on key "version".
 */
extern Jsonb *pneumo_rival_config(Jsonb *given, const char *const *version_keys, JsonbValue *version);

/* Errors unless n versions have the same classes and are different ones. */
extern void pneumo_rivals_check(const PneumoEvaluation *e, int n);

/*
 * What two versions differ in on the same rows, a - b, each at its own operating
 * point; of more than two classes by the macro figures.
 */
typedef struct PneumoDifferences
{
	StatsInterval auc_a; /* of each version itself */
	StatsInterval auc_b;
	StatsInterval auc;
	StatsInterval accuracy;
	StatsInterval sensitivity;
	StatsInterval specificity;
	StatsInterval log_loss;
	StatsInterval brier;
	double auc_p;
	uint64 only_a_right; /* rows */
	uint64 only_b_right;
	double mcnemar_p;
} PneumoDifferences;

/* Computes the differences of two versions that were read together; what is the subject of errors. */
extern void pneumo_differences(PneumoDifferences *differences, const PneumoJudged *judged,
							   const PneumoEvaluation *a, const PneumoEvaluation *b, const char *what);

/*
 * Counts a look for each of n versions that were read together, as
 * pneumo_evaluation_look() does, and sets their numbers of looks.  A number with
 * that name, of each version, is stored with its look.
 */
extern void pneumo_rivals_look(int64 *looks, const PneumoJudged *judged, const PneumoEvaluation *e, int n,
							   const char *name, const double *number);

/* ----------------------------------------------- failures (failures.c) */

#define PNEUMO_MAX_NEIGHBOURS 50

typedef enum PneumoDistance
{
	PNEUMO_DISTANCE_COSINE, /* 1 minus the cosine of the angle, 0 to 2 */
	PNEUMO_DISTANCE_EUCLIDEAN
} PneumoDistance;

typedef struct PneumoNeighbour
{
	int64 sample;
	double distance;
} PneumoNeighbour;

typedef struct PneumoFailure
{
	int64 sample;  /* of the evaluation's dataset */
	int finding;   /* that is judged; -1: there are classes */
	int predicted; /* class, of a finding 1 or 0 */
	double score;  /* probability of the positive of two classes, of the predicted one of more */
	double loss;   /* minus the logarithm of what the true class got, or the finding or its absence */
	bool wrong;
	int n_neighbours;
	PneumoNeighbour *neighbours; /* the nearest first */
} PneumoFailure;

/*
 * Lists the rows of a scored split that are called wrongly, worst first, and
 * with right also the other rows; returns their number, at most limit.  Of findings
 * a row is there for each that is known and called wrongly, or only for one
 * finding (-1: all).
 */
extern int64 pneumo_failures_find(PneumoFailure **failures, const PneumoEvaluation *e, int split, bool right,
								  int finding, int64 limit);

/* Finds the nearest training images of the wrong ones, by reading the table twice more. */
extern void pneumo_failures_neighbours(PneumoFailure *failures, int64 n, PneumoEvaluation *e,
									   int n_neighbours, PneumoDistance distance);

/* ---------------------------------------------------- maps (explain.c) */

/*
 * A map whose absolute values sum to less is empty: all that it shows moves
 * the odds by less than one percent, the probability by less than 0.0025.
 */
#define PNEUMO_MAP_EMPTY 0.01

typedef enum PneumoMapMethod
{
	PNEUMO_MAP_HIRESCAM, /* sum over channels of activation * gradient */
	PNEUMO_MAP_GRADCAM   /* the gradient averaged over the positions first */
} PneumoMapMethod;

typedef struct PneumoMapOptions
{
	const char *class_name; /* NULL: positive of two, else the most probable; of findings, too */
	PneumoMapMethod method;
	double scale;   /* logits at full colour; 0: the map's largest */
	double opacity; /* of full colour, 0 to 1 */
} PneumoMapOptions;

typedef struct PneumoMap
{
	int height, width; /* of the map that is explained */
	int class_index;   /* explained */
	double max_abs;    /* of the values */
	bool empty;
	float *values; /* [height][width], logits; positive speaks for the class */
} PneumoMap;

/* Reads a config, or the defaults with NULL; strings are allocated in the current context. */
extern void pneumo_map_options(PneumoMapOptions *options, Jsonb *config);

/*
 * Makes the map of an image, values palloc'd.  Returns false if the image cannot
 * be decoded and on_bad_image is PNEUMO_BAD_IMAGE_NULL; errors if the network
 * has no convolution or the model no such class.
 */
extern bool pneumo_map_make(PneumoMap *map, PneumoScorer *scorer, Datum image,
							const PneumoMapOptions *options, int on_bad_image);

/*
 * Draws the image in grey with the map in colour over it: a palloc'd JPEG of the
 * image's own size, or with a longer side of at most max_side pixels if that is
 * above 0.  Returns NULL for a bad image as above.
 */
extern bytea *pneumo_map_draw(const PneumoMap *map, Datum image, const PneumoMapOptions *options,
							  int max_side, int on_bad_image);

#endif /* PNEUMO_PG_EVALUATE_H */
