/* The matrix product, compiled for one instruction set: see sgemm_impl.h. */
#include "kernels.h"

#if NN_X86
#define NN_SIMD NN_SIMD_AVX512
#include "simd.h"

#include "sgemm_impl.h"
#include "simd_end.h"
#endif
