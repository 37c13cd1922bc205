/*-------------------------------------------------------------------------
 *
 * maps_impl.h
 *	  The kernels of maps.h of one instruction set and their table.  Included
 *	  once by each maps_<isa>.c, which has defined NN_SIMD and NN_SIMD_PATH.
 *
 *-------------------------------------------------------------------------
 */
#include "../stop.h"
#include "maps.h"
#include "simd.h"

#include "maps_rows_impl.h"
#include "conv_impl.h"
#include "depthwise_impl.h"
#include "channels_impl.h"

#include "simd_end.h"

const NnMapKernels NN_FN(nn_map_kernels) = {
	.path = NN_SIMD_PATH,
	.conv_packed_floats = conv_packed_floats,
	.conv_pack = conv_pack,
	.conv_scratch_bytes = conv_scratch_bytes,
	.conv_forward = conv_forward,
	.conv_dsrc = conv_dsrc,
	.conv_dweight = conv_dweight,
	.depthwise_scratch_bytes = depthwise_scratch_bytes,
	.depthwise_forward = depthwise_forward,
	.depthwise_dsrc = depthwise_dsrc,
	.depthwise_dweight = depthwise_dweight,
	.channel_sums = channel_sums,
	.channel_affine = channel_affine,
	.channel_gradient_sums = channel_gradient_sums,
	.channel_gradient = channel_gradient,
	.sum = map_sum,
	.gate = map_gate,
	.max_gradient = max_gradient,
};
