/*-------------------------------------------------------------------------
 *
 * config_result.c
 *	  Config keys that say what becomes of the trained network.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

static void
read_calibration(PneumoConfig *config, const char *what, JsonbValue *value)
{
	/* in the order of PneumoCalibrationKind */
	static const char *const names[] = {"none", "platt", "temperature", NULL};

	config->calibration = pneumo_json_read_enum(what, value, names);
}

/* Reads the rule by which the threshold is chosen: a threshold, a sensitivity, or Youden's index. */
static void
read_operating_point(PneumoConfig *config, const char *what, JsonbValue *value)
{
	static const char *const known[] = {"threshold", "sensitivity", "confidence", NULL};
	static const char *const allowed = "{\"threshold\": 0.5}, {\"sensitivity\": 0.95}, "
									   "{\"sensitivity\": 0.95, \"confidence\": 0.95} or \"youden\"";
	StatsThresholdDemand *demand = &config->operating_point;
	JsonbContainer *object = pneumo_json_object(value);
	char *text = pneumo_json_cstring(value);
	JsonbValue *threshold;
	JsonbValue *sensitivity;
	JsonbValue *confidence;

	if (text != NULL && strcmp(text, "youden") == 0)
	{
		demand->rule = STATS_THRESHOLD_YOUDEN;
		return;
	}
	if (object == NULL)
		pneumo_json_bad(what, value, allowed);
	pneumo_json_check_keys(object, "operating_point.", known);
	threshold = pneumo_json_get(object, "threshold");
	sensitivity = pneumo_json_get(object, "sensitivity");
	confidence = pneumo_json_get(object, "confidence");
	if ((threshold == NULL) == (sensitivity == NULL) || (confidence != NULL && sensitivity == NULL))
		pneumo_json_bad(what, value, allowed);
	if (threshold != NULL)
	{
		demand->rule = STATS_THRESHOLD_FIXED;
		config->threshold = demand->threshold =
			pneumo_json_read_number("config key \"operating_point.threshold\"", threshold, 0, 1);
		return;
	}
	demand->rule = confidence == NULL ? STATS_THRESHOLD_SENSITIVITY : STATS_THRESHOLD_SENSITIVITY_LIMIT;
	demand->sensitivity = pneumo_json_read_number("config key \"operating_point.sensitivity\"", sensitivity,
												  0.01, confidence == NULL ? 1 : 0.9999);
	if (confidence != NULL)
		demand->confidence =
			pneumo_json_read_number("config key \"operating_point.confidence\"", confidence, 0.5, 0.9999);
}

static void
read_deploy(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char *text = pneumo_json_cstring(value);

	if (pneumo_json_is_null(value))
		config->deploy = PNEUMO_DEPLOY_IF_NONE;
	else if (text != NULL && strcmp(text, "if_better") == 0)
		config->deploy = PNEUMO_DEPLOY_IF_BETTER;
	else if (value->type != jbvBool)
		pneumo_json_bad(what, value, "true, false, null or \"if_better\"");
	else
		config->deploy = pneumo_json_read_bool(what, value) ? PNEUMO_DEPLOY_YES : PNEUMO_DEPLOY_NO;
}

static void
read_precision(PneumoConfig *config, const char *what, JsonbValue *value)
{
	static const char *const names[] = {"float32", "int16", NULL}; /* by NnPrecision */

	config->train.precision = (NnPrecision) pneumo_json_read_enum(what, value, names);
}

const ConfigKey pneumo_config_result_keys[] = {
	CONFIG_READ("calibration", read_calibration),
	CONFIG_READ("operating_point", read_operating_point),
	CONFIG_READ("deploy", read_deploy),
	CONFIG_READ("precision", read_precision),
	CONFIG_TEXT(comment),
	CONFIG_END,
};
