/*-------------------------------------------------------------------------
 *
 * version_store.c
 *	  Storing a version: its row, its bytes, its manifest and its deployment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/catalog/catalog.h"
#include "pg/catalog/records.h"

static Datum
image_size_datum(const PneumoModelMeta *meta)
{
	Datum sides[2];

	sides[0] = Int32GetDatum(meta->preprocess.height);
	sides[1] = Int32GetDatum(meta->preprocess.width);
	return PointerGetDatum(construct_array(sides, 2, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

static Datum
classes_datum(const PneumoModelMeta *meta)
{
	Datum *names = palloc(sizeof(Datum) * meta->n_classes);
	int i;

	for (i = 0; i < meta->n_classes; i++)
		names[i] = CStringGetTextDatum(meta->classes[i]);
	return PointerGetDatum(construct_array(names, meta->n_classes, TEXTOID, -1, false, TYPALIGN_INT));
}

static Jsonb *
calibration_json(const PneumoModelMeta *meta)
{
	static const char *const kinds[] = {"none", "platt", "temperature"};
	PneumoJson json;

	pneumo_json_begin(&json);
	pneumo_json_add_string(&json, "kind", kinds[meta->calibration]);
	if (meta->multi_label)
		return pneumo_json_end(&json);
	switch (meta->calibration)
	{
		case PNEUMO_CALIBRATION_NONE:
			break;
		case PNEUMO_CALIBRATION_PLATT:
			pneumo_json_add_number(&json, "a", meta->calibration_a, 17);
			pneumo_json_add_number(&json, "b", meta->calibration_b, 17);
			break;
		case PNEUMO_CALIBRATION_TEMPERATURE:
			pneumo_json_add_number(&json, "temperature", meta->calibration_a, 17);
			break;
	}
	return pneumo_json_end(&json);
}

/* Returns threshold and calibration of each finding. */
static Jsonb *
findings_json(const PneumoModelMeta *meta)
{
	PneumoJson json;
	int i;

	pneumo_json_begin(&json);
	for (i = 0; i < meta->n_classes; i++)
	{
		PneumoModelMeta one = *meta;

		one.multi_label = false;
		one.calibration = meta->findings[i].calibrated ? meta->calibration : PNEUMO_CALIBRATION_NONE;
		one.calibration_a = meta->findings[i].a;
		one.calibration_b = meta->findings[i].b;
		pneumo_json_open_object(&json, meta->classes[i]);
		pneumo_json_add_number(&json, "threshold", meta->findings[i].threshold, 17);
		pneumo_json_add_jsonb(&json, "calibration", calibration_json(&one));
		pneumo_json_close(&json);
	}
	return pneumo_json_end(&json);
}

/*
 * Draws the next number of a model, which the caller has locked.  A number is
 * not given again: a version that is dropped leaves a gap.
 */
static int32
next_number(const char *name, int64 model)
{
	Snapshot snapshot = pneumo_write_snapshot();
	Relation rel = pneumo_catalog_open(PNEUMO_REL_MODEL, RowExclusiveLock, false);
	HeapTuple tuple = pneumo_catalog_find(rel, "model_pkey", Anum_model_id, Int64GetDatum(model), snapshot);
	Datum values[Natts_model];
	bool nulls[Natts_model] = {false};
	bool replace[Natts_model] = {false};
	int32 number;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("model \"%s\" was dropped by another transaction", name)));
	number = DatumGetInt32(heap_getattr(tuple, Anum_model_last_number, RelationGetDescr(rel), &isnull)) + 1;
	values[Anum_model_last_number - 1] = Int32GetDatum(number);
	replace[Anum_model_last_number - 1] = true;
	pneumo_catalog_update(rel, tuple, values, nulls, replace);
	table_close(rel, NoLock);
	UnregisterSnapshot(snapshot);
	return number;
}

/* Inserts the row of a version; id has its id, number and hash. */
static void
insert_version(const PneumoNewVersion *new_version, int64 model, const PneumoVersionId *id)
{
	Relation rel = pneumo_catalog_open(PNEUMO_REL_VERSION, RowExclusiveLock, false);
	const PneumoModelMeta *meta = new_version->meta;
	Datum values[Natts_version];
	bool nulls[Natts_version] = {false};

	values[Anum_version_id - 1] = Int64GetDatum(id->version);
	values[Anum_version_model - 1] = Int64GetDatum(model);
	values[Anum_version_number - 1] = Int32GetDatum(id->number);
	values[Anum_version_run - 1] = Int64GetDatum(new_version->run);
	nulls[Anum_version_run - 1] = new_version->run == 0;
	values[Anum_version_sha256 - 1] = PointerGetDatum(pneumo_bytea(id->sha256, PNEUMO_SHA256_LEN));
	values[Anum_version_created - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[Anum_version_creator - 1] = pneumo_role_datum(new_version->owner);
	values[Anum_version_parameters - 1] = Int64GetDatum(new_version->n_parameters);
	values[Anum_version_bytes - 1] = Int64GetDatum((int64) new_version->n_bytes);
	values[Anum_version_image_size - 1] = image_size_datum(meta);
	values[Anum_version_classes - 1] = classes_datum(meta);
	values[Anum_version_threshold - 1] = Float8GetDatum(meta->threshold);
	nulls[Anum_version_threshold - 1] = meta->multi_label;
	values[Anum_version_findings - 1] = meta->multi_label ? JsonbPGetDatum(findings_json(meta)) : (Datum) 0;
	nulls[Anum_version_findings - 1] = !meta->multi_label;
	values[Anum_version_operating_point - 1] = JsonbPGetDatum(pneumo_json_parse(meta->operating_point));
	values[Anum_version_calibration - 1] = JsonbPGetDatum(calibration_json(meta));
	values[Anum_version_metrics - 1] = PointerGetDatum(new_version->metrics);
	nulls[Anum_version_metrics - 1] = new_version->metrics == NULL;
	values[Anum_version_provenance - 1] = PointerGetDatum(new_version->provenance);
	nulls[Anum_version_provenance - 1] = new_version->provenance == NULL;
	nulls[Anum_version_comment - 1] = new_version->comment == NULL;
	if (new_version->comment != NULL)
		values[Anum_version_comment - 1] = CStringGetTextDatum(new_version->comment);
	values[Anum_version_precision - 1] = CStringGetTextDatum(nn_precision_name(meta->precision));
	pneumo_catalog_insert(rel, values, nulls);
	table_close(rel, NoLock);
}

PneumoVersionId
pneumo_version_store(const PneumoNewVersion *new_version)
{
	PneumoVersionId id;
	int64 model;
	int64 deployment = 0;
	int64 deployed = 0;
	bool has_deployed;
	Snapshot snapshot;

	pneumo_sha256(id.sha256, new_version->bytes, new_version->n_bytes);

	model = pneumo_model_claim(new_version->model, new_version->owner, new_version->run);
	pneumo_lock_model(model);
	pneumo_lock_bytes(id.sha256);
	pneumo_chunks_store(id.sha256, new_version->bytes, new_version->n_bytes);

	id.version = pneumo_catalog_nextval(PNEUMO_REL_VERSION);
	id.number = next_number(new_version->model, model);
	id.uncommitted = true;
	insert_version(new_version, model, &id);
	if (new_version->manifest != NULL)
		pneumo_manifest_store(id.version, new_version->manifest);

	snapshot = pneumo_write_snapshot();
	has_deployed = pneumo_deployment_last(model, snapshot, &deployment, &deployed);
	UnregisterSnapshot(snapshot);
	id.deployed = !new_version->never_deploy && (new_version->deploy || !has_deployed);
	if (id.deployed)
		pneumo_deployment_add(model, &id, has_deployed ? "deploy" : "first", deployment, new_version->owner);

	CommandCounterIncrement();
	return id;
}
