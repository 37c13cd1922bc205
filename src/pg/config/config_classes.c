/*-------------------------------------------------------------------------
 *
 * config_classes.c
 *	  What of the config depends on the classes of the data or on the machine:
 *	  loss, class weights, threads.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/config/config_internal.h"

/* Class index of a key of class_weight: a name, or a number as Keras writes it. */
static int
find_class(const char *key, int n_classes, char **classes)
{
	char *end;
	long index;
	int i;

	for (i = 0; i < n_classes; i++)
		if (strcmp(key, classes[i]) == 0)
			return i;
	index = strtol(key, &end, 10);
	if (*key != '\0' && *end == '\0' && index >= 0 && index < n_classes)
		return (int) index;
	return -1;
}

void
pneumo_config_class_weights(PneumoConfig *config, int n_classes, char **classes, const int64 *train_rows)
{
	double *weight = config->train.class_weight;
	int64 total = 0;
	int i;

	for (i = 0; i < NN_MAX_CLASSES; i++)
		weight[i] = 1;
	if (config->loss == 0 && n_classes > 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"loss\" is \"binary_crossentropy\", the labels have %d classes",
							   n_classes)));

	if (config->class_weight == PNEUMO_CLASS_WEIGHT_BALANCED && train_rows != NULL)
	{
		for (i = 0; i < n_classes; i++)
			total += train_rows[i];
		for (i = 0; i < n_classes; i++)
			if (train_rows[i] > 0)
				weight[i] = (double) total / ((double) n_classes * (double) train_rows[i]);
	}
	else if (config->class_weight == PNEUMO_CLASS_WEIGHT_GIVEN)
	{
		JsonbIterator *it = JsonbIteratorInit(&config->class_weight_given->root);
		JsonbIteratorToken token;
		JsonbValue value;
		char *key = NULL;
		const char *names[NN_MAX_CLASSES + 1];

		for (i = 0; i < n_classes; i++)
			names[i] = classes[i];
		names[n_classes] = NULL;
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		{
			if (token == WJB_KEY)
				key = pnstrdup(value.val.string.val, value.val.string.len);
			else if (token == WJB_VALUE)
			{
				int index = find_class(key, n_classes, classes);

				if (index < 0)
					ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
									errmsg("config key \"class_weight\" names the unknown class \"%s\"",
										   pneumo_clip(key)),
									errdetail("It can be %s.", pneumo_list_names(names))));
				weight[index] =
					pneumo_json_read_number(pneumo_config_what("class_weight.", key), &value, 0, 1e6);
			}
		}
	}
}

int
pneumo_config_threads(const PneumoConfig *config)
{
	long cores;

	if (config->threads > 0)
		return config->threads;
	if (pneumo_train_threads > 0)
		return pneumo_train_threads;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : (int) Min(cores, 256);
}
