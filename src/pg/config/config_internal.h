/*-------------------------------------------------------------------------
 *
 * config_internal.h
 *	  What the files that read config and layers share among themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CONFIG_INTERNAL_H
#define PNEUMO_PG_CONFIG_INTERNAL_H

#include "utils/jsonb.h"

#include "nn/nn.h"

#include "pg/config/config.h"

/* -------------------------------------------------------------- config */

/* The subject of a message: config key "prefix.name"; prefix ends in a dot, or is empty. */
extern char *pneumo_config_what(const char *prefix, const char *name);

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

/* -------------------------------------------------------------- layers */

typedef struct Layer
{
	int number; /* from 1, for messages */
	char *class_name;
	char *name;
	JsonbContainer *config; /* NULL: none given */
	JsonbValue *inbound;    /* inbound_nodes, or NULL */
	bool is_input;
	int node; /* -1: not added yet */
} Layer;

typedef struct LayerList
{
	bool functional;
	int n;
	Layer *layers;
	char *output;            /* name of the output layer; NULL: the last */
	char *input;             /* name of the input layer, or NULL */
	JsonbValue *build_shape; /* build_input_shape, or NULL */
} LayerList;

/* ------------------------------------------- the list (layer_list.c) */

extern void pneumo_layers_error(const char *format, ...) pg_attribute_printf(1, 2) pg_attribute_noreturn();

/* The subject of a message: layer 2 "dense" (Dense), and one of its keys. */
extern char *pneumo_layer_subject(const Layer *layer);
extern char *pneumo_layer_key(const Layer *layer, const char *key);

extern void pneumo_layers_read(LayerList *list, Jsonb *layers);

/* Sets config->preprocess from the network's input; errors where a given key says otherwise. */
extern void pneumo_layers_input(PneumoConfig *config, const LayerList *list);

/* --------------------------------------- one layer's keys (layer_params.c) */

extern void pneumo_layer_params(NnNodeSpec *spec, const Layer *layer, const NnOpInfo *op);

#endif /* PNEUMO_PG_CONFIG_INTERNAL_H */
