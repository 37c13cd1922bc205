/*-------------------------------------------------------------------------
 *
 * group_plan.c
 *	  Puts batch scans into a query plan that is about to be executed.
 *
 * It looks at a finished query plan when the executor starts, since only then
 * is the library sure to be loaded (planning the first such query loads it, by
 * the support function), and since a query plan says exactly which rows meet
 * which expression.  The query plan is never changed: where batch scans are to
 * be put in, that is done in a copy, which lives until the executor ends.
 * group_node.c decides which nodes get one; here nodes are left out that are
 * likely to be left before their end (below LIMIT, inner sides of loops), that
 * go back, or that a cursor stands on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/syscache.h"

#include "pg/base/base.h"
#include "pg/predict/group_scan.h"

#define FEW_ROWS (-1) /* so few that a batch does not pay */
#define MANY_ROWS (INT_MAX / 4)

/* A query whose plan is a changed copy. */
typedef struct BatchQuery
{
	QueryDesc *query;
	PlannedStmt *original;
	MemoryContext cxt; /* of this and of the copy */
	MemoryContextCallback at_end;
	struct BatchQuery *next;
} BatchQuery;

static ExecutorStart_hook_type previous_executor_start = NULL;
static ExecutorEnd_hook_type previous_executor_end = NULL;
static BatchQuery *batch_queries = NULL;
static List *score_functions = NIL; /* their hash values, as query plans name what they depend on */

/* ------------------------------------------------- what is known beforehand */

/* Notes the subplans of an expression that are read to their end; context is the walk. */
static bool
note_subplans(Node *node, void *context)
{
	PneumoPlanWalk *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, SubPlan))
	{
		const SubPlan *subplan = (SubPlan *) node;

		if (subplan->useHashTable || subplan->subLinkType == ARRAY_SUBLINK ||
			subplan->subLinkType == CTE_SUBLINK)
			walk->whole = bms_add_member(walk->whole, subplan->plan_id);
	}
	return expression_tree_walker(node, note_subplans, context);
}

static void survey_plan(const Plan *plan, PneumoPlanWalk *walk);

static void
survey_list(const List *plans, PneumoPlanWalk *walk)
{
	ListCell *cell;

	foreach (cell, plans)
		survey_plan(lfirst(cell), walk);
}

/* Notes which parameters are computed when they are first used, and which subplans are read to their end. */
static void
survey_plan(const Plan *plan, PneumoPlanWalk *walk)
{
	ListCell *cell;
	ListCell *param;

	if (plan == NULL)
		return;
	check_stack_depth();
	foreach (cell, plan->initPlan)
	{
		foreach (param, lfirst_node(SubPlan, cell)->setParam)
			walk->lazy_params = bms_add_member(walk->lazy_params, lfirst_int(param));
	}
	note_subplans((Node *) plan->initPlan, walk);
	note_subplans((Node *) plan->targetlist, walk);
	note_subplans((Node *) plan->qual, walk);
	if (IsA(plan, Result))
		note_subplans(((const Result *) plan)->resconstantqual, walk);
	survey_plan(plan->lefttree, walk);
	survey_plan(plan->righttree, walk);
	if (IsA(plan, Append))
		survey_list(((const Append *) plan)->appendplans, walk);
	else if (IsA(plan, MergeAppend))
		survey_list(((const MergeAppend *) plan)->mergeplans, walk);
	else if (IsA(plan, SubqueryScan))
		survey_plan(((const SubqueryScan *) plan)->subplan, walk);
}

/* ------------------------------------------------------ the whole query plan */

/* Returns a constant number of rows, absent if there is none; FEW_ROWS if it is not constant. */
static int64
constant_rows(const Node *number, int64 absent)
{
	if (number == NULL)
		return absent;
	if (!IsA(number, Const))
		return FEW_ROWS;
	if (((const Const *) number)->constisnull)
		return absent;
	return Max(Min(DatumGetInt64(((const Const *) number)->constvalue), MANY_ROWS), 0);
}

/* Returns how many rows a LIMIT asks for, where so many are asked of it. */
static int
limit_rows(const Limit *limit, int rows)
{
	int64 count = constant_rows(limit->limitCount, MANY_ROWS);
	int64 offset = constant_rows(limit->limitOffset, 0);

	if (limit->limitOption != LIMIT_OPTION_COUNT || rows == FEW_ROWS || count == FEW_ROWS ||
		offset == FEW_ROWS)
		return FEW_ROWS;
	if (rows != PNEUMO_ALL_ROWS)
		count = Min(count, rows);
	if (count >= MANY_ROWS)
		return PNEUMO_ALL_ROWS;
	return count + offset < PNEUMO_BATCH_MIN_ROWS ? FEW_ROWS : (int) (count + offset);
}

static void batch_list(List *plans, int rows, PneumoPlanWalk *walk);

/*
 * Returns the query plan below with batch scans in it.  rows says how many will
 * be asked for: PNEUMO_ALL_ROWS, FEW_ROWS, or a number that is not exceeded.
 */
static Plan *
batch_plan(Plan *plan, int rows, PneumoPlanWalk *walk)
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
			rows_below = PNEUMO_ALL_ROWS;
			break;
		case T_WindowAgg:
			/* with a condition on a row number, say, it stops early */
			rows_below = ((WindowAgg *) plan)->runCondition == NIL ? PNEUMO_ALL_ROWS : FEW_ROWS;
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
			batch_list(((Append *) plan)->appendplans, rows, walk);
			return plan;
		case T_MergeAppend:
			batch_list(((MergeAppend *) plan)->mergeplans, rows, walk);
			return plan;
		case T_SubqueryScan:
			((SubqueryScan *) plan)->subplan =
				batch_plan(((SubqueryScan *) plan)->subplan, plan->qual == NIL ? rows : rows_below, walk);
			break;
		default:
			break;
	}
	/* for each row of the other side, perhaps until the first match; goes back to a mark */
	rows_right = IsA(plan, NestLoop) || IsA(plan, MergeJoin) ? FEW_ROWS : rows_below;
	plan->lefttree = batch_plan(plan->lefttree, rows_below, walk);
	plan->righttree = batch_plan(plan->righttree, rows_right, walk);
	if (IsA(plan, Agg) && rows_below != FEW_ROWS)
		pneumo_batch_below((Agg *) plan, walk);
	return rows != FEW_ROWS ? pneumo_batch_above(plan, rows, walk) : plan;
}

static void
batch_list(List *plans, int rows, PneumoPlanWalk *walk)
{
	ListCell *cell;

	foreach (cell, plans)
		lfirst(cell) = batch_plan(lfirst(cell), rows, walk);
}

/* Puts batch scans into a statement, or only counts them; returns how many. */
static int
batch_statement(PlannedStmt *stmt, bool change)
{
	PneumoPlanWalk walk = {stmt->subplans, NULL, NULL, change, 0};
	ListCell *cell;

	survey_plan(stmt->planTree, &walk);
	survey_list(stmt->subplans, &walk);
	stmt->planTree = batch_plan(stmt->planTree, PNEUMO_ALL_ROWS, &walk);
	foreach (cell, stmt->subplans)
	{
		Plan *subplan = lfirst(cell);
		bool whole = bms_is_member(foreach_current_index(cell) + 1, walk.whole);

		/* not those that run again for each row */
		if (subplan != NULL && bms_is_empty(subplan->extParam))
			lfirst(cell) = batch_plan(subplan, whole ? PNEUMO_ALL_ROWS : FEW_ROWS, &walk);
	}
	return walk.n_scans;
}

/* ----------------------------------------------------------------- the hooks */

void
pneumo_batch_plan_expect(Oid function)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	score_functions =
		list_append_unique_int(score_functions,
							   (int) GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function)));
	MemoryContextSwitchTo(old);
}

/* Returns whether a query plan can have a call at all, by what it is said to depend on. */
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

/*
 * Returns whether a query is that of a cursor, of SQL or of a procedural
 * language: its rows come one at a time, with others' work in between.
 */
static bool
is_cursor(int eflags)
{
	if (eflags & (EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK))
		return true;
	/* while it is opened; later it is active, and the query one that runs inside */
	return ActivePortal != NULL && ActivePortal->status == PORTAL_DEFINED && ActivePortal->visible &&
		   ActivePortal->name[0] != '\0';
}

static void
forget_query(void *arg)
{
	BatchQuery **link = &batch_queries;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

/* Gives a query a copy of its plan with batch scans, if there are any to be. */
static void
batch_query(QueryDesc *query)
{
	/* to live as long as the query's description, at most */
	MemoryContext cxt =
		AllocSetContextCreate(GetMemoryChunkContext(query), "pneumo query plan", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	BatchQuery *batch;

	if (batch_statement(query->plannedstmt, false) == 0)
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(cxt);
		return;
	}
	batch = palloc0(sizeof(BatchQuery));
	batch->query = query;
	batch->original = query->plannedstmt;
	batch->cxt = cxt;
	batch->at_end.func = forget_query;
	batch->at_end.arg = batch;
	MemoryContextRegisterResetCallback(cxt, &batch->at_end);
	batch->next = batch_queries;
	batch_queries = batch;
	query->plannedstmt = copyObject(query->plannedstmt);
	(void) batch_statement(query->plannedstmt, true);
	MemoryContextSwitchTo(old);
}

static void
executor_start(QueryDesc *query, int eflags)
{
	/* a serializable transaction remembers which rows it has read */
	if (pneumo_score_groups && !IsParallelWorker() && !IsolationIsSerializable() && !is_cursor(eflags) &&
		may_call(query->plannedstmt))
		batch_query(query);
	if (previous_executor_start)
		previous_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

static void
executor_end(QueryDesc *query)
{
	BatchQuery *batch;

	if (previous_executor_end)
		previous_executor_end(query);
	else
		standard_ExecutorEnd(query);
	for (batch = batch_queries; batch != NULL; batch = batch->next)
	{
		if (batch->query == query)
		{
			query->plannedstmt = batch->original;
			MemoryContextDelete(batch->cxt);
			break;
		}
	}
}

void
pneumo_batch_plan_init(void)
{
	RegisterCustomScanMethods(&pneumo_batch_scan_methods);
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	previous_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = executor_end;
}
