/*-------------------------------------------------------------------------
 *
 * dataset.c
 *	  Reads a source table: rows to samples, images to pixels.
 *
 * One pass by a cursor, as the current user.  Each row becomes a sample or is
 * left out and counted; what to do with the pixels is the sink's affair
 * (store them, score them, nothing).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "image/image.h"
#include "nn/nn.h"

#include "pg/base/base.h"
#include "pg/config/config.h"
#include "pg/source/source.h"

#define FETCH_ROWS 32

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
	MemoryContext row_cxt;
	int64 max_samples;
	uint8 *pixels;
	TupleDesc desc;
	FmgrInfo *output; /* by column of the query, from 0 */
	bool *output_known;
} Reader;

/* Text of a column in the row's context; NULL if null. */
static char *
column_text(Reader *reader, HeapTuple tuple, int column)
{
	Form_pg_attribute att = TupleDescAttr(reader->desc, column - 1);
	bool isnull;
	Datum value = SPI_getbinval(tuple, reader->desc, column, &isnull);
	char *text;

	if (isnull)
		return NULL;
	if (!reader->output_known[column - 1])
	{
		Oid function;
		bool varlena;

		getTypeOutputInfo(att->atttypid, &function, &varlena);
		fmgr_info_cxt(function, &reader->output[column - 1], reader->dataset->cxt);
		reader->output_known[column - 1] = true;
	}
	text = OutputFunctionCall(&reader->output[column - 1], value);
	if (getBaseType(att->atttypid) == BPCHAROID)
	{
		size_t len = strlen(text);

		while (len > 0 && text[len - 1] == ' ')
			text[--len] = '\0';
	}
	return text;
}

static char *
row_key(Reader *reader, HeapTuple tuple)
{
	const PneumoSource *source = reader->source;
	StringInfoData buf;
	int i;

	if (source->n_key == 0)
		return NULL;
	initStringInfo(&buf);
	for (i = 0; i < source->n_key; i++)
	{
		char *text = column_text(reader, tuple, source->col_key[i]);

		if (i > 0)
			appendStringInfoString(&buf, ", ");
		appendStringInfoString(&buf, text == NULL ? "null" : text);
	}
	return buf.data;
}

/* How a message names a row. */
static char *
row_name(const char *key, int64 number)
{
	if (key != NULL)
		return psprintf("row %s", pneumo_clip(key));
	return psprintf("row number %lld", (long long) number);
}

static int
find_label(Reader *reader, const char *text, const char *key)
{
	const PneumoReading *reading = reader->reading;
	const char *names[NN_MAX_CLASSES + 1];
	int i;

	if (reader->source->label_kind == PNEUMO_LABEL_BOOLEAN)
		text = text[0] == 't' ? "true" : "false";
	for (i = 0; i < reading->n_classes; i++)
	{
		if (strcmp(text, reading->classes[i]) == 0)
			return i;
		names[i] = reading->classes[i];
	}
	names[i] = NULL;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("%s has the label \"%s\", which is not a class",
						   row_name(key, reader->dataset->n_rows), pneumo_clip(text)),
					errdetail("It can be %s.", pneumo_list_names(names))));
	return -1;
}

static PneumoSplit
split_from_text(Reader *reader, const char *text, const char *key)
{
	if (pg_strcasecmp(text, "train") == 0 || pg_strcasecmp(text, "training") == 0)
		return PNEUMO_TRAIN;
	if (pg_strcasecmp(text, "validation") == 0 || pg_strcasecmp(text, "val") == 0)
		return PNEUMO_VALIDATION;
	if (pg_strcasecmp(text, "test") == 0)
		return PNEUMO_TEST;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s has the split \"%s\", must be \"train\", \"validation\" (or \"val\") or \"test\"",
					row_name(key, reader->dataset->n_rows), pneumo_clip(text))));
	return PNEUMO_TRAIN;
}

/* Group hash, and the side that the group is on. */
static void
place_sample(Reader *reader, HeapTuple tuple, PneumoSample *sample, const char *split)
{
	const PneumoConfig *config = reader->config;
	char *group = NULL;
	StringInfoData buf;

	if (reader->source->col_group > 0)
		group = column_text(reader, tuple, reader->source->col_group);

	initStringInfo(&buf);
	if (group != NULL)
	{
		appendStringInfoChar(&buf, 'g');
		appendStringInfoString(&buf, group);
	}
	else
	{
		appendStringInfoChar(&buf, 'i');
		appendBinaryStringInfo(&buf, (char *) sample->sha256, PNEUMO_SHA256_LEN);
	}
	pneumo_sha256(sample->group, buf.data, buf.len);

	if (split != NULL)
		sample->split = split_from_text(reader, split, sample->key);
	else
		sample->split = pneumo_split_key(buf.data + 1, buf.len - 1, config->split_seed,
										 config->validation_split, config->test_split);
}

static float
read_weight(Reader *reader, HeapTuple tuple, const char *key)
{
	char *text;
	double weight;

	if (reader->source->col_weight == 0)
		return 1;
	text = column_text(reader, tuple, reader->source->col_weight);
	weight = text == NULL ? NAN : strtod(text, NULL);
	if (!(weight >= 0 && weight <= 1e6))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s has the sample weight %s, must be between 0 and 1000000",
							   row_name(key, reader->dataset->n_rows), text == NULL ? "null" : text)));
	return (float) weight;
}

static void
left_out_unreadable(Reader *reader, const char *key, const char *reason)
{
	PneumoDataset *dataset = reader->dataset;

	dataset->left_out[PNEUMO_OUT_UNREADABLE]++;
	if (dataset->first_bad == NULL)
		dataset->first_bad =
			MemoryContextStrdup(dataset->cxt, psprintf("%s: %s", row_name(key, dataset->n_rows), reason));
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

static void
read_row(Reader *reader, HeapTuple tuple)
{
	const PneumoSource *source = reader->source;
	const PneumoReading *reading = reader->reading;
	PneumoDataset *dataset = reader->dataset;
	PneumoSample sample;
	bool isnull;
	Datum image;
	char *label;
	char *split = NULL;
	struct varlena *bytes;
	ImgError error;

	memset(&sample, 0, sizeof(sample));
	dataset->n_rows++;
	image = SPI_getbinval(tuple, reader->desc, source->col_image, &isnull);
	if (isnull)
	{
		dataset->left_out[PNEUMO_OUT_NO_IMAGE]++;
		return;
	}
	label = column_text(reader, tuple, source->col_label);
	if (label == NULL)
	{
		dataset->left_out[PNEUMO_OUT_UNLABELLED]++;
		return;
	}
	if (source->col_split > 0)
	{
		split = column_text(reader, tuple, source->col_split);
		if (split == NULL)
		{
			dataset->left_out[PNEUMO_OUT_NO_SPLIT]++;
			return;
		}
	}

	sample.key = row_key(reader, tuple);
	sample.slot = -1;
	sample.label = (int16) find_label(reader, label, sample.key);
	sample.weight = read_weight(reader, tuple, sample.key);

	if (toast_raw_datum_size(image) - VARHDRSZ > PNEUMO_MAX_IMAGE_BYTES)
	{
		left_out_unreadable(reader, sample.key,
							psprintf("%zu bytes are above the limit of %zu",
									 (size_t) toast_raw_datum_size(image) - VARHDRSZ,
									 PNEUMO_MAX_IMAGE_BYTES));
		return;
	}
	bytes = PG_DETOAST_DATUM_PACKED(image);
	pneumo_sha256(sample.sha256, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	place_sample(reader, tuple, &sample, split);

	if (reading->decode)
	{
		if (pneumo_pixels(reader->pixels, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
						  &reader->config->preprocess, &error) != IMG_OK)
		{
			left_out_unreadable(reader, sample.key, error.message);
			return;
		}
		if (reading->sink != NULL && reading->want[sample.split])
			sample.slot = reading->sink(reading->sink_arg, &sample, reader->pixels);
	}
	append_sample(reader, &sample);
}

static void
read_cursor(Reader *reader)
{
	PneumoDataset *dataset = reader->dataset;
	SPIPlanPtr plan;
	Portal portal;
	uint64 i;

	plan = SPI_prepare_cursor(reader->source->query, 0, NULL, CURSOR_OPT_NO_SCROLL);
	if (plan == NULL)
		elog(ERROR, "could not prepare reading of %s", reader->source->name);
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		if (reader->desc == NULL)
		{
			reader->desc = CreateTupleDescCopy(SPI_tuptable->tupdesc);
			reader->output = MemoryContextAllocZero(dataset->cxt, sizeof(FmgrInfo) * reader->desc->natts);
			reader->output_known = MemoryContextAllocZero(dataset->cxt, sizeof(bool) * reader->desc->natts);
		}
		for (i = 0; i < SPI_processed; i++)
		{
			MemoryContext old;

			CHECK_FOR_INTERRUPTS();
			old = MemoryContextSwitchTo(reader->row_cxt);
			read_row(reader, SPI_tuptable->vals[i]);
			MemoryContextSwitchTo(old);
			MemoryContextReset(reader->row_cxt);
			if (reader->reading->progress != NULL)
				reader->reading->progress(reader->reading->progress_arg, dataset->n_rows);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
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
	MemoryContext old = CurrentMemoryContext;
	Reader reader;
	Oid user;
	int context;
	int i;

	dataset->cxt = cxt;
	dataset->n_classes = reading->n_classes;
	for (i = 0; i < reading->n_classes; i++)
		dataset->classes[i] = MemoryContextStrdup(cxt, reading->classes[i]);

	memset(&reader, 0, sizeof(reader));
	reader.source = source;
	reader.config = config;
	reader.reading = reading;
	reader.dataset = dataset;
	reader.max_samples = 1024;
	dataset->samples = MemoryContextAllocHuge(cxt, reader.max_samples * sizeof(PneumoSample));
	reader.pixels = MemoryContextAllocHuge(cxt, (Size) config->preprocess.height * config->preprocess.width *
													config->preprocess.channels);

	/* as in pneumo_source_labels() */
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	reader.row_cxt = AllocSetContextCreate(CurrentMemoryContext, "pneumo row", ALLOCSET_DEFAULT_SIZES);
	read_cursor(&reader);
	SPI_finish();
	SetUserIdAndSecContext(user, context);

	MemoryContextSwitchTo(old);
	check_unreadable(dataset, config);
	pneumo_dataset_settle(dataset, config);
	return dataset;
}
