/*-------------------------------------------------------------------------
 *
 * check_source.c
 *	  pneumo_check: what is wrong with a table of images, before a network
 *	  learns it.
 *
 * Reads every row once, decodes every image to 72 x 64 pixels, and keeps some
 * 400 bytes of each, within pneumo.train_memory; the findings are then computed
 * from these.  A finding is a row without subject (its summary, also when all
 * is well), followed by rows that name subjects, the worst or first few.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/base/json.h"
#include "pg/config/config.h"
#include "pg/explore/explore.h"
#include "pg/source/source.h"

PG_FUNCTION_INFO_V1(pneumo_check);

#define DEFAULT_SUBJECTS 10
#define DEFAULT_NEAR_IMAGES 20000
#define MAX_NEAR_IMAGES 100000
#define DEFAULT_NEAR_DISTANCE 4

static const char *const own_keys[] = {"max_subjects", "near_duplicate_images", "near_duplicate_distance",
									   NULL};

/* A row that something is wrong with. */
typedef struct Subject
{
	char *name;
	char *detail;
} Subject;

/* Rows with the same trouble: how many, and the first of them. */
typedef struct Trouble
{
	int64 n;
	List *subjects; /* of Subject */
} Trouble;

typedef struct Reading
{
	PneumoCheck *check;
	int64 rows;
	Trouble no_image;
	Trouble no_label;
	Trouble unreadable;
	Trouble no_split;
} Reading;

void
pneumo_check_put(PneumoCheck *check, const char *finding, const char *severity, const char *subject, int64 n,
				 const char *detail)
{
	Datum values[5];
	bool nulls[5] = {false};

	values[0] = CStringGetTextDatum(finding);
	values[1] = CStringGetTextDatum(severity);
	nulls[2] = subject == NULL;
	if (subject != NULL)
		values[2] = CStringGetTextDatum(subject);
	values[3] = Int64GetDatum(n);
	nulls[4] = detail == NULL;
	if (detail != NULL)
		values[4] = CStringGetTextDatum(detail);
	tuplestore_putvalues(check->result->setResult, check->result->setDesc, values, nulls);
}

const char *
pneumo_check_splits(int splits)
{
	static const char *const names[] =
		{"no split", "train",          "validation",          "train and validation",
		 "test",     "train and test", "validation and test", "train, validation and test"};

	return names[splits & 7];
}

/* ----------------------------------------------------------------- reading */

static void
add_trouble(Reading *reading, Trouble *trouble, const PneumoRow *row, const char *detail)
{
	MemoryContext old;
	Subject *subject;

	if (trouble->n++ >= reading->check->max_subjects)
		return;
	old = MemoryContextSwitchTo(reading->check->cxt);
	subject = palloc(sizeof(Subject));
	subject->name = pneumo_row_name(row);
	subject->detail = detail == NULL ? NULL : pstrdup(detail);
	trouble->subjects = lappend(trouble->subjects, subject);
	MemoryContextSwitchTo(old);
}

static int
find_class(PneumoCheck *check, const char *label)
{
	int i;

	for (i = 0; i < check->n_classes; i++)
		if (strcmp(check->classes[i], label) == 0)
			return i;
	if (check->n_classes >= NN_MAX_CLASSES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("label column \"%s\" has more than %d different values",
							   check->source->label_column, NN_MAX_CLASSES)));
	check->classes[check->n_classes] = MemoryContextStrdup(check->cxt, label);
	return check->n_classes++;
}

int
pneumo_check_target(const PneumoCheck *check, const PneumoCheckItem *item, int class)
{
	uint64 bit = UINT64CONST(1) << class;

	if (!check->multi_label)
		return item->label < 0 ? NN_UNKNOWN : item->label == class;
	return (item->known & bit) == 0 ? NN_UNKNOWN : (item->present & bit) != 0;
}

/* Fills the findings of an item. */
static void
read_findings(PneumoCheckItem *item, PneumoCheck *check, const PneumoRowFindings *findings)
{
	int i;

	for (i = 0; i < findings->n_present; i++)
		item->present |= UINT64CONST(1) << find_class(check, findings->present[i]);
	item->known = item->present;
	for (i = 0; i < findings->n_absent; i++)
		item->known |= UINT64CONST(1) << find_class(check, findings->absent[i]);
	if (findings->complete)
		item->known = PG_UINT64_MAX;
}

/* Fills brightness, hash and thumbnail of an item from 72 x 64 pixels. */
static void
measure(PneumoCheckItem *item, const uint8 *pixels)
{
	const int width = PNEUMO_CHECK_COLUMNS * PNEUMO_CHECK_CELL;
	const int height = PNEUMO_CHECK_ROWS * PNEUMO_CHECK_CELL;
	uint32 cell[PNEUMO_CHECK_ROWS][PNEUMO_CHECK_COLUMNS] = {{0}};
	uint32 quarter[PNEUMO_CHECK_THUMB] = {0};
	uint64 sum = 0;
	uint64 squares = 0;
	double n = (double) width * height;
	double mean;
	int y;
	int x;
	int i;

	for (y = 0; y < height; y++)
		for (x = 0; x < width; x++)
		{
			uint32 v = pixels[y * width + x];

			cell[y / PNEUMO_CHECK_CELL][x / PNEUMO_CHECK_CELL] += v;
			quarter[y / 4 * (width / 4) + x / 4] += v;
			sum += v;
			squares += v * v;
		}
	for (i = 0; i < PNEUMO_CHECK_THUMB; i++)
		item->thumb[i] = (uint8) ((quarter[i] + 8) / 16);
	mean = (double) sum / n;
	item->mean = (float) mean;
	item->spread = (float) sqrt(Max((double) squares / n - mean * mean, 0.0));
	item->dhash = 0;
	for (y = 0; y < PNEUMO_CHECK_ROWS; y++)
		for (x = 0; x + 1 < PNEUMO_CHECK_COLUMNS; x++)
			item->dhash = (item->dhash << 1) | (cell[y][x] < cell[y][x + 1]);
}

/* Fills an item from a row's image; returns false, with the error, if it cannot be read. */
static bool
read_image(PneumoCheck *check, PneumoCheckItem *item, const PneumoRow *row, ImgError *error)
{
	ImgPreprocess pre = {PNEUMO_CHECK_ROWS * PNEUMO_CHECK_CELL, PNEUMO_CHECK_COLUMNS * PNEUMO_CHECK_CELL, 1,
						 IMG_INTERPOLATION_AREA};
	uint8 pixels[PNEUMO_CHECK_ROWS * PNEUMO_CHECK_COLUMNS * PNEUMO_CHECK_CELL * PNEUMO_CHECK_CELL];
	ImgLimits limits;
	ImgInfo info;
	bytea *bytes;
	size_t n_bytes;

	if (!pneumo_image_bytes(&bytes, row->image, error))
		return false;
	n_bytes = VARSIZE_ANY_EXHDR(bytes);
	pneumo_image_limits(&limits);
	limits.interrupt = NULL; /* only the header is read */
	error->status = img_info(&info, (const uint8 *) VARDATA_ANY(bytes), n_bytes, &limits, error);
	if (error->status == IMG_OK)
		error->status = pneumo_pixels(pixels, (const uint8 *) VARDATA_ANY(bytes), n_bytes, &pre, error);
	if (error->status != IMG_OK)
	{
		if (!pneumo_image_is_bad(error->status))
			pneumo_image_ereport(error);
		return false;
	}
	pneumo_sha256(item->sha256, VARDATA_ANY(bytes), n_bytes);
	item->bytes = (int64) n_bytes;
	item->width = (int32) info.width;
	item->height = (int32) info.height;
	item->components = (int16) info.components;
	measure(item, pixels);
	if (info.format == IMG_FORMAT_DICOM)
		pneumo_check_read_tags(check, item, (const uint8 *) VARDATA_ANY(bytes), n_bytes);
	return true;
}

/* Returns the split as in training; -1 if the split column does not say one. */
static int
find_split(const PneumoCheck *check, const PneumoCheckItem *item, const PneumoRow *row)
{
	const PneumoConfig *config = check->config;
	PneumoSplit split;

	if (check->source->col_split > 0)
	{
		if (row->split == NULL)
			return -1;
		return pneumo_split_parse(row->split, &split) ? (int) split : -1;
	}
	if (row->group != NULL)
		return pneumo_split_group(row->group, config->split_seed, config->validation_split,
								  config->test_split);
	return pneumo_split_key(item->sha256, PNEUMO_SHA256_LEN, config->split_seed, config->validation_split,
							config->test_split);
}

static void
append_item(PneumoCheck *check, const PneumoCheckItem *item, const PneumoRow *row)
{
	MemoryContext old;
	PneumoCheckItem *place;

	if (check->n >= check->max)
	{
		check->max *= 2;
		check->items = repalloc_huge(check->items, check->max * sizeof(PneumoCheckItem));
	}
	if (check->n % 1024 == 0 &&
		MemoryContextMemAllocated(check->cxt, true) / 1024 > (Size) pneumo_train_memory)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s has more images than pneumo.train_memory (%d MB) can hold the figures of: %lld",
						check->source->name, pneumo_train_memory / 1024, (long long) check->n),
				 errhint("Check a part of it through a view.")));
	place = &check->items[check->n++];
	*place = *item;
	old = MemoryContextSwitchTo(check->cxt);
	place->key = pneumo_row_name(row);
	place->group = row->group == NULL ? NULL : pstrdup(row->group);
	MemoryContextSwitchTo(old);
}

/* A PneumoRowVisit: makes an item of a row, or notes why it is none. */
static void
visit(void *arg, const PneumoRow *row)
{
	Reading *reading = arg;
	PneumoCheck *check = reading->check;
	PneumoCheckItem item;
	ImgError error;
	uint8 group[PNEUMO_SHA256_LEN];

	if (!row->has_image)
	{
		add_trouble(reading, &reading->no_image, row, NULL);
		return;
	}
	memset(&item, 0, sizeof(item));
	item.label = -1;
	if (row->label != NULL)
		item.label = (int16) find_class(check, row->label);
	else if (row->findings != NULL)
		read_findings(&item, check, row->findings);
	else if (pneumo_source_labelled(check->source))
		add_trouble(reading, &reading->no_label, row, NULL);
	if (!read_image(check, &item, row, &error))
	{
		add_trouble(reading, &reading->unreadable, row, pneumo_image_reason(&error));
		return;
	}
	item.split = (int16) find_split(check, &item, row);
	if (item.split < 0)
		add_trouble(reading, &reading->no_split, row,
					row->split == NULL ? "no value"
									   : psprintf("\"%s\" is not train, validation or test", row->split));
	if (row->group != NULL)
		pneumo_sha256(group, row->group, strlen(row->group));
	else
		memcpy(group, item.sha256, sizeof(group));
	memcpy(&item.cluster, group, sizeof(item.cluster));
	append_item(check, &item, row);
}

/* ---------------------------------------------------------- rows with trouble */

static void
put_trouble(PneumoCheck *check, const Trouble *trouble, const char *finding, const char *severity,
			const char *detail)
{
	ListCell *lc;

	pneumo_check_put(check, finding, trouble->n > 0 ? severity : "ok", NULL, trouble->n, detail);
	foreach (lc, trouble->subjects)
	{
		Subject *subject = lfirst(lc);

		pneumo_check_put(check, finding, severity, subject->name, 1, subject->detail);
	}
}

static void
put_rows(const Reading *reading)
{
	PneumoCheck *check = reading->check;

	pneumo_check_put(check, "rows", check->n > 0 ? "ok" : "warning", NULL, reading->rows,
					 psprintf("%lld with an image that can be read", (long long) check->n));
	put_trouble(check, &reading->no_image, "no image", "note",
				"rows without image; training leaves them out");
	put_trouble(check, &reading->unreadable, "unreadable", "warning",
				"images that cannot be read; training leaves them out");
	if (pneumo_source_labelled(check->source))
		put_trouble(check, &reading->no_label, "no label", "note",
					"images without label; training leaves them out");
	else
		pneumo_check_put(check, "no label", "note", NULL, check->n,
						 "there is no label column; name it in config key label_column");
	if (check->source->col_split > 0)
		put_trouble(check, &reading->no_split, "no split", "warning",
					"images that the split column puts on no split");
}

/* --------------------------------------------------------------------- SQL */

static int
read_int(Jsonb *given, const char *key, int otherwise, int low, int high)
{
	JsonbValue *value = pneumo_json_get(&given->root, key);

	if (pneumo_json_is_null(value))
		return otherwise;
	return (int) pneumo_json_read_int(psprintf("config key \"%s\"", key), value, low, high);
}

Datum
pneumo_check(PG_FUNCTION_ARGS)
{
	Oid relid = DatumGetObjectId(pneumo_argument(fcinfo, 0));
	Jsonb *given = pneumo_config_argument(fcinfo, 1);
	PneumoConfig *config;
	PneumoCheck check;
	int i;
	Reading reading;

	InitMaterializedSRF(fcinfo, 0);
	memset(&check, 0, sizeof(check));
	memset(&reading, 0, sizeof(reading));
	check.result = (ReturnSetInfo *) fcinfo->resultinfo;
	config = pneumo_explore_config(relid, given, own_keys);
	check.config = config;
	check.max_subjects = read_int(given, "max_subjects", DEFAULT_SUBJECTS, 0, 10000);
	check.near_images = read_int(given, "near_duplicate_images", DEFAULT_NEAR_IMAGES, 0, MAX_NEAR_IMAGES);
	check.near_distance = read_int(given, "near_duplicate_distance", DEFAULT_NEAR_DISTANCE, 0, 16);
	check.source = pneumo_source_check(relid, config);
	check.multi_label = pneumo_source_is_multi_label(check.source);
	for (i = 0; i < check.source->n_findings; i++)
		check.classes[check.n_classes++] = check.source->finding[i];
	check.cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo check", ALLOCSET_DEFAULT_SIZES);
	check.max = 1024;
	check.items = MemoryContextAllocHuge(check.cxt, check.max * sizeof(PneumoCheckItem));
	reading.check = &check;
	reading.rows = pneumo_source_rows(check.source, visit, &reading);

	put_rows(&reading);
	pneumo_check_duplicates(&check);
	pneumo_check_near(&check);
	pneumo_check_groups(&check);
	pneumo_check_sizes(&check);
	pneumo_check_negatives(&check);
	pneumo_check_classes(&check);
	pneumo_check_shortcut(&check);
	pneumo_check_dicom(&check);
	MemoryContextDelete(check.cxt);
	return (Datum) 0;
}
