/*-------------------------------------------------------------------------
 *
 * check_dicom.c
 *	  What pneumo_check finds in the tags of DICOM images: patients that are not
 *	  those of the group column, persons who are named, and tags that go with the
 *	  label.
 *
 * Tags are read from the bytes that are decoded anyway, in front of the pixels.  A
 * table without DICOM images has none of these findings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/base/stats_env.h"
#include "pg/explore/explore.h"

#define TAG(group, element) ((uint32) (group) << 16 | (element))
#define TAG_PATIENT TAG(0x0010, 0x0020)
#define TAG_REMOVED TAG(0x0012, 0x0062)
#define LAST_GROUP 0x0028
#define MAX_ELEMENTS 10000 /* that are looked at in a file */
#define MAX_TEXT 65        /* bytes of a value */
#define CONFIDENCE 0.95
#define SEED 0

/* Values of each tag before the file's own ones. */
#define VALUE_NOT_DICOM 0
#define VALUE_NONE 1
#define VALUE_OTHER 2
#define OWN_VALUES 3

static const struct
{
	uint32 tag;
	const char *name;
} features[PNEUMO_CHECK_TAGS] = {
	{TAG(0x0008, 0x0070), "manufacturer"},
	{TAG(0x0008, 0x1090), "model of the device"},
	{TAG(0x0018, 0x0015), "body part"},
	{TAG(0x0018, 0x5101), "view position"},
	{TAG(0x0028, 0x0004), "photometric interpretation"},
};

#define FEATURE_VIEW 3

/* Tags that name a person or lead to one. */
static const struct
{
	uint32 tag;
	const char *name;
} identifying[] = {
	{TAG(0x0008, 0x0050), "AccessionNumber"},
	{TAG(0x0008, 0x0080), "InstitutionName"},
	{TAG(0x0008, 0x0081), "InstitutionAddress"},
	{TAG(0x0008, 0x0090), "ReferringPhysicianName"},
	{TAG(0x0008, 0x1050), "PerformingPhysicianName"},
	{TAG(0x0008, 0x1070), "OperatorsName"},
	{TAG(0x0010, 0x0010), "PatientName"},
	{TAG_PATIENT, "PatientID"},
	{TAG(0x0010, 0x0030), "PatientBirthDate"},
	{TAG(0x0010, 0x1000), "OtherPatientIDs"},
	{TAG(0x0010, 0x1040), "PatientAddress"},
	{TAG(0x0010, 0x2154), "PatientTelephoneNumbers"},
};

/* ----------------------------------------------------------------- reading */

/* Copies a value without the blanks around it; what is not printable ASCII becomes "?". */
static void
copy_value(char *dst, const ImgDicomElement *element)
{
	const uint8 *value = element->value;
	size_t n = element->n_bytes;
	size_t i;

	for (; n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\0'); n--)
		;
	for (; n > 0 && *value == ' '; n--)
		value++;
	for (i = 0; i < n && i < MAX_TEXT - 1; i++)
		dst[i] = value[i] >= 32 && value[i] < 127 ? (char) value[i] : '?';
	dst[i] = '\0';
}

/* Returns the number of a tag's value, which is noted if it is new. */
static uint8
value_number(PneumoCheck *check, int feature, const char *text)
{
	PneumoCheckValues *values = &check->tag_values[feature];
	int i;

	if (text[0] == '\0')
		return VALUE_NONE;
	for (i = 0; i < values->n; i++)
		if (pg_strcasecmp(values->text[i], text) == 0)
			return (uint8) (OWN_VALUES + i);
	if (values->n >= PNEUMO_CHECK_VALUES)
		return VALUE_OTHER;
	values->text[values->n] = MemoryContextStrdup(check->cxt, text);
	return (uint8) (OWN_VALUES + values->n++);
}

/* Takes an element outside sequences. */
static void
take_element(PneumoCheck *check, PneumoCheckItem *item, const ImgDicomElement *element, bool *removed)
{
	char text[MAX_TEXT];
	int i;

	copy_value(text, element);
	if (text[0] == '\0')
		return;
	if (element->tag == TAG_REMOVED)
		*removed = pg_strcasecmp(text, "YES") == 0;
	if (element->tag == TAG_PATIENT)
		item->tag_patient = MemoryContextStrdup(check->cxt, text);
	for (i = 0; i < PNEUMO_CHECK_TAGS; i++)
		if (features[i].tag == element->tag)
			item->tag_value[i] = value_number(check, i, text);
	for (i = 0; i < (int) lengthof(identifying); i++)
		if (identifying[i].tag == element->tag)
			item->identifying |= (uint16) (1 << i);
}

void
pneumo_check_read_tags(PneumoCheck *check, PneumoCheckItem *item, const uint8 *bytes, size_t n_bytes)
{
	ImgDicom dicom;
	ImgDicomElement element;
	ImgError error;
	ImgLimits limits;
	bool removed = false;
	int i;

	memset(item->tag_value, VALUE_NONE, sizeof(item->tag_value));
	pneumo_image_limits(&limits);
	limits.interrupt = NULL; /* elements in front of the pixels are few */
	error.status = img_dicom_open(&dicom, bytes, n_bytes, &limits, &error);
	for (i = 0; error.status == IMG_OK && i < MAX_ELEMENTS; i++)
	{
		error.status = img_dicom_next(&dicom, &element, &error);
		if (error.status != IMG_OK || element.event == IMG_DICOM_END ||
			(dicom.depth == 0 && element.tag >> 16 > LAST_GROUP))
			break;
		if (dicom.depth == 0 && element.event == IMG_DICOM_VALUE)
			take_element(check, item, &element, &removed);
	}
	img_dicom_close(&dicom);
	/* what such a file has are pseudonyms */
	if (removed)
		item->identifying = 0;
	check->n_dicom++;
}

/* ---------------------------------------------------------------- patients */

static int
compare_texts(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a == NULL) - (b == NULL);
	return strcmp(a, b);
}

static int
compare_by_tag(const void *left, const void *right, void *arg)
{
	const PneumoCheckItem *a = *(const PneumoCheckItem *const *) left;
	const PneumoCheckItem *b = *(const PneumoCheckItem *const *) right;
	int c = compare_texts(a->tag_patient, b->tag_patient);

	(void) arg;
	return c != 0 ? c : compare_texts(a->group, b->group);
}

static int
compare_by_group(const void *left, const void *right, void *arg)
{
	const PneumoCheckItem *a = *(const PneumoCheckItem *const *) left;
	const PneumoCheckItem *b = *(const PneumoCheckItem *const *) right;
	int c = compare_texts(a->group, b->group);

	(void) arg;
	return c != 0 ? c : compare_texts(a->tag_patient, b->tag_patient);
}

/* Puts one patient of the tags in several groups, or one group with several patients. */
static void
put_patient(PneumoCheck *check, PneumoCheckItem *const *items, int64 n, int64 others, bool by_tag)
{
	const char *first = by_tag ? items[0]->group : items[0]->tag_patient;
	const char *last = by_tag ? items[n - 1]->group : items[n - 1]->tag_patient;
	int splits = 0;
	int64 i;

	for (i = 0; i < n; i++)
		if (items[i]->split >= 0)
			splits |= 1 << items[i]->split;
	if (by_tag)
		pneumo_check_put(check, "tag patient in two groups", "warning", pneumo_clip(items[0]->tag_patient), n,
						 psprintf("in %lld groups, such as %s and %s, on %s", (long long) others,
								  pneumo_clip(first), pneumo_clip(last), pneumo_check_splits(splits)));
	else
		pneumo_check_put(check, "group of two tag patients", "warning", pneumo_clip(items[0]->group), n,
						 psprintf("%lld patients by PatientID, such as %s and %s", (long long) others,
								  pneumo_clip(first), pneumo_clip(last)));
}

/*
 * Goes through items that are sorted by one of both and then by the other; puts what
 * has several others if put, and returns how many have.
 */
static int64
visit_patients(PneumoCheck *check, PneumoCheckItem *const *order, int64 n, bool by_tag, bool put,
			   int64 *different)
{
	int64 found = 0;
	int64 i;
	int64 end;

	*different = 0;
	for (i = 0; i < n; i = end)
	{
		int64 others = 1;

		CHECK_FOR_INTERRUPTS();
		for (end = i + 1; end < n; end++)
		{
			const PneumoCheckItem *before = order[end - 1];
			const PneumoCheckItem *item = order[end];

			if (by_tag ? strcmp(before->tag_patient, item->tag_patient) != 0
					   : strcmp(before->group, item->group) != 0)
				break;
			others += by_tag ? strcmp(before->group, item->group) != 0
							 : strcmp(before->tag_patient, item->tag_patient) != 0;
		}
		++*different;
		if (others > 1 && found++ < check->max_subjects && put)
			put_patient(check, order + i, end - i, others, by_tag);
	}
	return found;
}

/* Puts the findings about patients of the tags and of the group column. */
static void
check_patients(PneumoCheck *check)
{
	PneumoCheckItem **order =
		MemoryContextAllocHuge(check->cxt, Max(1, check->n) * sizeof(PneumoCheckItem *));
	int64 n = 0;
	int64 without = 0;
	int64 different;
	int64 found;
	int64 i;

	for (i = 0; i < check->n; i++)
	{
		PneumoCheckItem *item = &check->items[i];

		if (item->tag_patient != NULL && (item->group != NULL || check->source->col_group == 0))
			order[n++] = item;
		else if (item->tag_value[0] != VALUE_NOT_DICOM)
			without++;
	}
	if (check->source->col_group == 0)
	{
		pneumo_check_put(check, "tag patient in two groups", "note", NULL, 0,
						 psprintf("config key group_column is not set; %lld of %lld DICOM images have a "
								  "PatientID (0010,0020) that could fill a column",
								  (long long) n, (long long) check->n_dicom));
		return;
	}
	qsort_interruptible(order, n, sizeof(PneumoCheckItem *), compare_by_tag, NULL);
	found = visit_patients(check, order, n, true, false, &different);
	pneumo_check_put(
		check, "tag patient in two groups", found > 0 ? "warning" : "ok", NULL, found,
		psprintf("of %lld patients by PatientID; %lld DICOM images have no PatientID or no group",
				 (long long) different, (long long) without));
	(void) visit_patients(check, order, n, true, true, &different);
	qsort_interruptible(order, n, sizeof(PneumoCheckItem *), compare_by_group, NULL);
	found = visit_patients(check, order, n, false, false, &different);
	pneumo_check_put(check, "group of two tag patients", found > 0 ? "warning" : "ok", NULL, found,
					 psprintf("of %lld groups with DICOM images", (long long) different));
	(void) visit_patients(check, order, n, false, true, &different);
}

/* ----------------------------------------------------------- persons named */

static void
check_identifying(PneumoCheck *check)
{
	int64 images[lengthof(identifying)] = {0};
	int64 n = 0;
	int64 i;
	int k;
	StringInfoData detail;

	for (i = 0; i < check->n; i++)
	{
		n += check->items[i].identifying != 0;
		for (k = 0; k < (int) lengthof(identifying); k++)
			images[k] += (check->items[i].identifying >> k) & 1;
	}
	initStringInfo(&detail);
	appendStringInfoString(&detail, n == 0 ? "no DICOM image names a person" : "");
	for (k = 0; k < (int) lengthof(identifying); k++)
		if (images[k] > 0)
			appendStringInfo(&detail, "%s%s in %lld", detail.len > 0 ? ", " : "", identifying[k].name,
							 (long long) images[k]);
	if (n > 0)
		appendStringInfoString(&detail, "; pneumo_dicom_deidentify() removes them");
	pneumo_check_put(check, "identifying tags", n > 0 ? "warning" : "ok", NULL, n, detail.data);
}

/* ------------------------------------------------------------------- views */

/* Returns whether a view is lateral; a decubitus view is lateral by its name only. */
static bool
is_lateral(const char *view)
{
	char upper[MAX_TEXT];
	int i;

	for (i = 0; view[i] != '\0' && i < MAX_TEXT - 1; i++)
		upper[i] = (char) pg_toupper((unsigned char) view[i]);
	upper[i] = '\0';
	return strcmp(upper, "LL") == 0 || strcmp(upper, "RL") == 0 ||
		   (strstr(upper, "LAT") != NULL && strstr(upper, "DECUB") == NULL);
}

static bool
is_frontal(const char *view)
{
	return pg_strncasecmp(view, "PA", 2) == 0 || pg_strncasecmp(view, "AP", 2) == 0;
}

static void
check_views(PneumoCheck *check)
{
	const PneumoCheckValues *values = &check->tag_values[FEATURE_VIEW];
	int64 lateral = 0;
	int64 frontal = 0;
	int64 unknown = 0;
	int64 i;

	for (i = 0; i < check->n; i++)
	{
		int value = check->items[i].tag_value[FEATURE_VIEW];
		const char *view = value >= OWN_VALUES ? values->text[value - OWN_VALUES] : "";

		lateral += is_lateral(view);
		frontal += is_frontal(view);
		unknown += value != VALUE_NOT_DICOM && !is_lateral(view) && !is_frontal(view);
	}
	pneumo_check_put(check, "views", lateral > 0 && frontal > 0 ? "warning" : "ok", NULL, lateral,
					 psprintf("lateral by ViewPosition; %lld frontal, %lld other or not said%s",
							  (long long) frontal, (long long) unknown,
							  lateral > 0 && frontal > 0 ? ": a network that sees both needs more images"
														 : ""));
}

/* --------------------------------------------------------------- shortcuts */

/* Labelled items as src/stats wants them. */
typedef struct Rows
{
	size_t n;
	double *feature; /* [n][n_features] */
	int n_features;
	uint8 *label;
	uint64 *cluster;
} Rows;

/* Fills a feature for each value of a tag: 1 where an image has it. */
static void
fill_rows(Rows *rows, const PneumoCheck *check, int feature, int class)
{
	int64 i;

	rows->n = 0;
	rows->n_features = OWN_VALUES + check->tag_values[feature].n;
	for (i = 0; i < check->n; i++)
	{
		const PneumoCheckItem *item = &check->items[i];
		double *row = rows->feature + rows->n * rows->n_features;

		if (item->label < 0)
			continue;
		memset(row, 0, rows->n_features * sizeof(double));
		row[item->tag_value[feature]] = 1;
		rows->label[rows->n] = item->label == class;
		rows->cluster[rows->n++] = item->cluster;
	}
}

/* Returns the values of a tag with their images of a class and of the others, the commonest ones. */
static char *
describe_values(const PneumoCheck *check, const Rows *rows, int feature)
{
	static const char *const own[OWN_VALUES] = {"no DICOM", "none", "other"};
	const PneumoCheckValues *values = &check->tag_values[feature];
	int64 counts[OWN_VALUES + PNEUMO_CHECK_VALUES][2] = {{0}};
	StringInfoData text;
	size_t i;
	int shown;

	for (i = 0; i < rows->n; i++)
	{
		const double *row = rows->feature + i * rows->n_features;
		int v;

		for (v = 0; v < rows->n_features && row[v] == 0; v++)
			;
		counts[v][rows->label[i]]++;
	}
	initStringInfo(&text);
	for (shown = 0; shown < 4; shown++)
	{
		int most = -1;
		int v;

		for (v = 0; v < rows->n_features; v++)
			if (counts[v][0] + counts[v][1] > 0 &&
				(most < 0 || counts[v][0] + counts[v][1] > counts[most][0] + counts[most][1]))
				most = v;
		if (most < 0)
			break;
		appendStringInfo(&text, "%s%s %lld of %lld", shown > 0 ? ", " : "",
						 most < OWN_VALUES ? own[most] : pneumo_clip(values->text[most - OWN_VALUES]),
						 (long long) counts[most][1], (long long) (counts[most][0] + counts[most][1]));
		counts[most][0] = counts[most][1] = 0;
	}
	return text.data;
}

/* Returns whether the labelled images have two values of a tag. */
static bool
has_two_values(const PneumoCheck *check, int feature)
{
	int first = -1;
	int64 i;

	for (i = 0; i < check->n; i++)
	{
		const PneumoCheckItem *item = &check->items[i];

		if (item->label < 0)
			continue;
		if (first >= 0 && item->tag_value[feature] != first)
			return true;
		first = item->tag_value[feature];
	}
	return false;
}

/* Puts what each tag alone tells of one class against the others; returns the largest AUC, 0 without. */
static double
check_class(PneumoCheck *check, Rows *rows, int class, bool put)
{
	double largest = 0;
	int f;

	for (f = 0; f < PNEUMO_CHECK_TAGS; f++)
	{
		PneumoStats stats;
		StatsShortcut result;
		StatsStatus status;

		if (!has_two_values(check, f))
			continue;
		fill_rows(rows, check, f, class);
		pneumo_stats_begin(&stats);
		status = stats_shortcut(&result, NULL, rows->feature, rows->n_features, rows->label, rows->cluster,
								rows->n, STATS_SHORTCUT_FOLDS, SEED, CONFIDENCE, &stats.env);
		pneumo_stats_end(&stats);
		if (status != STATS_OK)
			continue;
		largest = Max(largest, result.auc.auc.value);
		if (put)
			pneumo_check_put(check, "shortcut by tags", pneumo_check_shortcut_severity(result.auc.auc.value),
							 features[f].name, (int64) rows->n,
							 psprintf("%s%salone: AUC %.2f (%.2f to %.2f); of class \"%s\": %s",
									  check->n_classes > 2 ? check->classes[class] : "",
									  check->n_classes > 2 ? " against the others, " : "",
									  result.auc.auc.value, result.auc.auc.low, result.auc.auc.high,
									  pneumo_clip(check->classes[class]), describe_values(check, rows, f)));
	}
	return largest;
}

/* Puts whether a tag tells the classes: then a network may learn the device or the view. */
static void
check_tags(PneumoCheck *check)
{
	Rows rows;
	Size n = (Size) Max(1, check->n);
	double largest = 0;
	int first = 0;
	int last = check->n_classes - 1;
	int pass;
	int c;

	if (check->source->col_label == 0 || check->n_classes < 2)
		return;
	rows.feature =
		MemoryContextAllocHuge(check->cxt, n * (OWN_VALUES + PNEUMO_CHECK_VALUES) * sizeof(double));
	rows.label = MemoryContextAllocHuge(check->cxt, n);
	rows.cluster = MemoryContextAllocHuge(check->cxt, n * sizeof(uint64));
	if (check->n_classes == 2)
		first = last = pneumo_check_positive_class(check);
	/* first the summary, then the tags */
	for (pass = 0; pass < 2; pass++)
	{
		for (c = first; c <= last; c++)
		{
			double auc = check_class(check, &rows, c, pass > 0);

			largest = Max(largest, auc);
		}
		if (pass == 0)
			pneumo_check_put(check, "shortcut by tags", pneumo_check_shortcut_severity(largest), NULL,
							 check->n_dicom,
							 largest > 0
								 ? psprintf("DICOM images; the tag that tells most of the label has AUC %.2f",
											largest)
								 : "DICOM images; no tag tells the classes apart");
	}
}

void
pneumo_check_dicom(PneumoCheck *check)
{
	if (check->n_dicom == 0)
		return;
	check_patients(check);
	check_identifying(check);
	check_views(check);
	check_tags(check);
}
