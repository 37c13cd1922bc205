/*-------------------------------------------------------------------------
 *
 * phantom_body.h
 *	  Internal to the phantoms: one body, before it is rendered.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_IMAGE_PHANTOM_BODY_H
#define PNEUMO_IMAGE_PHANTOM_BODY_H

#include "image_internal.h"

#define PI_F 3.14159265f

#define LATTICE 64 /* random lattice for value noise, a power of 2 */
#define MAX_PATCHES 9

typedef struct Patch
{
	float x, y, rx, ry;
	float density; /* 0..1 of the air replaced */
	float rough;   /* how far the noise moves the border */
	float noise_x, noise_y;
	float fissure; /* 0, or 1 above / -1 below: a straight border */
	float fissure_y, fissure_slope;
} Patch;

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

/* Draws the lots of a body: pose, shape, exposure, and patches of pneumonia. */
extern void img_phantom_body(Body *body, ImgRandom *random, int pneumonia);

#endif /* PNEUMO_IMAGE_PHANTOM_BODY_H */
