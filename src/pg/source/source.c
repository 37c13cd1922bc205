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
#include "pg/base/json.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"
#include "pg/source/source.h"

#define IMAGE_COLUMN "image" /* of those that may hold the images, the one that does */

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

/* What columns for the same thing are called: where one is missing, another may be meant. */
static const char *const *
names_alike(const char *name)
{
	static const char *const alike[][10] = {
		{"image", "img", "picture", "photo", "xray", "jpeg", "pixels", "image_data", NULL},
		{"label", "class", "target", "diagnosis", "finding", "category", "y", NULL},
		{"patient", "patient_id", "patientid", "group", "group_id", "subject", "subject_id", "person", NULL},
		{"split", "fold", "subset", "partition", "part", "dataset", NULL},
	};
	size_t i;
	int k;

	for (i = 0; i < lengthof(alike); i++)
		for (k = 0; alike[i][k] != NULL; k++)
			if (pg_strcasecmp(name, alike[i][k]) == 0)
				return alike[i];
	return NULL;
}

/* Adds a hint with the column that may be meant by a name that no column has. */
static int
hint_for_column(Relation rel, const char *name)
{
	const char *const *columns = column_names(rel);
	const char *near = pneumo_nearest(name, columns);
	const char *const *alike = names_alike(name);
	int i;

	for (i = 0; near == NULL && alike != NULL && alike[i] != NULL; i++)
		if (get_attnum(RelationGetRelid(rel), alike[i]) > 0)
			near = alike[i];
	if (near != NULL)
		return errhint("Did you mean \"%s\"?", near);
	return errhint("Its columns are %s.", pneumo_clip(pneumo_list_names(columns)));
}

/* Adds a detail that says where the name of a column comes from. */
static int
detail_of_column(const PneumoConfig *config, const char *key)
{
	if (pneumo_json_get(&config->given->root, key) != NULL)
		return errdetail("It is the value of config key \"%s\".", key);
	if (config->version != NULL)
		return errdetail("It is what %s was trained with; config key \"%s\" can name another column.",
						 config->version, key);
	return errdetail("It is the default of config key \"%s\".", key);
}

/*
 * Returns the attribute number of a column that a config key names; the error
 * names the nearest column.
 */
static AttrNumber
find_column(Relation rel, const PneumoConfig *config, const char *key, const char *name)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);

	if (attnum > 0)
		return attnum;
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("column \"%s\" of relation \"%s\" does not exist", pneumo_clip(name),
						   RelationGetRelationName(rel)),
					detail_of_column(config, key), hint_for_column(rel, name)));
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
							   RelationGetRelationName(rel)),
						errhint("The table's owner can grant it: GRANT SELECT ON %s TO %s.",
								pneumo_relation_name(RelationGetRelid(rel)),
								quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

AttrNumber
pneumo_image_column(Relation rel, const char *other)
{
	TupleDesc desc = RelationGetDescr(rel);
	AttrNumber found = InvalidAttrNumber;
	AttrNumber second = InvalidAttrNumber;
	int i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || getBaseType(att->atttypid) != BYTEAOID ||
			(other != NULL && strcmp(NameStr(att->attname), other) == 0))
			continue;
		if (strcmp(NameStr(att->attname), IMAGE_COLUMN) == 0)
			return att->attnum;
		if (found == InvalidAttrNumber)
			found = att->attnum;
		else
			second = att->attnum;
	}
	if (second != InvalidAttrNumber)
		ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
						errmsg("relation \"%s\" has more than one bytea column: \"%s\" and \"%s\"",
							   RelationGetRelationName(rel), NameStr(TupleDescAttr(desc, found - 1)->attname),
							   NameStr(TupleDescAttr(desc, second - 1)->attname)),
						errdetail("None of them is named \"%s\".", IMAGE_COLUMN),
						errhint("Name the one with the images in \"image_column\".")));
	if (found == InvalidAttrNumber)
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("relation \"%s\" has no bytea column for the images", RelationGetRelationName(rel)),
			 errhint(
				 "Images are read from a column of type bytea: pneumo_load and the manual's recipes fill one.")));
	return found;
}

static bool
is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID;
}

/* Returns the base type of an array's elements; InvalidOid if the type is no array. */
static Oid
array_element_type(Oid type)
{
	Oid element = get_element_type(type);

	return OidIsValid(element) ? getBaseType(element) : InvalidOid;
}

static bool
is_text_or_enum(Oid type)
{
	return OidIsValid(type) && (is_text(type) || get_typtype(type) == TYPTYPE_ENUM);
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
			if (is_text_or_enum(array_element_type(type)))
				return PNEUMO_LABEL_ARRAY;
			if (get_typtype(type) != TYPTYPE_ENUM)
				bad_type(rel, attnum, "label",
						 "boolean, integer (0 or 1), text, an enum, or an array of text or of an enum");
			return PNEUMO_LABEL_ENUM;
	}
}

/* Checks the type of a column that says whether a finding is there. */
static void
check_finding_type(Relation rel, AttrNumber attnum)
{
	switch (column_type(rel, attnum))
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return;
		default:
			bad_type(rel, attnum, "finding", "boolean or integer (0 or 1)");
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
	Oid type = column_type(rel, attnum);

	if (!is_text(type) && get_typtype(type) != TYPTYPE_ENUM)
		bad_type(rel, attnum, "split", "text or an enum");
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
add_optional(PneumoUserTable *table, Relation rel, const PneumoConfig *config, const char *key,
			 const char *name, void (*check)(Relation rel, AttrNumber attnum))
{
	AttrNumber attnum;

	if (name == NULL)
		return 0;
	attnum = find_column(rel, config, key, name);
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

bool
pneumo_source_labelled(const PneumoSource *source)
{
	return source->col_label > 0 || source->n_findings > 0;
}

bool
pneumo_source_is_multi_label(const PneumoSource *source)
{
	return source->n_findings > 0 || (source->col_label > 0 && source->label_kind == PNEUMO_LABEL_ARRAY);
}

/* Adds the columns of findings. */
static void
add_finding_columns(PneumoSource *source, Relation rel, const PneumoConfig *config)
{
	int i;

	for (i = 0; i < config->n_label_columns; i++)
	{
		AttrNumber attnum = find_column(rel, config, "label_columns", config->label_columns[i]);

		check_finding_type(rel, attnum);
		require_privilege(rel, attnum);
		source->col_finding[i] = pneumo_user_table_add_column(&source->table, attnum);
		source->finding[i] = config->findings[i];
	}
	source->n_findings = config->n_label_columns;
	source->label_kind = PNEUMO_LABEL_COLUMNS;
	source->label_column = pneumo_list_names((const char *const *) config->label_columns);
}

/* Adds the column of labels. */
static void
add_label_column(PneumoSource *source, Relation rel, const PneumoConfig *config)
{
	AttrNumber label = find_column(rel, config, "label_column", config->label_column);

	source->label_kind = label_kind(rel, label);
	source->label_type = column_type(rel, label);
	if (source->label_kind == PNEUMO_LABEL_ARRAY)
		source->label_type = array_element_type(source->label_type);
	require_privilege(rel, label);
	source->col_label = pneumo_user_table_add_column(&source->table, label);
	source->label_column = source->table.column[source->col_label - 1].name;
}

PneumoSource *
pneumo_source_check(Oid relid, PneumoConfig *config)
{
	PneumoSource *source = palloc0(sizeof(PneumoSource));
	PneumoUserTable *table = &source->table;
	Relation rel = pneumo_user_table_begin(table, relid);
	AttrNumber image;

	check_persistence(rel, config->in_backend);
	source->name = table->name;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));

	if (config->image_column != NULL)
		image = find_column(rel, config, "image_column", config->image_column);
	else
		image = pneumo_image_column(rel, NULL);
	if (column_type(rel, image) != BYTEAOID)
		bad_type(rel, image, "image", "bytea");
	require_privilege(rel, image);
	source->col_image = pneumo_user_table_add_column(table, image);
	source->image_column = table->column[source->col_image - 1].name;

	if (config->n_label_columns > 0)
		add_finding_columns(source, rel, config);
	else if (config->label_column != NULL)
		add_label_column(source, rel, config);
	config->multi_label = pneumo_source_is_multi_label(source);
	source->col_group =
		add_optional(table, rel, config, "group_column", config->group_column, check_group_type);
	source->col_split =
		add_optional(table, rel, config, "split_column", config->split_column, check_split_type);
	source->col_weight = add_optional(table, rel, config, "sample_weight_column",
									  config->sample_weight_column, check_weight_type);
	if (config->key_column != NULL)
	{
		source->col_key[0] = add_optional(table, rel, config, "key_column", config->key_column, NULL);
		source->n_key = 1;
	}
	else
		add_primary_key(source, rel);
	relation_close(rel, NoLock);
	return source;
}

/* Returns the column of that name if it may be read and is not used yet; InvalidAttrNumber otherwise. */
static AttrNumber
hint_column(const PneumoSource *source, Relation rel, const char *name)
{
	AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);
	int i;

	if (attnum <= 0 || !may_read(rel, attnum))
		return InvalidAttrNumber;
	for (i = 0; i < source->table.n_columns; i++)
		if (source->table.column[i].attnum == attnum)
			return InvalidAttrNumber;
	return attnum;
}

/* What a column of patients is often called. */
static const char *const patient_names[] = {"patient",    "patient_id", "patientid", "subject",
											"subject_id", "person",     "person_id", NULL};

void
pneumo_source_hints(PneumoSource *source, const PneumoConfig *config)
{
	Relation rel = pneumo_user_table_open(&source->table);
	AttrNumber split = InvalidAttrNumber;
	AttrNumber file = hint_column(source, rel, "file");
	int i;

	if (pneumo_json_get(&config->given->root, "split_column") == NULL)
		split = hint_column(source, rel, "split");
	if (split > 0 && is_text(column_type(rel, split)))
	{
		source->col_unused_split = pneumo_user_table_add_column(&source->table, split);
		source->unused_split_column = source->table.column[source->col_unused_split - 1].name;
	}
	if (file > 0 && is_text(column_type(rel, file)))
		source->col_file = pneumo_user_table_add_column(&source->table, file);
	if (pneumo_json_get(&config->given->root, "group_column") == NULL)
		for (i = 0; source->patient_column == NULL && patient_names[i] != NULL; i++)
			if (hint_column(source, rel, patient_names[i]) > 0)
				source->patient_column = pstrdup(patient_names[i]);
	relation_close(rel, NoLock);
}

void
pneumo_source_add_extra(PneumoSource *source, const PneumoConfig *config, const char *key, char *const *names,
						int n)
{
	Relation rel = pneumo_user_table_open(&source->table);
	int i;

	for (i = 0; i < n && source->n_extra < PNEUMO_MAX_EXTRA_COLUMNS; i++)
		source->col_extra[source->n_extra++] =
			add_optional(&source->table, rel, config, key, names[i], check_extra_type);
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
	const PneumoConfig *config;
	PneumoLabels *labels;
	MemoryContext cxt; /* of the names */
} LabelCounter;

/* Raises an error if a version could not have a class of that name. */
static void
check_class_name(const PneumoSource *source, const char *name)
{
	size_t n = strlen(pneumo_utf8(name));

	if (n < 1 || n > PNEUMO_MAX_CLASS_NAME)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("label column \"%s\" has a text of %zu bytes, the name of a class has 1 to %d",
							   source->label_column, n, PNEUMO_MAX_CLASS_NAME),
						n < 1 ? errhint("A row without label has NULL.") : 0));
}

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
	check_class_name(source, label);
	if (labels->n >= NN_MAX_CLASSES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("label column \"%s\" has more than %d different values", source->label_column,
							   NN_MAX_CLASSES)));
	labels->name[labels->n] = MemoryContextStrdup(counter->cxt, label);
	return labels->n++;
}

/* Returns the number of a name, added if it is new. */
static int
number_of_label(LabelCounter *counter, const char *name)
{
	PneumoLabels *labels = counter->labels;
	int i;

	for (i = 0; i < labels->n; i++)
		if (strcmp(labels->name[i], name) == 0)
			return i;
	return add_label(counter, name);
}

/* Tells whether a finding is among those that the config names, or it names none. */
static bool
is_wanted(const PneumoConfig *config, const char *finding)
{
	int i;

	for (i = 0; i < config->n_classes; i++)
		if (strcmp(config->classes[i], finding) == 0)
			return true;
	return config->n_classes == 0;
}

static void
count_findings(LabelCounter *counter, const PneumoRowFindings *findings)
{
	int i;

	for (i = 0; i < findings->n_present; i++)
		if (is_wanted(counter->config, findings->present[i]))
			counter->labels->rows[number_of_label(counter, findings->present[i])]++;
}

static void
count_label(void *arg, const PneumoRow *row)
{
	LabelCounter *counter = arg;
	PneumoLabels *labels = counter->labels;

	labels->total++;
	if (row->label == NULL && row->findings == NULL)
	{
		labels->unlabelled++;
		return;
	}
	if (!row->has_image)
		return;
	if (row->findings != NULL)
		count_findings(counter, row->findings);
	else
		labels->rows[number_of_label(counter, row->label)]++;
}

void
pneumo_source_labels(PneumoLabels *labels, const PneumoSource *source, const PneumoConfig *config)
{
	LabelCounter counter = {source, config, labels, CurrentMemoryContext};
	int i;

	memset(labels, 0, sizeof(PneumoLabels));
	for (i = 0; i < source->n_findings; i++)
	{
		check_class_name(source, source->finding[i]);
		labels->name[labels->n++] = source->finding[i];
	}
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
	if (source->label_kind != PNEUMO_LABEL_COLUMNS && get_typtype(source->label_type) == TYPTYPE_ENUM)
		return enum_order(source->label_type, a) < enum_order(source->label_type, b);
	return strcmp(a, b) < 0;
}

/* Sorts names into ordered. */
static void
sort_names(char **ordered, int n, char *const *names, const PneumoSource *source)
{
	int i;
	int j;

	for (i = 0; i < n; i++)
	{
		for (j = i; j > 0 && comes_before(source, names[i], ordered[j - 1]); j--)
			ordered[j] = ordered[j - 1];
		ordered[j] = names[i];
	}
}

/* Raises an error if a finding that the config names is in no row. */
static void
require_findings(const PneumoLabels *labels, const PneumoSource *source, const PneumoConfig *config)
{
	int i;
	int k;

	for (i = 0; i < config->n_classes; i++)
	{
		for (k = 0; k < labels->n && strcmp(labels->name[k], config->classes[i]) != 0; k++)
			;
		if (k == labels->n)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("config key \"classes\" names the finding \"%s\", which no row has",
								   pneumo_clip(config->classes[i])),
							errdetail("Label column \"%s\" is an array of findings.", source->label_column),
							errhint("Findings are compared letter by letter, case included.")));
	}
}

void
pneumo_order_findings(char **ordered, const PneumoLabels *labels, const PneumoSource *source,
					  const PneumoConfig *config)
{
	if (config->positive_class != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("config key \"positive_class\" applies to two classes, not to findings")));
	if (config->n_classes > 0 && source->n_findings > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("config key \"classes\" applies to a column of arrays, not to \"label_columns\""),
				 errhint("Leave columns out of \"label_columns\" instead.")));
	require_findings(labels, source, config);
	if (labels->total == labels->unlabelled || labels->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("%s has no rows with an image and a finding", source->name),
				 labels->unlabelled > 0 ? errdetail("%lld of %lld rows are not labelled.",
													(long long) labels->unlabelled, (long long) labels->total)
										: 0));
	if (source->n_findings > 0)
		memcpy(ordered, labels->name, sizeof(char *) * labels->n);
	else if (config->n_classes > 0)
		memcpy(ordered, config->classes, sizeof(char *) * config->n_classes);
	else
		sort_names(ordered, labels->n, labels->name, source);
}

void
pneumo_order_classes(char **ordered, int n, char *const *names, const PneumoSource *source,
					 const char *positive_class)
{
	const char *list[NN_MAX_CLASSES + 1];
	const char *positive = positive_class;
	int i;

	sort_names(ordered, n, names, source);
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
