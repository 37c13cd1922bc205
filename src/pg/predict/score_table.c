/*-------------------------------------------------------------------------
 *
 * score_table.c
 *	  CALL pneumo_score_table: scores of a big table, batch by batch.
 *
 * A row is done when its sha256 column names the version; so a call that was
 * stopped goes on where it was, several sessions can share the work, and a new
 * version scores everything again.  All reading and writing is SPI as the
 * caller, with the caller's rights.
 *
 * Rows that another transaction has locked are passed over at first and waited
 * for in a last pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/predict/predict.h"

PG_FUNCTION_INFO_V1(pneumo_score_table);

#define MAX_BATCH 10000

typedef struct ScoreTable
{
	char *model;
	PneumoVersionId id;
	char *table; /* quoted */
	char *key;   /* column names, quoted */
	char *image;
	char *score;
	char *sha256;
	Oid key_type;
	int16 key_length;
	bool key_by_value;
	int32 batch_size;
	MemoryContext cxt; /* lives through the commits */
	void *scorers;
	bytea *hash;
	Datum last_key; /* of the previous batch */
	bool has_last_key;
	SPIPlanPtr first; /* without and with a last key; waiting or not */
	SPIPlanPtr next;
	SPIPlanPtr update;
	int64 scored;
	MemoryContextCallback callback;
} ScoreTable;

/* ------------------------------------------------------------------- arguments */

/* The one column of the primary key. */
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

/* The one bytea column beside the one for the hash. */
static char *
find_image(Relation rel, const char *sha256)
{
	TupleDesc desc = RelationGetDescr(rel);
	char *found = NULL;
	int i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || attribute->atttypid != BYTEAOID ||
			strcmp(NameStr(attribute->attname), sha256) == 0)
			continue;
		if (found != NULL)
			ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
							errmsg("table %s has more than one bytea column",
								   pneumo_relation_name(RelationGetRelid(rel))),
							errhint("Name the one with the images in image_column.")));
		found = pstrdup(NameStr(attribute->attname));
	}
	if (found == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("table %s has no bytea column", pneumo_relation_name(RelationGetRelid(rel)))));
	return found;
}

static void
check_column(Relation rel, const char *column, Oid type)
{
	AttrNumber number = get_attnum(RelationGetRelid(rel), column);

	if (number == InvalidAttrNumber)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table %s has no column \"%s\"", pneumo_relation_name(RelationGetRelid(rel)), column),
			 errhint(
				 "Scores need two columns: ALTER TABLE %s ADD COLUMN score float8, ADD COLUMN sha256 bytea.",
				 pneumo_relation_name(RelationGetRelid(rel)))));
	if (OidIsValid(type) && getBaseType(get_atttype(RelationGetRelid(rel), number)) != type)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("column \"%s\" of table %s is not of type %s", column,
							   pneumo_relation_name(RelationGetRelid(rel)), format_type_be(type))));
}

static char *
name_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(arg)));
}

/* Everything from the arguments, in work->cxt. */
static void
read_arguments(ScoreTable *work, FunctionCallInfo fcinfo)
{
	Relation rel;
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

	rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
	work->table = pneumo_relation_name(RelationGetRelid(rel));
	if (key == NULL)
		key = find_key(rel);
	if (image == NULL)
		image = find_image(rel, sha256);
	check_column(rel, key, InvalidOid);
	check_column(rel, image, BYTEAOID);
	check_column(rel, score, FLOAT8OID);
	check_column(rel, sha256, BYTEAOID);
	work->key_type = get_atttype(RelationGetRelid(rel), get_attnum(RelationGetRelid(rel), key));
	get_typlenbyval(work->key_type, &work->key_length, &work->key_by_value);
	relation_close(rel, NoLock);

	work->key = pstrdup(quote_identifier(key));
	work->image = pstrdup(quote_identifier(image));
	work->score = pstrdup(quote_identifier(score));
	work->sha256 = pstrdup(quote_identifier(sha256));
}

/* ------------------------------------------------------------------------ plans */

static SPIPlanPtr
prepare(const char *command, int n, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(command, n, types);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare \"%s\"", command);
	return plan;
}

static char *
select_batch(const ScoreTable *work, bool after_last, bool wait)
{
	return psprintf("SELECT %s, %s FROM %s WHERE %s IS NOT NULL AND %s IS DISTINCT FROM $1%s%s%s "
					"ORDER BY %s LIMIT %d FOR NO KEY UPDATE%s",
					work->key, work->image, work->table, work->image, work->sha256, after_last ? " AND " : "",
					after_last ? work->key : "", after_last ? " > $2" : "", work->key, work->batch_size,
					wait ? "" : " SKIP LOCKED");
}

/* Also the callback of work->cxt: the plans outlive an error otherwise. */
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
	Oid update_types[3] = {FLOAT8OID, BYTEAOID, work->key_type};
	char *command;

	free_plans(work);
	work->first = prepare(select_batch(work, false, wait), 1, select_types);
	work->next = prepare(select_batch(work, true, wait), 2, select_types);
	command = psprintf("UPDATE %s SET %s = $1, %s = $2 WHERE %s = $3", work->table, work->score, work->sha256,
					   work->key);
	work->update = prepare(command, 3, update_types);
}

/* ---------------------------------------------------------------------- batches */

static void
store_score(ScoreTable *work, Datum key, bool has_score, double score)
{
	Datum values[3];
	char nulls[4] = "   ";

	values[0] = Float8GetDatum(score);
	nulls[0] = has_score ? ' ' : 'n';
	values[1] = PointerGetDatum(work->hash);
	values[2] = key;
	if (SPI_execute_plan(work->update, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not store a score in %s", work->table);
}

static void
remember_key(ScoreTable *work, Datum key)
{
	MemoryContext old = MemoryContextSwitchTo(work->cxt);
	Datum previous = work->last_key;
	bool had = work->has_last_key;

	work->last_key = datumCopy(key, work->key_by_value, work->key_length);
	work->has_last_key = true;
	if (had && !work->key_by_value)
		pfree(DatumGetPointer(previous));
	MemoryContextSwitchTo(old);
}

static Datum
key_of(const ScoreTable *work, const SPITupleTable *table, uint64 i)
{
	bool isnull;
	Datum key = SPI_getbinval(table->vals[i], table->tupdesc, 1, &isnull);

	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("key column %s of %s holds a null", work->key, work->table)));
	return key;
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
	{
		bool isnull;
		Datum image = SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull);

		has_score[i] = pneumo_scores_add(&scores, (int64) i, image, pneumo_on_bad_image);
	}
	pneumo_scores_finish(&scores);
	for (i = 0; i < n; i++)
		store_score(work, key_of(work, table, i), has_score[i],
					has_score[i] ? pneumo_score_of(meta, scores.probability + i * meta->n_classes) : 0);
	work->scored += n;
	if (n > 0)
		remember_key(work, key_of(work, table, n - 1));
}

/* One batch in one transaction; false if there was nothing left to do. */
static bool
score_batch(ScoreTable *work)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo batch of scores", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Datum values[2];
	SPITupleTable *table;
	uint64 n;

	/* the right may have been revoked since the last batch */
	(void) pneumo_model_lookup(work->model, PNEUMO_PREDICT, GetUserId(), false);
	values[0] = PointerGetDatum(work->hash);
	values[1] = work->last_key;
	if (SPI_execute_plan(work->has_last_key ? work->next : work->first, values, NULL, false, 0) !=
		SPI_OK_SELECT)
		elog(ERROR, "could not read %s", work->table);
	table = SPI_tuptable;
	n = SPI_processed;
	old = MemoryContextSwitchTo(cxt);
	score_rows(work, table, n);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	SPI_freetuptable(table);
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

Datum
pneumo_score_table(PG_FUNCTION_ARGS)
{
	bool nonatomic = fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
					 !castNode(CallContext, fcinfo->context)->atomic;
	MemoryContext cxt;
	MemoryContext old;
	ScoreTable *work;
	TupleDesc desc;
	Datum result;
	bool isnull = false;

	if (!nonatomic)
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
	work->hash = pneumo_bytea(work->id.sha256, PNEUMO_SHA256_LEN);

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	score_pass(work, false);
	score_pass(work, true);
	SPI_finish();

	MemoryContextSwitchTo(old);
	result = Int64GetDatum(work->scored);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &result, &isnull));
	MemoryContextDelete(cxt);
	PG_RETURN_DATUM(result);
}
