/*-------------------------------------------------------------------------
 *
 * check_duplicates.c
 *	  The same image twice: equal bytes, and nearly equal pictures.
 *
 * Pictures are compared by a difference hash of 64 bits (a bit says whether a
 * cell is darker than its right neighbour, 8 rows of 9 cells), and those with
 * near hashes by the correlation of their 18 x 16 pixels.  The hash alone will
 * not do: chest X-rays are so alike that of 2,500 real ones 193 pairs of
 * different patients have equal hashes, and none of these pairs correlates
 * above 0.99, while copies at half the size, at quality 40 or 15 % brighter
 * differ in at most 3 bits and correlate above 0.993.  A crop is not found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "pg/explore/explore.h"

#define NAMED 8 /* keys of the copies of one image */
#define CORRELATION 0.99

static int
compare_items(const void *left, const void *right, void *arg)
{
	const PneumoCheckItem *a = left;
	const PneumoCheckItem *b = right;
	int c = memcmp(a->sha256, b->sha256, PNEUMO_SHA256_LEN);

	(void) arg;
	return c != 0 ? c : strcmp(a->key, b->key);
}

static bool
same_bytes(const PneumoCheckItem *a, const PneumoCheckItem *b)
{
	return memcmp(a->sha256, b->sha256, PNEUMO_SHA256_LEN) == 0;
}

/* ------------------------------------------------------------- equal bytes */

/* Copies of one image: items[first] to items[first + n - 1]. */
typedef struct Copies
{
	int64 first;
	int64 n;
	int splits;    /* bits by split */
	bool conflict; /* labels differ */
} Copies;

static Copies
find_copies(const PneumoCheck *check, int64 first)
{
	Copies copies = {first, 0, 0, false};
	int label = -1;
	uint64 present = 0;
	uint64 known = 0;

	while (first + copies.n < check->n && same_bytes(&check->items[first], &check->items[first + copies.n]))
	{
		const PneumoCheckItem *item = &check->items[first + copies.n++];

		if (item->split >= 0)
			copies.splits |= 1 << item->split;
		if (((item->present ^ present) & item->known & known) != 0)
			copies.conflict = true;
		present |= item->present;
		known |= item->known;
		if (item->label < 0)
			continue;
		if (label >= 0 && item->label != label)
			copies.conflict = true;
		label = item->label;
	}
	return copies;
}

static bool
two_splits(int splits)
{
	return (splits & (splits - 1)) != 0;
}

static void
put_copies(PneumoCheck *check, const Copies *copies)
{
	StringInfoData keys;
	StringInfoData detail;
	int64 i;

	initStringInfo(&keys);
	initStringInfo(&detail);
	for (i = 0; i < Min(copies->n, NAMED); i++)
		appendStringInfo(&keys, "%s%s", i > 0 ? "; " : "", check->items[copies->first + i].key);
	if (copies->n > NAMED)
		appendStringInfo(&keys, "; and %lld more", (long long) (copies->n - NAMED));
	appendStringInfo(&detail, "%s, on %s",
					 copies->conflict ? "with different labels: training leaves all of them out"
									  : "one of them counts",
					 pneumo_check_splits(copies->splits));
	pneumo_check_put(check, "same bytes", copies->conflict || two_splits(copies->splits) ? "warning" : "note",
					 keys.data, copies->n, detail.data);
	pfree(keys.data);
	pfree(detail.data);
}

/* Puts the copies that are serious, or those that are not; counts them off what is left of max_subjects. */
static void
put_all_copies(PneumoCheck *check, bool serious, int *left)
{
	int64 i;
	Copies copies;

	for (i = 0; i < check->n && *left > 0; i += copies.n)
	{
		copies = find_copies(check, i);
		if (copies.n > 1 && (copies.conflict || two_splits(copies.splits)) == serious)
		{
			put_copies(check, &copies);
			--*left;
		}
	}
}

void
pneumo_check_duplicates(PneumoCheck *check)
{
	int64 groups = 0;
	int64 extra = 0;
	int64 conflicts = 0;
	int64 leaks = 0;
	int left = check->max_subjects;
	int64 i;
	Copies copies;

	qsort_interruptible(check->items, check->n, sizeof(PneumoCheckItem), compare_items, NULL);
	for (i = 0; i < check->n; i += copies.n)
	{
		copies = find_copies(check, i);
		groups += copies.n > 1;
		extra += copies.n - 1;
		conflicts += copies.conflict;
		leaks += two_splits(copies.splits);
	}
	pneumo_check_put(
		check, "same bytes",
		conflicts + leaks > 0 ? "warning"
		: extra > 0           ? "note"
							  : "ok",
		NULL, extra,
		groups == 0
			? "no two images have the same bytes"
			: psprintf("copies of %lld image%s: %lld with different labels, %lld on more than one split",
					   (long long) groups, groups == 1 ? "" : "s", (long long) conflicts, (long long) leaks));
	put_all_copies(check, true, &left);
	put_all_copies(check, false, &left);
}

/* --------------------------------------------------------- near duplicates */

typedef struct Pair
{
	const PneumoCheckItem *a;
	const PneumoCheckItem *b;
	int distance; /* bits */
	double correlation;
	bool leak; /* on two splits */
} Pair;

/* An image to compare. */
typedef struct Picture
{
	const PneumoCheckItem *item;
	double mean; /* of the thumbnail */
	double norm; /* root of the summed squares about it */
} Picture;

/* The worst pairs so far, worst first. */
typedef struct Pairs
{
	Pair *pair;
	int n;
	int max;
	int64 found;
	int64 leaks;
} Pairs;

static bool
is_worse(const Pair *a, const Pair *b)
{
	if (a->leak != b->leak)
		return a->leak;
	return a->correlation > b->correlation;
}

static void
add_pair(Pairs *pairs, const PneumoCheckItem *a, const PneumoCheckItem *b, int distance, double correlation)
{
	Pair pair = {a, b, distance, correlation, a->split >= 0 && b->split >= 0 && a->split != b->split};
	int i;

	pairs->found++;
	pairs->leaks += pair.leak;
	if (pairs->n < pairs->max)
		pairs->n++;
	else if (pairs->max == 0 || !is_worse(&pair, &pairs->pair[pairs->n - 1]))
		return;
	for (i = pairs->n - 1; i > 0 && is_worse(&pair, &pairs->pair[i - 1]); i--)
		pairs->pair[i] = pairs->pair[i - 1];
	pairs->pair[i] = pair;
}

static void
put_pair(PneumoCheck *check, const Pair *pair)
{
	const PneumoCheckItem *a = pair->a;
	const PneumoCheckItem *b = pair->b;
	StringInfoData detail;
	int splits = 0;

	if (a->split >= 0)
		splits |= 1 << a->split;
	if (b->split >= 0)
		splits |= 1 << b->split;
	initStringInfo(&detail);
	appendStringInfo(&detail, "correlation %.4f, %d of 64 bits differ, on %s", pair->correlation,
					 pair->distance, pneumo_check_splits(splits));
	if (a->group != NULL && b->group != NULL)
		appendStringInfo(&detail, ", %s group", strcmp(a->group, b->group) == 0 ? "the same" : "another");
	if ((a->label >= 0 && b->label >= 0 && a->label != b->label) ||
		((a->present ^ b->present) & a->known & b->known) != 0)
		appendStringInfoString(&detail, ", different labels");
	pneumo_check_put(check, "near duplicates", pair->leak ? "warning" : "note",
					 psprintf("%s; %s", a->key, b->key), 2, detail.data);
	pfree(detail.data);
}

static uint32
product(const uint8 *a, const uint8 *b)
{
	uint32 sum = 0;
	int i;

	for (i = 0; i < PNEUMO_CHECK_THUMB; i++)
		sum += (uint32) a[i] * b[i];
	return sum;
}

static void
prepare_picture(Picture *picture, const PneumoCheckItem *item)
{
	uint32 sum = 0;
	int i;

	for (i = 0; i < PNEUMO_CHECK_THUMB; i++)
		sum += item->thumb[i];
	picture->item = item;
	picture->mean = (double) sum / PNEUMO_CHECK_THUMB;
	picture->norm = sqrt(Max(product(item->thumb, item->thumb) - picture->mean * sum, 0.0));
}

/* Returns the correlation of two thumbnails; two without any contrast are equal. */
static double
correlation(const Picture *a, const Picture *b)
{
	if (a->norm == 0 || b->norm == 0)
		return a->norm == b->norm ? 1 : 0;
	return (product(a->item->thumb, b->item->thumb) - PNEUMO_CHECK_THUMB * a->mean * b->mean) /
		   (a->norm * b->norm);
}

static void
compare_pictures(Pairs *pairs, const Picture *pictures, int64 n, int distance)
{
	int64 i;
	int64 j;

	for (i = 0; i < n; i++)
	{
		uint64 hash = pictures[i].item->dhash;

		CHECK_FOR_INTERRUPTS();
		for (j = i + 1; j < n; j++)
		{
			int bits = pg_popcount64(hash ^ pictures[j].item->dhash);
			double r;

			if (bits > distance)
				continue;
			r = correlation(&pictures[i], &pictures[j]);
			if (r >= CORRELATION)
				add_pair(pairs, pictures[i].item, pictures[j].item, bits, r);
		}
	}
}

void
pneumo_check_near(PneumoCheck *check)
{
	Picture *pictures;
	Pairs pairs = {NULL, 0, check->max_subjects, 0, 0};
	int64 different = 0;
	int64 n = 0;
	char *detail;
	int64 i;
	int k;

	if (check->near_images == 0)
		return;
	pictures =
		MemoryContextAllocHuge(check->cxt, Max(1, Min(check->n, check->near_images)) * sizeof(Picture));
	for (i = 0; i < check->n; i++)
	{
		if (i > 0 && same_bytes(&check->items[i], &check->items[i - 1]))
			continue;
		different++;
		if (n < check->near_images)
			prepare_picture(&pictures[n++], &check->items[i]);
	}
	pairs.pair = MemoryContextAlloc(check->cxt, sizeof(Pair) * Max(1, pairs.max));
	compare_pictures(&pairs, pictures, n, check->near_distance);

	detail = psprintf("pairs of nearly equal pictures, %lld of them on two splits; %lld%s images compared",
					  (long long) pairs.leaks, (long long) n,
					  n < different ? psprintf(" of %lld", (long long) different) : "");
	pneumo_check_put(check, "near duplicates",
					 pairs.leaks > 0                    ? "warning"
					 : pairs.found > 0 || n < different ? "note"
														: "ok",
					 NULL, pairs.found, detail);
	for (k = 0; k < pairs.n; k++)
		put_pair(check, &pairs.pair[k]);
}
