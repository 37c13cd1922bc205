/*-------------------------------------------------------------------------
 *
 * predict.c
 *	  The SQL functions that score an image: pneumo_predict and its family.
 *
 * Each call resolves the name and checks the right under the query's snapshot
 * (rights.c), in a batch, too.  Engine and buffers are kept between the calls of
 * one query, for a few models at a time, so that memory is flat however many
 * rows there are.  Nothing is read into a buffer before the call knows that the
 * caller may predict with the model.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/transam.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/predict/group_scan.h"
#include "pg/predict/predict.h"

PG_FUNCTION_INFO_V1(pneumo_predict);
PG_FUNCTION_INFO_V1(pneumo_predict_raw);
PG_FUNCTION_INFO_V1(pneumo_classify);
PG_FUNCTION_INFO_V1(pneumo_predict_proba);
PG_FUNCTION_INFO_V1(pneumo_score);
PG_FUNCTION_INFO_V1(pneumo_findings);
PG_FUNCTION_INFO_V1(pneumo_score_findings);
PG_FUNCTION_INFO_V1(pneumo_embed);
PG_FUNCTION_INFO_V1(pneumo_predict_version);
PG_FUNCTION_INFO_V1(pneumo_deployed);
PG_FUNCTION_INFO_V1(pneumo_score_support);

typedef enum ScoreKind
{
	SCORE_PROBABILITY, /* pneumo_predict: float8 */
	SCORE_RAW,         /* pneumo_predict_raw: float8 */
	SCORE_CLASS,       /* pneumo_classify: text */
	SCORE_ROW,         /* pneumo_score: (score, class, sha256) */
	SCORE_FINDINGS,    /* pneumo_findings: text[] */
	SCORE_FINDINGS_ROW /* pneumo_score_findings: (scores, findings, sha256) */
} ScoreKind;

/* By ScoreKind. */
static const struct
{
	PGFunction address;
	const char *name;
} score_functions[] = {
	{pneumo_predict, "pneumo_predict"},   {pneumo_predict_raw, "pneumo_predict_raw"},
	{pneumo_classify, "pneumo_classify"}, {pneumo_score, "pneumo_score"},
	{pneumo_findings, "pneumo_findings"}, {pneumo_score_findings, "pneumo_score_findings"},
};

/* --------------------------------------------------------------- which version */

void
pneumo_resolve(const char *name, PneumoVersionId *id)
{
	pneumo_require_deployed(name, pneumo_model_lookup(name, PNEUMO_PREDICT, GetUserId(), false), id);
}

/* Returns the model that a call means: its argument, or pneumo.default_model. */
static char *
model_argument(FunctionCallInfo fcinfo, int arg)
{
	if (PG_NARGS() > arg)
		return text_to_cstring(PG_GETARG_TEXT_PP(arg));
	return pstrdup(pneumo_default_model);
}

static PneumoScorer *
scorer_of_model(FunctionCallInfo fcinfo, int arg, PneumoVersionId *id)
{
	char *name = model_argument(fcinfo, arg);

	pneumo_resolve(name, id);
	pfree(name);
	return pneumo_scorer_get(&fcinfo->flinfo->fn_extra, fcinfo->flinfo->fn_mcxt, id, pneumo_path());
}

/* -------------------------------------------------------------------- classes */

static char *
class_list(const PneumoModelMeta *meta)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < meta->n_classes; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", quote_literal_cstr(meta->classes[i]));
	return list.data;
}

/* Returns the class that a number is for: the named one, or the positive one of two; -1 if there is none. */
static int
class_named(const PneumoModelMeta *meta, const char *class_name)
{
	int i;

	if (class_name == NULL)
		return pneumo_meta_is_two_class(meta) ? 1 : meta->n_classes == 1 ? 0 : -1;
	for (i = 0; i < meta->n_classes; i++)
	{
		if (strcmp(meta->classes[i], class_name) == 0)
			return i;
	}
	return -1;
}

static int
class_argument(FunctionCallInfo fcinfo, int arg, const PneumoModelMeta *meta, const char *function)
{
	char *name = PG_NARGS() > arg ? text_to_cstring(PG_GETARG_TEXT_PP(arg)) : NULL;
	int class_index = class_named(meta, name);
	const char *noun = meta->multi_label ? "findings" : "classes";

	if (class_index < 0 && name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("the model has %d %s, so %s needs one of them", meta->n_classes, noun, function),
				 errdetail("The %s are %s.", noun, class_list(meta)),
				 errhint("Name the %s in a further argument, or use %s or pneumo_predict_proba.",
						 meta->multi_label ? "finding" : "class",
						 meta->multi_label ? "pneumo_findings" : "pneumo_classify")));
	if (class_index < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the model has no %s \"%s\"", meta->multi_label ? "finding" : "class",
							   pneumo_clip(name)),
						errdetail("The %s are %s.", noun, class_list(meta))));
	if (name != NULL)
		pfree(name);
	return class_index;
}

/* --------------------------------------------------------------------- scores */

/* The scores of one image, in the memory of whoever computed them. */
typedef struct ImageScores
{
	const double *calibrated; /* n_classes */
	const float *raw;         /* output units */
} ImageScores;

static double
raw_probability(const PneumoScorer *scorer, const ImageScores *scores, int class_index)
{
	if (scorer->output_units > 1 || scorer->meta->multi_label)
		return scores->raw[class_index];
	return class_index == 1 ? (double) scores->raw[0] : 1 - (double) scores->raw[0];
}

/* Returns (score, class, sha256). */
static Datum
score_row(FunctionCallInfo fcinfo, const PneumoScorer *scorer, const ImageScores *scores)
{
	const PneumoModelMeta *meta = scorer->meta;
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pneumo_score must return a row");
	values[0] = Float8GetDatum(pneumo_score_of(meta, scores->calibrated));
	values[1] = CStringGetTextDatum(meta->classes[pneumo_class_of(meta, scores->calibrated)]);
	values[2] = PointerGetDatum(pneumo_bytea(scorer->engine->id.sha256, PNEUMO_SHA256_LEN));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* Returns (scores, findings, sha256). */
static Datum
findings_row(FunctionCallInfo fcinfo, const PneumoScorer *scorer, const ImageScores *scores)
{
	TupleDesc desc;
	Datum values[3];
	bool nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pneumo_score_findings must return a row");
	values[0] = JsonbPGetDatum(pneumo_findings_json(scorer->meta, scores->calibrated));
	values[1] = pneumo_findings_datum(scorer->meta, scores->calibrated);
	values[2] = PointerGetDatum(pneumo_bytea(scorer->engine->id.sha256, PNEUMO_SHA256_LEN));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* Raises an error if a call is for the other kind of model. */
static void
check_kind(const PneumoModelMeta *meta, ScoreKind kind)
{
	const char *name = score_functions[kind].name;

	switch (kind)
	{
		case SCORE_PROBABILITY:
		case SCORE_RAW:
			return;
		case SCORE_CLASS:
			pneumo_require_findings(meta, false, name, "pneumo_findings returns those that are there.");
			return;
		case SCORE_ROW:
			pneumo_require_findings(meta, false, name, "Store what pneumo_score_findings returns.");
			return;
		case SCORE_FINDINGS:
			pneumo_require_findings(meta, true, name, "pneumo_classify returns it.");
			return;
		case SCORE_FINDINGS_ROW:
			pneumo_require_findings(meta, true, name, "Store what pneumo_score returns.");
			return;
	}
}

/*
 * Scores one image; the arguments are image, model and, for a number, class.
 * The score may come from a batch, which never raises an error: if it has none,
 * the image goes through the network alone.
 */
static Datum
score_one(FunctionCallInfo fcinfo, ScoreKind kind)
{
	PneumoVersionId id;
	PneumoScorer *scorer = scorer_of_model(fcinfo, 1, &id);
	bool has_class = kind == SCORE_PROBABILITY || kind == SCORE_RAW;
	int class_index = 0;
	ImageScores scores;

	check_kind(scorer->meta, kind);
	if (has_class)
		class_index = class_argument(fcinfo, 2, scorer->meta, score_functions[kind].name);
	if (!pneumo_batch_scores(PG_GETARG_DATUM(0), scorer, &scores.calibrated, &scores.raw))
	{
		if (!pneumo_scorer_run(scorer, PG_GETARG_DATUM(0), pneumo_on_bad_image, false))
			PG_RETURN_NULL();
		scores.calibrated = scorer->calibrated;
		scores.raw = scorer->probabilities;
	}
	switch (kind)
	{
		case SCORE_PROBABILITY:
			PG_RETURN_FLOAT8(scores.calibrated[class_index]);
		case SCORE_RAW:
			PG_RETURN_FLOAT8(raw_probability(scorer, &scores, class_index));
		case SCORE_CLASS:
			return CStringGetTextDatum(
				scorer->meta->classes[pneumo_class_of(scorer->meta, scores.calibrated)]);
		case SCORE_FINDINGS:
			return pneumo_findings_datum(scorer->meta, scores.calibrated);
		case SCORE_FINDINGS_ROW:
			return findings_row(fcinfo, scorer, &scores);
		case SCORE_ROW:
			break;
	}
	return score_row(fcinfo, scorer, &scores);
}

Datum
pneumo_predict(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, SCORE_PROBABILITY);
}

Datum
pneumo_predict_raw(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, SCORE_RAW);
}

Datum
pneumo_classify(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, SCORE_CLASS);
}

Datum
pneumo_score(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, SCORE_ROW);
}

Datum
pneumo_findings(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, SCORE_FINDINGS);
}

Datum
pneumo_score_findings(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, SCORE_FINDINGS_ROW);
}

bool
pneumo_is_score_function(Oid function)
{
	FmgrInfo flinfo;
	int i;

	if (function < FirstNormalObjectId || !OidIsValid(get_func_support(function)))
		return false;
	fmgr_info(function, &flinfo);
	for (i = 0; i < (int) lengthof(score_functions); i++)
	{
		if (flinfo.fn_addr == score_functions[i].address)
			return true;
	}
	return false;
}

/*
 * Tells the planner nothing, but being asked loads the library before the query
 * starts, and tells group_plan.c what to look for.
 */
Datum
pneumo_score_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
		pneumo_batch_plan_expect(((SupportRequestSimplify *) request)->fcall->funcid);
	PG_RETURN_POINTER(NULL);
}

/*
 * Content-addressed, so immutable: no setting may change it, and it is rounded
 * so that the last digits, in which CPU paths can differ, do not show.
 */
Datum
pneumo_predict_version(PG_FUNCTION_ARGS)
{
	bytea *hash = PG_GETARG_BYTEA_PP(1);
	PneumoVersionId id;
	PneumoScorer *scorer;
	int class_index;

	if (VARSIZE_ANY_EXHDR(hash) != PNEUMO_SHA256_LEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a SHA-256 has 32 bytes, not %zu", (size_t) VARSIZE_ANY_EXHDR(hash)),
						errhint("pneumo.versions and pneumo_deployed(model) give it.")));
	(void) pneumo_version_lookup((const uint8 *) VARDATA_ANY(hash), PNEUMO_PREDICT, GetUserId(), &id);
	PG_FREE_IF_COPY(hash, 1);
	scorer = pneumo_scorer_get(&fcinfo->flinfo->fn_extra, fcinfo->flinfo->fn_mcxt, &id, pneumo_path_best());
	class_index = class_argument(fcinfo, 2, scorer->meta, "pneumo_predict_version");
	(void) pneumo_scorer_run(scorer, PG_GETARG_DATUM(0), PNEUMO_BAD_IMAGE_ERROR, false);
	PG_RETURN_FLOAT8(rint(scorer->calibrated[class_index] * 1e6) / 1e6);
}

Datum
pneumo_predict_proba(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PneumoVersionId id;
	PneumoScorer *scorer = scorer_of_model(fcinfo, 1, &id);
	int i;

	InitMaterializedSRF(fcinfo, 0);
	if (!pneumo_scorer_run(scorer, PG_GETARG_DATUM(0), pneumo_on_bad_image, false))
		return (Datum) 0;
	for (i = 0; i < scorer->meta->n_classes; i++)
	{
		Datum values[2];
		bool nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(scorer->meta->classes[i]);
		values[1] = Float8GetDatum(scorer->calibrated[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
pneumo_embed(PG_FUNCTION_ARGS)
{
	PneumoVersionId id;
	PneumoScorer *scorer = scorer_of_model(fcinfo, 1, &id);
	int n;
	ArrayType *result;

	if (!pneumo_scorer_run(scorer, PG_GETARG_DATUM(0), pneumo_on_bad_image, true))
		PG_RETURN_NULL();
	n = scorer->embedding_units;
	result = pneumo_real_array(scorer->embedding, 1, &n);
	PG_RETURN_ARRAYTYPE_P(result);
}

Datum
pneumo_deployed(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PneumoVersionId id;

	pneumo_resolve(name, &id);
	PG_RETURN_BYTEA_P(pneumo_bytea(id.sha256, PNEUMO_SHA256_LEN));
}
