/*-------------------------------------------------------------------------
 *
 * augment.c
 *	  Augmentation: ranges, their limits, and the drawing of one transform.
 *
 * What is drawn, in which distribution and unit, follows Keras's
 * ImageDataGenerator.get_random_transform(); the random numbers are ours, a
 * block of Philox for each parameter, so that switching one parameter on does
 * not change what the others draw.  affine.c applies the transform.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "random/philox.h"
#include "image_internal.h"

#define MAX_SHIFT 65500.0f
#define MAX_FACTOR 100.0f

/* Last word of the counter: keeps these blocks apart from other users of the seed. */
#define AUGMENT_STREAM UINT32_C(0x41554731)

typedef enum Draw
{
	DRAW_ROTATION = 0,
	DRAW_HEIGHT_SHIFT,
	DRAW_WIDTH_SHIFT,
	DRAW_SHEAR,
	DRAW_ZOOM,
	DRAW_FLIP_HORIZONTAL,
	DRAW_FLIP_VERTICAL,
	DRAW_BRIGHTNESS
} Draw;

typedef struct DrawState
{
	uint64_t seed;
	uint32_t epoch;
	uint32_t sample;
} DrawState;

/* Draws two independent uniform numbers in [0, 1) for one parameter. */
static void
draw_units(double units[2], const DrawState *state, Draw draw)
{
	Philox x = philox(state->seed, state->sample, state->epoch, (uint32_t) draw, AUGMENT_STREAM);

	units[0] = philox_double(x.v[0], x.v[1]);
	units[1] = philox_double(x.v[2], x.v[3]);
}

static double
draw_uniform(const DrawState *state, Draw draw, double low, double high)
{
	double units[2];

	draw_units(units, state, draw);
	return low + (high - low) * units[0];
}

static double
draw_shift(const DrawState *state, Draw draw, double range, int whole_pixels, int side)
{
	double units[2];

	if (range == 0)
		return 0;
	if (whole_pixels)
	{
		draw_units(units, state, draw);
		return floor(units[0] * range) * (units[1] < 0.5 ? -1 : 1);
	}
	return draw_uniform(state, draw, -range, range) * (range < 1 ? side : 1);
}

static int
pair_is_off(float low, float high)
{
	return (low == 1 && high == 1) || (low == 0 && high == 0);
}

int
img_augment_is_identity(const ImgAugmentRanges *ranges)
{
	return ranges->rotation_range == 0 && ranges->width_shift_range == 0 && ranges->height_shift_range == 0 &&
		   ranges->shear_range == 0 && pair_is_off(ranges->brightness_low, ranges->brightness_high) &&
		   pair_is_off(ranges->zoom_low, ranges->zoom_high) && !ranges->horizontal_flip &&
		   !ranges->vertical_flip;
}

/* Returns whether value is in range; a NaN is not. */
static int
is_within(float value, float low, float high)
{
	return value >= low && value <= high;
}

const char *
img_augment_check(const ImgAugmentRanges *ranges)
{
	if (!is_within(ranges->rotation_range, 0, 360))
		return "rotation_range must be between 0 and 360 degrees";
	if (!is_within(ranges->width_shift_range, 0, MAX_SHIFT))
		return "width_shift_range must be a fraction of the width below 1, "
			   "or 1 to 65500 pixels";
	if (!is_within(ranges->height_shift_range, 0, MAX_SHIFT))
		return "height_shift_range must be a fraction of the height below 1, "
			   "or 1 to 65500 pixels";
	if (ranges->width_shift_integer && ranges->width_shift_range != floorf(ranges->width_shift_range))
		return "width_shift_range in whole pixels must be an integer";
	if (ranges->height_shift_integer && ranges->height_shift_range != floorf(ranges->height_shift_range))
		return "height_shift_range in whole pixels must be an integer";
	if (!is_within(ranges->brightness_high, 0, MAX_FACTOR) ||
		!is_within(ranges->brightness_low, 0, ranges->brightness_high))
		return "brightness_range must be two factors between 0 and 100, the lower one first";
	if (!is_within(ranges->shear_range, 0, 89))
		return "shear_range must be between 0 and 89 degrees";
	if (!pair_is_off(ranges->zoom_low, ranges->zoom_high) &&
		(!is_within(ranges->zoom_high, 0.01f, MAX_FACTOR) ||
		 !is_within(ranges->zoom_low, 0.01f, ranges->zoom_high)))
		return "zoom_range must be a number from 0 to 0.99, "
			   "or two factors between 0.01 and 100, the lower one first";
	if (ranges->fill_mode != IMG_FILL_NEAREST && ranges->fill_mode != IMG_FILL_CONSTANT &&
		ranges->fill_mode != IMG_FILL_REFLECT && ranges->fill_mode != IMG_FILL_WRAP)
		return "fill_mode must be \"nearest\", \"constant\", \"reflect\" or \"wrap\"";
	if (!is_within(ranges->cval, 0, 255))
		return "cval must be between 0 and 255";
	return NULL;
}

void
img_augment_draw(ImgTransform *transform, const ImgAugmentRanges *ranges, int height, int width,
				 uint64_t seed, uint32_t epoch, uint32_t sample)
{
	DrawState state = {seed, epoch, sample};
	double units[2];

	transform->theta =
		ranges->rotation_range == 0
			? 0
			: draw_uniform(&state, DRAW_ROTATION, -(double) ranges->rotation_range, ranges->rotation_range);
	transform->tx = draw_shift(&state, DRAW_HEIGHT_SHIFT, ranges->height_shift_range,
							   ranges->height_shift_integer, height);
	transform->ty =
		draw_shift(&state, DRAW_WIDTH_SHIFT, ranges->width_shift_range, ranges->width_shift_integer, width);
	transform->shear =
		ranges->shear_range == 0
			? 0
			: draw_uniform(&state, DRAW_SHEAR, -(double) ranges->shear_range, ranges->shear_range);

	transform->zx = 1;
	transform->zy = 1;
	if (!pair_is_off(ranges->zoom_low, ranges->zoom_high))
	{
		double low = ranges->zoom_low, span = (double) ranges->zoom_high - low;

		draw_units(units, &state, DRAW_ZOOM);
		transform->zx = low + span * units[0];
		transform->zy = low + span * units[1];
	}

	draw_units(units, &state, DRAW_FLIP_HORIZONTAL);
	transform->flip_horizontal = ranges->horizontal_flip && units[0] < 0.5;
	draw_units(units, &state, DRAW_FLIP_VERTICAL);
	transform->flip_vertical = ranges->vertical_flip && units[0] < 0.5;

	transform->brightness =
		pair_is_off(ranges->brightness_low, ranges->brightness_high)
			? 1
			: draw_uniform(&state, DRAW_BRIGHTNESS, ranges->brightness_low, ranges->brightness_high);
	transform->fill_mode = ranges->fill_mode;
	transform->cval = ranges->cval;
}
