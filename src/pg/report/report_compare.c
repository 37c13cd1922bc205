/*-------------------------------------------------------------------------
 *
 * report_compare.c
 *	  pneumo_report_compare: one HTML page about several versions on the same rows
 *	  of a table, which none of them has seen.
 *
 * The table is read at most three times: to score it, with the versions that see
 * images at another size, and for pictures and subgroups.  Memory is that of
 * pneumo_evaluate, the scores of the other versions, and the pictures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/evaluate/evaluate.h"
#include "pg/report/report_compare.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_report_compare);

#define DEFAULT_DISAGREEMENTS 6
#define MAX_DISAGREEMENTS 50
#define N_SECTIONS 10

static const char *const own_keys[] = {"split", "images", "disagreements", "subgroups", "class", NULL};
static const char *const version_keys[] = {"versions", NULL};

/* ----------------------------------------------------------------- versions */

/* Reads the names of the models; returns their number. */
static int
read_models(const char **models, ArrayType *given)
{
	Datum *names;
	bool *nulls;
	int n;
	int i;

	if (ARR_NDIM(given) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("models must be an array of one dimension")));
	deconstruct_array(given, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	if (n < 2 || n > PNEUMO_MAX_RIVALS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("pneumo_report_compare compares 2 to %d models, not %d", PNEUMO_MAX_RIVALS, n),
						errhint("Versions of one model are compared by naming it as often, with config key "
								"\"versions\".")));
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a model to compare is null")));
		models[i] = TextDatumGetCString(names[i]);
	}
	return n;
}

/* Returns the array of config key "versions", or NULL without it; it has an element for each of n models. */
static JsonbContainer *
read_versions(Jsonb *given, int n)
{
	JsonbValue *value = pneumo_json_get(&given->root, version_keys[0]);
	JsonbContainer *array = pneumo_json_array(value);

	if (pneumo_json_is_null(value))
		return NULL;
	if (array == NULL || pneumo_json_array_length(array) != n)
		pneumo_json_bad(
			"config key \"versions\"", value,
			psprintf("an array of %d version numbers, one for each model; null is the deployed one", n));
	return array;
}

static void
begin_versions(PneumoComparison *c, const char *const *models, Jsonb *given)
{
	JsonbContainer *versions = read_versions(given, c->n);
	int v;

	for (v = 0; v < c->n; v++)
	{
		PneumoCompared *version = &c->version[v];
		JsonbValue *number = versions != NULL ? getIthJsonbValueFromContainer(versions, (uint32) v) : NULL;

		if (!pneumo_json_is_null(number))
			(void) pneumo_json_read_int("an element of config key \"versions\"", number, 1, 9e15);
		pneumo_evaluation_begin(&c->e[v], models[v], pneumo_rival_config(given, version_keys, number),
								own_keys);
		pneumo_version_row(&version->row, &c->e[v]);
		version->letter = psprintf("%c", 'A' + v);
		version->label = psprintf("%s (%s v%d)", version->letter, models[v], c->e[v].id.number);
		version->name = pneumo_utf8(version->label);
	}
	pneumo_rivals_check(c->e, c->n);
}

/* ------------------------------------------------------------ disagreements */

/* Returns how far the versions are apart in the probability of a row's class. */
static double
spread_of(const PneumoComparison *c, int64 sample)
{
	int label = c->e[0].dataset->samples[sample].label;
	double least = INFINITY;
	double most = -INFINITY;
	int v;

	for (v = 0; v < c->n; v++)
	{
		double probability = pneumo_evaluation_probability(&c->e[v], sample)[label];

		least = Min(least, probability);
		most = Max(most, probability);
	}
	return most - least;
}

/* Finds the rows on which the versions differ most. */
static void
find_disagreements(PneumoComparison *c)
{
	PneumoDisagreement *list = palloc((c->max_disagreements + 1) * sizeof(PneumoDisagreement));
	int n = 0;
	int64 i;

	for (i = 0; i < c->judged.n; i++)
	{
		PneumoDisagreement next = {c->judged.samples[i], spread_of(c, c->judged.samples[i])};
		int at = n;

		if (!(next.spread > 0) ||
			(n == c->max_disagreements && (n == 0 || next.spread <= list[n - 1].spread)))
			continue;
		for (; at > 0 && list[at - 1].spread < next.spread; at--)
			list[at] = list[at - 1];
		list[at] = next;
		n = Min(n + 1, c->max_disagreements);
	}
	c->disagreements = list;
	c->n_disagreements = n;
	c->pictures = palloc0(Max(1, n) * sizeof(bytea *));
}

/* A PneumoImageVisit: takes a row's values for subgroups and draws it if it is to be shown. */
static void
visit_image(void *arg, int64 sample, const PneumoRow *row, Datum image)
{
	PneumoComparison *c = arg;
	int i;

	pneumo_subgroups_row(c->subgroups, &c->e[0], sample, row);
	for (i = 0; i < c->n_disagreements && c->images; i++)
		if (c->disagreements[i].sample == sample)
			c->pictures[i] = pneumo_report_plain(image, c->cxt);
}

/* Reads the table once more, if a section needs it. */
static void
visit_images(PneumoComparison *c)
{
	PneumoEvaluation *e = &c->e[0];
	bool all = pneumo_subgroups_count(c->subgroups) > 0;
	bool *marked;
	int64 i;

	pneumo_subgroups_begin(c->subgroups, e, c->judged.split);
	if (!all && !c->images)
		return;
	marked = MemoryContextAllocHuge(CurrentMemoryContext, e->dataset->n);
	memset(marked, 0, e->dataset->n);
	for (i = 0; i < c->judged.n && all; i++)
		marked[c->judged.samples[i]] = true;
	for (i = 0; i < c->n_disagreements && c->images; i++)
		marked[c->disagreements[i].sample] = true;
	pneumo_evaluation_visit(e, marked, visit_image, c);
	pfree(marked);
}

/* --------------------------------------------------------------------- page */

static void
count_looks(PneumoComparison *c)
{
	double auc[PNEUMO_MAX_RIVALS];
	int64 looks[PNEUMO_MAX_RIVALS];
	int v;

	for (v = 0; v < c->n; v++)
		auc[v] = pneumo_compare_auc(c, v)->value;
	pneumo_rivals_look(looks, &c->judged, c->e, c->n, "auc", auc);
	for (v = 0; v < c->n; v++)
		c->version[v].looks = looks[v];
}

Datum
pneumo_report_compare(PG_FUNCTION_ARGS)
{
	static void (*const writers[N_SECTIONS])(PneumoSection *, const PneumoComparison *) =
		{pneumo_compare_summary,       pneumo_compare_versions,   pneumo_compare_figures,
		 pneumo_compare_differences,   pneumo_compare_thresholds, pneumo_compare_subgroups,
		 pneumo_compare_disagreements, pneumo_compare_configs,    pneumo_compare_training,
		 pneumo_compare_limits};
	PneumoComparison *c = palloc0(sizeof(PneumoComparison));
	PneumoSection *sections[N_SECTIONS];
	Oid relid = DatumGetObjectId(pneumo_argument(fcinfo, 0));
	const char *models[PNEUMO_MAX_RIVALS];
	Jsonb *given;
	int finding;
	int split;
	int i;

	c->cxt = CurrentMemoryContext;
	c->n = read_models(models, DatumGetArrayTypeP(pneumo_argument(fcinfo, 1)));
	given = pneumo_config_argument(fcinfo, 2);
	split = pneumo_judged_split(given, "pneumo_report_compare()");
	begin_versions(c, models, given);
	c->images = pneumo_report_flag(given, "images", true);
	c->max_disagreements =
		pneumo_report_count(given, "disagreements", DEFAULT_DISAGREEMENTS, MAX_DISAGREEMENTS);
	c->subgroups = pneumo_subgroups_config(&c->e[0], given);
	finding = pneumo_judged_finding(&c->e[0], given, true, "a comparison");
	pneumo_judged_read(&c->judged, c->e, c->n, relid, split);
	if (finding >= 0)
		pneumo_judged_view(&c->judged, c->e, c->n, finding);
	pneumo_compare_compute(c);
	find_disagreements(c);
	visit_images(c);
	count_looks(c);

	for (i = 0; i < N_SECTIONS; i++)
	{
		CHECK_FOR_INTERRUPTS();
		sections[i] = palloc0(sizeof(PneumoSection));
		writers[i](sections[i], c);
	}
	PG_RETURN_TEXT_P(pneumo_report_page(
		psprintf("%d versions on the same rows%s%s", c->n, finding < 0 ? "" : ": finding ",
				 finding < 0 ? "" : c->e[0].scorer->meta->classes[1]),
		psprintf(
			"Chest radiographs of %s, split %s, read by convolutional networks. A research report, not a diagnosis.",
			c->e[0].source->name, pneumo_split_names[split]),
		sections, N_SECTIONS));
}
