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

#include "access/htup.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/config/config.h"

/* ---------------------------------------------------- table (source.c) */

typedef enum PneumoLabelKind
{
	PNEUMO_LABEL_BOOLEAN,
	PNEUMO_LABEL_INTEGER,
	PNEUMO_LABEL_TEXT,
	PNEUMO_LABEL_ENUM
} PneumoLabelKind;

#define PNEUMO_MAX_KEY_COLUMNS 8

typedef struct PneumoSource
{
	Oid relid;
	char *name; /* schema-qualified and quoted */
	PneumoLabelKind label_kind;
	Oid label_type; /* base type */
	int col_image,  /* positions in the query, from 1; 0: not there */
		col_label, col_group, col_split, col_weight, col_key[PNEUMO_MAX_KEY_COLUMNS];
	int n_key;
	char *query;        /* SELECT the columns, in that order, FROM name */
	char *label_query;  /* SELECT label, count(*) ... GROUP BY */
	char *image_column; /* names, resolved */
	char *label_column;
} PneumoSource;

/*
 * Checks relation, columns, types and the current user's privileges; locks
 * the relation in share mode until the end of the transaction.
 */
extern PneumoSource *pneumo_source_check(Oid relid, const PneumoConfig *config);

/* Classes and labelled rows, without reading images; at most NN_MAX_CLASSES. */
typedef struct PneumoLabels
{
	int n;
	char *name[NN_MAX_CLASSES];
	int64 rows[NN_MAX_CLASSES];
	int64 unlabelled;
	int64 total;
} PneumoLabels;

extern void pneumo_source_labels(PneumoLabels *labels, const PneumoSource *source);

/*
 * Order of the classes by kind; for two, [negative, positive].  Errors: fewer
 * than two, no positive class known.
 */
extern void pneumo_order_classes(char **ordered, int n, char *const *names, const PneumoSource *source,
								 const char *positive_class);

/* ------------------------------------------------ rows (source_rows.c) */

typedef struct PneumoRow
{
	int64 number; /* from 1, in the order of reading */
	char *key;    /* texts, NULL where null or not there */
	char *label;  /* booleans as true and false */
	char *group;
	char *split;
	bool has_image;
	Datum image; /* bytea, perhaps toasted; valid with has_image */
} PneumoRow;

/* In a context that is reset after the row; must not leave it switched. */
typedef void (*PneumoRowVisit)(void *arg, const PneumoRow *row);

/* Visits all rows by a cursor; returns their number. */
extern int64 pneumo_source_rows(const PneumoSource *source, PneumoRowVisit visit, void *arg);

/* How messages name a row: its key, or "number n"; palloc'd. */
extern char *pneumo_row_name(const PneumoRow *row);

/* -------------------------------------------- split of a key (split.c) */

extern PneumoSplit pneumo_split_key(const void *key, size_t key_bytes, int split_seed,
									double validation_split, double test_split);

/* ---------------------------------- dataset (dataset.c, split_rules.c) */

typedef struct PneumoSample
{
	uint8 sha256[PNEUMO_SHA256_LEN]; /* of the image's bytes */
	uint8 group[PNEUMO_SHA256_LEN];  /* SHA-256 of 'g' and the group key, or of
											 * 'i' and the image's hash without one */
	int64 slot;                      /* what the sink returned; -1 none */
	char *key;                       /* text of the row's key; NULL without key */
	float weight;
	int16 label;  /* class index */
	int8 split;   /* PneumoSplit */
	bool dropped; /* by the duplicate rules */
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
	int n_classes;
	char *classes[NN_MAX_CLASSES];
	int64 n_rows; /* read */
	int64 n;      /* samples, sorted by (sha256, label, group) */
	PneumoSample *samples;
	int64 left_out[PNEUMO_N_LEFT_OUT];
	bool history_unknown;          /* nobody knows all images that a judged version was trained on */
	char *first_bad;               /* "key: reason" of the first unreadable row */
	char *first_conflict;          /* keys of the first conflicting rows */
	int64 rows[3][NN_MAX_CLASSES]; /* by split and class, of counted samples */
	int64 groups[3][NN_MAX_CLASSES];
	int64 split_rows[3];
	int64 split_groups[3];
	uint8 fingerprint[PNEUMO_SHA256_LEN];
} PneumoDataset;

/*
 * What becomes of a readable image while the table is read: returns the slot.
 * Called for rows of the wanted splits only.
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
	int n_classes; /* in order; a label that is none of them is an error */
	char **classes;
} PneumoReading;

/*
 * Reads the whole table by a cursor as the current user, under a snapshot of
 * its own, and applies the rules for unreadable, unlabelled and duplicate
 * rows.  Needs a transaction; allocates in a child of the current context.
 */
extern PneumoDataset *pneumo_dataset_read(const PneumoSource *source, const PneumoConfig *config,
										  const PneumoReading *reading);

/* Duplicate and leakage rules, sorting, counts, fingerprint (split_rules.c). */
extern void pneumo_dataset_settle(PneumoDataset *dataset, const PneumoConfig *config);

/*
 * Errors for what no training can do without (a class without a group on a
 * side); returns the warnings, strings, for sides with fewer than 20 groups of
 * a class.
 */
extern List *pneumo_dataset_require(const PneumoDataset *dataset, const PneumoConfig *config);


/* jsonb objects for catalog and plan: {"train": {"NORMAL": n, …}, …} and the left-out counts. */
extern Jsonb *pneumo_dataset_counts_json(const PneumoDataset *dataset, bool groups);
extern Jsonb *pneumo_dataset_left_out_json(const PneumoDataset *dataset);

/* The manifest of a dataset's samples; entries palloc'd (huge). */
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

/* Sets parallel_workers on a table and those below it, as the current user; 0: one a core. */
extern int pneumo_table_set_workers(Oid relid, int workers);

#endif /* PNEUMO_PG_SOURCE_H */
