/*-------------------------------------------------------------------------
 *
 * worker_queue.c
 *	  What a training worker waits for before it trains: the commit of its
 *	  caller, and its turn.
 *
 * A run that waits holds neither a snapshot nor, for its turn, a transaction.  It
 * leaves when it is cancelled, when its database is wanted and when the extension
 * is dropped, as one that trains does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "pg/base/shmem.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

#define POLL_MS 1000
#define CHECK_SECONDS 2

bool
pneumo_worker_wait_for_caller(PneumoWorker *w)
{
	bool committed;

	if (w->s->wait)
		return true;
	pneumo_worker_report(w, "waiting for commit");
	pneumo_worker_begin(w, true);
	PopActiveSnapshot(); /* the wait may be long, and a snapshot holds back vacuum */
	XactLockTableWait(w->s->xid, NULL, NULL, XLTW_None);
	committed = TransactionIdDidCommit(w->s->xid);
	PushActiveSnapshot(GetTransactionSnapshot());
	pneumo_worker_commit(w);
	if (committed)
		pneumo_slot_set_run(w->slot, w->run, PNEUMO_RUN_WAITING);
	return committed;
}

/* Returns whether the extension is there; asks every two seconds. */
static bool
extension_is_there(PneumoWorker *w)
{
	bool there;

	if (pneumo_seconds() - w->last_check < CHECK_SECONDS)
		return true;
	w->last_check = pneumo_seconds();
	pneumo_worker_begin(w, true);
	there = pneumo_worker_has_extension(w);
	pneumo_worker_commit(w);
	return there;
}

bool
pneumo_worker_wait_for_turn(PneumoWorker *w)
{
	PneumoShared *shared = pneumo_shared();
	bool there = true;

	pneumo_worker_report(w, "queued");
	while (there && !pneumo_slot_take_turn(w->slot))
	{
		if (pneumo_slot_cancelled(w->slot))
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
							errmsg("training run %lld was cancelled", (long long) w->run)));
		(void) ConditionVariableTimedSleep(&shared->run_changed, POLL_MS,
										   pneumo_wait_event(PNEUMO_WAIT_TURN));
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		pneumo_worker_check_database(w);
		there = extension_is_there(w);
	}
	ConditionVariableCancelSleep();
	return there;
}
