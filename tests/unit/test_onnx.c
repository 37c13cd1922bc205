/*
 * test_onnx.c
 *		ONNX: the files of tests/onnx against ONNX Runtime's outputs, what is
 *		written against what was read, and bytes that are no model.
 */
#include "exchange/onnx.h"
#include "nn_env.h"

#include <dirent.h>

#define MAX_FILE (1 << 20)
#define NEAR 2e-5

static volatile sig_atomic_t stopped = 1;

/* What one model takes, freed as a whole. */
typedef struct Pool
{
	void *pieces[20000];
	int n;
} Pool;

static Pool pool;

static void *
pool_allocate(void *arg, size_t n_bytes)
{
	Pool *p = arg;

	if (p->n >= (int) (sizeof(p->pieces) / sizeof(p->pieces[0])))
		return NULL;
	return p->pieces[p->n++] = env_alloc(n_bytes);
}

static void
pool_free(Pool *p)
{
	while (p->n > 0)
		free(p->pieces[--p->n]);
}

static OnnxEnv
environment(void)
{
	OnnxEnv env = {pool_allocate, &pool, (size_t) 64 << 20, NULL};

	return env;
}

static size_t
read_file(unsigned char *bytes, const char *path)
{
	FILE *file = fopen(path, "rb");
	size_t n;

	if (file == NULL)
		return 0;
	n = fread(bytes, 1, MAX_FILE, file);
	fclose(file);
	return n;
}

/* Appends sigmoid or softmax. */
static int
append_end(NnGraph *graph, int output)
{
	NnNodeInfo info;

	nn_graph_node(&info, graph, output);
	return env_add(graph, "Activation", "end",
				   info.shape.c == 1 ? "activation=sigmoid" : "activation=softmax", output);
}

/* Reads bytes into a finished graph and its weights; 0 where that fails. */
static int
build(NnGraph **graph, float **weights, const void *bytes, size_t n, int logits, OnnxProblems *problems)
{
	OnnxEnv env = environment();
	OnnxNetwork *network;
	OnnxSummary summary;
	OnnxFile *file;
	NnError error;
	int output;

	if (onnx_read(&file, bytes, n, &env, problems) != ONNX_OK)
		return 0;
	onnx_summary(&summary, file);
	*graph = env_graph(200, summary.height, summary.width, summary.channels);
	if (onnx_network(&network, *graph, 0, file, problems) != ONNX_OK)
		return 0;
	output = onnx_network_output(network);
	if (logits)
		output = append_end(*graph, output);
	if (nn_graph_finish(*graph, output, &error) != NN_OK)
	{
		printf("# %s\n", error.message);
		return 0;
	}
	*weights = env_alloc(nn_graph_weight_count(*graph) * sizeof(float));
	return onnx_network_weights(*weights, *graph, network, NULL, problems) == ONNX_OK;
}

/* Runs one image; values are the probabilities, or the logits. */
static void
run(float *values, const NnGraph *graph, const float *weights, const float *image, int logits)
{
	NnPath path = NN_PATH_PORTABLE;
	void *packed = env_alloc(nn_engine_packed_bytes(graph, path, NN_PRECISION_FLOAT32));
	NnEngine engine = {graph, weights, packed, path, NN_PRECISION_FLOAT32};
	void *scratch = env_alloc(nn_engine_scratch_bytes(&engine, 1));
	float other[NN_MAX_CLASSES];
	NnError error;

	nn_engine_pack(packed, graph, weights, path, NN_PRECISION_FLOAT32, NULL, &error);
	nn_engine_run(logits ? other : values, logits ? values : other, NULL, image, 1, &engine, scratch, NULL);
	free(packed);
	free(scratch);
}

/* The largest difference of two outputs. */
static double
difference(const float *a, const float *b, int n)
{
	double largest = 0;
	int i;

	for (i = 0; i < n; i++)
		largest = fmax(largest, fabs((double) a[i] - (double) b[i]));
	return largest;
}

/* Writes the network as a file, reads that, and compares the outputs. */
static void
check_written(const char *name, const NnGraph *graph, const float *weights, const float *image)
{
	static const OnnxProperty properties[] = {{"key", "value"}};
	OnnxExport export = {.name = "test",
						 .producer_version = "0",
						 .rescale = 1,
						 .properties = properties,
						 .n_properties = 1};
	OnnxEnv env = environment();
	float before[NN_MAX_CLASSES], after[NN_MAX_CLASSES];
	OnnxProblems problems;
	OnnxOutput *output;
	NnGraph *again = NULL;
	float *again_weights = NULL;
	size_t n_bytes = 0;
	void *bytes;

	if (!unit_ok(onnx_plan_output(&output, &n_bytes, graph, weights, &export, &env, &problems) == ONNX_OK,
				 "%s is planned as a file", name))
	{
		printf("# %s\n", problems.text);
		return;
	}
	bytes = env_alloc(n_bytes);
	unit_ok(onnx_write(bytes, output, NULL) == ONNX_OK, "%s is written", name);
	if (unit_ok(build(&again, &again_weights, bytes, n_bytes, 0, &problems), "%s is read again", name))
	{
		run(before, graph, weights, image, 0);
		run(after, again, again_weights, image, 0);
		unit_ok(difference(before, after, nn_graph_output_units(graph)) < NEAR, "%s gives the same again",
				name);
	}
	else
		printf("# %s\n", problems.text);
	free(bytes);
	free(again);
	free(again_weights);
}

/* Compares one file of tests/onnx with ONNX Runtime. */
static void
check_file(const char *name)
{
	static unsigned char bytes[MAX_FILE];
	char path[300], kind[32];
	int h = 0, w = 0, c = 0, n, i;
	float golden[NN_MAX_CLASSES], got[NN_MAX_CLASSES];
	OnnxProblems problems;
	NnGraph *graph = NULL;
	float *weights = NULL;
	float *image;
	FILE *text;
	size_t size;

	snprintf(path, sizeof(path), "tests/onnx/%s.onnx", name);
	size = read_file(bytes, path);
	snprintf(path, sizeof(path), "tests/onnx/%s.txt", name);
	text = fopen(path, "r");
	if (text == NULL || fscanf(text, "%d %d %d %31s", &h, &w, &c, kind) != 4)
	{
		unit_ok(false, "%s has a golden output", name);
		return;
	}
	n = h * w * c;
	image = env_alloc((size_t) n * sizeof(float));
	for (i = 0; i < n; i++)
		if (fscanf(text, "%f", &image[i]) != 1)
			break;
	for (n = 0; n < NN_MAX_CLASSES && fscanf(text, "%f", &golden[n]) == 1; n++)
		;
	fclose(text);
	if (unit_ok(build(&graph, &weights, bytes, size, kind[0] == 'l', &problems), "%s is read", name))
	{
		unit_ok(nn_graph_output_units(graph) == n, "%s has %d outputs", name, n);
		run(got, graph, weights, image, kind[0] == 'l');
		unit_ok(difference(got, golden, n) < NEAR, "%s gives what ONNX Runtime gives (%g)", name,
				difference(got, golden, n));
		check_written(name, graph, weights, image);
	}
	else
		printf("# %s\n", problems.text);
	free(graph);
	free(weights);
	free(image);
	pool_free(&pool);
}

static void
test_files(void)
{
	DIR *folder = opendir("tests/onnx");
	struct dirent *entry;
	int n = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL)
	{
		char *end = strstr(entry->d_name, ".onnx");

		if (end == NULL || end[5] != '\0')
			continue;
		*end = '\0';
		check_file(entry->d_name);
		n++;
	}
	if (folder != NULL)
		closedir(folder);
	unit_ok(n >= 10, "there are files to read");
}

/* Every prefix of a file, and every byte changed: an error or a network, no more. */
static void
test_damaged(void)
{
	static unsigned char bytes[MAX_FILE];
	size_t n = read_file(bytes, "tests/onnx/torch_old_residual.onnx");
	OnnxProblems problems;
	NnGraph *graph = NULL;
	float *weights = NULL;
	int wrong = 0;
	size_t i;

	unit_ok(n > 0, "there is a file to damage");
	for (i = 0; i < n; i += i < 400 ? 1 : 37)
	{
		graph = NULL;
		weights = NULL;
		wrong += build(&graph, &weights, bytes, i, 1, &problems);
		free(graph);
		free(weights);
		pool_free(&pool);
	}
	unit_ok(wrong == 0, "no beginning of a file is a model");
	for (i = 0; i < n; i += i < 3000 ? 3 : 41)
	{
		unsigned char kept = bytes[i];

		graph = NULL;
		weights = NULL;
		bytes[i] ^= 0xff;
		build(&graph, &weights, bytes, n, 1, &problems);
		bytes[i] = kept;
		free(graph);
		free(weights);
		pool_free(&pool);
	}
	unit_ok(true, "a changed byte ends nothing");
}

/* All that is not supported is named; memory is bounded; a stop is seen. */
static void
test_refused(void)
{
	static unsigned char bytes[MAX_FILE];
	/* ir_version 8, opset "" 13, a graph with two unknown operators one after the other */
	static const unsigned char unknown[] =
		"\x08\x08\x42\x02\x10\x0d\x3a\x46"
		"\x0a\x10\x0a\x01x\x12\x01y\x1a\x01p\x22\x05Wrong"
		"\x0a\x10\x0a\x01y\x12\x01z\x1a\x01q\x22\x05Worse"
		"\x5a\x1b\x0a\x01x\x12\x16\x0a\x14\x08\x01\x12\x10\x0a\x02\x08\x01\x0a\x02\x08\x01\x0a\x02\x08\x04\x0a\x02\x08\x04"
		"\x62\x03\x0a\x01z";
	size_t n = read_file(bytes, "tests/onnx/torch_old_residual.onnx");
	OnnxEnv env = environment();
	OnnxProblems problems;
	OnnxFile *file;
	NnGraph *graph = NULL;
	float *weights = NULL;

	unit_ok(!build(&graph, &weights, unknown, sizeof(unknown) - 1, 0, &problems),
			"unknown operators are refused");
	unit_ok(problems.n == 1 && strstr(problems.text, "\"p\" (Wrong) is not supported") != NULL,
			"what only follows from a refusal is not named: %s", problems.text);
	free(graph);
	pool_free(&pool);
	env.max_bytes = 10000;
	unit_ok(onnx_read(&file, bytes, n, &env, &problems) == ONNX_TOO_LARGE, "memory is bounded");
	pool_free(&pool);
	env = environment();
	env.stop = &stopped;
	unit_ok(onnx_read(&file, bytes, n, &env, &problems) == ONNX_INTERRUPTED, "a stop is seen");
	pool_free(&pool);
	unit_ok(onnx_read(&file, "", 0, &env, &problems) != ONNX_OK, "nothing is no model");
	pool_free(&pool);
}

int
main(void)
{
	test_files();
	test_damaged();
	test_refused();
	return unit_done();
}
