/*-------------------------------------------------------------------------
 *
 * group_node.c
 *	  The calls of one plan node, and the group scan that makes them.
 *
 *	  a scan, a join or a projection whose target list calls; for the scan of a
 *	  table also the conditions from the first that calls on: the node then
 *	  gives columns only, and a group scan above it the expressions
 *
 *	  an aggregation with calls in the arguments of aggregates: a group scan
 *	  below it
 *
 * Scoring ahead must not be seen, so some calls stay as they are: those that
 * an expression may never reach (CASE, COALESCE, the right side of AND and OR),
 * with a model or class from a column, or with volatile arguments; and those
 * beside subplans.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"

#include "pg/predict/group_scan.h"
#include "pg/predict/score_calls.h"

/* --------------------------------------------------------------- the calls */

/* Model or class: the same for all rows, and known without running anything. */
static bool
is_fixed(const Node *argument)
{
	return IsA(argument, Const) ||
		   (IsA(argument, Param) && ((const Param *) argument)->paramkind == PARAM_EXTERN);
}

static bool
is_score_call(Node *node)
{
	PneumoScoreKind kind;
	FuncExpr *call = (FuncExpr *) node;
	ListCell *cell;

	if (!IsA(node, FuncExpr) || call->args == NIL || !pneumo_score_kind(call->funcid, &kind))
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
	List *calls;         /* different ones */
	bool columns_only;   /* images must be plain columns */
	bool same_runs_only; /* no more image and model than those already found */
} CallFinder;

/* Whether two calls ask for the same image and model, so that one run of the network serves both. */
static bool
is_same_run(const FuncExpr *a, const FuncExpr *b)
{
	Node *model_a = list_length(a->args) > 1 ? lsecond(a->args) : NULL;
	Node *model_b = list_length(b->args) > 1 ? lsecond(b->args) : NULL;

	return equal(linitial(a->args), linitial(b->args)) && equal(model_a, model_b);
}

/* A call that can be done ahead of its row's turn. */
static bool
can_be_grouped(Node *node, const CallFinder *finder)
{
	Node *image;
	ListCell *cell;

	if (!is_score_call(node))
		return false;
	if (finder->same_runs_only)
	{
		foreach (cell, finder->calls)
		{
			if (is_same_run(lfirst(cell), (FuncExpr *) node))
				return true;
		}
		return false;
	}
	image = linitial(((FuncExpr *) node)->args);
	if (finder->columns_only)
		return IsA(image, Var);
	return contain_var_clause(image) && !contain_volatile_functions(image) && !contain_subplans(image);
}

/* Collects the calls that an expression makes whenever it is evaluated. */
static bool
find_calls(Node *node, CallFinder *finder)
{
	if (node == NULL)
		return false;
	if (can_be_grouped(node, finder))
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
			return expression_tree_walker(node, find_calls, finder);
		default:
			return false;
	}
}

/* The same for the aggregates of an Agg node. */
static bool
find_aggregate_calls(Node *node, CallFinder *finder)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Aggref *aggregate = (Aggref *) node;

		/* where the filter says no, the arguments are not looked at */
		if (aggregate->aggfilter != NULL)
			return find_calls((Node *) aggregate->aggfilter, finder);
		return find_calls((Node *) aggregate->args, finder);
	}
	return expression_tree_walker(node, find_aggregate_calls, finder);
}

/* ----------------------------------------------------------- the new node */

/* Of a group scan that is being made. */
typedef struct GroupBuilder
{
	List *columns;    /* TargetEntry: what the child gives */
	List *calls;      /* as the plan has them */
	bool all_columns; /* they are those of the child below, in order */
	bool plain;       /* calls stay calls, of columns */
} GroupBuilder;

/* The column of the child that gives an expression; added if there is none. */
static AttrNumber
column_of(GroupBuilder *builder, Expr *expr)
{
	ListCell *cell;

	if (builder->all_columns)
		return castNode(Var, expr)->varattno;
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

static int
index_of(List *calls, Node *node)
{
	ListCell *cell;

	foreach (cell, calls)
	{
		if (equal(lfirst(cell), node))
			return foreach_current_index(cell);
	}
	return -1;
}

/* Makes sure of a column for every Var, outside of the calls. */
static bool
add_columns(Node *node, GroupBuilder *builder)
{
	if (node == NULL || index_of(builder->calls, node) >= 0)
		return false;
	if (IsA(node, Var))
	{
		(void) column_of(builder, (Expr *) node);
		return false;
	}
	return expression_tree_walker(node, add_columns, builder);
}

/* A copy of a call whose image is column of varno. */
static FuncExpr *
call_over(const FuncExpr *call, int varno, AttrNumber column)
{
	FuncExpr *copy = copyObject((FuncExpr *) call);

	linitial(copy->args) = column_var(varno, column, linitial(call->args));
	return copy;
}

/* An expression of the old node as one over the scan tuple. */
static Node *
over_scan_tuple(Node *node, GroupBuilder *builder)
{
	int call;

	if (node == NULL)
		return NULL;
	call = index_of(builder->calls, node);
	if (call >= 0 && builder->plain)
		return (Node *) call_over((FuncExpr *) node, INDEX_VAR,
								  column_of(builder, linitial(((FuncExpr *) node)->args)));
	if (call >= 0)
		return (Node *) column_var(INDEX_VAR, list_length(builder->columns) + call + 1, (Expr *) node);
	if (IsA(node, Var))
		return (Node *) column_var(INDEX_VAR, column_of(builder, (Expr *) node), (Expr *) node);
	return expression_tree_mutator(node, over_scan_tuple, builder);
}

/*
 * A group scan above child, whose columns are complete, with target list and
 * conditions given as over the child.
 */
static CustomScan *
make_group_scan(GroupBuilder *builder, Plan *child, List *targets, List *conditions, int rows, int *n_scans)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan *plan = &scan->scan.plan;
	List *calls = NIL;
	ListCell *cell;

	plan->startup_cost = child->startup_cost;
	plan->total_cost = child->total_cost;
	plan->plan_rows = child->plan_rows;
	plan->plan_width = child->plan_width;
	plan->parallel_safe = child->parallel_safe;
	/* unique, and none of the planner's */
	plan->plan_node_id = -(++*n_scans);
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);
	plan->lefttree = child;
	scan->methods = &pneumo_group_scan_methods;
	scan->custom_private = list_make1(makeInteger(rows));

	foreach (cell, builder->columns)
	{
		TargetEntry *entry = lfirst(cell);

		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist, makeTargetEntry(column_var(OUTER_VAR, entry->resno, entry->expr),
															 entry->resno, entry->resname, false));
	}
	foreach (cell, builder->calls)
	{
		FuncExpr *call = lfirst(cell);
		AttrNumber image = column_of(builder, linitial(call->args));

		calls = lappend(calls, call_over(call, INDEX_VAR, image));
		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist,
					makeTargetEntry((Expr *) call_over(call, OUTER_VAR, image),
									list_length(scan->custom_scan_tlist) + 1, NULL, false));
	}
	plan->targetlist = (List *) over_scan_tuple((Node *) targets, builder);
	plan->qual = (List *) over_scan_tuple((Node *) conditions, builder);
	builder->plain = true;
	scan->custom_exprs = list_make3(calls, over_scan_tuple((Node *) targets, builder),
									over_scan_tuple((Node *) conditions, builder));
	return scan;
}

/* ---------------------------------------------------------- nodes of a plan */

static bool
is_table_scan(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
			return true;
		default:
			return false;
	}
}

/* Nodes that can give the columns that are asked of them. */
static bool
can_project(const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SubqueryScan:
		case T_FunctionScan:
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
 * The conditions of a node from the first that calls on; they are evaluated in
 * this order.  What comes after the first may not be reached, and shares its
 * runs of the network or is left as it is.
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

			finder->same_runs_only = true;
			find_calls((Node *) moved, finder);
			return moved;
		}
	}
	return NIL;
}

Plan *
pneumo_group_above(Plan *plan, int rows, int *n_scans)
{
	CallFinder finder = {NIL, false, false};
	GroupBuilder builder = {NIL, NIL, false, false};
	List *moved = NIL;
	List *targets = plan->targetlist;
	ListCell *cell;

	if (!can_project(plan))
		return plan;
	if (is_table_scan(plan) && rows == PNEUMO_ALL_ROWS)
		moved = conditions_with_calls(plan, &finder);
	/* how many rows come to a condition is not known */
	if (moved == NIL && plan->plan_rows < PNEUMO_GROUP_MIN_ROWS)
		return plan;
	find_calls((Node *) targets, &finder);
	/* the expressions will be there twice, which not every subplan stands */
	if (finder.calls == NIL || contain_subplans((Node *) targets) || contain_subplans((Node *) moved))
		return plan;

	builder.calls = finder.calls;
	add_columns((Node *) targets, &builder);
	add_columns((Node *) moved, &builder);
	foreach (cell, builder.calls)
		(void) column_of(&builder, linitial(((FuncExpr *) lfirst(cell))->args));
	plan->targetlist = builder.columns;
	plan->qual = list_truncate(list_copy(plan->qual), list_length(plan->qual) - list_length(moved));

	return &make_group_scan(&builder, plan, targets, moved, rows, n_scans)->scan.plan;
}

/* A copy of an Agg's expressions, in whose aggregates the calls are columns of the group scan below. */
typedef struct AggregateBuilder
{
	GroupBuilder *group;
	bool inside; /* an aggregate */
} AggregateBuilder;

static Node *
over_group_scan(Node *node, AggregateBuilder *builder)
{
	Node *copy;
	int call;

	if (node == NULL)
		return NULL;
	if (IsA(node, Aggref))
	{
		builder->inside = true;
		copy = expression_tree_mutator(node, over_group_scan, builder);
		builder->inside = false;
		return copy;
	}
	call = builder->inside ? index_of(builder->group->calls, node) : -1;
	if (call >= 0)
		return (Node *) column_var(OUTER_VAR, list_length(builder->group->columns) + call + 1, (Expr *) node);
	return expression_tree_mutator(node, over_group_scan, builder);
}

void
pneumo_group_below(Agg *agg, int *n_scans)
{
	Plan *child = agg->plan.lefttree;
	CallFinder finder = {NIL, true, false};
	GroupBuilder builder = {NIL, NIL, true, false};
	AggregateBuilder aggregates = {&builder, false};
	List *targets = NIL;
	ListCell *cell;

	if (agg->groupingSets != NIL || agg->chain != NIL || child->plan_rows < PNEUMO_GROUP_MIN_ROWS)
		return;
	find_aggregate_calls((Node *) agg->plan.targetlist, &finder);
	find_aggregate_calls((Node *) agg->plan.qual, &finder);
	if (finder.calls == NIL)
		return;

	builder.calls = finder.calls;
	builder.columns = child->targetlist;
	foreach (cell, builder.columns)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(cell));

		entry->expr = column_var(OUTER_VAR, entry->resno, entry->expr);
		targets = lappend(targets, entry);
	}
	foreach (cell, builder.calls)
		targets = lappend(targets, makeTargetEntry(lfirst(cell), list_length(targets) + 1, NULL, false));
	agg->plan.targetlist = (List *) over_group_scan((Node *) agg->plan.targetlist, &aggregates);
	agg->plan.qual = (List *) over_group_scan((Node *) agg->plan.qual, &aggregates);
	agg->plan.lefttree = &make_group_scan(&builder, child, targets, NIL, PNEUMO_ALL_ROWS, n_scans)->scan.plan;
}
