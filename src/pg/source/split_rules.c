/*-------------------------------------------------------------------------
 *
 * split_rules.c
 *	  What may count on which split: duplicates, leakage, order, counts, and the
 *	  manifest that remembers them.
 *
 * Samples are sorted by (SHA-256 of the image, label, group) before anything
 * random, so that the order of the rows in the table never matters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"

#define MIN_GROUPS 20 /* of a class on a split; below it there is a warning */
#define NAMED_CONFLICTS 3

static int
compare_samples(const void *left, const void *right)
{
	const PneumoSample *a = left;
	const PneumoSample *b = right;
	int c = memcmp(a->sha256, b->sha256, PNEUMO_SHA256_LEN);

	if (c != 0)
		return c;
	if (a->label != b->label)
		return a->label < b->label ? -1 : 1;
	c = memcmp(a->group, b->group, PNEUMO_SHA256_LEN);
	if (c != 0)
		return c;
	if (a->split != b->split)
		return a->split > b->split ? -1 : 1;
	if (a->weight != b->weight)
		return a->weight < b->weight ? -1 : 1;
	if (a->key != NULL && b->key != NULL)
		return strcmp(a->key, b->key);
	return 0;
}

/*
 * Drops all but one of identical images: the copy on the most held-out split
 * counts, and none if their labels differ.
 */
static void
settle_duplicates(PneumoDataset *dataset)
{
	StringInfoData conflicts;
	int n_named = 0;
	int64 i;
	int64 end;

	initStringInfo(&conflicts);
	for (i = 0; i < dataset->n; i = end)
	{
		PneumoSample *first = &dataset->samples[i];
		bool conflict = false;
		int64 best = i;
		int64 k;

		for (end = i + 1;
			 end < dataset->n && memcmp(dataset->samples[end].sha256, first->sha256, PNEUMO_SHA256_LEN) == 0;
			 end++)
		{
			if (dataset->samples[end].label != first->label)
				conflict = true;
			if (dataset->samples[end].split > dataset->samples[best].split)
				best = end;
		}
		for (k = i; k < end; k++)
		{
			if (conflict)
			{
				dataset->samples[k].dropped = true;
				dataset->left_out[PNEUMO_OUT_CONFLICT]++;
			}
			else if (k != best)
			{
				dataset->samples[k].dropped = true;
				dataset->left_out[PNEUMO_OUT_DUPLICATE]++;
			}
		}
		if (conflict && n_named++ < NAMED_CONFLICTS)
		{
			if (conflicts.len > 0)
				appendStringInfoString(&conflicts, "; ");
			for (k = i; k < Min(end, i + 4); k++)
				appendStringInfo(&conflicts, "%s%s (%s)", k > i ? ", " : "",
								 dataset->samples[k].key ? dataset->samples[k].key : "a row",
								 dataset->classes[dataset->samples[k].label]);
		}
	}
	if (conflicts.len > 0)
		dataset->first_conflict = MemoryContextStrdup(dataset->cxt, conflicts.data);
}

static void
remove_dropped(PneumoDataset *dataset)
{
	int64 kept = 0;
	int64 i;

	for (i = 0; i < dataset->n; i++)
		if (!dataset->samples[i].dropped)
			dataset->samples[kept++] = dataset->samples[i];
	dataset->n = kept;
}

static int
compare_groups(const void *left, const void *right)
{
	const PneumoSample *a = *(PneumoSample *const *) left;
	const PneumoSample *b = *(PneumoSample *const *) right;
	int c = memcmp(a->group, b->group, PNEUMO_SHA256_LEN);

	if (c != 0)
		return c;
	if (a->split != b->split)
		return a->split - b->split;
	return a->label - b->label;
}

/* Counts rows and distinct groups by split and class; a group on two splits is an error. */
static void
count_samples(PneumoDataset *dataset)
{
	PneumoSample **order;
	int64 i;

	memset(dataset->rows, 0, sizeof(dataset->rows));
	memset(dataset->groups, 0, sizeof(dataset->groups));
	memset(dataset->split_rows, 0, sizeof(dataset->split_rows));
	memset(dataset->split_groups, 0, sizeof(dataset->split_groups));
	if (dataset->n == 0)
		return;

	order = MemoryContextAllocHuge(CurrentMemoryContext, dataset->n * sizeof(PneumoSample *));
	for (i = 0; i < dataset->n; i++)
		order[i] = &dataset->samples[i];
	qsort(order, dataset->n, sizeof(PneumoSample *), compare_groups);

	for (i = 0; i < dataset->n; i++)
	{
		const PneumoSample *s = order[i];
		const PneumoSample *previous = i > 0 ? order[i - 1] : NULL;
		bool same = previous != NULL && memcmp(previous->group, s->group, PNEUMO_SHA256_LEN) == 0;

		dataset->rows[s->split][s->label]++;
		dataset->split_rows[s->split]++;
		if (!same)
			dataset->split_groups[s->split]++;
		else if (previous->split != s->split)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("a group is on two splits: on \"%s\" with row %s, on "
								   "\"%s\" with row %s",
								   pneumo_split_names[previous->split],
								   previous->key ? pneumo_clip(previous->key) : "(no key)",
								   pneumo_split_names[s->split], s->key ? pneumo_clip(s->key) : "(no key)"),
							errhint("Correct the split column, or leave \"split_column\" out.")));
		if (!same || previous->label != s->label)
			dataset->groups[s->split][s->label]++;
	}
	pfree(order);
}

static void
make_fingerprint(PneumoDataset *dataset)
{
	pg_cryptohash_ctx *ctx = pneumo_sha256_begin();
	int64 i;

	for (i = 0; i < dataset->n_classes; i++)
		pneumo_sha256_add(ctx, dataset->classes[i], strlen(dataset->classes[i]) + 1);
	for (i = 0; i < dataset->n; i++)
	{
		const PneumoSample *s = &dataset->samples[i];
		uint8 tail[7];

		tail[0] = (uint8) s->split;
		tail[1] = (uint8) (s->label & 0xff);
		tail[2] = (uint8) (s->label >> 8);
		memcpy(tail + 3, &s->weight, 4);
		pneumo_sha256_add(ctx, s->sha256, PNEUMO_SHA256_LEN);
		pneumo_sha256_add(ctx, s->group, PNEUMO_SHA256_LEN);
		pneumo_sha256_add(ctx, tail, sizeof(tail));
	}
	pneumo_sha256_end(dataset->fingerprint, ctx);
}

void
pneumo_dataset_settle(PneumoDataset *dataset, const PneumoConfig *config)
{
	qsort(dataset->samples, dataset->n, sizeof(PneumoSample), compare_samples);
	settle_duplicates(dataset);
	remove_dropped(dataset);
	count_samples(dataset);
	make_fingerprint(dataset);
}

/* ------------------------------------------------------------ requirements */

/* Tells whether a run with this config needs rows on the split. */
static bool
split_is_wanted(const PneumoDataset *dataset, const PneumoConfig *config, int split)
{
	if (split == PNEUMO_TRAIN)
		return true;
	if (config->split_column == NULL)
		return (split == PNEUMO_VALIDATION ? config->validation_split : config->test_split) > 0;
	return dataset->split_rows[split] > 0 ||
		   (split == PNEUMO_VALIDATION && (config->early_stopping_given || config->plateau_given));
}

char *
pneumo_dataset_unused_split(const PneumoDataset *dataset)
{
	if (dataset->rows_with_unused_split == 0)
		return NULL;
	return psprintf("column \"%s\" is not used, although %lld rows name train, validation or test in it: the "
					"rows are split anew; to use it, set \"split_column\": \"%s\"; null does without it",
					dataset->unused_split_column, (long long) dataset->rows_with_unused_split,
					dataset->unused_split_column);
}

/* Warns of what the config may have forgotten about the splits: a column of them, the patients. */
static List *
warn_of_splits(List *warnings, const PneumoDataset *dataset, const PneumoConfig *config)
{
	char *unused = pneumo_dataset_unused_split(dataset);
	char *alike = dataset->file_names == NULL
					  ? NULL
					  : pneumo_file_names_warning(dataset->file_names, dataset->patient_column);

	if (unused != NULL)
		warnings = lappend(warnings, unused);
	if (config->split_column != NULL && dataset->split_rows[PNEUMO_VALIDATION] == 0)
		warnings = lappend(
			warnings,
			psprintf("column \"%s\" puts no row on validation: the training has no early stopping and no "
					 "choice of the best epoch, and its last epoch is stored",
					 config->split_column));
	if (dataset->group_keys == NULL && config->split_column == NULL)
		warnings = lappend(
			warnings,
			psprintf(
				"config key \"group_column\" is not set: images of one patient may be on several splits, "
				"and figures count images%s",
				dataset->patient_column == NULL
					? ""
					: psprintf("; column \"%s\" may name the patients", dataset->patient_column)));
	if (alike != NULL && (dataset->patient_column == NULL || config->split_column != NULL))
		warnings = lappend(warnings, alike);
	return warnings;
}

/* Warns of groups or classes in several spellings, and of rows without a group. */
static List *
warn_of_names(List *warnings, const PneumoDataset *dataset)
{
	const char *example;
	int64 n;

	if (pneumo_similar_count(dataset->class_names, &example) > 0)
		warnings =
			lappend(warnings, psprintf("the classes %s may be one: they differ only in case, blanks or zeros",
									   example));
	if (dataset->group_keys == NULL)
		return warnings;
	n = pneumo_similar_count(dataset->group_keys, &example);
	if (n > 0)
		warnings =
			lappend(warnings, psprintf("%lld group%s may be written in several ways, as %s: they differ only "
									   "in case, blanks or zeros, and can be on several splits",
									   (long long) n, n == 1 ? "" : "s", example));
	if (dataset->rows_without_group > 0)
		warnings =
			lappend(warnings, psprintf("%lld row%s %s no group: each NULL counts as a patient of its own, "
									   "all empty texts as one",
									   (long long) dataset->rows_without_group,
									   dataset->rows_without_group == 1 ? "" : "s",
									   dataset->rows_without_group == 1 ? "has" : "have"));
	return warnings;
}

List *
pneumo_dataset_require(const PneumoDataset *dataset, const PneumoConfig *config)
{
	List *warnings = NIL;
	StringInfoData few;
	int split;
	int c;

	initStringInfo(&few);
	if (dataset->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no row can be used: of %lld rows, %lld are without image, %lld "
						"unlabelled, %lld unreadable, %lld conflicting",
						(long long) dataset->n_rows, (long long) dataset->left_out[PNEUMO_OUT_NO_IMAGE],
						(long long) dataset->left_out[PNEUMO_OUT_UNLABELLED],
						(long long) dataset->left_out[PNEUMO_OUT_UNREADABLE],
						(long long) dataset->left_out[PNEUMO_OUT_CONFLICT])));

	for (split = PNEUMO_TRAIN; split <= PNEUMO_TEST; split++)
	{
		if (!split_is_wanted(dataset, config, split))
			continue;
		for (c = 0; c < dataset->n_classes; c++)
		{
			int64 groups = dataset->groups[split][c];

			if (groups == 0)
				ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
								errmsg("the %s split has no rows of class \"%s\"", pneumo_split_names[split],
									   dataset->classes[c]),
								config->split_column != NULL
									? 0
									: errhint("Use more data, another \"split_seed\", or other fractions.")));
			if (groups < MIN_GROUPS)
				appendStringInfo(&few, "%s %s %lld of \"%s\"", few.len == 0 ? "" : ",",
								 pneumo_split_names[split], (long long) groups, dataset->classes[c]);
		}
	}
	if (few.len > 0)
		warnings =
			lappend(warnings, psprintf("figures from fewer than %d %s of a class say little:%s", MIN_GROUPS,
									   dataset->group_keys != NULL ? "groups" : "images", few.data));
	return warn_of_splits(warn_of_names(warnings, dataset), dataset, config);
}

/* ---------------------------------------------------------------- manifest */

void
pneumo_dataset_manifest(PneumoManifest *manifest, const PneumoDataset *dataset)
{
	int64 i;

	memset(manifest, 0, sizeof(*manifest));
	manifest->n = dataset->n;
	manifest->entries =
		MemoryContextAllocHuge(CurrentMemoryContext, Max(1, dataset->n) * sizeof(PneumoManifestEntry));
	for (i = 0; i < dataset->n; i++)
	{
		const PneumoSample *sample = &dataset->samples[i];
		PneumoManifestEntry *entry = &manifest->entries[i];

		memcpy(entry->sha256, sample->sha256, PNEUMO_SHA256_LEN);
		memcpy(entry->group, sample->group, PNEUMO_SHA256_LEN);
		entry->split = (uint8) sample->split;
	}
}

static int
compare_hashes(const void *left, const void *right)
{
	return memcmp(left, right, PNEUMO_SHA256_LEN);
}

/* Returns the sorted hashes of images and groups that the manifest has on the marked splits; *n of them. */
static uint8 *
hashes_of(const PneumoManifest *manifest, const bool *manifest_splits, int64 *n)
{
	uint8 *hashes = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, manifest->n) * 2 * PNEUMO_SHA256_LEN);
	int64 i;

	*n = 0;
	for (i = 0; i < manifest->n; i++)
	{
		const PneumoManifestEntry *entry = &manifest->entries[i];

		if (!manifest_splits[entry->split])
			continue;
		memcpy(hashes + (*n)++ * PNEUMO_SHA256_LEN, entry->sha256, PNEUMO_SHA256_LEN);
		memcpy(hashes + (*n)++ * PNEUMO_SHA256_LEN, entry->group, PNEUMO_SHA256_LEN);
	}
	qsort(hashes, *n, PNEUMO_SHA256_LEN, compare_hashes);
	return hashes;
}

/* Whether the image or the group of a sample is among sorted hashes. */
static bool
is_known(const PneumoSample *sample, const uint8 *hashes, int64 n)
{
	return bsearch(sample->sha256, hashes, n, PNEUMO_SHA256_LEN, compare_hashes) != NULL ||
		   bsearch(sample->group, hashes, n, PNEUMO_SHA256_LEN, compare_hashes) != NULL;
}

int64
pneumo_dataset_exclude(PneumoDataset *dataset, const bool *sample_splits, const PneumoManifest *manifest,
					   const bool *manifest_splits)
{
	int64 n;
	uint8 *hashes = hashes_of(manifest, manifest_splits, &n);
	int64 excluded = 0;
	int64 i;

	for (i = 0; i < dataset->n; i++)
	{
		PneumoSample *s = &dataset->samples[i];

		if (sample_splits[s->split] && is_known(s, hashes, n))
		{
			s->dropped = true;
			excluded++;
		}
	}
	pfree(hashes);
	dataset->left_out[PNEUMO_OUT_SEEN] += excluded;
	remove_dropped(dataset);
	count_samples(dataset);
	return excluded;
}

bool
pneumo_dataset_has(const PneumoDataset *dataset, const bool *sample_splits, const PneumoManifest *manifest,
				   const bool *manifest_splits)
{
	int64 n;
	uint8 *hashes = hashes_of(manifest, manifest_splits, &n);
	bool found = false;
	int64 i;

	for (i = 0; i < dataset->n && !found; i++)
		found = sample_splits[dataset->samples[i].split] && is_known(&dataset->samples[i], hashes, n);
	pfree(hashes);
	return found;
}

/* ----------------------------------------------------------------- summary */

char *
pneumo_dataset_summary(const PneumoDataset *dataset)
{
	static const char *const roles[] = {" (negative)", " (positive)"};
	StringInfoData text;
	int64 groups = 0;
	bool first = true;
	int split;
	int c;
	int i;

	initStringInfo(&text);
	for (split = PNEUMO_TRAIN; split <= PNEUMO_TEST; split++)
	{
		appendStringInfo(&text, "%s%s %lld", split == PNEUMO_TRAIN ? "" : ", ", pneumo_split_names[split],
						 (long long) dataset->split_rows[split]);
		groups += dataset->split_groups[split];
	}
	appendStringInfoString(&text, " images");
	if (dataset->group_keys != NULL)
		appendStringInfo(&text, " of %lld patients", (long long) groups);
	for (c = 0; c < dataset->n_classes; c++)
		appendStringInfo(&text, "%s%s%s %lld", c == 0 ? "; classes " : ", ", pneumo_clip(dataset->classes[c]),
						 dataset->n_classes == 2 ? roles[c] : "",
						 (long long) (dataset->rows[PNEUMO_TRAIN][c] + dataset->rows[PNEUMO_VALIDATION][c] +
									  dataset->rows[PNEUMO_TEST][c]));
	for (i = 0; i < PNEUMO_N_LEFT_OUT; i++)
	{
		if (dataset->left_out[i] == 0)
			continue;
		appendStringInfo(&text, "%s%s %lld", first ? "; left out: " : ", ", pneumo_left_out_names[i],
						 (long long) dataset->left_out[i]);
		first = false;
	}
	return text.data;
}

/* -------------------------------------------------------------------- JSON */

Jsonb *
pneumo_dataset_counts_json(const PneumoDataset *dataset, bool groups)
{
	PneumoJson json;
	int split;
	int c;

	pneumo_json_begin(&json);
	for (split = PNEUMO_TRAIN; split <= PNEUMO_TEST; split++)
	{
		pneumo_json_open_object(&json, pneumo_split_names[split]);
		for (c = 0; c < dataset->n_classes; c++)
			pneumo_json_add_int(&json, dataset->classes[c],
								groups ? dataset->groups[split][c] : dataset->rows[split][c]);
		pneumo_json_close(&json);
	}
	return pneumo_json_end(&json);
}

Jsonb *
pneumo_dataset_left_out_json(const PneumoDataset *dataset)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; i < PNEUMO_N_LEFT_OUT; i++)
		if (dataset->left_out[i] != 0)
			pneumo_json_add_int(&json, pneumo_left_out_names[i], dataset->left_out[i]);
	if (dataset->history_unknown)
		pneumo_json_add_bool(&json, "training images unknown", true);
	if (dataset->first_bad != NULL)
		pneumo_json_add_string(&json, "first unreadable", dataset->first_bad);
	if (dataset->first_conflict != NULL)
		pneumo_json_add_string(&json, "conflicts", dataset->first_conflict);
	return pneumo_json_end(&json);
}
