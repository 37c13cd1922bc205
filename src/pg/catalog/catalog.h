/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The relations of schema pneumo: opening, scanning and writing them, and
 *	  their columns, in the order of src/sql/catalog.sql.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CATALOG_H
#define PNEUMO_PG_CATALOG_H

#include "access/genam.h"
#include "access/htup.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "pg/pneumo.h"

/* Relations of schema pneumo.  PNEUMO_REL_HISTORY is the table pneumo.epoch: pneumo.history is the view over it. */
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
 * belongs to the extension.  With missing_ok returns NULL if the extension is
 * gone.
 */
extern Relation pneumo_catalog_open(PneumoRelation relation, LOCKMODE lockmode, bool missing_ok);

/* Returns the OID of an index of an open relation; errors if the relation has none of that name. */
extern Oid pneumo_catalog_index(Relation rel, const char *index_name);

/*
 * Begins a scan of the rows whose attribute, the first column of the index,
 * equals value (a bigint, text or bytea).  The ordered scan returns them in the
 * order of the index; its caller opens and closes the index.
 */
extern SysScanDesc pneumo_catalog_scan(Relation rel, const char *index_name, int attribute, Datum value,
									   Snapshot snapshot);
extern SysScanDesc pneumo_catalog_scan_ordered(Relation rel, Relation index, int attribute, Datum value,
											   Snapshot snapshot);

/* Returns a copy (palloc'd) of the first row that such a scan finds, or NULL. */
extern HeapTuple pneumo_catalog_find(Relation rel, const char *index_name, int attribute, Datum value,
									 Snapshot snapshot);

/* Counts the rows that pneumo_catalog_scan() finds. */
extern int64 pneumo_catalog_count(Relation rel, const char *index_name, int attribute, Datum value,
								  Snapshot snapshot);

/* Draws the next id of a relation (model, version, run, deployment, look), without checks of privileges. */
extern int64 pneumo_catalog_nextval(PneumoRelation relation);

/* Inserts, updates (by tuple id) or deletes a row, with its indexes; no trigger fires. */
extern void pneumo_catalog_insert(Relation rel, Datum *values, bool *nulls);
extern void pneumo_catalog_update(Relation rel, HeapTuple old, Datum *values, bool *nulls, bool *replace);
extern void pneumo_catalog_delete(Relation rel, HeapTuple old);

/*
 * Returns the present name of a role, a datum of type name; palloc'd.  Columns
 * of names say who did something, for people to read; no right follows from one.
 * Rights follow from columns of the type pneumo.role, which are OIDs.  roles.c
 */
extern Datum pneumo_role_datum(Oid role);

/* Returns whether there is a role of this OID; rows keep the OIDs of roles that were dropped.  roles.c */
extern bool pneumo_role_exists(Oid role);

/*
 * Registers a snapshot, to be given to UnregisterSnapshot(): the calling query's
 * for reading, the latest for deciding what to write (taken after the lock that
 * makes the decision safe).  A function that wrote ends with
 * CommandCounterIncrement(), so that the next one in the same query sees it.
 */
extern Snapshot pneumo_read_snapshot(void);
extern Snapshot pneumo_write_snapshot(void);

/* Errors in a read-only transaction, a parallel worker and on a standby; function as in "pneumo_deploy()". */
extern void pneumo_prevent_write(const char *function);

/* Locks a model, a name or a version's bytes against other writers until the end of the transaction. */
extern void pneumo_lock_model(int64 model);
extern void pneumo_lock_name(const char *name);
extern void pneumo_lock_bytes(const uint8 *sha256);

/* ------------------------------------------------------------- columns */

enum
{
	Anum_model_id = 1,
	Anum_model_name,
	Anum_model_owner,
	Anum_model_created,
	Anum_model_comment,
	Anum_model_last_number,
	Natts_model = Anum_model_last_number
};

enum
{
	Anum_version_id = 1,
	Anum_version_model,
	Anum_version_number,
	Anum_version_run,
	Anum_version_sha256,
	Anum_version_created,
	Anum_version_creator,
	Anum_version_parameters,
	Anum_version_bytes,
	Anum_version_image_size,
	Anum_version_classes,
	Anum_version_threshold,
	Anum_version_operating_point,
	Anum_version_calibration,
	Anum_version_metrics,
	Anum_version_provenance,
	Anum_version_comment,
	Anum_version_precision,
	Anum_version_findings,
	Natts_version = Anum_version_findings
};

enum
{
	Anum_chunk_sha256 = 1,
	Anum_chunk_seqno,
	Anum_chunk_data,
	Natts_chunk = Anum_chunk_data
};

enum
{
	Anum_manifest_version = 1,
	Anum_manifest_seqno,
	Anum_manifest_data,
	Natts_manifest = Anum_manifest_data
};

enum
{
	Anum_privilege_model = 1,
	Anum_privilege_grantee,
	Anum_privilege_privilege,
	Anum_privilege_grantor,
	Anum_privilege_granted,
	Natts_privilege = Anum_privilege_granted
};

enum
{
	Anum_deployment_id = 1,
	Anum_deployment_model,
	Anum_deployment_version,
	Anum_deployment_version_number,
	Anum_deployment_action,
	Anum_deployment_previous,
	Anum_deployment_role,
	Anum_deployment_deployed,
	Natts_deployment = Anum_deployment_deployed
};

enum
{
	Anum_run_id = 1,
	Anum_run_model,
	Anum_run_version,
	Anum_run_version_number,
	Anum_run_owner,
	Anum_run_source,
	Anum_run_source_oid,
	Anum_run_state,
	Anum_run_config,
	Anum_run_settings,
	Anum_run_samples,
	Anum_run_left_out,
	Anum_run_created,
	Anum_run_started,
	Anum_run_finished,
	Anum_run_epochs,
	Anum_run_epoch,
	Anum_run_best_epoch,
	Anum_run_metrics,
	Anum_run_fingerprint,
	Anum_run_sqlstate,
	Anum_run_error,
	Anum_run_build,
	Natts_run = Anum_run_build
};

/* pneumo.epoch, the base table of the view pneumo.history */
enum
{
	Anum_history_run = 1,
	Anum_history_epoch,
	Anum_history_loss,
	Anum_history_accuracy,
	Anum_history_val_loss,
	Anum_history_val_accuracy,
	Anum_history_val_auc,
	Anum_history_learning_rate,
	Anum_history_seconds,
	Anum_history_val_seconds,
	Natts_history = Anum_history_val_seconds
};

enum
{
	Anum_look_id = 1,
	Anum_look_sha256,
	Anum_look_version,
	Anum_look_looked,
	Anum_look_role,
	Anum_look_split,
	Anum_look_source,
	Anum_look_images,
	Anum_look_metrics,
	Natts_look = Anum_look_metrics
};

#endif /* PNEUMO_PG_CATALOG_H */
