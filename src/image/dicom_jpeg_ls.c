/*-------------------------------------------------------------------------
 *
 * dicom_jpeg_ls.c
 *	  JPEG-LS frames of DICOM files.  The only file that knows CharLS.
 *
 * CharLS is written in C++; its C interface catches what it throws.  A frame is
 * decoded in one call, which an interrupt cannot stop; so it has a greatest number
 * of samples.
 *
 * The library brings the C++ runtime along, some 2 ms for each session that loads
 * pneumo.  So it is loaded with the first JPEG-LS frame of a process, and stays.
 *
 *-------------------------------------------------------------------------
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <charls/charls.h>

#include "dicom.h"

/* About what CharLS decodes in half a second. */
#define MAX_SAMPLES (20 * 1000 * 1000)

/* The version that the header is of, on Debian 12 and 13. */
#ifndef CHARLS_LIBRARY
#define CHARLS_LIBRARY "libcharls.so.2"
#endif

/* The functions of the library, under their names. */
typedef struct Charls
{
	__typeof__(&charls_get_error_message) get_error_message;
	__typeof__(&charls_jpegls_decoder_create) create;
	__typeof__(&charls_jpegls_decoder_destroy) destroy;
	__typeof__(&charls_jpegls_decoder_set_source_buffer) set_source_buffer;
	__typeof__(&charls_jpegls_decoder_read_header) read_header;
	__typeof__(&charls_jpegls_decoder_get_frame_info) get_frame_info;
	__typeof__(&charls_jpegls_decoder_get_interleave_mode) get_interleave_mode;
	__typeof__(&charls_jpegls_decoder_decode_to_buffer) decode_to_buffer;
} Charls;

/* Brings samples of 1 or 2 bytes, perhaps in planes, into the form of the other decoders. */
static void
spread(uint16_t *dst, const uint8_t *src, int wide, int planar, size_t pixels, size_t samples)
{
	for (size_t i = 0; i < pixels; i++)
		for (size_t c = 0; c < samples; c++)
		{
			size_t at = planar ? c * pixels + i : i * samples + c;
			uint16_t value = src[wide ? 2 * at : at];

			if (wide)
				memcpy(&value, src + 2 * at, sizeof(value));
			dst[i * samples + c] = value;
		}
}

/* Decodes with a decoder that is there; frees nothing. */
static ImgStatus
decode(const Charls *charls, charls_jpegls_decoder *decoder, uint8_t **memory, uint16_t *dst,
	   const uint8_t *bytes, size_t n_bytes, const DicomHeader *header, const ImgLimits *limits,
	   ImgError *error)
{
	charls_frame_info frame;
	charls_interleave_mode interleave;
	charls_jpegls_errc code;
	size_t pixels = (size_t) header->columns * header->rows;
	size_t need;

	code = charls->set_source_buffer(decoder, bytes, n_bytes);
	if (code == CHARLS_JPEGLS_ERRC_SUCCESS)
		code = charls->read_header(decoder);
	if (code == CHARLS_JPEGLS_ERRC_SUCCESS)
		code = charls->get_frame_info(decoder, &frame);
	if (code == CHARLS_JPEGLS_ERRC_SUCCESS)
		code = charls->get_interleave_mode(decoder, &interleave);
	if (code != CHARLS_JPEGLS_ERRC_SUCCESS)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: JPEG-LS data: %s",
						charls->get_error_message(code));
	if (frame.width != header->columns || frame.height != header->rows ||
		frame.component_count != header->samples)
		return img_dicom_mismatch(error, "JPEG-LS", frame.width, frame.height, frame.component_count, header);
	if (pixels * (size_t) header->samples > MAX_SAMPLES)
		return img_fail(error, IMG_TOO_LARGE,
						"DICOM image: JPEG-LS data of %llu samples; at most %d are allowed",
						(unsigned long long) pixels * (unsigned) header->samples, MAX_SAMPLES);
	need = pixels * (size_t) header->samples * (frame.bits_per_sample > 8 ? 2 : 1);
	if (frame.bits_per_sample > 16 || need > limits->max_codec_bytes)
		return img_fail(error, IMG_TOO_LARGE, "JPEG-LS data of %d bits need too much memory",
						frame.bits_per_sample);
	*memory = malloc(need);
	if (*memory == NULL)
		return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	code = charls->decode_to_buffer(decoder, *memory, need, 0);
	if (code != CHARLS_JPEGLS_ERRC_SUCCESS)
		return img_fail(error, IMG_CORRUPT, "damaged DICOM image: JPEG-LS data: %s",
						charls->get_error_message(code));
	spread(dst, *memory, frame.bits_per_sample > 8,
		   interleave == CHARLS_INTERLEAVE_MODE_NONE && header->samples > 1, pixels,
		   (size_t) header->samples);
	return IMG_OK;
}

/* Finds the functions of the library; returns whether all are there.  The library is loaded once a process. */
static int
load(Charls *charls)
{
	static const char *const names[] = {
		"charls_get_error_message",
		"charls_jpegls_decoder_create",
		"charls_jpegls_decoder_destroy",
		"charls_jpegls_decoder_set_source_buffer",
		"charls_jpegls_decoder_read_header",
		"charls_jpegls_decoder_get_frame_info",
		"charls_jpegls_decoder_get_interleave_mode",
		"charls_jpegls_decoder_decode_to_buffer",
	};
	void *library = dlopen(CHARLS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	void *found[sizeof(names) / sizeof(names[0])];

	_Static_assert(sizeof(found) == sizeof(*charls), "one name for each function");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		found[i] = library == NULL ? NULL : dlsym(library, names[i]);
		if (found[i] == NULL)
			return 0;
	}
	memcpy(charls, found, sizeof(found));
	return 1;
}

ImgStatus
img_dicom_decode_jpeg_ls(uint16_t *dst, const uint8_t *bytes, size_t n_bytes, const DicomHeader *header,
						 const ImgLimits *limits, ImgError *error)
{
	Charls charls;
	charls_jpegls_decoder *decoder;
	uint8_t *memory = NULL;
	ImgStatus status;

	if (!load(&charls))
	{
		(void) img_fail(error, IMG_UNSUPPORTED, "DICOM image: JPEG-LS needs the library " CHARLS_LIBRARY);
		img_hint(error, "Install it on the server (Debian: apt-get install libcharls2).");
		return IMG_UNSUPPORTED;
	}
	decoder = charls.create();
	if (decoder == NULL)
		return img_fail(error, IMG_NO_MEMORY, "DICOM decoder: out of memory");
	status = decode(&charls, decoder, &memory, dst, bytes, n_bytes, header, limits, error);
	free(memory);
	charls.destroy(decoder);
	return status;
}
