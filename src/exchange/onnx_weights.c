/*-------------------------------------------------------------------------
 *
 * onnx_weights.c
 *	  The weights of a network from the constants of the file, turned into the
 *	  order of src/nn: kernels HWIO, dense weights [in][out].
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <string.h>

#define SQUARE 64

/* Returns the factor of an output. */
static float
factor_of(const OnnxJob *job, int64_t output)
{
	return job->scale != NULL ? job->scale[output] : 1.0f;
}

/* Returns the place among the node's inputs of input i of the kernel. */
static size_t
place_of(const OnnxJob *job, int64_t i)
{
	return job->place != NULL ? (size_t) job->place[i] : (size_t) i;
}

/* Writes a kernel [oc][ic][kh][kw] as [kh][kw][ic][oc]; ic is that of one group. */
static OnnxStatus
write_conv(float *dst, const OnnxJob *job, const OnnxArena *arena)
{
	const OnnxConstant *from = &job->kernel;
	size_t oc = (size_t) from->dims[0];
	size_t ic = (size_t) from->dims[1];
	size_t taps = (size_t) (from->dims[2] * from->dims[3]);
	size_t work = 0;
	size_t o, i, k;

	for (i = 0; i < ic; i++)
		for (k = 0; k < taps; k++)
		{
			float *to = dst + (k * ic + place_of(job, (int64_t) i)) * oc;

			for (o = 0; o < oc; o++)
				to[o] = onnx_constant_float(from, (o * ic + i) * taps + k) * factor_of(job, (int64_t) o);
			if (onnx_stop_due(arena, &work, 4 * oc))
				return ONNX_INTERRUPTED;
		}
	return ONNX_OK;
}

/* Writes a kernel [c * m][1][kh][kw] as [kh][kw][c][m]. */
static OnnxStatus
write_depthwise(float *dst, const OnnxJob *job, const OnnxArena *arena)
{
	const OnnxConstant *from = &job->kernel;
	size_t oc = (size_t) from->dims[0];
	size_t taps = (size_t) (from->dims[2] * from->dims[3]);
	size_t work = 0;
	size_t o, k;

	for (k = 0; k < taps; k++)
	{
		for (o = 0; o < oc; o++)
			dst[k * oc + o] = onnx_constant_float(from, o * taps + k) * factor_of(job, (int64_t) o);
		if (onnx_stop_due(arena, &work, 4 * oc))
			return ONNX_INTERRUPTED;
	}
	return ONNX_OK;
}

/* Writes a part of a matrix: at most SQUARE inputs and outputs. */
static void
write_square(float *dst, const OnnxJob *job, size_t first_input, size_t first_output)
{
	const OnnxConstant *from = &job->kernel;
	size_t units = (size_t) from->dims[job->turned ? 0 : 1];
	size_t features = (size_t) from->dims[job->turned ? 1 : 0];
	size_t i, o;

	for (i = first_input; i < features && i < first_input + SQUARE; i++)
	{
		float *to = dst + place_of(job, (int64_t) i) * units;

		for (o = first_output; o < units && o < first_output + SQUARE; o++)
			to[o] = onnx_constant_float(from, job->turned ? o * features + i : i * units + o) *
					factor_of(job, (int64_t) o);
	}
}

/* Writes a matrix as [in][out]; inputs of the node that the file's matrix leaves out keep 0. */
static OnnxStatus
write_dense(float *dst, const OnnxJob *job, size_t count, const OnnxArena *arena)
{
	const OnnxConstant *from = &job->kernel;
	size_t units = (size_t) from->dims[job->turned ? 0 : 1];
	size_t features = (size_t) from->dims[job->turned ? 1 : 0];
	size_t work = 0;
	size_t i, o;

	if (count != units * features)
		memset(dst, 0, count * sizeof(float));
	/* in squares: the one order is the other's transpose, and a cache holds no column */
	for (i = 0; i < features; i += SQUARE)
		for (o = 0; o < units; o += SQUARE)
		{
			write_square(dst, job, i, o);
			if (onnx_stop_due(arena, &work, 4 * SQUARE * SQUARE))
				return ONNX_INTERRUPTED;
		}
	return ONNX_OK;
}

static OnnxStatus
write_kernel(float *dst, const OnnxJob *job, size_t count, const OnnxArena *arena)
{
	switch (job->kind)
	{
		case ONNX_JOB_CONV:
			return write_conv(dst, job, arena);
		case ONNX_JOB_DEPTHWISE:
			return write_depthwise(dst, job, arena);
		default:
			return write_dense(dst, job, count, arena);
	}
}

OnnxStatus
onnx_network_weights(float *weights, const NnGraph *graph, OnnxNetwork *net, volatile sig_atomic_t *stop,
					 OnnxProblems *problems)
{
	const OnnxJob *job = NULL;
	NnVariable variable;
	NnNodeInfo info;
	OnnxStatus status;
	int next = 0;
	int node = -1;
	int n_vector = 0;
	int i, k;

	onnx_problems_init(problems);
	net->arena->env.stop = stop;
	for (i = 0; i < nn_graph_variable_count(graph); i++)
	{
		nn_graph_variable(&variable, graph, i);
		if (variable.node != node)
		{
			node = variable.node;
			nn_graph_node(&info, graph, node);
			/* jobs stand in the order of the nodes, of which some may have gone */
			job = NULL;
			for (k = next; k < net->n_jobs && job == NULL; k++)
				if (strcmp(net->jobs[k].name, info.name) == 0)
				{
					job = &net->jobs[k];
					next = k + 1;
				}
			n_vector = 0;
			if (job != NULL && job->kind != ONNX_JOB_VECTORS)
			{
				status = write_kernel(weights + variable.offset, job, variable.count, net->arena);
				if (status != ONNX_OK)
					return status;
				continue;
			}
		}
		if (job == NULL)
			continue;
		if (n_vector >= ONNX_JOB_VECTOR_COUNT || job->vectors[n_vector] == NULL)
			return onnx_fail(problems, ONNX_CORRUPT, "variable \"%.100s\" has no values", variable.name);
		memcpy(weights + variable.offset, job->vectors[n_vector++], variable.count * sizeof(float));
	}
	return ONNX_OK;
}
