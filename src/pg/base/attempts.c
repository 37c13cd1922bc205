/*-------------------------------------------------------------------------
 *
 * attempts.c
 *	  Long computations that an interrupt breaks off.
 *
 * src/nn and src/image return when the server's flag of a pending interrupt is
 * set.  Not every interrupt ends the query.  If this one does not, the
 * computation is done again; the last attempt does not look at the flag, so that
 * it ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "pg/base/base.h"

#define MAX_ATTEMPTS 8

void
pneumo_attempts_begin(PneumoAttempts *attempts)
{
	attempts->stop = INTERRUPTS_CAN_BE_PROCESSED() ? &InterruptPending : NULL;
	attempts->made = 0;
}

bool
pneumo_attempts_next(PneumoAttempts *attempts)
{
	CHECK_FOR_INTERRUPTS();
	if (++attempts->made >= MAX_ATTEMPTS)
		attempts->stop = NULL;
	return true;
}
