/*-------------------------------------------------------------------------
 *
 * dicom_jpeg.c
 *	  The kinds of JPEG that DICOM has and libjpeg-turbo 2 does not read:
 *	  lossless (process 14, up to 16 bits) and sequential with 12 bits
 *	  (process 4).
 *
 * ITU-T T.81: Annex H for the lossless one, Annex F for the other; Huffman
 * coding in both.  Components are not subsampled; each is in one scan.  A stream
 * that ends early or breaks a rule is damaged: nothing is filled in.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dicom.h"

#define NAME "JPEG"
#define MAX_COMPONENTS 3
#define LOOK_BITS 9 /* codes up to this length are found in one step */
#define BLOCK 64

typedef struct Huffman
{
	int defined;
	int32_t max_code[18]; /* of each length, -1: none; [17] ends the search */
	int32_t offset[17];   /* from a code to its place in values */
	uint8_t values[256];
	int n_values;
	uint16_t look[1 << LOOK_BITS]; /* length * 256 + value, 0: longer */
} Huffman;

typedef struct Jpeg
{
	const uint8_t *bytes;
	size_t n_bytes, at;
	uint64_t bits; /* from the stream, the next ones on top of count */
	int count;
	int missing; /* bits beyond the end of the data were used */
	const DicomHeader *header;
	const ImgLimits *limits;
	uint16_t *dst;
	int lossless, precision, components;
	int ids[MAX_COMPONENTS], quant_of[MAX_COMPONENTS];
	int done[MAX_COMPONENTS]; /* components that have been read */
	Huffman dc[4], ac[4];
	uint16_t quant[4][BLOCK];
	int quant_defined[4];
	unsigned restart;
	float cosines[8][8]; /* of frequency and place */
} Jpeg;

static const uint8_t zigzag[BLOCK] = {
	0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
	41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
	30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

static ImgStatus
damaged(ImgError *error, const char *what)
{
	return img_fail(error, IMG_CORRUPT, "damaged DICOM image: JPEG data with %s", what);
}

static unsigned
read_u16(const uint8_t *p)
{
	return (unsigned) p[0] << 8 | p[1];
}

/* Fills the bits up to more than 32; beyond the data come zeros, which are counted when they are used. */
static void
fill_bits(Jpeg *jpeg)
{
	while (jpeg->count <= 48)
	{
		unsigned byte = 0;

		if (jpeg->at < jpeg->n_bytes && (jpeg->bytes[jpeg->at] != 0xff ||
										 (jpeg->at + 1 < jpeg->n_bytes && jpeg->bytes[jpeg->at + 1] == 0x00)))
		{
			byte = jpeg->bytes[jpeg->at];
			jpeg->at += byte == 0xff ? 2 : 1;
		}
		else
			jpeg->missing += 8;
		jpeg->bits = jpeg->bits << 8 | byte;
		jpeg->count += 8;
	}
}

/* Returns whether bits were used that the data do not have. */
static int
is_overrun(const Jpeg *jpeg)
{
	return jpeg->missing > jpeg->count;
}

static int
read_bits(Jpeg *jpeg, int n)
{
	if (n == 0)
		return 0;
	if (jpeg->count < n)
		fill_bits(jpeg);
	jpeg->count -= n;
	return (int) (jpeg->bits >> jpeg->count & ((UINT64_C(1) << n) - 1));
}

/* Returns the next symbol, or -1 for a code that is none. */
static int
read_symbol(Jpeg *jpeg, const Huffman *huffman)
{
	uint16_t found;
	int32_t code;
	int length;

	if (jpeg->count < 16)
		fill_bits(jpeg);
	found = huffman->look[jpeg->bits >> (jpeg->count - LOOK_BITS) & ((1 << LOOK_BITS) - 1)];
	if (found != 0)
	{
		jpeg->count -= found >> 8;
		return found & 0xff;
	}
	for (length = LOOK_BITS + 1; length <= 16; length++)
	{
		code = (int32_t) (jpeg->bits >> (jpeg->count - length) & ((UINT64_C(1) << length) - 1));
		if (code <= huffman->max_code[length])
		{
			int place = (int) (code + huffman->offset[length]);

			jpeg->count -= length;
			return place >= 0 && place < huffman->n_values ? huffman->values[place] : -1;
		}
	}
	return -1;
}

/* Returns a difference of so many bits (T.81, F.2.2.1). */
static int
read_difference(Jpeg *jpeg, int size)
{
	int value;

	if (size == 0)
		return 0;
	if (size == 16)
		return 32768;
	value = read_bits(jpeg, size);
	return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/* Reads the tables of a DHT segment; returns whether they are valid. */
static int
read_huffman(Jpeg *jpeg, const uint8_t *p, size_t n)
{
	while (n > 0)
	{
		Huffman *huffman;
		int total = 0, code = 0, place = 0;

		if (n < 17 || (p[0] & 0x0f) > 3 || p[0] >> 4 > 1)
			return 0;
		huffman = p[0] >> 4 == 0 ? &jpeg->dc[p[0] & 3] : &jpeg->ac[p[0] & 3];
		memset(huffman, 0, sizeof(*huffman));
		for (int i = 1; i <= 16; i++)
			total += p[i];
		if (total > 256 || n < 17 + (size_t) total)
			return 0;
		memcpy(huffman->values, p + 17, (size_t) total);
		huffman->n_values = total;
		for (int length = 1; length <= 16; length++)
		{
			int count = p[length];

			huffman->offset[length] = place - code;
			for (int k = 0; k < count && length <= LOOK_BITS; k++)
			{
				int first = (code + k) << (LOOK_BITS - length);

				if (code + k >= 1 << length)
					return 0;
				for (int j = 0; j < 1 << (LOOK_BITS - length); j++)
					huffman->look[first + j] = (uint16_t) (length << 8 | huffman->values[place + k]);
			}
			place += count;
			code += count;
			if (code > 1 << length)
				return 0;
			huffman->max_code[length] = count > 0 ? code - 1 : -1;
			code <<= 1;
		}
		huffman->defined = 1;
		p += 17 + total;
		n -= 17 + (size_t) total;
	}
	return 1;
}

static int
read_quant(Jpeg *jpeg, const uint8_t *p, size_t n)
{
	while (n > 0)
	{
		int wide = p[0] >> 4;
		size_t need = 1 + (wide ? 2 * BLOCK : BLOCK);

		if (wide > 1 || (p[0] & 0x0f) > 3 || n < need)
			return 0;
		for (int i = 0; i < BLOCK; i++)
			jpeg->quant[p[0] & 3][zigzag[i]] = (uint16_t) (wide ? read_u16(p + 1 + 2 * i) : p[1 + i]);
		jpeg->quant_defined[p[0] & 3] = 1;
		p += need;
		n -= need;
	}
	return 1;
}

static ImgStatus
read_frame(Jpeg *jpeg, unsigned code, const uint8_t *p, size_t n, ImgError *error)
{
	unsigned width, height;

	if (code != 0xc1 && code != 0xc3 && code != 0xc0)
		return img_fail(error, IMG_UNSUPPORTED, "DICOM image: JPEG process of marker 0x%02x is not supported",
						code);
	if (n < 6 || p[5] < 1 || n < 6 + 3 * (size_t) p[5])
		return damaged(error, "a bad header");
	jpeg->lossless = code == 0xc3;
	jpeg->precision = p[0];
	height = read_u16(p + 1);
	width = read_u16(p + 3);
	if (width != jpeg->header->columns || height != jpeg->header->rows || p[5] != jpeg->header->samples)
		return img_dicom_mismatch(error, NAME, width, height, p[5], jpeg->header);
	jpeg->components = p[5];
	if (jpeg->precision < 2 || jpeg->precision > 16 ||
		(!jpeg->lossless && jpeg->precision != 12 && jpeg->precision != 8))
		return img_fail(error, IMG_UNSUPPORTED, "DICOM image: JPEG data of %d bits are not supported",
						jpeg->precision);
	for (int c = 0; c < jpeg->components; c++)
	{
		jpeg->ids[c] = p[6 + 3 * c];
		jpeg->quant_of[c] = p[8 + 3 * c] & 3;
		if (p[7 + 3 * c] != p[7] || (jpeg->components > 1 && p[7 + 3 * c] != 0x11))
			return img_fail(error, IMG_UNSUPPORTED,
							"DICOM image: JPEG data with subsampled colours are not supported");
	}
	return IMG_OK;
}

/* One scan: its components, by index, and their tables. */
typedef struct Scan
{
	int n;
	int component[MAX_COMPONENTS];
	int dc[MAX_COMPONENTS], ac[MAX_COMPONENTS];
	int predictor, shift;
} Scan;

/* Begins again after a restart marker; returns whether it is there. */
static int
restart(Jpeg *jpeg, unsigned number)
{
	jpeg->bits = 0;
	jpeg->count = jpeg->missing = 0;
	while (jpeg->at + 2 < jpeg->n_bytes && jpeg->bytes[jpeg->at] == 0xff && jpeg->bytes[jpeg->at + 1] == 0xff)
		jpeg->at++;
	if (jpeg->at + 2 > jpeg->n_bytes || jpeg->bytes[jpeg->at] != 0xff ||
		jpeg->bytes[jpeg->at + 1] != 0xd0 + number % 8)
		return 0;
	jpeg->at += 2;
	return 1;
}

static ImgStatus
check_row(const Jpeg *jpeg, ImgError *error)
{
	if (jpeg->limits->interrupt != NULL && *jpeg->limits->interrupt)
		return img_fail(error, IMG_INTERRUPTED, "interrupted while decoding a DICOM image");
	if (is_overrun(jpeg))
		return damaged(error, "a premature end");
	return IMG_OK;
}

/* Returns the prediction of a sample from those to the left (a), above (b) and above left (c). */
static int
predict(int predictor, int a, int b, int c)
{
	switch (predictor)
	{
		case 1:
			return a;
		case 2:
			return b;
		case 3:
			return c;
		case 4:
			return a + b - c;
		case 5:
			return a + ((b - c) >> 1);
		case 6:
			return b + ((a - c) >> 1);
		default:
			return (a + b) >> 1;
	}
}

/* Decodes a lossless scan (T.81, H.2). */
static ImgStatus
decode_lossless(Jpeg *jpeg, const Scan *scan, ImgError *error)
{
	size_t columns = jpeg->header->columns, step = (size_t) jpeg->components;
	unsigned left = jpeg->restart, restarts = 0;
	int is_first_line = 1;

	for (uint32_t y = 0; y < jpeg->header->rows; y++)
	{
		uint16_t *row = jpeg->dst + (size_t) y * columns * step;
		ImgStatus status = check_row(jpeg, error);

		if (status != IMG_OK)
			return status;
		for (size_t x = 0; x < columns; x++)
		{
			int begins = x == 0 && y == 0;

			if (jpeg->restart > 0 && left == 0)
			{
				if (is_overrun(jpeg) || !restart(jpeg, restarts++))
					return damaged(error, "a restart marker out of order");
				left = jpeg->restart;
				is_first_line = 1;
				begins = 1;
			}
			left--;
			for (int i = 0; i < scan->n; i++)
			{
				uint16_t *sample = row + x * step + scan->component[i];
				int size = read_symbol(jpeg, &jpeg->dc[scan->dc[i]]);
				int prediction;

				if (size < 0 || size > 16)
					return damaged(error, "a bad code");
				if (begins)
					prediction = 1 << (jpeg->precision - scan->shift - 1);
				else if (is_first_line && x > 0)
					prediction = sample[-(ptrdiff_t) step];
				else if (x == 0)
					prediction = y > 0 ? sample[-(ptrdiff_t) (columns * step)]
									   : 1 << (jpeg->precision - scan->shift - 1);
				else
					prediction = predict(scan->predictor, sample[-(ptrdiff_t) step],
										 sample[-(ptrdiff_t) (columns * step)],
										 sample[-(ptrdiff_t) (columns * step + step)]);
				*sample = (uint16_t) (prediction + read_difference(jpeg, size));
			}
		}
		is_first_line = 0;
	}
	if (is_overrun(jpeg))
		return damaged(error, "a premature end");
	for (size_t i = 0; scan->shift > 0 && i < columns * jpeg->header->rows; i++)
		for (int k = 0; k < scan->n; k++)
			jpeg->dst[i * step + (size_t) scan->component[k]] =
				(uint16_t) (jpeg->dst[i * step + (size_t) scan->component[k]] << scan->shift);
	return IMG_OK;
}

/* Reads the coefficients of a block; returns whether they are valid (T.81, F.2.2). */
static int
read_block(Jpeg *jpeg, float *block, const Huffman *dc, const Huffman *ac, const uint16_t *quant,
		   int *previous)
{
	int size = read_symbol(jpeg, dc);

	memset(block, 0, BLOCK * sizeof(float));
	if (size < 0 || size > 15)
		return 0;
	*previous += read_difference(jpeg, size);
	if (*previous > 1 << 20 || *previous < -(1 << 20))
		return 0;
	block[0] = (float) (*previous * quant[0]);
	for (int k = 1; k < BLOCK; k++)
	{
		int symbol = read_symbol(jpeg, ac);

		if (symbol < 0)
			return 0;
		size = symbol & 15;
		if (size == 0)
		{
			if (symbol != 0xf0)
				break;
			k += 15;
			continue;
		}
		k += symbol >> 4;
		if (k >= BLOCK)
			return 0;
		block[zigzag[k]] = (float) (read_difference(jpeg, size) * quant[zigzag[k]]);
	}
	return 1;
}

/* Writes the samples of a block that are inside the picture. */
static void
write_block(Jpeg *jpeg, const float *block, size_t block_x, size_t block_y, int component)
{
	float half[8][8];
	const float middle = (float) (1 << (jpeg->precision - 1));
	const float most = (float) ((1 << jpeg->precision) - 1);

	for (int v = 0; v < 8; v++)
		for (int x = 0; x < 8; x++)
		{
			float sum = 0;

			for (int u = 0; u < 8; u++)
				sum += block[8 * v + u] * jpeg->cosines[u][x];
			half[v][x] = sum;
		}
	for (size_t y = 0; y < 8 && block_y * 8 + y < jpeg->header->rows; y++)
		for (size_t x = 0; x < 8 && block_x * 8 + x < jpeg->header->columns; x++)
		{
			size_t at = (block_y * 8 + y) * jpeg->header->columns + block_x * 8 + x;
			float sum = middle;

			for (int v = 0; v < 8; v++)
				sum += half[v][x] * jpeg->cosines[v][y];
			sum = sum < 0 ? 0 : sum > most ? most : sum;
			jpeg->dst[at * (size_t) jpeg->components + (size_t) component] = (uint16_t) (sum + 0.5f);
		}
}

/* Decodes a scan of cosine coefficients. */
static ImgStatus
decode_cosines(Jpeg *jpeg, const Scan *scan, ImgError *error)
{
	size_t blocks_x = ((size_t) jpeg->header->columns + 7) / 8,
		   blocks_y = ((size_t) jpeg->header->rows + 7) / 8;
	unsigned left = jpeg->restart, restarts = 0;
	int previous[MAX_COMPONENTS] = {0};

	for (int i = 0; i < scan->n; i++)
		if (!jpeg->ac[scan->ac[i]].defined || !jpeg->quant_defined[jpeg->quant_of[scan->component[i]]])
			return damaged(error, "a table missing");
	for (size_t y = 0; y < blocks_y; y++)
	{
		ImgStatus status = check_row(jpeg, error);

		if (status != IMG_OK)
			return status;
		for (size_t x = 0; x < blocks_x; x++)
		{
			if (jpeg->restart > 0 && left == 0)
			{
				if (is_overrun(jpeg) || !restart(jpeg, restarts++))
					return damaged(error, "a restart marker out of order");
				left = jpeg->restart;
				memset(previous, 0, sizeof(previous));
			}
			left--;
			for (int i = 0; i < scan->n; i++)
			{
				float block[BLOCK];

				if (!read_block(jpeg, block, &jpeg->dc[scan->dc[i]], &jpeg->ac[scan->ac[i]],
								jpeg->quant[jpeg->quant_of[scan->component[i]]], &previous[i]))
					return damaged(error, "a bad code");
				write_block(jpeg, block, x, y, scan->component[i]);
			}
		}
	}
	return is_overrun(jpeg) ? damaged(error, "a premature end") : IMG_OK;
}

static ImgStatus
read_scan(Jpeg *jpeg, const uint8_t *p, size_t n, ImgError *error)
{
	Scan scan;
	ImgStatus status;

	memset(&scan, 0, sizeof(scan));
	if (jpeg->components == 0 || n < 1 || p[0] < 1 || p[0] > jpeg->components || n < 4 + 2 * (size_t) p[0])
		return damaged(error, "a bad scan");
	scan.n = p[0];
	for (int i = 0; i < scan.n; i++)
	{
		int c = 0;

		while (c < jpeg->components && jpeg->ids[c] != p[1 + 2 * i])
			c++;
		if (c == jpeg->components || jpeg->done[c])
			return damaged(error, "a scan of an unknown component");
		scan.component[i] = c;
		scan.dc[i] = p[2 + 2 * i] >> 4 & 3;
		scan.ac[i] = p[2 + 2 * i] & 3;
		jpeg->done[c] = 1;
		if (!jpeg->dc[scan.dc[i]].defined)
			return damaged(error, "a table missing");
	}
	p += 1 + 2 * scan.n;
	scan.predictor = p[0];
	scan.shift = p[2] & 15;
	jpeg->bits = 0;
	jpeg->count = jpeg->missing = 0;
	if (!jpeg->lossless)
		return decode_cosines(jpeg, &scan, error);
	if (scan.predictor < 1 || scan.predictor > 7 || scan.shift >= jpeg->precision)
		return damaged(error, "a bad scan");
	status = decode_lossless(jpeg, &scan, error);
	return status;
}

static int
is_complete(const Jpeg *jpeg)
{
	for (int c = 0; c < jpeg->components; c++)
		if (!jpeg->done[c])
			return 0;
	return jpeg->components > 0;
}

/* Reads the markers up to the last scan. */
static ImgStatus
read_stream(Jpeg *jpeg, ImgError *error)
{
	ImgStatus status = IMG_OK;

	if (jpeg->n_bytes < 4 || jpeg->bytes[0] != 0xff || jpeg->bytes[1] != 0xd8)
		return damaged(error, "no start");
	jpeg->at = 2;
	while (status == IMG_OK && !is_complete(jpeg))
	{
		const uint8_t *p;
		unsigned code;
		size_t n;

		while (jpeg->at + 1 < jpeg->n_bytes &&
			   (jpeg->bytes[jpeg->at] != 0xff || jpeg->bytes[jpeg->at + 1] == 0xff ||
				jpeg->bytes[jpeg->at + 1] == 0x00))
			jpeg->at++;
		if (jpeg->at + 4 > jpeg->n_bytes)
			return damaged(error, "a premature end");
		code = jpeg->bytes[jpeg->at + 1];
		p = jpeg->bytes + jpeg->at + 2;
		n = read_u16(p);
		if (n < 2 || n > jpeg->n_bytes - jpeg->at - 2)
			return damaged(error, "a premature end");
		jpeg->at += 2 + n;
		p += 2;
		n -= 2;
		if (code == 0xc4)
			status = read_huffman(jpeg, p, n) ? IMG_OK : damaged(error, "a bad table");
		else if (code == 0xdb)
			status = read_quant(jpeg, p, n) ? IMG_OK : damaged(error, "a bad table");
		else if (code == 0xdd)
			jpeg->restart = n >= 2 ? read_u16(p) : 0;
		else if (code == 0xda)
			status = read_scan(jpeg, p, n, error);
		else if (code >= 0xc0 && code <= 0xcf && code != 0xc8)
			status =
				jpeg->components > 0 ? damaged(error, "two headers") : read_frame(jpeg, code, p, n, error);
		else if (code == 0xd9)
			return damaged(error, "a premature end");
	}
	return status;
}

ImgStatus
img_dicom_decode_jpeg(uint16_t *dst, const uint8_t *bytes, size_t n_bytes, const DicomHeader *header,
					  const ImgLimits *limits, ImgError *error)
{
	Jpeg *jpeg = calloc(1, sizeof(Jpeg));
	ImgStatus status;

	if (jpeg == NULL)
		return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	jpeg->bytes = bytes;
	jpeg->n_bytes = n_bytes;
	jpeg->header = header;
	jpeg->limits = limits;
	jpeg->dst = dst;
	for (int u = 0; u < 8; u++)
		for (int x = 0; x < 8; x++)
			jpeg->cosines[u][x] =
				(float) (cos((2 * x + 1) * u * acos(-1.0) / 16) * (u == 0 ? sqrt(0.125) : 0.5));
	status = read_stream(jpeg, error);
	free(jpeg);
	return status;
}
