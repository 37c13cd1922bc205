/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  Threads that run the phases of a training program.
 *
 * The thread that hands over a program never computes: it waits, wakes up
 * every POLL_MS, and asks its caller whether to go on.  All signals are
 * blocked in the pool's threads.
 *
 * A phase's items are given out one by one; what an item computes does not
 * depend on who computes it.  The last thread to arrive at a phase's end opens
 * the next one; the others meanwhile take background items (loading the next
 * batch), or sleep.
 *
 * Stopping: a stop seen before the program's commit ends the items that run
 * (stop.h) and empties all further phases; after the commit the program runs to its end, so that the state is
 * never left between two steps.
 *
 *-------------------------------------------------------------------------
 */
#define _POSIX_C_SOURCE 200809L /* clocks of condition variables, signal masks */

#include "error.h"
#include "fpenv.h"
#include "nn.h"
#include "pool.h"
#include "stop.h"

#include <string.h>
#include <time.h>

#define POLL_MS 50 /* the waiting time of the thread that handed a program over, between polls */

void
nn_pool_init(NnPool *pool, NnTrainer *trainer, NnWorker *workers, int n_threads)
{
	memset(pool, 0, sizeof(*pool));
	pool->trainer = trainer;
	pool->workers = workers;
	pool->n_threads = n_threads;
	atomic_init(&pool->next_item, 0);
	atomic_init(&pool->next_background, 0);
}

/* Takes one background item; returns 0 when there is none. */
static int
run_background(NnPool *pool, const NnProgram *program, NnWorker *worker)
{
	size_t item;

	if (program->n_background == 0 || (nn_pool_stopping(pool) && !pool->committed))
		return 0;
	if (atomic_load(&pool->next_background) >= program->n_background)
		return 0;
	item = atomic_fetch_add(&pool->next_background, 1);
	if (item >= program->n_background)
		return 0;
	program->background(pool->trainer, item, worker);
	return 1;
}

/* Makes phase number ready; the caller holds the mutex, or is alone. */
static void
open_phase(NnPool *pool, const NnProgram *program, int number)
{
	pool->phase = number;
	pool->arrived = 0;
	pool->n_items = 0;
	if (number < program->n_phases)
	{
		const NnPhase *phase = &program->phases[number];

		if (nn_pool_stopping(pool) && !pool->committed)
			pool->aborted = 1;
		if (phase->commit && !pool->aborted)
			pool->committed = 1;
		if (!pool->aborted)
			pool->n_items = phase->items(pool->trainer, phase->step);
	}
	atomic_store(&pool->next_item, 0);
}

static void
run_items(NnPool *pool, const NnPhase *phase, NnWorker *worker)
{
	size_t item;

	/* what runs within an item looks at the flag too */
	nn_stop_watch(pool->committed ? NULL : &pool->stop);
	while ((item = atomic_fetch_add(&pool->next_item, 1)) < pool->n_items)
	{
		if (nn_stopped())
			break;
		phase->run(pool->trainer, phase->step, item, worker);
	}
}

static void
run_program(NnPool *pool, const NnProgram *program, NnWorker *worker)
{
	int number;

	for (number = 0; number < program->n_phases; number++)
	{
		run_items(pool, &program->phases[number], worker);
		pthread_mutex_lock(&pool->mutex);
		if (++pool->arrived == pool->n_started)
		{
			open_phase(pool, program, number + 1);
			pthread_cond_broadcast(&pool->barrier);
		}
		while (pool->phase == number)
		{
			int busy;

			pthread_mutex_unlock(&pool->mutex);
			busy = run_background(pool, program, worker);
			pthread_mutex_lock(&pool->mutex);
			if (!busy && pool->phase == number)
				pthread_cond_wait(&pool->barrier, &pool->mutex);
		}
		pthread_mutex_unlock(&pool->mutex);
	}
	while (run_background(pool, program, worker))
		;
}

/* Waits for programs and runs its share of each, until the pool quits. */
static void *
thread_main(void *arg)
{
	NnWorker *worker = arg;
	NnPool *pool = worker->pool;
	unsigned int seen = 0;

	nn_fpenv_set();
	pthread_mutex_lock(&pool->mutex);
	for (;;)
	{
		const NnProgram *program;

		while (!pool->quit && (pool->program == NULL || pool->generation == seen))
			pthread_cond_wait(&pool->work, &pool->mutex);
		if (pool->program == NULL || pool->generation == seen)
			break;
		seen = pool->generation;
		program = pool->program;
		pthread_mutex_unlock(&pool->mutex);
		run_program(pool, program, worker);
		pthread_mutex_lock(&pool->mutex);
		if (--pool->running == 0)
		{
			pool->program = NULL;
			pthread_cond_broadcast(&pool->done);
		}
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

NnStatus
nn_pool_start(NnPool *pool, NnError *error)
{
	pthread_condattr_t attributes;
	sigset_t all, before;
	int rc = 0;

	if (pool->initialized)
		return NN_OK;
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->barrier, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->done, &attributes);
	pthread_condattr_destroy(&attributes);
	pool->initialized = 1;
	pool->quit = 0;
	__atomic_store_n(&pool->stop, 0, __ATOMIC_RELAXED);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (pool->n_started = 0; pool->n_started < pool->n_threads; pool->n_started++)
	{
		NnWorker *worker = &pool->workers[pool->n_started];

		worker->pool = pool;
		rc = pthread_create(&pool->threads[pool->n_started], NULL, thread_main, worker);
		if (rc != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
	{
		int started = pool->n_started;

		nn_pool_stop(pool);
		return nn_fail(error, NN_THREAD, -1, "Use fewer threads.",
					   "could not start thread %d of %d: error %d", started + 1, pool->n_threads, rc);
	}
	return NN_OK;
}

void
nn_pool_stop(NnPool *pool)
{
	int i;

	if (!pool->initialized)
		return;
	nn_pool_request_stop(pool);
	pthread_mutex_lock(&pool->mutex);
	pool->quit = 1;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
	for (i = 0; i < pool->n_started; i++)
		pthread_join(pool->threads[i], NULL);
	pool->n_started = 0;
	pool->initialized = 0;
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->barrier);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->mutex);
}

static void
wait_a_moment(NnPool *pool)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += POLL_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L)
	{
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&pool->done, &pool->mutex, &until);
}

static void
run_alone(NnPool *pool, const NnProgram *program, NnPoolTick tick, void *arg)
{
	volatile sig_atomic_t *before = nn_stop_watch(NULL);
	unsigned int saved = nn_fpenv_set();
	int number;

	open_phase(pool, program, 0);
	for (number = 0; number < program->n_phases; number++)
	{
		if (tick != NULL && tick(pool->trainer, arg) != 0)
			nn_pool_request_stop(pool);
		run_items(pool, &program->phases[number], &pool->workers[0]);
		open_phase(pool, program, number + 1);
	}
	while (run_background(pool, program, &pool->workers[0]))
		;
	nn_fpenv_restore(saved);
	nn_stop_watch(before);
}

int
nn_pool_run(NnPool *pool, const NnProgram *program, NnPoolTick tick, void *arg)
{
	__atomic_store_n(&pool->stop, 0, __ATOMIC_RELAXED);
	pool->aborted = 0;
	pool->committed = 0;
	atomic_store(&pool->next_background, 0);
	if (!pool->initialized)
	{
		run_alone(pool, program, tick, arg);
		return !pool->aborted;
	}

	pthread_mutex_lock(&pool->mutex);
	open_phase(pool, program, 0);
	pool->running = pool->n_started;
	pool->program = program;
	pool->generation++;
	pthread_cond_broadcast(&pool->work);
	while (pool->program != NULL)
	{
		wait_a_moment(pool);
		if (pool->program == NULL)
			break;
		pthread_mutex_unlock(&pool->mutex);
		if (tick != NULL && tick(pool->trainer, arg) != 0)
			nn_pool_request_stop(pool);
		pthread_mutex_lock(&pool->mutex);
	}
	pthread_mutex_unlock(&pool->mutex);
	return !pool->aborted;
}
