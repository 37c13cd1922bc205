/*-------------------------------------------------------------------------
 *
 * maps_avx2.c
 *	  The kernels of maps.h compiled for AVX2 with FMA.
 *
 *-------------------------------------------------------------------------
 */
#include "maps_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_AVX2
#define NN_SIMD_PATH NN_PATH_AVX2
#include "maps_impl.h"
#endif
