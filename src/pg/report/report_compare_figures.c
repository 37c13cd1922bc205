/*-------------------------------------------------------------------------
 *
 * report_compare_figures.c
 *	  Figures of several versions on the same rows: computed, as tables and as
 *	  plots.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/plots.h"
#include "pg/predict/predict.h"
#include "pg/report/report_compare.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

#define FUNCTION "pneumo_report_compare"

bool
pneumo_compare_is_binary(const PneumoComparison *c)
{
	return c->e[0].scorer->meta->n_classes == 2;
}

const StatsInterval *
pneumo_compare_auc(const PneumoComparison *c, int v)
{
	const PneumoSplitFigures *figures = &c->version[v].figures;

	return pneumo_compare_is_binary(c) ? &figures->evaluation.auc : &figures->classes.macro_auc;
}

/* ---------------------------------------------------------------- computing */

static double *
copy_numbers(const double *numbers, size_t n, MemoryContext cxt)
{
	return memcpy(MemoryContextAlloc(cxt, n * sizeof(double)), numbers, n * sizeof(double));
}

/* Computes the ROC curve of a class, which is kept in cxt; a class without rows has no AUC. */
static void
compute_roc(ReportRocCurve *roc, const StatsRows *rows, const PneumoCompared *version, MemoryContext cxt)
{
	pneumo_roc_curve(roc, rows, FUNCTION);
	roc->false_positive_rate = copy_numbers(roc->false_positive_rate, roc->n_points, cxt);
	roc->true_positive_rate = copy_numbers(roc->true_positive_rate, roc->n_points, cxt);
	roc->name = version->name;
}

/*
 * Returns the rows whose calibration is shown: of two classes the probability of the
 * positive one, of more that of the called class, and whether it is the true one.
 */
static StatsRows
calibration_rows(const PneumoJudged *judged, const PneumoEvaluation *e)
{
	double *score;
	uint8_t *right;
	uint64_t *cluster;
	int64 i;

	if (e->scorer->meta->n_classes == 2)
		return pneumo_judged_rows(judged, e, 1);
	score = MemoryContextAllocHuge(CurrentMemoryContext, judged->n * sizeof(double));
	right = MemoryContextAllocHuge(CurrentMemoryContext, judged->n);
	cluster = MemoryContextAllocHuge(CurrentMemoryContext, judged->n * sizeof(uint64_t));
	for (i = 0; i < judged->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[judged->samples[i]];
		const double *probability = pneumo_evaluation_probability(e, judged->samples[i]);
		int called = pneumo_class_of(e->scorer->meta, probability);

		score[i] = probability[called];
		right[i] = called == sample->label;
		memcpy(&cluster[i], sample->group, sizeof(uint64_t));
	}
	return (StatsRows) {score, right, cluster, (size_t) judged->n};
}

static void
compute_calibration(ReportCalibration *calibration, const PneumoJudged *judged, const PneumoEvaluation *e,
					MemoryContext cxt)
{
	StatsRows rows = calibration_rows(judged, e);
	Size size = PNEUMO_DEFAULT_BINS * sizeof(ReportCalibrationBin);

	pneumo_calibration_diagram(calibration, &rows, PNEUMO_DEFAULT_BINS, FUNCTION);
	calibration->bins = memcpy(MemoryContextAlloc(cxt, size), calibration->bins, size);
}

/* Computes what is shown of one version; what is needed for a moment only goes with cxt. */
static void
compute_version(PneumoComparison *c, int v, MemoryContext cxt)
{
	const PneumoEvaluation *e = &c->e[v];
	PneumoCompared *version = &c->version[v];
	const PneumoModelMeta *meta = e->scorer->meta;
	bool two = pneumo_compare_is_binary(c);
	int n_curves = two ? 1 : meta->n_classes;
	MemoryContext old = CurrentMemoryContext;
	int k;

	pneumo_split_figures(&version->figures, &c->judged, e);
	version->roc = palloc0(n_curves * sizeof(ReportRocCurve));
	MemoryContextSwitchTo(cxt);
	for (k = 0; k < n_curves; k++)
	{
		StatsRows rows;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(cxt);
		if (!two && isnan(version->figures.of_class[k].auc.value))
			continue;
		rows = pneumo_judged_rows(&c->judged, e, two ? 1 : k);
		compute_roc(&version->roc[k], &rows, version, old);
		if (two)
		{
			version->roc[k].point_x = 1 - version->figures.evaluation.specificity.value;
			version->roc[k].point_y = version->figures.evaluation.sensitivity.value;
		}
	}
	MemoryContextReset(cxt);
	compute_calibration(&version->calibration, &c->judged, e, old);
	MemoryContextSwitchTo(old);
}

void
pneumo_compare_compute(PneumoComparison *c)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo comparison", ALLOCSET_DEFAULT_SIZES);
	int v;

	/* first: it says why rows cannot be compared */
	for (v = 1; v < c->n; v++)
		pneumo_differences(&c->version[v].differences, &c->judged, &c->e[v], &c->e[0], FUNCTION);
	for (v = 0; v < c->n; v++)
		compute_version(c, v, cxt);
	MemoryContextDelete(cxt);
}

/* ------------------------------------------------------------------ figures */

/* Adds the ROC curves of a class of all versions to one plot; class -1: of the positive of two. */
static void
add_roc(PneumoSection *section, const PneumoComparison *c, int class)
{
	ReportRoc *roc = palloc0(sizeof(ReportRoc));
	ReportRocCurve *curves = palloc0(c->n * sizeof(ReportRocCurve));
	int v;

	for (v = 0; v < c->n; v++)
		if (c->version[v].roc[Max(class, 0)].n_points > 0)
			curves[roc->n_curves++] = c->version[v].roc[Max(class, 0)];
	if (roc->n_curves == 0)
		return;
	roc->id = class < 0 ? "roc" : psprintf("roc-%d", class + 1);
	roc->title =
		class < 0 ? "ROC curves"
				  : pneumo_utf8(psprintf("ROC, %s against the rest", c->e[0].scorer->meta->classes[class]));
	roc->curves = curves;
	roc->threshold = NAN;
	pneumo_section_add(section, REPORT_BLOCK_ROC, roc);
}

/* Adds the calibration of all versions to one plot: the observed share against the mean score of each bin. */
static void
add_calibration(PneumoSection *section, const PneumoComparison *c)
{
	ReportLines *lines = palloc0(sizeof(ReportLines));
	ReportLine *curves = palloc0(c->n * sizeof(ReportLine));
	int v;

	for (v = 0; v < c->n; v++)
	{
		const ReportCalibration *calibration = &c->version[v].calibration;
		double *x = palloc(calibration->n_bins * sizeof(double));
		double *y = palloc(calibration->n_bins * sizeof(double));
		size_t n = 0;
		size_t b;

		for (b = 0; b < calibration->n_bins; b++)
			if (calibration->bins[b].n > 0)
			{
				x[n] = calibration->bins[b].mean_score;
				y[n++] = calibration->bins[b].observed;
			}
		curves[v].name = pneumo_utf8(psprintf("%s: calibration error %.3f, %s v%d", c->version[v].letter,
											  calibration->ece, c->e[v].model, c->e[v].id.number));
		curves[v].n_points = n;
		curves[v].x = x;
		curves[v].y = y;
	}
	lines->id = "calibration";
	lines->title = "Calibration";
	lines->x_label = pneumo_compare_is_binary(c) ? "mean probability in a bin"
												 : "mean probability of the called class in a bin";
	lines->y_label = pneumo_compare_is_binary(c) ? "observed share of positives" : "share called rightly";
	lines->x_max = lines->y_max = 1;
	lines->diagonal = true;
	lines->n_lines = (size_t) c->n;
	lines->lines = curves;
	lines->mark = NAN;
	pneumo_section_add(section, REPORT_BLOCK_LINES, lines);
}

/* Adds the figures that stand at one operating point as forest plots, one row a version. */
static void
add_forests(PneumoSection *section, const PneumoComparison *c)
{
	static const struct
	{
		const char *two; /* classes */
		const char *more;
		size_t offset_two;
		size_t offset_more;
	} kinds[] = {
		{"AUC", "Macro AUC", offsetof(PneumoSplitFigures, evaluation.auc),
		 offsetof(PneumoSplitFigures, classes.macro_auc)},
		{"Sensitivity", "Macro sensitivity", offsetof(PneumoSplitFigures, evaluation.sensitivity),
		 offsetof(PneumoSplitFigures, classes.macro_sensitivity)},
		{"Specificity", "Macro specificity", offsetof(PneumoSplitFigures, evaluation.specificity),
		 offsetof(PneumoSplitFigures, classes.macro_specificity)},
	};
	bool two = pneumo_compare_is_binary(c);
	PneumoForest *forest = pneumo_forest_begin("versions", "The versions' figures");
	size_t f;
	int v;

	for (f = 0; f < lengthof(kinds); f++)
	{
		pneumo_forest_heading(forest, two ? kinds[f].two : kinds[f].more);
		for (v = 0; v < c->n; v++)
			pneumo_forest_row(forest, c->version[v].label, c->judged.n, false,
							  (const StatsInterval *) ((const char *) &c->version[v].figures +
													   (two ? kinds[f].offset_two : kinds[f].offset_more)));
	}
	pneumo_forest_end(section, forest, NAN);
}

/* Adds the AUC of each class against the rest, one column a version. */
static void
class_table(PneumoSection *section, const PneumoComparison *c, const char *const *headings)
{
	const PneumoModelMeta *meta = c->e[0].scorer->meta;
	PneumoTable *table =
		pneumo_table_begin(section, "AUC of each class against the rest", c->n + 1, headings, ~(uint64) 1);
	int k;
	int v;

	for (k = 0; k < meta->n_classes; k++)
	{
		pneumo_table_cell(table, "%s", meta->classes[k]);
		for (v = 0; v < c->n; v++)
			pneumo_interval_cell(table, &c->version[v].figures.of_class[k].auc);
	}
	pneumo_table_end(table);
}

void
pneumo_compare_figures(PneumoSection *section, const PneumoComparison *c)
{
	const PneumoSplitFigures *shown[PNEUMO_MAX_RIVALS];
	const char *names[PNEUMO_MAX_RIVALS];
	const char **headings = palloc((c->n + 1) * sizeof(char *));
	bool two = pneumo_compare_is_binary(c);
	int v;
	int k;

	section->heading = "Figures";
	headings[0] = "Class";
	for (v = 0; v < c->n; v++)
	{
		shown[v] = &c->version[v].figures;
		headings[v + 1] = names[v] = c->version[v].name;
	}
	pneumo_figures_table(section, &c->e[0], shown, names, c->n);
	if (!two)
		class_table(section, c, headings);
	if (two)
		add_roc(section, c, -1);
	for (k = 0; k < c->e[0].scorer->meta->n_classes && !two && k < REPORT_MAX_CLASSES; k++)
		add_roc(section, c, k);
	add_calibration(section, c);
	add_forests(section, c);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH, "%s",
		two ? "The large markers on the ROC curves are the operating points. Calibration: bins of a tenth of the probability; on the dotted line probabilities are right."
			: "Macro figures are means over the classes that have images. Calibration: of the class that an image is called, in bins of a tenth of the probability; on the dotted line probabilities are right.");
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"Intervals of single versions may overlap although the versions differ: they are judged by the same rows, so read the differences below.");
}

/* -------------------------------------------------------------- differences */

static void
difference_cell(PneumoTable *table, const StatsInterval *d)
{
	if (isnan(d->value))
		pneumo_table_cell(table, "not defined");
	else if (isnan(d->low))
		pneumo_table_cell(table, "%+.3f", d->value);
	else
		pneumo_table_cell(table, "%+.3f (%+.3f to %+.3f)", d->value, d->low, d->high);
}

static void
p_cell(PneumoTable *table, double p)
{
	if (isnan(p))
		pneumo_table_cell(table, "not defined");
	else if (p < 0.001)
		pneumo_table_cell(table, "below 0.001");
	else
		pneumo_table_cell(table, "%.3f", p);
}

/* Adds one row of the table of differences: a figure of each version less that of the first. */
static void
difference_row(PneumoTable *table, const PneumoComparison *c, const char *name, size_t offset)
{
	int v;

	pneumo_table_cell(table, "%s", name);
	for (v = 1; v < c->n; v++)
		difference_cell(table, (const StatsInterval *) ((const char *) &c->version[v].differences + offset));
}

static void
p_row(PneumoTable *table, const PneumoComparison *c, const char *name, size_t offset)
{
	int v;

	pneumo_table_cell(table, "%s", name);
	for (v = 1; v < c->n; v++)
		p_cell(table, *(const double *) ((const char *) &c->version[v].differences + offset));
}

void
pneumo_compare_differences(PneumoSection *section, const PneumoComparison *c)
{
	bool two = pneumo_compare_is_binary(c);
	const char **headings = palloc(c->n * sizeof(char *));
	PneumoTable *table;
	int v;

	section->heading = "Differences";
	headings[0] = "Difference";
	for (v = 1; v < c->n; v++)
		headings[v] = c->version[v].name;
	table = pneumo_table_begin(section,
							   pneumo_utf8(psprintf("Each version less %s, with 95 %% intervals by %s",
													c->version[0].label, pneumo_report_unit(&c->e[0]))),
							   c->n, headings, ~(uint64) 1);
	difference_row(table, c, two ? "AUC" : "Macro AUC", offsetof(PneumoDifferences, auc));
	p_row(table, c, "p of the AUC", offsetof(PneumoDifferences, auc_p));
	difference_row(table, c, two ? "Sensitivity" : "Macro sensitivity",
				   offsetof(PneumoDifferences, sensitivity));
	difference_row(table, c, two ? "Specificity" : "Macro specificity",
				   offsetof(PneumoDifferences, specificity));
	difference_row(table, c, "Accuracy", offsetof(PneumoDifferences, accuracy));
	p_row(table, c, "p of the accuracy (McNemar)", offsetof(PneumoDifferences, mcnemar_p));
	pneumo_table_cell(table, "Images that it alone calls rightly");
	for (v = 1; v < c->n; v++)
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) c->version[v].differences.only_a_right));
	pneumo_table_cell(table, "Images that %s alone calls rightly", c->version[0].letter);
	for (v = 1; v < c->n; v++)
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) c->version[v].differences.only_b_right));
	difference_row(table, c, "Log loss", offsetof(PneumoDifferences, log_loss));
	difference_row(table, c, "Brier score", offsetof(PneumoDifferences, brier));
	pneumo_table_end(table);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Differences, intervals and p are those of pneumo_compare, each version at its own operating point. A positive difference is in favour of the version, except in log loss and Brier score, where less is better.");
	if (c->n > 2)
		pneumo_section_text(
			section, REPORT_TEXT_NOTE,
			"%d versions are compared with the first, and p is not adjusted for that: of twenty versions that are no better, one has p below 0.05 by chance.",
			c->n - 1);
}

/* --------------------------------------------------------- operating points */

static void
operating_points(PneumoSection *section, const PneumoComparison *c)
{
	static const char *const headings[] = {"Version",        "Threshold",       "Called positive",
										   "True positives", "False positives", "False negatives",
										   "True negatives"};
	PneumoTable *table =
		pneumo_table_begin(section, "Operating points", lengthof(headings), headings, ~(uint64) 1);
	int v;

	for (v = 0; v < c->n; v++)
	{
		const StatsCounts *counts = &c->version[v].figures.evaluation.counts;
		uint64 called = counts->tp + counts->fp;

		pneumo_table_cell(table, "%s", c->version[v].label);
		pneumo_table_cell(table, "%.4g", c->e[v].scorer->meta->threshold);
		pneumo_table_cell(table, "%s (%.1f %%)", pneumo_count_text((int64) called),
						  100.0 * (double) called / (double) c->judged.n);
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) counts->tp));
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) counts->fp));
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) counts->fn));
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) counts->tn));
	}
	pneumo_table_end(table);
}

static void
calibration_table(PneumoSection *section, const PneumoComparison *c)
{
	static const char *const headings[] = {"Version", "Error (ECE)", "Slope", "Intercept", "Calibrated by"};
	PneumoTable *table = pneumo_table_begin(section, "Calibration", lengthof(headings), headings, 0xE);
	int v;

	for (v = 0; v < c->n; v++)
	{
		const PneumoModelMeta *meta = c->e[v].scorer->meta;
		const ReportCalibration *calibration = &c->version[v].calibration;
		StatsInterval ece = {calibration->ece, calibration->ece_low, calibration->ece_high};
		StatsInterval slope = {calibration->slope, NAN, NAN};
		StatsInterval intercept = {calibration->intercept, NAN, NAN};

		pneumo_table_cell(table, "%s", c->version[v].label);
		pneumo_interval_cell(table, &ece);
		pneumo_interval_cell(table, &slope);
		pneumo_interval_cell(table, &intercept);
		if (meta->calibration == PNEUMO_CALIBRATION_PLATT)
			pneumo_table_cell(table, "Platt's scaling: %.4g, %.4g", meta->calibration_a, meta->calibration_b);
		else if (meta->calibration == PNEUMO_CALIBRATION_TEMPERATURE)
			pneumo_table_cell(table, "a temperature of %.4g", meta->calibration_a);
		else
			pneumo_table_cell(table, "nothing");
	}
	pneumo_table_end(table);
}

void
pneumo_compare_thresholds(PneumoSection *section, const PneumoComparison *c)
{
	bool two = pneumo_compare_is_binary(c);

	section->heading = "Operating points";
	if (two)
		operating_points(section, c);
	calibration_table(section, c);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH, "%s",
		two ? "Each version calls an image positive from its own threshold on. Calibrated probabilities have slope 1 and intercept 0."
			: "An image is called by its most probable class, and calibration is that of the called class: calibrated probabilities have slope 1 and intercept 0.");
}

/* ---------------------------------------------------------------- subgroups */

/* Adds the groups of a column: to the table a row for each group and version, and a forest plot a figure. */
static void
column_groups(PneumoSection *section, PneumoTable *table, const PneumoComparison *c, int column)
{
	const char *name = pneumo_subgroups_column(c->subgroups, column);
	PneumoSubgroup groups[REPORT_MAX_GROUPS];
	int n = pneumo_subgroups_divide(groups, c->subgroups, column, &c->e[0], &c->judged);
	PneumoForest *forests[REPORT_N_GROUP_FIGURES];
	int f;
	int g;
	int v;

	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		forests[f] =
			pneumo_forest_begin(psprintf("groups-%s-%d", pneumo_subgroup_figures[f].id, column + 1),
								pneumo_utf8(
									psprintf("%s by %s", pneumo_subgroup_figure_name(&c->e[0], f), name)));
	for (g = 0; g < n; g++)
	{
		pneumo_table_heading(table, psprintf("%s: %s", name, groups[g].name));
		for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
			pneumo_forest_heading(forests[f], groups[g].name);
		for (v = 0; v < c->n; v++)
		{
			pneumo_subgroup_compute(&groups[g], &c->e[v]);
			pneumo_subgroup_row(table, &c->e[0], c->version[v].label, &groups[g]);
			for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
				pneumo_forest_row(forests[f], c->version[v].label, groups[g].judged.n, groups[g].few,
								  pneumo_subgroup_figure(&groups[g], f));
		}
	}
	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		pneumo_forest_end(section, forests[f], NAN);
	for (g = 0; g < n; g++)
		pfree(groups[g].judged.samples);
}

void
pneumo_compare_subgroups(PneumoSection *section, const PneumoComparison *c)
{
	PneumoTable *table;
	int n = pneumo_subgroups_count(c->subgroups);
	int k;

	section->heading = "Subgroups";
	if (n == 0)
	{
		pneumo_section_text(
			section, REPORT_TEXT_PARAGRAPH,
			"None were named. Config key \"subgroups\" of pneumo_report_compare takes columns, such as sex, age, device and ward: a version that is better on all rows may be worse for some patients.");
		return;
	}
	pneumo_subgroup_warnings(section, c->subgroups);
	table = pneumo_subgroup_table(section, &c->e[0], c->judged.split, "Version");
	for (k = 0; k < n; k++)
		if (!pneumo_subgroups_too_many(c->subgroups, k))
			column_groups(section, table, c, k);
	pneumo_table_end(table);
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"Groups with fewer than %d %ss of a class are drawn hollow: they say little. Of many groups some differ by chance, and the intervals are not widened for that.",
		REPORT_FEW, pneumo_report_unit(&c->e[0]));
}
