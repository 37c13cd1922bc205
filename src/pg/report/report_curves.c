/*-------------------------------------------------------------------------
 *
 * report_curves.c
 *	  How scores lie and what a threshold does: histograms, precision and recall,
 *	  net benefit, a table of thresholds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/predict/predict.h"
#include "pg/report/report_page.h"

#define SCORE_BINS 25
#define VISIBLE 0.001 /* of an axis */
#define DECISIONS 99  /* thresholds of the decision curve: 0.01 to 0.99 */
#define STEPS 9       /* of the table: 0.1 to 0.9 */

static ReportLines *
new_lines(const char *id, const char *title, const char *x_label, const char *y_label)
{
	ReportLines *lines = palloc0(sizeof(ReportLines));

	lines->id = id;
	lines->title = title;
	lines->x_label = x_label;
	lines->y_label = y_label;
	lines->lines = palloc0(REPORT_MAX_SERIES * sizeof(ReportLine));
	lines->x_max = 1;
	lines->mark = NAN;
	return lines;
}

/* Adds a curve to a plot; the arrays are kept. */
static void
add_line(ReportLines *lines, const char *name, const double *x, const double *y, size_t n)
{
	ReportLine *line = (ReportLine *) &lines->lines[lines->n_lines++];

	line->name = name;
	line->x = x;
	line->y = y;
	line->n_points = n;
}

/* --------------------------------------------------------------- histogram */

/*
 * Adds the histogram of a split: of two classes the probability of the positive one
 * by class, of more that of the called class, rightly and wrongly.
 */
static void
add_scores(PneumoSection *section, const PneumoReport *r, int split)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
	bool two = meta->n_classes == 2;
	ReportScores *scores = palloc0(sizeof(ReportScores));
	uint64_t *above = palloc0(SCORE_BINS * sizeof(uint64_t));
	uint64_t *below = palloc0(SCORE_BINS * sizeof(uint64_t));
	int64 *samples;
	int64 n = pneumo_evaluation_split(&samples, &r->e, split);
	int64 i;

	for (i = 0; i < n; i++)
	{
		const double *probability = pneumo_evaluation_probability(&r->e, samples[i]);
		int label = r->e.dataset->samples[samples[i]].label;
		int predicted = pneumo_class_of(meta, probability);
		double score = probability[two ? 1 : predicted];
		int bin = Min((int) (score * SCORE_BINS), SCORE_BINS - 1);

		if (two ? label == 1 : label == predicted)
			above[bin]++;
		else
			below[bin]++;
	}
	pfree(samples);
	scores->id = psprintf("scores-%s", pneumo_split_names[split]);
	scores->title = psprintf("Scores, %s", pneumo_split_names[split]);
	scores->x_label = two ? pneumo_utf8(psprintf("probability of %s", meta->classes[1]))
						  : "probability of the called class";
	scores->n_bins = SCORE_BINS;
	scores->above = above;
	scores->below = below;
	scores->above_name = two ? pneumo_utf8(meta->classes[1]) : "called rightly";
	scores->below_name = two ? pneumo_utf8(meta->classes[0]) : "called wrongly";
	scores->threshold = two ? meta->threshold : NAN;
	pneumo_section_add(section, REPORT_BLOCK_SCORES, scores);
}

/* ---------------------------------------------------- precision and recall */

/*
 * Adds the curve of precision against recall of a split, as steps: between two
 * thresholds precision does not run in a straight line.  Its average precision is
 * the sum of the precisions, each weighted by the recall that its threshold adds.
 */
static void
add_precision_recall(ReportLines *lines, const PneumoSplitFigures *figures)
{
	const StatsEvaluation *e = &figures->evaluation;
	StatsRocPoint *points =
		MemoryContextAllocHuge(CurrentMemoryContext, (figures->rows.n + 1) * sizeof(StatsRocPoint));
	PneumoStats stats;
	size_t n_points = 0;
	size_t n = 0;
	double *x;
	double *y;
	double average = 0;
	double recall = 0;
	size_t i;

	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_roc(points, &n_points, &figures->rows, false, &stats.env), "pneumo_report",
					   &figures->rows);
	pneumo_stats_end(&stats);
	x = MemoryContextAllocHuge(CurrentMemoryContext, 2 * n_points * sizeof(double));
	y = MemoryContextAllocHuge(CurrentMemoryContext, 2 * n_points * sizeof(double));
	for (i = 1; i < n_points; i++) /* at the first one nothing is called positive */
	{
		double found = points[i].true_positive_rate * (double) e->n_positive;
		double called = found + points[i].false_positive_rate * (double) e->n_negative;
		double precision = found / called;

		average += (points[i].true_positive_rate - recall) * precision;
		/* closer than anybody can see: a curve of many scores stays small */
		if (n == 0 || i + 1 == n_points || points[i].true_positive_rate - x[n - 1] >= VISIBLE ||
			fabs(precision - y[n - 1]) >= VISIBLE)
		{
			x[n] = n > 0 ? x[n - 1] : 0;
			y[n++] = precision;
			x[n] = points[i].true_positive_rate;
			y[n++] = precision;
		}
		recall = points[i].true_positive_rate;
	}
	pfree(points);
	add_line(lines, psprintf("%s: average precision %.3f", pneumo_split_names[figures->split], average), x, y,
			 n);
}

/* Adds the share of positives of the split that is judged, the precision of calling at random. */
static void
add_prevalence(ReportLines *lines, const StatsEvaluation *e)
{
	double share = (double) e->n_positive / (double) e->n;
	double *x = palloc(2 * sizeof(double));
	double *y = palloc(2 * sizeof(double));

	x[0] = 0;
	x[1] = 1;
	y[0] = y[1] = share;
	add_line(lines, psprintf("by chance: %.3f", share), x, y, 2);
}

/* ---------------------------------------------------------- decision curve */

/*
 * Adds net benefit against threshold (Vickers and Elkin, Med Decis Making 2006):
 * TP/n - FP/n * t/(1-t), of the network, of treating all and of treating none.
 */
static void
add_decision(PneumoSection *section, const PneumoSplitFigures *figures)
{
	const StatsEvaluation *e = &figures->evaluation;
	const StatsRows *rows = &figures->rows;
	double share = (double) e->n_positive / (double) e->n;
	ReportLines *lines = new_lines(psprintf("decision-%s", pneumo_split_names[figures->split]),
								   psprintf("Decision curve, %s", pneumo_split_names[figures->split]),
								   "threshold probability", "net benefit");
	double *t = palloc(DECISIONS * sizeof(double));
	double *network = palloc(DECISIONS * sizeof(double));
	double *all = palloc(DECISIONS * sizeof(double));
	double *none = palloc0(DECISIONS * sizeof(double));
	double least = -0.25 * share;
	int d;

	for (d = 0; d < DECISIONS; d++)
	{
		double odds;
		size_t right = 0;
		size_t wrong = 0;
		size_t i;

		CHECK_FOR_INTERRUPTS();
		t[d] = (d + 1) / (DECISIONS + 1.0);
		odds = t[d] / (1 - t[d]);
		for (i = 0; i < rows->n; i++)
			if (rows->score[i] >= t[d])
			{
				right += rows->label[i] == 1;
				wrong += rows->label[i] == 0;
			}
		network[d] = ((double) right - odds * (double) wrong) / (double) e->n;
		all[d] = share - odds * (1 - share);
		if (network[d] < least)
			network[d] = NAN; /* below the plot */
		if (all[d] < least)
			all[d] = NAN;
	}
	add_line(lines, "the network", t, network, DECISIONS);
	add_line(lines, "treat all", t, all, DECISIONS);
	add_line(lines, "treat none", t, none, DECISIONS);
	lines->y_min = least;
	lines->y_max = NAN;
	lines->mark = e->options.threshold;
	lines->mark_name = "operating point";
	pneumo_section_add(section, REPORT_BLOCK_LINES, lines);
}

/* -------------------------------------------------------------- thresholds */

static void
threshold_row(PneumoTable *table, const PneumoSplitFigures *figures, double threshold, bool own)
{
	const StatsRows *rows = &figures->rows;
	StatsInterval sensitivity;
	StatsInterval specificity;
	StatsInterval ppv = {NAN, NAN, NAN};
	StatsInterval npv = {NAN, NAN, NAN};
	StatsFigures at;

	CHECK_FOR_INTERRUPTS();
	pneumo_stats_check(stats_figures(&at, rows, threshold, NULL), "pneumo_report", rows);
	pneumo_report_rate(&sensitivity, rows, threshold, true);
	pneumo_report_rate(&specificity, rows, threshold, false);
	ppv.value = at.ppv;
	npv.value = at.npv;
	pneumo_table_cell(table, own ? "%.4g, the operating point" : "%.4g", threshold);
	pneumo_table_cell(table, "%s (%.1f %%)", pneumo_count_text((int64) (at.counts.tp + at.counts.fp)),
					  100.0 * (double) (at.counts.tp + at.counts.fp) / (double) rows->n);
	pneumo_interval_cell(table, &sensitivity);
	pneumo_interval_cell(table, &specificity);
	pneumo_interval_cell(table, &ppv);
	pneumo_interval_cell(table, &npv);
}

/* Adds what other thresholds would do, with that of the operating point in its place. */
static void
threshold_table(PneumoSection *section, const PneumoReport *r, const PneumoSplitFigures *figures)
{
	static const char *const headings[] = {"Threshold",
										   "Called positive",
										   "Sensitivity",
										   "Specificity",
										   "Positive predictive value",
										   "Negative predictive value"};
	double own = figures->evaluation.options.threshold;
	bool shown = false;
	PneumoTable *table =
		pneumo_table_begin(section,
						   psprintf("What a threshold does, %s, with 95 %% intervals by %s",
									pneumo_split_names[figures->split], pneumo_report_unit(&r->e)),
						   lengthof(headings), headings, 0x3E);
	int i;

	for (i = 1; i <= STEPS; i++)
	{
		double threshold = i / (STEPS + 1.0);

		if (!shown && own <= threshold)
		{
			threshold_row(table, figures, own, true);
			shown = true;
			if (fabs(own - threshold) < 5e-5)
				continue;
		}
		threshold_row(table, figures, threshold, false);
	}
	if (!shown)
		threshold_row(table, figures, own, true);
	pneumo_table_end(table);
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"A threshold that is chosen from this table has been chosen by these rows: its figures are then optimistic. Predictive values hold for the share of positives in this split.");
}

void
pneumo_report_curves(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSplitFigures *figures = pneumo_report_main_figures(r);
	ReportLines *lines;
	int s;

	for (s = 0; s < r->n_splits; s++)
		add_scores(section, r, r->splits[s].split);
	if (figures == NULL || figures->one_class || pneumo_report_meta(r)->n_classes != 2)
		return;
	lines = new_lines("precision-recall", "Precision and recall", "recall (sensitivity)",
					  "precision (positive predictive value)");
	for (s = 0; s < r->n_splits; s++)
		if (!r->splits[s].one_class)
			add_precision_recall(lines, &r->splits[s]);
	add_prevalence(lines, &figures->evaluation);
	lines->y_max = 1;
	pneumo_section_add(section, REPORT_BLOCK_LINES, lines);
	add_decision(section, figures);
	threshold_table(section, r, figures);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Decision curve: the net benefit TP/n - FP/n * t/(1 - t) of calling at threshold t, where t says how many false alarms one hit is worth. A network is of use at a threshold only where its curve is above both others. The curves have no intervals.");
}
