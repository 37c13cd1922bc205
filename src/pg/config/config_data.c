/*-------------------------------------------------------------------------
 *
 * config_data.c
 *	  Config keys that say which rows are read and how they are split.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* Raises an error if a name is there twice or there are more names than a network can have classes. */
static void
check_names(const char *what, char *const *names, int n)
{
	int i;
	int j;

	if (n > NN_MAX_CLASSES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%s has %d names, at most %d are allowed", what, n, NN_MAX_CLASSES)));
	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("%s has \"%s\" twice", what, pneumo_clip(names[i]))));
}

/* Reads a list of at least one name, ended by NULL; returns their number. */
static int
read_names(char ***names, const char *what, JsonbValue *value, const char *allowed)
{
	JsonbContainer *array = pneumo_json_array(value);
	int n = array == NULL ? 0 : pneumo_json_array_length(array);
	int i;

	if (n == 0)
		pneumo_json_bad(what, value, allowed);
	*names = palloc0((n + 1) * sizeof(char *));
	for (i = 0; i < n; i++)
	{
		(*names)[i] = pneumo_json_cstring(getIthJsonbValueFromContainer(array, i));
		if ((*names)[i] == NULL || (*names)[i][0] == '\0')
			pneumo_json_bad(what, value, allowed);
	}
	check_names(what, *names, n);
	return n;
}

/* Reads an object of column names by finding, as read_names() reads a list. */
static void
read_columns_by_finding(PneumoConfig *config, const char *what, JsonbValue *value, const char *allowed)
{
	JsonbIterator *it = JsonbIteratorInit(pneumo_json_object(value));
	JsonbIteratorToken token;
	JsonbValue item;
	int room = 0;
	int n = 0;

	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			if (n + 1 >= room)
			{
				room = room * 2 + 8;
				config->findings = room == 8 ? palloc(room * sizeof(char *))
											 : repalloc(config->findings, room * sizeof(char *));
				config->label_columns = room == 8 ? palloc(room * sizeof(char *))
												  : repalloc(config->label_columns, room * sizeof(char *));
			}
			config->findings[n] = pnstrdup(item.val.string.val, item.val.string.len);
		}
		else if (token == WJB_VALUE)
		{
			config->label_columns[n] = pneumo_json_cstring(&item);
			if (config->label_columns[n] == NULL || config->findings[n][0] == '\0')
				pneumo_json_bad(what, value, allowed);
			n++;
		}
	}
	if (n == 0)
		pneumo_json_bad(what, value, allowed);
	check_names(what, config->findings, n);
	check_names(what, config->label_columns, n);
	config->label_columns[n] = NULL;
	config->n_label_columns = n;
}

static void
read_label_columns(PneumoConfig *config, const char *what, JsonbValue *value)
{
	static const char *const allowed =
		"null, a list of boolean columns or an object of their names by finding";

	config->label_columns = config->findings = NULL;
	config->n_label_columns = 0;
	if (pneumo_json_is_null(value))
		return;
	if (pneumo_json_object(value) != NULL)
	{
		read_columns_by_finding(config, what, value, allowed);
		return;
	}
	config->n_label_columns = read_names(&config->label_columns, what, value, allowed);
	config->findings = config->label_columns;
}

static void
read_classes(PneumoConfig *config, const char *what, JsonbValue *value)
{
	config->classes = NULL;
	config->n_classes = 0;
	if (!pneumo_json_is_null(value))
		config->n_classes =
			read_names(&config->classes, what, value, "null or a list of findings that the arrays have");
}

const ConfigKey pneumo_config_data_keys[] = {
	CONFIG_TEXT(image_column),
	CONFIG_TEXT(label_column),
	CONFIG_READ("label_columns", read_label_columns),
	CONFIG_READ("classes", read_classes),
	CONFIG_TEXT(positive_class),
	CONFIG_TEXT(group_column),
	CONFIG_TEXT(split_column),
	CONFIG_TEXT(key_column),
	CONFIG_TEXT(sample_weight_column),
	CONFIG_NUMBER("validation_split", KEY_DOUBLE, validation_split, 0, CONFIG_MAX_SPLITS),
	CONFIG_NUMBER("test_split", KEY_DOUBLE, test_split, 0, CONFIG_MAX_SPLITS),
	CONFIG_NUMBER("split_seed", KEY_INT, split_seed, INT_MIN, INT_MAX),
	CONFIG_NUMBER("max_bad_images", KEY_DOUBLE, max_bad_images, 0, 1),
	CONFIG_END,
};
