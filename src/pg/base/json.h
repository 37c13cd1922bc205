/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Typed reading of jsonb values, with one form of message for all, and
 *	  writing of jsonb values key by key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_JSON_H
#define PNEUMO_PG_JSON_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

#include "pg/pneumo.h"

/* ----------------------------------------------- reading (json_read.c) */

/* Returns the value of a key, or NULL if the object lacks it. */
extern JsonbValue *pneumo_json_get(JsonbContainer *object, const char *key);

/* Returns a value as text, palloc'd; pneumo_json_text() shortens it for messages. */
extern char *pneumo_json_text(JsonbValue *value);
extern char *pneumo_json_full_text(JsonbValue *value);

/* Returns whether a value is null or missing (NULL). */
extern bool pneumo_json_is_null(const JsonbValue *value);

/* Returns what the value is if it is an object, an array or a string (palloc'd); otherwise NULL. */
extern JsonbContainer *pneumo_json_object(const JsonbValue *value);
extern JsonbContainer *pneumo_json_array(const JsonbValue *value);
extern char *pneumo_json_cstring(const JsonbValue *value);

/* Returns the number of an array's elements. */
extern int pneumo_json_array_length(JsonbContainer *array);

/* Sets *number if the value is a number; otherwise returns false. */
extern bool pneumo_json_double(const JsonbValue *value, double *number);

/*
 * Reads a value of one type.  What does not fit raises
 * ERRCODE_INVALID_PARAMETER_VALUE with what, the subject of the message
 * ("config key \"epochs\""), the value and what is allowed.  The reader of names
 * (ended by NULL) returns the index.
 */
extern int64 pneumo_json_read_int(const char *what, JsonbValue *value, double low, double high);
extern double pneumo_json_read_number(const char *what, JsonbValue *value, double low, double high);
extern bool pneumo_json_read_bool(const char *what, JsonbValue *value);
extern char *pneumo_json_read_string(const char *what, JsonbValue *value);
extern int pneumo_json_read_enum(const char *what, JsonbValue *value, const char *const *names);

/*
 * Visits each key that not all of n objects (NULL: empty) have with the same value,
 * with its value in each object, NULL where it is missing.
 */
typedef void (*PneumoJsonDifference)(void *arg, const char *key, JsonbValue *const *values);
extern void pneumo_json_differences(JsonbContainer *const *objects, int n, PneumoJsonDifference visit,
									void *arg);

/* Raises the readers' error: what is value, must be allowed. */
extern void pneumo_json_bad(const char *what, JsonbValue *value, const char *allowed) pg_attribute_noreturn();

/* Returns the first key of object that known (ended by NULL) does not have, palloc'd, or NULL. */
extern const char *pneumo_json_unknown_key(JsonbContainer *object, const char *const *known);

/*
 * Refuses config keys that known does not have; prefix, which ends in a dot or
 * is empty, names the object in the message.
 */
extern void pneumo_json_check_keys(JsonbContainer *object, const char *prefix, const char *const *known);

/* ------------------------------------------------ writing (json_write.c) */

#define PNEUMO_JSON_MAX_DEPTH 48

/* A JSON object that is being written; key is NULL for the elements of an array. */
typedef struct PneumoJson
{
	StringInfoData text;
	char closing[PNEUMO_JSON_MAX_DEPTH]; /* of the open containers */
	int depth;
	bool has_values; /* the innermost one */
} PneumoJson;

/* Opens the outer object. */
extern void pneumo_json_begin(PneumoJson *json);

/* Opens a container in the innermost open one; closes the innermost one. */
extern void pneumo_json_open_object(PneumoJson *json, const char *key);
extern void pneumo_json_open_array(PneumoJson *json, const char *key);
extern void pneumo_json_close(PneumoJson *json);

/* Adds a value to the innermost open container; a NULL string or jsonb becomes null. */
extern void pneumo_json_add_string(PneumoJson *json, const char *key, const char *string);
extern void pneumo_json_add_int(PneumoJson *json, const char *key, int64 number);
extern void pneumo_json_add_bool(PneumoJson *json, const char *key, bool value);
extern void pneumo_json_add_jsonb(PneumoJson *json, const char *key, Jsonb *value);

/* Adds a number with so many significant digits; leaves it out if it is not finite. */
extern void pneumo_json_add_number(PneumoJson *json, const char *key, double number, int digits);

/* Closes what is open and returns the object, palloc'd: as text, or as jsonb. */
extern char *pneumo_json_end_text(PneumoJson *json);
extern Jsonb *pneumo_json_end(PneumoJson *json);

/* Returns an object with the entries of both; those of b come in place of a's. */
extern Jsonb *pneumo_json_merge(Jsonb *a, Jsonb *b);

/* Reads a text that the program itself wrote. */
extern Jsonb *pneumo_json_parse(const char *text);

#endif /* PNEUMO_PG_JSON_H */
