/*-------------------------------------------------------------------------
 *
 * shortcut.c
 *		The shortcut check: do properties of the file tell the classes?
 *
 *-------------------------------------------------------------------------
 */
#include "random/philox.h"
#include "stats_internal.h"

#define PURPOSE_FOLDS 0x666f6c64u /* keeps these draws apart from others */

/* Memory of one check. */
typedef struct Work
{
	StatsClusters clusters;
	uint8_t *stratum; /* per cluster */
	uint32_t *fold;   /* per cluster */
	uint8_t *use;     /* per row */
	double *score;    /* per row */
} Work;

/* Fills the stratum of each cluster: its class, or 2 for a cluster with rows of both. */
static StatsStatus
fill_strata(uint8_t *stratum, const StatsClusters *clusters, const uint8_t *label, size_t n,
			const StatsEnv *env)
{
	const uint8_t none = UINT8_MAX;

	memset(stratum, none, clusters->n_clusters);
	for (size_t i = 0; i < n; i++)
	{
		uint8_t *of = &stratum[clusters->number[i]];

		if (*of == none)
			*of = label[i];
		else if (*of != label[i])
			*of = 2;
		if (stats_stopped(env, i + 1))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/*
 * Deals the clusters of each stratum to the folds in the order of random
 * keys.  Each stratum goes on where the last one stopped, so the folds stay even.
 */
static StatsStatus
deal_folds(Work *work, uint32_t n_folds, uint64_t seed, const StatsEnv *env)
{
	size_t k = work->clusters.n_clusters;
	StatsKey *keys = stats_array(env, k, 2 * sizeof(StatsKey));
	StatsStatus status = keys == NULL ? STATS_NO_MEMORY : STATS_OK;

	for (size_t c = 0; status == STATS_OK && c < k; c++)
	{
		Philox random = philox(seed, (uint32_t) c, (uint32_t) ((uint64_t) c >> 32), PURPOSE_FOLDS, 0);

		keys[c].key = ((uint64_t) work->stratum[c] << 62) | (((uint64_t) random.v[0] << 30) ^ random.v[1]);
		keys[c].idx = c;
	}
	if (status == STATS_OK)
		status = stats_sort_keys(keys, keys + k, k, env);
	for (size_t i = 0; status == STATS_OK && i < k; i++)
		work->fold[keys[i].idx] = (uint32_t) (i % n_folds);
	stats_free(env, keys);
	return status;
}

static StatsStatus
score_folds(StatsShortcut *result, Work *work, const double *feature, size_t n_features, const uint8_t *label,
			size_t n, const StatsEnv *env)
{
	for (uint32_t f = 0; f < result->n_folds; f++)
	{
		StatsLogistic model;
		StatsStatus status;

		for (size_t i = 0; i < n; i++)
			work->use[i] = work->fold[work->clusters.number[i]] != f;
		status = stats_fit_logistic(&model, feature, n_features, label, work->use, n, env);
		if (status == STATS_ONE_CLASS)
			return STATS_TOO_FEW;
		if (status != STATS_OK)
			return status;
		for (size_t i = 0; i < n; i++)
		{
			if (!work->use[i])
				work->score[i] = stats_logistic_score(&model, feature + i * n_features);
			if (stats_stopped(env, i + 1))
				return STATS_INTERRUPTED;
		}
	}
	return STATS_OK;
}

/* Sets the number of folds that the rarer class allows. */
static StatsStatus
choose_folds(StatsShortcut *result, const Work *work, uint32_t n_folds)
{
	size_t holding[2] = {0, 0};
	size_t fewest;

	for (size_t c = 0; c < work->clusters.n_clusters; c++)
	{
		holding[0] += work->stratum[c] != 1;
		holding[1] += work->stratum[c] != 0;
	}
	fewest = holding[0] < holding[1] ? holding[0] : holding[1];
	if (fewest < 2)
		return STATS_TOO_FEW;
	result->n_folds = fewest < n_folds ? (uint32_t) fewest : n_folds;
	return STATS_OK;
}

/* Fits the model on all rows, deals the folds, and evaluates the pooled scores of the folds. */
static StatsStatus
check_shortcut(StatsShortcut *result, Work *work, const double *feature, size_t n_features,
			   const uint8_t *label, const uint64_t *cluster, size_t n, uint32_t n_folds, uint64_t seed,
			   double confidence, const StatsEnv *env)
{
	StatsRows rows = {work->score, label, cluster, n};
	StatsStatus status;

	for (size_t i = 0; i < n; i++)
		work->score[i] = 0.0;
	status = stats_fit_logistic(&result->model, feature, n_features, label, NULL, n, env);
	/* without ids the rows are numbered by what they are scored */
	for (size_t i = 0; status == STATS_OK && i < n; i++)
	{
		work->score[i] = stats_logistic_score(&result->model, feature + i * n_features);
		if (stats_stopped(env, i + 1))
			status = STATS_INTERRUPTED;
	}
	if (status == STATS_OK)
		status = stats_number_clusters(&work->clusters, &rows, env);
	if (status != STATS_OK)
		return status;
	work->stratum = stats_array(env, work->clusters.n_clusters, 1);
	work->fold = stats_array(env, work->clusters.n_clusters, sizeof(uint32_t));
	if (work->stratum == NULL || work->fold == NULL)
		return STATS_NO_MEMORY;
	status = fill_strata(work->stratum, &work->clusters, label, n, env);
	if (status == STATS_OK)
		status = choose_folds(result, work, n_folds);
	if (status == STATS_OK)
		status = deal_folds(work, result->n_folds, seed, env);
	if (status == STATS_OK)
		status = score_folds(result, work, feature, n_features, label, n, env);
	if (status == STATS_OK)
		status = stats_auc_interval(&result->auc, &rows, confidence, env);
	return status;
}

StatsStatus
stats_shortcut(StatsShortcut *result, double *score, const double *feature, size_t n_features,
			   const uint8_t *label, const uint64_t *cluster, size_t n, uint32_t n_folds, uint64_t seed,
			   double confidence, const StatsEnv *env)
{
	Work work = {{NULL, 0}, NULL, NULL, NULL, NULL};
	StatsStatus status = STATS_NO_MEMORY;

	if (n == 0)
		return STATS_NO_ROWS;
	if (n_folds < 2 || !stats_level_is_valid(confidence))
		return STATS_BAD_ARGUMENT;
	work.use = stats_array(env, n, sizeof(uint8_t));
	work.score = score != NULL ? score : stats_array(env, n, sizeof(double));
	if (work.use != NULL && work.score != NULL)
		status = check_shortcut(result, &work, feature, n_features, label, cluster, n, n_folds, seed,
								confidence, env);
	stats_free(env, work.fold);
	stats_free(env, work.stratum);
	stats_free(env, work.clusters.number);
	if (score == NULL)
		stats_free(env, work.score);
	stats_free(env, work.use);
	return status;
}
