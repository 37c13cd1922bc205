/*-------------------------------------------------------------------------
 *
 * config.h
 *	  Internal to the files that read the training config.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CONFIG_H
#define PNEUMO_PG_CONFIG_H

#include "pg/training.h"

/* The subject of a message: config key "prefix.name"; prefix ends in a dot, or is empty. */
extern char *pneumo_config_what(const char *prefix, const char *name);

/* Refuses keys of object that known (NULL-ended) does not have. */
extern void pneumo_config_check_keys(JsonbContainer *object, const char *prefix,
									 const char *const *known);

/* Readers of keys with a file of their own (config_callbacks.c). */
extern void pneumo_config_early_stopping(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_plateau(PneumoConfig *config, const char *what, JsonbValue *value);

#endif							/* PNEUMO_PG_CONFIG_H */
