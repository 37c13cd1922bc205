/*
 * test_nn_gradients.c
 *		Gradients of every node type against finite differences.
 *
 * A network's loss is computed by its own forward pass, so a difference
 * quotient (L(w + h) - L(w - h)) / 2h must agree with the backward pass.  In
 * float32 the quotient is good to about 1e-3 of the largest gradient; the
 * error is measured against that.  Each network runs fused and by nodes, on
 * every path.
 */
#include "nn/batch.h"
#include "nn/graph.h"
#include "nn/nn.h"
#include "nn/plan.h"
#include "nn/trainer.h"
#include "nn_env.h"

#define SAMPLES 4

typedef struct Subject
{
	NnTrainer *t;
	EnvData *data;
} Subject;

static double
loss_at(const Subject *s)
{
	env_gradients(s->t);
	return s->t->batch_loss / s->t->n;
}

/*
 * How far gradient is from the difference quotients in *x, at best.  Where a
 * kink lies between x - h and x + h, the quotient of the other side, or of a
 * smaller step, is the right one.
 */
static double
quotient_error(const Subject *s, float *x, double gradient)
{
	static const float steps[] = {1e-2f, 2e-3f, 5e-4f, 1.5e-4f};
	float saved = *x;
	double here = loss_at(s);
	double best = INFINITY;
	size_t k;

	for (k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
	{
		float high = saved + steps[k];
		float low = saved - steps[k];
		double up, down;
		double errors[3];
		int j;

		*x = high;
		up = loss_at(s);
		*x = low;
		down = loss_at(s);
		*x = saved;
		errors[0] = fabs((up - down) / ((double) high - (double) low) - gradient);
		errors[1] = fabs((up - here) / ((double) high - (double) saved) - gradient);
		errors[2] = fabs((here - down) / ((double) saved - (double) low) - gradient);
		for (j = 0; j < (errors[0] < 1e-5 ? 1 : 3); j++)
			if (errors[j] < best)
				best = errors[j];
		if (best < 1e-5)
			break;
	}
	return best;
}

/* The worst error of some gradients, relative to the largest of them all. */
static double
worst_error(const Subject *s, float *values, const float *gradients, size_t n, uint32_t seed)
{
	double largest = 1e-2;
	double worst = 0.0;
	uint32_t state = seed;
	size_t tries = n < 24 ? n : 24;
	size_t i, k;

	for (i = 0; i < n; i++)
		if (fabs(gradients[i]) > largest)
			largest = fabs(gradients[i]);
	for (k = 0; k < tries; k++)
	{
		double error;

		i = n <= 24 ? k : (size_t) (env_random(&state) * (float) n);
		error = quotient_error(s, &values[i], gradients[i]) / largest;
		if (!(error <= worst))
			worst = error;
	}
	return worst;
}

static void
check(const char *title, NnGraph *graph, int output, int by_nodes, NnPath path)
{
	NnPlanOptions options = {NN_TRAINING, -1, by_nodes, 1};
	NnError error;
	NnTrainConfig config;
	EnvData data;
	EnvTrainer env;
	Subject s;
	float *dx;
	float *gradients;
	const NnTensor *input;
	uint32_t state = 77;
	size_t i;
	int v;
	double worst = 0.0;
	char where[NN_NAME_LEN + 32] = "";

	memset(&error, 0, sizeof(error));
	if (nn_graph_finish_as(graph, output, &options, &error) != NN_OK)
	{
		unit_ok(false, "%s: %s", title, error.message);
		return;
	}
	env_data_init(&data, graph, SAMPLES, 0, 4);
	env_config_init(&config, NN_SGD);
	config.batch_size = SAMPLES;
	config.shuffle = 0;
	config.optimizer.global_clipnorm = 1e30; /* all gradients are kept */
	env_trainer_init(&env, graph, &config, &data.data, 1, path, NULL, NULL);
	if (!unit_ok(env.status == NN_OK, "%s: trainer %s", title, env.error.message))
		return;
	s = (Subject) {env.trainer, &data};

	/* no weight at a special place */
	for (i = 0; i < graph->n_weights; i++)
		env.trainer->weights[i] += 0.2f * (env_random(&state) - 0.4f);
	env_gradients(env.trainer);
	gradients = env_alloc(graph->n_weights * sizeof(float));
	memcpy(gradients, env.trainer->gradients, graph->n_weights * sizeof(float));
	input = &nn_plan_tensors(env.trainer->plan)[0];
	dx = env_alloc(SAMPLES * input->floats * sizeof(float));
	memcpy(dx, nn_batch_buffer(env.trainer, input->gradient), SAMPLES * input->floats * sizeof(float));

	for (v = 0; v < graph->n_variables; v++)
	{
		NnVariable variable;
		double e;

		nn_graph_variable(&variable, graph, v);
		if (!variable.trainable)
			continue;
		e = worst_error(&s, env.trainer->weights + variable.offset, gradients + variable.offset,
						variable.count, (uint32_t) v);
		if (!(e <= worst))
		{
			worst = e;
			snprintf(where, sizeof(where), "%s", variable.name);
		}
	}
	{
		double e = worst_error(&s, data.x[0], dx, SAMPLES * input->floats, 99);

		if (!(e <= worst))
		{
			worst = e;
			snprintf(where, sizeof(where), "input");
		}
	}
	unit_ok(worst < 1e-2, "%s %s %s: worst %s %.2g", title, by_nodes ? "by nodes" : "fused",
			nn_path_name(path), where, worst);
	free(dx);
	free(gradients);
	env_trainer_free(&env);
	env_data_free(&data);
}

typedef struct Case
{
	const char *title;
	int h, w, c;
	int classes;          /* 1: sigmoid */
	const char *nodes[8]; /* "Class settings", in a row */
} Case;

static const Case cases[] = {
	{"conv 3x3 same", 7, 5, 3, 1, {"Conv2D filters=5 kernel_size=3 padding=same activation=tanh"}},
	{"conv 3x3 same relu 17 channels",
	 5,
	 6,
	 17,
	 1,
	 {"Conv2D filters=19 kernel_size=3 padding=same activation=relu"}},
	{"conv 3x3 relu pool",
	 9,
	 7,
	 6,
	 1,
	 {"Conv2D filters=18 kernel_size=3 padding=same activation=relu", "MaxPooling2D pool_size=2"}},
	{"conv one channel relu pool",
	 8,
	 11,
	 1,
	 1,
	 {"Conv2D filters=16 kernel_size=3 padding=same activation=relu", "MaxPooling2D pool_size=2"}},
	{"conv conv pool",
	 8,
	 8,
	 2,
	 3,
	 {"Conv2D filters=8 kernel_size=3 padding=same activation=relu", "MaxPooling2D pool_size=2",
	  "Conv2D filters=7 kernel_size=3 padding=same activation=relu", "MaxPooling2D pool_size=2"}},
	{"conv leaky pool",
	 6,
	 6,
	 2,
	 1,
	 {"Conv2D filters=4 kernel_size=3 padding=same activation=leaky_relu", "MaxPooling2D pool_size=2"}},
	{"conv sigmoid pool",
	 6,
	 7,
	 2,
	 1,
	 {"Conv2D filters=4 kernel_size=3 padding=same activation=sigmoid", "MaxPooling2D pool_size=2"}},
	{"conv linear pool",
	 7,
	 7,
	 2,
	 1,
	 {"Conv2D filters=4 kernel_size=3 padding=same", "MaxPooling2D pool_size=2"}},
	{"conv stride 2 valid", 9, 8, 2, 1, {"Conv2D filters=4 kernel_size=3 strides=2 activation=tanh"}},
	{"conv 5x2 stride 3,1 same",
	 8,
	 7,
	 2,
	 1,
	 {"Conv2D filters=3 kernel_size=5,2 strides=3,1 padding=same activation=sigmoid"}},
	{"conv 1x1", 4, 5, 6, 1, {"Conv2D filters=3 kernel_size=1 activation=tanh"}},
	{"conv no bias", 5, 5, 2, 1, {"Conv2D filters=3 kernel_size=3 use_bias=0"}},
	{"conv of one pixel", 1, 1, 5, 1, {"Conv2D filters=3 kernel_size=3 padding=same"}},
	{"conv softmax", 3, 4, 2, 1, {"Conv2D filters=4 kernel_size=3 padding=same activation=softmax"}},
	{"depthwise", 6, 5, 4, 1, {"DepthwiseConv2D kernel_size=3 padding=same activation=tanh"}},
	{"depthwise multiplier 3 stride 2",
	 7,
	 8,
	 2,
	 1,
	 {"DepthwiseConv2D kernel_size=3 strides=2 depth_multiplier=3"}},
	{"max pooling 3x2 stride 2,1 same", 7, 6, 3, 1, {"MaxPooling2D pool_size=3,2 strides=2,1 padding=same"}},
	{"average pooling 3 stride 2 same", 7, 6, 3, 1, {"AveragePooling2D pool_size=3 strides=2 padding=same"}},
	{"average pooling 2", 7, 5, 2, 1, {"AveragePooling2D pool_size=2"}},
	{"global average", 4, 5, 3, 3, {"Conv2D filters=4 kernel_size=3", "GlobalAveragePooling2D"}},
	{"global maximum", 4, 5, 3, 3, {"Conv2D filters=4 kernel_size=3", "GlobalMaxPooling2D"}},
	{"global keepdims", 4, 5, 3, 1, {"GlobalAveragePooling2D keepdims=1", "Conv2D filters=2 kernel_size=1"}},
	{"dense", 2, 3, 4, 3, {"Flatten", "Dense units=7 activation=tanh", "Dense units=5 activation=sigmoid"}},
	{"dense softmax inside", 2, 3, 2, 1, {"Flatten", "Dense units=6 activation=softmax"}},
	{"dense wide", 30, 24, 3, 1, {"Flatten", "Dense units=5 activation=leaky_relu use_bias=0"}},
	{"dropout", 3, 4, 2, 1, {"Flatten", "Dropout rate=0.4", "Dense units=6 activation=tanh"}},
	{"dropout after conv", 5, 4, 2, 1, {"Conv2D filters=3 kernel_size=2", "Dropout rate=0.5"}},
	{"batch normalization",
	 4,
	 3,
	 3,
	 1,
	 {"Conv2D filters=4 kernel_size=2", "BatchNormalization", "Activation activation=tanh"}},
	{"batch normalization of rows", 1, 1, 6, 1, {"Flatten", "Dense units=5", "BatchNormalization scale=0"}},
	{"batch normalization relu pool",
	 6,
	 6,
	 2,
	 1,
	 {"Conv2D filters=4 kernel_size=3 use_bias=0 padding=same", "BatchNormalization", "ReLU",
	  "MaxPooling2D pool_size=2"}},
	{"activations",
	 3,
	 3,
	 4,
	 1,
	 {"Activation activation=tanh", "LeakyReLU negative_slope=0.3", "Activation activation=sigmoid",
	  "Softmax"}},
	{"relu layer", 3, 3, 4, 1, {"Conv2D filters=4 kernel_size=2", "ReLU negative_slope=0.1"}},
	{"rescaling", 3, 3, 2, 1, {"Rescaling scale=0.7 offset=0.1"}},
	{"conv dilated same", 8, 7, 2, 1, {"Conv2D filters=3 kernel_size=3 dilation_rate=2,3 padding=same"}},
	{"conv dilated valid", 8, 9, 2, 1, {"Conv2D filters=3 kernel_size=3,2 dilation_rate=2 activation=tanh"}},
	{"conv groups", 5, 6, 6, 1, {"Conv2D filters=9 kernel_size=3 groups=3 padding=same activation=relu"}},
	{"conv groups 1x1 stride 2", 5, 6, 4, 1, {"Conv2D filters=8 kernel_size=1 groups=4 strides=2"}},
	{"depthwise dilated", 7, 8, 3, 1, {"DepthwiseConv2D kernel_size=3 dilation_rate=2 padding=same"}},
	{"frozen in the middle",
	 5,
	 5,
	 2,
	 1,
	 {"Conv2D filters=4 kernel_size=3 padding=same", "BatchNormalization trainable=0",
	  "Conv2D filters=3 kernel_size=3 padding=same activation=relu trainable=0", "Flatten",
	  "Dense units=5 activation=tanh trainable=0"}},
	{"fixed statistics",
	 4,
	 4,
	 3,
	 1,
	 {"Conv2D filters=4 kernel_size=2", "BatchNormalization training=0", "ReLU"}},
	{"activations from the output",
	 3,
	 3,
	 4,
	 1,
	 {"Conv2D filters=5 kernel_size=2 activation=elu", "Activation activation=selu",
	  "Activation activation=hard_sigmoid", "Activation activation=softplus", "ELU alpha=0.7",
	  "ReLU max_value=2"}},
	{"relu6", 3, 3, 4, 1, {"Conv2D filters=5 kernel_size=2 activation=relu6"}},
	{"silu", 3, 3, 4, 1, {"Conv2D filters=5 kernel_size=2", "Activation activation=silu"}},
	{"hard silu", 3, 3, 4, 1, {"Conv2D filters=5 kernel_size=2", "Activation activation=hard_silu"}},
	{"gelu", 3, 3, 4, 1, {"Conv2D filters=5 kernel_size=2", "Activation activation=gelu"}},
	{"gelu tanh", 3, 3, 4, 1, {"Conv2D filters=5 kernel_size=2", "Activation activation=gelu_tanh"}},
	{"mish pool",
	 4,
	 4,
	 4,
	 1,
	 {"Conv2D filters=5 kernel_size=1", "Activation activation=mish", "MaxPooling2D"}},
	{"padding and cropping",
	 4,
	 5,
	 2,
	 1,
	 {"ZeroPadding2D padding=1,2,0,3", "Conv2D filters=3 kernel_size=2", "Cropping2D cropping=2,1,1,0"}},
	{"reshape",
	 4,
	 3,
	 4,
	 1,
	 {"Conv2D filters=6 kernel_size=2", "Reshape target_shape=2,-1,3", "Conv2D filters=2 kernel_size=2"}},
	{"up sampling", 3, 2, 2, 1, {"UpSampling2D size=2,3", "Conv2D filters=2 kernel_size=3"}},
	{"up sampling bilinear",
	 3,
	 4,
	 2,
	 1,
	 {"UpSampling2D size=3,2 interpolation=bilinear", "Conv2D filters=2 kernel_size=3"}},
	{"layer normalization",
	 3,
	 4,
	 5,
	 1,
	 {"Conv2D filters=6 kernel_size=2", "LayerNormalization", "Activation activation=tanh"}},
	{"prelu",
	 3,
	 4,
	 3,
	 1,
	 {"Rescaling scale=4 offset=-2", "PReLU shared_axes=1,2", "Conv2D filters=2 kernel_size=2"}},
	{"prelu of places", 3, 4, 3, 1, {"Rescaling scale=4 offset=-2", "PReLU shared_axes=3"}},
	{"layer normalization of rows", 1, 1, 6, 1, {"Flatten", "Dense units=5", "LayerNormalization center=0"}},
	{"group normalization",
	 3,
	 4,
	 2,
	 1,
	 {"Conv2D filters=6 kernel_size=2", "GroupNormalization groups=3", "ReLU"}},
	{"instance normalization",
	 3,
	 4,
	 2,
	 1,
	 {"Conv2D filters=4 kernel_size=2", "GroupNormalization groups=-1 scale=0"}},
	{"spatial dropout", 4, 4, 2, 1, {"Conv2D filters=6 kernel_size=2", "SpatialDropout2D rate=0.4"}},
	{"sample dropout", 4, 4, 2, 1, {"Conv2D filters=6 kernel_size=2", "Dropout rate=0.4 noise_shape=sample"}},
	{"channels in another order",
	 3,
	 4,
	 2,
	 1,
	 {"Conv2D filters=6 kernel_size=2",
	  "SelectChannels start=1 outer=2 outer_stride=1 inner=2 inner_stride=3"}},
	{"rescaling by channel", 3, 3, 3, 1, {"Rescaling scale=0.7,-1,2 offset=0.1,0.2,0"}},
	{"keras's long way",
	 6,
	 6,
	 2,
	 3,
	 {"Conv2D filters=4 kernel_size=3 padding=same", "Activation activation=relu", "MaxPooling2D pool_size=2",
	  "Flatten", "Dense units=4", "LeakyReLU"}},
};

static int
add_named(NnGraph *g, const char *node, int number, int input)
{
	char class_name[64], name[32];
	int used = 0;

	sscanf(node, "%63s%n", class_name, &used);
	snprintf(name, sizeof(name), "n%d", number);
	return env_add(g, class_name, name, node + used + (node[used] == ' '), input);
}

static int
add_head(NnGraph *g, int last, int classes)
{
	NnNodeInfo info;
	char settings[64];

	nn_graph_node(&info, g, last);
	if (info.shape.rank == 3)
		last = env_add(g, "Flatten", "flatten", "", last);
	snprintf(settings, sizeof(settings), "units=%d activation=%s", classes,
			 classes == 1 ? "sigmoid" : "softmax");
	return env_add(g, "Dense", "head", settings, last);
}

static void
check_case(const Case *c, int by_nodes, NnPath path)
{
	NnGraph *g = env_graph(16, c->h, c->w, c->c);
	int last = 0;
	int i;

	for (i = 0; i < 8 && c->nodes[i] != NULL; i++)
		last = add_named(g, c->nodes[i], i, last);
	check(c->title, g, add_head(g, last, c->classes), by_nodes, path);
	free(g);
}

/* Branches: gradients of a tensor that is used more than once. */
static void
check_branches(int by_nodes, NnPath path)
{
	NnGraph *g = env_graph(24, 6, 5, 2);
	int stem = env_add(g, "Conv2D", "stem", "filters=4 kernel_size=3 padding=same activation=relu", 0);
	int a = env_add(g, "Conv2D", "a", "filters=4 kernel_size=3 padding=same", stem);
	int three[3], last;

	three[0] = stem;
	three[1] = a;
	three[2] = stem;
	last = env_add_inputs(g, "Add", "add", "", 3, three);
	last = env_add(g, "Activation", "relu", "activation=relu", last);
	three[0] = last;
	three[1] = 0;
	three[2] = env_add(g, "DepthwiseConv2D", "d", "kernel_size=3 padding=same", stem);
	last = env_add_inputs(g, "Concatenate", "join", "", 3, three);
	last = env_add(g, "Conv2D", "b", "filters=3 kernel_size=2 activation=tanh", last);
	check("branches", g, add_head(g, last, 3), by_nodes, path);
	free(g);
}

/* Two maps, a row of channels and one value a pixel, joined by element. */
static void
check_merge(const char *class_name, int n, int by_nodes, NnPath path)
{
	NnGraph *g = env_graph(24, 5, 4, 2);
	int inputs[4], last;

	inputs[0] = env_add(g, "Conv2D", "a", "filters=4 kernel_size=3 padding=same activation=tanh", 0);
	inputs[2] = env_add(g, "GlobalAveragePooling2D", "squeeze", "", inputs[0]);
	inputs[1] = env_add(g, "Dense", "excite", "units=4 activation=sigmoid", inputs[2]);
	inputs[2] = env_add(g, "Conv2D", "one", "filters=1 kernel_size=3 padding=same", 0);
	inputs[3] = env_add(g, "Conv2D", "b", "filters=4 kernel_size=1", 0);
	last = env_add_inputs(g, class_name, "spread", "", n, inputs);
	last = env_add(g, "ReLU", "relu", "negative_slope=0.2", last);
	inputs[0] = inputs[3];
	inputs[1] = last;
	last = env_add_inputs(g, class_name, "same", "", 2, inputs);
	check(class_name, g, add_head(g, last, 1), by_nodes, path);
	free(g);
}

/* ------------------------------------------------------------- explanation */

/* The gradient of a logit by a node's output, by changing what follows it. */
static void
check_explain(void)
{
	NnGraph *g = env_graph(24, 10, 9, 1);
	int conv, last, node;
	NnEngine engine;
	float *weights, *x;
	float probabilities[3], logits[3];
	void *scratch, *engine_scratch;
	uint32_t state = 3;
	size_t i;

	last = env_add(g, "Conv2D", "one", "filters=6 kernel_size=3 padding=same activation=relu", 0);
	last = env_add(g, "BatchNormalization", "bn", "", last);
	last = env_add(g, "MaxPooling2D", "pool1", "", last);
	conv = last = env_add(g, "Conv2D", "two", "filters=5 kernel_size=3 padding=same activation=relu", last);
	last = env_add(g, "MaxPooling2D", "pool2", "", last);
	last = env_add(g, "Flatten", "flat", "", last);
	last = env_add(g, "Dropout", "drop", "rate=0.5", last);
	last = env_add(g, "Dense", "head", "units=3 activation=softmax", last);
	env_finish(g, last);
	weights = env_alloc(g->n_weights * sizeof(float));
	nn_weights_init(weights, g, 5, NULL);
	x = env_alloc(90 * sizeof(float));
	for (i = 0; i < 90; i++)
		x[i] = env_random(&state) - 0.5f;
	env_engine_init(&engine, g, weights, nn_path_best());
	scratch = env_alloc(nn_explain_scratch_bytes(&engine));
	engine_scratch = env_alloc(nn_engine_scratch_bytes(&engine, 1));
	nn_engine_run(probabilities, logits, NULL, x, 1, &engine, engine_scratch, NULL);

	for (node = 0; node < nn_graph_node_count(g) - 1; node++)
	{
		NnNodeInfo info;
		size_t n;
		float *activation, *gradient;
		float p[3];
		double dot = 0.0;

		nn_graph_node(&info, g, node);
		n = nn_shape_floats(&info.shape);
		activation = env_alloc(n * sizeof(float));
		gradient = env_alloc(n * sizeof(float));
		unit_ok(nn_explain_run(activation, gradient, p, x, node, 2, &engine, scratch, NULL) == NN_OK,
				"explain %s", info.name);
		unit_ok(fabsf(p[0] - probabilities[0]) < 1e-6f && fabsf(p[2] - probabilities[2]) < 1e-6f,
				"%s: the engine's probabilities", info.name);
		/* behind the last convolution all is linear but for a bias: activation * gradient is the logit */
		for (i = 0; i < n; i++)
			dot += (double) activation[i] * gradient[i];
		if (node >= conv)
			unit_near(dot, logits[2] - weights[g->n_weights - 1], 1e-5,
					  "%s: activation times gradient is the logit", info.name);
		if (node == 0)
			for (i = 0; i < 90; i += 17)
			{
				float saved = x[i];
				float up[3], down[3];

				x[i] = saved + 1e-2f;
				nn_engine_run(p, up, NULL, x, 1, &engine, engine_scratch, NULL);
				x[i] = saved - 1e-2f;
				nn_engine_run(p, down, NULL, x, 1, &engine, engine_scratch, NULL);
				x[i] = saved;
				unit_near((up[2] - down[2]) / 2e-2, gradient[i], 2e-2, "pixel %zu", i);
			}
		free(activation);
		free(gradient);
	}
	free(scratch);
	free(engine_scratch);
	free((void *) engine.packed);
	free(weights);
	free(x);
	free(g);
}

int
main(void)
{
	static const char *const merges[] = {"Add", "Multiply", "Average", "Maximum", "Subtract"};
	NnPath path;
	int by_nodes;
	size_t i;

	for (path = NN_PATH_REFERENCE; path <= nn_path_best(); path++)
		for (by_nodes = 0; by_nodes < 2; by_nodes++)
		{
			for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
				check_case(&cases[i], by_nodes, path);
			check_branches(by_nodes, path);
			for (i = 0; i < 5; i++)
				check_merge(merges[i], i == 4 ? 2 : 4, by_nodes, path);
		}
	check_explain();
	return unit_done();
}
