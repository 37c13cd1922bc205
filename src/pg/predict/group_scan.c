/*-------------------------------------------------------------------------
 *
 * group_scan.c
 *	  Executes the node of group_scan.h.
 *
 * The first batches have 2 and 8 rows, so that a query that stops early wastes
 * little scoring.  For the same reason a call whose scores are seldom asked for
 * gets no more of them ahead.
 *
 * scores.c gathers images for a batch, too, but for callers that want all
 * scores at the end and an error at once.  Here the images are at hand, a score
 * is wanted now, and an error must wait for the row's turn; the two have the
 * steps of scorer.c in common and nothing else.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/compat.h"
#include "pg/catalog/records.h"
#include "pg/predict/group_scan.h"
#include "pg/predict/predict.h"
#include PNEUMO_EXPLAIN_HEADER

#define FIRST_BATCH 2
#define BATCH_GROWTH 4                        /* from one to the next, up to NN_GROUP_ROWS */
#define BATCH_BYTES ((Size) 16 * 1024 * 1024) /* of rows in a batch, about: images are pointers, as a rule */
#define WASTE_ALLOWED 8                       /* scores that nobody asked for, in addition to a quarter */

/* The batch scans of a query (one for each partition, say) take turns with the same buffers. */
typedef struct QueryScorers
{
	EState *estate;
	void *scorers; /* pneumo_scorer_get_batch()'s */
	MemoryContextCallback at_end;
	struct QueryScorers *next;
} QueryScorers;

static QueryScorers *running_queries = NULL;

typedef enum RowState
{
	ROW_NOT_SCORED,
	ROW_UNFIT,        /* the image gives no score; the call says why, or gives NULL */
	ROW_SCORED_AHEAD, /* nobody has asked yet */
	ROW_SCORED
} RowState;

/* The scores of one column of images by one version on one path, for the current batch. */
typedef struct BatchScores
{
	AttrNumber image; /* column of the child */
	PneumoVersionId id;
	NnPath path;
	int n_classes;
	int output_units;
	RowState rows[NN_GROUP_ROWS];
	double *calibrated; /* NN_GROUP_ROWS * n_classes */
	float *raw;         /* NN_GROUP_ROWS * output_units */
	int64 n_ahead;      /* scored before their turn, in all batches */
	int64 n_asked;      /* of these asked for */
	struct BatchScores *next;
} BatchScores;

typedef struct BatchScanState
{
	CustomScanState css;
	QueryScorers *query;
	int max_rows;       /* that will be asked for, 0 if unknown */
	AttrNumber *images; /* columns with images, each once */
	int n_images;
	BatchScores *scores;

	MemoryContext cxt;      /* of the current batch */
	TupleTableSlot *row;    /* the row given last, as the child's */
	TupleTableSlot *reader; /* for looking at others */
	MinimalTuple tuples[NN_GROUP_ROWS];
	int n_tuples;
	int next;       /* to be given */
	int batch_size; /* of the next batch */
	int64 n_given;
	bool at_end; /* of the child */

	dlist_node link; /* in giving_scans */
	bool is_giving;
	MemoryContextCallback at_reset;
} BatchScanState;

/* The batch scans that hold rows, of all queries of this process; the one that gave a row last comes first. */
static dlist_head giving_scans = DLIST_STATIC_INIT(giving_scans);

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods pneumo_batch_scan_methods = {.CustomName = "PneumoScore",
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
	BatchScanState *state = palloc0(sizeof(BatchScanState));

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

static void
stop_giving(void *arg)
{
	BatchScanState *state = arg;

	if (state->is_giving)
		dlist_delete(&state->link);
	state->is_giving = false;
}

static void
start_over(BatchScanState *state)
{
	stop_giving(state);
	state->n_tuples = state->next = 0;
	state->n_given = 0;
	state->batch_size = FIRST_BATCH;
	state->at_end = false;
}

static void
add_image(BatchScanState *state, AttrNumber column)
{
	int i;

	for (i = 0; i < state->n_images; i++)
	{
		if (state->images[i] == column)
			return;
	}
	state->images[state->n_images++] = column;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	BatchScanState *state = (BatchScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	TupleDesc desc;
	ListCell *cell;

	outerPlanState(node) = ExecInitNode(outerPlan(scan), estate, eflags);
	desc = ExecGetResultType(outerPlanState(node));
	state->row = ExecInitExtraTupleSlot(estate, desc, &TTSOpsMinimalTuple);
	state->reader = ExecInitExtraTupleSlot(estate, desc, &TTSOpsMinimalTuple);
	state->cxt = AllocSetContextCreate(estate->es_query_cxt, "pneumo batch of rows", ALLOCSET_DEFAULT_SIZES);
	state->query = scorers_of_query(estate);
	state->at_reset.func = stop_giving;
	state->at_reset.arg = state;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &state->at_reset);
	state->max_rows = intVal(linitial(scan->custom_private));
	/* a Sort needs to keep no more; the executor itself does not look below this node for it */
	if (state->max_rows > 0 && scan->scan.plan.qual == NIL)
		ExecSetTupleBound(state->max_rows, outerPlanState(node));
	state->images = palloc(list_length(scan->custom_exprs) * sizeof(AttrNumber));
	foreach (cell, scan->custom_exprs)
		add_image(state, linitial_node(Var, lfirst_node(FuncExpr, cell)->args)->varattno);
	start_over(state);
}

static void
end_scan(CustomScanState *node)
{
	stop_giving(node);
	ExecEndNode(outerPlanState(node));
}

static void
rescan(CustomScanState *node)
{
	start_over((BatchScanState *) node);
	if (outerPlanState(node)->chgParam == NULL)
		ExecReScan(outerPlanState(node));
}

/* -------------------------------------------------------------------- scores */

static BatchScores *
scores_of(BatchScanState *state, AttrNumber image, const PneumoScorer *scorer)
{
	const PneumoVersionId *id = &scorer->engine->id;
	MemoryContext cxt = state->css.ss.ps.state->es_query_cxt;
	BatchScores *scores;

	for (scores = state->scores; scores != NULL; scores = scores->next)
	{
		if (scores->image == image && scores->path == scorer->path &&
			memcmp(scores->id.sha256, id->sha256, PNEUMO_SHA256_LEN) == 0)
			return scores;
	}
	scores = MemoryContextAllocZero(cxt, sizeof(BatchScores));
	scores->image = image;
	scores->id = *id;
	scores->path = scorer->path;
	scores->n_classes = scorer->meta->n_classes;
	scores->output_units = scorer->output_units;
	scores->calibrated = MemoryContextAlloc(cxt, NN_GROUP_ROWS * scores->n_classes * sizeof(double));
	scores->raw = MemoryContextAlloc(cxt, NN_GROUP_ROWS * scores->output_units * sizeof(float));
	scores->next = state->scores;
	state->scores = scores;
	return scores;
}

/* Computes the scores of the images that wait in a scorer, and keeps them for their rows. */
static void
run_batch(BatchScores *scores, PneumoScorer *scorer, const int *rows, int n_rows)
{
	int i;

	pneumo_scorer_run_rows(scorer, n_rows);
	for (i = 0; i < n_rows; i++)
	{
		int at = rows[i];

		memcpy(scores->raw + (size_t) at * scores->output_units,
			   scorer->probabilities + (size_t) i * scores->output_units,
			   scores->output_units * sizeof(float));
		if (pneumo_scorer_is_finite(scores->calibrated + (size_t) at * scores->n_classes, scorer, i))
			scores->rows[at] = ROW_SCORED_AHEAD;
		else
			scores->rows[at] = ROW_UNFIT;
	}
}

/* Scores the images from a row of the batch on, as many as there is memory for. */
static void
score_from(BatchScanState *state, BatchScores *scores, int first)
{
	PneumoScorer *scorer =
		pneumo_scorer_get_batch(&state->query->scorers, state->css.ss.ps.state->es_query_cxt, &scores->id,
								scores->path);
	MemoryContext old = MemoryContextSwitchTo(state->cxt);
	int rows[NN_GROUP_ROWS];
	int n_rows = 0;
	int at;

	for (at = first; at < state->n_tuples && n_rows < scorer->max_rows; at++)
	{
		Datum image;
		bool isnull;
		ImgError error;

		if (scores->rows[at] != ROW_NOT_SCORED)
			continue;
		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(state->tuples[at], state->reader, false);
		image = slot_getattr(state->reader, scores->image, &isnull);
		if (isnull)
			continue;
		pneumo_scorer_read(scorer, n_rows, image, &error);
		if (error.status == IMG_OK)
			rows[n_rows++] = at;
		else
			scores->rows[at] = ROW_UNFIT;
	}
	ExecClearTuple(state->reader);
	MemoryContextSwitchTo(old);
	if (n_rows > 0)
		run_batch(scores, scorer, rows, n_rows);
	scores->n_ahead += n_rows - (scores->rows[first] == ROW_SCORED_AHEAD);
	if (scores->rows[first] == ROW_SCORED_AHEAD)
		scores->rows[first] = ROW_SCORED;
}

/* Returns whether too many scores were computed that nobody asked for. */
static bool
is_wasteful(const BatchScores *scores)
{
	return scores->n_ahead - scores->n_asked > scores->n_asked / 4 + WASTE_ALLOWED;
}

/* Returns whether two values are surely the same, without reading what is stored elsewhere. */
static bool
is_same_value(Datum a, Datum b)
{
	const char *bytes_a = DatumGetPointer(a);
	const char *bytes_b = DatumGetPointer(b);

	if (bytes_a == bytes_b)
		return true;
	if (VARATT_IS_EXTERNAL(bytes_a) != VARATT_IS_EXTERNAL(bytes_b) ||
		(VARATT_IS_EXTERNAL(bytes_a) &&
		 !(VARATT_IS_EXTERNAL_ONDISK(bytes_a) && VARATT_IS_EXTERNAL_ONDISK(bytes_b))))
		return false;
	return VARSIZE_ANY(bytes_a) == VARSIZE_ANY(bytes_b) &&
		   memcmp(bytes_a, bytes_b, VARSIZE_ANY(bytes_a)) == 0;
}

/* Returns the column of the row given last that holds an image, 0 if there is none. */
static AttrNumber
column_with(const BatchScanState *state, Datum image)
{
	int i;

	for (i = 0; i < state->n_images; i++)
	{
		int column = state->images[i] - 1;

		if (!state->row->tts_isnull[column] && is_same_value(state->row->tts_values[column], image))
			return state->images[i];
	}
	return 0;
}

bool
pneumo_batch_scores(Datum image, const PneumoScorer *scorer, const double **calibrated, const float **raw)
{
	BatchScanState *state = NULL;
	AttrNumber column = 0;
	BatchScores *scores;
	dlist_iter iter;
	int at;

	dlist_foreach(iter, &giving_scans)
	{
		state = dlist_container(BatchScanState, link, iter.cur);
		column = column_with(state, image);
		if (column != 0)
			break;
	}
	if (column == 0)
		return false;
	scores = scores_of(state, column, scorer);
	at = state->next - 1;
	/* a row alone is as well off with its call's own buffers */
	if (scores->rows[at] == ROW_NOT_SCORED && at + 1 < state->n_tuples && !is_wasteful(scores) &&
		pneumo_scorer_has_room(scorer, 2))
		score_from(state, scores, at);
	if (scores->rows[at] == ROW_SCORED_AHEAD)
	{
		scores->n_asked++;
		scores->rows[at] = ROW_SCORED;
	}
	*calibrated = scores->calibrated + (size_t) at * scores->n_classes;
	*raw = scores->raw + (size_t) at * scores->output_units;
	return scores->rows[at] == ROW_SCORED;
}

/* ---------------------------------------------------------------------- rows */

/* Reads the next rows of the child; none at its end. */
static void
next_batch(BatchScanState *state)
{
	int size = state->batch_size;
	Size n_bytes = 0;
	BatchScores *scores;

	if (state->max_rows > 0 && state->n_given < state->max_rows)
		size = Min(size, state->max_rows - state->n_given);
	state->batch_size = Min(state->batch_size * BATCH_GROWTH, NN_GROUP_ROWS);
	stop_giving(state);
	state->next = state->n_tuples = 0;
	ExecClearTuple(state->row);
	MemoryContextReset(state->cxt);
	for (scores = state->scores; scores != NULL; scores = scores->next)
		memset(scores->rows, 0, sizeof(scores->rows));
	while (!state->at_end && state->n_tuples < size && n_bytes < BATCH_BYTES)
	{
		TupleTableSlot *slot = ExecProcNode(outerPlanState(state));
		MemoryContext old;

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
}

/* Puts the next row's columns into the scan tuple; false at the end. */
static bool
next_row(BatchScanState *state)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;
	int n_columns = state->row->tts_tupleDescriptor->natts;

	if (state->next == state->n_tuples)
	{
		next_batch(state);
		if (state->n_tuples == 0)
			return false;
	}
	ExecStoreMinimalTuple(state->tuples[state->next++], state->row, false);
	state->n_given++;
	slot_getallattrs(state->row);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, state->row->tts_values, n_columns * sizeof(Datum));
	memcpy(slot->tts_isnull, state->row->tts_isnull, n_columns * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	if (state->is_giving)
		dlist_move_head(&giving_scans, &state->link);
	else
		dlist_push_head(&giving_scans, &state->link);
	state->is_giving = true;
	return true;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ProjectionInfo *projection = node->ss.ps.ps_ProjInfo;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (!next_row((BatchScanState *) node))
			return projection != NULL ? ExecClearTuple(projection->pi_state.resultslot) : NULL;
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (ExecQual(node->ss.ps.qual, econtext))
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

	foreach (cell, scan->custom_exprs)
		calls = lappend(calls, deparse_expression(lfirst(cell), context, es->verbose, false));
	ExplainPropertyList("Scores", calls, es);
}
