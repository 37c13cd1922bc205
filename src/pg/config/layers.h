/*-------------------------------------------------------------------------
 *
 * layers.h
 *	  Internal to the files that read a network as Keras writes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_LAYERS_H
#define PNEUMO_PG_LAYERS_H

#include "pg/train/training.h"

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

#endif /* PNEUMO_PG_LAYERS_H */
