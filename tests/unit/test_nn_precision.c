/*
 * test_nn_precision.c
 *		Prediction with precision int16: near float32 on networks of all node
 *		types, on every path; without float32 weights; the same bits in any batch
 *		and on any number of threads; what it packs is smaller.
 *
 * Tolerance: logits within 0.5 % of the largest float32 logit of the samples; the
 * kernels' own tolerances are in their tests.
 */
#include "nn/graph.h"
#include "nn/nn.h"
#include "nn_env.h"

#define SAMPLES 21

typedef struct Net
{
	const char *name;
	NnGraph *graph;
} Net;

static NnGraph *
plain_net(int h, int w, int c)
{
	NnGraph *g = env_graph(8, h, w, c);
	int n;

	n = env_add(g, "Conv2D", "c1", "filters=16 kernel_size=3 padding=same activation=relu", 0);
	n = env_add(g, "MaxPooling2D", "p1", "", n);
	n = env_add(g, "Conv2D", "c2", "filters=24 kernel_size=3 padding=same activation=relu", n);
	n = env_add(g, "Flatten", "f", "", n);
	n = env_add(g, "Dense", "d1", "units=40 activation=relu", n);
	n = env_add(g, "Dropout", "o", "rate=0.5", n);
	n = env_add(g, "Dense", "d2", "units=1 activation=sigmoid", n);
	env_finish(g, n);
	return g;
}

/* Nodes that have no 16-bit form beside those that have. */
static NnGraph *
mixed_net(void)
{
	NnGraph *g = env_graph(16, 17, 13, 3);
	int a[2];
	int n;

	n = env_add(g, "Rescaling", "r", "scale=2", 0);
	n = env_add(g, "Conv2D", "c1", "filters=20 kernel_size=5 strides=2 padding=same use_bias=0", n);
	n = env_add(g, "BatchNormalization", "b1", "", n);
	a[0] = n = env_add(g, "Activation", "a1", "activation=relu", n);
	n = env_add(g, "DepthwiseConv2D", "w", "kernel_size=3 padding=same", n);
	a[1] = env_add(g, "Conv2D", "c2", "filters=20 kernel_size=3 padding=same activation=leaky_relu", n);
	n = env_add_inputs(g, "Add", "s", "", 2, a);
	n = env_add(g, "Conv2D", "c3", "filters=9 kernel_size=1", n);
	n = env_add(g, "GlobalAveragePooling2D", "g", "", n);
	n = env_add(g, "Dense", "d1", "units=17 use_bias=0 activation=tanh", n);
	n = env_add(g, "Dense", "d2", "units=3 activation=softmax", n);
	env_finish(g, n);
	return g;
}

static NnEngine
make_engine(const NnGraph *graph, const float *weights, NnPath path, NnPrecision precision)
{
	void *packed = env_alloc(nn_engine_packed_bytes(graph, path, precision));
	NnEngine engine = {graph, weights, packed, path, precision};
	NnError error;

	unit_ok(nn_engine_pack(packed, graph, weights, path, precision, NULL, &error) == NN_OK, "packs");
	return engine;
}

static void
run(float *probabilities, float *logits, const float *x, int n, const NnEngine *engine)
{
	void *scratch = env_alloc(nn_engine_scratch_bytes(engine, n));

	if (nn_engine_run(probabilities, logits, NULL, x, n, engine, scratch, NULL) != NN_OK)
		unit_ok(false, "runs");
	free(scratch);
}

/* A weight not drawn by an initialiser: biases and statistics that are not 0 and 1. */
static void
stir(float *weights, size_t n)
{
	uint32_t state = 5;
	size_t i;

	for (i = 0; i < n; i++)
		weights[i] = weights[i] * 0.9f + 0.02f * env_random(&state);
}

static void
test_net(const Net *net, NnPath path)
{
	const NnGraph *graph = net->graph;
	size_t n_weights = nn_graph_weight_count(graph);
	int units = nn_graph_output_units(graph);
	size_t floats = nn_shape_floats(&graph->nodes[0].shape);
	float *weights = env_alloc(n_weights * sizeof(float));
	float *x = env_alloc(SAMPLES * floats * sizeof(float));
	float p[2][SAMPLES * 3];
	float logits[2][SAMPLES * 3];
	float one[3];
	float one_logits[3];
	uint32_t state = 3;
	double most = 0.0;
	double size = 0.0;
	int same = 1;
	NnEngine exact;
	NnEngine reduced;
	size_t i;
	int k;

	nn_weights_init(weights, graph, 7, NULL);
	stir(weights, n_weights);
	for (i = 0; i < SAMPLES * floats; i++)
		x[i] = env_random(&state);
	exact = make_engine(graph, weights, path, NN_PRECISION_FLOAT32);
	reduced = make_engine(graph, weights, path, NN_PRECISION_INT16);
	run(p[0], logits[0], x, SAMPLES, &exact);
	reduced.weights = NULL;
	memset(weights, 0xff, n_weights * sizeof(float)); /* NaN, if anybody looks */
	run(p[1], logits[1], x, SAMPLES, &reduced);
	for (k = 0; k < SAMPLES * units; k++)
	{
		double d = fabs((double) logits[1][k] - logits[0][k]);

		most = d <= 1e30 ? fmax(most, d) : 1e30;
		size = fmax(size, fabs(logits[0][k]));
	}
	unit_near(most / size, 0.0, 0.005, "%s, %s: near float32", net->name, nn_path_name(path));
	printf("# %s, %s: %.1e of the largest logit\n", net->name, nn_path_name(path), most / size);
	unit_ok(memcmp(p[0], p[1], sizeof(float) * (size_t) (SAMPLES * units)) != 0, "%s, %s: and not the same",
			net->name, nn_path_name(path));
	for (k = 0; k < SAMPLES; k++)
	{
		run(one, one_logits, x + (size_t) k * floats, 1, &reduced);
		same &= memcmp(one, p[1] + k * units, sizeof(float) * (size_t) units) == 0 &&
				memcmp(one_logits, logits[1] + k * units, sizeof(float) * (size_t) units) == 0;
	}
	for (k = 1; k < SAMPLES; k += 5)
	{
		float some[SAMPLES * 3];

		run(some, NULL, x, k, &reduced);
		same &= memcmp(some, p[1], sizeof(float) * (size_t) (k * units)) == 0;
	}
	unit_ok(same, "%s, %s: the same bits in any batch", net->name, nn_path_name(path));
	free((void *) exact.packed);
	free((void *) reduced.packed);
	free(weights);
	free(x);
}

static int
keep_epoch(void *arg, const NnEpochLog *log)
{
	*(NnEpochLog *) arg = *log;
	return 0;
}

/* Two epochs; the scores of the validation side, and the last epoch's log. */
static void
train(float *scores, NnEpochLog *log, const NnGraph *graph, const EnvData *data, NnPrecision precision,
	  int n_threads, float *weights)
{
	NnTrainHooks hooks = {log, NULL, NULL, keep_epoch, NULL, NULL};
	NnTrainConfig config;
	EnvTrainer env;
	int epoch;

	env_config_init(&config, NN_ADAM);
	config.epochs = 2;
	config.precision = precision;
	env_trainer_init(&env, graph, &config, &data->data, n_threads, nn_path_best(), NULL, NULL);
	unit_ok(env.status == NN_OK && nn_trainer_start(env.trainer, &env.error) == NN_OK &&
				nn_train_run(env.trainer, &hooks, &env.error) == NN_OK,
			"trains with %s on %d threads", nn_precision_name(precision), n_threads);
	memcpy(weights, nn_trainer_result(env.trainer, &epoch), nn_graph_weight_count(graph) * sizeof(float));
	unit_ok(nn_trainer_score(env.trainer, scores, weights, &hooks, &env.error) == NN_OK, "scores");
	env_trainer_free(&env);
}

/* Training is float32 whatever the precision; validation is what the version will predict. */
static void
test_training(void)
{
	NnGraph *graph = plain_net(16, 16, 1);
	size_t bytes = nn_graph_weight_count(graph) * sizeof(float);
	float *weights[3];
	float scores[3][SAMPLES];
	float engine_scores[SAMPLES];
	NnEpochLog logs[3];
	NnEngine engine;
	EnvData data;
	int i;

	env_data_init(&data, graph, 40, SAMPLES, 2);
	for (i = 0; i < 3; i++)
	{
		weights[i] = env_alloc(bytes);
		train(scores[i], &logs[i], graph, &data, i == 0 ? NN_PRECISION_FLOAT32 : NN_PRECISION_INT16,
			  i == 2 ? 3 : 1, weights[i]);
	}
	unit_ok(memcmp(weights[0], weights[1], bytes) == 0 && logs[0].loss == logs[1].loss,
			"the weights do not depend on the precision");
	unit_ok(logs[0].val_loss != logs[1].val_loss && fabs(logs[0].val_loss - logs[1].val_loss) < 0.01,
			"validation does");
	unit_ok(memcmp(weights[1], weights[2], bytes) == 0 && logs[1].val_loss == logs[2].val_loss &&
				memcmp(scores[1], scores[2], sizeof(scores[1])) == 0,
			"the same bits on any number of threads");
	engine = make_engine(graph, weights[1], nn_path_best(), NN_PRECISION_INT16);
	run(engine_scores, NULL, data.x[1], SAMPLES, &engine);
	unit_ok(memcmp(engine_scores, scores[1], sizeof(engine_scores)) == 0,
			"validation scores are the engine's");
	for (i = 0; i < 3; i++)
		free(weights[i]);
	free((void *) engine.packed);
	env_data_free(&data);
	free(graph);
}

static void
test_size(void)
{
	NnGraph *graph = env_graph(4, 64, 64, 1);
	int n = env_add(graph, "Flatten", "f", "", 0);
	float *weights;
	NnError error;
	void *packed;

	n = env_add(graph, "Dense", "d1", "units=64 activation=relu", n);
	n = env_add(graph, "Dense", "d2", "units=1 activation=sigmoid", n);
	env_finish(graph, n);
	unit_ok((double) nn_engine_packed_bytes(graph, nn_path_best(), NN_PRECISION_INT16) <
				0.52 * sizeof(float) * (double) nn_graph_weight_count(graph),
			"half the memory of the weights");
	weights = env_alloc(nn_graph_weight_count(graph) * sizeof(float));
	nn_weights_init(weights, graph, 1, NULL);
	packed = env_alloc(nn_engine_packed_bytes(graph, nn_path_best(), NN_PRECISION_INT16));
	unit_ok(nn_engine_pack(packed, graph, weights, nn_path_best(), (NnPrecision) 2, NULL, &error) ==
				NN_UNSUPPORTED,
			"another precision is refused");
	unit_text(nn_precision_name(NN_PRECISION_INT16), "int16", "its name");
	free(packed);
	free(weights);
	free(graph);
}

int
main(void)
{
	Net nets[] = {
		{"plain", plain_net(32, 24, 1)},
		{"odd", plain_net(9, 11, 3)},
		{"mixed", mixed_net()},
	};
	int path;
	size_t i;

	for (i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
	{
		for (path = NN_PATH_REFERENCE; path <= (int) nn_path_best(); path++)
			test_net(&nets[i], (NnPath) path);
		free(nets[i].graph);
	}
	test_training();
	test_size();
	return unit_done();
}
