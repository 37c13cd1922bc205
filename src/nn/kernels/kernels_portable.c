/*-------------------------------------------------------------------------
 *
 * kernels_portable.c
 *	  The kernels compiled for the portable path: vectors of four lanes, left to the compiler.
 *
 * All code is in kernels_impl.h and what it includes; the target is set there
 * by a pragma, so this file needs no compiler flags.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_internal.h"

#define NN_SIMD NN_SIMD_PORTABLE
#define NN_SIMD_PATH NN_PATH_PORTABLE
#include "kernels_impl.h"
