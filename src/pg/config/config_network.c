/*-------------------------------------------------------------------------
 *
 * config_network.c
 *	  Config keys that say what the network is and what it sees.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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

static void
read_layers(PneumoConfig *config, const char *what, JsonbValue *value)
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

static void
read_image_size(PneumoConfig *config, const char *what, JsonbValue *value)
{
	JsonbContainer *array = pneumo_json_array(value);

	if (array == NULL || pneumo_json_array_length(array) != 2)
		pneumo_json_bad(what, value, "a list [height, width]");
	config->preprocess.height =
		(int) pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 0), 1, NN_MAX_SIDE);
	config->preprocess.width =
		(int) pneumo_json_read_int(what, getIthJsonbValueFromContainer(array, 1), 1, NN_MAX_SIDE);
}

static void
read_color_mode(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preprocess.channels = pneumo_json_read_enum(what, value, color_modes) == 0 ? 1 : 3;
}

static void
read_interpolation(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preprocess.interpolation = (ImgInterpolation) pneumo_json_read_enum(what, value, interpolations);
}

const ConfigKey pneumo_config_network_keys[] = {
	CONFIG_TEXT(name),
	CONFIG_READ("model", pneumo_config_read_preset),
	CONFIG_READ("layers", read_layers),
	CONFIG_READ_GIVEN("image_size", read_image_size, image_size_given),
	CONFIG_READ_GIVEN("color_mode", read_color_mode, color_mode_given),
	CONFIG_READ("interpolation", read_interpolation),
	{.name = "rescale",
	 .kind = KEY_DOUBLE,
	 .offset = CONFIG_AT(rescale),
	 .low = 1e-6,
	 .high = 1e6,
	 .given = CONFIG_AT(rescale_given)},
	CONFIG_END,
};
