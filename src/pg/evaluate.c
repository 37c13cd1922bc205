/*-------------------------------------------------------------------------
 *
 * evaluate.c
 *	  pneumo_evaluate and pneumo_compare: the figures of a model, and of two
 *	  models on the same rows, on one side of a table.
 *
 * Rows that a version was trained on (or, for the test side, selected by) are
 * left out by its manifest, whatever table they come from.  A look at the test
 * side is counted: each one makes its figures a little less honest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pg/evaluation.h"
#include "pg/figures.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pneumo_evaluate);
PG_FUNCTION_INFO_V1(pneumo_compare);

static const char *const splits[] = {"train", "validation", "test", "all", NULL};

#define SPLIT_ALL 3

/* The rows that are evaluated, in the order of the dataset. */
typedef struct Side
{
	int			split;			/* index into splits */
	int64	   *samples;
	int64		n;
	int64		groups;
	int64		positive;
} Side;

static int
read_split(Jsonb *given, const char *function)
{
	JsonbValue *value;
	int			split;

	if (!JB_ROOT_IS_OBJECT(given))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the config must be a JSON object")));
	value = pneumo_json_get(&given->root, "split");
	split = value == NULL ? PNEUMO_TEST : pneumo_json_read_enum("config key \"split\"", value, splits);
	if (split >= PNEUMO_TEST)
		pneumo_prevent_write(psprintf("%s of held-out rows", function));
	return split;
}

static void
want_split(PneumoEvaluation *e, int split)
{
	int			i;

	for (i = 0; i < 3; i++)
		e->score[i] = split == SPLIT_ALL || i == split;
}

/* Rows that a version has seen, beside those that reading left out. */
static void
hold_out(PneumoEvaluation *e, int64 version, int split)
{
	bool		seen[3] = {true, split != PNEUMO_VALIDATION, false};
	size_t		bytes;
	void	   *manifest;

	if (split == PNEUMO_TRAIN)
		return;
	manifest = pneumo_manifest_read(version, &bytes);
	if (manifest == NULL)
		return;					/* imported: nobody knows what it has seen */
	(void) pneumo_manifest_exclude(e->dataset, e->score, manifest, bytes, seen);
	pfree(manifest);
}

static void
collect_side(Side *side, const PneumoEvaluation *e, int split)
{
	const PneumoDataset *dataset = e->dataset;
	int64		i;

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
						splits[split]),
				 dataset->left_out[PNEUMO_OUT_SEEN] > 0 ?
				 errdetail("%lld rows are left out: the version was trained or selected on them.",
						   (long long) dataset->left_out[PNEUMO_OUT_SEEN]) : 0));
}

/* Label and patient of the rows; score is the caller's. */
static StatsRows
side_rows(const Side *side, const PneumoEvaluation *e, const double *score)
{
	uint8_t    *label = MemoryContextAllocHuge(CurrentMemoryContext, side->n);
	uint64_t   *group = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(uint64_t));
	StatsRows	rows = {score, label, group, (size_t) side->n};
	int64		i;

	for (i = 0; i < side->n; i++)
	{
		const PneumoSample *sample = &e->dataset->samples[side->samples[i]];

		label[i] = sample->label == 1;
		memcpy(&group[i], sample->group, sizeof(uint64_t));
	}
	return rows;
}

/* Scores of the positive class; probability: two a scored row, by slot. */
static double *
side_scores(const Side *side, const PneumoEvaluation *e, const double *probability)
{
	double	   *score = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(double));
	int64		i;

	for (i = 0; i < side->n; i++)
		score[i] = probability[2 * e->dataset->samples[side->samples[i]].slot + 1];
	return score;
}

/* Counts a look at held-out rows; how many there were. */
static int64
count_look(const PneumoVersionId *id, const Side *side, const char *source, const char *metrics)
{
	if (side->split >= PNEUMO_TEST)
		pneumo_look_add(id, splits[side->split], source, side->n,
						DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(metrics))));
	return pneumo_look_count(id->version, splits[side->split]);
}

/* --------------------------------------------------------------- one model */

enum
{
	COL_SPLIT, COL_VERSION, COL_IMAGES, COL_PATIENTS, COL_POSITIVE, COL_ACCURACY,
	COL_SENSITIVITY, COL_SPECIFICITY, COL_AUC, COL_LOG_LOSS, COL_THRESHOLD, COL_LEFT_OUT,
	COL_LOOKS, COL_FIGURES, N_COLS
};

static void
two_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const Side *side,
				  Oid figures_type)
{
	StatsRows	rows = side_rows(side, e, side_scores(side, e, e->probability));
	StatsOptions options;
	StatsEvaluation figures;
	PneumoStats stats;
	StatsStatus status;

	pneumo_stats_options(&options, e->scorer->meta->threshold);
	pneumo_stats_begin(&stats);
	status = stats_evaluate(&figures, &rows, &options, &stats.env);
	pneumo_stats_end(&stats);
	if (status == STATS_ONE_CLASS)
		ereport(WARNING,
				(errmsg("all %zu rows are %s: the AUC and the figures of the other class are NULL", rows.n,
						rows.label[0] ? "positive" : "negative")));
	else
		pneumo_stats_check(status, "pneumo_evaluate", &rows);

	values[COL_POSITIVE] = Int64GetDatum(side->positive);
	values[COL_ACCURACY] = pneumo_number_datum(figures.accuracy.value, &nulls[COL_ACCURACY]);
	values[COL_SENSITIVITY] = pneumo_number_datum(figures.sensitivity.value, &nulls[COL_SENSITIVITY]);
	values[COL_SPECIFICITY] = pneumo_number_datum(figures.specificity.value, &nulls[COL_SPECIFICITY]);
	values[COL_AUC] = pneumo_number_datum(figures.auc.value, &nulls[COL_AUC]);
	values[COL_LOG_LOSS] = pneumo_number_datum(figures.log_loss.value, &nulls[COL_LOG_LOSS]);
	values[COL_THRESHOLD] = Float8GetDatum(options.threshold);
	values[COL_FIGURES] = pneumo_figures_datum(&figures, figures_type);
}

static void
many_class_figures(Datum *values, bool *nulls, const PneumoEvaluation *e, const Side *side)
{
	int			k = e->scorer->meta->n_classes;
	double	   *probability = MemoryContextAllocHuge(CurrentMemoryContext, side->n * k * sizeof(double));
	int32_t    *label = MemoryContextAllocHuge(CurrentMemoryContext, side->n * sizeof(int32_t));
	StatsClassRows rows = {probability, label, NULL, (size_t) side->n, k};
	StatsClassFigures figures;
	PneumoStats stats;
	int64		i;

	for (i = 0; i < side->n; i++)
	{
		memcpy(probability + i * k, pneumo_evaluation_probability(e, side->samples[i]), k * sizeof(double));
		label[i] = e->dataset->samples[side->samples[i]].label;
	}
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_class_figures(&figures, NULL, NULL, NULL, &rows, &stats.env),
					   "pneumo_evaluate", NULL);
	pneumo_stats_end(&stats);
	nulls[COL_POSITIVE] = true;
	nulls[COL_THRESHOLD] = true;
	nulls[COL_FIGURES] = true;
	values[COL_ACCURACY] = pneumo_number_datum(figures.accuracy, &nulls[COL_ACCURACY]);
	values[COL_SENSITIVITY] = pneumo_number_datum(figures.macro_sensitivity, &nulls[COL_SENSITIVITY]);
	values[COL_SPECIFICITY] = pneumo_number_datum(figures.macro_specificity, &nulls[COL_SPECIFICITY]);
	values[COL_AUC] = pneumo_number_datum(figures.macro_auc, &nulls[COL_AUC]);
	values[COL_LOG_LOSS] = pneumo_number_datum(figures.log_loss, &nulls[COL_LOG_LOSS]);
}

static char *
figures_json(const Datum *values, const bool *nulls)
{
	static const struct
	{
		int			column;
		const char *name;
	}			kept[] = {
		{COL_ACCURACY, "accuracy"}, {COL_SENSITIVITY, "sensitivity"},
		{COL_SPECIFICITY, "specificity"}, {COL_AUC, "auc"}, {COL_LOG_LOSS, "log_loss"}
	};
	StringInfoData json;
	int			i;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (i = 0; i < (int) lengthof(kept); i++)
		if (!nulls[kept[i].column])
			appendStringInfo(&json, "%s\"%s\":%.9g", json.len > 1 ? "," : "", kept[i].name,
							 DatumGetFloat8(values[kept[i].column]));
	appendStringInfoChar(&json, '}');
	return json.data;
}

Datum
pneumo_evaluate(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", NULL};
	Oid			relid = PG_GETARG_OID(0);
	char	   *model = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *given = PG_GETARG_JSONB_P(2);
	PneumoEvaluation e;
	Side		side;
	TupleDesc	desc;
	Datum		values[N_COLS];
	bool		nulls[N_COLS] = {false};
	int			split = read_split(given, "pneumo_evaluate()");

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pneumo_evaluation_begin(&e, model, given, own_keys);
	want_split(&e, split);
	pneumo_evaluation_read(&e, relid);
	hold_out(&e, e.id.version, split);
	collect_side(&side, &e, split);

	values[COL_SPLIT] = CStringGetTextDatum(splits[split]);
	values[COL_VERSION] = Int64GetDatum(e.id.version);
	values[COL_IMAGES] = Int64GetDatum(side.n);
	values[COL_PATIENTS] = Int64GetDatum(side.groups);
	if (e.scorer->meta->n_classes == 2)
		two_class_figures(values, nulls, &e, &side, TupleDescAttr(desc, COL_FIGURES)->atttypid);
	else
		many_class_figures(values, nulls, &e, &side);
	values[COL_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(e.dataset));
	values[COL_LOOKS] = Int64GetDatum(count_look(&e.id, &side, e.source->name, figures_json(values, nulls)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* -------------------------------------------------------------- two models */

enum
{
	CMP_SPLIT, CMP_VERSION_A, CMP_VERSION_B, CMP_IMAGES, CMP_PATIENTS, CMP_POSITIVE, CMP_LEFT_OUT,
	CMP_AUC_A, CMP_AUC_B, CMP_AUC, CMP_AUC_P, CMP_ACCURACY, CMP_SENSITIVITY, CMP_SPECIFICITY,
	CMP_LOG_LOSS, CMP_BRIER, CMP_ONLY_A, CMP_ONLY_B, CMP_MCNEMAR, CMP_REPLICATES, CMP_SEED,
	CMP_LOOKS_A, CMP_LOOKS_B, N_CMP
};

/* The second model rides along while the first one reads and scores. */
typedef struct Rival
{
	PneumoEvaluation *a;
	PneumoScorer *scorer;
	double	   *probability;	/* two a row that a scores, by slot */
	int64		max;
} Rival;

static void
keep_rival(Rival *rival, int64 slot)
{
	if (slot >= rival->max)
	{
		rival->max = Max(slot + 1, rival->max * 2);
		rival->probability = repalloc_huge(rival->probability, rival->max * 2 * sizeof(double));
	}
	memcpy(rival->probability + 2 * slot, rival->scorer->calibrated, 2 * sizeof(double));
}

static void
score_pixels(void *arg, const PneumoSample *sample, const uint8 *pixels)
{
	Rival	   *rival = arg;

	if (!rival->a->score[sample->split])
		return;
	pneumo_scorer_run_pixels(rival->scorer, pixels, false);
	keep_rival(rival, rival->a->n_scored);
}

static void
score_image(void *arg, int64 sample, Datum image)
{
	Rival	   *rival = arg;

	(void) pneumo_scorer_run(rival->scorer, image, PNEUMO_BAD_IMAGE_ERROR, false);
	keep_rival(rival, rival->a->dataset->samples[sample].slot);
}

/* The config for one of the two: its version, and the data keys. */
static Jsonb *
config_of(Jsonb *given, const char *version_key)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue	item;
	bool		skip = false;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			char	   *name = pnstrdup(item.val.string.val, item.val.string.len);

			skip = strcmp(name, "version_a") == 0 || strcmp(name, "version_b") == 0;
			if (strcmp(name, version_key) == 0)
			{
				skip = false;
				item.val.string.val = "version";
				item.val.string.len = (int) strlen("version");
			}
			else if (strcmp(name, "version") == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("unknown config key \"version\""),
						 errhint("Did you mean \"version_a\" or \"version_b\"?")));
		}
		if (!skip && (token == WJB_KEY || token == WJB_VALUE))
			pushJsonbValue(&state, token, &item);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
check_comparable(const PneumoEvaluation *a, const PneumoEvaluation *b)
{
	const PneumoModelMeta *x = a->scorer->meta;
	const PneumoModelMeta *y = b->scorer->meta;

	if (x->n_classes != 2 || y->n_classes != 2)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pneumo_compare is for models of two classes")));
	if (strcmp(x->classes[0], y->classes[0]) != 0 || strcmp(x->classes[1], y->classes[1]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the models have different classes: %s, %s and %s, %s", x->classes[0],
						x->classes[1], y->classes[0], y->classes[1])));
	if (memcmp(a->id.sha256, b->id.sha256, PNEUMO_SHA256_LEN) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("both are the same version, with SHA-256 %s", pneumo_sha256_hex(a->id.sha256))));
}

static bool
same_input(const PneumoScorer *a, const PneumoScorer *b)
{
	return a->meta->preprocess.height == b->meta->preprocess.height &&
		a->meta->preprocess.width == b->meta->preprocess.width &&
		a->meta->preprocess.channels == b->meta->preprocess.channels &&
		a->meta->preprocess.interpolation == b->meta->preprocess.interpolation;
}

/* Reads the side; both score it, in one pass if they see the same pixels. */
static void
score_both(PneumoEvaluation *a, PneumoEvaluation *b, Rival *rival, Side *side, Oid relid, int split)
{
	bool		one_pass = same_input(a->scorer, b->scorer);

	rival->a = a;
	rival->scorer = b->scorer;
	rival->max = 1024;
	rival->probability = MemoryContextAllocHuge(CurrentMemoryContext, rival->max * 2 * sizeof(double));
	want_split(a, split);
	if (one_pass)
	{
		a->look = score_pixels;
		a->look_arg = rival;
	}
	pneumo_evaluation_read(a, relid);
	hold_out(a, a->id.version, split);
	hold_out(a, b->id.version, split);
	collect_side(side, a, split);
	if (!one_pass)
	{
		bool	   *marked = MemoryContextAllocHuge(CurrentMemoryContext, a->dataset->n);
		int64		i;

		memset(marked, 0, a->dataset->n);
		for (i = 0; i < side->n; i++)
			marked[side->samples[i]] = true;
		pneumo_evaluation_visit(a, marked, score_image, rival);
		for (i = 0; i < side->n; i++)
			if (marked[side->samples[i]])
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("%s changed while it was read", a->source->name),
						 errhint("Call pneumo_compare again.")));
	}
}

Datum
pneumo_compare(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", NULL};
	Oid			relid = PG_GETARG_OID(0);
	Jsonb	   *given = PG_GETARG_JSONB_P(3);
	int			split = read_split(given, "pneumo_compare()");
	PneumoEvaluation a;
	PneumoEvaluation b;
	Rival		rival;
	Side		side;
	StatsRows	rows;
	StatsPair	pair;
	StatsOptions options;
	StatsComparison c;
	PneumoStats stats;
	TupleDesc	desc;
	Datum		values[N_CMP];
	bool		nulls[N_CMP] = {false};
	const struct
	{
		int			column;
		const StatsInterval *figure;
	}			figures[] = {
		{CMP_AUC_A, &c.auc_a}, {CMP_AUC_B, &c.auc_b}, {CMP_AUC, &c.auc}, {CMP_ACCURACY, &c.accuracy},
		{CMP_SENSITIVITY, &c.sensitivity}, {CMP_SPECIFICITY, &c.specificity},
		{CMP_LOG_LOSS, &c.log_loss}, {CMP_BRIER, &c.brier}
	};
	char	   *look;
	int			i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pneumo_evaluation_begin(&a, text_to_cstring(PG_GETARG_TEXT_PP(1)), config_of(given, "version_a"),
							own_keys);
	pneumo_evaluation_begin(&b, text_to_cstring(PG_GETARG_TEXT_PP(2)), config_of(given, "version_b"),
							own_keys);
	check_comparable(&a, &b);
	score_both(&a, &b, &rival, &side, relid, split);

	pair.score_a = side_scores(&side, &a, a.probability);
	pair.score_b = side_scores(&side, &a, rival.probability);
	rows = side_rows(&side, &a, pair.score_a);
	pair.label = rows.label;
	pair.cluster = rows.cluster;
	pair.n = rows.n;
	pair.threshold_a = a.scorer->meta->threshold;
	pair.threshold_b = b.scorer->meta->threshold;
	pneumo_stats_options(&options, 0);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_compare(&c, &pair, &options, &stats.env), "pneumo_compare", &rows);
	pneumo_stats_end(&stats);

	values[CMP_SPLIT] = CStringGetTextDatum(splits[split]);
	values[CMP_VERSION_A] = Int64GetDatum(a.id.version);
	values[CMP_VERSION_B] = Int64GetDatum(b.id.version);
	values[CMP_IMAGES] = Int64GetDatum(side.n);
	values[CMP_PATIENTS] = Int64GetDatum(side.groups);
	values[CMP_POSITIVE] = Int64GetDatum(side.positive);
	values[CMP_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(a.dataset));
	for (i = 0; i < (int) lengthof(figures); i++)
		values[figures[i].column] = pneumo_figure_datum(figures[i].figure,
														TupleDescAttr(desc, figures[i].column)->atttypid,
														&nulls[figures[i].column]);
	values[CMP_AUC_P] = pneumo_number_datum(c.auc_p, &nulls[CMP_AUC_P]);
	values[CMP_ONLY_A] = Int64GetDatum(c.only_a_right);
	values[CMP_ONLY_B] = Int64GetDatum(c.only_b_right);
	values[CMP_MCNEMAR] = pneumo_number_datum(c.mcnemar_p, &nulls[CMP_MCNEMAR]);
	values[CMP_REPLICATES] = Int32GetDatum((int32) c.replicates);
	values[CMP_SEED] = Int64GetDatum((int64) c.seed);
	look = psprintf("{\"compared\":[%lld,%lld],\"auc_difference\":%.9g}", (long long) a.id.version,
					(long long) b.id.version, c.auc.value);
	values[CMP_LOOKS_A] = Int64GetDatum(count_look(&a.id, &side, a.source->name, look));
	values[CMP_LOOKS_B] = Int64GetDatum(count_look(&b.id, &side, a.source->name, look));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
