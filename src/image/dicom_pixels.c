/*-------------------------------------------------------------------------
 *
 * dicom_pixels.c
 *	  From the stored samples of a DICOM image to grey levels and colours.
 *
 * Grey: a stored value goes through the modality table or slope and intercept,
 * then through the table or the window of the values of interest.  Without
 * either, the range of the values becomes the range of the grey levels: for
 * images of up to 8 bits stored, which are made to be shown, all values that the
 * bits can hold; for others the smallest to the largest of the picture, padding
 * left out.  MONOCHROME1 is inverted.  The way from stored value to grey level is
 * computed once for each of the at most 65536 stored values (DICOM PS3.3,
 * C.11.1 and C.11.2).
 *
 * Grey levels are wide, so that nothing is lost before the resize.  A stored value
 * v of b bits under a window of the full range gives the same bits as a PNG image
 * with the value v of 8 or 16 bits.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dicom.h"

#define MAX_STORED 65536

/* One row of samples and of the result; and the way from values to grey levels. */
typedef struct Rows
{
	const DicomSamples *samples;
	const DicomHeader *header;
	uint16_t *levels; /* of the stored values; NULL for colours */
	uint16_t *stored; /* one row, as stored, interleaved */
	uint16_t *wide;   /* one row for the sink */
	uint8_t *narrow;  /* the same in 8 bits */
} Rows;

static uint32_t
table_entry(const DicomTable *table, uint32_t index)
{
	const uint8_t *p = table->data + (table->wide ? 2 * (size_t) index : (size_t) index);
	uint32_t value;

	if (!table->wide)
		return *p;
	value = table->big_endian ? (uint32_t) p[0] << 8 | p[1] : (uint32_t) p[1] << 8 | p[0];
	return value & ((UINT32_C(1) << table->bits) - 1);
}

/* Returns the entry of a value; values outside the table have that of its end. */
static uint32_t
look_up(const DicomTable *table, double value)
{
	double index = value - table->first;

	if (!(index > 0))
		return table_entry(table, 0);
	if (index >= table->entries)
		return table_entry(table, table->entries - 1);
	return table_entry(table, (uint32_t) index);
}

/* Returns a stored value as the number it stands for, before any window. */
static double
modality_value(const DicomHeader *header, uint32_t stored)
{
	int32_t value = (int32_t) stored;

	if (header->is_signed && stored >= UINT32_C(1) << (header->stored - 1))
		value -= (int32_t) (UINT32_C(1) << header->stored);
	if (header->modality.entries > 0)
		return look_up(&header->modality, value);
	return header->has_rescale ? header->slope * value + header->intercept : value;
}

/* Returns the position of a number in the window, 0 to 1. */
static double
window_value(const DicomHeader *header, double x)
{
	double c = header->centre, w = header->width;
	double y;

	if (header->window == DICOM_SIGMOID)
		return 1 / (1 + exp(-4 * (x - c) / w));
	if (header->window == DICOM_LINEAR_EXACT)
		y = (x - c) / w + 0.5;
	else if (w <= 1)
		y = x <= c - 0.5 ? 0 : 1;
	else
		y = (x - (c - 0.5)) / (w - 1) + 0.5;
	return y < 0 ? 0 : y > 1 ? 1 : y;
}

static int
is_padding(const DicomHeader *header, uint32_t stored)
{
	int32_t value = (int32_t) stored;

	if (header->is_signed && stored >= UINT32_C(1) << (header->stored - 1))
		value -= (int32_t) (UINT32_C(1) << header->stored);
	return header->has_padding && value >= header->padding_low && value <= header->padding_high;
}

/* Fetches a row of stored values without the bits that do not belong to them. */
static void
fetch_row(const Rows *rows, uint32_t y)
{
	const DicomSamples *samples = rows->samples;
	const DicomHeader *header = rows->header;
	size_t columns = header->columns, n_samples = (size_t) header->samples;
	size_t row_n = columns * n_samples;
	int shift = samples->high_bit + 1 - header->stored;
	uint16_t mask = (uint16_t) ((UINT32_C(1) << header->stored) - 1);

	if (samples->is_ybr_422)
	{
		const uint8_t *p = samples->bytes + (size_t) y * columns * 2;
		size_t swap = samples->swapped ? 1 : 0;

		for (size_t x = 0; x + 1 < columns; x += 2, p += 4)
			for (size_t k = 0; k < 2; k++)
			{
				rows->stored[3 * (x + k)] = p[k ^ swap];
				rows->stored[3 * (x + k) + 1] = p[2 ^ swap];
				rows->stored[3 * (x + k) + 2] = p[3 ^ swap];
			}
		return;
	}
	if (samples->wide && !samples->planar && !samples->big_endian)
	{
		const uint8_t *p = samples->bytes + 2 * (size_t) y * row_n;

		for (size_t i = 0; i < row_n; i++)
			rows->stored[i] = (uint16_t) (((unsigned) p[2 * i + 1] << 8 | p[2 * i]) >> shift) & mask;
		return;
	}
	for (size_t i = 0; i < row_n; i++)
	{
		size_t at = (size_t) y * row_n + i;
		uint16_t raw;

		if (samples->planar)
			at = (i % n_samples * header->rows + y) * columns + i / n_samples;
		if (!samples->wide)
			raw = samples->bytes[samples->swapped ? at ^ 1 : at];
		else if (samples->big_endian)
			raw = (uint16_t) ((unsigned) samples->bytes[2 * at] << 8 | samples->bytes[2 * at + 1]);
		else
			raw = (uint16_t) ((unsigned) samples->bytes[2 * at + 1] << 8 | samples->bytes[2 * at]);
		rows->stored[i] = (uint16_t) (raw >> shift) & mask;
	}
}

static ImgStatus
interrupted(ImgError *error)
{
	return img_fail(error, IMG_INTERRUPTED, "interrupted while decoding a DICOM image");
}

static int
is_interrupted(const ImgLimits *limits)
{
	return limits->interrupt != NULL && *limits->interrupt;
}

/* Finds the smallest and the largest value of the picture, padding left out. */
static ImgStatus
find_range(double *low, double *high, const Rows *rows, const ImgLimits *limits, ImgError *error)
{
	const DicomHeader *header = rows->header;
	uint32_t count = UINT32_C(1) << header->stored;
	uint8_t *seen = (uint8_t *) rows->levels; /* not in use yet; a byte for each value */

	*low = INFINITY;
	*high = -INFINITY;
	memset(seen, header->stored <= 8, count);
	for (uint32_t y = 0; header->stored > 8 && y < header->rows; y++)
	{
		if (is_interrupted(limits))
			return interrupted(error);
		fetch_row(rows, y);
		for (uint32_t x = 0; x < header->columns; x++)
			seen[rows->stored[x]] = 1;
	}
	for (uint32_t i = 0; i < count; i++)
		if (seen[i] && (header->stored <= 8 || !is_padding(header, i)))
		{
			double value = modality_value(header, i);

			*low = value < *low ? value : *low;
			*high = value > *high ? value : *high;
		}
	return IMG_OK;
}

/* Fills the grey levels of all stored values. */
static ImgStatus
fill_levels(const Rows *rows, const ImgLimits *limits, ImgError *error)
{
	const DicomHeader *header = rows->header;
	uint32_t count = UINT32_C(1) << header->stored;
	int is_inverted = strcmp(header->photometric, "MONOCHROME1") == 0;
	double low = 0, high = 1;

	if (header->voi.entries == 0 && !header->has_window)
	{
		ImgStatus status = find_range(&low, &high, rows, limits, error);

		if (status != IMG_OK)
			return status;
	}
	for (uint32_t i = 0; i < count; i++)
	{
		double x = modality_value(header, i);
		double y;

		if (header->voi.entries > 0)
			y = look_up(&header->voi, floor(x)) / (double) ((UINT32_C(1) << header->voi.bits) - 1);
		else if (header->has_window)
			y = window_value(header, x);
		else
			y = high > low ? (x - low) / (high - low) : 0;
		y = y > 0 ? y < 1 ? y : 1 : 0;
		rows->levels[i] = (uint16_t) (y * IMG_WIDE_MAX + 0.5);
		if (is_inverted)
			rows->levels[i] = (uint16_t) (IMG_WIDE_MAX - rows->levels[i]);
	}
	return IMG_OK;
}

static uint8_t
clip(double value)
{
	return (uint8_t) (value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* Turns a row of YBR into RGB, in place (DICOM PS3.3, C.7.6.3.1.2). */
static void
convert_ybr(uint16_t *row, size_t columns)
{
	for (size_t x = 0; x < columns; x++)
	{
		double luma = row[3 * x], blue = row[3 * x + 1] - 128.0, red = row[3 * x + 2] - 128.0;

		row[3 * x] = clip(luma + 1.402 * red);
		row[3 * x + 1] = clip(luma - 0.344136286 * blue - 0.714136286 * red);
		row[3 * x + 2] = clip(luma + 1.772 * blue);
	}
}

/* Puts a row of colours of 8 bits into the sink. */
static void
put_narrow_colours(const Rows *rows, ImgSink *sink, int channels)
{
	size_t columns = rows->header->columns;
	const uint16_t *row = rows->stored;

	for (size_t x = 0; x < columns; x++)
	{
		if (channels == 1)
			rows->narrow[x] = (uint8_t) img_luma(row[3 * x], row[3 * x + 1], row[3 * x + 2]);
		else
			for (size_t c = 0; c < 3; c++)
				rows->narrow[3 * x + c] = (uint8_t) row[3 * x + c];
	}
	sink->put(sink, rows->narrow);
}

/* Puts a row of wide colours into the sink. */
static void
put_wide_colours(const Rows *rows, ImgSink *sink, int channels)
{
	size_t columns = rows->header->columns;
	uint16_t *row = rows->wide;

	for (size_t x = 0; channels == 1 && x < columns; x++)
		row[x] = (uint16_t) img_luma(row[3 * x], row[3 * x + 1], row[3 * x + 2]);
	sink->put_wide(sink, row);
}

/* Puts a row of the fetched samples into the sink. */
static void
put_row(const Rows *rows, ImgSink *sink, int channels)
{
	const DicomHeader *header = rows->header;
	size_t columns = header->columns;
	uint32_t most = (UINT32_C(1) << header->stored) - 1;

	if (header->samples == 1 && header->photometric[0] == 'M')
	{
		for (size_t x = 0; x < columns; x++)
		{
			uint16_t level = rows->levels[rows->stored[x]];

			if (channels == 1)
				rows->wide[x] = level;
			else
				rows->wide[3 * x] = rows->wide[3 * x + 1] = rows->wide[3 * x + 2] = level;
		}
		sink->put_wide(sink, rows->wide);
	}
	else if (header->samples == 1)
	{
		for (size_t x = 0; x < columns; x++)
			for (int c = 0; c < 3; c++)
			{
				const DicomTable *palette = &header->palette[c];
				uint32_t stored = rows->stored[x];
				int32_t value = (int32_t) stored;

				if (header->is_signed && stored > most / 2)
					value -= (int32_t) most + 1;
				rows->wide[3 * x + (size_t) c] =
					img_widen(look_up(palette, value), (UINT32_C(1) << palette->bits) - 1);
			}
		put_wide_colours(rows, sink, channels);
	}
	else if (header->stored == 8)
	{
		/* the decoders of JPEG and JPEG 2000 have converted what they know */
		if (strncmp(header->photometric, "YBR_FULL", 8) == 0 && !rows->samples->is_rgb)
			convert_ybr(rows->stored, columns);
		put_narrow_colours(rows, sink, channels);
	}
	else
	{
		for (size_t i = 0; i < 3 * columns; i++)
			rows->wide[i] = img_widen(rows->stored[i], most);
		put_wide_colours(rows, sink, channels);
	}
}

ImgStatus
img_dicom_put_rows(ImgSink *sink, int channels, const DicomSamples *samples, const DicomHeader *header,
				   const ImgLimits *limits, ImgError *error)
{
	size_t row_n = (size_t) header->columns * 3;
	Rows rows = {samples, header, NULL, NULL, NULL, NULL};
	uint16_t *memory = malloc((MAX_STORED + 3 * row_n) * sizeof(uint16_t));
	ImgStatus status = IMG_OK;

	if (memory == NULL)
		return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	rows.levels = memory;
	rows.stored = rows.levels + MAX_STORED;
	rows.wide = rows.stored + row_n;
	rows.narrow = (uint8_t *) (rows.wide + row_n);
	if (header->photometric[0] == 'M')
		status = fill_levels(&rows, limits, error);
	for (uint32_t y = 0; status == IMG_OK && y < header->rows; y++)
	{
		if (is_interrupted(limits))
			status = interrupted(error);
		else
		{
			fetch_row(&rows, y);
			put_row(&rows, sink, channels);
		}
	}
	free(memory);
	return status;
}
