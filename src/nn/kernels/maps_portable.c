/*-------------------------------------------------------------------------
 *
 * maps_portable.c
 *	  The kernels of maps.h compiled for any processor.
 *
 *-------------------------------------------------------------------------
 */
#include "maps_internal.h"

#define NN_SIMD NN_SIMD_PORTABLE
#define NN_SIMD_PATH NN_PATH_PORTABLE
#include "maps_impl.h"
