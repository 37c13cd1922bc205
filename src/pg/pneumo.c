/*-------------------------------------------------------------------------
 *
 * pneumo.c
 *	  The library's entry point.
 *
 * Loading defines the settings and looks at the plans of the session's queries
 * for calls that can be scored in groups (group_plan.c), and nothing else: no
 * memory, no thread, no other library.  Preloading is neither needed nor useful.
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
	pneumo_batch_plan_init();
}
