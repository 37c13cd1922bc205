/*-------------------------------------------------------------------------
 *
 * maps_internal.h
 *	  The table of each path, for nn_map_kernels() and for the tests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_KERNELS_MAPS_INTERNAL_H
#define PNEUMO_NN_KERNELS_MAPS_INTERNAL_H

#include "maps.h"

extern const NnMapKernels nn_map_kernels_ref;
extern const NnMapKernels nn_map_kernels_portable;
#if NN_X86
extern const NnMapKernels nn_map_kernels_avx2;
extern const NnMapKernels nn_map_kernels_avx512;
#endif
extern const NnMapKernels nn_map_kernels_wide16; /* of the tests, as nn_kernels_wide16 */

#endif /* PNEUMO_NN_KERNELS_MAPS_INTERNAL_H */
