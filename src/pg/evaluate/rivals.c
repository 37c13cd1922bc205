/*-------------------------------------------------------------------------
 *
 * rivals.c
 *	  Versions that are judged by the same rows: their configs, whether they can be
 *	  compared, what two of them differ in, and the looks that this costs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/base/stats_env.h"
#include "pg/evaluate/evaluate.h"
#include "pg/source/source.h"

/* Raises that a version is named by a key for one version; the hint has the keys for several. */
static void
refuse_version(const char *const *version_keys)
{
	StringInfoData hint;
	int i;

	initStringInfo(&hint);
	for (i = 0; version_keys[i] != NULL; i++)
		appendStringInfo(&hint, "%s\"%s\"", i > 0 ? " or " : "", version_keys[i]);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown config key \"version\""),
					errhint("Did you mean %s?", hint.data)));
}

Jsonb *
pneumo_rival_config(Jsonb *given, const char *const *version_keys, JsonbValue *version)
{
	PneumoJson json;
	JsonbIterator *it = JsonbIteratorInit(&given->root);
	JsonbIteratorToken token;
	JsonbValue item;

	pneumo_json_begin(&json);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char *key;
		bool skip = false;
		int i;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(item.val.string.val, item.val.string.len);
		if (strcmp(key, "version") == 0)
			refuse_version(version_keys);
		for (i = 0; version_keys[i] != NULL; i++)
			skip |= strcmp(key, version_keys[i]) == 0;
		if (!skip)
			pneumo_json_add_jsonb(&json, key, JsonbValueToJsonb(pneumo_json_get(&given->root, key)));
	}
	if (version != NULL)
		pneumo_json_add_jsonb(&json, "version", JsonbValueToJsonb(version));
	return pneumo_json_end(&json);
}

static void
check_pair(const PneumoEvaluation *a, const PneumoEvaluation *b)
{
	const PneumoModelMeta *x = a->scorer->meta;
	const PneumoModelMeta *y = b->scorer->meta;
	int i;

	if (x->multi_label != y->multi_label)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg(
				 "model \"%s\" tells findings, of which an image can have several, \"%s\" one class an image",
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
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("version %d of model \"%s\" and version %d of model \"%s\" are the same, with SHA-256 %s",
					a->id.number, a->model, b->id.number, b->model, pneumo_sha256_hex(a->id.sha256))));
}

void
pneumo_rivals_check(const PneumoEvaluation *e, int n)
{
	int a;
	int b;

	for (a = 0; a < n; a++)
		for (b = a + 1; b < n; b++)
			check_pair(&e[a], &e[b]);
}

/* ------------------------------------------------------------- differences */

/* Fills the scores of both models with label and patient of the rows. */
static void
fill_pair(StatsPair *pair, const PneumoJudged *judged, const PneumoEvaluation *a, const PneumoEvaluation *b)
{
	Size n = (Size) judged->n;
	double *score_a = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(double));
	double *score_b = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(double));
	uint8_t *label = MemoryContextAllocHuge(CurrentMemoryContext, n);
	uint64_t *cluster = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(uint64_t));
	Size i;

	for (i = 0; i < n; i++)
	{
		int64 sample = judged->samples[i];

		score_a[i] = pneumo_evaluation_probability(a, sample)[1];
		score_b[i] = pneumo_evaluation_probability(b, sample)[1];
		label[i] = a->dataset->samples[sample].label == 1;
		memcpy(&cluster[i], a->dataset->samples[sample].group, sizeof(uint64_t));
	}
	pair->score_a = score_a;
	pair->score_b = score_b;
	pair->label = label;
	pair->cluster = cluster;
	pair->n = n;
	pair->threshold_a = a->scorer->meta->threshold;
	pair->threshold_b = b->scorer->meta->threshold;
}

/* Compares two models of two classes, each at its own threshold. */
static void
two_classes(PneumoDifferences *d, const PneumoJudged *judged, const PneumoEvaluation *a,
			const PneumoEvaluation *b, const char *what)
{
	StatsPair pair;
	StatsRows rows;
	StatsOptions options;
	StatsComparison c;
	PneumoStats stats;

	fill_pair(&pair, judged, a, b);
	rows = (StatsRows) {pair.score_a, pair.label, pair.cluster, pair.n};
	pneumo_stats_options(&options, 0);
	pneumo_stats_begin(&stats);
	pneumo_stats_check(stats_compare(&c, &pair, &options, &stats.env), what, &rows);
	pneumo_stats_end(&stats);
	d->auc_a = c.auc_a;
	d->auc_b = c.auc_b;
	d->auc = c.auc;
	d->accuracy = c.accuracy;
	d->sensitivity = c.sensitivity;
	d->specificity = c.specificity;
	d->log_loss = c.log_loss;
	d->brier = c.brier;
	d->auc_p = c.auc_p;
	d->only_a_right = c.only_a_right;
	d->only_b_right = c.only_b_right;
	d->mcnemar_p = c.mcnemar_p;
}

/* Compares two models of more classes by their macro figures. */
static void
many_classes(PneumoDifferences *d, const PneumoJudged *judged, const PneumoEvaluation *a,
			 const PneumoEvaluation *b, const char *what)
{
	StatsClassRows rows = pneumo_judged_class_rows(judged, a, a->scores.probability);
	StatsClassRows other = pneumo_judged_class_rows(judged, b, b->scores.probability);
	StatsOptions options;
	StatsClassComparison c;
	PneumoStats stats;

	pneumo_stats_options(&options, 0);
	pneumo_stats_begin(&stats);
	pneumo_stats_check_classes(stats_class_compare(&c, &rows, other.probability, &options, &stats.env), what,
							   &rows, a->scorer->meta->classes);
	pneumo_stats_end(&stats);
	d->auc_a = c.macro_auc_a;
	d->auc_b = c.macro_auc_b;
	d->auc = c.macro_auc;
	d->accuracy = c.accuracy;
	d->sensitivity = c.macro_sensitivity;
	d->specificity = c.macro_specificity;
	d->log_loss = c.log_loss;
	d->brier = c.brier;
	d->auc_p = c.macro_auc_p;
	d->only_a_right = c.only_a_right;
	d->only_b_right = c.only_b_right;
	d->mcnemar_p = c.mcnemar_p;
}

void
pneumo_differences(PneumoDifferences *differences, const PneumoJudged *judged, const PneumoEvaluation *a,
				   const PneumoEvaluation *b, const char *what)
{
	MemoryContext cxt =
		AllocSetContextCreate(CurrentMemoryContext, "pneumo comparison", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);

	if (a->scorer->meta->n_classes == 2)
		two_classes(differences, judged, a, b, what);
	else
		many_classes(differences, judged, a, b, what);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* ------------------------------------------------------------------- looks */

void
pneumo_rivals_look(int64 *looks, const PneumoJudged *judged, const PneumoEvaluation *e, int n,
				   const char *name, const double *number)
{
	int v;

	for (v = 0; v < n; v++)
	{
		PneumoJson json;
		int i;

		pneumo_json_begin(&json);
		pneumo_json_open_array(&json, "compared");
		for (i = 0; i < n; i++)
			pneumo_json_add_int(&json, NULL, e[i].id.version);
		pneumo_json_close(&json);
		pneumo_json_add_number(&json, name, number[v], 9);
		looks[v] = pneumo_evaluation_look(&e[v], &e[v].id, judged->split, judged->n, pneumo_json_end(&json));
	}
}
