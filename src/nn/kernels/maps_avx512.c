/*-------------------------------------------------------------------------
 *
 * maps_avx512.c
 *	  The kernels of maps.h compiled for AVX-512.
 *
 *-------------------------------------------------------------------------
 */
#include "maps_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_AVX512
#define NN_SIMD_PATH NN_PATH_AVX512
#include "maps_impl.h"
#endif
