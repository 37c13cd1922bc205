/*
 * test_nn_model.c
 *		Graphs and model bytes: what is refused and why, round trips, and bytes
 *		that are short, changed, or hostile.
 */
#include "nn/graph.h"
#include "nn/initializers.h"
#include "nn/nn.h"
#include "nn_env.h"

/* A network with every node type that has parameters or variables. */
static NnGraph *
rich_graph(void)
{
	NnGraph *g = env_graph(40, 13, 11, 3);
	int both[2];
	int a = env_add(g, "Rescaling", "rescaling", "scale=0.5 offset=-1", 0);
	int b, d;

	a = env_add(g, "Conv2D", "conv",
				"filters=4 kernel_size=3,2 strides=2,1 padding=same activation=leaky_relu", a);
	b = env_add(g, "DepthwiseConv2D", "depthwise", "kernel_size=3 padding=same depth_multiplier=1", a);
	b = env_add(g, "BatchNormalization", "bn", "momentum=0.9", b);
	b = env_add(g, "LeakyReLU", "leaky", "negative_slope=0.1", b);
	both[0] = a;
	both[1] = b;
	a = env_add_inputs(g, "Concatenate", "concatenate", "axis=-1", 2, both);
	a = env_add(g, "AveragePooling2D", "average", "pool_size=2 padding=same", a);
	a = env_add(g, "MaxPooling2D", "maximum", "pool_size=2 strides=1", a);
	env_add(g, "Conv2D", "unused", "filters=9 kernel_size=1", a);
	b = env_add(g, "GlobalMaxPooling2D", "global_maximum", "", a);
	a = env_add(g, "GlobalAveragePooling2D", "global_average", "", a);
	both[0] = a;
	both[1] = b;
	a = env_add_inputs(g, "Add", "add", "", 2, both);
	a = env_add(g, "Dropout", "dropout", "rate=0.25", a);
	d = env_add(g, "Dense", "dense", "units=5 activation=tanh", a);
	d = env_add(g, "Dense", "head", "units=3", d);
	d = env_add(g, "Softmax", "softmax", "", d);
	env_finish(g, d);
	return g;
}

typedef struct Model
{
	NnGraph *graph;
	float *weights;
	unsigned char *bytes;
	size_t n;
	size_t head;
} Model;

static const NnSection sections[2] = {
	{{'P', 'R', 'E', 'P'}, "rescale", 7},
	{{'N', 'O', 'N', 'E'}, "", 0},
};

static Model
rich_model(void)
{
	Model m;
	NnError error;
	NnModelView view;

	m.graph = rich_graph();
	m.weights = env_alloc(nn_graph_weight_count(m.graph) * sizeof(float));
	nn_weights_init(m.weights, m.graph, 11, NULL);
	m.n = nn_model_bytes(m.graph, sections, 2);
	m.bytes = env_alloc(m.n);
	unit_ok(nn_model_write(m.bytes, m.n, m.graph, m.weights, sections, 2, &error) == NN_OK, "write");
	unit_ok(nn_model_open(&view, m.bytes, m.n, &error) == NN_OK, "open");
	m.head = view.head_bytes;
	return m;
}

static void
model_free(Model *m)
{
	free(m->graph);
	free(m->weights);
	free(m->bytes);
}

/* The layers and parameters that came after the first ones. */
static NnGraph *
later_graph(void)
{
	NnGraph *g = env_graph(40, 8, 8, 4);
	int three[3];
	int a = env_add(g, "ZeroPadding2D", "padding", "padding=1,0,2,1", 0);

	a = env_add(g, "Cropping2D", "cropping", "cropping=1,0,2,1", a);
	a = env_add(g, "Rescaling", "rescaling", "scale=1,2,3 offset=0",
				env_add(g, "Conv2D", "c3", "filters=3 kernel_size=1", a));
	a = env_add(g, "Conv2D", "dilated", "filters=4 kernel_size=3 padding=same dilation_rate=2 trainable=0",
				a);
	a = env_add(g, "Conv2D", "groups", "filters=4 kernel_size=3 padding=same groups=2 activation=relu6", a);
	a = env_add(g, "BatchNormalization", "bn", "training=0", a);
	a = env_add(g, "Activation", "mish", "activation=mish", a);
	a = env_add(g, "LayerNormalization", "layer", "epsilon=0.01", a);
	a = env_add(g, "GroupNormalization", "group", "groups=2", a);
	a = env_add(g, "SelectChannels", "select", "start=0 outer=2 outer_stride=1 inner=2 inner_stride=2", a);
	a = env_add(g, "PReLU", "prelu", "shared_axes=1,2 alpha_regularizer=0.1,0.2 alpha_constraint=1,2,7", a);
	a = env_add(g, "PReLU", "places", "", a);
	a = env_add(g, "ReLU", "relu6", "max_value=6", a);
	a = env_add(g, "ELU", "elu", "alpha=0.5", a);
	a = env_add(g, "SpatialDropout2D", "spatial", "rate=0.5", a);
	a = env_add(g, "UpSampling2D", "up", "size=1,2 interpolation=bilinear", a);
	three[0] = three[1] = a;
	three[2] = env_add(g, "GlobalAveragePooling2D", "squeeze", "", a);
	a = env_add_inputs(g, "Multiply", "multiply", "", 3, three);
	three[0] = a;
	a = env_add_inputs(g, "Average", "average", "", 2, three);
	a = env_add_inputs(g, "Subtract", "subtract", "", 2, three);
	three[1] = a;
	a = env_add_inputs(g, "Maximum", "maximum", "", 2, three);
	three[1] = a;
	a = env_add_inputs(g, "Minimum", "minimum", "", 2, three);
	a = env_add(g, "Reshape", "reshape", "target_shape=-1", a);
	a = env_add(g, "Dense", "head", "units=1 activation=sigmoid", a);
	env_finish(g, a);
	return g;
}

/* Checks that a graph keeps every parameter, and its scores, through its stored form. */
static void
test_later(void)
{
	NnGraph *g = later_graph();
	NnGraph *again = env_alloc(nn_graph_bytes(40));
	float *weights = env_alloc(nn_graph_weight_count(g) * sizeof(float));
	size_t n = nn_model_bytes(g, NULL, 0);
	unsigned char *bytes = env_alloc(n);
	NnModelView view;
	NnError error;
	int i, k;

	nn_weights_init(weights, g, 3, NULL);
	unit_ok(nn_model_write(bytes, n, g, weights, NULL, 0, &error) == NN_OK, "write");
	unit_ok(nn_model_open(&view, bytes, n, &error) == NN_OK &&
				nn_model_graph(again, &view, bytes, &error) == NN_OK,
			"read: %s", error.message);
	unit_ok(nn_graph_node_count(again) == nn_graph_node_count(g), "as many nodes");
	for (i = 0; i < nn_graph_node_count(g); i++)
		for (k = 0; k < NN_MAX_PARAMS; k++)
			unit_ok(memcmp(&g->nodes[i].spec.params[k], &again->nodes[i].spec.params[k], sizeof(NnValue)) ==
						0,
					"parameter %d of %s", k, g->nodes[i].spec.name);
	free(g);
	free(again);
	free(weights);
	free(bytes);
}

static void
test_round_trip(void)
{
	Model m = rich_model();
	NnModelView view;
	NnError error;
	NnGraph *again;
	unsigned char *bytes = env_alloc(m.n);
	NnEngine a, b;
	float x[13 * 11 * 3], p[3], q[3];
	uint32_t state = 5;
	size_t i;
	void *scratch;

	unit_ok(nn_model_open(&view, m.bytes, m.n, &error) == NN_OK && view.total_bytes == m.n &&
				view.n_nodes == nn_graph_node_count(m.graph) && view.n_sections == 2 &&
				view.weights_offset % NN_ALIGN == 0 && view.n_weights == nn_graph_weight_count(m.graph),
			"the view is right");
	unit_ok(memcmp(view.sections[0].tag, "PREP", 4) == 0 && view.sections[0].bytes == 7 &&
				memcmp(view.sections[0].data, "rescale", 7) == 0 && view.sections[1].bytes == 0,
			"sections come back");
	again = env_alloc(nn_graph_bytes(view.n_nodes));
	unit_ok(nn_model_graph(again, &view, m.bytes, &error) == NN_OK, "the graph comes back");
	unit_ok(memcmp(m.bytes + view.weights_offset, m.weights, view.n_weights * sizeof(float)) == 0,
			"the weights come back");
	unit_ok(nn_model_write(bytes, m.n, again, m.weights, sections, 2, &error) == NN_OK &&
				memcmp(bytes, m.bytes, m.n) == 0,
			"written again: the same bytes");

	for (i = 0; i < sizeof(x) / sizeof(x[0]); i++)
		x[i] = env_random(&state);
	env_engine_init(&a, m.graph, m.weights, nn_path_best());
	env_engine_init(&b, again, (const float *) (m.bytes + view.weights_offset), nn_path_best());
	scratch = env_alloc(nn_engine_scratch_bytes(&a, 1));
	unit_ok(nn_engine_run(p, NULL, NULL, x, 1, &a, scratch, NULL) == NN_OK &&
				nn_engine_run(q, NULL, NULL, x, 1, &b, scratch, NULL) == NN_OK &&
				memcmp(p, q, sizeof(p)) == 0,
			"same scores");
	unit_near(p[0] + p[1] + p[2], 1.0, 1e-6, "that are probabilities");

	/* a graph is flat: a copy works */
	{
		NnGraph *copy = env_alloc(nn_graph_bytes(40));
		NnEngine c = a;

		memcpy(copy, m.graph, nn_graph_bytes(40));
		c.graph = copy;
		unit_ok(nn_engine_run(q, NULL, NULL, x, 1, &c, scratch, NULL) == NN_OK &&
					memcmp(p, q, sizeof(p)) == 0,
				"a copied graph works");
		free(copy);
	}
	{
		volatile sig_atomic_t stop = 1;

		unit_ok(nn_engine_run(p, NULL, NULL, x, 1, &a, scratch, &stop) == NN_INTERRUPTED, "prediction stops");
	}
	free(scratch);
	free((void *) a.packed);
	free((void *) b.packed);
	free(again);
	free(bytes);
	model_free(&m);
}

/* Opens bytes of exactly this size, and builds the graph if it can. */
static NnStatus
read_all(const unsigned char *bytes, size_t n, NnModelView *view)
{
	unsigned char *exact = env_alloc(n);
	NnError error;
	NnStatus status;

	memset(&error, 0, sizeof(error));
	memcpy(exact, bytes, n);
	status = nn_model_open(view, exact, n, &error);
	if (status == NN_OK)
	{
		NnGraph *graph = env_alloc(nn_graph_bytes(view->n_nodes));

		status = nn_model_graph(graph, view, exact, &error);
		free(graph);
	}
	if (status != NN_OK && error.message[0] == '\0')
		unit_ok(false, "status %d comes with a message", (int) status);
	free(exact);
	return status;
}

static void
test_truncated(void)
{
	Model m = rich_model();
	size_t i;
	int bad = 0, unhelpful = 0;

	for (i = 0; i < m.n; i++)
	{
		NnModelView view;
		NnStatus status = read_all(m.bytes, i, &view);

		if (i < m.head)
		{
			bad += (status != NN_CORRUPT);
			unhelpful += (view.head_bytes <= i);
		}
		else
			bad += (status != NN_OK);
	}
	unit_ok(bad == 0, "%zu truncations: %d judged wrongly", m.n, bad);
	unit_ok(unhelpful == 0, "a short head tells how much it needs");
	model_free(&m);
}

static void
test_mutated(void)
{
	static const unsigned char flips[] = {0x01, 0x80, 0xff, 0x7f, 0x10};
	Model m = rich_model();
	size_t i, k;
	int accepted = 0, refused = 0;

	for (i = 0; i < m.head; i++)
		for (k = 0; k < sizeof(flips); k++)
		{
			NnModelView view;

			m.bytes[i] ^= flips[k];
			if (read_all(m.bytes, m.head, &view) == NN_OK)
				accepted++;
			else
				refused++;
			m.bytes[i] ^= flips[k];
		}
	unit_ok(refused > 0, "%zu changed bytes: %d models refused, %d still valid", m.head, refused, accepted);
	model_free(&m);
}

static void
set_u32(unsigned char *p, uint32_t v)
{
	int i;

	for (i = 0; i < 4; i++)
		p[i] = (unsigned char) (v >> (8 * i));
}

static void
test_hostile(void)
{
	static const size_t fields[] = {8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60};
	static const uint32_t values[] = {0, 1, 0x7fffffffu, 0x80000000u, 0xffffffffu, 4096, 65536};
	Model m = rich_model();
	unsigned char *bytes = env_alloc(m.n);
	NnModelView view;
	NnError error;
	size_t i, k;
	int accepted = 0;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		for (k = 0; k < sizeof(values) / sizeof(values[0]); k++)
		{
			memcpy(bytes, m.bytes, m.n);
			set_u32(bytes + fields[i], values[k]);
			/* this network fits images of other sizes too */
			if ((fields[i] == 52 || fields[i] == 56) && values[k] == 4096)
				continue;
			if (memcmp(bytes, m.bytes, m.n) != 0 && read_all(bytes, m.n, &view) == NN_OK)
				accepted++;
		}
	unit_ok(accepted == 0, "hostile sizes in the header: %d accepted", accepted);
	unit_ok(nn_model_open(&view, "not a model, but some text that is long enough for a header ok", 63,
						  &error) == NN_CORRUPT &&
				strstr(error.message, "not a pneumo model") != NULL,
			"text: %s", error.message);
	memcpy(bytes, m.bytes, m.n);
	set_u32(bytes + 8, 2);
	unit_ok(nn_model_open(&view, bytes, m.n, &error) == NN_UNSUPPORTED && error.hint[0] != '\0',
			"a later format: %s", error.message);
	free(bytes);
	model_free(&m);
}

/* ------------------------------------------------------------ bad networks */

static NnStatus
try_add(NnGraph *g, const char *class_name, const char *settings, int input, NnError *error)
{
	NnNodeSpec spec;
	char copy[256];
	char *word;
	static int number = 0;

	nn_node_spec_init(&spec, nn_op_find(class_name));
	snprintf(spec.name, sizeof(spec.name), "node%d", number++);
	spec.n_inputs = 1;
	spec.inputs[0] = input;
	snprintf(copy, sizeof(copy), "%s", settings);
	for (word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
	{
		char *equals = strchr(word, '=');

		*equals = '\0';
		env_set(&spec, word, equals + 1);
	}
	memset(error, 0, sizeof(*error));
	return nn_graph_add(g, &spec, NULL, error);
}

static void
test_refused(void)
{
	static const struct
	{
		const char *class_name;
		const char *settings;
		NnStatus status;
	} cases[] = {
		{"Conv2D", "kernel_size=3", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=0 kernel_size=3", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=2.5 kernel_size=3", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=4 kernel_size=9", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=4 kernel_size=3,0", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=4 kernel_size=3 padding=full", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=4 kernel_size=3 activation=gleu", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=4 kernel_size=3 activation=gelu", NN_UNSUPPORTED},
		{"Conv2D", "filters=4 kernel_size=3 dilation_rate=5", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=4 kernel_size=3 groups=3", NN_BAD_ARGUMENT},
		{"ReLU", "negative_slope=0.1 max_value=6", NN_UNSUPPORTED},
		{"ZeroPadding2D", "padding=-1,0,0,0", NN_BAD_ARGUMENT},
		{"ZeroPadding2D", "padding=4096,4096,0,0", NN_TOO_LARGE},
		{"Cropping2D", "cropping=4,4,0,0", NN_BAD_ARGUMENT},
		{"UpSampling2D", "size=0", NN_BAD_ARGUMENT},
		{"Reshape", "target_shape=5,-1", NN_UNSUPPORTED},
		{"Reshape", "target_shape=3,-1,1", NN_BAD_ARGUMENT},
		{"Reshape", "target_shape=-1,-1,1", NN_BAD_ARGUMENT},
		{"Reshape", "target_shape=0", NN_BAD_ARGUMENT},
		{"Rescaling", "scale=1,2,3", NN_BAD_ARGUMENT},
		{"LayerNormalization", "axis=1", NN_UNSUPPORTED},
		{"GroupNormalization", "groups=0", NN_BAD_ARGUMENT},
		{"SelectChannels", "inner=2", NN_BAD_ARGUMENT},
		{"SelectChannels", "inner=16777216 outer=16777216 outer_stride=16777216 inner_stride=16777216",
		 NN_BAD_ARGUMENT},
		{"PReLU", "shared_axes=4", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=1 kernel_size=1 kernel_regularizer=-1,0", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=1 kernel_size=1 kernel_constraint=4,0,0", NN_BAD_ARGUMENT},
		{"Conv2D", "filters=1 kernel_size=1 kernel_constraint=1,2,16", NN_BAD_ARGUMENT},
		{"MaxPooling2D", "pool_size=20", NN_BAD_ARGUMENT},
		{"Dense", "units=4", NN_BAD_ARGUMENT},
		{"Dropout", "rate=1", NN_BAD_ARGUMENT},
		{"Dropout", "", NN_BAD_ARGUMENT},
		{"BatchNormalization", "axis=1", NN_UNSUPPORTED},
		{"Concatenate", "", NN_BAD_ARGUMENT},
	};
	NnGraph *g = env_graph(30, 8, 8, 1);
	NnGraph *big = env_graph(4, 2048, 2048, 4);
	NnError error;
	size_t i;
	int d;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		NnStatus status = try_add(g, cases[i].class_name, cases[i].settings, 0, &error);

		unit_ok(status == cases[i].status && error.node == -1 + (status != NN_OK) * (error.node + 1),
				"%s(%s): %s", cases[i].class_name, cases[i].settings, error.message);
	}
	unit_ok(try_add(g, "Flatten", "", 7, &error) == NN_BAD_ARGUMENT, "%s", error.message);

	env_add(big, "Flatten", "flat", "", 0);
	unit_ok(try_add(big, "Dense", "units=1000", 1, &error) == NN_TOO_LARGE, "%s", error.message);
	unit_ok(try_add(big, "Conv2D", "filters=65536 kernel_size=3 padding=same", 0, &error) == NN_TOO_LARGE,
			"%s", error.message);
	unit_ok(nn_graph_finish(big, 1, &error) == NN_UNSUPPORTED || error.status == NN_UNSUPPORTED, "%s",
			error.message);

	d = env_add(g, "Flatten", "flat", "", 0);
	d = env_add(g, "Dense", "linear", "units=1", d);
	unit_ok(nn_graph_finish(g, d, &error) == NN_UNSUPPORTED && strstr(error.hint, "sigmoid") != NULL, "%s",
			error.message);
	d = env_add(g, "Dense", "wide", "units=3 activation=sigmoid", 1);
	unit_ok(nn_graph_finish(g, d, &error) == NN_OK && nn_graph_is_multi_label(g) &&
				nn_graph_class_count(g) == 3,
			"three findings");
	nn_graph_begin(g, 4, 8, 8, 1, &error);
	d = env_add(g, "Flatten", "flat", "", 0);
	d = env_add(g, "Dense", "wide", "units=3 activation=tanh", d);
	unit_ok(nn_graph_finish(g, d, &error) == NN_UNSUPPORTED && strstr(error.hint, "softmax") != NULL, "%s",
			error.message);
	unit_ok(nn_graph_begin(g, 4, 0, 4, 1, &error) == NN_BAD_ARGUMENT, "%s", error.message);
	unit_ok(nn_graph_begin(g, 4, 5000, 4, 1, &error) == NN_TOO_LARGE, "%s", error.message);
	unit_ok(nn_graph_bytes(0) == 0 && nn_graph_bytes(NN_MAX_NODES + 1) == 0, "no such graphs");
	free(g);
	free(big);
}

static void
test_queries(void)
{
	NnGraph *g = rich_graph();
	NnVariable v;
	NnNodeInfo info;
	size_t sum = 0;
	int i;

	for (i = 0; i < nn_graph_variable_count(g); i++)
	{
		nn_graph_variable(&v, g, i);
		if (v.offset != sum)
			break;
		sum += v.count;
	}
	unit_ok(sum == nn_graph_weight_count(g), "variables lie one after the other");
	nn_graph_variable(&v, g, 0);
	unit_text(v.name, "conv/kernel", "the first variable");
	for (i = 0; i < nn_graph_node_count(g); i++)
	{
		nn_graph_node(&info, g, i);
		if (strcmp(info.name, "unused") == 0)
			unit_ok(false, "nodes that lead nowhere are dropped");
	}
	nn_graph_node(&info, g, nn_graph_embedding_node(g));
	unit_text(info.name, "dense", "the embedding");
	nn_graph_node(&info, g, nn_graph_map_node(g));
	unit_text(info.name, "concatenate", "the map of two branches");
	unit_ok(nn_graph_class_count(g) == 3 && nn_graph_output_units(g) == 3, "three classes");
	for (i = 0; i < nn_op_count(); i++)
		if (nn_op_find(nn_op_info(i)->class_name) != i || nn_op_info(i)->doc == NULL)
			unit_ok(false, "node type %d is found", i);
	unit_ok(nn_op_info(-1) == NULL && nn_op_find("Nothing") == -1, "unknown node types");
	free(g);
}

/* Checks which node's output a map explains, in a graph that ends here with node; frees the graph. */
static void
map_node(NnGraph *g, int node, const char *expected, const char *network)
{
	NnNodeInfo info;

	node = env_add(g, "Dense", "head", "units=1 activation=sigmoid", node);
	env_finish(g, node);
	nn_graph_node(&info, g, nn_graph_map_node(g));
	unit_text(info.name, expected, network);
	free(g);
}

static void
test_map_nodes(void)
{
	NnGraph *g = env_graph(20, 16, 16, 1);
	int both[2];
	int node;

	node = env_add(g, "Conv2D", "conv", "filters=4 kernel_size=3 padding=same activation=relu", 0);
	node = env_add(g, "MaxPooling2D", "pool", "pool_size=2", node);
	node = env_add(g, "Dropout", "dropout", "rate=0.25", node);
	node = env_add(g, "Flatten", "flat", "", node);
	map_node(g, node, "conv", "the convolution before pooling and dropout");

	g = env_graph(20, 16, 16, 1);
	both[0] = env_add(g, "Conv2D", "stem", "filters=4 kernel_size=3 padding=same activation=relu", 0);
	both[1] = env_add(g, "Conv2D", "branch", "filters=4 kernel_size=3 padding=same", both[0]);
	node = env_add_inputs(g, "Add", "sum", "", 2, both);
	node = env_add(g, "ReLU", "relu", "", node);
	node = env_add(g, "GlobalAveragePooling2D", "average", "keepdims=1", node);
	node = env_add(g, "Conv2D", "pixel", "filters=4 kernel_size=1 activation=relu", node);
	node = env_add(g, "Flatten", "flat", "", node);
	map_node(g, node, "relu", "the sum of a residual block, not the convolution of one pixel behind it");

	g = env_graph(20, 16, 16, 1);
	both[0] = env_add(g, "Conv2D", "left", "filters=4 kernel_size=3 padding=same activation=relu", 0);
	both[1] = env_add(g, "Conv2D", "right", "filters=4 kernel_size=5 padding=same activation=relu", 0);
	both[0] = env_add(g, "GlobalAveragePooling2D", "left_average", "", both[0]);
	both[1] = env_add(g, "GlobalAveragePooling2D", "right_average", "", both[1]);
	node = env_add_inputs(g, "Concatenate", "both", "", 2, both);
	map_node(g, node, "right", "the last convolution of two towers");

	g = env_graph(20, 16, 16, 1);
	node = env_add(g, "Flatten", "flat", "", 0);
	node = env_add(g, "Dense", "head", "units=1 activation=sigmoid", node);
	env_finish(g, node);
	unit_ok(nn_graph_map_node(g) == -1, "no convolution");
	free(g);
}

static void
test_initializers(void)
{
	NnGraph *g = env_graph(6, 1, 1, 400);
	float *w;
	size_t i, n;
	double sum = 0, square = 0, most = 0, limit = sqrt(6.0 / (400 + 300));
	NnValue value;
	NnVariable v;
	int d;

	d = env_add(g, "Flatten", "flat", "", 0);
	d = env_add(g, "Dense", "dense", "units=300", d);
	d = env_add(g, "Dense", "head", "units=1 activation=sigmoid", d);
	env_finish(g, d);
	w = env_alloc(nn_graph_weight_count(g) * sizeof(float));
	nn_weights_init(w, g, 3, NULL);
	n = 400 * 300;
	for (i = 0; i < n; i++)
	{
		sum += w[i];
		square += (double) w[i] * w[i];
		if (fabs(w[i]) > most)
			most = fabs(w[i]);
	}
	unit_ok(most <= limit && most > 0.999 * limit, "Glorot's limit");
	unit_near(sum / (double) n, 0, 0.001, "mean 0");
	unit_near(square / (double) n, limit * limit / 3, 1e-5, "variance of a uniform distribution");
	nn_graph_variable(&v, g, 1);
	unit_ok(w[v.offset] == 0 && w[v.offset + 299] == 0, "biases are zero");

	{
		static const char *const names[] = {"he_normal", "truncated_normal", "random_normal"};
		static const double wanted[] = {0.0707106781, 0.05, 0.05};
		NnNodeVariable variable;

		memset(&variable, 0, sizeof(variable));
		variable.rank = 2;
		variable.dims[0] = 400;
		variable.dims[1] = 300;
		variable.count = n;
		for (d = 0; d < 3; d++)
		{
			unit_ok(nn_initializer_find(&variable.initializer, names[d]) == 0, "%s", names[d]);
			nn_initialize(w, &variable, 9, 0);
			square = most = 0;
			for (i = 0; i < n; i++)
			{
				square += (double) w[i] * w[i];
				if (fabs(w[i]) > most)
					most = fabs(w[i]);
			}
			/* Keras's truncated_normal is not corrected for the cut: 0.88 of its stddev */
			unit_near(sqrt(square / (double) n), wanted[d] * (d == 1 ? 0.8796 : 1), 5e-4,
					  "%s: standard deviation", names[d]);
			unit_ok(d == 2 || most <= 2 * wanted[d] / (d == 0 ? 0.8796 : 1) + 1e-6, "%s: within two",
					names[d]);
		}
	}
	unit_ok(nn_initializer_find(&value, "GlorotNormal") == 0 &&
				nn_initializer_find(&value, "unheard_of") == -1,
			"names");
	nn_initializer_find(&value, "VarianceScaling");
	unit_ok(nn_initializer_set(&value, "scale", 2.0, NULL) == 0 &&
				nn_initializer_set(&value, "mode", 0, "fan_out") == 0 &&
				nn_initializer_set(&value, "distribution", 0, "uniform") == 0 &&
				nn_initializer_set(&value, "seed", 0, NULL) == 0 &&
				nn_initializer_set(&value, "mean", 0, NULL) == -1 && nn_initializer_valid(&value),
			"settings of an initialiser");
	free(w);
	free(g);
}

/* Largest departure of the products of columns (or rows) from gain squared times identity. */
static double
not_orthogonal(const float *w, int rows, int cols, double gain)
{
	int by_column = rows >= cols;
	int n = by_column ? cols : rows;
	int length = by_column ? rows : cols;
	double most = 0;
	int a, b, i;

	for (a = 0; a < n; a++)
		for (b = 0; b <= a; b++)
		{
			double sum = 0;

			for (i = 0; i < length; i++)
				sum += by_column ? (double) w[i * cols + a] * w[i * cols + b]
								 : (double) w[a * cols + i] * w[b * cols + i];
			most = fmax(most, fabs(sum - (a == b ? gain * gain : 0)));
		}
	return most;
}

static void
test_orthogonal(void)
{
	static const int shapes[][2] = {{200, 70}, {70, 200}, {130, 130}, {1, 5}, {5, 1}};
	float *w = env_alloc(200 * 130 * sizeof(float));
	NnNodeVariable variable;
	NnGraph *g = env_graph(8, 8, 8, 1);
	NnError error;
	NnNodeSpec spec;
	double mean = 0;
	double square = 0;
	int i;

	for (i = 0; i < 5; i++)
	{
		memset(&variable, 0, sizeof(variable));
		variable.rank = 2;
		variable.dims[0] = shapes[i][0];
		variable.dims[1] = shapes[i][1];
		variable.count = (size_t) shapes[i][0] * shapes[i][1];
		unit_ok(nn_initializer_find(&variable.initializer, i % 2 ? "Orthogonal" : "orthogonal") == 0 &&
					nn_initializer_set(&variable.initializer, "gain", 1.5, NULL) == 0 &&
					nn_initializer_valid(&variable.initializer),
				"orthogonal");
		nn_initialize(w, &variable, 5, 1);
		unit_ok(not_orthogonal(w, shapes[i][0], shapes[i][1], 1.5) < 1e-5, "orthogonal %d x %d", shapes[i][0],
				shapes[i][1]);
	}

	/* uniform over all such matrices: an element is 0 on average, its square 1 / 8 */
	variable.dims[0] = variable.dims[1] = 8;
	variable.count = 64;
	variable.initializer.v[1] = 1;
	for (i = 0; i < 4000; i++)
	{
		nn_initialize(w, &variable, (uint64_t) i, 1);
		mean += w[0] / 4000.0;
		square += w[9] * w[9] / 4000.0;
	}
	unit_near(mean, 0, 0.02, "the sign of an orthogonal matrix is drawn");
	unit_near(square, 1.0 / 8, 0.01, "and all its elements are alike");

	/* a convolution's kernel is one matrix: all dimensions but the last by the last */
	variable.rank = 4;
	variable.dims[0] = variable.dims[1] = 3;
	variable.dims[2] = 4;
	variable.dims[3] = 16;
	variable.count = 3 * 3 * 4 * 16;
	nn_initialize(w, &variable, 5, 1);
	unit_ok(not_orthogonal(w, 36, 16, 1) < 1e-5, "an orthogonal kernel");

	variable.rank = 2;
	variable.dims[0] = 3;
	variable.dims[1] = 2;
	variable.count = 6;
	unit_ok(nn_initializer_find(&variable.initializer, "identity") == 0 &&
				nn_initializer_set(&variable.initializer, "gain", 2, NULL) == 0 &&
				nn_initializer_set(&variable.initializer, "scale", 2, NULL) == -1,
			"identity");
	nn_initialize(w, &variable, 5, 1);
	unit_ok(w[0] == 2 && w[1] == 0 && w[2] == 0 && w[3] == 2 && w[4] == 0 && w[5] == 0, "the identity");

	nn_node_spec_init(&spec, nn_op_find("Conv2D"));
	spec.n_inputs = 1;
	spec.inputs[0] = 0;
	snprintf(spec.name, sizeof(spec.name), "conv");
	spec.params[nn_op_param_find(spec.op, "filters")].v[0] = 4;
	spec.params[nn_op_param_find(spec.op, "kernel_size")].v[0] = 3;
	spec.params[nn_op_param_find(spec.op, "kernel_size")].v[1] = 3;
	nn_initializer_find(&spec.params[nn_op_param_find(spec.op, "kernel_initializer")], "identity");
	unit_ok(nn_graph_add(g, &spec, NULL, &error) == NN_BAD_ARGUMENT &&
				strstr(error.message, "identity") != NULL,
			"no identity for a convolution");
	nn_initializer_find(&spec.params[nn_op_param_find(spec.op, "kernel_initializer")], "orthogonal");
	nn_initializer_find(&spec.params[nn_op_param_find(spec.op, "bias_initializer")], "orthogonal");
	unit_ok(nn_graph_add(g, &spec, NULL, &error) == NN_BAD_ARGUMENT &&
				strstr(error.message, "bias has 1 dimension") != NULL,
			"no orthogonal biases");
	nn_initializer_find(&spec.params[nn_op_param_find(spec.op, "bias_initializer")], "zeros");
	unit_ok(nn_graph_add(g, &spec, NULL, &error) == NN_OK, "an orthogonal convolution");
	free(w);
	free(g);
}

int
main(void)
{
	test_orthogonal();
	test_round_trip();
	test_truncated();
	test_mutated();
	test_hostile();
	test_later();
	test_refused();
	test_queries();
	test_map_nodes();
	test_initializers();
	return unit_done();
}
