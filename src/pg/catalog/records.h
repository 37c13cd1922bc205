/*-------------------------------------------------------------------------
 *
 * records.h
 *	  The records of schema pneumo: models and their rights, versions and what
 *	  belongs to them, deployments, looks at held-out rows, runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_RECORDS_H
#define PNEUMO_PG_RECORDS_H

#include "access/genam.h"
#include "access/htup.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "nn/nn.h"
#include "image/image.h"

#include "pg/pneumo.h"

/* --------------------------------------------------- rights (rights.c) */

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

/* --------------------------------------- model metadata (model_meta.c) */

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

/*
 * Calibrated probabilities of all classes (dst: n_classes) of one sample from
 * the network's output_units probabilities and logits.  Uncalibrated: the
 * network's own probabilities, to the bit; binary with one unit: 1 - p and p.
 */
extern void pneumo_meta_probabilities(double *dst, const PneumoModelMeta *meta, int output_units,
									  const float *probabilities, const float *logits);

/* ----------------------------------------------- versions (versions.c) */

typedef struct PneumoVersionId
{
	int64 version; /* row id */
	uint8 sha256[PNEUMO_SHA256_LEN];
	bool deployed;
} PneumoVersionId;

/* Row of a version (palloc'd copy) or NULL, and what it says. */
extern HeapTuple pneumo_version_tuple(Relation rel, int64 version, Snapshot snapshot);
extern void pneumo_version_id(Relation rel, HeapTuple tuple, PneumoVersionId *id);

/* Reads whole model bytes (palloc'd, huge) of a version id under the active snapshot; no rights check. */
extern void *pneumo_version_read(int64 version, size_t *n_bytes);

/* Row of one of a model's versions (palloc'd copy), or an error. */
extern HeapTuple pneumo_version_of_model(Relation rel, const char *name, int64 model, int64 version,
										 Snapshot snapshot);

/* A version of that hash in a model on which role has the privilege; errors if there is none. */
extern bool pneumo_version_lookup(const uint8 *sha256, PneumoPrivilege privilege, Oid role,
								  PneumoVersionId *id);

/* True if role has any privilege on a model with a version of that hash. */
extern bool pneumo_version_visible(const uint8 *sha256, Oid role);

/* --------------------------------------------- stored bytes (chunks.c) */

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
/* Stores the bytes unless a version has the same ones; deletes their rows.  The lock of the bytes is held. */
extern void pneumo_chunks_store(const uint8 *sha256, const void *bytes, size_t n_bytes);
extern void pneumo_chunks_drop(const uint8 *sha256); /* deletes the rows */

/* --------------------------------------------- manifests (manifests.c) */

/*
 * The manifest of a version: what its training read.  An entry a sample: the
 * SHA-256 of the image's bytes, the hash of its group (PneumoSample.group) and
 * its split.
 */
typedef struct PneumoManifestEntry
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	uint8 group[PNEUMO_SHA256_LEN];
	uint8 split; /* PneumoSplit */
} PneumoManifestEntry;

typedef struct PneumoManifest
{
	int64 n;
	PneumoManifestEntry *entries; /* palloc'd, huge */
} PneumoManifest;

/* Stores the manifest of a version in the current transaction. */
extern void pneumo_manifest_store(int64 version, const PneumoManifest *manifest);

/*
 * Reads the manifest of a version under the active snapshot; false if it has
 * none (imported).  Raises ERRCODE_DATA_CORRUPTED if it is damaged.
 */
extern bool pneumo_manifest_read(int64 version, PneumoManifest *manifest);
extern void pneumo_manifest_free(PneumoManifest *manifest);

/* --------------------------------- storing a version (version_store.c) */

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
	Jsonb *metrics;                 /* validation figures, or NULL */
	Jsonb *provenance;              /* build, CPU path, BLAS, data fingerprint, config */
	const char *comment;            /* or NULL */
	const PneumoManifest *manifest; /* or NULL */
	bool deploy;                    /* deploy even if the model has a deployed version */
	bool never_deploy;              /* a cancelled run's version */
} PneumoNewVersion;

/*
 * Stores a version in the current transaction: model row if new, version row,
 * chunks (shared with an equal hash), manifest, deployment.
 */
extern PneumoVersionId pneumo_version_store(const PneumoNewVersion *version);

/* ----------------------------------------- deployments (deployments.c) */

/* Appends to pneumo.deployment; previous: the deployment that a rollback goes back to, or 0. */
extern void pneumo_deployment_add(int64 model, int64 version, const char *action, int64 previous, Oid role);

/* The last deployment of a model: its id and version; false if none. */
extern bool pneumo_deployment_last(int64 model, Snapshot snapshot, int64 *deployment, int64 *version);

/* Version id and hash that is deployed; false if none. */
extern bool pneumo_model_deployed(int64 model, PneumoVersionId *id);

/* The deployed version of a model, by id or by name (then predict is checked); errors if there is none. */
extern void pneumo_require_deployed(const char *name, int64 model, PneumoVersionId *id);

/* ----------------------------------------------------- looks (looks.c) */

/* Counts a look at held-out rows; how many there were at that side of a version. */
extern void pneumo_look_add(const PneumoVersionId *id, const char *split, const char *source, int64 images,
							Jsonb *metrics);

extern int64 pneumo_look_count(int64 version, const char *split);

/* ------------------------------------------- names of models (claim.c) */

/*
 * Id of a model by name, created for owner if there is none or only an
 * abandoned one; else owner needs manage on it.  run: on whose behalf, or 0.
 */
extern int64 pneumo_model_claim(const char *name, Oid owner, int64 run);
/* The errors of a claim, without making it. */
extern void pneumo_model_check_claim(const char *name, Oid role);
/* Gives the name back at the end of a run, if it is owner's own and nothing came of it. */
extern void pneumo_model_release(const char *name, Oid owner, int64 run);

/* ---------------------------------------- runs and epochs (run_rows.c) */

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
extern bool pneumo_run_set_data(int64 run, Jsonb *rows_by_split, Jsonb *groups_by_split, Jsonb *left_out,
								const uint8 *fingerprint);
extern bool pneumo_run_epoch(int64 run, const NnEpochLog *log, int best_epoch);
extern bool pneumo_run_finish(int64 run, const char *state, int64 version, int best_epoch, Jsonb *metrics,
							  const char *error, const char *sqlstate);
extern void pneumo_run_delete(int64 run); /* with its epochs */

/* Epochs after the first n are of a lost continuation: deletes them. */
extern void pneumo_run_cut_epochs(int64 run, int n);

/* Finished epochs of a run after epoch after, in order; palloc'd. */
extern int pneumo_run_epochs(int64 run, int after, NnEpochLog **logs);

#endif /* PNEUMO_PG_RECORDS_H */
