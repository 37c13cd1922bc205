/*-------------------------------------------------------------------------
 *
 * config.h
 *	  A training config: from JSON to a checked struct and a network.
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

typedef enum PneumoDeploy
{
	PNEUMO_DEPLOY_IF_NONE, /* when the model has no deployed version */
	PNEUMO_DEPLOY_YES,
	PNEUMO_DEPLOY_NO,
	PNEUMO_DEPLOY_IF_BETTER /* than the deployed version; or if there is none */
} PneumoDeploy;

/*
 * A whole training config.  Strings are NULL where a key has no default;
 * allocated in the context that was current when it was parsed.
 */
typedef struct PneumoConfig
{
	Jsonb *given; /* what the user wrote */

	char *name;
	char *preset;             /* NULL with layers */
	Jsonb *layers;            /* Keras JSON, or NULL with a preset */
	ImgPreprocess preprocess; /* image_size, color_mode, interpolation */
	bool image_size_given;
	bool color_mode_given;
	double rescale;

	char *image_column;
	char *label_column;
	char *positive_class;
	char *group_column;
	char *split_column;
	char *key_column;
	char *sample_weight_column;
	double validation_split;
	double test_split;
	int split_seed;
	double max_bad_images;

	NnTrainConfig train; /* class_weight is filled in by
								 * pneumo_config_class_weights() */
	PneumoClassWeightKind class_weight;
	Jsonb *class_weight_given;
	int threads; /* 0: as the setting says */
	char *initial_model;
	bool early_stopping_given;
	bool plateau_given;
	int verbose; /* 0: no notice per epoch */
	int loss;    /* index into the loss names, -1 not given */

	ImgAugmentRanges augment;

	int calibration; /* PneumoCalibrationKind, to be fitted */
	StatsThresholdDemand operating_point;
	double threshold; /* of a given operating point */
	int deploy;       /* PneumoDeploy */
	char *comment;

	bool in_backend; /* no key: the caller's own backend reads, so a
								 * temporary table is fine; then label_column
								 * may be NULL, too */
} PneumoConfig;

/* Parses and checks everything that needs neither the table nor the network. */
extern PneumoConfig *pneumo_config_parse(Jsonb *given);

/* Checks that need the classes: loss, class_weight names; fills train.class_weight. */
extern void pneumo_config_class_weights(PneumoConfig *config, int n_classes, char **classes,
										const int64 *train_rows);

/* Threads that the config and the setting allow, at least 1. */
extern int pneumo_config_threads(const PneumoConfig *config);

typedef struct PneumoPreset
{
	const char *name;
	const char *config; /* JSON object of keys that beat the defaults */
	const char *layers; /* JSON list up to the last Dense, without ']' */
	const char *doc;
} PneumoPreset;

extern const PneumoPreset *pneumo_preset_find(const char *name); /* NULL if unknown */
extern const char *const *pneumo_preset_names(void);
/* The preset's layer list, ended by the Dense that n_classes need. */
extern Jsonb *pneumo_preset_layers(const char *name, int n_classes);

/*
 * The config of a function with keys of its own (NULL-ended list): all others
 * are pneumo_train's, so that one object serves both.  The label column may be
 * missing if it is not named: label_column is NULL then.
 */
extern PneumoConfig *pneumo_explore_config(Oid relid, Jsonb *given, const char *const *own_keys);

/* --------------------------------------------------- layers (layers.c) */

/*
 * The network of a config for so many classes (0: unknown, any network goes).
 * Sets config->preprocess from the network's input unless the keys were given.
 */
extern NnGraph *pneumo_layers_graph(PneumoConfig *config, int n_classes);

#endif /* PNEUMO_PG_CONFIG_H */
