/*-------------------------------------------------------------------------
 *
 * group_scan.c
 *	  Executes the node of group_scan.h.
 *
 * The first groups have 2 and 8 rows, so that what reads few rows has few scored
 * in vain.  What would be an error for a
 * row is none before its turn, and none at all if no expression comes to the
 * call: such rows are left to the functions themselves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/compat.h"
#include "pg/catalog/records.h"
#include "pg/predict/group_scan.h"
#include "pg/predict/predict.h"
#include "pg/predict/score_calls.h"
#include PNEUMO_EXPLAIN_HEADER

#define FIRST_GROUP 2
#define GROUP_GROWTH 4                        /* from one to the next, up to NN_GROUP_ROWS */
#define GROUP_BYTES ((Size) 16 * 1024 * 1024) /* of rows in a group, about: images are pointers, as a rule */

/* The calls for one image column and one model share a run of the network. */
typedef struct Scoring
{
	AttrNumber image; /* column of the child */
	ExprState *model; /* NULL: pneumo.default_model */
	const Node *model_expr;

	PneumoVersionId id;      /* as of the current group */
	PneumoScorer *scorer;    /* NULL: no row of the group has needed it */
	int rows[NN_GROUP_ROWS]; /* that wait in the scorer */
	int n_rows;
} Scoring;

typedef struct Call
{
	PneumoScoreKind kind;
	Scoring *scoring;
	ExprState *class_name; /* NULL: none asked for */
	TupleDesc desc;        /* of PNEUMO_SCORE_ROW */

	int class_index; /* as of the current group; -1: none, the function says why */
	Datum values[NN_GROUP_ROWS];
	bool nulls[NN_GROUP_ROWS];
} Call;

/* The group scans of a query (one for each partition, say) take turns with the same buffers. */
typedef struct QueryScorers
{
	EState *estate;
	void *scorers; /* pneumo_scorer_get_group()'s */
	MemoryContextCallback at_end;
	struct QueryScorers *next;
} QueryScorers;

static QueryScorers *running_queries = NULL;

typedef struct GroupScanState
{
	CustomScanState css;
	Call *calls;
	int n_calls;
	Scoring *scorings;
	int n_scorings;
	QueryScorers *query;
	int max_rows;                     /* that will be asked for, 0 if unknown */
	ProjectionInfo *plain_projection; /* with the functions themselves */
	ExprState *plain_qual;

	MemoryContext cxt;   /* of the current group */
	TupleTableSlot *row; /* of the child, for reading one back */
	MinimalTuple tuples[NN_GROUP_ROWS];
	bool plain[NN_GROUP_ROWS]; /* left to the functions themselves */
	int n_tuples;
	int next;       /* to be given */
	int group_size; /* of the next group */
	int64 n_given;
	bool at_end; /* of the child */
} GroupScanState;

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods pneumo_group_scan_methods = {.CustomName = "PneumoScore",
													 .CreateCustomScanState = create_state};

static const CustomExecMethods exec_methods = {.CustomName = "PneumoScore",
											   .BeginCustomScan = begin_scan,
											   .ExecCustomScan = exec_scan,
											   .EndCustomScan = end_scan,
											   .ReScanCustomScan = rescan,
											   .ExplainCustomScan = explain_scan};

/* --------------------------------------------------------------------- start */

static Node *
create_state(CustomScan *scan)
{
	GroupScanState *state = palloc0(sizeof(GroupScanState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
forget_query(void *arg)
{
	QueryScorers **link = &running_queries;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

static QueryScorers *
scorers_of_query(EState *estate)
{
	QueryScorers *query;

	for (query = running_queries; query != NULL; query = query->next)
	{
		if (query->estate == estate)
			return query;
	}
	query = MemoryContextAllocZero(estate->es_query_cxt, sizeof(QueryScorers));
	query->estate = estate;
	query->at_end.func = forget_query;
	query->at_end.arg = query;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &query->at_end);
	query->next = running_queries;
	running_queries = query;
	return query;
}

static Scoring *
scoring_of(GroupScanState *state, AttrNumber image, Expr *model)
{
	Scoring *scoring;
	int i;

	for (i = 0; i < state->n_scorings; i++)
	{
		scoring = &state->scorings[i];
		if (scoring->image == image && equal(scoring->model_expr, model))
			return scoring;
	}
	scoring = &state->scorings[state->n_scorings++];
	scoring->image = image;
	scoring->model_expr = (Node *) model;
	scoring->model = ExecInitExpr(model, &state->css.ss.ps);
	return scoring;
}

static void
init_call(GroupScanState *state, Call *call, FuncExpr *expr)
{
	int n_arguments = list_length(expr->args);

	if (!pneumo_score_kind(expr->funcid, &call->kind))
		elog(ERROR, "function %u does not score images", expr->funcid);
	call->scoring = scoring_of(state, linitial_node(Var, expr->args)->varattno,
							   n_arguments > 1 ? lsecond(expr->args) : NULL);
	if (n_arguments > 2)
		call->class_name = ExecInitExpr(lthird(expr->args), &state->css.ss.ps);
	if (call->kind == PNEUMO_SCORE_ROW)
	{
		if (get_expr_result_type((Node *) expr, NULL, &call->desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "pneumo_score must return a row");
		call->desc = BlessTupleDesc(call->desc);
	}
}

static void
start_over(GroupScanState *state)
{
	state->n_tuples = state->next = 0;
	state->n_given = 0;
	state->group_size = FIRST_GROUP;
	state->at_end = false;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	GroupScanState *state = (GroupScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List *calls = linitial(scan->custom_exprs);
	int n = list_length(calls);
	ListCell *cell;

	outerPlanState(node) = ExecInitNode(outerPlan(scan), estate, eflags);
	state->row = ExecInitExtraTupleSlot(estate, ExecGetResultType(outerPlanState(node)), &TTSOpsMinimalTuple);
	state->cxt = AllocSetContextCreate(estate->es_query_cxt, "pneumo group of rows", ALLOCSET_DEFAULT_SIZES);
	state->query = scorers_of_query(estate);
	state->max_rows = intVal(linitial(scan->custom_private));
	state->calls = palloc0(n * sizeof(Call));
	state->scorings = palloc0(n * sizeof(Scoring));
	/* this also checks the right to execute the functions */
	state->plain_projection =
		ExecBuildProjectionInfo(lsecond(scan->custom_exprs), node->ss.ps.ps_ExprContext,
								ExecInitExtraTupleSlot(estate, ExecGetResultType(&node->ss.ps),
													   &TTSOpsVirtual),
								&node->ss.ps, NULL);
	state->plain_qual = ExecInitQual(lthird(scan->custom_exprs), &node->ss.ps);
	foreach (cell, calls)
		init_call(state, &state->calls[state->n_calls++], lfirst_node(FuncExpr, cell));
	start_over(state);
}

static void
end_scan(CustomScanState *node)
{
	ExecEndNode(outerPlanState(node));
}

static void
rescan(CustomScanState *node)
{
	start_over((GroupScanState *) node);
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
}

/* ------------------------------------------------------------------- a group */

/* Text of an argument that is the same for all rows; NULL for NULL. */
static char *
fixed_text(ExprState *argument, ExprContext *econtext)
{
	bool isnull;
	Datum value = ExecEvalExprSwitchContext(argument, econtext, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * The version, as of now, and what the classes of the calls are there.  False
 * if the model is NULL: then so are all results, of strict functions.
 */
static bool
prepare(GroupScanState *state, Scoring *scoring)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	const char *name = pneumo_default_model;
	int i;

	if (scoring->model != NULL && (name = fixed_text(scoring->model, econtext)) == NULL)
		return false;
	pneumo_resolve(name, &scoring->id);
	scoring->scorer = pneumo_scorer_get_group(&state->query->scorers, state->css.ss.ps.state->es_query_cxt,
											  &scoring->id, pneumo_path());
	for (i = 0; i < state->n_calls; i++)
	{
		Call *call = &state->calls[i];
		const char *class_name = NULL;

		if (call->scoring != scoring || !pneumo_score_has_class(call->kind))
			continue;
		if (call->class_name != NULL && (class_name = fixed_text(call->class_name, econtext)) == NULL)
			call->class_index = -1;
		else
			call->class_index = pneumo_class_index(scoring->scorer->meta, class_name);
	}
	return true;
}

/* Scores the rows that wait. */
static void
run_scoring(GroupScanState *state, Scoring *scoring)
{
	PneumoScorer *scorer = scoring->scorer;
	int row;
	int i;

	if (scoring->n_rows == 0)
		return;
	pneumo_scorer_run_rows(scorer, scoring->n_rows);
	for (row = 0; row < scoring->n_rows; row++)
	{
		int at = scoring->rows[row];

		if (!pneumo_scorer_is_finite(scorer->calibrated, scorer, row))
		{
			state->plain[at] = true;
			continue;
		}
		for (i = 0; i < state->n_calls; i++)
		{
			Call *call = &state->calls[i];

			if (call->scoring != scoring)
				continue;
			if (call->class_index < 0)
			{
				state->plain[at] = true;
				continue;
			}
			call->nulls[at] = false;
			call->values[at] =
				pneumo_score_datum(call->kind, scorer, row, call->class_index, &scoring->id, call->desc);
		}
	}
	scoring->n_rows = 0;
}

static void
score_group(GroupScanState *state, Scoring *scoring)
{
	ImgError error;
	int at;

	scoring->scorer = NULL;
	scoring->n_rows = 0;
	for (at = 0; at < state->n_tuples; at++)
	{
		Datum image;
		bool isnull;

		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(state->tuples[at], state->row, false);
		image = slot_getattr(state->row, scoring->image, &isnull);
		if (isnull)
			continue;
		if (scoring->scorer == NULL && !prepare(state, scoring))
			continue;
		pneumo_scorer_read(scoring->scorer, scoring->n_rows, image, &error);
		if (error.status == IMG_OK)
		{
			scoring->rows[scoring->n_rows++] = at;
			if (scoring->n_rows == scoring->scorer->max_rows)
				run_scoring(state, scoring);
		}
		else if (pneumo_on_bad_image != PNEUMO_BAD_IMAGE_NULL || !pneumo_image_is_bad(error.status))
			state->plain[at] = true;
	}
	run_scoring(state, scoring);
}

/* The next rows of the child, with the results of the calls; none at its end. */
static void
next_group(GroupScanState *state)
{
	int size = state->group_size;
	Size n_bytes = 0;
	MemoryContext old;
	int i;

	if (state->max_rows > 0 && state->n_given < state->max_rows)
		size = Min(size, state->max_rows - state->n_given);
	state->group_size = Min(state->group_size * GROUP_GROWTH, NN_GROUP_ROWS);
	state->next = state->n_tuples = 0;
	ExecClearTuple(state->row);
	MemoryContextReset(state->cxt);
	while (!state->at_end && state->n_tuples < size && n_bytes < GROUP_BYTES)
	{
		TupleTableSlot *slot = ExecProcNode(outerPlanState(state));

		if (TupIsNull(slot))
		{
			state->at_end = true;
			break;
		}
		old = MemoryContextSwitchTo(state->cxt);
		state->tuples[state->n_tuples] = ExecCopySlotMinimalTuple(slot);
		MemoryContextSwitchTo(old);
		n_bytes += state->tuples[state->n_tuples++]->t_len;
	}
	memset(state->plain, 0, sizeof(state->plain));
	for (i = 0; i < state->n_calls; i++)
		memset(state->calls[i].nulls, true, sizeof(state->calls[i].nulls));
	old = MemoryContextSwitchTo(state->cxt);
	for (i = 0; i < state->n_scorings; i++)
		score_group(state, &state->scorings[i]);
	MemoryContextSwitchTo(old);
}

/* ---------------------------------------------------------------------- rows */

/* The next row's place in the group, with its columns and results in the scan tuple; -1 at the end. */
static int
next_row(GroupScanState *state)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;
	int n_columns = state->row->tts_tupleDescriptor->natts;
	int at;
	int i;

	if (state->next == state->n_tuples)
	{
		next_group(state);
		if (state->n_tuples == 0)
			return -1;
	}
	at = state->next++;
	state->n_given++;
	ExecStoreMinimalTuple(state->tuples[at], state->row, false);
	slot_getallattrs(state->row);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, state->row->tts_values, n_columns * sizeof(Datum));
	memcpy(slot->tts_isnull, state->row->tts_isnull, n_columns * sizeof(bool));
	for (i = 0; i < state->n_calls; i++)
	{
		slot->tts_values[n_columns + i] = state->calls[i].values[at];
		slot->tts_isnull[n_columns + i] = state->calls[i].nulls[at];
	}
	ExecStoreVirtualTuple(slot);
	return at;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	GroupScanState *state = (GroupScanState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	for (;;)
	{
		ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;
		ExprState *qual = node->ss.ps.qual;
		int at;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		at = next_row(state);
		if (at < 0)
			return projection != NULL ? ExecClearTuple(projection->pi_state.resultslot) : NULL;
		if (state->plain[at])
		{
			projection = state->plain_projection;
			qual = state->plain_qual;
		}
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (ExecQual(qual, econtext))
			return projection != NULL ? ExecProject(projection) : node->ss.ss_ScanTupleSlot;
		InstrCountFiltered1(node, 1);
	}
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List *context = set_deparse_context_plan(es->deparse_cxt, &scan->scan.plan, ancestors);
	List *calls = NIL;
	ListCell *cell;

	foreach (cell, (List *) linitial(scan->custom_exprs))
		calls = lappend(calls, deparse_expression(lfirst(cell), context, es->verbose, false));
	ExplainPropertyList("Scores", calls, es);
}
