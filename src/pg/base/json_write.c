/*-------------------------------------------------------------------------
 *
 * json_write.c
 *	  Building jsonb values, key by key.
 *
 * The text is built and then read by jsonb_in(), so that numbers have exactly
 * the digits that were asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "pg/base/json.h"

/* Appends the comma and the key (NULL in an array) that come before a value. */
static void
begin_value(PneumoJson *json, const char *key)
{
	if (json->has_values)
		appendStringInfoChar(&json->text, ',');
	json->has_values = true;
	if (key != NULL)
	{
		escape_json(&json->text, key);
		appendStringInfoChar(&json->text, ':');
	}
}

static void
open_container(PneumoJson *json, char opening, char closing)
{
	if (json->depth >= PNEUMO_JSON_MAX_DEPTH)
		elog(ERROR, "JSON value is nested too deeply");
	appendStringInfoChar(&json->text, opening);
	json->closing[json->depth++] = closing;
	json->has_values = false;
}

void
pneumo_json_begin(PneumoJson *json)
{
	memset(json, 0, sizeof(*json));
	initStringInfo(&json->text);
	open_container(json, '{', '}');
}

void
pneumo_json_open_object(PneumoJson *json, const char *key)
{
	begin_value(json, key);
	open_container(json, '{', '}');
}

void
pneumo_json_open_array(PneumoJson *json, const char *key)
{
	begin_value(json, key);
	open_container(json, '[', ']');
}

void
pneumo_json_close(PneumoJson *json)
{
	Assert(json->depth > 0);
	appendStringInfoChar(&json->text, json->closing[--json->depth]);
	json->has_values = true;
}

void
pneumo_json_add_string(PneumoJson *json, const char *key, const char *string)
{
	begin_value(json, key);
	if (string == NULL)
		appendStringInfoString(&json->text, "null");
	else
		escape_json(&json->text, string);
}

void
pneumo_json_add_int(PneumoJson *json, const char *key, int64 number)
{
	begin_value(json, key);
	appendStringInfo(&json->text, INT64_FORMAT, number);
}

void
pneumo_json_add_number(PneumoJson *json, const char *key, double number, int digits)
{
	if (!isfinite(number))
		return;
	begin_value(json, key);
	appendStringInfo(&json->text, "%.*g", digits, number);
}

void
pneumo_json_add_bool(PneumoJson *json, const char *key, bool value)
{
	begin_value(json, key);
	appendStringInfoString(&json->text, value ? "true" : "false");
}

void
pneumo_json_add_jsonb(PneumoJson *json, const char *key, Jsonb *value)
{
	begin_value(json, key);
	if (value == NULL)
		appendStringInfoString(&json->text, "null");
	else
		(void) JsonbToCString(&json->text, &value->root, VARSIZE(value));
}

char *
pneumo_json_end_text(PneumoJson *json)
{
	while (json->depth > 0)
		pneumo_json_close(json);
	return json->text.data;
}

Jsonb *
pneumo_json_end(PneumoJson *json)
{
	return pneumo_json_parse(pneumo_json_end_text(json));
}

Jsonb *
pneumo_json_merge(Jsonb *a, Jsonb *b)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(a), JsonbPGetDatum(b)));
}

Jsonb *
pneumo_json_parse(const char *text)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}
