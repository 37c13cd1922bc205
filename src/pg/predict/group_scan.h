/*-------------------------------------------------------------------------
 *
 * group_scan.h
 *	  A plan node that scores the rows of its child in groups.
 *
 * A row at a time, each call of pneumo_predict reads the weights of the dense
 * layers anew.  This node takes up to NN_GROUP_ROWS rows from its child, scores
 * them together, and then gives them one by one; a score has the same bits as
 * alone.  group_plan.c puts it into a plan when the plan is about to run, and
 * group_node.c makes it of what a node of the plan calls.
 *
 * The node, a CustomScan of no relation:
 *	  lefttree			 the child, which computes the images and what else the
 *						 rows need, but none of the expressions above them
 *	  custom_scan_tlist	 the scan tuple: the child's columns, then a column for
 *						 the result of each call
 *	  custom_exprs		 three lists over the scan tuple: the calls, FuncExpr of
 *						 pneumo_score_kind() whose image is a column of the child,
 *						 model and class no column; target list and conditions with
 *						 the calls as such, for rows that are better left to them
 *	  custom_private	 one integer: the most rows that will be asked for, or 0
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_GROUP_SCAN_H
#define PNEUMO_PG_GROUP_SCAN_H

#include "nodes/extensible.h"
#include "nodes/plannodes.h"

extern const CustomScanMethods pneumo_group_scan_methods;

/* Once, when the library is loaded; and for each function whose calls plans may have. */
extern void pneumo_group_plan_init(void);
extern void pneumo_group_plan_expect(Oid function);

#define PNEUMO_ALL_ROWS 0       /* in place of the number of rows that will be asked for */
#define PNEUMO_GROUP_MIN_ROWS 2 /* expected from a node that is worth it */

/*
 * The group scan above a plan node that makes its calls, or the node itself if
 * it makes none; a group scan below an aggregation, if its aggregates call.
 * rows: how many will be asked for; *n_scans counts the scans made in a plan.
 */
extern Plan *pneumo_group_above(Plan *plan, int rows, int *n_scans);
extern void pneumo_group_below(Agg *agg, int *n_scans);

#endif /* PNEUMO_PG_GROUP_SCAN_H */
