/*
 * network_file.h
 *		Reads a network as layered.py writes it: a line "input H W C", then a
 *		line a layer, "Class name input[,input] key=value ...".  Include it in
 *		one file per program.
 */
#ifndef PNEUMO_BENCH_NETWORK_FILE_H
#define PNEUMO_BENCH_NETWORK_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"

/* Sets one parameter of a layer; returns 0 where it cannot be. */
static int
network_set(NnNodeSpec *spec, char *word)
{
	char *text = strchr(word, '=');
	const NnParam *param;
	const char *const *names;
	NnValue *value;
	int i;

	if (text == NULL)
		return 0;
	*text++ = '\0';
	i = nn_op_param_find(spec->op, word);
	if (i < 0)
		return 0;
	param = &nn_op_info(spec->op)->params[i];
	value = &spec->params[i];
	names = param->kind == NN_PARAM_ACTIVATION ? nn_activation_names
			: param->kind == NN_PARAM_ENUM     ? param->names
											   : NULL;
	if (names == NULL)
	{
		value->v[0] = value->v[1] = atof(text);
		return 1;
	}
	for (i = 0; names[i] != NULL && strcmp(names[i], text) != 0; i++)
		;
	value->v[0] = i;
	return names[i] != NULL;
}

/* Adds the layer of a line; returns its node, -1 with the reason in *error. */
static int
network_layer(NnGraph *graph, char *line, char (*names)[NN_NAME_LEN], int *nodes, int n_names, NnError *error)
{
	char *save = NULL;
	char *word = strtok_r(line, " ", &save);
	char *inputs, *input;
	NnNodeSpec spec;
	int i, node;

	snprintf(error->message, sizeof(error->message), "cannot read a layer");
	if (word == NULL || nn_op_find(word) < 0)
		return -1;
	nn_node_spec_init(&spec, nn_op_find(word));
	word = strtok_r(NULL, " ", &save);
	inputs = strtok_r(NULL, " ", &save);
	if (word == NULL || inputs == NULL)
		return -1;
	snprintf(spec.name, sizeof(spec.name), "%s", word);
	snprintf(names[n_names], NN_NAME_LEN, "%s", word);
	spec.n_inputs = 0;
	while ((word = strtok_r(NULL, " ", &save)) != NULL)
		if (!network_set(&spec, word))
			return -1;
	for (input = strtok_r(inputs, ",", &save); input != NULL; input = strtok_r(NULL, ",", &save))
	{
		for (i = 0; i < n_names && strcmp(names[i], input) != 0; i++)
			;
		if (i == n_names)
			return -1;
		spec.inputs[spec.n_inputs++] = nodes[i];
	}
	return nn_graph_add(graph, &spec, &node, error) == NN_OK ? node : -1;
}

/* Builds the network of a file in a new graph, NULL with the reason in *error. */
static NnGraph *
network_read(const char *file, NnError *error)
{
	static char names[NN_MAX_NODES][NN_NAME_LEN];
	static int nodes[NN_MAX_NODES];
	NnGraph *graph =
		aligned_alloc(NN_ALIGN, (nn_graph_bytes(NN_MAX_NODES) + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN);
	FILE *f = fopen(file, "r");
	char line[1024];
	int h, w, c;
	int n = 1;

	snprintf(error->message, sizeof(error->message), "cannot read the network");
	if (f == NULL || graph == NULL || fgets(line, sizeof(line), f) == NULL ||
		sscanf(line, "input %d %d %d", &h, &w, &c) != 3 ||
		nn_graph_begin(graph, NN_MAX_NODES, h, w, c, error) != NN_OK)
		return NULL;
	strcpy(names[0], "input");
	for (; n < NN_MAX_NODES && fgets(line, sizeof(line), f) != NULL; n++)
	{
		line[strcspn(line, "\n")] = '\0';
		nodes[n] = network_layer(graph, line, names, nodes, n, error);
		if (nodes[n] < 0)
			return NULL;
	}
	fclose(f);
	return nn_graph_finish(graph, nodes[n - 1], error) == NN_OK ? graph : NULL;
}

#endif /* PNEUMO_BENCH_NETWORK_FILE_H */
