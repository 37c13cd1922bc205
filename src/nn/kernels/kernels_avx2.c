/*-------------------------------------------------------------------------
 *
 * kernels_avx2.c
 *	  The kernels compiled for AVX2 with FMA.
 *
 * All code is in kernels_impl.h and what it includes; the target is set there
 * by a pragma, so this file needs no compiler flags.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_AVX2
#define NN_SIMD_PATH NN_PATH_AVX2
#include "kernels_impl.h"
#endif
