/*-------------------------------------------------------------------------
 *
 * dicom_tags.c
 *	  pneumo_dicom_tags(): the elements of a DICOM file as JSON, without the
 *	  pixel data.
 *
 * The form is the DICOM JSON model (PS3.18, Annex F).  As there, the elements of
 * the file itself (group 2) and the lengths of groups are left out.  Binary values
 * of more than MAX_INLINE bytes are left out, too: only their representation
 * stands there.
 *
 * An element of 8 bytes takes some hundred as JSON, and a deflated file of some
 * kilobytes can hold millions of them, so what the JSON takes has a limit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "catalog/namespace.h"
#include "common/base64.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/jsonb.h"

#include "image/image.h"

#include "pg/base/base.h"
#include "pg/base/json.h"

PG_FUNCTION_INFO_V1(pneumo_dicom_tags);

#define MAX_INLINE 1024
#define TAG_CHARACTER_SET 0x00080005
#define GROUP_META 0x0002
#define GROUP_PIXELS 0x7FE0
#define CHECK_EVERY 1024 /* calls */
#define VALUE_BYTES 640  /* that one takes in jsonb_in() */
#define TEXT_GROWTH 4    /* of its bytes, in conversions and copies */
#define NUMBER_DIGITS 15
#define FLOAT_DIGITS 9

typedef struct Writer
{
	PneumoJson json;
	int encoding; /* of texts with other characters than ASCII */
	double need;  /* bytes of memory, estimated */
	int calls;    /* of has_room() */
} Writer;

typedef struct CharacterSet
{
	const char *name;
	int encoding;
} CharacterSet;

/* The sets of one byte a character, and those that are a whole encoding. */
static const CharacterSet character_sets[] = {
	{"ISO_IR 100", PG_LATIN1},
	{"ISO 2022 IR 100", PG_LATIN1},
	{"ISO_IR 101", PG_LATIN2},
	{"ISO 2022 IR 101", PG_LATIN2},
	{"ISO_IR 109", PG_LATIN3},
	{"ISO 2022 IR 109", PG_LATIN3},
	{"ISO_IR 110", PG_LATIN4},
	{"ISO 2022 IR 110", PG_LATIN4},
	{"ISO_IR 144", PG_ISO_8859_5},
	{"ISO 2022 IR 144", PG_ISO_8859_5},
	{"ISO_IR 127", PG_ISO_8859_6},
	{"ISO 2022 IR 127", PG_ISO_8859_6},
	{"ISO_IR 126", PG_ISO_8859_7},
	{"ISO 2022 IR 126", PG_ISO_8859_7},
	{"ISO_IR 138", PG_ISO_8859_8},
	{"ISO 2022 IR 138", PG_ISO_8859_8},
	{"ISO_IR 148", PG_LATIN5},
	{"ISO 2022 IR 148", PG_LATIN5},
	{"ISO_IR 166", PG_WIN874},
	{"ISO 2022 IR 166", PG_WIN874},
	{"ISO_IR 192", PG_UTF8},
	{"GB18030", PG_GB18030},
	{"GBK", PG_GBK},
};

static bool
is_vr(const ImgDicomElement *element, const char *list)
{
	for (; *list != '\0'; list += 2)
		if (memcmp(list, element->vr, 2) == 0)
			return true;
	return false;
}

/* Counts the memory of n values and of a text; returns whether there is room for more. */
static bool
has_room(Writer *writer, Size n, Size text_bytes)
{
	if (++writer->calls % CHECK_EVERY == 0)
		CHECK_FOR_INTERRUPTS();
	writer->need += (double) n * VALUE_BYTES + (double) text_bytes * TEXT_GROWTH;
	return writer->need <= (double) pneumo_predict_memory * 1024;
}

/* Returns how many control characters a text has that JSON can only write as numbers, which takes long. */
static Size
count_controls(const ImgDicomElement *element)
{
	Size n = 0;
	Size i;

	for (i = 0; i < element->n_bytes; i++)
		n += element->value[i] < 32 && memchr("\b\t\n\f\r", element->value[i], 5) == NULL;
	return n;
}

/* Converts a valid text; returns NULL if a character is missing in the encoding of the database. */
static char *
convert(int encoding, char *text, int n)
{
	Oid proc = FindDefaultConversionProc(encoding, GetDatabaseEncoding());
	Size room = (Size) n * MAX_CONVERSION_GROWTH + 1;
	char *result;

	if (encoding == GetDatabaseEncoding() || GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	if (!OidIsValid(proc))
		return NULL;
	result = MemoryContextAllocHuge(CurrentMemoryContext, room);
	if (pg_do_encoding_conversion_buf(proc, encoding, GetDatabaseEncoding(), (unsigned char *) text, n,
									  (unsigned char *) result, (int) Min(room, INT_MAX), true) != n)
		return NULL;
	return result;
}

/* Returns a text in the encoding of the database, without the blanks at its end; what is no text becomes "?". */
static char *
text_of(const Writer *writer, const uint8 *bytes, size_t n)
{
	char *text;
	char *c;
	bool ascii = true;

	text = pnstrdup((const char *) bytes, n);
	n = strlen(text);
	while (n > 0 && text[n - 1] == ' ')
		text[--n] = '\0';
	for (c = text; *c != '\0'; c++)
		ascii = ascii && !IS_HIGHBIT_SET(*c);
	if (ascii)
		return text;
	if (writer->encoding >= 0 && pg_verify_mbstr(writer->encoding, text, (int) n, true))
	{
		char *converted = convert(writer->encoding, text, (int) n);

		if (converted != NULL)
			return converted;
	}
	for (c = text; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	return text;
}

/* Finds the encoding of the first character set that the file names. */
static void
read_character_set(Writer *writer, const ImgDicomElement *element)
{
	const char *first = (const char *) element->value;
	const char *end = first + element->n_bytes;
	int i;

	writer->encoding = -1;
	/* an empty first value means ASCII, and another set after it */
	while (first < end && (*first == '\\' || *first == ' '))
		first++;
	for (i = 0; i < (int) lengthof(character_sets); i++)
	{
		size_t n = strlen(character_sets[i].name);

		if ((size_t) (end - first) >= n && memcmp(first, character_sets[i].name, n) == 0 &&
			(first + n == end || !isdigit((unsigned char) first[n])))
			writer->encoding = character_sets[i].encoding;
	}
}

/* Adds a name of a person, whose groups are parted by "=". */
static void
add_person(Writer *writer, char *name)
{
	static const char *const keys[] = {"Alphabetic", "Ideographic", "Phonetic"};
	int i;

	pneumo_json_open_object(&writer->json, NULL);
	for (i = 0; i < (int) lengthof(keys) && name != NULL; i++)
	{
		char *next = strchr(name, '=');

		if (next != NULL)
			*next++ = '\0';
		if (name[0] != '\0')
			pneumo_json_add_string(&writer->json, keys[i], name);
		name = next;
	}
	pneumo_json_close(&writer->json);
}

/* Adds one value of a text element. */
static void
add_text(Writer *writer, const ImgDicomElement *element, char *text)
{
	char *end;
	double number;

	while (*text == ' ')
		text++;
	if (text[0] == '\0')
		pneumo_json_add_string(&writer->json, NULL, NULL);
	else if (is_vr(element, "PN"))
		add_person(writer, text);
	else if (is_vr(element, "DSIS"))
	{
		number = strtod(text, &end);
		if (*end == '\0' && isfinite(number) && strspn(text, "+-0123456789.eE") == strlen(text))
			pneumo_json_add_number(&writer->json, NULL, number, NUMBER_DIGITS);
		else
			pneumo_json_add_string(&writer->json, NULL, text);
	}
	else
		pneumo_json_add_string(&writer->json, NULL, text);
}

/* Adds the values of a text element, parted by backslashes unless it has only one. */
static void
add_texts(Writer *writer, const ImgDicomElement *element)
{
	char *text;

	if (!has_room(writer, count_controls(element), element->n_bytes))
		return;
	text = text_of(writer, element->value, element->n_bytes);
	if (text[0] == '\0')
		return;
	pneumo_json_open_array(&writer->json, "Value");
	while (text != NULL && has_room(writer, 1, 0))
	{
		char *next = is_vr(element, "LTSTUTUR") ? NULL : strchr(text, '\\');
		size_t n;

		if (next != NULL)
			*next++ = '\0';
		for (n = strlen(text); n > 0 && text[n - 1] == ' ';)
			text[--n] = '\0';
		add_text(writer, element, text);
		text = next;
	}
	pneumo_json_close(&writer->json);
}

/* Adds one binary number, whose bytes are in the order of the file. */
static void
add_number(Writer *writer, const ImgDicomElement *element, const uint8 *p, size_t size)
{
	uint64 bits = 0;
	size_t i;
	float4 single;
	float8 number;

	for (i = 0; i < size; i++)
		bits |= (uint64) p[i] << 8 * (element->big_endian ? size - 1 - i : i);
	if (is_vr(element, "FL"))
	{
		uint32 half = (uint32) bits;

		memcpy(&single, &half, sizeof(single));
		pneumo_json_add_number(&writer->json, NULL, single, FLOAT_DIGITS);
	}
	else if (is_vr(element, "FD"))
	{
		memcpy(&number, &bits, sizeof(number));
		pneumo_json_add_number(&writer->json, NULL, number, NUMBER_DIGITS + 2);
	}
	else if (is_vr(element, "SS"))
		pneumo_json_add_int(&writer->json, NULL, (int16) bits);
	else if (is_vr(element, "SL"))
		pneumo_json_add_int(&writer->json, NULL, (int32) bits);
	else if (is_vr(element, "UV"))
		pneumo_json_add_number(&writer->json, NULL, (double) bits, 20);
	else
		pneumo_json_add_int(&writer->json, NULL, (int64) bits);
}

static void
add_numbers(Writer *writer, const ImgDicomElement *element)
{
	size_t size = is_vr(element, "USSS") ? 2 : is_vr(element, "FDSVUV") ? 8 : 4;
	size_t at;

	if (element->n_bytes < size)
		return;
	pneumo_json_open_array(&writer->json, "Value");
	for (at = 0; at + size <= element->n_bytes && has_room(writer, 1, 0); at += size)
	{
		const uint8 *p = element->value + at;

		if (is_vr(element, "AT"))
		{
			char *tag = element->big_endian ? psprintf("%02X%02X%02X%02X", p[0], p[1], p[2], p[3])
											: psprintf("%02X%02X%02X%02X", p[1], p[0], p[3], p[2]);

			pneumo_json_add_string(&writer->json, NULL, tag);
		}
		else
			add_number(writer, element, p, size);
	}
	pneumo_json_close(&writer->json);
}

static void
add_binary(Writer *writer, const ImgDicomElement *element)
{
	int room;
	int n;
	char *text;

	if (element->n_bytes == 0 || element->n_bytes > MAX_INLINE)
		return;
	room = pg_b64_enc_len((int) element->n_bytes);
	text = palloc(room + 1);
	n = pg_b64_encode((const void *) element->value, (int) element->n_bytes, text, room);
	text[Max(n, 0)] = '\0';
	pneumo_json_add_string(&writer->json, "InlineBinary", text);
}

/* Adds an element, or opens what it begins. */
static void
add_element(Writer *writer, const ImgDicomElement *element)
{
	char tag[9];

	snprintf(tag, sizeof(tag), "%08X", (unsigned) element->tag);
	switch (element->event)
	{
		case IMG_DICOM_SEQUENCE:
			pneumo_json_open_object(&writer->json, tag);
			pneumo_json_add_string(&writer->json, "vr", "SQ");
			pneumo_json_open_array(&writer->json, "Value");
			break;
		case IMG_DICOM_ITEM:
			pneumo_json_open_object(&writer->json, NULL);
			break;
		case IMG_DICOM_ITEM_END:
			pneumo_json_close(&writer->json);
			break;
		case IMG_DICOM_SEQUENCE_END:
			pneumo_json_close(&writer->json);
			pneumo_json_close(&writer->json);
			break;
		default:
			pneumo_json_open_object(&writer->json, tag);
			pneumo_json_add_string(&writer->json, "vr", element->vr);
			if (is_vr(element, "USSSULSLFLFDATSVUV"))
				add_numbers(writer, element);
			else if (is_vr(element, "OBODOFOLOVOWUN"))
				add_binary(writer, element);
			else
				add_texts(writer, element);
			pneumo_json_close(&writer->json);
			break;
	}
}

/* Writes all elements of an opened file; returns the status of the reader. */
static ImgStatus
add_elements(Writer *writer, ImgDicom *dicom, ImgError *error)
{
	for (;;)
	{
		ImgDicomElement element;
		uint32 group;
		ImgStatus status = img_dicom_next(dicom, &element, error);

		if (status != IMG_OK)
			return status;
		if (element.event != IMG_DICOM_ITEM_END && element.event != IMG_DICOM_SEQUENCE_END &&
			!has_room(writer, 1, 0))
		{
			error->hint[0] = '\0';
			snprintf(error->message, sizeof(error->message),
					 "the elements of the DICOM file need more than the %s of pneumo.predict_memory as JSON",
					 pneumo_memory_text((double) pneumo_predict_memory * 1024));
			return IMG_TOO_LARGE;
		}
		if (element.event == IMG_DICOM_END)
			return IMG_OK;
		group = element.tag >> 16;
		if (element.event == IMG_DICOM_VALUE &&
			((element.tag & 0xffff) == 0 || group == GROUP_META || group == GROUP_PIXELS))
			continue;
		if (element.event == IMG_DICOM_VALUE && element.tag == TAG_CHARACTER_SET)
			read_character_set(writer, &element);
		add_element(writer, &element);
	}
}

/* Writes all elements; an error of the server closes the file. */
static void
add_all_elements(Writer *writer, ImgDicom *dicom, ImgError *error)
{
	PG_TRY();
	{
		error->status = add_elements(writer, dicom, error);
	}
	PG_CATCH();
	{
		img_dicom_close(dicom);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

Datum
pneumo_dicom_tags(PG_FUNCTION_ARGS)
{
	bytea *bytes = NULL;
	Writer writer;
	ImgDicom dicom;
	ImgLimits limits;
	ImgError error;

	memset(&writer, 0, sizeof(writer));
	writer.encoding = -1;
	pneumo_json_begin(&writer.json);
	if (pneumo_image_bytes(&bytes, PG_GETARG_DATUM(0), &error))
	{
		pneumo_image_limits(&limits);
		limits.interrupt = NULL; /* the loop over the elements looks itself */
		error.status = img_dicom_open(&dicom, (const uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
									  &limits, &error);
		if (error.status == IMG_OK)
			add_all_elements(&writer, &dicom, &error);
		img_dicom_close(&dicom);
	}
	if (error.status != IMG_OK)
	{
		if (pneumo_on_bad_image != PNEUMO_BAD_IMAGE_NULL || !pneumo_image_is_bad(error.status))
			pneumo_image_ereport(&error);
		PG_RETURN_NULL();
	}
	PG_FREE_IF_COPY(bytes, 0);
	PG_RETURN_JSONB_P(pneumo_json_end(&writer.json));
}
