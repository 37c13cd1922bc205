/*-------------------------------------------------------------------------
 *
 * op_merge.c
 *	  Add, Subtract, Multiply, Average, Maximum and Minimum by element, and
 *	  Concatenate over channels.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../error.h"
#include "../graph.h"
#include "../kernels/maps.h"
#include "../nn.h"
#include "../op.h"
#include "../stop.h"
#include "op_common.h"
#include "ops.h"

#include <string.h>

static const NnParam concatenate_params[] = {
	{"axis", NN_PARAM_INT, 0, -1, 3, {{-1}}, NULL},
	{0},
};

static NnStatus
mismatch(const NnNode *node, const NnShape *a, const NnShape *b, NnError *error)
{
	return nn_fail(error, NN_BAD_ARGUMENT, -1, "",
				   "layer \"%s\" (%s) cannot join inputs of %d x %d x %d and %d x %d x %d", node->spec.name,
				   nn_node_op(node)->info.class_name, a->h, a->w, a->c, b->h, b->w, b->c);
}

/* Tells whether a size fits into the common one, as it is or spread from 1; sets the bit where it is spread. */
static int
fits(unsigned char *spread, int size, int common, unsigned char bit)
{
	if (size == common)
		return 1;
	*spread |= bit;
	return size == 1;
}

static int
larger(int a, int b)
{
	return a > b ? a : b;
}

/*
 * Fills the common shape of the inputs.  Height, width and channels may be 1
 * where the others have more; a row of channels counts as one pixel.
 */
static NnStatus
merge_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	NnShape common = inputs[0];
	int i;

	for (i = 1; i < node->spec.n_inputs; i++)
	{
		common.rank = larger(common.rank, inputs[i].rank);
		common.h = larger(common.h, inputs[i].h);
		common.w = larger(common.w, inputs[i].w);
		common.c = larger(common.c, inputs[i].c);
	}
	for (i = 0; i < node->spec.n_inputs; i++)
	{
		unsigned char *spread = &node->spread[i];

		*spread = 0;
		if (!fits(spread, inputs[i].h, common.h, NN_SPREAD_H) ||
			!fits(spread, inputs[i].w, common.w, NN_SPREAD_W) ||
			!fits(spread, inputs[i].c, common.c, NN_SPREAD_C))
			return mismatch(node, &inputs[i > 0 ? 0 : 1], &inputs[i], error);
	}
	return nn_set_shape(node, common.rank, common.h, common.w, (size_t) common.c, error);
}

/* ------------------------------------------------------------- by element */

typedef enum Merge
{
	SUM,
	DIFFERENCE,
	PRODUCT,
	MAXIMUM,
	MINIMUM
} Merge;

/* A run of values of the output, and where those of each input begin; step 0: the input has one for all. */
typedef struct Run
{
	size_t at, n;
	size_t from[NN_MAX_INPUTS], step[NN_MAX_INPUTS];
} Run;

static int
is_spread(const NnNode *node)
{
	int j, any = 0;

	for (j = 0; j < node->spec.n_inputs; j++)
		any |= node->spread[j];
	return any;
}

/* Fills the run that begins at value at: what is left, but not too much; the pixel where an input is spread. */
static void
set_run(Run *run, const NnNode *node, int spread, size_t at)
{
	size_t n = nn_shape_floats(&node->shape);
	size_t c = (size_t) node->shape.c;
	size_t w = (size_t) node->shape.w;
	size_t x = at / c % w;
	size_t y = at / c / w;
	size_t k = at % c;
	int j;

	run->at = at;
	run->n = spread ? c - k : n - at;
	if (run->n > NN_STOP_WORK)
		run->n = NN_STOP_WORK;
	for (j = 0; j < node->spec.n_inputs; j++)
	{
		unsigned char bits = node->spread[j];
		size_t width = bits & NN_SPREAD_W ? 1 : w;
		size_t pixel = (bits & NN_SPREAD_H ? 0 : y) * width + (bits & NN_SPREAD_W ? 0 : x);

		run->step[j] = bits & NN_SPREAD_C ? 0 : 1;
		run->from[j] = !spread ? at : bits & NN_SPREAD_C ? pixel : pixel * c + k;
	}
}

/* Does something with each value x of a run of an input, whose one value may serve them all. */
#define EACH(change)                     \
	do                                   \
	{                                    \
		if (run->step[j] == 1)           \
			for (i = 0; i < run->n; i++) \
			{                            \
				float x = src[i];        \
				change;                  \
			}                            \
		else                             \
			for (i = 0; i < run->n; i++) \
			{                            \
				float x = src[0];        \
				change;                  \
			}                            \
	} while (0)

/* Computes a run of the output: the first input, then one after the other. */
static void
run_forward(float *dst, const NnCall *call, const Run *run, Merge kind)
{
	const float *src = call->src[0] + run->from[0];
	size_t i;
	int j = 0;

	EACH(dst[i] = x);
	for (j = 1; j < call->step->n_src; j++)
	{
		src = call->src[j] + run->from[j];
		switch (kind)
		{
			case SUM:
				EACH(dst[i] += x);
				break;
			case DIFFERENCE:
				EACH(dst[i] -= x);
				break;
			case PRODUCT:
				EACH(dst[i] *= x);
				break;
			case MAXIMUM:
				EACH(dst[i] = x > dst[i] ? x : dst[i]);
				break;
			case MINIMUM:
				EACH(dst[i] = x < dst[i] ? x : dst[i]);
				break;
		}
	}
}

/* Adds inputs of the same shape and applies the activation in one pass; returns 0 where there is no such form. */
static int
sum_forward(const NnCall *call)
{
	const NnMapKernels *kernels = nn_map_kernels(call->path);
	size_t n = nn_shape_floats(&call->node->shape);
	int last = call->step->n_src - 1;
	NnClip none = {0, 0};
	NnClip clip;
	size_t count, i;
	int j;

	if (!nn_step_clip(&clip, call->step))
		return 0;
	for (i = 0; i < n && !nn_stopped(); i += count)
	{
		count = n - i < NN_STOP_WORK ? n - i : NN_STOP_WORK;
		for (j = 1; j <= last; j++)
			kernels->sum(call->dst + i, j == 1 ? call->src[0] + i : call->dst + i, call->src[j] + i, count,
						 j == last ? clip : none);
	}
	return 1;
}

static void
merge_forward(const NnCall *call, Merge kind, float factor)
{
	const NnShape *shape = &call->node->shape;
	size_t n = nn_shape_floats(shape);
	int spread = is_spread(call->node);
	size_t work = 0;
	size_t i;
	Run run;

	if (kind == SUM && factor == 1.0f && !spread && sum_forward(call))
		return;
	for (run.at = run.n = 0; run.at < n && !nn_stop_due(&work, run.n); run.at += run.n)
	{
		set_run(&run, call->node, spread, run.at);
		run_forward(call->dst + run.at, call, &run, kind);
		if (factor != 1.0f)
			for (i = 0; i < run.n; i++)
				call->dst[run.at + i] *= factor;
	}
	nn_activation_forward(call->dst, n / (size_t) shape->c, (size_t) shape->c, call->step->activation,
						  call->step->slope);
}

/* Returns the input that gave value i of a run: the first of the largest, or of the smallest. */
static int
winner(const NnCall *call, const Run *run, Merge kind, size_t i)
{
	float best = call->src[0][run->from[0] + i * run->step[0]];
	int won = 0;
	int j;

	for (j = 1; j < call->step->n_src; j++)
	{
		float x = call->src[j][run->from[j] + i * run->step[j]];

		if (kind == MAXIMUM ? x > best : x < best)
		{
			best = x;
			won = j;
		}
	}
	return won;
}

/* Returns the derivative of value i of a run by input j. */
static float
derivative(const NnCall *call, const Run *run, Merge kind, size_t i, int j)
{
	float product = 1.0f;
	int k;

	switch (kind)
	{
		case SUM:
			return 1.0f;
		case DIFFERENCE:
			return j == 0 ? 1.0f : -1.0f;
		case PRODUCT:
			for (k = 0; k < call->step->n_src; k++)
				if (k != j)
					product *= call->src[k][run->from[k] + i * run->step[k]];
			return product;
		default:
			return winner(call, run, kind, i) == j ? 1.0f : 0.0f;
	}
}

/*
 * Hands the gradient of a sum of two maps of one shape to both in one pass;
 * returns 0 where there is no such form.
 */
static int
sum_backward(const NnCall *call)
{
	float *first = call->dsrc[0] != NULL ? call->dsrc[0] : call->dsrc[1];
	float *second = call->dsrc[0] != NULL ? call->dsrc[1] : NULL;
	size_t n = nn_shape_floats(&call->node->shape);
	size_t count, i;
	NnClip clip;

	if (call->step->n_src != 2 || first == NULL || !nn_step_clip(&clip, call->step))
		return 0;
	for (i = 0; i < n && !nn_stopped(); i += count)
	{
		count = n - i < NN_STOP_WORK ? n - i : NN_STOP_WORK;
		nn_map_kernels(call->path)
			->gate(first + i, second != NULL ? second + i : NULL, call->ddst + i, call->dst + i, count, clip);
	}
	return 1;
}

/* Computes the gradients of the inputs; that of one that is spread is the sum over what it served. */
static void
merge_backward(const NnCall *call, Merge kind, float factor)
{
	const NnShape *shape = &call->node->shape;
	size_t n = nn_shape_floats(shape);
	int spread = is_spread(call->node);
	size_t work = 0;
	size_t i;
	Run run;
	int j;

	if (kind == SUM && factor == 1.0f && !spread && sum_backward(call))
		return;
	nn_step_activation_backward(call->ddst, call->dst, shape, call->step, call->path);
	for (j = 0; j < call->step->n_src; j++)
	{
		float *dsrc = call->dsrc[j];

		if (dsrc == NULL)
			continue;
		if (kind == SUM && factor == 1.0f && call->node->spread[j] == 0)
		{
			nn_stop_copy(dsrc, call->ddst, n);
			continue;
		}
		nn_stop_zero(dsrc, call->src_floats[j] * sizeof(float));
		for (run.at = run.n = 0; run.at < n && !nn_stop_due(&work, 4 * run.n); run.at += run.n)
		{
			set_run(&run, call->node, spread, run.at);
			for (i = 0; i < run.n; i++)
				dsrc[run.from[j] + i * run.step[j]] +=
					call->ddst[run.at + i] * factor * derivative(call, &run, kind, i, j);
		}
	}
}

static void
add_forward(const NnCall *call)
{
	merge_forward(call, SUM, 1.0f);
}

static void
add_backward(const NnCall *call)
{
	merge_backward(call, SUM, 1.0f);
}

static void
subtract_forward(const NnCall *call)
{
	merge_forward(call, DIFFERENCE, 1.0f);
}

static void
subtract_backward(const NnCall *call)
{
	merge_backward(call, DIFFERENCE, 1.0f);
}

static void
multiply_forward(const NnCall *call)
{
	merge_forward(call, PRODUCT, 1.0f);
}

static void
multiply_backward(const NnCall *call)
{
	merge_backward(call, PRODUCT, 1.0f);
}

static void
average_forward(const NnCall *call)
{
	merge_forward(call, SUM, 1.0f / (float) call->step->n_src);
}

static void
average_backward(const NnCall *call)
{
	merge_backward(call, SUM, 1.0f / (float) call->step->n_src);
}

static void
maximum_forward(const NnCall *call)
{
	merge_forward(call, MAXIMUM, 1.0f);
}

static void
maximum_backward(const NnCall *call)
{
	merge_backward(call, MAXIMUM, 1.0f);
}

static void
minimum_forward(const NnCall *call)
{
	merge_forward(call, MINIMUM, 1.0f);
}

static void
minimum_backward(const NnCall *call)
{
	merge_backward(call, MINIMUM, 1.0f);
}

/* ------------------------------------------------------------ Concatenate */

static NnStatus
concatenate_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	int axis = (int) node->spec.params[0].v[0];
	size_t c = 0;
	int i;

	node->in = inputs[0];
	if (axis != -1 && axis != inputs[0].rank)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Use axis -1.",
					   "layer \"%s\" (Concatenate) has axis %d, but only the channels can be joined",
					   node->spec.name, axis);
	for (i = 0; i < node->spec.n_inputs; i++)
	{
		if (inputs[i].rank != inputs[0].rank || inputs[i].h != inputs[0].h || inputs[i].w != inputs[0].w)
			return mismatch(node, &inputs[0], &inputs[i], error);
		c += (size_t) inputs[i].c;
	}
	return nn_set_shape(node, inputs[0].rank, inputs[0].h, inputs[0].w, c, error);
}

/* Returns the channels of input j; the sizes are kept nowhere else than in the tensors. */
static size_t
channels_of(const NnCall *call, int j)
{
	return call->src_floats[j] / nn_shape_pixels(&call->node->shape);
}

static void
concatenate_forward(const NnCall *call)
{
	size_t c = (size_t) call->node->shape.c;
	size_t pixels = nn_shape_floats(&call->node->shape) / c;
	size_t start = 0;
	size_t work = 0;
	size_t i;
	int j;

	for (j = 0; j < call->step->n_src; j++)
	{
		size_t width = channels_of(call, j);

		for (i = 0; i < pixels && !nn_stop_due(&work, width); i++)
			memcpy(call->dst + i * c + start, call->src[j] + i * width, width * sizeof(float));
		start += width;
	}
}

static void
concatenate_backward(const NnCall *call)
{
	size_t c = (size_t) call->node->shape.c;
	size_t pixels = nn_shape_floats(&call->node->shape) / c;
	size_t start = 0;
	size_t work = 0;
	size_t i;
	int j;

	for (j = 0; j < call->step->n_src; j++)
	{
		size_t width = channels_of(call, j);

		if (call->dsrc[j] != NULL)
			for (i = 0; i < pixels && !nn_stop_due(&work, width); i++)
				memcpy(call->dsrc[j] + i * width, call->ddst + i * c + start, width * sizeof(float));
		start += width;
	}
}

const NnOp nn_op_add = {
	.info = {"Add", 2, NN_MAX_INPUTS, nn_no_params, nn_no_ignored, nn_no_refused, "Sum."},
	.flags = NN_FUSE_ACTIVATION,
	.shape = merge_shape,
	.forward = add_forward,
	.backward = add_backward,
};

const NnOp nn_op_subtract = {
	.info = {"Subtract", 2, 2, nn_no_params, nn_no_ignored, nn_no_refused, "Difference."},
	.flags = NN_FUSE_ACTIVATION,
	.shape = merge_shape,
	.forward = subtract_forward,
	.backward = subtract_backward,
};

const NnOp nn_op_multiply = {
	.info = {"Multiply", 2, NN_MAX_INPUTS, nn_no_params, nn_no_ignored, nn_no_refused, "Product."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = merge_shape,
	.forward = multiply_forward,
	.backward = multiply_backward,
};

const NnOp nn_op_average = {
	.info = {"Average", 2, NN_MAX_INPUTS, nn_no_params, nn_no_ignored, nn_no_refused, "Mean."},
	.flags = NN_FUSE_ACTIVATION,
	.shape = merge_shape,
	.forward = average_forward,
	.backward = average_backward,
};

const NnOp nn_op_maximum = {
	.info = {"Maximum", 2, NN_MAX_INPUTS, nn_no_params, nn_no_ignored, nn_no_refused,
			 "The largest input, by element."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = merge_shape,
	.forward = maximum_forward,
	.backward = maximum_backward,
};

const NnOp nn_op_minimum = {
	.info = {"Minimum", 2, NN_MAX_INPUTS, nn_no_params, nn_no_ignored, nn_no_refused,
			 "The smallest input, by element."},
	.flags = NN_NEEDS_SRC | NN_FUSE_ACTIVATION,
	.shape = merge_shape,
	.forward = minimum_forward,
	.backward = minimum_backward,
};

const NnOp nn_op_concatenate = {
	.info = {"Concatenate", 2, NN_MAX_INPUTS, concatenate_params, nn_no_ignored, nn_no_refused,
			 "Joins the channels of its inputs."},
	.shape = concatenate_shape,
	.forward = concatenate_forward,
	.backward = concatenate_backward,
};
