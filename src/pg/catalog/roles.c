/*-------------------------------------------------------------------------
 *
 * roles.c
 *	  The type pneumo.role: a role in a row that gives rights.
 *
 * A value is the OID of a role, or 0 for everybody.  A role that is renamed
 * therefore keeps its rights, and a new role with the name of one that was
 * dropped gets none.  In text, which is how pg_dump writes it, a value is the
 * name that the role has now, without quotes, and everybody is public.
 *
 * The server knows no way for an extension to register such rows as objects that
 * depend on a role.  So DROP OWNED does not touch them, and DROP ROLE is not
 * refused because of them.  The rows of a role that was dropped give nothing to
 * anybody; the next grant or revocation on a model deletes those of its grantees.
 *
 * The type regrole differs where there is no such role.  It writes a role that
 * was dropped as a number, which can be another role in the server where the
 * dump is restored, and its input fails there if a role of the dump is missing,
 * so that one missing role would cost the rights of all.  Here the first is
 * written as an empty string, and both are read as a role that nobody is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

PG_FUNCTION_INFO_V1(pneumo_role_in);
PG_FUNCTION_INFO_V1(pneumo_role_out);

/* A role that was dropped or is missing: the server gives no role an OID below 10. */
#define NOBODY ((Oid) 1)

Datum
pneumo_role_in(PG_FUNCTION_ARGS)
{
	const char *name = PG_GETARG_CSTRING(0);
	Oid role;

	if (name[0] == '\0')
		PG_RETURN_OID(NOBODY);
	if (strcmp(name, PNEUMO_PUBLIC) == 0)
		PG_RETURN_OID(InvalidOid);
	role = get_role_oid(name, true);
	if (!OidIsValid(role))
	{
		role = NOBODY;
		ereport(WARNING, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("role \"%s\" does not exist", name),
						  errdetail("Its rights on models and trainings of pneumo go to nobody.")));
	}
	PG_RETURN_OID(role);
}

Datum
pneumo_role_out(PG_FUNCTION_ARGS)
{
	Oid role = PG_GETARG_OID(0);
	char *name = OidIsValid(role) ? GetUserNameFromId(role, true) : pstrdup(PNEUMO_PUBLIC);

	PG_RETURN_CSTRING(name != NULL ? name : pstrdup(""));
}

Datum
pneumo_role_datum(Oid role)
{
	return DirectFunctionCall1(namein, CStringGetDatum(GetUserNameFromId(role, false)));
}

bool
pneumo_role_exists(Oid role)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role));
}
