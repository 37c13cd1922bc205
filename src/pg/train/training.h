/*-------------------------------------------------------------------------
 *
 * training.h
 *	  The part of src/pg that turns a table and a config into a version:
 *	  what its files share among themselves, beside pneumo.h.
 *
 * Sections, each with the file that owns it: JSON values (json_read.c),
 * config (config.c, presets.c), layers (layers.c), source table (source.c),
 * dataset (dataset.c, split_rules.c), sample store (store.c), preparation
 * (prepare.c), the run's segment and slots (run_slots.c), the caller's side
 * (train.c), worker (worker.c), checkpoints (checkpoint.c), rows of runs
 * and epochs (history.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_TRAINING_H
#define PNEUMO_PG_TRAINING_H

#include "access/htup.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "port/pg_crc32c.h"
#include "postmaster/bgworker.h"
#include "storage/fd.h"
#include "storage/lockdefs.h"
#include "storage/spin.h"

#include "pg/pneumo.h"

#include "stats/stats.h"

/* ----------------------------------------------- JSON values (json_read.c) */

/*
 * All readers take `what`, the subject of the message ("config key
 * \"epochs\""), and raise ERRCODE_INVALID_PARAMETER_VALUE with the value and
 * what is allowed.
 */
extern JsonbValue *pneumo_json_get(JsonbContainer *object, const char *key); /* NULL if absent */
extern char *pneumo_json_text(JsonbValue *value);                            /* shortened for messages */
extern char *pneumo_json_full_text(JsonbValue *value);
extern bool pneumo_json_is_null(const JsonbValue *value);
extern JsonbContainer *pneumo_json_object(const JsonbValue *value); /* NULL if it is none */
extern JsonbContainer *pneumo_json_array(const JsonbValue *value);
extern char *pneumo_json_cstring(const JsonbValue *value);               /* NULL if not a string */
extern bool pneumo_json_double(const JsonbValue *value, double *number); /* false if not a number */
extern void pneumo_json_bad(const char *what, JsonbValue *value, const char *allowed) pg_attribute_noreturn();
extern int64 pneumo_json_read_int(const char *what, JsonbValue *value, double low, double high);
extern double pneumo_json_read_number(const char *what, JsonbValue *value, double low, double high);
extern bool pneumo_json_read_bool(const char *what, JsonbValue *value);
extern char *pneumo_json_read_string(const char *what, JsonbValue *value);
extern int pneumo_json_read_enum(const char *what, JsonbValue *value, const char *const *names);
extern int pneumo_json_array_length(JsonbContainer *array);

/* The nearest of the NULL-ended names by edit distance, or NULL if none is near. */
extern const char *pneumo_nearest(const char *name, const char *const *names);
extern char *pneumo_list_names(const char *const *names); /* "a, b or c", quoted */

/* ------------------------------------------- config (config.c, presets.c) */

typedef enum PneumoClassWeightKind
{
	PNEUMO_CLASS_WEIGHT_NONE,
	PNEUMO_CLASS_WEIGHT_BALANCED,
	PNEUMO_CLASS_WEIGHT_GIVEN
} PneumoClassWeightKind;

typedef enum PneumoDeploy
{
	PNEUMO_DEPLOY_IF_NONE, /* when the model has no deployed version */
	PNEUMO_DEPLOY_YES,
	PNEUMO_DEPLOY_NO,
	PNEUMO_DEPLOY_IF_BETTER /* than the deployed version; or if there is none */
} PneumoDeploy;

/*
 * A whole training config.  Strings are NULL where a key has no default;
 * allocated in the context that was current when it was parsed.
 */
typedef struct PneumoConfig
{
	Jsonb *given; /* what the user wrote */

	char *name;
	char *preset;             /* NULL with layers */
	Jsonb *layers;            /* Keras JSON, or NULL with a preset */
	ImgPreprocess preprocess; /* image_size, color_mode, interpolation */
	bool image_size_given;
	bool color_mode_given;
	double rescale;

	char *image_column;
	char *label_column;
	char *positive_class;
	char *group_column;
	char *split_column;
	char *key_column;
	char *sample_weight_column;
	double validation_split;
	double test_split;
	int split_seed;
	double max_bad_images;

	NnTrainConfig train; /* class_weight is filled in by
								 * pneumo_config_class_weights() */
	PneumoClassWeightKind class_weight;
	Jsonb *class_weight_given;
	int threads; /* 0: as the setting says */
	char *initial_model;
	bool early_stopping_given;
	bool plateau_given;
	int verbose; /* 0: no notice per epoch */
	int loss;    /* index into the loss names, -1 not given */

	ImgAugmentRanges augment;

	int calibration; /* PneumoCalibrationKind, to be fitted */
	StatsThresholdDemand operating_point;
	double threshold; /* of a given operating point */
	int deploy;       /* PneumoDeploy */
	char *comment;

	bool in_backend; /* no key: the caller's own backend reads, so a
								 * temporary table is fine; then label_column
								 * may be NULL, too */
} PneumoConfig;

/* Parses and checks everything that needs neither the table nor the network. */
extern PneumoConfig *pneumo_config_parse(Jsonb *given);

/* Checks that need the classes: loss, class_weight names; fills train.class_weight. */
extern void pneumo_config_class_weights(PneumoConfig *config, int n_classes, char **classes,
										const int64 *train_rows);

/* Threads that the config and the setting allow, at least 1. */
extern int pneumo_config_threads(const PneumoConfig *config);

typedef struct PneumoPreset
{
	const char *name;
	const char *config; /* JSON object of keys that beat the defaults */
	const char *layers; /* JSON list up to the last Dense, without ']' */
	const char *doc;
} PneumoPreset;

extern const PneumoPreset *pneumo_preset_find(const char *name); /* NULL if unknown */
extern const char *const *pneumo_preset_names(void);
/* The preset's layer list, ended by the Dense that n_classes need. */
extern Jsonb *pneumo_preset_layers(const char *name, int n_classes);

/* -------------------------------------------------------- layers (layers.c) */

/*
 * The network of a config for so many classes (0: unknown, any network goes).
 * Sets config->preprocess from the network's input unless the keys were given.
 */
extern NnGraph *pneumo_layers_graph(PneumoConfig *config, int n_classes);

/* --------------------------------------------------- source table (source.c) */

typedef enum PneumoLabelKind
{
	PNEUMO_LABEL_BOOLEAN,
	PNEUMO_LABEL_INTEGER,
	PNEUMO_LABEL_TEXT,
	PNEUMO_LABEL_ENUM
} PneumoLabelKind;

#define PNEUMO_MAX_KEY_COLUMNS 8

typedef struct PneumoSource
{
	Oid relid;
	char *name; /* schema-qualified and quoted */
	PneumoLabelKind label_kind;
	Oid label_type; /* base type */
	int col_image,  /* positions in the query, from 1; 0: not there */
		col_label, col_group, col_split, col_weight, col_key[PNEUMO_MAX_KEY_COLUMNS];
	int n_key;
	char *query;        /* SELECT the columns, in that order, FROM name */
	char *label_query;  /* SELECT label, count(*) ... GROUP BY */
	char *image_column; /* names, resolved */
	char *label_column;
} PneumoSource;

/*
 * Checks relation, columns, types and the current user's privileges; locks
 * the relation in share mode until the end of the transaction.
 */
extern PneumoSource *pneumo_source_check(Oid relid, const PneumoConfig *config);

/* Classes and labelled rows, without reading images; at most NN_MAX_CLASSES. */
typedef struct PneumoLabels
{
	int n;
	char *name[NN_MAX_CLASSES];
	int64 rows[NN_MAX_CLASSES];
	int64 unlabelled;
	int64 total;
} PneumoLabels;

extern void pneumo_source_labels(PneumoLabels *labels, const PneumoSource *source);

/*
 * Order of the classes by kind; for two, [negative, positive].  Errors: fewer
 * than two, no positive class known.
 */
extern void pneumo_order_classes(char **ordered, int n, char *const *names, const PneumoSource *source,
								 const char *positive_class);

/* -------------------------------------------------------- dataset (dataset.c) */

typedef struct PneumoSample
{
	uint8 sha256[PNEUMO_SHA256_LEN]; /* of the image's bytes */
	uint8 group[PNEUMO_SHA256_LEN];  /* SHA-256 of 'g' and the group key, or of
											 * 'i' and the image's hash without one */
	int64 slot;                      /* what the sink returned; -1 none */
	char *key;                       /* text of the row's key; NULL without key */
	float weight;
	int16 label;  /* class index */
	int8 split;   /* PneumoSplit */
	bool dropped; /* by the duplicate rules */
} PneumoSample;

typedef enum PneumoLeftOut
{
	PNEUMO_OUT_NO_IMAGE,   /* NULL image */
	PNEUMO_OUT_UNLABELLED, /* NULL label */
	PNEUMO_OUT_UNREADABLE,
	PNEUMO_OUT_NO_SPLIT,  /* NULL in split_column */
	PNEUMO_OUT_DUPLICATE, /* the same image counts elsewhere */
	PNEUMO_OUT_CONFLICT,  /* the same image with another label */
	PNEUMO_OUT_SEEN       /* known to the model that is compared or warm-started */
} PneumoLeftOut;

#define PNEUMO_N_LEFT_OUT 7
extern const char *const pneumo_left_out_names[PNEUMO_N_LEFT_OUT];

typedef struct PneumoDataset
{
	MemoryContext cxt;
	int n_classes;
	char *classes[NN_MAX_CLASSES];
	int64 n_rows; /* read */
	int64 n;      /* samples, sorted by (sha256, label, group) */
	PneumoSample *samples;
	int64 left_out[PNEUMO_N_LEFT_OUT];
	char *first_bad;               /* "key: reason" of the first unreadable row */
	char *first_conflict;          /* keys of the first conflicting rows */
	int64 rows[3][NN_MAX_CLASSES]; /* by split and class, of counted samples */
	int64 groups[3][NN_MAX_CLASSES];
	int64 split_rows[3];
	int64 split_groups[3];
	uint8 fingerprint[PNEUMO_SHA256_LEN];
} PneumoDataset;

/*
 * What becomes of a readable image while the table is read: returns the slot.
 * Called for rows of the wanted splits only.
 */
typedef int64 (*PneumoSink)(void *arg, const PneumoSample *sample, const uint8 *pixels);

typedef struct PneumoReading
{
	bool decode;     /* false: only hash the bytes */
	bool want[3];    /* splits whose pixels go to the sink */
	PneumoSink sink; /* may be NULL */
	void *sink_arg;
	void (*progress)(void *arg, int64 rows); /* may be NULL */
	void *progress_arg;
	int n_classes; /* in order; a label that is none of them is an error */
	char **classes;
} PneumoReading;

/*
 * Reads the whole table by a cursor as the current user, under a snapshot of
 * its own, and applies the rules for unreadable, unlabelled and duplicate
 * rows.  Needs a transaction; allocates in a child of the current context.
 */
extern PneumoDataset *pneumo_dataset_read(const PneumoSource *source, const PneumoConfig *config,
										  const PneumoReading *reading);

/* Duplicate and leakage rules, sorting, counts, fingerprint (split_rules.c). */
extern void pneumo_dataset_settle(PneumoDataset *dataset, const PneumoConfig *config);
extern void pneumo_dataset_count(PneumoDataset *dataset);

/*
 * Errors for what no training can do without (a class without a group on a
 * side); returns the warnings, strings, for sides with fewer than 20 groups of
 * a class.
 */
extern List *pneumo_dataset_require(const PneumoDataset *dataset, const PneumoConfig *config);

/* The manifest: "PNMF", version, count, then (sha256, group, split) per sample. */
extern void *pneumo_manifest_write(const PneumoDataset *dataset, size_t *bytes);

/* Drops samples whose image or group the manifest has on one of the splits; counts them. */
extern int64 pneumo_manifest_exclude(PneumoDataset *dataset, const bool *sample_splits, const void *manifest,
									 size_t bytes, const bool *manifest_splits);

/* jsonb objects for catalog and plan: {"train": {"NORMAL": n, …}, …} and the left-out counts. */
extern Jsonb *pneumo_dataset_counts_json(const PneumoDataset *dataset, bool groups);
extern Jsonb *pneumo_dataset_left_out_json(const PneumoDataset *dataset);

/* ------------------------------------------------------ sample store (store.c) */

typedef struct PneumoStore PneumoStore;

/* In memory up to budget bytes, beyond in a temporary file that lives until closed. */
extern PneumoStore *pneumo_store_create(size_t sample_bytes, size_t budget);
extern int64 pneumo_store_append(PneumoStore *store, const uint8 *pixels);
/* After the last append: opens the file for reading by threads. */
extern void pneumo_store_seal(PneumoStore *store);
/* Thread-safe after sealing; scratch: sample_bytes.  NULL if reading failed. */
extern const uint8 *pneumo_store_get(const PneumoStore *store, int64 slot, uint8 *scratch);
extern size_t pneumo_store_memory(const PneumoStore *store);
extern size_t pneumo_store_file(const PneumoStore *store);
extern void pneumo_store_close(PneumoStore *store);

/* ------------------------------------------------- preparation (prepare.c) */

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
} PneumoPrepared;

/*
 * All checks that need no image, as the current user: config, table, classes,
 * network, memory, rights on the model names.
 */
extern PneumoPrepared *pneumo_prepare(Oid relid, Jsonb *config);

extern void pneumo_prepare_no_labels(NnTrainData *data);

/* Plans again for the samples that there are; errors above pneumo.train_memory. */
extern void pneumo_prepare_plan(PneumoPrepared *prepared, const NnTrainData *data);

/* Without a validation side nothing can watch it; errors if the config asked for that. */
extern void pneumo_prepare_no_validation(PneumoConfig *config);

/* Scratch of the load function and the function itself; arg: PneumoLoader. */
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

extern size_t pneumo_loader_scratch_bytes(const PneumoConfig *config);
extern int pneumo_loader_load(void *arg, float *dst, NnSplit split, size_t i, int epoch, void *scratch);

/* ------------------------------------------------------------ fitting (fit.c) */

/* The scores of the validation side by the weights that are stored. */
typedef struct PneumoFitRows
{
	const float *probability; /* n * units */
	const float *logit;       /* n * units */
	const int32_t *label;     /* n */
	const uint64_t *group;    /* n: the patient */
	size_t n;
	int units; /* output units of the network: 1, or n_classes */
} PneumoFitRows;

/* Errors for what cannot be fitted with so many classes, on such a validation side. */
extern void pneumo_fit_check_classes(const PneumoConfig *config, int n_classes);
extern void pneumo_fit_check_groups(const PneumoConfig *config, const PneumoDataset *dataset);

/*
 * Fills calibration and operating point of meta (whose classes are there) as
 * the config asks, appends ",\"calibration\":{...},\"operating_point\":{...}" of
 * what was fitted, and returns the calibrated probabilities, n * n_classes.
 */
extern double *pneumo_fit(PneumoModelMeta *meta, const PneumoConfig *config, const PneumoFitRows *in,
						  StringInfo achieved);
/* Without scores: uncalibrated, the given threshold. */
extern void pneumo_fit_none(PneumoModelMeta *meta, const PneumoConfig *config);

/* ------------------------------------- the run's segment (train.c, worker.c) */

#define PNEUMO_RUN_ABI 1
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

/* A warning of the worker for the caller (few groups, full checkpoint disk). */
#define PNEUMO_RUN_WARNINGS 16

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
	bool resume;
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
	int n_warnings;

	ConditionVariable changed;
	PneumoRunOutcome outcome; /* stable once finished */
	char warnings[PNEUMO_RUN_WARNINGS][PNEUMO_RUN_TEXT];
	NnEpochLog epochs[FLEXIBLE_ARRAY_MEMBER];
} PneumoRunSegment;

/* ------------------------------------------------------ slots (run_slots.c) */

/*
 * Takes a slot for the caller; errors if pneumo.max_training_runs are taken.
 * xid: the transaction that the run waits for, or invalid.
 */
extern int pneumo_slot_reserve(Oid owner, TransactionId xid, uint32 *generation);
/* The worker's: false if the caller has given it up. */
extern bool pneumo_slot_attach(int slot, uint32 generation);
extern void pneumo_slot_set_run(int slot, int64 run, bool queued);
extern void pneumo_slot_set_phase(int slot, const char *phase);
extern void pneumo_slot_set_progress(int slot, const NnProgress *progress, double time_left);
/* Frees it if it still is of that generation; only_unattached: not if a worker has it. */
extern void pneumo_slot_release(int slot, uint32 generation, bool only_unattached);
extern bool pneumo_slot_cancelled(int slot);
/* Copies the slot of a run of this database; false if there is none. */
extern bool pneumo_slot_find(int64 run, PneumoRunSlot *copy, int *index);
/* Runs of this database that have a slot (room for PNEUMO_RUN_SLOTS); their number. */
extern int pneumo_slot_runs(int64 *runs);
/* Set the flag and signal the worker; false if the run is not there any more. */
extern bool pneumo_slot_cancel(int64 run);
extern bool pneumo_slot_cancel_index(int slot, uint32 generation);
/* True if pid waits, directly or not, for a lock of this backend. */
extern bool pneumo_blocked_by_me(int pid);

/* ------------------------------------------- rows of runs (history.c) */

typedef struct PneumoRunRow
{
	int64 run;
	char *model;
	char *owner;  /* role name */
	char *source; /* qualified name */
	Oid source_oid;
	char *state;
	Jsonb *config;
	char *error;    /* or NULL */
	char *sqlstate; /* or NULL */
	int64 version;  /* 0: none */
	int epochs,     /* wanted */
		epoch,      /* finished */
		best_epoch;
	Jsonb *metrics; /* or NULL */
} PneumoRunRow;

/* NULL if there is no such run. */
extern PneumoRunRow *pneumo_run_read(int64 run);

/* Rights of the current user on a run: its owner's role; with monitor also pg_monitor. */
extern bool pneumo_run_is_mine(const char *owner, bool monitor);

/* What decides a run beside its data, when it begins. */
typedef struct PneumoRunStart
{
	int64 run;
	const char *model;
	Oid owner;
	Oid source;
	const char *source_name;
	Jsonb *config;
	Jsonb *settings; /* threads, CPU path, BLAS */
	int epochs;
	const char *build;
} PneumoRunStart;

/*
 * Writers, each in the current transaction; they do nothing and return false
 * if the extension or the run's row is gone.
 */
extern bool pneumo_run_insert(const PneumoRunStart *start);
extern bool pneumo_run_restart(const PneumoRunStart *start);
extern bool pneumo_run_set_data(int64 run, const PneumoDataset *dataset);
extern bool pneumo_run_epoch(int64 run, const NnEpochLog *log, int best_epoch);
extern bool pneumo_run_finish(int64 run, const char *state, int64 version, int best_epoch, Jsonb *metrics,
							  const char *error, const char *sqlstate);
extern void pneumo_run_delete(int64 run); /* with its epochs */

/* Epochs after the first n are of a lost continuation: deletes them. */
extern void pneumo_run_cut_epochs(int64 run, int n);

/* Finished epochs of a run after epoch after, in order; palloc'd. */
extern int pneumo_run_epochs(int64 run, int after, NnEpochLog **logs);

/* The manifest of a version, palloc'd (huge); NULL if it has none. */
extern void *pneumo_manifest_read(int64 version, size_t *bytes);

/* ------------------------------------------- checkpoints (checkpoint.c) */

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

/* What decides the bits beside data and config: version, compiler, CPU path, BLAS. */
extern char *pneumo_build_text(void);

/*
 * False if stop, asked every few megabytes, said so (NULL: nobody asks); then,
 * and after an error, the checkpoint that there was is still there.
 */
extern bool pneumo_checkpoint_write(const PneumoCheckpointHead *head, const void *state,
									bool (*stop)(void *arg), void *arg);
extern bool pneumo_checkpoint_exists(int64 run);
/* False if there is none; errors if it is not whole. */
extern bool pneumo_checkpoint_read_head(int64 run, PneumoCheckpointHead *head);
extern void pneumo_checkpoint_read_state(int64 run, const PneumoCheckpointHead *head, void *state);
extern void pneumo_checkpoint_remove(int64 run);
/* Removes files of runs that succeeded or are gone, and of dropped databases. */
extern void pneumo_checkpoint_sweep(void);

/* ------------------------------------------------------------ entry points */

extern PGDLLEXPORT void pneumo_worker_main(Datum main_arg);

/* Raises the outcome of a run that did not succeed. */
extern void pneumo_outcome_ereport(const PneumoRunOutcome *outcome, int64 run) pg_attribute_noreturn();

/* Starts a run and, with wait, follows it to its end; returns the run's id. */
typedef struct PneumoLaunch
{
	Oid source;
	const char *source_name;
	Jsonb *config;
	Oid owner;
	int epochs;
	int verbose;
	bool wait;
	int64 resume_run; /* 0: a new run */
} PneumoLaunch;

extern int64 pneumo_launch(const PneumoLaunch *launch);

/* Primary message and detail of one epoch's notice. */
extern char *pneumo_epoch_message(const NnEpochLog *log, int epochs);
extern char *pneumo_epoch_detail(const NnEpochLog *log, int epochs, double mean_seconds);

#endif /* PNEUMO_PG_TRAINING_H */
