/*-------------------------------------------------------------------------
 *
 * read_ahead.c
 *	  Which part of a query plan can be read ahead without anybody noticing.
 *
 * A batch scan reads rows of its child before their turn, and in vain if the
 * query stops early.  So the child must not be able to raise an error, to have
 * an effect, or to give other rows at another time.  The rule is a list of what
 * is known to be harmless: plain scans of tables and joins of these, under
 * conditions of leakproof functions.  A leakproof function raises no error
 * whatever its arguments are.  Whatever is not in the list is not read ahead.
 *
 * What is computed as a whole before the first row comes out, as below a Sort,
 * is computed at the same moment with and without a batch scan, and may be
 * anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "pg/predict/group_scan.h"

/* --------------------------------------------------------------- expressions */

/*
 * Returns whether a call cannot fail because of its second argument, a constant:
 * a remainder by another number than 0, or LIKE with a pattern that ends without
 * a backslash.
 */
static bool
is_safe_by_constant(Oid function, const List *args, Oid collation)
{
	const Const *constant = list_length(args) == 2 ? lsecond(args) : NULL;
	text *pattern;
	int length;

	if (constant == NULL || !IsA(constant, Const) || constant->constisnull)
		return false;
	switch (function)
	{
		case F_INT4MOD:
		case F_MOD_INT4_INT4:
			return DatumGetInt32(constant->constvalue) != 0;
		case F_INT8MOD:
		case F_MOD_INT8_INT8:
			return DatumGetInt64(constant->constvalue) != 0;
		case F_TEXTLIKE:
		case F_TEXTNLIKE:
			pattern = DatumGetTextPP(constant->constvalue);
			length = VARSIZE_ANY_EXHDR(pattern);
			return (length == 0 || VARDATA_ANY(pattern)[length - 1] != '\\') && OidIsValid(collation) &&
				   get_collation_isdeterministic(collation);
		default:
			return false;
	}
}

static bool
is_unsafe_function(Oid function, void *context)
{
	switch (function)
	{
		case F_NUMERIC_EQ:
		case F_NUMERIC_NE:
		case F_NUMERIC_LT:
		case F_NUMERIC_LE:
		case F_NUMERIC_GT:
		case F_NUMERIC_GE:
		case F_ENUM_EQ:
		case F_ENUM_NE:
		case F_JSONB_OBJECT_FIELD:
		case F_JSONB_OBJECT_FIELD_TEXT:
		case F_OCTET_LENGTH_BYTEA:
		case F_SUBSTR_BYTEA_INT4:
			/* not marked as leakproof, but they raise no error either */
			return false;
		default:
			break;
	}
	return !get_func_leakproof(function) || func_volatile(function) == PROVOLATILE_VOLATILE;
}

/* Returns whether an expression could fail, have an effect or change with time; context is the walk. */
static bool
is_unsafe(Node *node, void *context)
{
	const PneumoPlanWalk *walk = context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		{
			AttrNumber column = ((Var *) node)->varattno;

			/* xmax, for one, is what the row's place says when it is read */
			return column < 0 && column != SelfItemPointerAttributeNumber &&
				   column != TableOidAttributeNumber;
		}
		case T_Const:
		case T_CaseTestExpr:
			return false;
		case T_Param:
			return ((Param *) node)->paramkind == PARAM_EXEC &&
				   bms_is_member(((Param *) node)->paramid, walk->lazy_params);
		case T_FuncExpr:
			if (is_safe_by_constant(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args,
									((FuncExpr *) node)->inputcollid))
				break;
			if (check_functions_in_node(node, is_unsafe_function, NULL))
				return true;
			break;
		case T_OpExpr:
			if (is_safe_by_constant(((OpExpr *) node)->opfuncid, ((OpExpr *) node)->args,
									((OpExpr *) node)->inputcollid))
				break;
			if (check_functions_in_node(node, is_unsafe_function, NULL))
				return true;
			break;
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
			if (check_functions_in_node(node, is_unsafe_function, NULL))
				return true;
			break;
		case T_List:
		case T_TargetEntry:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_RelabelType:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CoalesceExpr:
		case T_ArrayExpr:
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, is_unsafe, context);
}

static bool
is_safe(const void *expressions, const PneumoPlanWalk *walk)
{
	return !is_unsafe(unconstify(void *, expressions), unconstify(PneumoPlanWalk *, walk));
}

static bool
are_safe_operators(const Oid *operators, int n)
{
	int i;

	for (i = 0; i < n; i++)
	{
		if (is_unsafe_function(get_opcode(operators[i]), NULL))
			return false;
	}
	return true;
}

/* --------------------------------------------------------------------- nodes */

static bool is_safe_node(const Plan *plan, bool at_once, const PneumoPlanWalk *walk);

static bool
is_safe_plan(const Plan *plan, bool at_once, const PneumoPlanWalk *walk)
{
	return plan == NULL || (is_safe(plan->targetlist, walk) && is_safe(plan->qual, walk) &&
							is_safe_node(plan, at_once, walk));
}

static bool
are_safe_plans(const List *plans, bool at_once, const PneumoPlanWalk *walk)
{
	ListCell *cell;

	foreach (cell, plans)
	{
		if (!is_safe_plan(lfirst(cell), at_once, walk))
			return false;
	}
	return true;
}

static bool
is_safe_join(const Join *join, bool at_once, bool inner_at_once, const PneumoPlanWalk *walk)
{
	return is_safe(join->joinqual, walk) && is_safe_plan(join->plan.lefttree, at_once, walk) &&
		   is_safe_plan(join->plan.righttree, inner_at_once, walk);
}

static bool
is_safe_distinct(const Agg *agg, bool at_once, const PneumoPlanWalk *walk)
{
	/* no aggregates: they would have been found in the target list or the conditions */
	if (agg->aggstrategy != AGG_HASHED || agg->groupingSets != NIL || agg->chain != NIL)
		return false;
	return are_safe_operators(agg->grpOperators, agg->numCols) &&
		   (at_once || is_safe_plan(agg->plan.lefttree, false, walk));
}

/*
 * Returns whether a node can be read ahead, its target list and conditions
 * aside.  at_once says that the node is started when the first row is asked of
 * the batch scan, and not again.
 */
static bool
is_safe_node(const Plan *plan, bool at_once, const PneumoPlanWalk *walk)
{
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_SeqScan:
			return true;
		case T_IndexScan:
			return is_safe(((const IndexScan *) plan)->indexqualorig, walk) &&
				   ((const IndexScan *) plan)->indexorderby == NIL;
		case T_IndexOnlyScan:
			return is_safe(((const IndexOnlyScan *) plan)->indexqual, walk) &&
				   is_safe(((const IndexOnlyScan *) plan)->recheckqual, walk) &&
				   ((const IndexOnlyScan *) plan)->indexorderby == NIL;
		case T_BitmapHeapScan:
			return is_safe(((const BitmapHeapScan *) plan)->bitmapqualorig, walk) &&
				   is_safe_plan(plan->lefttree, at_once, walk);
		case T_BitmapIndexScan:
			return is_safe(((const BitmapIndexScan *) plan)->indexqualorig, walk);
		case T_BitmapAnd:
			return are_safe_plans(((const BitmapAnd *) plan)->bitmapplans, at_once, walk);
		case T_BitmapOr:
			return are_safe_plans(((const BitmapOr *) plan)->bitmapplans, at_once, walk);
		case T_TidScan:
			return is_safe(((const TidScan *) plan)->tidquals, walk);
		case T_TidRangeScan:
			return is_safe(((const TidRangeScan *) plan)->tidrangequals, walk);
		case T_ValuesScan:
			return is_safe(((const ValuesScan *) plan)->values_lists, walk);
		case T_SubqueryScan:
			return is_safe_plan(((const SubqueryScan *) plan)->subplan, at_once, walk);
		case T_CteScan:
			/* of which others may have read a part */
			return is_safe_plan(list_nth(walk->subplans, ((const CteScan *) plan)->ctePlanId - 1), false,
								walk);
		case T_Append:
			return are_safe_plans(((const Append *) plan)->appendplans, false, walk);
		case T_MergeAppend:
			return at_once &&
				   are_safe_operators(((const MergeAppend *) plan)->sortOperators,
									  ((const MergeAppend *) plan)->numCols) &&
				   are_safe_plans(((const MergeAppend *) plan)->mergeplans, true, walk);
		case T_Result:
			return is_safe(((const Result *) plan)->resconstantqual, walk) &&
				   is_safe_plan(plan->lefttree, at_once, walk);
		case T_Limit:
			return is_safe(((const Limit *) plan)->limitCount, walk) &&
				   is_safe(((const Limit *) plan)->limitOffset, walk) &&
				   ((const Limit *) plan)->limitOption == LIMIT_OPTION_COUNT &&
				   is_safe_plan(plan->lefttree, at_once, walk);
		case T_Material:
			return is_safe_plan(plan->lefttree, at_once, walk);
		case T_Gather:
			/* the leader starts its own part when it finds time */
			return is_safe_plan(plan->lefttree, false, walk);
		case T_GatherMerge:
			return at_once &&
				   are_safe_operators(((const GatherMerge *) plan)->sortOperators,
									  ((const GatherMerge *) plan)->numCols) &&
				   is_safe_plan(plan->lefttree, true, walk);
		case T_Memoize:
			return is_safe(((const Memoize *) plan)->param_exprs, walk) &&
				   are_safe_operators(((const Memoize *) plan)->hashOperators,
									  ((const Memoize *) plan)->numKeys) &&
				   is_safe_plan(plan->lefttree, false, walk);
		case T_NestLoop:
			return is_safe_join((const Join *) plan, at_once, false, walk);
		case T_HashJoin:
			return is_safe(((const HashJoin *) plan)->hashclauses, walk) &&
				   is_safe_join((const Join *) plan, at_once, at_once, walk);
		case T_MergeJoin:
			return is_safe(((const MergeJoin *) plan)->mergeclauses, walk) &&
				   is_safe_join((const Join *) plan, at_once, at_once, walk);
		case T_Agg:
			return is_safe_distinct((const Agg *) plan, at_once, walk);
		case T_Sort:
			/* the last comparisons are made while the rows come out */
			return at_once &&
				   are_safe_operators(((const Sort *) plan)->sortOperators, ((const Sort *) plan)->numCols);
		case T_Hash:
			return at_once || is_safe_plan(plan->lefttree, false, walk);
		default:
			return false;
	}
}

bool
pneumo_can_read_ahead(const Plan *plan, const List *targets, const List *conditions,
					  const PneumoPlanWalk *walk)
{
	return is_safe(targets, walk) && is_safe(conditions, walk) && is_safe_node(plan, true, walk);
}
