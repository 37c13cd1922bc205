/*-------------------------------------------------------------------------
 *
 * source.h
 *	  A table of images, read with the caller's rights: its columns and classes,
 *	  its rows as they are, and as samples on their splits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_SOURCE_H
#define PNEUMO_PG_SOURCE_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"

/* ------------------------------------------------------ tables (read.c) */

#define PNEUMO_MAX_KEY_COLUMNS 8
#define PNEUMO_MAX_EXTRA_COLUMNS 8
#define PNEUMO_MAX_COLUMNS (7 + PNEUMO_MAX_KEY_COLUMNS + PNEUMO_MAX_EXTRA_COLUMNS + NN_MAX_CLASSES)

typedef struct PneumoColumn
{
	char *name;
	AttrNumber attnum;
	Oid type; /* as declared: perhaps a domain */
} PneumoColumn;

/*
 * A user's relation and those of its columns that are used, as they were when
 * they were checked.  Whatever is done with it later, by text that names it, is
 * compared with this; what differs is an error.
 */
typedef struct PneumoUserTable
{
	Oid relid;
	char *name; /* schema-qualified and quoted */
	int n_columns;
	PneumoColumn column[PNEUMO_MAX_COLUMNS];
} PneumoUserTable;

/*
 * Opens the relation that a user gave and locks it in share mode until the end
 * of the transaction; fills the table, without columns.  Raises an error if there is no
 * such relation or if it has no rows to read.  The caller closes the relation
 * and keeps the lock.
 */
extern Relation pneumo_user_table_begin(PneumoUserTable *table, Oid relid);

/* Adds a column that the relation has; returns its position, from 1. */
extern int pneumo_user_table_add_column(PneumoUserTable *table, AttrNumber attnum);

/* Returns the quoted names of the first columns, separated by commas; palloc'd. */
extern char *pneumo_user_table_column_list(const PneumoUserTable *table, int n_columns);

/*
 * Opens the relation again and locks it in share mode until the end of the
 * transaction.  Raises an error unless it has the name and the columns that were
 * checked.  The caller keeps it open while statements on it run, so that nothing
 * that they call can alter it, and then closes it and keeps the lock.
 */
extern Relation pneumo_user_table_open(const PneumoUserTable *table);

/*
 * Raises an error unless the name in a statement that was just executed, or
 * whose cursor was just opened, meant this relation.
 */
extern void pneumo_user_table_check_plan(const PneumoUserTable *table, SPIPlanPtr plan);

/*
 * Raises an error unless a result has just the first columns with the types that
 * were checked.  Comes before any use of the result's values.
 */
extern void pneumo_user_table_check_result(const PneumoUserTable *table, TupleDesc desc, int n_columns);

/* --------------------------------------------------- sources (source.c) */

typedef enum PneumoLabelKind
{
	PNEUMO_LABEL_BOOLEAN,
	PNEUMO_LABEL_INTEGER,
	PNEUMO_LABEL_TEXT,
	PNEUMO_LABEL_ENUM,
	PNEUMO_LABEL_ARRAY,  /* of texts or an enum: the findings of the row */
	PNEUMO_LABEL_COLUMNS /* a boolean one for each finding, null if unknown */
} PneumoLabelKind;

typedef struct PneumoSource
{
	PneumoUserTable table;
	char *name; /* the table's */
	PneumoLabelKind label_kind;
	Oid label_type; /* base type, of an array that of its elements */
	int col_image,  /* positions in the table, from 1; 0: not there */
		col_label, col_group, col_split, col_weight, col_key[PNEUMO_MAX_KEY_COLUMNS];
	int n_key;
	int col_unused_split; /* of what is only looked at to warn; see pneumo_source_hints() */
	int col_file;
	int col_extra[PNEUMO_MAX_EXTRA_COLUMNS];
	int n_extra;
	int col_finding[NN_MAX_CLASSES]; /* of PNEUMO_LABEL_COLUMNS, with the findings' names */
	char *finding[NN_MAX_CLASSES];
	int n_findings;
	char *image_column; /* names, resolved */
	char *label_column; /* of PNEUMO_LABEL_COLUMNS a list of them */
	char *unused_split_column;
	char *patient_column; /* that may name the patients where the config names no group_column */
} PneumoSource;

/*
 * Checks relation, columns, types and the current user's privileges; locks the
 * relation in share mode until the end of the transaction.  What is checked here
 * is compared again with each reading.
 */
extern PneumoSource *pneumo_source_check(Oid relid, PneumoConfig *config);

/* Tells whether the rows of a source have labels. */
extern bool pneumo_source_labelled(const PneumoSource *source);

/* Tells whether a row may have several findings, or none. */
extern bool pneumo_source_is_multi_label(const PneumoSource *source);

/*
 * Returns the column that holds the images if nobody has named it: that of type bytea, or
 * of several the one named "image"; other, unless NULL, is passed over.  Errors if there
 * is none, or no such one of several.
 */
extern AttrNumber pneumo_image_column(Relation rel, const char *other);

/*
 * Finds the columns by which a reading tells what its config may have forgotten:
 * "split" and the patient's where the config names no such column, and "file".  A
 * key that the config gives as null is not forgotten.  Columns that the current
 * user may not read are passed over.  They are read after all others.
 */
extern void pneumo_source_hints(PneumoSource *source, const PneumoConfig *config);

/*
 * Adds columns whose values are wanted as texts with each row, at most
 * PNEUMO_MAX_EXTRA_COLUMNS: booleans, numbers, texts, enums or dates.  Checks that
 * they are there, their types and the current user's privileges; key is the config
 * key that names them.
 */
extern void pneumo_source_add_extra(PneumoSource *source, const PneumoConfig *config, const char *key,
									char *const *names, int n);

typedef enum PneumoExtraType
{
	PNEUMO_EXTRA_BOOLEAN,
	PNEUMO_EXTRA_NUMBER,
	PNEUMO_EXTRA_TEXT /* and enum, date */
} PneumoExtraType;

/* Returns what an extra column, from 0, holds. */
extern PneumoExtraType pneumo_source_extra_type(const PneumoSource *source, int extra);

/* The classes of a source, at most NN_MAX_CLASSES, and how many rows have them. */
typedef struct PneumoLabels
{
	int n;
	char *name[NN_MAX_CLASSES];
	int64 rows[NN_MAX_CLASSES];
	int64 unlabelled;
	int64 total;
} PneumoLabels;

/*
 * Counts the labels of rows with an image, without reading the images.  Of arrays
 * only the findings of config key "classes" count, if it is given.
 */
extern void pneumo_source_labels(PneumoLabels *labels, const PneumoSource *source,
								 const PneumoConfig *config);

/*
 * Orders the findings: as the config names them, else as the columns are given,
 * else by name or as the enum has them.  Raises an error if there is none, or if no
 * row has one that the config names.
 */
extern void pneumo_order_findings(char **ordered, const PneumoLabels *labels, const PneumoSource *source,
								  const PneumoConfig *config);

/*
 * Orders the classes as their kind demands; two become [negative, positive].
 * Raises an error if there are fewer than two, or if the positive one is not known.
 */
extern void pneumo_order_classes(char **ordered, int n, char *const *names, const PneumoSource *source,
								 const char *positive_class);

/* -------------------------------------------------------- rows (read.c) */

/* The findings of a row, each once.  What is in neither list is unknown, or with complete not there. */
typedef struct PneumoRowFindings
{
	char **present;
	char **absent;
	int n_present;
	int n_absent;
	bool complete;
} PneumoRowFindings;

typedef struct PneumoRow
{
	int64 number; /* from 1, in the order of reading */
	char *key;    /* texts, NULL where null or not read; char(n) without its blanks */
	char *label;  /* booleans as true and false */
	const PneumoRowFindings
		*findings; /* in place of the label where there may be several; NULL: unlabelled */
	char *group;
	char *split;
	char *weight;
	char *unused_split; /* of pneumo_source_hints() */
	char *file;
	char *extra[PNEUMO_MAX_EXTRA_COLUMNS]; /* as the source has them */
	bool has_image;
	Datum image; /* bytea, perhaps toasted; valid with has_image */
} PneumoRow;

/* Is called in a context that is reset after the row; must not leave it switched. */
typedef void (*PneumoRowVisit)(void *arg, const PneumoRow *row);

/*
 * Visits all rows, as they are, by a cursor under the active snapshot and as the
 * current user; returns their number.
 */
extern int64 pneumo_source_rows(const PneumoSource *source, PneumoRowVisit visit, void *arg);

/* Does the same and reads images and labels only. */
extern int64 pneumo_source_label_rows(const PneumoSource *source, PneumoRowVisit visit, void *arg);

/* Returns what names a row in messages: its key, or "number n"; palloc'd. */
extern char *pneumo_row_name(const PneumoRow *row);

/* -------------------------------------------- split of a key (split.c) */

/*
 * Returns the split of a key: a pure function of the key, the seed and the two
 * fractions.
 */
extern PneumoSplit pneumo_split_key(const void *key, size_t key_bytes, int split_seed,
									double validation_split, double test_split);

/* The same of a group's key, whose bytes count as UTF-8 whatever the encoding of the database. */
extern PneumoSplit pneumo_split_group(const char *key, int split_seed, double validation_split,
									  double test_split);

/*
 * Reads the name of a split as a column or a folder has it, in any case: train,
 * training; validation, val, valid; test, testing.  Returns false for others.
 */
extern bool pneumo_split_parse(const char *name, PneumoSplit *split);

/* ----------------------------------------------- texts alike (similar.c) */

/* Collects texts, ids or labels, and finds those that are written in several ways. */
typedef struct PneumoSimilar PneumoSimilar;

/* Begins a collection in a memory context of its own. */
extern PneumoSimilar *pneumo_similar_begin(MemoryContext cxt);
extern void pneumo_similar_add(PneumoSimilar *similar, const char *text);

/* Returns the collection of n texts. */
extern PneumoSimilar *pneumo_similar_of(MemoryContext cxt, char *const *texts, int n);

/* Returns how many texts are like one before them without being equal, and the first two, or NULL. */
extern int64 pneumo_similar_count(const PneumoSimilar *similar, const char **example);

/* ----------------------------------------------- names of files (file_names.c) */

/* Collects names of files with their splits, to find names that look like one patient's. */
typedef struct PneumoFileNames PneumoFileNames;

/* Begins a collection in a memory context of its own. */
extern PneumoFileNames *pneumo_file_names_begin(MemoryContext cxt);
extern void pneumo_file_names_add(PneumoFileNames *names, const char *file, PneumoSplit split);

/*
 * Returns a sentence about files on several splits whose names begin alike, as
 * person12_a.jpeg and person12_b.jpeg do, palloc'd; NULL if there are none, or if so
 * few beginnings are different that they cannot be patients.  patient_column is the
 * one that may have the patients, or NULL.
 */
extern char *pneumo_file_names_warning(const PneumoFileNames *names, const char *patient_column);

/* ---------------------------------- dataset (dataset.c, split_rules.c) */

typedef struct PneumoSample
{
	uint8 sha256[PNEUMO_SHA256_LEN]; /* of the image's bytes */
	uint8 group[PNEUMO_SHA256_LEN];  /* SHA-256 of 'g' and the group key, or of
											 * 'i' and the image's hash without one */
	int64 slot;                      /* what the sink returned; -1 none */
	char *key;                       /* text of the row's key; NULL without key */
	float weight;
	uint64 present; /* findings, a bit for each class */
	uint64 known;   /* those that are known to be there or not */
	int16 label;    /* class index; 0 of findings */
	int8 split;     /* PneumoSplit */
	bool dropped;   /* by the duplicate rules */
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
	bool multi_label; /* the samples have findings, not a class each */
	int n_classes;
	char *classes[NN_MAX_CLASSES];
	int64 n_rows; /* read */
	int64 n;      /* samples, sorted by (sha256, label, group) */
	PneumoSample *samples;
	int64 left_out[PNEUMO_N_LEFT_OUT];
	bool history_unknown; /* nobody knows all images that a judged version was trained on */
	char *first_bad;      /* "key: reason" of the first unreadable row */
	char *first_conflict; /* keys of the first conflicting rows */
	PneumoSimilar *class_names;
	PneumoSimilar *group_keys;    /* NULL without a group column */
	int64 rows_without_group;     /* NULL or empty in the group column */
	int64 rows_with_unused_split; /* that name a split in a column that the config does not name */
	const char *unused_split_column;
	const char *patient_column;    /* that the config may have forgotten, or NULL */
	PneumoFileNames *file_names;   /* NULL: not looked at */
	int64 rows[3][NN_MAX_CLASSES]; /* by split and class, of counted samples */
	int64 groups[3][NN_MAX_CLASSES];
	int64 absent_rows[3][NN_MAX_CLASSES]; /* the same of samples known to be without a finding */
	int64 absent_groups[3][NN_MAX_CLASSES];
	int64 rows_without_finding[3]; /* known to have none of them */
	int64 rows_with_others;        /* that have findings which are no class */
	char *first_other;             /* one of those */
	int64 split_rows[3];
	int64 split_groups[3];
	uint8 fingerprint[PNEUMO_SHA256_LEN];
} PneumoDataset;

/*
 * Takes the pixels of a readable image while the table is read; returns the slot.
 * It is called for rows of the wanted splits only.
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
	int n_classes; /* in order; a label that is none of them is an error, a finding that is none is counted */
	char **classes;
} PneumoReading;

/*
 * Reads the whole table as the current user and applies the rules for
 * unreadable, unlabelled and duplicate rows.  Needs a transaction; allocates in a
 * child of the current context.
 */
extern PneumoDataset *pneumo_dataset_read(const PneumoSource *source, const PneumoConfig *config,
										  const PneumoReading *reading);

/* Sorts the samples, applies the rules for duplicates and leakage, counts and fingerprints them. */
extern void pneumo_dataset_settle(PneumoDataset *dataset, const PneumoConfig *config);

/*
 * Makes of a dataset of findings one of two classes, the absence and the presence of
 * one of them; samples of which it is unknown are left out as unlabelled.
 */
extern void pneumo_dataset_view(PneumoDataset *dataset, int finding, char *const *classes);

/*
 * Raises an error for what no training can do without (a class without a group
 * on a split); returns the warnings, strings, for splits with fewer than 20
 * groups of a class.
 */
extern List *pneumo_dataset_require(const PneumoDataset *dataset, const PneumoConfig *config);

/*
 * Returns, palloc'd, what was understood, for people: images by split, patients,
 * and classes with their images, the negative one and the positive one named.
 */
extern char *pneumo_dataset_summary(const PneumoDataset *dataset);

/* Tells whether a sample has a finding: 1 or 0, or NN_UNKNOWN. */
static inline int
pneumo_sample_target(const PneumoSample *sample, int class)
{
	uint64 bit = UINT64CONST(1) << class;

	return (sample->known & bit) == 0 ? NN_UNKNOWN : (sample->present & bit) != 0;
}

/*
 * Returns, palloc'd, what is to be said of findings that are no class: they are not
 * looked at; NULL if there are none.
 */
extern char *pneumo_dataset_other_findings(const PneumoDataset *dataset);

/* Returns the warning that a column with splits is not used, palloc'd; NULL if there is nothing to say. */
extern char *pneumo_dataset_unused_split(const PneumoDataset *dataset);

/*
 * Returns what the catalog and pneumo_plan show: rows or groups by split and
 * class, as {"train": {"NORMAL": n, ...}, ...}, and the rows that were left out.
 */
extern Jsonb *pneumo_dataset_counts_json(const PneumoDataset *dataset, bool groups);
extern Jsonb *pneumo_dataset_left_out_json(const PneumoDataset *dataset);

/* Fills the manifest with a dataset's samples; its entries are palloc'd (huge). */
extern void pneumo_dataset_manifest(PneumoManifest *manifest, const PneumoDataset *dataset);

/*
 * Drops the samples on sample_splits whose image or group the manifest has on
 * one of manifest_splits, counts them as PNEUMO_OUT_SEEN, and returns their
 * number.  Both lists are by PneumoSplit.
 */
extern int64 pneumo_dataset_exclude(PneumoDataset *dataset, const bool *sample_splits,
									const PneumoManifest *manifest, const bool *manifest_splits);

/* Whether the image or group of any sample on sample_splits is one that the manifest has on manifest_splits. */
extern bool pneumo_dataset_has(const PneumoDataset *dataset, const bool *sample_splits,
							   const PneumoManifest *manifest, const bool *manifest_splits);

/* ----------------------------------- tables of users (prepare_table.c) */

/*
 * Sets parallel_workers on a table and those below it, as the current user (0: one
 * a core); returns the number.
 */
extern int pneumo_table_set_workers(Oid relid, int workers);

#endif /* PNEUMO_PG_SOURCE_H */
