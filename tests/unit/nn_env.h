/*
 * nn_env.h
 *		What the tests of the network core share: building graphs by Keras's
 *		names, a small data set, and trainers with memory of their own.
 */
#ifndef PNEUMO_TESTS_NN_ENV_H
#define PNEUMO_TESTS_NN_ENV_H

#include "nn/graph.h"
#include "nn/nn.h"
#include "nn/pool.h"
#include "nn/train_step.h"
#include "nn/trainer.h"

#include "unit.h"

#include <stdlib.h>

static inline void *
env_alloc(size_t bytes)
{
	void *p = NULL;

	if (bytes == 0)
		bytes = 1;
	bytes = (bytes + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN;
	p = aligned_alloc(NN_ALIGN, bytes);
	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	memset(p, 0xa5, bytes); /* nothing may be taken for zero */
	return p;
}

/* ----------------------------------------------------------------- graphs */

static inline NnGraph *
env_graph(int max_nodes, int h, int w, int c)
{
	NnGraph *graph = env_alloc(nn_graph_bytes(max_nodes));
	NnError error;

	if (nn_graph_begin(graph, max_nodes, h, w, c, &error) != NN_OK)
		unit_ok(false, "graph: %s", error.message);
	return graph;
}

static inline int
env_name_index(const char *const *names, const char *name)
{
	int i;

	for (i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* One "key=value" as the golden files write it; 0 when it cannot be set. */
static inline int
env_set(NnNodeSpec *spec, const char *key, const char *text)
{
	int i = nn_op_param_find(spec->op, key);
	const NnParam *param;
	NnValue *value;
	const char *comma = strchr(text, ',');

	if (i < 0)
		return 0;
	param = &nn_op_info(spec->op)->params[i];
	value = &spec->params[i];
	if (strcmp(text, "none") == 0)
		return 1;
	if (param->kind == NN_PARAM_ENUM)
		value->v[0] = env_name_index(param->names, text);
	else if (param->kind == NN_PARAM_ACTIVATION)
	{
		value->v[0] = env_name_index(nn_activation_names, text);
		value->v[1] = 0.2;
	}
	else
	{
		value->v[0] = atof(text);
		if (param->kind == NN_PARAM_INT_PAIR)
			value->v[1] = comma != NULL ? atof(comma + 1) : value->v[0];
		if (param->kind == NN_PARAM_BORDER || param->kind == NN_PARAM_INTS ||
			param->kind == NN_PARAM_FLOATS || param->kind == NN_PARAM_REGULARIZER ||
			param->kind == NN_PARAM_CONSTRAINT)
		{
			int n = 1;

			for (; comma != NULL && n < 4; comma = strchr(comma + 1, ','))
				value->v[n++] = atof(comma + 1);
			if (param->kind == NN_PARAM_INTS || param->kind == NN_PARAM_FLOATS)
				value->v[3] = n == 1 && param->kind == NN_PARAM_FLOATS ? 0 : n;
		}
	}
	return 1;
}

/*
 * Adds a node: settings is "key=value key=value ..."; inputs ends with -1,
 * first may be given alone.
 */
static inline int
env_add_inputs(NnGraph *graph, const char *class_name, const char *name, const char *settings, int n_inputs,
			   const int *inputs)
{
	NnNodeSpec spec;
	NnError error;
	char copy[512];
	char *word, *save = NULL;
	int op = nn_op_find(class_name);
	int index = -1;

	if (op < 0)
	{
		unit_ok(false, "%s is a node type", class_name);
		return -1;
	}
	nn_node_spec_init(&spec, op);
	snprintf(spec.name, sizeof(spec.name), "%s", name);
	spec.n_inputs = n_inputs;
	memcpy(spec.inputs, inputs, (size_t) n_inputs * sizeof(int));
	snprintf(copy, sizeof(copy), "%s", settings);
	for (word = copy; *word != '\0'; word = save)
	{
		char *equals;
		size_t length = strcspn(word, " ");

		save = word + length + (word[length] != '\0');
		word[length] = '\0';
		equals = strchr(word, '=');
		if (equals == NULL)
			continue;
		*equals = '\0';
		if (!env_set(&spec, word, equals + 1))
			unit_ok(false, "%s has the parameter %s", class_name, word);
	}
	memset(&error, 0, sizeof(error));
	if (nn_graph_add(graph, &spec, &index, &error) != NN_OK)
		unit_ok(false, "add %s: %s", name, error.message);
	return index;
}

static inline int
env_add(NnGraph *graph, const char *class_name, const char *name, const char *settings, int input)
{
	return env_add_inputs(graph, class_name, name, settings, 1, &input);
}

static inline void
env_finish(NnGraph *graph, int output)
{
	NnError error;

	memset(&error, 0, sizeof(error));
	if (nn_graph_finish(graph, output, &error) != NN_OK)
		unit_ok(false, "finish: %s", error.message);
}

/* ------------------------------------------------------------------- data */

/* Samples in memory; train and validation. */
typedef struct EnvData
{
	NnTrainData data;
	float *x[2];
	size_t floats;
	int fail_at;          /* sample whose load fails; -1 none */
	float scale_by_epoch; /* x * (1 + scale * epoch): an augmentation */
} EnvData;

static inline int
env_load(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch)
{
	EnvData *env = arg;
	float factor = split == NN_TRAIN ? 1.0f + env->scale_by_epoch * (float) epoch : 1.0f;
	size_t k;

	(void) scratch;
	if (split == NN_TRAIN && env->fail_at >= 0 && i == (size_t) env->fail_at)
		return 1;
	for (k = 0; k < env->floats; k++)
		dst[k] = env->x[split][i * env->floats + k] * factor;
	return 0;
}

static inline float
env_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return (float) (*state >> 8) / 16777216.0f;
}

/* Noise with a bright corner where the label says so: easy, but not at once. */
static inline void
env_data_init(EnvData *env, const NnGraph *graph, size_t n_train, size_t n_validation, uint32_t seed)
{
	size_t n[2] = {n_train, n_validation};
	int classes = nn_graph_class_count(graph);
	uint32_t state = seed * 7919u + 17u;
	int split;
	size_t i, k;

	memset(env, 0, sizeof(*env));
	env->floats = nn_shape_floats(&graph->nodes[0].shape);
	env->fail_at = -1;
	env->data.load = env_load;
	env->data.load_arg = env;
	env->data.load_scratch_bytes = 64;
	for (split = 0; split < 2; split++)
	{
		int32_t *label = env_alloc(n[split] * sizeof(int32_t));

		env->data.n[split] = n[split];
		env->x[split] = env_alloc(n[split] * env->floats * sizeof(float));
		for (i = 0; i < n[split]; i++)
		{
			label[i] = (int32_t) (env_random(&state) * (float) classes);
			for (k = 0; k < env->floats; k++)
				env->x[split][i * env->floats + k] =
					env_random(&state) - 0.5f +
					(k % (size_t) (classes + 1) == (size_t) label[i] ? 0.2f : 0.0f);
		}
		env->data.label[split] = label;
	}
}

static inline void
env_data_free(EnvData *env)
{
	int split;

	for (split = 0; split < 2; split++)
	{
		free((void *) env->data.label[split]);
		free(env->x[split]);
	}
}

/* --------------------------------------------------------------- trainers */

static inline void
env_config_init(NnTrainConfig *config, NnOptimizerKind kind)
{
	int i;

	memset(config, 0, sizeof(*config));
	config->epochs = 3;
	config->batch_size = 8;
	config->shuffle = 1;
	config->seed = 42;
	nn_optimizer_init(&config->optimizer, kind);
	for (i = 0; i < NN_MAX_CLASSES; i++)
		config->class_weight[i] = 1.0;
}

typedef struct EnvTrainer
{
	NnTrainer *trainer;
	NnTrainPlan plan;
	void *state;
	void *work;
	NnStatus status;
	NnError error;
} EnvTrainer;

/* resume_state: bytes of a checkpoint, copied; or NULL. */
static inline void
env_trainer_init(EnvTrainer *env, const NnGraph *graph, const NnTrainConfig *config, const NnTrainData *data,
				 int n_threads, NnPath path, const float *weights, const void *resume_state)
{
	memset(env, 0, sizeof(*env));
	env->status = nn_train_plan(&env->plan, graph, config, data, n_threads, path, &env->error);
	if (env->status != NN_OK)
		return;
	env->trainer = env_alloc(nn_trainer_bytes());
	env->state = env_alloc(env->plan.state_bytes);
	env->work = env_alloc(env->plan.work_bytes);
	if (resume_state != NULL)
		memcpy(env->state, resume_state, env->plan.state_bytes);
	env->status = nn_trainer_init(env->trainer, graph, config, data, &env->plan, env->state, env->work,
								  n_threads, path, NULL, weights, resume_state != NULL, NULL, &env->error);
}

static inline void
env_trainer_free(EnvTrainer *env)
{
	if (env->trainer != NULL && env->status == NN_OK)
		nn_trainer_stop(env->trainer);
	free(env->trainer);
	free(env->state);
	free(env->work);
	memset(env, 0, sizeof(*env));
}

/* An engine with packed weights of its own. */
static inline void
env_engine_init(NnEngine *engine, const NnGraph *graph, const float *weights, NnPath path)
{
	void *packed = env_alloc(nn_engine_packed_bytes(graph, path, NN_PRECISION_FLOAT32));
	NnError error;

	if (nn_engine_pack(packed, graph, weights, path, NN_PRECISION_FLOAT32, NULL, &error) != NN_OK)
		unit_ok(false, "pack: %s", error.message);
	*engine = (NnEngine) {graph, weights, packed, path, NN_PRECISION_FLOAT32};
}

/*
 * One training step in the caller's thread up to, but without, the update;
 * the batch is the first config->batch_size samples, unshuffled.
 */
static inline void
env_gradients(NnTrainer *t)
{
	NnProgram load = {NULL, 0, 0, nn_step_background};
	NnProgram program = t->program;
	int n = 0;

	t->n_next = t->config.batch_size;
	t->next_first = 0;
	load.n_background = (size_t) t->n_next;
	nn_pool_run(&t->pool, &load, NULL, NULL);
	t->current = 1 - t->current;
	t->n = t->n_next;
	t->first = 0;
	while (n < program.n_phases && !program.phases[n].commit)
		n++;
	program.n_phases = n;
	program.n_background = 0;
	nn_pool_run(&t->pool, &program, NULL, NULL);
}

#endif /* PNEUMO_TESTS_NN_ENV_H */
