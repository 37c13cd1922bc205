/*-------------------------------------------------------------------------
 *
 * train.h
 *	  From a table and a config to a version: preparing a run, its slot and
 *	  segment, the sample store, checkpoints, fitting, launching.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_TRAIN_H
#define PNEUMO_PG_TRAIN_H

#include "access/htup.h"
#include "port/pg_crc32c.h"
#include "storage/condition_variable.h"
#include "storage/spin.h"
#include "utils/jsonb.h"

#include "image/image.h"
#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/json.h"
#include "pg/base/shmem.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"

/* ---------------------------------------------- sample store (store.c) */

typedef struct PneumoStore PneumoStore;

/*
 * Creates a store that holds up to budget bytes in memory, and more in a
 * temporary file that lives as long as the process.
 */
extern PneumoStore *pneumo_store_create(size_t sample_bytes, size_t budget);
/* Adds a sample and returns its slot. */
extern int64 pneumo_store_append(PneumoStore *store, const uint8 *pixels);
/* Opens the file for reading by threads, after the last append. */
extern void pneumo_store_seal(PneumoStore *store);
/*
 * Returns the pixels of a sample, in scratch (sample_bytes) or in the store; NULL
 * if reading failed.  Threads may call it after sealing.
 */
extern const uint8 *pneumo_store_get(const PneumoStore *store, int64 slot, uint8 *scratch);

/* --------------------------------------------- preparation (prepare.c) */

/* Everything a run needs that can be known before the images are read. */
typedef struct PneumoPrepared
{
	PneumoConfig *config;
	PneumoSource *source;
	PneumoLabels labels;
	char *classes[NN_MAX_CLASSES]; /* labels.n, in label order */
	NnGraph *graph;
	int threads;
	NnTrainPlan plan;        /* for about labels.total samples */
	float *initial_weights;  /* of initial_model, or NULL */
	PneumoVersionId initial; /* valid with initial_model */
	char *initial_note;      /* which layers it has no weights for; or NULL */
} PneumoPrepared;

/*
 * Makes all checks that need no image, as the current user: config, table,
 * classes, network, memory, rights on the model names.
 */
extern PneumoPrepared *pneumo_prepare(Oid relid, Jsonb *config);

/*
 * Reads the weights that the deployed version of initial_model gives to the
 * network: all, or those of the layers that have the same name and shapes; the
 * others are drawn, and initial_note names them.  Errors if there is none, or
 * without the right to export.  initial_model.c
 */
extern void pneumo_prepare_initial_model(PneumoPrepared *prepared);

/* Gives both splits labels of the first class, for planning before there are any; none to findings. */
extern void pneumo_prepare_no_labels(NnTrainData *data, const PneumoConfig *config);

/* Plans again for the samples that there are; errors above pneumo.train_memory. */
extern void pneumo_prepare_plan(PneumoPrepared *prepared, const NnTrainData *data);

/*
 * Turns off what watches the validation split, which is empty; errors if the
 * config asked for it.
 */
extern void pneumo_prepare_no_validation(PneumoConfig *config);

/* What the load function reads from. */
typedef struct PneumoLoader
{
	const PneumoStore *store;
	const int64 *slot[2];    /* by split and sample of it */
	const uint32 *number[2]; /* index of the sample in the sorted dataset */
	ImgPreprocess preprocess;
	float rescale;
	uint64 seed;
	bool augment;
	ImgAugmentRanges ranges;
	size_t pixel_bytes; /* rounded up to NN_ALIGN */
} PneumoLoader;

/* Returns the bytes of scratch that pneumo_loader_load() needs. */
extern size_t pneumo_loader_scratch_bytes(const PneumoConfig *config);
/* Loads a sample for the network core (NnTrainData.load); arg is a PneumoLoader.  Called by threads. */
extern int pneumo_loader_load(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch);

/* ----------------------------------------------------- fitting (fit.c) */

/* The scores of the validation split by the weights that are stored. */
typedef struct PneumoFitRows
{
	const float *probability; /* n * units */
	const float *logit;       /* n * units */
	const int32_t *label;     /* n */
	const uint8_t *target;    /* n * units, of findings in place of the label: 0, 1 or NN_UNKNOWN */
	const uint64_t *group;    /* n: the patient */
	size_t n;
	int units; /* output units of the network: 1, or n_classes */
} PneumoFitRows;

/* Rows of one finding, as src/stats wants them. */
typedef struct PneumoFindingRows
{
	StatsRows rows; /* those of which it is known */
	double *logit;  /* rows.n, or NULL */
	size_t n_positive;
} PneumoFindingRows;

/*
 * Fills the rows of which a finding is known, palloc'd; probability is n *
 * n_classes.  The logits are taken from in.
 */
extern void pneumo_finding_rows(PneumoFindingRows *rows, const PneumoFitRows *in, const double *probability,
								int finding);
extern void pneumo_finding_rows_free(PneumoFindingRows *rows);

/* Tells whether rows are of both kinds, with and without the finding. */
extern bool pneumo_finding_is_mixed(const PneumoFindingRows *rows);

/* Returns the probabilities of all classes by meta, n * n_classes, palloc'd (huge). */
extern double *pneumo_fit_probabilities(const PneumoModelMeta *meta, const PneumoFitRows *in);

/* Errors for what cannot be fitted with so many classes, or on such a validation split. */
extern void pneumo_fit_check_classes(const PneumoConfig *config, int n_classes);
extern void pneumo_fit_check_groups(const PneumoConfig *config, const PneumoDataset *dataset);

/*
 * Fills calibration and operating point of meta (whose classes are there) as
 * the config asks, adds objects "calibration" and "operating_point" for what was
 * fitted, and returns the calibrated probabilities, n * n_classes.
 */
extern double *pneumo_fit(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in,
						  PneumoJson *achieved);

/*
 * Does the same for findings (fit_findings.c); a finding that all or none of the
 * known rows have is left without calibration and at the threshold 0.5, and is named in
 * *not_fitted.
 */
extern double *pneumo_fit_findings(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in,
								   PneumoJson *achieved, List **not_fitted);

/* Returns the text of the rule by which a threshold was chosen, as a version's bytes have it; palloc'd. */
extern const char *pneumo_fit_rule(const StatsThresholdDemand *demand);

/* Adds what a threshold achieves to an open object. */
extern void pneumo_fit_add_point(PneumoJson *achieved, const StatsOperatingPoint *point,
								 const StatsThresholdDemand *demand);
/* Fills meta for a version without scores: uncalibrated, with the given threshold. */
extern void pneumo_fit_none(PneumoModelMeta *meta, const PneumoConfig *config);

/* ------------------------------- the run's segment (train.c, worker.c) */

#define PNEUMO_RUN_ABI 3
#define PNEUMO_RUN_TEXT 1024
#define PNEUMO_SETTING_USER 'u'
#define PNEUMO_SETTING_SUPERUSER 's'

typedef struct PneumoRunOutcome
{
	char state[16]; /* succeeded, failed, cancelled, gone */
	int sqlerrcode;
	char message[PNEUMO_RUN_TEXT];
	char detail[PNEUMO_RUN_TEXT];
	char hint[PNEUMO_RUN_TEXT];
	char summary[PNEUMO_RUN_TEXT]; /* validation figures, one line */
	char summary_detail[PNEUMO_RUN_TEXT];
} PneumoRunOutcome;

/* What the worker tells its caller, as what the data are, that groups are few, or that the disk is full. */
typedef struct PneumoRunNews
{
	int elevel; /* NOTICE or WARNING */
	int epochs; /* how many were handed over before */
	char text[PNEUMO_RUN_TEXT];
} PneumoRunNews;

/* How many of them the caller can get. */
#define PNEUMO_MAX_NEWS 24

typedef struct PneumoRunSegment
{
	uint32 abi; /* first field for ever */

	/* set by the caller before the worker starts */
	int slot;
	uint32 generation;
	Oid database;
	Oid session_user;
	Oid current_user; /* whose rights the run has */
	Oid source;
	bool wait;
	bool resume;          /* the run has a row */
	bool from_checkpoint; /* and a state to go on from */
	int64 resume_run;
	TransactionId xid;    /* of a caller that does not wait */
	int max_epochs;       /* entries of epochs[] */
	size_t config_offset, /* text of the config, zero-ended */
		settings_offset,  /* PNEUMO_SETTING_*, name, value, both
									 * zero-ended; ended by a zero */
		source_offset;    /* qualified name, for messages */

	/* guarded by mutex */
	slock_t mutex;
	bool acknowledged;
	bool finished;
	int64 run;
	int n_epochs;
	int n_news;

	ConditionVariable changed;
	PneumoRunOutcome outcome; /* stable once finished */
	PneumoRunNews news[PNEUMO_MAX_NEWS];
	NnEpochLog epochs[FLEXIBLE_ARRAY_MEMBER];
} PneumoRunSegment;

/* ------------------------------------------------- slots (run_slots.c) */

/* Raises that the run is running, so that it cannot be resumed or forgotten. */
extern void pneumo_run_is_running(int64 run) pg_attribute_noreturn();
/*
 * Takes a slot for the caller; errors if as many runs train and wait as the settings
 * allow, of which the last is kept for a role that has none.  xid: the transaction
 * that the run waits for, or invalid.  run: the one to be resumed, or 0; errors if it
 * has a slot, so that no two workers have one run.
 */
extern int pneumo_slot_reserve(Oid owner, TransactionId xid, int64 run, uint32 *generation);
/* Makes the slot the worker's; false if the caller has given it up. */
extern bool pneumo_slot_attach(int slot, uint32 generation);
/* Fill what pneumo.progress shows of a run. */
extern void pneumo_slot_set_run(int slot, int64 run, PneumoRunStage stage);
extern void pneumo_slot_set_phase(int slot, const char *phase);
extern void pneumo_slot_set_progress(int slot, const NnProgress *progress, double time_left);
/*
 * Makes the run one of those that train, if fewer than pneumo.max_training_runs do and
 * nobody who waits has asked before; returns whether it did.  A run whose caller has
 * not committed is not waited for.
 */
extern bool pneumo_slot_take_turn(int slot);
/* Frees the slot if it still is of that generation; with only_unattached, not if a worker has it. */
extern void pneumo_slot_release(int slot, uint32 generation, bool only_unattached);
/* Returns whether somebody has asked the run to stop. */
extern bool pneumo_slot_cancelled(int slot);
/* Copies the slot of a run of this database; false if there is none. */
extern bool pneumo_slot_find(int64 run, PneumoRunSlot *copy);
/* Ask a run to stop, by its id or its slot; false if it is not there any more. */
extern bool pneumo_slot_cancel(int64 run);
extern bool pneumo_slot_cancel_index(int slot, uint32 generation);
/* Returns whether the run is queued, be it for its caller's commit or for its turn. */
extern bool pneumo_slot_is_queued(const PneumoRunSlot *slot);
/*
 * Returns whether the run cannot go on before this transaction ends: its worker waits,
 * directly or not, for a lock of this backend, or waits for the turn of one that does.
 */
extern bool pneumo_run_blocked_by_me(const PneumoRunSlot *slot);

/* ------------------------------------------ checkpoints (checkpoint.c) */

typedef struct PneumoCheckpointHead
{
	char magic[8]; /* "PNCKPT\0\1" */
	int64 run;
	uint64 state_bytes;
	uint8 fingerprint[PNEUMO_SHA256_LEN];
	uint8 setup[PNEUMO_SHA256_LEN]; /* of graph and training config */
	char build[256];
	uint32 epoch;  /* finished epochs */
	pg_crc32c crc; /* of the state */
} PneumoCheckpointHead;

/*
 * Writes a checkpoint in place of the one that there was.  Returns false if
 * stop, which is asked every few megabytes unless it is NULL, said so; then, and
 * after an error, the old checkpoint is still there.
 */
extern bool pneumo_checkpoint_write(const PneumoCheckpointHead *head, const void *state,
									bool (*stop)(void *arg), void *arg);
/* Returns whether the run has a checkpoint. */
extern bool pneumo_checkpoint_exists(int64 run);
/* Reads the head; false if there is no checkpoint, an error if it is not whole. */
extern bool pneumo_checkpoint_read_head(int64 run, PneumoCheckpointHead *head);
/* Reads the state that belongs to the head; an error if it is damaged. */
extern void pneumo_checkpoint_read_state(int64 run, const PneumoCheckpointHead *head, void *state);
/* Removes the checkpoint of a run, if there is one: at once, or when the transaction commits. */
extern void pneumo_checkpoint_remove(int64 run);
extern void pneumo_checkpoint_remove_at_commit(int64 run);
/* Removes files of runs that succeeded or are gone, and of dropped databases. */
extern void pneumo_checkpoint_sweep(void);

/* ------------------------------------------------------ disk (disk.c) */

/*
 * Errors (53100) unless so many bytes fit into each of the folders, which may
 * share a disk, and pneumo.disk_reserve stays free.  what: the subject, as in
 * "the checkpoint"; hint: what to do.
 */
extern void pneumo_disk_require(const char *what, double bytes, const char *const *folders, int n_folders,
								const char *hint);

/* --------------------------------------------------- state (views.c) */

/* Returns the state of a run given its stored state, which may be the same pointer. */
extern const char *pneumo_run_live_state(int64 run, const char *stored);

/* ---------------------------------------------- progress (progress.c) */

/* Returns a time in seconds that only grows, for measuring. */
extern double pneumo_seconds(void);

/* -------------------------------------------------------- entry points */

/* Runs the training worker: the function that the postmaster starts it with. */
extern PGDLLEXPORT void pneumo_worker_main(Datum main_arg);

/* What pneumo_launch() needs to know. */
typedef struct PneumoLaunch
{
	Oid source;
	const char *source_name;
	Jsonb *config;
	Oid owner;
	int epochs;
	int verbose;
	bool quiet; /* with wait: no notice of the end, which the caller words */
	bool wait;
	int64 resume_run;     /* 0: a new run */
	bool from_checkpoint; /* of the resumed run */
} PneumoLaunch;

/* Starts a run and, with wait, follows it to its end; returns the run's id. */
extern int64 pneumo_launch(const PneumoLaunch *launch);

/* Returns a time for people, as "12 min 3 s"; palloc'd. */
extern char *pneumo_duration_text(double seconds);

/* Return the primary message and the detail of one epoch's notice, palloc'd. */
extern char *pneumo_epoch_message(const NnEpochLog *log, int epochs);
extern char *pneumo_epoch_detail(const NnEpochLog *log, int epochs, double mean_seconds);

#endif /* PNEUMO_PG_TRAIN_H */
