/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Typed reading of jsonb values, with one form of message for all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_JSON_H
#define PNEUMO_PG_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "pg/pneumo.h"

/* ----------------------------------------------- reading (json_read.c) */

/*
 * All readers take `what`, the subject of the message ("config key
 * \"epochs\""), and raise ERRCODE_INVALID_PARAMETER_VALUE with the value and
 * what is allowed.
 */
extern JsonbValue *pneumo_json_get(JsonbContainer *object, const char *key); /* NULL if absent */
extern char *pneumo_json_text(JsonbValue *value);                            /* shortened for messages */
extern char *pneumo_json_full_text(JsonbValue *value);
extern bool pneumo_json_is_null(const JsonbValue *value);
extern JsonbContainer *pneumo_json_object(const JsonbValue *value); /* NULL if it is none */
extern JsonbContainer *pneumo_json_array(const JsonbValue *value);
extern char *pneumo_json_cstring(const JsonbValue *value);               /* NULL if not a string */
extern bool pneumo_json_double(const JsonbValue *value, double *number); /* false if not a number */
extern void pneumo_json_bad(const char *what, JsonbValue *value, const char *allowed) pg_attribute_noreturn();
extern int64 pneumo_json_read_int(const char *what, JsonbValue *value, double low, double high);
extern double pneumo_json_read_number(const char *what, JsonbValue *value, double low, double high);
extern bool pneumo_json_read_bool(const char *what, JsonbValue *value);
extern char *pneumo_json_read_string(const char *what, JsonbValue *value);
extern int pneumo_json_read_enum(const char *what, JsonbValue *value, const char *const *names);
extern int pneumo_json_array_length(JsonbContainer *array);

/*
 * Refuses keys of object that known (ended by NULL) does not have; prefix, which
 * ends in a dot or is empty, names the object in the message.
 */
extern void pneumo_json_check_keys(JsonbContainer *object, const char *prefix, const char *const *known);

/* ------------------------------------------------ writing (json_write.c) */

#define PNEUMO_JSON_MAX_DEPTH 8

/* A JSON object that is being written; key is NULL for the elements of an array. */
typedef struct PneumoJson
{
	StringInfoData text;
	char closing[PNEUMO_JSON_MAX_DEPTH]; /* of the open containers */
	int depth;
	bool has_values; /* the innermost one */
} PneumoJson;

/* Opens the outer object; opens and closes the containers in it. */
extern void pneumo_json_begin(PneumoJson *json);
extern void pneumo_json_open_object(PneumoJson *json, const char *key);
extern void pneumo_json_open_array(PneumoJson *json, const char *key);
extern void pneumo_json_close(PneumoJson *json);

/* Adds a value; a NULL string or jsonb becomes null. */
extern void pneumo_json_add_string(PneumoJson *json, const char *key, const char *string);
extern void pneumo_json_add_int(PneumoJson *json, const char *key, int64 number);
extern void pneumo_json_add_bool(PneumoJson *json, const char *key, bool value);
extern void pneumo_json_add_jsonb(PneumoJson *json, const char *key, Jsonb *value);

/* Adds a number with so many significant digits; leaves it out if it is not finite. */
extern void pneumo_json_add_number(PneumoJson *json, const char *key, double number, int digits);

/* Closes what is open and returns the object, palloc'd: as text, or as jsonb. */
extern char *pneumo_json_end_text(PneumoJson *json);
extern Jsonb *pneumo_json_end(PneumoJson *json);

/* Reads a text that the program itself wrote. */
extern Jsonb *pneumo_json_parse(const char *text);

#endif /* PNEUMO_PG_JSON_H */
