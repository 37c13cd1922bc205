/*-------------------------------------------------------------------------
 *
 * dicom_frame.c
 *	  The samples of the first frame of a DICOM file: native, in fragments,
 *	  run-length encoded, or from one of the decoders.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "dicom.h"

#define RLE_HEADER 64
#define RLE_MAX_SEGMENTS 15

/* The compressed bytes of one frame. */
typedef struct Stream
{
	const uint8_t *bytes;
	size_t n_bytes;
	uint8_t *memory; /* where fragments were joined; or NULL */
} Stream;

static uint32_t
read_u32(const uint8_t *p)
{
	return (uint32_t) p[3] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[1] << 8 | p[0];
}

static ImgStatus
no_memory(ImgError *error)
{
	return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
}

/* Returns whether a JPEG stream ends here, but for padding. */
static int
has_end(const uint8_t *bytes, size_t n)
{
	for (size_t i = n; i >= 2 && i + 8 > n; i--)
		if (bytes[i - 2] == 0xff && bytes[i - 1] == 0xd9)
			return 1;
	return 0;
}

/*
 * Finds the fragments of the first frame: those before the second offset of the
 * table, if there is one; else all of a single frame, one for each frame if
 * there are as many, or those up to the first that ends a JPEG stream.  More than
 * one are joined.  The lengths are checked again, although the reader of the
 * elements has seen them: what is read here must not depend on how it took them.
 */
static ImgStatus
find_stream(Stream *stream, const DicomHeader *header, const ImgLimits *limits, ImgError *error)
{
	const uint8_t *bytes = header->pixels;
	size_t n = header->n_pixel_bytes;
	size_t first, end = SIZE_MAX, total = 0, at;
	size_t fragments = 0, wanted = 0;

	memset(stream, 0, sizeof(*stream));
	if (n < 8 || read_u32(bytes + 4) > n - 8)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: its pixel data are empty");
	first = 8 + read_u32(bytes + 4);
	if (read_u32(bytes + 4) >= 8)
		end = first + read_u32(bytes + 12) - read_u32(bytes + 8);
	for (at = first; at + 8 <= n; at += 8 + read_u32(bytes + at + 4))
		fragments++;
	for (at = first; at + 8 <= n; at += 8 + read_u32(bytes + at + 4))
	{
		size_t length = read_u32(bytes + at + 4);

		if (length > n - at - 8)
			return img_fail(error, IMG_CORRUPT,
							"damaged DICOM image: a fragment of its pixel data is cut off");
		if (at > first && at >= end && header->frames > 1)
			break;
		total += length;
		wanted++;
		if (header->frames > 1 && end == SIZE_MAX &&
			(fragments == header->frames || has_end(bytes + at + 8, length)))
			break;
	}
	if (wanted == 0 || total == 0)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: its pixel data are empty");
	stream->bytes = bytes + first + 8;
	stream->n_bytes = total;
	if (wanted == 1)
		return IMG_OK;
	if (total > limits->max_codec_bytes)
		return img_fail(error, IMG_TOO_LARGE, "a frame of the DICOM image has %llu bytes",
						(unsigned long long) total);
	stream->memory = malloc(total);
	if (stream->memory == NULL)
		return no_memory(error);
	at = first;
	total = 0;
	for (size_t i = 0; i < wanted; i++)
	{
		size_t length = read_u32(bytes + at + 4);

		memcpy(stream->memory + total, bytes + at + 8, length);
		total += length;
		at += 8 + length;
	}
	stream->bytes = stream->memory;
	return IMG_OK;
}

/* Expands one segment into every step-th byte of dst; returns whether it was whole. */
static int
expand_segment(uint8_t *dst, size_t n, size_t step, const uint8_t *src, size_t n_src)
{
	size_t i = 0, at = 0;

	while (i < n)
	{
		size_t count;

		if (at >= n_src)
			return 0;
		if (src[at] == 128)
		{
			at++;
			continue;
		}
		if (src[at] < 128)
		{
			count = (size_t) src[at++] + 1;
			if (count > n_src - at)
				return 0;
			for (size_t k = 0; k < count && i < n; k++)
				dst[step * i++] = src[at + k];
			at += count;
		}
		else
		{
			count = 257 - (size_t) src[at++];
			if (at >= n_src)
				return 0;
			for (size_t k = 0; k < count && i < n; k++)
				dst[step * i++] = src[at];
			at++;
		}
	}
	return 1;
}

/* Expands run-length encoded planes of bytes, the most significant first, into samples of the machine. */
static ImgStatus
decode_rle(uint16_t *dst, const Stream *stream, const DicomHeader *header, const ImgLimits *limits,
		   ImgError *error)
{
	size_t pixels = (size_t) header->rows * header->columns;
	int per_sample = header->allocated / 8;
	uint32_t wanted = (uint32_t) (header->samples * per_sample);
	uint32_t offsets[RLE_MAX_SEGMENTS + 1];
	static const uint16_t one = 1;
	const size_t low_byte = *(const uint8_t *) &one == 1 ? 0 : 1;

	if (stream->n_bytes < RLE_HEADER || read_u32(stream->bytes) != wanted)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: run-length data without %u segments",
						(unsigned) wanted);
	for (uint32_t i = 0; i < wanted; i++)
		offsets[i] = read_u32(stream->bytes + 4 + 4 * i);
	offsets[wanted] = (uint32_t) stream->n_bytes;
	memset(dst, 0, pixels * (size_t) header->samples * sizeof(uint16_t));
	for (uint32_t i = 0; i < wanted; i++)
	{
		size_t sample = i / (uint32_t) per_sample;
		int is_low = per_sample == 1 || i % 2 == 1;
		uint8_t *to = (uint8_t *) (dst + sample) + (is_low ? low_byte : 1 - low_byte);

		if (limits->interrupt != NULL && *limits->interrupt)
			return img_fail(error, IMG_INTERRUPTED, "interrupted while decoding a DICOM image");
		if (offsets[i] < RLE_HEADER || offsets[i] >= stream->n_bytes || offsets[i + 1] < offsets[i] ||
			!expand_segment(to, pixels, 2 * (size_t) header->samples, stream->bytes + offsets[i],
							(offsets[i + 1] < stream->n_bytes ? offsets[i + 1] : stream->n_bytes) -
								offsets[i]))
			return img_fail(error, IMG_CORRUPT, "damaged DICOM image: its run-length data are cut off");
	}
	return IMG_OK;
}

/* Takes the rows of a JPEG stream of 8 bits as samples. */
typedef struct SampleSink
{
	ImgSink sink;
	uint16_t *dst;
	size_t row_n;
} SampleSink;

static void
take_row(ImgSink *sink, const uint8_t *row)
{
	SampleSink *samples = (SampleSink *) (void *) sink;

	for (size_t i = 0; i < samples->row_n; i++)
		samples->dst[i] = row[i];
	samples->dst += samples->row_n;
}

static void
take_no_wide_row(ImgSink *sink, const uint16_t *row)
{
	(void) sink;
	(void) row;
}

/* Returns whether a JPEG stream is one of 8 bits that libjpeg reads. */
static int
is_plain_jpeg(const uint8_t *bytes, size_t n_bytes)
{
	size_t at = 2;

	while (at + 5 <= n_bytes && bytes[at] == 0xff)
	{
		unsigned code = bytes[at + 1];

		if (code == 0xff)
		{
			at++;
			continue;
		}
		if (code >= 0xc0 && code <= 0xcf && code != 0xc4 && code != 0xc8 && code != 0xcc)
			return bytes[at + 4] == 8 && code != 0xc3 && code < 0xc5;
		at += 2 + ((size_t) bytes[at + 2] << 8 | bytes[at + 3]);
	}
	return 0;
}

static ImgStatus
decode_plain_jpeg(uint16_t *dst, DicomSamples *samples, const Stream *stream, const DicomHeader *header,
				  const ImgLimits *limits, ImgError *error)
{
	SampleSink sink = {{take_row, take_no_wide_row},
					   dst,
					   (size_t) header->columns * (size_t) header->samples};
	ImgInfo info;
	ImgStatus status = img_codec_jpeg.read_info(&info, stream->bytes, stream->n_bytes, limits, error);

	if (status != IMG_OK)
		return status;
	if (info.width != header->columns || info.height != header->rows || info.components != header->samples)
		return img_dicom_mismatch(error, "JPEG", info.width, info.height, info.components, header);
	samples->is_rgb = 1;
	return img_jpeg_decode(&sink.sink, header->samples, 1, stream->bytes, stream->n_bytes,
						   strcmp(header->photometric, "RGB") == 0, &info, limits, error);
}

static ImgStatus
native_frame(DicomSamples *samples, const DicomHeader *header, const uint8_t *bytes, size_t n_bytes,
			 ImgError *error)
{
	uint64_t need = (uint64_t) header->rows * header->columns * (uint64_t) header->samples *
					(uint64_t) (header->allocated / 8);

	samples->is_ybr_422 = strcmp(header->photometric, "YBR_FULL_422") == 0;
	if (samples->is_ybr_422)
	{
		if (header->columns % 2 != 0)
			return img_fail(error, IMG_UNSUPPORTED,
							"DICOM image in YBR_FULL_422 has an odd number of columns");
		need = need / 3 * 2;
	}
	if (n_bytes < need)
		return img_fail(error, IMG_CORRUPT,
						"damaged DICOM image: %llu bytes of pixel data, where the first frame needs %llu",
						(unsigned long long) n_bytes, (unsigned long long) need);
	samples->bytes = bytes;
	samples->n_bytes = (size_t) need;
	samples->wide = header->allocated == 16;
	samples->big_endian = header->syntax->big_endian;
	samples->swapped = !samples->wide && samples->big_endian && header->pixel_words;
	need += samples->swapped ? need % 2 : 0;
	if (n_bytes < need)
		samples->swapped = 0;
	samples->planar = header->planar == 1 && header->samples == 3;
	samples->high_bit = header->high_bit;
	return IMG_OK;
}

static int
machine_is_big_endian(void)
{
	static const uint16_t one = 1;

	return *(const uint8_t *) &one == 0;
}

ImgStatus
img_dicom_frame(DicomSamples *samples, const DicomHeader *header, const ImgLimits *limits, ImgError *error)
{
	DicomCoding coding = header->syntax->coding;
	Stream stream;
	ImgStatus status;
	size_t n;
	uint16_t *dst;

	memset(samples, 0, sizeof(*samples));
	if (coding == DICOM_NATIVE)
	{
		if (header->encapsulated)
			return img_fail(error, IMG_CORRUPT, "damaged DICOM image: fragments in transfer syntax %s",
							header->syntax->name);
		return native_frame(samples, header, header->pixels, header->n_pixel_bytes, error);
	}
	if (!header->encapsulated)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: no fragments in transfer syntax %s",
						header->syntax->name);
	status = find_stream(&stream, header, limits, error);
	if (status != IMG_OK)
		return status;
	if (coding == DICOM_ENCAPSULATED)
	{
		samples->memory = stream.memory;
		return native_frame(samples, header, stream.bytes, stream.n_bytes, error);
	}
	if (!img_size_mul(&n, (size_t) header->rows * header->columns,
					  (size_t) header->samples * sizeof(uint16_t)) ||
		n > limits->max_codec_bytes)
	{
		free(stream.memory);
		return img_fail(error, IMG_TOO_LARGE,
						"decoding the DICOM image needs more than the %llu bytes allowed for the decoder",
						(unsigned long long) limits->max_codec_bytes);
	}
	dst = malloc(n);
	samples->memory = (uint8_t *) dst;
	samples->bytes = samples->memory;
	samples->n_bytes = n;
	samples->wide = 1;
	samples->big_endian = machine_is_big_endian();
	samples->high_bit = header->stored - 1;
	if (dst == NULL)
		status = no_memory(error);
	else if (coding == DICOM_RLE)
	{
		samples->high_bit = header->high_bit;
		status = decode_rle(dst, &stream, header, limits, error);
	}
	else if (coding == DICOM_JPEG_LS)
		status = img_dicom_decode_jpeg_ls(dst, stream.bytes, stream.n_bytes, header, limits, error);
	else if (coding == DICOM_JPEG_2000)
		status = img_dicom_decode_jpeg_2000(dst, stream.bytes, stream.n_bytes, header, limits, error);
	else if (is_plain_jpeg(stream.bytes, stream.n_bytes))
		status = decode_plain_jpeg(dst, samples, &stream, header, limits, error);
	else
		status = img_dicom_decode_jpeg(dst, stream.bytes, stream.n_bytes, header, limits, error);
	free(stream.memory);
	return status;
}
