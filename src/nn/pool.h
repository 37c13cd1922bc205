/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  Threads that run a program of phases.  Owner: pool.c.
 *
 * A program is a list of phases, run by all threads with a barrier after each
 * phase.  Background items are taken by threads that wait at a barrier; the
 * last phase leaves none undone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_POOL_H
#define PNEUMO_NN_POOL_H

#include "nn.h"
#include "plan.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#define NN_MAX_THREADS 256

typedef struct NnPool NnPool;

/* What one thread has to itself. */
typedef struct NnWorker
{
	NnPool *pool;
	int index;
	void *scratch; /* steps, forward and backward */
	void *load_scratch;
	void *engine_scratch;
	float *samples; /* a batch of inputs, for validation */
} NnWorker;

/* A parallel loop over items() items. */
typedef struct NnPhase
{
	size_t (*items)(const NnTrainer *trainer, const NnStep *step);
	void (*run)(NnTrainer *trainer, const NnStep *step, size_t item, NnWorker *worker);
	const NnStep *step;
	int commit; /* 1: from here on a stop waits for the end */
} NnPhase;

typedef struct NnProgram
{
	const NnPhase *phases;
	int n_phases;
	size_t n_background;
	void (*background)(NnTrainer *trainer, size_t item, NnWorker *worker);
} NnProgram;

struct NnPool
{
	pthread_mutex_t mutex;
	pthread_cond_t work;    /* a program is there, or the end */
	pthread_cond_t barrier; /* the next phase is there */
	pthread_cond_t done;    /* the program is done */
	int initialized;
	int n_threads; /* wanted */
	int n_started;
	int quit;
	pthread_t threads[NN_MAX_THREADS];
	NnWorker *workers;
	NnTrainer *trainer;

	const NnProgram *program; /* NULL: idle */
	unsigned int generation;
	int phase;
	int arrived;
	int running; /* threads still in the program */
	int aborted; /* stopped before its commit */
	int committed;
	size_t n_items;
	atomic_size_t next_item;
	atomic_size_t next_background;
	volatile sig_atomic_t stop;
};

/* Asks the running program to stop; may be called from any thread. */
static inline void
nn_pool_request_stop(NnPool *pool)
{
	__atomic_store_n(&pool->stop, 1, __ATOMIC_RELAXED);
}

/* Tells whether the running program has been asked to stop. */
static inline int
nn_pool_stopping(const NnPool *pool)
{
	return __atomic_load_n(&pool->stop, __ATOMIC_RELAXED) != 0;
}

/* Prepares a pool without threads; the caller has filled the workers' memory. */
extern void nn_pool_init(NnPool *pool, NnTrainer *trainer, NnWorker *workers, int n_threads);

/* Starts the threads, with all signals blocked in them. */
extern NnStatus nn_pool_start(NnPool *pool, NnError *error);

/* Stops and joins the threads; does nothing where there are none. */
extern void nn_pool_stop(NnPool *pool);

/* Is called by nn_pool_run() while a program runs; nonzero stops the program. */
typedef int (*NnPoolTick)(NnTrainer *trainer, void *arg);

/*
 * Runs a program; returns 1 when it ran to its end, 0 when it was stopped
 * before its commit.  Without threads it runs in the caller.
 */
extern int nn_pool_run(NnPool *pool, const NnProgram *program, NnPoolTick tick, void *arg);

#endif /* PNEUMO_NN_POOL_H */
