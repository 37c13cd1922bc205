/*-------------------------------------------------------------------------
 *
 * config.h
 *	  Internal to the files that read the training config.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CONFIG_H
#define PNEUMO_PG_CONFIG_H

#include "pg/train/training.h"

/* The subject of a message: config key "prefix.name"; prefix ends in a dot, or is empty. */
extern char *pneumo_config_what(const char *prefix, const char *name);

/* Refuses keys of object that known (NULL-ended) does not have. */
extern void pneumo_config_check_keys(JsonbContainer *object, const char *prefix, const char *const *known);

/* Least and most of numbers that have no natural limit. */
#define CONFIG_TINY 1e-12
#define CONFIG_BIG 1e12

/* ------------------------------------------------ the keys (config_keys.c) */

extern const char *const *pneumo_config_key_names(void);

/* Reads the keys that object has; explicit: it is the user's, not the preset's. */
extern void pneumo_config_read_keys(PneumoConfig *config, JsonbContainer *object, bool explicit);

/* Names of the keys that apply to the optimizer (names: room for all); their number. */
extern int pneumo_config_optimizer_keys(const char **names, NnOptimizerKind kind);
/* Reads those of config's optimizer. */
extern void pneumo_config_read_optimizer_keys(PneumoConfig *config, const char *prefix,
											  JsonbContainer *object);

/* ------------------------------------- readers of keys that need a function */

/* by NnOptimizerKind; NULL-ended */
extern const char *const pneumo_config_optimizers[];

/* config_network.c */
extern void pneumo_config_read_preset(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_layers(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_image_size(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_color_mode(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_interpolation(PneumoConfig *config, const char *what, JsonbValue *value);

/* config_fit.c */
extern void pneumo_config_read_steps(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_class_weight(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_threads(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_loss(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_metrics(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_verbose(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_brightness(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_zoom(PneumoConfig *config, const char *what, JsonbValue *value);

/* config_optimizer.c */
extern void pneumo_config_read_optimizer(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_learning_rate(PneumoConfig *config, const char *what, JsonbValue *value);

/* config_callbacks.c */
extern void pneumo_config_early_stopping(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_plateau(PneumoConfig *config, const char *what, JsonbValue *value);

/* config_result.c */
extern void pneumo_config_read_calibration(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_operating_point(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_deploy(PneumoConfig *config, const char *what, JsonbValue *value);
extern void pneumo_config_read_precision(PneumoConfig *config, const char *what, JsonbValue *value);

#endif /* PNEUMO_PG_CONFIG_H */
