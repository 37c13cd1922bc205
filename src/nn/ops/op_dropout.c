/*-------------------------------------------------------------------------
 *
 * op_dropout.c
 *	  Dropout, inverted: in training an element is kept with probability
 *	  1 - rate and divided by it; otherwise nothing happens.  SpatialDropout2D
 *	  keeps or drops whole channels.
 *
 * The mask is a function of (seed, node, epoch, position of the sample in the
 * epoch, element), so the backward pass draws it again instead of keeping it,
 * and a resumed run draws the same.
 *
 *-------------------------------------------------------------------------
 */
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../random.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include "random/philox.h"

enum
{
	P_RATE
};

static const NnParam params[] = {
	{"rate", NN_PARAM_FLOAT, 1, 0, 0.999999, {{0}}, NULL},
	{0},
};

static const char *const ignored[] = {"seed", NULL};

static const NnRefused refused[] = {
	{"noise_shape", "null"},
	{0},
};

/* Computes dst = src * mask / (1 - rate). */
static void
apply(float *dst, const float *src, const NnCall *call)
{
	size_t n = nn_shape_floats(&call->node->shape);
	float rate = (float) call->node->spec.params[P_RATE].v[0];
	float scale = 1.0f / (1.0f - rate);
	uint64_t key = call->seed ^ ((uint64_t) (call->step->node + 1) << 40);
	size_t work = 0;
	size_t i, k;

	if (call->mode != NN_TRAINING)
	{
		nn_stop_copy(dst, src, n);
		return;
	}
	for (i = 0; i < n && !nn_stop_due(&work, 16); i += 4)
	{
		Philox x = philox(key, (uint32_t) (i / 4), (uint32_t) call->sample, call->epoch, NN_RANDOM_DROPOUT);

		for (k = 0; k < 4 && i + k < n; k++)
			dst[i + k] = philox_float(x.v[k]) >= rate ? src[i + k] * scale : 0.0f;
	}
}

/* Applies the mask of a row of channels to every pixel. */
static void
apply_by_channel(float *dst, const float *src, const NnCall *call)
{
	size_t c = (size_t) call->node->shape.c;
	size_t n = nn_shape_floats(&call->node->shape);
	float rate = (float) call->node->spec.params[P_RATE].v[0];
	float scale = 1.0f / (1.0f - rate);
	uint64_t key = call->seed ^ ((uint64_t) (call->step->node + 1) << 40);
	size_t work = 0;
	size_t i, k, at;

	if (call->mode != NN_TRAINING)
	{
		nn_stop_copy(dst, src, n);
		return;
	}
	for (i = 0; i < c; i += 4)
	{
		Philox x = philox(key, (uint32_t) (i / 4), (uint32_t) call->sample, call->epoch, NN_RANDOM_DROPOUT);
		size_t count = c - i < 4 ? c - i : 4;
		float factor[4];

		for (k = 0; k < 4; k++)
			factor[k] = philox_float(x.v[k]) >= rate ? scale : 0.0f;
		for (at = i; at < n && !nn_stop_due(&work, 16); at += c)
			for (k = 0; k < count; k++)
				dst[at + k] = src[at + k] * factor[k];
		if (nn_stop_due(&work, 16))
			return;
	}
}

static void
dropout_forward(const NnCall *call)
{
	apply(call->dst, call->src[0], call);
}

static void
dropout_backward(const NnCall *call)
{
	if (call->dsrc[0] != NULL)
		apply(call->dsrc[0], call->ddst, call);
}

const NnOp nn_op_dropout = {
	.info = {"Dropout", 1, 1, params, ignored, refused, "Sets random elements to zero in training."},
	.flags = NN_ALIAS_INFERENCE,
	.shape = nn_same_shape,
	.forward = dropout_forward,
	.backward = dropout_backward,
};

static NnStatus
spatial_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	NnStatus status = nn_need_rank(node, &inputs[0], 3, error);

	return status == NN_OK ? nn_same_shape(node, inputs, error) : status;
}

static void
spatial_forward(const NnCall *call)
{
	apply_by_channel(call->dst, call->src[0], call);
}

static void
spatial_backward(const NnCall *call)
{
	if (call->dsrc[0] != NULL)
		apply_by_channel(call->dsrc[0], call->ddst, call);
}

const NnOp nn_op_spatial_dropout = {
	.info = {"SpatialDropout2D", 1, 1, params, ignored, nn_no_refused,
			 "Sets random channels to zero in training."},
	.flags = NN_ALIAS_INFERENCE,
	.shape = spatial_shape,
	.forward = spatial_forward,
	.backward = spatial_backward,
};
