/*-------------------------------------------------------------------------
 *
 * group_plan.c
 *	  Puts group scans into a plan that is about to run.
 *
 * It looks at a finished plan when the executor starts, since only then is the
 * library sure to be loaded (planning the first such query loads it, by the
 * support function), and since a plan says exactly which rows meet which
 * expression.  The plan is copied, never changed.  Which calls of a node are
 * taken is group_node.c's business; here nodes are left out that are likely to
 * be left before their end (below LIMIT, inner sides of loops), that go back, or
 * that a cursor stands on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/syscache.h"

#include "pg/base/base.h"
#include "pg/predict/group_scan.h"

#define FEW_ROWS (-1) /* so few that a group does not pay */

static ExecutorStart_hook_type previous_executor_start = NULL;
static List *score_functions = NIL; /* their hash values, as plans name what they depend on */

/* ------------------------------------------------------------ the whole plan */

/* How many rows a LIMIT asks for, where so many are asked of it. */
static int
limit_rows(const Limit *limit, int rows)
{
	int64 count = 0;
	Node *counts[2];
	int i;

	counts[0] = limit->limitCount;
	counts[1] = limit->limitOffset;
	if (limit->limitOption != LIMIT_OPTION_COUNT)
		return FEW_ROWS;
	for (i = 0; i < 2; i++)
	{
		const Const *number = (Const *) counts[i];

		if (number == NULL)
			continue;
		if (!IsA(number, Const))
			return FEW_ROWS;
		if (!number->constisnull)
			count += Min(DatumGetInt64(number->constvalue), INT_MAX / 4);
		else if (i == 0)
			return rows;
	}
	if (limit->limitCount == NULL)
		return rows;
	if (rows > 0)
		count = Min(count, rows);
	return count < PNEUMO_GROUP_MIN_ROWS || rows == FEW_ROWS ? FEW_ROWS : (int) count;
}

static void group_list(List *plans, int rows, int *n_scans);

/* The plan below with group scans in it; rows: how many will be asked for. */
static Plan *
group_plan(Plan *plan, int rows, int *n_scans)
{
	/* below nodes that drop rows, or give several for one */
	int rows_below = rows == PNEUMO_ALL_ROWS ? PNEUMO_ALL_ROWS : FEW_ROWS;
	int rows_right;

	if (plan == NULL)
		return NULL;
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_RecursiveUnion:
		case T_CustomScan:
		case T_ForeignScan:
			return plan;
		case T_Sort:
		case T_Hash:
		case T_ModifyTable:
		case T_WindowAgg:
			rows_below = PNEUMO_ALL_ROWS;
			break;
		case T_Agg:
			if (((Agg *) plan)->aggstrategy != AGG_SORTED)
				rows_below = PNEUMO_ALL_ROWS;
			break;
		case T_Limit:
			rows_below = limit_rows((Limit *) plan, rows);
			break;
		case T_Result:
			if (plan->qual == NIL)
				rows_below = rows;
			break;
		case T_Gather:
		case T_GatherMerge:
		case T_Material:
			rows_below = rows;
			break;
		case T_Append:
			group_list(((Append *) plan)->appendplans, rows, n_scans);
			return plan;
		case T_MergeAppend:
			group_list(((MergeAppend *) plan)->mergeplans, rows, n_scans);
			return plan;
		case T_SubqueryScan:
			((SubqueryScan *) plan)->subplan =
				group_plan(((SubqueryScan *) plan)->subplan, plan->qual == NIL ? rows : rows_below, n_scans);
			break;
		default:
			break;
	}
	/* for each row of the other side, perhaps until the first match; goes back to a mark */
	rows_right = IsA(plan, NestLoop) || IsA(plan, MergeJoin) ? FEW_ROWS : rows_below;
	plan->lefttree = group_plan(plan->lefttree, rows_below, n_scans);
	plan->righttree = group_plan(plan->righttree, rows_right, n_scans);
	if (IsA(plan, Agg) && rows_below != FEW_ROWS)
		pneumo_group_below((Agg *) plan, n_scans);
	return rows != FEW_ROWS ? pneumo_group_above(plan, rows, n_scans) : plan;
}

static void
group_list(List *plans, int rows, int *n_scans)
{
	ListCell *cell;

	foreach (cell, plans)
		lfirst(cell) = group_plan(lfirst(cell), rows, n_scans);
}

/* ------------------------------------------------------------------ the hook */

void
pneumo_group_plan_expect(Oid function)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	score_functions =
		list_append_unique_int(score_functions,
							   (int) GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function)));
	MemoryContextSwitchTo(old);
}

/* Whether a plan can have a call at all, by what it is said to depend on. */
static bool
may_call(const PlannedStmt *stmt)
{
	ListCell *cell;

	foreach (cell, stmt->invalItems)
	{
		const PlanInvalItem *item = lfirst_node(PlanInvalItem, cell);

		if (item->cacheId == PROCOID && list_member_int(score_functions, (int) item->hashValue))
			return true;
	}
	return false;
}

/* A cursor, of SQL or of a procedural language: its rows come one at a time, with others' work in between. */
static bool
is_cursor(int eflags)
{
	if (eflags & (EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK))
		return true;
	/* while it is opened; later it is active, and the query one that runs inside */
	return ActivePortal != NULL && ActivePortal->status == PORTAL_DEFINED && ActivePortal->visible &&
		   ActivePortal->name[0] != '\0';
}

static PlannedStmt *
grouped_statement(PlannedStmt *stmt)
{
	int n_scans = 0;
	PlannedStmt *copy = copyObject(stmt);
	ListCell *cell;

	copy->planTree = group_plan(copy->planTree, PNEUMO_ALL_ROWS, &n_scans);
	foreach (cell, copy->subplans)
	{
		Plan *subplan = lfirst(cell);

		/* not those that run again for each row */
		if (subplan != NULL && bms_is_empty(subplan->extParam))
			lfirst(cell) = group_plan(subplan, PNEUMO_ALL_ROWS, &n_scans);
	}
	return n_scans > 0 ? copy : stmt;
}

static void
executor_start(QueryDesc *query, int eflags)
{
	if (pneumo_score_groups && !IsParallelWorker() && !is_cursor(eflags) && may_call(query->plannedstmt))
	{
		/* to live as long as the query's description */
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(query));

		query->plannedstmt = grouped_statement(query->plannedstmt);
		MemoryContextSwitchTo(old);
	}
	if (previous_executor_start)
		previous_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

void
pneumo_group_plan_init(void)
{
	RegisterCustomScanMethods(&pneumo_group_scan_methods);
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
}
