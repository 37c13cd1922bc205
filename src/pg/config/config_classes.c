/*-------------------------------------------------------------------------
 *
 * config_classes.c
 *	  The parts of the config that depend on the classes of the data or on the
 *	  machine: loss, class weights, threads.
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

/* Returns the class that a key of class_weight names, by name or by number as Keras writes it; -1: none. */
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

/* Fills weight from the object of weights by class that the user gave. */
static void
read_given_weights(double *weight, Jsonb *given, int n_classes, char **classes)
{
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue value;
	char *key = NULL;
	const char *names[NN_MAX_CLASSES + 1];
	int i;

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
			weight[index] = pneumo_json_read_number(pneumo_config_what("class_weight.", key), &value, 0, 1e6);
		}
	}
}

/*
 * Fills the weights of each finding and of its absence so that both count the
 * same in all, as for two classes.
 */
static void
balance_findings(NnTrainConfig *train, int n_classes, const int64 *train_rows, const int64 *absent_rows)
{
	int i;

	for (i = 0; i < n_classes; i++)
	{
		double known = (double) train_rows[i] + (double) absent_rows[i];

		if (train_rows[i] == 0 || absent_rows[i] == 0)
			continue;
		train->class_weight[i] = known / (2 * (double) train_rows[i]);
		train->negative_weight[i] = known / (2 * (double) absent_rows[i]);
	}
}

/* Fills weight so that each class has the same weight in all, as Keras's and scikit-learn's "balanced". */
static void
balance_weights(double *weight, int n_classes, const int64 *train_rows)
{
	int64 total = 0;
	int i;

	for (i = 0; i < n_classes; i++)
		total += train_rows[i];
	for (i = 0; i < n_classes; i++)
		if (train_rows[i] > 0)
			weight[i] = (double) total / ((double) n_classes * (double) train_rows[i]);
}

void
pneumo_config_class_weights(PneumoConfig *config, int n_classes, char **classes, const int64 *train_rows,
							const int64 *absent_rows)
{
	double *weight = config->train.class_weight;
	int i;

	for (i = 0; i < NN_MAX_CLASSES; i++)
		weight[i] = config->train.negative_weight[i] = 1;
	if (config->multi_label && config->loss != PNEUMO_LOSS_NOT_GIVEN && config->loss != PNEUMO_LOSS_BINARY)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"loss\" must be \"binary_crossentropy\" where an image can have "
							   "several findings")));
	if (config->loss == PNEUMO_LOSS_BINARY && n_classes > 2 && !config->multi_label)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"loss\" is \"binary_crossentropy\", the labels have %d classes",
							   n_classes)));

	if (config->class_weight == PNEUMO_CLASS_WEIGHT_BALANCED && train_rows != NULL && config->multi_label)
		balance_findings(&config->train, n_classes, train_rows, absent_rows);
	else if (config->class_weight == PNEUMO_CLASS_WEIGHT_BALANCED && train_rows != NULL)
		balance_weights(weight, n_classes, train_rows);
	else if (config->class_weight == PNEUMO_CLASS_WEIGHT_GIVEN)
		read_given_weights(weight, config->class_weight_given, n_classes, classes);
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
	return cores < 1 ? 1 : (int) Min(cores, CONFIG_MAX_THREADS);
}
