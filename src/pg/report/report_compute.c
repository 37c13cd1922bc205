/*-------------------------------------------------------------------------
 *
 * report_compute.c
 *	  What several sections of the report show, computed once: the figures of the
 *	  scored splits, and how well the classes are told by what is no radiology.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

/* ------------------------------------------------------------------ splits */

PneumoJudged
pneumo_report_judged(const PneumoEvaluation *e, int split)
{
	PneumoJudged judged;

	memset(&judged, 0, sizeof(judged));
	judged.split = split;
	judged.n = pneumo_evaluation_split(&judged.samples, e, split);
	return judged;
}

int64
pneumo_report_rows(StatsRows *rows, const PneumoReport *r, int split, int class)
{
	PneumoJudged judged = pneumo_report_judged(&r->e, split);

	*rows = pneumo_judged_rows(&judged, &r->e, class);
	pfree(judged.samples);
	return judged.n;
}

static void
compute_two_classes(PneumoSplitFigures *figures, const PneumoJudged *judged, const PneumoEvaluation *e)
{
	StatsOptions options;
	PneumoStats stats;
	StatsStatus status;

	pneumo_stats_options(&options, e->scorer->meta->threshold);
	figures->rows = pneumo_judged_rows(judged, e, 1);
	pneumo_stats_begin(&stats);
	status = stats_evaluate(&figures->evaluation, &figures->rows, &options, &stats.env);
	figures->one_class = status == STATS_ONE_CLASS; /* then what there is is filled */
	if (!figures->one_class)
		pneumo_stats_check(status, "pneumo_report", &figures->rows);
	pneumo_stats_end(&stats);
}

static void
compute_classes(PneumoSplitFigures *figures, const PneumoJudged *judged, const PneumoEvaluation *e)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	StatsClassRows rows = pneumo_judged_class_rows(judged, e, e->scores.probability);
	StatsOptions options;
	PneumoStats stats;
	StatsStatus status;

	pneumo_stats_options(&options, PNEUMO_DEFAULT_THRESHOLD);
	figures->of_class = palloc(meta->n_classes * sizeof(StatsEvaluation));
	pneumo_stats_begin(&stats);
	status = stats_class_evaluate(&figures->classes, figures->of_class, &rows, &options, &stats.env);
	pneumo_stats_end(&stats);
	figures->one_class = status == STATS_ONE_CLASS;
	if (!figures->one_class)
		pneumo_stats_check_classes(status, "pneumo_report", &rows, meta->classes);
}

void
pneumo_split_figures(PneumoSplitFigures *figures, const PneumoJudged *judged, const PneumoEvaluation *e)
{
	figures->split = judged->split;
	if (e->scorer->meta->n_classes == 2)
		compute_two_classes(figures, judged, e);
	else
		compute_classes(figures, judged, e);
}

int
pneumo_report_main_split(const PneumoReport *r)
{
	return r->test && r->e.dataset->split_rows[PNEUMO_TEST] > 0 ? PNEUMO_TEST : PNEUMO_VALIDATION;
}

const PneumoSplitFigures *
pneumo_report_main_figures(const PneumoReport *r)
{
	int s;

	for (s = 0; s < r->n_splits; s++)
		if (r->splits[s].split == pneumo_report_main_split(r))
			return &r->splits[s];
	return NULL;
}

void
pneumo_report_rate(StatsInterval *rate, const StatsRows *rows, double threshold, bool positive)
{
	uint8_t *success = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, rows->n));
	uint64_t *cluster = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, rows->n) * sizeof(uint64_t));
	PneumoStats stats;
	size_t n = 0;
	size_t i;

	for (i = 0; i < rows->n; i++)
	{
		if (rows->label[i] != positive)
			continue;
		success[n] = (rows->score[i] >= threshold) == positive;
		cluster[n++] = rows->cluster != NULL ? rows->cluster[i] : i;
	}
	rate->value = rate->low = rate->high = NAN;
	pneumo_stats_begin(&stats);
	if (n > 0)
		pneumo_stats_check(stats_proportion(rate, NULL, success, cluster, n, PNEUMO_CONFIDENCE, &stats.env),
						   "pneumo_report", NULL);
	pneumo_stats_end(&stats);
	pfree(success);
	pfree(cluster);
}

/* ---------------------------------------------------------------- shortcut */

/* Rows that could be measured: features, and the class and group of each. */
typedef struct Measured
{
	size_t n;
	double *features;
	int *class;
	uint64 *clusters;
	uint8 *labels; /* scratch */
} Measured;

static void
collect_measured(Measured *m, const PneumoReport *r)
{
	const PneumoDataset *dataset = r->e.dataset;
	Size room = (Size) Max(1, dataset->n);
	int64 i;

	m->n = 0;
	m->features = MemoryContextAllocHuge(CurrentMemoryContext, room * REPORT_N_FEATURES * sizeof(double));
	m->class = MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(int));
	m->clusters = MemoryContextAllocHuge(CurrentMemoryContext, room * sizeof(uint64));
	m->labels = MemoryContextAllocHuge(CurrentMemoryContext, room);
	for (i = 0; i < dataset->n; i++)
	{
		if (isnan(r->features[i * REPORT_N_FEATURES]))
			continue;
		memcpy(m->features + m->n * REPORT_N_FEATURES, r->features + i * REPORT_N_FEATURES,
			   REPORT_N_FEATURES * sizeof(double));
		m->class[m->n] = dataset->samples[i].label;
		memcpy(&m->clusters[m->n++], dataset->samples[i].group, sizeof(uint64));
	}
}

/* Measures how well the classes can be told by what is no radiology: of several, the one told best. */
static void
compute_shortcut(PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	Measured m;
	PneumoStats stats;
	int c;

	r->shortcut_class = -1;
	collect_measured(&m, r);
	pneumo_stats_begin(&stats);
	for (c = meta->n_classes == 2 ? 1 : 0; c < meta->n_classes && m.n > 0; c++)
	{
		StatsShortcut result;
		size_t i;

		for (i = 0; i < m.n; i++)
			m.labels[i] = m.class[i] == c;
		if (stats_shortcut(&result, NULL, m.features, REPORT_N_FEATURES, m.labels, m.clusters, m.n,
						   STATS_SHORTCUT_FOLDS, 0, STATS_DEFAULT_CONFIDENCE, &stats.env) != STATS_OK ||
			(r->shortcut_class >= 0 && result.auc.auc.value <= r->shortcut.auc.auc.value))
			continue;
		r->shortcut = result;
		r->shortcut_class = c;
	}
	pneumo_stats_end(&stats);
}

bool
pneumo_report_shortcut_found(const PneumoReport *r)
{
	return r->shortcut_class >= 0 && r->shortcut.auc.auc.value > STATS_SHORTCUT_WARNING;
}

void
pneumo_report_compute(PneumoReport *r)
{
	int split;

	for (split = PNEUMO_VALIDATION; split <= PNEUMO_TEST; split++)
	{
		PneumoJudged judged;

		if (!r->e.score[split] || r->e.dataset->split_rows[split] == 0)
			continue;
		judged = pneumo_report_judged(&r->e, split);
		pneumo_split_figures(&r->splits[r->n_splits++], &judged, &r->e);
	}
	compute_shortcut(r);
}

void
pneumo_report_compute_findings(PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	int split;

	r->findings = meta->classes;
	r->n_findings = meta->n_classes;
	for (split = 0; split < 3; split++)
	{
		PneumoJudged judged;
		StatsFindingRows rows;
		StatsOptions options;
		StatsStatus status;
		PneumoStats stats;

		memset(&judged, 0, sizeof(judged));
		if (r->e.score[split])
			judged.n = pneumo_evaluation_split(&judged.samples, &r->e, split);
		if (judged.n == 0)
			continue;
		r->of_split[split].of_finding = palloc(sizeof(StatsEvaluation) * meta->n_classes);
		rows = pneumo_judged_finding_rows(&judged, &r->e);
		pneumo_stats_options(&options, PNEUMO_DEFAULT_THRESHOLD);
		pneumo_stats_begin(&stats);
		status = stats_finding_evaluate(&r->of_split[split].means, r->of_split[split].of_finding, &rows,
										&options, &stats.env);
		pneumo_stats_end(&stats);
		pneumo_stats_check(status, "pneumo_report", NULL);
	}
}
