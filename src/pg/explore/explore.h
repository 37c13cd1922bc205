/*-------------------------------------------------------------------------
 *
 * explore.h
 *	  The part of src/pg that looks at images before any model does: what its
 *	  files share among themselves, beside pneumo.h and training.h.
 *
 * Rows of a source (source_rows.c), pictures (image_aggregates.c), the check
 * of a source (check_source.c reads it, check_duplicates.c, check_tables.c and
 * check_shortcut.c find).
 *
 * Everything here runs in the caller's own backend, in one thread, as the
 * current user and under the snapshot of the calling query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_EXPLORE_H
#define PNEUMO_PG_EXPLORE_H

#include "nodes/execnodes.h"

#include "pg/train/training.h"
#include "stats/stats.h"

/* ------------------------------------------- rows of a source (source_rows.c) */

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

/*
 * The config of a function with keys of its own (NULL-ended list): all others
 * are pneumo_train's, so that one object serves both.  The label column may be
 * missing if it is not named: label_column is NULL then.
 */
extern PneumoConfig *pneumo_explore_config(Oid relid, Jsonb *given, const char *const *own_keys);

/* Server memory for src/stats; its stop callback throws. */
extern void pneumo_stats_env(StatsEnv *env);

/* --------------------------------------------- pictures (image_aggregates.c) */

/* Pixels (channels 1 or 3) as a JPEG datum, palloc'd. */
extern bytea *pneumo_picture(const uint8 *pixels, int height, int width, int channels);

/* ------------------------------------------ check of a source (check_*.c) */

/* Images are looked at as cells of 8 x 8 pixels. */
#define PNEUMO_CHECK_ROWS 8
#define PNEUMO_CHECK_COLUMNS 9
#define PNEUMO_CHECK_CELL 8
#define PNEUMO_CHECK_THUMB (18 * 16) /* the same, by 4 x 4 pixels */

/* A readable image with its label, group and side where it has them. */
typedef struct PneumoCheckItem
{
	uint8 sha256[PNEUMO_SHA256_LEN]; /* of the bytes */
	uint64 dhash;
	uint64 cluster; /* of the group's key, else of the image */
	char *key;      /* as pneumo_row_name() */
	char *group;    /* NULL without */
	int64 bytes;
	int32 width;
	int32 height;
	float mean;   /* of brightness, 0..255 */
	float spread; /* its standard deviation over the pixels */
	int16 components;
	int16 label; /* index into the classes, -1 none */
	int16 split; /* PneumoSplit, -1 none */
	uint8 thumb[PNEUMO_CHECK_THUMB];
} PneumoCheckItem;

typedef struct PneumoCheck
{
	ReturnSetInfo *result;
	const PneumoConfig *config;
	const PneumoSource *source;
	MemoryContext cxt; /* of the items and what they point to */
	PneumoCheckItem *items;
	int64 n;
	int64 max;
	int n_classes;
	char *classes[NN_MAX_CLASSES];
	int max_subjects;  /* rows that name subjects, per finding */
	int64 near_images; /* compared for near duplicates */
	int near_distance; /* bits of the hash */
} PneumoCheck;

/* One row of the result: severity "ok", "note" or "warning"; subject NULL: the finding's summary. */
extern void pneumo_check_put(PneumoCheck *check, const char *finding, const char *severity,
							 const char *subject, int64 n, const char *detail);

/* The findings.  All want the items sorted by hash; pneumo_check_duplicates() does that. */
extern void pneumo_check_duplicates(PneumoCheck *check);
extern void pneumo_check_near(PneumoCheck *check);
extern void pneumo_check_groups(PneumoCheck *check);
extern void pneumo_check_sizes(PneumoCheck *check);
extern void pneumo_check_classes(PneumoCheck *check);
extern void pneumo_check_shortcut(PneumoCheck *check);

/* "train", or "train and test"; of a set of bits by side.  Constant. */
extern const char *pneumo_check_sides(int sides);

#endif /* PNEUMO_PG_EXPLORE_H */
