/*-------------------------------------------------------------------------
 *
 * stop.c
 *	  The flag that a thread watches, and the copies of memory that look at it.
 *
 * The flag belongs to the thread as its floating-point flags do (fpenv.c):
 * it is set where a computation starts and reset where it ends, so that the
 * functions in between need no argument for it.
 *
 *-------------------------------------------------------------------------
 */
#include "stop.h"

#include <string.h>

#define COPY_BYTES ((size_t) 16 << 20) /* large enough for the streaming copy of a C library */

static _Thread_local volatile sig_atomic_t *watched;

volatile sig_atomic_t *
nn_stop_watch(volatile sig_atomic_t *flag)
{
	volatile sig_atomic_t *before = watched;

	watched = flag;
	return before;
}

int
nn_stopped(void)
{
	return watched != NULL && __atomic_load_n(watched, __ATOMIC_RELAXED) != 0;
}

void
nn_stop_copy(float *dst, const float *src, size_t n)
{
	const size_t most = COPY_BYTES / sizeof(float);
	size_t count;

	for (; n > 0; n -= count, dst += count, src += count)
	{
		count = n < most ? n : most;
		memcpy(dst, src, count * sizeof(float));
		if (count < n && nn_stopped())
			return;
	}
}

void
nn_stop_zero(void *dst, size_t n_bytes)
{
	char *at = dst;
	size_t count;

	for (; n_bytes > 0; n_bytes -= count, at += count)
	{
		count = n_bytes < COPY_BYTES ? n_bytes : COPY_BYTES;
		memset(at, 0, count);
		if (count < n_bytes && nn_stopped())
			return;
	}
}
