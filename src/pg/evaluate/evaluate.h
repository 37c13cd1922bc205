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
	/* of pneumo_evaluation_begin() */
	const char *model;
	PneumoVersionId id;
	Jsonb *provenance;    /* the version's, or NULL */
	PneumoConfig *config; /* data keys of the call over those of the training */
	PneumoScorer *scorer;
	void *scorers; /* where it is kept */

	/* of pneumo_evaluation_read() */
	PneumoSource *source;
	PneumoDataset *dataset;
	bool score[3];       /* sides that are scored */
	PneumoScores scores; /* by the samples' slots */
	int64 n_scored;
	/* sees every readable row, also of sides that are not scored; may be NULL */
	void (*look)(void *arg, const PneumoSample *sample, const uint8 *pixels);
	void *look_arg;
} PneumoEvaluation;

/*
 * Finds the version (config key "version", default the deployed one; predict
 * is checked), reads the config and gets the engine.  own_keys (NULL-ended):
 * keys of the calling function, beside "version" and the data keys.
 */
extern void pneumo_evaluation_begin(PneumoEvaluation *e, const char *model, Jsonb *given,
									const char *const *own_keys);

/*
 * Reads the table and scores the sides that e->score says.  Rows that the
 * version was trained on are left out of validation, and of test also those
 * it was selected by, wherever they come from.
 */
extern void pneumo_evaluation_read(PneumoEvaluation *e, Oid relid);

/* Indexes of the samples on a side, palloc'd; their number. */
extern int64 pneumo_evaluation_side(int64 **samples, const PneumoEvaluation *e, int side);

/* Of a scored sample: probabilities of the classes. */
extern const double *pneumo_evaluation_probability(const PneumoEvaluation *e, int64 sample);

/*
 * Reads the table once more and hands over the images of the samples that are
 * marked (dataset->n flags, cleared as they are found).  The context of the
 * call is reset after each row.
 */
typedef void (*PneumoImageVisit)(void *arg, int64 sample, Datum image);
extern void pneumo_evaluation_visit(PneumoEvaluation *e, bool *marked, PneumoImageVisit visit, void *arg);

/* --------------------------------------- rows that are judged (side.c) */

/* The rows that are judged, in the order of the dataset. */
typedef struct PneumoSide
{
	int split; /* index into pneumo_split_names */
	int64 *samples;
	int64 n;
	int64 groups;
	int64 positive;
} PneumoSide;

/* Config key "split", default test; held-out rows need a transaction that may write. */
extern int pneumo_side_split(Jsonb *given, const char *function);

/* Marks the sides to be scored; to be called before pneumo_evaluation_read(). */
extern void pneumo_side_want(PneumoEvaluation *e, int split);

/* After reading: leaves out rows that a version has seen. */
extern void pneumo_side_hold_out(PneumoEvaluation *e, int64 version, int split);

/* The rows that are left; errors if there is none. */
extern void pneumo_side_collect(PneumoSide *side, const PneumoEvaluation *e, int split);

/* Scores of the positive class; probability: two a scored row, by slot. */
extern double *pneumo_side_scores(const PneumoSide *side, const PneumoEvaluation *e,
								  const double *probability);

/* The scores with label and patient. */
extern StatsRows pneumo_side_rows(const PneumoSide *side, const PneumoEvaluation *e, const double *score);

/* The same for any number of classes; probability: n_classes a scored row, by slot. */
extern StatsClassRows pneumo_side_class_rows(const PneumoSide *side, const PneumoEvaluation *e,
											 const double *probability);

/* Counts a look at held-out rows; how many there were at this side. */
extern int64 pneumo_side_look(const PneumoVersionId *id, const PneumoSide *side, const char *source,
							  const char *metrics);

/* ----------------------------------------------- failures (failures.c) */

#define PNEUMO_MAX_NEIGHBOURS 50

typedef enum PneumoDistance
{
	PNEUMO_DISTANCE_COSINE, /* 1 - cosine of the angle, 0 to 2 */
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
	int predicted; /* class */
	double score;  /* probability of the positive of two classes, of
								 * the predicted one of more */
	double loss;   /* minus the logarithm of what the true class got */
	bool wrong;
	int n_neighbours;
	PneumoNeighbour *neighbours; /* the nearest first */
} PneumoFailure;

/* The failures of a side that was read and scored, worst first; with right also the other rows. */
extern int64 pneumo_failures_find(PneumoFailure **failures, const PneumoEvaluation *e, int side, bool right,
								  int64 limit);

/* Finds the nearest training images of the wrong ones: reads the table twice more. */
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
	const char *class_name; /* NULL: positive of two, else the most probable */
	PneumoMapMethod method;
	double scale;   /* logits at full colour; 0: the map's largest */
	double opacity; /* of full colour, 0 to 1 */
} PneumoMapOptions;

typedef struct PneumoMap
{
	int height, width; /* of the last convolution's output */
	int class_index;   /* explained */
	double max_abs;    /* of the values */
	bool empty;
	float *values; /* [height][width], logits; positive speaks for
								 * the class */
} PneumoMap;

/* Reads a config, or the defaults with NULL; strings are allocated in the current context. */
extern void pneumo_map_options(PneumoMapOptions *options, Jsonb *config);

/*
 * The map of an image, values palloc'd; false if the image cannot be decoded
 * and on_bad_image is PNEUMO_BAD_IMAGE_NULL.  Errors: no convolution in the
 * network, no such class.
 */
extern bool pneumo_map_make(PneumoMap *map, PneumoScorer *scorer, Datum image,
							const PneumoMapOptions *options, int on_bad_image);

/*
 * The image as grey with the map in colour over it, a palloc'd JPEG of the
 * image's own size, or, with max_side above 0, shrunk to it; NULL as above.
 */
extern bytea *pneumo_map_draw(const PneumoMap *map, Datum image, const PneumoMapOptions *options,
							  int max_side, int on_bad_image);

#endif /* PNEUMO_PG_EVALUATE_H */
