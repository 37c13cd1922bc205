/*-------------------------------------------------------------------------
 *
 * records.h
 *	  The records of schema pneumo: models and their rights, versions and what
 *	  belongs to them, deployments, looks at the test split, runs.
 *
 * Functions that take a snapshot look with it; the others look with the calling
 * query's snapshot and say so where they do not.  Functions that write do it in
 * the current transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_RECORDS_H
#define PNEUMO_PG_RECORDS_H

#include "access/genam.h"
#include "access/htup.h"
#include "nodes/pg_list.h"
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

/*
 * The grantee that stands for everybody: InvalidOid in the rows, written
 * "public", a name that no role can have.
 */
#define PNEUMO_PUBLIC "public"

/* Reads the name of a privilege, in any case; false if there is none of that name. */
extern bool pneumo_privilege_parse(const char *name, PneumoPrivilege *privilege);

/* Returns the name of a privilege. */
extern const char *pneumo_privilege_name(PneumoPrivilege privilege);

/*
 * Returns the id of a model after checking that role has the privilege (its
 * owner has all).  Errors if there is no such model or the privilege is missing;
 * a role without any privilege on the model gets the same message for both.
 * With missing_ok returns 0 if there is no such model.
 */
extern int64 pneumo_model_lookup(const char *name, PneumoPrivilege privilege, Oid role, bool missing_ok);
extern int64 pneumo_model_lookup_snapshot(const char *name, PneumoPrivilege privilege, Oid role,
										  bool missing_ok, Snapshot snapshot);

/*
 * Gives a grantable privilege on a model to a role, or to everybody (InvalidOid);
 * false if it was given already.  The caller holds the lock of the model.  Both
 * functions also delete the model's grants to roles that were dropped.
 */
extern bool pneumo_privilege_add(int64 model, Oid grantee, PneumoPrivilege privilege, Snapshot snapshot);

/* Takes a privilege on a model back; false if it was not given.  The caller holds the lock of the model. */
extern bool pneumo_privilege_remove(int64 model, Oid grantee, PneumoPrivilege privilege, Snapshot snapshot);

/* Returns whether there is such a model and role has the privilege. */
extern bool pneumo_model_has(const char *name, PneumoPrivilege privilege, Oid role, Snapshot snapshot);

/* Returns a copy (palloc'd) of the row of a model, or NULL. */
extern HeapTuple pneumo_model_tuple(Relation rel, const char *name, Snapshot snapshot);

/* --------------------------------------- model metadata (model_meta.c) */

typedef enum PneumoCalibrationKind
{
	PNEUMO_CALIBRATION_NONE,
	PNEUMO_CALIBRATION_PLATT,
	PNEUMO_CALIBRATION_TEMPERATURE
} PneumoCalibrationKind;

/*
 * Everything that decides a score apart from graph and weights.  Stored as
 * sections of the model bytes, and so covered by the version's SHA-256.
 */
typedef struct PneumoModelMeta
{
	ImgPreprocess preprocess;
	float rescale;
	int n_classes;  /* >= 2 */
	char **classes; /* in the order of the labels; of two, the positive one is the second */
	NnPrecision precision;
	PneumoCalibrationKind calibration;
	double calibration_a, calibration_b; /* Platt: p = 1/(1+exp(-(a*logit + b))); temperature: logit / a */
	double threshold;            /* operating point on the calibrated scale; positive: score >= threshold */
	const char *operating_point; /* JSON text of what was asked for */

	/*
	 * Whether an image has any number of the classes, which are findings then, each
	 * with a unit, a calibration and a threshold of its own.  calibration is the kind
	 * of all that have one; a, b and threshold above play no part.
	 */
	bool multi_label;
	struct PneumoFinding *findings; /* n_classes, or NULL */

	/*
	 * Of what pneumo_meta_view() returns the number of the finding, from 1, whose absence
	 * and presence the two classes are; else 0.
	 */
	int view;
} PneumoModelMeta;

typedef struct PneumoFinding
{
	bool calibrated;
	double a, b; /* as calibration_a, calibration_b */
	double threshold;
} PneumoFinding;

#define PNEUMO_META_SECTIONS 6 /* at most */

#define PNEUMO_MAX_CLASS_NAME 1024 /* bytes in UTF-8; the least is 1 */

/* Returns the metadata of a finding alone, as those of two classes; palloc'd. */
extern PneumoModelMeta *pneumo_meta_view(const PneumoModelMeta *meta, int finding);

/* Tells whether the classes are a negative and a positive one. */
extern bool pneumo_meta_is_two_class(const PneumoModelMeta *meta);

/* Returns the threshold of a class: of a finding its own, else that of the positive one of two. */
extern double pneumo_meta_threshold(const PneumoModelMeta *meta, int class);

/* Fills the sections for nn_model_write(), in the current context; returns their number. */
extern int pneumo_meta_to_sections(NnSection *sections, const PneumoModelMeta *meta);

/* Reads the sections and checks all of them; errors with ERRCODE_DATA_CORRUPTED.  Allocates in cxt. */
extern PneumoModelMeta *pneumo_meta_from_view(const NnModelView *view, MemoryContext cxt);

/* Errors if the metadata does not fit the graph: input shape, number of classes, names in UTF-8. */
extern void pneumo_meta_check_graph(const PneumoModelMeta *meta, const NnGraph *graph);

/*
 * Computes the calibrated probabilities of all classes (dst: n_classes) of one
 * sample from the network's output_units probabilities and logits.  Without
 * calibration they are the network's own probabilities, to the bit; of a network
 * with one unit, 1 - p and p.  Those of findings need not sum to 1.
 */
extern void pneumo_meta_probabilities(double *dst, const PneumoModelMeta *meta, int output_units,
									  const float *probabilities, const float *logits);

/* ----------------------------------------------- versions (versions.c) */

typedef struct PneumoVersionId
{
	int64 version; /* row id, unique in the database */
	int32 number;  /* within its model, from 1: what people are told */
	uint8 sha256[PNEUMO_SHA256_LEN];
	bool deployed;
	bool uncommitted; /* this transaction stored it: others cannot see it */
} PneumoVersionId;

/* Returns a copy (palloc'd) of the row of a version, by its id, or NULL. */
extern HeapTuple pneumo_version_tuple(Relation rel, int64 version, Snapshot snapshot);

/* Fills *id from the row of a version, as the table has it; deployed is false. */
extern void pneumo_version_id(Relation rel, HeapTuple tuple, PneumoVersionId *id);

/* Reads the whole model bytes (palloc'd, huge) of a version, by its id; checks no rights. */
extern void *pneumo_version_read(int64 version, size_t *n_bytes);

/*
 * Returns a copy (palloc'd) of the row of a version by its number within the
 * model.  The error for a number that the model does not have lists those that
 * it has, and says so if what was given is the id of one of its versions.
 */
extern HeapTuple pneumo_version_of_model(Relation rel, const char *name, int64 model, int64 number,
										 Snapshot snapshot);

/* Fills *id with a version of a model by its number, with the calling query's snapshot; deployed is false. */
extern void pneumo_version_numbered(const char *name, int64 model, int64 number, PneumoVersionId *id);

/* Finds a version of that hash in a model on which role has the privilege; errors if there is none.  rights.c */
extern bool pneumo_version_lookup(const uint8 *sha256, PneumoPrivilege privilege, Oid role,
								  PneumoVersionId *id);

/* Returns whether role has any privilege on a model with a version of that hash.  rights.c */
extern bool pneumo_version_visible(const uint8 *sha256, Oid role);

/* --------------------------------------------- stored bytes (chunks.c) */

/* The stored bytes of a version, read piece by piece. */
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

/* Begins, continues and ends the reading; a piece is valid until the next one, false after the last. */
extern PneumoChunks *pneumo_chunks_open(const uint8 *sha256);
extern bool pneumo_chunks_next(PneumoChunks *chunks, const uint8 **bytes, size_t *n_bytes);
extern void pneumo_chunks_close(PneumoChunks *chunks);

/* Stores the bytes unless a version has the same ones.  The caller holds the lock of the bytes. */
extern void pneumo_chunks_store(const uint8 *sha256, const void *bytes, size_t n_bytes);

/* Deletes the bytes.  The caller holds their lock and knows that no version has them. */
extern void pneumo_chunks_drop(const uint8 *sha256);

/* --------------------------------------------- manifests (manifests.c) */

/*
 * The manifest of a version: what its training read, and what the trainings of
 * its ancestors (initial_model) read.  An entry for each image: the SHA-256 of
 * its bytes, the hash of its group (PneumoSample.group), and the split; where
 * version and ancestor differ, the one that saw most: train, then validation.
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
	bool incomplete;              /* an ancestor was imported without a manifest */
} PneumoManifest;

/* Returns the manifest as bytes, palloc'd (huge): in the table and in exports. */
extern void *pneumo_manifest_write(const PneumoManifest *manifest, size_t *n_bytes);

/* Reads such bytes, trusting nothing; false if they are damaged. */
extern bool pneumo_manifest_parse(PneumoManifest *manifest, const void *bytes, size_t n_bytes);

/* Stores the manifest of a version in the current transaction. */
extern void pneumo_manifest_store(int64 version, const PneumoManifest *manifest);

/*
 * Reads the manifest of a version under the active snapshot; false if it has
 * none (imported).  Raises ERRCODE_DATA_CORRUPTED if it is damaged.
 */
extern bool pneumo_manifest_read(int64 version, PneumoManifest *manifest);

/* Adds what the parent and its ancestors have seen to the manifest of a child. */
extern void pneumo_manifest_inherit(PneumoManifest *manifest, int64 parent);

extern void pneumo_manifest_free(PneumoManifest *manifest);

/* --------------------------------- storing a version (version_store.c) */

/* The key of a version's metrics that says why it is of no use, if the validation split showed so. */
#define PNEUMO_METRICS_USELESS "useless"

typedef struct PneumoNewVersion
{
	const char *model; /* name; created for owner if it does not exist */
	Oid owner;         /* role that owns a new model; needs manage on an existing one */
	int64 run;         /* 0: imported */
	const void *bytes; /* whole model bytes (nn_model_write) */
	size_t n_bytes;
	int64 n_parameters;
	const PneumoModelMeta *meta;
	Jsonb *metrics;                 /* validation figures, or NULL */
	Jsonb *provenance;              /* build, CPU path, BLAS, data fingerprint, config; or NULL */
	const char *comment;            /* or NULL */
	const PneumoManifest *manifest; /* or NULL */
	bool deploy;                    /* deploy even if the model has a deployed version */
	bool never_deploy;              /* a cancelled run's version */
} PneumoNewVersion;

/*
 * Stores a version under the next number of its model: the model's row if it is
 * new, the version's row, its chunks (which versions of an equal hash share), its
 * manifest, its deployment.
 */
extern PneumoVersionId pneumo_version_store(const PneumoNewVersion *version);

/* ----------------------------------------- deployments (deployments.c) */

/* Appends to pneumo.deployment; previous: the deployment that a rollback goes back to, or 0. */
extern void pneumo_deployment_add(int64 model, const PneumoVersionId *version, const char *action,
								  int64 previous, Oid role);

/* Reads the last deployment of a model, its id and that of its version; false if it has none. */
extern bool pneumo_deployment_last(int64 model, Snapshot snapshot, int64 *deployment, int64 *version);

/* Reads the version's id and the predecessor (0: none) of a deployment; false if its row is gone. */
extern bool pneumo_deployment_read(int64 deployment, Snapshot snapshot, int64 *version, int64 *previous);

/* Fills *id with the version of a model that is deployed; false if none is. */
extern bool pneumo_model_deployed(int64 model, PneumoVersionId *id);

/* Fills *id with the version of a model that is deployed; errors, with the model's name, if none is. */
extern void pneumo_require_deployed(const char *name, int64 model, PneumoVersionId *id);

/* ----------------------------------------------------- looks (looks.c) */

/*
 * Counts a look of the current user at held-out rows of a version: what a
 * rollback does not undo, because a background worker writes and commits it
 * before this returns.  Errors if no worker can be had; a row of the calling
 * transaction instead only where the extension itself is of that transaction.
 */
extern void pneumo_look_add(const PneumoVersionId *id, const char *split, const char *source, int64 images,
							Jsonb *metrics);

/*
 * Counts the looks at held-out rows of all versions with that SHA-256, also of
 * dropped ones, with the latest snapshot.
 */
extern int64 pneumo_look_count(const uint8 *sha256);

/* The row of a look; false if the extension is not there. */
typedef struct PneumoLook
{
	uint8 sha256[PNEUMO_SHA256_LEN];
	int64 version; /* id */
	NameData role;
	const char *split;
	const char *source;
	int64 images;
	Jsonb *metrics; /* or NULL */
} PneumoLook;

extern bool pneumo_look_insert(const PneumoLook *look);

/* ------------------------------------------- names of models (claim.c) */

/*
 * Returns the id of a model by name.  Creates it for owner if there is none or
 * only an abandoned one; otherwise owner needs manage on it.  run is the run on
 * whose behalf this is, or 0.
 */
extern int64 pneumo_model_claim(const char *name, Oid owner, int64 run);

/* Raises the errors that a claim would raise, without making it. */
extern void pneumo_model_check_claim(const char *name, Oid role);

/* Gives the name back at the end of a run, if it is owner's own and nothing came of it. */
extern void pneumo_model_release(const char *name, Oid owner, int64 run);

/* ---------------------------------------- runs and epochs (run_rows.c) */

typedef struct PneumoRunRow
{
	int64 run;
	char *model;
	Oid owner;    /* InvalidOid: it was dropped */
	char *source; /* qualified name */
	Oid source_oid;
	char *state;
	bool begun; /* it has had its turn */
	Jsonb *config;
	char *error;    /* or NULL */
	char *sqlstate; /* or NULL */
	int64 version;  /* id; 0: none */
	int32 number;   /* of the version within its model; 0: none */
	int epochs,     /* wanted */
		epoch,      /* finished */
		best_epoch;
	Jsonb *metrics; /* or NULL */
} PneumoRunRow;

/* Reads the row of a run with the latest snapshot; NULL if there is none. */
extern PneumoRunRow *pneumo_run_read(int64 run);

/* Reads the rows of a role's runs on a table that succeeded, with the latest snapshot: a list of PneumoRunRow. */
extern List *pneumo_runs_succeeded(Oid source, Oid owner);

/*
 * Returns whether the current user acts as the owner of a run; with monitor also
 * whether as pg_monitor.  A run whose owner was dropped is the superusers'.
 */
extern bool pneumo_run_is_mine(const PneumoRunRow *row, bool monitor);

/* What decides a run apart from its data, when it begins. */
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
	bool queued; /* it does not train yet */
} PneumoRunStart;

/*
 * The writers of a run's row do nothing and return false if the extension or the
 * row is gone.
 */

/* Inserts the row of a run that begins or is queued. */
extern bool pneumo_run_insert(const PneumoRunStart *start);

/* Sets the row of a run that was queued or is continued to running. */
extern bool pneumo_run_restart(const PneumoRunStart *start);

/* Writes what was read: rows and groups by split, what was left out, the fingerprint (a SHA-256). */
extern bool pneumo_run_set_data(int64 run, Jsonb *rows_by_split, Jsonb *groups_by_split, Jsonb *left_out,
								const uint8 *fingerprint);

/* Writes a finished epoch in place of what was there from it on; best_epoch 0: none yet. */
extern bool pneumo_run_epoch(int64 run, const NnEpochLog *log, int best_epoch);

/* Writes the end of a run; version (NULL), best_epoch (0) and metrics (NULL) are left as they are if not given. */
extern bool pneumo_run_finish(int64 run, const char *state, const PneumoVersionId *version, int best_epoch,
							  Jsonb *metrics, const char *error, const char *sqlstate);

/* Deletes the row of a run and its epochs. */
extern void pneumo_run_delete(int64 run);

/* Deletes the epochs after the first n, which a continuation trains again. */
extern void pneumo_run_cut_epochs(int64 run, int n);

/* Reads the epochs of a run after epoch after, in order, with the latest snapshot; palloc'd.  Returns their number. */
extern int pneumo_run_epochs(int64 run, int after, NnEpochLog **logs);

#endif /* PNEUMO_PG_RECORDS_H */
