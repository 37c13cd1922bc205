/* The kernels compiled for one instruction set: see kernels_impl.h. */
#include "kernels_internal.h"

#define NN_SIMD NN_SIMD_PORTABLE
#define NN_SIMD_PATH NN_PATH_PORTABLE
#include "kernels_impl.h"
