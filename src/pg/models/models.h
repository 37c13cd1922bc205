/*-------------------------------------------------------------------------
 *
 * models.h
 *	  Changing models from SQL, and networks that other programs trained: what
 *	  the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_MODELS_H
#define PNEUMO_PG_MODELS_H

#include "utils/jsonb.h"
#include "utils/snapshot.h"

#include "exchange/hdf5.h"
#include "exchange/onnx.h"
#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"

/*
 * Opens a model for a change: checks the privilege, locks the model until the
 * end of the transaction and registers *snapshot after that.  Returns the
 * model's id.
 */
extern int64 pneumo_model_open(const char *name, PneumoPrivilege privilege, const char *function,
							   Snapshot *snapshot);

/*
 * Rebuilds a network from model bytes of any origin, checks and packs it.
 * Returns the number of its parameters, and its metadata.  transfer.c
 */
extern int64 pneumo_model_check(const char *bytes, size_t n_bytes, PneumoModelMeta **meta);

/* ---------------------------------------- foreign networks (foreign.c) */

/*
 * A network from a file of another program, on its way to a version: what the
 * config of its import says.  The reader of a format
 *
 *	 parses the config          pneumo_foreign_parse()
 *	 begins the graph           nn_graph_begin(), room for PNEUMO_FOREIGN_NODES more
 *	 adds what prepares images  pneumo_foreign_input()
 *	 adds its nodes             nn_graph_add()
 *	 ends the graph             pneumo_foreign_finish()
 *	 fills the weights          pneumo_foreign_weights(), pneumo_graph_variables()
 *	 stores the version         pneumo_foreign_store()
 */
typedef struct PneumoForeign
{
	Jsonb *given;
	PneumoConfig *config;       /* layers, image_size, color_mode, interpolation, rescale, precision, deploy
						   * and comment; config->preprocess has to be that of the graph before
						   * pneumo_foreign_input() */
	bool has_layers;            /* the key "layers" was given */
	bool from_logits;           /* sigmoid or softmax is to be appended */
	bool multi_label;           /* the outputs are findings, each with a sigmoid */
	double threshold;           /* of all that thresholds does not name */
	JsonbContainer *thresholds; /* by finding, or NULL */
	int n_classes;              /* 0: not given */
	char **classes;

	/* (pixel * rescale - mean) / std, of all channels (n 1) or of each (n 3); n 0: not given */
	int n_mean, n_std;
	double mean[3], std[3];
	bool bgr;      /* the network takes blue first; mean and std are in the network's order */
	int swap_node; /* that turns the order of the channels, 0: none */
} PneumoForeign;

/* The most nodes that pneumo_foreign_input() and pneumo_foreign_finish() add. */
#define PNEUMO_FOREIGN_NODES 3

/*
 * Reads the config of an import: an error (22023) names an unknown key or a bad
 * value.  layers is the network in Keras's form, if the file has it, else NULL;
 * then it is the config's key "layers", or an empty list.
 */
extern PneumoForeign *pneumo_foreign_parse(Jsonb *given, Jsonb *layers);

/*
 * Adds the nodes that do what the network expects to be done to pixels, after
 * nn_graph_begin() and before any other node.  Returns the node that is the
 * network's input; 0 where nothing has to be done.
 */
extern int pneumo_foreign_input(PneumoForeign *foreign, NnGraph *graph);

/*
 * Appends sigmoid or softmax if the config says so, and closes the graph with
 * nn_graph_finish(), which gives unused nodes away and numbers the others anew.
 * The error of a network that ends in logits has a hint at the config's key.
 */
extern void pneumo_foreign_finish(PneumoForeign *foreign, NnGraph *graph, int output);

/*
 * Returns memory for the weights of a closed graph, of the current context,
 * aligned to NN_ALIGN: zero but for the nodes of pneumo_foreign_input().
 */
extern float *pneumo_foreign_weights(const PneumoForeign *foreign, const NnGraph *graph);

/*
 * Returns all variables of a closed graph in the order of their weights, their
 * number in *n; palloc'd.  Those of a node stand together: node, name
 * ("conv2d/kernel"), dims in Keras's layout, offset in floats.
 */
extern NnVariable *pneumo_graph_variables(const NnGraph *graph, int *n);

/* Where a foreign network comes from, for the provenance of its version. */
typedef struct PneumoForeignFile
{
	const char *format;   /* "keras" */
	const char *producer; /* "Keras 3.15.1", or NULL */
	const void *bytes;
	size_t n_bytes;
} PneumoForeignFile;

/*
 * Builds the model bytes, checks them as pneumo_import() does, and stores them
 * as a version of the model of that name, under the current user's rights.
 * Returns the version's number.
 */
extern int32 pneumo_foreign_store(const PneumoForeign *foreign, const char *name, const NnGraph *graph,
								  const float *weights, const PneumoForeignFile *file);

/*
 * Add what an export says of a version's classes, as an import's config takes
 * it: their names, and the threshold, of findings an object with one of each.
 */
extern void pneumo_foreign_add_classes(PneumoJson *json, const PneumoModelMeta *meta);
extern void pneumo_foreign_add_threshold(PneumoJson *json, const PneumoModelMeta *meta, int digits);

/* --------------------------- a Keras file's weights (keras_weights.c) */

/* The weights of a Keras file: an HDF5 file, and how it names them. */
typedef struct PneumoKerasWeights
{
	Hdf5File file;
	Hdf5Dataset *datasets; /* in the order of their paths */
	bool *used;            /* by dataset: some layer's */
	int n;
	bool legacy; /* a group a layer by its name, with the attribute weight_names; else by class and number */
	const char *root;               /* path of the groups of layers: "layers", "model_weights" or "" */
	const PneumoLayersHooks *hooks; /* has the layers */
	char **paths;                   /* by layer: of its group, palloc'd, or NULL; once the layers are known */
} PneumoKerasWeights;

/* Opens an HDF5 file, which has to stay as it is, and lists its datasets. */
extern PneumoKerasWeights *pneumo_keras_weights_open(const void *bytes, size_t n_bytes);

/* Returns an attribute of the root group that is a text, in the database's encoding; NULL: there is none. */
extern char *pneumo_keras_attribute(PneumoKerasWeights *weights, const char *name);

/* Finds mean and variance of a Normalization, as PneumoLayersHooks.normalization() does. */
extern int pneumo_keras_normalization(double *mean, double *variance, PneumoKerasWeights *weights,
									  const PneumoLayersHooks *hooks, const PneumoKerasLayer *layer);

/*
 * Fills the weights of a graph.  One error names all variables that the file
 * lacks, that it has in another shape, or that no layer has.
 */
extern void pneumo_keras_weights_read(float *dst, PneumoKerasWeights *weights, const PneumoLayersHooks *hooks,
									  const NnGraph *graph);

/* --------------------------------- a layer's config (layer_config.c) */

/*
 * Adds parameter i of a node with Keras's key, numbers with so many digits; not
 * one that has no short form, or that is not stored.
 */
extern void pneumo_layer_param(PneumoJson *json, const NnNodeInfo *node, int i, int digits);
/* --------------------------------- ONNX (onnx_import.c, onnx_export.c) */

/* What the keys of pneumo's properties in a file begin with. */
#define PNEUMO_ONNX_PREFIX "pneumo."

/* Returns memory of the context arg for src/exchange, aligned to NN_ALIGN; NULL where there is none. */
extern void *pneumo_onnx_allocate(void *arg, size_t n_bytes);

/* Raises what src/exchange found; what says what cannot be done. */
extern void pneumo_onnx_ereport(OnnxStatus status, const OnnxProblems *problems, const char *what)
	pg_attribute_noreturn();

#endif /* PNEUMO_PG_MODELS_H */
