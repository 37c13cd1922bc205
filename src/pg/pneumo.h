/*-------------------------------------------------------------------------
 *
 * pneumo.h
 *	  The internal header of src/pg, the only folder that knows the server.
 *
 * Include after postgres.h.  Sections, each with the file that owns it:
 * settings (settings.c), errors (errors.c), catalog (catalog.c), model
 * metadata (model_meta.c), versions (version.c), names of models (claim.c),
 * rights (rights.c), shared memory (shmem.c), engine cache (cache.c), images
 * (pixels.c), scoring (predict.c), BLAS (blas.c), splits (split.c), config
 * (config.c, layers.c), dataset (dataset.c), runs (run_slots.c, train.c,
 * worker.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_PNEUMO_H
#define PNEUMO_PG_PNEUMO_H

#include "access/genam.h"
#include "access/htup.h"
#include "common/cryptohash.h"
#include "fmgr.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/catalog/catalog.h"
#include "pg/base/compat.h"

#define PNEUMO_VERSION "0.1.0"
#define PNEUMO_SCHEMA \
	"pneumo" /* of the relations; functions live where the
								 * extension was created */
#define PNEUMO_SHA256_LEN 32

/* ---------------------------------------------------- settings (settings.c) */

typedef enum PneumoOnBadImage
{
	PNEUMO_BAD_IMAGE_ERROR,
	PNEUMO_BAD_IMAGE_NULL
} PneumoOnBadImage;

extern char *pneumo_default_model;
extern int pneumo_on_bad_image; /* PneumoOnBadImage */
extern bool pneumo_score_groups;
extern int pneumo_train_threads; /* 0: all cores */
extern int pneumo_train_memory;  /* kB */
extern int pneumo_max_image_pixels;
extern int pneumo_figures_memory; /* kB */
extern int pneumo_predict_memory; /* kB */
extern int pneumo_simd;           /* -1 auto, else NnPath */
extern char *pneumo_blas_library; /* "" or "none": built-in kernel */
extern int pneumo_max_training_runs;
extern int pneumo_shared_cache_size; /* kB */
extern int pneumo_local_cache_size;  /* kB */

extern void pneumo_settings_define(void);

/* The CPU path that the settings and the machine allow. */
extern NnPath pneumo_path(void);
/* The best that the machine has, whatever the settings. */
extern NnPath pneumo_path_best(void);

/* --------------------------------------------------------- errors (errors.c) */

/* The one place where a status of the plain-C layers becomes an error. */
extern void pneumo_nn_ereport(const NnError *error) pg_attribute_noreturn();
extern void pneumo_image_ereport(const ImgError *error) pg_attribute_noreturn();
extern int pneumo_image_sqlstate(ImgStatus status);

/* True if the image is to blame, so that pneumo.on_bad_image applies. */
extern bool pneumo_image_is_bad(ImgStatus status);

/*
 * For messages: the user's text, cut at a character after PNEUMO_CLIP bytes
 * (then it ends in " ..."); and a number of bytes, rounded up, as "12.3 MB".
 */
#define PNEUMO_CLIP 300
extern char *pneumo_clip(const char *text);
extern char *pneumo_memory_text(double n_bytes);

/* strlcpy() that cuts at a character. */
extern void pneumo_copy_text(char *dst, const char *src, size_t size);

/* ------------------------------------------------------- catalog (catalog.c) */

/*
 * Relations of schema pneumo; columns in catalog.h and
 * src/sql/catalog.sql.  PNEUMO_REL_HISTORY is the table pneumo.epoch:
 * pneumo.history is the view over it.
 */
typedef enum PneumoRelation
{
	PNEUMO_REL_MODEL,
	PNEUMO_REL_VERSION,
	PNEUMO_REL_CHUNK,
	PNEUMO_REL_MANIFEST,
	PNEUMO_REL_PRIVILEGE,
	PNEUMO_REL_DEPLOYMENT,
	PNEUMO_REL_RUN,
	PNEUMO_REL_HISTORY,
	PNEUMO_REL_LOOK
} PneumoRelation;

/*
 * Opens a relation of the extension after checking, by pg_depend, that it
 * belongs to the extension.  With missing_ok NULL if the extension is gone.
 */
extern Relation pneumo_catalog_open(PneumoRelation relation, LOCKMODE lockmode, bool missing_ok);
extern Oid pneumo_catalog_index(PneumoRelation relation, const char *index_name);

/* Next value of the relation's id sequence (model, version, run, deployment, look), without privilege checks. */
extern int64 pneumo_catalog_nextval(PneumoRelation relation);

/* Inserts, updates (by tuple id) and deletes rows, with indexes kept, no triggers. */
extern void pneumo_catalog_insert(Relation rel, Datum *values, bool *nulls);
extern void pneumo_catalog_update(Relation rel, HeapTuple old, Datum *values, bool *nulls, bool *replace);
extern void pneumo_catalog_delete(Relation rel, HeapTuple old);

/*
 * Registered snapshots, to be given to UnregisterSnapshot(): the calling
 * query's for reading, the latest for deciding what to write (taken after the
 * lock that makes the decision safe).  A function that wrote ends with
 * CommandCounterIncrement(), so that the next one in the same query sees it.
 */
extern Snapshot pneumo_read_snapshot(void);
extern Snapshot pneumo_write_snapshot(void);

/* Errors in a read-only transaction, a parallel worker and on a standby; function as in "pneumo_deploy()". */
extern void pneumo_prevent_write(const char *function);

/* Until the end of the transaction: one writer of a model, one maker of a name, one writer of a version's bytes. */
extern void pneumo_lock_model(int64 model);
extern void pneumo_lock_name(const char *name);
extern void pneumo_lock_bytes(const uint8 *sha256);

/* ------------------------------------------- model metadata (model_meta.c) */

typedef enum PneumoCalibrationKind
{
	PNEUMO_CALIBRATION_NONE,
	PNEUMO_CALIBRATION_PLATT,
	PNEUMO_CALIBRATION_TEMPERATURE
} PneumoCalibrationKind;

/*
 * Everything beside graph and weights that decides a score.  Stored as the
 * sections of the model bytes, and so covered by the version's SHA-256.
 */
typedef struct PneumoModelMeta
{
	ImgPreprocess preprocess;
	float rescale;
	int n_classes;  /* >= 2 */
	char **classes; /* in the order of the labels; binary: [negative,
								 * positive] */
	NnPrecision precision;
	PneumoCalibrationKind calibration;
	double calibration_a,        /* Platt: p = 1/(1+exp(-(a*logit + b))) */
		calibration_b;           /* temperature: logit / a */
	double threshold;            /* operating point on the calibrated scale:
								 * positive when score >= threshold */
	const char *operating_point; /* JSON text of what was asked for */
} PneumoModelMeta;

#define PNEUMO_META_SECTIONS 5

/* PNEUMO_META_SECTIONS sections to hand to nn_model_write(), allocated in the current context; returns their number. */
extern int pneumo_meta_to_sections(NnSection *sections, const PneumoModelMeta *meta);
/* Checks everything; allocates in cxt; errors with ERRCODE_DATA_CORRUPTED. */
extern PneumoModelMeta *pneumo_meta_from_view(const NnModelView *view, MemoryContext cxt);
/* Errors if the metadata is not of that graph: input shape, number of classes. */
extern void pneumo_meta_check_graph(const PneumoModelMeta *meta, const NnGraph *graph);
/* Calibrated probability of the positive class from its logit (two classes). */
extern double pneumo_meta_calibrate(const PneumoModelMeta *meta, double logit);

/*
 * Calibrated probabilities of all classes (dst: n_classes) of one sample from
 * the network's output_units probabilities and logits.  Uncalibrated: the
 * network's own probabilities, to the bit; binary with one unit: 1 - p and p.
 */
extern void pneumo_meta_probabilities(double *dst, const PneumoModelMeta *meta, int output_units,
									  const float *probabilities, const float *logits);

/* ----------------------------------------------------- versions (version.c) */

typedef struct PneumoNewVersion
{
	const char *model; /* name; created for owner if it does not exist */
	Oid owner;         /* role that owns a new model; needs manage on an
								 * existing one */
	int64 run;         /* 0: imported */
	const void *bytes; /* whole model bytes (nn_model_write) */
	size_t n_bytes;
	int64 n_parameters;
	const PneumoModelMeta *meta;
	Jsonb *metrics;       /* validation figures, or NULL */
	Jsonb *provenance;    /* build, CPU path, BLAS, data fingerprint, config */
	const char *comment;  /* or NULL */
	const void *manifest; /* or NULL; format in dataset.c */
	size_t manifest_bytes;
	bool deploy;       /* deploy even if the model has a deployed version */
	bool never_deploy; /* a cancelled run's version */
} PneumoNewVersion;

typedef struct PneumoVersionId
{
	int64 version; /* row id */
	uint8 sha256[PNEUMO_SHA256_LEN];
	bool deployed;
} PneumoVersionId;

/*
 * Stores a version in the current transaction: model row if new, version row,
 * chunks (shared with an equal hash), manifest, deployment.
 */
extern PneumoVersionId pneumo_version_store(const PneumoNewVersion *version);


/* Appends to pneumo.deployment; previous: the deployment that a rollback goes back to, or 0. */
extern void pneumo_deployment_add(int64 model, int64 version, const char *action, int64 previous, Oid role);

/* Row of a version (palloc'd copy) or NULL, and what it says. */
extern HeapTuple pneumo_version_tuple(Relation rel, int64 version, Snapshot snapshot);
extern void pneumo_version_id(Relation rel, HeapTuple tuple, PneumoVersionId *id);

/* Reads whole model bytes (palloc'd, huge) of a version id under the active snapshot; no rights check. */
extern void *pneumo_version_read(int64 version, size_t *n_bytes);

/* The stored bytes of a version, piece by piece; a piece is valid until the next. */
typedef struct PneumoChunks
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	int32 seqno; /* of the next piece */
	bytea *hash;
	bytea *data;
	Relation rel;
	Relation index;
	SysScanDesc scan;
	Snapshot snapshot;
} PneumoChunks;

extern PneumoChunks *pneumo_chunks_open(const uint8 *sha256);
extern bool pneumo_chunks_next(PneumoChunks *chunks, const uint8 **bytes, size_t *n_bytes);
extern void pneumo_chunks_close(PneumoChunks *chunks);
extern void pneumo_chunks_drop(const uint8 *sha256); /* deletes the rows */

/* SHA-256; may also be used where no transaction is open. */
extern void pneumo_sha256(uint8 *digest, const void *bytes, size_t n_bytes);
extern char *pneumo_sha256_hex(const uint8 *digest); /* palloc'd */
extern pg_cryptohash_ctx *pneumo_sha256_begin(void);
extern void pneumo_sha256_add(pg_cryptohash_ctx *ctx, const void *bytes, size_t n_bytes);
extern void pneumo_sha256_end(uint8 *digest, pg_cryptohash_ctx *ctx);
extern bytea *pneumo_bytea(const void *bytes, size_t n_bytes); /* palloc'd */

/* ---------------------------------------------------- names of models (claim.c) */

/*
 * Id of a model by name, created for owner if there is none or only an
 * abandoned one; else owner needs manage on it.  run: on whose behalf, or 0.
 */
extern int64 pneumo_model_claim(const char *name, Oid owner, int64 run);
/* The errors of a claim, without making it. */
extern void pneumo_model_check_claim(const char *name, Oid role);
/* Gives the name back at the end of a run, if it is owner's own and nothing came of it. */
extern void pneumo_model_release(const char *name, Oid owner, int64 run);

/* --------------------------------------------------------- rights (rights.c) */

typedef enum PneumoPrivilege
{
	PNEUMO_PREDICT = 1,
	PNEUMO_MANAGE = 2,
	PNEUMO_EXPORT = 4,
	PNEUMO_OWNER = 8 /* not grantable: grants, gives away, drops */
} PneumoPrivilege;

#define PNEUMO_PUBLIC "public" /* grantee: everybody; no role can have this name */

extern bool pneumo_privilege_parse(const char *name, PneumoPrivilege *privilege);
extern const char *pneumo_privilege_name(PneumoPrivilege privilege);

/*
 * Model id by name under the active snapshot, after checking that role has
 * the privilege (owner: all).  Errors: undefined object, insufficient
 * privilege (the same message for both where the role may not know).
 * missing_ok: 0 if there is no such model.
 */
extern int64 pneumo_model_lookup(const char *name, PneumoPrivilege privilege, Oid role, bool missing_ok);
extern int64 pneumo_model_lookup_snapshot(const char *name, PneumoPrivilege privilege, Oid role,
										  bool missing_ok, Snapshot snapshot);
/* Whether there is such a model and role has the privilege. */
extern bool pneumo_model_has(const char *name, PneumoPrivilege privilege, Oid role, Snapshot snapshot);
/* Row of a model (palloc'd copy), or NULL. */
extern HeapTuple pneumo_model_tuple(Relation rel, const char *name, Snapshot snapshot);
/* The last deployment of a model: its id and version; false if none. */
extern bool pneumo_deployment_last(int64 model, Snapshot snapshot, int64 *deployment, int64 *version);
/* Version id and hash that is deployed; false if none. */
extern bool pneumo_model_deployed(int64 model, PneumoVersionId *id);
/* A version of that hash in a model on which role has the privilege; errors if there is none. */
extern bool pneumo_version_lookup(const uint8 *sha256, PneumoPrivilege privilege, Oid role,
								  PneumoVersionId *id);
/* True if role has any privilege on a model with a version of that hash. */
extern bool pneumo_version_visible(const uint8 *sha256, Oid role);

/* ---------------------------------------------------------- models (models.c) */

/*
 * Opens a model for a change: right checked, model locked until the end of the
 * transaction, and *snapshot (to be unregistered) taken after the lock.
 */
extern int64 pneumo_model_open(const char *name, PneumoPrivilege privilege, const char *function,
							   Snapshot *snapshot);
/* Row of one of a model's versions (palloc'd copy), or an error. */
extern HeapTuple pneumo_version_of_model(Relation rel, const char *name, int64 model, int64 version,
										 Snapshot snapshot);
/* Release, compiler and server, for a version's provenance; palloc'd. */
extern char *pneumo_build(void);

/* ---------------------------------------------------- shared memory (shmem.c) */

#define PNEUMO_CACHE_SLOTS 48
#define PNEUMO_RUN_SLOTS 8 /* upper limit of pneumo.max_training_runs */

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

/* A training run's slot: who holds it, and its live figures.  Guarded by lock. */
typedef struct PneumoRunSlot
{
	bool in_use;
	Oid database;
	Oid owner;      /* role whose rights the run has */
	int worker_pid; /* 0 until the worker has attached */
	int caller_pid;
	uint32 generation;        /* grows each time the slot is taken */
	int64 run;                /* 0 until drawn */
	bool queued;              /* waiting for the caller's transaction */
	TransactionId caller_xid; /* which is this one */
	bool cancel_requested;
	char phase[32]; /* "reading images", "training", ... */
	NnProgress progress;
	TimestampTz started;
	double time_left; /* seconds; NaN unknown */
} PneumoRunSlot;

typedef struct PneumoShared
{
	LWLock lock; /* guards all that follows; never held while
								 * creating or attaching a segment */
	int tranche_id;
	ConditionVariable cache_changed;
	ConditionVariable run_changed;
	uint64 cache_bytes;      /* sum over the slots, also of those loading */
	uint64 cache_generation; /* grows when a slot is emptied */
	PneumoCacheSlot cache[PNEUMO_CACHE_SLOTS];
	PneumoRunSlot runs[PNEUMO_RUN_SLOTS];
} PneumoShared;

/* The control struct, created by whoever comes first; no preloading needed. */
extern PneumoShared *pneumo_shared(void);

/* What a session waits for, as pg_stat_activity shows it (named from PostgreSQL 17 on). */
typedef enum PneumoWait
{
	PNEUMO_WAIT_CACHE_LOAD, /* another session loads the version */
	PNEUMO_WAIT_RUN_START,  /* the worker's acknowledgement */
	PNEUMO_WAIT_RUN         /* the next epoch, or the end of a run */
} PneumoWait;

extern uint32 pneumo_wait_event(PneumoWait wait);

/* ------------------------------------------------------ engine cache (cache.c) */

typedef struct PneumoEngine
{
	NnEngine engine;
	PneumoModelMeta *meta;
	PneumoVersionId id;
	bool shared; /* in a DSM segment; else a backend-local copy */
} PneumoEngine;

/*
 * The ready engine of a version; loads it if nobody has.  Stays valid until
 * cxt is reset or deleted (a reference is held by a callback of cxt).
 * Rights are the caller's to check before.
 */
extern PneumoEngine *pneumo_engine_get(const PneumoVersionId *id, MemoryContext cxt);
extern PneumoEngine *pneumo_engine_get_path(const PneumoVersionId *id, NnPath path, MemoryContext cxt);

/* The same to explain with: has the float32 weights, but perhaps nothing packed. */
extern PneumoEngine *pneumo_engine_get_explain(const PneumoVersionId *id, NnPath path, MemoryContext cxt);

/* Empties this database's slots of a version that is being dropped. */
extern void pneumo_cache_forget(const uint8 *sha256);

/* ------------------------------------------------------- scoring (predict.c) */

/* The deployed version of a model, by id or by name (then predict is checked); errors if there is none. */
extern void pneumo_require_deployed(const char *name, int64 model, PneumoVersionId *id);
extern void pneumo_resolve(const char *name, PneumoVersionId *id);

/* ------------------------------------------------------------ images (pixels.c) */

extern void pneumo_image_limits(ImgLimits *limits); /* from the settings */

/* Scratch in the current context, room for aligning it to NN_ALIGN; pfree() what pneumo_scratch() gave. */
extern void *pneumo_scratch(Size n_bytes);
extern void *pneumo_align(void *memory);

/* Errors if what (as in "predicting with this model") needs more than pneumo.predict_memory. */
extern void pneumo_check_memory(const char *what, double n_bytes);

/*
 * JPEG bytes to the network's 8-bit pixels: the path of training and of
 * prediction.  dst: height * width * channels.  Returns the status instead of
 * raising it; raises only for interrupts and memory.
 */
extern ImgStatus pneumo_pixels(uint8 *dst, const uint8 *bytes, size_t n_bytes,
							   const ImgPreprocess *preprocess, ImgError *error);

/* -------------------------------------------------------------- BLAS (blas.c) */

/* Loads the library on first use, all signals blocked; NULL if there is none. */
extern NnSgemm pneumo_blas_sgemm(void);
/* Another function of the same library (LAPACK's dsyevd_), or NULL. */
extern void *pneumo_blas_symbol(const char *name);
extern const char *pneumo_blas_version(void); /* "OpenBLAS 0.3.21 …" or "built-in" */

/* ------------------------------------------------------------ splits (split.c) */

typedef enum PneumoSplit
{
	PNEUMO_TRAIN,
	PNEUMO_VALIDATION,
	PNEUMO_TEST
} PneumoSplit;

extern PneumoSplit pneumo_split_key(const void *key, size_t key_bytes, int split_seed,
									double validation_split, double test_split);
extern const char *pneumo_split_name(PneumoSplit split);

#endif /* PNEUMO_PG_PNEUMO_H */
