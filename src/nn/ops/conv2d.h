/*-------------------------------------------------------------------------
 *
 * conv2d.h
 *	  Conv2D of any kernel, strides and padding: what op_conv2d.c runs where
 *	  no kernel is made for the shape.  Owner: conv2d_general.c.
 *
 * In all of these patches is scratch of nn_conv2d_patch_bytes(), full is the
 * map before 2x2 pooling, and mask is that of NnCall.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_OPS_CONV2D_H
#define PNEUMO_NN_OPS_CONV2D_H

#include "../graph.h"
#include "../op.h"
#include "../plan.h"

#include <stddef.h>
#include <stdint.h>

/* Returns the bytes that the patches of a tile take. */
extern size_t nn_conv2d_patch_bytes(const NnNode *node);

/* Computes the convolution with its bias, unpooled and without activation. */
extern void nn_conv2d_forward(const NnCall *call, float *full, float *patches);

/* Adds the gradient of the weights and of the bias to call->dweights. */
extern void nn_conv2d_weights(const NnCall *call, const float *dfull, float *patches);

/* Computes the gradient of the source, call->dsrc[0]. */
extern void nn_conv2d_data(const NnCall *call, const float *dfull, float *patches);

/*
 * Takes the maximum of each 2x2 window, and notes the winners if mask is not
 * NULL.  Activations are monotone and come afterwards.
 */
extern void nn_conv2d_pool(float *dst, uint16_t *mask, const float *full, const NnStep *step);

/* Spreads the gradient of the pooled map over the winners that the mask names. */
extern void nn_conv2d_unpool(float *dfull, const float *ddst, const uint16_t *mask, const NnStep *step);

#endif /* PNEUMO_NN_OPS_CONV2D_H */
