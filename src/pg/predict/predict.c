/*-------------------------------------------------------------------------
 *
 * predict.c
 *	  pneumo_predict and its family.
 *
 * Each call resolves the name and checks the right under the query's snapshot
 * (rights.c); engine and buffers are kept between the calls of one query, for
 * a few models at a time, so that memory is flat however many rows there are.
 * Nothing is read into a buffer before the call knows that it may.
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
#include "pg/predict/score_calls.h"

PG_FUNCTION_INFO_V1(pneumo_predict);
PG_FUNCTION_INFO_V1(pneumo_predict_raw);
PG_FUNCTION_INFO_V1(pneumo_classify);
PG_FUNCTION_INFO_V1(pneumo_predict_proba);
PG_FUNCTION_INFO_V1(pneumo_score);
PG_FUNCTION_INFO_V1(pneumo_embed);
PG_FUNCTION_INFO_V1(pneumo_predict_version);
PG_FUNCTION_INFO_V1(pneumo_deployed);
PG_FUNCTION_INFO_V1(pneumo_score_support);

/* By PneumoScoreKind. */
static const struct
{
	PGFunction address;
	const char *name;
} score_functions[] = {
	{pneumo_predict, "pneumo_predict"},
	{pneumo_predict_raw, "pneumo_predict_raw"},
	{pneumo_classify, "pneumo_classify"},
	{pneumo_score, "pneumo_score"},
};

/* --------------------------------------------------------------- which version */

void
pneumo_resolve(const char *name, PneumoVersionId *id)
{
	pneumo_require_deployed(name, pneumo_model_lookup(name, PNEUMO_PREDICT, GetUserId(), false), id);
}

/* The model that a call means: its argument, or pneumo.default_model. */
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

int
pneumo_class_index(const PneumoModelMeta *meta, const char *class_name)
{
	int i;

	if (class_name == NULL)
		return meta->n_classes == 2 ? 1 : -1;
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
	int class_index = pneumo_class_index(meta, name);

	if (class_index < 0 && name == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
			 errmsg("the model has %d classes, so %s needs one of them", meta->n_classes, function),
			 errdetail("The classes are %s.", class_list(meta)),
			 errhint(
				 "Name the class in a further argument, or use pneumo_classify or pneumo_predict_proba.")));
	if (class_index < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the model has no class \"%s\"", pneumo_clip(name)),
						errdetail("The classes are %s.", class_list(meta))));
	if (name != NULL)
		pfree(name);
	return class_index;
}

/* --------------------------------------------------------------------- scores */

Datum
pneumo_score_datum(PneumoScoreKind kind, PneumoScorer *scorer, int row, int class_index,
				   const PneumoVersionId *id, TupleDesc desc)
{
	const PneumoModelMeta *meta = scorer->meta;
	const float *raw = scorer->probabilities + (size_t) row * scorer->output_units;
	Datum values[3];
	bool nulls[3] = {false, false, false};

	switch (kind)
	{
		case PNEUMO_SCORE_PROBABILITY:
			return Float8GetDatum(scorer->calibrated[class_index]);
		case PNEUMO_SCORE_RAW:
			return Float8GetDatum(scorer->output_units > 1 ? (double) raw[class_index]
								  : class_index == 1       ? (double) raw[0]
														   : 1 - (double) raw[0]);
		case PNEUMO_SCORE_CLASS:
			return CStringGetTextDatum(meta->classes[pneumo_class_of(meta, scorer->calibrated)]);
		case PNEUMO_SCORE_ROW:
			break;
	}
	values[0] = Float8GetDatum(pneumo_score_of(meta, scorer->calibrated));
	values[1] = CStringGetTextDatum(meta->classes[pneumo_class_of(meta, scorer->calibrated)]);
	values[2] = PointerGetDatum(pneumo_bytea(id->sha256, PNEUMO_SHA256_LEN));
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* One image: arguments are image, model and, for a number, class. */
static Datum
score_one(FunctionCallInfo fcinfo, PneumoScoreKind kind)
{
	PneumoVersionId id;
	PneumoScorer *scorer = scorer_of_model(fcinfo, 1, &id);
	int class_index = 0;
	TupleDesc desc = NULL;

	if (pneumo_score_has_class(kind))
		class_index = class_argument(fcinfo, 2, scorer->meta, score_functions[kind].name);
	if (kind == PNEUMO_SCORE_ROW)
	{
		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "pneumo_score must return a row");
		desc = BlessTupleDesc(desc);
	}
	if (!pneumo_scorer_run(scorer, PG_GETARG_DATUM(0), pneumo_on_bad_image, false))
		PG_RETURN_NULL();
	return pneumo_score_datum(kind, scorer, 0, class_index, &id, desc);
}

Datum
pneumo_predict(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, PNEUMO_SCORE_PROBABILITY);
}

Datum
pneumo_predict_raw(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, PNEUMO_SCORE_RAW);
}

Datum
pneumo_classify(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, PNEUMO_SCORE_CLASS);
}

Datum
pneumo_score(PG_FUNCTION_ARGS)
{
	return score_one(fcinfo, PNEUMO_SCORE_ROW);
}

bool
pneumo_score_kind(Oid function, PneumoScoreKind *kind)
{
	FmgrInfo flinfo;
	int i;

	if (function < FirstNormalObjectId || !OidIsValid(get_func_support(function)))
		return false;
	fmgr_info(function, &flinfo);
	for (i = 0; i < (int) lengthof(score_functions); i++)
	{
		if (flinfo.fn_addr == score_functions[i].address)
		{
			*kind = (PneumoScoreKind) i;
			return true;
		}
	}
	return false;
}

/*
 * Of the functions above.  It tells the planner nothing, but being asked loads
 * the library before the query starts, and group_plan.c learns what to look for.
 */
Datum
pneumo_score_support(PG_FUNCTION_ARGS)
{
	Node *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
		pneumo_group_plan_expect(((SupportRequestSimplify *) request)->fcall->funcid);
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
