/*-------------------------------------------------------------------------
 *
 * config_keys.c
 *	  The keys of the training config: names, types, ranges.
 *
 * One table names every key.  Keys are read in the order of the table, not of
 * the object: the optimizer comes before its numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "nn/nn.h"

#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

typedef enum ConfigKind
{
	KEY_INT,  /* int */
	KEY_SEED, /* uint64 */
	KEY_DOUBLE,
	KEY_DOUBLE_OR_NULL, /* null means 0 */
	KEY_FLOAT,
	KEY_BOOL, /* int, 0 or 1 */
	KEY_TEXT, /* char *, null allowed */
	KEY_ENUM, /* int, index into names */
	KEY_READ  /* by a function */
} ConfigKind;

typedef struct ConfigKey ConfigKey;
typedef void (*ConfigReader)(PneumoConfig *config, const char *what, JsonbValue *value);

struct ConfigKey
{
	const char *name;
	ConfigKind kind;
	size_t offset;
	double low, high;
	const char *const *names;
	ConfigReader read;
	int optimizers; /* bits of NnOptimizerKind; 0: no optimizer's key */
};

#define AT(field) offsetof(PneumoConfig, field)

#define OF_SGD (1 << NN_SGD)
#define OF_RMSPROP (1 << NN_RMSPROP)
#define OF_ADAM ((1 << NN_ADAM) | (1 << NN_ADAMW))
#define OF_ANY (OF_SGD | OF_RMSPROP | OF_ADAM)

static const char *const fill_modes[] = {"nearest", "constant", "reflect", "wrap", NULL};

#define READ(key, fn) {.name = key, .kind = KEY_READ, .read = fn}
#define TEXT(field) {.name = #field, .kind = KEY_TEXT, .offset = AT(field)}
#define FLAG(key, field) {.name = key, .kind = KEY_BOOL, .offset = AT(field)}
#define NUMBER(key, type, field, least, most) \
	{.name = key, .kind = type, .offset = AT(field), .low = least, .high = most}
#define OPT_FLAG(key, which) \
	{.name = #key, .kind = KEY_BOOL, .offset = AT(train.optimizer.key), .optimizers = which}
#define OPT_NUMBER(key, type, least, most, which) \
	{.name = #key,                                \
	 .kind = type,                                \
	 .offset = AT(train.optimizer.key),           \
	 .low = least,                                \
	 .high = most,                                \
	 .optimizers = which}

static const ConfigKey keys[] = {

	/* model */
	TEXT(name),
	READ("model", pneumo_config_read_preset),
	READ("layers", pneumo_config_read_layers),
	READ("image_size", pneumo_config_read_image_size),
	READ("color_mode", pneumo_config_read_color_mode),
	READ("interpolation", pneumo_config_read_interpolation),
	NUMBER("rescale", KEY_DOUBLE, rescale, 1e-6, 1e6),

	/* data */
	TEXT(image_column),
	TEXT(label_column),
	TEXT(positive_class),
	TEXT(group_column),
	TEXT(split_column),
	TEXT(key_column),
	TEXT(sample_weight_column),
	NUMBER("validation_split", KEY_DOUBLE, validation_split, 0, 0.95),
	NUMBER("test_split", KEY_DOUBLE, test_split, 0, 0.95),
	NUMBER("split_seed", KEY_INT, split_seed, INT_MIN, INT_MAX),
	NUMBER("max_bad_images", KEY_DOUBLE, max_bad_images, 0, 1),

	/* fit */
	NUMBER("epochs", KEY_INT, train.epochs, 1, 10000),
	NUMBER("batch_size", KEY_INT, train.batch_size, 1, 4096),
	READ("steps_per_epoch", pneumo_config_read_steps),
	FLAG("shuffle", train.shuffle),
	READ("class_weight", pneumo_config_read_class_weight),
	NUMBER("seed", KEY_SEED, train.seed, 0, 9007199254740992.0),
	READ("threads", pneumo_config_read_threads),
	TEXT(initial_model),

	/* compile */
	READ("optimizer", pneumo_config_read_optimizer),
	{.name = "learning_rate",
	 .kind = KEY_READ,
	 .read = pneumo_config_read_learning_rate,
	 .optimizers = OF_ANY},
	OPT_FLAG(amsgrad, OF_ADAM),
	OPT_NUMBER(rho, KEY_DOUBLE, 0, 1, OF_RMSPROP),
	OPT_NUMBER(momentum, KEY_DOUBLE, 0, 1, OF_SGD | OF_RMSPROP),
	OPT_FLAG(nesterov, OF_SGD),
	OPT_FLAG(centered, OF_RMSPROP),
	OPT_NUMBER(epsilon, KEY_DOUBLE, CONFIG_TINY, 1, OF_RMSPROP | OF_ADAM),
	OPT_NUMBER(beta_1, KEY_DOUBLE, 0, 0.999999999, OF_ADAM),
	OPT_NUMBER(beta_2, KEY_DOUBLE, 0, 0.999999999, OF_ADAM),
	OPT_NUMBER(weight_decay, KEY_DOUBLE_OR_NULL, 0, 1000, OF_ANY),
	OPT_NUMBER(clipnorm, KEY_DOUBLE_OR_NULL, CONFIG_TINY, CONFIG_BIG, OF_ANY),
	OPT_NUMBER(global_clipnorm, KEY_DOUBLE_OR_NULL, CONFIG_TINY, CONFIG_BIG, OF_ANY),
	OPT_NUMBER(clipvalue, KEY_DOUBLE_OR_NULL, CONFIG_TINY, CONFIG_BIG, OF_ANY),
	NUMBER("label_smoothing", KEY_DOUBLE, train.label_smoothing, 0, 1),
	READ("loss", pneumo_config_read_loss),
	READ("metrics", pneumo_config_read_metrics),
	READ("verbose", pneumo_config_read_verbose),

	/* callbacks */
	READ("early_stopping", pneumo_config_early_stopping),
	READ("reduce_lr_on_plateau", pneumo_config_plateau),

	/* augmentation */
	NUMBER("rotation_range", KEY_FLOAT, augment.rotation_range, 0, 180),
	NUMBER("width_shift_range", KEY_FLOAT, augment.width_shift_range, 0, NN_MAX_SIDE),
	NUMBER("height_shift_range", KEY_FLOAT, augment.height_shift_range, 0, NN_MAX_SIDE),
	READ("brightness_range", pneumo_config_read_brightness),
	NUMBER("shear_range", KEY_FLOAT, augment.shear_range, 0, 89),
	READ("zoom_range", pneumo_config_read_zoom),
	FLAG("horizontal_flip", augment.horizontal_flip),
	FLAG("vertical_flip", augment.vertical_flip),
	{.name = "fill_mode", .kind = KEY_ENUM, .offset = AT(augment.fill_mode), .names = fill_modes},
	NUMBER("cval", KEY_FLOAT, augment.cval, 0, 255),

	/* result */
	READ("calibration", pneumo_config_read_calibration),
	READ("operating_point", pneumo_config_read_operating_point),
	READ("deploy", pneumo_config_read_deploy),
	READ("precision", pneumo_config_read_precision),
	TEXT(comment),
};
const char *const *
pneumo_config_key_names(void)
{
	const char **names = palloc(sizeof(char *) * (lengthof(keys) + 1));
	int i;

	for (i = 0; i < (int) lengthof(keys); i++)
		names[i] = keys[i].name;
	names[lengthof(keys)] = NULL;
	return names;
}

static void
read_key(PneumoConfig *config, const ConfigKey *key, const char *prefix, JsonbValue *value)
{
	char *what = pneumo_config_what(prefix, key->name);
	char *field = (char *) config + key->offset;

	switch (key->kind)
	{
		case KEY_INT:
			*(int *) field = (int) pneumo_json_read_int(what, value, key->low, key->high);
			break;
		case KEY_SEED:
			*(uint64_t *) field = (uint64_t) pneumo_json_read_int(what, value, key->low, key->high);
			break;
		case KEY_DOUBLE:
			*(double *) field = pneumo_json_read_number(what, value, key->low, key->high);
			break;
		case KEY_DOUBLE_OR_NULL:
			*(double *) field =
				pneumo_json_is_null(value) ? 0 : pneumo_json_read_number(what, value, key->low, key->high);
			break;
		case KEY_FLOAT:
			*(float *) field = (float) pneumo_json_read_number(what, value, key->low, key->high);
			break;
		case KEY_BOOL:
			*(int *) field = pneumo_json_read_bool(what, value);
			break;
		case KEY_TEXT:
			if (pneumo_json_is_null(value))
				*(char **) field = NULL;
			else
				*(char **) field = pneumo_json_read_string(what, value);
			break;
		case KEY_ENUM:
			*(int *) field = pneumo_json_read_enum(what, value, key->names);
			break;
		case KEY_READ:
			key->read(config, what, value);
			break;
	}
}

void
pneumo_config_read_keys(PneumoConfig *config, JsonbContainer *object, bool explicit)
{
	int i;

	for (i = 0; i < (int) lengthof(keys); i++)
	{
		JsonbValue *value = pneumo_json_get(object, keys[i].name);

		if (value == NULL)
			continue;
		if (keys[i].optimizers != 0 && (keys[i].optimizers & (1 << config->train.optimizer.kind)) == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("config key \"%s\" does not apply to optimizer \"%s\"", keys[i].name,
								   pneumo_config_optimizers[config->train.optimizer.kind])));
		read_key(config, &keys[i], "", value);
		if (explicit && keys[i].read == pneumo_config_early_stopping && !pneumo_json_is_null(value))
			config->early_stopping_given = true;
		if (explicit && keys[i].read == pneumo_config_plateau && !pneumo_json_is_null(value))
			config->plateau_given = true;
	}
}

int
pneumo_config_optimizer_keys(const char **names, NnOptimizerKind kind)
{
	int n = 0;
	int i;

	for (i = 0; i < (int) lengthof(keys); i++)
		if (keys[i].optimizers & (1 << kind))
			names[n++] = keys[i].name;
	return n;
}

void
pneumo_config_read_optimizer_keys(PneumoConfig *config, const char *prefix, JsonbContainer *object)
{
	int i;

	for (i = 0; i < (int) lengthof(keys); i++)
	{
		JsonbValue *value;

		if ((keys[i].optimizers & (1 << config->train.optimizer.kind)) == 0)
			continue;
		value = pneumo_json_get(object, keys[i].name);
		if (value != NULL)
			read_key(config, &keys[i], prefix, value);
	}
}
