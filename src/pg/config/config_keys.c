/*-------------------------------------------------------------------------
 *
 * config_keys.c
 *	  Reading the keys of the training config by the rows of their tables.
 *
 * Keys are read in the order of the tables, not of the object: the optimizer
 * comes before its numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

static const ConfigKey *const tables[] = {
	pneumo_config_network_keys,   pneumo_config_data_keys,   pneumo_config_fit_keys,
	pneumo_config_optimizer_keys, pneumo_config_loss_keys,   pneumo_config_callback_keys,
	pneumo_config_augment_keys,   pneumo_config_result_keys,
};

const char *const *
pneumo_config_key_names(void)
{
	const char **names;
	const ConfigKey *key;
	int n = 0;
	size_t i;

	for (i = 0; i < lengthof(tables); i++)
		for (key = tables[i]; key->name != NULL; key++)
			n++;
	names = palloc(sizeof(char *) * (n + 1));
	n = 0;
	for (i = 0; i < lengthof(tables); i++)
		for (key = tables[i]; key->name != NULL; key++)
			names[n++] = key->name;
	names[n] = NULL;
	return names;
}

void
pneumo_config_check_keys(Jsonb *given)
{
	const char *const *known = pneumo_config_key_names();
	const char *name = pneumo_json_unknown_key(&given->root, known);
	const char *hint = name == NULL ? NULL : pneumo_config_synonym(name);

	if (hint == NULL && name != NULL && pneumo_nearest(name, known) == NULL)
		hint = "The page on training of the manual lists the keys.";
	if (hint != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown config key \"%s\"", pneumo_clip(name)), errhint("%s", hint)));
	pneumo_json_check_keys(&given->root, "", known);
}

char *
pneumo_config_what(const char *prefix, const char *name)
{
	return psprintf("config key \"%s%s\"", prefix, name);
}

void
pneumo_config_read_key(PneumoConfig *config, const ConfigKey *key, const char *prefix, JsonbValue *value)
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

/* Refuses a key of an optimizer other than the config's. */
static void
check_optimizer(const PneumoConfig *config, const ConfigKey *key)
{
	NnOptimizerKind kind = config->train.optimizer.kind;

	if (key->optimizers != 0 && (key->optimizers & (1 << kind)) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"%s\" does not apply to optimizer \"%s\"", key->name,
							   pneumo_config_optimizers[kind])));
}

void
pneumo_config_read_keys(PneumoConfig *config, JsonbContainer *object, bool explicit)
{
	const ConfigKey *key;
	size_t i;

	for (i = 0; i < lengthof(tables); i++)
	{
		for (key = tables[i]; key->name != NULL; key++)
		{
			JsonbValue *value = pneumo_json_get(object, key->name);

			if (value == NULL)
				continue;
			check_optimizer(config, key);
			pneumo_config_read_key(config, key, "", value);
			if (explicit && key->given != 0 && !pneumo_json_is_null(value))
				*(bool *) ((char *) config + key->given) = true;
		}
	}
}
