/*-------------------------------------------------------------------------
 *
 * report_figures.c
 *	  The report's figures, curves, calibration and operating point.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/plots.h"
#include "pg/predict/predict.h"
#include "pg/report/report_page.h"

#define N_BINS PNEUMO_DEFAULT_BINS

/* A figure of a table, and where it is. */
typedef struct FigureRow
{
	const char *name;
	size_t offset;
} FigureRow;

static const FigureRow two_class_figures[] = {
	{"AUC", offsetof(PneumoSplitFigures, evaluation.auc)},
	{"Sensitivity", offsetof(PneumoSplitFigures, evaluation.sensitivity)},
	{"Specificity", offsetof(PneumoSplitFigures, evaluation.specificity)},
	{"Positive predictive value", offsetof(PneumoSplitFigures, evaluation.ppv)},
	{"Negative predictive value", offsetof(PneumoSplitFigures, evaluation.npv)},
	{"Positive likelihood ratio", offsetof(PneumoSplitFigures, evaluation.lr_positive)},
	{"Negative likelihood ratio", offsetof(PneumoSplitFigures, evaluation.lr_negative)},
	{"Accuracy", offsetof(PneumoSplitFigures, evaluation.accuracy)},
	{"F1", offsetof(PneumoSplitFigures, evaluation.f1)},
	{"Log loss", offsetof(PneumoSplitFigures, evaluation.log_loss)},
	{"Brier score", offsetof(PneumoSplitFigures, evaluation.brier)},
};

static const FigureRow macro_figures[] = {
	{"Macro AUC", offsetof(PneumoSplitFigures, classes.macro_auc)},
	{"Macro sensitivity", offsetof(PneumoSplitFigures, classes.macro_sensitivity)},
	{"Macro specificity", offsetof(PneumoSplitFigures, classes.macro_specificity)},
	{"Macro F1", offsetof(PneumoSplitFigures, classes.macro_f1)},
	{"Accuracy", offsetof(PneumoSplitFigures, classes.accuracy)},
	{"Log loss", offsetof(PneumoSplitFigures, classes.log_loss)},
	{"Brier score, 0 to 2", offsetof(PneumoSplitFigures, classes.brier)},
};

void
pneumo_figures_table(PneumoSection *section, const PneumoEvaluation *e,
					 const PneumoSplitFigures *const *shown, const char *const *names, int n)
{
	bool two = e->scorer->meta->n_classes == 2;
	const FigureRow *figures = two ? two_class_figures : macro_figures;
	size_t n_figures = two ? lengthof(two_class_figures) : lengthof(macro_figures);
	const char **headings = palloc((n + 1) * sizeof(char *));
	PneumoTable *table;
	size_t f;
	int s;

	headings[0] = "Figure";
	memcpy(headings + 1, names, n * sizeof(char *));
	table = pneumo_table_begin(section,
							   psprintf("Figures %s, with 95 %% intervals by %s",
										two ? "at the operating point" : "over all classes",
										pneumo_report_unit(e)),
							   n + 1, headings, ~(uint64) 1);
	pneumo_table_cell(table, "%s", pneumo_count_heading(e));
	for (s = 0; s < n; s++)
		pneumo_count_cell(table, e, two ? shown[s]->evaluation.n : shown[s]->classes.n,
						  two ? shown[s]->evaluation.n_clusters : shown[s]->classes.n_clusters);
	if (two)
	{
		pneumo_table_cell(table, "of these positive");
		for (s = 0; s < n; s++)
			pneumo_count_cell(table, e, shown[s]->evaluation.n_positive,
							  shown[s]->evaluation.n_clusters_positive);
	}
	for (f = 0; f < n_figures; f++)
	{
		pneumo_table_cell(table, "%s", figures[f].name);
		for (s = 0; s < n; s++)
			pneumo_interval_cell(table,
								 (const StatsInterval *) ((const char *) shown[s] + figures[f].offset));
	}
	pneumo_table_end(table);
}

/* Adds that table with a column for each split; of more than two classes those with more than one class. */
static void
splits_table(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSplitFigures *shown[2];
	const char *names[2];
	int n = 0;
	int s;

	for (s = 0; s < r->n_splits; s++)
		if (pneumo_report_meta(r)->n_classes == 2 || !r->splits[s].one_class)
		{
			names[n] = r->splits[s].split == PNEUMO_TEST ? "Test" : "Validation";
			shown[n++] = &r->splits[s];
		}
	if (n > 0)
		pneumo_figures_table(section, &r->e, shown, names, n);
}

/* Adds the ROC curves of the splits to one picture. */
static void
add_roc(PneumoSection *section, const PneumoReport *r, const PneumoSplitFigures *splits, int n_splits)
{
	ReportRoc *roc = palloc0(sizeof(ReportRoc));
	ReportRocCurve *curves = palloc0(2 * sizeof(ReportRocCurve));
	int s;

	for (s = 0; s < n_splits; s++)
	{
		const PneumoSplitFigures *figures = &splits[s];
		ReportRocCurve *curve = &curves[roc->n_curves];

		if (isnan(figures->evaluation.auc.value))
			continue;
		pneumo_roc_curve(curve, &figures->rows, "pneumo_report");
		curve->name = pneumo_split_names[figures->split];
		curve->point_x = 1 - figures->evaluation.specificity.value;
		curve->point_y = figures->evaluation.sensitivity.value;
		roc->n_curves++;
	}
	if (roc->n_curves == 0)
		return;
	roc->curves = curves;
	roc->threshold = r->e.scorer->meta->threshold;
	pneumo_section_add(section, REPORT_BLOCK_ROC, roc);
}

static void
add_calibration(PneumoSection *section, const PneumoSplitFigures *figures)
{
	ReportCalibration *picture = palloc(sizeof(ReportCalibration));

	pneumo_calibration_diagram(picture, &figures->rows, N_BINS, "pneumo_report");
	picture->id = psprintf("calibration-%s", pneumo_split_names[figures->split]);
	picture->title = psprintf("Calibration, %s", pneumo_split_names[figures->split]);
	pneumo_section_add(section, REPORT_BLOCK_CALIBRATION, picture);
}

/* Adds true against predicted class, for any number of classes that can be drawn. */
static void
add_confusion(PneumoSection *section, const PneumoReport *r, int split)
{
	const PneumoModelMeta *meta = r->e.scorer->meta;
	ReportConfusion *picture = palloc0(sizeof(ReportConfusion));
	uint64_t *counts = palloc0(meta->n_classes * meta->n_classes * sizeof(uint64_t));
	const char **names = palloc(meta->n_classes * sizeof(char *));
	const char *name = pneumo_split_names[split];
	int64 *samples;
	int64 n = pneumo_evaluation_split(&samples, &r->e, split);
	int64 i;

	if (meta->n_classes > REPORT_MAX_CLASSES)
		return;
	for (i = 0; i < meta->n_classes; i++)
		names[i] = pneumo_utf8(meta->classes[i]);
	for (i = 0; i < n; i++)
	{
		int predicted = pneumo_class_of(r->e.scorer->meta, pneumo_evaluation_probability(&r->e, samples[i]));

		counts[r->e.dataset->samples[samples[i]].label * meta->n_classes + predicted]++;
	}
	picture->id = psprintf("confusion-%s", name);
	picture->title = psprintf("Confusion matrix, %s", name);
	picture->n_classes = (size_t) meta->n_classes;
	picture->names = names;
	picture->counts = counts;
	pneumo_section_add(section, REPORT_BLOCK_CONFUSION, picture);
}

static void
two_classes(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSplitFigures *splits = r->splits;
	int n_splits = r->n_splits;
	int s;

	if (n_splits == 0)
		return;
	splits_table(section, r);
	for (s = 0; s < n_splits; s++)
		if (isnan(splits[s].evaluation.auc.value))
			pneumo_section_text(section, REPORT_TEXT_WARNING, "The %s split has rows of one class only.",
								pneumo_split_names[splits[s].split]);
	for (s = 0; s < n_splits; s++)
		add_confusion(section, r, splits[s].split);
	add_roc(section, r, splits, n_splits);
	for (s = 0; s < n_splits; s++)
		add_calibration(section, &splits[s]);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Intervals by %s: Wilson on the effective number of images for proportions and F1, DeLong with Obuchowski's clustered variance for the AUC, the cluster-robust variance for log loss and Brier score.",
		pneumo_report_unit(&r->e));
}

/* ------------------------------------------------- more than two classes */

static void
class_table(PneumoSection *section, const PneumoReport *r, const PneumoSplitFigures *figures)
{
	const char *const headings[] = {"Class",       pneumo_count_heading(&r->e), "AUC", "Sensitivity",
									"Specificity", "Positive predictive value", "F1"};
	PneumoTable *table =
		pneumo_table_begin(section,
						   psprintf("Each class against the rest, %s", pneumo_split_names[figures->split]),
						   lengthof(headings), memcpy(palloc(sizeof(headings)), headings, sizeof(headings)),
						   0x7E);
	int c;

	for (c = 0; c < r->e.scorer->meta->n_classes; c++)
	{
		const StatsEvaluation *e = &figures->of_class[c];

		pneumo_table_cell(table, "%s", r->e.scorer->meta->classes[c]);
		pneumo_count_cell(table, &r->e, e->n_positive, e->n_clusters_positive);
		pneumo_interval_cell(table, &e->auc);
		pneumo_interval_cell(table, &e->sensitivity);
		pneumo_interval_cell(table, &e->specificity);
		pneumo_interval_cell(table, &e->ppv);
		pneumo_interval_cell(table, &e->f1);
	}
	pneumo_table_end(table);
}

/* Adds one curve a class, where they can be told apart. */
static void
add_class_roc(PneumoSection *section, const PneumoReport *r, const PneumoSplitFigures *figures)
{
	const char *name = pneumo_split_names[figures->split];
	int k = r->e.scorer->meta->n_classes;
	ReportRoc *roc = palloc0(sizeof(ReportRoc));
	ReportRocCurve *curves = palloc0(REPORT_MAX_SERIES * sizeof(ReportRocCurve));
	int c;

	for (c = 0; c < k && k <= REPORT_MAX_SERIES; c++)
	{
		StatsRows rows;

		if (isnan(figures->of_class[c].auc.value))
			continue;
		(void) pneumo_report_rows(&rows, r, figures->split, c);
		pneumo_roc_curve(&curves[roc->n_curves], &rows, "pneumo_report");
		curves[roc->n_curves++].name = pneumo_utf8(r->e.scorer->meta->classes[c]);
	}
	if (roc->n_curves == 0)
		return;
	roc->curves = curves;
	roc->id = psprintf("roc-%s", name);
	roc->title = psprintf("ROC curves, each class against the rest, %s", name);
	roc->threshold = NAN;
	pneumo_section_add(section, REPORT_BLOCK_ROC, roc);
}

static void
many_classes(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSplitFigures *splits = r->splits;
	int n_splits = r->n_splits;
	int s;

	for (s = 0; s < n_splits; s++)
		if (splits[s].one_class)
			pneumo_section_text(section, REPORT_TEXT_WARNING, "The %s split has rows of one class only.",
								pneumo_split_names[splits[s].split]);
	splits_table(section, r);
	for (s = 0; s < n_splits; s++)
		if (!splits[s].one_class)
			class_table(section, r, &splits[s]);
	for (s = 0; s < n_splits; s++)
		add_confusion(section, r, splits[s].split);
	for (s = 0; s < n_splits; s++)
		if (!splits[s].one_class)
			add_class_roc(section, r, &splits[s]);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Macro figures are means over the classes that have images; an image is called by its most probable class. Intervals: Wilson on the effective number of images for proportions, DeLong with Obuchowski's clustered variance for AUCs, square and add of the classes' intervals for macro figures, the cluster-robust variance for losses, all by %s.",
		pneumo_report_unit(&r->e));
}

/* Adds the table of all findings on a split, with their means. */
static void
findings_table(PneumoSection *section, const PneumoReport *r, int split)
{
	const char *const headings[] = {"Finding",     "Images",      "With it",  "AUC",
									"Sensitivity", "Specificity", "Threshold"};
	const StatsFindingEvaluation *means = &r->of_split[split].means;
	PneumoTable *table;
	int f;

	if (r->of_split[split].of_finding == NULL)
		return;
	table = pneumo_table_begin(section, psprintf("All findings of the model, %s", pneumo_split_names[split]),
							   lengthof(headings),
							   memcpy(palloc(sizeof(headings)), headings, sizeof(headings)), 0x7E);
	for (f = 0; f < r->n_findings; f++)
	{
		const StatsEvaluation *e = &r->of_split[split].of_finding[f];

		pneumo_table_cell(table, "%s", r->findings[f]);
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) e->n));
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) e->n_positive));
		pneumo_interval_cell(table, &e->auc);
		pneumo_interval_cell(table, &e->sensitivity);
		pneumo_interval_cell(table, &e->specificity);
		pneumo_table_cell(table, "%.4g", e->options.threshold);
	}
	pneumo_table_cell(table, "mean");
	pneumo_table_cell(table, "%s", pneumo_count_text((int64) means->n));
	pneumo_table_cell(table, "%s", "");
	pneumo_interval_cell(table, &means->auc);
	pneumo_interval_cell(table, &means->sensitivity);
	pneumo_interval_cell(table, &means->specificity);
	pneumo_table_cell(table, "%s", "");
	pneumo_table_end(table);
}

/* Adds the tables of all findings and says which of them the rest is about. */
static void
all_findings(PneumoSection *section, const PneumoReport *r)
{
	findings_table(section, r, PNEUMO_VALIDATION);
	findings_table(section, r, PNEUMO_TEST);
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"An image can have several findings. Figures are of the images of which a finding is known, at its own threshold. All other figures and plots of this page are about one of them, %s; config key \"class\" chooses it.",
		r->findings[r->finding]);
}

void
pneumo_report_figures(PneumoSection *section, const PneumoReport *r)
{
	section->heading = "Figures";
	if (r->e.dataset->split_rows[PNEUMO_VALIDATION] == 0 &&
		(!r->test || r->e.dataset->split_rows[PNEUMO_TEST] == 0))
	{
		pneumo_section_text(section, REPORT_TEXT_WARNING,
							"There is neither a validation nor a test split, so there are no figures.");
		return;
	}
	if (r->finding >= 0)
		all_findings(section, r);
	if (r->e.scorer->meta->n_classes == 2)
		two_classes(section, r);
	else
		many_classes(section, r);
	pneumo_report_curves(section, r);
	pneumo_section_text(section, REPORT_TEXT_NOTE, "Looks at the test split of this version so far: %s%s.",
						pneumo_count_text(r->test_looks),
						r->test ? ", this one included" : "; this report does not look");
}

void
pneumo_report_threshold(PneumoSection *section, const PneumoReport *r)
{
	const PneumoModelMeta *meta = r->e.scorer->meta;

	section->heading = "Calibration and operating point";
	switch (meta->calibration)
	{
		case PNEUMO_CALIBRATION_PLATT:
			pneumo_section_text(
				section, REPORT_TEXT_PARAGRAPH,
				"Probabilities are calibrated by Platt's scaling: the logit times %.4g plus %.4g, fitted on validation data.",
				meta->calibration_a, meta->calibration_b);
			break;
		case PNEUMO_CALIBRATION_TEMPERATURE:
			pneumo_section_text(
				section, REPORT_TEXT_PARAGRAPH,
				"Probabilities are calibrated by a temperature of %.4g, fitted on validation data.",
				meta->calibration_a);
			break;
		case PNEUMO_CALIBRATION_NONE:
			pneumo_section_text(
				section, REPORT_TEXT_PARAGRAPH,
				"Probabilities are the network's own, without calibration: see the calibration pictures before reading 0.8 as eight of ten.");
			break;
	}
	if (meta->n_classes == 2)
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
							"An image is called %s when its probability is at least %.4g.", meta->classes[1],
							meta->threshold);
	else
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "An image is called by its most probable class.");
	if (r->row.operating_point != NULL)
		pneumo_section_text(section, REPORT_TEXT_CODE, "operating point: %s\ncalibration: %s",
							r->row.operating_point, r->row.calibration != NULL ? r->row.calibration : "none");
}
