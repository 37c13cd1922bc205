/*-------------------------------------------------------------------------
 *
 * attempts.h
 *	  Long computations that an interrupt breaks off.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_ATTEMPTS_H
#define PNEUMO_PG_ATTEMPTS_H

#include <signal.h>

typedef struct PneumoAttempts
{
	volatile sig_atomic_t *stop; /* for the computation to look at; NULL: it may not be broken off */
	int made;
} PneumoAttempts;

extern void pneumo_attempts_begin(PneumoAttempts *attempts);

/* After one that was broken off: processes interrupts, which may be an error; else true, to do it again. */
extern bool pneumo_attempts_next(PneumoAttempts *attempts);

#endif /* PNEUMO_PG_ATTEMPTS_H */
