/*
 * test_nn_golden.c
 *		The network core against Keras 3: tests/golden/{network,optimizers,
 *		callbacks}, whose scripts describe the files.
 *
 * Each network runs three times: every node a tensor of its own, which lets
 * all values be compared; fused, as in earnest; and through the engine.
 */
#define _DEFAULT_SOURCE
#include "nn/activations.h"
#include "nn/batch.h"
#include "nn/callbacks.h"
#include "nn/graph.h"
#include "nn/kernels/kernels.h"
#include "nn/losses.h"
#include "nn/nn.h"
#include "nn/optimizers.h"
#include "nn/plan.h"
#include "nn/pool.h"
#include "nn/schedules.h"
#include "nn/trainer.h"
#include "nn_env.h"

#include <dirent.h>

/* ------------------------------------------------------------ golden files */

typedef struct Tensor
{
	const char *name;
	int rank;
	int dims[4];
	size_t n;
	double *values;
} Tensor;

#define MAX_LINES 400
#define MAX_TENSORS 300

typedef struct Golden
{
	char *text;
	char *lines[MAX_LINES];
	int n_lines;
	Tensor tensors[MAX_TENSORS];
	int n_tensors;
} Golden;

static void
read_tensor(Tensor *tensor, char *line)
{
	char *p = strchr(line, ' ') + 1;
	size_t i;
	int k;

	tensor->name = p;
	p += strcspn(p, " ");
	*p++ = '\0';
	tensor->rank = (int) strtol(p, &p, 10);
	tensor->n = 1;
	for (k = 0; k < tensor->rank; k++)
	{
		tensor->dims[k] = (int) strtol(p, &p, 10);
		tensor->n *= (size_t) tensor->dims[k];
	}
	tensor->values = env_alloc(tensor->n * sizeof(double));
	for (i = 0; i < tensor->n; i++)
		tensor->values[i] = strtod(p, &p);
}

static bool
golden_read(Golden *golden, const char *path)
{
	FILE *file = fopen(path, "rb");
	long size;
	char *p;

	memset(golden, 0, sizeof(*golden));
	if (file == NULL)
		return false;
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	golden->text = env_alloc((size_t) size + 1);
	if (fread(golden->text, 1, (size_t) size, file) != (size_t) size)
		size = 0;
	golden->text[size] = '\0';
	fclose(file);
	for (p = golden->text; *p != '\0';)
	{
		char *line = p;

		p += strcspn(p, "\n");
		if (*p == '\n')
			*p++ = '\0';
		if (strncmp(line, "tensor ", 7) == 0)
			read_tensor(&golden->tensors[golden->n_tensors++], line);
		else
			golden->lines[golden->n_lines++] = line;
	}
	return golden->n_lines > 0 && strcmp(golden->lines[golden->n_lines - 1], "end") == 0;
}

static void
golden_free(Golden *golden)
{
	int i;

	for (i = 0; i < golden->n_tensors; i++)
		free(golden->tensors[i].values);
	free(golden->text);
}

static const Tensor *
tensor_named(const Golden *golden, const char *format, ...)
{
	char name[128];
	va_list args;
	int i;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	for (i = 0; i < golden->n_tensors; i++)
		if (strcmp(golden->tensors[i].name, name) == 0)
			return &golden->tensors[i];
	return NULL;
}

/* The rest of the first line that begins with key and a blank; or NULL. */
static const char *
fact(const Golden *golden, const char *key)
{
	size_t n = strlen(key);
	int i;

	for (i = 0; i < golden->n_lines; i++)
		if (strncmp(golden->lines[i], key, n) == 0 && golden->lines[i][n] == ' ')
			return golden->lines[i] + n + 1;
	return NULL;
}

/* The value of "key=" in a line of settings; fallback if absent or "none". */
static double
setting(const char *line, const char *key, double fallback)
{
	char pattern[64];
	const char *p;

	snprintf(pattern, sizeof(pattern), " %s=", key);
	p = line != NULL ? strstr(line, pattern) : NULL;
	if (p == NULL || strncmp(p + strlen(pattern), "none", 4) == 0)
		return fallback;
	return atof(p + strlen(pattern));
}

/* ---------------------------------------------------------------- networks */

#define TOLERANCE 2e-5

/* The largest difference relative to the tensor's largest value (at least 1e-3). */
static double
difference(const float *got, const Tensor *want)
{
	double scale = 1e-3;
	double worst = 0.0;
	size_t i;

	for (i = 0; i < want->n; i++)
		if (fabs(want->values[i]) > scale)
			scale = fabs(want->values[i]);
	for (i = 0; i < want->n; i++)
	{
		double d = fabs((double) got[i] - want->values[i]);

		if (!(d <= worst))
			worst = d;
	}
	return worst / scale;
}

typedef struct Check
{
	int compared;
	char worst_name[128];
	double worst;
} Check;

static void
compare(Check *check, const float *got, const Tensor *want)
{
	double d;

	if (want == NULL)
		return;
	d = difference(got, want);
	check->compared++;
	if (!(d <= check->worst))
	{
		check->worst = d;
		snprintf(check->worst_name, sizeof(check->worst_name), "%s", want->name);
	}
}

static void
compare_scalar(Check *check, double got, const Tensor *want)
{
	float value = (float) got;

	compare(check, &value, want);
}

static NnGraph *
build_network(const Golden *golden, int no_fusion)
{
	NnGraph *graph = NULL;
	NnPlanOptions options = {NN_TRAINING, -1, no_fusion, 1};
	NnError error;
	int i;

	for (i = 0; i < golden->n_lines; i++)
	{
		char name[NN_NAME_LEN], class_name[64], sources[256];
		const char *line = golden->lines[i];
		const char *settings;
		int inputs[NN_MAX_INPUTS];
		int n_inputs = 0;
		int used = 0;
		char *p;

		if (strncmp(line, "node ", 5) != 0)
			continue;
		sscanf(line, "node %63s %63s %255s%n", name, class_name, sources, &used);
		settings = line + used;
		if (strcmp(class_name, "InputLayer") == 0)
		{
			int d[3] = {1, 1, 1};
			int n = sscanf(strstr(settings, "shape=") + 6, "%d,%d,%d", &d[0], &d[1], &d[2]);

			graph = env_graph(64, n == 3 ? d[0] : 1, n == 3 ? d[1] : 1, n == 3 ? d[2] : d[0]);
			if (n == 1)
				env_add(graph, "Flatten", "input_row", "", 0);
			continue;
		}
		for (p = sources; p != NULL; p = strchr(p, ',') != NULL ? strchr(p, ',') + 1 : NULL)
		{
			int k;
			size_t length = strcspn(p, ",");

			for (k = 0; k < graph->n_nodes; k++)
				if (strlen(graph->nodes[k].spec.name) == length &&
					strncmp(graph->nodes[k].spec.name, p, length) == 0)
					inputs[n_inputs] = k;
			if (inputs[n_inputs] == 0 && graph->n_nodes > 1 &&
				strcmp(graph->nodes[1].spec.name, "input_row") == 0)
				inputs[n_inputs] = 1;
			n_inputs++;
		}
		env_add_inputs(graph, class_name, name, settings + (*settings == ' '), n_inputs, inputs);
	}
	if (nn_graph_finish_as(graph, graph->n_nodes - 1, &options, &error) != NN_OK)
		unit_ok(false, "%s: %s", golden->lines[0], error.message);
	return graph;
}

static float *
read_weights(const Golden *golden, const NnGraph *graph)
{
	float *weights = env_alloc(nn_graph_weight_count(graph) * sizeof(float));
	int i;
	size_t k;

	for (i = 0; i < nn_graph_variable_count(graph); i++)
	{
		NnVariable v;
		const Tensor *tensor;

		nn_graph_variable(&v, graph, i);
		tensor = tensor_named(golden, "weight/%s", v.name);
		if (tensor == NULL || tensor->n != v.count)
		{
			unit_ok(false, "%s holds %s", golden->lines[0], v.name);
			continue;
		}
		for (k = 0; k < v.count; k++)
			weights[v.offset + k] = (float) tensor->values[k];
	}
	return weights;
}

/* Tells whether the samples have findings, of which y says 0, 1 or 2 for unknown, and not a class each. */
static int
has_findings(const Golden *golden)
{
	return strstr(fact(golden, "loss"), "findings") != NULL;
}

/* Fills targets, which have room for all of y, and hands them to both splits. */
static void
read_targets(EnvData *env, const Golden *golden, uint8_t *targets)
{
	const Tensor *y = tensor_named(golden, "y");
	size_t i;

	for (i = 0; i < y->n; i++)
		targets[i] = (uint8_t) y->values[i];
	env->data.target[0] = env->data.target[1] = targets;
}

static void
read_data(EnvData *env, const Golden *golden, const NnGraph *graph, float *sample_weights)
{
	const Tensor *x = tensor_named(golden, "x");
	const Tensor *y = tensor_named(golden, "y");
	const Tensor *w = tensor_named(golden, "sample_weight");
	size_t n = (size_t) y->dims[0];
	size_t units = (size_t) y->dims[1];
	int split;
	size_t i, k;

	env_data_init(env, graph, n, n, 1);
	for (split = 0; split < 2; split++)
	{
		for (i = 0; i < x->n; i++)
			env->x[split][i] = (float) x->values[i];
		for (i = 0; i < n; i++)
		{
			int32_t label = (int32_t) y->values[i];

			for (k = 0; units > 1 && k < units; k++)
				if (y->values[i * units + k] == 1)
					label = (int32_t) k;
			((int32_t *) env->data.label[split])[i] = label;
		}
		if (w != NULL)
		{
			for (i = 0; i < n; i++)
				sample_weights[i] = (float) w->values[i];
			env->data.weight[split] = sample_weights;
		}
	}
}

/* Only where all buffers stay as they were: not fused. */
static void
compare_nodes(Check *check, const Golden *golden, const NnTrainer *t)
{
	const NnTensor *tensors = nn_plan_tensors(t->plan);
	float *probabilities;
	int i;

	for (i = 1; i < t->graph->n_nodes; i++)
	{
		const char *name = t->graph->nodes[i].spec.name;
		int tensor = nn_plan_node_tensor(t->plan)[i];

		if (tensor < 0 || tensors[tensor].node != i || tensor == t->plan->output)
			continue;
		compare(check, nn_batch_tensor(t, tensor), tensor_named(golden, "out/%s", name));
		/* a step may destroy its own gradient where it has an activation */
		if (t->graph->nodes[i].n_consumers > 0 && tensors[tensor].gradient >= 0 &&
			nn_plan_steps(t->plan)[tensor - 1].activation == NN_LINEAR)
			compare(check, nn_batch_buffer(t, tensors[tensor].gradient),
					tensor_named(golden, "dout/%s", name));
	}
	probabilities = env_alloc((size_t) t->n * (size_t) t->units * sizeof(float));
	for (i = 0; i < t->n; i++)
		nn_probabilities(probabilities + i * t->units, nn_batch_tensor(t, t->plan->output) + i * t->units,
						 t->units, t->graph->output_activation);
	compare(check, probabilities,
			tensor_named(golden, "out/%s", t->graph->nodes[t->graph->n_nodes - 1].spec.name));
	free(probabilities);
}

static void
compare_ends(Check *check, const Golden *golden, const NnTrainer *t)
{
	const NnTensor *tensors = nn_plan_tensors(t->plan);

	compare(check, nn_batch_buffer(t, tensors[t->plan->output].gradient), tensor_named(golden, "dlogits"));
	if (tensors[0].gradient >= 0)
		compare(check, nn_batch_buffer(t, tensors[0].gradient), tensor_named(golden, "dx"));
}

static void
compare_weights(Check *check, const Golden *golden, const NnTrainer *t, const char *kind, const float *values)
{
	int i;

	for (i = 0; i < nn_graph_variable_count(t->graph); i++)
	{
		NnVariable v;

		nn_graph_variable(&v, t->graph, i);
		compare(check, values + v.offset, tensor_named(golden, "%s/%s", kind, v.name));
	}
}

/* Training mode; not_fused: every node a tensor. */
static void
check_training(const Golden *golden, int not_fused, NnPath path)
{
	NnGraph *graph = build_network(golden, not_fused);
	float *weights = read_weights(golden, graph);
	float sample_weights[64];
	uint8_t targets[64];
	const Tensor *class_weight = tensor_named(golden, "class_weight");
	const Tensor *negative_weight = tensor_named(golden, "negative_weight");
	NnTrainConfig config;
	EnvTrainer env;
	EnvData data;
	Check check = {0};
	size_t i;

	read_data(&data, golden, graph, sample_weights);
	if (has_findings(golden))
		read_targets(&data, golden, targets);
	env_config_init(&config, NN_SGD);
	config.shuffle = 0;
	config.batch_size = (int) data.data.n[0];
	config.label_smoothing = setting(fact(golden, "loss"), "label_smoothing", 0.0);
	config.optimizer.learning_rate = 1e-30;
	config.optimizer.global_clipnorm = 1e30; /* all gradients are kept */
	for (i = 0; class_weight != NULL && i < class_weight->n; i++)
		config.class_weight[i] = class_weight->values[i];
	for (i = 0; i < NN_MAX_CLASSES; i++)
		config.negative_weight[i] =
			negative_weight != NULL && i < negative_weight->n ? negative_weight->values[i] : 1.0;
	env_trainer_init(&env, graph, &config, &data.data, 1, path, weights, NULL);
	if (env.status != NN_OK)
		unit_ok(false, "%s: %s", golden->lines[0], env.error.message);
	else
	{
		NnTrainer *t = env.trainer;
		NnTrainHooks hooks;

		env_gradients(t);
		if (not_fused)
			compare_nodes(&check, golden, t);
		compare_ends(&check, golden, t);
		compare_weights(&check, golden, t, "dweight", t->gradients);
		compare_scalar(&check, t->batch_loss / t->n, tensor_named(golden, "loss"));
		compare_scalar(&check, t->batch_correct / t->n, tensor_named(golden, "accuracy"));
		memset(&hooks, 0, sizeof(hooks));
		t->config.epochs = 1;
		unit_ok(nn_train_run(t, &hooks, &env.error) == NN_OK, "%s: a step", golden->lines[0]);
		compare_weights(&check, golden, t, "after", t->weights);
		unit_ok(check.worst <= TOLERANCE, "%s %s %s: %d tensors, worst %s %.2g", golden->lines[0],
				not_fused ? "by nodes" : "fused", nn_path_name(path), check.compared, check.worst_name,
				check.worst);
	}
	env_trainer_free(&env);
	env_data_free(&data);
	free(weights);
	free(graph);
}

static void
check_inference(const Golden *golden, NnPath path)
{
	NnGraph *graph = build_network(golden, 0);
	float *weights = read_weights(golden, graph);
	const Tensor *x = tensor_named(golden, "x");
	const Tensor *forward = tensor_named(golden, "forward");
	float sample_weights[64];
	uint8_t targets[64];
	float *src = env_alloc(x->n * sizeof(float));
	float *scores = env_alloc(forward->n * sizeof(float));
	int n = forward->dims[0];
	NnEngine engine;
	EnvData data;
	void *scratch;
	Check check = {0};
	double loss, accuracy;
	size_t i;

	for (i = 0; i < x->n; i++)
		src[i] = (float) x->values[i];
	env_engine_init(&engine, graph, weights, path);
	scratch = env_alloc(nn_engine_scratch_bytes(&engine, n));
	nn_engine_run(scores, NULL, NULL, src, n, &engine, scratch, NULL);
	compare(&check, scores, forward);
	read_data(&data, golden, graph, sample_weights);
	if (has_findings(golden))
	{
		read_targets(&data, golden, targets);
		nn_score_loss_findings(&loss, &accuracy, scores, targets, (size_t) n, graph->units,
							   setting(fact(golden, "loss"), "label_smoothing", 0.0));
	}
	else
		nn_score_loss(&loss, &accuracy, scores, data.data.label[0], data.data.weight[0], (size_t) n,
					  graph->units, setting(fact(golden, "loss"), "label_smoothing", 0.0));
	if (strstr(golden->lines[0], "extreme") == NULL /* those need logits */ &&
		!(has_findings(golden) && tensor_named(golden, "sample_weight") != NULL))
		compare_scalar(&check, loss, tensor_named(golden, "val_loss"));
	unit_ok(check.worst <= TOLERANCE, "%s engine %s: worst %s %.2g", golden->lines[0], nn_path_name(path),
			check.worst_name, check.worst);
	env_data_free(&data);
	free(scratch);
	free((void *) engine.packed);
	free(src);
	free(scores);
	free(weights);
	free(graph);
}

static void
check_network(const Golden *golden)
{
	NnPath path;

	for (path = NN_PATH_REFERENCE; path <= nn_path_best(); path++)
	{
		check_inference(golden, path);
		if (tensor_named(golden, "loss") == NULL)
			continue;
		check_training(golden, 0, path);
		check_training(golden, 1, path);
	}
}

/* -------------------------------------------------------------- optimisers */

static void
read_optimizer(NnOptimizer *o, const Golden *golden)
{
	const char *line = fact(golden, "optimizer");
	const char *schedule = fact(golden, "schedule");
	NnOptimizerKind kind = NN_SGD;

	if (line != NULL)
		kind = strncmp(line, "AdamW ", 6) == 0     ? NN_ADAMW
			   : strncmp(line, "Adam ", 5) == 0    ? NN_ADAM
			   : strncmp(line, "RMSprop ", 8) == 0 ? NN_RMSPROP
												   : NN_SGD;
	nn_optimizer_init(o, kind);
	o->learning_rate = setting(line, "learning_rate", o->learning_rate);
	o->rho = setting(line, "rho", o->rho);
	o->momentum = setting(line, "momentum", o->momentum);
	o->epsilon = setting(line, "epsilon", o->epsilon);
	o->beta_1 = setting(line, "beta_1", o->beta_1);
	o->beta_2 = setting(line, "beta_2", o->beta_2);
	o->nesterov = (int) setting(line, "nesterov", 0);
	o->centered = (int) setting(line, "centered", 0);
	o->amsgrad = (int) setting(line, "amsgrad", 0);
	o->weight_decay = setting(line, "weight_decay", 0);
	o->clipnorm = setting(line, "clipnorm", 0);
	o->global_clipnorm = setting(line, "global_clipnorm", 0);
	o->clipvalue = setting(line, "clipvalue", 0);
	if (schedule == NULL)
		return;
	o->cosine_decay = 1;
	o->learning_rate = setting(schedule, "initial_learning_rate", 0);
	o->decay_steps = setting(schedule, "decay_steps", 0);
	o->alpha = setting(schedule, "alpha", 0);
	o->warmup_target = setting(schedule, "warmup_target", NAN);
	o->warmup_steps = setting(schedule, "warmup_steps", 0);
}

/*
 * A network whose variables have the sizes 6, 4, 1 of the golden ones, so that
 * the real phases of clipping and updating run on the given gradients.
 */
static void
check_optimizer(const Golden *golden, NnPath path)
{
	NnGraph *graph = env_graph(8, 1, 1, 6);
	NnTrainConfig config;
	EnvData data;
	EnvTrainer env;
	Check check = {0};
	int steps = atoi(fact(golden, "steps"));
	size_t offset[4] = {0, 0, 0, 0};
	int s, v;
	size_t k;

	env_add(graph, "Flatten", "flat", "", 0);
	env_add(graph, "Dense", "a", "units=1 use_bias=0", 1);
	env_add(graph, "Dense", "b", "units=4 use_bias=0", 2);
	env_add(graph, "Rescaling", "c", "scale=1", 3);
	env_add(graph, "BatchNormalization", "d", "center=0", 4);
	env_add(graph, "Dense", "e", "units=1 use_bias=0 activation=sigmoid", 5);
	env_finish(graph, 6);
	env_data_init(&data, graph, 8, 0, 3);
	env_config_init(&config, NN_SGD);
	read_optimizer(&config.optimizer, golden);
	env_trainer_init(&env, graph, &config, &data.data, 1, path, NULL, NULL);
	if (!unit_ok(env.status == NN_OK, "%s: trainer %s", golden->lines[0], env.error.message))
		return;
	{
		NnTrainer *t = env.trainer;
		NnUpdateBlock blocks[3];
		float gradients[11];
		int first;

		/* the variables of the file, as one flat block of 11 weights */
		for (v = 0; v < 3; v++)
		{
			const Tensor *var = tensor_named(golden, "var/%d", v);

			offset[v + 1] = offset[v] + var->n;
			blocks[v] = (NnUpdateBlock) {offset[v], var->n, v, NULL};
			for (k = 0; k < var->n; k++)
				t->weights[offset[v] + k] = (float) var->values[k];
		}
		t->blocks = blocks;
		t->n_blocks = 3;
		t->n_block_variables = 3;
		t->gradients = gradients;
		t->block_sums = env_alloc(3 * sizeof(double));
		t->scales = env_alloc(3 * sizeof(float));
		for (first = 0; t->phases[first].commit == 0; first++)
			;
		for (s = 0; s < steps; s++)
		{
			double rate = nn_schedule_rate(&config.optimizer, t->state->rate, (uint64_t) s);
			NnPhase phases[4];
			NnProgram program = {phases, 0, 0, NULL};

			compare_scalar(&check, rate, tensor_named(golden, "learning_rate/%d", s));
			for (v = 0; v < 3; v++)
				for (k = 0; k < blocks[v].count; k++)
					gradients[offset[v] + k] = (float) tensor_named(golden, "grad/%d/%d", s, v)->values[k];
			nn_update_init(&t->update, &config.optimizer, rate, (uint64_t) s);
			if (t->need_norms)
			{
				phases[program.n_phases++] = t->phases[first - 2];
				phases[program.n_phases++] = t->phases[first - 1];
			}
			phases[program.n_phases++] = t->phases[t->n_phases - 1];
			nn_pool_run(&t->pool, &program, NULL, NULL);
			for (v = 0; v < 3; v++)
				compare(&check, t->weights + offset[v], tensor_named(golden, "after/%d/%d", s, v));
		}
		unit_ok(check.worst <= 2e-6 && check.compared == 4 * steps, "%s %s: %d tensors, worst %s %.2g",
				golden->lines[0], nn_path_name(path), check.compared, check.worst_name, check.worst);
		free(t->block_sums);
		free(t->scales);
	}
	env_trainer_free(&env);
	env_data_free(&data);
	free(graph);
}

static void
check_schedule(const Golden *golden)
{
	const Tensor *rates = tensor_named(golden, "learning_rate");
	NnOptimizer o;
	double worst = 0.0;
	size_t i;

	read_optimizer(&o, golden);
	for (i = 0; i < rates->n; i++)
	{
		double d = fabs(nn_schedule_rate(&o, o.learning_rate, i) - rates->values[i]);

		if (!(d <= worst))
			worst = d;
	}
	unit_ok(worst < 1e-8, "%s: worst %.2g", golden->lines[0], worst);
}

static void
check_optimizer_file(const Golden *golden)
{
	NnPath path;

	if (fact(golden, "optimizer") == NULL)
		check_schedule(golden);
	else
		for (path = NN_PATH_REFERENCE; path <= nn_path_best(); path++)
			check_optimizer(golden, path);
}

/* --------------------------------------------------------------- callbacks */

static int
maximizes(const char *line)
{
	if (strstr(line, "mode=max") != NULL)
		return 1;
	return strstr(line, "mode=auto") != NULL &&
		   (strstr(line, "monitor=val_accuracy") != NULL || strstr(line, "monitor=val_auc") != NULL);
}

static void
check_stopping(const Golden *golden)
{
	const char *line = fact(golden, "callback");
	const Tensor *values = tensor_named(golden, "values");
	NnTrainConfig c;
	NnStopping stopping;
	int restore = (int) setting(line, "restore_best_weights", 0);
	int stop = 0, kept = -1, epoch = 0, save;

	env_config_init(&c, NN_SGD);
	c.es_patience = (int) setting(line, "patience", 0);
	c.es_min_delta = setting(line, "min_delta", 0);
	c.es_start_from_epoch = (int) setting(line, "start_from_epoch", 0);
	c.es_maximize = maximizes(line);
	nn_stopping_init(&stopping);
	for (epoch = 0; epoch < (int) values->n && !stop; epoch++)
	{
		stop = nn_stopping_update(&stopping, &c, epoch, values->values[epoch], &save);
		if (save)
			kept = epoch;
	}
	epoch--;
	if (!restore || kept < 0)
		kept = epoch;
	unit_ok(epoch == atoi(fact(golden, "stopped")) && stop == atoi(fact(golden, "stop_training")),
			"%s stops after epoch %d", golden->lines[0], epoch);
	unit_ok(kept == atoi(fact(golden, "weights")), "%s keeps the weights of epoch %d", golden->lines[0],
			kept);
}

static void
check_plateau(const Golden *golden)
{
	const char *line = fact(golden, "callback");
	const Tensor *values = tensor_named(golden, "values");
	const Tensor *rates = tensor_named(golden, "learning_rate");
	double rate = setting(line, "initial_learning_rate", 0.01);
	double worst = 0.0;
	NnTrainConfig c;
	NnPlateau plateau;
	size_t i;

	env_config_init(&c, NN_SGD);
	c.rlr_factor = setting(line, "factor", 0.1);
	c.rlr_patience = (int) setting(line, "patience", 10);
	c.rlr_min_delta = setting(line, "min_delta", 1e-4);
	c.rlr_cooldown = (int) setting(line, "cooldown", 0);
	c.rlr_min_lr = setting(line, "min_lr", 0);
	c.rlr_maximize = maximizes(line);
	nn_plateau_init(&plateau, &c);
	for (i = 0; i < values->n; i++)
	{
		if (!(fabs(rate - rates->values[i]) <= worst))
			worst = fabs(rate - rates->values[i]);
		rate = nn_plateau_update(&plateau, &c, values->values[i], rate);
	}
	if (!(fabs(rate - tensor_named(golden, "learning_rate_end")->values[0]) <= worst))
		worst = 1;
	unit_ok(worst < 1e-9, "%s: rates", golden->lines[0]);
}

static void
check_callback(const Golden *golden)
{
	if (strncmp(fact(golden, "callback"), "EarlyStopping", 13) == 0)
		check_stopping(golden);
	else
		check_plateau(golden);
}

/* ------------------------------------------------------------------- files */

static int
is_text(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 4 && strcmp(entry->d_name + n - 4, ".txt") == 0;
}

static void
check_folder(const char *folder, const char *only, void (*check)(const Golden *))
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_text, alphasort);
	int i;

	unit_ok(n > 0, "%s holds %d files", folder, n);
	for (i = 0; i < n; i++)
	{
		char path[512];
		Golden golden;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		if (only == NULL || strstr(path, only) != NULL)
		{
			if (unit_ok(golden_read(&golden, path), "%s is whole", path))
				check(&golden);
			golden_free(&golden);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

int
main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;

	check_folder("tests/golden/network", only, check_network);
	check_folder("tests/golden/optimizers", only, check_optimizer_file);
	check_folder("tests/golden/callbacks", only, check_callback);
	return unit_done();
}
