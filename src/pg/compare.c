/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  pneumo_compare: two models on the same rows of one side of a table, which
 *	  neither has seen.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "pg/figures.h"
#include "pg/side.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pneumo_compare);

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
score_both(PneumoEvaluation *a, PneumoEvaluation *b, Rival *rival, PneumoSide *side, Oid relid, int split)
{
	bool		one_pass = same_input(a->scorer, b->scorer);

	rival->a = a;
	rival->scorer = b->scorer;
	rival->max = 1024;
	rival->probability = MemoryContextAllocHuge(CurrentMemoryContext, rival->max * 2 * sizeof(double));
	pneumo_side_want(a, split);
	if (one_pass)
	{
		a->look = score_pixels;
		a->look_arg = rival;
	}
	pneumo_evaluation_read(a, relid);
	pneumo_side_hold_out(a, a->id.version, split);
	pneumo_side_hold_out(a, b->id.version, split);
	pneumo_side_collect(side, a, split);
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
	int			split = pneumo_side_split(given, "pneumo_compare()");
	PneumoEvaluation a;
	PneumoEvaluation b;
	Rival		rival;
	PneumoSide		side;
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

	pair.score_a = pneumo_side_scores(&side, &a, a.probability);
	pair.score_b = pneumo_side_scores(&side, &a, rival.probability);
	rows = pneumo_side_rows(&side, &a, pair.score_a);
	pair.label = rows.label;
	pair.cluster = rows.cluster;
	pair.n = rows.n;
	pair.threshold_a = a.scorer->meta->threshold;
	pair.threshold_b = b.scorer->meta->threshold;
	pneumo_stats_options(&options, 0);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_compare(&c, &pair, &options, &stats.env), "pneumo_compare", &rows);
	pneumo_stats_end(&stats);

	values[CMP_SPLIT] = CStringGetTextDatum(pneumo_side_names[split]);
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
	values[CMP_LOOKS_A] = Int64GetDatum(pneumo_side_look(&a.id, &side, a.source->name, look));
	values[CMP_LOOKS_B] = Int64GetDatum(pneumo_side_look(&b.id, &side, a.source->name, look));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
