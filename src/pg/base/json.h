/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Typed reading of jsonb values, with one form of message for all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_JSON_H
#define PNEUMO_PG_JSON_H

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

#endif /* PNEUMO_PG_JSON_H */
