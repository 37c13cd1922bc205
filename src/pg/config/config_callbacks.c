/*-------------------------------------------------------------------------
 *
 * config_callbacks.c
 *	  The config keys that are Keras's callbacks: early_stopping and
 *	  reduce_lr_on_plateau.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

#define MAX_CALLBACK_KEYS 8

static const char *const monitors[] = {"val_loss", "val_accuracy", "val_auc", NULL};
static const char *const modes[] = {"auto", "min", "max", NULL};

/* Sets what a callback monitors, and whether a higher value of it is better, unless "mode" says otherwise. */
static void
read_monitor(NnMonitor *monitor, int *maximize, const char *what, JsonbValue *value)
{
	*monitor = (NnMonitor) pneumo_json_read_enum(what, value, monitors);
	*maximize = *monitor != NN_MONITOR_VAL_LOSS;
}

static void
read_mode(int *maximize, const char *what, JsonbValue *value)
{
	int mode = pneumo_json_read_enum(what, value, modes);

	if (mode != 0)
		*maximize = mode == 2;
}

/* Accepts any value of a key that changes nothing here. */
static void
ignore(PneumoConfig *config, const char *what, JsonbValue *value)
{
	(void) config;
	(void) what;
	(void) value;
}

/* Reads the keys that the object of a callback has and refuses others. */
static void
read_callback_keys(PneumoConfig *config, const ConfigKey *keys, const char *prefix, JsonbContainer *object)
{
	const char *known[MAX_CALLBACK_KEYS + 1];
	const ConfigKey *key;
	int n = 0;

	for (key = keys; key->name != NULL && n < MAX_CALLBACK_KEYS; key++)
		known[n++] = key->name;
	known[n] = NULL;
	pneumo_json_check_keys(object, prefix, known);
	for (key = keys; key->name != NULL; key++)
	{
		JsonbValue *value = pneumo_json_get(object, key->name);

		if (value != NULL)
			pneumo_config_read_key(config, key, prefix, value);
	}
}

/* --------------------------------------------------------- early stopping */

static void
read_stopping_monitor(PneumoConfig *config, const char *what, JsonbValue *value)
{
	read_monitor(&config->train.es_monitor, &config->train.es_maximize, what, value);
}

static void
read_stopping_mode(PneumoConfig *config, const char *what, JsonbValue *value)
{
	read_mode(&config->train.es_maximize, what, value);
}

static void
read_baseline(PneumoConfig *config, const char *what, JsonbValue *value)
{
	(void) config;
	if (value->type != jbvNull)
		pneumo_json_bad(what, value, "null");
}

/* "monitor" stands before "mode". */
static const ConfigKey stopping_keys[] = {
	CONFIG_READ("monitor", read_stopping_monitor),
	CONFIG_NUMBER("patience", KEY_INT, train.es_patience, 0, CONFIG_MAX_EPOCHS),
	CONFIG_NUMBER("min_delta", KEY_DOUBLE, train.es_min_delta, -CONFIG_BIG, CONFIG_BIG),
	CONFIG_READ("mode", read_stopping_mode),
	CONFIG_NUMBER("start_from_epoch", KEY_INT, train.es_start_from_epoch, 0, CONFIG_MAX_EPOCHS),
	CONFIG_FLAG("restore_best_weights", train.restore_best_weights),
	CONFIG_READ("baseline", read_baseline),
	CONFIG_READ("verbose", ignore),
	CONFIG_END,
};

StaticAssertDecl(lengthof(stopping_keys) <= MAX_CALLBACK_KEYS + 1, "keys of early_stopping");

void
pneumo_config_default_early_stopping(NnTrainConfig *train)
{
	train->early_stopping = 1;
	train->es_monitor = NN_MONITOR_VAL_LOSS;
	train->es_maximize = 0;
	train->es_patience = 5;
	train->es_min_delta = 0;
	train->es_start_from_epoch = 0;
	train->restore_best_weights = 1;
}

/*
 * Reads early_stopping: null, which turns it off, or an object of Keras's
 * names.  A key that is left out has its default, not the preset's value.
 */
static void
read_early_stopping(PneumoConfig *config, const char *what, JsonbValue *value)
{
	NnTrainConfig *train = &config->train;
	JsonbContainer *object = pneumo_json_object(value);

	if (pneumo_json_is_null(value))
	{
		train->early_stopping = 0;
		train->restore_best_weights = 0;
		return;
	}
	if (object == NULL)
		pneumo_json_bad(what, value, "null or an object");
	pneumo_config_default_early_stopping(train);
	read_callback_keys(config, stopping_keys, "early_stopping.", object);
	train->es_min_delta = fabs(train->es_min_delta);
}

/* --------------------------------------------------- reduce_lr_on_plateau */

static void
read_plateau_monitor(PneumoConfig *config, const char *what, JsonbValue *value)
{
	read_monitor(&config->train.rlr_monitor, &config->train.rlr_maximize, what, value);
}

static void
read_plateau_mode(PneumoConfig *config, const char *what, JsonbValue *value)
{
	read_mode(&config->train.rlr_maximize, what, value);
}

/* "monitor" stands before "mode". */
static const ConfigKey plateau_keys[] = {
	CONFIG_READ("monitor", read_plateau_monitor),
	CONFIG_NUMBER("factor", KEY_DOUBLE, train.rlr_factor, CONFIG_TINY, 0.999999999),
	CONFIG_NUMBER("patience", KEY_INT, train.rlr_patience, 0, CONFIG_MAX_EPOCHS),
	CONFIG_NUMBER("min_delta", KEY_DOUBLE, train.rlr_min_delta, 0, CONFIG_BIG),
	CONFIG_READ("mode", read_plateau_mode),
	CONFIG_NUMBER("cooldown", KEY_INT, train.rlr_cooldown, 0, CONFIG_MAX_EPOCHS),
	CONFIG_NUMBER("min_lr", KEY_DOUBLE, train.rlr_min_lr, 0, 1000),
	CONFIG_READ("verbose", ignore),
	CONFIG_END,
};

StaticAssertDecl(lengthof(plateau_keys) <= MAX_CALLBACK_KEYS + 1, "keys of reduce_lr_on_plateau");

/*
 * Reads reduce_lr_on_plateau: null, which turns it off, or an object of Keras's
 * names with Keras's defaults.
 */
static void
read_plateau(PneumoConfig *config, const char *what, JsonbValue *value)
{
	NnTrainConfig *train = &config->train;
	JsonbContainer *object = pneumo_json_object(value);

	if (pneumo_json_is_null(value))
	{
		train->plateau = 0;
		return;
	}
	if (object == NULL)
		pneumo_json_bad(what, value, "null or an object");
	train->plateau = 1;
	train->rlr_monitor = NN_MONITOR_VAL_LOSS;
	train->rlr_maximize = 0;
	train->rlr_factor = 0.1;
	train->rlr_patience = 10;
	train->rlr_min_delta = 1e-4;
	train->rlr_cooldown = 0;
	train->rlr_min_lr = 0;
	read_callback_keys(config, plateau_keys, "reduce_lr_on_plateau.", object);
}

const ConfigKey pneumo_config_callback_keys[] = {
	CONFIG_READ_GIVEN("early_stopping", read_early_stopping, early_stopping_given),
	CONFIG_READ_GIVEN("reduce_lr_on_plateau", read_plateau, plateau_given),
	CONFIG_END,
};
