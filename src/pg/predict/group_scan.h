/*-------------------------------------------------------------------------
 *
 * group_scan.h
 *	  A node of a query plan that reads ahead, so that the rows of its child are
 *	  scored in batches.
 *
 * A row at a time, each call of pneumo_predict reads the weights of the dense
 * layers anew.  This node takes up to NN_GROUP_ROWS rows from its child before
 * it gives the first of them.  It scores nothing by itself: the calls stay in
 * the expressions, and a call that finds its image in the row that the node
 * gave last (pneumo_batch_scores) scores the images of the rows behind it, too.
 * So names, rights and settings are looked up, and errors raised, by the same
 * calls in the same order as without the node.  README.md in this folder says
 * when a query plan gets the node.
 *
 * The node, a CustomScan of no relation:
 *	  lefttree			 the child, which computes the images and what else the
 *						 rows need, but none of the expressions above them
 *	  custom_scan_tlist	 the scan tuple: the child's columns
 *	  targetlist, qual	 the expressions with the calls, over the scan tuple
 *	  custom_exprs		 the calls that the node is for, over the scan tuple
 *	  custom_private	 one integer: the most rows that will be asked for, or 0
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_GROUP_SCAN_H
#define PNEUMO_PG_GROUP_SCAN_H

#include "nodes/bitmapset.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"

#include "pg/predict/predict.h"

extern const CustomScanMethods pneumo_batch_scan_methods;

/* Installs the hooks of the executor and registers the node, once, when the library is loaded. */
extern void pneumo_batch_plan_init(void);

/* Returns whether a batch scan can serve the calls of a function: not with SECURITY DEFINER or SET around it. */
extern bool pneumo_is_score_function(Oid function);

/* Notes a function whose calls query plans may have. */
extern void pneumo_batch_plan_expect(Oid function);

#define PNEUMO_ALL_ROWS 0       /* in place of the number of rows that will be asked for */
#define PNEUMO_BATCH_MIN_ROWS 2 /* expected from a node that is worth it */

/* A walk over the query plan of a statement. */
typedef struct PneumoPlanWalk
{
	const List *subplans;   /* the statement's */
	Bitmapset *lazy_params; /* parameters that are computed when they are first used */
	Bitmapset *whole;       /* numbers of the subplans that are read to their end */
	bool change;            /* whether nodes are put in, or only counted */
	int n_scans;            /* batch scans that were put in or counted */
} PneumoPlanWalk;

/*
 * Returns a batch scan above a plan node that makes calls, or the node itself
 * where there is none to be; rows is how many will be asked for.
 */
extern Plan *pneumo_batch_above(Plan *plan, int rows, PneumoPlanWalk *walk);

/* Puts a batch scan below an aggregation whose aggregates make calls. */
extern void pneumo_batch_below(Agg *agg, PneumoPlanWalk *walk);

/*
 * Returns whether nobody can tell that rows of a node are read before their
 * turn, or in vain, if the node had the given target list and conditions.
 */
extern bool pneumo_can_read_ahead(const Plan *plan, const List *targets, const List *conditions,
								  const PneumoPlanWalk *walk);

/*
 * Gives the calibrated probabilities and the network's own output for an image,
 * by the version and path of a scorer, if a batch scan has just given a row with
 * this image and it is scored in a batch.  The memory is the node's, and stays
 * until the node gives its next row.
 */
extern bool pneumo_batch_scores(Datum image, const PneumoScorer *scorer, const double **calibrated,
								const float **raw);

#endif /* PNEUMO_PG_GROUP_SCAN_H */
