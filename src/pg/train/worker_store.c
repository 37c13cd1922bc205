/*-------------------------------------------------------------------------
 *
 * worker_store.c
 *	  The end of a training: validation figures, provenance, the version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

#define CHANNEL "pneumo"

/* ------------------------------------------------------------- statistics */

static void *
stats_allocate(void *arg, size_t bytes)
{
	(void) arg;
	return MemoryContextAllocExtended(CurrentMemoryContext, Max(bytes, 1),
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
stats_release(void *arg, void *memory)
{
	(void) arg;
	if (memory != NULL)
		pfree(memory);
}

/* The whole of the validation side as stats.h wants it; false without memory. */
bool
pneumo_worker_auc(double *auc, const float *scores, const int32_t *labels, size_t n, int units, int n_classes)
{
	StatsEnv env = {stats_allocate, stats_release, NULL, NULL};
	double *wide = stats_allocate(NULL, n * units * sizeof(double));
	size_t i;
	bool good = false;

	if (wide == NULL)
		return false;
	for (i = 0; i < n * units; i++)
		wide[i] = scores[i];
	if (units == 1)
	{
		uint8_t *label = stats_allocate(NULL, n);
		StatsRows rows = {wide, label, NULL, n};

		if (label != NULL)
		{
			for (i = 0; i < n; i++)
				label[i] = labels[i] != 0;
			good = stats_auc(auc, &rows, &env) == STATS_OK;
			pfree(label);
		}
	}
	else
	{
		StatsClassFigures figures;
		StatsClassRows rows = {wide, labels, NULL, n, n_classes};

		good = stats_class_figures(&figures, NULL, NULL, NULL, &rows, &env) == STATS_OK;
		*auc = figures.macro_auc;
	}
	pfree(wide);
	return good;
}

/* ------------------------------------------------------------------ figures */

static void
add_number(StringInfo buf, const char *name, double number)
{
	if (!isnan(number))
		appendStringInfo(buf, ",\"%s\":%.9g", name, number);
}

/* Of the calibrated probabilities at the operating point. */
static void
two_class_figures(PneumoWorker *w, const PneumoModelMeta *meta, const double *probability, double auc,
				  double loss, StringInfo buf, StringInfo line)
{
	const int32_t *label = w->data.label[NN_VALIDATION];
	size_t n = w->data.n[NN_VALIDATION];
	StatsCounts counts = {0, 0, 0, 0};
	StatsFigures figures;
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
	{
		double p = probability[2 * i + 1];
		bool called = p >= meta->threshold;

		if (label[i] != 0)
			*(called ? &counts.tp : &counts.fn) += 1;
		else
			*(called ? &counts.fp : &counts.tn) += 1;
		p = label[i] != 0 ? p : 1 - p;
		sum -= log(Min(Max(p, STATS_LOG_LOSS_EPSILON), 1 - STATS_LOG_LOSS_EPSILON));
	}
	stats_figures_from_counts(&figures, &counts);
	/* that of the history where nothing changed the scores */
	if (meta->calibration != PNEUMO_CALIBRATION_NONE)
		loss = sum / (double) n;
	add_number(buf, "accuracy", figures.accuracy);
	add_number(buf, "sensitivity", figures.sensitivity);
	add_number(buf, "specificity", figures.specificity);
	add_number(buf, "auc", auc);
	add_number(buf, "log_loss", loss);
	appendStringInfo(line, "accuracy %.4f, sensitivity %.4f, specificity %.4f, AUC %.4f, log loss %.4f",
					 figures.accuracy, figures.sensitivity, figures.specificity, auc, loss);
}

/* The validation figures of the stored weights, as JSON and as one line. */
static Jsonb *
validation_figures(PneumoWorker *w, const PneumoModelMeta *meta, const float *scores,
				   const double *probability, const char *achieved, int epoch, StringInfo line)
{
	const PneumoDataset *dataset = w->dataset;
	size_t n = w->data.n[NN_VALIDATION];
	int units = nn_graph_output_units(w->prepared->graph);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf,
					 "{\"split\":\"validation\",\"used_for_selection\":true,\"epoch\":%d,"
					 "\"images\":%zu,\"groups\":%lld",
					 epoch, n, (long long) dataset->split_groups[PNEUMO_VALIDATION]);
	if (probability != NULL)
	{
		double loss;
		double accuracy;
		double auc = NAN;

		nn_score_loss(&loss, &accuracy, scores, w->data.label[NN_VALIDATION], NULL, n, units, 0);
		(void) pneumo_worker_auc(&auc, scores, w->data.label[NN_VALIDATION], n, units, dataset->n_classes);
		if (meta->n_classes == 2)
			two_class_figures(w, meta, probability, auc, loss, &buf, line);
		else
		{
			add_number(&buf, "accuracy", accuracy);
			add_number(&buf, "auc", auc);
			add_number(&buf, "log_loss", loss);
			appendStringInfo(line, "accuracy %.4f, AUC %.4f (macro), log loss %.4f", accuracy, auc, loss);
		}
		appendStringInfoString(&buf, achieved);
	}
	else if (w->best.epoch > 0 && n > 0)
	{
		add_number(&buf, "accuracy", w->best.val_accuracy);
		add_number(&buf, "auc", w->best.val_auc);
		add_number(&buf, "loss", w->best.val_loss);
	}
	appendStringInfoChar(&buf, '}');
	return pneumo_json_parse(buf.data);
}

static Jsonb *
provenance(PneumoWorker *w, int epoch)
{
	StringInfoData buf;
	Jsonb *part;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"build\":");
	escape_json(&buf, w->build);
	appendStringInfo(&buf, ",\"path\":\"%s\",\"blas\":", nn_path_name(pneumo_path()));
	escape_json(&buf, pneumo_blas_version());
	appendStringInfo(&buf, ",\"threads\":%d,\"epoch\":%d,\"source\":", w->prepared->threads, epoch);
	escape_json(&buf, w->prepared->source->name);
	appendStringInfo(&buf, ",\"fingerprint\":\"%s\"", pneumo_sha256_hex(w->dataset->fingerprint));
	part = pneumo_dataset_counts_json(w->dataset, false);
	appendStringInfo(&buf, ",\"rows\":%s", JsonbToCString(NULL, &part->root, VARSIZE(part)));
	part = pneumo_dataset_counts_json(w->dataset, true);
	appendStringInfo(&buf, ",\"groups\":%s", JsonbToCString(NULL, &part->root, VARSIZE(part)));
	if (w->prepared->config->initial_model != NULL)
		appendStringInfo(&buf, ",\"initial_version\":%lld", (long long) w->prepared->initial.version);
	appendStringInfo(&buf, ",\"config\":%s}",
					 JsonbToCString(NULL, &w->config_jsonb->root, VARSIZE(w->config_jsonb)));
	return pneumo_json_parse(buf.data);
}

/* ------------------------------------------------------------------ storing */

static void *
model_bytes(PneumoWorker *w, const float *weights, const PneumoModelMeta *meta, size_t *n_bytes)
{
	NnSection sections[PNEUMO_META_SECTIONS];
	int n;
	NnError error;
	void *bytes;

	memset(&error, 0, sizeof(error));
	/* names of classes are converted to UTF-8, which needs a transaction */
	pneumo_worker_begin(w, true);
	n = pneumo_meta_to_sections(sections, meta);
	pneumo_worker_commit(w);
	if (nn_weights_check(weights, w->prepared->graph, NULL, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	*n_bytes = nn_model_bytes(w->prepared->graph, sections, n);
	bytes = pneumo_worker_allocate(w, *n_bytes);
	if (nn_model_write(bytes, *n_bytes, w->prepared->graph, weights, sections, n, &error) != NN_OK)
		pneumo_nn_ereport(&error);
	return bytes;
}

/* Calibration and operating point of meta; the calibrated probabilities. */
static double *
fit_validation(PneumoWorker *w, PneumoModelMeta *meta, const float *scores, StringInfo achieved)
{
	size_t n = w->data.n[NN_VALIDATION];
	uint64_t *group = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(uint64_t));
	PneumoFitRows in;
	size_t i;

	for (i = 0; i < n; i++)
		memcpy(&group[i], w->dataset->samples[w->loader.number[NN_VALIDATION][i]].group, sizeof(uint64_t));
	in.probability = scores;
	in.logit = nn_trainer_logits(w->trainer);
	in.label = w->data.label[NN_VALIDATION];
	in.group = group;
	in.n = n;
	in.units = nn_graph_output_units(w->prepared->graph);
	return pneumo_fit(meta, w->prepared->config, &in, achieved);
}

/* Scores of the validation side by the weights that are stored; NULL without one. */
static float *
score_validation(PneumoWorker *w, const float *weights, const NnTrainHooks *hooks)
{
	size_t n = w->data.n[NN_VALIDATION];
	float *scores;
	NnError error;

	if (n == 0)
		return NULL;
	memset(&error, 0, sizeof(error));
	scores = MemoryContextAllocHuge(w->cxt, n * nn_graph_output_units(w->prepared->graph) * sizeof(float));
	if (nn_trainer_score(w->trainer, scores, weights, hooks, &error) != NN_OK)
	{
		if (w->error != NULL)
			ReThrowError(w->error);
		pneumo_nn_ereport(&error);
	}
	return scores;
}

static void
summarize(PneumoWorker *w, const PneumoVersionId *id, int epoch, const char *figures, PneumoVerdict verdict)
{
	PneumoRunOutcome *outcome = &w->s->outcome;
	const PneumoConfig *config = w->prepared->config;

	snprintf(outcome->summary, PNEUMO_RUN_TEXT, "model \"%s\" %s, from epoch %d%s%s", config->name,
			 id->deployed ? "deployed" : "stored", epoch, figures[0] ? ": validation " : "", figures);
	snprintf(outcome->summary_detail, PNEUMO_RUN_TEXT, "It is version %lld.%s", (long long) id->version,
			 figures[0] ? " The figures chose the epoch, so they flatter; pneumo_evaluate gives "
						  "those of the test split."
						: "");
	if (verdict == PNEUMO_NOT_BETTER || verdict == PNEUMO_NOT_COMPARABLE)
		snprintf(
			outcome->hint, PNEUMO_RUN_TEXT,
			"The deployed version %s; metrics->'if_better' of pneumo.versions has the figures, pneumo_compare those of the test split.",
			verdict == PNEUMO_NOT_BETTER ? "is as good or better on the validation rows it was not trained on"
										 : "cannot be compared on the same pixels");
	else if (!id->deployed)
		snprintf(outcome->hint, PNEUMO_RUN_TEXT, "Deploy it with pneumo_deploy(%s, %lld).",
				 quote_literal_cstr(config->name), (long long) id->version);
}

/* Stores weights as a version and ends the run; false if the extension is gone. */
bool
pneumo_worker_store(PneumoWorker *w, const NnTrainHooks *hooks, bool cancelled)
{
	const PneumoConfig *config = w->prepared->config;
	PneumoModelMeta meta;
	PneumoManifest manifest;
	PneumoNewVersion version;
	PneumoVersionId id;
	StringInfoData line;
	const float *weights;
	StringInfoData achieved;
	float *scores = NULL;
	double *probability = NULL;
	int epoch = 0;
	NnTrainer *trainer = w->trainer;
	bool there;
	const char *state = cancelled ? "cancelled" : "succeeded";
	PneumoVerdict verdict = PNEUMO_NO_RIVAL;

	initStringInfo(&line);
	initStringInfo(&achieved);
	memset(&version, 0, sizeof(version));
	memset(&id, 0, sizeof(id));
	weights = nn_trainer_result(trainer, &epoch);
	if (weights != NULL)
	{
		if (!cancelled)
			scores = score_validation(w, weights, hooks);
		memset(&meta, 0, sizeof(meta));
		meta.preprocess = config->preprocess;
		meta.rescale = (float) config->rescale;
		meta.n_classes = w->dataset->n_classes;
		meta.classes = w->dataset->classes;
		meta.precision = config->train.precision;
		if (scores != NULL)
			probability = fit_validation(w, &meta, scores, &achieved);
		else
			pneumo_fit_none(&meta, config);
		version.bytes = model_bytes(w, weights, &meta, &version.n_bytes);
	}
	w->trainer = NULL;
	nn_trainer_stop(trainer);

	pneumo_worker_report(w, "storing the version");
	pneumo_worker_begin(w, false);
	there = pneumo_worker_has_extension(w) && pneumo_run_read(w->run) != NULL;
	if (there)
	{
		if (weights != NULL)
		{
			if (config->deploy == PNEUMO_DEPLOY_IF_BETTER && probability != NULL)
				verdict = pneumo_worker_if_better(w, &meta, probability, &achieved);
			version.model = config->name;
			version.owner = w->s->current_user;
			version.run = w->run;
			version.n_parameters = (int64) nn_graph_weight_count(w->prepared->graph);
			version.meta = &meta;
			version.metrics = validation_figures(w, &meta, scores, probability, achieved.data, epoch, &line);
			version.provenance = provenance(w, epoch);
			version.comment = config->comment;
			pneumo_dataset_manifest(&manifest, w->dataset);
			version.manifest = &manifest;
			version.deploy = (config->deploy == PNEUMO_DEPLOY_YES && !cancelled) || verdict == PNEUMO_BETTER;
			version.never_deploy = cancelled || config->deploy == PNEUMO_DEPLOY_NO;
			id = pneumo_version_store(&version);
		}
		else
			pneumo_model_release(config->name, w->s->current_user, w->run);
		pneumo_run_finish(w->run, state, id.version, epoch, version.metrics, NULL, NULL);
		Async_Notify(CHANNEL, psprintf("{\"run\": %lld, \"state\": \"%s\", \"version\": %lld}",
									   (long long) w->run, state, (long long) id.version));
	}
	pneumo_worker_commit(w);
	if (!there)
		return false;

	strlcpy(w->s->outcome.state, state, sizeof(w->s->outcome.state));
	if (!cancelled)
	{
		pneumo_checkpoint_remove(w->run);
		summarize(w, &id, epoch, line.data, verdict);
	}
	return true;
}
