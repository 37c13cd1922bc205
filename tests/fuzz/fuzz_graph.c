/*
 * fuzz_graph.c
 *		Any graph of layers: built from the fuzzer's bytes, finished, packed,
 *		run on two CPU paths and in both precisions, and explained.
 *
 * The bytes choose the input's size and, node by node, the type, its inputs
 * and its parameters, mostly within their ranges.  A failure is a crash, a
 * sanitizer's report, an error without a message, a size of 0 where none was
 * announced, or the fast kernels being far from the reference ones.
 */
#include "fuzz_nn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 12
#define MAX_MULTIPLY_ADDS UINT64_C(4000000)

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Bytes
{
	const uint8_t *data;
	size_t left;
} Bytes;

static unsigned int
take(Bytes *bytes)
{
	if (bytes->left == 0)
		return 0;
	bytes->left--;
	return *bytes->data++;
}

static void
require(int condition)
{
	if (!condition)
		abort();
}

/* Sets a parameter to a value of its kind: small, at an end of its range, or just outside. */
static void
choose_value(NnValue *value, const NnParam *param, Bytes *bytes)
{
	unsigned int how = take(bytes);
	int k;
	double low = param->low;
	double high = param->high;

	switch (param->kind)
	{
		case NN_PARAM_INT:
		case NN_PARAM_INT_PAIR:
			value->v[0] = low + how % 24;
			value->v[1] = low + take(bytes) % 6;
			if (how == 255)
				value->v[0] = high;
			if (how == 254)
				value->v[0] = high + 1;
			if (how == 253)
				value->v[1] = low - 1;
			break;
		case NN_PARAM_FLOAT:
			value->v[0] = how < 250 ? how / 255.0 : how == 250 ? low : how == 251 ? high : NAN;
			break;
		case NN_PARAM_INITIALIZER:
			value->v[0] = how % 9;
			value->v[1] = take(bytes) / 64.0 - 1;
			value->v[2] = take(bytes) % 4;
			value->v[3] = take(bytes) % 4;
			break;
		case NN_PARAM_REGULARIZER:
		case NN_PARAM_CONSTRAINT:
		case NN_PARAM_BORDER:
		case NN_PARAM_INTS:
		case NN_PARAM_FLOATS:
			for (k = 0; k < 4; k++)
				value->v[k] = take(bytes) % 9;
			if (how < 64)
				value->v[0] = -1;
			if (how == 255)
				value->v[1] = high;
			if (how == 254)
				value->v[3] = NAN;
			break;
		case NN_PARAM_ACTIVATION:
			value->v[0] = how % 18;
			value->v[1] = take(bytes) / 255.0;
			value->v[2] = how > 240 ? take(bytes) / 64.0 : 0;
			break;
		default:
			value->v[0] = how % 8;
			value->v[1] = take(bytes) / 255.0;
			break;
	}
}

static int
add_node(NnGraph *graph, int n_nodes, Bytes *bytes, NnError *error)
{
	int op = (int) (take(bytes) % (unsigned int) nn_op_count());
	const NnOpInfo *info = nn_op_info(op);
	NnNodeSpec spec;
	int index = -1;
	int i;

	nn_node_spec_init(&spec, op);
	snprintf(spec.name, sizeof(spec.name), "node%d", n_nodes);
	spec.n_inputs = info->min_inputs;
	if (info->max_inputs > info->min_inputs)
		spec.n_inputs += (int) (take(bytes) % 3);
	if (spec.n_inputs > NN_MAX_INPUTS)
		spec.n_inputs = NN_MAX_INPUTS;
	for (i = 0; i < spec.n_inputs; i++)
	{
		unsigned int back = take(bytes);

		/* mostly the node before */
		spec.inputs[i] = back < 160 ? n_nodes - 1 : n_nodes - 1 - (int) (back % (unsigned int) n_nodes);
	}
	for (i = 0; i < NN_MAX_PARAMS && info->params != NULL && info->params[i].key != NULL; i++)
		if (info->params[i].required == 1 || take(bytes) > 128)
			choose_value(&spec.params[i], &info->params[i], bytes);
	return nn_graph_add(graph, &spec, &index, error) == NN_OK ? index : -1;
}

/* Fills probabilities and logits of two samples; 0 if it would take too much memory. */
static int
run(float *probabilities, float *logits, const NnGraph *graph, const float *weights, const float *src,
	NnPath path, NnPrecision precision)
{
	NnEngine engine = {graph, weights, NULL, path, precision};
	size_t packed_bytes = nn_engine_packed_bytes(graph, path, precision);
	size_t scratch_bytes = nn_engine_scratch_bytes(&engine, 2);
	NnError error;
	void *packed;
	void *scratch;

	require(packed_bytes > 0);
	if (packed_bytes > MAX_MEMORY || scratch_bytes > MAX_MEMORY)
		return 0;
	packed = aligned(packed_bytes);
	scratch = aligned(scratch_bytes);
	require(nn_engine_pack(packed, graph, weights, path, precision, NULL, &error) == NN_OK);
	engine.packed = packed;
	if (precision == NN_PRECISION_INT16)
		engine.weights = NULL;
	require(nn_engine_run(probabilities, logits, NULL, src, 2, &engine, scratch, NULL) == NN_OK);
	free(packed);
	free(scratch);
	return 1;
}

/* Runs the explanation of the first class at the last convolution. */
static void
explain(const NnGraph *graph, const float *weights, const float *src)
{
	NnEngine engine = {graph, weights, NULL, NN_PATH_REFERENCE, NN_PRECISION_FLOAT32};
	size_t packed_bytes = nn_engine_packed_bytes(graph, engine.path, engine.precision);
	size_t scratch_bytes = nn_explain_scratch_bytes(&engine);
	int node = nn_graph_map_node(graph);
	float probabilities[NN_MAX_CLASSES];
	NnNodeInfo info;
	NnError error;
	void *packed;
	void *scratch;
	float *activation;
	float *gradient;
	size_t n;

	if (node < 0 || scratch_bytes > MAX_MEMORY || packed_bytes > MAX_MEMORY)
		return;
	nn_graph_node(&info, graph, node);
	n = (size_t) info.shape.h * (size_t) info.shape.w * (size_t) info.shape.c;
	packed = aligned(packed_bytes);
	scratch = aligned(scratch_bytes);
	activation = malloc(n * sizeof(float));
	gradient = malloc(n * sizeof(float));
	require(nn_engine_pack(packed, graph, weights, engine.path, engine.precision, NULL, &error) == NN_OK);
	engine.packed = packed;
	require(nn_explain_run(activation, gradient, probabilities, src, node, 0, &engine, scratch, NULL) ==
			NN_OK);
	free(activation);
	free(gradient);
	free(packed);
	free(scratch);
}

/* The scores of a finite network must not depend much on the kernels. */
static void
compare(const float *a, const float *b, int n, double tolerance)
{
	int i;

	for (i = 0; i < n; i++)
		if (isfinite(a[i]) && isfinite(b[i]))
			require(fabs((double) a[i] - (double) b[i]) <= tolerance);
}

static void
run_all(const NnGraph *graph, Bytes *bytes)
{
	size_t n_weights = nn_graph_weight_count(graph);
	int n = 2 * nn_graph_output_units(graph);
	float *weights = aligned(n_weights * sizeof(float));
	float *src;
	float reference[2 * NN_MAX_CLASSES], reference_logits[2 * NN_MAX_CLASSES];
	float fast[2 * NN_MAX_CLASSES], logits[2 * NN_MAX_CLASSES];
	NnNodeInfo input;
	NnError error;
	size_t n_src;
	size_t i;
	int tame = 1;

	nn_graph_node(&input, graph, 0);
	n_src = 2 * (size_t) input.shape.h * (size_t) input.shape.w * (size_t) input.shape.c;
	src = malloc(n_src * sizeof(float));
	for (i = 0; i < n_src; i++)
		src[i] = (float) ((i * 2654435761u + take(bytes)) % 256) / 255;
	nn_weights_init(weights, graph, 7, NULL);
	if (nn_weights_check(weights, graph, NULL, &error) == NN_OK &&
		run(reference, reference_logits, graph, weights, src, NN_PATH_REFERENCE, NN_PRECISION_FLOAT32))
	{
		/* logits of thousands are of constants that nobody would choose */
		for (i = 0; i < (size_t) n; i++)
			tame = tame && fabs((double) reference_logits[i]) < 100;
		if (run(fast, logits, graph, weights, src, nn_path_best(), NN_PRECISION_FLOAT32) && tame)
			compare(reference, fast, n, 0.02);
		(void) run(fast, logits, graph, weights, src, nn_path_best(), NN_PRECISION_INT16);
		explain(graph, weights, src);
	}
	free(weights);
	free(src);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes bytes = {data, size};
	NnGraph *graph = aligned(nn_graph_bytes(MAX_NODES + 1));
	NnError error = {NN_OK, -1, "", ""};
	int height = 1 + (int) (take(&bytes) % 40);
	int width = 1 + (int) (take(&bytes) % 40);
	int channels = take(&bytes) % 2 ? 3 : 1;
	int n = 1;

	require(nn_graph_begin(graph, MAX_NODES + 1, height, width, channels, &error) == NN_OK);
	while (n < MAX_NODES && bytes.left > 0)
	{
		if (add_node(graph, n, &bytes, &error) >= 0)
			n++;
		else
		{
			require(error.status != NN_OK && error.message[0] != '\0');
			require(memchr(error.message, '\0', sizeof(error.message)) != NULL);
		}
	}
	if (nn_graph_finish(graph, n - 1, &error) == NN_OK && is_cheap(graph, MAX_MULTIPLY_ADDS) &&
		nn_graph_weight_count(graph) <= MAX_MEMORY / 4 / sizeof(float))
		run_all(graph, &bytes);
	free(graph);
	return 0;
}
