/*-------------------------------------------------------------------------
 *
 * pneumo.c
 *	  The library's entry point.
 *
 * Loading defines the settings and sets the planner hook that finds calls whose
 * rows can be scored in batches (predict/group_plan.c).  It does nothing else: it
 * takes no memory and starts no thread, and loads no other library.  Preloading
 * is neither needed nor useful.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/base/base.h"
#include "pg/predict/group_scan.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pneumo_settings_define();
	pneumo_group_plan_init();
}
