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
	P_RATE,
	P_NOISE_SHAPE
};

/* What is kept or dropped as one. */
typedef enum Noise
{
	NOISE_ELEMENT,
	NOISE_CHANNEL,
	NOISE_SAMPLE
} Noise;

/* Short for Keras's null, [null, 1, 1, channels] and [null, 1, 1, 1]. */
static const char *const noise_names[] = {"element", "channel", "sample", NULL};

static const NnParam params[] = {
	{"rate", NN_PARAM_FLOAT, 1, 0, 0.999999, {{0}}, NULL},
	{"noise_shape", NN_PARAM_ENUM, NN_LATER, 0, 0, {{NOISE_ELEMENT}}, noise_names},
	{0},
};

static const NnParam spatial_params[] = {
	{"rate", NN_PARAM_FLOAT, 1, 0, 0.999999, {{0}}, NULL},
	{0},
};

static const char *const ignored[] = {"seed", NULL};

static Noise
noise_of(const NnNode *node)
{
	if (nn_node_op(node) == &nn_op_spatial_dropout)
		return NOISE_CHANNEL;
	return (Noise) (int) node->spec.params[P_NOISE_SHAPE].v[0];
}

/* Computes dst = src * mask / (1 - rate) with one mask for all rows of c values; period 0: one for all values. */
static void
apply_by_row(float *dst, const float *src, const NnCall *call, size_t period)
{
	size_t c = period > 0 ? period : 1;
	size_t n = nn_shape_floats(&call->node->shape);
	float rate = (float) call->node->spec.params[P_RATE].v[0];
	float scale = 1.0f / (1.0f - rate);
	uint64_t key = call->seed ^ ((uint64_t) (call->step->node + 1) << 40);
	size_t work = 0;
	size_t i, k, at;

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
	if (noise_of(call->node) != NOISE_ELEMENT)
	{
		apply_by_row(dst, src, call,
					 noise_of(call->node) == NOISE_CHANNEL ? (size_t) call->node->shape.c : 0);
		return;
	}
	for (i = 0; i < n && !nn_stop_due(&work, 16); i += 4)
	{
		Philox x = philox(key, (uint32_t) (i / 4), (uint32_t) call->sample, call->epoch, NN_RANDOM_DROPOUT);

		for (k = 0; k < 4 && i + k < n; k++)
			dst[i + k] = philox_float(x.v[k]) >= rate ? src[i + k] * scale : 0.0f;
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
	.info = {"Dropout", 1, 1, params, ignored, nn_no_refused, "Sets random elements to zero in training."},
	.flags = NN_ALIAS_INFERENCE | NN_MOVES_VALUES,
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

const NnOp nn_op_spatial_dropout = {
	.info = {"SpatialDropout2D", 1, 1, spatial_params, ignored, nn_no_refused,
			 "Sets random channels to zero in training."},
	.flags = NN_ALIAS_INFERENCE | NN_MOVES_VALUES,
	.shape = spatial_shape,
	.forward = dropout_forward,
	.backward = dropout_backward,
};
