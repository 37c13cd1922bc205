/*-------------------------------------------------------------------------
 *
 * phantom_body.c
 *	  The random properties of one phantom: how a body is built, how it stands
 *	  before the film, and where pneumonia is.  phantom.c renders it.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "random/philox.h"
#include "phantom.h"

#define STREAM_DRAWS UINT32_C(1) /* third word of the Philox counter */

float
img_random_draw(ImgRandom *random, float low, float high)
{
	Philox x = philox(random->seed, random->index++, 0, STREAM_DRAWS, random->stream);

	return low + (high - low) * (float) philox_double(x.v[0], x.v[1]);
}

static void
draw_pose(Body *body, ImgRandom *random)
{
	float angle = img_random_draw(random, -3.5f, 3.5f) * (PI_F / 180);
	float size = img_random_draw(random, 0.95f, 1.06f);

	body->cosine = cosf(angle);
	body->sine = sinf(angle);
	body->shift_x = img_random_draw(random, -0.045f, 0.045f);
	body->shift_y = img_random_draw(random, -0.045f, 0.045f);
	body->scale_x = size * img_random_draw(random, 0.96f, 1.04f);
	body->scale_y = size * img_random_draw(random, 0.96f, 1.04f);
	body->turn = img_random_draw(random, -0.06f, 0.06f);
}

/* Draws the shapes of the body, whose ranges are those of an adult chest. */
static void
draw_shape(Body *body, ImgRandom *random)
{
	float tilt = img_random_draw(random, 0.45f, 0.85f);
	float heart = img_random_draw(random, 0.86f, 1.16f);

	body->torso = img_random_draw(random, 0.92f, 1.06f);
	body->shoulder_y = img_random_draw(random, -0.86f, -0.74f);
	body->lung_width = img_random_draw(random, 0.74f, 0.84f);
	body->apex_y = img_random_draw(random, -0.85f, -0.77f);
	body->middle_y = img_random_draw(random, 0.02f, 0.20f);
	body->diaphragm_y = img_random_draw(random, 0.58f, 0.74f);
	body->dome = img_random_draw(random, 0.14f, 0.26f);
	body->dome_side = img_random_draw(random, -0.01f, 0.05f);
	body->heart_x = img_random_draw(random, 0.08f, 0.16f);
	body->heart_y = body->diaphragm_y - img_random_draw(random, 0.26f, 0.34f);
	body->heart_rx = 0.37f * heart;
	body->heart_ry = 0.27f * heart;
	body->heart_cos = cosf(tilt);
	body->heart_sin = sinf(tilt);
	body->mediastinum = img_random_draw(random, 0.11f, 0.16f);
	body->knob = img_random_draw(random, 0.06f, 0.10f);
	body->rib_space = img_random_draw(random, 0.145f, 0.175f);
	body->rib_y = img_random_draw(random, 0, body->rib_space);
	body->rib_half = img_random_draw(random, 0.024f, 0.032f);
	body->rib_slope = img_random_draw(random, 0.20f, 0.36f);
	body->rib_asymmetry = img_random_draw(random, -0.04f, 0.04f);
	body->clavicle_y = img_random_draw(random, -0.66f, -0.56f);
	body->clavicle_slope = img_random_draw(random, -0.02f, 0.26f);
	body->gas_x = img_random_draw(random, 0.30f, 0.50f);
	body->gas_size = img_random_draw(random, -0.06f, 0.10f);
}

static void
draw_exposure(Body *body, ImgRandom *random)
{
	body->soft = img_random_draw(random, 0.58f, 0.68f);
	body->air = img_random_draw(random, 0.41f, 0.49f);
	body->air_side = img_random_draw(random, -0.07f, 0.07f);
	body->air_slope = img_random_draw(random, -0.10f, 0.10f);
	body->bone = img_random_draw(random, 0.75f, 1.25f);
	body->heart = img_random_draw(random, 0.13f, 0.21f);
	body->vessel = img_random_draw(random, 0.7f, 1.2f);
	body->breast = img_random_draw(random, -0.04f, 0.09f);
	body->grain = img_random_draw(random, 1.5f, 4.0f);
	body->film_slope_x = img_random_draw(random, -0.05f, 0.05f);
	body->film_slope_y = img_random_draw(random, -0.05f, 0.05f);
	body->noise_x = img_random_draw(random, 0, LATTICE);
	body->noise_y = img_random_draw(random, 0, LATTICE);
}

/* Places a patch inside the lung of a side, -1 or 1. */
static void
place_patch(Patch *patch, const Body *body, ImgRandom *random, float side, float size)
{
	float height = img_random_draw(random, 0, 1);

	memset(patch, 0, sizeof(*patch));
	patch->y = body->apex_y + 0.28f + height * (body->diaphragm_y - body->dome - body->apex_y - 0.38f);
	patch->x = side * img_random_draw(random, side > 0 ? 0.34f : 0.26f, body->lung_width - 0.22f);
	patch->rx = size * img_random_draw(random, 0.8f, 1.25f);
	patch->ry = size * img_random_draw(random, 0.8f, 1.25f);
	patch->density = img_random_draw(random, 0.70f, 0.98f);
	patch->rough = img_random_draw(random, 0.5f, 1.1f);
	patch->noise_x = img_random_draw(random, 0, LATTICE);
	patch->noise_y = img_random_draw(random, 0, LATTICE);
}

/* Draws one to three large patches (some with the straight border of a lobe), or many small ones. */
static void
draw_pneumonia(Body *body, ImgRandom *random)
{
	float kind = img_random_draw(random, 0, 1);
	float side = img_random_draw(random, -1, 1) < 0 ? -1.0f : 1.0f;

	if (kind < 0.3f)
	{
		int both = img_random_draw(random, 0, 1) < 0.5f;

		body->n_patches = 6 + (int) img_random_draw(random, 0, 3.99f);
		for (int i = 0; i < body->n_patches; i++)
		{
			place_patch(&body->patches[i], body, random, both && i % 2 ? -side : side,
						img_random_draw(random, 0.15f, 0.22f));
			body->patches[i].density *= 0.9f;
		}
		return;
	}
	body->n_patches = 1 + (int) img_random_draw(random, 0, 2.9f);
	for (int i = 0; i < body->n_patches; i++)
	{
		Patch *patch = &body->patches[i];

		place_patch(patch, body, random, i == 1 ? -side : side, img_random_draw(random, 0.29f, 0.42f));
		if (kind > 0.65f)
		{
			patch->fissure = img_random_draw(random, -1, 1) < 0 ? -1.0f : 1.0f;
			patch->fissure_y = patch->y + patch->fissure * img_random_draw(random, 0, 0.08f);
			patch->fissure_slope = img_random_draw(random, -0.25f, 0.25f);
		}
	}
}

void
img_phantom_body(Body *body, ImgRandom *random, int pneumonia)
{
	memset(body, 0, sizeof(*body));
	draw_pose(body, random);
	draw_shape(body, random);
	draw_exposure(body, random);
	if (pneumonia)
		draw_pneumonia(body, random);
}
