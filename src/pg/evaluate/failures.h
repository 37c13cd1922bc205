/*-------------------------------------------------------------------------
 *
 * failures.h
 *	  The rows that a version gets wrong, and the training images like them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_FAILURES_H
#define PNEUMO_PG_FAILURES_H

#include "pg/evaluate/evaluation.h"

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

#endif /* PNEUMO_PG_FAILURES_H */
