/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Column numbers of the base tables of schema pneumo, in the order of
 *	  src/sql/catalog.sql.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_CATALOG_H
#define PNEUMO_PG_CATALOG_H

enum
{
	Anum_model_id = 1,
	Anum_model_name,
	Anum_model_owner,
	Anum_model_created,
	Anum_model_comment,
	Natts_model = Anum_model_comment
};

enum
{
	Anum_version_id = 1,
	Anum_version_model,
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
	Natts_version = Anum_version_precision
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
