/*
 * The 16-lane kernels on pairs of AVX2 registers: the sources of the AVX-512
 * path, run where there is no AVX-512.
 */
#include "nn/kernels/kernels_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_WIDE16
#define NN_SIMD_PATH NN_PATH_AVX512
#include "nn/kernels/kernels_impl.h"
#endif
