/* The kernels compiled for one instruction set: see kernels_impl.h. */
#include "kernels_internal.h"

#if NN_X86
#define NN_SIMD NN_SIMD_AVX512
#define NN_SIMD_PATH NN_PATH_AVX512
#include "kernels_impl.h"
#endif
