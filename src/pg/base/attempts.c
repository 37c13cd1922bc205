/*-------------------------------------------------------------------------
 *
 * attempts.c
 *	  Long computations that an interrupt breaks off.
 *
 * src/nn and src/image return when the server's flag is set.  It also means
 * things that stop nothing; then the computation is done again.  After some
 * such interrupts it looks at a flag that means a stop and nothing else, so
 * that it ends however many of the others come: that of a cancelled query, or
 * in a parallel worker, which its leader terminates, that of a terminated
 * process.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
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
		attempts->stop = IsParallelWorker() ? &ProcDiePending : &QueryCancelPending;
	return true;
}
