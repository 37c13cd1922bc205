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
	if (a->present != b->present)
		return a->present < b->present ? -1 : 1;
	if (a->known != b->known)
		return a->known < b->known ? -1 : 1;
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

/* Returns the label of a sample, or its findings, for a message. */
static char *
label_text(const PneumoDataset *dataset, const PneumoSample *sample)
{
	StringInfoData text;
	int c;

	if (!dataset->multi_label)
		return dataset->classes[sample->label];
	initStringInfo(&text);
	for (c = 0; c < dataset->n_classes; c++)
		if (pneumo_sample_target(sample, c) == 1)
			appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", dataset->classes[c]);
	return text.len > 0 ? text.data : "none";
}

/* Tells whether two samples cannot both be right: other labels, or a finding that one has and one has not. */
static bool
contradict(const PneumoSample *a, const PneumoSample *b)
{
	return a->label != b->label || ((a->present ^ b->present) & a->known & b->known) != 0;
}

/*
 * Drops all but one of identical images: the copy on the most held-out split
 * counts, and none if their labels contradict each other.  What is known of the
 * findings of one copy is known of the other, too.
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
		PneumoSample all = *first;
		bool conflict = false;
		int64 best = i;
		int64 k;

		for (end = i + 1;
			 end < dataset->n && memcmp(dataset->samples[end].sha256, first->sha256, PNEUMO_SHA256_LEN) == 0;
			 end++)
		{
			if (contradict(&dataset->samples[end], &all))
				conflict = true;
			all.present |= dataset->samples[end].present;
			all.known |= dataset->samples[end].known;
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
		if (!conflict)
		{
			dataset->samples[best].present = all.present;
			dataset->samples[best].known = all.known;
		}
		if (conflict && n_named++ < NAMED_CONFLICTS)
		{
			if (conflicts.len > 0)
				appendStringInfoString(&conflicts, "; ");
			for (k = i; k < Min(end, i + 4); k++)
				appendStringInfo(&conflicts, "%s%s (%s)", k > i ? ", " : "",
								 dataset->samples[k].key ? dataset->samples[k].key : "a row",
								 label_text(dataset, &dataset->samples[k]));
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

/*
 * Counts rows and distinct groups by split and finding.  order lists the samples,
 * those of a group side by side.
 */
static void
count_findings(PneumoDataset *dataset, PneumoSample *const *order)
{
	uint64 all = PG_UINT64_MAX >> (64 - dataset->n_classes);
	uint64 present = 0; /* in any sample of the group */
	uint64 absent = 0;
	int64 i;
	int c;

	for (i = 0; i < dataset->n; i++)
	{
		const PneumoSample *s = order[i];
		const PneumoSample *next = i + 1 < dataset->n ? order[i + 1] : NULL;
		bool last = next == NULL || memcmp(next->group, s->group, PNEUMO_SHA256_LEN) != 0;

		present |= s->present;
		absent |= s->known & ~s->present;
		dataset->rows_without_finding[s->split] += s->known == all && s->present == 0;
		for (c = 0; c < dataset->n_classes; c++)
		{
			int target = pneumo_sample_target(s, c);

			dataset->rows[s->split][c] += target == 1;
			dataset->absent_rows[s->split][c] += target == 0;
			if (!last)
				continue;
			dataset->groups[s->split][c] += (present >> c) & 1;
			dataset->absent_groups[s->split][c] += (absent >> c) & 1;
		}
		if (last)
			present = absent = 0;
	}
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
	memset(dataset->absent_rows, 0, sizeof(dataset->absent_rows));
	memset(dataset->absent_groups, 0, sizeof(dataset->absent_groups));
	memset(dataset->rows_without_finding, 0, sizeof(dataset->rows_without_finding));
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

		if (!dataset->multi_label)
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
		if (!dataset->multi_label && (!same || previous->label != s->label))
			dataset->groups[s->split][s->label]++;
	}
	if (dataset->multi_label)
		count_findings(dataset, order);
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
		if (dataset->multi_label)
		{
			pneumo_sha256_add(ctx, &s->present, sizeof(s->present));
			pneumo_sha256_add(ctx, &s->known, sizeof(s->known));
		}
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

void
pneumo_dataset_view(PneumoDataset *dataset, int finding, char *const *classes)
{
	int64 i;

	for (i = 0; i < dataset->n; i++)
	{
		int target = pneumo_sample_target(&dataset->samples[i], finding);

		dataset->samples[i].dropped = target == NN_UNKNOWN;
		dataset->samples[i].label = target == 1;
		dataset->left_out[PNEUMO_OUT_UNLABELLED] += target == NN_UNKNOWN;
	}
	dataset->multi_label = false;
	dataset->n_classes = 2;
	for (i = 0; i < 2; i++)
		dataset->classes[i] = classes[i];
	remove_dropped(dataset);
	count_samples(dataset);
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

char *
pneumo_dataset_other_findings(const PneumoDataset *dataset)
{
	if (dataset->rows_with_others == 0)
		return NULL;
	return psprintf("%lld row%s findings that are not looked at, as \"%s\"",
					(long long) dataset->rows_with_others, dataset->rows_with_others == 1 ? " has" : "s have",
					pneumo_clip(dataset->first_other));
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

/* Adds to few what a split has too few groups of. */
static void
note_few(StringInfo few, int split, int64 groups, const char *with, const char *class)
{
	if (groups < MIN_GROUPS)
		appendStringInfo(few, "%s %s %lld %s \"%s\"", few->len == 0 ? "" : ",", pneumo_split_names[split],
						 (long long) groups, with, class);
}

/*
 * Raises an error for a finding that all or none of the training split's rows have,
 * and notes in few where there are few groups, in none where a split cannot tell
 * anything of a finding.
 */
static void
require_findings(const PneumoDataset *dataset, int split, StringInfo few, StringInfo none)
{
	int c;

	for (c = 0; c < dataset->n_classes; c++)
	{
		int64 with = dataset->groups[split][c];
		int64 without = dataset->absent_groups[split][c];
		const char *name = dataset->classes[c];

		if (split == PNEUMO_TRAIN && (with == 0 || without == 0))
			ereport(ERROR,
					(errcode(ERRCODE_NO_DATA_FOUND),
					 errmsg("the train split has no rows %s finding \"%s\"", with == 0 ? "with" : "without",
							name),
					 errhint("Leave the finding out with \"classes\" or \"label_columns\", or use more "
							 "data or another split.")));
		if (with == 0 || without == 0)
			appendStringInfo(none, "%s no row on %s %s \"%s\"", none->len == 0 ? "" : ",",
							 pneumo_split_names[split], with == 0 ? "with" : "without", name);
		else
		{
			note_few(few, split, with, "with", name);
			note_few(few, split, without, "without", name);
		}
	}
}

List *
pneumo_dataset_require(const PneumoDataset *dataset, const PneumoConfig *config)
{
	List *warnings = NIL;
	StringInfoData few;
	StringInfoData none;
	char *others = pneumo_dataset_other_findings(dataset);
	int split;
	int c;

	initStringInfo(&few);
	initStringInfo(&none);
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
		if (dataset->multi_label)
			require_findings(dataset, split, &few, &none);
		for (c = 0; c < dataset->n_classes && !dataset->multi_label; c++)
		{
			int64 groups = dataset->groups[split][c];

			if (groups == 0)
				ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
								errmsg("the %s split has no rows of class \"%s\"", pneumo_split_names[split],
									   dataset->classes[c]),
								config->split_column != NULL
									? 0
									: errhint("Use more data, another \"split_seed\", or other fractions.")));
			note_few(&few, split, groups, "of", dataset->classes[c]);
		}
	}
	if (none.len > 0)
		warnings =
			lappend(warnings, psprintf("figures of a finding are not defined where all or no rows have it:%s",
									   none.data));
	if (others != NULL && config->n_classes == 0)
		warnings = lappend(warnings, others);
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

/* Returns the sum of what the splits have of a class. */
static int64
on_all_splits(const int64 (*rows)[NN_MAX_CLASSES], int class)
{
	return rows[PNEUMO_TRAIN][class] + rows[PNEUMO_VALIDATION][class] + rows[PNEUMO_TEST][class];
}

/* Adds how many images have each finding, and of how many that is known. */
static void
append_findings(StringInfo text, const PneumoDataset *dataset)
{
	int64 all = dataset->split_rows[PNEUMO_TRAIN] + dataset->split_rows[PNEUMO_VALIDATION] +
				dataset->split_rows[PNEUMO_TEST];
	int64 none = dataset->rows_without_finding[PNEUMO_TRAIN] +
				 dataset->rows_without_finding[PNEUMO_VALIDATION] +
				 dataset->rows_without_finding[PNEUMO_TEST];
	int c;

	for (c = 0; c < dataset->n_classes; c++)
	{
		int64 with = on_all_splits(dataset->rows, c);
		int64 unknown = all - with - on_all_splits(dataset->absent_rows, c);

		appendStringInfo(text, "%s%s %lld", c == 0 ? "; findings " : ", ", pneumo_clip(dataset->classes[c]),
						 (long long) with);
		if (unknown > 0)
			appendStringInfo(text, " (unknown of %lld)", (long long) unknown);
	}
	appendStringInfo(text, "; none of them %lld", (long long) none);
	if (dataset->rows_with_others > 0)
		appendStringInfo(text, "; other findings in %lld rows", (long long) dataset->rows_with_others);
}

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
	if (dataset->multi_label)
		append_findings(&text, dataset);
	for (c = 0; c < dataset->n_classes && !dataset->multi_label; c++)
		appendStringInfo(&text, "%s%s%s %lld", c == 0 ? "; classes " : ", ", pneumo_clip(dataset->classes[c]),
						 dataset->n_classes == 2 ? roles[c] : "",
						 (long long) on_all_splits(dataset->rows, c));
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
		{
			int64 with = groups ? dataset->groups[split][c] : dataset->rows[split][c];

			if (!dataset->multi_label)
			{
				pneumo_json_add_int(&json, dataset->classes[c], with);
				continue;
			}
			pneumo_json_open_object(&json, dataset->classes[c]);
			pneumo_json_add_int(&json, "present", with);
			pneumo_json_add_int(&json, "absent",
								groups ? dataset->absent_groups[split][c] : dataset->absent_rows[split][c]);
			if (!groups)
				pneumo_json_add_int(&json, "unknown",
									dataset->split_rows[split] - with - dataset->absent_rows[split][c]);
			pneumo_json_close(&json);
		}
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
