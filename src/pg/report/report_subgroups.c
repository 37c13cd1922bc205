/*-------------------------------------------------------------------------
 *
 * report_subgroups.c
 *	  The report's figures of subgroups: rows with the same value in a column, or
 *	  in the same band of a number.
 *
 * The values are read with the images, of the rows alone that the page judges by:
 * 12 bytes a row and column, and at most MAX_VALUES different texts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <stdlib.h>

#include "miscadmin.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

#define MAX_LEVELS 12 /* of a column, "other" included */
#define MAX_VALUES 1000
#define MAX_VALUE_BYTES 100
#define MAX_BREAKS (MAX_LEVELS - 1)
#define FEW_NUMBERS 6 /* so many different numbers are levels, not bands */
#define UNKNOWN (-1)

typedef struct Column
{
	char *name;
	bool number;
	int n_given; /* breaks of the call; 0: quartiles */
	int n_breaks;
	double breaks[MAX_BREAKS];
	int *value;     /* by sample: index into values, or UNKNOWN */
	double *amount; /* by sample, of a number that is finite; else NaN */
	char **values;  /* different ones, MAX_VALUES at most */
	int64 *rows;    /* that have each */
	int n_values;
	bool too_many; /* there are more */
} Column;

struct PneumoSubgroups
{
	int n;
	Column columns[PNEUMO_MAX_EXTRA_COLUMNS];
	int split; /* whose rows are counted */
	MemoryContext cxt;
};

/* The figures of one subgroup; of more than two classes the macro figures. */
typedef struct Subgroup
{
	const char *name;
	int64 *samples;
	int64 n;
	int64 patients;
	int64 patients_of[2]; /* of two classes: negative, positive */
	StatsInterval auc;
	StatsInterval sensitivity;
	StatsInterval specificity;
	char *remark;
	bool few;
} Subgroup;

/* ------------------------------------------------------------------ config */

static void
read_breaks(Column *column, JsonbValue *value)
{
	JsonbContainer *array = pneumo_json_array(value);
	int n = array != NULL ? pneumo_json_array_length(array) : 0;
	char *what = psprintf("config key \"subgroups\", breaks of \"%s\"", pneumo_clip(column->name));
	char *allowed = psprintf("an array of 1 to %d rising numbers", MAX_BREAKS);
	int i;

	if (n < 1 || n > MAX_BREAKS)
		pneumo_json_bad(what, value, allowed);
	for (i = 0; i < n; i++)
	{
		column->breaks[i] =
			pneumo_json_read_number(what, getIthJsonbValueFromContainer(array, i), -1e300, 1e300);
		if (i > 0 && column->breaks[i] <= column->breaks[i - 1])
			pneumo_json_bad(what, value, allowed);
	}
	column->n_given = n;
}

static void
read_column(Column *column, JsonbValue *value)
{
	static const char *const keys[] = {"column", "breaks", NULL};
	JsonbContainer *object = pneumo_json_object(value);
	JsonbValue *breaks;

	if (object == NULL)
	{
		column->name = pneumo_json_cstring(value);
		if (column->name == NULL)
			pneumo_json_bad("an element of config key \"subgroups\"", value,
							"the name of a column, or an object with \"column\" and \"breaks\"");
		return;
	}
	pneumo_json_check_keys(object, "subgroups.", keys);
	if (pneumo_json_is_null(pneumo_json_get(object, "column")))
		pneumo_json_bad("an element of config key \"subgroups\"", value,
						"the name of a column, or an object with \"column\" and \"breaks\"");
	column->name =
		pneumo_json_read_string("config key \"subgroups.column\"", pneumo_json_get(object, "column"));
	breaks = pneumo_json_get(object, "breaks");
	if (!pneumo_json_is_null(breaks))
		read_breaks(column, breaks);
}

void
pneumo_subgroups_config(PneumoReport *r, Jsonb *given)
{
	PneumoSubgroups *groups = palloc0(sizeof(PneumoSubgroups));
	JsonbValue *value = pneumo_json_get(&given->root, "subgroups");
	JsonbContainer *array;
	int n;
	int i;

	r->subgroups = groups;
	groups->cxt = CurrentMemoryContext;
	if (pneumo_json_is_null(value))
		return;
	array = pneumo_json_array(value);
	n = array != NULL ? pneumo_json_array_length(array) : 0;
	if (array == NULL || n > PNEUMO_MAX_EXTRA_COLUMNS)
		pneumo_json_bad("config key \"subgroups\"", value,
						psprintf("an array of at most %d columns", PNEUMO_MAX_EXTRA_COLUMNS));
	r->e.extra = palloc(Max(1, n) * sizeof(char *));
	for (i = 0; i < n; i++)
	{
		read_column(&groups->columns[i], getIthJsonbValueFromContainer(array, i));
		r->e.extra[i] = groups->columns[i].name;
	}
	groups->n = n;
	r->e.extra_key = "subgroups";
	r->e.n_extra = n;
}

/* ------------------------------------------------------------------ values */

void
pneumo_subgroups_begin(PneumoReport *r)
{
	PneumoSubgroups *groups = r->subgroups;
	Size n = (Size) Max(1, r->e.dataset->n);
	int c;
	Size i;

	groups->split = pneumo_report_main_split(r);
	for (c = 0; c < groups->n; c++)
	{
		Column *column = &groups->columns[c];

		column->number = pneumo_source_extra_type(r->e.source, c) == PNEUMO_EXTRA_NUMBER;
		if (column->n_given > 0 && !column->number)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config key \"subgroups\" has breaks for column \"%s\", which holds no numbers",
							pneumo_clip(column->name))));
		column->value = MemoryContextAllocHuge(groups->cxt, n * sizeof(int));
		column->amount = MemoryContextAllocHuge(groups->cxt, n * sizeof(double));
		column->values = palloc(MAX_VALUES * sizeof(char *));
		column->rows = palloc0(MAX_VALUES * sizeof(int64));
		for (i = 0; i < n; i++)
		{
			column->value[i] = UNKNOWN;
			column->amount[i] = NAN;
		}
	}
}

/* Returns the index of a text among those of the column, which it joins if there is room. */
static int
find_value(Column *column, const char *text, MemoryContext cxt)
{
	char clipped[MAX_VALUE_BYTES];
	int i;

	pneumo_copy_text(clipped, text, sizeof(clipped));
	for (i = 0; i < column->n_values; i++)
		if (strcmp(column->values[i], clipped) == 0)
			return i;
	if (column->n_values >= MAX_VALUES)
	{
		column->too_many = true;
		return UNKNOWN;
	}
	column->values[column->n_values] = MemoryContextStrdup(cxt, clipped);
	return column->n_values++;
}

void
pneumo_subgroups_row(PneumoReport *r, int64 sample, const PneumoRow *row)
{
	PneumoSubgroups *groups = r->subgroups;
	int c;

	if (r->e.dataset->samples[sample].split != groups->split)
		return;
	for (c = 0; c < groups->n; c++)
	{
		Column *column = &groups->columns[c];
		double amount;

		if (row->extra[c] == NULL)
			continue;
		amount = column->number ? strtod(row->extra[c], NULL) : NAN;
		if (column->number && !isfinite(amount))
			continue;
		column->amount[sample] = amount;
		column->value[sample] = find_value(column, row->extra[c], groups->cxt);
		if (column->value[sample] != UNKNOWN)
			column->rows[column->value[sample]]++;
	}
}

/* ------------------------------------------------------------------ groups */

static int
compare_amounts(const void *left, const void *right)
{
	double a = *(const double *) left;
	double b = *(const double *) right;

	return a < b ? -1 : a > b;
}

/* Sets breaks at the quartiles of a column's numbers; equal ones, and an empty first band, are left out. */
static void
find_quartiles(Column *column, int64 n_samples)
{
	double *sorted = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n_samples) * sizeof(double));
	int64 n = 0;
	int64 i;
	int q;

	for (i = 0; i < n_samples; i++)
		if (!isnan(column->amount[i]))
			sorted[n++] = column->amount[i];
	qsort(sorted, n, sizeof(double), compare_amounts);
	column->n_breaks = 0;
	for (q = 1; q < 4 && n > 0; q++)
	{
		double at = sorted[n * q / 4];

		if (at > (column->n_breaks > 0 ? column->breaks[column->n_breaks - 1] : sorted[0]))
			column->breaks[column->n_breaks++] = at;
	}
	pfree(sorted);
}

static int
band_of(const Column *column, double amount)
{
	int band = 0;

	while (band < column->n_breaks && amount >= column->breaks[band])
		band++;
	return band;
}

static char *
band_name(const Column *column, int band)
{
	if (column->n_breaks == 0)
		return pstrdup("all numbers");
	if (band == 0)
		return psprintf("below %g", column->breaks[0]);
	if (band == column->n_breaks)
		return psprintf("%g and above", column->breaks[band - 1]);
	return psprintf("%g to below %g", column->breaks[band - 1], column->breaks[band]);
}

/* A value of a column, with what decides its place. */
typedef struct Level
{
	int value;
	int64 rows;
	double amount;
	const char *text;
} Level;

static int
compare_levels(const void *left, const void *right)
{
	const Level *a = left;
	const Level *b = right;

	if (a->rows != b->rows)
		return a->rows > b->rows ? -1 : 1;
	return strcmp(a->text, b->text);
}

static int
compare_level_amounts(const void *left, const void *right)
{
	return compare_amounts(&((const Level *) left)->amount, &((const Level *) right)->amount);
}

static const char *
level_name(const PneumoReport *r, int c, const char *text)
{
	if (pneumo_source_extra_type(r->e.source, c) == PNEUMO_EXTRA_BOOLEAN)
		return text[0] == 't' ? "true" : "false";
	return text[0] != '\0' ? text : "(empty)";
}

/*
 * Names the groups of a column by its values, the most frequent first, numbers by
 * size, and sets which group each value is in; returns their number.
 */
static int
name_levels(Subgroup *groups, int *group_of, const PneumoReport *r, int c)
{
	const Column *column = &r->subgroups->columns[c];
	Level *levels = palloc(Max(1, column->n_values) * sizeof(Level));
	int kept = column->n_values > MAX_LEVELS ? MAX_LEVELS - 1 : column->n_values;
	int i;

	for (i = 0; i < column->n_values; i++)
	{
		levels[i].value = i;
		levels[i].rows = column->rows[i];
		levels[i].text = column->values[i];
		levels[i].amount = column->number ? strtod(column->values[i], NULL) : 0;
	}
	qsort(levels, column->n_values, sizeof(Level), column->number ? compare_level_amounts : compare_levels);
	for (i = 0; i < column->n_values; i++)
	{
		group_of[levels[i].value] = Min(i, kept);
		if (i < kept)
			groups[i].name = level_name(r, c, levels[i].text);
	}
	if (kept < column->n_values)
		groups[kept].name = psprintf("other (%d values)", column->n_values - kept);
	pfree(levels);
	return Min(column->n_values, kept + 1);
}

/*
 * Divides the rows that are judged into the groups of a column, of which there
 * is room for MAX_LEVELS and that of unknown values; returns their number.
 */
static int
divide(Subgroup *groups, const PneumoReport *r, int c)
{
	Column *column = &r->subgroups->columns[c];
	bool bands = column->number && (column->n_given > 0 || column->n_values > FEW_NUMBERS);
	int *group_of = palloc(Max(1, column->n_values) * sizeof(int));
	int64 *samples;
	int64 n_samples = pneumo_evaluation_split(&samples, &r->e, r->subgroups->split);
	int n_groups;
	int64 i;
	int g;

	memset(groups, 0, (MAX_LEVELS + 1) * sizeof(Subgroup));
	if (bands)
	{
		column->n_breaks = column->n_given;
		if (column->n_given == 0)
			find_quartiles(column, r->e.dataset->n);
		n_groups = column->n_breaks + 1;
		for (g = 0; g < n_groups; g++)
			groups[g].name = band_name(column, g);
	}
	else
		n_groups = name_levels(groups, group_of, r, c);
	groups[n_groups].name = "unknown";
	for (g = 0; g <= n_groups; g++)
		groups[g].samples = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n_samples) * sizeof(int64));
	for (i = 0; i < n_samples; i++)
	{
		int64 sample = samples[i];
		bool known = bands ? !isnan(column->amount[sample]) : column->value[sample] != UNKNOWN;
		Subgroup *group = &groups[!known  ? n_groups
								  : bands ? band_of(column, column->amount[sample])
										  : group_of[column->value[sample]]];

		group->samples[group->n++] = sample;
	}
	pfree(samples);
	pfree(group_of);
	return groups[n_groups].n > 0 ? n_groups + 1 : n_groups;
}

/* ----------------------------------------------------------------- figures */

static void
two_class_group(Subgroup *group, const PneumoJudged *judged, const PneumoReport *r)
{
	StatsRows rows = pneumo_judged_rows(judged, &r->e, 1);
	double threshold = pneumo_report_meta(r)->threshold;
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
many_class_group(Subgroup *group, const PneumoJudged *judged, const PneumoReport *r)
{
	StatsClassRows rows = pneumo_judged_class_rows(judged, &r->e, r->e.scores.probability);
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
	pneumo_stats_check_classes(status, "pneumo_report", &rows, pneumo_report_meta(r)->classes);
	group->auc = evaluation.macro_auc;
	group->sensitivity = evaluation.macro_sensitivity;
	group->specificity = evaluation.macro_specificity;
}

/* Says what a group has too few of; of more than two classes its patients count together. */
static void
remark_on(Subgroup *group, const PneumoReport *r)
{
	const PneumoModelMeta *meta = pneumo_report_meta(r);
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

static void
compute_group(Subgroup *group, const PneumoReport *r)
{
	PneumoJudged judged;
	StatsInterval none = {NAN, NAN, NAN};
	int c;

	CHECK_FOR_INTERRUPTS();
	group->auc = group->sensitivity = group->specificity = none;
	group->patients = pneumo_count_groups(&r->e, group->samples, group->n, -1, NULL);
	for (c = 0; c < 2; c++)
		group->patients_of[c] = pneumo_count_groups(&r->e, group->samples, group->n, c, NULL);
	remark_on(group, r);
	if (group->n == 0)
		return;
	memset(&judged, 0, sizeof(judged));
	judged.split = r->subgroups->split;
	judged.samples = group->samples;
	judged.n = group->n;
	if (pneumo_report_meta(r)->n_classes == 2)
		two_class_group(group, &judged, r);
	else
		many_class_group(group, &judged, r);
}

/* -------------------------------------------------------------------- page */

/* A forest plot that is being filled with one figure of each group. */
typedef struct Forest
{
	ReportForest *plot;
	ReportForestRow *rows;
	size_t offset; /* of the figure in a Subgroup */
} Forest;

#define N_FORESTS 3

static const StatsInterval *
forest_figure(const Forest *forest, const Subgroup *group)
{
	return (const StatsInterval *) ((const char *) group + forest->offset);
}

static void
begin_forests(Forest *forests, const PneumoReport *r)
{
	static const struct
	{
		const char *two; /* classes */
		const char *more;
		const char *id;
		size_t offset;
	} kinds[N_FORESTS] = {
		{"AUC", "Macro AUC", "forest-auc", offsetof(Subgroup, auc)},
		{"Sensitivity", "Macro sensitivity", "forest-sensitivity", offsetof(Subgroup, sensitivity)},
		{"Specificity", "Macro specificity", "forest-specificity", offsetof(Subgroup, specificity)},
	};
	int f;

	for (f = 0; f < N_FORESTS; f++)
	{
		forests[f].plot = palloc0(sizeof(ReportForest));
		forests[f].rows = palloc0(REPORT_MAX_FOREST * sizeof(ReportForestRow));
		forests[f].plot->rows = forests[f].rows;
		forests[f].plot->id = kinds[f].id;
		forests[f].plot->title =
			psprintf("%s by subgroup, %s",
					 pneumo_report_meta(r)->n_classes == 2 ? kinds[f].two : kinds[f].more,
					 pneumo_split_names[r->subgroups->split]);
		forests[f].plot->reference = NAN;
		forests[f].offset = kinds[f].offset;
	}
}

/* Adds a row to each plot; without a group it is a heading. */
static void
add_to_forests(Forest *forests, const char *name, const Subgroup *group)
{
	int f;

	for (f = 0; f < N_FORESTS; f++)
	{
		ReportForest *plot = forests[f].plot;
		ReportForestRow *row = &forests[f].rows[plot->n_rows];
		const StatsInterval *figure;

		if (plot->n_rows >= REPORT_MAX_FOREST)
			elog(ERROR, "the report has too many subgroups");
		plot->n_rows++;
		row->name = pneumo_utf8(name);
		row->heading = group == NULL;
		if (group == NULL)
			continue;
		figure = forest_figure(&forests[f], group);
		row->n = (uint64_t) group->n;
		row->few = group->few;
		row->value = figure->value;
		row->low = figure->low;
		row->high = figure->high;
	}
}

static void
group_row(PneumoTable *table, const PneumoReport *r, const Subgroup *group)
{
	pneumo_table_cell(table, "%s", group->name);
	pneumo_count_cell(table, r, (size_t) group->n, (size_t) group->patients);
	if (pneumo_report_meta(r)->n_classes == 2)
		pneumo_table_cell(table, "%s / %s", pneumo_count_text(group->patients_of[1]),
						  pneumo_count_text(group->patients_of[0]));
	pneumo_interval_cell(table, &group->auc);
	pneumo_interval_cell(table, &group->sensitivity);
	pneumo_interval_cell(table, &group->specificity);
	pneumo_table_cell(table, "%s", group->remark);
}

static PneumoTable *
begin_table(PneumoSection *section, const PneumoReport *r)
{
	bool two = pneumo_report_meta(r)->n_classes == 2;
	const char **headings = palloc(7 * sizeof(char *));
	int n = 0;

	headings[n++] = "Rows";
	headings[n++] = pneumo_count_heading(r);
	if (two)
		headings[n++] = r->e.source->col_group > 0 ? "Patients +/-" : "Images +/-";
	headings[n++] = two ? "AUC" : "Macro AUC";
	headings[n++] = two ? "Sensitivity" : "Macro sensitivity";
	headings[n++] = two ? "Specificity" : "Macro specificity";
	headings[n++] = "Remark";
	return pneumo_table_begin(
		section,
		psprintf("Figures of subgroups at the operating point, %s, with 95 %% intervals by %s",
				 pneumo_split_names[r->subgroups->split], pneumo_report_unit(r)),
		n, headings, two ? 0x3E : 0x1E);
}

/* Adds a row that names a column, with empty cells. */
static void
column_row(PneumoTable *table, const PneumoReport *r, const Column *column)
{
	int n = pneumo_report_meta(r)->n_classes == 2 ? 6 : 5;
	int i;

	pneumo_table_cell(table, "%s", column->name);
	for (i = 0; i < n; i++)
		pneumo_table_cell(table, "%s", "");
}

static void
column_groups(PneumoTable *table, Forest *forests, const PneumoReport *r, int c)
{
	Column *column = &r->subgroups->columns[c];
	Subgroup groups[MAX_LEVELS + 1];
	int n = divide(groups, r, c);
	int g;

	column_row(table, r, column);
	add_to_forests(forests, column->name, NULL);
	for (g = 0; g < n; g++)
	{
		compute_group(&groups[g], r);
		group_row(table, r, &groups[g]);
		add_to_forests(forests, groups[g].name, &groups[g]);
		pfree(groups[g].samples);
	}
}

/* Adds the table and the plots of all columns that make subgroups. */
static void
all_groups(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSubgroups *subgroups = r->subgroups;
	Forest forests[N_FORESTS];
	Subgroup all;
	PneumoTable *table;
	int c;
	int f;

	begin_forests(forests, r);
	memset(&all, 0, sizeof(all));
	all.name = "all rows";
	all.n = pneumo_evaluation_split(&all.samples, &r->e, subgroups->split);
	compute_group(&all, r);
	table = begin_table(section, r);
	group_row(table, r, &all);
	add_to_forests(forests, all.name, &all);
	for (c = 0; c < subgroups->n; c++)
		if (subgroups->columns[c].number || !subgroups->columns[c].too_many)
			column_groups(table, forests, r, c);
	pneumo_table_end(table);
	for (f = 0; f < N_FORESTS; f++)
	{
		forests[f].plot->reference = forest_figure(&forests[f], &all)->value;
		pneumo_section_add(section, REPORT_BLOCK_FOREST, forests[f].plot);
	}
}

void
pneumo_report_subgroups(PneumoSection *section, const PneumoReport *r)
{
	const PneumoSubgroups *subgroups = r->subgroups;
	int c;

	section->heading = "Subgroups";
	if (subgroups->n == 0 || pneumo_report_main_figures(r) == NULL)
	{
		pneumo_section_text(
			section, REPORT_TEXT_PARAGRAPH, "%s",
			subgroups->n == 0
				? "None were named. Config key \"subgroups\" of pneumo_report takes columns, such as sex, age, device and ward: look at their figures before any use."
				: "There are no rows to divide.");
		return;
	}
	for (c = 0; c < subgroups->n; c++)
		if (!subgroups->columns[c].number && subgroups->columns[c].too_many)
			pneumo_section_text(section, REPORT_TEXT_WARNING,
								"Column \"%s\" has more than %s different values, so it makes no subgroups.",
								subgroups->columns[c].name, pneumo_count_text(MAX_VALUES));
	all_groups(section, r);
	pneumo_section_text(
		section, REPORT_TEXT_NOTE,
		"Groups with fewer than %d %ss of a class are drawn hollow: they say little. The dashed line is the figure of all rows. Of many groups some differ by chance, and the intervals are not widened for that; a group whose interval lies wholly below the line deserves a look.",
		REPORT_FEW, pneumo_report_unit(r));
}
