/*
 * fuzz_nn.h
 *		What the fuzz targets of networks share.
 */
#ifndef FUZZ_NN_H
#define FUZZ_NN_H

#include "nn/nn.h"

#include <stdlib.h>

#define MAX_MEMORY ((size_t) 64 << 20)

/* Returns memory as src/nn wants it. */
static inline void *
aligned(size_t bytes)
{
	return aligned_alloc(NN_ALIGN, (bytes + NN_ALIGN) / NN_ALIGN * NN_ALIGN);
}

/* Returns whether a forward pass takes at most so many multiply-adds and values. */
static inline int
is_cheap(const NnGraph *graph, uint64_t most)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < nn_graph_node_count(graph); i++)
	{
		NnNodeInfo info;

		nn_graph_node(&info, graph, i);
		if (info.multiply_adds > most)
			return 0;
		sum +=
			info.multiply_adds + (uint64_t) info.shape.h * (uint64_t) info.shape.w * (uint64_t) info.shape.c;
	}
	return sum <= most;
}

#endif
