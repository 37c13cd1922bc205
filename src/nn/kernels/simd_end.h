/*-------------------------------------------------------------------------
 *
 * simd_end.h
 *	  Ends what simd.h began: the target region of the instruction set.
 *
 *-------------------------------------------------------------------------
 */
#if NN_SIMD != NN_SIMD_PORTABLE
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
