/*-------------------------------------------------------------------------
 *
 * op_common.h
 *	  What several operations share: rows of parameter tables, checks of
 *	  shapes, windows and variables.  Owner: op_common.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_OPS_OP_COMMON_H
#define PNEUMO_NN_OPS_OP_COMMON_H

#include "../activations.h"
#include "../graph.h"
#include "../initializers.h"
#include "../kernels/maps.h"
#include "../nn.h"
#include "../plan.h"

#include <stddef.h>

/* ------------------------------------------------------ tables of NnOpInfo */

/* The tables of an operation that has no parameter, ignores no key, refuses none. */
extern const NnParam nn_no_params[];
extern const char *const nn_no_ignored[];
extern const NnRefused nn_no_refused[];

/* "valid" and "same", the names of a padding parameter. */
extern const char *const nn_padding_names[];

#define NN_PARAM_ROW_ACTIVATION {"activation", NN_PARAM_ACTIVATION, 0, 0, 0, {{NN_LINEAR, 0.2}}, NULL}
#define NN_PARAM_ROW_BOOL(key, def) {key, NN_PARAM_BOOL, 0, 0, 1, {{def}}, NULL}
#define NN_PARAM_ROW_TRAINABLE {"trainable", NN_PARAM_BOOL, NN_LATER, 0, 1, {{1}}, NULL}
#define NN_PARAM_ROW_DILATION {"dilation_rate", NN_PARAM_INT_PAIR, NN_LATER, 1, 255, {{1, 1}}, NULL}
#define NN_PARAM_ROW_ZEROS(key) {key, NN_PARAM_INITIALIZER, 0, 0, 0, {{NN_INIT_CONSTANT, 0}}, NULL}
#define NN_PARAM_ROW_ONES(key) {key, NN_PARAM_INITIALIZER, 0, 0, 0, {{NN_INIT_CONSTANT, 1}}, NULL}
#define NN_PARAM_ROW_GLOROT(key) \
	{key, NN_PARAM_INITIALIZER, 0, 0, 0, {{NN_INIT_VARIANCE, 1, NN_FAN_AVG, NN_DRAW_UNIFORM}}, NULL}

#define NN_PARAM_ROW_REGULARIZER(key) {key "_regularizer", NN_PARAM_REGULARIZER, NN_LATER, 0, 0, {{0}}, NULL}
#define NN_PARAM_ROW_CONSTRAINT(key) {key "_constraint", NN_PARAM_CONSTRAINT, NN_LATER, 0, 0, {{0}}, NULL}

/* Returns the activation function that a parameter names, and its slope. */
extern NnActivation nn_value_activation(const NnValue *value, float *slope);

/* ----------------------------------------------------------------- shapes */

/* Gives the node the shape of its first input; the shape() of operations by element. */
extern NnStatus nn_same_shape(NnNode *node, const NnShape *inputs, NnError *error);

/* Checks that an input has one dimension (rank 1), or height, width and channels (3). */
extern NnStatus nn_need_rank(const NnNode *node, const NnShape *shape, int rank, NnError *error);

/* Fills the node's window and returns the size of its output, padded as TensorFlow pads. */
extern NnStatus nn_window_init(NnNode *node, int kh, int kw, int sh, int sw, int dh, int dw, int same,
							   int *oh, int *ow, NnError *error);

/*
 * Returns where in the source the pixel under tap (y, x) of an output pixel's
 * window begins, in values; -1 outside the image.
 */
static inline ptrdiff_t
nn_tap_pixel(const NnNode *node, int oy, int ox, int y, int x)
{
	const NnWindow *w = &node->window;
	int sy = oy * w->sh + y * w->dh - w->top;
	int sx = ox * w->sw + x * w->dw - w->left;

	if (sy < 0 || sy >= node->in.h || sx < 0 || sx >= node->in.w)
		return -1;
	return ((ptrdiff_t) sy * node->in.w + sx) * node->in.c;
}

/* -------------------------------------------------------------- variables */

/*
 * Appends a variable to the node and to its weights.  The caller has checked
 * that the number of floats is within limits.  A node whose parameter
 * "trainable" is 0 has no trainable ones.
 */
extern NnNodeVariable *nn_add_variable(NnNode *node, const char *name, int trainable,
									   const NnValue *initializer, int rank, int d0, int d1, int d2, int d3);

/*
 * Gives the variable the regulariser and the constraint that the node's
 * parameters KEY_regularizer and KEY_constraint name, where it has them.
 * nn_add_variable() does it with the variable's own name.
 */
extern void nn_set_penalty(NnNode *node, NnNodeVariable *variable, const char *key);

/*
 * Gives a normalisation of the channels the shape of its input, and gamma and beta
 * by their initialisers (NULL: none).  The axis must be that of the channels: -1,
 * or the last one of the input.
 */
extern NnStatus nn_norm_shape(NnNode *node, const NnShape *input, int axis, const NnValue *gamma,
							  const NnValue *beta, NnError *error);

/*
 * Returns the bias among the node's weights, NULL where there is none.  The
 * node's variables are a kernel and, if it has one, the bias.
 */
static inline const float *
nn_bias(const NnNode *node, const float *weights)
{
	return node->n_vars > 1 ? weights + node->vars[1].offset : NULL;
}

/* Returns the bias's place in a gradient of the node's weights, NULL where there is none. */
static inline float *
nn_bias_gradient(const NnNode *node, float *dweights)
{
	return node->n_vars > 1 ? dweights + node->vars[1].offset : NULL;
}

/* Returns the bias that a step's weights have: the node's own, or that of folded weights (NN_FUSE_AFFINE). */
static inline const float *
nn_step_bias(const NnStep *step, const NnNode *node, const float *weights)
{
	return step->affine >= 0 ? weights + node->vars[0].count : nn_bias(node, weights);
}

/* ------------------------------------------------------------- activations */

/* Fills what a kernel does with a step's activation; returns 0 where the kernels have no form of it. */
extern int nn_step_clip(NnClip *clip, const NnStep *step);

/* Takes the gradient of a map back through the step's activation, in place. */
extern void nn_step_activation_backward(float *ddst, const float *dst, const NnShape *shape,
										const NnStep *step, NnPath path);

/* Fills the convolution of a node as the kernels of maps see it. */
extern void nn_map_conv(NnConv *c, const NnNode *node);

/*
 * Tells whether the kernels of maps take the node's window: they copy the rows
 * of a window, which takes memory where it spreads far.
 */
extern int nn_map_window(const NnNode *node, NnPath path);

#endif /* PNEUMO_NN_OPS_OP_COMMON_H */
