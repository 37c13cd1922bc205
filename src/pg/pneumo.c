/*-------------------------------------------------------------------------
 *
 * pneumo.c
 *	  The library's entry point.
 *
 * Loading defines the settings and sets the planner hook that finds calls whose
 * rows can be scored in batches (predict/group_plan.c).  It does nothing else: it
 * takes no memory and starts no thread, and loads no other library.  Preloading
 * is not needed; preloaded, the library asks for the memory of its control
 * struct when the server starts (base/shmem.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "pg/base/base.h"
#include "pg/base/shmem.h"
#include "pg/predict/group_scan.h"

PNEUMO_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		pneumo_shared_preload();
	pneumo_settings_define();
	pneumo_batch_plan_init();
}
