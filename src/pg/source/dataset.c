/*-------------------------------------------------------------------------
 *
 * dataset.c
 *	  Reads a source table: rows to samples, images to pixels.
 *
 * Each row that the reader (read.c) brings becomes a sample, or is left out and
 * counted; what becomes of the pixels is the sink's affair (store them, score
 * them, nothing).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/config/config.h"
#include "pg/source/source.h"

const char *const pneumo_left_out_names[PNEUMO_N_LEFT_OUT] = {
	"without image", "unlabelled",        "unreadable",   "without split",
	"duplicate",     "conflicting label", "already seen",
};

typedef struct Reader
{
	const PneumoSource *source;
	const PneumoConfig *config;
	const PneumoReading *reading;
	PneumoDataset *dataset;
	int64 max_samples;
	uint8 *pixels;
} Reader;

/* Returns how a message names a row. */
static char *
row_name(const PneumoRow *row)
{
	return psprintf("row %s", pneumo_clip(pneumo_row_name(row)));
}

static int
find_label(Reader *reader, const PneumoRow *row)
{
	const PneumoReading *reading = reader->reading;
	const char *names[NN_MAX_CLASSES + 1];
	int i;

	for (i = 0; i < reading->n_classes; i++)
	{
		if (strcmp(row->label, reading->classes[i]) == 0)
			return i;
		names[i] = reading->classes[i];
	}
	names[i] = NULL;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s has the label \"%s\", which is not a class", row_name(row), pneumo_clip(row->label)),
			 errdetail("It can be %s.", pneumo_list_names(names))));
	return -1;
}

/* Returns the bit of a finding; 0 if it is no class. */
static uint64
finding_bit(const PneumoReading *reading, const char *name)
{
	int i;

	for (i = 0; i < reading->n_classes; i++)
		if (strcmp(name, reading->classes[i]) == 0)
			return UINT64CONST(1) << i;
	return 0;
}

/* Fills the findings of a sample; false if none of the classes is known of the row. */
static bool
read_findings(Reader *reader, const PneumoRowFindings *findings, PneumoSample *sample)
{
	const PneumoReading *reading = reader->reading;
	PneumoDataset *dataset = reader->dataset;
	bool others = false;
	int i;

	for (i = 0; i < findings->n_present; i++)
	{
		uint64 bit = finding_bit(reading, findings->present[i]);

		sample->present |= bit;
		if (bit != 0)
			continue;
		others = true;
		if (dataset->first_other == NULL)
			dataset->first_other = MemoryContextStrdup(dataset->cxt, findings->present[i]);
	}
	dataset->rows_with_others += others;
	sample->known = sample->present;
	for (i = 0; i < findings->n_absent; i++)
		sample->known |= finding_bit(reading, findings->absent[i]);
	if (findings->complete)
		sample->known = PG_UINT64_MAX >> (64 - reading->n_classes);
	return sample->known != 0;
}

static PneumoSplit
split_of(const PneumoRow *row)
{
	PneumoSplit split;

	if (pneumo_split_parse(row->split, &split))
		return split;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s has the split \"%s\", must be \"train\", \"validation\" (or \"val\") or \"test\"",
					row_name(row), pneumo_clip(row->split))));
	return PNEUMO_TRAIN;
}

/* Fills the hash of the sample's group, and the split that the group is on. */
static void
place_sample(Reader *reader, const PneumoRow *row, PneumoSample *sample)
{
	const PneumoConfig *config = reader->config;
	StringInfoData buf;

	initStringInfo(&buf);
	if (row->group != NULL)
	{
		appendStringInfoChar(&buf, 'g');
		appendStringInfoString(&buf, pneumo_utf8(row->group));
		pneumo_similar_add(reader->dataset->group_keys, row->group);
	}
	else
	{
		appendStringInfoChar(&buf, 'i');
		appendBinaryStringInfo(&buf, (char *) sample->sha256, PNEUMO_SHA256_LEN);
	}
	if (reader->source->col_group > 0 && (row->group == NULL || row->group[0] == '\0'))
		reader->dataset->rows_without_group++;
	pneumo_sha256(sample->group, buf.data, buf.len);

	if (row->split != NULL)
		sample->split = split_of(row);
	else
		sample->split = pneumo_split_key(buf.data + 1, buf.len - 1, config->split_seed,
										 config->validation_split, config->test_split);
}

/* Notes what a row says in columns that the config does not name. */
static void
note_hints(Reader *reader, const PneumoRow *row, const PneumoSample *sample)
{
	PneumoDataset *dataset = reader->dataset;
	PneumoSplit split;

	if (row->unused_split != NULL && pneumo_split_parse(row->unused_split, &split))
		dataset->rows_with_unused_split++;
	if (row->file != NULL && dataset->file_names != NULL)
		pneumo_file_names_add(dataset->file_names, row->file, sample->split);
}

static float
read_weight(Reader *reader, const PneumoRow *row)
{
	double weight;

	if (reader->source->col_weight == 0)
		return 1;
	weight = row->weight == NULL ? NAN : strtod(row->weight, NULL);
	if (!(weight >= 0 && weight <= 1e6))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s has the sample weight %s, must be between 0 and 1000000", row_name(row),
							   row->weight == NULL ? "null" : row->weight)));
	return (float) weight;
}

static void
left_out_unreadable(Reader *reader, const PneumoRow *row, const char *reason)
{
	PneumoDataset *dataset = reader->dataset;

	dataset->left_out[PNEUMO_OUT_UNREADABLE]++;
	if (dataset->first_bad == NULL)
		dataset->first_bad = MemoryContextStrdup(dataset->cxt, psprintf("%s: %s", row_name(row), reason));
}

static void
append_sample(Reader *reader, const PneumoSample *sample)
{
	PneumoDataset *dataset = reader->dataset;
	PneumoSample *place;

	if (dataset->n >= reader->max_samples)
	{
		reader->max_samples *= 2;
		dataset->samples = repalloc_huge(dataset->samples, reader->max_samples * sizeof(PneumoSample));
	}
	place = &dataset->samples[dataset->n++];
	*place = *sample;
	if (sample->key != NULL)
		place->key = MemoryContextStrdup(dataset->cxt, sample->key);
}

/* Makes a sample of a row, or counts it among those that are left out. */
static void
read_row(Reader *reader, const PneumoRow *row)
{
	const PneumoReading *reading = reader->reading;
	PneumoDataset *dataset = reader->dataset;
	PneumoSample sample;
	struct varlena *bytes;
	ImgError error;

	if (!row->has_image)
	{
		dataset->left_out[PNEUMO_OUT_NO_IMAGE]++;
		return;
	}
	if (row->label == NULL && row->findings == NULL)
	{
		dataset->left_out[PNEUMO_OUT_UNLABELLED]++;
		return;
	}
	if (reader->source->col_split > 0 && row->split == NULL)
	{
		dataset->left_out[PNEUMO_OUT_NO_SPLIT]++;
		return;
	}

	memset(&sample, 0, sizeof(sample));
	sample.key = row->key;
	sample.slot = -1;
	if (row->findings == NULL)
		sample.label = (int16) find_label(reader, row);
	else if (!read_findings(reader, row->findings, &sample))
	{
		dataset->left_out[PNEUMO_OUT_UNLABELLED]++;
		return;
	}
	sample.weight = read_weight(reader, row);

	if (toast_raw_datum_size(row->image) - VARHDRSZ > PNEUMO_MAX_IMAGE_BYTES)
	{
		left_out_unreadable(reader, row,
							psprintf("%zu bytes are above the limit of %zu",
									 (size_t) toast_raw_datum_size(row->image) - VARHDRSZ,
									 PNEUMO_MAX_IMAGE_BYTES));
		return;
	}
	bytes = PG_DETOAST_DATUM_PACKED(row->image);
	pneumo_sha256(sample.sha256, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	place_sample(reader, row, &sample);

	if (reading->decode)
	{
		if (pneumo_pixels(reader->pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
						  &reader->config->preprocess, &error) != IMG_OK)
		{
			left_out_unreadable(reader, row, pneumo_image_reason(&error));
			return;
		}
		if (reading->sink != NULL && reading->want[sample.split])
			sample.slot = reading->sink(reading->sink_arg, &sample, reader->pixels);
	}
	note_hints(reader, row, &sample);
	append_sample(reader, &sample);
}

static void
visit_row(void *arg, const PneumoRow *row)
{
	Reader *reader = arg;

	reader->dataset->n_rows = row->number;
	read_row(reader, row);
	if (reader->reading->progress != NULL)
		reader->reading->progress(reader->reading->progress_arg, row->number);
}

static void
check_unreadable(const PneumoDataset *dataset, const PneumoConfig *config)
{
	int64 bad = dataset->left_out[PNEUMO_OUT_UNREADABLE];
	int64 all = bad + dataset->n;

	if (bad > 0 && (double) bad > config->max_bad_images * (double) all)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("%lld of %lld images cannot be read, max_bad_images allows a fraction of %g",
							   (long long) bad, (long long) all, config->max_bad_images),
						errdetail("The first is %s.", dataset->first_bad)));
}

PneumoDataset *
pneumo_dataset_read(const PneumoSource *source, const PneumoConfig *config, const PneumoReading *reading)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo dataset", ALLOCSET_DEFAULT_SIZES);
	PneumoDataset *dataset = MemoryContextAllocZero(cxt, sizeof(PneumoDataset));
	Reader reader;
	int i;

	dataset->cxt = cxt;
	dataset->multi_label = pneumo_source_is_multi_label(source);
	dataset->n_classes = reading->n_classes;
	for (i = 0; i < reading->n_classes; i++)
		dataset->classes[i] = MemoryContextStrdup(cxt, reading->classes[i]);
	dataset->class_names = pneumo_similar_of(cxt, dataset->classes, dataset->n_classes);

	memset(&reader, 0, sizeof(reader));
	reader.source = source;
	reader.config = config;
	reader.reading = reading;
	reader.dataset = dataset;
	reader.max_samples = 1024;
	if (source->col_group > 0)
		dataset->group_keys =
			pneumo_similar_begin(AllocSetContextCreate(cxt, "pneumo group keys", ALLOCSET_DEFAULT_SIZES));
	if (source->col_file > 0 && source->col_group == 0)
		dataset->file_names =
			pneumo_file_names_begin(AllocSetContextCreate(cxt, "pneumo file names", ALLOCSET_DEFAULT_SIZES));
	dataset->unused_split_column = source->unused_split_column;
	dataset->patient_column = source->patient_column;
	dataset->samples = MemoryContextAllocHuge(cxt, reader.max_samples * sizeof(PneumoSample));
	reader.pixels = MemoryContextAllocHuge(cxt, (Size) config->preprocess.height * config->preprocess.width *
													config->preprocess.channels);

	(void) pneumo_source_rows(source, visit_row, &reader);
	check_unreadable(dataset, config);
	pneumo_dataset_settle(dataset, config);
	return dataset;
}
