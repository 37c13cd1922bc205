/*-------------------------------------------------------------------------
 *
 * kernels_avx512.c
 *	  The kernels compiled for AVX-512 F, BW, DQ and VL.
 *
 * All code is in kernels_impl.h and what it includes; the target is set there
 * by a pragma, so this file needs no compiler flags.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_AVX512
#define NN_SIMD_PATH NN_PATH_AVX512
#include "kernels_impl.h"
#endif
