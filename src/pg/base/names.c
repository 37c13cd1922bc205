/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names in messages: of splits and of relations, lists of names, and the
 *	  nearest of the known names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "pg/base/base.h"

const char *const pneumo_split_names[] = {"train", "validation", "test", "all", NULL};

const char *
pneumo_nearest(const char *name, const char *const *names)
{
	const char *best = NULL;
	int best_distance;
	int len = (int) strlen(name);
	int i;

	if (len == 0 || len > 200)
		return NULL;
	best_distance = (len < 5 ? 1 : Max(2, len / 3)) + 1;

	for (i = 0; names[i] != NULL; i++)
	{
		int other = (int) strlen(names[i]);
		int distance;

		if (other > 200)
			continue;
		if (pg_strcasecmp(name, names[i]) == 0)
			return names[i];
		distance = varstr_levenshtein_less_equal(name, len, names[i], other, 1, 1, 1, best_distance, true);
		if (distance < best_distance)
		{
			best = names[i];
			best_distance = distance;
		}
	}
	return best;
}

int
pneumo_hint_nearest(const char *name, const char *const *names)
{
	const char *near = pneumo_nearest(name, names);

	return near != NULL ? errhint("Did you mean \"%s\"?", near) : 0;
}

char *
pneumo_list_names(const char *const *names)
{
	StringInfoData buf;
	int i;

	initStringInfo(&buf);
	for (i = 0; names[i] != NULL; i++)
	{
		if (i > 0)
			appendStringInfoString(&buf, names[i + 1] == NULL ? " or " : ", ");
		appendStringInfo(&buf, "\"%s\"", pneumo_clip(names[i]));
	}
	return buf.data;
}

char *
pneumo_relation_name(Oid relid)
{
	char *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relid)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

const char *
pneumo_utf8(const char *string)
{
	return string == NULL ? NULL : pg_server_to_any(string, (int) strlen(string), PG_UTF8);
}
