/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  What the functions that write to users' tables share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_TABLES_H
#define PNEUMO_PG_TABLES_H

#include "pg/pneumo.h"

/* Schema-qualified and quoted; palloc'd. */
extern char *pneumo_relation_name(Oid relid);

/* Sets parallel_workers on a table and those below it, as the current user; 0: one a core. */
extern int pneumo_table_set_workers(Oid relid, int workers);

#endif /* PNEUMO_PG_TABLES_H */
