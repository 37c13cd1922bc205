/*-------------------------------------------------------------------------
 *
 * presets.c
 *	  Named architectures with their defaults.
 *
 * A preset is written in the user's own language: an object of config keys
 * and a Keras layer list.  Only the last layer depends on the labels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "pg/base/json.h"
#include "pg/config/config.h"

#define CONV(filters)                                                                       \
	"{\"class_name\":\"Conv2D\",\"config\":{\"filters\":" filters ",\"kernel_size\":[3,3]," \
	"\"padding\":\"same\",\"activation\":\"relu\"}},"                                       \
	"{\"class_name\":\"MaxPooling2D\",\"config\":{\"pool_size\":[2,2]}},"

#define DENSE(units) "{\"class_name\":\"Dense\",\"config\":{\"units\":" units ",\"activation\":\"relu\"}},"

#define FLATTEN "{\"class_name\":\"Flatten\",\"config\":{}},"

#define PATIENCE_5 \
	"\"early_stopping\":{\"monitor\":\"val_loss\",\"patience\":5,\"restore_best_weights\":true}"

static const PneumoPreset presets[] = {
	{"baseline", "{\"optimizer\":\"rmsprop\",\"batch_size\":32," PATIENCE_5 "}",
	 "[" CONV("32") FLATTEN DENSE("64") DENSE("32"), "one convolution, two dense layers (seed model 1)"},
	{"deep",
	 "{\"optimizer\":\"adam\",\"amsgrad\":true,\"batch_size\":32,"
	 "\"rotation_range\":10,\"brightness_range\":[0.8,1.2],\"shear_range\":5,"
	 "\"zoom_range\":0.1," PATIENCE_5 "}",
	 "[" CONV("32") CONV("64") CONV("128") CONV("256") FLATTEN DENSE("128") DENSE("64"),
	 "four convolutions, two dense layers (seed model 2)"},
	{NULL, NULL, NULL, NULL},
};

static const char *const preset_names[] = {"baseline", "deep", NULL};

const PneumoPreset *
pneumo_preset_find(const char *name)
{
	const PneumoPreset *preset;

	for (preset = presets; preset->name != NULL; preset++)
		if (strcmp(preset->name, name) == 0)
			return preset;
	return NULL;
}

const char *const *
pneumo_preset_names(void)
{
	return preset_names;
}

Jsonb *
pneumo_preset_layers(const char *name, int n_classes)
{
	const PneumoPreset *preset = pneumo_preset_find(name);
	char *text;

	if (n_classes > 2)
		text = psprintf("%s{\"class_name\":\"Dense\",\"config\":{\"units\":%d,\"activation\":\"softmax\"}}]",
						preset->layers, n_classes);
	else
		text = psprintf("%s{\"class_name\":\"Dense\",\"config\":{\"units\":1,\"activation\":\"sigmoid\"}}]",
						preset->layers);
	return pneumo_json_parse(text);
}
