/*-------------------------------------------------------------------------
 *
 * config_loss.c
 *	  Config keys about the loss and what is reported of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* By PneumoLoss. */
static const char *const losses[] = {"binary_crossentropy", "categorical_crossentropy",
									 "sparse_categorical_crossentropy", NULL};

static const char *const metric_names[] = {"accuracy",
										   "acc",
										   "binary_accuracy",
										   "categorical_accuracy",
										   "sparse_categorical_accuracy",
										   "auc",
										   "AUC",
										   "loss",
										   NULL};

static void
read_loss(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->loss =
		pneumo_json_is_null(value) ? PNEUMO_LOSS_NOT_GIVEN : pneumo_json_read_enum(what, value, losses);
}

static void
read_metrics(PneumoConfig *config, const char *what, JsonbValue *value)
{
	JsonbContainer *array = pneumo_json_array(value);
	int i;

	(void) config; /* always the same figures are reported */
	if (pneumo_json_is_null(value))
		return;
	if (array == NULL)
		pneumo_json_bad(what, value, "a list of metric names");
	for (i = 0; i < pneumo_json_array_length(array); i++)
		pneumo_json_read_enum(what, getIthJsonbValueFromContainer(array, i), metric_names);
}

static void
read_verbose(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char *text = pneumo_json_cstring(value);

	if (text != NULL && strcmp(text, "auto") == 0)
		config->verbose = 1;
	else
		config->verbose = (int) pneumo_json_read_int(what, value, 0, 2);
}

const ConfigKey pneumo_config_loss_keys[] = {
	CONFIG_NUMBER("label_smoothing", KEY_DOUBLE, train.label_smoothing, 0, 1),
	CONFIG_READ("loss", read_loss),
	CONFIG_READ("metrics", read_metrics),
	CONFIG_READ("verbose", read_verbose),
	CONFIG_END,
};
