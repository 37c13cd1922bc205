/*-------------------------------------------------------------------------
 *
 * evaluation.c
 *	  A version's scores on the sides of a table.
 *
 * Sides, duplicates and groups are settled as in training, with the columns
 * and seeds of the version's own config unless the call gives others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "image/image.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/evaluate/evaluate.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"

/* What a call may say, and what it takes from the version's config otherwise. */
static const char *const data_keys[] = {"image_column",   "label_column",
										"group_column",   "split_column",
										"key_column",     "validation_split",
										"test_split",     "split_seed",
										"max_bad_images", NULL};

#define MAX_KEYS 32

/* ------------------------------------------------------------------ config */

static void
check_keys(Jsonb *given, const char *const *own_keys)
{
	const char *all[MAX_KEYS];
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue item;
	int n = 0;
	int i;

	for (i = 0; data_keys[i] != NULL; i++)
		all[n++] = data_keys[i];
	for (i = 0; own_keys[i] != NULL && n < MAX_KEYS - 2; i++)
		all[n++] = own_keys[i];
	all[n++] = "version";
	all[n] = NULL;
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char *name;
		const char *near;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(item.val.string.val, item.val.string.len);
		for (i = 0; i < n && strcmp(all[i], name) != 0; i++)
			;
		if (i < n)
			continue;
		near = pneumo_nearest(name, all);
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown config key \"%s\"", pneumo_clip(name)),
						near ? errhint("Did you mean \"%s\"?", near) : 0));
	}
}

static void
push_key(JsonbParseState **state, const char *key, JsonbValue *value)
{
	JsonbValue name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = (int) strlen(key);
	pushJsonbValue(state, WJB_KEY, &name);
	pushJsonbValue(state, WJB_VALUE, value);
}

/* The data keys of the version's own config, under those of the call. */
static Jsonb *
merge_config(Jsonb *given, Jsonb *stored)
{
	JsonbParseState *state = NULL;
	int i;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; data_keys[i] != NULL; i++)
	{
		JsonbValue *value = pneumo_json_get(&given->root, data_keys[i]);

		if (value == NULL && stored != NULL)
			value = pneumo_json_get(&stored->root, data_keys[i]);
		if (value != NULL)
			push_key(&state, data_keys[i], value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
find_version(PneumoEvaluation *e, Jsonb *given)
{
	int64 model = pneumo_model_lookup(e->model, PNEUMO_PREDICT, GetUserId(), false);
	JsonbValue *wanted = pneumo_json_get(&given->root, "version");
	PneumoVersionId deployed;
	Relation rel;
	Snapshot snapshot;
	HeapTuple tuple;
	Datum value;
	bool isnull;

	if (!pneumo_json_is_null(wanted))
		e->id.version = pneumo_json_read_int("config key \"version\"", wanted, 1, 9e15);
	else
		pneumo_require_deployed(e->model, model, &e->id);

	rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	snapshot = pneumo_read_snapshot();
	tuple = pneumo_version_of_model(rel, e->model, model, e->id.version, snapshot);
	UnregisterSnapshot(snapshot);
	pneumo_version_id(rel, tuple, &e->id);
	e->id.deployed = pneumo_model_deployed(model, &deployed) && deployed.version == e->id.version;
	value = heap_getattr(tuple, Anum_version_provenance, RelationGetDescr(rel), &isnull);
	if (!isnull)
	{
		e->provenance = DatumGetJsonbPCopy(value);
		if (!JB_ROOT_IS_OBJECT(e->provenance))
			e->provenance = NULL;
	}
	table_close(rel, AccessShareLock);
}

void
pneumo_evaluation_begin(PneumoEvaluation *e, const char *model, Jsonb *given, const char *const *own_keys)
{
	Jsonb *stored = NULL;

	memset(e, 0, sizeof(*e));
	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the config must be a JSON object")));
	check_keys(given, own_keys);
	e->model = model;
	find_version(e, given);
	if (e->provenance != NULL)
	{
		JsonbValue *config = pneumo_json_get(&e->provenance->root, "config");

		if (pneumo_json_object(config) != NULL)
			stored = JsonbValueToJsonb(config);
	}
	e->config = pneumo_config_parse(merge_config(given, stored));
	e->config->in_backend = true;
	e->scorer = pneumo_scorer_get_batch(&e->scorers, CurrentMemoryContext, &e->id, pneumo_path());
	e->config->preprocess = e->scorer->meta->preprocess;
}

/* ----------------------------------------------------------------- reading */

static int64
score_sample(void *arg, const PneumoSample *sample, const uint8 *pixels)
{
	PneumoEvaluation *e = arg;

	if (e->look != NULL)
		e->look(e->look_arg, sample, pixels);
	if (!e->score[sample->split])
		return -1;
	pneumo_scores_add_pixels(&e->scores, e->n_scored, pixels);
	return e->n_scored++;
}

/* Names of the labels in the order of the model's classes. */
static char **
label_names(const PneumoModelMeta *meta, const PneumoSource *source)
{
	static char *booleans[] = {"false", "true"};
	static char *integers[] = {"0", "1"};
	char **generic = source->label_kind == PNEUMO_LABEL_BOOLEAN   ? booleans
					 : source->label_kind == PNEUMO_LABEL_INTEGER ? integers
																  : NULL;

	if (generic == NULL || meta->n_classes != 2)
		return meta->classes;
	/* the model's own order if it was trained on such labels */
	if (strcmp(meta->classes[0], generic[0]) == 0 || strcmp(meta->classes[0], generic[1]) == 0)
		return meta->classes;
	return generic;
}

static void
hold_out(PneumoEvaluation *e)
{
	static const bool validation[3] = {false, true, false};
	static const bool test[3] = {false, false, true};
	static const bool trained[3] = {true, false, false};
	static const bool selected[3] = {true, true, false};
	PneumoManifest manifest;

	if (!pneumo_manifest_read(e->id.version, &manifest))
		return; /* imported: nobody knows what it has seen */
	if (e->score[PNEUMO_VALIDATION])
		(void) pneumo_dataset_exclude(e->dataset, validation, &manifest, trained);
	if (e->score[PNEUMO_TEST])
		(void) pneumo_dataset_exclude(e->dataset, test, &manifest, selected);
	pneumo_manifest_free(&manifest);
}

void
pneumo_evaluation_read(PneumoEvaluation *e, Oid relid)
{
	PneumoReading reading;
	int i;

	e->source = pneumo_source_check(relid, e->config);
	e->n_scored = 0;
	pneumo_scores_begin(&e->scores, e->scorer);
	memset(&reading, 0, sizeof(reading));
	reading.decode = true;
	for (i = 0; i < 3; i++)
		reading.want[i] = e->score[i] || e->look != NULL;
	reading.sink = score_sample;
	reading.sink_arg = e;
	reading.n_classes = e->scorer->meta->n_classes;
	reading.classes = label_names(e->scorer->meta, e->source);
	e->dataset = pneumo_dataset_read(e->source, e->config, &reading);
	pneumo_scores_finish(&e->scores);
	hold_out(e);
}

int64
pneumo_evaluation_side(int64 **samples, const PneumoEvaluation *e, int side)
{
	int64 n = 0;
	int64 i;

	*samples = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, e->dataset->n) * sizeof(int64));
	for (i = 0; i < e->dataset->n; i++)
		if (e->dataset->samples[i].split == side)
			(*samples)[n++] = i;
	return n;
}

const double *
pneumo_evaluation_probability(const PneumoEvaluation *e, int64 sample)
{
	return e->scores.probability + e->dataset->samples[sample].slot * e->scorer->meta->n_classes;
}

/* ---------------------------------------------------------- images once more */

typedef struct Visitor
{
	PneumoEvaluation *e;
	bool *marked;
	int64 left; /* marks */
	size_t max_bytes;
	PneumoImageVisit visit;
	void *arg;
} Visitor;

/* The sample of these bytes, or -1: identical images count once. */
static int64
find_sample(const PneumoDataset *dataset, const uint8 *sha256)
{
	int64 low = 0;
	int64 high = dataset->n - 1;

	while (low <= high)
	{
		int64 middle = low + (high - low) / 2;
		int c = memcmp(dataset->samples[middle].sha256, sha256, PNEUMO_SHA256_LEN);

		if (c == 0)
			return middle;
		if (c < 0)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return -1;
}

static void
visit_row(void *arg, const PneumoRow *row)
{
	Visitor *v = arg;
	bytea *bytes;
	uint8 sha256[PNEUMO_SHA256_LEN];
	int64 sample;
	ImgError error;

	if (v->left == 0 || !row->has_image || !pneumo_image_bytes(&bytes, row->image, &error))
		return;
	pneumo_sha256(sha256, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	sample = find_sample(v->e->dataset, sha256);
	if (sample < 0 || !v->marked[sample])
		return;
	v->marked[sample] = false;
	v->left--;
	v->visit(v->arg, sample, PointerGetDatum(bytes));
}

void
pneumo_evaluation_visit(PneumoEvaluation *e, bool *marked, PneumoImageVisit visit, void *arg)
{
	Visitor v;
	int64 i;

	memset(&v, 0, sizeof(v));
	v.e = e;
	v.marked = marked;
	v.visit = visit;
	v.arg = arg;
	for (i = 0; i < e->dataset->n; i++)
		v.left += marked[i];
	if (v.left > 0)
		(void) pneumo_source_rows(e->source, visit_row, &v);
}

/* ------------------------------------------------------------------- looks */
