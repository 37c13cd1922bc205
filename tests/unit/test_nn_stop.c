/*
 * test_nn_stop.c
 *		How soon a computation of src/nn stops: networks of large maps and few
 *		weights, windows of 255 x 255, weights by the billion.  Each would run
 *		for a long time; after a moment a second thread sets the flag, and the
 *		time from there to the return is measured.
 *
 * Memory is mapped and hardly ever written: what is read is the page of zeros.
 */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "nn/kernels/kernels.h"
#include "nn/op.h"
#include "nn/plan.h"
#include "nn/stop.h"
#include "nn_env.h"
#include "unit.h"

#define MOST 0.2    /* seconds: what src/nn promises */
#define BUSY 2.0    /* times as long on a machine that does other things */
#define DELAY_MS 20 /* after which the flag is set */
#define INPUT ((size_t) 1 << 26)

static float *input; /* INPUT floats other than zero */
static double longest, longest_used;

static double
read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void *
map(size_t bytes)
{
	void *p =
		mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
	{
		fprintf(stderr, "cannot map %zu bytes\n", bytes);
		exit(2);
	}
	return p;
}

static void
unmap(void *p, size_t bytes)
{
	munmap(p, bytes + 1);
}

/* ------------------------------------------------------------- the watch */

typedef struct Alarm
{
	pthread_t thread;
	int delay_ms;
	volatile sig_atomic_t flag;
	clockid_t clock; /* the processor time of the thread that computes */
	double set, started, used;
} Alarm;

static void *
alarm_main(void *arg)
{
	Alarm *a = arg;
	struct timespec nap = {a->delay_ms / 1000, a->delay_ms % 1000 * 1000000L};

	nanosleep(&nap, NULL);
	a->used = read_clock(a->clock);
	a->set = read_clock(CLOCK_MONOTONIC);
	a->flag = 1;
	return NULL;
}

static void
alarm_start(Alarm *a, int delay_ms)
{
	memset(a, 0, sizeof(*a));
	a->delay_ms = delay_ms;
	a->started = read_clock(CLOCK_MONOTONIC);
	pthread_getcpuclockid(pthread_self(), &a->clock);
	pthread_create(&a->thread, NULL, alarm_main, a);
}

/*
 * Checks how long after the flag the computation returned.  Others on the
 * machine may hold it up: it has twice the time, or the time itself of its
 * thread's processor time.
 */
static void
alarm_check(Alarm *a, const char *what, const char *path)
{
	double returned = read_clock(CLOCK_MONOTONIC);
	double used = read_clock(a->clock);
	double late;

	pthread_join(a->thread, NULL);
	late = returned - a->set;
	used -= a->used;
	if (late > longest)
		longest = late;
	if (used > longest_used)
		longest_used = used;
	if (late < 0)
		unit_ok(true, "%s, %s: done in %.0f ms", what, path, (returned - a->started) * 1e3);
	else if (late <= MOST * BUSY || (used > 0.2 * late && used <= MOST))
		unit_ok(true, "%s, %s: stops in time", what, path);
	else
		unit_ok(false, "%s, %s: stops %.0f ms after the flag", what, path, late * 1e3);
	if (getenv("PNEUMO_TEST_TIMES") != NULL)
		printf("#   %.1f ms, %.1f of them at work\n", late * 1e3, used * 1e3);
}

/* ------------------------------------------------------------- operations */

typedef struct Case
{
	int h, w, c;
	const char *class_name, *settings;
	int sources; /* of the same values */
	int pool;    /* a 2 x 2 pooling is fused */
} Case;

static const Case cases[] = {
	{4096, 4096, 4, "Activation", "activation=tanh", 1, 0},
	{4096, 4096, 4, "Activation", "activation=sigmoid", 1, 0},
	{4096, 4096, 4, "Softmax", "", 1, 0},
	{2, 2, 16777216, "Softmax", "", 1, 0},
	{4096, 4096, 4, "LeakyReLU", "", 1, 0},
	{4096, 4096, 4, "Rescaling", "scale=0.5", 1, 0},
	{4096, 4096, 4, "Dropout", "rate=0.5", 1, 0},
	{2048, 2048, 4, "Flatten", "", 1, 0},
	{4096, 4096, 4, "Add", "", 4, 0},
	{4096, 4096, 1, "Concatenate", "", 4, 0},
	{4096, 4096, 4, "BatchNormalization", "", 1, 0},
	{4096, 4096, 4, "GlobalAveragePooling2D", "", 1, 0},
	{4096, 4096, 4, "GlobalMaxPooling2D", "", 1, 0},
	{4096, 4096, 4, "MaxPooling2D", "", 1, 0},
	{2, 4096, 8192, "MaxPooling2D", "", 1, 0},
	{1024, 1024, 4, "MaxPooling2D", "pool_size=255 strides=1 padding=same", 1, 0},
	{4096, 4096, 4, "MaxPooling2D", "pool_size=4096", 1, 0},
	{1024, 1024, 4, "AveragePooling2D", "pool_size=255 strides=1 padding=same", 1, 0},
	{4096, 4096, 4, "AveragePooling2D", "pool_size=4096", 1, 0},
	{4096, 4096, 4, "DepthwiseConv2D", "kernel_size=3 padding=same activation=tanh", 1, 0},
	{1024, 1024, 4, "DepthwiseConv2D", "kernel_size=255 padding=same", 1, 0},
	{512, 512, 4, "DepthwiseConv2D", "kernel_size=31 padding=same depth_multiplier=64", 1, 0},
	{1024, 1024, 1, "Conv2D", "filters=1 kernel_size=255 padding=same", 1, 0},
	{512, 512, 4, "Conv2D", "filters=64 kernel_size=63 padding=same", 1, 0},
	{4096, 4096, 4, "Conv2D", "filters=16 kernel_size=1", 1, 0},
	{4096, 4096, 4, "Conv2D", "filters=16 kernel_size=3 padding=same activation=relu", 1, 1},
	{2, 4096, 1, "Conv2D", "filters=32768 kernel_size=3 padding=same", 1, 0},
	{1024, 1024, 64, "Conv2D", "filters=64 kernel_size=3 padding=same activation=relu", 1, 0},
	{8, 8, 8192, "Conv2D", "filters=2048 kernel_size=3 padding=same activation=relu", 1, 0},
	{4, 4, 1048576, "Conv2D", "filters=1 kernel_size=3 padding=same", 1, 0},
	{8, 8, 16384, "Conv2D", "filters=4096 kernel_size=1", 1, 0},
	{4096, 4096, 4, "Activation", "activation=mish", 1, 0},
	{4096, 4096, 4, "Activation", "activation=gelu", 1, 0},
	{4096, 4096, 4, "ReLU", "max_value=6", 1, 0},
	{4096, 4096, 4, "ELU", "", 1, 0},
	{4096, 4096, 3, "Rescaling", "scale=1,2,3", 1, 0},
	{4096, 4096, 4, "SpatialDropout2D", "rate=0.5", 1, 0},
	{1, 1, 16777216, "SpatialDropout2D", "rate=0.5", 1, 0},
	{2048, 2048, 4, "Reshape", "target_shape=1024,4096,4", 1, 0},
	{4000, 4000, 4, "ZeroPadding2D", "padding=48,48,48,48", 1, 0},
	{4096, 4096, 4, "Cropping2D", "cropping=1,1,1,1", 1, 0},
	{2048, 2048, 4, "UpSampling2D", "", 1, 0},
	{256, 256, 4, "UpSampling2D", "size=16 interpolation=bilinear", 1, 0},
	{4096, 4096, 4, "Multiply", "", 4, 0},
	{4096, 4096, 4, "Average", "", 2, 0},
	{4096, 4096, 4, "Maximum", "", 4, 0},
	{4096, 4096, 4, "Minimum", "", 2, 0},
	{4096, 4096, 4, "Subtract", "", 2, 0},
	{4096, 4096, 4, "LayerNormalization", "", 1, 0},
	{1, 1, 16777216, "LayerNormalization", "", 1, 0},
	{4096, 4096, 4, "GroupNormalization", "groups=2", 1, 0},
	{4096, 4096, 4, "SelectChannels", "inner=4", 1, 0},
	{4096, 4096, 4, "PReLU", "shared_axes=1,2", 1, 0},
	{1024, 1024, 4, "Conv2D", "filters=4 kernel_size=63 padding=same dilation_rate=4 groups=4", 1, 0},
	{1024, 1024, 4, "DepthwiseConv2D", "kernel_size=63 padding=same dilation_rate=4", 1, 0},
	{1, 1, 16777216, "Dense", "units=100", 1, 0},
	{1, 1, 1024, "Dense", "units=1048576 activation=tanh", 1, 0},
	{0},
};

/* What a call needs, mapped for its length. */
typedef struct Room
{
	void *piece[32];
	size_t bytes[32];
	int n;
} Room;

static void *
room(Room *r, size_t bytes)
{
	r->bytes[r->n] = bytes;
	r->piece[r->n] = map(bytes);
	return r->piece[r->n++];
}

static void
room_free(Room *r)
{
	while (r->n > 0)
	{
		r->n--;
		unmap(r->piece[r->n], r->bytes[r->n]);
	}
}

typedef enum Way
{
	FORWARD,
	FORWARD_INT16,
	PACK,
	PACK_INT16,
	BACKWARD,
	WAYS
} Way;

static const char *const way_names[] = {"forward", "forward in int16", "pack", "pack in int16", "backward"};

static void
fill_step(NnStep *step, const Case *k, const NnNode *node, int index)
{
	const NnOp *op = nn_node_op(node);
	int j;

	memset(step, 0, sizeof(*step));
	step->node = step->out_node = index;
	step->full = step->out = node->shape;
	step->n_src = k->sources;
	step->mask = -1;
	if (op->activation != NULL)
		step->activation = op->activation(node, &step->slope);
	if (k->pool)
	{
		step->pool = 1;
		step->out.h /= 2;
		step->out.w /= 2;
	}
	for (j = 0; j < k->sources; j++)
		step->dsrc[j] = 0;
}

/* Runs one operation on a path one way, where it has that way. */
static void
run_case(const Case *k, const NnGraph *graph, int index, NnPath path, Way way)
{
	const NnNode *node = &graph->nodes[index];
	const NnOp *op = nn_node_op(node);
	int int16 = way == FORWARD_INT16 || way == PACK_INT16;
	NnPrecision precision = int16 ? NN_PRECISION_INT16 : NN_PRECISION_FLOAT32;
	NnMode mode = way != BACKWARD ? NN_INFER : op->train_backward != NULL ? NN_EXPLAIN : NN_TRAINING;
	size_t in = (size_t) k->h * (size_t) k->w * (size_t) k->c;
	size_t weights = node->n_weights * sizeof(float);
	volatile sig_atomic_t *before;
	Room r = {0};
	NnStep step;
	NnCall call;
	Alarm a;
	char what[256];
	size_t out, packed;
	int j;

	fill_step(&step, k, node, index);
	out = nn_shape_floats(&step.out) * sizeof(float);
	packed = op->packed_bytes != NULL ? op->packed_bytes(node, &step, mode, path, precision) : 0;
	if ((way == PACK || int16) && packed == 0)
		return;
	memset(&call, 0, sizeof(call));
	call.step = &step;
	call.node = node;
	call.mode = mode;
	call.path = path;
	call.precision = precision;
	call.sgemm = nn_sgemm_for(path);
	call.weights = room(&r, weights);
	if (packed > 0)
		call.packed = room(&r, packed);
	call.scratch =
		op->scratch_bytes != NULL ? room(&r, op->scratch_bytes(node, &step, mode, path, precision)) : NULL;
	call.dst = room(&r, out);
	for (j = 0; j < k->sources; j++)
	{
		call.src[j] = input;
		call.src_floats[j] = in;
	}
	if (way == BACKWARD)
	{
		size_t partial =
			op->partial_floats != NULL ? op->partial_floats(node, &step, path) * sizeof(float) : weights;

		call.ddst = room(&r, out);
		for (j = 0; j < k->sources; j++)
			call.dsrc[j] = room(&r, in * sizeof(float));
		if (weights > 0 && op->train_weights == NULL)
			call.dweights = room(&r, partial);
		if (k->pool)
			call.mask = room(&r, nn_mask_words(step.out.c) * (size_t) step.out.h * (size_t) step.out.w * 2);
	}
	snprintf(what, sizeof(what), "%s of %d x %d x %d, %s, %s", k->class_name, k->h, k->w, k->c, k->settings,
			 way_names[way]);
	alarm_start(&a, DELAY_MS);
	before = nn_stop_watch(&a.flag);
	if (way == BACKWARD)
		op->backward(&call);
	else if (way == PACK || way == PACK_INT16)
		op->pack((void *) call.packed, node, &step, call.weights, mode, path, precision);
	else
		op->forward(&call);
	nn_stop_watch(before);
	alarm_check(&a, what, nn_path_name(path));
	room_free(&r);
}

static NnGraph *
case_graph(const Case *k, int *index)
{
	NnGraph *graph = env_graph(8, k->h, k->w, k->c);
	int inputs[NN_MAX_INPUTS] = {0};
	int last = 0;

	if (strcmp(k->class_name, "Dense") == 0)
		inputs[0] = last = env_add(graph, "Flatten", "flat", "", 0);
	*index = last = env_add_inputs(graph, k->class_name, "layer", k->settings, k->sources, inputs);
	return graph;
}

static void
test_operations(void)
{
	int path, way, index;
	const Case *k;

	for (k = cases; k->class_name != NULL; k++)
	{
		NnGraph *graph = case_graph(k, &index);

		for (path = NN_PATH_REFERENCE; path <= (int) nn_path_best() && index > 0; path++)
			for (way = 0; way < WAYS; way++)
				run_case(k, graph, index, (NnPath) path, (Way) way);
		free(graph);
	}
}

/* ---------------------------------------------------------------- weights */

static void
test_weights(void)
{
	static const char *const kinds[] = {"zeros",      "glorot_uniform", "truncated_normal",
										"orthogonal", "orthogonal",     "identity",
										NULL};
	int i;

	for (i = 0; kinds[i] != NULL; i++)
	{
		int orthogonal = strcmp(kinds[i], "orthogonal") == 0;
		int in = !orthogonal ? 16777216 : i == 3 ? 2000 : 1400;
		NnGraph *graph = env_graph(4, 1, 1, in);
		NnNodeSpec spec;
		NnError error;
		char what[64];
		float *weights;
		size_t bytes;
		Alarm a;
		int flat = env_add(graph, "Flatten", "flat", "", 0);
		int dense;

		nn_node_spec_init(&spec, nn_op_find("Dense"));
		snprintf(spec.name, sizeof(spec.name), "dense");
		spec.n_inputs = 1;
		spec.inputs[0] = flat;
		env_set(&spec, "units", !orthogonal ? "64" : i == 3 ? "1400" : "2000");
		nn_initializer_find(&spec.params[nn_op_param_find(spec.op, "kernel_initializer")], kinds[i]);
		unit_ok(nn_graph_add(graph, &spec, &dense, &error) == NN_OK, "a layer for %s", kinds[i]);
		env_finish(graph, env_add(graph, "Dense", "head", "units=1 activation=sigmoid", dense));
		bytes = nn_graph_weight_count(graph) * sizeof(float);
		weights = map(bytes);
		alarm_start(&a, DELAY_MS);
		unit_ok(nn_weights_init(weights, graph, 1, &a.flag) == NN_INTERRUPTED || i == 5, "%s is stopped",
				kinds[i]);
		snprintf(what, sizeof(what), "initial weights, %s", kinds[i]);
		alarm_check(&a, what, "no path");
		if (i == 0)
		{
			alarm_start(&a, DELAY_MS);
			unit_ok(nn_weights_check(weights, graph, &a.flag, &error) == NN_INTERRUPTED,
					"the check is stopped");
			alarm_check(&a, "check of weights", "no path");
		}
		unmap(weights, bytes);
		free(graph);
	}
}

/* ----------------------------------------------- predictions, explanations */

/* Sixteen poolings of which each takes a while, so that a flag comes in the middle. */
static NnGraph *
deep_graph(void)
{
	NnGraph *graph = env_graph(20, 96, 96, 16);
	char name[16];
	int i;

	for (i = 0; i < 8; i++)
	{
		snprintf(name, sizeof(name), "p%d", i);
		env_add(graph, i % 2 == 0 ? "MaxPooling2D" : "AveragePooling2D", name,
				"pool_size=47 strides=1 padding=same", i);
	}
	env_add(graph, "GlobalAveragePooling2D", "g", "", 8);
	env_finish(graph, env_add(graph, "Dense", "head", "units=1 activation=sigmoid", 9));
	return graph;
}

static void
test_engine(void)
{
	static const int delays[] = {20, 200, 700};
	NnGraph *graph = deep_graph();
	size_t n = nn_graph_weight_count(graph);
	float *weights = env_alloc(n * sizeof(float));
	size_t map_bytes = 96 * 96 * 16 * sizeof(float);
	float *activation = map(map_bytes);
	float *gradient = map(map_bytes);
	NnEngine engine;
	float p[1];
	size_t bytes;
	void *scratch;
	Alarm a;
	int path, i;

	nn_weights_init(weights, graph, 1, NULL);
	for (path = NN_PATH_REFERENCE; path <= (int) nn_path_best(); path++)
	{
		env_engine_init(&engine, graph, weights, (NnPath) path);
		bytes = nn_engine_scratch_bytes(&engine, 1) + nn_explain_scratch_bytes(&engine);
		scratch = map(bytes);
		alarm_start(&a, DELAY_MS);
		unit_ok(nn_engine_run(p, NULL, NULL, input, 1, &engine, scratch, &a.flag) == NN_INTERRUPTED,
				"a prediction is stopped");
		alarm_check(&a, "a prediction", nn_path_name((NnPath) path));
		for (i = 0; i < 3; i++)
		{
			alarm_start(&a, delays[i]);
			unit_ok(nn_explain_run(activation, gradient, p, input, 1, 0, &engine, scratch, &a.flag) ==
						NN_INTERRUPTED,
					"an explanation is stopped");
			alarm_check(&a, "an explanation", nn_path_name((NnPath) path));
		}
		unmap(scratch, bytes);
		free((void *) engine.packed);
	}
	unmap(activation, map_bytes);
	unmap(gradient, map_bytes);
	free(weights);
	free(graph);
}

/* --------------------------------------------------------------- training */

/* A step of all kinds of phases: sums by channel, samples, chunks, blocks of weights. */
static NnGraph *
train_graph(void)
{
	NnGraph *graph = env_graph(16, 1024, 1024, 1);
	int a, b, both[2];

	a = env_add(graph, "Conv2D", "c1", "filters=8 kernel_size=3 padding=same activation=relu", 0);
	b = env_add(graph, "BatchNormalization", "n", "", a);
	both[0] = a;
	both[1] = b;
	a = env_add_inputs(graph, "Add", "add", "", 2, both);
	a = env_add(graph, "Activation", "t", "activation=tanh", a);
	a = env_add(graph, "Conv2D", "c2", "filters=16 kernel_size=5 strides=2 padding=same activation=softmax",
				a);
	a = env_add(graph, "DepthwiseConv2D", "d", "kernel_size=9 padding=same", a);
	a = env_add(graph, "Dropout", "drop", "rate=0.1", a);
	a = env_add(graph, "MaxPooling2D", "m", "pool_size=16", a);
	a = env_add(graph, "Flatten", "f", "", a);
	a = env_add(graph, "Dense", "hidden", "units=512 activation=tanh", a);
	env_finish(graph, env_add(graph, "Dense", "head", "units=1 activation=sigmoid", a));
	return graph;
}

static int
load_input(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch)
{
	(void) arg;
	(void) split;
	(void) epoch;
	(void) scratch;
	memcpy(dst, input + i * 4096, 1024 * 1024 * sizeof(float));
	return 0;
}

static int
poll_alarm(void *arg)
{
	return ((Alarm *) arg)->flag;
}

static void
test_training(NnPath path, int n_threads, double clipnorm)
{
	static const int delays[] = {20, 150, 400, 900, 1500};
	NnGraph *graph = train_graph();
	NnTrainHooks hooks = {0};
	NnTrainConfig config;
	NnTrainData data = {0};
	NnTrainPlan plan;
	NnTrainer *trainer = env_alloc(nn_trainer_bytes());
	NnError error;
	int32_t label[8] = {0, 1, 0, 1, 0, 1, 0, 1};
	void *state, *work;
	Alarm a;
	char what[64];
	size_t i;

	env_config_init(&config, NN_ADAM);
	config.batch_size = 8;
	config.epochs = 1000;
	config.optimizer.clipnorm = clipnorm;
	data.load = load_input;
	data.n[NN_TRAIN] = 8;
	data.label[NN_TRAIN] = label;
	data.load_scratch_bytes = 64;
	hooks.arg = &a;
	hooks.poll = poll_alarm;
	unit_ok(nn_train_plan(&plan, graph, &config, &data, n_threads, path, &error) == NN_OK, "a plan");
	state = map(plan.state_bytes);
	work = map(plan.work_bytes);
	unit_ok(nn_trainer_init(trainer, graph, &config, &data, &plan, state, work, n_threads, path, NULL, NULL,
							0, NULL, &error) == NN_OK,
			"a trainer");
	nn_trainer_start(trainer, &error);
	snprintf(what, sizeof(what), "a step on %d thread%s", n_threads, n_threads == 1 ? "" : "s");
	for (i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
	{
		alarm_start(&a, delays[i]);
		unit_ok(nn_train_run(trainer, &hooks, &error) == NN_INTERRUPTED && nn_trainer_state_valid(trainer),
				"a step is stopped");
		alarm_check(&a, what, nn_path_name(path));
	}
	nn_trainer_stop(trainer);
	unmap(state, plan.state_bytes);
	unmap(work, plan.work_bytes);
	free(trainer);
	free(graph);
}

int
main(void)
{
	size_t i;

	input = map(INPUT * sizeof(float));
	for (i = 0; i < INPUT; i++)
		input[i] = (float) (i % 1021 + 1) / 1021.0f;
	test_operations();
	test_weights();
	test_engine();
	test_training(nn_path_best(), 1, 0);
	test_training(nn_path_best(), 3, 1.0);
	printf("# the longest took %.0f ms, or %.0f ms of processor time; promised are %.0f ms\n", longest * 1e3,
		   longest_used * 1e3, MOST * 1e3);
	return unit_done();
}
