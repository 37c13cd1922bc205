/*-------------------------------------------------------------------------
 *
 * config_internal.h
 *	  What the files of this room share: the tables of config keys, and the
 *	  steps from Keras's list of layers to a network.
 *
 * Each file that reads config keys has a table of them: a row says what a key
 * is called, of what type it is, which field it fills and what is allowed.
 * config_keys.c joins the tables and reads their rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CONFIG_INTERNAL_H
#define PNEUMO_PG_CONFIG_INTERNAL_H

#include "utils/jsonb.h"

#include "nn/nn.h"

#include "pg/config/config.h"

/* -------------------------------------------------------------- limits */

/* Least and most of numbers that have no natural limit. */
#define CONFIG_TINY 1e-12
#define CONFIG_BIG 1e12

/* Most epochs of a run, and so of what is counted in epochs. */
#define CONFIG_MAX_EPOCHS 10000

/* Most that the validation and the test split may take together, as a fraction of the rows. */
#define CONFIG_MAX_SPLITS 0.95

/* Most threads of a run. */
#define CONFIG_MAX_THREADS 256

/* ------------------------------------------------------ tables of keys */

typedef enum ConfigKind
{
	KEY_INT,  /* int */
	KEY_SEED, /* uint64 */
	KEY_DOUBLE,
	KEY_DOUBLE_OR_NULL, /* null means 0 */
	KEY_FLOAT,
	KEY_BOOL, /* int, 0 or 1 */
	KEY_TEXT, /* char *, null allowed */
	KEY_ENUM, /* int, index into names */
	KEY_READ  /* by a function */
} ConfigKind;

/* Reads a value that has a form of its own; what is the subject of messages. */
typedef void (*ConfigReader)(PneumoConfig *config, const char *what, JsonbValue *value);

/* A row of a table of keys; the row after the last has no name. */
typedef struct ConfigKey
{
	const char *name;
	ConfigKind kind;
	size_t offset;            /* of the field in PneumoConfig; not for KEY_READ */
	double low, high;         /* of numbers: what is allowed */
	const char *const *names; /* of KEY_ENUM: what is allowed, ended by NULL */
	ConfigReader read;        /* of KEY_READ */
	size_t given;             /* of a bool in PneumoConfig that is set if the user gives the key and
							   * not as null; 0: none */
	int optimizers;           /* bits of the NnOptimizerKind that have the key; 0: no optimizer's key */
} ConfigKey;

#define CONFIG_AT(field) offsetof(PneumoConfig, field)
#define CONFIG_TEXT(field) {.name = #field, .kind = KEY_TEXT, .offset = CONFIG_AT(field)}
#define CONFIG_FLAG(key, field) {.name = key, .kind = KEY_BOOL, .offset = CONFIG_AT(field)}
#define CONFIG_NUMBER(key, type, field, least, most) \
	{.name = key, .kind = type, .offset = CONFIG_AT(field), .low = least, .high = most}
#define CONFIG_READ(key, function) {.name = key, .kind = KEY_READ, .read = function}
#define CONFIG_READ_GIVEN(key, function, field) \
	{.name = key, .kind = KEY_READ, .read = function, .given = CONFIG_AT(field)}
#define CONFIG_END {.name = NULL}

extern const ConfigKey pneumo_config_network_keys[];   /* config_network.c */
extern const ConfigKey pneumo_config_data_keys[];      /* config_data.c */
extern const ConfigKey pneumo_config_fit_keys[];       /* config_fit.c */
extern const ConfigKey pneumo_config_optimizer_keys[]; /* config_optimizer.c */
extern const ConfigKey pneumo_config_loss_keys[];      /* config_loss.c */
extern const ConfigKey pneumo_config_callback_keys[];  /* config_callbacks.c */
extern const ConfigKey pneumo_config_augment_keys[];   /* config_augment.c */
extern const ConfigKey pneumo_config_result_keys[];    /* config_result.c */

/*
 * Refuses an object with a key that is not known; the hint has the key that is
 * called so elsewhere (config_synonyms.c), or else the nearest one.
 */
extern void pneumo_config_check_keys(Jsonb *given);

/* Returns a hint for a key that is not known, if other software calls something so; NULL otherwise. */
extern const char *pneumo_config_synonym(const char *name);

/* Returns the names of all keys, ended by NULL; palloc'd. */
extern const char *const *pneumo_config_key_names(void);

/* Returns the subject of a message, config key "prefix.name"; prefix ends in a dot, or is empty. */
extern char *pneumo_config_what(const char *prefix, const char *name);

/* Reads the value of one key; prefix as above. */
extern void pneumo_config_read_key(PneumoConfig *config, const ConfigKey *key, const char *prefix,
								   JsonbValue *value);

/* Reads the keys that object has, in the order of the tables; explicit: the object is the user's, not a preset's. */
extern void pneumo_config_read_keys(PneumoConfig *config, JsonbContainer *object, bool explicit);

/* Names of optimizers, by NnOptimizerKind, ended by NULL. */
extern const char *const pneumo_config_optimizers[];

/* Reads the key "model", the name of a preset. */
extern void pneumo_config_read_preset(PneumoConfig *config, const char *what, JsonbValue *value);

/* Sets early stopping to its defaults: on, with what a key of it that is left out means. */
extern void pneumo_config_default_early_stopping(NnTrainConfig *train);

/* ----------------------------------------------- presets (presets.c) */

typedef struct Preset
{
	const char *name;
	const char *config; /* JSON object of keys that beat the defaults */
	const char *layers; /* JSON list up to the last Dense, without ']' */
} Preset;

/* Returns the preset of that name, or NULL. */
extern const Preset *pneumo_preset_find(const char *name);

/* Returns the names of all presets, ended by NULL. */
extern const char *const *pneumo_preset_names(void);

/* Returns the preset's list of layers, ended by the Dense that n_classes, or as many findings, need. */
extern Jsonb *pneumo_preset_layers(const char *name, int n_classes, bool multi_label);

/* -------------------------------------------------------------- layers */

/* LayerArg.source of what the network itself gets. */
#define LAYER_SOURCE_INPUT (-2)

/* Most nodes that one layer becomes. */
#define LAYER_MAX_PARTS 3

/* One argument of a layer's call: the output of a layer, or a number. */
typedef struct LayerArg
{
	char *name;      /* of the layer; NULL: a number */
	int64 node;      /* which call of that layer */
	int source;      /* its place in the list, once it is known */
	double constant; /* the number */
} LayerArg;

typedef enum LayerTraining
{
	LAYER_TRAINING_OPEN, /* as fit() and predict() say */
	LAYER_TRAINING_FALSE,
	LAYER_TRAINING_TRUE
} LayerTraining;

typedef enum LayerRole
{
	LAYER_NODE,   /* a layer as such */
	LAYER_INPUT,  /* the network's input */
	LAYER_NETWORK /* a network inside the network, or its input: the output of its source */
} LayerRole;

/* A key of a Keras layer, and where its value goes. */
typedef struct LayerBinding
{
	const char *key;
	int part;
	const char *param; /* of the part's node type */
} LayerBinding;

typedef struct Layer
{
	int number;    /* from 1 in its network, for messages; 0: stands for the input of a Sequential */
	int scope;     /* number of the network that it is in; 0: the outer one */
	int inner;     /* number of the network that it is, -1: none */
	int arg_scope; /* of the names in its args */
	LayerRole role;
	char *class_name;
	char *name;             /* with the names of the networks around it, "stem/conv" */
	char *local_name;       /* without */
	char *module;           /* NULL: none given */
	char *function;         /* of a TFOpLambda */
	JsonbContainer *config; /* NULL: none given */
	JsonbValue *inbound;    /* inbound_nodes, or NULL */
	bool frozen;            /* "trainable": false, of it or of a network around it */
	LayerTraining training; /* the call's argument */
	int n_args;
	LayerArg args[NN_MAX_INPUTS];
	double negative_slope;        /* the call's argument, NaN: none; likewise approximate */
	int approximate;              /* -1: none */
	int n_parts;                  /* 0: gives its source */
	const LayerBinding *bindings; /* ended by a NULL key; NULL: to the parameters of the same names */
	const char *const *own_keys;  /* that pneumo_layer_kind() reads itself, ended by NULL; or NULL */
	NnNodeSpec parts[LAYER_MAX_PARTS];
	bool on_second; /* the first part takes the second source alone, the second both */
	int node;       /* in the graph; -1: not added yet */
} Layer;

typedef struct LayerList
{
	bool keras2;
	int n;
	int room;
	Layer **layers;
	int n_scopes;
	int input;               /* node that is the network's input */
	int output;              /* place of the output layer */
	JsonbValue *build_shape; /* build_input_shape, or NULL */
	struct LayerProblems *problems;
	PneumoLayersHooks *hooks; /* of an import, or NULL */
	int *listed;              /* by place in the list: that in hooks->layers, or -1 */
} LayerList;

/* ------------------------- what is wrong, and what is worth a notice (layer_problems.c) */

/* Raises ERRCODE_INVALID_PARAMETER_VALUE with a message like printf's. */
extern void pneumo_layers_error(const char *format, ...) pg_attribute_printf(1, 2) pg_attribute_noreturn();

/* Raises ERRCODE_FEATURE_NOT_SUPPORTED: what Keras has and pneumo does not; hint may be NULL. */
extern void pneumo_layers_unsupported(const char *hint, const char *format, ...) pg_attribute_printf(2, 3)
	pg_attribute_noreturn();

/* Returns the subject of a message: layer 2 "dense" (Dense). */
extern char *pneumo_layer_subject(const Layer *layer);

/* Returns the subject of a message: layer 2 "dense" (Dense): key "units". */
extern char *pneumo_layer_key(const Layer *layer, const char *key);

/*
 * Calls read(list, layer, arg) and keeps the error that it raises, if it is one
 * of the two kinds above, among the network's problems.  What read does must
 * leave nothing behind but memory.
 */
extern void pneumo_layers_try(LayerList *list, Layer *layer, const char *arg,
							  void (*read)(LayerList *list, Layer *layer, const char *arg));

/* Raises all problems at once, if there are any. */
extern void pneumo_layers_raise(const LayerList *list);

/* Keeps a notice, unless the same is there already; pneumo_layers_tell() sends them. */
extern void pneumo_layers_notice(LayerList *list, const char *format, ...) pg_attribute_printf(2, 3);
extern void pneumo_layers_tell(const LayerList *list);

/* ------------------------------------------- the list (layer_list.c) */

/*
 * Reads the layers out of any of the forms that layer_list.c names, and which
 * feeds which.  Of list, hooks is set before, and nothing else.
 */
extern void pneumo_layers_read(LayerList *list, Jsonb *layers);

/* Sets config->preprocess from the network's input; errors where a given key says otherwise. */
extern void pneumo_layers_input(PneumoConfig *config, LayerList *list);

/* ------------------------------------- a layer's call (layer_calls.c) */

/* Reads inbound_nodes into the layer's args and the arguments of its call. */
extern void pneumo_layer_call(LayerList *list, Layer *layer);

/* Returns whether the layer is an operator of Keras 3, or one of TensorFlow's that Keras 2 wrapped. */
extern bool pneumo_layer_is_operator(const Layer *layer);

/* ----------------------------- what a layer becomes (layer_kinds.c) */

/* Chooses the nodes that the layer becomes, fills their constants, and sets where its keys go. */
extern void pneumo_layer_kind(LayerList *list, Layer *layer);

/* Applies what is not a key: the call's arguments, "trainable", activations that need a node of their own. */
extern void pneumo_layer_finish(LayerList *list, Layer *layer);

/* Turns a Dense after a map into the convolution that it is. */
extern void pneumo_layer_dense_on_map(NnNodeSpec *spec);

/*
 * Sets config->rescale to 1 where the network rescales 0 to 255 itself and the
 * key is not given.
 */
extern void pneumo_layers_rescale(PneumoConfig *config, LayerList *list);

/* --------------------------------------- one layer's keys (layer_params.c) */

/* Fills the parameters of the layer's nodes from its keys; what is wrong goes to the problems. */
extern void pneumo_layer_params(LayerList *list, Layer *layer);

/* Checks the keys of an InputLayer. */
extern void pneumo_layer_input_keys(LayerList *list, Layer *layer);

/* Reads an activation function in any of Keras's forms. */
extern void pneumo_layer_activation(const char *what, NnValue *value, JsonbValue *v, bool keras2);

/* ------------------------- what Keras writes by itself (keras_defaults.c) */

/* The text of a key that nobody has set, as jsonb prints it; a key has a row for each text. */
typedef struct KerasDefault
{
	const char *class_name;
	const char *key;
	const char *text;
} KerasDefault;

extern const KerasDefault pneumo_keras_defaults[];
extern const char *const pneumo_keras_layers[];      /* all layers of Keras */
extern const char *const pneumo_keras_activations[]; /* all activation functions */

#endif /* PNEUMO_PG_CONFIG_INTERNAL_H */
