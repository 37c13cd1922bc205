/*-------------------------------------------------------------------------
 *
 * config.c
 *	  The training config: jsonb to PneumoConfig.
 *
 * One table names every key with its type and range.  The same code reads the
 * preset's object and then the user's, so that an explicit key beats the
 * preset's value, which beats the default.  Keys are read in the order of the
 * table, not of the object: the optimizer comes before its numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pg/config.h"
#include "pg/training.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

typedef enum ConfigKind
{
	KEY_INT,					/* int */
	KEY_SEED,					/* uint64 */
	KEY_DOUBLE,
	KEY_DOUBLE_OR_NULL,			/* null means 0 */
	KEY_FLOAT,
	KEY_BOOL,					/* int, 0 or 1 */
	KEY_TEXT,					/* char *, null allowed */
	KEY_ENUM,					/* int, index into names */
	KEY_READ					/* by a function */
} ConfigKind;

typedef struct ConfigKey ConfigKey;
typedef void (*ConfigReader) (PneumoConfig *config, const char *what, JsonbValue *value);

struct ConfigKey
{
	const char *name;
	ConfigKind	kind;
	size_t		offset;
	double		low,
				high;
	const char *const *names;
	ConfigReader read;
	int			optimizers;		/* bits of NnOptimizerKind; 0: no optimizer's key */
};

#define AT(field) offsetof(PneumoConfig, field)
#define TINY 1e-12
#define BIG 1e12

#define OF_SGD (1 << NN_SGD)
#define OF_RMSPROP (1 << NN_RMSPROP)
#define OF_ADAM ((1 << NN_ADAM) | (1 << NN_ADAMW))
#define OF_ANY (OF_SGD | OF_RMSPROP | OF_ADAM)

static const char *const color_modes[] = {"grayscale", "rgb", NULL};
static const char *const interpolations[] = {"area", "bilinear", NULL};
static const char *const fill_modes[] = {"nearest", "constant", "reflect", "wrap", NULL};
static const char *const losses[] = {
	"binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", NULL
};
static const char *const metric_names[] = {
	"accuracy", "acc", "binary_accuracy", "categorical_accuracy",
	"sparse_categorical_accuracy", "auc", "AUC", "loss", NULL
};
static const char *const optimizer_names[] = {"sgd", "rmsprop", "adam", "adamw", NULL};

static void read_preset(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_layers(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_image_size(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_color_mode(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_interpolation(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_steps(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_class_weight(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_threads(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_optimizer(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_learning_rate(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_loss(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_metrics(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_verbose(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_brightness(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_zoom(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_calibration(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_operating_point(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_deploy(PneumoConfig *config, const char *what, JsonbValue *value);
static void read_precision(PneumoConfig *config, const char *what, JsonbValue *value);

#define READ(key, fn) {.name = key, .kind = KEY_READ, .read = fn}
#define TEXT(field) {.name = #field, .kind = KEY_TEXT, .offset = AT(field)}
#define FLAG(key, field) {.name = key, .kind = KEY_BOOL, .offset = AT(field)}
#define NUMBER(key, type, field, least, most) \
	{.name = key, .kind = type, .offset = AT(field), .low = least, .high = most}
#define OPT_FLAG(key, which) \
	{.name = #key, .kind = KEY_BOOL, .offset = AT(train.optimizer.key), .optimizers = which}
#define OPT_NUMBER(key, type, least, most, which) \
	{.name = #key, .kind = type, .offset = AT(train.optimizer.key), .low = least, .high = most, \
		.optimizers = which}

static const ConfigKey keys[] = {

	/* model */
	TEXT(name),
	READ("model", read_preset),
	READ("layers", read_layers),
	READ("image_size", read_image_size),
	READ("color_mode", read_color_mode),
	READ("interpolation", read_interpolation),
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
	READ("steps_per_epoch", read_steps),
	FLAG("shuffle", train.shuffle),
	READ("class_weight", read_class_weight),
	NUMBER("seed", KEY_SEED, train.seed, 0, 9007199254740992.0),
	READ("threads", read_threads),
	TEXT(initial_model),

	/* compile */
	READ("optimizer", read_optimizer),
	{.name = "learning_rate", .kind = KEY_READ, .read = read_learning_rate, .optimizers = OF_ANY},
	OPT_FLAG(amsgrad, OF_ADAM),
	OPT_NUMBER(rho, KEY_DOUBLE, 0, 1, OF_RMSPROP),
	OPT_NUMBER(momentum, KEY_DOUBLE, 0, 1, OF_SGD | OF_RMSPROP),
	OPT_FLAG(nesterov, OF_SGD),
	OPT_FLAG(centered, OF_RMSPROP),
	OPT_NUMBER(epsilon, KEY_DOUBLE, TINY, 1, OF_RMSPROP | OF_ADAM),
	OPT_NUMBER(beta_1, KEY_DOUBLE, 0, 0.999999999, OF_ADAM),
	OPT_NUMBER(beta_2, KEY_DOUBLE, 0, 0.999999999, OF_ADAM),
	OPT_NUMBER(weight_decay, KEY_DOUBLE_OR_NULL, 0, 1000, OF_ANY),
	OPT_NUMBER(clipnorm, KEY_DOUBLE_OR_NULL, TINY, BIG, OF_ANY),
	OPT_NUMBER(global_clipnorm, KEY_DOUBLE_OR_NULL, TINY, BIG, OF_ANY),
	OPT_NUMBER(clipvalue, KEY_DOUBLE_OR_NULL, TINY, BIG, OF_ANY),
	NUMBER("label_smoothing", KEY_DOUBLE, train.label_smoothing, 0, 1),
	READ("loss", read_loss),
	READ("metrics", read_metrics),
	READ("verbose", read_verbose),

	/* callbacks */
	READ("early_stopping", pneumo_config_early_stopping),
	READ("reduce_lr_on_plateau", pneumo_config_plateau),

	/* augmentation */
	NUMBER("rotation_range", KEY_FLOAT, augment.rotation_range, 0, 180),
	NUMBER("width_shift_range", KEY_FLOAT, augment.width_shift_range, 0, NN_MAX_SIDE),
	NUMBER("height_shift_range", KEY_FLOAT, augment.height_shift_range, 0, NN_MAX_SIDE),
	READ("brightness_range", read_brightness),
	NUMBER("shear_range", KEY_FLOAT, augment.shear_range, 0, 89),
	READ("zoom_range", read_zoom),
	FLAG("horizontal_flip", augment.horizontal_flip),
	FLAG("vertical_flip", augment.vertical_flip),
	{.name = "fill_mode", .kind = KEY_ENUM, .offset = AT(augment.fill_mode), .names = fill_modes},
	NUMBER("cval", KEY_FLOAT, augment.cval, 0, 255),

	/* result */
	READ("calibration", read_calibration),
	READ("operating_point", read_operating_point),
	READ("deploy", read_deploy),
	READ("precision", read_precision),
	TEXT(comment),
};

char *
pneumo_config_what(const char *prefix, const char *name)
{
	return psprintf("config key \"%s%s\"", prefix, name);
}

static void
unknown_key(const char *prefix, const char *name, const char *const *known)
{
	const char *near = pneumo_nearest(name, known);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown config key \"%s%s\"", prefix, name),
			 near ? errhint("Did you mean \"%s%s\"?", prefix, near) : 0));
}

/* Refuses keys of object that known does not have. */
void
pneumo_config_check_keys(JsonbContainer *object, const char *prefix, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		char	   *name;
		int			i;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		for (i = 0; known[i] != NULL; i++)
			if (strcmp(name, known[i]) == 0)
				break;
		if (known[i] == NULL)
			unknown_key(prefix, name, known);
	}
}

static const char *const *
all_key_names(void)
{
	const char **names = palloc(sizeof(char *) * (lengthof(keys) + 1));
	int			i;

	for (i = 0; i < (int) lengthof(keys); i++)
		names[i] = keys[i].name;
	names[lengthof(keys)] = NULL;
	return names;
}

/* --------------------------------------------------------------- readers */

static void
read_preset(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preset = pstrdup(pneumo_preset_names()[pneumo_json_read_enum(what, value,
																		 pneumo_preset_names())]);
}

static void
read_layers(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char	   *text = pneumo_json_cstring(value);

	if (pneumo_json_is_null(value))
		return;
	if (text != NULL)
		config->layers = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
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
	config->image_size_given = true;
}

static void
read_color_mode(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preprocess.channels = pneumo_json_read_enum(what, value, color_modes) == 0 ? 1 : 3;
	config->color_mode_given = true;
}

static void
read_interpolation(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->preprocess.interpolation =
		(ImgInterpolation) pneumo_json_read_enum(what, value, interpolations);
}

static void
read_steps(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->train.steps_per_epoch =
		pneumo_json_is_null(value) ? 0 : (int) pneumo_json_read_int(what, value, 1, INT_MAX);
}

static void
read_class_weight(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char	   *text = pneumo_json_cstring(value);

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
	config->threads = (int) pneumo_json_read_int(what, value, 1, 256);
	if (pneumo_train_threads > 0 && config->threads > pneumo_train_threads)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"threads\" is %d, pneumo.train_threads allows %d",
						config->threads, pneumo_train_threads)));
}

/* Keys of Keras's optimizer configs that change nothing here. */
static const char *const optimizer_ignored[] = {
	"name", "jit_compile", "is_legacy_optimizer", "decay", "use_ema", "ema_momentum",
	"ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps", NULL
};

static const ConfigKey *
find_key(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static void read_key(PneumoConfig *config, const ConfigKey *key, const char *prefix,
					 JsonbValue *value);

/* The numbers inside {"class_name": ..., "config": {...}}. */
static void
read_optimizer_config(PneumoConfig *config, JsonbContainer *object)
{
	const char *known[64];
	int			n = 0;
	int			i;
	JsonbValue *v;

	for (i = 0; i < (int) lengthof(keys); i++)
		if (keys[i].optimizers & (1 << config->train.optimizer.kind))
			known[n++] = keys[i].name;
	for (i = 0; optimizer_ignored[i] != NULL; i++)
		known[n++] = optimizer_ignored[i];
	known[n] = NULL;
	pneumo_config_check_keys(object, "optimizer.config.", known);

	v = pneumo_json_get(object, "use_ema");
	if (v != NULL && !(v->type == jbvBool && !v->val.boolean) && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.use_ema\"", v, "false");
	v = pneumo_json_get(object, "gradient_accumulation_steps");
	if (v != NULL && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.gradient_accumulation_steps\"", v, "null");
	v = pneumo_json_get(object, "loss_scale_factor");
	if (v != NULL && v->type != jbvNull)
		pneumo_json_bad("config key \"optimizer.config.loss_scale_factor\"", v, "null");

	for (i = 0; i < (int) lengthof(keys); i++)
	{
		if ((keys[i].optimizers & (1 << config->train.optimizer.kind)) == 0)
			continue;
		v = pneumo_json_get(object, keys[i].name);
		if (v != NULL)
			read_key(config, &keys[i], "optimizer.config.", v);
	}
}

static void
read_optimizer(PneumoConfig *config, const char *what, JsonbValue *value)
{
	JsonbContainer *object = pneumo_json_object(value);
	static const char *const object_keys[] = {
		"class_name", "config", "module", "registered_name", "build_config", "shared_object_id", NULL
	};
	static const char *const class_names[] = {"SGD", "RMSprop", "Adam", "AdamW", NULL};

	if (object != NULL)
	{
		JsonbValue *class_name = pneumo_json_get(object, "class_name");
		JsonbValue *inner = pneumo_json_get(object, "config");

		pneumo_config_check_keys(object, "optimizer.", object_keys);
		if (class_name == NULL)
			pneumo_json_bad(what, value, "a name or an object with \"class_name\" and \"config\"");
		nn_optimizer_init(&config->train.optimizer, (NnOptimizerKind)
						  pneumo_json_read_enum("config key \"optimizer.class_name\"",
												class_name, class_names));
		if (inner != NULL && pneumo_json_object(inner) == NULL)
			pneumo_json_bad("config key \"optimizer.config\"", inner, "an object");
		if (inner != NULL)
			read_optimizer_config(config, pneumo_json_object(inner));
	}
	else
	{
		NnOptimizerKind kind = (NnOptimizerKind)
			pneumo_json_read_enum(what, value, optimizer_names);

		/* the same kind as the preset's keeps the preset's numbers */
		if (kind != config->train.optimizer.kind)
			nn_optimizer_init(&config->train.optimizer, kind);
	}
}

static void
read_learning_rate(PneumoConfig *config, const char *what, JsonbValue *value)
{
	NnOptimizer *opt = &config->train.optimizer;
	JsonbContainer *object = pneumo_json_object(value);
	JsonbContainer *inner;
	JsonbValue *v;
	double		number;
	static const char *const object_keys[] = {
		"class_name", "config", "module", "registered_name", "shared_object_id", NULL
	};
	static const char *const inner_keys[] = {
		"initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps",
		"name", NULL
	};
	static const char *const class_names[] = {"CosineDecay", NULL};

	opt->cosine_decay = 0;
	opt->warmup_target = NAN;
	opt->warmup_steps = 0;
	opt->alpha = 0;
	if (object == NULL)
	{
		if (!pneumo_json_double(value, &number))
			pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object");
		opt->learning_rate = pneumo_json_read_number(what, value, TINY, 1000);
		return;
	}

	pneumo_config_check_keys(object, "learning_rate.", object_keys);
	v = pneumo_json_get(object, "class_name");
	if (v == NULL)
		pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object");
	pneumo_json_read_enum("config key \"learning_rate.class_name\"", v, class_names);
	v = pneumo_json_get(object, "config");
	inner = pneumo_json_object(v);
	if (inner == NULL)
		pneumo_json_bad(what, value, "a number above 0 or a CosineDecay object with \"config\"");
	pneumo_config_check_keys(inner, "learning_rate.config.", inner_keys);

	opt->cosine_decay = 1;
	v = pneumo_json_get(inner, "initial_learning_rate");
	if (v == NULL)
		pneumo_json_bad(what, value, "given with \"initial_learning_rate\"");
	opt->learning_rate = pneumo_json_read_number("config key \"learning_rate.config.initial_learning_rate\"",
												 v, 0, 1000);
	v = pneumo_json_get(inner, "decay_steps");
	if (v == NULL)
		pneumo_json_bad(what, value, "given with \"decay_steps\"");
	opt->decay_steps = pneumo_json_read_number("config key \"learning_rate.config.decay_steps\"",
											   v, 1, BIG);
	v = pneumo_json_get(inner, "alpha");
	if (v != NULL)
		opt->alpha = pneumo_json_read_number("config key \"learning_rate.config.alpha\"", v, 0, 1);
	v = pneumo_json_get(inner, "warmup_target");
	if (!pneumo_json_is_null(v))
		opt->warmup_target = pneumo_json_read_number("config key \"learning_rate.config.warmup_target\"",
													 v, 0, 1000);
	v = pneumo_json_get(inner, "warmup_steps");
	if (!pneumo_json_is_null(v))
		opt->warmup_steps = pneumo_json_read_number("config key \"learning_rate.config.warmup_steps\"",
													v, 0, BIG);
}

static void
read_loss(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->loss = pneumo_json_is_null(value) ? -1 : pneumo_json_read_enum(what, value, losses);
}

static void
read_metrics(PneumoConfig *config, const char *what, JsonbValue *value)
{
	JsonbContainer *array = pneumo_json_array(value);
	int			i;

	(void) config;				/* always the same figures are reported */
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
	char	   *text = pneumo_json_cstring(value);

	if (text != NULL && strcmp(text, "auto") == 0)
		config->verbose = 1;
	else
		config->verbose = (int) pneumo_json_read_int(what, value, 0, 2);
}

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
	double		zoom;

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

static void
read_calibration(PneumoConfig *config, const char *what, JsonbValue *value)
{
	/* in the order of PneumoCalibrationKind */
	static const char *const names[] = {"none", "platt", "temperature", NULL};

	config->calibration = pneumo_json_read_enum(what, value, names);
}

static void
read_operating_point(PneumoConfig *config, const char *what, JsonbValue *value)
{
	static const char *const known[] = {"threshold", "sensitivity", "confidence", NULL};
	static const char *const allowed = "{\"threshold\": 0.5}, {\"sensitivity\": 0.95}, "
		"{\"sensitivity\": 0.95, \"confidence\": 0.95} or \"youden\"";
	StatsThresholdDemand *demand = &config->operating_point;
	JsonbContainer *object = pneumo_json_object(value);
	char	   *text = pneumo_json_cstring(value);
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
	pneumo_config_check_keys(object, "operating_point.", known);
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
		demand->confidence = pneumo_json_read_number("config key \"operating_point.confidence\"", confidence,
													 0.5, 0.9999);
}

static void
read_deploy(PneumoConfig *config, const char *what, JsonbValue *value)
{
	char	   *text = pneumo_json_cstring(value);

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
	static const char *const names[] = {"float32", NULL};

	(void) config;
	pneumo_json_read_enum(what, value, names);
}

/* ------------------------------------------------------------ the config */

static void
read_key(PneumoConfig *config, const ConfigKey *key, const char *prefix, JsonbValue *value)
{
	char	   *what = pneumo_config_what(prefix, key->name);
	char	   *field = (char *) config + key->offset;

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
			*(double *) field = pneumo_json_is_null(value) ? 0 :
				pneumo_json_read_number(what, value, key->low, key->high);
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

static void
read_object(PneumoConfig *config, JsonbContainer *object, bool explicit)
{
	int			i;

	for (i = 0; i < (int) lengthof(keys); i++)
	{
		JsonbValue *value = pneumo_json_get(object, keys[i].name);

		if (value == NULL)
			continue;
		if (keys[i].optimizers != 0 &&
			(keys[i].optimizers & (1 << config->train.optimizer.kind)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config key \"%s\" does not apply to optimizer \"%s\"",
							keys[i].name, optimizer_names[config->train.optimizer.kind])));
		read_key(config, &keys[i], "", value);
		if (explicit && keys[i].read == pneumo_config_early_stopping && !pneumo_json_is_null(value))
			config->early_stopping_given = true;
		if (explicit && keys[i].read == pneumo_config_plateau && !pneumo_json_is_null(value))
			config->plateau_given = true;
	}
}

static void
set_defaults(PneumoConfig *config)
{
	memset(config, 0, sizeof(PneumoConfig));
	config->name = "default";
	config->preset = "deep";
	config->preprocess.height = 256;
	config->preprocess.width = 256;
	config->preprocess.channels = 1;
	config->preprocess.interpolation = IMG_INTERPOLATION_AREA;
	config->rescale = 0.00392156862745098;
	config->label_column = "label";
	config->validation_split = 0.15;
	config->test_split = 0.15;
	config->max_bad_images = 0.1;
	config->train.epochs = 20;
	config->train.batch_size = 32;
	config->train.shuffle = 1;
	nn_optimizer_init(&config->train.optimizer, NN_RMSPROP);
	config->train.early_stopping = 1;
	config->train.es_monitor = NN_MONITOR_VAL_LOSS;
	config->train.es_patience = 5;
	config->train.restore_best_weights = 1;
	config->augment.brightness_low = config->augment.brightness_high = 1;
	config->augment.zoom_low = config->augment.zoom_high = 1;
	config->augment.fill_mode = IMG_FILL_NEAREST;
	config->verbose = 1;
	config->loss = -1;
	config->threshold = 0.5;
	config->calibration = PNEUMO_CALIBRATION_NONE;
	config->operating_point.rule = STATS_THRESHOLD_FIXED;
	config->operating_point.threshold = 0.5;
	config->operating_point.confidence = STATS_DEFAULT_CONFIDENCE;
	config->deploy = PNEUMO_DEPLOY_IF_NONE;
}

/* What two keys say together. */
static void
check_together(PneumoConfig *config)
{
	const NnOptimizer *opt = &config->train.optimizer;
	const char *wrong;

	if (config->name == NULL || strlen(config->name) > 200)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"name\" must be a string of 1 to 200 bytes")));
	if (config->label_column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"label_column\" must not be null")));
	if (config->validation_split + config->test_split > 0.95 + 1e-9)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("validation_split %g and test_split %g leave %g for training, must leave "
						"at least 0.05",
						config->validation_split, config->test_split,
						1 - config->validation_split - config->test_split)));
	if ((opt->clipnorm > 0) + (opt->global_clipnorm > 0) + (opt->clipvalue > 0) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only one of config keys \"clipnorm\", \"global_clipnorm\" and "
						"\"clipvalue\" can be set")));
	if (opt->nesterov && opt->momentum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"nesterov\" is true, which needs a momentum above 0")));
	if (opt->cosine_decay && config->train.plateau)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"reduce_lr_on_plateau\" cannot be combined with a learning "
						"rate schedule")));
	wrong = img_augment_check(&config->augment);
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", wrong)));
}

PneumoConfig *
pneumo_config_parse(Jsonb *given)
{
	PneumoConfig *config = palloc(sizeof(PneumoConfig));
	const PneumoPreset *preset;
	JsonbValue *model;
	JsonbValue *layers;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the config must be a JSON object, not %s",
						JB_ROOT_IS_SCALAR(given) ? "a single value" : "a list")));
	set_defaults(config);
	config->given = given;
	pneumo_config_check_keys(&given->root, "", all_key_names());

	model = pneumo_json_get(&given->root, "model");
	layers = pneumo_json_get(&given->root, "layers");
	if (!pneumo_json_is_null(layers))
	{
		if (model != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config keys \"model\" and \"layers\" cannot both be given")));
		config->preset = NULL;
	}
	else
	{
		Jsonb	   *defaults;

		if (model != NULL)
			read_key(config, find_key("model"), "", model);
		preset = pneumo_preset_find(config->preset);
		defaults = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(preset->config)));
		read_object(config, &defaults->root, false);
	}

	read_object(config, &given->root, true);
	check_together(config);
	return config;
}
