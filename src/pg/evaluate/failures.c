/*-------------------------------------------------------------------------
 *
 * failures.c
 *	  pneumo_failures: what a model gets wrong, worst first.
 *
 * The worst is the row whose true class got the least probability.  With each
 * come the training images nearest to it in what the network's last layer
 * reads (pneumo_embed), because they show what the network takes it for.
 *
 * Memory: 8 bytes a class and row of the split, and the embeddings of the
 * failures that are shown (at most limit); training images are compared one by
 * one as they are read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/evaluate/evaluate.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_failures);

#define DEFAULT_LIMIT 100
#define MAX_LIMIT 1000000
#define DEFAULT_NEIGHBOURS 3
#define SMALLEST_PROBABILITY 1e-300

enum
{
	COL_KEY,
	COL_TRUTH,
	COL_PREDICTED,
	COL_PROBABILITY,
	COL_LOSS,
	COL_WRONG,
	COL_NEIGHBOUR_KEYS,
	COL_NEIGHBOUR_CLASSES,
	COL_NEIGHBOUR_DISTANCES,
	N_COLS
};

static const char *const own_keys[] = {"split", "limit", "all_rows", "neighbours", "distance", "class", NULL};
static const char *const splits[] = {"train", "validation", "test", NULL};
static const char *const distances[] = {"cosine", "euclidean", NULL};

typedef struct Wanted
{
	int split;
	int64 limit;
	bool all_rows;
	int n_neighbours;
	PneumoDistance distance;
} Wanted;

/* ---------------------------------------------------------------- the rows */

static int
compare_failures(const void *left, const void *right)
{
	const PneumoFailure *a = left;
	const PneumoFailure *b = right;

	if (a->loss != b->loss)
		return a->loss > b->loss ? -1 : 1;
	if (a->sample != b->sample)
		return a->sample < b->sample ? -1 : 1; /* by SHA-256 */
	return a->finding - b->finding;
}

/* Fills a failure with the findings' answer about one of them; false if nobody knows whether it is there. */
static bool
judge_finding(PneumoFailure *f, const PneumoEvaluation *e, int64 sample, int finding)
{
	const double *probability = pneumo_evaluation_probability(e, sample);
	int truth = pneumo_sample_target(&e->dataset->samples[sample], finding);
	double p = probability[finding];

	if (truth == NN_UNKNOWN)
		return false;
	memset(f, 0, sizeof(*f));
	f->sample = sample;
	f->finding = finding;
	f->predicted = pneumo_finding_called(e->scorer->meta, probability, finding);
	f->score = p;
	f->loss = -log(Max(truth == 1 ? p : 1 - p, SMALLEST_PROBABILITY));
	f->wrong = f->predicted != truth;
	return true;
}

/* Fills a failure with the class that a sample is called by. */
static void
judge_class(PneumoFailure *f, const PneumoEvaluation *e, int64 sample)
{
	const double *probability = pneumo_evaluation_probability(e, sample);
	int truth = e->dataset->samples[sample].label;

	memset(f, 0, sizeof(*f));
	f->sample = sample;
	f->finding = -1;
	f->predicted = pneumo_class_of(e->scorer->meta, probability);
	f->score = pneumo_score_of(e->scorer->meta, probability);
	f->loss = -log(Max(probability[truth], SMALLEST_PROBABILITY));
	f->wrong = f->predicted != truth;
}

int64
pneumo_failures_find(PneumoFailure **failures, const PneumoEvaluation *e, int split, bool right, int finding,
					 int64 limit)
{
	int n_judged = e->dataset->multi_label && finding < 0 ? e->dataset->n_classes : 1;
	int64 *samples;
	int64 n_samples = pneumo_evaluation_split(&samples, e, split);
	PneumoFailure *found =
		MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n_samples) * n_judged * sizeof(PneumoFailure));
	int64 n = 0;
	int64 i;

	for (i = 0; i < n_samples * n_judged; i++)
	{
		PneumoFailure *f = &found[n];
		int64 sample = samples[i / n_judged];

		if (!e->dataset->multi_label)
			judge_class(f, e, sample);
		else if (!judge_finding(f, e, sample, finding < 0 ? (int) (i % n_judged) : finding))
			continue;
		if (f->loss == 0)
			f->loss = 0; /* not -0 */
		n += f->wrong || right;
	}
	qsort(found, n, sizeof(PneumoFailure), compare_failures);
	pfree(samples);
	*failures = found;
	return Min(n, limit);
}

/* ------------------------------------------------------------- neighbours */

typedef struct Search
{
	PneumoEvaluation *e;
	PneumoFailure **wrong; /* n, sorted by sample */
	int64 n;
	float *embedding; /* [n][units] */
	double *length;   /* [n] */
	int units;
	int wanted; /* neighbours */
	PneumoDistance distance;
} Search;

static int
compare_samples(const void *left, const void *right)
{
	int64 a = (*(PneumoFailure *const *) left)->sample;
	int64 b = (*(PneumoFailure *const *) right)->sample;

	return a < b ? -1 : a > b;
}

static double
product(const float *a, const float *b, int n)
{
	double sum = 0;
	int i;

	for (i = 0; i < n; i++)
		sum += (double) a[i] * b[i];
	return sum;
}

/* Returns the place of the first failure of a sample, NULL if it has none: of findings a sample can have several. */
static PneumoFailure **
first_failure(const Search *search, int64 sample)
{
	PneumoFailure probe;
	PneumoFailure *key = &probe;
	PneumoFailure **found;

	probe.sample = sample;
	found = bsearch(&key, search->wrong, search->n, sizeof(PneumoFailure *), compare_samples);
	while (found != NULL && found > search->wrong && found[-1]->sample == sample)
		found--;
	return found;
}

/* Keeps the embedding of a failure and its length. */
static void
keep_embedding(void *arg, int64 sample, const PneumoRow *row, Datum image)
{
	Search *search = arg;
	PneumoFailure **found = first_failure(search, sample);
	int64 at;

	if (found == NULL)
		return;
	(void) pneumo_scorer_run(search->e->scorer, image, PNEUMO_BAD_IMAGE_ERROR, true);
	for (at = found - search->wrong; at < search->n && search->wrong[at]->sample == sample; at++)
	{
		memcpy(search->embedding + at * search->units, search->e->scorer->embedding,
			   search->units * sizeof(float));
		search->length[at] =
			sqrt(product(search->e->scorer->embedding, search->e->scorer->embedding, search->units));
	}
}

/* Inserts a training image where it belongs among the nearest of one failure. */
static void
insert_neighbour(PneumoFailure *failure, int wanted, int64 sample, double distance)
{
	PneumoNeighbour *list = failure->neighbours;
	int at = failure->n_neighbours;

	/* equal ones by SHA-256, whatever the order of the rows */
	while (at > 0 && (list[at - 1].distance > distance ||
					  (list[at - 1].distance == distance && list[at - 1].sample > sample)))
		at--;
	if (at >= wanted)
		return;
	if (failure->n_neighbours < wanted)
		failure->n_neighbours++;
	memmove(&list[at + 1], &list[at], (failure->n_neighbours - 1 - at) * sizeof(PneumoNeighbour));
	list[at].sample = sample;
	list[at].distance = distance;
}

/* Compares a training image with each failure. */
static void
compare_training_image(void *arg, int64 sample, const PneumoRow *row, Datum image)
{
	Search *search = arg;
	const float *embedding;
	double length;
	int64 i;

	(void) pneumo_scorer_run(search->e->scorer, image, PNEUMO_BAD_IMAGE_ERROR, true);
	embedding = search->e->scorer->embedding;
	length = sqrt(product(embedding, embedding, search->units));
	for (i = 0; i < search->n; i++)
	{
		const float *other = search->embedding + i * search->units;
		double distance = 0;
		int u;

		if (search->distance == PNEUMO_DISTANCE_COSINE)
		{
			/* an embedding of zeros has no direction: at a right angle to all */
			double scale = length * search->length[i];

			distance = scale > 0 ? 1 - product(embedding, other, search->units) / scale : 1;
			distance = Max(distance, 0);
		}
		else
		{
			for (u = 0; u < search->units; u++)
			{
				double d = (double) embedding[u] - other[u];

				distance += d * d;
			}
			distance = sqrt(distance);
		}
		insert_neighbour(search->wrong[i], search->wanted, sample, distance);
	}
}

void
pneumo_failures_neighbours(PneumoFailure *failures, int64 n, PneumoEvaluation *e, int n_neighbours,
						   PneumoDistance distance)
{
	Search search;
	bool *marked;
	double bytes;
	int64 i;

	memset(&search, 0, sizeof(search));
	search.e = e;
	search.units = e->scorer->embedding_units;
	search.wanted = n_neighbours;
	search.distance = distance;
	search.wrong = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, n) * sizeof(PneumoFailure *));
	for (i = 0; i < n; i++)
	{
		if (!failures[i].wrong)
			continue;
		failures[i].neighbours = palloc(n_neighbours * sizeof(PneumoNeighbour));
		search.wrong[search.n++] = &failures[i];
	}
	if (search.n == 0 || n_neighbours == 0)
		return;
	bytes = (double) search.n * search.units * sizeof(float);
	if (bytes > (double) pneumo_figures_memory * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the embeddings of %lld failures need %.0f MB, pneumo.figures_memory allows %.0f MB",
						(long long) search.n, ceil(bytes / 1048576), pneumo_figures_memory / 1024.0),
				 errhint("Lower config key \"limit\", set \"neighbours\" to 0, or raise the setting.")));
	search.embedding = MemoryContextAllocHuge(CurrentMemoryContext, (Size) bytes);
	search.length = MemoryContextAllocHuge(CurrentMemoryContext, search.n * sizeof(double));
	qsort(search.wrong, search.n, sizeof(PneumoFailure *), compare_samples);

	marked = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, e->dataset->n));
	memset(marked, 0, e->dataset->n);
	memset(search.embedding, 0, (Size) bytes);
	memset(search.length, 0, search.n * sizeof(double));
	for (i = 0; i < search.n; i++)
		marked[search.wrong[i]->sample] = true;
	pneumo_evaluation_visit(e, marked, keep_embedding, &search);
	for (i = 0; i < e->dataset->n; i++)
		marked[i] = e->dataset->samples[i].split == PNEUMO_TRAIN;
	pneumo_evaluation_visit(e, marked, compare_training_image, &search);
	pfree(marked);
	pfree(search.length);
	pfree(search.embedding);
	pfree(search.wrong);
}

/* --------------------------------------------------------------------- SQL */

static void
read_wanted(Wanted *wanted, Jsonb *given)
{
	JsonbValue *value = pneumo_json_get(&given->root, "split");

	wanted->split = pneumo_json_is_null(value) ? PNEUMO_VALIDATION
											   : pneumo_json_read_enum("config key \"split\"", value, splits);
	value = pneumo_json_get(&given->root, "all_rows");
	wanted->all_rows = !pneumo_json_is_null(value) && pneumo_json_read_bool("config key \"all_rows\"", value);
	value = pneumo_json_get(&given->root, "limit");
	wanted->limit = !pneumo_json_is_null(value)
						? pneumo_json_read_int("config key \"limit\"", value, 1, MAX_LIMIT)
					: wanted->all_rows ? MAX_LIMIT
									   : DEFAULT_LIMIT;
	value = pneumo_json_get(&given->root, "neighbours");
	wanted->n_neighbours =
		pneumo_json_is_null(value)
			? DEFAULT_NEIGHBOURS
			: (int) pneumo_json_read_int("config key \"neighbours\"", value, 0, PNEUMO_MAX_NEIGHBOURS);
	value = pneumo_json_get(&given->root, "distance");
	wanted->distance =
		pneumo_json_is_null(value)
			? PNEUMO_DISTANCE_COSINE
			: (PneumoDistance) pneumo_json_read_enum("config key \"distance\"", value, distances);
}

/* Returns what is said of a finding: its name, or that it is not there, or that nobody knows. */
static const char *
answer(const PneumoEvaluation *e, int finding, int target)
{
	const char *name = e->scorer->meta->classes[finding];

	return target == 1 ? name : psprintf(target == 0 ? "no %s" : "unknown %s", name);
}

/* Fills the three columns of neighbours; they are NULL for a row that has none. */
static void
put_neighbours(Datum *values, bool *nulls, const PneumoFailure *failure, const PneumoEvaluation *e)
{
	Datum keys[PNEUMO_MAX_NEIGHBOURS];
	Datum classes[PNEUMO_MAX_NEIGHBOURS];
	Datum far[PNEUMO_MAX_NEIGHBOURS];
	bool no_key[PNEUMO_MAX_NEIGHBOURS];
	int n = failure->n_neighbours;
	int lower = 1;
	int i;

	for (i = 0; i < n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[failure->neighbours[i].sample];

		no_key[i] = sample->key == NULL;
		keys[i] = no_key[i] ? (Datum) 0 : CStringGetTextDatum(sample->key);
		classes[i] = CStringGetTextDatum(
			failure->finding < 0
				? e->scorer->meta->classes[sample->label]
				: answer(e, failure->finding, pneumo_sample_target(sample, failure->finding)));
		far[i] = Float8GetDatum(failure->neighbours[i].distance);
	}
	nulls[COL_NEIGHBOUR_KEYS] = nulls[COL_NEIGHBOUR_CLASSES] = nulls[COL_NEIGHBOUR_DISTANCES] = n == 0;
	if (n == 0)
		return;
	values[COL_NEIGHBOUR_KEYS] =
		PointerGetDatum(construct_md_array(keys, no_key, 1, &n, &lower, TEXTOID, -1, false, TYPALIGN_INT));
	values[COL_NEIGHBOUR_CLASSES] =
		PointerGetDatum(construct_array(classes, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[COL_NEIGHBOUR_DISTANCES] =
		PointerGetDatum(construct_array(far, n, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static void
put_failure(ReturnSetInfo *result, const PneumoFailure *failure, const PneumoEvaluation *e)
{
	const PneumoSample *sample = &e->dataset->samples[failure->sample];
	Datum values[N_COLS];
	bool nulls[N_COLS] = {false};

	nulls[COL_KEY] = sample->key == NULL;
	values[COL_KEY] = sample->key != NULL ? CStringGetTextDatum(sample->key) : (Datum) 0;
	if (failure->finding < 0)
	{
		values[COL_TRUTH] = CStringGetTextDatum(e->scorer->meta->classes[sample->label]);
		values[COL_PREDICTED] = CStringGetTextDatum(e->scorer->meta->classes[failure->predicted]);
	}
	else
	{
		values[COL_TRUTH] =
			CStringGetTextDatum(answer(e, failure->finding, pneumo_sample_target(sample, failure->finding)));
		values[COL_PREDICTED] = CStringGetTextDatum(answer(e, failure->finding, failure->predicted));
	}
	values[COL_PROBABILITY] = Float8GetDatum(failure->score);
	values[COL_LOSS] = Float8GetDatum(failure->loss);
	values[COL_WRONG] = BoolGetDatum(failure->wrong);
	put_neighbours(values, nulls, failure, e);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
pneumo_failures(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb *given = pneumo_config_argument(fcinfo, 2);
	PneumoEvaluation e;
	Wanted wanted;
	PneumoFailure *failures;
	int finding;
	int64 *samples;
	int64 n_samples;
	int64 n;
	int64 i;

	pneumo_evaluation_begin(&e, pneumo_text_argument(fcinfo, 1), given, own_keys);
	read_wanted(&wanted, given);
	finding = pneumo_judged_finding(&e, given, false, "pneumo_failures");
	if (wanted.split == PNEUMO_TEST)
		pneumo_prevent_write("pneumo_failures() of held-out rows");
	e.score[wanted.split] = true;
	pneumo_evaluation_read(&e, DatumGetObjectId(pneumo_argument(fcinfo, 0)));
	n_samples = pneumo_evaluation_split(&samples, &e, wanted.split);
	if (n_samples == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no row of %s is left on the split \"%s\"", e.source->name, splits[wanted.split]),
				 e.dataset->left_out[PNEUMO_OUT_SEEN] > 0
					 ? errdetail("%lld rows are left out: the version was trained or selected on them.",
								 (long long) e.dataset->left_out[PNEUMO_OUT_SEEN])
					 : 0));
	n = pneumo_failures_find(&failures, &e, wanted.split, wanted.all_rows, finding, wanted.limit);
	/* before the table is read again: that it is tells a view's functions that there are failures */
	(void) pneumo_evaluation_look(&e, &e.id, wanted.split, n_samples, NULL);
	pneumo_failures_neighbours(failures, n, &e, wanted.n_neighbours, wanted.distance);

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < n; i++)
		put_failure(result, &failures[i], &e);
	return (Datum) 0;
}
