/*
 * fuzz_onnx.c
 *		Any bytes as an ONNX file: read, turned into a network, finished, its
 *		weights filled, run once if that is cheap, and written again.
 */
#include "exchange/onnx.h"
#include "fuzz_nn.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MULTIPLY_ADDS UINT64_C(5000000)
#define MAX_PIECES 200000

static void *pieces[MAX_PIECES];
static int n_pieces;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *
take(void *arg, size_t n_bytes)
{
	(void) arg;
	if (n_pieces >= MAX_PIECES)
		return NULL;
	return pieces[n_pieces++] = aligned(n_bytes);
}

/* Runs the network once, if it is small. */
static void
run_once(const NnGraph *graph, const float *weights)
{
	size_t packed_bytes = nn_engine_packed_bytes(graph, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32);
	NnEngine engine = {graph, weights, NULL, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32};
	size_t scratch_bytes = nn_engine_scratch_bytes(&engine, 1);
	float probabilities[NN_MAX_CLASSES];
	NnNodeInfo input;
	NnError error;
	void *packed;
	float *src;

	nn_graph_node(&input, graph, 0);
	if (packed_bytes == 0 || packed_bytes > MAX_MEMORY || scratch_bytes == 0 || scratch_bytes > MAX_MEMORY ||
		!is_cheap(graph, MAX_MULTIPLY_ADDS))
		return;
	packed = take(NULL, packed_bytes);
	src =
		take(NULL, (size_t) input.shape.h * (size_t) input.shape.w * (size_t) input.shape.c * sizeof(float));
	memset(src, 0, (size_t) input.shape.h * (size_t) input.shape.w * (size_t) input.shape.c * sizeof(float));
	engine.packed = packed;
	if (nn_engine_pack(packed, graph, weights, NN_PATH_PORTABLE, NN_PRECISION_FLOAT32, NULL, &error) == NN_OK)
		nn_engine_run(probabilities, NULL, NULL, src, 1, &engine, take(NULL, scratch_bytes), NULL);
}

/* Writes the network as a file. */
static void
write_once(const NnGraph *graph, const float *weights, const OnnxEnv *env)
{
	OnnxExport export = {.name = "fuzz", .producer_version = "0", .rescale = 0.5};
	OnnxProblems problems;
	OnnxOutput *output;
	size_t n_bytes;

	if (onnx_plan_output(&output, &n_bytes, graph, weights, &export, env, &problems) == ONNX_OK &&
		n_bytes <= MAX_MEMORY)
		onnx_write(take(NULL, n_bytes), output, NULL);
}

static void
read_once(const uint8_t *bytes, size_t size)
{
	OnnxEnv env = {take, NULL, MAX_MEMORY, NULL};
	OnnxProblems problems;
	OnnxNetwork *network;
	OnnxSummary summary;
	OnnxFile *file;
	NnGraph *graph;
	NnNodeInfo info;
	NnError error;
	float *weights;
	int output;

	if (onnx_read(&file, bytes, size, &env, &problems) != ONNX_OK)
		return;
	onnx_summary(&summary, file);
	graph = take(NULL, nn_graph_bytes(64));
	if (nn_graph_begin(graph, 64, summary.height > 0 ? summary.height : 8,
					   summary.width > 0 ? summary.width : 8, summary.channels > 0 ? summary.channels : 1,
					   &error) != NN_OK ||
		onnx_network(&network, graph, 0, file, &problems) != ONNX_OK)
		return;
	output = onnx_network_output(network);
	nn_graph_node(&info, graph, output);
	if (nn_graph_finish(graph, output, &error) != NN_OK)
	{
		NnNodeSpec spec;

		nn_node_spec_init(&spec, nn_op_find("Softmax"));
		strcpy(spec.name, "the end");
		spec.n_inputs = 1;
		spec.inputs[0] = output;
		if (nn_graph_add(graph, &spec, &output, &error) != NN_OK ||
			nn_graph_finish(graph, output, &error) != NN_OK)
			return;
	}
	if (nn_graph_weight_count(graph) > MAX_MEMORY / sizeof(float))
		return;
	weights = take(NULL, nn_graph_weight_count(graph) * sizeof(float));
	memset(weights, 0, nn_graph_weight_count(graph) * sizeof(float));
	if (onnx_network_weights(weights, graph, network, NULL, &problems) != ONNX_OK)
		return;
	run_once(graph, weights);
	write_once(graph, weights, &env);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);

	memcpy(bytes, data, size);
	read_once(bytes, size);
	free(bytes);
	while (n_pieces > 0)
		free(pieces[--n_pieces]);
	return 0;
}
