/* The matrix product, compiled for one instruction set: see sgemm_impl.h. */
#include "kernels.h"

#define NN_SIMD NN_SIMD_PORTABLE
#include "simd.h"

#include "sgemm_impl.h"
#include "simd_end.h"
