/*-------------------------------------------------------------------------
 *
 * op_input.c
 *	  InputLayer: a shape and nothing to run.
 *
 * nn_graph_begin() makes the node; nn_graph_add() refuses a second one.
 *
 *-------------------------------------------------------------------------
 */
#include "../op.h"
#include "op_common.h"
#include "ops.h"

const NnOp nn_op_input = {
	.info = {"InputLayer", 0, 0, nn_no_params, nn_no_ignored, nn_no_refused,
			 "The network's input; node 0 of every graph."},
};
