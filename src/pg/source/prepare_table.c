/*-------------------------------------------------------------------------
 *
 * prepare_table.c
 *	  What parallel plans over an image table need.
 *
 * The planner sizes a parallel scan by the table's own pages; images lie in
 * its TOAST table, so a gigabyte of them looks too small to share.  The storage
 * parameter parallel_workers says otherwise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pg/base/base.h"
#include "pg/catalog/catalog.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_prepare_table);

#define MAX_WORKERS 1024

static int
default_workers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return (int) Max(1, Min(cores, MAX_WORKERS));
}

int
pneumo_table_set_workers(Oid relid, int workers)
{
	List *children;
	ListCell *cell;
	int done = 0;

	if (workers <= 0)
		workers = default_workers();
	children = find_all_inheritors(relid, AccessShareLock, NULL);
	SPI_connect();
	foreach (cell, children)
	{
		Oid child = lfirst_oid(cell);
		char relkind = get_rel_relkind(child);
		char *command;

		/* a partitioned table has no pages, and no such parameter */
		if (relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW)
			continue;
		command = psprintf("ALTER %s %s SET (parallel_workers = %d)",
						   relkind == RELKIND_MATVIEW ? "MATERIALIZED VIEW" : "TABLE",
						   pneumo_relation_name(child), workers);
		if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not execute \"%s\"", command);
		done++;
	}
	SPI_finish();
	if (done == 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("%s has no storage of its own", pneumo_relation_name(relid)),
						errhint("Prepare the tables below it, in their own database.")));
	return workers;
}

Datum
pneumo_prepare_table(PG_FUNCTION_ARGS)
{
	PneumoUserTable table;
	Oid relid = DatumGetObjectId(pneumo_argument(fcinfo, 0));
	int workers = 0;

	if (!PG_ARGISNULL(1))
	{
		workers = PG_GETARG_INT32(1);
		if (workers < 1 || workers > MAX_WORKERS)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("workers is %d, allowed is 1 to %d", workers, MAX_WORKERS)));
	}
	pneumo_prevent_write("pneumo_prepare_table()");
	relation_close(pneumo_user_table_begin(&table, relid), NoLock);
	PG_RETURN_INT32(pneumo_table_set_workers(relid, workers));
}
