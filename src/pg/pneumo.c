/*-------------------------------------------------------------------------
 *
 * pneumo.c
 *	  The library's entry point.
 *
 * Loading defines the settings and nothing else: no memory, no thread, no
 * other library.  Preloading is neither needed nor useful.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/pneumo.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pneumo_settings_define();
}
