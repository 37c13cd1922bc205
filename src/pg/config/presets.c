/*-------------------------------------------------------------------------
 *
 * presets.c
 *	  Named architectures with their defaults.
 *
 * A preset is written in the user's own language: an object of config keys and
 * a Keras layer list.  What it does not say has the default.  Only the last
 * layer depends on the labels.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/base/json.h"
#include "pg/config/config_internal.h"

#define CONV(filters)                                                                       \
	"{\"class_name\":\"Conv2D\",\"config\":{\"filters\":" filters ",\"kernel_size\":[3,3]," \
	"\"padding\":\"same\",\"activation\":\"relu\"}},"                                       \
	"{\"class_name\":\"MaxPooling2D\",\"config\":{\"pool_size\":[2,2]}},"

#define DENSE(units) "{\"class_name\":\"Dense\",\"config\":{\"units\":" units ",\"activation\":\"relu\"}},"

#define FLATTEN "{\"class_name\":\"Flatten\",\"config\":{}},"

static const Preset presets[] = {
	/* one convolution, two dense layers (seed model 1) */
	{"baseline", "{\"optimizer\":\"rmsprop\"}", "[" CONV("32") FLATTEN DENSE("64") DENSE("32")},
	/* four convolutions, two dense layers (seed model 2) */
	{"deep",
	 "{\"optimizer\":\"adam\",\"amsgrad\":true,"
	 "\"rotation_range\":10,\"brightness_range\":[0.8,1.2],\"shear_range\":5,"
	 "\"zoom_range\":0.1}",
	 "[" CONV("32") CONV("64") CONV("128") CONV("256") FLATTEN DENSE("128") DENSE("64")},
};

const Preset *
pneumo_preset_find(const char *name)
{
	size_t i;

	for (i = 0; i < lengthof(presets); i++)
		if (strcmp(presets[i].name, name) == 0)
			return &presets[i];
	return NULL;
}

const char *const *
pneumo_preset_names(void)
{
	static const char *names[lengthof(presets) + 1];
	size_t i;

	for (i = 0; i < lengthof(presets); i++)
		names[i] = presets[i].name;
	names[i] = NULL;
	return names;
}

Jsonb *
pneumo_preset_layers(const char *name, int n_classes, bool multi_label)
{
	const Preset *preset = pneumo_preset_find(name);
	char *text;

	if (n_classes > 2 || (multi_label && n_classes > 0))
		text = psprintf("%s{\"class_name\":\"Dense\",\"config\":{\"units\":%d,\"activation\":\"%s\"}}]",
						preset->layers, n_classes, multi_label ? "sigmoid" : "softmax");
	else
		text = psprintf("%s{\"class_name\":\"Dense\",\"config\":{\"units\":1,\"activation\":\"sigmoid\"}}]",
						preset->layers);
	return pneumo_json_parse(text);
}
