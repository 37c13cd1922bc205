/*-------------------------------------------------------------------------
 *
 * occlude.c
 *	  Hides a rectangle of each image that it reads.
 *
 * stdin: id, kind, top, left, bottom, right (fractions of height and width,
 * 0 to 1) and the JPEG in hexadecimal, between tabs; stdout: id, kind and the
 * changed JPEG, as COPY writes and reads them.  The rectangle gets the mean of
 * a frame around it, so that its edges are as weak as can be.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"

#define LINE_MAX_BYTES ((size_t) 64 * 1024 * 1024)
#define QUALITY 95
#define FRAME 0.03 /* its width, of the image's */

static int
hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static size_t
from_hex(uint8_t *dst, const char *hex)
{
	size_t n = 0;

	while (hex_digit(hex[0]) >= 0 && hex_digit(hex[1]) >= 0)
	{
		dst[n++] = (uint8_t) (hex_digit(hex[0]) * 16 + hex_digit(hex[1]));
		hex += 2;
	}
	return n;
}

static void
hide(uint8_t *grey, int height, int width, int top, int left, int bottom, int right)
{
	int edge = (int) (FRAME * width) + 1;
	double sum = 0;
	long n = 0;

	for (int y = top - edge; y < bottom + edge; y++)
		for (int x = left - edge; x < right + edge; x++)
		{
			if (y < 0 || x < 0 || y >= height || x >= width ||
				(y >= top && y < bottom && x >= left && x < right))
				continue;
			sum += grey[(size_t) y * (size_t) width + (size_t) x];
			n++;
		}
	for (int y = top; y < bottom; y++)
		for (int x = left; x < right; x++)
			grey[(size_t) y * (size_t) width + (size_t) x] = (uint8_t) (n > 0 ? sum / (double) n + 0.5 : 0);
}

/* One line; 0, or a message. */
static const char *
change(char *line)
{
	char id[64], kind[64];
	double top, left, bottom, right;
	int used = 0;
	ImgInfo info;
	ImgError error;
	uint8_t *bytes, *grey, *encoded;
	size_t n, bound, written = 0;

	if (sscanf(line, "%63[^\t]\t%63[^\t]\t%lf\t%lf\t%lf\t%lf\t%n", id, kind, &top, &left, &bottom, &right,
			   &used) != 6 ||
		used == 0)
		return "a line is not as it should be";
	bytes = malloc(strlen(line + used) / 2 + 1);
	if (bytes == NULL)
		return "out of memory";
	n = from_hex(bytes, line + used);
	if (img_info(&info, bytes, n, NULL, &error) != IMG_OK)
		return "an image cannot be read";
	grey = malloc((size_t) info.width * info.height);
	bound = img_encode_bound((int) info.height, (int) info.width, 1);
	encoded = malloc(bound);
	if (grey == NULL || encoded == NULL)
		return "out of memory";
	if (img_decode(grey, (size_t) info.width * info.height, 1, bytes, n, &info, NULL, &error) != IMG_OK)
		return "an image cannot be decoded";
	hide(grey, (int) info.height, (int) info.width, (int) (top * info.height), (int) (left * info.width),
		 (int) (bottom * info.height), (int) (right * info.width));
	if (img_encode_jpeg(encoded, bound, &written, grey, (int) info.height, (int) info.width, 1, QUALITY,
						&error) != IMG_OK)
		return "an image cannot be encoded";
	printf("%s\t%s\t\\\\x", id, kind);
	for (size_t i = 0; i < written; i++)
		printf("%02x", encoded[i]);
	putchar('\n');
	free(encoded);
	free(grey);
	free(bytes);
	return NULL;
}

int
main(void)
{
	char *line = malloc(LINE_MAX_BYTES);

	while (line != NULL && fgets(line, (int) LINE_MAX_BYTES, stdin) != NULL)
	{
		const char *message = change(line);

		if (message != NULL)
		{
			fprintf(stderr, "occlude: %s\n", message);
			return 1;
		}
	}
	free(line);
	return 0;
}
