/*
 * test_nn_train.c
 *		The training loop: the same bits for any number of threads and across a
 *		resume, callbacks, validation scores, stops and failures.
 */
#define _DEFAULT_SOURCE
#include "nn/nn.h"
#include "nn/random.h"
#include "nn_env.h"

#include <time.h>

/* A network with every kind of phase. */
static NnGraph *
mixed_graph(void)
{
	NnGraph *g = env_graph(20, 12, 10, 2);
	int a = env_add(g, "Conv2D", "conv", "filters=6 kernel_size=3 padding=same activation=relu", 0);
	int p = env_add(g, "MaxPooling2D", "pool", "", a);
	int b = env_add(g, "Conv2D", "conv_b", "filters=6 kernel_size=3 padding=same use_bias=0", p);
	int n = env_add(g, "BatchNormalization", "bn", "", b);
	int r = env_add(g, "Activation", "relu", "activation=relu", n);
	int both[2];
	int s, d;

	both[0] = p;
	both[1] = r;
	s = env_add_inputs(g, "Add", "add", "", 2, both);
	d = env_add(g, "DepthwiseConv2D", "depthwise", "kernel_size=3 padding=same", s);
	d = env_add(g, "Flatten", "flat", "", d);
	d = env_add(g, "Dropout", "dropout", "rate=0.3", d);
	d = env_add(g, "Dense", "dense", "units=9 activation=relu", d);
	d = env_add(g, "Dense", "head", "units=1 activation=sigmoid", d);
	env_finish(g, d);
	return g;
}

static NnGraph *
softmax_graph(void)
{
	NnGraph *g = env_graph(8, 6, 6, 1);
	int d = env_add(g, "Conv2D", "conv", "filters=4 kernel_size=3 activation=relu", 0);

	d = env_add(g, "Flatten", "flat", "", d);
	d = env_add(g, "Dense", "head", "units=3 activation=softmax", d);
	env_finish(g, d);
	return g;
}

/* ------------------------------------------------------------------- hooks */

#define MAX_LOGS 64

typedef struct Watch
{
	NnEpochLog logs[MAX_LOGS];
	int n_logs;
	int n_steps;
	int n_validating;
	int stop_at_step; /* 0: never */
	int stop_at_epoch;
	int stop_by_poll; /* poll says stop from then on */
	const NnTrainer *trainer;
	unsigned char *snapshot; /* of the state at stop_at_step */
	size_t state_bytes;
	double force_auc;
	int n_polls;
} Watch;

static int
watch_poll(void *arg)
{
	Watch *w = arg;

	w->n_polls++;
	return w->stop_by_poll;
}

static int
watch_step(void *arg, const NnProgress *progress)
{
	Watch *w = arg;

	if (progress->validating)
	{
		w->n_validating++;
		return 0;
	}
	w->n_steps++;
	if (w->stop_at_step == w->n_steps)
	{
		if (w->snapshot != NULL)
			memcpy(w->snapshot, w->trainer->state, w->state_bytes);
		return 1;
	}
	return 0;
}

static int
watch_epoch(void *arg, const NnEpochLog *log)
{
	Watch *w = arg;

	if (w->n_logs < MAX_LOGS)
		w->logs[w->n_logs] = *log;
	w->n_logs++;
	if (w->stop_at_epoch == w->n_logs && w->snapshot != NULL)
		memcpy(w->snapshot, w->trainer->state, w->state_bytes);
	return w->stop_at_epoch == w->n_logs;
}

static double
watch_clock(void *arg)
{
	struct timespec t;

	(void) arg;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static double
watch_auc(void *arg, const float *scores, size_t n)
{
	double sum = 0.0;
	size_t i;

	(void) arg;
	for (i = 0; i < n; i++)
		sum += scores[i];
	return sum / (double) n;
}

static NnTrainHooks
hooks_of(Watch *watch)
{
	NnTrainHooks hooks = {watch, watch_poll, watch_step, watch_epoch, watch_auc, watch_clock};

	return hooks;
}

/* Trains; the final weights in a new array.  threads 0: in the caller. */
static float *
train(const NnGraph *graph, const NnTrainConfig *config, const NnTrainData *data, int threads,
	  const void *resume, Watch *watch, NnStatus *status)
{
	EnvTrainer env;
	NnTrainHooks hooks = hooks_of(watch);
	float *weights = env_alloc(nn_graph_weight_count(graph) * sizeof(float));

	env_trainer_init(&env, graph, config, data, threads > 0 ? threads : 1, nn_path_best(), NULL, resume);
	*status = env.status;
	if (env.status != NN_OK)
	{
		unit_ok(resume != NULL, "trainer: %s", env.error.message);
		env_trainer_free(&env);
		return weights;
	}
	watch->trainer = env.trainer;
	watch->state_bytes = env.plan.state_bytes;
	if (threads > 0)
		nn_trainer_start(env.trainer, &env.error);
	*status = nn_train_run(env.trainer, &hooks, &env.error);
	memcpy(weights, env.trainer->weights, nn_graph_weight_count(graph) * sizeof(float));
	env_trainer_free(&env);
	return weights;
}

static int
same(const float *a, const float *b, const NnGraph *graph)
{
	return memcmp(a, b, nn_graph_weight_count(graph) * sizeof(float)) == 0;
}

/* ------------------------------------------------------------------- tests */

static void
test_threads(void)
{
	static const NnOptimizerKind kinds[] = {NN_SGD, NN_RMSPROP, NN_ADAM, NN_ADAMW};
	NnGraph *graph = mixed_graph();
	EnvData data;
	int k;

	env_data_init(&data, graph, 45, 13, 1);
	data.scale_by_epoch = 0.05f;
	for (k = 0; k < 5; k++)
	{
		static const int threads[] = {0, 1, 2, 4};
		float *weights[4];
		Watch watch[4];
		NnTrainConfig config;
		NnStatus status;
		int i;

		env_config_init(&config, kinds[k % 4]);
		config.optimizer.amsgrad = (k == 2);
		config.optimizer.momentum = (k == 0) ? 0.9 : 0.0;
		if (k == 4)
			config.optimizer.clipnorm = 0.1;
		config.batch_size = k == 3 ? 20 : 8;
		for (i = 0; i < 4; i++)
		{
			memset(&watch[i], 0, sizeof(Watch));
			weights[i] = train(graph, &config, &data.data, threads[i], NULL, &watch[i], &status);
			unit_ok(status == NN_OK && watch[i].n_logs == 3, "optimizer %d trains on %d threads", k,
					threads[i]);
			if (i == 0)
				continue;
			unit_ok(same(weights[0], weights[i], graph), "optimizer %d: same weights on %d threads", k,
					threads[i]);
			unit_ok(watch[0].logs[2].loss == watch[i].logs[2].loss &&
						watch[0].logs[2].val_loss == watch[i].logs[2].val_loss &&
						watch[0].logs[2].accuracy == watch[i].logs[2].accuracy,
					"optimizer %d: same history on %d threads", k, threads[i]);
		}
		for (i = 0; i < 4; i++)
			free(weights[i]);
	}
	env_data_free(&data);
	free(graph);
}

/* Layers that are not trainable, and the layers that came after the first ones. */
static NnGraph *
frozen_graph(void)
{
	NnGraph *g = env_graph(24, 8, 8, 2);
	int both[2];
	int a = env_add(g, "ZeroPadding2D", "padding", "padding=0,1,0,1", 0);

	a = env_add(g, "Conv2D", "frozen_conv", "filters=6 kernel_size=3 padding=same trainable=0", a);
	a = env_add(g, "BatchNormalization", "frozen_bn", "trainable=0", a);
	a = env_add(g, "Activation", "silu", "activation=silu", a);
	a = env_add(g, "Conv2D", "groups", "filters=6 kernel_size=3 dilation_rate=2 groups=2 activation=elu", a);
	a = env_add(g, "BatchNormalization", "fixed_bn", "training=0", a);
	a = env_add(g, "DepthwiseConv2D", "frozen_depthwise", "kernel_size=3 padding=same trainable=0", a);
	a = env_add(g, "GroupNormalization", "group", "groups=3", a);
	a = env_add(g, "SpatialDropout2D", "spatial", "rate=0.2", a);
	both[0] = a;
	both[1] = env_add(g, "Dense", "excite", "units=6 activation=sigmoid",
					  env_add(g, "GlobalAveragePooling2D", "squeeze", "", a));
	a = env_add_inputs(g, "Multiply", "multiply", "", 2, both);
	a = env_add(g, "UpSampling2D", "up", "interpolation=bilinear", a);
	a = env_add(g, "LayerNormalization", "frozen_layer", "trainable=0", a);
	a = env_add(g, "Flatten", "flat", "", a);
	a = env_add(g, "Dense", "frozen_dense", "units=9 activation=tanh trainable=0", a);
	a = env_add(g, "Dense", "head", "units=1 activation=sigmoid", a);
	env_finish(g, a);
	return g;
}

/* Checks that frozen weights stay, the others move, and both are the same on any number of threads. */
static void
test_frozen(void)
{
	static const NnOptimizerKind kinds[] = {NN_SGD, NN_ADAMW};
	NnGraph *graph = frozen_graph();
	float *before = env_alloc(nn_graph_weight_count(graph) * sizeof(float));
	EnvData data;
	int k, i, v;

	env_data_init(&data, graph, 45, 13, 1);
	for (k = 0; k < 4; k++)
	{
		float *weights[2];
		NnTrainConfig config;
		NnStatus status;

		env_config_init(&config, kinds[k % 2]);
		config.batch_size = 8;
		config.optimizer.clipnorm = k < 2 ? 0 : 0.1;
		nn_weights_init(before, graph, config.seed, NULL);
		for (i = 0; i < 2; i++)
		{
			Watch watch;

			memset(&watch, 0, sizeof(watch));
			weights[i] = train(graph, &config, &data.data, 1 + 2 * i, NULL, &watch, &status);
			unit_ok(status == NN_OK, "trains on %d threads", 1 + 2 * i);
		}
		unit_ok(same(weights[0], weights[1], graph), "same weights on 1 and 3 threads");
		for (v = 0; v < nn_graph_variable_count(graph); v++)
		{
			NnVariable variable;
			int stays;

			nn_graph_variable(&variable, graph, v);
			stays = memcmp(before + variable.offset, weights[0] + variable.offset,
						   variable.count * sizeof(float)) == 0;
			unit_ok(stays == !variable.trainable, "%s %s", variable.name,
					variable.trainable ? "moves" : "stays");
			unit_ok(variable.trainable || strncmp(variable.name, "frozen", 6) == 0 ||
						strncmp(variable.name, "fixed_bn/moving", 15) == 0,
					"%s is not trainable", variable.name);
		}
		free(weights[0]);
		free(weights[1]);
	}
	free(before);
	env_data_free(&data);
	free(graph);
}

static void
test_resume(void)
{
	NnGraph *graph = mixed_graph();
	EnvData data;
	NnTrainConfig config;
	Watch whole;
	NnStatus status;
	float *unbroken;
	unsigned char *snapshot;
	int at;

	env_data_init(&data, graph, 45, 13, 2);
	data.scale_by_epoch = 0.05f;
	env_config_init(&config, NN_ADAM);
	config.optimizer.amsgrad = 1;
	config.epochs = 4;
	config.early_stopping = 1;
	config.es_patience = 2;
	config.restore_best_weights = 1;
	config.plateau = 1;
	config.rlr_factor = 0.5;
	config.rlr_patience = 1;
	memset(&whole, 0, sizeof(whole));
	unbroken = train(graph, &config, &data.data, 2, NULL, &whole, &status);
	unit_ok(status == NN_OK, "an unbroken run");
	snapshot = env_alloc(16 << 20);
	for (at = 1; at <= 9; at++)
	{
		Watch first, second;
		float *weights;

		memset(&first, 0, sizeof(first));
		memset(&second, 0, sizeof(second));
		first.snapshot = snapshot;
		if (at < 9)
			first.stop_at_step = at; /* 6 steps an epoch: within and at its end */
		else
			first.stop_at_epoch = 2;
		weights = train(graph, &config, &data.data, 2, NULL, &first, &status);
		unit_ok(status == NN_INTERRUPTED, "stopped at %d", at);
		free(weights);
		weights = train(graph, &config, &data.data, 1, snapshot, &second, &status);
		unit_ok(status == NN_OK && same(weights, unbroken, graph), "resumed at %d: same weights", at);
		unit_ok(second.n_logs > 0 &&
					second.logs[second.n_logs - 1].loss == whole.logs[whole.n_logs - 1].loss &&
					second.logs[second.n_logs - 1].val_loss == whole.logs[whole.n_logs - 1].val_loss &&
					second.logs[second.n_logs - 1].learning_rate ==
						whole.logs[whole.n_logs - 1].learning_rate,
				"resumed at %d: same history", at);
		free(weights);
	}

	/* a state for something else, or damaged */
	{
		Watch watch;
		NnTrainConfig other = config;
		unsigned char *bad = env_alloc(16 << 20);

		memset(&watch, 0, sizeof(watch));
		other.seed++;
		free(train(graph, &other, &data.data, 1, snapshot, &watch, &status));
		unit_ok(status == NN_CORRUPT, "another seed's state is refused");
		memcpy(bad, snapshot, watch.state_bytes > 0 ? watch.state_bytes : 4096);
		bad[0] ^= 1;
		free(train(graph, &config, &data.data, 1, bad, &watch, &status));
		unit_ok(status == NN_CORRUPT, "a damaged state is refused");
		free(bad);
	}
	free(snapshot);
	free(unbroken);
	env_data_free(&data);
	free(graph);
}

static void
test_learning(void)
{
	NnGraph *graph = softmax_graph();
	EnvData data;
	NnTrainConfig config;
	Watch watch;
	NnStatus status;

	env_data_init(&data, graph, 200, 60, 5);
	env_config_init(&config, NN_ADAM);
	config.optimizer.learning_rate = 0.02;
	config.epochs = 30;
	memset(&watch, 0, sizeof(watch));
	free(train(graph, &config, &data.data, 2, NULL, &watch, &status));
	unit_ok(status == NN_OK && watch.logs[29].last == 1 && watch.logs[28].last == 0,
			"thirty epochs of three classes");
	unit_ok(watch.logs[29].loss < 0.8 * watch.logs[0].loss, "loss falls from %.3f to %.3f",
			watch.logs[0].loss, watch.logs[29].loss);
	unit_ok(watch.n_steps == 30 * 25, "%d steps", watch.n_steps);
	env_data_free(&data);
	free(graph);
}

static void
test_early_stopping(void)
{
	NnGraph *graph = mixed_graph();
	EnvData data;
	NnTrainConfig config;
	Watch watch;
	EnvTrainer env;
	NnTrainHooks hooks = hooks_of(&watch);
	float *scores;
	double loss, accuracy;
	int best = 0, epoch = 0, i;
	const float *result;

	/* noise labels on few samples: validation loss soon rises */
	env_data_init(&data, graph, 24, 24, 6);
	env_config_init(&config, NN_ADAM);
	config.optimizer.learning_rate = 0.01;
	config.epochs = 60;
	config.early_stopping = 1;
	config.es_patience = 3;
	config.restore_best_weights = 1;
	memset(&watch, 0, sizeof(watch));
	env_trainer_init(&env, graph, &config, &data.data, 2, nn_path_best(), NULL, NULL);
	unit_ok(nn_trainer_result(env.trainer, &epoch) == NULL, "no result before the first epoch");
	nn_trainer_start(env.trainer, &env.error);
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_OK, "a run with early stopping");
	for (i = 1; i < watch.n_logs; i++)
		if (watch.logs[i].val_loss < watch.logs[best].val_loss)
			best = i;
	unit_ok(watch.n_logs < 60 && watch.n_logs - 1 - best == 3 && watch.logs[watch.n_logs - 1].last,
			"stops %d epochs after the best one", watch.n_logs - 1 - best);
	result = nn_trainer_result(env.trainer, &epoch);
	unit_ok(epoch == best + 1 && result != env.trainer->weights, "the result is of epoch %d", epoch);
	scores = env_alloc(24 * sizeof(float));
	unit_ok(nn_trainer_score(env.trainer, scores, result, &hooks, &env.error) == NN_OK, "scores");
	nn_score_loss(&loss, &accuracy, scores, data.data.label[1], NULL, 24, 1, 0.0);
	unit_near(loss, watch.logs[best].val_loss, 1e-6, "the best weights give the best loss");
	unit_near(accuracy, watch.logs[best].val_accuracy, 0, "and its accuracy");
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_OK && env.trainer->state->finished,
			"a finished run stays finished");

	/* to the bit what the engine gives, alone or in a batch */
	{
		NnEngine engine;
		float *all = env_alloc(24 * sizeof(float));
		float one;
		void *scratch;
		int equal = 1;

		env_engine_init(&engine, graph, result, nn_path_best());
		scratch = env_alloc(nn_engine_scratch_bytes(&engine, 24));
		nn_engine_run(all, NULL, NULL, data.x[1], 24, &engine, scratch, NULL);
		unit_ok(memcmp(all, scores, 24 * sizeof(float)) == 0, "validation scores are the engine's");
		for (i = 0; i < 24; i++)
		{
			nn_engine_run(&one, NULL, NULL, data.x[1] + (size_t) i * data.floats, 1, &engine, scratch, NULL);
			equal &= (memcmp(&one, &all[i], sizeof(float)) == 0);
		}
		unit_ok(equal, "one by one the same");
		free(all);
		free(scratch);
		free((void *) engine.packed);
	}
	free(scores);
	env_trainer_free(&env);
	env_data_free(&data);
	free(graph);
}

static void
test_failures(void)
{
	NnGraph *graph = mixed_graph();
	EnvData data;
	NnTrainConfig config;
	Watch watch;
	EnvTrainer env;
	NnTrainHooks hooks = hooks_of(&watch);

	env_data_init(&data, graph, 40, 10, 7);
	env_config_init(&config, NN_SGD);
	config.optimizer.learning_rate = 1e6;
	config.epochs = 50;
	memset(&watch, 0, sizeof(watch));
	env_trainer_init(&env, graph, &config, &data.data, 2, nn_path_best(), NULL, NULL);
	nn_trainer_start(env.trainer, &env.error);
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_NOT_FINITE, "too high a rate: %s",
			env.error.message);
	env_trainer_free(&env);

	env_config_init(&config, NN_ADAM);
	data.fail_at = 17;
	env_trainer_init(&env, graph, &config, &data.data, 2, nn_path_best(), NULL, NULL);
	nn_trainer_start(env.trainer, &env.error);
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_LOAD_FAILED, "a load that fails: %s",
			env.error.message);
	unit_ok(nn_trainer_state_valid(env.trainer), "and leaves the state whole");
	env_trainer_free(&env);
	data.fail_at = -1;

	/* interrupted by the poll, at once and after some time; then goes on */
	watch.stop_by_poll = 1;
	env_trainer_init(&env, graph, &config, &data.data, 2, nn_path_best(), NULL, NULL);
	nn_trainer_start(env.trainer, &env.error);
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_INTERRUPTED, "interrupted");
	unit_ok(nn_trainer_state_valid(env.trainer), "the state is whole");
	watch.stop_by_poll = 0;
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_OK, "and can go on");
	nn_trainer_stop(env.trainer);
	nn_trainer_stop(env.trainer);
	unit_ok(1, "stopped twice");
	env_trainer_free(&env);
	env_data_free(&data);
	free(graph);
}

/* A loss that is not a number: stopped before the weights are touched. */
static void
test_not_finite(void)
{
	NnGraph *graph = env_graph(4, 3, 3, 1);
	EnvData data;
	NnTrainConfig config;
	Watch watch;
	EnvTrainer env;
	NnTrainHooks hooks = hooks_of(&watch);
	float *before;
	size_t n;
	int epoch;

	env_add(graph, "Flatten", "flat", "", 0);
	env_finish(graph, env_add(graph, "Dense", "head", "units=3 activation=softmax", 1));
	n = nn_graph_weight_count(graph);
	env_data_init(&data, graph, 40, 10, 7);
	data.x[0][8 * 9 + 5] = NAN;
	env_config_init(&config, NN_ADAM);
	config.shuffle = 0;
	memset(&watch, 0, sizeof(watch));
	watch.stop_at_step = 1;
	env_trainer_init(&env, graph, &config, &data.data, 2, nn_path_best(), NULL, NULL);
	before = env_alloc(n * sizeof(float));
	nn_trainer_start(env.trainer, &env.error);
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_INTERRUPTED, "a step");
	memcpy(before, env.trainer->weights, n * sizeof(float));
	unit_ok(nn_train_run(env.trainer, &hooks, &env.error) == NN_NOT_FINITE &&
				strstr(env.error.message, "batch 2 of epoch 1") != NULL,
			"NaN in the data: %s", env.error.message);
	unit_ok(same(before, env.trainer->weights, graph), "the weights are untouched");
	unit_ok(nn_trainer_state_valid(env.trainer), "the state is whole");
	unit_ok(nn_trainer_result(env.trainer, &epoch) == NULL, "there is no result");
	free(before);
	env_trainer_free(&env);
	env_data_free(&data);
	free(graph);
}

/* A batch that takes long: the poll must be asked meanwhile, and its stop obeyed. */
static int
slow_load(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch)
{
	struct timespec nap = {0, 20000000};

	nanosleep(&nap, NULL);
	return env_load(arg, dst, split, i, epoch, scratch);
}

static void
test_poll(void)
{
	NnGraph *graph = softmax_graph();
	EnvData data;
	NnTrainConfig config;
	Watch watch;
	NnStatus status;
	double start = watch_clock(NULL);

	env_data_init(&data, graph, 40, 4, 8);
	data.data.load = slow_load;
	env_config_init(&config, NN_ADAM);
	config.batch_size = 40;
	config.epochs = 1;
	memset(&watch, 0, sizeof(watch));
	free(train(graph, &config, &data.data, 2, NULL, &watch, &status));
	unit_ok(status == NN_OK && watch.n_polls >= 4, "asked %d times in %.2f s", watch.n_polls,
			watch_clock(NULL) - start);
	start = watch_clock(NULL);
	watch.stop_by_poll = 1;
	free(train(graph, &config, &data.data, 2, NULL, &watch, &status));
	unit_ok(status == NN_INTERRUPTED && watch_clock(NULL) - start < 0.3, "a stop takes %.2f s",
			watch_clock(NULL) - start);
	env_data_free(&data);
	free(graph);
}

/* Sample weights are class weights; steps_per_epoch; smoothing in val_loss. */
static void
test_config(void)
{
	NnGraph *graph = mixed_graph();
	EnvData data;
	NnTrainConfig config;
	Watch a, b;
	NnStatus status;
	float *weights[2];
	float *sample_weights;
	NnError error;
	size_t i;

	env_data_init(&data, graph, 30, 10, 9);
	env_config_init(&config, NN_RMSPROP);
	config.class_weight[0] = 0.5;
	config.class_weight[1] = 2.0;
	config.label_smoothing = 0.1;
	config.steps_per_epoch = 2;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	weights[0] = train(graph, &config, &data.data, 2, NULL, &a, &status);
	unit_ok(status == NN_OK && a.n_steps == 6, "steps_per_epoch 2: %d steps in 3 epochs", a.n_steps);
	sample_weights = env_alloc(30 * sizeof(float));
	for (i = 0; i < 30; i++)
		sample_weights[i] = data.data.label[0][i] == 1 ? 2.0f : 0.5f;
	config.class_weight[0] = config.class_weight[1] = 1.0;
	data.data.weight[0] = sample_weights;
	weights[1] = train(graph, &config, &data.data, 1, NULL, &b, &status);
	unit_ok(same(weights[0], weights[1], graph), "class weights and sample weights are the same");

	config.steps_per_epoch = 5;
	unit_ok(nn_train_check(&config, graph, &error) == NN_OK, "a config is checked without data");
	free(weights[0]);
	weights[0] = NULL;
	{
		NnTrainPlan plan;

		unit_ok(nn_train_plan(&plan, graph, &config, &data.data, 1, nn_path_best(), &error) ==
					NN_BAD_ARGUMENT,
				"too many steps: %s", error.message);
		config.steps_per_epoch = 0;
		((int32_t *) data.data.label[0])[3] = 2;
		unit_ok(nn_train_plan(&plan, graph, &config, &data.data, 1, nn_path_best(), &error) ==
					NN_BAD_ARGUMENT,
				"a label of no class: %s", error.message);
	}
	config.optimizer.learning_rate = -1;
	unit_ok(nn_train_check(&config, graph, &error) == NN_BAD_ARGUMENT, "%s", error.message);
	config.optimizer.learning_rate = 0.1;
	config.optimizer.clipnorm = config.optimizer.clipvalue = 1;
	unit_ok(nn_train_check(&config, graph, &error) == NN_BAD_ARGUMENT, "%s", error.message);
	config.optimizer.clipnorm = 0;
	config.batch_size = 0;
	unit_ok(nn_train_check(&config, graph, &error) == NN_BAD_ARGUMENT, "%s", error.message);
	free(weights[1]);
	free(sample_weights);
	env_data_free(&data);
	free(graph);
}

/* Batches that are shorter than the number of threads, one sample, no validation. */
static void
test_small(void)
{
	NnGraph *graph = mixed_graph();
	EnvData data;
	NnTrainConfig config;
	Watch watch;
	NnStatus status;
	float *weights[2];

	env_data_init(&data, graph, 9, 0, 10);
	env_config_init(&config, NN_ADAM);
	config.early_stopping = 1;
	config.restore_best_weights = 1;
	memset(&watch, 0, sizeof(watch));
	weights[0] = train(graph, &config, &data.data, 4, NULL, &watch, &status);
	unit_ok(status == NN_OK && isnan(watch.logs[0].val_loss) && !watch.logs[0].best,
			"a last batch of one sample, no validation");
	weights[1] = train(graph, &config, &data.data, 1, NULL, &watch, &status);
	unit_ok(same(weights[0], weights[1], graph), "same weights on 4 threads");
	free(weights[0]);
	free(weights[1]);
	env_data_free(&data);
	free(graph);
}

/* The permutation is one, and another in each epoch. */
static void
test_permutation(void)
{
	uint32_t a[100], b[100];
	int seen[100] = {0};
	int i, whole = 1, moved = 0;

	nn_random_permutation(a, 100, 1, 0);
	nn_random_permutation(b, 100, 1, 1);
	for (i = 0; i < 100; i++)
		seen[a[i]]++;
	for (i = 0; i < 100; i++)
	{
		whole &= (seen[i] == 1);
		moved += (a[i] != b[i]);
	}
	unit_ok(whole && moved > 80, "a permutation, another in each epoch");
}

int
main(void)
{
	test_permutation();
	test_threads();
	test_frozen();
	test_resume();
	test_learning();
	test_early_stopping();
	test_failures();
	test_not_finite();
	test_poll();
	test_config();
	test_small();
	return unit_done();
}
