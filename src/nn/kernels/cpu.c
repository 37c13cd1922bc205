/*-------------------------------------------------------------------------
 *
 * cpu.c
 *	  Which instruction sets this processor and this operating system offer.
 *
 * CPUID tells what the processor can do; XGETBV whether the operating system
 * saves the registers.  Both must say yes.
 *
 *-------------------------------------------------------------------------
 */
#include "kernels.h"

#if NN_X86
#include <cpuid.h>

#define XCR0_AVX 0x06    /* xmm, ymm */
#define XCR0_AVX512 0xe6 /* xmm, ymm, opmask, zmm */

/* Reads XCR0.  The instruction is written out, so that no target flag is needed. */
static uint64_t
read_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t) high << 32 | low;
}

static NnPath
detect(void)
{
	unsigned a, b, c, d;
	uint64_t xcr0;
	unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;

	if (!__get_cpuid(1, &a, &b, &c, &d))
		return NN_PATH_PORTABLE;
	if (!(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & bit_FMA))
		return NN_PATH_PORTABLE;
	xcr0 = read_xcr0();
	if ((xcr0 & XCR0_AVX) != XCR0_AVX)
		return NN_PATH_PORTABLE;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
		return NN_PATH_PORTABLE;
	if ((b & avx512) == avx512 && (xcr0 & XCR0_AVX512) == XCR0_AVX512)
		return NN_PATH_AVX512;
	return NN_PATH_AVX2;
}
#endif

int
nn_cpu_vnni(void)
{
#if NN_X86
	unsigned a, b, c, d;

	if (detect() == NN_PATH_AVX512 && __get_cpuid_count(7, 0, &a, &b, &c, &d))
		return (c & bit_AVX512VNNI) != 0;
#endif
	return 0;
}

NnPath
nn_path_best(void)
{
#if NN_X86
	return detect();
#else
	return NN_PATH_PORTABLE;
#endif
}

const char *
nn_path_name(NnPath path)
{
	switch (path)
	{
		case NN_PATH_REFERENCE:
			return "reference";
		case NN_PATH_PORTABLE:
			return "portable";
		case NN_PATH_AVX2:
			return "avx2";
		case NN_PATH_AVX512:
			return "avx512";
	}
	return "unknown";
}
