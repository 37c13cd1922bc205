/*-------------------------------------------------------------------------
 *
 * source_rows.c
 *	  The rows of a source table as they are, for functions that explore it.
 *
 * dataset.c reads a table for training: it applies rules, and what breaks them
 * is left out or an error.  Here every row comes through, since the rows that
 * break the rules are what one looks for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "pg/source/source.h"

#define FETCH_ROWS 32

/* Text of a column in the current context, without a char(n)'s blanks; NULL if null. */
static char *
column_text(HeapTuple tuple, TupleDesc desc, int column)
{
	char *text;

	if (column == 0)
		return NULL;
	text = SPI_getvalue(tuple, desc, column);
	if (text != NULL && getBaseType(TupleDescAttr(desc, column - 1)->atttypid) == BPCHAROID)
	{
		size_t len = strlen(text);

		while (len > 0 && text[len - 1] == ' ')
			text[--len] = '\0';
	}
	return text;
}

static char *
row_key(const PneumoSource *source, HeapTuple tuple, TupleDesc desc)
{
	StringInfoData buf;
	int i;

	if (source->n_key == 0)
		return NULL;
	initStringInfo(&buf);
	for (i = 0; i < source->n_key; i++)
	{
		char *text = column_text(tuple, desc, source->col_key[i]);

		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "", text == NULL ? "null" : text);
	}
	return buf.data;
}

char *
pneumo_row_name(const PneumoRow *row)
{
	return row->key != NULL ? pstrdup(row->key) : psprintf("number %lld", (long long) row->number);
}

static void
read_row(PneumoRow *row, const PneumoSource *source, HeapTuple tuple, TupleDesc desc)
{
	bool isnull;

	row->image = SPI_getbinval(tuple, desc, source->col_image, &isnull);
	row->has_image = !isnull;
	row->key = row_key(source, tuple, desc);
	row->label = column_text(tuple, desc, source->col_label);
	if (row->label != NULL && source->label_kind == PNEUMO_LABEL_BOOLEAN)
		row->label = row->label[0] == 't' ? "true" : "false";
	row->group = column_text(tuple, desc, source->col_group);
	row->split = column_text(tuple, desc, source->col_split);
}

int64
pneumo_source_rows(const PneumoSource *source, PneumoRowVisit visit, void *arg)
{
	MemoryContext row_cxt;
	SPIPlanPtr plan;
	Portal portal;
	PneumoRow row;
	Oid user;
	int context;
	uint64 i;

	/* as in pneumo_source_labels() */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	memset(&row, 0, sizeof(row));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo row", ALLOCSET_DEFAULT_SIZES);
	plan = SPI_prepare_cursor(source->query, 0, NULL, CURSOR_OPT_NO_SCROLL);
	if (plan == NULL)
		elog(ERROR, "could not prepare reading of %s", source->name);
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (i = 0; i < SPI_processed; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(row_cxt);

			CHECK_FOR_INTERRUPTS();
			row.number++;
			read_row(&row, source, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
			visit(arg, &row);
			MemoryContextSwitchTo(old);
			MemoryContextReset(row_cxt);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	return row.number;
}

/* ------------------------------------------------------------------ config */

/* ------------------------------------------------------------------- stats */
