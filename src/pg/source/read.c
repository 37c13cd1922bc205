/*-------------------------------------------------------------------------
 *
 * read.c
 *	  The one reader of users' tables: opens a relation, checks that it still is
 *	  what it was, and visits its rows.
 *
 * A statement names its table by text, and a name can come to mean another
 * relation between two statements: the functions of a view, triggers and other
 * sessions may rename, replace or alter what it named.  Whoever then takes a
 * datum for what the first table held reads memory of the attacker's choice.  So:
 *
 *	- The relation is opened by its OID and locked until the transaction ends, and
 *	  it stays open while statements run, which keeps this session, too, from
 *	  altering it.
 *	- Its name, and the names and types of its columns, must be those that were
 *	  checked when its OID was given.
 *	- Of each query plan that was executed, the relation that the server found
 *	  under the name must be the one with that OID.
 *	- Each result must have exactly the types of the checked columns, before any
 *	  datum of it is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/portal.h"
#include "utils/rel.h"

#include "pg/base/base.h"
#include "pg/source/source.h"

#define FETCH_ROWS 32

/* ------------------------------------------------------------------- tables */

static void
table_changed(const PneumoUserTable *table, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("%s was changed while it was in use: %s", table->name, what),
					errhint("Run the command again.")));
}

Relation
pneumo_user_table_begin(PneumoUserTable *table, Oid relid)
{
	Relation rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relid)));
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("\"%s\" is not a table, view, materialized view or foreign table",
								   RelationGetRelationName(rel))));
	}
	memset(table, 0, sizeof(*table));
	table->relid = relid;
	table->name = pneumo_relation_name(relid);
	return rel;
}

int
pneumo_user_table_add_column(PneumoUserTable *table, AttrNumber attnum)
{
	PneumoColumn *column = &table->column[table->n_columns];

	if (table->n_columns >= PNEUMO_MAX_COLUMNS)
		elog(ERROR, "too many columns of %s", table->name);
	column->name = get_attname(table->relid, attnum, false);
	column->attnum = attnum;
	column->type = get_atttype(table->relid, attnum);
	return ++table->n_columns;
}

char *
pneumo_user_table_column_list(const PneumoUserTable *table, int n_columns)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < n_columns; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", quote_identifier(table->column[i].name));
	return list.data;
}

static void
check_column(const PneumoUserTable *table, const PneumoColumn *column)
{
	Oid type = get_atttype(table->relid, column->attnum);

	if (get_attnum(table->relid, column->name) != column->attnum)
		table_changed(table, psprintf("column \"%s\" is not there any more", column->name));
	if (type != column->type)
		table_changed(table, psprintf("column \"%s\" is of type %s, was of type %s", column->name,
									  format_type_be(type), format_type_be(column->type)));
}

Relation
pneumo_user_table_open(const PneumoUserTable *table)
{
	Relation rel = try_relation_open(table->relid, AccessShareLock);
	const char *name;
	int i;

	if (rel == NULL)
		table_changed(table, "it does not exist any more");
	/* A schema is renamed without a lock on its tables. */
	AcceptInvalidationMessages();
	name = pneumo_relation_name(table->relid);
	if (strcmp(name, table->name) != 0)
		table_changed(table, psprintf("it is called %s now", name));
	for (i = 0; i < table->n_columns; i++)
		check_column(table, &table->column[i]);
	return rel;
}

/*
 * Returns the relation that a query's first range table entry stands for: its
 * only table in FROM, or the target of an UPDATE.  Rewriting turns the entry of
 * a view into a subquery; before release 16 such an entry has no OID, and the
 * view is then the first entry ("old") of the subquery.
 */
static Oid
named_relation(const Query *query)
{
	const RangeTblEntry *entry = linitial_node(RangeTblEntry, query->rtable);

	if (!OidIsValid(entry->relid) && entry->rtekind == RTE_SUBQUERY && entry->subquery->rtable != NIL)
		entry = linitial_node(RangeTblEntry, entry->subquery->rtable);
	return entry->relid;
}

void
pneumo_user_table_check_plan(const PneumoUserTable *table, SPIPlanPtr plan)
{
	ListCell *source_cell;
	ListCell *query_cell;

	foreach (source_cell, SPI_plan_get_plan_sources(plan))
	{
		const CachedPlanSource *source = lfirst(source_cell);

		foreach (query_cell, source->query_list)
		{
			const Query *query = lfirst_node(Query, query_cell);

			if (query->rtable == NIL || named_relation(query) != table->relid)
				table_changed(table, "another relation has taken its name");
		}
	}
}

void
pneumo_user_table_check_result(const PneumoUserTable *table, TupleDesc desc, int n_columns)
{
	int i;

	if (desc == NULL || desc->natts != n_columns)
		table_changed(table, "it gives other columns");
	for (i = 0; i < n_columns; i++)
	{
		Oid type = TupleDescAttr(desc, i)->atttypid;

		if (type != table->column[i].type)
			table_changed(table, psprintf("column \"%s\" gives values of type %s, was of type %s",
										  table->column[i].name, format_type_be(type),
										  format_type_be(table->column[i].type)));
	}
}

/* --------------------------------------------------------------------- rows */

typedef struct Reader
{
	const PneumoSource *source;
	int n_columns; /* the first ones of the table; the others are not read */
	FmgrInfo output[PNEUMO_MAX_COLUMNS];
	bool padded[PNEUMO_MAX_COLUMNS]; /* char(n) */
	TupleDesc desc;
} Reader;

/* Looks up how the checked types become text; the image's does not. */
static void
prepare_output(Reader *reader)
{
	const PneumoUserTable *table = &reader->source->table;
	int i;

	for (i = 0; i < reader->n_columns; i++)
	{
		Oid function;
		bool varlena;

		if (i + 1 == reader->source->col_image)
			continue;
		getTypeOutputInfo(table->column[i].type, &function, &varlena);
		fmgr_info(function, &reader->output[i]);
		reader->padded[i] = getBaseType(table->column[i].type) == BPCHAROID;
	}
}

/* Returns a text without the blanks at its end. */
static char *
without_padding(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && text[len - 1] == ' ')
		text[--len] = '\0';
	return text;
}

/* Returns a column as text, without the blanks of char(n); NULL if it is null or not read. */
static char *
column_text(Reader *reader, HeapTuple tuple, int column)
{
	bool isnull;
	Datum value;
	char *text;

	if (column == 0 || column > reader->n_columns)
		return NULL;
	value = SPI_getbinval(tuple, reader->desc, column, &isnull);
	if (isnull)
		return NULL;
	text = OutputFunctionCall(&reader->output[column - 1], value);
	return reader->padded[column - 1] ? without_padding(text) : text;
}

static char *
key_text(Reader *reader, HeapTuple tuple)
{
	const PneumoSource *source = reader->source;
	StringInfoData buf;
	int i;

	if (source->n_key == 0 || source->col_key[0] > reader->n_columns)
		return NULL;
	initStringInfo(&buf);
	for (i = 0; i < source->n_key; i++)
	{
		char *text = column_text(reader, tuple, source->col_key[i]);

		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", text == NULL ? "null" : text);
	}
	return buf.data;
}

/* --------------------------------------------------------- findings of a row */

#define MAX_ROW_FINDINGS 1000 /* elements of an array */

/* Raises an error about the labels of a row; what says what is wrong. */
static void bad_findings(const PneumoRow *row, const PneumoSource *source, const char *what)
	pg_attribute_noreturn();

static void
bad_findings(const PneumoRow *row, const PneumoSource *source, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("row %s has %s in label column \"%s\"", pneumo_clip(pneumo_row_name(row)), what,
						   source->label_column),
					errdetail("Allowed are arrays of one dimension without nulls and empty texts."),
					errhint("An empty array says that no finding is there, a null in place of the array that "
							"nobody knows.")));
	pg_unreachable();
}

/* Adds a name to a list unless it is there already. */
static void
add_name(char **names, int *n, char *name)
{
	int i;

	for (i = 0; i < *n; i++)
		if (strcmp(names[i], name) == 0)
			return;
	names[(*n)++] = name;
}

/* Reads an array of findings; those that are not in it are not there. */
static PneumoRowFindings *
read_array(const PneumoRow *row, Reader *reader, Datum value)
{
	PneumoRowFindings *findings = palloc0(sizeof(PneumoRowFindings));
	ArrayType *array = DatumGetArrayTypeP(value);
	Oid type = ARR_ELEMTYPE(array);
	Datum *elements;
	bool *nulls;
	int n;
	int i;
	int16 length;
	bool by_value;
	char align;
	Oid output;
	bool varlena;

	if (ARR_NDIM(array) > 1)
		bad_findings(row, reader->source, psprintf("an array of %d dimensions", ARR_NDIM(array)));
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &elements, &nulls, &n);
	if (n > MAX_ROW_FINDINGS)
		bad_findings(row, reader->source,
					 psprintf("an array of %d elements, where at most %d are allowed,", n, MAX_ROW_FINDINGS));
	getTypeOutputInfo(type, &output, &varlena);
	findings->present = palloc(Max(1, n) * sizeof(char *));
	findings->complete = true;
	for (i = 0; i < n; i++)
	{
		char *name;

		if (nulls[i])
			bad_findings(row, reader->source, "a null in the array");
		name = OidOutputFunctionCall(output, elements[i]);
		if (getBaseType(type) == BPCHAROID)
			name = without_padding(name);
		if (name[0] == '\0')
			bad_findings(row, reader->source, "an empty text in the array");
		add_name(findings->present, &findings->n_present, name);
	}
	return findings;
}

/* Reads a column for each finding; NULL if no one knows any of them. */
static PneumoRowFindings *
read_finding_columns(const PneumoRow *row, Reader *reader, HeapTuple tuple)
{
	const PneumoSource *source = reader->source;
	PneumoRowFindings *findings = palloc0(sizeof(PneumoRowFindings));
	int i;

	findings->present = palloc(source->n_findings * sizeof(char *));
	findings->absent = palloc(source->n_findings * sizeof(char *));
	for (i = 0; i < source->n_findings; i++)
	{
		char *text = column_text(reader, tuple, source->col_finding[i]);

		if (text == NULL)
			continue;
		if (strcmp(text, "t") == 0 || strcmp(text, "1") == 0)
			findings->present[findings->n_present++] = source->finding[i];
		else if (strcmp(text, "f") == 0 || strcmp(text, "0") == 0)
			findings->absent[findings->n_absent++] = source->finding[i];
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("row %s has the value %s in column \"%s\", must be 0 or 1",
							pneumo_clip(pneumo_row_name(row)), text,
							source->table.column[source->col_finding[i] - 1].name),
					 errhint("Where nobody knows whether the finding is there, the column must be null.")));
	}
	return findings->n_present + findings->n_absent > 0 ? findings : NULL;
}

/* Reads label or findings of a row. */
static void
read_labels(PneumoRow *row, Reader *reader, HeapTuple tuple)
{
	const PneumoSource *source = reader->source;
	Datum value;
	bool isnull;

	row->label = NULL;
	row->findings = NULL;
	if (source->n_findings > 0)
		row->findings = read_finding_columns(row, reader, tuple);
	else if (source->col_label > 0 && source->label_kind == PNEUMO_LABEL_ARRAY)
	{
		value = SPI_getbinval(tuple, reader->desc, source->col_label, &isnull);
		row->findings = isnull ? NULL : read_array(row, reader, value);
	}
	else
		row->label = column_text(reader, tuple, source->col_label);
	if (row->label != NULL && source->label_kind == PNEUMO_LABEL_BOOLEAN)
		row->label = row->label[0] == 't' ? "true" : "false";
}

static void
read_row(PneumoRow *row, Reader *reader, HeapTuple tuple)
{
	const PneumoSource *source = reader->source;
	bool isnull;
	int i;

	row->image = SPI_getbinval(tuple, reader->desc, source->col_image, &isnull);
	row->has_image = !isnull;
	row->key = key_text(reader, tuple);
	read_labels(row, reader, tuple);
	row->group = column_text(reader, tuple, source->col_group);
	row->split = column_text(reader, tuple, source->col_split);
	row->weight = column_text(reader, tuple, source->col_weight);
	row->unused_split = column_text(reader, tuple, source->col_unused_split);
	row->file = column_text(reader, tuple, source->col_file);
	for (i = 0; i < source->n_extra; i++)
		row->extra[i] = column_text(reader, tuple, source->col_extra[i]);
}

/* Visits the rows of a cursor in contexts of their own; returns their number. */
static int64
visit_rows(Reader *reader, Portal portal, PneumoRowVisit visit, void *arg)
{
	MemoryContext row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo row", ALLOCSET_DEFAULT_SIZES);
	PneumoRow row;
	uint64 i;

	memset(&row, 0, sizeof(row));
	for (;;)
	{
		SPITupleTable *batch;
		uint64 n;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		batch = SPI_tuptable;
		n = SPI_processed;
		if (n == 0)
			break;
		pneumo_user_table_check_result(&reader->source->table, batch->tupdesc, reader->n_columns);
		reader->desc = batch->tupdesc;
		for (i = 0; i < n; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(row_cxt);

			CHECK_FOR_INTERRUPTS();
			row.number++;
			read_row(&row, reader, batch->vals[i]);
			visit(arg, &row);
			MemoryContextSwitchTo(old);
			MemoryContextReset(row_cxt);
		}
		SPI_freetuptable(batch);
	}
	return row.number;
}

/*
 * Reads the first columns of the source.  The table may be somebody's view, and
 * its functions run here as they will in the worker: without a way back to the
 * session's user.  An error restores the user and closes the relation with the
 * transaction.
 */
static int64
read_columns(const PneumoSource *source, int n_columns, PneumoRowVisit visit, void *arg)
{
	const PneumoUserTable *table = &source->table;
	Reader reader;
	Relation rel;
	SPIPlanPtr plan;
	Portal portal;
	int64 n;
	Oid user;
	int context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	rel = pneumo_user_table_open(table);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	memset(&reader, 0, sizeof(reader));
	reader.source = source;
	reader.n_columns = n_columns;
	prepare_output(&reader);
	plan = SPI_prepare_cursor(psprintf("SELECT %s FROM %s", pneumo_user_table_column_list(table, n_columns),
									   table->name),
							  0, NULL, CURSOR_OPT_NO_SCROLL);
	if (plan == NULL)
		elog(ERROR, "could not prepare reading of %s", table->name);
	/* Opening plans the query, which can analyze it again and call functions. */
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	pneumo_user_table_check_plan(table, plan);
	n = visit_rows(&reader, portal, visit, arg);
	SPI_cursor_close(portal);
	SPI_finish();
	relation_close(rel, NoLock);
	SetUserIdAndSecContext(user, context);
	return n;
}

int64
pneumo_source_rows(const PneumoSource *source, PneumoRowVisit visit, void *arg)
{
	return read_columns(source, source->table.n_columns, visit, arg);
}

int64
pneumo_source_label_rows(const PneumoSource *source, PneumoRowVisit visit, void *arg)
{
	int last = Max(source->col_image, source->col_label);

	if (source->n_findings > 0)
		last = Max(last, source->col_finding[source->n_findings - 1]);
	return read_columns(source, last, visit, arg);
}

char *
pneumo_row_name(const PneumoRow *row)
{
	return row->key != NULL ? pstrdup(row->key) : psprintf("number %lld", (long long) row->number);
}
