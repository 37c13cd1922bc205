/*-------------------------------------------------------------------------
 *
 * op_common.c
 *	  What several operations share: empty tables, shapes, windows,
 *	  variables.
 *
 *-------------------------------------------------------------------------
 */
#include "../activations.h"
#include "../error.h"
#include "../graph.h"
#include "../nn.h"
#include "../op.h"
#include "../sizes.h"
#include "../stop.h"
#include "op_common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const nn_padding_names[] = {"valid", "same", NULL};

const NnParam nn_no_params[] = {{0}};
const char *const nn_no_ignored[] = {NULL};
const NnRefused nn_no_refused[] = {{0}};

NnStatus
nn_same_shape(NnNode *node, const NnShape *inputs, NnError *error)
{
	(void) error;
	node->shape = inputs[0];
	return NN_OK;
}

NnStatus
nn_need_rank(const NnNode *node, const NnShape *shape, int rank, NnError *error)
{
	if (shape->rank == rank)
		return NN_OK;
	return nn_fail(error, NN_BAD_ARGUMENT, -1,
				   rank == 1 ? "Put a Flatten or GlobalAveragePooling2D layer before it."
							 : "It cannot follow a Flatten, Dense or global pooling layer.",
				   "layer \"%s\" (%s) needs an input of %s, but gets one of %s", node->spec.name,
				   nn_node_op(node)->info.class_name,
				   rank == 1 ? "one dimension" : "height, width and channels",
				   rank == 1 ? "height, width and channels" : "one dimension");
}

/* Returns the output's size along one axis, and the zeros before the input, as TensorFlow pads. */
static int
window_side(int in, int kernel, int stride, int same, int *before)
{
	int out, pad;

	*before = 0;
	if (!same)
		return in < kernel ? 0 : (in - kernel) / stride + 1;
	out = (in + stride - 1) / stride;
	pad = (out - 1) * stride + kernel - in;
	if (pad > 0)
		*before = pad / 2;
	return out;
}

NnStatus
nn_window_init(NnNode *node, int kh, int kw, int sh, int sw, int dh, int dw, int same, int *oh, int *ow,
			   NnError *error)
{
	NnWindow *window = &node->window;

	window->kh = kh;
	window->kw = kw;
	window->sh = sh;
	window->sw = sw;
	window->dh = dh;
	window->dw = dw;
	kh = (kh - 1) * dh + 1;
	kw = (kw - 1) * dw + 1;
	*oh = window_side(node->in.h, kh, sh, same, &window->top);
	*ow = window_side(node->in.w, kw, sw, same, &window->left);
	if (*oh < 1 || *ow < 1)
		return nn_fail(error, NN_BAD_ARGUMENT, -1,
					   "Use a larger image, fewer pooling layers, or padding \"same\".",
					   "layer \"%s\" has a window of %d x %d, but its input is only %d x %d", node->spec.name,
					   kh, kw, node->in.h, node->in.w);
	return NN_OK;
}

/* Tells whether the weights of a node are trained: its parameter "trainable", where it has one. */
static int
is_trainable(NnNode *node)
{
	const NnValue *value = nn_node_param(&node->spec, "trainable");

	return value == NULL || value->v[0] != 0;
}

NnNodeVariable *
nn_add_variable(NnNode *node, const char *name, int trainable, const NnValue *initializer, int rank, int d0,
				int d1, int d2, int d3)
{
	NnNodeVariable *variable = &node->vars[node->n_vars++];
	int dims[4] = {d0, d1, d2, d3};
	int i;

	memset(variable, 0, sizeof(*variable));
	snprintf(variable->name, sizeof(variable->name), "%s", name);
	variable->rank = rank;
	variable->count = 1;
	for (i = 0; i < rank; i++)
	{
		variable->dims[i] = dims[i];
		variable->count = nn_mul_size(variable->count, (size_t) dims[i]);
	}
	variable->trainable = trainable && is_trainable(node);
	variable->initializer = *initializer;
	variable->offset = node->n_weights;
	node->n_weights = nn_add_size(node->n_weights, variable->count);
	if (variable->trainable)
		node->n_trainable = nn_add_size(node->n_trainable, variable->count);
	nn_set_penalty(node, variable, name);
	return variable;
}

/* Copies the node's parameter KEY_KIND, if it has one. */
static void
take_param(NnValue *dst, NnNode *node, const char *key, const char *kind)
{
	const NnValue *value;
	char name[48];

	snprintf(name, sizeof(name), "%s_%s", key, kind);
	value = nn_node_param(&node->spec, name);
	if (value != NULL)
		*dst = *value;
}

void
nn_set_penalty(NnNode *node, NnNodeVariable *variable, const char *key)
{
	take_param(&variable->regularizer, node, key, "regularizer");
	take_param(&variable->constraint, node, key, "constraint");
}

NnStatus
nn_norm_shape(NnNode *node, const NnShape *input, int axis, const NnValue *gamma, const NnValue *beta,
			  NnError *error)
{
	if (axis != -1 && axis != input->rank)
		return nn_fail(error, NN_UNSUPPORTED, -1, "Use axis -1.",
					   "layer \"%s\" (%s) has axis %d, but only channels can be normalised", node->spec.name,
					   nn_node_op(node)->info.class_name, axis);
	node->shape = *input;
	if (gamma != NULL)
		nn_add_variable(node, "gamma", 1, gamma, 1, input->c, 0, 0, 0);
	if (beta != NULL)
		nn_add_variable(node, "beta", 1, beta, 1, input->c, 0, 0, 0);
	node->multiply_adds = (uint64_t) nn_shape_floats(&node->shape);
	return NN_OK;
}

NnActivation
nn_value_activation(const NnValue *value, float *slope)
{
	NnActivation kind = (NnActivation) (int) value->v[0];
	double number = value->v[1];

	if (kind == NN_RELU6)
		number = value->v[2] > 0 ? value->v[2] : 6.0;
	else if (kind == NN_ELU)
		number = value->v[2] > 0 ? value->v[2] : 1.0;
	else if (kind == NN_HARD_SIGMOID)
		number = value->v[2] > 0 ? value->v[2] : 1.0 / 6.0;
	*slope = (float) number;
	return kind;
}

int
nn_step_clip(NnClip *clip, const NnStep *step)
{
	clip->on = (step->activation == NN_RELU || step->activation == NN_RELU6);
	clip->high = step->activation == NN_RELU6 ? step->slope : INFINITY;
	return clip->on || step->activation == NN_LINEAR;
}

void
nn_step_activation_backward(float *ddst, const float *dst, const NnShape *shape, const NnStep *step,
							NnPath path)
{
	size_t n = nn_shape_floats(shape);
	size_t count, i;
	NnClip clip;

	if (!nn_step_clip(&clip, step))
		nn_activation_backward(ddst, dst, nn_shape_pixels(shape), (size_t) shape->c, step->activation,
							   step->slope);
	else if (clip.on)
		for (i = 0; i < n && !nn_stopped(); i += count)
		{
			count = n - i < NN_STOP_WORK ? n - i : NN_STOP_WORK;
			nn_map_kernels(path)->gate(ddst + i, NULL, ddst + i, dst + i, count, clip);
		}
}

void
nn_map_conv(NnConv *c, const NnNode *node)
{
	const NnWindow *w = &node->window;

	*c = (NnConv) {node->in.h, node->in.w, node->in.c, node->shape.h, node->shape.w, node->shape.c, w->kh,
				   w->kw,      w->sh,      w->sw,      w->dh,         w->dw,         w->top,        w->left};
}

#define WINDOW_MOST 16

int
nn_map_window(const NnNode *node, NnPath path)
{
	const NnWindow *w = &node->window;

	return path != NN_PATH_REFERENCE && (w->kh - 1) * w->dh < WINDOW_MOST &&
		   (w->kw - 1) * w->dw < WINDOW_MOST;
}
