/*
 * make_seeds.c
 *		Writes the seeds of the fuzz targets: small drawn images as JPEG, and a
 *		model of several layer types.
 *
 *		make_seeds FOLDER
 *
 * Makes FOLDER/fuzz_jpeg/... and FOLDER/fuzz_model/..., whose folders must be
 * there.
 */
#include "fuzz_nn.h"
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
	{
		perror(path);
		exit(1);
	}
}

/* Writes a drawn pattern of one size as a grey or colour JPEG after the two bytes of fuzz_jpeg. */
static void
write_jpeg(const char *folder, int number, int height, int width, int channels, int quality)
{
	size_t bound = img_encode_bound(height, width, channels);
	size_t n = (size_t) height * (size_t) width * (size_t) channels;
	uint8_t *pixels = malloc(n);
	uint8_t *bytes = malloc(bound + 2);
	size_t used = 0;
	char name[64];
	ImgError error;
	size_t i;

	for (i = 0; i < n; i++)
		pixels[i] = (uint8_t) ((i * 7 + i / (size_t) width * 13) ^ (i >> 5));
	bytes[0] = (uint8_t) (number * 37);
	bytes[1] = (uint8_t) number;
	if (img_encode_jpeg(bytes + 2, bound, &used, pixels, height, width, channels, quality, &error) != IMG_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	snprintf(name, sizeof(name), "fuzz_jpeg/%d.bin", number);
	write_file(folder, name, bytes, used + 2);
	free(pixels);
	free(bytes);
}

/* Adds a layer with its first two parameters; 0 leaves the default. */
static int
add(NnGraph *graph, const char *class_name, int input, double first, double second)
{
	NnNodeSpec spec;
	NnError error;
	int index = 0;

	nn_node_spec_init(&spec, nn_op_find(class_name));
	snprintf(spec.name, sizeof(spec.name), "%s", class_name);
	spec.n_inputs = 1;
	spec.inputs[0] = input;
	if (first != 0)
		spec.params[0].v[0] = spec.params[0].v[1] = first;
	if (second != 0)
		spec.params[1].v[0] = spec.params[1].v[1] = second;
	if (nn_graph_add(graph, &spec, &index, &error) != NN_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	return index;
}

static void
write_model(const char *folder)
{
	NnGraph *graph = aligned(nn_graph_bytes(16));
	NnError error;
	float *weights;
	unsigned char *bytes;
	size_t n;
	int at;

	nn_graph_begin(graph, 16, 12, 10, 1, &error);
	at = add(graph, "Conv2D", 0, 4, 3);
	at = add(graph, "BatchNormalization", at, 0, 0);
	at = add(graph, "ReLU", at, 0, 0);
	at = add(graph, "MaxPooling2D", at, 2, 0);
	at = add(graph, "DepthwiseConv2D", at, 3, 0);
	at = add(graph, "AveragePooling2D", at, 2, 0);
	at = add(graph, "Flatten", at, 0, 0);
	at = add(graph, "Dropout", at, 0.5, 0);
	at = add(graph, "Dense", at, 1, 3);
	if (nn_graph_finish(graph, at, &error) != NN_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	weights = aligned(nn_graph_weight_count(graph) * sizeof(float));
	nn_weights_init(weights, graph, 1, NULL);
	n = nn_model_bytes(graph, NULL, 0);
	bytes = malloc(n);
	nn_model_write(bytes, n, graph, weights, NULL, 0, &error);
	write_file(folder, "fuzz_model/1.bin", bytes, n);
	free(bytes);
	free(weights);
	free(graph);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
	{
		fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	write_jpeg(argv[1], 1, 16, 16, 1, 90);
	write_jpeg(argv[1], 2, 33, 17, 1, 50);
	write_jpeg(argv[1], 3, 24, 40, 3, 75);
	write_jpeg(argv[1], 4, 8, 200, 3, 20);
	write_jpeg(argv[1], 5, 1, 1, 1, 95);
	write_model(argv[1]);
	return 0;
}
