/*-------------------------------------------------------------------------
 *
 * if_better.c
 *	  "deploy": "if_better": the new version against the deployed one, both on
 *	  the validation rows that the deployed one was not trained on.
 *
 * The pixels are those of the run's sample store, so both must see the images
 * at the same size.  Better is a higher AUC (macro for more than two classes).
 * Both versions were selected on validation rows, so that both AUC are
 * optimistic; pneumo_compare gives an unbiased answer, on the test split.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

/*
 * Marks, by slot of the sample store, the rows of the validation split that a
 * version was not trained on; *n becomes their number.
 */
static bool *
held_out_slots(const PneumoDataset *dataset, int64 version, int64 *n)
{
	static const bool validation[3] = {false, true, false};
	static const bool trained[3] = {true, false, false};
	PneumoDataset copy = *dataset;
	int64 n_slots = 0;
	bool *slots;
	PneumoManifest manifest;
	int64 i;

	copy.samples = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, copy.n) * sizeof(PneumoSample));
	memcpy(copy.samples, dataset->samples, copy.n * sizeof(PneumoSample));
	for (i = 0; i < copy.n; i++)
		n_slots = Max(n_slots, copy.samples[i].slot + 1);
	slots = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n_slots));
	memset(slots, 0, n_slots);
	if (pneumo_manifest_read(version, &manifest))
	{
		(void) pneumo_dataset_exclude(&copy, validation, &manifest, trained);
		pneumo_manifest_free(&manifest);
	}
	*n = 0;
	for (i = 0; i < copy.n; i++)
	{
		if (copy.samples[i].split != PNEUMO_VALIDATION || copy.samples[i].slot < 0)
			continue;
		slots[copy.samples[i].slot] = true;
		++*n;
	}
	pfree(copy.samples);
	return slots;
}

static bool
same_scale(const PneumoModelMeta *a, const PneumoModelMeta *b)
{
	int i;

	if (a->n_classes != b->n_classes || a->multi_label != b->multi_label ||
		a->preprocess.height != b->preprocess.height || a->preprocess.width != b->preprocess.width ||
		a->preprocess.channels != b->preprocess.channels ||
		a->preprocess.interpolation != b->preprocess.interpolation)
		return false;
	for (i = 0; i < a->n_classes; i++)
		if (strcmp(a->classes[i], b->classes[i]) != 0)
			return false;
	return true;
}

static double
auc_of(const double *probability, const int32_t *label, int64 n, int n_classes)
{
	StatsClassRows rows = {probability, label, NULL, (size_t) n, n_classes};
	StatsClassFigures figures;
	PneumoStats stats;
	StatsStatus status;

	pneumo_stats_begin(&stats);
	status = stats_class_figures(&figures, NULL, NULL, NULL, &rows, &stats.env);
	pneumo_stats_end(&stats);
	return status == STATS_OK ? figures.macro_auc : NAN;
}

/* Returns the mean of the findings' AUC, from n rows of targets; NaN if none has one. */
static double
findings_auc_of(const double *probability, const uint8_t *target, int64 n, int n_classes)
{
	float *scores = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n) * n_classes * sizeof(float));
	double auc = NAN;
	int64 i;

	for (i = 0; i < n * n_classes; i++)
		scores[i] = (float) probability[i];
	if (!pneumo_worker_findings_auc(&auc, scores, target, (size_t) n, n_classes))
		auc = NAN;
	pfree(scores);
	return auc;
}

static PneumoVerdict
not_comparable(PneumoJson *achieved, const char *reason)
{
	pneumo_json_add_jsonb(achieved, "better", NULL);
	pneumo_json_add_string(achieved, "reason", reason);
	pneumo_json_close(achieved);
	return PNEUMO_NOT_COMPARABLE;
}

PneumoVerdict
pneumo_worker_if_better(PneumoWorker *w, const PneumoModelMeta *meta, const double *probability,
						PneumoJson *achieved)
{
	int64 model = pneumo_model_lookup(w->prepared->config->name, PNEUMO_MANAGE, GetUserId(), true);
	int k = meta->n_classes;
	const PneumoLoader *loader = &w->loader;
	size_t n_validation = w->data.n[NN_VALIDATION];
	PneumoVersionId id;
	PneumoScorer *scorer;
	PneumoScores scores;
	void *scorers = NULL;
	uint8 *pixels;
	bool *slots;
	double *ours;
	int32_t *label;
	uint8_t *target;
	double auc = NAN;
	double deployed_auc = NAN;
	int64 n;
	int64 m = 0;
	size_t i;

	memset(&id, 0, sizeof(id));
	if (model == 0 || !pneumo_model_deployed(model, &id))
		return PNEUMO_NO_RIVAL;
	pneumo_json_open_object(achieved, "if_better");
	pneumo_json_add_int(achieved, "deployed_version", id.number);
	scorer = pneumo_scorer_get_batch(&scorers, CurrentMemoryContext, &id, pneumo_path());
	if (!same_scale(meta, scorer->meta))
		return not_comparable(achieved, "the deployed version has other classes or another image size");
	slots = held_out_slots(w->dataset, id.version, &n);
	ours = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n) * k * sizeof(double));
	pneumo_scores_begin(&scores, scorer);
	label = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n) * sizeof(int32_t));
	target = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n) * k);
	pixels = pneumo_align(pneumo_scratch(loader->pixel_bytes));
	for (i = 0; i < n_validation && m < n; i++)
	{
		const uint8 *stored;

		if (!slots[loader->slot[NN_VALIDATION][i]])
			continue;
		stored = pneumo_store_get(w->store, loader->slot[NN_VALIDATION][i], pixels);
		if (stored == NULL)
			ereport(ERROR, (errcode_for_file_access(), errmsg("could not read the sample store: %m")));
		pneumo_scores_add_pixels(&scores, m, stored);
		memcpy(ours + m * k, probability + i * k, k * sizeof(double));
		if (meta->multi_label)
			memcpy(target + m * k, w->data.target[NN_VALIDATION] + i * k, k);
		label[m++] = w->data.label[NN_VALIDATION][i];
	}
	pneumo_scores_finish(&scores);
	if (m > 0 && meta->multi_label)
	{
		auc = findings_auc_of(ours, target, m, k);
		deployed_auc = findings_auc_of(scores.probability, target, m, k);
	}
	else if (m > 0)
	{
		auc = auc_of(ours, label, m, k);
		deployed_auc = auc_of(scores.probability, label, m, k);
	}
	pneumo_json_add_int(achieved, "images", m);
	if (isnan(auc) || isnan(deployed_auc))
		return not_comparable(
			achieved, "the rows that the deployed version was not trained on are of one class, or none");
	pneumo_json_add_number(achieved, "auc", auc, 9);
	pneumo_json_add_number(achieved, "deployed_auc", deployed_auc, 9);
	pneumo_json_add_bool(achieved, "better", auc > deployed_auc);
	pneumo_json_close(achieved);
	return auc > deployed_auc ? PNEUMO_BETTER : PNEUMO_NOT_BETTER;
}
