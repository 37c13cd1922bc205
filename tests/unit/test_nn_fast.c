/*
 * test_nn_fast.c
 *		The network core on the fast kernels, at channel counts and sizes that
 *		reach them: the same bits for any number of threads and any batch of a
 *		prediction, and near the reference path, on every path of the machine.
 */
#include "nn/nn.h"
#include "nn_env.h"

/* The preset deep with fewer channels, and convolutions that are not pooled or not relu. */
static NnGraph *
small_deep(void)
{
	NnGraph *g = env_graph(24, 37, 42, 1);
	int i = 0;

	i = env_add(g, "Conv2D", "c1", "filters=16 kernel_size=3 padding=same activation=relu", i);
	i = env_add(g, "MaxPooling2D", "p1", "", i);
	i = env_add(g, "Conv2D", "c2", "filters=40 kernel_size=3 padding=same activation=relu", i);
	i = env_add(g, "MaxPooling2D", "p2", "", i);
	i = env_add(g, "Conv2D", "c3", "filters=24 kernel_size=3 padding=same activation=relu", i);
	i = env_add(g, "Conv2D", "c4", "filters=32 kernel_size=3 padding=same activation=tanh", i);
	i = env_add(g, "MaxPooling2D", "p4", "", i);
	i = env_add(g, "Conv2D", "c5", "filters=3 kernel_size=3 padding=same", i);
	i = env_add(g, "Conv2D", "c6", "filters=20 kernel_size=3 padding=same activation=relu", i);
	i = env_add(g, "Flatten", "f", "", i);
	i = env_add(g, "Dense", "d1", "units=33 activation=relu", i);
	i = env_add(g, "Dense", "d2", "units=1 activation=sigmoid", i);
	env_finish(g, i);
	return g;
}

static double
difference(const float *a, const float *b, size_t n)
{
	double most = 0.0;
	double size = 1e-30;
	size_t i;

	for (i = 0; i < n; i++)
	{
		double d = fabs((double) a[i] - b[i]);

		if (!(d < 1e20))
			return 1e30;
		most = d > most ? d : most;
		size = fabs(b[i]) > size ? fabs(b[i]) : size;
	}
	return most / size;
}

static void
train(float *weights, const NnGraph *graph, const NnTrainData *data, int threads, NnPath path, int batch)
{
	NnTrainConfig config;
	NnTrainHooks hooks = {0};
	EnvTrainer env;
	int epoch;

	env_config_init(&config, NN_ADAM);
	config.optimizer.amsgrad = 1;
	config.batch_size = batch;
	config.epochs = 2;
	env_trainer_init(&env, graph, &config, data, threads, path, NULL, NULL);
	if (!unit_ok(env.status == NN_OK && nn_trainer_start(env.trainer, &env.error) == NN_OK,
				 "%s: a trainer of %d threads", nn_path_name(path), threads))
		return;
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_OK, "%s: two epochs", nn_path_name(path));
	memcpy(weights, nn_trainer_result(env.trainer, &epoch), nn_graph_weight_count(graph) * sizeof(float));
	env_trainer_free(&env);
}

/* The gradient of the first batch. */
static void
gradient(float *gradients, const NnGraph *graph, const NnTrainData *data, NnPath path)
{
	NnTrainConfig config;
	EnvTrainer env;

	env_config_init(&config, NN_SGD);
	config.optimizer.clipnorm = 1e9; /* so that all gradients are kept */
	config.shuffle = 0;
	env_trainer_init(&env, graph, &config, data, 1, path, NULL, NULL);
	env_gradients(env.trainer);
	memcpy(gradients, env.trainer->gradients, nn_graph_weight_count(graph) * sizeof(float));
	env_trainer_free(&env);
}

static void
test_path(const NnGraph *graph, const EnvData *data, NnPath path, const float *reference_gradient,
		  const float *reference_logits)
{
	size_t n = nn_graph_weight_count(graph);
	float *one = env_alloc(n * sizeof(float));
	float *many = env_alloc(n * sizeof(float));
	float *initial = env_alloc(n * sizeof(float));
	float together[7], alone[7], logits[7], logit[1];
	NnEngine engine;
	void *scratch;
	int i, v;

	gradient(one, graph, &data->data, path);
	for (v = 0; v < nn_graph_variable_count(graph); v++)
	{
		NnVariable variable;

		nn_graph_variable(&variable, graph, v);
		unit_near(difference(one + variable.offset, reference_gradient + variable.offset, variable.count),
				  0.0, 2e-3, "%s: gradient of %s", nn_path_name(path), variable.name);
	}
	train(one, graph, &data->data, 1, path, 9);
	train(many, graph, &data->data, 3, path, 9);
	unit_ok(memcmp(one, many, n * sizeof(float)) == 0, "%s: one and three threads give the same weights",
			nn_path_name(path));

	nn_weights_init(initial, graph, 42, NULL);
	env_engine_init(&engine, graph, initial, path);
	scratch = env_alloc(nn_engine_scratch_bytes(&engine, 7));
	nn_engine_run(together, logits, NULL, data->x[NN_VALIDATION], 7, &engine, scratch, NULL);
	for (i = 0; i < 7; i++)
		nn_engine_run(alone + i, logit, NULL, data->x[NN_VALIDATION] + (size_t) i * data->floats, 1, &engine,
					  scratch, NULL);
	unit_ok(memcmp(together, alone, sizeof(alone)) == 0, "%s: a score does not depend on its batch",
			nn_path_name(path));
	unit_near(difference(logits, reference_logits, 7), 0.0, 2e-5, "%s: logits near the reference",
			  nn_path_name(path));
	free((void *) engine.packed);
	free(scratch);
	free(one);
	free(many);
	free(initial);
}

int
main(void)
{
	NnGraph *graph = small_deep();
	size_t n = nn_graph_weight_count(graph);
	float *reference = env_alloc(n * sizeof(float));
	float *initial = env_alloc(n * sizeof(float));
	float logits[7], probabilities[7];
	NnEngine engine;
	void *scratch;
	EnvData data;
	int path;

	env_data_init(&data, graph, 22, 7, 5);
	gradient(reference, graph, &data.data, NN_PATH_REFERENCE);
	nn_weights_init(initial, graph, 42, NULL);
	env_engine_init(&engine, graph, initial, NN_PATH_REFERENCE);
	scratch = env_alloc(nn_engine_scratch_bytes(&engine, 7));
	nn_engine_run(probabilities, logits, NULL, data.x[NN_VALIDATION], 7, &engine, scratch, NULL);
	for (path = NN_PATH_PORTABLE; path <= (int) nn_path_best(); path++)
		test_path(graph, &data, (NnPath) path, reference, logits);
	free((void *) engine.packed);
	free(scratch);
	free(reference);
	free(initial);
	env_data_free(&data);
	free(graph);
	return unit_done();
}
