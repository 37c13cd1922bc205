/*-------------------------------------------------------------------------
 *
 * attempts.c
 *	  Long computations that an interrupt breaks off.
 *
 * src/nn and src/image return when the server's flag is set.  It also means
 * things that stop nothing; then the computation is done again, and after some
 * such interrupts without looking at the flag, so that it ends.
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
