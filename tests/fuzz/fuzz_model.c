/*
 * fuzz_model.c
 *		Any bytes as a model: opened, built, packed and run once, if that is
 *		cheap.  For libFuzzer (clang -fsanitize=fuzzer,address,undefined), or
 *		with -DFUZZ_STANDALONE a program that mutates a valid model itself:
 *
 *		fuzz_model [rounds [seed]]
 */
#include "nn/nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MEMORY ((size_t) 64 << 20)
#define MAX_MULTIPLY_ADDS UINT64_C(20000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
aligned(size_t bytes)
{
	return aligned_alloc(NN_ALIGN, (bytes + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN);
}

static uint64_t
multiply_adds(const NnGraph *graph)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo info;

		nn_graph_node(&info, graph, i);
		if (info.multiply_adds > MAX_MULTIPLY_ADDS)
			return MAX_MULTIPLY_ADDS + 1;
		sum +=
			info.multiply_adds + (uint64_t) info.shape.h * (uint64_t) info.shape.w * (uint64_t) info.shape.c;
	}
	return sum;
}

static void
run_once(const NnGraph *graph)
{
	size_t n = nn_graph_weight_count(graph);
	size_t packed_bytes = nn_engine_packed_bytes(graph, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32);
	NnEngine engine = {graph, NULL, NULL, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32};
	size_t scratch_bytes = nn_engine_scratch_bytes(&engine, 1);
	NnNodeInfo input;
	float *weights, *src;
	float probabilities[NN_MAX_CLASSES];
	void *packed, *scratch;
	NnError error;

	nn_graph_node(&input, graph, 0);
	if (n > MAX_MEMORY / sizeof(float) || packed_bytes == 0 || packed_bytes > MAX_MEMORY ||
		scratch_bytes == 0 || scratch_bytes > MAX_MEMORY || multiply_adds(graph) > MAX_MULTIPLY_ADDS)
		return;
	weights = aligned(n * sizeof(float));
	packed = aligned(packed_bytes);
	scratch = aligned(scratch_bytes);
	src = calloc((size_t) input.shape.h * (size_t) input.shape.w, (size_t) input.shape.c * sizeof(float));
	nn_weights_init(weights, graph, 1);
	engine.weights = weights;
	engine.packed = packed;
	if (nn_engine_pack(packed, graph, weights, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32, &error) == NN_OK)
		nn_engine_run(probabilities, NULL, NULL, src, 1, &engine, scratch, NULL);
	free(weights);
	free(packed);
	free(scratch);
	free(src);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *bytes = malloc(size > 0 ? size : 1);
	NnModelView view;
	NnError error;

	memcpy(bytes, data, size);
	if (nn_model_open(&view, bytes, size, &error) == NN_OK)
	{
		NnGraph *graph = aligned(nn_graph_bytes(view.n_nodes));

		if (nn_model_graph(graph, &view, bytes, &error) == NN_OK)
			run_once(graph);
		free(graph);
	}
	free(bytes);
	return 0;
}

#ifdef FUZZ_STANDALONE

static uint32_t
next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static int
add(NnGraph *graph, const char *class_name, const char *name, int input, double first, double second)
{
	NnNodeSpec spec;
	NnError error;
	int index = 0;

	nn_node_spec_init(&spec, nn_op_find(class_name));
	snprintf(spec.name, sizeof(spec.name), "%s", name);
	spec.n_inputs = 1;
	spec.inputs[0] = input;
	if (first != 0)
		spec.params[0].v[0] = spec.params[0].v[1] = first;
	if (second != 0)
		spec.params[1].v[0] = spec.params[1].v[1] = second;
	if (nn_graph_add(graph, &spec, &index, &error) != NN_OK)
		fprintf(stderr, "%s\n", error.message);
	return index;
}

/* A valid model of several node types to start from. */
static unsigned char *
seed_model(size_t *n)
{
	NnGraph *graph = aligned(nn_graph_bytes(16));
	NnError error;
	float *weights;
	unsigned char *bytes;
	int at;

	nn_graph_begin(graph, 16, 12, 10, 1, &error);
	at = add(graph, "Conv2D", "conv", 0, 4, 3);
	at = add(graph, "BatchNormalization", "bn", at, 0, 0);
	at = add(graph, "ReLU", "relu", at, 0, 0);
	at = add(graph, "MaxPooling2D", "pool", at, 2, 0);
	at = add(graph, "DepthwiseConv2D", "depthwise", at, 3, 0);
	at = add(graph, "AveragePooling2D", "average", at, 2, 0);
	at = add(graph, "Flatten", "flat", at, 0, 0);
	at = add(graph, "Dropout", "dropout", at, 0.5, 0);
	at = add(graph, "Dense", "head", at, 1, 3);
	if (nn_graph_finish(graph, at, &error) != NN_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	weights = aligned(nn_graph_weight_count(graph) * sizeof(float));
	nn_weights_init(weights, graph, 1);
	*n = nn_model_bytes(graph, NULL, 0);
	bytes = malloc(*n);
	nn_model_write(bytes, *n, graph, weights, NULL, 0, &error);
	free(weights);
	free(graph);
	return bytes;
}

int
main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 20000;
	uint32_t state = argc > 2 ? (uint32_t) atol(argv[2]) * 2654435761u + 1 : 12345;
	size_t n;
	unsigned char *model = seed_model(&n);
	unsigned char *bytes = malloc(n);
	long i;

	for (i = 0; i < rounds; i++)
	{
		uint32_t changes = 1 + next_random(&state) % 4;
		size_t size = next_random(&state) % 8 == 0 ? next_random(&state) % n : n;
		uint32_t k;

		memcpy(bytes, model, n);
		for (k = 0; k < changes; k++)
		{
			/* mostly the head, where all the sizes are */
			size_t at = next_random(&state) % (next_random(&state) % 4 ? n / 2 : n);

			bytes[at] = next_random(&state) % 2 ? (unsigned char) next_random(&state)
												: (unsigned char) (bytes[at] ^ 1u << next_random(&state) % 8);
		}
		LLVMFuzzerTestOneInput(bytes, size);
	}
	printf("%ld mutations\n", rounds);
	free(bytes);
	free(model);
	return 0;
}

#endif
