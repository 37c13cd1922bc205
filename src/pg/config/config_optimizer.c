/*-------------------------------------------------------------------------
 *
 * config_optimizer.c
 *	  The optimizer of a config, and its numbers.
 *
 * An optimizer is given as a name, with its numbers as keys of the config, or as
 * Keras's object {"class_name": ..., "config": {...}} with the numbers in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* Keys of Keras's optimizer configs that change nothing here. */
static const char *const optimizer_ignored[] = {"name",
												"jit_compile",
												"is_legacy_optimizer",
												"decay",
												"use_ema",
												"ema_momentum",
												"ema_overwrite_frequency",
												"loss_scale_factor",
												"gradient_accumulation_steps",
												NULL};

const char *const pneumo_config_optimizers[] = {"sgd", "rmsprop", "adam", "adamw", NULL};

/* ---------------------------------------------------------- learning rate */

/* Reads Keras's CosineDecay object. */
static void
read_cosine_decay(NnOptimizer *opt, const char *what, JsonbValue *value)
{
	static const char *const object_keys[] = {"class_name",      "config",           "module",
											  "registered_name", "shared_object_id", NULL};
	static const char *const inner_keys[] = {"initial_learning_rate", "decay_steps", "alpha", "warmup_target",
											 "warmup_steps",          "name",        NULL};
	static const char *const class_names[] = {"CosineDecay", NULL};
	JsonbContainer *object = pneumo_json_object(value);
	JsonbContainer *inner;
	JsonbValue *v;

	pneumo_json_check_keys(object, "learning_rate.", object_keys);
	v = pneumo_json_get(object, "class_name");
	if (v == NULL)
		pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object");
	pneumo_json_read_enum("config key \"learning_rate.class_name\"", v, class_names);
	v = pneumo_json_get(object, "config");
	inner = pneumo_json_object(v);
	if (inner == NULL)
		pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object with \"config\"");
	pneumo_json_check_keys(inner, "learning_rate.config.", inner_keys);

	opt->cosine_decay = 1;
	v = pneumo_json_get(inner, "initial_learning_rate");
	if (v == NULL)
		pneumo_json_bad(what, value, "given with \"initial_learning_rate\"");
	opt->learning_rate =
		pneumo_json_read_number("config key \"learning_rate.config.initial_learning_rate\"", v, 0, 1000);
	v = pneumo_json_get(inner, "decay_steps");
	if (v == NULL)
		pneumo_json_bad(what, value, "given with \"decay_steps\"");
	opt->decay_steps =
		pneumo_json_read_number("config key \"learning_rate.config.decay_steps\"", v, 1, CONFIG_BIG);
	v = pneumo_json_get(inner, "alpha");
	if (v != NULL)
		opt->alpha = pneumo_json_read_number("config key \"learning_rate.config.alpha\"", v, 0, 1);
	v = pneumo_json_get(inner, "warmup_target");
	if (!pneumo_json_is_null(v))
		opt->warmup_target =
			pneumo_json_read_number("config key \"learning_rate.config.warmup_target\"", v, 0, 1000);
	v = pneumo_json_get(inner, "warmup_steps");
	if (!pneumo_json_is_null(v))
		opt->warmup_steps =
			pneumo_json_read_number("config key \"learning_rate.config.warmup_steps\"", v, 0, CONFIG_BIG);
}

/* Reads a number, or a schedule. */
static void
read_learning_rate(PneumoConfig *config, const char *what, JsonbValue *value)
{
	NnOptimizer *opt = &config->train.optimizer;
	double number;

	opt->cosine_decay = 0;
	opt->warmup_target = NAN;
	opt->warmup_steps = 0;
	opt->alpha = 0;
	if (pneumo_json_object(value) != NULL)
	{
		read_cosine_decay(opt, what, value);
		return;
	}
	if (!pneumo_json_double(value, &number))
		pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object");
	opt->learning_rate = pneumo_json_read_number(what, value, CONFIG_TINY, 1000);
}

/* ---------------------------------------------------------------- numbers */

static void read_optimizer(PneumoConfig *config, const char *what, JsonbValue *value);

#define OF_SGD (1 << NN_SGD)
#define OF_RMSPROP (1 << NN_RMSPROP)
#define OF_ADAM ((1 << NN_ADAM) | (1 << NN_ADAMW))
#define OF_ANY (OF_SGD | OF_RMSPROP | OF_ADAM)

#define OPT_FLAG(key, which) \
	{.name = #key, .kind = KEY_BOOL, .offset = CONFIG_AT(train.optimizer.key), .optimizers = which}
#define OPT_NUMBER(key, type, least, most, which) \
	{.name = #key,                                \
	 .kind = type,                                \
	 .offset = CONFIG_AT(train.optimizer.key),    \
	 .low = least,                                \
	 .high = most,                                \
	 .optimizers = which}

const ConfigKey pneumo_config_optimizer_keys[] = {
	CONFIG_READ("optimizer", read_optimizer),
	{.name = "learning_rate", .kind = KEY_READ, .read = read_learning_rate, .optimizers = OF_ANY},
	OPT_FLAG(amsgrad, OF_ADAM),
	OPT_NUMBER(rho, KEY_DOUBLE, 0, 1, OF_RMSPROP),
	OPT_NUMBER(momentum, KEY_DOUBLE, 0, 1, OF_SGD | OF_RMSPROP),
	OPT_FLAG(nesterov, OF_SGD),
	OPT_FLAG(centered, OF_RMSPROP),
	OPT_NUMBER(epsilon, KEY_DOUBLE, CONFIG_TINY, 1, OF_RMSPROP | OF_ADAM),
	OPT_NUMBER(beta_1, KEY_DOUBLE, 0, 0.999999999, OF_ADAM),
	OPT_NUMBER(beta_2, KEY_DOUBLE, 0, 0.999999999, OF_ADAM),
	OPT_NUMBER(weight_decay, KEY_DOUBLE_OR_NULL, 0, 1000, OF_ANY),
	OPT_NUMBER(clipnorm, KEY_DOUBLE_OR_NULL, CONFIG_TINY, CONFIG_BIG, OF_ANY),
	OPT_NUMBER(global_clipnorm, KEY_DOUBLE_OR_NULL, CONFIG_TINY, CONFIG_BIG, OF_ANY),
	OPT_NUMBER(clipvalue, KEY_DOUBLE_OR_NULL, CONFIG_TINY, CONFIG_BIG, OF_ANY),
	CONFIG_END,
};

static bool
applies_to(const ConfigKey *key, NnOptimizerKind kind)
{
	return (key->optimizers & (1 << kind)) != 0;
}

/* Reads the numbers inside {"class_name": ..., "config": {...}}. */
static void
read_optimizer_config(PneumoConfig *config, JsonbContainer *object)
{
	static const char *const prefix = "optimizer.config.";
	const char *known[lengthof(pneumo_config_optimizer_keys) + lengthof(optimizer_ignored)];
	const ConfigKey *key;
	int n = 0;
	int i;
	JsonbValue *v;

	for (key = pneumo_config_optimizer_keys; key->name != NULL; key++)
		if (applies_to(key, config->train.optimizer.kind))
			known[n++] = key->name;
	for (i = 0; optimizer_ignored[i] != NULL; i++)
		known[n++] = optimizer_ignored[i];
	known[n] = NULL;
	pneumo_json_check_keys(object, prefix, known);

	v = pneumo_json_get(object, "use_ema");
	if (v != NULL && !(v->type == jbvBool && !v->val.boolean) && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.use_ema\"", v, "false");
	v = pneumo_json_get(object, "gradient_accumulation_steps");
	if (v != NULL && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.gradient_accumulation_steps\"", v, "null");
	v = pneumo_json_get(object, "loss_scale_factor");
	if (v != NULL && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.loss_scale_factor\"", v, "null");

	for (key = pneumo_config_optimizer_keys; key->name != NULL; key++)
	{
		v = pneumo_json_get(object, key->name);
		if (v != NULL && applies_to(key, config->train.optimizer.kind))
			pneumo_config_read_key(config, key, prefix, v);
	}
}

/* Reads an optimizer: a name, or Keras's object. */
static void
read_optimizer(PneumoConfig *config, const char *what, JsonbValue *value)
{
	JsonbContainer *object = pneumo_json_object(value);
	static const char *const object_keys[] = {"class_name",   "config",           "module", "registered_name",
											  "build_config", "shared_object_id", NULL};
	static const char *const class_names[] = {"SGD", "RMSprop", "Adam", "AdamW", NULL};

	if (object != NULL)
	{
		JsonbValue *class_name = pneumo_json_get(object, "class_name");
		JsonbValue *inner = pneumo_json_get(object, "config");

		pneumo_json_check_keys(object, "optimizer.", object_keys);
		if (class_name == NULL)
			pneumo_json_bad(what, value, "a name or an object with \"class_name\" and \"config\"");
		nn_optimizer_init(&config->train.optimizer,
						  (NnOptimizerKind) pneumo_json_read_enum("config key \"optimizer.class_name\"",
																  class_name, class_names));
		if (inner != NULL && pneumo_json_object(inner) == NULL)
			pneumo_json_bad("config key \"optimizer.config\"", inner, "an object");
		if (inner != NULL)
			read_optimizer_config(config, pneumo_json_object(inner));
	}
	else
	{
		NnOptimizerKind kind = (NnOptimizerKind) pneumo_json_read_enum(what, value, pneumo_config_optimizers);

		/* the same kind as the preset's keeps the preset's numbers */
		if (kind != config->train.optimizer.kind)
			nn_optimizer_init(&config->train.optimizer, kind);
	}
}
