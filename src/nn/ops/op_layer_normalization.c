/*-------------------------------------------------------------------------
 *
 * op_layer_normalization.c
 *	  LayerNormalization over the channels, and GroupNormalization.
 *
 * Both normalise a sample by itself: LayerNormalization the channels of each
 * pixel, GroupNormalization each group of channels over all pixels.  A part
 * is what shares mean and biased variance (sums in double): len values in a
 * row, rows times.  With x = (src - mean) / sqrt(variance + epsilon),
 * dst = x gamma + beta by channel, in training as in prediction.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../error.h"
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../plan.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <math.h>

enum
{
	P_AXIS,
	P_EPSILON,
	P_CENTER,
	P_SCALE,
	P_BETA_INITIALIZER,
	P_GAMMA_INITIALIZER,
	P_TRAINABLE,
	P_GROUPS
};

#define COMMON_PARAMS                                                                                       \
	{"axis", NN_PARAM_INT, 0, -1, 3, {{-1}}, NULL}, {"epsilon", NN_PARAM_FLOAT, 0, 0, 1e6, {{1e-3}}, NULL}, \
		NN_PARAM_ROW_BOOL("center", 1), NN_PARAM_ROW_BOOL("scale", 1),                                      \
		NN_PARAM_ROW_ZEROS("beta_initializer"), NN_PARAM_ROW_ONES("gamma_initializer"),                     \
		NN_PARAM_ROW_TRAINABLE

static const NnParam layer_params[] = {
	COMMON_PARAMS,
	NN_PARAM_ROW_REGULARIZER("beta"),
	NN_PARAM_ROW_CONSTRAINT("beta"),
	NN_PARAM_ROW_REGULARIZER("gamma"),
	NN_PARAM_ROW_CONSTRAINT("gamma"),
	{0},
};

/* -1: as many groups as channels */
static const NnParam group_params[] = {
	COMMON_PARAMS,
	{"groups", NN_PARAM_INT, 0, -1, NN_MAX_CHANNELS, {{32}}, NULL},
	NN_PARAM_ROW_REGULARIZER("beta"),
	NN_PARAM_ROW_CONSTRAINT("beta"),
	NN_PARAM_ROW_REGULARIZER("gamma"),
	NN_PARAM_ROW_CONSTRAINT("gamma"),
	{0},
};

static NnStatus
norm_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	const NnValue *p = node->spec.params;

	return nn_norm_shape(node, &inputs[0], (int) p[P_AXIS].v[0],
						 p[P_SCALE].v[0] != 0 ? &p[P_GAMMA_INITIALIZER] : NULL,
						 p[P_CENTER].v[0] != 0 ? &p[P_BETA_INITIALIZER] : NULL, error);
}

static NnStatus
layer_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	node->groups = 0;
	return norm_shape(node, inputs, error);
}

static NnStatus
group_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	int groups = (int) node->spec.params[P_GROUPS].v[0];

	node->groups = groups == -1 ? inputs[0].c : groups;
	if (node->groups < 1 || inputs[0].c % node->groups != 0)
		return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
					   "layer \"%s\" (GroupNormalization) has %d groups, which divide %d channels unevenly",
					   node->spec.name, groups, inputs[0].c);
	return norm_shape(node, inputs, error);
}

/* The values that share their statistics. */
typedef struct Part
{
	size_t start, rows, len, stride;
	size_t channel; /* of the first value of a row */
} Part;

static size_t
part_count(const NnNode *node)
{
	return node->groups > 0 ? (size_t) node->groups : nn_shape_pixels(&node->shape);
}

static Part
part_at(const NnNode *node, size_t i)
{
	size_t c = (size_t) node->shape.c;
	Part part = {i * c, 1, c, c, 0};

	if (node->groups > 0)
	{
		part.len = c / (size_t) node->groups;
		part.start = part.channel = i * part.len;
		part.rows = nn_shape_pixels(&node->shape);
	}
	return part;
}

/* Computes mean and 1 / sqrt(variance + epsilon) of a part. */
static void
statistics(double *mean, double *factor, const float *src, const Part *part, const NnNode *node)
{
	double n = (double) part->rows * (double) part->len;
	double sum = 0.0;
	double squares = 0.0;
	size_t work = 0;
	size_t r, k;

	for (r = 0; r < part->rows && !nn_stop_due(&work, part->len); r++)
		for (k = 0; k < part->len; k++)
			sum += src[part->start + r * part->stride + k];
	*mean = sum / n;
	for (r = 0; r < part->rows && !nn_stop_due(&work, part->len); r++)
		for (k = 0; k < part->len; k++)
		{
			double d = src[part->start + r * part->stride + k] - *mean;

			squares += d * d;
		}
	*factor = 1.0 / sqrt(squares / n + node->spec.params[P_EPSILON].v[0]);
}

/* Returns gamma among the node's weights or in a gradient of them, NULL where there is none. */
static const float *
gamma_of(const NnNode *node, const float *weights)
{
	return node->spec.params[P_SCALE].v[0] != 0 ? weights : NULL;
}

static const float *
beta_of(const NnNode *node, const float *weights)
{
	size_t at = node->spec.params[P_SCALE].v[0] != 0 ? (size_t) node->shape.c : 0;

	return node->spec.params[P_CENTER].v[0] != 0 ? weights + at : NULL;
}

static void
norm_forward(const NnCall *call)
{
	const NnNode *node = call->node;
	const float *gamma = gamma_of(node, call->weights);
	const float *beta = beta_of(node, call->weights);
	size_t work = 0;
	size_t i, r, k;

	for (i = 0; i < part_count(node); i++)
	{
		Part part = part_at(node, i);
		double mean, factor;

		statistics(&mean, &factor, call->src[0], &part, node);
		for (r = 0; r < part.rows; r++)
		{
			size_t at = part.start + r * part.stride;

			if (nn_stop_due(&work, 4 * part.len))
				return;
			for (k = 0; k < part.len; k++)
			{
				float x = (float) ((call->src[0][at + k] - mean) * factor);

				if (gamma != NULL)
					x *= gamma[part.channel + k];
				call->dst[at + k] = beta != NULL ? x + beta[part.channel + k] : x;
			}
		}
	}
	nn_activation_forward(call->dst, nn_shape_pixels(&node->shape), (size_t) node->shape.c,
						  call->step->activation, call->step->slope);
}

/*
 * Adds the gradients of gamma and beta, and computes that of the source: with
 * g = ddst gamma, dsrc = factor (g - mean(g) - x mean(g x)) over the part.
 */
static void
part_backward(const NnCall *call, const Part *part, size_t *work)
{
	const NnNode *node = call->node;
	const float *gamma = gamma_of(node, call->weights);
	float *dgamma = call->dweights != NULL ? (float *) gamma_of(node, call->dweights) : NULL;
	float *dbeta = call->dweights != NULL ? (float *) beta_of(node, call->dweights) : NULL;
	double n = (double) part->rows * (double) part->len;
	double mean, factor;
	double sum = 0.0;
	double dot = 0.0;
	size_t r, k;

	statistics(&mean, &factor, call->src[0], part, node);
	for (r = 0; r < part->rows && !nn_stop_due(work, 4 * part->len); r++)
	{
		size_t at = part->start + r * part->stride;

		for (k = 0; k < part->len; k++)
		{
			double x = (call->src[0][at + k] - mean) * factor;
			double g = call->ddst[at + k];

			if (dgamma != NULL)
				dgamma[part->channel + k] += (float) (g * x);
			if (dbeta != NULL)
				dbeta[part->channel + k] += (float) g;
			if (gamma != NULL)
				g *= gamma[part->channel + k];
			sum += g;
			dot += g * x;
		}
	}
	if (call->dsrc[0] == NULL)
		return;
	for (r = 0; r < part->rows && !nn_stop_due(work, 4 * part->len); r++)
	{
		size_t at = part->start + r * part->stride;

		for (k = 0; k < part->len; k++)
		{
			double x = (call->src[0][at + k] - mean) * factor;
			double g = call->ddst[at + k];

			if (gamma != NULL)
				g *= gamma[part->channel + k];
			call->dsrc[0][at + k] = (float) (factor * (g - sum / n - x * dot / n));
		}
	}
}

static void
norm_backward(const NnCall *call)
{
	const NnNode *node = call->node;
	size_t work = 0;
	size_t i;

	nn_activation_backward(call->ddst, call->dst, nn_shape_pixels(&node->shape), (size_t) node->shape.c,
						   call->step->activation, call->step->slope);
	for (i = 0; i < part_count(node) && !nn_stop_due(&work, 16); i++)
	{
		Part part = part_at(node, i);

		part_backward(call, &part, &work);
	}
}

const NnOp nn_op_layer_normalization = {
	.info = {"LayerNormalization", 1, 1, layer_params, nn_no_ignored, nn_no_refused,
			 "Normalises the channels of each pixel."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = layer_shape,
	.forward = norm_forward,
	.backward = norm_backward,
};

const NnOp nn_op_group_normalization = {
	.info = {"GroupNormalization", 1, 1, group_params, nn_no_ignored, nn_no_refused,
			 "Normalises each group of channels of a sample."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = group_shape,
	.forward = norm_forward,
	.backward = norm_backward,
};
