/*
 * bench_kernels.c
 *		Times of the numeric kernels, layer by layer of the preset deep, on one
 *		thread: milliseconds (the least of several), GFLOP/s of the arithmetic
 *		that is really done and of the direct convolution it stands for, and the
 *		share of the peak of the multiply-add units or of the read bandwidth,
 *		both measured here; forward also with 16-bit products, beside float32
 *		(with AVX-512 the peaks are those of its 256-bit forms).
 *
 *		bench_kernels [path] [size] [rounds]
 *
 * path: portable, avx2, avx512 (default: the best); size: 256 or 128 …
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "nn/kernels/kernels.h"

static int rounds = 15;
static double peak;       /* GFLOP/s */
static double peak_pairs; /* of 16-bit products and their sums, 1e9 operations a second */
static double bandwidth;  /* GB/s from memory */

/* The thread's own time, so that other work on the machine counts less. */
static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static float *
floats(size_t n)
{
	size_t bytes = (n * sizeof(float) / (2 << 20) + 1) * (2 << 20);
	float *p = aligned_alloc(2 << 20, bytes);
	size_t i;

	if (p == NULL)
		exit(1);
	madvise(p, bytes, MADV_HUGEPAGE);
	for (i = 0; i < n; i++)
		p[i] = (float) ((i * 2654435761u >> 8) % 65536) / 32768.0f - 1.0f;
	return p;
}

#define BEST(t, code)                               \
	do                                              \
	{                                               \
		int round_;                                 \
		t = 1e30;                                   \
		for (round_ = 0; round_ < rounds; round_++) \
		{                                           \
			double t0_ = now();                     \
			code;                                   \
			t0_ = now() - t0_;                      \
			if (t0_ < t)                            \
				t = t0_;                            \
		}                                           \
	} while (0)

/* Reads n floats and folds them, fast enough that memory is the limit. */
static double
read_all(const float *m, size_t n)
{
	const uint64_t *q = (const uint64_t *) m;
	uint64_t s[4] = {0, 0, 0, 0};
	size_t i;

	for (i = 0; i < n / 2; i += 8)
	{
		s[0] += q[i] ^ q[i + 4];
		s[1] += q[i + 1] ^ q[i + 5];
		s[2] += q[i + 2] ^ q[i + 6];
		s[3] += q[i + 3] ^ q[i + 7];
	}
	return (double) (s[0] + s[1] + s[2] + s[3]);
}

#define PAIRS(a, b)                            \
	"vpmaddwd %%ymm12, %%ymm13, %%ymm14\n"     \
	"vpmaddwd %%ymm12, %%ymm13, %%ymm15\n"     \
	"vpaddd %%ymm14, %%ymm" a ", %%ymm" a "\n" \
	"vpaddd %%ymm15, %%ymm" b ", %%ymm" b "\n"

/* A product whose operands stay in the first cache: the practical peak. */
static void
measure_peak(const NnKernels *k)
{
	static float a[48 * 256], b[256 * 32], c[48 * 32];
	double t;
	double sum = 0.0;
	size_t n = (size_t) 64 << 20;
	float *m = floats(n);

#if NN_X86 && defined(__GNUC__)
	if (k->path != NN_PATH_PORTABLE)
	{
		/* twelve independent chains of fused multiply-adds */
		BEST(t, __asm__ volatile("mov $200000, %%ecx\n"
								 "1:\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm0\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm1\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm2\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm3\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm4\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm5\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm6\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm7\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm8\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm9\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm10\n"
								 "vfmadd231ps %%ymm12, %%ymm13, %%ymm11\n"
								 "dec %%ecx\n"
								 "jnz 1b\n"
								 "vzeroupper\n" :: : "ecx",
								 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
								 "xmm9", "xmm10", "xmm11", "xmm12", "xmm13"));
		peak = 200000.0 * 12 * 16 / t / 1e9;
		/* the same of multiply-adds of pairs, each with its addition */
		BEST(t, __asm__ volatile("mov $200000, %%ecx\n"
								 "1:\n" PAIRS("0", "1") PAIRS("2", "3") PAIRS("4", "5") PAIRS("6", "7")
									 PAIRS("8", "9") PAIRS("10", "11") "dec %%ecx\n"
																	   "jnz 1b\n"
																	   "vzeroupper\n" :: : "ecx",
								 "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
								 "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"));
		peak_pairs = 200000.0 * 12 * 32 / t / 1e9;
	}
	else
#endif
	{
		BEST(t, k->sgemm(0, 0, 48, 32, 256, 1.0f, a, 256, b, 32, 0.0f, c, 32));
		peak = 2.0 * 48 * 32 * 256 / t / 1e9;
	}
	BEST(t, sum += read_all(m, n));
	bandwidth = (double) n * 4 / t / 1e9;
	free(m);
	printf("path %s, peak %.1f GFLOP/s, of 16-bit pairs %.1f Gop/s, memory %.1f GB/s%s\n",
		   nn_path_name(k->path), peak, peak_pairs, bandwidth, sum == 0.5 ? " " : "");
}

static void
line(const char *what, double t, double flops_done, double flops_direct)
{
	printf("  %-22s %8.3f ms  %6.1f GFLOP/s  %3.0f %% of peak  (direct %6.1f)\n", what, t * 1e3,
		   flops_done / t / 1e9, 100.0 * flops_done / t / 1e9 / peak, flops_direct / t / 1e9);
}

static double totals[3];
static double totals16[2];

static void
bench_layer(const NnKernels *k, const char *name, int side, int ic, int oc)
{
	NnConv3 c = {side, side, ic, oc, 1, 1};
	size_t n_src = (size_t) side * (size_t) side * (size_t) ic;
	size_t n_dst = (size_t) (side / 2) * (size_t) (side / 2) * (size_t) oc;
	float *src = floats(n_src);
	float *dst = floats(n_dst);
	float *ddst = floats(n_dst);
	float *dsrc = floats(n_src);
	float *weight = floats(9 * (size_t) ic * (size_t) oc);
	float *bias = floats((size_t) oc);
	float *packed = floats(k->conv3_packed_floats(&c, 0));
	float *turned = floats(k->conv3_packed_floats(&c, 1) + 1);
	float *acc = floats(k->conv3_acc_floats(&c));
	float *scratch = floats(k->conv3_scratch_bytes(&c) / sizeof(float));
	uint16_t *mask = malloc(n_dst / (size_t) oc * nn_mask_words(oc) * 2);
	double direct = 2.0 * 9 * ic * oc * side * side;
	int tiles = (side + 3) / 4;
	double done = ic <= NN_CONV3_DIRECT_IC ? direct : 2.0 * 36 * ic * oc * tiles * tiles;
	double t;

	printf("%s: %d x %d, %d to %d, scratch %.2f MB\n", name, side, side, ic, oc,
		   (double) k->conv3_scratch_bytes(&c) / 1e6);
	k->conv3_pack(packed, weight, &c, 0, 0, ic);
	k->conv3_pack(turned, weight, &c, 1, 0, oc);
	BEST(t, k->conv3_forward(dst, NULL, src, packed, bias, &c, scratch));
	line("forward", t, done, direct);
	totals[0] += t;
	BEST(t, k->conv3_forward(dst, mask, src, packed, bias, &c, scratch));
	line("forward with mask", t, done, direct);
	totals[1] += t;
	if (ic > NN_CONV3_DIRECT_IC)
	{
		BEST(t, k->conv3_dsrc(dsrc, ddst, mask, dst, turned, &c, scratch));
		line("data gradient", t, done, direct);
		totals[1] += t;
	}
	BEST(t, k->conv3_dweight(acc, src, ddst, mask, dst, &c, scratch));
	line("weight gradient", t, done, direct);
	totals[1] += t;
	BEST(t, k->conv3_dweight_finish(weight, bias, acc, 1, 0, &c, 0, ic));
	printf("  %-22s %8.3f ms\n", "finish", t * 1e3);
	totals[2] += t;
	BEST(t, k->conv3_pack(packed, weight, &c, 0, 0, ic));
	printf("  %-22s %8.3f ms\n", "pack", t * 1e3);
	totals[2] += t;
	BEST(t, k->conv3_pack(turned, weight, &c, 1, 0, oc));
	printf("  %-22s %8.3f ms\n", "pack transposed", t * 1e3);
	totals[2] += t;
	free(src);
	free(dst);
	free(ddst);
	free(dsrc);
	free(weight);
	free(bias);
	free(packed);
	free(turned);
	free(acc);
	free(scratch);
	free(mask);
}

/* Forward in float32 and int16 in turn, so that other work on the machine hits both. */
static void
bench_int16(const NnKernels *k, const char *name, int side, int ic, int oc)
{
	NnConv3 c = {side, side, ic, oc, 1, 1};
	size_t n_dst = (size_t) (side / 2) * (size_t) (side / 2) * (size_t) oc;
	float *src = floats((size_t) side * (size_t) side * (size_t) ic);
	float *dst = floats(n_dst);
	float *dst16 = floats(n_dst);
	float *weight = floats(9 * (size_t) ic * (size_t) oc);
	float *bias = floats((size_t) oc);
	float *packed = floats(k->conv3_packed_floats(&c, 0));
	float *packed16 = floats(k->conv3_int16_packed_bytes(&c) / sizeof(float) + 1);
	float *scratch = floats(k->conv3_scratch_bytes(&c) / sizeof(float));
	float *scratch16 = floats(k->conv3_int16_scratch_bytes(&c) / sizeof(float));
	double done = 2.0 * 36 * ic * oc * ((side + 3) / 4) * ((side + 3) / 4);
	double t[2] = {1e30, 1e30};
	int round;

	k->conv3_pack(packed, weight, &c, 0, 0, ic);
	k->conv3_int16_pack(packed16, weight, bias, &c);
	for (round = 0; round < rounds; round++)
	{
		double start = now();
		double middle;
		double end;

		k->conv3_forward(dst, NULL, src, packed, bias, &c, scratch);
		middle = now();
		k->conv3_int16_forward(dst16, src, packed16, &c, scratch16);
		end = now();
		t[0] = middle - start < t[0] ? middle - start : t[0];
		t[1] = end - middle < t[1] ? end - middle : t[1];
	}
	printf("%s: float32 %.3f ms (%.0f %% of peak), int16 %.3f ms", name, t[0] * 1e3,
		   100.0 * done / t[0] / 1e9 / peak, t[1] * 1e3);
	if (peak_pairs > 0)
		printf(" (%.0f %% of peak)", 100.0 * done / t[1] / 1e9 / peak_pairs);
	printf(", ratio %.2f\n", t[0] / t[1]);
	totals16[0] += t[0];
	totals16[1] += t[1];
	free(src);
	free(dst);
	free(dst16);
	free(weight);
	free(bias);
	free(packed);
	free(packed16);
	free(scratch);
	free(scratch16);
}

static void
bench_dense(const NnKernels *k, int in, int out)
{
	size_t size = (size_t) in * (size_t) out;
	float *w = floats(size);
	float *m = floats(size);
	float *v = floats(size);
	float *vhat = floats(size);
	float *src = floats((size_t) in * 32);
	float *dsrc = floats((size_t) in * 32);
	float *y = floats((size_t) out * 32);
	float *g = floats((size_t) out * 32);
	float *scratch = floats(nn_dense_backward_scratch_bytes(out) / sizeof(float));
	NnSlots slots = {{m, v, vhat}};
	NnUpdate u = {NN_ADAM, 1e-9f, 0, 1, 0, 0, 0, 1e-7f, 0.9f, 0.999f, 0, 0, 1};
	double mb = (double) size * 4 / 1e6;
	double t;
	int n;
	size_t i;

	for (i = 0; i < size; i++)
	{
		v[i] = vhat[i] = 0.5f;
		w[i] *= 0.01f;
	}
	printf("dense: %d to %d, %.1f MB\n", in, out, mb);
	for (n = 1; n <= 32; n *= n == 4 ? 8 : 4)
	{
		BEST(t, k->dense_forward(y, src, w, NULL, n, in, out, 1, scratch));
		printf("  forward, batch %-7d %8.3f ms  %6.1f GB/s (%3.0f %% of memory)  %6.1f GFLOP/s (%3.0f %%)\n",
			   n, t * 1e3, mb / t / 1e3, 100 * mb / t / 1e3 / bandwidth, 2e-9 * (double) size * n / t,
			   2e-7 * (double) size * n / t / peak);
	}
	BEST(t, k->dense_backward(dsrc, w, w, &slots, src, g, 32, in, out, 0, in, NULL, scratch));
	printf("  backward, no update    %8.3f ms  %6.1f GFLOP/s\n", t * 1e3, 4e-9 * (double) size * 32 / t);
	for (i = 0; i < size; i++)
	{
		v[i] = vhat[i] = 0.5f;
		m[i] = 0.0f;
	}
	BEST(t, k->dense_backward(dsrc, NULL, w, &slots, src, g, 32, in, out, 0, in, &u, scratch));
	printf("  backward with Adam     %8.3f ms  %6.1f GFLOP/s  %6.1f GB/s\n", t * 1e3,
		   4e-9 * (double) size * 32 / t, 8 * mb / t / 1e3);
	BEST(t, k->update(w, &slots, dsrc, (size_t) in * 32 < size ? (size_t) in * 32 : size, &u));
	printf("  Adam alone             %8.3f ms for %.1f MB\n", t * 1e3, (double) in * 32 * 4 / 1e6);
	free(w);
	free(m);
	free(v);
	free(vhat);
	free(src);
	free(dsrc);
	free(y);
	free(g);
	free(scratch);
}

int
main(int argc, char **argv)
{
	NnPath path = nn_path_best();
	int size = argc > 2 ? atoi(argv[2]) : 256;
	const NnKernels *k;
	int i;

	for (i = NN_PATH_REFERENCE; argc > 1 && i <= NN_PATH_AVX512; i++)
		if (strcmp(argv[1], nn_path_name((NnPath) i)) == 0)
			path = (NnPath) i;
	if (argc > 3)
		rounds = atoi(argv[3]);
	if (size < 16 || size % 16 != 0 || rounds < 1 || path > nn_path_best())
	{
		fprintf(stderr, "usage: bench_kernels [portable|avx2|avx512] [size, a multiple of 16] [rounds]\n");
		return 2;
	}
	k = nn_kernels(path);
	measure_peak(k);
	bench_layer(k, "L1", size, 1, 32);
	bench_layer(k, "L2", size / 2, 32, 64);
	bench_layer(k, "L3", size / 4, 64, 128);
	bench_layer(k, "L4", size / 8, 128, 256);
	printf("convolutions: forward %.2f ms, training step %.2f ms an image, %.2f ms a step beside\n",
		   totals[0] * 1e3, totals[1] * 1e3, totals[2] * 1e3);
	bench_int16(k, "L2", size / 2, 32, 64);
	bench_int16(k, "L3", size / 4, 64, 128);
	bench_int16(k, "L4", size / 8, 128, 256);
	printf("convolutions, forward: float32 %.2f ms, int16 %.2f ms, ratio %.2f\n", totals16[0] * 1e3,
		   totals16[1] * 1e3, totals16[0] / totals16[1]);
	bench_dense(k, size / 16 * (size / 16) * 256, 128);
	bench_dense(k, size / 2 * (size / 2) * 32, 64);
	return 0;
}
