/*-------------------------------------------------------------------------
 *
 * phantom.c
 *	  A drawn chest radiograph, so that tests and the demonstration need no
 *	  foreign data.
 *
 * The picture is a sum of attenuations: soft tissue, mediastinum, heart,
 * spine, ribs, clavicles, shoulder blades, vessels, minus the air of the
 * lungs, from which pneumonia takes away patches.  Anatomy is written in body
 * coordinates: x from -1 (patient's right, left in the picture) to 1, y from
 * -1 (top) to 1; a pose (rotation, size, shift) leads there from the pixels.
 * Shapes are products of soft steps, textures are value noise.
 *
 * phantom_body.c draws the properties of one body; film.c turns the attenuations
 * into grey levels.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <string.h>

#include "random/philox.h"
#include "image_internal.h"
#include "phantom.h"

#define MIN_SIDE 64
#define MAX_SIDE 2048

/* Words of the Philox counter; the two classes have different streams, so their anatomy is unrelated. */
#define STREAM_LATTICE UINT32_C(2)
#define PHANTOM_STREAM UINT32_C(0x50480000)

typedef struct Canvas
{
	float *film;    /* height * width */
	float *lattice; /* LATTICE * LATTICE */
	int height, width;
} Canvas;

/* Returns 0 below 0, 1 above 1, and a smooth transition between. */
static inline float
soft_step(float t)
{
	t = t < 0 ? 0 : (t > 1 ? 1 : t);
	return t * t * (3 - 2 * t);
}

/* Returns 1 inside (d > 0), 0 outside, and a transition of the given width between. */
static inline float
inside(float d, float width)
{
	return soft_step(d * (1 / width) + 0.5f); /* width is mostly a constant */
}

static inline float
square(float x)
{
	return x * x;
}

/* Returns exp(-t) for t >= 0, accurate to a few per cent, which no eye can tell. */
static inline float
fade(float t)
{
	float d = 1 + t * (0.25f + t * (0.03125f + t * 0.0026f));

	d *= d;
	return 1 / (d * d);
}

/* Returns x rounded down; floorf() is a library call where the compiler may not assume SSE4.1. */
static inline int
floor_int(float x)
{
	int i = (int) x;

	return i - ((float) i > x);
}

/* Returns atan2 to about 0.01 rad, which is enough for the direction of a texture. */
static inline float
rough_angle(float y, float x)
{
	float ax = fabsf(x) + 1e-6f, ay = fabsf(y);
	float t = ay < ax ? ay / ax : ax / ay;
	float angle = t * (1.0584f - 0.273f * t);

	if (ay >= ax)
		angle = PI_F / 2 - angle;
	if (x < 0)
		angle = PI_F - angle;
	return y < 0 ? -angle : angle;
}

/* Returns value noise in 0..1, with one cell of the lattice per unit. */
static inline float
value_noise(const float *lattice, float x, float y)
{
	int ix = floor_int(x), iy = floor_int(y);
	unsigned x0 = (unsigned) ix & (LATTICE - 1), y0 = (unsigned) iy & (LATTICE - 1),
			 x1 = (x0 + 1) & (LATTICE - 1), y1 = (y0 + 1) & (LATTICE - 1);
	float u = soft_step(x - (float) ix), v = soft_step(y - (float) iy);
	float top = lattice[y0 * LATTICE + x0] + u * (lattice[y0 * LATTICE + x1] - lattice[y0 * LATTICE + x0]);
	float bottom = lattice[y1 * LATTICE + x0] + u * (lattice[y1 * LATTICE + x1] - lattice[y1 * LATTICE + x0]);

	return top + v * (bottom - top);
}

static void
fill_lattice(float *lattice, const ImgRandom *random)
{
	for (uint32_t i = 0; i < LATTICE * LATTICE / 4; i++)
	{
		Philox x = philox(random->seed, i, 0, STREAM_LATTICE, random->stream);

		for (uint32_t k = 0; k < 4; k++)
			lattice[4 * i + k] = philox_float(x.v[k]);
	}
}

/* Returns half the width of the rib cage at a height. */
static float
cage_half_width(const Body *body, float y)
{
	float t = y < body->middle_y ? (body->middle_y - y) / (body->middle_y - body->apex_y)
								 : (y - body->middle_y) * 0.42f;
	float inner = 1 - t * t * (y < body->middle_y ? 0.35f * t + 0.65f : 1);

	return inner <= 0 ? 0 : body->lung_width * sqrtf(inner);
}

/* Returns how much of the path is lung, 0..1, and in *below how much is below the diaphragm. */
static float
lung_at(const Body *body, float x, float y, float half_width, float *below)
{
	float side = x < 0 ? -1.0f : 1.0f;
	float a = fabsf(x);
	float medial = body->mediastinum + 0.16f * soft_step((-0.42f - y) / 0.42f) +
				   (side < 0 ? 0.05f * fade(square((y - 0.28f) / 0.22f)) : 0);
	float diaphragm =
		body->diaphragm_y + side * body->dome_side - body->dome * (1 - square((a - 0.34f) / 0.42f));
	float column = inside(half_width - a, 0.05f) * inside(a - medial, 0.06f);

	*below = inside(y - diaphragm, 0.04f);
	return column * (1 - *below);
}

/* Returns how much of the path is heart or, above it, the arch of the aorta and the pulmonary trunk. */
static float
heart_at(const Body *body, float x, float y)
{
	float dx = x - body->heart_x, dy = y - body->heart_y;
	float p = (body->heart_cos * dx + body->heart_sin * dy) / body->heart_rx,
		  q = (body->heart_cos * dy - body->heart_sin * dx) / body->heart_ry;
	float arch = square(x - 0.08f) + square((y + 0.32f) * 0.85f),
		  trunk = square((x - 0.06f) / 0.16f) + square((y + 0.06f) / 0.24f);
	float clear = (1 - inside(1 - (p * p + q * q), 0.22f)) *
				  (1 - 0.8f * inside(square(body->knob + 0.06f) - arch, 0.012f)) *
				  (1 - 0.8f * inside(1 - trunk, 0.35f));

	return 1 - clear;
}

/* Returns the density across a band with brighter borders, as a tube of bone has them. */
static float
band(float distance, float half)
{
	float t = distance * (1 / half);

	if (t > 1.3f)
		return 0;
	return inside(1 - t, 0.5f) * (0.55f + 0.45f * (t > 1 ? 1 : t * t));
}

/* Returns the distance to the nearest of evenly spaced ribs; y is measured along their curve. */
static float
nearest_rib(const Body *body, float y)
{
	float t = (y - body->rib_y) / body->rib_space;

	return fabsf(t - (float) floor_int(t + 0.5f)) * body->rib_space;
}

static float
ribs_at(const Body *body, float x, float y, float half_width)
{
	float a = fabsf(x);
	float s = a / body->lung_width;
	float skew = body->rib_asymmetry * (x < 0 ? -1 : 1);
	float cage = inside(half_width + 0.03f - a, 0.04f) * inside(a - 0.07f, 0.05f) *
				 inside(y - body->apex_y, 0.1f) * (1 - 0.6f * soft_step((y - 0.5f) / 0.3f));
	float back, front;

	if (cage <= 0)
		return 0;

	/* posterior: from the spine a little up, then down and around */
	back =
		nearest_rib(body, y - skew + 0.10f * s * (1 - s) * 2 - body->rib_slope * s * s * (0.35f + 0.65f * s));
	/* anterior: from the side down to the middle, fading into cartilage */
	front = nearest_rib(body, y - skew - body->rib_slope - 0.42f * (1 - s) * (1.15f - 0.3f * s));
	return cage * (0.105f * band(back, body->rib_half) * (1 - 0.35f * s) +
				   0.075f * band(front, body->rib_half * 1.15f) * soft_step((s - 0.35f) / 0.3f));
}

static float
spine_at(const Body *body, float x, float y)
{
	float spine = inside(0.085f - fabsf(x + 0.3f * body->turn), 0.03f);
	float vertebra;

	if (spine <= 0)
		return 0;
	vertebra = 0.5f + 0.5f * cosf(y * (2 * PI_F / 0.135f));
	return spine * (0.04f + 0.035f * vertebra * vertebra);
}

static float
clavicle_at(const Body *body, float x, float y)
{
	float along = (fabsf(x) - 0.09f) / 0.68f;
	float centre;

	if (along < -0.05f || along > 1.15f || fabsf(y - body->clavicle_y) > 0.5f)
		return 0;
	centre = body->clavicle_y - body->clavicle_slope * along - 0.05f * sinf(along * 5.2f) - 0.03f;
	return 0.125f * band(fabsf(y - centre), 0.034f + 0.012f * along) * inside(along, 0.08f);
}

static float
blade_at(float x, float y)
{
	float edge = 0.66f + 0.22f * (y + 0.6f);

	if (y > 0.1f || y < -0.75f)
		return 0;
	return 0.04f * inside(fabsf(x) - edge, 0.04f) * inside(0.05f - y, 0.1f) * inside(y + 0.66f, 0.1f);
}

/*
 * Returns the density of the vessels: streaks that leave both hila and thin out
 * towards the periphery.
 */
static float
vessels_at(const Body *body, const float *lattice, float x, float y)
{
	float side = x < 0 ? -1.0f : 1.0f;
	float dx = fabsf(x) - 0.14f, dy = y + 0.02f + 0.03f * side;
	float r = sqrtf(dx * dx + dy * dy);
	float angle = rough_angle(dy, dx) + side * 3.5f;
	float wander = value_noise(lattice, body->noise_x + x * 5, body->noise_y + y * 5) - 0.5f;
	float n1 = value_noise(lattice, body->noise_x + angle * 3.2f + wander, body->noise_y + r * 3.5f);
	float n2 = value_noise(lattice, body->noise_y + angle * 6.5f + 2 * wander, body->noise_x + r * 6);
	float ridge1 = 1 - fabsf(2 * n1 - 1), ridge2 = 1 - fabsf(2 * n2 - 1);
	float near;

	ridge1 *= ridge1;
	ridge2 *= ridge2;
	near = soft_step((r - 0.02f) / 0.16f);
	return body->vessel *
		   (near * (0.17f * ridge1 * ridge1 * fade(r / 0.24f) + 0.10f * ridge2 * ridge2 * fade(r / 0.42f)) +
			(0.05f + 0.10f * (wander + 0.5f)) * fade(square(dx / 0.09f) + square(dy / 0.17f)));
}

/* Returns how much of the air is replaced here, 0..1. */
static float
consolidation_at(const Body *body, const float *lattice, float x, float y)
{
	float clear = 1;

	for (int i = 0; i < body->n_patches; i++)
	{
		const Patch *p = &body->patches[i];
		float d = square((x - p->x) / p->rx) + square((y - p->y) / p->ry);
		float cloud, m;

		if (d > 4)
			continue;
		cloud = value_noise(lattice, p->noise_x + x * 6, p->noise_y + y * 6) * 0.6f +
				value_noise(lattice, p->noise_y + x * 15, p->noise_x + y * 15) * 0.4f;
		m = soft_step((1.25f - d + p->rough * 1.6f * (cloud - 0.5f)) / 1.1f);
		if (p->fissure != 0)
			m *= inside((p->fissure_y + p->fissure_slope * (x - p->x) - y) * p->fissure, 0.05f);
		clear *= 1 - p->density * m * (0.8f + 0.2f * cloud);
	}
	return 1 - clear;
}

/* Returns the attenuation along the ray that hits the film at body coordinates (x, y). */
static float
attenuation_at(const Body *body, const float *lattice, float x, float y)
{
	float shoulder = soft_step((y - body->shoulder_y + 0.32f) / 0.36f);
	float torso = 0.26f + (body->torso - 0.26f) * shoulder;
	float body_mask = inside(torso - fabsf(x), 0.05f);
	float middle = x + body->turn * (1 - y * y);
	float half_width = cage_half_width(body, y);
	float below, lung, heart, flank, total;

	if (body_mask <= 0)
		return 0.02f;

	lung = lung_at(body, middle, y, half_width, &below);
	heart = heart_at(body, middle, y);
	total = body->soft * sqrtf(1.02f - 0.55f * square(x / torso));
	total += 0.07f * (value_noise(lattice, body->noise_y + x * 3, body->noise_x + y * 3) - 0.5f);
	flank = inside(half_width + 0.05f - fabsf(x), 0.15f);
	/* heart, great vessels and liver hide each other: no sum, a union */
	total += body->heart * (1 - (1 - heart) * (1 - 0.92f * below * flank) *
									(1 - 0.75f * inside(body->mediastinum - fabsf(middle), 0.14f)));
	total -= 0.10f * inside(0.045f - fabsf(middle - 0.02f), 0.04f) * (1 - soft_step((y + 0.40f) / 0.25f));
	if (body->gas_size > 0.03f)
		total -= 0.22f * below *
				 inside(1 - square((middle - body->gas_x) / (body->gas_size * 1.6f)) -
							square((y - body->diaphragm_y - 0.02f) / body->gas_size),
						0.5f);
	if (body->breast > 0)
		total += body->breast *
				 inside(1 - square((fabsf(x) - 0.48f) / 0.36f) - square((y - 0.28f) / 0.34f), 0.35f);

	if (lung > 0)
	{
		float air = lung * (1 - 0.80f * heart) * body->air *
					(1 + body->air_side * (x < 0 ? -1 : 1) + body->air_slope * y);
		float filled = body->n_patches > 0 ? consolidation_at(body, lattice, middle, y) : 0;

		total -= air * (1 - filled);
		total += lung * (1 - 0.7f * filled) * (1 - 0.7f * heart) * vessels_at(body, lattice, middle, y);
	}
	total += body->bone * (ribs_at(body, middle, y, half_width) * (1 - 0.55f * heart) +
						   spine_at(body, middle, y) * (1 - 0.5f * heart) + clavicle_at(body, middle, y) +
						   blade_at(middle, y));
	return body_mask * total + (1 - body_mask) * 0.02f;
}

static ImgStatus
expose_film(const Canvas *canvas, const Body *body, volatile sig_atomic_t *interrupt)
{
	for (int row = 0; row < canvas->height; row++)
	{
		float *film = canvas->film + (size_t) row * (size_t) canvas->width;
		float v = ((float) row + 0.5f) * 2 / (float) canvas->height - 1;

		if (interrupt != NULL && *interrupt)
			return IMG_INTERRUPTED;
		for (int col = 0; col < canvas->width; col++)
		{
			float u = ((float) col + 0.5f) * 2 / (float) canvas->width - 1;
			float x = (body->cosine * (u - body->shift_x) + body->sine * (v - body->shift_y)) / body->scale_x;
			float y = (body->cosine * (v - body->shift_y) - body->sine * (u - body->shift_x)) / body->scale_y;

			film[col] =
				attenuation_at(body, canvas->lattice, x, y) + body->film_slope_x * u + body->film_slope_y * v;
		}
	}
	return IMG_OK;
}

static int
sides_are_valid(int height, int width)
{
	return height >= MIN_SIDE && height <= MAX_SIDE && width >= MIN_SIDE && width <= MAX_SIDE;
}

size_t
img_phantom_scratch_bytes(int height, int width)
{
	if (!sides_are_valid(height, width))
		return 0;
	return img_align64((size_t) height * (size_t) width * sizeof(float)) + LATTICE * LATTICE * sizeof(float) +
		   IMG_FILM_SCRATCH_BYTES;
}

ImgStatus
img_phantom(uint8_t *dst, int height, int width, uint64_t seed, int pneumonia,
			volatile sig_atomic_t *interrupt, void *scratch)
{
	ImgRandom random = {seed, PHANTOM_STREAM + (pneumonia != 0), 0};
	Body body;
	Canvas canvas;
	void *film_scratch;
	ImgStatus status;

	if (!sides_are_valid(height, width) || scratch == NULL)
		return IMG_BAD_ARGUMENT;
	canvas.height = height;
	canvas.width = width;
	canvas.lattice = scratch;
	film_scratch = canvas.lattice + LATTICE * LATTICE;
	canvas.film = canvas.lattice + LATTICE * LATTICE + IMG_FILM_SCRATCH_BYTES / sizeof(float);

	img_phantom_body(&body, &random, pneumonia);
	fill_lattice(canvas.lattice, &random);

	status = expose_film(&canvas, &body, interrupt);
	if (status != IMG_OK)
		return status;
	img_film_develop(dst, canvas.film, height, width, body.grain, &random, film_scratch);
	return IMG_OK;
}
