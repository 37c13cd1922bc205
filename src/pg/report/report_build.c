/*-------------------------------------------------------------------------
 *
 * report_build.c
 *	  What the sections of the report are built with: texts, tables, facts and
 *	  galleries, palloc'd and in UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "image/image.h"
#include "report/report.h"
#include "stats/stats.h"

#include "pg/base/base.h"
#include "pg/catalog/records.h"
#include "pg/report/report_page.h"
#include "pg/source/source.h"

void
pneumo_section_add(PneumoSection *section, ReportBlockType type, const void *content)
{
	if (section->n_blocks >= REPORT_SECTION_BLOCKS)
		elog(ERROR, "a section of the report has too many blocks");
	section->blocks[section->n_blocks].type = type;
	section->blocks[section->n_blocks++].content = content;
}

static char *format_text(const char *format, va_list args) pg_attribute_printf(1, 0);

static char *
format_text(const char *format, va_list args)
{
	va_list copy;
	size_t room = 256;

	for (;;)
	{
		char *buffer = palloc(room);
		size_t needed;

		va_copy(copy, args);
		needed = pvsnprintf(buffer, room, format, copy);
		va_end(copy);
		if (needed < room)
			return buffer;
		pfree(buffer);
		room = needed + 1;
	}
}

void
pneumo_section_text(PneumoSection *section, ReportTextKind kind, const char *format, ...)
{
	ReportText *text = palloc(sizeof(ReportText));
	va_list args;

	va_start(args, format);
	text->kind = kind;
	text->text = pneumo_utf8(format_text(format, args));
	va_end(args);
	pneumo_section_add(section, REPORT_BLOCK_TEXT, text);
}

PneumoTable *
pneumo_table_begin(PneumoSection *section, const char *caption, int n_columns, const char *const *headings,
				   uint64 numeric)
{
	PneumoTable *table = palloc0(sizeof(PneumoTable));

	table->max_cells = 64;
	table->cells = palloc(table->max_cells * sizeof(char *));
	table->table.caption = caption;
	table->table.n_columns = (size_t) n_columns;
	table->table.headings = headings;
	table->table.numeric = numeric;
	pneumo_section_add(section, REPORT_BLOCK_TABLE, &table->table);
	return table;
}

void
pneumo_table_cell(PneumoTable *table, const char *format, ...)
{
	va_list args;

	if (table->n_cells >= table->max_cells)
	{
		table->max_cells *= 2;
		table->cells = repalloc(table->cells, table->max_cells * sizeof(char *));
	}
	va_start(args, format);
	table->cells[table->n_cells++] = pneumo_utf8(format_text(format, args));
	va_end(args);
}

void
pneumo_table_end(PneumoTable *table)
{
	table->table.cells = table->cells;
	table->table.n_rows = table->n_cells / table->table.n_columns;
}

void
pneumo_table_heading(PneumoTable *table, const char *heading)
{
	size_t c;

	pneumo_table_cell(table, "%s", heading);
	for (c = 1; c < table->table.n_columns; c++)
		pneumo_table_cell(table, "%s", "");
}

PneumoForest *
pneumo_forest_begin(const char *id, const char *title)
{
	PneumoForest *forest = palloc0(sizeof(PneumoForest));

	forest->plot.id = id;
	forest->plot.title = title;
	forest->plot.rows = forest->rows;
	return forest;
}

static ReportForestRow *
next_row(PneumoForest *forest, const char *name)
{
	ReportForestRow *row = &forest->rows[forest->plot.n_rows];

	if (forest->plot.n_rows >= REPORT_MAX_FOREST)
		elog(ERROR, "the report has too many subgroups");
	forest->plot.n_rows++;
	row->name = pneumo_utf8(name);
	return row;
}

void
pneumo_forest_heading(PneumoForest *forest, const char *name)
{
	next_row(forest, name)->heading = true;
}

void
pneumo_forest_row(PneumoForest *forest, const char *name, int64 n, bool few, const StatsInterval *figure)
{
	ReportForestRow *row = next_row(forest, name);

	row->n = (uint64_t) n;
	row->few = few;
	row->value = figure->value;
	row->low = figure->low;
	row->high = figure->high;
}

void
pneumo_forest_end(PneumoSection *section, PneumoForest *forest, double reference)
{
	forest->plot.reference = reference;
	pneumo_section_add(section, REPORT_BLOCK_FOREST, &forest->plot);
}

PneumoFacts *
pneumo_facts_begin(PneumoSection *section)
{
	PneumoFacts *facts = palloc0(sizeof(PneumoFacts));

	facts->facts.terms = facts->terms;
	facts->facts.values = facts->values;
	pneumo_section_add(section, REPORT_BLOCK_FACTS, &facts->facts);
	return facts;
}

void
pneumo_fact(PneumoFacts *facts, const char *term, const char *format, ...)
{
	va_list args;
	size_t at = facts->facts.n_facts;

	if (at >= REPORT_MAX_FACTS)
		elog(ERROR, "the report has too many facts");
	va_start(args, format);
	facts->terms[at] = term;
	facts->values[at] = pneumo_utf8(format_text(format, args));
	va_end(args);
	facts->facts.n_facts++;
}

PneumoGallery *
pneumo_gallery_begin(size_t room)
{
	PneumoGallery *gallery = palloc0(sizeof(PneumoGallery));

	gallery->room = room;
	gallery->list = palloc0(room * sizeof(ReportImage));
	gallery->images.images = gallery->list;
	return gallery;
}

void
pneumo_gallery_add(PneumoGallery *gallery, const bytea *picture, const char *alternative, const char *caption)
{
	ReportImage *image;
	ImgInfo info;
	ImgError error;

	if (picture == NULL || gallery->images.n_images >= gallery->room)
		return;
	image = &gallery->list[gallery->images.n_images++];
	image->bytes = (const uint8_t *) VARDATA(picture);
	image->n_bytes = VARSIZE(picture) - VARHDRSZ;
	if (img_info(&info, image->bytes, image->n_bytes, NULL, &error) == IMG_OK)
	{
		image->width = info.width;
		image->height = info.height;
	}
	image->alternative = pneumo_utf8(alternative);
	image->caption = pneumo_utf8(caption);
}

void
pneumo_gallery_end(PneumoSection *section, PneumoGallery *gallery)
{
	if (gallery->images.n_images > 0)
		pneumo_section_add(section, REPORT_BLOCK_IMAGES, &gallery->images);
}

/* ------------------------------------------------------------------ helpers */

const char *
pneumo_count_text(int64 n)
{
	char *plain = psprintf("%lld", (long long) n);
	StringInfoData text;
	int length = (int) strlen(plain);
	int i;

	initStringInfo(&text);
	for (i = 0; i < length; i++)
	{
		if (i > 0 && (length - i) % 3 == 0 && plain[i - 1] != '-')
			appendStringInfoChar(&text, ',');
		appendStringInfoChar(&text, plain[i]);
	}
	return text.data;
}

const char *
pneumo_report_unit(const PneumoEvaluation *e)
{
	return e->source->col_group > 0 ? "patient" : "image";
}

void
pneumo_count_cell(PneumoTable *table, const PneumoEvaluation *e, size_t images, size_t patients)
{
	if (e->source->col_group > 0)
		pneumo_table_cell(table, "%s (%s)", pneumo_count_text((int64) images),
						  pneumo_count_text((int64) patients));
	else
		pneumo_table_cell(table, "%s", pneumo_count_text((int64) images));
}

const char *
pneumo_count_heading(const PneumoEvaluation *e)
{
	return e->source->col_group > 0 ? "Images (patients)" : "Images";
}

void
pneumo_interval_cell(PneumoTable *table, const StatsInterval *figure)
{
	if (isnan(figure->value))
		pneumo_table_cell(table, "not defined");
	else if (figure->high > 1.5) /* likelihood ratios */
		pneumo_table_cell(table, "%.3g (%.3g to %.3g)", figure->value, figure->low, figure->high);
	else if (isnan(figure->low))
		pneumo_table_cell(table, "%.3f", figure->value);
	else
		pneumo_table_cell(table, "%.3f (%.3f to %.3f)", figure->value, figure->low, figure->high);
}

const PneumoModelMeta *
pneumo_report_meta(const PneumoReport *r)
{
	return r->e.scorer->meta;
}

const char *
pneumo_report_key(const PneumoEvaluation *e, int64 sample)
{
	const char *key = e->dataset->samples[sample].key;

	return key != NULL ? pneumo_clip(key) : "(no key)";
}

const char *
pneumo_report_class(const PneumoEvaluation *e, int64 sample)
{
	return e->scorer->meta->classes[e->dataset->samples[sample].label];
}
