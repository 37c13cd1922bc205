/*-------------------------------------------------------------------------
 *
 * op_border.c
 *	  ZeroPadding2D and Cropping2D: rows and columns of zeros around the map,
 *	  or rows and columns cut off.
 *
 *-------------------------------------------------------------------------
 */
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

/* The order of the numbers of NN_PARAM_BORDER. */
enum
{
	TOP,
	BOTTOM,
	LEFT,
	RIGHT
};

static const NnParam padding_params[] = {
	{"padding", NN_PARAM_BORDER, 0, 0, NN_MAX_SIDE, {{1, 1, 1, 1}}, NULL},
	{0},
};

static const NnParam cropping_params[] = {
	{"cropping", NN_PARAM_BORDER, 0, 0, NN_MAX_SIDE, {{0, 0, 0, 0}}, NULL},
	{0},
};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0},
};

/* Fills the shape of a node that gets (sign 1) or loses (-1) its border. */
static NnStatus
border_shape(NnNode *node, const NnShape *inputs, int sign, NnError *error)
{
	const double *border = node->spec.params[0].v;
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	if (status != NN_OK)
		return status;
	return nn_set_shape(node, 3, inputs[0].h + sign * ((int) border[TOP] + (int) border[BOTTOM]),
						inputs[0].w + sign * ((int) border[LEFT] + (int) border[RIGHT]), (size_t) inputs[0].c,
						error);
}

static NnStatus
padding_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	return border_shape(node, inputs, 1, error);
}

static NnStatus
cropping_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	return border_shape(node, inputs, -1, error);
}

/* Copies the inside of a large map, which begins at the border's corner, to the small one. */
static void
cut(float *small, const float *large, const NnShape *inside, const NnShape *outside, const double *border)
{
	size_t c = (size_t) inside->c;
	size_t row = (size_t) inside->w * c;
	size_t work = 0;
	int y;

	for (y = 0; y < inside->h && !nn_stop_due(&work, row); y++)
		memcpy(small + (size_t) y * row,
			   large +
				   (((size_t) y + (size_t) border[TOP]) * (size_t) outside->w + (size_t) border[LEFT]) * c,
			   row * sizeof(float));
}

/* Copies a small map into a large one, which is zero elsewhere. */
static void
surround(float *large, const float *small, const NnShape *inside, const NnShape *outside,
		 const double *border)
{
	size_t c = (size_t) inside->c;
	size_t row = (size_t) inside->w * c;
	size_t work = 0;
	int y;

	nn_stop_zero(large, nn_shape_floats(outside) * sizeof(float));
	for (y = 0; y < inside->h && !nn_stop_due(&work, row); y++)
		memcpy(large +
				   (((size_t) y + (size_t) border[TOP]) * (size_t) outside->w + (size_t) border[LEFT]) * c,
			   small + (size_t) y * row, row * sizeof(float));
}

static void
padding_forward(const NnCall *call)
{
	const NnNode *node = call->node;

	surround(call->dst, call->src[0], &node->in, &node->shape, node->spec.params[0].v);
}

static void
padding_backward(const NnCall *call)
{
	const NnNode *node = call->node;

	if (call->dsrc[0] != NULL)
		cut(call->dsrc[0], call->ddst, &node->in, &node->shape, node->spec.params[0].v);
}

static void
cropping_forward(const NnCall *call)
{
	const NnNode *node = call->node;

	cut(call->dst, call->src[0], &node->shape, &node->in, node->spec.params[0].v);
}

static void
cropping_backward(const NnCall *call)
{
	const NnNode *node = call->node;

	if (call->dsrc[0] != NULL)
		surround(call->dsrc[0], call->ddst, &node->shape, &node->in, node->spec.params[0].v);
}

const NnOp nn_op_zero_padding = {
	.info = {"ZeroPadding2D", 1, 1, padding_params, nn_no_ignored, refused,
			 "Rows and columns of zeros around."},
	.flags = NN_MOVES_VALUES,
	.shape = padding_shape,
	.forward = padding_forward,
	.backward = padding_backward,
};

const NnOp nn_op_cropping = {
	.info = {"Cropping2D", 1, 1, cropping_params, nn_no_ignored, refused, "Cuts rows and columns off."},
	.flags = NN_MOVES_VALUES,
	.shape = cropping_shape,
	.forward = cropping_forward,
	.backward = cropping_backward,
};
