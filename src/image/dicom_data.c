/*-------------------------------------------------------------------------
 *
 * dicom_data.c
 *	  The elements of a DICOM file, in all encodings: implicit and explicit
 *	  value representations, both byte orders, deflated.  The only file that
 *	  knows zlib.
 *
 * Nothing is believed: each length is compared with what is left of the file and
 * of the container, containers have a greatest depth, and nothing is allocated
 * except for the bytes of a deflated file, within the decoder's limit.
 *
 * Files without the 128 bytes and "DICM" in front, as older programs write
 * them, are recognised by a first element of group 2 or 8.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "dicom.h"

#define PREAMBLE 128
#define TAG(group, element) ((uint32_t) (group) << 16 | (element))
#define TAG_ITEM TAG(0xFFFE, 0xE000)
#define TAG_ITEM_END TAG(0xFFFE, 0xE00D)
#define TAG_SEQUENCE_END TAG(0xFFFE, 0xE0DD)
#define TAG_SYNTAX TAG(0x0002, 0x0010)
#define TAG_PIXELS TAG(0x7FE0, 0x0010)
#define UNDEFINED UINT32_C(0xFFFFFFFF)
#define FIRST_INFLATED (256 * 1024)

static const DicomSyntax syntaxes[] = {
	{"1.2.840.10008.1.2", "implicit little endian", 0, 0, DICOM_NATIVE},
	{"1.2.840.10008.1.2.1", "explicit little endian", 0, 0, DICOM_NATIVE},
	{"1.2.840.10008.1.2.1.98", "encapsulated uncompressed", 0, 0, DICOM_ENCAPSULATED},
	{"1.2.840.10008.1.2.1.99", "deflated little endian", 0, 1, DICOM_NATIVE},
	{"1.2.840.10008.1.2.2", "explicit big endian", 1, 0, DICOM_NATIVE},
	{"1.2.840.10008.1.2.4.50", "JPEG baseline", 0, 0, DICOM_JPEG},
	{"1.2.840.10008.1.2.4.51", "JPEG extended", 0, 0, DICOM_JPEG},
	{"1.2.840.10008.1.2.4.57", "JPEG lossless", 0, 0, DICOM_JPEG},
	{"1.2.840.10008.1.2.4.70", "JPEG lossless", 0, 0, DICOM_JPEG},
	{"1.2.840.10008.1.2.4.80", "JPEG-LS lossless", 0, 0, DICOM_JPEG_LS},
	{"1.2.840.10008.1.2.4.81", "JPEG-LS", 0, 0, DICOM_JPEG_LS},
	{"1.2.840.10008.1.2.4.90", "JPEG 2000 lossless", 0, 0, DICOM_JPEG_2000},
	{"1.2.840.10008.1.2.4.91", "JPEG 2000", 0, 0, DICOM_JPEG_2000},
	{"1.2.840.10008.1.2.4.100", "MPEG-2 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.101", "MPEG-2 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.102", "MPEG-4 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.103", "MPEG-4 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.104", "MPEG-4 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.105", "MPEG-4 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.106", "MPEG-4 film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.107", "HEVC film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.108", "HEVC film", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.110", "JPEG XL", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.111", "JPEG XL", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.112", "JPEG XL", 0, 0, DICOM_NOT_READ},
	{"1.2.840.10008.1.2.4.201", "high-throughput JPEG 2000 lossless", 0, 0, DICOM_JPEG_2000},
	{"1.2.840.10008.1.2.4.202", "high-throughput JPEG 2000 lossless", 0, 0, DICOM_JPEG_2000},
	{"1.2.840.10008.1.2.4.203", "high-throughput JPEG 2000", 0, 0, DICOM_JPEG_2000},
	{"1.2.840.10008.1.2.5", "RLE", 0, 0, DICOM_RLE},
};

const DicomSyntax *
img_dicom_syntax(const char *uid)
{
	for (size_t i = 0; i < sizeof(syntaxes) / sizeof(syntaxes[0]); i++)
		if (strcmp(syntaxes[i].uid, uid) == 0)
			return &syntaxes[i];
	return NULL;
}

static uint32_t
read_u16(const uint8_t *p, int big_endian)
{
	return big_endian ? (uint32_t) p[0] << 8 | p[1] : (uint32_t) p[1] << 8 | p[0];
}

static uint32_t
read_u32(const uint8_t *p, int big_endian)
{
	return big_endian ? read_u16(p, 1) << 16 | read_u16(p + 2, 1) : read_u16(p + 2, 0) << 16 | read_u16(p, 0);
}

/* Returns whether two bytes name a value representation of the standard. */
static int
is_vr(const uint8_t *p)
{
	static const char known[] = "AEASATCSDADSDTFDFLISLOLTOBODOFOLOVOWPNSHSLSQSSSTSVTMUCUIULUNURUSUTUV";

	for (size_t i = 0; i + 1 < sizeof(known); i += 2)
		if (memcmp(known + i, p, 2) == 0)
			return 1;
	return 0;
}

/* Returns whether the length of a representation has 4 bytes, after 2 that are reserved. */
static int
has_long_length(const char *vr)
{
	static const char names[] = "OBODOFOLOVOWSQSVUCUNURUTUV";

	for (size_t i = 0; i + 1 < sizeof(names); i += 2)
		if (memcmp(names + i, vr, 2) == 0)
			return 1;
	return 0;
}

/* Returns where the elements begin, or SIZE_MAX if the bytes are no DICOM file. */
static size_t
find_start(const uint8_t *bytes, size_t n_bytes)
{
	uint32_t group, element;

	if (n_bytes >= PREAMBLE + 4 && memcmp(bytes + PREAMBLE, "DICM", 4) == 0)
		return PREAMBLE + 4;
	if (n_bytes < 64)
		return SIZE_MAX;
	group = read_u16(bytes, 0);
	element = read_u16(bytes + 2, 0);
	if ((group != 2 && group != 8) || element > 0x0070)
		return SIZE_MAX;
	if (is_vr(bytes + 4) && read_u16(bytes + 6, 0) <= 128)
		return 0;
	return group == 8 && read_u32(bytes + 4, 0) <= 128 && read_u16(bytes + 2, 0) <= 0x0018 ? 0 : SIZE_MAX;
}

int
img_dicom_recognises(const uint8_t *bytes, size_t n_bytes)
{
	return find_start(bytes, n_bytes) != SIZE_MAX;
}

/* Copies an identifier without the padding at its end. */
static void
copy_uid(char *dst, const uint8_t *value, size_t n)
{
	size_t i;

	for (i = 0; i < n && i < IMG_UID_LEN - 1 && ((value[i] >= '0' && value[i] <= '9') || value[i] == '.');
		 i++)
		dst[i] = (char) value[i];
	dst[i] = '\0';
}

static ImgStatus
interrupted(ImgError *error)
{
	return img_fail(error, IMG_INTERRUPTED, "interrupted while decoding a DICOM image");
}

/* Inflates what follows the meta elements, and goes on with that. */
static ImgStatus
inflate_rest(ImgDicom *dicom, ImgError *error)
{
	size_t limit = dicom->limits.max_codec_bytes;
	size_t room = FIRST_INFLATED;
	size_t used = 0;
	z_stream stream;
	int code = Z_OK;

	memset(&stream, 0, sizeof(stream));
	if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
		return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	stream.next_in = (Bytef *) (uintptr_t) (dicom->bytes + dicom->at);
	stream.avail_in = (uInt) (dicom->n_bytes - dicom->at);
	dicom->inflated = malloc(room);
	while (dicom->inflated != NULL)
	{
		stream.next_out = dicom->inflated + used;
		stream.avail_out = (uInt) (room - used);
		code = inflate(&stream, Z_NO_FLUSH);
		used = room - stream.avail_out;
		if (code != Z_OK || stream.avail_out != 0 || room >= limit ||
			(dicom->limits.interrupt != NULL && *dicom->limits.interrupt))
			break;
		room = room > limit / 2 ? limit : room * 2;
		if (room > UINT32_MAX / 2)
			room = UINT32_MAX / 2;
		if (room <= used)
			break;
		{
			uint8_t *larger = realloc(dicom->inflated, room);

			if (larger == NULL)
				free(dicom->inflated);
			dicom->inflated = larger;
		}
	}
	inflateEnd(&stream);
	if (dicom->inflated == NULL)
		return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	if (dicom->limits.interrupt != NULL && *dicom->limits.interrupt)
		return interrupted(error);
	if (code == Z_OK && stream.avail_out == 0)
		return img_fail(error, IMG_TOO_LARGE,
						"the deflated DICOM file needs more than the %llu bytes allowed",
						(unsigned long long) room);
	if (code != Z_STREAM_END)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM file: its deflated part is damaged or cut off");
	dicom->bytes = dicom->inflated;
	dicom->n_bytes = used;
	dicom->at = 0;
	return IMG_OK;
}

/* Goes from the meta elements on to the data set, in its transfer syntax. */
static ImgStatus
begin_data_set(ImgDicom *dicom, ImgError *error)
{
	const DicomSyntax *syntax = img_dicom_syntax(dicom->transfer_syntax);

	dicom->in_meta = 0;
	if (syntax != NULL && syntax->deflated)
	{
		ImgStatus status = inflate_rest(dicom, error);

		if (status != IMG_OK)
			return status;
	}

	dicom->big_endian = syntax != NULL && syntax->big_endian;

	/* the first element tells; some programs write the other encoding than they say */
	dicom->implicit_vr = dicom->n_bytes - dicom->at < 6 || !is_vr(dicom->bytes + dicom->at + 4);
	return IMG_OK;
}

ImgStatus
img_dicom_open(ImgDicom *dicom, const uint8_t *bytes, size_t n_bytes, const ImgLimits *limits,
			   ImgError *error)
{
	size_t start = bytes == NULL ? SIZE_MAX : find_start(bytes, n_bytes);

	memset(dicom, 0, sizeof(*dicom));
	img_limits_resolve(&dicom->limits, limits);
	if (n_bytes > dicom->limits.max_bytes)
		return img_fail(error, IMG_TOO_LARGE, "image has %llu bytes; at most %llu are allowed",
						(unsigned long long) n_bytes, (unsigned long long) dicom->limits.max_bytes);
	if (start == SIZE_MAX)
		return img_fail(error, IMG_NOT_IMAGE, "not a DICOM file");
	dicom->bytes = bytes;
	dicom->n_bytes = n_bytes;
	dicom->at = start;
	dicom->in_meta = 1;
	return IMG_OK;
}

void
img_dicom_close(ImgDicom *dicom)
{
	free(dicom->inflated);
	dicom->inflated = NULL;
}

/* Returns where the innermost container ends at the latest. */
static size_t
limit_of(const ImgDicom *dicom)
{
	for (int i = dicom->depth - 1; i >= 0; i--)
		if (!dicom->stack[i].undefined)
			return dicom->stack[i].end;
	return dicom->n_bytes;
}

static ImgStatus
cut_off(const ImgDicom *dicom, uint32_t tag, ImgError *error)
{
	(void) dicom;
	return img_fail(error, IMG_CORRUPT, "damaged DICOM file: it ends within element (%04X,%04X)",
					(unsigned) (tag >> 16), (unsigned) (tag & 0xffff));
}

static ImgStatus
enter(ImgDicom *dicom, ImgDicomElement *element, uint32_t length, int is_item, int implicit_vr,
	  ImgError *error)
{
	size_t limit = limit_of(dicom);

	if (dicom->depth >= IMG_DICOM_MAX_DEPTH)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM sequences are nested more than %d deep",
						IMG_DICOM_MAX_DEPTH / 2);
	if (length != UNDEFINED && length > limit - dicom->at)
		return cut_off(dicom, element->tag, error);
	dicom->stack[dicom->depth].tag = element->tag;
	dicom->stack[dicom->depth].end = length == UNDEFINED ? limit : dicom->at + length;
	dicom->stack[dicom->depth].undefined = length == UNDEFINED;
	dicom->stack[dicom->depth].is_item = is_item;
	dicom->stack[dicom->depth].implicit_vr = dicom->implicit_vr;
	dicom->stack[dicom->depth].items = 0;
	dicom->depth++;
	dicom->implicit_vr = implicit_vr;
	element->event = is_item ? IMG_DICOM_ITEM : IMG_DICOM_SEQUENCE;
	return IMG_OK;
}

static ImgStatus
leave(ImgDicom *dicom, ImgDicomElement *element)
{
	dicom->depth--;
	element->event = dicom->stack[dicom->depth].is_item ? IMG_DICOM_ITEM_END : IMG_DICOM_SEQUENCE_END;
	element->tag = dicom->stack[dicom->depth].tag;
	dicom->implicit_vr = dicom->stack[dicom->depth].implicit_vr;
	return IMG_OK;
}

/* Finds the end of pixel data in fragments. */
static ImgStatus
read_fragments(ImgDicom *dicom, ImgDicomElement *element, ImgError *error)
{
	size_t start = dicom->at;

	element->event = IMG_DICOM_VALUE;
	element->undefined = 1;
	element->value = dicom->bytes + start;
	for (;;)
	{
		uint32_t tag, length;

		if (dicom->n_bytes - dicom->at < 8)
		{
			/* the end of the sequence may be missing, but nothing else */
			if (dicom->n_bytes != dicom->at)
				return cut_off(dicom, element->tag, error);
			break;
		}
		tag = read_u16(dicom->bytes + dicom->at, dicom->big_endian) << 16 |
			  read_u16(dicom->bytes + dicom->at + 2, dicom->big_endian);
		length = read_u32(dicom->bytes + dicom->at + 4, dicom->big_endian);
		if (tag == TAG_SEQUENCE_END)
			break;
		if (tag != TAG_ITEM)
			return img_fail(error, IMG_CORRUPT, "damaged DICOM file: its pixel data are not in fragments");
		if (length > dicom->n_bytes - dicom->at - 8)
			return cut_off(dicom, element->tag, error);
		dicom->at += 8 + (size_t) length;
	}
	element->n_bytes = dicom->at - start;
	if (dicom->at != dicom->n_bytes)
		dicom->at += 8;
	return IMG_OK;
}

/* Reads an element of a data set or of an item. */
static ImgStatus
read_element(ImgDicom *dicom, ImgDicomElement *element, ImgError *error)
{
	const uint8_t *p = dicom->bytes + dicom->at;
	size_t left = limit_of(dicom) - dicom->at;
	size_t head = 8;
	uint32_t length;
	int is_sequence;

	if (dicom->implicit_vr)
	{
		memcpy(element->vr, img_dicom_vr(element->tag), 2);
		length = read_u32(p + 4, dicom->big_endian);
	}
	else
	{
		if (!is_vr(p + 4))
			return img_fail(error, IMG_CORRUPT,
							"damaged DICOM file: element (%04X,%04X) has no known value representation",
							(unsigned) (element->tag >> 16), (unsigned) (element->tag & 0xffff));
		memcpy(element->vr, p + 4, 2);
		if (has_long_length(element->vr))
		{
			head = 12;
			if (left < head)
				return cut_off(dicom, element->tag, error);
			length = read_u32(p + 8, dicom->big_endian);
		}
		else
			length = read_u16(p + 6, dicom->big_endian);
	}
	dicom->at += head;
	if (length == UNDEFINED && element->tag == TAG_PIXELS)
		return read_fragments(dicom, element, error);
	is_sequence = length == UNDEFINED || memcmp(element->vr, "SQ", 2) == 0;
	if (is_sequence)
	{
		/* a sequence of unknown representation is always implicit and little endian */
		int implicit = dicom->implicit_vr || memcmp(element->vr, "UN", 2) == 0;

		memcpy(element->vr, "SQ", 2);
		return enter(dicom, element, length, 0, implicit, error);
	}
	if (length > left - head)
		return cut_off(dicom, element->tag, error);

	/* a program that did not know the element has kept its value as it was */
	if (memcmp(element->vr, "UN", 2) == 0 && !dicom->big_endian &&
		memcmp(img_dicom_vr(element->tag), "SQ", 2) != 0)
		memcpy(element->vr, img_dicom_vr(element->tag), 2);
	element->event = IMG_DICOM_VALUE;
	element->value = dicom->bytes + dicom->at;
	element->n_bytes = length;
	dicom->at += length;
	if (dicom->in_meta && element->tag == TAG_SYNTAX)
		copy_uid(dicom->transfer_syntax, element->value, length);
	return IMG_OK;
}

ImgStatus
img_dicom_next(ImgDicom *dicom, ImgDicomElement *element, ImgError *error)
{
	for (;;)
	{
		int in_sequence = dicom->depth > 0 && !dicom->stack[dicom->depth - 1].is_item;
		const uint8_t *p = dicom->bytes + dicom->at;
		uint32_t length;

		memset(element, 0, sizeof(*element));
		element->big_endian = dicom->big_endian;
		if (dicom->depth > 0 && dicom->at >= dicom->stack[dicom->depth - 1].end)
			return leave(dicom, element);
		if (limit_of(dicom) - dicom->at < 8)
		{
			/* some padding at the end, or the ends of containers that are missing */
			if (dicom->in_meta)
				return img_fail(error, IMG_CORRUPT, "damaged DICOM file: it ends early");
			if (dicom->depth > 0)
			{
				dicom->at = limit_of(dicom);
				continue;
			}
			for (size_t i = dicom->at; i < dicom->n_bytes; i++)
				if (dicom->bytes[i] != 0)
					return img_fail(error, IMG_CORRUPT, "damaged DICOM file: it ends within an element");
			element->event = IMG_DICOM_END;
			return IMG_OK;
		}
		if (dicom->in_meta && read_u16(p, 0) != 0x0002)
		{
			ImgStatus status = begin_data_set(dicom, error);

			if (status != IMG_OK)
				return status;
			continue;
		}
		element->tag = read_u16(p, dicom->big_endian) << 16 | read_u16(p + 2, dicom->big_endian);
		length = read_u32(p + 4, dicom->big_endian);
		if (element->tag >> 16 != 0xFFFE)
		{
			if (in_sequence)
				return img_fail(error, IMG_CORRUPT, "damaged DICOM file: sequence (%04X,%04X) has no item",
								(unsigned) (dicom->stack[dicom->depth - 1].tag >> 16),
								(unsigned) (dicom->stack[dicom->depth - 1].tag & 0xffff));
			return read_element(dicom, element, error);
		}
		dicom->at += 8;
		if (in_sequence && element->tag == TAG_ITEM)
		{
			dicom->stack[dicom->depth - 1].items++;
			element->tag = dicom->stack[dicom->depth - 1].tag;
			return enter(dicom, element, length, 1, dicom->implicit_vr, error);
		}
		if (element->tag == TAG_SEQUENCE_END ? in_sequence : dicom->depth > 0 && !in_sequence)
			return leave(dicom, element);
		/* an end without its beginning */
	}
}
