/*-------------------------------------------------------------------------
 *
 * explore.h
 *	  Exploring images before a network learns them: the check of a source,
 *	  eigenimages.
 *
 * Everything here runs in the caller's own backend, in one thread, as the current
 * user and under the snapshot of the calling query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_EXPLORE_H
#define PNEUMO_PG_EXPLORE_H

#include "nodes/execnodes.h"
#include "utils/jsonb.h"

#include "pg/config/config.h"
#include "pg/source/source.h"

/* ------------------------------------------ check of a source (check_*.c) */

/* pneumo_check measures images by cells of 8 x 8 pixels. */
#define PNEUMO_CHECK_ROWS 8
#define PNEUMO_CHECK_COLUMNS 9
#define PNEUMO_CHECK_CELL 8
#define PNEUMO_CHECK_THUMB_ROWS 16 /* the same, by 4 x 4 pixels */
#define PNEUMO_CHECK_THUMB_COLUMNS 18
#define PNEUMO_CHECK_THUMB (PNEUMO_CHECK_THUMB_ROWS * PNEUMO_CHECK_THUMB_COLUMNS)

/* Tags of DICOM images whose values are compared with the labels, and how many values of each. */
#define PNEUMO_CHECK_TAGS 5
#define PNEUMO_CHECK_VALUES 29 /* and three of pneumo_check's own: STATS_MAX_FEATURES in all */

typedef struct PneumoCheckValues
{
	int n;
	char *text[PNEUMO_CHECK_VALUES];
} PneumoCheckValues;

/* A readable image with its label, group and split where it has them. */
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
	int16 label;    /* index into the classes, -1 none; of findings always -1 */
	uint64 present; /* findings, a bit for each class */
	uint64 known;
	int16 split;                        /* PneumoSplit, -1 none */
	uint16 identifying;                 /* bits of the tags that name a person */
	uint8 tag_value[PNEUMO_CHECK_TAGS]; /* 0: no DICOM image */
	uint8 thumb[PNEUMO_CHECK_THUMB];
	char *tag_patient; /* PatientID; NULL without */
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
	bool multi_label; /* the classes are findings, of which an image can have several */
	int n_classes;
	char *classes[NN_MAX_CLASSES];
	int max_subjects;  /* rows that name subjects, per finding */
	int64 near_images; /* compared for near duplicates */
	int near_distance; /* bits of the hash */
	int64 n_dicom;
	PneumoCheckValues tag_values[PNEUMO_CHECK_TAGS];
} PneumoCheck;

/* Adds a row to the result: severity is "ok", "note" or "warning"; subject NULL means the finding's summary. */
extern void pneumo_check_put(PneumoCheck *check, const char *finding, const char *severity,
							 const char *subject, int64 n, const char *detail);

/* Returns whether an image has a class (1), or not (0); NN_UNKNOWN where it has no label or nobody knows. */
extern int pneumo_check_target(const PneumoCheck *check, const PneumoCheckItem *item, int class);

/* Put the findings.  All want the items sorted by hash; pneumo_check_duplicates() does that. */
extern void pneumo_check_duplicates(PneumoCheck *check);
extern void pneumo_check_near(PneumoCheck *check);
extern void pneumo_check_groups(PneumoCheck *check);
extern void pneumo_check_sizes(PneumoCheck *check);
extern void pneumo_check_negatives(PneumoCheck *check);
extern void pneumo_check_classes(PneumoCheck *check);
extern void pneumo_check_shortcut(PneumoCheck *check);
extern void pneumo_check_dicom(PneumoCheck *check);

/* Reads the tags of a DICOM image, which has been decoded before, into its item. */
extern void pneumo_check_read_tags(PneumoCheck *check, PneumoCheckItem *item, const uint8 *bytes,
								   size_t n_bytes);

/* Returns which of two classes is the positive one: by the config, else by name. */
extern int pneumo_check_positive_class(const PneumoCheck *check);

/* Returns "warning" if something that is no radiology tells the classes with this AUC, else "ok". */
extern const char *pneumo_check_shortcut_severity(double auc);

/* Returns "train", or "train and test", of a set of bits by split; a constant. */
extern const char *pneumo_check_splits(int splits);

/* --------------------------------------------- eigenimages (eigenimages.c) */

/*
 * Takes a principal component (from 1): the fraction of the variance that it
 * explains, and its picture, a grey JPEG that is freed after the call.
 */
typedef void (*PneumoEigenimagePut)(void *arg, int component, double explained, bytea *picture);

/*
 * Computes the principal components of a source's images and puts them, the one
 * that explains most first; returns their number.  The config is that of
 * pneumo_eigenimages(), and so are the errors.  With tell, notices say which images
 * are left out.
 */
extern int pneumo_eigenimages_compute(Oid relid, Jsonb *config, bool tell, PneumoEigenimagePut put,
									  void *arg);

/* ------------------------------------------------ phantoms (images.c) */

#define PNEUMO_MIN_PHANTOM_SIDE 64
#define PNEUMO_MAX_PHANTOM_SIDE 2048

/* Draws the JPEG that pneumo_phantom() returns; palloc'd. */
extern bytea *pneumo_phantom_draw(uint64 seed, bool pneumonia, int side);

#endif /* PNEUMO_PG_EXPLORE_H */
