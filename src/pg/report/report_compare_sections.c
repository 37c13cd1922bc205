/*-------------------------------------------------------------------------
 *
 * report_compare_sections.c
 *	  The sections of the page about several versions that are not figures:
 *	  summary, versions, rows on which they differ, configs, training, limits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "nn/nn.h"
#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/plots.h"
#include "pg/predict/predict.h"
#include "pg/report/report_compare.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

#define SIGNIFICANT 0.05

/* ------------------------------------------------------------------ summary */

/* Returns the version with the highest AUC, the first one of equals. */
static int
best_version(const PneumoComparison *c)
{
	int best = 0;
	int v;

	for (v = 1; v < c->n; v++)
		if (pneumo_compare_auc(c, v)->value > pneumo_compare_auc(c, best)->value)
			best = v;
	return best;
}

/* Says which versions have another AUC than the first, more than chance makes easily. */
static const char *
differing_versions(const PneumoComparison *c)
{
	StringInfoData list;
	int n = 0;
	int v;

	initStringInfo(&list);
	for (v = 1; v < c->n; v++)
		if (c->version[v].differences.auc_p < SIGNIFICANT)
			appendStringInfo(&list, "%s%s", n++ > 0 ? ", " : "", c->version[v].label);
	if (n == 0)
		return psprintf("No AUC differs from that of %s with p below 0.05: chance may have made the %s.",
						c->version[0].label, c->n == 2 ? "difference" : "differences");
	return psprintf("With p below 0.05 the AUC differs from that of %s for: %s.", c->version[0].label,
					list.data);
}

/* Adds the sentence that a reader needs first. */
static void
verdict(PneumoSection *section, const PneumoComparison *c)
{
	const PneumoJudged *judged = &c->judged;
	const char *auc = pneumo_compare_is_binary(c) ? "AUC" : "macro AUC";
	int best = best_version(c);
	const StatsInterval *figure = pneumo_compare_auc(c, best);
	const char *seen = judged->split >= PNEUMO_TEST         ? ", which none of them has seen"
					   : judged->split == PNEUMO_VALIDATION ? ", on which none of them was trained"
															: "";
	const char *patients =
		judged->grouped ? psprintf(" of %s patients", pneumo_count_text(judged->groups)) : "";
	const char *difference = "";

	if (best > 0)
		difference = psprintf(" That is %+.3f (%+.3f to %+.3f) against %s.",
							  c->version[best].differences.auc.value, c->version[best].differences.auc.low,
							  c->version[best].differences.auc.high, c->version[0].label);
	pneumo_section_text(section, REPORT_TEXT_NOTE,
						"Of %d versions, %s has the highest %s: %.3f (%.3f to %.3f) on %s images%s%s.%s %s",
						c->n, c->version[best].label, auc, figure->value, figure->low, figure->high,
						pneumo_count_text(judged->n), patients, seen, difference, differing_versions(c));
}

static void
auc_tiles(PneumoSection *section, const PneumoComparison *c)
{
	ReportTiles *tiles = palloc(sizeof(ReportTiles));
	ReportTile *list = palloc(c->n * sizeof(ReportTile));
	int v;

	for (v = 0; v < c->n; v++)
	{
		const StatsInterval *auc = pneumo_compare_auc(c, v);

		list[v].name = c->version[v].name;
		list[v].value = psprintf("%.3f", auc->value);
		list[v].detail = psprintf("%s, 95 %% interval %.3f to %.3f",
								  pneumo_compare_is_binary(c) ? "AUC" : "macro AUC", auc->low, auc->high);
	}
	tiles->n_tiles = (size_t) c->n;
	tiles->tiles = list;
	pneumo_section_add(section, REPORT_BLOCK_TILES, tiles);
}

/* Lists what makes the figures less sure than they look. */
static List *
warnings_of(const PneumoComparison *c)
{
	const PneumoDataset *dataset = c->e[0].dataset;
	List *list = NIL;
	List *notes = pneumo_judged_notes(&c->judged, &c->e[0]);
	ListCell *cell;
	int v;

	foreach (cell, notes)
		list = lappend(list, psprintf("The intervals rest on little: %s.", (char *) lfirst(cell)));
	if (c->judged.split == PNEUMO_VALIDATION)
		list =
			lappend(list, "The validation split chose the versions' epochs, so its figures are optimistic.");
	if (c->judged.split == PNEUMO_TRAIN || c->judged.split == PNEUMO_SPLIT_ALL)
		list = lappend(
			list, c->judged.split == PNEUMO_TRAIN
					  ? "The rows are those of the training split: the figures say nothing about new images."
					  : "The rows are those of all splits of the table.");
	if (!c->judged.grouped)
		list = lappend(list, "Patients are not known: the intervals are by image, and too narrow.");
	if (dataset->history_unknown)
		list = lappend(
			list,
			"Not all images that the versions were trained on are known, so some of these may be among them.");
	if (dataset->left_out[PNEUMO_OUT_SEEN] > 0)
		list = lappend(list,
					   psprintf("%s rows are left out: one of the versions was trained or selected on them.",
								pneumo_count_text(dataset->left_out[PNEUMO_OUT_SEEN])));
	for (v = 0; v < c->n; v++)
		if (c->version[v].looks > 1)
			list = lappend(
				list,
				psprintf("%s: its test split has been looked at %s times; each look that changes anything "
						 "makes its figures optimistic.",
						 c->version[v].label, pneumo_count_text(c->version[v].looks)));
	return list;
}

void
pneumo_compare_summary(PneumoSection *section, const PneumoComparison *c)
{
	List *list = warnings_of(c);
	ReportWarnings *warnings = palloc0(sizeof(ReportWarnings));
	const char **items = palloc(Max(1, list_length(list)) * sizeof(char *));
	ListCell *cell;

	section->heading = "Summary";
	verdict(section, c);
	auc_tiles(section, c);
	foreach (cell, list)
		items[warnings->n_items++] = pneumo_utf8(lfirst(cell));
	warnings->items = items;
	if (warnings->n_items > 0)
		pneumo_section_add(section, REPORT_BLOCK_WARNINGS, warnings);
}

/* ----------------------------------------------------------------- versions */

/* Returns the multiply-adds of an image, in millions. */
static double
mega_multiply_adds(const PneumoEvaluation *e)
{
	const NnGraph *graph = e->scorer->engine->engine.graph;
	double total = 0;
	int i;

	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo node;

		nn_graph_node(&node, graph, i);
		total += (double) node.multiply_adds / 1e6;
	}
	return total;
}

void
pneumo_compare_versions(PneumoSection *section, const PneumoComparison *c)
{
	static const char *const headings[] = {"Version",
										   "Deployed",
										   "Stored",
										   "Reads",
										   "Parameters",
										   "Mega multiply-adds",
										   "Looks at the test split",
										   "Comment"};
	PneumoTable *table =
		pneumo_table_begin(section, "The versions, A first", lengthof(headings), headings, 0x70);
	PneumoFacts *facts;
	int v;

	section->heading = "Versions";
	for (v = 0; v < c->n; v++)
	{
		const PneumoCompared *version = &c->version[v];
		const PneumoEvaluation *e = &c->e[v];
		const ImgPreprocess *pre = &e->scorer->meta->preprocess;

		pneumo_table_cell(table, "%s", version->label);
		pneumo_table_cell(table, "%s", e->id.deployed ? "yes" : "no");
		pneumo_table_cell(table, "%s", timestamptz_to_str(version->row.created));
		pneumo_table_cell(table, "%d x %d, %s", pre->width, pre->height, pre->channels == 1 ? "grey" : "RGB");
		pneumo_table_cell(table, "%s", pneumo_count_text(version->row.parameters));
		pneumo_table_cell(table, "%.2f", mega_multiply_adds(e));
		pneumo_table_cell(table, "%s", pneumo_count_text(version->looks));
		pneumo_table_cell(table, "%s", version->row.comment != NULL ? version->row.comment : "");
	}
	pneumo_table_end(table);
	facts = pneumo_facts_begin(section);
	for (v = 0; v < c->n; v++)
		pneumo_fact(facts, psprintf("SHA-256 of %s", c->version[v].letter), "%s",
					pneumo_sha256_hex(c->e[v].id.sha256));
	pneumo_fact(facts, "This page reads", "%s, data fingerprint %s", c->e[0].source->name,
				pneumo_sha256_hex(c->e[0].dataset->fingerprint));
	pneumo_fact(facts, "This page's build", "%s", pneumo_build());
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"Made for research on images like those of its table. It is no medical device, and its scores are no diagnosis.%s",
		c->images && c->n_disagreements > 0
			? " This page shows images of patients and the keys of their rows: treat it as the table itself."
			: "");
}

/* ------------------------------------------------------------ disagreements */

/* Returns what a version says of a row; a wrong call is marked. */
static const char *
said(const PneumoComparison *c, int v, int64 sample)
{
	const PneumoModelMeta *meta = c->e[v].scorer->meta;
	const double *probability = pneumo_evaluation_probability(&c->e[v], sample);
	int called = pneumo_class_of(meta, probability);
	const char *mark = called == c->e[0].dataset->samples[sample].label ? "" : ", wrong";

	if (meta->n_classes == 2)
		return psprintf("%.3f%s", probability[1], mark);
	return psprintf("%s %.3f%s", meta->classes[called], probability[called], mark);
}

/* Adds the pictures, with the scores of all versions below each. */
static void
disagreement_pictures(PneumoSection *section, const PneumoComparison *c)
{
	PneumoGallery *gallery = pneumo_gallery_begin((size_t) c->n_disagreements);
	int i;

	for (i = 0; i < c->n_disagreements; i++)
	{
		int64 sample = c->disagreements[i].sample;
		const char *key = pneumo_report_key(&c->e[0], sample);
		StringInfoData scores;
		int v;

		initStringInfo(&scores);
		for (v = 0; v < c->n; v++)
			appendStringInfo(&scores, "%s%s: %s", v > 0 ? "; " : "", c->version[v].letter,
							 said(c, v, sample));
		pneumo_gallery_add(gallery, c->pictures[i], psprintf("Radiograph of row %s", key),
						   psprintf("Row %s is %s. %s", key, pneumo_report_class(&c->e[0], sample),
									scores.data));
	}
	pneumo_gallery_end(section, gallery);
}

void
pneumo_compare_disagreements(PneumoSection *section, const PneumoComparison *c)
{
	const char **headings = palloc((c->n + 2) * sizeof(char *));
	PneumoTable *table;
	int i;
	int v;

	section->heading = "Where they differ most";
	if (c->n_disagreements == 0)
	{
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "%s",
							c->max_disagreements == 0 ? "Not asked for."
													  : "All versions give each row the same score.");
		return;
	}
	headings[0] = "Row";
	headings[1] = "Is";
	for (v = 0; v < c->n; v++)
		headings[v + 2] = c->version[v].name;
	table = pneumo_table_begin(section, "Rows on which the versions are furthest apart", c->n + 2, headings,
							   ~(uint64) 3);
	for (i = 0; i < c->n_disagreements; i++)
	{
		int64 sample = c->disagreements[i].sample;

		pneumo_table_cell(table, "%s", pneumo_report_key(&c->e[0], sample));
		pneumo_table_cell(table, "%s", pneumo_report_class(&c->e[0], sample));
		for (v = 0; v < c->n; v++)
			pneumo_table_cell(table, "%s", said(c, v, sample));
	}
	pneumo_table_end(table);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Scores: %s. The rows are ordered by how far apart the versions are in the probability of the class that the row is of.",
		pneumo_compare_is_binary(c)
			? psprintf(
				  "the probability of %s, and whether the version calls the row wrongly at its own threshold",
				  c->e[0].scorer->meta->classes[1])
			: "the class that the row is called, with its probability");
	if (c->images)
		disagreement_pictures(section, c);
}

/* ------------------------------------------------------------------ configs */

/* Returns the config that a version was trained with, or NULL. */
static JsonbContainer *
config_of(const PneumoEvaluation *e)
{
	JsonbValue *config = e->provenance != NULL ? pneumo_json_get(&e->provenance->root, "config") : NULL;

	return pneumo_json_object(config);
}

/* The table that differences of configs are added to. */
typedef struct ConfigTable
{
	const PneumoComparison *c;
	PneumoTable *table;
	int n;
} ConfigTable;

/* A PneumoJsonDifference: adds the key as a heading, and a row for each value with the versions that have it. */
static void
add_difference(void *arg, const char *key, JsonbValue *const *values)
{
	ConfigTable *t = arg;
	const char *text[PNEUMO_MAX_RIVALS];
	int v;
	int w;

	if (strcmp(key, "name") == 0) /* the labels have it */
		return;
	pneumo_table_heading(t->table, key);
	for (v = 0; v < t->c->n; v++)
		text[v] = config_of(&t->c->e[v]) == NULL ? "not known"
				  : values[v] == NULL            ? "the default"
												 : pneumo_clip(pneumo_json_full_text(values[v]));
	for (v = 0; v < t->c->n; v++)
	{
		StringInfoData letters;

		for (w = 0; w < v && strcmp(text[w], text[v]) != 0; w++)
			continue;
		if (w < v)
			continue;
		initStringInfo(&letters);
		for (w = v; w < t->c->n; w++)
			if (strcmp(text[w], text[v]) == 0)
				appendStringInfo(&letters, "%s%s", w > v ? ", " : "", t->c->version[w].letter);
		pneumo_table_cell(t->table, "%s", letters.data);
		pneumo_table_cell(t->table, "%s", text[v]);
	}
	t->n++;
}

void
pneumo_compare_configs(PneumoSection *section, const PneumoComparison *c)
{
	static const char *const headings[] = {"Version", "Value"};
	JsonbContainer *configs[PNEUMO_MAX_RIVALS];
	PneumoSection rows = {0};
	ConfigTable t = {c, NULL, 0};
	int v;

	section->heading = "Config";
	for (v = 0; v < c->n; v++)
		configs[v] = config_of(&c->e[v]);
	t.table = pneumo_table_begin(&rows, "Config keys that are not the same in all versions",
								 lengthof(headings), headings, 0);
	pneumo_json_differences(configs, c->n, add_difference, &t);
	pneumo_table_end(t.table);
	if (t.n > 0)
		pneumo_section_add(section, rows.blocks[0].type, rows.blocks[0].content);
	else
		pneumo_section_text(section, REPORT_TEXT_PARAGRAPH, "%s",
							"All versions were trained with the same config, as far as it is known.");
	for (v = 0; v < c->n; v++)
		if (configs[v] == NULL)
			pneumo_section_text(
				section, REPORT_TEXT_PARAGRAPH,
				"The config that %s was trained with is not known: it was imported without it.",
				c->version[v].label);
}

/* ----------------------------------------------------------------- training */

void
pneumo_compare_training(PneumoSection *section, const PneumoComparison *c)
{
	ReportHistories *histories = palloc(sizeof(ReportHistories));
	int64 runs[PNEUMO_MAX_RIVALS];
	const char *names[PNEUMO_MAX_RIVALS];
	int n = 0;
	int v;

	section->heading = "Training";
	for (v = 0; v < c->n; v++)
	{
		const PneumoCompared *version = &c->version[v];
		NnEpochLog *logs;

		if (version->row.run_row == NULL || pneumo_run_epochs(version->row.run, 0, &logs) == 0)
			continue;
		runs[n] = version->row.run;
		names[n++] = version->name;
	}
	if (n > 0)
	{
		pneumo_histories(histories, runs, names, n);
		histories->title = "Loss and accuracy by epoch";
		pneumo_section_add(section, REPORT_BLOCK_HISTORIES, histories);
	}
	for (v = 0; v < c->n; v++)
		if (c->version[v].row.run == 0)
			pneumo_section_text(section, REPORT_TEXT_PARAGRAPH,
								"%s was imported: how it was trained is not known here.",
								c->version[v].label);
		else if (c->version[v].row.run_row == NULL)
			pneumo_section_text(
				section, REPORT_TEXT_PARAGRAPH,
				"%s: the curves of training run %lld can be seen by its owner, or it was forgotten.",
				c->version[v].label, (long long) c->version[v].row.run);
}

/* ------------------------------------------------------------------- limits */

void
pneumo_compare_limits(PneumoSection *section, const PneumoComparison *c)
{
	static const char *const headings[] = {"Version", "Looks at the test split"};
	PneumoTable *table;
	int v;

	section->heading = "Limits of use";
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"The figures hold for images like those of %s: the same devices, ages, projections and share of each class. Which version is better may be otherwise elsewhere.",
		c->e[0].source->name);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"The intervals take the patients as random and the trained versions as given: another training of the same config, with another seed, gives another version.");
	table = pneumo_table_begin(section,
							   c->judged.split >= PNEUMO_TEST ? "Looks so far, this one included"
															  : "Looks so far",
							   lengthof(headings), headings, 2);
	for (v = 0; v < c->n; v++)
	{
		pneumo_table_cell(table, "%s", c->version[v].label);
		pneumo_table_cell(table, "%s", pneumo_count_text(c->version[v].looks));
	}
	pneumo_table_end(table);
	pneumo_section_text(
		section, REPORT_TEXT_PARAGRAPH,
		"Comparing versions on the test split and taking the best one is a choice by the test split: its figures are then optimistic. Choose by the validation split, and look at the test split once.");
}
