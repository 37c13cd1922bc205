/*-------------------------------------------------------------------------
 *
 * explain.h
 *	  Where in an image a score comes from: maps and their pictures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_PG_EXPLAIN_H
#define PNEUMO_PG_EXPLAIN_H

#include "pg/predict/scorer.h"

/*
 * A map whose absolute values sum to less is empty: all that it shows moves
 * the odds by less than one percent, the probability by less than 0.0025.
 */
#define PNEUMO_MAP_EMPTY 0.01

typedef enum PneumoMapMethod
{
	PNEUMO_MAP_HIRESCAM, /* sum over channels of activation * gradient */
	PNEUMO_MAP_GRADCAM   /* the gradient averaged over the positions first */
} PneumoMapMethod;

typedef struct PneumoMapOptions
{
	const char *class_name; /* NULL: positive of two, else the most probable */
	PneumoMapMethod method;
	double scale;   /* logits at full colour; 0: the map's largest */
	double opacity; /* of full colour, 0 to 1 */
} PneumoMapOptions;

typedef struct PneumoMap
{
	int height, width; /* of the last convolution's output */
	int class_index;   /* explained */
	double max_abs;    /* of the values */
	bool empty;
	float *values; /* [height][width], logits; positive speaks for
								 * the class */
} PneumoMap;

/* Reads a config, or the defaults with NULL; strings are allocated in the current context. */
extern void pneumo_map_options(PneumoMapOptions *options, Jsonb *config);

/*
 * The map of an image, values palloc'd; false if the image cannot be decoded
 * and on_bad_image is PNEUMO_BAD_IMAGE_NULL.  Errors: no convolution in the
 * network, no such class.
 */
extern bool pneumo_map_make(PneumoMap *map, PneumoScorer *scorer, Datum image,
							const PneumoMapOptions *options, int on_bad_image);

/*
 * The image as grey with the map in colour over it, a palloc'd JPEG of the
 * image's own size, or, with max_side above 0, shrunk to it; NULL as above.
 */
extern bytea *pneumo_map_draw(const PneumoMap *map, Datum image, const PneumoMapOptions *options,
							  int max_side, int on_bad_image);

#endif /* PNEUMO_PG_EXPLAIN_H */
