/*-------------------------------------------------------------------------
 *
 * report_summary.c
 *	  The report's first section: the figures that matter most, what is to be
 *	  doubted, and a verdict by fixed rules.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"

#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

#define MAX_TILES 8
#define MAX_WARNINGS 24
#define CHANCE_AUC 0.5
#define WEAK_AUC 0.8 /* of the lower limit */

/* ------------------------------------------------------------------- tiles */

static void
add_tile(ReportTiles *tiles, const char *name, const char *value, const char *detail)
{
	ReportTile *tile = (ReportTile *) &tiles->tiles[tiles->n_tiles++];

	tile->name = name;
	tile->value = value;
	tile->detail = detail;
}

static void
add_figure(ReportTiles *tiles, const char *name, const StatsInterval *figure)
{
	if (isnan(figure->value))
		add_tile(tiles, name, "not defined", NULL);
	else
		add_tile(tiles, name, psprintf("%.3f", figure->value),
				 isnan(figure->low) ? NULL
									: psprintf("95 %% interval %.3f to %.3f", figure->low, figure->high));
}

/* Returns the AUC that the verdict goes by: of more than two classes the macro AUC; NULL without. */
static const StatsInterval *
main_auc(const PneumoReport *r)
{
	const PneumoSplitFigures *figures = pneumo_report_main_figures(r);

	if (figures == NULL || figures->one_class)
		return NULL;
	return pneumo_report_meta(r)->n_classes == 2 ? &figures->evaluation.auc : &figures->classes.macro_auc;
}

/* Adds images and patients of the split that the page judges by. */
static void
count_tiles(ReportTiles *tiles, const PneumoReport *r, int split)
{
	const PneumoDataset *dataset = r->e.dataset;
	const PneumoModelMeta *meta = pneumo_report_meta(r);

	add_tile(tiles, psprintf("Images, %s", pneumo_split_names[split]),
			 pneumo_count_text(dataset->split_rows[split]),
			 meta->n_classes == 2 ? pneumo_utf8(psprintf("%s %s", pneumo_count_text(dataset->rows[split][1]),
														 meta->classes[1]))
								  : NULL);
	if (r->e.source->col_group == 0)
		add_tile(tiles, "Patients", "not known", "intervals are by image");
	else
		add_tile(tiles, psprintf("Patients, %s", pneumo_split_names[split]),
				 pneumo_count_text(dataset->split_groups[split]),
				 meta->n_classes == 2
					 ? pneumo_utf8(psprintf("%s %s; intervals are by patient",
											pneumo_count_text(dataset->groups[split][1]), meta->classes[1]))
					 : "intervals are by patient");
}

static void
summary_tiles(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSplitFigures *figures = pneumo_report_main_figures(r);
	ReportTiles *tiles = palloc0(sizeof(ReportTiles));
	int split = pneumo_report_main_split(r);
	const char *name = split == PNEUMO_TEST ? "Test" : "Validation";

	tiles->tiles = palloc0(MAX_TILES * sizeof(ReportTile));
	if (figures != NULL && pneumo_report_meta(r)->n_classes == 2)
	{
		add_figure(tiles, psprintf("%s AUC", name), &figures->evaluation.auc);
		add_figure(tiles, psprintf("%s sensitivity", name), &figures->evaluation.sensitivity);
		add_figure(tiles, psprintf("%s specificity", name), &figures->evaluation.specificity);
	}
	else if (figures != NULL && !figures->one_class)
	{
		add_figure(tiles, psprintf("%s macro AUC", name), &figures->classes.macro_auc);
		add_figure(tiles, psprintf("%s macro sensitivity", name), &figures->classes.macro_sensitivity);
		add_figure(tiles, psprintf("%s macro specificity", name), &figures->classes.macro_specificity);
		add_figure(tiles, psprintf("%s accuracy", name), &figures->classes.accuracy);
	}
	count_tiles(tiles, r, split);
	pneumo_section_add(section, REPORT_BLOCK_TILES, tiles);
}

/* ---------------------------------------------------------------- warnings */

typedef struct Warnings
{
	ReportWarnings list;
	const char *items[MAX_WARNINGS];
} Warnings;

static void
warn(Warnings *warnings, const char *text)
{
	if (warnings->list.n_items < MAX_WARNINGS)
		warnings->items[warnings->list.n_items++] = pneumo_utf8(text);
}

/* Returns whether a class has too few patients (or images) on the split that the page judges by. */
static bool
has_few(const PneumoReport *r, int class)
{
	return r->e.dataset->groups[pneumo_report_main_split(r)][class] < REPORT_FEW;
}

static bool
any_few(const PneumoReport *r)
{
	int c;

	for (c = 0; c < r->e.dataset->n_classes; c++)
		if (has_few(r, c))
			return true;
	return false;
}

/* Warns of what makes the figures better than they are. */
static void
warn_of_optimism(Warnings *warnings, const PneumoReport *r)
{
	if (r->phantoms > 0)
		warn(
			warnings,
			psprintf(
				"These are phantoms: %d of %d images that were tried are drawings of pneumo_phantom, not radiographs. The figures say nothing about patients.",
				r->phantoms, r->phantoms_tried));
	if (pneumo_report_main_split(r) != PNEUMO_TEST)
		warn(
			warnings,
			r->e.dataset->split_rows[PNEUMO_TEST] == 0
				? "There is no test split. The validation split chose the epoch, so its figures are optimistic."
				: "The test split was not looked at. The validation split chose the epoch, so its figures are optimistic.");
	if (pneumo_report_shortcut_found(r))
		warn(
			warnings,
			psprintf(
				"A shortcut was found: size, bytes and brightness of the images tell the classes with an AUC of %.2f, without any radiology.",
				r->shortcut.auc.auc.value));
	if (r->e.source->col_group == 0)
		warn(
			warnings,
			"Patients are not known: images of one patient may be in two splits, and the intervals are too narrow.");
	else if (r->e.dataset->rows_without_group > 0)
		warn(warnings, psprintf("%s rows name no patient, so each counts as a patient of its own.",
								pneumo_count_text(r->e.dataset->rows_without_group)));
	if (r->e.dataset->history_unknown)
		warn(warnings,
			 "Not all images that the version was trained on are known, so some of these may be among them.");
	if (r->test_looks > 1)
		warn(warnings,
			 psprintf("The test split has been looked at %s times: each look that changes anything makes its "
					  "figures optimistic.",
					  pneumo_count_text(r->test_looks)));
}

/* Warns of rows that were left out, and of splits on which little can be said. */
static void
warn_of_rows(Warnings *warnings, const PneumoReport *r)
{
	const int64 *left_out = r->e.dataset->left_out;
	int split = pneumo_report_main_split(r);
	int c;

	if (left_out[PNEUMO_OUT_SEEN] > 0)
		warn(warnings, psprintf("%s rows had been seen in training or selection, or are of patients who had. "
								"They are left out.",
								pneumo_count_text(left_out[PNEUMO_OUT_SEEN])));
	if (left_out[PNEUMO_OUT_DUPLICATE] > 0)
		warn(warnings, psprintf("%s rows hold the same image as another row. They are left out.",
								pneumo_count_text(left_out[PNEUMO_OUT_DUPLICATE])));
	if (left_out[PNEUMO_OUT_CONFLICT] > 0)
		warn(warnings, psprintf("%s rows hold the same image under different labels. They are left out.",
								pneumo_count_text(left_out[PNEUMO_OUT_CONFLICT])));
	if (r->n_splits == 0)
		return;
	for (c = 0; c < r->e.dataset->n_classes && c < MAX_WARNINGS / 2; c++)
		if (has_few(r, c))
			warn(warnings,
				 psprintf("The %s split has only %s %ss of class %s: its figures say little.",
						  pneumo_split_names[split], pneumo_count_text(r->e.dataset->groups[split][c]),
						  pneumo_report_unit(&r->e), pneumo_report_meta(r)->classes[c]));
}

/* ----------------------------------------------------------------- verdict */

/* Returns what may not be taken at face value, as part of a sentence; NULL: nothing is known. */
static const char *
doubts(const PneumoReport *r)
{
	const char *list[5];
	StringInfoData text;
	int n = 0;
	int i;

	if (pneumo_report_shortcut_found(r))
		list[n++] = "a shortcut tells the classes";
	if (r->e.source->col_group == 0)
		list[n++] = "patients are not known";
	if (r->e.dataset->history_unknown)
		list[n++] = "its training images are not all known";
	if (any_few(r))
		list[n++] = "patients are few";
	if (r->test_looks > 1)
		list[n++] = "the test split has been looked at before";
	if (n == 0)
		return NULL;
	initStringInfo(&text);
	for (i = 0; i < n; i++)
		appendStringInfo(&text, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", list[i]);
	return text.data;
}

/*
 * Adds what the version may be used for, by the first rule that applies; the
 * rules stand in docs/explaining.md.
 */
static void
verdict(PneumoSection *section, const PneumoReport *r)
{
	static const char *const always =
		"it is not a medical device, and nothing here shows that it works in other hospitals.";
	const StatsInterval *auc = main_auc(r);
	const char *doubt = doubts(r);
	const char *with = "";

	if (auc != NULL && !isnan(auc->low))
		with = psprintf("%s %.3f (%.3f to %.3f) on held-out rows",
						pneumo_report_meta(r)->n_classes == 2 ? "AUC" : "macro AUC", auc->value, auc->low,
						auc->high);
	if (r->phantoms > 0)
		pneumo_section_text(section, REPORT_TEXT_VERDICT,
							"For trying pneumo out, since its images are drawings; %s", always);
	else if (pneumo_report_main_split(r) != PNEUMO_TEST || auc == NULL || isnan(auc->low))
		pneumo_section_text(section, REPORT_TEXT_VERDICT,
							"For no use yet, since there is no AUC of held-out rows; %s", always);
	else if (auc->low <= CHANCE_AUC)
		pneumo_section_text(section, REPORT_TEXT_VERDICT,
							"For no use: it is not shown to be better than chance, with %s; %s", with,
							always);
	else if (doubt != NULL)
		pneumo_section_text(section, REPORT_TEXT_VERDICT,
							"For finding out how far its figures hold, since %s, with %s; %s", doubt, with,
							always);
	else if (auc->low < WEAK_AUC)
		pneumo_section_text(section, REPORT_TEXT_VERDICT,
							"For research on the method rather than on patients, with %s; %s", with, always);
	else
		pneumo_section_text(section, REPORT_TEXT_VERDICT,
							"For research on images like those of %s, with %s; %s", r->e.source->name, with,
							always);
}

void
pneumo_report_summary(PneumoSection *section, const PneumoReport *r)
{
	Warnings *warnings = palloc0(sizeof(Warnings));

	section->heading = "Summary";
	summary_tiles(section, r);
	verdict(section, r);
	warnings->list.items = warnings->items;
	warn_of_optimism(warnings, r);
	warn_of_rows(warnings, r);
	if (warnings->list.n_items > 0)
		pneumo_section_add(section, REPORT_BLOCK_WARNINGS, &warnings->list);
}
