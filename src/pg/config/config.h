/*-------------------------------------------------------------------------
 *
 * config.h
 *	  The training config: from JSON to a checked struct and a network.
 *
 * pneumo_config_parse() checks all that the JSON alone can be wrong about and
 * fills a PneumoConfig.  What depends on the table or on its classes is checked
 * later, by pneumo_config_class_weights() and pneumo_layers_graph() and, in the
 * room source, by the reader of the table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CONFIG_H
#define PNEUMO_PG_CONFIG_H

#include "utils/jsonb.h"

#include "image/image.h"
#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/pneumo.h"

typedef enum PneumoClassWeightKind
{
	PNEUMO_CLASS_WEIGHT_NONE,
	PNEUMO_CLASS_WEIGHT_BALANCED,
	PNEUMO_CLASS_WEIGHT_GIVEN
} PneumoClassWeightKind;

typedef enum PneumoLoss
{
	PNEUMO_LOSS_NOT_GIVEN = -1,
	PNEUMO_LOSS_BINARY,
	PNEUMO_LOSS_CATEGORICAL,
	PNEUMO_LOSS_SPARSE_CATEGORICAL
} PneumoLoss;

/* Whether a trained version is deployed. */
typedef enum PneumoDeploy
{
	PNEUMO_DEPLOY_IF_NONE, /* if the model has no deployed version */
	PNEUMO_DEPLOY_YES,
	PNEUMO_DEPLOY_NO,
	PNEUMO_DEPLOY_IF_BETTER /* if it is better than the deployed version, or there is none */
} PneumoDeploy;

/*
 * A whole training config.  Strings are NULL where a key has no default;
 * allocated in the context that was current when it was parsed.
 */
typedef struct PneumoConfig
{
	Jsonb *given;        /* what the user wrote */
	const char *version; /* whose config has what the user did not write, for messages, or NULL */

	char *name;
	char *preset;             /* NULL with layers */
	Jsonb *layers;            /* Keras JSON, or NULL with a preset */
	ImgPreprocess preprocess; /* image_size, color_mode, interpolation */
	bool image_size_given;
	bool color_mode_given;
	double rescale; /* 1 where the network rescales by itself and the key is not given */
	bool rescale_given;

	char *image_column;
	char *label_column;
	char **label_columns; /* a column for each finding, or NULL */
	char **findings;      /* their names, which are the columns' unless the key says otherwise */
	int n_label_columns;
	char **classes; /* the findings that are learned of a column of arrays, or NULL: all */
	int n_classes;
	char *positive_class;
	char *group_column;
	char *split_column;
	char *key_column;
	char *sample_weight_column;
	double validation_split;
	double test_split;
	int split_seed;
	double max_bad_images;

	NnTrainConfig train; /* pneumo_config_class_weights() fills in class_weight */
	PneumoClassWeightKind class_weight;
	Jsonb *class_weight_given;
	int threads; /* 0: as the setting says */
	char *initial_model;
	bool early_stopping_given;
	bool plateau_given;
	int verbose; /* 0: no notice per epoch */
	int loss;    /* PneumoLoss */

	ImgAugmentRanges augment;

	int calibration; /* PneumoCalibrationKind, to be fitted */
	StatsThresholdDemand operating_point;
	double threshold; /* of a given operating point */
	int deploy;       /* PneumoDeploy */
	char *comment;

	/*
	 * No key.  A row has any number of the classes: its labels are an array, or
	 * boolean columns.  pneumo_source_check() sets it.
	 */
	bool multi_label;

	/*
	 * No key.  The caller's own backend reads the table, so that a temporary
	 * one will do; then label_column may be NULL, too.
	 */
	bool in_backend;
} PneumoConfig;

/* Parses a config and checks everything that needs neither the table nor the network. */
extern PneumoConfig *pneumo_config_parse(Jsonb *given);

/*
 * Parses the config of a function that has keys of its own (own_keys, ended by
 * NULL) besides pneumo_train's, so that one object serves both.  The result has
 * no label_column if the config does not name one and the table lacks the
 * default one.
 */
extern PneumoConfig *pneumo_explore_config(Oid relid, Jsonb *given, const char *const *own_keys);

/*
 * Checks loss and class_weight against the classes and fills train.class_weight
 * and train.negative_weight.  train_rows counts the rows of the training split by
 * class, for balanced weights; NULL: they are not known yet.  Of findings
 * absent_rows counts those that are known to be without it.
 */
extern void pneumo_config_class_weights(PneumoConfig *config, int n_classes, char **classes,
										const int64 *train_rows, const int64 *absent_rows);

/* Returns the threads that the config and the setting allow, at least 1. */
extern int pneumo_config_threads(const PneumoConfig *config);

/* A layer of a network in Keras's form, for the reader of its weights. */
typedef struct PneumoKerasLayer
{
	const char *class_name;
	const char *name;       /* with the names of the networks around it, "stem/conv" */
	const char *local_name; /* without */
	int scope;              /* number of the network that it is in; 0: the outer one */
	int inner;              /* number of the network that it is, -1: none */
	bool is_operator;       /* no layer in Keras's sense */
	int n_parts;            /* nodes that it became; names: theirs, in UTF-8 */
	const char *parts[3];
} PneumoKerasLayer;

/*
 * What an import adds to a network in Keras's form.
 *
 * begin() is called with the graph that has its input, node 0, and returns the
 * node that is the network's input, before which it has added nodes; finish()
 * takes the place of nn_graph_finish().  Together they add up to max_nodes nodes.
 *
 * normalization() finds mean and variance of a Normalization layer that has none
 * in its config: it fills up to 3 of each and returns how many there are, 0 if
 * there are none.
 */
typedef struct PneumoLayersHooks
{
	int (*begin)(NnGraph *graph, void *arg);
	void (*finish)(NnGraph *graph, int output, void *arg);
	int (*normalization)(double *mean, double *variance, const struct PneumoLayersHooks *hooks,
						 const PneumoKerasLayer *layer);
	int max_nodes;
	void *arg;

	/* set by pneumo_layers_graph(), before it calls any of these; parts are known at its end */
	int n_layers;
	PneumoKerasLayer *layers; /* in the order of the description, a network before its layers */
} PneumoLayersHooks;

/*
 * Builds the network of a config for so many classes (0: they are not known,
 * any network will do); with config->multi_label it ends with a sigmoid for each.
 * Sets config->preprocess from the network's input;
 * errors if a given key says otherwise.  Sets config->rescale to 1 where the
 * network expects 0 to 255, unless the key is given.  All that is wrong with
 * the layers is one error, with a line of detail for each thing.  hooks may be
 * NULL.
 */
extern NnGraph *pneumo_layers_graph(PneumoConfig *config, int n_classes, PneumoLayersHooks *hooks);

/*
 * Returns the name that Keras gives to a layer without one, before it adds a
 * number: MaxPooling2D is max_pooling2d; palloc'd.
 */
extern char *pneumo_keras_snake_case(const char *class_name);

#endif /* PNEUMO_PG_CONFIG_H */
