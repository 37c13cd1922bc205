/*-------------------------------------------------------------------------
 *
 * bootstrap_draw.c
 *		The replicates of the bootstrap: clusters drawn within strata, with
 *		replacement, and the statistics of their sums.
 *
 * Nothing is sorted per replicate.  Rows picked at random from a large table
 * are rows that no cache holds, so a large stratum is drawn in two steps.
 * First, for each replicate, it is decided how many of its draws fall into
 * each block of clusters (the multinomial numbers, by counting draws of
 * blocks).  Then, block by block, the draws within the block are made for all
 * replicates while the block is in the cache.  That is the same distribution,
 * at some nanoseconds a draw whatever the size.
 *
 *-------------------------------------------------------------------------
 */
#include "random/philox.h"
#include "stats_internal.h"

bool
stats_list_strata(StatsStrata *strata, const StatsBootstrap *plan, const StatsEnv *env)
{
	size_t next = 0;

	strata->member = stats_array(env, plan->n_clusters, sizeof(size_t));
	if (strata->member == NULL)
		return false;
	for (int s = 0; s < plan->n_strata; s++)
	{
		strata->start[s] = next;
		for (size_t c = 0; c < plan->n_clusters; c++)
			if (plan->stratum[c] == s)
				strata->member[next++] = c;
	}
	strata->start[plan->n_strata] = next;
	return true;
}

/* Clusters of a block: small enough for a processor's own cache. */
#define BLOCK_CLUSTERS 2048

/* A stratum of up to this many clusters is one block. */
#define ONE_BLOCK_CLUSTERS 4096

/* Random numbers made at a time. */
#define STREAM_LANES 16
#define STREAM_NUMBERS (4 * STREAM_LANES)

/* Replicates that go through the blocks together. */
#define BATCH_REPLICATES 512

/* Random numbers of one replicate and stratum. */
typedef struct Stream
{
	uint64_t seed;
	uint64_t high; /* purpose, replicate and stratum */
	uint64_t low;
	size_t left;
	uint32_t random[STREAM_NUMBERS];
} Stream;

static void
start_stream(Stream *stream, const StatsBootstrap *plan, uint32_t replicate, int stratum, uint64_t purpose)
{
	stream->seed = plan->seed;
	stream->high = (purpose << 40) | ((uint64_t) replicate << 8) | (uint64_t) stratum;
	stream->low = 0;
	stream->left = 0;
}

/* Fills the stream with the numbers of STREAM_LANES blocks, computed in step. */
static void
refill(Stream *stream)
{
	uint32_t c[4][STREAM_LANES];
	uint32_t k0 = (uint32_t) stream->seed;
	uint32_t k1 = (uint32_t) (stream->seed >> 32);

	for (size_t i = 0; i < STREAM_LANES; i++)
	{
		c[0][i] = (uint32_t) (stream->low + i);
		c[1][i] = (uint32_t) ((stream->low + i) >> 32);
		c[2][i] = (uint32_t) stream->high;
		c[3][i] = (uint32_t) (stream->high >> 32);
	}
	for (int round = 0; round < PHILOX_ROUNDS; round++)
	{
		for (size_t i = 0; i < STREAM_LANES; i++)
			philox_round(&c[0][i], &c[1][i], &c[2][i], &c[3][i], k0, k1);
		philox_next_key(&k0, &k1);
	}
	for (size_t i = 0; i < STREAM_LANES; i++)
		for (int j = 0; j < 4; j++)
			stream->random[4 * i + j] = c[j][i];
	stream->low += STREAM_LANES;
	stream->left = STREAM_NUMBERS;
}

/* Returns a number below k from 32 random bits by multiplication; the bias is below k / 2^32. */
static inline size_t
draw_below(Stream *stream, size_t k)
{
	if (stream->left == 0)
		refill(stream);
	return (size_t) (((uint64_t) stream->random[STREAM_NUMBERS - stream->left--] * k) >> 32);
}

/* Counts n draws and asks the stop callback once every STATS_POLL_ROWS draws. */
static bool
work_stopped(size_t *work, size_t n, const StatsEnv *env)
{
	size_t before = *work / STATS_POLL_ROWS;

	*work += n;
	return *work / STATS_POLL_ROWS != before && stats_stopped(env, 0);
}

/* Adds n sums for each of some picks; n is a constant where it is inlined. */
static inline void
add_picks(double *total, const double *sums, size_t n, const size_t *pick, size_t n_picks)
{
	double sum[STATS_MAX_SUMS];

	memcpy(sum, total, n * sizeof(double));
	for (size_t i = 0; i < n_picks; i++)
		for (size_t j = 0; j < n; j++)
			sum[j] += sums[pick[i] * n + j];
	memcpy(total, sum, n * sizeof(double));
}

/* Adds `draws` clusters, chosen among the k of `member`, to total. */
static StatsStatus
add_draws(double *total, const StatsBootstrap *plan, const size_t *member, size_t k, size_t draws,
		  Stream *stream, size_t *work, const StatsEnv *env)
{
	size_t pick[STREAM_NUMBERS];

	while (draws > 0)
	{
		size_t n = draws < STREAM_NUMBERS ? draws : STREAM_NUMBERS;

		for (size_t i = 0; i < n; i++)
			pick[i] = member[draw_below(stream, k)];
		if (plan->n_sums == 6)
			add_picks(total, plan->sums, 6, pick, n);
		else if (plan->n_sums == 8)
			add_picks(total, plan->sums, 8, pick, n);
		else
			add_picks(total, plan->sums, plan->n_sums, pick, n);
		draws -= n;
		if (work_stopped(work, n, env))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/* Counts how many of a stratum's k draws fall into each of its blocks. */
static StatsStatus
deal_draws(uint32_t *count, size_t n_blocks, size_t k, Stream *stream, size_t *work, const StatsEnv *env)
{
	memset(count, 0, n_blocks * sizeof(uint32_t));
	for (size_t draw = 0; draw < k; draw++)
	{
		count[draw_below(stream, k) / BLOCK_CLUSTERS]++;
		if (draw % STREAM_NUMBERS == 0 && work_stopped(work, STREAM_NUMBERS, env))
			return STATS_INTERRUPTED;
	}
	return STATS_OK;
}

/* Adds the draws of one large stratum for n replicates from `first` on, block by block. */
static StatsStatus
draw_blocks(double *total, uint32_t *count, const StatsBootstrap *plan, const StatsStrata *strata, int s,
			uint32_t first, uint32_t n, size_t *work, const StatsEnv *env)
{
	const size_t *member = strata->member + strata->start[s];
	size_t k = strata->start[s + 1] - strata->start[s];
	size_t n_blocks = (k + BLOCK_CLUSTERS - 1) / BLOCK_CLUSTERS;
	StatsStatus status = STATS_OK;
	Stream stream;

	for (uint32_t b = 0; b < n && status == STATS_OK; b++)
	{
		start_stream(&stream, plan, first + b, s, 1);
		status = deal_draws(count + b * n_blocks, n_blocks, k, &stream, work, env);
	}
	for (size_t block = 0; block < n_blocks; block++)
	{
		size_t at = block * BLOCK_CLUSTERS;
		size_t size = k - at < BLOCK_CLUSTERS ? k - at : BLOCK_CLUSTERS;

		for (uint32_t b = 0; b < n && status == STATS_OK; b++)
		{
			start_stream(&stream, plan, first + b, s, 2 + block);
			status = add_draws(total + b * plan->n_sums, plan, member + at, size, count[b * n_blocks + block],
							   &stream, work, env);
		}
	}
	return status;
}

/*
 * Fills the sums of n replicates from `first` on, with as many draws from each
 * stratum as it has clusters.  count: scratch for n replicates of the largest
 * stratum.
 */
static StatsStatus
draw_replicates(double *total, uint32_t *count, const StatsBootstrap *plan, const StatsStrata *strata,
				uint32_t first, uint32_t n, size_t *work, const StatsEnv *env)
{
	StatsStatus status = STATS_OK;

	memset(total, 0, (size_t) n * plan->n_sums * sizeof(double));
	for (int s = 0; s < plan->n_strata && status == STATS_OK; s++)
	{
		size_t k = strata->start[s + 1] - strata->start[s];

		if (k > ONE_BLOCK_CLUSTERS)
		{
			status = draw_blocks(total, count, plan, strata, s, first, n, work, env);
			continue;
		}
		for (uint32_t b = 0; b < n && status == STATS_OK; b++)
		{
			Stream stream;

			start_stream(&stream, plan, first + b, s, 0);
			status = add_draws(total + b * plan->n_sums, plan, strata->member + strata->start[s], k, k,
							   &stream, work, env);
		}
	}
	return status;
}

static StatsStatus
fill_values(double *values, const StatsInterval *interval, const StatsBootstrap *plan,
			const StatsStrata *strata, double *total, uint32_t *count, const StatsEnv *env)
{
	size_t work = 0;
	double value[STATS_MAX_STATISTICS];

	for (uint32_t first = 0; first < plan->replicates; first += BATCH_REPLICATES)
	{
		uint32_t n = plan->replicates - first;
		StatsStatus status;

		if (n > BATCH_REPLICATES)
			n = BATCH_REPLICATES;
		status = draw_replicates(total, count, plan, strata, first, n, &work, env);
		if (status != STATS_OK)
			return status;
		for (uint32_t b = 0; b < n; b++)
		{
			plan->statistic(value, total + b * plan->n_sums, plan->arg);
			for (size_t j = 0; j < plan->n_statistics; j++)
				values[j * plan->replicates + first + b] = isnan(value[j]) ? interval[j].value : value[j];
		}
	}
	return STATS_OK;
}

StatsStatus
stats_draw_values(double *values, const StatsInterval *interval, const StatsBootstrap *plan,
				  const StatsStrata *strata, const StatsEnv *env)
{
	size_t n_blocks = plan->n_clusters / BLOCK_CLUSTERS + 1;
	double *total = stats_array(env, BATCH_REPLICATES, plan->n_sums * sizeof(double));
	uint32_t *count = stats_array(env, n_blocks, BATCH_REPLICATES * sizeof(uint32_t));
	StatsStatus status = STATS_NO_MEMORY;

	if (total != NULL && count != NULL)
		status = fill_values(values, interval, plan, strata, total, count, env);
	stats_free(env, count);
	stats_free(env, total);
	return status;
}
