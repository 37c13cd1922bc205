/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  pneumo_compare: two models on the same rows of one split of a table, which
 *	  neither has seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/catalog/records.h"
#include "pg/evaluate/evaluate.h"
#include "pg/figures/figures.h"
#include "pg/predict/predict.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_compare);

enum
{
	CMP_SPLIT,
	CMP_VERSION_A,
	CMP_VERSION_B,
	CMP_IMAGES,
	CMP_PATIENTS,
	CMP_POSITIVE,
	CMP_LEFT_OUT,
	CMP_AUC_A,
	CMP_AUC_B,
	CMP_AUC,
	CMP_AUC_P,
	CMP_ACCURACY,
	CMP_SENSITIVITY,
	CMP_SPECIFICITY,
	CMP_LOG_LOSS,
	CMP_BRIER,
	CMP_ONLY_A,
	CMP_ONLY_B,
	CMP_MCNEMAR,
	CMP_LOOKS_A,
	CMP_LOOKS_B,
	CMP_NOTES,
	N_CMP
};

/* The second model rides along while the first one reads and scores. */
typedef struct Rival
{
	PneumoEvaluation *a;
	PneumoScores scores; /* of the rows that a scores, by the same slots */
} Rival;

static void
score_pixels(void *arg, const PneumoSample *sample, const uint8 *pixels)
{
	Rival *rival = arg;

	if (!rival->a->score[sample->split])
		return;
	pneumo_scores_add_pixels(&rival->scores, rival->a->n_scored, pixels);
}

static void
score_image(void *arg, int64 sample, const PneumoRow *row, Datum image)
{
	Rival *rival = arg;

	(void) pneumo_scores_add(&rival->scores, rival->a->dataset->samples[sample].slot, image,
							 PNEUMO_BAD_IMAGE_ERROR);
}

/* Returns the config for one of the two models: its version, and the data keys. */
static Jsonb *
config_of(Jsonb *given, const char *version_key)
{
	JsonbParseState *state = NULL;
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue item;
	bool skip = false;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			char *name = pnstrdup(item.val.string.val, item.val.string.len);

			skip = strcmp(name, "version_a") == 0 || strcmp(name, "version_b") == 0;
			if (strcmp(name, version_key) == 0)
			{
				skip = false;
				item.val.string.val = "version";
				item.val.string.len = (int) strlen("version");
			}
			else if (strcmp(name, "version") == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown config key \"version\""),
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
	int i;

	if (x->multi_label != y->multi_label)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("model \"%s\" tells findings, of which an image can have several, \"%s\" one class "
						"an image",
						x->multi_label ? a->model : b->model, x->multi_label ? b->model : a->model)));
	if (x->n_classes != y->n_classes)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the models have different classes: \"%s\" has %d, \"%s\" has %d", a->model,
							   x->n_classes, b->model, y->n_classes)));
	for (i = 0; i < x->n_classes; i++)
		if (strcmp(x->classes[i], y->classes[i]) != 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the models have different classes: class %d is \"%s\" in \"%s\", \"%s\" in \"%s\"",
						i + 1, x->classes[i], a->model, y->classes[i], b->model)));
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

/*
 * Scores the rows that the first model was judged by with the second one, from
 * their images; every row is found again, or it is an error.
 */
static void
score_images(PneumoEvaluation *a, Rival *rival, const PneumoJudged *judged)
{
	bool *marked = MemoryContextAllocHuge(CurrentMemoryContext, a->dataset->n);
	int64 i;

	memset(marked, 0, a->dataset->n);
	for (i = 0; i < judged->n; i++)
		marked[judged->samples[i]] = true;
	pneumo_evaluation_visit(a, marked, score_image, rival);
	for (i = 0; i < judged->n; i++)
		if (marked[judged->samples[i]])
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("%s changed while it was read", a->source->name),
							errhint("Call pneumo_compare again.")));
}

/* Reads the split and scores it with both models, in one pass if they see the same pixels. */
static void
score_both(PneumoEvaluation *a, PneumoEvaluation *b, Rival *rival, PneumoJudged *judged, Oid relid, int split)
{
	bool one_pass = same_input(a->scorer, b->scorer);

	rival->a = a;
	pneumo_scores_begin(&rival->scores, b->scorer);
	if (one_pass)
	{
		a->see = score_pixels;
		a->see_arg = rival;
	}
	pneumo_judged_read(judged, a, relid, split, b);
	if (!one_pass)
		score_images(a, rival, judged);
	pneumo_scores_finish(&rival->scores);
}

/* Differences of two or of more classes, in the order of the columns. */
#define N_DIFFERENCES 8
#define AUC_DIFFERENCE 2

static const int difference_columns[N_DIFFERENCES] = {CMP_AUC_A,    CMP_AUC_B,       CMP_AUC,
													  CMP_ACCURACY, CMP_SENSITIVITY, CMP_SPECIFICITY,
													  CMP_LOG_LOSS, CMP_BRIER};

/* What both kinds of comparison find. */
typedef struct Found
{
	const StatsInterval *differences[N_DIFFERENCES];
	double auc_p;
	uint64 only_a; /* rows that only one gets right */
	uint64 only_b;
	double mcnemar_p;
} Found;

/* Fills the columns of what was found; returns the difference of the AUCs. */
static double
put_found(Datum *values, bool *nulls, TupleDesc desc, const Found *found)
{
	int i;

	for (i = 0; i < N_DIFFERENCES; i++)
	{
		int column = difference_columns[i];

		values[column] =
			pneumo_figure_datum(found->differences[i], TupleDescAttr(desc, column)->atttypid, &nulls[column]);
	}
	values[CMP_AUC_P] = pneumo_number_datum(found->auc_p, &nulls[CMP_AUC_P]);
	values[CMP_ONLY_A] = Int64GetDatum((int64) found->only_a);
	values[CMP_ONLY_B] = Int64GetDatum((int64) found->only_b);
	values[CMP_MCNEMAR] = pneumo_number_datum(found->mcnemar_p, &nulls[CMP_MCNEMAR]);
	return found->differences[AUC_DIFFERENCE]->value;
}

/*
 * Fills the scores that both models give the positive class with label and patient of
 * the rows, or those of a finding (not -1) of the rows of which it is known; returns
 * how many are positive.
 */
static int64
fill_pair(StatsPair *pair, const PneumoJudged *judged, const PneumoEvaluation *a, const Rival *rival,
		  int finding)
{
	int k = a->scorer->meta->n_classes;
	int class = finding < 0 ? 1 : finding;
	int64 positive = 0;
	Size known = 0;
	Size n = (Size) judged->n;
	double *score_a = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(double));
	double *score_b = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(double));
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, n);
	uint64_t *cluster = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(uint64_t));
	Size i;

	for (i = 0; i < n; i++)
	{
		const PneumoSample *sample = &a->dataset->samples[judged->samples[i]];
		int target = finding < 0 ? sample->label : pneumo_sample_target(sample, finding);

		if (target == NN_UNKNOWN)
			continue;
		score_a[known] = a->scores.probability[k * sample->slot + class];
		score_b[known] = rival->scores.probability[k * sample->slot + class];
		label[known] = target == 1;
		positive += target == 1;
		memcpy(&cluster[known++], sample->group, sizeof(uint64_t));
	}
	pair->score_a = score_a;
	pair->score_b = score_b;
	pair->label = label;
	pair->cluster = cluster;
	pair->n = known;
	return positive;
}

/* Compares two models of two classes, or their answers about a finding, each at its own threshold. */
static double
two_class_differences(Datum *values, bool *nulls, TupleDesc desc, const PneumoEvaluation *a,
					  const PneumoEvaluation *b, const Rival *rival, const PneumoJudged *judged, int finding)
{
	int64 positive;
	StatsPair pair;
	StatsRows rows;
	StatsOptions options;
	StatsComparison c;
	PneumoStats stats;
	Found found = {.differences = {&c.auc_a, &c.auc_b, &c.auc, &c.accuracy, &c.sensitivity, &c.specificity,
								   &c.log_loss, &c.brier}};

	positive = fill_pair(&pair, judged, a, rival, finding);
	pair.threshold_a = pneumo_meta_threshold(a->scorer->meta, finding);
	pair.threshold_b = pneumo_meta_threshold(b->scorer->meta, finding);
	rows = (StatsRows) {pair.score_a, pair.label, pair.cluster, pair.n};
	pneumo_stats_options(&options, 0);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_compare(&c, &pair, &options, &stats.env), "pneumo_compare", &rows);
	pneumo_stats_end(&stats);

	found.auc_p = c.auc_p;
	found.only_a = c.only_a_right;
	found.only_b = c.only_b_right;
	found.mcnemar_p = c.mcnemar_p;
	values[CMP_IMAGES] = Int64GetDatum((int64) pair.n);
	values[CMP_POSITIVE] = Int64GetDatum(positive);
	return put_found(values, nulls, desc, &found);
}

/* Compares two models of more classes by their macro figures. */
static double
many_class_differences(Datum *values, bool *nulls, TupleDesc desc, const PneumoEvaluation *a,
					   const Rival *rival, const PneumoJudged *judged)
{
	StatsClassRows rows = pneumo_judged_class_rows(judged, a, a->scores.probability);
	StatsClassRows other = pneumo_judged_class_rows(judged, a, rival->scores.probability);
	StatsOptions options;
	StatsClassComparison c;
	PneumoStats stats;
	Found found = {.differences = {&c.macro_auc_a, &c.macro_auc_b, &c.macro_auc, &c.accuracy,
								   &c.macro_sensitivity, &c.macro_specificity, &c.log_loss, &c.brier}};

	pneumo_stats_options(&options, 0);
	pneumo_stats_begin(&stats);
	pneumo_stats_check_classes(stats_class_compare(&c, &rows, other.probability, &options, &stats.env),
							   "pneumo_compare", &rows, a->scorer->meta->classes);
	pneumo_stats_end(&stats);

	found.auc_p = c.macro_auc_p;
	found.only_a = c.only_a_right;
	found.only_b = c.only_b_right;
	found.mcnemar_p = c.mcnemar_p;
	nulls[CMP_POSITIVE] = true;
	return put_found(values, nulls, desc, &found);
}

/* Returns what is stored with the look of each model; the versions by their ids. */
static Jsonb *
look_metrics(const PneumoEvaluation *a, const PneumoEvaluation *b, double auc_difference)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_open_array(&json, "compared");
	pneumo_json_add_int(&json, NULL, a->id.version);
	pneumo_json_add_int(&json, NULL, b->id.version);
	pneumo_json_close(&json);
	pneumo_json_add_number(&json, "auc_difference", auc_difference, 9);
	return pneumo_json_end(&json);
}

Datum
pneumo_compare(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", "class", NULL};
	Oid relid = DatumGetObjectId(pneumo_argument(fcinfo, 0));
	Jsonb *given = pneumo_config_argument(fcinfo, 3);
	int split = pneumo_judged_split(given, "pneumo_compare()");
	PneumoEvaluation a;
	PneumoEvaluation b;
	Rival rival;
	int finding;
	PneumoJudged judged;
	TupleDesc desc;
	Datum values[N_CMP];
	bool nulls[N_CMP] = {false};
	double auc_difference;
	Jsonb *metrics;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pneumo_evaluation_begin(&a, pneumo_text_argument(fcinfo, 1), config_of(given, "version_a"), own_keys);
	pneumo_evaluation_begin(&b, pneumo_text_argument(fcinfo, 2), config_of(given, "version_b"), own_keys);
	check_comparable(&a, &b);
	finding = pneumo_judged_finding(&a, given, true, "a comparison");
	score_both(&a, &b, &rival, &judged, relid, split);
	values[CMP_IMAGES] = Int64GetDatum(judged.n);
	if (finding >= 0 || a.scorer->meta->n_classes == 2)
		auc_difference = two_class_differences(values, nulls, desc, &a, &b, &rival, &judged, finding);
	else
		auc_difference = many_class_differences(values, nulls, desc, &a, &rival, &judged);

	values[CMP_SPLIT] = CStringGetTextDatum(pneumo_split_names[split]);
	values[CMP_VERSION_A] = Int32GetDatum(a.id.number);
	values[CMP_VERSION_B] = Int32GetDatum(b.id.number);
	values[CMP_PATIENTS] = Int64GetDatum(judged.groups);
	nulls[CMP_PATIENTS] = !judged.grouped;
	values[CMP_NOTES] = pneumo_judged_notes(&judged, &a, &nulls[CMP_NOTES]);
	values[CMP_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(a.dataset));
	metrics = look_metrics(&a, &b, auc_difference);
	values[CMP_LOOKS_A] = Int64GetDatum(pneumo_evaluation_look(&a, &a.id, judged.split, judged.n, metrics));
	values[CMP_LOOKS_B] = Int64GetDatum(pneumo_evaluation_look(&a, &b.id, judged.split, judged.n, metrics));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
