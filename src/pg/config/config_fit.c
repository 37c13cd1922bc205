/*-------------------------------------------------------------------------
 *
 * config_fit.c
 *	  Config keys that say how the network is fitted, but for the optimizer's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

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

void
pneumo_config_read_steps(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->train.steps_per_epoch =
		pneumo_json_is_null(value) ? 0 : (int) pneumo_json_read_int(what, value, 1, INT_MAX);
}

void
pneumo_config_read_class_weight(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char *text = pneumo_json_cstring(value);

	if (pneumo_json_is_null(value))
		config->class_weight = PNEUMO_CLASS_WEIGHT_NONE;
	else if (text != NULL && strcmp(text, "balanced") == 0)
		config->class_weight = PNEUMO_CLASS_WEIGHT_BALANCED;
	else if (pneumo_json_object(value) != NULL)
	{
		config->class_weight = PNEUMO_CLASS_WEIGHT_GIVEN;
		config->class_weight_given = JsonbValueToJsonb(value);
	}
	else
		pneumo_json_bad(what, value, "null, \"balanced\" or an object of weights by class");
}

void
pneumo_config_read_threads(PneumoConfig *config, const char *what, JsonbValue *value)
{
	if (pneumo_json_is_null(value))
	{
		config->threads = 0;
		return;
	}
	config->threads = (int) pneumo_json_read_int(what, value, 1, 256);
	if (pneumo_train_threads > 0 && config->threads > pneumo_train_threads)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"threads\" is %d, pneumo.train_threads allows %d",
							   config->threads, pneumo_train_threads)));
}

void
pneumo_config_read_loss(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->loss = pneumo_json_is_null(value) ? -1 : pneumo_json_read_enum(what, value, losses);
}

void
pneumo_config_read_metrics(PneumoConfig *config, const char *what, JsonbValue *value)
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

void
pneumo_config_read_verbose(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char *text = pneumo_json_cstring(value);

	if (text != NULL && strcmp(text, "auto") == 0)
		config->verbose = 1;
	else
		config->verbose = (int) pneumo_json_read_int(what, value, 0, 2);
}

/* ------------------------------------------------------------ augmentation */

/* A pair [low, high] of numbers. */
static void
read_pair(const char *what, JsonbValue *value, double low, double high, float *first, float *second)
{
	JsonbContainer *array = pneumo_json_array(value);

	if (array == NULL || pneumo_json_array_length(array) != 2)
		pneumo_json_bad(what, value, "a list [low, high]");
	*first = (float) pneumo_json_read_number(what, getIthJsonbValueFromContainer(array, 0), low, high);
	*second = (float) pneumo_json_read_number(what, getIthJsonbValueFromContainer(array, 1), low, high);
	if (*first > *second)
		pneumo_json_bad(what, value, "a list [low, high] with low not above high");
}

void
pneumo_config_read_brightness(PneumoConfig *config, const char *what, JsonbValue *value)
{
	if (pneumo_json_is_null(value))
		config->augment.brightness_low = config->augment.brightness_high = 1;
	else
		read_pair(what, value, 0, 10, &config->augment.brightness_low, &config->augment.brightness_high);
}

void
pneumo_config_read_zoom(PneumoConfig *config, const char *what, JsonbValue *value)
{
	double zoom;

	if (pneumo_json_double(value, &zoom))
	{
		zoom = pneumo_json_read_number(what, value, 0, 0.99);
		config->augment.zoom_low = (float) (1 - zoom);
		config->augment.zoom_high = (float) (1 + zoom);
	}
	else if (pneumo_json_array(value) != NULL)
		read_pair(what, value, 0.01, 100, &config->augment.zoom_low, &config->augment.zoom_high);
	else
		pneumo_json_bad(what, value, "a number between 0 and 0.99 or a list [low, high]");
}
