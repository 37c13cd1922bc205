/*-------------------------------------------------------------------------
 *
 * check_duplicates.c
 *	  The same image twice: equal bytes, and nearly equal pictures.
 *
 * Pictures are compared by a difference hash of 64 bits (a bit says whether a
 * cell is darker than its right neighbour, 8 rows of 9 cells): it survives a
 * new compression, another size and a change of exposure.  Two images of equal
 * bytes are one here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "pg/explore.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#define NAMED 8					/* keys of one group of copies */
#define POLL_PAIRS 1000000

static int
compare_items(const void *left, const void *right, void *arg)
{
	const PneumoCheckItem *a = left;
	const PneumoCheckItem *b = right;
	int			c = memcmp(a->sha256, b->sha256, PNEUMO_SHA256_LEN);

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
	int64		first;
	int64		n;
	int			sides;			/* bits */
	bool		conflict;		/* labels differ */
} Copies;

static Copies
find_copies(const PneumoCheck *check, int64 first)
{
	Copies		copies = {first, 0, 0, false};
	int			label = -1;

	while (first + copies.n < check->n &&
		   same_bytes(&check->items[first], &check->items[first + copies.n]))
	{
		const PneumoCheckItem *item = &check->items[first + copies.n++];

		if (item->split >= 0)
			copies.sides |= 1 << item->split;
		if (item->label < 0)
			continue;
		if (label >= 0 && item->label != label)
			copies.conflict = true;
		label = item->label;
	}
	return copies;
}

static bool
two_sides(int sides)
{
	return (sides & (sides - 1)) != 0;
}

static void
put_copies(PneumoCheck *check, const Copies *copies)
{
	StringInfoData keys;
	StringInfoData detail;
	int64		i;

	initStringInfo(&keys);
	initStringInfo(&detail);
	for (i = 0; i < Min(copies->n, NAMED); i++)
		appendStringInfo(&keys, "%s%s", i > 0 ? "; " : "", check->items[copies->first + i].key);
	if (copies->n > NAMED)
		appendStringInfo(&keys, "; and %lld more", (long long) (copies->n - NAMED));
	appendStringInfo(&detail, "%s, on %s",
					 copies->conflict ? "with different labels: training leaves all of them out" : "one of them counts",
					 pneumo_check_sides(copies->sides));
	pneumo_check_put(check, "same bytes",
					 copies->conflict || two_sides(copies->sides) ? "warning" : "note",
					 keys.data, copies->n, detail.data);
	pfree(keys.data);
	pfree(detail.data);
}

/* The groups of copies that put wants to see, at most max_subjects. */
static void
put_all_copies(PneumoCheck *check, bool serious, int *left)
{
	int64		i;
	Copies		copies;

	for (i = 0; i < check->n && *left > 0; i += copies.n)
	{
		copies = find_copies(check, i);
		if (copies.n > 1 && (copies.conflict || two_sides(copies.sides)) == serious)
		{
			put_copies(check, &copies);
			--*left;
		}
	}
}

void
pneumo_check_duplicates(PneumoCheck *check)
{
	int64		groups = 0;
	int64		extra = 0;
	int64		conflicts = 0;
	int64		leaks = 0;
	int			left = check->max_subjects;
	int64		i;
	Copies		copies;

	qsort_interruptible(check->items, check->n, sizeof(PneumoCheckItem), compare_items, NULL);
	for (i = 0; i < check->n; i += copies.n)
	{
		copies = find_copies(check, i);
		groups += copies.n > 1;
		extra += copies.n - 1;
		conflicts += copies.conflict;
		leaks += two_sides(copies.sides);
	}
	pneumo_check_put(check, "same bytes",
					 conflicts + leaks > 0 ? "warning" : extra > 0 ? "note" : "ok", NULL, extra,
					 groups == 0 ? "no two images have the same bytes" :
					 psprintf("copies of %lld images: %lld with different labels, %lld on more than one side",
							  (long long) groups, (long long) conflicts, (long long) leaks));
	put_all_copies(check, true, &left);
	put_all_copies(check, false, &left);
}

/* --------------------------------------------------------- near duplicates */

typedef struct Pair
{
	const PneumoCheckItem *a;
	const PneumoCheckItem *b;
	int			distance;
	bool		leak;			/* on two sides */
} Pair;

/* The worst pairs so far, worst first. */
typedef struct Pairs
{
	Pair	   *pair;
	int			n;
	int			max;
	int64		found;
	int64		leaks;
} Pairs;

static bool
is_worse(const Pair *a, const Pair *b)
{
	if (a->leak != b->leak)
		return a->leak;
	return a->distance < b->distance;
}

static void
add_pair(Pairs *pairs, const PneumoCheckItem *a, const PneumoCheckItem *b, int distance)
{
	Pair		pair = {a, b, distance, a->split >= 0 && b->split >= 0 && a->split != b->split};
	int			i;

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
	int			sides = 0;

	if (a->split >= 0)
		sides |= 1 << a->split;
	if (b->split >= 0)
		sides |= 1 << b->split;
	initStringInfo(&detail);
	appendStringInfo(&detail, "%d of 64 bits differ, on %s", pair->distance, pneumo_check_sides(sides));
	if (a->group != NULL && b->group != NULL)
		appendStringInfo(&detail, ", %s group", strcmp(a->group, b->group) == 0 ? "the same" : "another");
	if (a->label >= 0 && b->label >= 0 && a->label != b->label)
		appendStringInfoString(&detail, ", different labels");
	pneumo_check_put(check, "near duplicates", pair->leak ? "warning" : "note",
					 psprintf("%s; %s", a->key, b->key), 2, detail.data);
	pfree(detail.data);
}

static void
compare_pictures(Pairs *pairs, const PneumoCheckItem *const *items, int64 n, int distance)
{
	int64		pending = 0;
	int64		i;
	int64		j;

	for (i = 0; i < n; i++)
	{
		uint64		hash = items[i]->dhash;

		pending += n - i;
		if (pending > POLL_PAIRS)
		{
			CHECK_FOR_INTERRUPTS();
			pending = 0;
		}
		for (j = i + 1; j < n; j++)
		{
			int			bits = pg_popcount64(hash ^ items[j]->dhash);

			if (bits <= distance)
				add_pair(pairs, items[i], items[j], bits);
		}
	}
}

void
pneumo_check_near(PneumoCheck *check)
{
	const PneumoCheckItem **items;
	Pairs		pairs = {NULL, 0, check->max_subjects, 0, 0};
	int64		different = 0;
	int64		n = 0;
	char	   *detail;
	int64		i;
	int			k;

	if (check->near_images == 0)
		return;
	items = MemoryContextAllocHuge(check->cxt, check->near_images * sizeof(PneumoCheckItem *));
	for (i = 0; i < check->n; i++)
	{
		if (i > 0 && same_bytes(&check->items[i], &check->items[i - 1]))
			continue;
		different++;
		if (n < check->near_images)
			items[n++] = &check->items[i];
	}
	pairs.pair = MemoryContextAlloc(check->cxt, sizeof(Pair) * Max(1, pairs.max));
	compare_pictures(&pairs, items, n, check->near_distance);

	detail = psprintf("pairs with at most %d of 64 bits different, %lld of them on two sides; %lld%s images compared",
					  check->near_distance, (long long) pairs.leaks, (long long) n,
					  n < different ? psprintf(" of %lld", (long long) different) : "");
	pneumo_check_put(check, "near duplicates",
					 pairs.leaks > 0 ? "warning" : pairs.found > 0 || n < different ? "note" : "ok",
					 NULL, pairs.found, detail);
	for (k = 0; k < pairs.n; k++)
		put_pair(check, &pairs.pair[k]);
}
