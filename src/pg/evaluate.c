/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  pneumo_evaluate: the figures of a model on one side of a table.
 *
 * Sides, duplicates and groups are settled as in training, with the columns
 * and seeds of the version's own config unless the call gives others.  Rows
 * that the version was trained on (or, for the test side, selected by) are
 * left out by its manifest, whatever table they come from.  A look at the test
 * side is counted: each one makes its figures a little less honest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pg/training.h"

#include "stats/stats.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pneumo_evaluate);

enum
{
	COL_SPLIT, COL_VERSION, COL_IMAGES, COL_PATIENTS, COL_POSITIVE, COL_ACCURACY,
	COL_SENSITIVITY, COL_SPECIFICITY, COL_AUC, COL_LOG_LOSS, COL_THRESHOLD, COL_LEFT_OUT,
	COL_LOOKS, N_COLS
};

/* What a call may say, and what it takes from the version's config otherwise. */
static const char *const data_keys[] = {
	"image_column", "label_column", "group_column", "split_column", "key_column",
	"validation_split", "test_split", "split_seed", "max_bad_images", NULL
};

static const char *const all_keys[] = {
	"image_column", "label_column", "group_column", "split_column", "key_column",
	"validation_split", "test_split", "split_seed", "max_bad_images", "split", "version", NULL
};

static const char *const splits[] = {"train", "validation", "test", "all", NULL};

#define SPLIT_ALL 3

typedef struct Evaluation
{
	int			split;			/* index into splits */
	PneumoEngine *engine;
	const PneumoConfig *config;
	float	   *src;
	void	   *scratch;
	double	   *probability;	/* n_classes a row, by slot */
	int64		n;
	int64		max;
} Evaluation;

/* ------------------------------------------------------------------ config */

static void
push_key(JsonbParseState **state, const char *key, JsonbValue *value)
{
	JsonbValue	name;

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
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue	item;
	int			i;

	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *name;
		const char *near;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(item.val.string.val, item.val.string.len);
		for (i = 0; all_keys[i] != NULL && strcmp(all_keys[i], name) != 0; i++)
			;
		if (all_keys[i] != NULL)
			continue;
		near = pneumo_nearest(name, all_keys);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown config key \"%s\"", name),
				 near ? errhint("Did you mean \"%s\"?", near) : 0));
	}

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

/* The version to evaluate, and the config that it was trained with (or NULL). */
static Jsonb *
find_version(PneumoVersionId *id, const char *model_name, Jsonb *given)
{
	int64		model = pneumo_model_lookup(model_name, PNEUMO_PREDICT, GetUserId(), false);
	JsonbValue *wanted = pneumo_json_get(&given->root, "version");
	Relation	rel;
	Snapshot	snapshot;
	HeapTuple	tuple;
	Jsonb	   *config = NULL;
	Datum		value;
	bool		isnull;

	if (!pneumo_json_is_null(wanted))
		id->version = pneumo_json_read_int("config key \"version\"", wanted, 1, 9e15);
	else if (!pneumo_model_deployed(model, id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("model \"%s\" has no deployed version", model_name),
				 errhint("Deploy one with pneumo_deploy, or give config key \"version\".")));

	rel = pneumo_catalog_open(PNEUMO_REL_VERSION, AccessShareLock, false);
	snapshot = pneumo_read_snapshot();
	tuple = pneumo_version_tuple(rel, id->version, snapshot);
	UnregisterSnapshot(snapshot);
	if (!HeapTupleIsValid(tuple) ||
		DatumGetInt64(heap_getattr(tuple, Anum_version_model, RelationGetDescr(rel), &isnull)) != model)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" has no version %lld", model_name, (long long) id->version)));
	pneumo_version_id(rel, tuple, id);
	value = heap_getattr(tuple, Anum_version_provenance, RelationGetDescr(rel), &isnull);
	if (!isnull)
	{
		Jsonb	   *provenance = DatumGetJsonbPCopy(value);
		JsonbValue *v = JB_ROOT_IS_OBJECT(provenance) ? pneumo_json_get(&provenance->root, "config") : NULL;

		if (pneumo_json_object(v) != NULL)
			config = JsonbValueToJsonb(v);
	}
	table_close(rel, AccessShareLock);
	return config;
}

/* ----------------------------------------------------------------- scoring */

static int64
score_sample(void *arg, const PneumoSample *sample, const uint8 *pixels)
{
	Evaluation *e = arg;
	const PneumoModelMeta *meta = e->engine->meta;
	const ImgPreprocess *pre = &meta->preprocess;
	float		probabilities[NN_MAX_CLASSES];
	float		logits[NN_MAX_CLASSES];
	NnStatus	status;

	(void) sample;
	if (e->n >= e->max)
	{
		e->max *= 2;
		e->probability = repalloc_huge(e->probability, e->max * meta->n_classes * sizeof(double));
	}
	img_rescale(e->src, pixels, (size_t) pre->height * pre->width * pre->channels, meta->rescale);
	do
	{
		status = nn_engine_run(probabilities, logits, NULL, e->src, 1, &e->engine->engine, e->scratch,
							   &InterruptPending);
		if (status == NN_INTERRUPTED)
			CHECK_FOR_INTERRUPTS();
	} while (status == NN_INTERRUPTED);
	if (status != NN_OK)
		elog(ERROR, "the network could not score an image");
	pneumo_meta_probabilities(e->probability + e->n * meta->n_classes, meta,
							  nn_graph_output_units(e->engine->engine.graph), probabilities, logits);
	return e->n++;
}

/* Names of the labels in the order of the model's classes. */
static char **
label_names(const PneumoModelMeta *meta, const PneumoSource *source)
{
	static char *booleans[] = {"false", "true"};
	static char *integers[] = {"0", "1"};
	char	  **generic = source->label_kind == PNEUMO_LABEL_BOOLEAN ? booleans :
		source->label_kind == PNEUMO_LABEL_INTEGER ? integers : NULL;

	if (generic == NULL || meta->n_classes != 2)
		return meta->classes;
	/* the model's own order if it was trained on such labels */
	if (strcmp(meta->classes[0], generic[0]) == 0 || strcmp(meta->classes[0], generic[1]) == 0)
		return meta->classes;
	return generic;
}

static void
hold_out(PneumoDataset *dataset, const Evaluation *e)
{
	bool		sample_splits[3];
	bool		manifest_splits[3] = {true, e->split != PNEUMO_VALIDATION, false};
	size_t		bytes;
	void	   *manifest;
	int			i;

	if (e->split == PNEUMO_TRAIN)
		return;
	manifest = pneumo_manifest_read(e->engine->id.version, &bytes);
	if (manifest == NULL)
		return;					/* imported: nobody knows what it has seen */
	for (i = 0; i < 3; i++)
		sample_splits[i] = e->split == SPLIT_ALL || i == e->split;
	(void) pneumo_manifest_exclude(dataset, sample_splits, manifest, bytes, manifest_splits);
}

/* ----------------------------------------------------------------- figures */

static void *
stats_allocate(void *arg, size_t bytes)
{
	(void) arg;
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(bytes, 1));
}

static void
stats_release(void *arg, void *memory)
{
	(void) arg;
	if (memory != NULL)
		pfree(memory);
}

static void
check_stats(StatsStatus status)
{
	if (status != STATS_OK)
		elog(ERROR, "could not compute the figures: %s", stats_status_text(status));
}

static void
put(Datum *values, bool *nulls, int column, double number)
{
	values[column] = Float8GetDatum(number);
	nulls[column] = isnan(number);
}

static void
two_class_figures(Datum *values, bool *nulls, const Evaluation *e, const PneumoDataset *dataset,
				  int64 n, const int64 *rows)
{
	StatsEnv	env = {stats_allocate, stats_release, NULL, NULL};
	double	   *score = stats_allocate(NULL, n * sizeof(double));
	uint8_t    *label = stats_allocate(NULL, n);
	StatsRows	stats_rows = {score, label, NULL, (size_t) n};
	StatsFigures figures;
	double		auc = NAN;
	StatsStatus status;
	int64		positive = 0;
	int64		i;

	for (i = 0; i < n; i++)
	{
		const PneumoSample *s = &dataset->samples[rows[i]];

		score[i] = e->probability[s->slot * 2 + 1];
		label[i] = s->label == 1;
		positive += label[i];
	}
	check_stats(stats_figures(&figures, &stats_rows, e->engine->meta->threshold, &env));
	status = stats_auc(&auc, &stats_rows, &env);
	if (status == STATS_ONE_CLASS)
		auc = NAN;
	else
		check_stats(status);

	values[COL_POSITIVE] = Int64GetDatum(positive);
	put(values, nulls, COL_ACCURACY, figures.accuracy);
	put(values, nulls, COL_SENSITIVITY, figures.sensitivity);
	put(values, nulls, COL_SPECIFICITY, figures.specificity);
	put(values, nulls, COL_AUC, auc);
	put(values, nulls, COL_LOG_LOSS, figures.log_loss);
	put(values, nulls, COL_THRESHOLD, e->engine->meta->threshold);
}

static void
many_class_figures(Datum *values, bool *nulls, const Evaluation *e, const PneumoDataset *dataset,
				   int64 n, const int64 *rows)
{
	StatsEnv	env = {stats_allocate, stats_release, NULL, NULL};
	int			k = e->engine->meta->n_classes;
	double	   *probability = stats_allocate(NULL, n * k * sizeof(double));
	int32_t    *label = stats_allocate(NULL, n * sizeof(int32_t));
	StatsClassRows stats_rows = {probability, label, NULL, (size_t) n, k};
	StatsClassFigures figures;
	int64		i;

	for (i = 0; i < n; i++)
	{
		const PneumoSample *s = &dataset->samples[rows[i]];

		memcpy(probability + i * k, e->probability + s->slot * k, k * sizeof(double));
		label[i] = s->label;
	}
	check_stats(stats_class_figures(&figures, NULL, NULL, NULL, &stats_rows, &env));
	nulls[COL_POSITIVE] = true;
	nulls[COL_THRESHOLD] = true;
	put(values, nulls, COL_ACCURACY, figures.accuracy);
	put(values, nulls, COL_SENSITIVITY, figures.macro_sensitivity);
	put(values, nulls, COL_SPECIFICITY, figures.macro_specificity);
	put(values, nulls, COL_AUC, figures.macro_auc);
	put(values, nulls, COL_LOG_LOSS, figures.log_loss);
}

/* ------------------------------------------------------------------- looks */

static int64
count_looks(int64 version, const char *split)
{
	Relation	rel = pneumo_catalog_open(PNEUMO_REL_LOOK, AccessShareLock, false);
	Snapshot	snapshot = pneumo_write_snapshot();
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int64		n = 0;

	ScanKeyInit(&key, Anum_look_version, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(version));
	scan = systable_beginscan(rel, pneumo_catalog_index(PNEUMO_REL_LOOK, "look_version_idx"), true,
							  snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		char	   *of = TextDatumGetCString(heap_getattr(tuple, Anum_look_split,
														  RelationGetDescr(rel), &isnull));

		n += strcmp(of, split) == 0;
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	return n;
}

static void
add_look(const PneumoVersionId *id, const char *split, const char *source, int64 images,
		 const Datum *figures, const bool *nulls)
{
	Relation	rel = pneumo_catalog_open(PNEUMO_REL_LOOK, RowExclusiveLock, false);
	Datum		values[Natts_look];
	bool		is_null[Natts_look] = {false};
	NameData	role;
	StringInfoData metrics;
	static const struct
	{
		int			column;
		const char *name;
	}			kept[] = {
		{COL_ACCURACY, "accuracy"}, {COL_SENSITIVITY, "sensitivity"},
		{COL_SPECIFICITY, "specificity"}, {COL_AUC, "auc"}, {COL_LOG_LOSS, "log_loss"}
	};
	int			i;

	initStringInfo(&metrics);
	appendStringInfoString(&metrics, "{");
	for (i = 0; i < (int) lengthof(kept); i++)
		if (!nulls[kept[i].column])
			appendStringInfo(&metrics, "%s\"%s\":%.9g", metrics.len > 1 ? "," : "", kept[i].name,
							 DatumGetFloat8(figures[kept[i].column]));
	appendStringInfoString(&metrics, "}");

	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	values[Anum_look_id - 1] = Int64GetDatum(pneumo_catalog_nextval(PNEUMO_REL_LOOK));
	values[Anum_look_version - 1] = Int64GetDatum(id->version);
	values[Anum_look_looked - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_look_role - 1] = NameGetDatum(&role);
	values[Anum_look_split - 1] = CStringGetTextDatum(split);
	values[Anum_look_source - 1] = CStringGetTextDatum(source);
	values[Anum_look_images - 1] = Int64GetDatum(images);
	values[Anum_look_metrics - 1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(metrics.data));
	pneumo_catalog_insert(rel, values, is_null);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

/* --------------------------------------------------------------------- SQL */

Datum
pneumo_evaluate(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *model = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *given = PG_GETARG_JSONB_P(2);
	Evaluation	e;
	PneumoVersionId id;
	PneumoConfig *config;
	PneumoSource *source;
	PneumoReading reading;
	PneumoDataset *dataset;
	const ImgPreprocess *pre;
	JsonbValue *split;
	TupleDesc	desc;
	Datum		values[N_COLS];
	bool		nulls[N_COLS] = {false};
	int64	   *rows;
	int64		n = 0;
	int64		groups = 0;
	int64		i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the config must be a JSON object")));
	memset(&e, 0, sizeof(e));
	memset(&id, 0, sizeof(id));
	config = pneumo_config_parse(merge_config(given, find_version(&id, model, given)));
	split = pneumo_json_get(&given->root, "split");
	e.split = split == NULL ? PNEUMO_TEST : pneumo_json_read_enum("config key \"split\"", split, splits);
	if (e.split >= PNEUMO_TEST)
		pneumo_prevent_write("pneumo_evaluate() of held-out rows");

	source = pneumo_source_check(relid, config);
	e.engine = pneumo_engine_get(&id, CurrentMemoryContext);
	e.config = config;
	config->preprocess = e.engine->meta->preprocess;
	pre = &config->preprocess;
	e.src = pneumo_align(pneumo_scratch((Size) pre->height * pre->width * pre->channels * sizeof(float)));
	e.scratch = pneumo_align(pneumo_scratch(nn_engine_scratch_bytes(&e.engine->engine, 1)));
	e.max = 1024;
	e.probability = MemoryContextAllocHuge(CurrentMemoryContext,
										   e.max * e.engine->meta->n_classes * sizeof(double));

	memset(&reading, 0, sizeof(reading));
	reading.decode = true;
	for (i = 0; i < 3; i++)
		reading.want[i] = e.split == SPLIT_ALL || i == e.split;
	reading.sink = score_sample;
	reading.sink_arg = &e;
	reading.n_classes = e.engine->meta->n_classes;
	reading.classes = label_names(e.engine->meta, source);
	dataset = pneumo_dataset_read(source, config, &reading);
	hold_out(dataset, &e);

	rows = MemoryContextAllocHuge(CurrentMemoryContext, Max(1, dataset->n) * sizeof(int64));
	for (i = 0; i < dataset->n; i++)
		if (reading.want[dataset->samples[i].split])
			rows[n++] = i;
	for (i = 0; i < 3; i++)
		groups += reading.want[i] ? dataset->split_groups[i] : 0;
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("no row of %s is left to evaluate on the split \"%s\"", source->name,
						splits[e.split]),
				 dataset->left_out[PNEUMO_OUT_SEEN] > 0 ?
				 errdetail("%lld rows are left out: the version was trained or selected on them.",
						   (long long) dataset->left_out[PNEUMO_OUT_SEEN]) : 0));

	values[COL_SPLIT] = CStringGetTextDatum(splits[e.split]);
	values[COL_VERSION] = Int64GetDatum(id.version);
	values[COL_IMAGES] = Int64GetDatum(n);
	values[COL_PATIENTS] = Int64GetDatum(groups);
	if (e.engine->meta->n_classes == 2)
		two_class_figures(values, nulls, &e, dataset, n, rows);
	else
		many_class_figures(values, nulls, &e, dataset, n, rows);
	values[COL_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(dataset));
	if (e.split >= PNEUMO_TEST)
		add_look(&id, splits[e.split], source->name, n, values, nulls);
	values[COL_LOOKS] = Int64GetDatum(count_looks(id.version, splits[e.split]));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
