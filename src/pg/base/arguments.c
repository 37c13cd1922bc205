/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  How an SQL function is called: arguments that must not be NULL, and whether
 *	  it may commit.
 *
 * A function that does something, or reads a whole table, is not STRICT: it would
 * do nothing for a NULL, without a word.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "pg/base/base.h"
#include "pg/base/json.h"

/* Returns the name of an argument of a function. */
static const char *
argument_name(Oid function, int i)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	char **names = NULL;
	char *modes;
	Oid *types;
	int n = 0;

	if (HeapTupleIsValid(tuple))
	{
		n = get_func_arg_info(tuple, &types, &names, &modes);
		ReleaseSysCache(tuple);
	}
	return names != NULL && i < n ? names[i] : psprintf("$%d", i + 1);
}

Datum
pneumo_argument(FunctionCallInfo fcinfo, int i)
{
	Oid function = fcinfo->flinfo->fn_oid;

	if (PG_ARGISNULL(i))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" of %s must not be null", argument_name(function, i),
							   get_func_name(function))));
	return PG_GETARG_DATUM(i);
}

char *
pneumo_text_argument(FunctionCallInfo fcinfo, int i)
{
	return text_to_cstring(DatumGetTextPP(pneumo_argument(fcinfo, i)));
}

Jsonb *
pneumo_config_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? pneumo_json_parse("{}") : PG_GETARG_JSONB_P(i);
}

bool
pneumo_may_commit(FunctionCallInfo fcinfo)
{
	return fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		   !castNode(CallContext, fcinfo->context)->atomic;
}
