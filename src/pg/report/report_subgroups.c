/*-------------------------------------------------------------------------
 *
 * report_subgroups.c
 *	  Divides the rows that a page judges by into subgroups: rows with the same
 *	  value in a column, or in the same band of a number.
 *
 * The values are read with the images, of the rows alone that the page judges by:
 * 12 bytes a row and column, and at most REPORT_MAX_VALUES different texts.
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

#define MAX_LEVELS (REPORT_MAX_GROUPS - 1) /* of a column, "other" included */
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
	char **values;  /* different ones, REPORT_MAX_VALUES at most */
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

PneumoSubgroups *
pneumo_subgroups_config(PneumoEvaluation *e, Jsonb *given)
{
	PneumoSubgroups *groups = palloc0(sizeof(PneumoSubgroups));
	JsonbValue *value = pneumo_json_get(&given->root, "subgroups");
	JsonbContainer *array;
	int n;
	int i;

	groups->cxt = CurrentMemoryContext;
	if (pneumo_json_is_null(value))
		return groups;
	array = pneumo_json_array(value);
	n = array != NULL ? pneumo_json_array_length(array) : 0;
	if (array == NULL || n > PNEUMO_MAX_EXTRA_COLUMNS)
		pneumo_json_bad("config key \"subgroups\"", value,
						psprintf("an array of at most %d columns", PNEUMO_MAX_EXTRA_COLUMNS));
	e->extra = palloc(Max(1, n) * sizeof(char *));
	for (i = 0; i < n; i++)
	{
		read_column(&groups->columns[i], getIthJsonbValueFromContainer(array, i));
		e->extra[i] = groups->columns[i].name;
	}
	groups->n = n;
	e->extra_key = "subgroups";
	e->n_extra = n;
	return groups;
}

/* ------------------------------------------------------------------ values */

void
pneumo_subgroups_begin(PneumoSubgroups *groups, const PneumoEvaluation *e, int split)
{
	int64 n = Max(1, e->dataset->n);
	int64 i;
	int c;

	groups->split = split;
	for (c = 0; c < groups->n; c++)
	{
		Column *column = &groups->columns[c];

		column->number = pneumo_source_extra_type(e->source, c) == PNEUMO_EXTRA_NUMBER;
		if (column->n_given > 0 && !column->number)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config key \"subgroups\" has breaks for column \"%s\", which holds no numbers",
							pneumo_clip(column->name))));
		column->value = MemoryContextAllocHuge(groups->cxt, n * sizeof(int));
		column->amount = MemoryContextAllocHuge(groups->cxt, n * sizeof(double));
		column->values = palloc(REPORT_MAX_VALUES * sizeof(char *));
		column->rows = palloc0(REPORT_MAX_VALUES * sizeof(int64));
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
	if (column->n_values >= REPORT_MAX_VALUES)
	{
		column->too_many = true;
		return UNKNOWN;
	}
	column->values[column->n_values] = MemoryContextStrdup(cxt, clipped);
	return column->n_values++;
}

void
pneumo_subgroups_row(PneumoSubgroups *groups, const PneumoEvaluation *e, int64 sample, const PneumoRow *row)
{
	int c;

	if (groups->split != PNEUMO_SPLIT_ALL && e->dataset->samples[sample].split != groups->split)
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
level_name(const PneumoEvaluation *e, int c, const char *text)
{
	if (pneumo_source_extra_type(e->source, c) == PNEUMO_EXTRA_BOOLEAN)
		return text[0] == 't' ? "true" : "false";
	return text[0] != '\0' ? text : "(empty)";
}

/*
 * Names the groups of a column by its values, the most frequent first, numbers by
 * size, and sets which group each value is in; returns their number.
 */
static int
name_levels(PneumoSubgroup *groups, int *group_of, const Column *column, const PneumoEvaluation *e, int c)
{
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
			groups[i].name = level_name(e, c, levels[i].text);
	}
	if (kept < column->n_values)
		groups[kept].name = psprintf("other (%d values)", column->n_values - kept);
	pfree(levels);
	return Min(column->n_values, kept + 1);
}

int
pneumo_subgroups_count(const PneumoSubgroups *groups)
{
	return groups->n;
}

const char *
pneumo_subgroups_column(const PneumoSubgroups *groups, int c)
{
	return groups->columns[c].name;
}

bool
pneumo_subgroups_too_many(const PneumoSubgroups *groups, int c)
{
	return !groups->columns[c].number && groups->columns[c].too_many;
}

int
pneumo_subgroups_divide(PneumoSubgroup *divided, PneumoSubgroups *groups, int c, const PneumoEvaluation *e,
						const PneumoJudged *judged)
{
	Column *column = &groups->columns[c];
	bool bands = column->number && (column->n_given > 0 || column->n_values > FEW_NUMBERS);
	int *group_of = palloc(Max(1, column->n_values) * sizeof(int));
	int n_groups;
	int64 i;
	int g;

	memset(divided, 0, REPORT_MAX_GROUPS * sizeof(PneumoSubgroup));
	if (bands)
	{
		column->n_breaks = column->n_given;
		if (column->n_given == 0)
			find_quartiles(column, e->dataset->n);
		n_groups = column->n_breaks + 1;
		for (g = 0; g < n_groups; g++)
			divided[g].name = band_name(column, g);
	}
	else
		n_groups = name_levels(divided, group_of, column, e, c);
	divided[n_groups].name = "unknown";
	for (g = 0; g <= n_groups; g++)
	{
		divided[g].judged.split = judged->split;
		divided[g].judged.samples =
			MemoryContextAllocHuge(CurrentMemoryContext, Max(1, judged->n) * sizeof(int64));
	}
	for (i = 0; i < judged->n; i++)
	{
		int64 sample = judged->samples[i];
		bool known = bands ? !isnan(column->amount[sample]) : column->value[sample] != UNKNOWN;
		PneumoJudged *group = &divided[!known  ? n_groups
									   : bands ? band_of(column, column->amount[sample])
											   : group_of[column->value[sample]]]
								   .judged;

		group->samples[group->n++] = sample;
	}
	pfree(group_of);
	return divided[n_groups].judged.n > 0 ? n_groups + 1 : n_groups;
}
