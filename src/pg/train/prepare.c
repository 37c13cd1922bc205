/*-------------------------------------------------------------------------
 *
 * prepare.c
 *	  All checks of a training that need no image, and the function that hands
 *	  samples to the network.
 *
 * Runs twice: in the caller, so that a mistake is one clear error at once, and
 * in the worker, whose word counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"
#include "pg/train/train.h"

void
pneumo_prepare_no_validation(PneumoConfig *config)
{
	const char *key = config->early_stopping_given ? "early_stopping"
					  : config->plateau_given      ? "reduce_lr_on_plateau"
												   : NULL;
	const char *fitted = config->calibration != PNEUMO_CALIBRATION_NONE          ? "calibration"
						 : config->operating_point.rule != STATS_THRESHOLD_FIXED ? "operating_point"
						 : config->deploy == PNEUMO_DEPLOY_IF_BETTER             ? "deploy"
																				 : NULL;

	if (fitted != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"%s\" needs the validation split, which is empty", fitted),
						errhint("Set \"validation_split\" above 0, or leave \"%s\" out.", fitted)));
	if (key != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"%s\" watches the validation split, which is empty", key),
						errhint("Set \"validation_split\" above 0, or \"%s\" to null.", key)));
	config->train.early_stopping = 0;
	config->train.restore_best_weights = 0;
	config->train.plateau = 0;
}

static size_t
pixel_bytes(const PneumoConfig *config)
{
	size_t bytes =
		(size_t) config->preprocess.height * config->preprocess.width * config->preprocess.channels;

	return TYPEALIGN(NN_ALIGN, bytes);
}

size_t
pneumo_loader_scratch_bytes(const PneumoConfig *config)
{
	size_t augment = img_augment_scratch_bytes(config->preprocess.height, config->preprocess.width,
											   config->preprocess.channels);

	return pixel_bytes(config) + TYPEALIGN(NN_ALIGN, augment) + NN_ALIGN;
}

/* Threads of the pool call it: it may use no server function. */
int
pneumo_loader_load(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch)
{
	const PneumoLoader *loader = arg;
	const ImgPreprocess *pre = &loader->preprocess;
	uint8 *buffer = (uint8 *) TYPEALIGN(NN_ALIGN, scratch);
	const uint8 *pixels = pneumo_store_get(loader->store, loader->slot[split][i], buffer);
	ImgTransform transform;

	if (pixels == NULL)
		return -1;
	if (split != NN_TRAIN || !loader->augment)
	{
		img_rescale(dst, pixels, (size_t) pre->height * pre->width * pre->channels, loader->rescale);
		return 0;
	}
	img_augment_draw(&transform, &loader->ranges, pre->height, pre->width, loader->seed, (uint32_t) epoch,
					 loader->number[split][i]);
	img_augment_apply(dst, pixels, pre->height, pre->width, pre->channels, &transform, loader->rescale,
					  buffer + loader->pixel_bytes);
	return 0;
}

void
pneumo_prepare_no_labels(NnTrainData *data, const PneumoConfig *config)
{
	size_t n = Max(1, Max(data->n[NN_TRAIN], data->n[NN_VALIDATION]));
	int32_t *labels;

	if (config->multi_label)
		return;
	labels = MemoryContextAllocExtended(CurrentMemoryContext, n * sizeof(int32_t),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	data->label[NN_TRAIN] = labels;
	data->label[NN_VALIDATION] = labels;
}

void
pneumo_prepare_plan(PneumoPrepared *prepared, const NnTrainData *data)
{
	const PneumoConfig *config = prepared->config;
	NnError error;
	size_t allowed = (size_t) pneumo_train_memory * 1024;
	size_t needed;

	memset(&error, 0, sizeof(error));
	if (nn_train_plan(&prepared->plan, prepared->graph, &config->train, data, prepared->threads,
					  pneumo_path(), &error) != NN_OK)
		pneumo_nn_ereport(&error);
	needed = prepared->plan.state_bytes + prepared->plan.work_bytes;
	if (needed > allowed)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the training needs %zu MB of memory, pneumo.train_memory allows %zu MB",
						needed / 1048576 + 1, allowed / 1048576),
				 errdetail("Weights and optimizer take %zu MB, %d threads with batches of %d take %zu MB.",
						   prepared->plan.state_bytes / 1048576 + 1, prepared->threads,
						   config->train.batch_size, prepared->plan.work_bytes / 1048576 + 1),
				 errhint("Use smaller images, a smaller network or batch, fewer threads, or "
						 "raise the setting.")));
}

PneumoPrepared *
pneumo_prepare(Oid relid, Jsonb *given)
{
	PneumoPrepared *prepared = palloc0(sizeof(PneumoPrepared));
	PneumoConfig *config = pneumo_config_parse(given);
	NnTrainData data;
	NnError error;

	memset(&error, 0, sizeof(error));
	prepared->config = config;
	prepared->source = pneumo_source_check(relid, config);
	pneumo_source_hints(prepared->source, config);
	if (config->split_column == NULL && config->validation_split == 0)
		pneumo_prepare_no_validation(config);
	pneumo_model_check_claim(config->name, GetUserId());

	pneumo_source_labels(&prepared->labels, prepared->source, config);
	if (config->multi_label)
		pneumo_order_findings(prepared->classes, &prepared->labels, prepared->source, config);
	else
	{
		if (config->n_classes > 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config key \"classes\" applies to a label column of arrays, not to \"%s\"",
							prepared->source->label_column),
					 errhint(
						 "The classes are those of the labels; \"positive_class\" names the positive one.")));
		pneumo_order_classes(prepared->classes, prepared->labels.n, prepared->labels.name, prepared->source,
							 config->positive_class);
	}
	pneumo_config_class_weights(config, prepared->labels.n, prepared->classes, NULL, NULL);
	pneumo_fit_check_classes(config, prepared->labels.n);

	prepared->graph = pneumo_layers_graph(config, prepared->labels.n, NULL);
	if (config->initial_model != NULL)
		pneumo_prepare_initial_model(prepared);
	if (nn_train_check(&config->train, prepared->graph, &error) != NN_OK)
		pneumo_nn_ereport(&error);

	prepared->threads = pneumo_config_threads(config);
	memset(&data, 0, sizeof(data));
	data.n[NN_TRAIN] = (size_t) Max(1, prepared->labels.total);
	data.n[NN_VALIDATION] = (size_t) Max(1, prepared->labels.total / 4);
	data.load_scratch_bytes = pneumo_loader_scratch_bytes(config);
	pneumo_prepare_no_labels(&data, config);
	pneumo_prepare_plan(prepared, &data);
	return prepared;
}
