/*-------------------------------------------------------------------------
 *
 * phantom.h
 *	  What the files of the drawn radiograph share: its random draws, one body
 *	  before it is rendered, and the development of the film.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_IMAGE_PHANTOM_H
#define PNEUMO_IMAGE_PHANTOM_H

#include <stdint.h>

#define PI_F 3.14159265f

#define LATTICE 64 /* random lattice for value noise, a power of 2 */
#define MAX_PATCHES 9

/* A sequence of random draws: the next counter of a stream under a seed. */
typedef struct ImgRandom
{
	uint64_t seed;
	uint32_t stream;
	uint32_t index; /* draws so far */
} ImgRandom;

/* A patch of pneumonia, in body coordinates. */
typedef struct Patch
{
	float x, y, rx, ry;
	float density; /* 0..1 of the air replaced */
	float rough;   /* how far the noise moves the border */
	float noise_x, noise_y;
	float fissure; /* 0, or 1 above / -1 below: a straight border */
	float fissure_y, fissure_slope;
} Patch;

/* Everything that is drawn at random for one phantom. */
typedef struct Body
{
	/* pose */
	float cosine, sine, shift_x, shift_y, scale_x, scale_y,
		turn; /* rotation about the long axis: the middle moves */
	/* shape */
	float torso, shoulder_y, lung_width, apex_y, middle_y, diaphragm_y, dome, dome_side;
	float heart_x, heart_y, heart_rx, heart_ry, heart_cos, heart_sin, mediastinum, knob;
	float rib_y, rib_space, rib_half, rib_slope, rib_asymmetry;
	float clavicle_y, clavicle_slope;
	float gas_x, gas_size;
	/* attenuation */
	float soft, air, air_side, /* one lung darker than the other */
		air_slope, bone, heart, vessel, breast;
	/* film */
	float grain, film_slope_x, film_slope_y;
	float noise_x, noise_y;
	int n_patches;
	Patch patches[MAX_PATCHES];
} Body;

/* Returns the next draw of the sequence, uniform in [low, high). */
extern float img_random_draw(ImgRandom *random, float low, float high);

/* Fills *body at random: pose, shape, exposure, and patches of pneumonia if there is pneumonia. */
extern void img_phantom_body(Body *body, ImgRandom *random, int pneumonia);

/*
 * Develops a film of height * width attenuations to 8 bits: tone curve, grain
 * of the given strength in grey levels, collimation and marker.  scratch has
 * IMG_FILM_SCRATCH_BYTES bytes.
 */
#define IMG_FILM_SCRATCH_BYTES 8192
extern void img_film_develop(uint8_t *dst, const float *values, int height, int width, float grain,
							 ImgRandom *random, void *scratch);

#endif /* PNEUMO_IMAGE_PHANTOM_H */
