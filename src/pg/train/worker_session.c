/*-------------------------------------------------------------------------
 *
 * worker_session.c
 *	  What all code of a training worker stands on: its transactions, its
 *	  memory, and what it tells others.
 *
 * A worker has no transaction open except between pneumo_worker_begin() and
 * pneumo_worker_commit(): a training lasts for hours, and a snapshot that is as
 * old keeps vacuum from removing anything.  Every transaction runs as the run's
 * owner with SECURITY_LOCAL_USERID_CHANGE and SECURITY_RESTRICTED_OPERATION,
 * while the session is the caller's session user, so that code in a view cannot
 * get at more rights than the owner has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/train/train.h"
#include "pg/train/worker.h"

#define CHANNEL "pneumo"
#define DATABASE_CHECK_SECONDS 1

/* ------------------------------------------------------------ transactions */

void
pneumo_worker_begin_unchecked(PneumoWorker *w, bool read_only)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* whatever the role's default_transaction_* say */
	XactReadOnly = read_only;
	XactIsoLevel = XACT_READ_COMMITTED;
	XactDeferrable = false;
	GetUserIdAndSecContext(&w->saved_user, &w->saved_context);
	SetUserIdAndSecContext(w->s->current_user,
						   w->saved_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(w->cxt);
}

void
pneumo_worker_begin(PneumoWorker *w, bool read_only)
{
	pneumo_worker_begin_unchecked(w, read_only);
	if (!pneumo_role_exists(w->s->current_user))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the role that owns the training run was dropped")));
}

void
pneumo_worker_commit(PneumoWorker *w)
{
	PopActiveSnapshot();
	SetUserIdAndSecContext(w->saved_user, w->saved_context);
	CommitTransactionCommand();
	pgstat_report_stat(true);
	MemoryContextSwitchTo(w->cxt);
}

bool
pneumo_worker_has_extension(PneumoWorker *w)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_RUN, AccessShareLock, true);
	bool same;

	if (rel == NULL)
		return false;
	same = w->run_relation == InvalidOid || w->run_relation == RelationGetRelid(rel);
	w->run_relation = RelationGetRelid(rel);
	relation_close(rel, AccessShareLock);
	return same;
}

void
pneumo_worker_notify(PneumoWorker *w, const char *state, const PneumoVersionId *version)
{
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_add_int(&json, "run", w->run);
	pneumo_json_add_string(&json, "state", state);
	if (version != NULL)
	{
		pneumo_json_add_string(&json, "model", w->prepared->config->name);
		pneumo_json_add_int(&json, "version", version->number);
		pneumo_json_add_int(&json, "version_id", version->version);
	}
	Async_Notify(CHANNEL, pneumo_json_end_text(&json));
}

/* -------------------------------------------------------- reasons to leave */

/*
 * DROP DATABASE, ALTER DATABASE RENAME and SET TABLESPACE lock the database
 * exclusively before they wait for others to leave, and signal nobody but
 * autovacuum's workers.  So the worker tries whether the weakest lock is to be
 * had, which all other commands on a database allow.
 */
bool
pneumo_worker_database_wanted(PneumoWorker *w)
{
	double now = pneumo_seconds();
	LOCKTAG tag;

	if (w->database_wanted != 0 || now - w->database_check < DATABASE_CHECK_SECONDS)
		return w->database_wanted != 0;
	w->database_check = now;
	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, AccessShareLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		w->database_wanted = now;
	else
		LockRelease(&tag, AccessShareLock, true);
	return w->database_wanted != 0;
}

void
pneumo_worker_check_database(PneumoWorker *w)
{
	if (pneumo_worker_database_wanted(w))
		ereport(FATAL,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("pneumo: run %lld is interrupted, its database is to be dropped, renamed or moved",
						(long long) w->run)));
}

void
pneumo_worker_check_stop(PneumoWorker *w)
{
	if (w->error != NULL)
		ReThrowError(w->error);
	if (!PostmasterIsAlive())
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (w->database_wanted != 0)
		pneumo_worker_check_database(w);
}

/* ------------------------------------------------------------------ memory */

void *
pneumo_worker_allocate(PneumoWorker *w, size_t bytes)
{
	return pneumo_align(MemoryContextAllocHuge(w->cxt, bytes + NN_ALIGN));
}

/* ------------------------------------------------- the slot and the caller */

void
pneumo_worker_report(PneumoWorker *w, const char *phase)
{
	char text[128];

	pneumo_slot_set_phase(w->slot, phase);
	snprintf(text, sizeof(text), "pneumo: run %lld, %s", (long long) w->run, phase);
	pgstat_report_activity(STATE_RUNNING, text);
}

void
pneumo_worker_acknowledge(PneumoWorker *w)
{
	SpinLockAcquire(&w->s->mutex);
	w->s->run = w->run;
	w->s->acknowledged = true;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

/* Hands news to the caller. */
static void
publish_news(PneumoWorker *w, int elevel, const char *message)
{
	int i = w->s->n_news;

	if (i >= PNEUMO_MAX_NEWS)
		return;
	w->s->news[i].elevel = elevel;
	w->s->news[i].epochs = w->s->n_epochs;
	pneumo_copy_text(w->s->news[i].text, message, PNEUMO_RUN_TEXT);
	SpinLockAcquire(&w->s->mutex);
	w->s->n_news = i + 1;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

void
pneumo_worker_tell(PneumoWorker *w, const char *message)
{
	ereport(LOG, (errmsg("pneumo: run %lld: %s", (long long) w->run, message)));
	publish_news(w, NOTICE, message);
}

void
pneumo_worker_warn(PneumoWorker *w, const char *message)
{
	MemoryContext old = MemoryContextSwitchTo(w->cxt);

	ereport(WARNING, (errmsg("pneumo: run %lld: %s", (long long) w->run, message)));
	w->warnings = lappend(w->warnings, pstrdup(message));
	MemoryContextSwitchTo(old);
	publish_news(w, WARNING, message);
}

void
pneumo_worker_publish_epoch(PneumoWorker *w, const NnEpochLog *log)
{
	int i = w->s->n_epochs;

	if (i >= w->s->max_epochs)
		return;
	w->s->epochs[i] = *log;
	SpinLockAcquire(&w->s->mutex);
	w->s->n_epochs = i + 1;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}

void
pneumo_worker_leave_slot(PneumoWorker *w)
{
	if (!w->attached)
		return;
	w->attached = false;
	pneumo_slot_release(w->slot, w->generation, false);
	ConditionVariableBroadcast(&w->s->changed);
}

void
pneumo_worker_publish_end(PneumoWorker *w)
{
	/* the slot is free before the caller hears, so that its next training can start */
	pneumo_worker_leave_slot(w);
	SpinLockAcquire(&w->s->mutex);
	w->s->finished = true;
	SpinLockRelease(&w->s->mutex);
	ConditionVariableBroadcast(&w->s->changed);
}
