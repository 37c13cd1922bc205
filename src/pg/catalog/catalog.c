/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The relations of schema pneumo, opened and written from C.
 *
 * Rows are read by index scans and written with their indexes, as the server
 * does with its own catalogs: no SPI, no search_path, no triggers, and no
 * privilege of the caller on the base tables.  What a relation's name gives is
 * believed only if the relation belongs to the extension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/catalog/catalog.h"

static const char *const relation_names[] = {
	[PNEUMO_REL_MODEL] = "model",
	[PNEUMO_REL_VERSION] = "version",
	[PNEUMO_REL_CHUNK] = "chunk",
	[PNEUMO_REL_MANIFEST] = "manifest",
	[PNEUMO_REL_PRIVILEGE] = "privilege",
	[PNEUMO_REL_DEPLOYMENT] = "deployment",
	[PNEUMO_REL_RUN] = "run",
	[PNEUMO_REL_HISTORY] = "epoch",
	[PNEUMO_REL_LOOK] = "look",
};

#define N_RELATIONS lengthof(relation_names)

/*
 * OIDs that were verified to belong to the extension, until the relation
 * cache hears that the relation changed.
 */
static Oid verified[N_RELATIONS];
static bool callback_registered = false;

static void
forget_relation(Datum arg, Oid relid)
{
	size_t i;

	for (i = 0; i < N_RELATIONS; i++)
	{
		if (relid == InvalidOid || verified[i] == relid)
			verified[i] = InvalidOid;
	}
}

static Oid
find_relation(const char *name)
{
	Oid schema = get_namespace_oid(PNEUMO_SCHEMA, true);
	Oid extension = get_extension_oid("pneumo", true);
	Oid relid;

	if (!OidIsValid(schema) || !OidIsValid(extension))
		return InvalidOid;
	relid = get_relname_relid(name, schema);
	if (!OidIsValid(relid) || getExtensionOfObject(RelationRelationId, relid) != extension)
		return InvalidOid;
	return relid;
}

static Oid
relation_oid(PneumoRelation relation)
{
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
		callback_registered = true;
	}
	if (!OidIsValid(verified[relation]))
		verified[relation] = find_relation(relation_names[relation]);
	return verified[relation];
}

static void
relation_missing(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"%s.%s\" of extension \"pneumo\" does not exist", PNEUMO_SCHEMA, name),
			 errhint("The extension was dropped, or its installation is damaged: CREATE EXTENSION pneumo.")));
}

Relation
pneumo_catalog_open(PneumoRelation relation, LOCKMODE lockmode, bool missing_ok)
{
	int attempt;

	/* The relation can go between look-up and lock: look again, once. */
	for (attempt = 0; attempt < 2; attempt++)
	{
		Oid relid = relation_oid(relation);
		Relation rel;

		if (!OidIsValid(relid))
			break;
		rel = try_table_open(relid, lockmode);
		if (rel != NULL && rel->rd_rel->relkind == RELKIND_RELATION)
			return rel;
		if (rel != NULL)
			table_close(rel, lockmode);
		verified[relation] = InvalidOid;
	}
	if (!missing_ok)
		relation_missing(relation_names[relation]);
	return NULL;
}

Oid
pneumo_catalog_index(Relation rel, const char *index_name)
{
	Oid schema = get_namespace_oid(PNEUMO_SCHEMA, true);
	Oid index = OidIsValid(schema) ? get_relname_relid(index_name, schema) : InvalidOid;

	if (!OidIsValid(index) || IndexGetRelation(index, true) != RelationGetRelid(rel))
		relation_missing(index_name);
	return index;
}

/* Fills the key of a scan: the attribute equals a value, whose type is told by the attribute's. */
static void
init_key(ScanKey key, Relation rel, int attribute, Datum value)
{
	RegProcedure equals = InvalidOid;

	switch (TupleDescAttr(RelationGetDescr(rel), attribute - 1)->atttypid)
	{
		case INT8OID:
			equals = F_INT8EQ;
			break;
		case TEXTOID:
			equals = F_TEXTEQ;
			break;
		case BYTEAOID:
			equals = F_BYTEAEQ;
			break;
		default:
			elog(ERROR, "no scan by column %d of relation \"%s\"", attribute, RelationGetRelationName(rel));
	}
	ScanKeyInit(key, attribute, BTEqualStrategyNumber, equals, value);
}

SysScanDesc
pneumo_catalog_scan(Relation rel, const char *index_name, int attribute, Datum value, Snapshot snapshot)
{
	ScanKeyData key[1];

	init_key(&key[0], rel, attribute, value);
	return systable_beginscan(rel, pneumo_catalog_index(rel, index_name), true, snapshot, 1, key);
}

SysScanDesc
pneumo_catalog_scan_ordered(Relation rel, Relation index, int attribute, Datum value, Snapshot snapshot)
{
	ScanKeyData key[1];

	init_key(&key[0], rel, attribute, value);
	return systable_beginscan_ordered(rel, index, snapshot, 1, key);
}

HeapTuple
pneumo_catalog_find(Relation rel, const char *index_name, int attribute, Datum value, Snapshot snapshot)
{
	SysScanDesc scan = pneumo_catalog_scan(rel, index_name, attribute, value, snapshot);
	HeapTuple tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

int64
pneumo_catalog_count(Relation rel, const char *index_name, int attribute, Datum value, Snapshot snapshot)
{
	SysScanDesc scan = pneumo_catalog_scan(rel, index_name, attribute, value, snapshot);
	int64 n = 0;

	while (HeapTupleIsValid(systable_getnext(scan)))
		n++;
	systable_endscan(scan);
	return n;
}

int64
pneumo_catalog_nextval(PneumoRelation relation)
{
	char name[NAMEDATALEN];
	Oid relid;

	snprintf(name, sizeof(name), "%s_id_seq", relation_names[relation]);
	relid = find_relation(name);
	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_SEQUENCE)
		relation_missing(name);
	return nextval_internal(relid, false);
}

void
pneumo_catalog_insert(Relation rel, Datum *values, bool *nulls)
{
	HeapTuple tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
}

void
pneumo_catalog_update(Relation rel, HeapTuple old, Datum *values, bool *nulls, bool *replace)
{
	HeapTuple tuple = heap_modify_tuple(old, RelationGetDescr(rel), values, nulls, replace);

	CatalogTupleUpdate(rel, &tuple->t_self, tuple);
	heap_freetuple(tuple);
}

void
pneumo_catalog_delete(Relation rel, HeapTuple old)
{
	CatalogTupleDelete(rel, &old->t_self);
}

Snapshot
pneumo_read_snapshot(void)
{
	return RegisterSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() : GetTransactionSnapshot());
}

Snapshot
pneumo_write_snapshot(void)
{
	/* a parallel query has one snapshot, and nothing is written in it */
	if (IsInParallelMode())
		return pneumo_read_snapshot();
	return RegisterSnapshot(GetLatestSnapshot());
}

void
pneumo_prevent_write(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);
}

/*
 * Objects that are no relations are locked as sub-objects of one: a model by
 * its id, a name and the bytes of a version by a hash.  Collisions only make
 * two writers wait for each other.
 */
void
pneumo_lock_model(int64 model)
{
	LockDatabaseObject(relation_oid(PNEUMO_REL_MODEL), (Oid) (model & 0xffffffff), 0, ExclusiveLock);
}

void
pneumo_lock_name(const char *name)
{
	uint32 hash = DatumGetUInt32(hash_any((const unsigned char *) name, (int) strlen(name)));

	LockDatabaseObject(relation_oid(PNEUMO_REL_MODEL), (Oid) hash, 1, ExclusiveLock);
}

void
pneumo_lock_bytes(const uint8 *sha256)
{
	Oid part;

	memcpy(&part, sha256, sizeof(part));
	LockDatabaseObject(relation_oid(PNEUMO_REL_CHUNK), part, 0, ExclusiveLock);
}
