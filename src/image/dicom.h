/*-------------------------------------------------------------------------
 *
 * dicom.h
 *	  What the files that read DICOM share: the elements of a file, what they
 *	  say about the picture, and the samples of its first frame.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_IMAGE_DICOM_H
#define PNEUMO_IMAGE_DICOM_H

#include "image_internal.h"

/* How the pixel data are stored. */
typedef enum DicomCoding
{
	DICOM_NATIVE,
	DICOM_ENCAPSULATED, /* in fragments, not compressed */
	DICOM_RLE,
	DICOM_JPEG, /* of any process */
	DICOM_JPEG_LS,
	DICOM_JPEG_2000,
	DICOM_NOT_READ
} DicomCoding;

typedef struct DicomSyntax
{
	const char *uid;
	const char *name;
	int big_endian, deflated;
	DicomCoding coding;
} DicomSyntax;

/* Returns a transfer syntax, or NULL if it is unknown. */
extern const DicomSyntax *img_dicom_syntax(const char *uid);

/* A lookup table: values of 8 or 16 bits, from first on. */
typedef struct DicomTable
{
	const uint8_t *data;
	size_t n_bytes;
	uint32_t entries; /* 0: there is no table */
	int32_t first;
	int bits;
	int wide; /* two bytes for an entry */
	int big_endian;
} DicomTable;

typedef enum DicomWindow
{
	DICOM_LINEAR,
	DICOM_LINEAR_EXACT,
	DICOM_SIGMOID
} DicomWindow;

/* What the elements say about the picture. */
typedef struct DicomHeader
{
	const DicomSyntax *syntax;
	char syntax_uid[IMG_UID_LEN];
	char class_uid[IMG_UID_LEN];
	char photometric[17];
	uint32_t rows, columns, frames;
	int samples, planar, allocated, stored, high_bit, is_signed;
	int has_padding;
	int32_t padding_low, padding_high; /* as stored, sign extended */
	int has_rescale;
	double slope, intercept;
	int has_window;
	double centre, width;
	DicomWindow window;
	DicomTable modality, voi, palette[3];
	int segmented_palette;
	const uint8_t *pixels; /* the value of (7FE0,0010); NULL if there is none */
	size_t n_pixel_bytes;
	int encapsulated;
	int pixel_words;  /* of two bytes, in the byte order of the file */
	int other_pixels; /* floating point pixel data */
} DicomHeader;

/* Reads what the elements of an opened file say about the picture. */
extern ImgStatus img_dicom_read_header(DicomHeader *header, ImgDicom *dicom, ImgError *error);

/* The samples of a frame, as they are stored. */
typedef struct DicomSamples
{
	const uint8_t *bytes;
	size_t n_bytes;
	int wide;        /* two bytes a sample */
	int big_endian;  /* these */
	int swapped;     /* pairs of bytes, samples of one byte */
	int planar;      /* the planes of the components one after the other */
	int is_ybr_422;  /* Y Y Cb Cr for two pixels */
	int is_rgb;      /* the decoder has converted the colours */
	int high_bit;    /* of a sample */
	uint8_t *memory; /* to be freed; or NULL */
} DicomSamples;

/* Decodes the first frame; the caller frees samples->memory on every path. */
extern ImgStatus img_dicom_frame(DicomSamples *samples, const DicomHeader *header, const ImgLimits *limits,
								 ImgError *error);

/*
 * Decoders of one compressed frame into rows * columns * samples values of 16 bits
 * in the order of the machine, interleaved; all sizes are checked against the
 * header before memory is taken.
 */
extern ImgStatus img_dicom_decode_jpeg(uint16_t *dst, const uint8_t *bytes, size_t n_bytes,
									   const DicomHeader *header, const ImgLimits *limits, ImgError *error);
extern ImgStatus img_dicom_decode_jpeg_ls(uint16_t *dst, const uint8_t *bytes, size_t n_bytes,
										  const DicomHeader *header, const ImgLimits *limits,
										  ImgError *error);
extern ImgStatus img_dicom_decode_jpeg_2000(uint16_t *dst, const uint8_t *bytes, size_t n_bytes,
											const DicomHeader *header, const ImgLimits *limits,
											ImgError *error);

/* Sets what a compressed frame of another size or kind than the header is: an error. */
extern ImgStatus img_dicom_mismatch(ImgError *error, const char *name, uint64_t width, uint64_t height,
									int samples, const DicomHeader *header);

/* Puts the rows of the frame into the sink, through the tables and the window of the header. */
extern ImgStatus img_dicom_put_rows(ImgSink *sink, int channels, const DicomSamples *samples,
									const DicomHeader *header, const ImgLimits *limits, ImgError *error);

/* Returns the value representation of an element in implicit files; "UN" if it is not in the list. */
extern const char *img_dicom_vr(uint32_t tag);

#endif /* PNEUMO_IMAGE_DICOM_H */
