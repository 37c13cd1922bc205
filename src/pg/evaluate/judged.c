/*-------------------------------------------------------------------------
 *
 * judged.c
 *	  The rows of a split that a version is judged by.
 *
 * Rows that a version was trained on or, in the test split, selected by are
 * left out by its manifest, whatever table they come from.  A look at the test
 * split is counted, because each one makes its figures a little less honest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/figures.h"
#include "pg/source/source.h"

int
pneumo_judged_split(Jsonb *given, const char *function)
{
	JsonbValue *value;
	int split;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the config must be a JSON object")));
	value = pneumo_json_get(&given->root, "split");
	split = value == NULL ? PNEUMO_TEST
						  : pneumo_json_read_enum("config key \"split\"", value, pneumo_split_names);
	if (split >= PNEUMO_TEST)
		pneumo_prevent_write(psprintf("%s of held-out rows", function));
	return split;
}

/* Lists the scored samples and counts their groups and positives; errors if there are none. */
static void
list_rows(PneumoJudged *judged, const PneumoEvaluation *e, int split)
{
	const PneumoDataset *dataset = e->dataset;
	int64 i;

	memset(judged, 0, sizeof(*judged));
	judged->split = split;
	judged->grouped = e->source->col_group > 0;
	judged->samples = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, dataset->n) * sizeof(int64));
	for (i = 0; i < dataset->n; i++)
	{
		if (!e->score[dataset->samples[i].split])
			continue;
		judged->samples[judged->n++] = i;
		judged->positive += !dataset->multi_label && dataset->samples[i].label == 1;
	}
	for (i = 0; i < 3; i++)
		judged->groups += e->score[i] ? dataset->split_groups[i] : 0;
	if (judged->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no row of %s is left to evaluate on the split \"%s\"", e->source->name,
						pneumo_split_names[split]),
				 dataset->left_out[PNEUMO_OUT_SEEN] > 0
					 ? errdetail("%lld rows are left out: the version was trained or selected on them.",
								 (long long) dataset->left_out[PNEUMO_OUT_SEEN])
					 : 0));
}

/* -------------------------------------------------------------- reading */

/* The versions that ride along while the first one reads: those that see the same pixels. */
typedef struct Riders
{
	PneumoEvaluation *e;
	int n;
	bool rides[PNEUMO_MAX_RIVALS];
} Riders;

static bool
same_input(const PneumoScorer *a, const PneumoScorer *b)
{
	return a->meta->preprocess.height == b->meta->preprocess.height &&
		   a->meta->preprocess.width == b->meta->preprocess.width &&
		   a->meta->preprocess.channels == b->meta->preprocess.channels &&
		   a->meta->preprocess.interpolation == b->meta->preprocess.interpolation;
}

static void
score_pixels(void *arg, int64 slot, const uint8 *pixels)
{
	Riders *riders = arg;
	int v;

	for (v = 1; v < riders->n; v++)
		if (riders->rides[v])
			pneumo_scores_add_pixels(&riders->e[v].scores, slot, pixels);
}

static void
score_image(void *arg, int64 sample, const PneumoRow *row, Datum image)
{
	Riders *riders = arg;
	int v;

	for (v = 1; v < riders->n; v++)
		if (!riders->rides[v])
			(void) pneumo_scores_add(&riders->e[v].scores, riders->e[v].dataset->samples[sample].slot, image,
									 PNEUMO_BAD_IMAGE_ERROR);
}

/*
 * Scores the rows that are judged with the versions that see images in another way
 * than the first one, from their images; every row is found again, or it is an error.
 */
static void
score_images(Riders *riders, const PneumoJudged *judged)
{
	PneumoEvaluation *e = riders->e;
	bool *marked = MemoryContextAllocHuge(CurrentMemoryContext, e->dataset->n);
	int64 i;

	memset(marked, 0, e->dataset->n);
	for (i = 0; i < judged->n; i++)
		marked[judged->samples[i]] = true;
	pneumo_evaluation_visit(e, marked, score_image, riders);
	for (i = 0; i < judged->n; i++)
		if (marked[judged->samples[i]])
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("%s changed while it was read", e->source->name),
							errhint("Call the function again.")));
	pfree(marked);
}

void
pneumo_judged_read(PneumoJudged *judged, PneumoEvaluation *e, int n, Oid relid, int split)
{
	Riders riders = {e, n, {false}};
	bool all_ride = true;
	int i;
	int v;

	for (i = 0; i < 3; i++)
		e->score[i] = split == PNEUMO_SPLIT_ALL || i == split;
	for (v = 1; v < n; v++)
	{
		riders.rides[v] = same_input(e->scorer, e[v].scorer);
		all_ride &= riders.rides[v];
		memcpy(e[v].score, e->score, sizeof(e->score));
		pneumo_scores_begin(&e[v].scores, e[v].scorer);
	}
	if (n > 1)
	{
		e->see = score_pixels;
		e->see_arg = &riders;
	}
	pneumo_evaluation_read(e, relid);
	for (v = 1; v < n; v++)
	{
		e[v].source = e->source;
		e[v].dataset = e->dataset;
		e[v].n_scored = e->n_scored;
		pneumo_evaluation_hold_out(e, &e[v]);
	}
	list_rows(judged, e, split);
	if (!all_ride)
		score_images(&riders, judged);
	for (v = 1; v < n; v++)
		pneumo_scores_finish(&e[v].scores);
}

void
pneumo_judged_view(PneumoJudged *judged, PneumoEvaluation *e, int n, int finding)
{
	pneumo_evaluation_view(e, n, finding);
	list_rows(judged, e, judged->split);
}

/* ----------------------------------------------------------------- notes */

static int
compare_groups(const void *a, const void *b)
{
	uint64 x = *(const uint64 *) a;
	uint64 y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

int64
pneumo_count_groups(const PneumoEvaluation *e, const int64 *samples, int64 n_samples, int class,
					int64 *largest)
{
	uint64 *group = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n_samples) * sizeof(uint64));
	int64 different = 0;
	int64 most = 0;
	int64 first = 0;
	int64 n = 0;
	int64 i;

	for (i = 0; i < n_samples; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[samples[i]];

		if (class < 0 ||
			(e->dataset->multi_label ? pneumo_sample_target(sample, class) == 1 : sample->label == class))
			memcpy(&group[n++], sample->group, sizeof(uint64));
	}
	qsort(group, (size_t) n, sizeof(uint64), compare_groups);
	for (i = 0; i < n; i++)
	{
		if (i == 0 || group[i] != group[first])
		{
			first = i;
			different++;
		}
		most = Max(most, i - first + 1);
	}
	pfree(group);
	if (largest != NULL)
		*largest = most;
	return different;
}

List *
pneumo_judged_notes(const PneumoJudged *judged, const PneumoEvaluation *e)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	const char *unit = judged->grouped ? "patients" : "images";
	int64 largest;
	List *notes = NIL;
	int c;

	(void) pneumo_count_groups(e, judged->samples, judged->n, -1, &largest);
	for (c = -1; c < meta->n_classes; c++)
	{
		int64 groups = c < 0 ? judged->groups : 0;
		int split;

		for (split = 0; split < 3 && c >= 0; split++)
			groups += e->score[split] ? e->dataset->groups[split][c] : 0;
		if (groups < PNEUMO_FEW_GROUPS)
			notes = lappend(notes, c < 0 ? psprintf("few %s: %lld", unit, (long long) groups)
										 : psprintf("few %s %s %s: %lld", unit,
													meta->multi_label ? "with finding" : "of class",
													meta->classes[c], (long long) groups));
	}
	if (largest * PNEUMO_LARGE_SHARE > judged->n)
		notes = lappend(notes, psprintf("one of the %s has %lld of %lld images", unit, (long long) largest,
										(long long) judged->n));
	return notes;
}

Datum
pneumo_judged_notes_datum(const PneumoJudged *judged, const PneumoEvaluation *e, bool *isnull)
{
	List *notes = pneumo_judged_notes(judged, e);
	ArrayBuildState *array = NULL;
	StringInfoData all;
	ListCell *cell;

	*isnull = notes == NIL;
	if (notes == NIL)
		return (Datum) 0;
	initStringInfo(&all);
	foreach (cell, notes)
	{
		const char *note = lfirst(cell);

		array = accumArrayResult(array, CStringGetTextDatum(note), false, TEXTOID, CurrentMemoryContext);
		appendStringInfo(&all, "%s%s", all.len > 0 ? "; " : "", note);
	}
	ereport(NOTICE, (errmsg("the intervals rest on little: %s", all.data)));
	return makeArrayResult(array, CurrentMemoryContext);
}

/* ------------------------------------------------------------------ rows */

StatsRows
pneumo_judged_rows(const PneumoJudged *judged, const PneumoEvaluation *e, int class)
{
	PneumoFigureRow *collected =
		MemoryContextAllocHuge(CurrentMemoryContext, Max(1, judged->n) * sizeof(PneumoFigureRow));
	StatsRows rows;
	int64 n = 0;
	int64 i;

	for (i = 0; i < judged->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[judged->samples[i]];
		double score = pneumo_evaluation_probability(e, judged->samples[i])[class];

		bool positive = sample->label == class;

		if (e->dataset->multi_label)
		{
			if (pneumo_sample_target(sample, class) == NN_UNKNOWN)
				continue;
			positive = pneumo_sample_target(sample, class) == 1;
		}
		collected[n].score = positive ? -score : score;
		memcpy(&collected[n++].cluster, sample->group, sizeof(uint64));
	}
	rows = pneumo_stats_rows(collected, n, true);
	pfree(collected);
	return rows;
}

StatsFindingRows
pneumo_judged_finding_rows(const PneumoJudged *judged, const PneumoEvaluation *e)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	int k = meta->n_classes;
	double *copy = MemoryContextAllocHuge(CurrentMemoryContext, (Size) judged->n * k * sizeof(double));
	uint8_t *target = MemoryContextAllocHuge(CurrentMemoryContext, (Size) judged->n * k);
	uint64_t *group = MemoryContextAllocHuge(CurrentMemoryContext, judged->n * sizeof(uint64_t));
	double *threshold = palloc(k * sizeof(double));
	StatsFindingRows rows = {copy, target, group, threshold, (size_t) judged->n, k};
	int64 i;
	int c;

	for (c = 0; c < k; c++)
		threshold[c] = meta->findings[c].threshold;
	for (i = 0; i < judged->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[judged->samples[i]];

		memcpy(copy + i * k, pneumo_evaluation_probability(e, judged->samples[i]), k * sizeof(double));
		memcpy(&group[i], sample->group, sizeof(uint64_t));
		for (c = 0; c < k; c++)
			target[i * k + c] = (uint8_t) pneumo_sample_target(sample, c);
	}
	return rows;
}

int
pneumo_judged_finding(const PneumoEvaluation *e, Jsonb *given, bool needed, const char *function)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	JsonbValue *value = pneumo_json_get(&given->root, "class");
	const char *names[NN_MAX_CLASSES + 1];
	char *wanted;
	int c;

	if (pneumo_json_is_null(value) && (!meta->multi_label || !needed))
		return -1;
	if (!meta->multi_label)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"class\" names a finding, but model \"%s\" tells one class an image",
						e->model)));
	for (c = 0; c < meta->n_classes; c++)
		names[c] = meta->classes[c];
	names[c] = NULL;
	if (pneumo_json_is_null(value))
	{
		if (meta->n_classes == 1)
			return 0;
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("%s is of one finding, model \"%s\" has %d", function, e->model, meta->n_classes),
				 errdetail("It can be %s.", pneumo_list_names(names)),
				 errhint("Name it in config key \"class\".")));
	}
	wanted = pneumo_json_read_string("config key \"class\"", value);
	for (c = 0; c < meta->n_classes; c++)
		if (strcmp(meta->classes[c], wanted) == 0)
			return c;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("model \"%s\" has no finding \"%s\"", e->model, pneumo_clip(wanted)),
					errdetail("It can be %s.", pneumo_list_names(names))));
	return -1;
}

StatsClassRows
pneumo_judged_class_rows(const PneumoJudged *judged, const PneumoEvaluation *e, const double *probability)
{
	int k = e->scorer->meta->n_classes;
	double *copy = MemoryContextAllocHuge(CurrentMemoryContext, (Size) judged->n * k * sizeof(double));
	int32_t *label = MemoryContextAllocHuge(CurrentMemoryContext, judged->n * sizeof(int32_t));
	uint64_t *group = MemoryContextAllocHuge(CurrentMemoryContext, judged->n * sizeof(uint64_t));
	StatsClassRows rows = {copy, label, group, (size_t) judged->n, k};
	int64 i;

	for (i = 0; i < judged->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[judged->samples[i]];

		memcpy(copy + i * k, probability + sample->slot * k, k * sizeof(double));
		label[i] = sample->label;
		memcpy(&group[i], sample->group, sizeof(uint64_t));
	}
	return rows;
}
