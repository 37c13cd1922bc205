/*-------------------------------------------------------------------------
 *
 * figures.c
 *	  Aggregates over (label, score): collecting rows, serially and in
 *	  parallel, and what the final functions (figure_results.c, plots.c) share.
 *
 * An exact AUC needs the scores, so the state keeps them: 16 bytes a row (the
 * label in the sign of the score, and 64 bits for the cluster), within
 * pneumo.figures_memory.  The final functions sort the rows, so that a parallel
 * query plan gives the same bits as a serial one; rows without a cluster (NULL)
 * are clusters of their own.  The confusion matrix only counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/figures/figures.h"

PG_FUNCTION_INFO_V1(pneumo_figures_add);
PG_FUNCTION_INFO_V1(pneumo_figures_add_binned);
PG_FUNCTION_INFO_V1(pneumo_figures_combine);
PG_FUNCTION_INFO_V1(pneumo_figures_serialize);
PG_FUNCTION_INFO_V1(pneumo_figures_deserialize);
PG_FUNCTION_INFO_V1(pneumo_confusion_add);

typedef struct FigureState
{
	int64 n;
	int64 room;       /* of rows; 0: only counted */
	double parameter; /* threshold or bins; NaN: not given */
	bool clustered;
	StatsCounts counts; /* of the confusion matrix */
	PneumoFigureRow *rows;
} FigureState;

/* --------------------------------------------------------------- collecting */

static FigureState *
make_state(MemoryContext cxt)
{
	FigureState *state = MemoryContextAllocZero(cxt, sizeof(FigureState));

	state->parameter = NAN;
	return state;
}

static FigureState *
state_of_call(FunctionCallInfo fcinfo, MemoryContext *cxt)
{
	if (!AggCheckCallContext(fcinfo, cxt))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return PG_ARGISNULL(0) ? make_state(*cxt) : (FigureState *) PG_GETARG_POINTER(0);
}

static void
refuse_null(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the %s of a row is NULL", what),
					errhint("Leave such rows out, as in FILTER (WHERE %s IS NOT NULL).", what)));
}

static void
refuse_null_parameter(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the %s must not be NULL", what)));
}

/* Returns the score of the row in arguments 1 and 2, with the label in the sign. */
static double
read_row(FunctionCallInfo fcinfo)
{
	double score;

	if (PG_ARGISNULL(1))
		refuse_null("label");
	if (PG_ARGISNULL(2))
		refuse_null("score");
	score = PG_GETARG_FLOAT8(2);
	if (!(score >= 0 && score <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("score %s is outside the range 0 to 1", float8out_internal(score)),
				 errhint("A score is the probability of the positive class, as pneumo_predict gives it.")));
	score = fabs(score);
	return PG_GETARG_BOOL(1) ? -score : score;
}

static void
set_parameter(FigureState *state, const char *what, double value)
{
	if (!isnan(state->parameter) && state->parameter != value)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the %s must be the same for all rows of a group, not %s and %s", what,
							   float8out_internal(state->parameter), float8out_internal(value))));
	state->parameter = value;
}

static void
read_threshold(FigureState *state, FunctionCallInfo fcinfo)
{
	double threshold;

	if (PG_NARGS() < 4)
		return;
	if (PG_ARGISNULL(3))
		refuse_null_parameter("threshold");
	threshold = PG_GETARG_FLOAT8(3);
	if (!(threshold >= 0 && threshold <= 1))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("threshold %s is outside the range 0 to 1", float8out_internal(threshold))));
	set_parameter(state, "threshold", threshold);
}

/* How the values of a type become the 64 bits of a cluster. */
typedef struct ClusterType
{
	FmgrInfo *hash;  /* the type's extended hash function */
	Oid collation;   /* of that function */
	int image_bytes; /* of a value whose bits are equal where values are; 0: use the hash */
} ClusterType;

/* Bytes of a type's values if they are passed by value and equal exactly where their bits are, or 0. */
static int
image_bytes(const TypeCacheEntry *type)
{
	Oid function;

	if (!type->typbyval || !OidIsValid(type->btree_opf))
		return 0;
	function =
		get_opfamily_proc(type->btree_opf, type->btree_opintype, type->btree_opintype, BTEQUALIMAGE_PROC);
	if (!OidIsValid(function) || !DatumGetBool(OidFunctionCall1Coll(function, type->typcollation,
																	ObjectIdGetDatum(type->btree_opintype))))
		return 0;
	return type->typlen;
}

static ClusterType *
cluster_type(FunctionCallInfo fcinfo, int arg)
{
	Oid oid = get_fn_expr_argtype(fcinfo->flinfo, arg);
	TypeCacheEntry *type =
		lookup_type_cache(oid, TYPECACHE_HASH_EXTENDED_PROC_FINFO | TYPECACHE_BTREE_OPFAMILY);
	ClusterType *cluster = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(ClusterType));

	if (!OidIsValid(type->hash_extended_proc_finfo.fn_oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("values of type %s cannot be clusters: the type has no hash function",
							   format_type_be(oid)),
						errhint("Cast them to text.")));
	cluster->hash = &type->hash_extended_proc_finfo;
	cluster->collation = OidIsValid(PG_GET_COLLATION()) ? PG_GET_COLLATION() : type->typcollation;
	cluster->image_bytes = image_bytes(type);
	return cluster;
}

/* Mixes 64 bits; different numbers stay different, and 0 stays 0. */
static uint64
mix_bits(uint64 bits)
{
	bits = (bits ^ (bits >> 33)) * UINT64CONST(0xFF51AFD7ED558CCD);
	bits = (bits ^ (bits >> 33)) * UINT64CONST(0xC4CEB9FE1A85EC53);
	return bits ^ (bits >> 33);
}

/* The number whose mix is PNEUMO_NO_CLUSTER is the bigint that is least likely to be an id. */
#define UNLIKELY_ID ((uint64) PG_INT64_MIN)

/*
 * Returns the 64 bits of a row's cluster, the same for the same value of a type
 * in every process.  Integers, and what is stored like them, are mixed and so
 * stay different from each other: the hash functions of the server's 8-byte types
 * hash no more than 32 bits.  Values of other types are hashed by their own
 * function, of all their bits.
 */
static uint64
read_cluster(FunctionCallInfo fcinfo, int arg)
{
	ClusterType *type = fcinfo->flinfo->fn_extra;
	uint64 bits;

	if (PG_ARGISNULL(arg))
		return PNEUMO_NO_CLUSTER;
	if (type == NULL)
		fcinfo->flinfo->fn_extra = type = cluster_type(fcinfo, arg);
	if (type->image_bytes > 0)
	{
		bits = (uint64) PG_GETARG_DATUM(arg);
		if (type->image_bytes < 8)
			bits &= (UINT64CONST(1) << (8 * type->image_bytes)) - 1;
		bits = mix_bits(bits ^ UNLIKELY_ID);
	}
	else
		bits = DatumGetUInt64(
			FunctionCall2Coll(type->hash, type->collation, PG_GETARG_DATUM(arg), Int64GetDatum(0)));
	return bits == PNEUMO_NO_CLUSTER ? 1 : bits;
}

static void
reserve_rows(FigureState *state, int64 n, MemoryContext cxt)
{
	int64 most = (int64) pneumo_figures_memory * 1024 / (int64) sizeof(PneumoFigureRow);
	int64 room = Max(state->room, 64);

	if (n <= state->room)
		return;
	if (n > most)
		pneumo_too_many_rows(n);
	while (room < n)
		room *= 2;
	room = Min(room, most);
	if (state->rows == NULL)
		state->rows = MemoryContextAllocHuge(cxt, room * sizeof(PneumoFigureRow));
	else
		state->rows = repalloc_huge(state->rows, room * sizeof(PneumoFigureRow));
	state->room = room;
}

static void
add_row(FigureState *state, double score, uint64 cluster, MemoryContext cxt)
{
	reserve_rows(state, state->n + 1, cxt);
	state->rows[state->n].score = score;
	state->rows[state->n].cluster = cluster;
	state->n++;
}

/* (state, label, score [, threshold [, cluster]]) */
Datum
pneumo_figures_add(PG_FUNCTION_ARGS)
{
	MemoryContext cxt;
	FigureState *state = state_of_call(fcinfo, &cxt);
	double score = read_row(fcinfo);

	read_threshold(state, fcinfo);
	state->clustered = PG_NARGS() > 4;
	add_row(state, score, state->clustered ? read_cluster(fcinfo, 4) : PNEUMO_NO_CLUSTER, cxt);
	PG_RETURN_POINTER(state);
}

/* (state, label, score [, bins [, cluster]]) */
Datum
pneumo_figures_add_binned(PG_FUNCTION_ARGS)
{
	MemoryContext cxt;
	FigureState *state = state_of_call(fcinfo, &cxt);
	double score = read_row(fcinfo);

	if (PG_NARGS() > 3)
	{
		if (PG_ARGISNULL(3))
			refuse_null_parameter("number of bins");
		if (PG_GETARG_INT32(3) < 1 || PG_GETARG_INT32(3) > STATS_MAX_BINS)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%d bins, where 1 to %d are allowed", PG_GETARG_INT32(3), STATS_MAX_BINS)));
		set_parameter(state, "number of bins", PG_GETARG_INT32(3));
	}
	state->clustered = PG_NARGS() > 4;
	add_row(state, score, state->clustered ? read_cluster(fcinfo, 4) : PNEUMO_NO_CLUSTER, cxt);
	PG_RETURN_POINTER(state);
}

/* (state, label, score [, threshold]) */
Datum
pneumo_confusion_add(PG_FUNCTION_ARGS)
{
	MemoryContext cxt;
	FigureState *state = state_of_call(fcinfo, &cxt);
	double score = read_row(fcinfo);
	bool called;

	read_threshold(state, fcinfo);
	called = fabs(score) >= (isnan(state->parameter) ? PNEUMO_DEFAULT_THRESHOLD : state->parameter);
	if (signbit(score))
		*(called ? &state->counts.tp : &state->counts.fn) += 1;
	else
		*(called ? &state->counts.fp : &state->counts.tn) += 1;
	state->n++;
	PG_RETURN_POINTER(state);
}

/* ----------------------------------------------------------------- parallel */

Datum
pneumo_figures_combine(PG_FUNCTION_ARGS)
{
	MemoryContext cxt;
	FigureState *state = state_of_call(fcinfo, &cxt);
	FigureState *other = PG_ARGISNULL(1) ? NULL : (FigureState *) PG_GETARG_POINTER(1);

	if (other != NULL)
	{
		if (!isnan(other->parameter))
			set_parameter(state, "threshold or number of bins", other->parameter);
		if (other->rows != NULL)
		{
			reserve_rows(state, state->n + other->n, cxt);
			memcpy(state->rows + state->n, other->rows, other->n * sizeof(PneumoFigureRow));
		}
		state->n += other->n;
		state->clustered |= other->clustered;
		state->counts.tp += other->counts.tp;
		state->counts.fp += other->counts.fp;
		state->counts.tn += other->counts.tn;
		state->counts.fn += other->counts.fn;
	}
	PG_RETURN_POINTER(state);
}

/* Copies the state as it is, then its rows: both processes are of one server. */
Datum
pneumo_figures_serialize(PG_FUNCTION_ARGS)
{
	FigureState *state = (FigureState *) PG_GETARG_POINTER(0);
	Size row_bytes = state->rows != NULL ? (Size) state->n * sizeof(PneumoFigureRow) : 0;
	Size bytes = VARHDRSZ + sizeof(FigureState) + row_bytes;
	bytea *out;

	if (bytes > MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the figures of more than %lld rows cannot be computed in parallel",
							   (long long) ((MaxAllocSize - VARHDRSZ - sizeof(FigureState)) /
											sizeof(PneumoFigureRow))),
						errhint("Set max_parallel_workers_per_gather to 0.")));
	out = palloc(bytes);
	SET_VARSIZE(out, bytes);
	memcpy(VARDATA(out), state, sizeof(FigureState));
	if (row_bytes > 0)
		memcpy(VARDATA(out) + sizeof(FigureState), state->rows, row_bytes);
	PG_RETURN_BYTEA_P(out);
}

Datum
pneumo_figures_deserialize(PG_FUNCTION_ARGS)
{
	bytea *in = PG_GETARG_BYTEA_PP(0);
	Size bytes = VARSIZE_ANY_EXHDR(in);
	FigureState *state = palloc(sizeof(FigureState));
	Size row_bytes;

	if (bytes < sizeof(FigureState))
		elog(ERROR, "invalid state of figures");
	memcpy(state, VARDATA_ANY(in), sizeof(FigureState));
	row_bytes = state->rows != NULL ? (Size) state->n * sizeof(PneumoFigureRow) : 0;
	if (state->n < 0 || bytes - sizeof(FigureState) != row_bytes)
		elog(ERROR, "invalid state of figures");
	if (state->rows != NULL)
	{
		state->rows = MemoryContextAllocHuge(CurrentMemoryContext, Max(row_bytes, 1));
		memcpy(state->rows, VARDATA_ANY(in) + sizeof(FigureState), row_bytes);
		state->room = state->n;
	}
	PG_RETURN_POINTER(state);
}

/* ------------------------------------------------------------------ reading */

static inline int
compare_rows(const PneumoFigureRow *a, const PneumoFigureRow *b)
{
	double score_a = fabs(a->score);
	double score_b = fabs(b->score);

	if (score_a != score_b)
		return score_a < score_b ? -1 : 1;
	if (signbit(a->score) != signbit(b->score))
		return signbit(b->score) ? -1 : 1;
	return a->cluster < b->cluster ? -1 : a->cluster > b->cluster;
}

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE PneumoFigureRow
#define ST_COMPARE(a, b) compare_rows(a, b)
#define ST_SCOPE static
#define ST_CHECK_FOR_INTERRUPTS
#define ST_DECLARE
#define ST_DEFINE
#include "lib/sort_template.h"

StatsRows
pneumo_stats_rows(PneumoFigureRow *rows, int64 n, bool clustered)
{
	Size room = (Size) Max(1, n);
	double *score = MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(double));
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, room);
	uint64_t *cluster =
		clustered ? MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(uint64_t)) : NULL;
	StatsRows result = {score, label, cluster, (size_t) n};
	int64 i;

	sort_rows(rows, (size_t) n);
	for (i = 0; i < n; i++)
	{
		score[i] = fabs(rows[i].score);
		label[i] = signbit(rows[i].score) ? 1 : 0;
		if (clustered)
			cluster[i] = rows[i].cluster != PNEUMO_NO_CLUSTER ? rows[i].cluster : mix_bits((uint64) i + 1);
	}
	return result;
}

void
pneumo_figure_rows(PneumoFigureRows *dst, FunctionCallInfo fcinfo, const char *what, double fallback)
{
	FigureState *state = PG_ARGISNULL(0) ? NULL : (FigureState *) PG_GETARG_POINTER(0);

	if (state == NULL || state->n == 0)
		pneumo_stats_check(STATS_NO_ROWS, what, NULL);
	if ((Size) state->n > (Size) pneumo_figures_memory * 1024 / 64)
		pneumo_too_many_rows(state->n);

	/* this only orders what it holds: the aggregate may go on */
	dst->rows = pneumo_stats_rows(state->rows, state->n, state->clustered);
	dst->parameter = isnan(state->parameter) ? fallback : state->parameter;
}

double
pneumo_figure_counts(StatsCounts *counts, FunctionCallInfo fcinfo, const char *what)
{
	FigureState *state = PG_ARGISNULL(0) ? NULL : (FigureState *) PG_GETARG_POINTER(0);

	if (state == NULL || state->n == 0)
		pneumo_stats_check(STATS_NO_ROWS, what, NULL);
	*counts = state->counts;
	return isnan(state->parameter) ? PNEUMO_DEFAULT_THRESHOLD : state->parameter;
}

/* --------------------------------------------------------- figures as datums */

Datum
pneumo_number_datum(double number, bool *isnull)
{
	*isnull = isnan(number);
	return Float8GetDatum(number);
}

Datum
pneumo_figure_datum(const StatsInterval *figure, Oid type, bool *isnull)
{
	TupleDesc desc;
	Datum values[3];
	bool nulls[3];
	HeapTuple tuple;

	*isnull = isnan(figure->value);
	if (*isnull)
		return (Datum) 0;
	desc = lookup_rowtype_tupdesc(type, -1);
	values[0] = pneumo_number_datum(figure->value, &nulls[0]);
	values[1] = pneumo_number_datum(figure->low, &nulls[1]);
	values[2] = pneumo_number_datum(figure->high, &nulls[2]);
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}
