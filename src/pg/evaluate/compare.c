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

/* Fills the columns of what two models differ in. */
static void
put_differences(Datum *values, bool *nulls, TupleDesc desc, const PneumoDifferences *found)
{
	const struct
	{
		int column;
		const StatsInterval *figure;
	} figures[] = {
		{CMP_AUC_A, &found->auc_a},
		{CMP_AUC_B, &found->auc_b},
		{CMP_AUC, &found->auc},
		{CMP_ACCURACY, &found->accuracy},
		{CMP_SENSITIVITY, &found->sensitivity},
		{CMP_SPECIFICITY, &found->specificity},
		{CMP_LOG_LOSS, &found->log_loss},
		{CMP_BRIER, &found->brier},
	};
	size_t i;

	for (i = 0; i < lengthof(figures); i++)
	{
		int column = figures[i].column;

		values[column] =
			pneumo_figure_datum(figures[i].figure, TupleDescAttr(desc, column)->atttypid, &nulls[column]);
	}
	values[CMP_AUC_P] = pneumo_number_datum(found->auc_p, &nulls[CMP_AUC_P]);
	values[CMP_ONLY_A] = Int64GetDatum((int64) found->only_a_right);
	values[CMP_ONLY_B] = Int64GetDatum((int64) found->only_b_right);
	values[CMP_MCNEMAR] = pneumo_number_datum(found->mcnemar_p, &nulls[CMP_MCNEMAR]);
}

Datum
pneumo_compare(PG_FUNCTION_ARGS)
{
	static const char *const own_keys[] = {"split", "class", NULL};
	static const char *const version_keys[] = {"version_a", "version_b", NULL};
	Oid relid = DatumGetObjectId(pneumo_argument(fcinfo, 0));
	Jsonb *given = pneumo_config_argument(fcinfo, 3);
	int split = pneumo_judged_split(given, "pneumo_compare()");
	PneumoEvaluation e[2];
	PneumoJudged judged;
	PneumoDifferences differences;
	TupleDesc desc;
	Datum values[N_CMP];
	bool nulls[N_CMP] = {false};
	int finding;
	double number[2];
	int64 looks[2];
	int v;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (v = 0; v < 2; v++)
		pneumo_evaluation_begin(&e[v], pneumo_text_argument(fcinfo, 1 + v),
								pneumo_rival_config(given, version_keys,
													pneumo_json_get(&given->root, version_keys[v])),
								own_keys);
	pneumo_rivals_check(e, 2);
	finding = pneumo_judged_finding(&e[0], given, true, "a comparison");
	pneumo_judged_read(&judged, e, 2, relid, split);
	if (finding >= 0)
		pneumo_judged_view(&judged, e, 2, finding);
	pneumo_differences(&differences, &judged, &e[0], &e[1], "pneumo_compare");
	put_differences(values, nulls, desc, &differences);

	values[CMP_SPLIT] = CStringGetTextDatum(pneumo_split_names[split]);
	values[CMP_VERSION_A] = Int32GetDatum(e[0].id.number);
	values[CMP_VERSION_B] = Int32GetDatum(e[1].id.number);
	values[CMP_IMAGES] = Int64GetDatum(judged.n);
	values[CMP_PATIENTS] = Int64GetDatum(judged.groups);
	nulls[CMP_PATIENTS] = !judged.grouped;
	values[CMP_POSITIVE] = Int64GetDatum(judged.positive);
	nulls[CMP_POSITIVE] = e[0].scorer->meta->n_classes != 2;
	values[CMP_NOTES] = pneumo_judged_notes_datum(&judged, &e[0], &nulls[CMP_NOTES]);
	values[CMP_LEFT_OUT] = JsonbPGetDatum(pneumo_dataset_left_out_json(e[0].dataset));
	number[0] = number[1] = differences.auc.value;
	pneumo_rivals_look(looks, &judged, e, 2, "auc_difference", number);
	values[CMP_LOOKS_A] = Int64GetDatum(looks[0]);
	values[CMP_LOOKS_B] = Int64GetDatum(looks[1]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
