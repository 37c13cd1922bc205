/*
 * make_seeds.c
 *		Writes the seeds of the fuzz targets: small drawn images as JPEG, PNG and
 *		DICOM, and a model of several layer types.
 *
 *		make_seeds FOLDER
 *
 * Makes FOLDER/fuzz_jpeg/... and so on, whose folders must be there.
 */
#include "fuzz_nn.h"
#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

static void
write_file(const char *folder, const char *name, const void *bytes, size_t n)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0)
	{
		perror(path);
		exit(1);
	}
}

/* Writes a drawn pattern of one size as a grey or colour JPEG after the two bytes of fuzz_jpeg. */
static void
write_jpeg(const char *folder, int number, int height, int width, int channels, int quality)
{
	size_t bound = img_encode_bound(height, width, channels);
	size_t n = (size_t) height * (size_t) width * (size_t) channels;
	uint8_t *pixels = malloc(n);
	uint8_t *bytes = malloc(bound + 2);
	size_t used = 0;
	char name[64];
	ImgError error;
	size_t i;

	for (i = 0; i < n; i++)
		pixels[i] = (uint8_t) ((i * 7 + i / (size_t) width * 13) ^ (i >> 5));
	bytes[0] = (uint8_t) (number * 37);
	bytes[1] = (uint8_t) number;
	if (img_encode_jpeg(bytes + 2, bound, &used, pixels, height, width, channels, quality, &error) != IMG_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	snprintf(name, sizeof(name), "fuzz_jpeg/%d.bin", number);
	write_file(folder, name, bytes, used + 2);
	free(pixels);
	free(bytes);
}

/* Writes a drawn pattern as PNG after the two bytes of fuzz_png. */
static void
write_png(const char *folder, int number, unsigned height, unsigned width, unsigned format)
{
	static uint8_t pixels[64 * 64 * 8];
	static uint8_t bytes[64 * 64 * 16];
	png_alloc_size_t n = sizeof(bytes) - 2;
	png_image image;
	char name[64];

	memset(&image, 0, sizeof(image));
	image.version = PNG_IMAGE_VERSION;
	image.width = width;
	image.height = height;
	image.format = format;
	for (size_t i = 0; i < sizeof(pixels); i++)
		pixels[i] = (uint8_t) ((i * 7) ^ (i >> 5));
	bytes[0] = (uint8_t) (number * 37);
	bytes[1] = (uint8_t) number;
	if (!png_image_write_to_memory(&image, bytes + 2, &n, 0, pixels, 0, NULL))
	{
		fprintf(stderr, "%s\n", image.message);
		exit(1);
	}
	snprintf(name, sizeof(name), "fuzz_png/%d.bin", number);
	write_file(folder, name, bytes, n + 2);
}

/* Appends an element with an explicit representation of a short length. */
static size_t
put_element(uint8_t *p, unsigned group, unsigned element, const char *vr, const void *value, size_t n)
{
	uint8_t head[8] = {(uint8_t) group, (uint8_t) (group >> 8), (uint8_t) element, (uint8_t) (element >> 8),
					   (uint8_t) vr[0], (uint8_t) vr[1],        (uint8_t) n,       (uint8_t) (n >> 8)};

	memcpy(p, head, 8);
	memcpy(p + 8, value, n);
	return 8 + n;
}

/* Writes a DICOM file of 16 x 12 pixels, native or with a frame in one fragment, after the two bytes. */
static void
write_dicom(const char *folder, int number, const char *syntax, const char *photometric, unsigned bits,
			const void *frame, size_t n_frame)
{
	static uint8_t bytes[65536];
	uint8_t *p = bytes + 2 + 128;
	uint8_t number2[2] = {0, 0};
	int is_native = strlen(syntax) < 20;
	char name[64];

	memset(bytes, 0, sizeof(bytes));
	bytes[0] = (uint8_t) (number * 37);
	memcpy(p, "DICM", 4);
	p += 4;
	p += put_element(p, 0x0002, 0x0010, "UI", syntax, strlen(syntax) + strlen(syntax) % 2);
	number2[0] = 1;
	p += put_element(p, 0x0028, 0x0002, "US", number2, 2);
	p += put_element(p, 0x0028, 0x0004, "CS", photometric, strlen(photometric));
	number2[0] = 12;
	p += put_element(p, 0x0028, 0x0010, "US", number2, 2);
	number2[0] = 16;
	p += put_element(p, 0x0028, 0x0011, "US", number2, 2);
	number2[0] = (uint8_t) (bits > 8 ? 16 : 8);
	p += put_element(p, 0x0028, 0x0100, "US", number2, 2);
	number2[0] = (uint8_t) bits;
	p += put_element(p, 0x0028, 0x0101, "US", number2, 2);
	p += put_element(p, 0x0028, 0x0103, "US", "\0\0", 2);
	p += put_element(p, 0x0028, 0x1050, "DS", "40", 2);
	p += put_element(p, 0x0028, 0x1051, "DS", "90", 2);
	p += put_element(p, 0x0028, 0x1052, "DS", "-1", 2);
	p += put_element(p, 0x0028, 0x1053, "DS", "2 ", 2);
	memcpy(p,
		   is_native ? "\xe0\x7f\x10\0OW\0\0"
					 : "\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0",
		   is_native ? 8 : 24);
	p += is_native ? 8 : 24;
	p[0] = (uint8_t) n_frame;
	p[1] = (uint8_t) (n_frame >> 8);
	memcpy(p + 4, frame, n_frame);
	p += 4 + n_frame;
	snprintf(name, sizeof(name), "fuzz_dicom/%d.bin", number);
	write_file(folder, name, bytes, (size_t) (p - bytes));
}

static void
write_dicoms(const char *folder)
{
	uint8_t native[384], runs[64 + 8] = {1, 0, 0, 0, 64};
	uint8_t pixels[16 * 12], jpeg[4096];
	size_t used = 0;
	ImgError error;

	for (size_t i = 0; i < sizeof(native); i++)
		native[i] = (uint8_t) (i % 2 ? i / 40 : i * 5);
	for (size_t i = 0; i < sizeof(pixels); i++)
		pixels[i] = (uint8_t) (i * 3);
	memcpy(runs + 64, "\x81\x10\xc1\x20\0", 5);
	img_encode_jpeg(jpeg, sizeof(jpeg), &used, pixels, 12, 16, 1, 80, &error);
	write_dicom(folder, 1, "1.2.840.10008.1.2.1", "MONOCHROME2 ", 12, native, 384);
	write_dicom(folder, 2, "1.2.840.10008.1.2.1", "MONOCHROME1 ", 8, native, 192);
	write_dicom(folder, 3, "1.2.840.10008.1.2.1.98", "MONOCHROME2 ", 16, native, 384);
	write_dicom(folder, 4, "1.2.840.10008.1.2.4.50", "MONOCHROME2 ", 8, jpeg, used + used % 2);
	write_dicom(folder, 5, "1.2.840.10008.1.2.5 ", "MONOCHROME2 ", 8, runs, 70);
	write_dicom(folder, 6, "1.2.840.10008.1.2.4.70", "MONOCHROME2 ", 12, native, 64);
	write_dicom(folder, 7, "1.2.840.10008.1.2.4.80", "MONOCHROME2 ", 12, native, 64);
	write_dicom(folder, 8, "1.2.840.10008.1.2.4.90", "MONOCHROME2 ", 12, native, 64);
}

/* Adds a layer with its first two parameters; 0 leaves the default. */
static int
add(NnGraph *graph, const char *class_name, int input, double first, double second)
{
	NnNodeSpec spec;
	NnError error;
	int index = 0;

	nn_node_spec_init(&spec, nn_op_find(class_name));
	snprintf(spec.name, sizeof(spec.name), "%s", class_name);
	spec.n_inputs = 1;
	spec.inputs[0] = input;
	if (first != 0)
		spec.params[0].v[0] = spec.params[0].v[1] = first;
	if (second != 0)
		spec.params[1].v[0] = spec.params[1].v[1] = second;
	if (nn_graph_add(graph, &spec, &index, &error) != NN_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	return index;
}

static void
write_model(const char *folder)
{
	NnGraph *graph = aligned(nn_graph_bytes(16));
	NnError error;
	float *weights;
	unsigned char *bytes;
	size_t n;
	int at;

	nn_graph_begin(graph, 16, 12, 10, 1, &error);
	at = add(graph, "Conv2D", 0, 4, 3);
	at = add(graph, "BatchNormalization", at, 0, 0);
	at = add(graph, "ReLU", at, 0, 0);
	at = add(graph, "MaxPooling2D", at, 2, 0);
	at = add(graph, "DepthwiseConv2D", at, 3, 0);
	at = add(graph, "AveragePooling2D", at, 2, 0);
	at = add(graph, "Flatten", at, 0, 0);
	at = add(graph, "Dropout", at, 0.5, 0);
	at = add(graph, "Dense", at, 1, 3);
	if (nn_graph_finish(graph, at, &error) != NN_OK)
	{
		fprintf(stderr, "%s\n", error.message);
		exit(1);
	}
	weights = aligned(nn_graph_weight_count(graph) * sizeof(float));
	nn_weights_init(weights, graph, 1, NULL);
	n = nn_model_bytes(graph, NULL, 0);
	bytes = malloc(n);
	nn_model_write(bytes, n, graph, weights, NULL, 0, &error);
	write_file(folder, "fuzz_model/1.bin", bytes, n);
	free(bytes);
	free(weights);
	free(graph);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
	{
		fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	write_jpeg(argv[1], 1, 16, 16, 1, 90);
	write_jpeg(argv[1], 2, 33, 17, 1, 50);
	write_jpeg(argv[1], 3, 24, 40, 3, 75);
	write_jpeg(argv[1], 4, 8, 200, 3, 20);
	write_jpeg(argv[1], 5, 1, 1, 1, 95);
	write_png(argv[1], 1, 16, 16, PNG_FORMAT_GRAY);
	write_png(argv[1], 2, 33, 17, PNG_FORMAT_RGBA);
	write_png(argv[1], 3, 8, 40, PNG_FORMAT_LINEAR_Y);
	write_png(argv[1], 4, 24, 9, PNG_FORMAT_LINEAR_RGB_ALPHA);
	write_dicoms(argv[1]);
	write_model(argv[1]);
	return 0;
}
