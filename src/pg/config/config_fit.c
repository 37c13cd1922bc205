/*-------------------------------------------------------------------------
 *
 * config_fit.c
 *	  Config keys that say how the network is fitted: epochs, batches, class
 *	  weights, threads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

static void
read_steps(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->train.steps_per_epoch =
		pneumo_json_is_null(value) ? 0 : (int) pneumo_json_read_int(what, value, 1, INT_MAX);
}

static void
read_class_weight(PneumoConfig *config, const char *what, JsonbValue *value)
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

static void
read_threads(PneumoConfig *config, const char *what, JsonbValue *value)
{
	if (pneumo_json_is_null(value))
	{
		config->threads = 0;
		return;
	}
	config->threads = (int) pneumo_json_read_int(what, value, 1, CONFIG_MAX_THREADS);
	if (pneumo_train_threads > 0 && config->threads > pneumo_train_threads)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"threads\" is %d, pneumo.train_threads allows %d",
							   config->threads, pneumo_train_threads)));
}

const ConfigKey pneumo_config_fit_keys[] = {
	CONFIG_NUMBER("epochs", KEY_INT, train.epochs, 1, CONFIG_MAX_EPOCHS),
	CONFIG_NUMBER("batch_size", KEY_INT, train.batch_size, 1, 4096),
	CONFIG_READ("steps_per_epoch", read_steps),
	CONFIG_FLAG("shuffle", train.shuffle),
	CONFIG_READ("class_weight", read_class_weight),
	CONFIG_NUMBER("seed", KEY_SEED, train.seed, 0, 9007199254740992.0),
	CONFIG_READ("threads", read_threads),
	CONFIG_TEXT(initial_model),
	CONFIG_END,
};
