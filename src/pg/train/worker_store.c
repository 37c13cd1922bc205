/*-------------------------------------------------------------------------
 *
 * worker_store.c
 *	  The end of a training: validation figures, provenance, the version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/relation.h"
#include "access/xlog_internal.h"
#include "common/relpath.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

/* ------------------------------------------------------------------ figures */

bool
pneumo_worker_auc(double *auc, const PneumoWorker *w, const float *scores, size_t n)
{
	const int32_t *labels = w->data.label[NN_VALIDATION];
	int units = nn_graph_output_units(w->prepared->graph);
	PneumoStats stats;
	double *wide;
	uint8_t *label;
	StatsStatus status = STATS_NO_MEMORY;
	size_t i;

	if (w->dataset->multi_label)
		return pneumo_worker_findings_auc(auc, scores, w->data.target[NN_VALIDATION], n, units);
	pneumo_stats_begin(&stats);
	stats.env.stop = NULL; /* within the network core its polling sees to interrupts */
	wide = stats.env.allocate(stats.env.arg, n * units * sizeof(double));
	label = stats.env.allocate(stats.env.arg, n);
	if (wide != NULL && label != NULL)
	{
		for (i = 0; i < n * units; i++)
			wide[i] = scores[i];
		if (units == 1)
		{
			StatsRows rows = {wide, label, NULL, n};

			for (i = 0; i < n; i++)
				label[i] = labels[i] != 0;
			status = stats_auc(auc, &rows, &stats.env);
		}
		else
		{
			StatsClassFigures figures;
			StatsClassRows rows = {wide, labels, NULL, n, w->dataset->n_classes};

			status = stats_class_figures(&figures, NULL, NULL, NULL, &rows, &stats.env);
			*auc = figures.macro_auc;
		}
	}
	pneumo_stats_end(&stats);
	return status == STATS_OK;
}

/* ------------------------------------------------------- useless versions */

/* Returns the class that a version calls all rows by; -1 if it calls some of them another. */
static int
only_class_called(const PneumoModelMeta *meta, const double *probability, size_t n)
{
	int only = -1;
	size_t i;

	for (i = 0; i < n; i++)
	{
		int called = pneumo_class_of(meta, probability + i * meta->n_classes);

		if (i > 0 && called != only)
			return -1;
		only = called;
	}
	return only;
}

/* Returns the groups of the validation split's rows, as the clusters of figures. */
static uint64_t *
validation_groups(const PneumoWorker *w)
{
	size_t n = w->data.n[NN_VALIDATION];
	uint64_t *group = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(uint64_t));
	size_t i;

	for (i = 0; i < n; i++)
		memcpy(&group[i], w->dataset->samples[w->loader.number[NN_VALIDATION][i]].group, sizeof(uint64_t));
	return group;
}

/*
 * Returns the AUC of two classes on the validation split with its interval; all NaN if
 * it is not defined, or there are more classes.
 */
static StatsInterval
validation_auc(const PneumoWorker *w, const PneumoModelMeta *meta, const double *probability)
{
	static const StatsInterval undefined = {NAN, NAN, NAN};
	size_t n = w->data.n[NN_VALIDATION];
	double *score = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(double));
	uint8_t *label = MemoryContextAllocHuge(w->cxt, Max(1, n));
	StatsRows rows = {score, label, validation_groups(w), n};
	StatsAuc auc;
	StatsStatus status;
	PneumoStats stats;
	size_t i;

	if (!pneumo_meta_is_two_class(meta))
		return undefined;
	for (i = 0; i < n; i++)
	{
		score[i] = probability[2 * i + 1];
		label[i] = w->data.label[NN_VALIDATION][i] == 1;
	}
	pneumo_stats_begin(&stats);
	stats.env.stop = NULL; /* it is short, and a pending interrupt must not change what is stored */
	status = stats_auc_interval(&auc, &rows, PNEUMO_CONFIDENCE, &stats.env);
	pneumo_stats_end(&stats);
	return status == STATS_OK ? auc.auc : undefined;
}

/*
 * Returns why a version is of no use as the validation split shows it, palloc'd: it
 * calls all images by one class, or its AUC is not shown to be above chance.  NULL
 * if neither is so.
 */
static char *
why_useless(const PneumoWorker *w, const PneumoModelMeta *meta, const double *probability,
			const StatsInterval *auc)
{
	size_t n = w->data.n[NN_VALIDATION];
	int only = only_class_called(meta, probability, n);
	char *chance = NULL;

	if (auc->low <= 0.5)
		chance = psprintf("its AUC on the validation split, %.2f (95 %% interval %.2f to %.2f), is %s",
						  auc->value, auc->low, auc->high,
						  auc->high < 0.5 ? "worse than chance" : "not shown to be better than chance");
	if (only < 0)
		return chance;
	return psprintf("it calls all %zu images of the validation split \"%s\"%s%s", n, meta->classes[only],
					chance == NULL ? "" : ", and ", chance == NULL ? "" : chance);
}

/* ------------------------------------------------------------- metrics */

/*
 * Adds the figures of two classes to json and to line, from the calibrated
 * probabilities at the operating point.  auc and loss are those of the
 * uncalibrated scores.
 */
static void
two_class_figures(PneumoWorker *w, const PneumoModelMeta *meta, const double *probability, double auc,
				  double loss, PneumoJson *json, StringInfo line)
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
	/* without calibration the loss stays the one that the history shows */
	if (meta->calibration != PNEUMO_CALIBRATION_NONE)
		loss = sum / (double) n;
	pneumo_json_add_number(json, "accuracy", figures.accuracy, 9);
	pneumo_json_add_number(json, "sensitivity", figures.sensitivity, 9);
	pneumo_json_add_number(json, "specificity", figures.specificity, 9);
	pneumo_json_add_number(json, "auc", auc, 9);
	pneumo_json_add_number(json, "log_loss", loss, 9);
	appendStringInfo(line, "accuracy %.4f, sensitivity %.4f, specificity %.4f, AUC %.4f, log loss %.4f",
					 figures.accuracy, figures.sensitivity, figures.specificity, auc, loss);
}

/* Fills the scored rows of the validation split. */
static void
validation_rows(PneumoFitRows *in, const PneumoWorker *w, const float *scores)
{
	in->probability = scores;
	in->logit = NULL;
	in->label = w->data.label[NN_VALIDATION];
	in->target = w->data.target[NN_VALIDATION];
	in->group = validation_groups(w);
	in->n = w->data.n[NN_VALIDATION];
	in->units = nn_graph_output_units(w->prepared->graph);
}

/* Tells whether the validation split chose anything about the version, so that its figures are optimistic. */
static bool
validation_selects(const PneumoWorker *w)
{
	const PneumoConfig *config = w->prepared->config;

	return w->data.n[NN_VALIDATION] > 0 && (config->train.early_stopping || config->train.plateau ||
											config->calibration != PNEUMO_CALIBRATION_NONE ||
											config->operating_point.rule != STATS_THRESHOLD_FIXED ||
											config->deploy == PNEUMO_DEPLOY_IF_BETTER);
}

/* Adds NAME_low and NAME_high to json if the figure is defined. */
static void
add_interval(PneumoJson *json, const char *name, const StatsInterval *interval, bool defined)
{
	if (!defined)
		return;
	pneumo_json_add_number(json, psprintf("%s_low", name), interval->low, 9);
	pneumo_json_add_number(json, psprintf("%s_high", name), interval->high, 9);
}

/*
 * Adds the 95 % limits of the figures to json, by group, with those of the AUC that
 * was computed.  Limits that are not defined, or that need more than
 * pneumo.figures_memory, are left out.
 */
static void
add_limits(const PneumoWorker *w, const PneumoModelMeta *meta, const double *probability,
		   const StatsInterval *auc, PneumoJson *json)
{
	static const char *const names[] = {"specificity", "sensitivity", "accuracy"};
	const int32_t *label = w->data.label[NN_VALIDATION];
	size_t n = w->data.n[NN_VALIDATION];
	uint64_t *group = validation_groups(w);
	uint64_t *cluster = MemoryContextAllocHuge(w->cxt, Max(1, n) * sizeof(uint64_t));
	uint8_t *flag = MemoryContextAllocHuge(w->cxt, Max(1, n));
	StatsInterval interval;
	StatsStatus status;
	PneumoStats stats;
	size_t i;
	int f;

	pneumo_stats_begin(&stats);
	stats.env.stop = NULL; /* it is short, and a pending interrupt must not change what is stored */
	for (f = meta->n_classes == 2 ? 0 : 2; f < 3; f++)
	{
		size_t k = 0;

		for (i = 0; i < n; i++)
		{
			if (f < 2 && label[i] != f)
				continue;
			flag[k] = pneumo_class_of(meta, probability + i * meta->n_classes) == label[i];
			cluster[k++] = group[i];
		}
		status = stats_proportion(&interval, NULL, flag, cluster, k, PNEUMO_CONFIDENCE, &stats.env);
		add_interval(json, names[f], &interval, status == STATS_OK);
	}
	pneumo_stats_end(&stats);
	add_interval(json, "auc", auc, !isnan(auc->value));
	pfree(group);
	pfree(cluster);
	pfree(flag);
}

/*
 * Adds the validation figures of the stored weights to json, and to line for
 * people.  interval: the AUC of two classes with its limits, or NaN.  scores and
 * probability are NULL if the validation split was not
 * scored; the figures are those of the best epoch then.  Sets *useless, of findings,
 * as why_useless() returns it.
 */
static void
validation_figures(PneumoWorker *w, const PneumoModelMeta *meta, const float *scores,
				   const double *probability, const StatsInterval *interval, int epoch, PneumoJson *json,
				   StringInfo line, char **useless)
{
	const PneumoDataset *dataset = w->dataset;
	size_t n = w->data.n[NN_VALIDATION];
	int units = nn_graph_output_units(w->prepared->graph);

	pneumo_json_add_string(json, "split", pneumo_split_names[PNEUMO_VALIDATION]);
	pneumo_json_add_bool(json, "used_for_selection", validation_selects(w));
	pneumo_json_add_int(json, "epoch", epoch);
	pneumo_json_add_int(json, "images", (int64) n);
	if (dataset->group_keys != NULL)
		pneumo_json_add_int(json, "groups", dataset->split_groups[PNEUMO_VALIDATION]);
	if (probability != NULL && meta->multi_label)
	{
		PneumoFitRows in;

		validation_rows(&in, w, scores);
		*useless = pneumo_worker_findings_figures(meta, &in, probability, json, line);
	}
	else if (probability != NULL)
	{
		double loss;
		double accuracy;
		double auc = NAN;

		nn_score_loss(&loss, &accuracy, scores, w->data.label[NN_VALIDATION], NULL, n, units, 0);
		(void) pneumo_worker_auc(&auc, w, scores, n);
		if (meta->n_classes == 2)
			two_class_figures(w, meta, probability, auc, loss, json, line);
		else
		{
			pneumo_json_add_number(json, "accuracy", accuracy, 9);
			pneumo_json_add_number(json, "auc", auc, 9);
			pneumo_json_add_number(json, "log_loss", loss, 9);
			appendStringInfo(line, "accuracy %.4f, AUC %.4f (macro), log loss %.4f", accuracy, auc, loss);
		}
		add_limits(w, meta, probability, interval, json);
	}
	else if (w->best.epoch > 0 && n > 0)
	{
		pneumo_json_add_number(json, "accuracy", w->best.val_accuracy, 9);
		pneumo_json_add_number(json, "auc", w->best.val_auc, 9);
		pneumo_json_add_number(json, "loss", w->best.val_loss, 9);
	}
}

static Jsonb *
provenance(PneumoWorker *w, int epoch)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "build", w->build);
	pneumo_json_add_string(&json, "path", nn_path_name(pneumo_path()));
	pneumo_json_add_string(&json, "blas", pneumo_blas_version());
	pneumo_json_add_int(&json, "threads", w->prepared->threads);
	pneumo_json_add_int(&json, "epoch", epoch);
	pneumo_json_add_string(&json, "source", w->prepared->source->name);
	pneumo_json_add_string(&json, "fingerprint", pneumo_sha256_hex(w->dataset->fingerprint));
	pneumo_json_add_jsonb(&json, "rows", pneumo_dataset_counts_json(w->dataset, false));
	pneumo_json_add_jsonb(&json, "groups", pneumo_dataset_counts_json(w->dataset, true));
	if (w->prepared->config->initial_model != NULL)
	{
		pneumo_json_add_int(&json, "initial_version", w->prepared->initial.number);
		pneumo_json_add_int(&json, "initial_version_id", w->prepared->initial.version);
	}
	pneumo_json_add_jsonb(&json, "config", w->config_jsonb);
	return pneumo_json_end(&json);
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

/* Fills calibration and operating point of meta; returns the calibrated probabilities. */
static double *
fit_validation(PneumoWorker *w, PneumoModelMeta *meta, const float *scores, PneumoJson *metrics)
{
	PneumoFitRows in;
	List *not_fitted;
	ListCell *lc;
	double *probability;

	validation_rows(&in, w, scores);
	in.logit = nn_trainer_logits(w->trainer);
	if (!meta->multi_label)
		return pneumo_fit(meta, w->prepared->config, &in, metrics);
	probability = pneumo_fit_findings(meta, w->prepared->config, &in, metrics, &not_fitted);
	foreach (lc, not_fitted)
		pneumo_worker_warn(w, psprintf("calibration or threshold of finding \"%s\" cannot be fitted to the "
									   "validation split: its threshold is %g",
									   pneumo_clip(lfirst(lc)), w->prepared->config->threshold));
	return probability;
}

/* Returns the scores of the validation split by the stored weights; NULL if it is empty or a cancel came. */
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
		if (w->cancelled)
			return NULL;
		pneumo_worker_check_stop(w);
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
	snprintf(outcome->summary_detail, PNEUMO_RUN_TEXT, "It is version %d.%s", id->number,
			 figures[0] == '\0' ? ""
			 : validation_selects(w)
				 ? " The figures chose the epoch, so they are optimistic; pneumo_evaluate "
				   "gives those of the test split."
				 : " pneumo_evaluate gives the figures of the test split.");
	if (verdict == PNEUMO_NOT_BETTER || verdict == PNEUMO_NOT_COMPARABLE)
		snprintf(
			outcome->hint, PNEUMO_RUN_TEXT,
			"The deployed version %s; metrics->'if_better' of pneumo.versions has the figures, pneumo_compare those of the test split.",
			verdict == PNEUMO_NOT_BETTER ? "is as good or better on the validation rows it was not trained on"
										 : "cannot be compared on the same pixels");
	else if (!id->deployed)
		snprintf(outcome->hint, PNEUMO_RUN_TEXT, "Deploy it with pneumo_deploy(%s, %d).",
				 quote_literal_cstr(config->name), id->number);
}

/* Errors unless the bytes of a version fit into the tablespace of pneumo.chunk, and again into the WAL. */
static void
require_disk(PneumoWorker *w, size_t n_bytes)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_CHUNK, AccessShareLock, false);
	Oid tablespace =
		OidIsValid(rel->rd_rel->reltablespace) ? rel->rd_rel->reltablespace : MyDatabaseTableSpace;
	const char *folders[2];

	relation_close(rel, AccessShareLock);
	folders[0] = GetDatabasePath(MyDatabaseId, tablespace);
	folders[1] = XLOGDIR;
	pneumo_disk_require(
		psprintf("the version of run %lld", (long long) w->run), (double) n_bytes, folders, lengthof(folders),
		psprintf(pneumo_checkpoint_exists(w->run)
					 ? "Free space or lower the setting, then continue with SELECT pneumo_resume(%lld)."
					 : "Free space or lower the setting, then train again.",
				 (long long) w->run));
}

/*
 * Returns the metrics of a run: its version's (NULL: none) with what it has warned of.
 * The version's do not have that, because warnings can name rows, files and patients,
 * and whoever may score with a model sees the metrics of its versions.
 */
static Jsonb *
run_metrics(const PneumoWorker *w, Jsonb *metrics)
{
	PneumoJson json;
	ListCell *lc;

	if (metrics == NULL || w->warnings == NIL)
		return metrics;
	pneumo_json_begin(&json);
	pneumo_json_open_array(&json, "warnings");
	foreach (lc, w->warnings)
		pneumo_json_add_string(&json, NULL, lfirst(lc));
	pneumo_json_close(&json);
	return pneumo_json_merge(metrics, pneumo_json_end(&json));
}

bool
pneumo_worker_store(PneumoWorker *w, const NnTrainHooks *hooks)
{
	const PneumoConfig *config = w->prepared->config;
	PneumoModelMeta meta;
	PneumoManifest manifest;
	PneumoNewVersion version;
	PneumoVersionId id;
	const PneumoVersionId *made = NULL;
	StringInfoData line;
	const float *weights;
	PneumoJson metrics;
	float *scores = NULL;
	double *probability = NULL;
	StatsInterval auc = {NAN, NAN, NAN};
	char *useless = NULL;
	int epoch = 0;
	NnTrainer *trainer = w->trainer;
	bool there;
	const char *state;
	PneumoVerdict verdict = PNEUMO_NO_RIVAL;

	initStringInfo(&line);
	pneumo_json_begin(&metrics);
	memset(&version, 0, sizeof(version));
	memset(&id, 0, sizeof(id));
	weights = nn_trainer_result(trainer, &epoch);
	if (weights != NULL)
	{
		if (!w->cancelled)
			scores = score_validation(w, weights, hooks);
		memset(&meta, 0, sizeof(meta));
		meta.preprocess = config->preprocess;
		meta.rescale = (float) config->rescale;
		meta.n_classes = w->dataset->n_classes;
		meta.classes = w->dataset->classes;
		meta.multi_label = w->dataset->multi_label;
		if (meta.multi_label)
			meta.findings = MemoryContextAllocZero(w->cxt, sizeof(PneumoFinding) * meta.n_classes);
		meta.precision = config->train.precision;
		if (scores != NULL)
			probability = fit_validation(w, &meta, scores, &metrics);
		else
			pneumo_fit_none(&meta, config);
		version.bytes = model_bytes(w, weights, &meta, &version.n_bytes);
	}
	w->trainer = NULL;
	nn_trainer_stop(trainer);
	state = w->cancelled ? "cancelled" : "succeeded";

	pneumo_worker_report(w, "storing the version");
	pneumo_worker_begin(w, false);
	there = pneumo_worker_has_extension(w) && pneumo_run_read(w->run) != NULL;
	if (there)
	{
		if (weights != NULL)
		{
			if (config->deploy == PNEUMO_DEPLOY_IF_BETTER && probability != NULL)
				verdict = pneumo_worker_if_better(w, &meta, probability, &metrics);
			require_disk(w, version.n_bytes);
			version.model = config->name;
			version.owner = w->s->current_user;
			version.run = w->run;
			version.n_parameters = (int64) nn_graph_weight_count(w->prepared->graph);
			version.meta = &meta;
			if (probability != NULL && !meta.multi_label)
			{
				auc = validation_auc(w, &meta, probability);
				useless = why_useless(w, &meta, probability, &auc);
			}
			validation_figures(w, &meta, scores, probability, &auc, epoch, &metrics, &line, &useless);
			if (useless != NULL)
			{
				pneumo_worker_warn(w, psprintf("the version is not fit for use: %s", useless));
				pneumo_json_add_string(&metrics, PNEUMO_METRICS_USELESS, useless);
			}
			version.metrics = pneumo_json_end(&metrics);
			version.provenance = provenance(w, epoch);
			version.comment = config->comment;
			pneumo_dataset_manifest(&manifest, w->dataset);
			if (config->initial_model != NULL)
				pneumo_manifest_inherit(&manifest, w->prepared->initial.version);
			version.manifest = &manifest;
			version.deploy =
				(config->deploy == PNEUMO_DEPLOY_YES && !w->cancelled) || verdict == PNEUMO_BETTER;
			version.never_deploy = w->cancelled || config->deploy == PNEUMO_DEPLOY_NO;
			id = pneumo_version_store(&version);
			made = &id;
		}
		else
			pneumo_model_release(config->name, w->s->current_user, w->run);
		pneumo_run_finish(w->run, state, made, epoch, run_metrics(w, version.metrics), NULL, NULL);
		pneumo_worker_notify(w, state, made);
	}
	pneumo_worker_commit(w);
	if (!there)
		return false;

	strlcpy(w->s->outcome.state, state, sizeof(w->s->outcome.state));
	if (!w->cancelled)
	{
		pneumo_checkpoint_remove(w->run);
		summarize(w, &id, epoch, line.data, verdict);
	}
	return true;
}
