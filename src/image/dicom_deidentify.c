/*-------------------------------------------------------------------------
 *
 * dicom_deidentify.c
 *	  A DICOM file without what names a person: the Basic Application Level
 *	  Confidentiality Profile of DICOM PS3.15, Annex E.
 *
 * What is not known to be harmless goes.  Of the groups only those are kept that an
 * image needs; in these, attributes of representations that hold names, free texts,
 * places and times go by their representation, and others by the profile's table
 * E.1-1.  The same rules hold within sequences.  UIDs that are not DICOM's own are
 * replaced by a keyed hash, so that references between files remain; PatientID
 * likewise, so that the images of one patient remain one group.
 *
 * The file is read twice: once to count the bytes of the result, once to write them.
 * The pixel data are copied byte for byte.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "hash/sha256.h"

#include "dicom.h"

#define TAG(group, element) ((uint32_t) (group) << 16 | (element))
#define TAG_ITEM TAG(0xFFFE, 0xE000)
#define TAG_ITEM_END TAG(0xFFFE, 0xE00D)
#define TAG_SEQUENCE_END TAG(0xFFFE, 0xE0DD)
#define TAG_PATIENT_ID TAG(0x0010, 0x0020)
#define TAG_BIRTH_DATE TAG(0x0010, 0x0030)
#define TAG_BURNED_IN TAG(0x0028, 0x0301)
#define TAG_TEMPORAL TAG(0x0028, 0x0303)
#define UNDEFINED UINT32_C(0xFFFFFFFF)
#define EXPLICIT_LITTLE "1.2.840.10008.1.2.1"
#define DICOM_ROOT "1.2.840.10008."
#define PSEUDONYM_BYTES 8
#define MAX_ID 256
#define MAX_SHIFT 3650 /* days */

/* Attributes that stay without a value, as files of images must have them. */
static const uint32_t emptied[] = {
	TAG(0x0008, 0x0020), TAG(0x0008, 0x0023), TAG(0x0008, 0x0030), TAG(0x0008, 0x0033), TAG(0x0008, 0x0050),
	TAG(0x0008, 0x0090), TAG(0x0010, 0x0010), TAG(0x0010, 0x0030), TAG(0x0010, 0x0040), TAG(0x0020, 0x0010),
};

/* Attributes of groups that are kept, which go though their representation may stay. */
static const uint32_t removed[] = {
	TAG(0x0008, 0x0080), TAG(0x0008, 0x0082), TAG(0x0008, 0x0094), TAG(0x0008, 0x0096), TAG(0x0008, 0x009D),
	TAG(0x0008, 0x0201), TAG(0x0008, 0x1010), TAG(0x0008, 0x1030), TAG(0x0008, 0x1032), TAG(0x0008, 0x103E),
	TAG(0x0008, 0x103F), TAG(0x0008, 0x1040), TAG(0x0008, 0x1041), TAG(0x0008, 0x1049), TAG(0x0008, 0x1052),
	TAG(0x0008, 0x1062), TAG(0x0008, 0x1072), TAG(0x0008, 0x1080), TAG(0x0008, 0x1084), TAG(0x0008, 0x1088),
	TAG(0x0008, 0x1110), TAG(0x0008, 0x1111), TAG(0x0008, 0x1120), TAG(0x0008, 0x1301), TAG(0x0008, 0x1302),
	TAG(0x0008, 0x1303), TAG(0x0008, 0x1304), TAG(0x0018, 0x0010), TAG(0x0018, 0x1000), TAG(0x0018, 0x1004),
	TAG(0x0018, 0x1005), TAG(0x0018, 0x1007), TAG(0x0018, 0x1008), TAG(0x0018, 0x100A), TAG(0x0018, 0x1010),
	TAG(0x0018, 0x1011), TAG(0x0018, 0x1030), TAG(0x0018, 0x11BB), TAG(0x0018, 0x1400), TAG(0x0018, 0x5011),
	TAG(0x0018, 0x700A), TAG(0x0018, 0x9937), TAG(0x0020, 0x0027), TAG(0x0020, 0x3401), TAG(0x0020, 0x3406),
};

/* The patient's attributes that the option keep_characteristics keeps: sex, age, size, weight. */
static const uint32_t characteristics[] = {
	TAG(0x0010, 0x0040),
	TAG(0x0010, 0x1010),
	TAG(0x0010, 0x1020),
	TAG(0x0010, 0x1030),
};

/* Groups of which anything is kept. */
static const uint32_t groups[] = {0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0054, 0x2050, 0x5200, 0x7FE0};

#define HAS(list, value) has(list, sizeof(list) / sizeof((list)[0]), value)

typedef enum Action
{
	KEEP,
	REMOVE,
	EMPTY,
	MAP_UIDS,
	SHIFT_DATE,
	PSEUDONYM
} Action;

typedef struct Writer
{
	uint8_t *dst; /* NULL: bytes are counted only */
	size_t room, n;
	int implicit_vr, big_endian;
	const ImgDeidentify *options;
	char patient_id[MAX_ID];
	int days; /* that dates are shifted back */
	int next; /* of the attributes that are added */
	int in_dataset;
} Writer;

static int
has(const uint32_t *list, size_t n, uint32_t value)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == value)
			return 1;
	return 0;
}

/* Returns whether a representation is in a list of them. */
static int
is_vr(const char *vr, const char *list)
{
	for (; *list != '\0'; list += 2)
		if (memcmp(list, vr, 2) == 0)
			return 1;
	return 0;
}

/* ----------------------------------------------------------------- writing */

static void
put_bytes(Writer *writer, const void *bytes, size_t n)
{
	if (writer->dst != NULL && n > 0 && writer->n <= writer->room && n <= writer->room - writer->n)
		memcpy(writer->dst + writer->n, bytes, n);
	writer->n += n;
}

static void
put_number(Writer *writer, uint32_t number, int n_bytes)
{
	uint8_t bytes[4];

	for (int i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t) (number >> 8 * (writer->big_endian ? n_bytes - 1 - i : i));
	put_bytes(writer, bytes, (size_t) n_bytes);
}

/* Writes what stands before a value. */
static void
put_head(Writer *writer, uint32_t tag, const char *vr, uint32_t length)
{
	int is_long;

	put_number(writer, tag >> 16, 2);
	put_number(writer, tag & 0xffff, 2);
	if (writer->implicit_vr || tag >> 16 == 0xFFFE)
	{
		put_number(writer, length, 4);
		return;
	}
	is_long = is_vr(vr, "OBODOFOLOVOWSQSVUCUNURUTUV");
	/* a value too long for its representation, which a file without representations may have */
	if (!is_long && length > 0xffff)
	{
		vr = "UN";
		is_long = 1;
	}
	put_bytes(writer, vr, 2);
	if (is_long)
		put_number(writer, 0, 2);
	put_number(writer, length, is_long ? 4 : 2);
}

/* Writes an element with a text, padded to an even length. */
static void
put_text(Writer *writer, uint32_t tag, const char *vr, const char *text)
{
	size_t n = strlen(text);

	put_head(writer, tag, vr, (uint32_t) (n + n % 2));
	put_bytes(writer, text, n);
	if (n % 2 != 0)
		put_bytes(writer, memcmp(vr, "UI", 2) == 0 ? "" : " ", 1);
}

/* Writes an item with a code of the profile's context group 7050. */
static void
put_code(Writer *writer, const char *value, const char *meaning)
{
	put_head(writer, TAG_ITEM, "", UNDEFINED);
	put_text(writer, TAG(0x0008, 0x0100), "SH", value);
	put_text(writer, TAG(0x0008, 0x0102), "SH", "DCM");
	put_text(writer, TAG(0x0008, 0x0104), "LO", meaning);
	put_head(writer, TAG_ITEM_END, "", 0);
}

/* Writes those attributes that say what was done whose place is before a tag. */
static void
put_added(Writer *writer, uint32_t before)
{
	if (writer->next == 0 && before > TAG(0x0012, 0x0062))
	{
		writer->next++;
		put_text(writer, TAG(0x0012, 0x0062), "CS", "YES");
		put_text(writer, TAG(0x0012, 0x0063), "LO", "pneumo, DICOM PS3.15 Annex E");
		put_head(writer, TAG(0x0012, 0x0064), "SQ", UNDEFINED);
		put_code(writer, "113100", "Basic Application Confidentiality Profile");
		if (writer->options->shift_dates)
			put_code(writer, "113107", "Retain Longitudinal Temporal Information Modified Dates Option");
		if (writer->options->keep_characteristics)
			put_code(writer, "113108", "Retain Patient Characteristics Option");
		put_head(writer, TAG_SEQUENCE_END, "", 0);
	}
	if (writer->next == 1 && before > TAG_TEMPORAL)
	{
		writer->next++;
		put_text(writer, TAG_TEMPORAL, "CS", writer->options->shift_dates ? "MODIFIED" : "REMOVED");
	}
}

/* ----------------------------------------------------------- keyed hashes */

/* Computes the keyed hash of a value; kind keeps hashes for different purposes apart. */
static void
keyed_hash(uint8_t digest[SHA256_LEN], const ImgDeidentify *options, char kind, const char *value, size_t n)
{
	uint8_t text[MAX_ID + 1];

	if (n > MAX_ID)
		n = MAX_ID;
	text[0] = (uint8_t) kind;
	memcpy(text + 1, value, n);
	sha256_hmac(digest, options->key, options->n_key, text, n + 1);
}

/* Writes a UID of the form 2.25., whose number is a UUID (version 8, RFC 9562), for another UID. */
static void
map_uid(char *dst, const ImgDeidentify *options, const char *uid, size_t n)
{
	uint8_t digest[SHA256_LEN];
	char digits[40];
	int at = (int) sizeof(digits);
	int is_zero = 0;

	keyed_hash(digest, options, 'U', uid, n);
	digest[6] = (uint8_t) ((digest[6] & 0x0f) | 0x80);
	digest[8] = (uint8_t) ((digest[8] & 0x3f) | 0x80);
	digits[--at] = '\0';
	while (!is_zero)
	{
		uint32_t rest = 0;

		is_zero = 1;
		for (int i = 0; i < 16; i++)
		{
			rest = rest << 8 | digest[i];
			digest[i] = (uint8_t) (rest / 10);
			is_zero = is_zero && digest[i] == 0;
			rest %= 10;
		}
		digits[--at] = (char) ('0' + rest);
	}
	snprintf(dst, IMG_UID_LEN, "2.25.%s", digits + at);
}

/* Returns the length of a value without the padding at its end. */
static size_t
text_length(const uint8_t *value, size_t n)
{
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\0'))
		n--;
	return n;
}

/* Returns whether a UID stays: one of the standard, or of a class or a coding of files, which names no file. */
static int
uid_stays(uint32_t tag, const char *uid, size_t n)
{
	static const uint32_t of_classes[] = {
		TAG(0x0002, 0x0002), TAG(0x0002, 0x0010), TAG(0x0002, 0x0012),
		TAG(0x0008, 0x0016), TAG(0x0008, 0x1150),
	};

	for (size_t i = 0; i < n; i++)
		if ((uid[i] < '0' || uid[i] > '9') && uid[i] != '.')
			return 0;
	return n < IMG_UID_LEN && (HAS(of_classes, tag) ||
							   (n >= strlen(DICOM_ROOT) && memcmp(uid, DICOM_ROOT, strlen(DICOM_ROOT)) == 0));
}

/* Writes an element with the UIDs of another one mapped, those that stay as they are. */
static void
put_uids(Writer *writer, uint32_t tag, const uint8_t *value, size_t n_bytes)
{
	const char *text = (const char *) value;
	size_t n = text_length(value, n_bytes);
	Writer counted = *writer;

	/* the length comes first, so the values are written twice: counted, and in earnest */
	for (int pass = 0; pass < 2; pass++)
	{
		Writer *to = pass == 0 ? &counted : writer;
		size_t length;

		if (pass == 0)
		{
			counted.dst = NULL;
			counted.n = 0;
		}
		else
		{
			length = counted.n + counted.n % 2;
			put_head(writer, tag, "UI", (uint32_t) length);
		}
		for (size_t at = 0; at <= n;)
		{
			const char *end = memchr(text + at, '\\', n - at);
			size_t length_of_one = end == NULL ? n - at : (size_t) (end - (text + at));

			if (uid_stays(tag, text + at, length_of_one))
				put_bytes(to, text + at, length_of_one);
			else if (length_of_one > 0)
			{
				char uid[IMG_UID_LEN];

				map_uid(uid, writer->options, text + at, length_of_one);
				put_bytes(to, uid, strlen(uid));
			}
			at += length_of_one + 1;
			if (end != NULL)
				put_bytes(to, "\\", 1);
		}
	}
	if (counted.n % 2 != 0)
		put_bytes(writer, "", 1);
}

/* ------------------------------------------------------------------- dates */

/* Returns the number of days from 1 March of the year 0 to a date of the Gregorian calendar. */
static int
days_of(int year, int month, int day)
{
	int y = month > 2 ? year : year - 1;
	int m = (month + 9) % 12;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
}

/* Writes YYYYMMDD of such a number. */
static void
date_of(char *dst, size_t n_bytes, int days)
{
	int year = (int) ((10000LL * days + 14780) / 3652425);
	int rest = days - (365 * year + year / 4 - year / 100 + year / 400);
	int m;

	if (rest < 0)
	{
		year--;
		rest = days - (365 * year + year / 4 - year / 100 + year / 400);
	}
	m = (100 * rest + 52) / 3060;
	snprintf(dst, n_bytes, "%04d%02d%02d", (year + (m + 2) / 12) % 10000, (m + 2) % 12 + 1,
			 rest - (m * 306 + 5) / 10 + 1);
}

/* Reads YYYYMMDD; returns -1 unless it is a date. */
static int
parse_date(const uint8_t *value)
{
	int number = 0;
	int year, month, day;

	for (int i = 0; i < 8; i++)
	{
		if (value[i] < '0' || value[i] > '9')
			return -1;
		number = number * 10 + value[i] - '0';
	}
	year = number / 10000;
	month = number / 100 % 100;
	day = number % 100;
	return year < 1000 || month < 1 || month > 12 || day < 1 || day > 31 ? -1 : days_of(year, month, day);
}

/* Writes a date or a time with a date that is shifted; what is none is emptied. */
static void
put_shifted(Writer *writer, const ImgDicomElement *element)
{
	size_t n = text_length(element->value, element->n_bytes);
	int days = n >= 8 ? parse_date(element->value) : -1;
	char text[64];

	if (days < 0 || n >= sizeof(text) || memchr(element->value, '\\', n) != NULL ||
		(n > 8 && memcmp(element->vr, "DA", 2) == 0))
	{
		put_head(writer, element->tag, element->vr, 0);
		return;
	}
	date_of(text, sizeof(text), days - writer->days);
	memcpy(text + 8, element->value + 8, n - 8);
	text[n] = '\0';
	put_text(writer, element->tag, element->vr, text);
}

/* ------------------------------------------------------------------- rules */

/* Returns what is done with an attribute of the patient. */
static Action
action_on_patient(const Writer *writer, uint32_t tag)
{
	if (tag == TAG_PATIENT_ID)
		return PSEUDONYM;
	if (writer->options->keep_characteristics && HAS(characteristics, tag))
		return KEEP;
	return HAS(emptied, tag) ? EMPTY : REMOVE;
}

/* Returns what is done with an attribute. */
static Action
action_on(const Writer *writer, const ImgDicomElement *element)
{
	uint32_t tag = element->tag;
	uint32_t group = tag >> 16;
	const char *vr = element->vr;

	if (group % 2 != 0)
		return !writer->options->keep_private ? REMOVE : is_vr(vr, "UI") ? MAP_UIDS : KEEP;
	if ((tag & 0xffff) == 0 || !HAS(groups, group) || tag == TAG_TEMPORAL || HAS(removed, tag))
		return REMOVE;
	if (group == 0x0010)
		return action_on_patient(writer, tag);
	if (is_vr(vr, "UI"))
		return MAP_UIDS;
	if (is_vr(vr, "DADT") && writer->options->shift_dates)
		return SHIFT_DATE;
	if (is_vr(vr, "TM") && writer->options->shift_dates)
		return KEEP;
	if (HAS(emptied, tag))
		return EMPTY;
	/* names, dates, free texts, titles, addresses, what nobody knows */
	if (is_vr(vr, "PNDADTTMLTSTUTUCAEURASUN"))
		return REMOVE;
	if (is_vr(vr, "OBODOFOLOVOW") && group != 0x0028 && group != 0x7FE0)
		return REMOVE;
	return KEEP;
}

/* Writes a value, or what takes its place. */
static void
put_value(Writer *writer, const ImgDicomElement *element)
{
	uint8_t digest[SHA256_LEN];
	char pseudonym[2 * PSEUDONYM_BYTES + 1];

	switch (action_on(writer, element))
	{
		case REMOVE:
			break;
		case EMPTY:
			put_head(writer, element->tag, element->vr, 0);
			break;
		case MAP_UIDS:
			put_uids(writer, element->tag, element->value, element->n_bytes);
			break;
		case SHIFT_DATE:
			put_shifted(writer, element);
			break;
		case PSEUDONYM:
			keyed_hash(digest, writer->options, 'P', (const char *) element->value,
					   text_length(element->value, element->n_bytes));
			for (int i = 0; i < PSEUDONYM_BYTES; i++)
				snprintf(pseudonym + 2 * i, 3, "%02X", digest[i]);
			put_text(writer, element->tag, element->vr,
					 text_length(element->value, element->n_bytes) > 0 ? pseudonym : "");
			break;
		case KEEP:
			put_head(writer, element->tag, element->vr,
					 element->undefined ? UNDEFINED : (uint32_t) element->n_bytes);
			put_bytes(writer, element->value, element->n_bytes);
			if (element->undefined)
				put_head(writer, TAG_SEQUENCE_END, "", 0);
			break;
	}
}

/* --------------------------------------------------------------- the file */

/* Takes an element of group 2, of which class, instance and transfer syntax are kept. */
static void
take_meta(Writer *writer, const ImgDicomElement *element, const DicomSyntax *syntax)
{
	switch (element->tag & 0xffff)
	{
		case 0x0002:
		case 0x0003:
		case 0x0012:
			put_uids(writer, element->tag, element->value, element->n_bytes);
			break;
		case 0x0010:
			/* the result is not deflated */
			if (syntax != NULL && syntax->deflated)
				put_text(writer, element->tag, "UI", EXPLICIT_LITTLE);
			else
				put_uids(writer, element->tag, element->value, element->n_bytes);
			break;
		default:
			break;
	}
}

/* Notes what the rules must know before the first element is written. */
static void
scan_element(Writer *writer, ImgDeidentified *found, const ImgDicomElement *element)
{
	size_t n = text_length(element->value, element->n_bytes);

	if (element->tag == TAG_PATIENT_ID)
		snprintf(writer->patient_id, sizeof(writer->patient_id), "%.*s", (int) (n < MAX_ID ? n : MAX_ID - 1),
				 (const char *) element->value);
	if (element->tag == TAG_BURNED_IN)
		found->burned_in = n == 3 && memcmp(element->value, "YES", 3) == 0;
}

/* Ends the group of meta elements: writes its length, now that it is known. */
static void
end_meta(Writer *writer, size_t start, const ImgDicom *dicom)
{
	size_t end = writer->n;

	writer->in_dataset = 1;
	if (start > 0)
	{
		writer->n = start - 4;
		put_number(writer, (uint32_t) (end - start), 4);
		writer->n = end;
	}
	/* a first element that is a sequence has been entered, and may have another encoding in it */
	writer->implicit_vr = dicom->depth > 0 ? dicom->stack[0].implicit_vr : dicom->implicit_vr;
	writer->big_endian = dicom->big_endian;
}

/* Goes through a file; with found it only looks, else it writes. */
static ImgStatus
pass(Writer *writer, ImgDeidentified *found, ImgDicom *dicom, ImgError *error)
{
	size_t start = 0;
	int skipped = 0; /* the depth of a sequence that is removed; 0: none */

	for (;;)
	{
		ImgDicomElement element;
		ImgStatus status;
		int was_meta;

		if (dicom->limits.interrupt != NULL && *dicom->limits.interrupt)
			return img_fail(error, IMG_INTERRUPTED, "interrupted while reading a DICOM file");
		status = img_dicom_next(dicom, &element, error);
		if (status != IMG_OK)
			return status;
		was_meta = element.event == IMG_DICOM_VALUE && element.tag >> 16 == 2;
		if (found != NULL)
		{
			if (element.event == IMG_DICOM_VALUE && dicom->depth == 0)
				scan_element(writer, found, &element);
			if (element.event == IMG_DICOM_END)
				return IMG_OK;
			continue;
		}
		if (was_meta && !writer->in_dataset)
		{
			if (start == 0)
			{
				static const uint8_t preamble[128] = {0};

				put_bytes(writer, preamble, sizeof(preamble));
				put_bytes(writer, "DICM", 4);
				put_head(writer, TAG(0x0002, 0x0000), "UL", 4);
				put_number(writer, 0, 4);
				start = writer->n;
				put_head(writer, TAG(0x0002, 0x0001), "OB", 2);
				put_bytes(writer, "\0\1", 2);
			}
			take_meta(writer, &element, img_dicom_syntax(dicom->transfer_syntax));
			continue;
		}
		if (!writer->in_dataset)
			end_meta(writer, start, dicom);
		if (skipped > 0)
		{
			if (element.event == IMG_DICOM_SEQUENCE_END && dicom->depth < skipped)
				skipped = 0;
			continue;
		}
		if (dicom->depth == (element.event == IMG_DICOM_SEQUENCE) && element.event != IMG_DICOM_SEQUENCE_END)
			put_added(writer, element.event == IMG_DICOM_END ? UINT32_MAX : element.tag);
		switch (element.event)
		{
			case IMG_DICOM_VALUE:
				put_value(writer, &element);
				break;
			case IMG_DICOM_SEQUENCE:
				if (action_on(writer, &element) != KEEP)
					skipped = dicom->depth;
				else
					put_head(writer, element.tag, "SQ", UNDEFINED);
				break;
			case IMG_DICOM_ITEM:
				put_head(writer, TAG_ITEM, "", UNDEFINED);
				break;
			case IMG_DICOM_ITEM_END:
				put_head(writer, TAG_ITEM_END, "", 0);
				break;
			case IMG_DICOM_SEQUENCE_END:
				put_head(writer, TAG_SEQUENCE_END, "", 0);
				break;
			case IMG_DICOM_END:
				return IMG_OK;
		}
	}
}

/*
 * Reads the elements of the result to their end.  A file with a damaged byte may
 * be readable, and what is left of it not.
 */
static ImgStatus
read_back(const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits, ImgError *error)
{
	ImgDicom dicom;
	ImgDicomElement element;
	ImgStatus status = img_dicom_open(&dicom, bytes, n_bytes, limits, error);

	element.event = IMG_DICOM_VALUE;
	while (status == IMG_OK && element.event != IMG_DICOM_END)
	{
		if (limits->interrupt != NULL && *limits->interrupt)
			status = img_fail(error, IMG_INTERRUPTED, "interrupted while reading a DICOM file");
		else
			status = img_dicom_next(&dicom, &element, error);
	}
	img_dicom_close(&dicom);
	if (status == IMG_OK || status == IMG_INTERRUPTED || status == IMG_NO_MEMORY)
		return status;
	return img_fail(error, IMG_CORRUPT, "damaged DICOM file: it cannot be read without what names a person");
}

ImgStatus
img_dicom_deidentify(uint8_t *dst, size_t room, size_t *n_written, ImgDeidentified *found,
					 const uint8_t *bytes, size_t n_bytes, const ImgDeidentify *options,
					 const ImgLimits *limits, ImgError *error)
{
	Writer writer;
	ImgStatus status = IMG_OK;

	memset(&writer, 0, sizeof(writer));
	memset(found, 0, sizeof(*found));
	writer.options = options;
	*n_written = 0;
	for (int looks = 1; looks >= 0 && status == IMG_OK; looks--)
	{
		ImgDicom dicom;

		if (!looks)
		{
			uint8_t digest[SHA256_LEN];

			keyed_hash(digest, options, 'S', writer.patient_id, strlen(writer.patient_id));
			writer.days =
				1 + (int) (((uint32_t) digest[0] << 16 | (uint32_t) digest[1] << 8 | digest[2]) % MAX_SHIFT);
			writer.dst = dst;
			writer.room = room;
		}
		status = img_dicom_open(&dicom, bytes, n_bytes, limits, error);
		if (status == IMG_OK)
			status = pass(&writer, looks ? found : NULL, &dicom, error);
		img_dicom_close(&dicom);
	}
	*n_written = writer.n;
	if (status == IMG_OK && dst != NULL && writer.n > room)
		return img_fail(error, IMG_NO_SPACE, "the buffer is too small for the de-identified file");
	if (status == IMG_OK && dst != NULL)
		status = read_back(dst, writer.n, limits, error);
	return status;
}
