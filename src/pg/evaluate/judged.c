/*-------------------------------------------------------------------------
 *
 * side.c
 *	  The rows of one side of a table that a version is judged by.
 *
 * Rows that a version was trained on (or, for the test side, selected by) are
 * left out by its manifest, whatever table they come from.  A look at the test
 * side is counted: each one makes its figures a little less honest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/source/source.h"

int
pneumo_side_split(Jsonb *given, const char *function)
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

void
pneumo_side_want(PneumoEvaluation *e, int split)
{
	int i;

	for (i = 0; i < 3; i++)
		e->score[i] = split == PNEUMO_SPLIT_ALL || i == split;
}

/* Rows that a version has seen, beside those that reading left out. */
void
pneumo_side_hold_out(PneumoEvaluation *e, int64 version, int split)
{
	bool seen[3] = {true, split != PNEUMO_VALIDATION, false};
	PneumoManifest manifest;

	if (split == PNEUMO_TRAIN)
		return;
	if (!pneumo_manifest_read(version, &manifest))
		return; /* imported: nobody knows what it has seen */
	(void) pneumo_dataset_exclude(e->dataset, e->score, &manifest, seen);
	pneumo_manifest_free(&manifest);
}

void
pneumo_side_collect(PneumoSide *side, const PneumoEvaluation *e, int split)
{
	const PneumoDataset *dataset = e->dataset;
	int64 i;

	memset(side, 0, sizeof(*side));
	side->split = split;
	side->samples = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, dataset->n) * sizeof(int64));
	for (i = 0; i < dataset->n; i++)
	{
		if (!e->score[dataset->samples[i].split])
			continue;
		side->samples[side->n++] = i;
		side->positive += dataset->samples[i].label == 1;
	}
	for (i = 0; i < 3; i++)
		side->groups += e->score[i] ? dataset->split_groups[i] : 0;
	if (side->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no row of %s is left to evaluate on the split \"%s\"", e->source->name,
						pneumo_split_names[split]),
				 dataset->left_out[PNEUMO_OUT_SEEN] > 0
					 ? errdetail("%lld rows are left out: the version was trained or selected on them.",
								 (long long) dataset->left_out[PNEUMO_OUT_SEEN])
					 : 0));
}

/* Label and patient of the rows; score is the caller's. */
StatsRows
pneumo_side_rows(const PneumoSide *side, const PneumoEvaluation *e, const double *score)
{
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, side->n);
	uint64_t *group = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(uint64_t));
	StatsRows rows = {score, label, group, (size_t) side->n};
	int64 i;

	for (i = 0; i < side->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[side->samples[i]];

		label[i] = sample->label == 1;
		memcpy(&group[i], sample->group, sizeof(uint64_t));
	}
	return rows;
}

/* Scores of the positive class; probability: two a scored row, by slot. */
double *
pneumo_side_scores(const PneumoSide *side, const PneumoEvaluation *e, const double *probability)
{
	double *score = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(double));
	int64 i;

	for (i = 0; i < side->n; i++)
		score[i] = probability[2 * e->dataset->samples[side->samples[i]].slot + 1];
	return score;
}

StatsClassRows
pneumo_side_class_rows(const PneumoSide *side, const PneumoEvaluation *e, const double *probability)
{
	int k = e->scorer->meta->n_classes;
	double *copy = MemoryContextAllocHuge(CurrentMemoryContext, (Size) side->n * k * sizeof(double));
	int32_t *label = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(int32_t));
	uint64_t *group = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(uint64_t));
	StatsClassRows rows = {copy, label, group, (size_t) side->n, k};
	int64 i;

	for (i = 0; i < side->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[side->samples[i]];

		memcpy(copy + i * k, probability + sample->slot * k, k * sizeof(double));
		label[i] = sample->label;
		memcpy(&group[i], sample->group, sizeof(uint64_t));
	}
	return rows;
}

/* Counts a look at held-out rows; how many there were. */
int64
pneumo_side_look(const PneumoVersionId *id, const PneumoSide *side, const char *source, const char *metrics)
{
	if (side->split >= PNEUMO_TEST)
		pneumo_look_add(id, pneumo_split_names[side->split], source, side->n, pneumo_json_parse(metrics));
	return pneumo_look_count(id->version, pneumo_split_names[side->split]);
}
