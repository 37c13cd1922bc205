/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the files of the training worker share.  Each uses only those below
 *	  it: worker.c (its life), worker_train.c (the training), worker_store.c and
 *	  if_better.c (the version), worker_session.c (transactions, messages).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_WORKER_H
#define PNEUMO_PG_WORKER_H

#include "pg/base/json.h"
#include "pg/train/train.h"

typedef struct PneumoWorker
{
	MemoryContext cxt; /* lives as long as the worker */
	PneumoRunSegment *s;
	int slot;
	uint32 generation;
	bool attached;
	bool row_written;
	Oid run_relation; /* pneumo.run when the run began */
	int64 run;
	char *build;
	char *model; /* name that is claimed; NULL: not yet */

	Oid saved_user; /* while a transaction is open */
	int saved_context;

	Jsonb *config_jsonb;
	PneumoPrepared *prepared;
	PneumoDataset *dataset;
	PneumoStore *store;

	/* training */
	PneumoLoader loader;
	NnTrainData data;
	NnTrainer *trainer; /* NULL once its threads are joined */
	void *state;
	PneumoCheckpointHead head;
	double last_checkpoint; /* seconds, monotonic */
	double last_check;      /* whether the extension is still there */
	double database_check;  /* the last one, whether somebody wants the database for himself */
	double database_wanted; /* when it showed; 0: not */
	List *warnings;         /* texts, of pneumo_worker_warn() */
	bool has_checkpoint;
	bool checkpoint_failed;
	bool cancelled;
	bool gone;            /* the extension was dropped */
	ErrorData *error;     /* of a hook, to be thrown again */
	NnEpochLog best;      /* epoch 0: none yet */
	double epoch_seconds; /* sum over the epochs of this worker */
	int n_epochs;
} PneumoWorker;

/* ---------------------------------------- session (worker_session.c) */

/*
 * Opens and commits a transaction as the run's owner, with an active snapshot;
 * both leave the worker's memory context as the current one.  Opening errors
 * if the role was dropped; the unchecked form does not look.
 */
extern void pneumo_worker_begin(PneumoWorker *w, bool read_only);
extern void pneumo_worker_begin_unchecked(PneumoWorker *w, bool read_only);
extern void pneumo_worker_commit(PneumoWorker *w);

/*
 * Returns whether the extension that the run began under is still there, by the
 * OID of its table, since a dropped and created one has other runs.  To be
 * called in a transaction.
 */
extern bool pneumo_worker_has_extension(PneumoWorker *w);

/* Notifies those who LISTEN of the run's new state, and of its version (NULL: none), at commit. */
extern void pneumo_worker_notify(PneumoWorker *w, const char *state, const PneumoVersionId *version);

/* Returns memory that lives as long as the worker, aligned to NN_ALIGN. */
extern void *pneumo_worker_allocate(PneumoWorker *w, size_t bytes);

/* Shows the phase in pneumo.progress and pg_stat_activity. */
extern void pneumo_worker_report(PneumoWorker *w, const char *phase);

/* Tells the caller the run's id, for which it waits. */
extern void pneumo_worker_acknowledge(PneumoWorker *w);

/* Writes a message to the log, and hands it to the caller, who gets it as a notice. */
extern void pneumo_worker_tell(PneumoWorker *w, const char *message);

/* Does the same with a warning, and keeps it for the metrics of the run. */
extern void pneumo_worker_warn(PneumoWorker *w, const char *message);

/* Hands the figures of an epoch to the caller. */
extern void pneumo_worker_publish_epoch(PneumoWorker *w, const NnEpochLog *log);

/* Frees the slot if the worker still has it. */
extern void pneumo_worker_leave_slot(PneumoWorker *w);

/* Frees the slot and tells the caller that the outcome in the segment is final. */
extern void pneumo_worker_publish_end(PneumoWorker *w);

/*
 * Returns whether another session wants this database for itself, to drop,
 * rename or move it; asks once a second.  Such a session waits for five seconds
 * until all others have left.
 */
extern bool pneumo_worker_database_wanted(PneumoWorker *w);

/* Ends the process if the database is wanted; the run can be resumed. */
extern void pneumo_worker_check_database(PneumoWorker *w);

/*
 * Raises what made a hook ask the network core for a stop, unless it was a
 * cancel: a kept error, the end of the process or of the server.
 */
extern void pneumo_worker_check_stop(PneumoWorker *w);

/* --------------------------------------------- queue (worker_queue.c) */

/* Waits for the commit of a caller that does not wait; false if it has rolled back. */
extern bool pneumo_worker_wait_for_caller(PneumoWorker *w);

/*
 * Waits until the run may train; false if the extension is gone.  A cancel is an error
 * that says so.
 */
extern bool pneumo_worker_wait_for_turn(PneumoWorker *w);

/* ------------------------------------------- version (worker_store.c) */

/*
 * Computes the AUC of the validation split (macro for more than two classes, the
 * mean over findings); false if it is not defined or does not fit into
 * pneumo.figures_memory.  Interrupts are not processed in it.
 */
extern bool pneumo_worker_auc(double *auc, const PneumoWorker *w, const float *scores, size_t n);

/* The same of findings (worker_findings.c), from targets as the network core has them. */
extern bool pneumo_worker_findings_auc(double *auc, const float *scores, const uint8_t *target, size_t n,
									   int units);

/*
 * Adds the validation figures of findings to json, the means to line for people,
 * and returns why the version is of no use for some of them, palloc'd, or NULL
 * (worker_findings.c).
 */
extern char *pneumo_worker_findings_figures(const PneumoModelMeta *meta, const PneumoFitRows *in,
											const double *probability, PneumoJson *json, StringInfo line);

/*
 * Stores the trainer's result as a version and ends the run, which is cancelled
 * if w->cancelled; a cancel while the validation split is scored cancels it, too,
 * and a later one does nothing.  False if the extension is gone.  The caller
 * holds cancel interrupts.
 */
extern bool pneumo_worker_store(PneumoWorker *w, const NnTrainHooks *hooks);

/* --------------------------------- comparison at the end (if_better.c) */

typedef enum PneumoVerdict
{
	PNEUMO_NO_RIVAL,
	PNEUMO_BETTER,
	PNEUMO_NOT_BETTER,
	PNEUMO_NOT_COMPARABLE
} PneumoVerdict;

/*
 * Compares the probabilities of the validation split with those of the deployed
 * version, in a transaction; adds object "if_better" to achieved unless no
 * version is deployed.
 */
extern PneumoVerdict pneumo_worker_if_better(PneumoWorker *w, const PneumoModelMeta *meta,
											 const double *probability, PneumoJson *achieved);

/* ------------------------------------------ training (worker_train.c) */

/* Trains and stores the version; false if the extension is gone. */
extern bool pneumo_worker_train(PneumoWorker *w);

#endif /* PNEUMO_PG_WORKER_H */
