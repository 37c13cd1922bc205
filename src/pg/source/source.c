/*-------------------------------------------------------------------------
 *
 * source.c
 *	  The table that a training or an evaluation reads: which columns, of which
 *	  types, with which rights, and what its labels are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/config/config.h"
#include "pg/source/source.h"

/* --------------------------------------------------------------- columns */

static const char *const *
column_names(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	const char **names = palloc(sizeof(char *) * (desc->natts + 1));
	int n = 0;
	int i;

	for (i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			names[n++] = NameStr(TupleDescAttr(desc, i)->attname);
	names[n] = NULL;
	return names;
}

/*
 * Returns the attribute number of a column that a config key names; the error
 * names the nearest column.
 */
static AttrNumber
find_column(Relation rel, const char *key, const char *name)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);

	if (attnum > 0)
		return attnum;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("column \"%s\" of relation \"%s\" does not exist", pneumo_clip(name),
						   RelationGetRelationName(rel)),
					errdetail("It is the value of config key \"%s\".", key),
					pneumo_hint_nearest(name, column_names(rel))));
	return InvalidAttrNumber;
}

static Oid
column_type(Relation rel, AttrNumber attnum)
{
	return getBaseType(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid);
}

static void
bad_type(Relation rel, AttrNumber attnum, const char *noun, const char *allowed)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("%s column \"%s\" is of type %s, must be %s", noun,
					NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname),
					format_type_be(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid), allowed)));
}

static bool
may_read(Relation rel, AttrNumber attnum)
{
	Oid relid = RelationGetRelid(rel);

	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		   pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

static void
require_privilege(Relation rel, AttrNumber attnum)
{
	if (!may_read(rel, attnum))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for column \"%s\" of relation \"%s\"",
							   NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname),
							   RelationGetRelationName(rel))));
}

static AttrNumber
only_bytea_column(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	AttrNumber found = InvalidAttrNumber;
	int i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || getBaseType(att->atttypid) != BYTEAOID)
			continue;
		if (found != InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
							errmsg("relation \"%s\" has more than one bytea column: \"%s\" and \"%s\"",
								   RelationGetRelationName(rel),
								   NameStr(TupleDescAttr(desc, found - 1)->attname), NameStr(att->attname)),
							errhint("Name the one with the images in config key \"image_column\".")));
		found = att->attnum;
	}
	if (found == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("relation \"%s\" has no bytea column for the images", RelationGetRelationName(rel))));
	return found;
}

static PneumoLabelKind
label_kind(Relation rel, AttrNumber attnum)
{
	Oid type = column_type(rel, attnum);

	switch (type)
	{
		case BOOLOID:
			return PNEUMO_LABEL_BOOLEAN;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return PNEUMO_LABEL_INTEGER;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			return PNEUMO_LABEL_TEXT;
		default:
			if (get_typtype(type) != TYPTYPE_ENUM)
				bad_type(rel, attnum, "label", "boolean, integer (0 or 1), text or an enum");
			return PNEUMO_LABEL_ENUM;
	}
}

static void
check_group_type(Relation rel, AttrNumber attnum)
{
	switch (column_type(rel, attnum))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case UUIDOID:
			return;
		default:
			bad_type(rel, attnum, "group", "text, integer or uuid");
	}
}

static void
check_split_type(Relation rel, AttrNumber attnum)
{
	switch (column_type(rel, attnum))
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			return;
		default:
			if (get_typtype(column_type(rel, attnum)) != TYPTYPE_ENUM)
				bad_type(rel, attnum, "split", "text or an enum");
	}
}

static bool
is_number(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return true;
		default:
			return false;
	}
}

static void
check_weight_type(Relation rel, AttrNumber attnum)
{
	if (!is_number(column_type(rel, attnum)))
		bad_type(rel, attnum, "sample weight", "a number");
}

static void
check_extra_type(Relation rel, AttrNumber attnum)
{
	Oid type = column_type(rel, attnum);

	switch (type)
	{
		case BOOLOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case DATEOID:
			return;
		default:
			if (!is_number(type) && get_typtype(type) != TYPTYPE_ENUM)
				bad_type(rel, attnum, "subgroup", "boolean, a number, text, an enum or date");
	}
}

/* ----------------------------------------------------------------- table */

static void
check_persistence(Relation rel, bool in_backend)
{
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP && !in_backend)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("\"%s\" is temporary, the training worker cannot see it",
							   RelationGetRelationName(rel)),
						errhint("Copy it into a permanent or unlogged table.")));
}

static int
add_optional(PneumoUserTable *table, Relation rel, const char *key, const char *name,
			 void (*check)(Relation rel, AttrNumber attnum))
{
	AttrNumber attnum;

	if (name == NULL)
		return 0;
	attnum = find_column(rel, key, name);
	if (check != NULL)
		check(rel, attnum);
	require_privilege(rel, attnum);
	return pneumo_user_table_add_column(table, attnum);
}

/* Adds the primary key, if the user may read it: it only names rows in messages. */
static void
add_primary_key(PneumoSource *source, Relation rel)
{
	Bitmapset *attrs;
	int attr = -1;

	(void) RelationGetIndexList(rel);
	attrs = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	while ((attr = bms_next_member(attrs, attr)) >= 0)
	{
		AttrNumber attnum = attr + FirstLowInvalidHeapAttributeNumber;

		if (attnum <= 0 || !may_read(rel, attnum) || source->n_key >= PNEUMO_MAX_KEY_COLUMNS)
			continue;
		source->col_key[source->n_key++] = pneumo_user_table_add_column(&source->table, attnum);
	}
}

PneumoSource *
pneumo_source_check(Oid relid, const PneumoConfig *config)
{
	PneumoSource *source = palloc0(sizeof(PneumoSource));
	PneumoUserTable *table = &source->table;
	Relation rel = pneumo_user_table_begin(table, relid);
	AttrNumber image;
	AttrNumber label;

	check_persistence(rel, config->in_backend);
	source->name = table->name;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));

	if (config->image_column != NULL)
		image = find_column(rel, "image_column", config->image_column);
	else
		image = only_bytea_column(rel);
	if (column_type(rel, image) != BYTEAOID)
		bad_type(rel, image, "image", "bytea");
	require_privilege(rel, image);
	source->col_image = pneumo_user_table_add_column(table, image);
	source->image_column = table->column[source->col_image - 1].name;

	if (config->label_column != NULL)
	{
		label = find_column(rel, "label_column", config->label_column);
		source->label_kind = label_kind(rel, label);
		source->label_type = column_type(rel, label);
		require_privilege(rel, label);
		source->col_label = pneumo_user_table_add_column(table, label);
		source->label_column = table->column[source->col_label - 1].name;
	}
	source->col_group = add_optional(table, rel, "group_column", config->group_column, check_group_type);
	source->col_split = add_optional(table, rel, "split_column", config->split_column, check_split_type);
	source->col_weight =
		add_optional(table, rel, "sample_weight_column", config->sample_weight_column, check_weight_type);
	if (config->key_column != NULL)
	{
		source->col_key[0] = add_optional(table, rel, "key_column", config->key_column, NULL);
		source->n_key = 1;
	}
	else
		add_primary_key(source, rel);
	relation_close(rel, NoLock);
	return source;
}

void
pneumo_source_add_extra(PneumoSource *source, const char *key, char *const *names, int n)
{
	Relation rel = pneumo_user_table_open(&source->table);
	int i;

	for (i = 0; i < n && source->n_extra < PNEUMO_MAX_EXTRA_COLUMNS; i++)
		source->col_extra[source->n_extra++] =
			add_optional(&source->table, rel, key, names[i], check_extra_type);
	relation_close(rel, NoLock);
}

PneumoExtraType
pneumo_source_extra_type(const PneumoSource *source, int extra)
{
	Oid type = getBaseType(source->table.column[source->col_extra[extra] - 1].type);

	return type == BOOLOID ? PNEUMO_EXTRA_BOOLEAN : is_number(type) ? PNEUMO_EXTRA_NUMBER : PNEUMO_EXTRA_TEXT;
}

/* ---------------------------------------------------------------- labels */

typedef struct LabelCounter
{
	const PneumoSource *source;
	PneumoLabels *labels;
	MemoryContext cxt; /* of the names */
} LabelCounter;

/* Adds a class that no row had before. */
static int
add_label(LabelCounter *counter, const char *label)
{
	PneumoLabels *labels = counter->labels;
	const PneumoSource *source = counter->source;

	if (source->label_kind == PNEUMO_LABEL_INTEGER && strcmp(label, "0") != 0 && strcmp(label, "1") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("label column \"%s\" has the value %s, must be 0 or 1", source->label_column, label),
				 errhint("Use text or an enum for more than two classes.")));
	if (labels->n >= NN_MAX_CLASSES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("label column \"%s\" has more than %d different values", source->label_column,
							   NN_MAX_CLASSES)));
	labels->name[labels->n] = MemoryContextStrdup(counter->cxt, label);
	return labels->n++;
}

static void
count_label(void *arg, const PneumoRow *row)
{
	LabelCounter *counter = arg;
	PneumoLabels *labels = counter->labels;
	int i;

	labels->total++;
	if (row->label == NULL)
	{
		labels->unlabelled++;
		return;
	}
	if (!row->has_image)
		return;
	for (i = 0; i < labels->n; i++)
		if (strcmp(labels->name[i], row->label) == 0)
			break;
	if (i == labels->n)
		i = add_label(counter, row->label);
	labels->rows[i]++;
}

void
pneumo_source_labels(PneumoLabels *labels, const PneumoSource *source)
{
	LabelCounter counter = {source, labels, CurrentMemoryContext};

	memset(labels, 0, sizeof(PneumoLabels));
	(void) pneumo_source_label_rows(source, count_label, &counter);
}

static float4
enum_order(Oid type, const char *label)
{
	HeapTuple tuple = SearchSysCache2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(label));
	float4 order = 0;

	if (HeapTupleIsValid(tuple))
	{
		order = ((Form_pg_enum) GETSTRUCT(tuple))->enumsortorder;
		ReleaseSysCache(tuple);
	}
	return order;
}

static bool
comes_before(const PneumoSource *source, const char *a, const char *b)
{
	if (source->label_kind == PNEUMO_LABEL_ENUM)
		return enum_order(source->label_type, a) < enum_order(source->label_type, b);
	return strcmp(a, b) < 0;
}

void
pneumo_order_classes(char **ordered, int n, char *const *names, const PneumoSource *source,
					 const char *positive_class)
{
	const char *list[NN_MAX_CLASSES + 1];
	const char *positive = positive_class;
	int i;
	int j;

	for (i = 0; i < n; i++)
	{
		for (j = i; j > 0 && comes_before(source, names[i], ordered[j - 1]); j--)
			ordered[j] = ordered[j - 1];
		ordered[j] = names[i];
	}
	for (i = 0; i < n; i++)
		list[i] = ordered[i];
	list[n] = NULL;

	if (n == 0)
		ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
						errmsg("%s has no rows with an image and a label", source->name)));
	if (n == 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("label column \"%s\" has only the class \"%s\", must have at least two",
							   source->label_column, pneumo_clip(ordered[0]))));
	if (n > 2)
	{
		if (positive_class != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("config key \"positive_class\" applies to two classes, the labels have %d", n)));
		return;
	}

	if (positive == NULL)
	{
		if (source->label_kind == PNEUMO_LABEL_BOOLEAN)
			positive = "true";
		else if (source->label_kind == PNEUMO_LABEL_INTEGER)
			positive = "1";
		else if (strcmp(ordered[0], "PNEUMONIA") == 0 || strcmp(ordered[1], "PNEUMONIA") == 0)
			positive = "PNEUMONIA";
		else
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("which of the two classes is positive is not known"),
							errdetail("It can be %s.", pneumo_list_names(list)),
							errhint("Set config key \"positive_class\".")));
	}
	if (strcmp(ordered[0], positive) == 0)
	{
		char *swap = ordered[0];

		ordered[0] = ordered[1];
		ordered[1] = swap;
	}
	else if (strcmp(ordered[1], positive) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"positive_class\" is \"%s\", which is not a class",
							   pneumo_clip(positive)),
						errdetail("It can be %s.", pneumo_list_names(list))));
}
