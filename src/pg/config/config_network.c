/*-------------------------------------------------------------------------
 *
 * config_network.c
 *	  Config keys that say what the network is and what it sees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

static const char *const color_modes[] = {"grayscale", "rgb", NULL};
static const char *const interpolations[] = {"area", "bilinear", NULL};

void
pneumo_config_read_preset(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preset =
		pstrdup(pneumo_preset_names()[pneumo_json_read_enum(what, value, pneumo_preset_names())]);
}

void
pneumo_config_read_layers(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char *text = pneumo_json_cstring(value);

	if (pneumo_json_is_null(value))
		return;
	if (text != NULL)
		config->layers = pneumo_json_parse(text);
	else if (value->type == jbvBinary)
		config->layers = JsonbValueToJsonb(value);
	if (config->layers == NULL || JB_ROOT_IS_SCALAR(config->layers))
		pneumo_json_bad(what, value, "a Keras to_json() object or a list of layers");
}

void
pneumo_config_read_image_size(PneumoConfig *config, const char *what, JsonbValue *value)
{
	JsonbContainer *array = pneumo_json_array(value);

	if (array == NULL || pneumo_json_array_length(array) != 2)
		pneumo_json_bad(what, value, "a list [height, width]");
	config->preprocess.height =
		(int) pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 0), 1, NN_MAX_SIDE);
	config->preprocess.width =
		(int) pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 1), 1, NN_MAX_SIDE);
	config->image_size_given = true;
}

void
pneumo_config_read_color_mode(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preprocess.channels = pneumo_json_read_enum(what, value, color_modes) == 0 ? 1 : 3;
	config->color_mode_given = true;
}

void
pneumo_config_read_interpolation(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preprocess.interpolation = (ImgInterpolation) pneumo_json_read_enum(what, value, interpolations);
}
