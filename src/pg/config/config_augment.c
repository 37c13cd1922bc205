/*-------------------------------------------------------------------------
 *
 * config_augment.c
 *	  Config keys of augmentation: how far the images of training are turned,
 *	  shifted and scaled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

static const char *const fill_modes[] = {"nearest", "constant", "reflect", "wrap", NULL}; /* by ImgFillMode */

/* Reads a list [low, high] of two numbers. */
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

static void
read_brightness(PneumoConfig *config, const char *what, JsonbValue *value)
{
	if (pneumo_json_is_null(value))
		config->augment.brightness_low = config->augment.brightness_high = 1;
	else
		read_pair(what, value, 0, 10, &config->augment.brightness_low, &config->augment.brightness_high);
}

static void
read_zoom(PneumoConfig *config, const char *what, JsonbValue *value)
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

const ConfigKey pneumo_config_augment_keys[] = {
	CONFIG_NUMBER("rotation_range", KEY_FLOAT, augment.rotation_range, 0, 180),
	CONFIG_NUMBER("width_shift_range", KEY_FLOAT, augment.width_shift_range, 0, NN_MAX_SIDE),
	CONFIG_NUMBER("height_shift_range", KEY_FLOAT, augment.height_shift_range, 0, NN_MAX_SIDE),
	CONFIG_READ("brightness_range", read_brightness),
	CONFIG_NUMBER("shear_range", KEY_FLOAT, augment.shear_range, 0, 89),
	CONFIG_READ("zoom_range", read_zoom),
	CONFIG_FLAG("horizontal_flip", augment.horizontal_flip),
	CONFIG_FLAG("vertical_flip", augment.vertical_flip),
	{.name = "fill_mode", .kind = KEY_ENUM, .offset = CONFIG_AT(augment.fill_mode), .names = fill_modes},
	CONFIG_NUMBER("cval", KEY_FLOAT, augment.cval, 0, 255),
	CONFIG_END,
};
