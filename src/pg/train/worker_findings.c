/*-------------------------------------------------------------------------
 *
 * worker_findings.c
 *	  Validation figures of a version whose images may have several findings.
 *
 * Each finding has figures of its own, of the rows of which it is known, at its
 * threshold; those of the version are means over the findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/source/source.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

/* Fills score and label with the rows of which a finding is known; returns their number. */
static size_t
gather(double *score, uint8_t *label, const float *scores, const uint8_t *target, size_t n, int units,
	   int finding)
{
	size_t known = 0;
	size_t i;

	for (i = 0; i < n; i++)
	{
		size_t at = i * units + finding;

		if (target[at] == NN_UNKNOWN)
			continue;
		score[known] = scores[at];
		label[known++] = target[at];
	}
	return known;
}

bool
pneumo_worker_findings_auc(double *auc, const float *scores, const uint8_t *target, size_t n, int units)
{
	PneumoStats stats;
	double *score;
	uint8_t *label;
	double sum = 0;
	int defined = 0;
	int f;

	pneumo_stats_begin(&stats);
	stats.env.stop = NULL; /* within the network core its polling sees to interrupts */
	score = stats.env.allocate(stats.env.arg, Max(1, n) * sizeof(double));
	label = stats.env.allocate(stats.env.arg, Max(1, n));
	for (f = 0; f < units && score != NULL && label != NULL; f++)
	{
		StatsRows rows = {score, label, NULL, gather(score, label, scores, target, n, units, f)};
		double own;

		if (stats_auc(&own, &rows, &stats.env) != STATS_OK)
			continue;
		sum += own;
		defined++;
	}
	pneumo_stats_end(&stats);
	if (defined > 0)
		*auc = sum / defined;
	return defined > 0;
}

static void
add_interval(PneumoJson *json, const char *name, const StatsInterval *figure)
{
	if (isnan(figure->value))
		return;
	pneumo_json_add_number(json, name, figure->value, 9);
	if (isnan(figure->low) || isnan(figure->high))
		return;
	pneumo_json_add_number(json, psprintf("%s_low", name), figure->low, 9);
	pneumo_json_add_number(json, psprintf("%s_high", name), figure->high, 9);
}

/* Adds the figures of one finding. */
static void
add_finding(PneumoJson *json, const char *name, const StatsEvaluation *e)
{
	pneumo_json_open_object(json, name);
	pneumo_json_add_int(json, "images", (int64) e->n);
	pneumo_json_add_int(json, "positive", (int64) e->n_positive);
	pneumo_json_add_number(json, "threshold", e->options.threshold, 9);
	add_interval(json, "accuracy", &e->accuracy);
	add_interval(json, "sensitivity", &e->sensitivity);
	add_interval(json, "specificity", &e->specificity);
	add_interval(json, "auc", &e->auc);
	add_interval(json, "log_loss", &e->log_loss);
	pneumo_json_close(json);
}

/* Returns why a version is of no use for a finding, palloc'd; NULL if nothing shows that. */
static char *
why_useless(const char *name, const StatsEvaluation *e)
{
	const char *shown = pneumo_clip(name);
	size_t called = (size_t) (e->counts.tp + e->counts.fp);

	if (e->n_positive == 0 || e->n_negative == 0)
		return NULL;
	if (called == 0 || called == e->n)
		return psprintf("it calls %s of the %zu images of the validation split \"%s\"",
						called == 0 ? "none" : "all", e->n, shown);
	if (e->auc.low <= 0.5)
		return psprintf(
			"its AUC of \"%s\" on the validation split, %.2f (95 %% interval %.2f to %.2f), is %s", shown,
			e->auc.value, e->auc.low, e->auc.high,
			e->auc.high < 0.5 ? "worse than chance" : "not shown to be better than chance");
	return NULL;
}

char *
pneumo_worker_findings_figures(const PneumoModelMeta *meta, const PneumoFitRows *in,
							   const double *probability, PneumoJson *json, StringInfo line)
{
	StatsEvaluation *of_finding = palloc(sizeof(StatsEvaluation) * meta->n_classes);
	double *threshold = palloc(sizeof(double) * meta->n_classes);
	StatsFindingRows rows = {probability, in->target, in->group, threshold, in->n, meta->n_classes};
	StatsFindingEvaluation all;
	StringInfoData useless;
	StatsStatus status;
	PneumoStats stats;
	int f;

	for (f = 0; f < meta->n_classes; f++)
		threshold[f] = meta->findings[f].threshold;
	pneumo_stats_begin(&stats);
	stats.env.stop = NULL; /* it is short, and a pending interrupt must not change what is stored */
	status = stats_finding_evaluate(&all, of_finding, &rows, NULL, &stats.env);
	pneumo_stats_end(&stats);
	if (status != STATS_OK)
		return NULL; /* it does not fit into pneumo.figures_memory */
	add_interval(json, "accuracy", &all.accuracy);
	add_interval(json, "sensitivity", &all.sensitivity);
	add_interval(json, "specificity", &all.specificity);
	add_interval(json, "auc", &all.auc);
	add_interval(json, "log_loss", &all.log_loss);
	appendStringInfo(line, "accuracy %.4f, AUC %.4f, log loss %.4f (means of %d finding%s)",
					 all.accuracy.value, all.auc.value, all.log_loss.value, meta->n_classes,
					 meta->n_classes == 1 ? "" : "s");
	pneumo_json_open_object(json, "findings");
	initStringInfo(&useless);
	for (f = 0; f < meta->n_classes; f++)
	{
		char *why = why_useless(meta->classes[f], &of_finding[f]);

		add_finding(json, meta->classes[f], &of_finding[f]);
		if (why != NULL)
			appendStringInfo(&useless, "%s%s", useless.len > 0 ? "; " : "", why);
	}
	pneumo_json_close(json);
	return useless.len > 0 ? useless.data : NULL;
}
