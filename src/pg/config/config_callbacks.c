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

/* Early stopping waits for so many epochs that are not better. */
#define DEFAULT_PATIENCE 5

static const char *const monitors[] = {"val_loss", "val_accuracy", "val_auc", NULL};
static const char *const modes[] = {"auto", "min", "max", NULL};

/* Reads the key "mode" of a callback: whether a higher value of the monitored figure is better. */
static int
read_maximize(JsonbContainer *object, const char *prefix, NnMonitor monitor)
{
	JsonbValue *v = pneumo_json_get(object, "mode");
	int mode = v == NULL ? 0 : pneumo_json_read_enum(pneumo_config_what(prefix, "mode"), v, modes);

	return mode == 0 ? monitor != NN_MONITOR_VAL_LOSS : mode == 2;
}

void
pneumo_config_default_early_stopping(NnTrainConfig *train)
{
	train->early_stopping = 1;
	train->es_monitor = NN_MONITOR_VAL_LOSS;
	train->es_patience = DEFAULT_PATIENCE;
	train->es_min_delta = 0;
	train->es_maximize = 0;
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
	static const char *const known[] = {"monitor",  "patience",         "min_delta",
										"mode",     "start_from_epoch", "restore_best_weights",
										"baseline", "verbose",          NULL};
	NnTrainConfig *train = &config->train;
	JsonbContainer *object = pneumo_json_object(value);
	JsonbValue *v;

	if (pneumo_json_is_null(value))
	{
		train->early_stopping = 0;
		train->restore_best_weights = 0;
		return;
	}
	if (object == NULL)
		pneumo_json_bad(what, value, "null or an object");
	pneumo_json_check_keys(object, "early_stopping.", known);

	pneumo_config_default_early_stopping(train);
	if ((v = pneumo_json_get(object, "monitor")) != NULL)
		train->es_monitor =
			(NnMonitor) pneumo_json_read_enum(pneumo_config_what("early_stopping.", "monitor"), v, monitors);
	if ((v = pneumo_json_get(object, "patience")) != NULL)
		train->es_patience = (int) pneumo_json_read_int(pneumo_config_what("early_stopping.", "patience"), v,
														0, CONFIG_MAX_EPOCHS);
	if ((v = pneumo_json_get(object, "min_delta")) != NULL)
		train->es_min_delta = fabs(pneumo_json_read_number(pneumo_config_what("early_stopping.", "min_delta"),
														   v, -CONFIG_BIG, CONFIG_BIG));
	if ((v = pneumo_json_get(object, "start_from_epoch")) != NULL)
		train->es_start_from_epoch =
			(int) pneumo_json_read_int(pneumo_config_what("early_stopping.", "start_from_epoch"), v, 0,
									   CONFIG_MAX_EPOCHS);
	if ((v = pneumo_json_get(object, "restore_best_weights")) != NULL)
		train->restore_best_weights =
			pneumo_json_read_bool(pneumo_config_what("early_stopping.", "restore_best_weights"), v);
	if ((v = pneumo_json_get(object, "baseline")) != NULL && v->type != jbvNull)
		pneumo_json_bad(pneumo_config_what("early_stopping.", "baseline"), v, "null");
	train->es_maximize = read_maximize(object, "early_stopping.", train->es_monitor);
}

/*
 * Reads reduce_lr_on_plateau: null, which turns it off, or an object of Keras's
 * names with Keras's defaults.
 */
static void
read_plateau(PneumoConfig *config, const char *what, JsonbValue *value)
{
	static const char *const known[] = {"monitor",  "factor", "patience", "min_delta", "mode",
										"cooldown", "min_lr", "verbose",  NULL};
	NnTrainConfig *train = &config->train;
	JsonbContainer *object = pneumo_json_object(value);
	JsonbValue *v;

	if (pneumo_json_is_null(value))
	{
		train->plateau = 0;
		return;
	}
	if (object == NULL)
		pneumo_json_bad(what, value, "null or an object");
	pneumo_json_check_keys(object, "reduce_lr_on_plateau.", known);

	train->plateau = 1;
	train->rlr_monitor = NN_MONITOR_VAL_LOSS;
	train->rlr_factor = 0.1;
	train->rlr_patience = 10;
	train->rlr_min_delta = 1e-4;
	train->rlr_cooldown = 0;
	train->rlr_min_lr = 0;
	if ((v = pneumo_json_get(object, "monitor")) != NULL)
		train->rlr_monitor =
			(NnMonitor) pneumo_json_read_enum(pneumo_config_what("reduce_lr_on_plateau.", "monitor"), v,
											  monitors);
	if ((v = pneumo_json_get(object, "factor")) != NULL)
		train->rlr_factor = pneumo_json_read_number(pneumo_config_what("reduce_lr_on_plateau.", "factor"), v,
													CONFIG_TINY, 0.999999999);
	if ((v = pneumo_json_get(object, "patience")) != NULL)
		train->rlr_patience =
			(int) pneumo_json_read_int(pneumo_config_what("reduce_lr_on_plateau.", "patience"), v, 0,
									   CONFIG_MAX_EPOCHS);
	if ((v = pneumo_json_get(object, "min_delta")) != NULL)
		train->rlr_min_delta =
			pneumo_json_read_number(pneumo_config_what("reduce_lr_on_plateau.", "min_delta"), v, 0,
									CONFIG_BIG);
	if ((v = pneumo_json_get(object, "cooldown")) != NULL)
		train->rlr_cooldown =
			(int) pneumo_json_read_int(pneumo_config_what("reduce_lr_on_plateau.", "cooldown"), v, 0,
									   CONFIG_MAX_EPOCHS);
	if ((v = pneumo_json_get(object, "min_lr")) != NULL)
		train->rlr_min_lr =
			pneumo_json_read_number(pneumo_config_what("reduce_lr_on_plateau.", "min_lr"), v, 0, 1000);
	train->rlr_maximize = read_maximize(object, "reduce_lr_on_plateau.", train->rlr_monitor);
}

const ConfigKey pneumo_config_callback_keys[] = {
	CONFIG_READ_GIVEN("early_stopping", read_early_stopping, early_stopping_given),
	CONFIG_READ_GIVEN("reduce_lr_on_plateau", read_plateau, plateau_given),
	CONFIG_END,
};
