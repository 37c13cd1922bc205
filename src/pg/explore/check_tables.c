/*-------------------------------------------------------------------------
 *
 * check_tables.c
 *	  What pneumo_check finds by counting: groups on splits, sizes, classes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/explore/explore.h"
#include "pg/source/source.h"

#define FEW_GROUPS 20 /* of a class on a split */
#define UNEVEN 4.0    /* images of the largest class to the smallest */

/* How many grey levels the border of a negative is at least brighter than its centre. */
#define NEGATIVE_MARGIN 10

/* Returns pointers to all items, in the order of compare. */
static PneumoCheckItem **
sorted_items(PneumoCheck *check, int (*compare)(const void *left, const void *right, void *arg))
{
	PneumoCheckItem **order =
		MemoryContextAllocHuge(check->cxt, Max(1, check->n) * sizeof(PneumoCheckItem *));
	int64 i;

	for (i = 0; i < check->n; i++)
		order[i] = &check->items[i];
	qsort_interruptible(order, check->n, sizeof(PneumoCheckItem *), compare, NULL);
	return order;
}

#define ITEM(pointer) (*(const PneumoCheckItem *const *) (pointer))

/* ------------------------------------------------------------------ groups */

/* Orders items by their group; those without come last. */
static int
compare_groups(const void *left, const void *right, void *arg)
{
	const char *a = ITEM(left)->group;
	const char *b = ITEM(right)->group;

	(void) arg;
	if (a == NULL || b == NULL)
		return (a == NULL) - (b == NULL);
	return strcmp(a, b);
}

static void
put_group(PneumoCheck *check, PneumoCheckItem *const *items, int64 n, int splits)
{
	char *on[3] = {NULL, NULL, NULL};
	int64 i;

	for (i = 0; i < n; i++)
		if (items[i]->split >= 0 && on[items[i]->split] == NULL)
			on[items[i]->split] = items[i]->key;
	pneumo_check_put(check, "group on two splits", "warning", items[0]->group, n,
					 psprintf("on %s, for example rows %s%s%s%s%s", pneumo_check_splits(splits),
							  on[0] ? on[0] : "", on[0] && (on[1] || on[2]) ? " and " : "",
							  on[1] ? on[1] : "", on[1] && on[2] ? " and " : "", on[2] ? on[2] : ""));
}

/* Puts the finding about classes that are written in several ways. */
static void
put_similar_classes(PneumoCheck *check)
{
	PneumoSimilar *classes = pneumo_similar_of(CurrentMemoryContext, check->classes, check->n_classes);
	const char *example;
	int64 n = pneumo_similar_count(classes, &example);

	pneumo_check_put(check, "class in several spellings", n > 0 ? "warning" : "ok", NULL, n,
					 n > 0
						 ? psprintf("%s may be one class: they differ only in case, blanks or zeros", example)
						 : "no two classes differ only in case, blanks or zeros");
}

/* Puts the finding about groups that are written in several ways. */
static void
put_similar(PneumoCheck *check, PneumoCheckItem **order)
{
	PneumoSimilar *groups = pneumo_similar_begin(CurrentMemoryContext);
	const char *example;
	int64 n;
	int64 i;

	for (i = 0; i < check->n && order[i]->group != NULL; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i == 0 || strcmp(order[i]->group, order[i - 1]->group) != 0)
			pneumo_similar_add(groups, order[i]->group);
	}
	n = pneumo_similar_count(groups, &example);
	pneumo_check_put(
		check, "group in several spellings", n > 0 ? "warning" : "ok", NULL, n,
		n > 0 ? psprintf("as %s: alike but for case, blanks or zeros, so they can be on several splits",
						 example)
			  : "no two groups differ only in case, blanks or zeros");
}

void
pneumo_check_groups(PneumoCheck *check)
{
	PneumoCheckItem **order;
	int64 groups = 0;
	int64 leaks = 0;
	int64 without = 0;
	int pass;
	int64 i;
	int64 end;

	put_similar_classes(check);
	if (check->source->col_group == 0)
	{
		pneumo_check_put(
			check, "group on two splits", "note", NULL, 0,
			"config key group_column is not set: images of one patient may be on several splits");
		return;
	}
	order = sorted_items(check, compare_groups);
	put_similar(check, order);
	/* first the summary, then the groups */
	for (pass = 0; pass < 2; pass++)
	{
		int left = check->max_subjects;

		for (i = 0; i < check->n && order[i]->group != NULL; i = end)
		{
			int splits = 0;

			for (end = i; end < check->n && order[end]->group != NULL &&
						  strcmp(order[end]->group, order[i]->group) == 0;
				 end++)
				if (order[end]->split >= 0)
					splits |= 1 << order[end]->split;
			if (pass == 0)
				groups++;
			if ((splits & (splits - 1)) == 0)
				continue;
			if (pass == 0)
				leaks++;
			else if (left-- > 0)
				put_group(check, order + i, end - i, splits);
		}
		if (pass > 0)
			break;
		without = check->n - i;
		pneumo_check_put(check, "group on two splits",
						 leaks > 0     ? "warning"
						 : without > 0 ? "note"
									   : "ok",
						 NULL, leaks,
						 psprintf("of %lld groups%s%s", (long long) groups,
								  check->source->col_split > 0
									  ? ""
									  : "; the split is a function of the group, so none can be",
								  without == 0 ? ""
											   : psprintf("; %lld images have none, each counts as its own",
														  (long long) without)));
	}
}

/* ------------------------------------------------------------------- sizes */

static int
compare_sizes(const void *left, const void *right, void *arg)
{
	const PneumoCheckItem *a = ITEM(left);
	const PneumoCheckItem *b = ITEM(right);
	int64 difference = (int64) a->width * a->height - (int64) b->width * b->height;

	(void) arg;
	if (difference != 0)
		return difference < 0 ? -1 : 1;
	return a->width - b->width;
}

static void
put_small(PneumoCheck *check)
{
	int height = check->config->preprocess.height;
	int width = check->config->preprocess.width;
	int64 n = 0;
	int64 i;

	for (i = 0; i < check->n; i++)
		n += check->items[i].width < width || check->items[i].height < height;
	pneumo_check_put(check, "small images", n > 0 ? "note" : "ok", NULL, n,
					 psprintf("smaller than the network's %d x %d pixels, so they would be enlarged", width,
							  height));
}

static void
put_components(PneumoCheck *check)
{
	int64 colour = 0;
	int64 i;

	for (i = 0; i < check->n; i++)
		colour += check->items[i].components == 3;
	pneumo_check_put(check, "components", colour > 0 && colour < check->n ? "note" : "ok", NULL,
					 colour > 0 && colour < check->n ? 2 : check->n > 0,
					 psprintf("%lld images with three components, %lld with one", (long long) colour,
							  (long long) (check->n - colour)));
}

void
pneumo_check_sizes(PneumoCheck *check)
{
	PneumoCheckItem **order;
	int64 sizes = 0;
	int64 i;

	if (check->n == 0)
		return;
	order = sorted_items(check, compare_sizes);
	for (i = 0; i < check->n; i++)
		sizes += i == 0 || order[i]->width != order[i - 1]->width || order[i]->height != order[i - 1]->height;
	pneumo_check_put(
		check, "sizes", sizes > 1 ? "note" : "ok", NULL, sizes,
		sizes == 1
			? psprintf("all images have %d x %d pixels", order[0]->width, order[0]->height)
			: psprintf("different sizes: smallest %d x %d, middle %d x %d, largest %d x %d pixels",
					   order[0]->width, order[0]->height, order[check->n / 2]->width,
					   order[check->n / 2]->height, order[check->n - 1]->width, order[check->n - 1]->height));
	put_small(check);
	put_components(check);
}

/* --------------------------------------------------------------- negatives */

/*
 * Tells whether an image is brighter along its border than in its centre.  A chest
 * X-ray is dark around the body and bright in the mediastinum, so that only a
 * negative is so: of 1200 X-rays of children none was.
 */
static bool
is_negative(const PneumoCheckItem *item)
{
	const int rows = PNEUMO_CHECK_THUMB_ROWS;
	const int columns = PNEUMO_CHECK_THUMB_COLUMNS;
	int border = 0;
	int n_border = 0;
	int centre = 0;
	int n_centre = 0;
	int y;
	int x;

	for (y = 0; y < rows; y++)
		for (x = 0; x < columns; x++)
		{
			int v = item->thumb[y * columns + x];

			if (y == 0 || x == 0 || y == rows - 1 || x == columns - 1)
			{
				border += v;
				n_border++;
			}
			else if (y >= 4 && y < 12 && x >= 5 && x < 13)
			{
				centre += v;
				n_centre++;
			}
		}
	return (double) border / n_border > (double) centre / n_centre + NEGATIVE_MARGIN;
}

/* Puts the finding about images that look like negatives, by class, and the first of them. */
void
pneumo_check_negatives(PneumoCheck *check)
{
	int64 images[NN_MAX_CLASSES] = {0};
	int64 negatives[NN_MAX_CLASSES] = {0};
	int64 n = 0;
	int left = check->max_subjects;
	StringInfoData detail;
	int c;
	int64 i;

	for (i = 0; i < check->n; i++)
	{
		bool negative = is_negative(&check->items[i]);

		n += negative;
		for (c = 0; c < check->n_classes; c++)
		{
			if (pneumo_check_target(check, &check->items[i], c) != 1)
				continue;
			images[c]++;
			negatives[c] += negative;
		}
	}
	initStringInfo(&detail);
	appendStringInfoString(&detail, n == 0 ? "no image is brighter at its border than in its centre"
										   : "brighter at the border than in the centre, as negatives are");
	for (c = 0; n > 0 && c < check->n_classes; c++)
		appendStringInfo(&detail, "%s \"%s\" %lld of %lld", c == 0 ? ": class" : ",",
						 pneumo_clip(check->classes[c]), (long long) negatives[c], (long long) images[c]);
	pneumo_check_put(check, "negatives", n > 0 ? "warning" : "ok", NULL, n, detail.data);
	for (i = 0; i < check->n && n > 0 && left > 0; i++)
		if (is_negative(&check->items[i]))
		{
			pneumo_check_put(check, "negatives", "warning", check->items[i].key, 1, NULL);
			left--;
		}
}

/* ----------------------------------------------------------------- classes */

typedef struct ClassCounts
{
	int64 images;
	int64 split_images[3];
	int64 split_groups[3];
} ClassCounts;

/* Orders items by split and group. */
static int
compare_places(const void *left, const void *right, void *arg)
{
	const PneumoCheckItem *a = ITEM(left);
	const PneumoCheckItem *b = ITEM(right);

	(void) arg;
	if (a->split != b->split)
		return a->split - b->split;
	return (a->cluster > b->cluster) - (a->cluster < b->cluster);
}

static void
count_classes(ClassCounts *counts, PneumoCheck *check)
{
	PneumoCheckItem **order = sorted_items(check, compare_places);
	int64 i;
	int c;

	for (c = 0; c < check->n_classes; c++)
	{
		int64 last = -1; /* with the class */

		for (i = 0; i < check->n; i++)
		{
			const PneumoCheckItem *item = order[i];

			if (pneumo_check_target(check, item, c) != 1)
				continue;
			counts[c].images++;
			if (item->split < 0)
				continue;
			counts[c].split_images[item->split]++;
			counts[c].split_groups[item->split] +=
				last < 0 || compare_places(&order[last], &order[i], NULL) != 0;
			last = i;
		}
	}
}

/* Tells whether a training would use the split. */
static bool
split_is_used(const PneumoCheck *check, const ClassCounts *counts, int split)
{
	int c;

	if (check->source->col_split == 0 && split != PNEUMO_TRAIN)
		return (split == PNEUMO_VALIDATION ? check->config->validation_split : check->config->test_split) > 0;
	for (c = 0; c < check->n_classes; c++)
		if (counts[c].split_images[split] > 0)
			return true;
	return split == PNEUMO_TRAIN;
}

static void
put_class(PneumoCheck *check, const ClassCounts *counts, int c, int64 labelled)
{
	const char *severity = "ok";
	StringInfoData detail;
	int split;

	initStringInfo(&detail);
	appendStringInfo(&detail, "%.1f %% of the images", 100.0 * (double) counts[c].images / (double) labelled);
	for (split = PNEUMO_TRAIN; split <= PNEUMO_TEST; split++)
	{
		int64 groups = counts[c].split_groups[split];

		if (!split_is_used(check, counts, split))
			continue;
		appendStringInfo(&detail, "%s %lld on %s", split == PNEUMO_TRAIN ? ":" : ",",
						 (long long) counts[c].split_images[split], pneumo_split_names[split]);
		if (check->source->col_group > 0)
			appendStringInfo(&detail, " (%lld group%s)", (long long) groups, groups == 1 ? "" : "s");
		if (groups == 0)
			severity = "warning";
		else if (groups < FEW_GROUPS && strcmp(severity, "ok") == 0)
			severity = "note";
	}
	pneumo_check_put(check, "classes", severity, check->classes[c], counts[c].images, detail.data);
	pfree(detail.data);
}

void
pneumo_check_classes(PneumoCheck *check)
{
	ClassCounts *counts;
	int order[NN_MAX_CLASSES];
	int64 labelled = 0;
	int64 k;
	int64 most = 0;
	int64 least = PG_INT64_MAX;
	int n = check->n_classes;
	int i;
	int j;

	if (!pneumo_source_labelled(check->source))
		return;
	counts = MemoryContextAllocZero(check->cxt, sizeof(ClassCounts) * NN_MAX_CLASSES);
	count_classes(counts, check);
	for (i = 0; i < n; i++)
	{
		most = Max(most, counts[i].images);
		least = Min(least, counts[i].images);
		for (j = i; j > 0 && strcmp(check->classes[i], check->classes[order[j - 1]]) < 0; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (k = 0; k < check->n; k++)
		labelled += check->items[k].label >= 0 || check->items[k].known != 0;
	if (check->multi_label)
		pneumo_check_put(check, "classes", n == 0 || least == 0 ? "warning" : "ok", NULL, n,
						 "findings, of which an image can have several, or none");
	else
		pneumo_check_put(check, "classes",
						 n < 2 || least == 0                       ? "warning"
						 : (double) most > UNEVEN * (double) least ? "note"
																   : "ok",
						 NULL, n,
						 n < 2 ? "training needs at least two classes"
							   : psprintf("the largest has %.1f times the images of the smallest",
										  (double) most / (double) Max(least, 1)));
	for (i = 0; i < n; i++)
		put_class(check, counts, order[i], Max(labelled, 1));
}
