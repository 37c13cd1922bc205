/*
 * fuzz_model.c
 *		Any bytes as a model: opened, built, packed and run once, if that is
 *		cheap.
 */
#include "fuzz_nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MULTIPLY_ADDS UINT64_C(20000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		scratch_bytes == 0 || scratch_bytes > MAX_MEMORY || !is_cheap(graph, MAX_MULTIPLY_ADDS))
		return;
	weights = aligned(n * sizeof(float));
	packed = aligned(packed_bytes);
	scratch = aligned(scratch_bytes);
	src = calloc((size_t) input.shape.h * (size_t) input.shape.w, (size_t) input.shape.c * sizeof(float));
	nn_weights_init(weights, graph, 1, NULL);
	engine.weights = weights;
	engine.packed = packed;
	if (nn_engine_pack(packed, graph, weights, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32, NULL, &error) == NN_OK)
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
