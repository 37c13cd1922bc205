/*-------------------------------------------------------------------------
 *
 * rows.c
 *		Rows of an evaluation: checks, order by score, clusters, and the
 *		memory and stop callbacks of the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "stats_internal.h"

#define RADIX_BITS 8
#define RADIX_SIZE (1 << RADIX_BITS)
#define RADIX_PASSES (64 / RADIX_BITS)

const char *
stats_status_text(StatsStatus status)
{
	switch (status)
	{
		case STATS_OK:
			return "ok";
		case STATS_NO_ROWS:
			return "there are no rows to evaluate";
		case STATS_ONE_CLASS:
			return "all rows are of one class";
		case STATS_SCORE_NAN:
			return "a score is NaN";
		case STATS_SCORE_RANGE:
			return "a score is outside the range 0 to 1";
		case STATS_BAD_LABEL:
			return "a label is not one of the classes";
		case STATS_BAD_ARGUMENT:
			return "an argument is out of range";
		case STATS_NO_MEMORY:
			return "not enough memory";
		case STATS_INTERRUPTED:
			return "interrupted";
		case STATS_NO_CONVERGENCE:
			return "the fit has no finite solution";
		case STATS_UNREACHABLE:
			return "no threshold meets the demand";
		case STATS_TOO_FEW:
			return "a class has fewer than two patients";
	}
	return "unknown status";
}

void *
stats_array(const StatsEnv *env, size_t n, size_t size)
{
	if (env == NULL || env->allocate == NULL)
		return NULL;
	if (n == 0)
		n = 1;
	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	return env->allocate(env->arg, n * size);
}

void
stats_free(const StatsEnv *env, void *memory)
{
	if (memory != NULL && env != NULL && env->release != NULL)
		env->release(env->arg, memory);
}

bool
stats_stopped(const StatsEnv *env, size_t done)
{
	if (env == NULL || env->stop == NULL || done % STATS_POLL_ROWS != 0)
		return false;
	return env->stop(env->arg);
}

StatsStatus
stats_check_rows(const StatsRows *rows, size_t *bad_row)
{
	if (bad_row != NULL)
		*bad_row = 0;
	if (rows == NULL)
		return STATS_BAD_ARGUMENT;
	if (rows->n == 0)
		return STATS_NO_ROWS;
	if (rows->score == NULL || rows->label == NULL)
		return STATS_BAD_ARGUMENT;
	for (size_t i = 0; i < rows->n; i++)
	{
		double score = rows->score[i];
		StatsStatus status = STATS_OK;

		if (isnan(score))
			status = STATS_SCORE_NAN;
		else if (!(score >= 0.0 && score <= 1.0))
			status = STATS_SCORE_RANGE;
		else if (rows->label[i] > 1)
			status = STATS_BAD_LABEL;
		if (status != STATS_OK)
		{
			if (bad_row != NULL)
				*bad_row = i;
			return status;
		}
	}
	return STATS_OK;
}

void
stats_count_labels(const StatsRows *rows, size_t *n_positive, size_t *n_negative)
{
	size_t positive = 0;

	for (size_t i = 0; i < rows->n; i++)
		positive += rows->label[i];
	*n_positive = positive;
	*n_negative = rows->n - positive;
}

double
stats_clip_probability(double p)
{
	if (p < STATS_LOG_LOSS_EPSILON)
		return STATS_LOG_LOSS_EPSILON;
	if (p > 1.0 - STATS_LOG_LOSS_EPSILON)
		return 1.0 - STATS_LOG_LOSS_EPSILON;
	return p;
}

/*
 * Returns a score as a sort key: the bits of a non-negative double are in the
 * order of the numbers.  Adding 0 turns a negative zero into the positive one.
 */
static uint64_t
key_from_score(double score)
{
	uint64_t key;

	score += 0.0;
	memcpy(&key, &score, sizeof(key));
	return key;
}

StatsStatus
stats_sort_keys(StatsKey *keys, StatsKey *spare, size_t n, const StatsEnv *env)
{
	StatsKey *src = keys;
	StatsKey *dst = spare;

	for (int pass = 0; pass < RADIX_PASSES; pass++)
	{
		int shift = pass * RADIX_BITS;
		size_t start[RADIX_SIZE] = {0};
		size_t sum = 0;
		bool trivial = false;
		StatsKey *swap;

		for (size_t i = 0; i < n; i++)
		{
			start[(src[i].key >> shift) & (RADIX_SIZE - 1)]++;
			if (stats_stopped(env, i + 1))
				return STATS_INTERRUPTED;
		}
		for (int b = 0; b < RADIX_SIZE; b++)
		{
			size_t count = start[b];

			trivial = trivial || count == n;
			start[b] = sum;
			sum += count;
		}
		if (trivial) /* a byte that is equal in all keys costs nothing */
			continue;
		for (size_t i = 0; i < n; i++)
		{
			dst[start[(src[i].key >> shift) & (RADIX_SIZE - 1)]++] = src[i];
			if (stats_stopped(env, i + 1))
				return STATS_INTERRUPTED;
		}
		swap = src;
		src = dst;
		dst = swap;
	}
	if (src != keys)
		memcpy(keys, src, n * sizeof(StatsKey));
	return STATS_OK;
}

/* Sorts the filled keys and frees spare; after an error, also an earlier one, frees the keys, too. */
static StatsStatus
finish_sort(StatsKey **keys, StatsKey *spare, size_t n, StatsStatus status, const StatsEnv *env)
{
	if (status == STATS_OK)
		status = stats_sort_keys(*keys, spare, n, env);
	stats_free(env, spare);
	if (status != STATS_OK)
	{
		stats_free(env, *keys);
		*keys = NULL;
	}
	return status;
}

StatsStatus
stats_sort_by_cluster(StatsKey **keys, const uint64_t *cluster, size_t n, const StatsEnv *env)
{
	StatsKey *filled = stats_array(env, n, sizeof(StatsKey));
	StatsKey *spare = stats_array(env, n, sizeof(StatsKey));
	StatsStatus status = filled == NULL || spare == NULL ? STATS_NO_MEMORY : STATS_OK;

	for (size_t i = 0; status == STATS_OK && i < n; i++)
	{
		filled[i].key = cluster[i];
		filled[i].idx = i;
		if (stats_stopped(env, i + 1))
			status = STATS_INTERRUPTED;
	}
	*keys = filled;
	return finish_sort(keys, spare, n, status, env);
}

/* Sorts by score, then label.  The caller frees *keys, which is NULL after an error. */
static StatsStatus
sort_by_score(StatsKey **keys, const StatsRows *rows, const StatsEnv *env)
{
	size_t n = rows->n;
	size_t head = 0;
	StatsKey *filled = stats_array(env, n, sizeof(StatsKey));
	StatsKey *spare = stats_array(env, n, sizeof(StatsKey));
	StatsStatus status = filled == NULL || spare == NULL ? STATS_NO_MEMORY : STATS_OK;

	/* negatives first; the sort is stable, so equal scores keep that order */
	for (uint8_t label = 0; label <= 1; label++)
		for (size_t i = 0; status == STATS_OK && i < n; i++)
		{
			if (rows->label[i] == label)
			{
				filled[head].key = key_from_score(rows->score[i]);
				filled[head++].idx = i;
			}
			if (stats_stopped(env, i + 1))
				status = STATS_INTERRUPTED;
		}
	*keys = filled;
	return finish_sort(keys, spare, n, status, env);
}

StatsStatus
stats_order_rows(StatsOrder *order, const StatsRows *rows, const StatsEnv *env)
{
	StatsKey *keys = NULL;
	StatsStatus status = sort_by_score(&keys, rows, env);

	order->idx = NULL;
	order->n = rows->n;
	if (status != STATS_OK)
		return status;
	order->idx = stats_array(env, rows->n, sizeof(size_t));
	if (order->idx == NULL)
		status = STATS_NO_MEMORY;
	else
		for (size_t i = 0; status == STATS_OK && i < rows->n; i++)
		{
			order->idx[i] = keys[i].idx;
			if (stats_stopped(env, i + 1))
				status = STATS_INTERRUPTED;
		}
	stats_free(env, keys);
	return status;
}

StatsStatus
stats_order_classes(StatsOrder *order, size_t *n_positive, size_t *n_negative, const StatsRows *rows,
					const StatsEnv *env)
{
	StatsStatus status = stats_check_rows(rows, NULL);

	order->idx = NULL;
	order->n = 0;
	if (status != STATS_OK)
		return status;
	stats_count_labels(rows, n_positive, n_negative);
	if (*n_positive == 0 || *n_negative == 0)
		return STATS_ONE_CLASS;
	return stats_order_rows(order, rows, env);
}

StatsStatus
stats_number_clusters(StatsClusters *clusters, const StatsRows *rows, const StatsEnv *env)
{
	bool by_cluster = rows->cluster != NULL;
	StatsKey *keys = NULL;
	size_t last = 0;
	StatsStatus status;

	clusters->number = NULL;
	clusters->n_clusters = 0;
	if (by_cluster)
		status = stats_sort_by_cluster(&keys, rows->cluster, rows->n, env);
	else
		status = sort_by_score(&keys, rows, env);
	if (status != STATS_OK)
		return status;
	clusters->number = stats_array(env, rows->n, sizeof(size_t));
	if (clusters->number == NULL)
	{
		stats_free(env, keys);
		return STATS_NO_MEMORY;
	}
	for (size_t i = 0; status == STATS_OK && i < rows->n; i++)
	{
		if (i > 0 && (!by_cluster || keys[i].key != keys[i - 1].key))
			last++;
		clusters->number[keys[i].idx] = last;
		if (stats_stopped(env, i + 1))
			status = STATS_INTERRUPTED;
	}
	clusters->n_clusters = last + 1;
	stats_free(env, keys);
	return status;
}

uint64_t
stats_mix(uint64_t bits)
{
	bits = (bits ^ (bits >> 33)) * 0xFF51AFD7ED558CCDu;
	bits = (bits ^ (bits >> 33)) * 0xC4CEB9FE1A85EC53u;
	return bits ^ (bits >> 33);
}

/* Scores are at most 1, so that the first bit of their key is free. */
uint64_t
stats_row_key(double score, uint64_t label)
{
	return (key_from_score(score) << 1) | label;
}

StatsStatus
stats_order_clusters(StatsClusters *clusters, StatsRowContent content, const void *rows, size_t n,
					 const StatsEnv *env)
{
	size_t k = clusters->n_clusters;
	StatsKey *keys = stats_array(env, k, sizeof(StatsKey));
	StatsKey *spare = stats_array(env, k, sizeof(StatsKey));
	uint64_t *lowest = stats_array(env, k, sizeof(uint64_t));
	StatsStatus status = keys && spare && lowest ? STATS_OK : STATS_NO_MEMORY;

	for (size_t c = 0; status == STATS_OK && c < k; c++)
	{
		keys[c].key = 0;
		keys[c].idx = c;
		lowest[c] = UINT64_MAX;
	}
	for (size_t i = 0; status == STATS_OK && i < n; i++)
	{
		size_t c = clusters->number[i];
		uint64_t key;
		uint64_t mark;

		content(&key, &mark, rows, i);
		keys[c].key += mark;
		if (key < lowest[c])
			lowest[c] = key;
		if (stats_stopped(env, i + 1))
			status = STATS_INTERRUPTED;
	}
	/* the sort is stable: the later one comes first */
	if (status == STATS_OK)
		status = stats_sort_keys(keys, spare, k, env);
	for (size_t c = 0; status == STATS_OK && c < k; c++)
		keys[c].key = lowest[keys[c].idx];
	if (status == STATS_OK)
		status = stats_sort_keys(keys, spare, k, env);
	for (size_t c = 0; status == STATS_OK && c < k; c++)
		lowest[keys[c].idx] = c;
	for (size_t i = 0; status == STATS_OK && i < n; i++)
		clusters->number[i] = (size_t) lowest[clusters->number[i]];
	stats_free(env, lowest);
	stats_free(env, spare);
	stats_free(env, keys);
	return status;
}
