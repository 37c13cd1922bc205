/*-------------------------------------------------------------------------
 *
 * score_table.c
 *	  CALL pneumo_score_table: scores of a big table, batch by batch.
 *
 * A row is done when its sha256 column names the version; so a call that was
 * stopped goes on where it was, several sessions can share the work, and a new
 * version scores everything again.  All reading and writing is SPI as the
 * caller, with the caller's rights: as if the caller typed the statements, so
 * that triggers and row security act as they would then.
 *
 * Between two batches the table is anybody's to change, and the triggers of one
 * batch can do so as well.  Each batch opens it anew and checks that it is what
 * the first one found (source/read.c).  Operators are written with their schema:
 * the search path may hold others that fit the key's type better.
 *
 * Rows that another transaction has locked are passed over at first and waited
 * for in a last pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_score_table);

#define MAX_BATCH 10000

/* Positions of the table's columns; a batch reads the first two. */
enum
{
	COL_KEY,
	COL_IMAGE,
	COL_SCORE,
	COL_SHA256
};

#define N_READ 2

typedef struct ScoreTable
{
	char *model;
	PneumoVersionId id;
	PneumoUserTable table; /* its columns: COL_KEY and so on */
	char *equal;           /* key operators, with their schema */
	char *greater;
	Oid key_type; /* base type */
	int16 key_length;
	bool key_by_value;
	int32 batch_size;
	MemoryContext cxt; /* lives through the commits */
	void *scorers;
	bytea *hash;
	Datum last_key; /* of the previous batch */
	bool has_last_key;
	SPIPlanPtr first; /* query plans: without and with a last key; waiting or not */
	SPIPlanPtr next;
	SPIPlanPtr update;
	bool of_findings; /* the score column is of type jsonb: a probability for each finding */
	int64 scored;
	int64 refused; /* rows whose score was not stored */
	MemoryContextCallback callback;
} ScoreTable;

/* ------------------------------------------------------------------- arguments */

/* Returns the one column of the primary key. */
static char *
find_key(Relation rel)
{
	Bitmapset *columns = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	int attribute;

	if (!bms_get_singleton_member(columns, &attribute))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("table %s has no primary key of one column",
							   pneumo_relation_name(RelationGetRelid(rel))),
						errhint("Name a unique column that is never null in key_column.")));
	attribute += FirstLowInvalidHeapAttributeNumber;
	return pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), attribute - 1)->attname));
}

/* Adds a column by name, of this type if one is given. */
static void
add_column(ScoreTable *work, const char *column, Oid type)
{
	Oid relid = work->table.relid;
	AttrNumber number = get_attnum(relid, column);

	if (number == InvalidAttrNumber)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table %s has no column \"%s\"", work->table.name, column),
			 errhint(
				 "Scores need two columns: ALTER TABLE %s ADD COLUMN score float8, ADD COLUMN sha256 bytea.",
				 work->table.name)));
	if (OidIsValid(type) && getBaseType(get_atttype(relid, number)) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("column \"%s\" of table %s is not of type %s",
															column, work->table.name, format_type_be(type))));
	(void) pneumo_user_table_add_column(&work->table, number);
}

/* Returns an operator as OPERATOR(schema.name). */
static char *
operator_text(Oid operator)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

/* Looks up the key's type and the operators of its default order, which ORDER BY uses. */
static void
find_key_type(ScoreTable *work)
{
	const PneumoColumn *key = &work->table.column[COL_KEY];
	TypeCacheEntry *entry;

	work->key_type = getBaseType(key->type);
	entry = lookup_type_cache(work->key_type, TYPECACHE_EQ_OPR | TYPECACHE_GT_OPR);
	if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->gt_opr))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("key column \"%s\" of table %s is of type %s, which has no order", key->name,
							   work->table.name, format_type_be(work->key_type))));
	work->equal = operator_text(entry->eq_opr);
	work->greater = operator_text(entry->gt_opr);
	get_typlenbyval(work->key_type, &work->key_length, &work->key_by_value);
}

static char *
name_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(arg)));
}

/* Reads all arguments, into work->cxt. */
static void
read_arguments(ScoreTable *work, FunctionCallInfo fcinfo)
{
	Relation rel;
	AttrNumber number;
	char *key = name_argument(fcinfo, 2);
	char *image = name_argument(fcinfo, 3);
	char *score = name_argument(fcinfo, 4);
	char *sha256 = name_argument(fcinfo, 5);

	if (PG_ARGISNULL(0) || score == NULL || sha256 == NULL || PG_ARGISNULL(6))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("source, score_column, sha256_column and batch_size must not be null")));
	work->model = PG_ARGISNULL(1) ? pstrdup(pneumo_default_model) : text_to_cstring(PG_GETARG_TEXT_PP(1));
	work->batch_size = PG_GETARG_INT32(6);
	if (work->batch_size < 1 || work->batch_size > MAX_BATCH)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("batch_size is %d, allowed is 1 to %d", work->batch_size, MAX_BATCH)));

	rel = pneumo_user_table_begin(&work->table, PG_GETARG_OID(0));
	if (key == NULL)
		key = find_key(rel);
	if (image == NULL)
		image = pstrdup(
			NameStr(TupleDescAttr(RelationGetDescr(rel), pneumo_image_column(rel, sha256) - 1)->attname));
	add_column(work, key, InvalidOid);
	add_column(work, image, BYTEAOID);
	number = get_attnum(work->table.relid, score);
	work->of_findings = number > 0 && getBaseType(get_atttype(work->table.relid, number)) == JSONBOID;
	add_column(work, score, work->of_findings ? JSONBOID : FLOAT8OID);
	add_column(work, sha256, BYTEAOID);
	find_key_type(work);
	relation_close(rel, NoLock);
}

/* ------------------------------------------------------------------ query plans */

static SPIPlanPtr
prepare(const char *command, int n, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(command, n, types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\"", command);
	return plan;
}

static const char *
column(const ScoreTable *work, int position)
{
	return quote_identifier(work->table.column[position].name);
}

/* Returns the key's comparison with a parameter; the cast takes a domain away. */
static char *
compare_key(const ScoreTable *work, const char *operator, const char * parameter)
{
	return psprintf("%s::%s %s %s", column(work, COL_KEY),
					format_type_extended(work->key_type, -1,
										 FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY),
					operator, parameter);
}

static char *
select_batch(const ScoreTable *work, bool after_last, bool wait)
{
	const char *sha256 = column(work, COL_SHA256);

	return psprintf("SELECT %s FROM %s WHERE %s IS NOT NULL "
					"AND (%s IS NULL OR %s::pg_catalog.bytea OPERATOR(pg_catalog.<>) $1)%s%s "
					"ORDER BY %s LIMIT %d FOR NO KEY UPDATE%s",
					pneumo_user_table_column_list(&work->table, N_READ), work->table.name,
					column(work, COL_IMAGE), sha256, sha256, after_last ? " AND " : "",
					after_last ? compare_key(work, work->greater, "$2") : "", column(work, COL_KEY),
					work->batch_size, wait ? "" : " SKIP LOCKED");
}

/* Frees the query plans; the callback of work->cxt, too, since they outlive an error otherwise. */
static void
free_plans(void *arg)
{
	ScoreTable *work = arg;

	if (work->first != NULL)
		SPI_freeplan(work->first);
	if (work->next != NULL)
		SPI_freeplan(work->next);
	if (work->update != NULL)
		SPI_freeplan(work->update);
	work->first = work->next = work->update = NULL;
}

static void
prepare_plans(ScoreTable *work, bool wait)
{
	Oid select_types[2] = {BYTEAOID, work->key_type};
	Oid update_types[3] = {work->of_findings ? JSONBOID : FLOAT8OID, BYTEAOID, work->key_type};
	char *command;

	free_plans(work);
	work->first = prepare(select_batch(work, false, wait), 1, select_types);
	work->next = prepare(select_batch(work, true, wait), 2, select_types);
	command = psprintf("UPDATE %s SET %s = $1, %s = $2 WHERE %s", work->table.name, column(work, COL_SCORE),
					   column(work, COL_SHA256), compare_key(work, work->equal, "$3"));
	work->update = prepare(command, 3, update_types);
}

/* ---------------------------------------------------------------------- batches */

/* Returns the value of the score column from the probabilities of a row. */
static Datum
score_datum(const ScoreTable *work, const PneumoModelMeta *meta, const double *probability)
{
	if (work->of_findings)
		return JsonbPGetDatum(pneumo_findings_json(meta, probability));
	return Float8GetDatum(pneumo_score_of(meta, probability));
}

/* Stores the score of a row; false if a trigger or rule of the table did not let it. */
static bool
store_score(ScoreTable *work, Datum key, bool has_score, Datum score)
{
	Datum values[3];
	char nulls[4] = "   ";
	bool stored;

	values[0] = score;
	nulls[0] = has_score ? ' ' : 'n';
	values[1] = PointerGetDatum(work->hash);
	values[2] = key;
	if (SPI_execute_plan(work->update, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not store a score in %s", work->table.name);
	stored = SPI_processed > 0;
	pneumo_user_table_check_plan(&work->table, work->update);
	return stored;
}

static void
remember_key(ScoreTable *work, Datum key)
{
	MemoryContext old = MemoryContextSwitchTo(work->cxt);
	Datum previous = work->last_key;
	bool had = work->has_last_key;

	/* A value that lies in the table's TOAST table may be gone after the commit. */
	work->last_key = work->key_length == -1 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(key))
											: datumCopy(key, work->key_by_value, work->key_length);
	work->has_last_key = true;
	if (had && !work->key_by_value)
		pfree(DatumGetPointer(previous));
	MemoryContextSwitchTo(old);
}

/*
 * Returns the key or the image of a row of a batch.  The condition that an image
 * is there and the row itself may come from two calls of a view's function.
 */
static Datum
value_of(const ScoreTable *work, const SPITupleTable *table, uint64 i, int position)
{
	bool isnull;
	Datum value = SPI_getbinval(table->vals[i], table->tupdesc, position + 1, &isnull);

	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s column \"%s\" of %s holds a null", position == COL_KEY ? "key" : "image",
							   work->table.column[position].name, work->table.name)));
	return value;
}

/* Scores the rows of a batch, then stores the scores. */
static void
score_rows(ScoreTable *work, const SPITupleTable *table, uint64 n)
{
	PneumoScores scores;
	const PneumoModelMeta *meta;
	bool *has_score = palloc(n * sizeof(bool));
	uint64 i;

	pneumo_scores_begin(&scores,
						pneumo_scorer_get_batch(&work->scorers, work->cxt, &work->id, pneumo_path()));
	meta = scores.scorer->meta;
	for (i = 0; i < n; i++)
		has_score[i] =
			pneumo_scores_add(&scores, (int64) i, value_of(work, table, i, COL_IMAGE), pneumo_on_bad_image);
	pneumo_scores_finish(&scores);
	for (i = 0; i < n; i++)
		if (store_score(work, value_of(work, table, i, COL_KEY), has_score[i],
						has_score[i] ? score_datum(work, meta, scores.probability + i * meta->n_classes)
									 : (Datum) 0))
			work->scored++;
		else
			work->refused++;
	if (n > 0)
		remember_key(work, value_of(work, table, n - 1, COL_KEY));
}

/* Scores one batch in one transaction; returns false if there was nothing left to do. */
static bool
score_batch(ScoreTable *work)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo batch of scores", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Relation rel = pneumo_user_table_open(&work->table);
	SPIPlanPtr plan = work->has_last_key ? work->next : work->first;
	Datum values[2];
	SPITupleTable *table;
	uint64 n;

	/* the right may have been revoked since the last batch */
	(void) pneumo_model_lookup(work->model, PNEUMO_PREDICT, GetUserId(), false);
	values[0] = PointerGetDatum(work->hash);
	values[1] = work->last_key;
	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read %s", work->table.name);
	table = SPI_tuptable;
	n = SPI_processed;
	pneumo_user_table_check_plan(&work->table, plan);
	pneumo_user_table_check_result(&work->table, table->tupdesc, N_READ);
	old = MemoryContextSwitchTo(cxt);
	score_rows(work, table, n);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	SPI_freetuptable(table);
	relation_close(rel, NoLock);
	return n > 0;
}

static void
score_pass(ScoreTable *work, bool wait)
{
	work->has_last_key = false;
	work->last_key = (Datum) 0;
	prepare_plans(work, wait);
	while (score_batch(work))
	{
		CHECK_FOR_INTERRUPTS();
		SPI_commit();
	}
}

/* Raises an error if the score column is not of the type that the version's scores need. */
static void
check_score_column(ScoreTable *work)
{
	const PneumoModelMeta *meta =
		pneumo_scorer_get_batch(&work->scorers, work->cxt, &work->id, pneumo_path())->meta;

	if (meta->multi_label == work->of_findings)
		return;
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("column \"%s\" of table %s is not of type %s", work->table.column[COL_SCORE].name,
						   work->table.name, format_type_be(meta->multi_label ? JSONBOID : FLOAT8OID)),
					meta->multi_label
						? errdetail("Model \"%s\" gives a probability for each of its findings.", work->model)
						: errdetail("Model \"%s\" gives one number.", work->model)));
}

Datum
pneumo_score_table(PG_FUNCTION_ARGS)
{
	MemoryContext cxt;
	MemoryContext old;
	ScoreTable *work;
	TupleDesc desc;
	Datum result;
	bool isnull = false;

	if (!pneumo_may_commit(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("pneumo_score_table commits each batch, so it cannot run inside a transaction block"),
				 errhint("Call it on its own: CALL pneumo_score_table(...).")));
	pneumo_prevent_write("pneumo_score_table()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pneumo_score_table must return a row");

	cxt = AllocSetContextCreate(PortalContext, "pneumo score table", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	desc = CreateTupleDescCopy(desc);
	work = palloc0(sizeof(ScoreTable));
	work->cxt = cxt;
	work->callback.func = free_plans;
	work->callback.arg = work;
	MemoryContextRegisterResetCallback(cxt, &work->callback);
	read_arguments(work, fcinfo);
	pneumo_resolve(work->model, &work->id);
	check_score_column(work);
	work->hash = pneumo_bytea(work->id.sha256, PNEUMO_SHA256_LEN);

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	score_pass(work, false);
	work->refused = 0; /* the second pass meets them again */
	score_pass(work, true);
	SPI_finish();
	if (work->refused > 0)
		ereport(WARNING,
				(errmsg_plural("%lld row of %s has no score: a trigger or rule did not let it be stored",
							   "%lld rows of %s have no score: a trigger or rule did not let it be stored",
							   (unsigned long) work->refused, (long long) work->refused, work->table.name)));

	MemoryContextSwitchTo(old);
	result = Int64GetDatum(work->scored);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &result, &isnull));
	MemoryContextDelete(cxt);
	PG_RETURN_DATUM(result);
}
