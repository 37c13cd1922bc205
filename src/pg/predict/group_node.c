/*-------------------------------------------------------------------------
 *
 * group_node.c
 *	  The calls of one node of a query plan, and the batch scan that serves them.
 *
 *	  a scan, a join or a projection whose target list calls; for the scan of a
 *	  table also the conditions from the first that calls on: the node then
 *	  gives columns only, and a batch scan above it evaluates the expressions
 *
 *	  an aggregation with calls in the arguments of aggregates: a batch scan
 *	  below it
 *
 * A batch scan is for calls that each row makes: not those that an expression
 * may never reach (CASE, COALESCE, the right side of AND and OR), nor those with
 * a model or class from a column, whose batches would score images in vain.  No
 * batch scan evaluates a volatile function or a subplan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"

#include "pg/predict/group_scan.h"

/* --------------------------------------------------------------- the calls */

/* Returns whether a model or class is the same for all rows, and known without computing anything. */
static bool
is_fixed(const Node *argument)
{
	return IsA(argument, Const) ||
		   (IsA(argument, Param) && ((const Param *) argument)->paramkind == PARAM_EXTERN);
}

static bool
is_score_call(Node *node)
{
	FuncExpr *call = (FuncExpr *) node;
	ListCell *cell;

	if (!IsA(node, FuncExpr) || call->args == NIL || !pneumo_is_score_function(call->funcid))
		return false;
	for_each_from(cell, call->args, 1)
	{
		if (!is_fixed(lfirst(cell)))
			return false;
	}
	return true;
}

typedef struct CallFinder
{
	List *calls;           /* different ones */
	bool columns_only;     /* images must be plain columns */
	bool same_scores_only; /* no more image and model than those already found */
} CallFinder;

/* Returns whether two calls ask for the same image and model, so that one score serves both. */
static bool
is_same_score(const FuncExpr *a, const FuncExpr *b)
{
	Node *model_a = list_length(a->args) > 1 ? lsecond(a->args) : NULL;
	Node *model_b = list_length(b->args) > 1 ? lsecond(b->args) : NULL;

	return equal(linitial(a->args), linitial(b->args)) && equal(model_a, model_b);
}

/* Returns whether a node is a call that a batch scan can serve. */
static bool
can_be_served(Node *node, const CallFinder *finder)
{
	Node *image;
	ListCell *cell;

	if (!is_score_call(node))
		return false;
	if (finder->same_scores_only)
	{
		foreach (cell, finder->calls)
		{
			if (is_same_score(lfirst(cell), (FuncExpr *) node))
				return true;
		}
		return false;
	}
	image = linitial(((FuncExpr *) node)->args);
	return IsA(image, Var) || (!finder->columns_only && contain_var_clause(image));
}

/* Collects the calls that an expression makes whenever it is evaluated; context is the CallFinder. */
static bool
find_calls(Node *node, void *context)
{
	CallFinder *finder = context;

	if (node == NULL)
		return false;
	if (can_be_served(node, finder))
	{
		finder->calls = list_append_unique(finder->calls, node);
		return false;
	}
	switch (nodeTag(node))
	{
		case T_BoolExpr:
			return find_calls(linitial(((BoolExpr *) node)->args), finder);
		case T_List:
		case T_TargetEntry:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
		case T_CollateExpr:
		case T_FieldSelect:
		case T_NullTest:
		case T_BooleanTest:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_MinMaxExpr:
			return expression_tree_walker(node, find_calls, context);
		default:
			return false;
	}
}

/* Does the same for the aggregates of an Agg node. */
static bool
find_aggregate_calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Aggref *aggregate = (Aggref *) node;

		/* where the filter says no, the arguments are not looked at */
		if (aggregate->aggfilter != NULL)
			return find_calls((Node *) aggregate->aggfilter, context);
		return find_calls((Node *) aggregate->args, context);
	}
	return expression_tree_walker(node, find_aggregate_calls, context);
}

/* ----------------------------------------------------------- the new node */

/* A batch scan that is being made. */
typedef struct ScanBuilder
{
	List *columns; /* TargetEntry: what the child gives */
	List *images;  /* of the calls that the batch scan serves: expressions that the child computes */
} ScanBuilder;

/* Returns the column of the child that gives an expression, and adds it if there is none. */
static AttrNumber
column_of(ScanBuilder *builder, Expr *expr)
{
	ListCell *cell;

	foreach (cell, builder->columns)
	{
		TargetEntry *entry = lfirst(cell);

		if (equal(entry->expr, expr))
			return entry->resno;
	}
	builder->columns =
		lappend(builder->columns, makeTargetEntry(expr, list_length(builder->columns) + 1, NULL, false));
	return list_length(builder->columns);
}

static Expr *
column_var(int varno, AttrNumber column, const Expr *expr)
{
	return (Expr *) makeVar(varno, column, exprType((const Node *) expr), exprTypmod((const Node *) expr),
							exprCollation((const Node *) expr), 0);
}

/* Adds a column for every image and for every Var outside of these; context is the ScanBuilder. */
static bool
add_columns(Node *node, void *context)
{
	ScanBuilder *builder = context;

	if (node == NULL)
		return false;
	if (!IsA(node, Var) && !list_member(builder->images, node))
		return expression_tree_walker(node, add_columns, context);
	(void) column_of(builder, (Expr *) node);
	return false;
}

/* Returns an expression of the old node as one over the scan tuple; context is the ScanBuilder. */
static Node *
over_scan_tuple(Node *node, void *context)
{
	ScanBuilder *builder = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) || list_member(builder->images, node))
		return (Node *) column_var(INDEX_VAR, column_of(builder, (Expr *) node), (Expr *) node);
	return expression_tree_mutator(node, over_scan_tuple, context);
}

/* Returns a batch scan above child, whose target list is complete, with an empty target list. */
static CustomScan *
make_batch_scan(Plan *child, int rows, PneumoPlanWalk *walk)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan *plan = &scan->scan.plan;
	ListCell *cell;

	plan->startup_cost = child->startup_cost;
	plan->total_cost = child->total_cost;
	plan->plan_rows = child->plan_rows;
	plan->plan_width = child->plan_width;
	plan->parallel_safe = child->parallel_safe;
	/* unique, and none of the planner's */
	plan->plan_node_id = -walk->n_scans;
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);
	plan->lefttree = child;
	scan->methods = &pneumo_batch_scan_methods;
	scan->custom_private = list_make1(makeInteger(rows));
	foreach (cell, child->targetlist)
	{
		TargetEntry *entry = lfirst(cell);

		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist, makeTargetEntry(column_var(OUTER_VAR, entry->resno, entry->expr),
															 entry->resno, entry->resname, false));
	}
	return scan;
}

/* -------------------------------------------------- nodes of a query plan */

static bool
is_table_scan(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_IndexScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
			return true;
		default:
			return false;
	}
}

/* Returns whether a node can give the columns that are asked of it. */
static bool
can_project(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SubqueryScan:
		case T_ValuesScan:
		case T_CteScan:
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
			return true;
		case T_Result:
			return plan->lefttree != NULL;
		default:
			return is_table_scan(plan);
	}
}

/*
 * Returns the conditions of a node from the first that calls on; they are
 * evaluated in this order.  What comes after the first may not be reached, so
 * that only calls that share its scores are served.
 */
static List *
conditions_with_calls(const Plan *plan, CallFinder *finder)
{
	ListCell *cell;

	foreach (cell, plan->qual)
	{
		find_calls(lfirst(cell), finder);
		if (finder->calls != NIL)
		{
			List *moved = list_copy_tail(plan->qual, foreach_current_index(cell));

			finder->same_scores_only = true;
			find_calls((Node *) moved, finder);
			return moved;
		}
	}
	return NIL;
}

/* Returns whether a batch scan may evaluate expressions. */
static bool
can_evaluate(const List *expressions)
{
	return !contain_volatile_functions((Node *) expressions) && !contain_subplans((Node *) expressions);
}

Plan *
pneumo_batch_above(Plan *plan, int rows, PneumoPlanWalk *walk)
{
	CallFinder finder = {NIL, false, false};
	ScanBuilder builder = {NIL, NIL};
	List *targets = plan->targetlist;
	List *moved = NIL;
	List *kept;
	CustomScan *scan;
	ListCell *cell;

	if (!can_project(plan))
		return plan;
	if (is_table_scan(plan) && rows == PNEUMO_ALL_ROWS)
		moved = conditions_with_calls(plan, &finder);
	/* how many rows come to a condition is not known */
	if (moved == NIL && plan->plan_rows < PNEUMO_BATCH_MIN_ROWS)
		return plan;
	find_calls((Node *) targets, &finder);
	if (finder.calls == NIL || !can_evaluate(targets) || !can_evaluate(moved))
		return plan;

	foreach (cell, finder.calls)
		builder.images = list_append_unique(builder.images, linitial(lfirst_node(FuncExpr, cell)->args));
	add_columns((Node *) targets, &builder);
	add_columns((Node *) moved, &builder);
	kept = list_truncate(list_copy(plan->qual), list_length(plan->qual) - list_length(moved));
	if (!pneumo_can_read_ahead(plan, builder.columns, kept, walk))
		return plan;
	walk->n_scans++;
	if (!walk->change)
		return plan;

	plan->targetlist = builder.columns;
	plan->qual = kept;
	scan = make_batch_scan(plan, rows, walk);
	scan->scan.plan.targetlist = (List *) over_scan_tuple((Node *) targets, &builder);
	scan->scan.plan.qual = (List *) over_scan_tuple((Node *) moved, &builder);
	scan->custom_exprs = (List *) over_scan_tuple((Node *) finder.calls, &builder);
	return &scan->scan.plan;
}

/* Returns a target list of a batch scan that gives the rows of its child as they are. */
static List *
columns_of_child(const Plan *child)
{
	List *targets = NIL;
	ListCell *cell;

	foreach (cell, child->targetlist)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		entry->expr = column_var(INDEX_VAR, entry->resno, entry->expr);
		targets = lappend(targets, entry);
	}
	return targets;
}

/* Returns the number of the child's column that is the image of a call of an aggregate's argument. */
static AttrNumber
image_column(const FuncExpr *call)
{
	return linitial_node(Var, call->args)->varattno;
}

/* Returns a copy of a call whose image is a column of the scan tuple. */
static FuncExpr *
call_over(const FuncExpr *call, AttrNumber column)
{
	FuncExpr *copy = copyObject((FuncExpr *) call);

	linitial(copy->args) = column_var(INDEX_VAR, column, linitial(call->args));
	return copy;
}

/*
 * Where the child can give plain columns, the batch scan evaluates the child's
 * expressions in its stead, so that a key of groups, say, is not computed ahead.
 */
void
pneumo_batch_below(Agg *agg, PneumoPlanWalk *walk)
{
	Plan *child = agg->plan.lefttree;
	List *targets = child->targetlist;
	bool projects = can_project(child) && can_evaluate(targets);
	CallFinder finder = {NIL, true, false};
	ScanBuilder builder = {NIL, NIL};
	CustomScan *scan;
	ListCell *cell;

	if (agg->groupingSets != NIL || agg->chain != NIL || child->plan_rows < PNEUMO_BATCH_MIN_ROWS)
		return;
	find_aggregate_calls((Node *) agg->plan.targetlist, &finder);
	find_aggregate_calls((Node *) agg->plan.qual, &finder);
	if (finder.calls == NIL || contain_volatile_functions((Node *) agg->plan.targetlist) ||
		contain_volatile_functions((Node *) agg->plan.qual))
		return;

	foreach (cell, finder.calls)
	{
		TargetEntry *image = list_nth(targets, image_column(lfirst(cell)) - 1);

		builder.images = list_append_unique(builder.images, image->expr);
	}
	if (projects)
		add_columns((Node *) targets, &builder);
	if (!pneumo_can_read_ahead(child, projects ? builder.columns : targets, child->qual, walk))
		return;
	walk->n_scans++;
	if (!walk->change)
		return;

	if (projects)
		child->targetlist = builder.columns;
	scan = make_batch_scan(child, PNEUMO_ALL_ROWS, walk);
	foreach (cell, finder.calls)
	{
		AttrNumber column = image_column(lfirst(cell));

		if (projects)
			column = column_of(&builder, ((TargetEntry *) list_nth(targets, column - 1))->expr);
		scan->custom_exprs = lappend(scan->custom_exprs, call_over(lfirst(cell), column));
	}
	scan->scan.plan.targetlist =
		projects ? (List *) over_scan_tuple((Node *) targets, &builder) : columns_of_child(child);
	agg->plan.lefttree = &scan->scan.plan;
}
