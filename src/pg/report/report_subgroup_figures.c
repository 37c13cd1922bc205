/*-------------------------------------------------------------------------
 *
 * report_subgroup_figures.c
 *	  The report's figures of subgroups, and their section.
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
#include "pg/report/report_page.h"
#include "pg/source/source.h"

static void
two_class_group(PneumoSubgroup *group, const PneumoEvaluation *e)
{
	StatsRows rows = pneumo_judged_rows(&group->judged, e, 1);
	double threshold = e->scorer->meta->threshold;
	PneumoStats stats;
	StatsAuc auc;
	StatsStatus status;

	pneumo_stats_begin(&stats);
	status = stats_auc_interval(&auc, &rows, PNEUMO_CONFIDENCE, &stats.env);
	if (status == STATS_OK)
		group->auc = auc.auc;
	else if (status != STATS_ONE_CLASS)
		pneumo_stats_check(status, "pneumo_report", &rows);
	pneumo_stats_end(&stats);
	pneumo_report_rate(&group->sensitivity, &rows, threshold, true);
	pneumo_report_rate(&group->specificity, &rows, threshold, false);
}

static void
many_class_group(PneumoSubgroup *group, const PneumoEvaluation *e)
{
	StatsClassRows rows = pneumo_judged_class_rows(&group->judged, e, e->scores.probability);
	StatsClassEvaluation evaluation;
	StatsOptions options;
	PneumoStats stats;
	StatsStatus status;

	pneumo_stats_options(&options, PNEUMO_DEFAULT_THRESHOLD);
	pneumo_stats_begin(&stats);
	status = stats_class_evaluate(&evaluation, NULL, &rows, &options, &stats.env);
	pneumo_stats_end(&stats);
	if (status == STATS_ONE_CLASS)
		return;
	pneumo_stats_check_classes(status, "pneumo_report", &rows, e->scorer->meta->classes);
	group->auc = evaluation.macro_auc;
	group->sensitivity = evaluation.macro_sensitivity;
	group->specificity = evaluation.macro_specificity;
}

/* Says what a group has too few of; of more than two classes its patients count together. */
static void
remark_on(PneumoSubgroup *group, const PneumoEvaluation *e)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	int c;

	group->remark = "";
	if (meta->n_classes > 2)
	{
		group->few = group->patients < REPORT_FEW;
		group->remark = group->few ? "too few to say much" : "";
		return;
	}
	for (c = 1; c >= 0; c--)
	{
		if (group->patients_of[c] >= REPORT_FEW)
			continue;
		group->few = true;
		group->remark =
			psprintf("%s%s%s %s", group->remark, group->remark[0] != '\0' ? ", " : "",
					 group->patients_of[c] == 0 ? "no"
												: psprintf("only %lld", (long long) group->patients_of[c]),
					 meta->classes[c]);
	}
}

void
pneumo_subgroup_compute(PneumoSubgroup *group, const PneumoEvaluation *e)
{
	const PneumoJudged *judged = &group->judged;
	StatsInterval none = {NAN, NAN, NAN};
	MemoryContext cxt;
	MemoryContext old;
	int c;

	CHECK_FOR_INTERRUPTS();
	group->auc = group->sensitivity = group->specificity = none;
	group->patients = pneumo_count_groups(e, judged->samples, judged->n, -1, NULL);
	for (c = 0; c < 2; c++)
		group->patients_of[c] = pneumo_count_groups(e, judged->samples, judged->n, c, NULL);
	remark_on(group, e);
	if (judged->n == 0)
		return;
	cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo subgroup", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	if (e->scorer->meta->n_classes == 2)
		two_class_group(group, e);
	else
		many_class_group(group, e);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* -------------------------------------------------------------------- page */

const PneumoSubgroupFigure pneumo_subgroup_figures[REPORT_N_GROUP_FIGURES] = {
	{"AUC", "Macro AUC", "auc", offsetof(PneumoSubgroup, auc)},
	{"Sensitivity", "Macro sensitivity", "sensitivity", offsetof(PneumoSubgroup, sensitivity)},
	{"Specificity", "Macro specificity", "specificity", offsetof(PneumoSubgroup, specificity)},
};

const char *
pneumo_subgroup_figure_name(const PneumoEvaluation *e, int f)
{
	return e->scorer->meta->n_classes == 2 ? pneumo_subgroup_figures[f].two : pneumo_subgroup_figures[f].more;
}

const StatsInterval *
pneumo_subgroup_figure(const PneumoSubgroup *group, int f)
{
	return (const StatsInterval *) ((const char *) group + pneumo_subgroup_figures[f].offset);
}

/* Adds a group to each plot. */
static void
add_to_forests(PneumoForest **forests, const PneumoSubgroup *group)
{
	int f;

	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		pneumo_forest_row(forests[f], group->name, group->judged.n, group->few,
						  pneumo_subgroup_figure(group, f));
}

PneumoTable *
pneumo_subgroup_table(PneumoSection *section, const PneumoEvaluation *e, int split, const char *first)
{
	bool two = e->scorer->meta->n_classes == 2;
	const char **headings = palloc(7 * sizeof(char *));
	int n = 0;
	int f;

	headings[n++] = first;
	headings[n++] = pneumo_count_heading(e);
	if (two)
		headings[n++] = e->source->col_group > 0 ? "Patients +/-" : "Images +/-";
	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		headings[n++] = pneumo_subgroup_figure_name(e, f);
	headings[n++] = "Remark";
	return pneumo_table_begin(
		section,
		psprintf("Figures of subgroups at the operating point, %s, with 95 %% intervals by %s",
				 pneumo_split_names[split], pneumo_report_unit(e)),
		n, headings, two ? 0x3E : 0x1E);
}

void
pneumo_subgroup_row(PneumoTable *table, const PneumoEvaluation *e, const char *name,
					const PneumoSubgroup *group)
{
	int f;

	pneumo_table_cell(table, "%s", name);
	pneumo_count_cell(table, e, (size_t) group->judged.n, (size_t) group->patients);
	if (e->scorer->meta->n_classes == 2)
		pneumo_table_cell(table, "%s / %s", pneumo_count_text(group->patients_of[1]),
						  pneumo_count_text(group->patients_of[0]));
	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		pneumo_interval_cell(table, pneumo_subgroup_figure(group, f));
	pneumo_table_cell(table, "%s", group->remark);
}

static void
column_groups(PneumoTable *table, PneumoForest **forests, const PneumoReport *r, int c,
			  const PneumoJudged *judged)
{
	const char *name = pneumo_subgroups_column(r->subgroups, c);
	PneumoSubgroup groups[REPORT_MAX_GROUPS];
	int n = pneumo_subgroups_divide(groups, r->subgroups, c, &r->e, judged);
	int f;
	int g;

	pneumo_table_heading(table, name);
	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		pneumo_forest_heading(forests[f], name);
	for (g = 0; g < n; g++)
	{
		pneumo_subgroup_compute(&groups[g], &r->e);
		pneumo_subgroup_row(table, &r->e, groups[g].name, &groups[g]);
		add_to_forests(forests, &groups[g]);
	}
	for (g = 0; g < n; g++)
		pfree(groups[g].judged.samples);
}

/* Adds the table and the plots of all columns that make subgroups. */
static void
all_groups(PneumoSection *section, const PneumoReport *r, int split)
{
	PneumoJudged judged = pneumo_report_judged(&r->e, split);
	PneumoForest *forests[REPORT_N_GROUP_FIGURES];
	PneumoSubgroup all;
	PneumoTable *table;
	int c;
	int f;

	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		forests[f] = pneumo_forest_begin(psprintf("forest-%s", pneumo_subgroup_figures[f].id),
										 psprintf("%s by subgroup, %s", pneumo_subgroup_figure_name(&r->e, f),
												  pneumo_split_names[split]));
	memset(&all, 0, sizeof(all));
	all.name = "all rows";
	all.judged = judged;
	pneumo_subgroup_compute(&all, &r->e);
	table = pneumo_subgroup_table(section, &r->e, split, "Rows");
	pneumo_subgroup_row(table, &r->e, all.name, &all);
	add_to_forests(forests, &all);
	for (c = 0; c < pneumo_subgroups_count(r->subgroups); c++)
		if (!pneumo_subgroups_too_many(r->subgroups, c))
			column_groups(table, forests, r, c, &judged);
	pneumo_table_end(table);
	for (f = 0; f < REPORT_N_GROUP_FIGURES; f++)
		pneumo_forest_end(section, forests[f], pneumo_subgroup_figure(&all, f)->value);
}

void
pneumo_subgroup_warnings(PneumoSection *section, const PneumoSubgroups *subgroups)
{
	int c;

	for (c = 0; c < pneumo_subgroups_count(subgroups); c++)
		if (pneumo_subgroups_too_many(subgroups, c))
			pneumo_section_text(section, REPORT_TEXT_WARNING,
								"Column \"%s\" has more than %s different values, so it makes no subgroups.",
								pneumo_subgroups_column(subgroups, c), pneumo_count_text(REPORT_MAX_VALUES));
}

void
pneumo_report_subgroups(PneumoSection *section, const PneumoReport *r)
{
	bool none = pneumo_subgroups_count(r->subgroups) == 0;

	section->heading = "Subgroups";
	if (none || pneumo_report_main_figures(r) == NULL)
	{
		pneumo_section_text(
			section, REPORT_TEXT_PARAGRAPH, "%s",
			none
				? "None were named. Config key \"subgroups\" of pneumo_report takes columns, such as sex, age, device and ward: look at their figures before any use."
				: "There are no rows to divide.");
		return;
	}
	pneumo_subgroup_warnings(section, r->subgroups);
	all_groups(section, r, pneumo_report_main_split(r));
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"Groups with fewer than %d %ss of a class are drawn hollow: they say little. The dashed line is the figure of all rows. Of many groups some differ by chance, and the intervals are not widened for that; a group whose interval lies wholly below the line deserves a look.",
		REPORT_FEW, pneumo_report_unit(&r->e));
}
