/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  What the two halves of the training worker share: worker.c (its life)
 *	  and worker_train.c (the training itself).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_WORKER_H
#define PNEUMO_PG_WORKER_H

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
	double last_look;       /* at the extension */
	bool has_checkpoint;
	bool checkpoint_failed;
	bool cancelled;
	bool gone;            /* the extension was dropped */
	ErrorData *error;     /* of a hook, to be thrown again */
	NnEpochLog best;      /* epoch 0: none yet */
	double epoch_seconds; /* sum over the epochs of this worker */
	int n_epochs;
} PneumoWorker;

/*
 * Begins and commits a transaction with the rights of the run's owner, in which a
 * snapshot is active.  Beginning errors if the role was dropped.
 */
extern void pneumo_worker_begin(PneumoWorker *w, bool read_only);
extern void pneumo_worker_commit(PneumoWorker *w);

/* The phase for pneumo.progress and pg_stat_activity. */
extern void pneumo_worker_report(PneumoWorker *w, const char *phase);

/*
 * Whether the extension that the run began under is still there, by the OID of
 * its table: a dropped and created one has other runs.  In a transaction.
 */
extern bool pneumo_worker_has_extension(PneumoWorker *w);

/* To the log, and to the caller if it waits. */
extern void pneumo_worker_warn(PneumoWorker *w, const char *message);
extern void pneumo_worker_publish_epoch(PneumoWorker *w, const NnEpochLog *log);

/* Memory of the worker, aligned to NN_ALIGN. */
extern void *pneumo_worker_allocate(PneumoWorker *w, size_t bytes);

/* AUC of the validation side (macro for more than two classes); false if it cannot be had.  Raises nothing. */
extern bool pneumo_worker_auc(double *auc, const float *scores, const int32_t *labels, size_t n, int units,
							  int n_classes);

/* Stores the trainer's result as a version and ends the run; false if the extension is gone. */
extern bool pneumo_worker_store(PneumoWorker *w, const NnTrainHooks *hooks, bool cancelled);

typedef enum PneumoVerdict
{
	PNEUMO_NO_RIVAL,
	PNEUMO_BETTER,
	PNEUMO_NOT_BETTER,
	PNEUMO_NOT_COMPARABLE
} PneumoVerdict;

/*
 * The probabilities of the validation side against those of the deployed
 * version, in a transaction; appends ",\"if_better\":{...}" unless there is none.
 */
extern PneumoVerdict pneumo_worker_if_better(PneumoWorker *w, const PneumoModelMeta *meta,
											 const double *probability, StringInfo achieved);

/* Trains and stores the version; false if the extension is gone. */
extern bool pneumo_worker_train(PneumoWorker *w);

#endif /* PNEUMO_PG_WORKER_H */
