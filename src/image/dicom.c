/*-------------------------------------------------------------------------
 *
 * dicom.c
 *	  DICOM files as images: what the header says, and the way of the first
 *	  frame from the file to the sink.
 *
 * The reader of the elements and all pixel codings but JPEG-LS and JPEG 2000
 * are our own: a library that reads DICOM as a whole and ends the process on
 * damaged files, as GDCM does by its assertions, would end all sessions of a
 * server.
 *
 * Of several frames, windows and tables the first counts.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom.h"

#define TAG(group, element) ((uint32_t) (group) << 16 | (element))
#define SEQUENCE_MODALITY TAG(0x0028, 0x3000)
#define SEQUENCE_VOI TAG(0x0028, 0x3010)
#define SEQUENCE_SHARED TAG(0x5200, 0x9229)
#define SEQUENCE_FRAMES TAG(0x5200, 0x9230)
#define SEQUENCE_TRANSFORMATION TAG(0x0028, 0x9145)
#define SEQUENCE_WINDOW TAG(0x0028, 0x9132)

#define MAX_SAMPLES 3

/* What the numbers of text elements are before their elements have been met. */
#define NO_NUMBER NAN

/* Copies a text without the blanks around it. */
static void
copy_text(char *dst, size_t size, const ImgDicomElement *element)
{
	const uint8_t *value = element->value;
	size_t n = element->n_bytes, i;

	while (n > 0 && *value == ' ')
	{
		value++;
		n--;
	}
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\0'))
		n--;
	for (i = 0; i < n && i < size - 1; i++)
		dst[i] = value[i] >= 32 && value[i] < 127 ? (char) value[i] : '?';
	dst[i] = '\0';
}

/* Returns the first number of a text, or NO_NUMBER. */
static double
text_number(const ImgDicomElement *element)
{
	char text[32];
	char *end;
	double number;
	size_t i;

	for (i = 0; i < element->n_bytes && i < sizeof(text) - 1 && element->value[i] != '\\'; i++)
		text[i] = (char) element->value[i];
	text[i] = '\0';
	number = strtod(text, &end);
	return end == text || !isfinite(number) ? NO_NUMBER : number;
}

/* Returns a binary number of 2 or 4 bytes: the one at index, or 0. */
static uint32_t
number_at(const ImgDicomElement *element, size_t index)
{
	const uint8_t *p = element->value + 2 * index;

	if (element->n_bytes < 2 * index + 2)
		return 0;
	if (index == 0 && element->n_bytes == 4 && memcmp(element->vr, "UL", 2) == 0)
		p = element->big_endian ? p + 2 : p;
	return element->big_endian ? (uint32_t) p[0] << 8 | p[1] : (uint32_t) p[1] << 8 | p[0];
}

static void
read_descriptor(DicomTable *table, const ImgDicomElement *element)
{
	uint32_t first = number_at(element, 1);

	if (element->n_bytes < 6)
		return;
	table->entries = number_at(element, 0) == 0 ? 65536 : number_at(element, 0);
	/* SS or US: negative where the pixels are signed, which finish_table() knows */
	table->first = (int32_t) first;
	table->bits = (int) number_at(element, 2);
}

static void
read_table(DicomTable *table, const ImgDicomElement *element)
{
	table->data = element->value;
	table->n_bytes = element->n_bytes;
	table->big_endian = element->big_endian;
}

static void
read_window_element(DicomHeader *header, const ImgDicomElement *element)
{
	char text[16];

	switch (element->tag)
	{
		case TAG(0x0028, 0x1050):
			header->centre = text_number(element);
			break;
		case TAG(0x0028, 0x1051):
			header->width = text_number(element);
			break;
		case TAG(0x0028, 0x1056):
			copy_text(text, sizeof(text), element);
			header->window = strcmp(text, "SIGMOID") == 0        ? DICOM_SIGMOID
							 : strcmp(text, "LINEAR_EXACT") == 0 ? DICOM_LINEAR_EXACT
																 : DICOM_LINEAR;
			break;
		case TAG(0x0028, 0x1052):
			header->intercept = text_number(element);
			break;
		case TAG(0x0028, 0x1053):
			header->slope = text_number(element);
			break;
		default:
			break;
	}
}

/* Takes an element outside sequences. */
static void
read_main_element(DicomHeader *header, const ImgDicomElement *element)
{
	switch (element->tag)
	{
		case TAG(0x0008, 0x0016):
			copy_text(header->class_uid, IMG_UID_LEN, element);
			break;
		case TAG(0x0028, 0x0002):
			header->samples = (int) number_at(element, 0);
			break;
		case TAG(0x0028, 0x0004):
			copy_text(header->photometric, sizeof(header->photometric), element);
			break;
		case TAG(0x0028, 0x0006):
			header->planar = (int) number_at(element, 0);
			break;
		case TAG(0x0028, 0x0008):
		{
			double frames = text_number(element);

			header->frames = frames >= 1 && frames <= 1e9 ? (uint32_t) frames : 1;
			break;
		}
		case TAG(0x0028, 0x0010):
			header->rows = number_at(element, 0);
			break;
		case TAG(0x0028, 0x0011):
			header->columns = number_at(element, 0);
			break;
		case TAG(0x0028, 0x0100):
			header->allocated = (int) number_at(element, 0);
			break;
		case TAG(0x0028, 0x0101):
			header->stored = (int) number_at(element, 0);
			break;
		case TAG(0x0028, 0x0102):
			header->high_bit = (int) number_at(element, 0);
			break;
		case TAG(0x0028, 0x0103):
			header->is_signed = number_at(element, 0) == 1;
			break;
		case TAG(0x0028, 0x0120):
			header->has_padding = element->n_bytes >= 2;
			header->padding_low = header->padding_high = (int32_t) number_at(element, 0);
			break;
		case TAG(0x0028, 0x0121):
			header->padding_high = (int32_t) number_at(element, 0);
			break;
		case TAG(0x0028, 0x1101):
		case TAG(0x0028, 0x1102):
		case TAG(0x0028, 0x1103):
			read_descriptor(&header->palette[element->tag - TAG(0x0028, 0x1101)], element);
			break;
		case TAG(0x0028, 0x1201):
		case TAG(0x0028, 0x1202):
		case TAG(0x0028, 0x1203):
			read_table(&header->palette[element->tag - TAG(0x0028, 0x1201)], element);
			break;
		case TAG(0x0028, 0x1221):
			header->segmented_palette = 1;
			break;
		case TAG(0x7FE0, 0x0008):
		case TAG(0x7FE0, 0x0009):
			header->other_pixels = 1;
			break;
		case TAG(0x7FE0, 0x0010):
			header->pixels = element->value;
			header->n_pixel_bytes = element->n_bytes;
			header->encapsulated = element->undefined;
			header->pixel_words = memcmp(element->vr, "OW", 2) == 0;
			break;
		default:
			read_window_element(header, element);
			break;
	}
}

/* Takes an element of the first item of a sequence that counts. */
static void
read_nested_element(DicomHeader *header, const ImgDicom *dicom, const ImgDicomElement *element)
{
	uint32_t outer = dicom->stack[0].tag;

	for (int i = 0; i < dicom->depth; i++)
		if (!dicom->stack[i].is_item && dicom->stack[i].items != 1)
			return;
	if (dicom->depth == 2 && (outer == SEQUENCE_MODALITY || outer == SEQUENCE_VOI))
	{
		DicomTable *table = outer == SEQUENCE_MODALITY ? &header->modality : &header->voi;

		if (element->tag == TAG(0x0028, 0x3002))
			read_descriptor(table, element);
		else if (element->tag == TAG(0x0028, 0x3006))
			read_table(table, element);
	}
	else if (dicom->depth == 4 && (outer == SEQUENCE_SHARED || outer == SEQUENCE_FRAMES) &&
			 (dicom->stack[2].tag == SEQUENCE_TRANSFORMATION || dicom->stack[2].tag == SEQUENCE_WINDOW))
		read_window_element(header, element);
}

/* Checks a table and finds out how it is stored; a bad one is as if it were not there. */
static void
finish_table(DicomTable *table, int is_signed)
{
	if (table->entries == 0 || table->data == NULL || table->bits < 8 || table->bits > 16)
	{
		table->entries = 0;
		return;
	}
	table->wide = table->n_bytes >= 2 * (size_t) table->entries;
	if (table->n_bytes < table->entries)
		table->entries = 0;
	if (is_signed && table->first > INT16_MAX)
		table->first -= 65536;
	/* some writers say 16 bits of tables of 8 */
	if (!table->wide)
		table->bits = 8;
}

static int32_t
extend_sign(int32_t value, int bits, int is_signed)
{
	int32_t mask = (int32_t) ((UINT32_C(1) << bits) - 1);

	value &= mask;
	return is_signed && value > mask / 2 ? value - mask - 1 : value;
}

/* Says why a file has no pixels that could be read. */
static ImgStatus
no_pixels(const DicomHeader *header, ImgError *error)
{
	static const struct
	{
		const char *uid, *name;
	} documents[] = {
		{"1.2.840.10008.5.1.4.1.1.104.1", "it holds a PDF document"},
		{"1.2.840.10008.5.1.4.1.1.104.2", "it holds a document"},
		{"1.2.840.10008.5.1.4.1.1.88.", "it is a structured report"},
		{"1.2.840.10008.5.1.4.1.1.11.", "it is a presentation state"},
		{"1.2.840.10008.5.1.4.1.1.9.", "it is a waveform"},
		{"1.2.840.10008.5.1.4.1.1.481.", "it is a radiotherapy object"},
		{"1.2.840.10008.1.3.10", "it is a directory (DICOMDIR)"},
	};

	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++)
		if (strncmp(header->class_uid, documents[i].uid, strlen(documents[i].uid)) == 0)
			return img_fail(error, IMG_UNSUPPORTED, "DICOM file without pixel data: %s", documents[i].name);
	return img_fail(error, IMG_UNSUPPORTED, "DICOM file without pixel data%s%s",
					header->class_uid[0] != '\0' ? ", SOP class " : "", header->class_uid);
}

/* Checks that the picture is of a kind that is read. */
static ImgStatus
check_header(DicomHeader *header, ImgError *error)
{
	const char *photometric = header->photometric;
	int is_grey = strncmp(photometric, "MONOCHROME", 10) == 0 || strcmp(photometric, "PALETTE COLOR") == 0;

	header->syntax = img_dicom_syntax(header->syntax_uid);
	if (header->syntax_uid[0] == '\0')
		header->syntax = img_dicom_syntax("1.2.840.10008.1.2");
	if (header->syntax == NULL)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM transfer syntax %s is not supported",
						header->syntax_uid);
	if (header->syntax->coding == DICOM_NOT_READ)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM transfer syntax %s (%s) is not supported",
						header->syntax_uid, header->syntax->name);
	if (header->pixels == NULL && header->other_pixels)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM pixel data in floating point are not supported");
	if (header->pixels == NULL)
		return no_pixels(header, error);
	if (header->allocated == 0 || header->rows == 0 || header->columns == 0)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: %u x %u pixels of %d bits",
						(unsigned) header->columns, (unsigned) header->rows, header->allocated);
	if (header->allocated != 8 && header->allocated != 16)
		return img_fail(error, IMG_UNSUPPORTED,
						"DICOM image has %d bits allocated; only 8 and 16 are supported", header->allocated);
	if (header->stored < 1 || header->stored > header->allocated || header->high_bit < header->stored - 1 ||
		header->high_bit >= header->allocated)
		return img_fail(error, IMG_CORRUPT,
						"damaged DICOM image: %d bits stored up to bit %d, of %d allocated", header->stored,
						header->high_bit, header->allocated);
	if (header->samples != (is_grey ? 1 : 3))
		return img_fail(error, IMG_UNSUPPORTED,
						"DICOM image has %d samples per pixel, photometric interpretation %s",
						header->samples, photometric);
	if (!is_grey && strcmp(photometric, "RGB") != 0 && strcmp(photometric, "YBR_FULL") != 0 &&
		strcmp(photometric, "YBR_FULL_422") != 0 && strcmp(photometric, "YBR_ICT") != 0 &&
		strcmp(photometric, "YBR_RCT") != 0)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM photometric interpretation %s is not supported",
						photometric);
	if (!is_grey && (header->is_signed || (header->allocated == 16 && photometric[0] == 'Y')))
		return img_fail(error, IMG_UNSUPPORTED, "DICOM colour image of %d bits%s is not supported",
						header->allocated, header->is_signed ? ", signed," : "");
	if (photometric[0] == 'Y' && header->stored != 8)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: %d bits stored in %s", header->stored,
						photometric);
	if (photometric[0] == 'P')
	{
		if (header->segmented_palette && header->palette[0].entries == 0)
			return img_fail(error, IMG_UNSUPPORTED, "DICOM segmented palettes are not supported");
		if (header->palette[0].entries == 0 || header->palette[1].entries == 0 ||
			header->palette[2].entries == 0)
			return img_fail(error, IMG_CORRUPT, "damaged DICOM image: its palette is missing or cut off");
	}
	return IMG_OK;
}

ImgStatus
img_dicom_read_header(DicomHeader *header, ImgDicom *dicom, ImgError *error)
{
	memset(header, 0, sizeof(*header));
	header->frames = 1;
	header->samples = 1;
	header->centre = header->width = header->slope = header->intercept = NO_NUMBER;
	header->high_bit = -1;
	for (;;)
	{
		ImgDicomElement element;
		ImgStatus status = img_dicom_next(dicom, &element, error);

		if (status != IMG_OK)
			return status;
		if (dicom->limits.interrupt != NULL && *dicom->limits.interrupt)
			return img_fail(error, IMG_INTERRUPTED, "interrupted while reading a DICOM file");
		if (element.event == IMG_DICOM_END)
			break;
		if (element.event != IMG_DICOM_VALUE)
			continue;
		if (dicom->depth == 0)
			read_main_element(header, &element);
		else
			read_nested_element(header, dicom, &element);
	}
	/* the one by which the elements were read: another among them, after group 2, counts for nothing */
	memcpy(header->syntax_uid, dicom->transfer_syntax, IMG_UID_LEN);
	if (header->stored == 0)
		header->stored = header->allocated;
	if (header->high_bit < 0)
		header->high_bit = header->stored - 1;
	if (header->has_padding && header->stored >= 1 && header->stored <= 16)
	{
		int32_t low = extend_sign(header->padding_low, header->stored, header->is_signed);
		int32_t high = extend_sign(header->padding_high, header->stored, header->is_signed);

		header->padding_low = low < high ? low : high;
		header->padding_high = low < high ? high : low;
	}
	header->has_rescale = isfinite(header->slope) && header->slope != 0;
	if (header->has_rescale && !isfinite(header->intercept))
		header->intercept = 0;
	header->has_window = isfinite(header->centre) && isfinite(header->width) &&
						 header->width >= (header->window == DICOM_LINEAR ? 1.0 : 1e-6);
	finish_table(&header->modality, header->is_signed);
	/* after a modality table the values are not negative */
	finish_table(&header->voi, header->modality.entries == 0);
	for (int i = 0; i < 3; i++)
		finish_table(&header->palette[i], header->is_signed);
	return check_header(header, error);
}

static ImgStatus
read_info(ImgInfo *info, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits, ImgError *error)
{
	ImgDicom dicom;
	DicomHeader header;
	ImgStatus status = img_dicom_open(&dicom, bytes, n_bytes, limits, error);

	if (status == IMG_OK)
		status = img_dicom_read_header(&header, &dicom, error);
	if (status == IMG_OK)
		status = img_check_size("DICOM", header.columns, header.rows, limits, error);
	img_dicom_close(&dicom);
	if (status != IMG_OK)
		return status;
	info->format = IMG_FORMAT_DICOM;
	info->width = header.columns;
	info->height = header.rows;
	info->components = header.samples;
	info->bits = header.allocated;
	info->bits_stored = header.stored;
	memcpy(info->photometric, header.photometric, sizeof(info->photometric));
	memcpy(info->transfer_syntax, header.syntax_uid, sizeof(info->transfer_syntax));
	return IMG_OK;
}

ImgStatus
img_dicom_mismatch(ImgError *error, const char *name, uint64_t width, uint64_t height, int samples,
				   const DicomHeader *header)
{
	return img_fail(error, IMG_CORRUPT,
					"damaged DICOM image: its %s data are %llu x %llu x %d, but the header says %u x %u x %d",
					name, (unsigned long long) width, (unsigned long long) height, samples,
					(unsigned) header->columns, (unsigned) header->rows, header->samples);
}

static ImgStatus
decode(ImgSink *sink, int channels, int denom, const uint8_t *bytes, size_t n_bytes, const ImgInfo *info,
	   const ImgLimits *limits, ImgError *error)
{
	ImgDicom dicom;
	DicomHeader header;
	DicomSamples samples;
	ImgStatus status = img_dicom_open(&dicom, bytes, n_bytes, limits, error);

	memset(&samples, 0, sizeof(samples));
	if (status == IMG_OK)
		status = img_dicom_read_header(&header, &dicom, error);
	if (status == IMG_OK)
		status = img_check_size("DICOM", header.columns, header.rows, limits, error);
	if (status == IMG_OK && (header.columns != info->width || header.rows != info->height || denom != 1))
		status =
			img_fail(error, IMG_BAD_ARGUMENT, "the image is %u x %u pixels, but was announced as %u x %u",
					 (unsigned) header.columns, (unsigned) header.rows, (unsigned) info->width,
					 (unsigned) info->height);
	if (status == IMG_OK)
		status = img_dicom_frame(&samples, &header, limits, error);
	if (status == IMG_OK)
		status = img_dicom_put_rows(sink, channels, &samples, &header, limits, error);
	free(samples.memory);
	img_dicom_close(&dicom);
	return status;
}

const ImgCodec img_codec_dicom = {"DICOM", 0, read_info, decode};
