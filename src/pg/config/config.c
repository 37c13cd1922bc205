/*-------------------------------------------------------------------------
 *
 * config.c
 *	  The training config: jsonb to PneumoConfig.
 *
 * The same code reads the preset's object and then the user's, so that an
 * explicit key beats the preset's value, which beats the default.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "image/image.h"
#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* Sets the defaults of all keys that have one; those of the optimizer's numbers are nn_optimizer_init()'s. */
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
	pneumo_config_default_early_stopping(&config->train);
	config->augment.brightness_low = config->augment.brightness_high = 1;
	config->augment.zoom_low = config->augment.zoom_high = 1;
	config->augment.fill_mode = IMG_FILL_NEAREST;
	config->verbose = 1;
	config->loss = PNEUMO_LOSS_NOT_GIVEN;
	config->threshold = PNEUMO_DEFAULT_THRESHOLD;
	config->calibration = PNEUMO_CALIBRATION_NONE;
	config->operating_point.rule = STATS_THRESHOLD_FIXED;
	config->operating_point.threshold = PNEUMO_DEFAULT_THRESHOLD;
	config->operating_point.confidence = STATS_DEFAULT_CONFIDENCE;
	config->deploy = PNEUMO_DEPLOY_IF_NONE;
}

/* Refuses a split by column and a split that is drawn, where the config says both. */
static void
check_splits(const PneumoConfig *config)
{
	static const char *const drawn[] = {"validation_split", "test_split", "split_seed"};
	size_t i;

	if (config->split_column == NULL)
		return;
	for (i = 0; i < lengthof(drawn); i++)
		if (!pneumo_json_is_null(pneumo_json_get(&config->given->root, drawn[i])))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("config keys \"split_column\" and \"%s\" cannot both be given", drawn[i]),
							errdetail("Column \"%s\" says which rows are validation and test.",
									  pneumo_clip(config->split_column)),
							errhint("Leave \"%s\" out, or set \"split_column\" to null.", drawn[i])));
}

/* Checks what two keys say together. */
static void
check_together(PneumoConfig *config)
{
	const NnOptimizer *opt = &config->train.optimizer;
	const char *wrong;

	if (config->name == NULL || strlen(config->name) > 200)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"name\" must be a string of 1 to 200 bytes")));
	if (config->label_columns != NULL)
	{
		if (!pneumo_json_is_null(pneumo_json_get(&config->given->root, "label_column")))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("config keys \"label_column\" and \"label_columns\" cannot both be given"),
							errhint("\"label_columns\" names a boolean column for each finding, "
									"\"label_column\" one column of classes or of arrays of findings.")));
		config->label_column = NULL;
	}
	else if (config->label_column == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"label_column\" must not be null")));
	check_splits(config);
	if (config->validation_split + config->test_split > CONFIG_MAX_SPLITS + 1e-9)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("validation_split %g and test_split %g leave %g for training, must leave "
							   "at least 0.05",
							   config->validation_split, config->test_split,
							   1 - config->validation_split - config->test_split)));
	if ((opt->clipnorm > 0) + (opt->global_clipnorm > 0) + (opt->clipvalue > 0) > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("only one of config keys \"clipnorm\", \"global_clipnorm\" and "
							   "\"clipvalue\" can be set")));
	if (opt->nesterov && opt->momentum <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"nesterov\" is true, which needs a momentum above 0")));
	if (opt->cosine_decay && config->train.plateau)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"reduce_lr_on_plateau\" cannot be combined with a learning "
							   "rate schedule")));
	wrong = img_augment_check(&config->augment);
	if (wrong != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", wrong)));
}

PneumoConfig *
pneumo_config_parse(Jsonb *given)
{
	PneumoConfig *config = palloc(sizeof(PneumoConfig));
	const Preset *preset;
	JsonbValue *model;
	JsonbValue *layers;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the config must be a JSON object, not %s",
							   JB_ROOT_IS_SCALAR(given) ? "a single value" : "a list")));
	set_defaults(config);
	config->given = given;
	pneumo_config_check_keys(given);

	model = pneumo_json_get(&given->root, "model");
	layers = pneumo_json_get(&given->root, "layers");
	if (!pneumo_json_is_null(layers))
	{
		if (model != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("config keys \"model\" and \"layers\" cannot both be given")));
		config->preset = NULL;
	}
	else
	{
		Jsonb *defaults;

		if (model != NULL)
			pneumo_config_read_preset(config, pneumo_config_what("", "model"), model);
		preset = pneumo_preset_find(config->preset);
		defaults = pneumo_json_parse(preset->config);
		pneumo_config_read_keys(config, &defaults->root, false);
	}

	pneumo_config_read_keys(config, &given->root, true);
	check_together(config);
	return config;
}

static bool
is_listed(const char *const *names, const JsonbValue *key)
{
	int i;

	for (i = 0; names[i] != NULL; i++)
		if (strlen(names[i]) == (size_t) key->val.string.len &&
			memcmp(names[i], key->val.string.val, key->val.string.len) == 0)
			return true;
	return false;
}

PneumoConfig *
pneumo_explore_config(Oid relid, Jsonb *given, const char *const *own_keys)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue item;
	bool skip = false;
	PneumoConfig *config;

	if (JB_ROOT_IS_OBJECT(given))
	{
		it = JsonbIteratorInit(&given->root);
		while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
		{
			if (token == WJB_KEY)
				skip = is_listed(own_keys, &item);
			if (token == WJB_BEGIN_OBJECT)
				pushJsonbValue(&state, token, NULL);
			else if ((token == WJB_KEY || token == WJB_VALUE) && !skip)
				pushJsonbValue(&state, token, &item);
		}
		config = pneumo_config_parse(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
		if (pneumo_json_get(&given->root, "label_column") == NULL && config->label_columns == NULL &&
			get_attnum(relid, config->label_column) <= 0)
			config->label_column = NULL;
	}
	else
		config = pneumo_config_parse(given); /* says what is wrong */
	config->in_backend = true;
	return config;
}
