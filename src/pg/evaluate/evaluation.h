/*-------------------------------------------------------------------------
 *
 * evaluation.h
 *	  A version's scores on the sides of a table: what pneumo_failures and
 *	  pneumo_report share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_EVALUATION_H
#define PNEUMO_PG_EVALUATION_H

#include "pg/predict/scores.h"
#include "pg/train/training.h"

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

/* Counts a look at held-out rows; how many there were at that side of a version. */
extern void pneumo_look_add(const PneumoVersionId *id, const char *split, const char *source, int64 images,
							Jsonb *metrics);
extern int64 pneumo_look_count(int64 version, const char *split);

#endif /* PNEUMO_PG_EVALUATION_H */
