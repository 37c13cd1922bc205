/*-------------------------------------------------------------------------
 *
 * kernels_impl.h
 *	  All kernels of one instruction set and their table.  Included once by
 *	  each kernels_<isa>.c, which has defined NN_SIMD and NN_SIMD_PATH.
 *
 *-------------------------------------------------------------------------
 */
#include "../stop.h"
#include "dense_int16.h"
#include "simd.h"

#include "sgemm_impl.h"
#include "pool_impl.h"
#include "winograd_impl.h"
#include "direct_impl.h"
#include "conv3_impl.h"
#include "conv3_int16_impl.h"
#include "update_impl.h"
#include "dense_listed_impl.h"
#include "dense_marked_impl.h"
#include "dense_impl.h"
#include "dense_backward_impl.h"
#include "dense_int16_impl.h"
#include "misc_impl.h"

#include "simd_end.h"

const NnKernels NN_FN(nn_kernels) = {
	.path = NN_SIMD_PATH,
	.sgemm = NN_FN(nn_sgemm),
	.conv3_packed_floats = conv3_packed_floats,
	.conv3_pack = conv3_pack,
	.conv3_scratch_bytes = conv3_scratch_bytes,
	.conv3_forward = conv3_forward,
	.conv3_dsrc = conv3_dsrc,
	.conv3_acc_floats = conv3_acc_floats,
	.conv3_dweight = conv3_dweight,
	.conv3_dweight_finish = conv3_dweight_finish,
	.conv3_int16_packed_bytes = conv3_int16_packed_bytes,
	.conv3_int16_pack = conv3_int16_pack,
	.conv3_int16_scratch_bytes = conv3_int16_scratch_bytes,
	.conv3_int16_forward = conv3_int16_forward,
	.dense_forward = dense_forward,
	.dense_partial = dense_partial,
	.dense_backward = dense_backward,
	.dense_int16_forward = dense_int16_forward,
	.update = update_run,
	.add = dn_add,
	.sum_squares = sum_squares,
	.maxpool2 = maxpool2,
	.maxpool2_backward = maxpool2_backward,
};
