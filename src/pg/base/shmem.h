/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  The control struct in shared memory: slots of the engine cache and of
 *	  training runs, and what sessions wait for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_SHMEM_H
#define PNEUMO_PG_SHMEM_H

#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "nn/nn.h"

#include "pg/pneumo.h"

#define PNEUMO_CACHE_SLOTS 48
#define PNEUMO_MOST_TRAINING 8 /* upper limit of pneumo.max_training_runs */
#define PNEUMO_MOST_QUEUED 24  /* upper limit of pneumo.max_queued_runs */
#define PNEUMO_RUN_SLOTS (PNEUMO_MOST_TRAINING + PNEUMO_MOST_QUEUED)

typedef enum PneumoCacheState
{
	PNEUMO_CACHE_EMPTY,
	PNEUMO_CACHE_LOADING,
	PNEUMO_CACHE_READY
} PneumoCacheState;

/*
 * What a version is made ready for.  Predictions of an int16 version do without
 * its float32 weights; explanations, which need gradients, have them in a block
 * of their own.
 */
typedef enum PneumoForm
{
	PNEUMO_FORM_PREDICT,
	PNEUMO_FORM_EXPLAIN
} PneumoForm;

typedef struct PneumoCacheSlot
{
	PneumoCacheState state;
	Oid database;
	int path;      /* NnPath of the packed form */
	int form;      /* PneumoForm */
	int precision; /* NnPrecision of what is there, once ready */
	int loader_pid;
	uint8 sha256[PNEUMO_SHA256_LEN];
	dsm_handle handle;
	uint64 bytes;
	uint64 hits;
	TimestampTz last_used;
	int64 version;
} PneumoCacheSlot;

/* How far a run has come on its way to a turn. */
typedef enum PneumoRunStage
{
	PNEUMO_RUN_STARTING,    /* its id is not drawn yet */
	PNEUMO_RUN_UNCOMMITTED, /* queued: the caller's transaction has not committed */
	PNEUMO_RUN_WAITING,     /* queued: others train */
	PNEUMO_RUN_TRAINING     /* one of pneumo.max_training_runs */
} PneumoRunStage;

/* The slot of a training run: who holds it, and how far the run is.  Guarded by lock. */
typedef struct PneumoRunSlot
{
	bool in_use;
	Oid database;
	Oid owner;      /* role whose rights the run has */
	int worker_pid; /* 0 until the worker has attached */
	int caller_pid;
	uint32 generation; /* grows each time the slot is taken */
	uint64 ticket;     /* the order of those that wait */
	PneumoRunStage stage;
	int64 run;                /* 0 until drawn */
	TransactionId caller_xid; /* that a run without wait waits for */
	bool cancel_requested;
	char phase[32]; /* "reading images", "training", ... */
	NnProgress progress;
	TimestampTz started;
	double time_left; /* seconds; NaN unknown */
} PneumoRunSlot;

typedef struct PneumoShared
{
	LWLock lock; /* guards all that follows; never held while a segment is created or attached */
	int tranche_id;
	ConditionVariable cache_changed;
	ConditionVariable run_changed;
	uint64 cache_bytes;      /* sum over the slots, also of those loading */
	uint64 cache_generation; /* grows when a slot is emptied */
	uint64 next_ticket;      /* of a run */
	PneumoCacheSlot cache[PNEUMO_CACHE_SLOTS];
	PneumoRunSlot runs[PNEUMO_RUN_SLOTS];
} PneumoShared;

/* Returns the control struct; the process that comes first creates it, so that no preloading is needed. */
extern PneumoShared *pneumo_shared(void);

/* Makes the server ask for the struct's memory and create it when it starts; to be called while preloading. */
extern void pneumo_shared_preload(void);

/* What a session waits for, as pg_stat_activity shows it (named from PostgreSQL 17 on). */
typedef enum PneumoWait
{
	PNEUMO_WAIT_CACHE_LOAD, /* another session loads the version */
	PNEUMO_WAIT_RUN_START,  /* the worker's acknowledgement */
	PNEUMO_WAIT_RUN,        /* the next epoch, or the end of a run */
	PNEUMO_WAIT_TURN,       /* a run waits until fewer train */
	PNEUMO_WAIT_WORKER      /* a background worker to become free */
} PneumoWait;

/* Returns the wait event of what a session waits for. */
extern uint32 pneumo_wait_event(PneumoWait wait);

/*
 * Fills runs (room for PNEUMO_RUN_SLOTS) with the ids of the runs of this
 * database that have a slot; returns their number.
 */
extern int pneumo_live_runs(int64 *runs);

#endif /* PNEUMO_PG_SHMEM_H */
