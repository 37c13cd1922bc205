/*-------------------------------------------------------------------------
 *
 * json_read.c
 *	  Typed reading of jsonb values, with one form of message for all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/varlena.h"

#include "pg/base/base.h"
#include "pg/base/json.h"

/* How many keys an object may have for a hint to list them all. */
#define FEW_KEYS 20

#define MESSAGE_VALUE_LEN 80

JsonbValue *
pneumo_json_get(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, (int) strlen(key), NULL);
}

char *
pneumo_json_full_text(JsonbValue *value)
{
	Jsonb *jb = JsonbValueToJsonb(value);

	return JsonbToCString(NULL, &jb->root, VARSIZE(jb));
}

char *
pneumo_json_text(JsonbValue *value)
{
	char *text = pneumo_json_full_text(value);
	int len = (int) strlen(text);

	if (len > MESSAGE_VALUE_LEN)
	{
		int clip = pg_mbcliplen(text, len, MESSAGE_VALUE_LEN - 4);

		strcpy(text + clip, " ...");
	}
	return text;
}

bool
pneumo_json_is_null(const JsonbValue *value)
{
	return value == NULL || value->type == jbvNull;
}

JsonbContainer *
pneumo_json_object(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return value->val.binary.data;
}

JsonbContainer *
pneumo_json_array(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data) ||
		JsonContainerIsScalar(value->val.binary.data))
		return NULL;
	return value->val.binary.data;
}

int
pneumo_json_array_length(JsonbContainer *array)
{
	return (int) JsonContainerSize(array);
}

char *
pneumo_json_cstring(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

bool
pneumo_json_double(const JsonbValue *value, double *number)
{
	if (value == NULL || value->type != jbvNumeric)
		return false;
	*number =
		DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
	return true;
}

void
pneumo_json_bad(const char *what, JsonbValue *value, const char *allowed)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s is %s, must be %s", what, pneumo_json_text(value), allowed)));
	pg_unreachable();
}

static char *
number_text(double number)
{
	return number == floor(number) ? psprintf("%.0f", number) : psprintf("%.10g", number);
}

static char *
describe_range(const char *noun, double low, double high)
{
	if (isinf(low) && isinf(high))
		return pstrdup(noun);
	if (isinf(high))
		return psprintf("%s of at least %s", noun, number_text(low));
	return psprintf("%s between %s and %s", noun, number_text(low), number_text(high));
}

int64
pneumo_json_read_int(const char *what, JsonbValue *value, double low, double high)
{
	double number;

	if (!pneumo_json_double(value, &number) || number != floor(number) ||
		!(number >= low && number <= high) || fabs(number) > 9007199254740992.0)
		pneumo_json_bad(what, value, describe_range("an integer", low, high));
	return (int64) number;
}

double
pneumo_json_read_number(const char *what, JsonbValue *value, double low, double high)
{
	double number;

	if (!pneumo_json_double(value, &number) || !isfinite(number) || !(number >= low && number <= high))
		pneumo_json_bad(what, value, describe_range("a number", low, high));
	return number;
}

bool
pneumo_json_read_bool(const char *what, JsonbValue *value)
{
	if (value->type != jbvBool)
		pneumo_json_bad(what, value, "true or false");
	return value->val.boolean;
}

char *
pneumo_json_read_string(const char *what, JsonbValue *value)
{
	char *text = pneumo_json_cstring(value);

	if (text == NULL || text[0] == '\0')
		pneumo_json_bad(what, value, "a string that is not empty");
	return text;
}

int
pneumo_json_read_enum(const char *what, JsonbValue *value, const char *const *names)
{
	char *text = pneumo_json_cstring(value);
	int i;

	for (i = 0; text != NULL && names[i] != NULL; i++)
		if (strcmp(text, names[i]) == 0)
			return i;

	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s is %s, must be %s", what, pneumo_json_text(value), pneumo_list_names(names)),
					text != NULL ? pneumo_hint_nearest(text, names) : 0));
	return -1;
}

const char *
pneumo_json_unknown_key(JsonbContainer *object, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char *name;
		int i;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		for (i = 0; known[i] != NULL; i++)
			if (strcmp(name, known[i]) == 0)
				break;
		if (known[i] == NULL)
			return name;
	}
	return NULL;
}

void
pneumo_json_check_keys(JsonbContainer *object, const char *prefix, const char *const *known)
{
	const char *name = pneumo_json_unknown_key(object, known);
	const char *near;
	int n = 0;

	if (name == NULL)
		return;
	near = pneumo_nearest(name, known);
	while (known[n] != NULL)
		n++;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown config key \"%s%s\"", prefix, pneumo_clip(name)),
					near            ? errhint("Did you mean \"%s%s\"?", prefix, near)
					: n <= FEW_KEYS ? errhint("It can be %s.", pneumo_list_names(known))
									: 0));
}

static bool
same_value(JsonbValue *a, JsonbValue *b)
{
	return a != NULL && b != NULL &&
		   compareJsonbContainers(&JsonbValueToJsonb(a)->root, &JsonbValueToJsonb(b)->root) == 0;
}

/* Visits a key of object r unless an object before it has it, too, or all have the same value. */
static void
visit_key(JsonbContainer *const *objects, int n, int r, const char *key, PneumoJsonDifference visit,
		  void *arg)
{
	JsonbValue **values = palloc(n * sizeof(JsonbValue *));
	bool seen = false;
	bool same = true;
	int i;

	for (i = 0; i < n; i++)
	{
		values[i] = objects[i] != NULL ? pneumo_json_get(objects[i], key) : NULL;
		seen = seen || (i < r && values[i] != NULL);
	}
	for (i = 0; i < n; i++)
		same = same && same_value(values[r], values[i]);
	if (!seen && !same)
		visit(arg, key, values);
	pfree(values);
}

void
pneumo_json_differences(JsonbContainer *const *objects, int n, PneumoJsonDifference visit, void *arg)
{
	int r;

	for (r = 0; r < n; r++)
	{
		JsonbIterator *it = objects[r] != NULL ? JsonbIteratorInit(objects[r]) : NULL;
		JsonbIteratorToken token;
		JsonbValue item;

		while (it != NULL && (token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
			if (token == WJB_KEY)
				visit_key(objects, n, r, pnstrdup(item.val.string.val, item.val.string.len), visit, arg);
	}
}
