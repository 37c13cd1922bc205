/*-------------------------------------------------------------------------
 *
 * config_optimizer.c
 *	  The optimizer of a config, and its learning rate.
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

/* The numbers inside {"class_name": ..., "config": {...}}. */
static void
read_optimizer_config(PneumoConfig *config, JsonbContainer *object)
{
	const char *known[64];
	int n = pneumo_config_optimizer_keys(known, config->train.optimizer.kind);
	int i;
	JsonbValue *v;

	for (i = 0; optimizer_ignored[i] != NULL; i++)
		known[n++] = optimizer_ignored[i];
	known[n] = NULL;
	pneumo_json_check_keys(object, "optimizer.config.", known);

	v = pneumo_json_get(object, "use_ema");
	if (v != NULL && !(v->type == jbvBool && !v->val.boolean) && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.use_ema\"", v, "false");
	v = pneumo_json_get(object, "gradient_accumulation_steps");
	if (v != NULL && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.gradient_accumulation_steps\"", v, "null");
	v = pneumo_json_get(object, "loss_scale_factor");
	if (v != NULL && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.loss_scale_factor\"", v, "null");

	pneumo_config_read_optimizer_keys(config, "optimizer.config.", object);
}

void
pneumo_config_read_optimizer(PneumoConfig *config, const char *what, JsonbValue *value)
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

void
pneumo_config_read_learning_rate(PneumoConfig *config, const char *what, JsonbValue *value)
{
	NnOptimizer *opt = &config->train.optimizer;
	JsonbContainer *object = pneumo_json_object(value);
	JsonbContainer *inner;
	JsonbValue *v;
	double number;
	static const char *const object_keys[] = {"class_name",      "config",           "module",
											  "registered_name", "shared_object_id", NULL};
	static const char *const inner_keys[] = {"initial_learning_rate", "decay_steps", "alpha", "warmup_target",
											 "warmup_steps",          "name",        NULL};
	static const char *const class_names[] = {"CosineDecay", NULL};

	opt->cosine_decay = 0;
	opt->warmup_target = NAN;
	opt->warmup_steps = 0;
	opt->alpha = 0;
	if (object == NULL)
	{
		if (!pneumo_json_double(value, &number))
			pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object");
		opt->learning_rate = pneumo_json_read_number(what, value, CONFIG_TINY, 1000);
		return;
	}

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
