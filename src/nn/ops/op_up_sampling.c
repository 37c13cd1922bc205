/*-------------------------------------------------------------------------
 *
 * op_up_sampling.c
 *	  UpSampling2D: a larger map, by the nearest pixel or bilinear.
 *
 * Bilinear as Keras does it: the centre of output pixel o lies at
 * (o + 1/2) / size - 1/2 of the source, clamped to its edges.
 *
 *-------------------------------------------------------------------------
 */
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <math.h>
#include <string.h>

enum
{
	P_SIZE,
	P_INTERPOLATION
};

enum
{
	NEAREST,
	BILINEAR
};

static const char *const interpolations[] = {"nearest", "bilinear", NULL};

static const NnParam params[] = {
	{"size", NN_PARAM_INT_PAIR, 0, 1, 255, {{2, 2}}, NULL},
	{"interpolation", NN_PARAM_ENUM, 0, 0, 0, {{NEAREST}}, interpolations},
	{0},
};

static const NnRefused refused[] = {
	{"data_format", "\"channels_last\"|null"},
	{0},
};

static NnStatus
up_sampling_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const double *size = node->spec.params[P_SIZE].v;
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	if (status == NN_OK)
		status = nn_set_shape(node, 3, inputs[0].h * (int) size[0], inputs[0].w * (int) size[1],
							  (size_t) inputs[0].c, error);
	return status;
}

/* Two rows (or columns) of the source and the weight of the second. */
typedef struct Between
{
	int low, high;
	float weight;
} Between;

static Between
between(int o, int size, int limit, int interpolation)
{
	Between b = {o / size, o / size, 0.0f};
	float at, low;

	if (interpolation == NEAREST)
		return b;
	at = ((float) o + 0.5f) / (float) size - 0.5f;
	low = floorf(at);
	b.weight = at - low;
	b.low = low < 0.0f ? 0 : (int) low;
	b.high = (int) low + 1 < limit ? (int) low + 1 : limit - 1;
	return b;
}

/*
 * Walks over the output pixels with the four pixels of the source that each
 * consists of, and their weights: dst is made of src, or, backward, ddst is
 * added to dsrc.
 */
static void
walk(const NnCall *call, int backward)
{
	const NnNode *node = call->node;
	const double *size = node->spec.params[P_SIZE].v;
	int interpolation = (int) node->spec.params[P_INTERPOLATION].v[0];
	size_t c = (size_t) node->in.c;
	size_t work = 0;
	size_t at = 0;
	size_t k;
	int oy, ox, corner;

	for (oy = 0; oy < node->shape.h; oy++)
		for (ox = 0; ox < node->shape.w && !nn_stop_due(&work, 4 * c); ox++, at += c)
		{
			Between y = between(oy, (int) size[0], node->in.h, interpolation);
			Between x = between(ox, (int) size[1], node->in.w, interpolation);

			for (corner = 0; corner < (interpolation == NEAREST ? 1 : 4); corner++)
			{
				size_t row = (size_t) (corner & 2 ? y.high : y.low);
				size_t column = (size_t) (corner & 1 ? x.high : x.low);
				size_t from = (row * (size_t) node->in.w + column) * c;
				float weight =
					(corner & 2 ? y.weight : 1.0f - y.weight) * (corner & 1 ? x.weight : 1.0f - x.weight);

				if (backward)
					for (k = 0; k < c; k++)
						call->dsrc[0][from + k] += weight * call->ddst[at + k];
				else if (corner == 0)
					for (k = 0; k < c; k++)
						call->dst[at + k] = weight * call->src[0][from + k];
				else
					for (k = 0; k < c; k++)
						call->dst[at + k] += weight * call->src[0][from + k];
			}
		}
}

static void
up_sampling_forward(const NnCall *call)
{
	walk(call, 0);
}

static void
up_sampling_backward(const NnCall *call)
{
	if (call->dsrc[0] == NULL)
		return;
	nn_stop_zero(call->dsrc[0], nn_shape_floats(&call->node->in) * sizeof(float));
	walk(call, 1);
}

const NnOp nn_op_up_sampling = {
	.info = {"UpSampling2D", 1, 1, params, nn_no_ignored, refused,
			 "A larger map, by the nearest pixel or bilinear."},
	.flags = NN_MOVES_VALUES,
	.shape = up_sampling_shape,
	.forward = up_sampling_forward,
	.backward = up_sampling_backward,
};
