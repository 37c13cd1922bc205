/*-------------------------------------------------------------------------
 *
 * evaluation.c
 *	  A version's scores on the splits of a table.
 *
 * Splits, duplicates and groups are settled as in training, with the columns
 * and seeds of the version's own config unless the call gives others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/evaluate/evaluate.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"

/* What a call may say, and what it takes from the version's config otherwise. */
static const char *const data_keys[] = {
	"image_column",     "label_column", "label_columns", "group_column",   "split_column", "key_column",
	"validation_split", "test_split",   "split_seed",    "max_bad_images", NULL,
};

#define MAX_KEYS 32

/* ------------------------------------------------------------------ config */

static void
check_keys(Jsonb *given, const char *const *own_keys)
{
	const char *all[MAX_KEYS];
	int n = 0;
	int i;

	for (i = 0; data_keys[i] != NULL; i++)
		all[n++] = data_keys[i];
	for (i = 0; own_keys[i] != NULL; i++)
	{
		Assert(n < MAX_KEYS - 2);
		all[n++] = own_keys[i];
	}
	all[n++] = "version";
	all[n] = NULL;
	pneumo_json_check_keys(&given->root, "", all);
}

/* Tells whether a key is about a split that is drawn, and has no meaning where a column has the split. */
static bool
is_of_drawn_split(const char *key)
{
	return strcmp(key, "validation_split") == 0 || strcmp(key, "test_split") == 0 ||
		   strcmp(key, "split_seed") == 0;
}

/* Tells whether a key names labels, and the call names them by the other one. */
static bool
is_other_label_key(Jsonb *given, const char *key)
{
	const char *other = strcmp(key, "label_column") == 0    ? "label_columns"
						: strcmp(key, "label_columns") == 0 ? "label_column"
															: NULL;

	return other != NULL && !pneumo_json_is_null(pneumo_json_get(&given->root, other));
}

/* Returns the data keys of the version's own config, overridden by those of the call. */
static Jsonb *
merge_config(Jsonb *given, Jsonb *stored)
{
	bool by_column = !pneumo_json_is_null(pneumo_json_get(&given->root, "split_column"));
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; data_keys[i] != NULL; i++)
	{
		JsonbValue *value = pneumo_json_get(&given->root, data_keys[i]);

		if (value == NULL && stored != NULL && !(by_column && is_of_drawn_split(data_keys[i])) &&
			!is_other_label_key(given, data_keys[i]))
			value = pneumo_json_get(&stored->root, data_keys[i]);
		if (value != NULL)
			pneumo_json_add_jsonb(&json, data_keys[i], JsonbValueToJsonb(value));
	}
	return pneumo_json_end(&json);
}

/* Finds the version that the config names, or the deployed one, with its provenance. */
static void
find_version(PneumoEvaluation *e, Jsonb *given)
{
	int64 model = pneumo_model_lookup(e->model, PNEUMO_PREDICT, GetUserId(), false);
	JsonbValue *wanted = pneumo_json_get(&given->root, "version");
	int64 number;
	PneumoVersionId deployed;
	Relation rel;
	Snapshot snapshot;
	HeapTuple tuple;
	Datum value;
	bool isnull;

	if (!pneumo_json_is_null(wanted))
		number = pneumo_json_read_int("config key \"version\"", wanted, 1, 9e15);
	else
	{
		pneumo_require_deployed(e->model, model, &e->id);
		number = e->id.number;
	}

	rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	snapshot = pneumo_read_snapshot();
	tuple = pneumo_version_of_model(rel, e->model, model, number, snapshot);
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
	e->config->given = given;
	e->config->version = psprintf("version %d of model \"%s\"", e->id.number, e->model);
	e->config->in_backend = true;
	e->scorer = pneumo_scorer_get_batch(&e->scorers, CurrentMemoryContext, &e->id, pneumo_path());
	e->config->preprocess = e->scorer->meta->preprocess;
}

/* ----------------------------------------------------------------- reading */

static int64
score_sample(void *arg, const PneumoSample *sample, const uint8 *pixels)
{
	PneumoEvaluation *e = arg;

	if (!e->score[sample->split])
		return -1;
	if (e->see != NULL)
		e->see(e->see_arg, e->n_scored, pixels);
	pneumo_scores_add_pixels(&e->scores, e->n_scored, pixels);
	return e->n_scored++;
}

/* Returns the names of the labels in the order of the model's classes. */
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

void
pneumo_evaluation_hold_out(PneumoEvaluation *e, const PneumoEvaluation *judge)
{
	static const bool validation[3] = {false, true, false};
	static const bool test[3] = {false, false, true};
	static const bool trained[3] = {true, false, false};
	static const bool selected[3] = {true, true, false};
	bool everywhere = e->score[PNEUMO_TRAIN] && e->score[PNEUMO_VALIDATION] && e->score[PNEUMO_TEST];
	PneumoManifest manifest;
	bool known = pneumo_manifest_read(judge->id.version, &manifest);

	if ((!known || manifest.incomplete) && (everywhere || !e->score[PNEUMO_TRAIN]))
	{
		e->dataset->history_unknown = true;
		ereport(
			WARNING,
			(errmsg("not all images that version %d of model \"%s\" was trained on are known, so rows that "
					"it has seen may be judged",
					judge->id.number, judge->model),
			 known ? errdetail("An ancestor of it was imported without its manifest.")
				   : errdetail("It was imported without its manifest.")));
	}
	if (!known)
		return;
	if (everywhere)
		(void) pneumo_dataset_exclude(e->dataset, e->score, &manifest, selected);
	else
	{
		if (e->score[PNEUMO_VALIDATION])
			(void) pneumo_dataset_exclude(e->dataset, validation, &manifest, trained);
		if (e->score[PNEUMO_TEST])
			(void) pneumo_dataset_exclude(e->dataset, test, &manifest, selected);
	}
	pneumo_manifest_free(&manifest);
}

/* Returns the names of the classes, for a message. */
static char *
class_names(const PneumoModelMeta *meta)
{
	const char *names[NN_MAX_CLASSES + 1];
	int i;

	for (i = 0; i < meta->n_classes; i++)
		names[i] = meta->classes[i];
	names[i] = NULL;
	return pneumo_list_names(names);
}

/* Tells whether the table is not the one that the version was trained on, whose warnings its training gave. */
static bool
is_new_table(const PneumoEvaluation *e)
{
	char *source =
		e->provenance == NULL ? NULL : pneumo_json_cstring(pneumo_json_get(&e->provenance->root, "source"));

	return source == NULL || strcmp(source, e->source->name) != 0;
}

/*
 * Raises an error if the table has classes where the version tells findings, or the
 * other way round, or no column for any of its findings.
 */
static void
check_labels(const PneumoEvaluation *e)
{
	const PneumoModelMeta *meta = e->scorer->meta;
	const PneumoSource *source = e->source;
	int i;
	int c;

	if (pneumo_source_is_multi_label(source) != meta->multi_label)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 meta->multi_label
					 ? errmsg("model \"%s\" tells findings, of which an image can have several, but "
							  "label column \"%s\" holds one class an image",
							  e->model, source->label_column)
					 : errmsg("model \"%s\" tells one class an image, but %s holds findings, of "
							  "which an image can have several",
							  e->model, source->label_column),
				 meta->multi_label
					 ? errhint("Name a column of type text[] in \"label_column\", or boolean columns in "
							   "\"label_columns\".")
					 : errhint("Name a column of its classes in \"label_column\".")));
	for (i = 0; i < source->n_findings; i++)
		for (c = 0; c < meta->n_classes; c++)
			if (strcmp(source->finding[i], meta->classes[c]) == 0)
				return;
	if (source->n_findings > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("none of the columns in \"label_columns\" is a finding of model \"%s\"", e->model),
				 errhint("Say which is which: {\"label_columns\": {\"%s\": \"%s\"}}.", meta->classes[0],
						 source->table.column[source->col_finding[0] - 1].name)));
}

/* Warns that a column with splits is not used, where that makes a difference. */
static void
warn_of_unused_split(const PneumoEvaluation *e)
{
	char *unused = pneumo_dataset_unused_split(e->dataset);

	if (unused != NULL && !(e->score[PNEUMO_TRAIN] && e->score[PNEUMO_VALIDATION] && e->score[PNEUMO_TEST]))
		ereport(WARNING, (errmsg("%s", unused)));
}

void
pneumo_evaluation_read(PneumoEvaluation *e, Oid relid)
{
	PneumoReading reading;
	char *others;
	int i;

	e->source = pneumo_source_check(relid, e->config);
	check_labels(e);
	if (e->n_extra > 0)
		pneumo_source_add_extra(e->source, e->config, e->extra_key, e->extra, e->n_extra);
	e->n_scored = 0;
	pneumo_scores_begin(&e->scores, e->scorer);
	memset(&reading, 0, sizeof(reading));
	reading.decode = true;
	for (i = 0; i < 3; i++)
		reading.want[i] = e->score[i];
	reading.sink = score_sample;
	reading.sink_arg = e;
	reading.n_classes = e->scorer->meta->n_classes;
	reading.classes = label_names(e->scorer->meta, e->source);
	if (is_new_table(e))
		pneumo_source_hints(e->source, e->config);
	e->dataset = pneumo_dataset_read(e->source, e->config, &reading);
	warn_of_unused_split(e);
	others = pneumo_dataset_other_findings(e->dataset);
	if (others != NULL)
		ereport(WARNING, (errmsg("%s", others),
						  errdetail("Model \"%s\" tells %s.", e->model, class_names(e->scorer->meta))));
	pneumo_scores_finish(&e->scores);
	pneumo_evaluation_hold_out(e, e);
}

int64
pneumo_evaluation_split(int64 **samples, const PneumoEvaluation *e, int split)
{
	int64 n = 0;
	int64 i;

	*samples = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, e->dataset->n) * sizeof(int64));
	for (i = 0; i < e->dataset->n; i++)
		if (e->dataset->samples[i].split == split)
			(*samples)[n++] = i;
	return n;
}

/* Turns the scores and the scorer of an evaluation to one finding. */
static void
view_scores(PneumoEvaluation *e, int finding)
{
	PneumoScorer *scorer = palloc(sizeof(PneumoScorer));
	int k = e->scorer->meta->n_classes;
	double *two = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, e->n_scored) * 2 * sizeof(double));
	int64 i;

	for (i = 0; i < e->n_scored; i++)
	{
		two[2 * i + 1] = e->scores.probability[i * k + finding];
		two[2 * i] = 1 - two[2 * i + 1];
	}
	e->scores.probability = two;
	*scorer = *e->scorer;
	scorer->meta = pneumo_meta_view(e->scorer->meta, finding);
	scorer->calibrated = palloc(2 * sizeof(double));
	e->scorer = scorer;
}

void
pneumo_evaluation_view(PneumoEvaluation *e, int n, int finding)
{
	int v;

	for (v = 0; v < n; v++)
		view_scores(&e[v], finding);
	pneumo_dataset_view(e->dataset, finding, e->scorer->meta->classes);
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
	PneumoImageVisit visit;
	void *arg;
} Visitor;

/* Returns the sample of the image with this hash, or -1; identical images count once. */
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
	v->visit(v->arg, sample, row, PointerGetDatum(bytes));
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

int64
pneumo_evaluation_look(const PneumoEvaluation *e, const PneumoVersionId *id, int split, int64 images,
					   Jsonb *metrics)
{
	static const bool held_out[PNEUMO_N_SPLITS] = {false, false, true};
	PneumoManifest manifest;
	bool look = split >= PNEUMO_TEST;

	/* the rows say it, whatever the call names their split */
	if (!look && pneumo_manifest_read(id->version, &manifest))
	{
		look = pneumo_dataset_has(e->dataset, e->score, &manifest, held_out);
		pneumo_manifest_free(&manifest);
	}
	if (look)
		pneumo_look_add(id, pneumo_split_names[split], e->source->name, images, metrics);
	return pneumo_look_count(id->sha256);
}
