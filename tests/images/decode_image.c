/*
 * decode_image.c
 *		Decodes image files, for the comparison with other programs.
 *
 *		decode_image CHANNELS [HEIGHT WIDTH] < LIST
 *
 * Reads names of files, one a line.  For each it writes a line
 * "ok WIDTH HEIGHT PHOTOMETRIC" and the pixels, 8 bits, of 1 or 3 channels, at
 * full size or resized; or a line "error STATUS MESSAGE".
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

static const ImgLimits limits = {.max_codec_bytes = (size_t) 512 << 20};

static uint8_t *
read_file(const char *path, size_t *n_bytes)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(IMG_DEFAULT_MAX_BYTES);

	if (file == NULL || bytes == NULL)
	{
		perror(path);
		exit(1);
	}
	*n_bytes = fread(bytes, 1, IMG_DEFAULT_MAX_BYTES, file);
	fclose(file);
	return bytes;
}

/* Decodes the image into *pixels; height 0 is its own size. */
static ImgStatus
decode(uint8_t **pixels, ImgInfo *info, const uint8_t *bytes, size_t n_bytes, int channels, int height,
	   int width, ImgError *error)
{
	ImgPreprocess pre = {height, width, channels, IMG_INTERPOLATION_AREA};
	ImgStatus status = img_info(info, bytes, n_bytes, &limits, error);
	size_t scratch_bytes;
	void *scratch;

	if (status != IMG_OK)
		return status;
	if (height == 0)
	{
		size_t n = (size_t) info->width * info->height * (size_t) channels;

		*pixels = malloc(n);
		return img_decode(*pixels, n, channels, bytes, n_bytes, info, &limits, error);
	}
	scratch_bytes = img_preprocess_scratch_bytes(info, &pre);
	scratch = aligned_alloc(64, scratch_bytes);
	*pixels = malloc((size_t) height * (size_t) width * (size_t) channels);
	status = img_preprocess(*pixels, bytes, n_bytes, info, &pre, &limits, scratch, scratch_bytes, error);
	free(scratch);
	info->width = (uint32_t) width;
	info->height = (uint32_t) height;
	return status;
}

int
main(int argc, char **argv)
{
	int channels = argc > 1 ? atoi(argv[1]) : 1;
	int height = argc > 3 ? atoi(argv[2]) : 0;
	int width = argc > 3 ? atoi(argv[3]) : 0;
	char path[4096];

	while (fgets(path, sizeof(path), stdin) != NULL)
	{
		uint8_t *pixels = NULL;
		uint8_t *bytes;
		size_t n_bytes;
		ImgInfo info;
		ImgError error = {IMG_OK, "", ""};
		ImgStatus status;

		path[strcspn(path, "\n")] = '\0';
		bytes = read_file(path, &n_bytes);
		status = decode(&pixels, &info, bytes, n_bytes, channels, height, width, &error);
		if (status == IMG_OK)
		{
			printf("ok %u %u %s\n", (unsigned) info.width, (unsigned) info.height, info.photometric);
			fwrite(pixels, 1, (size_t) info.width * info.height * (size_t) channels, stdout);
		}
		else
			printf("error %d %s%s%s\n", (int) status, error.message, error.hint[0] != '\0' ? " | " : "",
				   error.hint);
		fflush(stdout);
		free(pixels);
		free(bytes);
	}
	return 0;
}
