/*-------------------------------------------------------------------------
 *
 * stop.h
 *	  Stopping a computation early.  Owner: stop.c.
 *
 * Each thread watches at most one flag, which a signal handler or another
 * thread sets.  A function of nn.h that takes stop watches it for the length
 * of its computation; the threads of a pool watch the pool's flag until the
 * commit of a step.  Every loop whose length a network decides looks at the
 * flag after a bounded amount of work, in a kernel outside its innermost
 * loops, so that a stop takes effect within 200 ms whatever the network is.
 *
 * A function that finds the flag set returns at once and leaves its results
 * unfinished.  The flag stays set, so everything after it returns at once
 * too.  Whoever watches the flag asks nn_stopped() before he uses a result.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_STOP_H
#define PNEUMO_NN_STOP_H

#include <signal.h>
#include <stddef.h>

/* Multiply-adds, or floats that are read and written, between two looks at the flag. */
#define NN_STOP_WORK ((size_t) 1 << 17)

/* Makes flag the one that this thread watches, NULL for none; returns the one before. */
extern volatile sig_atomic_t *nn_stop_watch(volatile sig_atomic_t *flag);

/* Tells whether the flag that this thread watches is set. */
extern int nn_stopped(void);

/*
 * Adds to the work since the last look, which begins as 0, and looks at the
 * flag when it is due.  From the first look that finds the flag set on, every
 * call does: loops around the one that ends so end too.
 */
static inline int
nn_stop_due(size_t *work, size_t added)
{
	*work += added;
	if (*work < NN_STOP_WORK)
		return 0;
	if (nn_stopped())
		return 1;
	*work = 0;
	return 0;
}

/* Returns how many items of this work, at least one, come between two looks at the flag. */
static inline size_t
nn_stop_items(size_t work)
{
	return work < NN_STOP_WORK ? NN_STOP_WORK / (work > 0 ? work : 1) : 1;
}

/* Copies n floats; writes n bytes of zero.  Both leave the rest undone when they are stopped. */
extern void nn_stop_copy(float *dst, const float *src, size_t n);
extern void nn_stop_zero(void *dst, size_t n_bytes);

#endif /* PNEUMO_NN_STOP_H */
